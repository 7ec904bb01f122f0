//! Turns where a thread was into a numbered stack.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use rz_format::{Frame, ModuleKind, Record, StackDefs, StackId, StackInterner, TruncatedReason};
use rz_unwind::{End, StackMemory};

use crate::event::{RawEvent, RawStack};
use crate::queue::StackEnds;
use crate::target::modules::Modules;
use crate::target::process::{Process, ProcessCode, Thread};

/// Distinct stacks remembered; with more, equal ones are defined once again.
/// This many take about 100 MiB.
const MAX_KNOWN_STACKS: usize = 1 << 20;

/// Stacks seen so far, and the code they run through.
pub(super) struct Stacks {
    pub(super) modules: Modules,
    /// Code addresses of the kernel that were seen.
    pub(super) kernel_addresses: BTreeSet<u64>,
    /// Offsets in the vDSO that were seen.
    pub(super) vdso_offsets: BTreeSet<u64>,
    interner: StackInterner<FxBuildHasher>,
    stack_ends: Arc<StackEnds>,
    /// Frames of the stack at hand, innermost first.
    frames: Vec<Frame>,
}

/// When and in which process a stack was taken.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) time_ns: u64,
    pub(super) pid: u32,
    pub(super) tid: u32,
}

impl Moment {
    pub(super) fn of(event: &RawEvent<'_>) -> Self {
        Moment { time_ns: event.time_ns, pid: event.pid, tid: event.tid }
    }
}

impl Stacks {
    pub(super) fn new(stack_ends: Arc<StackEnds>) -> Self {
        Stacks {
            modules: Modules::default(),
            kernel_addresses: BTreeSet::new(),
            vdso_offsets: BTreeSet::new(),
            interner: StackInterner::default(),
            stack_ends,
            frames: Vec::new(),
        }
    }

    /// The number of the stack that a thread of `process` had, and why it is
    /// truncated if it is. `records` takes the descriptions of modules met
    /// for the first time.
    pub(super) fn number(
        &mut self,
        moment: Moment,
        place: &RawStack<'_>,
        process: Option<&mut Process>,
        thread: Option<&mut Thread>,
        records: &mut Vec<Record>,
    ) -> (Option<StackId>, Option<TruncatedReason>) {
        self.frames.clear();
        self.kernel_frames(place.kernel, records);
        let truncated =
            process.and_then(|process| self.user_frames(moment, place, process, thread, records));
        if self.interner.len().1 >= MAX_KNOWN_STACKS {
            self.interner.forget();
        }
        let mut stack = None;
        for frame in self.frames.iter().rev() {
            let frame = self.interner.frame(*frame);
            stack = Some(self.interner.stack(stack, frame));
        }
        (stack, truncated)
    }

    /// The number of a stack that is not known up to its root.
    pub(super) fn root(&mut self, reason: TruncatedReason) -> StackId {
        self.child(None, Frame::Truncated(reason))
    }

    /// The number of the stack that ends in `frame`, called from `parent`.
    pub(super) fn child(&mut self, parent: Option<StackId>, frame: Frame) -> StackId {
        let frame = self.interner.frame(frame);
        self.interner.stack(parent, frame)
    }

    /// Whether the definitions of new stacks fill a block.
    pub(super) fn is_block_full(&self) -> bool {
        self.interner.is_block_full()
    }

    /// Takes the definitions of new stacks.
    pub(super) fn take_new(&mut self) -> StackDefs {
        self.interner.take_new()
    }

    /// Forgets where a thread's stack ends.
    pub(super) fn forget_end(&self, tid: u32) {
        self.stack_ends.remove(tid);
    }

    fn kernel_frames(&mut self, addresses: &[u8], records: &mut Vec<Record>) {
        if addresses.is_empty() {
            return;
        }
        let module = self.modules.kernel(records);
        for (i, bytes) in addresses.as_chunks().0.iter().enumerate() {
            // All but the innermost are return addresses.
            let offset = u64::from_le_bytes(*bytes).wrapping_sub(u64::from(i > 0));
            self.kernel_addresses.insert(offset);
            self.frames.push(Frame::Code { module, offset });
        }
    }

    fn user_frames(
        &mut self,
        moment: Moment,
        place: &RawStack<'_>,
        process: &mut Process,
        thread: Option<&mut Thread>,
        records: &mut Vec<Record>,
    ) -> Option<TruncatedReason> {
        let registers = place.registers?;
        let stack = StackMemory::new(registers.sp(), place.stack);
        let Moment { time_ns, pid, tid } = moment;
        let mut code = ProcessCode { pid, time_ns, process, modules: &mut self.modules, records };
        let (frames, vdso_offsets) = (&mut self.frames, &mut self.vdso_offsets);
        let end = rz_unwind::unwind(&mut code, registers, &stack, |place| {
            if place.kind == ModuleKind::Vdso {
                vdso_offsets.insert(place.offset);
            }
            frames.push(Frame::Code { module: place.module, offset: place.offset });
        });
        match end {
            End::Root(stack_end) => {
                if let Some(thread) = thread
                    && thread.stack_end != stack_end
                {
                    thread.stack_end = stack_end;
                    self.stack_ends.set(tid, stack_end);
                }
                None
            }
            End::Truncated(reason) => {
                if reason == TruncatedReason::StackTooDeep {
                    // What was taken for the end may have been that of a
                    // coroutine's stack.
                    self.stack_ends.remove(tid);
                    if let Some(thread) = thread {
                        thread.stack_end = 0;
                    }
                }
                self.frames.push(Frame::Truncated(reason));
                Some(reason)
            }
        }
    }
}
