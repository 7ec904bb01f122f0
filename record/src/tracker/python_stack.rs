//! Stacks of threads that run CPython: native frames, with those of the interpreter
//! among them.
//!
//! Most of a thread's stack is as it was at its last sample. Native frames are kept as
//! they are of other threads; of all that the stack is made of, only what has changed
//! is looked up and numbered again.

use rustc_hash::FxHashMap;
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
    /// In which period it was made; see [`period_of`].
    period: u64,
}

/// For how long what is known of stacks holds: it is made anew in each period, as code
/// objects may have become others.
fn period_of(time_ns: u64) -> u64 {
    time_ns / CODE_STAYS_NS
}

/// Parts that are kept in [`KnownEnds`].
const MAX_KEPT: usize = 1 << 16;
/// Shorter ends are not worth it.
const LEAST_KEPT: usize = 4;

/// Ends of stacks that threads have had, by process and what they begin with.
///
/// A thread that evaluates is at another place of the evaluating function at each
/// sample, and behind that come all the frames of Python, which are as they were: so
/// their stacks are others, but not new for long.
#[derive(Default)]
pub(crate) struct KnownEnds {
    by_start: FxHashMap<Start, Vec<(Part, StackId)>>,
    /// How many parts they have.
    kept: usize,
    period: u64,
}

/// Process, the stack up to where an end begins, and its first part.
type Start = (u32, Option<StackId>, Part);

impl KnownEnds {
    /// Forgets those of another period.
    fn begin(&mut self, period: u64) {
        if self.period != period || self.kept > MAX_KEPT {
            self.forget();
            self.period = period;
        }
    }

    /// Forgets all, as numbers of processes are used again.
    pub(super) fn forget(&mut self) {
        self.by_start.clear();
        self.kept = 0;
    }

    /// Exchanges the end of `parts`, from the one behind `stack` on, for a known one
    /// that begins with `part`, if there is any.
    fn exchange(
        &mut self,
        pid: u32,
        stack: Option<StackId>,
        part: Part,
        at: usize,
        parts: &mut Vec<(Part, StackId)>,
    ) {
        if parts.len() >= at + LEAST_KEPT {
            let start = (pid, stack, parts[at].0);
            self.kept += parts.len() - at;
            let before = self.by_start.insert(start, parts.split_off(at));
            self.kept -= before.map_or(0, |before| before.len());
        }
        parts.truncate(at);
        if let Some(end) = self.by_start.remove(&(pid, stack, part)) {
            self.kept -= end.len();
            parts.extend(end);
        }
    }
}

/// A part of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    /// One that means the same at any time.
    Frame(Frame),
    Python(RawFrame),
}

impl PythonStack {
    /// Takes the native frames that were `found`, leaf first, behind the `known`
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

        let PythonStack { native, end, parts, period, .. } = last;
        let pointers: Vec<u64> = native.iter().rev().map(|(_, sp)| *sp).collect();
        let is_evaluating = |at: &usize| python.is_evaluating(native[native.len() - 1 - at].0);
        let evaluating: Vec<usize> = (0..native.len()).filter(is_evaluating).collect();
        let mut among = if python.leads_to_native() {
            frames.by_address(&pointers, *end, &evaluating)
        } else {
            frames.one_each(&evaluating, native.len(), truncated.is_none())
        };

        if *period != period_of(time_ns) {
            parts.clear();
            *period = period_of(time_ns);
        }
        let mut ends = std::mem::take(&mut self.python_ends);
        ends.begin(*period);
        let (mut known, mut stack) = (0, None);
        let mut add = |part: Part| {
            let is_known = |parts: &[(Part, _)]| parts.get(known).is_some_and(|(p, _)| *p == part);
            if !is_known(parts) {
                match part {
                    Part::Frame(_) => ends.exchange(pid, stack, part, known, parts),
                    Part::Python(_) => parts.truncate(known),
                }
            }
            if !is_known(parts) {
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
        self.python_ends = ends;
        UserStack { stack, truncated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64) -> Part {
        Part::Frame(Frame::Code { module: 0, offset })
    }

    /// A place and frames of Python, whose stacks have numbers from `first` on.
    fn end(offset: u64, first: StackId) -> Vec<(Part, StackId)> {
        let python = |code| Part::Python(RawFrame { code, instruction: 9 });
        let parts = [place(offset), python(1), python(2), python(3)];
        parts.into_iter().zip(first..).collect()
    }

    #[test]
    fn ends_are_known_where_they_were() {
        let mut ends = KnownEnds::default();
        ends.begin(7);
        let mut parts = end(0x10, 100);
        // It is at another place, and then where it was.
        ends.exchange(1, None, place(0x20), 0, &mut parts);
        assert_eq!((&parts[..], ends.kept), (&[][..], 4));
        parts = end(0x20, 200);
        ends.exchange(1, None, place(0x10), 0, &mut parts);
        assert_eq!((parts, ends.kept), (end(0x10, 100), 4));

        // Behind another stack, or in another process, nothing is known.
        for (pid, stack) in [(1, Some(5)), (2, None)] {
            let mut parts = Vec::new();
            ends.exchange(pid, stack, place(0x20), 0, &mut parts);
            assert_eq!(parts, []);
        }
        // Nor in another period.
        ends.begin(8);
        let mut parts = Vec::new();
        ends.exchange(1, None, place(0x20), 0, &mut parts);
        assert_eq!((&parts[..], ends.kept), (&[][..], 0));
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let mut ends = KnownEnds::default();
        for offset in 0..MAX_KEPT as u64 {
            ends.begin(0);
            let mut parts = end(offset, 1);
            ends.exchange(1, None, place(u64::MAX), 0, &mut parts);
            assert_eq!(parts.len(), 0);
            assert!(ends.kept <= MAX_KEPT + 4, "{}", ends.kept);
        }
        let kept: usize = ends.by_start.values().map(Vec::len).sum();
        assert_eq!(ends.kept, kept);
    }
}
