//! Copies a trace block by block, with changes.
//!
//! What happened is copied as it is; an [`Edit`] sees facts, texts and names.
//! What this program does not know is left out, and a note says so.

use std::io::Write;
use std::path::Path;

use rz_format::{
    Block, BlockHeader, Call, FileHeader, FormatError, MINOR, Name, Note, Record, TextDefs, TextId,
    TraceWriter,
};

use crate::trace::merge::{
    MAX_ROWS, MergeError, SPARE_IDS, left_out_of, open, stack_blocks, text_blocks,
};
use crate::trace::missing::Walk;
use rz_profile::notes::limited;

/// What is done with a trace while it is copied.
pub(crate) trait Edit {
    /// Changes the records of a block.
    fn records(&mut self, records: &mut Vec<Record>);

    /// Changes the texts of a block, of which each keeps its number.
    fn texts(&mut self, texts: &mut TextDefs);

    /// Changes the calls of a block.
    fn calls(&mut self, _rows: &mut [Call]) {}
    /// Changes calls of functions.
    fn function_calls(&mut self, _rows: &mut [Call]) {}

    /// Whether what was copied for system calls stays.
    fn keeps_call_data(&self) -> bool {
        true
    }

    /// Changes the names of a block.
    fn names(&mut self, names: &mut Vec<Name>);

    /// What comes at the end of the trace. Numbers of texts are free from
    /// `next_text` on.
    fn end(&mut self, next_text: TextId) -> Ending;
}

/// What an [`Edit`] adds at the end.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    pub(crate) records: Vec<Record>,
    pub(crate) texts: TextDefs,
    pub(crate) names: Vec<Name>,
}

/// How copying went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Bytes that the end of the trace takes.
    pub(crate) ending_bytes: u64,
    /// What is missing of the input, one sentence each.
    pub(crate) damage: Vec<String>,
}

/// Copies the trace at `path` to `out`, which the caller buffers. A damaged one
/// is copied only if told to keep going, as far as it is whole.
pub(crate) fn copy(
    path: &Path,
    out: &mut dyn Write,
    keep_going: bool,
    edit: &mut dyn Edit,
) -> Result<Copied, MergeError> {
    let failed = |cause| MergeError::reading(path, cause);
    let mut walk = Walk::new(open(path)?);
    let header = *walk.reader().header();
    let header_now = FileHeader { minor: MINOR, ..header };
    let mut writer = TraceWriter::new(out, &header_now).map_err(MergeError::Write)?;
    let mut next_text: u64 = 0;
    while let Some((BlockHeader { first_ns, .. }, block)) = walk.next().map_err(failed)? {
        if let Block::Texts(texts) = &block {
            next_text = next_text.max(u64::from(texts.first) + texts.texts.len() as u64);
        }
        write_block(&mut writer, first_ns, block, edit).map_err(MergeError::Write)?;
    }

    let mut copied = Copied::default();
    if let [first, ..] = walk.reader().damage() {
        if !keep_going {
            let (path, places) = (path.to_owned(), walk.reader().damage().len());
            return Err(MergeError::Damaged { path, first: first.clone(), places });
        }
        copied.damage = limited(&walk.missing().map_err(failed)?, "more damaged places");
    }
    copied.damage.extend(left_out_of(header.minor, walk.reader().unknown()));
    let end_ns = walk.reader().last_ns();
    let note = |text: &String| Record::Note(Note { text: text.clone() });
    let notes: Vec<Record> = copied.damage.iter().map(note).collect();
    writer.write_records(end_ns, &notes).map_err(MergeError::Write)?;
    let before = writer.bytes_written();
    let free = TextId::try_from(next_text).ok().filter(|&first| first <= SPARE_IDS);
    let first = free.ok_or(MergeError::TooMany("different texts"))?;
    let ending = edit.end(first);
    if u64::from(first) + ending.texts.texts.len() as u64 > u64::from(u32::MAX) {
        return Err(MergeError::TooMany("different texts"));
    }
    write_ending(&mut writer, end_ns, ending).map_err(MergeError::Write)?;
    copied.ending_bytes = writer.bytes_written() - before;
    writer.finish().map_err(MergeError::Write)?;
    Ok(copied)
}

#[deny(clippy::wildcard_enum_match_arm)]
fn write_block(
    writer: &mut TraceWriter<&mut dyn Write>,
    time_ns: u64,
    block: Block,
    edit: &mut dyn Edit,
) -> Result<(), FormatError> {
    match block {
        Block::Records(mut records) => {
            edit.records(&mut records);
            writer.write_records(time_ns, &records)
        }
        Block::Texts(mut texts) => {
            edit.texts(&mut texts);
            write_texts(writer, time_ns, texts)
        }
        Block::CallData(data) if edit.keeps_call_data() => {
            text_blocks(data).iter().try_for_each(|part| writer.write_call_data(time_ns, part))
        }
        Block::CallData(_) => Ok(()),
        Block::Names(mut names) => {
            edit.names(&mut names);
            writer.write_names(time_ns, &names)
        }
        Block::Stacks(stacks) => {
            stack_blocks(stacks).iter().try_for_each(|part| writer.write_stacks(time_ns, part))
        }
        Block::Samples(mut rows) => {
            rows.chunks_mut(MAX_ROWS).try_for_each(|rows| writer.write_samples(rows))
        }
        Block::Waits(mut rows) => {
            rows.chunks_mut(MAX_ROWS).try_for_each(|rows| writer.write_waits(rows))
        }
        Block::Calls(mut rows) => {
            edit.calls(&mut rows);
            rows.chunks_mut(MAX_ROWS).try_for_each(|rows| writer.write_calls(rows))
        }
        Block::FunctionCalls(mut rows) => {
            edit.function_calls(&mut rows);
            rows.chunks_mut(MAX_ROWS).try_for_each(|rows| writer.write_function_calls(rows))
        }
        Block::Totals(mut rows) => writer.write_totals(time_ns, &mut rows),
        Block::Allocations(rows) => writer.write_allocations(&rows),
        Block::HeapCounts(mut rows) => writer.write_heap_counts(&mut rows),
        Block::CpuTimes(mut rows) => writer.write_cpu_times(&mut rows),
    }
}

fn write_ending(
    writer: &mut TraceWriter<&mut dyn Write>,
    time_ns: u64,
    ending: Ending,
) -> Result<(), FormatError> {
    writer.write_records(time_ns, &ending.records)?;
    write_texts(writer, time_ns, ending.texts)?;
    writer.write_names(time_ns, &ending.names)
}

fn write_texts(
    writer: &mut TraceWriter<&mut dyn Write>,
    time_ns: u64,
    texts: TextDefs,
) -> Result<(), FormatError> {
    text_blocks(texts).iter().try_for_each(|part| writer.write_texts(time_ns, part))
}
