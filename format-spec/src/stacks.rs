//! Frames and stacks: the dictionary that samples refer to.
//!
//! A stack is a node in a tree: a frame and the stack of its caller. Ids are
//! given in order of definition and a block says which range it defines, so
//! the loss of a block leaves references that visibly lead nowhere.

use std::collections::HashMap;
use std::hash::BuildHasher;

use crate::block::MAX_ROWS;
use crate::codes::coded;
use crate::column::{Table, TableWriter, UNKNOWN};
use crate::error::FormatError;
use crate::varint::{read_bounded, write_varint};

/// Number of a frame, in order of definition.
pub type FrameId = u32;
/// Number of a stack, in order of definition.
pub type StackId = u32;

/// Largest number of frames or of stacks in a trace.
const MAX_IDS: u64 = u32::MAX as u64;

/// Code, or what stands in for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Frame {
    /// Code of a module. The offset is that of the interrupted instruction in
    /// an innermost frame, and the return address minus one in a caller.
    Code {
        /// The module's id.
        module: u32,
        /// What the module's kind says: offset in the file, or address.
        offset: u64,
    },
    /// Code as a runtime knows it.
    Runtime {
        /// The code object's id.
        code: u32,
        /// Where in it, as the code object's positions are counted.
        position: u64,
        /// How it ran.
        how: Execution,
    },
    /// Stands for callers that could not be found; always a root.
    Truncated(TruncatedReason),
    /// A kind of frame that this crate does not know.
    Unknown,
}

/// Why the callers of a frame could not be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TruncatedReason {
    /// The stack goes on beyond what was copied of it.
    StackTooDeep,
    /// There is no unwind information for the code, or it is wrong.
    NoUnwindInfo,
    /// The return address does not point into code.
    BadReturnAddress,
    /// More frames than the recorder follows.
    TooManyFrames,
    /// The registers at the time of the sample are not known.
    NoRegisters,
    /// The callers are on another stack, which was not copied.
    OtherStack,
    /// The stack could not be read: its page was not there, or was gone already.
    StackNotReadable,
    /// A reason that this crate does not know.
    Unknown,
}

/// How code of a runtime ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Execution {
    /// In which of the runtime's ways.
    pub tier: CodeTier,
    /// Whether it was inlined into its caller, which is a frame of the same
    /// runtime.
    pub inlined: bool,
    /// Whether it was found near the moment of the sample, and not at it.
    pub approximate: bool,
}

/// In which of its ways a runtime runs a piece of code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CodeTier {
    /// It is not known.
    #[default]
    Unknown,
    /// Instruction by instruction.
    Interpreted,
    /// As machine code that was made in little time.
    Baseline,
    /// As machine code that was made with care.
    Optimized,
}

impl From<u64> for Execution {
    fn from(bits: u64) -> Self {
        let tier = match bits & 0xf {
            1 => CodeTier::Interpreted,
            2 => CodeTier::Baseline,
            3 => CodeTier::Optimized,
            _ => CodeTier::Unknown,
        };
        Execution { tier, inlined: bits & 0x10 != 0, approximate: bits & 0x20 != 0 }
    }
}

impl From<Execution> for u64 {
    fn from(how: Execution) -> Self {
        let tier = match how.tier {
            CodeTier::Unknown => 0,
            CodeTier::Interpreted => 1,
            CodeTier::Baseline => 2,
            CodeTier::Optimized => 3,
        };
        tier | u64::from(how.inlined) << 4 | u64::from(how.approximate) << 5
    }
}

impl TruncatedReason {
    /// The reason in words.
    pub fn describe(self) -> &'static str {
        match self {
            TruncatedReason::StackTooDeep => "stack deeper than what was copied",
            TruncatedReason::NoUnwindInfo => "no unwind information",
            TruncatedReason::BadReturnAddress => "return address outside code",
            TruncatedReason::TooManyFrames => "too many frames",
            TruncatedReason::NoRegisters => "registers unknown",
            TruncatedReason::OtherStack => "on another stack",
            TruncatedReason::StackNotReadable => "stack not readable",
            TruncatedReason::Unknown => "unknown reason",
        }
    }
}

