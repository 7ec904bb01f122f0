//! Adds samples up by the functions that called each other.
//!
//! Top-down, a node is a function as called from the functions above it, and
//! a node's total is its own samples plus those of everything it called.
//! Inverted, the first level is the functions that were running, and a node's
//! children are its callers. Inlined calls are calls like any other.

use rustc_hash::FxHashMap;
use rz_profile::model::{
    CodeTier, EventId, Execution, FrameKind, LocationId, Profile, Sample, StackId, ThreadId,
};
use serde::Serialize;

use crate::model::symbols::{SymbolId, Symbols};

/// Nodes that an inverted tree has before callers are left out: it may have as many as
/// all stacks have frames together, in each of which a function could be another's caller.
const MAX_INVERTED: usize = 1 << 18;

/// Index into [`CallTree::nodes`].
pub type NodeId = usize;

/// The root of every call tree: all samples.
pub const ROOT: NodeId = 0;

/// A number of samples and the sum of their weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Amount {
    /// Number of samples.
    pub samples: u64,
    /// Sum of their weights, in the event's unit.
    pub weight: u64,
}

impl Amount {
    /// All samples of an event.
    pub fn of_event(profile: &Profile, event: EventId) -> Self {
        let mut total = Amount::default();
        samples_of(profile, event).for_each(|sample| total.add(amount_of(sample)));
        total
    }

    /// Adds `other`; sums that a hostile file drives past the end stay there.
    pub fn add(&mut self, other: Amount) {
        self.samples = self.samples.saturating_add(other.samples);
        self.weight = self.weight.saturating_add(other.weight);
    }
}

/// What a node of the tree stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Everything: the root.
    All,
    /// A recording of a merged trace; only under the root.
    Source,
    /// A process; only under the root or a recording.
    Process,
    /// A function called at a place of this kind.
    Frame(FrameKind),
    /// Samples that have no stack at all.
    NoStack,
}

/// A function, as reached by one path of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub symbol: SymbolId,
    /// What it stands for.
    pub kind: NodeKind,
    /// How it ran: inlined if it was wherever it was seen here; of code of a
    /// runtime, in its tier, which is unknown also if not always the same, and
    /// approximate if it once was.
    pub how: Execution,
    /// The node above; the root is its own parent. Always a smaller id,
    /// except for the root.
    pub parent: NodeId,
    /// The nodes below, largest total first.
    pub children: Vec<NodeId>,
    /// Samples that end here.
    pub self_: Amount,
    /// Samples that end here or below.
    pub total: Amount,
}

/// Where a node is in its tree, and what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its function.
    pub symbol: SymbolId,
    /// What it stands for.
    pub kind: NodeKind,
    /// Whether it was inlined wherever it was seen here.
    pub inlined: bool,
    /// The node above; always a smaller id, except for the root.
    pub parent: NodeId,
}

/// How something ran that was seen in both ways.
pub(crate) fn in_both_ways(one: Execution, other: Execution) -> Execution {
    Execution {
        tier: if one.tier == other.tier { one.tier } else { CodeTier::Unknown },
        inlined: one.inlined && other.inlined,
        approximate: one.approximate || other.approximate,
    }
}

impl Node {
    /// The node without its sums.
    pub fn place(&self) -> Place {
        let &Node { symbol, kind, how, parent, .. } = self;
        Place { symbol, kind, inlined: how.inlined, parent }
    }
}

/// Samples of one event, added up by function and caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTree {
    /// The nodes; the first one is the root.
    pub nodes: Vec<Node>,
    /// The node in which each sample of the event ends, in the profile's
    /// order; empty in an inverted tree.
    pub leaves: Vec<NodeId>,
}

/// What stands at the first level of a top-down tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots {
    /// The outermost functions, of all processes together.
    Functions,
    /// Processes by name, each with its outermost functions.
    Processes,
    /// Recordings of a merged trace, each with what else it would have.
    Sources {
        /// Whether that is processes by name.
        processes: bool,
    },
}

impl Roots {
    /// Processes if samples come from processes of different names, else
    /// functions.
    pub fn of(profile: &Profile, event: EventId) -> Self {
        let mut names = samples_of(profile, event).map(|s| process_name(profile, s.thread));
        let first = names.next();
        if names.any(|name| Some(name) != first) { Roots::Processes } else { Roots::Functions }
    }

