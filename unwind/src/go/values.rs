//! Tables of values by instruction.
//!
//! ```text
//! ┌────────────────┬─────────────┬────────────────┬─────────────┬───┐
//! │ change of value│ bytes of it │ change of value│ bytes of it │ 0 │
//! └────────────────┴─────────────┴────────────────┴─────────────┴───┘
//! ```
//! Both are variable-length integers, the change with its sign in the lowest bit.

/// What a table that begins at `table` says of the instruction that is `at` bytes
/// into its function; `None` if it says nothing, or is damaged. `left` is how many
/// entries may be looked at, and goes down by those that were.
pub(super) fn value_at(table: &[u8], at: u64, left: &mut u32) -> Option<i32> {
    for entry in Entries::of(table) {
        *left = left.checked_sub(1)?;
        if at < entry.end {
            return Some(entry.value);
        }
    }
    None
}

/// The part of what is at `table` that has entries, at most `count` of them, without
/// the zero behind them.
pub(super) fn entries_part(table: &[u8], count: u32) -> &[u8] {
    let mut entries = Entries::of(table);
    (0..count).map_while(|_| entries.next()).for_each(drop);
    &table[..table.len() - entries.rest.len()]
}

/// The entries of a table, up to its end or to the first damaged one.
struct Entries<'d> {
    rest: &'d [u8],
    last: Entry,
}

#[derive(Clone, Copy)]
struct Entry {
    value: i32,
    /// How far into the function it reaches.
    end: u64,
}

impl<'d> Entries<'d> {
    fn of(table: &'d [u8]) -> Self {
        Entries { rest: table, last: Entry { value: -1, end: 0 } }
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let mut rest = self.rest;
        let change = varint(&mut rest)?;
        if change == 0 && self.last.end > 0 {
            return None;
        }
        // Each is of an instruction at least: others could go on without an end.
        let length = varint(&mut rest).filter(|length| *length > 0)?;
        let sign = 0u32.wrapping_sub(change & 1);
        let value = self.last.value.wrapping_add((change >> 1 ^ sign) as i32);
        self.last = Entry { value, end: self.last.end.checked_add(u64::from(length))? };
        self.rest = rest;
        Some(self.last)
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for shift in (0..32).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_change_at_instructions() {
        // 0 for 4 bytes, 8 for 300, 0 for 1.
        let table = [2, 4, 16, 0xac, 2, 15, 1, 0, 9, 9];
        for (at, expected) in
            [(0, Some(0)), (3, Some(0)), (4, Some(8)), (303, Some(8)), (304, Some(0)), (305, None)]
        {
            assert_eq!(value_at(&table, at, &mut 3), expected, "{at}");
        }
        assert_eq!(entries_part(&table, 3), &table[..7]);
        assert_eq!(entries_part(&table, 2), &table[..5]);
    }

    #[test]
    fn damaged_tables_end() {
        for table in [&[][..], &[2], &[2, 0x80], &[0xff; 64], &[2, 0, 2, 0], &[0x80; 6]] {
            assert_eq!(value_at(table, 7, &mut 9), None, "{table:x?}");
        }
    }

    #[test]
    fn entries_of_no_length_are_damage() {
        let table = [2, 4, 16, 0, 2, 8, 0];
        assert_eq!(value_at(&table, 3, &mut 9), Some(0));
        assert_eq!(value_at(&table, 4, &mut 9), None);
        assert_eq!(entries_part(&table, 9), &table[..2]);
    }

    #[test]
    fn only_so_many_entries_are_looked_at() {
        let table = [2, 1].repeat(1000);
        let mut left = 500;
        assert_eq!(value_at(&table, 299, &mut left), Some(299));
        assert_eq!(left, 200);
        assert_eq!(value_at(&table, 200, &mut left), None);
        assert_eq!(value_at(&table, 0, &mut left), None);
    }
}
