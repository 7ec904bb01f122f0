//! Draws two recordings as one flame graph coloured by change.
//!
//! A picture of one recording coloured by its difference to another loses
//! what the other one had alone. Here both call trees are one picture, and a
//! frame is as wide as the larger of its two sides, unless asked otherwise.
//! Colours are relative, because widths tell sizes already: a frame that
//! doubled is as orange whether it is large or small.

use std::io::Write;

use inferno::flamegraph::TextTruncateDirection;
use rz_profile::model::{EventKind, Unit};

use crate::diff::normalize::Per;
use crate::diff::{Diff, Node};
use crate::error::ReportError;
use crate::model::clean::clean;
use crate::model::trees::Direction;
use crate::render::change_color::{Evidence, Width, color_of, legend};
use crate::render::wording::wording;
use crate::views::flame::{Caption, Frame, draw, label};

/// Draws both call trees as one.
pub fn write_diff_flame_graph(
    out: &mut dyn Write,
    diff: &Diff<'_>,
    width: Width,
) -> Result<(), ReportError> {
    let elsewhere = elsewhere(diff);
    let nodes = diff.nodes.iter().zip(&elsewhere);
    let frames: Vec<Frame> =
        nodes.map(|(node, elsewhere)| frame(diff, node, *elsewhere, width)).collect();
    let [before, after] = [0, 1].map(|side| {
        let runs = &diff.sides[side].runs;
        let more = if runs.len() > 1 { format!(" +{}", runs.len() - 1) } else { String::new() };
        format!("{}{more}", clean(runs[0].name))
    });
    let is_of_heap = diff.event.kind == EventKind::Alloc;
    let what = if is_of_heap { format!("{} ", diff.event.title()) } else { String::new() };
    // Inferno writes whole numbers, which must not be too coarse.
    let width_of = wording(Some(diff.event)).width;
    let one = 1.0 / (diff.scale.multiplier * WIDTHS);
    let per_second = match diff.scale.per {
        Per::Wall => Some(format!("{width_of} per s")),
        Per::Thread => Some(format!("{width_of} per s and thread")),
        Per::Work | Per::Share | Per::Raw => None,
    };
    let (unit, factor) = match (diff.scale.per, per_second) {
        (_, Some(unit)) if diff.event.unit == Unit::Nanoseconds => (unit, 1e6 * one),
        (_, Some(unit)) if is_of_heap => (unit, 1e9 * one),
        (Per::Raw, _) if is_of_heap => (width_of.to_owned(), one),
        _ => (format!("× 0.001 {}", diff.scale.unit), 1e3 / WIDTHS),
    };
    let caption = Caption {
        title: format!("{before} → {after}, {what}in {}", diff.scale.unit),
        subtitle: format!("width: {} · colour: change of total", width.description()),
        unit: &unit,
        factor,
        none: wording(Some(diff.event)).none,
        truncate: TextTruncateDirection::Right,
        legend: legend("no evidence of a change", elsewhere.contains(&true)),
    };
    draw(out, &frames, &caption, Direction::TopDown)
}

/// Widths are whole numbers: values times this.
const WIDTHS: f64 = 1e6;

/// Of each node of the comparison, whether it is elsewhere on the other side.
pub(crate) fn elsewhere(diff: &Diff<'_>) -> Vec<bool> {
    let is_side = |node: &Node| node.total.amounts.map(|amount| amount.samples > 0);
    let nodes = diff.nodes.iter().map(|node| (node.symbol, node.parent, is_side(node)));
    diff.findings.elsewhere(nodes)
}

fn frame(diff: &Diff<'_>, node: &Node, elsewhere: bool, width: Width) -> Frame {
    let scale = &diff.scale;
    let own = [0, 1].map(|side| scale.value(side, node.self_[side].weight as f64));
    let [before, after] = node.total.values;
    // The unit also keeps inferno from taking the number for one of its own.
    let unit = if scale.short.is_empty() { " in all" } else { scale.short.as_str() };
    let numbers = match node.total.amounts.map(|amount| amount.samples) {
        [0, _] if elsewhere => format!("elsewhere before, {after:.2}{unit}"),
        [_, 0] if elsewhere => format!("elsewhere now, was {before:.2}{unit}"),
        [0, _] => format!("new, {after:.2}{unit}"),
        [_, 0] => format!("gone, was {before:.2}{unit}"),
        _ => format!("{before:.2} → {after:.2}, {:+.2}{unit}", after - before),
    };
    let evidence = match node.total.verdict.is_change() {
        _ if elsewhere => Evidence::Elsewhere,
        true => Evidence::Change,
        false => Evidence::None,
    };
    let name = label(&diff.symbols[node.symbol].name, node.kind, node.inlined);
    Frame {
        parent: node.parent,
        label: format!("{name} {numbers}"),
        // Saturates.
        self_width: (width.of(own[0], own[1]) * WIDTHS).round() as u64,
        color: color_of(before, after, evidence),
    }
}

