//! Finds the function that is meant by a text.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use rz_profile::filter::Pattern;
use rz_profile::model::{EventId, FunctionId, Profile, StackId};

use crate::model::calltree::Amount;

/// A function of that name, in whatever files and modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// The profile's functions that are called so.
    pub functions: Vec<FunctionId>,
    /// Samples in which it ran itself.
    pub self_: Amount,
    /// Those and the ones of all it called.
    pub total: Amount,
}

/// What may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This function.
    One(Candidate),
    /// Any of these; the one with the largest total first.
    Several(Vec<Candidate>),
    /// None of those that were sampled.
    None,
}

/// Samples of an event by stack.
pub(super) fn by_stack(profile: &Profile, event: EventId) -> FxHashMap<StackId, Amount> {
    let mut sums: FxHashMap<StackId, Amount> = FxHashMap::default();
    for sample in profile.samples.iter().filter(|sample| sample.event == event) {
        if let Some(stack) = sample.stack {
            let amount = Amount { samples: sample.count, weight: sample.weight };
            sums.entry(stack).or_default().add(amount);
        }
    }
    sums
}

/// Finds the sampled function that `text` means: the one of exactly this name,
/// with or without its parameters and the path before it; or else those whose
/// name contains it, or in which it is found as a regular expression.
pub fn choose(profile: &Profile, event: EventId, text: &str) -> Choice {
    let pattern: Option<Pattern> = text.parse().ok();
    let is_exact = |id: FunctionId| {
        let function = &profile.functions[id];
        function.name == text || function.system_name == text
    };
    let is_plain = |id: FunctionId| is_plainly(&profile.functions[id].name, text);
    let is_found = |id: FunctionId| {
        let name = &profile.functions[id].name;
        name.contains(text) || pattern.as_ref().is_some_and(|pattern| pattern.matches(name))
    };
    let steps: [&dyn Fn(FunctionId) -> bool; 3] = [&is_exact, &is_plain, &is_found];
    for matches in steps {
        let functions = 0..profile.functions.len();
        let matching: Vec<FunctionId> = functions.filter(|&id| matches(id)).collect();
        let mut candidates = candidates(profile, event, &matching);
        match candidates.len() {
            0 => {}
            1 => return Choice::One(candidates.remove(0)),
            _ => return Choice::Several(candidates),
        }
    }
    Choice::None
}

/// Whether a name without its parameters, or the last part of it, is `text`.
fn is_plainly(name: &str, text: &str) -> bool {
    // Parameters are at the end, behind the last name.
    let end = match name.strip_suffix(" const").unwrap_or(name) {
        name if name.ends_with(')') => opening(name).unwrap_or(name.len()),
        name => name.len(),
    };
    let name = &name[..end];
    let Some(before) = name.strip_suffix(text) else { return false };
    !text.is_empty() && (before.is_empty() || before.ends_with("::") || before.ends_with('.'))
}

/// Where the parenthesis is opened that the last character closes.
fn opening(name: &str) -> Option<usize> {
    let mut depth = 0_usize;
    name.char_indices().rev().find_map(|(at, c)| {
        match c {
            ')' => depth += 1,
            '(' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

/// Those of the functions that have samples, by name; the one with the largest
/// total first.
fn candidates(profile: &Profile, event: EventId, functions: &[FunctionId]) -> Vec<Candidate> {
    if functions.is_empty() {
        return Vec::new();
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut of_function: Vec<Option<usize>> = vec![None; profile.functions.len()];
    for &id in functions {
        let name = profile.functions[id].name.as_str();
        let index = *names.entry(name).or_insert_with(|| {
            let (name, functions) = (name.to_owned(), Vec::new());
            let (self_, total) = (Amount::default(), Amount::default());
            candidates.push(Candidate { name, functions, self_, total });
            candidates.len() - 1
        });
        candidates[index].functions.push(id);
        of_function[id] = Some(index);
    }
    // The stack by which each candidate was counted last.
    let mut counted: Vec<Option<StackId>> = vec![None; candidates.len()];
    for (stack, amount) in by_stack(profile, event) {
        for (depth, location) in profile.locations_of(Some(stack)).enumerate() {
            for (inline, line) in location.lines.iter().enumerate() {
                let Some(index) = of_function[line.function] else { continue };
                if depth == 0 && inline == 0 {
                    candidates[index].self_.add(amount);
                }
                if counted[index].replace(stack) != Some(stack) {
                    candidates[index].total.add(amount);
                }
            }
        }
    }
    candidates.retain(|candidate| candidate.total.samples > 0);
    candidates.sort_by(|a, b| (b.total.weight, &a.name).cmp(&(a.total.weight, &b.name)));
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    #[test]
    fn the_closest_name_is_meant() {
        let profile = Builder::of(&[
            ("main;parse", 3),
            ("main;lib::parse(int, char*)", 2),
            ("main;lib::parse_all", 1),
            ("main;lib::parse_all;parse", 1),
            ("main;T::get() const", 1),
        ]);
        let check = |text: &str, expected: &[&str]| {
            let found = match choose(&profile, 0, text) {
                Choice::One(one) => vec![one],
                Choice::Several(several) => several,
                Choice::None => vec![],
            };
            let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
            assert_eq!(names, expected, "{text}");
        };
        check("parse", &["parse"]);
        check("lib::parse", &["lib::parse(int, char*)"]);
        check("parse_all", &["lib::parse_all"]);
        check("T::get", &["T::get() const"]);
        check("lib", &["lib::parse(int, char*)", "lib::parse_all"]);
        check("^lib.*all$", &["lib::parse_all"]);
        check("(", &["lib::parse(int, char*)", "T::get() const"]);
        check("nothing", &[]);
    }

    #[test]
    fn recursion_counts_once() {
        let profile = Builder::of(&[("f;g;f", 2), ("f;g", 1)]);
        let Choice::One(f) = choose(&profile, 0, "f") else { panic!("f is there") };
        assert_eq!((f.self_.samples, f.total.samples), (2, 3));
    }
}
