//! Writes a comparison as Markdown that is short enough for a pull request.

use std::io::{self, Write};

use rz_profile::model::{EventKind, TotalClass};

use crate::diff::change::Change;
use crate::diff::explain::text::{change_words, why_they_follow, words};
use crate::diff::fail_if::{Checked, Outcome};
use crate::diff::heap::amounts;
use crate::diff::notes::{Counts, counts, is_change, notes, shown};
use crate::diff::sums::SumsDiff;
use crate::diff::table::{interval, noise_text, signed, verdict_word, weight_label};
use crate::diff::{Diff, FunctionChange, Side};
use crate::model::top::SortBy;
use crate::render::escape::{code, escaped};
use crate::render::format::{count, counted, duration, percent, shorten, weight};

/// How many functions are shown at once, and how many in what unfolds.
const SHOWN: usize = 10;
const FOLDED: usize = 30;

/// Longest name of a function, in characters.
const NAME: usize = 80;

/// Writes a comparison, and what became of conditions that it was checked
/// against.
pub fn write_diff_markdown(
    out: &mut dyn Write,
    diff: &Diff<'_>,
    checked: &[Checked],
) -> io::Result<()> {
    writeln!(out, "{}\n", summary(diff))?;
    write_checked(out, checked)?;
    write_what_changed(out, diff)?;
    write_totals(out, diff)?;
    if let Some(sums) = diff.sums.as_ref().filter(|sums| !sums.rows.is_empty()) {
        write_sums(out, diff, sums)?;
    }
    // What is too little to be tested says nothing, unless it tells of a name.
    let says = |row: &&FunctionChange| {
        shown(diff, row).0.test.is_some()
            || diff.findings.describe(row.symbol, &diff.symbols).is_some()
    };
    let (changed, rest): (Vec<&FunctionChange>, Vec<&FunctionChange>) =
        diff.rows.iter().filter(says).partition(|row| is_change(diff, row));
    write_folded(out, diff, &changed, &rest)?;
    for note in noise_text(diff).lines().map(str::to_owned).chain(notes(diff)) {
        writeln!(out, "- {}", escaped(&note))?;
    }
    Ok(())
}

/// The few places that explain the comparison.
fn write_what_changed(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    let places = &diff.explanation.places;
    if places.is_empty() {
        return Ok(());
    }
    writeln!(out, "What changed, in {}:\n", diff.scale.unit)?;
    for place in places.iter().take(SHOWN) {
        let delta = signed(place.change.delta());
        let what = format!("{}: {}", words(diff, place), change_words(diff, place));
        writeln!(out, "- **{delta}** {}", escaped(&what))?;
    }
    if let Some(why) = why_they_follow(diff) {
        writeln!(out, "\n{why}")?;
    }
    writeln!(out)
}

fn write_checked(out: &mut dyn Write, checked: &[Checked]) -> io::Result<()> {
    for Checked { outcome, text, .. } in checked {
        let mark = if *outcome >= Outcome::TooNoisy { "**" } else { "" };
        writeln!(out, "- {mark}{}{mark}", escaped(text))?;
    }
    if checked.is_empty() { Ok(()) } else { writeln!(out) }
}

/// Writes the first of the rows that changed, and others in what unfolds.
fn write_folded(
    out: &mut dyn Write,
    diff: &Diff<'_>,
    changed: &[&FunctionChange],
    rest: &[&FunctionChange],
) -> io::Result<()> {
    let at_once = changed.len().min(SHOWN);
    if at_once > 0 {
        write_functions(out, diff, &changed[..at_once])?;
    }
    let folded: Vec<&FunctionChange> = changed[at_once..].iter().chain(rest).copied().collect();
    let listed = folded.len().min(FOLDED);
    if listed == 0 {
        return Ok(());
    }
    let of = match folded.len() {
        all if all > listed => format!(" of {}", count(all as u64)),
        _ => String::new(),
    };
    let functions = if folded.len() == 1 { "function" } else { "functions" };
    writeln!(out, "<details><summary>{listed}{of} other {functions}</summary>\n")?;
    write_functions(out, diff, &folded[..listed])?;
    writeln!(out, "</details>\n")
}

