//! Tells stacks apart whose frames have been different code at different times.
//!
//! A trace numbers stacks by places, and code comes and goes while it is
//! recorded. As rows are read, each gets the number of a stack that is made up
//! for the code which was there at its time:
//!
//! ```text
//!             main > 0x7f10           one stack in the trace
//! 5 s ─────── main > 0x7f10 (parse)   two that are made up
//! 7 s ─────── main > 0x7f10 (render)
//! ```

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rz_format::{Allocation, Call, Frame, FrameId, Sample, StackId, StackNode, Wait};

use super::super::dictionary::StackDictionary;
use super::{CodeId, GeneratedCode};

/// Numbers of frames and stacks that are made up begin here; no recorder gets
/// as far.
const FIRST_MADE: u32 = 0xf000_0000;
/// How many there are, at most; what is beyond is lost.
const MAX_MADE: usize = 1 << 20;
/// Frames in stacks that are looked at. Recorders stop earlier.
const MAX_DEPTH: usize = 4096;
/// Frames that are looked at, at most, all in all.
const MAX_LOOKED_AT: u64 = 1 << 24;
/// What is known of no stack.
const LOST: StackId = StackId::MAX;
/// Times of allocations are cut to microseconds.
const ALLOCATION_CUT_NS: u64 = 999;

/// Stacks by the time of rows.
#[derive(Debug)]
pub(in super::super) struct Versions {
    code: Arc<GeneratedCode>,
    /// Code from before this time was there all the time.
    start_ns: u64,
    /// For each known frame and stack whether it depends on the time.
    frames_vary: Vec<bool>,
    stacks_vary: Vec<bool>,
    made: Made,
    /// Whether what was made up was taken: nothing is added to it any more.
    is_complete: bool,
    frames: FxHashMap<(FrameId, Option<CodeId>), FrameId>,
    stacks: FxHashMap<(Option<StackId>, FrameId), StackId>,
    /// What a stack was made into last, and from when to when.
    known: FxHashMap<StackId, (Range<u64>, StackId)>,
    /// Frames that were looked at.
    looked_at: u64,
}

/// What was made up.
#[derive(Debug, Default)]
pub(in super::super) struct Made {
    frames: Vec<Frame>,
    stacks: Vec<StackNode>,
    /// The code of each frame; `None` where there was none at the time.
    codes: Vec<Option<CodeId>>,
    /// Index in the dictionary of the first frame, once it is there.
    first_frame: Option<usize>,
}

impl Made {
    /// Adds what was made up to a dictionary to which nothing else is added.
    pub(in super::super) fn put_into(&mut self, dictionary: &mut StackDictionary) {
        dictionary.frames.add(FIRST_MADE, std::mem::take(&mut self.frames));
        dictionary.stacks.add(FIRST_MADE, std::mem::take(&mut self.stacks));
        self.first_frame = dictionary.frames.index_of(FIRST_MADE);
    }

    /// The code of a frame that was made up, by its index in the dictionary:
    /// `None` if the frame was not.
    pub(in super::super) fn code_of(&self, frame: usize) -> Option<Option<CodeId>> {
        self.codes.get(frame.checked_sub(self.first_frame?)?).copied()
    }
}

impl Versions {
    /// Of code that has changed since the recording began.
    pub(in super::super) fn new(code: Arc<GeneratedCode>, start_ns: u64) -> Self {
        Versions {
            code,
            start_ns,
            frames_vary: Vec::new(),
            stacks_vary: Vec::new(),
            made: Made::default(),
            is_complete: false,
            frames: FxHashMap::default(),
            stacks: FxHashMap::default(),
            known: FxHashMap::default(),
            looked_at: 0,
        }
    }

    /// Takes in what was added to the dictionary.
    pub(in super::super) fn follow(&mut self, dictionary: &StackDictionary) {
        let (frames, stacks) = (dictionary.frames.values(), dictionary.stacks.values());
        for frame in &frames[self.frames_vary.len()..] {
            let varies = match *frame {
                Frame::Code { module, offset } => {
                    let mut codes = self.code.all_at(module, offset);
                    codes.any(|(_, code)| code.from_ns > self.start_ns)
                }
                // A code object is the same one for ever.
                Frame::Runtime { .. } | Frame::Truncated(_) | Frame::Unknown => false,
            };
            self.frames_vary.push(varies);
        }
        for stack in &stacks[self.stacks_vary.len()..] {
            let parent = stack.parent.and_then(|parent| dictionary.stacks.index_of(parent));
            let of_parent = parent.and_then(|parent| self.stacks_vary.get(parent).copied());
            let varies = of_parent == Some(true) || self.frame_varies(stack.frame, dictionary);
            self.stacks_vary.push(varies);
        }
    }

    fn frame_varies(&self, frame: FrameId, dictionary: &StackDictionary) -> bool {
        let index = dictionary.frames.index_of(frame);
        index.and_then(|index| self.frames_vary.get(index).copied()).unwrap_or(false)
    }

