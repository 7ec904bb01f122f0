//! Blocks as they are in the file, to be decoded at another time or elsewhere.

use std::io::Read;

use zstd::stream::read::Decoder;

use crate::allocations::decode_allocations;
use crate::block::{BLOCK_HEADER_LEN, BlockHeader, Codec};
use crate::block_kind::BlockKind;
use crate::calls::{Call, CallNumbers, decode_bare_calls, decode_calls, decode_chosen_calls};
use crate::content::{Block, Damage};
use crate::cpu_times::decode_cpu_times;
use crate::error::FormatError;
use crate::heap_counts::decode_heap_counts;
use crate::names::decode_names;
use crate::record::read_records;
use crate::samples::decode_samples;
use crate::stacks::StackDefs;
use crate::texts::TextDefs;
use crate::totals::decode_totals;
use crate::waits::decode_waits;

/// Bytes that are decompressed at a time when only the first columns are needed.
const FRONT: usize = 1 << 17;

/// A block as it is in the file, whose checksum is right.
#[derive(Debug, Clone)]
pub struct StoredBlock {
    header: BlockHeader,
    offset: u64,
    payload: Vec<u8>,
}

/// Memory of blocks that are done with, for further ones: to ask the system for
/// that of each takes as long as to decode it.
#[derive(Debug, Default)]
pub struct Spare {
    /// What a payload was decompressed to.
    pub raw: Vec<u8>,
    /// Rows of a block of calls.
    pub calls: Vec<Call>,
}

impl StoredBlock {
    pub(crate) fn new(header: BlockHeader, offset: u64, payload: Vec<u8>) -> Self {
        StoredBlock { header, offset, payload }
    }

    /// What its header says.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// Where it starts in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the next one starts.
    pub(crate) fn end(&self) -> u64 {
        self.offset + (BLOCK_HEADER_LEN + self.payload.len()) as u64
    }

    /// Bytes of its payload after decompression.
    pub fn raw_len(&self) -> usize {
        self.header.raw_len as usize
    }

    /// What it holds.
    pub fn kind(&self) -> BlockKind {
        self.header.kind
    }

    /// What it says, or what is wrong with it.
    pub fn decode(&self) -> Result<Block, Damage> {
        let decoded = self.decompress(&mut Vec::new()).and_then(|payload| match self.header.kind {
            BlockKind::CALLS => Ok(Block::Calls(decode_calls(payload)?)),
            BlockKind::FUNCTION_CALLS => Ok(Block::FunctionCalls(decode_calls(payload)?)),
            _ => self.decode_payload(payload),
        });
        decoded.map_err(|cause| self.damaged(&cause))
    }

    /// The same, but system calls are without arguments and texts, and are put
    /// into the memory of others.
    pub fn decode_bare(&self, spare: &mut Spare) -> Result<Block, Damage> {
        let Spare { raw, calls } = spare;
        let decoded = self.decompress(raw).and_then(|payload| match self.header.kind {
            BlockKind::CALLS => {
                Ok(Block::Calls(decode_bare_calls(payload, std::mem::take(calls))?))
            }
            BlockKind::FUNCTION_CALLS => {
                Ok(Block::FunctionCalls(decode_bare_calls(payload, Vec::new())?))
            }
            _ => self.decode_payload(payload),
        });
        decoded.map_err(|cause| self.damaged(&cause))
    }

