//! Addresses of objects as references to earlier rows of the same block.
//!
//! An object that is freed has been allocated before, and an allocator
//! mostly gives out what it got back last, or else what comes next in memory.
//! Said that way, an address takes some bits, where it would take most of the
//! room otherwise.

use rustc_hash::FxHashMap;

use super::Allocation;
use crate::error::FormatError;
use crate::varint::{unzigzag, zigzag};

/// How far down a list of freed objects an address is looked for.
const MAX_DEPTH: usize = 64;
/// Objects whose sizes are the same in units of so many bytes are in one list.
const SIZE_UNIT: u64 = 16;

/// The least that an object takes.
const MIN_UNITS: u64 = 2;

/// Objects freed, by size, the last one at the end.
type Freed = FxHashMap<u64, Vec<u64>>;

/// Objects of about the same size.
fn size_list(size: u64) -> u64 {
    size.saturating_add(8).div_ceil(SIZE_UNIT)
}

/// Where the next object may be.
fn end(row: &Allocation) -> u64 {
    let units = if row.kind.is_free() { 0 } else { size_list(row.size).max(MIN_UNITS) };
    row.address.wrapping_add(units.wrapping_mul(SIZE_UNIT))
}

/// What to write as the addresses of `rows`: how far those without a reference
/// are from the end of the one before.
pub(crate) fn distances(rows: &[Allocation], references: &[u64]) -> Vec<u64> {
    let mut expected = 0;
    let mut distance = |(row, &reference): (&Allocation, &u64)| {
        if reference > 0 {
            return 0;
        }
        let expected = std::mem::replace(&mut expected, end(row));
        zigzag(row.address.wrapping_sub(expected))
    };
    rows.iter().zip(references).map(&mut distance).collect()
}

/// References for `rows`, one each. 0 stands for none: the address has to be
/// written.
pub(crate) fn references(rows: &[Allocation]) -> Vec<u64> {
    // Address to number of allocation, and the list that the object belongs to.
    let mut live: FxHashMap<u64, (u64, u64)> = FxHashMap::default();
    let mut freed = Freed::default();
    let mut allocated = 0;
    let mut reference = |row: &Allocation| {
        if row.kind.is_free() {
            let Some((number, list)) = live.remove(&row.address) else { return 0 };
            freed.entry(list).or_default().push(row.address);
            return allocated - number;
        }
        let list = size_list(row.size);
        live.insert(row.address, (allocated, list));
        allocated += 1;
        let objects = freed.entry(list).or_default();
        let deepest = objects.len().saturating_sub(MAX_DEPTH);
        match objects[deepest..].iter().rposition(|address| *address == row.address) {
            Some(at) => {
                let depth = objects.len() - (deepest + at);
                objects.remove(deepest + at);
                depth as u64
            }
            None => 0,
        }
    };
    rows.iter().map(&mut reference).collect()
}

/// Puts addresses in place of the distances in `rows`.
pub(crate) fn resolve(rows: &mut [Allocation], references: &[u64]) -> Result<(), FormatError> {
    // Address and list of each allocation.
    let mut allocated: Vec<(u64, u64)> = Vec::new();
    let mut freed = Freed::default();
    let mut expected = 0u64;
    for (row, &reference) in rows.iter_mut().zip(references) {
        if reference == 0 {
            row.address = expected.wrapping_add(unzigzag(row.address));
            expected = end(row);
        }
        let invalid = || FormatError::InvalidValue { what: "reference", value: reference };
        // As far from the end of a list.
        let index = |length: usize| {
            let reference = usize::try_from(reference).map_err(|_| invalid())?;
            length.checked_sub(reference).ok_or_else(invalid)
        };
        if row.kind.is_free() {
            if reference > 0 {
                let (address, list) = allocated[index(allocated.len())?];
                row.address = address;
                freed.entry(list).or_default().push(address);
            }
            continue;
        }
        let list = size_list(row.size);
        if reference > 0 {
            let objects = freed.get_mut(&list).ok_or_else(invalid)?;
            let at = index(objects.len())?;
            if objects.len() - at > MAX_DEPTH {
                return Err(invalid());
            }
            row.address = objects.remove(at);
        }
        allocated.push((row.address, list));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocations::AllocationKind::{self, Free, Malloc};

    fn row(kind: AllocationKind, address: u64, size: u64) -> Allocation {
        Allocation { kind, address, size, ..Allocation::default() }
    }

    #[track_caller]
    fn check(rows: &[Allocation], expected: &[u64]) {
        let found = references(rows);
        assert_eq!(found, expected);
        let mut bare: Vec<Allocation> = rows.to_vec();
        for (row, distance) in bare.iter_mut().zip(distances(rows, &found)) {
            row.address = distance;
        }
        resolve(&mut bare, &found).unwrap();
        assert_eq!(bare, rows);
    }

    #[test]
    fn what_is_freed_comes_again() {
        let pair = [row(Malloc, 0x10, 20), row(Free, 0x10, 0)];
        check(&[pair, pair].concat(), &[0, 1, 1, 1]);
        // The second last one that was freed; sizes are about the same.
        let rows = [
            row(Malloc, 0x10, 20),
            row(Malloc, 0x40, 21),
            row(Free, 0x10, 0),
            row(Free, 0x40, 0),
            row(Malloc, 0x10, 22),
            row(Malloc, 0x40, 100),
        ];
        check(&rows, &[0, 0, 2, 1, 2, 0]);
    }

    #[test]
    fn what_comes_next() {
        let rows = [row(Malloc, 0x40, 24), row(Malloc, 0x60, 25), row(Free, 0x40, 0)];
        check(&rows, &[0, 0, 2]);
        assert_eq!(distances(&rows, &[0, 0, 2]), [0x80, 0, 0]);
        assert_eq!(distances(&rows, &[0; 3]), [0x80, 0, zigzag(0x40u64.wrapping_sub(0x90))]);
    }

    #[test]
    fn what_was_not_there_before() {
        check(&[row(Free, 0x10, 0), row(Malloc, 0x10, 1), row(Malloc, 0x10, 1)], &[0, 0, 0]);
        check(&[row(Malloc, 5, u64::MAX), row(Free, 5, 0), row(Free, 5, 0)], &[0, 1, 0]);
    }

    #[test]
    fn references_to_nowhere() {
        let bad = |rows: &mut [Allocation], references: &[u64]| {
            assert!(resolve(rows, references).is_err(), "{references:?}");
        };
        bad(&mut [row(Free, 0, 0)], &[1]);
        bad(&mut [row(Malloc, 0, 8)], &[1]);
        bad(&mut [row(Malloc, 0, 8), row(Free, 0, 0)], &[0, u64::MAX]);
        bad(&mut [row(Malloc, 1, 8), row(Free, 0, 0), row(Malloc, 0, 8)], &[0, 1, 2]);
        // Deeper than any writer looks.
        let objects = MAX_DEPTH + 1;
        let mut rows = vec![row(Malloc, 1, 8); objects];
        rows.extend(vec![row(Free, 0, 0); objects]);
        rows.push(row(Malloc, 0, 8));
        let references = |last: usize| {
            let mut references: Vec<u64> = vec![0; objects];
            references.extend(1..=objects as u64);
            references.push(last as u64);
            references
        };
        assert!(resolve(&mut rows.clone(), &references(MAX_DEPTH)).is_ok());
        bad(&mut rows, &references(MAX_DEPTH + 1));
    }
}
