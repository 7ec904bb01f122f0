//! Says what changed: the few places in the call tree that explain the comparison.
//!
//! From the root down, a change belongs to the first node in which everything changed
//! alike; where parts of a node changed differently, each is looked at by itself. Where
//! the callers of one function have changed by what it costs, it is that function.
//! Places are tested together with all functions, so that the promised share of false
//! ones holds for them.

mod folded;
mod places;
#[cfg(test)]
mod tests;
pub mod text;

use rz_profile::model::{CpuTime, EventKind, Unit};

use crate::diff::change::{Change, Pair};
use crate::diff::matching::Findings;
use crate::diff::normalize::{Per, Scale};
use crate::diff::stats::fdr;
use crate::diff::{FunctionChange, Run, Side};
use crate::model::calltree::{CallTree, NodeId};
use crate::model::symbols::SymbolId;
use crate::model::top::FunctionNodes;

pub(crate) use folded::Folded;
use places::Search;

/// From this share of all time on, a thread is said to have been busy nearly all the time.
const BUSY: f64 = 0.9;
/// What share of all must be of such threads.
const OF_BUSY: f64 = 0.8;

/// What explains a comparison: places, those that changed most first, and what only
/// follows from them last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    /// The places.
    pub places: Vec<PlaceChange>,
}

impl Explanation {
    /// The changes that do not follow from others, as far as is known.
    pub fn causes(&self) -> impl Iterator<Item = &PlaceChange> {
        self.places.iter().filter(|place| place.follows != Some(Follows::Certainly))
    }
}

/// A place in the call tree, and how it changed.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceChange {
    /// The function; that of the root if everything changed alike.
    pub symbol: SymbolId,
    /// Where it is called.
    pub at: At,
    /// How it changed with all it calls; of [`At::EverywhereItself`], without.
    pub change: Change,
    /// In which other function most of the change is, and which share of it.
    pub inside: Option<(SymbolId, f64)>,
    /// Whether it only follows from what others changed: threads had no time left, or
    /// had more of it.
    pub follows: Option<Follows>,
}

/// Where the function of a place is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// By this one, if any calls it.
    CalledBy(Option<SymbolId>),
    /// By so many functions.
    Everywhere(usize),
    /// The same, but only what it costs itself.
    EverywhereItself(usize),
}

/// Whether a change follows from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// It does: everything else changed alike.
    Certainly,
    /// It, or what it would follow from, does: there is one of each.
    Perhaps,
}

/// What is compared: the whole tree, and its functions.
pub(crate) struct Compared<'c> {
    pub tree: &'c CallTree,
    pub owners: &'c [NodeId],
    pub own: &'c dyn Fn(NodeId) -> Pair,
    pub functions: &'c [FunctionNodes],
    /// In the order of the functions.
    pub rows: &'c [FunctionChange],
    pub findings: &'c Findings,
    pub scale: &'c Scale,
    pub fdr: f64,
    pub least: f64,
    /// Whether the threads were busy nearly all the time, on both sides.
    pub full: bool,
}

/// Explains a comparison by nodes of the folded tree, which were judged, and by
/// functions.
pub(crate) fn explain(compared: &Compared<'_>, folded: &Folded, judged: &[Change]) -> Explanation {
    let of_rows = compared.rows.iter().flat_map(|row| [&row.self_, &row.total]);
    let tested = judged.iter().chain(of_rows).filter_map(|change| change.test);
    let probabilities: Vec<f64> = tested.map(|test| test.p).collect();
    match fdr::threshold(&probabilities, compared.fdr) {
        Some(level) => Explanation { places: Search::new(compared, folded, judged, level).run() },
        None => Explanation::default(),
    }
}

/// Whether most of the CPU time of all runs is of threads that were busy nearly all the time,
/// and is compared by time: then what one function takes, others do not get.
pub(crate) fn are_full(sides: [&[Run<'_>]; 2], described: &[Side<'_>; 2], per: Per) -> bool {
    let event = described[0].runs[0].event;
    let by_time = matches!(per, Per::Wall | Per::Thread);
    let of_time = (event.kind, event.unit) == (EventKind::Cpu, Unit::Nanoseconds);
    by_time && of_time && sides.into_iter().flatten().all(is_full)
}

/// The time in which no CPU was free belongs to that in which a thread was busy, where the
/// scheduler has counted it.
fn is_full(run: &Run<'_>) -> bool {
    if let (Some(times), Some(_)) = (&run.profile.cpu_times, run.profile.counted_cpu_ns()) {
        let busy = BUSY * times.span_ns as f64;
        let is_busy = |time: &&CpuTime| time.ran_ns.saturating_add(time.ready_ns) as f64 >= busy;
        let threads = times.threads.iter().filter(|(thread, _)| thread.is_some());
        let full = threads.map(|(_, time)| time).filter(is_busy).map(|time| time.ran_ns as f64);
        let all = times.total.ran_ns as f64;
        return all > 0.0 && full.sum::<f64>() >= OF_BUSY * all;
    }
    let mut of_thread = vec![0_u64; run.profile.threads.len()];
    for sample in run.profile.samples.iter().filter(|sample| Some(sample.event) == run.event) {
        if let Some(weight) = of_thread.get_mut(sample.thread) {
            *weight = weight.saturating_add(sample.weight);
        }
    }
    let busy = BUSY * run.profile.info.duration_ns as f64;
    let all: f64 = of_thread.iter().map(|&weight| weight as f64).sum();
    let full = of_thread.iter().map(|&weight| weight as f64).filter(|&weight| weight >= busy);
    all > 0.0 && full.sum::<f64>() >= OF_BUSY * all
}
