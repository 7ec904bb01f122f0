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
mod cpu_times;
mod depth;
mod dictionary;
mod facts;
pub mod function_calls;
mod heap;
mod info;
pub mod inventory;
mod jit;
mod kernel_symbols;
mod locations;
mod naming;
mod pass;
mod prelude;
pub mod rows;
mod selection;
mod sources;
pub mod span_list;
mod spans;
mod sums;
#[cfg(test)]
pub(crate) mod tests;
mod texts;
mod thin;
mod timeline;
mod totals;

use std::io;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashSet;
use rz_format::{BlockHeader, BlockKind, CallDetail, FormatError, TotalClass};

use crate::filter::{self, Filter, WindowError};
use crate::foreign::Recognized;
use crate::model::heap::HeapOptions;
use crate::model::{Applied, Profile};
use crate::source_map;
use crate::spans::SpansError;
use crate::symbolize::SymbolizeOptions;
pub use assemble::is_kernel_thread;
use brought_names::BroughtNames;
use call_counts::CallCounts;
use cpu_times::CpuTimeSums;
pub use dictionary::Dictionary;
use dictionary::StackDictionary;
use facts::Facts;
use heap::HeapTables;
use info::Reading;
pub use info::label_of;
use jit::{GeneratedCode, Made, Versions};
pub use naming::{CodeNames, MappedCode, Naming};
use pass::{CallRows, Defined, Pass, Sink};
use prelude::Prelude;
use rows::{Places, Rows};
use selection::{Found, Selection};
use sums::Sums;
pub use texts::Texts;
use thin::{SampleBlocks, Thin};
use timeline::Timeline;
use totals::ThreadTotals;

/// How to load a trace.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Keep single samples in order of time, up to a limit, beside the sums.
    pub timeline: bool,
    /// Where single samples are too many for that, add up those of equal
    /// stacks in slices of time, instead of keeping none.
    pub coarse: bool,
    /// Of samples that are far more than so many, take about so many, each of which
    /// stands for several; `None` takes all.
    pub most_samples: Option<u64>,
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
    /// The file is still being written: that it is not whole goes without saying.
    pub grows: bool,
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
    /// What happened one by one, if that was asked for.
    timeline: Option<Timeline>,
    totals: ThreadTotals,
    calls: CallCounts,
    cpu_times: CpuTimeSums,
    found: Found,
    generated: Arc<GeneratedCode>,
    /// Frames and stacks that were made up for code that came and went.
    made: Made,
}

impl Tables {
    /// Puts sums of rows in the place of exact sums that are missing, and says
    /// of which classes. The recorder writes exact sums at the end, so that of
    /// several sources one may have none; of a window of time there are none.
    fn replace_missing_totals(&mut self, in_window: bool) -> Vec<TotalClass> {
        let source_of = |thread| self.facts.source_of_thread(thread);
        let ThreadTotals { exact, of_rows, .. } = &mut self.totals;
        let (known, by_rows) = (exact.classes(source_of), of_rows.classes(source_of));
        let mut missing: FxHashSet<(TotalClass, Option<usize>)> = FxHashSet::default();
        for (index, source) in self.facts.sources.iter().enumerate() {
            let waits = source.captured.as_ref().is_some_and(|captured| captured.waits);
            let calls = source.call_detail() != CallDetail::None;
            let none_written = source.end.is_none() || in_window;
            let functions = !self.facts.probed.is_empty();
            for (class, wanted) in [
                (TotalClass::Waits, waits),
                (TotalClass::Calls, calls),
                (TotalClass::Functions, functions),
            ] {
                let key = (class, Some(index));
                let expected = by_rows.contains(&key) || (wanted && none_written);
                if expected && !known.contains(&key) && !self.found.has_exact(class) {
                    missing.insert(key);
                }
            }
        }
        let is_missing = |class, thread| missing.contains(&(class, source_of(thread)));
        exact.take(is_missing, of_rows);
        let is_inexact = |class: &TotalClass| missing.iter().any(|(missing, _)| missing == class);
        let of_rows = [TotalClass::Waits, TotalClass::Calls, TotalClass::Functions];
        of_rows.into_iter().filter(is_inexact).collect()
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
    /// The spans that were asked for are not there, or not of this recording.
    #[error("{}: {cause}", path.display())]
    Spans {
        /// The file of spans.
        path: PathBuf,
        /// What is wrong with them.
        cause: SpansError,
    },
}

impl LoadError {
    /// The error about a file.
    fn of(path: &Path, cause: FormatError) -> Self {
        let path = path.to_owned();
        match cause {
            FormatError::Io(cause) => LoadError::Io { path, cause },
            FormatError::BadMagic | FormatError::TooShort { .. }
                if matches!(Recognized::of_file(&path), Ok(Some(Recognized::Readable(_)))) =>
            {
                LoadError::Foreign { path }
            }
            cause => LoadError::Format { path, cause },
        }
    }
}

/// Reads `path`, symbolizes it with what is found on this machine, and sums
/// up its samples.
///
/// Fails only if the file cannot be read, is no trace of a version that this
/// program understands, or has nothing in the window of time. Damage inside it
/// costs what was damaged, and is described in the profile's notes.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Profile, LoadError> {
    read(path, options, None).map(|(profile, _)| profile)
}

/// The same, and what reads windows of time of it again.
///
/// # Errors
/// As of [`load`].
pub fn open(path: &Path, options: &LoadOptions) -> Result<(Profile, Rows), LoadError> {
    let mut places = Places::default();
    let (profile, read) = read(path, options, Some(&mut places))?;
    Ok((profile, Rows::new(path, read, places)))
}

