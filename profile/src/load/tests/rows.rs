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
