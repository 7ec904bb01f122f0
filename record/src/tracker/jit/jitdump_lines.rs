//! Lines of the code in a jitdump.
//!
//! What V8 writes needs to be put right in two ways; see `perf-jit.cc` of V8.
//! It adds to addresses how long the header of the files is that `perf inject`
//! makes, which once forgot about it. And names of files are written, in node
//! 20 for one, out of memory that was given back before, so that their first
//! 16 bytes are anything, zeros included.

use rz_format::GeneratedLine;

use super::{Budget, published_name};
use crate::cursor::Cursor;

/// What V8 adds to addresses.
const V8_SHIFT: u64 = 0x40;
/// What is lost of the names of files that V8 writes.
const V8_LOST: usize = 16;

/// The lines of one piece of code.
pub(super) struct Lines<'a> {
    /// The code's name.
    name: &'a str,
    /// Address that the lines count from.
    base: u64,
    /// Sorted by address.
    entries: Vec<Entry<'a>>,
}

/// One of them.
struct Entry<'a> {
    address: u64,
    line: u32,
    column: u32,
    file: &'a [u8],
}

impl<'a> Lines<'a> {
    /// Out of a record's body, for code that was at an address then.
    pub(super) fn new(bytes: &'a [u8], start: u64, length: u64, name: &'a str) -> Self {
        let is_of_v8 = is_of_v8(name);
        let base = if is_of_v8 { start.wrapping_add(V8_SHIFT) } else { start };
        // V8's names may have zeros in them; others end at the first one.
        let is_end = |after: &[u8], is_last| match after.first_chunk() {
            _ if !is_of_v8 => true,
            _ if is_last => after.is_empty(),
            Some(next) => u64::from_le_bytes(*next).wrapping_sub(base) <= length,
            None => true,
        };
        let mut entries = entries(bytes, is_end);
        // Stable: of several for an address, the last one holds.
        entries.sort_by_key(|entry| entry.address);
        Lines { name, base, entries }
    }

    /// Those that hold at ascending offsets.
    pub(super) fn at(
        &self,
        offsets: impl Iterator<Item = u64>,
        budget: &mut Budget,
    ) -> Vec<GeneratedLine> {
        let mut found: Vec<GeneratedLine> = Vec::new();
        for offset in offsets {
            let address = self.base.wrapping_add(offset);
            let after = self.entries.partition_point(|entry| entry.address <= address);
            let entry = after.checked_sub(1).and_then(|at| self.entries.get(at));
            let Some(&Entry { address, line, column, file }) = entry else { continue };
            let Ok(at) = u32::try_from(address.saturating_sub(self.base).min(offset)) else {
                break;
            };
            let is_known = found.last().is_some_and(|last| last.offset == at);
            if is_known || !budget.admit(file.len()) {
                continue;
            }
            found.push(match self.file(file) {
                Some(file) => GeneratedLine { offset: at, file, line, column },
                // Nothing is known of this place.
                None => GeneratedLine { offset: at, ..GeneratedLine::default() },
            });
        }
        found
    }

    /// A file's name as it should have been written.
    fn file(&self, written: &[u8]) -> Option<String> {
        let own = own_path(self.name).filter(|own| {
            own.len() == written.len() && own.get(V8_LOST..) == written.get(V8_LOST..)
        });
        match own {
            Some(own) => Some(published_name(own)),
            None if is_of_v8(self.name) && !is_path(written) => None,
            None => Some(published_name(written)),
        }
    }
}

/// Whether code is V8's, by the kinds that its names begin with. Only functions
/// of JavaScript have lines.
fn is_of_v8(name: &str) -> bool {
    const KINDS: [&str; 6] = ["JS:", "LazyCompile:", "Function:", "Script:", "Eval:", "RegExp:"];
    KINDS.iter().any(|kind| name.starts_with(kind))
}

/// The path in `JS:*crunch /srv/app.js:12:34`.
fn own_path(name: &str) -> Option<&[u8]> {
    let before_place = name.rsplitn(3, ':').nth(2).filter(|_| is_of_v8(name))?;
    Some(before_place.split_once(' ')?.1.as_bytes())
}

