//! Raw recordings of rbspy: a mark with a version, and a line of JSON for each sample.
//!
//! Version 0 has frames only, 1 also who was sampled and when, 2 a first line about the
//! recording.

use std::io::Write;

use rz_format::{EventUnit, Frame, Record, Sample};
use serde::Deserialize;

use super::amounts::Amounts;
use super::functions::{Function, Functions};
use super::lines::for_lines;
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

/// Newest version that is known.
const NEWEST: u8 = b'2';

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Header {
    sample_rate: Option<u32>,
    start_time: Option<Time>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Time {
    secs_since_epoch: u64,
    #[serde(default)]
    nanos_since_epoch: u32,
}

impl Time {
    fn ns(self) -> u64 {
        let ns = self.secs_since_epoch.saturating_mul(1_000_000_000);
        ns.saturating_add(self.nanos_since_epoch.into())
    }
}

#[derive(Debug, Deserialize)]
struct Trace {
    /// From the leaf on.
    trace: Vec<Place>,
    #[serde(default)]
    pid: Option<u32>,
    #[serde(default)]
    thread_id: Option<u64>,
    #[serde(default)]
    time: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    name: String,
    relative_path: String,
    absolute_path: Option<String>,
    lineno: Option<u32>,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let version = input.head.get(6).copied().unwrap_or(b'0');
    if !(b'0'..=NEWEST).contains(&version) {
        let message = "raw recording of a newer rbspy: rbspy report -f speedscope makes JSON of it";
        return Err(ImportError::Unusable(message.to_owned()));
    }
    let (header, first) = survey(input, version)?;
    let start_ns = header.start_time.or(first).map(Time::ns);
    let mut out = Output::begun(input, "rbspy", start_ns.unwrap_or(input.modified_ns), out)?;
    let rate = header.sample_rate.filter(|rate| *rate > 0);
    let (name, amounts) = match rate {
        Some(_) => ("time", Amounts::units(EventUnit::Nanoseconds)),
        None => ("samples", Amounts::THINGS),
    };
    let event = rz_format::Event { frequency_hz: rate.unwrap_or(0), ..amounts.event(0, name) };
    out.record(Record::Event(event))?;
    let weight = rate.map_or(1, |rate| 1_000_000_000 / u64::from(rate));
    let mut recording = Recording {
        out,
        functions: Functions::default(),
        threads: Threads::default(),
        weight,
        start_ns: start_ns.unwrap_or(0),
        end_ns: 0,
    };
    let mut unreadable = 0_u64;
    for_samples(input, version, |trace| match trace {
        Some(trace) => recording.add(&trace),
        None => {
            unreadable += 1;
            Ok(())
        }
    })?;
    if unreadable > 0 {
        recording.out.note(format!("{unreadable} lines that are no samples were left out"));
    }
    recording.out.finish(Some(recording.end_ns))
}

/// What is said of the recording, and when its first sample was taken.
fn survey(input: &Input, version: u8) -> Result<(Header, Option<Time>), ImportError> {
    let mut header = Header::default();
    let mut lines = 0;
    for_lines(&input.file, |text| {
        lines += 1;
        if let (2, NEWEST, Some(text)) = (lines, version, text) {
            header = serde_json::from_str(text).unwrap_or_default();
        }
        Ok(())
    })?;
    let (mut first, mut samples) = (None, 0_u64);
    for_samples(input, version, |trace| {
        samples += u64::from(trace.is_some());
        first = first.or(trace.and_then(|trace| trace.time));
        Ok(())
    })?;
    if samples == 0 {
        let message = "damaged recording of rbspy: there is no sample".to_owned();
        return Err(ImportError::Unusable(message));
    }
    Ok((header, first))
}

/// Calls `take` with each sample, `None` for a line that is none.
fn for_samples(
    input: &Input,
    version: u8,
    mut take: impl FnMut(Option<Trace>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    // The mark is a line as well, and then there may be a header.
    let before = if version == NEWEST { 2 } else { 1 };
    let mut lines = 0_u64;
    for_lines(&input.file, |text| {
        lines += 1;
        if lines <= before || text.is_some_and(|text| text.trim().is_empty()) {
            return Ok(());
        }
        take(text.and_then(|text| match version {
            b'0' => {
                let trace = serde_json::from_str(text).ok()?;
                Some(Trace { trace, pid: None, thread_id: None, time: None })
            }
            _ => serde_json::from_str(text).ok(),
        }))
    })
}

struct Recording<'o> {
    out: Output<'o>,
    functions: Functions,
    threads: Threads,
    /// What a sample stands for.
    weight: u64,
    start_ns: u64,
    end_ns: u64,
}

impl Recording<'_> {
    fn add(&mut self, sample: &Trace) -> Result<(), ImportError> {
        let pid = sample.pid.unwrap_or(0);
        let tid = sample.thread_id.and_then(|id| u32::try_from(id).ok()).unwrap_or(pid);
        let thread = Named { pid, tid, name: "ruby".to_owned() };
        let thread = self.threads.id(thread, None, &mut self.out)?;
        let frame = |place: &Place| self.functions.frame(place.function(), &mut self.out);
        let frames: Vec<Frame> = sample.trace.iter().rev().map(frame).collect();
        let stack = self.out.stack_from_root(&frames);
        let time_ns = sample.time.map_or(0, |time| time.ns().saturating_sub(self.start_ns));
        self.end_ns = self.end_ns.max(time_ns);
        let weight = self.weight;
        self.out.sample(Sample { thread, stack, weight, time_ns, ..Sample::default() })
    }
}

impl Place {
    fn function(&self) -> Function {
        let file = self.absolute_path.as_ref().unwrap_or(&self.relative_path).clone();
        let line = self.lineno.unwrap_or(0);
        Function { name: self.name.clone(), file, line, ..Function::default() }
    }
}
