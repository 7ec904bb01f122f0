//! Finds a function's instructions with what they take.

use std::collections::BTreeMap;
use std::path::Path;

use rustc_hash::FxHashMap;
use rz_profile::model::{Module, ModuleId, ModuleKind, Profile};
use rz_profile::symbolize::{
    CodeFile, CodeRange, FunctionLine, ModuleRequest, ModuleSymbols, symbolize, with_code,
};

use super::AnnotateOptions;
use super::disassemble::Disassembly;
use super::files::SourceFile;
use super::page::{CodeInstruction, CodePiece, InstructionSource, ModuleCode, NoCode};
use super::places::{Places, Weights};
use super::source::shown_text;
use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::model::rows::Rows;
use crate::model::trees::min_weight;
use crate::render::format::hex;

/// Instructions that are shown before and behind each one of interest.
const CONTEXT: usize = 6;
/// Longest function that is disassembled, in bytes.
const MAX_CODE: u64 = 4 << 20;

/// A file with code of the function.
struct View<'v> {
    file: &'v CodeFile<'v>,
    bits: u32,
    request: &'v ModuleRequest<'v>,
    /// What an instruction must have to be of interest.
    least: u64,
    options: &'v AnnotateOptions,
}

/// A piece of code, and what is at which address of it.
type Ranges = BTreeMap<(u64, u64), (CodeRange, BTreeMap<u64, Weights>)>;

/// The code of the function, by module and piece. `total` are the function's
/// samples.
pub(super) fn code(
    profile: &Profile,
    places: &Places,
    total: Amount,
    options: &AnnotateOptions,
) -> Vec<ModuleCode> {
    let least = min_weight(total.weight, options.min_percent);
    let mut by_module: BTreeMap<Option<ModuleId>, BTreeMap<u64, Weights>> = BTreeMap::new();
    for (&location, &weights) in &places.locations {
        let location = &profile.locations[location];
        let addresses = by_module.entry(location.module).or_default();
        addresses.entry(location.address).or_default().add(weights);
    }
    let by_module = by_module.into_iter();
    by_module
        .map(|(module, addresses)| {
            let Some(module) = module.map(|id| &profile.modules[id]) else {
                return empty(None, Some(NoCode::NoModule));
            };
            match module.kind {
                ModuleKind::File => module_code(module, &addresses, least, options),
                ModuleKind::Kernel => empty(Some(module), Some(NoCode::Kernel)),
                ModuleKind::Vdso => empty(Some(module), Some(NoCode::Vdso)),
                ModuleKind::Anonymous => empty(Some(module), Some(NoCode::Generated)),
            }
        })
        .collect()
}

/// A module without any code, and why.
fn empty(module: Option<&Module>, no_code: Option<NoCode>) -> ModuleCode {
    let text = |text: &str| clean(text).into_owned();
    ModuleCode {
        module: module.map_or_else(String::new, |module| text(&module.name)),
        path: module.map_or_else(String::new, |module| text(&module.path)),
        file: None,
        is_identified: None,
        no_code,
        pieces: Rows::default(),
        unknown: Amount::default(),
    }
}

/// What the function has of one file.
fn module_code(
    module: &Module,
    addresses: &BTreeMap<u64, Weights>,
    least: u64,
    options: &AnnotateOptions,
) -> ModuleCode {
    let request = ModuleRequest {
        path: Path::new(&module.path),
        build_id: &module.build_id,
        file_size: module.file_size,
        segments: &[],
        offsets: &[],
        debug_dirs: &options.debug_dirs,
    };
    let found = with_code(&request, |file| {
        let mut code = ModuleCode {
            file: Some(clean(&file.path().to_string_lossy()).into_owned()),
            is_identified: Some(file.is_identified()),
            ..empty(Some(module), None)
        };
        match file.x86_bits() {
            Ok(bits) => {
                let view = View { file, bits, request: &request, least, options };
                (code.pieces, code.unknown) = view.pieces(addresses);
            }
            Err(other) => code.no_code = Some(NoCode::Processor(clean(&other).into_owned())),
        }
        code
    });
    found.unwrap_or_else(|cause| {
        let cause = clean(&cause).into_owned();
        empty(Some(module), Some(NoCode::NoFile(cause)))
    })
}

