//! Where output goes, and what is said on the way: pipes, files, terminals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_tests::{
    Folded, Target, binary, conv, names_in, program, quoted, rec, report, run, run_in_terminal,
    temp_dir, text,
};
use tempfile::TempDir;

mod traces;

/// A reader that has seen enough is no error.
#[test]
fn a_pipe_that_is_closed_early() {
    let dir = temp_dir();
    let trace = quoted(text(&recorded(&dir)));
    for command in [
        format!("{} {trace} --to folded -o - | head -n 1", tool("conv")),
        format!("{} {trace} --to folded | head -n 1", tool("conv")),
        format!("{} {trace} --to speedscope | head -c 1", tool("conv")),
        format!("{} {trace} | head -n 1", tool("report")),
        format!("{} {trace} --svg - | head -n 1", tool("report")),
        // Closed before the first byte.
        format!("{} {trace} --to folded | true", tool("conv")),
        format!("{} --help | true", tool("rec")),
    ] {
        let output = run(Command::new("bash").args(["-o", "pipefail", "-c", &command])).success();
        assert_eq!(output.stderr, "", "{output}");
    }
}

#[test]
fn conv_writes_where_it_is_told_to() {
    let dir = temp_dir();
    let trace = recorded(&dir);
    let piped = conv(&[text(&trace), "--to", "folded"]).success();
    assert!(Folded::parse(&piped.stdout).total() > 10);
    let dash = conv(&[text(&trace), "--to", "folded", "-o", "-"]).success();
    assert_eq!((&dash.stdout, dash.stderr.as_str()), (&piped.stdout, ""));
    assert_eq!(names_in(dir.path()), ["t.rz"]);

    let out = dir.path().join("x.folded");
    let named = conv(&[text(&trace), "-o", text(&out)]).success();
    assert_eq!(named.stdout, "");
    assert!(named.stderr.starts_with(&format!("conv: wrote {} (", out.display())), "{named}");
    assert_eq!(fs::read_to_string(&out).unwrap(), piped.stdout);
    let quiet = conv(&["-q", text(&trace), "-o", text(&out)]).success();
    assert_eq!(quiet.stderr, "");
    assert_eq!(names_in(dir.path()), ["t.rz", "x.folded"]);
}

/// Nobody wants a profile on the screen: it is put beside the trace, and the
/// name said.
#[test]
fn conv_in_a_terminal_writes_beside_the_trace() {
    let dir = temp_dir();
    let trace = recorded(&dir);
    for (format, name) in
        [("folded", "t.folded"), ("pprof", "t.pb.gz"), ("speedscope", "t.speedscope.json")]
    {
        let command = format!("{} {} --to {format}", tool("conv"), quoted(text(&trace)));
        let output = run_in_terminal(&command).success();
        let path = dir.path().join(name);
        assert!(output.stdout.contains(&format!("conv: wrote {} (", path.display())), "{output}");
        assert_eq!(output.stdout.lines().count(), 1, "{output}");
        assert!(path.metadata().unwrap().len() > 0);
    }
    let command = format!("{} {} --to folded -o -", tool("conv"), quoted(text(&trace)));
    assert!(run_in_terminal(&command).success().stdout.contains(";main;run;hot"));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let dir = temp_dir();
    let trace = recorded(&dir);
    let command = format!("{} {}", tool("report"), quoted(text(&trace)));
    let coloured = |command: &str| {
        let output = run_in_terminal(command).success();
        assert!(output.stdout.contains("TOP FUNCTIONS"), "{output}");
        output.stdout.contains('\x1b')
    };
    assert!(coloured(&command));
    assert!(!coloured(&format!("NO_COLOR=1 {command}")));
    assert!(!coloured(&format!("TERM=dumb {command}")));
    assert!(!coloured(&format!("{command} | cat")));
    let out = quoted(text(&dir.path().join("t.txt")));
    assert!(!coloured(&format!("{command} -o {out}; cat {out}")));
    assert!(!report(&[text(&trace)]).success().stdout.contains('\x1b'));
}

