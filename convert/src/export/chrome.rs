//! Trace events, the JSON of Chromium's `about:tracing`, which Perfetto and speedscope read
//! as well.
//!
//! Samples of one event are calls that begin and end (`B` and `E`), nested, on the track of
//! their thread: as wide as the time they stand for, and joined with the one before if no
//! more than that is between them. Waits and system calls are asynchronous (`b` and `e`),
//! so that they are beside the calls and not among them. Frames that are deeper than viewers
//! show are one.

use std::io::{self, Write};

use rustc_hash::FxHashMap;
use serde::Serialize;
use serde_json::value::RawValue;

use super::ExportError;
use super::about::about;
use super::layer::Layer;
use super::numbers::{Numbers, process_name};
use super::timed::{has_lengths, in_time, intervals, length_ns, summed};
use super::tree::{Label, NodeId, Tree};
use rz_profile::model::{EventId, EventKind, Location, Nanos, Profile, ThreadId, TimedSample};
use rz_profile::select::main_event;
use rz_text::clean::clean;

/// Writes the profile; see the module's documentation.
pub(super) fn write(
    profile: &Profile,
    event: Option<EventId>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let event = event.or_else(|| main_event(profile));
    if let Some(event) = event.map(|event| &profile.events[event])
        && !has_lengths(event)
    {
        let (event, unit) = (event.name.clone(), event.unit.name());
        return Err(ExportError::NotTime { event, unit });
    }
    let mut events = Events { out, numbers: Numbers::of(profile), profile, any: false };
    events.out.write_all(b"{\"displayTimeUnit\":\"ns\",\"otherData\":")?;
    serde_json::to_writer(&mut *events.out, &OtherData::of(profile))?;
    events.out.write_all(b",\"traceEvents\":[")?;
    events.names()?;
    if let Some(event) = event {
        write_calls(profile, event, &mut events)?;
    }
    events.intervals()?;
    events.memory()?;
    events.out.write_all(b"\n]}\n")?;
    Ok(())
}

#[derive(Serialize)]
struct OtherData {
    recorder: &'static str,
    start_unix_ns: u64,
    about: Vec<String>,
}

impl OtherData {
    fn of(profile: &Profile) -> Self {
        let about = about(profile).iter().map(|line| clean(line).into()).collect();
        let recorder = concat!("rz ", env!("CARGO_PKG_VERSION"));
        OtherData { recorder, start_unix_ns: profile.info.start_unix_ns, about }
    }
}

#[derive(Serialize)]
struct Event<'a> {
    ph: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    cat: &'static str,
    name: &'a str,
    pid: u32,
    tid: u32,
    ts: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Args>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Args {
    Name(String),
    Bytes(u64),
}

/// Writes events one by one.
struct Events<'a> {
    out: &'a mut dyn Write,
    numbers: Numbers,
    profile: &'a Profile,
    any: bool,
}

impl Events<'_> {
    fn write(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"\n" })?;
        self.any = true;
        Ok(serde_json::to_writer(&mut *self.out, event)?)
    }

    /// An event of a thread, without anything special.
    fn event<'e>(
        &self,
        thread: ThreadId,
        ph: &'static str,
        name: &'e str,
        time_ns: Nanos,
    ) -> Event<'e> {
        let process = self.profile.threads[thread].process;
        let (pid, tid) = (self.numbers.pids[process], self.numbers.tids[thread]);
        let ts = microseconds(time_ns.saturating_sub(self.profile.info.start_ns));
        Event { ph, cat: "", name, pid, tid, ts, id: None, args: None }
    }

    /// What processes and threads are called.
    fn names(&mut self) -> io::Result<()> {
        let profile = self.profile;
        let mut named = vec![false; profile.processes.len()];
        for (id, thread) in profile.threads.iter().enumerate() {
            if !std::mem::replace(&mut named[thread.process], true) {
                let name = Args::Name(process_name(profile, thread.process));
                let event = self.event(id, "M", "process_name", 0);
                self.write(&Event { args: Some(name), ..event })?;
            }
            let name = Args::Name(clean(&thread.name).into());
            let event = self.event(id, "M", "thread_name", 0);
            self.write(&Event { args: Some(name), ..event })?;
        }
        Ok(())
    }

    fn intervals(&mut self) -> io::Result<()> {
        let profile = self.profile;
        for (id, interval) in intervals(profile).enumerate() {
            let cat = if interval.kind == EventKind::OffCpu { "off-cpu" } else { "syscall" };
            let name = clean(interval.name(profile));
            let thread = interval.sample.thread;
            for (ph, time_ns) in [("b", interval.sample.time_ns), ("e", interval.end_ns())] {
                let event = self.event(thread, ph, &name, time_ns);
                self.write(&Event { cat, id: Some(id), ..event })?;
            }
        }
        Ok(())
    }

    /// The most bytes that were there in each slice of time, of all processes together, with
    /// the first that allocated.
    fn memory(&mut self) -> io::Result<()> {
        let profile = self.profile;
        let Some(heap) = &profile.heap else { return Ok(()) };
        let process = heap.processes.first().map(|process| process.process);
        let is_of = |thread: &rz_profile::model::Thread| Some(thread.process) == process;
        let Some(thread) = profile.threads.iter().position(is_of) else { return Ok(()) };
        for (index, slice) in heap.live.slices.iter().enumerate() {
            let end_ns = heap.live.slice_ns.saturating_mul(index as u64 + 1);
            let event = self.event(thread, "C", "heap", heap.live.start_ns.saturating_add(end_ns));
            // Saturates.
            let bytes = Args::Bytes(slice.most as u64);
            self.write(&Event { args: Some(bytes), ..event })?;
        }
        Ok(())
    }
}

