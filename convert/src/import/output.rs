//! Writes a trace: definitions first, then what refers to them.

use std::io::Write;

use rustc_hash::FxBuildHasher;
use rz_format::{
    Call, End, EndReason, FileHeader, Frame, MAX_TOTALS, Module, Name, Note, Record, Recording,
    Sample, StackId, StackInterner, TextId, TextInterner, Total, TraceWriter,
};

use super::functions::{MAX_FRAMES, too_many};
use super::{ImportError, Imported, Input};

/// Rows that are kept until they are written, at most.
const MAX_ROWS: usize = 1 << 16;
/// Records that are kept, at most.
const MAX_RECORDS: usize = 1 << 12;
/// Different stacks that are known at a time; what comes again after that is
/// defined once more.
const MAX_STACKS: usize = 1 << 20;
/// The same for bytes of texts.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// Longest text, in bytes.
const MAX_TEXT: usize = 16 << 10;
/// Longest text of a system call, in bytes.
const MAX_PATH: usize = 255;
/// Numbers that have to be left for another block of definitions.
const SPARE_IDS: u32 = u32::MAX - (1 << 22);
/// Notes that are written, at most: inputs can be damaged in many places.
const MAX_NOTES: usize = 32;

/// The trace that is made.
pub(super) struct Output<'o> {
    writer: TraceWriter<&'o mut dyn Write>,
    records: Vec<Record>,
    stacks: StackInterner<FxBuildHasher>,
    texts: TextInterner<FxBuildHasher>,
    names: Vec<Name>,
    samples: Vec<Sample>,
    calls: Vec<Call>,
    modules: u32,
    /// Latest time that was written.
    now_ns: u64,
    imported: Imported,
}

impl<'o> Output<'o> {
    pub(super) fn new(out: &'o mut dyn Write, header: &FileHeader) -> Result<Self, ImportError> {
        Ok(Output {
            writer: TraceWriter::new(out, header).map_err(ImportError::Write)?,
            records: Vec::new(),
            stacks: StackInterner::default(),
            texts: TextInterner::default(),
            names: Vec::new(),
            samples: Vec::new(),
            calls: Vec::new(),
            modules: 0,
            now_ns: header.created_ns,
            imported: Imported::default(),
        })
    }

    /// The trace of an input that says neither who recorded it nor when.
    pub(super) fn of(
        input: &Input,
        tier: &str,
        out: &'o mut dyn Write,
    ) -> Result<Self, ImportError> {
        Output::begun(input, tier, input.modified_ns, out)
    }

    /// The same of one that began at a time of day, in nanoseconds since the Unix epoch.
    pub(super) fn begun(
        input: &Input,
        tier: &str,
        created_unix_ns: u64,
        out: &'o mut dyn Write,
    ) -> Result<Self, ImportError> {
        let mut out = Output::new(out, &FileHeader::new(input.trace_id(), created_unix_ns, 0))?;
        let tier = tier.to_owned();
        out.record(Record::Recording(Recording { tier, ..Recording::default() }))?;
        Ok(out)
    }

    /// Adds a fact. It is written before any row that is added later.
    pub(super) fn record(&mut self, record: Record) -> Result<(), ImportError> {
        self.records.push(record);
        if self.records.len() >= MAX_RECORDS { self.flush() } else { Ok(()) }
    }

    /// Adds a module, and returns its number. Each takes a record, which is
    /// written with the next sample at the latest.
    pub(super) fn module(&mut self, module: Module) -> u32 {
        let id = self.modules;
        self.modules += 1;
        self.records.push(Record::Module(Module { id, ..module }));
        id
    }

    /// Adds a sentence for the reader.
    pub(super) fn note(&mut self, text: String) {
        if self.imported.notes.len() < MAX_NOTES {
            self.imported.notes.push(text.clone());
            self.records.push(Record::Note(Note { text }));
        }
    }

    /// The number of a text, of which only so much is kept as a reader shows.
    pub(super) fn text(&mut self, text: &str) -> TextId {
        self.texts.text(&text.as_bytes()[..text.floor_char_boundary(MAX_TEXT)])
    }

    /// The number of what a system call was given as a path, of which only so much is kept as
    /// a recorder keeps.
    pub(super) fn path(&mut self, bytes: &[u8]) -> TextId {
        self.texts.text(&bytes[..bytes.len().min(MAX_PATH)])
    }

