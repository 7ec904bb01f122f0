//! The command line of `report`, and what it asks for.

// Both programs have these options.
#[path = "../../convert/src/cli/filters.rs"]
mod filters;
#[path = "../../convert/src/cli/symbols.rs"]
pub mod symbols;

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use filters::FilterArgs;
use rz_convert::filter::{Filter, Moment};
use rz_convert::heap::{HeapOptions, Metric};
use rz_convert::profile::{ALLOC, OFF_CPU, SYSCALLS, WALL};
use rz_report::annotate::AnnotateOptions;
use rz_report::calls::SortCalls;
use rz_report::change_color::Width;
use rz_report::diff::DiffOptions;
use rz_report::fail_if::Condition;
use rz_report::heap::sites::{SiteKind, SortSites};
use rz_report::info::InfoOptions;
use rz_report::list::ListOptions;
use rz_report::normalize::{Per, Work};
use rz_report::top::SortBy;
use rz_report::tree::TreeOptions;
use rz_report::view::Direction;
use symbols::{SymbolArgs, Symbols};

const EXAMPLES: &str = "\
Examples:
  report trace.rz                          what was recorded, and what was hot
  report trace.rz --by total --limit 50    more functions, sorted by total
  report trace.rz --tree --min-percent 5   who called what, from the top
  report trace.rz --inverted               what was running, and who called it
  report trace.rz --svg                    a flame graph in trace.svg
  report trace.rz --inverted --svg -       an icicle graph to standard output
  report --diff before.rz after.rz         what changed, per second of wall time
  report --diff before.rz after.rz --svg diff.svg
  report --diff b1.rz b2.rz b3.rz --against a1.rz a2.rz a3.rz
  report --diff before.rz after.rz --work 1000 --work 1200 --work-name requests
  report --diff before.rz after.rz --fail-if 'total>5%' --markdown -
  report trace.rz --off-cpu                why threads waited, where, and which
  report trace.rz --wall --svg             running and waiting in one flame graph
  report trace.rz --syscalls               calls, errors, times, and where from
  report trace.rz --syscalls --list --errors --tail 20
                                           the last 20 calls that failed
  report trace.rz --heap                   allocations: totals, peak, sizes, where
  report trace.rz --heap --leaks --suppressions known.txt
  report trace.rz --heap --svg --metric peak
  report trace.rz --source parse           what each line of it takes
  report trace.rz --asm parse --event off-cpu
  report trace.rz --info                   processes as recorded, and the file
  report --diff before.rz after.rz --event off-cpu
  report trace.rz --from 10s --to 20s --thread 'worker*' --focus ^parse
  report --diff before.rz after.rz --heap --metric live

self: samples in which a function ran itself. total: self and all it called.

Exit codes:
  0  done; with --fail-if, nothing grew by more than its limit, or it shrank
  1  failed
  2  wrong usage
  3  --fail-if: a regression, the whole 95 % interval is beyond the limit
  4  --fail-if: too noisy to tell, the interval is on both sides of the limit";

/// Shows what an rz trace recorded: top functions, call trees, flame graphs,
/// and what changed between two traces.
#[derive(Debug, Parser)]
#[command(name = "report", version, after_help = EXAMPLES)]
struct Args {
    /// The trace to show
    #[arg(value_name = "TRACE", required_unless_present = "diff", conflicts_with = "diff")]
    trace: Option<PathBuf>,
    /// Compare two traces, BEFORE and AFTER; or, with --against, several runs
    /// with several others
    #[arg(long, num_args = 1.., value_name = "TRACE")]
    diff: Vec<PathBuf>,
    /// With --diff BEFORE...: the runs to compare them with
    #[arg(long, num_args = 1.., value_name = "AFTER", requires = "diff", conflicts_with = "trace")]
    against: Vec<PathBuf>,