    /// Recordings if samples come from several, else as [`Roots::of`] says.
    pub fn with_sources(profile: &Profile, event: EventId) -> Self {
        let source = |sample: &Sample| profile.thread(sample.thread).1.source;
        let mut sources = samples_of(profile, event).map(source);
        let first = sources.next();
        let roots = Roots::of(profile, event);
        match sources.any(|source| Some(source) != first) {
            true => Roots::Sources { processes: roots == Roots::Processes },
            false => roots,
        }
    }
}

fn samples_of(profile: &Profile, event: EventId) -> impl Iterator<Item = &Sample> {
    profile.samples.iter().filter(move |sample| sample.event == event)
}

fn process_name(profile: &Profile, thread: ThreadId) -> &str {
    &profile.thread(thread).1.name
}

fn amount_of(sample: &Sample) -> Amount {
    Amount { samples: sample.count, weight: sample.weight }
}

/// A profile with the symbols of its functions: what a tree is built from.
#[derive(Debug, Clone, Copy)]
pub struct TreeInput<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// The event to add up.
    pub event: EventId,
    /// The symbol of each of the profile's functions.
    pub functions: &'a [SymbolId],
}

impl CallTree {
    /// Adds up callers before callees. Takes time and space in proportion to
    /// the profile's distinct stacks.
    pub fn top_down(input: TreeInput<'_>, roots: Roots, symbols: &mut Symbols) -> Self {
        let TreeInput { profile, event, .. } = input;
        let mut tree = Growing::new(symbols);
        let no_stack = symbols.intern("[no stack]", "");
        let mut node_of_stack: FxHashMap<(NodeId, StackId), NodeId> = FxHashMap::default();
        let mut path: Vec<StackId> = Vec::new();
        let source_names: Vec<String> =
            (0..profile.sources.len()).map(|id| profile.source_name(id)).collect();
        for sample in samples_of(profile, event) {
            let mut top = ROOT;
            if let Roots::Sources { .. } = roots {
                let source = profile.thread(sample.thread).1.source;
                let name = source_names.get(source).map_or("", String::as_str);
                top = tree.child(top, Frame::other(symbols.intern(name, ""), NodeKind::Source));
            }
            if let Roots::Processes | Roots::Sources { processes: true } = roots {
                let symbol = symbols.intern(process_name(profile, sample.thread), "");
                top = tree.child(top, Frame::other(symbol, NodeKind::Process));
            }
            // Walk up to the nearest caller that has a node already, then
            // down again, making nodes.
            let mut node = top;
            let mut next = sample.stack;
            while let Some(stack) = next {
                if let Some(&known) = node_of_stack.get(&(top, stack)) {
                    node = known;
                    break;
                }
                path.push(stack);
                next = profile.stacks[stack].parent;
            }
            for stack in path.drain(..).rev() {
                for frame in frames_of(input, profile.stacks[stack].location).rev() {
                    node = tree.child(node, frame);
                }
                node_of_stack.insert((top, stack), node);
            }
            if sample.stack.is_none() {
                node = tree.child(node, Frame::other(no_stack, NodeKind::NoStack));
            }
            tree.nodes[node].self_.add(amount_of(sample));
            tree.leaves.push(node);
        }
        tree.finish()
    }

    /// Adds up callees before callers. Callers of a node whose weight is
    /// below `min_weight` are not followed, which keeps the tree of a deeply
    /// recursive program from growing with the square of its depth; such a
    /// node keeps all its weight as its own. Of a tree that is too large all the same,
    /// callers are left out, which a node stands for.
    pub fn inverted(input: TreeInput<'_>, min_weight: u64, symbols: &mut Symbols) -> Self {
        let TreeInput { profile, event, .. } = input;
        let mut tree = Growing::new(symbols);
        let no_stack = symbols.intern("[no stack]", "");
        let left_out = symbols.intern("[callers left out]", "");
        let mut at_root: Vec<(Amount, Cursor)> = Vec::new();
        for sample in samples_of(profile, event) {
            if sample.stack.is_none() {
                let node = tree.child(ROOT, Frame::other(no_stack, NodeKind::NoStack));
                tree.nodes[node].self_.add(amount_of(sample));
            } else {
                at_root.push((amount_of(sample), Cursor { stack: sample.stack, line: 0 }));
            }
        }
        let mut pending = vec![(ROOT, at_root)];
        while let Some((node, here)) = pending.pop() {
            let mut callers: Vec<(NodeId, Vec<(Amount, Cursor)>)> = Vec::new();
            let mut index_of: FxHashMap<NodeId, usize> = FxHashMap::default();
            for (amount, mut cursor) in here {
                match cursor.next(input) {
                    None => tree.nodes[node].self_.add(amount),
                    Some(frame) => {
                        let caller = tree.child(node, frame);
                        let index = *index_of.entry(caller).or_insert_with(|| {
                            callers.push((caller, Vec::new()));
                            callers.len() - 1
                        });
                        callers[index].1.push((amount, cursor));
                    }
                }
            }
            for (caller, here) in callers {
                let mut sum = Amount::default();
                here.iter().for_each(|&(amount, _)| sum.add(amount));
                if sum.weight >= min_weight && tree.nodes.len() >= MAX_INVERTED {
                    let frame = Frame::other(left_out, NodeKind::NoStack);
                    let node = tree.child(caller, frame);
                    tree.nodes[node].self_.add(sum);
                } else if sum.weight >= min_weight {
                    pending.push((caller, here));
                } else {
                    tree.nodes[caller].self_.add(sum);
                }
            }
        }
        tree.finish()
    }

