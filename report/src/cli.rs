//! What the command line of `report` asks for.

mod args;
mod sides;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::mem::take;
use std::path::PathBuf;

use args::{Args, By, PerWhat};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use rz_command::stdin::{self, is_stdin};
use rz_command::symbols::Symbols;
use rz_profile::filter::Filter;
use rz_profile::heap::{HeapOptions, Metric};
use rz_profile::model::{ALLOC, EventKind, FUNCTIONS, OFF_CPU, SYSCALLS, WALL};
use rz_profile::select::EventName;
use rz_profile::spans::SpanFile;
use rz_report::condition::Condition;
use rz_report::diff::DiffOptions;
use rz_report::diff::normalize::{Per, Work};
use rz_report::model::calls::SortCalls;
use rz_report::model::top::SortBy;
use rz_report::model::trees::Direction;
use rz_report::render::change_color::Width;
use rz_report::views::annotate::{AnnotateOptions, SourcePlaces};
use rz_report::views::functions::FunctionListOptions;
use rz_report::views::heap::sites::{SiteKind, SortSites};
use rz_report::views::info::InfoOptions;
use rz_report::views::list::ListOptions;
use rz_report::views::tree::TreeOptions;
use rz_text::usage::clean_error;
pub use sides::Sides;

/// What was asked for.
#[derive(Debug)]
pub struct Config {
    /// What to read.
    pub input: Input,
    /// What the text shows.
    pub view: View,
    /// Which way a flame graph grows.
    pub direction: Direction,
    /// The flame graph to draw, if any.
    pub svg: Option<PathBuf>,
    /// The page to write, if any.
    pub html: Option<PathBuf>,
    /// How large that may be, in bytes.
    pub html_limit: u64,
    /// Whether a page is served.
    pub serve: bool,
    /// Whether it is shown on a terminal, to look around in.
    pub tui: bool,
    /// Whether a recorder that ran this ends with it.
    pub of_recorder: bool,
    /// Where to look for the texts of sources that a page is to have, if any.
    pub embed_source: Option<SourcePlaces>,
    /// Where what is shown goes as JSON.
    pub json: Option<PathBuf>,
    /// Where the text goes; `None` if there is to be none.
    pub text: Option<PathBuf>,
    /// What functions are sorted by.
    pub by: SortBy,
    /// How to compare.
    pub diff: DiffOptions,
    /// How many functions to list.
    pub limit: usize,
    /// The event to show.
    pub event: Option<EventName>,
    /// What to show of allocations where samples are shown.
    pub metric: Option<Metric>,
    /// How to look at allocations.
    pub heap: HeapOptions,
    /// The file that says which leaks to leave out.
    pub suppressions: Option<PathBuf>,
    /// Where to look for binaries first.
    pub symbols: Symbols,
    /// Where to look for source maps first.
    pub source_maps: Vec<PathBuf>,
    /// Which part of the trace, or of all traces, to show.
    pub filter: Filter,
    /// How wide frames of the flame graph of a comparison are.
    pub width: Width,
    /// Whether names are whole wherever the text goes.
    pub full_names: bool,
    /// Where what is shown goes as Markdown.
    pub markdown: Option<PathBuf>,
    /// When it fails.
    pub fail_if: Vec<Condition>,
}

/// The traces to read.
#[derive(Debug)]
pub enum Input {
    /// One, to be shown.
    One(PathBuf),
    /// One or more on each side, to be compared.
    Sides(Box<Sides>),
}

/// What is shown of one trace.
#[derive(Debug)]
pub enum View {
    /// Its samples and sums.
    Samples(SampleView),
    /// What is known besides samples.
    Info(InfoOptions),
    /// Every system call.
    List(ListOptions),
    /// Every call of a function.
    FunctionList(FunctionListOptions),
    /// Spans of a file, by name.
    Spans(SpanFile),
}

