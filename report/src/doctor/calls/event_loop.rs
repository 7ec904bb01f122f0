//! Event loops that do not get back to their events for long.

use std::mem;

use rz_profile::calls::Call;
use rz_profile::model::EventKind;

use super::{MOST, SeenCalls};
use crate::doctor::observed::ByFunction;
use crate::doctor::{Finding, Seen, Severity, Sure};
use crate::render::format::{count, duration, percent, percent_of};

/// Calls in which a loop waits for events.
const WAITS: [&str; 5] = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll"];

/// What a person notices: whoever asks waits so much longer.
const LONG_NS: u64 = 100_000_000;

/// Fewer rounds are no loop.
const FEWEST_ROUNDS: u64 = 5;

/// Once may be a start, or the collection of garbage.
const FEWEST_LONG: u64 = 3;

/// Below this share of the recording's time, few requests meet a long round.
const HINT_PERCENT: f64 = 5.0;

/// From this share on, one in five does.
const WARNING_PERCENT: f64 = 20.0;

/// Rounds of one thread's loop.
#[derive(Debug, Default)]
struct Tally {
    all: u64,
    /// How long they took, with the waiting before each.
    all_ns: u64,
    long: u64,
    long_ns: u64,
    longest_ns: u64,
}

impl Tally {
    fn add(&mut self, waited_ns: u64, ns: u64) {
        let long_ns = if ns >= LONG_NS { ns } else { 0 };
        self.append(Self {
            all: 1,
            all_ns: waited_ns.saturating_add(ns),
            long: u64::from(long_ns > 0),
            long_ns,
            longest_ns: ns,
        });
    }

    fn append(&mut self, others: Self) {
        self.all += others.all;
        self.all_ns = self.all_ns.saturating_add(others.all_ns);
        self.long += others.long;
        self.long_ns = self.long_ns.saturating_add(others.long_ns);
        self.longest_ns = self.longest_ns.max(others.longest_ns);
    }
}

/// The loop of one thread.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// When it last came back from waiting, and how long it had waited.
    since: Option<(u64, u64)>,
    known: Tally,
    /// Those since the last call that would stand for others of the thread, had they not been
    /// recorded. If there were such, the thread may have waited more often than it seems.
    doubtful: Tally,
    /// Whether there were.
    is_sampled: bool,
}

impl Rounds {
    fn take(&mut self, call: &Call, waits: bool) {
        if call.count > 1 {
            self.is_sampled = true;
            self.doubtful = Tally::default();
            self.since = None;
        } else if call.stack.is_none() {
            self.known.append(mem::take(&mut self.doubtful));
        }
        if !waits {
            return;
        }
        if let Some((since_ns, waited_ns)) = self.since {
            self.doubtful.add(waited_ns, call.start_ns.saturating_sub(since_ns));
        }
        self.since = Some((call.start_ns.saturating_add(call.duration_ns), call.duration_ns));
    }

    /// No more calls follow.
    fn end(&mut self) {
        let last = mem::take(&mut self.doubtful);
        if !self.is_sampled {
            self.known.append(last);
        }
    }
}

impl SeenCalls {
    pub(super) fn take_round(&mut self, call: &Call, of: (u32, u32), name: &str) {
        let waits = WAITS.contains(&name);
        if self.rounds.contains_key(&of) || (waits && self.rounds.len() < MOST) {
            self.rounds.entry(of).or_default().take(call, waits);
        }
    }

    pub(super) fn end_rounds(&mut self) {
        self.rounds.values_mut().for_each(Rounds::end);
    }
}

/// Threads whose loops take long for a round.
pub(in crate::doctor) fn find(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let one = |(&(_, tid), rounds): (&(u32, u32), &Rounds)| {
        let is_sampled = rounds.is_sampled;
        let rounds = &rounds.known;
        let share = if is_sampled {
            percent_of(rounds.long_ns, rounds.all_ns)
        } else {
            observed.percent_of_time(rounds.long_ns)
        };
        if rounds.all < FEWEST_ROUNDS || rounds.long < FEWEST_LONG || share < HINT_PERCENT {
            return None;
        }
        let thread = observed.profile.threads.iter().position(|thread| thread.tid == tid)?;
        let mut ran = ByFunction::default();
        for kind in [EventKind::Cpu, EventKind::OffCpu] {
            for sample in observed.samples(kind).filter(|sample| sample.thread == thread) {
                let frames = observed.user_frames(sample.stack);
                let own = observed.own(frames).filter(|frame| observed.is_own(*frame));
                if let Some(frame) = own {
                    ran.add(frame, sample.weight);
                }
            }
        }
        let mut title = format!(
            "The event loop of {} is held up for up to {}",
            observed.thread(thread),
            duration(rounds.longest_ns)
        );
        let tid = tid.to_string();
        let mut next = vec![observed.command(&["--thread", &tid, "--tree"])];
        let mut evidence = vec![format!(
            "{} of {} rounds{} took {} or more, in all {}, {} of {} time",
            count(rounds.long),
            count(rounds.all),
            if is_sampled { " whose ends are known" } else { "" },
            duration(LONG_NS),
            duration(rounds.long_ns),
            percent(share),
            if is_sampled { "their" } else { "the recording's" }
        )];
        if let Some((function, line, ns)) = ran.heaviest() {
            let place = observed.place(function, line);
            title += &format!(", most in {place}");
            evidence.push(format!("{place} took {} of that thread's time", duration(ns)));
            let focus = observed.focus(function);
            next.push(observed.command(&["--focus", &focus, "--tree"]));
        }
        Some(Finding {
            title,
            rule,
            severity: if share < WARNING_PERCENT { Severity::Hint } else { Severity::Warning },
            cost_ns: Some(rounds.long_ns),
            cost_bytes: None,
            evidence,
            sure: Sure::Likely,
            but: Some(
                "what ran in each round is not told apart: what is named ran most of all"
                    .to_owned(),
            ),
            next,
        })
    };
    seen.calls.rounds.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn call(start_ms: u64, count: u64) -> Call {
        Call { start_ns: start_ms * MS, duration_ns: MS, count, ..Call::default() }
    }

    /// Rounds of which a wait may be missing are not counted, and those before it and after it
    /// are.
    #[test]
    fn rounds_with_calls_that_were_not_recorded() {
        let mut rounds = Rounds::default();
        for start_ms in [0, 150, 300] {
            rounds.take(&call(start_ms, 1), true);
        }
        rounds.take(&call(302, 1), false);
        rounds.take(&call(450, 1), true);
        // Stands for one before it, which may have been a wait.
        rounds.take(&call(452, 2), false);
        rounds.take(&call(600, 1), true);
        rounds.take(&call(750, 1), true);
        rounds.take(&call(752, 1), false);
        rounds.take(&call(900, 1), true);
        rounds.end();
        assert_eq!((rounds.known.all, rounds.known.all_ns), (3, 450 * MS));
        assert_eq!((rounds.known.long, rounds.known.longest_ns), (3, 149 * MS));
    }
}
