//! Opens events on every thread of the targets, while these run on.
//!
//! A thread started by one that has events inherits them; one started before
//! that must be found in `/proc`. So all threads found get events, again and
//! again, until two looks in a row find no new one: whoever was there at the
//! first of the two looks has events, and so has everyone started since.
//!
//! ```text
//! look 1: A       open A         B (from A, before its events: not inherited)
//! look 2: A B     open B         C (from A or B: inherited)
//! look 3: A B C   open C         C has two sets; the tracker counts one
//! look 4: A B C   nothing new
//! look 5: A B C   nothing new: done
//! ```

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use rustc_hash::FxHashMap;
use rz_format::Tier;

use crate::capture::Attached;
use crate::descriptors;
use crate::event::Source;
use crate::host::{online_cpus, page_size};
use crate::perf::attr::{self, EventOptions, SampledEvent};
use crate::perf::record::parse;
use crate::perf::ring::Ring;
use crate::perf::sys::{self, Whose};
use crate::tracker::procfs;

/// Looks at the list of threads before giving up on one that never settles.
const MAX_LOOKS: u32 = 50;
/// Memory for sample buffers on all CPUs together, at most.
const MAX_RING_TOTAL: usize = 64 << 20;
/// Largest sample buffer of one CPU.
const MAX_RING: usize = 8 << 20;
/// Smallest sample buffer that is of use: some samples with whole stacks.
const MIN_RING: usize = 128 << 10;
/// Largest buffer of one CPU for reports of what processes do; these are small.
const MAX_SIDEBAND_RING: usize = 1 << 20;
/// What is in the way where rights are not.
pub(crate) const SEALED: &str = "a seccomp profile or a security module is in the way (docker run \
                                 --security-opt seccomp=unconfined)";

/// What to attach to, and how.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    /// Process ids.
    pub(crate) pids: Vec<u32>,
    /// Samples per second of running time.
    pub(crate) frequency_hz: u32,
    /// Whether to sample in kernel mode, if that is allowed.
    pub(crate) kernel: bool,
    /// Whether to record children too.
    pub(crate) follow: bool,
    /// Most bytes of user stack to copy with a sample, a multiple of 8.
    pub(crate) stack_bytes: u32,
    /// Sampling starts when the target executes a new program.
    pub(crate) start_on_exec: bool,
}

/// Why attaching failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The process does not exist.
    #[error("no process with pid {0}: it may have ended already")]
    NoSuchProcess(u32),
    /// The process belongs to someone else.
    #[error(
        "not allowed to record pid {0}, which belongs to another user: \
         run as that user, as root, or give rec CAP_PERFMON and CAP_SYS_PTRACE"
    )]
    OtherUser(u32),
    /// Perf events are forbidden to everybody here.
    #[error("perf events are forbidden here although rec has the rights: {SEALED}")]
    Sealed,
    /// Perf events are forbidden to this user.
    #[error(
        "perf events are forbidden here (kernel.perf_event_paranoid is {paranoid}): \
         run as root, give rec CAP_PERFMON, or run `sysctl kernel.perf_event_paranoid=2`"
    )]
    Forbidden {
        /// The sysctl's value.
        paranoid: String,
    },
    /// Not enough file descriptors.
    #[error(
        "too few file descriptors: {threads} threads on {cpus} CPUs need {needed}, \
         the limit is {limit}: raise it with `ulimit -n`"
    )]
    TooManyFiles {
        /// Threads found.
        threads: usize,
        /// CPUs online.
        cpus: usize,
        /// Descriptors needed.
        needed: usize,
        /// The limit on them.
        limit: u64,
    },
    /// The kernel does not know something that is needed.
    #[error("this kernel cannot do what rec needs ({0}): Linux 5.10 or newer is required")]
    OldKernel(io::Error),
    /// The kernel has no memory for buffers, or the user may not lock any.
    #[error(
        "no memory for event buffers ({0}): raise `sysctl kernel.perf_event_mlock_kb` or run as root"
    )]
    NoBuffer(io::Error),
    /// Something else.
    #[error("cannot open perf events: {0}")]
    Other(#[from] io::Error),
}

