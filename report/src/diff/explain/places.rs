//! Looks for the places that explain a comparison.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{At, Compared, Folded, Follows, PlaceChange};
use crate::diff::FunctionChange;
use crate::diff::change::{Change, Pair};
use crate::model::calltree::{Node, NodeId, ROOT};
use crate::model::symbols::SymbolId;
use crate::model::top::is_function;

/// What the change of a part may differ by from what it had to be if all parts changed
/// alike, as a share of that.
const ALIKE: f64 = 0.5;
/// What has this share of a node on both sides is nearly all of it.
const NEARLY_ALL: f64 = 0.95;
/// A function of which this share is elsewhere has not changed itself if only this
/// place of it has.
const ELSEWHERE: f64 = 0.25;
/// A function has changed everywhere if these places are this share of it.
const EVERYWHERE: f64 = 0.75;
/// What has this share of a change is where it is.
const MOST: f64 = 0.5;
/// More places are no explanation.
const MAX_PLACES: usize = 20;

/// What is known of each node while looking.
pub(super) struct Search<'s> {
    compared: &'s Compared<'s>,
    folded: &'s Folded,
    judged: &'s [Change],
    /// Probabilities up to this one are evidence.
    level: f64,
    /// Whether there is evidence of a change of a node.
    found: Vec<bool>,
    /// Whether there is of it or of one below.
    found_below: Vec<bool>,
    /// What each function has in all places, on both sides.
    all_of: FxHashMap<SymbolId, [f64; 2]>,
    /// By symbol: its row.
    row_of: FxHashMap<SymbolId, usize>,
    /// By node of the whole tree: by how much more ends in it.
    own_delta: Vec<f64>,
    /// Whether a place that was found explains that.
    explained: Vec<bool>,
}

impl<'s> Search<'s> {
    pub fn new(
        compared: &'s Compared<'s>,
        folded: &'s Folded,
        judged: &'s [Change],
        level: f64,
    ) -> Self {
        let nodes = &folded.tree.nodes;
        let sides = |id: NodeId| folded.totals[id].map(|amount| amount.samples > 0);
        let places = nodes.iter().enumerate();
        let places = places.map(|(id, node)| (node.symbol, node.parent, sides(id)));
        let elsewhere = compared.findings.elsewhere(places);
        // What was inlined costs the same below another name.
        let is_only_named = |id: NodeId| {
            let node = &nodes[id];
            elsewhere[id] || is_own_part(nodes, node) && compared.findings.explains(node.symbol)
        };
        // What is below a node that only has another name or caller is no change of it.
        let mut only_named = vec![0.0; nodes.len()];
        for id in (ROOT + 1..nodes.len()).rev() {
            if is_only_named(id) {
                only_named[id] = judged[id].delta();
            }
            only_named[nodes[id].parent] += only_named[id];
        }
        let is_real = |id: NodeId| {
            let delta = judged[id].delta();
            (delta - only_named[id]) * delta.signum() >= MOST * delta.abs()
        };
        let found = judged.iter().enumerate();
        let found = found.map(|(id, change)| is_found(change, level) && is_real(id));
        let found: Vec<bool> = found.collect();
        let mut found_below = found.clone();
        for id in (ROOT + 1..nodes.len()).rev() {
            found_below[nodes[id].parent] |= found_below[id];
        }
        let mut all_of: FxHashMap<SymbolId, [f64; 2]> = FxHashMap::default();
        for (id, node) in nodes.iter().enumerate().filter(|(_, node)| !is_own_part(nodes, node)) {
            let all = all_of.entry(node.symbol).or_default();
            all.iter_mut().zip(judged[id].values).for_each(|(all, value)| *all += value);
        }
        let rows = compared.rows.iter().enumerate();
        let row_of = rows.map(|(index, row)| (row.symbol, index)).collect();
        let own_delta = (0..compared.tree.nodes.len()).map(|id| {
            let pair: Pair = (compared.own)(id);
            let [before, after] =
                [0, 1].map(|side| compared.scale.value(side, pair[side].weight as f64));
            after - before
        });
        let own_delta: Vec<f64> = own_delta.collect();
        let mut is_below_named: Vec<bool> = (0..nodes.len()).map(is_only_named).collect();
        for id in ROOT + 1..nodes.len() {
            is_below_named[id] |= is_below_named[nodes[id].parent];
        }
        let explained = folded.ends_in.iter().map(|&end| is_below_named[end]).collect();
        Search {
            compared,
            folded,
            judged,
            level,
            found,
            found_below,
            all_of,
            row_of,
            own_delta,
            explained,
        }
    }

