//! Java methods: what they are called, and which lines their bytecode is of.

use rz_format::{CodeKind, CodeLine, CodeObject, LineTable, Positions, Runtime};

use crate::code_objects::Memory;

use super::bytes::{Bytes, word};
use super::layout::{Layout, MethodLayout, Source};
use super::numbers::Numbers;

/// Longest name of a class or method in bytes.
const MAX_NAME: usize = 1 << 10;
/// Longest of what is constant in a method, in bytes: bytecode has 64 KiB at most.
const MAX_CONSTANT: usize = 1 << 20;
const WORD: usize = 8;

/// A method as far as all is known that does not change as long as it is the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    constant: u64,
    pool: u64,
    code_size: u16,
    name: u16,
    signature: u16,
    number: u16,
    /// The class's part of the pool, which the class leads back to.
    class: u64,
    class_name: u64,
}

/// What is read of a method only once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Described {
    name: String,
    qualified_name: String,
    file: String,
    lines: Vec<CodeLine>,
}

impl Identity {
    /// Reads it; `None` if there is no method.
    pub(super) fn read(method: u64, layout: &Layout, memory: &impl Memory) -> Option<Self> {
        let of = &layout.method;
        let constant = word(memory, method.checked_add(of.constant as u64)?)?;
        let head = Bytes::read(memory, constant, of.bytecode);
        let pool = head.u64(of.pool)?;
        let class = word(memory, pool.checked_add(of.pool_holder as u64)?)?;
        // Nothing else leads to a class that leads back.
        let back = word(memory, class.checked_add(of.class_pool as u64)?)?;
        let class_name = word(memory, class.checked_add(of.class_name as u64)?)?;
        (back == pool).then_some(Identity {
            constant,
            pool,
            code_size: head.u16(of.code_size)?,
            name: head.u16(of.name)?,
            signature: head.u16(of.signature)?,
            number: head.u16(of.number)?,
            class,
            class_name,
        })
    }

    /// The position in its bytecode that an address is.
    pub(super) fn position(&self, address: u64, layout: &Layout) -> Option<u32> {
        let start = self.constant.checked_add(layout.method.bytecode as u64)?;
        let position = address.checked_sub(start)?;
        (position < self.code_size.into()).then_some(position as u32)
    }

    /// What it leads to.
    pub(super) fn describe(&self, layout: &Layout, memory: &impl Memory) -> Option<Described> {
        let of = &layout.method;
        let name = constant_text(self.pool, self.name, of, memory)?;
        let class = class_name(&symbol(self.class_name, of, memory)?);
        let file = match of.source {
            Source::Pool(at) => (self.pool, at),
            Source::Class(at) => (self.class, at),
        };
        let file = Bytes::read(memory, file.0.wrapping_add(file.1 as u64), 2).u16(0);
        let file = file.filter(|file| *file != 0);
        let file =
            file.and_then(|file| constant_text(self.pool, file, of, memory)).unwrap_or_default();
        let lines = self.lines(layout, memory).unwrap_or_default();
        Some(Described { qualified_name: format!("{class}.{name}"), name, file, lines })
    }

    /// Which lines its bytecode is of, if it says that.
    fn lines(&self, layout: &Layout, memory: &impl Memory) -> Option<Vec<CodeLine>> {
        let of = &layout.method;
        let head = Bytes::read(memory, self.constant, of.bytecode);
        if u32::from(head.u16(of.flags)?) & of.has_lines == 0 {
            return None;
        }
        let size = usize::try_from(head.i32(of.constant_size)?).ok()?.checked_mul(WORD)?;
        let behind = of.bytecode + usize::from(self.code_size);
        let length = size.min(MAX_CONSTANT).checked_sub(behind)?;
        let table = Bytes::read(memory, self.constant.checked_add(behind as u64)?, length);
        Some(lines(table.all(), layout.numbers))
    }
}

/// A text of a class's constants.
pub(super) fn constant_text(
    pool: u64,
    index: u16,
    of: &MethodLayout,
    memory: &impl Memory,
) -> Option<String> {
    let length = Bytes::read(memory, pool.checked_add(of.pool_length as u64)?, 4).u32(0)?;
    let at = of.pool_entries as u64 + u64::from(index) * WORD as u64;
    let is_inside = index > 0 && u32::from(index) < length;
    symbol(word(memory, pool.checked_add(at)?).filter(|_| is_inside)?, of, memory)
}

