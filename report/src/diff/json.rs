//! Writes a comparison as JSON; docs/DIFF-JSON.md says what it contains.

use std::io::{self, Write};

use rz_profile::model::EventKind;
use rz_text::json::escaped;
use serde::Serialize;

use crate::diff::change::Change;
use crate::diff::explain::text::words;
use crate::diff::explain::{At, Follows, PlaceChange};
use crate::diff::fail_if::{Checked, worst};
use crate::diff::heap::HeapFacts;
use crate::diff::matching::Inlining;
use crate::diff::normalize::{All, Scale};
use crate::diff::notes::notes;
use crate::diff::stats::fdr;
use crate::diff::sums::{SumRow, SumsDiff};
use crate::diff::table::noise_text;
use crate::diff::verdicts::{CONFIDENCE, POWER};
use crate::diff::{Diff, FunctionChange, Noise, Side, SideRun};
use crate::model::calls::SortCalls;
use crate::model::calltree::ROOT;
use crate::model::symbols::SymbolId;
use crate::views::header::{lost_count, lost_percent};

/// What is written.
const FORMAT: &str = "rz-diff";
/// Version of what is written. It grows when a field changes its meaning or
/// goes, not when one is added.
const VERSION: u32 = 2;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Document<'a> {
    pub schema: &'static str,
    pub schema_version: u32,
    /// The older names of these two.
    pub format: &'static str,
    pub version: u32,
    pub event: Event<'a>,
    pub metric: Option<&'static str>,
    pub normalization: Normalization<'a>,
    pub before: SideFacts<'a>,
    pub after: SideFacts<'a>,
    pub statistics: Statistics,
    pub total: Numbers,
    /// The few places in the call tree that explain the comparison: those that changed
    /// most first, what only follows from them last.
    pub what_changed: Vec<Place<'a>>,
    pub functions: Vec<Function<'a>>,
    pub likely_renames: Vec<Rename<'a>>,
    pub moved: Vec<Moved<'a>>,
    pub conditions: Vec<Condition<'a>>,
    pub outcome: Option<&'static str>,
    pub sums: Option<Sums<'a>>,
    pub notes: Vec<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Event<'a> {
    pub name: &'a str,
    pub unit: &'static str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Normalization<'a> {
    pub per: &'static str,
    /// What is known of the sum of all: `sampled`, `counted` (by the scheduler; samples tell
    /// how it is shared out), or `divisor`.
    pub all: &'static str,
    pub unit: &'a str,
    pub before: &'a str,
    pub after: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SideFacts<'a> {
    pub samples: u64,
    pub weight: u64,
    pub duration_ns: u64,
    pub lost: u64,
    pub work: Option<f64>,
    pub runs: Vec<RunFacts<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RunFacts<'a> {
    pub trace: &'a str,
    /// What was selected of it, in words; empty if all of it was.
    pub filter: &'a str,
    /// How many threads were.
    pub threads: usize,
    pub host: &'a str,
    pub start_unix_ns: u64,
    pub duration_ns: u64,
    pub frequency_hz: u32,
    pub samples: u64,
    pub weight: u64,
    pub lost: u64,
    pub lost_percent: f64,
    pub work: Option<f64>,
    /// Of allocations only.
    pub heap: Option<HeapFacts>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Statistics {
    pub noise: &'static str,
    pub confidence: f64,
    pub power: f64,
    pub false_discovery_rate: f64,
    pub min_effect: f64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Numbers {
    pub before: f64,
    pub after: f64,
    pub delta: f64,
    pub interval: Option<[f64; 2]>,
    pub ratio: Option<f64>,
    pub ratio_interval: Option<[f64; 2]>,
    pub p: Option<f64>,
    pub q: Option<f64>,
    pub verdict: &'static str,
    pub detectable: Option<f64>,
    pub samples: [u64; 2],
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Function<'a> {
    pub name: &'a str,
    pub module: &'a str,
    #[serde(rename = "self")]
    pub self_: Numbers,
    pub total: Numbers,
    pub renamed_from: Option<&'a str>,
    pub inlining: Option<&'static str>,
    pub note: Option<String>,
    pub explained: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Place<'a> {
    /// The place in words.
    pub text: String,
    /// The function; `null` if everything changed alike.
    pub function: Option<&'a str>,
    pub module: Option<&'a str>,
    /// The caller, if it is a place in the tree and not a function everywhere.
    pub called_by: Option<&'a str>,
    /// Whether it is the function wherever it is called.
    pub everywhere: bool,
    /// Whether it is only what the function costs itself.
    pub only_self: bool,
    /// The function in which most of the change is, and which share of it.
    pub inside: Option<Inside<'a>>,
    /// Whether it only follows from what others changed: "yes", "perhaps" or `null`.
    pub follows: Option<&'static str>,
    pub change: Numbers,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Inside<'a> {
    pub function: &'a str,
    pub share: f64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Rename<'a> {
    pub old: &'a str,
    pub new: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Moved<'a> {
    pub function: &'a str,
    pub from: &'a str,
    pub to: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Condition<'a> {
    pub condition: &'a str,
    pub outcome: &'static str,
    pub text: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Sums<'a> {
    pub by: &'static str,
    pub normalization: Normalization<'a>,
    pub total: Numbers,
    pub rows: Vec<Sum<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Sum<'a> {
    pub name: &'a str,
    pub count: [u64; 2],
    pub total_ns: [u64; 2],
    pub errors: [u64; 2],
    pub change: Numbers,
}

/// Writes a comparison, and what became of conditions that it was checked
/// against.
pub fn write_diff_json(
    out: &mut dyn Write,
    diff: &Diff<'_>,
    checked: &[Checked],
) -> io::Result<()> {
    let name = |id: SymbolId| diff.symbols[id].name.as_str();
    let [before, after] = [0, 1].map(|side| side_facts(&diff.sides[side]));
    let of_heap = diff.event.kind == EventKind::Alloc;
    let metric = of_heap.then(|| diff.event.metric.unwrap_or_default().name());
    let document = Document {
        schema: FORMAT,
        schema_version: VERSION,
        format: FORMAT,
        version: VERSION,
        event: Event { name: &diff.event.name, unit: diff.event.unit.name() },
        metric,
        normalization: normalization(&diff.scale),
        before,
        after,
        statistics: statistics(diff),
        total: numbers(&diff.total, diff.total.test.map(|test| test.p)),
        what_changed: diff
            .explanation
            .places
            .iter()
            .map(|place| self::place(diff, place))
            .collect(),
        functions: functions(diff),
        likely_renames: diff
            .findings
            .renames
            .iter()
            .map(|rename| Rename { old: name(rename.old), new: name(rename.new) })
            .collect(),
        moved: diff
            .findings
            .moved
            .iter()
            .map(|moved| Moved {
                function: name(moved.symbol),
                from: name(moved.from),
                to: name(moved.to),
            })
            .collect(),
        conditions: conditions(checked),
        outcome: outcome(checked),
        sums: diff.sums.as_ref().map(sums),
        notes: noise_text(diff).lines().map(str::to_owned).chain(notes(diff)).collect(),
    };
    out.write_all(escaped(&serde_json::to_string_pretty(&document)?).as_bytes())?;
    writeln!(out)
}

fn place<'a>(diff: &'a Diff<'_>, place: &PlaceChange) -> Place<'a> {
    let symbol = (place.symbol != diff.nodes[ROOT].symbol).then(|| &diff.symbols[place.symbol]);
    let name = |id: SymbolId| diff.symbols[id].name.as_str();
    Place {
        text: words(diff, place),
        function: symbol.map(|symbol| symbol.name.as_str()),
        module: symbol.map(|symbol| symbol.module.as_str()),
        called_by: match place.at {
            At::CalledBy(caller) => caller.map(name),
            At::Everywhere(_) | At::EverywhereItself(_) => None,
        },
        everywhere: !matches!(place.at, At::CalledBy(_)),
        only_self: matches!(place.at, At::EverywhereItself(_)),
        inside: place.inside.map(|(id, share)| Inside { function: name(id), share }),
        follows: place.follows.map(|follows| match follows {
            Follows::Certainly => "yes",
            Follows::Perhaps => "perhaps",
        }),
        // It was tested together with all functions, of which none has this one's rank.
        change: numbers(&place.change, None),
    }
}

fn conditions<'c>(checked: &'c [Checked]) -> Vec<Condition<'c>> {
    let condition = |checked: &'c Checked| Condition {
        condition: &checked.condition,
        outcome: checked.outcome.name(),
        text: &checked.text,
    };
    checked.iter().map(condition).collect()
}

