//! Keeps apart what the traces say that were merged into one.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use rz_format::{
    Allocations, CallDetail, Captured, Clock, Cost, CpuTimes, End, Host, Loss, LossClass,
    LossReason, Process, Record, Recording, Source,
};

use crate::model::LossAt;

/// Sources that are kept apart, at most; what is about further ones is left
/// out.
const MAX_SOURCES: usize = 1 << 16;

/// Notes that are kept of a source, at most.
const MAX_NOTES: usize = 100;

/// What went missing for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LossAmount {
    /// How many.
    pub(super) count: u64,
    /// Time in which they were due, added up over CPUs.
    pub(super) duration_ns: u64,
}

/// What is known of one recording.
#[derive(Debug, Default)]
pub(super) struct SourceFacts {
    /// `None` if the trace was not merged, or if this is lost.
    pub(super) source: Option<Source>,
    pub(super) host: Option<Host>,
    pub(super) recording: Option<Recording>,
    /// The first one, which is the closest to the start.
    pub(super) clock: Option<Clock>,
    pub(super) captured: Option<Captured>,
    pub(super) allocations: Option<Allocations>,
    /// Bytes of each buffer that were copied for system calls; 0 for none.
    pub(super) data_bytes: u32,
    /// The last one.
    pub(super) cost: Option<Cost>,
    pub(super) end: Option<End>,
    /// The last one.
    pub(super) cpu_times: Option<CpuTimes>,
    /// By class and reason.
    pub(super) losses: BTreeMap<(LossClass, LossReason), LossAmount>,
    /// The same by time.
    pub(super) losses_at: Vec<LossAt>,
    pub(super) notes: Vec<String>,
    /// Whether anything was said that is about a recording.
    used: bool,
}

impl SourceFacts {
    /// Adds a record if it is about a recording as a whole; returns it if not.
    fn add(&mut self, record: Record) -> Option<Record> {
        match record {
            Record::Host(host) => drop(self.host.get_or_insert(host)),
            Record::Recording(recording) => drop(self.recording.get_or_insert(recording)),
            Record::Clock(clock) => drop(self.clock.get_or_insert(clock)),
            Record::Captured(captured) => drop(self.captured.get_or_insert(captured)),
            Record::Allocations(how) => {
                self.allocations.get_or_insert(how);
            }
            Record::CallData(data) => self.data_bytes = data.bytes,
            Record::Cost(cost) => self.cost = Some(cost),
            Record::End(end) => self.end = Some(end),
            Record::CpuTimes(times) => self.cpu_times = Some(times),
            Record::Loss(loss) => self.add_loss(&loss),
            Record::Note(note) => {
                if self.notes.len() < MAX_NOTES && !self.notes.contains(&note.text) {
                    self.notes.push(note.text);
                }
                return None;
            }
            other => return Some(other),
        }
        self.used = true;
        None
    }

    fn add_loss(&mut self, loss: &Loss) {
        LossAt::add(&mut self.losses_at, loss);
        let key = (loss.class.into(), loss.reason.into());
        self.losses.entry(key).or_default().add(LossAmount {
            count: loss.count,
            duration_ns: loss.to_ns.saturating_sub(loss.from_ns),
        });
    }

    /// How much of system calls was recorded.
    pub(super) fn call_detail(&self) -> CallDetail {
        self.captured.as_ref().map_or(CallDetail::None, |captured| captured.calls.into())
    }

    /// When it ended, as far as is known.
    fn last_ns(&self) -> u64 {
        let cost = self.cost.as_ref().map_or(0, |cost| cost.time_ns);
        self.end.as_ref().map_or(cost, |end| end.time_ns)
    }
}

impl LossAmount {
    /// Adds what else is missing for the same reason.
    pub(super) fn add(&mut self, other: LossAmount) {
        self.count = self.count.saturating_add(other.count);
        self.duration_ns = self.duration_ns.saturating_add(other.duration_ns);
    }
}

/// All recordings of a trace.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Those that are defined or spoken of, in order of appearance.
    merged: Vec<SourceFacts>,
    indices: FxHashMap<u32, usize>,
    /// What is about none of them: the only one, of a trace that was not
    /// merged.
    whole: SourceFacts,
    /// What the next records are about.
    current: Option<usize>,
    /// By process id; those of `whole` are missing.
    of_process: FxHashMap<u32, usize>,
}

impl Sources {
    /// The next record is the first one of a block.
    pub(super) fn start_block(&mut self) {
        self.current = None;
    }

    /// Adds a record if it is about a recording as a whole; returns it if not.
    pub(super) fn add(&mut self, record: Record) -> Option<Record> {
        match record {
            Record::Source(source) => {
                if let Some(index) = self.index_of(source.id) {
                    self.merged[index].source.get_or_insert(source);
                }
                None
            }
            Record::OfSource(of) => {
                self.current = self.index_of(of.id);
                None
            }
            record => self.current_mut().add(record),
        }
    }

    /// Notes whose process it is.
    pub(super) fn add_process(&mut self, process: &Process) {
        match self.current {
            Some(index) => {
                self.of_process.entry(process.id).or_insert(index);
            }
            None => self.whole.used = true,
        }
    }

