//! Recordings of timelines by Safari's Web Inspector.

use std::io::Write;

use rz_format::{Frame, Record, Sample};
use serde::Deserialize;

use super::amounts::Amounts;
use super::functions::{Function, Functions};
use super::json::{self, Number};
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

const NAME: &str = "timeline recording of Safari";

#[derive(Deserialize)]
struct File {
    recording: Recording,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recording {
    /// In seconds, as all times are.
    #[serde(default)]
    start_time: f64,
    #[serde(default)]
    end_time: f64,
    #[serde(default)]
    sample_stack_traces: Vec<StackTrace>,
    /// One for each stack.
    #[serde(default)]
    sample_durations: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StackTrace {
    timestamp: f64,
    /// From the leaf on.
    #[serde(default)]
    stack_frames: Vec<Place>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Place {
    name: String,
    url: String,
    line: Number,
    column: Number,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let File { recording } = json::read(&input.file, NAME)?;
    if recording.sample_stack_traces.is_empty() {
        let message = format!("{NAME} without samples: record JavaScript & Events as well");
        return Err(ImportError::Unusable(message));
    }
    if recording.sample_stack_traces.len() != recording.sample_durations.len() {
        let message = format!("damaged {NAME}: not a duration for each sample");
        return Err(ImportError::Unusable(message));
    }
    let mut out = Output::of(input, "safari", out)?;
    let amounts = Amounts::SECONDS;
    out.record(Record::Event(amounts.event(0, "time")))?;
    let thread = Named { pid: 0, tid: 0, name: "JavaScript".to_owned() };
    let thread = Threads::default().id(thread, None, &mut out)?;
    let mut functions = Functions::default();
    for (trace, duration) in recording.sample_stack_traces.iter().zip(&recording.sample_durations) {
        let frame = |place: &Place| functions.frame(place.function(), &mut out);
        let frames: Vec<Frame> = trace.stack_frames.iter().rev().map(frame).collect();
        let stack = out.stack_from_root(&frames);
        let time_ns = amounts.weight(trace.timestamp - recording.start_time);
        let weight = amounts.weight(*duration);
        out.sample(Sample { thread, stack, weight, time_ns, ..Sample::default() })?;
    }
    out.finish(Some(amounts.weight(recording.end_time - recording.start_time)))
}

impl Place {
    fn function(&self) -> Function {
        let name = if self.name.is_empty() { "(anonymous)" } else { &self.name };
        let (line, column) = (self.line.id(), self.column.id());
        let (name, file) = (name.to_owned(), self.url.clone());
        Function { name, file, line, column, module: String::new() }
    }
}
