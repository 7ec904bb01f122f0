//! The command line of `conv`.

mod filters;
pub mod symbols;
mod target;

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use filters::FilterArgs;
use rz_convert::export::Format;
use rz_convert::filter::{Filter, Moment};
use rz_convert::heap::Metric;
use rz_convert::merge::{MergeInput, MergeOptions};
use rz_convert::profile::ALLOC;
use symbols::{SymbolArgs, Symbols};
use target::{RZ, RZ_DESCRIPTION, Target, To, ToParser};

/// What the user asked for, checked and complete.
#[derive(Debug, PartialEq, Eq)]
pub enum Config {
    /// Convert a trace to another format.
    Convert(Box<ConvertConfig>),
    /// Merge traces into one.
    Merge(MergeConfig),
}

/// How to merge traces.
#[derive(Debug, PartialEq, Eq)]
pub struct MergeConfig {
    /// The traces to merge.
    pub inputs: Vec<MergeInput>,
    /// Where the result goes; `-` is standard output.
    pub output: PathBuf,
    /// How to merge.
    pub options: MergeOptions,
    /// Say nothing but errors.
    pub quiet: bool,
}

/// How to convert a trace.
#[derive(Debug, PartialEq, Eq)]
pub struct ConvertConfig {
    /// The trace to convert.
    pub input: PathBuf,
    /// What to convert it to.
    pub format: Format,
    /// Where the result was asked to go; `-` is standard output.
    pub output: Option<PathBuf>,
    /// Keep threads apart in folded stacks.
    pub threads: bool,
    /// The event to convert.
    pub event: Option<String>,
    /// What to show of allocations.
    pub metric: Option<Metric>,
    /// Where names come from.
    pub symbols: Symbols,
    /// Which part of the trace to convert.
    pub filter: Filter,
    /// Say nothing but errors.
    pub quiet: bool,
}

/// Convert an rz trace to the format of another tool, or merge traces into one
///
/// Functions are named with the binaries and debug files of this machine.
/// Merging needs none of them.
#[derive(Debug, Parser)]
#[command(name = "conv", version, after_help = EXAMPLES)]
struct Args {
    /// The trace to convert, or traces to merge with --to rz
    #[arg(value_name = "TRACE", required = true)]
    inputs: Vec<PathBuf>,

    /// Format to convert to [default: by the extension of FILE]; given a time,
    /// the end of the window that --from begins
    #[arg(long, value_name = "FORMAT|TIME", value_parser = ToParser, allow_hyphen_values = true)]
    to: Vec<To>,

    /// Where to write; `-` is standard output [default: standard output if
    /// redirected, else beside the trace]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Keep threads apart in folded stacks (other formats always do)
    #[arg(long)]
    threads: bool,

    /// What to convert: `cpu` (or the event's own name), `off-cpu`,
    /// `syscalls`, `alloc`, or `wall`, which is cpu and off-cpu in one
    /// [default: cpu; all for pprof]. Folded stacks count samples of cpu,
    /// bytes or objects of memory, and microseconds of the others
    #[arg(long, value_name = "NAME")]
    event: Option<String>,

    /// What to show of allocations, as with --event alloc [default: bytes].
    /// pprof has bytes and objects, allocated and live, in one
    #[arg(long, value_name = "METRIC", value_parser = metric_parser())]
    metric: Option<Metric>,

    /// What to call a trace that is merged [default: its file's name]; give as
    /// many as there are traces, in their order
    #[arg(long = "label", value_name = "NAME")]
    labels: Vec<String>,

    /// Merge damaged traces as far as they are whole, and leave out what is no
    /// trace; the output has a note of it
    #[arg(long)]
    keep_going: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    symbols: SymbolArgs,
    #[command(flatten)]
    filters: FilterArgs,
}

