//! Tells which function a site's objects belong to.
//!
//! The innermost function of a stack is one that every allocation goes
//! through, such as `operator new`, and below the program's own functions are
//! often those of containers. What people look for is the innermost function
//! that is neither: it called for the memory.

use rustc_hash::FxHashMap;
use rz_profile::heap::{Heap, Sum, Sums};
use rz_profile::model::{FrameKind, Line, Profile, StackId};

use crate::model::calltree::{CallTree, NodeId, NodeKind};
use crate::model::symbols::{SymbolId, Symbols};

/// Functions that only pass allocations on, by their whole names.
const ALLOCATORS: [&str; 24] = [
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
    "g_malloc",
    "g_malloc0",
    "g_realloc",
    "zmalloc",
    "zcalloc",
    "zrealloc",
    "__rust_alloc",
    "__rust_alloc_zeroed",
    "__rust_realloc",
    "__rdl_alloc",
    "__rdl_realloc",
];

/// Where the names of functions of standard libraries begin: C++'s, then
/// Rust's with the crate that its hash tables are from, then what CPython
/// allocates with.
const LIBRARIES: [&str; 14] = [
    "operator new",
    "__gnu_cxx::",
    "__cxa_allocate_",
    // Both C++'s and Rust's.
    "std::",
    "alloc::",
    "core::",
    "hashbrown::",
    "__rustc",
    "PyMem_",
    "_PyMem_",
    "PyObject_Malloc",
    "_PyObject_Malloc",
    "_PyObject_Realloc",
    "_PyObject_Calloc",
];

/// Whose each node's own allocations are: what allocators and standard
/// libraries allocate is their caller's.
pub(crate) fn owners(tree: &CallTree, symbols: &Symbols) -> Vec<NodeId> {
    let mut owners: Vec<NodeId> = Vec::with_capacity(tree.nodes.len());
    // Callers have smaller ids.
    for (id, node) in tree.nodes.iter().enumerate() {
        let has_caller = match tree.nodes[node.parent].kind {
            NodeKind::Frame(kind) => !matches!(kind, FrameKind::Truncated | FrameKind::Lost),
            _ => false,
        };
        let passes_on = has_caller && is_library(&symbols[node.symbol].name);
        owners.push(if passes_on { owners[node.parent] } else { id });
    }
    owners
}

/// Whether a function is of an allocator or a standard library.
fn is_library(name: &str) -> bool {
    let name = without_return_type(name);
    // `<alloc::vec::Vec<T> as Clone>::clone` is of the first type's crate, and
    // `<T as alloc::slice::ToVec>::to_vec`, of any type, of the trait's.
    let path = name.trim_start_matches(['<', '&', '[']);
    let of_trait = path.split_once(" as ").filter(|(of, _)| name.starts_with('<') && of.len() == 1);
    let path = of_trait.map_or(path, |(_, path)| path);
    ALLOCATORS.contains(&name) || LIBRARIES.iter().any(|start| path.starts_with(start))
}

/// The name of an instance of a C++ template without what it returns, as in
/// `void std::vector<int>::assign<int*>(int*, int*)`.
fn without_return_type(name: &str) -> &str {
    if name.starts_with("operator ") || name.starts_with('<') {
        return name;
    }
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in name.char_indices() {
        match c {
            // Parameters follow a name; other parentheses are part of one.
            '(' if depth == 0 && at > start && !name[..at].ends_with("::") => break,
            '<' | '(' | '[' | '{' => depth += 1,
            '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => {
                // Names of operators have spaces in them.
                if name[start..at].ends_with("operator") {
                    break;
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    &name[start..]
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
    /// Whether each function is of a library.
    libraries: Vec<bool>,
}

impl<'p> Places<'p> {
    pub fn new(profile: &'p Profile) -> Self {
        let mut symbols = Symbols::default();
        let functions = symbols.intern_functions(profile);
        let libraries = profile.functions.iter().map(|f| is_library(&f.name)).collect();
        Places { profile, symbols, functions, libraries }
    }

    /// The functions of a stack, leaf first.
    pub fn frames(&self, stack: Option<StackId>) -> impl Iterator<Item = (FrameKind, Line)> {
        let locations = self.profile.locations_of(stack);
        locations.flat_map(|location| location.lines.iter().map(|line| (location.kind, *line)))
    }

    /// The function that called for the memory and its caller, as far as they
    /// are known. If all are of libraries, it is the outermost one.
    fn function_and_caller(&self, stack: Option<StackId>) -> [Option<SymbolId>; 2] {
        let named = |kind: FrameKind| !matches!(kind, FrameKind::Truncated | FrameKind::Lost);
        let mut frames = self.frames(stack).filter(|&(kind, _)| named(kind));
        let mut last = None;
        let found = frames.find(|&(_, line)| {
            last = Some(line);
            !self.libraries[line.function]
        });
        let caller = found.and_then(|_| frames.next()).map(|(_, line)| line);
        [last, caller].map(|line| line.map(|line| self.functions[line.function]))
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
    fn libraries() {
        let check = |name, expected| assert_eq!(is_library(name), expected, "{name}");
        check("malloc", true);
        check("malloc_info", false);
        check("xmalloc", true);
        check("_PyObject_Malloc", true);
        check("PyObject_Str", false);
        check("operator new(unsigned long)", true);
        check("operator new[](unsigned long)", true);
        check("my::operator new(unsigned long)", false);
        check("__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)", true);
        check("std::vector<int>::push_back(int const&)", true);
        check("void std::vector<a::b>::_M_realloc_insert<c d>(int)", true);
        check("std::pair<int, int>* std::_Rb_tree<int>::_M_create_node<int&>(int&)", true);
        check("std::string app::join<int>(std::string)", false);
        check("std::string (anonymous namespace)::join<int>(std::string)", false);
        check("app::list::operator std::string() const", false);
        check("alloc::raw_vec::RawVecInner<A>::finish_grow", true);
        check("<alloc::vec::Vec<T> as core::clone::Clone>::clone", true);
        check("<app::Row as core::clone::Clone>::clone", false);
        check("<T as alloc::slice::<impl [T]>::to_vec_in::ConvertVec>::to_vec", true);
        check("<T as app::Load>::load", false);
        check("app::alloc::arena", false);
        check("__rustc::__rust_alloc", true);
        check("__rustc[a1b2c3]::__rdl_alloc", true);
        check("stdlib_init", false);
        check("", false);
    }
}