/// Open events and their buffers.
pub(crate) struct Attachment {
    /// Whom event numbers belong to.
    pub(crate) sources: FxHashMap<u64, Source>,
    /// The processes, children that are followed included.
    pub(crate) pids: Vec<u32>,
    /// Whether the list of threads settled.
    pub(crate) settled: bool,
    /// Buffers, and events to wait on for them.
    pub(crate) buffers: Vec<CpuBuffers>,
    /// The other events that sample.
    samplers: Vec<OwnedFd>,
    /// The other events that report, which they do as long as they are open.
    _reporters: Vec<OwnedFd>,
    /// Whether events of children that are not followed come in as well.
    has_others: bool,
    ring_len: usize,
    stack_bytes: u32,
    frequency_hz: u32,
}

/// The two buffers of a CPU, with the events that own them.
pub(crate) struct CpuBuffers {
    /// The CPU.
    pub(crate) cpu: u32,
    /// Owner of `samples`.
    pub(crate) sample_event: OwnedFd,
    /// Samples.
    pub(crate) samples: Ring,
    /// Owner of `sideband`.
    pub(crate) sideband_event: OwnedFd,
    /// Reports of what processes do.
    pub(crate) sideband: Ring,
}

impl Attachment {
    /// Starts sampling.
    pub(crate) fn enable_sampling(&self) -> io::Result<()> {
        self.sampling_events().try_for_each(sys::enable)
    }

    /// Stops sampling.
    pub(crate) fn disable_sampling(&self) {
        for event in self.sampling_events() {
            if let Err(error) = sys::disable(event) {
                log::debug!("an event goes on sampling until rec ends: {error}");
            }
        }
    }

    /// What all sampling events have counted, those of ended threads included;
    /// `None` if that is not only of the targets.
    pub(crate) fn count(&self) -> Option<u64> {
        let counts = self.sampling_events().filter_map(|event| sys::read_count(event).ok());
        (!self.has_others).then(|| counts.sum())
    }

    /// How long a buffer may go unwatched without running over.
    pub(crate) fn safe_pause(&self) -> Duration {
        let samples = self.ring_len / 2 / self.stack_bytes as usize;
        Duration::from_secs(samples as u64) / self.frequency_hz
    }

    fn sampling_events(&self) -> impl Iterator<Item = &OwnedFd> {
        self.buffers.iter().map(|buffers| &buffers.sample_event).chain(&self.samplers)
    }
}

/// Opens events on all threads of the targets. Events that report what
/// processes do are on when this returns; sampling is not.
pub(crate) fn attach(targets: &Targets) -> Result<Attached, AttachError> {
    descriptors::raise_limit();
    // Before Linux 5.13, events are inherited by all children or by none.
    let (event, kernel, inherit) = match choose_event(targets, targets.follow) {
        Err(AttachError::OldKernel(_)) if !targets.follow => choose_event(targets, true)?,
        chosen => chosen?,
    };
    let cpus = online_cpus();
    let share = (MAX_RING_TOTAL / cpus.len().max(1)).clamp(MIN_RING, MAX_RING);
    // A buffer is a power of two of pages.
    let mut ring_len = (1 << share.ilog2()).max(page_size());
    loop {
        match attach_with(targets, event, event_options(targets, kernel, inherit, ring_len), &cpus)
        {
            // A user may lock only so much memory, for all CPUs together.
            Err(AttachError::NoBuffer(error)) if ring_len > MIN_RING => {
                log::debug!("buffers of {ring_len} bytes are refused: {error}");
                ring_len /= 2;
            }
            result => return result.map(|attachment| describe(attachment, event, kernel)),
        }
    }
}

fn describe(mut attachment: Attachment, event: SampledEvent, kernel: bool) -> Attached {
    let mut notes = Vec::new();
    if !attachment.settled {
        notes.push(
            "the target starts threads faster than they can be attached to; some are missing"
                .to_owned(),
        );
    }
    Attached {
        parse,
        tier: Tier::Perf,
        event: event.describe(attachment.frequency_hz),
        usual_weight: event.usual_weight(attachment.frequency_hz),
        kernel,
        reports_others: attachment.has_others,
        pids: std::mem::take(&mut attachment.pids),
        allocators: Vec::new(),
        functions: Vec::new(),
        data_bytes: 0,
        sources: std::mem::take(&mut attachment.sources),
        missing: Vec::new(),
        ways: String::new(),
        program_tags: Vec::new(),
        follows_python: false,
        notes,
        capture: Box::new(attachment),
    }
}

