//! Collects what the records of a trace say.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use rz_format::{
    CLASS_SAMPLES, Clock, Cost, End, Event, Host, Loss, Module, Process, Record, Recording, Symbol,
    Thread, ThreadName,
};

/// Notes that are kept, at most.
const MAX_NOTES: usize = 100;

/// Things with ids, in order of appearance.
#[derive(Debug)]
pub(super) struct Defined<T> {
    values: Vec<T>,
    indices: FxHashMap<u32, usize>,
}

impl<T> Default for Defined<T> {
    fn default() -> Self {
        Defined { values: Vec::new(), indices: FxHashMap::default() }
    }
}

impl<T> Defined<T> {
    /// Ids are never reused, so the first definition stays.
    fn add(&mut self, id: u32, value: T) {
        self.indices.entry(id).or_insert_with(|| {
            self.values.push(value);
            self.values.len() - 1
        });
    }

    /// Index into [`Defined::values`] of what has an id.
    pub(super) fn index_of(&self, id: u32) -> Option<usize> {
        self.indices.get(&id).copied()
    }

    /// Everything, in order of appearance.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }
}

/// What went missing for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LossSum {
    /// Samples.
    pub(super) count: u64,
    /// Time in which they were due, added up over CPUs.
    pub(super) duration_ns: u64,
}

/// What is known from records, as far as a profile shows it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) host: Option<Host>,
    pub(super) recording: Option<Recording>,
    /// The first one, which is the closest to the start.
    pub(super) clock: Option<Clock>,
    pub(super) events: Defined<Event>,
    pub(super) processes: Defined<Process>,
    pub(super) threads: Defined<Thread>,
    pub(super) modules: Defined<Module>,
    /// The latest new name by thread id.
    pub(super) thread_names: FxHashMap<u32, ThreadName>,
    /// By module id.
    pub(super) symbols: FxHashMap<u32, Vec<Symbol>>,
    /// By reason.
    pub(super) losses: BTreeMap<u8, LossSum>,
    /// The last one.
    pub(super) cost: Option<Cost>,
    pub(super) end: Option<End>,
    pub(super) notes: Vec<String>,
}

impl Facts {
    /// Adds one record.
    pub(super) fn add(&mut self, record: Record) {
        match record {
            Record::Host(host) => drop(self.host.get_or_insert(host)),
            Record::Recording(recording) => drop(self.recording.get_or_insert(recording)),
            Record::Clock(clock) => drop(self.clock.get_or_insert(clock)),
            Record::Event(event) => self.events.add(event.id, event),
            Record::Process(process) => self.processes.add(process.id, process),
            Record::Thread(thread) => self.threads.add(thread.id, thread),
            Record::Module(module) => self.modules.add(module.id, module),
            Record::ThreadName(name) => self.rename(name),
            Record::Symbol(symbol) => self.symbols.entry(symbol.module).or_default().push(symbol),
            Record::Loss(loss) => self.add_loss(&loss),
            Record::Cost(cost) => self.cost = Some(cost),
            Record::End(end) => self.end = Some(end),
            Record::Note(note)
                if self.notes.len() < MAX_NOTES && !self.notes.contains(&note.text) =>
            {
                self.notes.push(note.text);
            }
            _ => {}
        }
    }

    fn rename(&mut self, name: ThreadName) {
        let known = self.thread_names.entry(name.thread).or_default();
        if name.time_ns >= known.time_ns {
            *known = name;
        }
    }

    fn add_loss(&mut self, loss: &Loss) {
        if loss.class == CLASS_SAMPLES {
            let sum = self.losses.entry(loss.reason).or_default();
            let duration = loss.to_ns.saturating_sub(loss.from_ns);
            sum.count = sum.count.saturating_add(loss.count);
            sum.duration_ns = sum.duration_ns.saturating_add(duration);
        }
    }
}
