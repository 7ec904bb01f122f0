//! Two sides, of one or more runs each, compared function by function.

pub mod change;
mod compare;
pub mod explain;
pub mod fail_if;
pub mod flame;
mod heap;
#[cfg(test)]
mod heap_tests;
pub mod json;
pub mod markdown;
pub mod matching;
pub mod noise;
pub mod normalize;
pub mod notes;
mod parts;
#[cfg(test)]
mod simulation;
pub mod stats;
pub mod sums;
mod sums_table;
pub mod table;
#[cfg(test)]
mod tests;
pub mod verdicts;

use rustc_hash::FxHashMap;
use rz_profile::heap::Heap;
use rz_profile::model::{Event, EventId, Info, Profile};

use crate::diff::change::{Change, Pair};
use crate::diff::explain::Explanation;
use crate::diff::matching::Findings;
use crate::diff::noise::Within;
use crate::diff::normalize::{Per, Scale, Work};
use crate::diff::sums::SumsDiff;
use crate::model::calls::SortCalls;
use crate::model::calltree::{Amount, NodeId, NodeKind};
use crate::model::symbols::{SymbolId, Symbols};
use crate::model::top::SortBy;
use crate::views::header::{lost_count, lost_percent};

pub use compare::compare;

/// A profile to compare, what to call it, and which of its events; `None` if
/// it has no samples.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The profile. Of single runs, [`Profile::timeline`] tells how much chance
    /// there is in it; of several runs on a side, it is not used.
    pub profile: &'a Profile,
    /// What to call it.
    pub name: &'a str,
    /// The event.
    pub event: Option<EventId>,
}

/// How to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffOptions {
    /// Whether rows are sorted by the change of self or total.
    pub by: SortBy,
    /// What to divide by; `None`: work if it is known, else wall time, that of each
    /// thread if sides have their own.
    pub per: Option<Per>,
    /// How much was done.
    pub work: Work,
    /// What exact sums of waits or system calls are compared by.
    pub sums_by: SortCalls,
    /// Share of false changes among those that are called one, at most.
    pub fdr: f64,
    /// The smallest change of interest, as a share of the total of the first
    /// side.
    pub min_effect: f64,
    /// What functions are called on the two sides: `old=new`.
    pub renames: Vec<String>,
    /// Whether both sides are parts of one trace, in which a function has one name.
    pub one_trace: bool,
    /// Whether each side has threads of its own.
    pub own_threads: bool,
}

impl Default for DiffOptions {
    fn default() -> Self {
        let (by, per, work) = (SortBy::default(), None, Work::default());
        let sums_by = SortCalls::default();
        let (one_trace, own_threads) = (false, false);
        let (fdr, min_effect, renames) = (0.05, 0.005, Vec::new());
        DiffOptions { by, per, work, sums_by, fdr, min_effect, renames, one_trace, own_threads }
    }
}

/// One run of a side.
#[derive(Debug, Clone)]
pub struct SideRun<'a> {
    /// What to call the trace.
    pub name: &'a str,
    /// Facts about the recording.
    pub info: &'a Info,
    /// The event compared.
    pub event: &'a Event,
    /// All its samples.
    pub total: Amount,
    /// How long all threads ran as the scheduler counted it, if that is known.
    pub counted_ns: Option<f64>,
    /// How many threads are looked at.
    pub threads: usize,
    /// Units of work that it did, if known.
    pub work: Option<f64>,
    /// Its allocations if they are compared.
    pub heap: Option<&'a Heap>,
}

/// One of the two sides.
#[derive(Debug, Clone)]
pub struct Side<'a> {
    /// Its runs; at least one.
    pub runs: Vec<SideRun<'a>>,
    /// All samples of all runs.
    pub total: Amount,
}

