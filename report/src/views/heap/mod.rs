//! The report about allocations: how much, when, which sizes, and where.

pub(crate) mod amounts;
#[cfg(test)]
pub(crate) mod fixture;
mod notes;
mod over_time;
mod page;
pub mod sites;
mod sizes;
mod tables;
mod totals;

use std::io::{self, Write};

use rz_profile::heap::{AllocationSource, Heap, Metric, Sum};
use rz_profile::model::{EventId, EventKind, Profile};

use crate::model::clean::clean;
use crate::model::estimated::ShownSum;
use crate::render::format::count;
use crate::render::style::Style;
use crate::views::header::write_header;
use notes::write_notes;
pub use over_time::OverTime;
use over_time::{columns, write_over_time};
use page::page_of;
pub use page::{HeapPage, HeapPageOptions, heap};
pub(crate) use page::{has_any, totals_of};
pub use sizes::{LifetimeBucket, Lifetimes, SizeBucket};
use sizes::{write_lifetimes, write_sizes};
pub use tables::{EntrySums, FunctionSum, FunctionTable, ProcessSums, ThreadSums};
use tables::{write_entries, write_functions, write_processes, write_threads};
use totals::write_totals;
pub use totals::{Basis, ShownPeak, SystemMemory, Totals};

/// Which allocations were recorded one by one.
pub(crate) fn which_recorded(heap: &Heap) -> String {
    match heap.interval {
        0 => "every allocation".to_owned(),
        interval => format!("one allocation in {}", amounts::whole_bytes(interval)),
    }
}

/// What noise there is in numbers of these allocations, if no other is known.
pub(crate) fn sampling_noise<'h>(mut heaps: impl Iterator<Item = &'h Heap>) -> &'static str {
    match heaps.any(|heap| heap.interval > 0) {
        true => "Noise is that of sampling.",
        false => "Every allocation was recorded, so that numbers are exact.",
    }
}

