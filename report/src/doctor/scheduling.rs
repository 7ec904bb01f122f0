//! Threads that could run and do not get to: by a quota, by too busy a machine, by an
//! interpreter's lock, by a disk. And work that one thread does alone.

use std::collections::BTreeMap;

use rz_profile::model::{EventKind, FrameKind, ThreadId, Total, TotalClass, WaitState};
use rz_profile::reason::{Place, Reason, WaitReason, call_name};

use super::observed::ByFunction;
use super::{Finding, Seen, Severity, Sure};
use crate::render::format::{counted, duration, percent, percent_of};

/// A share of time below which nobody would notice, and one from which on it is a tenth
/// or more of what could be done.
struct Thresholds {
    hint: f64,
    warning: f64,
}

/// Of the recording's time: a quota that is ever used up makes whoever waits then wait for
/// long.
const QUOTA: Thresholds = Thresholds { hint: 1.0, warning: 5.0 };

/// Of the time of the threads that wait for the interpreter's lock.
const GIL: Thresholds = Thresholds { hint: 5.0, warning: 20.0 };

/// Of the recording's time.
const DISK: Thresholds = Thresholds { hint: 5.0, warning: 20.0 };

/// Of the time in which threads ran or could have run. Less is usual where there are about
/// as many busy threads as CPUs.
const QUEUED_PERCENT: f64 = 25.0;

/// A program that is ready for less than this share of the recording is idle.
const IDLE_PERCENT: f64 = 5.0;

/// The share of the time that a thread has to be ready to be what the others depend on, and
/// what these may run together.
const HOT_PERCENT: f64 = 85.0;
const OTHERS_PERCENT: f64 = 20.0;

/// The fewest other threads that could have helped.
const FEWEST_OTHERS: usize = 2;

impl Thresholds {
    fn severity(&self, share: f64) -> Option<Severity> {
        match share {
            share if share >= self.warning => Some(Severity::Warning),
            share if share >= self.hint => Some(Severity::Hint),
            _ => None,
        }
    }
}

/// Waits that are of interest: their sum, and that of each thread.
fn sum(
    seen: &Seen<'_>,
    is_meant: impl Fn(&Total) -> bool,
    time: fn(&Total) -> u64,
) -> (u64, BTreeMap<ThreadId, u64>) {
    let waits = seen.observed.profile.totals.iter();
    let waits = waits.filter(|total| total.class == TotalClass::Waits && is_meant(total));
    let (mut all, mut threads) = (0_u64, BTreeMap::new());
    for total in waits.filter(|total| time(total) > 0) {
        all = all.saturating_add(time(total));
        if let Some(thread) = total.thread {
            let sum: &mut u64 = threads.entry(thread as ThreadId).or_default();
            *sum = sum.saturating_add(time(total));
        }
    }
    (all, threads)
}

/// The threads that have most of it.
fn most(seen: &Seen<'_>, threads: &BTreeMap<ThreadId, u64>) -> String {
    let mut longest: Vec<(&ThreadId, &u64)> = threads.iter().collect();
    longest.sort_by_key(|(_, ns)| std::cmp::Reverse(**ns));
    let each = longest.iter().take(4);
    let each = each.map(|(id, ns)| format!("{} {}", seen.observed.thread(**id), duration(**ns)));
    each.collect::<Vec<_>>().join(", ")
}

/// Control groups that use up their quota.
pub(super) fn quota(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let is_throttled = |total: &Total| total.state == WaitState::Throttled;
    let (ns, threads) = sum(seen, is_throttled, |total| total.total_ns);
    let share = observed.percent_of_time(ns);
    let Some(severity) = QUOTA.severity(share) else { return Vec::new() };
    vec![Finding {
        title: format!(
            "The CPU quota stopped {} for {}",
            counted(threads.len() as u64, "thread"),
            duration(ns)
        ),
        rule,
        severity,
        cost_ns: Some(ns),
        cost_bytes: None,
        evidence: vec![
            format!("{} of the recording's time, of all threads together", percent(share)),
            most(seen, &threads),
        ],
        sure: Sure::Certain,
        but: Some("how large the quota is is not recorded: see cpu.max of the group".to_owned()),
        next: vec![observed.command(&["--off-cpu", "--threads"])],
    }]
}

/// More that wants to run than there are CPUs.
pub(super) fn queued(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let is_ready = |total: &Total| total.state != WaitState::Throttled;
    let (ns, threads) = sum(seen, is_ready, |total| total.queued_ns);
    let ran = observed.samples(EventKind::Cpu).fold(0_u64, |sum, s| sum.saturating_add(s.weight));
    let ready = ns.saturating_add(ran);
    let share = percent_of(ns, ready);
    if share < QUEUED_PERCENT || observed.percent_of_time(ready) < IDLE_PERCENT {
        return Vec::new();
    }
    vec![Finding {
        title: format!(
            "Threads that could run waited for a CPU for {} of that time",
            percent(share)
        ),
        rule,
        // It says something of the machine, and not of the program.
        severity: Severity::Hint,
        cost_ns: Some(ns),
        cost_bytes: None,
        evidence: vec![
            format!("ready to run for {}, and ran for {}", duration(ns), duration(ran)),
            most(seen, &threads),
        ],
        sure: Sure::Certain,
        but: Some("who ran meanwhile is only recorded of the whole machine: rec -a".to_owned()),
        next: vec![observed.command(&["--off-cpu", "--threads"])],
    }]
}

