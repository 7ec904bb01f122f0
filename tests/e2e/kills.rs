//! The recorder is killed at any moment: targets are as before, nothing of it is left,
//! and what it has written is a trace.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rz_tests::{
    Cgroup, Target, binary, conv, left, left_before, names_in, report, run, send, temp_dir, text,
    tool, wait_until,
};
use tempfile::TempDir;

/// How it records.
const MODES: [&[&str]; 6] = [
    &["--tier", "perf"],
    &["--tier", "bpf", "--follow"],
    &["--off-cpu", "--syscalls"],
    &["--alloc", "--alloc-limit", "1000"],
    &["--off-cpu", "--syscalls", "--alloc=full", "--alloc-limit", "1000"],
    &["-a", "--off-cpu", "--syscalls=summary"],
];
/// It begins and is killed within this time.
const LONGEST: Duration = Duration::from_millis(300);

/// A target, and the state that it has to be in, of `/proc/PID/stat`.
struct Victim {
    target: Target,
    states: &'static str,
}

impl Victim {
    /// One that allocates all the time, one that sleeps, and one that was stopped.
    fn all() -> [Victim; 3] {
        let busy = Target::start("allocs", &["hot", "0"]);
        let sleeping = Target::start("waiter", &["0"]);
        let stopped = Target::start("allocs", &["hot", "0"]);
        send(stopped.pid(), Signal::SIGSTOP);
        [(busy, "RS"), (sleeping, "RS"), (stopped, "T")]
            .map(|(target, states)| Victim { target, states })
    }

    fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.target.pid())).unwrap();
        let after_name = &stat[stat.rfind(')').expect("a name") + 2..];
        after_name.chars().next().expect("a state")
    }

    /// What the kernel has attached, and how much of the code is not as in its files.
    fn left(&self) -> String {
        left(&self.target.pid_text())
    }
}

/// Has `rec` record, and kills it a moment later. Returns where its trace is, or was to be.
fn kill_recorder(pid: &str, mode: &[&str], moment: Duration) -> TempDir {
    let dir = temp_dir();
    let mut rec = Command::new(binary("rec"));
    rec.args(["-F", "997", "-d", "100", "-o"]).arg(dir.path().join("t.rz")).args(mode);
    if !mode.contains(&"-a") {
        rec.args(["-p", pid]);
    }
    let (out, err) = (Stdio::null(), Stdio::null());
    let mut rec = rec.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
    thread::sleep(moment);
    assert!(rec.try_wait().unwrap().is_none(), "{mode:?} ends by itself");
    rec.kill().unwrap();
    rec.wait().unwrap();
    dir
}

/// Whether there is a trace. If there is one, it is readable, and nothing else is there.
fn is_trace(dir: &Path, killed: &str) -> bool {
    let trace = dir.join("t.rz");
    if !trace.exists() {
        assert_eq!(names_in(dir), Vec::<String>::new(), "{killed}");
        return false;
    }
    assert_eq!(names_in(dir), ["t.rz"], "{killed}");
    conv(&["--verify", text(&trace)]).code(3);
    report(&[text(&trace)]).success();
    true
}

/// Kills `count` recorders, one of each victim at a time, after moments that are the same in
/// each run of the test.
fn kill(count: usize) {
    let victims = Victim::all();
    let left = || victims.each_ref().map(Victim::left);
    left_before(&victims[0].target.pid_text());
    let before = left();
    let mut state = 1_u64;
    let mut moment = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        LONGEST.mul_f64((state >> 40) as f64 / (1_u64 << 24) as f64)
    };
    let mut traces = 0;
    for round in 0..count / victims.len() {
        // Each has each of the modes, beside each of the others.
        let apart = 1 + round / MODES.len();
        let plans = [0, 1, 2].map(|at| (MODES[(round + at * apart) % MODES.len()], moment()));
        let folders = thread::scope(|scope| {
            let killings = [0, 1, 2].map(|at| {
                let (pid, (mode, moment)) = (victims[at].target.pid_text(), plans[at]);
                scope.spawn(move || kill_recorder(&pid, mode, moment))
            });
            killings.map(|killing| killing.join().unwrap())
        });
        let killed = format!("{plans:?}");
        // What the kernel lets go of is not gone at once.
        let ended = Instant::now();
        while left() != before && ended.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(left(), before, "{killed}");
        for victim in &victims {
            let state = victim.state();
            assert!(victim.states.contains(state), "{killed}: {state}");
        }
        traces += folders.iter().filter(|folder| is_trace(folder.path(), &killed)).count();
    }
    // Some of them had begun, and some had not.
    assert!(traces > count / 4 && traces < count, "{traces} of {count}");
    send(victims[2].target.pid(), Signal::SIGCONT);
    wait_until("the stopped one to go on", || victims[2].state() != 'T');
}

#[test]
fn at_any_moment() {
    kill(200);
}

#[test]
#[ignore = "it takes long, for tests/run.sh --all"]
fn a_thousand_times() {
    kill(1000);
}

/// A program and its recorder share a control group that has too little memory for both:
/// it is the recorder that has to go, though the program has more.
#[test]
fn it_goes_first_when_memory_runs_out() {
    const PROGRAM: u64 = 64 << 20;
    let keeps = format!("kept = b'x' * {PROGRAM}\nprint('ready', flush=True)\nwhile True: pass");
    let mut killed = 0;
    for more in (16..96).step_by(8) {
        let (cgroup, dir) = (Cgroup::new("memory"), temp_dir());
        cgroup.set_memory(PROGRAM + (more << 20));
        let mut program = cgroup.command(&tool("python3"));
        let program = Target::spawn(program.args(["-c", &keeps]));
        let trace = dir.path().join("t.rz");
        let mut rec = cgroup.command(&binary("rec"));
        rec.args(["-q", "--off-cpu", "--syscalls", "-d", "0.3", "-o"]).arg(&trace);
        rec.args(["-p", &program.pid_text()]);
        let output = run(&mut rec);
        match output.status.code() {
            None => killed += 1,
            // It has found that out by itself.
            Some(1) => assert!(output.stderr.contains("there is no memory for it"), "{output}"),
            code => assert_eq!(code, Some(0), "{output}"),
        }
        if trace.exists() {
            report(&[text(&trace)]).success();
        }
        let state = Victim { target: program, states: "R" }.state();
        assert_eq!(state, 'R', "with {more} MiB more");
    }
    assert!(killed > 0, "there always was enough memory");
}
