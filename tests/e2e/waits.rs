//! Time off the CPU: all of it, why, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rz_format::{Frame, ModuleKind, Record, Seen, Total, TotalClass, Wait, WaitState};
use rz_tests::{Cgroup, Contents, Recorder, Target, Trace, temp_dir, text, tool, wait_until};

/// Numbers of system calls.
const PAUSE: u32 = 34;
const FUTEX: u32 = 202;
const CLOCK_NANOSLEEP: u32 = 230;

/// Of shorter waits, only some are recorded one by one, unless it is said otherwise.
const STACK_THRESHOLD_NS: u64 = 1_000_000;

/// What the kernel itself counts of a thread, and when that was read.
struct Scheduled {
    at: Instant,
    on_cpu_ns: u64,
    queued_ns: u64,
}

/// What the kernel counts of each thread of a process, by number.
fn scheduled(pid: u32) -> BTreeMap<u32, Scheduled> {
    let read = |tid: u32| {
        let path = format!("/proc/{pid}/task/{tid}/schedstat");
        let numbers = fs::read_to_string(path).unwrap();
        let mut numbers = numbers.split_whitespace().map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        (tid, Scheduled { at: Instant::now(), on_cpu_ns: next(), queued_ns: next() })
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| read(text(&task.unwrap().path()).rsplit('/').next().unwrap().parse().unwrap()))
        .collect()
}

/// Time that the hypervisor has given to others on all CPUs, which the kernel
/// counts as no thread's.
fn stolen_ns() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let ticks = stat.split_whitespace().nth(8).unwrap();
    ticks.parse::<u64>().unwrap() * 10_000_000
}

/// A recording of `waiter`, with what the kernel says of its threads.
struct Waiter {
    contents: Contents,
    /// CPU time and time in run queues of each thread, of the span recorded.
    kernel: BTreeMap<u32, (u64, u64)>,
    /// How much of that span the kernel was not asked about: there, threads may
    /// have got more or less of the CPUs than in the rest of it.
    unasked_ns: u64,
    /// Time of the same span that the hypervisor took away.
    stolen_ns: u64,
    names: BTreeMap<u32, String>,
}

/// One recording for all tests.
fn waiter() -> &'static Waiter {
    static WAITER: OnceLock<Waiter> = OnceLock::new();
    WAITER.get_or_init(|| {
        // On a disk, where reading what is not cached takes its time.
        let dir = temp_dir();
        let file = dir.path().join("mapped");
        fs::write(&file, vec![1; 8 << 20]).unwrap();
        fs::File::open(&file).unwrap().sync_all().unwrap();
        let target = Target::start("waiter", &["0", text(&file)]);
        let options = ["-q", "-d", "60", "--off-cpu", "-p", &target.pid_text()];
        // Another one makes the kernel call both in another way.
        let other = Recorder::start(&options);
        let recorder = Recorder::start(&options);
        let stolen_before_ns = stolen_ns();
        let before = scheduled(target.pid());
        thread::sleep(Duration::from_secs(4));
        let after = scheduled(target.pid());
        let stolen_ns = stolen_ns() - stolen_before_ns;
        recorder.signal(Signal::SIGINT);
        let contents = recorder.finish().contents();
        drop(other);
        // The two looks and the recording are not of the same moments.
        let mut unasked_ns = 0;
        let kernel = after.into_iter().map(|(tid, after)| {
            let before = &before[&tid];
            let asked_ns = (after.at - before.at).as_nanos() as u64;
            unasked_ns = unasked_ns.max(contents.span_ns().abs_diff(asked_ns));
            let scale = contents.span_ns() as f64 / asked_ns as f64;
            let of_span = |before, after: u64| ((after - before) as f64 * scale) as u64;
            let on_cpu_ns = of_span(before.on_cpu_ns, after.on_cpu_ns);
            (tid, (on_cpu_ns, of_span(before.queued_ns, after.queued_ns)))
        });
        let kernel = kernel.collect();
        let names = contents.thread_names();
        Waiter { contents, kernel, unasked_ns, stolen_ns, names }
    })
}

impl Waiter {
    /// Ids of the threads whose name begins so.
    fn named(&self, start: &str) -> Vec<u32> {
        let is_named = |(_, name): &(&u32, &String)| name.starts_with(start);
        self.names.iter().filter(is_named).map(|(id, _)| *id).collect()
    }

    fn waits_of(&self, thread: u32) -> impl Iterator<Item = &Wait> {
        self.contents.waits.iter().filter(move |wait| wait.thread == thread)
    }

