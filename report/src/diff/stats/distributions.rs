//! Tails and quantiles of the normal, Student's and the binomial
//! distribution.

use std::f64::consts::{PI, SQRT_2};

/// The probability that a standard normal variable exceeds `z`.
pub fn normal_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / SQRT_2)
}

/// What a standard normal variable exceeds with probability `p`; for `p`
/// outside of 0 to 1 infinite.
pub fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    if p.is_nan() || p <= 0.0 {
        return f64::INFINITY;
    }
    // Abramowitz & Stegun, 26.2.23, then two steps of Newton's method.
    let t = (-2.0 * p.ln()).sqrt();
    let mut z = t
        - (2.515517 + t * (0.802853 + t * 0.010328))
            / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    for _ in 0..2 {
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        z += (normal_tail(z) - p) / density.max(f64::MIN_POSITIVE);
    }
    z
}

/// The probability that a variable of Student's distribution exceeds `t`;
/// with infinitely many degrees of freedom it is normal.
pub fn student_tail(t: f64, degrees: f64) -> f64 {
    if degrees > 1e6 {
        return normal_tail(t);
    }
    let half = 0.5 * incomplete_beta(0.5 * degrees, 0.5, degrees / (degrees + t * t));
    if t >= 0.0 { half } else { 1.0 - half }
}

/// What a variable of Student's distribution exceeds with probability `p`.
pub fn student_quantile(p: f64, degrees: f64) -> f64 {
    if p > 0.5 {
        return -student_quantile(1.0 - p, degrees);
    }
    if degrees > 1e6 || p.is_nan() || p <= 0.0 {
        return normal_quantile(p);
    }
    // The tail is convex, so that Newton's method, from where the thinner tail
    // of the normal distribution ends, never goes too far.
    let log_scale = libm::lgamma(0.5 * (degrees + 1.0)) - libm::lgamma(0.5 * degrees);
    let scale = log_scale.exp() / (degrees * PI).sqrt();
    let mut t = normal_quantile(p);
    for _ in 0..100 {
        let density = scale * (1.0 + t * t / degrees).powf(-0.5 * (degrees + 1.0));
        let step = (student_tail(t, degrees) - p) / density.max(f64::MIN_POSITIVE);
        t += step;
        if step.abs() <= 1e-9 * t.abs() {
            break;
        }
    }
    t
}

/// The probability of at least `k` successes among `n` attempts that succeed
/// with probability `p`. Neither number need be whole.
pub fn binomial_tail(k: f64, n: f64, p: f64) -> f64 {
    match k {
        k if k <= 0.0 => 1.0,
        k if k > n => 0.0,
        _ => incomplete_beta(k, n - k + 1.0, p),
    }
}

/// The regularised incomplete beta function, by its continued fraction
/// (DLMF 8.17.22), evaluated by Lentz's method.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return f64::from(u8::from(x >= 1.0));
    }
    // Beyond, the other tail's fraction converges faster.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let log_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let front = (a * x.ln() + b * (-x).ln_1p() - log_beta).exp() / a;
    let away_from_0 = |x: f64| if x.abs() < 1e-300 { 1e-300 } else { x };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_0(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    // Converges in about √max(a, b) steps.
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for step in [even, odd] {
            d = 1.0 / away_from_0(1.0 + step * d);
            c = away_from_0(1.0 + step / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0_f64).abs() < 1e-14 {
            break;
        }
    }
    (front * fraction).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, expected: f64) {
        let error = (value - expected).abs();
        assert!(error <= 1e-6 * expected.abs() + 1e-12, "{value} is not {expected}");
    }

    /// Numbers as tables and R have them.
    #[test]
    fn normal() {
        check(normal_tail(0.0), 0.5);
        check(normal_tail(1.959963985), 0.025);
        check(normal_tail(-1.0), 0.8413447461);
        check(normal_tail(6.0), 9.865876450e-10);
        check(normal_quantile(0.025), 1.959963985);
        check(normal_quantile(0.2), 0.8416212336);
        check(normal_quantile(0.8), -0.8416212336);
        check(normal_quantile(1e-9), 5.997807015);
        assert_eq!(normal_quantile(0.0), f64::INFINITY);
    }

    #[test]
    fn student() {
        check(student_tail(12.7062047364, 1.0), 0.025);
        check(student_tail(2.2281388520, 10.0), 0.025);
        check(student_tail(-2.2281388520, 10.0), 0.975);
        check(student_tail(1.959963985, f64::INFINITY), 0.025);
        // By its definition: a normal variable over the root of a sum of squares, and
        // Simpson's rule.
        for degrees in [1.0_f64, 2.0, 3.5, 12.0, 400.0] {
            let density = |x: f64| (1.0 + x * x / degrees).powf(-0.5 * (degrees + 1.0));
            let area = |from: f64, until: f64| {
                let step = (until - from) / 20_000.0;
                let at = |i: u32| density(from + f64::from(i) * step);
                let inner: f64 = (1..20_000).map(|i| at(i) * f64::from(2 + 2 * (i % 2))).sum();
                (at(0) + inner + at(20_000)) * step / 3.0
            };
            // Behind 1, by x = 1/y.
            let behind = |t: f64| {
                let step = 1.0 / t / 20_000.0;
                let at = |i: u32| match f64::from(i) * step {
                    0.0 if degrees == 1.0 => 1.0,
                    0.0 => 0.0,
                    y => density(1.0 / y) / (y * y),
                };
                let inner: f64 = (1..20_000).map(|i| at(i) * f64::from(2 + 2 * (i % 2))).sum();
                (at(0) + inner + at(20_000)) * step / 3.0
            };
            let half = area(0.0, 1.0) + behind(1.0);
            for t in [0.1, 0.5, 0.9] {
                check(student_tail(t, degrees), 0.5 - 0.5 * area(0.0, t) / half);
            }
            for t in [1.0, 2.0, 6.0, 30.0] {
                check(student_tail(t, degrees), 0.5 * behind(t) / half);
            }
        }
        check(student_quantile(0.025, 1.0), 12.7062047364);
        check(student_quantile(0.0005, 4.0), 8.6103015814);
        check(student_quantile(0.2, 8.0), 0.8888895178);
        check(student_quantile(0.8, 8.0), -0.8888895178);
        check(student_quantile(0.025, f64::INFINITY), 1.959963985);
    }

    #[test]
    fn binomial() {
        check(binomial_tail(0.0, 5.0, 0.5), 1.0);
        check(binomial_tail(5.0, 5.0, 0.5), 0.03125);
        check(binomial_tail(8.0, 10.0, 0.5), 0.0546875);
        check(binomial_tail(60.0, 100.0, 0.5), 0.02844396682);
        check(binomial_tail(1.0, 3.0, 0.1), 0.271);
        check(binomial_tail(6.0, 5.0, 0.5), 0.0);
        for n in [1_u32, 7, 60, 900] {
            for p in [0.01_f64, 0.3, 0.5, 0.97] {
                // By its definition, from the most successes down.
                let (mut tail, mut log_choose) = (0.0, 0.0_f64);
                for k in (1..=n).rev() {
                    let failures = f64::from(n - k);
                    tail += (log_choose + f64::from(k) * p.ln() + failures * (-p).ln_1p()).exp();
                    check(binomial_tail(f64::from(k), f64::from(n), p), tail);
                    log_choose += (f64::from(k) / (failures + 1.0)).ln();
                }
            }
        }
        let tail = binomial_tail(5_100.0, 10_000.0, 0.5);
        assert!((tail - normal_tail(1.99)).abs() < 1e-4, "{tail}");
    }
}
