//! Intervals off the CPU, system calls, and the exact sums of both.

use rz_format::*;

use crate::fixture::trace::*;
use crate::load::{LoadOptions, Without, load};
use crate::model::{self, Calls, EventKind, FailedCalls, InFlightCalls, Profile};

const FUTEX: u32 = 202;
const READ: u32 = 0;
const EXIT_GROUP: u32 = 231;

fn captured(waits: bool, calls: CallDetail) -> Record {
    Record::Captured(Captured { waits, calls: calls.into(), ..Captured::default() })
}

fn wait(state: WaitState, syscall: Option<u32>, stack: Option<StackId>) -> Wait {
    let end_ns = START + 1_000;
    Wait { end_ns, duration_ns: 400, weight: 500, state, syscall, stack, ..Wait::default() }
}

fn call(number: u32, stack: Option<StackId>, stack_weight: u64) -> Call {
    let start_ns = START + 100;
    Call { start_ns, number, stack, stack_weight, count: 1, ..Call::default() }
}

fn names(profile: &Profile) -> Vec<&str> {
    profile.events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn stacks_say_why_threads_waited() {
    let mut trace = Trace::new();
    let stack = trace.stack(&[code(3, 1), code(1, 2)]);
    trace.define_stacks();
    trace.samples(&[stack]);
    use WaitState::*;
    trace.waits(&[
        wait(Sleeping, Some(FUTEX), stack),
        wait(Blocked, Some(FUTEX), stack),
        wait(Preempted, Some(FUTEX), stack),
        wait(Io, Some(READ), stack),
        wait(Sleeping, None, stack),
        wait(Stopped, None, None),
    ]);
    trace.calls(&[call(READ, stack, 30), call(READ, stack, 40), call(READ, stack, 0)]);
    let profile = load_bytes(&trace.finish());
    assert_eq!(names(&profile), ["cpu-clock", "off-cpu", "syscalls"]);
    assert_eq!(
        describe(&profile),
        "\
main: [anon]_j;[kernel+0x2]_k 1 10
off-cpu main: [anon]_j;[kernel+0x2]_k;[off-CPU: disk in read] 1 500
off-cpu main: [anon]_j;[kernel+0x2]_k;[off-CPU: futex] 2 1000
off-cpu main: [anon]_j;[kernel+0x2]_k;[off-CPU: page fault] 1 500
off-cpu main: [anon]_j;[kernel+0x2]_k;[off-CPU: preempted] 1 500
off-cpu main: [off-CPU: stopped] 1 500
syscalls main: [anon]_j;[kernel+0x2]_k;[syscall: read] 2 70
"
    );
    assert_eq!((profile.info.samples, profile.calls.rows), (1, 3));
}

/// With another tool at the same tracepoint, the kernel calls programs by way
/// of one more function.
#[test]
fn who_else_records_does_not_split_stacks() {
    let mut trace = Trace::new();
    let symbol = |start: u64, name: &str| {
        let name = name.to_owned();
        Record::Symbol(Symbol { module: 1, start, length: 0x10, name, area: String::new() })
    };
    trace.records(&[symbol(0x10, "__schedule"), symbol(0x20, "__traceiter_sched_exit_tp")]);
    let alone = trace.stack(&[code(3, 1), code(1, 0x12)]);
    let with_another = trace.stack(&[code(3, 1), code(1, 0x12), code(1, 0x22)]);
    trace.define_stacks();
    let futex = |stack| wait(WaitState::Sleeping, Some(FUTEX), stack);
    trace.waits(&[futex(alone), futex(with_another)]);
    let profile = load_bytes(&trace.finish());
    assert_eq!(describe(&profile), "off-cpu main: [anon]_j;__schedule_k;[off-CPU: futex] 2 1000\n");
}

/// What is not read is there all the same, by name and in the exact sums.
#[test]
fn rows_that_are_not_looked_at() {
    let mut trace = Trace::new();
    let stack = trace.stack(&[code(3, 1), code(1, 2)]);
    trace.define_stacks();
    trace.samples(&[stack]);
    trace.waits(&[wait(WaitState::Sleeping, Some(FUTEX), stack)]);
    trace.calls(&[call(READ, stack, 30)]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.rz");
    std::fs::write(&path, trace.finish()).unwrap();
    let check = |waits: bool, calls: bool| {
        let without = Without { waits, calls, ..Without::default() };
        let profile = load(&path, &LoadOptions { without, ..LoadOptions::default() }).unwrap();
        assert_eq!(names(&profile), ["cpu-clock", "off-cpu", "syscalls"]);
        let read: Vec<EventKind> =
            profile.samples.iter().map(|sample| profile.events[sample.event].kind).collect();
        let all =
            [(EventKind::Cpu, false), (EventKind::OffCpu, waits), (EventKind::Syscalls, calls)];
        let left: Vec<EventKind> =
            all.into_iter().filter(|(_, without)| !without).map(|(kind, _)| kind).collect();
        assert_eq!(read, left);
    };
    check(false, false);
    check(true, false);
    check(false, true);
    check(true, true);
}

#[test]
fn events_are_there_if_they_were_recorded() {
    let check = |record: Option<Record>, expected: &[&str]| {
        let mut trace = Trace::new();
        trace.records(record.as_slice());
        let profile = load_bytes(&trace.finish());
        assert_eq!(names(&profile), expected);
        assert!(profile.samples.is_empty());
    };
    check(None, &["cpu-clock"]);
    check(Some(captured(false, CallDetail::None)), &["cpu-clock"]);
    check(Some(captured(true, CallDetail::None)), &["cpu-clock", "off-cpu"]);
    check(Some(captured(false, CallDetail::Totals)), &["cpu-clock", "syscalls"]);
    check(Some(captured(true, CallDetail::Calls)), &["cpu-clock", "off-cpu", "syscalls"]);
}

#[test]
fn a_kernel_thread_has_no_page_faults() {
    let mut trace = Trace::new();
    let thread = Thread { id: 1, process: 1, tid: 9, name: "kworker".into(), ..Thread::default() };
    trace.records(&[
        Record::Process(Process { id: 1, pid: 9, parent_pid: 2, ..Process::default() }),
        Record::Thread(thread),
    ]);
    let wait = wait(WaitState::Blocked, None, None);
    trace.waits(&[wait, Wait { thread: 1, ..wait }]);
    assert_eq!(
        describe(&load_bytes(&trace.finish())),
        "off-cpu kworker: [off-CPU: blocked] 1 500\noff-cpu main: [off-CPU: page fault] 1 500\n"
    );
}

#[test]
fn the_timeline_has_intervals_where_they_began() {
    let mut trace = Trace::new();
    trace.samples(&[None]);
    trace.waits(&[wait(WaitState::Sleeping, Some(FUTEX), None)]);
    trace.calls(&[call(READ, None, 30)]);
    let options = LoadOptions { timeline: true, ..LoadOptions::default() };
    let profile = load_with(&trace.finish(), &options).unwrap();
    let timed = |s: &model::TimedSample| (s.time_ns - START, s.event, s.weight);
    let timeline: Vec<_> = profile.timeline.iter().flatten().map(timed).collect();
    assert_eq!(timeline, [(0, 0, 10), (100, 2, 30), (600, 1, 500)]);
}

#[test]
fn totals_of_one_kind_add_up() {
    let total = |thread, count, max_ns| Total {
        class: TotalClass::Calls,
        thread,
        number: Some(READ),
        count,
        total_ns: 10 * count,
        max_ns,
        ..Total::default()
    };
    let mut trace = Trace::new();
    trace.totals(&[total(Some(0), 3, 9), total(None, 1, 1)]);
    trace
        .totals(&[total(Some(0), 2, 5), Total { class: TotalClass::Unknown, ..total(None, 1, 1) }]);
    let profile = load_bytes(&trace.finish());
    let totals = profile.totals.iter().map(|t| (t.thread, t.count, t.total_ns, t.max_ns));
    assert_eq!(totals.collect::<Vec<_>>(), [(None, 1, 10, 1), (Some(0), 5, 50, 9)]);
}

#[test]
fn rows_are_added_up_where_a_killed_recorder_left_no_totals() {
    let late = Seen { late: true, ..Seen::default() };
    let unfinished = Seen { unfinished: true, ..Seen::default() };
    let waits = [
        // It stands for others, which had no rows.
        Wait { queued_ns: 9, ..wait(WaitState::Sleeping, Some(FUTEX), None) },
        Wait { seen: late, ..wait(WaitState::Sleeping, Some(FUTEX), None) },
        Wait { seen: unfinished, ..wait(WaitState::Sleeping, Some(FUTEX), None) },
    ];
    let read = Call { duration_ns: 7, ..call(READ, None, 0) };
    let calls = [
        Call { count: 4, result: -11, ..read },
        Call { duration_ns: 2, ..read },
        Call { seen: late, ..read },
        Call { seen: unfinished, ..read },
    ];
    let check = |totals: &[Total], ended: bool, inexact: &[TotalClass], expected: &[&str]| {
        let mut trace = Trace::new();
        trace.waits(&waits);
        trace.calls(&calls);
        trace.totals(totals);
        let bytes = if ended { trace.finish() } else { trace.writer.finish().unwrap() };
        let profile = load_bytes(&bytes);
        let total = |t: &Total| {
            format!("{} {} {} {}..{}", t.count, t.errors, t.total_ns, t.min_ns, t.max_ns)
        };
        assert_eq!(profile.totals.iter().map(total).collect::<Vec<_>>(), expected);
        assert_eq!((&profile.inexact[..], profile.info.cut_short), (inexact, !ended));
    };
    use TotalClass::{Calls, Waits};
    let (of_waits, of_calls) = ("2 0 1000 400..400", "5 4 30 2..7");
    check(&[], false, &[Waits, Calls], &[of_waits, of_calls]);
    check(&[], true, &[Waits, Calls], &[of_waits, of_calls]);
    let exact = Total { class: Calls, number: Some(READ), count: 6, ..Total::default() };
    check(&[exact], true, &[Waits], &[of_waits, "6 0 0 0..0"]);
    let captured = Record::Captured(Captured { waits: true, ..Captured::default() });
    let mut trace = Trace::new();
    trace.records(&[captured]);
    assert_eq!(load_bytes(&trace.writer.finish().unwrap()).inexact, [Waits]);
}

#[test]
fn calls_that_failed_or_were_in_flight() {
    let failed = |number, errno: i64| Call { result: -errno, ..call(number, None, 0) };
    let seen = |late, unfinished| Call { seen: Seen { late, unfinished }, ..failed(FUTEX, 11) };
    let mut trace = Trace::new();
    trace.calls(&[
        failed(READ, 11),
        Call { count: 8, ..failed(READ, 11) },
        failed(READ, 4),
        // A large negative number is an address.
        failed(READ, 4096),
        seen(true, false),
        seen(false, true),
        seen(false, true),
        Call { number: EXIT_GROUP, ..seen(false, true) },
    ]);
    let failed = |number, errno, count| FailedCalls { number, errno, count };
    assert_eq!(
        load_bytes(&trace.finish()).calls,
        Calls {
            // Without those that were in flight, which no total has.
            rows: 4,
            counted: 11,
            failed: vec![failed(READ, 4, 1), failed(READ, 11, 9), failed(FUTEX, 11, 1)],
            in_flight: vec![InFlightCalls { number: FUTEX, at_start: 1, at_end: 2 }],
        }
    );
}

#[test]
fn losses_by_class() {
    let loss = |class: LossClass, count| {
        let (class, reason) = (class.into(), LossReason::RingFull.into());
        Record::Loss(Loss { class, reason, count, ..Loss::default() })
    };
    let mut trace = Trace::new();
    trace.records(&[
        loss(LossClass::Samples, 1),
        loss(LossClass::Waits, 2),
        loss(LossClass::Calls, 3),
        loss(LossClass::Calls, u64::MAX),
        loss(LossClass::Totals, 0),
    ]);
    let info = load_bytes(&trace.finish()).info;
    let counts = [
        info.lost_samples.count,
        info.lost_waits.count,
        info.lost_calls.count,
        info.lost_totals.count,
    ];
    assert_eq!(counts, [1, 2, u64::MAX, 0]);
    assert_eq!(in_words(&info.lost_waits), [("kernel buffer full".to_owned(), 2)]);
    assert_eq!(
        info.notes,
        [
            "18446744073709551615 system calls are missing, but for their totals (kernel buffer \
             full)",
            "2 intervals off the CPU are missing, but for their totals (kernel buffer full)",
            "an unknown number of intervals off the CPU and system calls are missing, and in no \
             total (kernel buffer full)"
        ]
    );
}

#[test]
fn what_is_defined_nowhere_is_lost() {
    let mut trace = Trace::new();
    let (nowhere, made_up) = (u32::MAX, Some(u32::MAX));
    let lost_wait = wait(WaitState::Unknown, made_up, Some(StackId::MAX));
    trace.waits(&[
        Wait { thread: nowhere, weight: u64::MAX, ..lost_wait },
        Wait { thread: 1, duration_ns: u64::MAX, end_ns: 0, weight: u64::MAX, ..lost_wait },
    ]);
    trace.calls(&[Call {
        thread: nowhere,
        start_ns: u64::MAX,
        duration_ns: u64::MAX,
        count: u64::MAX,
        texts: [made_up; 2],
        result: i64::MIN,
        ..call(nowhere, Some(7), u64::MAX)
    }]);
    let total = Total { count: u64::MAX, total_ns: u64::MAX, ..Total::default() };
    let total = Total { thread: Some(nowhere), number: Some(nowhere - 1), ..total };
    trace.totals(&[total.clone(), Total { thread: Some(nowhere - 1), ..total }]);
    let profile = load_bytes(&trace.finish());
    assert_eq!(
        describe(&profile),
        format!("off-cpu [lost]: [lost]_l;[off-CPU: unknown] 2 {}\n", i64::MAX)
            + "syscalls [lost]: [lost]_l;[syscall: unknown] 1 0\n"
    );
    let [total, call] = &profile.totals[..] else { panic!("{:?}", profile.totals) };
    assert_eq!((call.thread, call.count, call.total_ns), (Some(1), u64::MAX, u64::MAX));
    assert_eq!((total.thread, total.count, total.number), (Some(1), u64::MAX, Some(u32::MAX)));
    assert_eq!(profile.calls.counted, u64::MAX);
}

#[test]
fn the_vector_of_format_1_1() {
    let profile = load(&vector("v1.1"), &LoadOptions::default()).unwrap();
    assert_consistent(&profile);
    let kinds: Vec<_> = profile.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Cpu, EventKind::OffCpu, EventKind::Syscalls]);
    let text = describe(&profile);
    let added: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("[off-CPU") || line.contains("[syscall"))
        .collect();
    assert_eq!(
        added,
        [
            "off-cpu worker-1: [app+0x401040];[app+0x401200];[libc.so.6+0x45000];[off-CPU: futex] 1 7000000",
            "off-cpu worker-1: [app+0x401040];[app+0x401200];[libc.so.6+0x45000];[off-CPU: preempted] 1 1000000",
            "syscalls app: [app+0x401040];[app+0x401200];[libc.so.6+0x45000];[syscall: openat] 1 1000000",
        ]
    );
    let kinds: Vec<_> = profile.totals.iter().map(|total| (total.class, total.count)).collect();
    use model::TotalClass::*;
    assert_eq!(kinds, [(Waits, 2), (Calls, 2), (IoUring, 9)]);
}