fn attach_with(
    targets: &Targets,
    event: SampledEvent,
    options: EventOptions,
    cpus: &[u32],
) -> Result<Attachment, AttachError> {
    let ring_len = 2 * options.wakeup_bytes as usize;
    let mut opener = Opener::new(event, options, cpus, ring_len);
    let mut quiet_looks = 0;
    let mut looks = 0;
    while quiet_looks < 2 && looks < MAX_LOOKS {
        looks += 1;
        let opened = opener.open_new_threads(targets)?;
        quiet_looks = if opened { 0 } else { quiet_looks + 1 };
    }
    if let Some(pid) = targets.pids.iter().find(|pid| !opener.pids.contains(pid)) {
        return Err(AttachError::NoSuchProcess(*pid));
    }
    Ok(Attachment {
        sources: opener.sources,
        pids: opener.pids.into_iter().collect(),
        settled: quiet_looks == 2,
        buffers: opener.buffers,
        samplers: opener.samplers,
        _reporters: opener.reporters,
        has_others: options.follow && !targets.follow,
        ring_len,
        stack_bytes: targets.stack_bytes,
        frequency_hz: targets.frequency_hz,
    })
}

/// Opens events and keeps them.
struct Opener<'a> {
    cpus: &'a [u32],
    sampling: perf_event_open_sys::bindings::perf_event_attr,
    sideband: perf_event_open_sys::bindings::perf_event_attr,
    ring_len: usize,
    pids: BTreeSet<u32>,
    threads: BTreeSet<u32>,
    sources: FxHashMap<u64, Source>,
    buffers: Vec<CpuBuffers>,
    samplers: Vec<OwnedFd>,
    reporters: Vec<OwnedFd>,
}

impl<'a> Opener<'a> {
    fn new(event: SampledEvent, options: EventOptions, cpus: &'a [u32], ring_len: usize) -> Self {
        Opener {
            cpus,
            sampling: attr::sampling(event, &options),
            sideband: attr::sideband(&EventOptions {
                wakeup_bytes: (sideband_len(ring_len) / 4) as u32,
                ..options
            }),
            ring_len,
            pids: BTreeSet::new(),
            threads: BTreeSet::new(),
            sources: FxHashMap::default(),
            buffers: Vec::new(),
            samplers: Vec::new(),
            reporters: Vec::new(),
        }
    }

    /// One look at all targets; says whether there were new threads.
    fn open_new_threads(&mut self, targets: &Targets) -> Result<bool, AttachError> {
        let mut opened = false;
        let mut pids = targets.pids.clone();
        while let Some(pid) = pids.pop() {
            let Ok(before) = procfs::stat(pid) else { continue };
            if !procfs::is_running(pid) {
                continue;
            }
            for tid in procfs::threads(pid).unwrap_or_default() {
                if self.threads.contains(&tid) {
                    continue;
                }
                match self.open_thread(pid, tid) {
                    Ok(true) => {
                        self.threads.insert(tid);
                        opened = true;
                    }
                    Ok(false) => {}
                    // A child may belong to another user, as su's does.
                    Err(AttachError::OtherUser(_)) if !targets.pids.contains(&pid) => break,
                    Err(error) => return Err(error),
                }
            }
            // The number may have passed to another process meanwhile.
            if procfs::stat(pid).is_ok_and(|after| after.start_ticks == before.start_ticks) {
                self.pids.insert(pid);
            }
            if targets.follow {
                pids.extend(procfs::children(pid).into_iter().filter(|p| !self.pids.contains(p)));
            }
        }
        Ok(opened)
    }

