//! Leads from the numbers of a trace to those of the output.

use rustc_hash::FxHashMap;

use super::identity::{ModuleIds, Occurrences};
use rz_profile::load::Dictionary;

/// Number of what is not defined, in the output as in traces.
pub(super) const UNDEFINED: u32 = u32::MAX;

/// Things with numbers in one trace, at most, of each kind that is not a stack
/// or text. Made-up traces can define any number; further ones are as good as
/// lost.
const MAX_IDS: usize = 1 << 22;

/// Numbers of one kind.
#[derive(Debug)]
pub(super) struct Numbers<T>(FxHashMap<u32, T>);

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Numbers(FxHashMap::default())
    }
}

impl<T: Copy> Numbers<T> {
    /// What a number leads to.
    pub(super) fn get(&self, local: u32) -> Option<T> {
        self.0.get(&local).copied()
    }

    /// What a number leads to from now on, which `make` makes for a new one.
    /// `None` if there are too many.
    pub(super) fn get_or_add(&mut self, local: u32, make: impl FnOnce() -> T) -> Option<T> {
        if self.0.len() >= MAX_IDS && !self.0.contains_key(&local) {
            return None;
        }
        Some(*self.0.entry(local).or_insert_with(make))
    }
}

/// A thread of the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct ThreadIds {
    pub(super) thread: u32,
    /// What is to be added to its times.
    pub(super) delta_ns: i64,
}

/// A process of the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProcessIds {
    pub(super) process: u32,
    /// What is to be added to its times.
    pub(super) delta_ns: i64,
}

/// What the numbers of one trace lead to.
#[derive(Debug, Default)]
pub(super) struct Ids {
    pub(super) processes: Numbers<ProcessIds>,
    pub(super) threads: Numbers<ThreadIds>,
    pub(super) modules: Numbers<ModuleIds>,
    pub(super) events: Numbers<u32>,
    pub(super) code_objects: Numbers<u32>,
    pub(super) functions: Numbers<u32>,
    pub(super) frames: Dictionary<u32>,
    pub(super) stacks: Dictionary<u32>,
    pub(super) texts: Dictionary<u32>,
    pub(super) call_data: Dictionary<u32>,
    pub(super) occurrences: Occurrences,
}

impl Ids {
    pub(super) fn process(&self, local: u32) -> u32 {
        self.processes.get(local).map_or(UNDEFINED, |ids| ids.process)
    }

    pub(super) fn thread(&self, local: u32) -> u32 {
        self.threads.get(local).map_or(UNDEFINED, |ids| ids.thread)
    }

    pub(super) fn module(&self, local: u32) -> u32 {
        self.modules.get(local).map_or(UNDEFINED, ModuleIds::id)
    }

    /// The module that an offset in one belongs to.
    pub(super) fn module_at(&self, local: u32, offset: u64) -> u32 {
        self.modules.get(local).map_or(UNDEFINED, |ids| ids.of(offset))
    }

    pub(super) fn code_object(&self, local: u32) -> u32 {
        self.code_objects.get(local).unwrap_or(UNDEFINED)
    }

    pub(super) fn function(&self, local: u32) -> u32 {
        self.functions.get(local).unwrap_or(UNDEFINED)
    }

    pub(super) fn event(&self, local: u32) -> u32 {
        self.events.get(local).unwrap_or(UNDEFINED)
    }

    pub(super) fn text(&self, local: u32) -> u32 {
        lookup(&self.texts, local).unwrap_or(UNDEFINED)
    }

    pub(super) fn call_data(&self, local: u32) -> u32 {
        lookup(&self.call_data, local).unwrap_or(UNDEFINED)
    }
}

/// What a number of a dictionary leads to.
pub(super) fn lookup(dictionary: &Dictionary<u32>, local: u32) -> Option<u32> {
    dictionary.index_of(local).map(|index| dictionary.values()[index])
}
