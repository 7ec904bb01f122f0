//! What instructions do to a frame.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// Bytes of a word on the stack.
const WORD: i64 = 8;

/// What is in the frame pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FramePointer {
    /// What the caller had there.
    Callers,
    /// An address in the frame, so far below the CFA.
    Below(i64),
    /// Something else.
    Other,
}

/// Where a function has its frame, before one of its instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameState {
    /// How far below the CFA the stack pointer is, if that is known.
    pub sp: Option<i64>,
    /// What is in the frame pointer.
    pub fp: FramePointer,
    /// How far below the CFA the caller's frame pointer was saved.
    pub saved_fp: Option<i64>,
}

impl FrameState {
    /// At the beginning of a function: there is its return address.
    pub const ENTRY: FrameState =
        FrameState { sp: Some(WORD), fp: FramePointer::Callers, saved_fp: None };

    /// Whether a return goes to the caller, who has its frame pointer back.
    pub fn can_return(&self) -> bool {
        self.sp == Some(WORD) && self.fp == FramePointer::Callers
    }

    /// What holds in both of two states.
    pub fn common(self, other: FrameState) -> FrameState {
        FrameState {
            sp: self.sp.filter(|sp| other.sp == Some(*sp)),
            fp: if self.fp == other.fp { self.fp } else { FramePointer::Other },
            saved_fp: self.saved_fp.filter(|at| other.saved_fp == Some(*at)),
        }
    }

    /// The state behind an instruction that goes on to the next one. Functions that
    /// are called leave it as it is.
    pub fn after(mut self, instruction: &Instruction) -> FrameState {
        let full = |operand| match instruction.op_kind(operand) {
            OpKind::Register => instruction.op_register(operand).full_register(),
            _ => Register::None,
        };
        let (first, second) = (full(0), full(1));
        // Half of a frame pointer is none.
        let is_word = |operand| instruction.op_register(operand).size() == WORD as usize;
        match instruction.mnemonic() {
            Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Bt => {}
            Mnemonic::Call if instruction.near_branch_target() == instruction.next_ip() => {
                self.move_sp(-WORD);
            }
            Mnemonic::Call | Mnemonic::Jmp => {}
            Mnemonic::Push => {
                self.move_sp(i64::from(instruction.stack_pointer_increment()));
                if first == Register::RBP && is_word(0) && self.fp == FramePointer::Callers {
                    self.saved_fp = self.sp;
                }
            }
            Mnemonic::Pop => {
                if first == Register::RBP {
                    self.load_fp(self.sp.filter(|_| is_word(0)));
                }
                self.move_sp(i64::from(instruction.stack_pointer_increment()));
                if first == Register::RSP {
                    self.sp = None;
                }
            }
            Mnemonic::Leave => {
                self.sp = self.at_fp();
                self.load_fp(self.sp);
                self.move_sp(WORD);
            }
            Mnemonic::Mov | Mnemonic::Lea | Mnemonic::Add | Mnemonic::Sub
                if first == Register::RSP =>
            {
                self.sp = self.new_value(instruction, second);
            }
            Mnemonic::Mov if first == Register::RBP && instruction.op1_kind() == OpKind::Memory => {
                self.load_fp(self.address(instruction).filter(|_| is_word(0)));
            }
            Mnemonic::Mov | Mnemonic::Lea if first == Register::RBP => {
                let value = self.new_value(instruction, second);
                self.fp = value.map_or(FramePointer::Other, FramePointer::Below);
            }
            Mnemonic::Mov if second == Register::RBP && is_word(1) && first == Register::None => {
                if let (FramePointer::Callers, Some(at)) = (self.fp, self.address(instruction)) {
                    self.saved_fp = Some(at);
                }
            }
            Mnemonic::Enter => self = FrameState { fp: FramePointer::Other, sp: None, ..self },
            Mnemonic::Xchg | Mnemonic::Xadd | Mnemonic::Cmpxchg | Mnemonic::Mulx => {
                self.overwrite(first);
                self.overwrite(second);
            }
            _ => {
                self.move_sp(i64::from(instruction.stack_pointer_increment()));
                self.overwrite(first);
            }
        }
        // What lies beyond the stack pointer may be gone at any time.
        self.saved_fp = self.saved_fp.filter(|at| self.sp.is_none_or(|sp| *at <= sp));
        self
    }

    fn move_sp(&mut self, by: i64) {
        self.sp = self.sp.map(|sp| sp.saturating_sub(by));
    }

    fn load_fp(&mut self, from: Option<i64>) {
        let is_saved = from.is_some() && from == self.saved_fp;
        self.fp = if is_saved { FramePointer::Callers } else { FramePointer::Other };
    }

