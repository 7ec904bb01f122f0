//! The report's first page: the header, top functions, hot path and threads.

use std::borrow::Cow;
use std::io::{self, Write};

use rz_profile::model::{EventId, EventKind, Profile, Unit};
use serde::Serialize;

use crate::doctor::{DoctorPage, Finding};
use crate::model::calltree::{Amount, CallTree, NodeId};
use crate::model::frames::{RuntimeFrame, ShownFrame, ShownKind, kind_of, of_runtime};
use crate::model::hotpath::{hot_path, is_startup};
use crate::model::rows::Rows;
use crate::model::symbols::{Symbol, Symbols};
use crate::model::threads::{ShownThread, ThreadSamples, threads};
use crate::model::top::{self, SortBy};
use crate::model::trees::joined_tree;
use crate::render::format::{count, percent, percent_of, shorten, weight, weight_title};
use crate::render::style::{Paint, Style};
use crate::render::table::{MIN_NAME_WIDTH, TableRow, write_table};
use crate::render::title::{some_of, write_title};
use crate::render::wording::wording;
use crate::views::doctor::{first_warnings, write_warnings};
use crate::views::header::{lost, lost_count, write_header};
use crate::views::overview::{Overview, overview, write_overview};

/// Parts of the last function of the hot path that the text has.
const SHOWN_PARTS: usize = 3;
/// Functions at each end of the hot path that are kept of a long one.
const PATH_END: usize = 32;

/// How much a summary shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SummaryOptions {
    /// How many functions to list.
    pub limit: usize,
    /// What functions are sorted by.
    pub by: SortBy,
    /// How many threads to list.
    pub threads: usize,
}

/// What a summary shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SummaryPage {
    /// What the process did besides what the event counts.
    pub overview: Box<Overview>,
    /// The first of what is wrong; `null` if rules did not look, as at a large trace, which
    /// `--doctor` does.
    pub warnings: Option<Box<Rows<Finding>>>,
    /// All samples of the event.
    pub total: Amount,
    /// Functions by self or total.
    pub functions: Rows<ShownFunction>,
    /// From the outermost function down, each with at least half the weight of
    /// the one before. Of a long path, the middle is left out.
    pub hot_path: Vec<PathStep>,
    /// How many functions that is, after the first 32.
    pub hot_path_left_out: usize,
    /// Where the weight of its last function is, the heaviest first.
    pub then: Rows<Part>,
    /// Threads, the busiest first.
    pub threads: Rows<ThreadAmount>,
}

impl SummaryPage {
    /// The same with what the doctor found, if it was asked.
    pub fn with_warnings(mut self, doctor: Option<&DoctorPage>) -> Self {
        self.warnings = doctor.map(|page| Box::new(first_warnings(page)));
        self
    }
}

/// A function of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownFunction {
    /// Its name and module.
    #[serde(flatten)]
    pub symbol: Symbol,
    /// What it is: `function`, `kernel`, `jit`, `runtime`, or `reason` of what
    /// says why a thread waited.
    pub kind: ShownKind,
    /// Whose code it is and how it ran; `null` unless it is code of a runtime.
    pub runtime: Option<RuntimeFrame>,
    /// Samples in which it ran itself.
    #[serde(rename = "self")]
    pub self_: Amount,
    /// Samples in which it was on the stack.
    pub total: Amount,
}

/// A function on the hot path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PathStep {
    /// The function.
    #[serde(flatten)]
    pub frame: ShownFrame,
    /// How often it calls itself directly, and so stands on the path one after the
    /// other; 1 if it does not.
    pub times: usize,
    /// Whether it only begins a program or a thread, and nobody chose it.
    pub is_startup: bool,
    /// Samples that go through the outermost of these on this path.
    pub total: Amount,
}

/// A part of a function's weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Part {
    /// The function that it called; `null` for what it cost itself.
    pub function: Option<String>,
    /// Samples.
    pub amount: Amount,
}

/// The samples of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadAmount {
    /// The thread.
    #[serde(flatten)]
    pub thread: ShownThread,
    /// Its samples.
    pub total: Amount,
}

