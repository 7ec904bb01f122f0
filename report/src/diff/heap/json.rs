//! Writes a comparison of allocations as JSON; docs/DIFF-JSON.md says what it
//! contains.

use std::io::{self, Write};

use rz_profile::model::{ALLOC, EventKind};

use super::table::{factors, noise, unit};
use super::{HeapDiff, HeapRow, HeapSide};
use crate::diff::fail_if::Checked;
use crate::diff::json::{
    Document, Event, FORMAT, Function, Normalization, RunFacts, SideFacts, Statistics, VERSION,
    adjusted, conditions, numbers, outcome, write_document,
};
use crate::diff::verdicts::{CONFIDENCE, POWER};
use crate::views::header::{lost_count, lost_percent};

/// Writes a comparison, and what became of conditions that it was checked
/// against.
pub fn write_heap_diff_json(
    out: &mut dyn Write,
    diff: &HeapDiff<'_>,
    checked: &[Checked],
) -> io::Result<()> {
    let [before, after] = [0, 1].map(|side| side_facts(&diff.sides[side]));
    let [divided_before, divided_after] = factors(diff);
    let unit = unit(diff);
    let document = Document {
        schema: FORMAT,
        schema_version: VERSION,
        format: FORMAT,
        version: VERSION,
        event: Event { name: ALLOC, unit: diff.metric.unit().name() },
        metric: Some(diff.metric.name()),
        normalization: Normalization {
            per: if diff.metric.is_rate() { "wall" } else { "raw" },
            unit: &unit,
            before: &divided_before,
            after: &divided_after,
        },
        before,
        after,
        statistics: Statistics {
            noise: "sampling",
            confidence: CONFIDENCE,
            power: POWER,
            false_discovery_rate: diff.fdr,
            min_effect: diff.min_effect[1],
        },
        total: numbers(&diff.change, diff.change.test.map(|test| test.p)),
        functions: functions(diff),
        likely_renames: Vec::new(),
        moved: Vec::new(),
        conditions: conditions(checked),
        outcome: outcome(checked),
        sums: None,
        notes: std::iter::once(noise(diff)).chain(diff.notes.iter().cloned()).collect(),
    };
    write_document(out, &document)
}

fn side_facts<'a>(side: &'a HeapSide<'_>) -> SideFacts<'a> {
    let info = side.info;
    let (samples, lost) = (side.total.recorded, lost_count(info, EventKind::Alloc));
    // Saturates.
    let weight = side.total.bytes.value.round() as u64;
    let run = RunFacts {
        trace: side.name,
        host: &info.host,
        start_unix_ns: info.start_unix_ns,
        duration_ns: info.duration_ns,
        frequency_hz: 0,
        samples,
        weight,
        lost,
        lost_percent: lost_percent(info, EventKind::Alloc, samples),
        work: None,
    };
    let duration_ns = info.duration_ns;
    SideFacts { samples, weight, duration_ns, lost, work: None, runs: vec![run] }
}

fn functions<'a>(diff: &'a HeapDiff<'_>) -> Vec<Function<'a>> {
    let q = |of: usize| adjusted(&diff.rows, |row| row.changes[of].test.map(|test| test.p));
    let rows = diff.rows.iter().zip(q(0)).zip(q(1));
    let function = |((row, own), total): ((&HeapRow, Option<f64>), Option<f64>)| {
        let symbol = &diff.symbols[row.symbol];
        Function {
            name: &symbol.name,
            module: &symbol.module,
            self_: numbers(&row.changes[0], own),
            total: numbers(&row.changes[1], total),
            renamed_from: None,
            inlining: None,
            note: None,
            explained: false,
        }
    };
    rows.map(function).collect()
}

#[cfg(test)]
mod tests {
    use rz_profile::heap::Metric;
    use serde_json::{Value, json};

    use super::*;
    use crate::diff::DiffOptions;
    use crate::diff::fail_if::check;
    use crate::diff::heap::compare_heaps;
    use crate::views::heap::fixture::{Fate, HeapBuilder};
    use rz_profile::heap::show;

    /// One more kind of objects than before, and more of another.
    fn written(metric: Metric, conditions: &[&str]) -> Value {
        let mut profiles = [(10, 0), (15, 3)].map(|(cached, logged)| {
            let mut heap = HeapBuilder::new(0);
            heap.objects("main;cache", 1_000, cached, Fate::Live);
            if logged > 0 {
                heap.objects("main;log", 500, logged, Fate::Live);
            }
            heap.profile()
        });
        let events = profiles.each_mut().map(|profile| show(profile, metric).unwrap());
        let [before, after] = &profiles;
        let inputs = [(before, "a.rz", events[0]), (after, "b.rz", events[1])];
        let diff = compare_heaps(inputs, metric, &DiffOptions::default()).unwrap();
        let conditions: Vec<_> = conditions.iter().map(|text| text.parse().unwrap()).collect();
        let mut out = Vec::new();
        let checked = check(&conditions, &diff).unwrap();
        write_heap_diff_json(&mut out, &diff, &checked).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn what_is_counted_is_exact() {
        let conditions = ["total>80%", "total>60%", "self:cache>50%", "function>20%"];
        let diff = written(Metric::Live, &conditions);
        assert_eq!(diff["event"], json!({"name": "alloc", "unit": "bytes"}));
        assert_eq!(diff["metric"], "live");
        assert_eq!(diff["normalization"]["unit"], "bytes never freed");
        assert_eq!(diff["normalization"]["per"], "raw");
        let total = &diff["total"];
        assert_eq!((&total["before"], &total["after"]), (&json!(10_000.0), &json!(16_500.0)));
        assert_eq!(total["interval"], json!([6_500.0, 6_500.0]));
        assert_eq!(total["verdict"], "more");
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
}
