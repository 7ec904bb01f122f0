//! Calls of functions: every one, with what it was given and gave, of programs whose calls are
//! known.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use rz_format::{Loss, LossClass, LossReason};
use rz_tests::{
    Contents, Recorder, Redis, Target, Trace, conv, program, rec, report, run, send, temp_dir, text,
};
use serde_json::Value;

/// All functions of the program that are called in known ways.
const ALL: [&str; 9] = [
    "doubled(int) -> int",
    "greeting(str, ulong, bool) -> str",
    "nested(int) -> long",
    "left(int) -> void",
    "jumped_over() -> int",
    "tail(int) -> int",
    "sleeps(int) -> int",
    "never",
    "burns(int) -> int",
];
/// How deep in each other calls are kept.
const DEEP: u64 = 64;

/// Records calls of these functions, whatever that costs.
fn options<'o>(functions: &[&'o str]) -> Vec<&'o str> {
    let of_functions = functions.iter().flat_map(|function| ["--call", function]);
    ["--call-limit", "1000"].into_iter().chain(of_functions).collect()
}

/// Records `callee` while it does everything once.
#[track_caller]
fn every_way(more: &[&str]) -> Trace {
    let target = Target::start("callee", &[]);
    let pid = target.pid_text();
    let recorder = Recorder::start(&[&["-p", &pid], &options(&ALL)[..], more].concat());
    send(target.pid(), Signal::SIGUSR1);
    target.wait_for("done");
    recorder.signal(Signal::SIGINT);
    let trace = recorder.finish();
    assert!(trace.output.status.success(), "{}", trace.output);
    trace
}

fn expected() -> BTreeMap<String, u64> {
    let expected = [
        // Ten times, of `nested`, `jumped_over` and `tail`; too deep of the second `nested`.
        ("doubled", 10 + 1 + 1 + 1),
        ("greeting", 2),
        ("nested", 6 + DEEP),
        ("jumped_over", 1),
        ("tail", 1),
        ("sleeps", 1),
        ("burns", 1),
    ];
    expected.map(|(name, count)| (name.to_owned(), count)).into()
}

#[test]
fn every_call_with_what_it_was_given_and_gave() {
    let trace = every_way(&[]);
    let contents = trace.contents();
    assert_eq!(contents.damage, []);
    assert_eq!(contents.counted_functions(), expected());
    let [&Loss { class, reason, count, .. }] = contents.losses()[..] else {
        panic!("{:?}", contents.losses())
    };
    let of = (LossClass::from(class), LossReason::from(reason));
    // The others of the second `nested`, and what it calls.
    assert_eq!((of, count), ((LossClass::FunctionCalls, LossReason::TableFull), 101 - DEEP + 1));

    let list = report(&[text(&trace.path()), "--calls", "--list", "--tree"]).success().stdout;
    let lines: Vec<&str> = list.lines().collect();
    // Behind the thread and the time; before the duration.
    let shown = |line: &str| {
        let (_, call) = line.split_at(line.find(' ').unwrap() + 1);
        let call = call.splitn(3, ' ').nth(2).unwrap();
        call.rsplit_once(" <").unwrap().0.to_owned()
    };
    let calls: Vec<String> = lines.iter().map(|line| shown(line)).collect();
    for (n, call) in calls[..10].iter().enumerate() {
        assert_eq!(*call, format!("doubled({n}) = {}", 2 * n));
    }
    let rest = [
        r#"greeting("a \"name\"", 18446744073709551615, false) = "a \"name\"""#,
        r#"greeting("other", 7, true) = "hello""#,
        "nested(5) = 48",
        "  nested(4) = 47",
        "    nested(3) = 46",
        "      nested(2) = 45",
        "        nested(1) = 44",
        "          nested(0) = 43",
        "            doubled(21) = 42",
        "nested(100) = 143",
        "  nested(99) = 142",
    ];
    assert_eq!(calls[10..21], rest);
    let rest = [
        "jumped_over() = 10",
        "  doubled(5) = 10",
        "tail(9) = 20",
        "  doubled(10) = 20",
        "sleeps(20) = 20",
        "burns(2000) = 2000",
    ];
    assert_eq!(calls[calls.len() - rest.len()..], rest);
    let last = report(&[text(&trace.path()), "--calls", "--list", "--tail", "2"]).success().stdout;
    assert_eq!(last.lines().collect::<Vec<_>>(), lines[lines.len() - 2..]);

    let json = report(&[text(&trace.path()), "--calls", "--list", "--json"]).success().stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let rows = json["data"]["calls"].as_array().unwrap();
    assert_eq!(rows.len(), lines.len());
    assert_eq!((&rows[18]["function"], &rows[18]["depth"]), (&"doubled".into(), &6.into()));
    assert!(rows[rows.len() - 2]["duration_ns"].as_u64().unwrap() >= 20_000_000);
}

