//! Loads an rz trace into a symbolized profile.
//!
//! Blocks are read one after the other and only sums and dictionaries are
//! kept, so that memory follows the number of distinct stacks:
//!
//! ```text
//! records ─► facts ──────────────────────────────┬─► info
//! stacks  ─► dictionary ─┬► touched ─► locations ├─► profile
//! samples ─► sums ───────┘             (named)   ┘
//! names   ─► what the trace itself knows ──┘     │
//! waits   ─►                                     │
//! calls   ─►  counts ────────────────────────────┤
//! totals  ─► sums per thread ────────────────────┤
//! allocations ─► objects that are there ─► sites ┘
//! ```
//!
//! All facts are read once before (`prelude`): a filter needs the end of the trace
//! and the names of threads to select rows as they are read, and rows get stacks of
//! the generated code that was there at their time.
//!
//! A trace can be damaged, and can be made to do harm. What a lost block
//! defined is shown as `[lost]`, never as something else, and no id makes
//! anything grow: ids are only ever keys.

mod assemble;
mod brought_names;
mod call_counts;
pub mod call_list;
mod dictionary;
mod facts;
mod generated;
mod heap;
mod info;
pub mod inventory;
mod kernel_symbols;
mod locations;
mod naming;
mod pass;
mod prelude;
mod selection;
mod sources;
mod sums;
#[cfg(test)]
pub(crate) mod tests;
mod texts;
mod totals;

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::mem::take;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashSet;
use rz_format::{
    Block, BlockHeader, BlockKind, CallDetail, FormatError, Reader, Record, StoredBlock, TotalClass,
};

use crate::filter::{self, Filter, WindowError};
use crate::foreign::InputFormat;
use crate::model::heap::HeapOptions;
use crate::model::{Applied, Profile};
use crate::source_map;
use crate::symbolize::SymbolizeOptions;
pub use assemble::is_kernel_thread;
use brought_names::BroughtNames;
use call_counts::CallCounts;
pub use dictionary::Dictionary;
use dictionary::StackDictionary;
use facts::Facts;
use generated::{GeneratedCode, Made, Versions};
use heap::{Counts, HeapTables, Matching};
use info::Reading;
pub use info::label_of;
pub use naming::{CodeNames, MappedCode, Naming};
use prelude::Prelude;
use selection::{Found, Selection};
use sums::Sums;
pub use texts::Texts;
use totals::Totals;

/// How to load a trace.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Keep single samples in order of time, up to a limit, beside the sums.
    pub timeline: bool,
    /// Directories to look for binaries and debug files in, before the
    /// recorded paths. With any, better names are looked for than those that
    /// the trace brings with it.
    pub debug_dirs: Vec<PathBuf>,
    /// Look for no names: functions of files are called by where they are.
    pub unnamed: bool,
    /// Directories to look for source maps of JavaScript in, besides the
    /// places that the generated files say.
    pub source_maps: Vec<PathBuf>,
    /// How to find names in what is there.
    pub symbols: SymbolizeOptions,
    /// How to look at allocations.
    pub heap: HeapOptions,
    /// Which part of the recording to look at.
    pub filter: Filter,
    /// What happened that is not looked at. It is said that there is some.
    pub without: Without,
}

/// Rows that need not be read, as there may be very many of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Without {
    /// Intervals off the CPU.
    pub waits: bool,
    /// System calls, one by one.
    pub calls: bool,
    /// Allocations, one by one.
    pub allocations: bool,
}

impl Without {
    fn has(self, kind: BlockKind) -> bool {
        (self.waits && kind == BlockKind::WAITS)
            || (self.calls && kind == BlockKind::CALLS)
            || (self.allocations && kind == BlockKind::ALLOCATIONS)
    }
}

/// What is read from a trace.
struct Tables {
    facts: Facts,
    names: BroughtNames,
    stacks: StackDictionary,
    sums: Sums,
    totals: Totals,
    open_waits: Totals,
    /// Waits and calls that were over, in case that totals are missing.
    rows: Totals,
    calls: CallCounts,
    found: Found,
    generated: GeneratedCode,
    /// Frames and stacks that were made up for code that came and went.
    made: Made,
}