/// The worst outcome of conditions, if there are any.
fn outcome(checked: &[Checked]) -> Option<&'static str> {
    (!checked.is_empty()).then(|| worst(checked).name())
}

fn side_facts<'a>(side: &'a Side<'_>) -> SideFacts<'a> {
    SideFacts {
        samples: side.total.samples,
        weight: side.total.weight,
        duration_ns: side.wall_ns(),
        lost: side.lost(),
        work: side.work(),
        runs: side.runs.iter().map(run_facts).collect(),
    }
}

fn run_facts<'a>(run: &'a SideRun<'_>) -> RunFacts<'a> {
    RunFacts {
        trace: run.name,
        filter: &run.info.filter.text,
        threads: run.threads,
        host: &run.info.host,
        start_unix_ns: run.info.start_unix_ns,
        duration_ns: run.info.duration_ns,
        frequency_hz: run.event.frequency_hz,
        samples: run.total.samples,
        weight: run.total.weight,
        lost: lost_count(run.info, run.event.kind),
        lost_percent: lost_percent(run.info, run.event.kind, run.total.samples),
        work: run.work,
        heap: run.heap.map(HeapFacts::of),
    }
}

fn normalization(scale: &Scale) -> Normalization<'_> {
    let [before, after] = &scale.factors;
    let all = match scale.all {
        All::Sampled => "sampled",
        All::Counted => "counted",
        All::Divisor => "divisor",
    };
    Normalization { per: scale.per.name(), all, unit: &scale.unit, before, after }
}

