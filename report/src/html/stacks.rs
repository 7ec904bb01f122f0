//! The call trees of all events as one, and lines of its nodes, in which rows of any event
//! end.

use rustc_hash::{FxHashMap, FxHashSet};
use rz_profile::heap::{Metric, show};
use rz_profile::model::{EventId, EventKind, Profile, ThreadId};

use super::columns::Column;
use super::lines::{Growing, LineNode, Lines};
use super::names::{Names, Naming};
use crate::model::calltree::{CallTree, Node, NodeId, ROOT, Roots, TreeInput};
use crate::model::merged::Merged;
use crate::model::symbols::{SymbolId, Symbols};

/// Where samples end, by what their tree begins with and their stack: in nodes of the call
/// tree at first, then in those of lines.
type Leaves = FxHashMap<(usize, Option<usize>), usize>;

/// All nodes, a caller's callees behind it.
pub(super) struct Stacks {
    /// Names of nodes.
    pub(super) names: Names,
    /// Of each node, its parent and frame; the root is its own parent.
    nodes: Vec<(NodeId, usize)>,
    /// Where in their sources nodes are.
    pub(super) lines: Lines,
    leaves: FxHashMap<(EventId, Option<Metric>), Leaves>,
    /// Of each thread, a number for what its trees begin with.
    roots: Vec<usize>,
}

/// What samples a tree or a series is of.
pub(super) type Counted = (EventId, Option<Metric>);

/// All there is to be shown, allocations by each metric.
pub(super) fn all_counted(profile: &Profile) -> Vec<Counted> {
    let metrics = |event: EventId| match profile.events[event].kind {
        EventKind::Alloc => Metric::ALL.map(Some).to_vec(),
        EventKind::Cpu
        | EventKind::OffCpu
        | EventKind::Syscalls
        | EventKind::Functions
        | EventKind::Growth
        | EventKind::Other => vec![None],
        // The page puts it together.
        EventKind::Wall => Vec::new(),
    };
    let events = 0..profile.events.len();
    events.flat_map(|event| metrics(event).into_iter().map(move |m| (event, m))).collect()
}

impl Stacks {
    #[cfg(test)]
    pub(super) fn of(profile: &mut Profile) -> Self {
        Stacks::with(profile, |_| ()).0
    }

