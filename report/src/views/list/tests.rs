//! Lists of calls that are written for the purpose.

use std::io::Write;

use rz_format::{
    Call, CallDetail, Captured, Exit, FileHeader, Loss, LossClass, OpenFile, Process, Record, Seen,
    TextDefs, Thread, TraceWriter,
};
use rz_profile::calls::{CallOptions, load_calls};
use rz_profile::filter::Filter;

use super::{CallList, CallsPage, Line, Lines, ListOptions, MAX_WAITING, ShownCall, write_list};
use crate::fixture::text;

/// 12:34:56 on some day.
const START_UNIX: u64 = 1_700_051_696_000_000_000;

const READ: u32 = 0;
const CLOSE: u32 = 3;
const ACCEPT: u32 = 43;
const EXECVE: u32 = 59;
const OPENAT: u32 = 257;
const EXIT_GROUP: u32 = 231;

fn call(number: u32, times: (u64, u64), args: &[u64], result: i64) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let (start_ns, duration_ns) = (times.0 * 1_000, times.1 * 1_000);
    Call { number, start_ns, duration_ns, args: all, result, count: 1, ..Call::default() }
}

fn openat(times: (u64, u64), text: u32, result: i64) -> Call {
    let at = i64::from(-100_i32) as u64;
    Call { texts: [Some(text), None], ..call(OPENAT, times, &[at, 0x7000, 0], result) }
}

