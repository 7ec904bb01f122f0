//! The compilation units of a file: where they are, and which code they are of.

use gimli::{Abbreviation, EntriesRaw, UnitRef};
use gimli::{AttributeValue, DebugArangesOffset, DebugInfoOffset, Dwarf, UnitHeader, UnitType};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::tables::{Tables, check_line_header};
use super::{Failure, Reader, Targets};
use crate::symbolize::budget::{Budget, Meter};

pub(super) type Unit<'d> = gimli::Unit<Reader<'d>>;

/// Units of a file, of which a whole browser has a tenth of a million.
const MAX_UNITS: usize = 2_000_000;

/// The units of one file.
pub(super) struct Units<'d> {
    pub(super) dwarf: Dwarf<Reader<'d>>,
    /// In the order of the file.
    headers: Vec<UnitHeader<Reader<'d>>>,
    tables: Tables,
    /// The units of the file that `dwz` moved shared parts to.
    pub(super) shared: Option<Box<Units<'d>>>,
}

/// That a range of a unit's code has some of the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// Index of the target.
    pub(super) target: usize,
    /// Bytes in the range: of several units, the one with the least is it.
    size: u64,
    /// Index of the unit.
    pub(super) unit: usize,
}

impl<'d> Units<'d> {
    /// Finds the units of `dwarf`, and of the file with parts it shares.
    pub(super) fn new(
        dwarf: Dwarf<Reader<'d>>,
        shared: Option<Dwarf<Reader<'d>>>,
    ) -> Result<Self, Failure> {
        let mut headers = Vec::new();
        let mut all = dwarf.units();
        while let Some(header) = all.next()? {
            if headers.len() == MAX_UNITS {
                return Err(Failure::Cause(format!("it has more than {MAX_UNITS} units")));
            }
            headers.push(header);
        }
        let shared = shared.map(|shared| Units::new(shared, None).map(Box::new)).transpose()?;
        Ok(Units { dwarf, headers, tables: Tables::default(), shared })
    }

    /// Reads a unit's own entry.
    pub(super) fn unit(&self, index: usize) -> Result<Unit<'d>, Failure> {
        let header = self.headers[index];
        let table = self.tables.read(&self.dwarf, header.debug_abbrev_offset())?;
        check_line_header(&self.dwarf, &header, &table)?;
        Ok(Unit::new_with_abbreviations(&self.dwarf, header, table)?)
    }

    /// The units themselves, in the order of the file.
    pub(super) fn headers(&self) -> &[UnitHeader<Reader<'d>>] {
        &self.headers
    }

    /// The unit that holds an offset in the section.
    pub(super) fn index_of(&self, offset: DebugInfoOffset) -> Option<usize> {
        let start = |header: &UnitHeader<_>| header.debug_info_offset();
        let next = self.headers.partition_point(|header| start(header) <= Some(offset));
        let index = next.checked_sub(1)?;
        offset.to_unit_offset(&self.headers[index]).map(|_| index)
    }

    /// Which units may describe each target, best first: sorted by target.
    ///
    /// Only those units are read that `.debug_aranges` says nothing of, and
    /// what they are not needed for is dropped at once.
    pub(super) fn candidates(
        &self,
        targets: &Targets,
        budget: &Budget,
    ) -> (Vec<Candidate>, Option<Failure>) {
        let mut meter = budget.meter();
        let (listed, mut failure) = match self.listed(&mut meter) {
            Ok(listed) => (listed, None),
            Err(failure) => (FxHashMap::default(), Some(failure)),
        };
        drop(meter);
        let of_unit = |index: usize| {
            let mut hits = Hits { targets, unit: index, found: Vec::new(), meter: budget.meter() };
            let result = self.add_ranges(listed.get(&index), &mut hits);
            (hits.finish(), result.err())
        };
        let all: Vec<_> = (0..self.headers.len())
            .into_par_iter()
            .map(of_unit)
            .filter(|(found, failure)| !found.is_empty() || failure.is_some())
            .collect();
        let mut candidates = Vec::with_capacity(targets.len());
        for (found, unit_failure) in all {
            candidates.extend(found);
            failure = failure.or(unit_failure);
        }
        candidates.sort_unstable();
        (candidates, failure)
    }

    /// The sets of ranges in `.debug_aranges`, by unit.
    fn listed(
        &self,
        meter: &mut Meter,
    ) -> Result<FxHashMap<usize, Vec<DebugArangesOffset>>, Failure> {
        let mut listed: FxHashMap<usize, Vec<_>> = FxHashMap::default();
        let mut sets = self.dwarf.debug_aranges.headers();
        while let Some(set) = sets.next()? {
            meter.step()?;
            if let Some(unit) = self.index_of(set.debug_info_offset()) {
                listed.entry(unit).or_default().push(set.offset());
            }
        }
        Ok(listed)
    }

    fn add_ranges(
        &self,
        listed: Option<&Vec<DebugArangesOffset>>,
        hits: &mut Hits,
    ) -> Result<(), Failure> {
        // One unit may take long in places where no steps are counted.
        hits.meter.look()?;
        let header = &self.headers[hits.unit];
        if let UnitType::Type { .. } | UnitType::SplitType { .. } | UnitType::Partial =
            header.type_()
        {
            return Ok(());
        }
        let mut any = false;
        for &set in listed.into_iter().flatten() {
            let mut ranges = self.dwarf.debug_aranges.header(set)?.entries();
            while let Some(range) = ranges.next().transpose() {
                // rustc writes entries that overflow; the others are good.
                let Ok(range) = range else { continue };
                any |= range.length() > 0;
                hits.add(range.range())?;
            }
        }
        if any {
            return Ok(());
        }
        let unit = self.unit(hits.unit)?;
        let unit = unit.unit_ref(&self.dwarf);
        let mut entries = unit.entries_raw(None)?;
        let Some(root) = entries.read_abbreviation()? else { return Ok(()) };
        let ranges = Ranges::read(&mut entries, root, unit, |_| Ok(()))?;
        ranges.for_each(unit, |range| {
            any |= range.begin < range.end;
            hits.add(range)
        })?;
        let Some(program) = unit.line_program.clone().filter(|_| !any) else { return Ok(()) };
        if root.tag() == gimli::DW_TAG_partial_unit {
            return Ok(());
        }
        // The unit does not say, but its lines do.
        let mut rows = program.rows();
        let mut begin = None;
        while let Some((_, row)) = rows.next_row()? {
            hits.meter.step()?;
            let first = *begin.get_or_insert(row.address());
            if row.end_sequence() {
                hits.add(gimli::Range { begin: first, end: row.address() })?;
                begin = None;
            }
        }
        Ok(())
    }
}

