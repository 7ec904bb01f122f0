//! The addresses to look up.

use std::ops::Range;

/// Addresses (SVMA), ascending. A target is named by its index.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    addresses: Vec<u64>,
    /// Code begins here.
    lowest: u64,
}

impl Targets {
    /// Addresses that are ascending. No code is below `lowest`: the linker
    /// leaves ranges there of code that it dropped.
    pub(crate) fn new(addresses: Vec<u64>, lowest: u64) -> Self {
        debug_assert!(addresses.is_sorted());
        Targets { addresses, lowest }
    }

    /// Some of these targets, which are ascending.
    pub(super) fn select(&self, targets: &[usize]) -> Self {
        let addresses = targets.iter().map(|&target| self.addresses[target]).collect();
        Targets { addresses, lowest: self.lowest }
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// The address of a target.
    pub(super) fn address(&self, target: usize) -> u64 {
        self.addresses[target]
    }

    /// The first target at or behind an address.
    pub(super) fn first_from(&self, address: u64) -> usize {
        self.addresses.partition_point(|&target| target < address)
    }

    /// The first target that code which begins at an address can have; their
    /// number if it was dropped.
    pub(super) fn first_of_sequence(&self, address: u64) -> usize {
        if address < self.lowest { self.len() } else { self.first_from(address) }
    }

    /// The targets in a range of addresses; none if it is of dropped code.
    pub(super) fn within(&self, range: gimli::Range) -> Range<usize> {
        if range.begin < self.lowest || range.begin >= range.end {
            return 0..0;
        }
        self.first_from(range.begin)..self.first_from(range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_in_ranges() {
        let targets = Targets::new(vec![10, 20, 20, 30], 5);
        let check = |begin, end, expected: Range<usize>| {
            assert_eq!(targets.within(gimli::Range { begin, end }), expected, "{begin}..{end}");
        };
        check(10, 20, 0..1);
        check(11, 31, 1..4);
        check(31, 50, 4..4);
        check(4, 50, 0..0);
        check(30, 10, 0..0);
        assert_eq!([4, 5, 30].map(|start| targets.first_of_sequence(start)), [4, 0, 3]);
        let some = targets.select(&[1, 3]);
        assert_eq!((some.len(), some.address(1), some.first_from(30)), (2, 30, 1));
    }
}
