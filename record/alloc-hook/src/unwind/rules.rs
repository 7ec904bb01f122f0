//! Unwind rules from call frame information, in a form that takes 8 bytes.
//!
//! A rule says how to get from a frame to its caller, which only takes the
//! stack and frame pointers: call frame information that needs more is rare,
//! and not followed.

use core::mem::MaybeUninit;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, ParsedEhFrameHdr,
    Pointer, Register, RegisterRule, UnwindContext, UnwindContextStorage, UnwindExpression,
    UnwindSection, UnwindTableRow,
};

use crate::arch::{self, ENTRY_BYTES, MAX_REGISTERS, RETURN_ADDRESS_AT_END};
use crate::objects::Object;
use crate::sys;

type Slice = EndianSlice<'static, LittleEndian>;

/// Rows that are remembered at one time.
const MAX_ROWS: usize = 4;

/// Code that no entry covers, in an object that has entries, is taken to be
/// generated if there is at least so much of it in one piece: generated code
/// keeps frame pointers, hand-written assembly often does not.
const GENERATED_CODE_BYTES: u64 = 64 << 10;

/// Room to evaluate call frame information in.
pub(crate) type Context = UnwindContext<usize, Inline>;

/// Keeps everything inside of a [`Context`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inline;

impl UnwindContextStorage<usize> for Inline {
    type Rules = [(Register, RegisterRule<usize>); MAX_REGISTERS];
    type Stack = [UnwindTableRow<usize, Self>; MAX_ROWS];
}

/// Where a frame ends, and so where its return address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// It has no caller. Also what new memory says.
    Root,
    /// There is no unwind information.
    Unknown,
    /// This is no code.
    NoCode,
    /// So many bytes above the stack pointer.
    Stack,
    /// So many bytes above the frame pointer.
    Frame,
    /// At the address that is so many bytes above the frame pointer.
    AtFrame,
    /// There is no unwind information, but the code keeps frame pointers.
    Chain,
    /// A signal came, and the kernel has put away all registers.
    Signal,
}

/// Where the caller's frame pointer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FramePointer {
    /// Where it was.
    Same,
    /// So many bytes from the frame's end.
    AtEnd,
    /// So many bytes from the frame pointer.
    AtFrame,
    /// Nowhere.
    Lost,
}

/// How to get from a frame to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Rule {
    pub(crate) end: End,
    pub(crate) frame_pointer: FramePointer,
    pub(crate) frame_pointer_offset: i16,
    pub(crate) end_offset: i32,
}

impl Rule {
    pub(crate) const fn simple(end: End) -> Self {
        Rule { end, frame_pointer: FramePointer::Same, frame_pointer_offset: 0, end_offset: 0 }
    }

    /// The rule for a frame that goes on at `return_address`.
    #[cold]
    #[inline(never)]
    pub(crate) fn find(return_address: usize, context: &mut MaybeUninit<Context>) -> Self {
        // Inside of the call instruction for sure.
        let address = return_address.wrapping_sub(1);
        match Object::at(address) {
            Some(object) => {
                find_in(&object, address, context).unwrap_or(Rule::simple(End::Unknown))
            }
            // Generated code, if it is code.
            None if follows_call(return_address) => Rule::simple(End::Chain),
            None => Rule::simple(End::NoCode),
        }
    }

    /// From a row of the table, in gimli's words.
    fn from_row(
        row: &UnwindTableRow<usize, Inline>,
        expression: impl Fn(UnwindExpression<usize>) -> Option<&'static [u8]>,
    ) -> Option<Self> {
        let mut rule = Rule::simple(End::Root);
        match row.register(arch::RA) {
            // The first functions of programs and threads say so.
            None | Some(RegisterRule::Undefined) => return Some(rule),
            Some(RegisterRule::Offset(RETURN_ADDRESS_AT_END)) => {}
            Some(_) => return None,
        }
        (rule.end, rule.end_offset) = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let end = match *register {
                    arch::SP => End::Stack,
                    arch::FP => End::Frame,
                    _ => return None,
                };
                (end, i32::try_from(*offset).ok()?)
            }
            CfaRule::Expression(code) => {
                let (offset, rest) = frame_pointer_plus(expression(*code)?)?;
                (rest == [gimli::DW_OP_deref.0]).then_some((End::AtFrame, offset))?
            }
        };
        let (frame_pointer, offset) = match row.register(arch::FP) {
            None | Some(RegisterRule::SameValue) => (FramePointer::Same, 0),
            Some(RegisterRule::Offset(offset)) => (FramePointer::AtEnd, offset),
            Some(RegisterRule::Expression(code)) => {
                let (offset, rest) = frame_pointer_plus(expression(code)?)?;
                rest.is_empty().then_some((FramePointer::AtFrame, i64::from(offset)))?
            }
            Some(_) => (FramePointer::Lost, 0),
        };
        rule.frame_pointer = frame_pointer;
        rule.frame_pointer_offset = i16::try_from(offset).ok()?;
        Some(rule)
    }
}

/// Reads an expression that begins with the frame pointer plus an offset: the
/// offset, and what follows.
fn frame_pointer_plus(code: &[u8]) -> Option<(i32, &[u8])> {
    let mut rest = code.strip_prefix(&[arch::FP_PLUS.0])?;
    let (mut value, mut shift) = (0_i64, 0);
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        value |= i64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let unused = 64 - shift;
            return Some((i32::try_from(value << unused >> unused).ok()?, rest));
        }
        if shift > 28 {
            return None;
        }
    }
    None
}

