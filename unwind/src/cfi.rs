//! Unwind rules from a file's call frame information, from Go's tables, and from code
//! that has neither.
//!
//! A rule says, for one code address, how to get from a frame's registers to
//! its caller's. Finding one takes a search through `.eh_frame`; it is kept by
//! address, for all processes that run the file.

use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EhFrame, EndianSlice, Evaluation, EvaluationResult,
    FrameDescriptionEntry, LittleEndian, Location, Register, RegisterRule, UnwindContext,
    UnwindSection, Value,
};
use rustc_hash::FxHashMap;
use rz_format::TruncatedReason;

use crate::arch::{
    CLONE_BYTES, CodeBytes, ENTRY_BYTES, FP, FramePointer, FrameState, KnownFrames, NOT_TRACKED,
    RA, RESULT, RETURN_ADDRESS_AT_CFA, RULE_REGISTERS, Registers, SP, before_signal, is_halted,
    is_outermost, is_signal_return,
};
use crate::go::{self, Program};
use crate::image::Image;
use crate::kept::Simple;
use crate::memory::StackMemory;
use crate::search_table::SearchTable;
use crate::step::Step;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Rules kept per file; when there are more, all are dropped and found anew.
const MAX_RULES: usize = 1 << 16;
/// Steps that a DWARF expression may take; real ones take a dozen.
const MAX_EXPRESSION_STEPS: u32 = 256;

/// How to get from a frame to its caller.
#[derive(Debug, Clone)]
enum Rule {
    /// This is the first function of the thread.
    Root,
    /// As call frame information says.
    Frame(Box<FrameRule>),
    /// This is the system call that makes a thread: of the old one, the frame is
    /// as it was before; for the new one, to which it returned zero, this is the
    /// first function.
    Clone(Box<FrameRule>),
    /// As Go's tables say.
    Go(go::Rule),
    /// There is no information, but the code keeps frame pointers: a runtime has
    /// generated it.
    FramePointer,
    /// There is no information, but the code is the one that a signal handler returns to.
    SignalReturn,
    /// There is no usable information.
    Nothing,
}

#[derive(Debug, Clone)]
struct FrameRule {
    cfa: Cfa,
    recover: Vec<(u16, Recover)>,
    is_signal_trampoline: bool,
}

/// The canonical frame address: the stack pointer before the call.
#[derive(Debug, Clone)]
enum Cfa {
    Register { register: u16, offset: i64 },
    Expression(Box<[u8]>),
}

/// Where a caller's register is.
#[derive(Debug, Clone)]
enum Recover {
    /// In memory, at this offset from the CFA.
    AtCfa(i64),
    /// It is the CFA plus this.
    CfaPlus(i64),
    /// In this register of the callee.
    Register(u16),
    /// In memory, where the expression says.
    AtExpression(Box<[u8]>),
    /// What the expression says.
    Expression(Box<[u8]>),
    /// Nowhere.
    Lost,
}

/// A file's unwind tables and the rules found in them so far.
pub struct Cfi {
    image: Image,
    bases: BaseAddresses,
    /// For tables without a search table of their own: start and end address
    /// of each entry, and its offset in the section.
    entries: Vec<(u64, u64, usize)>,
    /// By file offset.
    rules: FxHashMap<u64, Rule>,
    context: UnwindContext<usize>,
    /// The code that no table covers, once it was asked for.
    code: Option<Code>,
}

/// A file's code, and the frames that were found in it.
struct Code {
    bytes: CodeBytes,
    /// Once they were needed: they take a while to find.
    frames: Option<KnownFrames>,
}

