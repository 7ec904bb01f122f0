//! Filters of a real recording: every program means the same by them, and what
//! is selected adds up to what there is.

use rz_tests::{Folded, Output, Trace, program_path, report, text};

/// One recording, of 64 threads that compute and yield, in all ways.
#[test]
fn threads_that_compute_and_yield() {
    let program = program_path("threads");
    let trace = Trace::record(&["-q", "--off-cpu", "--syscalls", "--", text(&program), "2"]);
    windows_add_up_to_the_whole(&trace);
    both_programs_select_the_same(&trace);
    threads_are_those_of_the_list(&trace);
    stacks_are_those_with_a_function(&trace);
    what_cannot_be_is_said(&trace);
}

/// What `report` says of a recording.
#[track_caller]
fn shown(trace: &Trace, args: &[&str]) -> Output {
    report(&[&[text(&trace.path())], args].concat()).success()
}

/// The number of samples that the header gives.
#[track_caller]
fn samples(output: &Output) -> u64 {
    let line = output.stdout.lines().find_map(|line| line.strip_prefix("  samples   "));
    let number = line.and_then(|line| line.split(' ').next());
    let number = number.unwrap_or_else(|| panic!("{output}")).replace(',', "");
    if number == "none" { 0 } else { number.parse().unwrap_or_else(|_| panic!("{output}")) }
}

/// Samples by the name of their thread, of the last table.
fn by_thread(output: &Output) -> Vec<(String, u64)> {
    let (_, table) = output.stdout.split_once("\nTHREADS").unwrap_or_else(|| panic!("{output}"));
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Share, time and its unit, samples, number, name, maybe the process.
        let [_, _, _, samples, _, name, ..] = words[..] else { panic!("{output}") };
        (name.to_owned(), samples.replace(',', "").parse().unwrap())
    };
    table.lines().skip(2).map(row).collect()
}

fn windows_add_up_to_the_whole(trace: &Trace) {
    let windows: [&[&str]; 3] =
        [&["--to", "500ms"], &["--from", "500ms", "--to", "60%"], &["--from", "60%"]];
    let whole = trace.folded(&[]);
    assert!(whole.total() > 100, "{}", whole.head(10));
    let parts = windows.map(|window| trace.folded(window));
    assert_eq!(parts.iter().map(Folded::total).sum::<u64>(), whole.total());
    for (stack, &count) in &whole.stacks {
        let parts = parts.iter().filter_map(|part| part.stacks.get(stack));
        assert_eq!(parts.sum::<u64>(), count, "{stack}");
    }
    // Time is given in whole microseconds of each stack.
    for event in ["off-cpu", "syscalls"] {
        let of = |window: &[&str]| trace.folded(&[&["--event", event], window].concat());
        let (whole, parts) = (of(&[]), windows.map(of));
        let sum: u64 = parts.iter().map(Folded::total).sum();
        let stacks: usize = parts.iter().chain([&whole]).map(|part| part.stacks.len()).sum();
        assert!(sum.abs_diff(whole.total()) <= stacks as u64, "{event}: {sum}");
        assert!(parts.iter().all(|part| part.total() > whole.total() / 50), "{event}");
    }
}

fn both_programs_select_the_same(trace: &Trace) {
    let check = |args: &[&str], header: &str| {
        let output = shown(trace, args);
        let total = trace.folded(args).total();
        assert_eq!(samples(&output), total, "{args:?}");
        assert!(total > 0, "{args:?}");
        assert!(output.stdout.contains(&format!("  filter    {header}\n")), "{output}");
    };
    check(&["--from", "1s", "--to", "1500ms"], "1s to 1.5s");
    check(&["--thread", "parse-*", "--thread", "net-*"], "thread parse-* or net-*");
    check(&["--process", "threads", "--focus", "^crunch$"], "process threads, focus ^crunch$");
    check(&["--ignore", "yield"], "ignore yield");
    check(&["--only-module", "threads"], "only module threads");
    check(
        &["--only-module", "[kernel]", "--collapse-recursion"],
        "only module [kernel], recursion collapsed",
    );
}

