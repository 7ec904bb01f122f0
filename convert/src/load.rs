//! Loads an rz trace into a symbolized profile.
//!
//! Blocks are read one after the other and only sums and dictionaries are
//! kept, so that memory follows the number of distinct stacks:
//!
//! ```text
//! records ─► facts ──────────────────────────────┬─► info
//! stacks  ─► dictionary ─┬► touched ─► locations ├─► profile
//! samples ─► sums ───────┘             (named)   ┘
//! waits   ─►                                     │
//! calls   ─►  counts ────────────────────────────┤
//! totals  ─► sums per thread ────────────────────┤
//! allocations ─► objects that are there ─► sites ┘
//! ```
//!
//! With a filter of time or threads, the trace is gone through once before, for
//! its end and for names; then rows are selected as they are read.
//!
//! A trace can be damaged, and can be made to do harm. What a lost block
//! defined is shown as `[lost]`, never as something else, and no id makes
//! anything grow: ids are only ever keys.

mod assemble;
mod call_counts;
pub mod call_list;
mod dictionary;
mod facts;
mod heap;
mod info;
mod kernel_symbols;
mod locations;
mod selection;
mod sums;
#[cfg(test)]
mod tests;
mod totals;

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use rz_format::{Block, BlockKind, CallDetail, FormatError, Reader, Record, TotalClass};

use crate::filter::{self, Applied, Filter, WindowError};
use crate::heap::HeapOptions;
use crate::profile::Profile;
pub(crate) use assemble::add_up_equal;
use call_counts::CallCounts;
use dictionary::StackDictionary;
use facts::Facts;
use heap::{Counts, HeapTables, Matching};
use info::Reading;
use selection::{Found, Selection};
use sums::Sums;
use totals::Totals;

/// How to load a trace.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Keep single samples in order of time, up to a limit, beside the sums.
    pub timeline: bool,
    /// Directories to look for binaries and debug files in, before the
    /// recorded paths.
    pub debug_dirs: Vec<PathBuf>,
    /// How to look at allocations.
    pub heap: HeapOptions,
    /// Which part of the recording to look at.
    pub filter: Filter,
}

/// What is read from a trace.
struct Tables {
    facts: Facts,
    stacks: StackDictionary,
    sums: Sums,
    totals: Totals,
    open_waits: Totals,
    /// Waits and calls that were over, in case that totals are missing.
    rows: Totals,
    calls: CallCounts,
    found: Found,
}

impl Tables {
    /// Puts sums of rows in the place of exact sums that are missing, and says
    /// of which classes. The recorder writes exact sums at the end; of a window
    /// of time there are none.
    fn replace_missing_totals(&mut self, in_window: bool) -> Vec<TotalClass> {
        let captured = self.facts.captured.as_ref();
        let calls = captured.map_or(CallDetail::None, |captured| captured.calls.into());
        let mut classes = vec![
            (TotalClass::Waits, captured.is_some_and(|captured| captured.waits)),
            (TotalClass::Calls, calls != CallDetail::None),
        ];
        let none_written = self.facts.end.is_none() || in_window;
        classes.retain(|&(class, wanted)| {
            let is_missing = !self.totals.has(class) && !self.found.has_exact(class);
            is_missing && (self.rows.has(class) || (wanted && none_written))
        });
        let classes = classes.into_iter().map(|(class, _)| class);
        classes.inspect(|&class| self.totals.take_class(class, &mut self.rows)).collect()
    }
}

/// Why a trace could not be loaded. The message is one line and complete: it
/// contains the cause, which is therefore not an [`std::error::Error::source`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is not a trace, or not one that this program understands.
    #[error("{}: {cause}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: FormatError,
    },
    /// There is nothing in the window of time that was asked for.
    #[error("{}: {cause}", path.display())]
    Window {
        /// The file.
        path: PathBuf,
        /// Why there is nothing.
        cause: WindowError,
    },
}

impl LoadError {
    /// The error about a file.
    fn of(path: &Path, cause: FormatError) -> Self {
        let path = path.to_owned();
        match cause {
            FormatError::Io(cause) => LoadError::Io { path, cause },
            cause => LoadError::Format { path, cause },
        }
    }
}

