//! The index at the end of a cleanly closed trace: where each block is.

use std::io::{self, Read, Seek, SeekFrom};

use crate::block::{BLOCK_HEADER_LEN, BlockHeader};
use crate::block_kind::BlockKind;
use crate::column::{Column, Table, TableWriter};
use crate::error::FormatError;
use crate::header::{HEADER_LEN, u64_at};

/// Bytes that end a cleanly closed trace.
pub(crate) const TRAILER_MAGIC: [u8; 8] = *b"RZ1end\r\n";
/// Size of the trailer: offset of the index block, then the magic bytes.
pub(crate) const TRAILER_LEN: usize = 16;

/// Where a block is and what it spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// Offset of the block header in the file.
    pub offset: u64,
    /// What the block holds.
    pub kind: BlockKind,
    /// Length of its stored payload in bytes.
    pub stored_len: u32,
    /// Earliest time in the block, in nanoseconds on the trace's clock.
    pub first_ns: u64,
    /// Latest time in the block.
    pub last_ns: u64,
}

impl IndexEntry {
    pub(crate) fn new(offset: u64, header: &BlockHeader) -> Self {
        IndexEntry {
            offset,
            kind: header.kind,
            stored_len: header.stored_len,
            first_ns: header.first_ns,
            last_ns: header.last_ns,
        }
    }
}

/// Columns of the index table.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*};

    pub const OFFSET: Column = Column::new(0, Delta);
    pub const KIND: Column = Column::new(1, RunLength);
    pub const STORED_LEN: Column = Column::new(2, Plain);
    pub const FIRST: Column = Column::new(3, Delta);
    pub const LAST: Column = Column::new(4, Delta);
    pub const ALL: Columns = &[&[OFFSET, KIND, STORED_LEN, FIRST, LAST]];
}

/// The payload of an index block.
pub(crate) fn encode_index(entries: &[IndexEntry]) -> Vec<u8> {
    let mut table = TableWriter::new(column::ALL, entries.len());
    let mut column =
        |column, value: fn(&IndexEntry) -> u64| table.column(column, entries.iter().map(value));
    column(column::OFFSET, |e| e.offset);
    column(column::KIND, |e| e.kind.0.into());
    column(column::STORED_LEN, |e| e.stored_len.into());
    column(column::FIRST, |e| e.first_ns);
    column(column::LAST, |e| e.last_ns);
    table.finish()
}

/// Reads the payload of an index block.
pub(crate) fn decode_index(mut payload: &[u8]) -> Result<Vec<IndexEntry>, FormatError> {
    let table = Table::read(&mut payload)?;
    let invalid = |what, value| FormatError::InvalidValue { what, value };
    const COLUMNS: [Column; 5] =
        [column::OFFSET, column::KIND, column::STORED_LEN, column::FIRST, column::LAST];
    table.each_row(COLUMNS, |[offset, kind, length, first_ns, last_ns]| {
        Ok(IndexEntry {
            offset,
            kind: BlockKind(kind.try_into().map_err(|_| invalid("block kind", kind))?),
            stored_len: length.try_into().map_err(|_| invalid("block length", length))?,
            first_ns,
            last_ns,
        })
    })
}

/// The last bytes of a cleanly closed trace.
pub(crate) fn trailer(index_offset: u64) -> [u8; TRAILER_LEN] {
    let mut bytes = [0; TRAILER_LEN];
    bytes[..8].copy_from_slice(&index_offset.to_le_bytes());
    bytes[8..].copy_from_slice(&TRAILER_MAGIC);
    bytes
}

/// Offset of the index block of a cleanly closed trace, `None` for others.
pub(crate) fn find_index(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let length = file.seek(SeekFrom::End(0))?;
    if length < (HEADER_LEN + BLOCK_HEADER_LEN + TRAILER_LEN) as u64 {
        return Ok(None);
    }
    file.seek(SeekFrom::End(-(TRAILER_LEN as i64)))?;
    let mut bytes = [0; TRAILER_LEN];
    file.read_exact(&mut bytes)?;
    let offset = u64_at(&bytes, 0);
    let last_possible = length - (TRAILER_LEN + BLOCK_HEADER_LEN) as u64;
    let good = bytes[8..] == TRAILER_MAGIC && (HEADER_LEN as u64..=last_possible).contains(&offset);
    Ok(good.then_some(offset))
}
