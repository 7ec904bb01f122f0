//! Tells which modules of several recordings are builds of the same thing.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use rz_profile::is_checksum;
use rz_profile::model::{Function, Module, ModuleKind, Profile};

use super::generics::{Mangling, mangling};

/// What is known of the modules that count as one.
#[derive(Debug, Default)]
struct Group {
    /// Their names, as recorded.
    names: BTreeSet<String>,
    /// Their build-ids; an empty one where it is not known.
    build_ids: BTreeSet<Vec<u8>>,
    /// Whether each side has it.
    seen: [bool; 2],
    /// Whether each side has Rust functions in it whose names tell type
    /// arguments, and such whose names do not.
    v0: [bool; 2],
    legacy: [bool; 2],
}

/// A module as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MatchedModule {
    /// What to call it.
    pub name: String,
    /// Whether all recordings ran the same build of it.
    pub same_build: bool,
    /// Whether names of one side tell type arguments, and those of the other
    /// side do not.
    pub without_generics: bool,
}

/// The modules of all recordings.
#[derive(Debug, Default)]
pub(super) struct Modules {
    groups: BTreeMap<String, Group>,
    /// Keys of programs that count as another key.
    aliases: FxHashMap<String, String>,
}

impl Modules {
    /// Groups the modules of the recordings of both sides. A program of the
    /// first side that the second side does not have, and one the other way
    /// round, are the same program under two names if there are no others.
    pub(super) fn new(sides: [&[&Profile]; 2]) -> Self {
        let keys = |profiles: &[&Profile]| -> BTreeSet<String> {
            profiles.iter().flat_map(|profile| &profile.modules).map(key_of).collect()
        };
        let programs = |profiles: &[&Profile], absent: &BTreeSet<String>| -> BTreeSet<String> {
            let of = profiles.iter().flat_map(|profile| programs_of(profile));
            of.map(key_of).filter(|key| !absent.contains(key)).collect()
        };
        let all = sides.map(keys);
        let alone = [programs(sides[0], &all[1]), programs(sides[1], &all[0])].map(only);
        let mut modules = Modules::default();
        if let [Some(before), Some(after)] = alone {
            modules.aliases.insert(before, after);
        }
        for (side, profiles) in sides.into_iter().enumerate() {
            for module in profiles.iter().flat_map(|profile| &profile.modules) {
                let group = modules.groups.entry(modules.key(module)).or_default();
                group.names.insert(module.name.clone());
                group.build_ids.insert(module.build_id.clone());
                group.seen[side] = true;
            }
            for (profile, function) in functions_of(profiles) {
                let module = function.module.map(|id| modules.key(&profile.modules[id]));
                let group = module.and_then(|key| modules.groups.get_mut(&key));
                match (mangling(function), group) {
                    (Some(Mangling::V0), Some(group)) => group.v0[side] = true,
                    (Some(Mangling::Legacy), Some(group)) => group.legacy[side] = true,
                    _ => {}
                }
            }
        }
        modules
    }

    /// What the program is called in the first recordings and in the second
    /// ones, if that is not the same.
    pub(super) fn renamed_program(&self) -> Option<(&str, &str)> {
        self.aliases.iter().next().map(|(before, after)| (before.as_str(), after.as_str()))
    }

    /// The module as it is compared.
    pub(super) fn find(&self, module: &Module) -> MatchedModule {
        let key = self.key(module);
        let Some(group) = self.groups.get(&key) else {
            let (same_build, without_generics) = (false, false);
            return MatchedModule { name: module.name.clone(), same_build, without_generics };
        };
        // Equal code does not prove equal names.
        let known = group.build_ids.first().is_some_and(|id| !id.is_empty() && !is_checksum(id));
        let same_build = known && group.build_ids.len() == 1 && group.seen == [true; 2];
        let name = match group.names.first() {
            Some(name) if group.names.len() == 1 => name.clone(),
            _ => key,
        };
        // The standard library is built before, and may be mangled in the same
        // way on both sides.
        let is_rust = [0, 1].map(|side| group.v0[side] || group.legacy[side]);
        let differ = group.v0[0] != group.v0[1] || group.legacy[0] != group.legacy[1];
        let without_generics = is_rust == [true; 2] && differ;
        MatchedModule { name, same_build, without_generics }
    }

    fn key(&self, module: &Module) -> String {
        let key = key_of(module);
        self.aliases.get(&key).cloned().unwrap_or(key)
    }
}

/// The files that the processes of a recording were started from.
fn programs_of(profile: &Profile) -> impl Iterator<Item = &Module> {
    let exes: BTreeSet<&str> = profile.processes.iter().map(|p| p.exe.as_str()).collect();
    let file = |module: &&Module| module.kind == ModuleKind::File;
    profile.modules.iter().filter(file).filter(move |module| exes.contains(module.path.as_str()))
}

