//! Allocations of processes that run already: probes in their allocators, as
//! long as these are not too dear; then page faults, which show where memory
//! is first used.

use std::hint::black_box;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rz_format::{Event, EventUnit, LossClass, LossReason, Record};

use super::error::{BpfError, refused};
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
use crate::tracker::procfs;

/// What a probe at a function's beginning costs the thread that hits it, and
/// one at its end, with what the program does there; `benches/alloc_attach.py`
/// measures it.
const ENTRY_NS: u64 = 700;
const RETURN_NS: u64 = 900;
/// Calls of our own function that show what a single step costs.
const STEPS: u32 = 200;
/// How long allocations are counted before it is decided to record them.
const TRIAL: Duration = Duration::from_millis(50);
/// Page faults of each CPU per second that are recorded; of more, a sample.
pub(super) const FAULT_HZ: u32 = 1000;

/// What the probes cost, and how much that may be.
#[derive(Debug, Clone, PartialEq)]
struct Guard {
    /// Nanoseconds per second that may be spent.
    limit_ns: u64,
    /// What has been spent beyond that.
    debt_ns: u64,
    looked_ns: u64,
    /// Hits of probes of each kind by then.
    hits: [u64; 3],
    /// What a probe costs whose instruction takes a single step.
    step_ns: u64,
}

/// The probes cost more than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Excess {
    /// Hits of probes at the beginning of functions.
    calls_per_second: u64,
    /// Share of one CPU.
    percent: u64,
}

impl Guard {
    fn new(limit_percent: u32, now_ns: u64, step_ns: u64) -> Self {
        let limit_ns = u64::from(limit_percent) * 10_000_000;
        Guard { limit_ns, debt_ns: 0, looked_ns: now_ns, hits: [0; 3], step_ns }
    }

    /// Takes in how often the probes have been hit. More than the limit may be
    /// spent for a moment: up to what it allows in a second, or nothing if the
    /// decision to record is still to be made.
    fn look(&mut self, now_ns: u64, hits: [u64; 3], is_trial: bool) -> Option<Excess> {
        let elapsed_ns = now_ns.saturating_sub(self.looked_ns).max(1);
        let [entries, returns, steps] = [0, 1, 2].map(|at| hits[at].saturating_sub(self.hits[at]));
        let spent_ns = entries * ENTRY_NS + returns * RETURN_NS + steps * self.step_ns;
        let per_second =
            |number: u64| (u128::from(number) * 1_000_000_000 / u128::from(elapsed_ns)) as u64;
        let allowed_ns =
            (u128::from(self.limit_ns) * u128::from(elapsed_ns) / 1_000_000_000) as u64;
        self.debt_ns = (self.debt_ns + spent_ns).saturating_sub(allowed_ns);
        (self.looked_ns, self.hits) = (now_ns, hits);
        let may_be_ahead_ns = if is_trial { 0 } else { self.limit_ns };
        (self.debt_ns > may_be_ahead_ns).then(|| Excess {
            calls_per_second: per_second(entries + steps),
            percent: per_second(spent_ns) / 10_000_000,
        })
    }
}

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

/// What a probe costs whose instruction takes a single step, in nanoseconds:
/// tried out on ourselves, as it depends much on the machine.
fn step_ns(probes: &mut AllocatorProbes<'_>) -> io::Result<u64> {
    let address = begins_with_a_step as fn(u64) -> u64 as usize as u64;
    let own = std::process::id();
    let maps = procfs::executable_maps(own)?;
    let map = maps.iter().find(|map| (map.start..map.end).contains(&address));
    let map = map.ok_or(io::ErrorKind::NotFound)?;
    let file_offset = address - map.start + map.file_offset;
    let (what, is_stepped, may_call_another) = (What::Free, true, false);
    let file = AllocatorFile {
        path: map.path.clone(),
        opened: "/proc/self/exe".into(),
        device: map.device,
        inode: map.inode,
        functions: vec![Function {
            file_offset,
            is_stepped,
            what,
            own_code: (0, 0),
            may_call_another,
        }],
    };
    let _probe = probes.attach(&file, Some(own))?;
    let start_ns = now_ns();
    let last = (0..u64::from(STEPS)).fold(0, |sum, number| begins_with_a_step(sum ^ number));
    black_box(last);
    Ok((now_ns() - start_ns) / u64::from(STEPS))
}

#[inline(never)]
fn begins_with_a_step(number: u64) -> u64 {
    black_box(number).rotate_left(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn guard() -> Guard {
        Guard::new(5, SECOND, 9000)
    }

    #[test]
    fn a_trial_is_strict() {
        let check = |calls: u64, returns: u64, expected: Option<u64>| {
            let excess = guard().look(SECOND + SECOND / 20, [calls, returns, 0], true);
            assert_eq!(excess.map(|excess| excess.percent), expected, "{calls} {returns}");
        };
        let allowed = SECOND / 20 / 20;
        check(0, 0, None);
        check(allowed / ENTRY_NS, 0, None);
        check(allowed / ENTRY_NS + 1, 0, Some(5));
        check(0, allowed / RETURN_NS + 1, Some(5));
        check(10 * allowed / ENTRY_NS + 1, 0, Some(50));
    }

    #[test]
    fn a_burst_is_borne_and_a_flood_is_not() {
        let mut guard = guard();
        let tenth = SECOND / 10;
        // Half of what a second allows, in a tenth of it.
        let burst = SECOND / 40 / ENTRY_NS;
        assert_eq!(guard.look(SECOND + tenth, [burst, 0, 0], false), None);
        assert_eq!(guard.look(SECOND + 6 * tenth, [burst, 0, 0], false), None);
        assert_eq!(guard.debt_ns, 0);
        // A thread that does nothing else.
        let flood = burst + tenth / ENTRY_NS;
        let excess = guard.look(SECOND + 7 * tenth, [flood, 0, 0], false).unwrap();
        assert_eq!(excess.percent, 99);
    }

    #[test]
    fn a_little_too_much_for_long() {
        let mut guard = guard();
        let per_tenth = SECOND / 10 / 10 / ENTRY_NS;
        let triggered = (1..100).find(|tenths| {
            let hits = [tenths * per_tenth, 0, 0];
            guard.look(SECOND + tenths * SECOND / 10, hits, false).is_some()
        });
        // Twice the limit: after a second.
        assert_eq!(triggered, Some(11));
    }
}
