//! How much runs of one side differ.

/// What the runs of one side add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Runs {
    /// Sum of weights.
    pub weight: f64,
    /// Sum of exposures.
    pub exposure: f64,
    /// Sum of weight² / exposure.
    pub squares: f64,
    /// How many.
    pub count: usize,
}

impl Runs {
    /// Adds a run; one without exposure tells nothing.
    pub fn add(&mut self, weight: f64, exposure: f64) {
        if exposure > 0.0 {
            self.weight += weight;
            self.exposure += exposure;
            self.squares += weight * weight / exposure;
            self.count += 1;
        }
    }

    /// Sum of squares within: of how far runs are from what their exposures
    /// let expect.
    pub fn within(&self) -> f64 {
        let weight = self.weight;
        (self.squares - weight * weight / self.exposure.max(f64::MIN_POSITIVE)).max(0.0)
    }
}

/// The dispersion of quasi-Poisson variables, the same on both sides, by
/// Pearson's statistic; and with how many degrees of freedom, which are 0 if
/// nothing is there or it is in single runs only.
pub fn common(sides: [Runs; 2]) -> (f64, f64) {
    let (mut found, mut degrees) = (0.0, 0.0);
    for side in sides.into_iter().filter(|side| side.weight > 0.0) {
        found += side.within() * side.exposure / side.weight;
        degrees += side.count.saturating_sub(1) as f64;
    }
    (found / f64::max(degrees, 1.0), degrees)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dispersion_of_runs() {
        let check = |sides: [&[(f64, f64)]; 2], expected: (f64, f64)| {
            let (found, degrees) = common(sides.map(|runs| {
                let mut sums = Runs::default();
                runs.iter().for_each(|&(weight, exposure)| sums.add(weight, exposure));
                sums
            }));
            assert!((found - expected.0).abs() < 1e-9, "{sides:?}: {found}");
            assert_eq!(degrees, expected.1, "{sides:?}");
        };
        // Variance by mean: 2 / 10.
        check([&[(9.0, 1.0), (11.0, 1.0)], &[(10.0, 1.0)]], (0.2, 1.0));
        check([&[(9.0, 1.0), (11.0, 1.0)], &[(10.0, 1.0), (10.0, 1.0)]], (0.1, 2.0));
        // What lasts longer has more.
        check([&[(10.0, 1.0), (20.0, 2.0)], &[(30.0, 3.0), (10.0, 1.0)]], (0.0, 2.0));
        // What is nowhere, or not on a side, says nothing there.
        check([&[(0.0, 1.0), (0.0, 1.0)], &[(9.0, 1.0), (11.0, 1.0)]], (0.2, 1.0));
        check([&[(0.0, 1.0), (0.0, 1.0)], &[(9.0, 1.0)]], (0.0, 0.0));
        check([&[(0.0, 0.0)], &[]], (0.0, 0.0));
    }
}
