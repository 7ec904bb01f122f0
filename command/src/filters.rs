//! The options of filters.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use rz_profile::filter::{Filter, Glob, Moment, NamedRuntime, Pattern};
use rz_profile::spans::{SpanFile, SpanFilter, TraceId};

/// Which part of a recording to look at. Shares are those of what is left.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Filters", next_display_order = 102)]
pub struct FilterArgs {
    /// Only from this time of the recording on: 10s, 1m30s, 250ms, -5s (before
    /// the end) or 50%. What reaches into the window counts with the part
    /// inside. Exact sums are replaced by what was recorded one by one
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, display_order = 100)]
    from: Option<Moment>,
    /// Only up to this time of the recording, written as with --from
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, display_order = 101)]
    pub until: Option<Moment>,
    /// Only threads with this name, as in `worker*`, or number; may be
    /// repeated to have several
    #[arg(long, value_name = "GLOB")]
    thread: Vec<Glob>,
    /// Only processes with this name or number; may be repeated
    #[arg(long, value_name = "GLOB")]
    process: Vec<Glob>,
    /// Spans that a service has written: traces of OpenTelemetry as JSON (OTLP), or trace
    /// events of Chromium. They are laid on the recording by clock, and by thread.id or
    /// process.pid where they say so
    #[arg(long, value_name = "FILE")]
    spans: Option<PathBuf>,
    /// With --spans: only what was done in spans of this name, as in 'POST /checkout' or
    /// 'GET *', and in those under them; may be repeated
    #[arg(long, value_name = "GLOB", requires = "spans")]
    span: Vec<Glob>,
    /// With --spans: only what was done for this trace, a number in hexadecimal digits or a
    /// whole traceparent; may be repeated
    #[arg(long, value_name = "ID", requires = "spans")]
    trace_id: Vec<TraceId>,
    /// Only stacks with a function whose name matches; may be repeated to have
    /// those with any
    #[arg(long, value_name = "REGEX")]
    focus: Vec<Pattern>,
    /// Leave out stacks with a function whose name matches; may be repeated
    #[arg(long, value_name = "REGEX")]
    ignore: Vec<Pattern>,
    /// Only frames of modules with this name or path, as in `libssl*` or
    /// `[kernel]`, and of code of runtimes in such a source file, as in `*.py`;
    /// may be repeated. What others did counts for the nearest
    /// caller that is left; stacks without one are left out
    #[arg(long, value_name = "GLOB")]
    only_module: Vec<Glob>,
    /// Only frames of code that this runtime runs: python, javascript, java or go;
    /// may be repeated. What others did counts as with --only-module
    #[arg(long, value_name = "RUNTIME")]
    only_runtime: Vec<NamedRuntime>,
    /// With `off`, only frames of code that runtimes run, such as functions of
    /// Python: neither the interpreter's own nor other native ones, nor the
    /// kernel's, which count for the nearest caller that is left
    #[arg(long, value_name = "on|off", default_value = "on", hide_default_value = true)]
    #[arg(action = ArgAction::Set, value_parser = on_or_off)]
    native: bool,
    /// Give each function one frame in a stack, leaving out what is between
    /// its first and its last call: a;b;a;c becomes a;c. Self stays as it is
    #[arg(long)]
    collapse_recursion: bool,
}

fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off"),
    }
}

impl FilterArgs {
    /// The file of spans, if none of them are chosen.
    pub fn unchosen_spans(&self) -> Option<SpanFile> {
        self.spans.clone().filter(|_| !self.chooses_spans()).map(SpanFile::new)
    }

    fn chooses_spans(&self) -> bool {
        !self.span.is_empty() || !self.trace_id.is_empty()
    }

    /// What was asked for. `to` is the end of the window by its older name, which
    /// each program has an option of its own for: to `conv`, it names a format.
    pub fn filter(self, to: Option<Moment>) -> Filter {
        let is_chosen = self.chooses_spans();
        let spans = self.spans.filter(|_| is_chosen).map(|path| SpanFilter {
            file: SpanFile::new(path),
            names: self.span,
            trace_ids: self.trace_id,
        });
        Filter {
            from: self.from,
            to: self.until.or(to),
            threads: self.thread,
            processes: self.process,
            spans,
            focus: self.focus,
            ignore: self.ignore,
            only_modules: self.only_module,
            only_runtimes: self.only_runtime,
            without_native: !self.native,
            collapse_recursion: self.collapse_recursion,
        }
    }
}
