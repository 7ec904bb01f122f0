//! Sums over objects of which some were recorded, and how sure they are.
//!
//! The variance of a sum is estimated from the objects that were recorded. It
//! says nothing of objects of which none was: if all that were recorded are
//! much larger than the interval, it is 0, though small ones may be missing.
//! So where a sum is shown, its confidence interval is never shorter than what
//! may be there without a sample. Samples come like those of a Poisson
//! process, one per `interval` bytes of small objects, so that of 3 × `interval`
//! bytes none is sampled in e⁻³ = 5 % of cases (the "rule of three").

/// Intervals' worth of bytes that may be there without a sample, at 95 %.
const UNSEEN_95: f64 = 3.0;

/// How many standard deviations a 95 % confidence interval has to each side.
const Z_95: f64 = 1.96;

/// A number that was counted, or estimated without bias from samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its variance; 0 if it was counted.
    pub variance: f64,
}

impl Estimate {
    /// Whether it was counted.
    pub fn is_exact(self) -> bool {
        self.variance == 0.0
    }

    /// The number as an integer.
    pub fn rounded(self) -> u64 {
        // Saturates.
        self.value.round() as u64
    }

    /// Half the length of the 95 % confidence interval; 0 if it was counted.
    pub fn margin(self) -> f64 {
        Z_95 * self.variance.max(0.0).sqrt()
    }

    /// The 95 % confidence interval, which never goes below 0.
    pub fn interval(self) -> (f64, f64) {
        let margin = self.margin();
        ((self.value - margin).max(0.0), self.value + margin)
    }

    fn add(&mut self, other: Estimate) {
        self.value += other.value;
        self.variance += other.variance;
    }

    /// Takes away what was added. Rounding never makes it negative.
    fn subtract(&mut self, other: Estimate) {
        self.value = (self.value - other.value).max(0.0);
        self.variance = (self.variance - other.variance).max(0.0);
    }
}

/// Objects, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    /// How many were recorded one by one.
    pub recorded: u64,
    /// How many there were.
    pub objects: Estimate,
    /// Their size in bytes, as it was asked for.
    pub bytes: Estimate,
}

impl Sum {
    /// What a recorded object of `size` bytes stands for, where samples are
    /// `interval` bytes apart on average; 0 if all objects are recorded.
    ///
    /// An object is recorded with a probability of p = 1 − exp(−size / interval),
    /// so that it stands for 1/p of its size.
    pub fn of_object(size: u64, interval: u64) -> Sum {
        let bytes = size as f64;
        // An empty object cannot be sampled: a row that says so is wrong, or
        // was written for another reason, and stands for itself.
        if interval == 0 || size == 0 {
            let exact = |value| Estimate { value, variance: 0.0 };
            return Sum { recorded: 1, objects: exact(1.0), bytes: exact(bytes) };
        }
        let p = -(-bytes / interval as f64).exp_m1();
        let variance = (1.0 - p) / (p * p);
        Sum {
            recorded: 1,
            objects: Estimate { value: 1.0 / p, variance },
            bytes: Estimate { value: bytes / p, variance: bytes * bytes * variance },
        }
    }

    /// Whether there is nothing in it.
    pub fn is_zero(&self) -> bool {
        self.recorded == 0
    }

    /// The same sum with confidence intervals that reach as far as objects of
    /// which there is no sample: 3 × `interval` bytes in objects of `mean_size`
    /// bytes. `most` is how many objects and bytes there may be at all. What
    /// was sampled is never exact, even where that leaves no room.
    pub fn allowing_for_unseen(&self, interval: u64, mean_size: f64, most: [f64; 2]) -> Sum {
        if interval == 0 {
            return *self;
        }
        let bytes = UNSEEN_95 * interval as f64;
        let allow = |estimate: Estimate, unseen: f64, most: f64| {
            let unseen = unseen.min((most - estimate.value).max(0.0)) / Z_95;
            let least = (unseen * unseen).max(f64::MIN_POSITIVE);
            Estimate { variance: estimate.variance.max(least), ..estimate }
        };
        Sum {
            recorded: self.recorded,
            objects: allow(self.objects, bytes / mean_size.max(1.0), most[0]),
            bytes: allow(self.bytes, bytes, most[1]),
        }
    }

