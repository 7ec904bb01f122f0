//! Slices of time in which what happened is added up.

use crate::model::Nanos;

/// Slices of equal length, one after the other from the start of what is looked at.
/// Slices of twice the length are two of them each.
#[derive(Debug, Clone, Copy)]
pub struct Slices {
    length_ns: Nanos,
    /// What moves the start to the beginning of a slice.
    shift_ns: Nanos,
    first_ns: Nanos,
    last_ns: Nanos,
}

impl Slices {
    /// Slices of `length_ns`, which is not 0, that count from `start_ns`, for what began
    /// when and took how long.
    pub fn new(
        length_ns: Nanos,
        start_ns: Nanos,
        spans: impl Iterator<Item = (Nanos, Nanos)>,
    ) -> Self {
        let (first_ns, last_ns) = bounds(spans);
        let shift_ns = length_ns - start_ns % length_ns;
        Slices { length_ns, shift_ns, first_ns, last_ns }
    }

    /// The number of the slice that something is in; `None` if it is longer than one,
    /// and so is to stay what it is.
    pub fn number(&self, time_ns: Nanos, duration_ns: Nanos) -> Option<u64> {
        let is_short = duration_ns <= self.length_ns;
        is_short.then(|| time_ns.saturating_add(self.shift_ns) / self.length_ns)
    }

    /// When a slice begins and how long it is, without what is before the first or
    /// behind the last that happened.
    pub fn span(&self, number: u64) -> (Nanos, Nanos) {
        let slices_ns = number.saturating_mul(self.length_ns);
        let begin_ns = slices_ns.saturating_sub(self.shift_ns).max(self.first_ns);
        // Without an overflow, and right of a slice that begins before all time.
        let end_ns = slices_ns.saturating_add(self.length_ns - self.shift_ns).min(self.last_ns);
        // What has a length is no moment.
        (begin_ns, end_ns.saturating_sub(begin_ns).max(1))
    }
}

/// When the first began and the last ended.
pub fn bounds(spans: impl Iterator<Item = (Nanos, Nanos)>) -> (Nanos, Nanos) {
    spans.fold((Nanos::MAX, 0), |(first, last), (time_ns, duration_ns)| {
        (first.min(time_ns), last.max(time_ns.saturating_add(duration_ns)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_count_from_the_start_and_end_with_the_data() {
        // From 1030, data from 1040 to 1390, and something from before the start.
        let slices = |first| Slices::new(100, 1030, [(first, 0), (1300, 90)].into_iter());
        let span = |slices: Slices, time| slices.span(slices.number(time, 0).unwrap());
        let check = |first, time, expected| assert_eq!(span(slices(first), time), expected);
        check(1040, 1040, (1040, 90));
        check(1040, 1130, (1130, 100));
        check(1040, 1229, (1130, 100));
        check(1040, 1330, (1330, 60));
        check(1000, 1029, (1000, 30));
        check(10, 20, (10, 20));
        assert_eq!(slices(1040).number(1040, 101), None);
        let doubled = Slices::new(200, 1030, [(1030, 1000)].into_iter());
        assert_eq!([span(doubled, 1229), span(doubled, 1230)], [(1030, 200), (1230, 200)]);
        let hostile = Slices::new(Nanos::MAX, Nanos::MAX, [(Nanos::MAX, 1)].into_iter());
        assert_eq!(span(hostile, Nanos::MAX), (Nanos::MAX, 1));
    }
}
