//! One function, followed from its beginning.

use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind, Register};
use rustc_hash::{FxHashMap, FxHashSet};

use super::code::CodeBytes;
use super::state::FrameState;

/// Most instructions of a function; one that is longer is not understood.
const MAX_INSTRUCTIONS: usize = 1 << 16;
/// Most places that a jump through a table can lead to.
const MAX_CASES: u64 = 4096;

/// What functions are aligned to, where they are at all.
const FUNCTION_ALIGNMENT: u64 = 16;

/// Where functions begin.
#[derive(Default)]
pub struct Starts {
    /// First addresses, and those behind the last, of code that is not to be followed;
    /// sorted.
    pub covered: Vec<(u64, u64)>,
    /// Places that are called, or have symbols of functions.
    pub sure: FxHashSet<u64>,
    /// Places whose address something has.
    pub possible: FxHashSet<u64>,
    /// Functions that never return.
    pub endless: FxHashSet<u64>,
}

impl Starts {
    /// Whether code is not to be followed.
    pub fn covers(&self, at: u64) -> bool {
        let after = self.covered.partition_point(|(start, _)| *start <= at);
        self.covered[..after].last().is_some_and(|(_, end)| at < *end)
    }

    /// Whether it is another function that is at an address.
    pub fn begins_or_covers(&self, at: u64) -> bool {
        self.sure.contains(&at) || self.covers(at)
    }
}

/// What was found in a function.
#[derive(Default)]
pub struct Walk {
    /// Lengths of instructions, and the state before each, by address.
    pub instructions: FxHashMap<u64, (u8, FrameState)>,
    /// What it calls.
    pub calls: Vec<u64>,
    /// Addresses of code that it has.
    pub pointers: Vec<u64>,
    /// Whether it returns somewhere.
    pub returns: bool,
    /// Whether it goes over to another function, or somewhere that is not known.
    pub leaves: bool,
    /// Whether it goes somewhere that is not known while it has a frame.
    pub leaves_frame: bool,
    /// Whether it would return to something else than its return address.
    pub is_contradictory: bool,
}

/// What was compared, and which table was looked at, on the way to an instruction.
#[derive(Clone, Copy, Default)]
struct Switch {
    compared: Option<u64>,
    bound: Option<u64>,
    table: Option<u64>,
}

/// Follows the function at `start`, through no other one.
pub fn walk(code: &CodeBytes, start: u64, starts: &Starts, budget: &mut usize) -> Walk {
    let mut walk = Walk::default();
    let mut ways = vec![(start, FrameState::ENTRY)];
    while let Some((mut at, mut state)) = ways.pop() {
        let mut switch = Switch::default();
        loop {
            let known = walk.instructions.get(&at).map(|(_, known)| *known);
            if let Some(known) = known {
                state = state.common(known);
                if state == known {
                    break;
                }
            }
            if *budget == 0 || walk.instructions.len() >= MAX_INSTRUCTIONS {
                walk.is_contradictory = true;
                return walk;
            }
            *budget -= 1;
            let Some(instruction) = code.instruction(at) else { break };
            walk.instructions.insert(at, (instruction.len() as u8, state));
            walk.pointers.extend(pointer(code, &instruction));
            switch.see(code, &instruction);
            let is_inside = |target: u64| target == start || !starts.begins_or_covers(target);
            match instruction.flow_control() {
                FlowControl::Return => {
                    walk.returns = true;
                    walk.is_contradictory |= !state.can_return() || instruction.op_count() > 0;
                    break;
                }
                FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
                    if instruction.op0_kind() == OpKind::NearBranch64 =>
                {
                    let target = instruction.near_branch_target();
                    if is_inside(target) && code.is_code(target) {
                        ways.push((target, state));
                    } else if !starts.endless.contains(&target) {
                        walk.leaves = true;
                    }
                    if instruction.flow_control() == FlowControl::UnconditionalBranch {
                        break;
                    }
                }
                FlowControl::IndirectBranch => {
                    let targets = switch.targets(code, &instruction);
                    walk.leaves |= targets.is_empty();
                    walk.leaves_frame |= targets.is_empty() && !state.can_return();
                    ways.extend(targets.into_iter().map(|target| (target, state)));
                    break;
                }
                FlowControl::Call if instruction.op0_kind() == OpKind::NearBranch64 => {
                    let target = call_target(&instruction).filter(|at| code.is_code(*at));
                    walk.calls.extend(target);
                    if target.is_some_and(|target| starts.endless.contains(&target)) {
                        break;
                    }
                }
                FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall => {}
                FlowControl::UnconditionalBranch
                | FlowControl::ConditionalBranch
                | FlowControl::Interrupt
                | FlowControl::XbeginXabortXend
                | FlowControl::Exception => break,
            }
            let is_call = [FlowControl::Call, FlowControl::IndirectCall]
                .contains(&instruction.flow_control())
                && instruction.mnemonic() == Mnemonic::Call;
            state = state.after(&instruction);
            at = instruction.next_ip();
            // A call that does not return may be the last instruction of a function.
            if is_call && (!is_inside(at) || begins_anew(code, at, starts)) {
                break;
            }
            if !is_inside(at) {
                walk.leaves = true;
                break;
            }
            if is_call {
                switch = Switch::default();
            }
        }
    }
    walk
}

