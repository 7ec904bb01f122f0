//! A thread's last stack, of which most is still there at its next sample.
//!
//! A frame is followed again only if it changed. The rest is compared: the same
//! function with the same stack and frame pointers has the same callers as long
//! as the words that lead to these are the same. Each such word is looked at, so
//! this gives what unwinding would have given, or nothing. It is kept only where
//! nothing but these two registers and words at fixed places was asked for.

use crate::arch::{FP, RETURN_ADDRESS_AT_CFA, Registers};
use crate::memory::StackMemory;

/// Frames kept per thread; of deeper stacks none.
const MAX_KEPT: usize = 256;

/// How a frame led to its caller, if that is simple: the return address was
/// where a call leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simple {
    /// How far below the caller's stack pointer its frame pointer was saved; 0
    /// if it was not.
    pub saved_fp: u32,
}

/// A frame that has called another one, as unwinding came to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    ip: u64,
    sp: u64,
    fp: Option<u64>,
}

impl Caller {
    pub(crate) fn new(registers: &Registers) -> Self {
        Caller { ip: registers.ip, sp: registers.sp(), fp: registers.get(FP) }
    }
}

#[derive(Debug, Clone)]
struct Frame {
    caller: Caller,
    /// How it led to the frame before it in the list.
    step: Simple,
    /// What the owner calls the stack up to here.
    id: u32,
}

/// The last stack of a thread, if it was followed to its root.
#[derive(Debug, Clone, Default)]
pub struct KeptStack {
    /// Outermost first.
    frames: Vec<Frame>,
    /// See [`crate::End::Root`].
    end: u64,
}

impl KeptStack {
    /// Whether the stack is as it was from a frame on. Returns how many frames
    /// that are, what they are called together, and where the stack ends.
    pub fn find(&self, caller: &Caller, stack: &StackMemory<'_>) -> Option<(usize, u32, u64)> {
        // Callers are further up: stack pointers fall from frame to frame.
        let at = self.frames.partition_point(|frame| frame.caller.sp > caller.sp);
        self.frames.get(at).filter(|frame| frame.caller == *caller)?;
        let leads_on = |pair: &[Frame]| {
            let [Frame { caller, .. }, called] = pair else { return false };
            let saved_fp = u64::from(called.step.saved_fp);
            let fp = (saved_fp > 0).then(|| stack.read(caller.sp.wrapping_sub(saved_fp)));
            stack.read(caller.sp.wrapping_add_signed(RETURN_ADDRESS_AT_CFA)) == Some(caller.ip)
                && fp.is_none_or(|fp| fp.is_some() && fp == caller.fp)
        };
        let is_same = self.frames[..=at].windows(2).all(leads_on);
        is_same.then(|| (at + 1, self.frames[at].id, self.end))
    }

    /// Keeps the outermost `count` frames only.
    pub fn keep(&mut self, count: usize) {
        self.frames.truncate(count);
    }

    /// Adds a frame that the last one has called, and which led to it by `step`.
    /// Returns whether there is room for more.
    pub fn push(&mut self, caller: Caller, step: Simple, id: u32) -> bool {
        self.frames.push(Frame { caller, step, id });
        self.frames.len() < MAX_KEPT
    }

    /// Begins a new one, of a stack that ends at `end`.
    pub fn begin(&mut self, end: u64) {
        self.frames.clear();
        self.end = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// main, called from nowhere at 0x1080, has called f, and that g, which has
    /// saved main's frame pointer 16 bytes below f's stack pointer.
    fn kept() -> KeptStack {
        let mut kept = KeptStack::default();
        kept.begin(0x1080);
        let frames = [(0x10, 0x1080, 7, 0), (0x20, 0x1040, 7, 0), (0x30, 0x1020, 9, 16)];
        for (id, (ip, sp, fp, saved_fp)) in frames.into_iter().enumerate() {
            assert!(kept.push(Caller { ip, sp, fp: Some(fp) }, Simple { saved_fp }, id as u32));
        }
        kept
    }

    /// The words that lead from g to main.
    fn words() -> [u64; 16] {
        let mut words = [0xee; 16];
        // f's frame pointer and return address; main's return address.
        (words[6], words[7], words[15]) = (7, 0x20, 0x10);
        words
    }

    #[track_caller]
    fn check(words: [u64; 16], caller: (u64, u64, u64), expected: Option<(usize, u32, u64)>) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let (ip, sp, fp) = caller;
        let found =
            kept().find(&Caller { ip, sp, fp: Some(fp) }, &StackMemory::new(0x1000, &bytes));
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_the_same_is_known() {
        check(words(), (0x30, 0x1020, 9), Some((3, 2, 0x1080)));
        check(words(), (0x20, 0x1040, 7), Some((2, 1, 0x1080)));
        check(words(), (0x10, 0x1080, 7), Some((1, 0, 0x1080)));
    }

    #[test]
    fn another_frame_is_not() {
        for caller in [(0x31, 0x1020, 9), (0x30, 0x1028, 9), (0x30, 0x1020, 8), (0x30, 0x2000, 9)] {
            check(words(), caller, None);
        }
    }

    #[test]
    fn each_word_that_leads_on_counts() {
        for (at, known) in [(6, None), (7, None), (15, None), (5, Some((3, 2, 0x1080)))] {
            let mut words = words();
            words[at] ^= 1;
            check(words, (0x30, 0x1020, 9), known);
        }
        // From f on, what g has saved does not matter.
        let mut words = words();
        words[6] ^= 1;
        check(words, (0x20, 0x1040, 7), Some((2, 1, 0x1080)));
    }

    #[test]
    fn what_was_not_copied_is_not_known() {
        let bytes: Vec<u8> = words()[..15].iter().flat_map(|word| word.to_le_bytes()).collect();
        let stack = StackMemory::new(0x1000, &bytes);
        let caller = Caller { ip: 0x30, sp: 0x1020, fp: Some(9) };
        assert_eq!(kept().find(&caller, &stack), None);
        let mut shorter = kept();
        shorter.keep(1);
        assert_eq!(shorter.find(&caller, &stack), None);
    }
}
