//! Runs the `report` binary where no trace can be shown: what it says, how it
//! exits, and what it leaves alone.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn report(directory: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
    command.current_dir(directory).args(arguments.split_whitespace());
    command.output().expect("report runs")
}

fn check(arguments: &str, code: i32, message: &str) {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str| fs::write(directory.path().join(name), name).unwrap();
    write("a.rz");
    write("b.rz");
    let output = report(directory.path(), arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
    assert!(stderr.contains(message), "{arguments}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments}");
    if code == 1 {
        assert!(stderr.starts_with("report: "), "{arguments}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{arguments}: {stderr}");
    }
    for name in ["a.rz", "b.rz"] {
        assert_eq!(fs::read_to_string(directory.path().join(name)).unwrap(), name);
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "{arguments}");
}

#[test]
fn failures_are_one_line_and_leave_nothing_behind() {
    check("missing.rz", 1, "missing.rz");
    check("missing.rz --svg out.svg", 1, "missing.rz");
    check("--diff missing.rz b.rz", 1, "missing.rz");
}

#[test]
fn a_trace_is_never_overwritten() {
    let message = "a trace is not overwritten with a report";
    check("--svg a.rz b.rz", 1, message);
    check("a.rz -o ./a.rz", 1, message);
    check("a.rz -o new.rz", 1, message);
    check("--diff a.rz b.rz --svg b.rz", 1, message);
}

#[test]
fn wrong_usage_exits_with_2() {
    check("", 2, "Usage: report");
    check("a.rz --tree --inverted", 2, "cannot be used with");
    check("a.rz --limit many", 2, "invalid value");
}

#[test]
fn a_full_disk_is_said_once() {
    for option in ["--json /dev/full", "--svg /dev/full", "-o /dev/full"] {
        let output = shown(&format!("t.rz {option}"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{option}: {stderr}");
        assert_eq!(stderr.matches("No space left on device").count(), 1, "{option}: {stderr}");
    }
}

/// What `report` prints of the vectors: that of format 1.1 is called `t.rz`,
/// that of 1.2 `heap.rz`, that of 1.3 `merged.rz`.
fn shown(arguments: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    fs::copy(vectors.join("v1.1/small.rz"), directory.path().join("t.rz")).unwrap();
    fs::copy(vectors.join("v1.0/small.rz"), directory.path().join("old.rz")).unwrap();
    fs::copy(vectors.join("v1.2/small.rz"), directory.path().join("heap.rz")).unwrap();
    fs::copy(vectors.join("v1.3/small.rz"), directory.path().join("merged.rz")).unwrap();
    fs::write(directory.path().join("known.txt"), "# none\nleak:libknown\n").unwrap();
    fs::write(directory.path().join("bad.txt"), "leak:a\nthread:b\n").unwrap();
    report(directory.path(), arguments)
}

fn check_shown(arguments: &str, expected: &[&str]) {
    let output = shown(arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments}");
    for line in expected {
        assert!(text.contains(line), "{arguments}: no {line:?} in {text}");
    }
}

#[test]
fn every_view_of_waits_and_calls() {
    let check = check_shown;
    check("t.rz", &["300 = 3.00 s of CPU", "(cpu-clock, perf tier)"]);
    check("t.rz --off-cpu", &["8.00 ms off the CPU", "WHY THREADS WAITED", "futex ← "]);
    check("t.rz --off-cpu --tree", &["87.5%   87.5%  ├─ [off-CPU: futex]"]);
    check("t.rz --off-cpu --svg -", &["Off-CPU flame graph: t.rz"]);
    check("t.rz --wall", &["3.01 s on and off the CPU", "[off-CPU: futex]"]);
    check("t.rz --syscalls", &["exact: 2 calls, 1 failed", "ENOENT  openat", "READ"]);
    check("t.rz --syscalls --inverted", &["[syscall: openat]"]);
    check("--diff t.rz t.rz --event off-cpu", &["off CPU     8.00 ms", "in % of one thread"]);
    check("--diff t.rz t.rz", &["no evidence", "differences may be between these two runs only"]);
    check(
        "--diff t.rz t.rz --against t.rz t.rz --work 10 --work 20 --work-name requests",
        &["runs        2", "ms of CPU time per request: before ÷ 20 requests, after ÷ 40 requests"],
    );
    check("--diff t.rz t.rz --event syscalls --by count", &["how many in calls per second"]);
    check("--diff t.rz t.rz --per share", &["in % of all CPU time"]);
    check("t.rz --syscalls --list", &[" = ? <unfinished ...>", "[pid 4242] ", "(1 of 8)\n"]);
}

#[test]
fn every_view_of_a_merged_trace() {
    let sources =
        [" in 3 recordings at 100 Hz (", "\nSOURCES  on the clock of the first", "  b  other"];
    check_shown("merged.rz", &sources);
    for view in ["--tree", "--inverted", "--off-cpu", "--wall", "--syscalls", "--heap"] {
        check_shown(&format!("merged.rz {view}"), &sources[1..]);
    }
    check_shown("merged.rz --syscalls --list", &[" = ? <unfinished ...>"]);
    check_shown("merged.rz --svg -", &["</svg>"]);
    check_shown("--diff merged.rz merged.rz", &["merged.rz"]);
}

#[test]
fn every_view_of_allocations() {
    let check = check_shown;
    check("heap.rz", &["  also      off-cpu, syscalls, alloc: see ", "--syscalls, --heap\n"]);
    let totals = [
        "  heap      one allocation in 512 KiB, by a preloaded library, from libc.so.6\n",
        "  samples   1 of 17 allocations recorded one by one\n",
        "     17         97.9 KiB               allocated, 5.8 KiB each\n",
        "     ~6  ±11  ~562.4 KiB  ±1002.0 KiB  at the peak, after 4.10 µs\n",
        "      2                                allocations that failed\n",
        "TOP AT THE PEAK",
        "THREADS  by bytes allocated\n",
        "NOTES\n",
    ];
    check("heap.rz --heap", &totals);
    check("heap.rz --heap --sites", &["   1  100.0%  ~562.4 KiB ±1002.0 KiB in ~6 ±11 objects"]);
    check("heap.rz --heap --peak", &["PEAK  ~562.4 KiB", "      [libc.so.6+0x45000]"]);
    check("heap.rz --heap --leaks --suppressions known.txt", &["LEAKS  none", "SUPPRESSED  none"]);
    check("heap.rz --heap --temporary", &["TEMPORARY  none\n"]);
    check("heap.rz --heap --tree --metric count", &["  shown     allocations: ~6 ±11\n"]);
    check("heap.rz --heap --svg - --metric peak", &["Bytes at the peak flame graph: heap.rz"]);
    check("heap.rz --event alloc", &["100.0%  562.4 KiB  [app+0x401040]"]);
    check(
        "--diff heap.rz heap.rz --heap --metric peak",
        &["Compared is bytes at the peak as it is, in KiB: before as it is", "interval -"],
    );
    check("--diff heap.rz heap.rz --event alloc", &["Compared is bytes allocated per wall time"]);
    check(
        "--diff heap.rz heap.rz --heap --svg -",
        &["heap.rz → heap.rz, bytes allocated in ", "bytes allocated per s,"],
    );
}

#[test]
fn a_reader_that_is_gone_is_no_error() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    for arguments in [
        "--syscalls --list",
        "--syscalls",
        "--off-cpu",
        "--off-cpu --svg -",
        "--heap",
        "--heap --sites",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
        command.arg(vectors.join("v1.2/small.rz")).args(arguments.split_whitespace());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments}: {stderr}");
        assert!(stderr.lines().all(|line| line.starts_with("report: note: ")), "{stderr}");
    }
}

#[test]
fn what_was_not_recorded_is_said() {
    let check = |arguments: &str, expected: &str| {
        let output = shown(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        assert_eq!(text.lines().last(), Some(expected), "{arguments}");
    };
    let without = |event: &str, option: &str| {
        format!(
            "report: old.rz: no event \"{event}\" in the trace; it has cpu-clock: record with rec \
             {option}"
        )
    };
    check("old.rz --off-cpu", &without("off-cpu", "--off-cpu"));
    check("old.rz --wall", &without("wall", "--off-cpu"));
    check("old.rz --syscalls", &without("syscalls", "--syscalls"));
    check("old.rz --heap", &without("alloc", "--alloc"));
    check("old.rz --heap --leaks", &without("alloc", "--alloc"));
    check("--diff heap.rz old.rz --heap", &without("alloc", "--alloc"));
    check(
        "heap.rz --heap --leaks --suppressions bad.txt",
        "report: bad.txt: line 2: expected leak:PATTERN, found \"thread:b\"",
    );
    check("--diff t.rz old.rz --event off-cpu", &without("off-cpu", "--off-cpu"));
    check(
        "old.rz --syscalls --list",
        "report: old.rz: no system calls were recorded: record with rec --syscalls",
    );
    check(
        "t.rz --event cycles",
        "report: t.rz: no event \"cycles\" in the trace; it has cpu-clock, off-cpu, syscalls, wall",
    );
}
