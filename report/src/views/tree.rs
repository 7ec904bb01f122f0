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

use std::io::{self, Write};

use rz_profile::model::{EventId, Profile};
use serde::Serialize;

use crate::model::calltree::{Amount, NodeId, ROOT};
use crate::model::frames::ShownFrame;
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

/// Most nodes that are shown.
const MAX_NODES: usize = 250_000;

/// A call tree in lines, callers before what they called; upside down, functions
/// before their callers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TreePage {
    /// All samples of the event.
    pub total: Amount,
    /// The nodes that are heavy enough, each after its parent, siblings by
    /// weight.
    pub nodes: Vec<TreeNode>,
    /// What was left out because it is lighter, or there is too much of it.
    pub left_out: LeftOut,
}

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TreeNode {
    /// Index of the node above; `null` for those at the root.
    pub parent: Option<usize>,
    /// What it is.
    #[serde(flatten)]
    pub frame: ShownFrame,
    /// Samples that end here; upside down, whose stacks begin here.
    #[serde(rename = "self")]
    pub self_: Amount,
    /// Samples that end here or below.
    pub total: Amount,
}

/// Subtrees that are lighter than what is shown, or one function too many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// How many.
    pub subtrees: u64,
    /// What they add up to. Upside down, a sample is in the subtrees of all
    /// functions that ran.
    pub weight: u64,
}

impl LeftOut {
    fn add(&mut self, weight: u64) {
        self.subtrees += 1;
        self.weight = self.weight.saturating_add(weight);
    }
}

/// The call tree of `event` of `profile`; empty without samples of it.
pub fn tree(profile: &Profile, event: Option<EventId>, options: TreeOptions) -> TreePage {
    let Some(event) = with_samples(profile, event) else { return TreePage::default() };
    let (tree, symbols) = call_tree(profile, event, options.direction, options.min_percent);
    let least = min_weight(tree.total().weight, options.min_percent);
    let mut page = TreePage { total: tree.total(), ..TreePage::default() };
    let mut pending: Vec<(NodeId, Option<usize>)> = vec![(ROOT, None)];
    while let Some((id, parent)) = pending.pop() {
        let node = &tree.nodes[id];
        if page.nodes.len() == MAX_NODES {
            page.left_out.add(node.total.weight);
            continue;
        }
        let shown = (id != ROOT).then(|| {
            let (frame, self_, total) = (ShownFrame::of(node, &symbols), node.self_, node.total);
            page.nodes.push(TreeNode { parent, frame, self_, total });
            page.nodes.len() - 1
        });
        // Children are sorted, heaviest first.
        let heavy = node.children.partition_point(|&child| tree.nodes[child].total.weight >= least);
        for &child in &node.children[heavy..] {
            page.left_out.add(tree.nodes[child].total.weight);
        }
        pending.extend(node.children[..heavy].iter().rev().map(|&child| (child, shown)));
    }
    page
}

/// Writes the header and the call tree of `event` of `profile`.
pub fn write_tree_report(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &TreePage,
    options: TreeOptions,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    writeln!(out)?;
    if with_samples(profile, event).is_none() {
        return write_no_samples(out, profile, event);
    }
    write_tree(out, style, page, options)
}

/// Branches within branches that are told by where their lines begin. Those further in have
/// the number of their level.
const MAX_LEVELS: usize = 64;

/// Where the children of a node stand.
#[derive(Default)]
struct Place {
    /// What stands before the lines below it.
    below: String,
    /// Branches that they are within.
    level: usize,
    /// Children that are still to be written.
    left: usize,
    /// Whether it has several.
    joined: bool,
}

