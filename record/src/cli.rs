//! The command line of `rec`.

mod triggers;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::syscall_list;
use clap::{ArgAction, Parser, ValueEnum};
use rz_record::{
    AllocationOptions, CallDetail, CallOptions, CallStacks, Config, FactOptions, FunctionSpec,
    Keep, Limits, MAX_DATA_BYTES, Rotation, Target, TierChoice, Trigger,
};
use values::{
    Amount, Numbers, distinct, parse_amount, parse_duration, parse_interval, parse_memory,
    parse_numbers, parse_ring, parse_size, parse_stack_size, parse_time,
};

/// How long an attached recording lasts if nothing is said: a profiler that
/// was left attached by mistake has caused outages.
const DEFAULT_ATTACHED: Duration = Duration::from_secs(30);
/// The same to see what threads are doing, for which each that runs has to be seen soon.
const DUMPED: Duration = Duration::from_millis(100);
const DUMP_FREQUENCY: u32 = 997;

/// How often samples are taken, and from which length on waits and calls are in detail: for
/// a closer look, and for what is left on.
const USUAL_FREQUENCY: u32 = 99;
const USUAL_THRESHOLD: Duration = Duration::from_millis(1);
const LOW_FREQUENCY: u32 = 19;
const HIGH_THRESHOLD: Duration = Duration::from_millis(10);

