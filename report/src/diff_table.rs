//! Prints two recordings side by side and the functions that changed.

use std::io::{self, Write};

use rz_convert::profile::{Event, Unit};

use crate::change::{Change, NOISE_LIMIT, Pair};
use crate::diff::{Diff, Side};
use crate::diff_sums::{class_of, write_sum_rows};
use crate::format::{clean, count, duration, percent, shorten, weight};
use crate::header::{host, lost_count, lost_percent, start_time};
use crate::style::{Paint, Style};
use crate::summary::{some_of, write_title};
use crate::table::{self, write_table};
use crate::top::SortBy;
use crate::wording::{rate_scale, wording};

/// Below this many columns the totals of both sides make room for names.
pub(crate) const WIDE: usize = 100;

/// What the mark of changes within the noise means.
pub(crate) const NOISE_LEGEND: &str =
    "~ within sampling noise: 2 standard errors, exceeded by chance in 1 row of 20";

/// The share of lost samples, in percent, from which a comparison is doubtful.
const DOUBTFUL_LOSS: f64 = 1.0;

/// Writes a comparison with the `limit` functions that changed most.
pub fn write_diff(
    out: &mut dyn Write,
    style: Style,
    diff: &Diff<'_>,
    limit: usize,
) -> io::Result<()> {
    write_sides(out, style, diff)?;
    let sides = [&diff.before, &diff.after];
    if let (Some(sums), Some(class)) = (&diff.sums, class_of(diff.before.event.kind)) {
        let wall_ns = sides.map(|side| side.info.duration_ns);
        write_sum_rows(out, style, (sums, class), wall_ns, limit)?;
        if let Some(side) = sides.into_iter().find(|side| side.total.samples == 0) {
            return writeln!(out, "\nStacks are not compared: {} has none.", clean(side.name));
        }
    }
    write_rows(out, style, diff, limit)
}

