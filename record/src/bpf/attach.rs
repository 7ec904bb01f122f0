//! Attaches the programs: first those that keep the set of processes, then,
//! with that set complete, those that record.
//!
//! ```text
//! reports of fork, exec, mmap, exit ──────────────────────────────────►
//! programs on fork, exec, exit       ─────────────────────────────────►
//! targets into the set                │ children found in /proc, until no new one
//! samples, waits, calls                                     │ enable ─►
//! ```
//!
//! A child of a target is put into the set by the program before it runs for
//! the first time, or was there before and is found in `/proc`.
//!
//! What may fail is done before [`Attachment::start`], so that something else
//! can be tried in its place: until then, nothing is taken down.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use libbpf_rs::{Iter, Link};
use rz_format::{CallDetail, LossClass, LossReason, Tier};

use super::drain::Pressure;
use super::error::{BpfError, refused};
use super::events::{self, CpuEvents};
use super::functions::FunctionProbes;
use super::heap::{self, HeapProbes};
use super::layout::{Control, LOSSES, PYTHON_LEN, Settings, parse};
use super::maps::{Counters, Table};
use super::probes;
use super::programs::{Kind, LoadError, Loaded, Plan, Sizes};
use super::rights;
use super::rings::Rings;
use super::scheduler;
use super::targets::{set_up_calls, set_up_data, track};
use super::totals::Totals;
use super::ways::{LastWaits, ObjectFile, Resume, Ways, version};
use crate::capture::Attached;
use crate::config::{AllocationOptions, CallOptions, CallStacks};
use crate::descriptors;
use crate::functions::ProbedFunctions;
use crate::host::{now_ns, online_cpus, release};
use crate::queue::Batch;

/// Rows of sums in each of two tables: several for each thread.
const MAX_TOTALS: u32 = 1 << 19;
/// Buffer for each CPU, and for all CPUs together: of samples and waits, and of
/// calls, which come in larger numbers. Ours to read, each counts twice in our
/// resident memory, as it is mapped twice in a row.
const RING_PER_CPU: u32 = 1 << 20;
const MAX_RING: u32 = 16 << 20;
const CALL_RING_PER_CPU: u32 = 4 << 20;
const MAX_CALL_RING: u32 = 32 << 20;
/// Sampled objects that were not freed.
const MAX_OBJECTS: u32 = 1 << 20;
/// The inode of the first pid namespace, by the kernel's definition.
const INIT_PID_NAMESPACE: &str = "pid:[4026531836]";
/// The kernel's description of its types.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
/// How long a program may still run that began before it was told to end.
const GRACE: Duration = Duration::from_millis(10);

/// What to attach to, and how.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Process ids; of no use with `all`.
    pub(crate) pids: Vec<u32>,
    /// Every process but our own.
    pub(crate) all: bool,
    /// Samples per second of each CPU's time.
    pub(crate) frequency_hz: u32,
    /// Whether to record kernel stacks and samples in kernel mode.
    pub(crate) kernel: bool,
    /// Whether to record children too.
    pub(crate) follow: bool,
    /// Most bytes of user stack to copy.
    pub(crate) stack_bytes: u32,
    /// Recording starts when the target executes a new program.
    pub(crate) start_on_exec: bool,
    /// Whether to record intervals off the CPU.
    pub(crate) waits: bool,
    /// What to record of system calls.
    pub(crate) calls: Option<CallOptions>,
    /// What to record of allocations, of processes that run already.
    pub(crate) allocations: Option<AllocationOptions>,
    /// Functions whose calls are recorded, and percent of a CPU that this may take.
    pub(crate) functions: Arc<ProbedFunctions>,
    pub(crate) function_limit_percent: u32,
    /// Stacks of shorter waits and calls are sampled.
    pub(crate) stack_threshold_ns: u64,
    /// What the kernel's types are, where it does not say itself.
    pub(crate) types: Option<PathBuf>,
}

