//! Compares the exact sums of waits and system calls of two sides.
//!
//! No sampling is involved. That they differ from one run to the next is noise
//! nevertheless.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rz_convert::profile::{EventKind, Profile, Total, TotalClass};
use rz_convert::reason::call_name;

use crate::calls::{SortCalls, by_number};
use crate::change::{Change, Verdict};
use crate::diff::Run;
use crate::diff_table::paint_of;
use crate::format::duration;
use crate::style::{Paint, Style};
use crate::summary::{some_of, write_title};
use crate::table::{self, fits, write_table};
use crate::waits::by_reason;

/// What one call or reason adds up to on both sides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SumRow {
    /// The name of the call, or why threads waited.
    pub name: String,
    /// What it adds up to in all runs of each side.
    pub sums: [Total; 2],
    /// How what rows are compared by changed.
    pub change: Change,
}

/// The class whose sums are exact for an event of this kind, if there is one.
pub(crate) fn class_of(kind: EventKind) -> Option<TotalClass> {
    match kind {
        EventKind::OffCpu => Some(TotalClass::Waits),
        EventKind::Syscalls => Some(TotalClass::Calls),
        _ => None,
    }
}

/// Whether a recording has exact sums of a class.
pub(crate) fn has_exact(profile: &Profile, class: TotalClass) -> bool {
    let any = profile.totals.iter().any(|total| total.class == class);
    any && !profile.inexact.contains(&class)
}

