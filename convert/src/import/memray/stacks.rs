//! Functions, and the stacks that they make.

use std::collections::hash_map::Entry;
use std::io::BufRead;

use rustc_hash::FxHashMap;
use rz_unwind::python_lines::{locations, ranges, starts};

use super::bytes::{Bytes, Stop};
use crate::import::functions::Function;

/// Functions, places in these, and stacks, each, at most.
const MAX_ENTRIES: usize = 1 << 24;
/// Bytes of all functions, at most.
const MAX_CODE_BYTES: usize = 256 << 20;
/// `PY_VERSION_HEX` of the first versions with other tables of lines.
const PYTHON_3_10: u32 = 0x030a_0000;
const PYTHON_3_11: u32 = 0x030b_0000;

/// What is known of a function.
struct Code {
    name: String,
    file: String,
    first_line: u32,
    lines: Box<[u8]>,
}

/// A position in the bytecode of a function.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    code: u64,
    position: i32,
}

/// A place, and the stack of its caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    place: u32,
    caller: u32,
}

/// The number of a stack; 0 is the empty one.
pub(super) type Stack = u32;

#[derive(Default)]
pub(super) struct Stacks {
    codes: FxHashMap<u64, Code>,
    code_bytes: usize,
    first_line: u64,
    places: Vec<Place>,
    place_ids: FxHashMap<Place, u32>,
    /// Number 1 on.
    nodes: Vec<Node>,
    depths: Vec<u32>,
    ids: FxHashMap<Node, Stack>,
}

impl Stacks {
    pub(super) fn read_code(&mut self, bytes: &mut Bytes<impl BufRead>) -> Result<(), Stop> {
        let (id, name, file) = (bytes.varint()?, bytes.text()?, bytes.text()?);
        let first_line = bytes.delta(&mut self.first_line)?.try_into().unwrap_or(0);
        let lines = bytes.table()?;
        self.code_bytes += name.len() + file.len() + lines.len();
        self.codes.insert(id, Code { name, file, first_line, lines });
        if self.code_bytes > MAX_CODE_BYTES || self.codes.len() > MAX_ENTRIES {
            return Err(Stop::Wrong("there are too many functions"));
        }
        Ok(())
    }

    /// Reads a place, and returns its number.
    pub(super) fn read_place(&mut self, bytes: &mut Bytes<impl BufRead>) -> Result<u32, Stop> {
        let (code, position) = (bytes.varint()?, bytes.signed()?);
        let place = Place { code, position: position.try_into().unwrap_or(-1) };
        match self.place_ids.entry(place) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(_) if self.places.len() >= MAX_ENTRIES => {
                Err(Stop::Wrong("there are too many places in functions"))
            }
            Entry::Vacant(entry) => {
                self.places.push(place);
                Ok(*entry.insert(self.places.len() as u32 - 1))
            }
        }
    }

    /// The stack of a place that is known, called from a stack that is known.
    pub(super) fn called(&mut self, place: u32, caller: Stack) -> Result<Stack, Stop> {
        let node = Node { place, caller };
        let depth = self.depth(caller) + 1;
        match self.ids.entry(node) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(_) if self.nodes.len() >= MAX_ENTRIES => {
                Err(Stop::Wrong("there are too many stacks"))
            }
            Entry::Vacant(entry) => {
                self.nodes.push(node);
                self.depths.push(depth);
                Ok(*entry.insert(self.nodes.len() as Stack))
            }
        }
    }

    /// How many functions are in a stack.
    pub(super) fn depth(&self, stack: Stack) -> u32 {
        stack.checked_sub(1).map_or(0, |index| self.depths[index as usize])
    }

    /// The innermost place of a stack that is not empty, and its caller.
    pub(super) fn innermost(&self, stack: Stack) -> (u32, Stack) {
        let Node { place, caller } = self.nodes[stack as usize - 1];
        (place, caller)
    }

    /// What is at a place, as a version of Python tells it.
    pub(super) fn function(&self, place: u32, python: u32) -> Function {
        let Place { code, position } = self.places[place as usize];
        let Some(code) = self.codes.get(&code) else { return Function::default() };
        let (table, first_line) = (&code.lines, code.first_line);
        let position = u32::try_from(position).ok();
        let lines = match python {
            PYTHON_3_11.. => locations(table, first_line),
            PYTHON_3_10.. => ranges(table, first_line),
            _ => starts(table, first_line),
        };
        // Version 3.10 counts instructions, of two bytes each.
        let factor = if (PYTHON_3_10..PYTHON_3_11).contains(&python) { 2 } else { 1 };
        let position = position.map(|position| position.saturating_mul(factor));
        let behind = position.map_or(0, |at| lines.partition_point(|line| line.start <= at));
        let line = behind.checked_sub(1).map_or(0, |index| lines[index].line);
        Function { name: code.name.clone(), file: code.file.clone(), line, ..Function::default() }
    }
}
