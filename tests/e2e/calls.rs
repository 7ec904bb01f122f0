//! System calls: exact sums, and what is said about each.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;

use nix::errno::Errno;
use rz_format::{Call, LossClass, LossReason, Record, Seen, TotalClass};
use rz_tests::{
    Contents, Counted, Recorder, Target, Trace, program_path, run, temp_dir, text, tool,
};

/// Number added to those of the 32-bit interface.
const COMPAT: u32 = 1 << 30;

fn number(name: &str) -> u32 {
    rz_syscalls::by_name(name).unwrap_or_else(|| panic!("no system call {name}")).number
}

/// Records `callmaker` doing `what`, with `options` for `rec`.
#[track_caller]
fn calls_of(what: &str, options: &[&str]) -> Contents {
    let program = program_path("callmaker");
    let recorder = Recorder::spawn(&[options, &["-q", "--", text(&program), what]].concat());
    let trace = recorder.finish();
    let code = if what == "calls" { 7 } else { 0 };
    assert_eq!(trace.output.status.code(), Some(code), "{}", trace.output);
    let contents = trace.contents();
    assert_eq!(contents.damage, []);
    let said = contents.records.iter().filter(|record| matches!(record, Record::Note(_)));
    let said: Vec<_> = said.collect();
    let rows = contents.calls.len();
    assert_eq!(contents.losses(), Vec::<&rz_format::Loss>::new(), "{rows} rows, {said:?}");
    contents
}

/// The rows of a system call.
fn rows<'a>(contents: &'a Contents, name: &str) -> Vec<&'a Call> {
    let number = number(name);
    let mut rows: Vec<&Call> = contents.calls.iter().filter(|call| call.number == number).collect();
    rows.sort_by_key(|call| call.start_ns);
    rows
}

