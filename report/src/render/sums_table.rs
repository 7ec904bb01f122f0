//! What the tables of exact sums have in common.

use std::io::{self, Write};

use rz_profile::model::{Profile, Total, TotalClass};

use crate::model::rows::Rows;
use crate::model::sums::quantile;
use crate::model::threads::ShownThread;
use crate::render::format::{counted, duration, percent, percent_of};
use crate::render::style::{Paint, Style};
use crate::render::table::{TableRow, fits, write_table};
use crate::render::title::{some_of, write_title};

/// How much is shown of a sum of durations. Each has what those after it have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// Time, share and the longest.
    Least,
    /// The mean.
    Mean,
    /// Median and 99th percentile.
    Quantiles,
    /// The whole distribution.
    Histogram,
}

/// Writes the table with the most detail that has room.
pub(crate) fn write_sums<'t>(
    out: &mut dyn Write,
    style: Style,
    table: impl Fn(Detail) -> (Vec<&'t str>, Vec<TableRow>),
) -> io::Result<()> {
    let mut chosen = table(Detail::Histogram);
    for detail in [Detail::Quantiles, Detail::Mean, Detail::Least] {
        if fits(style, &chosen.0, &chosen.1) {
            break;
        }
        chosen = table(detail);
    }
    write_table(out, style, &chosen.0, &chosen.1)
}

/// The columns that every table of such sums has; shares are those of `all`.
pub(crate) fn duration_columns(detail: Detail, sum: &Total, all: u64) -> Vec<(String, Paint)> {
    let share = percent_of(sum.total_ns, all);
    let mean = sum.total_ns.checked_div(sum.count).unwrap_or(0);
    let plain = |ns: u64| (duration(ns), Paint::Plain);
    let rough = |q: f64| (format!("~{}", duration(quantile(sum, q))), Paint::Plain);
    let paint = Paint::for_percent(share);
    let mut columns = vec![(duration(sum.total_ns), paint), (percent(share), paint)];
    if detail >= Detail::Mean {
        columns.push(plain(mean));
    }
    if detail >= Detail::Quantiles {
        columns.extend([rough(0.5), rough(0.99)]);
    }
    columns.push(plain(sum.max_ns));
    columns
}

/// The titles of [`duration_columns`].
pub(crate) fn duration_titles(detail: Detail) -> &'static [&'static str] {
    match detail {
        Detail::Least => &["time", "share", "max"],
        Detail::Mean => &["time", "share", "mean", "max"],
        _ => &["time", "share", "mean", "p50", "p99", "max"],
    }
}

/// What a headline says of the sums of a class: `exact`, or why they are not.
pub(crate) fn sums_note(profile: &Profile, class: TotalClass, exact: String) -> String {
    if let Some(why) = profile.info.filter.why_inexact(class)
        && profile.inexact.contains(&class)
    {
        return why.to_owned();
    }
    match (profile.inexact.contains(&class), profile.info.cut_short) {
        (false, _) => exact,
        (true, true) => "the exact sums are missing: the recording was not ended".to_owned(),
        (true, false) => "the exact sums are missing".to_owned(),
    }
}

/// What is added up in place of exact sums that are missing.
pub(crate) fn write_replacement(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    class: TotalClass,
    sum: &Total,
    noun: &str,
) -> io::Result<()> {
    if sum.count == 0 || !profile.inexact.contains(&class) {
        return Ok(());
    }
    let (number, time) = (counted(sum.count, noun), duration(sum.total_ns));
    let text = format!("Added up is what was recorded one by one: {number}, {time}.");
    writeln!(out, "{}", style.paint(Paint::Dim, &text))
}

/// Writes threads, each with its numbers; with `several` processes, also whose
/// they are.
pub(crate) fn write_thread_sums<T>(
    out: &mut dyn Write,
    style: Style,
    several: bool,
    note: &str,
    titles: &[&str],
    threads: &Rows<T>,
    numbers_of: impl Fn(&T) -> (&ShownThread, Vec<String>),
) -> io::Result<()> {
    let some = some_of(threads.rows.len(), threads.all());
    write_title(out, style, "THREADS", &format!("{note}{some}"))?;
    let row = |row: &T| {
        let (thread, mut numbers) = numbers_of(row);
        let (tid, text, suffix) = thread.clone().texts(several);
        numbers.push(tid);
        let numbers = numbers.into_iter().map(|text| (text, Paint::Plain)).collect();
        TableRow { numbers, text, suffix }
    };
    let table: Vec<TableRow> = threads.rows.iter().map(row).collect();
    write_table(out, style, &[titles, &["tid", "thread"]].concat(), &table)
}
