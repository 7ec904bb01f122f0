//! Writes the output, in blocks that are larger than those of the traces.

use std::io::Write;

use rz_format::{
    Allocation, Block, Call, CpuTime, FileHeader, FormatError, HeapCounts, Name, Sample, StackDefs,
    TextDefs, Total, TraceWriter, Wait,
};

use super::MergeError;
use super::remap::Remap;

/// Rows of one kind that are kept until they are written, at most.
pub(crate) const MAX_ROWS: usize = 1 << 16;
/// Definitions in one block, at most.
const MAX_DEFINITIONS: usize = 1 << 18;
/// Bytes of texts in one block, at most.
const MAX_TEXT_BYTES: usize = 4 << 20;
/// Records that are kept, at most.
const MAX_RECORDS: usize = 1 << 12;
/// A block is written that long after its first row, at the latest.
const SPAN_NS: u64 = 1_000_000_000;
/// Numbers that have to be left for another block of definitions.
pub(crate) const SPARE_IDS: u32 = u32::MAX - (1 << 22);

/// The merged trace.
pub(super) struct Output<'o> {
    writer: TraceWriter<&'o mut dyn Write>,
    /// When the first of what is kept came.
    since_ns: Option<u64>,
    samples: Vec<Sample>,
    waits: Vec<Wait>,
    calls: Vec<Call>,
    function_calls: Vec<Call>,
    totals: Vec<Total>,
    allocations: Vec<Allocation>,
    heap_counts: Vec<HeapCounts>,
    cpu_times: Vec<CpuTime>,
    names: Vec<Name>,
    now_ns: u64,
}

impl<'o> Output<'o> {
    pub(super) fn new(out: &'o mut dyn Write, header: &FileHeader) -> Result<Self, MergeError> {
        let mut writer = TraceWriter::new(out, header).map_err(MergeError::Write)?;
        writer.set_fast(true).map_err(MergeError::Write)?;
        Ok(Output {
            writer,
            since_ns: None,
            samples: Vec::new(),
            waits: Vec::new(),
            calls: Vec::new(),
            function_calls: Vec::new(),
            totals: Vec::new(),
            allocations: Vec::new(),
            heap_counts: Vec::new(),
            cpu_times: Vec::new(),
            names: Vec::new(),
            now_ns: 0,
        })
    }

    /// Adds a block of the trace that is read. Blocks come in order of time.
    #[deny(clippy::wildcard_enum_match_arm)]
    pub(super) fn add(
        &mut self,
        time_ns: u64,
        block: Block,
        remap: &mut Remap,
    ) -> Result<(), MergeError> {
        self.now_ns = time_ns;
        let since = *self.since_ns.get_or_insert(time_ns);
        if time_ns.saturating_sub(since) >= SPAN_NS {
            self.flush(remap)?;
            self.since_ns = Some(time_ns);
        }
        match block {
            Block::Records(records) => remap.add_records(records),
            Block::Stacks(defs) => remap.add_stacks(defs),
            Block::Texts(defs) => remap.add_texts(&defs),
            Block::CallData(defs) => remap.add_call_data(&defs),
            Block::Samples(mut rows) => {
                remap.samples(&mut rows);
                join(&mut self.samples, rows);
            }
            Block::Waits(mut rows) => {
                remap.waits(&mut rows);
                join(&mut self.waits, rows);
            }
            Block::Calls(mut rows) => {
                remap.calls(&mut rows);
                join(&mut self.calls, rows);
            }
            Block::FunctionCalls(mut rows) => {
                remap.function_calls(&mut rows);
                join(&mut self.function_calls, rows);
            }
            Block::Totals(mut rows) => {
                remap.totals(&mut rows);
                join(&mut self.totals, rows);
            }
            Block::Allocations(mut rows) => {
                remap.allocations(&mut rows);
                join(&mut self.allocations, rows);
            }
            Block::HeapCounts(mut rows) => {
                remap.heap_counts(&mut rows);
                join(&mut self.heap_counts, rows);
            }
            Block::CpuTimes(mut rows) => {
                remap.cpu_times(&mut rows);
                join(&mut self.cpu_times, rows);
            }
            Block::Names(mut rows) => {
                remap.names(&mut rows);
                join(&mut self.names, rows);
            }
        }
        let most = [
            self.samples.len(),
            self.waits.len(),
            self.calls.len(),
            self.function_calls.len(),
            self.totals.len(),
            self.allocations.len(),
            self.heap_counts.len(),
            self.cpu_times.len(),
            self.names.len(),
        ];
        let is_full = most.into_iter().any(|rows| rows >= MAX_ROWS)
            || remap.records() >= MAX_RECORDS
            || remap.is_stacks_block_full()
            || remap.is_texts_block_full();
        if is_full { self.flush(remap) } else { Ok(()) }
    }

