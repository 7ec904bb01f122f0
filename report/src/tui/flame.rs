//! A flame graph in cells: the outermost functions at the top, what they called below.

use std::iter::successors;

use rustc_hash::FxHashMap;

use crate::views::tree::TreePage;

/// A function of the graph, where it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Index of the node.
    pub node: usize,
    /// Its row.
    pub depth: usize,
    /// Its first column, and how many it has.
    pub from: u16,
    pub width: u16,
}

/// Where to go from a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To its caller.
    Out,
    /// To what it called most.
    In,
    /// To what is left of it.
    Before,
    /// To what is right of it.
    After,
}

/// Nodes below each node, heaviest first; those at the root are below `None`.
type Below = FxHashMap<Option<usize>, Vec<usize>>;

fn below(tree: &TreePage) -> Below {
    let mut below = Below::default();
    for (id, node) in tree.nodes.iter().enumerate() {
        below.entry(node.parent).or_default().push(id);
    }
    below
}

fn children(below: &Below, node: Option<usize>) -> &[usize] {
    below.get(&node).map_or(&[], Vec::as_slice)
}

fn name(tree: &TreePage, node: usize) -> &str {
    &tree.nodes[node].frame.name
}

/// The nodes along a path of names, as far as there are any.
fn follow(tree: &TreePage, below: &Below, path: &[String]) -> Vec<usize> {
    let mut nodes = Vec::new();
    for wanted in path {
        let next = children(below, nodes.last().copied()).iter();
        let Some(&next) = next.copied().find(|&id| name(tree, id) == wanted).as_ref() else {
            break;
        };
        nodes.push(next);
    }
    nodes
}

/// The node that a path of names leads to, if it is there.
pub fn node_at(tree: &TreePage, path: &[String]) -> Option<usize> {
    let nodes = follow(tree, &below(tree), path);
    nodes.last().copied().filter(|_| nodes.len() == path.len())
}

/// Names from the outermost function to that of a node.
pub fn path_of(tree: &TreePage, node: usize) -> Vec<String> {
    let nodes = successors(Some(node), |&node| tree.nodes.get(node)?.parent);
    let mut path: Vec<String> = nodes.map(|node| name(tree, node).to_owned()).collect();
    path.reverse();
    path
}

/// What is drawn in so many columns of what is below the function that `zoom` leads to: this
/// function and its callers are as wide as all.
pub fn layout(tree: &TreePage, zoom: &[String], width: u16) -> Vec<Frame> {
    let below = below(tree);
    let mut frames = Vec::new();
    let along = follow(tree, &below, zoom);
    for (depth, &node) in along.iter().enumerate() {
        frames.push(Frame { node, depth, from: 0, width });
    }
    let all = match along.last() {
        Some(&node) => tree.nodes[node].total.weight,
        None => tree.total.weight,
    };
    let cells = |weight: u64| (weight as f64 / all.max(1) as f64 * f64::from(width)).round() as u16;
    // Each with what is left of it and has its caller, by weight.
    let mut pending = vec![(along.last().copied(), 0_u64, along.len())];
    while let Some((node, from, depth)) = pending.pop() {
        let mut at = from;
        for &child in children(&below, node) {
            let end = at.saturating_add(tree.nodes[child].total.weight);
            let (left, right) = (cells(at), cells(end).min(width));
            if right > left {
                frames.push(Frame { node: child, depth, from: left, width: right - left });
                pending.push((Some(child), at, depth + 1));
            }
            at = end;
        }
    }
    frames
}

/// The path to a neighbour of the function that `path` leads to; to the same where there is
/// none.
pub fn step(tree: &TreePage, path: &[String], step: Step) -> Vec<String> {
    let below = below(tree);
    let nodes = follow(tree, &below, path);
    let mut path = path[..nodes.len()].to_vec();
    let parent = nodes.len().checked_sub(2).map(|at| nodes[at]);
    let beside = |by: isize| {
        let all = children(&below, parent);
        let at = all.iter().position(|id| Some(id) == nodes.last())?;
        all.get(at.checked_add_signed(by)?).copied()
    };
    match step {
        Step::Out => {
            path.pop();
        }
        Step::In => {
            let first = children(&below, nodes.last().copied()).first();
            path.extend(first.map(|&id| name(tree, id).to_owned()));
        }
        Step::Before | Step::After => {
            if let Some(id) = beside(if step == Step::Before { -1 } else { 1 }) {
                path.pop();
                path.push(name(tree, id).to_owned());
            }
        }
    }
    path
}