/// Programs, and what they hand over.
pub(super) struct Attachment {
    loaded: Loaded,
    pub(super) events: Vec<CpuEvents>,
    pub(super) rings: Rings,
    pub(super) counts: Counters,
    /// Losses of each class that have been reported.
    pub(super) lost: [u64; LOSSES.len()],
    /// When losses were looked at.
    pub(super) looked_ns: u64,
    pub(super) totals: Totals,
    pub(super) stack_ends: Table<4, 8>,
    pub(super) pythons: Table<4, PYTHON_LEN>,
    pub(super) control: Table<4, { size_of::<Control>() }>,
    pub(super) pressure: Pressure,
    /// Keep the set of processes.
    tracking: Vec<Link>,
    /// Take down waits and calls; the last ones attached are those that begin.
    links: Vec<Link>,
    pub(super) heap: Option<HeapProbes>,
    pub(super) functions: Option<FunctionProbes>,
    /// Look for what is not over, in the end; last first.
    last_looks: Vec<Link>,
    /// The one of them that is under way.
    looking: Option<Iter>,
    /// When this began.
    started_ns: u64,
    /// Events of each class that are known to be skipped, and when that was looked up.
    skipped: [u64; 5],
    skipped_ns: u64,
    plan: Plan,
}

/// An attempt to attach that failed.
struct Failure {
    kind: Kind,
    /// The program that is to blame, if that is known.
    program: Option<String>,
    error: BpfError,
}

/// Takes what goes wrong for a fault of an event kind.
fn of(kind: Kind) -> impl Fn(BpfError) -> Failure {
    move |error| Failure { kind, program: None, error }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let LoadError { program, kind, cause } = error;
        let what = format!("the programs for {}", kind.name());
        Failure { kind, program, error: refused(what, &cause) }
    }
}

/// Attaches to the targets. What processes do is reported from now on. An event
/// kind that cannot be had is left out, with a note that says why.
pub(crate) fn attach(options: &Options) -> Result<Attached, BpfError> {
    check_ground(options)?;
    descriptors::raise_limit();
    let cpus = online_cpus();
    let mut plan = plan(options, &cpus);
    let (mut missing, mut first_error) = (Vec::new(), None);
    loop {
        let Failure { kind, program, error } = match attempt(options, &plan, &cpus) {
            Ok(mut attached) => {
                attached.missing = missing;
                return Ok(attached);
            }
            Err(failure) => failure,
        };
        log::info!("{}: {error}", kind.name());
        let can_go_on = plan.ways.fall_back(kind, program.as_deref());
        if kind == Kind::Samples {
            // What the best way met says most.
            let error = first_error.take().unwrap_or(error);
            if !can_go_on {
                return Err(rights::explain(error));
            }
            first_error = Some(error);
        } else if !can_go_on {
            plan.kinds.retain(|planned| *planned != kind);
            missing.push(format!("{} are not recorded: {error}", kind.name()));
        }
    }
}

/// What no program can do without.
fn check_ground(options: &Options) -> Result<(), BpfError> {
    if std::fs::read_link("/proc/self/ns/pid").is_ok_and(|ns| ns.as_os_str() != INIT_PID_NAMESPACE)
    {
        return Err(BpfError::PidNamespace);
    }
    if version().is_some_and(|version| version < (5, 10)) {
        return Err(BpfError::TooOld(release()));
    }
    rights::check()?;
    match &options.types {
        // libbpf has little to say about a file that is none.
        Some(path) => check_types(path),
        None if !Path::new(TYPES).exists() => Err(BpfError::NoTypes),
        None => Ok(()),
    }
}

