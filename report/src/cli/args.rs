//! What is typed on the command line of `report`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, ValueEnum};
use rz_profile::filter::Moment;
use rz_profile::heap::Metric;
use rz_report::condition::Condition;
use rz_report::render::change_color::Width;

use rz_command::filters::FilterArgs;
use rz_command::symbols::SymbolArgs;

use super::sides::Part;

const EXAMPLES: &str = "\
Examples:
  report trace.rz                          what was recorded, and what was hot
  report trace.rz --doctor                 what is wrong, what it costs, what to ask next
  report trace.rz --by total --limit 50    more functions, sorted by total
  report trace.rz --tree --min-percent 5   who called what, from the top
  report trace.rz --inverted               what was running, and who called it
  report trace.rz --svg                    a flame graph in trace.svg
  report trace.rz --html                   a page to look around in, trace.html
  report trace.rz --html --embed-source --source-dir src
                                           with the text of the lines that were hot
  report trace.rz --serve                  the same of a large trace, on this machine
  report trace.rz --inverted --svg -       an icicle graph to standard output
  report trace.rz --tui                    to look around in, on a terminal
  ssh box rec -d 10 -p 4242 -o - | report -
  ssh box rec -d 60 -p 4242 -o - | tee t.rz | report - --tui
                                           while it is recorded
  report --diff before.rz after.rz         what changed, per second of wall time
  report --diff before.rz after.rz --svg diff.svg
  report --diff before.rz after.rz --html diff.html
  report --diff b1.rz b2.rz b3.rz --against a1.rz a2.rz a3.rz
  report --diff trace.rz --before 0s..10s --after 20s..30s
                                           what changed within one trace
  report --diff trace.rz --before 'thread=old*' --after 'thread=new*'
  report --diff before.rz after.rz --work 1000 --work 1200 --work-name requests
  report --diff before.rz after.rz --fail-if 'total>5%' --markdown -
  report trace.rz --off-cpu                why threads waited, where, and which
  report trace.rz --wall --svg             running and waiting in one flame graph
  report trace.rz --syscalls               calls, errors, times, and where from
  report trace.rz --syscalls --list --errors --tail 20
                                           the last 20 calls that failed
  report trace.rz --calls                  functions of rec --call: calls, times
  report trace.rz --calls --list --tree    every call of them, in each other
  report trace.rz --heap                   allocations: totals, peak, sizes, where
  report trace.rz --heap --leaks --suppressions known.txt
  report trace.rz --heap --svg --metric peak
  report trace.rz --source parse           what each line of it takes
  report trace.rz --asm parse --event off-cpu
  report trace.rz --spans otlp.json        spans that the program has written, by name
  report trace.rz --spans otlp.json --span 'POST /checkout' --off-cpu
                                           what these requests waited for
  report trace.rz --info                   processes as recorded, and the file
  report trace.rz --json                   any of these as JSON, for programs
  report trace.rz --markdown               any of these for a ticket
  report trace.rz --fail-if 'self:parse>5%' --fail-if 'waits:futex>1s'
  report traces/ --sql hottest             many traces, after conv --to parquet -o traces
  report traces/ --sql changed --set at='2026-11-30 14:05:00'
  report traces/ --sql 'SELECT host, COUNT(*) FROM wait JOIN trace USING (trace_id) GROUP BY 1'
  report --guide                           how to ask, for programs
  report --diff before.rz after.rz --event off-cpu
  report trace.rz --from 10s --until 20s --thread 'worker*' --focus ^parse
  report --diff before.rz after.rz --heap --metric live

self: samples in which a function ran itself. total: self and all it called.

Exit codes:
  0  done; with --fail-if, nothing is beyond its limit, or grew by more, or it shrank
  1  failed
  2  wrong usage
  3  --fail-if: the whole 95 % interval is beyond the limit, a regression
  4  --fail-if: too noisy to tell, the interval is on both sides of the limit";