/// Threads that wait for the lock of Python's interpreter.
pub(super) fn gil(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let (ns, threads) = sum(seen, |total| total.state == WaitState::Gil, |total| total.total_ns);
    let of_threads = observed.duration_ns().saturating_mul(threads.len() as u64);
    let share = percent_of(ns, of_threads);
    let (Some(severity), true) = (GIL.severity(share), threads.len() > 1) else {
        return Vec::new();
    };
    let mut holders = ByFunction::default();
    for sample in observed.samples(EventKind::Cpu).filter(|s| threads.contains_key(&s.thread)) {
        if let Some(frame) = observed.own(observed.user_frames(sample.stack)) {
            holders.add(frame, sample.weight);
        }
    }
    let mut evidence = vec![
        format!("{} is {} of the time of these threads", duration(ns), percent(share)),
        most(seen, &threads),
    ];
    let mut next = vec![observed.command(&["--off-cpu", "--threads"])];
    if let Some((function, line, ran)) = holders.heaviest() {
        let place = observed.place(function, line);
        evidence.push(format!("of these threads, {place} ran most: {}", duration(ran)));
        next.push(observed.command(&["--focus", &observed.focus(function), "--tree"]));
    }
    vec![Finding {
        title: format!(
            "{} of Python wait for each other: one at a time has the interpreter's lock (GIL)",
            counted(threads.len() as u64, "thread")
        ),
        rule,
        severity,
        cost_ns: Some(ns),
        cost_bytes: None,
        evidence,
        sure: Sure::Certain,
        but: Some("who had the lock at each moment is not recorded".to_owned()),
        next,
    }]
}

/// Threads that wait for a disk, other than by `fsync`, which has a rule of its own.
pub(super) fn disk(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let mut of_pages = [(0_u64, ByFunction::default()), (0, ByFunction::default())];
    for sample in observed.samples(EventKind::OffCpu) {
        let reason = observed.profile.locations_of(sample.stack).next().map(|at| at.kind);
        let Some(FrameKind::Reason(Reason::OffCpu(WaitReason::Disk(place)))) = reason else {
            continue;
        };
        let index = match place {
            Some(Place::PageFault) => 1,
            Some(Place::Syscall(number)) if call_name(number).ends_with("sync") => continue,
            _ => 0,
        };
        let (ns, callers) = &mut of_pages[index];
        *ns = ns.saturating_add(sample.weight);
        if let Some(frame) = observed.own(observed.user_frames(sample.stack)) {
            callers.add(frame, sample.weight);
        }
    }
    let one = |(index, (ns, callers)): (usize, &(u64, ByFunction))| {
        let share = observed.percent_of_time(*ns);
        let severity = DISK.severity(share)?;
        let what = ["the disk", "pages that have to come from the disk"][index];
        let mut title = format!("{} of waiting for {what}", duration(*ns));
        let mut next = vec![observed.command(&["--off-cpu"])];
        if let Some((function, line, _)) = callers.heaviest() {
            title += &format!(", most in {}", observed.place(function, line));
            next.push(observed.command(&["--off-cpu", "--focus", &observed.focus(function)]));
        }
        Some(Finding {
            title,
            rule,
            severity,
            cost_ns: Some(*ns),
            cost_bytes: None,
            evidence: vec![format!(
                "{} of the recording's time, of all threads together",
                percent(share)
            )],
            sure: Sure::Certain,
            but: Some(
                match index {
                    0 => "the time until a CPU was free after each is in it",
                    _ => "whether these are pages of mapped files or of swap is not recorded",
                }
                .to_owned(),
            ),
            next,
        })
    };
    of_pages.iter().enumerate().filter_map(one).collect()
}

/// A thread that is busy while the others of its process are not.
pub(super) fn one_hot_thread(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let profile = observed.profile;
    if profile.info.cpus < 2 {
        return Vec::new();
    }
    let mut ran: Vec<u64> = vec![0; profile.threads.len()];
    for sample in observed.samples(EventKind::Cpu) {
        ran[sample.thread] = ran[sample.thread].saturating_add(sample.weight);
    }
    let (_, ready) =
        sum(seen, |total| total.state != WaitState::Throttled, |total| total.queued_ns);
    // Threads of a runtime's, or a library's, could not help.
    let mut is_of_program = vec![false; profile.threads.len()];
    for sample in observed.samples(EventKind::OffCpu) {
        let mut frames = observed.user_frames(sample.stack);
        is_of_program[sample.thread] |= frames.any(|frame| observed.is_own(frame));
    }
    let one = |(hot, ns): (usize, &u64)| {
        let process = profile.threads[hot].process;
        let is_other = |id: &usize| *id != hot && profile.threads[*id].process == process;
        let others = || (0..ran.len()).filter(is_other);
        let of_others = others().fold(0_u64, |sum, id| sum.saturating_add(ran[id]));
        let ready_ns = ready.get(&hot).copied().unwrap_or(0);
        let share = observed.percent_of_time(ns.saturating_add(ready_ns));
        if share < HOT_PERCENT
            || observed.percent_of_time(of_others) > OTHERS_PERCENT
            || others().filter(|&id| is_of_program[id]).count() < FEWEST_OTHERS
        {
            return None;
        }
        let thread = profile.threads[hot].tid.to_string();
        Some(Finding {
            title: format!(
                "{} is busy all the time, and the other {} of its process hardly",
                observed.thread(hot),
                counted(others().count() as u64, "thread")
            ),
            rule,
            severity: Severity::Hint,
            cost_ns: Some(*ns),
            cost_bytes: None,
            evidence: vec![format!(
                "it ran or was ready to for {} of the time, the others together ran for {}",
                percent(share),
                percent(observed.percent_of_time(of_others))
            )],
            sure: Sure::Possible,
            but: Some("whether its work can be shared is not recorded".to_owned()),
            next: vec![observed.command(&["--thread", &thread])],
        })
    };
    ran.iter().enumerate().filter_map(one).collect()
}
