//! Compares the exact sums of waits and system calls of two sides.
//!
//! No sampling is involved. That they differ from one run to the next is noise
//! nevertheless.

use std::collections::BTreeMap;

use rz_profile::model::{Event, EventKind, Profile, Total, TotalClass, Unit};
use rz_profile::reason::call_name;

use crate::diff::change::Change;
use crate::diff::noise::{NoiseOf, Sums};
use crate::diff::normalize::{Exposure, Per, Scale};
use crate::diff::stats::dispersion::{Runs, common};
use crate::diff::verdicts::{Limits, judge};
use crate::diff::{DiffOptions, Run, Side};
use crate::error::ReportError;
use crate::model::calls::{SortCalls, by_number};
use crate::model::calltree::Amount;
use crate::model::waits::by_reason;

/// The exact sums of two sides, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct SumsDiff {
    /// What the sums are about.
    pub class: TotalClass,
    /// What is compared of them.
    pub by: SortCalls,
    /// How it became values.
    pub scale: Scale,
    /// All of them.
    pub total: Change,
    /// Each name on either side: changes first, then the largest difference.
    pub rows: Vec<SumRow>,
}

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
        EventKind::Functions => Some(TotalClass::Functions),
        _ => None,
    }
}

/// Whether a recording has exact sums of a class.
pub(crate) fn has_exact(profile: &Profile, class: TotalClass) -> bool {
    let any = profile.totals.iter().any(|total| total.class == class);
    any && !profile.inexact.contains(&class)
}

/// The sums of each run of both sides by name. The empty name is that of all.
pub(crate) type NamedSums = BTreeMap<String, [Vec<Total>; 2]>;

