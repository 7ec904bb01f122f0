//! Times off the CPU.

use rz_format::{Call, Seen, Total, TotalClass, Wait, WaitState};
use rz_tests::Contents;

use crate::calls::number;
use crate::machine::Recorded;

/// What `plan waits` does.
const NAPS: u64 = 20;
const SPAWNS: u64 = 10;
const NAP_NS: u64 = 50_000_000;
const HOG_NS: u64 = 500_000_000;

pub fn by_plan(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    assert_sums(&contents, "naps", WaitState::Sleeping, "clock_nanosleep", NAPS);
    assert_sums(&contents, "spawns", WaitState::Blocked, "vfork", SPAWNS);
    assert_rows(&contents, "naps", WaitState::Sleeping, "clock_nanosleep", NAPS);
    assert_rows(&contents, "spawns", WaitState::Blocked, "vfork", SPAWNS);
    assert_hogs(&contents);
    assert_pooled(&contents);
    assert_stacks(recorded);
}

/// Threads that wait from the beginning of a recording to its end, which no event
/// tells of: the kernel's list of threads has to.
pub fn of_all(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    let all = Seen { late: true, unfinished: true };
    for (thread, call) in
        [("plan", "rt_sigtimedwait"), ("naps", "futex"), ("hog-1", "futex"), ("pooled", "futex")]
    {
        let id = contents.thread_named(thread);
        let waits: Vec<_> = rows(&contents, thread).collect();
        let is_it = |wait: &&Wait| (wait.seen, wait.syscall) == (all, Some(number(call)));
        assert!(matches!(&waits[..], [wait] if is_it(wait)), "{thread} in {call}: {waits:?}");
        let calls: Vec<_> = contents.calls.iter().filter(|call| call.thread == id).collect();
        let is_it = |row: &&Call| (row.seen, row.number) == (all, number(call));
        assert!(matches!(&calls[..], [row] if is_it(row)), "{thread} in {call}: {calls:?}");
    }
    let folded = recorded.folded(&["--event", "off-cpu"]);
    assert!(folded.count(";start_thread;naps;") > 0, "{}", folded.head(30));
}

/// `naps` of `waiter` sleeps for 20 ms at a time. What comes on top, until its
/// group may go on, is the quota's.
pub fn within_a_quota(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    let naps = contents.thread_named("naps");
    let (count, asleep_ns) = contents.waits_for(naps, WaitState::Sleeping);
    let (throttled, throttled_ns) = contents.waits_for(naps, WaitState::Throttled);
    // It is some 95 ms with the quota's part.
    let mean_ms = asleep_ns as f64 / count as f64 / 1e6;
    assert!(count > 5 && (18.0..40.0).contains(&mean_ms), "{count} of {mean_ms} ms");
    let span_ns = contents.span_ns();
    assert!(throttled > 5 && throttled_ns > span_ns / 4, "{throttled}, {throttled_ns} ns");
}

/// Programs whose group has less memory than they want wait for it in the system
/// call that uses it, or where they touch it. Such waits are long: one may still
/// go on in the end.
pub fn for_memory(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    let rows = contents.waits.iter().filter(|wait| wait.state == WaitState::Memory);
    let rows: Vec<_> = rows.collect();
    let time_ns: u64 = rows.iter().map(|wait| wait.duration_ns).sum();
    let span_ns = contents.span_ns();
    assert!(time_ns > span_ns / 4, "{time_ns} of {span_ns} ns: {:?}", contents.waits);
    let places = [Some(number("read")), None];
    assert!(rows.iter().all(|wait| places.contains(&wait.syscall)), "{rows:?}");
}

fn sums<'a>(contents: &'a Contents, thread: &str) -> impl Iterator<Item = &'a Total> {
    let id = contents.thread_named(thread);
    let is_of = move |t: &&Total| t.class == TotalClass::Waits && t.thread == Some(id);
    contents.totals.iter().filter(is_of)
}

fn rows<'a>(contents: &'a Contents, thread: &str) -> impl Iterator<Item = &'a Wait> {
    let id = contents.thread_named(thread);
    contents.waits.iter().filter(move |wait| wait.thread == id)
}

