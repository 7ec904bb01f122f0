//! Allocations of processes that run already: probes in their allocators, as
//! long as these are not too dear; then page faults, which show where memory
//! is first used.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rz_format::{Event, EventUnit, LossClass, LossReason, Record};

use super::error::{BpfError, refused};
use super::guard::{self, ENTRY_NS, Excess, Guard};
use super::layout::FAULT_EVENT;
use super::maps::Counters;
use super::probes::{AllocatorProbes, ProbesInFile};
use super::programs::Loaded;
use super::ways::Ways;
use crate::allocator::{self, AllocatorFile, Function, What};
use crate::config::AllocationOptions;
use crate::host::now_ns;
use crate::perf::sys;
use crate::queue::Batch;

/// How long allocations are counted before it is decided to record them.
const TRIAL: Duration = Duration::from_millis(50);
/// Page faults of each CPU per second that are recorded; of more, a sample.
pub(super) const FAULT_HZ: u32 = 1000;

/// The probes of a recording.
pub(super) struct HeapProbes {
    links: Vec<ProbesInFile>,
    hits: Counters,
    guard: Guard,
    /// Events of page faults, one for each CPU.
    faults: Vec<OwnedFd>,
    limit_percent: u32,
    /// When allocations ceased to be recorded; 0 if they still are.
    given_up_ns: u64,
    /// When the file began, if it is not the first one.
    handed_over_ns: u64,
    /// What is to be written into the trace.
    news: Vec<Record>,
}

/// Finds the allocators of the processes, each file and process once. Says
/// what should be known of it.
pub(super) fn find(pids: &[u32], follow: bool) -> (Vec<(u32, AllocatorFile)>, Vec<String>) {
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for &pid in pids {
        let files = allocator::find(pid).unwrap_or_else(|error| {
            notes.push(format!("the files of process {pid} cannot be read: {error}"));
            Vec::new()
        });
        if files.is_empty() {
            notes.push(format!(
                "process {pid} has no allocator that could be told by its symbols (looked for {}): \
                 start it with `rec --alloc -- PROGRAM` if it allocates through the C library",
                allocator::LOOKED_FOR
            ));
        }
        found.extend(files.into_iter().map(|file| (pid, file)));
    }
    if follow && !found.is_empty() {
        notes.push(
            "with --follow, the probes are in all processes that use the same allocator: others \
             are slowed down as well, and programs that children execute are watched only if they \
             use it too"
                .to_owned(),
        );
    }
    (found, notes)
}

impl HeapProbes {
    /// Sets the probes. They count, but nothing is recorded yet.
    pub(super) fn attach(
        loaded: &Loaded,
        ways: &Ways,
        options: &AllocationOptions,
        follow: bool,
        found: &[(u32, AllocatorFile)],
        faults: Vec<OwnedFd>,
    ) -> Result<Self, BpfError> {
        let mut probes = AllocatorProbes::new(loaded, ways)?;
        let hits = Counters::of(loaded, "alloc_hits")?;
        let steps = found.iter().any(|(_, file)| file.functions.iter().any(|f| f.is_stepped));
        let step_ns = match steps {
            true => step_ns(&mut probes).unwrap_or_else(|error| {
                log::info!("what a single step costs cannot be told: {error}");
                ENTRY_NS
            }),
            false => ENTRY_NS,
        };
        let guard = Guard::new(options.limit_percent, now_ns(), step_ns);
        let mut links = Vec::new();
        let mut attached: Vec<(u64, u64)> = Vec::new();
        for (pid, file) in found {
            let identity = (file.device, file.inode);
            // All processes at once.
            if follow && attached.contains(&identity) {
                continue;
            }
            attached.push(identity);
            let stepped = file.functions.iter().filter(|function| function.is_stepped).count();
            log::info!(
                "probes in {} functions of {}, {stepped} of them in single steps of {step_ns} ns",
                file.functions.len(),
                file.path
            );
            let link = probes.attach(file, (!follow).then_some(*pid));
            links.push(link.map_err(|error| refused(format!("probes in {}", file.path), &error))?);
        }
        let limit_percent = options.limit_percent;
        let (given_up_ns, handed_over_ns, news) = (0, 0, Vec::new());
        Ok(HeapProbes {
            links,
            hits,
            guard,
            faults,
            limit_percent,
            given_up_ns,
            handed_over_ns,
            news,
        })
    }

