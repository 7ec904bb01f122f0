//! Frames of Node.js programs, which nobody has told what to do.

use std::collections::HashSet;
use std::process::Command;

use rz_format::CodeTier;
use rz_profile::model::{FrameKind, Location, Profile};
use rz_tests::{
    Target, Trace, assert_share, line_with, program_path, run, share_with_frame, temp_dir, tool,
};

/// Functions of `split.js`, and their shares.
const SHARES: [(&str, f64); 3] = [("hot", 0.7), ("warm", 0.2), ("cold", 0.1)];

/// Functions of it that are inlined, and how they are called.
const INLINED: [(&str, &str, f64); 3] = [
    ("often", "x = often(", 0.7),
    ("seldom", "x = seldom(", 0.2),
    ("Sum.rarely", "x = sum.rarely(", 0.1),
];

/// Records `split.js` as it does one of the things that it can do.
fn record(what: &str, args: &[&str]) -> Trace {
    record_with(&mut Command::new(tool("node")), what, "4", args)
}

/// The same, as a Node runs it, for some seconds.
fn record_with(node: &mut Command, what: &str, seconds: &str, args: &[&str]) -> Trace {
    let target = Target::spawn(node.arg(program_path("split.js")).arg(what));
    Trace::of(target.pid(), seconds, &[&["-q"], args].concat())
}

#[track_caller]
fn check_functions(trace: &Trace) {
    let folded = trace.folded(&[]);
    for (name, expected) in SHARES {
        let share = folded.share_in_order(&["(anonymous)", "run", name]);
        assert_share(name, share, expected, folded.total());
    }
    // Those of the program reach their roots. While node starts, one in a thousand may not.
    let (truncated, all) = (folded.count("[truncated"), folded.total());
    assert_eq!(folded.share_in_order(&["[truncated]", "run"]), 0.0, "{}", folded.head(10));
    assert!(truncated * 250 <= all, "{truncated} of {all}: {}", folded.head(10));
    // What was there before.
    let nameless = folded.share("Builtins_InterpreterEntryTrampoline") + folded.share("[anon]");
    assert!(nameless < 0.05, "{}", folded.head(10));
}

/// Checks how often a function is in the line that has this in it.
#[track_caller]
fn check_line(profile: &Profile, name: &str, part: &str, expected: f64) {
    let line = line_with("split.js", part);
    let is_at = |location: &Location| {
        let place = &location.lines[0];
        profile.functions[place.function].name == name && place.line == line
    };
    let samples = profile.samples.iter().map(|sample| sample.count).sum();
    assert_share(part, share_with_frame(profile, &is_at), expected, samples);
}

#[test]
fn functions_have_their_shares() {
    check_functions(&record("run", &[]));
}

#[test]
fn functions_have_their_shares_without_bpf() {
    check_functions(&record("run", &["--tier", "perf"]));
}

#[test]
fn functions_have_their_shares_in_threads_that_have_heaps_of_their_own() {
    let trace = record("workers", &["--stack-size", "63K"]);
    check_functions(&trace);
    let profile = trace.profile();
    let is_run = |location: &Location| {
        location.lines.iter().any(|line| profile.functions[line.function].name == "run")
    };
    let samples = profile.samples.iter();
    let of_run = samples.filter(|sample| profile.locations_of(sample.stack).any(is_run));
    let threads: HashSet<_> = of_run.map(|sample| sample.thread).collect();
    assert_eq!(threads.len(), 2);
}

/// Code tells which function it is of when the function is gone, or another one is
/// where it was.
#[test]
fn functions_that_are_soon_gone_have_their_shares() {
    let folded = record("young", &[]).folded(&[]);
    let [long, short] =
        ["long", "short"].map(|name| folded.share_in_order(&["(anonymous)", "young", name]));
    let both = long + short;
    assert!(both > 0.8, "{long} {short}\n{}", folded.head(10));
    assert!((long / both - 0.7).abs() < 0.06, "{long} {short}\n{}", folded.head(10));
}