/// How allocations were recorded, in a few words.
pub(crate) fn how_recorded(heap: &Heap) -> String {
    let which = which_recorded(heap);
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
    let shown = |sum: &Sum| ShownSum::of(heap, sum);
    let sums = &heap.total;
    let total = match metric {
        Metric::Bytes => amounts::bytes_and_margin(shown(&sums.allocated).bytes),
        Metric::Count => amounts::count_and_margin(shown(&sums.allocated).objects),
        Metric::Live => amounts::bytes_and_margin(shown(&sums.at_end).bytes),
        Metric::LiveCount => amounts::count_and_margin(shown(&sums.at_end).objects),
        Metric::Peak => amounts::bytes_and_margin(shown(&sums.at_peak).bytes),
        Metric::Temporary => amounts::count_and_margin(shown(&sums.temporary).objects),
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
    options: HeapPageOptions,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let page = page_of(profile, options, columns(style));
    let Some(totals) = &page.totals else { return write_nothing(out, profile) };
    write_totals(out, style, totals)?;
    write_over_time(out, style, &page)?;
    write_sizes(out, style, &page)?;
    if let Some(lifetimes) = &page.lifetimes {
        write_lifetimes(out, style, lifetimes)?;
    }
    let sampled = page.is_sampled();
    for (title, table) in [
        ("TOP BY BYTES ALLOCATED", &page.top_allocated),
        ("TOP AT THE PEAK", &page.top_at_peak),
        ("TOP LIVE AT THE END", &page.top_live_at_end),
    ] {
        write_functions(out, style, title, table, sampled)?;
    }
    write_entries(out, style, &page.entries, &totals.recorded)?;
    write_threads(out, style, &page.threads, profile.processes.len() > 1)?;
    write_processes(out, style, &page.processes)?;
    write_notes(out, style, profile, &page.notes)
}

/// What is said where there is nothing to show.
fn write_nothing(out: &mut dyn Write, profile: &Profile) -> io::Result<()> {
    let growth = profile.events.iter().find(|event| event.kind == EventKind::Growth);
    let instead = growth.map_or_else(String::new, |event| {
        let name = clean(&event.name);
        format!("; what made memory resident was, instead: see --event {name}")
    });
    let why = match profile.info.lost_allocations.is_any() {
        _ if profile.info.filter.is_active() => "the filter leaves none",
        false => "none was made while it was recorded",
        true => "none was recorded",
    };
    writeln!(out, "\nno allocations: {why}{instead}")
}

#[cfg(test)]
mod tests {
    use rz_profile::heap::{AllocationKind, ProcessHeap, Runtime, ThreadHeap, show};
    use rz_profile::model::{Event, LossReason, LossSum, Losses, Unit};
    use serde_json::{Value, json};

    use super::fixture::{Fate, HeapBuilder, json, program};
    use super::*;
    use crate::fixture::{Builder, text};
    use crate::model::trees::Direction;
    use crate::views::flame::write_flame_graph;
    use crate::views::tree::{TreeOptions, tree, write_tree_report};

    const OPTIONS: HeapPageOptions = HeapPageOptions { limit: 1, threads: 10 };

    fn page(profile: &Profile, width: Option<usize>) -> String {
        let style = Style { color: false, width };
        text(|out| write_heap(out, style, "t.rz", profile, Some(0), OPTIONS))
    }

    #[test]
    fn all_there_is_of_every_allocation() {
        let expected = "
t.rz: app (pid 4242)
  host      db7, Linux 6.1.0 x86_64, 16 CPUs
  recorded  2026-11-21 03:50:12 UTC, 10.0 s
  heap      every allocation, by a preloaded library, from libc.so.6
  samples   64 of 64 allocations recorded one by one
  lost      none
  cost      31.0 ms CPU (0.3% of one core), 12.0 MiB peak memory, 4.0 KiB file

TOTALS  exact
objects     bytes  what
     64  42.2 KiB  allocated, 674 B each
      6   4.2 KiB  allocated per second
     60            freed
     54  12.9 KiB  at the peak, after 2.50 s
      4   8.0 KiB  live at the end  19.0% of bytes
     10  29.3 KiB  temporary, 15.6% of allocations  freed before the thread's next allocation

OVER TIME  10.0 s, 5.00 s per column
live bytes   ▁█  up to 2.0 KiB
allocations  ██  up to 2/s

SIZES  allocations: exact
allocations  share     bytes  live at end  size
         50  78.1%   4.9 KiB            -  64 B…256 B   ████████████████████████
          0   0.0%         -            -  256 B…1 KiB
         14  21.9%  37.3 KiB      8.0 KiB  1 KiB…4 KiB  ███████

LIFETIMES  of objects freed: p50 below 1 µs, p90 ~7.17 µs, p99 ~8.09 µs
█ ▆  0 ns…16.4 µs, each column four times the one before

TOP BY BYTES ALLOCATED  42.2 KiB, 1 of 2
   bytes  share  objects   each  function ← caller
34.2 KiB  81.0%       60  583 B  parse  ← run, 1 more

TOP AT THE PEAK  12.9 KiB, 1 of 2
  bytes  share  objects     each  function ← caller
8.0 KiB  62.1%        4  2.0 KiB  cache  ← run

TOP LIVE AT THE END  8.0 KiB
  bytes   share  objects     each  function ← caller
8.0 KiB  100.0%        4  2.0 KiB  cache  ← run
";
        assert_eq!(page(&program(0).profile(), None), expected[1..]);
    }

    #[test]
    fn estimates_beside_exact_counts() {
        let expected = "
TOTALS  exact, but for what has ~: estimated from samples, ± 95 % interval
objects            bytes             what
  1,106        189.3 KiB             allocated, 175 B each
    111         18.9 KiB             allocated per second
  1,096                              freed
   ~542  ±142  ~61.7 KiB  ±14.2 KiB  at the peak, after 2.50 s
     ~5   ±18   ~9.3 KiB   ±3.3 KiB  live at the end  10.0% of bytes
    ~11   ±18  ~31.0 KiB   ±4.4 KiB  temporary, 1.9% of allocations

OVER TIME  10.0 s, 5.00 s per column
live bytes   ▁█  up to ~2.0 KiB
allocations  ██  up to 2/s

SIZES  allocations: exact
allocations  share      bytes  live at end  size
      1,074  97.1%  ~52.5 KiB            -  64 B…256 B   ███████████████████████
          0   0.0%          -            -  256 B…1 KiB
         32   2.9%  ~40.2 KiB     ~9.3 KiB  1 KiB…4 KiB  █

LIFETIMES  of objects freed: p50 below 1 µs, p90 ~7.17 µs, p99 ~8.09 µs
█ ▆  0 ns…16.4 µs, each column four times the one before

TOP BY BYTES ALLOCATED  ~92.7 KiB ±14.9 KiB, 1 of 2
    bytes             share  objects    each  function ← caller
~83.4 KiB  ±14.5 KiB  90.0%     ~548  ~156 B  parse  ← main, 1 more

TOP AT THE PEAK  ~61.7 KiB ±14.2 KiB, 1 of 2
    bytes             share  objects    each  function ← caller
~52.5 KiB  ±13.9 KiB  85.0%     ~537  ~100 B  parse  ← main

TOP LIVE AT THE END  ~9.3 KiB ±3.3 KiB
   bytes             share  objects      each  function ← caller
~9.3 KiB  ±3.3 KiB  100.0%       ~5  ~2.0 KiB  cache  ← run

NOTES
the peak is the largest of many estimates: it tends to be a little high
~ is estimated from samples; the true value is within ± in 19 of 20 cases
";
        let report = page(&program(1 << 10).profile(), Some(80));
        assert_eq!(report[report.find("TOTALS").unwrap()..], expected[1..]);
    }

    #[test]
    fn a_page_has_integers_and_margins() {
        let page = json(&heap(&program(1 << 10).profile(), OPTIONS));
        assert_eq!((&page["interval_bytes"], &page["counted"]), (&json!(1024), &json!(true)));
        let totals = &page["totals"];
        assert_eq!(totals["basis"], "exact-and-estimated");
        let exact = |value: u64| json!({"value": value, "margin": null});
        let estimated = |value: u64, margin: u64| json!({"value": value, "margin": margin});
        let allocated = json!({"objects": exact(1_106), "bytes": exact(193_880)});
        assert_eq!(totals["allocated"], allocated);
        assert_eq!((&totals["freed"], &totals["live_at_start"]), (&json!(1_096), &Value::Null));
        let at_peak = json!({
            "objects": estimated(542, 142),
            "bytes": estimated(63_215, 14_592),
            "after_ns": 2_500_000_000_u64,
        });
        assert_eq!(totals["at_peak"], at_peak);
        let over_time = json!({
            "length_ns": 10_000_000_000_u64,
            "column_ns": 5_000_000_000_u64,
            "live_bytes": [10, 2048],
            "allocations": [8, 8],
        });
        assert_eq!(page["over_time"], over_time);
        let small = json!({
            "from_bytes": 64,
            "to_bytes": 128,
            "allocations": 1_074,
            "allocated_bytes": estimated(53_741, 14_186),
            "live_at_end_bytes": null,
        });
        assert_eq!((&page["sizes"][0], page["sizes"].as_array().unwrap().len()), (&small, 2));
        let lifetimes = json!({
            "buckets": [
                {"from_ns": 0, "to_ns": 1024, "objects": 60},
                {"from_ns": 4096, "to_ns": 8192, "objects": 40},
            ],
            "p50_ns": 0,
            "p90_ns": 7_168,
            "p99_ns": 8_089,
        });
        assert_eq!(page["lifetimes"], lifetimes);
        let parse = json!({
            "function": "parse",
            "module": "app",
            "objects": estimated(548, 142),
            "bytes": estimated(85_434, 14_895),
            "callers": {"rows": [{"function": "main", "module": "app"}], "left_out": 1},
        });
        let functions = &page["top_allocated"]["functions"];
        assert_eq!(functions, &json!({"rows": [parse], "left_out": 1}));
        let thread = &page["threads"]["rows"][0];
        assert_eq!((&thread["tid"], &thread["allocated"]), (&json!(4242), &allocated));
        let process = &page["processes"]["rows"][0];
        assert_eq!((&process["pid"], &process["peak"]), (&json!(4242), &at_peak));
        assert_eq!(page["notes"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_page_of_every_allocation_is_exact() {
        let page = json(&heap(&program(0).profile(), OPTIONS));
        assert_eq!(page["totals"]["basis"], "exact");
        let exact = |value: u64| json!({"value": value, "margin": null});
        let live = json!({"objects": exact(4), "bytes": exact(8_192)});
        assert_eq!(page["totals"]["live_at_end"], live);
        assert_eq!(page["entries"][0]["entry"], "malloc");
        assert_eq!(page["entries"][0]["live_at_end"], live);
        let uncounted = json(&heap(&program(0).uncounted(), OPTIONS));
        assert_eq!(uncounted["totals"]["basis"], "added-up");
        assert_eq!(uncounted["totals"]["freed"], Value::Null);
        let none = json(&heap(&HeapBuilder::new(0).uncounted(), OPTIONS));
        assert_eq!((&none["totals"], &none["sizes"]), (&Value::Null, &json!([])));
        // 0 would be that all were recorded.
        assert_eq!(none["interval_bytes"], Value::Null);
    }

    fn check_lines(profile: &Profile, expected: &[&str]) {
        let report = page(profile, None);
        for line in expected {
            // How wide columns are is not what is asked here.
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            let found = report.lines().any(|found| words(found) == words(line));
            assert!(found, "no {line:?} in {report}");
        }
    }

    #[test]
    fn without_exact_counts_sums_are_what_there_is() {
        check_lines(
            &program(0).uncounted(),
            &[
                "TOTALS added up from what was recorded one by one; exact counts are missing",
                "samples 64 allocations recorded one by one",
            ],
        );
        let mut sampled = program(1 << 10);
        sampled.heap.sizes.0[6] = 7;
        check_lines(
            &sampled.uncounted(),
            &[
                "TOTALS estimated from samples, ± 95 % interval; exact counts are missing",
                "~7 100.0% ~52.5 KiB - 64 B…256 B ████████████████████████",
            ],
        );
    }

    #[test]
    fn says_what_a_filter_means() {
        let mut profile = program(0).profile();
        profile.info.filter.text = "5s to 10s".into();
        profile.info.filter.window = Some((5_000_000_000, 10_000_000_000));
        if let Some(heap) = &mut profile.heap {
            heap.selected.by_time = true;
            heap.selected.older = heap.total.at_end;
        }
        let lines = [
            "filter 5s to 10s",
            "4 8.0 KiB there when the window begins",
            // Since the start of the recording.
            "54 12.9 KiB at the peak, after 7.50 s",
            "what was there at the peak may be older than the window of time; what is live at \
             the end was allocated in it",
        ];
        check_lines(&profile, &lines);
        let mut focused = program(0).uncounted();
        if let Some(heap) = &mut focused.heap {
            heap.selected.by_stack = true;
        }
        check_lines(&focused, &["TOTALS of what was recorded one by one"]);
        assert!(!page(&focused, None).contains("\nOVER TIME"));
    }

    #[test]
    fn no_allocations_is_an_answer() {
        let ending = |profile: &Profile| {
            let report = page(profile, None);
            report.split_once("\n\n").unwrap().1.to_owned()
        };
        let mut profile = HeapBuilder::new(1 << 10).uncounted();
        let expected = "no allocations: none was made while it was recorded\n";
        assert_eq!(ending(&profile), expected);
        let (kind, name) = (EventKind::Growth, "page-faults".into());
        profile.events.push(Event { kind, name, ..Event::default() });
        let dear = LossSum { reason: LossReason::TooDear, count: 0, duration_ns: 0 };
        profile.info.lost_allocations.reasons = vec![dear];
        let expected = "no allocations: none was recorded; what made memory resident was, \
                        instead: see --event page-faults\n";
        assert_eq!(ending(&profile), expected);
    }

    #[test]
    fn what_no_sample_is_of_may_have_been() {
        let mut heap = HeapBuilder::new(1 << 20);
        heap.objects("main;work", 100, 3, Fate::Temporary);
        let line = "~0 ±31,457 ~0 B ±3.0 MiB live at the end 0.0% of bytes";
        check_lines(&heap.profile(), &[line]);
    }

    #[test]
    fn several_threads_and_processes_have_tables() {
        let mut heap = program(0);
        let child = heap.builder.process("child", 5000);
        let worker = heap.builder.thread(child, "worker", 5001);
        let stack = heap.builder.stack(&["start_thread", "work"]);
        heap.objects_of(worker, Some(stack), 1 << 20, 2, Fate::Live);
        let mut profile = heap.profile();
        let heap = profile.heap.as_mut().unwrap();
        let sums = heap.sites.last().unwrap().sums;
        heap.threads.push(ThreadHeap { thread: Some(worker), sums, counts: None });
        let runtimes = vec![Runtime::Node];
        let of_child = ProcessHeap {
            process: child,
            sums,
            ended: true,
            runtimes,
            ..heap.processes[0].clone()
        };
        heap.processes.push(of_child);
        heap.entries.push((AllocationKind::Calloc, sums));
        heap.counts.as_mut().unwrap().mmaps = 3;
        heap.counts.as_mut().unwrap().mapped = 12 << 20;
        heap.counts.as_mut().unwrap().failed = 2;
        heap.unknown_frees = 7;
        let behind = LossSum { reason: LossReason::QueueFull, count: 9, duration_ns: 0 };
        profile.info.lost_allocations = Losses { count: 9, reasons: vec![behind] };
        check_lines(
            &profile,
            &[
                "lost 9 allocations and frees: 9 recorder behind",
                "2 allocations that failed",
                "3 12.0 MiB mapped besides",
                "TOTALS exact, but for objects at the peak, at the end and temporary",
                "ALLOCATED BY",
                "2.0 MiB 98.0% 2 2.0 MiB 2.0 MiB calloc",
                "THREADS by bytes allocated",
                "2.0 MiB 2 - 2.0 MiB 2.0 MiB 5001 worker child (5000)",
                "PROCESSES by their own peaks",
                "2.0 MiB 2.50 s 2.0 MiB 2.0 MiB 5000 child ended",
                "7 objects that were freed: allocated where the recording missed it",
                Runtime::Node.note(),
            ],
        );
    }

    #[test]
    fn call_trees_say_what_they_show() {
        let check = |metric, lines: &[&str], graph: &str| {
            let mut profile = program(0).profile();
            let event = show(&mut profile, metric);
            let options = TreeOptions { direction: Direction::Inverted, min_percent: 1.0 };
            let style = Style::default();
            let page = tree(&profile, event, options);
            let tree =
                text(|out| write_tree_report(out, style, "t.rz", &profile, event, &page, options));
            for line in lines {
                assert!(tree.lines().any(|found| found == *line), "no {line:?} in {tree}");
            }
            let mut svg = Vec::new();
            write_flame_graph(&mut svg, "t.rz", &profile, event, Direction::TopDown).unwrap();
            let svg = String::from_utf8(svg).unwrap();
            assert!(svg.contains(graph), "no {graph:?}");
        };
        check(
            Metric::Peak,
            &["  shown     bytes at the peak: 12.9 KiB", " 62.1%  ├─ malloc", " 62.1%  │  cache"],
            "Bytes at the peak flame graph: t.rz",
        );
        check(
            Metric::LiveCount,
            &["  shown     objects never freed: 4", "100.0%  malloc"],
            "all (4 objects never freed, 100%)",
        );
        let mut profile = HeapBuilder::new(0).profile();
        let event = show(&mut profile, Metric::Live);
        let drawn = write_flame_graph(&mut Vec::new(), "t.rz", &profile, event, Direction::TopDown);
        let error = "no samples to draw: no object was there at the end";
        assert_eq!(drawn.unwrap_err().to_string(), error);
    }

    #[test]
    fn memory_growth_is_an_event_in_bytes() {
        let mut profile = Builder::of(&[("main;touch", 3)]);
        profile.events[0] = Event {
            kind: EventKind::Growth,
            name: "page-faults".into(),
            unit: Unit::Bytes,
            ..Event::default()
        };
        profile.samples[0].weight = 3 * 4096;
        let options = crate::views::summary::SummaryOptions {
            limit: 5,
            by: crate::model::top::SortBy::SelfWeight,
            threads: 5,
        };
        let style = Style::default();
        let write = |out: &mut dyn Write| {
            let page = crate::views::summary::summary(&profile, Some(0), options);
            let by = options.by;
            crate::views::summary::write_summary(out, style, "t.rz", &profile, Some(0), &page, by)
        };
        let report = text(write);
        for line in [
            "  samples   3 = 12.0 KiB of memory made resident, in 1 thread",
            "100.0%  12.0 KiB  100.0%  12.0 KiB  touch  app",
        ] {
            assert!(report.lines().any(|found| found == line), "no {line:?} in {report}");
        }
        profile.events[0].kind = EventKind::Cpu;
        profile.events.push(Event {
            kind: EventKind::Growth,
            name: "page-faults".into(),
            ..Event::default()
        });
        let report = text(|out| write_header(out, style, "t.rz", &profile, Some(0)));
        assert!(report.contains("  also      page-faults: see --event page-faults\n"), "{report}");
    }

    #[test]
    fn no_terminal_is_too_narrow() {
        for width in [80, 120] {
            let report = page(&program(1 << 10).profile(), Some(width));
            let widest = report.lines().skip(7).map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{widest:?}");
        }
        for width in [0, 1, 10] {
            page(&program(1 << 10).profile(), Some(width));
        }
    }
}
