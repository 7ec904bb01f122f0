//! Attaching to processes that run: whom it finds, and what it leaves alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use rz_format::{EndReason, LossReason, Record};
use rz_tests::{
    CallTree, Recorder, Target, Trace, binary, program_path, rec, run, send, temp_dir, text, tool,
    wait_until,
};

fn pid(target: &Target) -> String {
    target.pid().to_string()
}

/// Why the recording ended, as the trace says; panics if it does not.
#[track_caller]
fn end_of(trace: &Trace) -> EndReason {
    let (records, damage) = trace.records();
    assert_eq!(damage, [], "{}", trace.output);
    let mut ends = records.iter().filter_map(|record| match record {
        Record::End(end) => Some(end.reason.into()),
        _ => None,
    });
    ends.next().expect("the trace says why it ended")
}

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

#[test]
fn finds_threads_that_start_later() {
    let target = Target::start("storm", &["0", "200", "600"]);
    let trace = Trace::of(target.pid(), "2", &["-q"]);
    let folded = trace.folded(&[]);
    let tree = "short_life > burn_briefly\n burn_briefly > work\n main > storm";
    CallTree::parse(tree).check(&folded, str::to_owned).assert_complete();
    assert!(folded.share(";start_thread;short_life;burn_briefly") > 0.8, "{}", folded.head(9));
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
    let mut recorder = Recorder::spawn(&["-q", "-d", "1", "-p", &pid(&target)]);
    wait_until("rec to end", || {
        // Many looks at a time, for a stop may be short.
        for _ in 0..100 {
            states.insert((status(target.pid(), "State"), status(target.pid(), "TracerPid")));
            progress.insert(count());
        }
        recorder.has_ended()
    });
    assert_eq!(end_of(&recorder.finish()), EndReason::Duration);
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
pub fn check_forker(folded: &rz_tests::Folded) {
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
    assert_eq!(folded.count("exe;_start;") + folded.count("exe;[truncated]"), folded.count("exe;"));
    assert_eq!(folded.count("forker;_start;__libc_start_main;__libc_start_call_main;main;exec"), 0);
}

#[test]
fn tells_the_programs_before_and_after_exec_apart() {
    let dir = temp_dir();
    // The second program is another file, mapped elsewhere.
    let copy = dir.path().join("second-file");
    fs::copy(program_path("execchain"), &copy).unwrap();
    let target = Target::start("execchain", &["0", "1500", text(&copy)]);
    let recorder = Recorder::start(&["-d", "60", "-p", &pid(&target)]);
    target.wait_for("second");
    let second = blocks_in(&recorder.path());
    wait_until("samples of the second life", || blocks_in(&recorder.path()) > second + 1);
    recorder.signal(Signal::SIGINT);
    let trace = recorder.finish();
    assert_eq!(end_of(&trace), EndReason::Interrupted);
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
        for location in profile.locations_of(sample.stack) {
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

/// Blocks in a trace that is being written; grows about once a second.
fn blocks_in(path: &Path) -> usize {
    let mut file = fs::File::open(path).unwrap();
    rz_format::rebuild_index(&mut file).map_or(0, |blocks| blocks.len())
}

#[test]
fn sees_libraries_that_are_loaded_later() {
    let target = Target::start("dlopen", &["0", "1500"]);
    let recorder = Recorder::start(&["-d", "60", "-p", &pid(&target)]);
    target.wait_for("loaded");
    let before = blocks_in(&recorder.path());
    wait_until("samples of the library", || blocks_in(&recorder.path()) > before + 1);
    recorder.signal(Signal::SIGINT);
    let folded = recorder.finish().folded(&[]);
    let tree = "
        main > before_plugin with_plugin
        before_plugin > work now_ns
        with_plugin > plugin_run now_ns
        plugin_run > plugin_leaf
        plugin_leaf > work
    ";
    CallTree::parse(tree).check(&folded, str::to_owned).assert_complete();
    let loaded = folded.share(";main;with_plugin;plugin_run;plugin_leaf;work_[i]");
    assert!(loaded > 0.1, "{}", folded.head(9));
}

/// A copy of a target program that runs, in a folder of its own.
fn start_copy(program: &str, dir: &Path) -> (Target, PathBuf) {
    let copy = dir.join("program-copy");
    fs::copy(program_path(program), &copy).unwrap();
    (Target::start_file(&copy, &[]), copy)
}

/// Panics unless the three shares of `split` are there by name.
#[track_caller]
fn assert_split(folded: &rz_tests::Folded) {
    folded.assert_share(";main;run;hot", 0.7, 0.15);
    folded.assert_share(";main;run;warm", 0.2, 0.12);
    folded.assert_share(";main;run;cold", 0.1, 0.1);
}

/// Panics unless stacks are whole, but the program's functions have no names.
#[track_caller]
fn assert_nameless(folded: &rz_tests::Folded, module: &str) {
    let start = format!("{module};[{module}+0x");
    assert!(folded.share(&start) > 0.99, "{}", folded.head(9));
    let nested =
        folded.stacks.keys().all(|stack| stack.matches(&format!("[{module}+0x")).count() >= 2);
    assert!(nested, "{}", folded.head(9));
    let is_named = |frame: &str| ["main", "run", "hot", "warm", "cold"].contains(&frame);
    assert!(
        !folded.stacks.keys().any(|stack| stack.split(';').any(is_named)),
        "{}",
        folded.head(9)
    );
}

#[test]
fn deleted_executable() {
    let dir = temp_dir();
    let (target, copy) = start_copy("split", dir.path());
    fs::remove_file(&copy).unwrap();
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    let output = trace.conv(&["--to", "folded", "-o", "-"]).success();
    assert!(output.stderr.contains("not found on this machine"), "{output}");
    assert_nameless(&trace.folded(&[]), "program-copy");
    // The right file elsewhere is as good.
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(program_path("split"), elsewhere.join("program-copy")).unwrap();
    assert_split(&trace.folded(&["--debug-dir", text(&elsewhere)]));
}

#[test]
fn replaced_executable() {
    let dir = temp_dir();
    let (target, copy) = start_copy("split", dir.path());
    fs::remove_file(&copy).unwrap();
    fs::copy(program_path("deep"), &copy).unwrap();
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    let output = trace.conv(&["--to", "folded", "-o", "-"]).success();
    assert!(output.stderr.contains("another build: build-id"), "{output}");
    assert_nameless(&trace.folded(&[]), "program-copy");
}

/// A target whose root directory is another one.
#[test]
fn target_in_a_chroot() {
    let dir = temp_dir();
    fs::copy(program_path("split-static"), dir.path().join("program")).unwrap();
    let mut command = Command::new("chroot");
    let target = Target::spawn(command.arg(dir.path()).args(["/program"]));
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    // The path means nothing outside; the file is found in a debug folder.
    let folded = trace.folded(&["--debug-dir", text(dir.path())]);
    CallTree::parse("main > run\n run > hot warm cold now_ns next_choice")
        .check(&folded, str::to_owned)
        .assert_complete();
    assert_split(&folded);
}

/// A target whose executable exists in its own mount namespace only.
#[test]
fn target_in_another_mount_namespace() {
    let dir = temp_dir();
    let inside = dir.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let script = "mount -t tmpfs none \"$1\" && cp \"$2\" \"$1/program\" && exec \"$1/program\"";
    let program = program_path("split");
    let target = Target::spawn(
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .args([&inside, &program]),
    );
    assert!(!inside.join("program").exists(), "the mount is seen outside");
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    let nameless = trace.folded(&["-q"]);
    assert_nameless(&nameless, "program");
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(&program, elsewhere.join("program")).unwrap();
    assert_split(&trace.folded(&["--debug-dir", text(&elsewhere)]));
}

/// The vDSO has no file to take names from; the recorder writes them down.
#[test]
fn names_the_vdso() {
    let script = "import time\nprint('ready', flush=True)\nwhile True: time.monotonic_ns()";
    let target = Target::spawn(Command::new(tool("python3")).args(["-c", script]));
    let trace = Trace::of(target.pid(), "1.5", &["-q"]);
    let profile = trace.profile();
    let mut named = 0;
    for location in &profile.locations {
        let Some(module) = location.module else { continue };
        if profile.modules[module].name == "[vdso]" {
            let name = &profile.functions[location.lines[0].function].name;
            assert!(name.starts_with("__vdso_"), "{name}");
            named += 1;
        }
    }
    assert!(named > 0, "no sample hit the vDSO");
}

#[test]
fn two_processes() {
    let (split, deep) = (Target::start("split", &[]), Target::start("deep", &[]));
    let trace = Trace::record(&["-q", "-d", "1.5", "-p", &pid(&split), "-p", &pid(&deep)]);
    let folded = trace.folded(&[]);
    assert!(folded.share("split;_start;") > 0.1, "{}", folded.head(9));
    assert!(folded.share("deep;clone") > 0.1, "{}", folded.head(9));
    assert_eq!(folded.count("split;") + folded.count("deep;"), folded.total());
    let pids: BTreeSet<u32> = trace.profile().processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, BTreeSet::from([split.pid(), deep.pid()]));
}

#[test]
fn ends_when_the_target_does() {
    let target = Target::start("split", &[]);
    let recorder = Recorder::start(&["-d", "100", "-p", &pid(&target)]);
    let before = blocks_in(&recorder.path());
    wait_until("samples", || blocks_in(&recorder.path()) > before + 1);
    send(target.pid(), Signal::SIGKILL);
    let trace = recorder.finish();
    assert_eq!(trace.output.status.code(), Some(0), "{}", trace.output);
    assert!(trace.output.stderr.contains("(the target exited)"), "{}", trace.output);
    assert_eq!(end_of(&trace), EndReason::TargetsExited);
    assert!(trace.folded(&[]).count(";main;run;hot") > 0);
}

#[test]
fn ends_well_when_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let target = Target::start("split", &[]);
        let recorder = Recorder::start(&["-d", "100", "-p", &pid(&target)]);
        recorder.signal(signal);
        let trace = recorder.finish();
        assert_eq!(trace.output.status.code(), Some(0), "{}", trace.output);
        assert_eq!(end_of(&trace), EndReason::Interrupted);
        // With an index at the end, for those who want to skip.
        let index = rz_format::read_index(&mut fs::File::open(trace.path()).unwrap()).unwrap();
        assert!(!index.is_empty());
        trace.conv(&["--to", "folded", "-o", "-"]).success();
    }
}