/// Whether a file begins as descriptions of types do, by themselves or in an
/// object file.
fn check_types(path: &Path) -> Result<(), BpfError> {
    let bad = |cause: String| BpfError::BadTypes { path: path.display().to_string(), cause };
    let mut start = [0; 4];
    let mut file = std::fs::File::open(path).map_err(|error| bad(error.to_string()))?;
    file.read_exact(&mut start).map_err(|error| bad(error.to_string()))?;
    match start {
        [0x9f, 0xeb, 1, _] | [0x7f, b'E', b'L', b'F'] => Ok(()),
        _ => Err(bad("it has another format".to_owned())),
    }
}

fn plan(options: &Options, cpus: &[u32]) -> Plan {
    let kinds = [
        (Kind::Waits, options.waits),
        (Kind::Calls, options.calls.is_some()),
        (Kind::CallData, options.calls.as_ref().is_some_and(|calls| calls.data_bytes > 0)),
        (Kind::Functions, !options.functions.files.is_empty()),
        (Kind::Allocations, options.allocations.is_some()),
    ];
    Plan {
        kinds: kinds.into_iter().filter(|(_, wanted)| *wanted).map(|(kind, _)| kind).collect(),
        ways: match Path::new(TYPES).exists() {
            true => Ways::of_this_kernel(),
            false => Ways::without_types(),
        },
        settings: settings(options),
        sizes: sizes(options, cpus),
        probes: match options.allocations {
            Some(_) => {
                let (found, _) = heap::find(&options.pids, false);
                // One more is for what a single step costs.
                probes::count(found.iter().flat_map(|(_, file)| &file.functions)) + 1
            }
            None => 0,
        },
        types: options.types.clone(),
    }
}