fn sums<'a>(sums: &'a SumsDiff) -> Sums<'a> {
    let adjusted = adjusted(&sums.rows, |row| row.change.test.map(|test| test.p));
    let rows = sums.rows.iter().zip(adjusted);
    let row = |(row, q): (&'a SumRow, Option<f64>)| Sum {
        name: &row.name,
        count: row.sums.each_ref().map(|sum| sum.count),
        total_ns: row.sums.each_ref().map(|sum| sum.total_ns),
        errors: row.sums.each_ref().map(|sum| sum.errors),
        change: numbers(&row.change, q),
    };
    Sums {
        by: match sums.by {
            SortCalls::Time => "time",
            SortCalls::Count => "count",
            SortCalls::Errors => "errors",
        },
        normalization: normalization(&sums.scale),
        total: numbers(&sums.total, sums.total.test.map(|test| test.p)),
        rows: rows.map(row).collect(),
    }
}

fn statistics(diff: &Diff<'_>) -> Statistics {
    let noise = match diff.noise {
        Noise::BetweenRuns { .. } => "between runs",
        Noise::WithinRuns(_) if diff.event.kind == EventKind::Alloc => "sampling",
        Noise::WithinRuns(_) => "within runs",
    };
    Statistics {
        noise,
        confidence: CONFIDENCE,
        power: POWER,
        false_discovery_rate: diff.fdr,
        min_effect: diff.min_effect[1],
    }
}

/// Of each row, the smallest false discovery rate at which its change would be
/// called one; `None` if it was not tested.
fn adjusted<T>(rows: &[T], p: impl Fn(&T) -> Option<f64>) -> Vec<Option<f64>> {
    let tested: Vec<f64> = rows.iter().filter_map(&p).collect();
    let mut adjusted = fdr::adjusted(&tested).into_iter();
    rows.iter().map(|row| p(row).and_then(|_| adjusted.next())).collect()
}

fn functions<'a>(diff: &'a Diff<'_>) -> Vec<Function<'a>> {
    let own = adjusted(&diff.rows, |row| row.self_.test.map(|test| test.p));
    let total = adjusted(&diff.rows, |row| row.total.test.map(|test| test.p));
    let rows = diff.rows.iter().zip(own).zip(total);
    rows.map(|((row, own), total)| function(diff, row, [own, total])).collect()
}

fn function<'a>(
    diff: &'a Diff<'_>,
    row: &FunctionChange,
    [own, total]: [Option<f64>; 2],
) -> Function<'a> {
    let symbol = &diff.symbols[row.symbol];
    Function {
        name: &symbol.name,
        module: &symbol.module,
        self_: numbers(&row.self_, own),
        total: numbers(&row.total, total),
        renamed_from: diff.old_names.get(&row.symbol).map(String::as_str),
        inlining: diff.findings.inlining.get(&row.symbol).map(|inlining| match inlining {
            Inlining::InlinedNow => "inlined now",
            Inlining::NoLongerInlined => "no longer inlined",
            Inlining::LikelyInlinedInto(_) => "probably inlined now",
            Inlining::LikelyInlinedInBefore(_) => "probably no longer inlined",
            Inlining::TookIn(_) => "probably has another function inlined now",
            Inlining::GaveOut(_) => "probably no longer has another function inlined",
        }),
        note: diff.findings.describe(row.symbol, &diff.symbols),
        explained: diff.findings.explains(row.symbol),
    }
}