/// No line of a report is broken by a terminal of this width.
#[test]
fn a_report_fits_its_terminal() {
    let dir = temp_dir();
    let trace = dir.path().join("t.rz");
    // Its names are long.
    let command = program("rustdemo");
    rec(&["-q", "-F", "499", "-o", text(&trace), "--", &command[0], "1"]).success();
    for view in ["", "--tree", "--inverted", "--by total"] {
        for columns in [80, 132] {
            let command = format!(
                "stty cols {columns}; NO_COLOR=1 {} {} {view}",
                tool("report"),
                quoted(text(&trace))
            );
            let output = run_in_terminal(&command).success();
            for line in output.stdout.lines() {
                assert!(line.chars().count() <= columns, "{view} {columns}: {line}");
            }
        }
    }
}

#[test]
fn progress_is_for_terminals() {
    let dir = temp_dir();
    let target = Target::start("split", &[]);
    let recording = |name: &str, more: &str| {
        let path = dir.path().join(name);
        let pid = target.pid();
        format!("{} -d 1 -p {pid} -o {} {more}", tool("rec"), quoted(text(&path)))
    };
    let shown = run_in_terminal(&recording("a.rz", "")).success().stdout;
    assert!(shown.contains("\r") && shown.contains(" events  0 lost  "), "{shown:?}");
    // Cleared before the summary, which stays.
    let last = shown.trim_end().rsplit("\r\x1b[K").next().unwrap();
    assert!(last.starts_with(text(&dir.path().join("a.rz"))), "{shown:?}");

    let quiet = run_in_terminal(&recording("b.rz", "-q")).success().stdout;
    assert_eq!(quiet, "");

    let shell = |command: &str| run(Command::new("sh").args(["-c", command])).success();
    let piped = shell(&recording("c.rz", ""));
    assert_eq!(piped.stderr.lines().count(), 1, "{piped}");
    assert!(!piped.stderr.contains(['\r', '\x1b']) && piped.stdout.is_empty(), "{piped}");
    let silent = shell(&recording("d.rz", "-q"));
    assert_eq!((silent.stdout.as_str(), silent.stderr.as_str()), ("", ""));
    assert_eq!(names_in(dir.path()), ["a.rz", "b.rz", "c.rz", "d.rz"]);
}

/// What is recorded belongs to the program: its output, and its exit code.
#[test]
fn a_program_keeps_its_streams_and_its_exit_code() {
    let dir = temp_dir();
    let script = "read line; echo got $line; echo oops >&2; exit 7";
    let path = dir.path().join("t.rz");
    let command = format!(
        "echo word | {} -q -o {} -- sh -c {}",
        tool("rec"),
        quoted(text(&path)),
        quoted(script)
    );
    let output = run(Command::new("sh").args(["-c", &command])).code(7);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("got word\n", "oops\n"));
    rec(&["-q", "-o", text(&dir.path().join("k.rz")), "--", "sh", "-c", "kill -9 $$"]).code(137);
}

#[test]
fn help_says_what_there_is() {
    for name in ["rec", "conv", "report"] {
        let help = run(Command::new(binary(name)).arg("--help")).success();
        assert!(help.stdout.contains("Usage:") && help.stdout.contains("Examples:"), "{help}");
        assert_eq!(help.stderr, "");
        let version = run(Command::new(binary(name)).arg("--version")).success();
        assert_eq!(version.stdout, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

/// A binary of rz as a word of a shell command.
fn tool(name: &str) -> String {
    quoted(text(&binary(name)))
}

/// Half a second of a target program, in `t.rz` in `dir`.
fn recorded(dir: &TempDir) -> PathBuf {
    let path: &Path = &dir.path().join("t.rz");
    let command = program("split");
    rec(&["-q", "-F", "499", "-o", text(path), "--", &command[0], "0.5"]).success();
    path.to_owned()
}