impl Tables {
    /// Puts sums of rows in the place of exact sums that are missing, and says
    /// of which classes. The recorder writes exact sums at the end, so that of
    /// several sources one may have none; of a window of time there are none.
    fn replace_missing_totals(&mut self, in_window: bool) -> Vec<TotalClass> {
        let source_of = |thread| self.facts.source_of_thread(thread);
        let (exact, of_rows) = (self.totals.classes(source_of), self.rows.classes(source_of));
        let mut missing: FxHashSet<(TotalClass, Option<usize>)> = FxHashSet::default();
        for (index, source) in self.facts.sources.iter().enumerate() {
            let waits = source.captured.as_ref().is_some_and(|captured| captured.waits);
            let calls = source.call_detail() != CallDetail::None;
            let none_written = source.end.is_none() || in_window;
            for (class, wanted) in [(TotalClass::Waits, waits), (TotalClass::Calls, calls)] {
                let key = (class, Some(index));
                let expected = of_rows.contains(&key) || (wanted && none_written);
                if expected && !exact.contains(&key) && !self.found.has_exact(class) {
                    missing.insert(key);
                }
            }
        }
        let is_missing = |class, thread| missing.contains(&(class, source_of(thread)));
        self.totals.take(is_missing, &mut self.rows);
        let is_inexact = |class: &TotalClass| missing.iter().any(|(missing, _)| missing == class);
        [TotalClass::Waits, TotalClass::Calls].into_iter().filter(is_inexact).collect()
    }
}

/// Why a trace could not be loaded. The message is one line and complete: it
/// contains the cause, which is therefore not an [`std::error::Error::source`].
#[derive(Debug, thiserror::Error)]
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
    /// The file is of another tool, but a trace can be made of it.
    #[error(
        "{}: no trace, but one can be made of it: conv {} --to rz -o trace.rz",
        path.display(),
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
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
            FormatError::BadMagic | FormatError::TooShort { .. }
                if matches!(InputFormat::of_file(&path), Ok(Some(_))) =>
            {
                LoadError::Foreign { path }
            }
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
/// program understands, or has nothing in the window of time. Damage inside it
/// costs what was damaged, and is described in the profile's notes.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Profile, LoadError> {
    let mut prelude = Prelude::of(path)?;
    let selection = Selection::of(path, &prelude, &options.filter)?;
    let generated = GeneratedCode::new(take(&mut prelude.facts.generated));
    let start_ns = prelude.facts.sources.start_ns().unwrap_or(0);
    drop(prelude);
    let changes = generated.changes_after(start_ns);
    let mut versions = changes.then(|| Versions::new(&generated, start_ns));
    let Read { mut tables, mut heap, reader, file_size } =
        read(path, options, &selection, versions.as_mut())?;
    if let Some(versions) = versions {
        tables.made = versions.finish();
        tables.made.put_into(&mut tables.stacks);
    }
    tables.facts.generated = Vec::new();
    tables.generated = generated;

    if options.unnamed {
        tables.facts.leave_unnamed();
    }
    let in_window = !selection.window.is_everything();
    let inexact = tables.replace_missing_totals(in_window);
    let mut profile = assemble::assemble(&tables, &mut heap, options);
    profile.inexact = inexact;
    let last_sample_ns = tables.sums.last_ns().max(heap.last_ns());
    let reading = Reading {
        header: reader.header(),
        damage: reader.damage(),
        unknown: reader.unknown(),
        path,
        is_merged: tables.facts.sources.is_merged(),
        is_alone: tables.facts.sources.iter().count() == 1,
        file_size,
        last_sample_ns: selection.end_ns.unwrap_or(last_sample_ns),
        window: selection.window,
    };
    info::fill(&mut profile, &tables.facts, &reading);
    if !options.unnamed {
        source_map::apply(&mut profile, &options.source_maps);
    }
    let (start_ns, _) = info::start(&tables.facts, reader.header());
    let window = selection.span(start_ns).unwrap_or_default();
    finish_filter(&mut profile, &tables.found, &options.filter, (window, in_window));
    if options.timeline {
        let notes = tables.sums.without_timeline().map(|class| {
            format!("{class} are too many to be kept in order of time: equal stacks are added up")
        });
        profile.info.notes.extend(notes);
    }
    Ok(profile)
}

