//! Rows that are read again, of a window of time.

use std::fs;

use rz_format::*;

use crate::filter::{Filter, Window};
use crate::fixture::trace::*;
use crate::load::{LoadOptions, open};
use crate::model::{EventKind, TimedSample};

/// When the second code takes the place of the first.
const LATER: u64 = START + 1_000;

/// A trace with rows of all kinds, before and after another code is in their place.
fn trace() -> Vec<u8> {
    let mut trace = Trace::new();
    let stack = trace.stack(&[code(0, 0x10), code(3, 0x7010)]);
    let other = trace.stack(&[code(0, 0x20)]);
    trace.define_stacks();
    let sample = |time_ns, stack| Sample { time_ns, stack, weight: 10, ..Sample::default() };
    let times = [LATER - 70, LATER - 1, LATER, LATER + 20, LATER + 70];
    let mut samples: Vec<Sample> = times.map(|time_ns| sample(time_ns, stack)).to_vec();
    samples.push(sample(LATER + 30, other));
    trace.writer.write_samples(&mut samples).unwrap();
    let wait = Wait { duration_ns: 5, weight: 5, stack, ..Wait::default() };
    trace.waits(&[Wait { end_ns: LATER - 1, ..wait }, Wait { end_ns: LATER + 15, ..wait }]);
    let call = Call { stack_weight: 7, duration_ns: 3, stack, count: 1, ..Call::default() };
    trace.calls(&[Call { start_ns: LATER - 9, ..call }, Call { start_ns: LATER + 9, ..call }]);
    let generated = |from_ns, name: &str| {
        let (start, length, name) = (0x7000, 0x100, name.into());
        let code = Generated { module: 3, start, length, from_ns, ..Generated::default() };
        Record::Generated(Generated { name, ..code })
    };
    trace.records(&[generated(START, "first"), generated(LATER, "second")]);
    trace.finish()
}

/// Each window has the rows that the whole trace has in it, with its stacks.
fn check(filter: Filter, samples: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rz");
    fs::write(&path, trace()).unwrap();
    let options = LoadOptions { timeline: true, coarse: true, filter, ..LoadOptions::default() };
    let (profile, mut rows) = open(&path, &options).unwrap();
    let profile = &profile;
    let all = profile.timeline.as_ref().unwrap();
    let of_kind =
        |kind| all.iter().filter(move |sample| profile.events[sample.event].kind == kind).copied();
    assert_eq!(of_kind(EventKind::Cpu).count(), samples);
    let windows =
        [(0, u64::MAX), (LATER, LATER + 50), (LATER - 50, LATER), (LATER, LATER + 50), (5, 6)];
    for (from_ns, to_ns) in windows {
        let window = Window { from_ns, to_ns };
        for kind in [EventKind::Cpu, EventKind::OffCpu, EventKind::Syscalls] {
            let expected: Vec<TimedSample> =
                of_kind(kind).filter(|sample| window.has(sample.time_ns)).collect();
            assert_eq!(rows.of(kind, window).unwrap(), expected, "{kind:?} {window:?}");
        }
    }
    fs::remove_file(&path).unwrap();
    let error = rows.of(EventKind::Cpu, Window::default()).unwrap_err();
    assert!(error.to_string().contains("a.rz: No such file"), "{error}");
}

#[test]
fn rows_of_a_window_are_those_of_the_whole() {
    check(Filter::default(), 6);
}

#[test]
fn rows_that_a_filter_leaves_out_stay_so() {
    let focus = vec!["second".parse().unwrap()];
    check(Filter { focus, ..Filter::default() }, 3);
}

#[test]
fn a_part_of_very_many_samples_stands_for_all() {
    let mut trace = Trace::new();
    trace.records(&[Record::Thread(Thread { id: 1, tid: 8, ..Thread::default() })]);
    let [often, seldom, once] = [0x10, 0x20, 0x30].map(|offset| trace.stack(&[code(0, offset)]));
    trace.define_stacks();
    let mut random = 1_u64;
    let all: Vec<Sample> = (0..40_000)
        .map(|at| {
            random = random.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(at) | 1;
            let stack = if at == 20_000 {
                once
            } else if at % 4 == 0 {
                seldom
            } else {
                often
            };
            let (time_ns, weight) = (START + at * 10_000 + (random >> 51), 1_000 + (random >> 56));
            // The other thread has this stack once, when it may not be looked at.
            let thread = u32::from(at % 2 == 1 || at == 20_004);
            Sample { time_ns, weight, thread, stack, ..Sample::default() }
        })
        .collect();
    for some in all.chunks(10_000) {
        trace.writer.write_samples(&mut some.to_vec()).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.rz");
    fs::write(&path, trace.finish()).unwrap();
    let most_samples = Some(2_000);
    let options =
        LoadOptions { timeline: true, coarse: true, most_samples, ..LoadOptions::default() };
    let (profile, mut rows) = open(&path, &options).unwrap();
    let notes = profile.info.notes.join("\n");
    assert!(notes.contains("samples are very many: one in "), "{notes}");
    let near = |got: u64, expected: u64| got.abs_diff(expected) < expected / 10;
    let count = |stack: usize| {
        let samples = profile.samples.iter().filter(move |sample| sample.stack == Some(stack));
        samples.map(|sample| sample.count).sum::<u64>()
    };
    assert!(near(count(0), 30_000) && near(count(1), 10_000), "{} {}", count(0), count(1));
    // What was seen only once is known all the same.
    assert_eq!(count(2), 1);
    let weight: u64 = profile.samples.iter().map(|sample| sample.weight).sum();
    assert!(near(weight, all.iter().map(|sample| sample.weight).sum()), "{weight}");
    let timeline = profile.timeline.as_ref().unwrap();
    assert!((500..10_000).contains(&timeline.len()), "{}", timeline.len());
    // A short window has all of its samples, whatever was taken of them before.
    let mut of = |from_ns, to_ns| rows.of(EventKind::Cpu, Window { from_ns, to_ns }).unwrap();
    let short = (START + 199_000_000, START + 201_000_000);
    let expected: Vec<_> = all
        .iter()
        .filter(|sample| (short.0..short.1).contains(&sample.time_ns))
        .map(|sample| (sample.time_ns, sample.thread as usize, sample.stack.map(|id| id as usize)))
        .collect();
    let got: Vec<_> = of(short.0, short.1)
        .iter()
        .map(|sample| (sample.time_ns, sample.thread, sample.stack.get()))
        .collect();
    assert!(got.len() > 150, "{}", got.len());
    assert_eq!(got, expected);
    // In a long one, some stand for others again.
    let half = of(0, START + 200_000_000);
    assert!(half.len() < 10_000, "{}", half.len());
    assert!(near(half.iter().map(|sample| sample.count).sum(), 20_000));
}