    fn totals_of(&self, thread: u32) -> impl Iterator<Item = &Total> {
        let is_of = move |t: &&Total| t.class == TotalClass::Waits && t.thread == Some(thread);
        self.contents.totals.iter().filter(is_of)
    }
}

#[track_caller]
fn assert_near(what: &str, value: u64, expected: u64, tolerance: u64) {
    let off = value.abs_diff(expected);
    assert!(off <= tolerance, "{what}: {value} instead of {expected}, off by {off}");
}

#[test]
fn nothing_is_lost_or_damaged() {
    let contents = &waiter().contents;
    assert_eq!(contents.damage, []);
    assert_eq!(contents.losses(), Vec::<&rz_format::Loss>::new());
}

/// A thread is on a CPU or off it: both together are the time that passed, but
/// for what a hypervisor takes from a running thread. The kernel counts the
/// switch itself as time on the CPU, we as time off it: that is a few
/// microseconds for each wait, and more on a busy machine.
#[test]
fn on_and_off_make_up_all_time() {
    let waiter = waiter();
    let span = waiter.contents.span_ns();
    let threads: Vec<_> = waiter.contents.threads().collect();
    assert_eq!(threads.len(), 11, "{threads:?}");
    for thread in threads {
        let (on_cpu_ns, _) = waiter.kernel[&thread.tid];
        let off_cpu_ns = waiter.contents.off_cpu_ns(thread.id);
        let name = &waiter.names[&thread.id];
        let waits: u64 = waiter.totals_of(thread.id).map(|total| total.count).sum();
        let slack = span / 50 + waiter.unasked_ns + 25_000 * waits;
        let fits = span.saturating_sub(waiter.stolen_ns + slack)..=span + slack;
        let both = on_cpu_ns + off_cpu_ns;
        assert!(fits.contains(&both), "{name}: {on_cpu_ns} on, {off_cpu_ns} off, not {fits:?}");
    }
}

/// Two threads on one CPU each wait for the other. The kernel counts the same,
/// but from when it last looked at its clock: where a thread has to make way for
/// one that wakes up, that is when this one did, some 10 µs before the switch.
#[test]
fn run_queues_are_told_from_blocking() {
    let waiter = waiter();
    let hogs = waiter.named("hog-");
    assert_eq!(hogs.len(), 2);
    for hog in hogs {
        let tid = waiter.contents.threads().find(|thread| thread.id == hog).unwrap().tid;
        let (_, queued_ns) = waiter.kernel[&tid];
        let ours = waiter.contents.queued_ns(hog);
        let waits: u64 = waiter.totals_of(hog).map(|total| total.count).sum();
        assert!(queued_ns > waiter.contents.span_ns() / 4, "{queued_ns}");
        let tolerance = queued_ns / 50 + waiter.unasked_ns + 25_000 * waits;
        assert_near("time in the queue", ours, queued_ns, tolerance);
        // They do nothing else.
        for total in waiter.totals_of(hog) {
            assert_eq!(total.state, WaitState::Preempted, "{total:?}");
            assert_eq!((total.queued_ns, total.number), (total.total_ns, None));
        }
    }
}

#[test]
fn waits_in_a_system_call() {
    let waiter = waiter();
    let span = waiter.contents.span_ns();
    let [naps] = waiter.named("naps")[..] else { panic!() };
    let long: Vec<_> =
        waiter.waits_of(naps).filter(|wait| wait.state == WaitState::Sleeping).collect();
    // As many as there is time for on a machine that is not busy, or half.
    let most = span / 20_000_000;
    let count = long.len() as u64;
    assert!((most / 2..=most + 1).contains(&count), "{count} of {most}");
    for wait in &long {
        // The 20 ms begin in the system call, before it is off the CPU.
        assert_eq!(wait.syscall, Some(CLOCK_NANOSLEEP));
        assert!(wait.seen != Seen::default() || wait.duration_ns >= 15_000_000, "{wait:?}");
        // Long waits are all there, and stand for themselves, as do those that are not
        // over. One whose beginning was not seen may be a short one, and stands for more.
        let least = if wait.seen.unfinished { 0 } else { STACK_THRESHOLD_NS };
        assert_eq!(wait.weight, wait.duration_ns.max(least), "{wait:?}");
        assert!(wait.queued_ns <= wait.duration_ns);
    }
    let over = long.iter().filter(|wait| !wait.seen.unfinished).count() as u64;
    let sums = waiter.totals_of(naps).filter(|total| total.state == WaitState::Sleeping);
    let sums: Vec<_> = sums.collect();
    assert_eq!(sums.len(), 1, "{sums:?}");
    assert_eq!(sums[0].number, Some(CLOCK_NANOSLEEP));
    assert_eq!(sums[0].histogram.0.iter().sum::<u64>(), sums[0].count);
    // Programs are there for a moment longer than the recording, and add up what begins
    // and ends in it.
    assert!((over..=over + 1).contains(&sums[0].count), "{over}, {:?}", sums[0]);
}

