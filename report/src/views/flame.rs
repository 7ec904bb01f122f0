//! Draws flame graphs: call trees as SVG, with inferno.
//!
//! Frames are ordered by name and coloured by a hash of it, so that the same
//! profile always gives the same picture, and two recordings of a program
//! give pictures that can be laid side by side.

use std::collections::BTreeMap;
use std::io::Write;

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{self, Options, TextTruncateDirection};
use rz_profile::model::{EventId, FrameKind, Profile, Unit};

use crate::error::ReportError;
use crate::model::calltree::{CallTree, NodeKind};
use crate::model::clean::clean;
use crate::model::frames::{ShownKind, kind_of};
use crate::model::trees::{Direction, call_tree, min_weight};
use crate::render::change_color::GREY;
use crate::render::format::{count, duration, percent, percent_of};
use crate::render::legend::{Entry, add_legend};
use crate::render::wording::wording;
use crate::views::heap::how_recorded;

/// Frames narrower than this share of the picture, in percent, are not drawn:
/// they are a quarter of a pixel, and would make most of the file.
const MIN_WIDTH_PERCENT: f64 = 0.02;

/// Most frames that are drawn; of more, the narrowest are left out.
const MAX_FRAMES: usize = 250_000;

/// Colour of frames that are no function.
const REASON: Color = Color { r: 190, g: 190, b: 190 };

/// One frame of a picture. The first one is the root and is its own parent;
/// every other one comes after its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub parent: usize,
    /// Name, with a mark for its kind as folded stacks have it.
    pub label: String,
    /// Width that is the frame's own, without that of the frames above it.
    pub self_width: u64,
    pub color: Color,
}

/// What is written around the frames.
pub(crate) struct Caption<'a> {
    pub title: String,
    pub subtitle: String,
    /// What widths are counted in.
    pub unit: &'a str,
    /// By what to multiply a width to get that unit.
    pub factor: f64,
    /// Why there may be nothing to draw.
    pub none: &'static str,
    /// Which end of a label to cut off where it does not fit.
    pub truncate: TextTruncateDirection,
    /// What colours mean, if the subtitle does not say it.
    pub legend: Vec<Entry>,
}

/// Draws `event` of `profile` as a flame graph (callers below, or above what
/// they called if inverted); `name` is what to call the trace.
pub fn write_flame_graph(
    out: &mut dyn Write,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    direction: Direction,
) -> Result<(), ReportError> {
    let words = wording(event.map(|event| &profile.events[event]));
    let nothing = ReportError::NothingToDraw { why: words.none };
    let Some(event) = event.filter(|&event| profile.total_weight(event) > 0) else {
        return Err(nothing);
    };
    let (tree, symbols) = call_tree(profile, event, direction, MIN_WIDTH_PERCENT);
    let least = least_drawn(&tree);
    let mut frames: Vec<Frame> = Vec::new();
    let mut numbers: Vec<Option<usize>> = Vec::with_capacity(tree.nodes.len());
    for node in &tree.nodes {
        // The root's parent is itself.
        let parent = numbers.get(node.parent).copied().unwrap_or(Some(0));
        if node.total.weight < least && !frames.is_empty() {
            // It keeps its room.
            if let Some(parent) = parent {
                let width = &mut frames[parent].self_width;
                *width = width.saturating_add(node.total.weight);
            }
            numbers.push(None);
            continue;
        }
        let label = label(&symbols[node.symbol].name, node.kind, node.how.inlined);
        let color = match node.kind {
            NodeKind::Frame(FrameKind::Reason(_)) => REASON,
            kind => color_of(&label, kind),
        };
        numbers.push(Some(frames.len()));
        let parent = parent.unwrap_or(0);
        frames.push(Frame { parent, label, self_width: node.self_.weight, color });
    }
    let (unit, factor) = match profile.events[event].unit {
        Unit::Nanoseconds => (words.width, 1e-3),
        Unit::Bytes | Unit::Count => (words.width, 1.0),
        _ => ("k cycles", 1e-3),
    };
    let what = match direction {
        Direction::TopDown => "flame graph",
        Direction::Inverted => "icicle graph, callers below",
    };
    let caption = Caption {
        title: format!("{} {what}: {}", words.graph, clean(name)),
        subtitle: subtitle(profile, event, &tree, least),
        unit,
        factor,
        none: words.none,
        truncate: TextTruncateDirection::Left,
        legend: Vec::new(),
    };
    draw(out, &frames, &caption, direction)
}