/// Times are in microseconds, here with three digits behind the point: a number with
/// binary fractions would lose some of long ones.
fn microseconds(ns: Nanos) -> Box<RawValue> {
    let text = format!("{}.{:03}", ns / 1000, ns % 1000);
    RawValue::from_string(text).expect("digits and a point are a number")
}

/// Stands for a sample without a stack, which is called so.
const NO_STACK: NodeId = NodeId::MAX;
const NO_STACK_NAME: &str = "[no stack]";

/// Calls in calls that are written; Perfetto shows 512 at most.
const MAX_DEPTH: usize = 511;
/// Stands for the frames that are deeper, which are called so.
const DEEPER: NodeId = NodeId::MAX - 1;
const DEEPER_NAME: &str = "[deeper frames]";

/// Beginnings and ends of calls that are written at most, some 400 MB: above that, as of
/// deep stacks that take turns, equal stacks are added up.
const MOST_CHANGES: u64 = 4_000_000;

/// What is open on a thread's track.
#[derive(Default)]
struct Track {
    /// Nodes of the calls, outermost first.
    open: Vec<NodeId>,
    /// Up to when they were seen.
    until_ns: Nanos,
}

/// What samples become: a call that begins or ends.
struct Change {
    ph: &'static str,
    thread: ThreadId,
    node: NodeId,
    time_ns: Nanos,
}

/// Writes samples as calls.
fn write_calls(profile: &Profile, event: EventId, events: &mut Events<'_>) -> io::Result<()> {
    // By function: that it goes on elsewhere in it does not end a call.
    let label = |location: &Location, line: usize| location.lines[line].function as Label;
    let tree = Tree::build(profile, label);
    let mut layers = vec![Layer::Other; profile.functions.len()];
    for location in &profile.locations {
        location.lines.iter().for_each(|line| layers[line.function] = Layer::of(location));
    }
    let calls = Calls { event: &profile.events[event], tree: &tree, nodes: tree.nodes().collect() };
    // Threads that have a number one after the other have a track, that of the first.
    let mut first = FxHashMap::default();
    let tids = events.numbers.tids.iter().enumerate();
    let tracks_of: Vec<ThreadId> =
        tids.map(|(thread, tid)| *first.entry(*tid).or_insert(thread)).collect();
    let mut samples = in_time(profile, event);
    let mut count = 0_u64;
    calls.each(&tracks_of, &samples, &mut |_| {
        count += 1;
        Ok(())
    })?;
    if count > MOST_CHANGES {
        samples = summed(profile, event);
    }
    calls.each(&tracks_of, &samples, &mut |Change { ph, thread, node, time_ns }| {
        let function = calls.nodes.get(node as usize).map(|&(_, label)| label as usize);
        let name = match function {
            Some(function) => &profile.functions[function].name,
            None if node == DEEPER => DEEPER_NAME,
            None => NO_STACK_NAME,
        };
        let (name, layer) = (clean(name), function.map_or(Layer::Other, |id| layers[id]));
        let event = events.event(thread, ph, &name, time_ns);
        events.write(&Event { cat: layer.name(), ..event })
    })
}