    fn overwrite(&mut self, register: Register) {
        match register {
            Register::RSP => self.sp = None,
            Register::RBP => self.fp = FramePointer::Other,
            _ => {}
        }
    }

    /// How far below the CFA the frame pointer points.
    fn at_fp(&self) -> Option<i64> {
        match self.fp {
            FramePointer::Below(at) => Some(at),
            FramePointer::Callers | FramePointer::Other => None,
        }
    }

    fn register(&self, register: Register) -> Option<i64> {
        match register {
            Register::RSP => self.sp,
            Register::RBP => self.at_fp(),
            _ => None,
        }
    }

    /// How far below the CFA a memory operand is.
    fn address(&self, instruction: &Instruction) -> Option<i64> {
        let is_plain = instruction.memory_index() == Register::None
            && instruction.segment_prefix() == Register::None;
        let base = self.register(instruction.memory_base()).filter(|_| is_plain)?;
        Some(base.wrapping_sub(instruction.memory_displacement64() as i64))
    }

    /// How far below the CFA what is put into the stack or frame pointer points.
    fn new_value(&self, instruction: &Instruction, from: Register) -> Option<i64> {
        // Half of a register is no address.
        if instruction.op0_register().size() != 8 {
            return None;
        }
        let immediate = || {
            let kinds =
                [OpKind::Immediate8to64, OpKind::Immediate32to64].contains(&instruction.op1_kind());
            kinds.then(|| instruction.immediate(1) as i64)
        };
        match instruction.mnemonic() {
            Mnemonic::Mov if instruction.op1_kind() == OpKind::Register => self.register(from),
            Mnemonic::Lea => self.address(instruction),
            Mnemonic::Add => self.sp?.checked_sub(immediate()?),
            Mnemonic::Sub => self.sp?.checked_add(immediate()?),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;

    /// What the code leaves behind: the stack pointer, the frame pointer, and where that
    /// of the caller is saved.
    #[track_caller]
    fn check(code: &[u8], sp: Option<i64>, fp: FramePointer, saved_fp: Option<i64>) {
        let decoder = Decoder::with_ip(64, code, 0x1000, DecoderOptions::NONE);
        let state = decoder.into_iter().fold(FrameState::ENTRY, |state, i| state.after(&i));
        assert_eq!(state, FrameState { sp, fp, saved_fp }, "{code:x?}");
    }

    #[test]
    fn frames_that_are_made() {
        use FramePointer::{Below, Callers, Other};
        check(&[], Some(8), Callers, None);
        check(&[0x55], Some(16), Callers, Some(16));
        check(&[0x55, 0x48, 0x89, 0xe5], Some(16), Below(16), Some(16));
        // Something else in the frame pointer, and less than a register.
        check(&[0x55, 0x31, 0xed], Some(16), Other, Some(16));
        check(&[0x55, 0x89, 0xe5], Some(16), Other, Some(16));
        // sub rsp,24; mov [rsp+8],rbp; lea rbp,[rsp+16]
        let code = [0x48, 0x83, 0xec, 24, 0x48, 0x89, 0x6c, 0x24, 8, 0x48, 0x8d, 0x6c, 0x24, 16];
        check(&code, Some(32), Below(16), Some(24));
    }

    #[test]
    fn frames_that_are_left() {
        use FramePointer::{Below, Callers, Other};
        // push rbp; mov rbp,rsp; and rsp,-32; then leave
        let code = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xe0];
        check(&code, None, Below(16), Some(16));
        check(&[&code[..], &[0xc9]].concat(), Some(8), Callers, None);
        // push rbp; push rbx; then pop into the wrong one
        check(&[0x55, 0x53, 0x5d], Some(16), Other, Some(16));
        check(&[0x55, 0x53, 0x5b, 0x5d], Some(8), Callers, None);
        // lea rsp,[rbp-8]
        let code = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x8d, 0x65, 0xf8];
        check(&code, Some(24), Below(16), Some(16));
    }

    #[test]
    fn half_a_frame_pointer_is_none() {
        use FramePointer::{Callers, Other};
        // sub rsp,24; mov [rsp+8],ebp
        check(&[0x48, 0x83, 0xec, 24, 0x89, 0x6c, 0x24, 8], Some(32), Callers, None);
        // push bp
        check(&[0x66, 0x55], Some(10), Callers, None);
        // push rbp; mov ebp,[rsp]
        check(&[0x55, 0x8b, 0x2c, 0x24], Some(16), Other, Some(16));
    }

    #[test]
    fn calls_of_the_next_instruction() {
        check(&[0xe8, 0, 0, 0, 0], Some(16), FramePointer::Callers, None);
        check(&[0xe8, 1, 0, 0, 0], Some(8), FramePointer::Callers, None);
    }
}
