//! What the command line of `report` asks for.

mod args;
mod sides;

use std::io::IsTerminal;
use std::path::PathBuf;

use args::{Args, By, PerWhat};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use rz_command::stdin::{self, is_stdin};
use rz_command::symbols::Symbols;
use rz_profile::filter::Filter;
use rz_profile::heap::{HeapOptions, Metric};
use rz_profile::model::{ALLOC, EventKind, OFF_CPU, SYSCALLS, WALL};
use rz_profile::select::EventName;
use rz_report::condition::Condition;
use rz_report::diff::DiffOptions;
use rz_report::diff::normalize::{Per, Work};
use rz_report::model::calls::SortCalls;
use rz_report::model::top::SortBy;
use rz_report::model::trees::Direction;
use rz_report::render::change_color::Width;
use rz_report::views::annotate::{AnnotateOptions, SourcePlaces};
use rz_report::views::heap::sites::{SiteKind, SortSites};
use rz_report::views::info::InfoOptions;
use rz_report::views::list::ListOptions;
use rz_report::views::tree::TreeOptions;
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
}

/// What is shown of samples and sums.
#[derive(Debug)]
pub enum SampleView {
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
    /// To show something.
    Report(Box<Config>),
}

/// Reads the command line; ends the process if it is wrong or asks for help.
pub fn parse() -> Asked {
    let args = Args::parse();
    if args.guide {
        return Asked::Guide;
    }
    config(args).map(|config| Asked::Report(Box::new(config))).unwrap_or_else(|error| error.exit())
}

