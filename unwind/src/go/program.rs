//! A file's functions of Go, for unwinding.

use object::ReadRef;
use rustc_hash::FxHashMap;
use rz_format::Segment;

use super::locate::locate;
use super::rules::{Kind, Rule};
use super::table::Table;
use super::values::{entries_part, value_at};
use crate::arch::{StackMove, stack_moves};
use crate::segments::file_offset_of;

/// Longest function whose instructions are looked at. Those of the runtime that go
/// over to another stack have some hundred bytes.
const MAX_CODE: u64 = 4 << 10;
/// Most functions that are something else than plain ones. Only assembly has any.
const MAX_SPECIAL: usize = 1024;
/// Most entries that a table of what a function has on the stack may have.
const MAX_ENTRIES: u32 = 1 << 16;
/// Stands for that a function has no table; as in the file's own, none is there.
const NO_TABLE: u32 = 0;

/// What unwinding needs of a file's table, which is kept as long as a recording goes
/// on: names, files and lines are most of the table, and not in it.
#[derive(Debug)]
pub(crate) struct Program {
    text_svma: u64,
    /// Where functions begin, in order, and the last one ends, counted from there.
    starts: Vec<u32>,
    /// Where in `stack_tables` the table of each one is, or [`NO_TABLE`].
    tables_at: Vec<u32>,
    /// What functions have on the stack by instruction, each table once.
    stack_tables: Vec<u8>,
    /// Functions that are no plain ones, by their number.
    special: FxHashMap<usize, Special>,
}

#[derive(Debug)]
struct Special {
    kind: Kind,
    /// How it goes over to another stack.
    moves: Vec<StackMove>,
}

impl Program {
    /// Reads a file with these segments; `None` if there is nothing of Go in it.
    pub(crate) fn read<'d, R: ReadRef<'d>>(data: R, segments: &[Segment]) -> Option<Self> {
        let located = locate(data)?;
        let content = data.read_bytes_at(located.file_offset, located.length).ok()?;
        let code = |svma, length| data.read_bytes_at(file_offset_of(segments, svma)?, length).ok();
        Some(Self::new(&Table::parse(content, located.text_svma)?, code))
    }