/// What became of all, and of how many functions, in one sentence.
fn summary(diff: &Diff<'_>) -> String {
    let [before, after] = diff.total.values;
    let event = escaped(diff.event.title());
    let mut text = format!("**{event}: {before:.2} → {after:.2} {}**", diff.scale.unit);
    if let Some(ratio) = diff.total.ratio() {
        text += &format!(", {:+.1}%", 100.0 * (ratio - 1.0));
    }
    let test = diff.total.test.filter(|test| !test.is_exact());
    if let Some([low, high]) = test.and_then(|test| test.ratio_interval) {
        let of = |ratio: f64| format!("{:+.1}%", 100.0 * (ratio - 1.0));
        text += &format!(" ({} to {})", of(low), of(high));
    }
    let Counts { more, less, unclear } = counts(diff);
    let [more, less, unclear] = [more, less, unclear].map(|n| count(n as u64));
    let functions = counted(diff.rows.len() as u64, "function");
    text + &format!(
        ": {}. {functions}, by self and total: {more} more, {less} less, {unclear} without \
         evidence of a change.",
        verdict_word(diff, diff.total.verdict),
    )
}

fn write_totals(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    let columns = |side: &Side<'_>| match diff.event.kind {
        EventKind::Alloc => amounts(side).to_vec(),
        _ => vec![
            ("samples", count(side.total.samples)),
            (weight_label(diff.event), weight(diff.event.unit, side.total.weight)),
        ],
    };
    let titles: Vec<&str> = columns(&diff.sides[0]).into_iter().map(|(title, _)| title).collect();
    writeln!(out, "| | runs | wall time | lost | {} |", titles.join(" | "))?;
    writeln!(out, "|---|--:|--:|--:|{}", "--:|".repeat(titles.len()))?;
    for (side, label) in diff.sides.iter().zip(["before", "after"]) {
        let name = side.runs.first().map_or("", |run| run.name);
        let more = if side.runs.len() > 1 { ", …" } else { "" };
        writeln!(
            out,
            "| {label} ({}{more}) | {} | {} | {} | {} |",
            named(name),
            count(side.runs.len() as u64),
            duration(side.wall_ns()),
            percent(side.lost_percent()),
            columns(side).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" | ")
        )?;
    }
    writeln!(out)
}

/// Functions, and what became of them.
fn write_functions(
    out: &mut dyn Write,
    diff: &Diff<'_>,
    rows: &[&FunctionChange],
) -> io::Result<()> {
    let title = format!("function | {} before", by(diff.sorted_by));
    let lines = rows.iter().map(|row| {
        let note = diff.findings.describe(row.symbol, &diff.symbols);
        let old = diff.old_names.get(&row.symbol).map(|old| format!("was {old}"));
        let notes = old.into_iter().chain(note).map(|note| format!(", {}", escaped(&note)));
        let (change, of) = shown(diff, row);
        let other = (of != diff.sorted_by).then(|| format!(", of {}", by(of)));
        (diff.symbols[row.symbol].name.as_str(), change, other.into_iter().chain(notes).collect())
    });
    write_table(out, diff, &title, lines)?;
    writeln!(out, "\nIn {}.\n", diff.scale.unit)
}

/// System calls or reasons to wait, which are exact.
fn write_sums(out: &mut dyn Write, diff: &Diff<'_>, sums: &SumsDiff) -> io::Result<()> {
    let title = match sums.class {
        TotalClass::Waits => "why threads waited (exact) | before",
        _ => "system call (exact) | before",
    };
    let rows = sums.rows.iter().take(SHOWN);
    let lines = rows.map(|row| (row.name.as_str(), &row.change, String::new()));
    write_table(out, diff, title, lines)?;
    writeln!(out, "\nIn {}.\n", sums.scale.unit)
}

fn write_table<'a>(
    out: &mut dyn Write,
    diff: &Diff<'_>,
    title: &str,
    lines: impl Iterator<Item = (&'a str, &'a Change, String)>,
) -> io::Result<()> {
    writeln!(out, "| {title} | after | delta | 95% interval | verdict |")?;
    writeln!(out, "|---|--:|--:|--:|--:|---|")?;
    for (name, change, note) in lines {
        let [before, after] = [0, 1].map(|side| match change.amounts[side].samples {
            0 => "-".to_owned(),
            _ => format!("{:.2}", change.values[side]),
        });
        writeln!(
            out,
            "| {} | {before} | {after} | {} | {} | {}{note} |",
            named(name),
            signed(change.delta()),
            change.test.map_or("-".to_owned(), |test| interval(&test)),
            verdict_word(diff, change.verdict),
        )?;
    }
    Ok(())
}

