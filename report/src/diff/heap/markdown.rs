//! Writes a comparison of allocations as Markdown that is short enough for a
//! pull request.

use std::io::{self, Write};

use rz_profile::model::EventKind;

use super::table::{amount, noise, signed_amount, unit};
use super::{HeapDiff, HeapRow};
use crate::diff::change::Change;
use crate::diff::fail_if::Checked;
use crate::diff::markdown::{code, escaped, write_checked, write_folded};
use crate::model::top::SortBy;
use crate::render::format::{count, duration};
use crate::views::header::lost_count;
use crate::views::heap::amounts::{bytes_and_margin, counted};

/// Writes a comparison, and what became of conditions that it was checked
/// against.
pub fn write_heap_diff_markdown(
    out: &mut dyn Write,
    diff: &HeapDiff<'_>,
    checked: &[Checked],
) -> io::Result<()> {
    let [before, after] = diff.change.values.map(|value| amount(diff.metric, value));
    let change = interval(diff, &diff.change).map_or(String::new(), |text| format!(" ({text})"));
    writeln!(
        out,
        "**{}: {before} → {after}**, {}{change}: {}.\n",
        unit(diff),
        signed_amount(diff, diff.change.delta()),
        diff.change.verdict.name()
    )?;
    write_checked(out, checked)?;
    writeln!(out, "| | duration | allocated | objects | at peak | at end | lost |")?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|")?;
    for (side, label) in diff.sides.iter().zip(["before", "after"]) {
        let heap = side.heap;
        let shown = |sums| bytes_and_margin(heap.shown(sums).bytes.into());
        writeln!(
            out,
            "| {label} ({}) | {} | {} | {} | {} | {} | {} |",
            code(side.name),
            duration(side.info.duration_ns),
            bytes_and_margin(heap.bytes().into()),
            counted(heap.allocations().into(), "object"),
            shown(&heap.peak.live),
            shown(&heap.total.at_end),
            count(lost_count(side.info, EventKind::Alloc)),
        )?;
    }
    writeln!(out)?;
    let tested = |row: &&HeapRow| shown(diff, row).test.is_some();
    let (changed, rest): (Vec<&HeapRow>, Vec<&HeapRow>) =
        diff.rows.iter().filter(tested).partition(|row| shown(diff, row).verdict.is_change());
    write_folded(out, &changed, &rest, |out, rows| write_functions(out, diff, rows))?;
    for note in std::iter::once(&noise(diff)).chain(&diff.notes) {
        writeln!(out, "- {}", escaped(note))?;
    }
    Ok(())
}

/// The change that a row is sorted by.
fn shown<'r>(diff: &HeapDiff<'_>, row: &'r HeapRow) -> &'r Change {
    match diff.sorted_by {
        SortBy::SelfWeight => &row.changes[0],
        SortBy::TotalWeight => &row.changes[1],
    }
}

/// The interval of a change that is estimated.
fn interval(diff: &HeapDiff<'_>, change: &Change) -> Option<String> {
    let [low, high] = change.test?.interval;
    (low < high).then(|| format!("{} to {}", signed_amount(diff, low), signed_amount(diff, high)))
}

fn write_functions(out: &mut dyn Write, diff: &HeapDiff<'_>, rows: &[&HeapRow]) -> io::Result<()> {
    let by = match diff.sorted_by {
        SortBy::SelfWeight => "self",
        SortBy::TotalWeight => "total",
    };
    writeln!(out, "| function | {by} before | after | delta | 95% interval | verdict |")?;
    writeln!(out, "|---|--:|--:|--:|--:|---|")?;
    for row in rows {
        let change = shown(diff, row);
        let [before, after] = [0, 1].map(|side| match change.amounts[side].samples {
            0 => "-".to_owned(),
            _ => amount(diff.metric, change.values[side]),
        });
        writeln!(
            out,
            "| {} | {before} | {after} | {} | {} | {} |",
            code(&diff.symbols[row.symbol].name),
            signed_amount(diff, change.delta()),
            interval(diff, change).as_deref().unwrap_or("exact"),
            change.verdict.name(),
        )?;
    }
    writeln!(out, "\nIn {}.\n", unit(diff))
}

#[cfg(test)]
mod tests {
    use rz_profile::heap::Metric;

    use super::*;
    use crate::diff::DiffOptions;
    use crate::diff::fail_if::check;
    use crate::diff::heap::compare_heaps;
    use crate::fixture::text;
    use crate::views::heap::fixture::{Fate, HeapBuilder};
    use rz_profile::heap::show;

    #[test]
    fn short_enough_for_a_pull_request() {
        let mut profiles = [(10, 4), (15, 4)].map(|(cached, logged)| {
            let mut heap = HeapBuilder::new(0);
            heap.objects("main;cache|x", 1_000, cached, Fate::Live);
            heap.objects("main;log", 500, logged, Fate::Live);
            heap.profile()
        });
        let events = profiles.each_mut().map(|p| show(p, Metric::Live).unwrap());
        let [before, after] = &profiles;
        let inputs = [(before, "a.rz", events[0]), (after, "b.rz", events[1])];
        let diff = compare_heaps(inputs, Metric::Live, &DiffOptions::default()).unwrap();
        let checked = check(&["total>5%".parse().unwrap()], &diff).unwrap();
        let expected = "
**bytes never freed: 11.7 KiB → 16.6 KiB**, +4.9 KiB: more.

- **total>5%: regression: +41.7% (+41.7% to +41.7%)**

| | duration | allocated | objects | at peak | at end | lost |
|---|--:|--:|--:|--:|--:|--:|
| before (`a.rz`) | 10.0 s | 11.7 KiB | 14 objects | 11.7 KiB | 11.7 KiB | 0 |
| after (`b.rz`) | 10.0 s | 16.6 KiB | 19 objects | 16.6 KiB | 16.6 KiB | 0 |

| function | self before | after | delta | 95% interval | verdict |
|---|--:|--:|--:|--:|---|
| `cache\\|x` | 9.8 KiB | 14.6 KiB | +4.9 KiB | exact | more |

In bytes never freed.

<details><summary>1 other function</summary>

| function | self before | after | delta | 95% interval | verdict |
|---|--:|--:|--:|--:|---|
| `log` | 2.0 KiB | 2.0 KiB | 0 B | exact | no evidence |

In bytes never freed.

</details>

- Every allocation was recorded, so that numbers are exact. How much one run differs from the next is not known from one run on each side.
";
        let written = text(|out| write_heap_diff_markdown(out, &diff, &checked));
        assert_eq!(written, expected[1..]);
    }
}
