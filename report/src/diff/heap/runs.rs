//! Comparisons of allocations with several runs on a side.

use rz_profile::heap::Metric;
use rz_profile::model::Profile;

use crate::diff::change::Verdict;
use crate::diff::json::write_diff_json;
use crate::diff::normalize::Per;
use crate::diff::simulation::Random;
use crate::diff::table::write_diff;
use crate::diff::{Diff, DiffOptions, Run, compare};
use crate::fixture::text;
use crate::render::style::Style;
use crate::views::heap::fixture::{Fate, HeapBuilder};

/// Compares runs, the first half of them with the others.
fn with_diff<T>(
    mut runs: Vec<Profile>,
    metric: Metric,
    options: &DiffOptions,
    show: impl FnOnce(&Diff<'_>) -> T,
) -> T {
    let events = runs.iter_mut().map(|run| rz_profile::heap::show(run, metric)).collect::<Vec<_>>();
    let names: Vec<String> = (1..=runs.len()).map(|number| format!("{number}.rz")).collect();
    let runs = runs.iter().zip(&names).zip(&events);
    let runs: Vec<Run<'_>> =
        runs.map(|((profile, name), &event)| Run { profile, name, event }).collect();
    let (before, after) = runs.split_at(runs.len() / 2);
    show(&compare([before, after], options).unwrap())
}

/// What is said of each function that was said to have changed.
fn changes(diff: &Diff<'_>) -> Vec<(String, Verdict)> {
    let rows = diff.rows.iter().filter(|row| row.self_.verdict.is_change());
    let mut changes: Vec<(String, Verdict)> =
        rows.map(|row| (diff.symbols[row.symbol].name.clone(), row.self_.verdict)).collect();
    changes.sort_by(|a, b| a.0.cmp(&b.0));
    changes
}

/// A run that records every allocation of a cache of `kept` objects.
fn exact(kept: u64, is_new: bool) -> Profile {
    let mut heap = HeapBuilder::new(0);
    heap.objects("_start;main;parse;std::vector<int>::push_back;malloc", 100, 50, Fate::Peak);
    heap.objects("_start;main;run;cache;malloc", 2_048, kept, Fate::Live);
    if is_new {
        heap.objects("_start;main;run;log;malloc", 4_096, 1, Fate::Live);
    }
    heap.profile()
}

#[test]
fn numbers_that_are_counted_have_the_noise_of_runs_only() {
    let runs = || vec![exact(4, false), exact(4, false), exact(5, true), exact(5, true)];
    let expected = [("cache".to_owned(), Verdict::More), ("log".to_owned(), Verdict::New)];
    for metric in [Metric::Bytes, Metric::Count, Metric::Live] {
        let changes = with_diff(runs(), metric, &DiffOptions::default(), changes);
        assert_eq!(changes, expected, "{metric:?}");
    }
    // The same difference, if runs of one side differ by as much.
    let runs = vec![exact(4, false), exact(6, false), exact(5, false), exact(6, false)];
    let changes = with_diff(runs, Metric::Bytes, &DiffOptions::default(), changes);
    assert_eq!(changes, []);
}

#[test]
fn what_is_compared_is_said() {
    let runs = vec![exact(4, false), exact(4, false), exact(5, false), exact(6, false)];
    let report = |metric, options: &DiffOptions| {
        let style = Style { color: false, width: Some(80) };
        with_diff(runs.clone(), metric, options, |diff| text(|out| write_diff(out, style, diff, 3)))
    };
    let live = report(Metric::Live, &DiffOptions::default());
    assert!(live.contains("\n  runs        2 "), "{live}");
    let said = "Compared is bytes never freed as it is, in KiB per run: before ÷ 2 runs";
    assert!(live.contains(said), "{live}");
    assert!(live.contains("All: 8.00 → 11.00, +3.00 (+37.5%)"), "{live}");
    assert!(live.contains("\n  heap        every allocation "), "{live}");
    let bytes = report(Metric::Bytes, &DiffOptions::default());
    assert!(bytes.contains("bytes allocated per wall time, in KiB per second"), "{bytes}");
    let raw = DiffOptions { per: Some(Per::Raw), ..DiffOptions::default() };
    let count = report(Metric::Count, &raw);
    assert!(count.contains("allocations as it is, in allocations per run"), "{count}");
    // Rows are functions that called for memory, not what passes it on.
    assert!(!count.contains("malloc") && !count.contains("push_back"), "{count}");
    assert!(count.contains("  cache  app"), "{count}");

    let json = with_diff(runs, Metric::Live, &DiffOptions::default(), |diff| {
        text(|out| write_diff_json(out, diff, &[]))
    });
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["event"]["name"], "alloc");
    assert_eq!(json["metric"], "live");
    assert_eq!(json["statistics"]["noise"], "between runs");
}

/// A run of twenty functions that allocate objects of 1 KiB, sampled; `f3` as
/// many more as said.
fn sampled(random: &mut Random, more: f64) -> Profile {
    let mut heap = HeapBuilder::new(16_384);
    let chance = 1.0 - (-1_024.0_f64 / 16_384.0).exp();
    for function in 0..20 {
        let made =
            400.0 * (1.0 + f64::from(function)) * if function == 3 { 1.0 + more } else { 1.0 };
        let recorded = (0..made as u64).filter(|_| random.unit() < chance).count() as u64;
        heap.objects(&format!("main;f{function};malloc"), 1_024, recorded, Fate::Live);
    }
    heap.profile()
}

#[test]
fn sampling_is_no_change() {
    let mut random = Random(17);
    let mut claims = [0; 2];
    for _ in 0..100 {
        for (claims, more) in claims.iter_mut().zip([0.0, 1.0]) {
            let mut runs: Vec<Profile> = (0..3).map(|_| sampled(&mut random, 0.0)).collect();
            runs.extend((0..3).map(|_| sampled(&mut random, more)));
            let changes = with_diff(runs, Metric::Live, &DiffOptions::default(), changes);
            let is_planted = changes.iter().any(|(name, _)| name == "f3");
            *claims += usize::from(if more > 0.0 { is_planted } else { !changes.is_empty() });
        }
    }
    let [false_alarms, found] = claims;
    assert!(false_alarms <= 8 && found >= 80, "{claims:?}");
}

#[test]
fn of_single_runs_the_noise_is_that_of_sampling() {
    let raw = DiffOptions { per: Some(Per::Raw), ..DiffOptions::default() };
    let mut random = Random(3);
    let counted = [exact(4, false), exact(5, false)];
    let estimated = [sampled(&mut random, 0.0), sampled(&mut random, 0.0)];
    for (runs, said) in [
        (counted, "\nEvery allocation was recorded, so that numbers are exact.\n"),
        (estimated, "\nNoise is that of sampling.\n"),
    ] {
        with_diff(runs.into(), Metric::Bytes, &raw, |diff| {
            let style = Style { color: false, width: None };
            let report = text(|out| write_diff(out, style, diff, 3));
            assert!(report.contains(said), "{report}");
            let json = text(|out| write_diff_json(out, diff, &[]));
            assert!(json.contains("\"noise\": \"sampling\""), "{json}");
        });
    }
}
