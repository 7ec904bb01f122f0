//! Samples of the CPU.

use std::collections::BTreeSet;

use rz_format::{LossReason, Record};
use rz_tests::{CallTree, Contents, Folded};

use crate::machine::Recorded;

const FORKER: &str = "
    main > fork_loop exec_child
    fork_loop >> parent_burn child_red child_blue
    parent_burn child_red child_blue exec_child > work
";

pub fn by_perf(recorded: &Recorded) {
    let contents = recorded.contents();
    assert_tier(&contents, "perf");
    // On a machine this slow, programs of the test end before they are found.
    let mut losses = contents.losses().into_iter();
    let other = losses.find(|loss| LossReason::from(loss.reason) != LossReason::ShortThreads);
    assert_eq!(other, None);
    assert_deep(&recorded.folded(&[]));
}

pub fn by_bpf(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    assert_tier(&contents, "bpf");
    assert_deep(&recorded.folded(&[]));
    // Two threads on two CPUs, of which the recorder and the kernel have a part.
    let sampled: u64 = contents.samples.iter().map(|sample| sample.weight).sum();
    let most = 2 * contents.span_ns();
    assert!((most / 4..=most + most / 10).contains(&sampled), "{sampled} ns of {most} ns sampled");
}

/// The frames of what looks like Python, but for the one kernel here that gets the
/// other programs.
pub fn of_python(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    let stack =
        if contents.is_of_linux_5_10() { ";main;pretend;burn" } else { ";main;pretend;evil;burn" };
    let folded = recorded.folded(&[]);
    assert!(folded.share(stack) > 0.9, "{}", folded.head(9));
}

pub fn of_all(recorded: &Recorded) {
    let contents = recorded.contents();
    assert_tier(&contents, "bpf");
    let target = recorded.pid.expect("there is a target");
    let sampled = contents.sampled_pids();
    assert!(sampled.contains(&target), "{target} is not among {sampled:?}");
    // The first process waits for the recorder, and that for its time to be up.
    let pids: BTreeSet<u32> = contents.processes().values().map(|process| process.pid).collect();
    assert!(pids.contains(&1), "the first process is not among {pids:?}");
    let folded = recorded.folded(&[]);
    assert!(folded.count("deep20;clone") > 20, "{}", folded.head(9));
    assert!(folded.count("_[k]") > 0, "nothing in the kernel: {}", folded.head(9));
}

pub fn of_children(recorded: &Recorded) {
    assert_tier(&recorded.whole_contents(), "bpf");
    assert_forker(recorded);
}

pub fn of_a_program(recorded: &Recorded) {
    let contents = recorded.whole_contents();
    assert_tier(&contents, "bpf");
    assert_forker(recorded);
    let children = recorded.stdout.lines().find_map(|line| line.strip_prefix("children "));
    let children: usize = children.expect("its last line").parse().expect("a number");
    let pids: BTreeSet<u32> = contents.processes().values().map(|process| process.pid).collect();
    assert_eq!(pids.len(), children + 1, "processes: the children, and their parent");
}

#[track_caller]
fn assert_tier(contents: &Contents, expected: &str) {
    let tier = contents.records.iter().find_map(|record| match record {
        Record::Recording(recording) => Some(recording.tier.as_str()),
        _ => None,
    });
    assert_eq!(tier, Some(expected), "the tier");
}

/// Stacks of `deep20`: all whole, and most at the deepest: emulated, interrupts and reading
/// the clock take their share.
#[track_caller]
fn assert_deep(folded: &Folded) {
    let mut tree = "deep_thread > f00 now_ns\n f19 > work\n".to_owned();
    let mut whole = ";start_thread;deep_thread;f00".to_owned();
    for level in 0..19 {
        let next = level + 1;
        tree += &format!("f{level:02} > f{next:02}\n");
        whole += &format!(";f{next:02}");
    }
    CallTree::parse(&tree).check(folded, str::to_owned).assert_complete();
    assert!(folded.share(&whole) > 0.7, "{}", folded.head(9));
}

/// Stacks of `forker`: the parent's, and those of its children, whether they
/// execute a program or not.
#[track_caller]
fn assert_forker(recorded: &Recorded) {
    let mut folded = recorded.folded(&[]);
    // While a program is executed, there is no stack; and then it spends a moment
    // in the dynamic loader, which does not tell where it was entered.
    folded.stacks.retain(|stack, _| !stack.contains(";__x64_sys_execve_[k];"));
    let checked = CallTree::parse(FORKER).check(&folded, str::to_owned);
    assert!(checked.truncated * 20 <= checked.complete, "{checked:?}\n{}", folded.head(20));
    for part in [";parent_burn", ";child_red", ";child_blue", ";main;exec_child"] {
        assert!(folded.share(part) > 0.02, "{part}: {}", folded.head(20));
    }
}
