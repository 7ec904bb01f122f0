//! Finds functions that were inlined or are called from elsewhere.

use rustc_hash::FxHashMap;

use super::relations::{Neighbours, Presence, Relations, overlap, ratio};
use super::renames::{LikelyRename, MIN_SAMPLES};
use crate::model::symbols::{SymbolId, Symbols};

/// What is about unchanged, as the smaller in parts of the larger one.
const UNCHANGED: f64 = 0.67;

/// How much of a function's weight must be inlined, or not, to say so.
const MOSTLY: f64 = 0.75;

/// Fewer samples than this do not tell who calls a function.
const MIN_CALLS: u64 = 20;

/// What share of a function's weight must have gone from one caller, and come
/// to another one.
const MIN_MOVED: f64 = 0.4;

/// Functions below this share of all weight are not said to have moved.
const MIN_SHARE: f64 = 0.005;

/// How inlining changed what is shown of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inlining {
    /// It was a frame of its own, and debug information tells that it is
    /// inlined now.
    InlinedNow,
    /// The other way round.
    NoLongerInlined,
    /// It is gone, and its caller has what it cost: there is no debug
    /// information that would tell, but it was probably inlined there.
    LikelyInlinedInto(SymbolId),
    /// It is new, and what it costs is missing from its caller.
    LikelyInlinedInBefore(SymbolId),
    /// It has what the other one cost, which was probably inlined.
    TookIn(SymbolId),
    /// What it cost is now in the other one, which was probably inlined.
    GaveOut(SymbolId),
}

/// A function that costs what it did but is called from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moved {
    /// The function.
    pub symbol: SymbolId,
    /// The caller from which it was called more before.
    pub from: SymbolId,
    /// The caller from which it is called more now.
    pub to: SymbolId,
}

/// How inlining changed, by function.
pub(super) fn inlining(
    relations: &Relations,
    renames: &[LikelyRename],
) -> FxHashMap<SymbolId, Inlining> {
    let mut found: FxHashMap<SymbolId, Inlining> = FxHashMap::default();
    for (&symbol, sides) in &relations.functions {
        if sides.iter().any(|side| side.samples < MIN_SAMPLES) {
            continue;
        }
        let [before, after] = sides.each_ref().map(|side| side.inlined / side.total);
        if before <= 1.0 - MOSTLY && after >= MOSTLY {
            found.insert(symbol, Inlining::InlinedNow);
        } else if before >= MOSTLY && after <= 1.0 - MOSTLY {
            found.insert(symbol, Inlining::NoLongerInlined);
        }
    }
    let is_renamed = |symbol| renames.iter().any(|r| r.old == symbol || r.new == symbol);
    for side in [0, 1] {
        for symbol in relations.only_on(side, MIN_SAMPLES, usize::MAX) {
            if is_renamed(symbol) {
                continue;
            }
            if let Some(caller) = merged_into(relations, symbol, side) {
                let (alone, other) = match side {
                    0 => (Inlining::LikelyInlinedInto(caller), Inlining::TookIn(symbol)),
                    _ => (Inlining::LikelyInlinedInBefore(caller), Inlining::GaveOut(symbol)),
                };
                found.insert(symbol, alone);
                // The largest comes first and is the one to name.
                found.entry(caller).or_insert(other);
            }
        }
    }
    found
}

/// The caller that, on the other side, has what a function that is only on
/// `side` cost itself, while its own total is about the same.
fn merged_into(relations: &Relations, symbol: SymbolId, side: usize) -> Option<SymbolId> {
    let own = &relations.of(symbol)?[side];
    let (&caller, &share) = largest(&own.callers)?;
    let sides = relations.of(caller)?;
    let (with, without) = (&sides[side], &sides[1 - side]);
    let grown = without.self_ - with.self_;
    // What it called must be called by the caller in its place.
    let callees = overlap(&own.callees, &without.callees, &FxHashMap::default());
    let called: f64 = own.callees.values().sum();
    let keeps_callees = called < 0.2 * own.total || callees.is_some_and(|c| c >= 0.5);
    let is_merged = share >= 0.5 * own.total
        && without.samples >= MIN_SAMPLES
        && ratio(with.total, without.total) >= UNCHANGED
        && own.self_ > 0.0
        && ratio(own.self_, grown) >= 0.5
        && grown > 0.0
        && keeps_callees;
    is_merged.then_some(caller)
}

/// Functions that are called from elsewhere, the largest first.
pub(super) fn moved(
    relations: &Relations,
    renames: &[LikelyRename],
    inlining: &FxHashMap<SymbolId, Inlining>,
    symbols: &Symbols,
) -> Vec<Moved> {
    let same: FxHashMap<SymbolId, SymbolId> = renames.iter().map(|r| (r.old, r.new)).collect();
    let mut found: Vec<(Moved, f64)> = Vec::new();
    for (&symbol, [before, after]) in &relations.functions {
        let unchanged = |of: fn(&Presence) -> f64| ratio(of(before), of(after)) >= UNCHANGED;
        let small = before.self_ + after.self_ < 0.1 * (before.total + after.total);
        if before.samples.min(after.samples) < MIN_CALLS
            || before.total < MIN_SHARE * relations.total[0]
            || !unchanged(|side| side.total)
            || !(small || unchanged(|side| side.self_))
            || overlap(&before.callers, &after.callers, &same).is_none_or(|common| common >= 0.5)
        {
            continue;
        }
        let Some((from, to)) = largest_changes(&before.callers, &after.callers, &same) else {
            continue;
        };
        // What an inlined function called is now called by its caller.
        let merged = [Some(&Inlining::LikelyInlinedInto(to)), inlining.get(&from)];
        let split = [Some(&Inlining::LikelyInlinedInBefore(from)), inlining.get(&to)];
        let are_functions = [from, to].iter().all(|caller| relations.of(*caller).is_some());
        if are_functions && merged[0] != merged[1] && split[0] != split[1] {
            found.push((Moved { symbol, from, to }, after.total));
        }
    }
    let name = |moved: &Moved| &symbols[moved.symbol].name;
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| name(&a.0).cmp(name(&b.0))));
    found.into_iter().map(|(moved, _)| moved).collect()
}

fn largest(neighbours: &Neighbours) -> Option<(&SymbolId, &f64)> {
    neighbours.iter().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0)))
}

/// The caller whose share shrank most, and the one whose share grew most, if
/// both did by much.
fn largest_changes(
    before: &Neighbours,
    after: &Neighbours,
    same: &FxHashMap<SymbolId, SymbolId>,
) -> Option<(SymbolId, SymbolId)> {
    let [was, is] = [before, after].map(|neighbours| neighbours.values().sum::<f64>());
    // The share that a caller gained, and what it was called before.
    let mut gained: FxHashMap<SymbolId, (f64, SymbolId)> = FxHashMap::default();
    for (symbol, weight) in before {
        let entry = gained.entry(*same.get(symbol).unwrap_or(symbol)).or_insert((0.0, *symbol));
        entry.0 -= weight / was;
    }
    for (symbol, weight) in after {
        gained.entry(*symbol).or_insert((0.0, *symbol)).0 += weight / is;
    }
    let by = |a: &(&SymbolId, &(f64, SymbolId)), b: &(&SymbolId, &(f64, SymbolId))| {
        a.1.0.total_cmp(&b.1.0).then(b.0.cmp(a.0))
    };
    let (_, &(lost, from)) = gained.iter().min_by(by)?;
    let (&to, &(won, _)) = gained.iter().max_by(by)?;
    (-lost >= MIN_MOVED && won >= MIN_MOVED).then_some((from, to))
}