fn attempt(options: &Options, plan: &Plan, cpus: &[u32]) -> Result<Attached, Failure> {
    let samples = of(Kind::Samples);
    let has = |kind| plan.kinds.contains(&kind);
    let loaded = plan.load()?;
    let tick = loaded.program("on_tick").map_err(&samples)?;
    let (event, events) =
        events::open(cpus, options.frequency_hz, options.kernel, has(Kind::Waits), &tick)
            .map_err(|error| samples(BpfError::Events(error)))?;

    let mut notes = Vec::new();
    let tracking = ["on_fork", "on_exec", "on_exit"]
        .iter()
        .map(|name| loaded.attach(name))
        .collect::<Result<Vec<_>, _>>()
        .map_err(&samples)?;
    let pids = track(&loaded, options).map_err(&samples)?;

    let mut links = Vec::new();
    let mut last_looks = Vec::new();
    if has(Kind::Calls) {
        let calls = of(Kind::Calls);
        set_up_calls(&loaded, options).map_err(&calls)?;
        if has(Kind::CallData) {
            let data = of(Kind::CallData);
            set_up_data(&loaded).map_err(&data)?;
            // Before the calls that it is of.
            links.push(loaded.attach("on_return_data").map_err(&data)?);
        }
        // Ends are of no interest before something has begun.
        links.push(loaded.attach("on_return").map_err(&calls)?);
        if plan.ways.doubles_calls {
            links.push(loaded.attach("on_return_again").map_err(&calls)?);
        }
        last_looks.push((Kind::Calls, "find_still_calling"));
    }
    if has(Kind::Waits) {
        links.push(attach_resume(&loaded, plan.ways.resume)?);
        let name = match plan.ways.last_waits {
            LastWaits::InKernel => "find_still_waiting",
            LastWaits::ByRecorder => "find_still_waiting_bare",
        };
        last_looks.push((Kind::Waits, name));
    }
    let mut allocators = Vec::new();
    let mut heap_probes = None;
    if let Some(allocations) = options.allocations.filter(|_| has(Kind::Allocations)) {
        let failed = of(Kind::Allocations);
        last_looks.push((Kind::Allocations, "find_counts"));
        let (found, said) = heap::find(&pids, options.follow);
        notes.extend(said);
        let program = loaded.program("on_fault").map_err(&failed)?;
        let faults = events::open_faults(cpus, heap::FAULT_HZ, options.kernel, &program)
            .map_err(|error| failed(BpfError::Events(error)))?;
        let probes =
            HeapProbes::attach(&loaded, &plan.ways, &allocations, options.follow, &found, faults);
        heap_probes = Some(probes.map_err(|error| Failure {
            kind: Kind::Allocations,
            program: Some("on_allocator".to_owned()),
            error,
        })?);
        allocators = found.into_iter().map(|(pid, file)| (pid, file.path)).collect();
    }
    // The last one is the first to be looked at.
    let last_looks = last_looks
        .into_iter()
        .rev()
        .filter(|_| plan.ways.looks)
        .map(|(kind, name)| loaded.attach(name).map_err(of(kind)))
        .collect::<Result<Vec<_>, _>>()?;
    if !plan.ways.looks && !plan.kinds.is_empty() {
        notes.push(
            "this kernel does not describe its types itself, so what was under way when the \
             recording began or ended is missing"
                .to_owned(),
        );
    }
    if events.is_empty() {
        notes.push("no CPU could be sampled".to_owned());
    }
    let rings = Rings::new(&loaded, &events).map_err(&samples)?;
    let mut functions = None;
    // Last, as they cost their processes something from now on.
    if has(Kind::Functions) {
        let failed = of(Kind::Functions);
        if plan.ways.object == ObjectFile::Old {
            return Err(failed(refused("probes at functions", &"they need Linux 5.18")));
        }
        let everywhere = options.follow;
        if everywhere {
            notes.push(
                "with --follow, the probes are in all processes that use the same files: others \
                 are slowed down as well, though nothing of them is recorded"
                    .to_owned(),
            );
        }
        let limit = options.function_limit_percent;
        let probes = FunctionProbes::attach(&loaded, &options.functions, everywhere, limit);
        functions = Some(probes.map_err(failed)?);
    }
    let program_tags = loaded.program_tags();
    let attachment = Attachment {
        counts: Counters::of(&loaded, "counts").map_err(&samples)?,
        totals: Totals::of(&loaded, now_ns()).map_err(&samples)?,
        stack_ends: Table::of(&loaded, "stack_ends").map_err(&samples)?,
        pythons: Table::of(&loaded, "pythons").map_err(&samples)?,
        control: Table::of(&loaded, "control").map_err(&samples)?,
        loaded,
        events,
        rings,
        lost: [0; LOSSES.len()],
        looked_ns: now_ns(),
        skipped: [0; 5],
        skipped_ns: 0,
        pressure: Pressure::default(),
        tracking,
        links,
        heap: heap_probes,
        functions,
        last_looks,
        looking: None,
        started_ns: now_ns(),
        plan: plan.clone(),
    };
    Ok(Attached {
        capture: Box::new(attachment),
        parse,
        tier: Tier::Bpf,
        event: event.describe(options.frequency_hz),
        usual_weight: event.usual_weight(options.frequency_hz),
        kernel: options.kernel,
        reports_others: true,
        pids,
        data_bytes: if has(Kind::CallData) { plan.settings.data_bytes } else { 0 },
        allocators,
        functions: match has(Kind::Functions) {
            true => options.functions.all().map(|function| function.record.clone()).collect(),
            false => Vec::new(),
        },
        sources: Default::default(),
        missing: Vec::new(),
        ways: plan.describe(),
        program_tags,
        follows_python: plan.ways.object != ObjectFile::Old,
        notes,
    })
}

/// Has threads seen that go on.
fn attach_resume(loaded: &Loaded, resume: Resume) -> Result<Link, Failure> {
    let failed = |program: &str, error| Failure {
        kind: Kind::Waits,
        program: Some(program.to_owned()),
        error,
    };
    match resume {
        Resume::Tracepoint => {
            loaded.attach("on_resume").map_err(|error| failed("on_resume", error))
        }
        Resume::Kprobe => {
            let name = "on_resume_probed";
            let program = loaded.program(name).map_err(|error| failed(name, error))?;
            scheduler::probe(&program)
                .map_err(|cause| failed(name, refused("a kprobe on finish_task_switch", &cause)))
        }
    }
}

