//! Names the entries of the procedure linkage table, which have no symbols.
//!
//! Each entry jumps through a slot that the dynamic linker fills, and a
//! relocation says which function goes into the slot. Following the jump works
//! for every layout that linkers have come up with (`.plt`, `.plt.sec`,
//! `.plt.got`; lazy, eager, with CET), where counting entries does not.
//! x86-64 only.

use object::{Architecture, Object, ObjectSection, ObjectSymbol, ObjectSymbolTable};
use object::{RelocationTarget, SymbolIndex};
use rustc_hash::FxHashMap;

use super::symbols::Symbol;

/// Longest entry of any layout, in bytes; the shortest has half of that.
const MAX_ENTRY: usize = 16;

/// A symbol for each entry, with the name of the function it jumps to.
pub(super) fn plt_symbols<'d>(file: &object::File<'d>) -> Vec<Symbol<'d>> {
    if file.architecture() != Architecture::X86_64 {
        return Vec::new();
    }
    let slots = slot_names(file);
    let mut symbols = Vec::new();
    for name in [".plt", ".plt.sec", ".plt.got"] {
        let Some(section) = file.section_by_name(name) else { continue };
        let Ok(code) = section.data() else { continue };
        let base = section.address();
        for (entry, slot) in jumps(code, base) {
            let Some(name) = slots.get(&slot) else { continue };
            let end = next_entry(code, entry);
            symbols.push(Symbol::plt(
                name,
                base.wrapping_add(entry as u64),
                base.wrapping_add(end as u64),
            ));
        }
    }
    symbols
}

/// Function names by address of the slot that they are looked up for.
fn slot_names<'d>(file: &object::File<'d>) -> FxHashMap<u64, &'d [u8]> {
    let mut slots = FxHashMap::default();
    let (Some(relocations), Some(symbols)) =
        (file.dynamic_relocations(), file.dynamic_symbol_table())
    else {
        return slots;
    };
    let name = |index: SymbolIndex| symbols.symbol_by_index(index).ok()?.name_bytes().ok();
    for (slot, relocation) in relocations {
        if let RelocationTarget::Symbol(index) = relocation.target()
            && let Some(name) = name(index).filter(|name| !name.is_empty())
        {
            slots.insert(slot, name);
        }
    }
    slots
}

/// The entries that hold `jmp *disp(%rip)`: offset of the entry in `code` and
/// address of the slot. The jump comes first or follows `endbr64` and `bnd`,
/// so it begins in the first 8 bytes of an entry, which are aligned to 8.
fn jumps(code: &[u8], base: u64) -> impl Iterator<Item = (usize, u64)> {
    code.windows(6).enumerate().filter_map(move |(at, bytes)| {
        let [0xff, 0x25, displacement @ ..] = bytes else { return None };
        let displacement = i32::from_le_bytes(displacement.try_into().ok()?);
        let next = base.wrapping_add(at as u64 + 6);
        Some((at & !7, next.wrapping_add_signed(displacement.into())))
    })
}

/// Where the entry at `entry` ends: 8 bytes on if another jump begins there.
fn next_entry(code: &[u8], entry: usize) -> usize {
    let half = entry + MAX_ENTRY / 2;
    let short = code.get(half..half + 2) == Some(&[0xff, 0x25]);
    (if short { half } else { entry + MAX_ENTRY }).min(code.len())
}
