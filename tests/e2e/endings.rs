//! How recordings end, and what the recorder says of itself by then.

use std::fs;

use nix::sys::signal::Signal;
use rz_format::{EndReason, LossReason, Record};
use rz_tests::{Recorder, Target, Trace, send, wait_until};

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
