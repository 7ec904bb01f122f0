//! Older forms of profiles that pprof reads: of gperftools, of Google's C++ and Java servers,
//! and Go's texts (`?debug=1`).
//!
//! ```text
//! words of gperftools ─► binary ─┐
//! texts ─► heap, contention,     ├► draft ─► protobuf of pprof, read as any other
//!          count, threads, java ─┘
//! ```
//!
//! Values and addresses are what pprof makes of them. Go writes names beside its addresses,
//! for people; these are taken, too.

mod binary;
mod contention;
mod count;
mod draft;
mod heap;
mod java;
mod lines;
mod maps;
mod threads;

use std::io::{Read, Write};

use self::draft::Draft;
use super::super::{ImportError, Imported, Input};
use super::fields::damaged;

/// Largest profile that is read: they are sums, and small.
const MAX_SIZE: u64 = 128 << 20;

pub(in super::super) fn import(
    mut input: Input,
    out: &mut dyn Write,
) -> Result<Imported, ImportError> {
    if input.size > MAX_SIZE {
        return Err(damaged(format!("one of this form has {} bytes", input.size)));
    }
    let mut bytes = Vec::new();
    input.file.read_to_end(&mut bytes).map_err(ImportError::Read)?;
    let draft = match binary::read(&bytes)? {
        Some(draft) => draft,
        None => read_text(&String::from_utf8_lossy(&bytes))?,
    };
    drop(bytes);
    input.file = draft.write()?;
    super::import(input, out)
}

fn read_text(text: &str) -> Result<Draft, ImportError> {
    let readers = [heap::read, count::read, threads::read, java::read, contention::read];
    for read in readers {
        if let Some(draft) = read(text)? {
            return Ok(draft);
        }
    }
    Err(damaged("its first line says nothing that is known".to_owned()))
}
