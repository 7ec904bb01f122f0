//! Finds the heaviest stacks of waits and system calls.
//!
//! A stack is told by why it was taken and by the functions of the process
//! that led there; the kernel's own functions in between are of the same kind
//! for each reason, and are left to the call tree.

use std::io::{self, Write};

use rustc_hash::FxHashMap;
use rz_convert::profile::{FrameKind, Unit};

use crate::calltree::{Amount, CallTree, NodeId, NodeKind, ROOT};
use crate::format::{count, shorten};
use crate::style::{Paint, Style};
use crate::summary::{share, some_of, write_title};
use crate::symbols::{SymbolId, Symbols};
use crate::table::{self, MIN_NAME_WIDTH, write_table};

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
    // What the columns of numbers leave on a terminal, about.
    let room = style.width.map_or(usize::MAX, |w| w.saturating_sub(28).max(MIN_NAME_WIDTH));
    let table: Vec<table::Row> = rows[..shown]
        .iter()
        .map(|row| {
            let mut numbers = share(row.amount, all, Unit::Nanoseconds).to_vec();
            numbers.push((count(row.amount.samples), Paint::Plain));
            table::Row { numbers, text: row.text(tree, symbols, room), suffix: String::new() }
        })
        .collect();
    write_table(out, style, &["share", "time", "samples", "stack, innermost first"], &table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;
    use crate::view::{Direction, call_tree};

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
    fn deep_stacks_are_cut() {
        let deep = (0..20).map(|i| format!("f{i};")).collect::<String>() + "[syscall: read]";
        let shown = (8..20).rev().map(|i| format!(" ← f{i}")).collect::<String>();
        check(&[(&deep, 1)], &[&format!("1 read{shown} ← …")]);
    }
}
