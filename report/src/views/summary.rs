//! The report's first page: the header, top functions, hot path and threads.

use std::io::{self, Write};

use rz_profile::model::{EventId, Profile, Unit};

use crate::model::calltree::{Amount, CallTree, NodeId};
use crate::model::hotpath::hot_path;
use crate::model::symbols::{Symbol, Symbols};
use crate::model::threads::threads;
use crate::model::top::{self, SortBy};
use crate::model::trees::joined_tree;
use crate::render::format::{count, percent, percent_of, shorten, weight, weight_title};
use crate::render::style::{Paint, Style};
use crate::render::sums_table::thread_name;
use crate::render::table::{MIN_NAME_WIDTH, Row, write_table};
use crate::render::title::{some_of, write_title};
use crate::render::wording::wording;
use crate::views::header::write_header;
use crate::views::tree::frame_name;

/// What a summary shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SummaryOptions {
    /// How many functions to list.
    pub limit: usize,
    /// What functions are sorted by.
    pub by: SortBy,
    /// How many threads to list.
    pub threads: usize,
}

/// The event, if there are samples of it.
pub(crate) fn with_samples(profile: &Profile, event: Option<EventId>) -> Option<EventId> {
    event.filter(|&event| profile.samples.iter().any(|sample| sample.event == event))
}

/// What is said instead of tables when nothing was sampled.
pub(crate) fn write_no_samples(
    out: &mut dyn Write,
    profile: &Profile,
    event: Option<EventId>,
) -> io::Result<()> {
    let event = event.map(|event| &profile.events[event]);
    let why = match profile.info.filter.is_active() {
        true => "the filter leaves none",
        false => wording(event).none,
    };
    writeln!(out, "no samples: {why}")
}

/// Writes the summary of `event` of `profile`; `name` is what to call the
/// trace. Without an event, or without samples of it, it is a header and one
/// line.
pub fn write_summary(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    options: SummaryOptions,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let Some(event) = with_samples(profile, event) else {
        writeln!(out)?;
        return write_no_samples(out, profile, event);
    };
    let (tree, symbols) = joined_tree(profile, event);
    let unit = profile.events[event].unit;
    let functions = top::functions(&tree);
    write_top(out, style, (&tree, &symbols), functions, unit, options)?;
    write_hot_path(out, style, &tree, &symbols)?;
    write_threads(out, style, profile, event, options)
}

/// Writes functions of a top-down tree.
pub(crate) fn write_top(
    out: &mut dyn Write,
    style: Style,
    (tree, symbols): (&CallTree, &Symbols),
    mut rows: Vec<top::Row>,
    unit: Unit,
    options: SummaryOptions,
) -> io::Result<()> {
    top::sort(&mut rows, options.by, symbols);
    let all = tree.total().weight;
    let shown = rows.len().min(options.limit);
    let by = match options.by {
        SortBy::SelfWeight => "self",
        SortBy::TotalWeight => "total",
    };
    let note = format!("by {by}{}", some_of(shown, rows.len()));
    write_title(out, style, "TOP FUNCTIONS", &note)?;
    let table: Vec<Row> = rows[..shown]
        .iter()
        .map(|row| {
            let Symbol { name, module } = symbols[row.symbol].clone();
            let mut numbers = share(row.self_, all, unit).to_vec();
            numbers.extend(share(row.total, all, unit));
            Row { numbers, text: name, suffix: module }
        })
        .collect();
    let title = weight_title(unit);
    write_table(out, style, &["self", title, "total", title, "function"], &table)
}

/// An amount as its share of all weight, and as weight.
pub(crate) fn share(amount: Amount, all: u64, unit: Unit) -> [(String, Paint); 2] {
    let share = percent_of(amount.weight, all);
    let paint = Paint::for_percent(share);
    [(percent(share), paint), (weight(unit, amount.weight), paint)]
}

