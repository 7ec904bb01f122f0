//! Shows lines of a function's source with what they take.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};

use rz_profile::model::{EventId, FunctionId, Profile, Unit};
use rz_profile::source_map::{Content, NoContent, contents};

use super::AnnotateOptions;
use super::files::SourceFile;
use super::places::{Places, Weights};
use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::render::format::{counted, percent, percent_of, weight, weight_title};
use crate::render::style::{Paint, Style};
use crate::render::title::write_title;

/// Lines that are shown before and behind each one of interest.
const CONTEXT: u32 = 4;

/// Columns that a terminal has for source, at least.
const MIN_ROOM: usize = 24;

/// A part of the function: the lines that one function has in one file.
struct Part {
    function: FunctionId,
    inlined: bool,
    weights: Weights,
    lines: BTreeMap<u32, Weights>,
}

/// Writes the lines of each file that the function's code comes from: its own,
/// then those of what is inlined into it.
pub(super) fn write_source(
    out: &mut dyn Write,
    style: Style,
    (profile, event): (&Profile, EventId),
    places: &Places,
    total: Amount,
    options: &AnnotateOptions,
) -> io::Result<()> {
    let least = crate::model::trees::min_weight(total.weight, options.min_percent);
    let all = profile.total_weight(event);
    let unit = profile.events[event].unit;
    let parts = parts(places);
    let is_shown = |part: &&Part| !part.inlined || part.weights.total.weight >= least;
    let shown: Vec<&Part> = parts.iter().filter(is_shown).take(options.limit).collect();
    let with_lines = shown.iter().filter(|part| part.lines.keys().any(|&line| line > 0));
    let functions: Vec<FunctionId> = with_lines.map(|part| part.function).collect();
    let carried = contents(profile, &functions, &options.source_maps);
    for part in &shown {
        let function = &profile.functions[part.function];
        let share = percent(percent_of(part.weights.total.weight, all));
        let title = if part.inlined { "INLINED" } else { "SOURCE" };
        let file = match function.file.as_str() {
            "" => "no source is known".to_owned(),
            file => clean(file).into_owned(),
        };
        let what = match part.inlined {
            true => format!("{share}  {}, {file}", clean(&function.name)),
            false => format!("{share}  {file}"),
        };
        write_title(out, style, title, &what)?;
        let carried = carried.get(&function.file);
        write_part(out, style, (profile, part), carried, (all, unit, least), options)?;
    }
    if let Some(more) = parts.len().checked_sub(shown.len()).filter(|more| *more > 0) {
        let functions = counted(more as u64, "other function");
        let text = format!("not shown: {functions} inlined: --min-percent, --limit");
        writeln!(out, "\n{}", style.paint(Paint::Dim, &text))?;
    }
    Ok(())
}

/// The parts of a function: itself, then what is inlined, the heaviest first.
fn parts(places: &Places) -> Vec<Part> {
    let functions = places.functions.iter();
    let mut parts: Vec<Part> = functions
        .map(|(&(function, inlined), &weights)| {
            let is_in = |key: &&super::places::LineKey| key.function == function;
            let lines = places.lines.keys().filter(is_in);
            let lines = lines.map(|key| (key.line, places.lines[key])).collect();
            Part { function, inlined, weights, lines }
        })
        .collect();
    parts.sort_by_key(|part| {
        (part.inlined, std::cmp::Reverse(part.weights.total.weight), part.function)
    });
    parts
}

