//! Prints the allocations of two recordings side by side, and the functions
//! whose allocations changed.

use std::io::{self, Write};

use rz_convert::heap::{Estimate, Metric, Sum};
use rz_convert::profile::{EventKind, Unit};

use super::amounts::{bytes_and_margin, counted};
use super::diff::{HeapChange, HeapDiff, HeapPair, HeapSide, is_rate};
use super::how_recorded;
use crate::change::NOISE_LIMIT;
use crate::diff_table::{NOISE_LEGEND, WIDE, write_side_by_side};
use crate::format::{bytes, clean, count, duration};
use crate::header::{host, lost_count, start_time};
use crate::style::{Paint, Style};
use crate::summary::{some_of, write_title};
use crate::table::{self, write_table};
use crate::top::SortBy;

/// Writes a comparison with the `limit` functions that changed most.
pub fn write_heap_diff(
    out: &mut dyn Write,
    style: Style,
    diff: &HeapDiff<'_>,
    limit: usize,
) -> io::Result<()> {
    write_sides(out, style, diff)?;
    write_compared(out, diff)?;
    write_rows(out, style, diff, limit)
}

fn write_sides(out: &mut dyn Write, style: Style, diff: &HeapDiff<'_>) -> io::Result<()> {
    let of_both =
        |show: &dyn Fn(&HeapSide<'_>) -> String| [show(&diff.sides[0]), show(&diff.sides[1])];
    let lost = |side: &HeapSide<'_>| match lost_count(side.info, EventKind::Alloc) {
        0 => "none".to_owned(),
        n => format!("{} allocations and frees", count(n)),
    };
    let lines = [
        ("trace", of_both(&|side| clean(side.name).into_owned())),
        ("host", of_both(&|side| host(side.info))),
        ("recorded", of_both(&|side| start_time(side.info))),
        ("duration", of_both(&|side| duration(side.info.duration_ns))),
        ("heap", of_both(&|side| how_recorded(side.heap))),
        ("lost", of_both(&lost)),
        ("allocated", of_both(&|side| bytes_and_margin(side.heap.bytes()))),
        ("objects", of_both(&|side| counted(side.heap.allocations(), "object"))),
        ("at peak", of_both(&|side| bytes_and_margin(side.heap.peak.live.bytes))),
        ("at end", of_both(&|side| bytes_and_margin(side.heap.total.at_end.bytes))),
    ];
    write_side_by_side(out, style, &lines)
}

/// Says what is compared, and how much all of it changed.
fn write_compared(out: &mut dyn Write, diff: &HeapDiff<'_>) -> io::Result<()> {
    let what = diff.metric.description();
    let total = delta_and_margin(diff, diff.total());
    if is_rate(diff.metric) {
        let [before, after] = [0, 1].map(|side| duration(diff.sides[side].info.duration_ns));
        writeln!(out, "\nCompared are {what} per second of wall time:")?;
        writeln!(out, "before ÷ {before}, after ÷ {after}; all: {total} per second")?;
    } else {
        writeln!(out, "\nCompared are {what}, as amounts: not per second.")?;
        writeln!(out, "All: {total}")?;
    }
    if diff.sides.iter().any(|side| lost_count(side.info, EventKind::Alloc) > 0) {
        writeln!(out, "Caution: what was lost is in no function.")?;
    }
    Ok(())
}

/// A number of the metric.
pub(super) fn amount(metric: Metric, value: f64) -> String {
    // Saturates.
    match (metric.unit(), value) {
        (Unit::Bytes, value) => bytes(value.round() as u64),
        (_, value) if is_rate(metric) && value < 99.95 => format!("{value:.1}"),
        (_, value) => count(value.round() as u64),
    }
}

/// A change with its sign, and with `~` if it is within the noise.
fn delta_text(diff: &HeapDiff<'_>, change: HeapChange) -> String {
    let text = amount(diff.metric, change.delta().abs());
    let mark = if change.is_noise(NOISE_LIMIT) { "~" } else { "" };
    let sign = match change.delta() {
        // No sign on what is shown as zero.
        _ if !text.contains(|c: char| c.is_ascii_digit() && c != '0') => "",
        delta if delta > 0.0 => "+",
        _ => "-",
    };
    format!("{mark}{sign}{text}")
}

/// The same, with its confidence interval if it is estimated.
pub(super) fn delta_and_margin(diff: &HeapDiff<'_>, change: HeapChange) -> String {
    let margin = match change.variance > 0.0 {
        true => format!(" ±{}", amount(diff.metric, change.margin())),
        false => String::new(),
    };
    delta_text(diff, change) + &margin
}

fn write_rows(
    out: &mut dyn Write,
    style: Style,
    diff: &HeapDiff<'_>,
    limit: usize,
) -> io::Result<()> {
    let shown = diff.rows.len().min(limit);
    let by = match diff.sorted_by {
        SortBy::SelfWeight => "self",
        SortBy::TotalWeight => "total",
    };
    let per = if is_rate(diff.metric) { " per second" } else { "" };
    let of = some_of(shown, diff.rows.len());
    let note = format!("{}{per}, by change of {by}{of}", diff.metric.description());
    write_title(out, style, "FUNCTIONS", &note)?;
    let wide = style.width.is_none_or(|width| width >= WIDE);
    let estimated = diff.sides.iter().any(|side| side.heap.interval > 0);
    let rows: Vec<table::Row> = diff.rows[..shown]
        .iter()
        .map(|row| {
            let symbol = &diff.symbols[row.symbol];
            let mut numbers = cells(diff, &row.self_, estimated);
            let mut total = cells(diff, &row.total, estimated && wide);
            numbers.append(&mut if wide { total } else { total.split_off(2) });
            let label = match row.total.map(|sum: Sum| sum.is_zero()) {
                [true, _] => "new: ",
                [_, true] => "gone: ",
                _ => "",
            };
            let text = format!("{label}{}", symbol.name);
            table::Row { numbers, text, suffix: symbol.module.clone() }
        })
        .collect();
    let mut titles = vec!["self before", "after", "delta"];
    titles.extend(estimated.then_some("±"));
    if wide {
        titles.extend(["total before", "after", "delta"]);
        titles.extend(estimated.then_some("±"));
    } else {
        titles.push("total delta");
    }
    titles.push("function");
    write_table(out, style, &titles, &rows)?;
    if estimated {
        writeln!(out, "\n{}", style.paint(Paint::Dim, NOISE_LEGEND))?;
    }
    Ok(())
}

/// Before, after and delta; with its interval if any number is estimated.
fn cells(diff: &HeapDiff<'_>, pair: &HeapPair, with_margin: bool) -> Vec<(String, Paint)> {
    let change = diff.change(pair);
    let none = || ("-".to_owned(), Paint::Dim);
    let number = |sum: &Sum, estimate: Estimate| match sum.is_zero() {
        true => none(),
        false => (amount(diff.metric, estimate.value), Paint::Plain),
    };
    let mut cells = vec![number(&pair[0], change.before), number(&pair[1], change.after)];
    let nothing = pair.iter().all(Sum::is_zero);
    let paint = match change.delta() {
        delta if delta == 0.0 || change.is_noise(NOISE_LIMIT) => Paint::Dim,
        delta if delta > 0.0 => Paint::Red,
        _ => Paint::Green,
    };
    cells.push(if nothing { none() } else { (delta_text(diff, change), paint) });
    if with_margin {
        let margin = match change.variance > 0.0 {
            true => format!("±{}", amount(diff.metric, change.margin())),
            false => String::new(),
        };
        cells.push((margin, Paint::Dim));
    }
    cells
}
