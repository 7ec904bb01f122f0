//! How well a share is known that was found in samples.

/// Standard deviations to each side of the middle that 95 % of a normal distribution
/// are in.
const Z: f64 = 1.96;

/// The 95 % confidence interval of a share that was found in so many samples
/// (Wilson's score interval).
pub(crate) fn share_interval(share: f64, samples: f64) -> [f64; 2] {
    if samples <= 0.0 {
        return [0.0, 1.0];
    }
    let square = Z * Z;
    let middle = share + square / (2.0 * samples);
    let spread =
        Z * (share * (1.0 - share) / samples + square / (4.0 * samples * samples)).max(0.0).sqrt();
    let scale = 1.0 + square / samples;
    [(middle - spread) / scale, (middle + spread) / scale].map(|bound| bound.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_tell_little() {
        let [low, high] = share_interval(0.5, 4.0);
        assert!((low - 0.150).abs() < 1e-3 && (high - 0.850).abs() < 1e-3, "{low} {high}");
        assert_eq!(share_interval(0.0, 0.0), [0.0, 1.0]);
        let [low, high] = share_interval(1.0, 10.0);
        assert!(low > 0.7 && (high - 1.0).abs() < 1e-9);
    }
}
