//! What the user asked for, checked and complete.

use std::path::PathBuf;

use rz_command::symbols::Symbols;
use rz_convert::export::Format;
use rz_convert::import::ImportOptions;
use rz_convert::trace::embed::EmbedOptions;
use rz_convert::trace::merge::MergeInput;
use rz_convert::trace::redact::RedactOptions;
use rz_profile::filter::Filter;
use rz_profile::heap::Metric;
use rz_profile::select::EventName;

use super::tables::TablesConfig;

/// What the user asked for, checked and complete.
#[derive(Debug, PartialEq, Eq)]
pub enum Config {
    /// Convert a trace to another format.
    Convert(Box<ConvertConfig>),
    /// Make a trace of traces.
    Trace(TraceConfig),
    /// Write tables of traces.
    Tables(TablesConfig),
    /// Make a trace of what another tool recorded.
    Import(ImportConfig),
    /// Say what is whole of traces, and what is missing.
    Verify(VerifyConfig),
    /// Make a whole trace of a damaged one.
    Repair(RepairConfig),
    /// Print this: what can be read and written.
    Formats(String),
}

/// Which traces to look through.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifyConfig {
    /// The traces.
    pub inputs: Vec<PathBuf>,
    /// Print JSON.
    pub json: bool,
    /// Print nothing but errors: the exit status says it.
    pub quiet: bool,
}

/// What to repair.
#[derive(Debug, PartialEq, Eq)]
pub struct RepairConfig {
    /// The damaged trace.
    pub input: PathBuf,
    /// Where the whole one goes; `-` is standard output.
    pub output: PathBuf,
    /// Replace the output if it exists.
    pub force: bool,
    /// Say nothing but errors.
    pub quiet: bool,
}

/// How to make a trace.
#[derive(Debug, PartialEq, Eq)]
pub struct ImportConfig {
    /// What the other tool wrote.
    pub input: PathBuf,
    /// Where the trace was asked to go; `-` is standard output.
    pub output: Option<PathBuf>,
    /// How to read the input.
    pub options: ImportOptions,
    /// Say nothing but errors.
    pub quiet: bool,
}

/// How to make a trace of others.
#[derive(Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// The traces; several are merged.
    pub inputs: Vec<MergeInput>,
    /// Where the result goes; `-` is standard output.
    pub output: PathBuf,
    /// Take damaged traces as far as they are whole.
    pub keep_going: bool,
    /// How to put names into it.
    pub embed: Option<EmbedOptions>,
    /// What to take out of it.
    pub redact: Option<RedactOptions>,
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
    pub event: Option<EventName>,
    /// What to show of allocations.
    pub metric: Option<Metric>,
    /// Where names come from.
    pub symbols: Symbols,
    /// Where to look for source maps first.
    pub source_maps: Vec<PathBuf>,
    /// Which part of the trace to convert.
    pub filter: Filter,
    /// Say nothing but errors.
    pub quiet: bool,
}
