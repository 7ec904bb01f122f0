//! Recordings of Java Flight Recorder, and of async-profiler in its format.
//!
//! ```text
//! chunk ─► metadata: what events and values are made of ─┐
//!   ├────► checkpoints: values by number (pools)        ─┼► samples
//!   └────► events                                       ─┘
//! ```
//!
//! A file has one chunk or more, each of which can be read without the others.

mod bytes;
mod chunk;
mod events;
mod metadata;
mod pools;

use std::io::{Read, Seek, SeekFrom, Write};

use self::chunk::Chunk;
use self::events::Samples;
use super::output::Output;
use super::{ImportError, Imported, Input};

/// Largest chunk that is read, in bytes: those of the virtual machine have 12 MB.
const MAX_CHUNK: u64 = 256 << 20;

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let first = read_chunk(input, 0)?;
    let chunk = Chunk::of(&first)?;
    let mut out = Output::begun(input, "jfr", chunk.start_unix_ns, out)?;
    let mut samples = Samples::begun(chunk.start_unix_ns);
    samples.add(&chunk, &mut out)?;
    let mut at = first.len() as u64;
    drop(first);
    while at < input.size {
        match read_chunk(input, at) {
            Ok(bytes) => {
                at += bytes.len() as u64;
                samples.add(&Chunk::of(&bytes)?, &mut out)?;
            }
            Err(ImportError::Unusable(why)) => {
                // The chunks before it do not need it: so it is if the machine was killed.
                out.note(format!("not all of the recording could be read: {why}"));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    samples.finish(out)
}

/// All bytes of the chunk that begins at a place of the file.
fn read_chunk(input: &Input, at: u64) -> Result<Vec<u8>, ImportError> {
    let mut file = &input.file;
    file.seek(SeekFrom::Start(at)).map_err(ImportError::Read)?;
    let mut bytes = Vec::new();
    file.take(chunk::HEADER as u64).read_to_end(&mut bytes).map_err(ImportError::Read)?;
    let size = chunk::size(&bytes)?;
    if size > input.size - at {
        return Err(damaged(format!("it ends early, in the chunk at {at:#x}")));
    }
    if size > MAX_CHUNK {
        return Err(damaged(format!("the chunk at {at:#x} has {size} bytes: too many")));
    }
    file.take(size - chunk::HEADER as u64).read_to_end(&mut bytes).map_err(ImportError::Read)?;
    Ok(bytes)
}

/// The recording cannot be read any further.
fn damaged(what: impl Into<String>) -> ImportError {
    ImportError::Unusable(format!("damaged recording of Java Flight Recorder: {}", what.into()))
}
