//! Sums samples up per function, wherever it was called from.

use rz_profile::model::{Execution, FrameKind};

use crate::model::calltree::{Amount, CallTree, Node, NodeId, NodeKind, ROOT, in_both_ways};
use crate::model::symbols::{SymbolId, Symbols};

/// One function of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionSamples {
    /// The function.
    pub symbol: SymbolId,
    /// What it is where it was seen first.
    pub kind: NodeKind,
    /// How it ran wherever it was seen, of code of a runtime.
    pub how: Execution,
    /// Samples in which it ran itself.
    pub self_: Amount,
    /// Samples in which it was anywhere on the stack, each counted once
    /// however often it recursed.
    pub total: Amount,
}

/// What functions are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortBy {
    /// What they cost themselves.
    #[default]
    SelfWeight,
    /// What they and everything they called cost.
    TotalWeight,
}

/// Every function of a top-down tree, in no particular order. The marks for
/// callers that could not be followed are not functions and are left out.
pub fn functions(tree: &CallTree) -> Vec<FunctionSamples> {
    functions_if(tree, is_function)
}

/// The same without functions of the kernel, which for waits are nearly all
/// the same.
pub fn functions_without_kernel(tree: &CallTree) -> Vec<FunctionSamples> {
    functions_if(tree, |kind| is_function(kind) && kind != NodeKind::Frame(FrameKind::Kernel))
}

/// The nodes of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionNodes {
    /// The function.
    pub symbol: SymbolId,
    /// All of them.
    pub all: Vec<NodeId>,
    /// Those that are below no other one.
    pub outermost: Vec<NodeId>,
}

fn functions_if(tree: &CallTree, is_shown: impl Fn(NodeKind) -> bool) -> Vec<FunctionSamples> {
    let sum = |nodes: &[NodeId], of: fn(&Node) -> Amount| {
        let mut sum = Amount::default();
        nodes.iter().for_each(|&id| sum.add(of(&tree.nodes[id])));
        sum
    };
    let row = |nodes: FunctionNodes| FunctionSamples {
        symbol: nodes.symbol,
        kind: nodes.all.first().map_or(NodeKind::All, |&id| tree.nodes[id].kind),
        how: nodes
            .all
            .iter()
            .map(|&id| tree.nodes[id].how)
            .reduce(in_both_ways)
            .unwrap_or_default(),
        self_: sum(&nodes.all, |node| node.self_),
        total: sum(&nodes.outermost, |node| node.total),
    };
    function_nodes(tree, is_shown).into_iter().map(row).collect()
}

/// The nodes of every function of a top-down tree that is shown, in no
/// particular order.
pub(crate) fn function_nodes(
    tree: &CallTree,
    is_shown: impl Fn(NodeKind) -> bool,
) -> Vec<FunctionNodes> {
    enum Step {
        Enter(usize),
        Leave(usize),
    }
    let symbols = tree.nodes.iter().map(|node| node.symbol + 1).max().unwrap_or(0);
    let mut row_of: Vec<Option<usize>> = vec![None; symbols];
    let mut on_path: Vec<u32> = vec![0; symbols];
    let mut rows: Vec<FunctionNodes> = Vec::new();
    let mut pending = vec![Step::Enter(ROOT)];
    while let Some(step) = pending.pop() {
        match step {
            Step::Leave(id) => on_path[tree.nodes[id].symbol] -= 1,
            Step::Enter(id) => {
                let node = &tree.nodes[id];
                if is_shown(node.kind) {
                    let index = *row_of[node.symbol].get_or_insert_with(|| {
                        let (all, outermost) = (Vec::new(), Vec::new());
                        rows.push(FunctionNodes { symbol: node.symbol, all, outermost });
                        rows.len() - 1
                    });
                    rows[index].all.push(id);
                    if on_path[node.symbol] == 0 {
                        rows[index].outermost.push(id);
                    }
                    on_path[node.symbol] += 1;
                    pending.push(Step::Leave(id));
                }
                pending.extend(node.children.iter().map(|&child| Step::Enter(child)));
            }
        }
    }
    rows
}

pub(crate) fn is_function(kind: NodeKind) -> bool {
    match kind {
        NodeKind::All
        | NodeKind::Source
        | NodeKind::Process
        | NodeKind::Frame(FrameKind::Truncated) => false,
        NodeKind::Frame(_) | NodeKind::NoStack => true,
    }
}

/// Sorts rows, largest first; equal ones by name.
pub fn sort(rows: &mut [FunctionSamples], by: SortBy, symbols: &Symbols) {
    rows.sort_by(|a, b| {
        let key = |row: &FunctionSamples| match by {
            SortBy::SelfWeight => (row.self_.weight, row.total.weight),
            SortBy::TotalWeight => (row.total.weight, row.self_.weight),
        };
        let name = |row: &FunctionSamples| (&symbols[row.symbol].name, &symbols[row.symbol].module);
        key(b).cmp(&key(a)).then_with(|| name(a).cmp(&name(b)))
    });
}

#[cfg(test)]
mod tests {
    use rz_profile::model::Profile;

    use super::*;
    use crate::fixture::Builder;
    use crate::model::calltree::{Roots, TreeInput};

    fn check(profile: &Profile, by: SortBy, expected: &[&str]) {
        let mut symbols = Symbols::default();
        let functions = symbols.intern_functions(profile);
        let input = TreeInput { profile, event: 0, functions: &functions };
        let tree = CallTree::top_down(input, Roots::of(profile, 0), &mut symbols);
        let mut rows = super::functions(&tree);
        sort(&mut rows, by, &symbols);
        let line = |row: &FunctionSamples| {
            let name = &symbols[row.symbol].name;
            format!("{name} {}/{}", row.self_.samples, row.total.samples)
        };
        assert_eq!(rows.iter().map(line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn recursion_counts_once_in_total() {
        let profile = Builder::of(&[
            ("main;fib", 1),
            ("main;fib;fib", 2),
            ("main;fib;fib;leaf;fib", 4),
            ("main;leaf", 1),
        ]);
        check(&profile, SortBy::SelfWeight, &["fib 7/7", "leaf 1/5", "main 0/8"]);
        check(&profile, SortBy::TotalWeight, &["main 0/8", "fib 7/7", "leaf 1/5"]);
    }

    #[test]
    fn inlined_and_kernel_functions_have_rows_but_marks_do_not() {
        let profile = Builder::of(&[("[truncated];work;copy_[i];page_fault_[k]", 3), ("work", 2)]);
        check(&profile, SortBy::SelfWeight, &["page_fault 3/3", "work 2/5", "copy 0/3"]);
    }

    #[test]
    fn threads_and_processes_add_up() {
        let mut builder = Builder::new();
        let stack = builder.stack(&["main", "work"]);
        let child = builder.process("child", 5000);
        let child = builder.thread(child, "child", 5000);
        builder.sample(0, stack, 1);
        builder.sample(child, stack, 2);
        builder.sample(child, None, 4);
        check(&builder.profile, SortBy::TotalWeight, &["[no stack] 4/4", "work 3/3", "main 0/3"]);
    }
}
