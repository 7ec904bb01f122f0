//! Comparisons of allocations, of one run and of several runs on a side.

use std::collections::BTreeSet;

use rz_profile::heap::{Metric, show};
use rz_profile::model::Profile;
use serde_json::{Value, json};

use crate::diff::change::{Test, Verdict};
use crate::diff::fail_if::check;
use crate::diff::flame::write_diff_flame_graph;
use crate::diff::json::write_diff_json;
use crate::diff::markdown::write_diff_markdown;
use crate::diff::normalize::Per;
use crate::diff::simulation::Random;
use crate::diff::table::write_diff;
use crate::diff::{Diff, DiffOptions, FunctionChange, Run, compare};
use crate::fixture::text;
use crate::render::change_color::Width;
use crate::render::style::Style;
use crate::views::heap::fixture::{Fate, HeapBuilder, program};

/// Compares runs, the first half of them with the others.
fn with_diff<T>(
    mut runs: Vec<Profile>,
    metric: Metric,
    options: &DiffOptions,
    of: impl FnOnce(&Diff<'_>) -> T,
) -> T {
    let events = runs.iter_mut().map(|run| show(run, metric)).collect::<Vec<_>>();
    let names: Vec<String> = (1..=runs.len()).map(|number| format!("{number}.rz")).collect();
    let runs = runs.iter().zip(&names).zip(&events);
    let runs: Vec<Run<'_>> =
        runs.map(|((profile, name), &event)| Run { profile, name, event }).collect();
    let (before, after) = runs.split_at(runs.len() / 2);
    of(&compare([before, after], options).unwrap())
}

/// Compares single runs.
fn with_pair<T>(sides: [Profile; 2], metric: Metric, of: impl FnOnce(&Diff<'_>) -> T) -> T {
    with_diff(sides.into(), metric, &DiffOptions::default(), of)
}

/// Half as long as [`program`], with more in the cache and nothing from
/// `run;parse`.
fn grown(interval: u64) -> Profile {
    let mut heap = HeapBuilder::new(interval);
    heap.objects("_start;main;parse;std::vector<int>::push_back;malloc", 100, 25, Fate::Peak);
    heap.objects("_start;main;run;cache;malloc", 2_048, 12, Fate::Live);
    heap.objects("_start;main;run;log;malloc", 16, 1, Fate::Live);
    let mut profile = heap.profile();
    profile.info.duration_ns /= 2;
    profile
}

fn report_of(sides: [Profile; 2], metric: Metric, width: Option<usize>) -> String {
    let style = Style { color: false, width };
    with_pair(sides, metric, |diff| text(|out| write_diff(out, style, diff, 5)))
}

#[test]
fn both_sides_and_what_grew() {
    let expected = "
  trace       1.rz                              2.rz
  runs        1                                 1
  host        db7, Linux 6.1.0 x86_64, 16 CPUs  db7, Linux 6.1.0 x86_64, 16 CPUs
  recorded    2026-11-21 03:50:12 UTC           2026-11-21 03:50:12 UTC
  wall time   10.0 s                            5.00 s
  heap        every allocation                  every allocation
  lost        none                              none
  allocated   42.2 KiB                          26.5 KiB
  objects     64                                38
  at peak     12.9 KiB                          26.5 KiB
  at end      8.0 KiB                           24.0 KiB

Compared is bytes allocated per wall time, in KiB per second: before ÷ 10.0 s, after ÷ 5.00 s.
All: 4.22 → 5.29, +1.07 (+25.4%), exact: more
Every allocation was recorded, so that numbers are exact.
How much one run differs from the next is not known from one run on each side: differences may be between these two runs only.

WHAT CHANGED  in KiB per second
    +4.00  cache, called by run: 0.80 → 4.80, more, exact
    -2.93  parse, called by run: 2.93 → 0.00, gone, exact

FUNCTIONS  in KiB per second, by change of self, 5 of 6
self before  after  delta  95% interval  verdict  total before  after  delta  95% interval  verdict  function
       0.80   4.80  +4.00         exact     more          0.80   4.80  +4.00         exact     more  cache  app
       3.42   0.49  -2.93         exact     less          3.42   0.49  -2.93         exact     less  parse  app
          -      -      -             -        -          3.73   4.80  +1.07         exact     more  run  app
          -      -      -             -        -          4.22   5.29  +1.07         exact     more  _start  app
          -      -      -             -        -          4.22   5.29  +1.07         exact     more  main  app

verdict: of the changes named, at most 5.0% are false on average; no evidence: chance explains it, or it is below 0.5% of all (0.02)
";
    assert_eq!(report_of([program(0).profile(), grown(0)], Metric::Bytes, None), expected[1..]);
}

#[test]
fn what_is_live_is_no_rate() {
    let expected = "
Compared is bytes never freed as it is, in KiB: before as it is, after as it is.
All: 8.00 → 24.02, +16.02 (+200.2%), exact: more
Every allocation was recorded, so that numbers are exact.
How much one run differs from the next is not known from one run on each side: differences may be between these two runs only.

WHAT CHANGED  in KiB
   +16.00  cache, called by run: 8.00 → 24.00, more, exact

FUNCTIONS  in KiB, by change of self
self before  after   delta  95% interval      verdict  total delta  function
       8.00  24.00  +16.00         exact         more       +16.00  cache  app
          -      -       -             -            -       +16.02  _start  app
          -      -       -             -            -       +16.02  main  app
          -      -       -             -            -       +16.02  run  app
          -   0.02   +0.02             -  no evidence        +0.02  log  app

verdict: of the changes named, at most 5.0% are false on average; no evidence: chance explains it, or it is below 0.5% of all (0.04)
";
    let report = report_of([program(0).profile(), grown(0)], Metric::Live, Some(80));
    assert_eq!(report[report.find("Compared").unwrap()..], expected[1..]);
}

#[test]
fn estimates_have_intervals_and_noise() {
    let expected = "
Compared is objects never freed as it is, in objects: before as it is, after as it is.
All: 5.00 → 79.00, +74.00 (+1480.0%), interval -0.06 to +329.53: no evidence
A difference of 148.18 (2963.5%) would have been found in 4 of 5 cases.
Noise is that of sampling.
How much one run differs from the next is not known from one run on each side: differences may be between these two runs only.

WHAT CHANGED  in objects
    +9.00  cache, called by run: 5.00 → 14.00, more, +5.63 to +12.55

FUNCTIONS  in objects, by change of self
self before  after   delta        95% interval      verdict  total before  after   delta        95% interval      verdict  function
       5.00  14.00   +9.00     +5.63 to +12.55         more          5.00  14.00   +9.00     +5.63 to +12.55         more  cache  app
          -  65.00  +65.00  -174.83 to +354.05  no evidence             -  65.00  +65.00  -174.83 to +354.05  no evidence  log  app
          -      -       -                   -            -          5.00  79.00  +74.00    -0.06 to +329.53  no evidence  _start  app
          -      -       -                   -            -          5.00  79.00  +74.00    -0.06 to +329.53  no evidence  main  app
          -      -       -                   -            -          5.00  79.00  +74.00    -0.06 to +329.53  no evidence  run  app

verdict: of the changes named, at most 5.0% are false on average; no evidence: chance explains it, or it is below 0.5% of all (0.03)
A difference of 5.87 to 496.79, depending on the function, would have been found in 4 of 5 cases.
";
    let sides = [program(1 << 10).profile(), grown(1 << 10)];
    let report = report_of(sides, Metric::LiveCount, None);
    assert_eq!(report[report.find("Compared").unwrap()..], expected[1..]);
}

#[test]
fn the_same_is_no_change() {
    for metric in Metric::ALL {
        with_pair([program(0).profile(), program(0).profile()], metric, |diff| {
            for change in diff.rows.iter().flat_map(|row| [row.self_, row.total]) {
                assert_eq!(change.delta(), 0.0, "{metric:?}");
                assert!(!change.verdict.is_change(), "{metric:?}");
                // Exact numbers have no noise.
                let exact = |test: Test| test.interval == [0.0; 2];
                assert!(change.test.is_none_or(exact), "{metric:?}");
            }
        });
    }
}

#[test]
fn a_side_without_samples_may_have_had_some() {
    let side = |interval, count| {
        let mut heap = HeapBuilder::new(interval);
        heap.objects("main;always", 100, 50, Fate::Live);
        if count > 0 {
            heap.objects("main;some", 100, count, Fate::Live);
        }
        heap.profile()
    };
    let check = |before: Profile, after: Profile, is_noise: bool| {
        with_pair([before, after], Metric::Live, |diff| {
            let some = |row: &&FunctionChange| diff.symbols[row.symbol].name == "some";
            let change = diff.rows.iter().find(some).unwrap().self_;
            let interval = change.test.map_or([0.0; 2], |test| test.interval);
            assert!(interval.iter().all(|end| end.is_finite()), "{change:?}");
            assert_eq!(!change.verdict.is_change(), is_noise, "{change:?}");
        });
    };
    check(side(1 << 20, 0), side(1 << 20, 3), true);
    check(side(1 << 20, 0), side(1 << 20, 20), false);
    check(side(1 << 20, 20), side(1 << 20, 0), false);
    // Five objects of 100 bytes say nothing against one in a mebibyte.
    check(side(0, 5), side(1 << 20, 0), true);
    check(side(0, 0), side(0, 1), false);
}

/// Counted: any change that is of interest. Estimated: two standard errors are
/// enough alone, but not among many.
#[test]
fn counted_and_estimated() {
    use Verdict::{Gone, Less, More, New, NoEvidence};
    let check = |interval, sizes: &[(u64, u64)], expected: &[Verdict]| {
        let side = |of: fn(&(u64, u64)) -> u64| {
            let mut heap = HeapBuilder::new(interval);
            for (function, sizes) in sizes.iter().enumerate().filter(|(_, sizes)| of(sizes) > 0) {
                heap.objects(&format!("main;f{function}"), 10, of(sizes), Fate::Live);
            }
            heap.profile()
        };
        with_pair([side(|sizes| sizes.0), side(|sizes| sizes.1)], Metric::LiveCount, |diff| {
            let verdict = |function: usize| {
                let name = format!("f{function}");
                let row = diff.rows.iter().find(|row| diff.symbols[row.symbol].name == name);
                row.unwrap().self_.verdict
            };
            let verdicts: Vec<Verdict> = (0..sizes.len()).map(verdict).collect();
            assert_eq!(verdicts, expected, "{sizes:?}");
        });
    };
    // Of 1,000 objects, 5 are of interest.
    check(
        0,
        &[(691, 691), (100, 106), (100, 104), (98, 90), (0, 9), (9, 0), (2, 0)],
        &[NoEvidence, More, NoEvidence, Less, New, Gone, NoEvidence],
    );
    check(1 << 10, &[(100, 133)], &[More]);
    let mut many = [(100, 101); 20];
    many[7] = (100, 133);
    check(1 << 10, &many, &[NoEvidence; 20]);
}

#[test]
fn one_picture_of_both() {
    let svg = with_pair([program(0).profile(), grown(0)], Metric::Live, |diff| {
        let mut out = Vec::new();
        write_diff_flame_graph(&mut out, diff, Width::Larger).unwrap();
        String::from_utf8(out).unwrap()
    });
    for text in [
        "1.rz → 2.rz, bytes never freed in KiB",
        "cache 8.00 → 24.00, +16.00 KiB (24,576 bytes never freed, 99.93%)",
        "log new, 0.02 KiB (16 bytes never freed, 0.07%)",
    ] {
        assert!(svg.contains(text), "no {text:?} in {svg}");
    }
    assert!(!svg.contains("noise"));
}

#[test]
fn a_rate_needs_a_duration() {
    let compared = |metric| {
        let mut profiles = [program(0).profile(), program(0).profile()];
        profiles[1].info.duration_ns = 0;
        let events = profiles.each_mut().map(|profile| show(profile, metric));
        let run = |side: usize| Run { profile: &profiles[side], name: "t.rz", event: events[side] };
        compare([&[run(0)], &[run(1)]], &DiffOptions::default()).map(|_| ())
    };
    assert_eq!(
        compared(Metric::Bytes).unwrap_err().to_string(),
        "cannot compare: the after trace has no recorded duration; compare shares with --per share"
    );
    assert!(compared(Metric::Live).is_ok());
}

#[test]
fn short_enough_for_a_pull_request() {
    let sides = [(10, 4), (15, 4)].map(|(cached, logged)| {
        let mut heap = HeapBuilder::new(0);
        heap.objects("main;cache|x", 1_000, cached, Fate::Live);
        heap.objects("main;log", 500, logged, Fate::Live);
        heap.profile()
    });
    let expected = "
**bytes never freed: 11.72 → 16.60 KiB**, +41.7%: more. 3 functions, by self and total: 2 more, 0 less, 1 without evidence of a change.

- **total>5%: regression: +41.7% (+41.7% to +41.7%)**

What changed, in KiB:

- **+4.88** cache\\|x, called by main: 9.77 → 14.65, more, exact

| | runs | wall time | lost | allocated | objects | at peak | at end |
|---|--:|--:|--:|--:|--:|--:|--:|
| before (`1.rz`) | 1 | 10.0 s | 0.0% | 11.7 KiB | 14 | 11.7 KiB | 11.7 KiB |
| after (`2.rz`) | 1 | 10.0 s | 0.0% | 16.6 KiB | 19 | 16.6 KiB | 16.6 KiB |

| function | self before | after | delta | 95% interval | verdict |
|---|--:|--:|--:|--:|---|
| `cache\\|x` | 9.77 | 14.65 | +4.88 | exact | more |
| `main` | 11.72 | 16.60 | +4.88 | exact | more, of total |

In KiB.

<details><summary>1 other function</summary>

| function | self before | after | delta | 95% interval | verdict |
|---|--:|--:|--:|--:|---|
| `log` | 1.95 | 1.95 | 0.00 | exact | no evidence |

In KiB.

</details>

- Every allocation was recorded, so that numbers are exact.
- How much one run differs from the next is not known from one run on each side: differences may be between these two runs only.
";
    let written = with_pair(sides, Metric::Live, |diff| {
        let checked = check(&["total>5%".parse().unwrap()], diff).unwrap();
        text(|out| write_diff_markdown(out, diff, &checked))
    });
    assert_eq!(written, expected[1..]);
}

/// One more kind of objects than before, and more of another.
fn written(metric: Metric, conditions: &[&str]) -> Value {
    let sides = [(10, 0), (15, 3)].map(|(cached, logged)| {
        let mut heap = HeapBuilder::new(0);
        heap.objects("main;cache", 1_000, cached, Fate::Live);
        if logged > 0 {
            heap.objects("main;log", 500, logged, Fate::Live);
        }
        heap.profile()
    });
    let conditions: Vec<_> = conditions.iter().map(|text| text.parse().unwrap()).collect();
    with_pair(sides, metric, |diff| {
        let checked = check(&conditions, diff).unwrap();
        serde_json::from_str(&text(|out| write_diff_json(out, diff, &checked))).unwrap()
    })
}

#[test]
fn what_is_counted_is_exact() {
    let conditions = ["total>80%", "total>60%", "self:cache>50%", "function>20%"];
    let diff = written(Metric::Live, &conditions);
    assert_eq!(diff["event"], json!({"name": "alloc", "unit": "bytes"}));
    assert_eq!(diff["metric"], "live");
    assert_eq!(diff["normalization"]["unit"], "KiB");
    assert_eq!(diff["normalization"]["per"], "raw");
    let total = &diff["total"];
    let [before, after] = [10_000.0 / 1024.0, 16_500.0 / 1024.0];
    assert_eq!((&total["before"], &total["after"]), (&json!(before), &json!(after)));
    assert_eq!(total["interval"], json!([after - before, after - before]));
    assert_eq!(total["verdict"], "more");
    let heap = &diff["after"]["runs"][0]["heap"];
    let at_end = json!({
        "objects": {"value": 18, "margin": null},
        "bytes": {"value": 16_500, "margin": null},
    });
    assert_eq!((&heap["at_end"], &heap["interval_bytes"]), (&at_end, &Value::Null));
    let verdicts: Vec<_> = diff["functions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|function| {
            (function["name"].as_str().unwrap(), function["self"]["verdict"].as_str().unwrap())
        })
        .collect();
    assert_eq!(verdicts, [("cache", "more"), ("log", "new"), ("main", "no evidence")]);
    let outcomes: Vec<_> = diff["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| condition["text"].as_str().unwrap())
        .collect();
    let expected = [
        "total>80%: fine: +65.0% (+65.0% to +65.0%)",
        "total>60%: regression: +65.0% (+65.0% to +65.0%)",
        "self:cache>50%: fine: +50.0% (+50.0% to +50.0%)",
        "function>20%: regression: +50.0% (+50.0% to +50.0%) of the whole: cache",
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(diff["outcome"], "regression");
}

#[test]
fn rates_are_per_second() {
    let diff = written(Metric::Count, &[]);
    assert_eq!(diff["normalization"]["per"], "wall");
    assert_eq!(diff["normalization"]["before"], "÷ 10.0 s");
    assert_eq!(diff["total"]["after"], 1.8);
    assert_eq!(diff["outcome"], Value::Null);
}

/// What is not known is null, however many runs there are.
#[test]
fn one_run_and_many_have_the_same_shape() {
    fn keys(value: &Value, at: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                found.insert(format!("{at}/{key}"));
                keys(value, &format!("{at}/{key}"), found);
            }),
            Value::Array(values) => values.iter().for_each(|value| keys(value, at, found)),
            _ => {}
        }
    }
    let written = |runs: usize| {
        let profiles = [vec![exact(4, false); runs], vec![exact(6, true); runs]].concat();
        let json = with_diff(profiles, Metric::Bytes, &DiffOptions::default(), |diff| {
            text(|out| write_diff_json(out, diff, &[]))
        });
        let mut found = BTreeSet::new();
        keys(&serde_json::from_str(&json).unwrap(), "", &mut found);
        found
    };
    assert_eq!(written(1), written(3));
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
    let json: Value = serde_json::from_str(&json).unwrap();
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
