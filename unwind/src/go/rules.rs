//! How to get from a frame of Go to its caller.
//!
//! Functions have their return addresses where the table says. Those of the
//! runtime that go over to another stack, which are assembly and few, are known by
//! name:
//!
//! ```text
//! goroutine's stack   goexit ─► … ─► f ─► systemstack
//!                                              ┆
//! thread's stack                           mstart ─► … ─► (systemstack) ─► g
//! ```

use rz_format::TruncatedReason;

use super::table::Function;
use crate::arch::{MoveKind, RETURN_ADDRESS_AT_CFA, Registers, SP, StackMove, before_signal};
use crate::kept::Simple;
use crate::memory::StackMemory;
use crate::step::{NO_END, Step};

/// What a call puts on the stack.
const RETURN_ADDRESS_BYTES: u32 = 8;
/// `asmcgocall` keeps the stack pointer at the upper end of what it takes, and behind
/// it the goroutine that it was called on.
const KEPT_BYTES: u32 = 16;
/// How much it takes at most, together with what makes it a multiple of 16.
const KEPT_WITHIN: u64 = 64 + 15;

/// A rule; sizes are those of the frame with its return address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The first function of a goroutine or a thread.
    Root,
    /// A function that was called.
    Called { size: u32 },
    /// A function that looks as if it had been called, by an instruction that does
    /// something else.
    Injected { size: u32 },
    /// What a signal handler returns to.
    Signal,
    /// The stack pointer is kept in a register while another stack is used.
    KeptIn { register: u16, size: u32 },
    /// It is kept on the stack.
    KeptAt { offset: u32, size: u32 },
    /// The caller is on a goroutine's stack.
    Switched,
    /// Where it has its return address is not known.
    Unknown,
}

/// What a function is, as far as the rules of its instructions depend on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first one of a goroutine or a thread.
    First,
    /// What signal handlers return to.
    SignalReturn,
    /// One that looks as if it had been called.
    Injected,
    /// Leaves a goroutine for good.
    Mcall,
    /// Goes over to the thread's own stack.
    Switching,
    /// Does so for C, unless it is there already.
    Asmcgocall,
    /// Goes over to the goroutine's.
    Cgocallback,
    /// Sets the stack pointer to something that the table does not know.
    Moving,
    /// Any other.
    Plain,
}

/// The functions of the runtime that are known by name.
const KINDS: [(&[u8], Kind); 12] = [
    (b"runtime.goexit", Kind::First),
    (b"runtime.mstart", Kind::First),
    (b"runtime.rt0_go", Kind::First),
    (b"runtime.sigreturn", Kind::SignalReturn),
    (b"runtime.sigreturn__sigaction", Kind::SignalReturn),
    (b"runtime.sigpanic", Kind::Injected),
    (b"runtime.asyncPreempt", Kind::Injected),
    (b"runtime.mcall", Kind::Mcall),
    (b"runtime.systemstack", Kind::Switching),
    (b"runtime.morestack", Kind::Switching),
    (b"runtime.asmcgocall", Kind::Asmcgocall),
    (b"runtime.cgocallback", Kind::Cgocallback),
];

impl Kind {
    /// That of a function.
    pub(super) fn of(function: &Function<'_>) -> Self {
        let known = KINDS.iter().find(|(name, _)| function.is_called(name));
        match known {
            Some((_, kind)) => *kind,
            None if function.writes_stack_pointer() => Kind::Moving,
            None => Kind::Plain,
        }
    }
}

impl Rule {
    /// The rule for the instruction `at` bytes into a function. `stack_bytes` is what
    /// the table says of one, and `moves` are what the function does to the stack
    /// pointer besides.
    pub(super) fn new(
        kind: Kind,
        moves: &[StackMove],
        at: u64,
        stack_bytes: impl Fn(u64) -> Option<u32>,
    ) -> Self {
        let size = |at| stack_bytes(at)?.checked_add(RETURN_ADDRESS_BYTES);
        let Some(frame) = size(at) else { return Rule::Unknown };
        // Where it has gone over to another stack, one after the other.
        let writes: Vec<u64> = moves.iter().filter(|m| !m.is_keeping()).map(|m| m.end).collect();
        let done = writes.iter().filter(|end| **end <= at).count();
        match kind {
            Kind::First => Rule::Root,
            Kind::SignalReturn => Rule::Signal,
            Kind::Injected => Rule::Injected { size: frame },
            // What it calls does not return: the goroutine has been left for good.
            Kind::Mcall if done > 0 => Rule::Root,
            Kind::Switching | Kind::Asmcgocall if done == 1 => Rule::Switched,
            // On the goroutine's stack, it has a frame that returns to where that
            // was left.
            Kind::Cgocallback if done == 1 => Rule::Injected { size: frame },
            // It was called on the thread's stack already.
            Kind::Asmcgocall if done == 2 => Self::without_switch(&writes, size),
            Kind::Asmcgocall if done > 2 => Rule::Unknown,
            Kind::Moving if done > 0 || kept_at(moves, at).is_some() => {
                Self::around_call(moves, at, frame, size).unwrap_or(Rule::Unknown)
            }
            Kind::Mcall
            | Kind::Switching
            | Kind::Asmcgocall
            | Kind::Cgocallback
            | Kind::Moving
            | Kind::Plain => Rule::Called { size: frame },
        }
    }

