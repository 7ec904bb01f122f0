//! How large objects were, and for how long they were there.

use std::io::{self, Write};

use rz_profile::heap::{Heap, Sum};
use rz_profile::model::{Histogram, Total};
use serde::Serialize;

use super::amounts::whole_bytes;
use super::{HeapPage, amounts};
use crate::model::estimated::Estimated;
use crate::model::sums::quantile;
use crate::render::format::{count, duration, percent, percent_of};
use crate::render::histogram::Axis;
use crate::render::style::{Paint, Style};
use crate::render::table::{GAP, TableRow, room, write_table};
use crate::render::title::write_title;

/// Classes of sizes in one line: a factor of four.
const STEP: usize = 2;

/// The class of all lifetimes below a microsecond: the first one of the last
/// line below it.
const SHORTEST: usize = 8;

/// Where that class ends, in nanoseconds.
const MICROSECOND: u64 = 1 << (SHORTEST + STEP);

/// Columns of the longest bar.
const MAX_BAR: usize = 24;

/// Objects of similar size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SizeBucket {
    /// The smallest size in bytes.
    pub from_bytes: u64,
    /// The size below which they all are; `null` if there is none.
    pub to_bytes: Option<u64>,
    /// How many there were: exact if allocations were counted or all recorded,
    /// else an estimate.
    pub allocations: u64,
    /// Bytes allocated, added up from objects that were recorded one by one;
    /// `null` if none was.
    pub allocated_bytes: Option<Estimated>,
    /// Bytes live at the end, added up as `allocated_bytes` are; `null` if no
    /// object that was recorded is.
    pub live_at_end_bytes: Option<Estimated>,
}

/// For how long objects were there that were freed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Lifetimes {
    /// Objects by their lifetime, in classes of a factor of two, the shortest
    /// first; only those that are not empty.
    pub buckets: Vec<LifetimeBucket>,
    /// The median in nanoseconds, an estimate from the buckets; 0 if it is in
    /// the first one, below 1,024, where times are not told apart.
    pub p50_ns: u64,
    /// The 90th percentile in nanoseconds, as `p50_ns` is the median.
    pub p90_ns: u64,
    /// The 99th percentile in nanoseconds, as `p50_ns` is the median.
    pub p99_ns: u64,
}

/// Objects that were there for a similar time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LifetimeBucket {
    /// The shortest time in nanoseconds.
    pub from_ns: u64,
    /// The time that they all were freed before; `null` if there is none.
    pub to_ns: Option<u64>,
    /// How many objects; an estimate if not all were recorded.
    pub objects: u64,
}

/// Objects by size, the smallest first; only sizes that there are.
pub(super) fn sizes(heap: &Heap) -> Vec<SizeBucket> {
    let bytes = |sum: Sum| (!sum.is_zero()).then(|| sum.bytes.into());
    let bucket = |(class, &allocations): (usize, &u64)| {
        let sums = heap.size_classes.get(class).copied().unwrap_or_default();
        SizeBucket {
            from_bytes: if class == 0 { 0 } else { 1 << class },
            to_bytes: end_of(class),
            allocations,
            allocated_bytes: bytes(sums.allocated),
            live_at_end_bytes: bytes(sums.at_end),
        }
    };
    let is_any = |bucket: &SizeBucket| bucket.allocations > 0 || bucket.allocated_bytes.is_some();
    heap.sizes.0.iter().enumerate().map(bucket).filter(is_any).collect()
}

/// Where a class of a histogram ends; the last one does not.
fn end_of(class: usize) -> Option<u64> {
    (class + 1 < Histogram::default().0.len()).then(|| 2 << class)
}

/// A line of the table: a factor of four in size.
#[derive(Default, Clone, Copy)]
struct Step {
    allocations: u64,
    allocated: Option<Estimated>,
    live_at_end: Option<Estimated>,
}

/// The buckets in steps, from the first to the last with allocations, and the
/// number of the first.
fn steps(buckets: &[SizeBucket]) -> (usize, Vec<Step>) {
    let mut steps = vec![Step::default(); Histogram::default().0.len().div_ceil(STEP)];
    for bucket in buckets {
        let step = &mut steps[bucket.from_bytes.max(1).ilog2() as usize / STEP];
        step.allocations = step.allocations.saturating_add(bucket.allocations);
        step.allocated = joined(step.allocated, bucket.allocated_bytes);
        step.live_at_end = joined(step.live_at_end, bucket.live_at_end_bytes);
    }
    let used = |step: &Step| step.allocations > 0;
    let first = steps.iter().position(used).unwrap_or(steps.len());
    let end = steps.iter().rposition(used).map_or(first, |last| last + 1);
    (first, steps[first..end].to_vec())
}

/// Two sums of different objects as one.
fn joined(a: Option<Estimated>, b: Option<Estimated>) -> Option<Estimated> {
    let (Some(x), Some(y)) = (a, b) else { return a.or(b) };
    let margin = match (x.margin, y.margin) {
        (Some(x), Some(y)) => Some(x.hypot(y)),
        (x, y) => x.or(y),
    };
    Some(Estimated { value: x.value + y.value, margin })
}

