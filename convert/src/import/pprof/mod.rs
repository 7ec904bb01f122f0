//! Profiles in pprof's protobuf.
//!
//! The file is gone through twice, field by field: first for its tables, then
//! for its samples. What it names is kept as names; code that has no name yet
//! is kept as an offset in its file, if the profile tells the file's build-id
//! or has no names at all.

mod columns;
mod fields;
pub(super) mod legacy;
mod places;
mod tables;

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, Write};

use rz_format::{FileHeader, Record, Recording, Sample, StackId, Tier};

use self::columns::Columns;
use self::fields::{Fields, Value};
use self::places::Places;
use self::tables::{Tables, decode};
use super::functions::{MAX_FRAMES, too_many};
use super::output::Output;
use super::spread::Spread;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};
use crate::export::pprof::proto;

/// Number of the field that samples are in.
const SAMPLE: u64 = 2;

pub(super) fn import(input: Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let trace_id = input.trace_id();
    let mut file = input.file;
    let tables = Tables::read(open(&mut file)?)?;
    let columns = Columns::of(&tables);

    let written_ns = u64::try_from(tables.time_nanos).ok().filter(|time| *time > 0);
    let created_ns = written_ns.unwrap_or(input.modified_ns);
    let mut out = Output::new(out, &FileHeader::new(trace_id, created_ns, 0))?;
    out.record(Record::Recording(Recording {
        tier: Tier::Pprof.to_string(),
        ..Recording::default()
    }))?;
    for column in &columns.events {
        out.record(Record::Event(column.event.clone()))?;
    }
    out.note("a profile of pprof does not tell when its samples were taken".to_owned());
    for comment in &tables.comments {
        out.note(format!("the profile says: {}", tables.text(*comment)));
    }
    if tables.negative > 0 {
        let negative = tables.negative;
        out.note(format!(
            "{negative} samples have a value below 0, as differences do: taken for 0"
        ));
    }
    let labels: Vec<&str> = tables.labels.iter().map(|key| tables.text(*key)).collect();
    let left_out: Vec<&str> =
        labels.into_iter().filter(|key| !key.is_empty() && !THREAD_LABELS.contains(key)).collect();
    if !left_out.is_empty() {
        out.note(format!("labels of samples are left out: {}", left_out.join(", ")));
    }
    let counted = columns.count.and_then(|count| tables.sums.get(count)).copied().unwrap_or(0);
    // With one column, which counts, that is what each row is one of.
    let only = match &columns.events[..] {
        [only] if columns.count.is_none() && only.event.name.starts_with("sample") => {
            tables.sums.get(only.at).copied()
        }
        _ => None,
    };
    let spread = Spread::of(only.unwrap_or(counted));
    spread.note().into_iter().for_each(|note| out.note(note));

    let process = tables.main_mapping.and_then(|id| tables.mappings.get(&id));
    let process = process.map(|mapping| tables.text(mapping.filename)).unwrap_or_default();
    let process = process.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("[unknown]");
    let mut places = Places::new(&tables);
    let mut threads = Threads::default();
    let mut fields = Fields::new(open(&mut file)?);
    while let Some((number, value)) = fields.next()? {
        let (SAMPLE, Value::Bytes(bytes)) = (number, value) else { continue };
        let sample: proto::Sample = decode(bytes)?;
        let thread = thread_of(&sample.label, &tables, process);
        let thread = threads.id(thread, Some(process), &mut out)?;
        let stack = stack_of(&sample.location_id, &mut places, &mut out);
        let mut add = |event, weight| {
            out.sample(Sample { event, thread, stack, weight, ..Sample::default() })
        };
        let value = |at: usize| sample.value.get(at).copied().unwrap_or(0).max(0);
        let mut count = columns.count.map_or(0, |at| value(at).cast_unsigned());
        if only.is_some() {
            count = value(0).cast_unsigned();
        }
        // How often it was seen is about the first thing that was measured.
        for column in columns.events.iter().filter(|column| value(column.at) > 0) {
            for weight in spread.rows(std::mem::take(&mut count), column.weight(value(column.at))) {
                add(column.event.id, weight)?;
            }
        }
        if count > 0 {
            for weight in spread.rows(count, 0) {
                add(0, weight)?;
            }
        }
    }
    places.finish(&mut out)?;
    out.finish(Some(u64::try_from(tables.duration_nanos).unwrap_or(0)))
}

fn open(file: &mut File) -> Result<impl BufRead, ImportError> {
    file.rewind().map_err(ImportError::Read)?;
    Ok(BufReader::with_capacity(256 << 10, file))
}

/// Labels that tell the thread.
const THREAD_LABELS: [&str; 5] = ["thread", "thread_name", "pid", "tid", "thread_id"];

/// The thread that a sample's labels name, as we and others write them.
fn thread_of(labels: &[proto::Label], tables: &Tables, process: &str) -> Named {
    let mut named = Named { pid: 0, tid: 0, name: String::new() };
    for label in labels {
        let number = u32::try_from(label.num).unwrap_or(0);
        match tables.text(label.key) {
            "thread" | "thread_name" => tables.text(label.str).clone_into(&mut named.name),
            "pid" => named.pid = number,
            "tid" | "thread_id" => named.tid = number,
            _ => {}
        }
    }
    if named.name.is_empty() {
        process.clone_into(&mut named.name);
    }
    named
}

/// The stack of locations, leaf first.
fn stack_of(locations: &[u64], places: &mut Places, out: &mut Output) -> Option<StackId> {
    let mut stack = None;
    let kept = &locations[..locations.len().min(MAX_FRAMES)];
    if kept.len() < locations.len() {
        stack = Some(out.stack(None, too_many()));
    }
    for (index, location) in kept.iter().rev().enumerate() {
        let is_root = index == 0 && stack.is_none();
        let frame = places.frame(*location, is_root, out);
        stack = Some(out.stack(stack, frame));
    }
    stack
}
