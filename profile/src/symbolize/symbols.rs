//! Names addresses by the ELF symbol tables.

use object::elf::{STB_GLOBAL, STB_LOCAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolFlags};
use rustc_hash::FxHashMap;

use super::plt;

/// A named range of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol<'d> {
    /// The linker's name, without a symbol version.
    pub(super) name: &'d [u8],
    /// Address (SVMA) of the first byte.
    pub(super) start: u64,
    /// Address behind the last byte.
    pub(super) end: u64,
    /// How sure its range is, best first.
    pub(super) certainty: Certainty,
    binding: Binding,
}

/// How sure it is that a [`Symbol`] covers its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    /// A symbol with a size.
    Sized,
    /// A linker-made jump to a function of another module; the name is that
    /// function's.
    Plt,
    /// A symbol without a size, as hand-written assembly has: taken to reach
    /// to the next symbol or the end of its section.
    Unsized,
}

/// Visibility of a symbol, the one that is preferred first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Global,
    Weak,
    Local,
}

/// All functions of a module, ready for look-ups by address.
#[derive(Debug, Default)]
pub(super) struct SymbolTable<'d> {
    symbols: Vec<Symbol<'d>>,
    /// Disjoint and ascending: (start, end, index into `symbols`).
    ranges: Vec<(u64, u64, usize)>,
}

impl<'d> SymbolTable<'d> {
    /// Collects the symbols of a binary, its debug file, and what else has
    /// some. What is damaged in them is left out.
    pub(super) fn new(files: [Option<&object::File<'d>>; 3]) -> Self {
        let mut symbols = files[0].map(plt::plt_symbols).unwrap_or_default();
        for file in files.into_iter().flatten() {
            let code = code_sections(file);
            let all = file.symbols().chain(file.dynamic_symbols());
            symbols.extend(all.filter_map(|symbol| function(&symbol, &code)));
        }
        Self::from_symbols(symbols)
    }

    fn from_symbols(mut symbols: Vec<Symbol<'d>>) -> Self {
        symbols.sort_unstable_by(|a, b| (a.start, preference(a)).cmp(&(b.start, preference(b))));
        symbols.dedup_by(|alias, best| {
            let same = alias.start == best.start;
            if same && alias.certainty == best.certainty {
                best.end = best.end.max(alias.end);
            }
            same
        });
        let ranges = disjoint_ranges(&symbols);
        SymbolTable { symbols, ranges }
    }

    /// The symbol that an address belongs to.
    pub(super) fn find(&self, address: u64) -> Option<&Symbol<'d>> {
        let next = self.ranges.partition_point(|&(start, ..)| start <= address);
        let &(_, end, symbol) = self.ranges.get(next.checked_sub(1)?)?;
        (address < end).then_some(&self.symbols[symbol])
    }

    /// Whether the module names none of its own functions.
    pub(super) fn is_empty(&self) -> bool {
        self.symbols.iter().all(|symbol| symbol.certainty == Certainty::Plt)
    }
}

impl<'d> Symbol<'d> {
    /// A linker-made jump to the function `name`.
    pub(super) fn plt(name: &'d [u8], start: u64, end: u64) -> Self {
        Symbol {
            name: unversioned(name),
            start,
            end,
            certainty: Certainty::Plt,
            binding: Binding::Local,
        }
    }
}

/// Address ranges of the sections with code, by section index.
fn code_sections(file: &object::File) -> FxHashMap<usize, (u64, u64)> {
    let is_code = |section: &object::Section| {
        matches!(section.flags(), SectionFlags::Elf { sh_flags, .. }
            if sh_flags.contains(object::elf::SHF_EXECINSTR))
    };
    let range = |section: object::Section| {
        let start = section.address();
        (section.index().0, (start, start.saturating_add(section.size())))
    };
    file.sections().filter(is_code).map(range).collect()
}

/// The symbol, if it names code. Symbols of assembly have no type; among
/// those, local labels and the `$x` marks of some architectures are no names.
fn function<'d>(
    symbol: &object::Symbol<'d, '_>,
    code: &FxHashMap<usize, (u64, u64)>,
) -> Option<Symbol<'d>> {
    let SymbolFlags::Elf { st_info, .. } = symbol.flags() else { return None };
    let (_, section_end) = *code.get(&symbol.section_index()?.0)?;
    let name = unversioned(symbol.name_bytes().ok()?);
    let named = match st_info.st_type() {
        STT_FUNC | STT_GNU_IFUNC => !name.is_empty(),
        STT_NOTYPE => !name.is_empty() && !name.starts_with(b"$") && !name.starts_with(b".L"),
        _ => false,
    };
    let binding = match st_info.st_bind() {
        STB_LOCAL => Binding::Local,
        STB_WEAK => Binding::Weak,
        STB_GLOBAL => Binding::Global,
        // STB_GNU_UNIQUE.
        _ => Binding::Global,
    };
    let start = symbol.address();
    let (certainty, end) = match symbol.size() {
        0 => (Certainty::Unsized, section_end),
        size => (Certainty::Sized, start.saturating_add(size).min(section_end)),
    };
    (named && start < end).then_some(Symbol { name, start, end, certainty, binding })
}