/// What rows need that are read again.
#[derive(Debug)]
struct Read {
    selection: Selection,
    stacks: StackDictionary,
    versions: Option<Versions>,
    start_ns: u64,
    samples: SampleBlocks,
    most_samples: Option<u64>,
    is_damaged: bool,
}

/// `places` gets what each row was made into.
fn read(
    path: &Path,
    options: &LoadOptions,
    mut places: Option<&mut Places>,
) -> Result<(Profile, Read), LoadError> {
    let mut prelude = Prelude::of(path)?;
    let selection = Selection::of(path, &prelude, &options.filter)?;
    let generated = Arc::new(GeneratedCode::new(take(&mut prelude.facts.generated)));
    let start_ns = prelude.facts.sources.start_ns().unwrap_or(0);
    let samples = take(&mut prelude.samples);
    drop(prelude);
    let changes = generated.changes_after(start_ns);
    let versions = changes.then(|| Versions::new(Arc::clone(&generated), start_ns));

    let mut pass = Pass::open(path, &selection, versions)?;
    let each = samples.each(selection.window, options.most_samples);
    pass.defined.thin = Thin::of_all_stacks(each);
    let mut sums = Sums::default();
    let mut timeline = options.timeline.then(|| Timeline::new(options.coarse, start_ns));
    let mut totals = ThreadTotals::default();
    let mut calls = CallCounts::default();
    let mut cpu_times = CpuTimeSums::default();
    let mut heap = HeapTables::new(&options.heap, selection.clone(), pass.file_size);
    let mut sinks: Vec<&mut dyn Sink> =
        vec![&mut sums, &mut totals, &mut calls, &mut cpu_times, &mut heap];
    sinks.extend(timeline.as_mut().map(|timeline| timeline as &mut dyn Sink));
    let wanted = |block: &BlockHeader| {
        !options.without.has(block.kind) && block.kind != BlockKind::CALL_DATA
    };
    pass.run(wanted, CallRows::Bare, &mut sinks).map_err(|cause| LoadError::of(path, cause))?;
    let Pass { reader, file_size, mut defined } = pass;
    let made = defined.finish_versions();
    let Defined { mut facts, names, stacks, found, versions, .. } = defined;
    facts.generated = Vec::new();
    let mut tables = Tables {
        facts,
        names,
        stacks,
        sums,
        timeline,
        totals,
        calls,
        cpu_times,
        found,
        generated,
        made,
    };

    if options.unnamed {
        tables.facts.leave_unnamed();
    }
    let in_window = !selection.window.is_everything();
    let inexact = tables.replace_missing_totals(in_window);
    let is_part = !selection.is_everything();
    let places_of = places.as_deref_mut();
    let mut profile = assemble::assemble(&mut tables, &mut heap, options, places_of);
    depth::cut(&mut profile, file_size);
    profile.inexact = inexact;
    let is_damaged = !reader.damage().is_empty();
    let is_part = is_part || is_damaged;
    profile.cpu_times = tables.cpu_times.finish(&tables.facts, is_part);
    let last_sample_ns = tables.sums.last_ns().max(heap.last_ns());
    let reading = Reading {
        header: reader.header(),
        damage: reader.damage(),
        unknown: reader.unknown(),
        path,
        is_merged: tables.facts.sources.is_merged(),
        is_alone: tables.facts.sources.iter().count() == 1,
        file_size,
        grows: options.grows,
        last_sample_ns: selection.end_ns.unwrap_or(last_sample_ns),
        window: selection.window,
    };
    info::fill(&mut profile, &tables.facts, &reading);
    if !options.unnamed {
        source_map::apply(&mut profile, &options.source_maps);
    }
    let (first_ns, _) = info::start(&tables.facts, reader.header());
    let selected = (&selection, first_ns);
    let changed = finish_filter(&mut profile, &tables.found, &options.filter, selected);
    if let (Some(places), Some(stacks)) = (places, changed) {
        places.change(&stacks);
    }
    if let Some(timeline) = &tables.timeline {
        profile.info.notes.extend(timeline.notes());
    }
    if each > 1 {
        profile.info.notes.push(format!(
            "samples are very many: one in {each}, at random, is shown and stands for all of \
             these, so that sums of samples are estimates"
        ));
    }
    let (stacks, most_samples) = (tables.stacks, options.most_samples);
    let read = Read { selection, stacks, versions, start_ns, samples, most_samples, is_damaged };
    Ok((profile, read))
}

/// Applies what is left of a filter, and says what it selected of a recording that began
/// at `first_ns`. Gives what became of stacks, if anything did.
fn finish_filter(
    profile: &mut Profile,
    found: &Found,
    filter: &Filter,
    (selection, first_ns): (&Selection, u64),
) -> Option<filter::Stacks> {
    let window = selection.span(first_ns).unwrap_or_default();
    let in_window = !selection.window.is_everything();
    let spans = selection.spans();
    profile.info.filter = Applied {
        text: filter.describe(filter.by_time().then_some(window), spans),
        window: in_window.then_some(window),
        threads: selection.thread_count(),
        drops_stacks: filter.drops_stacks(),
        spans: spans.cloned(),
    };
    if let Some(heap) = &mut profile.heap {
        heap.selected.by_time = in_window;
    }
    profile.info.notes.extend(found.notes().map(str::to_owned));
    profile.info.notes.extend_from_slice(selection.notes());
    filter::apply(profile, filter)
}
