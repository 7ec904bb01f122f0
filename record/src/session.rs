//! One recording from attaching to the finished file.
//!
//! ```text
//! main      attach ─ adopt ─ enable ──── wait: time, signals, targets ──── stop
//! drain     buffers ─► batches            short, never touches a disk
//! resolve   batches ─► order of time ─► unwind, intern ─► findings
//! store     findings ─► encode, compress ─► file
//! ```
//!
//! The queues between them are bounded: what does not fit is shortened, then
//! dropped and counted, by `drain`; `store` being slow holds up `resolve`, and the end
//! of a recording for so long as it may: see [`Config::drain_timeout`].

use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use rz_format::{
    AllocationSource, Allocations, CallData, CallDetail, Captured, EndReason, FileHeader, Host,
    Note, Record, Recording, Tier,
};

use crate::alloc::{Hook, Rings, privileged};
use crate::capture::{Attached, Pipe, Rotation, Stop, drain};
use crate::config::{Config, MAX_STACK_BYTES, Progress, Summary, Target};
use crate::confinement::{Stage, confine};
use crate::error::RecordError;
use crate::files::Files;
use crate::header::new_header;
use crate::host::{clocks, describe, now_ns, online_cpus};
use crate::learned::Learned;
use crate::limits::go_first_when_memory_runs_out;
use crate::output;
use crate::output::{OutputError, Unpublished, is_stdout};
use crate::program::Program;
use crate::queue::QueueGauge;
use crate::resolve::{Channels, resolve};
use crate::ring::Ring;
use crate::series::Series;
use crate::shared::{Shared, Stored};
use crate::signals::Signals;
use crate::store::{self, store};
use crate::tier::attach;
use crate::tracker::{Policy, Sampling, Scope, Tracker, procfs};
use crate::triggers::Watch;
use crate::whom::Whom;

/// How often the recording looks whether it should end.
const TICK: Duration = Duration::from_millis(100);
/// Bytes of arguments that are kept of a program that is started.
const MAX_ARGUMENTS: usize = 64 << 10;
/// Batches of findings that may wait to be written.
const FINDINGS_QUEUE: usize = 4;
/// How long the end of a trace may take when there was no time for all of it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Records as `config` says. `watch` is called several times a second;
/// `notice` gets what the user should know, one sentence at a time.
pub fn record(
    config: &Config,
    watch: &mut dyn FnMut(Progress),
    notice: &mut dyn FnMut(&str),
) -> Result<Summary, RecordError> {
    check_frequency(config.frequency_hz)?;
    // Before any thread is started, so that all leave signals to this one.
    let signals = Signals::block(config.rotation.is_some())?;
    let whom = Whom::of(&config.target);
    let file = create(config, &whom)?;
    let path = match &file.series {
        Some(series) => series.folder().to_owned(),
        None => file.file.path().to_owned(),
    };
    let (program, hook) = match &config.target {
        Target::Processes(_) | Target::Threads(_) | Target::Machine => (None, None),
        Target::Program(command) => {
            let prepare =
                |options| Hook::prepare(command, options, config.stack_bytes, config.follow);
            let hook = config.allocations.map(prepare).transpose()?;
            let environment = hook.as_ref().map(Hook::environment);
            let environment = environment.as_ref().map_or(&[][..], |variables| &variables[..]);
            (Some(Program::start(command, environment, &signals)?), hook)
        }
    };
    let started = start(config, &whom, file, program, hook, &signals, notice)?;
    let shared = Arc::new(Shared::new(config.limits, config.drain_timeout));
    let mut watch = |progress| {
        shared.tell(notice);
        watch(progress);
    };
    let ended = run(config, &whom, started, &shared, &signals, &mut watch);
    shared.tell(notice);
    let ended = ended?;
    let status = ended.program.map(|program| program.wait(&signals)).transpose()?.flatten();
    let summary = shared.summary(path, ended.stored?, ended.reason, status);
    let is_most = config.stack_bytes >= MAX_STACK_BYTES;
    let too_deep = shared.too_deep.load(Ordering::Relaxed);
    if too_deep > (summary.samples + summary.waits) / 100 && !is_most {
        notice(&format!(
            "{too_deep} stacks are deeper than the {} KiB that are copied of each: see --stack-size",
            config.stack_bytes >> 10
        ));
    }
    Ok(summary)
}