/// What began before the recording and was not over at its end.
#[test]
fn waits_without_beginning_and_end() {
    let waiter = waiter();
    let span = waiter.contents.span_ns();
    let check = |thread: u32, syscall: u32| {
        let waits: Vec<_> = waiter.waits_of(thread).collect();
        let [wait] = waits[..] else { panic!("{waits:?}") };
        assert_eq!(wait.seen, Seen { late: true, unfinished: true });
        assert_eq!((wait.state, wait.syscall), (WaitState::Sleeping, Some(syscall)));
        assert_near("its duration", wait.duration_ns, span, span / 50);
        assert_eq!((wait.weight, wait.queued_ns), (wait.duration_ns, 0));
        assert!(wait.stack.is_some());
        assert_eq!(waiter.totals_of(thread).count(), 0);
    };
    let [paused] = waiter.named("paused")[..] else { panic!() };
    check(paused, PAUSE);
    let pool = waiter.named("pooled");
    assert_eq!(pool.len(), 4);
    pool.iter().for_each(|thread| check(*thread, FUTEX));
}

/// Of thousands of short waits, some stand for all. There is a point about
/// every millisecond, at random, so that a second has a thousand of them.
#[test]
fn weights_of_short_waits_add_up() {
    let waiter = waiter();
    let [blinks] = waiter.named("blinks")[..] else { panic!() };
    let total: u64 = waiter.totals_of(blinks).map(|total| total.total_ns).sum();
    let count: u64 = waiter.totals_of(blinks).map(|total| total.count).sum();
    let rows = waiter.waits_of(blinks).count() as u64;
    let weight: u64 = waiter.waits_of(blinks).map(|wait| wait.weight).sum();
    println!("{count} waits, {rows} rows, {total} ns, weights {weight} ns");
    assert!(count > 10_000 && rows < count / 2, "{rows} of {count}");
    assert_near("weights", weight, total, total / 20);
    // Most take a little longer than the 50 µs asked for.
    let sleeps = waiter.totals_of(blinks).filter(|t| t.state == WaitState::Sleeping);
    let (mut all, mut usual) = (0, 0);
    for histogram in sleeps.map(|total| total.histogram.0) {
        all += histogram.iter().sum::<u64>();
        usual += histogram[15..=18].iter().sum::<u64>();
    }
    assert!(usual > all / 10 * 9, "{usual} of {all} from 32 to 512 µs");
}

#[test]
fn page_faults_are_waits_in_no_system_call() {
    let waiter = waiter();
    let [faults] = waiter.named("faults")[..] else { panic!() };
    let by_cause: Vec<_> = waiter.totals_of(faults).map(|t| (t.state, t.number, t.count)).collect();
    let is_fault = |state| matches!(state, WaitState::Io | WaitState::Blocked);
    let reads: u64 = by_cause
        .iter()
        .filter(|(state, number, _)| is_fault(*state) && number.is_none())
        .map(|(_, _, count)| count)
        .sum();
    assert!(reads > 100, "{by_cause:?}");
    // They are where the file is read; one that went on while it was looked at in
    // the end has no stack.
    let waits = waiter.waits_of(faults).filter(|wait| wait.stack.is_some());
    let waits = waits.filter(|wait| is_fault(wait.state) && wait.syscall.is_none());
    let names: BTreeSet<String> = waits.flat_map(|wait| user_names(waiter, wait)).collect();
    assert!(names.contains("touch") && names.contains("faults"), "{names:?}");
}

