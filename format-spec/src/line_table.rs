//! Which line of its source each position of a code object is of.

use bincode::{Decode, Encode};

use crate::varint::{read_bounded, read_varint, unzigzag, write_varint, zigzag};

/// Length of a table in bytes, at most, so that it fits into a record.
const MAX_BYTES: usize = 1 << 19;
/// Length of a line in bytes, at most.
const MAX_LINE_BYTES: usize = 15;

/// From which position on a line holds, up to the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CodeLine {
    /// First position.
    pub start: u32,
    /// Line in the source file; 0 if unknown.
    pub line: u32,
    /// Column in that line, from 1; 0 if unknown.
    pub column: u32,
}

/// Lines by position, ascending.
///
/// It stays as it is in the file, and is read when it is asked: there are many
/// code objects, of which few frames are seen. What follows a wrong entry is
/// taken as not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct LineTable(Vec<u8>);

impl LineTable {
    /// A table of lines. If it would be too long, it is without the last ones, and says
    /// instead that from there on no line is known.
    pub fn new(mut lines: Vec<CodeLine>) -> Self {
        lines.sort_by_key(|line| line.start);
        let mut bytes = Vec::new();
        let mut before = CodeLine::default();
        for line in lines {
            let length = bytes.len();
            write(&mut bytes, line, before);
            // There has to be room for the end.
            if bytes.len() > MAX_BYTES - MAX_LINE_BYTES {
                bytes.truncate(length);
                let end = CodeLine { start: line.start, line: 0, column: 0 };
                write(&mut bytes, end, before);
                break;
            }
            before = line;
        }
        LineTable(bytes)
    }

    /// Memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The lines, ascending by position.
    pub fn iter(&self) -> impl Iterator<Item = CodeLine> {
        let mut left = &self.0[..self.0.len().min(MAX_BYTES)];
        let mut before = CodeLine::default();
        std::iter::from_fn(move || {
            before = next(&mut left, before)?;
            Some(before)
        })
    }

    /// The line of a position: the last one that begins at or before it.
    pub fn find(&self, position: u64) -> Option<CodeLine> {
        self.iter().take_while(|line| u64::from(line.start) <= position).last()
    }
}

/// Adds a line behind the one before.
fn write(bytes: &mut Vec<u8>, line: CodeLine, before: CodeLine) {
    write_varint(bytes, (line.start - before.start).into());
    write_varint(bytes, zigzag(u64::from(line.line).wrapping_sub(before.line.into())));
    write_varint(bytes, line.column.into());
}

/// Takes the next line off the front; `None` at the end, and if it is wrong.
fn next(left: &mut &[u8], before: CodeLine) -> Option<CodeLine> {
    const LARGEST: u64 = u32::MAX as u64;
    let start = read_varint(left, "position").ok()?;
    let line = read_varint(left, "line").ok()?;
    let column = read_bounded(left, "column", LARGEST).ok()?;
    Some(CodeLine {
        start: u32::try_from(start.checked_add(before.start.into())?).ok()?,
        line: u32::try_from(u64::from(before.line).wrapping_add(unzigzag(line))).ok()?,
        column: column as u32,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines() -> impl Strategy<Value = Vec<CodeLine>> {
        let line = (any::<u32>(), any::<u32>(), any::<u32>())
            .prop_map(|(start, line, column)| CodeLine { start, line, column });
        proptest::collection::vec(line, 0..50)
    }

    #[test]
    fn a_line_holds_up_to_the_next() {
        let line = |start, line| CodeLine { start, line, column: 0 };
        let table = LineTable::new(vec![line(10, 8), line(2, 7), line(10, 9)]);
        let found = |position| table.find(position).map(|found| found.line);
        assert_eq!([1, 2, 9, 10, 99].map(found), [None, Some(7), Some(7), Some(9), Some(9)]);
        // Three bytes each: most code moves on by little.
        assert_eq!(table.bytes(), 9);
    }

    #[test]
    fn what_is_too_long_is_cut_between_lines() {
        let line = |start| CodeLine { start, line: start % 50, column: 1 };
        let lines: Vec<CodeLine> = (0..300_000).map(line).collect();
        let table = LineTable::new(lines.clone());
        assert!(table.bytes() <= MAX_BYTES && table.bytes() > MAX_BYTES - 15);
        let mut read: Vec<CodeLine> = table.iter().collect();
        // Behind these, no line is known.
        let end = read.pop();
        assert_eq!(read, lines[..read.len()]);
        let start = lines[read.len()].start;
        assert_eq!(end, Some(CodeLine { start, line: 0, column: 0 }));
        assert_eq!(table.find(start.into()), end);
        assert_eq!(table.find(299_999), end);
        let longer = LineTable([table.0.clone(), [1, 2, 3].repeat(9)].concat());
        assert_eq!(longer.iter().count(), MAX_BYTES / 3);
    }

    proptest! {
        #[test]
        fn round_trips(mut lines in lines(), position: u32) {
            let table = LineTable::new(lines.clone());
            lines.sort_by_key(|line| line.start);
            prop_assert_eq!(table.iter().collect::<Vec<_>>(), lines.clone());
            let expected = lines.iter().rfind(|line| line.start <= position).copied();
            prop_assert_eq!(table.find(position.into()), expected);
        }

        #[test]
        fn damage_never_panics_and_keeps_what_is_before_it(
            lines in lines(),
            at: usize,
            bit in 0u8..8,
        ) {
            let good = LineTable::new(lines);
            let mut bad = good.clone();
            let before = at % (bad.0.len() + 1);
            if let Some(byte) = bad.0.get_mut(before) {
                *byte ^= 1 << bit;
            }
            let whole = before / MAX_LINE_BYTES;
            prop_assert!(bad.iter().take(whole).eq(good.iter().take(whole)));
            let _ = LineTable(bad.0.split_off(before)).iter().count();
        }
    }
}
