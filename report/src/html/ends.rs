//! The nodes that rows end in, numbered by how often they do: small numbers are many,
//! and take least room.

use super::columns::Column;
use crate::model::calltree::NodeId;

pub(super) struct Ends {
    nodes: Vec<NodeId>,
    number_of: Vec<usize>,
}

impl Ends {
    /// `nodes`: those of all rows; there are `size` in the tree.
    pub(super) fn of(nodes: impl Iterator<Item = NodeId>, size: usize) -> Self {
        let mut counts = vec![0_u64; size];
        nodes.for_each(|node| counts[node] += 1);
        let mut nodes: Vec<NodeId> = (0..size).filter(|&node| counts[node] > 0).collect();
        nodes.sort_by_key(|&node| std::cmp::Reverse(counts[node]));
        let mut number_of = vec![0; size];
        nodes.iter().enumerate().for_each(|(number, &node)| number_of[node] = number);
        Ends { nodes, number_of }
    }

    /// The number of a node that rows end in.
    pub(super) fn number(&self, node: NodeId) -> usize {
        self.number_of[node]
    }

    /// The nodes, by number.
    pub(super) fn column(&self) -> Column {
        let mut column = Column::default();
        self.nodes.iter().for_each(|&node| column.push(node as u64));
        column
    }
}
