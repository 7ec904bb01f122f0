//! Writes a trace as a stream of blocks.

use std::io::Write;

use crate::allocations::{Allocation, encode_allocations};
use crate::block::{BLOCK_HEADER_LEN, BlockHeader, Codec, check_payload_len};
use crate::block_kind::BlockKind;
use crate::calls::{Call, MAX_CALLS, encode_calls};
use crate::cpu_times::{CpuTime, MAX_CPU_TIMES, encode_cpu_times};
use crate::error::FormatError;
use crate::expansion::Expansion;
use crate::header::FileHeader;
use crate::heap_counts::{HeapCounts, MAX_HEAP_COUNTS, encode_heap_counts};
use crate::index::{IndexEntry, encode_index, trailer};
use crate::names::{self, Name, encode_names};
use crate::record::{MAX_RECORDS, Record, write_record};
use crate::samples::{Sample, encode_samples};
use crate::stacks::StackDefs;
use crate::texts::TextDefs;
use crate::totals::{MAX_TOTALS, Total, encode_totals};
use crate::waits::{Wait, encode_waits};

/// zstd's default: columns hardly gain from more.
const COMPRESSION_LEVEL: i32 = 3;
/// For times at which there is much to write: a little larger and much faster.
const FAST_LEVEL: i32 = 1;
/// Rows of an allocations block. In more of them, more addresses are those of
/// others; but there may be millions a second, and so many nearly stay in a
/// processor's cache while their columns are made.
const MAX_ALLOCATIONS: usize = 1 << 16;
/// Payload of a records block at which the next one is started.
const RECORDS_BLOCK: usize = 1 << 20;

/// Earliest and latest of some pairs of times; `None` if there are no pairs.
fn span(times: impl Iterator<Item = (u64, u64)>) -> Option<(u64, u64)> {
    times.reduce(|(first, last), (from, to)| (first.min(from), last.max(to)))
}

/// Writes blocks to `out`, each whole in one call, so that what was written
/// stays readable if the process ends at any moment.
///
/// ```
/// use rz_format::{FileHeader, Reader, Record, Note, TraceWriter};
///
/// let mut writer = TraceWriter::new(Vec::new(), &FileHeader::new([0; 16], 0, 0))?;
/// let note = Record::Note(Note { text: "hello".into() });
/// writer.write_records(5, &[note])?;
/// let file = writer.finish()?;
/// let mut reader = Reader::new(std::io::Cursor::new(file))?;
/// assert!(reader.next_block()?.is_some());
/// # Ok::<(), rz_format::FormatError>(())
/// ```
pub struct TraceWriter<W> {
    out: W,
    offset: u64,
    sequence: u32,
    entries: Vec<IndexEntry>,
    compressor: zstd::bulk::Compressor<'static>,
    /// Whether speed counts for more than size.
    fast: bool,
    /// What the blocks up to here stand for.
    expansion: Expansion,
}

impl<W: Write> TraceWriter<W> {
    /// Starts a trace with its file header.
    pub fn new(mut out: W, header: &FileHeader) -> Result<Self, FormatError> {
        let bytes = header.to_bytes();
        out.write_all(&bytes)?;
        Ok(TraceWriter {
            out,
            offset: bytes.len() as u64,
            sequence: 0,
            entries: Vec::new(),
            compressor: zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?,
            fast: false,
            expansion: Expansion::default(),
        })
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.offset
    }

    /// From now on, compresses faster and not as well, or as well as usual.
    pub fn set_fast(&mut self, fast: bool) -> Result<(), FormatError> {
        let level = if fast { FAST_LEVEL } else { COMPRESSION_LEVEL };
        self.fast = fast;
        Ok(self.compressor.set_compression_level(level)?)
    }

