//! The report about functions whose calls were recorded: how many, and how long they took.

mod list;
mod values;

use std::io::{self, Write};

use rustc_hash::FxHashSet;
use rz_profile::model::{EventId, ProbedFunction, Profile, TotalClass};
use serde::Serialize;

pub use list::{FunctionCallsPage, FunctionListOptions, ShownFunctionCall, write_function_list};

use crate::model::calls::{SortCalls, all, by_number, by_thread};
use crate::model::rows::Rows;
use crate::model::sums::Sum;
use crate::model::threads::ShownThread;
use crate::model::trees::{Direction, call_tree};
use crate::render::format::{count, counted, duration};
use crate::render::histogram::Axis;
use crate::render::style::{Paint, Style};
use crate::render::sums_table::{
    self, duration_columns, duration_titles, sums_note, write_replacement, write_sums,
    write_thread_sums,
};
use crate::render::table::TableRow;
use crate::render::title::{some_of, write_title};
use crate::views::header::write_header;
use crate::views::stacks::{Stacks, stacks_of_functions, write_stacks};
use crate::views::summary::{with_samples, write_no_samples};

/// Where the share of all time stands among columns: functions call each other, so that
/// their times do not add up.
const SHARE_COLUMN: usize = 1;

/// What the report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionOptions {
    /// How many rows tables have.
    pub limit: usize,
    /// What functions are sorted by.
    pub by: SortCalls,
    /// How many threads to list.
    pub threads: usize,
}

/// Which functions were called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FunctionsPage {
    /// Calls that returned; exact, unless `quality.inexact_sums` has `functions`. `null` if a
    /// filter by stack leaves them out.
    pub calls: Option<u64>,
    /// The same by function, with the time from its beginning to its return. A function's
    /// time has that of the functions that it calls.
    pub functions: Rows<CalledFunction>,
    /// Where they were called, sampled in proportion to time.
    pub stacks: Stacks,
    /// What threads called, the longest time first.
    pub threads: Rows<ThreadFunctions>,
}

/// A function and its calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CalledFunction {
    /// Its name.
    pub function: String,
    /// Its file's name.
    pub file: String,
    /// What its calls add up to.
    #[serde(flatten)]
    pub sum: Sum,
}

/// What a thread called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadFunctions {
    /// The thread.
    #[serde(flatten)]
    pub thread: ShownThread,
    /// What the calls add up to.
    #[serde(flatten)]
    pub sum: Sum,
}

/// What is known of calls of functions: sums are exact, and stacks are sampled.
pub fn functions(
    profile: &Profile,
    event: Option<EventId>,
    options: FunctionOptions,
) -> FunctionsPage {
    let class = TotalClass::Functions;
    let mut sums = by_number(profile, class, options.by);
    // Those that were never called are there, too.
    let called: FxHashSet<u32> = sums.iter().map(|(number, _)| *number).collect();
    let rest = profile.probed.keys().filter(|number| !called.contains(number));
    sums.extend(rest.map(|number| (*number, Default::default())));
    let stacks = with_samples(profile, event).map(|event| {
        let (tree, symbols) = call_tree(profile, event, Direction::TopDown, 0.0);
        stacks_of_functions(&tree, &symbols, options.limit)
    });
    FunctionsPage {
        calls: (!profile.info.filter.drops_stacks)
            .then(|| all(sums.iter().map(|(_, sum)| sum)).count),
        functions: Rows::first(options.limit, sums, |(number, sum)| {
            let (function, file) = named(profile.probed.get(&number));
            CalledFunction { function, file, sum: Sum::of_functions(sum) }
        }),
        stacks: stacks.unwrap_or_default(),
        threads: Rows::first(options.threads, by_thread(profile, class), |(thread, sum)| {
            let thread = ShownThread::of(profile, thread);
            ThreadFunctions { thread, sum: Sum::of_functions(sum) }
        }),
    }
}

/// What a function is called, and its file.
fn named(function: Option<&ProbedFunction>) -> (String, String) {
    match function {
        Some(function) => (function.name.clone(), function.file_name().to_owned()),
        None => ("[lost]".to_owned(), String::new()),
    }
}

/// Writes which functions were called, from exact sums, and where from, by the samples of
/// `event`.
pub fn write_functions(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &FunctionsPage,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    write_called(out, style, profile, page)?;
    if with_samples(profile, event).is_some() {
        write_stacks(out, style, &page.stacks)?;
    } else if profile.info.filter.is_active() {
        writeln!(out)?;
        write_no_samples(out, profile, event)?;
    }
    write_threads(out, style, profile, &page.threads)
}

fn write_called(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    page: &FunctionsPage,
) -> io::Result<()> {
    let (class, functions) = (TotalClass::Functions, &page.functions);
    let exact = match page.calls.unwrap_or(0) {
        0 => "none returned while it was recorded".to_owned(),
        calls => {
            let some = some_of(functions.rows.len(), functions.all());
            format!(
                "exact: {}; a function's time has that of what it calls{some}",
                counted(calls, "call")
            )
        }
    };
    write_title(out, style, "CALLS OF FUNCTIONS", &sums_note(profile, class, exact))?;
    let sum = all(functions.rows.iter().map(|function| &function.sum.0));
    write_replacement(out, style, profile, class, &sum, "call")?;
    let axis = Axis::of(functions.rows.iter().map(|function| &function.sum.0.histogram));
    let span = axis.label();
    write_sums(out, style, |detail| {
        let with_histogram = detail == sums_table::Detail::Histogram;
        let row_of = |CalledFunction { function, file, sum: Sum(sum) }: &CalledFunction| {
            let mut times = duration_columns(detail, sum, 0);
            times.remove(SHARE_COLUMN);
            // What was never called took no time, and not 0.
            let text = |text: String| if sum.count > 0 { text } else { String::new() };
            let mut numbers = vec![(count(sum.count), Paint::Plain)];
            numbers.extend(times.into_iter().map(|(time, _)| (text(time), Paint::Plain)));
            if with_histogram {
                numbers.push((axis.draw(&sum.histogram), Paint::Plain));
            }
            TableRow { numbers, text: function.clone(), suffix: format!("[{file}]") }
        };
        let mut titles = duration_titles(detail).to_vec();
        titles.remove(SHARE_COLUMN);
        titles.insert(0, "calls");
        if with_histogram {
            titles.push(&span);
        }
        titles.push("function");
        (titles, functions.rows.iter().map(row_of).collect())
    })
}

fn write_threads(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    threads: &Rows<ThreadFunctions>,
) -> io::Result<()> {
    if threads.all() < 2 {
        return Ok(());
    }
    let inexact = profile.inexact.contains(&TotalClass::Functions);
    let note = if inexact { "added up" } else { "exact sums" };
    let several = profile.processes.len() > 1;
    write_thread_sums(out, style, several, note, &["calls", "time", "max"], threads, |row| {
        let ThreadFunctions { thread, sum: Sum(sum) } = row;
        let times = [sum.total_ns, sum.max_ns].map(duration);
        (thread, [count(sum.count)].into_iter().chain(times).collect())
    })
}