    /// Gives samples the stacks of their time.
    pub(in super::super) fn apply_to_samples(
        &mut self,
        samples: &mut [Sample],
        dictionary: &StackDictionary,
    ) {
        for sample in samples {
            self.apply(&mut sample.stack, sample.time_ns, dictionary);
        }
    }

    /// The same for intervals, whose stacks are from their end.
    pub(in super::super) fn apply_to_waits(
        &mut self,
        waits: &mut [Wait],
        dictionary: &StackDictionary,
    ) {
        for wait in waits {
            self.apply(&mut wait.stack, wait.end_ns, dictionary);
        }
    }

    /// The same for calls, whose stacks are from their end.
    pub(in super::super) fn apply_to_calls(
        &mut self,
        calls: &mut [Call],
        dictionary: &StackDictionary,
    ) {
        for call in calls {
            let end_ns = call.start_ns.saturating_add(call.duration_ns);
            self.apply(&mut call.stack, end_ns, dictionary);
        }
    }

    /// The same for allocations.
    pub(in super::super) fn apply_to_allocations(
        &mut self,
        rows: &mut [Allocation],
        dictionary: &StackDictionary,
    ) {
        for row in rows {
            let time_ns = row.time_ns.saturating_add(ALLOCATION_CUT_NS);
            self.apply(&mut row.stack, time_ns, dictionary);
        }
    }

    /// What was made up. Rows that are read again get what was made up for them.
    pub(in super::super) fn take_made(&mut self) -> Made {
        self.is_complete = true;
        std::mem::take(&mut self.made)
    }

    /// What rows that are read again may look at is counted anew.
    pub(in super::super) fn start_again(&mut self) {
        self.looked_at = 0;
    }

    fn apply(&mut self, stack: &mut Option<StackId>, time_ns: u64, dictionary: &StackDictionary) {
        let Some(id) = *stack else { return };
        let index = dictionary.stacks.index_of(id);
        let varies = index.is_some_and(|index| self.stacks_vary.get(index) == Some(&true));
        if !varies {
            return;
        }
        if let Some((times, made)) = self.known.get(&id)
            && times.contains(&time_ns)
        {
            *stack = Some(*made);
            return;
        }
        let (times, made) = self.make(id, time_ns, dictionary).unwrap_or((0..u64::MAX, LOST));
        self.known.insert(id, (times, made));
        *stack = Some(made);
    }

    /// The stack for a time, and from when to when it is the same one; `None`
    /// if there is no room for it.
    fn make(
        &mut self,
        id: StackId,
        time_ns: u64,
        dictionary: &StackDictionary,
    ) -> Option<(Range<u64>, StackId)> {
        let mut frames = Vec::new();
        let mut parent = Some(id);
        while let Some(index) = parent.and_then(|id| dictionary.stacks.index_of(id))
            && self.stacks_vary.get(index) == Some(&true)
        {
            let node = &dictionary.stacks.values()[index];
            frames.push(node.frame);
            parent = node.parent;
            if frames.len() > MAX_DEPTH {
                return None;
            }
        }
        self.looked_at += frames.len() as u64;
        if self.looked_at > MAX_LOOKED_AT {
            return None;
        }
        let mut times = 0..u64::MAX;
        for frame in frames.into_iter().rev() {
            let frame = match self.frame_varies(frame, dictionary) {
                true => self.make_frame(frame, time_ns, &mut times, dictionary)?,
                false => frame,
            };
            parent = Some(self.make_stack(parent, frame)?);
        }
        Some((times, parent?))
    }

    /// The frame for a time; `times` is cut to when it is the same one.
    fn make_frame(
        &mut self,
        id: FrameId,
        time_ns: u64,
        times: &mut Range<u64>,
        dictionary: &StackDictionary,
    ) -> Option<FrameId> {
        let frame = dictionary.frames.values()[dictionary.frames.index_of(id)?];
        let Frame::Code { module, offset } = frame else { return Some(id) };
        for (_, code) in self.code.all_at(module, offset) {
            match code.from_ns {
                from_ns if from_ns <= time_ns => times.start = times.start.max(from_ns),
                from_ns => times.end = times.end.min(from_ns),
            }
        }
        let code = self.code.at(module, offset, time_ns);
        if let Some(known) = self.frames.get(&(id, code)) {
            return Some(*known);
        }
        let made = self.made_id(self.made.frames.len())?;
        self.made.frames.push(frame);
        self.made.codes.push(code);
        self.frames.insert((id, code), made);
        Some(made)
    }

    fn make_stack(&mut self, parent: Option<StackId>, frame: FrameId) -> Option<StackId> {
        if let Some(known) = self.stacks.get(&(parent, frame)) {
            return Some(*known);
        }
        let made = self.made_id(self.made.stacks.len())?;
        self.made.stacks.push(StackNode { parent, frame });
        self.stacks.insert((parent, frame), made);
        Some(made)
    }

    /// The number of the next thing that is made up, if there is room for it.
    fn made_id(&self, count: usize) -> Option<u32> {
        (count < MAX_MADE && !self.is_complete).then_some(FIRST_MADE + count as u32)
    }
}
