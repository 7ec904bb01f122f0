//! How recordings end, and what the recorder says of itself by then.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use rz_format::{EndReason, LossReason, Record};
use rz_profile::load::{LoadOptions, load};
use rz_tests::{
    Recorder, Target, Trace, binary, report, run, send, temp_dir, text, tool, wait_until,
};

#[test]
fn ends_when_the_target_does() {
    let target = Target::start("split", &[]);
    let recorder = Recorder::start(&["-d", "100", "-p", &target.pid_text()]);
    let before = recorder.blocks();
    wait_until("samples", || recorder.blocks() > before + 1);
    send(target.pid(), Signal::SIGKILL);
    let trace = recorder.finish();
    assert_eq!(trace.output.status.code(), Some(0), "{}", trace.output);
    assert!(trace.output.stderr.contains("(the target exited)"), "{}", trace.output);
    assert_eq!(trace.end_reason(), EndReason::TargetsExited);
    assert!(trace.folded(&[]).count(";main;run;hot") > 0);
}

/// Two threads look at the clock, and whoever is first, that is why it ends.
#[test]
fn ends_when_its_time_is_over() {
    let target = Target::start("waiter", &[]);
    for _ in 0..10 {
        let trace = Recorder::spawn(&["-d", "0.2", "-p", &target.pid_text()]).finish();
        assert_eq!(trace.output.status.code(), Some(0), "{}", trace.output);
        assert_eq!(trace.end_reason(), EndReason::Duration);
        assert!(!trace.output.stderr.contains("ended early"), "{}", trace.output);
    }
}

#[test]
fn ends_well_when_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let target = Target::start("split", &[]);
        let recorder = Recorder::start(&["-d", "100", "-p", &target.pid_text()]);
        recorder.signal(signal);
        let trace = recorder.finish();
        assert_eq!(trace.output.status.code(), Some(0), "{}", trace.output);
        assert_eq!(trace.end_reason(), EndReason::Interrupted);
        // With an index at the end, for those who want to skip.
        let index = rz_format::read_index(&mut fs::File::open(trace.path()).unwrap()).unwrap();
        assert!(!index.is_empty());
        trace.conv(&["--to", "folded", "-o", "-"]).success();
    }
}

#[test]
fn is_readable_after_two_interrupts() {
    let target = Target::start("split", &[]);
    let recorder = Recorder::start(&["-d", "100", "-p", &target.pid_text()]);
    let before = recorder.blocks();
    wait_until("samples", || recorder.blocks() > before + 1);
    recorder.signal(Signal::SIGINT);
    recorder.signal(Signal::SIGINT);
    let trace = recorder.finish();
    assert!(trace.folded(&[]).count(";main;run;hot") > 0, "{}", trace.output);
}

#[test]
fn is_readable_after_a_kill() {
    let target = Target::start("split", &[]);
    let recorder = Recorder::start(&["-d", "100", "-p", &target.pid_text()]);
    let before = recorder.blocks();
    wait_until("samples", || recorder.blocks() > before + 2);
    recorder.signal(Signal::SIGKILL);
    let trace = recorder.finish();
    let output = trace.conv(&["--to", "folded", "-o", "-"]).success();
    assert!(output.stderr.contains("conv: note: "), "{output}");
    assert!(trace.folded(&[]).count(";main;run;hot") > 0, "{}", trace.output);
}

