//! Where in its source each function of a stack is: the call tree once more, with a node
//! for each line. What is summed up by the nodes of this tree can be summed up by those
//! of the call tree and by lines alike, whatever is selected.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use rz_profile::model::{FunctionId, Profile, StackId};

use super::columns::Column;
use crate::model::calltree::{NodeId, ROOT};

/// Index of a node of this tree.
pub(super) type LineNode = usize;

/// A line of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    /// The number of its file, from 1; 0 if there is none.
    file: usize,
    /// The line; 0 if unknown.
    line: u32,
    /// Whether the function is inlined into its caller there.
    inlined: bool,
}

/// A node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    parent: LineNode,
    /// The one of the call tree.
    node: NodeId,
    place: Place,
}

/// The nodes, those of one node of the call tree behind each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lines {
    nodes: Vec<Node>,
    /// The first one of each node of the call tree, and how many there are.
    first: Vec<LineNode>,
    /// The sources that places are in.
    files: Vec<String>,
}

/// What is to be known of a source to find its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source<'l> {
    /// As it was recorded; may be empty.
    pub(super) file: &'l str,
    /// The lines that stacks go through.
    pub(super) lines: BTreeSet<u32>,
}

impl Lines {
    /// The lines of all `files`.
    pub(super) fn sources(&self) -> Vec<Source<'_>> {
        let files = self.files.iter();
        let mut sources: Vec<Source<'_>> =
            files.map(|file| Source { file, lines: BTreeSet::new() }).collect();
        for Node { place, .. } in &self.nodes {
            if place.file > 0 && place.line > 0 {
                sources[place.file - 1].lines.insert(place.line);
            }
        }
        sources
    }

    /// Whether any line is known.
    pub(super) fn any(&self) -> bool {
        self.nodes.iter().any(|node| node.place.line > 0)
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node of the call tree that one stands for.
    pub(super) fn node_of(&self, id: LineNode) -> NodeId {
        self.nodes[id].node
    }

    /// For each file, how many of `counts` (by node) enter it: a number to tell what
    /// matters most.
    pub(super) fn by_file(&self, mut counts: Vec<u64>) -> Vec<u64> {
        let mut sums = vec![0_u64; self.files.len()];
        for (id, &Node { parent, place, .. }) in self.nodes.iter().enumerate().skip(1).rev() {
            counts[parent] = counts[parent].saturating_add(counts[id]);
            if place.file > 0 && place.file != self.nodes[parent].place.file {
                let sum = &mut sums[place.file - 1];
                *sum = sum.saturating_add(counts[id]);
            }
        }
        sums
    }

    /// How many nodes each node of the call tree has; of each of these the number among
    /// those of its parent, and the number of its place among those of its function; of
    /// each function how many places it has; of each of those the file, and the line with
    /// whether it is inlined, as far as it is behind the place before; and which node of
    /// its node in the call tree each of `ends` is. `functions` are those of the nodes of
    /// the call tree, of `count` ones.
    pub(super) fn columns(
        &self,
        functions: &[usize],
        count: usize,
        ends: impl Iterator<Item = LineNode>,
    ) -> [Column; 7] {
        let mut places: Vec<BTreeMap<Place, u64>> = vec![BTreeMap::new(); count];
        for node in &self.nodes {
            places[functions[node.node]].insert(node.place, 0);
        }
        let mut columns: [Column; 7] = Default::default();
        let [counts, parents, numbers, sizes, files, lines, of_ends] = &mut columns;
        let mut last = 0;
        for places in &mut places {
            sizes.push(places.len() as u64);
            for (number, (place, value)) in (0..).zip(places) {
                *value = number;
                files.push(place.file as u64);
                let line = i64::from(place.line) * 2 + i64::from(place.inlined);
                lines.push_signed(line - last);
                last = line;
            }
        }
        let behind_first = |id: LineNode| (id - self.first[self.nodes[id].node]) as u64;
        for of_node in self.first.windows(2) {
            counts.push((of_node[1] - of_node[0]) as u64);
        }
        for node in &self.nodes {
            parents.push(behind_first(node.parent));
            numbers.push(places[functions[node.node]][&node.place]);
        }
        ends.for_each(|end| of_ends.push(behind_first(end)));
        columns
    }
}

/// Makes the tree.
pub(super) struct Growing<'p> {
    profile: &'p Profile,
    /// The parents of the call tree's nodes.
    parents: &'p [NodeId],
    nodes: Vec<Node>,
    known: FxHashMap<(LineNode, NodeId, Place), LineNode>,
    /// By the innermost node of the call tree that a stack has.
    of_stack: FxHashMap<(NodeId, StackId), LineNode>,
    /// All files, in order.
    files: Vec<&'p str>,
    /// The number of each function's file.
    file_of: Vec<usize>,
}

