//! Compares the allocations of two recordings, function by function.
//!
//! What was allocated is compared per second of wall time, since recordings
//! differ in length. What was there at the end or at the peak is an amount,
//! not a rate, and is compared as it is. Numbers that were counted have no
//! noise; where one is estimated from samples, a change is told from noise by
//! the variances of the estimates.

pub mod flame;
pub mod json;
pub mod markdown;
#[cfg(test)]
mod runs;
pub mod table;
mod verdicts;

use rustc_hash::{FxHashMap, FxHashSet};
use rz_profile::heap::{Estimate, Heap, Metric, Sum};
use rz_profile::model::{EventId, Info, Profile, StackId, ThreadId, Unit};

use crate::diff::DiffOptions;
use crate::diff::change::Change;
use crate::diff::matching::match_functions;
use crate::error::ReportError;
use crate::model::calltree::{CallTree, NodeId, Place, ROOT, Roots, Source};
use crate::model::heap_places::owners;
use crate::model::merged::Merged;
use crate::model::symbols::{SymbolId, Symbols};
use crate::model::top::{SortBy, function_nodes, is_function};
use verdicts::{HeapLimits, judge};

/// One of the two recordings.
#[derive(Debug, Clone)]
pub struct HeapSide<'a> {
    /// What to call the trace.
    pub name: &'a str,
    /// Facts about the recording.
    pub info: &'a Info,
    /// Its allocations.
    pub heap: &'a Heap,
    /// All objects that the metric is about.
    pub total: Sum,
}

/// The same objects in both recordings.
pub type HeapPair = [Sum; 2];

/// One function in both recordings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeapRow {
    /// The function.
    pub symbol: SymbolId,
    /// What it called for itself, or by way of allocators and standard
    /// libraries.
    pub self_: HeapPair,
    /// What it and all it called allocated.
    pub total: HeapPair,
    /// What can be said of the changes of both, in this order.
    pub changes: [Change; 2],
}

/// One node of both call trees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeapNode {
    /// What it is.
    pub node: Place,
    /// What was allocated by its innermost function.
    pub self_: HeapPair,
    /// What was allocated here or below.
    pub total: HeapPair,
    /// What can be said of its change.
    pub change: Change,
}

/// Two recordings, compared.
#[derive(Debug, Clone)]
pub struct HeapDiff<'a> {
    /// The first and the second recording.
    pub sides: [HeapSide<'a>; 2],
    /// What is compared.
    pub metric: Metric,
    /// Share of false changes among those that are called one, at most.
    pub fdr: f64,
    /// The smallest change of interest, as a share of the total of the first
    /// side, and as what is compared.
    pub min_effect: [f64; 2],
    /// All objects that the metric is about.
    pub change: Change,
    /// The names of functions.
    pub symbols: Symbols,
    /// Every function of either recording, the largest change first.
    pub rows: Vec<HeapRow>,
    /// Whether rows are sorted by the change of self or total.
    pub sorted_by: SortBy,
    /// Every node of either call tree; the first one is the root.
    pub nodes: Vec<HeapNode>,
    /// What a reader should know about how functions were matched.
    pub notes: Vec<String>,
}

/// How a number changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeapChange {
    /// In the first recording, per second if it is a rate.
    pub before: Estimate,
    /// In the second recording, per second if it is a rate.
    pub after: Estimate,
    /// Variance of their difference if nothing changed.
    pub variance: f64,
}

impl HeapChange {
    /// What was added.
    pub fn delta(&self) -> f64 {
        self.after.value - self.before.value
    }

    /// Half the length of the 95 % confidence interval of what was added.
    pub fn margin(&self) -> f64 {
        Estimate { value: self.delta(), variance: self.variance }.margin()
    }
}

/// A profile to compare whose allocations show the metric, what to call it,
/// and their event.
pub type HeapInput<'a> = (&'a Profile, &'a str, EventId);

