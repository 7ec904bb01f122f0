//! Prints the exact sums of both sides of a comparison.

use std::io::{self, Write};

use rz_profile::model::{Total, TotalClass};

use crate::diff::Diff;
use crate::diff::sums::{SumRow, SumsDiff};
use crate::diff::table::{cells, paint_of, verdict_word};
use crate::model::calls::SortCalls;
use crate::render::format::duration;
use crate::render::style::{Paint, Style};
use crate::render::table::{self, fits, write_table};
use crate::render::title::{some_of, write_title};

/// Writes the `limit` sums that changed most.
pub(crate) fn write_sum_rows(
    out: &mut dyn Write,
    style: Style,
    diff: &Diff<'_>,
    sums: &SumsDiff,
    limit: usize,
) -> io::Result<()> {
    let shown = sums.rows.len().min(limit);
    let (title, noun) = match sums.class {
        TotalClass::Waits => ("WHY THREADS WAITED", "reason"),
        _ => ("SYSTEM CALLS", "call"),
    };
    let what = match sums.by {
        SortCalls::Time => "time",
        SortCalls::Count => "how many",
        SortCalls::Errors => "failed",
    };
    let of = some_of(shown, sums.rows.len());
    let note = format!("exact, {what} in {}{of}", sums.scale.unit);
    write_title(out, style, title, &note)?;
    let wall_ns = [0, 1].map(|side| diff.sides[side].wall_ns().max(1) as f64);
    let make = |wide: bool| -> (Vec<&str>, Vec<table::TableRow>) {
        let row = |row: &SumRow| {
            let mut numbers = Vec::new();
            if wide && sums.by == SortCalls::Time {
                numbers.extend([0, 1].map(|side| match row.sums[side].count {
                    0 => ("-".to_owned(), Paint::Dim),
                    n => (format!("{:.1}", n as f64 / wall_ns[side] * 1e9), Paint::Plain),
                }));
            }
            if wide {
                let mean = |sum: &Total| match sum.total_ns.checked_div(sum.count) {
                    None => ("-".to_owned(), Paint::Dim),
                    Some(ns) => (duration(ns), Paint::Plain),
                };
                numbers.extend([mean(&row.sums[0]), mean(&row.sums[1])]);
            }
            numbers.extend(cells(diff, &row.change));
            table::TableRow { numbers, text: row.name.clone(), suffix: String::new() }
        };
        let mut titles = Vec::new();
        if wide && sums.by == SortCalls::Time {
            let per_second = if sums.class == TotalClass::Waits { "waits/s" } else { "calls/s" };
            titles.extend([per_second, "after"]);
        }
        if wide {
            titles.extend(["mean", "after"]);
        }
        titles.extend([what, "after", "delta", "95% interval", "verdict", noun]);
        (titles, sums.rows[..shown].iter().map(row).collect())
    };
    let (titles, table) = make(true);
    match fits(style, &titles, &table) {
        true => write_table(out, style, &titles, &table)?,
        false => {
            let (titles, table) = make(false);
            write_table(out, style, &titles, &table)?;
        }
    }
    let Some(test) = sums.total.test else { return Ok(()) };
    let [before, after] = sums.total.values;
    let (verdict, paint) = (verdict_word(diff, sums.total.verdict), paint_of(sums.total.verdict));
    let line = format!(
        "All: {before:.2} → {after:.2}: {verdict}; a difference of {:.2} would have been found in \
         4 of 5 cases.",
        test.detectable
    );
    writeln!(out, "{}", style.paint(paint, &line))
}
