//! Numbers in up to five bytes, as HotSpot writes them (`UNSIGNED5`).

/// How they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Up to version 19.
    WithZero,
    /// From version 20 on: no byte of a number is zero.
    WithoutZero,
}

/// A byte from this on is followed by another one.
const CONTINUES: u32 = 192;
const MAX_BYTES: u32 = 5;

impl Numbers {
    /// Takes one from the start of some bytes; `None` if they are cut off, or none.
    pub(super) fn take(self, bytes: &mut &[u8]) -> Option<u32> {
        let excluded = match self {
            Numbers::WithZero => 0,
            Numbers::WithoutZero => 1,
        };
        let mut number = 0_u32;
        for index in 0..MAX_BYTES {
            let (byte, rest) = bytes.split_first()?;
            *bytes = rest;
            let byte = u32::from(*byte);
            let part = byte.checked_sub(excluded)?;
            number = number.wrapping_add(part.wrapping_shl(6 * index));
            if byte < CONTINUES {
                break;
            }
        }
        Some(number)
    }

    /// The same with a sign, which is in the lowest bit.
    pub(super) fn take_signed(self, bytes: &mut &[u8]) -> Option<i32> {
        let number = self.take(bytes)?;
        Some((number >> 1) as i32 ^ -((number & 1) as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let check = |numbers: Numbers, mut bytes: &[u8], expected: Option<u32>, left: usize| {
            assert_eq!((numbers.take(&mut bytes), bytes.len()), (expected, left));
        };
        check(Numbers::WithZero, &[0, 9], Some(0), 1);
        check(Numbers::WithZero, &[191], Some(191), 0);
        check(Numbers::WithZero, &[192, 0], Some(192), 0);
        check(Numbers::WithZero, &[255, 1, 7], Some(255 + 64), 1);
        // A fifth byte is the last one, whatever it is.
        check(Numbers::WithZero, &[192, 192, 192, 192, 255, 7], Some(0x020c_30c0), 1);
        check(Numbers::WithoutZero, &[1], Some(0), 0);
        check(Numbers::WithoutZero, &[191], Some(190), 0);
        check(Numbers::WithoutZero, &[192, 1], Some(191), 0);
        check(Numbers::WithoutZero, &[0, 1], None, 1);
        check(Numbers::WithoutZero, &[200], None, 0);
    }

    #[test]
    fn signs_are_in_the_lowest_bit() {
        let signed = |byte: u8| Numbers::WithZero.take_signed(&mut &[byte][..]);
        assert_eq!([0, 1, 2, 3].map(signed), [Some(0), Some(-1), Some(1), Some(-2)]);
    }
}
