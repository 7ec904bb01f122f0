//! Registers, as the kernel samples them and as DWARF numbers them.

/// Registers that a callee preserves: rbx, rbp, rsp and r12 to r15.
const PRESERVED: u16 = 1 << 3 | 1 << FP | 1 << SP | 0xf000;
/// Number of registers that unwind rules may refer to: 16 general ones.
const GENERAL: usize = 16;
/// DWARF number of the register in which system calls return, rax.
pub const RESULT: u16 = 0;
/// DWARF number of rcx.
const CX: u16 = 2;
/// DWARF number of the frame pointer, rbp.
pub const FP: u16 = 6;
/// DWARF number of the stack pointer, rsp.
pub const SP: u16 = 7;
/// DWARF number of the return address.
pub const RA: u16 = 16;

/// DWARF numbers of registers by the numbers that instructions have for them.
pub(super) const DWARF: [u16; 16] = [0, 2, 1, 3, SP, FP, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];

/// The registers to sample, as `perf_regs.h` numbers them: ax, bx, cx, dx, si,
/// di, bp, sp, ip and r8 to r15.
pub const REGISTER_MASK: u64 = 0xff_01ff;
/// How many these are.
pub const REGISTER_COUNT: usize = REGISTER_MASK.count_ones() as usize;
/// Which of them the stack pointer is.
pub const STACK_POINTER_SLOT: usize = 7;

/// DWARF number of each sampled register; `RA` stands for the instruction
/// pointer.
const DWARF_OF_SLOT: [u16; REGISTER_COUNT] =
    [0, 3, 2, 1, 4, 5, FP, SP, RA, 8, 9, 10, 11, 12, 13, 14, 15];

/// The registers of a thread in one of its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// Instruction pointer, or the return address in a caller.
    pub ip: u64,
    /// General registers by DWARF number; see `known`.
    general: [u64; GENERAL],
    /// Which of the general registers have a known value, one bit each.
    known: u16,
}

impl Registers {
    /// From the values of the sampled registers, in the kernel's order.
    pub fn from_slots(slots: &[u64; REGISTER_COUNT]) -> Self {
        let mut registers = Registers { ip: 0, general: [0; GENERAL], known: u16::MAX };
        for (dwarf, value) in DWARF_OF_SLOT.iter().zip(slots) {
            match registers.general.get_mut(usize::from(*dwarf)) {
                Some(register) => *register = *value,
                None => registers.ip = *value,
            }
        }
        registers
    }

    /// Those of a function that has called another one, which returns to
    /// `return_address`; `sp` is as it is then.
    pub fn of_caller(return_address: u64, sp: u64, fp: u64) -> Self {
        let mut registers = Registers { ip: 0, general: [0; GENERAL], known: 0 };
        // Inside the call instruction: it may be the function's last one.
        registers.ip = return_address.wrapping_sub(1);
        registers.set(SP, Some(sp));
        registers.set(FP, Some(fp));
        registers
    }

    /// All zero but for two, and behind a system call if so said.
    #[cfg(test)]
    pub fn with_pointers(ip: u64, sp: u64, is_behind_system_call: bool) -> Self {
        let mut registers = Registers { ip, general: [0; GENERAL], known: u16::MAX };
        registers.set(SP, Some(sp));
        registers.set(CX, Some(if is_behind_system_call { ip } else { 0 }));
        registers
    }

    /// The stack pointer.
    pub fn sp(&self) -> u64 {
        self.general[usize::from(SP)]
    }

    /// Whether these are the registers of a thread that makes, or has just
    /// made, a system call: the instruction leaves its own end in rcx.
    pub fn follow_system_call(&self) -> bool {
        self.get(CX) == Some(self.ip)
    }

    /// The register with this DWARF number, if its value is known.
    pub fn get(&self, dwarf: u16) -> Option<u64> {
        match dwarf {
            RA => Some(self.ip),
            _ if usize::from(dwarf) < GENERAL && self.known & 1 << dwarf != 0 => {
                Some(self.general[usize::from(dwarf)])
            }
            _ => None,
        }
    }

    /// Sets the register with this DWARF number; `None` makes it unknown.
    pub fn set(&mut self, dwarf: u16, value: Option<u64>) {
        let Some(register) = self.general.get_mut(usize::from(dwarf)) else { return };
        match value {
            Some(value) => {
                *register = value;
                self.known |= 1 << dwarf;
            }
            None => self.known &= !(1 << dwarf),
        }
    }

    /// The registers without any that is known.
    pub fn with_nothing_known(self) -> Self {
        Registers { known: 0, ..self }
    }

    /// What a caller still has of these registers if nothing is said about
    /// them: those that the ABI makes a callee preserve.
    pub fn preserved_by_callee(self) -> Self {
        Registers { known: self.known & PRESERVED, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_order_becomes_dwarf_order() {
        let mut slots = [0; REGISTER_COUNT];
        for (i, slot) in slots.iter_mut().enumerate() {
            *slot = i as u64 + 100;
        }
        let registers = Registers::from_slots(&slots);
        assert_eq!(registers.sp(), slots[STACK_POINTER_SLOT]);
        assert_eq!(registers.get(FP), Some(106));
        assert_eq!(registers.ip, 108);
        assert_eq!(registers.get(3), Some(101), "bx");
        assert_eq!(registers.get(15), Some(116), "r15");
        assert_eq!(registers.get(17), None);
    }
}