/// The interpreter says where its functions are, and baseline code does not; which line
/// that is, V8 has to have found out.
#[test]
fn lines_of_interpreted_callers_have_their_shares() {
    let mut node = Command::new(tool("node"));
    let profile = record_with(node.arg("--no-sparkplug"), "run", "4", &[]).profile();
    for (name, expected) in SHARES {
        check_line(&profile, "run", &format!("{name});"), expected);
    }
    let is_run = |location: &Location| {
        matches!(location.kind, FrameKind::Runtime(_))
            && location.how.tier == CodeTier::Interpreted
            && profile.functions[location.lines[0].function].name == "run"
    };
    assert!(share_with_frame(&profile, &is_run) > 0.98);
}

/// Optimized code says which functions it has in the places of calls, and in which
/// lines all of them are.
#[test]
fn inlined_functions_have_their_callers_and_lines() {
    check_inlined(&record("inlined", &[]));
}

#[track_caller]
fn check_inlined(trace: &Trace) {
    let (folded, profile) = (trace.folded(&[]), trace.profile());
    for (name, call, expected) in INLINED {
        let share = folded.share_in_order(&["(anonymous)", "inlined", "together", name]);
        assert_share(name, share, expected, folded.total());
        check_line(&profile, "together", call, expected);
        let is_inlined = |location: &Location| {
            location.how.inlined && profile.functions[location.lines[0].function].name == name
        };
        assert!(share_with_frame(&profile, &is_inlined) > 0.7 * share, "{name}");
    }
    check_line(&profile, "often", "i < 7 * PART", 0.7);
    check_line(&profile, "inlined", "x = together(x)", 0.99);
}

/// Optimized code that goes on in the frame of other code is found by where it is.
#[test]
fn functions_that_are_replaced_within_a_loop_are_optimized() {
    let profile = record("replaced", &[]).profile();
    let is_replaced = |location: &Location| {
        location.how.tier == CodeTier::Optimized
            && profile.functions[location.lines[0].function].name == "replaced"
    };
    assert!(share_with_frame(&profile, &is_replaced) > 0.9);
    check_line(&profile, "replaced", "x * 33", 0.99);
}

/// What is so in the system's version is so in others, which keep other things in other
/// places.
#[track_caller]
fn check_version(node: &str) {
    let record = |what| record_with(&mut Command::new(tool(node)), what, "2", &[]);
    check_functions(&record("run"));
    check_inlined(&record("inlined"));
}

#[test]
fn version_18() {
    check_version("node18");
}

#[test]
fn version_22() {
    check_version("node22");
}

#[test]
fn version_24() {
    check_version("node24");
}

/// Without names of its own code there is no telling what is V8's.
#[test]
fn a_stripped_node_has_native_frames_and_a_note() {
    let dir = temp_dir();
    let node = dir.path().join("node");
    run(Command::new(tool("strip")).arg("-o").arg(&node).arg(tool("node18"))).success();
    let profile = record_with(&mut Command::new(&node), "run", "1", &[]).profile();
    assert!(!profile.samples.is_empty());
    let is_runtime = |location: &Location| matches!(location.kind, FrameKind::Runtime(_));
    assert_eq!(share_with_frame(&profile, &is_runtime), 0.0);
    let is_about_v8 = |note: &&String| note.contains("a V8 whose frames are not known here");
    assert_eq!(profile.info.notes.iter().filter(is_about_v8).count(), 1);
}

#[test]
fn functions_have_their_files_and_first_lines() {
    let profile = record("run", &[]).profile();
    for (name, start) in [
        ("hot", "function hot("),
        ("warm", "const warm ="),
        ("cold", "static cold("),
        ("run", "function run("),
    ] {
        let mut functions = profile.functions.iter();
        let function = functions.find(|function| function.name == name);
        let function = function.unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(function.file, program_path("split.js").to_str().unwrap());
        assert_eq!(function.first_line, line_with("split.js", start), "{name}");
    }
}
