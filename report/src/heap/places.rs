//! Tells which function a site's objects belong to.
//!
//! The innermost function of a stack is often one that every allocation goes
//! through, such as `operator new`. What people look for is the function that
//! called it.

use rustc_hash::FxHashMap;
use rz_convert::heap::{Heap, Sum, Sums};
use rz_convert::profile::{FrameKind, Line, Profile, StackId};

use crate::symbols::{Naming, SymbolId, Symbols};

/// Functions of allocators, by their whole names.
const EXACT: [&str; 21] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "xmalloc",
    "xcalloc",
    "xrealloc",
    "xzalloc",
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
    "__rust_alloc",
    "__rust_alloc_zeroed",
    "__rust_realloc",
    "__rdl_alloc",
    "__rdl_realloc",
];

/// Beginnings of names of functions that only pass allocations on: those of
/// C++'s and Rust's standard libraries.
const BEGINNINGS: [&str; 11] = [
    "operator new",
    "__gnu_cxx::new_allocator<",
    "__gnu_cxx::__alloc_traits<",
    "std::__new_allocator<",
    "std::allocator<",
    "std::allocator_traits<",
    "std::__allocate_guarded<",
    "alloc::alloc::",
    "alloc::raw_vec::",
    "<alloc::alloc::Global as ",
    "<std::alloc::System as ",
];

/// Whether a function only passes allocations on.
pub(crate) fn is_wrapper(name: &str) -> bool {
    // Newer compilers put Rust's into a crate of its own: `__rustc::__rust_alloc`.
    let rust = name.strip_prefix("__rustc").and_then(|rest| rest.split_once("::"));
    let exact = rust.map_or(name, |(_, name)| name);
    let array = BEGINNINGS.iter().any(|start| name.starts_with(start));
    array || EXACT.contains(&exact)
}

/// What the objects of a function that allocated add up to.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The function; `None` where no stack is known.
    pub function: Option<SymbolId>,
    /// Its objects.
    pub sum: Sum,
    /// Its callers, the one with most bytes first.
    pub callers: Vec<SymbolId>,
}

/// Finds the function that allocated for each stack of a profile.
pub(crate) struct Places<'p> {
    profile: &'p Profile,
    pub symbols: Symbols,
    /// The symbol of each function.
    functions: Vec<SymbolId>,
    /// Whether each function is a wrapper.
    wrappers: Vec<bool>,
}

impl<'p> Places<'p> {
    pub fn new(profile: &'p Profile) -> Self {
        let mut symbols = Symbols::default();
        let functions = symbols.intern_functions(profile, Naming::AsRecorded);
        let wrappers = profile.functions.iter().map(|f| is_wrapper(&f.name)).collect();
        Places { profile, symbols, functions, wrappers }
    }

    /// The functions of a stack, innermost first.
    pub fn frames(&self, stack: Option<StackId>) -> impl Iterator<Item = (FrameKind, Line)> {
        let locations = self.profile.locations_of(stack);
        locations.flat_map(|location| location.lines.iter().map(|line| (location.kind, *line)))
    }

    /// The function that allocated and its caller, as far as they are known.
    /// If there are only wrappers, it is the innermost one.
    fn function_and_caller(&self, stack: Option<StackId>) -> [Option<SymbolId>; 2] {
        let named = |kind: &FrameKind| !matches!(kind, FrameKind::Truncated | FrameKind::Lost);
        let mut frames = self.frames(stack).filter(|(kind, _)| named(kind));
        let found = frames.find(|(_, line)| !self.wrappers[line.function]);
        let pair = match found {
            Some((_, line)) => [Some(line), frames.next().map(|(_, line)| line)],
            None => [self.frames(stack).next().map(|(_, line)| line), None],
        };
        pair.map(|line| line.map(|line| self.functions[line.function]))
    }

    /// Objects by the function that allocated them, the most bytes first.
    pub fn by_function(&self, heap: &Heap, of: impl Fn(&Sums) -> Sum) -> Vec<Place> {
        let mut index_of: FxHashMap<Option<SymbolId>, usize> = FxHashMap::default();
        let mut places: Vec<(Place, FxHashMap<SymbolId, f64>)> = Vec::new();
        let mut known: FxHashMap<Option<StackId>, [Option<SymbolId>; 2]> = FxHashMap::default();
        for site in &heap.sites {
            let sum = of(&site.sums);
            if sum.is_zero() {
                continue;
            }
            let found = known.entry(site.stack);
            let [function, caller] = *found.or_insert_with(|| self.function_and_caller(site.stack));
            let index = *index_of.entry(function).or_insert_with(|| {
                let place = Place { function, sum: Sum::default(), callers: Vec::new() };
                places.push((place, FxHashMap::default()));
                places.len() - 1
            });
            let (place, callers) = &mut places[index];
            place.sum.add(&sum);
            if let Some(caller) = caller {
                *callers.entry(caller).or_default() += sum.bytes.value;
            }
        }
        let finish = |(mut place, callers): (Place, FxHashMap<SymbolId, f64>)| {
            let mut callers: Vec<(SymbolId, f64)> = callers.into_iter().collect();
            callers.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            place.callers = callers.into_iter().map(|(caller, _)| caller).collect();
            place
        };
        let mut places: Vec<Place> = places.into_iter().map(finish).collect();
        places.sort_by(|a, b| b.sum.bytes.value.total_cmp(&a.sum.bytes.value));
        places
    }

    /// The name of a function, or that none is known.
    pub fn name(&self, function: Option<SymbolId>) -> &str {
        function.map_or("[no stack]", |id| &self.symbols[id].name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers() {
        let check = |name, expected| assert_eq!(is_wrapper(name), expected, "{name}");
        check("malloc", true);
        check("malloc_info", false);
        check("xmalloc", true);
        check("operator new(unsigned long)", true);
        check("operator new[](unsigned long)", true);
        check("my::operator new(unsigned long)", false);
        check("__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)", true);
        check("std::allocator_traits<std::allocator<int> >::allocate(int)", true);
        check("alloc::alloc::exchange_malloc", true);
        check("alloc::raw_vec::RawVecInner<A>::finish_grow", true);
        check("__rustc::__rust_alloc", true);
        check("__rustc[a1b2c3]::__rdl_alloc", true);
        check("alloc::vec::Vec<T>::push", false);
        check("std::vector<int>::push_back(int const&)", false);
        check("", false);
    }
}