/// What strace counts: calls and errors by number.
fn strace_counts(command: &[&str]) -> BTreeMap<u32, Counted> {
    let dir = temp_dir();
    let table = dir.path().join("table");
    let mut strace = Command::new(tool("strace"));
    strace.args(["-f", "-c", "-U", "calls,errors,name", "-o", text(&table)]);
    run(strace.args(command));
    let table = std::fs::read_to_string(table).unwrap();
    let mut counts = BTreeMap::new();
    let mut added = 0;
    for line in table.lines() {
        if line.contains("32 bit") {
            added = COMPAT;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let (count, errors, name) = match words[..] {
            [count, name] => (count, "0", name),
            [count, errors, name] => (count, errors, name),
            _ => continue,
        };
        let (Ok(count), Ok(errors)) = (count.parse(), errors.parse()) else { continue };
        // Numbers of the other interface.
        let number = match (name, added) {
            ("total", _) => continue,
            ("getpid", COMPAT) => COMPAT + 20,
            ("close", COMPAT) => COMPAT + 6,
            _ => number(name),
        };
        counts.insert(number, Counted { count, errors });
    }
    counts
}

#[track_caller]
fn assert_as_strace_counts(command: &[&str], contents: &Contents) {
    let expected = strace_counts(command);
    assert!(expected.len() > 10, "{expected:?}");
    let mut counted = contents.counted_calls();
    // The moment the program begins is where both begin; what strace does not
    // see return, neither of us counts.
    assert_eq!(counted.remove(&number("exit_group")), None);
    let differ: BTreeMap<u32, _> = expected
        .keys()
        .chain(counted.keys())
        .map(|number| (*number, (counted.get(number), expected.get(number))))
        .filter(|(_, (ours, theirs))| ours != theirs)
        .collect();
    assert!(differ.is_empty(), "number, ours and theirs: {differ:#?}");
}

#[test]
fn counts_as_strace_does() {
    let contents = calls_of("calls", &["--syscalls"]);
    assert_as_strace_counts(&[text(&program_path("callmaker")), "calls"], &contents);
    // Each has its row, too; and a row more for each of the three programs
    // and processes that ended.
    let mut by_rows: BTreeMap<u32, Counted> = BTreeMap::new();
    for call in contents.calls.iter().filter(|call| !call.seen.unfinished) {
        let counted = by_rows.entry(call.number).or_default();
        counted.count += call.count;
        counted.errors += u64::from((-4095..0).contains(&call.result));
    }
    assert_eq!(by_rows, contents.counted_calls());
    let last: Vec<_> = contents.calls.iter().filter(|call| call.seen.unfinished).collect();
    assert!(last.iter().all(|call| call.number == number("exit_group")), "{last:?}");
    let mut codes: Vec<u64> = last.iter().map(|call| call.args[0]).collect();
    codes.sort();
    assert_eq!(codes, [0, 7]);
}

#[test]
fn counts_of_others_as_strace_does() {
    let check = |command: &[&str]| {
        let trace = Trace::record(&[&["-q", "--syscalls=summary", "--"], command].concat());
        println!("{command:?}");
        assert_as_strace_counts(command, &trace.contents());
    };
    // Where output goes makes a difference.
    let shell = |script: &str| check(&["sh", "-c", &format!("exec >/dev/null 2>&1; {script}")]);
    shell("ls -lR /etc /no/such/folder; true");
    shell("trap 'echo usr1' USR1; kill -USR1 $$; (exit 3); ls /etc; ls /no/such/folder; true");
    shell("exec dd if=/dev/zero of=/dev/null bs=4096 count=1000");
    let python = tool("python3");
    shell(&format!("exec env -i PYTHONHASHSEED=0 {} -S -c 'import json'", text(&python)));
}

#[test]
fn only_totals() {
    let contents = calls_of("calls", &["--syscalls=summary"]);
    assert_as_strace_counts(&[text(&program_path("callmaker")), "calls"], &contents);
    assert_eq!(contents.calls, []);
    for total in &contents.totals {
        assert_eq!(total.histogram.0.iter().sum::<u64>(), total.count, "{total:?}");
        assert!(total.min_ns > 0 && total.min_ns <= total.max_ns, "{total:?}");
        assert!(total.total_ns >= total.max_ns, "{total:?}");
        assert!(total.total_ns <= total.max_ns * total.count, "{total:?}");
        assert!(total.thread.is_some(), "{total:?}");
    }
}

/// The same number means another call there.
#[test]
fn calls_of_the_32_bit_interface_are_told_apart() {
    let contents = calls_of("compat", &["--syscalls"]);
    assert_as_strace_counts(&[text(&program_path("callmaker")), "compat"], &contents);
    let counted = contents.counted_calls();
    assert_eq!(counted[&(COMPAT + 20)], Counted { count: 5, errors: 0 });
    assert_eq!(counted[&(COMPAT + 6)], Counted { count: 2, errors: 2 });
    let close = contents.calls.iter().find(|call| call.number == COMPAT + 6).unwrap();
    assert_eq!((close.args[0], close.result), (12345, -(Errno::EBADF as i64)));
    assert!(!counted.contains_key(&number("writev")), "{counted:?}");
}

#[test]
fn what_a_call_was_given_and_gave() {
    let contents = calls_of("calls", &["--syscalls"]);
    let path = |call: &Call, which: usize| {
        String::from_utf8_lossy(contents.text(call.texts[which]).unwrap()).into_owned()
    };
    let program = program_path("callmaker");

    let missing: Vec<_> =
        rows(&contents, "openat").into_iter().filter(|c| path(c, 0) == "/no/such/file").collect();
    assert_eq!(missing.len(), 3);
    for call in missing {
        assert_eq!(call.result, -(Errno::ENOENT as i64));
        assert_eq!((call.args[0] as i32, call.args[2], call.args[4]), (-100, 2, 0));
        assert!(call.stack.is_some(), "a failed call has a stack: {call:?}");
    }
    let own = rows(&contents, "openat").into_iter().find(|call| path(call, 0) == text(&program));
    let file = own.unwrap().result;
    assert!(file > 2);
    let reads = rows(&contents, "read").into_iter().filter(|call| call.args[0] as i64 == file);
    let reads: Vec<_> = reads.filter(|call| call.args[2] < 20).map(|call| call.result).collect();
    assert_eq!(reads, [10, 11, 12, 13, 14, 15, 16]);
    let [dup2] = rows(&contents, "dup2")[..] else { panic!() };
    assert_eq!((dup2.args[1], dup2.result), (77, 77));
    let [rename] = rows(&contents, "rename")[..] else { panic!() };
    assert_eq!([path(rename, 0), path(rename, 1)], ["/no/such/old", "/no/such/new"]);

    // The address and port of a sockaddr_in.
    let address = |call: &Call| {
        let bytes = contents.text(call.texts[0]).unwrap();
        assert_eq!(u16::from_ne_bytes([bytes[0], bytes[1]]), 2, "AF_INET");
        let ip = <[u8; 4]>::try_from(&bytes[4..8]).unwrap();
        (Ipv4Addr::from(ip), u16::from_be_bytes([bytes[2], bytes[3]]), bytes.len())
    };
    let [refused, connected] = rows(&contents, "connect")[..] else { panic!() };
    assert_eq!(address(refused), (Ipv4Addr::LOCALHOST, 1, 16));
    assert_eq!(refused.result, -(Errno::ECONNREFUSED as i64));
    let [bind] = rows(&contents, "bind")[..] else { panic!() };
    assert_eq!(address(bind), (Ipv4Addr::LOCALHOST, 0, 16));
    assert_eq!((bind.result, connected.result), (0, 0));
    let [accept] = rows(&contents, "accept")[..] else { panic!() };
    let (ip, port, _) = address(accept);
    assert!(ip == Ipv4Addr::LOCALHOST && port > 0 && accept.result > 2, "{accept:?}");

    // What is executed is read before the old program is gone.
    let execs: Vec<_> =
        rows(&contents, "execve").iter().map(|call| (path(call, 0), call.result)).collect();
    let program = text(&program).to_owned();
    let missing = ("/no/such/program".to_owned(), -(Errno::ENOENT as i64));
    assert_eq!(execs, [(program.clone(), 0), missing, (program, 0)]);

    for call in rows(&contents, "execve") {
        let [path, argv, environment, rest @ ..] = call.args;
        assert!(path > 0 && argv > 0 && environment > 0, "{call:?}");
        assert_eq!(rest, [0; 3]);
    }

    // Most calls get no stack.
    let with_stack = contents.calls.iter().filter(|call| call.stack.is_some() && call.result >= 0);
    assert!(with_stack.count() < contents.calls.len() / 2);
}

/// Each program that a process runs has its own sums.
#[test]
fn sums_belong_to_the_program_that_made_the_calls() {
    let contents = calls_of("calls", &["--syscalls=summary"]);
    let getppid = number("getppid");
    let owners: Vec<u32> = contents
        .totals
        .iter()
        .filter(|total| total.number == Some(getppid))
        .map(|total| total.thread.unwrap())
        .collect();
    let [owner] = owners[..] else { panic!("{owners:?}") };
    let thread = contents.threads().find(|thread| thread.id == owner).unwrap();
    // The program, its child, and the program that the child executes.
    let processes: Vec<_> = contents.processes().into_values().collect();
    let [first, child, second] = processes[..] else { panic!("{processes:?}") };
    assert!(first.pid != child.pid && child.pid == second.pid, "{processes:?}");
    assert_eq!(thread.process, second.id);
}

#[test]
fn sums_belong_to_the_thread_that_made_the_calls() {
    let contents = calls_of("threads", &["--syscalls=summary"]);
    let getppid = number("getppid");
    for caller in 0..4 {
        let id = contents.thread_named(&format!("caller-{caller}"));
        let of_it = contents
            .totals
            .iter()
            .filter(|total| total.thread == Some(id) && total.number == Some(getppid));
        let counts: Vec<u64> = of_it.map(|total| total.count).collect();
        assert_eq!(counts, [100 * (caller + 1)], "caller-{caller}");
    }
}

/// Sums of threads that have ended are taken out of the kernel while others go on.
#[test]
fn sums_of_many_threads_are_exact() {
    const LIVES: usize = 40_000;
    let contents = calls_of("lives", &["--syscalls=summary"]);
    let mut counts: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for total in contents.totals.iter().filter(|total| total.number == Some(number("getppid"))) {
        counts.entry(total.thread.unwrap()).or_default().push(total.count);
    }
    let first = contents.threads().next().unwrap().id;
    let of_first = counts.remove(&first).unwrap();
    assert!(of_first.len() > 1, "{of_first:?}");
    assert_eq!(of_first.iter().sum::<u64>(), LIVES as u64);
    assert_eq!(counts.len(), LIVES);
    let others: Vec<_> = counts.iter().filter(|(_, counts)| counts[..] != [3]).take(9).collect();
    assert_eq!(others, []);
}

#[test]
fn only_slow_calls_in_detail() {
    let contents = calls_of("slow", &["--syscalls", "--slower-than", "4ms"]);
    let slow = rows(&contents, "clock_nanosleep");
    assert_eq!(slow.len(), 3);
    for call in &contents.calls {
        // The one that does not return may be of any length.
        assert!(call.duration_ns >= 4_000_000 || call.seen.unfinished, "{call:?}");
        assert!(call.stack.is_some() || call.seen.unfinished, "a slow call has a stack: {call:?}");
        assert!(call.duration_ns == call.stack_weight || call.seen.unfinished, "{call:?}");
    }
    let counted = contents.counted_calls();
    assert_eq!(counted[&number("getppid")].count, 100);
    assert_eq!(counted[&number("clock_nanosleep")].count, 3);
}

#[test]
fn only_some_calls() {
    let contents = calls_of("calls", &["--syscalls=file,!openat,getppid"]);
    let counted = contents.counted_calls();
    let of = |name: &str| counted.get(&number(name)).map(|counted| counted.count);
    assert_eq!((of("openat"), of("read"), of("write")), (None, None, None));
    assert_eq!((of("getppid"), of("rename"), of("chdir")), (Some(11), Some(1), Some(1)));
    assert!(contents.calls.iter().all(|call| counted.contains_key(&call.number)));
}

#[test]
fn a_stack_for_each_call_or_none() {
    let contents = calls_of("slow", &["--syscalls", "--syscall-stacks=all"]);
    let without = contents.calls.iter().filter(|call| call.stack.is_none());
    let without: Vec<_> = without.filter(|call| !call.seen.unfinished).collect();
    // When the program begins, it has made no call yet.
    assert!(without.iter().all(|call| call.number == number("execve")), "{without:?}");
    assert_eq!(rows(&contents, "getppid").len(), 100);
    let contents = calls_of("slow", &["--syscalls", "--syscall-stacks=none"]);
    assert!(contents.calls.iter().all(|call| call.stack.is_none() && call.stack_weight == 0));
    assert_eq!(rows(&contents, "getppid").len(), 100);
}

#[test]
fn a_call_without_beginning_and_end() {
    let target = Target::spawn(Command::new(program_path("callmaker")).arg("block"));
    let contents = Trace::of(target.pid(), "1", &["-q", "--syscalls", "--off-cpu"]).contents();
    let [call] = contents.calls[..] else { panic!("{:?}", contents.calls) };
    assert_eq!((call.number, call.seen), (number("read"), Seen { late: true, unfinished: true }));
    assert_eq!((call.args[2], call.args[3]), (1, 0));
    let span = contents.span_ns();
    assert!(call.duration_ns.abs_diff(span) < span / 20, "{} of {span}", call.duration_ns);
    assert_eq!(contents.counted_calls(), BTreeMap::new());
    // The descriptor is one that was open before.
    let is_file = |record: &&Record| match record {
        Record::OpenFile(file) => u64::from(file.fd) == call.args[0],
        _ => false,
    };
    let file = contents.records.iter().find(is_file);
    let Some(Record::OpenFile(file)) = file else { panic!("{:?}", contents.records) };
    assert!(file.target.starts_with("pipe:["), "{file:?}");
}

#[test]
fn requests_to_an_io_uring_are_counted() {
    let contents = calls_of("uring", &["--syscalls=summary"]);
    let requests: Vec<_> = contents
        .totals
        .iter()
        .filter(|total| total.class == TotalClass::IoUring)
        .map(|total| (total.number, total.count))
        .collect();
    // Operation 0 is to do nothing.
    assert_eq!(requests, [(Some(0), 3)]);
}

/// A number that the program has printed.
fn printed(trace: &Trace, key: &str) -> u64 {
    let stdout = &trace.output.stdout;
    let line = stdout.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or_else(|| panic!("no {key} in {stdout}")).trim().parse().unwrap()
}

/// More calls than anybody can write: sums stay exact, rows say what they stand
/// for, and samples are as good as ever.
#[test]
fn a_flood() {
    let program = program_path("flood");
    let trace = Recorder::spawn(&["-q", "--syscalls", "--", text(&program), "3", "3"]).finish();
    assert!(trace.output.status.success(), "{}", trace.output);
    let contents = trace.contents();
    let made = printed(&trace, "made ");
    assert_eq!(contents.counted_calls()[&number("getppid")], Counted { count: made, errors: 0 });

    let rows = rows(&contents, "getppid");
    let stand_for: u64 = rows.iter().map(|call| call.count).sum();
    let lost = |class: LossClass| -> u64 {
        let is_it = |loss: &&rz_format::Loss| LossClass::from(loss.class) == class;
        let of_class = contents.losses().into_iter().filter(is_it);
        of_class.map(|loss| loss.count).sum()
    };
    let most = rows.iter().map(|call| call.count).max().unwrap();
    println!(
        "{made} calls, {} rows for {stand_for}, one in {most}, {} lost",
        rows.len(),
        lost(LossClass::Calls)
    );
    // What is lost was one of so many as well.
    let lost_calls = lost(LossClass::Calls);
    let (least, most) = (stand_for + lost_calls, stand_for + lost_calls * most);
    let off = made / 20;
    assert!(least <= made + off && most + off >= made, "{least} to {most} of {made}");

    assert_eq!((lost(LossClass::Samples), lost(LossClass::Totals)), (0, 0));
    let sampled: u64 = contents.samples.iter().map(|sample| sample.weight).sum();
    let used = printed(&trace, "cpu ");
    println!("{sampled} ns sampled of {used} ns used");
    assert!(sampled.abs_diff(used) <= used / 20, "{sampled} of {used}");
}

/// Taking programs away takes a while, in which calls begin whose end none sees. They are not
/// of the recording, and none of its losses.
#[test]
fn calls_that_begin_after_the_end_are_not_lost() {
    let target = Target::start("flood", &["30", "4"]);
    let start = |_| Recorder::start(&["-q", "--syscalls", "-d", "0.2", "-p", &target.pid_text()]);
    let recorders = [(); 3].map(start);
    for trace in recorders.map(Recorder::finish) {
        let contents = trace.contents();
        assert!(contents.counted_calls()[&number("getppid")].count > 100);
        let skipped: Vec<_> = contents
            .losses()
            .into_iter()
            .filter(|loss| LossReason::from(loss.reason) == LossReason::Skipped)
            .collect();
        assert!(skipped.is_empty(), "{skipped:?}");
    }
}

/// Calls that fail have a stack each, which is more than the kernel's buffer has room for when
/// a program looks for its libraries in many places: stacks are left out then, and no call.
#[test]
fn many_calls_that_fail_at_once() {
    let folders: Vec<String> =
        (0..25).map(|folder| format!("/none/{}/{folder}", "x".repeat(500))).collect();
    let path = format!("LD_LIBRARY_PATH={}", folders.join(":"));
    let program = program_path("callmaker");
    let command = ["env", &path, text(&program), "calls"];
    let trace = Recorder::spawn(&[&["-q", "--syscalls", "--"][..], &command].concat()).finish();
    let contents = trace.contents();
    assert_eq!(contents.losses(), Vec::<&rz_format::Loss>::new());
    let failed = contents.calls.iter().filter(|call| (-4095..0).contains(&call.result));
    assert!(failed.clone().count() > 1000);
    assert!(failed.filter(|call| call.stack.is_some()).count() > 50);
}
