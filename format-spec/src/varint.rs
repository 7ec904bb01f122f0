//! Variable-length integers: seven bits a byte, least significant first.

use crate::error::FormatError;

/// Longest encoding of a `u64`.
const MAX_BYTES: usize = 10;

/// Appends `value` in one to ten bytes.
pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes so many varints off the front of `input`, or all that there are.
pub(crate) fn skip_varints(input: &mut &[u8], mut count: usize) {
    const WORD: usize = size_of::<u64>();
    // Each ends in a byte without the highest bit.
    while count > 0
        && let Some((word, rest)) = input.split_first_chunk::<WORD>()
    {
        let ends = (!u64::from_le_bytes(*word) & 0x8080_8080_8080_8080).count_ones() as usize;
        // Behind the last one, the next may have begun.
        if ends >= count {
            break;
        }
        count -= ends;
        *input = rest;
    }
    while count > 0
        && let [first, rest @ ..] = *input
    {
        count -= usize::from(*first < 0x80);
        *input = rest;
    }
}

/// Takes a varint off the front of `input`.
#[inline]
pub(crate) fn read_varint(input: &mut &[u8], what: &'static str) -> Result<u64, FormatError> {
    // Most are of one byte, and nearly all others of fewer than eight.
    match **input {
        [first, ref rest @ ..] if first < 0x80 => {
            *input = rest;
            Ok(first.into())
        }
        [a, b, c, d, e, f, g, h, ..] => {
            let word = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            let ends = !word & 0x8080_8080_8080_8080;
            if ends == 0 {
                return read_any_varint(input, what);
            }
            let bits = ends.trailing_zeros();
            *input = &input[bits as usize / 8 + 1..];
            Ok(join_sevens(word & (u64::MAX >> (63 - bits))))
        }
        _ => read_any_varint(input, what),
    }
}

/// Takes the top bit out of each byte.
fn join_sevens(bytes: u64) -> u64 {
    let x = bytes & 0x7f7f_7f7f_7f7f_7f7f;
    let x = (x & 0x007f_007f_007f_007f) | (x & 0x7f00_7f00_7f00_7f00) >> 1;
    let x = (x & 0x0000_3fff_0000_3fff) | (x & 0x3fff_0000_3fff_0000) >> 2;
    (x & 0x0fff_ffff) | (x & 0x0fff_ffff_0000_0000) >> 4
}

/// The same as [`read_varint`], byte by byte.
fn read_any_varint(input: &mut &[u8], what: &'static str) -> Result<u64, FormatError> {
    let mut value = 0u64;
    for (i, &byte) in input.iter().take(MAX_BYTES).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if i == MAX_BYTES - 1 && byte > 1 {
            return Err(FormatError::InvalidValue { what, value: byte.into() });
        }
        value |= bits << (7 * i);
        if byte & 0x80 == 0 {
            *input = &input[i + 1..];
            return Ok(value);
        }
    }
    Err(FormatError::UnexpectedEnd { what })
}

/// Takes a varint that must not exceed `limit`, such as a count that memory
/// is going to be allocated for.
pub(crate) fn read_bounded(
    input: &mut &[u8],
    what: &'static str,
    limit: u64,
) -> Result<usize, FormatError> {
    match read_varint(input, what)? {
        value if value <= limit => Ok(value as usize),
        value => Err(FormatError::InvalidValue { what, value }),
    }
}

/// Takes `length` bytes off the front of `input`.
pub(crate) fn read_bytes<'a>(
    input: &mut &'a [u8],
    length: usize,
    what: &'static str,
) -> Result<&'a [u8], FormatError> {
    let (taken, rest) =
        input.split_at_checked(length).ok_or(FormatError::UnexpectedEnd { what })?;
    *input = rest;
    Ok(taken)
}

/// Maps small differences of either sign, modulo 2^64, to small numbers.
pub(crate) fn zigzag(difference: u64) -> u64 {
    let signed = difference as i64;
    ((signed << 1) ^ (signed >> 63)) as u64
}

/// Inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_encodings() {
        let check = |value, bytes: &[u8]| {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(read_varint(&mut &out[..], "value").unwrap(), value);
        };
        check(0, &[0]);
        check(127, &[0x7f]);
        check(128, &[0x80, 1]);
        check(300, &[0xac, 2]);
        check(u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }

    #[test]
    fn damage_is_an_error() {
        assert!(read_varint(&mut &[][..], "value").is_err());
        assert!(read_varint(&mut &[0x80][..], "value").is_err());
        assert!(read_varint(&mut &[0xff; 10][..], "value").is_err());
        assert!(read_bounded(&mut &[5][..], "value", 4).is_err());
    }

    #[test]
    fn varints_are_skipped() {
        let values: Vec<u64> = (0..200).map(|n| (n * n * n) << (n % 40)).collect();
        let mut bytes = Vec::new();
        values.iter().for_each(|&value| write_varint(&mut bytes, value));
        for from in 0..=values.len() {
            let mut rest = &bytes[..];
            skip_varints(&mut rest, from);
            for &value in &values[from..] {
                assert_eq!(read_varint(&mut rest, "").unwrap(), value, "from {from}");
            }
            assert!(rest.is_empty());
        }
        let mut rest = &bytes[..];
        skip_varints(&mut rest, usize::MAX);
        assert!(rest.is_empty());
    }

    proptest! {
        #[test]
        fn all_lengths_are_read_alike(value: u64, shift in 0..64u32, behind: [u8; 9], of in 0..10usize) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            bytes.extend(&behind[..of.min(behind.len())]);
            let (mut fast, mut slow) = (&bytes[..], &bytes[..]);
            prop_assert_eq!(read_varint(&mut fast, "value").unwrap(), value);
            prop_assert_eq!(read_any_varint(&mut slow, "value").unwrap(), value);
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn zigzag_round_trips(value: u64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
