//! Chromium's trace events, as Chromium, Perfetto's tools, compilers and many others write
//! them.
//!
//! Functions are entered and left (`B`, `E`), or a whole call is one event (`X`); the time
//! between two of these is a sample of what was entered then. Events need not be in order,
//! and a file that is cut off may be read up to there. Samples (`samples`) and CPU profiles
//! of V8 (`ProfileChunk`) are taken where there are some.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::{Record, Sample, StackId};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::amounts::Amounts;
use super::functions::{Function, Functions};
use super::json::{self, Number};
use super::output::Output;
use super::threads::{Named, Threads};
use super::v8::{self, CpuProfile};
use super::{ImportError, Imported, Input};

const NAME: &str = "JSON of trace events";

/// Events that are kept until all are known, at most.
const MAX_EVENTS: usize = 24_000_000;
/// Functions within each other, at most.
const MAX_DEPTH: usize = 4096;

/// The event of older Chromiums that has all of a thread's CPU profile.
const WHOLE_PROFILE: &str = "CpuProfile";

/// The event of times between others; those of V8 have two of their own.
const TIME: u32 = 2;
const SAMPLES: u32 = 3;

/// A text, or a number that stands for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Key(match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        }))
    }
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    ph: String,
    #[serde(default)]
    name: Key,
    #[serde(default)]
    pid: Number,
    #[serde(default)]
    tid: Number,
    #[serde(default)]
    ts: Number,
    dur: Option<Number>,
    tdur: Option<Number>,
    #[serde(default)]
    id: Key,
    args: Option<Box<RawValue>>,
}

/// What a function's event has of V8's profiler.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Args {
    name: Key,
    data: ProfileData,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProfileData {
    start_time: f64,
    cpu_profile: CpuProfile,
    time_deltas: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct StackSample {
    #[serde(default)]
    pid: Number,
    #[serde(default)]
    tid: Number,
    #[serde(default)]
    ts: Number,
    weight: Option<Number>,
    #[serde(default)]
    sf: Key,
}

#[derive(Debug, Deserialize)]
struct StackFrame {
    #[serde(default)]
    name: String,
    #[serde(default)]
    parent: Option<Key>,
}

/// What happens to a thread's stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Enter,
    /// A whole call of so many nanoseconds.
    Call(u64),
    Leave,
}

/// An event that is kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    at_ns: i64,
    name: u32,
    change: Change,
}

/// What was read so far.
#[derive(Debug, Default)]
struct Read {
    names: FxHashMap<String, u32>,
    /// By process and thread.
    events: FxHashMap<(u32, u32), Vec<Kept>>,
    count: usize,
    processes: FxHashMap<u32, String>,
    threads: FxHashMap<(u32, u32), String>,
    samples: Vec<StackSample>,
    frames: FxHashMap<Key, StackFrame>,
    /// Of V8, by process and the profile's number; with the thread.
    profiles: FxHashMap<(u32, Key), (u32, CpuProfile)>,
    /// Events of other kinds.
    others: u64,
    is_cut: bool,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let read = RefCell::new(Read::default());
    let mut parser = serde_json::Deserializer::from_reader(json::buffered(&input.file));
    if let Err(error) = Top(&read).deserialize(&mut parser).and_then(|()| parser.end()) {
        // A program that crashed has written no end.
        let is_cut = error.is_eof() && read.borrow().count > 0;
        if !is_cut {
            return Err(json::failed(&error, NAME));
        }
        read.borrow_mut().is_cut = true;
    }
    let read = read.into_inner();
    if read.count == 0 && read.samples.is_empty() && read.profiles.is_empty() {
        let message = format!("{NAME}, without anything that took time: there is nothing to show");
        return Err(ImportError::Unusable(message));
    }
    write(read, input, out)
}