impl Cfi {
    /// Prepares the tables of a file.
    pub fn new(image: Image) -> Self {
        let bases = BaseAddresses::default()
            .set_eh_frame(image.eh_frame.svma)
            .set_eh_frame_hdr(image.eh_frame_hdr.svma)
            .set_text(image.text_svma)
            .set_got(image.got_svma);
        let mut cfi = Cfi {
            image,
            bases,
            entries: Vec::new(),
            rules: FxHashMap::default(),
            context: UnwindContext::new(),
            code: None,
        };
        cfi.entries = if !cfi.image.debug_frame.data.is_empty() {
            list_entries(&debug_frame(&cfi.image), &cfi.bases)
        } else if cfi.has_search_table() {
            Vec::new()
        } else {
            list_entries(&eh_frame(&cfi.image), &cfi.bases)
        };
        cfi
    }

    /// Whether `.eh_frame` can be searched; linkers leave the table out if they
    /// do not understand all entries.
    fn has_search_table(&self) -> bool {
        search_table(&self.image, &self.bases).is_some()
    }

    /// Unwinds the frame at `file_offset`, which is inside its instruction. `code` reads
    /// the file's code, if it has to be looked at; that is asked for until it was read.
    pub fn step(
        &mut self,
        file_offset: u64,
        registers: &Registers,
        stack: &StackMemory<'_>,
        code: impl FnOnce() -> Option<CodeBytes>,
    ) -> Result<Step, TruncatedReason> {
        if let Some(rule) = self.rules.get(&file_offset) {
            return rule.apply(registers, stack);
        }
        let svma = self.image.svma_of(file_offset);
        let rule = svma.map_or(Rule::Nothing, |svma| self.find_rule(svma, code));
        let step = rule.apply(registers, stack);
        if self.rules.len() >= MAX_RULES {
            self.rules.clear();
        }
        self.rules.insert(file_offset, rule);
        step
    }

    /// Gives back the memory of what it has found out and can find out again.
    pub fn forget(&mut self) {
        self.rules = FxHashMap::default();
    }

    fn find_rule(&mut self, svma: u64, code: impl FnOnce() -> Option<CodeBytes>) -> Rule {
        if let Some(rule) = self.image.go.as_ref().and_then(|go| go.rule(svma)) {
            return Rule::Go(rule);
        }
        match self.find_entry(svma) {
            Ok(rule) => rule,
            Err(gimli::Error::NoUnwindInfoForAddress) => self.rule_of_uncovered_code(svma, code),
            Err(_) => Rule::Nothing,
        }
    }

    /// What call frame information says.
    fn find_entry(&mut self, svma: u64) -> gimli::Result<Rule> {
        if !self.image.debug_frame.data.is_empty() {
            let section = debug_frame(&self.image);
            find_in_list(&section, &self.bases, &self.entries, &mut self.context, svma)
        } else if !self.entries.is_empty() {
            let section = eh_frame(&self.image);
            find_in_list(&section, &self.bases, &self.entries, &mut self.context, svma)
        } else if self.image.eh_frame_hdr.data.is_empty() {
            Err(gimli::Error::NoUnwindInfoForAddress)
        } else {
            find_in_search_table(&self.image, &self.bases, &mut self.context, svma)
        }
    }

    /// For code that no entry covers: is it where the program or a thread begins, and if
    /// not, what do its instructions say?
    fn rule_of_uncovered_code(
        &mut self,
        svma: u64,
        code: impl FnOnce() -> Option<CodeBytes>,
    ) -> Rule {
        if self.is_in_uncovered_start(svma) {
            return Rule::Root;
        }
        if let Some(frame) = self.frame_around_clone(svma) {
            return Rule::Clone(frame);
        }
        if self.code.is_none() {
            self.code = code().map(|bytes| Code { bytes, frames: None });
        }
        let Some(code) = &self.code else { return Rule::Nothing };
        if code.bytes.is_embedded(svma) {
            return Rule::FramePointer;
        }
        if is_halted(&code.bytes, svma + 1) {
            return Rule::Root;
        }
        if is_signal_return(&code.bytes, svma) {
            return Rule::SignalReturn;
        }
        if code.frames.is_none() {
            let covered = self.covered();
            self.code = self.code.take().map(|Code { bytes, .. }| {
                let frames = Some(KnownFrames::find(&bytes, covered));
                Code { bytes: bytes.without_data(), frames }
            });
        }
        let frames = self.code.as_ref().and_then(|code| code.frames.as_ref());
        let frame = frames.and_then(|frames| frames.at(svma)).and_then(FrameRule::of_code);
        frame.map_or(Rule::Nothing, |frame| Rule::Frame(Box::new(frame)))
    }

