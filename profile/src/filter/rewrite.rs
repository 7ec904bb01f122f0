//! Makes stacks of other stacks by leaving frames out.
//!
//! A location with inlined functions is several frames, of which some may
//! stay. So stacks are taken apart into single frames, and what is left of a
//! location is put together again:
//!
//! ```text
//! stack: locations ─► frames: (location, line) ─► some are left out ─► locations ─► stack
//! ```

use rustc_hash::FxHashMap;

use crate::model::{FunctionId, Location, LocationId, Profile, StackId, StackNode};

/// Callers that are looked at for recursion, at most. They are different
/// functions, and no program has so many on one stack.
const MAX_CALLERS: usize = 1 << 12;

/// Index into [`Rewriter::frames`].
type FrameId = u32;

/// A function call on a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Frame {
    caller: Option<FrameId>,
    location: LocationId,
    /// Index into the lines of the location.
    line: usize,
    /// Whether it is inlined into its caller, which is of the same location.
    is_inlined: bool,
}

/// Leaves frames out of all stacks of a profile.
#[derive(Debug)]
pub(super) struct Rewriter<'p> {
    profile: &'p mut Profile,
    old: Vec<StackNode>,
    frames: Vec<Frame>,
    frame_ids: FxHashMap<Frame, FrameId>,
    /// The innermost frame that is left of each old stack.
    left: Vec<Option<FrameId>>,
    /// The new stack that ends in a frame, once there is need for it.
    stacks: FxHashMap<FrameId, StackId>,
    stack_ids: FxHashMap<StackNode, StackId>,
    /// Locations of which a part is left: location, first and last line.
    parts: FxHashMap<(LocationId, usize, usize), LocationId>,
}

impl<'p> Rewriter<'p> {
    /// Takes the stacks apart. Locations of which `keeps` does not hold are
    /// left out; with `collapse`, so is recursion.
    pub(super) fn new(
        profile: &'p mut Profile,
        keeps: impl Fn(&Location) -> bool,
        collapse: bool,
    ) -> Self {
        let old = std::mem::take(&mut profile.stacks);
        let mut this = Rewriter {
            profile,
            frames: Vec::new(),
            frame_ids: FxHashMap::default(),
            left: Vec::with_capacity(old.len()),
            stacks: FxHashMap::default(),
            stack_ids: FxHashMap::default(),
            parts: FxHashMap::default(),
            old,
        };
        // Callers come first.
        for index in 0..this.old.len() {
            let node = this.old[index];
            let caller = node.parent.and_then(|parent| this.left[parent]);
            let left = match keeps(&this.profile.locations[node.location]) {
                true => this.call(caller, node.location, collapse),
                false => caller,
            };
            this.left.push(left);
        }
        this
    }

    /// The new stack in the place of an old one; `None` if no frame is left.
    pub(super) fn stack(&mut self, old: StackId) -> Option<StackId> {
        self.left[old].map(|frame| self.stack_of(frame))
    }

    /// Adds the frames of a location to a stack.
    fn call(
        &mut self,
        mut innermost: Option<FrameId>,
        location: LocationId,
        collapse: bool,
    ) -> Option<FrameId> {
        let lines = self.profile.locations[location].lines.len();
        for line in (0..lines).rev() {
            let function = self.profile.locations[location].lines[line].function;
            let mut is_inlined = line + 1 < lines;
            if collapse && let Some(first) = self.find(innermost, function) {
                innermost = self.frames[first as usize].caller;
                is_inlined = false;
            }
            innermost = Some(self.frame(Frame { caller: innermost, location, line, is_inlined }));
        }
        innermost
    }

    /// The frame of a function in a stack.
    fn find(&self, innermost: Option<FrameId>, function: FunctionId) -> Option<FrameId> {
        let caller = |id: &FrameId| self.frames[*id as usize].caller;
        let mut frames = std::iter::successors(innermost, caller).take(MAX_CALLERS);
        frames.find(|&id| {
            let Frame { location, line, .. } = self.frames[id as usize];
            self.profile.locations[location].lines[line].function == function
        })
    }

    fn frame(&mut self, frame: Frame) -> FrameId {
        *self.frame_ids.entry(frame).or_insert_with(|| {
            self.frames.push(frame);
            (self.frames.len() - 1) as FrameId
        })
    }

    /// The new stack that ends in a frame, with its callers.
    fn stack_of(&mut self, innermost: FrameId) -> StackId {
        // Those that end in the last frames of locations, innermost first.
        let mut missing = Vec::new();
        let mut next = Some(innermost);
        let mut parent = None;
        while let Some(last) = next {
            if let Some(&known) = self.stacks.get(&last) {
                parent = Some(known);
                break;
            }
            let mut first = last;
            while self.frames[first as usize].is_inlined
                && let Some(caller) = self.frames[first as usize].caller
            {
                first = caller;
            }
            missing.push((first, last));
            next = self.frames[first as usize].caller;
        }
        for (first, last) in missing.into_iter().rev() {
            let Frame { location, line, .. } = self.frames[first as usize];
            let location = self.part(location, self.frames[last as usize].line, line);
            let node = StackNode { parent, location };
            let stack = *self.stack_ids.entry(node).or_insert_with(|| {
                self.profile.stacks.push(node);
                self.profile.stacks.len() - 1
            });
            self.stacks.insert(last, stack);
            parent = Some(stack);
        }
        // There is at least the frame that was asked for.
        parent.unwrap_or_default()
    }

    /// A location that has only these lines of another one.
    fn part(&mut self, location: LocationId, first: usize, last: usize) -> LocationId {
        let locations = &mut self.profile.locations;
        if (first, last + 1) == (0, locations[location].lines.len()) {
            return location;
        }
        *self.parts.entry((location, first, last)).or_insert_with(|| {
            let whole = &locations[location];
            let lines = whole.lines[first..=last].to_vec();
            locations.push(Location { lines, ..whole.clone() });
            locations.len() - 1
        })
    }
}