/// A file that has not begun yet.
struct Created {
    file: Unpublished,
    header: FileHeader,
    /// If others follow it.
    series: Option<Arc<dyn Files>>,
}

/// Creates the file that was asked for, or takes standard output.
fn create(config: &Config, whom: &Whom) -> Result<Created, RecordError> {
    let output = config.output.as_deref();
    if let Some(rotation) = config.rotation {
        if output.is_some_and(is_stdout) {
            return Err(OutputError::ManyToStdout.into());
        }
        let folder = output.unwrap_or(Path::new("."));
        let host: Host = describe(0);
        let (program, _) = name_of(&config.target, whom);
        let (host, keep) = (&host.hostname, rotation.keep);
        let series: Arc<dyn Files> = if config.triggers.is_empty() {
            Arc::new(Series::new(folder, host, &program, keep)?)
        } else {
            let watched = (&config.triggers[..], Watch::of(config)?);
            Arc::new(Ring::new(folder, host, &program, keep, watched, config.limits.min_free)?)
        };
        let (file, header) = series.next(now_ns())?;
        return Ok(Created { file, header, series: Some(series) });
    }
    let file = match (output, &config.target) {
        (Some(path), Target::Program(_)) if is_stdout(path) => Err(OutputError::SharedWithProgram),
        (Some(path), _) if is_stdout(path) => Unpublished::stdout(),
        (Some(path), _) => Unpublished::create(path, config.force),
        (None, target) => Unpublished::create(&default_path(target, whom), config.force),
    }?;
    Ok(Created { file, header: new_header(now_ns()), series: None })
}

/// The name that a recording of `target` gets which begins now, if it is given none.
pub fn default_output(target: &Target) -> PathBuf {
    default_path(target, &Whom::of(target))
}

fn default_path(target: &Target, whom: &Whom) -> PathBuf {
    let (command, pid) = name_of(target, whom);
    output::default_name(&command, pid, SystemTime::now())
}

/// A recording that has begun.
struct Started {
    attached: Attached,
    /// When the recording began, on the trace's clock.
    start_ns: u64,
    tracker: Tracker,
    learned: Arc<Learned>,
    output: store::Target,
    program: Option<Program>,
}

