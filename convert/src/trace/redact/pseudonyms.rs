//! Gives equal texts equal pseudonyms.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

/// Texts that have a pseudonym of their own, at most; further ones share one.
const MAX_TEXTS: usize = 1 << 20;
/// Bytes of those texts, at most.
const MAX_BYTES: usize = 128 << 20;

/// What stands for what. A name has one pseudonym, whether it is one of a file,
/// a user or a thread; those of other kinds have nothing to do with each other.
#[derive(Debug, Default)]
pub(super) struct Pseudonyms {
    /// By the first kind of those that have pseudonyms in common.
    known: BTreeMap<&'static str, FxHashMap<Box<str>, String>>,
    texts: usize,
    bytes: usize,
    numbers: BTreeMap<&'static str, u32>,
}

/// Kinds of names of which each has only one pseudonym.
const NAMES: [&str; 4] = ["file", "dir", "user", "name"];

impl Pseudonyms {
    /// What stands for a text: `kind` and a number, if it is new.
    pub(super) fn of(&mut self, kind: &'static str, text: &str) -> String {
        let space = if NAMES.contains(&kind) { NAMES[0] } else { kind };
        let known = self.known.entry(space).or_default();
        if let Some(known) = known.get(text) {
            return known.clone();
        }
        if self.texts >= MAX_TEXTS || self.bytes + text.len() > MAX_BYTES {
            return format!("{kind}0");
        }
        let number = self.numbers.entry(kind).or_default();
        *number += 1;
        let pseudonym = format!("{kind}{number}");
        self.texts += 1;
        self.bytes += text.len();
        known.insert(text.into(), pseudonym.clone());
        pseudonym
    }

    /// What stands for a name, if anything does.
    pub(super) fn known_name(&self, name: &str) -> Option<&str> {
        self.known.get(NAMES[0])?.get(name).map(String::as_str)
    }

    /// How many pseudonyms of a kind there are.
    pub(super) fn count(&self, kind: &str) -> u64 {
        self.numbers.get(kind).copied().unwrap_or(0).into()
    }
}
