//! Shows a function's instructions with what they take.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use rustc_hash::FxHashMap;
use rz_profile::model::{EventId, Module, ModuleId, ModuleKind, Profile, Unit};
use rz_profile::symbolize::{
    Call, CodeFile, CodeRange, ModuleRequest, ModuleSymbols, symbolize, with_code,
};

use super::AnnotateOptions;
use super::disassemble::Disassembly;
use super::files::SourceFile;
use super::places::{Places, Weights};
use super::source::{column, cut};
use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::render::format::{percent, percent_of, weight, weight_title};
use crate::render::style::{Paint, Style};
use crate::render::title::write_title;

/// Instructions that are shown before and behind each one of interest.
const CONTEXT: usize = 6;
/// Longest function that is disassembled, in bytes.
const MAX_CODE: u64 = 4 << 20;
/// Columns that a terminal has for instructions, at least.
const MIN_ROOM: usize = 24;

/// What is the same for all of a view.
struct View<'v> {
    style: Style,
    unit: Unit,
    /// The weight of all samples.
    all: u64,
    /// What an instruction must have to be of interest.
    least: u64,
    options: &'v AnnotateOptions,
}

/// A piece of code, and what is at which address of it.
type Ranges = BTreeMap<(u64, u64), (CodeRange, BTreeMap<u64, Weights>)>;

/// Writes the code of the function, by module and piece.
pub(super) fn write_asm(
    out: &mut dyn Write,
    style: Style,
    (profile, event): (&Profile, EventId),
    places: &Places,
    total: Amount,
    options: &AnnotateOptions,
) -> io::Result<()> {
    let least = crate::model::trees::min_weight(total.weight, options.min_percent);
    let (all, unit) = (profile.total_weight(event), profile.events[event].unit);
    let view = View { style, unit, all, least, options };
    let mut by_module: BTreeMap<Option<ModuleId>, BTreeMap<u64, Weights>> = BTreeMap::new();
    for (&location, &weights) in &places.locations {
        let location = &profile.locations[location];
        let addresses = by_module.entry(location.module).or_default();
        addresses.entry(location.address).or_default().add(weights);
    }
    for (module, addresses) in by_module {
        match module.map(|id| &profile.modules[id]) {
            Some(module) if module.kind == ModuleKind::File => {
                write_module(out, &view, module, &addresses)?;
            }
            module => {
                let what = match module.map(|module| module.kind) {
                    Some(ModuleKind::Kernel) => "the kernel's code",
                    Some(ModuleKind::Vdso) => "code of the vDSO",
                    Some(_) => "generated code",
                    None => "what has no code",
                };
                note(out, style, &format!("{what} cannot be shown: it is in no file"))?;
            }
        }
    }
    Ok(())
}

/// Writes a line that is no code.
fn note(out: &mut dyn Write, style: Style, text: &str) -> io::Result<()> {
    writeln!(out, "  {}", style.paint(Paint::Dim, &clean(text)))
}

/// Writes what the function has of one file.
fn write_module(
    out: &mut dyn Write,
    view: &View,
    module: &Module,
    addresses: &BTreeMap<u64, Weights>,
) -> io::Result<()> {
    let request = ModuleRequest {
        path: Path::new(&module.path),
        build_id: &module.build_id,
        file_size: module.file_size,
        segments: &[],
        offsets: &[],
        debug_dirs: &view.options.debug_dirs,
    };
    let written = with_code(&request, |file| write_file(out, view, file, &request, addresses));
    match written {
        Ok(written) => written,
        Err(cause) => note(out, view.style, &format!("{}: {cause}", module.path)),
    }
}

fn write_file(
    out: &mut dyn Write,
    view: &View,
    file: &CodeFile,
    request: &ModuleRequest,
    addresses: &BTreeMap<u64, Weights>,
) -> io::Result<()> {
    let bits = match file.x86_bits() {
        Ok(bits) => bits,
        Err(other) => {
            let path = file.path().display();
            return note(out, view.style, &format!("{path} has code for {other}, not for x86"));
        }
    };
    if !file.is_identified() {
        let path = file.path().display();
        note(out, view.style, &format!("{path} has no build-id: it may be another build"))?;
    }
    let mut ranges = Ranges::new();
    let mut unknown = Amount::default();
    for (&address, &weights) in addresses {
        match file.function_at(address) {
            Some(range) => {
                let key = (range.start, range.end);
                let (_, at) = ranges.entry(key).or_insert_with(|| (range, BTreeMap::new()));
                at.insert(address, weights);
            }
            None => unknown.add(weights.total),
        }
    }
    let heaviest = |at: &BTreeMap<u64, Weights>| at.values().map(|w| w.total.weight).max();
    let mut ranges: Vec<_> = ranges.into_values().collect();
    ranges.sort_by_key(|(_, at)| std::cmp::Reverse(heaviest(at)));
    for (range, at) in ranges.iter().take(view.options.limit) {
        write_range(out, view, (file, bits), request, range, at)?;
    }
    if unknown.samples > 0 {
        let share = percent(percent_of(unknown.weight, view.all));
        note(out, view.style, &format!("{share} are where no function is known to be"))?;
    }
    Ok(())
}