/// The summary of `event` of `profile`; empty without an event, or without
/// samples of it.
pub fn summary(profile: &Profile, event: Option<EventId>, options: SummaryOptions) -> SummaryPage {
    let overview = Box::new(overview(profile));
    let Some(event) = with_samples(profile, event) else {
        return SummaryPage { overview, ..SummaryPage::default() };
    };
    let (tree, symbols) = joined_tree(profile, event);
    let node = |id: usize| &tree.nodes[id];
    let path = hot_path(&tree);
    let (hot_path, hot_path_left_out) = shown_path(&tree, &symbols, &path);
    let mut then: Vec<Part> = Vec::new();
    if let Some(last) = path.last().map(|&id| node(id)).filter(|last| !last.children.is_empty()) {
        let called = last.children.iter().map(|&child| Part {
            function: Some(symbols[node(child).symbol].name.clone()),
            amount: node(child).total,
        });
        then.extend(called);
        then.push(Part { function: None, amount: last.self_ });
        then.sort_by_key(|part| std::cmp::Reverse(part.amount.weight));
    }
    let thread = |row: ThreadSamples| ThreadAmount {
        thread: ShownThread::of(profile, Some(row.thread)),
        total: row.amount,
    };
    SummaryPage {
        overview,
        warnings: None,
        total: tree.total(),
        functions: shown_functions(top::functions(&tree), &symbols, options),
        hot_path,
        hot_path_left_out,
        then: Rows::first(options.limit.max(SHOWN_PARTS), then, |part| part),
        threads: Rows::first(options.threads, threads(profile, event), thread),
    }
}

/// The steps of a path that are shown, and how many are left out in the middle.
fn shown_path(tree: &CallTree, symbols: &Symbols, path: &[NodeId]) -> (Vec<PathStep>, usize) {
    let mut runs: Vec<&[NodeId]> =
        path.chunk_by(|&a, &b| tree.nodes[a].symbol == tree.nodes[b].symbol).collect();
    let left_out = runs.len().saturating_sub(2 * PATH_END);
    if left_out > 0 {
        runs.drain(PATH_END..PATH_END + left_out);
    }
    let step = |run: &[NodeId]| {
        let first = &tree.nodes[run[0]];
        let frame = ShownFrame::of(first, symbols);
        let is_startup = is_startup(&frame.name);
        PathStep { frame, times: run.len(), is_startup, total: first.total }
    };
    (runs.into_iter().map(step).collect(), left_out)
}

/// The first functions of a top-down tree.
pub(crate) fn shown_functions(
    mut rows: Vec<top::FunctionSamples>,
    symbols: &Symbols,
    options: SummaryOptions,
) -> Rows<ShownFunction> {
    top::sort(&mut rows, options.by, symbols);
    Rows::first(options.limit, rows, |row| ShownFunction {
        symbol: symbols[row.symbol].clone(),
        kind: kind_of(row.kind, false),
        runtime: RuntimeFrame::of(row.kind, row.how),
        self_: row.self_,
        total: row.total,
    })
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
    let info = &profile.info;
    let event = event.map(|event| &profile.events[event]);
    let kind = event.map_or(EventKind::Cpu, |event| event.kind);
    if info.filter.is_active() {
        writeln!(out, "no samples: the filter leaves none")
    } else if lost_count(info, kind) > 0 {
        writeln!(out, "no samples: all that were due are lost, {}", lost(info, kind))
    } else {
        writeln!(out, "no samples: {}", wording(event).none)
    }
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
    page: &SummaryPage,
    by: SortBy,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    write_overview(out, style, &page.overview)?;
    if let Some(warnings) = &page.warnings {
        write_warnings(out, style, warnings)?;
    }
    let Some(event) = with_samples(profile, event) else {
        writeln!(out)?;
        return write_no_samples(out, profile, event);
    };
    let unit = profile.events[event].unit;
    write_top(out, style, &page.functions, (page.total, unit), by)?;
    write_hot_path(out, style, page)?;
    write_threads(out, style, profile, page, unit)
}

