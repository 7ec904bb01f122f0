//! Spans: what a service says that it was doing, and when.
//!
//! ```text
//! spans.json ─► Spans ─► chosen by name or trace ─► load/spans: on the clock and
//!                                                   the threads of a recording
//! ```
//!
//! OpenTelemetry's traces are read as JSON, in one document or one a line, and so are
//! Chromium's trace events.

mod choose;
mod error;
mod read;
mod trace_id;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub(crate) use choose::Choice;
pub use error::SpansError;
pub use trace_id::{TraceId, TraceIdError};

use crate::glob::Glob;
use crate::mapped_file::MappedFile;
use crate::model::Nanos;

/// Which spans are looked at: those with any of these names that belong to any of these
/// traces, where there are some, and the spans under them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanFilter {
    /// Where they are from.
    pub file: SpanFile,
    /// What they are called.
    pub names: Vec<Glob>,
    /// What they belong to.
    pub trace_ids: Vec<TraceId>,
}

/// A file of spans, which is read once, when it is first asked for.
#[derive(Debug, Clone)]
pub struct SpanFile {
    path: PathBuf,
    spans: Arc<OnceLock<Spans>>,
}

impl PartialEq for SpanFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for SpanFile {}

impl SpanFile {
    /// The file at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        SpanFile { path, spans: Arc::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    pub(crate) fn spans(&self) -> Result<&Spans, SpansError> {
        if let Some(spans) = self.spans.get() {
            return Ok(spans);
        }
        let spans = read::read(&MappedFile::open(&self.path)?)?;
        Ok(self.spans.get_or_init(|| spans))
    }
}

/// What is in a file of spans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spans {
    /// What spans are called, each name once.
    pub(crate) names: Vec<String>,
    pub(crate) spans: Vec<Span>,
    /// Spans without an end.
    pub(crate) unfinished: u64,
    /// Events that are in no thread, such as asynchronous ones.
    pub(crate) others: u64,
    /// Whether the file ends early.
    pub(crate) is_cut: bool,
}

impl Spans {
    /// What is to be known of the file.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.is_cut {
            notes.push("the file of spans is cut off: all up to there was read".to_owned());
        }
        if self.unfinished > 0 {
            let count = self.unfinished;
            notes.push(format!("{count} spans without a beginning or an end are left out"));
        }
        if self.others > 0 {
            let count = self.others;
            notes.push(format!("{count} events that are not X, B or E are left out"));
        }
        notes
    }
}

/// A span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// Index in [`Spans::names`].
    pub(crate) name: usize,
    pub(crate) trace_id: Option<TraceId>,
    /// Its own id and that of the span it is part of; 0 if there is none.
    id: u64,
    parent: u64,
    /// On the clock that `of_day` says.
    pub(crate) from_ns: Nanos,
    pub(crate) to_ns: Nanos,
    /// Whether times are since the Unix epoch; else they are on a clock that nothing is
    /// known of.
    pub(crate) of_day: bool,
    /// The process it was in, as that calls itself.
    pub(crate) pid: Option<u32>,
    /// The thread it was in, as its service calls that.
    pub(crate) tid: Option<u32>,
}

/// A span of nothing, at no time.
#[cfg(test)]
pub(crate) fn fixture() -> Span {
    let (from_ns, to_ns) = (0, 0);
    Span {
        name: 0,
        trace_id: None,
        id: 0,
        parent: 0,
        from_ns,
        to_ns,
        of_day: false,
        pid: None,
        tid: None,
    }
}

impl Span {
    /// How long it took.
    pub(crate) fn length_ns(&self) -> Nanos {
        self.to_ns - self.from_ns
    }
}