/// `memcpy` of `memcpy@@GLIBC_2.14`.
fn unversioned(name: &[u8]) -> &[u8] {
    match name.iter().position(|&b| b == b'@') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

/// Orders the names of one address, the one to show first. Exported names come
/// before local ones; among exported ones `write` before `__write`, whichever
/// of them the C library happens to call weak.
fn preference<'s>(symbol: &'s Symbol) -> impl Ord + use<'s> {
    let underscores = symbol.name.iter().take_while(|&&b| b == b'_').count();
    // C++ and Rust names all begin with one underscore.
    let underscores = if symbol.name.starts_with(b"_Z") { 0 } else { underscores };
    let local = symbol.binding == Binding::Local;
    (symbol.certainty, local, underscores, symbol.binding, symbol.name.len(), symbol.name)
}

/// Splits overlapping symbols, which are sorted by their start, into disjoint
/// ranges: an address belongs to the symbol that starts last before it and
/// still covers it. A symbol without a size ends where the next begins, and
/// inside another symbol it is a mere label.
fn disjoint_ranges(symbols: &[Symbol]) -> Vec<(u64, u64, usize)> {
    let mut ranges = Vec::with_capacity(symbols.len());
    // Symbols that are open at `done`, the innermost last.
    let mut open: Vec<usize> = Vec::new();
    let mut done = 0;
    let mut close_until = |open: &mut Vec<usize>, limit: u64| {
        while let Some(&symbol) = open.last() {
            let end = symbols[symbol].end.min(limit);
            if end > done {
                ranges.push((done, end, symbol));
                done = end;
            }
            if symbols[symbol].end > limit {
                break;
            }
            open.pop();
        }
        done = done.max(limit);
    };
    for (index, symbol) in symbols.iter().enumerate() {
        close_until(&mut open, symbol.start);
        // Only ever the outermost: inside another symbol it is not pushed.
        open.pop_if(|&mut outer| symbols[outer].certainty == Certainty::Unsized);
        if symbol.certainty == Certainty::Unsized && !open.is_empty() {
            continue;
        }
        open.push(index);
    }
    close_until(&mut open, u64::MAX);
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symbols as `name start+size`; prints the name at each address, `.` for
    /// none.
    fn check(symbols: &[&'static str], expected: &str) {
        let parse = |text: &&'static str| {
            let (name, range) = text.split_once(' ').unwrap();
            let (start, size) = range.split_once('+').unwrap();
            let (start, size) = (start.parse().unwrap(), size.parse::<u64>().unwrap());
            let (certainty, end) = match size {
                0 => (Certainty::Unsized, 10),
                _ => (Certainty::Sized, start + size),
            };
            Symbol { name: name.as_bytes(), start, end, certainty, binding: Binding::Global }
        };
        let table = SymbolTable::from_symbols(symbols.iter().map(parse).collect());
        let name = |address| match table.find(address) {
            Some(symbol) => std::str::from_utf8(symbol.name).unwrap(),
            None => ".",
        };
        assert_eq!((0..12).map(name).collect::<String>(), expected, "{symbols:?}");
    }

    #[test]
    fn each_address_belongs_to_one_symbol() {
        check(&[], "............");
        check(&["a 1+2", "b 5+1"], ".aa..b......");
        check(&["a 1+0", "b 5+1"], ".aaaab......");
        check(&["b 5+1", "a 1+0", "c 7+0"], ".aaaab.ccc..");
        check(&["a 1+8", "b 3+2"], ".aabbaaaa...");
        check(&["a 1+4", "b 3+4"], ".aabbbb.....");
        check(&["a 1+8", "b 2+5", "c 3+1"], ".abcbbbaa...");
        check(&["a 1+8", "b 2+2", "c 3+4"], ".abccccaa...");
        check(&["a 1+4", "b 3+0", "c 6+0"], ".aaaa.cccc..");
        check(&["a 1+2", "b 1+4", "_c 1+6"], ".aaaaaa.....");
        check(&["a 1+0", "b 1+2"], ".bb.........");
    }
}
