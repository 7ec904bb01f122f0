//! Two parts of one recording are compared: ranges of time, and threads. What each side
//! has is what a report of that part alone says.

use std::process::Command;

use rz_tests::{Output, Trace, binary, program_path, report, run, temp_dir, text};
use serde_json::Value;

/// One recording, in all ways, of two threads of which one changes in the middle.
#[test]
fn a_thread_that_changes() {
    let program = program_path("phases");
    let all = ["-q", "--off-cpu", "--syscalls", "--alloc=full", "--", text(&program), "4"];
    let trace = Trace::record(&all);
    sides_are_reports_of_their_parts(&trace);
    what_changed_is_found(&trace);
    ranges_of_any_length_are_rates(&trace);
    threads_are_compared_by_what_they_do(&trace);
    every_output_says_which_part_is_meant(&trace);
    what_cannot_be_is_said(&trace);
    one_trace_from_a_pipe(&trace);
}

/// Before and after it changes; the recording begins and ends about when the program does.
const EARLY: [&str; 4] = ["--from", "10%", "--until", "45%"];
const LATE: [&str; 4] = ["--from", "55%", "--until", "90%"];
const BOTH: [&str; 4] = ["--before", "10%..45%", "--after", "55%..90%"];

fn compared(trace: &Trace, args: &[&str]) -> Output {
    report(&[&["--diff", text(&trace.path())], args].concat())
}

#[track_caller]
fn compared_json(trace: &Trace, args: &[&str]) -> Value {
    let output = compared(trace, &[args, &["--json"]].concat()).success();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

#[track_caller]
fn json_of(trace: &Trace, args: &[&str]) -> Value {
    let all = ["--json", "--limit", "1000000"];
    let output = report(&[&[text(&trace.path())], args, &all].concat()).success();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

#[track_caller]
fn function<'j>(diff: &'j Value, name: &str) -> &'j Value {
    let functions = diff["functions"].as_array().unwrap();
    let found = functions.iter().find(|function| function["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {diff:#}"))
}

#[track_caller]
fn number(json: &Value, path: &str) -> f64 {
    json.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path}: {json:#}"))
}

/// Compares all that `--json` of a part says with that side of a comparison, whose values
/// are weights times `factor` divided by the time of so many threads.
#[track_caller]
fn check_side(diff: &Value, side: &str, part: &Value, (factor, threads): (f64, f64)) {
    let duration = number(part, "/trace/duration_ns");
    let about = |found: f64, expected: f64, what: &str| {
        assert!((found - expected).abs() <= 1e-9 * expected, "{side}: {what}: {found} {expected}");
    };
    about(number(diff, &format!("/{side}/duration_ns")), duration, "duration");
    for what in ["samples", "weight"] {
        let of_part = number(part, &format!("/event/total/{what}"));
        about(number(diff, &format!("/{side}/{what}")), of_part, what);
    }
    let rows = part["data"]["functions"]["rows"].as_array().unwrap();
    assert!(rows.len() > 3, "{part:#}");
    for row in rows {
        let functions = diff["functions"].as_array().unwrap();
        let is_it = |f: &&Value| f["name"] == row["function"] && f["module"] == row["module"];
        let found = functions.iter().find(is_it).unwrap_or_else(|| panic!("no {row}"));
        for which in ["self", "total"] {
            let weight = number(row, &format!("/{which}/weight"));
            let value = number(found, &format!("/{which}/{side}"));
            about(value, factor * weight / (duration * threads), &row.to_string());
        }
    }
}

fn sides_are_reports_of_their_parts(trace: &Trace) {
    for event in ["cpu", "off-cpu", "syscalls", "wall"] {
        let event = ["--event", event];
        let diff = compared_json(trace, &[&BOTH[..], &event].concat());
        assert_eq!(diff["normalization"]["per"], "wall", "{diff:#}");
        for (side, part) in [("before", EARLY), ("after", LATE)] {
            let part = json_of(trace, &[&part[..], &event].concat());
            check_side(&diff, side, &part, (100.0, 1.0));
        }
    }
    // Allocations as they are.
    let raw = ["--per", "raw", "--event", "alloc"];
    let diff = compared_json(trace, &[&BOTH[..], &raw].concat());
    for (side, part) in [("before", EARLY), ("after", LATE)] {
        let part = json_of(trace, &[&part[..], &["--event", "alloc"]].concat());
        let weight = number(&part, "/event/total/weight");
        assert_eq!(number(&diff, &format!("/{side}/weight")), weight);
        assert!(weight > 100_000.0, "{weight}");
    }
}

fn what_changed_is_found(trace: &Trace) {
    let found = |args: &[&str], name: &str| {
        let diff = compared_json(trace, &[&BOTH[..], args].concat());
        // It is one build, in which nothing has another name.
        assert_eq!(diff["likely_renames"], Value::Array(Vec::new()), "{diff:#}");
        function(&diff, name)["total"].clone()
    };
    // Others are at work on this machine as well, so that all of the time may be more or less.
    assert_eq!(found(&["--per", "share"], "early")["verdict"], "less");
    assert_eq!(found(&["--per", "share"], "late")["verdict"], "new");
    assert_eq!(found(&["--heap"], "late")["verdict"], "new");
    for event in ["cpu", "off-cpu", "syscalls"] {
        let [before, after] =
            [0, 1].map(|i| found(&["--event", event], "late")["samples"][i].as_u64());
        assert!(before == Some(0) && after > Some(0), "{event}: {before:?} {after:?}");
    }
    let failing = |condition: &str| {
        compared(trace, &[&BOTH[..], &["--per", "share", "--fail-if", condition]].concat())
    };
    failing("total:late>5%").code(3);
    failing("total:early>5%").success();
}

