//! Sums up, for each function of two sides, what it cost and who called whom.

use rustc_hash::FxHashMap;

use crate::model::calltree::{CallTree, ROOT};
use crate::model::symbols::SymbolId;
use crate::model::top::{function_nodes, is_function};

/// A top-down tree of one recording, and by what to multiply its weights so
/// that they can be compared with those of other recordings.
pub type ScaledTree<'a> = (&'a CallTree, f64);

/// How much of a function's weight came from, or went to, other functions.
pub(super) type Neighbours = FxHashMap<SymbolId, f64>;

/// One function on one side.
#[derive(Debug, Clone, Default)]
pub(super) struct Presence {
    /// Samples in which it was on the stack.
    pub samples: u64,
    /// Scaled weight in which it ran itself.
    pub self_: f64,
    /// Scaled weight in which it was on the stack.
    pub total: f64,
    /// How much of that was in places where it was inlined.
    pub inlined: f64,
    /// The functions that called it, calls of itself left out.
    pub callers: Neighbours,
    /// The functions that it called, itself left out.
    pub callees: Neighbours,
}

/// Every function of both sides.
#[derive(Debug, Clone, Default)]
pub(super) struct Relations {
    /// What is known of each function on each side.
    pub functions: FxHashMap<SymbolId, [Presence; 2]>,
    /// Scaled weight of each side.
    pub total: [f64; 2],
}

impl Relations {
    pub(super) fn new(sides: [&[ScaledTree<'_>]; 2]) -> Self {
        let mut relations = Relations::default();
        for (side, trees) in sides.into_iter().enumerate() {
            for &(tree, scale) in trees {
                relations.add(side, tree, scale);
            }
        }
        relations
    }

    fn add(&mut self, side: usize, tree: &CallTree, scale: f64) {
        self.total[side] += tree.total().weight as f64 * scale;
        for function in function_nodes(tree, is_function) {
            let presence = &mut self.functions.entry(function.symbol).or_default()[side];
            for &id in &function.outermost {
                let node = &tree.nodes[id];
                let total = node.total.weight as f64 * scale;
                presence.samples = presence.samples.saturating_add(node.total.samples);
                presence.total += total;
                if node.how.inlined {
                    presence.inlined += total;
                }
                if id != ROOT {
                    *presence.callers.entry(tree.nodes[node.parent].symbol).or_default() += total;
                }
            }
            for &id in &function.all {
                let node = &tree.nodes[id];
                presence.self_ += node.self_.weight as f64 * scale;
                for &child in &node.children {
                    let child = &tree.nodes[child];
                    if child.symbol != function.symbol {
                        let total = child.total.weight as f64 * scale;
                        *presence.callees.entry(child.symbol).or_default() += total;
                    }
                }
            }
        }
    }

    /// What is known of a function that is on either side.
    pub(super) fn of(&self, symbol: SymbolId) -> Option<&[Presence; 2]> {
        self.functions.get(&symbol)
    }

    /// Functions with at least `samples` samples, and none on the other side,
    /// largest first; at most `limit`.
    pub(super) fn only_on(&self, side: usize, samples: u64, limit: usize) -> Vec<SymbolId> {
        let alone =
            |sides: &[Presence; 2]| sides[side].samples >= samples && sides[1 - side].samples == 0;
        let mut found: Vec<(SymbolId, f64)> = self
            .functions
            .iter()
            .filter(|(_, sides)| alone(sides))
            .map(|(&symbol, sides)| (symbol, sides[side].total))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(limit);
        found.into_iter().map(|(symbol, _)| symbol).collect()
    }
}

/// How much of two distributions is in the same places, from 0 to 1;
/// `None` if either is nothing. `same` says what a place of the first one is
/// in the second one.
pub(super) fn overlap(
    before: &Neighbours,
    after: &Neighbours,
    same: &FxHashMap<SymbolId, SymbolId>,
) -> Option<f64> {
    let sums = [before, after].map(|neighbours| neighbours.values().sum::<f64>());
    if sums.iter().any(|&sum| sum <= 0.0) {
        return None;
    }
    let mut shares: FxHashMap<SymbolId, f64> = FxHashMap::default();
    for (symbol, weight) in before {
        *shares.entry(*same.get(symbol).unwrap_or(symbol)).or_default() += weight / sums[0];
    }
    let common = |(symbol, weight): (&SymbolId, &f64)| {
        shares.get(symbol).map_or(0.0, |share| share.min(weight / sums[1]))
    };
    Some(after.iter().map(common).sum())
}

/// The smaller of two weights in parts of the larger one; 1 of nothing.
pub(super) fn ratio(a: f64, b: f64) -> f64 {
    if a.max(b) > 0.0 { a.min(b) / a.max(b) } else { 1.0 }
}