/// Compares the allocations of two recordings, [matching](crate::diff::matching)
/// functions across builds. Rows are sorted by the size of the change.
///
/// # Errors
/// If a rate is to be compared and a recording does not say how long it was,
/// or one has no allocations.
pub fn compare_heaps<'a>(
    inputs: [HeapInput<'a>; 2],
    metric: Metric,
    options: &DiffOptions,
) -> Result<HeapDiff<'a>, ReportError> {
    for ((profile, ..), side) in inputs.iter().zip(["before", "after"]) {
        if metric.is_rate() && profile.info.duration_ns == 0 {
            return Err(ReportError::NoDuration { side, remedy: "" });
        }
    }
    let heap_of = |(profile, ..): &HeapInput<'a>| {
        profile.heap.as_ref().ok_or(ReportError::NothingToDraw { why: "no allocations" })
    };
    let heaps = [heap_of(&inputs[0])?, heap_of(&inputs[1])?];
    let roots = inputs.map(|(profile, _, event)| Roots::of(profile, event));
    let several = roots.contains(&Roots::Processes);
    let roots = if several { Roots::Processes } else { Roots::Functions };
    let mut symbols = Symbols::default();
    let [before, after] = inputs.map(|(profile, ..)| profile);
    let matched = match_functions([&[before], &[after]], &options.renames, &mut symbols)?;
    let trees: [CallTree; 2] = std::array::from_fn(|side| {
        let (profile, _, event) = inputs[side];
        let functions = &matched.functions[side][0];
        CallTree::top_down(Source { profile, event, functions }, roots, &mut symbols)
    });
    let sums: [NodeSums; 2] = std::array::from_fn(|side| {
        let (profile, _, event) = inputs[side];
        NodeSums::of(&trees[side], profile, event, heaps[side], metric)
    });
    let merged = Merged::of(trees.iter());
    let (self_, total, change) = (HeapPair::default(), HeapPair::default(), Change::default());
    let nodes = merged.tree.nodes.iter();
    let mut nodes: Vec<HeapNode> =
        nodes.map(|node| HeapNode { node: node.place(), self_, total, change }).collect();
    for (side, sums) in sums.iter().enumerate() {
        for (id, &new) in merged.ids[side].iter().enumerate() {
            nodes[new].self_[side] = sums.self_[id];
            nodes[new].total[side] = sums.total[id];
        }
    }
    let side = |side: usize| HeapSide {
        name: inputs[side].1,
        info: &inputs[side].0.info,
        heap: heaps[side],
        total: sums[side].total[ROOT],
    };
    let rows = rows(&trees, &sums, &symbols);
    let sides = [side(0), side(1)];
    let mut diff = HeapDiff {
        sides,
        metric,
        fdr: options.fdr,
        min_effect: [options.min_effect, 0.0],
        change: Change::default(),
        symbols,
        rows,
        sorted_by: options.by,
        nodes,
        notes: matched.notes,
    };
    diff.judge();
    diff.sort_rows();
    Ok(diff)
}

/// What the nodes of a tree add up to, with variances.
struct NodeSums {
    self_: Vec<Sum>,
    total: Vec<Sum>,
}

impl NodeSums {
    fn of(tree: &CallTree, profile: &Profile, event: EventId, heap: &Heap, metric: Metric) -> Self {
        let samples = profile.samples.iter().filter(|sample| sample.event == event);
        let leaf_of: FxHashMap<(ThreadId, Option<StackId>), NodeId> =
            samples.map(|s| (s.thread, s.stack)).zip(tree.leaves.iter().copied()).collect();
        let mut self_ = vec![Sum::default(); tree.nodes.len()];
        for site in &heap.sites {
            if let Some(&leaf) = leaf_of.get(&(site.thread, site.stack)) {
                self_[leaf].add(&metric.sum(site));
            }
        }
        let mut total = self_.clone();
        for id in (1..tree.nodes.len()).rev() {
            let sum = total[id];
            total[tree.nodes[id].parent].add(&sum);
        }
        NodeSums { self_, total }
    }
}

/// What each function allocated.
fn rows(trees: &[CallTree; 2], sums: &[NodeSums; 2], symbols: &Symbols) -> Vec<HeapRow> {
    let mut rows: Vec<HeapRow> = Vec::new();
    let mut index_of: FxHashMap<SymbolId, usize> = FxHashMap::default();
    for (side, (tree, sums)) in trees.iter().zip(sums).enumerate() {
        let mut own = vec![Sum::default(); tree.nodes.len()];
        let mut passed_on: FxHashSet<SymbolId> = FxHashSet::default();
        for (id, owner) in owners(tree, symbols).into_iter().enumerate() {
            own[owner].add(&sums.self_[id]);
            if owner != id {
                passed_on.insert(tree.nodes[id].symbol);
            }
        }
        for function in function_nodes(tree, is_function) {
            let mut row = [Sum::default(); 2];
            function.all.iter().for_each(|&id| row[0].add(&own[id]));
            function.outermost.iter().for_each(|&id| row[1].add(&sums.total[id]));
            if row[0].is_zero() && passed_on.contains(&function.symbol) {
                continue;
            }
            let index = *index_of.entry(function.symbol).or_insert_with(|| {
                let (self_, total) = (HeapPair::default(), HeapPair::default());
                let changes = [Change::default(); 2];
                rows.push(HeapRow { symbol: function.symbol, self_, total, changes });
                rows.len() - 1
            });
            [rows[index].self_[side], rows[index].total[side]] = row;
        }
    }
    rows
}

