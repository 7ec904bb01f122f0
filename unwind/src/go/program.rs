//! A file's functions of Go, for unwinding.

use object::ReadRef;
use rustc_hash::FxHashMap;

use super::locate::locate;
use super::rules::Rule;
use super::table::Table;
use crate::arch::{StackMove, stack_moves};

/// Longest function whose instructions are looked at. Those of the runtime that go
/// over to another stack have some hundred bytes.
const MAX_CODE: u64 = 4 << 10;
/// Most such functions; there are a dozen.
const MAX_MOVING: usize = 256;

/// The table of a file, and what it does not say.
#[derive(Debug)]
pub(crate) struct Program {
    table: Vec<u8>,
    text_svma: u64,
    /// How functions go over to another stack, by where they begin.
    moves: FxHashMap<u64, Vec<StackMove>>,
}

impl Program {
    /// Reads a file; `None` if there is nothing of Go in it. `file_offset` says where
    /// in the file an address is.
    pub(crate) fn read<'d, R: ReadRef<'d>>(
        data: R,
        file_offset: impl Fn(u64) -> Option<u64>,
    ) -> Option<Self> {
        let located = locate(data)?;
        let content = data.read_bytes_at(located.file_offset, located.length).ok()?;
        let table = Table::parse(content, located.text_svma)?;
        let moving = table.functions().filter(|function| function.writes_stack_pointer());
        let mut moves = FxHashMap::default();
        for function in moving.take(MAX_MOVING) {
            let length = (function.end - function.start).min(MAX_CODE);
            let code = file_offset(function.start).map(|at| data.read_bytes_at(at, length));
            let Some(Ok(code)) = code else { continue };
            moves.insert(function.start, stack_moves(code));
        }
        Some(Program { table: content.to_vec(), text_svma: located.text_svma, moves })
    }

    /// The rule for an address, if a function of Go is there.
    pub(crate) fn rule(&self, svma: u64) -> Option<Rule> {
        let table = Table::parse(&self.table, self.text_svma)?;
        // What signal handlers return to has called nothing: the byte before it is
        // another function's.
        let next = svma.checked_add(1).and_then(|next| table.find(next));
        if next.is_some_and(|next| next.start > svma && Rule::is_signal(&next)) {
            return Some(Rule::Signal);
        }
        let function = table.find(svma)?;
        let moves = self.moves.get(&function.start).map_or(&[][..], Vec::as_slice);
        Some(Rule::new(&function, moves, svma))
    }
}