    /// All samples of the tree.
    pub fn total(&self) -> Amount {
        self.nodes[ROOT].total
    }
}

/// A function at a location.
#[derive(Clone, Copy)]
struct Frame {
    symbol: SymbolId,
    kind: NodeKind,
    how: Execution,
}

impl Frame {
    /// What stands for something else than a function.
    fn other(symbol: SymbolId, kind: NodeKind) -> Self {
        Frame { symbol, kind, how: Execution::default() }
    }
}

/// The functions at a location, leaf first.
fn frames_of(input: TreeInput<'_>, location: LocationId) -> impl DoubleEndedIterator<Item = Frame> {
    let location = &input.profile.locations[location];
    let outermost = location.lines.len().saturating_sub(1);
    location.lines.iter().enumerate().map(move |(i, line)| Frame {
        symbol: input.functions[line.function],
        kind: NodeKind::Frame(location.kind),
        how: Execution { inlined: i < outermost || location.how.inlined, ..location.how },
    })
}

/// A place on the way from a stack's leaf to its root.
#[derive(Clone, Copy)]
struct Cursor {
    stack: Option<StackId>,
    line: usize,
}

impl Cursor {
    fn next(&mut self, input: TreeInput<'_>) -> Option<Frame> {
        loop {
            let stack = input.profile.stacks[self.stack?];
            if let Some(frame) = frames_of(input, stack.location).nth(self.line) {
                self.line += 1;
                return Some(frame);
            }
            *self = Cursor { stack: stack.parent, line: 0 };
        }
    }
}

/// A tree that is still getting nodes.
struct Growing {
    nodes: Vec<Node>,
    children: FxHashMap<(NodeId, SymbolId, NodeKind), NodeId>,
    leaves: Vec<NodeId>,
}

impl Growing {
    fn new(symbols: &mut Symbols) -> Self {
        let root = new_node(Frame::other(symbols.intern("all", ""), NodeKind::All), ROOT);
        Growing { nodes: vec![root], children: FxHashMap::default(), leaves: Vec::new() }
    }

    fn child(&mut self, parent: NodeId, frame: Frame) -> NodeId {
        let id = *self.children.entry((parent, frame.symbol, frame.kind)).or_insert_with(|| {
            self.nodes.push(new_node(frame, parent));
            self.nodes.len() - 1
        });
        self.nodes[id].how = in_both_ways(self.nodes[id].how, frame.how);
        id
    }

    /// Sums totals up from the leaves (children have larger ids than their
    /// parents) and links parents to children.
    fn finish(self) -> CallTree {
        let mut nodes = self.nodes;
        for id in (0..nodes.len()).rev() {
            let own = nodes[id].self_;
            nodes[id].total.add(own);
            if id != ROOT {
                let (total, parent) = (nodes[id].total, nodes[id].parent);
                nodes[parent].total.add(total);
            }
        }
        for id in 1..nodes.len() {
            let parent = nodes[id].parent;
            nodes[parent].children.push(id);
        }
        for id in 0..nodes.len() {
            let mut children = std::mem::take(&mut nodes[id].children);
            children.sort_by_key(|&child| (std::cmp::Reverse(nodes[child].total.weight), child));
            nodes[id].children = children;
        }
        CallTree { nodes, leaves: self.leaves }
    }
}