    /// Whether code that no entry covers is the program's first function. A first function
    /// that an entry covers ends where that says, and what is behind it is not the first.
    fn is_in_uncovered_start(&mut self, svma: u64) -> bool {
        let entry = self.image.entry_svma;
        entry != 0
            && svma.checked_sub(entry).is_some_and(|after| after < ENTRY_BYTES)
            && self.find_entry(entry).is_err()
    }

    /// What the tables cover.
    fn covered(&self) -> Vec<(u64, u64)> {
        let of_go = self.image.go.iter().flat_map(Program::functions);
        let listed = match self.entries.is_empty() && self.has_search_table() {
            true => &list_entries(&eh_frame(&self.image), &self.bases),
            false => &self.entries,
        };
        let mut covered: Vec<_> = listed.iter().map(|(start, end, _)| (*start, *end)).collect();
        covered.extend(of_go);
        covered.sort_unstable();
        covered
    }

    /// The frame of who makes a thread, if the uncovered code at `svma` does: a
    /// function with a frame precedes it, and what follows is a thread's first.
    fn frame_around_clone(&mut self, svma: u64) -> Option<Box<FrameRule>> {
        let mut after = svma..svma.saturating_add(CLONE_BYTES);
        let before = svma.saturating_sub(CLONE_BYTES)..svma;
        let Rule::Root = after.find_map(|svma| self.find_entry(svma).ok())? else { return None };
        match before.rev().find_map(|svma| self.find_entry(svma).ok())? {
            Rule::Frame(frame) => Some(frame),
            _ => None,
        }
    }
}

impl Rule {
    fn apply(
        &self,
        registers: &Registers,
        stack: &StackMemory<'_>,
    ) -> Result<Step, TruncatedReason> {
        match self {
            Rule::Root => Ok(Step::Root(registers.sp())),
            Rule::FramePointer => Ok(Step::UseFramePointer),
            Rule::SignalReturn => {
                let registers =
                    before_signal(registers, stack).ok_or(TruncatedReason::StackTooDeep)?;
                Ok(Step::Caller { registers, interrupted: true, simple: None })
            }
            Rule::Nothing => Err(TruncatedReason::NoUnwindInfo),
            Rule::Go(rule) => rule.apply(registers, stack),
            Rule::Clone(_) if registers.get(RESULT) == Some(0) => Ok(Step::Root(registers.sp())),
            Rule::Frame(rule) | Rule::Clone(rule) => rule.apply(registers, stack),
        }
    }
}

impl FrameRule {
    /// What following the code has led to, if the caller can be found by it.
    fn of_code(state: FrameState) -> Option<Self> {
        let cfa = match (state.sp, state.fp) {
            (Some(offset), _) => Cfa::Register { register: SP, offset },
            (None, FramePointer::Below(offset)) => Cfa::Register { register: FP, offset },
            (None, FramePointer::Callers | FramePointer::Other) => return None,
        };
        // Without a return address on the stack, it is not known where to go on.
        if state.sp.is_some_and(|sp| sp < -RETURN_ADDRESS_AT_CFA) {
            return None;
        }
        let lost = NOT_TRACKED.map(|register| (register, Recover::Lost));
        let mut recover = vec![(RA, Recover::AtCfa(RETURN_ADDRESS_AT_CFA))];
        recover.extend(lost);
        match (state.fp, state.saved_fp) {
            (FramePointer::Callers, _) => {}
            (_, Some(below)) => recover.push((FP, Recover::AtCfa(-below))),
            (_, None) => recover.push((FP, Recover::Lost)),
        }
        Some(FrameRule { cfa, recover, is_signal_trampoline: false })
    }

