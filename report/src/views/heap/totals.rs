//! Writes what all allocations add up to.

use std::io::{self, Write};

use rz_profile::heap::{Estimate, Heap, Sum};
use rz_profile::model::Profile;

use super::amounts::{bytes, bytes_margin, count, count_margin, percent_of};
use crate::render::format::{self, duration, percent};
use crate::render::style::{Paint, Style};
use crate::render::table::{Row, write_table};
use crate::render::title::write_title;

/// One line: numbers of objects and bytes, what they are, and more of it.
struct Line {
    objects: Option<Estimate>,
    bytes: Option<Estimate>,
    text: String,
    more: String,
}

impl Line {
    fn of_sum(sum: &Sum, heap: &Heap, text: impl Into<String>) -> Self {
        let sum = heap.shown(sum);
        let (objects, bytes) = (Some(sum.objects), Some(sum.bytes));
        Line { objects, bytes, text: text.into(), more: String::new() }
    }

    fn of_counts(objects: Option<u64>, bytes: Option<u64>, text: &str) -> Self {
        let exact = |value: u64| Estimate { value: value as f64, variance: 0.0 };
        let (objects, bytes) = (objects.map(exact), bytes.map(exact));
        Line { objects, bytes, text: text.to_owned(), more: String::new() }
    }

    fn with(self, more: String) -> Self {
        Line { more, ..self }
    }
}

/// Writes the totals.
pub(super) fn write_totals(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    heap: &Heap,
) -> io::Result<()> {
    let lines = lines(profile, heap);
    let lost = !profile.info.lost_allocations.reasons.is_empty();
    let note = match (heap.counts.is_some(), heap.interval) {
        _ if heap.selected.by_stack => "of what was recorded one by one",
        (true, 0) if lost => "exact, but for objects at the peak, at the end and temporary",
        (true, 0) => "exact",
        (true, _) => "exact, but for what has ~: estimated from samples, ± 95 % interval",
        (false, 0) => "added up from what was recorded one by one; exact counts are missing",
        (false, _) => "estimated from samples, ± 95 % interval; exact counts are missing",
    };
    write_title(out, style, "TOTALS", note)?;
    let estimated = lines.iter().any(|line| {
        let numbers = [line.objects, line.bytes];
        numbers.into_iter().flatten().any(|number| !number.is_exact())
    });
    let row = |line: Line| {
        let mut numbers = Vec::new();
        let mut number = |value: Option<Estimate>, show: fn(Estimate) -> String, margin| {
            numbers.push((value.map_or_else(String::new, show), Paint::Plain));
            if estimated {
                let margin: fn(Estimate) -> String = margin;
                numbers.push((value.map_or_else(String::new, margin), Paint::Dim));
            }
        };
        number(line.objects, count, count_margin);
        number(line.bytes, bytes, bytes_margin);
        Row { numbers, text: line.text, suffix: line.more }
    };
    let rows: Vec<Row> = lines.into_iter().map(row).collect();
    let titles: &[&str] = match estimated {
        true => &["objects", "", "bytes", "", "what"],
        false => &["objects", "bytes", "what"],
    };
    write_table(out, style, titles, &rows)
}

fn lines(profile: &Profile, heap: &Heap) -> Vec<Line> {
    let (allocations, all_bytes) = (heap.allocations(), heap.bytes());
    let line = |objects, bytes, text: String| Line {
        objects: Some(objects),
        bytes: Some(bytes),
        text,
        more: String::new(),
    };
    let each = match allocations.value > 0.0 {
        true => format!(", {} each", format::bytes((all_bytes.value / allocations.value) as u64)),
        false => String::new(),
    };
    let mut lines = vec![line(allocations, all_bytes, format!("allocated{each}"))];
    let seconds = profile.info.duration_ns as f64 / 1e9;
    if seconds > 0.0 {
        let rate = |number: Estimate| Estimate {
            value: number.value / seconds,
            variance: number.variance / (seconds * seconds),
        };
        lines.push(line(rate(allocations), rate(all_bytes), "allocated per second".to_owned()));
    }
    if let Some(counts) = heap.counts {
        lines.push(Line::of_counts(Some(counts.frees), None, "freed"));
        if counts.failed > 0 {
            lines.push(Line::of_counts(Some(counts.failed), None, "allocations that failed"));
        }
    }
    let total = &heap.total;
    if heap.selected.by_time {
        let text = "there when the window begins";
        lines.push(Line::of_sum(&heap.selected.older, heap, text));
    }
    let when = match heap.peak.live.is_zero() {
        true => String::new(),
        false => format!(", after {}", since_start(profile, heap.peak.time_ns)),
    };
    lines.push(Line::of_sum(&heap.peak.live, heap, format!("at the peak{when}")));
    let ended = heap.processes.iter().filter(|process| process.ended).count();
    let what = match heap.processes.len() {
        n if n > 0 && n == ended => "never freed",
        _ => "live at the end",
    };
    let share = percent(percent_of(total.at_end.bytes, total.allocated.bytes));
    lines.push(Line::of_sum(&total.at_end, heap, what).with(format!("{share} of bytes")));
    let within = match heap.temporary_within {
        0 | 1 => "freed before the thread's next allocation".to_owned(),
        n => format!("freed within {} allocations of the thread", format::count(n)),
    };
    let share = percent(percent_of(total.temporary.objects, total.allocated.objects));
    let temporary = format!("temporary, {share} of allocations");
    lines.push(Line::of_sum(&total.temporary, heap, temporary).with(within));
    if let Some(counts) = heap.counts {
        for (calls, bytes, text) in [
            (Some(counts.mmaps), counts.mapped, "mapped besides"),
            (Some(counts.munmaps), counts.unmapped, "unmapped besides"),
            (None, counts.break_up, "break moved up"),
            (None, counts.break_down, "break moved down"),
        ] {
            if calls.unwrap_or(0) > 0 || bytes > 0 {
                lines.push(Line::of_counts(calls, Some(bytes), text));
            }
        }
    }
    lines
}

/// How long after the start of the recording a moment was.
pub(super) fn since_start(profile: &Profile, time_ns: u64) -> String {
    let before_window = profile.info.filter.window.map_or(0, |(from_ns, _)| from_ns);
    let in_window = time_ns.saturating_sub(profile.info.start_ns);
    duration(in_window.saturating_add(before_window))
}