/// The sums of both sides by name; `None` unless all runs have exact ones.
pub(crate) fn compare_sums(sides: [&[Run<'_>]; 2], class: TotalClass) -> Option<Vec<SumRow>> {
    if !sides.iter().flat_map(|runs| runs.iter()).all(|run| has_exact(run.profile, class)) {
        return None;
    }
    let mut rows: BTreeMap<String, SumRow> = BTreeMap::new();
    for (side, runs) in sides.iter().enumerate() {
        for (name, sum) in runs.iter().flat_map(|run| named_sums(run.profile, class)) {
            rows.entry(name).or_default().sums[side].add(&sum);
        }
    }
    Some(rows.into_iter().map(|(name, row)| SumRow { name, ..row }).collect())
}

fn named_sums(profile: &Profile, class: TotalClass) -> Vec<(String, Total)> {
    match class {
        TotalClass::Waits => {
            by_reason(profile).into_iter().map(|reason| (reason.name, reason.sum)).collect()
        }
        _ => {
            let sums = by_number(profile, class, SortCalls::Time).into_iter();
            sums.map(|(number, sum)| (call_name(number).into_owned(), sum)).collect()
        }
    }
}

/// Writes the `limit` sums whose time per second of wall time changed most.
/// `wall_ns` is how long either recording was.
pub(crate) fn write_sum_rows(
    out: &mut dyn Write,
    style: Style,
    (rows, class): (&[SumRow], TotalClass),
    wall_ns: [u64; 2],
    limit: usize,
) -> io::Result<()> {
    let rate = |value: u64, wall_ns: u64| value as f64 / wall_ns as f64;
    let times = |row: &SumRow| {
        [rate(row.sums[0].total_ns, wall_ns[0]), rate(row.sums[1].total_ns, wall_ns[1])]
    };
    let change = |row: &SumRow| times(row)[1] - times(row)[0];
    let mut sorted: Vec<&SumRow> = rows.iter().collect();
    let largest = |row: &SumRow| row.sums[0].total_ns.max(row.sums[1].total_ns);
    sorted.sort_by(|a, b| {
        let by_change = change(b).abs().total_cmp(&change(a).abs());
        by_change.then_with(|| largest(b).cmp(&largest(a)))
    });
    let shown = sorted.len().min(limit);
    let (title, counts, noun) = match class {
        TotalClass::Waits => ("WHY THREADS WAITED", "waits/s", "reason"),
        _ => ("SYSTEM CALLS", "calls/s", "call"),
    };
    let note = format!("exact, time in % of one thread{}", some_of(shown, rows.len()));
    write_title(out, style, title, &note)?;
    let make = |wide: bool| -> (Vec<&str>, Vec<table::Row>) {
        let row = |row: &&SumRow| {
            let mut numbers = Vec::new();
            if wide {
                let per_second = |sum: &Total, wall_ns| match sum.count {
                    0 => ("-".to_owned(), Paint::Dim),
                    n => (format!("{:.1}", rate(n, wall_ns) * 1e9), Paint::Plain),
                };
                numbers.push(per_second(&row.sums[0], wall_ns[0]));
                numbers.push(per_second(&row.sums[1], wall_ns[1]));
                let mean = |sum: &Total| match sum.total_ns.checked_div(sum.count) {
                    None => ("-".to_owned(), Paint::Dim),
                    Some(ns) => (duration(ns), Paint::Plain),
                };
                numbers.extend([mean(&row.sums[0]), mean(&row.sums[1])]);
            }
            let time = |percent: f64| (format!("{:.2}", percent * 100.0), Paint::Plain);
            numbers.extend(times(row).map(time));
            numbers.push(delta(change(row) * 100.0, row.change.verdict));
            table::Row { numbers, text: row.name.clone(), suffix: String::new() }
        };
        let mut titles = vec![];
        if wide {
            titles.extend([counts, "after", "mean", "after"]);
        }
        titles.extend(["time", "after", "delta", noun]);
        (titles, sorted[..shown].iter().map(row).collect())
    };
    let (titles, table) = make(true);
    match fits(style, &titles, &table) {
        true => write_table(out, style, &titles, &table),
        false => {
            let (titles, table) = make(false);
            write_table(out, style, &titles, &table)
        }
    }
}

/// A change with its sign; what is shown as zero has none.
fn delta(delta: f64, verdict: Verdict) -> (String, Paint) {
    let text = if delta.abs() < 0.005 { "0.00".to_owned() } else { format!("{delta:+.2}") };
    (text, paint_of(verdict))
}

#[cfg(test)]
mod tests {
    use rz_convert::profile::{Event, SYSCALLS, Sample};

    use super::*;
    use crate::diff::{DiffOptions, compare};
    use crate::diff_table::write_diff;
    use crate::fixture::{Builder, text};

    /// A recording of ten seconds with these calls: number, how many, and how
    /// long all took.
    fn profile(calls: &[(u32, u64, u64)]) -> Profile {
        let mut profile = Builder::new().profile;
        let kind = EventKind::Syscalls;
        profile.events.push(Event { kind, name: SYSCALLS.into(), ..Event::default() });
        let total = |&(number, count, total_ns): &(u32, u64, u64)| {
            let (class, number) = (TotalClass::Calls, Some(number));
            Total { class, number, count, total_ns, ..Total::default() }
        };
        profile.totals = calls.iter().map(total).collect();
        profile
    }

    fn report(before: &Profile, after: &Profile, width: Option<usize>) -> String {
        let run = |profile, name| Run { profile, name, event: Some(1) };
        let sides = [&[run(before, "a.rz")][..], &[run(after, "b.rz")]];
        match compare(sides, &DiffOptions::default()) {
            Ok(diff) => text(|out| write_diff(out, Style { color: false, width }, &diff, 2)),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn summaries_are_compared_by_their_sums() {
        let before = profile(&[(0, 1_000, 500_000_000), (1, 10, 5_000), (202, 1, 3_000_000_000)]);
        let mut after = profile(&[(0, 1_000, 500_000_000), (257, 5, 100_000_000)]);
        after.info.duration_ns /= 2;
        let expected = "
SYSTEM CALLS  exact, time in % of one thread, 2 of 4
calls/s  after    mean   after   time  after   delta  call
    0.1      -  3.00 s       -  30.00   0.00  -30.00  futex
  100.0  200.0  500 µs  500 µs   5.00  10.00   +5.00  read

Stacks are not compared: a.rz has none.
";
        let report_of = |width| {
            let report = report(&before, &after, width);
            report[report.find("SYSTEM").unwrap()..].to_owned()
        };
        assert_eq!(report_of(None), expected[1..]);
        assert!(report_of(Some(40)).contains("\n time  after   delta  call\n"));
        assert!(!report(&before, &after, None).contains("0 ns"));
    }

    #[test]
    fn sums_are_not_compared_with_samples() {
        let sums = profile(&[(0, 1, 1)]);
        let mut samples = profile(&[]);
        let sample = Sample { event: 1, thread: 0, stack: None, count: 1, weight: 9 };
        samples.samples.push(sample);
        let expected = "cannot compare: a.rz has only sums, which the other trace has not";
        assert_eq!(report(&sums, &samples, None), expected);
        // Both are compared in what they have in common.
        let mut both = sums.clone();
        both.samples.push(sample);
        assert!(report(&both, &samples, None).contains("\nFUNCTIONS"));
        assert!(report(&both, &both, None).contains("\nSYSTEM CALLS  exact"));
    }
}
