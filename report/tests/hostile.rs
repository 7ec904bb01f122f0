//! Makes up waits, calls, totals and allocations of extreme values with ids that lead
//! nowhere, and shows them in every view: nothing may panic or overflow.

use rz_format::*;
use rz_profile::calls::{CallOptions, load_calls};
use rz_profile::filter::Filter;
use rz_profile::heap::{Metric, Suppressions};
use rz_profile::load::{LoadOptions, load};
use rz_profile::model::Profile;
use rz_profile::select::{EventName, find_event, select_event};
use rz_report::diff::fail_if::{Condition, check};
use rz_report::diff::flame::write_diff_flame_graph;
use rz_report::diff::json::write_diff_json;
use rz_report::diff::markdown::write_diff_markdown;
use rz_report::diff::table::write_diff;
use rz_report::diff::{DiffOptions, Run, compare};
use rz_report::model::calls::SortCalls;
use rz_report::model::top::SortBy;
use rz_report::model::trees::Direction;
use rz_report::render::change_color::Width;
use rz_report::render::style::Style;
use rz_report::views::document::{Document, Page};
use rz_report::views::flame::write_flame_graph;
use rz_report::views::heap::sites::{SiteKind, SiteList, SortSites, sites, write_sites};
use rz_report::views::heap::{HeapPageOptions, heap, write_heap};
use rz_report::views::list::{CallsPage, ListOptions, write_list};
use rz_report::views::off_cpu::{off_cpu, write_off_cpu};
use rz_report::views::summary::{SummaryOptions, summary, write_summary};
use rz_report::views::syscalls::{SyscallOptions, syscalls, write_syscalls};
use rz_report::views::tree::{TreeOptions, tree, write_tree_report};