/// The least weight that a frame has to have to be drawn: there may be so many that no
/// browser shows them.
fn least_drawn(tree: &CallTree) -> u64 {
    let mut weights: Vec<u64> = tree.nodes.iter().map(|node| node.total.weight).collect();
    if weights.len() <= MAX_FRAMES {
        return 0;
    }
    let (.., first_left_out, _) =
        weights.select_nth_unstable_by_key(MAX_FRAMES, |weight| std::cmp::Reverse(*weight));
    first_left_out.saturating_add(1)
}

fn subtitle(profile: &Profile, event: EventId, tree: &CallTree, least: u64) -> String {
    let info = &profile.info;
    let mut parts = Vec::new();
    if !info.host.is_empty() {
        parts.push(clean(&info.host).into_owned());
    }
    parts.push(duration(info.duration_ns));
    if info.filter.is_active() {
        parts.push(clean(&info.filter.text).into_owned());
    }
    let heap = profile.heap_of(event);
    parts.extend(heap.map(how_recorded));
    let samples = count(tree.total().samples);
    parts.push(match profile.events[event].frequency_hz {
        0 if heap.is_some_and(|heap| heap.interval > 0) => format!("~{samples} objects"),
        0 if heap.is_some() => format!("{samples} objects"),
        0 => format!("{samples} samples"),
        hz => format!("{samples} samples at {hz} Hz"),
    });
    if least > 0 {
        let share = percent(percent_of(least, tree.total().weight));
        parts.push(format!("frames below {share} are not drawn"));
    }
    let has = |shown| tree.nodes.iter().any(|node| kind_of(node.kind, false) == shown);
    let mut legend = Vec::new();
    if has(ShownKind::Kernel) {
        legend.push("kernel blue");
    }
    if tree.nodes.iter().any(|node| node.how.inlined) {
        legend.push("inlined aqua");
    }
    if has(ShownKind::Jit) {
        legend.push("JIT green");
    }
    if tree.nodes.iter().any(|node| is_runtime(node.kind) && !node.how.inlined) {
        legend.push("runtimes purple");
    }
    if has(ShownKind::Reason) {
        legend.push("reason grey");
    }
    if !legend.is_empty() {
        parts.push(legend.join(", "));
    }
    parts.join(" · ")
}

/// A frame's name as folded stacks spell it: the characters that separate
/// frames and lines replaced, and a mark for its kind at the end. A number at
/// the end would be taken for a count of samples, so it is tied to the name
/// with a space that does not break.
pub(crate) fn label(name: &str, kind: NodeKind, inlined: bool) -> String {
    let mark = match kind {
        NodeKind::Frame(FrameKind::Kernel) => "_[k]",
        NodeKind::Frame(FrameKind::Jit) => "_[j]",
        NodeKind::Frame(
            FrameKind::User
            | FrameKind::Runtime(_)
            | FrameKind::Truncated
            | FrameKind::Lost
            | FrameKind::Reason(_),
        )
        | NodeKind::All
        | NodeKind::Source
        | NodeKind::Process
        | NodeKind::NoStack => {
            if inlined {
                "_[i]"
            } else {
                ""
            }
        }
    };
    // A stack that begins with `# ` would be taken for a comment.
    let name = clean(name.trim()).replace(';', ":").replace("# ", "#");
    match name.rsplit_once(' ') {
        _ if name.is_empty() => format!("?{mark}"),
        Some((head, tail)) if tail.chars().all(|c| c.is_ascii_digit() || c == '.') => {
            format!("{head}\u{a0}{tail}{mark}")
        }
        _ => format!("{name}{mark}"),
    }
}

