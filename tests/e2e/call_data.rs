//! What system calls read, write, send and receive: `rec --syscall-data`.

use std::collections::BTreeMap;

use regex::Regex;
use rz_tests::{Contents, Recorder, Trace, conv, program_path, rec, report, temp_dir, text, tool};

/// Records `buffers` under strace, which writes to a file; returns that, too.
fn recorded_under_strace() -> (Trace, String) {
    let dir = temp_dir();
    let written = dir.path().join("strace");
    let (strace, program) = (tool("strace"), program_path("buffers"));
    let trace = Recorder::spawn(&[
        "-q",
        "--syscalls",
        "--syscall-data",
        "--",
        text(&strace),
        "-f",
        "-s",
        "32",
        "-o",
        text(&written),
        text(&program),
    ])
    .finish();
    assert!(trace.output.status.success(), "{}", trace.output);
    let written = std::fs::read_to_string(written).unwrap();
    (trace, written)
}

/// Records `buffers`, with options for `rec`.
fn recorded(options: &[&str]) -> Trace {
    let program = program_path("buffers");
    let trace = Recorder::spawn(&[&["-q"], options, &["--", text(&program)]].concat()).finish();
    assert!(trace.output.status.success(), "{}", trace.output);
    trace
}

fn list(trace: &Trace) -> String {
    report(&[text(&trace.path()), "--syscalls", "--list"]).success().stdout
}

/// The calls of each process. strace fills up with blanks, tells of signals and ends, and
/// splits calls that others come in between.
fn calls_of_strace(written: &str) -> BTreeMap<u32, Vec<String>> {
    let blanks = Regex::new(r" +(= |\?)").unwrap();
    let mut calls: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for line in written.lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        let of_process = calls.entry(pid.parse().unwrap()).or_default();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        match (rest.strip_suffix(" <unfinished ...>"), rest.split_once(" resumed>")) {
            (Some(begun), _) => of_process.push(begun.to_owned()),
            (None, Some((_, end))) => *of_process.last_mut().unwrap() += end,
            (None, None) => of_process.push(rest.to_owned()),
        }
    }
    for call in calls.values_mut().flatten() {
        // Only the last one is the result's.
        if let Some(found) = blanks.find_iter(call).last() {
            let (start, end) = (found.start(), found.end());
            let result = found.as_str().trim_start().to_owned();
            call.replace_range(start..end, &format!(" {result}"));
        }
    }
    calls
}

/// The same of `report`, which adds times.
fn calls_of_report(list: &str) -> BTreeMap<u32, Vec<String>> {
    let line = Regex::new(r"^\[pid (\d+)\] [\d:.]+ (.*?)( <[\d.]+>)?$").unwrap();
    let mut calls: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for text in list.lines() {
        let Some(found) = line.captures(text) else { continue };
        calls.entry(found[1].parse().unwrap()).or_default().push(found[2].to_owned());
    }
    calls
}

/// A call without what `report` says of file descriptors behind their numbers.
fn without_names(call: &str) -> String {
    let name = Regex::new(r"(\d)<(?:->|[^<>])*>").unwrap();
    name.replace_all(call, "$1").into_owned()
}

/// Both see the same execution, so that addresses are the same, too.
#[test]
fn a_list_is_what_strace_prints() {
    let (trace, written) = recorded_under_strace();
    let expected = calls_of_strace(&written);
    let mut listed = calls_of_report(&list(&trace));
    assert_eq!(expected.len(), 2, "{written}");
    let mut compared = 0;
    for (pid, expected) in expected {
        let mut calls = listed.remove(&pid).unwrap_or_default();
        // What strace does in the new process before it becomes the program.
        let first =
            calls.iter().position(|call| without_names(call) == without_names(&expected[0]));
        calls.drain(..first.unwrap_or(0));
        for (call, expected) in calls.iter().zip(&expected) {
            assert_eq!(without_names(call), without_names(expected));
            compared += 1;
        }
        assert_eq!(calls.len(), expected.len());
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn as_many_bytes_as_are_asked_for() {
    let trace = recorded(&["--syscalls=write,read,execve", "--syscall-data=4"]);
    let listed = list(&trace);
    assert!(listed.contains(r#", "a\0012b"..., 31) = 31"#), "{listed}");
    assert!(listed.contains(r#""..., "", "exac"..., "one "..., "\n"], 0x"#), "{listed}");
    let info = report(&[text(&trace.path()), "--info"]).success().stdout;
    assert!(info.contains("data of system calls up to 4 B each"), "{info}");
}

fn data_of(contents: &Contents) -> usize {
    contents.calls.iter().filter(|call| call.data.is_some()).count()
}

#[test]
fn without_being_asked_nothing_is_copied() {
    let trace = recorded(&["--syscalls"]);
    let contents = trace.contents();
    assert!(contents.calls.len() > 50 && contents.call_data.is_empty(), "{contents:?}");
    assert_eq!(data_of(&contents), 0);
    let listed = list(&trace);
    assert!(listed.contains("write(-1, 0x") && !listed.contains("st_mode"), "{listed}");
}

#[test]
fn what_is_redacted_has_no_data() {
    let trace = recorded(&["--syscalls", "--syscall-data"]);
    let contents = trace.contents();
    assert!(data_of(&contents) > 50 && !contents.call_data.is_empty());

    let dir = temp_dir();
    let made = |name: &str, options: &[&str]| {
        let out = dir.path().join(name);
        let (path, out) = (trace.path(), text(&out));
        conv(&[&[text(&path), "--to", "rz", "-o", out], options].concat()).success();
        Contents::read(out.as_ref())
    };
    let redacted = made("redacted", &["--redact"]);
    assert_eq!((data_of(&redacted), redacted.call_data.len()), (0, 0));
    for (name, options) in [
        ("kept", &["--redact", "--keep", "data"][..]),
        ("embedded", &["--embed"]),
        ("merged", &["--label", "one"]),
    ] {
        assert_eq!(data_of(&made(name, options)), data_of(&contents), "{name}");
    }
}

#[test]
fn data_needs_calls_to_go_with() {
    let program = program_path("buffers");
    rec(&["--syscalls=summary", "--syscall-data", "--", text(&program)])
        .refused(1, &["--syscall-data with --syscalls=summary", "leave out summary"]);
    let output = rec(&["--syscall-data=5000", "--syscalls", "--", text(&program)]).code(2);
    assert!(output.stderr.contains("5000 is not in 1..=4096"), "{output}");
}