    /// Takes what is needed out of a table; `code` has the instructions from an address
    /// on, so many bytes.
    pub(super) fn new<'d>(table: &Table<'_>, code: impl Fn(u64, u64) -> Option<&'d [u8]>) -> Self {
        let mut program = Program {
            text_svma: table.text_svma(),
            starts: Vec::new(),
            tables_at: Vec::new(),
            stack_tables: vec![0],
            special: FxHashMap::default(),
        };
        let mut copied = FxHashMap::default();
        let mut end = 0;
        for function in table.functions() {
            let kept_at = match function.stack_table() {
                Some((offset, table)) => *copied
                    .entry(offset)
                    .or_insert_with(|| program.keep(entries_part(table, MAX_ENTRIES))),
                None => NO_TABLE,
            };
            // Tables that were made to harm us lie in each other, and are longer in all
            // than what they are in. What is behind is not known then.
            let is_harmful = program.stack_tables.len() > table.values_len() + 1;
            if is_harmful || program.special.len() >= MAX_SPECIAL {
                break;
            }
            let kind = Kind::of(&function);
            if kind != Kind::Plain {
                let length = (function.end - function.start).min(MAX_CODE);
                let is_moving = function.writes_stack_pointer();
                let code = is_moving.then(|| code(function.start, length)).flatten();
                let moves = code.map(stack_moves).unwrap_or_default();
                program.special.insert(program.starts.len(), Special { kind, moves });
            }
            program.starts.push((function.start - program.text_svma) as u32);
            program.tables_at.push(kept_at);
            end = (function.end - program.text_svma) as u32;
        }
        program.starts.push(end);
        program.starts.shrink_to_fit();
        program.tables_at.shrink_to_fit();
        program.stack_tables.shrink_to_fit();
        program
    }

    /// Keeps a table of what a function has on the stack, and says where.
    fn keep(&mut self, entries: &[u8]) -> u32 {
        if entries.is_empty() {
            return NO_TABLE;
        }
        let at = self.stack_tables.len() as u32;
        self.stack_tables.extend_from_slice(entries);
        self.stack_tables.push(0);
        at
    }

    /// Where functions begin and end.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let svma = |at: u32| self.text_svma.saturating_add(at.into());
        self.starts.windows(2).map(move |pair| (svma(pair[0]), svma(pair[1])))
    }

    /// The rule for an address, if a function of Go is there.
    pub(crate) fn rule(&self, svma: u64) -> Option<Rule> {
        // What signal handlers return to has called nothing: the byte before it is
        // another function's.
        let next = svma.checked_add(1).and_then(|next| self.find(next));
        let is_signal = |(index, at)| at == 0 && self.kind(index).0 == Kind::SignalReturn;
        if next.is_some_and(is_signal) {
            return Some(Rule::Signal);
        }
        let (index, at) = self.find(svma)?;
        let (kind, moves) = self.kind(index);
        let table_at = self.tables_at[index];
        let table = self.stack_tables.get(table_at as usize..).filter(|_| table_at != NO_TABLE);
        let stack_bytes = |at| {
            let bytes = value_at(table?, at, &mut { MAX_ENTRIES })?;
            u32::try_from(bytes).ok().filter(|bytes| bytes % 8 == 0)
        };
        Some(Rule::new(kind, moves, at, stack_bytes))
    }

    /// The number of the function that holds an address, and where in it that is.
    fn find(&self, svma: u64) -> Option<(usize, u64)> {
        let offset = u32::try_from(svma.checked_sub(self.text_svma)?).ok()?;
        let index = self.starts.partition_point(|start| *start <= offset).checked_sub(1)?;
        (index < self.tables_at.len()).then(|| (index, u64::from(offset - self.starts[index])))
    }

    fn kind(&self, index: usize) -> (Kind, &[StackMove]) {
        self.special
            .get(&index)
            .map_or((Kind::Plain, &[]), |special| (special.kind, special.moves.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TEXT, table, table_with};
    use super::*;

    #[test]
    fn names_are_not_kept() {
        let name = "x".repeat(1 << 20);
        let (table, _) = table(true, &["main.f", &name, "runtime.goexit"], 0);
        let program = Program::new(&Table::parse(&table, TEXT).unwrap(), |_, _| None);
        assert_eq!(program.starts, [0, 0x40, 0x80, 0xc0]);
        // One table for all of them.
        assert_eq!(program.tables_at, [1, 1, 1]);
        assert_eq!(program.stack_tables, [0, 2, 4, 48, 0x3b, 47, 1, 0]);
        assert_eq!(program.special.keys().collect::<Vec<_>>(), [&2]);
        assert_eq!(program.rule(TEXT + 0x44), Some(Rule::Called { size: 32 }));
        assert_eq!(program.rule(TEXT + 0x80), Some(Rule::Root));
        assert_eq!(program.rule(TEXT + 0xc0), None);
        assert_eq!(program.rule(TEXT - 1), None);
    }

    #[test]
    fn tables_in_each_other_are_not_copied_each() {
        let entries = [[2, 1].repeat(500), vec![0]].concat();
        let (table, _) = table_with(true, &["f"; 100], 0, &entries, |index| index * 2);
        let table = Table::parse(&table, TEXT).unwrap();
        let program = Program::new(&table, |_, _| None);
        assert!(program.stack_tables.len() <= 2 * table.values_len(), "each has up to 1000 bytes");
        assert!(program.rule(TEXT).is_some());
        assert_eq!(program.rule(TEXT + 0x40 * 99), None);
    }

    #[test]
    fn behind_too_many_special_functions_nothing_is_known() {
        let (table, _) = table(true, &["runtime.goexit"; MAX_SPECIAL + 1], 0);
        let program = Program::new(&Table::parse(&table, TEXT).unwrap(), |_, _| None);
        let last = TEXT + 0x40 * MAX_SPECIAL as u64;
        assert_eq!(program.rule(last - 1), Some(Rule::Root));
        assert_eq!(program.rule(last), None);
    }

    #[test]
    fn functions_without_a_table_have_no_rule() {
        for entries in [&[2, 0, 0][..], &[0x80; 6]] {
            let (table, _) = table_with(true, &["f", "g"], 0, entries, |_| 0);
            let program = Program::new(&Table::parse(&table, TEXT).unwrap(), |_, _| None);
            assert_eq!(program.rule(TEXT + 1), Some(Rule::Unknown), "{entries:x?}");
        }
    }
}
