//! Draws the allocations of two recordings as one flame graph coloured by
//! change.

use std::io::Write;

use inferno::flamegraph::TextTruncateDirection;

use super::table::{amount, delta_and_margin};
use super::{HeapDiff, HeapNode};
use crate::error::ReportError;
use crate::model::clean::clean;
use crate::model::trees::Direction;
use crate::render::change_color::{Evidence, Width, color_of, legend};
use crate::views::flame::{Caption, Frame, draw, label};

/// Draws both call trees as one.
pub fn write_heap_diff_flame_graph(
    out: &mut dyn Write,
    diff: &HeapDiff<'_>,
    width: Width,
) -> Result<(), ReportError> {
    let frames: Vec<Frame> = diff.nodes.iter().map(|node| frame(diff, node, width)).collect();
    let [before, after] = [0, 1].map(|side| clean(diff.sides[side].name));
    let what = diff.metric.description();
    let per = if diff.metric.is_rate() { " per s" } else { "" };
    let unit = format!("{what}{per}");
    let none = match diff.sides.iter().any(|side| side.heap.interval > 0) {
        true => "no evidence of a change",
        false => "unchanged, or hardly",
    };
    let caption = Caption {
        title: format!("{before} → {after}, {unit}"),
        subtitle: format!("width: {} · colour: change of total", width.description()),
        unit: &unit,
        factor: 1.0,
        none: "nothing was allocated in either recording",
        truncate: TextTruncateDirection::Right,
        legend: legend(none, false),
    };
    draw(out, &frames, &caption, Direction::TopDown)
}

fn frame(diff: &HeapDiff<'_>, of: &HeapNode, width: Width) -> Frame {
    let HeapNode { node, self_, total, change: judged } = of;
    let (own, change) = (diff.change(self_), diff.change(total));
    // The word also keeps inferno from taking the number for one of its own.
    let per = if diff.metric.is_rate() { " per s" } else { " in all" };
    let [before, after] = [change.before, change.after].map(|e| amount(diff.metric, e.value));
    let numbers = match [total[0].is_zero(), total[1].is_zero()] {
        [true, _] => format!("new, {after}{per}"),
        [_, true] => format!("gone, was {before}{per}"),
        _ => format!("{before} → {after}, {}{per}", delta_and_margin(diff, change, *judged)),
    };
    let evidence = match judged.verdict.is_change() {
        true => Evidence::Change,
        false => Evidence::None,
    };
    let name = label(&diff.symbols[node.symbol].name, node.kind, node.inlined);
    Frame {
        parent: node.parent,
        label: format!("{name} {numbers}"),
        // Saturates.
        self_width: width.of(own.before.value, own.after.value).round() as u64,
        color: color_of(change.before.value, change.after.value, evidence),
    }
}