#[cfg(test)]
mod tests {
    use rz_profile::model::Profile;

    use super::*;
    use crate::diff::{DiffOptions, Run, compare};
    use crate::fixture::Builder;

    /// Each frame's hover text and colour.
    fn frames_of(before: &Profile, after: &Profile) -> Vec<(String, String)> {
        let run = |profile, name| Run { profile, name, event: Some(0) };
        let sides = [&[run(before, "a.rz")][..], &[run(after, "b.rz")]];
        let diff = compare(sides, &DiffOptions::default()).unwrap();
        let mut out = Vec::new();
        write_diff_flame_graph(&mut out, &diff, Width::Larger).unwrap();
        let svg = String::from_utf8(out).unwrap();
        let between = |text: &str, from: &str, to: &str| {
            let rest = text.split_once(from).unwrap().1;
            rest.split_once(to).unwrap().0.to_owned()
        };
        let mut frames: Vec<_> = svg
            .split("<g>")
            .skip(1)
            .map(|group| (between(group, "<title>", "</title>"), between(group, "rgb(", ")")))
            .collect();
        frames.sort();
        frames
    }

    #[test]
    fn what_is_gone_stays_visible() {
        let before = Builder::of(&[("main;same", 100), ("main;old;x", 100), ("main;grow", 100)]);
        let after = Builder::of(&[("main;same", 105), ("main;add", 50), ("main;grow", 200)]);
        let frames = frames_of(&before, &after);
        let frames: Vec<_> = frames.iter().map(|(t, c)| (t.as_str(), c.as_str())).collect();
        let expected = [
            ("add new, 5.00% (50,000 µs of CPU time per s, 10.99%)", "238,126,32"),
            ("all (455,000 µs of CPU time per s, 100%)", "228,228,228"),
            ("grow 10.00 → 20.00, +10.00% (200,000 µs of CPU time per s, 43.96%)", "246,176,116"),
            ("main 30.00 → 35.50, +5.50% (455,000 µs of CPU time per s, 100.00%)", "251,211,173"),
            ("old gone, was 10.00% (100,000 µs of CPU time per s, 21.98%)", "80,150,214"),
            ("same 10.00 → 10.50, +0.50% (105,000 µs of CPU time per s, 23.08%)", "228,228,228"),
            ("x gone, was 10.00% (100,000 µs of CPU time per s, 21.98%)", "80,150,214"),
        ];
        assert_eq!(frames, expected);
    }

    #[test]
    fn the_same_load_is_grey() {
        let before = Builder::of(&[("main;a", 100), ("main;b", 210)]);
        let mut after = Builder::of(&[("main;a", 55), ("main;b", 100)]);
        after.info.duration_ns /= 2;
        let colors = frames_of(&before, &after).into_iter().map(|(_, color)| color);
        assert_eq!(colors.collect::<Vec<_>>(), ["228,228,228"; 4]);
    }

    #[test]
    fn what_only_has_another_name_or_caller_is_no_change() {
        let before = Builder::of(&[
            ("main;parse_row;trim", 100),
            ("main;a;sort;swap", 100),
            ("main;b", 20),
            ("main;a", 20),
        ]);
        let after = Builder::of(&[
            ("main;parse_line;trim", 100),
            ("main;b;sort;swap", 100),
            ("main;b", 20),
            ("main;a", 20),
        ]);
        let frames = frames_of(&before, &after);
        let dark = frames.iter().filter(|(_, color)| color == "182,182,182");
        let dark: Vec<&str> = dark.map(|(text, _)| text.split_once(" (").unwrap().0).collect();
        let expected = [
            "parse_line elsewhere before, 10.00%",
            "parse_row elsewhere now, was 10.00%",
            "sort elsewhere before, 10.00%",
            "sort elsewhere now, was 10.00%",
            "swap elsewhere before, 10.00%",
            "swap elsewhere now, was 10.00%",
            "trim elsewhere before, 10.00%",
            "trim elsewhere now, was 10.00%",
        ];
        assert_eq!(dark, expected);
    }
}
