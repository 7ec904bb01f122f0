//! Merges the stacks that read the same once each frame is reduced to a label.
//!
//! A profile's stacks differ by code address. Text formats show names, so many
//! of these stacks become equal; in this tree they are one node.

use rustc_hash::FxHashMap;

use rz_profile::model::{Location, Profile, StackId};

/// What a frame is reduced to. Siblings are ordered by it.
pub(super) type Label = u32;

/// Index of a node; a node's parent has a smaller one.
pub(super) type NodeId = u32;

/// The stacks of a profile as a tree of labels, numbered depth first with
/// siblings in the order of their labels. Sorting by node therefore sorts
/// stacks by their labels, root first.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    node_of_stack: Vec<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Node {
    parent: Option<NodeId>,
    label: Label,
}

impl Tree {
    /// Builds the tree; `label` is given a location and the index of one of
    /// its lines.
    pub(super) fn build(profile: &Profile, label: impl Fn(&Location, usize) -> Label) -> Tree {
        let mut nodes = Vec::new();
        let mut known = FxHashMap::default();
        let mut node_of_stack: Vec<NodeId> = Vec::with_capacity(profile.stacks.len());
        for stack in &profile.stacks {
            let location = &profile.locations[stack.location];
            let mut parent = stack.parent.map(|stack| node_of_stack[stack]);
            for line in (1..location.lines.len()).rev() {
                let node = Node { parent, label: label(location, line) };
                parent = Some(intern(&mut nodes, &mut known, node));
            }
            let node = Node { parent, label: label(location, 0) };
            node_of_stack.push(intern(&mut nodes, &mut known, node));
        }
        let ranks = depth_first_ranks(&nodes);
        let mut ranked = nodes.clone();
        for (node, &rank) in nodes.iter().zip(&ranks) {
            let parent = node.parent.map(|parent| ranks[parent as usize]);
            ranked[rank as usize] = Node { parent, label: node.label };
        }
        for node in &mut node_of_stack {
            *node = ranks[*node as usize];
        }
        Tree { nodes: ranked, node_of_stack }
    }

    /// The node of a profile's stack.
    pub(super) fn node_of(&self, stack: StackId) -> NodeId {
        self.node_of_stack[stack]
    }

    /// Parent and label of every node, callers before those that they call.
    pub(super) fn nodes(&self) -> impl ExactSizeIterator<Item = (Option<NodeId>, Label)> {
        self.nodes.iter().map(|node| (node.parent, node.label))
    }

    /// The labels from a node up to its root.
    pub(super) fn path(&self, node: Option<NodeId>) -> impl Iterator<Item = Label> {
        let mut next = node;
        std::iter::from_fn(move || {
            let node = self.nodes[next? as usize];
            next = node.parent;
            Some(node.label)
        })
    }

    /// For every node, the sum of `size` over its path.
    pub(super) fn path_sums(&self, size: impl Fn(Label) -> u64) -> Vec<u64> {
        let mut sums: Vec<u64> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let above = node.parent.map_or(0, |parent| sums[parent as usize]);
            sums.push(above + size(node.label));
        }
        sums
    }
}

fn intern(nodes: &mut Vec<Node>, known: &mut FxHashMap<Node, NodeId>, node: Node) -> NodeId {
    *known.entry(node).or_insert_with(|| {
        nodes.push(node);
        (nodes.len() - 1) as NodeId
    })
}

/// The position of every node when the tree is walked depth first.
fn depth_first_ranks(nodes: &[Node]) -> Vec<NodeId> {
    let mut sizes = vec![1; nodes.len()];
    for (id, node) in nodes.iter().enumerate().rev() {
        if let Some(parent) = node.parent {
            sizes[parent as usize] += sizes[id];
        }
    }
    // By parent first: a parent, having the smaller id, is ranked before any
    // of its children asks for a place below it.
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_unstable_by_key(|&id| nodes[id]);
    let mut ranks = vec![0; nodes.len()];
    let mut next_root = 0;
    let mut next_child = vec![0; nodes.len()];
    for id in order {
        let next = match nodes[id].parent {
            Some(parent) => &mut next_child[parent as usize],
            None => &mut next_root,
        };
        ranks[id] = *next;
        *next += sizes[id];
        next_child[id] = ranks[id] + 1;
    }
    ranks
}

/// Sorts entries by their key and adds up those with equal keys.
pub(super) fn sum_by_key<K: Ord + Copy>(entries: &mut Vec<(K, u64)>) {
    entries.sort_unstable_by_key(|&(key, _)| key);
    entries.dedup_by(|later, first| {
        let equal = later.0 == first.0;
        if equal {
            first.1 += later.1;
        }
        equal
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::model::{Line, StackNode};

    #[test]
    fn stacks_merge_by_label_in_depth_first_order() {
        // Locations 0 and 1 share function 9; location 2 has 7 inlined in 8.
        let lines = |functions: &[usize]| {
            let line = |&function| Line { function, ..Line::default() };
            Location { lines: functions.iter().map(line).collect(), ..Location::default() }
        };
        let node = |parent, location| StackNode { parent, location };
        let profile = Profile {
            locations: vec![lines(&[9]), lines(&[9]), lines(&[7, 8])],
            stacks: vec![node(None, 0), node(None, 1), node(Some(1), 0), node(Some(0), 2)],
            ..Profile::default()
        };
        let tree = Tree::build(&profile, |location, line| location.lines[line].function as Label);
        assert_eq!(tree.node_of_stack, [0, 0, 3, 2]);
        assert_eq!(tree.path(Some(2)).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(tree.path(Some(3)).collect::<Vec<_>>(), [9, 9]);
        assert_eq!(tree.path(None).count(), 0);
        assert_eq!(tree.path_sums(u64::from), [9, 17, 24, 18]);
    }

    #[test]
    fn equal_keys_are_added_up() {
        let mut entries = vec![(2, 1), (1, 5), (2, 3)];
        sum_by_key(&mut entries);
        assert_eq!(entries, [(1, 5), (2, 4)]);
    }
}
