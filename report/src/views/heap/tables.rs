//! Who allocated: functions, allocator entries, threads, processes.

use std::io::{self, Write};

use rz_profile::heap::{AllocationKind, Heap, ProcessHeap, Sum, Sums, ThreadHeap};
use rz_profile::model::Profile;
use serde::Serialize;

use super::amounts::{bytes, bytes_and_margin, bytes_margin, count, mean_size, percent_of};
use super::totals::ShownPeak;
use crate::model::clean::clean;
use crate::model::estimated::{Estimated, ShownSum};
use crate::model::heap_places::{Place, Places};
use crate::model::rows::Rows;
use crate::model::symbols::Symbol;
use crate::model::threads::ShownThread;
use crate::render::format::{self, percent};
use crate::render::style::{Paint, Style};
use crate::render::sums_table::write_thread_sums;
use crate::render::table::{TableRow, fits, write_table};
use crate::render::title::{some_of, write_title};

/// Functions by the bytes of some of the objects that they allocated.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FunctionTable {
    /// All these objects, those of functions that are left out included.
    pub total: ShownSum,
    /// Functions, the one with most bytes first.
    pub functions: Rows<FunctionSum>,
}

/// A function that allocated.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FunctionSum {
    /// The innermost function of the stack that is of no allocator or standard
    /// library; `[no stack]` where no stack is known.
    #[serde(flatten)]
    pub symbol: Symbol,
    /// Its objects.
    #[serde(flatten)]
    pub sum: ShownSum,
    /// Its callers, the one with most bytes first.
    pub callers: Rows<Symbol>,
}

/// What one function of the allocator allocated.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EntrySums {
    /// `malloc`, `calloc`, `realloc`, `aligned` or `unknown`.
    pub entry: &'static str,
    /// All that it allocated.
    pub allocated: ShownSum,
    /// What of it was live at the peak.
    pub at_peak: ShownSum,
    /// What of it was live at the end.
    pub live_at_end: ShownSum,
}

/// What one thread did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThreadSums {
    /// The thread.
    #[serde(flatten)]
    pub thread: ShownThread,
    /// All that it allocated: counted if that was done, else as recorded.
    pub allocated: ShownSum,
    /// Objects that it freed; `null` if they were not counted.
    pub freed: Option<u64>,
    /// What it allocated that was live at the peak.
    pub at_peak: ShownSum,
    /// What it allocated that was live at the end.
    pub live_at_end: ShownSum,
}

/// What one process did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProcessSums {
    /// Its number, which `--process` takes.
    pub pid: u32,
    /// Its name.
    pub process: String,
    /// Index of its recording in `trace.recordings`.
    pub recording: usize,
    /// Whether it ended before the recording did, so that what was live at its
    /// end is leaked for sure.
    pub ended: bool,
    /// What was live when most of its own bytes were.
    pub peak: ShownPeak,
    /// All that it allocated, as recorded.
    pub allocated: ShownSum,
    /// What was live at its end, or else at that of the recording.
    pub live_at_end: ShownSum,
}

/// The functions that allocated most of some objects.
pub(super) fn function_table(
    places: &Places<'_>,
    heap: &Heap,
    of: fn(&Sums) -> Sum,
    limit: usize,
) -> FunctionTable {
    let found = places.by_function(heap, of);
    let mut all = Sum::default();
    found.iter().for_each(|place| all.add(&place.sum));
    let function = |place: Place| FunctionSum {
        symbol: match place.function {
            Some(id) => places.symbols[id].clone(),
            None => Symbol { name: places.name(None).to_owned(), module: String::new() },
        },
        sum: ShownSum::of(heap, &place.sum),
        callers: Rows::first(limit, place.callers, |id| places.symbols[id].clone()),
    };
    FunctionTable {
        total: ShownSum::of(heap, &all),
        functions: Rows::first(limit, found, function),
    }
}

/// Writes the functions that allocated most of some objects; `sampled` if there
/// are margins.
pub(super) fn write_functions(
    out: &mut dyn Write,
    style: Style,
    title: &str,
    table: &FunctionTable,
    sampled: bool,
) -> io::Result<()> {
    let FunctionTable { total, functions } = table;
    if functions.is_empty() {
        return Ok(());
    }
    let some = some_of(functions.rows.len(), functions.all());
    write_title(out, style, title, &format!("{}{some}", bytes_and_margin(total.bytes)))?;
    let table = |with_margin: bool| {
        let row = |row: &FunctionSum| {
            let sum = &row.sum;
            let share = percent_of(sum.bytes, total.bytes);
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
            TableRow { numbers, text: row.symbol.name.clone(), suffix: callers(&row.callers) }
        };
        let rows: Vec<TableRow> = functions.rows.iter().map(row).collect();
        let titles: &[&str] = match with_margin {
            true => &["bytes", "", "share", "objects", "each", "function ← caller"],
            false => &["bytes", "share", "objects", "each", "function ← caller"],
        };
        (titles, rows)
    };
    let (titles, rows) = match table(sampled) {
        (titles, rows) if fits(style, titles, &rows) => (titles, rows),
        _ => table(false),
    };
    write_table(out, style, titles, &rows)
}

