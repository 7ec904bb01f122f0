//! What something is on both sides of a comparison, and whether its change is
//! more than noise.

use crate::model::calltree::Amount;

/// The same thing on both sides: before, after. Of several runs on a side, the
/// sum.
pub type Pair = [Amount; 2];

/// What can be said of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is more than before.
    More,
    /// It is less than before.
    Less,
    /// It is there now, and was not before.
    New,
    /// It was there before, and is not now.
    Gone,
    /// Chance explains the change, or it is below the smallest effect of
    /// interest, or there is too little of it to tell.
    #[default]
    NoEvidence,
}

impl Verdict {
    /// The word for it in files for machines; people get
    /// [one that fits what is compared](crate::diff::table::verdict_word).
    pub fn name(self) -> &'static str {
        match self {
            Verdict::More => "more",
            Verdict::Less => "less",
            Verdict::New => "new",
            Verdict::Gone => "gone",
            Verdict::NoEvidence => "no evidence",
        }
    }

    /// Whether there is evidence of a change.
    pub fn is_change(self) -> bool {
        self != Verdict::NoEvidence
    }

    /// Whether there is evidence of more than before.
    pub fn is_more(self) -> bool {
        matches!(self, Verdict::More | Verdict::New)
    }
}

/// What a test of a change gave, in the unit of the comparison's
/// [`Scale`](crate::diff::normalize::Scale).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// How probable at least such a difference is if nothing changed.
    pub p: f64,
    /// Interval that has the true difference in 95 of 100 cases, each change
    /// taken for itself.
    pub interval: [f64; 2],
    /// The same of the ratio of after to before; `None` if there was nothing
    /// before.
    pub ratio_interval: Option<[f64; 2]>,
    /// The smallest difference that would have been called a change in four
    /// of five cases.
    pub detectable: f64,
}

impl Test {
    /// Whether there is no chance in it: both sides were counted.
    pub fn is_exact(&self) -> bool {
        let [low, high] = self.interval;
        low == high
    }
}

/// How something changed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Change {
    /// What was recorded: samples and weights as they are.
    pub amounts: Pair,
    /// The same in the unit of the comparison's
    /// [`Scale`](crate::diff::normalize::Scale).
    pub values: [f64; 2],
    /// What its test gave; `None` if there is too little of it for any change
    /// to be above the smallest effect of interest.
    pub test: Option<Test>,
    /// What can be said of it.
    pub verdict: Verdict,
}

impl Change {
    /// What was added.
    pub fn delta(&self) -> f64 {
        self.values[1] - self.values[0]
    }

    /// After divided by before; `None` if there was nothing before.
    pub fn ratio(&self) -> Option<f64> {
        let [before, after] = self.values;
        (before > 0.0).then(|| after / before)
    }

    /// Whether it is on neither side.
    pub fn is_nothing(&self) -> bool {
        self.amounts.iter().all(|amount| amount.samples == 0)
    }
}
