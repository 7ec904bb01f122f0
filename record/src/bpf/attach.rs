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

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use aya::programs::ProgramError;
use aya::programs::iter::IterLink;
use aya::{Btf, Ebpf, EbpfError};
use nix::errno::Errno;
use rz_format::CallDetail;
use rz_syscalls::Captured;

use super::drain::{Pressure, Rings};
use super::events::{self, CpuEvents};
use super::heap::{self, HeapProbes};
use super::layout::{CallInfo, Control, LOSSES, MAX_CALLS, Settings, TotalKey, TotalValue, parse};
use super::programs::{self, Link, Program, Sizes};
use crate::capture::Attached;
use crate::config::{AllocationOptions, CallOptions, CallStacks};
use crate::host::{now_ns, online_cpus};
use crate::target::procfs;

/// Value of `UNTIL_EXEC` and `LIVE` in the set of processes.
const UNTIL_EXEC: u32 = 1;
const LIVE: u32 = 2;
/// Values of `enum capture`.
const CAPTURE_TEXT: u8 = 1;
const CAPTURE_ADDRESS_IN: u8 = 2;
const CAPTURE_ADDRESS_OUT: u8 = 3;
/// Of an unknown call, all arguments may mean something.
const UNKNOWN_CALL: CallInfo = [1, 6, 0, 0, 0, 0, 0, 0];
/// Rows of sums: several for each thread.
const MAX_TOTALS: u32 = 1 << 20;
/// Buffer for each CPU, and for all CPUs together: of samples and waits, and of
/// calls, which come in larger numbers. Ours to read, each counts twice in our
/// resident memory, as it is mapped twice in a row.
const RING_PER_CPU: u32 = 1 << 20;
const MAX_RING: u32 = 16 << 20;
const CALL_RING_PER_CPU: u32 = 4 << 20;
const MAX_CALL_RING: u32 = 32 << 20;
/// Sampled objects that were not given back.
const MAX_OBJECTS: u32 = 1 << 20;
/// The inode of the first pid namespace, by the kernel's definition.
const INIT_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Why the bpf tier cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BpfError {
    /// Without the rights.
    #[error("bpf programs need root, or rec with CAP_BPF and CAP_PERFMON")]
    NotAllowed,
    /// In a container with processes of its own.
    #[error(
        "rec runs in a pid namespace of its own, where the kernel's process ids are not known: \
         run it on the host, or with the host's pid namespace (docker run --pid=host)"
    )]
    PidNamespace,
    /// The kernel does not describe its types.
    #[error(
        "the kernel has no type information (/sys/kernel/btf/vmlinux: {0}): \
         it must be built with CONFIG_DEBUG_INFO_BTF"
    )]
    NoTypes(String),
    /// A tracepoint does not exist.
    #[error("this kernel has no tracepoint {tracepoint}, which {purpose} need: {remedy}")]
    NoTracepoint {
        /// Its name.
        tracepoint: &'static str,
        /// What needs it.
        purpose: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The kernel refuses something else.
    #[error("the kernel refuses the programs for {purpose}: {cause}")]
    Refused {
        /// What they are for.
        purpose: &'static str,
        /// What it said.
        cause: String,
    },
    /// Probes in running processes cannot be had.
    #[error(
        "allocations of running processes need probes that the kernel refuses: {0} (Linux 6.13 \
         or newer has them); `rec --alloc -- PROGRAM` needs none"
    )]
    NoProbes(String),
    /// The events that take samples cannot be had.
    #[error("cannot open perf events for the whole machine: {0}")]
    Events(io::Error),
    /// A process does not exist.
    #[error("no process with pid {0}: it may have ended already")]
    NoSuchProcess(u32),
}

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
    /// Stacks of shorter waits and calls are sampled.
    pub(crate) stack_threshold_ns: u64,
}

