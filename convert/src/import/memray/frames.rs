//! Stacks as the trace has them.

use rustc_hash::FxHashMap;
use rz_format::{Frame, StackId};

use super::header::Header;
use super::stacks::{Stack, Stacks};
use crate::import::functions::{Functions, MAX_FRAMES, too_many};
use crate::import::output::Output;

/// Deep stacks are cut at multiples of this, so that they have their outer frames in common.
const CUT: u32 = MAX_FRAMES as u32 / 2;

pub(super) struct Frames<'a> {
    stacks: &'a Stacks,
    /// As `PY_VERSION_HEX`.
    python: u32,
    /// Outermost frames of the main thread that are left out.
    own: u32,
    functions: Functions,
    /// By place.
    frames: FxHashMap<u32, Frame>,
    /// By stack, and how many outermost frames are left out of it.
    ids: FxHashMap<(Stack, u32), StackId>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(stacks: &'a Stacks, header: &Header) -> Self {
        Frames {
            stacks,
            python: header.python,
            own: header.own_frames.try_into().unwrap_or(u32::MAX),
            functions: Functions::default(),
            frames: FxHashMap::default(),
            ids: FxHashMap::default(),
        }
    }

    /// The number of a stack; `None` for an empty one.
    pub(super) fn stack(
        &mut self,
        stack: Stack,
        is_main: bool,
        out: &mut Output,
    ) -> Option<StackId> {
        let own = if is_main { self.own } else { 0 };
        let left_out = left_out(self.stacks.depth(stack), own);
        let (mut at, mut inner) = (stack, Vec::new());
        let mut id = loop {
            if self.stacks.depth(at) <= left_out {
                break (left_out > own).then(|| out.stack(None, too_many()));
            }
            if let Some(id) = self.ids.get(&(at, left_out)) {
                break Some(*id);
            }
            let (place, caller) = self.stacks.innermost(at);
            inner.push((at, place));
            at = caller;
        };
        for (stack, place) in inner.into_iter().rev() {
            let frame = *self.frames.entry(place).or_insert_with(|| {
                self.functions.frame(self.stacks.function(place, self.python), out)
            });
            let called = out.stack(id, frame);
            self.ids.insert((stack, left_out), called);
            id = Some(called);
        }
        id
    }
}

/// How many of a stack's outermost frames are left out.
fn left_out(depth: u32, own: u32) -> u32 {
    let excess = depth.saturating_sub(own).saturating_sub(MAX_FRAMES as u32);
    own.saturating_add(excess.next_multiple_of(CUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_stacks_are_cut_in_steps() {
        let most = MAX_FRAMES as u32;
        assert_eq!([0, 1, most].map(|depth| left_out(depth, 0)), [0; 3]);
        assert_eq!([1, CUT, CUT + 1].map(|more| left_out(most + more, 0)), [CUT, CUT, 2 * CUT]);
        assert_eq!([0, most + 6, most + 7].map(|depth| left_out(depth, 6)), [6, 6, 6 + CUT]);
        assert_eq!(left_out(most, u32::MAX), u32::MAX);
    }
}
