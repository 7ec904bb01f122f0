//! Keeps one copy of each name and path.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::{FxBuildHasher, FxHashMap};

pub(super) use super::demangle::MAX_NAME;
use super::demangle::demangle;

/// A function's name for people and its linker's name.
pub(crate) type NamePair = (Arc<str>, Arc<str>);

/// Longest linker's name, in bytes, that is looked at: in a damaged string
/// table a name can be as long as the file.
const MAX_RAW: usize = 64 << 10;

/// The names and paths met so far.
#[derive(Default)]
pub(crate) struct Names {
    functions: FxHashMap<Box<[u8]>, NamePair>,
    files: FxHashMap<Box<str>, Arc<str>>,
}

impl Names {
    /// Names of a function, from its linker's name.
    pub(crate) fn function(&mut self, raw: &[u8]) -> NamePair {
        let raw = &raw[..raw.len().min(MAX_RAW)];
        if let Some(known) = self.functions.get(raw) {
            return known.clone();
        }
        let system_name = String::from_utf8_lossy(raw);
        let name: Arc<str> = shortened(&demangle(&system_name)).into();
        let same = *name == *system_name;
        let pair = (name.clone(), if same { name } else { shortened(&system_name).into() });
        self.functions.insert(raw.into(), pair.clone());
        pair
    }

    /// A function's name, from one that is for people already.
    fn plain(&mut self, raw: &[u8]) -> Arc<str> {
        self.file(&String::from_utf8_lossy(&raw[..raw.len().min(MAX_RAW)]))
    }

    /// A source file's path.
    pub(crate) fn file(&mut self, path: &str) -> Arc<str> {
        let path = shortened(path);
        if let Some(known) = self.files.get(path) {
            return known.clone();
        }
        let shared: Arc<str> = path.into();
        self.files.insert(path.into(), shared.clone());
        shared
    }
}

/// The names and paths that several threads have met.
#[derive(Default)]
pub(super) struct SharedNames {
    /// Each has the names of one hash, so that threads seldom meet.
    parts: [Mutex<Names>; 16],
}

impl SharedNames {
    /// See [`Names::function`].
    pub(super) fn function(&self, raw: &[u8]) -> NamePair {
        self.with_part(raw, |names| names.function(raw))
    }

    /// See [`Names::plain`].
    pub(super) fn plain(&self, raw: &[u8]) -> Arc<str> {
        self.with_part(raw, |names| names.plain(raw))
    }

    /// See [`Names::file`].
    pub(super) fn file(&self, path: &str) -> Arc<str> {
        self.with_part(path.as_bytes(), |names| names.file(path))
    }

    fn with_part<T>(&self, key: &[u8], get: impl FnOnce(&mut Names) -> T) -> T {
        // The upper bits of this hash are the good ones.
        let hash = FxBuildHasher.hash_one(key) >> 60;
        let part = &self.parts[hash as usize % self.parts.len()];
        // A name that was being added when a thread died is there or is not.
        get(&mut part.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// At most [`MAX_NAME`] bytes of a name.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_share_one_copy() {
        let mut names = Names::default();
        let (name, system_name) = names.function(b"_Z3foov");
        assert_eq!((&*name, &*system_name), ("foo()", "_Z3foov"));
        assert!(Arc::ptr_eq(&name, &names.function(b"_Z3foov").0));
        let (name, system_name) = names.function(b"main");
        assert!(Arc::ptr_eq(&name, &system_name));
        assert!(Arc::ptr_eq(&names.file("a.c"), &names.file("a.c")));
        assert_eq!(&*names.function(b"\xff").0, "\u{fffd}");
        assert!(names.file(&"é".repeat(MAX_NAME)).len() <= MAX_NAME);
    }
}