    /// Opens events on one thread; says whether it is still there.
    fn open_thread(&mut self, pid: u32, tid: u32) -> Result<bool, AttachError> {
        for &cpu in self.cpus {
            let open = |attr| sys::open_event(attr, Whose::Thread(tid), cpu);
            let (sideband, sample) = match open(&self.sideband)
                .and_then(|sideband| Ok((sideband, open(&self.sampling)?)))
            {
                Ok(events) => events,
                Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                    Errno::ESRCH => return Ok(false),
                    // The CPU went offline.
                    Errno::ENODEV => continue,
                    Errno::EMFILE | Errno::ENFILE => return Err(self.too_many_files(pid)),
                    _ => return Err(explain(error, pid)),
                },
            };
            for (event, samples) in [(&sideband, false), (&sample, true)] {
                self.sources.insert(sys::event_id(event)?, Source { thread: tid, samples });
            }
            match self.buffers.iter().find(|buffers| buffers.cpu == cpu) {
                Some(buffers) => {
                    sys::redirect_output(&sample, &buffers.sample_event)?;
                    sys::redirect_output(&sideband, &buffers.sideband_event)?;
                    self.samplers.push(sample);
                    self.reporters.push(sideband);
                }
                None => {
                    let map = |event, len| Ring::map(event, len).map_err(AttachError::NoBuffer);
                    let samples = map(&sample, self.ring_len)?;
                    let sideband_ring = map(&sideband, sideband_len(self.ring_len))?;
                    self.buffers.push(CpuBuffers {
                        cpu,
                        sample_event: sample,
                        samples,
                        sideband_event: sideband,
                        sideband: sideband_ring,
                    });
                }
            }
        }
        Ok(true)
    }

    fn too_many_files(&self, pid: u32) -> AttachError {
        let threads = procfs::threads(pid).map_or(0, |threads| threads.len());
        AttachError::TooManyFiles {
            threads,
            cpus: self.cpus.len(),
            needed: threads * self.cpus.len() * 2,
            limit: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
        }
    }
}

/// Finds out which event there is, and whether kernel mode may be sampled, by
/// opening one on the first target. With `inherit` all children inherit it;
/// that is returned, too.
fn choose_event(
    targets: &Targets,
    inherit: bool,
) -> Result<(SampledEvent, bool, bool), AttachError> {
    let pid = *targets.pids.first().ok_or(AttachError::NoSuchProcess(0))?;
    // The first thread may have ended while others go on, and these may end
    // between being found and being tried.
    let mut others = procfs::threads(pid).unwrap_or_default().into_iter();
    let mut tid = pid;
    let cpu = online_cpus().first().copied().unwrap_or(0);
    let mut kernel = targets.kernel;
    let mut event = SampledEvent::Cycles;
    loop {
        let options = event_options(targets, kernel, inherit, MIN_RING);
        let error = match sys::open_event(&attr::sampling(event, &options), Whose::Thread(tid), cpu)
        {
            Ok(_) => return Ok((event, kernel, inherit)),
            Err(error) => error,
        };
        match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::ENOENT | Errno::EOPNOTSUPP | Errno::ENODEV if event == SampledEvent::Cycles => {
                event = SampledEvent::CpuClock;
            }
            Errno::EACCES | Errno::EPERM if kernel => kernel = false,
            Errno::ESRCH => tid = others.next().ok_or(AttachError::NoSuchProcess(pid))?,
            _ => return Err(explain(error, pid)),
        }
    }
}

fn event_options(targets: &Targets, kernel: bool, inherit: bool, ring_len: usize) -> EventOptions {
    EventOptions {
        frequency_hz: targets.frequency_hz,
        kernel,
        follow: inherit,
        start_on_exec: targets.start_on_exec,
        stack_bytes: targets.stack_bytes,
        // The recorder looks at its buffers every so often anyway; this wakes
        // it before one runs full.
        wakeup_bytes: (ring_len / 2) as u32,
    }
}

/// Bytes of a CPU's buffer for reports, given that for samples.
fn sideband_len(ring_len: usize) -> usize {
    (ring_len / 4).min(MAX_SIDEBAND_RING)
}

/// What a failure to open an event on `pid` means to the user.
fn explain(error: io::Error, pid: u32) -> AttachError {
    match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
        Errno::ESRCH => AttachError::NoSuchProcess(pid),
        Errno::EACCES | Errno::EPERM => {
            let paranoid = "/proc/sys/kernel/perf_event_paranoid";
            let paranoid = std::fs::read_to_string(paranoid).unwrap_or_default();
            let paranoid = paranoid.trim().to_owned();
            if nix::unistd::geteuid().is_root() || is_own(pid) && is_open(&paranoid) {
                AttachError::Sealed
            } else if is_open(&paranoid) {
                AttachError::OtherUser(pid)
            } else {
                AttachError::Forbidden { paranoid }
            }
        }
        Errno::E2BIG | Errno::EINVAL => AttachError::OldKernel(error),
        _ => AttachError::Other(error),
    }
}

/// Whether users may have events on their own processes.
fn is_open(paranoid: &str) -> bool {
    paranoid.parse().is_ok_and(|level: i32| level <= 2)
}

/// Whether a process belongs to the user that we are.
fn is_own(pid: u32) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|process| process.uid() == own)
}