/// Attaches, takes in what is there, begins to capture and gives the file its
/// name.
fn start(
    config: &Config,
    whom: &Whom,
    created: Created,
    mut program: Option<Program>,
    hook: Option<Hook>,
    signals: &Signals,
    notice: &mut dyn FnMut(&str),
) -> Result<Started, RecordError> {
    // A program that was started has what it has from the user.
    go_first_when_memory_runs_out();
    let pids = program.as_ref().map_or(whom.pids.clone(), |program| vec![program.pid]);
    let mut attached = attach(config, &pids, program.is_some())?;
    attached.notes.extend_from_slice(&whom.notes);
    let hooked = hook.is_some();
    if let Some(mut hook) = hook {
        hook.memory.set_target(pids[0]);
        attached.capture = Box::new(Rings::new(attached.capture, hook));
    }
    // What targets say of themselves comes after this.
    give_up_rights(Stage::Attached);
    let learned = Arc::new(Learned::default());
    let policy = Policy {
        scope: match &config.target {
            _ if !attached.reports_others => Scope::Opened,
            Target::Machine => Scope::AllBut(std::process::id()),
            Target::Processes(_) | Target::Threads(_) | Target::Program(_) => {
                Scope::Processes(pids.clone())
            }
        },
        tids: whom.tids.clone(),
        sampling: Sampling {
            period: Duration::from_secs(1) / config.frequency_hz,
            kernel: attached.kernel,
            by_thread: attached.tier == Tier::Perf,
        },
        follow: config.follow,
        usual_weight: attached.usual_weight,
        program_tags: take(&mut attached.program_tags),
        hooked,
        open_files: open_files(config),
        facts: config.facts,
        rotates: config.rotation.is_some(),
        last_ran: config.last_ran,
        is_read_meanwhile: config.live,
    };
    let mut tracker = Tracker::new(policy, Arc::clone(&learned));
    tracker.set_allocation_interval(config.allocations.map_or(0, |options| options.interval));
    tracker.add_sources(take(&mut attached.sources));
    for pid in &attached.pids {
        tracker.note_cpu_time(*pid, program.is_some());
        match program {
            None => tracker.adopt(*pid),
            Some(_) => tracker.expect(*pid, arguments(&config.target)),
        }
    }
    for (pid, path) in &attached.allocators {
        tracker.add_allocator(*pid, path);
    }
    attached.notes.append(&mut attached.missing);
    if config.kernel && !attached.kernel {
        attached.notes.push(
            "kernel stacks are left out: recording them needs root, CAP_PERFMON, or \
             kernel.perf_event_paranoid at 1 or less"
                .to_owned(),
        );
    }

    if attached.tier == Tier::Perf
        && let Target::Program(command) = &config.target
        && let Some(path) = privileged(command)
    {
        attached.notes.push(format!(
            "{} runs with the rights of another user or group (setuid, setgid or file \
             capabilities): the kernel takes the events of the perf tier from such programs \
             as they begin; root records them by the bpf tier",
            path.display()
        ));
    }

    tracker.begin_cpu_times();
    // In the perf tier the program itself enables the events when it begins.
    if program.is_none() || attached.tier == Tier::Bpf {
        attached.capture.learn(&learned);
        attached.notes.extend(attached.capture.enable()?);
    }
    attached.notes.iter().for_each(|note| notice(note));
    // However long the file takes, the recording's time is counted from here.
    let start_ns = now_ns();
    let first = first_records(config, &pids, &attached, start_ns);
    let Created { file, header, series } = created;
    if let Some(series) = &series {
        series.begin(&attached.event, &pids);
    }
    let writer = store::begin(&file, &header, &first, series.as_ref())?;
    if let Some(program) = &mut program {
        program.begin()?;
    }
    let published = file.publish();
    if series.is_none() {
        give_up_rights(Stage::Published);
    }
    match published {
        Ok(file) => {
            let most = config.limits.max_size;
            let file_bytes = config.rotation.map_or(most, |rotation| rotation.file_bytes(most));
            let output = store::Target::new(writer, file, first, series, file_bytes);
            Ok(Started { attached, start_ns, tracker, learned, output, program })
        }
        Err(error) => {
            // The program runs already, and is the user's.
            if let Some(program) = program {
                program.wait(signals)?;
            }
            Err(error.into())
        }
    }
}

/// Gives up what is not needed from now on. Without that, it records as well.
fn give_up_rights(stage: Stage) {
    if let Err(error) = confine(stage) {
        log::info!("rec keeps rights that it has no use for: {error}");
    }
}

/// A recording that is over, while the program may still go on.
struct Ended {
    reason: EndReason,
    program: Option<Program>,
    /// What was written, if all could be.
    stored: Result<Stored, RecordError>,
}

