//! The doctor finds faults of real programs, and nothing in those that look alike.

use std::fs;
use std::path::Path;
use std::process::Command;

use rz_tests::{
    Cgroup, Nginx, Page, Postgres, Recorder, Redis, Target, Trace, binary, program_path, report,
    run, temp_dir, text, tool, workspace_root,
};
use serde_json::Value;

/// What is recorded of running programs: all that rules look at, but for allocations.
const EVERYTHING: [&str; 4] = ["-q", "--off-cpu", "--syscalls", "-d"];

/// A rule and a part of a title that it has to have.
type Fault = (&'static str, String);

/// A program with a fault, or without one.
struct Case {
    target: Target,
    fault: Option<Fault>,
}

/// Records all of them at the same time, for some seconds, and holds against them what the
/// doctor finds.
#[track_caller]
fn check(seconds: &str, cases: Vec<Case>) {
    let record = |case: &Case| {
        Recorder::start(&[&EVERYTHING[..], &[seconds, "-p", &case.target.pid_text()]].concat())
    };
    let recorders: Vec<Recorder> = cases.iter().map(record).collect();
    let traces: Vec<Trace> = recorders.into_iter().map(Recorder::finish).collect();
    // Most are of one program.
    let cache = temp_dir();
    for (Case { target, fault }, trace) in cases.into_iter().zip(traces) {
        drop(target);
        check_trace_with(&trace.path(), Some(cache.path()), fault);
    }
}

/// What the doctor finds, with names that are kept in `cache`.
fn findings(trace: &Path, cache: Option<&Path>) -> Vec<Value> {
    let mut command = Command::new(binary("report"));
    command.args([text(trace), "--doctor", "--json"]);
    if let Some(cache) = cache {
        command.env("RZ_CACHE_DIR", cache);
    }
    let output = run(&mut command).success();
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    document["data"]["findings"].as_array().unwrap().clone()
}

#[track_caller]
fn check_trace(trace: &Path, fault: Option<Fault>) {
    check_trace_with(trace, None, fault);
}

#[track_caller]
fn check_trace_with(trace: &Path, cache: Option<&Path>, fault: Option<Fault>) {
    let mut findings = findings(trace, cache);
    // How busy the machine is is not the program's fault.
    findings.retain(|finding| finding["rule"] != "run-queue");
    let Some((rule, part)) = fault else {
        let warnings = findings.iter().filter(|finding| finding["severity"] == "warning");
        assert_eq!(warnings.count(), 0, "{findings:#?}");
        assert!(findings.len() <= 1, "{findings:#?}");
        return;
    };
    let found = findings.iter().find(|finding| finding["rule"] == rule);
    let found = found.unwrap_or_else(|| {
        let seen = ["--doctor", "--info", "--threads", "--syscalls"]
            .map(|view| report(&[text(trace), view]).stdout);
        panic!("no {rule}: {findings:#?}\n{}", seen.concat())
    });
    assert!(found["title"].as_str().unwrap().contains(&part), "{part}: {found:#}");
    let severity = match rule {
        "one-hot-thread" | "missing-names" | "temporary-allocations" | "debug-build" => "hint",
        // That depends on how much of a CPU it gets beside the others.
        "file-lookups" => return,
        _ => "warning",
    };
    assert_eq!(found["severity"], severity, "{found:#}");
}

fn case(target: Target, fault: Option<(&'static str, &str)>) -> Case {
    Case { target, fault: fault.map(|(rule, part)| (rule, part.to_owned())) }
}

fn faulty(args: &[&str], fault: Option<(&'static str, &str)>) -> Case {
    case(Target::start_file(&program_path("faulty"), args), fault)
}

/// `faulty.py`, by a Python whose own functions have names.
fn faulty_python(args: &[&str], fault: Option<(&'static str, &str)>) -> Case {
    let mut command = Command::new(tool("named-python"));
    command.env("PYTHONPATH", workspace_root().join("target/tools/site-packages"));
    case(Target::spawn(command.arg(program_path("faulty.py")).args(args)), fault)
}

fn faulty_node(what: &str, fault: Option<(&'static str, &str)>) -> Case {
    let mut command = Command::new(tool("node"));
    command.env("NODE_PATH", workspace_root().join("target/tools/node_modules"));
    case(Target::spawn(command.arg(program_path("faulty.js")).arg(what)), fault)
}

#[test]
fn locks_and_threads_that_wait() {
    let alone = "is busy all the time, and the other 4 threads";
    check(
        "1",
        vec![
            faulty(&["locks"], Some(("lock-contention", "4 threads wait for a lock that deposit"))),
            faulty(&["queue"], None),
            faulty(&["alone"], Some(("one-hot-thread", alone))),
            faulty(&["busy"], None),
            faulty(&["tick"], None),
        ],
    );
}

#[test]
fn files_in_small_pieces() {
    let folder = temp_dir();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    let [upload, save, letters, pages] = ["upload", "save", "letters", "pages"].map(path);
    let [scan, again] = ["scan", "again"].map(path);
    let synced = format!("{upload} is synced after every 4.0 KiB that is written, in upload");
    let written = format!("{letters} is written 1 B at a time, in ");
    check(
        "1",
        vec![
            faulty(&["upload", &upload], Some(("fsync-small-writes", &synced))),
            faulty(&["save", &save], None),
            faulty(&["letters", &letters], Some(("tiny-reads-writes", &written))),
            faulty(&["pages", &pages], None),
            faulty(&["scan", &scan], Some(("disk-waits", "of waiting for the disk, most in scan"))),
            faulty(&["again", &again], None),
        ],
    );
}

/// How long threads wait for a CPU says something of those that want one; others never wait
/// for long, however busy the machine is.
#[test]
fn too_many_threads_for_a_cpu() {
    let targets = ["crowd", "tick"].map(|what| Target::start("faulty", &[what]));
    let recorders = targets
        .each_ref()
        .map(|target| Recorder::start(&["-q", "--off-cpu", "-d", "1", "-p", &target.pid_text()]));
    let found = recorders.map(|recorder| {
        let mut findings = findings(&recorder.finish().path(), None);
        findings.retain(|finding| finding["rule"] == "run-queue");
        findings
    });
    let [[crowd], []] = found.each_ref().map(Vec::as_slice) else { panic!("{found:#?}") };
    // Of four that always could, one at a time runs, or less beside other programs.
    let title = crowd["title"].as_str().unwrap();
    let waited = title.split_once(" for ").unwrap().1.split_once('%').unwrap().0;
    let waited: f64 = waited.split(' ').next_back().unwrap().parse().unwrap();
    assert!(waited >= 70.0, "{crowd:#}");
    assert_eq!(crowd["severity"], "hint", "{crowd:#}");
}

/// The same sources, built with and without optimization.
#[test]
fn built_without_optimization() {
    let built = |name: &str, fault: Option<(&'static str, &str)>| {
        case(Target::start_file(&program_path(name), &[]), fault)
    };
    let fault = Some(("debug-build", "inlined where a compiler optimizes"));
    check(
        "1",
        vec![
            built("sums-debug", fault),
            built("sums-rust-debug", fault),
            built("sums", None),
            built("sums-rust", None),
        ],
    );
}

#[test]
fn asking_in_vain() {
    let spins = "asks poll again and again without waiting, in spin";
    check(
        "1",
        vec![
            faulty(&["spin"], Some(("polling", spins))),
            faulty(&["search"], Some(("file-lookups", "files that are not there"))),
            faulty(&["find"], None),
            faulty(&["resolve"], Some(("name-lookups", "most for look_up"))),
            faulty(&["serve"], None),
        ],
    );
}

#[test]
fn moving_memory() {
    check(
        "1",
        vec![
            faulty(&["map"], Some(("page-faults", "asked for by map"))),
            faulty(&["touch"], None),
            faulty(&["copy"], Some(("copying", "asked for by copy"))),
            faulty(&["move"], None),
            faulty(&["clear"], Some(("zeroing", "asked for by clear"))),
            faulty(&["wipe"], None),
        ],
    );
}

#[test]
fn connections_to_a_server() {
    let server = Postgres::new();
    let socket = text(&server.socket()).to_owned();
    let title = format!("A new connection to {socket} for each request, in connected (faulty.py:");
    check(
        "1",
        vec![
            faulty_python(&["connect", &socket], Some(("connection-per-request", &title))),
            faulty_python(&["keep", &socket], None),
        ],
    );
}

#[test]
fn servers_that_are_well() {
    let folder = temp_dir();
    let (redis, nginx) = (Redis::start(folder.path()), Nginx::new());
    let recorders = [redis.pid(), nginx.pid()]
        .map(|pid| Recorder::start(&[&EVERYTHING[..], &["1", "-p", &pid.to_string()]].concat()));
    for recorder in recorders {
        check_trace(&recorder.finish().path(), None);
    }
}

#[test]
fn hot_work_of_python() {
    check(
        "1.5",
        vec![
            faulty_python(&["regexp"], Some(("regular-expressions", "asked for by find_article"))),
            faulty_python(&["route"], None),
            faulty_python(&["dates"], Some(("dates", "asked for by read_log"))),
            faulty_python(&["plain"], None),
            faulty_python(&["json"], Some(("serialization", "asked for by copy_rows"))),
            faulty_python(&["garbage"], Some(("garbage-collection", "collecting garbage"))),
        ],
    );
}

#[test]
fn threads_of_python() {
    check(
        "1.5",
        vec![
            faulty_python(&["threads"], Some(("gil", "3 threads of Python"))),
            faulty_python(&["hash"], None),
        ],
    );
}

#[test]
fn event_loops_of_node() {
    // Code that is compiled without optimization has no lines but the function's first.
    let waits = "template (faulty.js:";
    check(
        "1.5",
        vec![faulty_node("sync", Some(("event-loop-sync", waits))), faulty_node("loaded", None)],
    );
    check(
        "2.5",
        vec![
            faulty_node("long", Some(("event-loop-blocked", "most in report (faulty.js:"))),
            faulty_node("dates", Some(("dates", "asked for by parse (faulty.js:"))),
            faulty_node("garbage", Some(("garbage-collection", "collecting garbage"))),
        ],
    );
}

#[test]
fn a_quota() {
    let stopped = faulty(&["busy"], Some(("cpu-quota", "The CPU quota stopped 1 thread for")));
    let cases = vec![stopped, faulty(&["busy"], None)];
    let cgroups: Vec<Cgroup> = cases.iter().map(|_| Cgroup::new("cpu")).collect();
    // So little that it would get more on a machine with much else to do.
    for ((case, cgroup), percent) in cases.iter().zip(&cgroups).zip([5, 150]) {
        cgroup.add(case.target.pid());
        cgroup.set_cpu_quota(percent);
    }
    check("1.5", cases);
}

#[test]
fn memory_that_grows() {
    let program = program_path("faulty");
    let record = |what: &str| Trace::record(&["-q", "--alloc", "--", text(&program), what]);
    let fault = |rule, part: &str| Some((rule, part.to_owned()));
    check_trace(&record("hoard").path(), fault("leak", "most of it from line (faulty.c:"));
    check_trace(&record("ring").path(), None);
    let churn = fault("temporary-allocations", "most of them from churn (faulty.c:");
    check_trace(&record("churn").path(), churn);
}

#[test]
fn functions_without_names() {
    let folder = temp_dir();
    let program = folder.path().join("nameless");
    fs::copy(program_path("split-stripped"), &program).unwrap();
    let trace = Trace::record(&["-q", "--", text(&program), "1"]);
    let fault = ("missing-names", "in functions without a name".to_owned());
    check_trace(&trace.path(), Some(fault));
}

/// A trace says which rules could not look, and conditions and the first page know of
/// warnings.
#[test]
fn what_is_told_of_findings() {
    let program = program_path("faulty");
    let target = Target::start_file(&program, &["locks"]);
    let trace = Trace::of(target.pid(), "1", &["-q", "--off-cpu"]);
    drop(target);
    let path = trace.path();
    let page = report(&[text(&path), "--doctor"]).success().stdout;
    assert!(page.contains("\nDOCTOR  1 warning, "), "{page}");
    assert!(page.contains("  next  report "), "{page}");
    assert!(page.contains("  system calls: not recorded; rec --syscalls  fsync-"), "{page}");
    assert!(page.contains("  allocations: not recorded; rec --alloc  leak, "), "{page}");
    // How many threads waited while others ran depends on the machine.
    let found = findings(&path, None);
    let lock = found.iter().find(|finding| finding["rule"] == "lock-contention").unwrap();
    let title = lock["title"].as_str().unwrap();
    let first = report(&[text(&path)]).success().stdout;
    assert!(first.contains(&format!("  warning   {title}")), "{first}");
    let markdown = report(&[text(&path), "--doctor", "--markdown"]).success().stdout;
    assert!(markdown.contains(title), "{markdown}");
    let failed = report(&[text(&path), "--fail-if", "doctor>=warning"]).code(3);
    assert!(failed.stderr.contains(&format!("beyond the limit: 1 finding: {title}")), "{failed}");
    let html = path.with_extension("html");
    report(&[text(&path), "--html", text(&html)]).success();
    let mut page = Page::open();
    page.load(&html, "");
    page.wait_for("document.querySelector('.findings')");
    let said = page.evaluate("document.querySelector('.findings').innerText");
    assert!(said.as_str().unwrap().contains(&format!("warning: {title}")), "{said}");
    // What it says to ask next can be asked.
    for command in found.iter().flat_map(|found| found["next"].as_array().unwrap()) {
        let words = command.as_str().unwrap().strip_prefix("report ").unwrap();
        let words: Vec<&str> = words.split(' ').map(|word| word.trim_matches('\'')).collect();
        report(&words).success();
    }
    let well = Trace::record(&["-q", "--off-cpu", "--", "sleep", "0.5"]);
    report(&[text(&well.path()), "--fail-if", "doctor>=hint"]).code(0);
}