/// Makes calls of the samples of an event.
struct Calls<'p> {
    event: &'p rz_profile::model::Event,
    tree: &'p Tree,
    nodes: Vec<(Option<NodeId>, Label)>,
}

impl Calls<'_> {
    fn each(
        &self,
        tracks_of: &[ThreadId],
        samples: &[TimedSample],
        change: &mut dyn FnMut(Change) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut tracks: Vec<Track> = tracks_of.iter().map(|_| Track::default()).collect();
        for sample in samples {
            let thread = tracks_of[sample.thread];
            let length_ns = length_ns(self.event, sample).unwrap_or(0);
            let track = &mut tracks[thread];
            // The clock of a timer is not that even: what follows within a sample's length,
            // or before the one before it is over, follows at once.
            let is_next = !track.open.is_empty()
                && sample.time_ns.saturating_sub(track.until_ns) <= length_ns;
            let start_ns = match is_next {
                true => track.until_ns,
                false => sample.time_ns.max(track.until_ns),
            };
            let leaf = sample.stack.get().map_or(NO_STACK, |stack| self.tree.node_of(stack));
            let caller = |&node: &NodeId| self.nodes.get(node as usize)?.0;
            let mut path: Vec<NodeId> = std::iter::successors(Some(leaf), caller).collect();
            path.reverse();
            if path.len() > MAX_DEPTH {
                path.truncate(MAX_DEPTH);
                path.push(DEEPER);
            }
            let same = track.open.iter().zip(&path).take_while(|(open, next)| open == next).count();
            let kept = if is_next { same } else { 0 };
            let time_ns = track.until_ns;
            for node in track.open.drain(kept..).rev() {
                change(Change { ph: "E", thread, node, time_ns })?;
            }
            for &node in &path[kept..] {
                change(Change { ph: "B", thread, node, time_ns: start_ns })?;
            }
            track.open = path;
            track.until_ns = start_ns.saturating_add(length_ns);
        }
        for (thread, track) in tracks.into_iter().enumerate() {
            for node in track.open.into_iter().rev() {
                change(Change { ph: "E", thread, node, time_ns: track.until_ns })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::fixture;
    use serde_json::Value;

    fn written(profile: &Profile) -> Vec<String> {
        let mut out = Vec::new();
        write(profile, None, &mut out).unwrap();
        let file: Value = serde_json::from_slice(&out).unwrap();
        let events = file["traceEvents"].as_array().unwrap().iter();
        let text = |event: &Value| {
            let name = event["name"].as_str().unwrap();
            format!("{} {} {} {name}", event["ph"].as_str().unwrap(), event["tid"], event["ts"])
        };
        events.map(text).filter(|text| !text.starts_with('M')).collect()
    }

    #[test]
    fn samples_are_calls_that_begin_and_end() {
        let calls = written(&fixture::profile());
        let of_main: Vec<&String> =
            calls.iter().filter(|call| call.split(' ').nth(1) == Some("10")).collect();
        assert_eq!(
            of_main,
            [
                "B 10 0.0 main",
                "B 10 0.0 helper",
                "E 10 1.0 helper",
                "B 10 1.0 <T as Run>::run",
                "B 10 1.0 helper",
                "B 10 1.0 read",
                "E 10 4.0 read",
                "E 10 4.0 helper",
                "E 10 4.0 <T as Run>::run",
                "B 10 4.0 helper",
                "E 10 5.0 helper",
                "E 10 5.0 main",
            ]
        );
        // What has no stack takes its time all the same.
        assert!(calls.contains(&"B 11 5.001 [no stack]".to_owned()), "{calls:#?}");
        assert!(calls.contains(&"E 11 6.001 [no stack]".to_owned()), "{calls:#?}");
    }

    #[test]
    fn waits_are_beside_calls() {
        let calls = written(&fixture::with_waits());
        let waits: Vec<&String> =
            calls.iter().filter(|call| call.starts_with(['b', 'e'])).collect();
        let expected =
            ["b 10 0.0 futex", "e 10 500.0 futex", "b 10 1000.0 futex", "e 10 3000.4 futex"];
        assert_eq!(waits, expected);
    }
}
