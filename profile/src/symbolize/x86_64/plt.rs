//! Entries of the procedure linkage table.

use std::ops::Range;

/// Longest entry of any layout, in bytes; the shortest has half of that.
const MAX_ENTRY: usize = 16;

/// The entries that hold `jmp *disp(%rip)`: where in `code` they are, and the
/// address of the slot. The jump comes first or follows `endbr64` and `bnd`,
/// so it begins in the first 8 bytes of an entry, which are aligned to 8.
pub(in crate::symbolize) fn entries(code: &[u8], base: u64) -> Vec<(Range<usize>, u64)> {
    let jumps = code.windows(6).enumerate().filter_map(|(at, bytes)| {
        let [0xff, 0x25, displacement @ ..] = bytes else { return None };
        let displacement = i32::from_le_bytes(displacement.try_into().ok()?);
        let next = base.wrapping_add(at as u64 + 6);
        let entry = at & !7;
        Some((entry..end_of(code, entry), next.wrapping_add_signed(displacement.into())))
    });
    jumps.collect()
}

/// Where the entry at `entry` ends: 8 bytes on if another jump begins there.
fn end_of(code: &[u8], entry: usize) -> usize {
    let half = entry + MAX_ENTRY / 2;
    let short = code.get(half..half + 2) == Some(&[0xff, 0x25]);
    (if short { half } else { entry + MAX_ENTRY }).min(code.len())
}