#[test]
fn tables_stacks_and_exports() {
    let trace = every_way(&["--off-cpu"]);
    let path = trace.path();
    let json = report(&[text(&path), "--calls", "--json"]).success().stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let rows = json["data"]["functions"]["rows"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["function"] == name).unwrap();
    assert_eq!(rows.len(), ALL.len());
    assert_eq!((&row("never")["count"], &row("left")["count"]), (&0.into(), &0.into()));
    assert_eq!((&row("sleeps")["count"], &row("sleeps")["file"]), (&1.into(), &"callee".into()));
    assert!(row("sleeps")["max_ns"].as_u64().unwrap() >= 20_000_000);

    // Whole stacks, though the kernel has its own addresses in the place of the callers'; and
    // those of what happens in functions that are awaited, likewise.
    for (event, leaf) in [("functions", "sleeps"), ("off-cpu", "sleeps"), ("cpu", "burns")] {
        let folded = trace.folded(&["--event", event]);
        let found = folded.stacks.keys().find(|stack| stack.contains(leaf));
        let stack = found.unwrap_or_else(|| panic!("{event}: {folded:?}"));
        assert!(stack.contains(";main;every_way"), "{event}: {stack}");
    }
    // How often each was called, exactly, beside lines that were sampled.
    let lcov = trace.conv(&["--to", "lcov", "-o", "-"]).success().stdout;
    let (called, sampled) = lcov.split_at(lcov.find("TN:rz_sampled").expect("burns was sampled"));
    for (name, count) in expected().into_iter().chain([("never".to_owned(), 0)]) {
        assert!(called.contains(&format!("\nFNDA:{count},{name}\n")), "{name} {count}: {called}");
        assert!(!sampled.contains(&format!(",{name}\n")), "{name}: {sampled}");
    }
    let source = std::fs::read_to_string("programs/callee.c").unwrap();
    let line = 1 + source.lines().position(|line| line.contains("FRAME int never")).unwrap();
    let is_there = |line| called.contains(&format!("\nFN:{line},never\n"));
    // The whole function is one instruction, which is of all of its lines.
    assert!((line..line + 3).any(is_there), "{line}: {called}");
    let shown = report(&[text(&path), "--calls"]).success().stdout;
    assert!(shown.contains("sleeps ← every_way ← main"), "{shown}");
    let chrome = trace.conv(&["--to", "chrome", "-o", "-"]).success().stdout;
    assert!(chrome.contains("\"sleeps\""), "{chrome}");
}

#[test]
fn merged_and_redacted() {
    let traces = [every_way(&[]), every_way(&[])];
    let dir = temp_dir();
    let merged = dir.path().join("merged.rz");
    let paths = traces.each_ref().map(Trace::path);
    conv(&[text(&paths[0]), text(&paths[1]), "--to", "rz", "-o", text(&merged)]).success();
    let contents = Contents::read(&merged);
    let twice = expected().into_iter().map(|(name, count)| (name, 2 * count));
    assert_eq!(contents.counted_functions(), twice.collect());
    // The same functions, under the same numbers.
    assert_eq!(contents.functions().len(), ALL.len());
    assert_eq!(contents.function_calls.len() as u64, 2 * expected().values().sum::<u64>());

    // Compared by the names of functions.
    let args = ["--diff", text(&paths[0]), text(&paths[1]), "--event", "functions", "--json"];
    let diff: Value = serde_json::from_str(&report(&args).success().stdout).unwrap();
    let names: Vec<&str> = diff["sums"]["rows"]
        .as_array()
        .unwrap_or_else(|| panic!("{diff}"))
        .iter()
        .filter_map(|row| row["name"].as_str())
        .collect();
    assert!(names.contains(&"doubled") && names.contains(&"sleeps"), "{names:?}");

    let redacted = dir.path().join("redacted.rz");
    conv(&[text(&merged), "--to", "rz", "--redact", "-o", text(&redacted)]).success();
    let bytes = Contents::read(&redacted);
    assert!(!bytes.texts.iter().any(|text| text.starts_with(b"hello")), "{:?}", bytes.texts);
    assert_eq!(bytes.counted_functions(), contents.counted_functions());
    let list = report(&[text(&redacted), "--calls", "--list"]).success().stdout;
    assert!(list.contains("greeting(0x") && !list.contains("hello"), "{list}");
    let verified = conv(&[text(&redacted), "--verify"]);
    assert!(verified.status.success(), "{verified}");
}

#[test]
fn a_program_that_is_started() {
    let line = program("callee");
    let command = ["--", &line[0], "once"];
    let trace = Recorder::spawn(&[&options(&ALL)[..], &command].concat()).finish();
    assert!(trace.output.status.success(), "{}", trace.output);
    assert_eq!(trace.contents().counted_functions(), expected());
}

