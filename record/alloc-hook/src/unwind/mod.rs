//! Who called: from a call's stack pointer to the return addresses of all its
//! callers.
//!
//! Most calls share their outer frames with the thread's previous one. That
//! one's frames are kept; as soon as unwinding from the inside arrives at one
//! of them, those around it need not be unwound again. It is enough that all
//! words that they were found in are what they were.
//!
//! ```text
//! frames   │ kept, outermost first │ … free … │ new, outermost first │
//!          0                     depth                         CAPACITY
//! ```
//!
//! New frames are found leaf first, and so put in from the end.

mod rules;

use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering::Relaxed;

use rz_alloc_ring::MAX_FRAMES;

use crate::arch::{CHAINED_RETURN_ADDRESS, RETURN_ADDRESS_LEN, SIGNAL_FP, SIGNAL_IP, SIGNAL_SP};
use crate::process::{self, UNLOADED};
use crate::stack::Readable;
use crate::sys;
use rules::{Context, End, FramePointer, Rule, follows_call};

const CAPACITY: usize = MAX_FRAMES;
const _: () = assert!(CAPACITY.is_power_of_two());
/// Of a stack with more frames than there is room for, so many innermost ones
/// are kept, which leaves room for calls that go even deeper.
const CUT: usize = CAPACITY / 2;
const RULES: usize = 1024;

/// Why a stack is not complete: the format's reasons plus one.
mod truncated {
    pub(super) const NOT: u8 = 0;
    pub(super) const NO_UNWIND_INFO: u8 = 2;
    pub(super) const BAD_RETURN_ADDRESS: u8 = 3;
    pub(super) const TOO_MANY_FRAMES: u8 = 4;
}

/// A frame that was called from: where its return address is, and what was
/// found on the way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Frame {
    /// Where the return address is. Just below the frame's stack pointer.
    slot: usize,
    return_address: usize,
    /// The frame pointer.
    bp: usize,
    /// Where that was read from, a multiple of 8, or 0 if from nowhere; plus
    /// the flags below.
    bp_slot: usize,
}

/// The words are not all that the frame was found by: find it again instead.
const FIND_AGAIN: usize = 1;
/// Nothing was called here: the address is not one behind a call.
const EXACT: usize = 2;
const FLAGS: usize = 7;

/// Bytes of stack that looking a rule up takes, and some more.
const ROOM: usize = 3 << 10;

impl Frame {
    /// The address to report. Who reads it takes one away.
    fn reported(&self) -> usize {
        self.return_address + usize::from(self.bp_slot & EXACT != 0)
    }
}

/// A rule that was looked up before.
#[derive(Clone, Copy)]
#[repr(C)]
struct Known {
    return_address: usize,
    rule: Rule,
}

/// How an allocation's stack differs from that of the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Frames that stay, outermost first.
    pub(crate) kept: usize,
    /// Frames that come inside of these.
    pub(crate) new: usize,
    /// Why the stack is not complete.
    pub(crate) truncated: u8,
    /// Nothing has changed.
    pub(crate) same: bool,
}

/// A thread's last stack, and rules to find the next one by. Zero is valid,
/// and an empty one.
#[repr(C)]
pub(crate) struct Callers {
    /// How many frames there are.
    depth: Cell<usize>,
    truncated: Cell<u8>,
    /// Whether there is a last stack.
    is_known: Cell<bool>,
    /// [`UNLOADED`] when the first rule was looked up.
    unloaded: Cell<u64>,
    frames: [Cell<Frame>; CAPACITY],
    rules: [Cell<Known>; RULES],
    context: UnsafeCell<MaybeUninit<Context>>,
}

/// What comes after a frame on the way out.
enum Step {
    Caller(Frame),
    Last(u8),
}

impl Callers {
    /// Forgets the last stack.
    pub(crate) fn forget(&self) {
        self.depth.set(0);
        self.is_known.set(false);
    }

    /// Forgets everything; `rules` says whether there may be any.
    pub(crate) fn forget_all(&self, rules: bool) {
        self.forget();
        if rules {
            for known in &self.rules {
                known.set(Known {
                    return_address: 0,
                    rule: Rule {
                        end: End::Root,
                        frame_pointer: FramePointer::Same,
                        frame_pointer_offset: 0,
                        end_offset: 0,
                    },
                });
            }
        }
        self.unloaded.set(UNLOADED.load(Relaxed));
    }

    #[inline(always)]
    fn frame(&self, index: usize) -> &Cell<Frame> {
        // All indexes are below it anyway; this way the compiler knows.
        &self.frames[index & (CAPACITY - 1)]
    }

