//! Comparisons of made-up profiles.

use rz_profile::model::{Event, Profile, Unit};

use super::compare::NO_EVENT;
use super::*;
use crate::diff::change::Verdict;
use crate::fixture::Builder;

/// A profile of `seconds` at `hz` of a program that keeps one core busy
/// with ten functions of known shares, sampled at random (with a fixed
/// seed, so that the test has one outcome).
fn busy(seconds: u64, hz: u64, seed: u64) -> Profile {
    let mut state = seed;
    let mut counts = [0; 10];
    for _ in 0..seconds * hz {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Shares of 1/55, 2/55, … 10/55.
        let mut point = (state >> 33) % 55;
        let mut function = 0;
        while point > function {
            point -= function + 1;
            function += 1;
        }
        counts[function as usize] += 1;
    }
    let mut builder = Builder::new();
    for (i, count) in counts.into_iter().enumerate() {
        let stack = builder.stack(&["main", &format!("f{i}")]);
        builder.sample(0, stack, count);
    }
    let mut profile = builder.profile;
    profile.info.duration_ns = seconds * 1_000_000_000;
    profile.events[0].frequency_hz = hz as u32;
    profile.samples.iter_mut().for_each(|s| s.weight = s.count * 1_000_000_000 / hz);
    profile
}

fn run(profile: &Profile) -> Run<'_> {
    let event = (!profile.samples.is_empty()).then_some(0);
    Run { profile, name: "trace.rz", event }
}

fn diff<'a>(before: &'a Profile, after: &'a Profile) -> Diff<'a> {
    compare([&[run(before)], &[run(after)]], &DiffOptions::default()).unwrap()
}

#[test]
fn the_same_load_at_another_rate_and_length_did_not_change() {
    let (before, after) = (busy(30, 99, 1), busy(10, 997, 2));
    let diff = diff(&before, &after);
    let total = diff.total;
    assert!((total.values[0] - 100.0).abs() < 0.1, "{total:?}");
    assert_eq!(total.verdict, Verdict::NoEvidence, "{total:?}");
    assert_eq!(diff.rows.len(), 11);
    for row in &diff.rows {
        let name = &diff.symbols[row.symbol].name;
        for change in [row.self_, row.total] {
            assert!(change.delta().abs() < 2.0, "{name}: {change:?}");
            assert_eq!(change.verdict, Verdict::NoEvidence, "{name}: {change:?}");
        }
    }
}

#[test]
fn a_real_change_stands_out() {
    let before = busy(30, 99, 1);
    let mut after = busy(10, 997, 2);
    // f9 takes half as long again; nothing else changes.
    let grown = after.samples.last_mut().unwrap();
    (grown.count, grown.weight) = (grown.count * 3 / 2, grown.weight / 2 * 3);
    let diff = diff(&before, &after);
    let row = &diff.rows[0];
    assert_eq!(diff.symbols[row.symbol].name, "f9");
    let change = row.self_;
    assert!((change.delta() - 1000.0 / 55.0 / 2.0).abs() < 2.0, "{change:?}");
    assert_eq!(change.verdict, Verdict::More, "{change:?}");
    let test = change.test.unwrap();
    assert!(test.interval[0] > 0.0 && test.detectable < change.delta(), "{test:?}");
}

#[test]
fn new_and_gone_functions_are_kept() {
    let before = Builder::of(&[("main;a", 100), ("main;old;x", 50)]);
    let after = Builder::of(&[("main;a", 100), ("main;new;x", 30)]);
    let diff = diff(&before, &after);
    let rows: Vec<_> = diff
        .rows
        .iter()
        .map(|row| {
            let counts = [row.self_.amounts, row.total.amounts].concat();
            let counts: [Amount; 4] = counts.try_into().unwrap();
            (diff.symbols[row.symbol].name.as_str(), counts.map(|amount| amount.samples))
        })
        .collect();
    let expected = [
        ("old", [0, 0, 50, 0]),
        ("new", [0, 0, 0, 30]),
        ("x", [50, 30, 50, 30]),
        ("main", [0, 0, 150, 130]),
        ("a", [100, 100, 100, 100]),
    ];
    assert_eq!(rows, expected);
    let paths = diff.nodes.iter().filter(|n| diff.symbols[n.symbol].name == "x").count();
    assert_eq!(paths, 2);
    let total: u64 = diff.nodes.iter().map(|node| node.self_[0].samples).sum();
    assert_eq!(total, 150);
}

