//! Reads what happened in a window of time again, of a trace that was loaded.
//!
//! Stacks and names are those of the profile: only rows are read, of blocks that have
//! any in the window, so that a short window of a large trace takes no long time.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use rz_format::{BlockHeader, BlockKind};

use super::assemble::in_order;
use super::dictionary::StackDictionary;
use super::jit::Versions;
use super::pass::{CallRows, Pass};
use super::sums::{Key, What};
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

    /// A filter has changed the profile's stacks.
    pub(super) fn change(&mut self, stacks: &Stacks) {
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
            // Have no times, or are made of others.
            EventKind::Alloc | EventKind::Wall => return Ok(Vec::new()),
        };
        let selection = self.read.selection.within(window);
        let mut timeline = Timeline::new(true, self.read.start_ns);
        let mut pass = Pass::open(&self.path, &selection, None)?;
        let defined = &mut pass.defined;
        let each = self.read.samples.each(selection.window, self.read.most_samples);
        defined.thin = Thin::new(each);
        std::mem::swap(&mut defined.stacks, &mut self.read.stacks);
        std::mem::swap(&mut defined.versions, &mut self.read.versions);
        defined.versions.iter_mut().for_each(Versions::start_again);
        let is_wanted = |block: &BlockHeader| block.kind == wanted;
        let result = pass.run(is_wanted, CallRows::Bare, &mut [&mut timeline]);
        std::mem::swap(&mut pass.defined.stacks, &mut self.read.stacks);
        std::mem::swap(&mut pass.defined.versions, &mut self.read.versions);
        result.map_err(|cause| LoadError::of(&self.path, cause))?;
        let classes = timeline.take_moments().unwrap_or_default();
        Ok(in_order(classes, |moment| Some(moment.at(self.places.of(moment.entry.key)?))))
    }
}
