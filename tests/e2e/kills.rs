//! The recorder is killed at any moment: targets are as before, nothing of it is left,
//! and what it has written is a trace.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rz_tests::{
    Target, binary, conv, names_in, program_path, report, run, send, temp_dir, text, wait_until,
};

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
const LONGEST: Duration = Duration::from_millis(600);

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
        run(Command::new(program_path("left")).arg(self.target.pid_text())).success().stdout
    }

    /// Has `rec` record, and kills it a moment later. Returns whether there was a trace.
    fn kill_recorder(&self, mode: &[&str], moment: Duration) -> bool {
        let (dir, before) = (temp_dir(), self.left());
        let trace = dir.path().join("t.rz");
        let mut rec = Command::new(binary("rec"));
        rec.args(["-F", "997", "-d", "100", "-o"]).arg(&trace).args(mode);
        if !mode.contains(&"-a") {
            rec.args(["-p", &self.target.pid_text()]);
        }
        let (out, err) = (Stdio::null(), Stdio::null());
        let mut rec = rec.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        thread::sleep(moment);
        assert!(rec.try_wait().unwrap().is_none(), "{mode:?} ends by itself");
        rec.kill().unwrap();
        rec.wait().unwrap();

        // What the kernel lets go of is not gone at once.
        let ended = Instant::now();
        while self.left() != before && ended.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.left(), before, "{mode:?} after {moment:?}");
        let state = self.state();
        assert!(self.states.contains(state), "{mode:?} after {moment:?}: {state}");
        if !trace.exists() {
            assert_eq!(names_in(dir.path()), Vec::<String>::new(), "{mode:?} after {moment:?}");
            return false;
        }
        assert_eq!(names_in(dir.path()), ["t.rz"], "{mode:?} after {moment:?}");
        conv(&["--verify", text(&trace)]).code(3);
        report(&[text(&trace)]).success();
        true
    }
}

/// Kills `count` recorders, after moments that are the same in each run of the test.
fn kill(count: usize) {
    let victims = Victim::all();
    let mut state = 1_u64;
    let mut traces = 0;
    for number in 0..count {
        let mode = MODES[number % MODES.len()];
        let victim = &victims[(number + number / MODES.len()) % victims.len()];
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let part = (state >> 40) as f64 / (1_u64 << 24) as f64;
        traces += usize::from(victim.kill_recorder(mode, LONGEST.mul_f64(part)));
    }
    // Some of them had begun, and some had not.
    assert!(traces > count / 4 && traces < count, "{traces} of {count}");
    send(victims[2].target.pid(), Signal::SIGCONT);
    wait_until("the stopped one to go on", || victims[2].state() != 'T');
}

#[test]
fn at_any_moment() {
    kill(12);
}

#[test]
#[ignore = "it takes long, for tests/run.sh --all"]
fn a_thousand_times() {
    kill(1000);
}
