//! Keeps one copy of each name and path.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::demangle::{MAX_NAME, demangle};

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
