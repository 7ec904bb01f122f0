//! The programs in the kernel: which there are, what they hook into, and how
//! they are loaded.

use aya::programs::iter::IterLink;
use aya::programs::raw_trace_point::RawTracePointLink;
use aya::programs::tp_btf::BtfTracePointLink;
use aya::programs::{BtfTracePoint, Iter, PerfEvent, ProgramError, RawTracePoint};
use aya::{Btf, Ebpf, EbpfError, EbpfLoader};

use super::layout::Settings;

/// The programs, compiled from `record/bpf`.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/rz.bpf.o");

/// Allocations that may be put together at the same time on a CPU.
const ROOMS_PER_CPU: u32 = 4;

/// What a program hooks into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    /// A tracepoint, with typed arguments.
    Tracepoint(&'static str),
    /// A tracepoint, with raw arguments.
    RawTracepoint(&'static str),
    /// All threads, when it is run.
    Threads,
    /// An event's overflow.
    Event,
}

/// A program and what it hooks into.
pub(super) struct Program {
    name: &'static str,
    hook: Hook,
}

const fn program(name: &'static str, hook: Hook) -> Program {
    Program { name, hook }
}

/// Keep the set of recorded processes.
pub(super) const TRACKING: [Program; 3] = [
    program("on_fork", Hook::Tracepoint("sched_process_fork")),
    program("on_exec", Hook::Tracepoint("sched_process_exec")),
    program("on_exit", Hook::Tracepoint("sched_process_exit")),
];
/// Takes samples.
pub(super) const TICK: Program = program("on_tick", Hook::Event);
/// Take down intervals off the CPU.
pub(super) const WAITS: [Program; 3] = [
    program("on_wakeup", Hook::Tracepoint("sched_wakeup")),
    program("on_resume", Hook::Tracepoint("sched_exit_tp")),
    program("on_switch", Hook::Tracepoint("sched_switch")),
];
/// Takes down who waits already.
pub(super) const FIND_WAITING: Program = program("find_waiting", Hook::Threads);
/// Takes down who still waits.
pub(super) const FIND_STILL_WAITING: Program = program("find_still_waiting", Hook::Threads);
/// Take down system calls.
pub(super) const CALLS: [Program; 2] = [
    program("on_return", Hook::RawTracepoint("sys_exit")),
    program("on_call", Hook::RawTracepoint("sys_enter")),
];
/// Counts requests to io_urings, which not every kernel has.
pub(super) const IO_URING: Program =
    program("on_io_uring_request", Hook::RawTracepoint("io_uring_submit_req"));
/// Takes samples of page faults.
pub(super) const FAULT: Program = program("on_fault", Hook::Event);
/// Hands over what threads have counted of their allocations.
pub(super) const FIND_COUNTS: Program = program("find_counts", Hook::Threads);
/// Takes down who is in a call already.
pub(super) const FIND_CALLING: Program = program("find_calling", Hook::Threads);
/// Takes down who still is in a call.
pub(super) const FIND_STILL_CALLING: Program = program("find_still_calling", Hook::Threads);

/// Keeps a program attached until it is dropped.
pub(super) enum Link {
    Tracepoint { _link: BtfTracePointLink },
    RawTracepoint { _link: RawTracePointLink },
}

/// Sizes of the maps.
pub(super) struct Sizes {
    pub(super) cpus: u32,
    /// Buffers in bytes, powers of two of pages.
    pub(super) samples: u32,
    pub(super) waits: u32,
    pub(super) calls: u32,
    pub(super) allocations: u32,
    /// Rows of sums.
    pub(super) totals: u32,
    /// Sampled objects.
    pub(super) objects: u32,
}

/// Makes the maps. No program is loaded yet.
pub(super) fn open(btf: &Btf, settings: &Settings, sizes: &Sizes) -> Result<Ebpf, EbpfError> {
    let settings = settings.to_bytes();
    let allocation_rooms = if sizes.allocations > 0 { sizes.cpus * ROOMS_PER_CPU } else { 1 };
    EbpfLoader::new()
        .btf(Some(btf))
        // Those of threads, which the programs alone use.
        .allow_unsupported_maps()
        .override_global("settings", settings.as_slice(), true)
        .map_max_entries("sample_rooms", sizes.cpus)
        .map_max_entries("wait_rooms", if sizes.waits > 0 { sizes.cpus } else { 1 })
        .map_max_entries("call_rooms", if sizes.calls > 0 { sizes.cpus } else { 1 })
        .map_max_entries("fault_rooms", if sizes.allocations > 0 { sizes.cpus } else { 1 })
        .map_max_entries("allocation_rooms", allocation_rooms)
        .map_max_entries("samples", sizes.samples)
        .map_max_entries("waits", sizes.waits.max(4096))
        .map_max_entries("calls", sizes.calls.max(4096))
        .map_max_entries("allocations", sizes.allocations.max(4096))
        .map_max_entries("objects", sizes.objects.max(1))
        .map_max_entries("totals", sizes.totals.max(1))
        .load(OBJECT)
}

impl Program {
    /// The tracepoint that it needs, if it does.
    pub(super) fn tracepoint(&self) -> Option<&'static str> {
        match self.hook {
            Hook::Tracepoint(name) | Hook::RawTracepoint(name) => Some(name),
            Hook::Threads | Hook::Event => None,
        }
    }

    /// Has the kernel check the program and take it in.
    pub(super) fn load(&self, ebpf: &mut Ebpf, btf: &Btf) -> Result<(), ProgramError> {
        match self.hook {
            Hook::Tracepoint(tracepoint) => self.find::<BtfTracePoint>(ebpf)?.load(tracepoint, btf),
            Hook::RawTracepoint(_) => self.find::<RawTracePoint>(ebpf)?.load(),
            Hook::Threads => self.find::<Iter>(ebpf)?.load("task", btf),
            Hook::Event => self.find::<PerfEvent>(ebpf)?.load(),
        }
    }

    /// Attaches a program of a tracepoint.
    pub(super) fn attach(&self, ebpf: &mut Ebpf) -> Result<Link, ProgramError> {
        match self.hook {
            Hook::Tracepoint(_) => {
                let program: &mut BtfTracePoint = self.find(ebpf)?;
                let link = program.attach()?;
                Ok(Link::Tracepoint { _link: program.take_link(link)? })
            }
            Hook::RawTracepoint(tracepoint) => {
                let program: &mut RawTracePoint = self.find(ebpf)?;
                let link = program.attach(tracepoint)?;
                Ok(Link::RawTracepoint { _link: program.take_link(link)? })
            }
            Hook::Threads | Hook::Event => Err(ProgramError::UnexpectedProgramType),
        }
    }

    /// Makes a program of all threads ready to be run.
    pub(super) fn attach_to_threads(&self, ebpf: &mut Ebpf) -> Result<IterLink, ProgramError> {
        let program: &mut Iter = self.find(ebpf)?;
        let link = program.attach()?;
        program.take_link(link)
    }

    fn find<'e, P>(&self, ebpf: &'e mut Ebpf) -> Result<&'e mut P, ProgramError>
    where
        &'e mut P: TryFrom<&'e mut aya::programs::Program, Error = ProgramError>,
    {
        let program = ebpf.program_mut(self.name).ok_or(ProgramError::UnexpectedProgramType)?;
        program.try_into()
    }
}

/// The descriptor of an event's program, once it is loaded.
pub(super) fn event_fd(
    ebpf: &mut Ebpf,
    program: &Program,
) -> Result<aya::programs::ProgramFd, ProgramError> {
    let program: &mut PerfEvent = program.find(ebpf)?;
    program.fd()?.try_clone().map_err(ProgramError::IOError)
}
