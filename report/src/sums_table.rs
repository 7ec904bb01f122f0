//! What the tables of exact sums have in common.

use rz_convert::profile::{Profile, ThreadId, Total};

use crate::format::{clean, duration, percent, percent_of};
use crate::histogram::quantile;
use crate::style::{Paint, Style};

/// The numbers of a sum of durations that every table of such sums has: share
/// of `all`, mean (where there is room), median, 99th percentile, and the
/// longest.
pub(crate) fn duration_columns(style: Style, sum: &Total, all: u64) -> Vec<(String, Paint)> {
    let share = percent_of(sum.total_ns, all);
    let mean = sum.total_ns.checked_div(sum.count).unwrap_or(0);
    let plain = |ns: u64| (duration(ns), Paint::Plain);
    let rough = |q: f64| (format!("~{}", duration(quantile(sum, q))), Paint::Plain);
    let paint = Paint::for_percent(share);
    let mut columns = vec![(duration(sum.total_ns), paint), (percent(share), paint)];
    if !is_narrow(style) {
        columns.push(plain(mean));
    }
    columns.extend([rough(0.5), rough(0.99), plain(sum.max_ns)]);
    columns
}

/// The titles of [`duration_columns`].
pub(crate) fn duration_titles(style: Style) -> &'static [&'static str] {
    match is_narrow(style) {
        true => &["time", "share", "p50", "p99", "max"],
        false => &["time", "share", "mean", "p50", "p99", "max"],
    }
}

/// Whether a terminal has no room for what can be spared.
pub(crate) fn is_narrow(style: Style) -> bool {
    style.width.is_some_and(|width| width < 110)
}

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
