//! Frames of Python programs, which nobody has told what to do.

use std::fs;
use std::process::Command;

use rz_format::{CodeTier, Frame, Sample};
use rz_profile::model::{FrameKind, Location, Profile};
use rz_tests::{Folded, Target, Trace, assert_share, program_path, text, tool, versions};

/// The one that most tests are about; where Debian has it, it is Debian's.
const PYTHON: &str = "python3.11";
const VERSIONS: [&str; 6] = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"];

/// Records `split.py` as it does one of the things that it can do.
fn record(python: &str, what: &str, args: &[&str]) -> Trace {
    let target = Target::spawn(Command::new(tool(python)).arg(program_path("split.py")).arg(what));
    Trace::of(target.pid(), "3", &[&["-q"], args].concat())
}

/// The number of the line of `split.py` that begins so.
fn line_of(start: &str) -> u32 {
    let program = fs::read_to_string(program_path("split.py")).unwrap();
    let at = program.lines().position(|line| line.trim_start().starts_with(start));
    at.unwrap_or_else(|| panic!("no line begins with {start}")) as u32 + 1
}

fn is_python(location: &Location) -> bool {
    matches!(location.kind, FrameKind::Runtime(_))
}

/// The innermost frames of Python of all samples, with what they stand for.
fn leaves(profile: &Profile) -> Vec<(&Location, u64)> {
    let samples = profile.samples.iter();
    let leaf = |stack| profile.locations_of(stack).find(|location| is_python(location));
    samples.filter_map(|sample| Some((leaf(sample.stack)?, sample.weight))).collect()
}

/// Nearly all samples have the program's stacks, whole, and the shares of its
/// functions.
#[track_caller]
fn check_functions(folded: &Folded) {
    let total = folded.total();
    for (name, expected) in [("hot", 0.7), ("warm", 0.2), ("cold", 0.1)] {
        let share = folded.share_in_order(&["<module>", "main", "run", name, "work"]);
        assert_share(name, share, expected, total);
    }
    assert_eq!(folded.count("[truncated"), 0, "{}", folded.head(10));
    assert_eq!(folded.count("[lost]"), 0, "{}", folded.head(10));
}

#[test]
fn functions_have_their_shares() {
    check_functions(&record(PYTHON, "functions", &[]).folded(&[]));
}

/// What was called by what, with the native frames that are between them.
#[test]
fn every_version() {
    for version in versions(&VERSIONS) {
        let python = format!("python{version}");
        check_functions(&record(&python, "functions", &[]).folded(&[]));
        let folded = record(&python, "callbacks", &[]).folded(&[]);
        // Before 3.11, functions have no qualified names.
        let [sort, key] = match version {
            "3.8" | "3.9" | "3.10" => ["sort", "<lambda>"],
            _ => ["Sorter.sort", "Sorter.key.<locals>.<lambda>"],
        };
        let evaluates = "_PyEval_EvalFrameDefault";
        let names = ["<module>", "main", sort, evaluates, key, "cold", "work"];
        let share = folded.share_in_order(&names);
        assert!(share > 0.9, "{version}: {share}\n{}", folded.head(10));
    }
}

#[test]
fn lines_have_their_shares_and_are_exact() {
    let profile = record(PYTHON, "lines", &[]).profile();
    let lines = [("a = ", 0.7), ("b = ", 0.2), ("c = ", 0.1)];
    let lines = lines.map(|(start, expected)| (line_of(start), expected));
    let leaves = leaves(&profile);
    let total: u64 = leaves.iter().map(|(_, weight)| weight).sum();
    let share = |is_counted: &dyn Fn(&Location) -> bool| {
        let counted = leaves.iter().filter(|(location, _)| is_counted(location));
        counted.map(|(_, weight)| weight).sum::<u64>() as f64 / total as f64
    };
    // What the loop itself takes comes on top.
    let in_lines = share(&|location| lines.iter().any(|(line, _)| *line == location.lines[0].line));
    assert!(in_lines > 0.95, "{in_lines}");
    for (line, expected) in lines {
        let share = share(&|location| location.lines[0].line == line) / in_lines;
        assert!((share - expected).abs() < 0.06, "line {line}: {share}");
    }
    let approximate = share(&|location| location.how.approximate);
    assert!(approximate < 0.01, "{approximate}");
    assert_eq!(share(&|location| location.how.tier == CodeTier::Interpreted), 1.0);
    assert!(leaves.len() as u64 * 100 >= profile.samples.len() as u64 * 99);
}

