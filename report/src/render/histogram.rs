//! Draws histograms in a line.

use rz_profile::model::Histogram;

use crate::render::format::duration;

/// Buckets drawn as one character: a factor of four in time.
const STEP: usize = 2;

/// The time that the drawings of several histograms span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// The first step that any of them uses.
    first: usize,
    /// How many steps there are up to the last one.
    length: usize,
}

impl Axis {
    /// The smallest axis for all of these.
    pub fn of<'h>(histograms: impl Iterator<Item = &'h Histogram>) -> Axis {
        let mut used = [false; 64];
        for histogram in histograms {
            for (bucket, _) in histogram.0.iter().enumerate().filter(|(_, count)| **count > 0) {
                used[bucket / STEP] = true;
            }
        }
        match (used.iter().position(|&used| used), used.iter().rposition(|&used| used)) {
            (Some(first), Some(last)) => Axis { first, length: last + 1 - first },
            _ => Axis { first: 0, length: 0 },
        }
    }

    /// From when to when, as in `256 ns…4.19 s`.
    pub fn label(&self) -> String {
        let at = |step: usize| duration(1 << (step * STEP));
        match self.length {
            0 => String::new(),
            length => format!("{}…{}", at(self.first), at(self.first + length)),
        }
    }

    /// One character for each step, as high as the share of durations in it.
    pub fn draw(&self, histogram: &Histogram) -> String {
        let steps = histogram.0.chunks(STEP).skip(self.first).take(self.length);
        let sums: Vec<f64> = steps.map(|step| step.iter().map(|&c| c as f64).sum()).collect();
        draw_levels(&sums)
    }
}

/// One character for each value, as high as its share of the highest one.
pub fn draw_levels(values: &[f64]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().copied().fold(0.0, f64::max);
    let level = |&value: &f64| match value {
        0.0 => ' ',
        value => LEVELS[((value / highest * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    values.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use rz_profile::model::Total;

    use super::*;

    fn total(buckets: &[(usize, u64)], min_ns: u64, max_ns: u64) -> Total {
        let mut histogram = Histogram::default();
        buckets.iter().for_each(|&(bucket, count)| histogram.0[bucket] = count);
        Total { min_ns, max_ns, histogram, ..Total::default() }
    }

    #[test]
    fn drawings_share_an_axis() {
        let (a, b) = (total(&[(10, 80), (12, 40), (16, 1)], 0, 0), total(&[(8, 3), (9, 4)], 0, 0));
        let axis = Axis::of([&a.histogram, &b.histogram].into_iter());
        assert_eq!(axis.label(), "256 ns…262 µs");
        assert_eq!(axis.draw(&a.histogram), " █▄ ▁");
        assert_eq!(axis.draw(&b.histogram), "█    ");
        assert_eq!(Axis::of(std::iter::empty()).label(), "");
        let last = total(&[(39, 1)], 0, 0);
        assert_eq!(Axis::of([&last.histogram].into_iter()).draw(&last.histogram), "█");
    }
}