impl Side<'_> {
    /// For how long it was recorded, in all runs together.
    pub fn wall_ns(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.info.looked_at_ns()))
    }

    /// How many threads are looked at, in all runs together.
    pub fn threads(&self) -> usize {
        self.runs.iter().map(|run| run.threads).sum()
    }

    /// How many samples are missing.
    pub fn lost(&self) -> u64 {
        let lost = |run: &SideRun<'_>| lost_count(run.info, run.event.kind);
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(lost(run)))
    }

    /// The share of due samples that are missing, in percent.
    pub fn lost_percent(&self) -> f64 {
        match &self.runs[..] {
            [run] => lost_percent(run.info, run.event.kind, run.total.samples),
            _ => crate::render::format::percent_of(
                self.lost(),
                self.total.samples.saturating_add(self.lost()),
            ),
        }
    }

    /// Units of work done in all runs, if known.
    pub fn work(&self) -> Option<f64> {
        self.runs.iter().map(|run| run.work).sum()
    }
}

/// One function on both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FunctionChange {
    /// The function.
    pub symbol: SymbolId,
    /// Samples in which it ran itself.
    pub self_: Change,
    /// Samples in which it was anywhere on the stack.
    pub total: Change,
}

/// One node of the call trees of both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// Its function.
    pub symbol: SymbolId,
    /// What it stands for.
    pub kind: NodeKind,
    /// Whether it was inlined wherever it was seen.
    pub inlined: bool,
    /// The node above; always a smaller id, except for the root.
    pub parent: NodeId,
    /// Samples that end here.
    pub self_: Pair,
    /// Samples that end here or below.
    pub total: Change,
}

/// What noise was taken from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// How runs of one side differ, with so many degrees of freedom.
    BetweenRuns {
        /// Runs, less one for each side.
        degrees: usize,
        /// Whether single functions were put to a permutation test as well:
        /// there are enough runs for it to prove something.
        permuted: bool,
    },
    /// How the parts of the one run of each side differ. How much one run
    /// differs from the next is not known.
    WithinRuns([Within; 2]),
}

/// Two sides, compared.
#[derive(Debug, Clone)]
pub struct Diff<'a> {
    /// Before and after.
    pub sides: [Side<'a>; 2],
    /// What both counted.
    pub event: &'a Event,
    /// How weights became values.
    pub scale: Scale,
    /// What a unit of work is called, in the plural.
    pub work_name: String,
    /// Whether both sides are parts of one trace.
    pub one_trace: bool,
    /// What noise was taken from.
    pub noise: Noise,
    /// Share of false changes among those that are called one, at most.
    pub fdr: f64,
    /// The smallest change of interest, as a share of the total of the first
    /// side, and in the unit of [`Diff::scale`].
    pub min_effect: [f64; 2],
    /// All samples.
    pub total: Change,
    /// The names of functions.
    pub symbols: Symbols,
    /// Every function of any run: those that changed, themselves or in total, come first,
    /// then the largest difference.
    pub rows: Vec<FunctionChange>,
    /// Whether rows are sorted by the change of self or total.
    pub sorted_by: SortBy,
    /// Every node of any call tree; the first one is the root.
    pub nodes: Vec<Node>,
    /// The few places that explain it.
    pub explanation: Explanation,
    /// Exact sums of waits or system calls by name, if all runs have them.
    pub sums: Option<SumsDiff>,
    /// Functions that were probably renamed, were inlined, or moved.
    pub findings: Findings,
    /// What the first side calls functions that were said to be renamed.
    pub old_names: FxHashMap<SymbolId, String>,
    /// What a reader should know about how functions were matched.
    pub notes: Vec<String>,
}

impl Diff<'_> {
    fn sort_rows(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|a, b| {
            let changes = |row: &FunctionChange| match self.sorted_by {
                SortBy::SelfWeight => [row.self_, row.total],
                SortBy::TotalWeight => [row.total, row.self_],
            };
            let ([a_first, a_second], [b_first, b_second]) = (changes(a), changes(b));
            let size = |change: Change| change.delta().abs();
            let name = |row: &FunctionChange| {
                let symbol = &self.symbols[row.symbol];
                (&symbol.name, &symbol.module)
            };
            let is_change = |change: Change| change.verdict.is_change();
            let any = |first, second| is_change(first) || is_change(second);
            any(b_first, b_second)
                .cmp(&any(a_first, a_second))
                .then_with(|| is_change(b_first).cmp(&is_change(a_first)))
                .then_with(|| size(b_first).total_cmp(&size(a_first)))
                .then_with(|| size(b_second).total_cmp(&size(a_second)))
                .then_with(|| name(a).cmp(&name(b)))
        });
        self.rows = rows;
    }
}