/// Functions that native ones have called stand behind these.
#[test]
fn python_that_is_called_by_native_code() {
    let folded = record(PYTHON, "callbacks", &[]).folded(&[]);
    let parts = [
        ";<module>;main;Sorter.sort;",
        ";_PyEval_EvalFrameDefault;Sorter.key.<locals>.<lambda>;cold;work",
    ];
    for part in parts {
        assert!(folded.share(part) > 0.9, "{part}\n{}", folded.head(10));
    }
    let between = |stack: &&str| {
        let inner = stack.split_once(";Sorter.sort;").map_or("", |(_, inner)| inner);
        inner.split_once(";Sorter.key").is_some_and(|(between, _)| between.contains(';'))
    };
    let with_native = folded.stacks.iter().filter(|(stack, _)| between(&stack.as_str()));
    let with_native: u64 = with_native.map(|(_, count)| count).sum();
    assert!(with_native * 10 > folded.total() * 9, "{}", folded.head(10));
}

/// Where a native function is that a line has called, the line is known without
/// asking Python.
#[test]
fn the_leaf_is_in_the_line_that_calls_the_library() {
    let trace = record(PYTHON, "libraries", &[]);
    let profile = trace.profile();
    let lines =
        [("libz.so", "zlib.crc32"), ("libcrypto.so", "hashlib.sha256"), ("_json.", "_json.")];
    let lines = lines.map(|(library, start)| (library, line_of(start)));
    let (mut right, mut wrong) = (0, Vec::new());
    for sample in &profile.samples {
        let locations: Vec<_> = profile.locations_of(sample.stack).collect();
        let (module, leaf) = (locations[0].module, locations.iter().find(|l| is_python(l)));
        let (Some(module), Some(leaf)) = (module, leaf) else { continue };
        let path = &profile.modules[module].path;
        let name = path.rsplit('/').next().unwrap_or(path);
        match lines.iter().find(|(library, _)| name.starts_with(library)) {
            Some((_, line)) if leaf.lines[0].line == *line => right += sample.count,
            Some((_, line)) => wrong.push((name, line, leaf.lines[0].line, sample.count)),
            None => {}
        }
    }
    assert!(right >= 400, "{right} {wrong:?}");
    assert!(wrong.is_empty(), "{wrong:?} besides {right} that are right");
}

/// What a thread waits for, and one that has waited all the time.
#[test]
fn waits_have_their_lines() {
    let trace = record(PYTHON, "naps", &["--off-cpu", "--syscalls"]);
    for event in ["off-cpu", "syscalls"] {
        let folded = trace.folded(&["--event", event]);
        let asleep = folded.count(";main;naps;nap;") as f64;
        // A whole second of naps at least, and nearly all of the time in them.
        assert!(asleep > 1e6, "{event}\n{}", folded.head(10));
        assert_eq!(folded.count("[truncated"), 0, "{event}\n{}", folded.head(10));
    }
    let folded = trace.folded(&["--event", "off-cpu"]);
    let waiting = folded.count(";<module>;wait_for_ever;Event.wait;Condition.wait;");
    assert!(waiting > 2_900_000, "{waiting}\n{}", folded.head(10));
}

