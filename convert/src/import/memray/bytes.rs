//! Numbers and texts as memray writes them: little-endian, or seven bits to a byte.

use std::io::{self, BufRead, Read};

/// Longest text, and longest table of a function's lines, in bytes.
const MAX_LENGTH: u64 = 1 << 20;

/// Why a recording is read no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("{0}")]
    Read(io::Error),
    #[error("its end is missing")]
    Cut,
    #[error("{0}")]
    Wrong(&'static str),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Stop::Cut,
            _ => Stop::Read(error),
        }
    }
}

pub(super) struct Bytes<R> {
    input: R,
    /// Bytes that have been read.
    pub(super) at: u64,
}

impl<R: BufRead> Bytes<R> {
    pub(super) fn new(input: R) -> Self {
        Bytes { input, at: 0 }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Stop> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A number in pieces of seven bits, the lowest first.
    pub(super) fn varint(&mut self) -> Result<u64, Stop> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Stop::Wrong("a number is too long"))
    }

    /// The same, with the sign in the lowest bit.
    pub(super) fn signed(&mut self) -> Result<i64, Stop> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number as its difference to the last of its kind.
    pub(super) fn delta(&mut self, last: &mut u64) -> Result<u64, Stop> {
        *last = last.wrapping_add_signed(self.signed()?);
        Ok(*last)
    }

    /// A text up to a zero.
    pub(super) fn text(&mut self) -> Result<String, Stop> {
        let mut bytes = Vec::new();
        self.at += (&mut self.input).take(MAX_LENGTH).read_until(0, &mut bytes)? as u64;
        if bytes.pop_if(|last| *last == 0).is_none() {
            let is_long = bytes.len() as u64 == MAX_LENGTH;
            return Err(if is_long { Stop::Wrong("a text is too long") } else { Stop::Cut });
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A table behind its length.
    pub(super) fn table(&mut self) -> Result<Box<[u8]>, Stop> {
        let length = self.varint()?;
        if length > MAX_LENGTH {
            return Err(Stop::Wrong("a table of lines is too long"));
        }
        let mut bytes = Vec::new();
        self.at += (&mut self.input).take(length).read_to_end(&mut bytes)? as u64;
        if (bytes.len() as u64) < length { Err(Stop::Cut) } else { Ok(bytes.into()) }
    }
}