/// Writes functions with their shares of all.
pub(crate) fn write_top(
    out: &mut dyn Write,
    style: Style,
    functions: &Rows<ShownFunction>,
    (all, unit): (Amount, Unit),
    by: SortBy,
) -> io::Result<()> {
    let by = match by {
        SortBy::SelfWeight => "self",
        SortBy::TotalWeight => "total",
    };
    let note = format!("by {by}{}", some_of(functions.rows.len(), functions.all()));
    write_title(out, style, "TOP FUNCTIONS", &note)?;
    let row = |row: &ShownFunction| {
        let Symbol { name, module } = row.symbol.clone();
        let mut numbers = share(row.self_, all.weight, unit).to_vec();
        numbers.extend(share(row.total, all.weight, unit));
        let text = of_runtime(&name, row.runtime).map(Cow::into_owned);
        TableRow { numbers, text: text.unwrap_or(name), suffix: module }
    };
    let table: Vec<TableRow> = functions.rows.iter().map(row).collect();
    let title = weight_title(unit);
    write_table(out, style, &["self", title, "total", title, "function"], &table)
}

/// An amount as its share of all weight, and as weight.
pub(crate) fn share(amount: Amount, all: u64, unit: Unit) -> [(String, Paint); 2] {
    let share = percent_of(amount.weight, all);
    let paint = Paint::for_percent(share);
    [(percent(share), paint), (weight(unit, amount.weight), paint)]
}

fn write_hot_path(out: &mut dyn Write, style: Style, page: &SummaryPage) -> io::Result<()> {
    let note = "each function has at least half of the samples of the one before";
    write_title(out, style, "HOT PATH", note)?;
    let mut depth = 0;
    let mut shown = 0;
    for steps in page.hot_path.chunk_by(|one, next| one.is_startup && next.is_startup) {
        let step = &steps[0];
        let share = percent_of(step.total.weight, page.total.weight);
        let number = format!("{:>6}", percent(share));
        let indent = indent(style, depth);
        let room = style.width.map_or(usize::MAX, |width| {
            width.saturating_sub(number.len() + 2 + indent).max(MIN_NAME_WIDTH)
        });
        let number = style.paint(Paint::for_percent(share), &number);
        let times =
            if step.times > 1 { format!(" ×{}", count(step.times as u64)) } else { String::new() };
        let room = room.saturating_sub(times.chars().count());
        let texts: Vec<Cow<'_, str>> = steps.iter().map(|step| step.frame.text()).collect();
        let text = texts.join(" › ");
        let name = shorten(&text, room);
        let paint = if step.is_startup { Paint::Dim } else { Paint::Plain };
        let name = style.paint(paint, &name);
        writeln!(out, "{number}  {:indent$}{name}{}", "", style.paint(Paint::Dim, &times))?;
        depth += 1;
        shown += steps.len();
        if (shown - steps.len() + 1..=shown).contains(&PATH_END) && page.hot_path_left_out > 0 {
            let left_out = format!("… {} more", count(page.hot_path_left_out as u64));
            writeln!(
                out,
                "{:indent$}{}",
                "",
                style.paint(Paint::Dim, &left_out),
                indent = indent + 8
            )?;
        }
    }
    if page.hot_path.is_empty() {
        return writeln!(out, "none: no function at the root has half of the samples");
    }
    if page.then.is_empty() {
        return Ok(());
    }
    let indent = 8 + indent(style, depth);
    // Up to three names with their shares, after `then`.
    let taken = indent + "then 12.3%, 12.3%, 12.3%, …".len();
    let width = style.width.map_or(usize::MAX, |width| width.saturating_sub(taken) / 3);
    let part = |part: &Part| {
        let name =
            part.function.as_deref().map_or("self".into(), |name| shorten(name, width.max(8)));
        format!("{name} {}", percent(percent_of(part.amount.weight, page.total.weight)))
    };
    let parts: Vec<String> = page.then.rows.iter().take(SHOWN_PARTS).map(part).collect();
    let more = if page.then.all() > parts.len() { ", …" } else { "" };
    let text = format!("then {}{more}", parts.join(", "));
    writeln!(out, "{:indent$}{}", "", style.paint(Paint::Dim, &text))
}