/// Has the threads do their work until there is a reason to end. Those that hang at an
/// output which takes nothing are left behind.
fn run(
    config: &Config,
    whom: &Whom,
    started: Started,
    shared: &Arc<Shared>,
    signals: &Signals,
    watch: &mut dyn FnMut(Progress),
) -> Result<Ended, RecordError> {
    let Started { attached, start_ns, tracker, learned, output, mut program } = started;
    let queue = Arc::new(QueueGauge::default());
    let stop = Arc::new(Stop::new(start_ns, config.duration)?);
    let (batch_sender, batches) = mpsc::channel();
    let (empty_sender, empty) = mpsc::channel();
    let (findings_sender, findings) = mpsc::sync_channel(FINDINGS_QUEUE);
    let (written_sender, written) = mpsc::channel();
    let (result_sender, result) = mpsc::sync_channel(1);
    let path = output.path().to_owned();
    // However this ends, the threads have to.
    let stopping = StopInTheEnd(&stop);

    {
        let (shared, queue, limits) = (Arc::clone(shared), Arc::clone(&queue), config.limits);
        spawn("store", move || {
            let stored = store(output, &findings, &written_sender, &queue, &shared, limits);
            // If it took too long, nobody waits any more.
            let _ = result_sender.send(stored);
        })?;
    }
    if config.rotation.is_some() {
        // Only who creates the next files, and reads nothing of targets, still may.
        give_up_rights(Stage::Published);
    }
    let drainer = {
        let (shared, stop, queue) = (Arc::clone(shared), Arc::clone(&stop), Arc::clone(&queue));
        let rotation = config.rotation.map(|rotation| Rotation::new(start_ns, rotation.time));
        spawn("drain", move || {
            let pipe = Pipe { batches: batch_sender, empty };
            drain(attached.capture, &stop, rotation, &shared, &learned, &queue, &pipe);
        })?
    };
    let resolver = {
        let (shared, queue) = (Arc::clone(shared), Arc::clone(&queue));
        let (due_ns, live) = (stop.due_ns(), config.live);
        spawn("resolve", move || {
            let channels =
                Channels { batches, empty: empty_sender, findings: findings_sender, written };
            resolve(tracker, attached.parse, due_ns, live, channels, &queue, &shared);
        })?
    };
    let is_over = || resolver.is_finished();
    let reason = wait_for_end(whom, &stop, signals, program.as_mut(), shared, is_over, watch);
    shared.set_end_reason(reason);
    drop(stopping);
    let longest = config.drain_timeout.saturating_add(LAST_WORDS);
    let wait = || loop {
        match result.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) if shared.output_took() < longest => {}
            other => return other,
        }
    };
    let stored = match signals.with_usual_effect(wait)? {
        Err(RecvTimeoutError::Timeout) => {
            let (path, timeout) = (path, config.drain_timeout);
            return Ok(Ended {
                reason,
                program,
                stored: Err(OutputError::Stalled { path, timeout }.into()),
            });
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(std::io::Error::other("the writer panicked").into())
        }
        Ok(written) => written.map_err(Into::into),
    };
    for thread in [drainer, resolver] {
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    Ok(Ended { reason, program, stored })
}

/// Starts a thread, for which there may be no memory.
fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Ends the other threads when it goes out of scope.
struct StopInTheEnd<'a>(&'a Stop);

impl Drop for StopInTheEnd<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Waits until there is a reason to end, and returns it.
fn wait_for_end(
    whom: &Whom,
    stop: &Stop,
    signals: &Signals,
    mut program: Option<&mut Program>,
    shared: &Shared,
    resolver_is_over: impl Fn() -> bool,
    watch: &mut dyn FnMut(Progress),
) -> EndReason {
    let started = Instant::now();
    let mut interrupts = 0;
    loop {
        let (elapsed, left) = (started.elapsed(), stop.left());
        if left.is_zero() {
            return EndReason::Duration;
        }
        match signals.wait(left.min(TICK)) {
            None => {}
            Some(signal) if signal.is_for_next_file() => shared.signal(),
            Some(interrupt) => match &program {
                // The program got the terminal's signal too, and may want to
                // end in its own way; the second one is for us.
                Some(program) if interrupts == 0 => {
                    interrupts += 1;
                    program.pass_on(interrupt);
                }
                _ => return EndReason::Interrupted,
            },
        }
        if let Some(program) = program.as_mut()
            && program.has_ended()
        {
            return EndReason::TargetsExited;
        }
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        watch(Progress {
            elapsed,
            events: [
                &shared.samples,
                &shared.waits,
                &shared.calls,
                &shared.function_calls,
                &shared.allocations,
            ]
            .map(count)
            .iter()
            .sum(),
            lost: count(&shared.lost),
            file_size: count(&shared.written),
        });
        if shared.limit_reached.load(Ordering::Relaxed) {
            return EndReason::Limit;
        }
        if resolver_is_over() {
            // The others look at the clock themselves.
            let over = stop.left().is_zero();
            return if over { EndReason::Duration } else { EndReason::Limit };
        }
        // Events may be lost, so what they say about the end is checked.
        let may_be_over = !whom.tids.is_empty() || count(&shared.live_processes) == 0;
        if may_be_over && elapsed > TICK && whom.has_ended() {
            return EndReason::TargetsExited;
        }
    }
}