fn numbers(change: &Change, q: Option<f64>) -> Numbers {
    Numbers {
        before: change.values[0],
        after: change.values[1],
        delta: change.delta(),
        interval: change.test.map(|test| test.interval),
        ratio: change.ratio(),
        ratio_interval: change.test.and_then(|test| test.ratio_interval),
        p: change.test.map(|test| test.p),
        q,
        verdict: change.verdict.name(),
        detectable: change.test.map(|test| test.detectable),
        samples: change.amounts.map(|amount| amount.samples),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::diff::fail_if::check;
    use crate::diff::{DiffOptions, Run, compare};
    use crate::fixture::Builder;

    fn written(before: &[(&str, u64)], after: &[(&str, u64)], conditions: &[&str]) -> Value {
        let profiles = [before, after].map(Builder::of);
        let run = |side: usize, name| Run { profile: &profiles[side], name, event: Some(0) };
        let options = DiffOptions { renames: vec!["old=new".into()], ..DiffOptions::default() };
        let diff = compare([&[run(0, "a.rz")], &[run(1, "b.rz")]], &options).unwrap();
        let conditions: Vec<_> = conditions.iter().map(|text| text.parse().unwrap()).collect();
        let mut out = Vec::new();
        write_diff_json(&mut out, &diff, &check(&conditions, &diff).unwrap()).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn everything_is_written() {
        let json = written(
            &[("main;old", 1_000), ("main;parse_row", 500), ("main;a;sort", 300), ("main;b", 60)],
            &[("main;new", 2_000), ("main;parse_line", 510), ("main;b;sort", 300), ("main;a", 60)],
            &["total>5%", "self:parse_row>5%"],
        );
        let of = |path: &str| json.pointer(path).unwrap_or_else(|| panic!("no {path}: {json:#}"));
        let check = |path: &str, expected: Value| assert_eq!(*of(path), expected, "{path}");
        check("/format", json!("rz-diff"));
        check("/version", json!(2));
        check("/event", json!({"name": "cpu-clock", "unit": "nanoseconds"}));
        check("/normalization/per", json!("wall"));
        check("/normalization/unit", json!("% of one core"));
        check("/before/samples", json!(1_860));
        check("/after/runs/0/trace", json!("b.rz"));
        check("/after/runs/0/duration_ns", json!(10_000_000_000_u64));
        check("/statistics/noise", json!("within runs"));
        check("/statistics/false_discovery_rate", json!(0.05));
        check("/total/samples", json!([1_860, 2_870]));
        check("/total/verdict", json!("more"));
        check("/functions/0/name", json!("new"));
        check("/functions/0/module", json!("app"));
        check("/functions/0/renamed_from", json!("old"));
        check("/functions/0/self/ratio", json!(2.0));
        check("/functions/0/self/verdict", json!("more"));
        check("/functions/0/explained", json!(false));
        check("/likely_renames", json!([{"old": "parse_row", "new": "parse_line"}]));
        check("/moved", json!([{"function": "sort", "from": "a", "to": "b"}]));
        check("/conditions/0/condition", json!("total>5%"));
        check("/conditions/0/outcome", json!("regression"));
        check("/conditions/1/outcome", json!("improvement"));
        check("/outcome", json!("regression"));
        check("/sums", json!(null));
        let number = |path: &str| of(path).as_f64().unwrap();
        assert!((number("/functions/0/self/delta") - 100.0).abs() < 1e-9);
        let [low, high] =
            ["0", "1"].map(|end| number(&format!("/functions/0/self/interval/{end}")));
        assert!(low > 0.0 && low < 100.0 && high > 100.0, "{low} {high}");
        assert!(number("/functions/0/self/q") >= number("/functions/0/self/p"));
        let functions = of("/functions").as_array().unwrap();
        let parse = functions.iter().find(|f| f["name"] == "parse_line").unwrap();
        assert_eq!(parse["explained"], true);
        assert_eq!(parse["note"], "probably parse_row before");
        let notes = of("/notes").as_array().unwrap();
        assert!(notes.contains(&json!("sort moved from a to b")), "{notes:?}");
    }

    #[test]
    fn the_schema_is_that_of_the_types() {
        crate::views::document::tests::check_schema::<Document<'static>>("diff.schema.json");
    }

    #[test]
    fn what_is_not_known_is_null() {
        let json = written(&[("main;old", 1_000), ("main;x", 1)], &[("main;new", 1_000)], &[]);
        let functions = json["functions"].as_array().unwrap();
        let x = functions.iter().find(|f| f["name"] == "x").unwrap();
        for field in ["interval", "ratio_interval", "p", "q", "detectable"] {
            assert_eq!(x["self"][field], Value::Null, "{field}");
        }
        assert_eq!(json["outcome"], Value::Null);
        assert_eq!(json["conditions"], json!([]));
    }
}