fn functions_of<'p>(profiles: &'p [&Profile]) -> impl Iterator<Item = (&'p Profile, &'p Function)> {
    profiles.iter().flat_map(|profile| profile.functions.iter().map(|f| (*profile, f)))
}

fn only(set: BTreeSet<String>) -> Option<String> {
    let mut values = set.into_iter();
    values.next().filter(|_| values.next().is_none())
}

fn key_of(module: &Module) -> String {
    match module.kind {
        ModuleKind::File => without_version(&module.name).to_owned(),
        _ => module.name.clone(),
    }
}

/// A file's name without what tells its version: `libfoo` of
/// `libfoo.so.1.2.3`, `libc` of `libc-2.31.so`, `python` of `python3.11`, and
/// `app` of `app-58b2a2fca2ab4a04`, as Cargo names tests. A number without a
/// dot or a dash is part of the name: `libz3.so`.
fn without_version(name: &str) -> &str {
    let is_number = |c: char| c.is_ascii_digit();
    let is_version = |c: char| c.is_ascii_digit() || c == '.';
    let end = name.find(".so.").or(name.len().checked_sub(3).filter(|_| name.ends_with(".so")));
    let stem = &name[..end.unwrap_or(name.len())];
    let head = stem.trim_end_matches(is_version);
    let version = &stem[head.len()..];
    let dashed = ["-v", "_v", "-"].into_iter().find_map(|dash| head.strip_suffix(dash));
    let hash = stem.rsplit_once('-').filter(|(_, hash)| {
        hash.len() == 16 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    let shorter = match (hash, dashed) {
        (Some((head, _)), _) => head,
        (None, Some(head)) if version.starts_with(is_number) => head,
        (None, None) if version.starts_with(is_number) && version.contains('.') => head,
        _ => stem,
    };
    if shorter.is_empty() { name } else { shorter }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    #[test]
    fn versions_are_no_part_of_a_name() {
        let check = |name, key: &str| assert_eq!(without_version(name), key);
        check("libfoo.so.1.2.3", "libfoo");
        check("libfoo.so", "libfoo");
        check("libc.so.6", "libc");
        check("libc-2.31.so", "libc");
        check("libstdc++.so.6.0.33", "libstdc++");
        check("libpython3.11.so.1.0", "libpython");
        check("python3.11", "python");
        check("app-1.2.3", "app");
        check("app-v2", "app");
        check("app-58b2a2fca2ab4a04", "app");
        check("libz3.so", "libz3");
        check("liblz4.so.1", "liblz4");
        check("x86_64", "x86_64");
        check("app", "app");
        check("app.so-called", "app.so-called");
        check("1.2", "1.2");
        check("", "");
        check("größe.so", "größe");
    }

    /// A recording of modules with names and build-ids; the first one is the
    /// program.
    fn profile(modules: &[(&str, &str)]) -> Profile {
        let mut profile = Builder::new().profile;
        let module = |&(name, id): &(&str, &str)| Module {
            kind: ModuleKind::File,
            name: name.into(),
            path: format!("/usr/bin/{name}"),
            build_id: id.into(),
            file_size: 0,
        };
        profile.modules = modules.iter().map(module).collect();
        profile.processes[0].exe = profile.modules[0].path.clone();
        profile
    }

    fn found(before: &[(&str, &str)], after: &[(&str, &str)]) -> Vec<String> {
        let (before, after) = (profile(before), profile(after));
        let modules = Modules::new([&[&before], &[&after]]);
        let found = before.modules.iter().chain(&after.modules).map(|m| modules.find(m));
        found.map(|m| format!("{}{}", m.name, if m.same_build { " same" } else { "" })).collect()
    }

    #[test]
    fn the_same_build_is_told_by_its_id() {
        let before = [("app", "1"), ("libx.so.1", "x"), ("liby.so.1", "y"), ("libz.so", "")];
        let after = [("app", "2"), ("libx.so.1", "x"), ("liby.so.2", "z"), ("libz.so", "")];
        let expected = [
            ["app", "libx.so.1 same", "liby", "libz.so"],
            ["app", "libx.so.1 same", "liby", "libz.so"],
        ];
        assert_eq!(found(&before, &after), expected.concat());
    }

    #[test]
    fn a_program_under_another_name_is_the_same_one() {
        assert_eq!(found(&[("old", "1")], &[("new", "2")]), ["new", "new"]);
        assert_eq!(
            found(&[("old", "1"), ("new", "2")], &[("new", "2")]),
            ["old", "new same", "new same"]
        );
        assert_eq!(
            found(&[("old", "1"), ("lib", "3")], &[("new", "2"), ("lib", "3")]),
            ["new", "lib same", "new", "lib same"]
        );
    }
}
