//! Where the lines of a script begin, and which place in the script each piece of code
//! is of.

use rz_format::CodeLine;

/// Longest table of places in bytes; of longer ones, the beginning is kept.
pub(super) const MAX_TABLE: usize = 256 << 10;

/// Where each line of a text begins, in characters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LineStarts {
    starts: Vec<u32>,
    /// Characters that were seen.
    length: u32,
    ends_with_return: bool,
}

impl LineStarts {
    /// Goes on with the next characters.
    pub(super) fn extend(&mut self, characters: &[u16]) {
        for character in characters {
            self.length = self.length.saturating_add(1);
            let ends_line = matches!(character, 0x0a | 0x0d | 0x2028 | 0x2029);
            if *character == 0x0a && self.ends_with_return {
                // They are one end together.
                self.starts.pop();
            }
            if ends_line {
                self.starts.push(self.length);
            }
            self.ends_with_return = *character == 0x0d;
        }
    }

    /// Line and column of a character, from 1; `None` if the text is not known that far.
    pub(super) fn find(&self, position: u32) -> Option<(u32, u32)> {
        (position < self.length).then(|| self.place(position))
    }

    fn place(&self, position: u32) -> (u32, u32) {
        let before = self.starts.partition_point(|start| *start <= position);
        let start = before.checked_sub(1).map_or(0, |last| self.starts[last]);
        (before as u32 + 1, position - start + 1)
    }

    /// Which lines hold from which character on, from the first to the last one.
    pub(super) fn between(&self, first: u32, last: u32) -> Vec<CodeLine> {
        if last < first || last > self.length {
            return Vec::new();
        }
        let (line, column) = self.place(first);
        let begin = CodeLine { start: first, line, column };
        let after = self.starts.iter().copied().skip(line as usize - 1);
        let lines = after.take_while(|start| *start <= last).zip(line + 1..);
        let lines = lines.map(|(start, line)| CodeLine { start, line, column: 1 });
        let end = CodeLine { start: last + 1, line: 0, column: 0 };
        std::iter::once(begin).chain(lines).chain([end]).collect()
    }
}

/// Which place in a script a piece of code is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// From 0.
    pub(super) character: u32,
    /// The number of the call in whose place it is, for code of another function.
    pub(super) call: Option<u32>,
}

impl Place {
    /// Takes apart what V8 makes of it; `None` if it is none.
    pub(super) fn of(position: u64) -> Option<Self> {
        // Bit 0 is for code in other languages; 0 in the next 30, and in the 16 behind
        // these, is none.
        let character = (position >> 1 & 0x3fff_ffff).checked_sub(1)?;
        let call = (position >> 31 & 0xffff).checked_sub(1);
        (position & 1 == 0)
            .then_some(Place { character: character as u32, call: call.map(|call| call as u32) })
    }
}

/// Which place in a script each piece of a function's code is of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Offsets in the code, ascending, with the place that each begins to stand for.
    pub(super) begins: Vec<(u32, Place)>,
    /// The offset from which on nothing is known, as the table goes on there and was not
    /// read, or makes no sense.
    pub(super) unknown_from: Option<u32>,
}

impl Places {
    /// Takes V8's table of them apart.
    pub(super) fn of(table: &[u8]) -> Self {
        let mut places = Places::default();
        let mut left = table;
        let (mut offset, mut position) = (0_i64, 0_i64);
        let mut is_whole = table.len() < MAX_TABLE;
        while !left.is_empty() {
            let at = signed(&mut left).zip(signed(&mut left)).and_then(|(offsets, positions)| {
                // Below zero, it begins an expression, and no statement.
                offset += if offsets < 0 { -(offsets + 1) } else { offsets };
                position += positions;
                u32::try_from(offset).ok()
            });
            let Some(at) = at else {
                is_whole = false;
                break;
            };
            if let Some(place) = u64::try_from(position).ok().and_then(Place::of) {
                places.begins.push((at, place));
            }
        }
        let last = places.begins.last().map(|(start, _)| *start);
        places.unknown_from = last.filter(|_| !is_whole);
        places
    }

    /// The place that the code at an offset is of, if it is known.
    pub(super) fn find(&self, offset: u64) -> Option<Place> {
        if self.unknown_from.is_some_and(|from| offset >= u64::from(from)) {
            return None;
        }
        let before = self.begins.partition_point(|(start, _)| u64::from(*start) <= offset);
        before.checked_sub(1).map(|last| self.begins[last].1)
    }
}

