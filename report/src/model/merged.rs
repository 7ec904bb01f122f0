//! Lays several call trees over each other.

use rustc_hash::FxHashMap;

use crate::model::calltree::{Amount, CallTree, Node, NodeId, NodeKind, ROOT, in_both_ways};
use crate::model::symbols::SymbolId;

/// The nodes of several trees as one.
pub(crate) struct Merged {
    /// Every node of any of them, with the sums of all; no leaves, and
    /// children in no particular order.
    pub tree: CallTree,
    /// For each tree, which node each of its nodes has become.
    pub ids: Vec<Vec<NodeId>>,
}

impl Merged {
    /// Nodes are the same if they have the same functions above them.
    pub fn of<'t>(trees: impl Iterator<Item = &'t CallTree>) -> Self {
        let mut ids = Vec::new();
        let mut nodes: Vec<Node> = Vec::new();
        let mut known: FxHashMap<(NodeId, SymbolId, NodeKind), NodeId> = FxHashMap::default();
        for tree in trees {
            // Parents come before their children, so theirs are known by then.
            let mut merged: Vec<NodeId> = Vec::with_capacity(tree.nodes.len());
            for (id, node) in tree.nodes.iter().enumerate() {
                let parent = if id == ROOT { ROOT } else { merged[node.parent] };
                let new = *known.entry((parent, node.symbol, node.kind)).or_insert_with(|| {
                    let (self_, total) = (Amount::default(), Amount::default());
                    let children = Vec::new();
                    nodes.push(Node { parent, children, self_, total, ..node.clone() });
                    nodes.len() - 1
                });
                let target = &mut nodes[new];
                target.how = in_both_ways(target.how, node.how);
                target.self_.add(node.self_);
                target.total.add(node.total);
                merged.push(new);
            }
            ids.push(merged);
        }
        for id in 1..nodes.len() {
            let parent = nodes[id].parent;
            nodes[parent].children.push(id);
        }
        Merged { tree: CallTree { nodes, leaves: Vec::new() }, ids }
    }
}
