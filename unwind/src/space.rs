//! The executable mappings of one process, by address.

use std::ops::Range;

/// A piece of an address space and what it shows.
pub trait Extent: Clone + PartialEq {
    /// Its addresses.
    fn range(&self) -> Range<u64>;

    /// The part of it at these addresses, which are among its own.
    fn part(&self, range: Range<u64>) -> Self;
}

/// A mapping and what became of looking at its file.
#[derive(Debug, Clone)]
pub struct Mapping<E> {
    /// Where it is and which file it shows.
    pub entry: E,
    /// Number of the module, once an address in it has been looked up.
    pub module: Option<u32>,
    /// Whether it was [found](AddressSpace::fill), and nobody told of it yet.
    is_untold: bool,
}

/// Executable mappings without overlaps, sorted by address.
#[derive(Debug, Clone)]
pub struct AddressSpace<E> {
    mappings: Vec<Mapping<E>>,
    /// Where the last address was found: the next one is often close by.
    last: usize,
}

impl<E> Default for AddressSpace<E> {
    fn default() -> Self {
        AddressSpace { mappings: Vec::new(), last: 0 }
    }
}

impl<E: Extent> AddressSpace<E> {
    /// Adds a mapping over whatever was there. Returns whether that is news:
    /// to be told of a mapping again is common while attaching.
    pub fn insert(&mut self, entry: E) -> bool {
        self.insert_mapping(Mapping { entry, module: None, is_untold: false })
    }

    fn insert_mapping(&mut self, mapping: Mapping<E>) -> bool {
        let Range { start, end } = mapping.entry.range();
        if start >= end {
            return false;
        }
        if let Some(known) = self.find_mut(start).filter(|known| known.entry == mapping.entry) {
            return std::mem::take(&mut known.is_untold);
        }
        let first = self.mappings.partition_point(|m| m.entry.range().end <= start);
        let after = self.mappings.partition_point(|m| m.entry.range().start < end);
        let piece =
            |old: &Mapping<E>, range| Mapping { entry: old.entry.part(range), ..old.clone() };
        let covered = &self.mappings[first..after];
        let mut pieces = Vec::new();
        for old in covered.iter().filter(|old| old.entry.range().start < start) {
            pieces.push(piece(old, old.entry.range().start..start));
        }
        pieces.push(mapping);
        for old in covered.iter().filter(|old| old.entry.range().end > end) {
            pieces.push(piece(old, end..old.entry.range().end));
        }
        self.mappings.splice(first..after, pieces);
        true
    }

    /// Adds a mapping that was found, and may still be told of, where there is
    /// none.
    pub fn fill(&mut self, entry: E) {
        let Range { start, end } = entry.range();
        let first = self.mappings.partition_point(|m| m.entry.range().end <= start);
        if self.mappings.get(first).is_none_or(|next| next.entry.range().start >= end) {
            self.insert_mapping(Mapping { entry, module: None, is_untold: true });
        }
    }

    /// Whether a mapping holds `address`.
    pub fn holds(&mut self, address: u64) -> bool {
        self.find_mut(address).is_some()
    }

    /// All of them.
    pub fn mappings(&self) -> &[Mapping<E>] {
        &self.mappings
    }

    /// The mapping that holds `address`.
    pub fn find_mut(&mut self, address: u64) -> Option<&mut Mapping<E>> {
        let holds = |m: &Mapping<E>| m.entry.range().contains(&address);
        if !self.mappings.get(self.last).is_some_and(holds) {
            let after = self.mappings.partition_point(|m| m.entry.range().start <= address);
            self.last = after.checked_sub(1)?;
        }
        self.mappings.get_mut(self.last).filter(|m| holds(m))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Entry {
        start: u64,
        end: u64,
        file_offset: u64,
        path: &'static str,
    }

    impl Extent for Entry {
        fn range(&self) -> Range<u64> {
            self.start..self.end
        }

        fn part(&self, Range { start, end }: Range<u64>) -> Self {
            let file_offset = self.file_offset + (start - self.start);
            Entry { start, end, file_offset, ..*self }
        }
    }

    fn entry(start: u64, end: u64, file_offset: u64, path: &'static str) -> Entry {
        Entry { start, end, file_offset, path }
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
        space.find_mut(450).unwrap().module = Some(3);
        assert!(space.insert(entry(400, 500, 0, "free")), "found, but not told of");
        assert_eq!(space.find_mut(450).unwrap().module, Some(3));
        assert!(!space.insert(entry(400, 500, 0, "free")), "told of");
    }
}
