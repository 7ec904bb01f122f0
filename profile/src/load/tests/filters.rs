//! Rows that are selected by time and thread while they are loaded.

use rz_format::*;

use super::heap::{amount, rows};
use crate::calls::{CallOptions, load_calls};
use crate::filter::Filter;
use crate::fixture::trace::*;
use crate::load::{LoadError, LoadOptions};
use crate::model::heap::Heap;
use crate::model::{EventKind, InFlightCalls, Profile};

const FUTEX: u32 = 202;
const READ: u32 = 0;
/// A tenth of the recording.
pub(super) const SLICE: u64 = 200_000_000;

/// A filter in words: `from=10s`, `to=50%`, `thread=a*`, `process=7`.
fn filter(words: &str) -> Filter {
    let mut filter = Filter::default();
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "from" => filter.from = Some(value.parse().unwrap()),
            "to" => filter.to = Some(value.parse().unwrap()),
            "thread" => filter.threads.push(value.parse().unwrap()),
            "process" => filter.processes.push(value.parse().unwrap()),
            "focus" => filter.focus.push(value.parse().unwrap()),
            _ => panic!("{word}"),
        }
    }
    filter
}

fn try_filtered(bytes: &[u8], words: &str) -> Result<Profile, LoadError> {
    let options = LoadOptions { filter: filter(words), timeline: true, ..LoadOptions::default() };
    load_with(bytes, &options)
}

#[track_caller]
fn filtered(bytes: &[u8], words: &str) -> Profile {
    try_filtered(bytes, words).unwrap()
}

/// A recording of 2 s: threads `main` of `app`, `worker-1` of it, which was
/// called otherwise before, and `main` of `other`, with a sample each in every
/// tenth of the time, and waits and calls of the first two.
pub(super) fn recording() -> Vec<u8> {
    let mut trace = Trace::new();
    let thread = |id, process, tid, name: &str| {
        let name = name.to_owned();
        Record::Thread(Thread { id, process, tid, name, ..Thread::default() })
    };
    trace.records(&[
        Record::Captured(Captured {
            waits: true,
            calls: CallDetail::Calls.into(),
            ..Captured::default()
        }),
        Record::Process(Process { id: 1, pid: 8, name: "other".into(), ..Process::default() }),
        thread(1, 0, 70, "main"),
        thread(2, 1, 8, "main"),
    ]);
    let sample = |thread| {
        move |n| {
            let time_ns = START + n * SLICE + SLICE / 2;
            Sample { time_ns, thread, weight: 10, ..Sample::default() }
        }
    };
    let mut samples: Vec<Sample> = (0..3).flat_map(|thread| (0..10).map(sample(thread))).collect();
    trace.writer.write_samples(&mut samples).unwrap();
    let wait = |thread, end, slices: u64, weight| Wait {
        end_ns: START + end * SLICE,
        thread,
        duration_ns: slices * SLICE,
        queued_ns: SLICE,
        weight,
        state: WaitState::Sleeping,
        syscall: Some(FUTEX),
        ..Wait::default()
    };
    trace.waits(&[
        wait(0, 4, 3, 3 * SLICE),
        wait(1, 8, 5, 5 * SLICE),
        // It stands for a shorter one as well.
        wait(1, 9, 0, 7),
        Wait { seen: Seen { unfinished: true, late: false }, ..wait(0, 10, 4, 4 * SLICE) },
    ]);
    let call = |thread, start, slices: u64, result| Call {
        start_ns: START + start * SLICE,
        thread,
        number: READ,
        duration_ns: slices * SLICE,
        stack_weight: slices * SLICE,
        result,
        count: 1,
        ..Call::default()
    };
    trace.calls(&[call(0, 0, 2, 5), call(0, 3, 4, -11), call(1, 8, 1, -4)]);
    let total = |class, thread, number, count| Total {
        class,
        thread,
        number: Some(number),
        count,
        ..Total::default()
    };
    trace.totals(&[
        total(TotalClass::Waits, Some(0), FUTEX, 100),
        total(TotalClass::Waits, Some(1), FUTEX, 20),
        total(TotalClass::Calls, Some(0), READ, 50),
        total(TotalClass::Calls, None, READ, 3),
        total(TotalClass::IoUring, Some(0), 22, 9),
    ]);
    let loss = |class: LossClass, from, to, count| {
        let (from_ns, to_ns) = (START + from * SLICE, START + to * SLICE);
        let (class, reason) = (class.into(), LossReason::RingFull.into());
        Record::Loss(Loss { class, reason, from_ns, to_ns, count, ..Loss::default() })
    };
    let name = "worker-1".to_owned();
    trace.records(&[
        loss(LossClass::Samples, 2, 4, 9),
        loss(LossClass::Calls, 6, 7, 0),
        Record::ThreadName(ThreadName { thread: 1, time_ns: START, name }),
    ]);
    trace.finish()
}

