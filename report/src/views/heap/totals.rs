//! What all allocations add up to.

use std::io::{self, Write};

use rz_profile::heap::{Estimate, Heap, HeapCounts, Peak};
use rz_profile::model::Profile;
use serde::Serialize;

use super::amounts::{bytes, bytes_margin, count, count_margin, percent_of};
use crate::model::estimated::{Estimated, ShownSum};
use crate::render::format::{self, duration, percent};
use crate::render::style::{Paint, Style};
use crate::render::table::{TableRow, write_table};
use crate::render::title::write_title;

/// What all allocations add up to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Totals {
    /// What the numbers are made of.
    pub basis: Basis,
    /// All that were allocated: counted if that was done, else as recorded.
    pub allocated: ShownSum,
    /// `allocated` per second of the recording; `null` if that took no time.
    pub allocated_per_second: Option<ShownSum>,
    /// Objects freed; `null` if they were not counted.
    pub freed: Option<u64>,
    /// Allocations that failed; `null` if they were not counted.
    pub failed: Option<u64>,
    /// What was live when the window of time begins; `null` without a window.
    pub live_at_start: Option<ShownSum>,
    /// What was live when most bytes were.
    pub at_peak: ShownPeak,
    /// What was live at the end of its process, or else of the recording.
    pub live_at_end: ShownSum,
    /// Whether all processes had ended by then, so that what was live is
    /// leaked for sure.
    pub all_ended: bool,
    /// Objects that their thread freed within `temporary_within` allocations.
    pub temporary: ShownSum,
    /// How many allocations of its thread a temporary object was there for, at
    /// most; 1 if it was freed before the next one.
    pub temporary_within: u64,
    /// All that were allocated, added up from those that were recorded one by
    /// one, as what is live and what is temporary are: shares are shares of
    /// this.
    pub recorded: ShownSum,
    /// Memory that programs had from the kernel besides; `null` if that was not
    /// counted.
    pub system: Option<SystemMemory>,
}

/// What totals are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// All is exact.
    Exact,
    /// All is exact, but for objects at the peak, at the end and temporary:
    /// events were lost.
    ExactButLost,
    /// What has no margin is exact, and the rest estimated from samples.
    ExactAndEstimated,
    /// Added up from what was recorded one by one; exact counts are missing.
    AddedUp,
    /// Estimated from samples; exact counts are missing.
    Estimated,
    /// Of what was recorded one by one, because stacks were selected.
    Selected,
}

/// What was live when most bytes were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownPeak {
    /// What was live.
    #[serde(flatten)]
    pub live: ShownSum,
    /// When, in nanoseconds since the start of the recording; `null` if nothing
    /// ever was.
    pub after_ns: Option<u64>,
}

impl ShownPeak {
    /// A peak of the heap or of one of its processes.
    pub(super) fn of(profile: &Profile, heap: &Heap, peak: &Peak) -> Self {
        let after_ns = (!peak.live.is_zero()).then(|| since_start_ns(profile, peak.time_ns));
        ShownPeak { live: ShownSum::of(heap, &peak.live), after_ns }
    }

    /// When it was, as text.
    pub(super) fn after(&self) -> Option<String> {
        self.after_ns.map(duration)
    }
}

/// Memory that programs had from the kernel, but for what allocators had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SystemMemory {
    /// Calls that mapped anonymous memory.
    pub mmaps: u64,
    /// Bytes that `mmaps` mapped.
    pub mapped_bytes: u64,
    /// Calls that unmapped memory.
    pub munmaps: u64,
    /// Bytes that `munmaps` unmapped.
    pub unmapped_bytes: u64,
    /// Bytes by which programs moved their break up.
    pub break_up_bytes: u64,
    /// Bytes by which programs moved their break down.
    pub break_down_bytes: u64,
}

impl SystemMemory {
    fn of(counts: HeapCounts) -> Self {
        SystemMemory {
            mmaps: counts.mmaps,
            mapped_bytes: counts.mapped,
            munmaps: counts.munmaps,
            unmapped_bytes: counts.unmapped,
            break_up_bytes: counts.break_up,
            break_down_bytes: counts.break_down,
        }
    }
}

/// What all allocations of a profile add up to.
pub(super) fn totals(profile: &Profile, heap: &Heap) -> Totals {
    let shown = |sum| ShownSum::of(heap, sum);
    let ended = heap.processes.iter().filter(|process| process.ended).count();
    Totals {
        basis: basis(profile, heap),
        allocated: ShownSum { objects: heap.allocations().into(), bytes: heap.bytes().into() },
        allocated_per_second: per_second(profile, heap),
        freed: heap.counts.map(|counts| counts.frees),
        failed: heap.counts.map(|counts| counts.failed),
        live_at_start: heap.selected.by_time.then(|| shown(&heap.selected.older)),
        at_peak: ShownPeak::of(profile, heap, &heap.peak),
        live_at_end: shown(&heap.total.at_end),
        all_ended: ended > 0 && ended == heap.processes.len(),
        temporary: shown(&heap.total.temporary),
        temporary_within: heap.temporary_within.max(1),
        recorded: shown(&heap.total.allocated),
        system: heap.counts.map(SystemMemory::of),
    }
}

fn basis(profile: &Profile, heap: &Heap) -> Basis {
    let lost = profile.info.lost_allocations.is_any();
    match (heap.counts.is_some(), heap.interval) {
        _ if heap.selected.by_stack => Basis::Selected,
        (true, 0) if lost => Basis::ExactButLost,
        (true, 0) => Basis::Exact,
        (true, _) => Basis::ExactAndEstimated,
        (false, 0) => Basis::AddedUp,
        (false, _) => Basis::Estimated,
    }
}

