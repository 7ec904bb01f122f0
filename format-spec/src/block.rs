//! The frame around every block: a fixed header, then a payload that
//! decompresses alone.

use crate::block_kind::BlockKind;
use crate::error::FormatError;
use crate::header::{u32_at, u64_at};

/// Bytes that start every block.
pub const SYNC: [u8; 4] = *b"\xf5RZB";
/// Size of a block header in bytes.
pub const BLOCK_HEADER_LEN: usize = 40;
/// Largest payload, stored or decompressed, in bytes.
pub const MAX_PAYLOAD: usize = 16 << 20;
/// Most rows in a block of events or definitions.
pub const MAX_ROWS: usize = 1 << 20;

/// Offset of the block's checksum in its header.
const CHECKSUM_AT: usize = BLOCK_HEADER_LEN - 4;

/// How a payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// As it is.
    None,
    /// One zstd frame.
    Zstd,
}

/// A block header's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// What the block holds.
    pub kind: BlockKind,
    /// How the payload is stored.
    pub codec: Codec,
    /// Position in the order of writing, from 0; a gap means lost blocks.
    pub sequence: u32,
    /// Length of the payload as stored, in bytes.
    pub stored_len: u32,
    /// Length of the payload after decompression, in bytes.
    pub raw_len: u32,
    /// Earliest time in the block, in nanoseconds on the trace's clock.
    pub first_ns: u64,
    /// Latest time in the block.
    pub last_ns: u64,
}

impl BlockHeader {
    /// The header as bytes, with the checksum over it and `payload`.
    pub(crate) fn to_bytes(self, payload: &[u8]) -> [u8; BLOCK_HEADER_LEN] {
        let mut bytes = [0; BLOCK_HEADER_LEN];
        bytes[0..4].copy_from_slice(&SYNC);
        bytes[4..6].copy_from_slice(&self.kind.0.to_le_bytes());
        bytes[6] = self.codec as u8;
        bytes[8..12].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.stored_len.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.raw_len.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.first_ns.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.last_ns.to_le_bytes());
        let checksum = block_checksum(&bytes, payload);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header; fails if it cannot be one.
    pub(crate) fn from_bytes(bytes: &[u8; BLOCK_HEADER_LEN]) -> Result<Self, FormatError> {
        if bytes[0..4] != SYNC {
            let value = u32_at(bytes, 0).into();
            return Err(FormatError::InvalidValue { what: "block sync marker", value });
        }
        let codec = match bytes[6] {
            0 => Codec::None,
            1 => Codec::Zstd,
            other => {
                return Err(FormatError::InvalidValue { what: "codec", value: other.into() });
            }
        };
        let header = BlockHeader {
            kind: BlockKind(u16::from_le_bytes([bytes[4], bytes[5]])),
            codec,
            sequence: u32_at(bytes, 8),
            stored_len: u32_at(bytes, 12),
            raw_len: u32_at(bytes, 16),
            first_ns: u64_at(bytes, 20),
            last_ns: u64_at(bytes, 28),
        };
        for length in [header.stored_len, header.raw_len] {
            check_payload_len(length as usize)?;
        }
        Ok(header)
    }
}

/// The checksum stored in a block header.
pub(crate) fn stored_checksum(header: &[u8; BLOCK_HEADER_LEN]) -> u32 {
    u32_at(header, CHECKSUM_AT)
}

/// CRC32C over a block header (without the checksum itself) and its payload.
pub(crate) fn block_checksum(header: &[u8; BLOCK_HEADER_LEN], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..CHECKSUM_AT]), payload)
}

/// Fails for a payload beyond what the format allows.
pub(crate) fn check_payload_len(length: usize) -> Result<(), FormatError> {
    if length > MAX_PAYLOAD {
        return Err(FormatError::BlockTooLarge {
            length: length as u64,
            limit: MAX_PAYLOAD as u64,
        });
    }
    Ok(())
}
