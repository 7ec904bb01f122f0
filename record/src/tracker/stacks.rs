//! Turns where a thread was into a numbered stack.

use std::collections::BTreeSet;
use std::mem::{replace, take};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use rz_format::{Frame, ModuleKind, Record, StackDefs, StackId, StackInterner, TruncatedReason};
use rz_unwind::{Caller, End, Simple, StackMemory};

use crate::code_objects::CodeNumbers;
use crate::event::{RawEvent, RawStack};
use crate::hotspot;
use crate::learned::Learned;
use crate::python::Frames;
use crate::tracker::modules::Modules;
use crate::tracker::process::{Place, Process, ProcessCode, Thread, ThreadStack, read_memory};
use crate::tracker::python_stack::KnownEnds;
use crate::v8::{Engine, FrameWords};

/// Distinct stacks remembered; with more, equal ones are defined once again.
/// This many take about 100 MiB.
const MAX_KNOWN_STACKS: usize = 1 << 20;

/// Stacks seen so far, and the code they run through.
pub(super) struct Stacks {
    pub(super) modules: Modules,
    /// Code addresses of the kernel that were seen.
    pub(super) kernel_addresses: BTreeSet<u64>,
    /// Those of them that names were looked up for.
    pub(super) kernel_named: BTreeSet<u64>,
    /// Offsets in the vDSO that were seen.
    pub(super) vdso_offsets: BTreeSet<u64>,
    interner: StackInterner<FxBuildHasher>,
    pub(super) learned: Arc<Learned>,
    /// The kernel's frames of the stack at hand, leaf first.
    frames: Vec<Frame>,
    /// Those of user mode.
    found: Vec<Native>,
    pub(super) code_numbers: CodeNumbers,
    pub(super) python_ends: KnownEnds,
}

/// A native frame.
#[derive(Clone, Copy)]
pub(super) struct Native {
    pub(super) frame: Frame,
    /// Its stack pointer.
    pub(super) sp: u64,
    /// Its frame pointer, if it keeps one.
    pub(super) fp: Option<u64>,
    pub(super) caller: Option<(Caller, Simple)>,
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
    pub(super) fn new(learned: Arc<Learned>) -> Self {
        Stacks {
            modules: Modules::default(),
            kernel_addresses: BTreeSet::new(),
            kernel_named: BTreeSet::new(),
            vdso_offsets: BTreeSet::new(),
            interner: StackInterner::default(),
            learned,
            frames: Vec::new(),
            found: Vec::new(),
            code_numbers: CodeNumbers::default(),
            python_ends: KnownEnds::default(),
        }
    }