/// A random sequence, the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64, by Vigna.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A small number, one near an end of the range, or any.
    fn number(&mut self) -> u64 {
        match self.next() % 6 {
            0 => self.next(),
            1 => u64::MAX - self.next() % 3,
            2 => i64::MAX as u64 + self.next() % 3,
            3 => u64::from(u32::MAX) - self.next() % 3,
            _ => self.next() % 5,
        }
    }

    fn id(&mut self) -> u32 {
        self.number() as u32
    }

    fn optional_id(&mut self) -> Option<u32> {
        // The largest id is the one that cannot be written.
        Some(self.id()).filter(|&id| id != u32::MAX && id % 3 != 0)
    }

    fn seen(&mut self) -> Seen {
        Seen::from(self.next() as u8)
    }

    fn wait(&mut self) -> Wait {
        Wait {
            end_ns: self.number(),
            thread: self.id(),
            cpu: self.id(),
            duration_ns: self.number(),
            queued_ns: self.number(),
            state: WaitState::from(self.next() as u8 % 6),
            syscall: self.optional_id(),
            stack: self.optional_id(),
            weight: self.number(),
            seen: self.seen(),
        }
    }

    fn call(&mut self) -> Call {
        const FILES: [u32; 8] = [0, 3, 33, 43, 56, 59, 257, 436];
        let known = FILES[self.next() as usize % FILES.len()];
        Call {
            start_ns: self.number(),
            thread: self.id(),
            number: if self.next().is_multiple_of(4) { self.id() } else { known },
            duration_ns: self.number(),
            result: self.number() as i64,
            args: [(); 6].map(|()| self.number()),
            texts: [self.optional_id(), self.optional_id()],
            data: self.optional_id(),
            stack: self.optional_id(),
            stack_weight: self.number(),
            count: self.number(),
            seen: self.seen(),
        }
    }

    fn total(&mut self) -> Total {
        let mut histogram = Histogram::default();
        histogram.0.iter_mut().for_each(|count| *count = self.number());
        Total {
            class: TotalClass::from(self.next() as u8 % 4),
            thread: self.optional_id(),
            state: WaitState::from(self.next() as u8 % 6),
            number: self.optional_id(),
            count: self.number(),
            errors: self.number(),
            total_ns: self.number(),
            min_ns: self.number(),
            max_ns: self.number(),
            queued_ns: self.number(),
            histogram,
        }
    }

    /// Addresses are few, so that objects are freed, too.
    fn allocation(&mut self) -> Allocation {
        Allocation {
            time_ns: self.number(),
            thread: self.id(),
            kind: AllocationKind::from(self.next() as u8 % 7),
            address: self.next() % 8,
            size: self.number(),
            stack: self.optional_id(),
            allocations: self.number(),
            interval: self.number(),
        }
    }

    fn heap_counts(&mut self) -> HeapCounts {
        let mut sizes = Histogram::default();
        sizes.0.iter_mut().for_each(|count| *count = self.number());
        HeapCounts {
            time_ns: self.number(),
            thread: self.optional_id(),
            allocations: self.number(),
            bytes: self.number(),
            frees: self.number(),
            failed: self.number(),
            mmaps: self.number(),
            mapped: self.number(),
            munmaps: self.number(),
            unmapped: self.number(),
            break_up: self.number(),
            break_down: self.number(),
            sizes,
        }
    }

    fn records(&mut self) -> Vec<Record> {
        let reason = self.next() as u8 % 7;
        let class = self.next() as u8 % 6;
        let times = [self.number(), self.number()];
        let fd = self.id();
        vec![
            Record::Event(Event { id: 0, name: "cpu-clock".into(), unit: 0, frequency_hz: 99 }),
            Record::Captured(Captured {
                slower_than_ns: self.number(),
                call_numbers: vec![self.id(), self.id()],
                ..Captured::default()
            }),
            Record::Allocations(Allocations {
                source: self.next() as u8 % 3,
                interval: self.number(),
            }),
            Record::Allocator(Allocator { process: self.id(), path: "/lib/libc.so.6".into() }),
            Record::Process(Process {
                id: self.id(),
                pid: self.id(),
                parent_pid: self.id(),
                start_ns: self.number(),
                ..Process::default()
            }),
            Record::Thread(Thread { process: self.id(), ..Thread::default() }),
            Record::OpenFile(OpenFile { process: self.id(), fd, ..OpenFile::default() }),
            Record::Loss(Loss {
                class,
                reason,
                from_ns: times[0],
                to_ns: times[1],
                count: self.number(),
                cpu: NO_CPU,
            }),
        ]
    }

    fn trace(&mut self) -> Vec<u8> {
        let header = FileHeader::new([1; 16], self.number(), self.number());
        let mut writer = TraceWriter::new(Vec::new(), &header).unwrap();
        writer.write_records(0, &self.records()).unwrap();
        let frames = vec![Frame::Code { module: self.id(), offset: self.number() }];
        let stacks =
            vec![StackNode { parent: None, frame: 0 }, StackNode { parent: Some(0), frame: 0 }];
        let stacks = StackDefs { first_frame: 0, frames, first_stack: 0, stacks };
        writer.write_stacks(0, &stacks).unwrap();
        writer.write_texts(0, &TextDefs { first: 0, texts: vec![vec![0xff; 255]; 3] }).unwrap();
        let data = (0..40).map(|length| [1, 0, length, 0].repeat(length.into())).collect();
        writer.write_call_data(0, &TextDefs { first: 0, texts: data }).unwrap();
        let sample = |random: &mut Self| Sample {
            time_ns: random.number(),
            thread: random.id(),
            stack: random.optional_id(),
            weight: random.number(),
            ..Sample::default()
        };
        writer.write_samples(&mut (0..20).map(|_| sample(self)).collect::<Vec<_>>()).unwrap();
        writer.write_waits(&mut (0..50).map(|_| self.wait()).collect::<Vec<_>>()).unwrap();
        writer.write_calls(&mut (0..50).map(|_| self.call()).collect::<Vec<_>>()).unwrap();
        writer.write_totals(0, &mut (0..50).map(|_| self.total()).collect::<Vec<_>>()).unwrap();
        let allocations: Vec<_> = (0..50).map(|_| self.allocation()).collect();
        writer.write_allocations(&allocations).unwrap();
        let mut counts: Vec<_> = (0..10).map(|_| self.heap_counts()).collect();
        writer.write_heap_counts(&mut counts).unwrap();
        writer.finish().unwrap()
    }
}

/// Every output of a comparison of one recording with another one.
fn show_diff(out: &mut Vec<u8>, before: Run<'_>, after: Run<'_>) {
    let Ok(diff) = compare([&[before], &[after]], &DiffOptions::default()) else {
        // A recording may have had no time.
        return;
    };
    let conditions: Vec<Condition> =
        ["total>5%", "function>0%"].iter().map(|text| text.parse().unwrap()).collect();
    let checked = check(&conditions, &diff).unwrap();
    write_diff(out, Style::default(), &diff, 25).unwrap();
    write_diff_markdown(out, &diff, &checked).unwrap();
    for width in Width::ALL {
        // There may be nothing to draw.
        let _ = write_diff_flame_graph(out, &diff, width);
    }
    let mut json = Vec::new();
    write_diff_json(&mut json, &diff, &checked).unwrap();
    let parsed: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(parsed["conditions"].as_array().unwrap().len(), 2);
}