    /// Show the call tree, callers above what they called
    #[arg(long, conflicts_with = "diff", help_heading = "View")]
    tree: bool,
    /// Show the call tree upside down: functions above their callers
    #[arg(long, conflicts_with_all = ["diff", "tree"], help_heading = "View")]
    inverted: bool,
    /// Show a function's source with what each line takes. FUNCTION is a name,
    /// or a part or regular expression of one
    #[arg(long, value_name = "FUNCTION", conflicts_with_all = NOT_WITH_ONE_FUNCTION, help_heading = "View")]
    source: Option<String>,
    /// Show a function's instructions with what each takes; FUNCTION may also
    /// be given with --source
    #[arg(long, value_name = "FUNCTION", num_args = 0..=1, conflicts_with_all = NOT_WITH_ONE_FUNCTION, help_heading = "View")]
    asm: Option<Option<String>>,
    /// With --source and --asm: look here first for sources; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "View")]
    source_dir: Vec<PathBuf>,
    /// Show what is known besides samples: of the recording, of the file, and
    /// of processes (command, user, maps, open files, limits, environment)
    #[arg(long, conflicts_with_all = ["diff", "tree", "inverted", "svg", "source", "asm", "list"], help_heading = "View")]
    info: bool,
    /// Draw a flame graph instead of text, in FILE (`-` for standard output)
    /// or else beside the trace; give `-o -` as well to have both
    #[arg(long, value_name = "FILE", num_args = 0..=1, help_heading = "View")]
    svg: Option<Option<PathBuf>>,

