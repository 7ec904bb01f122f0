//! What can be recorded here, and what to change where something cannot.
//!
//! Each kind of event is tried out as it is recorded: attached to a process of
//! our own making, which does a little of everything, until one has come.

use std::hint::black_box;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::eventfd::EventFd;
use rz_format::CallDetail;

use crate::bpf;
use crate::capture::Attached;
use crate::config::{AllocationOptions, CallOptions};
use crate::confinement;
use crate::event::What;
use crate::learned::Learned;
use crate::perf;
use crate::queue::Batch;
use crate::runtimes::{FoundRuntime, runtimes_of};

/// How long an event may take to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is waited for at a time.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Samples per second: one comes soon.
const FREQUENCY_HZ: u32 = 499;
/// What the process that is looked at does between two breaks.
const WORK: Duration = Duration::from_millis(2);

/// The ability that is no kind of event: that rec gives up what it has no use for.
pub const CONFINED: &str = "confined";

/// Something that `rec` can record, or else do, on the right machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// Its name for programs, which stays the same.
    pub id: &'static str,
    /// What it is.
    pub what: String,
    /// How it is done here, or why it cannot be done and what to change.
    pub verdict: Result<String, String>,
}

/// Tries everything out. Nothing is written. `types` is what the kernel's types
/// are, where it does not say itself. Of the processes of `pids`, it is said which
/// runtimes they have.
pub fn check(types: Option<PathBuf>, pids: &[u32]) -> io::Result<Vec<Ability>> {
    let target = Target::start()?;
    let samples = bpf::Options {
        pids: vec![target.0.id()],
        all: false,
        frequency_hz: FREQUENCY_HZ,
        kernel: true,
        follow: false,
        stack_bytes: 32 << 10,
        start_on_exec: false,
        waits: false,
        calls: None,
        allocations: None,
        functions: Default::default(),
        function_limit_percent: 0,
        stack_threshold_ns: 1_000_000,
        types,
    };
    let calls = Some(CallOptions { detail: CallDetail::Calls, ..CallOptions::default() });
    // Every allocation, whatever that costs a process of our own.
    let allocations = Some(AllocationOptions { interval: 0, limit_percent: 1000 });
    let by_bpf =
        |id, what: &str, options: &bpf::Options, wanted: fn(&What<'_>) -> bool, more: &str| {
            let verdict =
                bpf::attach(options).map_err(|error| error.to_string()).and_then(|attached| {
                    let how = match (attached.ways.as_str(), more) {
                        ("", "") => format!("bpf tier, by {}", attached.event.name),
                        ("", more) => more.to_owned(),
                        (ways, "") => format!("bpf tier, by {ways}"),
                        (ways, more) => format!("by {ways}; {more}"),
                    };
                    first_event(attached, wanted).map(|()| how)
                });
            Ability { id, what: what.to_owned(), verdict }
        };
    let mut abilities = vec![
        own_processes(&target),
        by_bpf("samples", "any process, and its new threads", &samples, is_sample, ""),
        by_bpf(
            "all",
            "all processes (-a)",
            &bpf::Options { all: true, ..samples.clone() },
            is_sample,
            "",
        ),
        by_bpf(
            "off-cpu",
            "off-CPU times (--off-cpu)",
            &bpf::Options { waits: true, ..samples.clone() },
            |what| matches!(what, What::Waited(_)),
            "with stacks of user and kernel",
        ),
        by_bpf(
            "syscalls",
            "system calls (--syscalls)",
            &bpf::Options { calls, ..samples.clone() },
            |what| matches!(what, What::Called(_)),
            "while it lasts, all threads of the machine take the traced path into the kernel",
        ),
        by_bpf(
            "alloc",
            "allocations of running processes (-p PID --alloc)",
            &bpf::Options { allocations, ..samples.clone() },
            |what| matches!(what, What::Allocated(_)),
            "while it lasts, each allocation and each free takes longer",
        ),
    ];
    let records_something = abilities.iter().any(|ability| ability.verdict.is_ok());
    // Other processes are looked at as in a recording.
    let what = "rec itself gives up rights".to_owned();
    abilities.push(Ability { id: CONFINED, what, verdict: confinement::try_out() });
    // Where nothing can be recorded, there are no frames either.
    if !pids.is_empty() && records_something {
        let attached = bpf::attach(&samples).map_err(|error| error.to_string());
        let python_is_followed = attached.map(|attached| attached.follows_python);
        for pid in pids {
            abilities.extend(frames_of(*pid, &python_is_followed));
        }
    }
    Ok(abilities)
}