    /// Writes facts that became known at `time_ns`. Each block says whose they
    /// are if a [`Record::OfSource`] does.
    pub fn write_records(&mut self, time_ns: u64, records: &[Record]) -> Result<(), FormatError> {
        let mut payload = Vec::new();
        let mut count = 0;
        let mut source = None;
        for record in records {
            if let Record::OfSource(_) = record {
                source = Some(record);
            } else if let Some(source) = source.filter(|_| payload.is_empty()) {
                write_record(&mut payload, source)?;
                count += 1;
            }
            write_record(&mut payload, record)?;
            count += 1;
            if payload.len() >= RECORDS_BLOCK || count >= MAX_RECORDS - 1 {
                self.write_block(BlockKind::RECORDS, (time_ns, time_ns), count, &payload)?;
                payload.clear();
                count = 0;
            }
        }
        match payload.as_slice() {
            [] => Ok(()),
            payload => self.write_block(BlockKind::RECORDS, (time_ns, time_ns), count, payload),
        }
    }

    /// Writes definitions of frames and stacks; must come before what refers
    /// to them.
    pub fn write_stacks(&mut self, time_ns: u64, defs: &StackDefs) -> Result<(), FormatError> {
        if defs.is_empty() {
            return Ok(());
        }
        let rows = defs.frames.len() + defs.stacks.len();
        self.write_block(BlockKind::STACKS, (time_ns, time_ns), rows, &defs.encode())
    }

    /// Writes samples, in whatever order; they are sorted in place.
    pub fn write_samples(&mut self, samples: &mut [Sample]) -> Result<(), FormatError> {
        let Some((first, last)) = span(samples.iter().map(|s| (s.time_ns, s.time_ns))) else {
            return Ok(());
        };
        let rows = samples.len();
        self.write_block(BlockKind::SAMPLES, (first, last), rows, &encode_samples(samples))
    }

    /// Writes intervals off the CPU, in whatever order; they are sorted in
    /// place.
    pub fn write_waits(&mut self, waits: &mut [Wait]) -> Result<(), FormatError> {
        let times = waits.iter().map(|w| (w.end_ns.saturating_sub(w.duration_ns), w.end_ns));
        let Some((first, last)) = span(times) else { return Ok(()) };
        let rows = waits.len();
        self.write_block(BlockKind::WAITS, (first, last), rows, &encode_waits(waits))
    }

    /// Writes definitions of texts; must come before what refers to them.
    pub fn write_texts(&mut self, time_ns: u64, defs: &TextDefs) -> Result<(), FormatError> {
        self.write_defs(BlockKind::TEXTS, time_ns, defs)
    }

    /// The same of what was copied for system calls.
    pub fn write_call_data(&mut self, time_ns: u64, defs: &TextDefs) -> Result<(), FormatError> {
        self.write_defs(BlockKind::CALL_DATA, time_ns, defs)
    }

    fn write_defs(
        &mut self,
        kind: BlockKind,
        time_ns: u64,
        defs: &TextDefs,
    ) -> Result<(), FormatError> {
        if defs.is_empty() {
            return Ok(());
        }
        self.write_block(kind, (time_ns, time_ns), defs.texts.len(), &defs.encode())
    }

    /// Writes system calls, in whatever order; they are sorted in place.
    pub fn write_calls(&mut self, calls: &mut [Call]) -> Result<(), FormatError> {
        self.write_calls_of(BlockKind::CALLS, calls)
    }

    /// The same of functions.
    pub fn write_function_calls(&mut self, calls: &mut [Call]) -> Result<(), FormatError> {
        self.write_calls_of(BlockKind::FUNCTION_CALLS, calls)
    }

    fn write_calls_of(&mut self, kind: BlockKind, calls: &mut [Call]) -> Result<(), FormatError> {
        for calls in calls.chunks_mut(MAX_CALLS) {
            let end = |call: &Call| call.start_ns.saturating_add(call.duration_ns);
            let times = calls.iter().map(|call| (call.start_ns, end(call)));
            let Some((first, last)) = span(times) else { continue };
            let rows = calls.len();
            self.write_block(kind, (first, last), rows, &encode_calls(calls))?;
        }
        Ok(())
    }

    /// Writes sums up to `time_ns`, in whatever order; they are sorted in
    /// place.
    pub fn write_totals(&mut self, time_ns: u64, totals: &mut [Total]) -> Result<(), FormatError> {
        for totals in totals.chunks_mut(MAX_TOTALS) {
            let (rows, times) = (totals.len(), (time_ns, time_ns));
            self.write_block(BlockKind::TOTALS, times, rows, &encode_totals(totals))?;
        }
        Ok(())
    }