/// The lines of a table as HotSpot writes it: for each, how much further in bytecode
/// and lines it is than the one before.
fn lines(mut table: &[u8], numbers: Numbers) -> Vec<CodeLine> {
    const END: u8 = 0;
    const IN_FULL: u8 = 0xff;
    let mut lines = Vec::new();
    let (mut start, mut line) = (0_i32, 0_i32);
    while let Some((first, rest)) = table.split_first().filter(|(first, _)| **first != END) {
        table = rest;
        let further = match *first {
            IN_FULL => numbers.take_signed(&mut table).zip(numbers.take_signed(&mut table)),
            both => Some((i32::from(both >> 3), i32::from(both & 7))),
        };
        let Some((by_bytes, by_lines)) = further else { break };
        (start, line) = (start.wrapping_add(by_bytes), line.wrapping_add(by_lines));
        if let (Ok(start), Ok(line)) = (start.try_into(), line.try_into()) {
            lines.push(CodeLine { start, line, column: 0 });
        }
    }
    lines
}

fn symbol(address: u64, of: &MethodLayout, memory: &impl Memory) -> Option<String> {
    let bytes = Bytes::read(memory, address, of.symbol_body + MAX_NAME);
    let length = usize::from(bytes.u16(of.symbol_length)?).min(MAX_NAME);
    let text = bytes.all().get(of.symbol_body..)?.get(..length)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// The name of a class as it is in its language. What is generated has a number or an
/// address behind that, which another run does not have.
fn class_name(internal: &str) -> String {
    let name = internal.split_once('+').map_or(internal, |(name, _)| name);
    let is_number = |last: &str| last.starts_with(|first: char| first.is_ascii_digit());
    let name = name.rsplit_once('/').filter(|(_, last)| is_number(last)).map_or(name, |(of, _)| of);
    name.replace('/', ".")
}

impl Described {
    /// What the trace has of it.
    pub(super) fn code_object(self, id: u32) -> CodeObject {
        let Described { name, qualified_name, file, lines } = self;
        CodeObject {
            id,
            // What a child shares with its parent is the same code.
            process_plus_one: 0,
            runtime: Runtime::HotSpot.into(),
            kind: CodeKind::Function.into(),
            name,
            qualified_name,
            file,
            // Where its first instruction is: what is before that is not told.
            first_line: lines.iter().find(|line| line.start == 0).map_or(0, |line| line.line),
            first_column: 0,
            positions: Positions::Bytecode.into(),
            lines: LineTable::new(lines),
        }
    }
}

/// What the trace has of code that is of no method.
pub(super) fn stub(id: u32, name: &str) -> CodeObject {
    CodeObject {
        id,
        runtime: Runtime::HotSpot.into(),
        kind: CodeKind::Builtin.into(),
        name: name.to_owned(),
        positions: Positions::Bytecode.into(),
        ..CodeObject::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_their_names() {
        let check = |internal: &str, expected: &str| assert_eq!(class_name(internal), expected);
        check("Main", "Main");
        check("java/util/HashMap$Node", "java.util.HashMap$Node");
        check("a/Main$$Lambda$14+0x0000000800c03000", "a.Main$$Lambda$14");
        check("a/Main$$Lambda+0x00007fff01000a00", "a.Main$$Lambda");
        check("Main$$Lambda$1/1234567", "Main$$Lambda$1");
        check("a/Main$1", "a.Main$1");
    }

    #[test]
    fn lines_are_counted_from_the_ones_before() {
        let line = |start, line| CodeLine { start, line, column: 0 };
        let check = |table: &[u8], numbers, expected: &[CodeLine]| {
            assert_eq!(lines(table, numbers), expected, "{table:?}");
        };
        // By 5 bytes and 2 lines; 40 bytes and 30 lines back.
        let table = [0xff, 0, 24, 5 << 3 | 2, 0xff, 80, 19, 0, 9];
        check(&table, Numbers::WithZero, &[line(0, 12), line(5, 14), line(45, 4)]);
        let table = [0xff, 1, 25, 5 << 3 | 2, 0xff, 81, 20, 0, 9];
        check(&table, Numbers::WithoutZero, &[line(0, 12), line(5, 14), line(45, 4)]);
        // Cut off; before the first line.
        check(&[0xff, 0, 24, 0xff, 80], Numbers::WithZero, &[line(0, 12)]);
        check(&[0xff, 0, 1], Numbers::WithZero, &[]);
        check(&[], Numbers::WithZero, &[]);
    }
}