/// Writes the lines of one part; a source map has `carried` of its source.
fn write_part(
    out: &mut dyn Write,
    style: Style,
    (profile, part): (&Profile, &Part),
    carried: Option<&Result<Content, NoContent>>,
    (all, unit, least): (u64, Unit, u64),
    options: &AnnotateOptions,
) -> io::Result<()> {
    let function = &profile.functions[part.function];
    let binary = function.module.map_or("", |id| &profile.modules[id].path);
    let mut lines = part.lines.clone();
    let unknown = lines.remove(&0);
    let (file, about_map) = match lines.is_empty() {
        true => (None, None),
        false => {
            let file = SourceFile::find(&function.file, &options.source_dirs, binary);
            SourceFile::or_carried(file, carried)
        }
    };
    let mut note = |text: &str| writeln!(out, "  {}", style.paint(Paint::Dim, text));
    match &file {
        _ if lines.is_empty() => {
            note("no lines are known: its module has no debug information; see --asm")?;
            return Ok(());
        }
        None => {
            let cause = about_map.map(|cause| format!("; {}", clean(&cause))).unwrap_or_default();
            note(&format!("the source is not here: see --source-dir{cause}"))?;
        }
        Some(file) => {
            if file.path.as_os_str() != function.file.as_str() {
                note(&format!("from {}", clean(&file.path.to_string_lossy())))?;
            }
            if let Some(about_map) = &about_map {
                note(&clean(about_map))?;
            }
            let built = fs::metadata(binary).and_then(|meta| meta.modified()).ok();
            if let (Some(written), Some(built)) = (file.modified, built)
                && written > built
            {
                note("the source is newer than the binary: lines may have moved")?;
            }
            if lines.keys().next_back().is_some_and(|last| *last > file.last_line()) {
                note("the source has fewer lines than the one that was compiled")?;
            }
        }
    }
    let time = weight_title(unit);
    let header = format!("{:>6}  {:>6}  {time:>8}  {:>5}  source", "self", "total", "line");
    writeln!(out, "{}", style.paint(Paint::Dim, &header))?;
    let mut before = None;
    for line in shown_lines(&lines, least, file.as_ref()) {
        if before.is_some_and(|before| line > before + 1) {
            writeln!(out, "{}", style.paint(Paint::Dim, &format!("{:>31}", "…")))?;
        }
        before = Some(line);
        let weights = lines.get(&line).copied().unwrap_or_default();
        let text = file.as_ref().and_then(|file| file.line(line)).unwrap_or_default();
        write_source_line(out, style, line, weights, (all, unit), text)?;
    }
    if let Some(weights) = unknown {
        let share = percent(percent_of(weights.total.weight, all));
        let text = format!("{share} are at lines that are not known");
        writeln!(out, "  {}", style.paint(Paint::Dim, &text))?;
    }
    Ok(())
}

/// The lines to show, in order: those of interest and what is around them, if
/// there is a text to show.
fn shown_lines(lines: &BTreeMap<u32, Weights>, least: u64, file: Option<&SourceFile>) -> Vec<u32> {
    let around = if file.is_some() { CONTEXT } else { 0 };
    let last = file.map_or(u32::MAX, SourceFile::last_line);
    let mut shown = Vec::new();
    for (&line, weights) in lines {
        if weights.total.weight < least {
            continue;
        }
        let to = line.saturating_add(around).min(last).max(line);
        shown.extend(line.saturating_sub(around).max(1)..=to);
    }
    shown.sort_unstable();
    shown.dedup();
    // A gap of one line is as long as the mark for it.
    let gaps: Vec<u32> = shown
        .windows(2)
        .filter(|pair| pair[1] == pair[0] + 2 && file.is_some())
        .map(|pair| pair[0] + 1)
        .collect();
    shown.extend(gaps);
    shown.sort_unstable();
    shown
}

fn write_source_line(
    out: &mut dyn Write,
    style: Style,
    line: u32,
    weights: Weights,
    (all, unit): (u64, Unit),
    text: &str,
) -> io::Result<()> {
    let share = |amount: Amount| percent_of(amount.weight, all);
    let (self_, total) = (share(weights.self_), share(weights.total));
    let text = clean(&text.replace('\t', "    ")).into_owned();
    let text = match style.width {
        Some(width) => cut(text.trim_end(), width.saturating_sub(33).max(MIN_ROOM)),
        None => text.trim_end().to_owned(),
    };
    let number = format!("{line:>5}");
    let code = format!("{}  {text}", style.paint(Paint::Dim, &number));
    let code = code.trim_end();
    if weights.total.samples == 0 {
        return writeln!(out, "{:26}{code}", "");
    }
    writeln!(
        out,
        "{}  {}  {:>8}  {code}",
        column(style, self_, weights.self_),
        column(style, total, weights.total),
        weight(unit, weights.total.weight),
    )
}

/// A share in its column; nothing of nothing.
pub(super) fn column(style: Style, share: f64, amount: Amount) -> String {
    let text = if amount.samples == 0 { String::new() } else { percent(share) };
    style.paint(Paint::for_percent(share), &format!("{text:>6}"))
}

/// The first `width` characters.
pub(super) fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}
