//! Small files that stand for very much are shown or refused in a moment and in little
//! memory, in every view and as every format.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rz_tests::{binary, temp_dir, text};

mod bombs;

/// Memory that a command may ask for. Most take less than half of it.
const MEMORY_KIB: u32 = 512 << 10;
/// The same of a page, which has up to a million samples one by one.
const PAGE_KIB: u32 = 2 << 20;
/// How long it may take. It takes a second or two when it is optimized and has a
/// machine for itself; this tells what is bounded from what is not.
const TIME: Duration = Duration::from_secs(60);
/// Bytes that it may write.
const OUTPUT: u64 = 128 << 20;
/// The same of trace events, which name each function again whenever it is called.
const TRACE_EVENTS: u64 = 400 << 20;

/// Bytes of the views that somebody asks for first, which may be a program that takes some
/// thousand words at most.
const FIRST_ANSWER: u64 = 16_000;

/// What is shown of a trace.
const VIEWS: &[&[&str]] = &[
    &[],
    &["--doctor"],
    &["--dump"],
    &["--limit", "1000000"],
    &["--json"],
    &["--tree", "--min-percent", "0"],
    &["--tree", "--min-percent", "0", "--json"],
    &["--inverted", "--min-percent", "0"],
    &["--svg", "-"],
    &["--inverted", "--svg", "-"],
    &["--html", "-"],
    &["--info"],
    &["--info", "--json"],
    &["--off-cpu"],
    &["--wall"],
    &["--syscalls"],
    &["--syscalls", "--list", "--tail", "1000"],
    &["--heap"],
    &["--heap", "--leaks"],
    &["--heap", "--sites", "--json"],
];

/// How it is compared with itself.
const COMPARISONS: &[&[&str]] =
    &[&[], &["--json"], &["--svg", "-"], &["--html", "-"], &["--markdown", "-"], &["--heap"]];

/// What is made of it.
const CONVERSIONS: &[&[&str]] = &[
    &["--to", "folded"],
    &["--to", "pprof"],
    &["--to", "speedscope"],
    &["--to", "firefox"],
    &["--to", "chrome"],
    &["--to", "perfetto"],
    &["--to", "dot"],
    &["--to", "csv"],
    &["--to", "otlp"],
    &["--to", "lcov"],
    &["--to", "rz", "--keep-going"],
    &["--to", "rz", "--keep-going", "--embed"],
    &["--to", "rz", "--keep-going", "--redact"],
];

/// Sends a file through everything.
#[track_caller]
fn check(bytes: &[u8]) {
    let dir = temp_dir();
    let trace = dir.path().join("bomb.rz");
    fs::write(&trace, bytes).unwrap();
    let path = text(&trace);
    for view in VIEWS {
        bounded(dir.path(), "report", &[&[path], *view].concat());
    }
    for comparison in COMPARISONS {
        bounded(dir.path(), "report", &[&["--diff", path, path], *comparison].concat());
    }
    for conversion in CONVERSIONS {
        bounded(dir.path(), "conv", &[&[path], *conversion, &["-o", "-"]].concat());
    }
    bounded(dir.path(), "conv", &[path, path, "--to", "rz", "--keep-going", "-o", "-"]);
}

/// Runs a command, which must end by itself with success or one line of error.
#[track_caller]
fn bounded(dir: &Path, program: &str, args: &[&str]) {
    let [out, err] = ["out", "err"].map(|name| dir.join(name));
    let memory = if args.contains(&"--html") { PAGE_KIB } else { MEMORY_KIB };
    let started = Instant::now();
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -d {memory}; exec \"$@\""))
        .arg("sh")
        .arg(binary(program))
        .args(args)
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > TIME {
            // Only the outcome of the test is at stake: it fails in any case.
            let _ = child.kill();
            let _ = child.wait();
            panic!("{program} {args:?}: not done after {} s", TIME.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let stderr = fs::read_to_string(&err).unwrap();
    let shown: String = stderr.chars().take(1_000).collect();
    assert!(matches!(status.code(), Some(0 | 1)), "{program} {args:?}: {status}\n{shown}");
    let written = fs::metadata(&out).unwrap().len();
    let is_first = program == "report" && matches!(args, [_] | [_, "--doctor"]);
    let most = match args {
        _ if is_first => FIRST_ANSWER,
        _ if args.contains(&"chrome") => TRACE_EVENTS,
        _ => OUTPUT,
    };
    assert!(written <= most, "{program} {args:?}: {written} bytes");
    assert!(stderr.len() <= 10_000, "{program} {args:?}: {} bytes of errors", stderr.len());
    if status.code() == Some(1) {
        let errors = stderr.lines().filter(|line| !line.contains(": note: ")).count();
        assert_eq!(errors, 1, "{program} {args:?}\n{shown}");
    }
}

/// A test of each of these, with the attributes that it has.
macro_rules! bombs {
    ($($(#[$attribute:meta])* $name:ident)*) => {$(
        #[test]
        $(#[$attribute])*
        fn $name() {
            check(&bombs::$name());
        }
    )*};
}

bombs! {
    inlined_chain
    long_names
    many_code_objects
    #[ignore = "it takes long, for tests/run.sh --all"]
    deep_and_wide
    #[ignore = "it takes long, for tests/run.sh --all"]
    inlined_chains
    #[ignore = "it takes long, for tests/run.sh --all"]
    equal_totals
    #[ignore = "it takes long, for tests/run.sh --all"]
    deep_stacks
    #[ignore = "it takes long, for tests/run.sh --all"]
    recursion
    #[ignore = "it takes long, for tests/run.sh --all"]
    deep_branches
    #[ignore = "it takes long, for tests/run.sh --all"]
    many_stacks
    #[ignore = "it takes long, for tests/run.sh --all"]
    equal_samples
    #[ignore = "it takes long, for tests/run.sh --all"]
    equal_waits_and_calls
    #[ignore = "it takes long, for tests/run.sh --all"]
    live_objects
    #[ignore = "it takes long, for tests/run.sh --all"]
    freed_objects
    #[ignore = "it takes long, for tests/run.sh --all"]
    many_threads
    #[ignore = "it takes long, for tests/run.sh --all"]
    long_histories
}