coded! {
    TruncatedReason: u64,
    0 => StackTooDeep,
    1 => NoUnwindInfo,
    2 => BadReturnAddress,
    3 => TooManyFrames,
    4 => NoRegisters,
    5 => OtherStack,
    6 => StackNotReadable,
}

/// A frame and the stack that called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StackNode {
    /// The caller's stack; `None` for a root.
    pub parent: Option<StackId>,
    /// The frame.
    pub frame: FrameId,
}

/// Definitions of frames and stacks, in order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackDefs {
    /// Id of the first frame defined here.
    pub first_frame: FrameId,
    /// The frames.
    pub frames: Vec<Frame>,
    /// Id of the first stack defined here.
    pub first_stack: StackId,
    /// The stacks.
    pub stacks: Vec<StackNode>,
}

/// Columns of the frame table.
pub(crate) mod frame_column {
    use crate::column::{Column, Columns, Encoding::*, UNKNOWN};

    pub const KIND: Column = Column::new(0, RunLength).if_absent(UNKNOWN);
    pub const MODULE: Column = Column::new(1, Plain);
    pub const OFFSET: Column = Column::new(2, Delta);
    pub const HOW: Column = Column::new(3, RunLength);
    pub const ALL: Columns = &[&[KIND, MODULE, OFFSET, HOW]];
}

/// Columns of the stack table.
pub(crate) mod stack_column {
    use crate::column::{Column, Columns, Encoding::*};

    pub const PARENT: Column = Column::new(0, Plain);
    pub const FRAME: Column = Column::new(1, Delta);
    pub const ALL: Columns = &[&[PARENT, FRAME]];
}

/// Frame kinds on disk.
const KIND_CODE: u64 = 0;
const KIND_TRUNCATED: u64 = 1;
const KIND_RUNTIME: u64 = 2;

impl StackDefs {
    /// Whether nothing is defined here.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.stacks.is_empty()
    }

    /// The payload of a stacks block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_varint(&mut out, self.first_frame.into());
        write_varint(&mut out, self.first_stack.into());

        let parts = self.frames.iter().map(|frame| match *frame {
            Frame::Code { module, offset } => (KIND_CODE, u64::from(module), offset, 0),
            Frame::Runtime { code, position, how } => {
                (KIND_RUNTIME, u64::from(code), position, how.into())
            }
            Frame::Truncated(reason) => (KIND_TRUNCATED, 0, reason.into(), 0),
            Frame::Unknown => (UNKNOWN, 0, 0, 0),
        });
        let mut table = TableWriter::new(frame_column::ALL, self.frames.len());
        table.column(frame_column::KIND, parts.clone().map(|p| p.0));
        table.column(frame_column::MODULE, parts.clone().map(|p| p.1));
        table.column(frame_column::OFFSET, parts.clone().map(|p| p.2));
        table.column_if_used(frame_column::HOW, parts.map(|p| p.3).collect());
        out.extend_from_slice(&table.finish());

        // The distance to the parent is small for the common chain of new
        // frames, and 0 is free to mean a root.
        let distances = (self.first_stack..)
            .zip(&self.stacks)
            .map(|(id, node)| node.parent.map_or(0, |parent| u64::from(id - parent)));
        let mut table = TableWriter::new(stack_column::ALL, self.stacks.len());
        table.column(stack_column::PARENT, distances);
        table.column(stack_column::FRAME, self.stacks.iter().map(|node| node.frame.into()));
        out.extend_from_slice(&table.finish());
        out
    }

    /// Reads the payload of a stacks block.
    pub(crate) fn decode(mut payload: &[u8]) -> Result<Self, FormatError> {
        let input = &mut payload;
        let first_frame = read_bounded(input, "first frame id", MAX_IDS)? as FrameId;
        let first_stack = read_bounded(input, "first stack id", MAX_IDS)? as StackId;

        let table = Table::read(input)?;
        check_ids(first_frame, table.rows(), "frame id")?;
        let kinds = table.column(frame_column::KIND)?;
        let modules = table.column(frame_column::MODULE)?;
        let offsets = table.column(frame_column::OFFSET)?;
        let how = table.column(frame_column::HOW)?;
        let frame = |(((kind, module), offset), how): (((u64, u64), u64), u64)| match (
            kind,
            u32::try_from(module),
        ) {
            (KIND_CODE, Ok(module)) => Frame::Code { module, offset },
            (KIND_RUNTIME, Ok(code)) => Frame::Runtime { code, position: offset, how: how.into() },
            (KIND_TRUNCATED, _) => Frame::Truncated(offset.into()),
            _ => Frame::Unknown,
        };
        let frames = kinds.into_iter().zip(modules).zip(offsets).zip(how).map(frame).collect();

        let table = Table::read(input)?;
        check_ids(first_stack, table.rows(), "stack id")?;
        let distances = table.column(stack_column::PARENT)?;
        let stack_frames = table.column(stack_column::FRAME)?;
        let mut stacks = Vec::with_capacity(table.rows());
        for (id, (distance, frame)) in
            (u64::from(first_stack)..).zip(distances.into_iter().zip(stack_frames))
        {
            let parent = match distance {
                0 => None,
                _ => Some(id.checked_sub(distance).ok_or(FormatError::InvalidValue {
                    what: "distance to parent stack",
                    value: distance,
                })? as StackId),
            };
            let frame = FrameId::try_from(frame)
                .map_err(|_| FormatError::InvalidValue { what: "frame id", value: frame })?;
            stacks.push(StackNode { parent, frame });
        }
        Ok(StackDefs { first_frame, frames, first_stack, stacks })
    }
}

