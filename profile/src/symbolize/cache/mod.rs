//! Keeps what was found out on disk, for the next time.
//!
//! Nothing here is needed: what cannot be read, written or believed is made
//! anew, at the cost of time.

mod entry;
mod store;

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHasher;

use super::ModuleRequest;
use super::files::Files;
use super::find;
use entry::FileState;
pub(super) use entry::{Entry, Known};
pub(super) use store::Store;

/// Bytes that names may take on disk, all modules together.
const CAPACITY: u64 = 256 << 20;

/// Names that were found for addresses, by module.
#[derive(Debug)]
pub(super) struct Cache {
    store: Store,
    problem: Mutex<Option<String>>,
}

impl Cache {
    /// The cache in the directory `names` of `dir`, which is made when there is
    /// something to write.
    pub(super) fn new(dir: &Path) -> Self {
        Cache { store: Store::new(dir.join("names"), CAPACITY), problem: Mutex::default() }
    }

    /// Where names of a module that are taken from these files are kept.
    ///
    /// `None` if the module has no identity but its path, or finding its names
    /// is no more work than reading them from here would be.
    pub(super) fn entry(&self, request: &ModuleRequest, files: &Files) -> Option<Entry<'_>> {
        let binary = find::parse(&files.binary).ok()?;
        let build_id = find::build_id(&binary).ok().filter(|id| !id.is_empty())?;
        if !files.are_large() {
            return None;
        }
        let mut hasher = FxHasher::default();
        files.all().for_each(|file| file.path().hash(&mut hasher));
        if files.is_debug_file {
            // Their addresses follow from what was recorded.
            for segment in request.segments {
                (segment.file_offset, segment.length, segment.svma).hash(&mut hasher);
            }
        }
        let name = format!("{}-{:016x}", find::hex(build_id), hasher.finish());
        let states = files.all().map(|file| FileState::of(file.path())).collect();
        Some(Entry::new(self, name, states))
    }

    /// Removes what is too much, and says what was wrong with the cache.
    pub(super) fn finish(self) -> Option<String> {
        self.store.finish();
        self.problem.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, problem: String) {
        let mut first = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(problem);
    }
}
