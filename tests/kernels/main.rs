//! Everything that `rec` records, on kernels other than this machine's.
//!
//! Each test boots one of them in a virtual machine, lets it run all scenarios,
//! and holds what came out against what the target programs are known to do. It
//! goes on after a failure, and says in the end what works and what does not.

use std::cell::RefCell;
use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe};

mod calls;
mod cpu;
mod machine;
mod memory;
mod refusals;
mod scenarios;
mod waits;

use machine::Recorded;
use scenarios::{SCENARIOS, Scenario};

thread_local! {
    /// What the last panic of a check said, and where.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

#[test]
#[ignore = "the oldest, for tests/kernels/run.sh --all"]
fn linux_5_10() {
    check("5.10");
}

#[test]
fn linux_6_1() {
    check("6.1");
}

#[test]
fn linux_6_12() {
    check("6.12");
}

#[test]
fn linux_newest() {
    check("newest");
}

/// Panics unless every scenario works on that kernel.
#[track_caller]
fn check(kernel: &str) {
    let recorded = machine::run_on(kernel, SCENARIOS);
    let mut table = String::new();
    let mut failures = String::new();
    for (scenario, recorded) in SCENARIOS.iter().zip(&recorded) {
        let complaints = complaints(scenario, recorded);
        let verdict = if complaints.is_empty() { "ok    " } else { "FAILED" };
        line(
            &mut table,
            format_args!("{kernel:>6}  {verdict}  {:<16}{}", scenario.name, scenario.what),
        );
        if complaints.is_empty() {
            continue;
        }
        line(
            &mut failures,
            format_args!("\n---- {kernel}: {}: rec {}", scenario.name, scenario.rec),
        );
        complaints.iter().for_each(|complaint| line(&mut failures, format_args!("{complaint}")));
        let said =
            if recorded.stderr.is_empty() { "(nothing)" } else { recorded.stderr.trim_end() };
        line(&mut failures, format_args!("rec's exit code: {:?}; it said:\n{said}", recorded.code));
    }
    assert!(failures.is_empty(), "{failures}\n{table}");
    println!("{table}");
}

/// What is wrong with a scenario, if anything.
fn complaints(scenario: &Scenario, recorded: &Recorded) -> Vec<String> {
    panic::set_hook(Box::new(|panic| LAST_PANIC.set(panic.to_string())));
    let checks = [scenario.check, Recorded::assert_nothing_left];
    let failed = checks.iter().filter_map(|check| {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| check(recorded)));
        outcome.err().map(|_| LAST_PANIC.take())
    });
    let complaints = failed.collect();
    // Back to the usual.
    drop(panic::take_hook());
    complaints
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes everything");
}
