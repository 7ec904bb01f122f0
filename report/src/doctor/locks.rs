//! Locks that threads wait for.

use std::collections::BTreeMap;

use rz_profile::model::{EventKind, FrameKind, FunctionId, ThreadId};
use rz_profile::reason::{Place, Reason, WaitReason, call_name};

use super::observed::{ByFunction, Frame};
use super::{Finding, Seen, Severity, Sure};
use crate::render::format::{count, duration, percent, percent_of};

/// Below this share of the time of the threads that wait, a lock is not what holds them
/// up: a critical section that is entered often has some waits by chance.
const HINT_PERCENT: f64 = 3.0;

/// From this share on, each of them would be faster by a tenth or more without it.
const WARNING_PERCENT: f64 = 10.0;

/// Frames between a wait and the program: the C library's, and wrappers of a language's.
const MAX_WRAPPERS: usize = 16;

/// How names begin of functions that wait for a lock, without leading underscores.
const LOCKS: [&str; 15] = [
    "lll_lock_wait",
    "lll_mutex_lock",
    "lll_timedlock_wait",
    "pthread_mutex_lock",
    "pthread_mutex_timedlock",
    "pthread_mutex_clocklock",
    "pthread_mutex_cond_lock",
    "pthread_rwlock_rdlock",
    "pthread_rwlock_wrlock",
    "pthread_rwlock_timed",
    "pthread_rwlock_clock",
    "mtx_lock",
    "malloc_mutex_lock_slow",
    "absl::Mutex::LockSlow",
    "runtime.lock2",
];

/// Parts of names of such functions: of Rust, HotSpot and V8.
const LOCK_PARTS: [&str; 8] = [
    "Mutex::lock_contended",
    "RwLock::read_contended",
    "RwLock::write_contended",
    "RawMutex::lock_slow",
    "RawRwLock::lock_",
    "ObjectMonitor::enter",
    "ObjectSynchronizer::enter",
    "v8::base::Mutex::Lock",
];

/// How names begin of functions in which a thread waits until there is something to do.
const IDLE: [&str; 9] = [
    "pthread_cond_",
    "pthread_join",
    "pthread_clockjoin",
    "pthread_timedjoin",
    "pthread_barrier_wait",
    "sem_",
    "new_sem_",
    "std::thread::park",
    "std::sys::sync::condvar",
];

/// Whether a function waits for a lock, or until there is something to do; `None` if its
/// name does not tell.
fn waits_for_lock(name: &str) -> Option<bool> {
    let name = name.trim_start_matches('_').trim_start_matches("GI_").trim_start_matches('_');
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    if begins(&LOCKS) || LOCK_PARTS.iter().any(|part| name.contains(part)) {
        Some(true)
    } else {
        begins(&IDLE).then_some(false)
    }
}

/// Who waited where.
#[derive(Default)]
struct Waits {
    ns: u64,
    threads: BTreeMap<ThreadId, u64>,
    places: ByFunction,
}

/// Threads that wait for locks, by the function that takes the lock.
pub(super) fn contention(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let mut by_function: BTreeMap<FunctionId, Waits> = BTreeMap::new();
    for sample in observed.samples(EventKind::OffCpu) {
        if !is_futex(observed.profile.locations_of(sample.stack).next().map(|at| at.kind)) {
            continue;
        }
        let Some(frame) = taker(seen, observed.user_frames(sample.stack)) else { continue };
        let waits = by_function.entry(frame.function).or_default();
        waits.ns = waits.ns.saturating_add(sample.weight);
        let of_thread = waits.threads.entry(sample.thread).or_default();
        *of_thread = of_thread.saturating_add(sample.weight);
        waits.places.add(frame, sample.weight);
    }
    by_function.into_values().filter_map(|waits| finding(seen, rule, &waits)).collect()
}

fn is_futex(kind: Option<FrameKind>) -> bool {
    match kind {
        Some(FrameKind::Reason(Reason::OffCpu(WaitReason::In(Place::Syscall(number))))) => {
            call_name(number).starts_with("futex")
        }
        _ => false,
    }
}

