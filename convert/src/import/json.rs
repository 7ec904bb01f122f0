//! Inputs that are JSON.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::thread;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::ImportError;

/// Files of so many bytes are parsed in memory, which takes half the time of parsing a stream.
const MAX_IN_MEMORY: u64 = 64 << 20;

/// What a file has, of which what is not asked for is skipped.
pub(super) fn read<T: DeserializeOwned>(file: &File, what: &str) -> Result<T, ImportError> {
    let is_small = file.metadata().is_ok_and(|meta| meta.len() <= MAX_IN_MEMORY);
    let parsed = if is_small {
        let mut bytes = Vec::new();
        file.take(MAX_IN_MEMORY).read_to_end(&mut bytes).map_err(ImportError::Read)?;
        serde_json::from_slice(&bytes)
    } else {
        serde_json::from_reader(buffered(file))
    };
    parsed.map_err(|error| failed(&error, what))
}

/// Lists and objects within each other, at most, where a tree is written so.
const MAX_DEPTH: usize = 2_000;
/// Bytes of stack that are enough for these.
const STACK: usize = 256 << 20;

/// The same of what may have far more in each other than JSON usually has.
pub(super) fn read_nested<T: DeserializeOwned + Send>(
    mut file: &File,
    what: &str,
) -> Result<T, ImportError> {
    let depth = depth(buffered(file)).map_err(ImportError::Read)?;
    if depth > MAX_DEPTH {
        let message = format!("damaged {what}: {depth} lists and objects are in each other");
        return Err(ImportError::Unusable(message));
    }
    file.rewind().map_err(ImportError::Read)?;
    let parse = || {
        let mut parser = serde_json::Deserializer::from_reader(buffered(file));
        parser.disable_recursion_limit();
        let value = T::deserialize(&mut parser)?;
        parser.end()?;
        Ok(value)
    };
    let parsed = thread::scope(|scope| {
        let parser = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, parse);
        parser.map(|parser| parser.join().expect("the parser does not panic"))
    });
    parsed.map_err(ImportError::Read)?.map_err(|error| failed(&error, what))
}

/// How many lists and objects are in each other.
fn depth(mut reader: impl BufRead) -> io::Result<usize> {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut is_text, mut is_escaped) = (false, false);
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(deepest);
        }
        for byte in bytes {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = is_text,
                b'"' => is_text = !is_text,
                _ if is_text => {}
                b'[' | b'{' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        let length = bytes.len();
        reader.consume(length);
    }
}

pub(super) fn buffered(file: &File) -> BufReader<&File> {
    BufReader::with_capacity(256 << 10, file)
}

/// Why JSON cannot be read: the file, or what is in it.
fn failed(error: &serde_json::Error, what: &str) -> ImportError {
    match error.io_error_kind() {
        Some(kind) => ImportError::Read(kind.into()),
        None => ImportError::Unusable(format!("damaged {what}: {error}")),
    }
}

/// A number, if it is one; some are written as texts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Number(pub(super) Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNumber)
    }
}

struct AnyNumber;

impl<'de> Visitor<'de> for AnyNumber {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        Ok(Number(Some(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number(Some(number as f64)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(Number(Some(number as f64)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_str<E>(self, text: &str) -> Result<Number, E> {
        Ok(Number(text.trim().parse().ok()))
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Number, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }
}

impl Number {
    /// The number, or 0.
    pub(super) fn or_zero(self) -> f64 {
        self.0.unwrap_or(0.0)
    }

    /// The same as one that something is known by.
    pub(super) fn id(self) -> u32 {
        // A cast makes 0 of what is below.
        self.or_zero() as u32
    }
}
