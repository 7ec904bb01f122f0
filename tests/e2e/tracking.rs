//! The bpf tier: whatever threads and processes do, all of the targets is
//! recorded, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{SysconfVar, sysconf};
use rz_format::{Record, ThreadName};
use rz_tests::{Contents, Recorder, Target, Trace, program_path, text};

/// CPU time that a process has used so far, threads that ended included.
pub fn cpu_ns(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 =
        fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    let per_second = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap() as u64;
    ticks * 1_000_000_000 / per_second
}

/// CPU time that the samples stand for.
fn sampled_ns(contents: &Contents) -> u64 {
    contents.samples.iter().map(|sample| sample.weight).sum()
}

#[track_caller]
fn assert_near(what: &str, value: u64, expected: u64, tolerance: f64) {
    let off = (value as f64 - expected as f64).abs() / expected as f64;
    assert!(off <= tolerance, "{what}: {value} instead of {expected}, off by {off:.3}");
}

/// Panics unless everything that has appeared has ended as well.
#[track_caller]
fn assert_all_ended(contents: &Contents) {
    let mut open: BTreeMap<(&str, u32), &Record> = BTreeMap::new();
    for record in &contents.records {
        match record {
            Record::Process(process) => open.insert(("process", process.id), record),
            Record::Thread(thread) => open.insert(("thread", thread.id), record),
            Record::ProcessExit(exit) => open.remove(&("process", exit.id)),
            Record::ThreadExit(exit) => open.remove(&("thread", exit.id)),
            _ => None,
        };
    }
    assert!(open.is_empty(), "{:#?}", open.values().take(9).collect::<Vec<_>>());
}