/// What can be seen of the runtimes of a process.
fn frames_of(pid: u32, python_is_followed: &Result<bool, String>) -> Vec<Ability> {
    let what = |of: &str| format!("{of} (pid {pid})");
    let found = match runtimes_of(pid, python_is_followed) {
        Ok(found) if found.is_empty() => {
            Ok("native frames: neither a CPython nor a V8 is mapped".to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(perf::AttachError::NoSuchProcess(pid).to_string())
        }
        Err(error) => Err(format!("cannot look at the process: {error}")),
        Ok(found) => {
            let ability = |FoundRuntime { id, name, frames }: FoundRuntime| Ability {
                id,
                what: what(&name),
                verdict: frames.map(str::to_owned),
            };
            return found.into_iter().map(ability).collect();
        }
    };
    vec![Ability { id: "runtime", what: what("runtimes"), verdict: found }]
}

/// What the perf tier can do, which needs the least.
fn own_processes(target: &Target) -> Ability {
    let targets = perf::Targets {
        pids: vec![target.0.id()],
        frequency_hz: FREQUENCY_HZ,
        kernel: true,
        follow: false,
        stack_bytes: 32 << 10,
        start_on_exec: false,
    };
    let verdict = perf::attach(&targets).map_err(|error| error.to_string()).and_then(|attached| {
        let kernel = match attached.kernel {
            true => "with kernel stacks",
            false => {
                "without kernel stacks: these need root, CAP_PERFMON or \
                 `sysctl kernel.perf_event_paranoid=1`"
            }
        };
        let how = format!("perf tier, by {}, {kernel}", attached.event.name);
        first_event(attached, is_sample).map(|()| how)
    });
    Ability { id: "own", what: "one's own processes".to_owned(), verdict }
}

fn is_sample(what: &What<'_>) -> bool {
    matches!(what, What::Sample { .. })
}

/// Records until the first event that is wanted; says why if none comes.
fn first_event(attached: Attached, wanted: fn(&What<'_>) -> bool) -> Result<(), String> {
    let Attached { mut capture, parse, missing, .. } = attached;
    if let Some(reason) = missing.into_iter().next() {
        return Err(reason);
    }
    let never = EventFd::new().map_err(|error| error.to_string())?;
    let notes = capture.enable().map_err(|error| error.to_string())?;
    let learned = Learned::default();
    let started = Instant::now();
    let mut batch = Batch::default();
    let found = loop {
        capture.wait(never.as_fd(), LOOK_EVERY);
        batch.reset();
        capture.fill(&mut batch, &learned);
        let mut events = batch.records().filter_map(|(_, record)| parse(record));
        if events.any(|event| wanted(&event.what)) {
            break true;
        }
        if started.elapsed() > PATIENCE {
            break false;
        }
    };
    while !capture.disable() {
        batch.reset();
        capture.fill(&mut batch, &learned);
    }
    match (found, notes.into_iter().next()) {
        (true, _) => Ok(()),
        (false, Some(note)) => Err(note),
        (false, None) => {
            Err(format!("it was attached, but no event came in {} s", PATIENCE.as_secs()))
        }
    }
}

/// A process to look at: this program, as [`be_looked_at`].
struct Target(Child);

impl Target {
    fn start() -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("--be-looked-at").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut target = Target(command.spawn()?);
        // It says so when it has begun.
        if let Some(stdout) = &mut target.0.stdout {
            stdout.read_exact(&mut [0])?;
        }
        Ok(target)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Works, waits, calls the system and allocates until standard input ends.
pub fn be_looked_at() {
    println!("ready");
    let watch = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
    while !watch.is_finished() {
        let started = Instant::now();
        while started.elapsed() < WORK {
            black_box(vec![0u8; 100]);
        }
        thread::sleep(WORK);
    }
}
