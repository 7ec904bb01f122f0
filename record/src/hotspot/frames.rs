//! From a frame of HotSpot's code to its caller.
//!
//! | code | where the caller is |
//! |---|---|
//! | a compiled method | the length of its frames is known; an innermost one may have none yet, or none any more, which its instructions tell |
//! | the interpreter | by frame pointer; an innermost one likewise |
//! | the entry from native code | by frame pointer |
//! | stubs of a known frame length | as in a compiled method |
//! | other stubs | by frame pointer, or at the stack pointer in those that keep none: the one that a return address proves, which comes after a call |
//! | what goes on with the frames of a virtual thread | nowhere: they are not on this stack |

use std::ops::Range;

use rz_format::TruncatedReason;
use rz_unwind::{FP, MAX_CALL_LEN, Registers, SP, StackMemory, Step};

use crate::arch::java::{
    self, BYTECODE, BYTECODE_SLOT, BYTECODE_SLOT_WITHOUT_MIRROR, Built, EntryState,
    FRAME_BEGINNING, MAX_BEGINNING, MAX_END, METHOD, METHOD_SLOT, RETURN_ADDRESS, SENDER_SP,
    SENDER_SP_SLOT,
};
use crate::code_objects::Memory;

use super::bytes::{Bytes, word};
use super::code_cache::{Blob, BlobKind, CodeCache};
use super::interpreter::Interpreter;
use super::layout::Layout;

/// Furthest that the stack pointers of caller and callee are apart for arguments.
const MAX_ARGUMENTS: u64 = 1 << 16;
/// In the names of what goes on with frames that lie elsewhere.
const CONTINUES: &str = "ontinuation";
/// In those of what moves arguments to where a callee of another kind expects them.
const ADAPTS: &str = "adapters";

/// What a frame is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// An instruction of a compiled method: where it is, or returns to.
    Compiled { at: u64 },
    /// An interpreted method, and where its bytecode may be.
    Interpreted { method: u64, bytecode: [Option<u64>; 2] },
    /// Other code.
    Stub,
}

/// What is asked about a frame's code.
pub(super) struct Asked<'a, M> {
    pub(super) layout: &'a Layout,
    pub(super) interpreter: &'a Interpreter,
    pub(super) cache: &'a mut CodeCache,
    pub(super) time_ns: u64,
    pub(super) memory: &'a M,
    /// Whether code that is not HotSpot's has a call before an address.
    pub(super) follows_call: &'a mut dyn FnMut(u64) -> bool,
}

type Caller = Result<Registers, TruncatedReason>;

/// A frame of HotSpot's code: what it is of, and its caller.
pub(super) struct Stepped {
    pub(super) what: What,
    pub(super) caller: Caller,
}

impl Stepped {
    pub(super) fn step(caller: Caller) -> Result<Step, TruncatedReason> {
        // The code may be another one tomorrow.
        caller.map(|registers| Step::Caller { registers, interrupted: false, simple: None })
    }
}

/// A frame's registers and memory, and whether it has called another one.
pub(super) struct FrameAt<'a> {
    pub(super) registers: &'a Registers,
    pub(super) stack: &'a StackMemory<'a>,
    pub(super) has_called: bool,
}

