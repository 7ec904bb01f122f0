//! Nothing is lost, and nothing is there twice.

use std::fs;

use rz_format::{Block, Reader, Record, Symbol, TraceWriter};

use super::fixture::*;
use crate::trace::merge::MergeError;
use rz_profile::fixture::trace::{Trace, code, describe, vector};
use rz_profile::model::{FrameKind, Profile};

/// A profile without what is not the same in a merged trace: its size, and who
/// it is of.
fn content(mut profile: Profile) -> Profile {
    profile.info.file_size = 0;
    profile.sources.clear();
    profile
}

#[test]
fn one_trace_stays_the_same() {
    for version in ["v1.0", "v1.1", "v1.2"] {
        let bytes = fs::read(vector(version)).unwrap();
        let once = merged(&[("a.rz", &bytes)]);
        assert_eq!(content(loaded(&once)), content(loaded(&bytes)), "{version}");
    }
}

#[test]
fn what_is_about_no_source_stays_so() {
    let bytes = fs::read(vector("v1.3")).unwrap();
    let (found, expected) = (loaded(&merged(&[("a.rz", &bytes)])), loaded(&bytes));
    assert_eq!(describe(&found), describe(&expected));
    let labels: Vec<(&str, u64)> =
        found.sources.iter().map(|source| (&*source.label, source.samples)).collect();
    assert_eq!(labels, [("a", 0), ("b", 0), ("[lost]", 300)]);
}

#[test]
fn everything_is_the_sum() {
    let (a, b, c) = (same_boot(1), same_boot(2), other_host(3, 1_000));
    let all = loaded(&merged(&[("a.rz", &a), ("b.rz", &b), ("c.rz", &c)]));
    let one = loaded(&a);
    let lines =
        |profile: &Profile| describe(profile).lines().map(str::to_owned).collect::<Vec<_>>();
    let mut expected: Vec<String> = [lines(&one), lines(&one), lines(&one)].concat();
    expected.sort();
    assert_eq!(lines(&all), expected);

    let count = |profile: &Profile| {
        let sum = |class| {
            let of_class = profile.totals.iter().filter(move |total| total.class == class);
            of_class
                .map(|total| (total.count, total.total_ns))
                .fold((0, 0), |sum, total| (sum.0 + total.0, sum.1 + total.1))
        };
        use rz_profile::model::TotalClass::{Calls, IoUring, Waits};
        let heap = profile.heap.as_ref().unwrap();
        let counts = heap.counts.unwrap();
        vec![
            sum(Calls),
            sum(Waits),
            sum(IoUring),
            (profile.info.samples, profile.info.lost_samples.count),
            (profile.info.truncated, profile.info.recorder_cpu_ns),
            (profile.calls.rows, profile.calls.counted),
            (counts.allocations, counts.bytes),
            (heap.total.allocated.recorded, heap.unknown_frees),
            (profile.timeline.as_ref().unwrap().len() as u64, profile.processes.len() as u64),
        ]
    };
    let thrice = |(a, b): (u64, u64)| (3 * a, 3 * b);
    assert_eq!(count(&all), count(&one).into_iter().map(thrice).collect::<Vec<_>>());

    // Those of one build are one; the kernel is that of a boot, but for what it
    // has loaded.
    let names: Vec<&str> = all.modules.iter().map(|module| &*module.name).collect();
    assert_eq!(names, ["app", "libc.so.6", "[kernel]", "[kernel]", "[kernel]"]);
    let kernel = all.locations.iter().filter(|location| location.kind == FrameKind::Kernel);
    let kernel: Vec<Option<usize>> = kernel.map(|location| location.module).collect();
    assert_eq!(kernel, [Some(2), Some(4)]);
    assert_eq!(all.events.len(), one.events.len());
    assert_eq!(all.inexact, []);
    // Each started 1 ns later than the one before.
    let durations: Vec<u64> = all.sources.iter().map(|source| source.duration_ns).collect();
    assert_eq!(all.info.duration_ns, durations.iter().sum::<u64>());
    assert_eq!(all.info.notes.iter().filter(|note| *note == "a note").count(), 1);
}