/// Columns of indentation at `depth`; a terminal's last two thirds are kept
/// for names.
fn indent(style: Style, depth: usize) -> usize {
    style.width.map_or(depth, |width| depth.min(width / 3))
}

fn write_threads(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    page: &SummaryPage,
    unit: Unit,
) -> io::Result<()> {
    let threads = &page.threads;
    if threads.all() < 2 {
        return Ok(());
    }
    let note = some_of(threads.rows.len(), threads.all());
    write_title(out, style, "THREADS", note.trim_start_matches(", "))?;
    let several = profile.processes.len() > 1;
    let row = |row: &ThreadAmount| {
        let (tid, text, suffix) = row.thread.clone().texts(several);
        let mut numbers = share(row.total, page.total.weight, unit).to_vec();
        numbers.push((count(row.total.samples), Paint::Plain));
        numbers.push((tid, Paint::Plain));
        TableRow { numbers, text, suffix }
    };
    let table: Vec<TableRow> = threads.rows.iter().map(row).collect();
    write_table(out, style, &["total", weight_title(unit), "samples", "tid", "thread"], &table)
}

#[cfg(test)]
mod tests {
    use rz_profile::model::{LossReason, LossSum, Losses};

    use super::*;
    use crate::fixture::{Builder, text};

    fn summary(profile: &Profile, style: Style, options: SummaryOptions) -> String {
        let page = super::summary(profile, Some(0), options);
        let report =
            text(|out| write_summary(out, style, "trace.rz", profile, Some(0), &page, options.by));
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
    fn recursion_is_folded_and_long_paths_are_cut() {
        let hot_path = |stack: &str| {
            let report = summary(&Builder::of(&[(stack, 10)]), Style::default(), OPTIONS);
            let (_, path) = report.split_once("HOT PATH").unwrap();
            path.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let started = hot_path("_start;__libc_start_main;main;__clone;work");
        let expected = [
            "100.0%  _start › __libc_start_main",
            "100.0%   main",
            "100.0%    __clone",
            "100.0%     work",
        ];
        assert_eq!(started, expected);
        let expected = ["100.0%  main", "100.0%   rec ×3", "100.0%    leaf", "100.0%     rec"];
        assert_eq!(hot_path("main;rec;rec;rec;leaf;rec"), expected);

        let deep = |count: usize| {
            let names: Vec<String> = (0..count).map(|i| format!("f{i}")).collect();
            hot_path(&names.join(";"))
        };
        assert_eq!(deep(64).len(), 64);
        let path = deep(1064);
        assert_eq!(path.len(), 65);
        assert_eq!(path[31].trim_start(), format!("100.0%  {:31}f31", ""));
        assert_eq!(path[32].trim_start(), "… 1,000 more");
        assert_eq!(path[33].trim_start(), format!("100.0%  {:32}f1032", ""));
        assert!(path[64].ends_with(" f1063"));
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
        let report = text(|out| {
            let page = super::summary(&profile, None, OPTIONS);
            write_summary(out, Style::default(), "trace.rz", &profile, None, &page, OPTIONS.by)
        });
        assert!(report.starts_with("trace.rz: app (pid 4242)\n"));
        assert!(
            report
                .ends_with("\n\nno samples: none was taken of the target while it was recorded\n")
        );
        let mut lost = Builder::new().profile;
        let reason = LossSum { reason: LossReason::RingFull, count: 7, duration_ns: 0 };
        lost.info.lost_samples = Losses { count: 7, reasons: vec![reason] };
        let said = text(|out| write_no_samples(out, &lost, None));
        let expected = "no samples: all that were due are lost, 7 (100.0% of what was due): 7 kernel \
                        buffer full\n";
        assert_eq!(said, expected);
    }
}
