//! Gives equal functions equal ids, within one profile or across two.

use std::ops::{Index, Range};

use rustc_hash::FxHashMap;
use rz_profile::model::Profile;
use serde::Serialize;

/// Index into [`Symbols`].
pub type SymbolId = usize;

/// A function as a report knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Symbol {
    /// The function's name, safe to print.
    #[serde(rename = "function")]
    pub name: String,
    /// Short name of its module, or, of code of a runtime, of its source file;
    /// empty if it has neither.
    pub module: String,
}

/// Every symbol once.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    list: Vec<Symbol>,
    ids: FxHashMap<Symbol, SymbolId>,
}

impl Symbols {
    /// The ids of all of them.
    pub fn ids(&self) -> Range<SymbolId> {
        0..self.list.len()
    }

    /// The id of a symbol, a new one if it was not seen before.
    pub fn intern(&mut self, name: &str, module: &str) -> SymbolId {
        let symbol = Symbol {
            name: crate::model::clean::clean(name).into_owned(),
            module: crate::model::clean::clean(module).into_owned(),
        };
        *self.ids.entry(symbol).or_insert_with_key(|symbol| {
            self.list.push(symbol.clone());
            self.list.len() - 1
        })
    }

    /// The symbol of each function of `profile`, by its name as recorded. For
    /// functions of several recordings, see
    /// [`match_functions`](crate::diff::matching::match_functions).
    pub fn intern_functions(&mut self, profile: &Profile) -> Vec<SymbolId> {
        let functions = profile.functions.iter().enumerate();
        functions.map(|(id, f)| self.intern(&f.name, profile.home_of(id))).collect()
    }
}

impl Index<SymbolId> for Symbols {
    type Output = Symbol;

    fn index(&self, id: SymbolId) -> &Symbol {
        &self.list[id]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_symbols_share_an_id() {
        let mut symbols = Symbols::default();
        let a = symbols.intern("f", "app");
        assert_eq!(symbols.intern("f", "app"), a);
        assert_ne!(symbols.intern("f", "libc"), a);
        assert_eq!(symbols[a].name, "f");
    }
}