impl Attachment {
    fn has(&self, kind: Kind) -> bool {
        self.plan.kinds.contains(&kind)
    }

    /// Starts samples, waits, calls and allocations; returns what the user should
    /// know of it.
    pub(super) fn start(&mut self) -> io::Result<Vec<String>> {
        let mut notes = Vec::new();
        if self.plan.ways.looks && !self.plan.kinds.is_empty() {
            self.run_on_threads("find_threads")?;
        }
        if self.has(Kind::Waits) {
            self.attach_link("on_wakeup")?;
            self.attach_link("on_switch")?;
        }
        if self.has(Kind::Calls) {
            if self.has(Kind::CallData) {
                self.attach_link("on_call_data")?;
            }
            self.attach_link("on_call")?;
            if self.plan.ways.doubles_calls {
                self.attach_link("on_call_again")?;
            }
            if self.plan.ways.counts_io_uring
                && let Err(error) = self.attach_link("on_io_uring_request")
            {
                log::info!("requests to io_urings are not counted: {error}");
            }
        }
        // As deciding takes a while.
        if let Some(heap) = &mut self.heap {
            notes.extend(heap.try_out()?);
        }
        // Last, as attaching takes some milliseconds: this is when it begins.
        for (kind, name) in [(Kind::Waits, "find_waiting"), (Kind::Calls, "find_calling")] {
            if self.plan.ways.looks && self.has(kind) {
                self.run_on_threads(name)?;
            }
        }
        self.set_control(self.pressure.scales(), self.records_allocations(), false);
        self.events.iter().try_for_each(|events| crate::perf::sys::enable(&events.tick))?;
        Ok(notes)
    }

    /// What the kernel did not run programs for.
    pub(super) fn lose_skipped(&mut self, batch: &mut Batch) {
        let (since_ns, now_ns) = (self.started_ns.max(self.skipped_ns), now_ns());
        let classes = [
            (Kind::Samples, LossClass::Samples),
            (Kind::Waits, LossClass::Waits),
            (Kind::Calls, LossClass::Calls),
            (Kind::Functions, LossClass::FunctionCalls),
            (Kind::Allocations, LossClass::Allocations),
        ];
        for ((kind, class), told) in classes.into_iter().zip(&mut self.skipped) {
            let count = self.loaded.skipped(kind, self.plan.ways.doubles_calls);
            let new = count.saturating_sub(*told);
            if new > 0 {
                batch.lose(LossReason::Skipped, class, since_ns, now_ns, new);
            }
            *told = count.max(*told);
        }
        self.skipped_ns = now_ns;
    }

    fn attach_link(&mut self, name: &str) -> io::Result<()> {
        self.links.push(self.loaded.attach(name).map_err(io::Error::other)?);
        Ok(())
    }

    fn run_on_threads(&self, name: &str) -> io::Result<()> {
        let link = self.loaded.attach(name).map_err(io::Error::other)?;
        read_all(&mut Iter::new(&link).map_err(io::Error::other)?)
    }

    /// Whether allocations are recorded by probes.
    pub(super) fn records_allocations(&self) -> bool {
        self.heap.as_ref().is_some_and(HeapProbes::is_attached)
    }