/// Draws frames, the root (whose label is not shown) first.
pub(crate) fn draw(
    out: &mut dyn Write,
    frames: &[Frame],
    caption: &Caption<'_>,
    direction: Direction,
) -> Result<(), ReportError> {
    let lines = folded(frames);
    if lines.is_empty() {
        return Err(ReportError::NothingToDraw { why: caption.none });
    }
    let mut palette = PaletteMap::default();
    // Inferno's own root has no name; a name without a colour gets a random one.
    let has_legend = !caption.legend.is_empty();
    palette.insert("", if has_legend { GREY } else { Color { r: 250, g: 250, b: 250 } });
    for frame in &frames[1..] {
        palette.insert(&frame.label, frame.color);
    }
    let mut options = Options::default();
    options.title = caption.title.clone();
    options.subtitle = Some(caption.subtitle.clone());
    options.count_name = caption.unit.to_owned();
    options.factor = caption.factor;
    options.min_width = MIN_WIDTH_PERCENT;
    // Grey frames need a ground that they stand out from.
    let ground = if has_legend { 255 } else { 235 };
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: ground, g: ground, b: ground }));
    options.direction = match direction {
        Direction::TopDown => flamegraph::Direction::Straight,
        Direction::Inverted => flamegraph::Direction::Inverted,
    };
    options.palette_map = Some(&mut palette);
    options.text_truncate_direction = caption.truncate;
    // Inferno sorts lines as text, which tears a frame apart when the name of
    // another one starts with its name (`run` and `run::inner`). It leaves
    // the order alone, but for reversing it, only in a flame chart.
    options.flame_chart = true;
    let lines = lines.iter().rev().map(String::as_str);
    if !has_legend {
        return Ok(flamegraph::from_lines(&mut options, lines, out)?);
    }
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines, &mut svg)?;
    let svg = String::from_utf8_lossy(&svg).into_owned();
    Ok(out.write_all(add_legend(svg, &caption.legend).as_bytes())?)
}

/// The frames as folded stacks, callers before callees and siblings by name.
/// Frames too narrow to see become part of their parent.
fn folded(frames: &[Frame]) -> Vec<String> {
    let mut own: Vec<u64> = frames.iter().map(|frame| frame.self_width).collect();
    // What is drawn is added up in 64 bits. No real sum needs more, but a file
    // can claim it.
    let sum: u128 = own.iter().map(|&width| u128::from(width)).sum();
    let excess = u128::BITS - (sum >> 62).leading_zeros();
    own.iter_mut().for_each(|width| *width = width.checked_shr(excess).unwrap_or(0));
    let mut total = own.clone();
    for id in (1..frames.len()).rev() {
        let parent = frames[id].parent;
        total[parent] = total[parent].saturating_add(total[id]);
    }
    let Some(&all) = total.first().filter(|&&all| all > 0) else {
        return Vec::new();
    };
    let least = min_weight(all, MIN_WIDTH_PERCENT);
    let mut children: BTreeMap<(usize, &str, usize), usize> = BTreeMap::new();
    for id in 1..frames.len() {
        let frame = &frames[id];
        if total[id] >= least {
            children.insert((frame.parent, &frame.label, id), id);
        } else if total[frame.parent] >= least {
            own[frame.parent] = own[frame.parent].saturating_add(total[id]);
        }
    }
    let mut lines = Vec::new();
    let mut pending = vec![(0, String::new())];
    while let Some((id, path)) = pending.pop() {
        if own[id] > 0 && id != 0 {
            lines.push(format!("{path} {}", own[id]));
        }
        let below = children.range((id, "", 0)..(id + 1, "", 0));
        pending.extend(below.rev().map(|(&(_, label, _), &child)| {
            (child, if path.is_empty() { label.to_owned() } else { format!("{path};{label}") })
        }));
    }
    lines
}

fn is_runtime(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Frame(FrameKind::Runtime(_)))
}

