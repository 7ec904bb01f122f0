//! Values as Python's `marshal` writes them, as far as numbers, texts and tables go.
//!
//! No length is believed: texts are read in pieces, and lists grow as their elements come. An
//! object that is mentioned again is the same one, so that references cannot multiply.

use std::io::{self, Read};
use std::rc::Rc;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Tuple(Rc<[Value]>),
    Dict(Rc<[(Value, Value)]>),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Read(io::Error),
    #[error("its end is missing")]
    Cut,
    #[error("a value of kind {0:#x}")]
    Kind(u8),
    #[error("a reference to nothing")]
    Reference,
    #[error("a text of {0} bytes")]
    Length(u32),
    #[error("values are too deep in each other")]
    Depth,
    #[error("too many values")]
    TooMany,
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Cut,
            _ => Error::Read(error),
        }
    }
}

/// Tables and lists within each other, at most.
const MAX_DEPTH: usize = 8;
/// Values, at most.
const MAX_VALUES: usize = 1 << 24;
/// Longest text, in bytes.
const MAX_TEXT: u32 = 1 << 20;
/// Set in the kind of an object that is mentioned again.
const IS_REFERENCED: u8 = 0x80;

/// Reads one value.
pub(super) fn read(input: impl Read) -> Result<Value, Error> {
    let mut reader = Reader { input, count: 0, objects: Vec::new(), texts: Vec::new() };
    reader.value(0)?.ok_or(Error::Kind(b'0'))
}

struct Reader<R> {
    input: R,
    /// Values so far.
    count: usize,
    /// What references lead to.
    objects: Vec<Value>,
    /// The same of Python 2, for texts.
    texts: Vec<Value>,
}

impl<R: Read> Reader<R> {
    /// A value; `None` at the end of a table.
    fn value(&mut self, depth: usize) -> Result<Option<Value>, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::Depth);
        }
        self.count += 1;
        if self.count > MAX_VALUES {
            return Err(Error::TooMany);
        }
        let [kind] = self.bytes()?;
        let is_referenced = kind & IS_REFERENCED != 0;
        let kind = kind & !IS_REFERENCED;
        // An object has its number before those that are in it.
        let number = self.objects.len();
        if is_referenced {
            self.objects.push(Value::None);
        }
        let value = match kind {
            b'0' => return Ok(None),
            b'N' => Value::None,
            b'F' => Value::Int(0),
            b'T' => Value::Int(1),
            b'i' => Value::Int(i32::from_le_bytes(self.bytes()?).into()),
            b'I' => Value::Int(i64::from_le_bytes(self.bytes()?)),
            b'l' => Value::Int(self.long()?),
            b'g' => Value::Float(f64::from_le_bytes(self.bytes()?)),
            b'f' => {
                let [length] = self.bytes()?;
                let Value::Text(text) = self.text(length.into())? else { return Err(Error::Cut) };
                Value::Float(text.parse().unwrap_or(f64::NAN))
            }
            b'z' | b'Z' => {
                let [length] = self.bytes()?;
                self.text(length.into())?
            }
            b's' | b'u' | b'a' | b'A' => {
                let length = self.u32()?;
                self.text(length)?
            }
            b't' => {
                let length = self.u32()?;
                let text = self.text(length)?;
                self.texts.push(text.clone());
                text
            }
            b'R' => {
                let number = self.u32()? as usize;
                self.texts.get(number).cloned().ok_or(Error::Reference)?
            }
            b'r' => {
                let number = self.u32()? as usize;
                self.objects.get(number).cloned().ok_or(Error::Reference)?
            }
            b')' => {
                let [count] = self.bytes()?;
                self.tuple(count.into(), depth)?
            }
            b'(' => {
                let count = self.u32()?;
                self.tuple(count, depth)?
            }
            b'{' => {
                let mut entries = Vec::new();
                while let Some(key) = self.value(depth + 1)? {
                    let value = self.value(depth + 1)?.ok_or(Error::Kind(b'0'))?;
                    entries.push((key, value));
                }
                Value::Dict(entries.into())
            }
            other => return Err(Error::Kind(other)),
        };
        if is_referenced {
            self.objects[number] = value.clone();
        }
        Ok(Some(value))
    }

    fn tuple(&mut self, count: u32, depth: usize) -> Result<Value, Error> {
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(self.value(depth + 1)?.ok_or(Error::Kind(b'0'))?);
        }
        Ok(Value::Tuple(values.into()))
    }

    /// A whole number in digits of 15 bits; one that is too large is the largest.
    fn long(&mut self) -> Result<i64, Error> {
        let count = i32::from_le_bytes(self.bytes()?);
        let mut value = 0_i64;
        for at in 0..count.unsigned_abs() {
            let digit = i64::from(u16::from_le_bytes(self.bytes()?));
            let shifted = if at < 4 { digit << (15 * at) } else { i64::from(digit > 0) * i64::MAX };
            value = value.saturating_add(shifted);
        }
        Ok(if count < 0 { -value } else { value })
    }

    fn text(&mut self, length: u32) -> Result<Value, Error> {
        if length > MAX_TEXT {
            return Err(Error::Length(length));
        }
        let mut bytes = Vec::new();
        self.input.by_ref().take(length.into()).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != u64::from(length) {
            return Err(Error::Cut);
        }
        Ok(Value::Text(String::from_utf8_lossy(&bytes).into()))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