    /// The number of a stack of these frames, innermost first; `None` if there are none.
    pub(super) fn whole_stack(&mut self, frames: &[Frame], is_cut: bool) -> Option<StackId> {
        let root = is_cut.then(|| self.stack(None, too_many()));
        frames.iter().rev().fold(root, |caller, frame| Some(self.stack(caller, *frame)))
    }

    /// The same of frames from the root on, of which the innermost ones are kept.
    pub(super) fn stack_from_root(&mut self, frames: &[Frame]) -> Option<StackId> {
        let cut = frames.len().saturating_sub(MAX_FRAMES);
        let root = (cut > 0).then(|| self.stack(None, too_many()));
        frames[cut..].iter().fold(root, |caller, frame| Some(self.stack(caller, *frame)))
    }

    /// The number of a stack: `frame`, called from `caller`.
    pub(super) fn stack(&mut self, caller: Option<StackId>, frame: Frame) -> StackId {
        let frame = self.stacks.frame(frame);
        self.stacks.stack(caller, frame)
    }

    /// Adds the names of one frame offset, innermost first.
    pub(super) fn names(&mut self, names: &[Name]) {
        self.names.extend_from_slice(names);
    }

    /// Adds a sample.
    pub(super) fn sample(&mut self, sample: Sample) -> Result<(), ImportError> {
        self.now_ns = self.now_ns.max(sample.time_ns);
        self.imported.samples += 1;
        self.samples.push(sample);
        self.flush_if_full()
    }

    /// Adds a system call.
    pub(super) fn call(&mut self, call: Call) -> Result<(), ImportError> {
        self.now_ns = self.now_ns.max(call.start_ns.saturating_add(call.duration_ns));
        self.imported.calls += 1;
        self.calls.push(call);
        self.flush_if_full()
    }

    /// Adds exact sums.
    pub(super) fn totals(&mut self, totals: &mut [Total]) -> Result<(), ImportError> {
        self.flush()?;
        for totals in totals.chunks_mut(MAX_TOTALS) {
            self.writer.write_totals(self.now_ns, totals).map_err(ImportError::Write)?;
        }
        Ok(())
    }

    fn flush_if_full(&mut self) -> Result<(), ImportError> {
        let is_full = self.samples.len().max(self.calls.len()) >= MAX_ROWS
            || self.records.len() >= MAX_RECORDS
            || self.names.len() >= MAX_ROWS
            || self.stacks.is_block_full()
            || self.texts.is_block_full();
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Writes what is kept. Stacks and texts are forgotten if they are many.
    fn flush(&mut self) -> Result<(), ImportError> {
        let (stacks, texts) = (self.stacks.take_new(), self.texts.take_new());
        if stacks.first_frame.max(stacks.first_stack) > SPARE_IDS {
            return Err(ImportError::TooMany("different stacks"));
        }
        if texts.first > SPARE_IDS {
            return Err(ImportError::TooMany("different names"));
        }
        let time_ns = self.now_ns;
        let mut write = || {
            self.writer.write_records(time_ns, &self.records)?;
            self.writer.write_stacks(time_ns, &stacks)?;
            self.writer.write_texts(time_ns, &texts)?;
            self.writer.write_names(time_ns, &self.names)?;
            self.writer.write_samples(&mut self.samples)?;
            self.writer.write_calls(&mut self.calls)
        };
        write().map_err(ImportError::Write)?;
        self.records.clear();
        self.names.clear();
        self.samples.clear();
        self.calls.clear();
        if self.stacks.len().1 >= MAX_STACKS {
            self.stacks.forget();
        }
        if self.texts.bytes() >= MAX_TEXT_BYTES {
            self.texts.forget();
        }
        Ok(())
    }

    /// Writes what is left, and the end of the file. The trace was ended at
    /// `end_ns`, or cut short if that is `None`.
    pub(super) fn finish(mut self, end_ns: Option<u64>) -> Result<Imported, ImportError> {
        if let Some(time_ns) = end_ns {
            self.now_ns = self.now_ns.max(time_ns);
            self.records.push(Record::End(End { time_ns, reason: EndReason::Duration.into() }));
        }
        self.flush()?;
        self.writer.finish().map_err(ImportError::Write)?;
        Ok(self.imported)
    }
}
