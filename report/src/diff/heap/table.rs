//! Prints the allocations of two recordings side by side, and the functions
//! whose allocations changed.

use std::io::{self, Write};

use rz_profile::heap::{Estimate, Metric, Sum};
use rz_profile::model::{EventKind, Unit};

use super::{HeapChange, HeapDiff, HeapPair, HeapSide};
use crate::diff::change::Change;
use crate::diff::table::write_side_by_side;
use crate::model::clean::clean;
use crate::model::top::SortBy;
use crate::render::format::{bytes, count, duration, percent};
use crate::render::style::{Paint, Style};
use crate::render::table::{self, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::header::{host, lost_count, start_time};
use crate::views::heap::amounts::{bytes_and_margin, counted};
use crate::views::heap::{sampling_noise, which_recorded};

/// Below this many columns the totals of both sides make room for names.
const WIDE: usize = 100;

/// Writes a comparison with the `limit` functions that changed most.
pub fn write_heap_diff(
    out: &mut dyn Write,
    style: Style,
    diff: &HeapDiff<'_>,
    limit: usize,
) -> io::Result<()> {
    write_sides(out, style, diff)?;
    write_compared(out, diff)?;
    write_rows(out, style, diff, limit)
}

fn write_sides(out: &mut dyn Write, style: Style, diff: &HeapDiff<'_>) -> io::Result<()> {
    let of_both =
        |show: &dyn Fn(&HeapSide<'_>) -> String| [show(&diff.sides[0]), show(&diff.sides[1])];
    let lost = |side: &HeapSide<'_>| match lost_count(side.info, EventKind::Alloc) {
        0 => "none".to_owned(),
        n => format!("{} allocations and frees", count(n)),
    };
    let mut lines = vec![
        ("trace", of_both(&|side| clean(side.name).into_owned())),
        ("host", of_both(&|side| host(side.info))),
        ("recorded", of_both(&|side| start_time(side.info))),
        ("duration", of_both(&|side| duration(side.info.duration_ns))),
        ("heap", of_both(&|side| which_recorded(side.heap))),
        ("lost", of_both(&lost)),
        ("allocated", of_both(&|side| bytes_and_margin(side.heap.bytes().into()))),
        ("objects", of_both(&|side| counted(side.heap.allocations().into(), "object"))),
        (
            "at peak",
            of_both(&|side| bytes_and_margin(side.heap.shown(&side.heap.peak.live).bytes.into())),
        ),
        (
            "at end",
            of_both(&|side| {
                bytes_and_margin(side.heap.shown(&side.heap.total.at_end).bytes.into())
            }),
        ),
    ];
    if diff.sides.iter().any(|side| side.info.filter.is_active()) {
        lines.insert(4, ("filter", of_both(&|side| clean(&side.info.filter.text).into_owned())));
    }
    write_side_by_side(out, style, &lines)
}

/// Says what is compared, and how much all of it changed.
fn write_compared(out: &mut dyn Write, diff: &HeapDiff<'_>) -> io::Result<()> {
    let what = diff.metric.description();
    let total = delta_and_margin(diff, diff.total(), diff.change);
    if diff.metric.is_rate() {
        let [before, after] = factors(diff);
        writeln!(out, "\nCompared are {what} per second of wall time:")?;
        writeln!(out, "before {before}, after {after}; all: {total} per second")?;
    } else {
        writeln!(out, "\nCompared are {what}, as amounts: not per second.")?;
        writeln!(out, "All: {total}")?;
    }
    if diff.sides.iter().any(|side| lost_count(side.info, EventKind::Alloc) > 0) {
        writeln!(out, "Caution: what was lost is in no function.")?;
    }
    Ok(())
}

/// A number of the metric.
pub(super) fn amount(metric: Metric, value: f64) -> String {
    // Saturates.
    match (metric.unit(), value) {
        (Unit::Bytes, value) => bytes(value.round() as u64),
        (_, value) if metric.is_rate() && value < 99.95 => format!("{value:.1}"),
        (_, value) => count(value.round() as u64),
    }
}

/// Whether a number is estimated, and chance may explain its change.
fn is_noise(change: HeapChange, judged: Change) -> bool {
    change.variance > 0.0 && !judged.verdict.is_change()
}

/// A change with its sign, and with `~` if there is no evidence of it.
fn delta_text(diff: &HeapDiff<'_>, change: HeapChange, judged: Change) -> String {
    let mark = if is_noise(change, judged) { "~" } else { "" };
    format!("{mark}{}", signed_amount(diff, change.delta()))
}

/// A difference with its sign.
pub(super) fn signed_amount(diff: &HeapDiff<'_>, delta: f64) -> String {
    let text = amount(diff.metric, delta.abs());
    let sign = match delta {
        // No sign on what is shown as zero.
        _ if !text.contains(|c: char| c.is_ascii_digit() && c != '0') => "",
        delta if delta > 0.0 => "+",
        _ => "-",
    };
    format!("{sign}{text}")
}

/// What is compared: `bytes allocated per second`.
pub(super) fn unit(diff: &HeapDiff<'_>) -> String {
    let per = if diff.metric.is_rate() { " per second" } else { "" };
    format!("{}{per}", diff.metric.description())
}

/// What was done to each side, in words.
pub(super) fn factors(diff: &HeapDiff<'_>) -> [String; 2] {
    [0, 1].map(|side| match diff.metric.is_rate() {
        true => format!("÷ {}", duration(diff.sides[side].info.duration_ns)),
        false => "as it is".to_owned(),
    })
}

/// What noise was taken from, and what was not.
pub(super) fn noise(diff: &HeapDiff<'_>) -> String {
    let noise = sampling_noise(diff.sides.iter().map(|side| side.heap));
    format!(
        "{noise} How much one run differs from the next is not known from one run on each side."
    )
}

/// The same, with its confidence interval if it is estimated.
pub(super) fn delta_and_margin(diff: &HeapDiff<'_>, change: HeapChange, judged: Change) -> String {
    let margin = match change.variance > 0.0 {
        true => format!(" ±{}", amount(diff.metric, change.margin())),
        false => String::new(),
    };
    delta_text(diff, change, judged) + &margin
}

fn write_rows(
    out: &mut dyn Write,
    style: Style,
    diff: &HeapDiff<'_>,
    limit: usize,
) -> io::Result<()> {
    let shown = diff.rows.len().min(limit);
    let by = match diff.sorted_by {
        SortBy::SelfWeight => "self",
        SortBy::TotalWeight => "total",
    };
    let of = some_of(shown, diff.rows.len());
    let note = format!("{}, by change of {by}{of}", unit(diff));
    write_title(out, style, "FUNCTIONS", &note)?;
    let wide = style.width.is_none_or(|width| width >= WIDE);
    let estimated = diff.sides.iter().any(|side| side.heap.interval > 0);
    let rows: Vec<table::Row> = diff.rows[..shown]
        .iter()
        .map(|row| {
            let symbol = &diff.symbols[row.symbol];
            let mut numbers = cells(diff, &row.self_, row.changes[0], estimated);
            let mut total = cells(diff, &row.total, row.changes[1], estimated && wide);
            numbers.append(&mut if wide { total } else { total.split_off(2) });
            let label = match row.total.map(|sum: Sum| sum.is_zero()) {
                [true, _] => "new: ",
                [_, true] => "gone: ",
                _ => "",
            };
            let text = format!("{label}{}", symbol.name);
            table::Row { numbers, text, suffix: symbol.module.clone() }
        })
        .collect();
    let mut titles = vec!["self before", "after", "delta"];
    titles.extend(estimated.then_some("±"));
    if wide {
        titles.extend(["total before", "after", "delta"]);
        titles.extend(estimated.then_some("±"));
    } else {
        titles.push("total delta");
    }
    titles.push("function");
    write_table(out, style, &titles, &rows)?;
    if estimated {
        let legend = format!("~ no evidence of a change: {}", evidence(diff));
        writeln!(out, "\n{}", style.paint(Paint::Dim, &legend))?;
    }
    Ok(())
}

/// What it takes to be called a change.
pub(super) fn evidence(diff: &HeapDiff<'_>) -> String {
    format!(
        "chance explains it, or it is below {} of all; of the others at most {} are false on average",
        percent(100.0 * diff.min_effect[0]),
        percent(100.0 * diff.fdr)
    )
}

/// Before, after and delta; with its interval if any number is estimated.
fn cells(
    diff: &HeapDiff<'_>,
    pair: &HeapPair,
    judged: Change,
    with_margin: bool,
) -> Vec<(String, Paint)> {
    let change = diff.change(pair);
    let none = || ("-".to_owned(), Paint::Dim);
    let number = |sum: &Sum, estimate: Estimate| match sum.is_zero() {
        true => none(),
        false => (amount(diff.metric, estimate.value), Paint::Plain),
    };
    let mut cells = vec![number(&pair[0], change.before), number(&pair[1], change.after)];
    let nothing = pair.iter().all(Sum::is_zero);
    let paint = match change.delta() {
        delta if delta == 0.0 || is_noise(change, judged) => Paint::Dim,
        delta if delta > 0.0 => Paint::Red,
        _ => Paint::Green,
    };
    cells.push(if nothing { none() } else { (delta_text(diff, change, judged), paint) });
    if with_margin {
        let margin = match change.variance > 0.0 {
            true => format!("±{}", amount(diff.metric, change.margin())),
            false => String::new(),
        };
        cells.push((margin, Paint::Dim));
    }
    cells
}

#[cfg(test)]
mod tests {
    use rz_profile::model::Profile;

    use super::*;
    use crate::diff::DiffOptions;
    use crate::diff::heap::compare_heaps;
    use crate::diff::heap::flame::write_heap_diff_flame_graph;
    use crate::fixture::text;
    use crate::render::change_color::Width;
    use crate::views::heap::fixture::{Fate, HeapBuilder, program};

    fn with_diff<T>(
        [before, after]: [&HeapProfile; 2],
        metric: Metric,
        show: impl FnOnce(&HeapDiff<'_>) -> T,
    ) -> T {
        let (mut before, mut after) = (before(), after());
        let events = [&mut before, &mut after]
            .map(|profile| rz_profile::heap::show(profile, metric).unwrap());
        let inputs = [(&before, "a.rz", events[0]), (&after, "b.rz", events[1])];
        show(&compare_heaps(inputs, metric, &DiffOptions::default()).unwrap())
    }

    type HeapProfile = dyn Fn() -> Profile;

    fn report(sides: [&HeapProfile; 2], metric: Metric, width: Option<usize>) -> String {
        let style = Style { color: false, width };
        with_diff(sides, metric, |diff| text(|out| write_heap_diff(out, style, diff, 5)))
    }

    fn rows(sides: [&HeapProfile; 2], metric: Metric, width: Option<usize>) -> String {
        let report = report(sides, metric, width);
        report[report.find("Compared").unwrap()..].to_owned()
    }

    /// Half as long, with more in the cache and nothing from `run;parse`.
    fn grown(interval: u64) -> Profile {
        let mut heap = HeapBuilder::new(interval);
        heap.objects("_start;main;parse;std::vector<int>::push_back;malloc", 100, 25, Fate::Peak);
        heap.objects("_start;main;run;cache;malloc", 2_048, 12, Fate::Live);
        heap.objects("_start;main;run;log;malloc", 16, 1, Fate::Live);
        let mut profile = heap.profile();
        profile.info.duration_ns /= 2;
        profile
    }

    #[test]
    fn both_sides_and_what_grew() {
        let expected = "
  trace       a.rz                              b.rz
  host        db7, Linux 6.1.0 x86_64, 16 CPUs  db7, Linux 6.1.0 x86_64, 16 CPUs
  recorded    2026-11-21 03:50:12 UTC           2026-11-21 03:50:12 UTC
  duration    10.0 s                            5.00 s
  heap        every allocation                  every allocation
  lost        none                              none
  allocated   42.2 KiB                          26.5 KiB
  objects     64 objects                        38 objects
  at peak     12.9 KiB                          26.5 KiB
  at end      8.0 KiB                           24.0 KiB

Compared are bytes allocated per second of wall time:
before ÷ 10.0 s, after ÷ 5.00 s; all: +1.1 KiB per second

FUNCTIONS  bytes allocated per second, by change of self, 5 of 6
self before    after     delta  total before    after     delta  function
      819 B  4.8 KiB  +4.0 KiB         819 B  4.8 KiB  +4.0 KiB  cache  app
    3.4 KiB    500 B  -2.9 KiB       3.4 KiB    500 B  -2.9 KiB  parse  app
          -      3 B      +3 B             -      3 B      +3 B  new: log  app
          -        -         -       4.2 KiB  5.3 KiB  +1.1 KiB  _start  app
          -        -         -       4.2 KiB  5.3 KiB  +1.1 KiB  main  app
";
        let sides: [&HeapProfile; 2] = [&|| program(0).profile(), &|| grown(0)];
        assert_eq!(report(sides, Metric::Bytes, None), expected[1..]);
    }

    #[test]
    fn what_is_live_is_no_rate() {
        let expected = "
Compared are bytes never freed, as amounts: not per second.
All: +16.0 KiB

FUNCTIONS  bytes never freed, by change of self
self before     after      delta  total delta  function
    8.0 KiB  24.0 KiB  +16.0 KiB    +16.0 KiB  cache  app
          -      16 B      +16 B        +16 B  new: log  app
          -         -          -    +16.0 KiB  _start  app
          -         -          -    +16.0 KiB  main  app
          -         -          -    +16.0 KiB  run  app
";
        let sides: [&HeapProfile; 2] = [&|| program(0).profile(), &|| grown(0)];
        assert_eq!(rows(sides, Metric::Live, Some(80)), expected[1..]);
    }

    #[test]
    fn estimates_have_intervals_and_noise() {
        let expected = "
Compared are objects never freed, as amounts: not per second.
All: ~+74 ±125

FUNCTIONS  objects never freed, by change of self
self before  after  delta     ±  total before  after  delta     ±  function
          -     65   ~+65  ±126             -     65   ~+65  ±126  new: log  app
          5     14     +9    ±3             5     14     +9    ±3  cache  app
          -      -      -                   5     78   ~+74  ±125  _start  app
          -      -      -                   5     78   ~+74  ±125  main  app
          -      -      -                   5     78   ~+74  ±125  run  app

~ no evidence of a change: chance explains it, or it is below 0.5% of all; of the others at most 5.0% are false on average
";
        let sides: [&HeapProfile; 2] = [&|| program(1 << 10).profile(), &|| grown(1 << 10)];
        assert_eq!(rows(sides, Metric::LiveCount, None), expected[1..]);
    }

    #[test]
    fn the_same_is_no_change() {
        let sides: [&HeapProfile; 2] = [&|| program(0).profile(), &|| program(0).profile()];
        for metric in Metric::ALL {
            with_diff(sides, metric, |diff| {
                for row in &diff.rows {
                    for (pair, judged) in [&row.self_, &row.total].into_iter().zip(row.changes) {
                        let change = diff.change(pair);
                        assert_eq!(change.delta(), 0.0, "{metric:?}");
                        assert!(!judged.verdict.is_change(), "{metric:?}");
                        // Exact numbers have no noise.
                        assert!(!is_noise(change, judged), "{metric:?}");
                    }
                }
            });
        }
    }

    #[test]
    fn a_side_without_samples_may_have_had_some() {
        let side = |interval, count| {
            move || {
                let mut heap = HeapBuilder::new(interval);
                heap.objects("main;always", 100, 50, Fate::Live);
                if count > 0 {
                    heap.objects("main;some", 100, count, Fate::Live);
                }
                heap.profile()
            }
        };
        let check = |before: &HeapProfile, after: &HeapProfile, is_noise: bool| {
            with_diff([before, after], Metric::Live, |diff| {
                let some =
                    |row: &&crate::diff::heap::HeapRow| diff.symbols[row.symbol].name == "some";
                let row = diff.rows.iter().find(some).unwrap();
                assert!(diff.change(&row.self_).variance.is_finite());
                assert_eq!(!row.changes[0].verdict.is_change(), is_noise, "{row:?}");
            });
        };
        check(&side(1 << 20, 0), &side(1 << 20, 3), true);
        check(&side(1 << 20, 0), &side(1 << 20, 20), false);
        check(&side(1 << 20, 20), &side(1 << 20, 0), false);
        // Five objects of 100 bytes say nothing against one in a mebibyte.
        check(&side(0, 5), &side(1 << 20, 0), true);
        check(&side(0, 0), &side(0, 1), false);
    }

    #[test]
    fn one_picture_of_both() {
        let sides: [&HeapProfile; 2] = [&|| program(0).profile(), &|| grown(0)];
        let svg = with_diff(sides, Metric::Live, |diff| {
            let mut out = Vec::new();
            write_heap_diff_flame_graph(&mut out, diff, Width::Larger).unwrap();
            String::from_utf8(out).unwrap()
        });
        for text in [
            "a.rz → b.rz, bytes never freed",
            "cache 8.0 KiB → 24.0 KiB, +16.0 KiB in all (24,576 bytes never freed, 99.93%)",
            "log new, 16 B in all (16 bytes never freed, 0.07%)",
        ] {
            assert!(svg.contains(text), "no {text:?}");
        }
        assert!(!svg.contains("noise"));
    }

    #[test]
    fn a_rate_needs_a_duration() {
        let mut profiles = [program(0).profile(), program(0).profile()];
        profiles[1].info.duration_ns = 0;
        let [before, after] = &profiles;
        let inputs = [(before, "a.rz", 0), (after, "b.rz", 0)];
        let error = compare_heaps(inputs, Metric::Bytes, &DiffOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), "cannot compare: the after trace has no recorded duration");
        assert!(compare_heaps(inputs, Metric::Live, &DiffOptions::default()).is_ok());
    }
}