impl<'p> Growing<'p> {
    pub(super) fn new(profile: &'p Profile, parents: &'p [NodeId]) -> Self {
        let root = Node { parent: 0, node: ROOT, place: Place::default() };
        let functions = 0..profile.functions.len();
        let names: Vec<&str> = functions.map(|id| file_of(profile, id)).collect();
        let files: BTreeSet<&str> = names.iter().copied().filter(|name| !name.is_empty()).collect();
        let files: Vec<&str> = files.into_iter().collect();
        // What is not there has no name.
        let number = |name: &&str| files.binary_search(name).map_or(0, |index| index + 1);
        let file_of = names.iter().map(number).collect();
        let (known, of_stack) = Default::default();
        Growing { profile, parents, nodes: vec![root], known, of_stack, files, file_of }
    }

    /// The node in which a stack ends that ends in a node of the call tree.
    pub(super) fn end(&mut self, node: NodeId, stack: Option<StackId>) -> LineNode {
        let profile = self.profile;
        let mut above = node;
        let mut next = stack;
        // What is not known yet: nodes of the call tree with their places, and where a
        // stack begins.
        let mut path: Vec<(NodeId, Place, Option<StackId>)> = Vec::new();
        let mut end = None;
        while let Some(id) = next {
            end = self.of_stack.get(&(above, id)).copied();
            if end.is_some() {
                break;
            }
            let stack = profile.stacks[id];
            let lines = &profile.locations[stack.location].lines;
            for (index, line) in lines.iter().enumerate() {
                let inlined = index + 1 < lines.len();
                let place = Place { file: self.file_of[line.function], line: line.line, inlined };
                path.push((above, place, (index == 0).then_some(id)));
                above = self.parents[above];
            }
            next = stack.parent;
        }
        if end.is_none() {
            // Processes, recordings, and what stands for no stack.
            while above != ROOT {
                path.push((above, Place::default(), None));
                above = self.parents[above];
            }
        }
        let mut at = end.unwrap_or(ROOT);
        for (node, place, stack) in path.into_iter().rev() {
            at = *self.known.entry((at, node, place)).or_insert_with(|| {
                self.nodes.push(Node { parent: at, node, place });
                self.nodes.len() - 1
            });
            if let Some(stack) = stack {
                self.of_stack.insert((node, stack), at);
            }
        }
        at
    }

    /// The tree, and the number that each node of before has there.
    pub(super) fn finish(self) -> (Lines, Vec<LineNode>) {
        let Growing { parents, nodes, files, .. } = self;
        let used: BTreeSet<usize> = nodes.iter().map(|node| node.place.file).collect();
        let used: Vec<usize> = used.into_iter().filter(|&file| file > 0).collect();
        let mut order: Vec<LineNode> = (0..nodes.len()).collect();
        order.sort_by_key(|&id| nodes[id].node);
        // Parents in the call tree come before their children, so theirs are known.
        let mut number_of = vec![0; nodes.len()];
        let mut sorted: Vec<Node> = Vec::with_capacity(nodes.len());
        let mut first = Vec::with_capacity(parents.len() + 1);
        let mut rest = order.as_mut_slice();
        for node in 0..parents.len() {
            first.push(sorted.len());
            let count = rest.iter().take_while(|&&id| nodes[id].node == node).count();
            let (these, others) = rest.split_at_mut(count);
            these.sort_by_key(|&id| (number_of[nodes[id].parent], nodes[id].place));
            for &mut id in these {
                let Node { parent, mut place, .. } = nodes[id];
                number_of[id] = sorted.len();
                place.file = used.binary_search(&place.file).map_or(0, |index| index + 1);
                sorted.push(Node { parent: number_of[parent], node, place });
            }
            rest = others;
        }
        first.push(sorted.len());
        let files = used.into_iter().map(|file| files[file - 1].to_owned()).collect();
        (Lines { nodes: sorted, first, files }, number_of)
    }
}

/// The source of a function. Of a redacted trace, that of native code may have been found
/// on this machine, and tell what the trace does not.
pub(super) fn file_of(profile: &Profile, function: FunctionId) -> &str {
    let function = &profile.functions[function];
    let is_found = !profile.info.redacted.is_empty() && function.module.is_some();
    if is_found { "" } else { &function.file }
}

#[cfg(test)]
mod tests {
    use rz_profile::model::{Location, StackNode};

    use super::super::stacks::Stacks;
    use super::*;
    use crate::fixture::Builder;