/// Weights of an event of a kind.
pub(super) fn weight(profile: &Profile, kind: EventKind) -> u64 {
    let of_kind = |s: &&crate::model::Sample| profile.events[s.event].kind == kind;
    profile.samples.iter().filter(of_kind).map(|s| s.weight).sum()
}

/// Everything that can be cut adds up, wherever it is cut.
#[test]
fn windows_share_all_there_is() {
    let bytes = recording();
    let whole = filtered(&bytes, "");
    for bounds in
        [&["0", "100%"][..], &["0", "7%", "50%", "100%"], &["0", "1s", "1.3s", "-1ns", "3s"]]
    {
        let parts = bounds
            .windows(2)
            .map(|pair| filtered(&bytes, &format!("from={} to={}", pair[0], pair[1])));
        let parts: Vec<Profile> = parts.collect();
        let sum = |value: &dyn Fn(&Profile) -> u64| parts.iter().map(value).sum::<u64>();
        for kind in [EventKind::Cpu, EventKind::OffCpu, EventKind::Syscalls] {
            let weight = |profile: &Profile| weight(profile, kind);
            assert_eq!(sum(&weight), weight(&whole), "{bounds:?} {kind:?}");
        }
        assert_eq!(sum(&|part| part.info.duration_ns), whole.info.duration_ns, "{bounds:?}");
        assert_eq!(sum(&|part| part.info.samples), 30, "{bounds:?}");
        assert_eq!(sum(&|part| part.info.lost_samples.count), 9, "{bounds:?}");
        let timeline =
            |part: &Profile| part.timeline.iter().flatten().map(|s| s.weight).sum::<u64>();
        assert_eq!(sum(&timeline), timeline(&whole), "{bounds:?}");
    }
}

#[test]
fn intervals_are_cut_at_the_window() {
    let profile = filtered(&recording(), "from=30% to=70%");
    assert_eq!(
        describe(&profile),
        "\
main:  4 40
main:  4 40
off-cpu main: [off-CPU: futex] 2 400000000
off-cpu worker-1: [off-CPU: futex] 1 800000000
syscalls main: [syscall: read] 1 800000000
worker-1:  4 40
"
    );
    let info = &profile.info;
    assert_eq!((info.start_ns - START, info.duration_ns), (3 * SLICE, 4 * SLICE));
    assert_eq!(info.recording_ns, 10 * SLICE);
    // Half of it is before the window.
    assert_eq!((info.lost_samples.count, info.lost_calls.reasons.len()), (5, 1));
    // Exact sums are of all the time; one wait ended in the window.
    assert_eq!(profile.inexact, [TotalClass::Waits, TotalClass::Calls]);
    let totals: Vec<_> =
        profile.totals.iter().map(|t| (t.thread, t.count, t.total_ns, t.queued_ns)).collect();
    assert_eq!(totals, [(Some(0), 1, SLICE, SLICE), (Some(0), 1, 4 * SLICE, 0)]);
    let open: Vec<_> = profile.open_waits.iter().map(|t| (t.thread, t.total_ns)).collect();
    assert_eq!(open, [(Some(0), SLICE), (Some(1), 4 * SLICE)]);
    assert!(info.notes.iter().any(|note| note.starts_with("io_uring")), "{:?}", info.notes);
    assert_eq!(info.filter.text, "600ms to 1.4s");
}