fn new_node(frame: Frame, parent: NodeId) -> Node {
    let Frame { symbol, kind, how } = frame;
    let (self_, total) = (Amount::default(), Amount::default());
    let children = Vec::new();
    Node { symbol, kind, how, parent, children, self_, total }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    /// The tree as lines of `depth name self/total`, children after parents.
    fn dump(tree: &CallTree, symbols: &Symbols) -> String {
        let mut out = String::new();
        let mut pending = vec![(ROOT, 0)];
        while let Some((id, depth)) = pending.pop() {
            let node = &tree.nodes[id];
            let name = &symbols[node.symbol].name;
            let mark = if node.how.inlined { " inlined" } else { "" };
            let (own, total) = (node.self_.samples, node.total.samples);
            out += &format!("{}{name}{mark} {own}/{total}\n", " ".repeat(depth));
            pending.extend(node.children.iter().rev().map(|&child| (child, depth + 1)));
        }
        out
    }

    fn check_top_down(profile: &Profile, expected: &str) {
        let mut symbols = Symbols::default();
        let functions = symbols.intern_functions(profile);
        let input = TreeInput { profile, event: 0, functions: &functions };
        let tree = CallTree::top_down(input, Roots::of(profile, 0), &mut symbols);
        assert_eq!(dump(&tree, &symbols), expected);
    }

    fn check_inverted(profile: &Profile, min_weight: u64, expected: &str) {
        let mut symbols = Symbols::default();
        let functions = symbols.intern_functions(profile);
        let input = TreeInput { profile, event: 0, functions: &functions };
        let tree = CallTree::inverted(input, min_weight, &mut symbols);
        assert_eq!(dump(&tree, &symbols), expected);
    }

    #[test]
    fn callers_and_callees() {
        let profile = Builder::of(&[("main;a", 3), ("main;a;b", 2), ("main;b", 4), ("main", 1)]);
        check_top_down(&profile, "all 0/10\n main 1/10\n  a 3/5\n   b 2/2\n  b 4/4\n");
        check_inverted(
            &profile,
            0,
            "all 0/10\n b 0/6\n  main 4/4\n  a 0/2\n   main 2/2\n a 0/3\n  main 3/3\n main 1/1\n",
        );
    }

    #[test]
    fn inlined_calls_are_calls() {
        let profile = Builder::of(&[("main;outer;mid_[i];leaf_[i];next", 2), ("main;outer", 1)]);
        check_top_down(
            &profile,
            "all 0/3\n main 0/3\n  outer 1/3\n   mid inlined 0/2\n    leaf inlined 0/2\n     next 2/2\n",
        );
        check_inverted(
            &profile,
            0,
            "all 0/3\n next 0/2\n  leaf inlined 0/2\n   mid inlined 0/2\n    outer 0/2\n     main 2/2\n outer 0/1\n  main 1/1\n",
        );
    }

    #[test]
    fn kernel_frames_are_frames() {
        let profile = Builder::of(&[("main;read;do_syscall_64_[k];copy_[k]", 5)]);
        check_top_down(
            &profile,
            "all 0/5\n main 0/5\n  read 0/5\n   do_syscall_64 0/5\n    copy 5/5\n",
        );
    }

    #[test]
    fn light_callers_are_not_followed() {
        let profile = Builder::of(&[("main;a;x", 9), ("main;b;x", 1), ("main;y", 1)]);
        check_inverted(
            &profile,
            2 * crate::fixture::PERIOD,
            "all 0/11\n x 0/10\n  a 0/9\n   main 9/9\n  b 1/1\n y 1/1\n",
        );
    }

    #[test]
    fn threads_add_up_and_processes_stay_apart() {
        let mut builder = Builder::new();
        let (main, work) = (builder.stack(&["main"]), builder.stack(&["main", "work"]));
        let worker = builder.thread(0, "worker", 4243);
        builder.sample(0, main, 1);
        builder.sample(worker, work, 2);
        check_top_down(&builder.profile, "all 0/3\n main 1/3\n  work 2/2\n");

        let child = builder.process("child", 5000);
        let child = builder.thread(child, "child", 5000);
        builder.sample(child, work, 4);
        builder.sample(child, None, 1);
        check_top_down(
            &builder.profile,
            "all 0/8\n child 0/5\n  main 0/4\n   work 4/4\n  [no stack] 1/1\n app 0/3\n  main 1/3\n   work 2/2\n",
        );
    }
}