/// Programs, and what they hand over.
pub(super) struct Attachment {
    ebpf: Ebpf,
    pub(super) events: Vec<CpuEvents>,
    pub(super) rings: Rings,
    pub(super) losses: PerCpuArray<MapData, u64>,
    /// Losses of each class that have been reported.
    pub(super) lost: [u64; LOSSES.len()],
    /// When losses were looked at.
    pub(super) looked_ns: u64,
    pub(super) totals: HashMap<MapData, TotalKey, TotalValue>,
    pub(super) stack_ends: HashMap<MapData, u32, u64>,
    pub(super) control: Array<MapData, Control>,
    pub(super) pressure: Pressure,
    /// Keep the set of processes.
    _tracking: Vec<Link>,
    waits: Vec<Link>,
    calls: Vec<Link>,
    pub(super) heap: Option<HeapProbes>,
    /// Look for what is not over, in the end; last first.
    last_looks: Vec<IterLink>,
    /// The one of them that is under way.
    looking: Option<File>,
    options: Options,
}

/// Attaches to the targets. What processes do is reported from now on.
pub(crate) fn attach(options: &Options) -> Result<Attached, BpfError> {
    if std::fs::read_link("/proc/self/ns/pid").is_ok_and(|ns| ns.as_os_str() != INIT_PID_NAMESPACE)
    {
        return Err(BpfError::PidNamespace);
    }
    let btf = Btf::from_sys_fs().map_err(|error| BpfError::NoTypes(error.to_string()))?;
    let cpus = online_cpus();
    let last_cpu = cpus.iter().copied().max().unwrap_or(0);
    let settings = settings(options);
    let mut ebpf = programs::open(&btf, &settings, &sizes(options, &cpus, last_cpu))
        .map_err(|error| explain_open(&error))?;

    let used = used_programs(options);
    for (program, purpose) in &used {
        program.load(&mut ebpf, &btf).map_err(|error| explain(program, purpose, &error))?;
    }
    let tick =
        programs::event_fd(&mut ebpf, &programs::TICK).map_err(|e| refused("samples", &e))?;
    let need_time = options.waits;
    let (event, events) =
        events::open(&cpus, options.frequency_hz, options.kernel, need_time, &tick)
            .map_err(BpfError::Events)?;

    let map_error = |error: MapError| refused("samples", &error);
    let mut notes = Vec::new();
    set_up_calls(&mut ebpf, options).map_err(map_error)?;
    let tracking = programs::TRACKING
        .iter()
        .map(|program| program.attach(&mut ebpf).map_err(|e| refused("processes", &e)))
        .collect::<Result<Vec<_>, _>>()?;
    let pids = track(&mut ebpf, options)?;
    if options.calls.is_some()
        && let Err(error) = programs::IO_URING.load(&mut ebpf, &btf)
    {
        log::info!("requests to io_urings are not counted: {error}");
    }
    let mut allocators = Vec::new();
    let heap = match &options.allocations {
        Some(allocations) => {
            let (found, said) = heap::find(&pids, options.follow);
            notes.extend(said);
            let program = programs::event_fd(&mut ebpf, &programs::FAULT)
                .map_err(|error| refused("page faults", &error))?;
            let faults = events::open_faults(&cpus, heap::FAULT_HZ, options.kernel, &program)
                .map_err(BpfError::Events)?;
            let probes =
                HeapProbes::attach(&mut ebpf, &btf, allocations, options.follow, &found, faults)?;
            allocators = found.into_iter().map(|(pid, file)| (pid, file.path)).collect();
            Some(probes)
        }
        None => None,
    };
    let last_looks = [
        (&programs::FIND_COUNTS, options.allocations.is_some()),
        (&programs::FIND_STILL_WAITING, options.waits),
        (&programs::FIND_STILL_CALLING, options.calls.is_some()),
    ];
    let last_looks = last_looks
        .iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(program, _)| program.attach_to_threads(&mut ebpf))
        .collect::<Result<_, _>>()
        .map_err(|error| refused("threads", &error))?;
    if events.is_empty() {
        notes.push("no CPU could be sampled".to_owned());
    }
    let rings = Rings::take(&mut ebpf, &events).map_err(BpfError::Events)?;
    let mut take = |name| ebpf.take_map(name).ok_or(MapError::InvalidName { name: String::new() });
    let attachment = Attachment {
        losses: take("losses").and_then(PerCpuArray::try_from).map_err(map_error)?,
        totals: take("totals").and_then(HashMap::try_from).map_err(map_error)?,
        stack_ends: take("stack_ends").and_then(HashMap::try_from).map_err(map_error)?,
        control: take("control").and_then(Array::try_from).map_err(map_error)?,
        ebpf,
        events,
        rings,
        lost: [0; LOSSES.len()],
        looked_ns: now_ns(),
        pressure: Pressure::default(),
        _tracking: tracking,
        waits: Vec::new(),
        calls: Vec::new(),
        heap,
        last_looks,
        looking: None,
        options: options.clone(),
    };
    Ok(Attached {
        capture: Box::new(attachment),
        parse,
        tier: "bpf",
        event: event.describe(options.frequency_hz),
        usual_weight: event.usual_weight(options.frequency_hz),
        kernel: options.kernel,
        pids,
        allocators,
        sources: Default::default(),
        notes,
    })
}