/// `← caller`, and how many others there are.
fn callers(callers: &Rows<Symbol>) -> String {
    match (callers.rows.first(), callers.all()) {
        (None, _) => String::new(),
        (Some(only), 1) => format!("← {}", only.name),
        (Some(first), all) => format!("← {}, {} more", first.name, all - 1),
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

/// What each function of the allocator allocated.
pub(super) fn entries(heap: &Heap) -> Vec<EntrySums> {
    let entry = |(entry, sums): &(AllocationKind, Sums)| EntrySums {
        entry: entry_name(*entry),
        allocated: ShownSum::of(heap, &sums.allocated),
        at_peak: ShownSum::of(heap, &sums.at_peak),
        live_at_end: ShownSum::of(heap, &sums.at_end),
    };
    heap.entries.iter().map(entry).collect()
}

/// Writes which functions of the allocator were used, if it was not only one;
/// shares are shares of `all`.
pub(super) fn write_entries(
    out: &mut dyn Write,
    style: Style,
    entries: &[EntrySums],
    all: &ShownSum,
) -> io::Result<()> {
    if entries.len() < 2 {
        return Ok(());
    }
    write_title(out, style, "ALLOCATED BY", "")?;
    let row = |row: &EntrySums| {
        let share = percent_of(row.allocated.bytes, all.bytes);
        let numbers = vec![
            (bytes(row.allocated.bytes), Paint::Plain),
            (percent(share), Paint::for_percent(share)),
            (count(row.allocated.objects), Paint::Plain),
            (bytes(row.at_peak.bytes), Paint::Plain),
            (bytes(row.live_at_end.bytes), Paint::Plain),
        ];
        TableRow { numbers, text: row.entry.to_owned(), suffix: String::new() }
    };
    let rows: Vec<TableRow> = entries.iter().map(row).collect();
    write_table(out, style, &["bytes", "share", "objects", "at peak", "live at end", "by"], &rows)
}

/// What each thread did, those first that allocated most bytes.
pub(super) fn threads(profile: &Profile, heap: &Heap, limit: usize) -> Rows<ThreadSums> {
    let allocated = |thread: &ThreadHeap| match thread.counts {
        Some(counts) => ShownSum {
            objects: Estimated::exact(counts.allocations),
            bytes: Estimated::exact(counts.bytes),
        },
        None => ShownSum::of(heap, &thread.sums.allocated),
    };
    let all_bytes = |thread: &ThreadHeap| allocated(thread).bytes.value;
    let mut threads: Vec<&ThreadHeap> = heap.threads.iter().collect();
    threads.sort_by(|a, b| all_bytes(b).total_cmp(&all_bytes(a)));
    Rows::first(limit, threads, |thread| ThreadSums {
        thread: ShownThread::of(profile, thread.thread),
        allocated: allocated(thread),
        freed: thread.counts.map(|counts| counts.frees),
        at_peak: ShownSum::of(heap, &thread.sums.at_peak),
        live_at_end: ShownSum::of(heap, &thread.sums.at_end),
    })
}

/// Writes what each thread did, if there are several; `several` if there are
/// several processes.
pub(super) fn write_threads(
    out: &mut dyn Write,
    style: Style,
    threads: &Rows<ThreadSums>,
    several: bool,
) -> io::Result<()> {
    if threads.all() < 2 {
        return Ok(());
    }
    let titles = ["bytes", "objects", "freed", "at peak", "live at end"];
    write_thread_sums(out, style, several, "by bytes allocated", &titles, threads, |row| {
        let numbers = vec![
            bytes(row.allocated.bytes),
            count(row.allocated.objects),
            row.freed.map_or_else(|| "-".to_owned(), format::count),
            bytes(row.at_peak.bytes),
            bytes(row.live_at_end.bytes),
        ];
        (&row.thread, numbers)
    })
}

/// What each process did, those first that had most bytes live at their peak.
pub(super) fn processes(profile: &Profile, heap: &Heap, limit: usize) -> Rows<ProcessSums> {
    let mut processes: Vec<&ProcessHeap> = heap.processes.iter().collect();
    processes.sort_by(|a, b| b.peak.live.bytes.value.total_cmp(&a.peak.live.bytes.value));
    Rows::first(limit, processes, |of| {
        let process = &profile.processes[of.process];
        ProcessSums {
            pid: process.pid,
            process: clean(&process.name).into_owned(),
            recording: process.source,
            ended: of.ended,
            peak: ShownPeak::of(profile, heap, &of.peak),
            allocated: ShownSum::of(heap, &of.sums.allocated),
            live_at_end: ShownSum::of(heap, &of.sums.at_end),
        }
    })
}

/// Writes what each process did, if there are several.
pub(super) fn write_processes(
    out: &mut dyn Write,
    style: Style,
    processes: &Rows<ProcessSums>,
) -> io::Result<()> {
    if processes.all() < 2 {
        return Ok(());
    }
    let some = some_of(processes.rows.len(), processes.all());
    write_title(out, style, "PROCESSES", &format!("by their own peaks{some}"))?;
    let row = |row: &ProcessSums| {
        let numbers = [
            bytes(row.peak.live.bytes),
            row.peak.after().unwrap_or_else(|| "-".to_owned()),
            bytes(row.allocated.bytes),
            bytes(row.live_at_end.bytes),
            row.pid.to_string(),
        ];
        let numbers = numbers.map(|text| (text, Paint::Plain)).to_vec();
        let suffix = if row.ended { "ended" } else { "" };
        TableRow { numbers, text: row.process.clone(), suffix: suffix.to_owned() }
    };
    let rows: Vec<TableRow> = processes.rows.iter().map(row).collect();
    write_table(out, style, &["peak", "after", "allocated", "live at end", "pid", "process"], &rows)
}
