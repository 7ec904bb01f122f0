//! Makes weights of two sides comparable: per second, of all or of each thread, per
//! unit of work, as shares, or as they are.
//!
//! Recordings differ in length and rate, so neither samples nor shares can be
//! compared: a share changes whenever anything else does. The default is
//! weight per wall time, or per unit of work if that is known.

use rz_profile::model::{Event, EventKind, Unit};

use crate::error::ReportError;
use crate::render::format::{counted, duration, number, weight};
use crate::render::wording::wording;

/// What weights are divided by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Per {
    /// Wall time for which it was recorded.
    #[default]
    Wall,
    /// The same, of each thread: sides may have more or fewer of them.
    Thread,
    /// Work that was done.
    Work,
    /// All of the event's weight: the total is the same on both sides.
    Share,
    /// Nothing; of several runs the mean.
    Raw,
}

impl Per {
    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Per::Wall => "wall",
            Per::Thread => "thread",
            Per::Work => "work",
            Per::Share => "share",
            Per::Raw => "raw",
        }
    }
}

/// How much was done in each run of a side, and what it is called.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Work {
    /// What a unit of it is called, in the plural: `requests`.
    pub name: String,
    /// How many units each run of each side did; empty if it is not known.
    pub units: [Vec<f64>; 2],
}

impl Work {
    /// Units of each run of a side, which has so many; none if it is not known.
    /// A single number is that of every run.
    pub fn of_side(&self, side: usize, runs: usize) -> Vec<f64> {
        match self.units[side][..] {
            [every] => vec![every; runs],
            ref each => each.to_vec(),
        }
    }
}

/// What is known of one run, to be divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// For how long it was recorded.
    pub wall_ns: u64,
    /// How many threads are looked at.
    pub threads: usize,
    /// Weight of all samples.
    pub weight: u64,
    /// What that would be if it were known exactly, if it is.
    pub exact_weight: Option<f64>,
    /// Units of work done, if known.
    pub work: Option<f64>,
}

/// How weights become the numbers that are compared and shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// What they are divided by.
    pub per: Per,
    /// Unit of the numbers: `% of one core`, `ms of CPU time per request`.
    pub unit: String,
    /// The unit in short, to be written behind a number: `%`, ` ms`.
    pub short: String,
    /// What the quotient is multiplied by.
    pub multiplier: f64,
    /// What each run of each side is divided by; none is 0 unless there is
    /// nothing on that side.
    pub exposures: [Vec<f64>; 2],
    /// What is done to each side, in words: `÷ 10.0 s`.
    pub factors: [String; 2],
    /// What is known of the weight of all.
    pub all: All,
}

/// What is known of the weight of all that is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum All {
    /// As much as of any part: what samples tell.
    #[default]
    Sampled,
    /// It was counted. Samples only tell how it is shared out.
    Counted,
    /// It is what everything is divided by.
    Divisor,
}

