//! Code as runtimes know it: functions of interpreted or managed languages,
//! which frames refer to by number.

use bincode::{Decode, Encode};

use crate::codes::coded;
use crate::line_table::{CodeLine, LineTable};

/// Whose code a [`CodeObject`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Runtime {
    /// Python's own implementation.
    CPython,
    /// The engine of Node.js, Deno and Electron.
    V8,
    /// The Java virtual machine of OpenJDK.
    HotSpot,
    /// Go's.
    Go,
    /// One that has no number of its own.
    Other,
    /// One that this crate does not know.
    Unknown,
}

coded! {
    Runtime: u8,
    1 => CPython,
    2 => V8,
    3 => HotSpot,
    4 => Go,
    5 => Other,
}

/// What kind of code a [`CodeObject`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeKind {
    /// A function or method.
    Function,
    /// What a file does by itself, outside of functions.
    Module,
    /// What defines a class.
    Class,
    /// A function without a name: a lambda, a comprehension, a closure.
    Anonymous,
    /// A function of the runtime itself, which is not written in its language.
    Builtin,
    /// A kind that this crate does not know.
    Unknown,
}

coded! {
    CodeKind: u8,
    0 => Function,
    1 => Module,
    2 => Class,
    3 => Anonymous,
    4 => Builtin,
}

/// What positions in a [`CodeObject`] count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Positions {
    /// Bytes from the start of its bytecode.
    Bytecode,
    /// Characters from the start of its source file, as the runtime counts
    /// them.
    Characters,
    /// Lines of its source file, from 1; 0 is unknown.
    Lines,
    /// Something that this crate does not know.
    Unknown,
}

coded! {
    Positions: u8,
    0 => Bytecode,
    1 => Characters,
    2 => Lines,
}

/// A piece of code as a runtime knows it.
///
/// Frames that run it have its id and a position in it
/// ([`Frame::Runtime`](crate::Frame::Runtime)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct CodeObject {
    /// Number that frames refer to.
    pub id: u32,
    /// Process that has it, plus one; 0 if it belongs to no single one.
    pub process_plus_one: u32,
    /// A [`Runtime`] as a number.
    pub runtime: u8,
    /// A [`CodeKind`] as a number.
    pub kind: u8,
    /// Name of the function alone.
    pub name: String,
    /// Name with what the function is in, such as its class or package; empty if it
    /// is the same.
    pub qualified_name: String,
    /// Source file as the runtime says it, which may be no file at all, such as
    /// `<string>` or `node:internal/timers`; empty if unknown.
    pub file: String,
    /// Line in which its definition begins; 0 if unknown.
    pub first_line: u32,
    /// Column of that, from 1; 0 if unknown.
    pub first_column: u32,
    /// What positions count: [`Positions`] as a number.
    pub positions: u8,
    /// Which line each position is of.
    pub lines: LineTable,
}

impl CodeObject {
    /// Line and column of a position, each 0 if it is unknown.
    pub fn place(&self, position: u64) -> (u32, u32) {
        self.place_by(position, self.lines.find(position))
    }

    /// The same, with what the line table has for the position; for those who ask for
    /// many, and have read the table.
    pub fn place_by(&self, position: u64, found: Option<CodeLine>) -> (u32, u32) {
        match Positions::from(self.positions) {
            Positions::Bytecode => found.map_or((0, 0), |found| (found.line, found.column)),
            // Within a line, columns are as far apart as characters.
            Positions::Characters => found.map_or((0, 0), |found| {
                let behind = position.checked_sub(found.start.into());
                let behind = behind.and_then(|behind| u32::try_from(behind).ok());
                let column = behind.and_then(|behind| found.column.checked_add(behind));
                (found.line, column.filter(|_| found.column > 0).unwrap_or(0))
            }),
            Positions::Lines => (u32::try_from(position).unwrap_or(0), 0),
            Positions::Unknown => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(positions: Positions) -> CodeObject {
        let line = |start, line, column| CodeLine { start, line, column };
        let lines = LineTable::new(vec![line(4, 10, 5), line(20, 12, 0), line(30, 0, 0)]);
        CodeObject { positions: positions.into(), lines, ..CodeObject::default() }
    }

    #[test]
    fn places() {
        let check = |positions, cases: &[(u64, (u32, u32))]| {
            for &(position, expected) in cases {
                assert_eq!(code(positions).place(position), expected, "{positions:?} {position}");
            }
        };
        let most = u64::MAX;
        let bytecode = [(3, (0, 0)), (4, (10, 5)), (19, (10, 5)), (20, (12, 0)), (most, (0, 0))];
        check(Positions::Bytecode, &bytecode);
        let characters = [(3, (0, 0)), (4, (10, 5)), (19, (10, 20)), (22, (12, 0)), (most, (0, 0))];
        check(Positions::Characters, &characters);
        check(Positions::Lines, &[(0, (0, 0)), (7, (7, 0)), (most, (0, 0))]);
        check(Positions::Unknown, &[(4, (0, 0))]);
    }

    #[test]
    fn what_is_not_known_is_unknown() {
        assert_eq!(Runtime::from(0), Runtime::Unknown);
        assert_eq!(Runtime::from(77), Runtime::Unknown);
        assert_eq!(CodeKind::from(77), CodeKind::Unknown);
        assert_eq!(Positions::from(77), Positions::Unknown);
    }
}