    /// The places, those that changed most first.
    pub fn run(mut self) -> Vec<PlaceChange> {
        let in_tree = self.places_in_the_tree();
        let all: Vec<NodeId> = in_tree.iter().flat_map(|(_, nodes)| nodes).copied().collect();
        self.explain_below(&all);
        let words = |(place, nodes): (PlaceChange, Vec<NodeId>)| PlaceChange {
            inside: self.inside(&nodes, place.symbol),
            ..place
        };
        let mut places: Vec<PlaceChange> =
            in_tree.into_iter().take(MAX_PLACES).map(words).collect();
        self.add_moved(&mut places);
        self.add_functions_themselves(&mut places);
        self.add_functions(&mut places);
        if self.compared.full {
            self.mark_followers(&mut places);
        }
        let follows = |place: &PlaceChange| place.follows == Some(Follows::Certainly);
        places.sort_by(|a, b| {
            let size = |place: &PlaceChange| place.change.delta().abs();
            follows(a).cmp(&follows(b)).then_with(|| size(b).total_cmp(&size(a)))
        });
        places.truncate(MAX_PLACES);
        places
    }

    fn node(&self, id: NodeId) -> &'s Node {
        &self.folded.tree.nodes[id]
    }

    /// What changed in one place, or in all places of a function, each with its nodes;
    /// what changed most comes first.
    fn places_in_the_tree(&self) -> Vec<(PlaceChange, Vec<NodeId>)> {
        let mut changed = self.changed_nodes();
        let mut places = Vec::new();
        for (symbol, nodes) in self.in_common(&changed) {
            let still: Vec<NodeId> = nodes
                .iter()
                .filter(|(from, _)| changed.contains(from))
                .map(|node| node.1)
                .collect();
            if let Some(place) = self.everywhere(symbol, &still) {
                let all = 0..self.folded.tree.nodes.len();
                let all = all.filter(|&id| self.node(id).symbol == symbol);
                changed.retain(|id| !nodes.iter().any(|(from, _)| from == id));
                places.push((place, all.collect()));
            }
        }
        let mut taken: FxHashSet<NodeId> = FxHashSet::default();
        for id in changed {
            let responsible = self.responsible(id);
            if taken.insert(responsible) {
                places.push((self.place(responsible), vec![responsible]));
            }
        }
        let size = |place: &PlaceChange| place.change.delta().abs();
        places.sort_by(|(a, _), (b, _)| size(b).total_cmp(&size(a)));
        places
    }

    /// Functions that these nodes are, or are nearly all of: those of most nodes that
    /// changed in one direction first. Each with the nodes, and the function's.
    fn in_common(&self, changed: &[NodeId]) -> Vec<(SymbolId, Vec<(NodeId, NodeId)>)> {
        let mut nodes_of: FxHashMap<(SymbolId, bool), Vec<(NodeId, NodeId)>> = FxHashMap::default();
        for &from in changed {
            let is_more = self.judged[from].delta() > 0.0;
            let (mut id, mut seen) = (self.innermost(from), FxHashSet::default());
            while is_function(self.node(id).kind) {
                let symbol = self.node(id).symbol;
                if seen.insert(symbol) {
                    nodes_of.entry((symbol, is_more)).or_default().push((from, id));
                }
                let parent = self.node(id).parent;
                if !self.is_nearly_all(id, parent) {
                    break;
                }
                id = parent;
            }
        }
        let functions = nodes_of.into_iter().map(|((symbol, _), nodes)| (symbol, nodes));
        let mut functions: Vec<_> = functions.collect();
        functions.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.cmp(b)));
        functions
    }

    /// The nodes to which changes belong.
    fn changed_nodes(&self) -> Vec<NodeId> {
        let (mut pending, mut changed) = (vec![ROOT], Vec::new());
        while let Some(id) = pending.pop() {
            let children = self.node(id).children.iter().copied();
            let below: Vec<NodeId> = children.filter(|&child| self.found_below[child]).collect();
            let goes_on = below.iter().any(|&child| self.is_nearly_all(child, id));
            if self.found[id] && !goes_on && (below.is_empty() || self.changed_alike(id)) {
                changed.push(id);
            } else {
                pending.extend(below);
            }
        }
        changed
    }

    /// Whether all parts of a node changed by the same factor, as far as can be told.
    fn changed_alike(&self, id: NodeId) -> bool {
        let change = &self.judged[id];
        let Some(ratio) = change.ratio() else { return true };
        let mut parts = self.node(id).children.clone();
        while let Some(part) = parts.pop() {
            let [before, after] = self.judged[part].values;
            let expected = (ratio - 1.0) * before;
            let tolerated = half_interval(&self.judged[part]).max(ALIKE * expected.abs());
            if (after - before - expected).abs() > tolerated.max(self.compared.least) {
                return false;
            }
            parts.extend(&self.node(part).children);
        }
        true
    }

    /// Whether a part is nearly all of a node, on both sides.
    fn is_nearly_all(&self, part: NodeId, of: NodeId) -> bool {
        let (part, of) = (self.judged[part].values, self.judged[of].values);
        (0..2).all(|side| part[side] >= NEARLY_ALL * of[side])
    }

    /// The last of the nodes that are nearly all of this one.
    fn innermost(&self, from: NodeId) -> NodeId {
        let mut id = from;
        loop {
            let mut children = self.node(id).children.iter();
            match children.find(|&&child| self.is_nearly_all(child, id)) {
                Some(&child) => id = child,
                None => return id,
            }
        }
    }

    /// The node itself, or the one that calls it if other callers of the same function
    /// have not changed: then it is called more or less, and costs what it did.
    fn responsible(&self, from: NodeId) -> NodeId {
        let mut id = from;
        loop {
            let node = self.node(id);
            let [here, above] =
                [id, node.parent].map(|id| self.judged[id].values.iter().sum::<f64>());
            let all = self.all_of.get(&node.symbol).map_or(here, |all| all.iter().sum());
            let is_elsewhere = all - here >= ELSEWHERE * all && !self.is_own_part(id);
            let parent = node.parent;
            let can_be = is_function(self.node(parent).kind) && self.found[parent];
            if !is_elsewhere || !can_be || here < MOST * above {
                return id;
            }
            id = parent;
        }
    }

    fn is_own_part(&self, id: NodeId) -> bool {
        is_own_part(&self.folded.tree.nodes, self.node(id))
    }

    /// The function as a place, if these nodes are most of it or the others changed like
    /// them.
    fn everywhere(&self, symbol: SymbolId, nodes: &[NodeId]) -> Option<PlaceChange> {
        let all = *self.all_of.get(&symbol)?;
        let here = [0, 1].map(|side| nodes.iter().map(|&id| self.judged[id].values[side]).sum());
        let row = &self.compared.rows[*self.row_of.get(&symbol)?];
        let sum = |values: [f64; 2]| values[0] + values[1];
        let are_most = nodes.len() > 1 && sum(here) >= EVERYWHERE * sum(all);
        let rest = [0, 1].map(|side: usize| all[side] - here[side]);
        let factor = |values: [f64; 2]| (values[1] / values[0]).ln();
        let is_like_here = factor(rest) / factor(here) >= MOST;
        let is_all = are_most || (sum(rest) >= ELSEWHERE * sum(all) && is_like_here);
        if nodes.is_empty() || !is_all || !self.is_changed(symbol, &row.total) {
            return None;
        }
        let own = nodes.iter().all(|&id| self.is_own_part(id)) && self.is_found(&row.self_);
        let callers = self.callers(symbol);
        Some(PlaceChange {
            symbol,
            at: if own { At::EverywhereItself(callers) } else { At::Everywhere(callers) },
            change: if own { row.self_ } else { row.total },
            inside: None,
            follows: None,
        })
    }

    fn is_found(&self, change: &Change) -> bool {
        is_found(change, self.level)
    }

    /// Whether a function costs more or less, and has not only another name.
    fn is_changed(&self, symbol: SymbolId, change: &Change) -> bool {
        self.is_found(change) && !self.compared.findings.explains(symbol)
    }

    /// By how many functions one is called.
    fn callers(&self, symbol: SymbolId) -> usize {
        let nodes = &self.compared.tree.nodes;
        let function = self.row_of.get(&symbol).map(|&row| &self.compared.functions[row]);
        let outermost = function.into_iter().flat_map(|function| &function.outermost);
        let callers: FxHashSet<SymbolId> =
            outermost.map(|&id| nodes[nodes[id].parent].symbol).collect();
        callers.len()
    }

    fn place(&self, id: NodeId) -> PlaceChange {
        let node = self.node(id);
        // What a function costs itself is below the function.
        let outer = if self.is_own_part(id) { node.parent } else { id };
        let caller = self.node(self.node(outer).parent);
        let caller = is_function(caller.kind).then_some(caller.symbol);
        PlaceChange {
            symbol: node.symbol,
            at: At::CalledBy(caller),
            change: self.judged[id],
            inside: None,
            follows: None,
        }
    }

    /// In which function most of the change of nodes is. If it is the own function, there
    /// are others that it could be.
    fn inside(&self, nodes: &[NodeId], symbol: SymbolId) -> Option<(SymbolId, f64)> {
        let is_below = self.below(nodes);
        let whole = &self.compared.tree.nodes;
        let (mut of, mut all) = (FxHashMap::<SymbolId, f64>::default(), 0.0);
        let ends = self.folded.ends_in.iter().enumerate();
        for (id, _) in ends.filter(|&(_, &end)| is_below[end]) {
            let delta = self.own_delta[id];
            all += delta;
            *of.entry(whole[self.compared.owners[id]].symbol).or_default() += delta;
        }
        let several = of.len() > 1;
        let (function, delta) = of.into_iter().max_by(|a, b| {
            let along = |delta: f64| delta * all.signum();
            along(a.1).total_cmp(&along(b.1)).then_with(|| b.0.cmp(&a.0))
        })?;
        let share = delta / all;
        (all != 0.0 && share >= MOST && (several || function != symbol))
            .then_some((function, share.min(1.0)))
    }

    /// Of each node of the folded tree, whether it is one of these or below.
    fn below(&self, nodes: &[NodeId]) -> Vec<bool> {
        let tree = &self.folded.tree.nodes;
        let mut is_below = vec![false; tree.len()];
        nodes.iter().for_each(|&id| is_below[id] = true);
        for id in ROOT + 1..tree.len() {
            is_below[id] |= is_below[tree[id].parent];
        }
        is_below
    }

    fn explain_below(&mut self, nodes: &[NodeId]) {
        let is_below = self.below(nodes);
        for (explained, &end) in self.explained.iter_mut().zip(&self.folded.ends_in) {
            *explained |= is_below[end];
        }
    }

    /// Adds functions that are called from elsewhere, and cost more or less as well.
    fn add_moved(&self, places: &mut Vec<PlaceChange>) {
        for moved in &self.compared.findings.moved {
            let Some(&row) = self.row_of.get(&moved.symbol) else { continue };
            let FunctionChange { symbol, total: change, .. } = self.compared.rows[row];
            if self.is_changed(symbol, &change) {
                let at = At::Everywhere(self.callers(symbol));
                places.push(PlaceChange { symbol, at, change, inside: None, follows: None });
            }
        }
    }

    /// Adds functions that cost more or less themselves, in places each of which is too
    /// small to be told.
    fn add_functions_themselves(&mut self, places: &mut Vec<PlaceChange>) {
        let compared = self.compared;
        let mut row_of_node = vec![None; compared.tree.nodes.len()];
        for (row, function) in compared.functions.iter().enumerate() {
            function.all.iter().for_each(|&id| row_of_node[id] = Some(row));
        }
        let mut unexplained = vec![0.0; compared.rows.len()];
        for (id, &owner) in compared.owners.iter().enumerate() {
            if let Some(row) = row_of_node[owner].filter(|_| !self.explained[id]) {
                unexplained[row] += self.own_delta[id];
            }
        }
        let mut is_place = vec![false; compared.rows.len()];
        for (row, unexplained) in unexplained.into_iter().enumerate() {
            let FunctionChange { symbol, self_: change, .. } = compared.rows[row];
            if !self.is_changed(symbol, &change) || !self.is_most(unexplained, &change) {
                continue;
            }
            is_place[row] = true;
            let at = At::EverywhereItself(self.callers(symbol));
            places.push(PlaceChange { symbol, at, change, inside: None, follows: None });
        }
        for (id, &owner) in compared.owners.iter().enumerate() {
            self.explained[id] |= row_of_node[owner].is_some_and(|row| is_place[row]);
        }
    }

    /// Adds functions that, with what they call, cost more or less for no reason that was
    /// found: those that changed by the largest factor first, as those above them did by a
    /// smaller one.
    fn add_functions(&mut self, places: &mut Vec<PlaceChange>) {
        let compared = self.compared;
        let nodes = &compared.tree.nodes;
        let factor = |change: &Change| match change.values {
            [before, after] if before > 0.0 && after > 0.0 => (after / before).ln().abs(),
            _ => f64::INFINITY,
        };
        let mut rows: Vec<usize> = (0..compared.rows.len())
            .filter(|&row| {
                let FunctionChange { symbol, total, .. } = &compared.rows[row];
                self.is_changed(*symbol, total)
            })
            .collect();
        rows.sort_by(|&a, &b| {
            let [a, b] = [a, b].map(|row| &compared.rows[row].total);
            let size = |change: &Change| change.delta().abs();
            factor(b).total_cmp(&factor(a)).then_with(|| size(b).total_cmp(&size(a)))
        });
        while places.len() < MAX_PLACES {
            // By node, what nothing explains of what ends there or below.
            let mut unexplained: Vec<f64> = (0..nodes.len())
                .map(|id| if self.explained[id] { 0.0 } else { self.own_delta[id] })
                .collect();
            for id in (ROOT + 1..nodes.len()).rev() {
                unexplained[nodes[id].parent] += unexplained[id];
            }
            let found = rows.iter().find(|&&row| {
                let outermost = compared.functions[row].outermost.iter();
                let sum = outermost.map(|&id| unexplained[id]).sum();
                self.is_most(sum, &compared.rows[row].total)
            });
            let Some(&row) = found else { return };
            let mut is_below = vec![false; nodes.len()];
            compared.functions[row].outermost.iter().for_each(|&id| is_below[id] = true);
            for id in ROOT + 1..nodes.len() {
                is_below[id] |= is_below[nodes[id].parent];
                self.explained[id] |= is_below[id];
            }
            let FunctionChange { symbol, total: change, .. } = compared.rows[row];
            let at = At::Everywhere(self.callers(symbol));
            places.push(PlaceChange { symbol, at, change, inside: None, follows: None });
        }
    }

    /// Whether so much is most of a change, and not too little to be of interest.
    fn is_most(&self, delta: f64, change: &Change) -> bool {
        let along = delta * change.delta().signum();
        along >= self.compared.least.max(MOST * change.delta().abs())
    }

    /// Marks what follows from other places where the sum cannot change: the less if it is
    /// what the more leaves to everything else, or the other way round.
    fn mark_followers(&self, places: &mut [PlaceChange]) {
        let is_more = |place: &PlaceChange| place.change.delta() > 0.0;
        let of = |more: bool| places.iter().filter(move |place| is_more(place) == more);
        let follow = |more: bool| {
            // By what factor all that has nothing to do with the others changed.
            let rest = |side: usize| {
                let others = of(!more).map(|place| place.change.values[side]);
                self.judged[ROOT].values[side] - others.sum::<f64>()
            };
            let ratio = rest(1) / rest(0);
            let is_like_rest = |place: &PlaceChange| {
                let [before, after] = place.change.values;
                let tolerated = half_interval(&place.change).max(self.compared.least);
                (after - ratio * before).abs() <= tolerated
            };
            ratio.is_finite() && of(more).all(is_like_rest)
        };
        let [less, more] = [false, true].map(|more| of(more).count());
        if less == 0 || more == 0 {
            return;
        }
        let (follows, how) = match (follow(false), follow(true)) {
            (true, false) => (false, Follows::Certainly),
            (false, true) => (true, Follows::Certainly),
            // That several changed by one factor is no chance.
            (true, true) if less != more => (more > less, Follows::Certainly),
            (true, true) => (false, Follows::Perhaps),
            (false, false) => return,
        };
        for place in places.iter_mut().filter(|place| is_more(place) == follows) {
            place.follows = Some(how);
        }
    }
}

/// Whether a node is what the function above it costs itself.
fn is_own_part(nodes: &[Node], node: &Node) -> bool {
    let parent = &nodes[node.parent];
    is_function(node.kind) && is_function(parent.kind) && parent.symbol == node.symbol
}

fn is_found(change: &Change, level: f64) -> bool {
    change.verdict.is_change() && change.test.is_some_and(|test| test.p <= level)
}

/// Half of the interval of a change; 0 if it was not tested.
fn half_interval(change: &Change) -> f64 {
    change.test.map_or(0.0, |test| (test.interval[1] - test.interval[0]) / 2.0)
}
