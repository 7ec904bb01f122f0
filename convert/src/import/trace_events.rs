//! Chromium's trace events, as Chromium, Perfetto's tools, compilers and many others write
//! them.
//!
//! Functions are entered and left (`B`, `E`), or a whole call is one event (`X`); the time
//! between two of these is a sample of what was entered then. Events need not be in order,
//! and a file that is cut off may be read up to there. Samples (`samples`) and CPU profiles
//! of V8 (`ProfileChunk`) are taken where there are some.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use rustc_hash::FxHashMap;
use rz_format::{Record, Sample, StackId};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::amounts::Amounts;
use super::json::Number;
use super::nested::{Change, Kind, Names, Timelines};
use super::output::Output;
use super::threads::{Named, Threads};
use super::v8::{self, CpuProfile};
use super::values::Values;
use super::{ImportError, Imported, Input};

const NAME: &str = "JSON of trace events";

/// Events that are kept until all are known, at most.
const MAX_EVENTS: usize = 24_000_000;
/// Frames of a sample, at most.
const MAX_DEPTH: usize = 4096;
/// Objects with a list of events that are in each other, at most.
const MAX_OBJECTS: usize = 8;

/// The event of older Chromiums that has all of a thread's CPU profile.
const WHOLE_PROFILE: &str = "CpuProfile";

/// The event of times between others; those of V8 have two of their own.
const TIME: u32 = 2;
const SAMPLES: u32 = 3;

/// A text, or a number that stands for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Key<'t>(Cow<'t, str>);

impl<'de: 't, 't> Deserialize<'de> for Key<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKey)
    }
}

struct AnyKey;

