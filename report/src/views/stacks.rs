//! Finds the heaviest stacks of waits and system calls.
//!
//! A stack is told by why it was taken and by the functions of the process
//! that led there; the kernel's own functions in between are of the same kind
//! for each reason, and are left to the call tree.

use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};
use rz_profile::model::{FrameKind, Unit};
use rz_profile::reason::Reason;
use serde::Serialize;

use crate::model::calltree::{Amount, CallTree, Node, NodeId, NodeKind, ROOT};
use crate::model::rows::Rows;
use crate::model::symbols::{SymbolId, Symbols};
use crate::render::format::{count, shorten};
use crate::render::style::{Paint, Style};
use crate::render::table::{self, MIN_NAME_WIDTH, TableRow, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::summary::share;

/// Functions shown of one stack, at most.
const MAX_FRAMES: usize = 12;

/// Stacks that end in a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stacks {
    /// All samples of the event.
    pub total: Amount,
    /// The heaviest stacks; those that have reason and functions in common are
    /// one. Functions of the kernel are left out.
    #[serde(flatten)]
    pub stacks: Rows<ShownStack>,
}

/// A stack that ends in a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownStack {
    /// Why a thread waited, or what it called.
    pub reason: String,
    /// The functions that led there, leaf first.
    pub functions: Vec<String>,
    /// The process, if there are several of different names.
    pub process: Option<String>,
    /// Its samples.
    pub total: Amount,
}

/// The heaviest stacks of a top-down tree that end in a reason.
pub fn stacks(tree: &CallTree, symbols: &Symbols, limit: usize) -> Stacks {
    let mut index_of: FxHashMap<(Reason, NodeId), usize> = FxHashMap::default();
    let mut rows: Vec<(Reason, NodeId, Amount)> = Vec::new();
    for node in &tree.nodes {
        let NodeKind::Frame(FrameKind::Reason(reason)) = node.kind else { continue };
        let innermost = innermost(tree, node.parent);
        let index = *index_of.entry((reason, innermost)).or_insert_with(|| {
            rows.push((reason, innermost, Amount::default()));
            rows.len() - 1
        });
        rows[index].2.add(node.self_);
    }
    rows.sort_by_key(|(_, _, amount)| std::cmp::Reverse(amount.weight));
    let shown = |(reason, innermost, total): (Reason, NodeId, Amount)| ShownStack {
        reason: reason.to_string(),
        functions: functions(tree, symbols, innermost),
        process: process(tree, innermost).map(|process| symbols[process].name.clone()),
        total,
    };
    Stacks { total: tree.total(), stacks: Rows::first(limit, rows, shown) }
}

/// The heaviest stacks of a top-down tree, which end in what was called.
pub fn stacks_of_functions(tree: &CallTree, symbols: &Symbols, limit: usize) -> Stacks {
    let called = |(_, node): &(NodeId, &Node)| {
        node.self_.samples > 0 && matches!(node.kind, NodeKind::Frame(_))
    };
    let mut rows: Vec<(NodeId, &Node)> = tree.nodes.iter().enumerate().filter(called).collect();
    rows.sort_by_key(|(_, node)| std::cmp::Reverse(node.self_.weight));
    let shown = |(at, node): (NodeId, &Node)| ShownStack {
        reason: symbols[node.symbol].name.clone(),
        functions: functions(tree, symbols, node.parent),
        process: process(tree, at).map(|process| symbols[process].name.clone()),
        total: node.self_,
    };
    Stacks { total: tree.total(), stacks: Rows::first(limit, rows, shown) }
}

/// The innermost function above `node` that is not the kernel's; `node` itself
/// if there is none, as in a thread of the kernel.
fn innermost(tree: &CallTree, node: NodeId) -> NodeId {
    let mut at = node;
    loop {
        match tree.nodes[at].kind {
            NodeKind::Frame(FrameKind::Kernel) => at = tree.nodes[at].parent,
            NodeKind::Frame(_) => return at,
            _ => return node,
        }
    }
}

/// A node's function and its callers.
fn functions(tree: &CallTree, symbols: &Symbols, mut node: NodeId) -> Vec<String> {
    let mut functions = Vec::new();
    while node != ROOT && matches!(tree.nodes[node].kind, NodeKind::Frame(_)) {
        functions.push(symbols[tree.nodes[node].symbol].name.clone());
        node = tree.nodes[node].parent;
    }
    functions
}

/// The name of a node's process, in a tree that tells processes apart.
fn process(tree: &CallTree, mut node: NodeId) -> Option<SymbolId> {
    while node != ROOT && tree.nodes[node].kind != NodeKind::Process {
        node = tree.nodes[node].parent;
    }
    (node != ROOT).then(|| tree.nodes[node].symbol)
}

impl ShownStack {
    /// The stack in a line, leaf first: `futex ← lock ← work ← main`. What
    /// has no room in `width` characters is cut off at the outermost end.
    pub fn text(&self, width: usize) -> String {
        const MORE: &str = " ← …";
        let mut text = self.reason.clone();
        for (shown, function) in self.functions.iter().enumerate() {
            let name = format!(" ← {}", shorten(function, width / 3));
            let used = [text.as_str(), &name, MORE].map(|part| part.chars().count());
            if shown == MAX_FRAMES || used.iter().sum::<usize>() > width {
                text += MORE;
                break;
            }
            text += &name;
        }
        text
    }
}

