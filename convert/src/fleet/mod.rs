//! Tables of many traces, for SQL: Parquet files in a directory.
//!
//! A trace is read twice: once for stacks and names, of which memory is needed for what is
//! distinct, and once for its rows, which are written as they come.
//!
//! ```text
//! trace ─► profile ─► ids of code, processes, threads
//!                      │
//! trace ─► rows ───────┴► cpu_sample, wait, syscall, allocation
//!                      ├► sums by minute ─► function_minute, function_hour, exposure
//!                      └► stacks that were seen ─► stack, frame
//! ```
//!
//! Ids are hashes of what they stand for, so that files of different machines fit
//! together as they are. docs/FLEET.md has the tables for those who use them.

mod clock;
mod code;
mod directory;
mod ids;
mod minutes;
mod rows;
pub mod schema;
mod table_file;
#[cfg(test)]
mod tests;
mod who;

use std::collections::BTreeMap;
use std::path::Path;

use parquet::errors::ParquetError;
use rz_profile::filter::Filter;
use rz_profile::inventory::load_inventory;
use rz_profile::load::{LoadOptions, open};
use rz_profile::model::{Profile, SourceId, StackId, Tier};

use clock::WallClock;
use code::{Code, hex};
use directory::Draft;
pub use directory::{Directory, FleetError};
use ids::Content;
pub use minutes::MAX_FUNCTIONS;
use minutes::{Described, time_cells};
use rows::{RowFiles, Rows};
use schema::Table;
use table_file::{Cell, TableFile};
use who::Who;

/// What to know of traces besides what is in them.
#[derive(Debug, Clone, Default)]
pub struct FleetOptions {
    /// Where names come from.
    pub load: LoadOptions,
    /// Labels of all traces.
    pub labels: BTreeMap<String, String>,
}

/// What was written of a trace.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Rows of what happened.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Whether parts of the trace are missing.
    pub damaged: bool,
    /// Functions whose names were left out in `function_minute`.
    pub folded: u64,
    /// Things a reader should know, one sentence each.
    pub notes: Vec<String>,
}

/// Writes all tables of the trace at `path`, which replace those that are there of it.
///
/// # Errors
/// If the trace cannot be read, or the tables not be written. Nothing is changed then,
/// unless files could not be put into their places.
pub fn write_trace(
    path: &Path,
    options: &FleetOptions,
    directory: &mut Directory,
) -> Result<Written, FleetError> {
    let (profile, mut trace_rows) = open(path, &options.load)?;
    let inventory = load_inventory(path, &Filter::default())?;
    let who = Who::of(&profile, &inventory);
    let code = Code::of(&profile);
    let version = options.labels.get("version").map_or("", |version| version);
    let of = Described { who: &who, code: &code, profile: &profile, version };
    let mut rows = Rows::new(&of, RowFiles::new(|table| directory.draft(table))?);
    trace_rows.each(&mut rows)?;
    let damaged = trace_rows.is_damaged();
    drop(trace_rows);
    rows.finish()?;

    let mut done = Done::default();
    let draft = |table| Ok::<_, FleetError>(TableFile::new(table, directory.draft(table)?)?);
    let mut exposure = draft(&schema::EXPOSURE)?;
    rows.exposure.write(&of, &mut exposure)?;
    let (mut stacks, mut frames) = (draft(&schema::STACK)?, draft(&schema::FRAME)?);
    write_code(&of, &rows.seen.sorted(&code.order()), &mut stacks, &mut frames)?;
    let (mut processes, mut threads) = (draft(&schema::PROCESS)?, draft(&schema::THREAD)?);
    write_who(&of, &mut processes, &mut threads)?;
    let mut traces = draft(&schema::TRACE)?;
    write_traces(&of, &options.labels, damaged, &mut traces)?;

    let folded = rows.minutes.folded;
    let RowFiles { cpu_sample, wait, syscall, allocation, function_minute, function_hour } =
        rows.files;
    for (table, file) in [
        (&schema::CPU_SAMPLE, cpu_sample),
        (&schema::WAIT, wait),
        (&schema::SYSCALL, syscall),
        (&schema::ALLOCATION, allocation),
    ] {
        done.rows += done.add(table, file)?;
    }
    for (table, file) in [
        (&schema::FUNCTION_MINUTE, function_minute),
        (&schema::FUNCTION_HOUR, function_hour),
        (&schema::EXPOSURE, exposure),
        (&schema::STACK, stacks),
        (&schema::FRAME, frames),
        (&schema::PROCESS, processes),
        (&schema::THREAD, threads),
        (&schema::TRACE, traces),
    ] {
        done.add(table, file)?;
    }
    let bytes = directory.put(host(&profile), hash(&who), done.drafts)?;
    Ok(Written { rows: done.rows, bytes, damaged, folded, notes: profile.info.notes.clone() })
}