/// Shows what an rz trace recorded: top functions, call trees, flame graphs,
/// and what changed between two traces.
#[derive(Debug, Parser)]
#[command(name = "report", version, after_help = EXAMPLES)]
pub(super) struct Args {
    /// The trace to show; `-` is standard input
    #[arg(value_name = "TRACE", required_unless_present_any = ["diff", "guide"], conflicts_with = "diff")]
    pub(super) trace: Option<PathBuf>,
    /// Compare two traces, BEFORE and AFTER; or, with --against, several runs
    /// with several others; or, with --before and --after, parts of one. One of
    /// them may be standard input (`-`)
    #[arg(long, num_args = 1.., value_name = "TRACE")]
    pub(super) diff: Vec<PathBuf>,
    /// With --diff BEFORE...: the runs to compare them with
    #[arg(long, num_args = 1.., value_name = "AFTER", requires = "diff", conflicts_with = "trace")]
    pub(super) against: Vec<PathBuf>,
    /// With --diff: of the first side, look only at this part: a range of time
    /// as 10s..20s, ..50% or -5s.. (written as with --from), or thread=GLOB, or
    /// process=GLOB; may be repeated. With --after, --diff TRACE compares two
    /// parts of one trace
    #[arg(long, value_name = "PART", allow_hyphen_values = true)]
    pub(super) before: Vec<Part>,
    /// The same of the second side
    #[arg(long, value_name = "PART", allow_hyphen_values = true)]
    pub(super) after: Vec<Part>,

    /// Say what is wrong: findings over all kinds of events that were recorded, each with
    /// numbers, what it costs, how sure that is, and what to ask next; docs/DOCTOR.md
    /// has the rules. As in: report trace.rz --doctor --json
    #[arg(long, conflicts_with_all = NOT_WITH_DOCTOR, help_heading = "View")]
    pub(super) doctor: bool,
    /// Show what every thread was doing at the end: its stack, and what it waited for since
    /// when; of a running process, see rec --dump
    #[arg(long, conflicts_with_all = NOT_WITH_DUMP, help_heading = "View")]
    pub(super) dump: bool,
    /// Look around in a terminal: functions, flame graph, threads, waits, system calls and
    /// memory in tabs; `?` says which keys there are. A trace that is still being recorded,
    /// or piped in, is followed. As in: ssh box rec -p 4242 -o - | report - --tui
    #[arg(long, conflicts_with_all = NOT_WITH_TUI, help_heading = "View")]
    pub(super) tui: bool,
    /// Waits for the file of the recorder that ran this, which ends with it
    #[arg(long, requires = "tui", hide = true)]
    pub(super) of_recorder: bool,
    /// Show the call tree, callers above what they called
    #[arg(long, conflicts_with = "diff", help_heading = "View")]
    pub(super) tree: bool,
    /// Show the call tree upside down: functions above their callers
    #[arg(long, conflicts_with_all = ["diff", "tree"], help_heading = "View")]
    pub(super) inverted: bool,
    /// Show a function's source with what each line takes. FUNCTION is a name,
    /// or a part or regular expression of one
    #[arg(long, value_name = "FUNCTION", conflicts_with_all = NOT_WITH_ONE_FUNCTION, help_heading = "View")]
    pub(super) source: Option<String>,
    /// Show a function's instructions with what each takes; FUNCTION may also
    /// be given with --source
    #[arg(long, value_name = "FUNCTION", num_args = 0..=1, conflicts_with_all = NOT_WITH_ONE_FUNCTION, help_heading = "View")]
    pub(super) asm: Option<Option<String>>,
    /// With --source, --asm and --embed-source: look here first for sources; may be
    /// repeated
    #[arg(long, value_name = "DIR", help_heading = "View")]
    pub(super) source_dir: Vec<PathBuf>,
    /// Show what is known besides samples: of the recording, of the file, and
    /// of processes (command, user, maps, open files, limits, environment)
    #[arg(long, conflicts_with_all = ["diff", "tree", "inverted", "svg", "source", "asm", "list"], help_heading = "View")]
    pub(super) info: bool,
    /// Draw a flame graph instead of text, in FILE (`-` for standard output)
    /// or else beside the trace; give `-o -` as well to have both
    #[arg(long, value_name = "FILE", num_args = 0..=1, help_heading = "View")]
    pub(super) svg: Option<Option<PathBuf>>,

