//! Tests whether it matters which runs were before and which after, assuming
//! nothing about how runs vary.

/// Splits that are all tried; of more, as many are drawn as are needed.
const MAX_EXACT: f64 = 20_000.0;
/// Splits that are drawn, at most.
const MAX_DRAWS: usize = 200_000;

/// The smallest probability that a permutation test of so many runs on each
/// side can give, if every split is tried.
pub fn smallest_probability(runs: [usize; 2]) -> f64 {
    let splits = splits(runs);
    // With as many runs on both sides, each split has a mirror image that is
    // as extreme.
    if runs[0] == runs[1] { 2.0 / splits } else { 1.0 / splits }
}

/// In how many ways so many runs could have been split.
fn splits([first, second]: [usize; 2]) -> f64 {
    let few = first.min(second);
    (0..few).fold(1.0, |splits, i| splits * (first + second - i) as f64 / (i + 1) as f64)
}

/// How probable a difference of rates at least as large is, if runs (weight
/// and exposure; the `first` ones are those of one side) are split at random.
/// To be compared with `level`, which decides how many splits are drawn where
/// there are too many to try all.
pub fn probability(runs: &[(f64, f64)], first: usize, level: f64) -> f64 {
    let second = runs.len().saturating_sub(first);
    if first == 0 || second == 0 {
        return 1.0;
    }
    let all = Sums::of(runs.iter());
    let mut order: Vec<usize> = (0..runs.len()).collect();
    let observed = all.distance(Sums::of(runs[..first].iter()));
    // Equal distances may differ in how they were rounded.
    let as_far = |chosen: &[usize]| {
        all.distance(Sums::of(chosen.iter().map(|&run| &runs[run]))) >= observed * (1.0 - 1e-9)
    };
    let splits = splits([first, second]);
    if splits <= MAX_EXACT {
        let mut chosen: Vec<usize> = (0..first).collect();
        let mut found = 0.0;
        loop {
            found += f64::from(u8::from(as_far(&chosen)));
            if !next_choice(&mut chosen, runs.len()) {
                return found / splits;
            }
        }
    }
    let draws = ((20.0 / level.max(1e-9)) as usize).clamp(10_000, MAX_DRAWS);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut found = 0;
    for _ in 0..draws {
        for i in 0..first {
            order.swap(i, i + random.below(runs.len() - i));
        }
        found += usize::from(as_far(&order[..first]));
    }
    (found + 1) as f64 / (draws + 1) as f64
}

/// The next set of indices below `n`, in lexical order; false if it was the last.
fn next_choice(chosen: &mut [usize], n: usize) -> bool {
    let k = chosen.len();
    let Some(i) = (0..k).rev().find(|&i| chosen[i] < n - k + i) else { return false };
    chosen[i] += 1;
    for j in i + 1..k {
        chosen[j] = chosen[j - 1] + 1;
    }
    true
}

/// What runs add up to.
#[derive(Clone, Copy, Default)]
struct Sums {
    weight: f64,
    exposure: f64,
    /// Sum of weight² / exposure.
    squares: f64,
}

impl Sums {
    fn of<'r>(runs: impl Iterator<Item = &'r (f64, f64)>) -> Self {
        runs.filter(|(_, exposure)| *exposure > 0.0).fold(
            Sums::default(),
            |sums, (weight, exposure)| Sums {
                weight: sums.weight + weight,
                exposure: sums.exposure + exposure,
                squares: sums.squares + weight * weight / exposure,
            },
        )
    }

    /// How far the rates of `one` side and of the rest are apart, in squares
    /// of the standard error of the difference, but for a factor.
    fn distance(self, one: Sums) -> f64 {
        let other = Sums {
            weight: self.weight - one.weight,
            exposure: self.exposure - one.exposure,
            squares: self.squares - one.squares,
        };
        let rate = |side: Sums| side.weight / side.exposure.max(f64::MIN_POSITIVE);
        let within = |side: Sums| (side.squares - side.weight * rate(side)).max(0.0);
        let delta = rate(one) - rate(other);
        let error = (1.0 / one.exposure + 1.0 / other.exposure) * (within(one) + within(other));
        // Without any variation, rounding is left.
        delta * delta / error.max(self.squares / self.exposure * 1e-15).max(f64::MIN_POSITIVE)
    }
}

/// A generator of random numbers (xorshift64*), the same ones each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * limit as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(weights: &[f64]) -> Vec<(f64, f64)> {
        weights.iter().map(|&weight| (weight, 1.0)).collect()
    }

    #[test]
    fn few_runs_are_split_in_every_way() {
        let check = |before: &[f64], after: &[f64], expected: f64| {
            let p = probability(&runs(&[before, after].concat()), before.len(), 0.05);
            assert!((p - expected).abs() < 1e-9, "{before:?} {after:?}: {p}");
        };
        check(&[1.0, 2.0, 3.0], &[7.0, 8.0, 9.0], 2.0 / 20.0);
        check(&[1.0, 2.0, 3.0, 4.0], &[7.0, 8.0, 9.0, 11.0], 2.0 / 70.0);
        check(&[5.0, 5.0], &[5.0, 5.0], 1.0);
        check(&[1.0], &[2.0, 3.0, 4.0], 0.5);
        check(&[], &[2.0], 1.0);
    }

    #[test]
    fn many_runs_are_split_at_random() {
        let before: Vec<f64> = (0..12).map(|i| 100.0 + f64::from(i)).collect();
        let of = |shift: f64| {
            let after = before.iter().map(|w| w + shift);
            let both: Vec<f64> = before.iter().copied().chain(after).collect();
            probability(&runs(&both), 12, 0.05)
        };
        assert!(of(0.0) > 0.9);
        assert!(of(10.0) < 0.001, "{}", of(10.0));
        assert_eq!(of(3.0), of(3.0));
        assert!((0.01..0.2).contains(&of(3.0)), "{}", of(3.0));
    }

    #[test]
    fn longer_runs_have_more() {
        // The rate is 1 everywhere.
        let runs = [(10.0, 10.0), (11.0, 11.0), (9.0, 9.0), (30.0, 30.0), (29.0, 29.0)];
        assert!(probability(&runs, 3, 0.05) > 0.5);
    }

    #[test]
    fn how_little_can_be_reached() {
        assert_eq!(smallest_probability([3, 3]), 0.1);
        assert_eq!(smallest_probability([1, 19]), 0.05);
        assert!((smallest_probability([10, 10]) - 2.0 / 184_756.0).abs() < 1e-12);
    }
}
