//! What a recording looks out for: in what it finds, and in what it is told.

use std::collections::VecDeque;
use std::time::Duration;

use nix::sys::signal::Signal;
use rz_format::{CallDetail, Event, EventUnit};

use crate::config::{Config, Target, Trigger};
use crate::error::RecordError;
use crate::host::now_ns;
use crate::tail::Tail;
use crate::tracker::{Ended, Findings};

const SECOND_NS: u64 = 1_000_000_000;

/// All that is looked out for.
#[derive(Debug)]
pub(crate) struct Watch {
    /// In the order in which they were given.
    watched: Vec<Watched>,
    targets: Targets,
}

/// Whose events there are, and what a sample of them is.
#[derive(Debug, Default)]
struct Targets {
    /// The processes that are recorded from the beginning.
    pids: Vec<u32>,
    /// How long a sample stands for, if its weight does not say so.
    sample_ns: Option<u64>,
}

/// A trigger, and what is kept of it between two looks.
#[derive(Debug)]
enum Watched {
    Cpu { most_ns: u64, busy: Busy },
    Call { number: u32, longest_ns: u128 },
    Signal,
    Log { text: String, tail: Tail },
    Exit,
    Crash,
}

/// A trigger has come true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happened {
    /// Which one, as they were given.
    pub(crate) trigger: usize,
    /// When, on the trace's clock.
    pub(crate) time_ns: u64,
    /// What has happened, in a few words.
    pub(crate) how: String,
}

impl Watch {
    /// For the triggers of a recording.
    pub(crate) fn of(config: &Config) -> Result<Self, RecordError> {
        let watched = config.triggers.iter().map(|trigger| Watched::new(trigger, config));
        Ok(Watch { watched: watched.collect::<Result<_, _>>()?, targets: Targets::default() })
    }

    /// The recording begins, of these processes, with samples by `event`.
    pub(crate) fn begin(&mut self, event: &Event, pids: &[u32]) {
        let sample_ns = match EventUnit::from(event.unit) {
            EventUnit::Nanoseconds => None,
            _ => Some(SECOND_NS / u64::from(event.frequency_hz.max(1))),
        };
        self.targets = Targets { pids: pids.to_vec(), sample_ns };
    }

    /// What has come true, with what was `found` since the last look, and whether a signal
    /// has come.
    pub(crate) fn look(&mut self, found: &Findings, has_signal: bool) -> Vec<Happened> {
        let Watch { watched, targets } = self;
        let looks = watched.iter_mut().enumerate().map(|(trigger, watched)| {
            let (time_ns, how) = watched.look(found, targets, has_signal)?;
            Some(Happened { trigger, time_ns, how })
        });
        looks.flatten().collect()
    }
}

impl Watched {
    fn new(trigger: &Trigger, config: &Config) -> Result<Self, RecordError> {
        Ok(match trigger {
            Trigger::Cpu { percent } => Watched::Cpu {
                most_ns: u64::from(*percent) * (SECOND_NS / 100),
                busy: Busy::default(),
            },
            Trigger::Call { number, longer_than } => {
                let calls = config.calls.as_ref();
                if calls.is_some_and(|calls| calls.detail == CallDetail::Totals) {
                    return Err(RecordError::TriggerOfTotals);
                }
                let longest_ns = longer_than.as_nanos();
                if calls.is_some_and(|calls| u128::from(calls.slower_than_ns) > longest_ns) {
                    return Err(RecordError::TriggerTooFast(trigger.to_string()));
                }
                Watched::Call { number: *number, longest_ns }
            }
            Trigger::Signal => Watched::Signal,
            Trigger::Log { path, text } => {
                let failed = |source| RecordError::UnreadableLog { path: path.clone(), source };
                Watched::Log { text: text.clone(), tail: Tail::follow(path).map_err(failed)? }
            }
            Trigger::Exit if matches!(config.target, Target::Machine) => {
                return Err(RecordError::ExitOfAny);
            }
            Trigger::Exit => Watched::Exit,
            Trigger::Crash => Watched::Crash,
        })
    }

    /// When and how it came true, if it did.
    fn look(
        &mut self,
        found: &Findings,
        targets: &Targets,
        has_signal: bool,
    ) -> Option<(u64, String)> {
        match self {
            Watched::Cpu { most_ns, busy } => {
                let (time_ns, ran_ns) = busy.most(found, targets.sample_ns)?;
                let percent = ran_ns / (SECOND_NS / 100);
                let how = || format!("{percent} % of a CPU within a second");
                (ran_ns > *most_ns).then(|| (time_ns, how()))
            }
            Watched::Call { number, longest_ns } => {
                let calls = found.calls.iter().filter(|call| call.number == *number);
                let call = calls.max_by_key(|call| call.duration_ns)?;
                let took = Duration::from_nanos(call.duration_ns);
                let end_ns = call.start_ns.saturating_add(call.duration_ns);
                (took.as_nanos() > *longest_ns).then(|| (end_ns, format!("it took {took:.1?}")))
            }
            Watched::Signal => has_signal.then(|| (now_ns(), "it has come".to_owned())),
            Watched::Log { text, tail } => {
                tail.has_new(text).then(|| (now_ns(), "a line has come".to_owned()))
            }
            Watched::Exit => {
                let mut ended = found.ended.iter();
                ended.find(|ended| targets.pids.contains(&ended.pid)).map(end)
            }
            Watched::Crash => found.ended.iter().find(|ended| ended.signal != 0).map(end),
        }
    }
}