    /// Whether the stack and frame pointers, and words at fixed places, are all
    /// that it takes.
    fn is_simple(&self) -> bool {
        let by_pointers = matches!(self.cfa, Cfa::Register { register: SP | FP, .. });
        let fixed = self.recover.iter().all(|(register, recover)| match (*register, recover) {
            (RA, recover) => matches!(recover, Recover::AtCfa(RETURN_ADDRESS_AT_CFA)),
            (FP, recover) => {
                matches!(recover, Recover::AtCfa(offset) if (-0xffff..0).contains(offset))
            }
            // What is in other registers matters to other rules only.
            _ => true,
        });
        by_pointers && fixed && !self.is_signal_trampoline
    }

    fn apply(
        &self,
        registers: &Registers,
        stack: &StackMemory<'_>,
    ) -> Result<Step, TruncatedReason> {
        let cfa = match &self.cfa {
            Cfa::Register { register, offset } => {
                registers.get(*register).map(|base| base.wrapping_add_signed(*offset))
            }
            Cfa::Expression(code) => evaluate(code, None, registers, stack),
        };
        let cfa = cfa.ok_or(TruncatedReason::NoUnwindInfo)?;
        let mut caller =
            if self.is_signal_trampoline { *registers } else { registers.preserved_by_callee() };
        caller.set(SP, Some(cfa));
        let mut return_address = None;
        let mut simple = self.is_simple().then_some(Simple { saved_fp: 0 });
        for (register, recover) in &self.recover {
            let value = match recover {
                Recover::AtCfa(offset) => {
                    let address = cfa.wrapping_add_signed(*offset);
                    if *register != RA && stack.is_below(address) {
                        // In an epilogue, a register that has been popped
                        // already may still be said to lie below the stack
                        // pointer, where nothing was copied. Its value is
                        // back in place then.
                        simple = None;
                        continue;
                    }
                    if let (FP, Some(simple)) = (*register, &mut simple) {
                        simple.saved_fp = offset.unsigned_abs() as u32;
                    }
                    stack.read(address)
                }
                Recover::CfaPlus(offset) => Some(cfa.wrapping_add_signed(*offset)),
                Recover::Register(other) => registers.get(*other),
                Recover::AtExpression(code) => {
                    evaluate(code, Some(cfa), registers, stack).and_then(|at| stack.read(at))
                }
                Recover::Expression(code) => evaluate(code, Some(cfa), registers, stack),
                Recover::Lost => None,
            };
            match *register {
                RA => return_address = value,
                other => caller.set(other, value),
            }
        }
        match return_address {
            // The start of a thread in code that does not say so.
            Some(0) => Ok(Step::Root(cfa)),
            Some(address) => {
                caller.ip = address;
                let interrupted = self.is_signal_trampoline;
                Ok(Step::Caller { registers: caller, interrupted, simple })
            }
            None => {
                let missing = stack.missing(cfa.wrapping_add_signed(RETURN_ADDRESS_AT_CFA));
                Err(missing.unwrap_or(TruncatedReason::NoUnwindInfo))
            }
        }
    }
}

fn eh_frame(image: &Image) -> EhFrame<Slice<'_>> {
    let mut section = EhFrame::new(&image.eh_frame.data, LittleEndian);
    section.set_address_size(8);
    section
}

fn search_table<'i>(image: &'i Image, bases: &BaseAddresses) -> Option<SearchTable<'i>> {
    SearchTable::new(&image.eh_frame_hdr.data, bases)
}

fn debug_frame(image: &Image) -> DebugFrame<Slice<'_>> {
    let mut section = DebugFrame::new(&image.debug_frame.data, LittleEndian);
    section.set_address_size(8);
    section
}

fn find_in_search_table(
    image: &Image,
    bases: &BaseAddresses,
    context: &mut UnwindContext<usize>,
    svma: u64,
) -> gimli::Result<Rule> {
    let section = eh_frame(image);
    let table = search_table(image, bases).ok_or(gimli::Error::NoUnwindInfoForAddress)?;
    let entry = table.find(&section, bases, svma)?;
    rule_from_entry(&section, bases, &entry, context, svma)
}

