//! Files of speedscope.
//!
//! Each of a file's profiles is a thread here. One with events says when functions were
//! entered and left: the time between two of these is a sample of what was entered then.

use std::io::Write;

use rz_format::{EventUnit, Frame, Record, Sample, StackId};
use serde::Deserialize;

use super::amounts::{Amounts, scaled_note};
use super::functions::{Function, Functions};
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input, json};

/// What the format is called in messages.
const NAME: &str = "speedscope JSON";
/// Of what we export: the profile that has all samples of the others once more.
const OUR_SUM: &str = "all threads";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    exporter: String,
    shared: Shared,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Shared {
    frames: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    name: String,
    file: Option<String>,
    line: Option<f64>,
    col: Option<f64>,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    name: String,
    #[serde(default)]
    unit: String,
    #[serde(rename = "startValue", default)]
    start: f64,
    /// Of a sampled one: frames from the root on.
    #[serde(default)]
    samples: Vec<Vec<usize>>,
    #[serde(default)]
    weights: Vec<f64>,
    /// Of one with events.
    #[serde(default)]
    events: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "type")]
    kind: ChangeKind,
    frame: usize,
    at: f64,
}

#[derive(Deserialize, PartialEq, Eq)]
enum ChangeKind {
    #[serde(rename = "O")]
    Open,
    #[serde(rename = "C")]
    Close,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut file: File = json::read(&input.file, NAME)?;
    let is_ours = file.exporter.starts_with("rz ");
    let is_sum = |name: &str| name == OUR_SUM || name.starts_with(&format!("{OUR_SUM}, "));
    file.profiles.retain(|profile| !is_ours || !is_sum(&profile.name));
    let mut out = Output::of(input, "speedscope", out)?;
    let frames = frames(file.shared.frames, &mut out);

    let mut threads = Threads::default();
    let mut events: Vec<(String, Amounts)> = Vec::new();
    let mut end_ns = 0;
    for (number, profile) in (1..).zip(file.profiles) {
        let (name, event) = event_of(&profile, is_ours);
        let mut amounts = Amounts::of_unit(&profile.unit);
        let at = profile.events.iter().map(|change| change.at);
        let numbers = profile.weights.iter().copied().chain(at);
        let (scaled, digits) = amounts.keeping_fractions(numbers);
        amounts = scaled;
        scaled_note(digits).into_iter().for_each(|note| out.note(note));
        let known =
            events.iter().position(|(known, of)| *known == event && of.unit == amounts.unit);
        let id = known.unwrap_or(events.len());
        if id == events.len() {
            out.record(Record::Event(amounts.event(id as u32, &event)))?;
            events.push((event, amounts));
        }
        let thread = Named { pid: 0, tid: number, name };
        let thread = threads.id(thread, None, &mut out)?;
        let mut row = Row { event: id as u32, thread, amounts, end_ns: 0 };
        if profile.samples.len() != profile.weights.len() {
            let message = format!("damaged {NAME}: not a weight for each sample");
            return Err(ImportError::Unusable(message));
        }
        let mut at = profile.start;
        for (sample, weight) in profile.samples.iter().zip(&profile.weights) {
            at += weight;
            let places = sample.iter().map(|index| frame_of(*index, &frames));
            let stack = out.stack_from_root(&places.collect::<Result<Vec<Frame>, _>>()?);
            row.add(stack, *weight, at, &mut out)?;
        }
        row.add_changes(&profile.events, &frames, &mut out)?;
        end_ns = end_ns.max(row.end_ns);
    }
    out.finish(Some(end_ns))
}

/// A profile's thread, and what was measured.
fn event_of(profile: &Profile, is_ours: bool) -> (String, String) {
    let amounts = Amounts::of_unit(&profile.unit);
    let event = match amounts.unit {
        EventUnit::Things => "samples",
        EventUnit::Bytes => "bytes",
        _ if is_ours => "cpu",
        _ => "time",
    };
    match profile.name.rsplit_once(", ").filter(|_| is_ours) {
        Some((name, event)) => (name.to_owned(), event.to_owned()),
        None => (profile.name.clone(), event.to_owned()),
    }
}

fn frames(places: Vec<Place>, out: &mut Output) -> Vec<Frame> {
    let mut functions = Functions::default();
    let number = |number: Option<f64>| number.unwrap_or(0.0) as u32;
    let frame = |place: Place| {
        let Place { name, file, line, col } = place;
        let file = file.unwrap_or_default();
        let (line, column) = (number(line), number(col));
        functions.frame(Function { name, file, line, column, module: String::new() }, out)
    };
    places.into_iter().map(frame).collect()
}

fn frame_of(index: usize, frames: &[Frame]) -> Result<Frame, ImportError> {
    let frame = frames.get(index).copied();
    frame.ok_or_else(|| ImportError::Unusable(format!("damaged {NAME}: there is no frame {index}")))
}

/// What all samples of a profile have in common.
struct Row {
    event: u32,
    thread: u32,
    amounts: Amounts,
    end_ns: u64,
}

impl Row {
    fn add(
        &mut self,
        stack: Option<StackId>,
        value: f64,
        at: f64,
        out: &mut Output,
    ) -> Result<(), ImportError> {
        let weight = self.amounts.weight(value);
        if weight == 0 {
            return Ok(());
        }
        // Of other units, what has been measured so far is no time.
        let is_time = self.amounts.unit == EventUnit::Nanoseconds;
        let time_ns = if is_time { self.amounts.weight(at) } else { 0 };
        self.end_ns = self.end_ns.max(time_ns);
        let Row { event, thread, .. } = *self;
        out.sample(Sample { event, thread, stack, weight, time_ns, ..Sample::default() })
    }

    fn add_changes(
        &mut self,
        changes: &[Change],
        frames: &[Frame],
        out: &mut Output,
    ) -> Result<(), ImportError> {
        let mut open: Vec<(usize, StackId)> = Vec::new();
        let mut since = changes.first().map_or(0.0, |change| change.at);
        for change in changes {
            if change.at < since {
                let message =
                    format!("damaged {NAME}: an event is before the one that precedes it");
                return Err(ImportError::Unusable(message));
            }
            if let Some((_, stack)) = open.last() {
                self.add(Some(*stack), change.at - since, change.at, out)?;
            }
            since = change.at;
            if change.kind == ChangeKind::Open {
                let caller = open.last().map(|(_, stack)| *stack);
                let stack = out.stack(caller, frame_of(change.frame, frames)?);
                open.push((change.frame, stack));
            } else if open.pop().is_none_or(|(frame, _)| frame != change.frame) {
                let message = format!(
                    "damaged {NAME}: frame {} is left, and was not the last that was entered",
                    change.frame
                );
                return Err(ImportError::Unusable(message));
            }
        }
        Ok(())
    }
}