impl Attachment {
    /// Starts samples, waits, calls and allocations; returns what the user should
    /// know of it.
    pub(super) fn start(&mut self) -> Result<Vec<String>, ProgramError> {
        let mut notes = Vec::new();
        if self.options.waits {
            self.waits = attach_all(&programs::WAITS, &mut self.ebpf)?;
        }
        if self.options.calls.is_some() {
            self.calls = attach_all(&programs::CALLS, &mut self.ebpf)?;
            // Fails where it could not be loaded.
            self.calls.extend(programs::IO_URING.attach(&mut self.ebpf).ok());
        }
        // As deciding takes a while.
        if let Some(heap) = &mut self.heap {
            notes.extend(heap.try_out()?);
        }
        // Last, as attaching takes some milliseconds: this is when it begins.
        if self.options.waits {
            run(programs::FIND_WAITING.attach_to_threads(&mut self.ebpf)?)?;
        }
        if self.options.calls.is_some() {
            run(programs::FIND_CALLING.attach_to_threads(&mut self.ebpf)?)?;
        }
        let recorded = self.heap.as_ref().is_some_and(HeapProbes::is_attached);
        self.set_control(self.pressure.scales(), recorded);
        self.events.iter().try_for_each(|events| crate::perf::sys::enable(&events.tick))?;
        Ok(notes)
    }

