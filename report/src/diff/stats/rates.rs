//! Compares two rates of weight per exposure that are overdispersed Poisson
//! variables.
//!
//! A sum of weights of which `φ` is the variance per unit (of samples of equal
//! weight that come by chance alone, `φ` is that weight; in bursts it is more)
//! is like a Poisson count of `weight / φ`. Given how many there are on both
//! sides together, the count of one side is binomial if the rates are equal,
//! which is exact also where there are few or none. That `φ` is itself an
//! estimate makes tails longer, as from the normal to Student's distribution.
//!
//! What is counted on both sides has no variance. Then every difference is
//! real, and is known exactly.

use super::distributions::{binomial_tail, normal_quantile, student_quantile, student_tail};

/// The rate of one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// What was found.
    pub weight: f64,
    /// In how much time, or whatever it is divided by; above 0.
    pub exposure: f64,
    /// Variance of the weight per unit of weight; 0 if the weight is exact,
    /// which it is on both sides or on neither.
    pub dispersion: f64,
}

/// The rates of two sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Before and after.
    pub sides: [Rate; 2],
    /// Degrees of freedom that their dispersions are estimated with; infinite
    /// if they are known.
    pub degrees: f64,
}

impl Rates {
    /// Whether both rates are exact.
    fn are_exact(&self) -> bool {
        self.sides.iter().all(|side| side.dispersion == 0.0)
    }
}

impl Rate {
    /// Weight per exposure.
    pub fn value(&self) -> f64 {
        self.weight / self.exposure
    }

    /// As how many independent events of equal weight it is.
    fn count(&self) -> f64 {
        self.weight / self.dispersion
    }

    /// Variance of the rate per unit of rate.
    fn variance(&self) -> f64 {
        self.dispersion / self.exposure
    }
}

/// Above this variance the binomial distribution is normal.
const NORMAL: f64 = 2_500.0;

/// How probable it is that equal rates differ by at least as much, on either
/// side.
pub fn probability(rates: Rates) -> f64 {
    let [a, b] = rates.sides;
    if a.value() == b.value() {
        return 1.0;
    }
    if rates.are_exact() {
        return 0.0;
    }
    let (count, all) = (b.count(), a.count() + b.count());
    // The share of the second side if the rates are equal.
    let share = a.variance() / (a.variance() + b.variance());
    let variance = all * share * (1.0 - share);
    let z = if variance > NORMAL {
        (count - all * share).abs() / variance.sqrt()
    } else {
        let more = binomial_tail(count, all, share);
        let less = binomial_tail(all - count, all, 1.0 - share);
        normal_quantile(more.min(less).min(0.5))
    };
    (2.0 * student_tail(z, rates.degrees)).min(1.0)
}

/// The interval that has the true difference of the second to the first rate
/// with probability `confidence`: from the limits of each (Wilson and
/// Hilferty 1931) by Zou and Donner's method (2008).
pub fn interval(rates: Rates, confidence: f64) -> [f64; 2] {
    let [a, b] = rates.sides.map(|rate| rate.value());
    let delta = b - a;
    if rates.are_exact() {
        return [delta, delta];
    }
    let z = student_quantile((1.0 - confidence) / 2.0, rates.degrees);
    let limits = rates.sides.map(|rate| {
        let unit = rate.variance();
        let at = |count: f64, z: f64| {
            let root = 1.0 - 1.0 / (9.0 * count) + z / (3.0 * count.sqrt());
            unit * count * root.max(0.0).powi(3)
        };
        let count = rate.count();
        let low = if count > 0.0 { at(count, -z).min(rate.value()) } else { 0.0 };
        [low, at(count + 1.0, z)]
    });
    let below = (b - limits[1][0]).hypot(limits[0][1] - a);
    let above = (limits[1][1] - b).hypot(a - limits[0][0]);
    [delta - below, delta + above]
}

/// The same of the ratio; `None` if the first rate is 0.
pub fn ratio_interval(rates: Rates, confidence: f64) -> Option<[f64; 2]> {
    let [a, b] = rates.sides;
    if a.weight <= 0.0 {
        return None;
    }
    if rates.are_exact() {
        let ratio = b.value() / a.value();
        return Some([ratio, ratio]);
    }
    let z = student_quantile((1.0 - confidence) / 2.0, rates.degrees);
    let error = (1.0 / (a.count() + 0.5) + 1.0 / (b.count() + 0.5)).sqrt();
    let middle = (b.weight + 0.5 * b.dispersion)
        / b.exposure
        / ((a.weight + 0.5 * a.dispersion) / a.exposure);
    let low = if b.weight > 0.0 { middle * (-z * error).exp() } else { 0.0 };
    Some([low, middle * (z * error).exp()])
}

