//! What `perf record` writes.
//!
//! ```text
//! header ─► meta ─────────────────────────────────────┐
//! records ─► (decompressed) ─► rounds, by time ─► processes, modules ─► trace
//!                                                 samples ─► stacks ─┘
//! ```
//!
//! Call chains are taken as they are. Stacks that were copied are unwound here,
//! with the files of this machine. Addresses become offsets in files, whose
//! names are found when the trace is loaded; only the kernel's names are looked
//! up now, for they cannot be had after the next boot.
//!
//! The reader is our own: a file is hostile until it was checked, and no length
//! in it is believed.

mod attr;
mod bytes;
mod kernel;
mod meta;
mod modules;
mod processes;
mod records;
mod rounds;
mod sample;
mod session;

use std::io::Write;
use std::path::PathBuf;

use rz_format::{Clock, Event, FileHeader, Host, Record, Recording, Tier};

use rz_profile::foreign::{InputFormat, Recognized};

use super::output::Output;
use super::{ImportError, Imported, Input};
use crate::x86_64::MACHINE;
pub(super) use meta::of_any_core;
use meta::{Meta, feature};
use records::{Ending, ReadError, for_records, user};
use rounds::Rounds;
use session::Session;

/// What an import of perf.data needs to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PerfOptions {
    /// Where to look for binaries first, to unwind copied stacks with.
    pub debug_dirs: Vec<PathBuf>,
}

pub(super) fn import(
    input: Input,
    options: &PerfOptions,
    out: &mut dyn Write,
) -> Result<Imported, ImportError> {
    let trace_id = input.trace_id();
    let Input { mut file, head, size, modified_ns } = input;
    if Recognized::of_head(&head) != Some(Recognized::Readable(InputFormat::Perf)) {
        let message = "this is no perf.data: it does not begin with PERFILE2".to_owned();
        return Err(ImportError::Unusable(message));
    }
    let meta = Meta::read(&mut file, &head, size)?;
    let (start_ns, end_ns) = meta.span_ns.unwrap_or_default();
    let mut out = Output::new(out, &FileHeader::new(trace_id, modified_ns, end_ns))?;
    describe(&meta, start_ns, (modified_ns, end_ns), &mut out)?;

    let machine = meta.feature_text(feature::ARCH);
    let can_unwind = !meta.is_big_endian && (machine.is_empty() || machine == MACHINE);
    let mut session = Session::new(&meta, &options.debug_dirs, can_unwind);
    let mut rounds = Rounds::default();
    let ending = for_records(&mut file, meta.records, meta.is_big_endian, |raw| {
        let ready = match raw.kind {
            user::FINISHED_ROUND => rounds.finish_round(),
            user::FIRST.. => return Ok(()),
            _ => rounds.add(meta.time_of(&raw), raw),
        };
        ready.iter().try_for_each(|record| session.add(record, &mut out))
    })
    .map_err(|PassError(error)| error)?;
    for record in rounds.finish() {
        session.add(&record, &mut out).map_err(|PassError(error)| error)?;
    }
    session.finish(&mut out)?;
    if rounds.is_hurried {
        out.note("records came so far from their order that some could not be put into it".into());
    }
    ending_notes(&meta, ending).for_each(|note| out.note(note));
    let is_whole = meta.is_whole && ending == Ending::default();
    out.finish(is_whole.then_some(end_ns))
}

/// An error on the way through the records.
struct PassError(ImportError);

impl From<ReadError> for PassError {
    fn from(ReadError(error): ReadError) -> Self {
        PassError(ImportError::Read(error))
    }
}

impl From<ImportError> for PassError {
    fn from(error: ImportError) -> Self {
        PassError(error)
    }
}

/// Writes down what the file says of the recording.
fn describe(
    meta: &Meta,
    start_ns: u64,
    (modified_ns, end_ns): (u64, u64),
    out: &mut Output,
) -> Result<(), ImportError> {
    let machine = meta.feature_text(feature::ARCH);
    let cpus = meta.feature(feature::NRCPUS).and_then(|mut b| b.u32().and_then(|_| b.u32()));
    out.record(Record::Host(Host {
        hostname: meta.feature_text(feature::HOSTNAME),
        sysname: "Linux".to_owned(),
        release: meta.feature_text(feature::OSRELEASE),
        cpus: cpus.unwrap_or(0),
        machine: machine.clone(),
        ..Host::default()
    }))?;
    let attrs = || meta.events.iter().map(|event| &event.attr);
    let recorder = match meta.feature_text(feature::VERSION) {
        version if version.is_empty() => "perf".to_owned(),
        version => format!("perf {version}"),
    };
    out.record(Record::Recording(Recording {
        recorder,
        command: meta.command(),
        tier: Tier::PerfData.to_string(),
        follow: attrs().any(|attr| attr.is_inherited()),
        kernel: attrs().any(|attr| attr.has_kernel()),
        stack_bytes: attrs().map(|attr| attr.user_stack_bytes).max().unwrap_or(0),
        start_ns,
        ..Recording::default()
    }))?;
    // Without a clock that perf was told to use, the file's own time is as
    // close as one gets: it was written last when the recording ended.
    let mut clock = meta.feature(feature::CLOCK_DATA);
    let clock = clock.as_mut().and_then(|bytes| {
        let (_version, _clock) = (bytes.u32()?, bytes.u32()?);
        Some((bytes.u64()?, bytes.u64()?))
    });
    let (realtime_ns, monotonic_ns) = clock.unwrap_or((modified_ns, end_ns));
    out.record(Record::Clock(Clock { monotonic_ns, realtime_ns, boottime_ns: monotonic_ns }))?;
    if clock.is_none() {
        out.note("perf.data does not tell the time of day: the file's own is taken".to_owned());
    }
    for (index, event) in meta.events.iter().enumerate() {
        let id = index as u32;
        if event.attr.is_dummy() || meta.id_of_event(index) != id {
            continue;
        }
        out.record(Record::Event(Event {
            id,
            name: of_any_core(&event.name).into_owned(),
            unit: event.attr.unit().into(),
            frequency_hz: event.attr.frequency_hz(),
        }))?;
    }
    if !machine.is_empty() && machine != MACHINE {
        out.note(format!("recorded on {machine}: stacks that were copied cannot be unwound here"));
    }
    Ok(())
}

fn ending_notes(meta: &Meta, ending: Ending) -> impl Iterator<Item = String> {
    let Ending { is_early, is_damaged, undecompressed } = ending;
    let early = "perf.data ends early, as if perf was killed: what came before is here";
    [
        (is_early || !meta.is_whole).then(|| early.to_owned()),
        is_damaged.then(|| "perf.data is damaged: what came before is here".to_owned()),
        (undecompressed > 0)
            .then(|| format!("{undecompressed} compressed records could not be decompressed")),
    ]
    .into_iter()
    .flatten()
}