/// A frame's colour: its hue tells its kind, its shade is a hash of its name.
fn color_of(label: &str, kind: NodeKind) -> Color {
    // FNV-1a: the same on every machine and in every version.
    let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let shade = |from: u8, range: u64, part: u32| from + ((hash >> part) % range) as u8;
    match label.get(label.len().saturating_sub(4)..) {
        Some("_[k]") => {
            Color { r: shade(120, 40, 8), g: shade(150, 40, 16), b: shade(215, 40, 24) }
        }
        Some("_[i]") => Color { r: shade(90, 40, 8), g: shade(190, 40, 16), b: shade(190, 40, 24) },
        Some("_[j]") => Color { r: shade(110, 40, 8), g: shade(200, 40, 16), b: shade(90, 40, 24) },
        _ if is_runtime(kind) => {
            Color { r: shade(165, 40, 8), g: shade(120, 40, 16), b: shade(205, 40, 24) }
        }
        _ => Color { r: shade(225, 30, 8), g: shade(90, 130, 16), b: shade(50, 40, 24) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    fn svg(profile: &Profile, direction: Direction) -> String {
        let mut out = Vec::new();
        write_flame_graph(&mut out, "trace.rz", profile, Some(0), direction).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What hovering over each frame shows.
    fn frame_titles(svg: &str) -> Vec<&str> {
        let parts = svg.split("<title>").skip(1);
        parts.map(|part| part.split_once("</title>").unwrap().0).collect()
    }

    fn frames(list: &[(usize, &str, u64)]) -> Vec<Frame> {
        let frame = |&(parent, label, self_width): &(usize, &str, u64)| Frame {
            parent,
            label: label.to_owned(),
            self_width,
            color: color_of(label, NodeKind::All),
        };
        list.iter().map(frame).collect()
    }

    #[test]
    fn folded_stacks_keep_every_width() {
        let list =
            [(0, "all", 0), (0, "b", 5), (0, "a", 10_000), (2, "a::x", 10_000), (3, "tiny", 1)];
        assert_eq!(folded(&frames(&list)), ["a 10000", "a;a::x 10001", "b 5"]);
        assert!(folded(&frames(&list[..1])).is_empty());
        let list = [(0, "all", 0), (0, "a", u64::MAX), (0, "b", u64::MAX)];
        let half = (1_u64 << 61) - 1;
        assert_eq!(folded(&frames(&list)), [format!("a {half}"), format!("b {half}")]);
    }

    #[test]
    fn frames_have_widths_and_kinds() {
        let profile = Builder::of(&[("main;read;sys_read_[k]", 3), ("main;run;step_[i]", 1)]);
        let svg = svg(&profile, Direction::TopDown);
        let mut titles = frame_titles(&svg);
        titles.sort_unstable();
        let expected = [
            "all (40,000 µs of CPU time, 100%)",
            "main (40,000 µs of CPU time, 100.00%)",
            "read (30,000 µs of CPU time, 75.00%)",
            "run (10,000 µs of CPU time, 25.00%)",
            "step (10,000 µs of CPU time, 25.00%)",
            "sys_read (30,000 µs of CPU time, 75.00%)",
        ];
        assert_eq!(titles, expected);
        assert!(svg.contains("CPU flame graph: trace.rz"));
        assert!(svg.contains("db7 · 10.0 s · 4 samples at 100 Hz · kernel blue, inlined aqua"));
    }

    #[test]
    fn a_name_that_starts_another_is_one_frame() {
        let profile = Builder::of(&[("run;x", 1), ("run::inner", 1), ("run", 1), ("run", 1)]);
        let svg = svg(&profile, Direction::TopDown);
        let runs = frame_titles(&svg).iter().filter(|title| title.starts_with("run (")).count();
        assert_eq!(runs, 1);
    }

    #[test]
    fn the_same_profile_gives_the_same_picture() {
        let profile = Builder::of(&[("main;a", 3), ("main;b", 1)]);
        let [first, second] = [0; 2].map(|_| svg(&profile, Direction::TopDown));
        assert!(first == second, "two pictures of one profile differ");
    }

    #[test]
    fn names_cannot_break_out_of_a_stack() {
        let check = |name, expected: &str| {
            assert_eq!(label(name, NodeKind::Frame(FrameKind::User), false), expected);
        };
        check("<[u8; 4] as T>::f", "<[u8: 4] as T>::f");
        check("a\nb", "a?b");
        check("# x", "#x");
        check("anonymous 12", "anonymous\u{a0}12");
        check("  ", "?");
        let profile = Builder::of(&[("<script>alert('1')</script> 12", 1)]);
        let svg = svg(&profile, Direction::TopDown);
        assert!(!svg.contains("<script>alert"));
        let name = "&lt;script&gt;alert('1')&lt;/script&gt;\u{a0}12";
        let titles = frame_titles(&svg).join("\n").replace("&apos;", "'");
        assert!(titles.contains(&format!("{name} (10,000 µs of CPU time, 100.00%)")), "{titles}");
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let profile = Profile::default();
        let drawn = write_flame_graph(&mut Vec::new(), "t", &profile, None, Direction::TopDown);
        assert!(matches!(drawn, Err(ReportError::NothingToDraw { .. })));
    }
}
