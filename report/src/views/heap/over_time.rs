//! How much memory there was, and how much was allocated, over time.

use std::io::{self, Write};

use rz_profile::heap::{Heap, Slices};
use rz_profile::model::Profile;
use serde::Serialize;

use super::HeapPage;
use crate::model::estimated::{all_whole, rounded};
use crate::render::format::{bytes, count, duration};
use crate::render::histogram::draw_levels;
use crate::render::style::{Paint, Style};
use crate::render::title::write_title;

/// Columns of a drawing where there is no terminal.
const COLUMNS: usize = 80;

/// Columns beside a drawing: what it is, and its highest value.
const BESIDE: usize = 13 + 22;

/// What was live and allocated, over time, in columns of equal length.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OverTime {
    /// How long all columns are together, in nanoseconds. The first one begins
    /// with the recording, or with the window of time.
    pub length_ns: u64,
    /// How long a column is, in nanoseconds.
    pub column_ns: u64,
    /// For each column the most bytes that were live in it; exact if all
    /// allocations were recorded, else estimates.
    #[serde(serialize_with = "all_whole")]
    #[cfg_attr(test, schemars(with = "Vec<u64>"))]
    pub live_bytes: Vec<f64>,
    /// For each column how many allocations there were; exact if they were
    /// counted or all recorded, else estimates.
    #[serde(serialize_with = "all_whole")]
    #[cfg_attr(test, schemars(with = "Vec<u64>"))]
    pub allocations: Vec<f64>,
}

/// How many columns a drawing has room for.
pub(super) fn columns(style: Style) -> usize {
    style.width.map_or(COLUMNS, |width| width.saturating_sub(BESIDE).max(10))
}

/// What was live and allocated in each of so many columns, at most; nothing if
/// no time passed, or if it is not known of the stacks that are looked at.
pub(super) fn over_time(profile: &Profile, heap: &Heap, columns: usize) -> Option<OverTime> {
    // One axis of time for both.
    let start_ns = profile.info.start_ns;
    let ends = [end_of(&heap.live), end_of(&heap.rate)];
    let end_ns = ends.into_iter().fold(start_ns.saturating_add(profile.info.duration_ns), u64::max);
    let length_ns = end_ns - start_ns;
    if length_ns == 0 || heap.selected.by_stack {
        return None;
    }
    // Threads do not count at the same times: a column has two slices or more.
    let longest = heap.live.slice_ns.max(heap.rate.slice_ns.saturating_mul(2)).max(1);
    let columns = (columns as u64).min(length_ns / longest).max(1) as usize;
    let axis = Axis { start_ns, length_ns, columns };
    let rate = axis.sample(&heap.rate, |rate| rate.allocations, |a, b| a + b);
    let live = axis.sample(&heap.live, |live| live.most, f64::max);
    // What is live stays so until something else is known.
    let mut last = 0.0;
    let mut fill = |value: Option<f64>| {
        last = value.unwrap_or(last);
        last
    };
    Some(OverTime {
        length_ns,
        column_ns: length_ns / columns as u64,
        live_bytes: live.into_iter().map(&mut fill).collect(),
        allocations: rate.into_iter().map(Option::unwrap_or_default).collect(),
    })
}

/// Writes a line for bytes that were live, and one for allocations.
pub(super) fn write_over_time(
    out: &mut dyn Write,
    style: Style,
    page: &HeapPage,
) -> io::Result<()> {
    let Some(time) = &page.over_time else { return Ok(()) };
    let OverTime { length_ns, column_ns, live_bytes: live, allocations: rate } = time;
    let note = format!("{}, {} per column", duration(*length_ns), duration(*column_ns));
    write_title(out, style, "OVER TIME", &note)?;
    let highest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let per_second = highest(rate) * 1e9 / (*length_ns as f64 / rate.len() as f64);
    let mark = |counted: bool| if counted || !page.is_sampled() { "" } else { "~" };
    let live_most = format!("up to {}{}", mark(false), bytes(rounded(highest(live))));
    let counted = mark(page.counted);
    let rate_most = format!("up to {counted}{}/s", count(rounded(per_second)));
    for (what, values, most) in [("live bytes", live, live_most), ("allocations", rate, rate_most)]
    {
        let what = style.paint(Paint::Dim, &format!("{what:<11}"));
        writeln!(out, "{what}  {}  {most}", draw_levels(values))?;
    }
    Ok(())
}

