//! Names the entries of the procedure linkage table, which have no symbols.
//!
//! Each entry jumps through a slot that the dynamic linker fills, and a
//! relocation says which function goes into the slot. Following the jump works
//! for every layout that linkers have come up with (`.plt`, `.plt.sec`,
//! `.plt.got`; lazy, eager, with CET), where counting entries does not.

use object::{Architecture, Object, ObjectSection, ObjectSymbol, ObjectSymbolTable};
use object::{RelocationTarget, SymbolIndex};
use rustc_hash::FxHashMap;

use super::symbols::Symbol;
use super::x86_64;

/// A symbol for each entry, with the name of the function it jumps to.
pub(super) fn plt_symbols<'d>(file: &object::File<'d>) -> Vec<Symbol<'d>> {
    let entries = match file.architecture() {
        Architecture::X86_64 => x86_64::plt::entries,
        _ => return Vec::new(),
    };
    let slots = slot_names(file);
    let mut symbols = Vec::new();
    for name in [".plt", ".plt.sec", ".plt.got"] {
        let Some(section) = file.section_by_name(name) else { continue };
        let Ok(code) = section.data() else { continue };
        let base = section.address();
        for (entry, slot) in entries(code, base) {
            let Some(name) = slots.get(&slot) else { continue };
            let at = |offset: usize| base.wrapping_add(offset as u64);
            symbols.push(Symbol::plt(name, at(entry.start), at(entry.end)));
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