/// Values come from sums over parts, amounts from call trees.
#[test]
fn values_are_normalised_amounts() {
    let stacks = [("main;f;g;f", 7), ("main;f;f;f", 3), ("[truncated];g;f", 5), ("main;h_[i]", 2)];
    let before = Builder::of(&stacks);
    let after = Builder::of(&[("main;f;g;f", 4), ("main;new;g", 9)]);
    for runs in [1, 2] {
        let sides = [vec![run(&before); runs], vec![run(&after); runs]];
        let diff = compare([&sides[0], &sides[1]], &DiffOptions::default()).unwrap();
        let rows = diff.rows.iter().flat_map(|row| [row.self_, row.total]);
        for change in rows.chain(diff.nodes.iter().map(|node| node.total)) {
            for side in 0..2 {
                let expected = diff.scale.value(side, change.amounts[side].weight as f64);
                assert!((change.values[side] - expected).abs() < 1e-9, "{change:?}");
            }
        }
    }
}

#[test]
fn rebuilt_functions_match() {
    let before = Builder::of(&[("main;parse.constprop.0", 10)]);
    let after = Builder::of(&[("main;parse", 10)]);
    let diff = diff(&before, &after);
    assert_eq!(diff.rows.len(), 2);
    assert!(diff.rows.iter().all(|row| row.self_.delta() == 0.0));
}

#[test]
fn a_recording_without_samples_compares() {
    let (idle, busy) = (Builder::new().profile, Builder::of(&[("main", 100)]));
    let check = |before, after, expected, verdict| {
        for per in [Per::Wall, Per::Raw, Per::Share] {
            let options = DiffOptions { per: Some(per), ..DiffOptions::default() };
            let diff = compare([&[run(before)], &[run(after)]], &options).unwrap();
            if per == Per::Wall {
                assert_eq!(diff.total.delta().round(), expected);
            }
            if per != Per::Share {
                assert_eq!(diff.total.verdict, verdict, "{:?}", diff.total);
            }
        }
    };
    check(&idle, &busy, 10.0, Verdict::New);
    check(&busy, &idle, -10.0, Verdict::Gone);
    check(&idle, &idle, 0.0, Verdict::NoEvidence);
}

#[test]
fn what_has_no_common_scale_is_refused() {
    let before = Builder::of(&[("main", 1)]);
    let mut after = before.clone();
    after.events[0] =
        Event { name: "cycles".into(), unit: Unit::Cycles, frequency_hz: 100, ..NO_EVENT.clone() };
    let error = |after: &Profile| {
        let sides = [&[run(&before)][..], &[run(after)]];
        compare(sides, &DiffOptions::default()).unwrap_err().to_string()
    };
    assert_eq!(
        error(&after),
        "cannot compare cpu-clock in nanoseconds with cycles in cycles: the traces count different things"
    );
    let mut after = before.clone();
    after.info.duration_ns = 0;
    assert_eq!(
        error(&after),
        "cannot compare: the after trace has no recorded duration; compare shares with --per share"
    );
}

/// Code is the same in both parts, so that what is gone is not called otherwise now.
#[test]
fn parts_of_one_trace_are_of_the_same_code() {
    let mut before = Builder::of(&[("main;parse_row;trim", 100), ("main;emit", 50)]);
    let mut after = Builder::of(&[("main;parse_line;trim", 100), ("main;emit", 50)]);
    let compared = |before: &Profile, after: &Profile, one_trace| {
        let options = DiffOptions { one_trace, ..DiffOptions::default() };
        let diff = compare([&[run(before)], &[run(after)]], &options).unwrap();
        (diff.findings.renames.len(), diff.notes.join("\n"))
    };
    assert_eq!(compared(&before, &after, false).0, 1);
    let (renames, notes) = compared(&before, &after, true);
    assert_eq!(renames, 0);
    assert!(notes.starts_with("before and after overlap"), "{notes}");
    // Parts that touch have nothing in common.
    before.info.filter.window = Some((0, 5));
    after.info.filter.window = Some((5, 9));
    assert_eq!(compared(&before, &after, true).1, "");
    after.info.filter.window = Some((4, 9));
    assert_ne!(compared(&before, &after, true).1, "");
    after.threads.push(after.threads[0].clone());
    after.samples.iter_mut().for_each(|sample| sample.thread = 1);
    assert_eq!(compared(&before, &after, true).1, "");
}

/// The same of every thread is no change, however many there are.
#[test]
fn threads_of_a_side_are_divided_by() {
    let before = Builder::of(&[("main;work", 100)]);
    let mut after = Builder::of(&[("main;work", 400)]);
    after.info.filter.threads = Some(4);
    let values = |options: DiffOptions| {
        let diff = compare([&[run(&before)], &[run(&after)]], &options).unwrap();
        (diff.scale.per, diff.scale.unit, diff.total.values.map(f64::round))
    };
    let own_threads = DiffOptions { own_threads: true, ..DiffOptions::default() };
    let of_threads = (Per::Thread, "% of each thread's time".to_owned(), [10.0, 10.0]);
    assert_eq!(values(own_threads.clone()), of_threads);
    let of_all = (Per::Wall, "% of one core".to_owned(), [10.0, 40.0]);
    assert_eq!(values(DiffOptions::default()), of_all);
    assert_eq!(values(DiffOptions { per: Some(Per::Wall), ..own_threads }), of_all);
}
