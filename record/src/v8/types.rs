//! The types of objects by their maps, which are asked for again and again.

use rustc_hash::FxHashMap;

use crate::code_objects::Memory;

use super::engine::{MAX_KNOWN, OBJECT_STAYS_NS};
use super::heap::Heap;

/// The type of the objects that a map is of, if it can be read, and when it was looked
/// at.
#[derive(Debug, Clone, Default)]
pub(super) struct Types(FxHashMap<u64, (Option<u16>, u64)>);

impl Types {
    /// The type of a map's objects.
    pub(super) fn of<M: Memory>(
        &mut self,
        map: u64,
        time_ns: u64,
        heap: &Heap<'_, M>,
    ) -> Option<u16> {
        if let Some((found, looked_ns)) = self.0.get(&map)
            && time_ns.saturating_sub(*looked_ns) < OBJECT_STAYS_NS
        {
            return *found;
        }
        let found = heap.type_of(map);
        if self.0.len() >= MAX_KNOWN {
            self.0.clear();
        }
        self.0.insert(map, (found, time_ns));
        found
    }
}