fn check_ids(first: u32, rows: usize, what: &'static str) -> Result<(), FormatError> {
    let end = u64::from(first) + rows as u64;
    if end > MAX_IDS {
        return Err(FormatError::InvalidValue { what, value: end });
    }
    Ok(())
}

/// Gives equal frames and stacks equal ids, and collects what is new.
#[derive(Debug, Default)]
pub struct StackInterner<S> {
    frames: HashMap<Frame, FrameId, S>,
    stacks: HashMap<StackNode, StackId, S>,
    /// Definitions since the last [`StackInterner::take_new`].
    new: StackDefs,
}

impl<S: BuildHasher> StackInterner<S> {
    /// The id of a frame.
    pub fn frame(&mut self, frame: Frame) -> FrameId {
        let next = self.new.first_frame + self.new.frames.len() as FrameId;
        *self.frames.entry(frame).or_insert_with(|| {
            self.new.frames.push(frame);
            next
        })
    }

    /// The id of the stack in which `frame` was called from `parent`.
    pub fn stack(&mut self, parent: Option<StackId>, frame: FrameId) -> StackId {
        let node = StackNode { parent, frame };
        let next = self.new.first_stack + self.new.stacks.len() as StackId;
        *self.stacks.entry(node).or_insert_with(|| {
            self.new.stacks.push(node);
            next
        })
    }

    /// Whether the new definitions fill a block.
    pub fn is_block_full(&self) -> bool {
        self.new.frames.len().max(self.new.stacks.len()) >= MAX_ROWS / 8
    }

    /// Takes the definitions made since the last call.
    pub fn take_new(&mut self) -> StackDefs {
        let next = StackDefs {
            first_frame: self.new.first_frame + self.new.frames.len() as FrameId,
            first_stack: self.new.first_stack + self.new.stacks.len() as StackId,
            ..StackDefs::default()
        };
        std::mem::replace(&mut self.new, next)
    }

    /// Forgets all frames and stacks, to bound memory. Numbers go on, so what
    /// comes again gets a new one.
    pub fn forget(&mut self) {
        self.frames.clear();
        self.frames.shrink_to_fit();
        self.stacks.clear();
        self.stacks.shrink_to_fit();
    }

