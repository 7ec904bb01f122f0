//! Event loops that do not get back to their events for long.

use rz_profile::calls::Call;
use rz_profile::model::EventKind;

use super::{MOST, SeenCalls};
use crate::doctor::observed::ByFunction;
use crate::doctor::{Finding, Seen, Severity, Sure};
use crate::render::format::{count, duration, percent};

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

/// The rounds of one thread's loop.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// Whether other calls of the thread were not recorded: rounds would seem to be long.
    is_sampled: bool,
    /// When it last came back from waiting.
    since_ns: Option<u64>,
    all: u64,
    long: u64,
    long_ns: u64,
    longest_ns: u64,
}

impl SeenCalls {
    pub(super) fn take_round(&mut self, call: &Call, of: (u32, u32), name: &str) {
        if !WAITS.contains(&name) || (self.rounds.len() >= MOST && !self.rounds.contains_key(&of)) {
            return;
        }
        let rounds = self.rounds.entry(of).or_default();
        rounds.is_sampled |= call.count > 1;
        if let Some(since_ns) = rounds.since_ns {
            let ns = call.start_ns.saturating_sub(since_ns);
            rounds.all += 1;
            rounds.longest_ns = rounds.longest_ns.max(ns);
            if ns >= LONG_NS {
                rounds.long += 1;
                rounds.long_ns = rounds.long_ns.saturating_add(ns);
            }
        }
        rounds.since_ns = Some(call.start_ns.saturating_add(call.duration_ns));
    }
}

/// Threads whose loops take long for a round.
pub(in crate::doctor) fn find(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let one = |(&(_, tid), rounds): (&(u32, u32), &Rounds)| {
        let share = observed.percent_of_time(rounds.long_ns);
        if rounds.is_sampled
            || rounds.all < FEWEST_ROUNDS
            || rounds.long < FEWEST_LONG
            || share < HINT_PERCENT
        {
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
            "{} of {} rounds took {} or more, in all {}, {} of the recording's time",
            count(rounds.long),
            count(rounds.all),
            duration(LONG_NS),
            duration(rounds.long_ns),
            percent(share)
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
