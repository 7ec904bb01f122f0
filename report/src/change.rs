//! Tells a change between two recordings from sampling noise.

use crate::calltree::Amount;

/// The same thing in both recordings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair {
    /// In the first recording.
    pub before: Amount,
    /// In the second recording.
    pub after: Amount,
}

/// How long and how finely a recording looked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// For how long samples were taken, in nanoseconds; not 0.
    pub duration_ns: f64,
    /// Mean weight of a sample; `None` if there were none.
    pub period: Option<f64>,
}

impl Exposure {
    /// The exposure of a recording with samples of this sum.
    pub fn new(duration_ns: u64, total: Amount) -> Self {
        let period = (total.samples > 0).then(|| total.weight as f64 / total.samples as f64);
        Exposure { duration_ns: duration_ns as f64, period }
    }
}

/// What a pair is in weight per nanosecond of wall time, which for CPU time
/// is cores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// In the first recording.
    pub before: f64,
    /// In the second recording.
    pub after: f64,
    /// How far two recordings of the same load would typically be apart: the
    /// standard error of the difference, from the number of samples.
    pub standard_error: f64,
}

/// How many standard errors a change may have before it is more than noise:
/// chance alone goes beyond two in about one of 20 cases.
pub const NOISE_LIMIT: f64 = 2.0;

impl Change {
    /// The change of `pair` from one exposure to another.
    ///
    /// Samples are counts, so their variance is their number (Poisson), and
    /// if nothing changed both sides sample one rate. With that rate `r`,
    /// weight per sample `p` and duration `T`, a side's variance is `r·p/T`.
    pub fn new(pair: Pair, before: Exposure, after: Exposure) -> Self {
        let (a, b) = (pair.before.weight as f64, pair.after.weight as f64);
        let rate = (a + b) / (before.duration_ns + after.duration_ns);
        let a_period = before.period.or(after.period).unwrap_or(0.0);
        let b_period = after.period.or(before.period).unwrap_or(0.0);
        let variance = rate * (a_period / before.duration_ns + b_period / after.duration_ns);
        Change {
            before: a / before.duration_ns,
            after: b / after.duration_ns,
            standard_error: variance.sqrt(),
        }
    }

    /// What was added.
    pub fn delta(&self) -> f64 {
        self.after - self.before
    }

    /// Whether the change is within `limit` standard errors.
    pub fn is_noise(&self, limit: f64) -> bool {
        self.delta().abs() <= limit * self.standard_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const PERIOD: u64 = SECOND / 100;

    /// `before` and `after` samples, each worth [`PERIOD`], in ten seconds.
    fn change(before: u64, after: u64) -> Change {
        let [before, after] =
            [before, after].map(|samples| Amount { samples, weight: samples * PERIOD });
        let exposure = |total| Exposure::new(10 * SECOND, total);
        Change::new(Pair { before, after }, exposure(before), exposure(after))
    }

    #[test]
    fn few_samples_prove_nothing() {
        let check = |before, after, noise: bool| {
            let change = change(before, after);
            assert_eq!(change.is_noise(NOISE_LIMIT), noise, "{before} {after} {change:?}");
        };
        check(0, 0, true);
        check(1, 1, true);
        check(0, 3, true);
        check(0, 5, false);
        check(5, 0, false);
        check(100, 120, true);
        check(100, 135, false);
    }

    #[test]
    fn rates_are_per_wall_time() {
        let change = change(100, 200);
        assert!((change.before - 0.1).abs() < 1e-12, "{change:?}");
        assert!((change.delta() - 0.1).abs() < 1e-12, "{change:?}");
        // √300 samples of 10 ms in 10 s.
        assert!((change.standard_error - 300_f64.sqrt() / 1000.0).abs() < 1e-9, "{change:?}");
    }

    #[test]
    fn the_coarser_side_sets_the_noise() {
        // 5 samples of 0.1 ms say nothing against none of 10 ms.
        let fine = Amount { samples: 5, weight: 5 * PERIOD / 100 };
        let pair = Pair { before: Amount::default(), after: fine };
        let coarse = Exposure { duration_ns: 1e10, period: Some(PERIOD as f64) };
        let change = Change::new(pair, coarse, Exposure::new(10 * SECOND, fine));
        assert!(change.is_noise(NOISE_LIMIT), "{change:?}");
    }
}
