//! Programs that were built without optimization.
//!
//! A trace does not say how a program was built. But of the standard libraries of C++ and
//! Rust, the smallest functions are never called where the compiler optimizes: they are
//! inlined, and then they are no functions of their own at their address. A program in
//! which they take time was built without.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rz_profile::model::{EventKind, FrameKind};

use super::{Finding, Seen, Severity, Sure};
use crate::model::clean::clean;
use crate::model::share::share_interval;
use crate::render::format::{counted, percent};

/// From this share of the samples on; built with optimization, it is none at all.
const HINT: f64 = 0.05;

/// Functions that are named.
const MOST_NAMES: usize = 4;

/// How names of functions begin that consist of a few instructions.
const SMALL: [&str; 14] = [
    "std::vector<",
    "std::array<",
    "std::unique_ptr<",
    "__gnu_cxx::__normal_iterator<",
    "std::forward<",
    "core::iter::range::",
    "core::cmp::impls::",
    "core::slice::index::",
    "<core::ops::range::Range<",
    "<core::slice::iter::Iter<",
    "<alloc::vec::Vec<",
    "<usize as core::",
    "<I as core::iter::traits::collect::IntoIterator>",
    "bool __gnu_cxx::operator",
];

/// Those of them that are small whatever follows.
const WHOLE: [&str; 2] = ["std::forward<", "bool __gnu_cxx::operator"];

/// How they end, of those that also have larger ones of the same beginning.
const SMALL_ENDS: [&str; 16] = [
    "::operator[]",
    "::size",
    "::begin",
    "::end",
    "::operator*",
    "::operator->",
    "::operator++",
    "::base",
    "::next",
    "::index",
    "::index_mut",
    "::deref",
    "::get",
    "::lt",
    "::into_iter",
    "::forward_unchecked",
];

/// Samples in functions that compilers inline.
pub(super) fn unoptimized(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let profile = observed.profile;
    let (mut all, mut found, mut ns) = (0_u64, 0_u64, 0_u64);
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for sample in observed.samples(EventKind::Cpu) {
        all = all.saturating_add(sample.count);
        let leaf = profile.locations_of(sample.stack).next();
        let Some(leaf) = leaf.filter(|leaf| leaf.kind == FrameKind::User) else { continue };
        // The last one is the function that the code is of; others are inlined there.
        let Some(line) = leaf.lines.last() else { continue };
        let name = profile.functions[line.function].name.as_str();
        if !is_small(name) {
            continue;
        }
        found = found.saturating_add(sample.count);
        ns = ns.saturating_add(sample.weight);
        let count = names.entry(name).or_default();
        *count = count.saturating_add(sample.count);
    }
    let [low, _] = share_interval(found as f64 / (all as f64).max(1.0), all as f64);
    if low < HINT {
        return Vec::new();
    }
    let mut most: Vec<(&str, u64)> = names.into_iter().collect();
    most.sort_by_key(|(_, samples)| Reverse(*samples));
    let most = most.into_iter().take(MOST_NAMES);
    let most = most.map(|(name, samples)| format!("{} {samples}", clean(name)));
    vec![Finding {
        title: format!(
            "{} of the samples are in functions that are inlined where a compiler optimizes",
            percent(100.0 * found as f64 / (all as f64).max(1.0))
        ),
        rule,
        severity: Severity::Hint,
        cost_ns: Some(ns),
        cost_bytes: None,
        evidence: vec![format!(
            "{}, most of them: {}",
            counted(found, "sample"),
            most.collect::<Vec<_>>().join(", ")
        )],
        sure: Sure::Likely,
        but: Some(
            "how a program was built is not recorded; build with -O2 or cargo build --release, \
             and record again: all other code is slower without, too"
                .to_owned(),
        ),
        next: vec![observed.command(&["--full-names"])],
    }]
}

fn is_small(name: &str) -> bool {
    // Parameters and what C++ says of the object behind them.
    let name = name.strip_suffix(" const").unwrap_or(name);
    let bare = match name.strip_suffix(')').and_then(|name| name.rfind('(')) {
        Some(at) => &name[..at],
        None => name,
    };
    SMALL.iter().any(|start| name.starts_with(start))
        && (SMALL_ENDS.iter().any(|end| bare.ends_with(end))
            || WHOLE.iter().any(|start| name.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Observed, doctor};
    use crate::fixture::Builder;

    #[test]
    fn small_functions_by_name() {
        for name in [
            "std::vector<int, std::allocator<int> >::operator[](unsigned long)",
            "std::vector<int, std::allocator<int> >::size() const",
            "__gnu_cxx::__normal_iterator<int*, std::vector<int> >::operator++()",
            "<core::ops::range::Range<usize> as core::iter::traits::iterator::Iterator>::next",
            "core::iter::range::<impl core::iter::traits::iterator::Iterator for core::ops::range::Range<A>>::next",
            "<usize as core::iter::range::Step>::forward_unchecked",
            "<alloc::vec::Vec<T,A> as core::ops::index::Index<I>>::index",
        ] {
            assert!(is_small(name), "{name}");
        }
        for name in [
            "std::vector<int, std::allocator<int> >::_M_realloc_insert(int*)",
            "<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop",
            "core::slice::index::slice_end_index_len_fail",
            "size",
            "app::Vector::operator[]",
            "<app::Lines as core::iter::traits::iterator::Iterator>::next",
        ] {
            assert!(!is_small(name), "{name}");
        }
    }

    #[test]
    fn a_share_of_the_samples() {
        let found = |small: u64| {
            let name = "main;std::vector<int>::size() const";
            let profile = Builder::of(&[(name, small), ("main;sum", 1_000 - small)]);
            let page = doctor(&Observed::new(&profile, None, "t.rz"));
            page.findings.iter().any(|finding| finding.rule == "debug-build")
        };
        assert_eq!([0, 20, 100, 900].map(found), [false, false, true, true]);
    }
}