/// When and how a process ended.
fn end(Ended { pid, time_ns, signal }: &Ended) -> (u64, String) {
    let how = match (*signal, Signal::try_from(i32::from(*signal))) {
        (0, _) => format!("process {pid} has ended"),
        (_, Ok(signal)) => format!("{} has ended process {pid}", signal.as_str()),
        (number, Err(_)) => format!("signal {number} has ended process {pid}"),
    };
    (*time_ns, how)
}

/// The samples of the last second.
#[derive(Debug, Default)]
struct Busy {
    /// When, and how long each stands for.
    last: VecDeque<(u64, u64)>,
    sum_ns: u64,
}

impl Busy {
    /// Takes in what was found, and returns when most ran within a second, and how much.
    fn most(&mut self, found: &Findings, sample_ns: Option<u64>) -> Option<(u64, u64)> {
        // Others are of events that are no time.
        let samples = found.samples.iter().filter(|sample| sample.event == 0);
        let sums = samples.map(|sample| {
            let ran_ns = sample_ns.unwrap_or(sample.weight);
            (sample.time_ns, self.add(sample.time_ns, ran_ns))
        });
        sums.max_by_key(|(_, ran_ns)| *ran_ns)
    }

    /// Adds a sample, and returns how much ran in the second before.
    fn add(&mut self, time_ns: u64, ran_ns: u64) -> u64 {
        self.last.push_back((time_ns, ran_ns));
        self.sum_ns = self.sum_ns.saturating_add(ran_ns);
        while let Some((_, ran_ns)) =
            self.last.pop_front_if(|(then_ns, _)| *then_ns + SECOND_NS <= time_ns)
        {
            self.sum_ns = self.sum_ns.saturating_sub(ran_ns);
        }
        self.sum_ns
    }
}

#[cfg(test)]
mod tests {
    use rz_format::{Call, Sample};

    use super::*;

    const MS: u64 = 1_000_000;

    fn watch(watched: Vec<Watched>) -> Watch {
        Watch { watched, targets: Targets { pids: vec![7], sample_ns: None } }
    }

    fn look(watch: &mut Watch, found: &Findings) -> Vec<String> {
        watch.look(found, false).into_iter().map(|happened| happened.how).collect()
    }

    #[test]
    fn any_second_counts() {
        let mut watch = watch(vec![Watched::Cpu { most_ns: 900 * MS, busy: Busy::default() }]);
        // Half a second of idling around whole seconds of work.
        let samples = |times: std::ops::Range<u64>| Findings {
            samples: times
                .map(|time| Sample {
                    time_ns: time * 10 * MS,
                    weight: 10 * MS,
                    ..Sample::default()
                })
                .collect(),
            ..Findings::default()
        };
        assert!(look(&mut watch, &samples(30..80)).is_empty());
        assert!(look(&mut watch, &samples(130..180)).is_empty());
        let found = look(&mut watch, &samples(180..300));
        assert_eq!(found, ["100 % of a CPU within a second"]);
        // What is over counts no more.
        assert!(look(&mut watch, &samples(400..480)).is_empty());
        // Cycles are no time.
        watch.targets.sample_ns = Some(MS);
        assert!(look(&mut watch, &samples(600..800)).is_empty());
    }

    #[test]
    fn only_slow_calls_of_that_name_count() {
        let mut watch = watch(vec![Watched::Call { number: 74, longest_ns: 5_000_000 }]);
        let call = |number, duration_ns| Call { number, duration_ns, ..Call::default() };
        let calls = |calls| Findings { calls, ..Findings::default() };
        assert!(
            look(&mut watch, &calls(vec![call(74, 5_000_000), call(75, 9_000_000)])).is_empty()
        );
        let found = look(&mut watch, &calls(vec![call(74, 1), call(74, 6_000_000)]));
        assert_eq!(found, ["it took 6.0ms"]);
    }

    #[test]
    fn who_ends_and_how() {
        let mut watch = watch(vec![Watched::Exit, Watched::Crash, Watched::Signal]);
        let mut check = |pid, signal, expected: &[&str]| {
            let ended = vec![Ended { pid, time_ns: 1, signal }];
            let found = Findings { ended, ..Findings::default() };
            assert_eq!(look(&mut watch, &found), expected, "{pid} {signal}");
        };
        check(8, 0, &[]);
        check(7, 0, &["process 7 has ended"]);
        check(8, 11, &["SIGSEGV has ended process 8"]);
        check(8, 40, &["signal 40 has ended process 8"]);
        check(7, 9, &["SIGKILL has ended process 7"; 2]);
        let signalled = watch.look(&Findings::default(), true);
        assert_eq!(signalled.iter().map(|it| it.trigger).collect::<Vec<_>>(), [2]);
    }
}