/// The exact sum of waits of 50 ms, each in that system call.
#[track_caller]
fn assert_sums(contents: &Contents, thread: &str, state: WaitState, call: &str, count: u64) {
    // It may have to make way for others in the system call, too.
    let is_it = |sum: &&Total| (sum.state, sum.number) == (state, Some(number(call)));
    let found: Vec<_> = sums(contents, thread).filter(is_it).collect();
    let [sum] = found[..] else {
        let all = sums(contents, thread).map(|sum| (sum.state, sum.number, sum.count));
        panic!("{thread} did not wait in {call}, but {:?}", all.collect::<Vec<_>>());
    };
    assert_eq!(sum.count, count, "{thread}: {sum:?}");
    // They begin in the system call, before the thread is off the CPU: a while
    // before, on a slow one.
    let most = contents.span_ns();
    assert!((count * NAP_NS * 3 / 4..most).contains(&sum.total_ns), "{thread}: {sum:?}");
    assert!(sum.min_ns >= NAP_NS / 10 && sum.max_ns < most, "{thread}: {sum:?}");
    assert_eq!(sum.histogram.0.iter().sum::<u64>(), count, "{thread}: {sum:?}");
}

/// The same, one by one: so long a wait is never left out.
#[track_caller]
fn assert_rows(contents: &Contents, thread: &str, state: WaitState, call: &str, count: u64) {
    let is_it = |wait: &&Wait| (wait.state, wait.syscall) == (state, Some(number(call)));
    let rows: Vec<_> = rows(contents, thread).filter(is_it).collect();
    assert_eq!(rows.len() as u64, count, "rows of {thread}: {rows:?}");
    for wait in rows {
        assert!(wait.stack.is_some() && wait.seen == Seen::default(), "{thread}: {wait:?}");
        assert_eq!(wait.weight, wait.duration_ns, "{thread}: {wait:?}");
        assert!(wait.queued_ns <= wait.duration_ns, "{thread}: {wait:?}");
    }
}

/// Two threads on one CPU each wait for the other.
#[track_caller]
fn assert_hogs(contents: &Contents) {
    let mut queued_ns = 0;
    for thread in ["hog-0", "hog-1"] {
        for sum in sums(contents, thread).filter(|sum| sum.state == WaitState::Preempted) {
            assert_eq!(sum.queued_ns, sum.total_ns, "{thread}: {sum:?}");
            // Where it burns, it is in no system call.
            queued_ns += if sum.number.is_none() { sum.queued_ns } else { 0 };
        }
    }
    assert!(queued_ns >= HOG_NS / 2, "both hogs were in the queue for {queued_ns} ns");
}

/// A thread that waits all the time.
#[track_caller]
fn assert_pooled(contents: &Contents) {
    let rows: Vec<_> = rows(contents, "pooled").collect();
    let [wait] = rows[..] else { panic!("rows of pooled: {rows:?}") };
    assert_eq!(wait.seen, Seen { late: true, unfinished: true }, "{wait:?}");
    assert_eq!(
        (wait.state, wait.syscall),
        (WaitState::Sleeping, Some(number("futex"))),
        "{wait:?}"
    );
    let span = contents.span_ns();
    assert!(wait.duration_ns.abs_diff(span) < span / 5, "{} of {span} ns", wait.duration_ns);
    assert!(wait.stack.is_some(), "{wait:?}");
}

/// From the root to where the kernel lets a thread wait.
fn assert_stacks(recorded: &Recorded) {
    let folded = recorded.folded(&["--event", "off-cpu", "--threads"]);
    let all = folded.head(30);
    // A thread that ends may be off the CPU when its memory is gone already.
    let is_cut = |s: &&String| s.contains("[truncated]") && !s.contains(";do_exit_[k]");
    let cut: Vec<_> = folded.stacks.keys().filter(is_cut).collect();
    assert!(cut.is_empty(), "stacks without their root: {cut:#?}");
    for (own, kernel) in [
        (";start_thread;naps;sleep_ms;", "nanosleep"),
        (";start_thread;spawns;spawn;", "clone"),
        (";start_thread;pooled;", "futex"),
        (";start_thread;hogs", "schedule"),
    ] {
        let mut stacks = folded.stacks.keys().filter(|stack| stack.contains(own));
        let is_there = |stack: &String| {
            let mut inner = stack.split(';').filter(|frame| frame.ends_with("_[k]"));
            inner.any(|frame| frame.contains(kernel))
        };
        assert!(stacks.any(is_there), "no {own} with {kernel} of the kernel in\n{all}");
    }
    // Inside of the scheduler, that is: a thread may be preempted on its way to
    // another program, and is really there.
    let of_programs = |stack: &&String| {
        let inside = stack.rsplit_once("schedule_[k]").map_or(stack.as_str(), |(_, inside)| inside);
        inside.contains("bpf_") || inside.contains("kprobe")
    };
    let seen: Vec<_> = folded.stacks.keys().filter(of_programs).collect();
    assert!(seen.is_empty(), "what looks at waits is seen in them: {seen:#?}");
}
