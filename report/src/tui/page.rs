//! What a tab shows of a profile, made of what the other views show.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use rz_profile::load::Without;
use rz_profile::model::{CPU, CallDetail, EventId, OFF_CPU, Profile, SYSCALLS};
use rz_profile::select::{EventName, find_event};

use crate::model::calls::SortCalls;
use crate::model::clean::clean;
use crate::model::estimated::{Estimated, ShownSum, rounded};
use crate::model::frames::of_runtime;
use crate::model::sums::Sum;
use crate::model::symbols::Symbol;
use crate::model::threads::ShownThread;
use crate::model::top::SortBy;
use crate::model::trees::Direction;
use crate::render::format::{bytes, count, duration, percent, percent_of, weight};
use crate::render::style::{Paint, Style};
use crate::views::dump::{ThreadGroup, ThreadState, dump};
use crate::views::header::write_header;
use crate::views::heap::{FunctionSum, HeapPageOptions, heap};
use crate::views::off_cpu::off_cpu;
use crate::views::stacks::Stacks;
use crate::views::summary::{ShownFunction, SummaryOptions, summary};
use crate::views::syscalls::{SyscallOptions, syscalls};
use crate::views::tree::{TreeOptions, TreePage, tree};

/// Frames of the flame graph that are narrower, in percent of all, are no cell wide.
const NARROWEST: f64 = 0.2;

/// Stacks that are shown of one reason or call, at most.
const MOST_STACKS: usize = 1000;

/// What there is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// Functions.
    Top,
    /// Who called what.
    Flame,
    /// Threads, and what each does.
    Threads,
    /// Why threads waited.
    Waits,
    /// System calls.
    Syscalls,
    /// Who has memory.
    Heap,
    /// What is known of the recording.
    Log,
}

impl Tab {
    /// All of them, from left to right.
    pub const ALL: [Tab; 7] =
        [Tab::Top, Tab::Flame, Tab::Threads, Tab::Waits, Tab::Syscalls, Tab::Heap, Tab::Log];

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Tab::Top => "Top",
            Tab::Flame => "Flame",
            Tab::Threads => "Threads",
            Tab::Waits => "Waits",
            Tab::Syscalls => "Syscalls",
            Tab::Heap => "Heap",
            Tab::Log => "Log",
        }
    }

    /// What of a trace it does not show; `None` if that depends on the event.
    pub fn without(self) -> Option<Without> {
        let all = Without { waits: true, calls: true, allocations: true };
        match self {
            Tab::Top | Tab::Flame => None,
            Tab::Threads | Tab::Waits => Some(Without { waits: false, ..all }),
            Tab::Syscalls => Some(Without { calls: false, ..all }),
            Tab::Heap => Some(Without { allocations: false, ..all }),
            Tab::Log => Some(all),
        }
    }
}

/// What a tab shows.
#[derive(Debug)]
pub struct Page {
    /// The tab.
    pub tab: Tab,
    /// How long the recording is so far.
    pub recording_ns: u64,
    /// Whether it is not over.
    pub is_open: bool,
    /// Samples of the CPU, and those that are missing.
    pub samples: u64,
    /// What is missing of them.
    pub lost: u64,
    /// What is shown.
    pub body: Body,
}

/// What is shown.
#[derive(Debug)]
pub enum Body {
    /// A table.
    Table(Table),
    /// A call tree, as a flame graph.
    Flame(TreePage),
    /// Lines of text.
    Lines(Vec<String>),
}

/// A table, to be sorted by any of its columns.
#[derive(Debug, Default)]
pub struct Table {
    /// Titles of the numbers.
    pub columns: Vec<&'static str>,
    /// The title of names.
    pub name: &'static str,
    /// In the order of the view.
    pub rows: Vec<Row>,
    /// Why there are none.
    pub none: &'static str,
}

