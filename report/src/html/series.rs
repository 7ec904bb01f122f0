//! What happened of one event: rows by thread and time, each ending in a node.

use rustc_hash::FxHashMap;
use rz_profile::heap::{Metric, show};
use rz_profile::model::{EventId, Nanos, Profile, ThreadId, TimedSample};
use rz_profile::slices::{Slices, bounds};

use super::TICK_NS;
use super::columns::Column;
use super::ends::Ends;
use super::lines::LineNode;
use super::stacks::{Counted, Stacks, all_counted};
use crate::model::calltree::Amount;

/// The rows of one event, or of one metric of allocations.
pub(super) struct Series {
    pub(super) counted: Counted,
    /// Whether rows have times.
    pub(super) timed: bool,
    pub(super) total: Amount,
    rows: Vec<Row>,
}

/// Something that happened, perhaps several times.
#[derive(Debug, Clone, Copy)]
struct Row {
    thread: ThreadId,
    time_ns: Nanos,
    duration_ns: Nanos,
    end: LineNode,
    amount: Amount,
}

impl Row {
    /// When it began and how long it took.
    fn span(&self) -> (Nanos, Nanos) {
        (self.time_ns, self.duration_ns)
    }
}

impl Series {
    pub(super) fn all(profile: &mut Profile, stacks: &Stacks) -> Vec<Self> {
        let all = all_counted(profile);
        all.into_iter().map(|counted| Series::of(profile, stacks, counted)).collect()
    }

    fn of(profile: &mut Profile, stacks: &Stacks, counted: Counted) -> Self {
        let (event, metric): (EventId, Option<Metric>) = counted;
        if let Some(metric) = metric {
            show(profile, metric);
        }
        let mut rows = timed_rows(profile.timeline.as_deref().unwrap_or_default(), stacks, counted);
        let timed = !rows.is_empty();
        if !timed {
            let samples = profile.samples.iter().filter(|sample| sample.event == event);
            rows.extend(samples.filter_map(|sample| {
                let end = stacks.end(counted, sample.thread, sample.stack)?;
                let amount = Amount { samples: sample.count, weight: sample.weight };
                Some(Row { thread: sample.thread, time_ns: 0, duration_ns: 0, end, amount })
            }));
        }
        rows.sort_by_key(|row| (row.thread, row.time_ns));
        let total = Amount::of_event(profile, event);
        Series { counted, timed, total, rows }
    }

    /// Of what happened in a window of time.
    pub(super) fn of_window(times: &[TimedSample], stacks: &Stacks, counted: Counted) -> Self {
        let mut rows = timed_rows(times, stacks, counted);
        rows.sort_by_key(|row| (row.thread, row.time_ns));
        Series { counted, timed: true, total: Amount::default(), rows }
    }

    /// Whether rows are added up in slices of time, or stand for several samples.
    pub(super) fn is_coarse(&self) -> bool {
        self.timed && self.rows.iter().any(|row| row.amount.samples != 1)
    }

    /// Name of its section.
    pub(super) fn section(&self) -> String {
        let (event, metric) = self.counted;
        match metric {
            Some(metric) => format!("rows-{event}-{}", metric.name()),
            None => format!("rows-{event}"),
        }
    }

    pub(super) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// The nodes in which rows end.
    pub(super) fn ends(&self) -> impl Iterator<Item = LineNode> {
        self.rows.iter().map(|row| row.end)
    }

    /// Threads, times and ends of rows that are one sample each.
    pub(super) fn moments(&self) -> impl Iterator<Item = (ThreadId, Nanos, LineNode)> {
        let single = self.rows.iter().filter(|row| self.timed && row.amount.samples == 1);
        single.map(|row| (row.thread, row.time_ns, row.end))
    }