    /// Numbers of the frames and stacks that are known.
    pub fn len(&self) -> (usize, usize) {
        (self.frames.len(), self.stacks.len())
    }

    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.stacks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::RandomState;

    fn frame() -> impl Strategy<Value = Frame> {
        (0u8..4, any::<u32>(), any::<u64>(), any::<u64>()).prop_map(|(kind, id, value, how)| {
            match kind {
                0 => Frame::Code { module: id, offset: value },
                1 => Frame::Runtime { code: id, position: value, how: how.into() },
                2 => Frame::Truncated(value.into()),
                _ => Frame::Unknown,
            }
        })
    }

    proptest! {
        #[test]
        fn frames_round_trip(frames in proptest::collection::vec(frame(), 0..40)) {
            let defs = StackDefs { frames, ..StackDefs::default() };
            prop_assert_eq!(StackDefs::decode(&defs.encode()).unwrap(), defs);
        }

        #[test]
        fn damage_never_panics(frames in proptest::collection::vec(frame(), 0..40), at: usize, bit in 0u8..8) {
            let mut bytes = StackDefs { frames, ..StackDefs::default() }.encode();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = StackDefs::decode(&bytes);
        }
    }

    #[test]
    fn equal_stacks_get_equal_ids_and_round_trip() {
        let mut interner = StackInterner::<RandomState>::default();
        let code = |offset| Frame::Code { module: 2, offset };
        let mut push = |frames: &[Frame]| {
            frames.iter().fold(None, |parent, frame| {
                let frame = interner.frame(*frame);
                Some(interner.stack(parent, frame))
            })
        };
        let a = push(&[code(10), code(20), code(30)]);
        let b = push(&[code(10), code(20), code(40)]);
        let c = push(&[Frame::Truncated(TruncatedReason::StackTooDeep), code(20)]);
        assert_eq!(push(&[code(10), code(20), code(30)]), a);
        assert_eq!((a, b, c), (Some(2), Some(3), Some(5)));

        let first = interner.take_new();
        assert_eq!(StackDefs::decode(&first.encode()).unwrap(), first);
        assert_eq!((first.frames.len(), first.stacks.len()), (5, 6));

        let frame = interner.frame(code(50));
        interner.stack(a, frame);
        let second = interner.take_new();
        assert_eq!((second.first_frame, second.first_stack), (5, 6));
        assert_eq!(second.stacks, [StackNode { parent: a, frame: 5 }]);
        assert_eq!(StackDefs::decode(&second.encode()).unwrap(), second);
        assert!(interner.take_new().is_empty());

        interner.forget();
        let frame = interner.frame(code(10));
        assert_eq!((frame, interner.stack(None, frame)), (6, 7));
    }

    #[test]
    fn how_code_ran_is_told_apart() {
        let mut frames = Vec::new();
        for bits in 0..64 {
            let frame = Frame::Runtime { code: 1, position: 2, how: Execution::from(bits) };
            frames.push(frame);
        }
        let defs = StackDefs { frames, ..StackDefs::default() };
        assert_eq!(StackDefs::decode(&defs.encode()).unwrap(), defs);
        let distinct: std::collections::HashSet<&Frame> = defs.frames.iter().collect();
        // Four ways, inlined or not, approximate or not.
        assert_eq!(distinct.len(), 16);
    }

    #[test]
    fn a_parent_before_the_first_stack_is_refused() {
        let mut defs = StackDefs {
            stacks: vec![StackNode { parent: None, frame: 0 }],
            ..StackDefs::default()
        };
        defs.first_stack = 5;
        defs.stacks[0].parent = Some(2);
        let good = defs.encode();
        assert_eq!(StackDefs::decode(&good).unwrap(), defs);
        let mut bad = good.clone();
        // The distance 3 becomes 9, beyond the first id ever.
        let at = good.iter().rposition(|&b| b == 3).unwrap();
        bad[at] = 9;
        assert!(StackDefs::decode(&bad).is_err());
    }
}
