//! Files of other tools, told by what they begin with.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::str::FromStr;

/// How much of a file tells what kind it is.
pub const HEAD: u64 = 64 << 10;

/// What `perf record` begins a file with, in either order of bytes.
const PERF: [&[u8; 8]; 2] = [b"PERFILE2", b"2ELIFREP"];
const GZIP: &[u8] = &[0x1f, 0x8b];

/// A kind of file that a trace can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputFormat {
    /// What `perf record` writes, to a file or into a pipe.
    Perf,
    /// One line of text per stack.
    Folded,
    /// The protobuf of pprof, gzipped or not.
    Pprof,
}

impl InputFormat {
    /// Every format, in the order in which they are listed to people.
    pub const ALL: [InputFormat; 3] = [InputFormat::Perf, InputFormat::Folded, InputFormat::Pprof];

    /// The format's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            InputFormat::Perf => "perf",
            InputFormat::Folded => "folded",
            InputFormat::Pprof => "pprof",
        }
    }

    /// What writes it, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            InputFormat::Perf => "perf.data, as perf record writes it",
            InputFormat::Folded => "text, one line per stack",
            InputFormat::Pprof => "protobuf of pprof, gzipped or not",
        }
    }

    /// The format of a file, by what it begins with; `None` if it is none of
    /// these.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Option<InputFormat>> {
        if !fs::metadata(path)?.is_file() {
            // Opening a named pipe would wait for a writer.
            return Ok(None);
        }
        Ok(InputFormat::of_head(&head(&mut File::open(path)?)?))
    }

    /// The format of a file that begins with `head`, which may be all of it, or
    /// else has at least [`HEAD`] bytes.
    pub fn of_head(head: &[u8]) -> Option<InputFormat> {
        if PERF.iter().any(|magic| head.starts_with(*magic)) {
            Some(InputFormat::Perf)
        } else if is_pprof(head) {
            Some(InputFormat::Pprof)
        } else if is_folded(head) {
            Some(InputFormat::Folded)
        } else {
            None
        }
    }
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is not one of [`InputFormat::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown input format {0:?}")]
pub struct UnknownInputFormat(pub String);

impl FromStr for InputFormat {
    type Err = UnknownInputFormat;

    fn from_str(name: &str) -> Result<Self, UnknownInputFormat> {
        let found = InputFormat::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownInputFormat(name.to_owned()))
    }
}

/// What a file begins with; its position is at the beginning afterwards.
pub fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    Read::by_ref(file).take(HEAD).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head)
}

/// Whether this is pprof's: gzipped, or with a kind of value, which all its
/// writers put first: fields 1 and 2, both numbers.
fn is_pprof(head: &[u8]) -> bool {
    if head.starts_with(GZIP) {
        return true;
    }
    let [0x0a, length, rest @ ..] = head else { return false };
    let Some(mut message) = rest.get(..usize::from(*length)) else { return false };
    if message.first() != Some(&0x08) {
        return false;
    }
    while let [0x08 | 0x10, number @ ..] = message {
        let Some(end) = number.iter().position(|byte| byte & 0x80 == 0) else { return false };
        message = &number[end + 1..];
    }
    message.is_empty()
}

/// Whether these are lines of text that end in a number.
fn is_folded(head: &[u8]) -> bool {
    if head.contains(&0) {
        return false;
    }
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines().filter(|line| !is_no_stack(line));
    // A line that is longer than what is looked at ends elsewhere.
    let is_long = !text.contains('\n') && head.len() as u64 == HEAD && text.contains(';');
    let has_frames = |line: &str| line.contains(';') || line.split_whitespace().count() == 2;
    let has_count =
        |line: &str| last_number(line).is_some_and(|(_, number)| number.parse::<f64>().is_ok());
    is_long || lines.next().is_some_and(|line| has_frames(line) && has_count(line))
}

/// Whether a line says nothing.
pub fn is_no_stack(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Splits the number off that is the last word of a text with several.
pub fn last_number(text: &str) -> Option<(&str, &str)> {
    let (before, number) = text.trim_end().rsplit_once([' ', '\t'])?;
    let before = before.trim_end();
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_number && !before.is_empty()).then_some((before, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_folded_stacks() {
        for (head, expected) in [
            ("a;b 3\n", true),
            ("# made by me\n\na 1", true),
            ("hello world\n", false),
            ("Python 3.11.2\n", false),
            ("any text that ends in a number: 12\n", false),
            ("", false),
            ("{\"a\": 1}\n", false),
            ("a;b 3\0\n", false),
        ] {
            assert_eq!(is_folded(head.as_bytes()), expected, "{head:?}");
        }
    }
}
