//! The command line of `conv`.

mod config;
mod tables;
mod target;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
pub use config::{Config, ConvertConfig, ImportConfig, RepairConfig, TraceConfig, VerifyConfig};
use rz_command::filters::FilterArgs;
use rz_command::stdin::{self, StdinError, is_stdin};
use rz_command::symbols::{SymbolArgs, Symbols};
use rz_convert::export::Format;
use rz_convert::import::{FoldedRoots, ImportOptions, PerfOptions};
use rz_convert::trace::embed::EmbedOptions;
use rz_convert::trace::merge::MergeInput;
use rz_convert::trace::redact::{RedactOptions, Sensitive};
use rz_profile::filter::{Filter, Moment};
use rz_profile::foreign::{InputFormat, Recognized};
use rz_profile::heap::Metric;
use rz_profile::model::{ALLOC, EventKind};
use rz_profile::select::EventName;
use rz_text::usage::clean_error;
pub use tables::TablesConfig;
use tables::labels_of;
use target::{PARQUET, PARQUET_DESCRIPTION, RZ, RZ_DESCRIPTION, Target, To, ToParser};

/// Convert an rz trace to the format of another tool, merge traces into one, or
/// make a trace fit to be given away, or of what another tool recorded
///
/// Functions are named with the binaries and debug files of this machine.
/// Merging and redacting need none of them.
#[derive(Debug, Parser)]
#[command(name = "conv", version, after_help = EXAMPLES)]
struct Args {
    /// The trace to convert, or traces to merge with --to rz, or what another
    /// tool recorded to make a trace of with --to rz, also if it is compressed
    /// (--input-format lists the tools); `-` is standard input
    #[arg(value_name = "TRACE", required = true)]
    inputs: Vec<PathBuf>,

    /// Format to convert to [default: by the extension of FILE]; a time is taken
    /// for that of --until
    #[arg(long, value_name = "FORMAT", value_parser = ToParser, allow_hyphen_values = true)]
    to: Vec<To>,

    /// Where to write, with --to parquet a directory; `-` is standard output [default: standard output if
    /// redirected or if standard input is read, else beside the trace]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What the input is, for --to rz, if it is no trace [default: by its
    /// content]
    #[arg(long, value_name = "FORMAT", value_parser = input_format_parser())]
    input_format: Option<InputFormat>,

    /// What folded stacks begin with, for --to rz [default: functions if a first frame
    /// has samples of its own or the name of no process]
    #[arg(long, value_name = "WHAT", value_parser = folded_roots_parser())]
    folded_roots: Option<FoldedRoots>,

    /// Print all formats that can be read and written, and do nothing else
    #[arg(long, exclusive = true)]
    formats: bool,

    /// Keep threads apart in folded stacks (other formats always do)
    #[arg(long)]
    threads: bool,

    /// What to convert: `cpu` (or the event's own name), `off-cpu`,
    /// `syscalls`, `alloc`, or `wall`, which is cpu and off-cpu in one
    /// [default: cpu; all for pprof, perfetto, csv and otlp]. Folded stacks
    /// count samples of cpu, bytes or objects of memory, and microseconds of
    /// the others; lcov counts samples, and calls where these were recorded
    #[arg(long, value_name = "NAME")]
    event: Option<String>,

    /// What to show of allocations, as with --event alloc [default: bytes].
    /// pprof has bytes and objects, allocated and live, in one
    #[arg(long, value_name = "METRIC", value_parser = metric_parser())]
    metric: Option<Metric>,

    /// Look here first for source maps of JavaScript (FILE.js.map), then beside
    /// the files and in them; may be repeated
    #[arg(long = "source-map", value_name = "DIR")]
    source_maps: Vec<PathBuf>,

    /// What to call a trace that is merged [default: its file's name]; give as
    /// many as there are traces, in their order. With --to parquet, NAME=TEXT, which all
    /// traces get, as in --label version=2.1 --label region=eu
    #[arg(long = "label", value_name = "NAME")]
    labels: Vec<String>,

