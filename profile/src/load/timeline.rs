//! Keeps samples, waits and calls one by one, as long as they are not too many.

use rustc_hash::FxHashMap;
use rz_format::{Call, Sample, Wait};

use super::pass::Sink;
use super::rows::Place;
use super::sums::{Entry, Key, WeightLeft, weighted_calls};
use crate::model::TimedSample;
use crate::slices::{Slices, bounds};

/// Entries of each class that are kept, at most: programs that show them one by
/// one cannot do with more, and what only passes through has no such limit.
const MAX_ENTRIES: usize = 1_000_000;

/// Entries of each class that are kept, at most, as long as there are slices of which
/// there would be a few: above that, they may be as long as everything.
const MAX_TIMED: usize = 8 * MAX_ENTRIES;

/// Slices that are left of the time in which something happened, at least.
const FEWEST_SLICES: u64 = 16;

/// One in so many moments is looked at to find out whether slices are long enough.
const LOOKED_AT_FIRST: usize = 16;

/// The shortest slice of time in which entries are added up.
const FIRST_SLICE_NS: u64 = 1 << 20;

/// What happened, one by one.
#[derive(Debug)]
pub(super) struct Timeline {
    weight_left: WeightLeft,
    samples: Class,
    waits: Class,
    calls: Class,
    function_calls: Class,
}

/// What happened, once or several times in a slice of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) entry: Entry,
    pub(super) count: u64,
}

/// The moments of one class.
#[derive(Debug)]
struct Class {
    name: &'static str,
    /// What slices count from.
    start_ns: u64,
    moments: Vec<Moment>,
    when_full: WhenFull,
    /// When the first began and the last ended.
    bounds: (u64, u64),
    /// Of each key the latest slice, and the moment that has its sum. Rows come in order
    /// of time, but for a few: those have another moment until the next time that
    /// moments are added up.
    latest: FxHashMap<Key, (u64, usize)>,
}

/// What becomes of a class that has too many moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    /// None is kept.
    GiveUp,
    /// None was kept.
    GivenUp,
    /// Those of equal stacks are added up in slices of time; none if 0, else
    /// slices of that length, once there are more than `limit`.
    Slices { slice_ns: u64, limit: usize },
}

impl Sink for Timeline {
    fn samples(&mut self, rows: &[Sample], each: u64) {
        self.samples.add(rows.iter().map(Entry::from), each, &mut self.weight_left);
    }

    fn waits(&mut self, rows: &[Wait]) {
        self.waits.add(rows.iter().map(Entry::from), 1, &mut self.weight_left);
    }

    fn calls(&mut self, rows: &[Call]) {
        self.calls.add(weighted_calls(rows, Key::of_call), 1, &mut self.weight_left);
    }

    fn function_calls(&mut self, rows: &[Call]) {
        let entries = weighted_calls(rows, Key::of_function_call);
        self.function_calls.add(entries, 1, &mut self.weight_left);
    }
}

impl Class {
    fn new(name: &'static str, coarse: bool, start_ns: u64) -> Self {
        let when_full = match coarse {
            true => WhenFull::Slices { slice_ns: 0, limit: MAX_ENTRIES },
            false => WhenFull::GiveUp,
        };
        let (bounds, latest) = ((u64::MAX, 0), FxHashMap::default());
        Class { name, start_ns, moments: Vec::new(), when_full, bounds, latest }
    }

    /// Adds what happened, each so many times.
    fn add(&mut self, entries: impl Iterator<Item = Entry>, each: u64, left: &mut WeightLeft) {
        for entry in entries {
            let weight = left.take(entry.weight.saturating_mul(each));
            match self.when_full {
                WhenFull::GivenUp => continue,
                WhenFull::GiveUp if self.moments.len() >= MAX_ENTRIES => {
                    self.when_full = WhenFull::GivenUp;
                    self.moments = Vec::new();
                    continue;
                }
                WhenFull::Slices { slice_ns, limit } if self.moments.len() >= limit => {
                    self.coarsen(slice_ns);
                }
                WhenFull::GiveUp | WhenFull::Slices { .. } => {}
            }
            let moment = Moment { entry: Entry { weight, ..entry }, count: each };
            let (first_ns, last_ns) = moment.bounds();
            self.bounds = (self.bounds.0.min(first_ns), self.bounds.1.max(last_ns));
            match self.when_full {
                WhenFull::Slices { slice_ns, .. } if slice_ns > 0 => {
                    let slices = whole_slices(slice_ns, self.start_ns);
                    add_up(&mut self.moments, &mut self.latest, slices, moment);
                }
                WhenFull::GiveUp | WhenFull::GivenUp | WhenFull::Slices { .. } => {
                    self.moments.push(moment);
                }
            }
        }
    }

