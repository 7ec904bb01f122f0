//! Writes who allocated: functions, allocator entries, threads, processes.

use std::io::{self, Write};

use rz_profile::heap::{AllocationKind, Heap, Sum, Sums, ThreadHeap};
use rz_profile::model::Profile;

use super::amounts::{bytes, bytes_and_margin, bytes_margin, count, mean_size, percent_of};
use super::totals::since_start;
use crate::model::clean::clean;
use crate::model::heap_places::{Place, Places};
use crate::model::rows::Rows;
use crate::model::threads::ShownThread;
use crate::render::format::{self, percent};
use crate::render::style::{Paint, Style};
use crate::render::sums_table::write_thread_sums;
use crate::render::table::{Row, fits, write_table};
use crate::render::title::{some_of, write_title};

/// A table of functions: its title, and which objects it is about.
type Table = (&'static str, fn(&Sums) -> Sum);

/// The tables of functions of the summary.
pub(super) const TABLES: [Table; 3] = [
    ("TOP BY BYTES ALLOCATED", |sums| sums.allocated),
    ("TOP AT THE PEAK", |sums| sums.at_peak),
    ("TOP LIVE AT THE END", |sums| sums.at_end),
];

/// Writes the functions that allocated most of some objects.
pub(super) fn write_places(
    out: &mut dyn Write,
    style: Style,
    places: &Places<'_>,
    heap: &Heap,
    (title, of): Table,
    limit: usize,
) -> io::Result<()> {
    let rows = places.by_function(heap, of);
    if rows.is_empty() {
        return Ok(());
    }
    let shown = rows.len().min(limit);
    let mut all = Sum::default();
    rows.iter().for_each(|row| all.add(&row.sum));
    let all = heap.shown(&all);
    let note = format!("{}{}", bytes_and_margin(all.bytes), some_of(shown, rows.len()));
    write_title(out, style, title, &note)?;
    let table = |with_margin: bool| {
        let row = |place: &Place| {
            let sum = &heap.shown(&place.sum);
            let share = percent_of(sum.bytes, all.bytes);
            let paint = Paint::for_percent(share);
            let mut numbers = vec![(bytes(sum.bytes), paint)];
            if with_margin {
                numbers.push((bytes_margin(sum.bytes), Paint::Dim));
            }
            numbers.extend([
                (percent(share), paint),
                (count(sum.objects), Paint::Plain),
                (mean_size(sum), Paint::Plain),
            ]);
            let suffix = callers(places, place);
            Row { numbers, text: places.name(place.function).to_owned(), suffix }
        };
        let rows: Vec<Row> = rows[..shown].iter().map(row).collect();
        let titles: &[&str] = match with_margin {
            true => &["bytes", "", "share", "objects", "each", "function ← caller"],
            false => &["bytes", "share", "objects", "each", "function ← caller"],
        };
        (titles, rows)
    };
    let (titles, rows) = match table(heap.interval > 0) {
        (titles, rows) if fits(style, titles, &rows) => (titles, rows),
        _ => table(false),
    };
    write_table(out, style, titles, &rows)
}

/// `← caller`, and how many others there are.
fn callers(places: &Places<'_>, place: &Place) -> String {
    match place.callers[..] {
        [] => String::new(),
        [only] => format!("← {}", places.symbols[only].name),
        [first, ref others @ ..] => {
            format!("← {}, {} more", places.symbols[first].name, others.len())
        }
    }
}

/// What people call a way to allocate.
pub(super) fn entry_name(entry: AllocationKind) -> &'static str {
    match entry {
        AllocationKind::Malloc => "malloc",
        AllocationKind::Calloc => "calloc",
        AllocationKind::Realloc => "realloc",
        AllocationKind::Aligned => "aligned",
        _ => "unknown",
    }
}