    /// Writes the records there are, as of `time_ns`.
    pub(super) fn add_records(
        &mut self,
        time_ns: u64,
        remap: &mut Remap,
    ) -> Result<(), MergeError> {
        self.now_ns = time_ns;
        self.flush(remap)
    }

    /// Writes what is kept: definitions first, then what refers to them.
    fn flush(&mut self, remap: &mut Remap) -> Result<(), MergeError> {
        self.since_ns = None;
        let time_ns = self.now_ns;
        let (stacks, [texts, call_data]) = (remap.take_stacks(), remap.take_texts());
        if stacks.first_frame.max(stacks.first_stack) > SPARE_IDS {
            return Err(MergeError::TooMany("different stacks"));
        }
        if texts.first.max(call_data.first) > SPARE_IDS {
            return Err(MergeError::TooMany("different texts"));
        }
        let records = remap.take_records();
        let writer = &mut self.writer;
        let write = || -> Result<(), FormatError> {
            writer.write_records(time_ns, &records)?;
            for part in stack_blocks(stacks) {
                writer.write_stacks(time_ns, &part)?;
            }
            for part in text_blocks(texts) {
                writer.write_texts(time_ns, &part)?;
            }
            for part in text_blocks(call_data) {
                writer.write_call_data(time_ns, &part)?;
            }
            for rows in self.samples.chunks_mut(MAX_ROWS) {
                writer.write_samples(rows)?;
            }
            for rows in self.waits.chunks_mut(MAX_ROWS) {
                writer.write_waits(rows)?;
            }
            for rows in self.calls.chunks_mut(MAX_ROWS) {
                writer.write_calls(rows)?;
            }
            for rows in self.function_calls.chunks_mut(MAX_ROWS) {
                writer.write_function_calls(rows)?;
            }
            writer.write_allocations(&self.allocations)?;
            writer.write_heap_counts(&mut self.heap_counts)?;
            writer.write_cpu_times(&mut self.cpu_times)?;
            writer.write_names(time_ns, &self.names)?;
            writer.write_totals(time_ns, &mut self.totals)
        };
        write().map_err(MergeError::Write)?;
        self.samples.clear();
        self.waits.clear();
        self.calls.clear();
        self.function_calls.clear();
        self.allocations.clear();
        self.heap_counts.clear();
        self.cpu_times.clear();
        self.totals.clear();
        self.names.clear();
        Ok(())
    }

    /// Writes what is left, and the end of the file.
    pub(super) fn finish(mut self, remap: &mut Remap) -> Result<(), MergeError> {
        remap.add_named();
        self.flush(remap)?;
        self.writer.finish().map(drop).map_err(MergeError::Write)
    }
}

/// Definitions in parts that each fit into a block.
pub(crate) fn stack_blocks(defs: StackDefs) -> Vec<StackDefs> {
    if defs.frames.len().max(defs.stacks.len()) <= MAX_DEFINITIONS {
        return vec![defs];
    }
    let next_frame = defs.first_frame + defs.frames.len() as u32;
    let frames = (0..).zip(defs.frames.chunks(MAX_DEFINITIONS)).map(|(part, frames)| StackDefs {
        first_frame: defs.first_frame + part * MAX_DEFINITIONS as u32,
        frames: frames.to_vec(),
        first_stack: defs.first_stack,
        stacks: Vec::new(),
    });
    let stacks = (0..).zip(defs.stacks.chunks(MAX_DEFINITIONS)).map(|(part, stacks)| StackDefs {
        first_frame: next_frame,
        frames: Vec::new(),
        first_stack: defs.first_stack + part * MAX_DEFINITIONS as u32,
        stacks: stacks.to_vec(),
    });
    frames.chain(stacks).collect()
}

/// The same of texts.
pub(crate) fn text_blocks(defs: TextDefs) -> Vec<TextDefs> {
    let mut blocks = vec![TextDefs { first: defs.first, texts: Vec::new() }];
    let mut bytes = 0;
    for (id, text) in (defs.first..).zip(defs.texts) {
        bytes += text.len();
        let last = blocks.last_mut().filter(|last| {
            last.texts.is_empty() || (bytes <= MAX_TEXT_BYTES && last.texts.len() < MAX_DEFINITIONS)
        });
        match last {
            Some(last) => last.texts.push(text),
            None => {
                bytes = text.len();
                blocks.push(TextDefs { first: id, texts: vec![text] });
            }
        }
    }
    blocks
}

/// Adds rows to those that are kept.
fn join<T>(kept: &mut Vec<T>, mut rows: Vec<T>) {
    if kept.is_empty() {
        *kept = rows;
    } else {
        kept.append(&mut rows);
    }
}