    /// Adds up in slices that are long enough to leave half of the moments.
    /// There may be more distinct stacks than that; then more are kept, in the
    /// longest slices that made them fewer.
    fn coarsen(&mut self, mut slice_ns: u64) {
        let (first_ns, last_ns) = self.bounds;
        let longest = match self.moments.len() < MAX_TIMED {
            true => (last_ns.saturating_sub(first_ns) / FEWEST_SLICES).max(FIRST_SLICE_NS),
            false => u64::MAX,
        };
        let shrinks = |moments: &[Moment], sums: &[Moment]| sums.len() <= moments.len() / 10 * 9;
        let sums_in =
            |moments: &[Moment], slice_ns| added_up(moments, whole_slices(slice_ns, self.start_ns));
        // If not in these, then in none; that is soon known.
        let helps = slice_ns > 0 || shrinks(&self.moments, &sums_in(&self.moments, longest));
        let mut next = slice_ns.max(FIRST_SLICE_NS / 2);
        while helps && self.moments.len() > MAX_ENTRIES / 2 {
            next = match next.checked_mul(2) {
                Some(next) if next <= longest => next,
                _ => break,
            };
            // A part of the time tells soon that a slice is too short for all of it.
            let some = &self.moments[..self.moments.len() / LOOKED_AT_FIRST];
            if next < longest / LOOKED_AT_FIRST as u64 && !shrinks(some, &sums_in(some, next)) {
                continue;
            }
            let sums = sums_in(&self.moments, next);
            if shrinks(&self.moments, &sums) {
                (self.moments, slice_ns) = (sums, next);
            }
        }
        self.latest.clear();
        let limit = MAX_ENTRIES.max(self.moments.len() * 2);
        self.when_full = WhenFull::Slices { slice_ns, limit };
    }

    fn note(&self) -> Option<String> {
        let name = self.name;
        match self.when_full {
            WhenFull::GivenUp => Some(format!(
                "{name} are too many to be kept in order of time: equal stacks are added up"
            )),
            WhenFull::Slices { slice_ns, .. } if slice_ns > 0 => Some(format!(
                "{name} are too many to be kept one by one: those of equal stacks are added up in \
                 slices of {} ms",
                slice_ns.div_ceil(1_000_000)
            )),
            WhenFull::GiveUp | WhenFull::Slices { .. } => None,
        }
    }
}

impl Moment {
    /// When it began and how long it took.
    fn span(&self) -> (u64, u64) {
        (self.entry.time_ns, self.entry.duration_ns)
    }

    /// When it began and ended.
    fn bounds(&self) -> (u64, u64) {
        bounds([self.span()].into_iter())
    }

    /// What of it is in these bounds, which is all but empty parts of slices.
    fn cut(&mut self, (first_ns, last_ns): (u64, u64)) {
        if self.entry.duration_ns > 0 {
            let (begin_ns, end_ns) = self.bounds();
            self.entry.time_ns = begin_ns.max(first_ns);
            let length_ns = end_ns.min(last_ns).saturating_sub(self.entry.time_ns);
            // What has a length is no moment.
            self.entry.duration_ns = length_ns.max(1);
        }
    }

    /// The same of a profile, in which it has this place.
    pub(super) fn at(self, (event, thread, stack): Place) -> TimedSample {
        let Moment { entry: Entry { time_ns, duration_ns, weight, .. }, count } = self;
        let stack = stack.into();
        TimedSample { time_ns, duration_ns, count, event, thread, stack, weight }
    }
}

/// Slices that are cut in the end, as what happens may still go on.
fn whole_slices(slice_ns: u64, start_ns: u64) -> Slices {
    Slices::new(slice_ns, start_ns, [(0, u64::MAX)].into_iter())
}

/// One moment for each slice and key, at the slice's beginning, and those that are
/// longer than a slice as they are.
fn added_up(moments: &[Moment], slices: Slices) -> Vec<Moment> {
    let (mut sums, mut latest) = (Vec::new(), FxHashMap::default());
    moments.iter().for_each(|moment| add_up(&mut sums, &mut latest, slices, *moment));
    sums
}

/// Adds a moment to the sum of its slice and key.
fn add_up(
    sums: &mut Vec<Moment>,
    latest: &mut FxHashMap<Key, (u64, usize)>,
    slices: Slices,
    Moment { entry, count }: Moment,
) {
    let Some(slice) = slices.number(entry.time_ns, entry.duration_ns) else {
        sums.push(Moment { entry, count });
        return;
    };
    match latest.get(&entry.key) {
        Some(&(known, index)) if known == slice => {
            sums[index].entry.weight += entry.weight;
            sums[index].count += count;
        }
        _ => {
            let (time_ns, duration_ns) = slices.span(slice);
            latest.insert(entry.key, (slice, sums.len()));
            sums.push(Moment { entry: Entry { time_ns, duration_ns, ..entry }, count });
        }
    }
}

