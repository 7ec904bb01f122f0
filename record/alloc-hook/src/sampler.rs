//! Which allocations are sampled: those in which a point of a Poisson process
//! over the thread's allocated bytes lies.
//!
//! The distance from one point to the next is exponential, which has no
//! memory: after a sample it is drawn anew, and so each allocation is sampled
//! with the same chance 1 - exp(-size / mean), whatever came before it.

use crate::slot::Private;

/// Draws the distance to the next sample.
pub(crate) fn draw(private: &Private) {
    let (random, state) = next(private.random.get());
    private.random.set(state);
    private.bytes_left.set(distance(random, private.mean_interval.get()));
}

/// A random number, and the state that follows: xorshift64*.
fn next(mut state: u64) -> (u64, u64) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d), state)
}

/// An exponentially distributed number of bytes.
fn distance(random: u64, mean: u64) -> i64 {
    // Above 0, and at most 1.
    let uniform = ((random >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    (-libm::log(uniform) * mean as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums up estimates of what is allocated in one size.
    fn check(size: u64, mean: u64) {
        let count = 2_000_000;
        let mut state = 0x1234_5678_9abc_def1;
        let mut draw = || {
            let (random, new) = next(state);
            state = new;
            distance(random, mean)
        };
        let mut left = draw();
        let mut samples = 0_u64;
        for _ in 0..count {
            left -= size as i64;
            if left < 0 {
                samples += 1;
                left = draw();
            }
        }
        let chance = 1.0 - (-(size as f64) / mean as f64).exp();
        let estimate = samples as f64 / chance;
        // Five standard deviations of a binomial distribution.
        let deviation = (f64::from(count) * chance * (1.0 - chance)).sqrt() / chance;
        let error = (estimate - f64::from(count)).abs();
        assert!(error <= 5.0 * deviation.max(1.0), "{size} of {mean}: {estimate} ± {deviation}");
    }

    #[test]
    fn estimates_are_unbiased() {
        for (size, mean) in [(1, 100), (16, 4096), (100, 1), (4096, 4096), (50_000, 4096)] {
            check(size, mean);
        }
    }

    #[test]
    fn extreme_draws() {
        assert_eq!(distance(u64::MAX, 1 << 19), 0);
        assert!(distance(0, 1 << 19) < 40 << 19);
        assert!(distance(0, u64::MAX) > 0);
    }
}
