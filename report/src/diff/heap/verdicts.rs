//! Says which changes of allocations are more than chance.
//!
//! Numbers that were counted have no error, so that any change of them is one,
//! if it is large enough to be of interest. How much one run differs from the
//! next is not known from one run on each side.

use super::{HeapChange, HeapPair};
use crate::diff::change::{Change, Test, Verdict};
use crate::diff::stats::distributions::{normal_quantile, normal_tail};
use crate::diff::stats::fdr;
use crate::diff::verdicts::{CONFIDENCE, POWER};
use crate::model::calltree::Amount;

/// What it takes to be called a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeapLimits {
    /// Share of false ones among those called changes, at most.
    pub fdr: f64,
    /// The smallest difference of interest.
    pub least: f64,
}

/// Judges changes of one family, which are tested together.
pub(super) fn judge(
    changes: impl Iterator<Item = (HeapChange, HeapPair)>,
    limits: HeapLimits,
) -> Vec<Change> {
    let changes: Vec<(HeapChange, HeapPair)> = changes.collect();
    let is_tested = |change: &HeapChange| {
        let both = change.before.value + change.after.value;
        both > 0.0 && both >= limits.least
    };
    let tested: Vec<f64> =
        changes.iter().map(|(c, _)| c).filter(|c| is_tested(c)).map(probability).collect();
    let threshold = fdr::threshold(&tested, limits.fdr);
    let is_found = |p: f64| threshold.is_some_and(|threshold| p <= threshold);
    let found = tested.iter().filter(|p| is_found(**p)).count();
    let level = fdr::level(tested.len(), found, limits.fdr);
    let judged = changes.iter().map(|(change, pair)| {
        let test = is_tested(change).then(|| test(change, level, limits.least));
        let more_than_chance = test.is_some_and(|test| is_found(test.p));
        Change {
            amounts: pair.map(|sum| Amount {
                samples: sum.recorded,
                // Saturates.
                weight: sum.bytes.value.round() as u64,
            }),
            values: [change.before.value, change.after.value],
            test,
            verdict: match pair.map(|sum| sum.recorded) {
                _ if !more_than_chance || change.delta().abs() < limits.least => {
                    Verdict::NoEvidence
                }
                [0, _] => Verdict::New,
                [_, 0] => Verdict::Gone,
                _ if change.delta() > 0.0 => Verdict::More,
                _ => Verdict::Less,
            },
        }
    });
    judged.collect()
}

/// How probable at least such a difference is if nothing changed.
fn probability(change: &HeapChange) -> f64 {
    match (change.delta().abs(), change.variance.sqrt()) {
        (0.0, _) => 1.0,
        (delta, error) if error > 0.0 => 2.0 * normal_tail(delta / error),
        _ => 0.0,
    }
}

fn test(change: &HeapChange, level: f64, least: f64) -> Test {
    let error = change.variance.sqrt();
    let margin = normal_quantile((1.0 - CONFIDENCE) / 2.0) * error;
    let interval = [change.delta() - margin, change.delta() + margin];
    let before = change.before.value;
    // The difference has the error of both sides.
    let ratio_interval =
        (before > 0.0).then(|| interval.map(|delta| (1.0 + delta / before).max(0.0)));
    let detectable = (normal_quantile(level / 2.0) + normal_quantile(1.0 - POWER)) * error;
    Test { p: probability(change), interval, ratio_interval, detectable: detectable.max(least) }
}

#[cfg(test)]
mod tests {
    use rz_profile::heap::{Estimate, Sum};

    use super::*;

    /// Before, after, and the variance of each.
    #[track_caller]
    fn check(numbers: &[(f64, f64, f64)], expected: &[Verdict]) {
        let change = |&(before, after, variance): &(f64, f64, f64)| {
            let estimate = |value| Estimate { value, variance };
            let change = HeapChange {
                before: estimate(before),
                after: estimate(after),
                variance: 2.0 * variance,
            };
            let sum = |value| Sum { recorded: (value > 0.0).into(), ..Sum::default() };
            (change, [sum(before), sum(after)])
        };
        let judged = judge(numbers.iter().map(change), HeapLimits { fdr: 0.05, least: 5.0 });
        let verdicts: Vec<Verdict> = judged.iter().map(|change| change.verdict).collect();
        assert_eq!(verdicts, expected, "{judged:?}");
    }

    #[test]
    fn counted_and_estimated() {
        use Verdict::{Gone, Less, More, New, NoEvidence};
        // Counted: any change that is of interest.
        check(
            &[(100.0, 106.0, 0.0), (100.0, 104.0, 0.0), (100.0, 90.0, 0.0)],
            &[More, NoEvidence, Less],
        );
        check(&[(0.0, 9.0, 0.0), (9.0, 0.0, 0.0), (2.0, 0.0, 0.0)], &[New, Gone, NoEvidence]);
        // Estimated: two standard errors are enough alone, but not among many.
        let (two_errors, same) = ((100.0, 130.0, 100.0), (100.0, 101.0, 100.0));
        check(&[two_errors], &[More]);
        let mut many = vec![same; 20];
        many[7] = two_errors;
        check(&many, &[NoEvidence; 20]);
    }

    #[test]
    fn intervals_have_the_error_of_both_sides() {
        let estimate = |value| Estimate { value, variance: 50.0 };
        let change =
            HeapChange { before: estimate(100.0), after: estimate(120.0), variance: 100.0 };
        let test = test(&change, 0.05, 0.0);
        let [low, high] = test.interval;
        assert!((low - 0.4).abs() < 0.01 && (high - 39.6).abs() < 0.01, "{test:?}");
        let [low, high] = test.ratio_interval.unwrap();
        assert!((low - 1.004).abs() < 1e-3 && (high - 1.396).abs() < 1e-3, "{test:?}");
        // 1.96 and 0.84 standard errors.
        assert!((test.detectable - 28.0).abs() < 0.1, "{test:?}");
        assert!((test.p - 0.0455).abs() < 1e-3, "{test:?}");
    }
}