impl Timeline {
    /// `coarse`: what becomes of classes that have too much.
    /// `start_ns` is when the recording began.
    pub(super) fn new(coarse: bool, start_ns: u64) -> Self {
        Timeline {
            weight_left: WeightLeft::default(),
            samples: Class::new("samples", coarse, start_ns),
            waits: Class::new("intervals off the CPU", coarse, start_ns),
            calls: Class::new("system calls", coarse, start_ns),
            function_calls: Class::new("calls of functions", coarse, start_ns),
        }
    }

    fn classes(&self) -> [&Class; 4] {
        [&self.samples, &self.waits, &self.calls, &self.function_calls]
    }

    /// What happened, by class, in the order of the file: nothing of classes that were
    /// given up; `None` if all were. It is not kept.
    pub(super) fn take_moments(&mut self) -> Option<[Vec<Moment>; 4]> {
        let any = self.classes().iter().any(|class| class.when_full != WhenFull::GivenUp);
        let Timeline { samples, waits, calls, function_calls, .. } = self;
        any.then(|| {
            [samples, waits, calls, function_calls].map(|class| {
                let mut moments = std::mem::take(&mut class.moments);
                moments.iter_mut().for_each(|moment| moment.cut(class.bounds));
                moments
            })
        })
    }

    /// What became of classes that have too much, one sentence each.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.classes().into_iter().filter_map(Class::note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_timeline_is_given_up_by_class() {
        let mut timeline = Timeline::new(false, 0);
        let samples = vec![Sample::default(); MAX_ENTRIES / 2];
        let lengths = |timeline: &Timeline| timeline.classes().map(|class| class.moments.len());
        timeline.samples(&samples, 1);
        timeline.samples(&samples, 1);
        timeline.waits(&[Wait::default(); 2]);
        assert_eq!(lengths(&timeline), [MAX_ENTRIES, 2, 0, 0]);
        timeline.samples(&samples[..1], 1);
        timeline.samples(&samples[..1], 1);
        assert_eq!(lengths(&timeline), [0, 2, 0, 0]);
        assert!(timeline.take_moments().is_some());
        let notes: Vec<String> = timeline.notes().collect();
        assert!(notes.len() == 1 && notes[0].starts_with("samples are"), "{notes:?}");
    }

    #[test]
    fn a_long_timeline_is_added_up_in_slices() {
        let mut timeline = Timeline::new(true, 0);
        // Two stacks by turns, every 10 µs.
        let sample = |at: u64| Sample {
            time_ns: at * 10_000,
            stack: Some((at % 2) as u32),
            weight: 3,
            ..Sample::default()
        };
        let samples: Vec<Sample> = (0..=MAX_ENTRIES as u64).map(sample).collect();
        timeline.samples(&samples, 1);
        let [moments, ..] = timeline.take_moments().unwrap();
        assert!(moments.len() < MAX_ENTRIES / 2, "{}", moments.len());
        assert_eq!(moments.iter().map(|moment| moment.count).sum::<u64>(), samples.len() as u64);
        let weight: u64 = moments.iter().map(|moment| moment.entry.weight).sum();
        assert_eq!(weight, 3 * samples.len() as u64);
        let first = moments[0].entry;
        assert_eq!((first.time_ns, first.duration_ns), (0, FIRST_SLICE_NS));
        let notes: Vec<String> = timeline.notes().collect();
        assert!(notes.len() == 1 && notes[0].ends_with("slices of 2 ms"), "{notes:?}");
    }

    #[test]
    fn many_distinct_stacks_keep_their_times() {
        let mut timeline = Timeline::new(true, 0);
        // Every 10 µs a stack of its own.
        let sample = |at: u64| Sample {
            time_ns: at * 10_000,
            stack: Some(at as u32),
            weight: 1,
            ..Sample::default()
        };
        let samples: Vec<Sample> = (0..=MAX_ENTRIES as u64).map(sample).collect();
        timeline.samples(&samples, 1);
        let [moments, ..] = timeline.take_moments().unwrap();
        let times: Vec<u64> = moments.iter().map(|moment| moment.entry.time_ns).collect();
        let expected: Vec<u64> = samples.iter().map(|sample| sample.time_ns).collect();
        assert!(times == expected, "{}", times.len());
        assert_eq!(timeline.notes().count(), 0);
    }

    #[test]
    fn long_waits_are_no_shorter_among_many() {
        let mut timeline = Timeline::new(true, 0);
        let wait = |end_ns, duration_ns| Wait { end_ns, duration_ns, weight: 1, ..Wait::default() };
        let long = wait(9_000_000_000, 5_000_000_000);
        let short = |at: u64| wait(at * 10_000 + 1_000, 1_000);
        timeline.waits(&[long]);
        let waits: Vec<Wait> = (0..MAX_ENTRIES as u64).map(short).collect();
        timeline.waits(&waits);
        let [_, waits, _, _] = timeline.take_moments().unwrap();
        assert!(waits.iter().map(Moment::span).any(|span| span == (4_000_000_000, 5_000_000_000)));
    }
}
