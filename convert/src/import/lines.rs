//! Reads texts line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

use super::ImportError;

/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// Calls `take` with each line, `None` for one that is too long.
pub(super) fn for_lines(
    mut file: &File,
    mut take: impl FnMut(Option<&str>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    file.rewind().map_err(ImportError::Read)?;
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let line = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes);
        if line.map_err(ImportError::Read)? == 0 {
            return Ok(());
        }
        if bytes.len() as u64 == MAX_LINE && !bytes.ends_with(b"\n") {
            skip_line(&mut reader).map_err(ImportError::Read)?;
            take(None)?;
        } else {
            take(Some(&String::from_utf8_lossy(&bytes)))?;
        }
    }
}

/// Goes on behind the next line break.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = reader.fill_buf()?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len(), |end| end + 1);
        reader.consume(length);
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}