/// A trace that was gone through.
struct Read {
    tables: Tables,
    heap: HeapTables,
    reader: Reader<BufReader<File>>,
    file_size: u64,
}

/// Goes through a trace; `versions` give rows the stacks of their time.
#[deny(clippy::wildcard_enum_match_arm)]
fn read(
    path: &Path,
    options: &LoadOptions,
    selection: &Selection,
    mut versions: Option<&mut Versions<'_>>,
) -> Result<Read, LoadError> {
    let format = |cause| LoadError::of(path, cause);
    let (mut reader, file_size) = open(path)?;
    let mut tables = Tables {
        facts: Facts::within(selection.window),
        names: BroughtNames::default(),
        stacks: StackDictionary::default(),
        sums: Sums::new(options.timeline),
        totals: Totals::default(),
        open_waits: Totals::default(),
        rows: Totals::default(),
        calls: CallCounts::default(),
        found: Found::default(),
        generated: GeneratedCode::default(),
        made: Made::default(),
    };
    let matching = Matching::new(&options.heap, selection.clone());
    let counts = Counts::default();
    let mut heap = HeapTables { matching, counts };
    let take = |block| match block {
        Block::Records(records) => {
            tables.facts.start_block();
            for record in records {
                if let Record::ProcessExit(exit) = &record {
                    heap.matching.end_process(exit.id, exit.time_ns, &tables.facts);
                }
                tables.facts.add(record);
            }
        }
        Block::Stacks(definitions) => {
            tables.stacks.add(definitions);
            if let Some(versions) = &mut versions {
                versions.follow(&tables.stacks);
            }
        }
        Block::Texts(definitions) => tables.names.texts.add(definitions),
        Block::Names(names) => tables.names.add(names),
        Block::Samples(mut samples) => {
            if let Some(versions) = &mut versions {
                versions.apply_to_samples(&mut samples, &tables.stacks);
            }
            selection.cut_samples(&mut samples, &mut tables.found);
            tables.sums.add_samples(&samples);
        }
        Block::Waits(mut waits) => {
            if let Some(versions) = &mut versions {
                versions.apply_to_waits(&mut waits, &tables.stacks);
            }
            selection.cut_waits(&mut waits, &mut tables.found);
            tables.sums.add_waits(&waits);
            tables.open_waits.add_open(&waits);
            tables.rows.add_waits(&waits);
        }
        Block::Calls(mut calls) => {
            if let Some(versions) = &mut versions {
                versions.apply_to_calls(&mut calls, &tables.stacks);
            }
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
            if let Some(versions) = &mut versions {
                versions.apply_to_allocations(&mut rows, &tables.stacks);
            }
            selection.cut_allocations(&mut rows, &mut tables.found);
            heap.matching.add(&rows, &tables.facts);
        }
        Block::HeapCounts(mut rows) => {
            selection.cut_heap_counts(&mut rows, &mut tables.found);
            heap.counts.add(&rows, &tables.facts);
        }
    };
    let wanted =
        |block: &BlockHeader| !options.without.has(block.kind) && selection.may_want(block);
    pass::each_block(&mut reader, wanted, StoredBlock::decode_bare, take).map_err(format)?;
    tables.found.add_kinds(reader.unwanted());
    Ok(Read { tables, heap, reader, file_size })
}

/// Applies what is left of a filter, and says what it selected: `window` is
/// since the start of the recording, and known if it was asked for.
fn finish_filter(
    profile: &mut Profile,
    found: &Found,
    filter: &Filter,
    (window, in_window): ((u64, u64), bool),
) {
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
