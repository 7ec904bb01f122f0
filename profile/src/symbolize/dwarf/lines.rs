//! Finds the source lines of addresses.

use std::sync::Arc;

use gimli::{LineProgramHeader, ReaderOffset, UnitRef};
use rustc_hash::FxHashMap;

use super::units::Unit;
use super::{Failure, Reader, Targets};
use crate::symbolize::budget::Meter;
use crate::symbolize::names::{MAX_NAME, SharedNames};

/// A line of a source file, by the file's index in the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineAt {
    pub(super) file: u64,
    /// 0 if the code is of no line in particular.
    pub(super) line: u32,
}

/// Runs a unit's line program once; the line of each target that it covers.
///
/// Rows are compared with the targets as they come: what a table of all rows
/// would need does not depend on what is asked for.
pub(super) fn find_lines(
    unit: &Unit,
    targets: &Targets,
    meter: &mut Meter,
) -> Result<Vec<Option<LineAt>>, Failure> {
    let mut lines = vec![None; targets.len()];
    let mut missing = targets.len();
    let Some(program) = unit.line_program.clone() else { return Ok(lines) };
    let mut rows = program.rows();
    // The row before, and the first target that is not before it.
    let mut last: Option<(u64, LineAt, usize)> = None;
    while let Some((_, row)) = rows.next_row()? {
        meter.step()?;
        let address = row.address();
        if let Some((from, at, first)) = last.filter(|(from, ..)| *from < address) {
            let mut next = first;
            if first < targets.len() && targets.address(first) < address {
                let covered = targets.within(gimli::Range { begin: from, end: address });
                for target in covered.clone() {
                    meter.step()?;
                    if lines[target].is_none() {
                        lines[target] = Some(at);
                        missing -= 1;
                    }
                }
                next = targets.first_from(address);
                if missing == 0 {
                    break;
                }
            }
            last = Some((address, at, next));
        }
        let line = row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(0));
        let at = LineAt { file: row.file_index(), line };
        last = match last {
            _ if row.end_sequence() => None,
            // Of rows at one address, the last counts; none goes back.
            Some((from, _, first)) => Some((from.max(address), at, first)),
            None => Some((address, at, targets.first_of_sequence(address))),
        };
    }
    Ok(lines)
}

/// The paths of a unit's source files, each made when it is first needed.
pub(super) struct Files<'u, 'd> {
    unit: UnitRef<'u, Reader<'d>>,
    paths: FxHashMap<u64, Option<Arc<str>>>,
}

impl<'u, 'd> Files<'u, 'd> {
    pub(super) fn new(unit: UnitRef<'u, Reader<'d>>) -> Self {
        Files { unit, paths: FxHashMap::default() }
    }

    /// The path of a file; `None` if there is no file of this index.
    pub(super) fn path(&mut self, file: u64, names: &SharedNames) -> Option<Arc<str>> {
        let unit = self.unit;
        let make = || Some(names.file(&file_path(unit, file)?));
        self.paths.entry(file).or_insert_with(make).clone()
    }
}

/// A file's name behind its directory behind the unit's, each of which is left
/// out where the next begins at the root.
fn file_path(unit: UnitRef<Reader>, file: u64) -> Option<String> {
    let header = unit.line_program.as_ref()?.header();
    let mut path = unit.comp_dir.map(|dir| text(&dir)).unwrap_or_default();
    let entry = match header.file(file) {
        Some(entry) => entry,
        // Before DWARF 5, there is no file 0; it is the unit itself.
        None if file == 0 => {
            push(&mut path, &text(&unit.name?));
            return Some(path);
        }
        None => return None,
    };
    if let Some(directory) = directory(header, entry.directory_index()) {
        push(&mut path, &text(&unit.attr_string(directory).ok()?));
    }
    push(&mut path, &text(&unit.attr_string(entry.path_name()).ok()?));
    Some(path)
}

/// Directory 0 is the unit's.
fn directory<'d, O: ReaderOffset>(
    header: &LineProgramHeader<Reader<'d>, O>,
    index: u64,
) -> Option<gimli::AttributeValue<Reader<'d>, O>>
where
    Reader<'d>: gimli::Reader<Offset = O>,
{
    header.directory(index).filter(|_| index != 0)
}

fn text(bytes: &Reader) -> String {
    let bytes = bytes.slice();
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_NAME)]).into_owned()
}

fn push(path: &mut String, part: &str) {
    if part.starts_with('/') {
        path.clear();
    } else if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
}
