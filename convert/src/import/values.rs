//! Large JSON, value by value: each is in memory as long as it is looked at.
//!
//! A parser of a whole file has either all of it in memory, or has to copy each text out of a
//! stream. Here a value is found by its brackets first, and parsed where it stands.

use std::io::Read;

use super::ImportError;

/// What is read at a time, in bytes.
const PIECE: usize = 256 << 10;
/// Largest value, in bytes.
const MAX_VALUE: usize = 256 << 20;

/// The values of a stream.
pub(super) struct Values<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What is next.
    at: usize,
    /// Bytes of the stream before the buffer.
    before: u64,
    is_end: bool,
}

impl<R: Read> Values<R> {
    pub(super) fn of(reader: R) -> Self {
        Values { reader, buffer: Vec::new(), at: 0, before: 0, is_end: false }
    }

    /// Where in the stream this is, in bytes.
    pub(super) fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    /// The next byte that says something, which is not taken; `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, ImportError> {
        loop {
            let rest = &self.buffer[self.at..];
            match rest.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(spaces) => {
                    self.at += spaces;
                    return Ok(Some(self.buffer[self.at]));
                }
                None => {
                    self.at = self.buffer.len();
                    if !self.more()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Takes the byte that was looked at.
    pub(super) fn take(&mut self) {
        self.at += 1;
    }

    /// Takes the next value; `None` if it is cut off.
    pub(super) fn value(&mut self) -> Result<Option<&[u8]>, ImportError> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        let mut scan = Scan::default();
        let mut seen = 0;
        loop {
            match scan.end(&self.buffer[self.at + seen..]) {
                Some(length) => {
                    let start = self.at;
                    self.at += seen + length;
                    return Ok(Some(&self.buffer[start..self.at]));
                }
                None => seen = self.buffer.len() - self.at,
            }
            if seen > MAX_VALUE {
                return Err(ImportError::TooMany("bytes in one value of JSON"));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// The same without keeping it; whether it is whole.
    pub(super) fn skip(&mut self) -> Result<bool, ImportError> {
        let mut scan = Scan::default();
        if self.peek()?.is_none() {
            return Ok(false);
        }
        loop {
            if let Some(length) = scan.end(&self.buffer[self.at..]) {
                self.at += length;
                return Ok(true);
            }
            self.at = self.buffer.len();
            if !self.more()? {
                return Ok(false);
            }
        }
    }

    /// Reads on, behind what has not been taken; whether there was anything.
    fn more(&mut self) -> Result<bool, ImportError> {
        if self.is_end {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.before += self.at as u64;
        self.at = 0;
        // A large value is not moved for each piece of it.
        let length = PIECE.max(self.buffer.len());
        let read = self.reader.by_ref().take(length as u64).read_to_end(&mut self.buffer);
        self.is_end = read.map_err(ImportError::Read)? == 0;
        Ok(!self.is_end)
    }
}

/// Finds the end of a value.
#[derive(Debug, Default)]
struct Scan {
    /// Brackets that are open.
    depth: usize,
    is_begun: bool,
    is_text: bool,
    is_escaped: bool,
}

impl Scan {
    /// How many of these bytes, which continue those before, are of the value; `None` if it
    /// goes on. A number or a word ends before what is no part of it.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            if self.is_text {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => {
                        self.is_text = false;
                        if self.depth == 0 {
                            return Some(at);
                        }
                    }
                    _ => at += plain(&bytes[at..]),
                }
                continue;
            }
            match byte {
                b'"' => self.is_text = true,
                b'[' | b'{' => self.depth += 1,
                b']' | b'}' if self.depth > 1 => self.depth -= 1,
                // One of nothing ends what is before it, or else itself.
                b']' | b'}' if self.depth == 0 && self.is_begun => return Some(at - 1),
                b']' | b'}' => return Some(at),
                _ if self.depth > 0 => {}
                b',' | b':' if self.is_begun => return Some(at - 1),
                b',' | b':' => return Some(at),
                _ if byte.is_ascii_whitespace() => return Some(at - 1),
                _ => {}
            }
            self.is_begun = true;
        }
        None
    }
}

/// How many bytes go by before a text ends or something is escaped.
fn plain(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Gives a stream in small pieces.
    struct Slow<'b>(&'b [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(self.1);
            self.0.read(&mut buffer[..length])
        }
    }

    #[test]
    fn values_in_pieces() {
        let text = r#" {"a": [1, "]\"}", {}]} , "b\\" ,-1.5e3,true , [] "#;
        let expected = [r#"{"a": [1, "]\"}", {}]}"#, r#""b\\""#, "-1.5e3", "true", "[]"];
        for size in 1..text.len() {
            let mut values = Values::of(Slow(text.as_bytes(), size));
            for value in expected {
                assert_eq!(values.value().unwrap(), Some(value.as_bytes()), "{size}");
                if values.peek().unwrap() == Some(b',') {
                    values.take();
                }
            }
            assert_eq!(values.peek().unwrap(), None);
            assert_eq!(values.position(), text.len() as u64);
            let mut values = Values::of(Slow(text.as_bytes(), size));
            assert!(values.skip().unwrap());
            assert_eq!(values.peek().unwrap(), Some(b','));
        }
    }

    #[test]
    fn what_is_cut_off() {
        for text in ["", "{", r#"{"a"#, r#""a\"#, "[1,[2]"] {
            assert_eq!(Values::of(text.as_bytes()).value().unwrap(), None, "{text}");
            assert!(!Values::of(text.as_bytes()).skip().unwrap(), "{text}");
        }
        // A number may go on.
        assert_eq!(Values::of(&b"12"[..]).value().unwrap(), None);
        for odd in ["]", ",", "}"] {
            assert_eq!(Values::of(odd.as_bytes()).value().unwrap(), Some(odd.as_bytes()));
        }
    }
}
