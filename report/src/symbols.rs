//! Gives equal functions equal ids, within one profile or across two.

use std::ops::Index;

use rustc_hash::FxHashMap;
use rz_convert::profile::Profile;

/// Index into [`Symbols`].
pub type SymbolId = usize;

/// A function as a report knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Symbol {
    /// The function's name, safe to print.
    pub name: String,
    /// Short name of its module; empty if it has none.
    pub module: String,
}

/// Every symbol once.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    list: Vec<Symbol>,
    ids: FxHashMap<Symbol, SymbolId>,
}

/// Which names count as the same function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// The names of the profile.
    AsRecorded,
    /// Names without what changes from build to build; see
    /// [`canonical_name`].
    Canonical,
}

impl Symbols {
    /// The id of a symbol, a new one if it was not seen before.
    pub fn intern(&mut self, name: &str, module: &str) -> SymbolId {
        let symbol = Symbol {
            name: crate::format::clean(name).into_owned(),
            module: crate::format::clean(module).into_owned(),
        };
        *self.ids.entry(symbol).or_insert_with_key(|symbol| {
            self.list.push(symbol.clone());
            self.list.len() - 1
        })
    }

    /// The symbol of each function of `profile`.
    pub fn intern_functions(&mut self, profile: &Profile, naming: Naming) -> Vec<SymbolId> {
        let functions = profile.functions.iter();
        functions
            .map(|function| {
                let module = function.module.map_or("", |id| &profile.modules[id].name);
                let name = match naming {
                    Naming::AsRecorded => &function.name,
                    Naming::Canonical => canonical_name(&function.name),
                };
                self.intern(name, module)
            })
            .collect()
    }
}

impl Index<SymbolId> for Symbols {
    type Output = Symbol;

    fn index(&self, id: SymbolId) -> &Symbol {
        &self.list[id]
    }
}

/// `name` without the suffixes that compilers give to copies of a function,
/// which differ from one build to the next: `.cold`, `.constprop.0`,
/// `.llvm.123`, `[clone .isra.0]`, and Rust's `::h0123456789abcdef`.
pub fn canonical_name(name: &str) -> &str {
    const CLONES: [&str; 6] = ["cold", "constprop", "isra", "part", "lto_priv", "llvm"];
    let mut name = name;
    loop {
        let shorter = if let Some((head, clone)) = name.rsplit_once(" [clone ")
            && clone.ends_with(']')
        {
            head
        } else if let Some((head, hash)) = name.rsplit_once("::h")
            && hash.len() == 16
            && hash.bytes().all(|b| b.is_ascii_hexdigit())
        {
            head
        } else if let Some((head, last)) = name.rsplit_once('.') {
            let number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
            let (head, word) = match head.rsplit_once('.') {
                Some((before, word)) if number => (before, word),
                _ => (head, last),
            };
            if !CLONES.contains(&word) {
                return name;
            }
            head
        } else {
            return name;
        };
        if shorter.is_empty() {
            return name;
        }
        name = shorter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_survive_a_rebuild() {
        let check = |name, canonical: &str| assert_eq!(canonical_name(name), canonical);
        check("main", "main");
        check("parse.cold", "parse");
        check("parse.cold.12", "parse");
        check("parse.constprop.0.isra.0", "parse");
        check("foo(int) [clone .isra.0]", "foo(int)");
        check("app::run::h0123456789abcdef", "app::run");
        check("app::run.llvm.17", "app::run");
        check("app::handler", "app::handler");
        check("file.name", "file.name");
        check("v1.2", "v1.2");
        check("[libc.so.6+0x123]", "[libc.so.6+0x123]");
        check(".cold", ".cold");
    }

    #[test]
    fn equal_symbols_share_an_id() {
        let mut symbols = Symbols::default();
        let a = symbols.intern("f", "app");
        assert_eq!(symbols.intern("f", "app"), a);
        assert_ne!(symbols.intern("f", "libc"), a);
        assert_eq!(symbols[a].name, "f");
    }
}
