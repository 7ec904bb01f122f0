//! The records of a file, in its order.
//!
//! Compressed ones are records of a stream that is compressed as a whole; they
//! may end in the middle of one. Nothing but one record is held.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use zstd::stream::raw::{Decoder, Operation};

use super::bytes::Bytes;

/// Record types that the kernel has not made.
pub(super) mod user {
    pub const HEADER_ATTR: u32 = 64;
    pub const TRACING_DATA: u32 = 66;
    pub const BUILD_ID: u32 = 67;
    pub const FINISHED_ROUND: u32 = 68;
    pub const AUXTRACE: u32 = 71;
    pub const EVENT_UPDATE: u32 = 78;
    pub const HEADER_FEATURE: u32 = 80;
    pub const COMPRESSED: u32 = 81;
    pub const COMPRESSED2: u32 = 83;
    /// The first of them.
    pub const FIRST: u32 = 64;
}

const HEADER_LEN: usize = 8;
/// Bytes that are decompressed at a time.
const CHUNK: usize = 128 << 10;

/// A record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'b> {
    pub(super) kind: u32,
    pub(super) misc: u16,
    /// What follows its header.
    pub(super) body: &'b [u8],
}

/// How reading ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ending {
    /// The file ends within a record.
    pub(super) is_early: bool,
    /// A record has an impossible size, so what follows it cannot be found.
    pub(super) is_damaged: bool,
    /// Compressed records that could not be decompressed.
    pub(super) undecompressed: u64,
}

/// Calls `take` with each record in `length` bytes of a file from `offset` on,
/// or in all that follows.
pub(super) fn for_records<E>(
    file: &mut File,
    (offset, length): (u64, Option<u64>),
    is_big_endian: bool,
    mut take: impl FnMut(Raw<'_>) -> Result<(), E>,
) -> Result<Ending, E>
where
    E: From<ReadError>,
{
    file.seek(SeekFrom::Start(offset)).map_err(ReadError)?;
    let file = BufReader::with_capacity(1 << 20, file).take(length.unwrap_or(u64::MAX));
    let mut reader =
        RecordReader { file, is_big_endian, body: Vec::new(), ending: Ending::default() };
    let mut inflated = Inflated::new().map_err(ReadError)?;
    while let Some((kind, misc)) = reader.next().map_err(ReadError)? {
        let raw = Raw { kind, misc, body: &reader.body };
        let compressed = match kind {
            user::COMPRESSED => Some(raw.body),
            user::COMPRESSED2 => {
                let mut body = Bytes::new(raw.body, is_big_endian);
                let data = body.u64().and_then(|length| body.take(length));
                Some(data.unwrap_or_default())
            }
            _ => None,
        };
        match compressed {
            None => take(raw)?,
            Some(data) => {
                if !inflated.add(data, is_big_endian, &mut take)? {
                    reader.ending.undecompressed += 1;
                }
            }
        }
    }
    Ok(reader.ending)
}

/// The file could not be read.
#[derive(Debug)]
pub(super) struct ReadError(pub(super) io::Error);

struct RecordReader<R> {
    file: R,
    is_big_endian: bool,
    body: Vec<u8>,
    ending: Ending,
}

impl<R: Read> RecordReader<R> {
    /// Reads the next record's body, and says what it is.
    fn next(&mut self) -> io::Result<Option<(u32, u16)>> {
        if !self.read(HEADER_LEN as u64)? {
            self.ending.is_early = !self.body.is_empty();
            return Ok(None);
        }
        let Some((kind, misc, length)) = header(&self.body, self.is_big_endian) else {
            self.ending.is_damaged = true;
            return Ok(None);
        };
        if !self.read(length)? {
            self.ending.is_early = true;
            return Ok(None);
        }
        // These are followed by data that is not part of the record.
        let mut body = Bytes::new(&self.body, self.is_big_endian);
        let more = match kind {
            user::AUXTRACE => body.u64().unwrap_or(0),
            user::TRACING_DATA => body.u32().unwrap_or(0).into(),
            _ => 0,
        };
        let skipped = io::copy(&mut self.file.by_ref().take(more), &mut io::sink())?;
        self.ending.is_early = skipped < more;
        Ok(Some((kind, misc)))
    }

    /// Reads `length` bytes; `false` if there are not so many.
    fn read(&mut self, length: u64) -> io::Result<bool> {
        self.body.clear();
        Ok(self.file.by_ref().take(length).read_to_end(&mut self.body)? as u64 == length)
    }
}

/// Type, flags and length of the body, from a record's header.
fn header(bytes: &[u8], is_big_endian: bool) -> Option<(u32, u16, u64)> {
    let mut bytes = Bytes::new(bytes, is_big_endian);
    let (kind, misc, size) = (bytes.u32()?, bytes.u16()?, bytes.u16()?);
    Some((kind, misc, u64::from(size).checked_sub(HEADER_LEN as u64)?))
}

/// The stream inside compressed records.
struct Inflated {
    decoder: Decoder<'static>,
    /// What was decompressed, from the beginning of a record on.
    bytes: Vec<u8>,
    chunk: Vec<u8>,
}

impl Inflated {
    fn new() -> io::Result<Self> {
        Ok(Inflated { decoder: Decoder::new()?, bytes: Vec::new(), chunk: vec![0; CHUNK] })
    }

    /// Takes the records that some more bytes of the stream complete; `false`
    /// if they cannot be decompressed.
    fn add<E: From<ReadError>>(
        &mut self,
        mut data: &[u8],
        is_big_endian: bool,
        take: &mut impl FnMut(Raw<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        loop {
            let Ok(status) = self.decoder.run_on_buffers(data, &mut self.chunk) else {
                self.bytes.clear();
                self.decoder.reinit().map_err(ReadError)?;
                return Ok(false);
            };
            data = &data[status.bytes_read..];
            self.bytes.extend_from_slice(&self.chunk[..status.bytes_written]);
            let mut rest = &self.bytes[..];
            while rest.len() >= HEADER_LEN {
                let Some((kind, misc, length)) = header(rest, is_big_endian) else {
                    self.bytes.clear();
                    return Ok(false);
                };
                let Some((record, others)) = rest.split_at_checked(HEADER_LEN + length as usize)
                else {
                    break;
                };
                rest = others;
                take(Raw { kind, misc, body: &record[HEADER_LEN..] })?;
            }
            let done = self.bytes.len() - rest.len();
            self.bytes.drain(..done);
            let is_idle = status.bytes_read == 0 && status.bytes_written == 0;
            if is_idle || (data.is_empty() && status.bytes_written < self.chunk.len()) {
                return Ok(true);
            }
        }
    }
}