const EXAMPLES: &str = "\
Examples:
  conv trace.rz --to speedscope             writes trace.speedscope.json
  conv trace.rz -o out.pb.gz                then: go tool pprof -http : out.pb.gz
  conv trace.rz --to folded | inferno-flamegraph > flame.svg
  conv trace.rz --to folded --event off-cpu | flamegraph.pl --countname us > waits.svg
  conv trace.rz --to pprof --event alloc    then: go tool pprof -sample_index=alloc_space -top
  conv trace.rz --to speedscope --event alloc --metric peak
  conv trace.rz --to folded --debug-dir ./target/release -o -
  conv a.rz b.rz host3/*.rz --to rz -o all.rz
  conv trace.rz --to pprof --from 10s --to 20s --thread 'worker*'

Exit status: 0 converted, 1 failed, 2 wrong usage.";

/// Parses the command line; prints help or what is wrong with it and exits if
/// there is nothing to run.
pub fn parse() -> Config {
    config_from(Args::parse()).unwrap_or_else(|error| error.exit())
}

fn metric_parser() -> impl TypedValueParser<Value = Metric> {
    let value = |metric: Metric| PossibleValue::new(metric.name()).help(metric.description());
    PossibleValuesParser::new(Metric::ALL.map(value)).try_map(|name| name.parse::<Metric>())
}

fn config_from(mut args: Args) -> Result<Config, clap::Error> {
    let Args { to, output, .. } = &mut args;
    let (to, until) = split(std::mem::take(to))?;
    let target = match (to, output) {
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
                "--to FORMAT is required, which is one of:{names}\n  {RZ:<11} {RZ_DESCRIPTION}"
            );
            return Err(usage_error(ErrorKind::MissingRequiredArgument, message));
        }
    };
    match target {
        Target::Format(format) => {
            convert_config(args, until, format).map(|config| Config::Convert(Box::new(config)))
        }
        Target::Rz => merge_config(args, until).map(Config::Merge),
    }
}

fn merge_config(args: Args, until: Option<Moment>) -> Result<MergeConfig, clap::Error> {
    let Args { inputs, to: _, output, threads, event, metric, symbols, labels, .. } = args;
    let unused = [
        ("--threads", threads),
        ("--event", event.is_some()),
        ("--metric", metric.is_some()),
        ("--debug-dir", !symbols.debug_dirs.is_empty()),
        ("--debuginfod", symbols.debuginfod.is_some()),
        ("a filter", args.filters.filter(until) != Filter::default()),
    ];
    if let Some((option, _)) = unused.into_iter().find(|(_, given)| *given) {
        let message = format!("{option} is not for merging: a merged trace has all there is");
        return Err(usage_error(ErrorKind::ArgumentConflict, message));
    }
    let Some(output) = output else {
        let message = "--to rz needs an output: name it with -o FILE".to_owned();
        return Err(usage_error(ErrorKind::MissingRequiredArgument, message));
    };
    if !labels.is_empty() && labels.len() != inputs.len() {
        let (labels, traces) = (labels.len(), inputs.len());
        let message = format!("--label is given {labels} times for {traces} traces");
        return Err(usage_error(ErrorKind::WrongNumberOfValues, message));
    }
    let labels = labels.into_iter().map(Some).chain(std::iter::repeat(None));
    let inputs = inputs.into_iter().zip(labels);
    Ok(MergeConfig {
        inputs: inputs.map(|(path, label)| MergeInput { path, label }).collect(),
        output,
        options: MergeOptions { keep_going: args.keep_going },
        quiet: args.quiet,
    })
}

fn convert_config(
    args: Args,
    until: Option<Moment>,
    format: Format,
) -> Result<ConvertConfig, clap::Error> {
    let Args { inputs, output, threads, event, metric, quiet, .. } = args;
    let mut inputs = inputs.into_iter();
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        let message = format!("{format} is made of one trace; merge several with --to rz first");
        return Err(usage_error(ErrorKind::TooManyValues, message));
    };
    if args.keep_going || !args.labels.is_empty() {
        let message = "--label and --keep-going are for merging with --to rz".to_owned();
        return Err(usage_error(ErrorKind::ArgumentConflict, message));
    }
    let event = event.or_else(|| metric.map(|_| ALLOC.to_owned()));
    if metric.is_some() && event.as_deref() != Some(ALLOC) {
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
    Ok(ConvertConfig { input, format, output, threads, event, metric, symbols, filter, quiet })
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

/// All formats, one a line.
fn list(line: impl Fn(Format) -> String) -> String {
    Format::ALL.map(|format| format!("\n  {}", line(format))).concat()
}

fn usage_error(kind: ErrorKind, message: String) -> clap::Error {
    Args::command().error(kind, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_config(line: &str) -> Result<Config, clap::Error> {
        let words = ["conv"].into_iter().chain(line.split_whitespace());
        Args::try_parse_from(words).and_then(config_from)
    }

    fn config(line: &str) -> Result<ConvertConfig, clap::Error> {
        any_config(line).map(|config| match config {
            Config::Convert(config) => *config,
            Config::Merge(_) => panic!("{line} merges"),
        })
    }

    #[test]
    fn several_traces_are_merged() {
        for (line, labels) in [
            ("a.rz --to rz -o all", &[None][..]),
            ("a.rz b.rz -o all.rz", &[None, None]),
            ("a.rz b.rz -o all.rz --label x --label y", &[Some("x"), Some("y")]),
        ] {
            let Config::Merge(config) = any_config(line).unwrap() else { panic!("{line}") };
            let found: Vec<_> = config.inputs.iter().map(|input| input.label.as_deref()).collect();
            assert_eq!(found, labels, "{line}");
            assert!(!config.options.keep_going);
        }
        for line in [
            "a.rz b.rz --to folded",
            "a.rz b.rz --to rz",
            "a.rz b.rz -o all.rz --label x",
            "a.rz b.rz -o all.rz --threads",
            "a.rz --to folded --keep-going",
            "--to rz -o all.rz",
        ] {
            assert_eq!(any_config(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_format_is_named_or_follows_from_the_output() {
        for (line, format) in [
            ("t.rz --to pprof", Format::Pprof),
            ("t.rz --to pprof -o x.folded", Format::Pprof),
            ("t.rz -o x.folded", Format::Folded),
            ("t.rz -o dir/x.speedscope.json", Format::Speedscope),
            ("t.rz -o x.pb.gz", Format::Pprof),
            ("t.rz --to 20s --from 1s --to folded", Format::Folded),
        ] {
            assert_eq!(config(line).unwrap().format, format, "{line}");
        }
    }

    #[test]
    fn wrong_usage_lists_what_exists() {
        for line in ["t.rz", "t.rz -o -", "t.rz --to svg", "t.rz -o x.svg", "--to pprof"] {
            let error = config(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            let text = error.to_string();
            assert!(text.contains("rz") || line == "--to pprof", "{line}: {text}");
            let named = Format::ALL
                .iter()
                .all(|format| text.contains(format.name()) || text.contains(format.extension()));
            assert!(named || line == "--to pprof", "{line}: {text}");
        }
    }

    #[test]
    fn metrics_are_of_allocations() {
        for (line, event, metric) in [
            ("t.rz --to folded", None, None),
            ("t.rz --to folded --metric peak", Some("alloc"), Some(Metric::Peak)),
            ("t.rz --to folded --event alloc", Some("alloc"), None),
            ("t.rz --to folded --event alloc --metric count", Some("alloc"), Some(Metric::Count)),
        ] {
            let config = config(line).unwrap();
            assert_eq!((config.event.as_deref(), config.metric), (event, metric), "{line}");
        }
        for line in [
            "t.rz --to folded --metric size",
            "t.rz --to folded --event cpu --metric bytes",
            "t.rz --to pprof --metric bytes",
        ] {
            assert_eq!(config(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_time_is_no_format() {
        let filter = config("t.rz --to pprof --from -5s --to -1s").unwrap().filter;
        let moment = |text: &str| text.parse().ok();
        assert_eq!((filter.from, filter.to), (moment("-5s"), moment("-1s")));
        for line in [
            "t.rz --to 5s",
            "t.rz --to pprof --to folded",
            "t.rz --to pprof --to 5s --to 6s",
            "t.rz --to pprof --from 5",
            "t.rz --to pprof --focus (",
        ] {
            assert_eq!(config(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_command_is_well_formed() {
        Args::command().debug_assert();
    }
}