/// What is shown of samples and sums.
#[derive(Debug)]
pub enum SampleView {
    /// What is wrong.
    Doctor,
    /// What every thread was doing at the end.
    Dump,
    /// Top functions, hot path and threads.
    Summary {
        /// How many threads to list.
        threads: usize,
    },
    /// The call tree.
    Tree(TreeOptions),
    /// Why threads waited.
    OffCpu {
        /// How many threads to list.
        threads: usize,
    },
    /// One function, by line or instruction.
    Annotated(AnnotateOptions),
    /// Sums of system calls.
    Syscalls {
        /// What they are sorted by.
        by: SortCalls,
        /// How many threads to list.
        threads: usize,
    },
    /// Sums of calls of functions.
    Functions {
        /// What they are sorted by.
        by: SortCalls,
        /// How many threads to list.
        threads: usize,
    },
    /// What there is to say about allocations.
    Heap {
        /// How many threads to list.
        threads: usize,
    },
    /// Places that allocated, with their stacks.
    Sites {
        /// Of which objects.
        kind: SiteKind,
        /// What they are sorted by.
        by: SortSites,
    },
}

/// What is to be done.
#[derive(Debug)]
pub enum Asked {
    /// To say how to ask.
    Guide,
    /// To ask tables of many traces.
    Sql(SqlConfig),
    /// To show something.
    Report(Box<Config>),
}

/// What to ask tables.
#[derive(Debug)]
pub struct SqlConfig {
    /// The directory that they are in.
    pub directory: PathBuf,
    /// A query, or the name of a recipe.
    pub asked: String,
    /// What the recipe leaves open.
    pub settings: Vec<(String, String)>,
    /// Where the answer goes as JSON.
    pub json: Option<PathBuf>,
    /// Where it goes as text; `None` if there is to be none.
    pub text: Option<PathBuf>,
    /// Whether the text has comma-separated values.
    pub csv: bool,
}

/// Reads the command line; ends the process if it is wrong or asks for help.
pub fn parse() -> Asked {
    let asked = Args::try_parse().and_then(|mut args| match (args.guide, args.sql.take()) {
        (true, _) => Ok(Asked::Guide),
        (false, Some(asked)) => sql_config(args, asked).map(Asked::Sql),
        (false, None) => config(args).map(|config| Asked::Report(Box::new(config))),
    });
    asked.unwrap_or_else(|error| clean_error(error, std::env::args_os()).exit())
}

fn sql_config(mut args: Args, asked: String) -> Result<SqlConfig, clap::Error> {
    let directory = args.trace.take().unwrap_or_default();
    let settings = take(&mut args.set);
    let Outputs { json, text, .. } = outputs(&mut args, &Input::One(directory.clone()))?;
    Ok(SqlConfig { directory, asked, settings, json, text, csv: args.csv })
}