/// Whether what lies behind a call begins a function, and so that call does not return:
/// something has its address; or, as all but small functions do, it begins by putting away a register of their caller, or by
/// making room, which code behind a call has no need to do where padding ends.
fn begins_anew(code: &CodeBytes, behind: u64, starts: &Starts) -> bool {
    let is_padding =
        |i: &Instruction| i.mnemonic() == Mnemonic::Nop || i.code() == Code::Xchg_r16_AX;
    let mut at = behind;
    while let Some(padding) = code.instruction(at).filter(is_padding) {
        at = padding.next_ip();
    }
    if starts.begins_or_covers(at) || starts.possible.contains(&at) {
        return true;
    }
    let Some(first) = code.instruction(at) else { return true };
    match first.mnemonic() {
        Mnemonic::Endbr64 => true,
        Mnemonic::Push => puts_away(&first),
        Mnemonic::Sub => {
            first.op0_register() == Register::RSP && at.is_multiple_of(FUNCTION_ALIGNMENT)
        }
        _ => false,
    }
}

/// Whether an instruction puts a register on the stack that a callee preserves.
pub fn puts_away(instruction: &Instruction) -> bool {
    const PRESERVED: [Register; 6] =
        [Register::RBP, Register::RBX, Register::R12, Register::R13, Register::R14, Register::R15];
    instruction.mnemonic() == Mnemonic::Push && PRESERVED.contains(&instruction.op0_register())
}

/// The address of code that an instruction has in it.
pub fn pointer(code: &CodeBytes, instruction: &Instruction) -> Option<u64> {
    let address = match instruction.mnemonic() {
        Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => {
            instruction.ip_rel_memory_address()
        }
        Mnemonic::Mov | Mnemonic::Push => match instruction.op_kind(instruction.op_count() - 1) {
            OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64 => {
                instruction.immediate(instruction.op_count() - 1)
            }
            _ => return None,
        },
        _ => return None,
    };
    code.is_code(address).then_some(address)
}

/// What a call calls; an instruction that calls the one behind it only takes its address.
pub fn call_target(instruction: &Instruction) -> Option<u64> {
    let is_direct = instruction.flow_control() == FlowControl::Call
        && instruction.op0_kind() == OpKind::NearBranch64;
    let target = is_direct.then(|| instruction.near_branch_target());
    target.filter(|target| *target != instruction.next_ip())
}

impl Switch {
    fn see(&mut self, code: &CodeBytes, instruction: &Instruction) {
        match instruction.mnemonic() {
            Mnemonic::Cmp if instruction.op0_kind() == OpKind::Register => {
                self.compared = instruction.try_immediate(1).ok();
            }
            Mnemonic::Ja => self.bound = self.compared.map(|last| last.wrapping_add(1)),
            Mnemonic::Jae => self.bound = self.compared,
            Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => {
                let address = instruction.ip_rel_memory_address();
                self.table = code.table(address, 1, 4).map(|_| address);
            }
            _ => {}
        }
    }

    /// Where a jump through a table may lead to; nothing if that is not all known.
    fn targets(&self, code: &CodeBytes, instruction: &Instruction) -> Vec<u64> {
        let targets = || {
            let count = self.bound.filter(|bound| *bound <= MAX_CASES)? as usize;
            let targets: Vec<u64> = if instruction.op0_kind() == OpKind::Memory {
                let is_table = instruction.memory_index_scale() == 8
                    && instruction.memory_index() != Register::None
                    && instruction.memory_base() == Register::None;
                let table = is_table.then(|| instruction.memory_displacement64())?;
                let words = code.table(table, count, 8)?.as_chunks().0;
                words.iter().map(|word| u64::from_le_bytes(*word)).collect()
            } else {
                let (base, words) = (self.table?, code.table(self.table?, count, 4)?);
                let offset = |word: &[u8; 4]| i64::from(i32::from_le_bytes(*word));
                let words = words.as_chunks().0.iter();
                words.map(|word| base.wrapping_add_signed(offset(word))).collect()
            };
            targets.iter().all(|target| code.is_code(*target)).then_some(targets)
        };
        targets().unwrap_or_default()
    }
}
