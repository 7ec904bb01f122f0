//! What blocks hold, and what of a file could not be used.

use crate::allocations::Allocation;
use crate::block_kind::BlockKind;
use crate::calls::Call;
use crate::cpu_times::CpuTime;
use crate::heap_counts::HeapCounts;
use crate::names::Name;
use crate::record::Record;
use crate::samples::Sample;
use crate::stacks::StackDefs;
use crate::texts::TextDefs;
use crate::totals::Total;
use crate::waits::Wait;

/// A block's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Facts.
    Records(Vec<Record>),
    /// Definitions of frames and stacks.
    Stacks(StackDefs),
    /// CPU samples, by thread, then time.
    Samples(Vec<Sample>),
    /// Intervals off the CPU, by thread, then time.
    Waits(Vec<Wait>),
    /// System calls, by thread and number, then time.
    Calls(Vec<Call>),
    /// Calls of functions, which are laid out as those of the system.
    FunctionCalls(Vec<Call>),
    /// Definitions of texts.
    Texts(TextDefs),
    /// Definitions of copied memory, by ids of their own; see [`DataPiece`](crate::DataPiece).
    CallData(TextDefs),
    /// Exact sums.
    Totals(Vec<Total>),
    /// Allocations, in the order in which they happened.
    Allocations(Vec<Allocation>),
    /// Exact counts of allocations, by thread, then time.
    HeapCounts(Vec<HeapCounts>),
    /// How long threads ran, by thread, then time.
    CpuTimes(Vec<CpuTime>),
    /// Names of code, those of one offset next to each other.
    Names(Vec<Name>),
}

impl Block {
    /// How many rows or records it has; of stacks those of both tables.
    pub fn rows(&self) -> usize {
        match self {
            Block::Records(records) => records.len(),
            Block::Stacks(definitions) => definitions.frames.len() + definitions.stacks.len(),
            Block::Samples(rows) => rows.len(),
            Block::Waits(rows) => rows.len(),
            Block::Calls(rows) | Block::FunctionCalls(rows) => rows.len(),
            Block::Texts(definitions) | Block::CallData(definitions) => definitions.texts.len(),
            Block::Totals(rows) => rows.len(),
            Block::Allocations(rows) => rows.len(),
            Block::HeapCounts(rows) => rows.len(),
            Block::CpuTimes(rows) => rows.len(),
            Block::Names(rows) => rows.len(),
        }
    }
}

/// A part of the file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// From here on the file is left out: it stands for more than one of its size
    /// may.
    TooMuch {
        /// Where the first block that is left out starts.
        offset: u64,
        /// What it should hold.
        kind: BlockKind,
    },
    /// The file ends inside a block.
    CutOff {
        /// Where the unfinished block starts.
        offset: u64,
        /// Bytes of it that are there.
        length: u64,
    },
    /// The file ends between blocks, but was not closed.
    NotClosed,
    /// Bytes that are no valid block were skipped.
    Skipped {
        /// Where they start.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// Blocks are missing from the sequence.
    MissingBlocks {
        /// Where the next block starts.
        offset: u64,
        /// How many are missing.
        count: u32,
    },
    /// A block is whole, but its content does not make sense.
    BadBlock {
        /// Where it starts.
        offset: u64,
        /// What it should hold.
        kind: BlockKind,
        /// What is wrong with it.
        cause: String,
    },
}

impl Damage {
    /// Where it is; behind everything for what is about the end.
    pub fn offset(&self) -> u64 {
        match *self {
            Damage::TooMuch { offset, .. }
            | Damage::CutOff { offset, .. }
            | Damage::Skipped { offset, .. }
            | Damage::MissingBlocks { offset, .. }
            | Damage::BadBlock { offset, .. } => offset,
            Damage::NotClosed => u64::MAX,
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Damage::TooMuch { offset, kind } => write!(
                f,
                "the file stands for more than one of its size may, so that all from the {kind} \
                 block at offset {offset} on was left out"
            ),
            Damage::CutOff { offset, length } => write!(
                f,
                "the file is cut off: its last block, at offset {offset}, has only {length} bytes"
            ),
            Damage::NotClosed => {
                f.write_str("the file was not closed: the recorder may have been killed")
            }
            Damage::Skipped { offset, length } => {
                write!(f, "{length} damaged bytes at offset {offset} were skipped")
            }
            Damage::MissingBlocks { offset, count } => {
                write!(f, "{count} blocks are missing before offset {offset}")
            }
            Damage::BadBlock { offset, kind, cause } => {
                write!(f, "the {kind} block at offset {offset} was skipped: {cause}")
            }
        }
    }
}
