//! Draws two recordings as one flame graph coloured by change.

use std::io::Write;

use rz_convert::profile::Unit;

use crate::calltree::NodeKind;
use crate::diff::{Diff, Node};
use crate::flame::{Caption, Coloring, Frame, draw, label};
use crate::format::clean;
use crate::select::ReportError;
use crate::tree::Direction;

/// Changes within this many standard errors stay white. A picture has
/// hundreds of frames, so it takes more than a table's row to be coloured:
/// chance alone colours about one frame in 370.
const NOISE_LIMIT: f64 = 3.0;

/// Draws both call trees as one. A frame is as wide as the larger of its two
/// sides, so that what is gone can still be seen; its colour is the change of
/// what it costs itself, not of what it calls.
pub fn write_diff_flame_graph(out: &mut dyn Write, diff: &Diff<'_>) -> Result<(), ReportError> {
    let frames: Vec<Frame> = diff.nodes.iter().map(|node| frame(diff, node)).collect();
    let (before, after) = (clean(diff.before.name), clean(diff.after.name));
    let caption = Caption {
        title: format!("CPU per second of wall time: {before} → {after}"),
        subtitle: "width: the larger of before and after · colour: change of self, red more, \
                   blue less, white none beyond noise (3 standard errors)"
            .to_owned(),
        unit: match diff.before.event.unit {
            Unit::Nanoseconds => "µs of CPU per s",
            _ => "k cycles per s",
        },
        factor: 1.0,
    };
    draw(out, &frames, &caption, Direction::TopDown, Coloring::Delta)
}

fn frame(diff: &Diff<'_>, node: &Node) -> Frame {
    // Weight per nanosecond becomes thousands of weight per second, in whole
    // numbers; inferno ignores its own scaling factor where it prints changes.
    let per_second = |rate: f64| (rate * 1e6).round();
    let change = diff.change(node.self_);
    let (before, after) = (per_second(change.before), per_second(change.after));
    let noise = change.is_noise(NOISE_LIMIT);
    let symbol = &diff.symbols[node.symbol];
    let is_root = node.kind == NodeKind::All;
    let name = match (node.total.before.samples, node.total.after.samples) {
        (0, 1..) if !is_root => format!("{} (new)", symbol.name),
        (1.., 0) if !is_root => format!("{} (gone)", symbol.name),
        _ => symbol.name.clone(),
    };
    Frame {
        parent: node.parent,
        label: label(&name, node.kind, node.inlined),
        self_width: before.max(after) as u64,
        delta: if noise { 0 } else { (after - before) as i64 },
    }
}

#[cfg(test)]
mod tests {
    use rz_convert::profile::Profile;

    use super::*;
    use crate::diff::compare;
    use crate::fixture::Builder;

    /// Each frame's hover text and colour.
    fn frames_of(before: &Profile, after: &Profile) -> Vec<(String, String)> {
        let diff = compare((before, "a.rz", Some(0)), (after, "b.rz", Some(0))).unwrap();
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

    fn check(before: &Profile, after: &Profile, expected: &[(&str, &str)]) {
        let frames = frames_of(before, after);
        let frames: Vec<_> = frames.iter().map(|(t, c)| (t.as_str(), c.as_str())).collect();
        assert_eq!(frames, expected);
    }

    #[test]
    fn what_is_gone_stays_visible() {
        let before = Builder::of(&[("main;same", 100), ("main;old;x", 100)]);
        let after = Builder::of(&[("main;same", 105), ("main;add", 50)]);
        check(
            &before,
            &after,
            &[
                ("add (new) (50,000 µs of CPU per s, 19.61%; +19.61%)", "255,175,175"),
                ("all (255,000 µs of CPU per s, 100%)", "250,250,250"),
                ("main (255,000 µs of CPU per s, 100.00%; 0.00%)", "250,250,250"),
                ("old (gone) (100,000 µs of CPU per s, 39.22%; 0.00%)", "250,250,250"),
                ("same (105,000 µs of CPU per s, 41.18%; 0.00%)", "250,250,250"),
                ("x (gone) (100,000 µs of CPU per s, 39.22%; -39.22%)", "100,100,255"),
            ],
        );
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
