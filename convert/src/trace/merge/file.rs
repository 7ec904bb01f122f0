//! Reads a file that need not be open all the time: a process may have fewer
//! files open than there are traces to merge.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A regular file that is opened when it is read.
#[derive(Debug)]
pub(crate) struct SometimesOpen {
    path: PathBuf,
    open: Option<BufReader<File>>,
    position: u64,
    length: u64,
    /// Device and number: a file that takes its place is another one.
    identity: (u64, u64),
}

impl SometimesOpen {
    /// A file; it is open.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let meta = path.metadata()?;
        if !meta.is_file() {
            // Opening a named pipe would wait for a writer.
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        Ok(SometimesOpen {
            path: path.to_owned(),
            open: Some(BufReader::new(file)),
            position: 0,
            length: meta.len(),
            identity: identity(&meta),
        })
    }

    /// Closes the file until it is read again.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    fn file(&mut self) -> io::Result<&mut BufReader<File>> {
        match &mut self.open {
            Some(file) => Ok(file),
            closed => {
                let mut file = File::open(&self.path)?;
                if identity(&file.metadata()?) != self.identity {
                    return Err(io::Error::other("was replaced while it was read"));
                }
                file.seek(SeekFrom::Start(self.position))?;
                Ok(closed.insert(BufReader::new(file)))
            }
        }
    }
}

fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

impl Read for SometimesOpen {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file()?.read(buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for SometimesOpen {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.length.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        let position = position.ok_or(io::ErrorKind::InvalidInput)?;
        if let Some(file) = &mut self.open {
            // Stays in the buffer if it can.
            let distance = position.cast_signed().wrapping_sub(self.position.cast_signed());
            file.seek_relative(distance)?;
        }
        self.position = position;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "0123456789").unwrap();
        let mut file = SometimesOpen::open(&path).unwrap();
        let read = |file: &mut SometimesOpen| {
            let mut bytes = [0; 2];
            file.read_exact(&mut bytes).unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        assert_eq!(read(&mut file), "01");
        file.close();
        assert_eq!(read(&mut file), "23");
        file.seek(SeekFrom::End(-2)).unwrap();
        assert_eq!(read(&mut file), "89");
        file.close();
        file.seek(SeekFrom::Start(1)).unwrap();
        assert_eq!(read(&mut file), "12");
        file.close();
        fs::write(dir.path().join("y"), "another").unwrap();
        fs::rename(dir.path().join("y"), &path).unwrap();
        let error = file.read(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "was replaced while it was read");
    }
}
