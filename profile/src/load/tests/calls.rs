//! Single system calls, as they are listed.

use std::io::Cursor;

use rz_format::*;

use crate::calls::{CallList, CallOptions, FileChange, FileEvent, load_calls};
use crate::filter::Filter;
use crate::fixture::trace::*;

const READ: u32 = 0;
const CLOSE: u32 = 3;
const CLONE: u32 = 56;

fn call(start_ns: u64, number: u32, result: i64) -> Call {
    Call { start_ns, number, result, count: 1, ..Call::default() }
}

fn list(trace: Trace, options: &CallOptions) -> CallList {
    list_bytes(&trace.finish(), options)
}

fn list_bytes(bytes: &[u8], options: &CallOptions) -> CallList {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.rz");
    std::fs::write(&path, bytes).unwrap();
    load_calls(&path, options, &Filter::default()).unwrap()
}

/// When the calls that are kept began.
#[track_caller]
fn check(options: CallOptions, expected: &[u64], notes: &[&str], complete: bool) {
    let mut trace = Trace::new();
    trace.calls(&[call(30, READ, 1), call(10, READ, -4), call(50, CLOSE, 0)]);
    trace.calls(&[call(20, CLOSE, 0), call(60, READ, -11), call(40, READ, 1)]);
    let list = list(trace, &options);
    assert_eq!(list.calls.iter().map(|call| call.start_ns).collect::<Vec<_>>(), expected);
    assert_eq!(list.notes, notes);
    assert_eq!(list.files_are_complete, complete);
}

#[test]
fn calls_are_in_order_of_their_beginnings() {
    let all = [10, 20, 30, 40, 50, 60];
    check(CallOptions::default(), &all, &[], true);
    check(CallOptions { limit: 6, ..CallOptions::default() }, &all, &[], true);
}

#[test]
fn of_too_many_the_first_are_kept() {
    for limit in 0..6 {
        let note = format!("of 6 system calls only the first {limit} are kept in memory");
        let first: Vec<u64> = (1..=limit as u64).map(|n| 10 * n).collect();
        check(CallOptions { limit, ..CallOptions::default() }, &first, &[&note], true);
    }
}

#[test]
fn or_the_last_and_those_about_files() {
    let check = |tail, limit, expected: &[u64], dropped: bool| {
        let note = format!(
            "of 6 system calls only the last {limit} are kept in memory: file descriptors have \
             no names"
        );
        let notes = [note.as_str()];
        let notes = if dropped { &notes[..] } else { &[] };
        let options = CallOptions { tail: Some(tail), limit, errors: false };
        check(options, expected, notes, !dropped);
    };
    check(6, 9, &[10, 20, 30, 40, 50, 60], false);
    check(1, 4, &[20, 50, 60], false);
    check(3, 4, &[20, 40, 50, 60], false);
    check(3, 3, &[40, 50, 60], true);
    check(0, 2, &[20, 50], false);
    check(5, 0, &[], true);
}

/// Of a block, only what may be among the last calls or is about files is decoded;
/// the last ones may be in any: a call is in the block in which it ended.
#[test]
fn the_last_calls_are_in_any_block() {
    let mut begin = 1_u64;
    let mut next = || {
        // Knuth's MMIX generator.
        begin =
            begin.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        begin >> 54
    };
    for _ in 0..20 {
        let blocks: Vec<Vec<Call>> = (0..12)
            .map(|block| {
                let number = |at| if block % 5 == 0 && at == 3 { CLOSE } else { READ };
                (0..8).map(|at| call(1 + 40 * block + next() % 120, number(at), 0)).collect()
            })
            .collect();
        let trace = || {
            let mut trace = Trace::new();
            blocks.iter().for_each(|block| trace.calls(block));
            trace
        };
        let all = list(trace(), &CallOptions::default()).calls;
        assert_eq!(all.len(), 96);
        let last = |calls: &[Call], tail: usize| -> Vec<u64> {
            calls[calls.len() - tail..].iter().map(|call| call.start_ns).collect()
        };
        for tail in [1, 2, 7, 30, 96] {
            let options = CallOptions { tail: Some(tail), ..CallOptions::default() };
            let found = list(trace(), &options);
            assert_eq!(last(&found.calls, tail), last(&all, tail), "{tail}");
            let closes = |calls: &[Call]| calls.iter().filter(|c| c.number == CLOSE).count();
            assert_eq!(closes(&found.calls), closes(&all), "{tail}");
            assert!(found.files_are_complete && found.notes.is_empty(), "{:?}", found.notes);
        }
    }
}