    /// Adds other objects.
    pub fn add(&mut self, other: &Sum) {
        self.recorded += other.recorded;
        self.objects.add(other.objects);
        self.bytes.add(other.bytes);
    }

    /// Takes away objects that were added.
    pub fn subtract(&mut self, other: &Sum) {
        self.recorded = self.recorded.saturating_sub(other.recorded);
        if self.recorded == 0 {
            // Nothing is left of what rounding did.
            *self = Sum::default();
            return;
        }
        self.objects.subtract(other.objects);
        self.bytes.subtract(other.bytes);
    }
}

/// What became of objects that were allocated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    /// All that were allocated.
    pub allocated: Sum,
    /// Those that their thread freed within
    /// [`HeapOptions::temporary_within`](super::HeapOptions) allocations.
    pub temporary: Sum,
    /// Those that were there when most bytes were.
    pub at_peak: Sum,
    /// Those that were never freed: they were there when their process
    /// ended, or else when the recording did. Other tools call them leaked.
    pub at_end: Sum,
}

impl Sums {
    /// Adds others.
    pub fn add(&mut self, other: &Sums) {
        self.allocated.add(&other.allocated);
        self.temporary.add(&other.temporary);
        self.at_peak.add(&other.at_peak);
        self.at_end.add(&other.at_end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_recorded_objects_stand_for_themselves() {
        let mut sum = Sum::of_object(100, 0);
        sum.add(&Sum::of_object(0, 0));
        assert_eq!((sum.recorded, sum.objects.value, sum.bytes.value), (2, 2.0, 100.0));
        assert!(sum.objects.is_exact() && sum.bytes.is_exact());
        assert_eq!(sum.bytes.interval(), (100.0, 100.0));
    }

    #[test]
    fn sampled_objects_stand_for_others() {
        // p = 1 − 1/e.
        let p = 1.0 - (-1.0f64).exp();
        let sum = Sum::of_object(512, 512);
        assert!((sum.objects.value - 1.0 / p).abs() < 1e-12);
        assert!((sum.bytes.value - 512.0 / p).abs() < 1e-9);
        assert!((sum.objects.variance - (1.0 - p) / (p * p)).abs() < 1e-12);
        assert!((sum.bytes.variance / sum.objects.variance - 512.0 * 512.0).abs() < 1e-6);
        // One much larger than the interval is always recorded.
        assert_eq!(Sum::of_object(1 << 30, 1 << 10).bytes.value, f64::from(1 << 30));
    }

    #[test]
    fn what_was_sampled_is_never_exact() {
        let check = |size: u64, interval: u64, most: [f64; 2], margins: [f64; 2]| {
            let sum = match size {
                0 => Sum::default(),
                size => Sum::of_object(size, interval),
            };
            let sum = sum.allowing_for_unseen(interval, 100.0, most);
            let near = |estimate: Estimate, margin: f64| (estimate.margin() - margin).abs() < 1e-6;
            assert!(near(sum.objects, margins[0]) && near(sum.bytes, margins[1]), "{sum:?}");
            assert_eq!(sum.bytes.is_exact(), interval == 0);
        };
        let any = [f64::INFINITY; 2];
        check(1 << 30, 0, any, [0.0, 0.0]);
        // No sample at all, and one of an object that is always recorded.
        check(0, 1_000, any, [30.0, 3_000.0]);
        check(1 << 30, 1_000, any, [30.0, 3_000.0]);
        // There were no more than that.
        check(0, 1_000, [7.0, 500.0], [7.0, 500.0]);
        check(1 << 30, 1_000, [1.0, 9.0], [0.0, 0.0]);
    }

    #[test]
    fn what_was_added_can_be_taken_away() {
        let parts = [(100, 512), (3, 7), (u64::MAX, 9), (1, u64::MAX)];
        let parts = parts.map(|(size, interval)| Sum::of_object(size, interval));
        let mut sum = Sum::default();
        parts.iter().for_each(|part| sum.add(part));
        for part in &parts {
            sum.subtract(part);
            assert!(sum.bytes.value >= 0.0 && sum.bytes.variance >= 0.0);
            assert!(sum.bytes.margin().is_finite());
        }
        assert_eq!(sum, Sum::default());
        sum.subtract(&parts[0]);
        assert_eq!(sum, Sum::default());
    }
}