    /// With --diff: the second side calls OLD now NEW; may be repeated
    #[arg(long, value_name = "OLD=NEW", requires = "diff", conflicts_with = "trace", value_parser = parse_rename, help_heading = "Comparison")]
    rename: Vec<String>,
    /// With --diff and --svg: what a frame is as wide as: the larger of both
    /// sides, before, after, or delta (how much it changed)
    #[arg(long, value_name = "SIDE", default_value = "larger", requires_all = ["diff", "svg"], conflicts_with = "trace", value_parser = width_parser(), hide_possible_values = true, help_heading = "Comparison")]
    width: Width,
    /// With --diff: write all numbers as JSON to FILE (`-` for standard
    /// output); docs/DIFF-JSON.md says what it contains
    #[arg(
        long,
        value_name = "FILE",
        requires = "diff",
        conflicts_with = "trace",
        help_heading = "Comparison"
    )]
    json: Option<PathBuf>,
    /// With --diff: write a short report for a pull request to FILE (`-` for
    /// standard output)
    #[arg(
        long,
        value_name = "FILE",
        requires = "diff",
        conflicts_with = "trace",
        help_heading = "Comparison"
    )]
    markdown: Option<PathBuf>,
    /// With --diff: exit with 3 if this grew by more than the limit, or with 4
    /// if that cannot be told: total>5%, self:NAME>5%, total:NAME>5% (of what
    /// it was), function>2% (any function's self, of the whole); may be
    /// repeated
    #[arg(
        long,
        value_name = "CONDITION",
        requires = "diff",
        conflicts_with = "trace",
        help_heading = "Comparison"
    )]
    fail_if: Vec<Condition>,

    /// Show why and where threads waited; with --tree, --inverted or --svg
    /// the call tree of waiting
    #[arg(long, conflicts_with = "diff", help_heading = "What", group = "what")]
    off_cpu: bool,
    /// Show running and waiting together
    #[arg(long, conflicts_with = "diff", help_heading = "What", group = "what")]
    wall: bool,
    /// Show the system calls; with --tree, --inverted or --svg the call tree
    /// of the time in them
    #[arg(long, conflicts_with = "diff", help_heading = "What", group = "what")]
    syscalls: bool,
    /// Show the allocations; with --tree, --inverted or --svg the call tree of
    /// a metric; with --diff what grew
    #[arg(long, help_heading = "What", group = "what")]
    heap: bool,
    /// Show another event: cpu, off-cpu, syscalls, wall, alloc, or the name
    /// that the header gives
    #[arg(long, value_name = "NAME", help_heading = "What", group = "what")]
    event: Option<String>,
    /// With --syscalls: list every system call that was recorded, in order of
    /// time, in lines as of strace -f -tt -T -y; times of day are UTC
    #[arg(long, requires = "syscalls", conflicts_with_all = ["tree", "inverted", "svg"], help_heading = "What")]
    list: bool,
    /// With --list: only the last N calls
    #[arg(long, value_name = "N", requires = "list", help_heading = "What")]
    tail: Option<usize>,
    /// With --list: only calls that failed
    #[arg(long, requires = "list", help_heading = "What")]
    errors: bool,

    /// With --heap: list every place that allocated, with its stack
    #[arg(long, requires = "heap", conflicts_with_all = NOT_WITH_SITES, help_heading = "Heap", group = "places")]
    sites: bool,
    /// With --heap: list what was never given back
    #[arg(long, requires = "heap", conflicts_with_all = NOT_WITH_SITES, help_heading = "Heap", group = "places")]
    leaks: bool,
    /// With --heap: list what was there when most bytes were
    #[arg(long, requires = "heap", conflicts_with_all = NOT_WITH_SITES, help_heading = "Heap", group = "places")]
    peak: bool,
    /// With --heap: list what was given back at once
    #[arg(long, requires = "heap", conflicts_with_all = NOT_WITH_SITES, help_heading = "Heap", group = "places")]
    temporary: bool,
    /// With --leaks: leave out what FILE names, in lines of leak:PATTERN as
    /// LeakSanitizer has them
    #[arg(long, value_name = "FILE", requires = "leaks", help_heading = "Heap")]
    suppressions: Option<PathBuf>,
    /// With --heap and --tree, --inverted, --svg or --diff: what to show
    /// [default: bytes]
    #[arg(long, value_name = "METRIC", requires = "heap", value_parser = metric_parser(), help_heading = "Heap")]
    metric: Option<Metric>,
    /// With --heap: what the thread gives back within N of its allocations is
    /// temporary
    #[arg(long, value_name = "N", default_value = "1", requires = "heap", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Heap")]
    temporary_within: u64,

    /// How many functions, stacks, places or system calls a table has
    /// [default: 25; 10 in the summary of --heap]
    #[arg(long, value_name = "N", help_heading = "Detail")]
    limit: Option<usize>,
    /// Sort functions by self or total [default: self; total of what waited],
    /// system calls by total (time), count or errors [default: total], places
    /// of --heap by bytes or count [default: bytes; count of --temporary]
    #[arg(long, value_enum, hide_possible_values = true, help_heading = "Detail")]
    by: Option<By>,
    /// List every thread, not only the ten busiest
    #[arg(long, help_heading = "Detail")]
    threads: bool,
    /// Leave out subtrees below this share of all samples
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = parse_percent, help_heading = "Detail")]
    min_percent: f64,

    /// What to divide by: wall time, work done, the total of the side, or
    /// nothing [default: work if it is given, else wall]
    #[arg(long, value_enum, conflicts_with_all = ["trace", "heap"], help_heading = "Comparison")]
    per: Option<PerWhat>,
    /// How much each run did; once for each side, before and after, or once
    /// for each trace
    #[arg(long, value_name = "N", conflicts_with_all = ["trace", "heap"], value_parser = parse_work, help_heading = "Comparison")]
    work: Vec<f64>,
    /// What --work counts
    #[arg(
        long,
        value_name = "NAME",
        requires = "work",
        default_value = "units",
        help_heading = "Comparison"
    )]
    work_name: String,
    /// Share of the changes named that may be false on average
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = parse_percent, conflicts_with = "trace", help_heading = "Comparison")]
    fdr: f64,
    /// Call nothing a change that is below this share of the total before
    #[arg(long, value_name = "PERCENT", default_value = "0.5", value_parser = parse_percent, conflicts_with = "trace", help_heading = "Comparison")]
    min_effect: f64,

    /// Write the text to FILE instead of standard output (`-`)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Look here first for source maps of JavaScript (FILE.js.map), then beside
    /// the files and in them; may be repeated
    #[arg(long, value_name = "DIR")]
    source_map: Vec<PathBuf>,

    /// Only up to this time of the recording, written as with --from
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        help_heading = "Filters",
        display_order = 101
    )]
    to: Option<Moment>,
    #[command(flatten)]
    symbols: SymbolArgs,
    #[command(flatten)]
    filters: FilterArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    #[value(name = "self")]
    SelfWeight,
    Total,
    Count,
    Errors,
    Bytes,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PerWhat {
    Wall,
    Work,
    Share,
    Raw,
}

/// What makes no sense with one function.
const NOT_WITH_ONE_FUNCTION: [&str; 6] = ["diff", "tree", "inverted", "svg", "list", "places"];

/// What makes no sense with a list of places.
const NOT_WITH_SITES: [&str; 5] = ["diff", "tree", "inverted", "svg", "metric"];