/// The recorder writes down what it costs, and what its clock shows, as it goes.
#[test]
fn accounts_for_itself() {
    let target = Target::start("split", &[]);
    let (records, damage) = Trace::of(target.pid(), "3.5", &["-q"]).records();
    assert_eq!(damage, []);
    let costs: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Cost(cost) => Some(cost),
            _ => None,
        })
        .collect();
    // One a second, and one at the end.
    assert!((3..=6).contains(&costs.len()), "{costs:?}");
    for pair in costs.windows(2) {
        assert!(pair[0].time_ns < pair[1].time_ns, "{costs:?}");
        assert!(pair[0].user_ns + pair[0].system_ns <= pair[1].user_ns + pair[1].system_ns);
        assert!(pair[0].written < pair[1].written, "{costs:?}");
        assert!(pair[1].peak_rss > 100 << 10, "{costs:?}");
    }
    let count = |is_one: fn(&Record) -> bool| records.iter().filter(|r| is_one(r)).count();
    assert!(count(|record| matches!(record, Record::Clock(_))) >= 2, "one at each end");
    assert_eq!(count(|record| matches!(record, Record::Host(_))), 1);
    assert_eq!(count(|record| matches!(record, Record::End(_))), 1);
    for record in &records {
        // The kernel may slow sampling down; the recorder has no reason to.
        let Record::Loss(loss) = record else { continue };
        assert_eq!(LossReason::from(loss.reason), LossReason::Throttled, "{loss:?}");
    }
}

/// Timers of threads that live shorter than a period never fire in the perf
/// tier. That is no reason to say that nothing was lost.
#[test]
fn says_when_threads_are_too_short_to_be_sampled() {
    let target = Target::start("storm", &[]);
    let trace = Trace::of(target.pid(), "1", &["--tier", "perf"]);
    let (records, _) = trace.records();
    let short: u8 = LossReason::ShortThreads.into();
    let missing: u64 = records
        .iter()
        .filter_map(|record| match record {
            Record::Loss(loss) if loss.reason == short => Some(loss.count),
            _ => None,
        })
        .sum();
    assert!(missing > 20, "{missing}: {}", trace.output);
    let report = report(&[text(&trace.path())]).success();
    assert!(report.stdout.contains("threads too short-lived to be sampled"), "{report}");
}

/// A hangup ends a recording, but not under nohup.
#[test]
fn goes_on_under_nohup() {
    let target = Target::start("split", &[]);
    let dir = temp_dir();
    let path = dir.path().join("trace.rz");
    let mut command = Command::new(tool("nohup"));
    command.arg(binary("rec")).args(["-d", "2", "-p", &target.pid_text(), "-o"]).arg(&path);
    let mut recorder = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_until("rec to begin", || path.exists());
    send(recorder.id(), Signal::SIGHUP);
    assert!(recorder.wait().unwrap().success());
    let profile = load(&path, &LoadOptions::default()).unwrap();
    assert!(profile.info.duration_ns > 1_900_000_000, "{} ns", profile.info.duration_ns);
}

/// What a script has in the background was started to ignore interrupts.
#[test]
fn ends_when_a_script_interrupts_it() {
    let target = Target::start("split", &[]);
    let dir = temp_dir();
    let path = dir.path().join("trace.rz");
    let script = r#""$0" -q -d 100 -p "$1" -o "$2" & while ! [ -e "$2" ]; do sleep 0.1; done
        kill -INT $!; wait $!"#;
    let mut shell = Command::new(tool("sh"));
    shell.args(["-c", script]).arg(binary("rec")).arg(target.pid_text()).arg(&path);
    run(&mut shell).success();
    let profile = load(&path, &LoadOptions::default()).unwrap();
    assert!(profile.info.duration_ns < 50_000_000_000, "{} ns", profile.info.duration_ns);
}

/// A terminal that is closed ends a recording well, though there is nobody
/// left to tell.
#[test]
fn ends_well_when_its_terminal_goes_away() {
    let target = Target::start("split", &[]);
    let dir = temp_dir();
    let path = dir.path().join("trace.rz");
    let rec = binary("rec");
    let line = format!("exec {} -d 100 -p {} -o {}", text(&rec), target.pid(), text(&path));
    let mut command = Command::new(tool("script"));
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut terminal = command.spawn().unwrap();
    wait_until("rec to begin", || path.exists());
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    let ended = || {
        let mut file = fs::File::open(&path).unwrap();
        let mut reader = rz_format::Reader::new(&mut file).unwrap();
        while reader.next_block().unwrap().is_some() {}
        reader.damage().is_empty()
    };
    wait_until("rec to end the trace", ended);
}