/// The whole file: a list of events, or an object that has one.
struct Top<'r>(&'r RefCell<Read>);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(event) = list.next_element::<Event>()? {
            self.0.borrow_mut().add(event).map_err(A::Error::custom)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &key[..] {
                "traceEvents" => map.next_value_seed(Top(self.0))?,
                "samples" => self.0.borrow_mut().samples = map.next_value()?,
                "stackFrames" => self.0.borrow_mut().frames = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

impl Read {
    fn add(&mut self, event: Event) -> Result<(), &'static str> {
        let thread = (event.pid.id(), event.tid.id());
        let ns = |number: Number| (number.or_zero() * 1_000.0).round();
        let change = match &event.ph[..] {
            "B" => Change::Enter,
            "E" => Change::Leave,
            "X" => Change::Call(ns(event.dur.or(event.tdur).unwrap_or_default()) as u64),
            "M" | "P" | "I" if event.ph != "I" || event.name.0 == WHOLE_PROFILE => {
                let args = event.args.as_ref().map(|args| serde_json::from_str(args.get()));
                if let Some(Ok(args)) = args {
                    self.describe(event, thread, args);
                }
                return Ok(());
            }
            _ => {
                self.others += 1;
                return Ok(());
            }
        };
        self.count += 1;
        if self.count > MAX_EVENTS {
            return Err("there are too many events to be sorted");
        }
        let next = self.names.len() as u32;
        let name = *self.names.entry(event.name.0).or_insert(next);
        let kept = Kept { at_ns: ns(event.ts) as i64, name, change };
        self.events.entry(thread).or_default().push(kept);
        Ok(())
    }

    /// Takes names of processes and threads, and pieces of V8's profiles.
    fn describe(&mut self, event: Event, thread: (u32, u32), args: Args) {
        match &event.name.0[..] {
            "process_name" => drop(self.processes.insert(thread.0, args.name.0)),
            "thread_name" => drop(self.threads.insert(thread, args.name.0)),
            WHOLE_PROFILE => {
                let id = Key(format!("thread {}", thread.1));
                self.profiles.insert((thread.0, id), (thread.1, args.data.cpu_profile));
            }
            "Profile" => {
                let profile = self.profiles.entry((thread.0, event.id)).or_default();
                (profile.0, profile.1.start_time) = (thread.1, args.data.start_time);
            }
            "ProfileChunk" => {
                let ProfileData { cpu_profile: piece, time_deltas, .. } = args.data;
                let (_, profile) = self.profiles.entry((thread.0, event.id)).or_default();
                profile.nodes.extend(piece.nodes);
                profile.samples.extend(piece.samples);
                profile.time_deltas.extend(time_deltas);
            }
            _ => {}
        }
    }
}

fn write(mut read: Read, input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut out = Output::of(input, "trace-events", out)?;
    if !read.profiles.is_empty() {
        v8::describe_cpu(&mut out)?;
    }
    if read.count > 0 {
        out.record(Record::Event(Amounts::MICROSECONDS.event(TIME, "duration")))?;
    }
    if !read.samples.is_empty() {
        out.record(Record::Event(Amounts::THINGS.event(SAMPLES, "samples")))?;
    }
    if read.is_cut {
        out.note("the input is cut off: all up to there was read".to_owned());
    }
    if read.others > 0 {
        let others = read.others;
        out.note(format!("{others} events that are no calls were left out, such as counters"));
    }
    let mut by_number: Vec<String> = vec![String::new(); read.names.len()];
    for (name, number) in read.names.drain() {
        by_number[number as usize] = name;
    }
    let mut writer = Writer {
        out,
        functions: Functions::default(),
        threads: Threads::default(),
        names: by_number,
        unmatched: 0,
        never_left: 0,
        clipped: 0,
        end_ns: 0,
    };
    let mut events: Vec<_> = std::mem::take(&mut read.events).into_iter().collect();
    events.sort_by_key(|(thread, _)| *thread);
    let times = events.iter().flat_map(|(_, events)| events.iter().map(|event| event.at_ns));
    let of_samples = read.samples.iter().map(|sample| (sample.ts.or_zero() * 1_000.0) as i64);
    let start_ns = times.chain(of_samples).min().unwrap_or(0);
    for (thread, events) in events {
        let thread = writer.thread(thread, &read)?;
        writer.add(thread, events, start_ns)?;
    }
    writer.add_samples(&read, start_ns)?;
    let mut profiles: Vec<_> = std::mem::take(&mut read.profiles).into_iter().collect();
    profiles.sort_by_key(|((pid, _), (tid, _))| (*pid, *tid));
    for ((pid, _), (tid, profile)) in profiles {
        let thread = writer.thread((pid, tid), &read)?;
        let mut tree = v8::Tree::default();
        let end_ns = v8::add_cpu(profile, thread, &mut tree, &mut writer.out)?;
        writer.end_ns = writer.end_ns.max(end_ns);
    }
    writer.finish()
}

struct Writer<'o> {
    out: Output<'o>,
    functions: Functions,
    threads: Threads,
    names: Vec<String>,
    /// Ends of what has not begun.
    unmatched: u64,
    /// Beginnings without an end.
    never_left: u64,
    /// Calls that would outlast their callers.
    clipped: u64,
    end_ns: u64,
}

