//! The rz trace format: a reader and a streaming writer.
//!
//! A trace is a file header followed by self-contained blocks, each with a
//! checksum; SPEC.md describes every byte. This crate turns blocks into values
//! and back. It does not open files, resolve names or decide what to record.
//!
//! Writing: [`TraceWriter`], with a [`StackInterner`] to number stacks.
//! Reading: [`Reader::next_block`] until it returns `None`, then
//! [`Reader::damage`] for what was missing. A reader never panics and never
//! allocates more than a block's declared limits, whatever the file holds.
#![forbid(unsafe_code)]

mod allocations;
mod block;
mod block_kind;
mod call_data;
mod calls;
mod codes;
mod column;
mod content;
mod cpu_times;
mod cursor;
mod error;
mod expansion;
mod header;
mod heap_counts;
mod index;
mod line_table;
mod names;
mod reader;
mod record;
mod samples;
#[cfg(test)]
mod spec;
mod stacks;
mod stored_block;
mod texts;
mod tier;
mod totals;
mod varint;
mod waits;
mod writer;

pub use allocations::{Allocation, AllocationKind};
pub use block::{BLOCK_HEADER_LEN, BlockHeader, MAX_PAYLOAD, MAX_ROWS, SYNC};
pub use block_kind::BlockKind;
pub use call_data::{DataPiece, data_pieces};
pub use calls::{Call, CallNumbers, MAX_CALLS};
pub use content::{Block, Damage};
pub use cpu_times::{CpuTime, MAX_CPU_TIMES};
pub use error::FormatError;
pub use header::{FileHeader, HEADER_LEN, MAGIC, MAJOR, MINOR};
pub use heap_counts::{HeapCounts, MAX_HEAP_COUNTS};
pub use index::IndexEntry;
pub use line_table::{CodeLine, LineTable};
pub use names::{MAX_NAMES, Name};
pub use reader::{Reader, read_index, rebuild_index};
pub use record::{
    AllocationSource, Allocations, Allocator, CallData, CallDetail, Captured, Clock, CodeKind,
    CodeObject, Cost, CpuTimes, End, EndReason, Event, EventUnit, Exit, Function, Generated,
    GeneratedLine, Host, LastRan, Limit, Loss, LossClass, LossReason, Mapping, Module, ModuleKind,
    NO_CPU, NO_LIMIT, Named, Note, OfSource, OpenFile, Positions, Process, ProcessFacts, Record,
    Recording, Redaction, Runtime, Segment, Source, Symbol, Thread, ThreadName, ValueKind,
    WorkingDirectory,
};
pub use samples::Sample;
pub use stacks::{
    CodeTier, Execution, Frame, FrameId, StackDefs, StackId, StackInterner, StackNode,
    TruncatedReason,
};
pub use stored_block::{Spare, StoredBlock};
pub use texts::{TextDefs, TextId, TextInterner};
pub use tier::Tier;
pub use totals::{HISTOGRAM_BUCKETS, Histogram, MAX_TOTALS, Total, TotalClass};
pub use waits::{Seen, Wait, WaitState};
pub use writer::TraceWriter;
