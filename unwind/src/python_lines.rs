//! Which line each position in the bytecode is of, as CPython keeps that.

use rz_format::CodeLine;

/// Entries that are taken of a table, at most.
const MAX_LINES: usize = 1 << 16;
/// From version 3.11 on: what an entry says besides how many units of code it is for.
const NO_PLACE: u8 = 15;
const LONG: u8 = 14;
const LINE_ONLY: u8 = 13;
const ONE_LINE: std::ops::RangeInclusive<u8> = 10..=12;
/// What version 3.10 says of code that is of no line.
const NO_LINE: i8 = -128;
/// Bytes of a unit of code.
const UNIT: u32 = 2;

/// Reads `co_linetable` as it is from version 3.11 on. What follows something
/// wrong is taken as not there.
pub fn locations(table: &[u8], first_line: u32) -> Vec<CodeLine> {
    let mut lines = Lines::default();
    let (mut bytes, mut line) = (table.iter().copied(), i64::from(first_line));
    let mut position = 0u32;
    while let Some(first) = bytes.next() {
        if first & 0x80 == 0 {
            break;
        }
        let (kind, units) = (first >> 3 & 0xf, u32::from(first & 7) + 1);
        let mut here = true;
        match kind {
            NO_PLACE => here = false,
            LONG => {
                let Some(step) = signed(&mut bytes) else { break };
                line += step;
                // Its last line, and both columns.
                if (0..3).any(|_| unsigned(&mut bytes).is_none()) {
                    break;
                }
            }
            LINE_ONLY => {
                let Some(step) = signed(&mut bytes) else { break };
                line += step;
            }
            kind => {
                if ONE_LINE.contains(&kind) {
                    line += i64::from(kind - ONE_LINE.start());
                    bytes.next();
                }
                bytes.next();
            }
        }
        if !lines.add(position, if here { line } else { 0 }) {
            break;
        }
        position += units * UNIT;
    }
    lines.list
}

/// Reads `co_linetable` of version 3.10: for how many bytes a line holds, and by how
/// much it differs from the one before.
pub fn ranges(table: &[u8], first_line: u32) -> Vec<CodeLine> {
    let mut lines = Lines::default();
    let (mut position, mut line) = (0u32, i64::from(first_line));
    for [bytes, step] in table.as_chunks().0 {
        let step = *step as i8;
        let here = step != NO_LINE;
        if here {
            line += i64::from(step);
        }
        if *bytes > 0 && !lines.add(position, if here { line } else { 0 }) {
            break;
        }
        position += u32::from(*bytes);
    }
    lines.list
}

/// Reads `co_lnotab` of the versions before that: how many bytes later a line
/// begins, and by how much it differs from the one before.
pub fn starts(table: &[u8], first_line: u32) -> Vec<CodeLine> {
    let mut lines = Lines::default();
    let (mut position, mut line) = (0u32, i64::from(first_line));
    lines.add(position, line);
    for [bytes, step] in table.as_chunks().0 {
        position += u32::from(*bytes);
        line += i64::from(*step as i8);
        if !lines.add(position, line) {
            break;
        }
    }
    lines.list
}

/// Lines by position; equal ones that follow each other are one.
#[derive(Default)]
struct Lines {
    list: Vec<CodeLine>,
}

impl Lines {
    /// Adds a line, 0 for none; false if there are too many.
    fn add(&mut self, start: u32, line: i64) -> bool {
        let line = u32::try_from(line).unwrap_or(0);
        // Of those at one place, the last one counts.
        self.list.pop_if(|last| last.start == start);
        if self.list.last().is_none_or(|last| last.line != line) {
            self.list.push(CodeLine { start, line, column: 0 });
        }
        self.list.len() < MAX_LINES
    }
}

/// A number in pieces of six bits, the lowest first.
fn unsigned(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = 0;
    for shift in (0..).step_by(6) {
        let byte = bytes.next()?;
        number |= u64::from(byte & 0x3f).checked_shl(shift)?;
        if byte & 0x40 == 0 {
            break;
        }
    }
    Some(number)
}

/// The same, with the sign in the lowest bit.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let number = unsigned(bytes)?;
    let size = i32::try_from(number >> 1).ok().map(i64::from)?;
    Some(if number & 1 == 1 { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What versions keep of one function, which begins in line 4, and what their own
    /// `co_lines` and `dis.findlinestarts` say of it. It has several lines in one
    /// expression, a comprehension, code of no line, and 80 empty lines.
    const OF_3_8: &str = "00020a010801040102ff0202060102ff1453020102ff";
    const OF_3_10: &str = "02800a0208010401020102ff0602020108ff028002fd0aff0257020104ff10a902570201\
        04ff";
    const OF_3_12: &str = "e800f88000e4090d88618b17f0000505239041d81112f2000409238841da1011da1415e0\
        2021f603011723d81b1cf203001819f200011723f300011123f107040923f703050523f06e02000d0ed80e0ff1\
        03010d10f000010511f9f26702011723f709050523f06e02000d0ed80e0ff103010d10f000010511fc";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    #[track_caller]
    fn check(read: fn(&[u8], u32) -> Vec<CodeLine>, table: &str, expected: &[(u32, u32)]) {
        let table = bytes(table);
        let found: Vec<_> = read(&table, 4).iter().map(|line| (line.start, line.line)).collect();
        assert_eq!(found, expected);
        // Any beginning of a table is as good as it is long.
        for length in 0..table.len() {
            assert!(read(&table[..length], 4).len() <= expected.len() + 1, "{length}");
        }
    }

    #[test]
    fn lines_of_all_kinds_of_tables() {
        let of_3_8 = [
            (0, 6),
            (10, 7),
            (18, 8),
            (22, 9),
            (24, 8),
            (26, 10),
            (32, 11),
            (34, 10),
            (54, 93),
            (56, 94),
            (58, 93),
        ];
        check(starts, OF_3_8, &of_3_8);
        let of_3_10 = [
            (0, 0),
            (2, 6),
            (12, 7),
            (20, 8),
            (24, 9),
            (26, 8),
            (28, 10),
            (34, 11),
            (36, 10),
            (44, 0),
            (46, 7),
            (48, 6),
            (58, 93),
            (60, 94),
            (62, 93),
            (66, 6),
            (82, 93),
            (84, 94),
            (86, 93),
        ];
        check(ranges, OF_3_10, &of_3_10);
        let of_3_12 = [
            (0, 4),
            (2, 0),
            (4, 4),
            (6, 6),
            (30, 7),
            (40, 8),
            (46, 9),
            (52, 11),
            (54, 10),
            (68, 11),
            (70, 10),
            (90, 7),
            (94, 6),
            (110, 93),
            (112, 94),
            (114, 93),
            (120, 0),
            (124, 10),
            (130, 6),
            (146, 93),
            (148, 94),
            (150, 93),
            (156, 0),
        ];
        check(locations, OF_3_12, &of_3_12);
    }

    #[test]
    fn what_makes_no_sense_ends_a_table() {
        // No entry begins so; a number without an end; one that is too large.
        let wrong: [&[u8]; 3] = [&[0x00, 0xe8], &[0xe8, 0x7f, 0x7f, 0x7f], &[0xf0; 40]];
        for table in wrong {
            assert!(locations(table, 4).len() <= 1, "{table:x?}");
        }
        let long = [0xe8, 2].repeat(2 * MAX_LINES);
        assert_eq!(locations(&long, 4).len(), MAX_LINES);
        assert_eq!(ranges(&[2, 1].repeat(2 * MAX_LINES), 4).len(), MAX_LINES);
    }
}