fn config(mut args: Args) -> Result<Config, clap::Error> {
    let traces = args.trace.iter_mut().chain(&mut args.diff).chain(&mut args.against);
    if stdin::resolve(traces) > 1 {
        let message = "there is one standard input only: give - once";
        return Err(Args::command().error(ErrorKind::TooManyValues, message));
    }
    let direction = if args.inverted { Direction::Inverted } else { Direction::TopDown };
    let function = annotated_function(&args)?;
    let embed_source = args.embed_source.then(|| source_places(&args));
    let symbols = args.symbols.symbols()?;
    let view = if let Some(file) = args.filters.unchosen_spans() {
        check_spans(&args)?;
        View::Spans(file)
    } else if args.info {
        let (processes, rows) = (args.limit.unwrap_or(10), args.limit.unwrap_or(25));
        View::Info(InfoOptions { processes, rows })
    } else if args.list && args.calls {
        View::FunctionList(FunctionListOptions { tail: args.tail, tree: args.tree })
    } else if args.list {
        View::List(ListOptions { tail: args.tail, errors: args.errors })
    } else {
        View::Samples(sample_view(&args, function, &symbols, direction))
    };
    let filter = args.filters.clone().filter(args.to);
    if args.list {
        check_list(&args, &filter)?;
    }
    if matches!(view, View::Spans(_)) && filter.by_stack() {
        let message = "spans are listed without stacks: --spans FILE alone can be filtered by \
                       time, thread and process only";
        return Err(conflict(message));
    }
    let samples_of_heap = args.tree
        || args.inverted
        || args.svg.is_some()
        || !args.diff.is_empty()
        || matches!(view, View::Samples(SampleView::Annotated(_)));
    if args.metric.is_some() && !samples_of_heap {
        let message = "--metric is for --tree, --inverted, --svg and --diff";
        return Err(conflict(message));
    }
    // Shown as any other event, allocations would have the noise of samples in
    // time, and estimates would look like counts.
    let named = args.event.as_deref().map(EventName::from);
    let kind = named.as_ref().and_then(EventName::kind);
    let as_event = kind == Some(EventKind::Alloc);
    let metric =
        ((args.heap && samples_of_heap) || as_event).then(|| args.metric.unwrap_or_default());
    // Both have exact sums; waits cannot fail.
    let compares_sums = !args.diff.is_empty()
        && match kind {
            Some(EventKind::Syscalls) => true,
            Some(EventKind::OffCpu | EventKind::Functions) => !matches!(args.by, Some(By::Errors)),
            _ => false,
        };
    let by = sort_functions(args.by, &view, compares_sums)?;
    let chosen = [
        (args.off_cpu, OFF_CPU),
        (args.wall, WALL),
        (args.syscalls, SYSCALLS),
        (args.calls, FUNCTIONS),
        (args.heap, ALLOC),
    ];
    let chosen = chosen.into_iter().find_map(|(chosen, event)| chosen.then(|| event.into()));
    let event = chosen.or(named);
    let input = match args.trace.take() {
        Some(_) if !args.before.is_empty() || !args.after.is_empty() => {
            let message = "--before and --after are parts to compare: report --diff TRACE \
                           --before PART --after PART";
            return Err(conflict(message));
        }
        Some(trace) => Input::One(trace),
        None => {
            let (diff, against) = (take(&mut args.diff), take(&mut args.against));
            let parts = [take(&mut args.before), take(&mut args.after)];
            Input::Sides(Box::new(Sides::new(diff, against, parts, &filter)?))
        }
    };
    let diff = diff_options(&mut args, &input, by)?;
    let Outputs { svg, html, json, markdown, text } = outputs(&mut args, &input)?;
    let on_terminal = text.as_ref().is_some_and(|text| text.as_os_str() == "-")
        && std::io::stdout().is_terminal();
    let default_limit = match (&view, &input) {
        (View::Samples(SampleView::Heap { .. }), _) => 10,
        // The first page fits it.
        (View::Samples(SampleView::Summary { .. }), Input::One(_)) if on_terminal => 10,
        _ => 25,
    };
    let limit = args.limit.unwrap_or(default_limit);
    for condition in &args.fail_if {
        let fits = match &input {
            Input::One(_) => condition.for_one_trace(),
            Input::Sides(_) => condition.for_comparisons(),
        };
        fits.map_err(conflict)?;
    }
    let heap = HeapOptions { temporary_within: args.temporary_within };
    Ok(Config {
        input,
        view,
        direction,
        svg,
        html,
        serve: args.serve,
        tui: args.tui,
        of_recorder: args.of_recorder,
        embed_source,
        html_limit: u64::from(args.html_limit) * 1_000_000,
        json,
        text,
        by,
        diff,
        limit,
        event,
        metric,
        heap,
        suppressions: args.suppressions,
        symbols,
        source_maps: args.source_map,
        filter,
        width: args.width,
        full_names: args.full_names,
        markdown,
        fail_if: args.fail_if,
    })
}

/// A command line that says what cannot be.
fn conflict(message: impl std::fmt::Display) -> clap::Error {
    Args::command().error(ErrorKind::ArgumentConflict, message)
}

/// A command line that does not say enough.
fn missing(message: &str) -> clap::Error {
    Args::command().error(ErrorKind::MissingRequiredArgument, message)
}

/// The function to annotate, if any. Checks what belongs to that.
fn annotated_function(args: &Args) -> Result<Option<String>, clap::Error> {
    let function = match (&args.source, &args.asm) {
        (Some(_), Some(Some(_))) => {
            let message = "one function is enough: --source FUNCTION --asm, or --asm FUNCTION";
            return Err(conflict(message));
        }
        (Some(function), _) | (None, Some(Some(function))) => Some(function.clone()),
        (None, Some(None)) => return Err(missing("which function? --asm FUNCTION")),
        (None, None) => None,
    };
    if args.embed_source && args.html.is_none() && !args.serve {
        return Err(missing("--embed-source is for the page of a trace: --html or --serve"));
    }
    if function.is_none() && !args.embed_source && !args.source_dir.is_empty() {
        return Err(conflict("--source-dir is for --source, --asm and --embed-source"));
    }
    Ok(function)
}