    /// Two lines of `main` call `f`, in whose one line `g` is inlined.
    fn two_calls() -> Profile {
        let mut builder = Builder::new();
        let first = builder.stack(&["main", "f", "g_[i]"]);
        builder.sample(0, first, 2);
        let profile = &mut builder.profile;
        profile.functions.iter_mut().for_each(|function| function.file = "/src/a.c".to_owned());
        let [main, inner] = [0, 1];
        profile.locations[main].lines[0].line = 3;
        profile.locations[inner].lines[0].line = 20;
        profile.locations[inner].lines[1].line = 9;
        let mut other: Location = profile.locations[main].clone();
        other.lines[0].line = 5;
        profile.locations.push(other);
        let caller = StackNode { parent: None, location: profile.locations.len() - 1 };
        profile.stacks.push(caller);
        let parent = Some(profile.stacks.len() - 1);
        profile.stacks.push(StackNode { parent, location: inner });
        let second = profile.stacks.len() - 1;
        builder.sample(0, second, 1);
        builder.profile
    }

    fn column(numbers: &[i64]) -> Column {
        let mut column = Column::default();
        numbers.iter().for_each(|&number| column.push(number as u64));
        column
    }

    fn signed(numbers: &[i64]) -> Column {
        let mut column = Column::default();
        numbers.iter().for_each(|&number| column.push_signed(number));
        column
    }

    #[test]
    fn a_node_has_a_line_for_each_call() {
        let mut profile = two_calls();
        let stacks = Stacks::of(&mut profile);
        // The whole, `main`, `f` and `g`: each of the latter in two ways.
        assert_eq!((stacks.len(), stacks.lines.len()), (4, 7));
        let ends = [1, 0].map(|sample: usize| {
            let sample = &profile.samples[sample];
            stacks.end((0, None), sample.thread, sample.stack).unwrap()
        });
        assert_eq!(ends.map(|end| stacks.lines.node_of(end)), [3, 3]);
        let [counts, parents, numbers, sizes, files, lines, of_ends] =
            stacks.lines_of(ends.into_iter());
        assert_eq!(counts, column(&[1, 2, 2, 2]));
        assert_eq!(parents, column(&[0, 0, 0, 0, 1, 0, 1]));
        assert_eq!(numbers, column(&[0, 0, 1, 0, 0, 0, 0]));
        assert_eq!(sizes, column(&[1, 2, 1, 1]));
        assert_eq!(files, column(&[0, 1, 1, 1, 1]));
        // Twice the line, and one more where it is inlined.
        assert_eq!(lines, signed(&[0, 6, 4, 8, 23]));
        assert_eq!(of_ends, column(&[1, 0]));
        let sources = stacks.lines.sources();
        let expected = Source { file: "/src/a.c", lines: [3, 5, 9, 20].into() };
        assert_eq!(sources, [expected]);
    }

    #[test]
    fn without_lines_it_is_the_call_tree() {
        let mut profile = Builder::of(&[("main;f;g_[i]", 2), ("main;h_[k]", 1), ("main", 1)]);
        profile.samples.push(profile.samples[0]);
        profile.samples[3].stack = None;
        let stacks = Stacks::of(&mut profile);
        assert!(!stacks.lines.any());
        assert_eq!(stacks.lines.sources(), []);
        let nodes: Vec<NodeId> = (0..stacks.len()).collect();
        let of_lines = (0..stacks.lines.len()).map(|line| stacks.lines.node_of(line));
        assert_eq!(of_lines.collect::<Vec<_>>(), nodes);
    }

    #[test]
    fn a_redacted_trace_has_no_names_that_were_found_here() {
        let mut profile = two_calls();
        profile.functions[0].module = None;
        profile.functions[0].file = "dir1/file1.py".to_owned();
        profile.info.redacted = vec![("paths".to_owned(), 3)];
        let stacks = Stacks::of(&mut profile);
        let sources = stacks.lines.sources();
        let files: Vec<&str> = sources.iter().map(|source| source.file).collect();
        assert_eq!(files, ["dir1/file1.py"]);
        // Lines are numbers.
        assert!(stacks.lines.any());
    }

    #[test]
    fn a_file_counts_where_it_is_entered() {
        let mut profile = two_calls();
        let function = |name: &str| profile.functions.iter().position(|f| f.name == name).unwrap();
        let g = function("g");
        profile.functions[g].file = "/src/b.h".to_owned();
        let stacks = Stacks::of(&mut profile);
        let mut samples = vec![0; stacks.lines.len()];
        for sample in &profile.samples {
            samples[stacks.end((0, None), sample.thread, sample.stack).unwrap()] += sample.count;
        }
        assert_eq!(stacks.lines.by_file(samples), [3, 3]);
    }
}
