//! The executable mappings of one process, by address.

use crate::target::procfs::MapEntry;

/// A mapping and what became of looking at its file.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    /// Where it is and which file it shows.
    pub(crate) entry: MapEntry,
    /// Number of the module, once an address in it has been looked up.
    pub(crate) module: Option<u32>,
}

/// Executable mappings without overlaps, sorted by address.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressSpace {
    mappings: Vec<Mapping>,
    /// Where the last address was found: the next one is often close by.
    last: usize,
}

impl AddressSpace {
    /// Adds a mapping over whatever was there. Returns whether anything
    /// changed: news of a mapping that is known already are common while
    /// attaching.
    pub(crate) fn insert(&mut self, entry: MapEntry) -> bool {
        if entry.start >= entry.end || self.find_mut(entry.start).is_some_and(|m| m.entry == entry)
        {
            return false;
        }
        let first = self.mappings.partition_point(|m| m.entry.end <= entry.start);
        let after = self.mappings.partition_point(|m| m.entry.start < entry.end);
        let mut pieces = Vec::new();
        for old in &self.mappings[first..after] {
            if old.entry.start < entry.start {
                let mut left = old.clone();
                left.entry.end = entry.start;
                pieces.push(left);
            }
        }
        let end = entry.end;
        pieces.push(Mapping { entry, module: None });
        for old in &self.mappings[first..after] {
            if old.entry.end > end {
                let mut right = old.clone();
                let cut = end - old.entry.start;
                right.entry.start = end;
                right.entry.file_offset = old.entry.file_offset.wrapping_add(cut);
                pieces.push(right);
            }
        }
        self.mappings.splice(first..after, pieces);
        true
    }

    /// Adds a mapping where there is none.
    pub(crate) fn fill(&mut self, entry: MapEntry) {
        let first = self.mappings.partition_point(|m| m.entry.end <= entry.start);
        if self.mappings.get(first).is_none_or(|next| next.entry.start >= entry.end) {
            self.insert(entry);
        }
    }

    /// Whether a mapping holds `address`.
    pub(crate) fn holds(&mut self, address: u64) -> bool {
        self.find_mut(address).is_some()
    }

    /// All of them.
    pub(crate) fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The mapping that holds `address`.
    pub(crate) fn find_mut(&mut self, address: u64) -> Option<&mut Mapping> {
        let holds = |m: &Mapping| (m.entry.start..m.entry.end).contains(&address);
        if !self.mappings.get(self.last).is_some_and(holds) {
            let after = self.mappings.partition_point(|m| m.entry.start <= address);
            self.last = after.checked_sub(1)?;
        }
        self.mappings.get_mut(self.last).filter(|m| holds(m))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(start: u64, end: u64, file_offset: u64, path: &str) -> MapEntry {
        MapEntry { start, end, file_offset, path: path.into(), ..MapEntry::default() }
    }

    #[test]
    fn a_new_mapping_cuts_what_it_covers() {
        let mut space = AddressSpace::default();
        assert!(space.insert(entry(100, 200, 0, "a")));
        assert!(!space.insert(entry(100, 200, 0, "a")), "known already");
        assert!(space.insert(entry(300, 400, 0, "b")));
        assert!(space.insert(entry(150, 350, 7, "c")));
        let list: Vec<_> = space
            .mappings
            .iter()
            .map(|m| (m.entry.start, m.entry.end, m.entry.file_offset))
            .collect();
        assert_eq!(list, [(100, 150, 0), (150, 350, 7), (350, 400, 50)]);
        assert!(space.insert(entry(120, 130, 1, "d")));
        let list: Vec<_> = space.mappings.iter().map(|m| (m.entry.start, m.entry.end)).collect();
        assert_eq!(list, [(100, 120), (120, 130), (130, 150), (150, 350), (350, 400)]);
        assert_eq!(space.find_mut(149).unwrap().entry.file_offset, 30);
        assert_eq!(space.find_mut(200).unwrap().entry.path, "c");
        assert!(!space.holds(99));
        assert!(!space.holds(400));
        assert!(!space.insert(entry(5, 5, 0, "empty")));
        space.fill(entry(399, 500, 0, "in the way"));
        space.fill(entry(0, 101, 0, "in the way"));
        space.fill(entry(400, 500, 0, "free"));
        assert_eq!(space.find_mut(450).unwrap().entry.path, "free");
        assert_eq!(space.mappings.len(), 6);
    }
}