#[test]
fn ten_thousand_threads() {
    let target = Target::start("crowd", &["0", "10000", "4"]);
    let started = Instant::now();
    let recorder = Recorder::start(&["-q", "-d", "2", "--off-cpu", "-p", &target.pid_text()]);
    let took = started.elapsed();
    println!("first sample after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // Events are opened per CPU, not per thread.
    let descriptors = fs::read_dir(format!("/proc/{}/fd", recorder.pid())).unwrap().count();
    let cpus = sysconf(SysconfVar::_NPROCESSORS_ONLN).unwrap().unwrap() as usize;
    assert!(descriptors < 96 + 4 * cpus, "{descriptors} open files");
    let contents = recorder.finish().contents();

    let names = contents.thread_names();
    let named = |start| names.iter().filter(move |(_, name)| name.starts_with(start));
    assert_eq!(named("asleep").count(), 10_000);
    let sampled: BTreeSet<u32> = contents.samples.iter().map(|sample| sample.thread).collect();
    let busy: Vec<_> = named("busy-").collect();
    assert_eq!(busy.len(), 4);
    for (id, name) in busy {
        assert!(sampled.contains(id), "{name} has no samples");
    }
    // Each of the sleepers has slept from beginning to end: more than the
    // buffers hold.
    let asleep: BTreeSet<u32> = contents
        .waits
        .iter()
        .filter(|wait| wait.seen.late && wait.seen.unfinished && wait.stack.is_some())
        .map(|wait| wait.thread)
        .collect();
    let missing = named("asleep").filter(|(id, _)| !asleep.contains(id)).count();
    assert_eq!((missing, contents.losses()), (0, Vec::new()));
    let peak = contents.records.iter().filter_map(|record| match record {
        Record::Cost(cost) => Some(cost.peak_rss),
        _ => None,
    });
    let peak = peak.max().unwrap();
    assert!(peak < 256 << 20, "{peak} bytes");
}

/// Threads that live for 150 µs, which events on each thread are blind to.
#[test]
fn a_thread_storm() {
    let target = Target::start("storm", &["0", "1000", "20"]);
    let recorder = Recorder::start(&["-q", "-d", "60", "--off-cpu", "-p", &target.pid_text()]);
    let before = cpu_ns(target.pid());
    std::thread::sleep(Duration::from_secs(3));
    let used = cpu_ns(target.pid()) - before;
    recorder.signal(Signal::SIGINT);
    let contents = recorder.finish().contents();
    println!("{} samples of {} threads", contents.samples.len(), contents.threads().count());
    assert_near("CPU time", sampled_ns(&contents), used, 0.15);
    assert_eq!(contents.losses(), Vec::<&rz_format::Loss>::new());
    // Every thread is there, under its name.
    let is_life = |name: &String| name.starts_with("life-");
    let lives = contents.thread_names().values().filter(|name| is_life(name)).count();
    assert!(lives > 2500, "{lives} threads");
    // Each ended thread counts for itself.
    let mut numbers: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for record in &contents.records {
        if let Record::ThreadName(ThreadName { thread, name, .. }) = record
            && is_life(name)
        {
            numbers.entry(*thread).or_default().insert(name);
        }
    }
    assert_eq!(numbers.values().find(|names| names.len() > 1), None);
    // No thread is taken for a new one on its last steps.
    let named: BTreeSet<u32> = numbers.keys().copied().collect();
    let nameless = contents.threads().filter(|thread| !named.contains(&thread.id)).count();
    assert!(nameless < 20, "{nameless} threads never got a name");
}

/// The process ids that `forkstorm` has printed.
fn children(stdout: &str) -> BTreeSet<u32> {
    let pids = stdout.lines().filter_map(|line| line.strip_prefix("child "));
    pids.map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn a_fork_storm() {
    let program = program_path("forkstorm");
    let trace = Trace::record(&["-q", "--off-cpu", "--syscalls", "--", text(&program), "2"]);
    let contents = trace.contents();
    assert_eq!(contents.totals.iter().filter(|total| total.thread.is_none()).count(), 0);
    let children = children(&trace.output.stdout);
    assert!(children.len() > 20, "{} children", children.len());
    let pids: BTreeSet<u32> = contents.processes().values().map(|process| process.pid).collect();
    assert_eq!(children.difference(&pids).count(), 0);
    assert_eq!(pids.len(), children.len() + 1, "and their parent");
    // Each burns for several samples. A virtual machine may get its timer's interrupts late.
    let sampled = contents.sampled_pids();
    let missed: Vec<_> = children.difference(&sampled).collect();
    let (losses, of) = (contents.losses(), children.len());
    assert!(missed.len() * 10 <= of, "{missed:?} of {of} have no samples; lost: {losses:?}");
    assert_all_ended(&contents);
}

#[test]
fn a_fork_storm_that_is_not_followed() {
    let target = Target::start("forkstorm", &["0"]);
    let contents = Trace::of(target.pid(), "1", &["-q"]).contents();
    assert_eq!(contents.sampled_pids(), BTreeSet::from([target.pid()]));
    assert_eq!(contents.threads().count(), 1);
}

#[test]
fn a_fork_storm_that_runs_already() {
    let target = Target::start("forkstorm", &["0"]);
    let contents = Trace::of(target.pid(), "1", &["-q", "--follow"]).contents();
    let sampled = contents.sampled_pids();
    assert!(sampled.len() > 10, "{} processes", sampled.len());
}

#[test]
fn the_whole_machine() {
    let (split, deep) = (Target::start("split", &[]), Target::start("deep", &[]));
    let asleep = Target::start("crowd", &["0", "1", "0"]);
    let recorder = Recorder::start(&["-q", "-d", "1.5", "--all", "--off-cpu", "--syscalls"]);
    let own = recorder.pid();
    let contents = recorder.finish().contents();
    let sampled = contents.sampled_pids();
    assert!(sampled.contains(&split.pid()) && sampled.contains(&deep.pid()), "{sampled:?}");
    let pids: BTreeSet<u32> = contents.processes().values().map(|process| process.pid).collect();
    assert!(pids.contains(&asleep.pid()), "running or not");
    assert!(!pids.contains(&own), "the recorder itself");
    let owners: BTreeMap<u32, u32> =
        contents.threads().map(|thread| (thread.id, thread.process)).collect();
    let waiting: BTreeSet<u32> =
        contents.waits.iter().map(|wait| contents.processes()[&owners[&wait.thread]].pid).collect();
    assert!(waiting.contains(&asleep.pid()) && !waiting.contains(&own), "{waiting:?}");
}

/// A program that is started counts from its first instruction on: what it
/// uses is what is sampled.
#[test]
fn a_program_from_its_beginning() {
    let program = program_path("execchain");
    let trace = Trace::record(&["-q", "--", text(&program), "0.5", "500"]);
    let contents = trace.contents();
    let lives: Vec<_> = contents.processes().into_values().collect();
    assert_eq!(lives.len(), 2, "{lives:?}");
    assert_eq!(lives[0].pid, lives[1].pid);
    let mut weights: BTreeMap<u32, u64> = BTreeMap::new();
    for sample in &contents.samples {
        let thread = contents.threads().find(|thread| thread.id == sample.thread).unwrap();
        *weights.entry(thread.process).or_default() += sample.weight;
    }
    for life in lives {
        let weight = weights.get(&life.id).copied().unwrap_or(0);
        // As much of 500 ms as the machine lets it have.
        assert!(weight > 50_000_000, "{} ns in {}", weight, life.name);
    }
    assert_all_ended(&contents);
}