fn find_in_list<'a, S>(
    section: &S,
    bases: &BaseAddresses,
    entries: &[(u64, u64, usize)],
    context: &mut UnwindContext<usize>,
    svma: u64,
) -> gimli::Result<Rule>
where
    S: UnwindSection<Slice<'a>>,
    S::Offset: From<usize>,
{
    let after = entries.partition_point(|(start, _, _)| *start <= svma);
    let found = entries[..after].last().filter(|(_, end, _)| svma < *end);
    let (_, _, offset) = found.ok_or(gimli::Error::NoUnwindInfoForAddress)?;
    let entry = section.fde_from_offset(bases, (*offset).into(), S::cie_from_offset)?;
    rule_from_entry(section, bases, &entry, context, svma)
}

/// Start, end and offset of all entries up to the first damaged one, sorted.
fn list_entries<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    bases: &BaseAddresses,
) -> Vec<(u64, u64, usize)> {
    let mut list = Vec::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        let gimli::CieOrFde::Fde(partial) = entry else { continue };
        if let Ok(entry) = partial.parse(S::cie_from_offset) {
            let start = entry.initial_address();
            list.push((start, start.saturating_add(entry.len()), entry.offset()));
        }
    }
    list.sort_unstable();
    list
}

fn rule_from_entry<'a, S: UnwindSection<Slice<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    entry: &FrameDescriptionEntry<Slice<'a>>,
    context: &mut UnwindContext<usize>,
    svma: u64,
) -> gimli::Result<Rule> {
    let row = entry.unwind_info_for_address(section, bases, context, svma)?;
    let code = |expression: &gimli::UnwindExpression<usize>| -> gimli::Result<Box<[u8]>> {
        Ok(expression.get(section)?.0.slice().into())
    };
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            Cfa::Register { register: register.0, offset: *offset }
        }
        CfaRule::Expression(expression) => Cfa::Expression(code(expression)?),
    };
    let mut recover = Vec::new();
    for register in RULE_REGISTERS {
        let rule = match row.register(Register(register)) {
            None | Some(RegisterRule::SameValue) => continue,
            Some(RegisterRule::Offset(offset)) => Recover::AtCfa(offset),
            Some(RegisterRule::ValOffset(offset)) => Recover::CfaPlus(offset),
            Some(RegisterRule::Register(other)) => Recover::Register(other.0),
            Some(RegisterRule::Expression(expression)) => Recover::AtExpression(code(&expression)?),
            Some(RegisterRule::ValExpression(expression)) => {
                Recover::Expression(code(&expression)?)
            }
            Some(_) => Recover::Lost,
        };
        recover.push((register, rule));
    }
    if is_outermost(row.register(Register(RA))) {
        // The entry functions of programs and threads say so.
        return Ok(Rule::Root);
    }
    let is_signal_trampoline = entry.is_signal_trampoline();
    Ok(Rule::Frame(Box::new(FrameRule { cfa, recover, is_signal_trampoline })))
}

/// The value of a DWARF expression, `None` if it needs what is not there.
fn evaluate(
    code: &[u8],
    initial: Option<u64>,
    registers: &Registers,
    stack: &StackMemory<'_>,
) -> Option<u64> {
    let encoding = gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 };
    let mut evaluation = Evaluation::new(EndianSlice::new(code, LittleEndian), encoding);
    evaluation.set_max_iterations(MAX_EXPRESSION_STEPS);
    if let Some(value) = initial {
        evaluation.set_initial_value(value);
    }
    let mut state = evaluation.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = registers.get(register.0)?;
                evaluation.resume_with_register(Value::Generic(value)).ok()?
            }
            EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                let value = stack.read(address)?;
                evaluation.resume_with_memory(Value::Generic(value)).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.as_result() {
        [piece] => match piece.location {
            Location::Address { address } => Some(address),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