/// Percent of a CPU that recording running processes may take.
const USUAL_CPU_PERCENT: u32 = 25;
/// Record where a live process spends its time, without stopping it.
#[derive(Debug, Parser)]
#[command(name = "rec", version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Attach to these processes, in a list (1,2) or as `pidof` prints them; may be
    /// given more than once. The number of a thread stands for its process
    #[arg(short, long = "pid", value_name = "PID", num_args = 0.., default_missing_value = "",
          required_unless_present_any = ["tid", "command", "all", "check", "be_looked_at"],
          conflicts_with_all = ["command", "all"], value_parser = parse_numbers)]
    pid: Vec<Numbers>,

    /// Attach to these threads only, as `top -H` shows them. The rest of their process
    /// is watched at the same cost and left out
    #[arg(long, value_name = "TID", num_args = 0.., default_missing_value = "",
          conflicts_with_all = ["pid", "command", "all", "check", "follow", "alloc"],
          value_parser = parse_numbers)]
    tid: Vec<Numbers>,

    /// Record all processes of the machine
    #[arg(short, long, conflicts_with = "command")]
    all: bool,

    /// Stop after this time: seconds, or with a unit such as 500ms or 2m
    /// [default: 30 when attaching, until it exits when starting a command, until `q`
    /// with --live]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,

    /// Samples per second of CPU time [default: 99, or 19 with --rotate]
    #[arg(short = 'F', long, short_alias = 'r', visible_alias = "rate", value_name = "HZ",
          value_parser = clap::value_parser!(u32).range(1..))]
    frequency: Option<u32>,

    /// Write the trace here; `-` is standard output [default:
    /// COMMAND-PID-TIME.rz]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the file if it exists
    #[arg(long)]
    force: bool,

    /// Go on until a signal or the end of the targets, and begin another file after this
    /// time (10m, 1h) or size (100M; both may be given), or on SIGUSR1. -o is a directory
    /// then, for files HOST-PROGRAM-TIME.rz, each of which is a trace of its own
    #[arg(long, value_name = "TIME|SIZE", conflicts_with = "force", value_parser = parse_amount,
          help_heading = "One file after another")]
    rotate: Vec<Amount>,

    /// Keep only so much of these files (2G, or those of the last 7d; both may be given): the
    /// oldest are removed first. When the disk is full, they are as well
    #[arg(long, value_name = "SIZE|TIME", requires = "rotate", value_parser = parse_amount,
          help_heading = "One file after another")]
    keep: Vec<Amount>,

    /// Keep only the last so much (60s, 10m) of the recording, in memory, and write it when
    /// something happens that --on names: a directory HOST-PROGRAM-TIME-KIND in that of -o,
    /// with some files that follow each other, each of which is a trace of its own. Then it
    /// goes on. At most half of what --max-rss has beyond 96M is used for it
    #[arg(long, value_name = "TIME", requires = "on", value_parser = parse_ring,
          conflicts_with_all = ["rotate", "force", "check", "dump", "live", "probes"],
          help_heading = "When something happens")]
    ring: Option<Duration>,

    /// What to write it for; may be given more than once. cpu>90%: all that is recorded uses
    /// more of a CPU within a second (200% are two). syscall:fsync>1s: such a call returns
    /// that took longer. signal: SIGUSR1 comes. log:FILE:TEXT: a line with TEXT is appended
    /// to FILE. exit: a process that was named ends. crash: a signal ends a process. What
    /// comes true again within the time of --ring is written for when that is over
    #[arg(long, value_name = "TRIGGER", requires = "ring", value_parser = triggers::parse,
          help_heading = "When something happens")]
    on: Vec<Trigger>,

    /// Record child processes too [default when starting a command]
    #[arg(long, overrides_with = "no_follow")]
    follow: bool,

    /// Do not record child processes [default when attaching]
    #[arg(long)]
    no_follow: bool,

    /// Record kernel stacks too [default, where it is allowed]
    #[arg(long, overrides_with = "no_kernel")]
    kernel: bool,

    /// Do not record kernel stacks
    #[arg(long)]
    no_kernel: bool,

    /// Copy up to this much of a thread's stack with each sample, up to 63K.
    /// More finds the callers of deeper stacks and fills the buffers sooner
    #[arg(long, value_name = "SIZE", default_value = "32K", value_parser = parse_stack_size)]
    stack_size: u32,

    /// Record where and for how long threads wait, too
    #[arg(long, help_heading = "More than samples")]
    off_cpu: bool,

    /// Record system calls, too: all, or only some, by name or by set (file,
    /// network, process, memory, signal, ipc, desc), `!` to leave one out; or
    /// only their exact numbers and times (summary)
    #[arg(long, value_name = "LIST", num_args = 0..=1, require_equals = true,
          default_missing_value = "all", value_parser = syscall_list::parse,
          help_heading = "More than samples")]
    syscalls: Option<(CallDetail, Vec<u32>)>,

    /// Record only system calls in detail that take at least so long; all are
    /// counted
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "syscalls",
          help_heading = "More than samples")]
    slower_than: Option<Duration>,

    /// Record the stack of system calls: of slow and failed ones and others in
    /// proportion to their time, of all, or of none
    #[arg(long, value_enum, default_value = "sampled", help_heading = "More than samples")]
    syscall_stacks: Stacks,

    /// Record what system calls read, write, send and receive, too, the first so many
    /// bytes of each buffer (1 to 4096; 32 if nothing is said), and structures such as
    /// stat and pollfd; `report --syscalls --list` prints them as strace does. They may
    /// hold secrets
    #[arg(long, value_name = "BYTES", num_args = 0..=1, require_equals = true,
          default_missing_value = "32", requires = "syscalls",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DATA_BYTES)),
          help_heading = "More than samples")]
    syscall_data: Option<u32>,

    /// Record heap allocations, too: a sample of them, one for so many bytes
    /// allocated (such as 64K) on average, or all of them (full)
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true,
          default_missing_value = "sampled", value_parser = parse_interval,
          help_heading = "More than samples")]
    alloc: Option<u64>,

    /// Of running processes, record allocations only while that costs them less
    /// than so many percent of one CPU (about 0.7 us for each allocation and
    /// each free, 0.9 us more for each that is recorded, by kernel probes);
    /// otherwise page faults, which show where memory is first used
    #[arg(long, value_name = "PERCENT", default_value_t = 5, requires = "alloc",
          value_parser = clap::value_parser!(u32).range(1..=100_000),
          help_heading = "More than samples")]
    alloc_limit: u32,

    /// Record every call of a function: when, how long, what it is given and returns, and
    /// stacks in proportion to time. FUNCTION is `[FILE:]NAME` as the linker has it, with `*`
    /// for anything, and says, if you like, what its arguments and its result are:
    /// 'libssl:SSL_write(ptr, ptr, int) -> int'. There are ptr, str, int, uint, long, ulong,
    /// size, bool and char. May be given more than once
    #[arg(long, value_name = "FUNCTION", conflicts_with_all = ["all", "check", "dump", "probes"],
          help_heading = "More than samples")]
    call: Vec<FunctionSpec>,

    /// Record calls of functions only while that costs their processes less than so many
    /// percent of one CPU (about 0.8 us for each call, more where the
    /// kernel has to take a single step)
    #[arg(long, value_name = "PERCENT", default_value_t = 5, requires = "call",
          value_parser = clap::value_parser!(u32).range(1..=100_000),
          help_heading = "More than samples")]
    call_limit: u32,

    /// Waits and calls that take so long get a stack each; of shorter ones, one
    /// gets a stack for so much of their time [default: 1ms, or 10ms with --rotate]
    #[arg(long, value_name = "TIME", value_parser = parse_duration,
          help_heading = "More than samples")]
    stack_threshold: Option<Duration>,

    /// Record the arguments of processes, too, not only the first word of
    /// their command line. They may be secret
    #[arg(long, help_heading = "More than samples")]
    args: bool,

    /// Record the values of environment variables, too, not only their names.
    /// They may be secret
    #[arg(long, help_heading = "More than samples")]
    env: bool,

    /// Record by bpf programs (new threads and children are never missed), or
    /// by perf events on each thread (needs no rights for one's own processes)
    #[arg(long, value_enum, default_value = "auto")]
    tier: Tier,

    /// Take the kernel's types from this file (BTF), where the kernel has none
    /// of its own in /sys/kernel/btf
    #[arg(long, value_name = "FILE")]
    pub(crate) btf: Option<PathBuf>,

    /// Take no more of the CPU than so many percent of one, on average over some seconds
    /// (bpf programs not included): first, stacks are cut to 8 KiB, and fewer of the short waits and system
    /// calls are kept; then one sample in 2, 4, 8 or 16 stands for all of them; then
    /// there are only exact sums and what processes do. It is said where that happens
    /// [default: 25, of a program that is started no limit]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100_000),
          help_heading = "Limits")]
    max_cpu: Option<u32>,

    /// Take no more memory than this: what does not fit is left out, or the recording
    /// ends. What is above 96M is mostly for events that wait to be dealt with; what is
    /// mapped twice counts once
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = parse_memory,
          help_heading = "Limits")]
    max_rss: u64,

    /// Stop when the file reaches this size: bytes, or with K, M or G. With --rotate, begin
    /// the next one
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = parse_size,
          help_heading = "Limits")]
    max_size: u64,

    /// Stop when the file system has less than this left [default: 1 % of it, and no
    /// more than 256M]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Limits")]
    min_free: Option<u64>,

    /// When the recording is over, give up writing after this time what the disk or
    /// the reader of a pipe has not taken: targets are left alone by then (the kernel
    /// may keep a process until a disk that hangs answers)
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time,
          help_heading = "Limits")]
    drain_timeout: Duration,

    /// Say what can be recorded here, and what to change where something cannot:
    /// each kind of event is tried out on a process of rec's own. With -p, also
    /// which runtimes the process has, and how good their frames will be
    #[arg(long, group = "shown", conflicts_with_all = ["command", "all"])]
    pub(crate) check: bool,

    /// Show what every thread is doing now, by `report`: its stack, and what it waits for.
    /// This records for 100 ms, or as long as -d says, and stops nothing
    #[arg(long, group = "shown",
          conflicts_with_all = ["command", "all", "output", "alloc", "syscalls", "rotate"])]
    pub(crate) dump: bool,

    /// Look at it by `report --tui` while it is recorded, on this terminal: functions, flame
    /// graph, threads, waits, system calls and memory, as far as they are recorded. Its `q`
    /// ends the recording, which has no other end unless -d says so; the trace stays
    #[arg(long, conflicts_with_all = ["command", "check", "dump", "probes", "rotate"])]
    pub(crate) live: bool,

    /// List the static probes (USDT) of running processes: their names, what they pass, and
    /// where they are. Nothing is recorded
    #[arg(long, group = "shown", conflicts_with_all = ["command", "all", "tid", "output"])]
    pub(crate) probes: bool,

    /// With --check, --dump and --probes, say it in JSON
    #[arg(long, requires = "shown")]
    pub(crate) json: bool,

    /// What --check tries things out on
    #[arg(long, exclusive = true, hide = true)]
    pub(crate) be_looked_at: bool,

    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more about what is going on; twice for even more
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Start this program and record it until it exits
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Examples:
  rec -p 4242                      30 s of a running process, 99 samples a second
  rec -d 10 -F 997 -p 4242 -o t.rz
  rec -p $(pidof nginx php-fpm) --follow
  rec -p 4242,4250                 several processes in one trace
  rec --tid 4243 --off-cpu         one thread, as top -H shows it
  rec -o build.rz -- make -j8      a command and its children until it exits
  rec -p 4242 --off-cpu            where its threads wait, too
  rec -p 4242 --syscalls=network,!poll --slower-than 1ms
  rec -p 4242 --syscalls --syscall-data=100   with what is read and written
  rec -p 4242 --call 'libssl:SSL_write(ptr, ptr, int) -> int'   every call of a function
  rec -p 4242 --alloc              who allocates, a sample for each 512K
  rec --dump -p 4242               what all of its threads are doing now
  rec --live -p 4242 --off-cpu     look at it while it is recorded; q ends that
  rec --probes -p 4242             which static probes (USDT) it has
  rec -a --syscalls=summary        exact counts and times, whole machine
  ssh box rec -p 4242 -o - | report -
  rec --ring 60s --on 'cpu>90%' --on 'syscall:fsync>1s' --on crash -p 4242 -o seen/
                                   the minute before it happens
  rec -a --off-cpu --syscalls=summary --rotate 10m --keep 2G -o /var/lib/rz
                                   left on, at a low rate: files of 10 minutes