impl FrameAt<'_> {
    fn word(&self, address: u64) -> Result<u64, TruncatedReason> {
        let missing = || self.stack.missing(address).unwrap_or(TruncatedReason::NoUnwindInfo);
        self.stack.read(address).ok_or_else(missing)
    }

    fn sp(&self) -> u64 {
        self.registers.sp()
    }

    /// The frame pointer, if it may be one.
    fn fp(&self) -> Result<u64, TruncatedReason> {
        let fp = self.registers.get(FP).filter(|fp| *fp >= self.sp() && fp % 8 == 0);
        fp.ok_or(TruncatedReason::NoUnwindInfo)
    }

    /// A caller: where it goes on, its stack pointer and its frame pointer.
    fn caller(&self, ip: u64, sp: u64, fp: Option<u64>) -> Registers {
        let mut caller = self.registers.with_nothing_known();
        caller.ip = ip;
        caller.set(SP, Some(sp));
        caller.set(FP, fp);
        caller
    }

    /// The caller of a frame that ends at an address, with the caller's frame pointer
    /// and the return address last.
    fn above(&self, end: u64) -> Caller {
        let fp = self.word(end.wrapping_sub(16))?;
        Ok(self.caller(self.word(end.wrapping_sub(8))?, end, Some(fp)))
    }

    /// By frame pointer.
    fn chained(&self) -> Caller {
        self.above(self.fp()?.wrapping_add(16))
    }

    /// Of code whose return address is so far above the stack pointer.
    fn unframed(&self, behind: u64) -> Caller {
        let at = self.sp().wrapping_add(behind);
        let fp = match behind {
            0 => self.registers.get(FP),
            _ => Some(self.word(self.sp())?),
        };
        Ok(self.caller(self.word(at)?, at.wrapping_add(8), fp))
    }

    /// What the stack pointer was before arguments were put on the stack, if it is known;
    /// else what it is without them.
    fn sender_sp(&self, without: u64) -> u64 {
        let said = self.registers.get(SENDER_SP);
        let is_near = |said: &u64| said.checked_sub(without).is_some_and(|by| by < MAX_ARGUMENTS);
        said.filter(is_near).unwrap_or(without)
    }
}