/// Names of a wait's frames in the program itself, from the innermost on.
fn user_names(waiter: &Waiter, wait: &Wait) -> Vec<String> {
    static NAMES: OnceLock<std::sync::Mutex<BTreeMap<u64, String>>> = OnceLock::new();
    let mut known = NAMES.get_or_init(Default::default).lock().unwrap();
    let program = rz_tests::program_path("waiter");
    let module = waiter.contents.records.iter().find_map(|record| match record {
        Record::Module(module) if module.path == text(&program) => Some(module),
        _ => None,
    });
    let module = module.expect("the program is a module");
    let offsets = waiter.contents.frames_of(wait.stack.unwrap()).into_iter();
    let offsets = offsets.filter_map(|frame| match frame {
        Frame::Code { module: of, offset } if of == module.id => Some(offset),
        _ => None,
    });
    let name = |offset: u64| {
        let in_segment =
            |s: &&rz_format::Segment| (s.file_offset..s.file_offset + s.length).contains(&offset);
        let segment = module.segments.iter().find(in_segment).expect("code is in a segment");
        let address = offset - segment.file_offset + segment.svma;
        let mut addr2line = Command::new(tool("addr2line"));
        // With what is inlined, innermost first: the last one is the frame.
        addr2line.args(["-f", "-i", "-e", text(&program), &format!("{address:x}")]);
        let output = rz_tests::run(&mut addr2line).success();
        output.stdout.lines().rev().nth(1).unwrap().to_owned()
    };
    let names = offsets.map(|offset| known.entry(offset).or_insert_with(|| name(offset)).clone());
    // addr2line knows no stub of the PLT, which is where clock_gettime begins.
    names.filter(|name| name != "??").collect()
}

/// Names of a wait's frames in the kernel, from the innermost on.
fn kernel_names(waiter: &Waiter, wait: &Wait) -> Vec<String> {
    let mut symbols: BTreeMap<u64, &str> = BTreeMap::new();
    let mut kernel = None;
    for record in &waiter.contents.records {
        match record {
            Record::Module(module) if module.kind == u8::from(ModuleKind::Kernel) => {
                kernel = Some(module.id);
            }
            Record::Symbol(symbol) if Some(symbol.module) == kernel => {
                symbols.insert(symbol.start, &symbol.name);
            }
            _ => {}
        }
    }
    let frames = waiter.contents.frames_of(wait.stack.unwrap()).into_iter();
    let frames = frames.filter_map(|frame| match frame {
        Frame::Code { module, offset } if Some(module) == kernel => Some(offset),
        _ => None,
    });
    let names = frames.map(|at| symbols.range(..=at).next_back().unwrap().1.to_string());
    // There if somebody else has programs at the tracepoint; readers leave it
    // out.
    names.skip_while(|name| name.starts_with("__traceiter_")).collect()
}

#[test]
fn stacks_lead_to_where_it_waits() {
    let waiter = waiter();
    let is_scheduler = |name: &str| name.contains("schedule");
    let check = |thread: &str, state: WaitState, kernel: &str, user: &[&str]| {
        let [id] = waiter.named(thread)[..] else { panic!() };
        let mut seen = 0;
        for wait in waiter.waits_of(id).filter(|wait| wait.state == state) {
            if wait.stack.is_none() {
                // It went on while it was looked at in the end.
                assert!(wait.seen.unfinished, "{wait:?}");
                continue;
            }
            let (own, inner) = (user_names(waiter, wait), kernel_names(waiter, wait));
            let shown = format!("{thread}: {inner:?} {own:?} {:?}", wait.seen);
            assert!(own.iter().map(String::as_str).eq(user.iter().copied()), "{shown}");
            // Of a thread that still waits, the kernel does not show these.
            assert!(is_scheduler(&inner[0]) || wait.seen.unfinished, "{shown}");
            assert!(inner.iter().any(|name| name.contains(kernel)), "{shown}");
            let of_program = |name: &String| name.contains("bpf") || name.contains("on_resume");
            assert!(!inner.iter().any(of_program), "{shown}");
            seen += 1;
        }
        assert!(seen > 0, "{thread}");
    };
    check("naps", WaitState::Sleeping, "nanosleep", &["sleep_ns", "nap", "naps"]);
    check("blinks", WaitState::Sleeping, "nanosleep", &["sleep_ns", "blinks"]);
    check("paused", WaitState::Sleeping, "pause", &["paused"]);
    // Where it was interrupted.
    check("hog-0", WaitState::Preempted, "", &["hogs"]);
}