impl HeapDiff<'_> {
    /// What the metric counts of some objects.
    fn number(&self, sum: &Sum) -> Estimate {
        match self.metric.unit() {
            Unit::Bytes => sum.bytes,
            _ => sum.objects,
        }
    }

    /// How a pair changed.
    ///
    /// Of a side in which no object was recorded, only samples can tell that
    /// there were few. What it would be if nothing had changed is what the
    /// other side has, with the variance that samples of this side have.
    pub fn change(&self, pair: &HeapPair) -> HeapChange {
        let per = |side: usize| match self.metric.is_rate() {
            true => self.sides[side].info.duration_ns as f64 / 1e9,
            false => 1.0,
        };
        let scaled = |side: usize| {
            let (number, per) = (self.number(&pair[side]), per(side));
            Estimate { value: number.value / per, variance: number.variance / (per * per) }
        };
        let [before, after] = [scaled(0), scaled(1)];
        let variance = |side: usize, own: Estimate, other: Estimate| match pair[side].recorded {
            0 => other.value * self.dispersion(side) / per(side),
            _ => own.variance,
        };
        let variance = variance(0, before, after) + variance(1, after, before);
        HeapChange { before, after, variance }
    }

    /// Variance per unit of what a side's samples estimate: about the bytes,
    /// or the objects, that a sample stands for.
    fn dispersion(&self, side: usize) -> f64 {
        let of = |side: &HeapSide<'_>| {
            let number = self.number(&side.total);
            if number.value > 0.0 { number.variance / number.value } else { 0.0 }
        };
        let HeapSide { heap, total, .. } = &self.sides[side];
        match (heap.interval, total.recorded) {
            (0, _) => 0.0,
            // Nothing at all was recorded here: the other side must do.
            (_, 0) => of(&self.sides[1 - side]),
            _ => of(&self.sides[side]),
        }
    }

    /// The totals of both sides, compared.
    pub fn total(&self) -> HeapChange {
        self.change(&[self.sides[0].total, self.sides[1].total])
    }

    /// Judges the total by itself, functions by self and by total, and nodes.
    fn judge(&mut self) {
        let all = self.total();
        let whole = if all.before.value > 0.0 { all.before.value } else { all.after.value };
        self.min_effect[1] = self.min_effect[0] * whole;
        let limits = HeapLimits { fdr: self.fdr, least: self.min_effect[1] };
        let judged = |pairs: &mut dyn Iterator<Item = HeapPair>| {
            judge(pairs.map(|pair| (self.change(&pair), pair)), limits)
        };
        let total = [self.sides[0].total, self.sides[1].total];
        let total = judged(&mut std::iter::once(total));
        let own = judged(&mut self.rows.iter().map(|row| row.self_));
        let totals = judged(&mut self.rows.iter().map(|row| row.total));
        let nodes = judged(&mut self.nodes[ROOT + 1..].iter().map(|node| node.total));
        self.change = total[0];
        for (node, change) in self.nodes.iter_mut().zip(total.into_iter().chain(nodes)) {
            node.change = change;
        }
        for ((row, own), total) in self.rows.iter_mut().zip(own).zip(totals) {
            row.changes = [own, total];
        }
    }

    fn sort_rows(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        let mut keys: Vec<([f64; 2], HeapRow)> = rows
            .drain(..)
            .map(|row| {
                let [own, total] =
                    [row.self_, row.total].map(|pair| self.change(&pair).delta().abs());
                let key = match self.sorted_by {
                    SortBy::SelfWeight => [own, total],
                    SortBy::TotalWeight => [total, own],
                };
                (key, row)
            })
            .collect();
        let name = |row: &HeapRow| {
            let symbol = &self.symbols[row.symbol];
            (&symbol.name, &symbol.module)
        };
        keys.sort_by(|(a, a_row), (b, b_row)| {
            let by_change = b[0].total_cmp(&a[0]).then_with(|| b[1].total_cmp(&a[1]));
            by_change.then_with(|| name(a_row).cmp(&name(b_row)))
        });
        self.rows = keys.into_iter().map(|(_, row)| row).collect();
    }
}
