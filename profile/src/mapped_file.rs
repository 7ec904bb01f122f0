//! Maps a file into memory for reading; the only module of this crate with
//! unsafe code.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

/// A regular file's content, read on demand by the system.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps the file at `path`, as long as it is now.
    ///
    /// Whatever is not a regular file is refused before it is opened: opening
    /// a named pipe would wait for a writer, opening a device can act on it.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        // SAFETY: the mapping is private, read-only, and unmapped only when
        // this value is dropped, which outlives every slice taken from it.
        // What cannot be ruled out is another process that writes to the file
        // meanwhile. Changed bytes are as harmless as wrong bytes in the first
        // place, for every parser here reads plain integers and checks them
        // anew on each read; a file cut short ends the process with SIGBUS.
        // Linkers and package managers do neither: they replace a file by a
        // new one, which leaves the mapped one as it was.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(MappedFile { path: path.to_owned(), map })
    }

    /// The path that the file was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_regular_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "content").unwrap();
        assert_eq!(&MappedFile::open(&path).unwrap()[..], b"content");
        fs::write(&path, "").unwrap();
        assert!(MappedFile::open(&path).unwrap().is_empty());
        assert_eq!(MappedFile::open(dir.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(
            MappedFile::open(Path::new("/dev/null")).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