/// The sums of both sides by name; `None` unless all runs have exact ones.
pub(crate) fn named(sides: [&[Run<'_>]; 2], class: TotalClass) -> Option<NamedSums> {
    if !sides.iter().flat_map(|runs| runs.iter()).all(|run| has_exact(run.profile, class)) {
        return None;
    }
    let mut rows = NamedSums::new();
    let nothing = || sides.map(|runs| vec![Total::default(); runs.len()]);
    for (side, runs) in sides.iter().enumerate() {
        for (index, run) in runs.iter().enumerate() {
            for (name, sum) in named_sums(run.profile, class) {
                for name in [String::new(), name] {
                    rows.entry(name).or_insert_with(nothing)[side][index].add(&sum);
                }
            }
        }
    }
    Some(rows)
}

fn named_sums(profile: &Profile, class: TotalClass) -> Vec<(String, Total)> {
    match class {
        TotalClass::Waits => {
            let sums = by_reason(profile).into_iter();
            sums.map(|waits| (waits.reason.to_string(), waits.sum)).collect()
        }
        TotalClass::Functions => {
            let sums = by_number(profile, class, SortCalls::Time).into_iter();
            let name = |number| match profile.probed.get(&number) {
                Some(function) => function.name.clone(),
                None => "[lost]".to_owned(),
            };
            sums.map(|(number, sum)| (name(number), sum)).collect()
        }
        _ => {
            let sums = by_number(profile, class, SortCalls::Time).into_iter();
            sums.map(|(number, sum)| (call_name(number).into_owned(), sum)).collect()
        }
    }
}

/// Compares sums in what `options` ask for. Of single runs, `burst` tells what
/// the dispersion of the time of a name is beyond chance, and with how many
/// degrees of freedom that was found.
///
/// # Errors
/// If what is to be divided by is not known.
pub(crate) fn compare_sums(
    named: NamedSums,
    class: TotalClass,
    kind: EventKind,
    sides: &[Side<'_>; 2],
    options: &DiffOptions,
    per: Per,
    burst: impl Fn(&str) -> (f64, f64),
) -> Result<SumsDiff, ReportError> {
    let by = options.sums_by;
    let value = |total: &Total| match by {
        SortCalls::Time => total.total_ns,
        SortCalls::Count => total.count,
        SortCalls::Errors => total.errors,
    };
    let all = named.get("").cloned().unwrap_or_default();
    let exposures = [0, 1].map(|side| {
        let runs = sides[side].runs.iter().enumerate();
        let exposure = |(index, run): (usize, &crate::diff::SideRun<'_>)| Exposure {
            wall_ns: run.info.looked_at_ns(),
            threads: run.threads,
            weight: all[side].get(index).map_or(0, value),
            exact_weight: None,
            work: run.work,
        };
        runs.map(exposure).collect()
    });
    let unit = if by == SortCalls::Time { Unit::Nanoseconds } else { Unit::Count };
    let event = Event { kind, unit, ..Event::default() };
    let mut scale = Scale::new(per, &event, &exposures, &options.work.name)?;
    if by != SortCalls::Time {
        scale.count(match (class, by) {
            (_, SortCalls::Errors) => "errors",
            (TotalClass::Waits, _) => "waits",
            _ => "calls",
        });
    }
    let names: Vec<&String> = named.keys().collect();
    let mut weights = [Vec::new(), Vec::new()];
    let mut dispersion = [Vec::new(), Vec::new()];
    let mut degrees = Vec::new();
    let several = sides.iter().any(|side| side.runs.len() > 1);
    for (name, runs) in &named {
        let sums = runs.each_ref().map(|runs| {
            let mut sum = Total::default();
            runs.iter().for_each(|total| sum.add(total));
            sum
        });
        let alike = [0, 1].map(|side| {
            let mut sums = Runs::default();
            let runs = runs[side].iter().zip(&scale.exposures[side]);
            runs.for_each(|(total, exposure)| sums.add(value(total) as f64, *exposure));
            sums
        });
        let (found, free) = if several { common(alike) } else { burst(name) };
        degrees.push(if several { free.max(1.0) } else { free });
        for side in 0..2 {
            let sum = &sums[side];
            let (weight, mean) = (value(sum) as f64, mean_duration(sum));
            // Single events that come by chance, each of its length.
            let chance = if by == SortCalls::Time { mean.max(1.0) } else { 1.0 };
            // Bursts of time are bursts of calls.
            let found = match (several, by) {
                (true, _) => found.max(chance),
                (false, SortCalls::Time) => found + chance,
                (false, _) => found / mean.max(1.0) + chance,
            };
            weights[side].push(weight);
            dispersion[side].push(if weight > 0.0 { found } else { 0.0 });
        }
    }
    let mut weights = weights.into_iter();
    let sums = [0, 1].map(|side| Sums {
        weights: weights.next().unwrap_or_default(),
        exposure: scale.exposure(side),
    });
    if names.is_empty() {
        let (total, rows) = (Change::default(), Vec::new());
        return Ok(SumsDiff { class, by, scale, total, rows });
    }
    let noise = NoiseOf::new(sums, dispersion, degrees, [Some(1.0); 2]);
    let [before, after] = [0, 1].map(|side| scale.multiplier * noise.value(side, 0));
    let least = options.min_effect * if before > 0.0 { before } else { after };
    let limits = Limits { fdr: options.fdr, least, multiplier: scale.multiplier };
    let amounts = |item: usize| {
        named[names[item]].each_ref().map(|runs| {
            let mut amount = Amount::default();
            for total in runs {
                amount.add(Amount { samples: total.count, weight: value(total) });
            }
            amount
        })
    };
    let total = judge(&noise, 0..1, amounts, limits, None)[0];
    let changes = judge(&noise, 1..names.len(), amounts, limits, None);
    let rows = named.iter().skip(1).zip(changes);
    let mut rows: Vec<SumRow> = rows
        .map(|((name, runs), change)| {
            let sums = runs.each_ref().map(|runs| {
                let mut sum = Total::default();
                runs.iter().for_each(|total| sum.add(total));
                sum
            });
            SumRow { name: name.clone(), sums, change }
        })
        .collect();
    rows.sort_by(|a, b| {
        let largest = |row: &SumRow| row.change.values[0].max(row.change.values[1]);
        let size = |row: &SumRow| row.change.delta().abs();
        let is_change = |row: &SumRow| row.change.verdict.is_change();
        let by_change = is_change(b).cmp(&is_change(a)).then_with(|| size(b).total_cmp(&size(a)));
        by_change.then_with(|| largest(b).total_cmp(&largest(a)))
    });
    Ok(SumsDiff { class, by, scale, total, rows })
}

/// The mean weight of durations, each by itself: what single ones of such
/// lengths that come by chance have as dispersion.
fn mean_duration(total: &Total) -> f64 {
    let (mut squares, mut sum) = (0.0, 0.0);
    for (bucket, &count) in total.histogram.0.iter().enumerate() {
        // The middle of the bucket.
        let length = 1.5 * (1_u64 << bucket) as f64;
        squares += count as f64 * length * length;
        sum += count as f64 * length;
    }
    let (all, longest) = (total.total_ns.max(1) as f64, total.max_ns as f64);
    let least = f64::max(all / total.count.max(1) as f64, longest * longest / all);
    if sum > 0.0 { f64::max(least, squares / sum) } else { least }
}

#[cfg(test)]
mod tests {
    use rz_profile::model::{Event, SYSCALLS, Sample};

    use super::*;
    use crate::diff::change::Verdict;
    use crate::diff::compare;
    use crate::diff::table::write_diff;
    use crate::fixture::{Builder, text};
    use crate::render::style::Style;

    /// A recording of ten seconds with these calls: number, how many, and how
    /// long all took.
    fn profile(calls: &[(u32, u64, u64)]) -> Profile {
        let mut profile = Builder::new().profile;
        let kind = EventKind::Syscalls;
        profile.events.push(Event { kind, name: SYSCALLS.into(), ..Event::default() });
        let total = |&(number, count, total_ns): &(u32, u64, u64)| {
            let (class, number) = (TotalClass::Calls, Some(number));
            Total { class, number, count, total_ns, max_ns: total_ns / count, ..Total::default() }
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
calls/s  after    mean    after  time  after  delta    95% interval  verdict  call
  100.0  200.0  500 µs   500 µs  5.00  10.00  +5.00  +4.31 to +5.71     more  read
      -    1.0       -  20.0 ms     -   2.00  +2.00  +0.46 to +4.67      new  openat
All: 35.00 → 12.00: no evidence; a difference of 99.73 would have been found in 4 of 5 cases.

Stacks are not compared: a.rz has none.
";
        let report_of = |width| {
            let report = report(&before, &after, width);
            report[report.find("SYSTEM").unwrap()..].to_owned()
        };
        assert_eq!(report_of(None), expected[1..]);
        assert!(
            report_of(Some(40)).contains("\ntime  after  delta    95% interval  verdict  call\n")
        );
        assert!(!report(&before, &after, None).contains("0 ns"));
    }

    /// Sums vary from run to run like anything else, and counts have no units
    /// of time.
    #[test]
    fn runs_are_compared_by_time_or_count() {
        let before = [1000, 1100, 900].map(|count| profile(&[(0, count, 500_000_000), (1, 50, 5)]));
        let after = [1500, 1700, 1600].map(|count| profile(&[(0, count, 520_000_000), (1, 50, 5)]));
        let run = |profile| Run { profile, name: "t.rz", event: Some(1) };
        let sides = [before.each_ref().map(run), after.each_ref().map(run)];
        let check = |sums_by, per, unit: &str, expected: [f64; 2], verdict| {
            let options = DiffOptions { sums_by, per: Some(per), ..DiffOptions::default() };
            let sums = compare([&sides[0], &sides[1]], &options).unwrap().sums.unwrap();
            assert_eq!(sums.scale.unit, unit);
            let read = sums.rows.iter().find(|row| row.name == "read").unwrap();
            for (value, expected) in read.change.values.into_iter().zip(expected) {
                assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
            }
            assert_eq!(read.change.verdict, verdict, "{unit}: {read:?}");
        };
        let (none, more) = (Verdict::NoEvidence, Verdict::More);
        check(SortCalls::Time, Per::Wall, "% of one thread", [5.0, 5.2], none);
        check(SortCalls::Count, Per::Wall, "calls per second", [100.0, 160.0], more);
        check(SortCalls::Count, Per::Raw, "calls per run", [1000.0, 1600.0], more);
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
