//! How much a file may stand for, so that the work of a reader follows its size.
//!
//! Columns and compression make a block of a hundred bytes stand for a million rows.
//! What a real recording has is far below these limits: the most that was seen is 20
//! allocations in a byte, of a program that does nothing but allocate and free.

use crate::block_kind::BlockKind;

/// Rows of events that any file may have, and that it may have more for each byte.
const EVENTS: (u64, u64) = (1 << 24, 32);
/// The same of definitions: records, frames, stacks, texts and names.
const DEFINITIONS: (u64, u64) = (1 << 20, 2);
/// The same of bytes of the blocks that have definitions, after decompression.
const DEFINITION_BYTES: (u64, u64) = (1 << 25, 16);

/// What the blocks up to some place stand for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expansion {
    events: u64,
    definitions: u64,
    definition_bytes: u64,
}

impl Expansion {
    /// With so many bytes more after decompression of a block of some kind.
    pub(crate) fn with_bytes(mut self, kind: BlockKind, bytes: usize) -> Self {
        if is_definition(kind) {
            self.definition_bytes += bytes as u64;
        }
        self
    }

    /// With so many rows more of a block of some kind.
    pub(crate) fn with_rows(mut self, kind: BlockKind, rows: usize) -> Self {
        match is_definition(kind) {
            true => self.definitions += rows as u64,
            false => self.events += rows as u64 * weight(kind),
        }
        self
    }

    /// Whether the first `end` bytes of a file may stand for this.
    pub(crate) fn fits(self, end: u64) -> bool {
        let limit = |(least, for_a_byte): (u64, u64)| end.saturating_mul(for_a_byte) + least;
        self.events <= limit(EVENTS)
            && self.definitions <= limit(DEFINITIONS)
            && self.definition_bytes <= limit(DEFINITION_BYTES)
    }
}

/// Rows that one of this kind counts as. Some have a histogram each.
fn weight(kind: BlockKind) -> u64 {
    if [BlockKind::TOTALS, BlockKind::HEAP_COUNTS].contains(&kind) { 64 } else { 1 }
}

fn is_definition(kind: BlockKind) -> bool {
    [
        BlockKind::RECORDS,
        BlockKind::STACKS,
        BlockKind::TEXTS,
        BlockKind::NAMES,
        BlockKind::CALL_DATA,
    ]
    .contains(&kind)
}