/// A row of a table.
#[derive(Debug)]
pub struct Row {
    /// Its numbers.
    pub cells: Vec<Cell>,
    /// What it is about.
    pub name: String,
    /// Where that is.
    pub suffix: String,
    /// How important it is.
    pub paint: Paint,
    /// What it leads to.
    pub leads_to: LeadsTo,
}

/// A number of a table.
#[derive(Debug)]
pub struct Cell {
    /// As it is shown.
    pub text: String,
    /// What it is sorted by.
    pub value: u64,
}

/// What is behind a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeadsTo {
    /// The stacks of a function.
    Function(String),
    /// What a thread does.
    Thread(u32),
    /// More to read.
    Text(Vec<String>),
}

/// What `tab` shows of a profile; `event` is the one that functions and frames are of.
pub fn page(tab: Tab, name: &str, profile: &Profile, event: Option<EventId>) -> Page {
    let info = &profile.info;
    let body = match tab {
        Tab::Top => Body::Table(top(profile, event)),
        Tab::Flame => {
            let options = TreeOptions { direction: Direction::TopDown, min_percent: NARROWEST };
            Body::Flame(tree(profile, event, options))
        }
        Tab::Threads => Body::Table(threads(profile)),
        Tab::Waits => Body::Table(waits(profile)),
        Tab::Syscalls => Body::Table(calls(profile)),
        Tab::Heap => Body::Table(memory(profile)),
        Tab::Log => Body::Lines(log(name, profile, event)),
    };
    Page {
        tab,
        recording_ns: info.recording_ns,
        is_open: info.cut_short,
        samples: info.samples,
        lost: info.lost_samples.count,
        body,
    }
}

fn number(value: u64) -> Cell {
    Cell { text: count(value), value }
}

fn time(ns: u64) -> Cell {
    Cell { text: duration(ns), value: ns }
}

/// A number of bytes, which may be an estimate.
fn size(estimated: Estimated) -> Cell {
    let value = rounded(estimated.value);
    let about = if estimated.is_exact() { "" } else { "~" };
    Cell { text: format!("{about}{}", bytes(value)), value }
}

fn everything() -> SummaryOptions {
    SummaryOptions { limit: usize::MAX, by: SortBy::SelfWeight, threads: usize::MAX }
}

fn top(profile: &Profile, event: Option<EventId>) -> Table {
    let page = summary(profile, event, everything());
    let (all, unit) = (page.total.weight, event.map(|event| profile.events[event].unit));
    let row = |function: ShownFunction| {
        let Symbol { name, module } = function.symbol;
        let share = |part: u64| Cell { text: percent(percent_of(part, all)), value: part };
        let sum = |part: u64| Cell {
            text: unit.map_or_else(|| count(part), |unit| weight(unit, part)),
            value: part,
        };
        let (own, total) = (function.self_.weight, function.total.weight);
        Row {
            cells: vec![share(own), share(total), sum(own), sum(total)],
            name: of_runtime(&name, function.runtime).map_or(name.clone(), Cow::into_owned),
            suffix: module,
            paint: Paint::for_percent(percent_of(own, all)),
            leads_to: LeadsTo::Function(name),
        }
    };
    Table {
        columns: vec!["self %", "total %", "self", "total"],
        name: "function",
        rows: page.functions.rows.into_iter().map(row).collect(),
        none: "no samples: nothing ran, or the filter leaves none",
    }
}

/// What is known of a thread.
#[derive(Default)]
struct ThreadRow {
    on_cpu: u64,
    off_cpu: u64,
    ready: u64,
    waits: u64,
    state: String,
}

