//! Finds functions in the libraries of the process, as `dlsym` does with
//! `RTLD_NEXT`.
//!
//! `dlsym` itself will not do: it allocates, and it moved between libraries
//! with glibc 2.34. The lists and tables that are read here belong to the
//! interface of debuggers and to the ELF specification, and do not change.

use core::ffi::CStr;

use crate::arch;

/// What the loader tells debuggers: `struct r_debug`.
#[repr(C)]
struct Debug {
    version: i32,
    map: *const LinkMap,
}

/// A loaded object: `struct link_map`.
#[repr(C)]
pub(crate) struct LinkMap {
    pub(crate) base: usize,
    name: *const libc::c_char,
    dynamic: *const Dynamic,
    next: *const LinkMap,
}

#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: u64,
}

const DT_NULL: i64 = 0;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_GNU_HASH: i64 = 0x6fff_fef5;
const DT_VERSYM: i64 = 0x6fff_fff0;
/// A version that only those get who ask for it.
const HIDDEN: u16 = 0x8000;
const STT_TLS: u8 = 6;
const STT_GNU_IFUNC: u8 = 10;

/// The function of that name in the objects that come after this library.
pub(crate) fn next(name: &CStr) -> Option<*mut ()> {
    let mut objects = objects(always);
    objects.find(|object| object.is_own())?;
    objects.find_map(|object| Tables::of(object)?.find(name))
}

/// Whether the program gets this library's function of that name.
pub(crate) fn is_first(name: &CStr) -> bool {
    let has_it = |object: &&LinkMap| Tables::of(object).is_some_and(|it| it.find(name).is_some());
    objects(always).find(has_it).is_some_and(LinkMap::is_own)
}

/// The name by which this library was loaded.
pub(crate) fn own_name() -> Option<&'static CStr> {
    let own = objects(always).find(|object| object.is_own())?;
    // SAFETY: the loader's names are strings, and stay with their objects.
    (!own.name.is_null()).then(|| unsafe { CStr::from_ptr(own.name) })
}

impl LinkMap {
    /// Whether it is this library.
    fn is_own(&self) -> bool {
        self.dynamic == arch::own_dynamic()
    }
}

/// All objects, the program first, then libraries as they are searched. Ends
/// at an entry which `is_there` says is not.
pub(crate) fn objects(is_there: fn(usize) -> bool) -> impl Iterator<Item = &'static LinkMap> {
    // SAFETY: the loader sets it up before it calls anybody.
    let debug = unsafe { arch::debug::<Debug>().as_ref() };
    let mut next = debug.map_or(core::ptr::null(), |debug| debug.map);
    core::iter::from_fn(move || {
        if next.is_null() || !is_there(next as usize) {
            return None;
        }
        // SAFETY: the list starts with what the program started with, which
        // stays; that others do is for the caller to know.
        let this = unsafe { &*next };
        next = this.next;
        Some(this)
    })
}

/// For who looks for what the program started with.
fn always(_: usize) -> bool {
    true
}

/// Where an object's symbols are.
struct Tables {
    base: usize,
    symbols: *const Symbol,
    strings: *const u8,
    hash: *const u32,
    versions: *const u16,
}

impl Tables {
    fn of(object: &LinkMap) -> Option<Self> {
        let mut tables = Tables {
            base: object.base,
            symbols: core::ptr::null(),
            strings: core::ptr::null(),
            hash: core::ptr::null(),
            versions: core::ptr::null(),
        };
        let mut at = object.dynamic;
        // SAFETY: the dynamic section is a list that ends with DT_NULL.
        while let Some(Dynamic { tag, value }) = unsafe { at.as_ref() } {
            // The loader adds the base in place, but not in the kernel's object.
            let address = if *value < object.base { *value + object.base } else { *value };
            match *tag {
                DT_NULL => break,
                DT_SYMTAB => tables.symbols = address as *const _,
                DT_STRTAB => tables.strings = address as *const _,
                DT_GNU_HASH => tables.hash = address as *const _,
                DT_VERSYM => tables.versions = address as *const _,
                _ => {}
            }
            at = at.wrapping_add(1);
        }
        let is_complete = [tables.symbols as usize, tables.strings as usize, tables.hash as usize];
        is_complete.iter().all(|table| *table != 0).then_some(tables)
    }

    /// Looks a name up in the hash table: four words of header, the bloom
    /// filter in words of 64 bits, buckets, and for each symbol its hash, of
    /// which the lowest bit is set in the last one of a bucket.
    fn find(&self, name: &CStr) -> Option<*mut ()> {
        let name = name.to_bytes_with_nul();
        let (_, letters) = name.split_last()?;
        let hash = letters
            .iter()
            .fold(5381_u32, |hash, letter| hash.wrapping_mul(33).wrapping_add(u32::from(*letter)));
        // SAFETY: the table's header.
        let word = |index: u32| unsafe { *self.hash.wrapping_add(index as usize) };
        let (buckets, first, filter) = (word(0), word(1), word(2));
        let chains = 4 + 2 * filter + buckets;
        let mut index = word(4 + 2 * filter + hash.checked_rem(buckets)?);
        if index < first {
            return None;
        }
        loop {
            let other = word(chains + index - first);
            if (other | 1) == (hash | 1)
                && let Some(found) = self.check(index as usize, name)
            {
                return Some(found);
            }
            if other & 1 != 0 {
                return None;
            }
            index += 1;
        }
    }

    fn check(&self, index: usize, name: &[u8]) -> Option<*mut ()> {
        // SAFETY: the hash table only names symbols that there are.
        let symbol = unsafe { &*self.symbols.wrapping_add(index) };
        if !self.versions.is_null() {
            // SAFETY: it has as many entries.
            let version = unsafe { *self.versions.wrapping_add(index) };
            if version & HIDDEN != 0 {
                return None;
            }
        }
        let kind = symbol.info & 15;
        if symbol.section == 0 || symbol.value == 0 || kind == STT_TLS {
            return None;
        }
        let text = self.strings.wrapping_add(symbol.name as usize);
        let same = name.iter().enumerate().all(|(at, letter)| {
            // SAFETY: the text ends with 0, as does the name, and all letters
            // before this one were the same.
            unsafe { *text.wrapping_add(at) == *letter }
        });
        if !same {
            return None;
        }
        let address = self.base.wrapping_add(symbol.value) as *mut ();
        if kind != STT_GNU_IFUNC {
            return Some(address);
        }
        // SAFETY: what such a symbol names is a function that chooses one.
        let choose: extern "C" fn() -> *mut () = unsafe { core::mem::transmute(address) };
        let chosen = choose();
        (!chosen.is_null()).then_some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_name() {
        let found = next(c"getpid").unwrap();
        // SAFETY: that is what getpid is.
        let getpid: extern "C" fn() -> i32 = unsafe { core::mem::transmute(found) };
        assert_eq!(getpid() as u32, std::process::id());
        // Chosen when the program starts.
        assert!(next(c"strlen").is_some());
        assert_eq!(next(c"no_such_function"), None);
        assert!(!is_first(c"getpid"));
    }
}