    /// Write a page for a browser, with all events and views of the trace or with the
    /// comparison, in FILE (`-` for standard output) or else beside the trace: one
    /// file that needs no network
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with_all = ["info", "source", "asm", "list"], help_heading = "View")]
    pub(super) html: Option<Option<PathBuf>>,
    /// Serve that page to a browser on this machine instead, at an address that is
    /// printed, until Ctrl-C: for traces that are too large for a file. Ranges of time
    /// are read again when they are looked at, in all detail
    #[arg(long, conflicts_with_all = NOT_WITH_SERVE, help_heading = "View")]
    pub(super) serve: bool,
    /// With --html: when the page would be larger, what happened is added up in
    /// slices of time
    #[arg(long, value_name = "MB", default_value = "50", requires = "html", help_heading = "View")]
    pub(super) html_limit: u32,

    /// With --html and --serve: put the text of the lines that were sampled into the
    /// page, with those around them, found as --source finds it; whoever has the page
    /// can read them
    #[arg(long, conflicts_with = "diff", help_heading = "View")]
    pub(super) embed_source: bool,

    /// With --diff: the second side calls OLD now NEW; may be repeated
    #[arg(long, value_name = "OLD=NEW", requires = "diff", conflicts_with = "trace", value_parser = parse_rename, help_heading = "Comparison")]
    pub(super) rename: Vec<String>,
    /// With --diff and --svg: what a frame is as wide as: the larger of both
    /// sides, before, after, or delta (how much it changed)
    #[arg(long, value_name = "SIDE", default_value = "larger", requires_all = ["diff", "svg"], conflicts_with = "trace", value_parser = width_parser(), hide_possible_values = true, help_heading = "Comparison")]
    pub(super) width: Width,

    /// Show why and where threads waited; with --tree, --inverted or --svg
    /// the call tree of waiting
    #[arg(long, conflicts_with = "diff", help_heading = "What", group = "what")]
    pub(super) off_cpu: bool,
    /// Show running and waiting together
    #[arg(long, conflicts_with = "diff", help_heading = "What", group = "what")]
    pub(super) wall: bool,
    /// Show the system calls; with --tree, --inverted or --svg the call tree
    /// of the time in them
    #[arg(long, conflicts_with = "diff", help_heading = "What", groups = ["what", "listed"])]
    pub(super) syscalls: bool,
    /// Show the functions whose calls were recorded (rec --call); with --tree, --inverted or
    /// --svg the call tree of the time in them
    #[arg(long, conflicts_with = "diff", help_heading = "What", groups = ["what", "listed"])]
    pub(super) calls: bool,
    /// Show the allocations; with --tree, --inverted or --svg the call tree of
    /// a metric; with --diff what grew
    #[arg(long, help_heading = "What", group = "what")]
    pub(super) heap: bool,
    /// Show another event: cpu, off-cpu, syscalls, functions, wall, alloc, or the name
    /// that the header gives
    #[arg(long, value_name = "NAME", help_heading = "What", group = "what")]
    pub(super) event: Option<String>,
    /// With --syscalls: list every system call that was recorded, in order of
    /// time, in lines as of strace -f -tt -T -y; times of day are UTC. With --calls, the
    /// same of functions; with --tree, as they were called by each other
    #[arg(long, requires = "listed", conflicts_with_all = ["inverted", "svg"], help_heading = "What")]
    pub(super) list: bool,
    /// With --list: only the last N calls
    #[arg(long, value_name = "N", requires = "list", help_heading = "What")]
    pub(super) tail: Option<usize>,
    /// With --list: only calls that failed
    #[arg(long, requires = "list", help_heading = "What")]
    pub(super) errors: bool,

    /// With --heap: list every place that allocated, with its stack
    #[arg(long, requires = "heap", conflicts_with_all = NOT_WITH_SITES, help_heading = "Heap", group = "places")]
    pub(super) sites: bool,
    /// With --heap: list what was never freed
    #[arg(long, requires = "heap", conflicts_with_all = NOT_WITH_SITES, help_heading = "Heap", group = "places")]
    pub(super) leaks: bool,
    /// With --heap: list what was there when most bytes were
    #[arg(long, requires = "heap", conflicts_with_all = NOT_WITH_SITES, help_heading = "Heap", group = "places")]
    pub(super) peak: bool,
    /// With --heap: list what was freed at once
    #[arg(long, requires = "heap", conflicts_with_all = NOT_WITH_SITES, help_heading = "Heap", group = "places")]
    pub(super) temporary: bool,
    /// With --leaks: leave out what FILE names, in lines of leak:PATTERN as
    /// LeakSanitizer has them
    #[arg(long, value_name = "FILE", requires = "leaks", help_heading = "Heap")]
    pub(super) suppressions: Option<PathBuf>,
    /// With --heap and --tree, --inverted, --svg or --diff: what to show
    /// [default: bytes]
    #[arg(long, value_name = "METRIC", requires = "heap", value_parser = metric_parser(), help_heading = "Heap")]
    pub(super) metric: Option<Metric>,
    /// With --heap: what the thread frees within N of its allocations is
    /// temporary
    #[arg(long, value_name = "N", default_value = "1", requires = "heap", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Heap")]
    pub(super) temporary_within: u64,

    /// How many functions, stacks, places or system calls a table has
    /// [default: 25; 10 in the summary on a terminal and in that of --heap]
    #[arg(long, value_name = "N", help_heading = "Detail")]
    pub(super) limit: Option<usize>,
    /// Sort functions by self or total [default: self; total of what waited],
    /// system calls by total (time), count or errors [default: total], places
    /// of --heap by bytes or count [default: bytes; count of --temporary]
    #[arg(long, value_enum, hide_possible_values = true, help_heading = "Detail")]
    pub(super) by: Option<By>,
    /// Show whole names on a terminal too, where tables shorten them to fit; files and
    /// JSON have whole ones
    #[arg(long, help_heading = "Detail")]
    pub(super) full_names: bool,
    /// List every thread, not only the ten busiest
    #[arg(long, help_heading = "Detail")]
    pub(super) threads: bool,
    /// Leave out subtrees below this share of all samples
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = parse_percent, help_heading = "Detail")]
    pub(super) min_percent: f64,

    /// What to divide by: wall time, that of each thread, work done, the total
    /// of the side, or nothing [default: work if it is given, else thread if
    /// each side has threads of its own, else wall; of what was there at the
    /// end or the peak nothing]
    #[arg(long, value_enum, conflicts_with = "trace", help_heading = "Comparison")]
    pub(super) per: Option<PerWhat>,
    /// How much each run did; once for each side, before and after, or once
    /// for each trace
    #[arg(long, value_name = "N", conflicts_with = "trace", value_parser = parse_work, help_heading = "Comparison")]
    pub(super) work: Vec<f64>,
    /// What --work counts
    #[arg(
        long,
        value_name = "NAME",
        requires = "work",
        default_value = "units",
        help_heading = "Comparison"
    )]
    pub(super) work_name: String,
    /// Share of the changes named that may be false on average
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = parse_percent, conflicts_with = "trace", help_heading = "Comparison")]
    pub(super) fdr: f64,
    /// Call nothing a change that is below this share of the total before
    #[arg(long, value_name = "PERCENT", default_value = "0.5", value_parser = parse_percent, conflicts_with = "trace", help_heading = "Comparison")]
    pub(super) min_effect: f64,

    /// Write what is shown as JSON to FILE instead of standard output (`-`), and
    /// no text unless -o is given; docs/JSON.md says what it contains
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub(super) json: Option<PathBuf>,
    /// Write what is shown as Markdown, for a ticket, to FILE instead of standard
    /// output (`-`), and no text unless -o is given; of --diff a short report for a
    /// pull request
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub(super) markdown: Option<PathBuf>,
    /// Exit with 3 if this is beyond the limit, or with 4 if that cannot be told. Of
    /// one trace: self:NAME>5%, total:NAME>5% (of the samples), function>20% (any
    /// function's self), waits:REASON>1s, leak>10MB, doctor>=warning. With --diff, of what grew:
    /// total>5%, self:NAME>5%, total:NAME>5% (of what it was), function>2% (any
    /// function's self, or a place that explains it, of the whole). May be repeated
    #[arg(long, value_name = "CONDITION", conflicts_with_all = ["info", "list"])]
    pub(super) fail_if: Vec<Condition>,
    /// Write the text to FILE instead of standard output (`-`)
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Ask a question in SQL of tables that `conv --to parquet` has written: TRACE is their
    /// directory, and QUERY is a query or the name of a recipe: hottest, versions, hosts,
    /// changed, disk, allocations, errors or coverage. DuckDB answers, which has to be
    /// installed; docs/FLEET.md has the tables and recipes. With --json or --csv, for programs
    #[arg(long, value_name = "QUERY", conflicts_with_all = NOT_WITH_SQL, requires = "trace")]
    pub(super) sql: Option<String>,
    /// With --sql: what a recipe leaves open, as in --set at='2026-11-30 14:05:00' (UTC)
    /// for `changed`
    #[arg(long, value_name = "NAME=VALUE", requires = "sql", value_parser = parse_setting)]
    pub(super) set: Vec<(String, String)>,
    /// With --sql: comma-separated values instead of a table
    #[arg(long, requires = "sql", conflicts_with = "json")]
    pub(super) csv: bool,
    /// Say how to ask: what there is to be asked for, how to go from an answer to the
    /// next question, and what numbers mean; a page, for programs and people
    #[arg(long, exclusive = true)]
    pub(super) guide: bool,
    /// Look here first for source maps of JavaScript (FILE.js.map), then beside
    /// the files and in them; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(super) source_map: Vec<PathBuf>,

    /// The older name of --until
    #[arg(long, hide = true, allow_hyphen_values = true, conflicts_with = "until")]
    pub(super) to: Option<Moment>,
    #[command(flatten)]
    pub(super) symbols: SymbolArgs,
    #[command(flatten)]
    pub(super) filters: FilterArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum By {
    #[value(name = "self")]
    SelfWeight,
    Total,
    Count,
    Errors,
    Bytes,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PerWhat {
    Wall,
    Thread,
    Work,
    Share,
    Raw,
}

/// What makes no sense with one function.
const NOT_WITH_ONE_FUNCTION: [&str; 6] = ["diff", "tree", "inverted", "svg", "list", "places"];

/// What the doctor does not show.
const NOT_WITH_DOCTOR: [&str; 10] =
    ["diff", "tree", "inverted", "svg", "source", "asm", "info", "list", "what", "places"];

/// What is not about the end.
const NOT_WITH_DUMP: [&str; 12] = [
    "doctor", "diff", "tree", "inverted", "svg", "source", "asm", "info", "list", "what", "places",
    "serve",
];

/// What else may be made of a trace.
const NOT_WITH_SERVE: [&str; 14] = [
    "doctor", "tree", "inverted", "source", "asm", "info", "list", "places", "svg", "html", "json",
    "markdown", "output", "fail_if",
];

/// What a terminal has in its own way, or not at all.
const NOT_WITH_TUI: [&str; 18] = [
    "doctor", "dump", "diff", "tree", "inverted", "source", "asm", "info", "list", "places", "svg",
    "html", "serve", "json", "markdown", "output", "fail_if", "limit",
];

/// What makes no sense with tables.
const NOT_WITH_SQL: [&str; 17] = [
    "diff",
    "doctor",
    "tree",
    "inverted",
    "source",
    "asm",
    "info",
    "svg",
    "html",
    "serve",
    "list",
    "what",
    "places",
    "markdown",
    "fail_if",
    "limit",
    "FilterArgs",
];

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

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let owned = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
    owned.ok_or_else(|| "NAME=VALUE is needed".to_owned())
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