    /// Whether there are probes.
    pub(super) fn is_attached(&self) -> bool {
        !self.links.is_empty()
    }

    /// Decides whether allocations are recorded, after having counted them for
    /// a moment. If not, page faults are from now on; says so.
    pub(super) fn try_out(&mut self) -> io::Result<Option<String>> {
        if self.links.is_empty() {
            self.record_faults()?;
            return Ok(Some(
                "page faults, which show where memory is first used, are recorded instead of \
                 allocations"
                    .to_owned(),
            ));
        }
        self.guard.looked_ns = now_ns();
        self.guard.hits = self.hits()?;
        thread::sleep(TRIAL);
        match self.guard.look(now_ns(), self.hits()?, true) {
            Some(excess) => self.give_up(excess).map(Some),
            None => Ok(None),
        }
    }

    /// Looks whether the probes are still worth what they cost. If not, or if
    /// that cannot be told, they are taken away.
    pub(super) fn look(&mut self, batch: &mut Batch) {
        if self.is_attached() {
            let excess = self.hits().map(|hits| self.guard.look(now_ns(), hits, false));
            let given_up = excess.and_then(|excess| match excess {
                Some(excess) => self.give_up(excess).map(Some),
                None => Ok(None),
            });
            match given_up {
                Ok(text) => batch.notes.extend(text),
                Err(error) => {
                    self.take_probes_away();
                    batch.notes.push(format!("allocations are recorded no more: {error}"));
                }
            }
        }
        batch.records.append(&mut self.news);
    }

    /// Takes the probes away, in the end.
    pub(super) fn detach(&mut self) {
        self.links.clear();
        for event in &self.faults {
            if let Err(error) = sys::disable(event) {
                log::debug!("page faults are counted until rec ends: {error}");
            }
        }
    }

    /// What is missing of a file, at its end.
    pub(super) fn lose(&mut self, batch: &mut Batch) {
        let now_ns = now_ns();
        if self.given_up_ns > 0 {
            let since = self.given_up_ns.max(self.handed_over_ns);
            batch.lose(LossReason::TooDear, LossClass::Allocations, since, now_ns, 0);
        }
        self.handed_over_ns = now_ns;
    }

    fn hits(&self) -> io::Result<[u64; 3]> {
        Ok([self.hits.sum(0)?, self.hits.sum(1)?, self.hits.sum(2)?])
    }

    fn give_up(&mut self, excess: Excess) -> io::Result<String> {
        let Excess { calls_per_second, percent } = excess;
        // First of all.
        self.take_probes_away();
        let text = format!(
            "the targets allocate and free {calls_per_second} times a second, which would \
             cost them {percent} % of a CPU to record, more than {} %: page faults, which show \
             where memory is first used, are recorded instead; --alloc-limit allows more",
            self.limit_percent
        );
        self.record_faults()?;
        Ok(text)
    }

    fn take_probes_away(&mut self) {
        self.links.clear();
        self.given_up_ns = now_ns();
    }

    fn record_faults(&mut self) -> io::Result<()> {
        let (id, name) = (FAULT_EVENT, "page-faults".to_owned());
        let unit = EventUnit::Bytes.into();
        self.news.push(Record::Event(Event { id, name, unit, frequency_hz: FAULT_HZ }));
        self.faults.iter().try_for_each(sys::enable)
    }
}

/// What a probe costs whose instruction takes a single step, in nanoseconds.
fn step_ns(probes: &mut AllocatorProbes<'_>) -> io::Result<u64> {
    guard::step_ns(|file_offset, map| {
        let (what, is_stepped, may_call_another) = (What::Free, true, false);
        let own_code = (0, 0);
        let function = Function { file_offset, is_stepped, what, own_code, may_call_another };
        let file = AllocatorFile {
            path: map.path.clone(),
            opened: guard::OWN_FILE.into(),
            device: map.device,
            inode: map.inode,
            functions: vec![function],
        };
        probes.attach(&file, Some(std::process::id()))
    })
}
