//! Adds samples up by where in a function they are.

use rustc_hash::FxHashMap;
use rz_profile::model::{EventId, FunctionId, LocationId, Profile};

use super::choose::by_stack;
use crate::model::calltree::Amount;

/// Self and total of a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weights {
    /// Samples that end there.
    pub(super) self_: Amount,
    /// Samples that go through there, each once.
    pub(super) total: Amount,
}

impl Weights {
    pub(super) fn add(&mut self, other: Weights) {
        self.self_.add(other.self_);
        self.total.add(other.total);
    }
}

/// A line of a function, or of one that is inlined into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LineKey {
    /// The function that the line is in.
    pub(super) function: FunctionId,
    /// The line; 0 if unknown.
    pub(super) line: u32,
    /// Whether that is another function, which is inlined.
    pub(super) inlined: bool,
}

/// Where in a function its samples are.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By line.
    pub(super) lines: FxHashMap<LineKey, Weights>,
    /// By function that has lines here: itself, and those inlined into it.
    pub(super) functions: FxHashMap<(FunctionId, bool), Weights>,
    /// By address.
    pub(super) locations: FxHashMap<LocationId, Weights>,
}

impl Places {
    /// Adds up the samples of an event in these functions, which are taken for
    /// one.
    pub(super) fn of(profile: &Profile, event: EventId, functions: &[FunctionId]) -> Self {
        let mut is_it = vec![false; profile.functions.len()];
        functions.iter().for_each(|&id| is_it[id] = true);
        let mut places = Places::default();
        // What a stack goes through, and where it ends.
        let (mut lines, mut parts, mut locations) = (Vec::new(), Vec::new(), Vec::new());
        for (stack, amount) in by_stack(profile, event) {
            lines.clear();
            parts.clear();
            locations.clear();
            let mut next = Some(stack);
            let mut is_leaf = true;
            while let Some(id) = next {
                let node = profile.stacks[id];
                let all = &profile.locations[node.location].lines;
                if let Some(outermost) = all.iter().rposition(|line| is_it[line.function]) {
                    for (index, line) in all[..=outermost].iter().enumerate() {
                        let inlined = !is_it[line.function];
                        let key = LineKey { function: line.function, line: line.line, inlined };
                        let ends = is_leaf && index == 0;
                        lines.push((key, ends));
                        parts.push(((line.function, inlined), ends));
                    }
                    locations.push((node.location, is_leaf));
                }
                next = node.parent;
                is_leaf = false;
            }
            add(&mut places.lines, &mut lines, amount);
            add(&mut places.functions, &mut parts, amount);
            add(&mut places.locations, &mut locations, amount);
        }
        places
    }
}

/// Adds the samples of a stack to each key that it goes through, once.
fn add<K: Copy + Ord + std::hash::Hash>(
    sums: &mut FxHashMap<K, Weights>,
    keys: &mut Vec<(K, bool)>,
    amount: Amount,
) {
    // Those that the stack ends in come first, and stay.
    keys.sort_unstable_by_key(|(key, ends)| (*key, !ends));
    keys.dedup_by_key(|(key, _)| *key);
    for &mut (key, ends) in keys.iter_mut() {
        let weights = sums.entry(key).or_default();
        weights.total.add(amount);
        if ends {
            weights.self_.add(amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    #[test]
    fn a_stack_counts_once_for_each_place() {
        // `g` is inlined into `f`, which calls itself.
        let mut profile = Builder::of(&[("f;g_[i];f;g_[i]", 2), ("f;h", 1)]);
        let id = |name: &str| profile.functions.iter().position(|f| f.name == name).unwrap();
        let (f, g) = (id("f"), id("g"));
        for location in &mut profile.locations {
            let lines = location.lines.iter_mut().enumerate();
            lines.for_each(|(index, line)| line.line = 10 + index as u32);
        }
        let places = Places::of(&profile, 0, &[f]);
        let samples = |weights: &Weights| (weights.self_.samples, weights.total.samples);
        let key = |function, line, inlined| LineKey { function, line, inlined };
        assert_eq!(samples(&places.lines[&key(g, 10, true)]), (2, 2));
        assert_eq!(samples(&places.lines[&key(f, 11, false)]), (0, 2));
        assert_eq!(samples(&places.lines[&key(f, 10, false)]), (0, 1));
        assert_eq!(places.lines.len(), 3);
        assert_eq!(samples(&places.functions[&(f, false)]), (0, 3));
        assert_eq!(samples(&places.functions[&(g, true)]), (2, 2));
    }
}
