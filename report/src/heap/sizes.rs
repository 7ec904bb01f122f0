//! Writes how large objects were, and for how long they were there.

use std::io::{self, Write};

use rz_convert::heap::{Estimate, Heap, Sums};
use rz_convert::profile::{Histogram, Total};

use super::amounts;
use crate::format::{bytes, count, duration, percent, percent_of};
use crate::histogram::{Axis, quantile};
use crate::style::{Paint, Style};
use crate::summary::write_title;
use crate::table::{Row, write_table};

/// Classes of sizes in one line: a factor of four.
const STEP: usize = 2;

/// Columns of the longest bar.
const BAR: usize = 16;

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
    let row = |step: usize| {
        let (allocations, sums) = (steps[step], &classes[step]);
        let share = percent_of(allocations, all);
        let estimate = Estimate { value: 0.0, variance: if counted { 0.0 } else { 1.0 } };
        let mark = if heap.interval == 0 || estimate.is_exact() { "" } else { "~" };
        let numbers = vec![
            (format!("{mark}{}", count(allocations)), Paint::Plain),
            (percent(share), Paint::for_percent(share)),
            (amounts::bytes(sums.allocated.bytes), Paint::Plain),
            (amounts::bytes(sums.at_end.bytes), Paint::Plain),
        ];
        let bar = (BAR as f64 * allocations as f64 / highest as f64).round() as usize;
        let bar = "█".repeat(bar);
        let text = format!("{:<18}  {bar}", range(step, steps.len()));
        Row { numbers, text: text.trim_end().to_owned(), suffix: String::new() }
    };
    let rows: Vec<Row> = (first..=last).map(row).collect();
    write_table(out, style, &["allocations", "share", "bytes", "live at end", "size"], &rows)
}

fn sum(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
}

/// The sizes of a step, as in `16 B to 63 B`.
fn range(step: usize, steps: usize) -> String {
    let at = |step: usize| 1_u64 << (step * STEP);
    match step {
        0 => format!("0 B…{}", bytes(at(1) - 1)),
        last if last + 1 == steps => format!("{} and more", bytes(at(last))),
        step => format!("{}…{}", bytes(at(step)), bytes(at(step + 1))),
    }
}

/// Writes for how long objects were there that were given back.
pub(super) fn write_lifetimes(out: &mut dyn Write, style: Style, heap: &Heap) -> io::Result<()> {
    let axis = Axis::of(std::iter::once(&heap.lifetimes));
    let span = axis.label();
    if span.is_empty() {
        return Ok(());
    }
    let Histogram(_) = heap.lifetimes;
    let all = Total { histogram: heap.lifetimes, max_ns: u64::MAX, ..Total::default() };
    let at = |q: f64| format!("~{}", duration(quantile(&all, q)));
    let note = format!("of objects given back: p50 {}, p90 {}, p99 {}", at(0.5), at(0.9), at(0.99));
    write_title(out, style, "LIFETIMES", &note)?;
    writeln!(out, "{}  {}", axis.draw(&heap.lifetimes), style.paint(Paint::Dim, &span))
}