    /// The rule for the second part of `asmcgocall`, which has the same room on the
    /// stack as the first one.
    fn without_switch(writes: &[u64], size: impl Fn(u64) -> Option<u32>) -> Self {
        let sizes = || {
            let before = size(*writes.first()?)?;
            let taken = size(writes.get(1)? - 1)?.checked_sub(before)?;
            Some(Rule::KeptAt { offset: taken.checked_sub(KEPT_BYTES)?, size: before })
        };
        sizes().unwrap_or(Rule::Unknown)
    }

    /// The rule in and behind the part of a function that uses another stack and has
    /// its own in a register.
    fn around_call(
        moves: &[StackMove],
        at: u64,
        frame: u32,
        size: impl Fn(u64) -> Option<u32>,
    ) -> Option<Self> {
        if let Some((register, since)) = kept_at(moves, at) {
            return Some(Rule::KeptIn { register, size: size(since)? });
        }
        // The table takes what was taken from the other stack as if it had been from
        // this one.
        let behind = moves.iter().rev().find(|m| m.end <= at)?.end;
        let (_, since) = kept_at(moves, behind - 1)?;
        let too_much = size(behind - 1)?.checked_sub(size(since)?)?;
        Some(Rule::Called { size: frame.checked_sub(too_much)? })
    }

    pub(crate) fn apply(
        self,
        registers: &Registers,
        stack: &StackMemory<'_>,
    ) -> Result<Step, TruncatedReason> {
        let sp = registers.sp();
        // What functions of Go have in other registers, they do not preserve.
        let mut caller = registers.with_nothing_known();
        let (size, other_stack) = match self {
            Rule::Root => return Ok(Step::Root(NO_END)),
            Rule::Unknown => return Err(TruncatedReason::NoUnwindInfo),
            Rule::Switched => return Err(TruncatedReason::OtherStack),
            Rule::Signal => {
                let registers = before_signal(registers, stack);
                let registers = registers.ok_or(TruncatedReason::StackTooDeep)?;
                return Ok(Step::Caller { registers, interrupted: true, simple: None });
            }
            Rule::Called { size } | Rule::Injected { size } => (size, None),
            Rule::KeptIn { register, size } => (size, registers.get(register)),
            Rule::KeptAt { offset, size } => {
                let at = sp.wrapping_add(u64::from(offset));
                let kept = stack.read(at).ok_or(TruncatedReason::NoUnwindInfo)?;
                let goroutine = stack.read(at.wrapping_add(8));
                let is_kept = goroutine == Some(0) && kept.wrapping_sub(sp) <= KEPT_WITHIN;
                (size, Some(kept).filter(|_| is_kept))
            }
        };
        let is_kept = matches!(self, Rule::KeptIn { .. } | Rule::KeptAt { .. });
        let base = if is_kept { other_stack.ok_or(TruncatedReason::NoUnwindInfo)? } else { sp };
        let cfa = base.wrapping_add(u64::from(size));
        let return_address_at = cfa.wrapping_add_signed(RETURN_ADDRESS_AT_CFA);
        caller.set(SP, Some(cfa));
        caller.ip = match stack.read(return_address_at) {
            Some(address) => address,
            None if is_kept && stack.read(base).is_none() => {
                return Err(TruncatedReason::OtherStack);
            }
            None => {
                let missing = stack.missing(return_address_at);
                return Err(missing.unwrap_or(TruncatedReason::NoUnwindInfo));
            }
        };
        let interrupted = matches!(self, Rule::Injected { .. });
        let simple = matches!(self, Rule::Called { .. }).then_some(Simple { saved_fp: 0 });
        Ok(Step::Caller { registers: caller, interrupted, simple })
    }
}

/// The register that has the stack pointer at an address, and since when.
fn kept_at(moves: &[StackMove], at: u64) -> Option<(u16, u64)> {
    let (before, after) = moves.split_at(moves.partition_point(|m| m.end <= at));
    let kept = before.iter().rev().find_map(|m| match m.kind {
        MoveKind::Keep(register) => Some((register, m.end)),
        MoveKind::FromRegister(_) | MoveKind::FromMemory => None,
    })?;
    let is_taken = |m: &StackMove| m.kind == MoveKind::FromRegister(kept.0);
    // Until it is taken from there.
    let is_still = !before.iter().any(|m| m.end > kept.1 && is_taken(m));
    (is_still && after.iter().any(is_taken)).then_some(kept)
}