    /// Ends them, and has what is not over handed over. If there is no room
    /// for all of that, returns false; call it again when there is.
    pub(super) fn end(&mut self) -> bool {
        for events in &self.events {
            if let Err(error) = crate::perf::sys::disable(&events.tick) {
                log::debug!("a timer goes on until rec ends: {error}");
            }
        }
        let scales = self.pressure.scales();
        self.set_control(scales, false);
        // First, as taking the programs away takes some milliseconds.
        while let Some(result) = self.look() {
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => log::warn!("some of what was not over is missing: {error}"),
                Ok(()) => {}
            }
            self.looking = None;
        }
        self.calls.clear();
        self.waits.clear();
        if let Some(heap) = &mut self.heap {
            heap.detach();
        }
        true
    }

    /// Tells the programs how much to write, and whether allocations.
    pub(super) fn set_control(&mut self, scales: [u32; 2], allocations: bool) {
        let [thin, wait_scale] = scales;
        let words = [thin, wait_scale, u32::from(allocations), 0];
        let mut control = [0; size_of::<Control>()];
        for (bytes, word) in control.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        if let Err(error) = self.control.set(0, control, 0) {
            log::warn!("the amount of events cannot be changed: {error}");
        }
    }

    /// Goes on with the last looks; `None` if all are over.
    fn look(&mut self) -> Option<io::Result<()>> {
        if self.looking.is_none() {
            match self.last_looks.pop()?.into_file() {
                Ok(file) => self.looking = Some(file),
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
        self.looking.as_mut().map(read_all)
    }
}

fn attach_all(programs: &[Program], ebpf: &mut Ebpf) -> Result<Vec<Link>, ProgramError> {
    programs.iter().map(|program| program.attach(ebpf)).collect()
}

/// Runs a program on all threads.
fn run(threads: IterLink) -> io::Result<()> {
    read_all(&mut threads.into_file().map_err(io::Error::other)?)
}

/// The programs hand over in other ways; reading is what makes them go on.
fn read_all(threads: &mut File) -> io::Result<()> {
    threads.read_to_end(&mut Vec::new()).map(drop)
}

fn settings(options: &Options) -> Settings {
    let calls = options.calls.as_ref();
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
        stack_threshold_ns: options.stack_threshold_ns,
        slower_than_ns: calls.map_or(0, |calls| calls.slower_than_ns),
        allocations: options.allocations.is_some(),
        alloc_interval: options.allocations.map_or(0, |allocations| allocations.interval),
    }
}

fn sizes(options: &Options, cpus: &[u32], last_cpu: u32) -> Sizes {
    let ring = |per_cpu: u32, max: u32| {
        per_cpu.saturating_mul(cpus.len() as u32).min(max).next_power_of_two()
    };
    let in_detail = options.calls.as_ref().is_some_and(|calls| calls.detail == CallDetail::Calls);
    Sizes {
        cpus: last_cpu + 1,
        samples: ring(RING_PER_CPU, MAX_RING),
        waits: if options.waits { ring(RING_PER_CPU, MAX_RING) } else { 0 },
        calls: if in_detail { ring(CALL_RING_PER_CPU, MAX_CALL_RING) } else { 0 },
        allocations: match options.allocations {
            Some(AllocationOptions { interval: 0, .. }) => ring(CALL_RING_PER_CPU, MAX_CALL_RING),
            Some(_) => ring(RING_PER_CPU, MAX_RING),
            None => 0,
        },
        objects: if options.allocations.is_some() { MAX_OBJECTS } else { 0 },
        totals: if options.waits || options.calls.is_some() { MAX_TOTALS } else { 0 },
    }
}

/// The programs that the options call for, with what they are for.
fn used_programs(options: &Options) -> Vec<(&'static Program, &'static str)> {
    let mut used: Vec<(&Program, &str)> = vec![(&programs::TICK, "samples")];
    used.extend(programs::TRACKING.iter().map(|program| (program, "processes")));
    if options.waits {
        used.extend(programs::WAITS.iter().map(|program| (program, "off-CPU times")));
        used.push((&programs::FIND_WAITING, "off-CPU times"));
        used.push((&programs::FIND_STILL_WAITING, "off-CPU times"));
    }
    if options.calls.is_some() {
        used.extend(programs::CALLS.iter().map(|program| (program, "system calls")));
        used.push((&programs::FIND_CALLING, "system calls"));
        used.push((&programs::FIND_STILL_CALLING, "system calls"));
    }
    if options.allocations.is_some() {
        used.extend([&programs::FAULT, &programs::FIND_COUNTS].map(|it| (it, "allocations")));
    }
    used
}

/// Says what to do about each system call.
fn set_up_calls(ebpf: &mut Ebpf, options: &Options) -> Result<(), MapError> {
    let Some(calls) = &options.calls else { return Ok(()) };
    let map = ebpf.map_mut("call_infos").ok_or(MapError::InvalidName { name: String::new() })?;
    let mut infos: Array<_, CallInfo> = map.try_into()?;
    for number in 0..MAX_CALLS {
        if calls.numbers.is_empty() || calls.numbers.contains(&number) {
            infos.set(number, call_info(number), 0)?;
        }
    }
    // The numbers of the 32-bit interface are others.
    if calls.numbers.is_empty() {
        infos.set(MAX_CALLS, UNKNOWN_CALL, 0)?;
    }
    Ok(())
}

