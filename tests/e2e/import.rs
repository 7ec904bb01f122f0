//! Recordings of other tools become traces that say the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_tests::{Folded, Output, Trace, conv, program, report, run, temp_dir, text, tool};
use tempfile::TempDir;

/// Lets perf record a target program for two seconds.
fn perf(dir: &TempDir, options: &[&str], target: &str) -> PathBuf {
    let path = dir.path().join("perf.data");
    let mut command = Command::new(tool("perf"));
    command.args(["record", "-q", "-F", "499", "-o", text(&path)]).args(options).arg("--");
    run(command.args(program(target)).arg("2")).success();
    path
}

/// Makes a trace of a file beside it.
fn imported(input: &Path) -> PathBuf {
    let trace = input.with_extension("rz");
    conv(&[text(input), "--to", "rz", "-o", text(&trace)]).success();
    trace
}

fn folded(trace: &Path, options: &[&str]) -> Folded {
    let args = [&[text(trace), "--to", "folded", "-q", "-o", "-"], options].concat();
    Folded::parse(&conv(&args).success().stdout)
}

/// What `perf script` makes of a file, folded: thread names, then functions.
/// Those that are inlined are left out: perf shows some of them twice, and some
/// that are not.
fn perf_script(path: &Path) -> Folded {
    let script = ["script", "--no-inline", "-i", text(path), "-F", "comm,tid,time,event,ip,sym"];
    let output = run(Command::new(tool("perf")).args(script)).success().stdout;
    let mut stacks = Folded::default();
    // One paragraph a sample: a line about it, then frames from the leaf on.
    for sample in output.split("\n\n").filter(|sample| !sample.trim().is_empty()) {
        let mut lines = sample.trim_start_matches('\n').lines();
        let thread = lines.next().and_then(|line| line.split_whitespace().next());
        let mut frames: Vec<String> = lines
            .filter_map(|line| Some(plain(line.trim().split_once(' ')?.1)))
            .chain(thread.map(str::to_owned))
            .collect();
        frames.reverse();
        *stacks.stacks.entry(frames.join(";")).or_default() += 1;
    }
    stacks
}

/// Ours without what that does not show: numbers of threads, marks, functions
/// that are inlined.
fn comparable(ours: Folded) -> Folded {
    let mut stacks = Folded::default();
    for (stack, count) in ours.stacks {
        let mut frames = stack.split(';');
        let root = frames.next().and_then(|root| root.rsplit_once('-')).expect("a thread").0;
        let frames = frames
            .filter(|frame| !frame.ends_with("_[i]"))
            .map(|frame| plain(frame.trim_end_matches("_[k]")));
        let all: Vec<String> = [root.to_owned()].into_iter().chain(frames).collect();
        *stacks.stacks.entry(all.join(";")).or_default() += count;
    }
    stacks
}

/// A function's name without what only one of the tools shows: the parts and
/// versions of a symbol, which of several aliases it is, arguments.
fn plain(name: &str) -> String {
    let mut depth = 0;
    let outside = |c: &char| {
        depth += i32::from(matches!(c, '<' | '(' | '{'));
        let is_outside = depth == 0;
        depth -= i32::from(matches!(c, '>' | ')' | '}'));
        is_outside
    };
    let name: String = name.trim().trim_end_matches(" const").chars().filter(outside).collect();
    // A return type, and where the function is.
    let name = name.rsplit([' ', ':']).next().unwrap_or_default();
    let name = name.split(['@', '.']).next().unwrap_or_default();
    let name = name.trim_start_matches("__GI_").trim_start_matches('_');
    name.strip_suffix("_impl").unwrap_or(name).to_owned()
}

/// Panics unless so much of what perf shows is the same here.
#[track_caller]
fn assert_alike(perf: &Folded, ours: &Folded, share: f64) {
    assert_eq!(perf.total(), ours.total(), "samples of perf, ours");
    assert!(perf.total() > 50, "perf has {} samples only", perf.total());
    let count = |stack: &String| ours.stacks.get(stack).copied().unwrap_or(0);
    let same: u64 = perf.stacks.iter().map(|(stack, n)| *n.min(&count(stack))).sum();
    let found = same as f64 / perf.total() as f64;
    assert!(
        found >= share,
        "only {found:.3} of the samples are alike\nperf:\n{}ours:\n{}",
        perf.head(20),
        ours.head(20)
    );
}

#[test]
fn call_chains_are_those_of_perf_script() {
    let dir = temp_dir();
    let data = perf(&dir, &["-g"], "split-fp");
    let ours = comparable(folded(&imported(&data), &["--threads"]));
    assert_alike(&perf_script(&data), &ours, 0.99);
}

#[test]
fn copied_stacks_are_unwound_as_perf_does() {
    for target in ["deep20", "cppdemo", "split"] {
        let dir = temp_dir();
        let data = perf(&dir, &["--call-graph", "dwarf"], target);
        let trace = imported(&data);
        let ours = folded(&trace, &["--threads"]);
        assert!(ours.count("[truncated]") * 100 <= ours.total(), "{target}: {}", ours.head(20));
        assert_alike(&perf_script(&data), &comparable(ours), 0.95);
    }
}

