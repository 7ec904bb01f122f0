//! Tells which functions of two builds are the same.
//!
//! In a module of which both sides ran the same build, told by its build-id,
//! a function is the one at the same place. In others it is the one of the
//! same [canonical name](canonical_name), and functions without a name, which
//! are known by their addresses only, become one per module. What the sides
//! call differently can be said (`--rename old=new`).
//!
//! What differs but costs what it did is found in [`Findings`]: functions that
//! were probably renamed, were inlined, or are called from elsewhere.

mod bare;
mod canonical;
mod findings;
mod generics;
mod modules;
mod moves;
mod relations;
mod renames;
mod similarity;

use rustc_hash::{FxHashMap, FxHashSet};
use rz_profile::model::{Function, Profile};

use self::bare::BareNames;
use self::canonical::bare_name;
pub use self::canonical::canonical_name;
pub use self::findings::Findings;
use self::generics::{mangling, without_generics};
use self::modules::{MatchedModule, Modules};
pub use self::moves::{Inlining, Moved};
pub use self::relations::ScaledTree;
pub use self::renames::LikelyRename;
use crate::error::ReportError;
use crate::model::symbols::{SymbolId, Symbols};

/// The functions of two sides, matched.
#[derive(Debug, Clone, Default)]
pub struct Matched {
    /// For each side and each of its recordings, the symbol of each of the
    /// recording's functions.
    pub functions: [Vec<Vec<SymbolId>>; 2],
    /// What the first side calls functions that were said to be renamed.
    pub old_names: FxHashMap<SymbolId, String>,
    /// What a reader should know, one sentence each.
    pub notes: Vec<String>,
}

/// Gives functions of two sides that are the same one symbol. Each of
/// `renames` is `old=new`: what the first side calls a function, and what the
/// second side does; a name may be given without its path and arguments.
///
/// # Errors
/// If a function that is said to be renamed is not there.
pub fn match_functions(
    sides: [&[&Profile]; 2],
    renames: &[String],
    symbols: &mut Symbols,
) -> Result<Matched, ReportError> {
    let modules = Modules::new(sides);
    let bare = BareNames::new(sides.concat().as_slice(), &modules);
    let mut matched = Matched::default();
    for (side, profiles) in sides.into_iter().enumerate() {
        for profile in profiles {
            let found: Vec<MatchedModule> =
                profile.modules.iter().map(|module| modules.find(module)).collect();
            let functions = profile.functions.iter().enumerate().map(|(id, function)| {
                let module = function.module.map(|id| &found[id]);
                let name = matched_name(function, module);
                let name = module.and_then(|m| bare.full_name(function, m)).unwrap_or(&name);
                let home = module.map_or_else(|| profile.home_of(id), |module| &module.name);
                symbols.intern(name, home)
            });
            matched.functions[side].push(functions.collect());
        }
    }
    for rename in renames {
        matched.rename(rename, symbols)?;
    }
    if let Some((old, new)) = modules.renamed_program() {
        matched.notes.push(format!("{old} (before) and {new} (after) are taken for one program"));
    }
    Ok(matched)
}

/// What a function of a module is called on both sides.
fn matched_name(function: &Function, module: Option<&MatchedModule>) -> String {
    let Some(module) = module else {
        return function.name.clone();
    };
    let short = module.name.trim_matches(['[', ']']);
    match (unnamed_offset(function), module.same_build) {
        (Some(offset), true) => format!("[{short}+{offset}]"),
        (Some(_), false) => format!("[{short}: unnamed]"),
        (None, true) => function.name.clone(),
        (None, false) if module.without_generics && mangling(function).is_some() => {
            without_generics(&canonical_name(&function.name))
        }
        (None, false) => canonical_name(&function.name).into_owned(),
    }
}

/// Where a function without a known name is: `0x12` of `[app+0x12]`.
fn unnamed_offset(function: &Function) -> Option<&str> {
    let (_, offset) = function.name.strip_prefix('[')?.strip_suffix(']')?.rsplit_once('+')?;
    (function.nameless && offset.starts_with("0x")).then_some(offset)
}

impl Matched {
    /// Makes what the first side calls `old` what the second side calls
    /// `new`, and what is inside of it (such as closures) likewise. A name
    /// may contain `=`.
    fn rename(&mut self, rename: &str, symbols: &Symbols) -> Result<(), ReportError> {
        let of_side = |side: usize| -> Vec<SymbolId> {
            let ids: FxHashSet<SymbolId> = self.functions[side].iter().flatten().copied().collect();
            let mut ids: Vec<SymbolId> = ids.into_iter().collect();
            ids.sort_unstable();
            ids
        };
        let [before, after] = [0, 1].map(of_side);
        let missing = |name: &str, side| ReportError::NoSuchFunction {
            rename: rename.to_owned(),
            name: name.to_owned(),
            side,
        };
        let mut error = missing(rename, "before");
        for (at, _) in rename.match_indices('=') {
            let (old, new) = (rename[..at].trim(), rename[at + 1..].trim());
            let [olds, news] = [(old, &before), (new, &after)].map(|(n, s)| named(n, s, symbols));
            match (olds.is_empty(), news.is_empty()) {
                (true, _) => error = missing(old, "before"),
                (false, true) => error = missing(new, "after"),
                (false, false) => {
                    self.rename_all((&olds, &news), (&before, &after), symbols);
                    return Ok(());
                }
            }
        }
        Err(error)
    }

    fn rename_all(
        &mut self,
        (olds, news): (&[SymbolId], &[SymbolId]),
        (before, after): (&[SymbolId], &[SymbolId]),
        symbols: &Symbols,
    ) {
        let mut becomes: FxHashMap<SymbolId, SymbolId> = FxHashMap::default();
        let find: FxHashMap<(&str, &str), SymbolId> = after
            .iter()
            .map(|&id| ((symbols[id].name.as_str(), symbols[id].module.as_str()), id))
            .collect();
        for &old in olds {
            let in_module = news.iter().find(|&&new| symbols[new].module == symbols[old].module);
            let new = *in_module.unwrap_or(&news[0]);
            becomes.insert(old, new);
            let (outer, renamed) = (&symbols[old].name, &symbols[new]);
            for &inner in before {
                let rest = symbols[inner].name.strip_prefix(outer.as_str());
                let Some(rest) = rest.filter(|rest| rest.starts_with("::")) else {
                    continue;
                };
                let name = format!("{}{rest}", renamed.name);
                if let Some(&same) = find.get(&(name.as_str(), renamed.module.as_str())) {
                    becomes.insert(inner, same);
                }
            }
        }
        for id in self.functions[0].iter_mut().flatten() {
            if let Some(&new) = becomes.get(id) {
                self.old_names.insert(new, symbols[*id].name.clone());
                *id = new;
            }
        }
    }
}

/// The functions of this name, or else the only one that has it as the last
/// part of its name.
pub(crate) fn named(name: &str, among: &[SymbolId], symbols: &Symbols) -> Vec<SymbolId> {
    let canonical = canonical_name(name);
    let those = |is_it: &dyn Fn(&str) -> bool| -> Vec<SymbolId> {
        among.iter().copied().filter(|&id| is_it(&symbols[id].name)).collect()
    };
    let exact = those(&|known| known == name || known == canonical);
    if !exact.is_empty() {
        return exact;
    }
    let bare = those(&|known| bare_name(known) == name);
    if bare.len() == 1 { bare } else { Vec::new() }
}

#[cfg(test)]
mod tests;