    /// The return addresses of the innermost `count` frames, outermost first.
    pub(crate) fn innermost(&self, count: usize) -> impl Iterator<Item = u64> {
        let start = self.depth.get() - count;
        (start..start + count).map(|index| self.frame(index).get().reported() as u64)
    }

    /// Finds the callers of the function that was called with stack pointer
    /// `sp` and frame pointer `bp`. They are the last stack then.
    ///
    /// # Safety
    ///
    /// `sp` is where the return address is, of a call that has not returned.
    #[inline(always)]
    pub(crate) unsafe fn update(&self, readable: &Readable, sp: usize, bp: usize) -> Change {
        if !readable.cover(sp, process::state_of_memory()) {
            self.forget();
        }
        if self.unloaded.get() != UNLOADED.load(Relaxed) {
            self.forget_all(true);
        }
        // SAFETY: as the caller vouches for.
        let return_address = unsafe { (sp as *const usize).read_volatile() };
        let mut current = Frame { slot: sp, return_address, bp, bp_slot: 0 };
        // Of the last stack's frames, so many may still be there.
        let mut live = self.depth.get();
        // New ones are from here on.
        let mut start = CAPACITY;
        let (kept, end) = loop {
            while live > 0 && self.frame(live - 1).get().slot < current.slot {
                live -= 1;
            }
            if live > 0 && is_same(&self.frame(live - 1).get(), &current) {
                let good = self.check(readable, live - 1);
                if good == 0 {
                    break (live, self.truncated.get());
                }
                // What is around this one has changed.
                for index in (good..live).rev() {
                    start -= 1;
                    self.frame(start).set(self.frame(index).get());
                }
                current = self.frame(good).get();
                live = good;
            } else {
                if start == live {
                    if live == 0 {
                        // All are new, and there are more. Keep some of them.
                        start = CAPACITY - CUT;
                        break (0, truncated::TOO_MANY_FRAMES);
                    }
                    live = 0;
                }
                start -= 1;
                self.frame(start).set(current);
            }
            match self.step(readable, &current, start) {
                Step::Caller(caller) => current = caller,
                Step::Last(truncated) => break (0, truncated),
            }
        };
        let new = CAPACITY - start;
        let change = Change {
            kept,
            new,
            truncated: end,
            same: new == 0 && kept == self.depth.get() && self.is_known.get(),
        };
        if !change.same {
            for index in 0..new {
                self.frame(kept + index).set(self.frame(start + index).get());
            }
            self.depth.set(kept + new);
            self.truncated.set(end);
            self.is_known.set(true);
        }
        change
    }

    /// Whether all frames around number `index` are what they were: 0, or the
    /// number of the outermost one up to which they are.
    #[inline(always)]
    fn check(&self, readable: &Readable, mut index: usize) -> usize {
        while index > 0 {
            let outer = self.frame(index - 1).get();
            let is_same = if outer.bp_slot & FIND_AGAIN == 0 {
                let bp_slot = outer.bp_slot & !FLAGS;
                readable.read_again(outer.slot) == outer.return_address
                    && (bp_slot == 0 || readable.read_again(bp_slot) == outer.bp)
            } else {
                self.is_found_again(readable, index, &outer)
            };
            if !is_same {
                return index;
            }
            index -= 1;
        }
        0
    }

    #[cold]
    #[inline(never)]
    fn is_found_again(&self, readable: &Readable, index: usize, outer: &Frame) -> bool {
        match self.step(readable, &self.frame(index).get(), index) {
            Step::Caller(caller) => is_same(&caller, outer),
            Step::Last(_) => false,
        }
    }

    /// Unwinds `frame`, which is at `index`.
    #[inline(always)]
    fn step(&self, readable: &Readable, frame: &Frame, index: usize) -> Step {
        let sp = frame.slot + RETURN_ADDRESS_LEN;
        let rule = self.rule(frame.return_address);
        let (end, mut flags) = match rule.end {
            End::Stack => (sp.wrapping_add_signed(rule.end_offset as isize), 0),
            End::Frame => (frame.bp.wrapping_add_signed(rule.end_offset as isize), 0),
            _ => match self.unusual_end(readable, frame, index, rule) {
                Ok(end) => (end, FIND_AGAIN),
                Err(step) => return step,
            },
        };
        let slot = end.wrapping_sub(RETURN_ADDRESS_LEN);
        // Callers are always further up.
        if slot < sp {
            return Step::Last(truncated::NO_UNWIND_INFO);
        }
        let Some(return_address) = readable.read(slot) else {
            return Step::Last(truncated::NO_UNWIND_INFO);
        };
        if return_address == 0 {
            return Step::Last(truncated::NOT);
        }
        let bp_slot = match rule.frame_pointer {
            FramePointer::Same => 0,
            FramePointer::AtEnd => end.wrapping_add_signed(rule.frame_pointer_offset as isize),
            FramePointer::AtFrame => {
                flags |= FIND_AGAIN;
                frame.bp.wrapping_add_signed(rule.frame_pointer_offset as isize)
            }
            // No stack is at such an address.
            FramePointer::Lost => {
                return Step::Caller(Frame { slot, return_address, bp: 1, bp_slot: flags });
            }
        };
        if bp_slot == 0 {
            return Step::Caller(Frame { slot, return_address, bp: frame.bp, bp_slot: flags });
        }
        match readable.read(bp_slot) {
            Some(bp) => Step::Caller(Frame { slot, return_address, bp, bp_slot: bp_slot | flags }),
            None => Step::Last(truncated::NO_UNWIND_INFO),
        }
    }