fn threads(profile: &Profile) -> Table {
    let event = find_event(profile, &EventName::from(CPU));
    let mut rows: Vec<(ShownThread, ThreadRow)> = Vec::new();
    let mut index: FxHashMap<(Option<u32>, Option<u32>, String), usize> = FxHashMap::default();
    let mut of = |thread: ShownThread, change: &dyn Fn(&mut ThreadRow)| {
        let key = (thread.pid, thread.tid, thread.thread.clone());
        let at = *index.entry(key).or_insert_with(|| {
            rows.push((thread, ThreadRow::default()));
            rows.len() - 1
        });
        change(&mut rows[at].1);
    };
    for row in summary(profile, event, everything()).threads.rows {
        of(row.thread, &|known| known.on_cpu = row.total.weight);
    }
    for row in off_cpu(profile, None, everything()).threads.rows {
        of(row.thread, &|known| {
            (known.off_cpu, known.ready, known.waits) = (row.off_cpu_ns, row.ready_ns, row.waits);
        });
    }
    for ThreadGroup { state, reason, threads, .. } in dump(profile, usize::MAX).groups.rows {
        for dumped in threads {
            let text = match state {
                ThreadState::Running => "running".to_owned(),
                ThreadState::Waiting => {
                    let about = match (dumped.at_least, dumped.about) {
                        (true, _) => "≥ ",
                        (false, true) => "~",
                        (false, false) => "",
                    };
                    let reason = reason.as_deref().unwrap_or("waiting");
                    format!("{reason}, {about}{}", duration(dumped.ns))
                }
            };
            of(dumped.thread, &|known| known.state.clone_from(&text));
        }
    }
    let several = profile.processes.len() > 1;
    let row = |(thread, known): (ShownThread, ThreadRow)| {
        let leads_to = match thread.tid {
            Some(tid) => LeadsTo::Thread(tid),
            None => LeadsTo::Text(vec!["threads that are not told apart".to_owned()]),
        };
        let (tid, name, process) = thread.texts(several);
        let waits = !known.state.is_empty() && known.state != "running";
        let state = match (known.state.as_str(), process.as_str()) {
            (state, "") => state.to_owned(),
            ("", process) => process.to_owned(),
            (state, process) => format!("{state}  {process}"),
        };
        Row {
            cells: vec![
                time(known.on_cpu),
                time(known.off_cpu),
                time(known.ready),
                number(known.waits),
            ],
            name: format!("{tid} {name}"),
            suffix: state,
            paint: if waits { Paint::Dim } else { Paint::Plain },
            leads_to,
        }
    };
    Table {
        columns: vec!["on CPU", "off CPU", "ready", "waits"],
        name: "thread, and what it does",
        rows: rows.into_iter().map(row).collect(),
        none: "no thread ran or waited",
    }
}

fn waits(profile: &Profile) -> Table {
    let event = find_event(profile, &EventName::from(OFF_CPU));
    let page = off_cpu(profile, event, SummaryOptions { limit: MOST_STACKS, ..everything() });
    let row = |reason: &str, Sum(sum): &Sum, suffix: &str| Row {
        cells: vec![time(sum.total_ns), number(sum.count), time(sum.max_ns), time(sum.queued_ns)],
        name: reason.to_owned(),
        suffix: suffix.to_owned(),
        paint: Paint::Plain,
        leads_to: LeadsTo::Text(stacks_of(&page.stacks, reason)),
    };
    let over = page.reasons.rows.iter().map(|reason| row(&reason.reason, &reason.sum, ""));
    let open = page.still_waiting.rows.iter();
    let open = open.map(|reason| row(&reason.reason, &reason.sum, "still waiting"));
    Table {
        columns: vec!["time", "waits", "longest", "ready"],
        name: "reason",
        rows: over.chain(open).collect(),
        none: match profile.info.captured.waits {
            true => "no thread has waited",
            false => "waits were not recorded: rec --off-cpu",
        },
    }
}

