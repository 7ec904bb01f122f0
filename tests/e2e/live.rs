//! The view on a terminal, of finished traces and of those that are being recorded.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use rz_tests::{
    Screen, Target, Trace, binary, names_in, report, run, send, temp_dir, text, wait_until,
};
use serde_json::Value;

/// `report` for a shell, after what it is to have in its environment.
fn shown(args: &str) -> String {
    format!("{} {args}", text(&binary("report")))
}

/// The words of the first line that has all of `parts`.
fn line_with(screen: &str, parts: &[&str]) -> Vec<String> {
    let line = screen.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    let line = line.unwrap_or_else(|| panic!("no line has {parts:?}:\n{screen}"));
    line.split_whitespace().map(str::to_owned).collect()
}

fn crowd() -> (Target, Trace) {
    let target = Target::start("crowd", &["0", "20", "2"]);
    let trace = Trace::of(target.pid(), "1", &["--off-cpu", "--syscalls"]);
    (target, trace)
}

#[test]
fn numbers_are_those_of_the_report() {
    let (_target, trace) = crowd();
    let path = trace.path();
    let screen = Screen::start(80, 24, &shown(&format!("{} --tui", text(&path))));
    let top = screen.wait_for("function");
    let json = report(&[text(&path), "--json"]).success().stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let function = &json["data"]["functions"]["rows"][0];
    let own = function["self"]["weight"].as_u64().unwrap() as f64;
    let all = json["data"]["total"]["weight"].as_u64().unwrap() as f64;
    let words = line_with(&top, &[&format!("  {}  ", function["function"].as_str().unwrap())]);
    assert_eq!(words[0], format!("{:.1}%", own / all * 100.0), "{top}");
    let samples = json["event"]["total"]["samples"].as_u64().unwrap();
    let head = top.lines().next().unwrap().replace(',', "");
    assert!(head.contains(&format!("{samples} samples 0 lost")), "{top}");

    // Sorted by total, the outermost functions come first.
    screen.press(&["2"]);
    screen.press(&["/"]);
    screen.press(&["stay_b"]);
    let found = screen.wait_for("/stay_b");
    assert!(found.contains("stay_busy") && !found.contains("start_thread"), "{found}");
    screen.press(&["Enter"]);
    screen.press(&["Enter"]);
    let flame = screen.wait_for("through stay_busy");
    assert!(flame.contains("Flame"), "{flame}");
    screen.wait_for("▏stay_busy");
    screen.press(&["Escape"]);
    screen.wait_for("total %");

    screen.press(&["Tab", "Tab"]);
    let threads = screen.wait_for("busy-1");
    line_with(&threads, &["asleep", "futex, ≥"]);
    screen.press(&["Tab"]);
    let waits = screen.wait_for("reason");
    line_with(&waits, &["futex", "still waiting"]);
    // By the mouse, back to the first tab.
    screen.send("\x1b[<0;2;2M");
    screen.wait_for("total %");
    screen.press(&["["]);
    screen.wait_for("last 1");
    screen.press(&["?"]);
    screen.wait_for("any key goes back");
    screen.press(&["x"]);
    screen.resize(20, 5);
    screen.wait_for("40×8 is needed");
    screen.resize(100, 30);
    screen.wait_for("total %");
    screen.press(&["q"]);
    screen.wait_for("exited 0");
    assert!(screen.is_restored());
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let (_target, trace) = crowd();
    let screen = Screen::start(80, 24, &shown(&format!("{} --tui", text(&trace.path()))));
    screen.wait_for("function");
    assert!(!screen.is_restored());
    send(screen.child(), Signal::SIGTERM);
    screen.wait_for("exited 143");
    assert!(screen.is_restored());
    // When the terminal is gone, nobody would end it any more.
    let screen = Screen::start(80, 24, &shown(&format!("{} --tui", text(&trace.path()))));
    screen.wait_for("function");
    let report = screen.child();
    drop(screen);
    wait_until("report has ended", || !Path::new(&format!("/proc/{report}")).exists());
}

#[test]
fn without_a_terminal_it_says_so() {
    let output = report(&["nothing.rz", "--tui"]);
    output.refused(1, &["--tui needs a terminal"]);
    let target = Target::start("crowd", &["0", "1", "1"]);
    rz_tests::rec(&["--live", "-p", &target.pid_text()]).refused(1, &["--live needs a terminal"]);
    let screen = Screen::start(80, 24, &shown("nothing.rz --tui"));
    let said = screen.wait_for("exited 1");
    assert!(said.contains("nothing.rz: No such file"), "{said}");
    let screen = Screen::start(80, 24, &format!("echo no trace | {}", shown("- --tui")));
    screen.wait_for("exited 1");
    assert!(screen.is_restored());
}

#[test]
fn a_recording_is_seen_while_it_goes_on() {
    let target = Target::start("crowd", &["0", "20", "2"]);
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let rec = binary("rec");
    let command =
        format!("{} --live --off-cpu -p {} -o {}", text(&rec), target.pid_text(), text(&path));
    let screen = Screen::start(100, 24, &command);
    screen.wait_for("live");
    screen.wait_for("work  crowd");
    screen.press(&["f"]);
    screen.wait_for("frozen");
    screen.press(&["f"]);
    screen.press(&["Tab", "Tab"]);
    screen.wait_for("busy-1");
    screen.press(&["q"]);
    let said = screen.wait_for("exited 0");
    assert!(said.contains("t.rz: ") && said.contains(" samples"), "{said}");
    assert!(screen.is_restored());
    assert_eq!(names_in(dir.path()), ["t.rz"]);
    let verified = run(Command::new(binary("conv")).args(["--verify", text(&path)]));
    verified.success();
}

#[test]
fn the_end_of_the_target_is_seen() {
    let target = Target::start("crowd", &["0", "20", "2"]);
    let pid = target.pid_text();
    let (rec, report) = (binary("rec"), shown("- --tui"));
    let screen = Screen::start(100, 24, &format!("{} -q -p {pid} -o - | {report}", text(&rec)));
    screen.wait_for("work  crowd");
    drop(target);
    screen.wait_for("over");
    screen.press(&["q"]);
    screen.wait_for("exited 0");
    assert!(screen.is_restored());
}