/// Writes which functions of the allocator were used, if it was not only one.
pub(super) fn write_entries(out: &mut dyn Write, style: Style, heap: &Heap) -> io::Result<()> {
    if heap.entries.len() < 2 {
        return Ok(());
    }
    write_title(out, style, "ALLOCATED BY", "")?;
    let row = |(entry, sums): &(AllocationKind, Sums)| {
        let share = percent_of(sums.allocated.bytes, heap.total.allocated.bytes);
        let bytes = |sum: &Sum| bytes(heap.shown(sum).bytes);
        let numbers = vec![
            (bytes(&sums.allocated), Paint::Plain),
            (percent(share), Paint::for_percent(share)),
            (count(heap.shown(&sums.allocated).objects), Paint::Plain),
            (bytes(&sums.at_peak), Paint::Plain),
            (bytes(&sums.at_end), Paint::Plain),
        ];
        Row { numbers, text: entry_name(*entry).to_owned(), suffix: String::new() }
    };
    let rows: Vec<Row> = heap.entries.iter().map(row).collect();
    write_table(out, style, &["bytes", "share", "objects", "at peak", "live at end", "by"], &rows)
}

/// Writes what each thread did, if there are several.
pub(super) fn write_threads(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    heap: &Heap,
    limit: usize,
) -> io::Result<()> {
    if heap.threads.len() < 2 {
        return Ok(());
    }
    let all_bytes = |thread: &ThreadHeap| match thread.counts {
        Some(counts) => counts.bytes as f64,
        None => thread.sums.allocated.bytes.value,
    };
    let mut threads: Vec<&ThreadHeap> = heap.threads.iter().collect();
    threads.sort_by(|a, b| all_bytes(b).total_cmp(&all_bytes(a)));
    let row = |thread: &&ThreadHeap| {
        let sums = &thread.sums;
        let [allocated, allocations, frees] = match thread.counts {
            Some(counts) => [
                format::bytes(counts.bytes),
                format::count(counts.allocations),
                format::count(counts.frees),
            ],
            None => {
                let sum = heap.shown(&sums.allocated);
                [bytes(sum.bytes), count(sum.objects), "-".to_owned()]
            }
        };
        let numbers = vec![
            allocated,
            allocations,
            frees,
            bytes(heap.shown(&sums.at_peak).bytes),
            bytes(heap.shown(&sums.at_end).bytes),
        ];
        (ShownThread::of(profile, thread.thread), numbers)
    };
    let threads = Rows::first(limit, threads.iter().collect(), row);
    let several = profile.processes.len() > 1;
    let titles = ["bytes", "objects", "freed", "at peak", "live at end"];
    write_thread_sums(out, style, several, "by bytes allocated", &titles, &threads, |row| {
        (&row.0, row.1.clone())
    })
}

/// Writes what each process did, if there are several.
pub(super) fn write_processes(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    heap: &Heap,
    limit: usize,
) -> io::Result<()> {
    if heap.processes.len() < 2 {
        return Ok(());
    }
    let mut processes: Vec<_> = heap.processes.iter().collect();
    processes.sort_by(|a, b| b.peak.live.bytes.value.total_cmp(&a.peak.live.bytes.value));
    let shown = processes.len().min(limit);
    let note = format!("by their own peaks{}", some_of(shown, processes.len()));
    write_title(out, style, "PROCESSES", &note)?;
    let bytes = |sum: &Sum| bytes(heap.shown(sum).bytes);
    let row = |heap: &&rz_profile::heap::ProcessHeap| {
        let process = &profile.processes[heap.process];
        let when = match heap.peak.live.is_zero() {
            true => "-".to_owned(),
            false => since_start(profile, heap.peak.time_ns),
        };
        let numbers = vec![
            bytes(&heap.peak.live),
            when,
            bytes(&heap.sums.allocated),
            bytes(&heap.sums.at_end),
            process.pid.to_string(),
        ];
        let numbers = numbers.into_iter().map(|text| (text, Paint::Plain)).collect();
        let suffix = if heap.ended { "ended" } else { "" };
        Row { numbers, text: clean(&process.name).into_owned(), suffix: suffix.to_owned() }
    };
    let rows: Vec<Row> = processes[..shown].iter().map(row).collect();
    write_table(out, style, &["peak", "after", "allocated", "live at end", "pid", "process"], &rows)
}
