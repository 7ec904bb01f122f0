//! Go programs: stacks are whole, or cut where they go on on another stack.

use rz_profile::model::{FrameKind, Location, Profile, TruncatedReason};
use rz_tests::{Folded, Target, Trace, assert_share, conv, temp_dir, text};

/// The first functions of goroutines and threads, and the one that leaves a goroutine
/// for good.
const ROOTS: [&str; 4] = ["runtime.goexit", "runtime.mstart", "runtime.mcall", "runtime.rt0_go"];
/// Functions that are called on one stack and call on another.
const SWITCHING: [&str; 7] = [
    "runtime.systemstack",
    "runtime.morestack",
    "runtime.asmcgocall",
    "runtime.nanotime1",
    "runtime.vgetrandom1",
    "time.now",
    "runtime.cgocallback",
];

fn record(program: &str, args: &[&str]) -> Trace {
    let target = Target::start(program, args);
    Trace::of(target.pid(), "2", &["-q"])
}

/// What the function of a frame is called, without those inlined there.
fn name<'p>(profile: &'p Profile, location: &Location) -> &'p str {
    let function = location.lines.last().expect("never empty").function;
    &profile.functions[function].name
}

/// Checks that each stack has a root, or says truly why it has none. Returns the
/// share of those that have.
#[track_caller]
fn check_roots(trace: &Trace) -> f64 {
    let profile = trace.profile();
    let (mut whole, mut total, mut unexplained) = (0, 0, Vec::new());
    for sample in &profile.samples {
        let locations: Vec<_> = profile.locations_of(sample.stack).collect();
        let Some((root, inner)) = locations.split_last() else { continue };
        if root.kind == FrameKind::Kernel {
            continue;
        }
        let names: Vec<_> = locations.iter().map(|l| name(&profile, l)).collect();
        total += sample.count;
        match root.truncated {
            None => {
                assert!(ROOTS.contains(&name(&profile, root)), "{names:?}");
                whole += sample.count;
            }
            Some(TruncatedReason::OtherStack) => {
                let outermost = inner.last().map_or("", |l| name(&profile, l));
                let is_handled = names
                    .iter()
                    .any(|name| *name == "runtime.sigreturn__sigaction" || *name == "__restore_rt");
                assert!(SWITCHING.contains(&outermost) || is_handled, "other: {names:?}");
            }
            // A goroutine's stack that was used for the first time.
            Some(TruncatedReason::StackNotReadable) => {
                let faults = names.iter().any(|name| name.contains("page_fault"));
                assert!(faults, "not readable: {names:?}");
            }
            // In the few instructions that go over; and C that Go's own linker has put
            // in says nothing.
            Some(TruncatedReason::NoUnwindInfo) => {
                let outermost = inner.last().map_or("", |l| name(&profile, l));
                let leaf = ["runtime.gogo", "gogo", "runtime.asmcgocall", "runtime.mcall"];
                let is_leaf = inner.len() == 1 && leaf.contains(&outermost);
                let is_c = outermost.starts_with("_cgo_") || outermost.starts_with("x_cgo_");
                if !is_leaf && !is_c {
                    unexplained.push(names);
                }
            }
            Some(reason) => panic!("{reason:?}: {names:?}"),
        }
    }
    assert!(total > 200, "{total} samples");
    // Why single samples in functions of the runtime have none is not known.
    assert!((unexplained.len() as u64) * 200 <= total, "no rule: {unexplained:?}");
    whole as f64 / total as f64
}

/// The functions have their shares, the calls inlined there included.
#[track_caller]
fn check_functions(folded: &Folded) {
    let below = folded.count(";main.run;");
    for (name, expected) in [("hot", 0.7), ("warm", 0.2), ("cold", 0.1)] {
        let part = format!(";main.loop_[i];main.run;main.{name};main.work_[i]");
        assert_share(name, folded.count(&part) as f64 / below as f64, expected, below);
    }
    assert!(below * 100 > folded.total() * 95, "{}", folded.head(10));
}