    /// Of a block of calls, the rows that `choose` gives, ascending, and how many
    /// there are in all. If it gives none, only as much is decompressed as it can
    /// look at.
    pub fn decode_chosen_calls(
        &self,
        spare: &mut Spare,
        choose: impl FnOnce(&CallNumbers<'_>) -> Result<Vec<usize>, FormatError>,
    ) -> Result<(Vec<Call>, usize), Damage> {
        self.choose_calls(&mut spare.raw, choose).map_err(|cause| self.damaged(&cause))
    }

    fn choose_calls(
        &self,
        raw: &mut Vec<u8>,
        choose: impl FnOnce(&CallNumbers<'_>) -> Result<Vec<usize>, FormatError>,
    ) -> Result<(Vec<Call>, usize), FormatError> {
        let mut payload = Payload::new(&self.header, &self.payload, raw)?;
        while !CallNumbers::are_in(payload.raw()) && payload.read(FRONT)? {}
        let numbers = CallNumbers::of(payload.raw(), self.header.last_ns)?;
        let (rows, all) = (choose(&numbers)?, numbers.rows());
        if rows.is_empty() {
            return Ok((Vec::new(), all));
        }
        payload.read(self.raw_len())?;
        Ok((decode_chosen_calls(payload.raw(), &rows)?, all))
    }

    fn damaged(&self, cause: &FormatError) -> Damage {
        let (offset, kind) = (self.offset, self.header.kind);
        Damage::BadBlock { offset, kind, cause: cause.to_string() }
    }

    fn decode_payload(&self, payload: &[u8]) -> Result<Block, FormatError> {
        Ok(match self.header.kind {
            BlockKind::RECORDS => Block::Records(read_records(payload)?),
            BlockKind::STACKS => Block::Stacks(StackDefs::decode(payload)?),
            BlockKind::SAMPLES => Block::Samples(decode_samples(payload)?),
            BlockKind::WAITS => Block::Waits(decode_waits(payload)?),
            BlockKind::TEXTS => Block::Texts(TextDefs::decode(payload)?),
            BlockKind::CALL_DATA => Block::CallData(TextDefs::decode(payload)?),
            BlockKind::TOTALS => Block::Totals(decode_totals(payload)?),
            BlockKind::ALLOCATIONS => Block::Allocations(decode_allocations(payload)?),
            BlockKind::HEAP_COUNTS => Block::HeapCounts(decode_heap_counts(payload)?),
            BlockKind::CPU_TIMES => Block::CpuTimes(decode_cpu_times(payload)?),
            BlockKind::NAMES => Block::Names(decode_names(payload)?),
            other => {
                let value = other.0.into();
                return Err(FormatError::InvalidValue { what: "kind of block", value });
            }
        })
    }

    fn decompress<'a>(&'a self, memory: &'a mut Vec<u8>) -> Result<&'a [u8], FormatError> {
        decompress(&self.header, &self.payload, memory)
    }
}

/// A payload that is decompressed as far as it is needed.
enum Payload<'a> {
    Stored(&'a [u8]),
    Compressed { decoder: Decoder<'static, &'a [u8]>, raw: &'a mut Vec<u8>, raw_len: usize },
}

impl<'a> Payload<'a> {
    fn new(
        header: &BlockHeader,
        stored: &'a [u8],
        raw: &'a mut Vec<u8>,
    ) -> Result<Self, FormatError> {
        raw.clear();
        let raw_len = header.raw_len as usize;
        Ok(match header.codec {
            Codec::None => Payload::Stored(stored),
            Codec::Zstd => {
                let decoder = Decoder::with_buffer(stored).map_err(FormatError::Decompress)?;
                Payload::Compressed { decoder, raw, raw_len }
            }
        })
    }

    /// As much as was decompressed.
    fn raw(&self) -> &[u8] {
        match self {
            Payload::Stored(raw) => raw,
            Payload::Compressed { raw, .. } => raw,
        }
    }

    /// Decompresses so many bytes more; says whether there were any.
    fn read(&mut self, bytes: usize) -> Result<bool, FormatError> {
        let Payload::Compressed { decoder, raw, raw_len } = self else { return Ok(false) };
        let most = bytes.min(*raw_len - raw.len()) as u64;
        let read = decoder.take(most).read_to_end(raw).map_err(FormatError::Decompress)?;
        Ok(read > 0)
    }
}

/// A block's payload as it was before compression, in `memory` if it was compressed.
pub(crate) fn decompress<'a>(
    header: &BlockHeader,
    stored: &'a [u8],
    memory: &'a mut Vec<u8>,
) -> Result<&'a [u8], FormatError> {
    let raw_len = header.raw_len as usize;
    let raw = match header.codec {
        Codec::None => stored,
        Codec::Zstd => {
            memory.resize(raw_len, 0);
            let length = zstd::bulk::decompress_to_buffer(stored, memory)
                .map_err(FormatError::Decompress)?;
            &memory[..length]
        }
    };
    if raw.len() != raw_len {
        let value = header.raw_len.into();
        return Err(FormatError::InvalidValue { what: "raw length of block", value });
    }
    Ok(raw)
}