/// What the programs have to know of a system call that is recorded.
fn call_info(number: u32) -> CallInfo {
    let Some(call) = rz_syscalls::by_number(number) else { return UNKNOWN_CALL };
    let mut info = [1, call.args.len() as u8, 0, 0, 0, 0, 0, 0];
    for (at, capture) in call.captures().take(2).enumerate() {
        let (what, len_arg) = match capture.what {
            Captured::Text => (CAPTURE_TEXT, 0),
            Captured::SockaddrIn { len_arg } => (CAPTURE_ADDRESS_IN, len_arg),
            Captured::SockaddrOut { len_ptr_arg } => (CAPTURE_ADDRESS_OUT, len_ptr_arg),
        };
        (info[2 + at], info[4 + at], info[6 + at]) = (what, capture.arg as u8, len_arg as u8);
    }
    info
}

/// Puts the targets into the set of processes, and returns them with the
/// children that they have by then.
fn track(ebpf: &mut Ebpf, options: &Options) -> Result<Vec<u32>, BpfError> {
    if options.all {
        let own = std::process::id();
        return Ok(procfs::processes().into_iter().filter(|pid| *pid != own).collect());
    }
    let gone = |pid: &&u32| !procfs::is_running(**pid);
    if let Some(pid) = options.pids.iter().find(gone) {
        return Err(BpfError::NoSuchProcess(*pid));
    }
    let map = ebpf.map_mut("tracked").ok_or_else(|| refused("processes", &"no map of them"))?;
    let mut tracked: HashMap<_, u32, u32> =
        map.try_into().map_err(|error: MapError| refused("processes", &error))?;
    let how = if options.start_on_exec { UNTIL_EXEC } else { LIVE };
    let mut found = BTreeSet::new();
    let mut pids = options.pids.clone();
    while let Some(pid) = pids.pop() {
        if !found.insert(pid) {
            continue;
        }
        tracked.insert(pid, how, 0).map_err(|error| refused("processes", &error))?;
        if !procfs::is_running(pid) {
            // It may have ended before it was in the set, and its number must
            // not be taken for it later.
            let _ = tracked.remove(&pid);
            found.remove(&pid);
            continue;
        }
        // From here on its new children are tracked by the program.
        if options.follow && !options.start_on_exec {
            pids.extend(procfs::children(pid));
        }
    }
    Ok(found.into_iter().collect())
}

fn refused(purpose: &'static str, cause: &dyn std::fmt::Display) -> BpfError {
    BpfError::Refused { purpose, cause: one_line(&cause.to_string()) }
}

/// The last line of what may be a verifier's pages.
fn one_line(text: &str) -> String {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

fn explain_open(error: &EbpfError) -> BpfError {
    if errno_of(error) == Some(Errno::EPERM) {
        return BpfError::NotAllowed;
    }
    refused("samples", &chain(error))
}

fn explain(program: &Program, purpose: &'static str, error: &ProgramError) -> BpfError {
    match (error, program.tracepoint()) {
        (ProgramError::Btf(_), Some(tracepoint)) => {
            BpfError::NoTracepoint { tracepoint, purpose, remedy: "Linux 6.15 or newer has it" }
        }
        _ if errno_of(error) == Some(Errno::EPERM) => BpfError::NotAllowed,
        _ => refused(purpose, &chain(error)),
    }
}

/// An error with all that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| one_line(&error.to_string())).collect::<Vec<_>>().join(": ")
}

/// The system's error behind another one.
fn errno_of(error: &(dyn std::error::Error + 'static)) -> Option<Errno> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error()).map(Errno::from_raw)
}