/// Opens a trace; its size in bytes comes with it.
fn open(path: &Path) -> Result<(Reader<BufReader<File>>, u64), LoadError> {
    let io = |cause| LoadError::Io { path: path.to_owned(), cause };
    let meta = fs::metadata(path).map_err(io)?;
    if !meta.is_file() {
        // Opening a named pipe would wait for a writer.
        return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = BufReader::new(File::open(path).map_err(io)?);
    let reader = Reader::new(file).map_err(|cause| LoadError::of(path, cause))?;
    Ok((reader, meta.len()))
}

/// Reads `path`, symbolizes it with what is found on this machine, and sums
/// up its samples.
///
/// Fails only if the file cannot be read, is no trace of a version that this
/// program understands, or has nothing in the window of time. Damage inside it costs what was damaged, and is
/// described in the profile's notes.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Profile, LoadError> {
    let format = |cause| LoadError::of(path, cause);
    let selection = Selection::of(path, &options.filter)?;
    let (mut reader, file_size) = open(path)?;
    let mut tables = Tables {
        facts: Facts::within(selection.window),
        stacks: StackDictionary::default(),
        sums: Sums::new(options.timeline),
        totals: Totals::default(),
        open_waits: Totals::default(),
        rows: Totals::default(),
        calls: CallCounts::default(),
        found: Found::default(),
    };
    let matching = Matching::new(&options.heap, selection.clone());
    let counts = Counts::default();
    let mut heap = HeapTables { matching, counts };
    let mut skipped: Vec<BlockKind> = Vec::new();
    while let Some(block) = reader.next_block().map_err(format)? {
        match block {
            Block::Records(records) => {
                for record in records {
                    if let Record::ProcessExit(exit) = &record {
                        heap.matching.end_process(exit.id, exit.time_ns, &tables.facts);
                    }
                    tables.facts.add(record);
                }
            }
            Block::Stacks(definitions) => tables.stacks.add(definitions),
            Block::Samples(mut samples) => {
                selection.cut_samples(&mut samples, &mut tables.found);
                tables.sums.add_samples(&samples);
            }
            Block::Waits(mut waits) => {
                selection.cut_waits(&mut waits, &mut tables.found);
                tables.sums.add_waits(&waits);
                tables.open_waits.add_open(&waits);
                tables.rows.add_waits(&waits);
            }
            Block::Calls(mut calls) => {
                selection.cut_calls(&mut calls, &mut tables.found);
                tables.sums.add_calls(&calls);
                tables.calls.add(&calls);
                tables.rows.add_calls(&calls);
            }
            Block::Totals(mut totals) => {
                selection.cut_totals(&mut totals, &mut tables.found);
                tables.totals.add(&totals);
            }
            Block::Allocations(mut rows) => {
                selection.cut_allocations(&mut rows, &mut tables.found);
                heap.matching.add(&rows, &tables.facts);
            }
            Block::HeapCounts(mut rows) => {
                selection.cut_heap_counts(&mut rows, &mut tables.found);
                heap.counts.add(&rows, &tables.facts);
            }
            Block::Skipped(kind) if !skipped.contains(&kind) => skipped.push(kind),
            _ => {}
        }
    }

    let in_window = !selection.window.is_everything();
    let inexact = tables.replace_missing_totals(in_window);
    let mut profile = assemble::assemble(&tables, &mut heap, options);
    profile.inexact = inexact;
    let last_sample_ns = tables.sums.last_ns().max(heap.last_ns());
    let reading = Reading {
        header: reader.header(),
        damage: reader.damage(),
        skipped: &skipped,
        file_size,
        last_sample_ns: selection.end_ns.unwrap_or(last_sample_ns),
        window: selection.window,
    };
    info::fill(&mut profile, &tables.facts, &reading);
    let (start_ns, _) = info::start(&tables.facts, reader.header());
    finish_filter(&mut profile, &tables.found, &options.filter, (start_ns, in_window));
    if options.timeline {
        let notes = tables.sums.without_timeline().map(|class| {
            format!("{class} are too many to be kept in order of time: equal stacks are added up")
        });
        profile.info.notes.extend(notes);
    }
    Ok(profile)
}

/// Applies what is left of a filter, and says what it selected of a recording
/// that began at `start_ns`.
fn finish_filter(
    profile: &mut Profile,
    found: &Found,
    filter: &Filter,
    (start_ns, in_window): (u64, bool),
) {
    let from_ns = profile.info.start_ns - start_ns.min(profile.info.start_ns);
    let window = (from_ns, from_ns.saturating_add(profile.info.duration_ns));
    profile.info.filter = Applied {
        text: filter.describe(filter.by_time().then_some(window)),
        window: in_window.then_some(window),
        by_thread: filter.by_thread(),
        drops_stacks: filter.drops_stacks(),
    };
    if let Some(heap) = &mut profile.heap {
        heap.selected.by_time = in_window;
    }
    profile.info.notes.extend(found.notes().map(str::to_owned));
    filter::apply(profile, filter);
}