/// All commands that redis has answered.
#[test]
fn a_server() {
    const COMMANDS: u64 = 3000;
    let dir = temp_dir();
    let server = Redis::start(dir.path());
    let pid = server.pid().to_string();
    let function = options(&["processCommand(ptr) -> int"]);
    let recorder = Recorder::start(&[&["-p", &pid], &function[..]].concat());
    let mut benchmark = server.benchmark();
    run(benchmark.args(["-n", &COMMANDS.to_string(), "-c", "4", "-t", "set", "-q"])).success();
    recorder.signal(Signal::SIGINT);
    let trace = recorder.finish();
    let counts = trace.contents().counted_functions();
    // And some that ask for its configuration.
    let count = counts["processCommand"];
    assert!((COMMANDS..COMMANDS + 20).contains(&count), "{counts:?}");
}

/// Beside the system calls that they make: a function of the C library for each.
#[test]
fn functions_of_a_library_beside_system_calls() {
    let target = Target::start("callee", &[]);
    let pid = target.pid_text();
    let function = options(&["libc:usleep(uint) -> int", "libc:clock_nanosleep"]);
    let calls = ["--syscalls=clock_nanosleep", "-p", &pid];
    let recorder = Recorder::start(&[&calls[..], &function].concat());
    send(target.pid(), Signal::SIGUSR1);
    target.wait_for("done");
    recorder.signal(Signal::SIGINT);
    let contents = recorder.finish().contents();
    assert_eq!(contents.counted_functions()["usleep"], 1);
    let [call] = contents.calls[..] else { panic!("{:?}", contents.calls) };
    let of_library = contents.function_calls.iter().find(|call| call.args[0] == 20_000).unwrap();
    let end = |call: &rz_format::Call| call.start_ns + call.duration_ns;
    assert!(of_library.start_ns < call.start_ns && end(&call) < end(of_library));
}

#[test]
fn what_is_called_too_often_is_left_alone() {
    let target = Target::start("callee", &["hot"]);
    let trace = Trace::of(target.pid(), "2", &["--call", "doubled", "--call-limit", "1"]);
    let said = &trace.output.stderr;
    assert!(said.contains("more than 1 %: their calls are recorded no more"), "{said}");
    let contents = trace.contents();
    let is_it = |loss: &&&Loss| {
        (LossClass::from(loss.class), LossReason::from(loss.reason))
            == (LossClass::FunctionCalls, LossReason::TooDear)
    };
    let losses = contents.losses();
    let loss = losses.iter().find(is_it).unwrap_or_else(|| panic!("{losses:?}"));
    // Most of the time it was left alone.
    assert!(loss.to_ns - loss.from_ns > 500_000_000, "{loss:?}");
    assert!(!contents.function_calls.is_empty());
}

#[test]
fn what_cannot_be_is_refused() {
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let refused = |program: &Target, more: &[&str], parts: &[&str]| {
        let pid = program.pid_text();
        let args = [&["-p", &pid, "-o", text(&path), "-d", "1"], more].concat();
        rec(&args).refused(1, parts);
        assert!(!path.exists());
    };
    let target = Target::start("callee", &[]);
    refused(&target, &["--call", "callee:doubbled"], &["no function is called so", "doubled"]);
    refused(&target, &["--call", "libnone:f"], &["has no file libnone", "it has callee, "]);
    refused(&target, &["--call", "libc:strlen"], &["strlen is only what chooses", "IFUNC"]);
    refused(&target, &["--call", "*"], &["at most 256"]);
    refused(&target, &["--call", "doubled", "--tier", "perf"], &["--call needs the bpf tier"]);
    let stripped = Target::start("split-stripped", &[]);
    refused(&stripped, &["--call", "split-stripped:parse"], &["symbol table is stripped"]);
    let go = Target::start("go-split", &["functions"]);
    refused(&go, &["--call", "main.main"], &["of a Go program"]);
    let wrong = |args: &[&str], words: &str| {
        let said = rec(args).code(2).stderr;
        assert!(said.contains(words), "{said}");
    };
    wrong(&["-a", "--call", "f"], "cannot be used with");
    wrong(&["-p", "1", "--call", "f(double)"], "\"double\" is no kind of value");
    rec(&["--call", "f", "-o", text(&path), "--", "callee-that-is-not-there"])
        .refused(1, &["callee-that-is-not-there"]);

    let trace = Trace::of(target.pid(), "0.2", &[]);
    report(&[text(&trace.path()), "--calls", "--list"]).refused(1, &["rec --call FUNCTION"]);
    let said = report(&[text(&trace.path()), "--calls"]).code(1).stderr;
    assert!(said.contains(": record with rec --call"), "{said}");
    let of_errors = report(&[text(&trace.path()), "--calls", "--list", "--errors"]);
    assert!(of_errors.code(2).stderr.contains("--errors is for"));
}