fn end_of<T>(slices: &Slices<T>) -> u64 {
    // The last slice is rarely full, and tells no length.
    let full = slices.slices.len().saturating_sub(1) as u64;
    slices.start_ns.saturating_add(full.saturating_mul(slices.slice_ns))
}

/// Time in columns of equal length.
struct Axis {
    start_ns: u64,
    length_ns: u64,
    columns: usize,
}

impl Axis {
    /// A value for each column: those of the slices that begin in it, joined,
    /// if there are any.
    fn sample<T>(
        &self,
        slices: &Slices<T>,
        value: impl Fn(&T) -> f64,
        join: impl Fn(f64, f64) -> f64,
    ) -> Vec<Option<f64>> {
        let mut columns: Vec<Option<f64>> = vec![None; self.columns];
        for (index, slice) in slices.slices.iter().enumerate() {
            let after = (index as u64).saturating_mul(slices.slice_ns);
            let begins = slices.start_ns.saturating_add(after).saturating_sub(self.start_ns);
            let column = u128::from(begins) * self.columns as u128 / u128::from(self.length_ns);
            let Some(column) = columns.get_mut(column as usize) else { continue };
            let value = value(slice);
            *column = Some(column.map_or(value, |known| join(known, value)));
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use rz_profile::heap::{Live, Rate};

    use super::*;
    use crate::fixture::{Builder, text};

    fn slices<T>(slice_ns: u64, values: &[f64], slice: impl Fn(f64) -> T) -> Slices<T> {
        let slices = values.iter().map(|&value| slice(value)).collect();
        Slices { start_ns: 1_000, slice_ns, slices }
    }

    fn live(most: f64) -> Live {
        let mut live = Live::default();
        (live.most, live.last) = (most, most);
        live
    }

    fn drawn(heap: &Heap, duration_ns: u64, width: Option<usize>) -> Vec<String> {
        let mut profile = Builder::new().profile;
        (profile.info.start_ns, profile.info.duration_ns) = (1_000, duration_ns);
        let style = Style { color: false, width };
        let page = HeapPage {
            interval_bytes: Some(heap.interval),
            over_time: over_time(&profile, heap, columns(style)),
            ..HeapPage::default()
        };
        let drawn = text(|out| write_over_time(out, style, &page));
        drawn.lines().map(str::to_owned).collect()
    }

    #[test]
    fn both_lines_have_one_axis() {
        let rate = |n| Rate { allocations: n, ..Rate::default() };
        let heap = Heap {
            // 8 s, of which 4 s are known.
            live: slices(1_000_000_000, &[1024.0, 8192.0, 0.0, 4096.0], live),
            rate: slices(500_000_000, &[1.0, 1.0, 0.0, 0.0, 3.0, 5.0], rate),
            ..Heap::default()
        };
        let expected = [
            "",
            "OVER TIME  8.00 s, 1.00 s per column",
            "live bytes   ▁█ ▄▄▄▄▄  up to 8.0 KiB",
            "allocations  ▂ █       up to 8/s",
        ];
        assert_eq!(drawn(&heap, 8_000_000_000, None), expected);
        let sampled = drawn(&Heap { interval: 512, ..heap.clone() }, 8_000_000_000, None);
        let estimated: Vec<_> = expected.iter().map(|line| line.replace("to ", "to ~")).collect();
        assert_eq!(sampled, estimated);
        // As many columns as there is room for.
        let narrow = drawn(&heap, 8_000_000_000, Some(0));
        assert_eq!(narrow[2..], expected[2..]);
        let heap = Heap { live: slices(1_000_000, &[1024.0; 100], live), ..heap };
        let heap = Heap { rate: slices(1_000_000, &[], rate), ..heap };
        let narrow = drawn(&heap, 100_000_000, Some(60));
        assert_eq!(narrow[2], format!("live bytes   {}  up to 1.0 KiB", "█".repeat(25)));
    }

    #[test]
    fn no_time_is_not_drawn() {
        assert!(drawn(&Heap::default(), 0, None).is_empty());
        let rate = |n| Rate { allocations: n, ..Rate::default() };
        let far = Slices { start_ns: u64::MAX, ..slices(u64::MAX, &[1.0, f64::NAN], rate) };
        let heap =
            Heap { rate: far, live: slices(0, &[f64::INFINITY; 3], live), ..Heap::default() };
        assert_eq!(drawn(&heap, u64::MAX, Some(80)).len(), 4);
    }
}
