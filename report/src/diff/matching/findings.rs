//! Finds what became of functions that cost what they did.

use rustc_hash::{FxHashMap, FxHashSet};

use super::moves::{Inlining, Moved, inlining, moved};
use super::relations::{Relations, ScaledTree};
use super::renames::{LikelyRename, likely_renames};
use crate::model::calltree::NodeId;
use crate::model::symbols::{SymbolId, Symbols};

/// What differs between two sides without costing more or less.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Functions that probably only got another name, the largest first.
    pub renames: Vec<LikelyRename>,
    /// Functions that were inlined, or no longer are.
    pub inlining: FxHashMap<SymbolId, Inlining>,
    /// Functions that are called from elsewhere, the largest first.
    pub moved: Vec<Moved>,
    explained: FxHashSet<SymbolId>,
}

impl Findings {
    /// Looks at the top-down trees of both sides, whose functions were
    /// [matched](super::match_functions).
    pub fn new(sides: [&[ScaledTree<'_>]; 2], symbols: &Symbols) -> Self {
        let relations = Relations::new(sides);
        let renames = likely_renames(&relations, symbols);
        let inlining = inlining(&relations, &renames);
        let moved = moved(&relations, &renames, &inlining, symbols);
        let is_merged = |inlining: &Inlining| {
            !matches!(inlining, Inlining::InlinedNow | Inlining::NoLongerInlined)
        };
        let merged = inlining.iter().filter(|(_, inlining)| is_merged(inlining));
        let renamed = renames.iter().flat_map(|rename| [rename.old, rename.new]);
        let explained = merged.map(|(&symbol, _)| symbol).chain(renamed).collect();
        Findings { renames, inlining, moved, explained }
    }

    /// Whether a function that is gone, new, larger or smaller is so probably
    /// because of a name or of inlining, and not because it costs more or
    /// less.
    pub fn explains(&self, symbol: SymbolId) -> bool {
        self.explained.contains(&symbol)
    }

    /// Of each node of a call tree that has both sides, whether it is gone or new only
    /// because a function has another name or another caller, or is inlined: what it is,
    /// or is below. Nodes are given as function, parent, and on which sides there is any.
    pub fn elsewhere(
        &self,
        nodes: impl Iterator<Item = (SymbolId, NodeId, [bool; 2])>,
    ) -> Vec<bool> {
        let moved = self.moved.iter();
        let moved: [FxHashSet<_>; 2] = [
            moved.clone().map(|moved| (moved.symbol, moved.from)).collect(),
            moved.map(|moved| (moved.symbol, moved.to)).collect(),
        ];
        let mut known: Vec<(SymbolId, [bool; 2], bool)> = Vec::new();
        for (symbol, parent, sides) in nodes {
            let found = match (known.get(parent), sides) {
                (None, _) | (_, [true, true] | [false, false]) => false,
                (Some(&(caller, of_caller, is_elsewhere)), sides) => {
                    is_elsewhere && of_caller == sides
                        || self.explains(symbol)
                        || moved[usize::from(!sides[0])].contains(&(symbol, caller))
                }
            };
            known.push((symbol, sides, found));
        }
        known.into_iter().map(|(_, _, found)| found).collect()
    }

    /// What became of a function, in a few words.
    pub fn describe(&self, symbol: SymbolId, symbols: &Symbols) -> Option<String> {
        let name = |id: SymbolId| &symbols[id].name;
        // A function of another module may keep its name.
        let other = |id: SymbolId| match name(id) == name(symbol) {
            true => format!("that of {}", symbols[id].module),
            false => name(id).clone(),
        };
        let renamed = self.renames.iter().find_map(|rename| match rename {
            LikelyRename { old, new } if *old == symbol => {
                Some(format!("probably {} now", other(*new)))
            }
            LikelyRename { old, new } if *new == symbol => {
                Some(format!("probably {} before", other(*old)))
            }
            _ => None,
        });
        let inlined = || {
            self.inlining.get(&symbol).map(|inlining| match *inlining {
                Inlining::InlinedNow => "inlined now".to_owned(),
                Inlining::NoLongerInlined => "no longer inlined".to_owned(),
                Inlining::LikelyInlinedInto(id) => format!("probably inlined into {}", name(id)),
                Inlining::LikelyInlinedInBefore(id) => {
                    format!("probably inlined into {} before", name(id))
                }
                Inlining::TookIn(id) => format!("probably has {} inlined now", name(id)),
                Inlining::GaveOut(id) => format!("probably had {} inlined", name(id)),
            })
        };
        let moved = || {
            let moved = self.moved.iter().find(|moved| moved.symbol == symbol)?;
            Some(format!("moved from {} to {}", name(moved.from), name(moved.to)))
        };
        let caller = || {
            let mut moved = self.moved.iter();
            moved.find_map(|moved| match moved {
                Moved { symbol: called, to, .. } if *to == symbol => {
                    Some(format!("calls {} now", name(*called)))
                }
                Moved { symbol: called, from, .. } if *from == symbol => {
                    Some(format!("called {} before", name(*called)))
                }
                _ => None,
            })
        };
        renamed.or_else(inlined).or_else(moved).or_else(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::matching::match_functions;
    use crate::fixture::Builder;
    use crate::model::calltree::{CallTree, Roots, TreeInput};

    /// What is found in recordings of these stacks: functions and what became
    /// of them, by name.
    fn found(before: &[(&str, u64)], after: &[(&str, u64)]) -> Vec<String> {
        let profiles = [before, after].map(Builder::of);
        let mut symbols = Symbols::default();
        let sides: [&[_]; 2] = [&[&profiles[0]], &[&profiles[1]]];
        let matched = match_functions(sides, &[], &mut symbols).unwrap();
        let trees: [CallTree; 2] = std::array::from_fn(|side| {
            let (profile, functions) = (&profiles[side], &matched.functions[side][0]);
            let input = TreeInput { profile, event: 0, functions };
            CallTree::top_down(input, Roots::Functions, &mut symbols)
        });
        let findings = Findings::new([&[(&trees[0], 1.0)], &[(&trees[1], 1.0)]], &symbols);
        let ids = symbols.ids().filter_map(|id| Some((id, findings.describe(id, &symbols)?))).map(
            |(id, text)| {
                let mark = if findings.explains(id) { "" } else { " (not explained)" };
                format!("{} {text}{mark}", symbols[id].name)
            },
        );
        ids.collect()
    }

    #[test]
    fn renames_are_offered() {
        let check = |before: &[(&str, u64)], after: &[(&str, u64)], expected: &[&str]| {
            assert_eq!(found(before, after), expected);
        };
        let before = [("main;parse_row;trim", 100), ("main;parse_row", 100), ("main;emit", 50)];
        check(
            &before,
            &[("main;parse_line;trim", 90), ("main;parse_line", 110), ("main;emit", 50)],
            &["parse_row probably parse_line now", "parse_line probably parse_row before"],
        );
        // Callers and callees tell when names do not.
        check(
            &before,
            &[("main;scan;trim", 100), ("main;scan", 100), ("main;emit", 50)],
            &["parse_row probably scan now", "scan probably parse_row before"],
        );
        // A chain of renamed functions.
        check(
            &[("main;read_all;read_one", 100)],
            &[("main;load_all;load_one", 100)],
            &[
                "read_all probably load_all now",
                "read_one probably load_one now",
                "load_all probably read_all before",
                "load_one probably read_one before",
            ],
        );
        // Another weight, another name, another caller; too few to tell.
        check(
            &[("main;parse_row", 100), ("main;x", 9)],
            &[("main;parse_line", 40), ("main;x", 9)],
            &[],
        );
        check(&[("main;parse", 100)], &[("main;render", 100)], &[]);
        check(
            &[("main;a;parse_row", 100), ("main;b", 9)],
            &[("main;a", 9), ("main;b;parse_line", 100)],
            &[],
        );
        check(&[("main;parse_row", 7), ("main", 90)], &[("main;parse_line", 7), ("main", 90)], &[]);
    }

    #[test]
    fn inlining_is_no_change() {
        assert_eq!(
            found(&[("main;work;step", 100)], &[("main;work;step_[i]", 100)]),
            ["step inlined now (not explained)"]
        );
        assert_eq!(
            found(&[("main;work;step_[i]", 100)], &[("main;work;step", 100)]),
            ["step no longer inlined (not explained)"]
        );
        // Without debug information.
        let apart = [("main;work;step", 60), ("main;work;step;leaf", 40), ("main;work", 30)];
        let joined = [("main;work;leaf", 42), ("main;work", 88)];
        assert_eq!(
            found(&apart, &joined),
            ["work probably has step inlined now", "step probably inlined into work"]
        );
        assert_eq!(
            found(&joined, &apart),
            ["work probably had step inlined", "step probably inlined into work before"]
        );
        // It is gone, and nobody has what it cost.
        assert!(found(&apart, &[("main;work", 30)]).is_empty());
    }

    #[test]
    fn what_moved_is_said_to_have_moved() {
        assert_eq!(
            found(
                &[("main;a;sort;swap", 50), ("main;a;sort", 50), ("main;a", 20), ("main;b", 20)],
                &[("main;b;sort;swap", 50), ("main;b;sort", 50), ("main;a", 20), ("main;b", 20)],
            ),
            [
                "a called sort before (not explained)",
                "sort moved from a to b (not explained)",
                "b calls sort now (not explained)",
            ]
        );
        // Its caller only has another name.
        assert!(
            found(&[("main;run_old;sort", 100)], &[("main;run_new;sort", 100)])
                .iter()
                .all(|line| !line.contains("moved"))
        );
        // It costs three times as much.
        assert!(
            found(&[("main;a;sort", 50), ("main;b", 9)], &[("main;a", 9), ("main;b;sort", 150)])
                .is_empty()
        );
    }
}