    /// With --to rz, take damaged traces as far as they are whole, and leave out
    /// what is no trace; the output has a note of it
    #[arg(long)]
    keep_going: bool,

    /// With --to rz, put functions, lines and inlined calls into the trace, so
    /// that it shows the same where none of the binaries are. What was recorded
    /// stays: embed again with better debug files
    #[arg(long)]
    embed: bool,

    /// With --to rz, replace or take out what tells whose machine it was: the
    /// host, users, paths outside of the system's folders, names of processes
    /// and threads other than the system's programs, arguments, the environment,
    /// socket addresses, labels, notes. Equal ones get equal pseudonyms. Names of
    /// functions stay (they are code), and so do numbers and build-ids
    #[arg(long)]
    redact: bool,

    /// What --redact leaves as it is, separated by commas
    #[arg(
        long,
        value_name = "WHAT",
        value_delimiter = ',',
        requires = "redact",
        value_parser = sensitive_parser()
    )]
    keep: Vec<Sensitive>,

    /// With --redact, take build-ids out as well; debug files are then not found
    #[arg(long, requires = "redact")]
    no_build_ids: bool,

    /// Say what is whole of each trace, and what is missing: when, of which kind, and
    /// how much; the exit status says it, too
    #[arg(long, conflicts_with_all = NOT_FOR_VERIFY)]
    verify: bool,

    /// With --verify, print JSON
    #[arg(long, requires = "verify", conflicts_with_all = NOT_FOR_VERIFY)]
    json: bool,

    /// Make a whole trace of a damaged or unfinished one, with notes of what was left
    /// out, which reports show
    #[arg(long, conflicts_with_all = NOT_FOR_REPAIR.iter())]
    repair: bool,

    /// With --repair, replace FILE if it exists
    #[arg(long, requires = "repair", conflicts_with_all = NOT_FOR_REPAIR.iter())]
    force: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    symbols: SymbolArgs,
    #[command(flatten)]
    filters: FilterArgs,
}

/// Options of which looking through a trace has none: those of repairing, which come
/// first, and those that say how to convert.
const NOT_FOR_VERIFY: [&str; 14] = [
    "repair",
    "output",
    "to",
    "input_format",
    "folded_roots",
    "threads",
    "event",
    "metric",
    "source_maps",
    "labels",
    "embed",
    "redact",
    "SymbolArgs",
    "FilterArgs",
];
const NOT_FOR_REPAIR: &[&str] = NOT_FOR_VERIFY.split_at(2).1;