/// The smallest increase over what both rates have in common that a test at
/// `level` finds with probability `power`, if changes below `least` do not
/// count.
pub fn detectable(rates: Rates, level: f64, power: f64, least: f64) -> f64 {
    if rates.are_exact() {
        return least;
    }
    let [a, b] = rates.sides;
    let by_chance = student_quantile(level / 2.0, rates.degrees);
    let reserve = student_quantile(1.0 - power, rates.degrees);
    let pooled = (a.count() + b.count()) / (1.0 / a.variance() + 1.0 / b.variance());
    // Square roots of counts have a variance of 1/4, however many they are.
    let above = |errors: f64| {
        let root = 0.5 * errors * (a.variance() + b.variance()).sqrt();
        2.0 * root * pooled.sqrt() + root * root
    };
    above(by_chance + reserve).max(least + above(reserve))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(weight: f64, exposure: f64, dispersion: f64) -> Rate {
        Rate { weight, exposure, dispersion }
    }

    fn both(a: Rate, b: Rate) -> Rates {
        Rates { sides: [a, b], degrees: f64::INFINITY }
    }

    fn near(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance, "{value} is not {expected}");
    }

    /// What few samples prove: 10 s on each side, samples of weight 1.
    #[test]
    fn few_samples_prove_little() {
        let check = |before: f64, after: f64, expected: f64| {
            let p = probability(both(rate(before, 10.0, 1.0), rate(after, 10.0, 1.0)));
            near(p, expected, 5e-4);
        };
        check(0.0, 0.0, 1.0);
        check(3.0, 3.0, 1.0);
        check(0.0, 5.0, 0.0625);
        check(5.0, 0.0, 0.0625);
        check(0.0, 8.0, 0.0078);
        check(10.0, 20.0, 0.0987);
        check(100.0, 135.0, 0.0263);
        check(8000.0, 8200.0, 0.1161);
    }

    #[test]
    fn exposures_and_dispersions_count() {
        // Twice the time and twice the samples is no change.
        near(probability(both(rate(100.0, 10.0, 1.0), rate(200.0, 20.0, 1.0))), 1.0, 0.0);
        // In clumps of four, it is a fourth as many.
        let clumps = probability(both(rate(400.0, 10.0, 4.0), rate(540.0, 10.0, 4.0)));
        near(clumps, probability(both(rate(100.0, 10.0, 1.0), rate(135.0, 10.0, 1.0))), 1e-12);
        // Five fine samples say nothing against none of a hundred times the weight.
        assert!(probability(both(rate(0.0, 10.0, 1.0), rate(0.05, 10.0, 0.01))) > 0.5);
    }

    #[test]
    fn what_is_counted_is_exact() {
        let check = |before: f64, after: f64, p: f64, ratio: Option<f64>| {
            let rates = both(rate(before, 10.0, 0.0), rate(after, 5.0, 0.0));
            assert_eq!(probability(rates), p);
            let delta = after / 5.0 - before / 10.0;
            assert_eq!(interval(rates, 0.95), [delta; 2]);
            assert_eq!(ratio_interval(rates, 0.95), ratio.map(|ratio| [ratio; 2]));
            assert_eq!(detectable(rates, 0.05, 0.8, 3.0), 3.0);
        };
        check(20.0, 10.0, 1.0, Some(1.0));
        check(20.0, 11.0, 0.0, Some(1.1));
        check(20.0, 0.0, 0.0, Some(0.0));
        check(0.0, 1.0, 0.0, None);
    }

    /// How often at least so many samples come, if there are half a sample's
    /// worth on the side that is known much better: Poisson, and not normal.
    #[test]
    fn few_samples_against_many_fine_ones() {
        let p = probability(both(rate(0.5, 10.0, 1e-3), rate(3.0, 10.0, 1.0)));
        near(p, 2.0 * 0.01439, 1e-3);
    }

    #[test]
    fn an_estimated_dispersion_proves_less() {
        let p = |degrees| {
            let rates = both(rate(100.0, 10.0, 1.0), rate(150.0, 10.0, 1.0));
            probability(Rates { degrees, ..rates })
        };
        assert!(p(1.0) > p(5.0) && p(5.0) > p(50.0) && p(50.0) > p(f64::INFINITY));
        near(p(1e9), p(f64::INFINITY), 1e-6);
    }

    #[test]
    fn intervals_are_around_the_difference() {
        let rates = both(rate(1000.0, 10.0, 1.0), rate(1210.0, 10.0, 1.0));
        let error = 2210_f64.sqrt() / 10.0;
        let [low, high] = interval(rates, 0.95);
        near(low, 21.0 - 1.96 * error, 0.2);
        near(high, 21.0 + 1.96 * error, 0.2);
        let [low, high] = ratio_interval(rates, 0.95).unwrap();
        near(low, 1.21 / 1.089, 0.003);
        near(high, 1.21 * 1.089, 0.003);
        assert_eq!(ratio_interval(both(rate(0.0, 1.0, 1.0), rate(1.0, 1.0, 1.0)), 0.95), None);
        // Of a side with nothing, only the upper limit is known: 3.7 events.
        let [low, high] = interval(both(rate(0.0, 10.0, 1.0), rate(0.0, 10.0, 1.0)), 0.95);
        near(low, -0.37, 0.02);
        near(high, 0.37, 0.02);
    }

    /// How probable each count is if `mean` is expected: Poisson, by its definition.
    fn counts(mean: f64) -> Vec<(f64, f64)> {
        let from = (mean - 9.0 * mean.sqrt() - 9.0).max(0.0).floor();
        let until = mean + 9.0 * mean.sqrt() + 15.0;
        let mut log_factorial: f64 = (1..=from as u32).map(|k| f64::from(k).ln()).sum();
        let mut all = Vec::new();
        let mut count = from;
        while count < until {
            all.push((count, (count * mean.ln() - mean - log_factorial).exp()));
            count += 1.0;
            log_factorial += count.ln();
        }
        all
    }

    /// The probability that what `holds` says of two counts is so, for each pair of these
    /// means and exposures: added up over all that can come.
    fn each_probability(
        holds: impl Fn([f64; 2], Rates) -> bool,
        mut check: impl FnMut([f64; 2], f64),
    ) {
        const MEANS: [f64; 5] = [0.5, 2.0, 10.0, 50.0, 200.0];
        for exposures in [[1.0, 1.0], [1.0, 5.0], [5.0, 1.0]] {
            for (first, second) in MEANS.iter().flat_map(|a| MEANS.iter().map(move |b| (*a, *b))) {
                let truth = [first / exposures[0], second / exposures[1]];
                let mut sum = 0.0;
                for (a, p) in counts(first) {
                    for (b, q) in counts(second) {
                        let sides = [rate(a, exposures[0], 1.0), rate(b, exposures[1], 1.0)];
                        sum += if holds(truth, both(sides[0], sides[1])) { p * q } else { 0.0 };
                    }
                }
                check([first, second], sum);
            }
        }
    }

    #[test]
    fn intervals_have_the_truth_as_often_as_they_say() {
        for confidence in [0.8, 0.95, 0.99] {
            let has_truth = |[a, b]: [f64; 2], rates| {
                let [low, high] = interval(rates, confidence);
                (low..=high).contains(&(b - a))
            };
            each_probability(has_truth, |means, p| {
                assert!(p >= confidence, "{p} of {confidence} for {means:?}");
            });
            let has_ratio = |[a, b]: [f64; 2], rates| {
                let found = ratio_interval(rates, confidence);
                found.is_none_or(|[low, high]| (low..=high).contains(&(b / a)))
            };
            each_probability(has_ratio, |means, p| {
                // It goes by logarithms, which are not normal for a handful of samples.
                let missing = if means.iter().all(|&mean| mean >= 10.0) { 0.005 } else { 0.15 };
                assert!(p >= confidence - missing, "{p} of {confidence} for {means:?}");
            });
        }
    }

    /// Equal rates are told to differ no more often than the level says.
    #[test]
    fn false_alarms_are_as_rare_as_the_level() {
        for level in [0.2, 0.05, 0.001] {
            for (mean, exposure) in [(0.5, 1.0), (2.0, 5.0), (10.0, 1.0), (50.0, 5.0), (200.0, 1.0)]
            {
                let mut sum = 0.0;
                for (a, p) in counts(mean) {
                    for (b, q) in counts(mean * exposure) {
                        let rates = both(rate(a, 1.0, 1.0), rate(b, exposure, 1.0));
                        sum += if probability(rates) <= level { p * q } else { 0.0 };
                    }
                }
                assert!(sum <= level, "{sum} at {level} for {mean} in {exposure}");
            }
        }
    }

    #[test]
    fn what_could_have_been_seen() {
        let rates = both(rate(1000.0, 10.0, 1.0), rate(1000.0, 10.0, 1.0));
        // 2.8 standard errors of 4.47.
        near(detectable(rates, 0.05, 0.8, 0.0), 2.8 * 4.47, 0.5);
        assert!(detectable(rates, 0.001, 0.8, 0.0) > detectable(rates, 0.05, 0.8, 0.0));
        near(detectable(rates, 0.05, 0.8, 100.0), 100.0 + 0.84 * 4.47, 0.2);
        // Of what was not there at all, a handful of samples.
        let none = both(rate(0.0, 10.0, 1.0), rate(0.0, 10.0, 1.0));
        near(detectable(none, 0.05, 0.8, 0.0), 0.39, 0.02);
    }
}