What processes are called and run with is recorded, too: the first word of the
command line, executable, user, control group, limits and the names of
environment variables; except with -a, also directory and open files. See it
with `report t.rz --info`.

Exit status: that of COMMAND if one was started; else 0 if recorded, 1 if not,
2 for wrong usage, 126 or 127 if COMMAND cannot be run or is not found.

Read the trace with `report t.rz`, or convert it with `conv t.rz --to speedscope`.";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tier {
    Auto,
    Bpf,
    Perf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stacks {
    None,
    Sampled,
    All,
}

/// How much `rec` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verbosity {
    /// Only errors.
    pub(crate) quiet: bool,
    /// Diagnostics.
    pub(crate) level: log::LevelFilter,
}

impl Arguments {
    /// The processes that are named.
    pub(crate) fn pids(&self) -> Vec<u32> {
        distinct(&self.pid)
    }

    /// What the arguments ask for.
    pub(crate) fn into_config(self, typed: &[OsString]) -> (Config, Verbosity) {
        let starts = !self.command.is_empty();
        // What the program is given may be secret and is left out.
        let own = typed.len() - self.command.len().saturating_sub(1);
        let command_line = typed[..own.min(typed.len())]
            .iter()
            .map(|word| word.to_string_lossy().into())
            .collect();
        let verbosity = Verbosity {
            quiet: self.quiet || self.dump,
            level: match self.verbose {
                // The view has the terminal.
                _ if self.live => log::LevelFilter::Off,
                0 => log::LevelFilter::Warn,
                1 => log::LevelFilter::Info,
                _ => log::LevelFilter::Debug,
            },
        };
        let mut calls = self.syscalls.map(|(detail, numbers)| CallOptions {
            detail,
            numbers,
            slower_than_ns: self.slower_than.map_or(0, nanos),
            stacks: match self.syscall_stacks {
                Stacks::None => CallStacks::None,
                Stacks::Sampled => CallStacks::Sampled,
                Stacks::All => CallStacks::All,
            },
            data_bytes: self.syscall_data.unwrap_or(0),
        });
        add_watched_calls(&mut calls, &self.on);
        let rotation = rotation(&self.rotate, &self.keep);
        let (frequency, threshold) = match rotation {
            None if self.dump => (DUMP_FREQUENCY, USUAL_THRESHOLD),
            None => (USUAL_FREQUENCY, USUAL_THRESHOLD),
            Some(_) => (LOW_FREQUENCY, HIGH_THRESHOLD),
        };
        let mut limits = Limits {
            max_rss: self.max_rss,
            max_cpu_percent: self.max_cpu.or((!starts).then_some(USUAL_CPU_PERCENT)),
            max_size: self.max_size,
            min_free: self.min_free,
        };
        let ring = self.ring.map(|time| Rotation::in_memory(time, &mut limits));
        let rotation = rotation.or(ring);
        let usual = if self.dump { DUMPED } else { DEFAULT_ATTACHED };
        let goes_on = starts || rotation.is_some() || self.live;
        let config = Config {
            duration: self.duration.or((!goes_on).then_some(usual)),
            frequency_hz: self.frequency.unwrap_or(frequency),
            rotation,
            triggers: self.on,
            output: if self.dump { Some("-".into()) } else { self.output },
            force: self.force,
            follow: self.follow || self.all || (starts && !self.no_follow),
            kernel: !self.no_kernel,
            stack_bytes: self.stack_size,
            tier: match self.tier {
                Tier::Auto => TierChoice::Auto,
                Tier::Bpf => TierChoice::Bpf,
                Tier::Perf => TierChoice::Perf,
            },
            waits: self.off_cpu || self.dump,
            last_ran: self.dump,
            calls,
            functions: self.call,
            function_limit_percent: self.call_limit,
            facts: FactOptions { args: self.args, values: self.env },
            allocations: self
                .alloc
                .map(|interval| AllocationOptions { interval, limit_percent: self.alloc_limit }),
            stack_threshold_ns: nanos(self.stack_threshold.unwrap_or(threshold)),
            types: self.btf,
            limits,
            drain_timeout: self.drain_timeout,
            live: self.live,
            command_line,
            target: match (starts, self.all) {
                (true, _) => Target::Program(self.command),
                (false, true) => Target::Machine,
                (false, false) if !self.tid.is_empty() => Target::Threads(distinct(&self.tid)),
                (false, false) => Target::Processes(distinct(&self.pid)),
            },
        };
        (config, verbosity)
    }
}

