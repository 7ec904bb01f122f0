//! Turns machine code of x86 into text, as assemblers of Unix have it.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction, SymbolResolver,
    SymbolResult,
};
use rustc_hash::FxHashMap;

/// The instructions of a piece of code, in order.
pub(crate) struct Disassembly<'b> {
    bytes: &'b [u8],
    start: u64,
    instructions: Vec<Instruction>,
}

/// Names of what instructions jump to.
struct Targets(FxHashMap<u64, String>);

impl SymbolResolver for Targets {
    fn symbol(
        &mut self,
        _instruction: &Instruction,
        _operand: u32,
        _instruction_operand: Option<u32>,
        address: u64,
        _address_size: u32,
    ) -> Option<SymbolResult<'_>> {
        let name = self.0.get(&address)?;
        Some(SymbolResult::with_str(address, name))
    }
}

impl<'b> Disassembly<'b> {
    /// Reads the code `bytes`, the first of which is at `start`; `bits` is 32
    /// or 64.
    pub(crate) fn new(bits: u32, bytes: &'b [u8], start: u64) -> Self {
        let decoder = Decoder::with_ip(bits, bytes, start, DecoderOptions::NONE);
        Disassembly { bytes, start, instructions: decoder.into_iter().collect() }
    }

    /// How many instructions there are.
    pub(crate) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// The address of an instruction.
    pub(crate) fn address(&self, index: usize) -> u64 {
        self.instructions[index].ip()
    }

    /// The bytes of an instruction.
    pub(crate) fn bytes(&self, index: usize) -> &'b [u8] {
        let instruction = &self.instructions[index];
        let from = usize::try_from(instruction.ip().wrapping_sub(self.start)).ok();
        let range = from.and_then(|from| Some(from..from.checked_add(instruction.len())?));
        range.and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }

    /// The address that an instruction jumps to or calls, if that is in the
    /// instruction.
    pub(crate) fn target(&self, index: usize) -> Option<u64> {
        let instruction = &self.instructions[index];
        let leads_elsewhere = matches!(
            instruction.flow_control(),
            FlowControl::Call
                | FlowControl::ConditionalBranch
                | FlowControl::UnconditionalBranch
                | FlowControl::XbeginXabortXend
        );
        // 0 stands for none.
        Some(instruction.near_branch_target()).filter(|target| leads_elsewhere && *target != 0)
    }

    /// The instruction that has its first or another byte at an address.
    pub(crate) fn at(&self, address: u64) -> Option<usize> {
        let behind = self.instructions.partition_point(|found| found.ip() <= address);
        let index = behind.checked_sub(1)?;
        (address < self.instructions[index].next_ip()).then_some(index)
    }

    /// These instructions as text; `name_of` knows what code at an address is
    /// called.
    pub(crate) fn texts(
        &self,
        indices: &[usize],
        name_of: impl Fn(u64) -> Option<String>,
    ) -> Vec<String> {
        let mut names = FxHashMap::default();
        for &index in indices {
            if let Some(target) = self.target(index) {
                names.entry(target).or_insert_with(|| name_of(target));
            }
        }
        let named = names.into_iter().filter_map(|(target, name)| Some((target, name?)));
        let mut formatter =
            GasFormatter::with_options(Some(Box::new(Targets(named.collect()))), None);
        let options = formatter.options_mut();
        options.set_uppercase_hex(false);
        options.set_branch_leading_zeros(false);
        options.set_first_operand_char_index(8);
        options.set_space_after_operand_separator(true);
        let mut text = String::new();
        let texts = indices.iter().map(|&index| {
            text.clear();
            formatter.format(&self.instructions[index], &mut text);
            text.clone()
        });
        texts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_as_text() {
        // A call to 0x1100, a jump to the beginning, a return, and half an
        // instruction.
        let code =
            [0x55, 0xe8, 0xfa, 0x00, 0x00, 0x00, 0x8b, 0x04, 0x8f, 0xeb, 0xf5, 0xc3, 0x48, 0x8b];
        let code = Disassembly::new(64, &code, 0x1000);
        let name = |address| (address == 0x1100).then(|| "hot".to_owned());
        let all: Vec<usize> = (0..code.len()).collect();
        let expected = [
            "push    %rbp",
            "call    hot",
            "mov     (%rdi,%rcx,4), %eax",
            "jmp     0x1000",
            "ret",
            "(bad)",
        ];
        assert_eq!(code.texts(&all, name), expected);
        assert_eq!([0x1000, 0x1001, 0x1005, 0x100b].map(|at| code.at(at)), [0, 1, 1, 4].map(Some));
        assert_eq!((code.at(0xfff), code.at(0x2000)), (None, None));
        assert_eq!(code.address(2), 0x1006);
        assert_eq!((code.bytes(2), code.bytes(5)), (&[0x8b, 0x04, 0x8f][..], &[0x48, 0x8b][..]));
        assert_eq!(
            [1, 2, 3, 4].map(|at| code.target(at)),
            [Some(0x1100), None, Some(0x1000), None]
        );
    }
}