/// Files that are complete.
#[derive(Default)]
struct Done {
    drafts: Vec<(&'static Table, Draft)>,
    rows: u64,
}

impl Done {
    /// Ends a file, and takes it if there is anything in it. Gives the number of its rows.
    fn add(&mut self, table: &'static Table, file: TableFile<Draft>) -> Result<u64, ParquetError> {
        let (rows, draft) = file.finish()?;
        if rows > 0 {
            self.drafts.push((table, draft));
        }
        Ok(rows)
    }
}

/// What files of a trace are called by: its host, if that is one.
fn host(profile: &Profile) -> &str {
    match &profile.sources[..] {
        [] => "",
        [first, others @ ..] if others.iter().all(|other| other.host == first.host) => &first.host,
        _ => "merged",
    }
}

/// What tells a trace from others: the recordings in it.
fn hash(who: &Who) -> i64 {
    let mut ids: Vec<i64> = who.traces.iter().map(|trace| trace.id).collect();
    ids.sort_unstable();
    match ids[..] {
        [id] => id,
        _ => ids.iter().fold(Content::of("traces"), |all, id| all.number(id.cast_unsigned())).id(),
    }
}

/// Writes stacks, and what they consist of, for each recording that they were seen in.
fn write_code(
    of: &Described,
    seen: &[(SourceId, StackId)],
    stacks: &mut TableFile<Draft>,
    frames: &mut TableFile<Draft>,
) -> Result<(), ParquetError> {
    for of_source in seen.chunk_by(|a, b| a.0 == b.0) {
        let trace = of.who.traces[of_source[0].0].id;
        let of_source = of_source.iter().map(|(_, stack)| *stack);
        of.code.write(trace, of_source, (stacks, frames))?;
    }
    Ok(())
}

fn write_who(
    of: &Described,
    processes: &mut TableFile<Draft>,
    threads: &mut TableFile<Draft>,
) -> Result<(), ParquetError> {
    let Who { traces, processes: running, threads: ids, .. } = of.who;
    for known in running {
        processes.row(&[
            Cell::Int(traces[known.source].id),
            Cell::Int(known.id),
            known.process.pid.into(),
            known.parent_pid.into(),
            Cell::Text(&known.process.name),
            Cell::Text(&known.process.exe),
            Cell::Text(&known.build_id),
            Cell::Text(&known.cgroup),
            Cell::Flag(known.process.kernel),
        ])?;
    }
    for (thread, (id, process)) in of.profile.threads.iter().zip(ids) {
        let process = &running[*process];
        threads.row(&[
            Cell::Int(traces[process.source].id),
            Cell::Int(*id),
            Cell::Int(process.id),
            thread.tid.into(),
            Cell::Text(&thread.name),
        ])?;
    }
    Ok(())
}

fn write_traces(
    of: &Described,
    labels: &BTreeMap<String, String>,
    damaged: bool,
    traces: &mut TableFile<Draft>,
) -> Result<(), ParquetError> {
    let clock = WallClock::of(&of.profile.info);
    for (trace, source) in of.who.traces.iter().zip(&of.profile.sources) {
        let main = trace.main.map(|id| &of.who.processes[id]);
        let [start, start_ns] = time_cells(clock.unix_ns(source.start_ns));
        traces.row(&[
            Cell::Int(trace.id),
            Cell::Text(&hex(&source.trace_id)),
            Cell::Text(&source.label),
            Cell::Text(&source.host),
            Cell::Text(&source.boot_id),
            Cell::Text(&source.os),
            source.cpus.into(),
            Cell::Text(main.map_or("", |main| &main.process.name)),
            Cell::Text(main.map_or("", |main| &main.build_id)),
            Cell::Text(main.map_or("", |main| &main.cgroup)),
            Cell::Text(of.version),
            Cell::Labels(labels),
            Cell::Text(&source.recorder),
            Cell::Text(source.tier.as_ref().map_or("", Tier::name)),
            start,
            start_ns,
            source.duration_ns.into(),
            source.samples.into(),
            source.lost.into(),
            source.recorder_cpu_ns.into(),
            source.recorder_peak_rss.into(),
            Cell::Flag(source.cut_short),
            Cell::Flag(damaged),
            Cell::Flag(!of.profile.info.redacted.is_empty()),
        ])?;
    }
    Ok(())
}
