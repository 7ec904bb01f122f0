//! Finds lines of a function's source with what they take.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use rustc_hash::FxHashMap;
use rz_profile::model::{FunctionId, Profile};
use rz_profile::source_map::{Content, NoContent, contents};

use super::AnnotateOptions;
use super::files::{AboutMap, SourceFile, SourcePlaces};
use super::page::{SourceLine, SourcePart, SourceText};
use super::places::{Places, Weights};
use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::model::rows::Rows;
use crate::model::symbols::Symbol;
use crate::model::trees::min_weight;

/// Lines that are shown before and behind each one of interest.
const CONTEXT: u32 = 4;

/// A part of the function: the lines that one function has in one file.
struct Part {
    function: FunctionId,
    inlined: bool,
    weights: Weights,
    lines: BTreeMap<u32, Weights>,
}

/// The lines of each file that the function's code comes from: its own, then
/// those of what is inlined into it. `total` are the function's samples.
pub(super) fn sources(
    profile: &Profile,
    places: &Places,
    total: Amount,
    options: &AnnotateOptions,
) -> Rows<SourcePart> {
    let least = min_weight(total.weight, options.min_percent);
    let parts = parts(places);
    let is_shown = |part: &&Part| !part.inlined || part.weights.total.weight >= least;
    let shown: Vec<&Part> = parts.iter().filter(is_shown).take(options.limit).collect();
    let with_lines = shown.iter().filter(|part| part.lines.keys().any(|&line| line > 0));
    let functions: Vec<FunctionId> = with_lines.map(|part| part.function).collect();
    let carried = contents(profile, &functions, &options.sources.maps);
    let left_out = (parts.len() - shown.len()) as u64;
    let shown_part = |part: &&Part| {
        let carried = carried.get(&profile.functions[part.function].file);
        source_part(profile, part, carried, least, options)
    };
    Rows { rows: shown.iter().map(shown_part).collect(), left_out }
}

/// The parts of a function: itself, then what is inlined, the heaviest first.
fn parts(places: &Places) -> Vec<Part> {
    // Whether a function is inlined here follows from which one it is.
    let mut lines: FxHashMap<FunctionId, BTreeMap<u32, Weights>> = FxHashMap::default();
    for (key, &weights) in &places.lines {
        lines.entry(key.function).or_default().insert(key.line, weights);
    }
    let functions = places.functions.iter();
    let mut parts: Vec<Part> = functions
        .map(|(&(function, inlined), &weights)| {
            let lines = lines.remove(&function).unwrap_or_default();
            Part { function, inlined, weights, lines }
        })
        .collect();
    parts.sort_by_key(|part| {
        (part.inlined, std::cmp::Reverse(part.weights.total.weight), part.function)
    });
    parts
}

/// What is shown of one part; a source map has `carried` of its source.
fn source_part(
    profile: &Profile,
    part: &Part,
    carried: Option<&Result<Content, NoContent>>,
    least: u64,
    options: &AnnotateOptions,
) -> SourcePart {
    let function = &profile.functions[part.function];
    let module = function.module.map(|id| &profile.modules[id]);
    let mut lines = part.lines.clone();
    let unknown = lines.remove(&0);
    let last = lines.keys().next_back().copied();
    let found = last.map(|last| find_text(profile, part.function, last, carried, &options.sources));
    let FoundText { file, about, no_text_cause } = found.unwrap_or_default();
    SourcePart {
        symbol: Symbol {
            name: clean(&function.name).into_owned(),
            module: module.map_or_else(String::new, |module| clean(&module.name).into_owned()),
        },
        inlined: part.inlined,
        amounts: part.weights.into(),
        file: (!function.file.is_empty()).then(|| clean(&function.file).into_owned()),
        text: about,
        no_text_cause,
        lines: last.map(|_| source_lines(&lines, least, file.as_ref())),
        unknown_lines: unknown.map(Into::into),
    }
}

/// The text of a source, if it is found.
#[derive(Default)]
pub(crate) struct FoundText {
    /// The text.
    pub(crate) file: Option<SourceFile>,
    /// Where it is from.
    pub(crate) about: Option<SourceText>,
    /// Why a source map, which should carry it, has no text either.
    pub(crate) no_text_cause: Option<String>,
}

/// Finds the text of a function's source, of which `last` is the last line that is
/// known; a source map has `carried` of it.
pub(crate) fn find_text(
    profile: &Profile,
    function: FunctionId,
    last: u32,
    carried: Option<&Result<Content, NoContent>>,
    places: &SourcePlaces,
) -> FoundText {
    let function = &profile.functions[function];
    let binary = function.module.map_or("", |id| &profile.modules[id].path);
    let file = SourceFile::find(&function.file, &places.dirs, binary);
    let (file, about_map) = SourceFile::or_carried(file, carried);
    let (other_text, no_text_cause) = match about_map {
        None => (None, None),
        Some(AboutMap::Other(other)) => (Some(other), None),
        Some(AboutMap::NoText(cause)) => (None, Some(clean(&cause.to_string()).into_owned())),
    };
    let about = file.as_ref().map(|file| SourceText {
        path: file.shown_path(),
        is_elsewhere: file.path.as_os_str() != function.file.as_str(),
        is_newer: is_newer(file.modified, binary),
        is_shorter: last > file.last_line(),
        other_text,
    });
    FoundText { file, about, no_text_cause }
}

/// Whether a source was written after the binary; `None` if that is not known
/// of both.
fn is_newer(written: Option<SystemTime>, binary: &str) -> Option<bool> {
    let built = fs::metadata(binary).and_then(|meta| meta.modified()).ok()?;
    Some(written? > built)
}

/// The lines of one part that are shown; `lines` are those with samples.
fn source_lines(
    lines: &BTreeMap<u32, Weights>,
    least: u64,
    file: Option<&SourceFile>,
) -> Rows<SourceLine> {
    let shown = shown_lines(lines, least, file);
    let with_samples = shown.iter().filter(|line| lines.contains_key(line)).count();
    let row = |&line: &u32| SourceLine {
        line,
        text: file.and_then(|file| file.line(line)).map(shown_text),
        amounts: lines.get(&line).copied().unwrap_or_default().into(),
    };
    Rows { left_out: (lines.len() - with_samples) as u64, rows: shown.iter().map(row).collect() }
}

/// A line of a source as it is shown.
pub(crate) fn shown_text(text: &str) -> String {
    clean(&text.replace('\t', "    ")).trim_end().to_owned()
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
        .filter(|pair| pair[1] - pair[0] == 2 && file.is_some())
        .map(|pair| pair[0] + 1)
        .collect();
    shown.extend(gaps);
    shown.sort_unstable();
    shown
}
