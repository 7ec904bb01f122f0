//! Runs the `report` binary where no trace can be shown: what it says, how it
//! exits, and what it leaves alone.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

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
