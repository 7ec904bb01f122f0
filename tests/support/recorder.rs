//! A running `rec`, and the trace that it leaves.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use rz_format::{Damage, EndReason, Record, rebuild_index};
use rz_profile::load::{LoadOptions, load};
use rz_profile::model::Profile;
use tempfile::TempDir;

use crate::contents::Contents;
use crate::folded::Folded;
use crate::locate::{binary, temp_dir, text};
use crate::run::{Output, conv};

/// The longest that anything waited for may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// A `rec` that has begun to record. Dropping it kills it.
#[derive(Debug)]
pub struct Recorder {
    child: Child,
    shown: String,
    dir: TempDir,
}

/// What a recording left. The file is gone when this is dropped.
#[derive(Debug)]
pub struct Trace {
    /// What `rec` said, and how it ended.
    pub output: Output,
    dir: TempDir,
}

impl Recorder {
    /// Starts `rec` at 997 Hz with `args`, and returns once it samples.
    #[track_caller]
    pub fn start(args: &[&str]) -> Self {
        let mut recorder = Self::spawn(args);
        // The file gets its name when sampling begins.
        let path = recorder.path();
        wait_until("rec to begin", || path.exists() || recorder.has_ended());
        recorder
    }

    /// Starts `rec` at 997 Hz with `args`, and returns at once.
    #[track_caller]
    pub fn spawn(args: &[&str]) -> Self {
        let dir = temp_dir();
        let said = |name| File::create(dir.path().join(name)).expect("the folder is writable");
        let mut command = Command::new(binary("rec"));
        command.args(["-F", "997", "-o"]).arg(dir.path().join(TRACE)).args(args);
        let shown = format!("{command:?}").replace('"', "");
        let child = command
            .stdin(Stdio::null())
            .stdout(said("stdout"))
            .stderr(said("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        Recorder { child, shown, dir }
    }

    /// Where the trace is, or will be.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(TRACE)
    }

    /// The process id of `rec`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to `rec`.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Blocks in the trace so far. Every second brings some.
    pub fn blocks(&self) -> usize {
        let path = self.path();
        let mut file =
            File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // The header may not be there yet.
        rebuild_index(&mut file).map_or(0, |blocks| blocks.len())
    }

    /// Whether `rec` has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("rec is a child of this process").is_some()
    }

    /// Waits until `rec` ends by itself.
    #[track_caller]
    pub fn finish(mut self) -> Trace {
        wait_until(&format!("{} to end", self.shown), || self.has_ended());
        let status = self.child.wait().expect("rec is a child of this process");
        let said = |name| {
            let bytes = fs::read(self.dir.path().join(name)).expect("the file is ours");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (stdout, stderr) = (said("stdout"), said("stderr"));
        let dir = std::mem::replace(&mut self.dir, temp_dir());
        Trace { output: Output { command: self.shown.clone(), status, stdout, stderr }, dir }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Fails only when it has ended and was waited for, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Trace {
    /// Runs `rec` at 997 Hz with `args` until it ends, which must be well.
    #[track_caller]
    pub fn record(args: &[&str]) -> Self {
        let trace = Recorder::spawn(args).finish();
        assert!(trace.output.status.success(), "{}", trace.output);
        trace
    }

    /// Records the process `pid` for some seconds, with `args` besides.
    #[track_caller]
    pub fn of(pid: u32, seconds: &str, args: &[&str]) -> Self {
        Self::record(&[&["-p", &pid.to_string(), "-d", seconds], args].concat())
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join(TRACE)
    }

    /// Runs `conv` on the trace, with `args` besides.
    pub fn conv(&self, args: &[&str]) -> Output {
        conv(&[&[text(&self.path())], args].concat())
    }

    /// The stacks, as `conv` with `args` folds them.
    #[track_caller]
    pub fn folded(&self, args: &[&str]) -> Folded {
        let output = self.conv(&[&["--to", "folded", "-o", "-"], args].concat());
        Folded::parse(&output.success().stdout)
    }

    /// The profile, with single samples in order of time.
    #[track_caller]
    pub fn profile(&self) -> Profile {
        let options = LoadOptions { timeline: true, ..LoadOptions::default() };
        load(&self.path(), &options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Why the recording ended, as the trace says; panics if it does not, or
    /// if the trace is damaged.
    #[track_caller]
    pub fn end_reason(&self) -> EndReason {
        let (records, damage) = self.records();
        assert_eq!(damage, [], "{}", self.output);
        let mut ends = records.iter().filter_map(|record| match record {
            Record::End(end) => Some(end.reason.into()),
            _ => None,
        });
        ends.next().unwrap_or_else(|| panic!("no end: {}", self.output))
    }

    /// All facts in the trace, and what is damaged in it.
    #[track_caller]
    pub fn records(&self) -> (Vec<Record>, Vec<Damage>) {
        let Contents { records, damage, .. } = self.contents();
        (records, damage)
    }

    /// Everything in the trace, row by row.
    #[track_caller]
    pub fn contents(&self) -> Contents {
        Contents::read(&self.path())
    }
}

const TRACE: &str = "trace.rz";

/// Sends a signal to a process that a test has started.
pub fn send(pid: u32, signal: Signal) {
    signal::kill(Pid::from_raw(pid as i32), signal).expect("the process is ours");
}

/// Waits until `is_met`, and panics when that takes too long.
#[track_caller]
pub fn wait_until(what: &str, mut is_met: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIME_LIMIT;
    while !is_met() {
        assert!(Instant::now() < deadline, "{what}: not within {} s", TIME_LIMIT.as_secs());
        thread::sleep(Duration::from_millis(5));
    }
}