#[test]
fn calls_in_flight_are_those_at_the_window() {
    let check = |words: &str, totals: &[u64], failed: u64, in_flight: &[(u64, u64)]| {
        let profile = filtered(&recording(), words);
        let calls = profile.totals.iter().filter(|t| t.class == TotalClass::Calls);
        assert_eq!(calls.map(|t| t.count).collect::<Vec<_>>(), totals, "{words}");
        assert_eq!(profile.calls.failed.iter().map(|f| f.count).sum::<u64>(), failed, "{words}");
        let expected: Vec<_> = in_flight
            .iter()
            .map(|&(at_start, at_end)| InFlightCalls { number: READ, at_start, at_end })
            .collect();
        assert_eq!(profile.calls.in_flight, expected, "{words}");
    };
    check("", &[3, 50], 2, &[]);
    check("from=40% to=60%", &[], 0, &[(1, 1)]);
    check("from=10% to=100%", &[1, 1], 2, &[(1, 0)]);
    check("to=50%", &[1], 0, &[(0, 1)]);
}

#[test]
fn threads_and_processes_by_name_and_number() {
    let check = |words: &str, expected: &[(&str, u64)], totals: &[u64]| {
        let profile = filtered(&recording(), words);
        let cpu = profile.samples.iter().filter(|s| s.event == 0);
        let found = cpu.map(|s| {
            let (thread, process) = profile.thread(s.thread);
            (format!("{}/{}", process.pid, thread.name), s.count)
        });
        let expected: Vec<_> = expected.iter().map(|&(name, n)| (name.to_owned(), n)).collect();
        assert_eq!(found.collect::<Vec<_>>(), expected, "{words}");
        let selected = (!words.is_empty()).then_some(expected.len());
        assert_eq!(profile.info.filter.threads, selected, "{words}");
        let counts: Vec<u64> = profile.totals.iter().map(|t| t.count).collect();
        assert_eq!(counts, totals, "{words}");
        // Exact sums stay exact.
        assert_eq!(profile.inexact, []);
        let nameless = profile.info.notes.iter().any(|note| note.contains("told apart"));
        assert_eq!(nameless, !words.is_empty(), "{:?}", profile.info.notes);
        // What is missing is that of all threads, and so is what is there.
        assert_eq!((profile.info.samples, profile.info.lost_samples.count), (30, 9), "{words}");
    };
    let [app, worker, other] = [("7/main", 10), ("7/worker-1", 10), ("8/main", 10)];
    check("", &[app, worker, other], &[100, 20, 3, 50, 9]);
    check("thread=main", &[app, other], &[100, 50, 9]);
    check("thread=work*", &[worker], &[20]);
    check("thread=70", &[worker], &[20]);
    check("thread=70 thread=8", &[worker, other], &[20]);
    check("process=app", &[app, worker], &[100, 20, 50, 9]);
    check("process=8", &[other], &[]);
    check("process=app thread=main", &[app], &[100, 50, 9]);
    check("thread=nobody", &[], &[]);
}

#[test]
fn a_window_outside_is_an_error() {
    let check = |words: &str, expected: &str| {
        let error = try_filtered(&recording(), words).unwrap_err().to_string();
        assert!(error.ends_with(&format!("trace.rz: {expected}")), "{error}");
    };
    check("from=2s", "nothing to show from 2s on: the recording is 2s long");
    check("from=50% to=1s", "there is no time from 1s to 1s");
}

/// The end of a recording that was not ended is that of its last row.
#[test]
fn the_end_of_a_recording_without_end() {
    let mut trace = Trace::new();
    let sample = |n| Sample { time_ns: START + n * SLICE, weight: 1, ..Sample::default() };
    trace.writer.write_samples(&mut [sample(0), sample(5), sample(10)]).unwrap();
    let bytes = trace.writer.finish().unwrap();
    let profile = filtered(&bytes, "from=-1s");
    assert_eq!((profile.info.samples, profile.info.duration_ns), (2, 5 * SLICE));
    assert!(profile.info.cut_short);
}

#[test]
fn a_list_has_whole_calls() {
    let check = |words: &str, expected: &[u64]| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace.rz");
        std::fs::write(&path, recording()).unwrap();
        let list = load_calls(&path, &CallOptions::default(), &filter(words)).unwrap();
        let selected = list.calls.iter().filter(|call| list.is_selected(call));
        let starts: Vec<u64> = selected.map(|call| (call.start_ns - START) / SLICE).collect();
        assert_eq!(starts, expected, "{words}");
    };
    check("", &[0, 3, 8]);
    check("from=10% to=40%", &[0, 3]);
    check("from=40% to=60% thread=main", &[3]);
    check("thread=worker*", &[8]);
    check("thread=nobody", &[]);
}

fn heap_of(profile: Profile) -> Heap {
    profile.heap.unwrap()
}