fn first_records(config: &Config, pids: &[u32], attached: &Attached, start_ns: u64) -> Vec<Record> {
    let host: Host = describe(online_cpus().len() as u32);
    let recording = Recording {
        recorder: env!("CARGO_PKG_VERSION").to_owned(),
        command: config.command_line.clone(),
        tier: attached.tier.to_string(),
        targets: pids.to_vec(),
        follow: config.follow,
        kernel: attached.kernel,
        uid: nix::unistd::geteuid().as_raw(),
        stack_bytes: config.stack_bytes,
        start_ns,
    };
    let calls = config.calls.clone().unwrap_or_default();
    let captured = Captured {
        system_wide: matches!(config.target, Target::Machine),
        waits: config.waits,
        stack_threshold_ns: config.stack_threshold_ns,
        calls: calls.detail.into(),
        call_numbers: calls.numbers,
        slower_than_ns: calls.slower_than_ns,
    };
    let mut records = vec![
        Record::Host(host),
        Record::Recording(recording),
        Record::Captured(captured),
        Record::Event(attached.event.clone()),
        Record::Clock(clocks()),
    ];
    records.extend(allocations(config).map(Record::Allocations));
    if attached.data_bytes > 0 {
        records.push(Record::CallData(CallData { bytes: attached.data_bytes }));
    }
    records.extend(attached.functions.iter().cloned().map(Record::Function));
    let note = |text: &String| Record::Note(Note { text: text.clone() });
    records.extend(attached.notes.iter().map(note));
    records
}

/// The arguments of the program to start, the first one included, as far as
/// they are kept.
fn arguments(target: &Target) -> Vec<String> {
    let Target::Program(command) = target else { return Vec::new() };
    let mut left = MAX_ARGUMENTS;
    let words = command.iter().map(|word| word.to_string_lossy().into_owned());
    words
        .map_while(|word| {
            left = left.checked_sub(word.len() + 1)?;
            Some(word)
        })
        .collect()
}

/// How many open files of a process are taken down: those that calls refer to,
/// and some of each process that was named.
fn open_files(config: &Config) -> Option<usize> {
    const WITH_CALLS: usize = 1 << 16;
    const OTHERWISE: usize = 1 << 10;
    let by_calls = config.calls.as_ref().is_some_and(|calls| calls.detail == CallDetail::Calls);
    match config.target {
        _ if by_calls => Some(WITH_CALLS),
        Target::Machine => None,
        _ => Some(OTHERWISE),
    }
}

/// How allocations are recorded, if they are.
fn allocations(config: &Config) -> Option<Allocations> {
    let source = match &config.target {
        Target::Program(_) => AllocationSource::Hook,
        Target::Processes(_) => AllocationSource::Probes,
        Target::Threads(_) | Target::Machine => return None,
    };
    Some(Allocations { source: source.into(), interval: config.allocations?.interval })
}

fn check_frequency(asked: u32) -> Result<(), RecordError> {
    let limit = std::fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate");
    match limit.ok().and_then(|limit| limit.trim().parse().ok()) {
        Some(limit) if asked > limit => Err(RecordError::FrequencyTooHigh { asked, limit }),
        _ => Ok(()),
    }
}

/// The name of what is recorded, and a number to tell it from others.
fn name_of(target: &Target, whom: &Whom) -> (String, u32) {
    match target {
        Target::Processes(_) | Target::Threads(_) => {
            let pid = whom.pids.first().copied().unwrap_or(0);
            (procfs::thread_name(pid, pid), pid)
        }
        Target::Program(command) => {
            let program = command.first().map(PathBuf::from).unwrap_or_default();
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::process::id())
        }
        Target::Machine => ("machine".to_owned(), std::process::id()),
    }
}