    /// Counts samples by where they end.
    pub(super) fn count(&self, samples: &mut [u64]) {
        for row in &self.rows {
            samples[row.end] = samples[row.end].saturating_add(row.amount.samples);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// When its last row ends; 0 without times.
    pub(super) fn end_ns(&self) -> Nanos {
        if self.timed { bounds(self.rows.iter().map(Row::span)).1 } else { 0 }
    }

    /// Adds up rows of equal threads and stacks in slices of time, which count from
    /// `start_ns`. Rows that are longer than a slice stay as they are.
    pub(super) fn coarsen(&mut self, slice_ns: u64, start_ns: Nanos) {
        if !self.timed {
            return;
        }
        let slices = Slices::new(slice_ns, start_ns, self.rows.iter().map(Row::span));
        let mut sums: Vec<Row> = Vec::new();
        let mut index_of: FxHashMap<(ThreadId, u64, LineNode), usize> = FxHashMap::default();
        for row in &self.rows {
            let Some(slice) = slices.number(row.time_ns, row.duration_ns) else {
                sums.push(*row);
                continue;
            };
            let index = *index_of.entry((row.thread, slice, row.end)).or_insert_with(|| {
                let ((time_ns, duration_ns), amount) = (slices.span(slice), Amount::default());
                sums.push(Row { time_ns, duration_ns, amount, ..*row });
                sums.len() - 1
            });
            sums[index].amount.add(row.amount);
        }
        sums.sort_by_key(|row| (row.thread, row.time_ns));
        self.rows = sums;
    }

    /// Which threads there are, by how far each is behind the one before, and how many
    /// rows of each; and of the rows of each thread, how long after the one before
    /// (the first one: after `start_ns`), the end in two columns, the weight in two (before
    /// them the least one, which they are more than), how long it took, and how many samples
    /// it stands for. The last two are empty if they are 0 and 1. What is almost random has
    /// its low byte apart: together with others it could be packed less.
    pub(super) fn columns(&self, start_ns: Nanos, ends: &Ends) -> [Column; 9] {
        let mut columns: [Column; 9] = Default::default();
        let [threads, lengths, times, lows, highs, weight_lows, weights, durations, counts] =
            &mut columns;
        let least = self.rows.iter().map(|row| row.amount.weight).min().unwrap_or(0);
        weights.push(least);
        let lasts = self.rows.iter().any(|row| row.duration_ns > 0);
        let several = self.rows.iter().any(|row| row.amount.samples != 1);
        let mut last_thread = 0;
        for of_thread in self.rows.chunk_by(|a, b| a.thread == b.thread) {
            let thread = of_thread[0].thread;
            threads.push((thread - last_thread) as u64);
            lengths.push(of_thread.len() as u64);
            last_thread = thread;
            let mut last = 0;
            for row in of_thread {
                let now = ticks(row.time_ns, start_ns);
                if self.timed {
                    times.push_signed(now - last);
                }
                last = now;
                let end = ends.number(row.end);
                lows.push_byte(end as u8);
                highs.push((end >> 8) as u64);
                let weight = row.amount.weight - least;
                weight_lows.push_byte(weight as u8);
                weights.push(weight >> 8);
                if lasts {
                    durations.push(row.duration_ns.div_ceil(TICK_NS));
                }
                if several {
                    counts.push(row.amount.samples);
                }
            }
        }
        columns
    }
}

fn timed_rows(times: &[TimedSample], stacks: &Stacks, counted: Counted) -> Vec<Row> {
    let of_event = times.iter().filter(|sample| sample.event == counted.0);
    let row = |sample: &TimedSample| {
        let end = stacks.end(counted, sample.thread, sample.stack.get())?;
        let amount = Amount { samples: sample.count, weight: sample.weight };
        let (time_ns, duration_ns) = (sample.time_ns, sample.duration_ns);
        Some(Row { thread: sample.thread, time_ns, duration_ns, end, amount })
    };
    of_event.filter_map(row).collect()
}

/// Ticks since the start; negative of what began before.
fn ticks(time_ns: Nanos, start_ns: Nanos) -> i64 {
    let distance = (time_ns.abs_diff(start_ns) / TICK_NS) as i64;
    if time_ns < start_ns { -distance } else { distance }
}
