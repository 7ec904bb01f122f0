//! Frames of Java programs, which nobody has told what to do.

use std::process::Command;

use rz_format::CodeTier;
use rz_profile::model::{FrameKind, Location, Profile};
use rz_tests::{
    Target, Trace, assert_share, line_with, program_path, share_with_frame, tool, versions,
};

/// Methods of `Split.java`, and their shares.
const SHARES: [(&[&str], f64); 2] = [
    (&["Split.main", "Split.deep", "Split.hot"], 0.7),
    (&["Split.main", "Split.deep", "Split.apply", "Split.lambda$deep$0", "Split.cold"], 0.3),
];

/// Parts of stacks that are not whole.
const UNKNOWN: [&str; 3] = ["[truncated", "[anon]", "[lost]"];

/// Versions of the virtual machine that keep things in other places.
const VERSIONS: [&str; 4] = ["java11", "java17", "java21", "java25"];

/// Records `Split` as a Java of this name and with these options runs it.
fn record(java: &str, options: &[&str], what: &[&str], args: &[&str]) -> Trace {
    let mut java = Command::new(tool(java));
    let class = program_path("java/Split.class");
    java.args(options).arg("-cp").arg(class.parent().unwrap()).arg("Split").args(what);
    let target = Target::spawn(&mut java);
    Trace::of(target.pid(), "4", &[&["-q"], args].concat())
}

/// Checks that methods have their shares, and that stacks lead to their roots.
#[track_caller]
fn check_methods(trace: &Trace) {
    let folded = trace.folded(&[]);
    for (methods, expected) in SHARES {
        let share = folded.share_in_order(methods);
        assert_share(methods[methods.len() - 1], share, expected, folded.total());
    }
    check_roots(trace);
}

/// Checks that hardly any stack is truncated, or has a frame without a name.
#[track_caller]
fn check_roots(trace: &Trace) {
    let folded = trace.folded(&[]);
    assert!(folded.total() > 100, "{}", folded.head(10));
    for part in UNKNOWN {
        assert!(folded.share(part) <= 0.01, "{part}: {}\n{}", folded.share(part), folded.head(10));
    }
}

/// Whether it is a frame of a method, and how it ran.
fn is(profile: &Profile, location: &Location, method: &str, tier: CodeTier) -> bool {
    matches!(location.kind, FrameKind::Runtime(_))
        && location.how.tier == tier
        && profile.functions[location.lines[0].function].name == method
}

#[test]
fn methods_have_their_shares() {
    for java in versions(&VERSIONS) {
        let trace = record(java, &[], &["run"], &[]);
        check_methods(&trace);
        check_inlined(&trace.profile(), java);
    }
}

#[test]
fn methods_have_their_shares_without_bpf() {
    check_methods(&record("java17", &[], &["run"], &["--tier", "perf"]));
}

/// Bytecode is followed instruction by instruction, so callers are in their lines.
#[test]
fn interpreted_methods_have_their_shares_and_lines() {
    for java in versions(&VERSIONS) {
        let trace = record(java, &["-Xint"], &["run-at-once"], &[]);
        check_methods(&trace);
        let profile = trace.profile();
        for (call, expected) in [("int total = hot();", 0.7), ("apply(() -> cold())", 0.3)] {
            let line = line_with("java/Split.java", call);
            let is_at = |location: &Location| {
                is(&profile, location, "Split.deep", CodeTier::Interpreted)
                    && location.lines[0].line == line
            };
            let samples = profile.samples.iter().map(|sample| sample.count).sum();
            assert_share(call, share_with_frame(&profile, &is_at), expected, samples);
        }
    }
}

/// Compiled code says which methods it has in the places of calls, and in which lines
/// all of them are.
#[track_caller]
fn check_inlined(profile: &Profile, java: &str) {
    let line = line_with("java/Split.java", "apply(() -> cold())");
    let is_inlined = |location: &Location| {
        location.how.inlined
            && is(profile, location, "Split.lambda$deep$0", CodeTier::Optimized)
            && location.lines[0].line == line
    };
    let share = share_with_frame(profile, &is_inlined);
    assert!((0.2..0.4).contains(&share), "{java}: {share}");
}

#[test]
fn deep_stacks_lead_to_their_roots() {
    for java in versions(&VERSIONS) {
        let trace = record(java, &[], &["run", "500"], &["--stack-size", "63K"]);
        check_methods(&trace);
        let folded = trace.folded(&[]);
        let is_deep = |stack: &str| stack.matches("Split.deep").count() >= 500;
        let deep = folded.stacks.iter().filter(|(stack, _)| is_deep(stack));
        // Few are on their way down.
        let deep: u64 = deep.map(|(_, count)| count).sum();
        assert!(deep * 10 >= folded.total() * 9, "{java}: {deep} of {}", folded.total());
    }
}

/// With collectors of garbage that have code of their own in all that is compiled.
#[test]
fn stacks_through_all_kinds_of_code_lead_to_their_roots() {
    for java in versions(&VERSIONS) {
        check_roots(&record(java, &["-XX:+UseG1GC"], &["mix"], &[]));
    }
    for java in versions(&VERSIONS[1..]) {
        check_roots(&record(java, &["-XX:+UseZGC"], &["mix"], &[]));
    }
}

/// Methods that are gone when the next one is at their addresses.
#[test]
fn classes_that_are_unloaded_have_their_methods() {
    for java in versions(&VERSIONS) {
        let trace = record(java, &[], &["unload"], &[]);
        let folded = trace.folded(&[]);
        // Some methods are gone before they are asked for their names and their frames:
        // more of them on a busy machine.
        let unknown: f64 = UNKNOWN.iter().map(|part| folded.share(part)).sum();
        assert!(unknown <= 0.1, "{java}: {unknown}\n{}", folded.head(10));
        let [hot, cold] = SHARES.map(|(methods, _)| folded.share_in_order(&methods[1..]));
        assert!(hot + cold > 0.3, "{hot} {cold}\n{}", folded.head(10));
    }
}

#[test]
fn waits_have_their_methods() {
    for java in versions(&VERSIONS) {
        let trace = record(java, &[], &["sleep"], &["--off-cpu", "--syscalls"]);
        for event in ["off-cpu", "syscalls"] {
            let folded = trace.folded(&["--event", event]);
            let share = folded.share_in_order(&["Split.main", "Split.pause"]);
            assert!(share > 0.0, "{java} {event}\n{}", folded.head(10));
            assert_eq!(folded.count("[anon]"), 0, "{java} {event}\n{}", folded.head(10));
        }
    }
}

/// The kernel has the first 15 characters of the names that they began with.
#[test]
fn threads_have_their_own_names() {
    let modes = [
        ("java11", "-XX:+UseG1GC"),
        ("java17", "-XX:+UseZGC"),
        ("java21", "-XX:-UseCompressedOops"),
        ("java25", "-XX:+UseZGC"),
        ("java25", "-XX:+UseCompactObjectHeaders"),
    ];
    for (java, option) in modes {
        let trace = record(java, &[option], &["names"], &[]);
        let profile = trace.profile();
        let has_samples = |name: &str| {
            profile.samples.iter().any(|sample| profile.threads[sample.thread].name == name)
        };
        for name in [
            "there before the recording",
            "renamed from another thread",
            "spécial ✓ characters of all kinds",
            "began after the recording did",
        ] {
            let all: Vec<&str> = profile.threads.iter().map(|thread| &*thread.name).collect();
            assert!(has_samples(name), "{java} {option}: {name}\n{all:?}");
        }
    }
}
