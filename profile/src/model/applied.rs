//! What a filter has left of a profile.

use std::fmt;

use super::{Nanos, TotalClass};

/// How the filter of a profile was applied. The default is that there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was selected, in words; empty without a filter.
    pub text: String,
    /// The window of time, since the start of the recording, if it is not all
    /// of it.
    pub window: Option<(Nanos, Nanos)>,
    /// How many threads were selected; `None` if all were.
    pub threads: Option<usize>,
    /// Whether stacks were left out, so that what has no stack is unknown.
    pub drops_stacks: bool,
    /// The spans that were laid on the trace, if it was filtered by spans.
    pub spans: Option<AppliedSpans>,
}

/// How spans were laid on a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppliedSpans {
    /// Spans whose thread is known.
    pub by_thread: u64,
    /// Spans whose process is known, but not the thread: all of its threads are looked at.
    pub by_process: u64,
    /// Spans of which neither is known: all threads are looked at.
    pub by_none: u64,
    /// How many of these were not asked for, but are part of one that was.
    pub under: u64,
    /// Spans that were asked for and are outside of the recording, or of the window.
    pub outside: u64,
    /// Spans of processes or threads that are not in the recording.
    pub not_recorded: u64,
    /// For how long there was any.
    pub time_ns: Nanos,
    /// Whether there were several at a time in a thread, which counts once.
    pub overlap: bool,
}

impl fmt::Display for AppliedSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.by_thread + self.by_process + self.by_none;
        let spans = if all == 1 { "span" } else { "spans" };
        write!(f, "{all} {spans} in {}", show_time(self.time_ns))?;
        let parts = [
            (self.by_thread, "by thread"),
            (self.by_process, "by process, with all its threads"),
            (self.by_none, "of no known thread or process, with all that was recorded"),
        ];
        let mut parts = parts.iter().filter(|(count, _)| *count > 0);
        match (parts.clone().count(), parts.next()) {
            (1, Some((_, how))) => write!(f, ", {how}")?,
            (_, first) => {
                for (count, how) in first.into_iter().chain(parts) {
                    write!(f, ", {count} {how}")?;
                }
            }
        }
        for (count, what) in [
            (self.under, "of them under those asked for"),
            (self.outside, "more outside of the recording"),
            (self.not_recorded, "more of what was not recorded"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        f.write_str(if self.overlap { ", overlaps count once" } else { "" })
    }
}

impl Applied {
    /// Whether there is a filter.
    pub fn is_active(&self) -> bool {
        !self.text.is_empty()
    }

    /// Why a class has no exact sums because of the filter, if it has none.
    pub fn why_inexact(&self, class: TotalClass) -> Option<&'static str> {
        match class {
            _ if self.drops_stacks => Some("left out: sums have no stacks to filter by"),
            TotalClass::IoUring => None,
            _ if self.window.is_some() => Some("added up: exact sums are of all the time"),
            _ => None,
        }
    }
}

/// A length of time, as `--from` reads it.
pub(crate) fn show_time(ns: Nanos) -> String {
    let (unit, length) = match ns {
        0 | 1_000_000_000.. => ("s", 1e9),
        _ => ("ms", 1e6),
    };
    let text = format!("{:.3}", ns as f64 / length);
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}