impl Scale {
    /// The scale for these runs of both sides, which recorded `event`.
    ///
    /// # Errors
    /// If what is to be divided by is not known of a run, or is 0.
    pub fn new(
        per: Per,
        event: &Event,
        runs: &[Vec<Exposure>; 2],
        work_name: &str,
    ) -> Result<Self, ReportError> {
        let side_name = |side: usize| ["before", "after"][side];
        let mut exposures = [Vec::new(), Vec::new()];
        for (side, runs) in runs.iter().enumerate() {
            for run in runs {
                exposures[side].push(match per {
                    Per::Wall | Per::Thread if run.wall_ns == 0 => {
                        return Err(ReportError::NoDuration { side: side_name(side) });
                    }
                    Per::Wall => run.wall_ns as f64,
                    // Without threads there is nothing to divide.
                    Per::Thread => run.wall_ns as f64 * run.threads.max(1) as f64,
                    Per::Work => match run.work {
                        Some(units) if units > 0.0 && units.is_finite() => units,
                        _ => return Err(ReportError::NoWork { side: side_name(side) }),
                    },
                    Per::Share => run.weight as f64,
                    Per::Raw => 1.0,
                });
            }
        }
        let totals = [0, 1].map(|side| exposures[side].iter().sum::<f64>());
        let spent = wording(Some(event)).time;
        let weights = [0, 1].map(|side| runs[side].iter().map(|run| run.weight as f64).sum());
        let quotient =
            |side: usize| -> f64 { f64::max(weights[side], 0.0) / f64::max(totals[side], 1e-300) };
        let (multiplier, short, unit) = match per {
            Per::Wall | Per::Thread if event.unit == Unit::Bytes => {
                let typical = 1e9 * quotient(0).max(quotient(1));
                let (factor, short, long) = sized(event.unit, typical);
                (1e9 * factor, format!("{short}/s"), format!("{long} {}", per_second(per)))
            }
            Per::Wall | Per::Thread => rate_scale(per, event),
            Per::Share => (100.0, "%".to_owned(), format!("% of all {spent}")),
            Per::Work | Per::Raw => {
                let (factor, short, long) = sized(event.unit, quotient(0).max(quotient(1)));
                let per = match (per, runs.iter().all(|runs| runs.len() == 1)) {
                    (Per::Work, _) => format!(" per {}", singular(work_name)),
                    (_, true) => String::new(),
                    (_, false) => " per run".to_owned(),
                };
                let of = if event.unit == Unit::Nanoseconds {
                    format!(" of {spent}")
                } else {
                    String::new()
                };
                (factor, short.to_owned(), format!("{long}{of}{per}"))
            }
        };
        let factors = [0, 1].map(|side| match per {
            Per::Wall => format!("÷ {}", duration(totals[side] as u64)),
            Per::Thread => {
                let threads = runs[side].iter().map(|run| run.threads as u64).sum();
                format!("÷ {} of {}", duration(totals[side] as u64), counted(threads, "thread"))
            }
            Per::Work => format!("÷ {} {work_name}", number(totals[side])),
            Per::Share => format!("÷ {}", weight(event.unit, totals[side] as u64)),
            Per::Raw if runs[side].len() == 1 => "as it is".to_owned(),
            Per::Raw => format!("÷ {}", counted(runs[side].len() as u64, "run")),
        });
        let unit = unit.trim_start().to_owned();
        let mut scale =
            Scale { per, unit, short, multiplier, exposures, factors, all: All::Sampled };
        scale.use_exact_weights(runs);
        Ok(scale)
    }

    /// Divides samples by so much more or less that they add up to what was counted, if it
    /// was in each run.
    fn use_exact_weights(&mut self, runs: &[Vec<Exposure>; 2]) {
        if self.per == Per::Share {
            self.all = All::Divisor;
            return;
        }
        // Of all runs of a side together, so that the sum of them is exact.
        let ratio = |runs: &Vec<Exposure>| {
            let exact: Option<f64> = runs.iter().map(|run| run.exact_weight).sum();
            let sampled: f64 = runs.iter().map(|run| run.weight as f64).sum();
            exact.filter(|exact| *exact > 0.0 && sampled > 0.0).map(|exact| sampled / exact)
        };
        if let [Some(before), Some(after)] = runs.each_ref().map(ratio) {
            for (exposures, ratio) in self.exposures.iter_mut().zip([before, after]) {
                exposures.iter_mut().for_each(|exposure| *exposure *= ratio);
            }
            self.all = All::Counted;
        }
    }

    /// Names what is counted, in the plural, where that is no weight of an event.
    pub(crate) fn count(&mut self, noun: &str) {
        self.unit = match self.per {
            Per::Wall | Per::Thread => counted_rate(self.per, noun),
            Per::Share => format!("% of all {noun}"),
            Per::Work | Per::Raw => self.unit.replacen("count", noun, 1),
        };
    }

    /// What the runs of a side are divided by, together.
    pub fn exposure(&self, side: usize) -> f64 {
        self.exposures[side].iter().sum()
    }

    /// A weight of one side in the scale's unit; 0 of nothing.
    pub fn value(&self, side: usize, weight: f64) -> f64 {
        let exposure = self.exposure(side);
        if exposure > 0.0 { self.multiplier * weight / exposure } else { 0.0 }
    }
}

/// What a rate per nanosecond is multiplied by to be shown, and what it is in
/// then, in short and at length.
pub(crate) fn rate_scale(per: Per, event: &Event) -> (f64, String, String) {
    let (factor, short, what) = match (event.unit, event.kind) {
        (Unit::Nanoseconds, _) if per == Per::Thread => (100.0, "%", "% of each thread's time"),
        (
            Unit::Nanoseconds,
            EventKind::OffCpu
            | EventKind::Syscalls
            | EventKind::Functions
            | EventKind::Wall
            | EventKind::Other,
        ) => (100.0, "%", "% of one thread"),
        (Unit::Nanoseconds, _) => (100.0, "%", "% of one core"),
        (Unit::Count, _) => (1e9, "/s", ""),
        (Unit::Bytes, _) => (1e9, " B/s", "bytes"),
        _ => (1e3, "M/s", "million cycles"),
    };
    let unit = match event.unit {
        Unit::Nanoseconds => what.to_owned(),
        _ => format!("{what} {}", per_second(per)).trim_start().to_owned(),
    };
    (factor, short.to_owned(), unit)
}