fn by(sorted: SortBy) -> &'static str {
    match sorted {
        SortBy::SelfWeight => "self",
        SortBy::TotalWeight => "total",
    }
}

/// A name as code.
fn named(name: &str) -> String {
    code(&shorten(name, NAME))
}

#[cfg(test)]
mod tests {
    use rz_profile::model::Profile;

    use super::*;
    use crate::diff::fail_if::check;
    use crate::diff::{DiffOptions, Run, compare};
    use crate::fixture::{Builder, text};

    fn markdown(before: &Profile, after: &Profile, conditions: &[&str]) -> String {
        let run = |profile, name| Run { profile, name, event: Some(0) };
        let sides = [&[run(before, "a.rz")][..], &[run(after, "b.rz")]];
        let diff = compare(sides, &DiffOptions::default()).unwrap();
        let conditions: Vec<_> = conditions.iter().map(|text| text.parse().unwrap()).collect();
        let checked = check(&conditions, &diff).unwrap();
        text(|out| write_diff_markdown(out, &diff, &checked))
    }

    #[test]
    fn short_enough_for_a_pull_request() {
        let before =
            Builder::of(&[("main;grow", 1_000), ("main;same|`", 500), ("main;old_name", 90)]);
        let after =
            Builder::of(&[("main;grow", 2_000), ("main;same|`", 505), ("main;new_name", 92)]);
        let expected = "
**cpu-clock: 159.00 → 259.70 % of one core**, +63.3% (+53.4% to +73.8%): more. 5 functions, by self and total: 2 more, 0 less, 3 without evidence of a change.

- **total>5%: regression: +63.3% (+53.4% to +73.8%)**

What changed, in % of one core:

- **+100.00** grow, called by main: 100.00 → 200.00, more, +89.23 to +110.84

| | runs | wall time | lost | samples | CPU time |
|---|--:|--:|--:|--:|--:|
| before (`a.rz`) | 1 | 10.0 s | 0.0% | 1,590 | 15.9 s |
| after (`b.rz`) | 1 | 10.0 s | 0.0% | 2,597 | 26.0 s |

| function | self before | after | delta | 95% interval | verdict |
|---|--:|--:|--:|--:|---|
| `grow` | 100.00 | 200.00 | +100.00 | +89.23 to +110.84 | more |
| `main` | 159.00 | 259.70 | +100.70 | +87.97 to +113.48 | more, of total |

In % of one core.

<details><summary>3 other functions</summary>

| function | self before | after | delta | 95% interval | verdict |
|---|--:|--:|--:|--:|---|
| `new_name` | - | 9.20 | +9.20 | +7.38 to +11.28 | new, probably old\\_name before |
| `old_name` | 9.00 | - | -9.00 | -11.06 to -7.20 | gone, probably new\\_name now |
| `same\\|'` | 50.00 | 50.50 | +0.50 | -5.79 to +6.79 | no evidence |

In % of one core.

</details>

- Noise is that of the number of samples alone, since their times are not known; bursts add to it.
- How much one run differs from the next is not known from one run on each side: differences may be between these two runs only.
- likely renamed: old\\_name → new\\_name (if so, --rename 'old\\_name=new\\_name')
";
        assert_eq!(markdown(&before, &after, &["total>5%"]), expected[1..]);
    }

    #[test]
    fn rows_beyond_ten_are_folded() {
        let stacks = |count: u64| -> Vec<(String, u64)> {
            (0..100).map(|i| (format!("main;f{i}"), if i < 15 { count } else { 500 })).collect()
        };
        let profile = |count| {
            let stacks = stacks(count);
            Builder::of(&stacks.iter().map(|(s, n)| (s.as_str(), *n)).collect::<Vec<_>>())
        };
        let text = markdown(&profile(500), &profile(900), &[]);
        assert!(text.contains("16 more, 0 less, 85 without evidence"), "{text}");
        let (at_once, folded) = text.split_once("<details>").unwrap();
        assert_eq!(at_once.matches("| `f").count(), 10);
        // One of them is main.
        assert_eq!(folded.matches("| `f").count(), FOLDED - 1);
        assert!(text.len() < 10_000);
    }
}
