//! Reads what happened in a window of time again, of a trace that was loaded.
//!
//! Stacks and names are those of the profile: only rows are read, of blocks that have
//! any in the window, so that a short window of a large trace takes no long time.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use rz_format::{Allocation, BlockHeader, BlockKind, Call, Sample, Wait};

use super::assemble::in_order;
use super::dictionary::StackDictionary;
use super::facts::Facts;
use super::jit::Versions;
use super::pass::{CallRows, Pass, Sink};
use super::sums::{Entry, Key, What};
use super::thin::Thin;
use super::timeline::Timeline;
use super::{LoadError, Read};
use crate::filter::{Stacks, Window};
use crate::model::{EventId, EventKind, ProcessId, StackId, ThreadId, TimedSample};

/// Event, thread and stack of a profile.
pub(super) type Place = (EventId, ThreadId, Option<StackId>);

/// What happened in a process, with which stack of the trace.
type Happened = (ProcessId, What, Option<u32>);

/// What rows of a trace are in its profile. A thread need not have been seen with a stack,
/// if another one of its process was.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By id, with the process.
    threads: FxHashMap<u32, (ThreadId, ProcessId)>,
    /// Events and stacks; `None` if a filter leaves them out.
    stacks: FxHashMap<Happened, Option<(EventId, Option<StackId>)>>,
    /// Where objects were allocated, by the stacks of the trace.
    allocated: FxHashMap<u32, StackId>,
}

impl Places {
    /// What a thread of the trace is.
    pub(super) fn add_thread(&mut self, id: u32, thread: ThreadId, process: ProcessId) {
        self.threads.insert(id, (thread, process));
    }

    /// What something is that happened in a process.
    pub(super) fn add(&mut self, key: Key, process: ProcessId, (event, _, stack): Place) {
        self.stacks.insert((process, key.what, key.stack), Some((event, stack)));
    }

    /// What a stack of the trace is in which something was allocated.
    pub(super) fn add_allocated(&mut self, id: u32, stack: StackId) {
        self.allocated.insert(id, stack);
    }

    /// A filter has changed the profile's stacks.
    pub(super) fn change(&mut self, stacks: &Stacks) {
        self.allocated.retain(|_, stack| match stacks.of(Some(*stack)) {
            Some(Some(changed)) => {
                *stack = changed;
                true
            }
            Some(None) | None => false,
        });
        for place in self.stacks.values_mut() {
            *place = place.and_then(|(event, stack)| stacks.of(stack).map(|stack| (event, stack)));
        }
    }

    fn of(&self, key: Key) -> Option<Place> {
        self.find(key).or_else(|| self.find(key.others()))?
    }

    /// `None` if it is not known, and in it if a filter leaves it out.
    fn find(&self, key: Key) -> Option<Option<Place>> {
        let &(thread, process) = self.threads.get(&key.thread)?;
        let place = self.stacks.get(&(process, key.what, key.stack))?;
        Some(place.map(|(event, stack)| (event, thread, stack)))
    }
}

/// Where something happened, as ids of a profile; `None` of what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The thread.
    pub thread: Option<ThreadId>,
    /// The stack, which of waits and calls ends in the reason.
    pub stack: Option<StackId>,
}

/// What is made of all rows of a trace, one by one, in the order of the file: by block,
/// which is a second or less, then by thread, then by time.
pub trait EachRow: Send {
    /// A sample of an event of the profile.
    fn sample(&mut self, at: At, event: EventId, sample: &Sample);
    /// An interval off the CPU.
    fn wait(&mut self, at: At, wait: &Wait);
    /// A system call, without arguments.
    fn call(&mut self, at: At, call: &Call);
    /// A call of a function, without arguments.
    fn function_call(&mut self, at: At, call: &Call);
    /// An object that was allocated or freed.
    fn allocation(&mut self, at: At, allocation: &Allocation);
}

/// Gives rows to one that takes them by ids of the profile.
struct Placed<'r> {
    places: &'r Places,
    out: &'r mut dyn EachRow,
}

impl Placed<'_> {
    fn at(&self, key: Key) -> (At, Option<EventId>) {
        match self.places.of(key) {
            Some((event, thread, stack)) => (At { thread: Some(thread), stack }, Some(event)),
            None => (At { thread: self.thread(key.thread), stack: None }, None),
        }
    }

    /// Calls without time of their own are in no sum.
    fn at_call(&self, call: &Call, key: Key) -> At {
        match call.stack_weight {
            0 => At { thread: self.thread(call.thread), stack: None },
            _ => self.at(key).0,
        }
    }

    fn thread(&self, id: u32) -> Option<ThreadId> {
        self.places.threads.get(&id).map(|(thread, _)| *thread)
    }
}

