//! The fields of a protobuf message, one at a time.
//!
//! A profile may be larger than memory once it is decompressed, and a few
//! kilobytes may decompress to gigabytes: nothing but one field is held.

use std::io::{BufRead, Read};

use super::super::ImportError;

/// Largest field that is read, in bytes.
const MAX_FIELD: u64 = 4 << 20;

/// What a field holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    /// A fixed-size number, which profiles have none of.
    Fixed,
}

/// Reads the fields of a message that is all of a stream.
pub(super) struct Fields<R> {
    reader: R,
    bytes: Vec<u8>,
}

impl<R: BufRead> Fields<R> {
    pub(super) fn new(reader: R) -> Self {
        Fields { reader, bytes: Vec::new() }
    }

    /// The next field and its number; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'_>)>, ImportError> {
        if self.reader.fill_buf().map_err(ImportError::Read)?.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        if key >> 3 == 0 {
            return Err(damaged("a field without a number".to_owned()));
        }
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let length = self.varint()?;
                if length > MAX_FIELD {
                    return Err(damaged(format!("a field of {length} bytes")));
                }
                self.read(length)?;
                Value::Bytes(&self.bytes)
            }
            5 => self.skip(4)?,
            other => return Err(damaged(format!("a field of wire type {other}"))),
        };
        Ok(Some((key >> 3, value)))
    }

    fn varint(&mut self) -> Result<u64, ImportError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.reader.read_exact(&mut byte).map_err(early)?;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged("a number of more than 64 bits".to_owned()))
    }

    fn skip(&mut self, length: u64) -> Result<Value<'static>, ImportError> {
        self.read(length)?;
        Ok(Value::Fixed)
    }

    fn read(&mut self, length: u64) -> Result<(), ImportError> {
        self.bytes.clear();
        let read = self.reader.by_ref().take(length).read_to_end(&mut self.bytes);
        if read.map_err(early)? as u64 != length {
            return Err(damaged("it ends early".to_owned()));
        }
        Ok(())
    }
}

/// The profile cannot be read any further.
pub(super) fn damaged(what: String) -> ImportError {
    ImportError::Unusable(format!("damaged profile: {what}"))
}

fn early(error: std::io::Error) -> ImportError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => damaged("it ends early".to_owned()),
        _ => ImportError::Read(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_kinds() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x20, 5];
        let mut fields = Fields::new(&bytes[..]);
        assert_eq!(fields.next().unwrap(), Some((1, Value::Number(150))));
        assert_eq!(fields.next().unwrap(), Some((2, Value::Bytes(b"hi"))));
        assert_eq!(fields.next().unwrap(), Some((3, Value::Fixed)));
        assert_eq!(fields.next().unwrap(), Some((4, Value::Number(5))));
        assert_eq!(fields.next().unwrap(), None);
    }

    #[test]
    fn damage_is_an_error() {
        let large: &[u8] = &[0x12, 0xff, 0xff, 0xff, 0xff, 0x7f];
        let long: &[u8] = &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        for bytes in [&[0x12, 5, b'h'][..], &[0x08], &[0x08, 0x80], &[0x0b], &[0, 0], large, long] {
            assert!(Fields::new(bytes).next().is_err(), "{bytes:?}");
        }
    }
}
