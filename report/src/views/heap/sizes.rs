//! Writes how large objects were, and for how long they were there.

use std::io::{self, Write};

use rz_profile::heap::{Heap, Sum, Sums};
use rz_profile::model::{Histogram, Total};

use super::amounts;
use super::amounts::whole_bytes;
use crate::render::format::{count, duration, percent, percent_of};
use crate::render::histogram::{Axis, quantile};
use crate::render::style::{Paint, Style};
use crate::render::table::{GAP, Row, room, write_table};
use crate::render::title::write_title;

/// Classes of sizes in one line: a factor of four.
const STEP: usize = 2;

/// The class of all lifetimes below a microsecond: the first one of the last
/// line below it.
const SHORTEST: usize = 8;

/// Columns of the longest bar.
const MAX_BAR: usize = 24;

/// Writes how many allocations were of which size.
pub(super) fn write_sizes(out: &mut dyn Write, style: Style, heap: &Heap) -> io::Result<()> {
    let steps: Vec<u64> = heap.sizes.0.chunks(STEP).map(sum).collect();
    let used = |count: &u64| *count > 0;
    let (Some(first), Some(last)) = (steps.iter().position(used), steps.iter().rposition(used))
    else {
        return Ok(());
    };
    let mut classes: Vec<Sums> = vec![Sums::default(); steps.len()];
    for (class, sums) in heap.size_classes.iter().enumerate().take(STEP * steps.len()) {
        classes[class / STEP].add(sums);
    }
    let (all, highest) = (sum(&steps), steps.iter().copied().max().unwrap_or(0));
    let counted = heap.counts.is_some();
    let note = if counted { "allocations: exact" } else { "allocations: added up" };
    write_title(out, style, "SIZES", note)?;
    let mark = if heap.interval == 0 || counted { "" } else { "~" };
    let numbers = |step: usize| {
        let (allocations, sums) = (steps[step], &classes[step]);
        let share = percent_of(allocations, all);
        vec![
            (format!("{mark}{}", count(allocations)), Paint::Plain),
            (percent(share), Paint::for_percent(share)),
            (recorded_bytes(&sums.allocated), Paint::Plain),
            (recorded_bytes(&sums.at_end), Paint::Plain),
        ]
    };
    let row = |step: usize| {
        let text = range(step, steps.len());
        Row { numbers: numbers(step), text, suffix: String::new() }
    };
    let mut rows: Vec<Row> = (first..=last).map(row).collect();
    let titles = ["allocations", "share", "bytes", "live at end", "size"];
    // Bars take what the ranges leave.
    let widest = rows.iter().map(|row| row.text.chars().count()).max().unwrap_or(0);
    let longest = room(style, &titles, &rows).saturating_sub(widest + GAP.len()).min(MAX_BAR);
    for (row, &allocations) in rows.iter_mut().zip(&steps[first..]) {
        let length = (longest as f64 * allocations as f64 / highest as f64).round() as usize;
        if length > 0 {
            row.text = format!("{:<widest$}{GAP}{}", row.text, "█".repeat(length));
        }
    }
    write_table(out, style, &titles, &rows)
}

/// Bytes of objects, if any was recorded.
fn recorded_bytes(sum: &Sum) -> String {
    if sum.is_zero() { "-".to_owned() } else { amounts::bytes(sum.bytes) }
}

fn sum(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
}

/// The sizes of a step, as in `16 B…64 B`, the last one not included.
fn range(step: usize, steps: usize) -> String {
    let at = |step: usize| whole_bytes(1 << (step * STEP));
    match step {
        0 => format!("0 B…{}", at(1)),
        last if last + 1 == steps => format!("{} and more", at(last)),
        step => format!("{}…{}", at(step), at(step + 1)),
    }
}

/// Writes for how long objects were there that were freed.
pub(super) fn write_lifetimes(out: &mut dyn Write, style: Style, heap: &Heap) -> io::Result<()> {
    let lifetimes = to_the_microsecond(&heap.lifetimes);
    let axis = Axis::of(std::iter::once(&lifetimes));
    let span = axis.label();
    if span.is_empty() {
        return Ok(());
    }
    let shortest = duration(1 << SHORTEST);
    let span = match span.strip_prefix(&shortest) {
        Some(rest) => format!("0 ns{rest}, each column four times the one before"),
        None => format!("{span}, each column four times the one before"),
    };
    let all = Total { histogram: lifetimes, max_ns: u64::MAX, ..Total::default() };
    let at = |q: f64| match quantile(&all, q) {
        ns if ns < 1 << (SHORTEST + STEP) => "below 1 µs".to_owned(),
        ns => format!("~{}", duration(ns)),
    };
    let note = format!("of objects freed: p50 {}, p90 {}, p99 {}", at(0.5), at(0.9), at(0.99));
    write_title(out, style, "LIFETIMES", &note)?;
    writeln!(out, "{}  {}", axis.draw(&lifetimes), style.paint(Paint::Dim, &span))
}

/// Times are in whole microseconds: what is less is one class.
fn to_the_microsecond(lifetimes: &Histogram) -> Histogram {
    let mut lifetimes = *lifetimes;
    lifetimes.0[SHORTEST] = sum(&lifetimes.0[..SHORTEST + STEP]);
    lifetimes.0[SHORTEST + 1..SHORTEST + STEP].fill(0);
    lifetimes.0[..SHORTEST].fill(0);
    lifetimes
}
