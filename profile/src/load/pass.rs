//! Goes through a trace once: blocks are decoded several at a time, ahead of the
//! sinks, which get their rows in the order of the file.
//!
//! ```text
//!          ┌► facts, stacks, names         of the pass
//! blocks ──┤
//!          └► rows ─► of their time ─► in the window ─► sink, sink, …
//! ```
//!
//! Nothing is kept of rows but by the sinks. Blocks that are not wanted are not
//! even read, where the file has an index.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;
use rz_format::{
    Allocation, Block, BlockHeader, BlockKind, Call, CallNumbers, CpuTime, Damage, FormatError,
    HeapCounts, Reader, Record, Sample, Spare, StoredBlock, TextDefs, Total, Wait,
};

use super::LoadError;
use super::brought_names::BroughtNames;
use super::dictionary::StackDictionary;
use super::facts::Facts;
use super::jit::{Made, Versions};
use super::selection::{Found, Selection};
use super::thin::Thin;

/// Blocks that are decoded at a time, for each thread that there is.
const BLOCKS_PER_THREAD: usize = 2;
/// Bytes of them, before rows are made of these, which take several times that.
const MAX_BYTES: usize = 4 << 20;

/// Rows that one sink gets before the next: as many as stay in the processor's cache.
const ROWS_AT_A_TIME: usize = 1024;

/// What makes something of rows. Each takes the kinds that it is about.
pub(super) trait Sink: Send {
    /// A fact, which the others come before.
    fn record(&mut self, _record: &Record, _facts: &Facts) {}
    /// CPU samples, by thread, then time. Each stands for so many.
    fn samples(&mut self, _rows: &[Sample], _each: u64) {}
    /// Intervals off the CPU, by thread, then time.
    fn waits(&mut self, _rows: &[Wait]) {}
    /// System calls, by thread and number, then time.
    fn calls(&mut self, _rows: &[Call]) {}
    /// Calls of functions, by thread and number, then time.
    fn function_calls(&mut self, _rows: &[Call]) {}
    /// What was copied for system calls.
    fn call_data(&mut self, _definitions: &TextDefs) {}
    /// So many calls of the same block were not chosen.
    fn calls_passed_over(&mut self, _count: u64) {}
    /// Exact sums.
    fn totals(&mut self, _rows: &[Total]) {}
    /// Allocations, in the order in which they happened.
    fn allocations(&mut self, _rows: &[Allocation], _facts: &Facts) {}
    /// Exact counts of allocations.
    fn heap_counts(&mut self, _rows: &[HeapCounts], _facts: &Facts) {}
    /// How long threads ran.
    fn cpu_times(&mut self, _rows: &[CpuTime]) {}
}

/// What is decoded of system calls.
#[derive(Clone, Copy)]
pub(super) enum CallRows<'f> {
    /// All rows, without arguments and texts.
    Bare,
    /// All rows.
    Whole,
    /// The rows of each block that this gives, ascending.
    Chosen(&'f ChooseRows<'f>),
}

/// Says which rows of a block of calls are wanted.
type ChooseRows<'f> = dyn Fn(&CallNumbers<'_>) -> Result<Vec<usize>, FormatError> + Sync + 'f;

/// A block, and how many of its rows were passed over.
type Decoded = (Block, u64);

/// Memory of blocks that are done with.
#[derive(Default)]
struct Pool {
    raw: Mutex<Vec<Vec<u8>>>,
    calls: Mutex<Vec<Vec<Call>>>,
}

impl Pool {
    fn decode_bare(&self, block: &StoredBlock) -> Result<Block, Damage> {
        let mut spare = Spare { raw: pop(&self.raw), calls: Vec::new() };
        if block.kind() == BlockKind::CALLS {
            spare.calls = pop(&self.calls);
        }
        let decoded = block.decode_bare(&mut spare);
        push(&self.raw, spare.raw);
        decoded
    }

    fn decode_chosen_calls(
        &self,
        block: &StoredBlock,
        choose: &ChooseRows<'_>,
    ) -> Result<(Vec<Call>, usize), Damage> {
        let mut spare = Spare { raw: pop(&self.raw), calls: Vec::new() };
        let decoded = block.decode_chosen_calls(&mut spare, choose);
        push(&self.raw, spare.raw);
        decoded
    }
}

fn pop<T>(pool: &Mutex<Vec<Vec<T>>>) -> Vec<T> {
    pool.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_default()
}

fn push<T>(pool: &Mutex<Vec<Vec<T>>>, memory: Vec<T>) {
    if let Ok(mut pool) = pool.lock() {
        pool.push(memory);
    }
}