impl<'de> Visitor<'de> for AnyKey {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
        Ok(Key(text.to_owned().into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Key<'de>, E> {
        Ok(Key(number.to_string().into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Key<'de>, E> {
        Ok(Key(number.to_string().into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Key<'de>, E> {
        Ok(Key(number.to_string().into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Key<'de>, E> {
        Ok(Key(value.to_string().into()))
    }

    fn visit_unit<E>(self) -> Result<Key<'de>, E> {
        Ok(Key::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Key<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Key::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Key<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Key::default())
    }
}

/// The same, kept.
fn kept_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Key::deserialize(deserializer).map(|Key(text)| text.into_owned())
}

#[derive(Debug, Deserialize)]
struct Event<'t> {
    #[serde(default, borrow)]
    ph: Key<'t>,
    #[serde(default, borrow)]
    name: Key<'t>,
    #[serde(default)]
    pid: Number,
    #[serde(default)]
    tid: Number,
    #[serde(default)]
    ts: Number,
    dur: Option<Number>,
    tdur: Option<Number>,
    #[serde(default, borrow)]
    id: Key<'t>,
    #[serde(borrow)]
    args: Option<&'t RawValue>,
}

/// What a function's event has of V8's profiler.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Args {
    #[serde(deserialize_with = "kept_key")]
    name: String,
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
    #[serde(default, deserialize_with = "kept_key")]
    sf: String,
}

#[derive(Debug, Deserialize)]
struct StackFrame {
    #[serde(default)]
    name: String,
    /// Empty if there is none.
    #[serde(default, deserialize_with = "kept_key")]
    parent: String,
}

/// What was read so far.
#[derive(Debug, Default)]
struct Read {
    names: Names,
    /// By process and thread.
    events: FxHashMap<(u32, u32), Vec<Change>>,
    count: usize,
    processes: FxHashMap<u32, String>,
    threads: FxHashMap<(u32, u32), String>,
    samples: Vec<StackSample>,
    frames: FxHashMap<String, StackFrame>,
    /// Of V8, by process and the profile's number; with the thread.
    profiles: FxHashMap<(u32, String), (u32, CpuProfile)>,
    /// Events of other kinds.
    others: u64,
    is_cut: bool,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut read = Read::default();
    let mut values = Values::of(&input.file);
    // A program that crashed has written no end.
    read.is_cut = !read.add_all(&mut values, 0)?;
    if read.is_cut && read.count == 0 {
        return Err(damaged("it ends early"));
    }
    if !read.is_cut && values.peek()?.is_some() {
        return Err(damaged(&format!("more is behind its end, at byte {}", values.position())));
    }
    if read.count == 0 && read.samples.is_empty() && read.profiles.is_empty() {
        let message = format!("{NAME}, without anything that took time: there is nothing to show");
        return Err(ImportError::Unusable(message));
    }
    write(read, input, out)
}

fn damaged(why: &str) -> ImportError {
    ImportError::Unusable(format!("damaged {NAME}: {why}"))
}

/// A value of its own; `at` says where it ends.
fn parsed<'b, T: Deserialize<'b>>(bytes: &'b [u8], at: u64) -> Result<T, ImportError> {
    serde_json::from_slice(bytes)
        .map_err(|error| damaged(&format!("{error} of what ends at byte {at}")))
}

impl Read {
    /// Takes a list of events, or an object that has one; whether it is whole.
    fn add_all<R: io::Read>(
        &mut self,
        values: &mut Values<R>,
        depth: usize,
    ) -> Result<bool, ImportError> {
        match values.peek()? {
            None => Ok(false),
            Some(b'[') => {
                values.take();
                self.add_list(values)
            }
            Some(b'{') if depth < MAX_OBJECTS => {
                values.take();
                self.add_object(values, depth)
            }
            Some(_) => Err(damaged(&format!("no list of events at byte {}", values.position()))),
        }
    }

    fn add_list<R: io::Read>(&mut self, values: &mut Values<R>) -> Result<bool, ImportError> {
        loop {
            match values.peek()? {
                None => return Ok(false),
                Some(b']') => {
                    values.take();
                    return Ok(true);
                }
                Some(b',') => values.take(),
                Some(_) => {
                    let at = values.position();
                    let Some(bytes) = values.value()? else { return Ok(false) };
                    self.add(parsed(bytes, at + bytes.len() as u64)?)?;
                }
            }
        }
    }

    fn add_object<R: io::Read>(
        &mut self,
        values: &mut Values<R>,
        depth: usize,
    ) -> Result<bool, ImportError> {
        loop {
            match values.peek()? {
                None => return Ok(false),
                Some(b'}') => {
                    values.take();
                    return Ok(true);
                }
                Some(b',') => values.take(),
                Some(_) => {
                    let at = values.position();
                    let Some(bytes) = values.value()? else { return Ok(false) };
                    let key: String = parsed(bytes, at + bytes.len() as u64)?;
                    match values.peek()? {
                        None => return Ok(false),
                        Some(b':') => values.take(),
                        Some(_) => return Err(damaged(&format!("no value of {key:?}"))),
                    }
                    if !self.add_entry(&key, values, depth)? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn add_entry<R: io::Read>(
        &mut self,
        key: &str,
        values: &mut Values<R>,
        depth: usize,
    ) -> Result<bool, ImportError> {
        let at = values.position();
        match key {
            "traceEvents" => return self.add_all(values, depth + 1),
            "samples" => match values.value()? {
                Some(bytes) => self.samples = parsed(bytes, at + bytes.len() as u64)?,
                None => return Ok(false),
            },
            "stackFrames" => match values.value()? {
                Some(bytes) => self.frames = parsed(bytes, at + bytes.len() as u64)?,
                None => return Ok(false),
            },
            _ => return values.skip(),
        }
        Ok(true)
    }

    fn add(&mut self, event: Event<'_>) -> Result<(), ImportError> {
        let thread = (event.pid.id(), event.tid.id());
        let ns = |number: Number| (number.or_zero() * 1_000.0).round();
        let (kind, took_ns) = match &*event.ph.0 {
            "B" => (Kind::Enter, 0),
            "E" => (Kind::Leave, 0),
            "X" => (Kind::Call, ns(event.dur.or(event.tdur).unwrap_or_default()) as u64),
            "M" | "P" | "I" if event.ph.0 != "I" || event.name.0 == WHOLE_PROFILE => {
                let args = event.args.map(|args| serde_json::from_str(args.get()));
                if let Some(Ok(args)) = args {
                    self.describe(&event, thread, args);
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
            return Err(ImportError::TooMany("events to be sorted"));
        }
        let name = self.names.number(&event.name.0);
        let change = Change { at_ns: ns(event.ts) as i64, took_ns, name, kind };
        self.events.entry(thread).or_default().push(change);
        Ok(())
    }

    /// Takes names of processes and threads, and pieces of V8's profiles.
    fn describe(&mut self, event: &Event<'_>, thread: (u32, u32), args: Args) {
        let id = event.id.0.clone().into_owned();
        match &*event.name.0 {
            "process_name" => drop(self.processes.insert(thread.0, args.name)),
            "thread_name" => drop(self.threads.insert(thread, args.name)),
            WHOLE_PROFILE => {
                let id = format!("thread {}", thread.1);
                self.profiles.insert((thread.0, id), (thread.1, args.data.cpu_profile));
            }
            "Profile" => {
                let profile = self.profiles.entry((thread.0, id)).or_default();
                (profile.0, profile.1.start_time) = (thread.1, args.data.start_time);
            }
            "ProfileChunk" => {
                let ProfileData { cpu_profile: piece, time_deltas, .. } = args.data;
                let (_, profile) = self.profiles.entry((thread.0, id)).or_default();
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
    let names = std::mem::take(&mut read.names);
    let timelines = Timelines::new(out, TIME, names);
    let mut writer = Writer { timelines, threads: Threads::default() };
    let mut events: Vec<_> = std::mem::take(&mut read.events).into_iter().collect();
    events.sort_by_key(|(thread, _)| *thread);
    let times = events.iter().flat_map(|(_, events)| events.iter().map(|event| event.at_ns));
    let of_samples = read.samples.iter().map(|sample| (sample.ts.or_zero() * 1_000.0) as i64);
    let start_ns = times.chain(of_samples).min().unwrap_or(0);
    for (thread, events) in events {
        let thread = writer.thread(thread, &read)?;
        writer.timelines.add(thread, events, start_ns)?;
    }
    writer.add_samples(&read, start_ns)?;
    let mut profiles: Vec<_> = std::mem::take(&mut read.profiles).into_iter().collect();
    profiles.sort_by_key(|((pid, _), (tid, _))| (*pid, *tid));
    for ((pid, _), (tid, profile)) in profiles {
        let thread = writer.thread((pid, tid), &read)?;
        let mut tree = v8::Tree::default();
        let end_ns = v8::add_cpu(profile, thread, &mut tree, &mut writer.timelines.out)?;
        writer.timelines.end_ns = writer.timelines.end_ns.max(end_ns);
    }
    writer.timelines.finish()
}

struct Writer<'o> {
    timelines: Timelines<'o>,
    threads: Threads,
}

impl Writer<'_> {
    fn thread(&mut self, (pid, tid): (u32, u32), read: &Read) -> Result<u32, ImportError> {
        let name = read.threads.get(&(pid, tid)).cloned().unwrap_or_default();
        let process = read.processes.get(&pid).map(String::as_str);
        self.threads.id(Named { pid, tid, name }, process, &mut self.timelines.out)
    }

    /// Adds samples with stacks of their own.
    fn add_samples(&mut self, read: &Read, start_ns: i64) -> Result<(), ImportError> {
        let mut stacks: FxHashMap<&str, Option<StackId>> = FxHashMap::default();
        for sample in &read.samples {
            let mut missing = Vec::new();
            let mut next = &sample.sf[..];
            let mut stack = None;
            while let Some(frame) = read.frames.get(next) {
                if let Some(known) = stacks.get(next) {
                    stack = *known;
                    break;
                }
                if missing.len() >= MAX_DEPTH {
                    break;
                }
                missing.push((next, frame));
                next = &frame.parent;
            }
            for (key, frame) in missing.into_iter().rev() {
                let frame = self.timelines.frame(&frame.name);
                stack = Some(self.timelines.out.stack(stack, frame));
                stacks.insert(key, stack);
            }
            let thread = self.thread((sample.pid.id(), sample.tid.id()), read)?;
            let at_ns = ((sample.ts.or_zero() * 1_000.0) as i64).saturating_sub(start_ns);
            let time_ns = u64::try_from(at_ns).unwrap_or(0);
            self.timelines.end_ns = self.timelines.end_ns.max(time_ns);
            let weight =
                Amounts::THINGS.weight(sample.weight.and_then(|weight| weight.0).unwrap_or(1.0));
            let event = SAMPLES;
            self.timelines.out.sample(Sample {
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
}
