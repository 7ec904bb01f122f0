//! Shows where in a function weight is: by lines of its source, or by its
//! instructions.

mod asm;
mod choose;
mod files;
mod places;
mod source;
mod x86_64;

use std::io::{self, Write};
use std::path::PathBuf;

use rz_profile::model::{EventId, Profile};
use rz_profile::symbolize::SymbolizeOptions;

use crate::model::clean::clean;
use crate::render::format::{count, counted, percent, percent_of, weight, weight_title};
use crate::render::style::{Paint, Style};
use crate::render::table::{Row, write_table};
use crate::render::title::{some_of, write_title};
use crate::views::header::write_header;
use crate::views::summary::{with_samples, write_no_samples};
use choose::Candidate;
pub use choose::{Choice, choose};
use places::Places;
use x86_64::disassemble;

/// What to show of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotateOptions {
    /// Its name, or a part or a regular expression of it.
    pub function: String,
    /// Whether to show instructions, not lines of the source.
    pub asm: bool,
    /// Where to look for sources first.
    pub source_dirs: Vec<PathBuf>,
    /// Where to look for source maps first, whose texts of sources are shown.
    pub source_maps: Vec<PathBuf>,
    /// Where to look for binaries first.
    pub debug_dirs: Vec<PathBuf>,
    /// How to find names in what is there.
    pub symbols: SymbolizeOptions,
    /// Lines and instructions with less than this share of the function, in
    /// percent, are shown only near others.
    pub min_percent: f64,
    /// Functions, files and places that are listed, at most.
    pub limit: usize,
}

/// Writes the header, and the function that `options` name with what of
/// `event` is where in it. If several functions may be meant, these are listed
/// instead.
pub fn write_annotated(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    options: &AnnotateOptions,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    let Some(event) = with_samples(profile, event) else {
        writeln!(out)?;
        return write_no_samples(out, profile, event);
    };
    let all = profile.total_weight(event);
    let chosen = match choose(profile, event, &options.function) {
        Choice::One(candidate) => candidate,
        Choice::None => {
            let wanted = clean(&options.function);
            let event = clean(&profile.events[event].name);
            return writeln!(out, "\nno function in the samples of {event} matches {wanted}");
        }
        Choice::Several(candidates) => {
            return write_candidates(out, style, (profile, event), &candidates, options);
        }
    };
    let Candidate { name, functions, self_, total } = &chosen;
    let share = |weight| percent(percent_of(weight, all));
    let unit = profile.events[event].unit;
    let note = format!(
        "self {} = {}, total {} = {}, {}",
        share(self_.weight),
        weight(unit, self_.weight),
        share(total.weight),
        weight(unit, total.weight),
        counted(total.samples, "sample"),
    );
    writeln!(out, "\n{}", style.paint(Paint::Bold, &clean(name)))?;
    writeln!(out, "  {}", style.paint(Paint::Dim, &note))?;
    let places = Places::of(profile, event, functions);
    match options.asm {
        true => asm::write_asm(out, style, (profile, event), &places, *total, options),
        false => source::write_source(out, style, (profile, event), &places, *total, options),
    }
}

/// Writes which functions may be meant.
fn write_candidates(
    out: &mut dyn Write,
    style: Style,
    (profile, event): (&Profile, EventId),
    candidates: &[Candidate],
    options: &AnnotateOptions,
) -> io::Result<()> {
    let all = profile.total_weight(event);
    let unit = profile.events[event].unit;
    let shown = candidates.len().min(options.limit);
    let functions = count(candidates.len() as u64);
    let note = format!(
        "{functions} match {}: name one of them{}",
        clean(&options.function),
        some_of(shown, candidates.len())
    );
    write_title(out, style, "FUNCTIONS", &note)?;
    let row = |candidate: &Candidate| {
        let mut numbers = crate::views::summary::share(candidate.self_, all, unit).to_vec();
        numbers.extend(crate::views::summary::share(candidate.total, all, unit));
        Row { numbers, text: clean(&candidate.name).into_owned(), suffix: String::new() }
    };
    let rows: Vec<Row> = candidates[..shown].iter().map(row).collect();
    let title = weight_title(unit);
    write_table(out, style, &["self", title, "total", title, "function"], &rows)
}