#[test]
fn is_readable_after_two_interrupts() {
    let target = Target::start("split", &[]);
    let recorder = Recorder::start(&["-d", "100", "-p", &pid(&target)]);
    let before = blocks_in(&recorder.path());
    wait_until("samples", || blocks_in(&recorder.path()) > before + 1);
    recorder.signal(Signal::SIGINT);
    recorder.signal(Signal::SIGINT);
    let trace = recorder.finish();
    assert!(trace.folded(&[]).count(";main;run;hot") > 0, "{}", trace.output);
}

#[test]
fn is_readable_after_a_kill() {
    let target = Target::start("split", &[]);
    let recorder = Recorder::start(&["-d", "100", "-p", &pid(&target)]);
    let before = blocks_in(&recorder.path());
    wait_until("samples", || blocks_in(&recorder.path()) > before + 2);
    recorder.signal(Signal::SIGKILL);
    let trace = recorder.finish();
    let output = trace.conv(&["--to", "folded", "-o", "-"]).success();
    assert!(output.stderr.contains("conv: note: "), "{output}");
    assert!(trace.folded(&[]).count(";main;run;hot") > 0, "{}", trace.output);
}

#[test]
fn nobody_there() {
    let dead = {
        let target = Target::start("split", &[]);
        pid(&target)
    };
    let dir = temp_dir();
    let trace = dir.path().join("trace.rz");
    let output = rec(&["-p", &dead, "-o", text(&trace)]).code(1);
    assert!(output.stderr.contains(&format!("no process with pid {dead}")), "{output}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no file is left");
}

