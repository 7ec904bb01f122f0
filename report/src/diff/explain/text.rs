//! Prints what changed, for people.

use std::io::{self, Write};

use super::{At, Follows, PlaceChange};
use crate::diff::Diff;
use crate::diff::table::{interval, paint_of, signed, verdict_word};
use crate::model::calltree::ROOT;
use crate::model::clean::clean;
use crate::render::format::{counted, percent};
use crate::render::style::{Paint, Style};
use crate::render::title::write_title;

/// How many places are shown.
const SHOWN: usize = 8;

/// Writes the places that explain a comparison, a line each.
pub(crate) fn write_explanation(
    out: &mut dyn Write,
    style: Style,
    diff: &Diff<'_>,
) -> io::Result<()> {
    let places = &diff.explanation.places;
    if diff.nodes.len() < 2 {
        return Ok(());
    }
    write_title(out, style, "WHAT CHANGED", &format!("in {}", diff.scale.unit))?;
    if places.is_empty() {
        return writeln!(out, "Nothing that is more than noise: no function, and no place of one.");
    }
    for place in places.iter().take(SHOWN) {
        let paint = match place.follows {
            Some(Follows::Certainly) => Paint::Dim,
            _ => paint_of(place.change.verdict),
        };
        let numbers = style.paint(paint, &format!("{:>9}", signed(place.change.delta())));
        writeln!(out, "{numbers}  {}: {}", clean(&words(diff, place)), change_words(diff, place))?;
    }
    if places.len() > SHOWN {
        writeln!(out, "           and others")?;
    }
    if let Some(why) = why_they_follow(diff) {
        writeln!(out, "{why}")?;
    }
    Ok(())
}

/// From what to what a place changed.
pub fn change_words(diff: &Diff<'_>, place: &PlaceChange) -> String {
    let [before, after] = place.change.values;
    let verdict = verdict_word(diff, place.change.verdict);
    let mut text = format!("{before:.2} → {after:.2}, {verdict}");
    if let Some(test) = place.change.test {
        text += &format!(", {}", interval(&test));
    }
    if place.follows == Some(Follows::Certainly) {
        text += "; follows from the others";
    }
    text
}

/// What and where a place is.
pub fn words(diff: &Diff<'_>, place: &PlaceChange) -> String {
    let name = |symbol: usize| diff.symbols[symbol].name.as_str();
    if place.symbol == diff.nodes[ROOT].symbol {
        return "everything, alike".to_owned();
    }
    let callers = |count: usize| match count {
        0 | 1 => String::new(),
        n => format!(", called by {}", counted(n as u64, "function")),
    };
    let mut text = name(place.symbol).to_owned();
    text += &match place.at {
        At::CalledBy(Some(caller)) => format!(", called by {}", name(caller)),
        At::CalledBy(None) => String::new(),
        At::Everywhere(count) => callers(count),
        At::EverywhereItself(count) => format!(" itself{}", callers(count)),
    };
    if let Some((function, share)) = place.inside {
        let share = match share {
            share if share >= 0.95 => "all".to_owned(),
            share => percent(100.0 * share),
        };
        text += &match function == place.symbol {
            true => format!("; {share} of it its own"),
            false => format!("; {share} of it in {}", name(function)),
        };
    }
    text
}

/// Why some changes follow from others, if any does.
pub fn why_they_follow(diff: &Diff<'_>) -> Option<&'static str> {
    let places = &diff.explanation.places;
    let follows = |how: Follows| places.iter().any(|place| place.follows == Some(how));
    if follows(Follows::Certainly) {
        return Some(
            "The threads were busy nearly all the time on both sides: what one function takes, \
             others do not get, and these changed by one factor.",
        );
    }
    follows(Follows::Perhaps).then_some(
        "The threads were busy nearly all the time on both sides: what one function takes, others \
         do not get, so the less may only follow from the more. With --work it can be told.",
    )
}