/// What is asked for of files that follow each other, if anything is.
fn rotation(rotate: &[Amount], keep: &[Amount]) -> Option<Rotation> {
    let time = |amounts: &[Amount]| {
        let times = amounts.iter().filter_map(|amount| match amount {
            Amount::Time(time) => Some(*time),
            Amount::Bytes(_) => None,
        });
        times.min()
    };
    let bytes = |amounts: &[Amount]| {
        let sizes = amounts.iter().filter_map(|amount| match amount {
            Amount::Time(_) => None,
            Amount::Bytes(bytes) => Some(*bytes),
        });
        sizes.min()
    };
    let keep = Keep { bytes: bytes(keep), time: time(keep) };
    (!rotate.is_empty()).then(|| Rotation { time: time(rotate), bytes: bytes(rotate), keep })
}

/// Has the calls recorded that triggers look for.
fn add_watched_calls(calls: &mut Option<CallOptions>, triggers: &[Trigger]) {
    let watched: Vec<u32> = triggers
        .iter()
        .filter_map(|trigger| match trigger {
            Trigger::Call { number, .. } => Some(*number),
            Trigger::Cpu { .. } | Trigger::Signal | Trigger::Log { .. } => None,
            Trigger::Exit | Trigger::Crash => None,
        })
        .collect();
    match calls {
        _ if watched.is_empty() => {}
        None => {
            let detail = CallDetail::Calls;
            *calls = Some(CallOptions { detail, numbers: watched, ..CallOptions::default() });
        }
        // All are recorded.
        Some(calls) if calls.numbers.is_empty() => {}
        Some(calls) => {
            calls.numbers.extend(watched);
            calls.numbers.sort_unstable();
            calls.numbers.dedup();
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Config, String> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let arguments = Arguments::try_parse_from(&words).map_err(|e| e.to_string())?;
        Ok(arguments.into_config(&words).0)
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn defaults_depend_on_the_target() {
        let attached = parse("rec -p 7 -p 8").unwrap();
        assert_eq!(attached.duration, Some(DEFAULT_ATTACHED));
        assert!(matches!(attached.target, Target::Processes(pids) if pids == [7, 8]));
        assert!(!attached.follow && attached.kernel);
        let started = parse("rec -r 50 --no-kernel -o x.rz -- prog secret -p 5").unwrap();
        assert_eq!((started.duration, started.frequency_hz), (None, 50));
        assert!(started.follow && !started.kernel);
        assert_eq!(started.command_line.last().unwrap(), "prog");
        assert_eq!(attached.limits.max_cpu_percent, Some(25));
        assert_eq!(started.limits.max_cpu_percent, None);
        assert_eq!((started.limits.max_rss, started.limits.min_free), (256 << 20, None));
        assert!(!parse("rec --no-follow -- prog").unwrap().follow);
        assert!(parse("rec -p 7 --follow").unwrap().follow);
        assert_eq!(attached.facts, FactOptions::default());
        let asked = parse("rec --args --env -p 7").unwrap().facts;
        assert_eq!(asked, FactOptions { args: true, values: true });
    }

    #[test]
    fn a_live_recording_ends_when_that_is_said() {
        let live = parse("rec --live -p 7").unwrap();
        assert_eq!((live.duration, live.live), (None, true));
        let ends = parse("rec --live -d 5 -a").unwrap();
        assert_eq!(ends.duration, Some(Duration::from_secs(5)));
        assert!(!parse("rec -p 7").unwrap().live);
    }

    #[test]
    fn processes_are_named_in_lists() {
        let check = |line: &[&str], expected: &[u32]| {
            let typed: Vec<OsString> = line.iter().map(OsString::from).collect();
            let arguments = Arguments::try_parse_from(&typed).unwrap();
            assert_eq!(arguments.pids(), expected, "{line:?}");
        };
        check(&["rec", "-p", "7,8"], &[7, 8]);
        check(&["rec", "-p", "9 7 8\n"], &[9, 7, 8]);
        check(&["rec", "-p", "7,8", "-p", "8, 9", "-o", "t.rz"], &[7, 8, 9]);
        // As a shell gives what pidof prints.
        check(&["rec", "-d", "5", "-p", "7", "8", "-o", "t.rz"], &[7, 8]);
        check(&["rec", "--check", "-p7"], &[7]);
        let threads = parse("rec --tid 7,8").unwrap();
        assert!(matches!(threads.target, Target::Threads(tids) if tids == [7, 8]));
        let error = |line: &[&str], part: &str| {
            let error = Arguments::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains(part), "{line:?}: {error}");
        };
        error(&["rec", "-p", ""], "nothing runs by that name");
        error(&["rec", "-p", " \n", "-o", "t.rz"], "nothing runs by that name");
        error(&["rec", "-p", "-o", "t.rz"], "nothing runs by that name");
        error(&["rec", "-p", "7,nginx"], "`pidof nginx` finds");
        error(&["rec", "-p", "7", "--tid", "8"], "cannot be used with");
        error(&["rec", "--tid", "8", "--alloc"], "cannot be used with");
    }

    #[test]
    fn files_follow_each_other() {
        let config = parse("rec -a --rotate 10m --rotate 100M --keep 2G --keep 7d -o d").unwrap();
        let keep = Keep { bytes: Some(2 << 30), time: Some(Duration::from_secs(7 * 86_400)) };
        let time = Some(Duration::from_secs(600));
        assert_eq!(config.rotation, Some(Rotation { time, bytes: Some(100 << 20), keep }));
        // It goes on, at a low rate.
        assert_eq!((config.duration, config.frequency_hz), (None, 19));
        assert_eq!(config.stack_threshold_ns, 10_000_000);
        let asked = parse("rec -d 60 -F 99 --stack-threshold 1ms -p 7 --rotate 10").unwrap();
        assert_eq!((asked.duration, asked.frequency_hz), (Some(Duration::from_secs(60)), 99));
        assert_eq!(asked.stack_threshold_ns, 1_000_000);
        assert_eq!(asked.rotation.unwrap().time, Some(Duration::from_secs(10)));
        assert_eq!(parse("rec -p 7").unwrap().rotation, None);
        let refused = |line, part: &str| {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused("rec -p 7 --rotate 10x", "a time such as 10m or a size such as 100M");
        refused("rec -p 7 --rotate 0", "no time at all");
        refused("rec -p 7 --rotate 500ms", "at least 1s");
        refused("rec -p 7 --rotate 1K", "at least 64K");
        refused("rec -p 7 --keep 2G", "--rotate");
        refused("rec -p 7 --rotate 10m --force", "cannot be used with");
    }

    #[test]
    fn a_ring_keeps_the_last_files_in_memory() {
        let config = parse("rec --ring 60s --on cpu>90% --on syscall:fsync>1s -p 7").unwrap();
        let keep = Keep { bytes: Some(80 << 20), time: Some(Duration::from_secs(60)) };
        let (time, bytes) = (Some(Duration::from_secs(10)), Some((80 << 20) / 6));
        assert_eq!(config.rotation, Some(Rotation { time, bytes, keep }));
        assert_eq!(config.limits.max_rss, (256 - 80) << 20);
        // It goes on, and is as close a look as usual.
        assert_eq!((config.duration, config.frequency_hz), (None, 99));
        assert_eq!(config.triggers.len(), 2);
        // What is looked for is recorded, and no other call.
        let calls = config.calls.unwrap();
        assert_eq!((calls.detail, &calls.numbers[..]), (CallDetail::Calls, &[74][..]));
        let short = parse("rec --ring 2s --on signal -p 7 --max-rss 128M").unwrap();
        assert_eq!(short.rotation.unwrap().time, Some(Duration::from_secs(1)));
        assert_eq!((short.calls, short.limits.max_rss), (None, (128 - 16) << 20));
        let numbers = |line| parse(line).unwrap().calls.unwrap().numbers;
        let line = "rec --ring 60s --on syscall:fsync>1s -p 7 --syscalls";
        assert_eq!(numbers(line), Vec::<u32>::new());
        assert_eq!(numbers("rec --ring 1m --on syscall:fsync>1s -p 7 --syscalls=read"), [0, 74]);
        let refused = |line, part: &str| {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused("rec -p 7 --ring 60s", "--on");
        refused("rec -p 7 --on signal", "--ring");
        refused("rec -p 7 --ring 100ms --on signal", "at least 1s");
        refused("rec -p 7 --ring 60s --on signal --rotate 10m", "cannot be used with");
        refused("rec -p 7 --ring 60s --on signal --live", "cannot be used with");
    }

    #[test]
    fn wrong_usage_is_refused() {
        let check = |line| assert!(parse(line).is_err(), "{line}");
        check("rec");
        check("rec -p 7 -- prog");
        check("rec -p 0");
        check("rec -p x");
        check("rec -F 0 -p 7");
        check("rec -d 0 -p 7");
        check("rec -d -1 -p 7");
        check("rec --json -p 7");
        check("rec --dump");
        check("rec --dump -- prog");
        check("rec --dump -p 7 -o t.rz");
        check("rec --live");
        check("rec --live -- prog");
        check("rec --live --dump -p 7");
        check("rec --live --rotate 10m -p 7");
        check("rec --check -a");
        check("rec --max-size 99999999999G -p 7");
        check("rec --max-cpu 0 -p 7");
        check("rec --max-rss 127M -p 7");
    }

    #[test]
    fn times_and_sizes() {
        assert_eq!(parse_duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_size("3M"), Ok(3 << 20));
        assert_eq!(parse_size("10"), Ok(10));
        assert_eq!(parse_stack_size("63K"), Ok(63 << 10));
        assert_eq!(parse_stack_size("1027"), Ok(1024));
        assert!(parse_stack_size("64K").is_err());
    }
}
