//! The tables that units begin with, which could be made to take much memory:
//! one byte of them becomes a hundred, and many units may use the same bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gimli::{
    Abbreviations, AttributeValue, DebugAbbrev, DebugAbbrevOffset, Dwarf, EndianSlice, Reader as _,
    Section, UnitHeader,
};

use super::{Failure, Reader};

/// Bytes of a table of abbreviations; those of whole browsers have less.
const MAX_ABBREVIATIONS: usize = 1 << 20;

/// Bytes of the header of a line program, which lists the unit's files: about
/// a hundred thousand.
const MAX_LINE_HEADER: usize = 4 << 20;

/// Tables of abbreviations that are kept: units that are beside each other
/// often share one.
const MAX_TABLES: usize = 16;

/// The tables of abbreviations that were used last.
#[derive(Debug, Default)]
pub(super) struct Tables {
    recent: Mutex<VecDeque<(DebugAbbrevOffset, Arc<Abbreviations>)>>,
}

impl Tables {
    /// The table at an offset.
    pub(super) fn read(
        &self,
        dwarf: &Dwarf<Reader>,
        offset: DebugAbbrevOffset,
    ) -> Result<Arc<Abbreviations>, Failure> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, table)) = recent().iter().find(|(known, _)| *known == offset) {
            return Ok(table.clone());
        }
        let section = dwarf.debug_abbrev.reader();
        let bytes = section.slice().get(offset.0..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(MAX_ABBREVIATIONS)];
        let section = DebugAbbrev::from(EndianSlice::new(bytes, section.endian()));
        let table = Arc::new(section.abbreviations(DebugAbbrevOffset(0))?);
        let mut recent = recent();
        recent.truncate(MAX_TABLES - 1);
        recent.push_front((offset, table.clone()));
        Ok(table)
    }
}

/// Fails if a unit's line program has a header that is larger than any.
pub(super) fn check_line_header(
    dwarf: &Dwarf<Reader>,
    unit: &UnitHeader<Reader>,
    table: &Abbreviations,
) -> Result<(), Failure> {
    let mut entries = unit.entries_raw(table, None)?;
    let Some(root) = entries.read_abbreviation()? else { return Ok(()) };
    for &specification in root.attributes() {
        let attribute = entries.read_attribute(specification)?;
        if let (gimli::DW_AT_stmt_list, AttributeValue::DebugLineRef(offset)) =
            (attribute.name(), attribute.value())
        {
            let mut program = *dwarf.debug_line.reader();
            program.skip(offset.0)?;
            let (_, format) = program.read_initial_length()?;
            if program.read_u16()? >= 5 {
                // Sizes of addresses and of segment selectors.
                program.skip(2)?;
            }
            let length = program.read_length(format)?;
            if length > MAX_LINE_HEADER {
                return Err(Failure::Cause(format!("a list of files has {length} bytes")));
            }
        }
    }
    Ok(())
}
