//! Reads what is appended to a text file, also when another one takes its place.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Bytes that are read at a time, and of a line that are kept until its end comes.
const CHUNK: usize = 64 << 10;
/// Bytes that are read in one go, so that a file that grows fast holds nobody up.
const MOST_AT_A_TIME: usize = 16 << 20;

/// A file that is read as it grows.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    file: File,
    /// How much of it was read.
    read: u64,
    /// The beginning of a line that is not there to its end.
    rest: Vec<u8>,
}

impl Tail {
    /// Of what is appended from now on.
    pub(crate) fn follow(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let read = file.metadata()?.len();
        Ok(Tail { path: path.to_owned(), file, read, rest: Vec::new() })
    }

    /// Whether a line that was appended since the last call has `text`.
    pub(crate) fn has_new(&mut self, text: &str) -> bool {
        let mut found = self.read_on(text);
        let is_other = |now: &fs::Metadata| {
            let ours = self.file.metadata();
            ours.is_ok_and(|ours| (ours.dev(), ours.ino()) != (now.dev(), now.ino()))
        };
        // What was written to the old one after its name was taken has been read by now.
        if fs::metadata(&self.path).is_ok_and(|now| is_other(&now))
            && let Ok(file) = open(&self.path)
        {
            (self.file, self.read) = (file, 0);
            self.rest.clear();
            found |= self.read_on(text);
        }
        found
    }

    /// Reads to the end of the file.
    fn read_on(&mut self, text: &str) -> bool {
        // Some rotate a log by copying it and cutting it off.
        if self.file.metadata().is_ok_and(|meta| meta.len() < self.read) {
            self.read = 0;
            self.rest.clear();
        }
        let mut found = false;
        let mut chunk = vec![0; CHUNK];
        for _ in 0..MOST_AT_A_TIME / CHUNK {
            let read = self.file.seek(SeekFrom::Start(self.read));
            let Ok(len @ 1..) = read.and_then(|_| self.file.read(&mut chunk)) else { break };
            self.read += len as u64;
            found |= self.take(&chunk[..len], text);
        }
        found
    }

    /// Takes in what came next.
    fn take(&mut self, bytes: &[u8], text: &str) -> bool {
        self.rest.extend_from_slice(bytes);
        let end = match self.rest.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            // Nobody reads lines as long as that.
            None if self.rest.len() >= CHUNK => self.rest.len(),
            None => return false,
        };
        let lines = self.rest.drain(..end).collect::<Vec<u8>>();
        // The text has no line break, so none is between two lines.
        lines.windows(text.len()).any(|part| part == text.as_bytes())
    }
}

/// Opens a file, but nothing that would have us wait for somebody.
fn open(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn only_new_lines_count_whatever_becomes_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        append(&path, "old ERROR\n");
        let mut tail = Tail::follow(&path).unwrap();
        assert!(!tail.has_new("ERROR"));
        append(&path, "fine\nan ERR");
        assert!(!tail.has_new("ERROR"));
        append(&path, "OR\n");
        assert!(tail.has_new("ERROR"));
        assert!(!tail.has_new("ERROR"));

        // Renamed, with one last line, and begun anew.
        let mut old = OpenOptions::new().append(true).open(&path).unwrap();
        fs::rename(&path, dir.path().join("log.1")).unwrap();
        old.write_all(b"ERROR in the old one\n").unwrap();
        assert!(tail.has_new("ERROR"));
        append(&path, "fine\n");
        assert!(!tail.has_new("ERROR"));
        append(&path, "ERROR in the new one\n");
        assert!(tail.has_new("ERROR"));

        // Copied and cut off.
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        assert!(!tail.has_new("ERROR"));
        append(&path, "ERROR\n");
        assert!(tail.has_new("ERROR"));

        // A line without an end.
        append(&path, &"x".repeat(3 * CHUNK));
        assert!(!tail.has_new("ERROR"));
        append(&path, "ERROR\n");
        assert!(tail.has_new("ERROR"));
        assert!(tail.rest.is_empty());
    }

    #[test]
    fn only_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Tail::follow(dir.path()).is_err());
        assert!(Tail::follow(&dir.path().join("none")).is_err());
    }
}
