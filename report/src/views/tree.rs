//! Draws a call tree as text.
//!
//! Only a node with several callees moves them to the right, so that a chain
//! of calls, however long, stays readable on a terminal:
//!
//! ```text
//!  total    self  function
//! 100.0%    0.0%  main
//!  80.0%   10.0%  ├─ parse
//!  70.0%   70.0%  │  tokenise
//!  20.0%   20.0%  └─ render
//! ```

use std::borrow::Cow;
use std::io::{self, Write};

use rz_profile::model::{EventId, FrameKind, Profile};

use crate::model::calltree::{CallTree, Node, NodeId, NodeKind, ROOT};
use crate::model::symbols::Symbols;
use crate::model::trees::{Direction, call_tree, min_weight};
use crate::render::format::{counted, percent, percent_of, shorten};
use crate::render::style::{Paint, Style};
use crate::render::table::MIN_NAME_WIDTH;
use crate::views::header::write_header;
use crate::views::summary::{with_samples, write_no_samples};

/// What a tree shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TreeOptions {
    /// Which way it grows.
    pub direction: Direction,
    /// Subtrees with less than this share of all samples, in percent, are
    /// left out.
    pub min_percent: f64,
}

/// Writes the header and the call tree of `event` of `profile`.
pub fn write_tree_report(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    options: TreeOptions,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    writeln!(out)?;
    let Some(event) = with_samples(profile, event) else {
        return write_no_samples(out, profile, event);
    };
    let (tree, symbols) = call_tree(profile, event, options.direction, options.min_percent);
    write_tree(out, style, &tree, &symbols, options)
}

/// A node still to be written: where, and behind which lines.
struct Pending {
    node: NodeId,
    /// What stands before the node's own line.
    lead: String,
    /// What stands before the lines below it.
    below: String,
}