    /// For the next file, which knows none yet.
    pub(super) fn next_file(self) -> Self {
        let Stacks {
            modules,
            kernel_addresses: _,
            kernel_named: _,
            vdso_offsets: _,
            interner: _,
            learned,
            frames: _,
            found: _,
            code_numbers: _,
            python_ends: _,
        } = self;
        Stacks { modules: modules.next_file(), ..Stacks::new(learned) }
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
        if self.interner.len().1 >= MAX_KNOWN_STACKS {
            self.interner.forget();
        }
        let user = match process {
            Some(process) => self.user_frames(moment, place, process, thread, records),
            None => UserStack::default(),
        };
        self.frames.clear();
        self.kernel_frames(place.kernel, records);
        let (mut stack, kernel_frames) = (user.stack, self.frames.iter().rev());
        for frame in kernel_frames {
            let frame = self.interner.frame(*frame);
            stack = Some(self.interner.stack(stack, frame));
        }
        (stack, user.truncated)
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

    /// Gives back the memory of what can be found out again.
    pub(super) fn forget(&mut self) {
        self.interner.forget();
        self.modules.forget();
    }

    /// Forgets where a thread's stack ends.
    pub(super) fn forget_end(&self, tid: u32) {
        self.learned.stack_ends.remove(tid);
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
    ) -> UserStack {
        let Some(registers) = place.registers else { return UserStack::default() };
        let stack = StackMemory::new(registers.sp(), place.stack).with_holes(place.holes);
        let Moment { time_ns, pid, tid } = moment;
        let code_version = process.code_version();
        let mut nobodys = ThreadStack::default();
        let before = thread.map_or(&mut nobodys, |thread| &mut thread.stack);
        if before.code_version != code_version {
            *before = ThreadStack { end: before.end, code_version, ..ThreadStack::default() };
        }
        if let Some(hotspot) = &mut process.hotspot {
            hotspot.begin_stack();
        }
        let has_python = !place.python.is_empty() && process.python.is_some();
        let mut code = ProcessCode { pid, time_ns, process, modules: &mut self.modules, records };
        let (found, vdso_offsets) = (&mut self.found, &mut self.vdso_offsets);
        found.clear();
        // Frames of CPython may have changed where native ones have not.
        let kept = if has_python { &mut before.python.kept } else { &mut before.kept };
        let mut known = None;
        let is_known = |caller: &Caller| {
            known = kept.find(caller, &stack);
            known.is_some()
        };
        let end = rz_unwind::unwind_until(&mut code, registers, &stack, is_known, |frame| {
            let Place { module, kind, offset, .. } = frame.place;
            if kind == ModuleKind::Vdso {
                vdso_offsets.insert(offset);
            }
            let (sp, fp, caller) = (frame.sp, frame.fp, frame.caller);
            found.push(Native { frame: Frame::Code { module, offset }, sp, fp, caller });
        });
        let (mut user, mut keeps) = (UserStack::default(), true);
        match (end, known) {
            (End::Known, Some((frames, id, stack_end))) => {
                kept.keep(frames);
                user.stack = Some(id);
                self.learn_end(&mut before.end, tid, stack_end);
            }
            (End::Root(stack_end), _) => {
                kept.begin(stack_end);
                self.learn_end(&mut before.end, tid, stack_end);
            }
            (End::Truncated(mut reason), _) => {
                // A page that was just being made, or one of a process that ends.
                if reason == TruncatedReason::StackTooDeep && place.stack.is_empty() {
                    reason = TruncatedReason::StackNotReadable;
                }
                if reason == TruncatedReason::StackTooDeep {
                    // What was taken for the end may have been that of a
                    // coroutine's stack.
                    self.learned.stack_ends.remove(tid);
                    before.end = 0;
                }
                user.truncated = Some(reason);
                user.stack = Some(self.root(reason));
                keeps = false;
            }
            (End::Known, None) => {}
        }
        if let Some(v8) = &mut process.v8 {
            self.name_v8_frames(moment, &stack, v8, process.publishes, records);
        }
        if let Some(hotspot) = &mut process.hotspot {
            self.name_hotspot_frames(moment, hotspot, records);
        }
        if has_python && let Some(python) = &mut process.python {
            let end = registers.sp().saturating_add(place.stack.len() as u64);
            let frames = Frames::parse(place.python);
            let known = known.map_or(0, |known| known.0);
            before.python.take_native(&mut self.found, known, keeps, end);
            return self.python_stack(moment, frames, python, &mut before.python, user, records);
        }
        for Native { frame, caller, .. } in self.found.drain(..).rev() {
            let frame = self.interner.frame(frame);
            let id = self.interner.stack(user.stack, frame);
            user.stack = Some(id);
            // Those inside of one that is not simple cannot be compared.
            keeps = keeps && caller.is_some_and(|(caller, step)| kept.push(caller, step, id));
        }
        user
    }

    /// Puts what V8 says of its frames in the places of these.
    fn name_v8_frames(
        &mut self,
        moment: Moment,
        stack: &StackMemory<'_>,
        v8: &mut Engine,
        publishes: bool,
        records: &mut Vec<Record>,
    ) {
        let Moment { time_ns, pid, .. } = moment;
        let memory = |address: u64, to: &mut [u8]| read_memory(pid, address, to);
        let mut caller_sp = u64::MAX;
        for at in (0..self.found.len()).rev() {
            let Native { frame, sp, fp, .. } = self.found[at];
            let callers = replace(&mut caller_sp, sp);
            let (Frame::Code { module, offset }, Some(fp)) = (frame, fp) else { continue };
            let in_embedded = v8.has_embedded(module, offset);
            // A dump says what was where at which time; and source maps tell names by what
            // a map says of functions.
            let is_generated = !publishes && self.modules.kind(module) == ModuleKind::Anonymous;
            let generated = is_generated.then_some(offset);
            // Where the code is about to return, the frame pointer is its caller's.
            if !(in_embedded || is_generated) || fp >= callers {
                continue;
            }
            let words = FrameWords::read(v8.frame_layout(), fp, generated, stack);
            let Some(words) = words else { continue };
            let frames = v8.frames(words, time_ns, &memory, &mut self.code_numbers, records);
            // Other frames of the same code may be of another function.
            let frames = frames.into_iter().rev();
            let frames = frames.map(|frame| Native { frame, sp, fp: Some(fp), caller: None });
            let mut frames = frames.peekable();
            if frames.peek().is_some() {
                self.found.splice(at..=at, frames);
            }
        }
    }

    /// The same for HotSpot.
    fn name_hotspot_frames(
        &mut self,
        moment: Moment,
        hotspot: &mut hotspot::Engine,
        records: &mut Vec<Record>,
    ) {
        let Moment { time_ns, pid, .. } = moment;
        let memory = |address: u64, to: &mut [u8]| read_memory(pid, address, to);
        for native in take(&mut self.found) {
            let Native { frame, sp, fp, .. } = native;
            let frames = match frame {
                Frame::Code { module, offset } if self.modules.is_generated(module) => {
                    let at = (sp, offset);
                    hotspot.frames(at, time_ns, &memory, &mut self.code_numbers, records)
                }
                _ => Vec::new(),
            };
            if frames.is_empty() {
                self.found.push(native);
            }
            // Other frames of the same code may be of another method.
            let frames = frames.into_iter().rev();
            self.found.extend(frames.map(|frame| Native { frame, sp, fp, caller: None }));
        }
    }

    fn learn_end(&self, known: &mut u64, tid: u32, stack_end: u64) {
        if *known != stack_end {
            *known = stack_end;
            self.learned.stack_ends.set(tid, stack_end);
        }
    }
}

/// The part of a stack that is in user mode.
#[derive(Default)]
pub(super) struct UserStack {
    pub(super) stack: Option<StackId>,
    pub(super) truncated: Option<TruncatedReason>,
}
