//! Says what all code of a trace is called, for those who put it there.

use std::mem::take;
use std::path::Path;

use rustc_hash::FxHashMap;
use rz_format::{BlockHeader, BlockKind, CodeLine, CodeObject, Frame, LineTable, TextId};

use super::brought_names::BroughtNames;
use super::dictionary::StackDictionary;
use super::facts::Facts;
use super::jit::{GeneratedCode, call_at};
use super::locations::{Known, Locations, note_of, resolve};
use super::pass::{CallRows, Defined, Pass};
use super::selection::Selection;
use super::texts::Texts;
use super::{LoadError, LoadOptions};
use crate::model::{FrameKind, Location, Profile};
use crate::source_map;
use crate::symbolize::FunctionLine;
use crate::symbolize::names::Names;

/// Places of generated code that are looked up in source maps, at most.
const MAX_MAPPED: usize = 1 << 20;

/// What is known of the code of a trace whose files were looked for.
#[derive(Debug, Default)]
pub struct Naming {
    /// By module id, in order of appearance.
    pub modules: Vec<(u32, ModuleNames)>,
    /// Generated code that source maps say more of than the process did.
    pub mapped: Vec<MappedCode>,
    /// Code objects, by id, that source maps say more of than the runtime did: as they
    /// are in the source, with the lines of positions that frames have.
    pub mapped_objects: FxHashMap<u32, CodeObject>,
    /// What is amiss, one sentence each.
    pub notes: Vec<String>,
    texts: Texts,
}

/// What generated code was made from.
#[derive(Debug)]
pub struct MappedCode {
    /// Its module.
    pub module: u32,
    /// Where it is in that, as frames say it.
    pub offset: u64,
    /// From when on it was there.
    pub from_ns: u64,
    /// What it was made from.
    pub call: FunctionLine,
}

/// What is known of the code of one module.
#[derive(Debug, Default)]
pub struct ModuleNames {
    /// What is amiss, in one sentence; empty if nothing is.
    pub note: String,
    /// All code that stacks have of it, ascending.
    pub code: Vec<CodeNames>,
}

/// What is known of the code at one offset.
#[derive(Debug)]
pub struct CodeNames {
    /// As frames say it.
    pub offset: u64,
    /// Address in the module's own numbering.
    pub address: u64,
    /// Where the function starts, as far as only that is known; else the
    /// address.
    pub start: u64,
    /// Calls there, innermost first; empty if no name is known.
    pub calls: Vec<FunctionLine>,
}

impl Naming {
    /// Looks for the files of all code that stacks of the trace at `path` have,
    /// where `options` say and where they were, also of modules that have names
    /// in the trace. Those are kept where nothing better is found.
    pub fn of(path: &Path, options: &LoadOptions) -> Result<Naming, LoadError> {
        const DEFINITIONS: [BlockKind; 4] =
            [BlockKind::RECORDS, BlockKind::STACKS, BlockKind::TEXTS, BlockKind::NAMES];
        let everything = Selection::default();
        let mut pass = Pass::open(path, &everything, None)?;
        let wanted = |block: &BlockHeader| DEFINITIONS.contains(&block.kind);
        pass.run(wanted, CallRows::Bare, &mut []).map_err(|cause| LoadError::of(path, cause))?;
        let Defined { facts, names, stacks, .. } = pass.defined;
        Ok(Naming::new(facts, names, &stacks, options))
    }

    fn new(
        mut facts: Facts,
        brought: BroughtNames,
        stacks: &StackDictionary,
        options: &LoadOptions,
    ) -> Naming {
        let frames: &[Frame] = stacks.frames.values();
        let mut touched = vec![false; frames.len()];
        for node in stacks.stacks.values() {
            if let Some(frame) = stacks.frames.index_of(node.frame) {
                touched[frame] = true;
            }
        }
        let generated = GeneratedCode::new(take(&mut facts.generated));
        let facts = &facts;
        let mut locations = Locations::default();
        let all = locations.look_up(facts, None, frames, &touched, options);
        let mut shared = Names::default();
        let mut modules = Vec::new();
        for (module, known) in facts.modules.values().iter().zip(&all) {
            let Known::File(offsets, symbols) = known else { continue };
            let code = offsets.iter().map(|&offset| {
                let brought = brought.find(module.id, offset, 0, &mut shared);
                let (address, start, calls) = resolve(known, brought.as_ref(), offset);
                CodeNames { offset, address, start, calls: calls.to_vec() }
            });
            let code = code.collect();
            let note = note_of(facts, module.id, symbols).unwrap_or_default().to_owned();
            modules.push((module.id, ModuleNames { note, code }));
        }
        let notes = take(&mut locations.notes);
        let touched = frames.iter().zip(&touched).filter(|(_, touched)| **touched);
        let touched = touched.map(|(frame, _)| frame);
        let mapped_objects = mapped_objects(touched.clone(), facts, options);
        let mapped = mapped(touched, &generated, &brought, options);
        Naming { modules, mapped, mapped_objects, notes, texts: brought.texts }
    }

