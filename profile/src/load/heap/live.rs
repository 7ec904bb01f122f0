//! How many bytes were there over time.

use crate::model::heap::{Live, Slice, Slices};

/// First length of slices of time, in nanoseconds.
const SLICE_NS: u64 = 1 << 10;

/// Bytes that are there, as they change.
#[derive(Debug)]
pub(super) struct LiveBytes {
    slices: Slices<Span>,
}

/// A slice of time; `None` if nothing changed in it.
#[derive(Debug, Clone, Copy, Default)]
struct Span(Option<Live>);

impl Slice for Span {
    fn join(&mut self, later: &Self) {
        self.0 = match (self.0, later.0) {
            (Some(first), Some(then)) => {
                Some(Live { most: first.most.max(then.most), last: then.last })
            }
            (first, then) => then.or(first),
        };
    }
}

impl LiveBytes {
    pub(super) fn new(start_ns: u64) -> Self {
        LiveBytes { slices: Slices::new(start_ns, SLICE_NS) }
    }

    /// So many bytes are there from that time on.
    pub(super) fn set(&mut self, time_ns: u64, bytes: f64) {
        let now = Span(Some(Live { most: bytes, last: bytes }));
        self.slices.at(time_ns).join(&now);
    }

    /// All slices up to a time. Where nothing changed, all stayed as it was.
    pub(super) fn finish(mut self, end_ns: u64) -> Slices<Live> {
        self.slices.at(end_ns);
        let mut last = 0.0;
        let complete = |span: Span| {
            let live = span.0.unwrap_or(Live { most: last, last });
            let most = live.most.max(last);
            last = live.last;
            Live { most, last }
        };
        Slices {
            start_ns: self.slices.start_ns,
            slice_ns: self.slices.slice_ns,
            slices: self.slices.slices.into_iter().map(complete).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_until_they_change() {
        let mut live = LiveBytes::new(100);
        for (time_ns, bytes) in [(100, 5.0), (200, 9.0), (300, 7.0), (100 + 2 * 1024, 2.0)] {
            live.set(time_ns, bytes);
        }
        let live = live.finish(100 + 4 * 1024);
        let shown: Vec<_> = live.slices.iter().map(|live| (live.most, live.last)).collect();
        // A slice begins with what the one before ended with.
        assert_eq!(shown, [(9.0, 7.0), (7.0, 7.0), (7.0, 2.0), (2.0, 2.0), (2.0, 2.0)]);
        let long = LiveBytes::new(0).finish(u64::MAX);
        assert!(long.slices.len() <= 200);
    }
}