/// What a list of spans cannot have.
fn check_spans(args: &Args) -> Result<(), clap::Error> {
    let asks_view = args.doctor || args.dump || args.tui || args.tree || args.inverted;
    let asks_view = asks_view || args.source.is_some() || args.asm.is_some() || args.info;
    let asks_view = asks_view || args.svg.is_some() || args.html.is_some() || args.serve;
    let asks_events = args.off_cpu || args.wall || args.syscalls || args.calls || args.heap;
    let is_of_one = args.diff.is_empty() && args.fail_if.is_empty();
    if asks_view || asks_events || args.event.is_some() || !is_of_one {
        let message = "which spans? --span NAME or --trace-id ID; --spans FILE alone lists them";
        return Err(conflict(message));
    }
    Ok(())
}

/// What a list of calls cannot have.
fn check_list(args: &Args, filter: &Filter) -> Result<(), clap::Error> {
    if args.calls && args.errors {
        return Err(conflict("--errors is for --syscalls: no result of a function is an error"));
    }
    if args.tree && !args.calls {
        return Err(conflict(
            "--list --tree is for --calls: system calls are not made in each other",
        ));
    }
    if args.limit.is_some() {
        let message = "--list has no table to limit; --tail N lists only the last N calls";
        return Err(conflict(message));
    }
    if filter.by_stack() {
        let message = "calls are listed without stacks: --list can be filtered by time, thread \
                       and process only";
        return Err(conflict(message));
    }
    if args.markdown.is_some() && args.tail.is_none() {
        return Err(conflict("a ticket has no room for every call: --list --tail N --markdown"));
    }
    Ok(())
}

fn diff_options(args: &mut Args, input: &Input, by: SortBy) -> Result<DiffOptions, clap::Error> {
    let renames = take(&mut args.rename);
    let (work, one_trace, own_threads) = match input {
        Input::One(_) => (Work::default(), false, false),
        Input::Sides(sides) => {
            let (units, name) = (take(&mut args.work), take(&mut args.work_name));
            let (work, one_trace) = (sides.work(units, name)?, sides.are_of_one_trace());
            if one_trace && !renames.is_empty() {
                let message = "--rename is for two traces: in one, a function has one name";
                return Err(conflict(message));
            }
            (work, one_trace, sides.have_own_threads())
        }
    };
    Ok(DiffOptions {
        by,
        per: args.per.map(|per| match per {
            PerWhat::Wall => Per::Wall,
            PerWhat::Thread => Per::Thread,
            PerWhat::Work => Per::Work,
            PerWhat::Share => Per::Share,
            PerWhat::Raw => Per::Raw,
        }),
        work,
        sums_by: sort_calls(args.by),
        fdr: args.fdr / 100.0,
        min_effect: args.min_effect / 100.0,
        renames,
        one_trace,
        own_threads,
    })
}

/// Where everything goes.
struct Outputs {
    svg: Option<PathBuf>,
    html: Option<PathBuf>,
    json: Option<PathBuf>,
    markdown: Option<PathBuf>,
    text: Option<PathBuf>,
}

/// Files without a name are beside the trace; there is a text if there is nothing else.
fn outputs(args: &mut Args, input: &Input) -> Result<Outputs, clap::Error> {
    let beside = |extension: &str| {
        let (trace, extension) = match input {
            Input::One(trace) => (trace, extension.to_owned()),
            Input::Sides(sides) => (&sides.traces[1][0], format!("diff.{extension}")),
        };
        if is_stdin(trace) { "-".into() } else { trace.with_extension(extension) }
    };
    let svg = args.svg.take().map(|file| file.unwrap_or_else(|| beside("svg")));
    let html = args.html.take().map(|file| file.unwrap_or_else(|| beside("html")));
    let (json, markdown) = (args.json.take(), args.markdown.take());
    let other: Vec<&PathBuf> = [&svg, &html, &json, &markdown].into_iter().flatten().collect();
    let text = match args.output.take() {
        None if !other.is_empty() || args.serve || args.tui => None,
        output => Some(output.unwrap_or_else(|| "-".into())),
    };
    let mut places: Vec<&PathBuf> = other.into_iter().chain(&text).collect();
    places.sort();
    if places.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = "text, flame graph, page, JSON and Markdown cannot go to the same place";
        return Err(conflict(message));
    }
    Ok(Outputs { svg, html, json, markdown, text })
}

