//! Attaching to processes that run: whom it finds, and whom it leaves alone.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;
use rz_format::EndReason;
use rz_profile::load::{LoadOptions, load};
use rz_profile::model::Sample;
use rz_tests::{
    CallTree, Folded, Recorder, Target, Trace, program_path, rec, temp_dir, text, wait_until,
};

#[test]
fn finds_every_thread() {
    let target = Target::start("threads", &[]);
    let profile = Trace::of(target.pid(), "1", &["-q"]).profile();
    let found: BTreeSet<(u32, String)> =
        profile.threads.iter().map(|thread| (thread.tid, thread.name.clone())).collect();
    let tasks = format!("/proc/{}/task", target.pid());
    let expected: BTreeSet<(u32, String)> = fs::read_dir(&tasks)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let tid = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            (tid, fs::read_to_string(path.join("comm")).unwrap().trim().to_owned())
        })
        .collect();
    assert_eq!(expected.len(), 65);
    assert_eq!(found, expected);
    assert!(found.iter().any(|(_, name)| name == "store-63"));
    // All of them ran, and none was missed.
    let sampled: BTreeSet<usize> = profile.samples.iter().map(|sample| sample.thread).collect();
    assert!(sampled.len() >= 60, "{} threads have samples", sampled.len());
}

/// Of `threads`, the first and another one, by their numbers.
fn two_threads(target: &Target) -> (u32, u32) {
    let tasks = fs::read_dir(format!("/proc/{}/task", target.pid())).unwrap();
    let tids = tasks.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap());
    let mut others = tids.filter(|&tid| tid != target.pid());
    let named = others.find(|tid| {
        let name = fs::read_to_string(format!("/proc/{}/task/{tid}/comm", target.pid()));
        name.unwrap().starts_with("store-")
    });
    (target.pid(), named.unwrap())
}

#[test]
fn the_number_of_a_thread_stands_for_its_process() {
    let target = Target::start("threads", &[]);
    let (pid, tid) = two_threads(&target);
    let dir = temp_dir();
    for tier in ["bpf", "perf"] {
        let path = dir.path().join(tier);
        let number = tid.to_string();
        let rate = ["-d", "1", "-F", "997", "--tier", tier];
        let args = [&rate[..], &["-p", &number, "-o", text(&path)]].concat();
        let recorded = rec(&args).success();
        let note = format!("{tid} is a thread of process {pid}, all of which is recorded; --tid");
        assert!(recorded.stderr.contains(&note), "{recorded}");
        assert!(!recorded.stderr.contains(" 0 samples"), "{recorded}");
        let profile = load(&path, &LoadOptions::default()).unwrap();
        let sampled: BTreeSet<usize> = profile.samples.iter().map(|s| s.thread).collect();
        assert!(sampled.len() > 10, "{tier}: {} threads", sampled.len());
        assert!(profile.processes.iter().all(|process| process.pid == pid), "{tier}");
    }
}

#[test]
fn one_thread_alone() {
    let target = Target::start("threads", &[]);
    let (pid, tid) = two_threads(&target);
    let dir = temp_dir();
    let sampled = |name: &str, args: &[&str]| {
        let path = dir.path().join(name);
        let number = tid.to_string();
        let always = ["-d", "1", "-F", "997", "--tid", &number, "-o", text(&path)];
        let recorded = rec(&[&always, args].concat()).success();
        let note = format!("of process {pid}, only thread {tid} is recorded");
        assert!(recorded.stderr.contains(&note), "{recorded}");
        let profile = load(&path, &LoadOptions::default()).unwrap();
        let sampled: BTreeSet<u32> =
            profile.samples.iter().map(|s| profile.threads[s.thread].tid).collect();
        assert_eq!(sampled, BTreeSet::from([tid]), "{name}");
        // What is not asked for is not missing.
        assert_eq!(profile.info.lost_samples.count, 0, "{:?}", profile.info.lost_samples);
        profile
    };
    sampled("perf", &["--tier", "perf"]);
    let profile = sampled("bpf", &["--off-cpu", "--syscalls"]);
    let whose = profile.totals.iter().map(|total| total.thread);
    let whose: BTreeSet<Option<u32>> =
        whose.map(|thread| thread.map(|id| profile.threads[id as usize].tid)).collect();
    assert_eq!(whose, BTreeSet::from([Some(tid)]));
}

