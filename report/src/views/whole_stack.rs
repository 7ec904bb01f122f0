//! Whole stacks, function by function.

use std::io::{self, Write};

use rustc_hash::FxHashMap;
use rz_profile::model::{FrameKind, Line, Profile, StackId};
use serde::Serialize;

use crate::model::clean::clean;
use crate::model::frames::{ShownKind, kind_of_frame, marked};
use crate::model::rows::Rows;
use crate::model::symbols::Symbol;
use crate::render::format::{counted, shorten};
use crate::render::style::{Paint, Style};
use crate::render::table::{GAP, MIN_NAME_WIDTH};

/// Functions of one stack on a page, at most: enough for the root of all but
/// endless recursion, of which a hostile file could have any amount.
const MAX_FRAMES: usize = 1024;

/// Functions written of one stack, at most.
const MAX_WRITTEN_FRAMES: usize = 64;

/// Columns before the functions of a stack.
const INDENT: &str = "      ";

/// A function of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StackFrame {
    /// The function.
    #[serde(flatten)]
    pub symbol: Symbol,
    /// What it is.
    pub kind: ShownKind,
    /// Path of its source as the compiler recorded it; `null` if unknown.
    pub file: Option<String>,
    /// The line in that file, from 1; `null` if unknown.
    pub line: Option<u32>,
}

/// The functions of a stack, leaf first.
pub(crate) fn functions_of_stack(profile: &Profile, stack: Option<StackId>) -> Rows<StackFrame> {
    let frames = profile.locations_of(stack).flat_map(|location| {
        let last = location.lines.len().saturating_sub(1);
        let lines = location.lines.iter().enumerate();
        let is_inlined = move |index| index < last || location.how.inlined;
        lines.map(move |(index, line)| (kind_of_frame(location.kind, is_inlined(index)), line))
    });
    let mut shown = Rows::default();
    for (kind, line) in frames {
        match shown.rows.len() < MAX_FRAMES {
            true => shown.rows.push(frame(profile, kind, line)),
            false => shown.left_out += 1,
        }
    }
    shown
}

fn frame(profile: &Profile, kind: ShownKind, line: &Line) -> StackFrame {
    let function = &profile.functions[line.function];
    let [name, module, file] = [&function.name, profile.home_of(line.function), &function.file]
        .map(|text| clean(text).into_owned());
    StackFrame {
        symbol: Symbol { name, module },
        kind,
        file: Some(file).filter(|file| !file.is_empty()),
        line: Some(line.line).filter(|&line| line > 0),
    }
}

/// For each stack the first one that looks the same.
pub(crate) fn same_stacks(profile: &Profile) -> Vec<StackId> {
    let mut known: FxHashMap<(Option<StackId>, FrameKind, &[Line]), StackId> = FxHashMap::default();
    let mut same: Vec<StackId> = Vec::with_capacity(profile.stacks.len());
    for (id, node) in profile.stacks.iter().enumerate() {
        let location = &profile.locations[node.location];
        // A caller has a smaller id.
        let parent = node.parent.map(|parent| same[parent]);
        same.push(*known.entry((parent, location.kind, &location.lines)).or_insert(id));
    }
    same
}

/// Writes the functions of a stack, leaf first.
pub(crate) fn write_stack(
    out: &mut dyn Write,
    style: Style,
    stack: &Rows<StackFrame>,
) -> io::Result<()> {
    if stack.is_empty() {
        return writeln!(out, "{INDENT}[no stack]");
    }
    for frame in stack.rows.iter().take(MAX_WRITTEN_FRAMES) {
        let text = marked(&frame.symbol.name, frame.kind);
        let room = style.width.map(|w| w.saturating_sub(INDENT.len()).max(MIN_NAME_WIDTH));
        let place = source(frame);
        let place = if place.is_empty() { place } else { format!("{GAP}{place}") };
        // A name makes room for its source line as long as it is readable.
        let left = room.map_or(usize::MAX, |room| room.saturating_sub(place.chars().count()));
        let (left, place) = match (left < MIN_NAME_WIDTH, room) {
            (true, Some(room)) => (room, String::new()),
            _ => (left, place),
        };
        writeln!(out, "{INDENT}{}{}", shorten(&text, left), style.paint(Paint::Dim, &place))?;
    }
    let more = stack.all().saturating_sub(MAX_WRITTEN_FRAMES) as u64;
    if more > 0 {
        writeln!(out, "{INDENT}… {}", counted(more, "more function"))?;
    }
    Ok(())
}

/// The source line of a function, or else its module.
fn source(frame: &StackFrame) -> String {
    let path = frame.file.as_deref().unwrap_or_default();
    match (path.rsplit('/').next().unwrap_or_default(), frame.line) {
        // That is said beside the name.
        ("", _) if frame.kind == ShownKind::Kernel => String::new(),
        ("", _) => frame.symbol.module.clone(),
        (file, None) => file.to_owned(),
        (file, Some(number)) => format!("{file}:{number}"),
    }
}