#[test]
fn sources_are_kept_apart() {
    let (a, b) = (same_boot(1), other_host(2, 1_000));
    let all = loaded(&merged(&[("b.rz", &b), ("a.rz", &a)]));
    let of: Vec<(&str, &str, u64, u64, u64)> = all
        .sources
        .iter()
        .map(|s| (&*s.label, &*s.host, s.samples, s.lost, s.recorder_cpu_ns))
        .collect();
    assert_eq!(of, [("a", "box", 300, 7, 3_000_000), ("b", "host2", 300, 7, 3_000_000)]);
    assert_eq!(all.processes.iter().map(|p| p.source).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((&*all.info.host, all.info.cpus), ("box, host2", 4));
}

#[test]
fn the_order_of_inputs_does_not_matter() {
    let traces: Vec<(String, Vec<u8>)> = (1..6)
        .map(|id| (format!("{id}.rz"), if id % 2 == 0 { same_boot(id) } else { other_host(id, 9) }))
        .collect();
    let mut traces: Vec<(&str, &[u8])> =
        traces.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let expected = merged(&traces);
    for _ in 0..traces.len() {
        traces.rotate_left(1);
        assert!(merged(&traces) == expected);
    }
    traces.swap(0, 3);
    assert!(merged(&traces) == expected);
}

#[test]
fn a_trace_is_counted_once() {
    let (a, b) = (same_boot(1), same_boot(2));
    let both = merged(&[("a.rz", &a), ("b.rz", &b)]);
    for (traces, second) in
        [([("a.rz", &a), ("x.rz", &a)], "a"), ([("all.rz", &both), ("x.rz", &b)], "b")]
    {
        let traces = traces.map(|(name, bytes)| (name, bytes.as_slice()));
        let error = Traces::new(&traces).try_merge(true).unwrap_err();
        assert!(
            matches!(&error, MergeError::SameTrace { label, .. } if label == second || label == "x")
        );
        let text = error.to_string();
        assert!(text.contains("x.rz") && text.contains("the same recording"), "{text}");
    }
}

#[test]
fn labels_tell_sources_apart() {
    let (a, b) = (same_boot(1), same_boot(2));
    let mut traces = Traces::new(&[("one/t.rz", &a), ("two/t.rz", &b)]);
    let labels = |bytes: &[u8]| {
        loaded(bytes).sources.into_iter().map(|source| source.label).collect::<Vec<_>>()
    };
    let both = traces.merge();
    assert_eq!(labels(&both), ["one/t", "two/t"]);
    traces.inputs[0].label = Some("before".into());
    assert_eq!(labels(&traces.merge()), ["before", "t"]);
    // A merged trace keeps its labels, below its own if it is given one.
    let mut again = Traces::new(&[("both.rz", &both), ("c.rz", &same_boot(3))]);
    assert_eq!(labels(&again.merge()), ["one/t", "two/t", "c"]);
    again.inputs[0].label = Some("x".into());
    assert_eq!(labels(&again.merge()), ["x/one/t", "x/two/t", "c"]);
}

#[test]
fn merging_again_flattens() {
    let (a, b, c) = (same_boot(1), other_host(2, 5_000), other_host(3, 0));
    let at_once = loaded(&merged(&[("a.rz", &a), ("b.rz", &b), ("c.rz", &c)]));
    let two = merged(&[("b.rz", &b), ("c.rz", &c)]);
    let one = merged(&[("a.rz", &a)]);
    let later = loaded(&merged(&[("bc.rz", &two), ("a.rz", &one)]));
    assert_eq!(later.sources, at_once.sources);
    let order = |profile: &Profile| {
        let (mut lines, mut totals) = (describe(profile), profile.totals.clone());
        totals.iter_mut().for_each(|total| total.thread = None);
        totals.sort_by_key(|total| (total.class, total.state, total.number));
        lines.push_str(&format!(
            "{:?}",
            profile.timeline.as_ref().unwrap().iter().map(|s| s.time_ns).collect::<Vec<_>>()
        ));
        (lines, totals)
    };
    assert_eq!(order(&later), order(&at_once));
}

#[test]
fn what_earlier_readers_would_mix_up_they_refuse() {
    let bytes = merged(&[("a.rz", &same_boot(1))]);
    let mut reader = Reader::new(std::io::Cursor::new(&bytes)).unwrap();
    assert_eq!(reader.header().min_reader, 3);
    assert!(matches!(reader.next_block().unwrap(), Some(Block::Records(_))));
}

/// A recording in which the kernel has loaded a function somewhere.
fn with_loaded(id: u8, name: &str) -> Vec<u8> {
    let bytes = same_boot(id);
    let mut reader = Reader::new(std::io::Cursor::new(&bytes)).unwrap();
    let Some(Block::Records(records)) = reader.next_block().unwrap() else { panic!() };
    let writer = TraceWriter::new(Vec::new(), reader.header()).unwrap();
    let mut trace = Trace { writer, ..Trace::bare() };
    trace.records(&records);
    let at = 0xffff_ffff_c000_1000;
    let stack = trace.stack(&[code(2, at + 4)]);
    trace.define_stacks();
    trace.samples(&[stack]);
    let (name, area) = (name.into(), "bpf".into());
    trace.records(&[Record::Symbol(Symbol { module: 2, start: at, length: 64, name, area })]);
    trace.finish()
}

#[test]
fn code_that_the_kernel_loads_is_not_mixed_up() {
    let (a, b) = (with_loaded(1, "bpf_prog_a"), with_loaded(2, "bpf_prog_b"));
    let both = merged(&[("a.rz", &a), ("b.rz", &b)]);
    let lines = |bytes: &[u8]| describe(&loaded(bytes));
    assert_eq!(lines(&both), lines(&a) + &lines(&b));
    assert!(lines(&both).contains("bpf_prog_a_k"), "{}", lines(&both));
    let again = merged(&[("both.rz", &both), ("c.rz", &with_loaded(3, "bpf_prog_c"))]);
    assert_eq!(lines(&again).lines().count(), 3);
}