#[test]
fn several_processes_in_a_list() {
    let (one, other) = (Target::start("split", &[]), Target::start("split", &[]));
    let dir = temp_dir();
    let (one, other) = (one.pid(), other.pid());
    let lists = [format!("{one},{other}"), format!("{other} {one}\n")];
    for (number, list) in lists.iter().enumerate() {
        let path = dir.path().join(format!("{number}.rz"));
        rec(&["-q", "-d", "1", "-p", list, "-o", text(&path)]).success();
        let profile = load(&path, &LoadOptions::default()).unwrap();
        let process = |sample: &Sample| profile.threads[sample.thread].process;
        let sampled: BTreeSet<u32> =
            profile.samples.iter().map(|s| profile.processes[process(s)].pid).collect();
        assert_eq!(sampled, BTreeSet::from([one, other]), "{list}");
    }
}

#[test]
fn finds_threads_that_start_later() {
    let target = Target::start("storm", &["0", "200", "600"]);
    let trace = Trace::of(target.pid(), "2", &["-q"]);
    let folded = trace.folded(&[]);
    let tree = "short_life > burn_briefly\n burn_briefly > work\n main > storm";
    CallTree::parse(tree).check(&folded, str::to_owned).assert_complete();
    assert!(folded.share(";start_thread;short_life;burn_briefly") > 0.8, "{}", folded.head(9));
    // The system call that makes a thread has no unwind information.
    let makers = folded.stacks.keys().filter(|stack| stack.contains(";clone3;"));
    let (cut, whole): (Vec<_>, Vec<_>) = makers.partition(|stack| stack.contains("[truncated]"));
    assert!(whole.iter().any(|stack| stack.contains(";main;storm;pthread_create;")), "{whole:#?}");
    assert!(cut.is_empty(), "{cut:#?}");
    let profile = trace.profile();
    let lives = profile.threads.iter().filter(|thread| thread.name.starts_with("life-")).count();
    assert!(lives > 100, "{lives} of {} threads", profile.threads.len());
}

/// The value of a line of `/proc/PID/status`.
fn status(pid: u32, key: &str) -> String {
    let path = format!("/proc/{pid}/status");
    let all = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = all.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {key} in {all}")).trim().to_owned()
}

#[test]
fn never_stops_the_target() {
    let dir = temp_dir();
    let counts = dir.path().join("counts");
    let target = Target::start("deep20", &["0", text(&counts)]);
    let count = || {
        let bytes = fs::read(&counts).unwrap();
        bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).sum::<u64>()
    };
    wait_until("the target to work", || count() > 0);
    let mut states = BTreeSet::new();
    let mut progress = BTreeSet::new();
    let mut recorder = Recorder::spawn(&["-q", "-d", "1", "-p", &target.pid_text()]);
    wait_until("rec to end", || {
        // Many looks at a time, for a stop may be short.
        for _ in 0..100 {
            states.insert((status(target.pid(), "State"), status(target.pid(), "TracerPid")));
            progress.insert(count());
        }
        recorder.has_ended()
    });
    assert_eq!(recorder.finish().end_reason(), EndReason::Duration);
    for (state, tracer) in &states {
        assert!(!state.starts_with(['T', 't', 'Z', 'X']), "{state}");
        assert_eq!(tracer, "0");
    }
    assert!(progress.len() > 100, "the target was seen at work {} times", progress.len());
}

const FORKER: &str = "
    main > fork_loop exec_child
    fork_loop >> parent_burn child_red child_blue
    parent_burn child_red child_blue exec_child > work
";

#[test]
fn leaves_children_alone() {
    let target = Target::start("forker", &[]);
    let trace = Trace::of(target.pid(), "1.5", &["-q"]);
    let folded = trace.folded(&[]);
    CallTree::parse(FORKER).check(&folded, str::to_owned).assert_complete();
    assert!(folded.share(";main;fork_loop;parent_burn") > 0.5, "{}", folded.head(9));
    assert_eq!(folded.count("child"), 0, "{}", folded.head(9));
    let processes = trace.profile().processes;
    assert_eq!(processes.iter().map(|process| process.pid).collect::<Vec<_>>(), [target.pid()]);
}

#[test]
fn follows_children_when_told_to() {
    let target = Target::start("forker", &[]);
    let trace = Trace::of(target.pid(), "2", &["-q", "--follow"]);
    let folded = trace.folded(&[]);
    check_forker(&folded);
}

