//! Reads the blocks of all traces in order of time, one at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rz_format::{Block, BlockKind, Damage, FormatError, Reader};

use super::MergeError;
use super::file::SometimesOpen;
use super::plan::{Plan, shifted};
use super::sources;

/// Files that are open at a time, at most: a process may have 1,024.
const MAX_OPEN: usize = 256;

/// What comes next.
#[derive(Debug)]
pub(super) enum Item {
    /// A block.
    Block {
        /// Which trace it is of.
        input: usize,
        /// A time before which no other trace has anything, on the merged
        /// clock. Never falls.
        time_ns: u64,
        block: Block,
    },
    /// A trace is at its end.
    End {
        input: usize,
        /// What is missing of it.
        damage: Vec<Damage>,
        /// Kinds of blocks that are not known.
        unknown: Vec<BlockKind>,
    },
}

/// A trace that is being read.
struct Open {
    reader: Reader<SometimesOpen>,
    delta_ns: i64,
}

/// All traces that are being read.
pub(super) struct Order<'p> {
    plan: &'p Plan,
    /// `None` at the end.
    open: Vec<Option<Open>>,
    /// The time of the next block of each; of equal ones the first trace's.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    keep_open: bool,
}

impl<'p> Order<'p> {
    /// Opens all traces.
    pub(super) fn open(plan: &'p Plan) -> Result<Self, MergeError> {
        let keep_open = plan.inputs.len() <= MAX_OPEN;
        let mut order = Order { plan, open: Vec::new(), next: BinaryHeap::new(), keep_open };
        // Events are shifted one by one; for the order the first source's is
        // good enough.
        let mut deltas: Vec<Option<i64>> = vec![None; plan.inputs.len()];
        for source in &plan.sources {
            deltas[source.input].get_or_insert(source.delta_ns);
        }
        for (index, input) in plan.inputs.iter().enumerate() {
            let reader = sources::open(&input.path)?;
            let delta_ns = deltas[index].unwrap_or(0);
            order.open.push(Some(Open { reader, delta_ns }));
            order.look_ahead(index, 0)?;
        }
        Ok(order)
    }

    /// The next block, or the end of a trace; `None` after all ends.
    pub(super) fn next(&mut self) -> Result<Option<Item>, MergeError> {
        while let Some(Reverse((time_ns, input))) = self.next.pop() {
            let Some(open) = &mut self.open[input] else { continue };
            let path = &self.plan.inputs[input].path;
            let failed = |cause| MergeError::reading(path, cause);
            match open.reader.next_block().map_err(failed)? {
                Some(block) => {
                    self.look_ahead(input, time_ns)?;
                    return Ok(Some(Item::Block { input, time_ns, block }));
                }
                None => {
                    let damage = open.reader.damage().to_vec();
                    let unknown = open.reader.unknown().to_vec();
                    self.open[input] = None;
                    return Ok(Some(Item::End { input, damage, unknown }));
                }
            }
        }
        Ok(None)
    }

    /// Notes when the next block of a trace is due, `time_ns` at the earliest.
    fn look_ahead(&mut self, input: usize, time_ns: u64) -> Result<(), MergeError> {
        let Some(open) = &mut self.open[input] else { return Ok(()) };
        let next: Result<_, FormatError> = open.reader.next_time();
        let next =
            next.map_err(|cause| MergeError::reading(&self.plan.inputs[input].path, cause))?;
        // At the end and in front of damage there is nothing to wait for.
        let next = next.map_or(time_ns, |next| shifted(next, open.delta_ns).max(time_ns));
        self.next.push(Reverse((next, input)));
        if !self.keep_open {
            open.reader.file_mut().close();
        }
        Ok(())
    }
}