#[test]
fn a_pipe_and_compression_make_no_difference() {
    let dir = temp_dir();
    for (name, options) in
        [("pipe", &["-g", "-o", "-"][..]), ("z", &["-z", "--call-graph", "dwarf"])]
    {
        let path = dir.path().join(name);
        let mut words = vec!["record", "-q", "-F", "499", "-o", text(&path)];
        words.extend_from_slice(options);
        words.push("--");
        let mut target = program("split-fp");
        target.push("2".to_owned());
        let words = words.iter().copied().chain(target.iter().map(String::as_str));
        // perf writes into a pipe, but not to a file, as its standard output.
        let quoted: Vec<String> = words.map(|word| format!("'{word}'")).collect();
        let command = match name {
            "pipe" => format!("'{}' {} | cat >{name}", text(&tool("perf")), quoted.join(" ")),
            _ => format!("'{}' {}", text(&tool("perf")), quoted.join(" ")),
        };
        run(Command::new("sh").args(["-c", &command]).current_dir(dir.path())).success();
        let trace = imported(&path);
        let ours = comparable(folded(&trace, &["--threads"]));
        assert_alike(&perf_script(&path), &ours, 0.95);
        ours.assert_share(";hot", 0.7, 0.15);
        let shown = report(&[text(&trace)]).success().stdout;
        let seconds = ["1.9", "2.0", "2.1"];
        assert!(seconds.iter().any(|s| shown.contains(&format!("UTC, {s}"))), "{shown}");
    }
}

#[test]
fn several_events_of_all_processes() {
    let dir = temp_dir();
    let data = perf(&dir, &["-a", "-g", "-e", "cpu-clock,page-faults"], "split-fp");
    let trace = data.with_extension("rz");
    let said = conv(&[text(&data), "--to", "rz", "-o", text(&trace)]).success().stderr;
    let cpu = folded(&trace, &[]);
    let faults = folded(&trace, &["--event", "page-faults"]);
    let perf = perf_script(&data);
    assert!(said.contains(&format!("({} samples, ", perf.total())), "{said}");
    assert!(cpu.count("split-fp;") > 100 && faults.total() > 0);
}

/// A trace that `rec` made, as folded stacks and as a profile, and what is
/// made of these again.
#[test]
fn round_trips_keep_stacks_and_weights() {
    let target = rz_tests::Target::start("deep20", &[]);
    let recorded = Trace::of(target.pid(), "2", &[]);
    let dir = temp_dir();
    let original = &recorded.path();
    let options = ["--threads"];
    let expected = folded(original, &options);
    assert!(expected.total() > 50, "{}", expected.head(20));
    for format in ["folded", "pprof"] {
        let between = dir.path().join(format);
        let output = ["-q", "--threads", "-o", text(&between)];
        conv(&[&[text(original), "--to", format][..], &output].concat()).success();
        let again = imported(&between);
        assert_eq!(folded(&again, &options), expected, "{format}");
        // And in the words of the other tools.
        let once_more = dir.path().join("again");
        let args = [text(&again), "--to", format, "-q", "--threads", "-o", text(&once_more)];
        conv(&args).success();
        if format == "folded" {
            assert_eq!(fs::read(&between).unwrap(), fs::read(&once_more).unwrap());
        }
    }
    // Time is kept, too.
    let top = |trace: &Path| {
        let shown = report(&[text(trace)]).success().stdout;
        let line = shown.lines().find(|line| line.contains("f19")).expect("f19").to_owned();
        line.split_whitespace().take(4).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(top(&dir.path().join("pprof.rz")), top(original));
}

#[test]
fn changes_are_found_without_times() {
    let dir = temp_dir();
    let side = |name: &str, hot: u32| {
        let path = dir.path().join(name);
        fs::write(&path, format!("app;main;hot {hot}\napp;main;cold 1000\n")).unwrap();
        text(&imported(&path)).to_owned()
    };
    let (before, after) = (side("before", 1000), side("after", 2000));
    let compared = |per: &str| report(&["--diff", &before, &after, "--per", per]);
    let row = |shown: &str, function: &str| {
        let is_it = |line: &&str| line.contains(function) && line.contains("[names]");
        shown.lines().find(is_it).unwrap_or_else(|| panic!("{shown}")).to_owned()
    };
    let shown = compared("raw").success().stdout;
    assert!(row(&shown, "hot").contains(" more "), "{shown}");
    assert!(row(&shown, "cold").contains("no evidence"), "{shown}");
    let shown = compared("share").success().stdout;
    assert!(row(&shown, "hot").contains("66.67"), "{shown}");
    let refusal = compared("wall").code(1).stderr;
    assert!(refusal.contains("no recorded duration; compare shares with --per share"), "{refusal}");
}

#[test]
fn what_is_no_trace_is_named() {
    let dir = temp_dir();
    let data = perf(&dir, &["-g"], "split-fp");
    let trace = imported(&data);
    // What is read directly is what is made a trace of.
    let shown = report(&[text(&data)]).success().stdout;
    assert!(shown.starts_with("perf.data: split-fp"), "{shown}");
    let whole = ["--to", "folded", "-q", "-o", "-"];
    let direct = conv(&[&[text(&data)], &whole[..]].concat()).success().stdout;
    assert_eq!(direct, conv(&[&[text(&trace)], &whole[..]].concat()).success().stdout);
    let same = report(&["--diff", text(&data), text(&trace)]).success().stdout;
    assert!(same.contains("perf.data"), "{same}");
    // Several are merged as traces only.
    let all = dir.path().join("all.rz");
    conv(&[text(&data), text(&data), "--to", "rz", "-o", text(&all)])
        .refused(1, &["perf.data: not an rz trace"]);
    let refused = |output: Output, parts: &[&str]| output.refused(1, parts);
    let out = dir.path().join("x.rz");
    // A folder, a file of no kind, one of another kind than is said.
    let other = dir.path().join("other");
    fs::write(&other, "hello\n").unwrap();
    for (input, format) in
        [(&other, "perf"), (&other, "pprof"), (&other, "folded"), (&trace, "perf")]
    {
        let args = [text(input), "--to", "rz", "--input-format", format, "-o", text(&out)];
        refused(conv(&args), &[text(input)]);
        assert!(!out.exists(), "{format}");
    }
}
