//! Keeps the share of false discoveries among many tests low.

/// The largest probability that still counts as a discovery, by the method of
/// Benjamini and Hochberg (1995): among those called discoveries, at most the
/// share `rate` is expected to be false. `None` if there is no discovery.
/// Holds for independent tests and for those that go up and down together, as
/// functions that call each other do.
pub fn threshold(probabilities: &[f64], rate: f64) -> Option<f64> {
    let mut sorted = probabilities.to_vec();
    sorted.sort_by(f64::total_cmp);
    let limit = |rank: usize| rate * (rank + 1) as f64 / sorted.len() as f64;
    (0..sorted.len())
        .rev()
        .map(|rank| (rank, sorted[rank]))
        .find(|&(rank, p)| p <= limit(rank))
        .map(|(_, p)| p)
}

/// What a probability had to be below to be a discovery, given how many there
/// were: what the power of one more test is reckoned with.
pub fn level(tests: usize, discoveries: usize, rate: f64) -> f64 {
    rate * discoveries.max(1) as f64 / tests.max(1) as f64
}

/// For each probability, the smallest rate at which [`threshold`] makes it a
/// discovery.
pub fn adjusted(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let mut adjusted = vec![1.0; probabilities.len()];
    let mut smallest = 1.0_f64;
    for (rank, &place) in order.iter().enumerate().rev() {
        let rate = probabilities[place] * probabilities.len() as f64 / (rank + 1) as f64;
        smallest = smallest.min(rate);
        adjusted[place] = smallest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discoveries() {
        let check = |probabilities: &[f64], expected| {
            assert_eq!(threshold(probabilities, 0.05), expected, "{probabilities:?}");
        };
        check(&[], None);
        check(&[0.04], Some(0.04));
        check(&[0.06], None);
        check(&[0.04, 0.9], None);
        check(&[0.9, 0.024], Some(0.024));
        // Each alone would be too much; together they are enough.
        check(&[0.04, 0.05], Some(0.05));
        // The example of the paper: the first four are discoveries.
        let paper = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        check(&paper, Some(0.0095));
    }

    #[test]
    fn the_level_follows_the_number_of_tests() {
        assert_eq!(level(1, 0, 0.05), 0.05);
        assert_eq!(level(100, 0, 0.05), 0.0005);
        assert_eq!(level(100, 10, 0.05), 0.005);
    }

    #[test]
    fn adjusted_probabilities_are_the_rates_at_which_they_count() {
        let check = |probabilities: &[f64], expected: &[f64]| {
            let found = adjusted(probabilities);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{probabilities:?}: {found}");
            }
        };
        check(&[], &[]);
        check(&[0.04], &[0.04]);
        check(&[0.04, 0.05], &[0.05, 0.05]);
        check(&[0.9, 0.01, 0.02], &[0.9, 0.03, 0.03]);
        let p = [0.001, 0.01, 0.02, 0.04, 0.5];
        for (p_value, q) in p.iter().zip(adjusted(&p)) {
            assert!(threshold(&p, q + 1e-9).is_some_and(|limit| *p_value <= limit));
            assert!(threshold(&p, q - 1e-9).is_none_or(|limit| *p_value > limit));
        }
    }
}