    /// What the next records are about.
    fn current_mut(&mut self) -> &mut SourceFacts {
        self.current.map_or(&mut self.whole, |index| &mut self.merged[index])
    }

    /// Index of a source, which may be new.
    fn index_of(&mut self, id: u32) -> Option<usize> {
        if let Some(&index) = self.indices.get(&id) {
            return Some(index);
        }
        if self.merged.len() >= MAX_SOURCES {
            return None;
        }
        self.merged.push(SourceFacts::default());
        self.indices.insert(id, self.merged.len() - 1);
        Some(self.merged.len() - 1)
    }

    /// Number that stands for the source of the next records.
    pub(super) fn current(&self) -> usize {
        self.current.unwrap_or(usize::MAX)
    }

    /// Index of the source of a process in [`Sources::iter`].
    pub(super) fn of_process(&self, id: u32) -> usize {
        self.of_process.get(&id).copied().unwrap_or(self.merged.len())
    }

    /// Whether the trace was merged.
    pub(super) fn is_merged(&self) -> bool {
        !self.merged.is_empty()
    }

    /// All of them: what is about none comes last, if there is anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &SourceFacts> {
        let whole = (self.whole.used || self.merged.is_empty()).then_some(&self.whole);
        self.merged.iter().chain(whole)
    }

    /// What [`Sources::current`] is while each of [`Sources::iter`] is spoken of.
    pub(super) fn numbers(&self) -> impl Iterator<Item = usize> {
        (0..self.merged.len()).chain([usize::MAX])
    }

    /// When the first one started; `None` if none says.
    pub(super) fn start_ns(&self) -> Option<u64> {
        self.iter().filter_map(|source| Some(source.recording.as_ref()?.start_ns)).min()
    }

    /// When the last one ended, if all have an end; else 0.
    pub(super) fn end_ns(&self) -> u64 {
        if !self.all_ended() {
            return 0;
        }
        self.iter().map(SourceFacts::last_ns).max().unwrap_or(0)
    }

    /// Whether all recordings were ended.
    pub(super) fn all_ended(&self) -> bool {
        self.iter().all(|source| source.end.is_some())
    }

    /// How the allocations of the first one with any were recorded.
    pub(super) fn allocations(&self) -> Option<&Allocations> {
        self.iter().find_map(|source| source.allocations.as_ref())
    }

    /// Whether they differ in how allocations were recorded.
    pub(super) fn differ_in_allocations(&self) -> bool {
        let mut all = self.iter().filter_map(|source| source.allocations.as_ref());
        let first = all.next();
        all.any(|how| Some(how) != first)
    }

    /// What was recorded by any of them; `None` if none says.
    pub(super) fn captured(&self) -> Option<Captured> {
        let mut all = self.iter().filter_map(|source| source.captured.clone());
        let first = all.next()?;
        Some(all.fold(first, join_captured))
    }

    /// What is missing of all of them.
    pub(super) fn losses(&self) -> BTreeMap<(LossClass, LossReason), LossAmount> {
        let mut sums: BTreeMap<(LossClass, LossReason), LossAmount> = BTreeMap::new();
        for (&key, &sum) in self.iter().flat_map(|source| &source.losses) {
            sums.entry(key).or_default().add(sum);
        }
        sums
    }

    /// Notes about the file, then those of the sources. Each is there once,
    /// and says whose it is if it is not everybody's.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.whole.notes.clone();
        let mut labels: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut known: FxHashMap<&str, usize> = FxHashMap::default();
        for source in &self.merged {
            for note in &source.notes {
                let next = labels.len();
                let index = *known.entry(note).or_insert(next);
                if index == next {
                    labels.push((note, Vec::new()));
                }
                labels[index].1.push(source.source.as_ref().map_or("", |source| &source.label));
            }
        }
        notes.extend(labels.into_iter().map(|(note, of)| match of.as_slice() {
            of if of.len() == self.merged.len() => note.to_owned(),
            [label] => format!("{label}: {note}"),
            [label, rest @ ..] => format!("{label} and {} more: {note}", rest.len()),
            [] => note.to_owned(),
        }));
        notes
    }
}

/// What one or the other has recorded.
fn join_captured(mut all: Captured, other: Captured) -> Captured {
    let numbers = [&all, &other].map(|c| CallDetail::from(c.calls) != CallDetail::None);
    all.call_numbers = match numbers {
        [true, true] if all.call_numbers.is_empty() || other.call_numbers.is_empty() => Vec::new(),
        [true, false] => all.call_numbers,
        [false, _] => other.call_numbers,
        [true, true] => {
            let mut numbers = [all.call_numbers, other.call_numbers].concat();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        }
    };
    all.system_wide |= other.system_wide;
    all.waits |= other.waits;
    all.stack_threshold_ns = all.stack_threshold_ns.max(other.stack_threshold_ns);
    all.calls = all.calls.max(other.calls);
    all.slower_than_ns = all.slower_than_ns.max(other.slower_than_ns);
    all
}