/// Writes a tree.
fn write_tree(
    out: &mut dyn Write,
    style: Style,
    page: &TreePage,
    options: TreeOptions,
) -> io::Result<()> {
    let all = page.total.weight;
    let with_self = options.direction == Direction::TopDown;
    let title = if with_self { " total    self  function" } else { " total  function" };
    writeln!(out, "{}", style.paint(Paint::Dim, title))?;
    // The root's is the first.
    let place_of = |node: &TreeNode| node.parent.map_or(0, |parent| parent + 1);
    let mut places: Vec<Place> = (0..=page.nodes.len()).map(|_| Place::default()).collect();
    page.nodes.iter().for_each(|node| places[place_of(node)].left += 1);
    places.iter_mut().for_each(|place| place.joined = place.left > 1);
    for (id, node) in page.nodes.iter().enumerate() {
        let above = &mut places[place_of(node)];
        above.left -= 1;
        let (branch, under) = match (above.joined, above.left) {
            (false, _) => ("", ""),
            (true, 0) => ("└─ ", "   "),
            (true, _) => ("├─ ", "│  "),
        };
        let level = above.level + usize::from(above.joined);
        // The last one needs it no more.
        let before = match above.left {
            0 => std::mem::take(&mut above.below),
            _ => above.below.clone(),
        };
        let is_deep = level > MAX_LEVELS;
        let lead = match is_deep {
            false => format!("{before}{branch}"),
            true => format!("{before}[{level}] {branch}"),
        };
        if places[id + 1].left > 0 {
            places[id + 1].level = level;
            places[id + 1].below = if is_deep { before } else { format!("{before}{under}") };
        }
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
        let name = node.frame.text();
        let name = match style.width {
            Some(width) => shorten(&name, width.saturating_sub(used).max(MIN_NAME_WIDTH)),
            None => name.as_ref().into(),
        };
        writeln!(out, "{}{name}", style.paint(Paint::Dim, &lead))?;
    }
    let LeftOut { subtrees, weight } = page.left_out;
    if subtrees > 0 {
        let subtrees = counted(subtrees, "subtree");
        let least = options.min_percent;
        match page.nodes.len() {
            MAX_NODES => {
                write!(out, "\nnot shown: {subtrees}, as there are more than {MAX_NODES} lines")?;
            }
            _ => write!(out, "\nnot shown: {subtrees} below {least}% each")?,
        }
        // Upside down, a sample is in the subtrees of all functions that ran.
        if with_self {
            let share = percent(percent_of(weight, all));
            write!(out, ", in which {share} of samples end")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Builder, text};

    fn check(stacks: &[(&str, u64)], direction: Direction, min_percent: f64, expected: &str) {
        let profile = Builder::of(stacks);
        let options = TreeOptions { direction, min_percent };
        let report = text(|out| {
            let page = tree(&profile, Some(0), options);
            write_tree_report(out, Style::default(), "t.rz", &profile, Some(0), &page, options)
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
    fn branches_far_inside_have_a_number() {
        let stack = |depth: usize| {
            let names: Vec<String> = (0..depth).map(|at| format!("f{at}")).collect();
            format!("{};leaf{depth}", names.join(";"))
        };
        let stacks: Vec<String> = (1..100).map(stack).collect();
        let stacks: Vec<(&str, u64)> = stacks.iter().map(|stack| (&**stack, 1)).collect();
        let profile = Builder::of(&stacks);
        let options = TreeOptions { direction: Direction::TopDown, min_percent: 0.0 };
        let report = text(|out| {
            let page = tree(&profile, Some(0), options);
            write_tree_report(out, Style::default(), "t.rz", &profile, Some(0), &page, options)
        });
        let line = |name: &str| {
            let line = report.lines().find(|line| line.ends_with(name)).unwrap();
            line.chars().skip(16).collect::<String>()
        };
        let blanks = |text: &str| text.chars().filter(|c| "│ ".contains(*c)).count();
        assert!(
            line(" f64").ends_with("├─ f64") && !line(" f64").contains('['),
            "{}",
            line(" f64")
        );
        assert!(line(" f65").ends_with("[65] ├─ f65"), "{}", line(" f65"));
        assert!(line(" leaf80").ends_with("[80] └─ leaf80"), "{}", line(" leaf80"));
        assert_eq!(blanks(&line(" f65")), blanks(&line(" f98")));
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
        let page = tree(&profile, Some(0), options);
        let report =
            text(|out| write_tree_report(out, style, "t.rz", &profile, Some(0), &page, options));
        let last = report.lines().last().unwrap();
        assert_eq!(last, "100.0%  100.0%  core::ops::…FnOnce::call_once<run>");
    }
}