const EXAMPLES: &str = "\
Examples:
  conv trace.rz --to speedscope             writes trace.speedscope.json
  conv trace.rz -o out.pb.gz                then: go tool pprof -http : out.pb.gz
  conv trace.rz --to folded | inferno-flamegraph > flame.svg
  conv trace.rz --to folded --event off-cpu | flamegraph.pl --countname us > waits.svg
  conv trace.rz --to pprof --event alloc    then: go tool pprof -sample_index=alloc_space -top
  conv trace.rz --to speedscope --event alloc --metric peak
  conv trace.rz --to folded --debug-dir ./target/release -o -
  conv trace.rz --to firefox                then: open it on profiler.firefox.com
  conv trace.rz --to perfetto               then: open it on ui.perfetto.dev
  conv trace.rz --to chrome --event wall -o trace.chrome.json
  conv trace.rz --to dot | dot -Tsvg > calls.svg
  conv trace.rz --to csv -o samples.csv     a row for each event, thread and stack
  conv trace.rz --to otlp -o profile.otlp.pb
  conv trace.rz --to lcov -o seen.info      then: genhtml seen.info -o seen
  conv a.rz b.rz host3/*.rz --to rz -o all.rz
  conv trace.rz --to rz --embed -o full.rz  opens anywhere, with all names
  conv trace.rz --to rz --redact --keep env -o safe.rz
  conv trace.rz --to pprof --from 10s --until 20s --thread 'worker*'
  conv trace.rz --to firefox --spans otlp.json --span 'POST /checkout'
  conv hosts/*.rz --to parquet --label version=2.1 -o traces
                                            then: report traces --sql hottest
  conv perf.data --to rz                    writes perf.rz, for report and its --diff
  conv app.cpuprofile --to rz               also Firefox, speedscope, trace events, callgrind, …
  conv --formats                            all that can be read and written
  perf record -g -o - ./prog | conv - --to rz -o prog.rz
  ssh box rec -p 4242 -o - | conv - --to folded | inferno-flamegraph > flame.svg
  conv --verify *.rz                        what is whole, and what is missing
  conv --repair damaged.rz -o clean.rz      as much as is whole, with a note of the rest

Exit status: 0 converted, 1 failed, 2 wrong usage; of --verify, 0 whole, 3 damaged or
unfinished, 4 no trace, the worst of several; of --to parquet, 3 if some traces are
damaged or were left out.";

/// Parses the command line; prints help or what is wrong with it and exits if
/// there is nothing to run.
///
/// # Errors
/// If what the input is must be known to go on, and it cannot be read.
pub fn parse() -> Result<Config, StdinError> {
    let asked = Args::try_parse().and_then(Asked::of).unwrap_or_else(|error| refuse(error));
    let asked = match asked {
        Asked::AsItIs(config) => return Ok(*config),
        Asked::Conversion(asked) => asked,
    };
    if asked.depends_on_content() {
        stdin::keep(asked.args.inputs.iter().map(PathBuf::as_path))?;
    }
    Ok(asked.config().unwrap_or_else(|error| refuse(error)))
}

fn refuse(error: clap::Error) -> ! {
    clean_error(error, std::env::args_os()).exit()
}

/// What was typed, as far as it can be told without looking at the inputs.
enum Asked {
    /// To take traces as they are, or none.
    AsItIs(Box<Config>),
    /// To make something else of them.
    Conversion(Box<Conversion>),
}

/// What is to be made.
struct Conversion {
    args: Args,
    target: Target,
    until: Option<Moment>,
}

fn metric_parser() -> impl TypedValueParser<Value = Metric> {
    let value = |metric: Metric| PossibleValue::new(metric.name()).help(metric.description());
    PossibleValuesParser::new(Metric::ALL.map(value)).try_map(|name| name.parse::<Metric>())
}

fn sensitive_parser() -> impl TypedValueParser<Value = Sensitive> {
    let value = |what: Sensitive| PossibleValue::new(what.name()).help(what.description());
    PossibleValuesParser::new(Sensitive::ALL.map(value)).try_map(|name| name.parse::<Sensitive>())
}

fn input_format_parser() -> impl TypedValueParser<Value = InputFormat> {
    let value = |format: InputFormat| PossibleValue::new(format.name()).help(format.description());
    PossibleValuesParser::new(InputFormat::ALL.map(value))
        .try_map(|name| name.parse::<InputFormat>())
}

fn folded_roots_parser() -> impl TypedValueParser<Value = FoldedRoots> {
    let values = ["process", "function"].map(PossibleValue::new);
    PossibleValuesParser::new(values).map(|value| match &value[..] {
        "process" => FoldedRoots::Process,
        _ => FoldedRoots::Function,
    })
}

impl Asked {
    fn of(mut args: Args) -> Result<Asked, clap::Error> {
        if args.formats {
            return Ok(Asked::AsItIs(Box::new(Config::Formats(formats()))));
        }
        if stdin::resolve(&mut args.inputs) > 1 {
            let message = "there is one standard input only: give - once".to_owned();
            return Err(usage_error(ErrorKind::TooManyValues, message));
        }
        if args.verify {
            let Args { inputs, json, quiet, .. } = args;
            let config = Config::Verify(VerifyConfig { inputs, json, quiet });
            return Ok(Asked::AsItIs(Box::new(config)));
        }
        if args.repair {
            let config = Config::Repair(repair_config(args)?);
            return Ok(Asked::AsItIs(Box::new(config)));
        }
        Conversion::of(args).map(|asked| Asked::Conversion(Box::new(asked)))
    }
}

impl Conversion {
    fn of(mut args: Args) -> Result<Conversion, clap::Error> {
        let (to, until) = split(std::mem::take(&mut args.to))?;
        if until.is_some() && args.filters.until.is_some() {
            let message = "--until and --to TIME are the same: give one".to_owned();
            return Err(usage_error(ErrorKind::ArgumentConflict, message));
        }
        if args.filters.unchosen_spans().is_some() {
            let message = "which spans? --span NAME or --trace-id ID; report TRACE --spans FILE \
                           lists them";
            return Err(usage_error(ErrorKind::MissingRequiredArgument, message.to_owned()));
        }
        let target = match (to, &args.output) {
            (Some(target), _) => target,
            (None, Some(path)) if path != Path::new("-") => {
                Target::from_path(path).ok_or_else(|| {
                    let message = format!(
                        "no format is known by the name of '{}'; use one of these extensions or \
                         --to FORMAT:{}\n  .{RZ}",
                        path.display(),
                        list(|format| format!(".{}", format.extension()))
                    );
                    usage_error(ErrorKind::InvalidValue, message)
                })?
            }
            (None, _) => {
                let names = list(|format| format!("{format:<11} {}", format.description()));
                let message = format!(
                    "--to FORMAT is required, which is one of:{names}\n  {RZ:<11} \
                     {RZ_DESCRIPTION}\n  {PARQUET:<11} {PARQUET_DESCRIPTION}"
                );
                return Err(usage_error(ErrorKind::MissingRequiredArgument, message));
            }
        };
        Ok(Conversion { args, target, until })
    }

    /// Whether the input decides what is to be done with it.
    fn depends_on_content(&self) -> bool {
        self.target == Target::Rz && self.args.input_format.is_none()
    }

    fn config(self) -> Result<Config, clap::Error> {
        let Conversion { args, target, until } = self;
        match target {
            Target::Format(format) => {
                convert_config(args, until, format).map(|config| Config::Convert(Box::new(config)))
            }
            Target::Rz if is_import(&args) => import_config(args, until).map(Config::Import),
            Target::Rz => trace_config(args, until).map(Config::Trace),
            Target::Tables => tables_config(args, until).map(Config::Tables),
        }
    }
}

fn repair_config(args: Args) -> Result<RepairConfig, clap::Error> {
    let Args { inputs, output, force, quiet, .. } = args;
    let mut inputs = inputs.into_iter();
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        let message = "--repair is for one trace at a time".to_owned();
        return Err(usage_error(ErrorKind::TooManyValues, message));
    };
    let Some(output) = output.or_else(|| is_stdin(&input).then(|| "-".into())) else {
        let message = "--repair needs an output: name it with -o FILE".to_owned();
        return Err(usage_error(ErrorKind::MissingRequiredArgument, message));
    };
    Ok(RepairConfig { input, output, force, quiet })
}

/// Whether a trace is to be made of what is none. An input that cannot be read
/// is told of when it is.
fn is_import(args: &Args) -> bool {
    let by_content = |path: &PathBuf| matches!(Recognized::of_file(path), Ok(Some(_)));
    args.input_format.is_some() || matches!(&args.inputs[..], [only] if by_content(only))
}

fn import_config(args: Args, until: Option<Moment>) -> Result<ImportConfig, clap::Error> {
    let Args { inputs, output, input_format, folded_roots, symbols, quiet, .. } = args;
    let unused = [
        ("--threads", args.threads),
        ("--event", args.event.is_some()),
        ("--metric", args.metric.is_some()),
        ("--label", !args.labels.is_empty()),
        ("--keep-going", args.keep_going),
        ("--embed", args.embed),
        ("--redact", args.redact),
        ("--source-map", !args.source_maps.is_empty()),
        ("--debuginfod", symbols.debuginfod.is_some()),
        ("a filter", args.filters.filter(until) != Filter::default()),
    ];
    if let Some((option, _)) = unused.into_iter().find(|(_, given)| *given) {
        let message = format!("{option} is not for making a trace: use it on the trace");
        return Err(usage_error(ErrorKind::ArgumentConflict, message));
    }
    let mut inputs = inputs.into_iter();
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        let message = "--input-format is for one input; make a trace of each, then merge them";
        return Err(usage_error(ErrorKind::TooManyValues, message.to_owned()));
    };
    let options = ImportOptions {
        format: input_format,
        folded_roots,
        perf: PerfOptions { debug_dirs: symbols.debug_dirs },
    };
    Ok(ImportConfig { input, output, options, quiet })
}

fn trace_config(args: Args, until: Option<Moment>) -> Result<TraceConfig, clap::Error> {
    let Args { inputs, to: _, output, threads, event, metric, symbols, labels, .. } = args;
    let is_told_where = !symbols.debug_dirs.is_empty() || symbols.debuginfod.is_some();
    let unused = [
        ("--threads", threads),
        ("--event", event.is_some()),
        ("--metric", metric.is_some()),
        ("--debug-dir or --debuginfod without --embed", !args.embed && is_told_where),
        ("--source-map without --embed", !args.embed && !args.source_maps.is_empty()),
        ("a filter", args.filters.filter(until) != Filter::default()),
    ];
    if let Some((option, _)) = unused.into_iter().find(|(_, given)| *given) {
        let message = format!("{option} is not for --to rz: the output has all there is");
        return Err(usage_error(ErrorKind::ArgumentConflict, message));
    }
    let reads_stdin = inputs.iter().any(|path| is_stdin(path));
    let Some(output) = output.or_else(|| reads_stdin.then(|| "-".into())) else {
        let message = "--to rz needs an output: name it with -o FILE".to_owned();
        return Err(usage_error(ErrorKind::MissingRequiredArgument, message));
    };
    if !labels.is_empty() && labels.len() != inputs.len() {
        let (labels, traces) = (labels.len(), inputs.len());
        let message = format!("--label is given {labels} times for {traces} traces");
        return Err(usage_error(ErrorKind::WrongNumberOfValues, message));
    }
    let labels = labels.into_iter().map(Some).chain(std::iter::repeat(None));
    let Symbols { debug_dirs, options, .. } = symbols.symbols()?;
    let inputs = inputs.into_iter().zip(labels);
    let keep_going = args.keep_going;
    Ok(TraceConfig {
        inputs: inputs.map(|(path, label)| MergeInput { path, label }).collect(),
        output,
        keep_going,
        embed: args.embed.then_some(EmbedOptions {
            debug_dirs,
            symbols: options,
            source_maps: args.source_maps,
            keep_going,
        }),
        redact: args.redact.then_some(RedactOptions {
            keep: args.keep,
            build_ids: !args.no_build_ids,
            keep_going,
        }),
        quiet: args.quiet,
    })
}

fn tables_config(args: Args, until: Option<Moment>) -> Result<TablesConfig, clap::Error> {
    let unused = [
        ("--threads", args.threads),
        ("--event", args.event.is_some()),
        ("--metric", args.metric.is_some()),
        ("--input-format", args.input_format.is_some()),
        ("--folded-roots", args.folded_roots.is_some()),
        ("--keep-going", args.keep_going),
        ("--embed", args.embed),
        ("--redact", args.redact),
        ("a filter", args.filters.filter(until) != Filter::default()),
    ];
    if let Some((option, _)) = unused.into_iter().find(|(_, given)| *given) {
        let message = format!("{option} is not for --to parquet: tables have all there is");
        return Err(usage_error(ErrorKind::ArgumentConflict, message));
    }
    let Some(output) = args.output.filter(|path| path.as_os_str() != "-") else {
        let message = "--to parquet needs a directory: name it with -o DIR".to_owned();
        return Err(usage_error(ErrorKind::MissingRequiredArgument, message));
    };
    let labels = labels_of(args.labels);
    Ok(TablesConfig {
        inputs: args.inputs,
        output,
        labels: labels.map_err(|message| usage_error(ErrorKind::ValueValidation, message))?,
        symbols: args.symbols.symbols()?,
        source_maps: args.source_maps,
        quiet: args.quiet,
    })
}

fn convert_config(
    args: Args,
    until: Option<Moment>,
    format: Format,
) -> Result<ConvertConfig, clap::Error> {
    let Args { inputs, output, threads, event, metric, source_maps, quiet, .. } = args;
    let mut inputs = inputs.into_iter();
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        let message = format!("{format} is made of one trace; merge several with --to rz first");
        return Err(usage_error(ErrorKind::TooManyValues, message));
    };
    let of_traces = args.embed || args.redact || args.input_format.is_some();
    if args.keep_going || of_traces || !args.labels.is_empty() {
        let message = "--label, --keep-going, --embed, --redact and --input-format are for --to rz";
        let message = message.to_owned();
        return Err(usage_error(ErrorKind::ArgumentConflict, message));
    }
    let event = event.as_deref().map(EventName::from).or_else(|| metric.map(|_| ALLOC.into()));
    let kind = event.as_ref().and_then(EventName::kind);
    if metric.is_some() && kind != Some(EventKind::Alloc) {
        let message = "--metric is about allocations: use it with --event alloc".to_owned();
        return Err(usage_error(ErrorKind::ArgumentConflict, message));
    }
    if metric.is_some() && format == Format::Pprof {
        let message = "--metric is not for pprof, which has bytes and objects in one file: \
                       choose there with -sample_index"
            .to_owned();
        return Err(usage_error(ErrorKind::ArgumentConflict, message));
    }
    let (symbols, filter) = (args.symbols.symbols()?, args.filters.filter(until));
    Ok(ConvertConfig {
        input,
        format,
        output,
        threads,
        event,
        metric,
        symbols,
        source_maps,
        filter,
        quiet,
    })
}

/// The format and the time that were given, of which there is one at most.
fn split(to: Vec<To>) -> Result<(Option<Target>, Option<Moment>), clap::Error> {
    let (mut target, mut time) = (None, None);
    for value in to {
        let again = match value {
            To::Target(value) => target.replace(value).is_some(),
            To::Time(value) => time.replace(value).is_some(),
        };
        if again {
            let message = "--to is for one format and one time".to_owned();
            return Err(usage_error(ErrorKind::ArgumentConflict, message));
        }
    }
    Ok((target, time))
}

/// What can be read and what can be written.
fn formats() -> String {
    let read = InputFormat::ALL.map(|format| format!("  {format:<13} {}\n", format.description()));
    format!(
        "Read, also compressed by gzip, zstd or LZ4, alone in a zip archive, and in UTF-16; told\n\
         by its content, or by --input-format:\n{}\nWritten (--to):{}\n  {RZ:<11} {RZ_DESCRIPTION}\n",
        read.concat(),
        list(|format| format!("{format:<11} {}", format.description()))
    )
}

/// All formats, one a line.
fn list(line: impl Fn(Format) -> String) -> String {
    Format::ALL.map(|format| format!("\n  {}", line(format))).concat()
}

fn usage_error(kind: ErrorKind, message: String) -> clap::Error {
    Args::command().error(kind, message)
}