impl<M: Memory> Asked<'_, M> {
    /// Unwinds a frame of a blob that is at an address; `None` if there is no code.
    pub(super) fn step(&mut self, lookup: u64, frame: &FrameAt<'_>) -> Option<Stepped> {
        let Asked { layout, time_ns, memory, .. } = *self;
        let blob = self.cache.find(lookup, time_ns, layout, memory)?;
        Some(match &blob.kind {
            BlobKind::Compiled(_) => compiled(blob, memory, frame),
            BlobKind::Interpreter => self.interpreted(lookup, frame),
            BlobKind::Stub(name) if frame.has_called && name.contains(CONTINUES) => {
                Stepped { what: What::Stub, caller: Err(TruncatedReason::OtherStack) }
            }
            BlobKind::Stub(name) => {
                let moves_arguments = name.contains(ADAPTS);
                let (range, known) = (blob.start..blob.end, framed_stub(blob, memory, frame));
                let caller = known.unwrap_or_else(|| self.stub(range, moves_arguments, frame));
                Stepped { what: What::Stub, caller }
            }
        })
    }

    fn interpreted(&mut self, lookup: u64, frame: &FrameAt<'_>) -> Stepped {
        let at = frame.registers.ip;
        let mut state = EntryState::Built;
        if !frame.has_called {
            let code = Bytes::read(self.memory, at, MAX_END);
            let left = java::left_interpreter(code.all(), frame.registers, frame.stack);
            if let Some(caller) = left.filter(|caller| self.is_return(caller.ip)) {
                return Stepped { what: What::Stub, caller: Ok(caller) };
            }
        }
        match self.interpreter.entry(lookup) {
            Some(Some(found)) if !frame.has_called => state = found,
            // One that does without a frame, and may call what does the work.
            Some(None) if frame.has_called => {
                let caller = frame.unframed(0).and_then(|caller| self.proven(caller));
                return Stepped { what: What::Stub, caller };
            }
            Some(None) => {
                let caller = self.stub(0..0, true, frame);
                return Stepped { what: What::Stub, caller };
            }
            Some(Some(_)) | None => {}
        }
        let entered = || What::Interpreted {
            method: frame.registers.get(METHOD).unwrap_or(0),
            bytecode: [None; 2],
        };
        match state {
            EntryState::ReturnOnStack(behind) => {
                let caller = frame.unframed(behind).and_then(|mut caller| {
                    caller.set(SP, Some(frame.sender_sp(caller.sp())));
                    self.proven(caller)
                });
                Stepped { what: entered(), caller }
            }
            EntryState::ReturnInRegister => {
                let ip = frame.registers.get(RETURN_ADDRESS).unwrap_or(0);
                let sp = frame.sender_sp(frame.sp());
                let caller = self.proven(frame.caller(ip, sp, frame.registers.get(FP)));
                Stepped { what: entered(), caller }
            }
            EntryState::WithoutMethod => {
                Stepped { what: entered(), caller: interpreted_caller(frame) }
            }
            EntryState::Built => {
                let fp = frame.fp().ok();
                let slot = |at: i64| frame.stack.read(fp?.wrapping_add_signed(at));
                let bytecode = match self.layout.has_mirror {
                    true => BYTECODE_SLOT,
                    false => BYTECODE_SLOT_WITHOUT_MIRROR,
                };
                // What was not copied of the stack may have been in this frame.
                let what = slot(METHOD_SLOT).map_or(What::Stub, |method| What::Interpreted {
                    method,
                    bytecode: [frame.registers.get(BYTECODE), slot(bytecode)],
                });
                Stepped { what, caller: interpreted_caller(frame) }
            }
        }
    }

    /// A caller if something may return there.
    fn proven(&mut self, caller: Registers) -> Caller {
        self.is_return(caller.ip).then_some(caller).ok_or(TruncatedReason::NoUnwindInfo)
    }

    /// The caller of an innermost frame of code that says nothing of its frames, or of
    /// such a frame that has called: by frame pointer, or at the stack pointer.
    fn stub(&mut self, range: Range<u64>, moves_arguments: bool, frame: &FrameAt<'_>) -> Caller {
        let chained = frame.chained();
        let is_chained = chained.as_ref().is_ok_and(|caller| self.is_return(caller.ip));
        if frame.has_called {
            return if is_chained || chained.is_err() { chained } else { no_rule() };
        }
        let unframed = frame.unframed(0).map(|mut caller| {
            // Elsewhere, that register is one like any other.
            if moves_arguments {
                caller.set(SP, Some(frame.sender_sp(caller.sp())));
            }
            caller
        });
        let is_unframed = unframed.as_ref().is_ok_and(|caller| self.is_return(caller.ip));
        match (is_unframed, is_chained) {
            (true, true) if self.has_framed(&range, frame, unframed.as_ref().ok()) => chained,
            (true, _) => unframed,
            (false, true) => chained,
            (false, false) if !moves_arguments => no_rule(),
            // An adapter may hold the return address while it moves arguments.
            (false, false) => {
                let ip = frame.registers.get(RETURN_ADDRESS).unwrap_or(0);
                let said = frame.registers.get(SENDER_SP).filter(|sp| *sp >= frame.sp());
                let sp = said.ok_or(TruncatedReason::NoUnwindInfo)?;
                let sp = sp.min(frame.sender_sp(frame.sp()));
                self.proven(frame.caller(ip, sp, frame.registers.get(FP)))
            }
        }
    }

    /// Whether what was called by the instruction before a return address has made a
    /// frame since: then the return address at its stack pointer is one that was left
    /// there by another call.
    fn has_framed(
        &self,
        range: &Range<u64>,
        frame: &FrameAt<'_>,
        caller: Option<&Registers>,
    ) -> bool {
        let Some(caller) = caller else { return false };
        let before =
            Bytes::read(self.memory, caller.ip.wrapping_sub(MAX_CALL_LEN as u64), MAX_CALL_LEN);
        let Some(called) = java::called(before.all(), caller.ip) else { return false };
        let behind = frame.registers.ip.checked_sub(called);
        let beginning = Bytes::read(self.memory, called, FRAME_BEGINNING);
        !range.contains(&called)
            || (java::begins_with_frame(beginning.all())
                && behind.is_some_and(|behind| behind >= FRAME_BEGINNING as u64)
                && Bytes::read(self.memory, frame.registers.ip, 1).u8(0) != Some(0xc3))
    }

    /// Whether a call may return to an address.
    fn is_return(&mut self, address: u64) -> bool {
        let Asked { layout, time_ns, memory, .. } = *self;
        if !self.cache.has(address, time_ns, layout, memory) {
            return (self.follows_call)(address);
        }
        if word(memory, layout.call_stub_return_at) == Some(address) {
            return true;
        }
        let blob = self.cache.find(address.wrapping_sub(1), time_ns, layout, memory);
        match blob.map(|blob| &blob.kind) {
            Some(BlobKind::Interpreter) if self.interpreter.returns_to(address) => true,
            Some(_) => (self.follows_call)(address),
            None => false,
        }
    }
}

fn no_rule() -> Caller {
    Err(TruncatedReason::NoUnwindInfo)
}