fn write_hot_path(
    out: &mut dyn Write,
    style: Style,
    tree: &CallTree,
    symbols: &Symbols,
) -> io::Result<()> {
    let path = hot_path(tree);
    let note = "each function has at least half of the samples of the one before";
    write_title(out, style, "HOT PATH", note)?;
    let all = tree.total().weight;
    let mut row = |depth: usize, weight: u64, name: &str| {
        let share = percent_of(weight, all);
        let number = format!("{:>6}", percent(share));
        let indent = indent(style, depth);
        let room = style.width.map_or(usize::MAX, |width| {
            width.saturating_sub(number.len() + 2 + indent).max(MIN_NAME_WIDTH)
        });
        let number = style.paint(Paint::for_percent(share), &number);
        writeln!(out, "{number}  {:indent$}{}", "", shorten(name, room))
    };
    for (depth, &node) in path.iter().enumerate() {
        let name = frame_name(&tree.nodes[node], symbols);
        row(depth, tree.nodes[node].total.weight, &name)?;
    }
    // Up to three names with their shares, after `then`.
    let taken = 8 + indent(style, path.len()) + "then 12.3%, 12.3%, 12.3%, …".len();
    let name_width = style.width.map_or(usize::MAX, |width| width.saturating_sub(taken) / 3);
    match path.last() {
        None => writeln!(out, "none: no outermost function has half of the samples"),
        Some(&last) => match where_it_goes(tree, symbols, last, name_width) {
            None => Ok(()),
            Some(text) => {
                let indent = 8 + indent(style, path.len());
                writeln!(out, "{:indent$}{}", "", style.paint(Paint::Dim, &text))
            }
        },
    }
}

/// Columns of indentation at `depth`; a terminal's last two thirds are kept
/// for names.
fn indent(style: Style, depth: usize) -> usize {
    style.width.map_or(depth, |width| depth.min(width / 3))
}

/// Where the samples of the last function of the hot path are, if it called
/// anything.
fn where_it_goes(
    tree: &CallTree,
    symbols: &Symbols,
    last: NodeId,
    name_width: usize,
) -> Option<String> {
    let node = &tree.nodes[last];
    if node.children.is_empty() {
        return None;
    }
    let all = tree.total().weight;
    let part = |name: &str, amount: Amount| {
        format!("{} {}", name, percent(percent_of(amount.weight, all)))
    };
    let mut parts: Vec<(u64, String)> = Vec::new();
    for &child in &node.children {
        let node = &tree.nodes[child];
        let name = shorten(&symbols[node.symbol].name, name_width.max(8));
        parts.push((node.total.weight, part(&name, node.total)));
    }
    parts.push((node.self_.weight, part("self", node.self_)));
    parts.sort_by_key(|&(weight, _)| std::cmp::Reverse(weight));
    let parts: Vec<String> = parts.into_iter().take(3).map(|(_, text)| text).collect();
    let more = if node.children.len() + 1 > parts.len() { ", …" } else { "" };
    Some(format!("then {}{more}", parts.join(", ")))
}