    /// Where a frame ends by a rule that is rare.
    #[cold]
    #[inline(never)]
    fn unusual_end(
        &self,
        readable: &Readable,
        frame: &Frame,
        index: usize,
        rule: Rule,
    ) -> Result<usize, Step> {
        let no_info = || Step::Last(truncated::NO_UNWIND_INFO);
        let offset = rule.end_offset as isize;
        match rule.end {
            End::AtFrame => readable.read(frame.bp.wrapping_add_signed(offset)).ok_or_else(no_info),
            End::Root => Err(Step::Last(truncated::NOT)),
            End::NoCode => Err(Step::Last(truncated::BAD_RETURN_ADDRESS)),
            End::Chain => Err(chain(readable, frame)),
            End::Signal => {
                let mut trampoline = *frame;
                trampoline.bp_slot |= EXACT;
                self.frame(index).set(trampoline);
                Err(interrupted(readable, frame))
            }
            _ => Err(no_info()),
        }
    }

    #[inline(always)]
    fn rule(&self, return_address: usize) -> Rule {
        let hash = return_address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let known = &self.rules[hash >> (usize::BITS - RULES.ilog2())];
        let Known { return_address: address, rule } = known.get();
        if address == return_address { rule } else { self.find_rule(return_address, known) }
    }

    #[cold]
    #[inline(never)]
    fn find_rule(&self, return_address: usize, known: &Cell<Known>) -> Rule {
        // Signal handlers may have a stack of 2 KiB.
        let here = (&raw const return_address).addr();
        if sys::is_missing(here.wrapping_sub(ROOM) & !7) {
            return Rule::simple(End::Unknown);
        }
        // SAFETY: only this thread uses it, and a signal handler that
        // interrupts it does not.
        let context = unsafe { &mut *self.context.get() };
        let rule = Rule::find(return_address, context);
        known.set(Known { return_address, rule });
        rule
    }
}

/// Whether unwinding goes on from both in the same way.
#[inline(always)]
fn is_same(one: &Frame, other: &Frame) -> bool {
    one.slot == other.slot && one.return_address == other.return_address && one.bp == other.bp
}

/// Follows the chain of frame pointers by one.
fn chain(readable: &Readable, frame: &Frame) -> Step {
    let bp = frame.bp;
    if bp == 0 {
        // By convention, the outermost frame.
        return Step::Last(truncated::NOT);
    }
    if bp < frame.slot + RETURN_ADDRESS_LEN {
        return Step::Last(truncated::NO_UNWIND_INFO);
    }
    let slot = bp.wrapping_add(CHAINED_RETURN_ADDRESS);
    match (readable.read(bp), readable.read(slot)) {
        (Some(_), Some(0)) => Step::Last(truncated::NOT),
        (Some(_), Some(return_address)) if !follows_call(return_address) => {
            Step::Last(truncated::BAD_RETURN_ADDRESS)
        }
        (Some(previous), Some(return_address)) => {
            Step::Caller(Frame { slot, return_address, bp: previous, bp_slot: bp | FIND_AGAIN })
        }
        _ => Step::Last(truncated::NO_UNWIND_INFO),
    }
}

/// The frame that a signal interrupted: `struct ucontext` is where the
/// trampoline's stack pointer is.
fn interrupted(readable: &Readable, frame: &Frame) -> Step {
    let context = frame.slot + RETURN_ADDRESS_LEN;
    let register = |offset: usize| readable.read(context + offset);
    match (register(SIGNAL_FP), register(SIGNAL_SP), register(SIGNAL_IP)) {
        // It lies above, if on the same stack; another one is not followed.
        // Its address is exact, which one more makes up for.
        (Some(bp), Some(sp), Some(ip)) if sp > frame.slot && readable.read(sp).is_some() => {
            let slot = sp - RETURN_ADDRESS_LEN;
            Step::Caller(Frame { slot, return_address: ip + 1, bp, bp_slot: FIND_AGAIN })
        }
        _ => Step::Last(truncated::NO_UNWIND_INFO),
    }
}