/// Collects the targets in a unit's ranges.
struct Hits<'t> {
    targets: &'t Targets,
    unit: usize,
    found: Vec<Candidate>,
    meter: Meter<'t>,
}

impl Hits<'_> {
    fn add(&mut self, range: gimli::Range) -> Result<(), Failure> {
        self.meter.step()?;
        let size = range.end.saturating_sub(range.begin);
        for target in self.targets.within(range) {
            self.meter.step()?;
            self.found.push(Candidate { target, size, unit: self.unit });
        }
        // Ranges that repeat must not add up.
        if self.found.len() > 2 * self.targets.len() {
            self.dedup();
        }
        Ok(())
    }

    fn dedup(&mut self) {
        self.found.sort_unstable();
        self.found.dedup_by_key(|candidate| candidate.target);
    }

    fn finish(mut self) -> Vec<Candidate> {
        self.dedup();
        self.found
    }
}

/// The attributes that say which code an entry is of.
#[derive(Default)]
pub(super) struct Ranges {
    low: Option<u64>,
    high: Option<u64>,
    size: Option<u64>,
    list: Option<gimli::RangeListsOffset>,
}

impl Ranges {
    /// Reads an entry's attributes; those that are about something else go to
    /// `other`.
    pub(super) fn read<'d>(
        entries: &mut EntriesRaw<Reader<'d>>,
        abbreviation: &Abbreviation,
        unit: UnitRef<Reader<'d>>,
        mut other: impl FnMut(gimli::Attribute<Reader<'d>>) -> Result<(), Failure>,
    ) -> Result<Ranges, Failure> {
        let mut ranges = Ranges::default();
        for &specification in abbreviation.attributes() {
            let attribute = entries.read_attribute(specification)?;
            match attribute.name() {
                gimli::DW_AT_low_pc => ranges.low = unit.attr_address(attribute.value())?,
                gimli::DW_AT_high_pc => match attribute.value() {
                    AttributeValue::Udata(size) => ranges.size = Some(size),
                    value => ranges.high = unit.attr_address(value)?,
                },
                gimli::DW_AT_ranges => {
                    ranges.list = unit.attr_ranges_offset(attribute.value())?;
                }
                _ => other(attribute)?,
            }
        }
        Ok(ranges)
    }

    /// Calls `each` with every range; empty ones may be among them.
    pub(super) fn for_each<'d>(
        &self,
        unit: UnitRef<Reader<'d>>,
        mut each: impl FnMut(gimli::Range) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if let Some(list) = self.list {
            let mut ranges = unit.ranges(list)?;
            while let Some(range) = ranges.next()? {
                each(range)?;
            }
            return Ok(());
        }
        let Some(begin) = self.low else { return Ok(()) };
        // What the linker dropped may begin at the end of all addresses.
        let end = self.size.map(|size| begin.wrapping_add(size)).or(self.high);
        end.map_or(Ok(()), |end| each(gimli::Range { begin, end }))
    }
}
