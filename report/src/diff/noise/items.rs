//! The sums of a comparison, and how samples add to them.

use crate::diff::change::Pair;
use crate::model::calltree::{CallTree, NodeId, ROOT};
use crate::model::top::FunctionNodes;

/// What sums are made of: for each node of a tree one of all that ends there
/// or below, and for each function one of what ends in it and one of what ends
/// in it or below.
pub(crate) struct Items<'t> {
    pub(super) tree: &'t CallTree,
    /// By node: the item of its function's own sum.
    own: Vec<Option<usize>>,
    /// By node, if it is its function's outermost: the item of the function's total.
    total: Vec<Option<usize>>,
    functions: usize,
}

impl<'t> Items<'t> {
    /// What ends in a node is the own sum of the function of its `owner`.
    pub fn new(tree: &'t CallTree, functions: &[FunctionNodes], owners: &[NodeId]) -> Self {
        let nodes = tree.nodes.len();
        let (mut function_of, mut total) = (vec![None; nodes], vec![None; nodes]);
        for (index, function) in functions.iter().enumerate() {
            function.all.iter().for_each(|&id| function_of[id] = Some(nodes + index));
            let index = nodes + functions.len() + index;
            function.outermost.iter().for_each(|&id| total[id] = Some(index));
        }
        let own = owners.iter().map(|&owner| function_of[owner]).collect();
        Items { tree, own, total, functions: functions.len() }
    }

    /// What ends in nodes, by the own sum that it belongs to.
    pub fn own_sums(&self, of: impl Fn(NodeId) -> Pair) -> Vec<Pair> {
        let mut sums = vec![Pair::default(); self.functions];
        for (node, item) in self.own.iter().enumerate() {
            if let Some(item) = item {
                let sum = &mut sums[item - self.tree.nodes.len()];
                sum.iter_mut().zip(of(node)).for_each(|(sum, amount)| sum.add(amount));
            }
        }
        sums
    }

    pub fn len(&self) -> usize {
        self.tree.nodes.len() + 2 * self.functions
    }

    /// The items of nodes, of functions' own sums, and of functions' totals.
    pub fn families(&self) -> [std::ops::Range<usize>; 3] {
        let nodes = self.tree.nodes.len();
        let own = nodes + self.functions;
        [0..nodes, nodes..own, own..self.len()]
    }
}

/// A weight that ends in a node.
pub(super) type Leaf = (NodeId, f64);

/// Adds up what belongs together, item by item, touching only what is there.
pub(super) struct Adder<'i> {
    pub items: &'i Items<'i>,
    sums: Vec<f64>,
    is_touched: Vec<bool>,
    touched: Vec<usize>,
}

impl<'i> Adder<'i> {
    pub fn new(items: &'i Items<'i>) -> Self {
        let (sums, is_touched) = (vec![0.0; items.len()], vec![false; items.len()]);
        Adder { items, sums, is_touched, touched: Vec::new() }
    }

    fn touch(&mut self, item: usize) -> bool {
        let is_new = !std::mem::replace(&mut self.is_touched[item], true);
        if is_new {
            self.touched.push(item);
        }
        is_new
    }

    /// Calls `each` with every item that these add to, and its sum.
    pub fn add(&mut self, leaves: &[Leaf], mut each: impl FnMut(usize, f64)) {
        let items = self.items;
        for &(leaf, weight) in leaves {
            let mut node = leaf;
            while self.touch(node) && node != ROOT {
                node = items.tree.nodes[node].parent;
            }
            self.sums[leaf] += weight;
        }
        // So far there are nodes only. Children have larger ids, and come first.
        if self.touched.len() > items.tree.nodes.len() / 16 {
            let is_touched = &self.is_touched[..items.tree.nodes.len()];
            self.touched.clear();
            self.touched.extend((0..is_touched.len()).rev().filter(|&node| is_touched[node]));
        } else {
            self.touched.sort_unstable_by(|a, b| b.cmp(a));
        }
        for &(leaf, weight) in leaves {
            if let Some(item) = items.own[leaf] {
                self.touch(item);
                self.sums[item] += weight;
            }
        }
        let mut next = 0;
        while next < self.touched.len() {
            let node = self.touched[next];
            next += 1;
            if node >= items.tree.nodes.len() {
                continue;
            }
            let sum = self.sums[node];
            if node != ROOT {
                self.sums[items.tree.nodes[node].parent] += sum;
            }
            if let Some(item) = items.total[node] {
                self.touch(item);
                self.sums[item] += sum;
            }
        }
        for item in self.touched.drain(..) {
            each(item, std::mem::take(&mut self.sums[item]));
            self.is_touched[item] = false;
        }
    }
}