/// A number of seven bits a byte, the lowest of all of which is its sign.
fn signed(left: &mut &[u8]) -> Option<i64> {
    let mut bits = 0_u64;
    // Those that V8 writes have 64 bits at most, and differences of such.
    for shift in (0..63).step_by(7) {
        let (byte, rest) = left.split_first()?;
        *left = rest;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let value = (bits >> 1) as i64 ^ -((bits & 1) as i64);
            // A sum of as many as fit into a table stays far from the largest number.
            return (value.unsigned_abs() < 1 << 48).then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_characters() {
        let text: Vec<u16> = "ab\ncd\r\n\re\u{2028}f".encode_utf16().collect();
        for size in 1..=text.len() {
            let mut lines = LineStarts::default();
            text.chunks(size).for_each(|part| lines.extend(part));
            let places: Vec<_> = (0..lines.length).map(|at| lines.place(at)).collect();
            let first = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4)];
            let rest = [(3, 1), (4, 1), (4, 2), (5, 1)];
            assert_eq!(places, [&first[..], &rest].concat(), "{size}");
        }
    }

    #[test]
    fn an_empty_text_has_one_line() {
        assert_eq!(LineStarts::default().place(0), (1, 1));
    }

    #[test]
    fn lines_of_a_part() {
        let mut lines = LineStarts::default();
        lines.extend(&"ab\ncd\nef\ng".encode_utf16().collect::<Vec<u16>>());
        let between = |first, last| {
            let lines = lines.between(first, last).into_iter();
            lines.map(|found| (found.start, found.line, found.column)).collect::<Vec<_>>()
        };
        assert_eq!(between(1, 6), [(1, 1, 2), (3, 2, 1), (6, 3, 1), (7, 0, 0)]);
        assert_eq!(between(4, 4), [(4, 2, 2), (5, 0, 0)]);
        assert_eq!(between(9, 10), [(9, 4, 1), (11, 0, 0)]);
        assert_eq!(between(4, 3), []);
        assert_eq!(between(4, 11), []);
    }

    fn characters(table: &[u8]) -> Vec<(u32, u32)> {
        Places::of(table).begins.iter().map(|(at, place)| (*at, place.character)).collect()
    }

    #[test]
    fn places_tell_calls() {
        let inlined =
            |call: u64, character: u64| Place::of((call + 1) << 31 | (character + 1) << 1);
        assert_eq!(inlined(2, 48), Some(Place { character: 48, call: Some(2) }));
        assert_eq!(Place::of(0x15e), Some(Place { character: 174, call: None }));
        // None at all, none in the script, and one in another language.
        for position in [0, 1 << 31, 0x15f] {
            assert_eq!(Place::of(position), None, "{position:#x}");
        }
    }

    #[test]
    fn positions_of_bytecode() {
        // A statement at 0 for character 10; an expression 5 behind it for character 7;
        // one 200 behind that for character 100.
        let table = [0, 44, 11, 11, 0x90, 0x03, 0xf4, 0x02];
        assert_eq!(characters(&table), [(0, 10), (5, 7), (205, 100)]);
    }

    #[test]
    fn wrong_positions_end_the_table() {
        assert_eq!(characters(&[]), []);
        assert_eq!(characters(&[0, 44, 11]), [(0, 10)]);
        assert_eq!(characters(&[0xff; 40]), []);
        // No place in the script.
        assert_eq!(characters(&[0, 0, 2, 20]), [(1, 4)]);
    }

    #[test]
    fn nothing_is_known_behind_the_end_of_a_table_that_is_not_whole() {
        let find = |table: &[u8]| {
            let places = Places::of(table);
            [4, 5, 6].map(|at| places.find(at).map(|place| place.character))
        };
        let (first, second) = (Some(10), Some(7));
        assert_eq!(find(&[0, 44, 11, 11]), [first, second, second]);
        assert_eq!(find(&[0, 44, 11, 11, 2]), [first, None, None]);
        // It may go on: each of these begins the same place once again.
        let long = [&[0, 44, 11, 11][..], &[0; MAX_TABLE - 4]].concat();
        assert_eq!(find(&long[..MAX_TABLE - 2]), [first, second, second]);
        assert_eq!(find(&long), [first, None, None]);
    }
}
