//! Prints both sides of a comparison and the functions that changed.

use std::io::{self, Write};

use rz_profile::model::{Event, EventKind, Unit};

use crate::diff::change::{Change, Test, Verdict};
use crate::diff::explain::text::write_explanation;
use crate::diff::heap::amounts;
use crate::diff::noise::Within;
use crate::diff::normalize::{All, Per};
use crate::diff::notes::{DOUBTFUL_LOSS, matching_notes};
use crate::diff::sums_table::write_sum_rows;
use crate::diff::{Diff, Noise, Side, SideRun};
use crate::model::clean::clean;
use crate::model::top::SortBy;
use crate::render::format::{count, counted, duration, number, percent, shorten, weight};
use crate::render::style::{Paint, Style};
use crate::render::table::{self, write_table};
use crate::render::title::{some_of, write_title};
use crate::render::wording::wording;
use crate::views::header::{host, start_time};
use crate::views::heap::{sampling_noise, which_recorded};

/// Below this many columns the totals of both sides make room for names.
const WIDE: usize = 140;

/// Writes a comparison with the `limit` functions that changed most.
pub fn write_diff(
    out: &mut dyn Write,
    style: Style,
    diff: &Diff<'_>,
    limit: usize,
) -> io::Result<()> {
    write_sides(out, style, diff)?;
    if let Some(sums) = &diff.sums {
        write_sum_rows(out, style, diff, sums, limit)?;
        if let Some(side) = diff.sides.iter().find(|side| side.total.samples == 0) {
            let (name, has) = match &side.runs[..] {
                [run] => (clean(run.name).into_owned(), "has"),
                runs => (format!("{} and others", clean(runs[0].name)), "have"),
            };
            return writeln!(out, "\nStacks are not compared: {name} {has} none.");
        }
    }
    write_explanation(out, style, diff)?;
    write_rows(out, style, diff, limit)
}

fn write_sides(out: &mut dyn Write, style: Style, diff: &Diff<'_>) -> io::Result<()> {
    let of_both = |show: &dyn Fn(&Side<'_>) -> String| [0, 1].map(|side| show(&diff.sides[side]));
    let unit = diff.event.unit;
    let weight_label = weight_label(diff.event);
    // Without samples on both sides there are only sums.
    let sampled = diff.sums.is_none() || diff.sides.iter().all(|side| side.total.samples > 0);
    let mut lines = vec![
        ("trace", of_both(&trace)),
        ("runs", of_both(&|side| count(side.runs.len() as u64))),
        ("host", of_both(&|side| first_and_more(side, &|run| host(run.info)))),
        ("recorded", of_both(&|side| first_and_more(side, &|run| start_time(run.info)))),
        ("wall time", of_both(&|side| duration(side.wall_ns()))),
    ];
    if diff.scale.per == Per::Thread {
        lines.push(("threads", of_both(&|side| count(side.threads() as u64))));
    }
    if diff.sides.iter().flat_map(|side| &side.runs).any(|run| run.info.filter.is_active()) {
        let filter = |run: &SideRun<'_>| clean(&run.info.filter.text).into_owned();
        lines.push(("filter", of_both(&|side| first_and_more(side, &filter))));
    }
    let of_heap = diff.event.kind == EventKind::Alloc;
    if of_heap {
        let which = |run: &SideRun<'_>| run.heap.map(which_recorded).unwrap_or_default();
        lines.push(("heap", of_both(&|side| first_and_more(side, &which))));
    } else {
        lines.push(("rate", of_both(&|side| first_and_more(side, &rate))));
    }
    if !of_heap {
        lines.push(("samples", of_both(&|side| count(side.total.samples))));
    }
    lines.push(("lost", of_both(&lost)));
    if of_heap {
        let [before, after] = diff.sides.each_ref().map(amounts);
        let both = before.into_iter().zip(after);
        lines.extend(both.map(|((what, before), (_, after))| (what, [before, after])));
    } else if sampled {
        lines.push((weight_label, of_both(&|side| weight(unit, side.total.weight))));
        if diff.event.kind == EventKind::Cpu && unit == Unit::Nanoseconds {
            lines.push(("cores", of_both(&|side| per_wall(side.total.weight as f64, side, 1.0))));
        }
    }
    if diff.sides.iter().any(|side| side.work().is_some()) {
        let name = clean(&diff.work_name);
        let work = |side: &Side<'_>| match side.work() {
            Some(units) => format!("{} {name}", number(units)),
            None => "unknown".to_owned(),
        };
        lines.push(("work", of_both(&work)));
        let rate = |side: &Side<'_>| match side.work() {
            Some(units) => per_wall(units, side, 1e9) + " per second",
            None => "unknown".to_owned(),
        };
        lines.push(("throughput", of_both(&rate)));
    }
    write_side_by_side(out, style, &lines)?;
    for side in &diff.sides {
        let share = side.lost_percent();
        if share >= DOUBTFUL_LOSS {
            let (name, share) = (trace(side), percent(share));
            let (its, it, was) = match side.runs.len() {
                1 => ("its", "it", "looks"),
                _ => ("their", "they", "look"),
            };
            let were = if side.runs.len() == 1 { "was" } else { "were" };
            writeln!(
                out,
                "Caution: {name} lost {share} of {its} samples and {was} smaller than {it} {were}."
            )?;
        }
    }
    if sampled { write_total(out, style, diff) } else { Ok(()) }
}

