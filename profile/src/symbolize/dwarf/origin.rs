//! Finds the names of functions, which may be in another entry, another unit,
//! or the file that units share.

use gimli::{AttributeValue, DebugInfoOffset};
use rustc_hash::FxHashMap;

use super::scopes::Named;
use super::units::{Unit, Units};

/// Entries that may refer to each other until one has a name.
const MAX_HOPS: usize = 16;

/// Other units that are kept in memory.
const MAX_UNITS: usize = 64;

/// Where an entry is: in the shared file or not, and at which offset.
type Place = (bool, usize);

/// Finds names for one unit, and remembers what it has found.
pub(super) struct Origins<'u, 'd> {
    units: &'u Units<'d>,
    home: &'u Unit<'d>,
    names: FxHashMap<Place, Option<&'d [u8]>>,
    others: FxHashMap<(bool, usize), Unit<'d>>,
}

impl<'u, 'd> Origins<'u, 'd> {
    /// Finds names for entries of `home`, which is one of `units`.
    pub(super) fn new(units: &'u Units<'d>, home: &'u Unit<'d>) -> Self {
        let (names, others) = (FxHashMap::default(), FxHashMap::default());
        Origins { units, home, names, others }
    }

    /// The linker's name of a function if it is known, else its plain one.
    pub(super) fn name(&mut self, named: &Named<'d>) -> Option<&'d [u8]> {
        let string = |value| Some(self.units.dwarf.attr_string(self.home, value).ok()?.slice());
        if let Some(name) = named.linkage.and_then(string) {
            return Some(name);
        }
        let plain = named.plain.and_then(string);
        let place = named.origin.and_then(|origin| self.place(origin, false, self.home));
        let Some(place) = place else { return plain };
        let known = match self.names.get(&place) {
            Some(&known) => known,
            None => {
                let found = self.follow(place);
                self.names.insert(place, found);
                found
            }
        };
        known.or(plain)
    }

    /// What an entry, or those that it refers to, call a function.
    fn follow(&mut self, mut place: Place) -> Option<&'d [u8]> {
        let mut plain = None;
        for _ in 0..MAX_HOPS {
            let Some((named, linkage, found)) = self.read(place) else { break };
            if linkage.is_some() {
                return linkage;
            }
            plain = plain.or(found);
            let Some(next) = named else { break };
            place = next;
        }
        plain
    }

    /// The place that the entry at `place` refers to, its linker's name and its
    /// plain name.
    #[expect(clippy::type_complexity, reason = "used once")]
    fn read(
        &mut self,
        place: Place,
    ) -> Option<(Option<Place>, Option<&'d [u8]>, Option<&'d [u8]>)> {
        let (in_shared, offset) = place;
        let units = match in_shared {
            true => self.units.shared.as_deref()?,
            false => self.units,
        };
        let offset = DebugInfoOffset(offset);
        let index = units.index_of(offset)?;
        let is_home = !in_shared
            && units.headers()[index].debug_info_offset() == self.home.header.debug_info_offset();
        if !is_home && !self.others.contains_key(&(in_shared, index)) {
            if self.others.len() == MAX_UNITS {
                self.others.clear();
            }
            let unit = units.unit(index).ok()?;
            self.others.insert((in_shared, index), unit);
        }
        let unit = match is_home {
            true => self.home,
            false => self.others.get(&(in_shared, index))?,
        };
        let mut entries = unit.entries_raw(Some(offset.to_unit_offset(&unit.header)?)).ok()?;
        let abbreviation = entries.read_abbreviation().ok()??;
        let mut named = Named::default();
        for &specification in abbreviation.attributes() {
            named.add(&entries.read_attribute(specification).ok()?);
        }
        let string = |value| Some(units.dwarf.attr_string(unit, value).ok()?.slice());
        let next = named.origin.and_then(|origin| self.place(origin, in_shared, unit));
        Some((next, named.linkage.and_then(string), named.plain.and_then(string)))
    }

    /// The place that an attribute of an entry of `unit` refers to.
    fn place(
        &self,
        origin: AttributeValue<super::Reader<'d>>,
        in_shared: bool,
        unit: &Unit<'d>,
    ) -> Option<Place> {
        match origin {
            AttributeValue::UnitRef(offset) => {
                Some((in_shared, offset.to_debug_info_offset(&unit.header)?.0))
            }
            AttributeValue::DebugInfoRef(offset) => Some((in_shared, offset.0)),
            AttributeValue::DebugInfoRefSup(offset) => Some((true, offset.0)),
            _ => None,
        }
    }
}
