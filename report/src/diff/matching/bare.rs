//! Finds the full names of functions whose debug information has only part.
//!
//! Compilers give C++ functions that no other file can call, such as those in
//! anonymous namespaces, no linkage name in debug information. As a frame of
//! its own such a function is `app::(anonymous namespace)::work(int)`, by the
//! symbol table; where it is inlined, it is only `work`, or `work<int>`.

use rustc_hash::FxHashMap;
use rz_profile::model::{Function, Profile};

use super::canonical::{bare_name, canonical_name};
use super::modules::{MatchedModule, Modules};

/// Full names by module, file and the last part of the name; `None` where
/// several functions have it.
#[derive(Debug, Default)]
pub(super) struct BareNames {
    full: FxHashMap<(String, String, String), Option<String>>,
}

impl BareNames {
    /// The names of all functions of modules with different builds.
    pub(super) fn new(profiles: &[&Profile], modules: &Modules) -> Self {
        let mut names = BareNames::default();
        for profile in profiles {
            let modules: Vec<MatchedModule> =
                profile.modules.iter().map(|module| modules.find(module)).collect();
            for function in &profile.functions {
                let Some(module) = function.module.map(|id| &modules[id]) else {
                    continue;
                };
                let is_full = function.name.contains('(') && only_bare(function).is_none();
                if module.same_build || function.file.is_empty() || !is_full {
                    continue;
                }
                let full = canonical_name(&function.name).into_owned();
                let key = key(module, function, bare_name(&full));
                let known = names.full.entry(key).or_insert_with(|| Some(full.clone()));
                if known.as_ref().is_some_and(|known| *known != full) {
                    *known = None;
                }
            }
        }
        names
    }

    /// The full name of a function that has only the last part of one; `None`
    /// if it has all of it, or if it cannot be told.
    pub(super) fn full_name(&self, function: &Function, module: &MatchedModule) -> Option<&str> {
        let bare = only_bare(function).filter(|_| !module.same_build)?;
        self.full.get(&key(module, function, bare))?.as_deref()
    }
}

/// The last part of a function's name, if that and type arguments are all of it.
fn only_bare(function: &Function) -> Option<&str> {
    let bare = bare_name(&function.name);
    let arguments = function.name.strip_prefix(bare)?;
    // The linker's name of a C++ function with a linkage is mangled.
    let is_bare = function.system_name == function.name
        && !function.file.is_empty()
        && (arguments.is_empty() || arguments.starts_with('<'));
    is_bare.then_some(bare)
}

fn key(module: &MatchedModule, function: &Function, name: &str) -> (String, String, String) {
    let file = function.file.rsplit('/').next().unwrap_or_default();
    (module.name.clone(), file.to_owned(), name.to_owned())
}