fn per_second(profile: &Profile, heap: &Heap) -> Option<ShownSum> {
    let seconds = profile.info.duration_ns as f64 / 1e9;
    let rate = |number: Estimate| Estimate {
        value: number.value / seconds,
        variance: number.variance / (seconds * seconds),
    };
    let (objects, bytes) = (heap.allocations(), heap.bytes());
    (seconds > 0.0).then(|| ShownSum { objects: rate(objects).into(), bytes: rate(bytes).into() })
}

/// One line: numbers of objects and bytes, what they are, and more of it.
struct Line {
    objects: Option<Estimated>,
    bytes: Option<Estimated>,
    text: String,
    more: String,
}

impl Line {
    fn of_sum(sum: ShownSum, text: impl Into<String>) -> Self {
        let (objects, bytes) = (Some(sum.objects), Some(sum.bytes));
        Line { objects, bytes, text: text.into(), more: String::new() }
    }

    fn of_counts(objects: Option<u64>, bytes: Option<u64>, text: &str) -> Self {
        let [objects, bytes] = [objects, bytes].map(|number| number.map(Estimated::exact));
        Line { objects, bytes, text: text.to_owned(), more: String::new() }
    }

    fn with(self, more: String) -> Self {
        Line { more, ..self }
    }
}

/// Writes the totals.
pub(super) fn write_totals(out: &mut dyn Write, style: Style, totals: &Totals) -> io::Result<()> {
    let lines = lines(totals);
    let note = match totals.basis {
        Basis::Selected => "of what was recorded one by one",
        Basis::ExactButLost => "exact, but for objects at the peak, at the end and temporary",
        Basis::Exact => "exact",
        Basis::ExactAndEstimated => {
            "exact, but for what has ~: estimated from samples, ± 95 % interval"
        }
        Basis::AddedUp => "added up from what was recorded one by one; exact counts are missing",
        Basis::Estimated => "estimated from samples, ± 95 % interval; exact counts are missing",
    };
    write_title(out, style, "TOTALS", note)?;
    let estimated = lines.iter().any(|line| {
        let numbers = [line.objects, line.bytes];
        numbers.into_iter().flatten().any(|number| !number.is_exact())
    });
    let row = |line: Line| {
        let mut numbers = Vec::new();
        let mut number = |value: Option<Estimated>, show: fn(Estimated) -> String, margin| {
            numbers.push((value.map_or_else(String::new, show), Paint::Plain));
            if estimated {
                let margin: fn(Estimated) -> String = margin;
                numbers.push((value.map_or_else(String::new, margin), Paint::Dim));
            }
        };
        number(line.objects, count, count_margin);
        number(line.bytes, bytes, bytes_margin);
        TableRow { numbers, text: line.text, suffix: line.more }
    };
    let rows: Vec<TableRow> = lines.into_iter().map(row).collect();
    let titles: &[&str] = match estimated {
        true => &["objects", "", "bytes", "", "what"],
        false => &["objects", "bytes", "what"],
    };
    write_table(out, style, titles, &rows)
}

fn lines(totals: &Totals) -> Vec<Line> {
    let ShownSum { objects, bytes } = totals.allocated;
    let each = match objects.value > 0.0 {
        true => format!(", {} each", format::bytes((bytes.value / objects.value) as u64)),
        false => String::new(),
    };
    let mut lines = vec![Line::of_sum(totals.allocated, format!("allocated{each}"))];
    lines.extend(totals.allocated_per_second.map(|sum| Line::of_sum(sum, "allocated per second")));
    lines.extend(totals.freed.map(|freed| Line::of_counts(Some(freed), None, "freed")));
    if let Some(failed) = totals.failed.filter(|&failed| failed > 0) {
        lines.push(Line::of_counts(Some(failed), None, "allocations that failed"));
    }
    let older = "there when the window begins";
    lines.extend(totals.live_at_start.map(|sum| Line::of_sum(sum, older)));
    let when = totals.at_peak.after().map_or_else(String::new, |after| format!(", after {after}"));
    lines.push(Line::of_sum(totals.at_peak.live, format!("at the peak{when}")));
    let what = if totals.all_ended { "never freed" } else { "live at the end" };
    let share = percent(percent_of(totals.live_at_end.bytes, totals.recorded.bytes));
    lines.push(Line::of_sum(totals.live_at_end, what).with(format!("{share} of bytes")));
    let within = match totals.temporary_within {
        1 => "freed before the thread's next allocation".to_owned(),
        n => format!("freed within {} allocations of the thread", format::count(n)),
    };
    let share = percent(percent_of(totals.temporary.objects, totals.recorded.objects));
    let temporary = format!("temporary, {share} of allocations");
    lines.push(Line::of_sum(totals.temporary, temporary).with(within));
    lines.extend(totals.system.iter().flat_map(system_lines));
    lines
}

/// What programs did, if they did.
fn system_lines(system: &SystemMemory) -> impl Iterator<Item = Line> {
    let all = [
        (Some(system.mmaps), system.mapped_bytes, "mapped besides"),
        (Some(system.munmaps), system.unmapped_bytes, "unmapped besides"),
        (None, system.break_up_bytes, "break moved up"),
        (None, system.break_down_bytes, "break moved down"),
    ];
    let done = all.into_iter().filter(|&(calls, bytes, _)| calls.unwrap_or(0) > 0 || bytes > 0);
    done.map(|(calls, bytes, text)| Line::of_counts(calls, Some(bytes), text))
}

/// How long after the start of the recording a moment was.
fn since_start_ns(profile: &Profile, time_ns: u64) -> u64 {
    let before_window = profile.info.filter.window.map_or(0, |(from_ns, _)| from_ns);
    let in_window = time_ns.saturating_sub(profile.info.start_ns);
    in_window.saturating_add(before_window)
}