fn metric_parser() -> impl TypedValueParser<Value = Metric> {
    let value = |metric: Metric| PossibleValue::new(metric.name()).help(metric.description());
    PossibleValuesParser::new(Metric::ALL.map(value)).try_map(|name| name.parse::<Metric>())
}

fn width_parser() -> impl TypedValueParser<Value = Width> {
    let value = |width: Width| PossibleValue::new(width.name()).help(width.description());
    PossibleValuesParser::new(Width::ALL.map(value)).map(|name| {
        // One of them was given.
        Width::ALL.into_iter().find(|width| width.name() == name).unwrap_or_default()
    })
}

fn parse_rename(text: &str) -> Result<String, String> {
    let is_pair = text.split_once('=').is_some_and(|(old, new)| !old.is_empty() && !new.is_empty());
    if is_pair { Ok(text.to_owned()) } else { Err("OLD=NEW is needed".to_owned()) }
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("a number from 0 to 100 is needed".to_owned()),
    }
}

fn parse_work(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(units) if units > 0.0 && f64::is_finite(units) => Ok(units),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

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
    /// Where the text goes; `None` if there is to be none.
    pub text: Option<PathBuf>,
    /// What functions are sorted by.
    pub by: SortBy,
    /// How to compare.
    pub diff: DiffOptions,
    /// How many functions to list.
    pub limit: usize,
    /// The event to show.
    pub event: Option<String>,
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
    /// Which part of the traces to show.
    pub filter: Filter,
    /// What to do with a comparison besides the text and the flame graph.
    pub comparison: Comparison,
}

/// What to do with a comparison besides the text and the flame graph.
#[derive(Debug)]
pub struct Comparison {
    /// How wide frames of the flame graph are.
    pub width: Width,
    /// Where all numbers go as JSON.
    pub json: Option<PathBuf>,
    /// Where a short report goes as Markdown.
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
    Sides([Vec<PathBuf>; 2]),
}