/// Checks the shares of parent and children, those of an exec included.
#[track_caller]
pub fn check_forker(folded: &Folded) {
    // A child that executes a program spends a moment in the dynamic loader,
    // which does not tell where it was entered.
    let checked = CallTree::parse(FORKER).check(folded, str::to_owned);
    assert!(checked.truncated * 20 <= checked.complete, "{checked:?}\n{}", folded.head(20));
    folded.assert_share("forker;_start;", 0.8, 0.1);
    folded.assert_share(";parent_burn", 0.2, 0.1);
    folded.assert_share(";child_red", 0.4, 0.1);
    folded.assert_share(";child_blue", 0.2, 0.1);
    folded.assert_share(";main;exec_child", 0.2, 0.1);
    // The kernel names a process after the file that it executes.
    let entries = ["_start", "_dl_start_user", "[truncated]"];
    for stack in folded.stacks.keys().filter_map(|stack| stack.strip_prefix("exe;")) {
        assert!(stack.split(';').next().is_some_and(|entry| entries.contains(&entry)), "{stack}");
    }
    assert_eq!(folded.count("forker;_start;__libc_start_main;__libc_start_call_main;main;exec"), 0);
}

#[test]
fn tells_the_programs_before_and_after_exec_apart() {
    let dir = temp_dir();
    // The second program is another file, mapped elsewhere.
    let copy = dir.path().join("second-file");
    fs::copy(program_path("execchain"), &copy).unwrap();
    let target = Target::start("execchain", &["0", "1500", text(&copy)]);
    let recorder = Recorder::start(&["-d", "60", "-p", &target.pid_text()]);
    target.wait_for("second");
    let second = recorder.blocks();
    wait_until("samples of the second life", || recorder.blocks() > second + 3);
    recorder.signal(Signal::SIGINT);
    let trace = recorder.finish();
    assert_eq!(trace.end_reason(), EndReason::Interrupted);
    let folded = trace.folded(&["--threads"]);
    let tree = "main > first_life second_life\n first_life second_life > work now_ns";
    CallTree::parse(tree).check(&folded, str::to_owned).assert_complete();
    for stack in folded.stacks.keys() {
        let (name, stack) = stack.split_once(';').unwrap();
        // The thread's name is followed by its numbers.
        let is_first = !name.starts_with("execchain-2-");
        assert!(!stack.contains("first_life") || is_first, "{name}: {stack}");
        assert!(!stack.contains("second_life") || !is_first, "{name}: {stack}");
    }
    assert!(folded.count("first_life") > 20 && folded.count("second_life") > 20);
    // Each life belongs to the file that was run.
    let profile = trace.profile();
    for sample in profile.timeline.as_ref().unwrap() {
        for location in profile.locations_of(sample.stack.get()) {
            let outermost = location.lines.last().unwrap();
            let life = &profile.functions[outermost.function].name;
            let module = location.module.map(|module| profile.modules[module].path.as_str());
            let exe = &profile.thread(sample.thread).1.exe;
            match life.as_str() {
                "first_life" => assert_eq!(module, program_path("execchain").to_str()),
                "second_life" => assert_eq!(module, copy.to_str()),
                _ => continue,
            }
            assert_eq!(Some(exe.as_str()), module);
        }
    }
}

#[test]
fn two_processes() {
    let (split, deep) = (Target::start("split", &[]), Target::start("deep", &[]));
    let trace =
        Trace::record(&["-q", "-d", "1.5", "-p", &split.pid_text(), "-p", &deep.pid_text()]);
    let folded = trace.folded(&[]);
    assert!(folded.share("split;_start;") > 0.1, "{}", folded.head(9));
    assert!(folded.share("deep;clone") > 0.1, "{}", folded.head(9));
    assert_eq!(folded.count("split;") + folded.count("deep;"), folded.total());
    let pids: BTreeSet<u32> = trace.profile().processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, BTreeSet::from([split.pid(), deep.pid()]));
}

#[test]
fn nobody_there() {
    let dead = {
        let target = Target::start("split", &[]);
        target.pid_text()
    };
    let dir = temp_dir();
    let trace = dir.path().join("trace.rz");
    let output = rec(&["-p", &dead, "-o", text(&trace)]).code(1);
    assert!(output.stderr.contains(&format!("no process with pid {dead}")), "{output}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no file is left");
}