fn write_threads(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    event: EventId,
    options: SummaryOptions,
) -> io::Result<()> {
    let rows = threads(profile, event);
    if rows.len() < 2 {
        return Ok(());
    }
    let shown = rows.len().min(options.threads);
    let note = some_of(shown, rows.len());
    write_title(out, style, "THREADS", note.trim_start_matches(", "))?;
    let mut all = Amount::default();
    rows.iter().for_each(|row| all.add(row.amount));
    let unit = profile.events[event].unit;
    let several = profile.processes.len() > 1;
    let table: Vec<Row> = rows[..shown]
        .iter()
        .map(|row| {
            let (tid, text, suffix) = thread_name(profile, Some(row.thread), several);
            let mut numbers = share(row.amount, all.weight, unit).to_vec();
            numbers.push((count(row.amount.samples), Paint::Plain));
            numbers.push((tid, Paint::Plain));
            Row { numbers, text, suffix }
        })
        .collect();
    write_table(out, style, &["total", weight_title(unit), "samples", "tid", "thread"], &table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Builder, text};

    fn summary(profile: &Profile, style: Style, options: SummaryOptions) -> String {
        let report = text(|out| write_summary(out, style, "trace.rz", profile, Some(0), options));
        report.split_once("\n\n").unwrap().1.to_owned()
    }

    const OPTIONS: SummaryOptions =
        SummaryOptions { limit: 25, by: SortBy::SelfWeight, threads: 10 };

    #[test]
    fn functions_and_the_hot_path() {
        let profile = Builder::of(&[
            ("_start;main;run;parse;next_[i]", 500),
            ("_start;main;run;render", 300),
            ("_start;main;run", 198),
            ("_start;main;run;read;sys_read_[k]", 2),
        ]);
        let expected = "
TOP FUNCTIONS  by self
 self     time   total     time  function
50.0%   5.00 s   50.0%   5.00 s  next  app
30.0%   3.00 s   30.0%   3.00 s  render  app
19.8%   1.98 s  100.0%   10.0 s  run  app
 0.2%  20.0 ms    0.2%  20.0 ms  sys_read  [kernel]
 0.0%     0 ns  100.0%   10.0 s  _start  app
 0.0%     0 ns  100.0%   10.0 s  main  app
 0.0%     0 ns   50.0%   5.00 s  parse  app
 0.0%     0 ns    0.2%  20.0 ms  read  app

HOT PATH  each function has at least half of the samples of the one before
100.0%  _start
100.0%   main
100.0%    run
 50.0%     parse
 50.0%      next [inlined]
";
        assert_eq!(summary(&profile, Style::default(), OPTIONS), expected[1..]);
    }

    #[test]
    fn a_limited_list_says_so_and_a_path_says_where_it_ends() {
        let profile =
            Builder::of(&[("main;a", 4), ("main;b", 3), ("main;c", 2), ("main;d", 1), ("main", 1)]);
        let options = SummaryOptions { limit: 2, by: SortBy::TotalWeight, ..OPTIONS };
        let expected = "
TOP FUNCTIONS  by total, 2 of 5
 self     time   total     time  function
 9.1%  10.0 ms  100.0%   110 ms  main  app
36.4%  40.0 ms   36.4%  40.0 ms  a  app

HOT PATH  each function has at least half of the samples of the one before
100.0%  main
         then a 36.4%, b 27.3%, c 18.2%, …
";
        assert_eq!(summary(&profile, Style::default(), options), expected[1..]);
    }

    #[test]
    fn threads_of_several_processes() {
        let mut builder = Builder::new();
        let stack = builder.stack(&["main"]);
        let child = builder.process("child", 5000);
        let worker = builder.thread(child, "worker-1", 5001);
        builder.sample(0, stack, 25);
        builder.sample(worker, stack, 75);
        let report = summary(&builder.profile, Style::default(), OPTIONS);
        let expected = "
HOT PATH  each function has at least half of the samples of the one before
 75.0%  child (process)
 75.0%   main

THREADS
total    time  samples   tid  thread
75.0%  750 ms       75  5001  worker-1  child (5000)
25.0%  250 ms       25  4242  app  app (4242)
";
        let (_, rest) = report.split_once("\n\n").unwrap();
        assert_eq!(rest, &expected[1..]);
    }

    #[test]
    fn a_terminal_is_never_too_narrow() {
        let deep = (0..200).map(|i| format!("module::function_{i}")).collect::<Vec<_>>();
        let profile = Builder::of(&[(&deep.join(";"), 10)]);
        for width in [80, 120] {
            let style = Style { color: false, width: Some(width) };
            let report = summary(&profile, style, OPTIONS);
            let widest = report.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{widest:?}");
        }
        for width in [0, 1, 10] {
            summary(&profile, Style { color: true, width: Some(width) }, OPTIONS);
        }
    }

    #[test]
    fn no_samples_is_an_answer() {
        let profile = Builder::new().profile;
        let report =
            text(|out| write_summary(out, Style::default(), "trace.rz", &profile, None, OPTIONS));
        assert!(report.starts_with("trace.rz: app (pid 4242)\n"));
        assert!(
            report.ends_with(
                "\n\nno samples: the target did not run on a CPU while it was recorded\n"
            )
        );
    }
}
