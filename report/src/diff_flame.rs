//! Draws two recordings as one flame graph coloured by change.
//!
//! A picture of one recording coloured by its difference to another loses
//! what the other one had alone. Here both call trees are one picture, and a
//! frame is as wide as the larger of its two sides. Colours are relative,
//! because widths tell sizes already: a frame that doubled is as red whether
//! it is large or small.

use std::io::Write;

use inferno::flamegraph::TextTruncateDirection;
use inferno::flamegraph::color::Color;
use rz_convert::profile::Unit;

use crate::diff::{Diff, Node};
use crate::error::ReportError;
use crate::flame::{Caption, Frame, draw, label};
use crate::format::clean;
use crate::normalize::Per;
use crate::view::Direction;
use crate::wording::wording;

/// Draws both call trees as one.
pub fn write_diff_flame_graph(out: &mut dyn Write, diff: &Diff<'_>) -> Result<(), ReportError> {
    let frames: Vec<Frame> = diff.nodes.iter().map(|node| frame(diff, node)).collect();
    let [before, after] = [0, 1].map(|side| {
        let runs = &diff.sides[side].runs;
        let more = if runs.len() > 1 { format!(" +{}", runs.len() - 1) } else { String::new() };
        format!("{}{more}", clean(runs[0].name))
    });
    // Inferno writes whole numbers, which must not be too coarse.
    let (unit, factor) = match (diff.scale.per, diff.event.unit) {
        (Per::Wall, Unit::Nanoseconds) => {
            (format!("{} per s", wording(Some(diff.event)).width), 1e4 / WIDTHS)
        }
        _ => (format!("× 0.001 {}", diff.scale.unit), 1e3 / WIDTHS),
    };
    let caption = Caption {
        title: format!("{before} → {after}, in {}", diff.scale.unit),
        subtitle: "width: the larger of both · colour: relative change of total, \
                   red more, blue less, white no evidence of a change"
            .to_owned(),
        unit: &unit,
        factor,
        none: wording(Some(diff.event)).none,
        truncate: TextTruncateDirection::Right,
    };
    draw(out, &frames, &caption, Direction::TopDown)
}

/// Widths are whole numbers: values times this.
const WIDTHS: f64 = 1e6;

fn frame(diff: &Diff<'_>, node: &Node) -> Frame {
    let scale = &diff.scale;
    let own = [0, 1].map(|side| scale.value(side, node.self_[side].weight as f64));
    let [before, after] = node.total.values;
    // The unit also keeps inferno from taking the number for one of its own.
    let unit = if scale.short.is_empty() { " in all" } else { scale.short };
    let numbers = match node.total.amounts.map(|amount| amount.samples) {
        [0, _] => format!("new, {after:.2}{unit}"),
        [_, 0] => format!("gone, was {before:.2}{unit}"),
        _ => format!("{before:.2} → {after:.2}, {:+.2}{unit}", after - before),
    };
    let name = label(&diff.symbols[node.symbol].name, node.kind, node.inlined);
    Frame {
        parent: node.parent,
        label: format!("{name} {numbers}"),
        // Saturates.
        self_width: (own[0].max(own[1]) * WIDTHS).round() as u64,
        color: color_of(before, after, !node.total.verdict.is_change()),
    }
}

/// White without evidence, else from pale to deep red or blue by how much of the
/// larger side the change is.
pub(crate) fn color_of(before: f64, after: f64, is_noise: bool) -> Color {
    let (larger, delta) = (before.max(after), after - before);
    if is_noise || larger <= 0.0 || delta == 0.0 {
        return Color { r: 250, g: 250, b: 250 };
    }
    let share = (delta.abs() / larger).min(1.0);
    let pale = 220 - (115.0 * share) as u8;
    if delta > 0.0 {
        Color { r: 255, g: pale, b: pale }
    } else {
        Color { r: pale, g: pale, b: 255 }
    }
}

#[cfg(test)]
mod tests {
    use rz_convert::profile::Profile;

    use super::*;
    use crate::diff::{DiffOptions, Run, compare};
    use crate::fixture::Builder;

    /// Each frame's hover text and colour.
    fn frames_of(before: &Profile, after: &Profile) -> Vec<(String, String)> {
        let run = |profile, name| Run { profile, name, event: Some(0) };
        let sides = [&[run(before, "a.rz")][..], &[run(after, "b.rz")]];
        let diff = compare(sides, &DiffOptions::default()).unwrap();
        let mut out = Vec::new();
        write_diff_flame_graph(&mut out, &diff).unwrap();
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
            ("add new, 5.00% (50,000 µs of CPU time per s, 10.99%)", "255,105,105"),
            ("all (455,000 µs of CPU time per s, 100%)", "250,250,250"),
            ("grow 10.00 → 20.00, +10.00% (200,000 µs of CPU time per s, 43.96%)", "255,163,163"),
            ("main 30.00 → 35.50, +5.50% (455,000 µs of CPU time per s, 100.00%)", "255,203,203"),
            ("old gone, was 10.00% (100,000 µs of CPU time per s, 21.98%)", "105,105,255"),
            ("same 10.00 → 10.50, +0.50% (105,000 µs of CPU time per s, 23.08%)", "250,250,250"),
            ("x gone, was 10.00% (100,000 µs of CPU time per s, 21.98%)", "105,105,255"),
        ];
        assert_eq!(frames, expected);
    }

    #[test]
    fn the_same_load_is_white() {
        let before = Builder::of(&[("main;a", 100), ("main;b", 210)]);
        let mut after = Builder::of(&[("main;a", 55), ("main;b", 100)]);
        after.info.duration_ns /= 2;
        let colors = frames_of(&before, &after).into_iter().map(|(_, color)| color);
        assert_eq!(colors.collect::<Vec<_>>(), ["250,250,250"; 4]);
    }
}