/// Whether this can be the name of a script.
fn is_path(written: &[u8]) -> bool {
    const BEGINNINGS: [&str; 4] = ["/", "file:", "node:", "http"];
    let text = std::str::from_utf8(written).ok().filter(|text| !text.contains(char::is_control));
    text.is_some_and(|text| BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)))
}

/// The entries of a record. `is_end` says of what follows a name, and whether
/// it is the last one, whether the name ends there.
fn entries(bytes: &[u8], is_end: impl Fn(&[u8], bool) -> bool) -> Vec<Entry<'_>> {
    /// A file name that says that it is that of the entry before.
    const SAME: &[u8] = b"\xff";
    let mut cursor = Cursor(bytes);
    let mut entries = Vec::new();
    let mut file: &[u8] = &[];
    let [_, count] = cursor.u64s().unwrap_or_default();
    while (entries.len() as u64) < count {
        let (Some(address), Some(line), Some(column)) = (cursor.u64(), cursor.u32(), cursor.u32())
        else {
            break;
        };
        let rest = cursor.0;
        let is_last = entries.len() as u64 + 1 == count;
        let mut zeros = rest.iter().enumerate().filter(|(_, byte)| **byte == 0);
        let end = zeros.find(|(end, _)| is_end(&rest[end + 1..], is_last));
        let Some((end, _)) = end else { break };
        if &rest[..end] != SAME {
            file = &rest[..end];
        }
        cursor.0 = &rest[end + 1..];
        entries.push(Entry { address, line, column, file });
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "JS:*f /a/path/that/is/long.js:12:34";
    const FILE: &[u8] = b"/a/path/that/is/long.js";

    /// Lines at offsets, of code that is at 0x1000.
    #[track_caller]
    fn check(name: &str, entries: &[(u64, u32, &[u8])], offsets: &[u64], expected: &str) {
        let mut bytes = 0x1000u64.to_le_bytes().to_vec();
        bytes.extend((entries.len() as u64).to_le_bytes());
        for (address, line, file) in entries {
            bytes.extend(address.to_le_bytes());
            bytes.extend(line.to_le_bytes());
            bytes.extend(7u32.to_le_bytes());
            bytes.extend(*file);
            bytes.push(0);
        }
        let lines = Lines::new(&bytes, 0x1000, 0x100, name);
        let found = lines.at(offsets.iter().copied(), &mut Budget::for_tests());
        let shown: Vec<String> = found
            .iter()
            .map(|line| format!("{:x} {}:{}", line.offset, line.file, line.line))
            .collect();
        assert_eq!(shown.join(", "), expected);
    }

    #[test]
    fn a_line_holds_up_to_the_next() {
        let lines: [(u64, u32, &[u8]); 4] =
            [(0x1004, 1, b"a.c"), (0x1008, 2, b"\xff"), (0x100c, 3, b"b.c"), (0x1010, 4, b"\xff")];
        check("f", &lines, &[0], "");
        check("f", &lines, &[4, 9, 11], "4 a.c:1, 8 a.c:2");
        check("f", &lines, &[0xff], "10 b.c:4");
    }

    #[test]
    fn lines_of_v8() {
        let lines: [(u64, u32, &[u8]); 2] = [(0x1040, 1, FILE), (0x1048, 2, FILE)];
        check(NAME, &lines, &[4, 9], "0 /a/path/that/is/long.js:1, 8 /a/path/that/is/long.js:2");
        let mut damaged = FILE.to_vec();
        damaged[..16].copy_from_slice(b"\x12\xe51?\0\0\0\0\x9524\x07?h\xa2L");
        let lines: [(u64, u32, &[u8]); 3] =
            [(0x1040, 1, &damaged), (0x1048, 2, &damaged), (0x1050, 3, b"/b.js")];
        let long = "/a/path/that/is/long.js";
        check(NAME, &lines, &[4, 9, 16], &format!("0 {long}:1, 8 {long}:2, 10 /b.js:3"));
        // Of another file than the function's, nothing is left.
        check("JS:*f /b.js:1:1", &lines, &[4], "0 :0");
    }
}