/// What the text about one trace shows.
#[derive(Debug)]
pub enum View {
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
    /// What is known besides samples.
    Info(InfoOptions),
    /// Sums of system calls.
    Syscalls {
        /// What they are sorted by.
        by: SortCalls,
        /// How many threads to list.
        threads: usize,
    },
    /// Every system call.
    List(ListOptions),
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

/// Reads the command line; ends the process if it is wrong or asks for help.
pub fn parse() -> Config {
    config(Args::parse()).unwrap_or_else(|error| error.exit())
}

fn config(args: Args) -> Result<Config, clap::Error> {
    let direction = if args.inverted { Direction::Inverted } else { Direction::TopDown };
    let threads = if args.threads { usize::MAX } else { 10 };
    let sort_calls = match args.by {
        Some(By::Count) => SortCalls::Count,
        Some(By::Errors) => SortCalls::Errors,
        _ => SortCalls::Time,
    };
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
    if function.is_none() && !args.source_dir.is_empty() {
        let message = "--source-dir is for --source and --asm";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
    }
    let symbols = args.symbols.symbols()?;
    let view = if let Some(function) = function {
        View::Annotated(AnnotateOptions {
            function,
            asm: args.asm.is_some(),
            source_dirs: args.source_dir,
            debug_dirs: symbols.debug_dirs.clone(),
            symbols: symbols.options.clone(),
            min_percent: args.min_percent,
            limit: args.limit.unwrap_or(25),
        })
    } else if args.info {
        let (processes, rows) = (args.limit.unwrap_or(10), args.limit.unwrap_or(25));
        View::Info(InfoOptions { processes, rows })
    } else if args.tree || args.inverted {
        View::Tree(TreeOptions { direction, min_percent: args.min_percent })
    } else if args.list {
        View::List(ListOptions { tail: args.tail, errors: args.errors })
    } else if args.off_cpu {
        View::OffCpu { threads }
    } else if args.syscalls {
        View::Syscalls { by: sort_calls, threads }
    } else if let Some(kind) = site_kind(&args) {
        let by = match (args.by, kind) {
            (Some(By::Count), _) | (None, SiteKind::Temporary) => SortSites::Count,
            _ => SortSites::Bytes,
        };
        View::Sites { kind, by }
    } else if args.heap && args.diff.is_empty() {
        View::Heap { threads }
    } else {
        View::Summary { threads }
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
        || matches!(view, View::Annotated(_));
    if args.metric.is_some() && !samples_of_heap {
        let message = "--metric is for --tree, --inverted, --svg and --diff";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
    }
    // Shown as any other event, allocations would have the noise of samples in
    // time, and estimates would look like counts.
    let as_event = args.event.as_deref() == Some(ALLOC);
    let metric =
        ((args.heap && samples_of_heap) || as_event).then(|| args.metric.unwrap_or_default());
    // Both have exact sums; waits cannot fail.
    let compares_sums = !args.diff.is_empty()
        && match args.event.as_deref() {
            Some(SYSCALLS) => true,
            Some(OFF_CPU) => !matches!(args.by, Some(By::Errors)),
            _ => false,
        };
    let by = match (args.by, &view) {
        (Some(By::Count | By::Errors), View::Syscalls { .. }) => SortBy::TotalWeight,
        (Some(By::Bytes | By::Count), View::Sites { .. }) => SortBy::TotalWeight,
        (Some(By::SelfWeight | By::Bytes), View::Syscalls { .. }) => {
            let message = "system calls are sorted by total, count or errors";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        (Some(_), View::Sites { .. }) => {
            let message = "places of --heap are sorted by bytes or count";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        (Some(_), View::Heap { .. }) => {
            let message = "the summary of --heap is by bytes; --sites can be sorted by count";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        (Some(By::Count | By::Errors), _) if compares_sums => SortBy::SelfWeight,
        (Some(By::Count | By::Errors | By::Bytes), _) => {
            let message = "--by count, bytes and errors are for --syscalls and places of --heap";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        (Some(By::Total), _) | (None, View::OffCpu { .. }) => SortBy::TotalWeight,
        _ => SortBy::SelfWeight,
    };
    let chosen =
        [(args.off_cpu, OFF_CPU), (args.wall, WALL), (args.syscalls, SYSCALLS), (args.heap, ALLOC)];
    let chosen = chosen.into_iter().find_map(|(chosen, event)| chosen.then(|| event.to_owned()));
    let event = chosen.or(args.event);
    let input = match args.trace {
        Some(trace) => Input::One(trace),
        None => Input::Sides(sides(args.diff, args.against)?),
    };
    let work = match &input {
        Input::One(_) => Work::default(),
        Input::Sides(sides) => work(args.work, args.work_name, sides)?,
    };
    let diff = DiffOptions {
        by,
        per: args.per.map(|per| match per {
            PerWhat::Wall => Per::Wall,
            PerWhat::Work => Per::Work,
            PerWhat::Share => Per::Share,
            PerWhat::Raw => Per::Raw,
        }),
        work,
        sums_by: sort_calls,
        fdr: args.fdr / 100.0,
        min_effect: args.min_effect / 100.0,
        renames: args.rename,
    };
    let beside = || match &input {
        Input::One(trace) => trace.with_extension("svg"),
        Input::Sides([_, after]) => after[0].with_extension("diff.svg"),
    };
    let svg = args.svg.map(|file| file.unwrap_or_else(beside));
    let other: Vec<&PathBuf> = [&svg, &args.json, &args.markdown].into_iter().flatten().collect();
    let text = match args.output {
        None if !other.is_empty() => None,
        output => Some(output.unwrap_or_else(|| "-".into())),
    };
    let mut places: Vec<&PathBuf> = other.into_iter().chain(&text).collect();
    places.sort();
    if places.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = "text, flame graph, JSON and Markdown cannot go to the same place";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
    }
    let default_limit = if matches!(view, View::Heap { .. }) { 10 } else { 25 };
    let limit = args.limit.unwrap_or(default_limit);
    let comparison = Comparison {
        width: args.width,
        json: args.json,
        markdown: args.markdown,
        fail_if: args.fail_if,
    };
    let heap = HeapOptions { temporary_within: args.temporary_within };
    Ok(Config {
        input,
        view,
        direction,
        svg,
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
        comparison,
    })
}

/// The traces before and after; none is empty.
fn sides(diff: Vec<PathBuf>, against: Vec<PathBuf>) -> Result<[Vec<PathBuf>; 2], clap::Error> {
    if !against.is_empty() {
        return Ok([diff, against]);
    }
    match <[PathBuf; 2]>::try_from(diff) {
        Ok([before, after]) => Ok([vec![before], vec![after]]),
        Err(_) => {
            let message = "--diff needs two traces, or any number and --against others";
            Err(Args::command().error(ErrorKind::WrongNumberOfValues, message))
        }
    }
}

/// Work by side: given once for each, or once for each trace.
fn work(units: Vec<f64>, name: String, sides: &[Vec<PathBuf>; 2]) -> Result<Work, clap::Error> {
    let [before, after] = [sides[0].len(), sides[1].len()];
    let units = match units.len() {
        0 => Default::default(),
        2 => [vec![units[0]], vec![units[1]]],
        n if n == before + after => [units[..before].to_vec(), units[before..].to_vec()],
        _ => {
            let message = "--work is given once for each side, or once for each trace";
            return Err(Args::command().error(ErrorKind::WrongNumberOfValues, message));
        }
    };
    Ok(Work { name, units })
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
        check("report d/t.rz --inverted --svg - -o t.txt", Some("-"), Some("t.txt"));
        check("report --diff a.rz d/b.rz --svg", Some("d/b.diff.svg"), None);
        check("report --diff a.rz b.rz --json j.json", None, None);
        check("report --diff a.rz b.rz --markdown - -o t.txt", None, Some("t.txt"));
    }

    #[test]
    fn events_and_views() {
        let check = |line: &str, event: Option<&str>, view: &str| {
            let config = config_of(line).unwrap();
            assert_eq!(config.event.as_deref(), event, "{line}");
            assert!(format!("{:?}", config.view).starts_with(view), "{line}: {:?}", config.view);
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
        check("report --diff a.rz b.rz --heap --per share", ArgumentConflict);
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
        check("report --diff a.rz b.rz --source f", ArgumentConflict);
        check("report t.rz --from 5", ValueValidation);
        check("report t.rz --focus (", ValueValidation);
        check("report t.rz --syscalls --list --focus a", ArgumentConflict);
        check("report t.rz --syscalls --list --collapse-recursion", ArgumentConflict);
        check("report t.rz --json j.json", ArgumentConflict);
        check("report t.rz --fail-if total>5%", ArgumentConflict);
        check("report --diff a.rz b.rz --width after", MissingRequiredArgument);
        check("report --diff a.rz b.rz --svg s.svg --width wide", InvalidValue);
        check("report --diff a.rz b.rz --fail-if total", ValueValidation);
        check("report --diff a.rz b.rz --rename a", ValueValidation);
        check("report --diff a.rz b.rz --json - --markdown -", ArgumentConflict);
        check("report --diff a.rz b.rz --json - -o -", ArgumentConflict);
    }

    #[test]
    fn filters_are_for_every_view() {
        let check = |line: &str| {
            let line = format!("report {line} --from -5s --to 50% --thread a* --thread 7");
            let filter = config_of(&line).unwrap().filter;
            assert_eq!((filter.from, filter.to), ("-5s".parse().ok(), "50%".parse().ok()));
            assert_eq!(filter.threads, ["a*", "7"].map(|glob| glob.parse().unwrap()));
        };
        check("t.rz");
        check("t.rz --tree");
        check("t.rz --syscalls --list");
        check("t.rz --heap --leaks");
        check("--diff a.rz b.rz");
    }

    #[test]
    fn sides_and_work() {
        let check = |line: &str, runs: [usize; 2], work: [&[f64]; 2]| {
            let config = config_of(line).unwrap();
            let Input::Sides(sides) = &config.input else { panic!("{line}") };
            assert_eq!(sides.each_ref().map(Vec::len), runs, "{line}");
            assert_eq!(config.diff.work.units.each_ref().map(|units| &units[..]), work, "{line}");
        };
        check("report --diff a.rz b.rz", [1, 1], [&[], &[]]);
        check("report --diff a.rz --against b.rz", [1, 1], [&[], &[]]);
        check("report --diff a.rz b.rz --against c.rz", [2, 1], [&[], &[]]);
        check("report --diff a.rz b.rz --work 10 --work 20", [1, 1], [&[10.0], &[20.0]]);
        let two = "report --diff a.rz b.rz --against c.rz d.rz";
        check(&format!("{two} --work 10 --work 20"), [2, 2], [&[10.0], &[20.0]]);
        let each = format!("{two} --work 1 --work 2 --work 3 --work 4.5");
        check(&each, [2, 2], [&[1.0, 2.0], &[3.0, 4.5]]);
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
