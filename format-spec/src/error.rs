//! What can be wrong with a trace, each cause with its place and value.

use crate::block_kind::BlockKind;

/// Why a trace, or a part of one, cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file does not start with the magic number.
    #[error("not an rz trace: the file does not start with the rz magic number")]
    BadMagic,
    /// The magic number was altered by a transfer that converts line ends.
    #[error("the trace was damaged by a text-mode transfer; copy it again in binary mode")]
    TextModeDamage,
    /// The file is shorter than its header.
    #[error("not an rz trace: only {length} bytes long")]
    TooShort {
        /// Length of the file in bytes.
        length: u64,
    },
    /// The file header does not match its checksum.
    #[error(
        "the trace's file header is damaged (checksum {found:#010x}, expected {expected:#010x})"
    )]
    BadHeaderChecksum {
        /// Checksum stored in the header.
        expected: u32,
        /// Checksum of the bytes that are there.
        found: u32,
    },
    /// The trace needs a newer reader.
    #[error(
        "the trace has format {major}.{minor}, readable from {major}.{min_reader} on; \
         this program reads up to {ours_major}.{ours_minor}: use a newer rz"
    )]
    NewerFormat {
        /// Major version of the trace.
        major: u16,
        /// Minor version of the trace.
        minor: u16,
        /// Smallest minor version of a reader that understands the trace.
        min_reader: u16,
        /// Major version that this crate reads.
        ours_major: u16,
        /// Minor version that this crate reads.
        ours_minor: u16,
    },
    /// A block that must be understood is of a kind this reader does not know.
    #[error(
        "block kind {kind} at offset {offset} must be understood to read this trace: use a newer rz"
    )]
    UnknownCriticalBlock {
        /// The unknown kind.
        kind: BlockKind,
        /// Where the block starts in the file.
        offset: u64,
    },
    /// A value inside a block is outside its allowed range.
    #[error("invalid {what}: {value}")]
    InvalidValue {
        /// The field.
        what: &'static str,
        /// The value found.
        value: u64,
    },
    /// A block's payload ends inside a value.
    #[error("block payload ends inside {what}")]
    UnexpectedEnd {
        /// The field.
        what: &'static str,
    },
    /// A record does not decode as its tag says.
    #[error("record with tag {tag} does not decode: {source}")]
    BadRecord {
        /// The record's tag.
        tag: u8,
        /// What the decoder said.
        source: bincode::error::DecodeError,
    },
    /// A record could not be encoded.
    #[error("record cannot be encoded: {0}")]
    Encode(#[from] bincode::error::EncodeError),
    /// A block's payload does not decompress.
    #[error("block payload does not decompress: {0}")]
    Decompress(std::io::Error),
    /// A block is larger than the format allows.
    #[error("block payload of {length} bytes exceeds the limit of {limit}")]
    BlockTooLarge {
        /// Length of the payload in bytes.
        length: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
