//! Looks through a whole trace and says what is whole and what is missing.

use std::collections::BTreeMap;
use std::path::Path;

use rustc_hash::FxHashSet;
use rz_format::{Block, BlockKind, Damage, FileHeader, Loss, LossClass, LossReason, Note, Record};

use super::merge::{MergeError, open};
use super::missing::{Missing, Walk};

/// Notes that are kept, at most.
const MAX_NOTES: usize = 100;

/// How much of a trace is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All of it.
    Whole,
    /// It ends where it was not closed; what is before that is whole.
    Unfinished,
    /// Something is missing between what is there, or of the index.
    Damaged,
}

/// What there is of one kind of block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// Number of blocks.
    pub blocks: u64,
    /// Rows or records in them.
    pub rows: u64,
    /// Earliest time in them, in nanoseconds on the trace's clock.
    pub first_ns: u64,
    /// Latest time in them.
    pub last_ns: u64,
}

/// What the recorder lost for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LossSum {
    /// How many; 0 if that is not known.
    pub count: u64,
    /// Earliest time at which they can have been due.
    pub from_ns: u64,
    /// Latest time at which they can have been due.
    pub to_ns: u64,
}

/// Rows that refer to what is not in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unresolved {
    /// Rows of events whose stack is missing, or a part of it.
    pub stacks: u64,
    /// Rows of events whose thread is missing.
    pub threads: u64,
    /// Calls and names of which a text is missing.
    pub texts: u64,
}

/// What was found in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its file header.
    pub header: FileHeader,
    /// How much of it is there.
    pub state: State,
    /// What is whole, by kind, as they come in the file.
    pub parts: Vec<(BlockKind, Part)>,
    /// What is missing, in the order of the file.
    pub missing: Vec<Missing>,
    /// What is there, but refers to what is missing.
    pub unresolved: Unresolved,
    /// What the recorder lost.
    pub losses: BTreeMap<(LossClass, LossReason), LossSum>,
    /// Notes in the trace.
    pub notes: Vec<String>,
    /// Kinds of blocks that this program does not know.
    pub unknown: Vec<BlockKind>,
}

/// Reads all of the trace at `path`.
///
/// # Errors
/// If it cannot be read, is no trace, or one that this program does not understand.
pub fn verify(path: &Path) -> Result<Verified, MergeError> {
    let failed = |cause| MergeError::reading(path, cause);
    let mut walk = Walk::new(open(path)?);
    let mut verified = Verified {
        header: *walk.reader().header(),
        state: State::Whole,
        parts: Vec::new(),
        missing: Vec::new(),
        unresolved: Unresolved::default(),
        losses: BTreeMap::new(),
        notes: Vec::new(),
        unknown: Vec::new(),
    };
    let mut defined = Defined::default();
    while let Some((header, block)) = walk.next().map_err(failed)? {
        let part = verified.part(header.kind);
        part.blocks += 1;
        part.rows += block.rows() as u64;
        part.first_ns = part.first_ns.min(header.first_ns);
        part.last_ns = part.last_ns.max(header.last_ns);
        if let Block::Records(records) = &block {
            records.iter().for_each(|record| verified.add(record));
        }
        defined.add(&block, &mut verified.unresolved);
    }
    verified.missing = walk.missing().map_err(failed)?;
    verified.unknown = walk.reader().unknown().to_vec();
    let is_end = |m: &Missing| matches!(m.damage, Damage::NotClosed | Damage::CutOff { .. });
    verified.state = match verified.missing.as_slice() {
        [] => State::Whole,
        [only] if is_end(only) && !only.is_index() => State::Unfinished,
        _ => State::Damaged,
    };
    Ok(verified)
}

impl Verified {
    /// What is whole of a kind, of which there are few.
    fn part(&mut self, kind: BlockKind) -> &mut Part {
        let known = self.parts.iter().position(|(known, _)| *known == kind);
        let at = known.unwrap_or_else(|| {
            self.parts.push((kind, Part { first_ns: u64::MAX, ..Part::default() }));
            self.parts.len() - 1
        });
        &mut self.parts[at].1
    }