impl View<'_> {
    /// What the function has of the file, and the samples at addresses where no
    /// function is known to be, or behind where a piece is cut.
    fn pieces(&self, addresses: &BTreeMap<u64, Weights>) -> (Rows<CodePiece>, Amount) {
        let mut ranges = Ranges::new();
        let mut unknown = Amount::default();
        for (&address, &weights) in addresses {
            match self.file.function_at(address) {
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
        for (range, at) in ranges.iter().take(self.options.limit) {
            let behind = cut(range).map(|cut_at| at.range(cut_at..));
            behind.into_iter().flatten().for_each(|(_, weights)| unknown.add(weights.total));
        }
        let piece = |(range, at): (CodeRange, BTreeMap<u64, Weights>)| self.piece(&range, &at);
        (Rows::first(self.options.limit, ranges, piece), unknown)
    }

    fn piece(&self, range: &CodeRange, at: &BTreeMap<u64, Weights>) -> CodePiece {
        let cut_at = cut(range);
        let bytes = self.file.bytes(range.start, cut_at.unwrap_or(range.end));
        CodePiece {
            cut_at,
            function: (!range.name.is_empty()).then(|| clean(&range.name).into_owned()),
            start: range.start,
            end: range.end,
            instructions: bytes.map(|bytes| self.instructions(range, bytes, at)),
        }
    }

    /// The instructions to show of a piece of code, whose bytes these are.
    fn instructions(
        &self,
        range: &CodeRange,
        bytes: &[u8],
        at: &BTreeMap<u64, Weights>,
    ) -> Rows<CodeInstruction> {
        let code = Disassembly::new(self.bits, bytes, range.start);
        let mut weights: BTreeMap<usize, Weights> = BTreeMap::new();
        for (&address, &more) in at {
            if let Some(index) = code.at(address) {
                weights.entry(index).or_default().add(more);
            }
        }
        let shown = shown(&weights, self.least, code.len());
        let texts = code.texts(&shown, |address| self.name_of(address, range));
        let mut lines = Lines::of(self, &code, &shown);
        let instruction = |(row, (&index, text)): (usize, (&usize, &String))| CodeInstruction {
            address: code.address(index),
            bytes: hex(code.bytes(index)),
            text: clean(text).into_owned(),
            target: code.target(index),
            amounts: weights.get(&index).copied().unwrap_or_default().into(),
            source: lines.source(row),
        };
        let rows = shown.iter().zip(&texts).enumerate().map(instruction).collect();
        Rows { rows, left_out: (code.len() - shown.len()) as u64 }
    }

    /// What code elsewhere than in `here` is called.
    fn name_of(&self, address: u64, here: &CodeRange) -> Option<String> {
        let target = self.file.function_at(address).filter(|target| !target.name.is_empty())?;
        match address - target.start {
            _ if (here.start..here.end).contains(&address) => None,
            0 => Some(target.name),
            offset => Some(format!("{}+{offset:#x}", target.name)),
        }
    }
}

/// Where a piece of code is cut, if it is too long to be disassembled.
fn cut(range: &CodeRange) -> Option<u64> {
    Some(range.start.saturating_add(MAX_CODE)).filter(|&cut_at| cut_at < range.end)
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
}

impl<'v> Lines<'v> {
    /// Looks up the lines of the shown instructions.
    fn of(view: &View<'v>, code: &Disassembly, shown: &[usize]) -> Self {
        let mut offsets = Vec::with_capacity(shown.len());
        let mut rows = Vec::with_capacity(shown.len());
        for &index in shown {
            // Addresses and offsets ascend together in a piece of code.
            let offset = view.file.offset(code.address(index));
            let offset = offset.filter(|offset| offsets.last().is_none_or(|last| last < offset));
            rows.push(offset.map(|_| offsets.len()));
            offsets.extend(offset);
        }
        let request = ModuleRequest { offsets: &offsets, ..*view.request };
        let mut symbols = symbolize(&[request], &view.options.symbols);
        Lines {
            symbols: symbols.modules.pop().unwrap_or_default(),
            rows,
            files: FxHashMap::default(),
            options: view.options,
            binary: view.file.path().to_string_lossy().into_owned(),
        }
    }

    /// The line that the instruction of a row comes from.
    fn source(&mut self, row: usize) -> Option<InstructionSource> {
        let calls = self.symbols.calls.get((*self.rows.get(row)?)?)?;
        let FunctionLine { name, file, line, .. } = calls.first()?;
        let file = file.as_deref().filter(|_| *line > 0)?;
        let (dirs, binary) = (&self.options.sources.dirs, &self.binary);
        let source = self
            .files
            .entry(file.to_owned())
            .or_insert_with(|| SourceFile::find(file, dirs, binary));
        let text = source.as_ref().and_then(|source| source.line(*line));
        Some(InstructionSource {
            function: clean(name).into_owned(),
            inlined: calls.len() > 1,
            file: clean(file).into_owned(),
            line: *line,
            text: text.map(|text| shown_text(text.trim())),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::views::annotate::tests::options;

    #[test]
    fn tabs_in_a_line_are_spaces() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.c"), "\tint a;\t// \u{1b}\n").unwrap();
        let options = options("f", true, dir.path());
        let file = Some("/build/a.c".into());
        let call =
            FunctionLine { name: "f".into(), system_name: "f".into(), file, line: 1, column: 0 };
        let mut lines = Lines {
            symbols: ModuleSymbols { calls: vec![vec![call]], ..ModuleSymbols::default() },
            rows: vec![Some(0)],
            files: FxHashMap::default(),
            options: &options,
            binary: String::new(),
        };
        let text = lines.source(0).and_then(|source| source.text);
        assert_eq!(text.as_deref(), Some("int a;    // ?"));
    }
}