impl CallRows<'_> {
    fn decode(self, block: &StoredBlock, pool: &Pool) -> Result<Decoded, Damage> {
        match self {
            CallRows::Chosen(choose) if block.kind() == BlockKind::CALLS => {
                let (calls, all) = pool.decode_chosen_calls(block, choose)?;
                let passed_over = (all - calls.len()) as u64;
                Ok((Block::Calls(calls), passed_over))
            }
            CallRows::Bare => Ok((pool.decode_bare(block)?, 0)),
            CallRows::Whole | CallRows::Chosen(_) => Ok((block.decode()?, 0)),
        }
    }
}

/// A trace that is gone through, and what it defined up to here.
pub(super) struct Pass<'p> {
    pub(super) reader: Reader<BufReader<File>>,
    pub(super) file_size: u64,
    pub(super) defined: Defined<'p>,
}

/// What rows refer to, and which of them are looked at.
pub(super) struct Defined<'p> {
    pub(super) facts: Facts,
    pub(super) names: BroughtNames,
    pub(super) stacks: StackDictionary,
    pub(super) found: Found,
    selection: &'p Selection,
    /// What takes a part of samples, if not all are taken.
    pub(super) thin: Option<Thin>,
    pub(super) versions: Option<Versions>,
}

impl<'p> Pass<'p> {
    /// Opens the trace at `path`, to look at rows of a selection, which
    /// `versions` give the stacks of their time.
    pub(super) fn open(
        path: &Path,
        selection: &'p Selection,
        versions: Option<Versions>,
    ) -> Result<Self, LoadError> {
        let io = |cause| LoadError::Io { path: path.to_owned(), cause };
        let meta = fs::metadata(path).map_err(io)?;
        if !meta.is_file() {
            // Opening a named pipe would wait for a writer.
            return Err(io(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let file = BufReader::new(File::open(path).map_err(io)?);
        let reader = Reader::new(file).map_err(|cause| LoadError::of(path, cause))?;
        let defined = Defined {
            facts: Facts::within(selection.window),
            names: BroughtNames::default(),
            stacks: StackDictionary::default(),
            found: Found::default(),
            selection,
            thin: None,
            versions,
        };
        Ok(Pass { reader, file_size: meta.len(), defined })
    }

    /// Goes on to the end of the file, which may have grown since the last time.
    pub(super) fn run(
        &mut self,
        wanted: impl Fn(&BlockHeader) -> bool,
        calls: CallRows<'_>,
        sinks: &mut [&mut dyn Sink],
    ) -> Result<(), FormatError> {
        let Pass { reader, defined, .. } = self;
        let selection = defined.selection;
        let wanted = |block: &BlockHeader| wanted(block) && selection.may_want(block);
        let pool = Pool::default();
        let take = |(block, passed_over)| {
            if passed_over > 0 {
                sinks.iter_mut().for_each(|sink| sink.calls_passed_over(passed_over));
            }
            let memory = defined.take(block, sinks);
            // Nothing else would take it out of the pool again.
            if let (CallRows::Bare, Some(memory)) = (calls, memory) {
                push(&pool.calls, memory);
            }
        };
        let rows = |(block, passed_over): &Decoded| block.rows() + *passed_over as usize;
        each_block(reader, wanted, |block| calls.decode(block, &pool), rows, take)?;
        self.defined.found.add_kinds(self.reader.unwanted());
        Ok(())
    }
}

impl<'p> Defined<'p> {
    /// Gives the rows of a block to the sinks. What comes back is memory.
    #[deny(clippy::wildcard_enum_match_arm)]
    fn take(&mut self, block: Block, sinks: &mut [&mut dyn Sink]) -> Option<Vec<Call>> {
        let Defined { facts, names, stacks, found, selection, thin, versions } = self;
        match block {
            Block::Records(records) => {
                facts.start_block();
                for record in records {
                    sinks.iter_mut().for_each(|sink| sink.record(&record, facts));
                    facts.add(record);
                }
            }
            Block::Stacks(definitions) => {
                stacks.add(definitions);
                if let Some(versions) = versions {
                    versions.follow(stacks);
                }
            }
            Block::Texts(definitions) => names.texts.add(definitions),
            Block::CallData(definitions) => {
                sinks.iter_mut().for_each(|sink| sink.call_data(&definitions));
            }
            Block::Names(rows) => names.add(rows),
            Block::Samples(mut rows) => {
                if let Some(versions) = versions {
                    versions.apply_to_samples(&mut rows, stacks);
                }
                selection.cut_samples(&mut rows, found);
                let mut give = |rows: &[Sample], each| {
                    for rows in rows.chunks(ROWS_AT_A_TIME) {
                        sinks.iter_mut().for_each(|sink| sink.samples(rows, each));
                    }
                };
                if let Some(thin) = thin {
                    give(&thin.take(&mut rows, facts), 1);
                    give(&rows, thin.each);
                } else {
                    give(&rows, 1);
                }
            }
            Block::Waits(mut rows) => {
                if let Some(versions) = versions {
                    versions.apply_to_waits(&mut rows, stacks);
                }
                selection.cut_waits(&mut rows, found);
                for rows in rows.chunks(ROWS_AT_A_TIME) {
                    sinks.iter_mut().for_each(|sink| sink.waits(rows));
                }
            }
            Block::Calls(mut rows) => {
                if let Some(versions) = versions {
                    versions.apply_to_calls(&mut rows, stacks);
                }
                found.calls |= !rows.is_empty();
                selection.cut_calls(&mut rows);
                for rows in rows.chunks(ROWS_AT_A_TIME) {
                    sinks.iter_mut().for_each(|sink| sink.calls(rows));
                }
                return Some(rows);
            }
            Block::FunctionCalls(mut rows) => {
                if let Some(versions) = versions {
                    versions.apply_to_calls(&mut rows, stacks);
                }
                found.function_calls |= !rows.is_empty();
                selection.cut_calls(&mut rows);
                for rows in rows.chunks(ROWS_AT_A_TIME) {
                    sinks.iter_mut().for_each(|sink| sink.function_calls(rows));
                }
            }
            Block::Totals(mut rows) => {
                selection.cut_totals(&mut rows, found);
                sinks.iter_mut().for_each(|sink| sink.totals(&rows));
            }
            Block::Allocations(mut rows) => {
                if let Some(versions) = versions {
                    versions.apply_to_allocations(&mut rows, stacks);
                }
                selection.cut_allocations(&mut rows, found);
                sinks.iter_mut().for_each(|sink| sink.allocations(&rows, facts));
            }
            Block::HeapCounts(mut rows) => {
                selection.cut_heap_counts(&mut rows, found);
                sinks.iter_mut().for_each(|sink| sink.heap_counts(&rows, facts));
            }
            Block::CpuTimes(mut rows) => {
                selection.cut_cpu_times(&mut rows);
                sinks.iter_mut().for_each(|sink| sink.cpu_times(&rows));
            }
        }
        None
    }

    /// What was made up for code that came and went, which is put into the
    /// dictionary; nothing comes after that.
    pub(super) fn finish_versions(&mut self) -> Made {
        let Some(versions) = &mut self.versions else { return Made::default() };
        let mut made = versions.take_made();
        made.put_into(&mut self.stacks);
        made
    }
}

/// Hands the blocks that are `wanted` to `take`, in the order of the file. What
/// is damaged is left out, as is what has more rows than the file may have; the reader
/// has a list of both.
fn each_block<T: Send>(
    reader: &mut Reader<impl Read + Seek>,
    wanted: impl Fn(&BlockHeader) -> bool,
    decode: impl Fn(&StoredBlock) -> Result<T, Damage> + Sync + Send,
    rows: impl Fn(&T) -> usize,
    mut take: impl FnMut(T) + Send,
) -> Result<(), FormatError> {
    let mut decoded: Vec<T> = Vec::new();
    loop {
        let stored = read_some(reader, &wanted)?;
        if stored.is_empty() && decoded.is_empty() {
            return Ok(());
        }
        let (next, ()) = rayon::join(
            || stored.par_iter().map(&decode).collect::<Vec<_>>(),
            || decoded.drain(..).for_each(&mut take),
        );
        for (stored, block) in stored.iter().zip(next) {
            match block {
                Ok(block) if reader.admit(stored, rows(&block)) => decoded.push(block),
                Ok(_) => {}
                Err(damage) => reader.add_damage(damage),
            }
        }
    }
}

fn read_some(
    reader: &mut Reader<impl Read + Seek>,
    wanted: impl Fn(&BlockHeader) -> bool,
) -> Result<Vec<StoredBlock>, FormatError> {
    let mut blocks = Vec::new();
    let mut bytes = 0;
    while blocks.len() < BLOCKS_PER_THREAD * rayon::current_num_threads() && bytes < MAX_BYTES {
        let Some(block) = reader.next_stored_if(&wanted)? else { break };
        bytes += block.raw_len();
        blocks.push(block);
    }
    Ok(blocks)
}