fn calls(profile: &Profile) -> Table {
    let event = find_event(profile, &EventName::from(SYSCALLS));
    let options = SyscallOptions { limit: MOST_STACKS, by: SortCalls::Time, threads: 0 };
    let page = syscalls(profile, event, options);
    let failed = |name: &str| {
        let of_call = page.failed.rows.iter().filter(|failed| failed.syscall == name);
        let errors = of_call.map(|failed| format!("{} {}", count(failed.count), failed.error));
        errors.collect::<Vec<_>>().join(", ")
    };
    let rows = page.calls.rows.iter().map(|call| {
        let Sum(sum) = &call.sum;
        Row {
            cells: vec![
                time(sum.total_ns),
                number(sum.count),
                number(sum.errors),
                time(sum.max_ns),
            ],
            name: call.syscall.clone(),
            suffix: failed(&call.syscall),
            paint: Paint::Plain,
            leads_to: LeadsTo::Text(stacks_of(&page.stacks, &call.syscall)),
        }
    });
    let open = page.in_flight.rows.iter().filter(|calls| calls.at_end > 0).map(|calls| Row {
        cells: vec![time(0), number(calls.at_end), number(0), time(0)],
        name: calls.syscall.clone(),
        suffix: "not over at the end".to_owned(),
        paint: Paint::Dim,
        leads_to: LeadsTo::Text(stacks_of(&page.stacks, &calls.syscall)),
    });
    Table {
        columns: vec!["time", "calls", "errors", "longest"],
        name: "system call",
        rows: rows.chain(open).collect(),
        none: match CallDetail::from(profile.info.captured.calls) {
            CallDetail::None => "system calls were not recorded: rec --syscalls",
            _ => "no system call was made",
        },
    }
}

/// Where threads waited for a reason, or made a call.
fn stacks_of(stacks: &Stacks, reason: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for stack in stacks.stacks.rows.iter().filter(|stack| stack.reason == reason) {
        let share = percent(percent_of(stack.total.weight, stacks.total.weight));
        let process = stack.process.as_deref().unwrap_or_default();
        lines.push(format!("{share}  {}  {process}", duration(stack.total.weight)));
        lines.extend(stack.functions.iter().map(|function| format!("    {function}")));
    }
    if lines.is_empty() {
        lines.push("no stacks of these: they were short, and few".to_owned());
    }
    lines
}

fn memory(profile: &Profile) -> Table {
    let page = heap(profile, HeapPageOptions { limit: usize::MAX, threads: 0 });
    let mut at: FxHashMap<Symbol, [ShownSum; 2]> = FxHashMap::default();
    for (which, table) in [&page.top_live_at_end, &page.top_at_peak].into_iter().enumerate() {
        for function in &table.functions.rows {
            at.entry(function.symbol.clone()).or_default()[which] = function.sum;
        }
    }
    let row = |FunctionSum { symbol, sum, callers }: FunctionSum| {
        let [live, peak] = at.get(&symbol).copied().unwrap_or_default();
        let mut text = vec!["called by, the one with most bytes first:".to_owned()];
        let caller = |caller: &Symbol| format!("    {}  {}", caller.name, caller.module);
        text.extend(callers.rows.iter().map(caller));
        Row {
            cells: vec![
                size(live.bytes),
                size(peak.bytes),
                size(sum.bytes),
                number(rounded(sum.objects.value)),
            ],
            name: symbol.name,
            suffix: symbol.module,
            paint: Paint::Plain,
            leads_to: LeadsTo::Text(text),
        }
    };
    let mut rows: Vec<Row> = page.top_allocated.functions.rows.into_iter().map(row).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.cells[0].value));
    Table {
        columns: vec!["live", "at peak", "allocated", "objects"],
        name: "function",
        rows,
        none: match profile.heap {
            Some(_) => "nothing was allocated",
            None => "allocations were not recorded: rec --alloc",
        },
    }
}

fn log(name: &str, profile: &Profile, event: Option<EventId>) -> Vec<String> {
    let mut header = Vec::new();
    // Memory takes everything.
    let _ = write_header(&mut header, Style::default(), name, profile, event);
    let mut lines: Vec<String> =
        String::from_utf8_lossy(&header).lines().map(str::to_owned).collect();
    let info = &profile.info;
    lines.push(String::new());
    let notes = info.notes.iter().chain(&info.details);
    lines.extend(notes.map(|note| format!("note: {}", clean(note))));
    lines
}