/// What a sum of weights of an event is called.
pub(crate) fn weight_label(event: &Event) -> &'static str {
    match event.unit {
        Unit::Nanoseconds | Unit::Bytes | Unit::Count => wording(Some(event)).time,
        other => other.name(),
    }
}

/// What was compared, how all of it changed, and what noise was taken from.
fn write_total(out: &mut dyn Write, style: Style, diff: &Diff<'_>) -> io::Result<()> {
    let (scale, total) = (&diff.scale, &diff.total);
    let event = clean(diff.event.title());
    let per = match scale.per {
        Per::Wall => "per wall time",
        Per::Thread => "per wall time of each thread",
        Per::Work => "per unit of work",
        Per::Share => "as a share of all",
        Per::Raw => "as it is",
    };
    let [before, after] = &scale.factors;
    writeln!(
        out,
        "\nCompared is {event} {per}, in {}: before {before}, after {after}.",
        scale.unit
    )?;
    if scale.all == All::Counted {
        writeln!(
            out,
            "All of it was counted by the scheduler; samples tell how it is shared out."
        )?;
    }
    let [before, after] = total.values;
    let mut line = format!("All: {before:.2} → {after:.2}, {}", signed(total.delta()));
    if let Some(ratio) = total.ratio() {
        line += &format!(" ({:+.1}%)", (ratio - 1.0) * 100.0);
    }
    if scale.per != Per::Share
        && let Some(test) = total.test
    {
        let word = if test.is_exact() { "" } else { "interval " };
        let (interval, verdict) = (interval(&test), verdict_word(diff, total.verdict));
        line += &format!(", {word}{interval}: {verdict}");
        writeln!(out, "{}", style.paint(paint_of(total.verdict), &line))?;
        let share = match before > 0.0 {
            true => format!(" ({:.1}%)", 100.0 * test.detectable / before),
            false => String::new(),
        };
        if !test.is_exact() {
            writeln!(
                out,
                "A difference of {:.2}{share} would have been found in 4 of 5 cases.",
                test.detectable
            )?;
        }
    } else {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{}", noise_text(diff))
}

/// Where noise was taken from, and what that leaves open.
pub fn noise_text(diff: &Diff<'_>) -> String {
    match diff.noise {
        Noise::BetweenRuns { degrees, permuted } => {
            let free = match degrees {
                1 => "1 degree of freedom".to_owned(),
                n => format!("{n} degrees of freedom"),
            };
            let permuted = match permuted {
                true => ", confirmed by permutation of runs",
                false => "",
            };
            format!("Noise is what runs of one side differ by ({free}{permuted}).")
        }
        Noise::WithinRuns(within) => {
            let runs = diff.sides.iter().flat_map(|side| &side.runs);
            let what = match within {
                _ if diff.event.kind == EventKind::Alloc => {
                    sampling_noise(runs.filter_map(|run| run.heap)).to_owned()
                }
                [Within::Slices, Within::Slices] => {
                    "Noise is what parts of a run differ by.".to_owned()
                }
                [Within::Samples, Within::Samples] => {
                    "Noise is that of the number of samples alone, since their times are not \
                     known; bursts add to it."
                        .to_owned()
                }
                [first, _] => {
                    let name = |side: usize| clean(diff.sides[side].runs[0].name).into_owned();
                    let (known, unknown) = if first == Within::Slices { (0, 1) } else { (1, 0) };
                    format!(
                        "Noise is what parts of {} differ by, and of {} that of the number of \
                         samples alone, since their times are not known.",
                        name(known),
                        name(unknown)
                    )
                }
            };
            let unknown = match diff.one_trace {
                true => {
                    "How much such parts differ at other times or in other threads is not \
                         known from one on each side: differences may be between these two only."
                }
                false => {
                    "How much one run differs from the next is not known from one run on \
                          each side: differences may be between these two runs only."
                }
            };
            format!("{what}\n{unknown}")
        }
    }
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

/// What to call a side.
fn trace(side: &Side<'_>) -> String {
    first_and_more(side, &|run| clean(run.name).into_owned())
}

/// What is said of the first run, and how many other ones say something else.
fn first_and_more(side: &Side<'_>, show: &dyn Fn(&SideRun<'_>) -> String) -> String {
    let first = side.runs.first().map(show).unwrap_or_default();
    match side.runs.iter().filter(|run| show(run) != first).count() {
        0 => first,
        others => format!("{first} and {}", counted(others as u64, "other")),
    }
}

/// Samples per second; what is not sampled in time has no rate.
fn rate(run: &SideRun<'_>) -> String {
    match run.event.frequency_hz {
        0 => "none".to_owned(),
        hz => format!("{hz} Hz"),
    }
}

fn lost(side: &Side<'_>) -> String {
    match side.lost() {
        0 => "none".to_owned(),
        n => format!("{} ({})", count(n), percent(side.lost_percent())),
    }
}

fn per_wall(amount: f64, side: &Side<'_>, factor: f64) -> String {
    match side.wall_ns() {
        0 => "unknown".to_owned(),
        wall_ns => format!("{:.2}", amount / wall_ns as f64 * factor),
    }
}

/// A difference with its sign; what is shown as zero has none.
pub(crate) fn signed(delta: f64) -> String {
    if delta.abs() < 0.005 { "0.00".to_owned() } else { format!("{delta:+.2}") }
}

/// The interval of a change, which has no length if it is exact.
pub(crate) fn interval(test: &Test) -> String {
    let [low, high] = test.interval;
    match test.is_exact() {
        true => "exact".to_owned(),
        false => format!("{} to {}", signed(low), signed(high)),
    }
}

/// The colour of a change: nothing stands out without evidence.
pub(crate) fn paint_of(verdict: Verdict) -> Paint {
    match verdict {
        Verdict::NoEvidence => Paint::Dim,
        _ if verdict.is_more() => Paint::Red,
        _ => Paint::Green,
    }
}

/// A verdict in words. The time that one unit of work takes makes slower or
/// faster; more time per second may be of more work.
pub fn verdict_word(diff: &Diff<'_>, verdict: Verdict) -> &'static str {
    let is_speed = diff.scale.per == Per::Work && diff.event.unit == Unit::Nanoseconds;
    match verdict {
        Verdict::More if is_speed => "slower",
        Verdict::Less if is_speed => "faster",
        Verdict::More => "more",
        Verdict::Less => "less",
        Verdict::New => "new",
        Verdict::Gone => "gone",
        Verdict::NoEvidence => "no evidence",
    }
}

fn write_rows(out: &mut dyn Write, style: Style, diff: &Diff<'_>, limit: usize) -> io::Result<()> {
    let shown = diff.rows.len().min(limit);
    let of = some_of(shown, diff.rows.len());
    let by_self = diff.sorted_by == SortBy::SelfWeight;
    let by = if by_self { "self" } else { "total" };
    let note = format!("in {}, by change of {by}{of}", diff.scale.unit);
    write_title(out, style, "FUNCTIONS", &note)?;
    let wide = style.width.is_none_or(|width| width >= WIDE);
    let rows: Vec<table::TableRow> = diff.rows[..shown]
        .iter()
        .map(|row| {
            let symbol = &diff.symbols[row.symbol];
            let [own, total] = [row.self_, row.total].map(|change| cells(diff, &change));
            let numbers = match (wide, by_self) {
                (true, _) => [own, total].concat(),
                (false, true) => [&own[..], &total[2..3]].concat(),
                (false, false) => [&own[2..3], &total[..]].concat(),
            };
            let mut suffix = symbol.module.clone();
            if let Some(old) = diff.old_names.get(&row.symbol) {
                suffix += &format!(" (was {old})");
            }
            if let Some(note) = diff.findings.describe(row.symbol, &diff.symbols) {
                suffix += &format!(" ({note})");
            }
            table::TableRow { numbers, text: symbol.name.clone(), suffix }
        })
        .collect();
    let titles: &[&str] = match (wide, by_self) {
        (true, _) => &[
            "self before",
            "after",
            "delta",
            "95% interval",
            "verdict",
            "total before",
            "after",
            "delta",
            "95% interval",
            "verdict",
            "function",
        ],
        (false, true) => {
            &["self before", "after", "delta", "95% interval", "verdict", "total delta", "function"]
        }
        (false, false) => {
            &["self delta", "total before", "after", "delta", "95% interval", "verdict", "function"]
        }
    };
    write_table(out, style, titles, &rows)?;
    writeln!(out, "\n{}", style.paint(Paint::Dim, &legend(diff)))?;
    for note in matching_notes(diff) {
        writeln!(out, "Note: {}", clean(&note))?;
    }
    Ok(())
}

/// What verdicts promise.
pub fn legend(diff: &Diff<'_>) -> String {
    let [share, least] = diff.min_effect;
    let found = diff.rows.iter().filter_map(|row| match diff.sorted_by {
        SortBy::SelfWeight => row.self_.test,
        SortBy::TotalWeight => row.total.test,
    });
    let found = found.filter(|test| !test.is_exact());
    let detectable: Vec<f64> = found.map(|test| test.detectable).collect();
    let mut text = format!(
        "verdict: of the changes named, at most {} are false on average; no evidence: chance \
         explains it",
        percent(100.0 * diff.fdr)
    );
    if share > 0.0 {
        text += &format!(", or it is below {} of all ({least:.2})", percent(100.0 * share));
    }
    if let Some(most) = detectable.iter().copied().max_by(f64::total_cmp) {
        let least = detectable.iter().copied().fold(most, f64::min);
        text += &format!(
            "\nA difference of {least:.2} to {most:.2}, depending on the function, would have \
             been found in 4 of 5 cases."
        );
    }
    text
}

/// Before, after, delta, interval and verdict.
pub(crate) fn cells(diff: &Diff<'_>, change: &Change) -> [(String, Paint); 5] {
    let none = || ("-".to_owned(), Paint::Dim);
    let value = |side: usize| match change.amounts[side].samples {
        0 => none(),
        _ => (format!("{:.2}", change.values[side]), Paint::Plain),
    };
    if change.is_nothing() {
        return std::array::from_fn(|_| none());
    }
    let paint = paint_of(change.verdict);
    let interval = match change.test {
        Some(test) => (interval(&test), paint),
        None => none(),
    };
    let verdict = (verdict_word(diff, change.verdict).to_owned(), paint);
    [value(0), value(1), (signed(change.delta()), paint), interval, verdict]
}

#[cfg(test)]
mod tests {
    use rz_profile::model::Profile;

    use super::*;
    use crate::diff::{DiffOptions, Run, compare};
    use crate::fixture::{Builder, text};

    fn report(before: &Profile, after: &Profile, width: Option<usize>) -> String {
        let style = Style { color: false, width };
        let run = |profile, name| Run { profile, name, event: Some(0) };
        let sides = [&[run(before, "a.rz")][..], &[run(after, "b.rz")]];
        let diff = compare(sides, &DiffOptions::default()).unwrap();
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
        after.info.lost_samples.count = 10;
        [before, after]
    }

    #[test]
    fn both_sides_and_what_changed() {
        let [before, after] = sides();
        let expected = "
  trace       a.rz                              b.rz
  runs        1                                 1
  host        db7, Linux 6.1.0 x86_64, 16 CPUs  db7, Linux 6.1.0 x86_64, 16 CPUs
  recorded    2026-11-21 03:50:12 UTC           2026-11-21 03:50:12 UTC
  wall time   10.0 s                            5.00 s
  rate        100 Hz                            100 Hz
  samples     657                               398
  lost        none                              10 (2.5%)
  CPU time    6.57 s                            3.98 s
  cores       0.66                              0.80
Caution: b.rz lost 2.5% of its samples and looks smaller than it was.

Compared is cpu-clock per wall time, in % of one core: before ÷ 10.0 s, after ÷ 5.00 s.
All: 65.70 → 79.60, +13.90 (+21.2%), interval +4.65 to +23.48: more
A difference of 13.46 (20.5%) would have been found in 4 of 5 cases.
Noise is that of the number of samples alone, since their times are not known; bursts add to it.
How much one run differs from the next is not known from one run on each side: differences may be between these two runs only.

WHAT CHANGED  in % of one core
   +10.00  grow, called by main: 10.00 → 20.00, more, +5.69 to +14.71
    +8.00  add, called by main: 0.00 → 8.00, new, +5.69 to +10.89
    -5.00  old, called by main: 5.00 → 0.00, gone, -6.59 to -3.52

FUNCTIONS  in % of one core, by change of self, 4 of 6
self before  after   delta     95% interval      verdict  total before  after   delta     95% interval  verdict  function
      10.00  20.00  +10.00  +5.69 to +14.71         more         10.00  20.00  +10.00  +5.69 to +14.71     more  grow  app
          -   8.00   +8.00  +5.69 to +10.89          new             -   8.00   +8.00  +5.69 to +10.89      new  add  app
       5.00      -   -5.00   -6.59 to -3.52         gone          5.00      -   -5.00   -6.59 to -3.52     gone  old  app
       0.40   0.60   +0.20   -0.59 to +1.39  no evidence         65.70  79.60  +13.90  +4.65 to +23.48     more  main  app

verdict: of the changes named, at most 5.0% are false on average; no evidence: chance explains it, or it is below 0.5% of all (0.33)
A difference of 1.81 to 12.38, depending on the function, would have been found in 4 of 5 cases.
";
        assert_eq!(report(&before, &after, None), expected[1..]);
    }

    #[test]
    fn says_what_a_filter_selected() {
        let mut before = Builder::of(&[("main;work", 90)]);
        let mut after = before.clone();
        before.info.filter.text = "5s to 10s".into();
        after.info.filter.text = "15s to 20s".into();
        let report = report(&before, &after, None);
        let line = "  filter      5s to 10s                         15s to 20s\n";
        assert!(report.contains(line), "{report}");
        assert!(report.contains("All: 9.00 → 9.00, "), "{report}");
    }

    #[test]
    fn a_narrow_terminal_gets_fewer_columns() {
        let [before, after] = sides();
        let expected = "
FUNCTIONS  in % of one core, by change of self, 4 of 6
self before  after   delta     95% interval      verdict  total delta  function
      10.00  20.00  +10.00  +5.69 to +14.71         more       +10.00  grow  app
          -   8.00   +8.00  +5.69 to +10.89          new        +8.00  add  app
       5.00      -   -5.00   -6.59 to -3.52         gone        -5.00  old  app
       0.40   0.60   +0.20   -0.59 to +1.39  no evidence       +13.90  main  app

verdict: of the changes named, at most 5.0% are false on average; no evidence: chance explains it, or it is below 0.5% of all (0.33)
A difference of 1.81 to 12.38, depending on the function, would have been found in 4 of 5 cases.
";
        let report = report(&before, &after, Some(80));
        assert_eq!(&report[report.find("FUNCTIONS").unwrap()..], &expected[1..]);
    }
}