/// A short part and a long one of the same work.
fn ranges_of_any_length_are_rates(trace: &Trace) {
    let diff = compared_json(trace, &["--before", "5%..10%", "--after", "10%..45%"]);
    let [short, long] =
        ["before", "after"].map(|side| number(&diff, &format!("/{side}/duration_ns")));
    assert!((long / short - 7.0).abs() < 1e-3, "{diff:#}");
    let early = &function(&diff, "early")["total"];
    let ratio = number(early, "/after") / number(early, "/before");
    // Others are at work on this machine as well.
    assert!(ratio > 0.5 && ratio < 2.0, "{diff:#}");
    let samples = number(early, "/samples/1") / number(early, "/samples/0");
    assert!(samples > 3.5, "{diff:#}");
}

fn threads_are_compared_by_what_they_do(trace: &Trace) {
    let threads = ["--before", "thread=steady", "--after", "thread=changing"];
    let diff = compared_json(trace, &threads);
    assert_eq!(diff["normalization"]["per"], "thread", "{diff:#}");
    assert_eq!(diff["normalization"]["unit"], "% of each thread's time");
    for (side, thread) in [("before", "steady"), ("after", "changing")] {
        check_side(&diff, side, &json_of(trace, &["--thread", thread]), (100.0, 1.0));
    }
    // Stacks of both are the same but for what the threads do.
    for name in ["start_thread", "run", "early"] {
        let samples = &function(&diff, name)["total"]["samples"];
        assert!(samples[0] != 0 && samples[1] != 0, "{name}: {diff:#}");
    }
    // Sets of threads are compared per thread.
    let all = ["--before", "thread=steady", "--after", "thread=*"];
    let diff = compared_json(trace, &all);
    let count = number(&diff, "/after/runs/0/threads");
    assert!(count >= 3.0, "{diff:#}");
    check_side(&diff, "after", &json_of(trace, &[]), (100.0, count));
    // A range for both.
    let diff = compared_json(trace, &[&threads[..], &LATE].concat());
    let one = json_of(trace, &[&LATE[..], &["--thread", "changing"]].concat());
    check_side(&diff, "after", &one, (100.0, 1.0));
    let diff = compared_json(trace, &[&threads[..], &LATE, &["--per", "share"]].concat());
    for (name, verdict) in [("late", "new"), ("early", "gone")] {
        assert_eq!(function(&diff, name)["total"]["verdict"], verdict, "{diff:#}");
    }
}

fn every_output_says_which_part_is_meant(trace: &Trace) {
    let name = trace.path().file_name().unwrap().to_string_lossy().into_owned();
    let [before, after] = ["10%..45%", "55%..90%"].map(|part| format!("{name} {part}"));
    let shown = compared(trace, &BOTH).success();
    for part in [&before, &after, "  filter    ", "between these two only"] {
        assert!(shown.stdout.contains(part), "{part}: {shown}");
    }
    let dir = temp_dir();
    let [svg, html] = ["d.svg", "d.html"].map(|file| dir.path().join(file));
    let files = ["--svg", text(&svg), "--html", text(&html), "--markdown"];
    let markdown = compared(trace, &[&BOTH[..], &files].concat()).success();
    assert!(markdown.stdout.contains(&format!("| before (`{before}`)")), "{markdown}");
    let svg = std::fs::read_to_string(svg).unwrap();
    assert!(svg.contains(&format!("{before} → {after}")), "{}", &svg[..2_000]);
    assert!(html.is_file());
    let diff = compared_json(trace, &BOTH);
    assert_eq!(diff["after"]["runs"][0]["trace"], after.as_str());
    assert!(diff["after"]["runs"][0]["filter"].as_str().unwrap().contains("s to "), "{diff:#}");
    let notes = |diff: &Value| diff["notes"].to_string();
    assert!(!notes(&diff).contains("overlap"), "{diff:#}");
    let diff = compared_json(trace, &["--before", "..60%", "--after", "40%.."]);
    assert!(notes(&diff).contains("before and after overlap"), "{diff:#}");
}

fn what_cannot_be_is_said(trace: &Trace) {
    let check = |args: [&str; 4], parts: &[&str]| compared(trace, &args).refused(1, parts);
    check(["--before", "1h..2h", "--after", ".."], &["nothing to show from 3600s on", "long"]);
    check(["--before", "2s..1s", "--after", ".."], &["there is no time from 2s to 1s"]);
    let nobody = ["--before", "thread=nobody", "--after", "thread=steady"];
    check(nobody, &["no thread is in --before thread=nobody", "--threads lists them"]);
    let work = ["--before", "..1s", "--after", "1s..", "--per", "work"];
    compared(trace, &work).refused(1, &["with --work"]);
}

fn one_trace_from_a_pipe(trace: &Trace) {
    let parts = "--before 10%..45% --after 55%..90% --json";
    let script =
        format!("cat {} | {} --diff - {parts}", text(&trace.path()), text(&binary("report")));
    let piped = run(Command::new("sh").args(["-c", &script])).success();
    let piped: Value = serde_json::from_str(&piped.stdout).unwrap();
    assert_eq!(piped["total"], compared_json(trace, &BOTH)["total"]);
}