fn config(mut args: Args) -> Result<Config, clap::Error> {
    let traces = args.trace.iter_mut().chain(&mut args.diff).chain(&mut args.against);
    if stdin::resolve(traces) > 1 {
        let message = "there is one standard input only: give - once";
        return Err(Args::command().error(ErrorKind::TooManyValues, message));
    }
    let direction = if args.inverted { Direction::Inverted } else { Direction::TopDown };
    let function = match (&args.source, &args.asm) {
        (Some(_), Some(Some(_))) => {
            let message = "one function is enough: --source FUNCTION --asm, or --asm FUNCTION";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        (Some(function), _) | (None, Some(Some(function))) => Some(function.clone()),
        (None, Some(None)) => {
            let message = "which function? --asm FUNCTION";
            return Err(Args::command().error(ErrorKind::MissingRequiredArgument, message));
        }
        (None, None) => None,
    };
    if args.embed_source && args.html.is_none() && !args.serve {
        let message = "--embed-source is for the page of a trace: --html or --serve";
        return Err(Args::command().error(ErrorKind::MissingRequiredArgument, message));
    }
    if function.is_none() && !args.embed_source && !args.source_dir.is_empty() {
        let message = "--source-dir is for --source, --asm and --embed-source";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
    }
    let embed_source = args.embed_source.then(|| source_places(&args));
    let symbols = args.symbols.symbols()?;
    let view = if args.info {
        let (processes, rows) = (args.limit.unwrap_or(10), args.limit.unwrap_or(25));
        View::Info(InfoOptions { processes, rows })
    } else if args.list {
        View::List(ListOptions { tail: args.tail, errors: args.errors })
    } else {
        View::Samples(sample_view(&args, function, &symbols, direction))
    };
    if args.list && args.limit.is_some() {
        let message = "--list has no table to limit; --tail N lists only the last N calls";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
    }
    let filter = args.filters.filter(args.to);
    if args.list && filter.by_stack() {
        let message = "calls are listed without stacks: --list can be filtered by time, thread \
                       and process only";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
    }
    let samples_of_heap = args.tree
        || args.inverted
        || args.svg.is_some()
        || !args.diff.is_empty()
        || matches!(view, View::Samples(SampleView::Annotated(_)));
    if args.metric.is_some() && !samples_of_heap {
        let message = "--metric is for --tree, --inverted, --svg and --diff";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
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
            Some(EventKind::OffCpu) => !matches!(args.by, Some(By::Errors)),
            _ => false,
        };
    let by = sort_functions(args.by, &view, compares_sums)?;
    let chosen =
        [(args.off_cpu, OFF_CPU), (args.wall, WALL), (args.syscalls, SYSCALLS), (args.heap, ALLOC)];
    let chosen = chosen.into_iter().find_map(|(chosen, event)| chosen.then(|| event.into()));
    let event = chosen.or(named);
    let input = match args.trace {
        Some(_) if !args.before.is_empty() || !args.after.is_empty() => {
            let message = "--before and --after are parts to compare: report --diff TRACE \
                           --before PART --after PART";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        Some(trace) => Input::One(trace),
        None => {
            let parts = [args.before, args.after];
            Input::Sides(Box::new(Sides::new(args.diff, args.against, parts, &filter)?))
        }
    };
    let (work, one_trace, own_threads) = match &input {
        Input::One(_) => (Work::default(), false, false),
        Input::Sides(sides) => {
            let (work, one_trace) =
                (sides.work(args.work, args.work_name)?, sides.are_of_one_trace());
            if one_trace && !args.rename.is_empty() {
                let message = "--rename is for two traces: in one, a function has one name";
                return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
            }
            (work, one_trace, sides.have_own_threads())
        }
    };
    let diff = DiffOptions {
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
        renames: args.rename,
        one_trace,
        own_threads,
    };
    let beside = |extension: &str| {
        let (trace, extension) = match &input {
            Input::One(trace) => (trace, extension.to_owned()),
            Input::Sides(sides) => (&sides.traces[1][0], format!("diff.{extension}")),
        };
        if is_stdin(trace) { "-".into() } else { trace.with_extension(extension) }
    };
    let svg = args.svg.map(|file| file.unwrap_or_else(|| beside("svg")));
    let html = args.html.map(|file| file.unwrap_or_else(|| beside("html")));
    let other: Vec<&PathBuf> =
        [&svg, &html, &args.json, &args.markdown].into_iter().flatten().collect();
    let text = match args.output {
        None if !other.is_empty() || args.serve => None,
        output => Some(output.unwrap_or_else(|| "-".into())),
    };
    let mut places: Vec<&PathBuf> = other.into_iter().chain(&text).collect();
    places.sort();
    if places.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = "text, flame graph, page, JSON and Markdown cannot go to the same place";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
    }
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
        fits.map_err(|why| Args::command().error(ErrorKind::ArgumentConflict, why))?;
    }
    if args.list && args.markdown.is_some() && args.tail.is_none() {
        let message = "a ticket has no room for every call: --list --tail N --markdown";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
    }
    let heap = HeapOptions { temporary_within: args.temporary_within };
    Ok(Config {
        input,
        view,
        direction,
        svg,
        html,
        serve: args.serve,
        embed_source,
        html_limit: u64::from(args.html_limit) * 1_000_000,
        json: args.json,
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
        markdown: args.markdown,
        fail_if: args.fail_if,
    })
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
    } else if args.tree || args.inverted {
        SampleView::Tree(TreeOptions { direction, min_percent: args.min_percent })
    } else if args.off_cpu {
        SampleView::OffCpu { threads }
    } else if args.syscalls {
        SampleView::Syscalls { by: sort_calls(args.by), threads }
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
        (Some(By::Bytes | By::Count), View::Samples(SampleView::Sites { .. })) => {
            SortBy::TotalWeight
        }
        (Some(By::SelfWeight | By::Bytes), View::Samples(SampleView::Syscalls { .. })) => {
            let message = "system calls are sorted by total, count or errors";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        (Some(_), View::Samples(SampleView::Sites { .. })) => {
            let message = "places of --heap are sorted by bytes or count";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        (Some(_), View::Samples(SampleView::Heap { .. })) => {
            let message = "the summary of --heap is by bytes; --sites can be sorted by count";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        (Some(By::Count | By::Errors), _) if compares_sums => SortBy::SelfWeight,
        (Some(By::Count | By::Errors | By::Bytes), _) => {
            let message = "--by count, bytes and errors are for --syscalls and places of --heap";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config_of(line: &str) -> Result<Config, ErrorKind> {
        Args::try_parse_from(line.split(' ')).and_then(config).map_err(|error| error.kind())
    }

    #[test]
    fn output_goes_where_it_is_asked_to() {
        let check = |line: &str, svg: Option<&str>, text: Option<&str>| {
            let config = config_of(line).unwrap();
            assert_eq!(config.svg.as_deref(), svg.map(Path::new), "{line}");
            assert_eq!(config.text.as_deref(), text.map(Path::new), "{line}");
        };
        check("report d/t.rz", None, Some("-"));
        check("report d/t.rz -o t.txt", None, Some("t.txt"));
        check("report d/t.rz --svg", Some("d/t.svg"), None);
        check("report d/t.rz --svg f.svg", Some("f.svg"), None);
        let page = config_of("report d/t.rz --html").unwrap();
        assert_eq!((page.html.as_deref(), page.text), (Some(Path::new("d/t.html")), None));
        check("report d/t.rz --inverted --svg - -o t.txt", Some("-"), Some("t.txt"));
        check("report --diff a.rz d/b.rz --svg", Some("d/b.diff.svg"), None);
        check("report --diff a.rz b.rz --json j.json", None, None);
        check("report d/t.rz --json", None, None);
        check("report d/t.rz --json j.json -o -", None, Some("-"));
        check("report - --svg", Some("-"), None);
        check("report --diff - d/b.rz --svg", Some("d/b.diff.svg"), None);
        check("report --diff d/a.rz - --svg", Some("-"), None);
        check("report --diff a.rz b.rz --markdown - -o t.txt", None, Some("t.txt"));
        check("report --diff a.rz b.rz --markdown", None, None);
        check("report d/t.rz --markdown", None, None);
        check("report d/t.rz --markdown t.md -o -", None, Some("-"));
        check("report d/t.rz --serve", None, None);
        check("report --diff a.rz b.rz --serve", None, None);
    }

    #[test]
    fn events_and_views() {
        let check = |line: &str, event: Option<&str>, view: &str| {
            let config = config_of(line).unwrap();
            assert_eq!(config.event.as_ref().map(EventName::as_str), event, "{line}");
            let shown = format!("{:?}", config.view);
            let shown = shown.trim_start_matches("Samples(");
            assert!(shown.starts_with(view), "{line}: {shown}");
        };
        check("report t.rz", None, "Summary");
        check("report t.rz --event off-cpu", Some("off-cpu"), "Summary");
        check("report t.rz --off-cpu", Some("off-cpu"), "OffCpu");
        check("report t.rz --off-cpu --tree", Some("off-cpu"), "Tree");
        check("report t.rz --wall", Some("wall"), "Summary");
        check("report t.rz --syscalls --by count", Some("syscalls"), "Syscalls { by: Count");
        check("report t.rz --syscalls --list --tail 5", Some("syscalls"), "List(ListOptions");
        check("report --diff a.rz b.rz --event syscalls", Some("syscalls"), "Summary");
        check("report t.rz --heap", Some("alloc"), "Heap");
        check("report t.rz --source f", None, "Annotated");
        check("report t.rz --off-cpu --source f --asm", Some("off-cpu"), "Annotated");
        check("report t.rz --asm f --event cpu", Some("cpu"), "Annotated");
        check("report t.rz --info", None, "Info");
        check("report t.rz --heap --tree --metric live", Some("alloc"), "Tree");
        check("report t.rz --heap --leaks", Some("alloc"), "Sites { kind: Leaks, by: Bytes");
        check(
            "report t.rz --heap --temporary",
            Some("alloc"),
            "Sites { kind: Temporary, by: Count",
        );
        check(
            "report t.rz --heap --sites --by count",
            Some("alloc"),
            "Sites { kind: All, by: Count",
        );
        check("report --diff a.rz b.rz --heap", Some("alloc"), "Summary");
    }

    #[test]
    fn contradictions_are_refused() {
        use ErrorKind::*;
        let check = |line: &str, kind| assert_eq!(config_of(line).unwrap_err(), kind, "{line}");
        check("report", MissingRequiredArgument);
        check("report --svg t.rz", MissingRequiredArgument);
        check("report --diff a.rz", WrongNumberOfValues);
        check("report --diff a.rz b.rz c.rz", WrongNumberOfValues);
        check("report --diff - -", TooManyValues);
        check("report --diff a.rz /dev/stdin --against b.rz -", TooManyValues);
        check("report - --svg -o -", ArgumentConflict);
        check("report --diff a.rz b.rz --work 1", WrongNumberOfValues);
        check("report --diff a.rz b.rz --work 0 --work 1", ValueValidation);
        check("report --diff a.rz b.rz --fdr 101", ValueValidation);
        check("report --diff a.rz b.rz --per hour", InvalidValue);
        check("report --diff a.rz b.rz --by count", ArgumentConflict);
        check("report --diff a.rz b.rz --event off-cpu --by errors", ArgumentConflict);
        check("report t.rz --against a.rz", ArgumentConflict);
        check("report t.rz --per wall", ArgumentConflict);
        check("report t.rz --fdr 5", ArgumentConflict);
        check("report --against a.rz b.rz", MissingRequiredArgument);
        check("report t.rz --diff a.rz b.rz", ArgumentConflict);
        check("report t.rz --tree --inverted", ArgumentConflict);
        check("report t.rz --svg - -o -", ArgumentConflict);
        check("report t.rz --min-percent 101", ValueValidation);
        check("report t.rz --by name", InvalidValue);
        check("report t.rz --by count", ArgumentConflict);
        check("report t.rz --off-cpu --by errors", ArgumentConflict);
        check("report t.rz --syscalls --by self", ArgumentConflict);
        check("report t.rz --syscalls --tree --by count", ArgumentConflict);
        check("report t.rz --off-cpu --wall", ArgumentConflict);
        check("report t.rz --off-cpu --event cpu", ArgumentConflict);
        check("report --diff a.rz b.rz --off-cpu", ArgumentConflict);
        check("report t.rz --list", MissingRequiredArgument);
        check("report t.rz --syscalls --tail 5", MissingRequiredArgument);
        check("report t.rz --syscalls --errors", MissingRequiredArgument);
        check("report t.rz --syscalls --list --svg", ArgumentConflict);
        check("report t.rz --syscalls --list --limit 5", ArgumentConflict);
        check("report t.rz --leaks", MissingRequiredArgument);
        check("report t.rz --metric live", MissingRequiredArgument);
        check("report t.rz --temporary-within 2", MissingRequiredArgument);
        check("report t.rz --heap --temporary-within 0", ValueValidation);
        check("report t.rz --heap --metric size", InvalidValue);
        check("report t.rz --heap --metric live", ArgumentConflict);
        check("report t.rz --heap --by count", ArgumentConflict);
        check("report t.rz --heap --sites --by errors", ArgumentConflict);
        check("report t.rz --heap --sites --leaks", ArgumentConflict);
        check("report t.rz --heap --leaks --tree", ArgumentConflict);
        check("report t.rz --heap --leaks --svg", ArgumentConflict);
        check("report t.rz --heap --suppressions f", MissingRequiredArgument);
        check("report t.rz --heap --off-cpu", ArgumentConflict);
        check("report t.rz --heap --event cpu", ArgumentConflict);
        check("report --diff a.rz b.rz --heap --leaks", ArgumentConflict);
        check("report t.rz --asm", MissingRequiredArgument);
        check("report t.rz --source f --asm g", ArgumentConflict);
        check("report t.rz --source f --tree", ArgumentConflict);
        check("report t.rz --info --tree", ArgumentConflict);
        check("report t.rz --source-dir d", ArgumentConflict);
        check("report t.rz --html --source-dir d", ArgumentConflict);
        check("report t.rz --embed-source", MissingRequiredArgument);
        check("report t.rz --svg --embed-source", MissingRequiredArgument);
        check("report --diff a.rz b.rz --html --embed-source", ArgumentConflict);
        check("report --diff a.rz b.rz --source f", ArgumentConflict);
        check("report t.rz --serve --html", ArgumentConflict);
        check("report t.rz --serve -o t.txt", ArgumentConflict);
        check("report t.rz --from 5", ValueValidation);
        check("report t.rz --focus (", ValueValidation);
        check("report t.rz --syscalls --list --focus a", ArgumentConflict);
        check("report t.rz --syscalls --list --collapse-recursion", ArgumentConflict);
        check("report t.rz --json - -o -", ArgumentConflict);
        check("report t.rz --svg - --json", ArgumentConflict);
        check("report t.rz --fail-if total>5%", ArgumentConflict);
        check("report t.rz --info --fail-if function>5%", ArgumentConflict);
        check("report --diff a.rz b.rz --fail-if leak>5MB", ArgumentConflict);
        check("report t.rz --fail-if leak>5%", ValueValidation);
        check("report t.rz --syscalls --list --markdown", ArgumentConflict);
        check("report t.rz --markdown --json", ArgumentConflict);
        check("report t.rz --guide", ArgumentConflict);
        check("report --diff a.rz b.rz --width after", MissingRequiredArgument);
        check("report --diff a.rz b.rz --svg s.svg --width wide", InvalidValue);
        check("report --diff a.rz b.rz --fail-if total", ValueValidation);
        check("report --diff a.rz b.rz --rename a", ValueValidation);
        check("report --diff a.rz b.rz --json - --markdown -", ArgumentConflict);
        check("report --diff a.rz b.rz --json - -o -", ArgumentConflict);
        check("report t.rz --before ..1s --after 1s..", ArgumentConflict);
        check("report --diff a.rz --before ..1s --after 1s.. --rename a=b", ArgumentConflict);
        check("report --before ..1s", MissingRequiredArgument);
    }

    #[test]
    fn filters_are_for_every_view() {
        let check = |line: &str| {
            let line = format!("report {line} --from -5s --until 50% --thread a* --thread 7");
            let filter = config_of(&line).unwrap().filter;
            assert_eq!((filter.from, filter.to), ("-5s".parse().ok(), "50%".parse().ok()));
            assert_eq!(filter.threads, ["a*", "7"].map(|glob| glob.parse().unwrap()));
        };
        check("t.rz");
        check("t.rz --tree");
        check("t.rz --syscalls --list");
        check("t.rz --heap --leaks");
        check("--diff a.rz b.rz");
        // By its older name.
        let filter = config_of("report t.rz --to 50%").unwrap().filter;
        assert_eq!(filter.to, "50%".parse().ok());
        config_of("report t.rz --to 50% --until 50%").unwrap_err();
    }

    #[test]
    fn sources_are_embedded_where_there_is_a_page() {
        let places = |line: &str| config_of(line).unwrap().embed_source;
        let here = SourcePlaces { dirs: vec!["d".into()], maps: vec!["m".into()] };
        let options = "--embed-source --source-dir d --source-map m";
        assert_eq!(places(&format!("report t.rz --html {options}")), Some(here.clone()));
        assert_eq!(places(&format!("report t.rz --serve {options}")), Some(here));
        assert_eq!(places("report t.rz --html --source-map m"), None);
    }

    /// The commands of the guide are as they are typed, up to two spaces or a pipe.
    #[test]
    fn the_guide_is_right() {
        let guide = include_str!("guide.txt");
        let lines = guide.lines().filter_map(|line| line.find("report ").map(|at| &line[at..]));
        let mut commands = 0;
        for line in lines.filter(|line| line.starts_with("report t.rz") || line.contains("--diff"))
        {
            let command = line.split("  ").next().unwrap().split(" | ").next().unwrap();
            let words = command.split(' ').map(|word| word.trim_matches('\''));
            let parsed = Args::try_parse_from(words).and_then(config);
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
            commands += 1;
        }
        assert!(commands > 20, "{commands}");
        assert!(guide.lines().all(|line| line.chars().count() <= 92));
        // A first answer for a program that reads it: some 4 characters are a token.
        assert!(guide.len() < 4 * 2_000, "{}", guide.len());
    }

    #[test]
    fn how_to_compare() {
        let config = config_of("report --diff a.rz b.rz --fdr 1% --min-effect 2 --per share");
        let diff = config.unwrap().diff;
        assert_eq!((diff.fdr, diff.min_effect, diff.per), (0.01, 0.02, Some(Per::Share)));
        let counts = |line: &str| config_of(line).unwrap().diff.sums_by;
        assert_eq!(counts("report --diff a.rz b.rz --event syscalls --by count"), SortCalls::Count);
        assert_eq!(counts("report --diff a.rz b.rz --event off-cpu --by count"), SortCalls::Count);
    }

    #[test]
    fn a_metric_is_chosen_where_samples_are_shown() {
        let check =
            |line: &str, metric| assert_eq!(config_of(line).unwrap().metric, metric, "{line}");
        check("report t.rz --heap", None);
        check("report t.rz --heap --leaks", None);
        check("report t.rz --heap --svg", Some(Metric::Bytes));
        check("report t.rz --heap --tree --metric live-count", Some(Metric::LiveCount));
        check("report --diff a.rz b.rz --heap", Some(Metric::Bytes));
        check("report --diff a.rz b.rz --event alloc", Some(Metric::Bytes));
        check("report t.rz --event alloc", Some(Metric::Bytes));
        check("report --diff a.rz b.rz --event cpu", None);
    }
}
