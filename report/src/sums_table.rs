//! What the tables of exact sums have in common.

use rz_convert::profile::{Profile, ThreadId, Total};

use crate::format::{clean, duration, percent, percent_of};
use crate::histogram::quantile;
use crate::style::Paint;

/// The numbers of a sum of durations that every table of such sums has: share
/// of `all`, mean, median, 99th percentile, and the longest.
pub(crate) fn duration_columns(sum: &Total, all: u64) -> Vec<(String, Paint)> {
    let share = percent_of(sum.total_ns, all);
    let mean = sum.total_ns.checked_div(sum.count).unwrap_or(0);
    let plain = |ns: u64| (duration(ns), Paint::Plain);
    let rough = |q: f64| (format!("~{}", duration(quantile(sum, q))), Paint::Plain);
    let paint = Paint::for_percent(share);
    vec![
        (duration(sum.total_ns), paint),
        (percent(share), paint),
        plain(mean),
        rough(0.5),
        rough(0.99),
        plain(sum.max_ns),
    ]
}

/// The titles of [`duration_columns`].
pub(crate) const DURATION_TITLES: [&str; 6] = ["time", "share", "mean", "p50", "p99", "max"];

/// Number, name and, with several processes, process of a thread.
pub(crate) fn thread_name(
    profile: &Profile,
    thread: Option<ThreadId>,
    several: bool,
) -> (String, String, String) {
    let Some(thread) = thread else {
        return ("-".to_owned(), "threads not told apart".to_owned(), String::new());
    };
    let (thread, process) = profile.thread(thread);
    let suffix = match several {
        true => format!("{} ({})", clean(&process.name), process.pid),
        false => String::new(),
    };
    (thread.tid.to_string(), clean(&thread.name).into_owned(), suffix)
}