/// The caller of an interpreted frame that is complete.
fn interpreted_caller(frame: &FrameAt<'_>) -> Caller {
    let mut caller = frame.chained()?;
    let sender = frame.word(frame.fp()?.wrapping_add_signed(SENDER_SP_SLOT))?;
    // What the caller has put on the stack for it is above its frame. Calls by method
    // handles take an argument off; then the caller is interpreted, and goes by its
    // frame pointer.
    let is_near = sender.abs_diff(caller.sp()) < MAX_ARGUMENTS * 8;
    if !is_near {
        return no_rule();
    }
    caller.set(SP, Some(sender.max(caller.sp())));
    Ok(caller)
}

/// The caller of a frame of a stub that says how long its frames are; `None` if it is not
/// known how much of one there is.
fn framed_stub(blob: &Blob, memory: &impl Memory, frame: &FrameAt<'_>) -> Option<Caller> {
    let bytes = blob.frame_bytes?;
    if frame.has_called {
        return Some(frame.above(frame.sp().wrapping_add(bytes)));
    }
    let at = frame.registers.ip;
    let offset = usize::try_from(at.checked_sub(blob.code)?).ok()?;
    let length = MAX_BEGINNING.min((blob.end - blob.code) as usize);
    let beginning = Bytes::read(memory, blob.code, length);
    let built = java::built(beginning.all(), offset, bytes)?;
    let end = (built == Built::All).then(|| ended(at, memory, frame)).flatten();
    Some(end.map_or_else(|| building(frame, built, bytes), Ok))
}

/// The caller of code that is about to return.
fn ended(at: u64, memory: &impl Memory, frame: &FrameAt<'_>) -> Option<Registers> {
    let code = Bytes::read(memory, at, MAX_END);
    let caller = java::returning(code.all())?.run(frame.registers, frame.stack)?;
    Some(frame.caller(caller.ip, caller.sp(), caller.get(FP)))
}

fn compiled(blob: &Blob, memory: &impl Memory, frame: &FrameAt<'_>) -> Stepped {
    let BlobKind::Compiled(of) = &blob.kind else {
        return Stepped { what: What::Stub, caller: no_rule() };
    };
    let at = frame.registers.ip;
    let what = What::Compiled { at };
    let Some(bytes) = blob.frame_bytes else { return Stepped { what, caller: no_rule() } };
    if frame.has_called {
        // A frame that is to be interpreted from now on keeps where it was.
        let is_deoptimized = of.deoptimizes.contains(&Some(at));
        let original = of.original_pc.filter(|_| is_deoptimized);
        let original = original
            .and_then(|behind| frame.stack.read(frame.sp().wrapping_add(behind)))
            .filter(|original| (blob.code..blob.end).contains(original));
        let at = original.unwrap_or(at);
        let caller = frame.above(frame.sp().wrapping_add(bytes));
        return Stepped { what: What::Compiled { at }, caller };
    }
    let built = blob.framed.and_then(|framed| built_at(at, blob.code, framed, bytes, memory));
    let caller = match built {
        Some(built) => building(frame, built, bytes),
        // Code that builds its frame in some other way than is known.
        None if blob.framed.is_some_and(|framed| at < framed) => no_rule(),
        None => match ended(at, memory, frame) {
            Some(caller) => Ok(caller),
            None => frame.above(frame.sp().wrapping_add(bytes)),
        },
    };
    Stepped { what, caller }
}

/// What there is of a frame at an address; `None` if that is behind where it is built.
fn built_at(at: u64, code: u64, framed: u64, bytes: u64, memory: &impl Memory) -> Option<Built> {
    let offset = at.checked_sub(code)? as usize;
    if at >= framed || framed - code > MAX_BEGINNING as u64 {
        return None;
    }
    let beginning = Bytes::read(memory, code, (framed - code) as usize);
    java::built(beginning.all(), offset, bytes)
}

fn building(frame: &FrameAt<'_>, built: Built, bytes: u64) -> Caller {
    match built {
        Built::Nothing => frame.unframed(0),
        Built::FramePointer => frame.unframed(8),
        Built::AllButFramePointer => {
            let mut caller = frame.above(frame.sp().wrapping_add(bytes))?;
            caller.set(FP, frame.registers.get(FP));
            Ok(caller)
        }
        Built::All => frame.above(frame.sp().wrapping_add(bytes)),
    }
}