fn write_sides(out: &mut dyn Write, style: Style, diff: &Diff<'_>) -> io::Result<()> {
    let sides = [&diff.before, &diff.after];
    let (factor, unit) = rate_scale(diff.before.event);
    let total = diff.total();
    let of_both = |show: &dyn Fn(&Side<'_>) -> String| sides.map(show);
    let weight_label = match diff.before.event.unit {
        Unit::Nanoseconds | Unit::Bytes | Unit::Count => wording(Some(diff.before.event)).time,
        other => other.name(),
    };
    let mut lines = vec![
        ("trace", of_both(&|side| clean(side.name).into_owned())),
        ("host", of_both(&|side| host(side.info))),
        ("recorded", of_both(&|side| start_time(side.info))),
        ("duration", of_both(&|side| duration(side.info.duration_ns))),
        ("rate", of_both(&|side| rate(side.event))),
        ("samples", of_both(&|side| count(side.total.samples))),
        ("lost", of_both(&|side| lost(side))),
        (weight_label, of_both(&|side| weight(side.event.unit, side.total.weight))),
        (
            "per second",
            [total.before, total.after].map(|rate| format!("{:.2} {unit}", rate * factor)),
        ),
    ];
    if sides.iter().any(|side| side.info.filter.is_active()) {
        lines.insert(4, ("filter", of_both(&|side| clean(&side.info.filter.text).into_owned())));
    }
    // Without samples on both sides there are only sums.
    let sampled = diff.sums.is_none() || sides.iter().all(|side| side.total.samples > 0);
    if !sampled {
        lines.truncate(lines.len() - 2);
    }
    write_side_by_side(out, style, &lines)?;
    if !sampled {
        return Ok(());
    }
    let [before_ns, after_ns] = sides.map(|side| duration(side.info.duration_ns));
    let event = clean(&diff.before.event.name);
    writeln!(
        out,
        "\nCompared is {event} per second of wall time, in {unit}:\n\
         before ÷ {before_ns}, after ÷ {after_ns}; all: {}",
        delta_text(total, factor)
    )?;
    for side in sides {
        let share = lost_percent(side.info, side.event.kind, side.total.samples);
        if share >= DOUBTFUL_LOSS {
            let (name, share) = (clean(side.name), percent(share));
            writeln!(
                out,
                "Caution: {name} lost {share} of its samples and looks smaller than it was."
            )?;
        }
    }
    Ok(())
}

/// Writes what is known of both recordings in two columns.
pub(crate) fn write_side_by_side(
    out: &mut dyn Write,
    style: Style,
    lines: &[(&str, [String; 2])],
) -> io::Result<()> {
    // Two equal columns after the labels.
    let room = style.width.map_or(usize::MAX, |width| (width.saturating_sub(16) / 2).max(16));
    let widest = lines.iter().map(|(_, [before, _])| before.chars().count()).max();
    let column = widest.unwrap_or(0).min(room);
    for (key, [before, after]) in lines {
        let (before, after) = (shorten(before, room), shorten(after, room));
        let paint = if *key == "trace" { Paint::Bold } else { Paint::Plain };
        let gap = " ".repeat(column.saturating_sub(before.chars().count()) + 2);
        let key = style.paint(Paint::Dim, &format!("{key:<10}"));
        writeln!(
            out,
            "  {key}  {}{gap}{}",
            style.paint(paint, &before),
            style.paint(paint, &after)
        )?;
    }
    Ok(())
}

/// Samples per second; what is not sampled in time has no rate.
fn rate(event: &Event) -> String {
    match event.frequency_hz {
        0 => "none".to_owned(),
        hz => format!("{hz} Hz"),
    }
}

fn lost(side: &Side<'_>) -> String {
    let share = percent(lost_percent(side.info, side.event.kind, side.total.samples));
    match lost_count(side.info, side.event.kind) {
        0 => "none".to_owned(),
        n => format!("{} ({share})", count(n)),
    }
}

/// A change with its sign, and with `~` if it is within the noise.
fn delta_text(change: Change, factor: f64) -> String {
    let delta = change.delta() * factor;
    let mark = if change.is_noise(NOISE_LIMIT) { "~" } else { "" };
    // No sign on what is shown as zero.
    if delta.abs() < 0.005 { format!("{mark}0.00") } else { format!("{mark}{delta:+.2}") }
}

fn delta_paint(change: Change) -> Paint {
    match change.delta() {
        _ if change.is_noise(NOISE_LIMIT) => Paint::Dim,
        delta if delta > 0.0 => Paint::Red,
        _ => Paint::Green,
    }
}

fn write_rows(out: &mut dyn Write, style: Style, diff: &Diff<'_>, limit: usize) -> io::Result<()> {
    let (factor, unit) = rate_scale(diff.before.event);
    let shown = diff.rows.len().min(limit);
    let of = some_of(shown, diff.rows.len());
    let by = match diff.sorted_by {
        SortBy::SelfWeight => "self",
        SortBy::TotalWeight => "total",
    };
    let note = format!("in {unit}, by change of {by}{of}");
    write_title(out, style, "FUNCTIONS", &note)?;
    let wide = style.width.is_none_or(|width| width >= WIDE);
    let rows: Vec<table::Row> = diff.rows[..shown]
        .iter()
        .map(|row| {
            let symbol = &diff.symbols[row.symbol];
            let mut numbers = cells(diff, row.self_, factor).to_vec();
            let total = cells(diff, row.total, factor);
            numbers.extend_from_slice(if wide { &total } else { &total[2..] });
            let label = match (row.total.before.samples, row.total.after.samples) {
                (0, _) => "new: ",
                (_, 0) => "gone: ",
                _ => "",
            };
            let text = format!("{label}{}", symbol.name);
            table::Row { numbers, text, suffix: symbol.module.clone() }
        })
        .collect();
    let titles: &[&str] = if wide {
        &["self before", "after", "delta", "total before", "after", "delta", "function"]
    } else {
        &["self before", "after", "delta", "total delta", "function"]
    };
    write_table(out, style, titles, &rows)?;
    writeln!(out, "\n{}", style.paint(Paint::Dim, NOISE_LEGEND))
}

/// Before, after and delta.
fn cells(diff: &Diff<'_>, pair: Pair, factor: f64) -> [(String, Paint); 3] {
    let change = diff.change(pair);
    let rate = |samples: u64, rate: f64| match samples {
        0 => (String::from("-"), Paint::Dim),
        _ => (format!("{:.2}", rate * factor), Paint::Plain),
    };
    let delta = match pair.before.samples.max(pair.after.samples) {
        0 => (String::from("-"), Paint::Dim),
        _ => (delta_text(change, factor), delta_paint(change)),
    };
    [rate(pair.before.samples, change.before), rate(pair.after.samples, change.after), delta]
}

#[cfg(test)]
mod tests {
    use rz_convert::profile::Profile;

    use super::*;
    use crate::diff::compare;
    use crate::fixture::{Builder, text};

    fn report(before: &Profile, after: &Profile, width: Option<usize>) -> String {
        let style = Style { color: false, width };
        let diff = compare((before, "a.rz", Some(0)), (after, "b.rz", Some(0)), SortBy::SelfWeight)
            .unwrap();
        text(|out| write_diff(out, style, &diff, 4))
    }

    /// Ten seconds before, five after: `same` did not change.
    fn sides() -> [Profile; 2] {
        let before = Builder::of(&[
            ("main;same", 500),
            ("main;grow", 100),
            ("main;old", 50),
            ("main;tiny", 3),
            ("main", 4),
        ]);
        let mut after =
            Builder::of(&[("main;same", 255), ("main;grow", 100), ("main;add", 40), ("main", 3)]);
        after.info.duration_ns /= 2;
        after.info.lost = 10;
        [before, after]
    }

    #[test]
    fn both_sides_and_what_changed() {
        let [before, after] = sides();
        let expected = "
  trace       a.rz                              b.rz
  host        db7, Linux 6.1.0 x86_64, 16 CPUs  db7, Linux 6.1.0 x86_64, 16 CPUs
  recorded    2026-11-21 03:50:12 UTC           2026-11-21 03:50:12 UTC
  duration    10.0 s                            5.00 s
  rate        100 Hz                            100 Hz
  samples     657                               398
  lost        none                              10 (2.5%)
  CPU time    6.57 s                            3.98 s
  per second  65.70 % of one core               79.60 % of one core

Compared is cpu-clock per second of wall time, in % of one core:
before ÷ 10.0 s, after ÷ 5.00 s; all: +13.90
Caution: b.rz lost 2.5% of its samples and looks smaller than it was.

FUNCTIONS  in % of one core, by change of self, 4 of 6
self before  after   delta  total before  after   delta  function
      10.00  20.00  +10.00         10.00  20.00  +10.00  grow  app
          -   8.00   +8.00             -   8.00   +8.00  new: add  app
       5.00      -   -5.00          5.00      -   -5.00  gone: old  app
      50.00  51.00  ~+1.00         50.00  51.00  ~+1.00  same  app

~ within sampling noise: 2 standard errors, exceeded by chance in 1 row of 20
";
        assert_eq!(report(&before, &after, None), expected[1..]);
    }

    #[test]
    fn says_what_a_filter_selected() {
        let mut before = Builder::of(&[("main;work", 90)]);
        let mut after = before.clone();
        before.info.filter.text = "5s to 10s".into();
        after.info.filter.text = "15s to 20s".into();
        let input = |profile, name| (profile, name, Some(0));
        let (before, after) = (input(&before, "a.rz"), input(&after, "b.rz"));
        let diff = compare(before, after, SortBy::SelfWeight).unwrap();
        let report = text(|out| write_diff(out, Style::default(), &diff, 9));
        let line = "  filter      5s to 10s                         15s to 20s\n";
        assert!(report.contains(line), "{report}");
        assert!(report.contains("  per second  9.00 % of one core"), "{report}");
    }

    #[test]
    fn a_narrow_terminal_gets_fewer_columns() {
        let [before, after] = sides();
        let expected = "
FUNCTIONS  in % of one core, by change of self, 4 of 6
self before  after   delta  total delta  function
      10.00  20.00  +10.00       +10.00  grow  app
          -   8.00   +8.00        +8.00  new: add  app
       5.00      -   -5.00        -5.00  gone: old  app
      50.00  51.00  ~+1.00       ~+1.00  same  app

~ within sampling noise: 2 standard errors, exceeded by chance in 1 row of 20
";
        let report = report(&before, &after, Some(80));
        assert_eq!(&report[report.find("FUNCTIONS").unwrap()..], &expected[1..]);
    }
}
