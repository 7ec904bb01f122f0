//! Builds the call tree that a view of one profile shows.

use rz_profile::model::{EventId, Profile};

use crate::model::calltree::{CallTree, Roots, TreeInput};
use crate::model::symbols::Symbols;

/// Which way a tree grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// Callers above what they called.
    #[default]
    TopDown,
    /// Functions above what called them.
    Inverted,
}

/// The top-down call tree of `event` over all recordings of a merged trace,
/// with the names of its functions.
pub fn joined_tree(profile: &Profile, event: EventId) -> (CallTree, Symbols) {
    let mut symbols = Symbols::default();
    let functions = symbols.intern_functions(profile);
    let input = TreeInput { profile, event, functions: &functions };
    (CallTree::top_down(input, Roots::of(profile, event), &mut symbols), symbols)
}

/// The call tree of `event`, with the names of its functions. Top-down, it
/// tells the recordings of a merged trace apart; inverted, it ends where less
/// than `min_percent` of all weight is left.
pub fn call_tree(
    profile: &Profile,
    event: EventId,
    direction: Direction,
    min_percent: f64,
) -> (CallTree, Symbols) {
    let mut symbols = Symbols::default();
    let functions = symbols.intern_functions(profile);
    let input = TreeInput { profile, event, functions: &functions };
    let tree = match direction {
        Direction::TopDown => {
            CallTree::top_down(input, Roots::with_sources(profile, event), &mut symbols)
        }
        Direction::Inverted => {
            let least = min_weight(profile.total_weight(event), min_percent);
            CallTree::inverted(input, least, &mut symbols)
        }
    };
    (tree, symbols)
}

/// The least weight that is at least `percent` of `all`, and not nothing.
pub fn min_weight(all: u64, percent: f64) -> u64 {
    ((all as f64 * percent / 100.0).ceil() as u64).max(1)
}