/// Ten objects, of which `main` allocates those before and `worker` the others.
fn heap_recording() -> Vec<u8> {
    let mut trace = super::heap::trace(0, &[0]);
    // 100 and 200 are older than row 4; 200 is freed in the window.
    let script = "0m100@a 0m200@b 0m50@c 0f@c 0m10@d 1m20@e 0f@e 1f@b 1m40@f 0m7@a";
    trace.writer.write_allocations(&rows(script, &[])).unwrap();
    let counts = |n: u64, thread, allocations| HeapCounts {
        time_ns: START + n * 1000,
        thread,
        allocations,
        ..HeapCounts::default()
    };
    let mut rows =
        [counts(4, Some(0), 3), counts(8, Some(1), 1), counts(10, Some(0), 2), counts(10, None, 9)];
    trace.writer.write_heap_counts(&mut rows).unwrap();
    trace.finish()
}

#[test]
fn objects_are_older_than_the_window_or_allocated_in_it() {
    let heap = heap_of(filtered(&heap_recording(), "from=4us to=9us"));
    assert_eq!(amount(&heap.total.allocated), (3, 70));
    assert_eq!(amount(&heap.selected.older), (2, 300));
    // Most was there before any of the older ones was freed.
    assert_eq!(amount(&heap.peak.live), (4, 330));
    assert_eq!(heap.peak.time_ns, START + 5_000);
    assert_eq!(amount(&heap.total.at_peak), (4, 330));
    // Of what is there when it ends, what is older is not left by it.
    assert_eq!(amount(&heap.total.at_end), (2, 50));
    assert_eq!((heap.unknown_frees, heap.missing_frees), (0, 0));
    assert_eq!(heap.counts.map(|counts| counts.allocations), Some(1));
    assert_eq!(heap.live.start_ns, START + 4_000);
}

#[test]
fn heaps_of_windows_add_up() {
    let bytes = heap_recording();
    let of = |words: &str| heap_of(filtered(&bytes, words));
    let (whole, first, second) = (of(""), of("to=5us"), of("from=5us"));
    let bytes = |heap: &Heap| amount(&heap.total.allocated).1;
    assert_eq!(bytes(&first) + bytes(&second), bytes(&whole));
    let counts = |heap: &Heap| heap.counts.unwrap_or_default().allocations;
    assert_eq!(counts(&first) + counts(&second), counts(&whole));
    // What the first leaves is what the second begins with.
    assert_eq!(first.total.at_end, second.selected.older);
}

#[test]
fn objects_of_some_threads() {
    let heap = heap_of(filtered(&heap_recording(), "thread=thread1"));
    assert_eq!(amount(&heap.total.allocated), (2, 60));
    // One was freed, by another thread.
    assert_eq!(amount(&heap.total.at_end), (1, 40));
    assert_eq!(amount(&heap.peak.live), (1, 40));
    assert_eq!((heap.unknown_frees, heap.missing_frees), (0, 0));
    assert_eq!(heap.counts.map(|counts| counts.allocations), Some(1));
    assert_eq!(heap.threads.len(), 1);
    assert_eq!(heap.processes.len(), 1);
    let none = heap_of(filtered(&heap_recording(), "thread=nobody"));
    assert!(none.sites.is_empty() && none.processes.is_empty());
}

#[test]
fn functions_are_selected_when_they_have_names() {
    let mut trace = super::heap::trace(0, &[0]);
    let (a, b) = (trace.stack(&[code(3, 1)]), trace.stack(&[code(3, 1), code(1, 2)]));
    trace.define_stacks();
    trace.samples(&[a, b, b]);
    trace.writer.write_allocations(&rows("0m100@a:A 1m30@b:B 1f@b", &[a, b])).unwrap();
    let profile = filtered(&trace.finish(), "focus=kernel");
    assert_eq!(
        describe(&profile),
        "alloc thread1: [anon]_j;[kernel+0x2]_k 1 30\nmain: [anon]_j;[kernel+0x2]_k 2 20\n"
    );
    assert_eq!(profile.timeline.as_ref().map(Vec::len), Some(2));
    let heap = heap_of(profile);
    assert_eq!(amount(&heap.total.allocated), (1, 30));
    assert_eq!(amount(&heap.peak.live), (1, 30));
    assert_eq!((heap.threads.len(), heap.counts, heap.sites.len()), (1, None, 1));
}