/// How many of what there are in a time.
pub(crate) fn counted_rate(per: Per, noun: &str) -> String {
    format!("{noun} {}", per_second(per))
}

fn per_second(per: Per) -> &'static str {
    if per == Per::Thread { "per second and thread" } else { "per second" }
}

/// A unit in which `typical` is a number of few digits: its factor, short and
/// long name.
fn sized(unit: Unit, typical: f64) -> (f64, &'static str, &'static str) {
    match (unit, typical) {
        (Unit::Nanoseconds, t) if t >= 1e9 => (1e-9, " s", "s"),
        (Unit::Nanoseconds, t) if t >= 1e6 => (1e-6, " ms", "ms"),
        (Unit::Nanoseconds, t) if t >= 1e3 => (1e-3, " µs", "µs"),
        (Unit::Nanoseconds, _) => (1.0, " ns", "ns"),
        (Unit::Bytes, t) if t >= 1048576.0 => (1.0 / 1048576.0, " MiB", "MiB"),
        (Unit::Bytes, t) if t >= 1024.0 => (1.0 / 1024.0, " KiB", "KiB"),
        (Unit::Bytes, _) => (1.0, " B", "bytes"),
        (Unit::Count, _) => (1.0, "", "count"),
        (_, t) if t >= 1e6 => (1e-6, " M", "million cycles"),
        _ => (1.0, "", "cycles"),
    }
}

/// `requests` as it is called if there is one.
fn singular(name: &str) -> &str {
    match name.strip_suffix('s') {
        Some(short) if !short.is_empty() && !short.ends_with('s') => short,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn scale(per: Per, runs: [&[(u64, u64, Option<f64>)]; 2]) -> Result<Scale, ReportError> {
        let event = Event::default();
        let run = |&(seconds, weight, work): &_| {
            let (wall_ns, threads) = (seconds * SECOND, 4);
            Exposure { wall_ns, threads, weight, exact_weight: None, work }
        };
        let runs = runs.map(|runs| runs.iter().map(run).collect());
        Scale::new(per, &event, &runs, "requests")
    }

    #[test]
    fn numbers_are_named_by_what_they_are_divided_by() {
        let one = [(10, 5 * SECOND, Some(1000.0))];
        let two = [(4, SECOND, Some(300.0)), (6, SECOND, Some(200.0))];
        let check = |per, unit: &str, factors: [&str; 2], values: [f64; 2]| {
            let scale = scale(per, [&one, &two]).unwrap();
            assert_eq!(scale.unit, unit);
            assert_eq!(scale.factors, factors);
            for (side, weight) in [(0, 5 * SECOND), (1, 2 * SECOND)] {
                let value = scale.value(side, weight as f64);
                assert!((value - values[side]).abs() < 1e-9, "{unit}: {value}");
            }
        };
        check(Per::Wall, "% of one core", ["÷ 10.0 s", "÷ 10.0 s"], [50.0, 20.0]);
        let of_threads = ["÷ 40.0 s of 4 threads", "÷ 40.0 s of 8 threads"];
        check(Per::Thread, "% of each thread's time", of_threads, [12.5, 5.0]);
        let of_work = ["÷ 1,000 requests", "÷ 500 requests"];
        check(Per::Work, "ms of CPU time per request", of_work, [5.0, 4.0]);
        check(Per::Share, "% of all CPU time", ["÷ 5.00 s", "÷ 2.00 s"], [100.0, 100.0]);
        check(Per::Raw, "s of CPU time per run", ["as it is", "÷ 2 runs"], [5.0, 1.0]);
    }

    #[test]
    fn what_is_not_known_is_not_divided_by() {
        let check = |per, run, error: &str| {
            let result = scale(per, [&[(1, 1, Some(1.0))], &[run]]);
            assert_eq!(result.unwrap_err().to_string(), error);
        };
        check(
            Per::Wall,
            (0, 1, None),
            "cannot compare: the after trace has no recorded duration; compare shares with --per share",
        );
        let no_work = "cannot compare per unit of work: say how much was done in each run of the after side, with --work";
        check(Per::Work, (1, 1, None), no_work);
        check(Per::Work, (1, 1, Some(0.0)), no_work);
        assert!(scale(Per::Raw, [&[(0, 1, None)], &[(0, 1, None)]]).is_ok());
    }

    #[test]
    fn one_of_many() {
        let check = |many, one| assert_eq!(singular(many), one);
        check("requests", "request");
        check("work", "work");
        check("mass", "mass");
    }
}
