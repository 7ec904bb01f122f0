//! The report about allocations: how much, when, which sizes, and where.

mod amounts;
pub mod diff;
pub mod diff_flame;
pub mod diff_table;
mod over_time;
mod places;
pub mod sites;
mod sizes;
mod tables;
mod totals;

use std::io::{self, Write};

use rz_convert::heap::{AllocationSource, Heap, Metric};
use rz_convert::profile::{ALLOC, Event, EventId, EventKind, Profile};

use crate::format::{clean, count};
use crate::header::write_header;
use crate::style::{Paint, Style};
use crate::summary::write_title;
use over_time::write_over_time;
use places::Places;
use sizes::{write_lifetimes, write_sizes};
use tables::{write_entries, write_places, write_processes, write_threads};
use totals::write_totals;

/// What the report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeapPage {
    /// How many rows tables of functions have.
    pub limit: usize,
    /// How many threads and processes to list.
    pub threads: usize,
}

/// Makes the event of allocations show a metric, after which it is called.
/// Returns the event; `None` if the profile has no allocations.
pub fn show_metric(profile: &mut Profile, metric: Metric) -> Option<EventId> {
    let event = rz_convert::heap::show(profile, metric)?;
    profile.events[event].name = metric.description().to_owned();
    Some(event)
}

/// The metric that an event of allocations shows.
pub(crate) fn shown_metric(event: &Event) -> Metric {
    let found = Metric::ALL.into_iter().find(|metric| metric.description() == event.name);
    found.unwrap_or_default()
}

/// The heap if the event is that of allocations, and the metric that was
/// asked for, if one was.
pub(crate) fn shown_heap(
    profile: &Profile,
    event: Option<EventId>,
) -> Option<(Option<Metric>, &Heap)> {
    let event = &profile.events[event?];
    let heap = profile.heap.as_ref().filter(|_| event.kind == EventKind::Alloc)?;
    Some(((event.name != ALLOC).then(|| shown_metric(event)), heap))
}

/// How allocations were recorded, in a few words.
pub(crate) fn how_recorded(heap: &Heap) -> String {
    let which = match heap.interval {
        0 => "every allocation".to_owned(),
        interval => format!("one allocation in {}", amounts::whole_bytes(interval)),
    };
    let by = match heap.source {
        AllocationSource::Hook => ", by a preloaded library",
        AllocationSource::Probes => ", by probes in the running process",
        _ => "",
    };
    let mut allocators: Vec<&str> = Vec::new();
    for path in heap.processes.iter().flat_map(|process| &process.allocators) {
        let name = path.rsplit('/').next().unwrap_or(path);
        if !allocators.contains(&name) {
            allocators.push(name);
        }
    }
    let from = match allocators.len() {
        0 => String::new(),
        _ => format!(", from {}", clean(&allocators.join(", "))),
    };
    format!("{which}{by}{from}")
}

/// How many objects were recorded one by one, of how many.
pub(crate) fn recorded_objects(heap: &Heap) -> String {
    let recorded = heap.total.allocated.recorded;
    let of = match heap.counts {
        Some(counts) => format!(" of {} allocations", count(counts.allocations)),
        None => " allocations".to_owned(),
    };
    format!("{}{of} recorded one by one", count(recorded))
}

/// A metric, and what all objects add up to in it.
pub(crate) fn total_of(heap: &Heap, metric: Metric) -> String {
    let sums = heap.total;
    let total = match metric {
        Metric::Bytes => amounts::bytes_and_margin(sums.allocated.bytes),
        Metric::Count => amounts::counted(sums.allocated.objects, "allocation"),
        Metric::Live => amounts::bytes_and_margin(sums.at_end.bytes),
        Metric::LiveCount => amounts::counted(sums.at_end.objects, "object"),
        Metric::Peak => amounts::bytes_and_margin(sums.at_peak.bytes),
        Metric::Temporary => amounts::counted(sums.temporary.objects, "allocation"),
    };
    format!("{}: {total}", metric.description())
}

/// Writes the summary of all allocations of `profile`; `name` is what to call
/// the trace.
pub fn write_heap(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: HeapPage,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let Some(heap) = &profile.heap else {
        return writeln!(out, "\nno allocations were recorded");
    };
    write_totals(out, style, profile, heap)?;
    write_over_time(out, style, profile, heap)?;
    write_sizes(out, style, heap)?;
    write_lifetimes(out, style, heap)?;
    let places = Places::new(profile);
    for (title, of) in tables::TABLES {
        write_places(out, style, &places, heap, (title, of), page.limit)?;
    }
    write_entries(out, style, heap)?;
    write_threads(out, style, profile, heap, page.threads)?;
    write_processes(out, style, profile, heap, page.threads)?;
    write_notes(out, style, profile, heap)
}

/// What a reader should know.
pub(crate) fn write_notes(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    heap: &Heap,
) -> io::Result<()> {
    let mut notes = heap.notes();
    let lost = &profile.info.lost_allocations;
    if !lost.reasons.is_empty() {
        notes.push(
            "allocations that were lost are missing wherever there is no exact count; objects \
             whose end was lost seem never to be given back"
                .to_owned(),
        );
    }
    if heap.interval > 0 {
        notes.push(
            "~ is estimated from samples; the true value is within ± in 19 of 20 cases".to_owned(),
        );
    }
    if notes.is_empty() {
        return Ok(());
    }
    write_title(out, style, "NOTES", "")?;
    for note in notes {
        write_wrapped(out, style, &clean(&note))?;
    }
    Ok(())
}

/// Writes a sentence in as many lines as it takes.
fn write_wrapped(out: &mut dyn Write, style: Style, text: &str) -> io::Result<()> {
    let width = style.width.unwrap_or(usize::MAX).max(20);
    let mut line = String::new();
    for word in text.split(' ') {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && length > width {
            writeln!(out, "{}", style.paint(Paint::Plain, &line))?;
            line = "  ".to_owned();
        } else if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    writeln!(out, "{line}")
}
