//! What the recorder may use of the machine: it stays within that, and says what it has
//! left out for it.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use rz_format::{EndReason, LossClass, LossReason, Record, Seen, TotalClass};
use rz_tests::{
    Contents, Folded, Recorder, Target, binary, conv, rec, report, temp_dir, text, wait_until,
};

fn notes(contents: &Contents) -> Vec<&str> {
    let notes = contents.records.iter().filter_map(|record| match record {
        Record::Note(note) => Some(note.text.as_str()),
        _ => None,
    });
    notes.collect()
}

/// How many events of a class are lost that there are sums of: not those for which the
/// kernel has not run the programs.
fn lost(contents: &Contents, class: LossClass) -> u64 {
    let losses = contents.losses().into_iter().filter(|loss| {
        LossClass::from(loss.class) == class && LossReason::from(loss.reason) != LossReason::Skipped
    });
    losses.map(|loss| loss.count).sum()
}

/// Few samples that stand for many are as good as these, but for their number.
#[test]
fn samples_stand_for_those_that_are_left_out() {
    const HZ: u64 = 19997;
    let targets = [Target::start("split", &[]), Target::start("split", &[])];
    let [one, other] = targets.each_ref().map(Target::pid_text);
    for tier in ["bpf", "perf"] {
        let dir = temp_dir();
        let path = dir.path().join("t.rz");
        let args = ["-F", "19997", "-d", "4", "--tier", tier, "--max-cpu", "1"];
        rec(&[&args[..], &["-p", &one, "-p", &other, "-o", text(&path)]].concat()).success();
        let contents = Contents::read(&path);
        assert_eq!(contents.damage, []);
        let said = notes(&contents);
        let first = said.iter().find(|note| note.contains("more than 1 % of a CPU (--max-cpu)"));
        assert!(first.is_some_and(|note| note.ends_with("system calls")), "{tier}: {said:?}");
        let sum = said.last().expect("a note");
        assert!(sum.contains(" of 4.0 s to stay within its limits: "), "{tier}: {sum}");
        assert!(sum.contains("one sample in 2 for all of them for "), "{tier}: {sum}");
        let shown = report(&[text(&path)]).success();
        assert!(shown.stderr.contains("to stay within its limits"), "{shown}");

        let taken = contents.samples.len() as u64;
        let weight: u64 = contents.samples.iter().map(|sample| sample.weight).sum();
        let period = 1_000_000_000 / HZ;
        let generated = weight / period + lost(&contents, LossClass::Samples);
        // How soon that begins depends on the machine.
        assert!(taken * 50 < generated * 49, "{tier}: {taken} for {generated}");
        // Each has a CPU for itself, more or less.
        assert!(generated > 4 * HZ && generated < 2 * 4 * HZ * 21 / 20, "{tier}: {generated}");
        let folded = conv(&[text(&path), "--to", "folded", "-o", "-"]).success();
        let folded = Folded::parse(&folded.stdout);
        for (function, share) in [("run;hot", 0.7), ("run;warm", 0.2), ("run;cold", 0.1)] {
            folded.assert_share(function, share, 0.06);
        }
    }
}

/// Sums stay what they are, however few calls there are one by one.
#[test]
fn sums_are_exact_whatever_is_left_out() {
    let contents = flooded(&["--max-cpu", "1"], |_| thread::sleep(Duration::from_secs(3)));
    let said = notes(&contents);
    assert!(said.last().is_some_and(|note| note.contains("within its limits")), "{said:?}");
    let counted = assert_exact_calls(&contents);
    // Before the first step, all are written that there is room for.
    assert!((contents.calls.len() as u64) < counted / 2, "{counted}");
}

/// Somebody stops the recorder for a while; its buffers are full in no time.
#[test]
fn sums_are_exact_after_a_stop() {
    let contents = flooded(&["--max-cpu", "10000"], |recorder| {
        thread::sleep(Duration::from_millis(500));
        recorder.signal(Signal::SIGSTOP);
        thread::sleep(Duration::from_secs(1));
        recorder.signal(Signal::SIGCONT);
        thread::sleep(Duration::from_millis(500));
    });
    assert_exact_calls(&contents);
    assert!(lost(&contents, LossClass::Calls) > 0, "nothing was lost");
}

/// What is recorded of a flood of system calls, until `meanwhile` is over.
fn flooded(options: &[&str], meanwhile: impl FnOnce(&Recorder)) -> Contents {
    let target = Target::start("flood", &["60"]);
    let args = ["-d", "100", "-p", &target.pid_text(), "--syscalls"];
    let recorder = Recorder::start(&[&args, options].concat());
    meanwhile(&recorder);
    // Not by its clock: calls that begin when its time is over are in sums alone.
    recorder.signal(Signal::SIGINT);
    recorder.finish().contents()
}

/// Calls that are written stand, with those that are lost, for all that were counted, which
/// it returns.
#[track_caller]
fn assert_exact_calls(contents: &Contents) -> u64 {
    let totals = contents.totals.iter().filter(|total| total.class == TotalClass::Calls);
    let counted: u64 = totals.map(|total| total.count).sum();
    // Those that were under way in the beginning or the end are in no sum.
    let rows = contents.calls.iter().filter(|call| call.seen == Seen::default());
    let written: u64 = rows.map(|call| call.count).sum();
    let lost = lost(contents, LossClass::Calls);
    assert_eq!(written + lost, counted, "{written} written, {lost} lost");
    counted
}

/// What waits for an output that takes nothing does not take all memory.
#[test]
fn a_queue_has_its_share_of_the_memory() {
    let target = Target::start("flood", &["60"]);
    let mut rec = Command::new(binary("rec"));
    rec.args(["-d", "30", "--syscalls", "--syscall-stacks=all", "--max-cpu", "10000"]);
    rec.args(["--max-rss", "128M", "-q", "-o", "-", "-p", &target.pid_text()]);
    let rec = rec.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut rec = rec.spawn().expect("rec runs");
    // Nobody reads what it writes: it drops what there is no room for.
    wait_until("the queue to be full", || is_as_large_as_it_gets(&rec));
    let took = peak_rss(&rec);
    // Buffers count twice here: 2 MiB of samples and 8 of calls for two CPUs.
    assert!(took < (128 << 20) + (10 << 20), "{took}");
    assert!(rec.try_wait().unwrap().is_none(), "it has ended");
    rec.kill().unwrap();
    rec.wait().unwrap();
}

/// Whether its memory has not grown for a second.
fn is_as_large_as_it_gets(rec: &Child) -> bool {
    let before = peak_rss(rec);
    thread::sleep(Duration::from_secs(1));
    before > 40 << 20 && peak_rss(rec) == before
}

/// The most memory that it has had, in bytes.
fn peak_rss(rec: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", rec.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib: String = line.chars().filter(char::is_ascii_digit).collect();
    kib.parse::<u64>().unwrap_or(0) * 1024
}

#[test]
fn a_disk_is_left_what_it_is_to_have() {
    let target = Target::start("split", &[]);
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let args = ["-d", "30", "--min-free", "1000000G", "-p", &target.pid_text(), "-o", text(&path)];
    let output = rec(&args).success();
    assert!(output.stderr.contains("ends early: the disk has no more room"), "{output}");
    assert!(output.stderr.contains("(--min-free)") && output.stderr.contains("(ended early)"));
    let ends = Contents::read(&path).records.into_iter().filter_map(|record| match record {
        Record::End(end) => Some(end.reason),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [u8::from(EndReason::Limit)]);
}
