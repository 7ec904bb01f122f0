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

/// Takes a varint off the front of `input`.
pub(crate) fn read_varint(input: &mut &[u8], what: &'static str) -> Result<u64, FormatError> {
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

    proptest! {
        #[test]
        fn zigzag_round_trips(value: u64) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
