//! Finds functions that probably only got another name.
//!
//! They are offered, never taken for the same: a guess must not hide a
//! function that got slower while it was rewritten.

use rustc_hash::{FxHashMap, FxHashSet};

use super::relations::{Presence, Relations, overlap, ratio};
use super::similarity::similarity;
use crate::model::symbols::{SymbolId, Symbols};

/// Fewer samples than this tell nothing about a function.
pub(super) const MIN_SAMPLES: u64 = 8;

/// Only the largest functions that are gone and new are looked at.
const LIMIT: usize = 200;

/// Weights may differ by this, as the smaller in parts of the larger one.
const MIN_RATIO: f64 = 0.6;

/// How much of their callers must be the same.
const MIN_CALLERS: f64 = 0.5;

/// How alike names must be, unless weight and callees leave little doubt.
const MIN_SIMILARITY: f64 = 0.4;

/// A function that is gone, and a new one that is probably the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LikelyRename {
    /// The function that is gone.
    pub old: SymbolId,
    /// The one that is new.
    pub new: SymbolId,
}

/// Finds pairs, the largest first. Those found tell more about their callers
/// and callees, so it is looked again until no more are found.
pub(super) fn likely_renames(relations: &Relations, symbols: &Symbols) -> Vec<LikelyRename> {
    let gone = relations.only_on(0, MIN_SAMPLES, LIMIT);
    let new = relations.only_on(1, MIN_SAMPLES, LIMIT);
    let mut alike: FxHashMap<(SymbolId, SymbolId), f64> = FxHashMap::default();
    let mut same: FxHashMap<SymbolId, SymbolId> = FxHashMap::default();
    let mut taken: FxHashSet<SymbolId> = FxHashSet::default();
    loop {
        let mut found: Vec<(f64, SymbolId, SymbolId)> = Vec::new();
        for &old in gone.iter().filter(|old| !same.contains_key(old)) {
            for &new in new.iter().filter(|new| !taken.contains(new)) {
                let (Some([before, _]), Some([_, after])) = (relations.of(old), relations.of(new))
                else {
                    continue;
                };
                if ratio(before.total, after.total) < MIN_RATIO {
                    continue;
                }
                let names = *alike
                    .entry((old, new))
                    .or_insert_with(|| similarity(&symbols[old].name, &symbols[new].name));
                let score = score(before, after, &same, names);
                found.extend(score.map(|score| (score, old, new)));
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let known = same.len();
        for (_, old, new) in found {
            if !same.contains_key(&old) && taken.insert(new) {
                same.insert(old, new);
            }
        }
        if same.len() == known {
            break;
        }
    }
    let pair = |&old: &SymbolId| same.get(&old).map(|&new| LikelyRename { old, new });
    gone.iter().filter_map(pair).collect()
}

/// How well two functions fit; `None` if they do not.
fn score(
    before: &Presence,
    after: &Presence,
    same: &FxHashMap<SymbolId, SymbolId>,
    names: f64,
) -> Option<f64> {
    let callers = overlap(&before.callers, &after.callers, same)?;
    let self_change = (before.self_ - after.self_).abs() / before.total.max(after.total);
    let weight = ratio(before.total, after.total).min(1.0 - self_change);
    let callees = overlap(&before.callees, &after.callees, same);
    let fits_inside = weight >= 0.8 && callees.is_some_and(|callees| callees >= 0.7);
    let fits =
        callers >= MIN_CALLERS && weight >= MIN_RATIO && (names >= MIN_SIMILARITY || fits_inside);
    fits.then(|| names + callers + weight + callees.unwrap_or(0.5))
}
