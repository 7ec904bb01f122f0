//! Time in a bounded number of equal slices, whatever its length turns out to
//! be.

use crate::model::Nanos;

/// Slices, at most.
const MAX_SLICES: usize = 200;

/// What is known of a slice of time.
pub trait Slice: Default + Clone {
    /// Takes in the slice that follows.
    fn join(&mut self, later: &Self);
}

/// Slices of time, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slices<T> {
    /// When the first one begins, on the trace's clock.
    pub start_ns: Nanos,
    /// How long each is.
    pub slice_ns: Nanos,
    /// The slices, at most 200 of them.
    pub slices: Vec<T>,
}

impl<T: Slice> Slices<T> {
    /// No slices yet; the first ones will be of this length.
    pub(crate) fn new(start_ns: Nanos, slice_ns: Nanos) -> Self {
        Slices { start_ns, slice_ns: slice_ns.max(1), slices: Vec::new() }
    }

    /// The slice of a moment. What is before the start is in the first one.
    /// Slices become longer where that takes too many of them.
    pub(crate) fn at(&mut self, time_ns: Nanos) -> &mut T {
        let since = time_ns.saturating_sub(self.start_ns);
        while since / self.slice_ns >= MAX_SLICES as u64 {
            self.double();
        }
        let index = (since / self.slice_ns) as usize;
        if index >= self.slices.len() {
            self.slices.resize(index + 1, T::default());
        }
        &mut self.slices[index]
    }

    fn double(&mut self) {
        self.slice_ns = self.slice_ns.saturating_mul(2);
        let join = |pair: &[T]| {
            let mut joined = pair[0].clone();
            pair[1..].iter().for_each(|later| joined.join(later));
            joined
        };
        self.slices = self.slices.chunks(2).map(join).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Slice for u64 {
        fn join(&mut self, later: &Self) {
            *self += later;
        }
    }

    #[test]
    fn slices_get_longer_and_never_too_many() {
        let mut slices = Slices::<u64>::new(100, 10);
        for time in [0, 100, 109, 110, 2_099] {
            *slices.at(time) += 1;
        }
        assert_eq!((slices.slice_ns, slices.slices.len()), (10, 200));
        assert_eq!((slices.slices[0], slices.slices[1], slices.slices[199]), (3, 1, 1));
        *slices.at(2_100) += 1;
        assert_eq!((slices.slice_ns, slices.slices.len()), (20, 101));
        assert_eq!((slices.slices[0], slices.slices[99], slices.slices[100]), (4, 1, 1));
        *slices.at(u64::MAX) += 1;
        assert!(slices.slices.len() <= MAX_SLICES);
        assert_eq!(slices.slices.iter().sum::<u64>(), 7);
    }
}