    /// And something else that is made of the profile as it is, at the same time. Which
    /// metric allocations show is another one afterwards.
    pub(super) fn with<T: Send>(
        profile: &mut Profile,
        other: impl FnOnce(&Profile) -> T + Send,
    ) -> (Self, T) {
        let (of_metrics, of_events): (Vec<Counted>, Vec<Counted>) =
            all_counted(profile).into_iter().partition(|(_, metric)| metric.is_some());
        let as_it_is: &Profile = profile;
        let (mut trees, other) = std::thread::scope(|scope| {
            let other = scope.spawn(|| other(as_it_is));
            let mut trees = Trees::new(as_it_is);
            of_events.into_iter().for_each(|counted| trees.add(as_it_is, counted));
            (trees, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        for counted in of_metrics {
            if let (_, Some(metric)) = counted {
                show(profile, metric);
            }
            trees.add(profile, counted);
        }
        (trees.merged(profile), other)
    }

    /// Where samples of a thread with a stack end.
    pub(super) fn end(
        &self,
        counted: Counted,
        thread: ThreadId,
        stack: Option<usize>,
    ) -> Option<LineNode> {
        self.leaves.get(&counted)?.get(&(*self.roots.get(thread)?, stack)).copied()
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Where in their sources they are, and which node each of `ends` is.
    pub(super) fn lines_of(&self, ends: impl Iterator<Item = LineNode>) -> [Column; 7] {
        let function = |&(_, frame): &(NodeId, usize)| self.names.function(frame);
        let functions: Vec<usize> = self.nodes.iter().map(function).collect();
        self.lines.columns(&functions, self.names.functions(), ends)
    }

    /// See [`columns_of`].
    pub(super) fn columns(&self) -> [Column; 2] {
        columns_of(self.nodes.iter().copied())
    }
}

/// The call trees, one by one.
struct Trees {
    symbols: Symbols,
    functions: Vec<SymbolId>,
    begin_with: Roots,
    /// Of each thread, a number for what its trees begin with.
    roots: Vec<usize>,
    trees: Vec<CallTree>,
    ends: Vec<(Counted, Leaves)>,
}

impl Trees {
    fn new(profile: &Profile) -> Self {
        let mut symbols = Symbols::default();
        let functions = symbols.intern_functions(profile);
        let begin_with = roots(profile);
        let roots = root_numbers(profile, begin_with);
        Trees { symbols, functions, begin_with, roots, trees: Vec::new(), ends: Vec::new() }
    }

    /// Adds the tree of an event, of the metric that its allocations show.
    fn add(&mut self, profile: &Profile, counted: Counted) {
        let (event, _) = counted;
        let input = TreeInput { profile, event, functions: &self.functions };
        let mut tree = CallTree::top_down(input, self.begin_with, &mut self.symbols);
        let samples = profile.samples.iter().filter(|sample| sample.event == event);
        let keys = samples.map(|sample| (self.roots[sample.thread], sample.stack));
        let leaves: Leaves = keys.zip(std::mem::take(&mut tree.leaves)).collect();
        self.ends.push((counted, leaves));
        self.trees.push(tree);
    }

    fn merged(self, profile: &Profile) -> Stacks {
        let Trees { symbols, roots, trees, mut ends, .. } = self;
        let merged = Merged::of(trees.iter());
        drop(trees);
        let order = depth_first(&merged.tree.nodes);
        let mut place_of = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &node)| place_of[node] = place);
        let mut names = Naming::default();
        let node = |&id: &NodeId| {
            let node = &merged.tree.nodes[id];
            (place_of[node.parent], names.frame((node.symbol, node.kind, node.how), &symbols))
        };
        let nodes: Vec<(NodeId, usize)> = order.iter().map(node).collect();
        let parents: Vec<NodeId> = nodes.iter().map(|&(parent, _)| parent).collect();
        let mut growing = Growing::new(profile, &parents);
        for ((_, leaves), ids) in ends.iter_mut().zip(&merged.ids) {
            for (&(_, stack), end) in leaves {
                *end = growing.end(place_of[ids[*end]], stack);
            }
        }
        let (lines, number_of) = growing.finish();
        let all = ends.iter_mut().flat_map(|(_, leaves)| leaves.values_mut());
        all.for_each(|end| *end = number_of[*end]);
        let leaves = ends.into_iter().collect();
        Stacks { names: names.finish(), nodes, lines, leaves, roots }
    }
}

/// How far before each node its parent is, and how far before the first frame that no node
/// before has its frame is: frames are numbered as they appear.
pub(super) fn columns_of(nodes: impl Iterator<Item = (NodeId, usize)>) -> [Column; 2] {
    let mut columns = [Column::default(), Column::default()];
    let mut next = 0;
    for (id, (parent, frame)) in nodes.enumerate() {
        columns[0].push((id - parent) as u64);
        columns[1].push((next - frame) as u64);
        next = next.max(frame + 1);
    }
    columns
}

/// The same first level for all events, so that their trees are one.
fn roots(profile: &Profile) -> Roots {
    let processes = || profile.samples.iter().map(|sample| profile.thread(sample.thread).1);
    let names: FxHashSet<&str> = processes().map(|process| process.name.as_str()).collect();
    let sources: FxHashSet<usize> = processes().map(|process| process.source).collect();
    match (sources.len() > 1, names.len() > 1) {
        (true, processes) => Roots::Sources { processes },
        (false, true) => Roots::Processes,
        (false, false) => Roots::Functions,
    }
}

/// Numbers threads by what their trees begin with: the same number, the same nodes.
fn root_numbers(profile: &Profile, roots: Roots) -> Vec<usize> {
    let mut numbers: FxHashMap<(Option<usize>, Option<&str>), usize> = FxHashMap::default();
    let number = |thread: ThreadId| {
        let (_, process) = profile.thread(thread);
        let (source, name) = (Some(process.source), Some(process.name.as_str()));
        let next = numbers.len();
        *numbers
            .entry(match roots {
                Roots::Functions => (None, None),
                Roots::Processes => (None, name),
                Roots::Sources { processes } => (source, name.filter(|_| processes)),
            })
            .or_insert(next)
    };
    (0..profile.threads.len()).map(number).collect()
}

/// All nodes, each before what is below it and that before its neighbours.
fn depth_first(nodes: &[Node]) -> Vec<NodeId> {
    let mut order = Vec::with_capacity(nodes.len());
    let mut pending = vec![ROOT];
    while let Some(node) = pending.pop() {
        order.push(node);
        pending.extend(nodes[node].children.iter().rev());
    }
    order
}