/// Writes stacks that end in a reason.
pub(crate) fn write_stacks(out: &mut dyn Write, style: Style, page: &Stacks) -> io::Result<()> {
    let rows = &page.stacks.rows;
    let some = some_of(rows.len(), page.stacks.all());
    let note = format!("sampled in proportion to time{some}; without kernel functions");
    write_title(out, style, "TOP STACKS", &note)?;
    let processes = rows.iter().filter_map(|row| row.process.as_deref());
    // One process needs no name.
    let several = processes.collect::<FxHashSet<_>>().len() > 1;
    let row = |row: &ShownStack| {
        let mut numbers = share(row.total, page.total.weight, Unit::Nanoseconds).to_vec();
        numbers.push((count(row.total.samples), Paint::Plain));
        let suffix = row.process.clone().filter(|_| several).unwrap_or_default();
        TableRow { numbers, text: String::new(), suffix }
    };
    let mut table: Vec<TableRow> = rows.iter().map(row).collect();
    let titles = ["share", "time", "samples", "stack, leaf first"];
    // Whole functions are left out here, so that the table cuts none in half.
    let room = table::room(style, &titles, &table).max(MIN_NAME_WIDTH);
    for (line, row) in table.iter_mut().zip(rows) {
        let suffix = match line.suffix.chars().count() {
            0 => 0,
            chars => chars + table::GAP.len(),
        };
        let room = if room < MIN_NAME_WIDTH + suffix { room } else { room - suffix };
        line.text = row.text(room);
    }
    write_table(out, style, &titles, &table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Builder, text};
    use crate::model::trees::{Direction, call_tree};

    fn check(stacks: &[(&str, u64)], expected: &[&str]) {
        let profile = Builder::of(stacks);
        let (tree, symbols) = call_tree(&profile, 0, Direction::TopDown, 0.0);
        let line = |row: &ShownStack| format!("{} {}", row.total.samples, row.text(usize::MAX));
        let found = super::stacks(&tree, &symbols, 25).stacks.rows;
        assert_eq!(found.iter().map(line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn kernel_functions_are_left_out() {
        check(
            &[
                ("main;lock;do_futex_[k];schedule_[k];[off-CPU: futex]", 2),
                ("main;lock;do_futex_[k];wait_[k];schedule_[k];[off-CPU: futex]", 3),
                ("main;lock;[off-CPU: preempted]", 4),
                ("main;lock", 9),
                ("[off-CPU: stopped]", 1),
            ],
            &["5 futex ← lock ← main", "4 preempted ← lock ← main", "1 stopped"],
        );
    }

    #[test]
    fn a_kernel_thread_has_nothing_else() {
        check(&[("a_[k];b_[k];[off-CPU: sleeping]", 1)], &["1 sleeping ← b ← a"]);
    }

    #[test]
    fn the_outermost_functions_are_cut_off() {
        let profile = Builder::of(&[("main;run;serve;wait;[off-CPU: futex]", 1)]);
        let (tree, symbols) = call_tree(&profile, 0, Direction::TopDown, 0.0);
        let row = stacks(&tree, &symbols, 1).stacks.rows.remove(0);
        let check = |width, expected: &str| {
            assert_eq!(row.text(width), expected);
        };
        check(80, "futex ← wait ← serve ← run ← main");
        check(28, "futex ← wait ← serve ← …");
        check(16, "futex ← wait ← …");
        check(1, "futex ← …");
    }

    #[test]
    fn no_function_is_cut_in_half_and_each_stack_has_its_process() {
        let mut builder = Builder::new();
        let stack = builder.stack(&["main", "run", "serve", "handle", "wait", "[off-CPU: futex]"]);
        let child = builder.process("worker", 5000);
        let child = builder.thread(child, "worker", 5000);
        builder.sample(0, stack, 1_000_000);
        builder.sample(child, stack, 3);
        let (tree, symbols) = call_tree(&builder.profile, 0, Direction::TopDown, 0.0);
        let check = |width, expected: [&str; 2]| {
            let style = Style { color: false, width };
            let page = text(|out| write_stacks(out, style, &stacks(&tree, &symbols, 5)));
            let lines: Vec<_> = page.lines().skip(3).collect();
            assert_eq!(lines, expected, "{page}");
        };
        check(
            None,
            [
                "100.0%  10,000 s  1,000,000  futex ← wait ← handle ← serve ← run ← main  app",
                " <0.1%   30.0 ms          3  futex ← wait ← handle ← serve ← run ← main  worker",
            ],
        );
        check(
            Some(69),
            [
                "100.0%  10,000 s  1,000,000  futex ← wait ← handle ← serve ← …  app",
                " <0.1%   30.0 ms          3  futex ← wait ← handle ← …  worker",
            ],
        );
        check(
            Some(57),
            [
                "100.0%  10,000 s  1,000,000  futex ← wait ← handle ← …",
                " <0.1%   30.0 ms          3  futex ← wait ← handle ← …",
            ],
        );
    }

    #[test]
    fn deep_stacks_are_cut() {
        let deep = (0..20).map(|i| format!("f{i};")).collect::<String>() + "[syscall: read]";
        let shown = (8..20).rev().map(|i| format!(" ← f{i}")).collect::<String>();
        check(&[(&deep, 1)], &[&format!("1 read{shown} ← …")]);
    }
}
