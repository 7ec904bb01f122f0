//! What resolving has found out about the targets, and capturing may use.

use std::mem::take;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::python::Walk;

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) stack_ends: StackEnds,
    pub(crate) pythons: Pythons,
}

/// Processes that run CPython, with the address of its state.
#[derive(Debug, Default)]
pub(crate) struct Pythons(Mutex<FxHashMap<u32, (u64, Walk)>>);

impl Pythons {
    /// Adds a process.
    pub(crate) fn add(&self, pid: u32, runtime: u64, walk: Walk) {
        self.lock().insert(pid, (runtime, walk));
    }

    /// Those that were added since the last call.
    pub(crate) fn take_new(&self) -> FxHashMap<u32, (u64, Walk)> {
        take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<u32, (u64, Walk)>> {
        // Each operation leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where each thread's stack ends, as unwinding found out; tells capturing how
/// much of a stack is worth copying.
#[derive(Debug, Default)]
pub(crate) struct StackEnds(Mutex<Ends>);

#[derive(Debug, Default)]
struct Ends {
    by_tid: FxHashMap<u32, u64>,
    /// What was set since somebody last asked.
    changed: FxHashMap<u32, u64>,
}

impl StackEnds {
    /// Sets a thread's end of stack.
    pub(crate) fn set(&self, tid: u32, end: u64) {
        let mut ends = self.lock();
        ends.by_tid.insert(tid, end);
        ends.changed.insert(tid, end);
    }

    /// Forgets a thread.
    pub(crate) fn remove(&self, tid: u32) {
        let mut ends = self.lock();
        // 0 is nowhere.
        if ends.by_tid.remove(&tid).is_some() {
            ends.changed.insert(tid, 0);
        }
    }

    /// A thread's end of stack, if it is known.
    pub(crate) fn get(&self, tid: u32) -> Option<u64> {
        self.lock().by_tid.get(&tid).copied()
    }

    /// What has changed since the last call; 0 for what was forgotten.
    pub(crate) fn take_changes(&self) -> FxHashMap<u32, u64> {
        take(&mut self.lock().changed)
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        // Each operation leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
