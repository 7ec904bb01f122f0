//! Names of code that were put into the trace, as a table of columns.

use crate::column::{Column, Table, TableWriter, to_u32};
use crate::error::FormatError;
use crate::texts::TextId;
use crate::waits::optional_u32;

/// Most rows in a block of names.
pub const MAX_NAMES: usize = 1 << 17;

/// A function at a frame offset, and the place in its source.
///
/// Several in a row belong to one offset if they are inlined into each other,
/// innermost first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Name {
    /// Id of the module.
    pub module: u32,
    /// Frame offset of the code.
    pub offset: u64,
    /// Time from which on it is that of the code; 0 unless code is generated.
    pub from_ns: u64,
    /// Its address in the numbering of the module's symbol table.
    pub address: u64,
    /// How far it is from the start of the function, if only that is known.
    pub into: u64,
    /// Name for people; `None` if it is not known.
    pub name: Option<TextId>,
    /// The linker's name, if it is another one.
    pub system_name: Option<TextId>,
    /// Source file.
    pub file: Option<TextId>,
    /// Line in that file; 0 if unknown.
    pub line: u32,
    /// Column in that line, from 1; 0 if unknown.
    pub column: u32,
    /// Whether it is inlined into the function of the next row.
    pub inlined: bool,
}

/// Columns of the names table.
pub(crate) mod column {
    use crate::column::{Column, Columns, Encoding::*};

    pub const MODULE: Column = Column::new(0, RunLength);
    pub const OFFSET: Column = Column::new(1, Delta);
    pub const FROM: Column = Column::new(2, RunLength);
    pub const ADDRESS: Column = Column::new(3, RunLength);
    pub const INTO: Column = Column::new(4, RunLength);
    pub const NAME: Column = Column::new(5, Plain);
    pub const SYSTEM_NAME: Column = Column::new(6, Plain);
    pub const FILE: Column = Column::new(7, Plain);
    pub const LINE: Column = Column::new(8, Plain);
    pub const COLUMN: Column = Column::new(9, RunLength);
    pub const INLINED: Column = Column::new(10, RunLength);
    pub const ALL: Columns =
        &[&[MODULE, OFFSET, FROM, ADDRESS, INTO, NAME, SYSTEM_NAME, FILE, LINE, COLUMN, INLINED]];
}

/// The payload of a names block.
pub(crate) fn encode_names(names: &[Name]) -> Vec<u8> {
    let mut table = TableWriter::new(column::ALL, names.len());
    let mut column =
        |column, value: &dyn Fn(&Name) -> u64| table.column(column, names.iter().map(value));
    let optional = |id: Option<u32>| id.map_or(0, |id| u64::from(id) + 1);
    column(column::MODULE, &|n| n.module.into());
    column(column::OFFSET, &|n| n.offset);
    column(column::FROM, &|n| n.from_ns);
    // Constant within a segment.
    column(column::ADDRESS, &|n| n.address.wrapping_sub(n.offset));
    column(column::INTO, &|n| n.into);
    column(column::NAME, &|n| optional(n.name));
    column(column::SYSTEM_NAME, &|n| optional(n.system_name));
    column(column::FILE, &|n| optional(n.file));
    column(column::LINE, &|n| n.line.into());
    column(column::COLUMN, &|n| n.column.into());
    column(column::INLINED, &|n| n.inlined.into());
    table.finish()
}

/// Reads the payload of a names block.
pub(crate) fn decode_names(mut payload: &[u8]) -> Result<Vec<Name>, FormatError> {
    let table = Table::read_at_most(MAX_NAMES, &mut payload)?;
    const COLUMNS: [Column; 11] = [
        column::MODULE,
        column::OFFSET,
        column::FROM,
        column::ADDRESS,
        column::INTO,
        column::NAME,
        column::SYSTEM_NAME,
        column::FILE,
        column::LINE,
        column::COLUMN,
        column::INLINED,
    ];
    table.each_row(
        COLUMNS,
        |[module, offset, from, address, into, name, system_name, file, line, column, inlined]| {
            Ok(Name {
                module: to_u32(module, "module id")?,
                offset,
                from_ns: from,
                address: address.wrapping_add(offset),
                into,
                name: optional_u32(name, "text id")?,
                system_name: optional_u32(system_name, "text id")?,
                file: optional_u32(file, "text id")?,
                line: to_u32(line, "line")?,
                column: to_u32(column, "column")?,
                inlined: inlined != 0,
            })
        },
    )
}

/// Cuts names into parts that fit into a block, none of them between functions
/// that are inlined into each other. One of more rows than fit is cut.
pub(crate) fn blocks(mut names: &[Name]) -> impl Iterator<Item = &[Name]> {
    std::iter::from_fn(move || {
        let most = names.len().min(MAX_NAMES);
        let whole = names[..most].iter().rposition(|name| !name.inlined).map_or(most, |at| at + 1);
        let (block, rest) = names.split_at(whole);
        names = rest;
        (!block.is_empty()).then_some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> impl Strategy<Value = Vec<Name>> {
        let text = || proptest::option::of(0u32..u32::MAX);
        let place = (0u32..9, any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
        let texts = (text(), text(), text(), any::<u32>(), any::<u32>(), any::<bool>());
        let name = (place, texts).prop_map(|(place, texts)| {
            let (module, offset, from_ns, address, into) = place;
            let (name, system_name, file, line, column, inlined) = texts;
            Name {
                module,
                offset,
                from_ns,
                address,
                into,
                name,
                system_name,
                file,
                line,
                column,
                inlined,
            }
        });
        proptest::collection::vec(name, 0..40)
    }

    #[test]
    fn what_is_inlined_stays_in_one_block() {
        let mut names = vec![Name::default(); MAX_NAMES + 5];
        names[MAX_NAMES - 1].inlined = true;
        let lengths: Vec<usize> = blocks(&names).map(<[Name]>::len).collect();
        assert_eq!(lengths, [MAX_NAMES - 1, 6]);
        names.iter_mut().for_each(|name| name.inlined = true);
        let lengths: Vec<usize> = blocks(&names).map(<[Name]>::len).collect();
        assert_eq!(lengths, [MAX_NAMES, 5]);
    }

    proptest! {
        #[test]
        fn round_trips(names in names()) {
            prop_assert_eq!(decode_names(&encode_names(&names)).unwrap(), names);
        }

        #[test]
        fn damage_never_panics(bytes: Vec<u8>) {
            let _ = decode_names(&bytes);
        }
    }
}
