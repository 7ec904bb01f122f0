//! Stacks of threads that run CPython: native frames, with those of the interpreter
//! among them.
//!
//! Most of a thread's stack is as it was at its last sample. Native frames are kept as
//! they are of other threads; of all that the stack is made of, only what has changed
//! is looked up and numbered again.

use rz_format::{Frame, Record, StackId, TruncatedReason};
use rz_unwind::KeptStack;

use super::process::read_memory;
use super::stacks::{Moment, Native, Stacks, UserStack};
use crate::python::{CODE_STAYS_NS, Frames, Interpreter, RawFrame};

/// A thread's last stack.
#[derive(Default)]
pub(crate) struct PythonStack {
    /// Native frames that lead on to the root as long as they are the same.
    pub(super) kept: KeptStack,
    /// All native frames, outermost first. Those that are kept are the first ones.
    native: Vec<(Frame, u64)>,
    /// Where the copy of the stack ends that they were found in.
    end: u64,
    /// What it is made of, outermost first, with the stack up to there.
    parts: Vec<(Part, StackId)>,
    /// When it was last made without what had been known.
    made_ns: u64,
}

/// A part of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// One that means the same at any time.
    Frame(Frame),
    Python(RawFrame),
}

impl PythonStack {
    /// Takes the native frames that were `found`, innermost first, behind the `known`
    /// ones that are as they were. They can be kept if that is said. The copy of the stack
    /// ends at `end`.
    pub(super) fn take_native(
        &mut self,
        found: &mut Vec<Native>,
        known: usize,
        mut keeps: bool,
        end: u64,
    ) {
        self.end = end;
        self.native.truncate(known);
        if !keeps {
            self.kept.keep(known);
        }
        for Native { frame, sp, caller, .. } in found.drain(..).rev() {
            self.native.push((frame, sp));
            // Those inside of one that is not simple cannot be compared.
            keeps = keeps && caller.is_some_and(|(caller, step)| self.kept.push(caller, step, 0));
        }
    }
}

impl Stacks {
    /// The number of the stack of the native frames in `last`, and those of CPython.
    pub(super) fn python_stack(
        &mut self,
        moment: Moment,
        frames: Frames,
        python: &mut Interpreter,
        last: &mut PythonStack,
        user: UserStack,
        records: &mut Vec<Record>,
    ) -> UserStack {
        let Moment { time_ns, pid, .. } = moment;
        let memory = |address: u64, to: &mut [u8]| read_memory(pid, address, to);
        let cut = frames.is_cut.then_some(TruncatedReason::TooManyFrames);
        let truncated = user.truncated.or(cut);

        let PythonStack { native, end, parts, made_ns, .. } = last;
        let pointers: Vec<u64> = native.iter().rev().map(|(_, sp)| *sp).collect();
        let is_evaluating = |at: &usize| python.is_evaluating(native[native.len() - 1 - at].0);
        let evaluating: Vec<usize> = (0..native.len()).filter(is_evaluating).collect();
        let mut among = if python.leads_to_native() {
            frames.by_address(&pointers, *end, &evaluating)
        } else {
            frames.one_each(&evaluating, native.len(), truncated.is_none())
        };

        if time_ns.saturating_sub(*made_ns) >= CODE_STAYS_NS {
            parts.clear();
            *made_ns = time_ns;
        }
        let (mut known, mut stack) = (0, None);
        let mut add = |part: Part| {
            if parts.get(known).is_none_or(|(of_last, _)| *of_last != part) {
                parts.truncate(known);
                let frame = match part {
                    Part::Frame(frame) => frame,
                    Part::Python(raw) => {
                        python.frame(raw, time_ns, &memory, &mut self.code_numbers, records)
                    }
                };
                parts.push((part, self.child(stack, frame)));
            }
            stack = Some(parts[known].1);
            known += 1;
        };
        if let Some(reason) = truncated {
            add(Part::Frame(Frame::Truncated(reason)));
        }
        // What lies beyond the native frames that were found comes first.
        for at in (0..=pointers.len()).rev() {
            if at < pointers.len() {
                add(Part::Frame(native[native.len() - 1 - at].0));
            }
            while let Some((_, raw)) = among.pop_if(|(of, _)| *of >= at) {
                add(Part::Python(raw));
            }
        }
        parts.truncate(known);
        UserStack { stack, truncated }
    }
}
