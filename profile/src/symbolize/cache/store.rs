//! A directory of files that may be gone at any time.

use std::fs::{self, DirBuilder, File, FileTimes};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

/// Begins the name of a file that is being written.
const PARTIAL: &str = ".partial-";

/// Unfinished files that are older are of programs that died.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Files by name, in one directory, of which those that were used least
/// recently are removed.
///
/// Several programs may use the directory at once: a file appears under its
/// name when it is complete, and is never changed.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    capacity: u64,
    has_grown: AtomicBool,
}

impl Store {
    /// Files in `dir` of `capacity` bytes altogether.
    pub(crate) fn new(dir: PathBuf, capacity: u64) -> Self {
        Store { dir, capacity, has_grown: AtomicBool::new(false) }
    }

    /// Where the file `name` is, if it is there; it counts as used now.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.dir.join(name);
        let file = File::open(&path).ok()?;
        // Times of access are used because files are known by those of their
        // last change. In a directory of others, they stay as they are.
        let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
        Some(path)
    }

    /// Content of the file `name`, unless it has more bytes than `limit`.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let file = File::open(self.find(name)?).ok()?;
        let size = file.metadata().ok().filter(|meta| meta.is_file())?.len();
        let mut content = Vec::with_capacity(usize::try_from(size.min(limit)).ok()?);
        file.take(limit + 1).read_to_end(&mut content).ok()?;
        (content.len() as u64 <= limit).then_some(content)
    }

    /// Writes the file `name`, or replaces it.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = self.begin()?;
        file.write_all(content)?;
        self.keep(file, name).map(drop)
    }

    /// Begins a file, which is removed again unless it is kept.
    pub(crate) fn begin(&self) -> io::Result<NamedTempFile> {
        // Names of functions are nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        tempfile::Builder::new().prefix(PARTIAL).tempfile_in(&self.dir)
    }

    /// Gives a file its name; its path.
    pub(crate) fn keep(&self, file: NamedTempFile, name: &str) -> io::Result<PathBuf> {
        let path = self.dir.join(name);
        file.persist(&path).map_err(|error| error.error)?;
        self.has_grown.store(true, Ordering::Relaxed);
        Ok(path)
    }

    /// Where the files are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes files while there are too many, if any were added.
    pub(crate) fn finish(&self) {
        if self.has_grown.load(Ordering::Relaxed) {
            // Somebody else may be at it; what cannot be removed stays.
            let _ = self.remove_oldest();
        }
    }

    fn remove_oldest(&self) -> io::Result<()> {
        let now = SystemTime::now();
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Ok(meta) = entry.metadata() else { continue };
            if !meta.is_file() {
                continue;
            }
            let is_partial = entry.file_name().to_string_lossy().starts_with(PARTIAL);
            let age = meta.modified().ok().and_then(|time| now.duration_since(time).ok());
            match is_partial {
                true if age.is_some_and(|age| age > ABANDONED) => {
                    let _ = fs::remove_file(entry.path());
                }
                true => {}
                false => files.push((meta.accessed().ok(), meta.len(), entry.path())),
            }
        }
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        files.sort_unstable();
        for (_, size, path) in files {
            if total <= self.capacity {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(capacity: u64) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("a/b"), capacity);
        (dir, store)
    }

    fn names(store: &Store) -> Vec<String> {
        let names = fs::read_dir(&store.dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn set_age(store: &Store, name: &str, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        let times = FileTimes::new().set_accessed(time).set_modified(time);
        File::open(store.dir.join(name)).unwrap().set_times(times).unwrap();
    }

    #[test]
    fn files_are_read_back() {
        let (_dir, store) = store(1000);
        assert_eq!(store.read("a", 100), None);
        store.write("a", b"one").unwrap();
        store.write("a", b"two").unwrap();
        assert_eq!(store.read("a", 3), Some(b"two".to_vec()));
        assert_eq!(store.read("a", 2), None);
        assert_eq!(names(&store), ["a"]);
    }

    #[test]
    fn what_was_used_last_stays() {
        let (_dir, store) = store(25);
        for (name, age) in [("a", 300), ("b", 200), ("c", 100)] {
            store.write(name, &[0; 10]).unwrap();
            set_age(&store, name, age);
        }
        let before = fs::metadata(store.dir.join("a")).unwrap().modified().unwrap();
        store.find("a").unwrap();
        assert_eq!(fs::metadata(store.dir.join("a")).unwrap().modified().unwrap(), before);
        store.finish();
        assert_eq!(names(&store), ["a", "c"]);
    }

    #[test]
    fn unfinished_files_go_with_their_age() {
        let (_dir, store) = store(1000);
        store.write("a", b"one").unwrap();
        let (_, old) = store.begin().unwrap().keep().unwrap();
        let (_, new) = store.begin().unwrap().keep().unwrap();
        set_age(&store, old.file_name().unwrap().to_str().unwrap(), 1_000_000);
        store.finish();
        assert!(!old.exists() && new.exists());
        drop(store.begin().unwrap());
        assert_eq!(names(&store).len(), 2);
    }
}
