//! Traces that are not whole.

use rz_format::*;

use super::fixture::*;
use crate::trace::merge::MergeError;
use rz_profile::fixture::trace::Trace;

/// A trace with a damaged block of samples.
fn damaged(mut bytes: Vec<u8>) -> Vec<u8> {
    let index = rebuild_index(&mut std::io::Cursor::new(&bytes)).unwrap();
    bytes[index[2].offset as usize + 50] ^= 1;
    bytes
}

#[test]
fn damage_is_an_error_that_names_the_file() {
    let bad = damaged(same_boot(1));
    let traces = Traces::new(&[("good.rz", &same_boot(2)), ("bad.rz", &bad)]);
    let error = traces.try_merge(false).unwrap_err();
    assert!(matches!(error, MergeError::Damaged { places: 2, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("/bad.rz: ") && text.contains("--keep-going"), "{text}");
    for bytes in [&same_boot(1)[..900], b"no trace", b""] {
        let traces = Traces::new(&[("good.rz", &same_boot(2)), ("bad.rz", bytes)]);
        let text = traces.try_merge(false).unwrap_err().to_string();
        assert!(text.contains("/bad.rz: "), "{text}");
    }
}

#[test]
fn the_rest_is_merged_on_demand() {
    let bad = damaged(same_boot(1));
    let cut = same_boot(3);
    let cut = &cut[..cut.len() - 300];
    let traces = Traces::new(&[
        ("good.rz", &same_boot(2)),
        ("bad.rz", &bad),
        ("cut.rz", cut),
        ("no.rz", b"no trace"),
    ]);
    let (bytes, merged) = traces.try_merge(true).unwrap();
    let of = |name: &str| {
        let path = traces.path(name).display().to_string();
        merged.damage.iter().filter(|text| text.starts_with(&path)).count()
    };
    assert_eq!([of("good.rz"), of("bad.rz"), of("cut.rz"), of("no.rz")], [0, 2, 1, 1]);
    assert_eq!(merged.sources, 3);
    let profile = loaded(&bytes);
    let labels: Vec<(&str, u64, bool)> =
        profile.sources.iter().map(|s| (&*s.label, s.samples, s.cut_short)).collect();
    assert_eq!(labels, [("bad", 200, false), ("good", 300, false), ("cut", 300, false)]);
    for expected in ["no.rz is left out: ", "bad: ", "cut: the file is cut off"] {
        let found = profile.info.notes.iter().any(|note| note.starts_with(expected));
        assert!(found, "{expected}: {:?}", profile.info.notes);
    }
}

#[test]
fn nothing_is_left() {
    assert!(matches!(Traces::new(&[]).try_merge(true), Err(MergeError::NothingToMerge)));
    let text = Traces::new(&[("x.rz", b"x")]).try_merge(true).unwrap_err().to_string();
    assert!(text.contains("/x.rz: not an rz trace"), "{text}");
}

#[test]
fn lost_definitions_stay_lost() {
    let whole = same_boot(1);
    let index = rebuild_index(&mut std::io::Cursor::new(&whole)).unwrap();
    for block in 0..index.len() {
        let mut bytes = whole.clone();
        bytes[index[block].offset as usize + 45] ^= 1;
        let expected = loaded(&bytes);
        let (merged, _) = Traces::new(&[("t.rz", &bytes)]).try_merge(true).unwrap();
        let found = loaded(&merged);
        let describe = rz_profile::fixture::trace::describe;
        assert_eq!(describe(&found), describe(&expected), "block {block}");
        assert_eq!(found.totals, expected.totals, "block {block}");
        assert_eq!(found.inexact, expected.inexact, "block {block}");
        assert_eq!(found.calls, expected.calls, "block {block}");
    }
}

#[test]
fn nonsense_is_merged_without_harm() {
    const MAX: u32 = u32::MAX;
    let header = FileHeader::merged([9; 16], u64::MAX, u64::MAX);
    let mut trace =
        Trace { writer: TraceWriter::new(Vec::new(), &header).unwrap(), ..Trace::bare() };
    let source = |id, shift: i64| {
        let trace_id = vec![id as u8; 3 + id as usize % 20];
        Record::Source(Source {
            id,
            trace_id,
            shift: shift as u64,
            created_ns: 5,
            ..Source::default()
        })
    };
    let module = |id, process_plus_one| {
        Record::Module(Module { id, kind: 3, process_plus_one, ..Module::default() })
    };
    trace.records(&[
        source(MAX, i64::MIN),
        source(13, i64::MAX),
        Record::OfSource(OfSource { id: 13 }),
        Record::Clock(Clock { monotonic_ns: u64::MAX, realtime_ns: 0, boottime_ns: 0 }),
        Record::OfSource(OfSource { id: 77 }),
        Record::Clock(Clock { monotonic_ns: 0, realtime_ns: u64::MAX, boottime_ns: 0 }),
        Record::Process(Process { id: MAX, start_ns: u64::MAX, ..Process::default() }),
        Record::Thread(Thread { id: MAX, process: 4, start_ns: 1, ..Thread::default() }),
        Record::ProcessExit(Exit { id: 9, time_ns: u64::MAX }),
        Record::Loss(Loss { from_ns: u64::MAX, to_ns: 1, count: u64::MAX, ..Loss::default() }),
        module(MAX, MAX),
        module(MAX, 0),
        module(0, 0),
        Record::Symbol(Symbol {
            module: 5,
            start: u64::MAX,
            length: u64::MAX,
            ..Symbol::default()
        }),
        Record::Mapping(Mapping { process: 8, module: 8, time_ns: u64::MAX, ..Mapping::default() }),
    ]);
    let node = |parent, frame| StackNode { parent, frame };
    let defs = StackDefs {
        first_frame: MAX - 10,
        frames: vec![Frame::Unknown, Frame::Code { module: 6, offset: u64::MAX }],
        first_stack: MAX - 5,
        stacks: vec![node(Some(3), MAX - 9), node(None, 2), node(Some(MAX - 5), MAX)],
    };
    trace.writer.write_stacks(u64::MAX, &defs).unwrap();
    let (thread, time_ns, stack) = (MAX, u64::MAX, Some(MAX - 3));
    let sample = Sample { time_ns, thread, stack, event: MAX, weight: u64::MAX, cpu: MAX };
    trace
        .writer
        .write_samples(&mut [sample, Sample { stack: Some(1), thread: 3, ..sample }])
        .unwrap();
    trace.waits(&[Wait { thread, duration_ns: u64::MAX, stack, ..Wait::default() }]);
    trace.calls(&[Call {
        thread,
        start_ns: 1,
        texts: [Some(MAX - 1), Some(0)],
        ..Call::default()
    }]);
    trace.totals(&[Total {
        thread: Some(MAX - 1),
        total_ns: u64::MAX,
        count: u64::MAX,
        ..Total::default()
    }]);
    let row = Allocation {
        time_ns,
        thread,
        kind: AllocationKind::Malloc,
        size: u64::MAX,
        ..Allocation::default()
    };
    trace.writer.write_allocations(&[row, Allocation { time_ns: 0, thread: 8, ..row }]).unwrap();
    let counts = HeapCounts { time_ns, thread: Some(77), bytes: u64::MAX, ..HeapCounts::default() };
    trace.writer.write_heap_counts(&mut [counts, HeapCounts { thread: None, ..counts }]).unwrap();
    let bytes = trace.finish();
    let (merged, _) =
        Traces::new(&[("x.rz", &bytes), ("good.rz", &same_boot(1))]).try_merge(true).unwrap();
    let found = loaded(&merged);
    assert_eq!(found.info.samples, 302);
    let again = loaded(&Traces::new(&[("m.rz", &merged)]).merge());
    assert_eq!(again.info.samples, 302);
}

#[test]
fn sums_that_one_recording_lacks_are_made_of_its_rows() {
    let (whole, other) = (same_boot(1), same_boot(2));
    let index = rebuild_index(&mut std::io::Cursor::new(&other)).unwrap();
    let totals = index.iter().find(|entry| entry.kind == BlockKind::TOTALS).unwrap();
    let cut = &other[..totals.offset as usize];
    let traces = Traces::new(&[("whole.rz", &whole), ("cut.rz", cut)]);
    let (merged, _) = traces.try_merge(true).unwrap();
    let (found, parts) = (loaded(&merged), [loaded(&whole), loaded(cut)]);
    assert_eq!(parts[0].inexact, []);
    assert_eq!(found.inexact, [TotalClass::Waits, TotalClass::Calls]);
    let sum = |totals: &[Total]| {
        let mut sum = Total::default();
        totals.iter().for_each(|total| sum.add(total));
        sum
    };
    assert_ne!(sum(&parts[1].totals), Total::default());
    let expected = [parts[0].totals.as_slice(), &parts[1].totals].concat();
    assert_eq!(sum(&found.totals), sum(&expected));
}