    /// Writes allocations, in the order in which they happened.
    pub fn write_allocations(&mut self, rows: &[Allocation]) -> Result<(), FormatError> {
        for rows in rows.chunks(MAX_ALLOCATIONS) {
            let Some((first, last)) = span(rows.iter().map(|row| (row.time_ns, row.time_ns)))
            else {
                continue;
            };
            self.write_block(
                BlockKind::ALLOCATIONS,
                (first, last),
                rows.len(),
                &encode_allocations(rows, self.fast),
            )?;
        }
        Ok(())
    }

    /// Writes counts of allocations, in whatever order; they are sorted in
    /// place.
    pub fn write_heap_counts(&mut self, rows: &mut [HeapCounts]) -> Result<(), FormatError> {
        for rows in rows.chunks_mut(MAX_HEAP_COUNTS) {
            let Some((first, last)) = span(rows.iter().map(|row| (row.time_ns, row.time_ns)))
            else {
                continue;
            };
            let (count, times) = (rows.len(), (first, last));
            self.write_block(BlockKind::HEAP_COUNTS, times, count, &encode_heap_counts(rows))?;
        }
        Ok(())
    }

    /// Writes how long threads ran, in whatever order; the rows are sorted in place.
    pub fn write_cpu_times(&mut self, rows: &mut [CpuTime]) -> Result<(), FormatError> {
        for rows in rows.chunks_mut(MAX_CPU_TIMES) {
            let Some(times) = span(rows.iter().map(|row| (row.time_ns, row.time_ns))) else {
                continue;
            };
            self.write_block(BlockKind::CPU_TIMES, times, rows.len(), &encode_cpu_times(rows))?;
        }
        Ok(())
    }

    /// Writes names of code. Those of one offset must be next to each other,
    /// and all given at once.
    pub fn write_names(&mut self, time_ns: u64, names: &[Name]) -> Result<(), FormatError> {
        for names in names::blocks(names) {
            let (rows, times) = (names.len(), (time_ns, time_ns));
            self.write_block(BlockKind::NAMES, times, rows, &encode_names(names))?;
        }
        Ok(())
    }

    /// Writes the index and the trailer, and returns the output.
    pub fn finish(mut self) -> Result<W, FormatError> {
        let index_offset = self.offset;
        let first = self.entries.iter().map(|e| e.first_ns).min().unwrap_or(0);
        let last = self.entries.iter().map(|e| e.last_ns).max().unwrap_or(0);
        let payload = encode_index(&self.entries);
        self.write_block(BlockKind::INDEX, (first, last), 0, &payload)?;
        self.out.write_all(&trailer(index_offset))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_block(
        &mut self,
        kind: BlockKind,
        (first_ns, last_ns): (u64, u64),
        rows: usize,
        raw: &[u8],
    ) -> Result<(), FormatError> {
        check_payload_len(raw.len())?;
        let compressed = self.compressor.compress(raw)?;
        self.expansion = self.expansion.with_bytes(kind, raw.len()).with_rows(kind, rows);
        let end = self.offset + (BLOCK_HEADER_LEN + compressed.len()) as u64;
        // A row takes a byte at least before compression.
        let (codec, stored) = if compressed.len() < raw.len() && self.expansion.fits(end) {
            (Codec::Zstd, compressed.as_slice())
        } else {
            (Codec::None, raw)
        };
        let header = BlockHeader {
            kind,
            codec,
            sequence: self.sequence,
            stored_len: stored.len() as u32,
            raw_len: raw.len() as u32,
            first_ns,
            last_ns,
        };
        let mut block = Vec::with_capacity(BLOCK_HEADER_LEN + stored.len());
        block.extend_from_slice(&header.to_bytes(stored));
        block.extend_from_slice(stored);
        self.out.write_all(&block)?;
        self.entries.push(IndexEntry::new(self.offset, &header));
        self.offset += block.len() as u64;
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }
}
