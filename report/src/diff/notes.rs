//! Says what a reader of a comparison should know besides its numbers.

use crate::diff::change::Change;
use crate::diff::matching::{LikelyRename, Moved};
use crate::diff::{Diff, FunctionChange};
use crate::model::clean::clean;
use crate::model::top::SortBy;
use crate::render::format::percent;

/// The share of lost samples, in percent, from which a comparison is doubtful.
pub(crate) const DOUBTFUL_LOSS: f64 = 1.0;

/// How many functions of either kind are named.
const NAMED: usize = 10;

/// How many functions cost more, how many cost less, and for how many there is
/// no evidence of a change. Those that only have another name, or were inlined,
/// count as the latter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// More than before, or new.
    pub more: usize,
    /// Less than before, or gone.
    pub less: usize,
    /// The others.
    pub unclear: usize,
}

/// Whether a function changed, itself or in total.
pub(crate) fn is_change(diff: &Diff<'_>, row: &FunctionChange) -> bool {
    shown(diff, row).0.verdict.is_change() && !diff.findings.explains(row.symbol)
}

/// The change of a row, and of what it is: what rows are sorted by, but for functions of
/// which only the other one is more than noise.
pub(crate) fn shown<'r>(diff: &Diff<'_>, row: &'r FunctionChange) -> (&'r Change, SortBy) {
    let (own, total) = ((&row.self_, SortBy::SelfWeight), (&row.total, SortBy::TotalWeight));
    let (first, other) = match diff.sorted_by {
        SortBy::SelfWeight => (own, total),
        SortBy::TotalWeight => (total, own),
    };
    match other.0.verdict.is_change() && !first.0.verdict.is_change() {
        true => other,
        false => first,
    }
}

/// Counts functions by what can be said of them.
pub fn counts(diff: &Diff<'_>) -> Counts {
    let mut counts = Counts::default();
    for row in &diff.rows {
        match shown(diff, row).0.verdict.is_more() {
            _ if !is_change(diff, row) => counts.unclear += 1,
            true => counts.more += 1,
            false => counts.less += 1,
        }
    }
    counts
}

/// Samples that are missing, programs and functions under other names,
/// functions that moved: one sentence each.
pub fn notes(diff: &Diff<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for side in &diff.sides {
        let share = side.lost_percent();
        if share >= DOUBTFUL_LOSS {
            let name = side.runs.first().map_or("", |run| run.name);
            let more = if side.runs.len() > 1 { " and other runs" } else { "" };
            let (name, share) = (clean(name), percent(share));
            notes.push(format!("{name}{more} lost {share} of the samples, and looks smaller"));
        }
    }
    notes.extend(matching_notes(diff));
    notes
}

/// The same without samples that are missing.
pub(crate) fn matching_notes(diff: &Diff<'_>) -> Vec<String> {
    let mut notes = diff.notes.clone();
    let name = |id| &diff.symbols[id].name;
    let renames = diff.findings.renames.iter();
    for LikelyRename { old, new } in renames.take(NAMED) {
        let modules = [*old, *new].map(|id| &diff.symbols[id].module);
        let (old, new) = (name(*old), name(*new));
        let what = match old == new {
            true => format!("likely moved: {old}, from {} to {}", modules[0], modules[1]),
            false => format!("likely renamed: {old} → {new}"),
        };
        notes.push(format!("{what} (if so, --rename '{old}={new}')"));
    }
    for Moved { symbol, from, to } in diff.findings.moved.iter().take(NAMED) {
        notes.push(format!("{} moved from {} to {}", name(*symbol), name(*from), name(*to)));
    }
    let left_out = |all: usize| all.saturating_sub(NAMED);
    for (all, what) in [
        (diff.findings.renames.len(), "more were likely renamed"),
        (diff.findings.moved.len(), "more moved"),
    ] {
        if left_out(all) > 0 {
            notes.push(format!("{} {what}", left_out(all)));
        }
    }
    notes
}