    /// Ends them, and has what is not over handed over. If there is no room
    /// for all of that, returns false; call it again when there is.
    pub(super) fn end(&mut self) -> bool {
        for events in &self.events {
            if let Err(error) = crate::perf::sys::disable(&events.tick) {
                log::debug!("a timer goes on until rec ends: {error}");
            }
        }
        self.set_control(self.pressure.scales(), false, true);
        if self.plan.ways.object == ObjectFile::Old && self.has(Kind::Waits) {
            thread::sleep(GRACE);
        }
        // First, as taking the programs away takes some milliseconds.
        while let Some(result) = self.look() {
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => log::warn!("some of what was not over is missing: {error}"),
                Ok(()) => {}
            }
            self.looking = None;
        }
        // Beginnings before ends: what begins without an end to come would count as lost.
        while self.links.pop().is_some() {}
        self.tracking.clear();
        if let Some(heap) = &mut self.heap {
            heap.detach();
        }
        if let Some(functions) = &mut self.functions {
            functions.detach();
        }
        true
    }

    /// Tells the programs how much to write, whether allocations, and whether
    /// this is the end.
    pub(super) fn set_control(&mut self, scales: [u32; 2], allocations: bool, ending: bool) {
        let [thin, wait_scale] = scales;
        let words = [thin, wait_scale, u32::from(allocations), u32::from(ending)];
        let mut control = [0; size_of::<Control>()];
        for (bytes, word) in control.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        if let Err(error) = self.control.set([0; 4], &control) {
            log::warn!("the amount of events cannot be changed: {error}");
        }
    }

    /// Goes on with the last looks; `None` if all are over.
    fn look(&mut self) -> Option<io::Result<()>> {
        if self.looking.is_none() {
            match Iter::new(&self.last_looks.pop()?) {
                Ok(threads) => self.looking = Some(threads),
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
        self.looking.as_mut().map(read_all)
    }
}

/// The programs hand over in other ways; reading is what makes them go on.
fn read_all(threads: &mut Iter) -> io::Result<()> {
    threads.read_to_end(&mut Vec::new()).map(drop)
}

fn settings(options: &Options) -> Settings {
    let calls = options.calls.as_ref();
    let has_functions = !options.functions.files.is_empty();
    Settings {
        self_pid: std::process::id(),
        all: options.all,
        follow: options.follow,
        kernel: options.kernel,
        stack_bytes: options.stack_bytes,
        calls: calls.map_or(0, |calls| u8::from(calls.detail).into()),
        call_stacks: calls.map_or(0, |calls| match calls.stacks {
            CallStacks::None => 0,
            CallStacks::Sampled => 1,
            CallStacks::All => 2,
        }),
        data_bytes: calls.map_or(0, |calls| calls.data_bytes),
        stack_threshold_ns: options.stack_threshold_ns,
        slower_than_ns: calls.map_or(0, |calls| calls.slower_than_ns),
        allocations: options.allocations.is_some(),
        threads: options.waits || calls.is_some() || options.allocations.is_some() || has_functions,
        functions: has_functions,
        alloc_interval: options.allocations.map_or(0, |allocations| allocations.interval),
    }
}

fn sizes(options: &Options, cpus: &[u32]) -> Sizes {
    let ring = |per_cpu: u32, max: u32| {
        per_cpu.saturating_mul(cpus.len() as u32).min(max).next_power_of_two()
    };
    let has_functions = !options.functions.files.is_empty();
    let in_detail = options.calls.as_ref().is_some_and(|calls| calls.detail == CallDetail::Calls);
    Sizes {
        cpus: cpus.iter().max().map_or(1, |last| last + 1),
        samples: ring(RING_PER_CPU, MAX_RING),
        waits: if options.waits { ring(RING_PER_CPU, MAX_RING) } else { 0 },
        calls: if in_detail || has_functions { ring(CALL_RING_PER_CPU, MAX_CALL_RING) } else { 0 },
        allocations: match options.allocations {
            Some(AllocationOptions { interval: 0, .. }) => ring(CALL_RING_PER_CPU, MAX_CALL_RING),
            Some(_) => ring(RING_PER_CPU, MAX_RING),
            None => 0,
        },
        objects: if options.allocations.is_some() { MAX_OBJECTS } else { 0 },
        totals: match options.waits || options.calls.is_some() || has_functions {
            true => MAX_TOTALS,
            false => 0,
        },
    }
}
