//! Says what all code of a trace is called, for those who put it there.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use rz_format::{Block, BlockKind, Frame, TextId};

use super::brought_names::BroughtNames;
use super::dictionary::StackDictionary;
use super::facts::Facts;
use super::locations::{Known, Locations, note_of, resolve};
use super::texts::Texts;
use super::{LoadError, LoadOptions, open};
use crate::symbolize::names::Names;
use crate::symbolize::{Call, SymbolizeOptions};

/// What is known of the code of a trace whose files were looked for.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    /// By module id, in order of appearance.
    pub(crate) modules: Vec<(u32, ModuleNames)>,
    texts: Texts,
}

/// What is known of the code of one module.
#[derive(Debug, Default)]
pub(crate) struct ModuleNames {
    /// What is amiss, in one sentence; empty if nothing is.
    pub(crate) note: String,
    /// All code that stacks have of it, ascending.
    pub(crate) code: Vec<CodeNames>,
}

/// What is known of the code at one offset.
#[derive(Debug)]
pub(crate) struct CodeNames {
    pub(crate) offset: u64,
    /// Address in the module's own numbering.
    pub(crate) address: u64,
    /// Where the function starts, as far as only that is known; else the
    /// address.
    pub(crate) start: u64,
    /// Calls there, innermost first; empty if no name is known.
    pub(crate) calls: Vec<Call>,
}

impl Naming {
    /// Looks for the files of all code that stacks of the trace at `path` have,
    /// in `debug_dirs` and where they were, also of modules that have names in
    /// the trace. Those are kept where nothing better is found.
    pub(crate) fn of(
        path: &Path,
        debug_dirs: &[PathBuf],
        symbols: &SymbolizeOptions,
    ) -> Result<Naming, LoadError> {
        let options = LoadOptions {
            debug_dirs: debug_dirs.to_vec(),
            symbols: symbols.clone(),
            ..LoadOptions::default()
        };
        let (mut reader, _) = open(path)?;
        let mut facts = Facts::default();
        let mut names = BroughtNames::default();
        let mut stacks = StackDictionary::default();
        let wanted = |kind| {
            let definitions = [BlockKind::RECORDS, BlockKind::STACKS];
            definitions.contains(&kind) || [BlockKind::TEXTS, BlockKind::NAMES].contains(&kind)
        };
        while let Some(block) =
            reader.next_block_if(wanted).map_err(|cause| LoadError::of(path, cause))?
        {
            match block {
                Block::Records(records) => {
                    facts.start_block();
                    records.into_iter().for_each(|record| facts.add(record));
                }
                Block::Stacks(definitions) => stacks.add(definitions),
                Block::Texts(definitions) => names.texts.add(definitions),
                Block::Names(rows) => names.add(rows),
                _ => {}
            }
        }
        Ok(Naming::new(&facts, names, &stacks, &options))
    }

    fn new(
        facts: &Facts,
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
        Naming { modules, texts: brought.texts }
    }

    /// The number that each text has in the trace already.
    pub(crate) fn known_texts(&self) -> FxHashMap<&[u8], TextId> {
        self.texts.iter().map(|(id, text)| (text, id)).collect()
    }
}
