//! The nodes that rows end in, numbered by how often they do: small numbers are many,
//! and take least room.

use super::columns::Column;
use super::lines::{LineNode, Lines};

pub(super) struct Ends {
    nodes: Vec<LineNode>,
    number_of: Vec<usize>,
}

impl Ends {
    /// `nodes`: those of all rows; there are `size` in the tree.
    pub(super) fn of(nodes: impl Iterator<Item = LineNode>, size: usize) -> Self {
        let mut counts = vec![0_u64; size];
        nodes.for_each(|node| counts[node] += 1);
        let mut nodes: Vec<LineNode> = (0..size).filter(|&node| counts[node] > 0).collect();
        nodes.sort_by_key(|&node| std::cmp::Reverse(counts[node]));
        let mut number_of = vec![0; size];
        nodes.iter().enumerate().for_each(|(number, &node)| number_of[node] = number);
        Ends { nodes, number_of }
    }

    /// The number of a node that rows end in.
    pub(super) fn number(&self, node: LineNode) -> usize {
        self.number_of[node]
    }

    /// The nodes, by number.
    pub(super) fn nodes(&self) -> impl Iterator<Item = LineNode> {
        self.nodes.iter().copied()
    }

    /// The nodes of the call tree that they stand for, by number.
    pub(super) fn column(&self, lines: &Lines) -> Column {
        let mut column = Column::default();
        self.nodes().for_each(|node| column.push(lines.node_of(node) as u64));
        column
    }
}
