//! Tables of values by instruction.
//!
//! ```text
//! ┌────────────────┬─────────────┬────────────────┬─────────────┬───┐
//! │ change of value│ bytes of it │ change of value│ bytes of it │ 0 │
//! └────────────────┴─────────────┴────────────────┴─────────────┴───┘
//! ```
//! Both are variable-length integers, the change with its sign in the lowest bit.

/// What a table that begins at `table` says of the instruction that is `at` bytes
/// into its function; `None` if it says nothing, or is damaged.
pub(super) fn value_at(mut table: &[u8], at: u64) -> Option<i32> {
    let (mut value, mut end) = (-1i32, 0u64);
    // Each turn takes two bytes or more.
    loop {
        let change = varint(&mut table)?;
        if change == 0 && end > 0 {
            return None;
        }
        let sign = 0u32.wrapping_sub(change & 1);
        value = value.wrapping_add((change >> 1 ^ sign) as i32);
        end = end.checked_add(u64::from(varint(&mut table)?))?;
        if at < end {
            return Some(value);
        }
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
            assert_eq!(value_at(&table, at), expected, "{at}");
        }
    }

    #[test]
    fn damaged_tables_end() {
        for table in [&[][..], &[2], &[2, 0x80], &[0xff; 64], &[2, 0, 2, 0], &[0x80; 6]] {
            assert_eq!(value_at(table, 7), None, "{table:x?}");
        }
    }
}