/// A process that has ended stays until its parent looks at it, which here it
/// never does; and a process's first thread may end before the others.
#[test]
fn the_dead_do_not_wait() {
    let script = "sleep 2 & echo ready; exec sleep 1000";
    let parent = Target::spawn(Command::new("sh").args(["-c", script]));
    let script = "import ctypes, threading, time\n\
                  threading.Thread(target=time.sleep, args=[1000]).start()\n\
                  print('ready', flush=True)\n\
                  ctypes.CDLL(None).pthread_exit(None)";
    let headless = Target::spawn(Command::new(tool("python3")).args(["-c", script]));
    let first = format!("/proc/{}/task/{0}/stat", headless.pid());
    wait_until("its end", || fs::read_to_string(&first).unwrap().contains(") Z "));
    let options = ["-q", "-d", "3", "--follow", "--off-cpu", "--syscalls", "-p"];
    let targets = [&parent.pid_text(), "-p", &headless.pid_text()];
    let contents = Recorder::start(&[&options[..], &targets[..]].concat()).finish().contents();

    let threads: BTreeMap<u32, u32> = contents.threads().map(|t| (t.id, t.tid)).collect();
    assert_eq!(threads.len(), 4, "{threads:?}");
    let tids = |ids: &mut dyn Iterator<Item = u32>| -> BTreeSet<u32> {
        ids.map(|id| threads[&id]).collect()
    };
    let unfinished = contents.waits.iter().filter(|wait| wait.seen.unfinished);
    let waiting = tids(&mut unfinished.map(|wait| wait.thread));
    let unfinished = contents.calls.iter().filter(|call| call.seen.late && call.seen.unfinished);
    let calling = tids(&mut unfinished.map(|call| call.thread));
    let others = threads.values().copied().filter(|tid| *tid > headless.pid());
    assert_eq!(waiting, others.chain([parent.pid()]).collect());
    assert_eq!(calling, waiting);
}

/// Two threads that would keep two CPUs busy may have a fifth of one.
#[test]
fn a_quota_is_no_lack_of_cpus() {
    let cgroup = Cgroup::new("cpu");
    cgroup.set_cpu_quota(5);
    let target = Target::start("deep20", &[]);
    cgroup.add(target.pid());
    // Once it is throttled, it is so most of the time.
    wait_until("the target is throttled", || cgroup.throttled_ns() > 0);
    let before_ns = cgroup.throttled_ns();
    let contents = Trace::of(target.pid(), "3", &["--off-cpu", "-q"]).contents();
    let kernel_ns = cgroup.throttled_ns() - before_ns;
    drop(target);

    let sum = |state: WaitState| {
        let of_state = contents.totals.iter().filter(|t| t.class == TotalClass::Waits);
        let of_state = of_state.filter(|total| total.state == state);
        of_state.fold((0, 0), |(time, queued), t| (time + t.total_ns, queued + t.queued_ns))
    };
    let (throttled_ns, queued_ns) = sum(WaitState::Throttled);
    let (preempted_ns, _) = sum(WaitState::Preempted);
    // Both threads wait for the quota for most of the three seconds.
    assert!(throttled_ns > 3_000_000_000, "{throttled_ns}");
    assert!(preempted_ns < throttled_ns / 3, "{preempted_ns} of {throttled_ns}");
    // The kernel counts queues and not threads, and longer than the recording.
    let taken_ns = throttled_ns - queued_ns;
    assert!(taken_ns < kernel_ns + kernel_ns / 10, "{taken_ns} and {kernel_ns}");
    assert!(taken_ns > kernel_ns / 2, "{taken_ns} and {kernel_ns}");
    let rows = contents.waits.iter().filter(|wait| wait.state == WaitState::Throttled);
    assert!(rows.clone().count() > 10 && rows.clone().all(|wait| wait.stack.is_some()));
}

/// A thread that naps in a group whose quota others have used up: its naps are
/// as long as ever, and what comes on top is the quota's.
#[test]
fn a_quota_is_no_part_of_what_a_thread_waited_for() {
    let cgroup = Cgroup::new("cpu");
    cgroup.set_cpu_quota(5);
    let target = Target::start("waiter", &["0"]);
    cgroup.add(target.pid());
    wait_until("the target is throttled", || cgroup.throttled_ns() > 0);
    let contents = Trace::of(target.pid(), "3", &["--off-cpu", "-q"]).contents();
    drop(target);

    let naps = contents.thread_named("naps");
    let (count, asleep_ns) = contents.waits_for(naps, WaitState::Sleeping);
    let (throttled, throttled_ns) = contents.waits_for(naps, WaitState::Throttled);
    let mean_ms = asleep_ns as f64 / count as f64 / 1e6;
    assert!(count > 10 && (18.0..22.0).contains(&mean_ms), "{count} of {mean_ms} ms");
    assert!(throttled > 5 && throttled_ns > 300_000_000, "{throttled}, {throttled_ns} ns");
}
