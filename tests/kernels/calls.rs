//! System calls.

use rz_format::{DataPiece, Seen, data_pieces};
use rz_tests::{Contents, Counted};

use crate::machine::{Recorded, is_skipped};

/// What `plan calls` makes: how many, and how many of them fail.
const PLAN: [(&str, u64, u64); 4] =
    [("getppid", 100, 0), ("openat", 10, 10), ("clock_nanosleep", 3, 0), ("getpgid", 30, 30)];

/// Error numbers, as system calls return them.
const NO_ENTRY: i64 = -2;

pub fn number(name: &str) -> u32 {
    rz_syscalls::by_name(name).expect("a system call").number
}

pub fn by_plan(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    let skipped = contents.losses().into_iter().filter(|loss| is_skipped(loss));
    let skipped = skipped.map(|loss| loss.count).sum();
    assert_counts(&contents, skipped);
    assert_rows(&contents);
    assert_data(&contents);
    assert_stacks(recorded);
}

/// Sums are exact, unless the recording says that some calls are missing.
fn assert_counts(contents: &Contents, skipped: u64) {
    let counted = contents.counted_calls();
    let mut missing = 0;
    for (name, count, errors) in PLAN {
        let found = counted.get(&number(name)).copied().unwrap_or_default();
        // Either all of a kind fail, or none.
        let expected = Counted { count: found.count.min(count), errors: found.count.min(errors) };
        assert_eq!(found, expected, "{name}, of {count}");
        missing += count - found.count;
    }
    assert!(missing <= skipped, "{missing} calls are missing, {skipped} skipped: {counted:?}");
    // What threads need to wait for each other, and to say so.
    let others = ["exit", "futex", "madvise", "munmap", "rseq", "rt_sigprocmask"];
    let others = others.iter().chain(&["rt_sigtimedwait", "set_robust_list", "write"]);
    let known: Vec<u32> = others.copied().chain(PLAN.map(|row| row.0)).map(number).collect();
    let unknown: Vec<_> = counted.keys().filter(|number| !known.contains(number)).collect();
    assert!(unknown.is_empty(), "calls that the program does not make: {unknown:?}");
}

fn assert_rows(contents: &Contents) {
    let sums = contents.counted_calls();
    for (name, ..) in PLAN {
        let rows = contents.calls.iter().filter(|call| call.number == number(name));
        let mut counted = Counted::default();
        for call in rows {
            counted.count += call.count;
            counted.errors += u64::from((-4095..0).contains(&call.result));
        }
        assert_eq!(Some(&counted), sums.get(&number(name)), "rows of {name}");
    }
    for call in contents.calls.iter().filter(|call| call.number == number("openat")) {
        assert_eq!(call.result, NO_ENTRY, "{call:?}");
        let path = contents.text(call.texts[0]).map(String::from_utf8_lossy);
        assert_eq!(path.as_deref(), Some("/no/such/file"), "{call:?}");
    }
    for call in contents.calls.iter().filter(|call| call.number == number("clock_nanosleep")) {
        assert!(call.duration_ns >= 5_000_000 && call.stack.is_some(), "{call:?}");
    }
    // It does not return, and has begun before.
    let blocked = contents.thread_named("blocked");
    let calls: Vec<_> = contents.calls.iter().filter(|call| call.thread == blocked).collect();
    let [call] = calls[..] else { panic!("calls of a thread that is in read: {calls:?}") };
    assert_eq!((call.number, call.seen), (number("read"), Seen { late: true, unfinished: true }));
}

/// How long it is to sleep, which is in memory. Kernels that skip programs may skip those
/// of data, too, but not all of them.
fn assert_data(contents: &Contents) {
    let naps = contents.calls.iter().filter(|call| call.number == number("clock_nanosleep"));
    let data: Vec<&[u8]> =
        naps.filter_map(|call| Some(contents.call_data[call.data? as usize].as_slice())).collect();
    assert!(!data.is_empty(), "no data of calls");
    for data in data {
        let pieces: Vec<DataPiece> = data_pieces(data).collect();
        let [DataPiece { arg: 2, element: 0, bytes }] = pieces[..] else { panic!("{pieces:?}") };
        let (seconds, ns) = bytes.split_at(8);
        assert_eq!(seconds, [0; 8], "{bytes:?}");
        let ns = u64::from_le_bytes(ns.try_into().expect("a timespec"));
        assert!(ns >= 5_000_000, "{bytes:?}");
    }
}

fn assert_stacks(recorded: &Recorded) {
    let folded = recorded.folded(&["--event", "syscalls"]);
    let stacks = folded.stacks.keys();
    let truncated: Vec<_> = stacks.filter(|stack| stack.contains("[truncated]")).collect();
    assert!(truncated.is_empty(), "{truncated:#?}");
    let slow = "plan;_start;__libc_start_main;__libc_start_call_main;main;calls;sleep_ms;";
    let all = folded.head(20);
    assert!(folded.stacks.keys().any(|stack| stack.starts_with(slow)), "no {slow} in\n{all}");
}

pub fn of_functions(recorded: &Recorded) {
    let contents = recorded.contents();
    if contents.is_of_linux_5_10() {
        assert!(recorded.stderr.contains("they need Linux 5.18"), "it is not said");
        return;
    }
    let expected = [("doubled", 13), ("greeting", 2), ("nested", 70)];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(contents.counted_functions(), expected.into());
    assert_eq!(contents.function_calls.len(), 85);
    let texts: Vec<&[u8]> = contents.texts.iter().map(Vec::as_slice).collect();
    for text in [&b"a \"name\""[..], b"other", b"hello"] {
        assert!(texts.contains(&text), "{texts:?}");
    }
}
