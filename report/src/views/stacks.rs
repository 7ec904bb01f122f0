//! Finds the heaviest stacks of waits and system calls.
//!
//! A stack is told by why it was taken and by the functions of the process
//! that led there; the kernel's own functions in between are of the same kind
//! for each reason, and are left to the call tree.

use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};
use rz_profile::model::{FrameKind, Unit};

use crate::model::calltree::{Amount, CallTree, NodeId, NodeKind, ROOT};
use crate::model::symbols::{SymbolId, Symbols};
use crate::render::format::{count, shorten};
use crate::render::style::{Paint, Style};
use crate::render::table::{self, MIN_NAME_WIDTH, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::summary::share;

/// Functions shown of one stack, at most.
const MAX_FRAMES: usize = 12;

/// Stacks that have reason and functions in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The frame that says why.
    reason: SymbolId,
    /// The innermost function shown.
    innermost: NodeId,
    /// What they add up to.
    pub amount: Amount,
}

/// All stacks of a top-down tree that end in a reason, heaviest first.
pub fn stacks(tree: &CallTree) -> Vec<Row> {
    let mut index_of: FxHashMap<(SymbolId, NodeId), usize> = FxHashMap::default();
    let mut rows: Vec<Row> = Vec::new();
    for node in tree.nodes.iter().filter(|n| n.kind == NodeKind::Frame(FrameKind::Wait)) {
        let innermost = innermost(tree, node.parent);
        let index = *index_of.entry((node.symbol, innermost)).or_insert_with(|| {
            rows.push(Row { reason: node.symbol, innermost, amount: Amount::default() });
            rows.len() - 1
        });
        rows[index].amount.add(node.self_);
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.amount.weight));
    rows
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

impl Row {
    /// The name of its process, in a tree that tells processes apart.
    fn process(&self, tree: &CallTree) -> Option<SymbolId> {
        let mut at = self.innermost;
        while at != ROOT && tree.nodes[at].kind != NodeKind::Process {
            at = tree.nodes[at].parent;
        }
        (at != ROOT).then(|| tree.nodes[at].symbol)
    }

    /// The stack in a line, innermost first: `futex ← lock ← work ← main`. What
    /// has no room in `width` characters is cut off at the outermost end.
    pub fn text(&self, tree: &CallTree, symbols: &Symbols, width: usize) -> String {
        const MORE: &str = " ← …";
        let reason = symbols[self.reason].name.as_str();
        let inner = reason.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let inner = inner.and_then(|text| text.split_once(": "));
        let mut text = inner.map_or(reason, |(_, name)| name).to_owned();
        let mut node = self.innermost;
        for shown in 0.. {
            let frame = &tree.nodes[node];
            if node == ROOT || !matches!(frame.kind, NodeKind::Frame(_)) {
                break;
            }
            let name = format!(" ← {}", shorten(&symbols[frame.symbol].name, width / 3));
            let used = [text.as_str(), &name, MORE].map(|part| part.chars().count());
            if shown == MAX_FRAMES || used.iter().sum::<usize>() > width {
                text += MORE;
                break;
            }
            text += &name;
            node = frame.parent;
        }
        text
    }
}

/// The heaviest stacks of a tree whose stacks end in a reason.
pub(crate) fn write_stacks(
    out: &mut dyn Write,
    style: Style,
    tree: &CallTree,
    symbols: &Symbols,
    limit: usize,
) -> io::Result<()> {
    let rows = stacks(tree);
    let shown = rows.len().min(limit);
    let some = some_of(shown, rows.len());
    let note = format!("sampled in proportion to time{some}; without kernel functions");
    write_title(out, style, "TOP STACKS", &note)?;
    let all = tree.total().weight;
    let processes = rows[..shown].iter().filter_map(|row| row.process(tree));
    let mut processes = processes.collect::<FxHashSet<_>>();
    // One process needs no name.
    if processes.len() == 1 {
        processes.clear();
    }
    let mut table: Vec<table::Row> = rows[..shown]
        .iter()
        .map(|row| {
            let mut numbers = share(row.amount, all, Unit::Nanoseconds).to_vec();
            numbers.push((count(row.amount.samples), Paint::Plain));
            let process = row.process(tree).filter(|process| processes.contains(process));
            let suffix = process.map_or_else(String::new, |id| symbols[id].name.clone());
            table::Row { numbers, text: String::new(), suffix }
        })
        .collect();
    let titles = ["share", "time", "samples", "stack, innermost first"];
    // Whole functions are left out here, so that the table cuts none in half.
    let room = table::room(style, &titles, &table).max(MIN_NAME_WIDTH);
    for (line, row) in table.iter_mut().zip(&rows) {
        let suffix = match line.suffix.chars().count() {
            0 => 0,
            chars => chars + table::GAP.len(),
        };
        let room = if room < MIN_NAME_WIDTH + suffix { room } else { room - suffix };
        line.text = row.text(tree, symbols, room);
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
        let line =
            |row: &Row| format!("{} {}", row.amount.samples, row.text(&tree, &symbols, usize::MAX));
        assert_eq!(super::stacks(&tree).iter().map(line).collect::<Vec<_>>(), expected);
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
        let row = stacks(&tree)[0];
        let check = |width, expected: &str| {
            assert_eq!(row.text(&tree, &symbols, width), expected);
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
            let page = text(|out| write_stacks(out, style, &tree, &symbols, 5));
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
