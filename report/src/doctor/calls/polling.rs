//! Threads that ask again and again whether there is something to do.

use rz_profile::calls::Call;
use rz_profile::reason::call_name;

use super::{Io, MOST, SeenCalls, caller, in_caller};
use crate::doctor::{Finding, Seen, Severity, Sure};
use crate::render::format::{counted, duration, number, percent};

/// Calls of one kind by one thread, in which it waits for a time, or not at all.
#[derive(Debug, Default)]
pub(super) struct Polls {
    all: Io,
    /// Those after which there was nothing to do.
    empty: u64,
    /// Those that were told not to wait.
    at_once: u64,
    /// The time of those, in which the thread ran.
    at_once_ns: u64,
}

/// A thread that looks ten times a second, as many do to tidy up, is far below.
const HINT_PER_SECOND: f64 = 50.0;

/// From here on a thread wakes up every other millisecond, which keeps a CPU from resting.
const WARNING_PER_SECOND: f64 = 500.0;

/// The share of calls that have to lead to nothing.
const EMPTY_SHARE: f64 = 0.9;

/// How a call waits: in which argument it is told for how many milliseconds, or whether it
/// always leads to nothing.
enum Way {
    Timeout(usize),
    UnknownTimeout,
    Sleep,
    Yield,
}

fn way(name: &str, call: &Call) -> Option<Way> {
    Some(match name {
        "poll" => Way::Timeout(2),
        "epoll_wait" | "epoll_pwait" => Way::Timeout(3),
        // With nothing to look at, it is a way to sleep.
        "select" | "pselect6" if call.args[0] == 0 => Way::Sleep,
        "select" | "pselect6" | "ppoll" | "epoll_pwait2" => Way::UnknownTimeout,
        "nanosleep" | "clock_nanosleep" => Way::Sleep,
        "sched_yield" => Way::Yield,
        _ => return None,
    })
}

impl SeenCalls {
    pub(super) fn take_poll(&mut self, call: &Call, (pid, tid): (u32, u32), name: &str) {
        let Some(way) = way(name, call) else { return };
        let key = (pid, tid, call.number);
        if self.polls.len() >= MOST && !self.polls.contains_key(&key) {
            return;
        }
        let polls = self.polls.entry(key).or_default();
        let times = call.count.max(1);
        polls.all.add(call);
        if call.result == 0 {
            polls.empty = polls.empty.saturating_add(times);
        }
        let at_once = match way {
            Way::Timeout(arg) => call.args[arg] as i32 == 0,
            Way::Yield => true,
            Way::UnknownTimeout | Way::Sleep => false,
        };
        if at_once && call.result == 0 {
            let ns = call.duration_ns.saturating_mul(times);
            polls.at_once = polls.at_once.saturating_add(times);
            polls.at_once_ns = polls.at_once_ns.saturating_add(ns);
        }
    }
}

/// Threads that poll.
pub(in crate::doctor) fn find(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let one = |(&(pid, tid, call), polls): (&(u32, u32, u32), &Polls)| {
        let Polls { all, empty, at_once, at_once_ns } = polls;
        let rate = observed.per_second(*empty);
        let share = *empty as f64 / (all.calls as f64).max(1.0);
        if rate < HINT_PER_SECOND || share < EMPTY_SHARE {
            return None;
        }
        let name = call_name(call);
        let caller = caller(observed, pid, &[&name]);
        // Go's own thread that looks after the others.
        let is_runtime = |id: usize| observed.profile.functions[id].name.starts_with("runtime.");
        if caller.is_some_and(|(function, _)| is_runtime(function)) {
            return None;
        }
        let mean = all.ns.checked_div(all.calls).unwrap_or(0);
        let is_busy = *at_once > all.calls / 2;
        let threads = &observed.profile.threads;
        let thread = threads.iter().position(|thread| thread.tid == tid);
        let thread = thread.map_or_else(|| tid.to_string(), |id| observed.thread(id));
        let (title, cost) = match is_busy {
            true => (format!("{thread} asks {name} again and again without waiting"), *at_once_ns),
            false => (format!("{thread} wakes up {} times a second for nothing", number(rate)), 0),
        };
        let mut evidence = vec![format!(
            "{} of {name}, {} after which there was nothing to do, {} each",
            counted(all.calls, "call"),
            percent(100.0 * share),
            duration(mean)
        )];
        evidence.push(match is_busy {
            true => format!("{} in calls that do not wait", duration(cost)),
            false => format!("what it looks for is seen up to {} late", duration(mean)),
        });
        let list = ["--syscalls", "--list", "--tail", "50", "--thread", &tid.to_string()];
        let mut next = vec![observed.command(&list)];
        next.extend(caller.map(|(function, _)| {
            observed.command(&["--focus", &observed.focus(function), "--tree"])
        }));
        Some(Finding {
            title: title + &in_caller(observed, caller),
            rule,
            severity: if rate < WARNING_PER_SECOND { Severity::Hint } else { Severity::Warning },
            cost_ns: Some(cost),
            cost_bytes: None,
            evidence,
            sure: if is_busy { Sure::Certain } else { Sure::Likely },
            but: Some(seen.calls.but().unwrap_or_else(|| match is_busy {
                true => "what runs between the calls is not in the cost".to_owned(),
                false => {
                    "a program that is paced, as by frames of a video, looks the same".to_owned()
                }
            })),
            next,
        })
    };
    seen.calls.polls.iter().filter_map(one).collect()
}