/// Writes `tree` without its root.
pub fn write_tree(
    out: &mut dyn Write,
    style: Style,
    tree: &CallTree,
    symbols: &Symbols,
    options: TreeOptions,
) -> io::Result<()> {
    let all = tree.total().weight;
    let least = min_weight(all, options.min_percent);
    let with_self = options.direction == Direction::TopDown;
    let title = if with_self { " total    self  function" } else { " total  function" };
    writeln!(out, "{}", style.paint(Paint::Dim, title))?;
    let mut elided = Elided::default();
    let mut pending = Vec::new();
    push_children(&mut pending, tree, ROOT, "", least, &mut elided);
    while let Some(Pending { node: id, lead, below }) = pending.pop() {
        let node = &tree.nodes[id];
        let mut used = lead.chars().count();
        for (weight, shown) in [(node.total.weight, true), (node.self_.weight, with_self)] {
            if shown {
                let share = percent_of(weight, all);
                let text = if weight == 0 { String::new() } else { percent(share) };
                let text = format!("{text:>6}  ");
                used += text.len();
                write!(out, "{}", style.paint(Paint::for_percent(share), &text))?;
            }
        }
        let name = frame_name(node, symbols);
        let name = match style.width {
            Some(width) => shorten(&name, width.saturating_sub(used).max(MIN_NAME_WIDTH)),
            None => name.as_ref().into(),
        };
        writeln!(out, "{}{name}", style.paint(Paint::Dim, &lead))?;
        push_children(&mut pending, tree, id, &below, least, &mut elided);
    }
    if elided.subtrees > 0 {
        let subtrees = counted(elided.subtrees, "subtree");
        let least = options.min_percent;
        write!(out, "\nnot shown: {subtrees} below {least}% each")?;
        // Upside down, a sample is in the subtrees of all functions that ran.
        if with_self {
            let share = percent(percent_of(elided.weight, all));
            write!(out, ", in which {share} of samples end")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What was left out of a tree.
#[derive(Default)]
struct Elided {
    subtrees: u64,
    weight: u64,
}

/// Queues the children of `id` that are heavy enough, the first one last so
/// that it is taken first.
fn push_children(
    pending: &mut Vec<Pending>,
    tree: &CallTree,
    id: NodeId,
    before: &str,
    least: u64,
    elided: &mut Elided,
) {
    let children = &tree.nodes[id].children;
    // Children are sorted, heaviest first.
    let shown = children.partition_point(|&child| tree.nodes[child].total.weight >= least);
    for &child in &children[shown..] {
        elided.subtrees += 1;
        elided.weight = elided.weight.saturating_add(tree.nodes[child].total.weight);
    }
    let joined = shown > 1;
    for (i, &node) in children[..shown].iter().enumerate().rev() {
        let (branch, under) = match joined {
            false => ("", ""),
            true if i + 1 == shown => ("└─ ", "   "),
            true => ("├─ ", "│  "),
        };
        pending.push(Pending {
            node,
            lead: format!("{before}{branch}"),
            below: format!("{before}{under}"),
        });
    }
}

/// A node's name, with a mark if it is not an ordinary function of the
/// process.
pub(crate) fn frame_name<'a>(node: &Node, symbols: &'a Symbols) -> Cow<'a, str> {
    let symbol = &symbols[node.symbol];
    let name = symbol.name.as_str();
    match node.kind {
        NodeKind::Source => format!("{name} (recording)").into(),
        NodeKind::Process => format!("{name} (process)").into(),
        NodeKind::Frame(FrameKind::Kernel) => format!("{name} [kernel]").into(),
        NodeKind::Frame(FrameKind::Jit) => format!("{name} [jit]").into(),
        _ if node.inlined => format!("{name} [inlined]").into(),
        _ => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Builder, text};

    fn check(stacks: &[(&str, u64)], direction: Direction, min_percent: f64, expected: &str) {
        let profile = Builder::of(stacks);
        let options = TreeOptions { direction, min_percent };
        let report = text(|out| {
            write_tree_report(out, Style::default(), "t.rz", &profile, Some(0), options)
        });
        let (_, tree) = report.split_once("\n\n").unwrap();
        assert_eq!(tree, &expected[1..]);
    }

    const STACKS: [(&str, u64); 6] = [
        ("_start;main;parse;tokenise;next_[i]", 60),
        ("_start;main;parse", 20),
        ("_start;main;render;write;copy_[k]", 10),
        ("_start;main;render;layout", 8),
        ("_start;main;log", 1),
        ("clone;worker", 1),
    ];

    #[test]
    fn only_branches_move_to_the_right() {
        let expected = "
 total    self  function
 99.0%          _start
 99.0%          main
 80.0%   20.0%  ├─ parse
 60.0%          │  tokenise
 60.0%   60.0%  │  next [inlined]
 18.0%          └─ render
 10.0%             ├─ write
 10.0%   10.0%     │  copy [kernel]
  8.0%    8.0%     └─ layout

not shown: 2 subtrees below 2% each, in which 2.0% of samples end
";
        check(&STACKS, Direction::TopDown, 2.0, expected);
    }

    #[test]
    fn nothing_is_left_out_unless_asked_for() {
        let expected = "
 total    self  function
100.0%          main
 99.9%   99.9%  ├─ a
  0.1%    0.1%  └─ b
";
        check(&[("main;a", 999), ("main;b", 1)], Direction::TopDown, 0.0, expected);
    }

    #[test]
    fn inverted_shows_callers() {
        let expected = "
 total  function
 75.0%  ├─ leaf
 50.0%  │  ├─ a
 50.0%  │  │  main
 25.0%  │  └─ b
 25.0%  │     main
 25.0%  └─ b
 25.0%     main
";
        let stacks = [("main;a;leaf", 2), ("main;b;leaf", 1), ("main;b", 1)];
        check(&stacks, Direction::Inverted, 1.0, expected);
    }

    #[test]
    fn names_fit_the_terminal() {
        let profile = Builder::of(&[("main;core::ops::function::FnOnce::call_once<app::run>", 1)]);
        let options = TreeOptions { direction: Direction::TopDown, min_percent: 1.0 };
        let style = Style { color: false, width: Some(50) };
        let report = text(|out| write_tree_report(out, style, "t.rz", &profile, Some(0), options));
        let last = report.lines().last().unwrap();
        assert_eq!(last, "100.0%  100.0%  core::ops::…FnOnce::call_once<run>");
    }
}
