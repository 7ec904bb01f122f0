//! Keeps samples, waits and calls one by one, as long as they are not too many.

use rz_format::{Call, Sample, Wait};

use super::pass::Sink;
use super::sums::{Entry, WeightLeft, weighted_calls};

/// Entries of each class that are kept, at most: programs that show them one by
/// one cannot do with more, and what only passes through has no such limit.
const MAX_ENTRIES: usize = 1_000_000;

/// What happened, one by one.
#[derive(Debug)]
pub(super) struct Timeline {
    weight_left: WeightLeft,
    samples: Class,
    waits: Class,
    calls: Class,
}

/// The entries of one class; `None` once they are too many.
type Class = Option<Vec<Entry>>;

impl Default for Timeline {
    fn default() -> Self {
        let class = || Some(Vec::new());
        let weight_left = WeightLeft::default();
        Timeline { weight_left, samples: class(), waits: class(), calls: class() }
    }
}

impl Sink for Timeline {
    fn samples(&mut self, rows: &[Sample]) {
        add(&mut self.samples, rows.iter().map(Entry::from), &mut self.weight_left);
    }

    fn waits(&mut self, rows: &[Wait]) {
        add(&mut self.waits, rows.iter().map(Entry::from), &mut self.weight_left);
    }

    fn calls(&mut self, rows: &[Call]) {
        add(&mut self.calls, weighted_calls(rows), &mut self.weight_left);
    }
}

fn add(class: &mut Class, entries: impl Iterator<Item = Entry>, left: &mut WeightLeft) {
    for entry in entries {
        let weight = left.take(entry.weight);
        class.take_if(|kept| kept.len() >= MAX_ENTRIES);
        if let Some(kept) = class {
            kept.push(Entry { weight, ..entry });
        }
    }
}

impl Timeline {
    /// The entries of the classes that have not too many, in the order of the
    /// file; `None` if all are too many.
    pub(super) fn entries(&self) -> Option<impl Iterator<Item = &Entry>> {
        let classes = [&self.samples, &self.waits, &self.calls];
        let any = classes.iter().any(|class| class.is_some());
        any.then(|| classes.into_iter().flatten().flatten())
    }

    /// Classes that were given up, in words.
    pub(super) fn given_up(&self) -> impl Iterator<Item = &'static str> {
        let classes = [
            (&self.samples, "samples"),
            (&self.waits, "intervals off the CPU"),
            (&self.calls, "system calls"),
        ];
        classes.into_iter().filter(|(class, _)| class.is_none()).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_timeline_is_given_up_by_class() {
        let mut timeline = Timeline::default();
        let samples = vec![Sample::default(); MAX_ENTRIES / 2];
        let length = |timeline: &Timeline| timeline.entries().map(Iterator::count);
        timeline.samples(&samples);
        timeline.samples(&samples);
        timeline.waits(&[Wait::default(); 2]);
        assert_eq!(length(&timeline), Some(MAX_ENTRIES + 2));
        timeline.samples(&samples[..1]);
        timeline.samples(&samples[..1]);
        assert_eq!(length(&timeline), Some(2));
        assert_eq!(timeline.given_up().collect::<Vec<_>>(), ["samples"]);
    }
}