#[test]
fn the_last_calls_are_those_before_a_damaged_block() {
    let mut trace = Trace::new();
    for begin in [10, 20, 30] {
        trace.calls(&[call(begin, READ, 1), call(begin + 1, READ, 1)]);
    }
    let mut bytes = trace.finish();
    let index = read_index(&mut Cursor::new(&bytes)).unwrap();
    let last = index.iter().rfind(|block| block.kind == BlockKind::CALLS).unwrap();
    bytes[last.offset as usize + BLOCK_HEADER_LEN] ^= 1;
    let options = CallOptions { tail: Some(2), ..CallOptions::default() };
    let starts: Vec<u64> =
        list_bytes(&bytes, &options).calls.iter().map(|call| call.start_ns).collect();
    assert!(starts.ends_with(&[20, 21]), "{starts:?}");
}

#[test]
fn of_calls_without_error_those_about_files_are_kept() {
    let options = CallOptions { errors: true, ..CallOptions::default() };
    check(options, &[10, 20, 50, 60], &[], true);
}

#[test]
fn a_process_that_replaces_its_program_is_no_child() {
    let process = |id, pid, start_ns| {
        Record::Process(Process { id, pid, parent_pid: 7, start_ns, ..Process::default() })
    };
    let exit = |id, time_ns| Record::ProcessExit(Exit { id, time_ns });
    let loss =
        Record::Loss(Loss { class: LossClass::Calls.into(), from_ns: 70, ..Loss::default() });
    let mut trace = Trace::new();
    trace.records(&[process(1, 9, 50), exit(1, 60), process(2, 9, 60), exit(2, 80)]);
    // The number is given to another process.
    trace.records(&[process(3, 9, 90), loss]);
    let what = FileEvent::Forked { parent: 7, child: 9, shares: false };
    let forked = |time_ns| FileChange { time_ns, what };
    let exited = FileChange { time_ns: 80, what: FileEvent::Exited { pid: 9 } };
    let lost = FileChange { time_ns: 70, what: FileEvent::Lost };
    let list = list(trace, &CallOptions::default());
    assert_eq!(list.changes, [forked(50), lost, exited, forked(90)]);
}

#[test]
fn who_made_a_process_is_its_parent_whatever_was_recorded() {
    let process = |id, pid, start_ns| {
        Record::Process(Process { id, pid, parent_pid: 1, start_ns, ..Process::default() })
    };
    let clone = |start_ns, result, flags| Call {
        duration_ns: 10,
        args: [flags, 0, 0, 0, 0, 0],
        ..call(start_ns, CLONE, result)
    };
    let mut trace = Trace::new();
    trace.records(&[process(1, 8, 15), process(2, 9, 25), process(3, 10, 95)]);
    trace.calls(&[clone(10, 8, 0), clone(20, 9, libc::CLONE_FILES as u64), clone(30, 10, 0)]);
    let forked = |time_ns, parent, child, shares| {
        let what = FileEvent::Forked { parent, child, shares };
        FileChange { time_ns, what }
    };
    let list = list(trace, &CallOptions::default());
    // The last one returned long before that process began.
    let expected = [forked(15, 7, 8, false), forked(25, 7, 9, true), forked(95, 1, 10, false)];
    assert_eq!(list.changes, expected);
}

#[test]
fn times_are_those_of_the_recorded_clock() {
    let mut trace = Trace::new();
    let monotonic_ns = START + 5;
    trace.records(&[Record::Clock(Clock { monotonic_ns, realtime_ns: 1_000, boottime_ns: 0 })]);
    let list = list(trace, &CallOptions::default());
    assert_eq!([START, START + 7].map(|time_ns| list.unix_ns(time_ns)), [995, 1_002]);
    assert_eq!((list.unix_ns(0), list.unix_ns(u64::MAX)), (0, u64::MAX - START + 995));
    assert!(!list.recorded);
}

#[test]
fn made_up_definitions_take_bounded_memory() {
    let mut trace = Trace::new();
    // A block of such texts has a kilobyte.
    let texts = TextDefs { first: 0, texts: vec![vec![b'x'; 1 << 20]; 15] };
    for block in 0..20 {
        let texts = TextDefs { first: block * 15, ..texts.clone() };
        trace.writer.write_texts(START, &texts).unwrap();
    }
    let list = list(trace, &CallOptions::default());
    let known = (0..300).filter(|&id| list.text(id).is_some()).count();
    assert_eq!(known, 255);
    assert_eq!(list.text(u32::MAX), None);
}