/// A process 7 with threads 7 and 8, which has `/etc/hosts` open as 3.
fn check(calls: &[Call], records: &[Record], options: ListOptions, expected: &str) {
    let header = FileHeader::new([1; 16], START_UNIX, 0);
    let mut writer = TraceWriter::new(Vec::new(), &header).unwrap();
    let thread = |id, tid| Record::Thread(Thread { id, tid, ..Thread::default() });
    let target = "/etc/hosts".to_owned();
    let facts = [
        Record::Process(Process { id: 0, pid: 7, ..Process::default() }),
        thread(0, 7),
        thread(1, 8),
        Record::OpenFile(OpenFile { process: 0, fd: 3, time_ns: 0, target, close_on_exec: 0 }),
    ];
    writer.write_records(0, &facts).unwrap();
    writer.write_records(0, records).unwrap();
    let texts = vec![b"/tmp/a".to_vec(), b"/gone".to_vec()];
    writer.write_texts(0, &TextDefs { first: 0, texts }).unwrap();
    writer.write_calls(&mut calls.to_vec()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.rz");
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    let kept = CallOptions { tail: options.tail, errors: options.errors, ..CallOptions::default() };
    let list = load_calls(&path, &kept, &Filter::default()).unwrap();
    assert_eq!(text(|out| write_list(out, &list, options)), expected);
}

fn calls() -> Vec<Call> {
    vec![
        call(READ, (5, 1), &[3, 0x1000, 10], 10),
        openat((10, 2), 0, 4),
        call(READ, (13, 1), &[4, 0x1000, 10], 0),
        openat((15, 1), 1, -2),
        call(CLOSE, (20, 1), &[4], 0),
        call(CLOSE, (30, 1), &[4], -9),
    ]
}

#[test]
fn lines_as_of_strace() {
    let expected = "
[pid 7] 12:34:56.000005 read(3</etc/hosts>, 0x1000, 10) = 10 <0.000001000>
[pid 7] 12:34:56.000010 openat(AT_FDCWD, \"/tmp/a\", O_RDONLY) = 4</tmp/a> <0.000002000>
[pid 7] 12:34:56.000013 read(4</tmp/a>, 0x1000, 10) = 0 <0.000001000>
[pid 7] 12:34:56.000015 openat(AT_FDCWD, \"/gone\", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000001000>
[pid 7] 12:34:56.000020 close(4</tmp/a>) = 0 <0.000001000>
[pid 7] 12:34:56.000030 close(4) = -1 EBADF (Bad file descriptor) <0.000001000>
";
    check(&calls(), &[], ListOptions::default(), &expected[1..]);
    let lines: Vec<&str> = expected[1..].split_inclusive('\n').collect();
    let tail = ListOptions { tail: Some(2), errors: false };
    check(&calls(), &[], tail, &lines[4..].concat());
    let errors = ListOptions { tail: None, errors: true };
    check(&calls(), &[], errors, &[lines[3], lines[5]].concat());
    check(&calls(), &[], ListOptions { tail: Some(1), errors: true }, lines[5]);
}

#[test]
fn a_descriptor_is_what_it_is_when_calls_overlap() {
    // While thread 8 waits for a connection, thread 7 closes what had the
    // number that the connection will get.
    let accept = Call { thread: 1, ..call(ACCEPT, (1, 20), &[9, 0, 0], 4) };
    let calls = [
        openat((0, 1), 0, 4),
        accept,
        call(CLOSE, (5, 1), &[4], 0),
        Call { thread: 1, ..call(READ, (30, 1), &[4, 0x1000, 10], 0) },
    ];
    let expected = "
[pid 7] 12:34:56.000000 openat(AT_FDCWD, \"/tmp/a\", O_RDONLY) = 4</tmp/a> <0.000001000>
[pid 8] 12:34:56.000001 accept(9, NULL, NULL) = 4<socket> <0.000020000>
[pid 7] 12:34:56.000005 close(4</tmp/a>) = 0 <0.000001000>
[pid 8] 12:34:56.000030 read(4<socket>, 0x1000, 10) = 0 <0.000001000>
";
    check(&calls, &[], ListOptions::default(), &expected[1..]);
}

#[test]
fn calls_of_which_not_all_was_seen() {
    let seen = |late, unfinished, call| Call { seen: Seen { late, unfinished }, ..call };
    let calls = [
        seen(true, false, call(READ, (1, 3), &[], 5)),
        seen(true, false, call(READ, (2, 3), &[3, 0x1000, 9], 5)),
        seen(true, true, call(READ, (3, 9), &[3, 0x1000, 9], 0)),
        seen(false, true, call(READ, (7, 9), &[3, 0x1000, 9], 0)),
        Call { count: 8, ..call(READ, (8, 1), &[3, 0x1000, 9], 1) },
        seen(false, true, call(EXIT_GROUP, (9, 0), &[1], 0)),
    ];
    let expected = "
[pid 7] 12:34:56.000001 <... read resumed> = 5 <0.000003000>
[pid 7] 12:34:56.000002 <... read(3</etc/hosts>, 0x1000, 9) resumed> = 5 <0.000003000>
[pid 7] 12:34:56.000003 <... read(3</etc/hosts>, 0x1000, 9)> = ? <unfinished ...>
[pid 7] 12:34:56.000007 read(3</etc/hosts>, 0x1000, 9) = ? <unfinished ...>
[pid 7] 12:34:56.000008 read(3</etc/hosts>, 0x1000, 9) = 1 <0.000001000> (1 of 8)
[pid 7] 12:34:56.000009 exit_group(1) = ?
";
    check(&calls, &[], ListOptions::default(), &expected[1..]);
}

#[test]
fn names_are_not_guessed() {
    let read = call(READ, (5, 1), &[3, 0x1000, 10], 10);
    let named = "[pid 7] 12:34:56.000005 read(3</etc/hosts>, 0x1000, 10) = 10 <0.000001000>\n";
    let bare = "[pid 7] 12:34:56.000005 read(3, 0x1000, 10) = 10 <0.000001000>\n";
    let check = |record: Record, expected| {
        check(&[read], &[record], ListOptions::default(), expected);
    };
    let captured = |call_numbers, slower_than_ns| {
        Record::Captured(Captured {
            calls: CallDetail::Calls.into(),
            call_numbers,
            slower_than_ns,
            ..Captured::default()
        })
    };
    let lost = |from_ns| {
        Record::Loss(Loss { class: LossClass::Calls.into(), from_ns, count: 1, ..Loss::default() })
    };
    check(captured(Vec::new(), 0), named);
    check(captured(vec![READ], 0), bare);
    check(captured(Vec::new(), 1_000), bare);
    check(lost(9_000), named);
    check(lost(1_000), bare);
}

#[test]
fn a_child_has_the_files_of_its_parent() {
    let child = [
        Record::Process(Process {
            id: 1,
            pid: 9,
            parent_pid: 7,
            start_ns: 3_000,
            ..Process::default()
        }),
        Record::Thread(Thread { id: 2, process: 1, tid: 9, ..Thread::default() }),
    ];
    let calls = [
        Call { thread: 2, ..call(READ, (5, 1), &[3, 0x1000, 10], 10) },
        Call { thread: 2, ..call(CLOSE, (7, 1), &[3], 0) },
        call(READ, (9, 1), &[3, 0x1000, 10], 10),
    ];
    let expected = "
[pid 9] 12:34:56.000005 read(3</etc/hosts>, 0x1000, 10) = 10 <0.000001000>
[pid 9] 12:34:56.000007 close(3</etc/hosts>) = 0 <0.000001000>
[pid 7] 12:34:56.000009 read(3</etc/hosts>, 0x1000, 10) = 10 <0.000001000>
";
    check(&calls, &child, ListOptions::default(), &expected[1..]);
}

#[test]
fn an_inherited_descriptor_keeps_its_name_in_a_new_program() {
    let check = |close_on_exec, expected: &str| {
        let target = "/dev/pts/1".to_owned();
        let file = OpenFile { process: 0, fd: 5, time_ns: 0, target, close_on_exec };
        let calls =
            [call(EXECVE, (1, 1), &[0x1000, 0, 0], 0), call(READ, (5, 1), &[5, 0x1000, 10], 10)];
        let expected = format!(
            "[pid 7] 12:34:56.000001 execve(0x1000, NULL, NULL) = 0 <0.000001000>\n\
             [pid 7] 12:34:56.000005 read({expected}, 0x1000, 10) = 10 <0.000001000>\n"
        );
        check(&calls, &[Record::OpenFile(file)], ListOptions::default(), &expected);
    };
    check(0, "5");
    check(1, "5");
    check(2, "5</dev/pts/1>");
    check(3, "5");
}

#[test]
fn a_killed_process_leaves_no_names_to_the_next_of_its_number() {
    let process = |id, start_ns| {
        // Its parent was not followed.
        Record::Process(Process { id, pid: 9, parent_pid: 1, start_ns, ..Process::default() })
    };
    let thread = |id, process| Record::Thread(Thread { id, process, tid: 9, ..Thread::default() });
    let exit = Record::ProcessExit(Exit { id: 1, time_ns: 20_000 });
    let records = [process(1, 3_000), thread(2, 1), exit, process(2, 0), thread(3, 2)];
    let calls = [
        Call { thread: 2, ..openat((10, 2), 0, 4) },
        Call { thread: 3, ..call(READ, (30, 1), &[4, 0x1000, 10], 0) },
    ];
    let expected = "
[pid 9] 12:34:56.000010 openat(AT_FDCWD, \"/tmp/a\", O_RDONLY) = 4</tmp/a> <0.000002000>
[pid 9] 12:34:56.000030 read(4, 0x1000, 10) = 0 <0.000001000>
";
    check(&calls, &records, ListOptions::default(), &expected[1..]);
}

#[test]
fn what_is_defined_nowhere_is_unknown() {
    let calls = [
        Call {
            thread: u32::MAX,
            texts: [Some(u32::MAX); 2],
            duration_ns: u64::MAX,
            count: u64::MAX,
            result: i64::MIN,
            ..openat((1, 0), 0, 0)
        },
        Call { start_ns: u64::MAX, result: i64::MAX, ..call(u32::MAX, (0, 0), &[], 0) },
    ];
    let expected = "
[pid ?] 12:34:56.000001 openat(AT_FDCWD, 0x7000, O_RDONLY) = 0 <18446744073.709551615> (1 of 18446744073709551615)
[pid 7] 23:34:33.709551 syscall_0xffffffff(0x0, 0x0, 0x0, 0x0, 0x0, 0x0) = 9223372036854775807 <0.000000000>
";
    check(&calls, &[], ListOptions::default(), &expected[1..]);
}

#[test]
fn lines_wait_for_a_descriptor_but_not_for_ever() {
    let accept = Call { thread: 1, ..call(ACCEPT, (0, 1 << 30), &[9, 0, 0], 4) };
    let reads = (1..=MAX_WAITING as u64).map(|at| call(READ, (at, 0), &[5, 0, 0], 0));
    let mut list = CallList::default();
    list.calls = std::iter::once(accept).chain(reads).collect();
    let text = text(|out| write_list(out, &list, ListOptions::default()));
    assert_eq!(text.lines().count(), MAX_WAITING + 1);
    assert!(text.lines().next().is_some_and(|line| line.contains(" = 4 <")), "{text:.200}");
}

#[test]
fn calls_as_rows() {
    let mut list = CallList::default();
    list.calls = calls();
    let page = serde_json::to_value(CallsPage::new(&list, ListOptions::default())).unwrap();
    let rows = page["calls"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    let failed = serde_json::json!({
        "tid": null, "pid": null, "start_unix_ns": 15_000, "at_ns": 15_000,
        "duration_ns": 1_000, "syscall": "openat", "result": -2, "error": "ENOENT",
        "text": "openat(AT_FDCWD, 0x7000, O_RDONLY) = -1 ENOENT (No such file or directory)",
        "stands_for": 1, "late": false,
    });
    assert_eq!(rows[3], failed);
}

#[test]
fn long_lines_that_wait_are_bounded_by_their_size() {
    let mut lines = Lines::default();
    let line = |text: String, waits: bool| {
        let call = ShownCall { text, ..ShownCall::default() };
        Line { call, bare_result: waits.then(|| " = 4".into()) }
    };
    lines.push(line("accept(3)".into(), true));
    let mut out = Vec::new();
    for _ in 0..70 {
        assert_eq!((out.len(), lines.first), (0, 0));
        lines.push(line("x".repeat(1 << 20), false));
        let take = &mut |call: &ShownCall| writeln!(out, "{}", call.text);
        lines.take_finished(take).unwrap();
        if lines.first > 0 {
            break;
        }
    }
    assert!(out.starts_with(b"accept(3) = 4\nxxx"), "{}", out.len());
    assert_eq!((lines.bytes, lines.first), (0, 65));
}