    fn add(&mut self, record: &Record) {
        // Of what is said in records, this is about what is missing.
        if let Record::Loss(loss) = record {
            self.add_loss(loss);
        }
        if let Record::Note(Note { text }) = record
            && self.notes.len() < MAX_NOTES
            && !self.notes.contains(text)
        {
            self.notes.push(text.clone());
        }
    }

    fn add_loss(&mut self, loss: &Loss) {
        let key = (loss.class.into(), loss.reason.into());
        let new = LossSum { from_ns: u64::MAX, ..LossSum::default() };
        let sum = self.losses.entry(key).or_insert(new);
        sum.count = sum.count.saturating_add(loss.count);
        sum.from_ns = sum.from_ns.min(loss.from_ns);
        sum.to_ns = sum.to_ns.max(loss.to_ns);
    }
}

/// What was defined up to here, and is whole.
#[derive(Debug, Default)]
struct Defined {
    frames: Ids,
    /// Those whose frames and callers are all defined.
    stacks: Ids,
    texts: Ids,
    call_data: Ids,
    threads: FxHashSet<u32>,
}

impl Defined {
    /// Adds what a block defines, or counts what it lacks.
    #[deny(clippy::wildcard_enum_match_arm)]
    fn add(&mut self, block: &Block, lacking: &mut Unresolved) {
        let mut event = |thread: Option<u32>, stack: Option<u32>| {
            lacking.threads += u64::from(thread.is_some_and(|id| !self.threads.contains(&id)));
            lacking.stacks += u64::from(stack.is_some_and(|id| !self.stacks.contains(id)));
        };
        let text = |texts: &[Option<u32>]| {
            let is_missing = |id: &Option<u32>| id.is_some_and(|id| !self.texts.contains(id));
            u64::from(texts.iter().any(is_missing))
        };
        match block {
            Block::Records(records) => records.iter().for_each(|record| {
                if let Record::Thread(thread) = record {
                    self.threads.insert(thread.id);
                }
            }),
            Block::Stacks(defs) => {
                self.frames.insert(defs.first_frame, defs.frames.len());
                for (id, node) in (defs.first_stack..).zip(&defs.stacks) {
                    let has_callers = node.parent.is_none_or(|id| self.stacks.contains(id));
                    if has_callers && self.frames.contains(node.frame) {
                        self.stacks.insert(id, 1);
                    }
                }
            }
            Block::Texts(defs) => self.texts.insert(defs.first, defs.texts.len()),
            Block::CallData(defs) => self.call_data.insert(defs.first, defs.texts.len()),
            Block::Samples(rows) => rows.iter().for_each(|r| event(Some(r.thread), r.stack)),
            Block::Waits(rows) => rows.iter().for_each(|r| event(Some(r.thread), r.stack)),
            Block::Calls(rows) | Block::FunctionCalls(rows) => rows.iter().for_each(|r| {
                event(Some(r.thread), r.stack);
                let lacks_data = r.data.is_some_and(|id| !self.call_data.contains(id));
                lacking.texts += text(&r.texts).max(lacks_data.into());
            }),
            Block::Allocations(rows) => rows.iter().for_each(|r| event(Some(r.thread), r.stack)),
            Block::Totals(rows) => rows.iter().for_each(|r| event(r.thread, None)),
            Block::HeapCounts(rows) => rows.iter().for_each(|r| event(r.thread, None)),
            Block::CpuTimes(rows) => rows.iter().for_each(|r| event(r.thread, None)),
            Block::Names(rows) => {
                rows.iter().for_each(|r| lacking.texts += text(&[r.name, r.system_name, r.file]))
            }
        }
    }
}

/// Ids in ranges, each with its end. A file has as many as it has lost blocks.
#[derive(Debug, Default)]
struct Ids(BTreeMap<u32, u32>);

impl Ids {
    /// Adds some that follow each other.
    fn insert(&mut self, first: u32, count: usize) {
        let end = first.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        match self.0.range_mut(..first).next_back() {
            Some((_, last)) if *last == first => *last = end,
            _ => drop(self.0.insert(first, end)),
        }
    }

    fn contains(&self, id: u32) -> bool {
        self.0.range(..=id).next_back().is_some_and(|(_, &end)| id < end)
    }
}