/// The recorder writes down what it costs, and what its clock shows, as it goes.
#[test]
fn accounts_for_itself() {
    let target = Target::start("split", &[]);
    let (records, damage) = Trace::of(target.pid(), "3.5", &["-q"]).records();
    assert_eq!(damage, []);
    let costs: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Cost(cost) => Some(cost),
            _ => None,
        })
        .collect();
    // One a second, and one at the end.
    assert!((3..=6).contains(&costs.len()), "{costs:?}");
    for pair in costs.windows(2) {
        assert!(pair[0].time_ns < pair[1].time_ns, "{costs:?}");
        assert!(pair[0].user_ns + pair[0].system_ns <= pair[1].user_ns + pair[1].system_ns);
        assert!(pair[0].written < pair[1].written, "{costs:?}");
        assert!(pair[1].peak_rss > 100 << 10, "{costs:?}");
    }
    let count = |is_one: fn(&Record) -> bool| records.iter().filter(|r| is_one(r)).count();
    assert!(count(|record| matches!(record, Record::Clock(_))) >= 2, "one at each end");
    assert_eq!(count(|record| matches!(record, Record::Host(_))), 1);
    assert_eq!(count(|record| matches!(record, Record::End(_))), 1);
    for record in &records {
        // The kernel may slow sampling down; the recorder has no reason to.
        let Record::Loss(loss) = record else { continue };
        assert_eq!(LossReason::from(loss.reason), LossReason::Throttled, "{loss:?}");
    }
}

/// The one file can be copied to a box that has nothing else, and records there.
#[test]
fn needs_nothing_but_proc() {
    let file = binary("rec");
    let headers = run(Command::new("readelf").arg("--program-headers").arg(&file)).success();
    assert!(headers.stdout.contains("LOAD"), "{headers}");
    assert!(!headers.stdout.contains("INTERP"), "{headers}");
    let dynamic = run(Command::new("readelf").arg("--dynamic").arg(&file)).success();
    assert!(!dynamic.stdout.contains("NEEDED"), "{dynamic}");
    let size = fs::metadata(&file).unwrap().len();
    assert!(size <= 10 << 20, "{size} bytes");

    let dir = temp_dir();
    fs::create_dir(dir.path().join("proc")).unwrap();
    fs::copy(&file, dir.path().join("rec")).unwrap();
    let target = Target::start("split", &[]);
    // The mount goes when the namespace does, that is with its last process.
    let script = "mount --bind /proc \"$1/proc\" && exec chroot \"$1\" \
                  /rec -q -F 997 -d 1 -p \"$2\" -o /trace.rz";
    run(Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .args([text(dir.path()), &pid(&target)]))
    .success();
    let trace = dir.path().join("trace.rz");
    let output = rz_tests::conv(&[text(&trace), "--to", "folded", "-o", "-"]).success();
    let folded = rz_tests::Folded::parse(&output.stdout);
    CallTree::parse("main > run\n run > hot warm cold now_ns next_choice")
        .check(&folded, str::to_owned)
        .assert_complete();
    assert_split(&folded);
}