    /// The number that each text has in the trace already.
    pub fn known_texts(&self) -> FxHashMap<&[u8], TextId> {
        self.texts.iter().map(|(id, text)| (text, id)).collect()
    }
}

/// What source maps say of code objects.
fn mapped_objects<'f>(
    frames: impl Iterator<Item = &'f Frame>,
    facts: &Facts,
    options: &LoadOptions,
) -> FxHashMap<u32, CodeObject> {
    let runtime = |frame: &Frame| match *frame {
        Frame::Runtime { code, position, .. } => {
            Some((facts.code_objects.get(code)?, u32::try_from(position).ok()?))
        }
        _ => None,
    };
    let mut places: Vec<_> = frames.filter_map(runtime).collect();
    places.sort_by_key(|(code, position)| (code.id, *position));
    places.dedup_by_key(|(code, position)| (code.id, *position));
    let (mut locations, mut names) = (Locations::default(), Names::default());
    for (code, position) in &places {
        let location = locations.runtime_code(code, (*position).into(), &mut names);
        locations.add(location);
    }
    let Locations { functions, locations, .. } = locations;
    let mut profile = Profile { functions, locations, ..Profile::default() };
    source_map::apply(&mut profile, &options.source_maps);
    let lines = profile.locations.iter().filter_map(|location| location.lines.first());
    let mut found: FxHashMap<u32, CodeObject> = FxHashMap::default();
    let mut tables: FxHashMap<u32, Vec<CodeLine>> = FxHashMap::default();
    for ((code, position), line) in places.into_iter().zip(lines) {
        let function = &profile.functions[line.function];
        if function.file != code.file {
            found.entry(code.id).or_insert_with(|| CodeObject {
                name: function.name.clone(),
                qualified_name: String::new(),
                file: function.file.clone(),
                // Where it begins in that file is not known.
                first_line: 0,
                first_column: 0,
                ..code.clone()
            });
        }
        // A bundler may have put code of another file into it, or some that no map knows:
        // that has no line, and not the one that holds before it either.
        let is_there = found.get(&code.id).is_some_and(|mapped| mapped.file == function.file);
        let (line, column) = if is_there { (line.line, line.column) } else { (0, 0) };
        let table = tables.entry(code.id).or_default();
        table.push(CodeLine { start: position, line, column });
    }
    for (id, table) in tables {
        found.entry(id).and_modify(|code| code.lines = LineTable::new(table));
    }
    found
}

/// What source maps say of generated code, at any time.
fn mapped<'f>(
    frames: impl Iterator<Item = &'f Frame>,
    generated: &GeneratedCode,
    brought: &BroughtNames,
    options: &LoadOptions,
) -> Vec<MappedCode> {
    let mut names = Names::default();
    let mut found: Vec<MappedCode> = Vec::new();
    for frame in frames {
        let Frame::Code { module, offset } = *frame else { continue };
        let mut codes: Vec<_> = generated.all_at(module, offset).collect();
        // As in a profile, that of the latest comes first.
        codes.sort_by_key(|&(id, code)| std::cmp::Reverse((code.from_ns, id)));
        codes.dedup_by_key(|(_, code)| code.from_ns);
        for (_, code) in codes {
            let known = brought.find(module, offset, code.from_ns, &mut names);
            let call = call_at(code, offset, &mut names);
            let has_place = call.file.is_some() && call.column > 0;
            let is_new = known.is_none_or(|known| known.calls.is_empty());
            if has_place && is_new && found.len() < MAX_MAPPED {
                found.push(MappedCode { module, offset, from_ns: code.from_ns, call });
            }
        }
    }
    let mut locations = Locations::default();
    for code in &found {
        let line = locations.line_of(&code.call, code.module as usize);
        let (kind, address) = (FrameKind::Jit, code.offset);
        locations.add(Location { kind, address, lines: vec![line], ..Location::default() });
    }
    let Locations { functions, locations, .. } = locations;
    let mut profile = Profile { functions, locations, ..Profile::default() };
    source_map::apply(&mut profile, &options.source_maps);
    let mut locations = profile.locations.iter();
    found.retain_mut(|code| {
        let Some(line) = locations.next().and_then(|location| location.lines.first()) else {
            return false;
        };
        let function = &profile.functions[line.function];
        let call = FunctionLine {
            name: function.name.as_str().into(),
            system_name: function.system_name.as_str().into(),
            file: Some(function.file.as_str().into()),
            line: line.line,
            column: line.column,
        };
        let is_mapped = call != code.call;
        code.call = call;
        is_mapped
    });
    found
}
