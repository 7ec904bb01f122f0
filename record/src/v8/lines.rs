//! Where the lines of a script begin, and which place in the script each piece of
//! bytecode is of.

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

    /// Characters in the text.
    pub(super) fn length(&self) -> u32 {
        self.length
    }

    /// Line and column of a character, from 1.
    pub(super) fn place(&self, position: u32) -> (u32, u32) {
        let before = self.starts.partition_point(|start| *start <= position);
        let start = before.checked_sub(1).map_or(0, |last| self.starts[last]);
        (before as u32 + 1, position - start + 1)
    }
}

/// Offsets in bytecode with the character that each begins to stand for; what follows
/// a wrong entry is left out.
pub(super) fn source_positions(table: &[u8]) -> Vec<(u32, u32)> {
    let mut left = table;
    let (mut offset, mut position) = (0_i64, 0_i64);
    let mut found = Vec::new();
    while let (Some(offsets), Some(positions)) = (signed(&mut left), signed(&mut left)) {
        // Below zero, it begins an expression, and no statement.
        offset += if offsets < 0 { -(offsets + 1) } else { offsets };
        position += positions;
        // Bit 0 is for code in other languages; 0 in the next 30 is none.
        let character = (position >> 1 & 0x3fff_ffff) - 1;
        let Ok(at) = u32::try_from(offset) else { break };
        if let Ok(character) = u32::try_from(character) {
            found.push((at, character));
        }
    }
    found
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
            return (value.unsigned_abs() < 1 << 40).then_some(value);
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
            let places: Vec<_> = (0..lines.length()).map(|at| lines.place(at)).collect();
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
    fn positions_of_bytecode() {
        // A statement at 0 for character 10; an expression 5 behind it for character 7;
        // one 200 behind that for character 100.
        let table = [0, 44, 11, 11, 0x90, 0x03, 0xf4, 0x02];
        assert_eq!(source_positions(&table), [(0, 10), (5, 7), (205, 100)]);
    }

    #[test]
    fn wrong_positions_end_the_table() {
        assert_eq!(source_positions(&[]), []);
        assert_eq!(source_positions(&[0, 44, 11]), [(0, 10)]);
        assert_eq!(source_positions(&[0xff; 40]), []);
        // No place in the script.
        assert_eq!(source_positions(&[0, 0, 2, 20]), [(1, 4)]);
    }
}