/// Writes the instructions of one piece of code.
fn write_range(
    out: &mut dyn Write,
    view: &View,
    (file, bits): (&CodeFile, u32),
    request: &ModuleRequest,
    range: &CodeRange,
    at: &BTreeMap<u64, Weights>,
) -> io::Result<()> {
    let name = match range.name.as_str() {
        "" => "no name",
        name => name,
    };
    let what = format!("{}  {:#x} of {}", clean(name), range.start, file.path().display());
    write_title(out, view.style, "CODE", &clean(&what))?;
    let end = range.end.min(range.start.saturating_add(MAX_CODE));
    let Some(bytes) = file.bytes(range.start, end) else {
        return note(out, view.style, "its bytes are not in the file");
    };
    let code = Disassembly::new(bits, bytes, range.start);
    let mut weights: BTreeMap<usize, Weights> = BTreeMap::new();
    for (&address, &more) in at {
        if let Some(index) = code.at(address) {
            weights.entry(index).or_default().add(more);
        }
    }
    let shown = shown(&weights, view.least, code.len());
    let is_here = |address| (range.start..range.end).contains(&address);
    let name_of = |address: u64| {
        let target = file.function_at(address).filter(|target| !target.name.is_empty())?;
        match address - target.start {
            _ if is_here(address) => None,
            0 => Some(target.name),
            offset => Some(format!("{}+{offset:#x}", target.name)),
        }
    };
    let texts = code.texts(&shown, name_of);
    let mut lines = Lines::of(file, request, &code, &shown, view.options);
    let time = weight_title(view.unit);
    let header = format!("{:>6}  {:>6}  {time:>8}  {:>8}  instruction", "self", "total", "address");
    writeln!(out, "{}", view.style.paint(Paint::Dim, &header))?;
    let room = |taken: usize| {
        view.style.width.map_or(usize::MAX, |width| width.saturating_sub(taken).max(MIN_ROOM))
    };
    let mut before = None;
    for (row, (&index, text)) in shown.iter().zip(&texts).enumerate() {
        if before.is_some_and(|before| index > before + 1) {
            writeln!(out, "{}", view.style.paint(Paint::Dim, &format!("{:>34}", "…")))?;
            lines.start_anew();
        }
        before = Some(index);
        if let Some(line) = lines.new_line(row) {
            let line = cut(&clean(&line), room(36));
            writeln!(out, "{:36}{}", "", view.style.paint(Paint::Dim, &line))?;
        }
        let weights = weights.get(&index).copied().unwrap_or_default();
        let numbers = match weights.total.samples {
            0 => format!("{:24}", ""),
            _ => {
                let share = |amount: Amount| percent_of(amount.weight, view.all);
                format!(
                    "{}  {}  {:>8}",
                    column(view.style, share(weights.self_), weights.self_),
                    column(view.style, share(weights.total), weights.total),
                    weight(view.unit, weights.total.weight),
                )
            }
        };
        let address = format!("{:>8x}", code.address(index));
        let address = view.style.paint(Paint::Dim, &address);
        writeln!(out, "{numbers}  {address}  {}", cut(&clean(text), room(36)))?;
    }
    Ok(())
}

/// The instructions to show, in order: those of interest, and what is around
/// them.
fn shown(weights: &BTreeMap<usize, Weights>, least: u64, count: usize) -> Vec<usize> {
    let mut shown = Vec::new();
    let of_interest = weights.iter().filter(|(_, weights)| weights.total.weight >= least);
    for (&index, _) in of_interest {
        shown.extend(index.saturating_sub(CONTEXT)..=(index + CONTEXT).min(count - 1));
    }
    shown.sort_unstable();
    shown.dedup();
    shown
}

/// Which lines of sources instructions come from.
struct Lines<'v> {
    symbols: ModuleSymbols,
    /// The source of each row.
    rows: Vec<Option<usize>>,
    files: FxHashMap<String, Option<SourceFile>>,
    options: &'v AnnotateOptions,
    binary: String,
    last: Option<(String, u32)>,
}

impl<'v> Lines<'v> {
    /// Looks up the lines of the shown instructions.
    fn of(
        file: &CodeFile,
        request: &ModuleRequest,
        code: &Disassembly,
        shown: &[usize],
        options: &'v AnnotateOptions,
    ) -> Self {
        let mut offsets = Vec::with_capacity(shown.len());
        let mut rows = Vec::with_capacity(shown.len());
        for &index in shown {
            // Addresses and offsets ascend together in a piece of code.
            let offset = file.offset(code.address(index));
            let offset = offset.filter(|offset| offsets.last().is_none_or(|last| last < offset));
            rows.push(offset.map(|_| offsets.len()));
            offsets.extend(offset);
        }
        let mut symbols =
            symbolize(&[ModuleRequest { offsets: &offsets, ..*request }], &options.symbols);
        Lines {
            symbols: symbols.modules.pop().unwrap_or_default(),
            rows,
            files: FxHashMap::default(),
            options,
            binary: file.path().to_string_lossy().into_owned(),
            last: None,
        }
    }

    /// The next row says where it comes from, even if that is where the one
    /// before does.
    fn start_anew(&mut self) {
        self.last = None;
    }

    /// Where the instruction of a row comes from, unless the one before does,
    /// too: place and text of the line, and the function if that is inlined.
    fn new_line(&mut self, row: usize) -> Option<String> {
        let calls = self.symbols.calls.get((*self.rows.get(row)?)?)?;
        let Call { name, file, line, .. } = calls.first()?;
        let file = file.as_deref()?;
        if *line == 0 || self.last.as_ref().is_some_and(|last| last.0 == file && last.1 == *line) {
            return None;
        }
        self.last = Some((file.to_owned(), *line));
        let (dirs, binary) = (&self.options.source_dirs, &self.binary);
        let source = self
            .files
            .entry(file.to_owned())
            .or_insert_with(|| SourceFile::find(file, dirs, binary));
        let text = source.as_ref().and_then(|source| source.line(*line)).unwrap_or_default();
        let short = file.rsplit('/').next().unwrap_or(file);
        let inlined = if calls.len() > 1 { format!(" ({name}, inlined)") } else { String::new() };
        Some(format!("{short}:{line}{inlined}  {}", text.trim()).trim_end().to_owned())
    }
}