/// Whether the instruction before an address is a call.
pub(crate) fn follows_call(address: usize) -> bool {
    // 8 bytes that end there; they may be on two pages.
    let start = address.wrapping_sub(8);
    if !sys::is_readable(start) || !sys::is_readable(address.wrapping_sub(1) & !7) {
        return false;
    }
    // SAFETY: it can be read, as was asked just now.
    let code = unsafe { (start as *const [u8; 8]).read_unaligned() };
    arch::is_call(&code)
}

/// The rule at an address in an object; `None` if there is none.
fn find_in(object: &Object, address: usize, context: &mut MaybeUninit<Context>) -> Option<Rule> {
    if object.unwind_table == 0 {
        return Some(Rule::simple(End::Chain));
    }
    let table = Table::at(object.unwind_table).ok()?;
    match table.rule(address as u64, context) {
        Ok(rule) => rule,
        Err(gimli::Error::NoUnwindInfoForAddress) => {
            let entry = object.entry();
            // A first function that the table covers ends where that says.
            let is_first = entry != 0
                && address.wrapping_sub(entry) < ENTRY_BYTES
                && table.rule(entry as u64, context).is_err();
            let end = match table.is_in_gap(address as u64) {
                _ if is_first => End::Root,
                Ok(true) => End::Chain,
                _ => End::Unknown,
            };
            Some(Rule::simple(end))
        }
        Err(_) => None,
    }
}

/// A loaded object's call frame information.
struct Table {
    header: ParsedEhFrameHdr<Slice>,
    section: EhFrame<Slice>,
    bases: BaseAddresses,
}

impl Table {
    /// That of which the `.eh_frame_hdr` is at `address`.
    fn at(address: usize) -> gimli::Result<Self> {
        let bases = BaseAddresses::default().set_eh_frame_hdr(address as u64);
        let header = EhFrameHdr::new(memory_from(address), LittleEndian).parse(&bases, 8)?;
        let Pointer::Direct(start) = header.eh_frame_ptr() else {
            return Err(gimli::Error::NoUnwindInfoForAddress);
        };
        let mut section = EhFrame::new(memory_from(start as usize), LittleEndian);
        section.set_address_size(8);
        Ok(Table { header, section, bases: bases.set_eh_frame(start) })
    }

    /// The rule at an address; `None` if it cannot be put into one.
    fn rule(
        &self,
        address: u64,
        context: &mut MaybeUninit<Context>,
    ) -> gimli::Result<Option<Rule>> {
        let Table { header, section, bases } = self;
        let table = header.table().ok_or(gimli::Error::NoUnwindInfoForAddress)?;
        let entry = table.fde_for_address(section, bases, address, EhFrame::cie_from_offset)?;
        if entry.is_signal_trampoline() {
            return Ok(Some(Rule::simple(End::Signal)));
        }
        let context = context.write(Context::new_in());
        let row = entry.unwind_info_for_address(section, bases, context, address)?;
        let expression = |code: UnwindExpression<usize>| Some(code.get(section).ok()?.0.slice());
        Ok(Rule::from_row(row, expression))
    }

    /// Whether no entry covers so large a piece of code that it was generated.
    fn is_in_gap(&self, address: u64) -> gimli::Result<bool> {
        let Table { header, section, bases } = self;
        let table = header.table().ok_or(gimli::Error::NoUnwindInfoForAddress)?;
        let before = table.lookup(address, bases)?;
        let offset = table.pointer_to_offset(before)?;
        let entry = section.fde_from_offset(bases, offset, EhFrame::cie_from_offset)?;
        let end = entry.initial_address().saturating_add(entry.len());
        Ok(table.lookup(end.saturating_add(GENERATED_CODE_BYTES), bases)? == before)
    }
}

/// What is loaded from `address` on, up to the end of an object or segment.
fn memory_from(address: usize) -> &'static [u8] {
    let end = Object::at(address).map_or(address, |object| object.end);
    // SAFETY: it stays loaded while one of its functions runs.
    unsafe { core::slice::from_raw_parts(address as *const u8, end.saturating_sub(address)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_realigned_stacks() {
        assert_eq!(frame_pointer_plus(&[0x76, 0x78, 6]), Some((-8, &[6][..])));
        assert_eq!(frame_pointer_plus(&[0x76, 0]), Some((0, &[][..])));
        assert_eq!(frame_pointer_plus(&[0x76, 0xf0, 0x7e]), Some((-144, &[][..])));
        assert_eq!(frame_pointer_plus(&[0x77, 0]), None);
        assert_eq!(frame_pointer_plus(&[0x76]), None);
        assert_eq!(frame_pointer_plus(&[0x76, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn what_is_no_code() {
        let mut context = MaybeUninit::uninit();
        let mut find = |address| Rule::find(address, &mut context).end;
        let data = [0_u64; 4];
        assert_eq!(find(&raw const data[2] as usize), End::NoCode);
        assert_eq!(find(0), End::NoCode);
        assert_eq!(find(usize::MAX), End::NoCode);
    }
}