/// The function that takes a lock, if that is what these frames wait for.
fn taker<'p>(seen: &Seen<'p>, frames: impl Iterator<Item = Frame<'p>>) -> Option<Frame<'p>> {
    let mut frames = frames.peekable();
    let is = |frame: &Frame<'_>, what| waits_for_lock(frame.name) == what;
    for _ in 0..MAX_WRAPPERS {
        if frames.next_if(|frame| is(frame, None)).is_none() {
            break;
        }
    }
    frames.next_if(|frame| is(frame, Some(true)))?;
    while frames.next_if(|frame| is(frame, Some(true))).is_some() {}
    // Threads that wake up together take the mutex of a condition variable one by one.
    if is(frames.peek()?, Some(false)) {
        return None;
    }
    seen.observed.own(frames)
}

fn finding(seen: &Seen<'_>, rule: &'static str, waits: &Waits) -> Option<Finding> {
    let observed = seen.observed;
    let (function, line, _) = waits.places.heaviest()?;
    let threads = waits.threads.len() as u64;
    let time_of_threads = observed.duration_ns().saturating_mul(threads);
    let share = percent_of(waits.ns, time_of_threads);
    // Who waits alone waits for somebody who never does: to be seen, not to be judged.
    if share < HINT_PERCENT || threads < 2 {
        return None;
    }
    let place = observed.place(function, line);
    let mut longest: Vec<(&ThreadId, &u64)> = waits.threads.iter().collect();
    longest.sort_by_key(|(_, ns)| std::cmp::Reverse(**ns));
    let each = longest.iter().take(4);
    let each = each.map(|(thread, ns)| format!("{} {}", observed.thread(**thread), duration(**ns)));
    let mut each: Vec<String> = each.collect();
    if longest.len() > each.len() {
        each.push(format!("{} more", count((longest.len() - each.len()) as u64)));
    }
    let mut evidence = vec![
        format!(
            "{} of waiting is {} of the time of these {} threads",
            duration(waits.ns),
            percent(share),
            count(threads)
        ),
        each.join(", "),
    ];
    let ran = ran_in(seen, function);
    if ran > 0 {
        let name = &observed.profile.functions[function].name;
        evidence.push(format!(
            "{} ran there for {}: what it does while it has the lock, the others wait for",
            crate::model::clean::clean(name),
            duration(ran)
        ));
    }
    let focus = observed.focus(function);
    Some(Finding {
        title: format!("{} threads wait for a lock that {place} takes", count(threads)),
        rule,
        severity: if share < WARNING_PERCENT { Severity::Hint } else { Severity::Warning },
        cost_ns: Some(waits.ns),
        cost_bytes: None,
        evidence,
        sure: Sure::Certain,
        but: Some("who has the lock meanwhile is not recorded".to_owned()),
        next: vec![
            observed.command(&["--off-cpu", "--focus", &focus]),
            observed.command(&["--focus", &focus, "--tree"]),
        ],
    })
}

/// How long a function ran, with all that it called.
fn ran_in(seen: &Seen<'_>, function: FunctionId) -> u64 {
    let observed = seen.observed;
    let samples = observed.samples(EventKind::Cpu);
    let ran = samples.filter(|s| observed.frames(s.stack).any(|frame| frame.function == function));
    ran.fold(0, |sum: u64, sample| sum.saturating_add(sample.weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_told_from_what_is_idle() {
        let check = |name: &str, expected| assert_eq!(waits_for_lock(name), expected, "{name}");
        check("__lll_lock_wait", Some(true));
        check("___pthread_mutex_lock", Some(true));
        check("__GI___pthread_mutex_lock", Some(true));
        check("__pthread_mutex_cond_lock", Some(true));
        check("std::sys::sync::mutex::futex::Mutex::lock_contended", Some(true));
        check("parking_lot::raw_mutex::RawMutex::lock_slow", Some(true));
        check("pthread_cond_wait", Some(false));
        check("__pthread_cond_wait_common", Some(false));
        check("__new_sem_wait_slow64", Some(false));
        check("__futex_abstimed_wait_common", None);
        check("main", None);
    }
}