#[test]
fn goroutines() {
    for program in ["go-split", "go-split-stripped", "go-split-pie"] {
        let trace = record(program, &["functions"]);
        let whole = check_roots(&trace);
        assert!(whole > 0.97, "{program}: {whole}");
        check_functions(&trace.folded(&[]));
    }
}

#[test]
fn ten_thousand_goroutines() {
    let trace = record("go-split", &["crowd"]);
    assert!(check_roots(&trace) > 0.97);
    check_functions(&trace.folded(&[]));
}

/// Lines are those of the source text, which is all that can be asked: the program has
/// no debug information.
#[test]
fn lines_of_a_stripped_program() {
    let source = include_str!("../programs/split.go");
    let line_of = |start: &str| {
        let at = source.lines().position(|line| line.trim_start().starts_with(start));
        at.unwrap_or_else(|| panic!("no line begins with {start}")) as u32 + 1
    };
    let profile = record("go-split-stripped", &["functions"]).profile();
    let function = |name| profile.functions.iter().position(|f| &*f.name == name).unwrap();
    let lines = |name| {
        let lines = profile.locations.iter().flat_map(|location| &location.lines);
        let lines = lines.filter(|line| line.function == function(name));
        let mut lines: Vec<u32> = lines.map(|line| line.line).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    };
    let loop_at = line_of("for i := 0; i < rounds; i++");
    // Which of the two it is that a processor stops at depends on how busy it is.
    let of_work = lines("main.work");
    let in_loop = of_work.iter().filter(|line| [loop_at, loop_at + 1].contains(line)).count();
    assert!(in_loop > 0 && of_work.len() - in_loop <= 1, "{of_work:?}");
    assert_eq!(lines("main.hot"), [line_of("func hot(")]);
    let file = &profile.functions[function("main.hot")].file;
    assert!(file.ends_with("split.go"), "{file}");
}

#[test]
fn what_runs_on_the_threads_own_stacks() {
    check_roots(&record("go-split", &["switches"]));
}

#[test]
fn calls_of_c_and_back() {
    for program in ["go-cgo", "go-cgo-pie"] {
        let trace = record(program, &[]);
        check_roots(&trace);
        let folded = trace.folded(&[]);
        // A callback is on the goroutine's stack, as is what has called C.
        let names = ["runtime.goexit", "runtime.main", "main.main", "main.caller", "main.callback"];
        let share = folded.share_in_order(&names);
        assert!(share > 0.3, "{program}: {share}\n{}", folded.head(10));
    }
}

/// A server under load, against the profile that its own runtime has taken meanwhile.
#[test]
fn a_server_as_its_runtime_sees_it() {
    let dir = temp_dir();
    let path = |name: &str| text(&dir.path().join(name)).to_owned();
    let target = Target::start("go-split", &["server", &path("cpu.pprof")]);
    let trace = Trace::of(target.pid(), "4", &["-q"]);
    target.wait_for("profiled");
    drop(target);
    let whole = check_roots(&trace);
    assert!(whole > 0.8, "{whole}");
    let (ours, theirs) = (trace.folded(&[]), {
        conv(&[&path("cpu.pprof"), "--to", "rz", "-o", &path("theirs.rz")]).success();
        let folded = conv(&[&path("theirs.rz"), "--to", "folded", "-o", "-"]).success();
        Folded::parse(&folded.stdout)
    });
    for name in ["net/http.(*conn).serve", "main.handle", "main.hot", "main.warm", "main.cold"] {
        let share = |folded: &Folded| folded.share_in_order(&[name]);
        let (share, expected) = (share(&ours), share(&theirs));
        println!("{name}: {share:.3}, and {expected:.3} by the runtime");
        // Of which there are fewer samples, 100 a second.
        assert_share(name, share, expected, theirs.total());
    }
}
