//! The call tree in which changes are looked for.
//!
//! Recursion is folded: a function below itself is the same place. What is too small
//! for any change in it to be of interest belongs to what called it. What ends in a
//! function that calls others is a leaf of its own, next to these.

use rustc_hash::FxHashMap;

use crate::diff::change::Pair;
use crate::diff::noise::RunSamples;
use crate::model::calltree::{Amount, CallTree, Node, NodeId, NodeKind, ROOT};
use crate::model::symbols::SymbolId;
use crate::model::top::is_function;

/// How far up a function is looked for above itself: stacks can be as deep as a file is
/// long.
const LOOKED_UP: usize = 256;

/// The tree, and what became of the nodes of the one that it was made of.
pub(crate) struct Folded {
    /// Its nodes; parents have smaller ids.
    pub tree: CallTree,
    /// What ends in each node or below, on both sides.
    pub totals: Vec<Pair>,
    /// By node of the other tree: where what ends there ends here.
    pub ends_in: Vec<NodeId>,
}

impl Folded {
    /// Of a tree and what ends in each of its nodes, which counts for its `owner`. Nodes
    /// of which `is_small` says so are not kept.
    pub fn new(
        whole: &CallTree,
        owners: &[NodeId],
        own: impl Fn(NodeId) -> Pair,
        is_small: impl Fn(&Pair) -> bool,
    ) -> Self {
        let own: Vec<Pair> = (0..owners.len()).map(own).collect();
        let (nodes, place_of) = without_recursion(whole, &totals(&whole.nodes, &own));
        let mut own_of = vec![Pair::default(); nodes.len()];
        for (own, &owner) in own.iter().zip(owners) {
            add(&mut own_of[place_of[owner]], own);
        }
        let totals = totals(&nodes, &own_of);

        // The nearest node above that is kept, or the node itself.
        let mut kept: Vec<NodeId> = (0..nodes.len()).collect();
        for id in ROOT + 1..nodes.len() {
            if is_small(&totals[id]) {
                kept[id] = kept[nodes[id].parent];
                add_from(&mut own_of, id, kept[id]);
            }
        }
        let mut has_children = vec![false; nodes.len()];
        (ROOT + 1..nodes.len())
            .filter(|&id| kept[id] == id)
            .for_each(|id| has_children[nodes[id].parent] = true);

        let mut new_ids = vec![ROOT; nodes.len()];
        let mut tree = Vec::new();
        for id in (0..nodes.len()).filter(|&id| kept[id] == id) {
            new_ids[id] = tree.len();
            let parent = new_ids[nodes[id].parent];
            tree.push(Node { parent, ..nodes[id].clone() });
        }
        let mut ends = new_ids.clone();
        for id in (0..nodes.len()).filter(|&id| has_children[id] && !is_small(&own_of[id])) {
            // The root has nothing of its own that could be told by name.
            if is_function(nodes[id].kind) {
                ends[id] = tree.len();
                tree.push(Node { parent: new_ids[id], ..nodes[id].clone() });
            }
        }
        for id in ROOT + 1..tree.len() {
            let parent = tree[id].parent;
            tree[parent].children.push(id);
        }
        let mut own_here = vec![Pair::default(); tree.len()];
        for (id, own) in own_of.iter().enumerate().filter(|&(id, _)| kept[id] == id) {
            add(&mut own_here[ends[id]], own);
        }
        let ends_in = owners.iter().map(|&owner| ends[kept[place_of[owner]]]).collect();
        let totals = self::totals(&tree, &own_here);
        Folded { tree: CallTree { nodes: tree, leaves: Vec::new() }, totals, ends_in }
    }

    /// The samples of a run, by the nodes they end in here.
    pub fn samples<'a>(&self, run: &RunSamples<'a>) -> RunSamples<'a> {
        let leaves = run.leaves.iter().map(|&leaf| self.ends_in[leaf]).collect();
        RunSamples { profile: run.profile, event: run.event, leaves, exposure: run.exposure }
    }
}

/// The nodes of a tree without those that are below their own function, and without
/// processes that are on one side only, which have another name on the other one; and
/// which of them each has become. They have neither children nor sums yet.
fn without_recursion(whole: &CallTree, totals: &[Pair]) -> (Vec<Node>, Vec<NodeId>) {
    let mut nodes: Vec<Node> = Vec::new();
    let mut place_of: Vec<NodeId> = Vec::with_capacity(whole.nodes.len());
    let mut known: FxHashMap<(NodeId, SymbolId, bool), NodeId> = FxHashMap::default();
    for (id, node) in whole.nodes.iter().enumerate() {
        let parent = if id == ROOT { ROOT } else { place_of[node.parent] };
        let on_both_sides = totals[id].iter().all(|amount| amount.samples > 0);
        if matches!(node.kind, NodeKind::Process | NodeKind::Source) && !on_both_sides {
            place_of.push(parent);
            continue;
        }
        let folds = is_function(node.kind);
        let above = || above(&nodes, parent, node.symbol);
        let place = match folds.then(above).flatten() {
            Some(place) => place,
            None => *known.entry((parent, node.symbol, folds)).or_insert_with(|| {
                let (self_, total) = (Amount::default(), Amount::default());
                nodes.push(Node { parent, children: Vec::new(), self_, total, ..node.clone() });
                nodes.len() - 1
            }),
        };
        place_of.push(place);
    }
    (nodes, place_of)
}

/// The node of a function among a node and those above it.
fn above(nodes: &[Node], from: NodeId, symbol: SymbolId) -> Option<NodeId> {
    let mut id = from;
    for _ in 0..LOOKED_UP {
        let node = nodes.get(id)?;
        if id == ROOT {
            return None;
        }
        if node.symbol == symbol && is_function(node.kind) {
            return Some(id);
        }
        id = node.parent;
    }
    None
}

/// What ends in nodes or below, from what ends in them.
fn totals(nodes: &[Node], own: &[Pair]) -> Vec<Pair> {
    let mut totals = own.to_vec();
    for id in (ROOT + 1..nodes.len()).rev() {
        add_from(&mut totals, id, nodes[id].parent);
    }
    totals
}

fn add_from(pairs: &mut [Pair], from: NodeId, to: NodeId) {
    let pair = pairs[from];
    add(&mut pairs[to], &pair);
}

fn add(sum: &mut Pair, pair: &Pair) {
    sum.iter_mut().zip(pair).for_each(|(sum, &amount)| sum.add(amount));
}
