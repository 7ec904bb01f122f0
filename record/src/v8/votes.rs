//! Which function code is of, as frames of it have told.
//!
//! A function that was just made may be gone, or another one may be at its address,
//! before it can be looked at. Its code stays where it is for longer, and is of one
//! function: what most frames of it say is right. Code between two places of the same
//! function is of that function too, as what was compiled at once lies in one piece.

use std::collections::BTreeMap;

/// Places that are known; with more, all are learned once again.
const MAX_PLACES: usize = 1 << 16;
/// How sure one may be: after so many that say otherwise, code is another function's.
const MAX_SCORE: u8 = 4;

/// By the address of an instruction, or of what else stays with the function.
#[derive(Debug, Clone, Default)]
pub(super) struct Votes(BTreeMap<u64, Vote>);

#[derive(Debug, Clone, Copy)]
struct Vote {
    function: u64,
    score: u8,
}

impl Votes {
    /// Takes in what a frame says that is at a place.
    pub(super) fn add(&mut self, place: u64, function: u64) {
        if self.0.len() >= MAX_PLACES {
            self.0.clear();
        }
        let vote = self.0.entry(place).or_insert(Vote { function, score: 0 });
        if vote.function == function {
            vote.score = (vote.score + 1).min(MAX_SCORE);
        } else if vote.score > 1 {
            vote.score -= 1;
        } else {
            *vote = Vote { function, score: 1 };
        }
    }

    /// The function that is at a place, by what was said of just that.
    pub(super) fn at(&self, place: u64) -> Option<u64> {
        self.0.get(&place).map(|vote| vote.function)
    }

    /// The function that is before a place and behind it.
    pub(super) fn around(&self, place: u64) -> Option<u64> {
        let (_, before) = self.0.range(..place).next_back()?;
        let (_, behind) = self.0.range(place..).next()?;
        (before.function == behind.function).then_some(before.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(all: &[(u64, u64)]) -> Votes {
        let mut votes = Votes::default();
        all.iter().for_each(|(place, function)| votes.add(*place, *function));
        votes
    }

    #[test]
    fn most_are_right() {
        assert_eq!(votes(&[(8, 1), (8, 1), (8, 2)]).at(8), Some(1));
        assert_eq!(votes(&[(8, 2), (8, 1), (8, 1)]).at(8), Some(1));
        assert_eq!(votes(&[(8, 1)]).at(9), None);
        // Code is another function's from some time on.
        let changed = [[(8, 1); 50], [(8, 2); 50]].concat();
        assert_eq!(votes(&changed).at(8), Some(2));
        assert_eq!(votes(&changed[..53]).at(8), Some(1));
    }

    #[test]
    fn what_lies_between_is_of_the_same_function() {
        let votes = votes(&[(10, 1), (20, 1), (30, 2)]);
        assert_eq!(votes.around(15), Some(1));
        for place in [5, 25, 35] {
            assert_eq!(votes.around(place), None, "{place}");
        }
    }
}