/// What is shown of samples and sums; of `function`, if one was named.
fn sample_view(
    args: &Args,
    function: Option<String>,
    symbols: &Symbols,
    direction: Direction,
) -> SampleView {
    let threads = if args.threads { usize::MAX } else { 10 };
    if let Some(function) = function {
        SampleView::Annotated(AnnotateOptions {
            function,
            asm: args.asm.is_some(),
            sources: source_places(args),
            debug_dirs: symbols.debug_dirs.clone(),
            symbols: symbols.options.clone(),
            min_percent: args.min_percent,
            limit: args.limit.unwrap_or(25),
        })
    } else if args.doctor {
        SampleView::Doctor
    } else if args.dump {
        SampleView::Dump
    } else if args.tree || args.inverted {
        SampleView::Tree(TreeOptions { direction, min_percent: args.min_percent })
    } else if args.off_cpu {
        SampleView::OffCpu { threads }
    } else if args.syscalls {
        SampleView::Syscalls { by: sort_calls(args.by), threads }
    } else if args.calls {
        SampleView::Functions { by: sort_calls(args.by), threads }
    } else if let Some(kind) = site_kind(args) {
        let by = match (args.by, kind) {
            (Some(By::Count), _) | (None, SiteKind::Temporary) => SortSites::Count,
            _ => SortSites::Bytes,
        };
        SampleView::Sites { kind, by }
    } else if args.heap && args.diff.is_empty() {
        SampleView::Heap { threads }
    } else {
        SampleView::Summary { threads }
    }
}

fn source_places(args: &Args) -> SourcePlaces {
    SourcePlaces { dirs: args.source_dir.clone(), maps: args.source_map.clone() }
}

fn sort_calls(by: Option<By>) -> SortCalls {
    match by {
        Some(By::Count) => SortCalls::Count,
        Some(By::Errors) => SortCalls::Errors,
        _ => SortCalls::Time,
    }
}

/// What functions are sorted by. Where others are sorted, it is checked that
/// they can be.
fn sort_functions(by: Option<By>, view: &View, compares_sums: bool) -> Result<SortBy, clap::Error> {
    Ok(match (by, view) {
        (Some(By::Count | By::Errors), View::Samples(SampleView::Syscalls { .. })) => {
            SortBy::TotalWeight
        }
        (Some(By::Count), View::Samples(SampleView::Functions { .. })) => SortBy::TotalWeight,
        (
            Some(By::SelfWeight | By::Bytes | By::Errors),
            View::Samples(SampleView::Functions { .. }),
        ) => return Err(conflict("calls of functions are sorted by total or count")),
        (Some(By::Bytes | By::Count), View::Samples(SampleView::Sites { .. })) => {
            SortBy::TotalWeight
        }
        (Some(By::SelfWeight | By::Bytes), View::Samples(SampleView::Syscalls { .. })) => {
            let message = "system calls are sorted by total, count or errors";
            return Err(conflict(message));
        }
        (Some(_), View::Samples(SampleView::Sites { .. })) => {
            let message = "places of --heap are sorted by bytes or count";
            return Err(conflict(message));
        }
        (Some(_), View::Samples(SampleView::Heap { .. })) => {
            let message = "the summary of --heap is by bytes; --sites can be sorted by count";
            return Err(conflict(message));
        }
        (Some(By::Count | By::Errors), _) if compares_sums => SortBy::SelfWeight,
        (Some(By::Count | By::Errors | By::Bytes), _) => {
            let message =
                "--by count, bytes and errors are for --syscalls, --calls and places of --heap";
            return Err(conflict(message));
        }
        (Some(By::Total), _) | (None, View::Samples(SampleView::OffCpu { .. })) => {
            SortBy::TotalWeight
        }
        _ => SortBy::SelfWeight,
    })
}

fn site_kind(args: &Args) -> Option<SiteKind> {
    let kinds = [
        (args.sites, SiteKind::All),
        (args.leaks, SiteKind::Leaks),
        (args.peak, SiteKind::Peak),
        (args.temporary, SiteKind::Temporary),
    ];
    kinds.into_iter().find_map(|(chosen, kind)| chosen.then_some(kind))
}
