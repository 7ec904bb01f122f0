//! What all threads of a process do now, beside what the tools say that stop it for that.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rz_tests::{Output, Target, Trace, program_path, rec, report, run, text, tool};
use serde_json::Value;

/// Functions of a thread's stack, leaf first, as `keep` has them.
type Stacks = BTreeMap<String, Vec<String>>;

fn page(output: Output) -> Value {
    let document: Value = serde_json::from_str(&output.success().stdout).unwrap();
    assert_eq!(document["view"], "dump");
    document["data"].clone()
}

fn dumped(target: &Target) -> Value {
    page(rec(&["--dump", "--json", "-p", &target.pid_text()]))
}

fn groups(page: &Value) -> &[Value] {
    assert_eq!((&page["groups"]["left_out"], &page["earlier_threads"]), (&0.into(), &0.into()));
    page["groups"]["rows"].as_array().unwrap()
}

/// The stacks of all threads by what `key` is of them.
fn stacks(page: &Value, key: &str, keep: impl Fn(&Value) -> Option<String>) -> Stacks {
    let name = |value: &Value| match value.as_str() {
        Some(name) => name.to_owned(),
        None => value.to_string(),
    };
    let of_group = |group: &Value| {
        let frames = group["stack"]["rows"].as_array().unwrap();
        let functions: Vec<String> = frames.iter().filter_map(&keep).collect();
        let threads = group["threads"].as_array().unwrap();
        threads.iter().map(|thread| (name(&thread[key]), functions.clone())).collect::<Vec<_>>()
    };
    groups(page).iter().flat_map(of_group).collect()
}

#[test]
fn threads_that_wait_and_run() {
    let begun = Instant::now();
    let target = Target::start("crowd", &["0", "200", "2"]);
    thread::sleep(Duration::from_millis(1500));
    let page = dumped(&target);
    let most = begun.elapsed().as_secs_f64();
    let asleep: Vec<&Value> =
        groups(&page).iter().filter(|group| group["threads"][0]["thread"] == "asleep").collect();
    let [group] = asleep[..] else { panic!("{asleep:#?}") };
    assert_eq!((&group["state"], &group["reason"]), (&"waiting".into(), &"futex".into()));
    let threads = group["threads"].as_array().unwrap();
    assert_eq!(threads.len(), 200);
    // They have slept since they began, by the scheduler's clock, which is nearly ours.
    for thread in threads {
        assert_eq!((&thread["at_least"], &thread["about"]), (&false.into(), &true.into()));
        let seconds = thread["ns"].as_f64().unwrap() / 1e9;
        assert!((0.5..most * 1.01).contains(&seconds), "{seconds} s of {most}");
    }
    let busy = stacks(&page, "thread", |frame| Some(frame["function"].as_str()?.to_owned()));
    for name in ["busy-0", "busy-1"] {
        assert!(busy[name].contains(&"stay_busy".to_owned()), "{busy:#?}");
    }
    let plain = rec(&["--dump", "-p", &target.pid_text()]).success().stdout;
    assert!(plain.contains("  200 threads wait: futex\n  asleep ("), "{plain}");
    assert!(plain.contains("\n  and 192 more\n"), "{plain}");
}

#[test]
fn functions_are_those_of_gdb() {
    let target = Target::start("crowd", &["0", "3", "0"]);
    let names = ["main", "sleep_on"];
    let known = |name: &str| names.contains(&name).then(|| name.to_owned());
    let ours = stacks(&dumped(&target), "tid", |frame| known(frame["function"].as_str()?));
    let mut gdb = Command::new("gdb");
    gdb.args(["-batch", "-p", &target.pid_text(), "-ex", "thread apply all bt"]);
    let said = run(&mut gdb).success().stdout;
    let mut theirs = Stacks::new();
    let mut tid = String::new();
    for line in said.lines() {
        if let Some((_, rest)) = line.strip_prefix("Thread ").and_then(|l| l.split_once("(LWP ")) {
            tid = rest.split(')').next().unwrap().to_owned();
            theirs.insert(tid.clone(), Vec::new());
        }
        let words = line.split_whitespace();
        let found = line.starts_with('#').then(|| words.filter_map(known).next()).flatten();
        if let Some(name) = found {
            theirs.get_mut(&tid).unwrap().push(name);
        }
    }
    assert_eq!(theirs.len(), 4, "{said}");
    assert_eq!(ours, theirs, "{said}");
}

/// Methods with their lines.
#[test]
fn methods_are_those_of_jstack() {
    let class = program_path("java/Waits.class");
    let mut java = Command::new(tool("java17"));
    let target = Target::spawn(java.arg("-cp").arg(class.parent().unwrap()).arg("Waits"));
    let method = |frame: &Value| {
        let file = frame["file"].as_str()?.rsplit('/').next()?;
        let line = frame["line"].as_u64()?;
        file.ends_with(".java").then(|| format!("{}:{line}", frame["function"].as_str().unwrap()))
    };
    let ours = stacks(&dumped(&target), "thread", method);
    let said = run(Command::new("jstack").arg(target.pid_text())).success().stdout;
    for name in ["takes", "enters", "sleeps"] {
        let thread = said.split("\n\n").find(|part| part.starts_with(&format!("\"{name}\"")));
        // `at java.lang.Thread.run(java.base@17.0.1/Thread.java:840)`
        let methods = thread.unwrap().lines().filter_map(|line| {
            let (method, place) = line.trim().strip_prefix("at ")?.split_once('(')?;
            let line = place.strip_suffix(')')?.split_once(".java:")?.1;
            Some(format!("{}:{line}", method.rsplit('/').next()?))
        });
        let theirs: Vec<String> = methods.collect();
        assert!(theirs.len() > 2, "{said}");
        assert_eq!(ours[name], theirs, "{name}: {said}\n{ours:#?}");
    }
}

#[test]
fn of_a_trace() {
    let program = program_path("waiter");
    let trace = Trace::record(&["-q", "--", text(&program), "0.3"]);
    let page = page(report(&[text(&trace.path()), "--dump", "--json"]));
    assert_eq!(page["waits_recorded"], false);
    let said = report(&[text(&trace.path()), "--dump"]).success().stdout;
    assert!(said.contains("Waits were not recorded"), "{said}");
}

#[test]
fn what_cannot_be_dumped() {
    rec(&["--dump", "-p", "4194303"]).refused(1, &["no process with pid 4194303"]);
    let output = rec(&["--dump", "--", "true"]).code(2);
    assert!(output.stderr.contains("--dump"), "{output}");
}