/// A function that was entered.
struct Open {
    name: u32,
    stack: StackId,
    /// When it is left, if that is known.
    until_ns: Option<i64>,
}

impl Writer<'_> {
    fn thread(&mut self, (pid, tid): (u32, u32), read: &Read) -> Result<u32, ImportError> {
        let name = read.threads.get(&(pid, tid)).cloned().unwrap_or_default();
        let process = read.processes.get(&pid).map(String::as_str);
        self.threads.id(Named { pid, tid, name }, process, &mut self.out)
    }

    /// Adds the time of a thread's functions.
    fn add(
        &mut self,
        thread: u32,
        mut events: Vec<Kept>,
        start_ns: i64,
    ) -> Result<(), ImportError> {
        // What was written first stays first, but a longer call is around a shorter one.
        events.sort_by_key(|event| match event.change {
            Change::Call(ns) => (event.at_ns, u64::MAX - ns),
            Change::Enter | Change::Leave => (event.at_ns, 0),
        });
        let last_ns = events.last().map_or(0, |event| event.at_ns);
        let mut open: Vec<Open> = Vec::new();
        let mut now_ns = start_ns;
        // Ends that came before their beginnings, at the same time.
        let mut early: Vec<u32> = Vec::new();
        for event in events {
            self.leave_until(event.at_ns, &mut open, &mut now_ns, (thread, start_ns))?;
            if event.at_ns > now_ns {
                self.unmatched += early.len() as u64;
                early.clear();
            }
            self.pass(event.at_ns, &open, &mut now_ns, (thread, start_ns))?;
            match event.change {
                Change::Leave => {
                    let name = &self.names[event.name as usize];
                    let is_it = |one: &Open| {
                        one.until_ns.is_none() && (name.is_empty() || one.name == event.name)
                    };
                    match open.iter().rposition(is_it) {
                        Some(at) => {
                            let is_left = |one: &&Open| one.until_ns.is_none();
                            self.never_left += open[at + 1..].iter().filter(is_left).count() as u64;
                            open.truncate(at);
                        }
                        None => early.push(event.name),
                    }
                }
                Change::Enter => match early.iter().position(|name| *name == event.name) {
                    Some(at) => drop(early.swap_remove(at)),
                    None => self.enter(event.name, None, &mut open),
                },
                Change::Call(ns) => {
                    let mut until_ns = event.at_ns.saturating_add_unsigned(ns);
                    let around = open.iter().rev().find_map(|one| one.until_ns);
                    if let Some(around) = around.filter(|around| *around < until_ns) {
                        until_ns = around;
                        self.clipped += 1;
                    }
                    self.enter(event.name, Some(until_ns), &mut open);
                }
            }
        }
        self.unmatched += early.len() as u64;
        let ends = open.iter().filter_map(|one| one.until_ns).max();
        let end_ns = ends.map_or(last_ns, |end_ns| end_ns.max(last_ns));
        self.leave_until(end_ns, &mut open, &mut now_ns, (thread, start_ns))?;
        self.pass(end_ns, &open, &mut now_ns, (thread, start_ns))?;
        self.never_left += open.len() as u64;
        Ok(())
    }

    fn enter(&mut self, name: u32, until_ns: Option<i64>, open: &mut Vec<Open>) {
        let caller = open.last().map(|one| one.stack);
        // Deeper ones are their caller's.
        let stack = if open.len() < MAX_DEPTH {
            let function = Function::named(&self.names[name as usize][..]);
            let frame = self.functions.frame(function, &mut self.out);
            self.out.stack(caller, frame)
        } else {
            open[MAX_DEPTH - 1].stack
        };
        open.push(Open { name, stack, until_ns });
    }

    /// Leaves calls that are over at some time.
    fn leave_until(
        &mut self,
        at_ns: i64,
        open: &mut Vec<Open>,
        now_ns: &mut i64,
        of: (u32, i64),
    ) -> Result<(), ImportError> {
        while let Some(at) = open.iter().rposition(|one| one.until_ns.is_some())
            && let Some(until_ns) = open[at].until_ns.filter(|until_ns| *until_ns <= at_ns)
        {
            self.pass(until_ns, open, now_ns, of)?;
            self.never_left += (open.len() - at - 1) as u64;
            open.truncate(at);
        }
        Ok(())
    }

    /// Adds the time since the last change to what is open.
    fn pass(
        &mut self,
        at_ns: i64,
        open: &[Open],
        now_ns: &mut i64,
        (thread, start_ns): (u32, i64),
    ) -> Result<(), ImportError> {
        let weight = u64::try_from(at_ns.saturating_sub(*now_ns)).unwrap_or(0);
        *now_ns = at_ns.max(*now_ns);
        let Some(Open { stack, .. }) = open.last().filter(|_| weight > 0) else { return Ok(()) };
        let time_ns = at_ns.saturating_sub(start_ns).cast_unsigned();
        self.end_ns = self.end_ns.max(time_ns);
        let stack = Some(*stack);
        let sample = Sample { event: TIME, thread, stack, weight, time_ns, ..Sample::default() };
        self.out.sample(sample)
    }

    /// Adds samples with stacks of their own.
    fn add_samples(&mut self, read: &Read, start_ns: i64) -> Result<(), ImportError> {
        let mut stacks: FxHashMap<&Key, Option<StackId>> = FxHashMap::default();
        for sample in &read.samples {
            let mut missing = Vec::new();
            let mut next = Some(&sample.sf);
            let mut stack = None;
            while let Some((key, frame)) = next.and_then(|key| Some((key, read.frames.get(key)?))) {
                if let Some(known) = stacks.get(key) {
                    stack = *known;
                    break;
                }
                if missing.len() >= MAX_DEPTH {
                    break;
                }
                missing.push((key, frame));
                next = frame.parent.as_ref();
            }
            for (key, frame) in missing.into_iter().rev() {
                let frame = self.functions.frame(Function::named(&frame.name[..]), &mut self.out);
                stack = Some(self.out.stack(stack, frame));
                stacks.insert(key, stack);
            }
            let thread = self.thread((sample.pid.id(), sample.tid.id()), read)?;
            let at_ns = ((sample.ts.or_zero() * 1_000.0) as i64).saturating_sub(start_ns);
            let time_ns = u64::try_from(at_ns).unwrap_or(0);
            self.end_ns = self.end_ns.max(time_ns);
            let weight =
                Amounts::THINGS.weight(sample.weight.and_then(|weight| weight.0).unwrap_or(1.0));
            let event = SAMPLES;
            self.out.sample(Sample {
                event,
                thread,
                stack,
                weight,
                time_ns,
                ..Sample::default()
            })?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Imported, ImportError> {
        for (count, what) in [
            (self.unmatched, "ends of events that have not begun were left out"),
            (self.never_left, "events have no end: they end with what they are in"),
            (self.clipped, "calls outlast the call that they are in: they end with it"),
        ] {
            if count > 0 {
                self.out.note(format!("{count} {what}"));
            }
        }
        self.out.finish(Some(self.end_ns))
    }
}