fn show_heap(out: &mut Vec<u8>, profile: &mut Profile) {
    let style = Style::default();
    let event = find_event(profile, &"alloc".into());
    let page = HeapPageOptions { limit: 25, threads: 10 };
    serde_json::to_writer(&mut *out, &heap(profile, page)).unwrap();
    write_heap(out, style, "t", profile, event, page).unwrap();
    write_heap(out, Style { width: Some(1), ..style }, "t", profile, event, page).unwrap();
    use SiteKind::*;
    for (kind, by) in [
        (All, SortSites::Count),
        (Leaks, SortSites::Bytes),
        (Peak, SortSites::Bytes),
        (Temporary, SortSites::Count),
    ] {
        let list = SiteList { kind, by, limit: 25 };
        let suppressions: Suppressions = "leak:a*b".parse().unwrap();
        let page = sites(profile, list, &suppressions);
        serde_json::to_writer(&mut *out, &page).unwrap();
        write_sites(out, style, "t", profile, event, &page).unwrap();
    }
    for metric in Metric::ALL {
        let event = rz_profile::heap::show(profile, metric).expect("there are allocations");
        let _ = write_flame_graph(out, "t", profile, Some(event), Direction::Inverted);
        let run = |name| Run { profile: &*profile, name, event: Some(event) };
        show_diff(out, run("a"), run("b"));
    }
}

fn show(out: &mut Vec<u8>, profile: &mut Profile) {
    let style = Style::default();
    for name in ["cpu", "off-cpu", "syscalls", "wall"].map(EventName::from) {
        let selected = select_event(profile, Some(&name)).unwrap();
        let event = selected.or_else(|| find_event(profile, &name));
        let options = SummaryOptions { limit: 25, by: SortBy::TotalWeight, threads: 10 };
        let json = |out: &mut Vec<u8>, page| {
            Document::new("t", profile, event, page).write(out).unwrap();
        };
        let page = summary(profile, event, options);
        write_summary(out, style, "t", profile, event, &page, options.by).unwrap();
        json(out, Page::Summary(page));
        let page = off_cpu(profile, event, options);
        write_off_cpu(out, style, "t", profile, event, &page, options.by).unwrap();
        json(out, Page::OffCpu(page));
        let options = SyscallOptions { limit: 25, by: SortCalls::Time, threads: 10 };
        let page = syscalls(profile, event, options);
        write_syscalls(out, style, "t", profile, event, &page).unwrap();
        json(out, Page::Syscalls(page));
        let options = TreeOptions { direction: Direction::Inverted, min_percent: 0.0 };
        let page = tree(profile, event, options);
        write_tree_report(out, style, "t", profile, event, &page, options).unwrap();
        json(out, Page::Tree(page));
        // There may be nothing to draw.
        let _ = write_flame_graph(out, "t", profile, event, Direction::TopDown);
    }
    show_heap(out, profile);
}

fn filters() -> [Filter; 4] {
    let from = "1ns".parse().ok();
    let thread = vec!["*".parse().unwrap()];
    [
        Filter { from, ..Filter::default() },
        Filter { to: "50%".parse().ok(), threads: thread, ..Filter::default() },
        Filter { from: "-3ns".parse().ok(), to: "-1ns".parse().ok(), ..Filter::default() },
        Filter {
            ignore: vec!["0x1".parse().unwrap()],
            only_modules: vec!["*".parse().unwrap()],
            collapse_recursion: true,
            ..Filter::default()
        },
    ]
}

#[test]
fn every_view_of_nonsense() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.rz");
    let mut random = Random(1);
    let mut last: Option<Profile> = None;
    for round in 0..50 {
        std::fs::write(&path, random.trace()).unwrap();
        let options = LoadOptions { timeline: true, ..LoadOptions::default() };
        let mut profile = load(&path, &options).unwrap();
        let mut out = Vec::new();
        for name in ["cpu", "off-cpu", "syscalls", "wall"].map(EventName::from) {
            let event = |profile: &mut Profile| select_event(profile, Some(&name)).unwrap();
            let after = event(&mut profile).or_else(|| find_event(&profile, &name));
            if let Some(last) = &last {
                let before = Run { profile: last, name: "a", event: find_event(last, &name) };
                let after = Run { profile: &profile, name: "b", event: after };
                show_diff(&mut out, before, after);
            }
        }
        last = Some(profile.clone());
        show(&mut out, &mut profile);
        for (tail, errors) in [(None, false), (Some(3), false), (None, true)] {
            let kept = CallOptions { tail, errors, limit: 20 };
            let list = load_calls(&path, &kept, &Filter::default()).unwrap();
            let options = ListOptions { tail, errors };
            write_list(&mut out, &list, options).unwrap();
            let page = Page::Calls(CallsPage::new(&list, options));
            Document::new("t", &profile, None, page).write(&mut out).unwrap();
        }
        for filter in filters() {
            // There may be no such time.
            let kept = CallOptions { limit: 20, ..CallOptions::default() };
            if let Ok(list) = load_calls(&path, &kept, &filter) {
                write_list(&mut out, &list, ListOptions::default()).unwrap();
            }
            if let Ok(mut profile) = load(&path, &LoadOptions { filter, ..options.clone() }) {
                show(&mut out, &mut profile);
            }
        }
        let text = String::from_utf8_lossy(&out);
        for section in [
            "WHY THREADS WAITED",
            "SYSTEM CALLS",
            "[pid ",
            "TOTALS",
            "Compared is bytes at the peak",
        ] {
            assert!(text.contains(section), "round {round}: no {section}");
        }
    }
}