/// Writes how many allocations were of which size.
pub(super) fn write_sizes(out: &mut dyn Write, style: Style, page: &HeapPage) -> io::Result<()> {
    let (first, steps) = steps(&page.sizes);
    if steps.is_empty() {
        return Ok(());
    }
    let counts: Vec<u64> = steps.iter().map(|step| step.allocations).collect();
    let (all, highest) = (sum(&counts), counts.iter().copied().max().unwrap_or(0));
    let note = if page.counted { "allocations: exact" } else { "allocations: added up" };
    write_title(out, style, "SIZES", note)?;
    let mark = if !page.is_sampled() || page.counted { "" } else { "~" };
    let bytes = |sum: Option<Estimated>| sum.map_or_else(|| "-".to_owned(), amounts::bytes);
    let row = |(index, step): (usize, &Step)| {
        let share = percent_of(step.allocations, all);
        let numbers = vec![
            (format!("{mark}{}", count(step.allocations)), Paint::Plain),
            (percent(share), Paint::for_percent(share)),
            (bytes(step.allocated), Paint::Plain),
            (bytes(step.live_at_end), Paint::Plain),
        ];
        TableRow { numbers, text: range(first + index), suffix: String::new() }
    };
    let mut rows: Vec<TableRow> = steps.iter().enumerate().map(row).collect();
    let titles = ["allocations", "share", "bytes", "live at end", "size"];
    // Bars take what the ranges leave.
    let widest = rows.iter().map(|row| row.text.chars().count()).max().unwrap_or(0);
    let longest = room(style, &titles, &rows).saturating_sub(widest + GAP.len()).min(MAX_BAR);
    for (row, &allocations) in rows.iter_mut().zip(&counts) {
        let length = (longest as f64 * allocations as f64 / highest as f64).round() as usize;
        if length > 0 {
            row.text = format!("{:<widest$}{GAP}{}", row.text, "█".repeat(length));
        }
    }
    write_table(out, style, &titles, &rows)
}

fn sum(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
}

/// The sizes of a step, as in `16 B…64 B`, the last one not included.
fn range(step: usize) -> String {
    let at = |class: usize| whole_bytes(1 << class);
    let from = step * STEP;
    match end_of(from + STEP - 1) {
        Some(end) if step == 0 => format!("0 B…{}", whole_bytes(end)),
        Some(end) => format!("{}…{}", at(from), whole_bytes(end)),
        None => format!("{} and more", at(from)),
    }
}

/// How long objects that were freed had been there; nothing if none was freed.
/// The recording took `recording_ns`, which is 0 if it is not known.
pub(super) fn lifetimes(heap: &Heap, recording_ns: u64) -> Option<Lifetimes> {
    let histogram = to_the_microsecond(&heap.lifetimes);
    let bucket = |(class, &objects): (usize, &u64)| {
        let (from_ns, to_ns) = match class {
            SHORTEST => (0, Some(MICROSECOND)),
            class => (1 << class, end_of(class)),
        };
        LifetimeBucket { from_ns, to_ns, objects }
    };
    let used = histogram.0.iter().enumerate().filter(|(_, objects)| **objects > 0);
    let buckets: Vec<LifetimeBucket> = used.map(bucket).collect();
    // The last bucket has no end: without a length, what is in it was there for
    // as long as it begins with, at least.
    let max_ns = match recording_ns {
        0 => 1 << (histogram.0.len() - 1),
        ns => ns,
    };
    let all = Total { histogram, max_ns, ..Total::default() };
    let at = |q: f64| Some(quantile(&all, q)).filter(|&ns| ns >= MICROSECOND).unwrap_or(0);
    let [p50_ns, p90_ns, p99_ns] = [0.5, 0.9, 0.99].map(at);
    (!buckets.is_empty()).then_some(Lifetimes { buckets, p50_ns, p90_ns, p99_ns })
}

/// Writes for how long objects were there that were freed.
pub(super) fn write_lifetimes(
    out: &mut dyn Write,
    style: Style,
    lifetimes: &Lifetimes,
) -> io::Result<()> {
    let mut histogram = Histogram::default();
    for bucket in &lifetimes.buckets {
        let class = bucket.from_ns.checked_ilog2().map_or(SHORTEST, |class| class as usize);
        histogram.0[class] = bucket.objects;
    }
    let axis = Axis::of(std::iter::once(&histogram));
    let span = axis.label();
    let shortest = duration(1 << SHORTEST);
    let span = match span.strip_prefix(&shortest) {
        Some(rest) => format!("0 ns{rest}, each column four times the one before"),
        None => format!("{span}, each column four times the one before"),
    };
    let at = |ns: u64| match ns {
        0 => "below 1 µs".to_owned(),
        ns => format!("~{}", duration(ns)),
    };
    let Lifetimes { p50_ns, p90_ns, p99_ns, .. } = *lifetimes;
    let note =
        format!("of objects freed: p50 {}, p90 {}, p99 {}", at(p50_ns), at(p90_ns), at(p99_ns));
    write_title(out, style, "LIFETIMES", &note)?;
    writeln!(out, "{}  {}", axis.draw(&histogram), style.paint(Paint::Dim, &span))
}

/// Times are in whole microseconds: what is less is one class.
fn to_the_microsecond(lifetimes: &Histogram) -> Histogram {
    let mut lifetimes = *lifetimes;
    lifetimes.0[SHORTEST] = sum(&lifetimes.0[..SHORTEST + STEP]);
    lifetimes.0[SHORTEST + 1..SHORTEST + STEP].fill(0);
    lifetimes.0[..SHORTEST].fill(0);
    lifetimes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_was_there_for_longer_than_the_recording() {
        let check = |class: usize, recording_ns, expected: [u64; 3]| {
            let mut heap = Heap::default();
            heap.lifetimes.0[class] = 100;
            let found = lifetimes(&heap, recording_ns).unwrap();
            assert_eq!([found.p50_ns, found.p90_ns, found.p99_ns], expected, "{class}");
        };
        let (last, minute) = (1 << 39, 60_000_000_000);
        check(39, 20 * minute, [874_877_906_944, 1_134_975_581_388, 1_193_497_558_138]);
        // Its length may be that of what is left of it.
        check(39, minute, [minute; 3]);
        check(39, 0, [last; 3]);
        check(0, minute, [0; 3]);
    }
}
