//! Why spans cannot be used.

use std::io;

use crate::model::Nanos;
use crate::model::show_time;
use crate::notes::listed;

/// Why spans cannot be used, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpansError {
    /// The file could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no JSON, or other JSON.
    #[error("no JSON of spans (OTLP or trace events): {0}")]
    NotSpans(serde_json::Error),
    /// There are none in it.
    #[error(
        "no spans in it: OTLP has them in resourceSpans, trace events are X, or B and E; \
         {unfinished} without an end, {others} events of no thread"
    )]
    Empty {
        /// Spans that did not end.
        unfinished: u64,
        /// Events that are in no thread.
        others: u64,
    },
    /// There are too many.
    #[error("more than {0} spans: give the part of the file that is of the recording's time")]
    TooMany(usize),
    /// None has such a name.
    #[error("no span is called {}; there are {}", .asked.join(" or "), listed(&texts(.near)))]
    NoSuchName {
        /// What was asked for.
        asked: Vec<String>,
        /// Names that there are, the most similar ones first.
        near: Vec<String>,
    },
    /// None belongs to such a trace, and has the name that was asked for.
    #[error("no span{} of trace {}", if *.named { " of that name is" } else { " is" }, .asked.join(" or "))]
    NoSuchTrace {
        /// What was asked for.
        asked: Vec<String>,
        /// Whether a name was asked for as well.
        named: bool,
    },
    /// Times of day that are not those of the recording.
    #[error(
        "the clocks do not meet: its spans {} {} {}: are they of this recording, and were the \
         clocks of both hosts right?",
        if *.before { "end" } else { "begin" },
        show_time(*.by_ns),
        if *.before { "before the recording begins" } else { "after the recording ends" }
    )]
    Apart {
        /// Whether the spans come first.
        before: bool,
        /// How far apart they are.
        by_ns: Nanos,
    },
    /// Times of an unknown clock that mean nothing in the recording.
    #[error(
        "the clocks do not meet: its times, {} to {}, are in the recording neither as time of day \
         (which is {} away) nor as CLOCK_MONOTONIC ({} away): write ts as microseconds of either",
        show_time(*.from_ns), show_time(*.to_ns), show_time(*.of_day_ns), show_time(*.monotonic_ns)
    )]
    UnknownClock {
        /// The first time.
        from_ns: Nanos,
        /// The last one.
        to_ns: Nanos,
        /// How far from the recording they are as time of day.
        of_day_ns: Nanos,
        /// How far from the recording they are as time since boot.
        monotonic_ns: Nanos,
    },
    /// Others of the file are in the recording, or in the window of time.
    #[error("{} asked for, none of the time of the recording that is looked at", counted(*.0))]
    Outside(u64),
    /// Processes or threads that are not in the recording.
    #[error(
        "{} asked for, none of a process or thread of the recording: {} {number} is not in it",
        counted(*.count),
        if *.is_process { "process" } else { "thread" }
    )]
    NotRecorded {
        /// How many there are.
        count: u64,
        /// The number of the first one's process or thread.
        number: u32,
        /// Which of both it is.
        is_process: bool,
    },
}

fn counted(spans: u64) -> String {
    format!("{spans} {}", if spans == 1 { "span" } else { "spans" })
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