fn threads_are_those_of_the_list(trace: &Trace) {
    let rows = by_thread(&shown(trace, &["--threads"]));
    let parsing = rows.iter().filter(|(name, _)| name.starts_with("parse-"));
    let selected = shown(trace, &["--thread", "parse-*", "--threads"]);
    assert_eq!(samples(&selected), parsing.clone().map(|row| row.1).sum::<u64>());
    assert_eq!(by_thread(&selected).len(), parsing.count());
    // Exact sums are by thread, and stay exact.
    let waits = shown(trace, &["--off-cpu", "--thread", "parse-*"]).stdout;
    assert!(waits.contains("WHY THREADS WAITED  exact: "), "{waits}");
    let one = shown(trace, &["--off-cpu", "--thread", "parse-00", "--from", "10%"]).stdout;
    assert!(one.contains("WHY THREADS WAITED  added up"), "{one}");
}

fn stacks_are_those_with_a_function(trace: &Trace) {
    let whole = trace.folded(&[]);
    let (focused, ignored) =
        (trace.folded(&["--focus", "^crunch$"]), trace.folded(&["--ignore", "^crunch$"]));
    let has_crunch = |stack: &str| stack.split(';').any(|frame| frame == "crunch");
    let with_crunch = whole.stacks.iter().filter(|(stack, _)| has_crunch(stack));
    assert_eq!(focused.total(), with_crunch.map(|(_, count)| count).sum::<u64>());
    assert_eq!(focused.total() + ignored.total(), whole.total());
    // What the kernel and the C library did counts for their callers.
    let own = trace.folded(&["--only-module", "threads"]);
    let names = ["_start", "main", "enter_", "loop_until_deadline", "crunch"];
    // Few instructions, so seldom in a sample: inlined functions of headers, the stubs that
    // lead into the C library, and what the compiler adds to the beginning and the end.
    let rare = ["work", "now_ns", "deadline_ns", "atof", "say", "__do_global_dtors_aux"];
    let rare = [&rare[..], &["deregister_tm_clones", "register_tm_clones", "frame_dummy"]].concat();
    for stack in own.stacks.keys() {
        let known = |frame: &str| {
            names.iter().chain(&rare).any(|name| frame.starts_with(name)) || frame.ends_with("@plt")
        };
        assert!(stack.split(';').skip(1).all(known), "{stack}");
    }
    assert_eq!(own.count("loop_until_deadline"), whole.count("loop_until_deadline"));
}

#[test]
fn allocations_of_windows_add_up() {
    let program = program_path("heap");
    let trace = Trace::record(&["-q", "--alloc=full", "--", text(&program), "60"]);
    let allocated = |window: &[&str]| trace.folded(&[&["--metric", "count"], window].concat());
    let whole = allocated(&[]);
    let parts = [&["--to", "50%"][..], &["--from", "50%"]].map(allocated);
    assert!(parts.iter().all(|part| part.total() > 0));
    assert_eq!(parts.iter().map(Folded::total).sum::<u64>(), whole.total());
    // What is leaked comes first.
    let left = trace.folded(&["--metric", "live-count", "--from", "50%"]);
    assert_eq!(left.total(), 0);
    let left = trace.folded(&["--metric", "live-count", "--to", "50%", "--focus", "^leak$"]);
    assert_eq!(left.total(), 100);
}

fn what_cannot_be_is_said(trace: &Trace) {
    let path = trace.path();
    let path = text(&path);
    report(&[path, "--from", "1h"]).refused(1, &["nothing to show from 3600s on", "long"]);
    trace.conv(&["--to", "folded", "--from", "1h"]).refused(1, &["nothing to show"]);
    for wrong in [["--from", "soon"], ["--focus", "("], ["--to", "5"]] {
        let output = report(&[&[path], &wrong[..]].concat()).code(2);
        assert!(output.stderr.contains(wrong[1]), "{output}");
        trace.conv(&[&["--to", "folded"], &wrong[..]].concat()).code(2);
    }
    let nothing = shown(trace, &["--thread", "nobody"]);
    assert!(nothing.stdout.ends_with("\nno samples: the filter leaves none\n"), "{nothing}");
    let nothing = trace.conv(&["--to", "folded", "--thread", "nobody"]).success();
    assert!(nothing.stdout.is_empty() && nothing.stderr.contains("leaves no samples"), "{nothing}");
}
