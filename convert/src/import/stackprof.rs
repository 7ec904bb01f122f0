//! Profiles of Ruby's stackprof, as JSON.

use std::collections::BTreeMap;
use std::io::Write;

use rustc_hash::FxHashMap;
use rz_format::{Frame, Record, Sample};
use serde::Deserialize;

use super::amounts::Amounts;
use super::functions::{Function, Functions};
use super::output::Output;
use super::spread::Spread;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input, json};

const NAME: &str = "stackprof JSON";

#[derive(Deserialize)]
struct Profile {
    mode: String,
    /// Between samples: microseconds, or what else is counted.
    #[serde(default)]
    interval: f64,
    /// By number.
    frames: BTreeMap<String, Place>,
    /// Length, frames from the root on, and how often: for each stack.
    #[serde(default)]
    raw: Vec<u64>,
}

#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    name: String,
    #[serde(default)]
    file: String,
    #[serde(default)]
    line: Option<u32>,
    /// Samples in it.
    #[serde(default)]
    samples: u64,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let profile: Profile = json::read(&input.file, NAME)?;
    let mut out = Output::of(input, "stackprof", out)?;
    let (event, amounts) = match &profile.mode[..] {
        "cpu" => ("cpu", Amounts::MICROSECONDS),
        "wall" => ("time", Amounts::MICROSECONDS),
        "object" => ("objects", Amounts::THINGS),
        _ => ("samples", Amounts::THINGS),
    };
    out.record(Record::Event(amounts.event(0, event)))?;
    let thread = Named { pid: 0, tid: 0, name: "ruby".to_owned() };
    let thread = Threads::default().id(thread, None, &mut out)?;

    let mut functions = Functions::default();
    let mut frames: FxHashMap<u64, Frame> = FxHashMap::default();
    let mut counts = Vec::new();
    for (id, Place { name, file, line, samples }) in profile.frames {
        let Ok(id) = id.parse() else { continue };
        let (line, column) = (line.unwrap_or(0), 0);
        let function = Function { name, file, line, column, module: String::new() };
        frames.insert(id, functions.frame(function, &mut out));
        counts.push((id, samples));
    }
    let mut stacks: Vec<(Vec<u64>, u64)> = Vec::new();
    let mut rest = &profile.raw[..];
    while let [length, others @ ..] = rest {
        let length = usize::try_from(*length).unwrap_or(usize::MAX);
        let Some((stack, [count, others @ ..])) = others.split_at_checked(length) else {
            return Err(ImportError::Unusable(format!("damaged {NAME}: a stack has no end")));
        };
        stacks.push((stack.to_vec(), *count));
        rest = others;
    }
    if stacks.is_empty() {
        out.note("there are no stacks, as of stackprof without raw: functions only".to_owned());
        stacks = counts.into_iter().map(|(id, samples)| (vec![id], samples)).collect();
    }
    let spread = Spread::of(stacks.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count)));
    spread.note().into_iter().for_each(|note| out.note(note));
    for (stack, count) in stacks.iter().filter(|(_, count)| *count > 0) {
        let frame = |id: &u64| {
            // Newer versions have flags beside the number.
            let frame = frames.get(id).or_else(|| frames.get(&(id & ((1 << 48) - 1))));
            let missing = || ImportError::Unusable(format!("damaged {NAME}: no frame {id}"));
            frame.copied().ok_or_else(missing)
        };
        let stack = stack.iter().map(frame).collect::<Result<Vec<Frame>, _>>()?;
        let stack = out.stack_from_root(&stack);
        let all = amounts.weight(profile.interval.max(1.0) * *count as f64);
        for weight in spread.rows(*count, all) {
            out.sample(Sample { thread, stack, weight, ..Sample::default() })?;
        }
    }
    out.finish(Some(0))
}