/// Two threads that compute take turns, as only one may; what the first thread waits
/// for is another lock.
#[test]
fn waits_for_the_gil() {
    for version in versions(&VERSIONS) {
        let trace = record(&format!("python{version}"), "turns", &["--off-cpu"]);
        let folded = trace.folded(&["--event", "off-cpu"]);
        let waited = |within: &str, reason: &str| -> u64 {
            let stacks = folded.stacks.iter();
            let is_it = |stack: &str| stack.contains(within) && stack.ends_with(reason);
            stacks.filter(|(stack, _)| is_it(stack)).map(|(_, us)| us).sum()
        };
        let (gil, futex) = ("[off-CPU: GIL]", "[off-CPU: futex]");
        let turns = waited(";turns;", gil);
        assert!(turns > 500_000, "{version}: {turns}\n{}", folded.head(10));
        assert_eq!(waited(";turns;", futex), 0, "{version}\n{}", folded.head(10));
        assert_eq!(waited(";wait_for_ever;", gil), 0, "{version}\n{}", folded.head(10));
        assert!(waited(";wait_for_ever;", futex) > 2_900_000, "{version}\n{}", folded.head(10));
        // Where there are symbols, they know it as well.
        let named = waited(";take_gil;", gil) + waited(";drop_gil;", gil);
        assert!(named == 0 || named == waited("", gil), "{version}\n{}", folded.head(10));
    }
}

/// More frames than are followed: the innermost are there, and it is said that there
/// are others.
#[test]
fn deeper_than_is_followed() {
    let folded = record(PYTHON, "deep", &[]).folded(&[]);
    let deepest = folded.stacks.iter().max_by_key(|(_, count)| **count).unwrap().0;
    assert!(deepest.starts_with("python3.11;[truncated];_start;"), "{deepest}");
    assert!(deepest.contains(";_PyEval_EvalFrameDefault;deep;deep;deep;"), "{deepest}");
    let frames = deepest.split(';').filter(|frame| *frame == "deep").count();
    assert!((500..512).contains(&frames), "{frames}");
}

/// What a program that looks like Python says is not believed, and costs no sample.
#[test]
fn python_that_means_harm() {
    let record = |harm| {
        let target = Target::start("fakepython", &["0", harm]);
        Trace::of(target.pid(), "1", &["-q"])
    };
    let evil = ";main;pretend;evil;burn";
    for (harm, part) in [
        ("none", evil),
        ("circle", ";[truncated];evil;evil;evil;evil;"),
        ("nowhere", ";[truncated];evil;_start;"),
        ("lengths", evil),
        ("types", ";pretend;[lost];burn"),
        ("threads", ";main;pretend;burn"),
    ] {
        let folded = record(harm).folded(&[]);
        assert!(folded.share(part) > 0.9, "{harm}: {part}\n{}", folded.head(1));
        let is_cut = part.starts_with(";[truncated];");
        assert_eq!(folded.share(";[truncated];") > 0.0, is_cut, "{harm}\n{}", folded.head(1));
        assert!(folded.total() > 50, "{harm}: {}", folded.total());
    }
}

/// Of a version that is not known, nothing is guessed, and that is said.
#[test]
fn a_version_to_come() {
    let target = Target::start("fakepython-new", &["0", "none"]);
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    let folded = trace.folded(&[]);
    assert!(folded.share(";main;pretend;burn") > 0.9, "{}", folded.head(5));
    let notes = trace.profile().info.notes;
    let said = notes.iter().filter(|note| note.contains("is CPython 3.15, whose frames"));
    assert_eq!(said.count(), 1, "{notes:?}");
}

/// What runs in a program that `rec` starts is known soon after it has begun.
#[test]
fn a_program_that_is_started() {
    let computes = "import time\nwhile time.process_time() < 2: pass";
    let trace = Trace::record(&["-q", "--", text(&tool(PYTHON)), "-c", computes]);
    let contents = trace.contents();
    let is_python = |sample: &Sample| {
        let frames = sample.stack.map(|stack| contents.frames_of(stack)).unwrap_or_default();
        frames.iter().any(|frame| matches!(frame, Frame::Runtime { .. }))
    };
    let first = contents.samples.iter().position(is_python).expect("frames of Python");
    let (before, behind) = contents.samples.split_at(first);
    // Where the recorder has to wait for a CPU, it is later.
    assert!(before.len() < behind.len(), "{} before, {} behind", before.len(), behind.len());
    let share = behind.iter().filter(|sample| is_python(sample)).count() * 100 / behind.len();
    assert!(share >= 95, "{share} %");
}