impl Sink for Placed<'_> {
    fn samples(&mut self, rows: &[Sample], _each: u64) {
        for row in rows {
            if let (at, Some(event)) = self.at(Entry::from(row).key) {
                self.out.sample(at, event, row);
            }
        }
    }

    fn waits(&mut self, rows: &[Wait]) {
        for row in rows {
            let (at, _) = self.at(Entry::from(row).key);
            self.out.wait(at, row);
        }
    }

    fn calls(&mut self, rows: &[Call]) {
        for row in rows {
            self.out.call(self.at_call(row, Key::of_call(row)), row);
        }
    }

    fn function_calls(&mut self, rows: &[Call]) {
        for row in rows {
            self.out.function_call(self.at_call(row, Key::of_function_call(row)), row);
        }
    }

    fn allocations(&mut self, rows: &[Allocation], _facts: &Facts) {
        for row in rows {
            let stack = row.stack.and_then(|id| self.places.allocated.get(&id).copied());
            self.out.allocation(At { thread: self.thread(row.thread), stack }, row);
        }
    }
}

/// The rows of a trace that was loaded.
#[derive(Debug)]
pub struct Rows {
    path: PathBuf,
    read: Read,
    places: Places,
}

impl Rows {
    pub(super) fn new(path: &Path, mut read: Read, places: Places) -> Self {
        if read.versions.is_none() {
            // Nothing else looks at stacks again.
            read.stacks = StackDictionary::default();
        }
        Rows { path: path.to_owned(), read, places }
    }

    /// Whether any of the trace is damaged.
    pub fn is_damaged(&self) -> bool {
        self.read.is_damaged
    }

    /// Goes through all rows of the trace.
    ///
    /// # Errors
    /// If the trace cannot be read any more.
    pub fn each(&mut self, out: &mut dyn EachRow) -> Result<(), LoadError> {
        const ROWS: [BlockKind; 5] = [
            BlockKind::SAMPLES,
            BlockKind::WAITS,
            BlockKind::CALLS,
            BlockKind::FUNCTION_CALLS,
            BlockKind::ALLOCATIONS,
        ];
        let selection = self.read.selection.clone();
        let mut pass = Pass::open(&self.path, &selection, None)?;
        self.lend(&mut pass);
        let mut placed = Placed { places: &self.places, out };
        let is_wanted = |block: &BlockHeader| ROWS.contains(&block.kind);
        let result = pass.run(is_wanted, CallRows::Bare, &mut [&mut placed]);
        self.take_back(&mut pass);
        result.map_err(|cause| LoadError::of(&self.path, cause))
    }

    /// Gives the pass what rows get their stacks from.
    fn lend(&mut self, pass: &mut Pass) {
        let defined = &mut pass.defined;
        std::mem::swap(&mut defined.stacks, &mut self.read.stacks);
        std::mem::swap(&mut defined.versions, &mut self.read.versions);
        defined.versions.iter_mut().for_each(Versions::start_again);
    }

    fn take_back(&mut self, pass: &mut Pass) {
        std::mem::swap(&mut pass.defined.stacks, &mut self.read.stacks);
        std::mem::swap(&mut pass.defined.versions, &mut self.read.versions);
    }

    /// What happened of a kind of event in a window of time, in order of time. If it is
    /// too much to be kept one by one, what is equal is added up in slices of time, and
    /// of very many samples a part stands for all, as far as the profile was loaded so.
    ///
    /// # Errors
    /// If the trace cannot be read any more.
    pub fn of(&mut self, kind: EventKind, window: Window) -> Result<Vec<TimedSample>, LoadError> {
        let wanted = match kind {
            EventKind::Cpu | EventKind::Growth | EventKind::Other => BlockKind::SAMPLES,
            EventKind::OffCpu => BlockKind::WAITS,
            EventKind::Syscalls => BlockKind::CALLS,
            EventKind::Functions => BlockKind::FUNCTION_CALLS,
            // Have no times, or are made of others.
            EventKind::Alloc | EventKind::Wall => return Ok(Vec::new()),
        };
        let selection = self.read.selection.within(window);
        let mut timeline = Timeline::new(true, self.read.start_ns);
        let mut pass = Pass::open(&self.path, &selection, None)?;
        let each = self.read.samples.each(selection.window, self.read.most_samples);
        pass.defined.thin = Thin::new(each);
        self.lend(&mut pass);
        let is_wanted = |block: &BlockHeader| block.kind == wanted;
        let result = pass.run(is_wanted, CallRows::Bare, &mut [&mut timeline]);
        self.take_back(&mut pass);
        result.map_err(|cause| LoadError::of(&self.path, cause))?;
        let classes = timeline.take_moments().unwrap_or_default();
        Ok(in_order(classes, |moment| Some(moment.at(self.places.of(moment.entry.key)?))))
    }
}
