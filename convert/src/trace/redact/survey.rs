//! Looks through a trace for what has to be known before anything is changed.

use std::path::Path;

use rustc_hash::FxHashSet;
use rz_format::{Block, BlockHeader, BlockKind, Module, ModuleKind, Record, TextId};

use super::paths::Paths;
use super::system::{is_of_system, without_deleted};
use crate::trace::merge::{MergeError, open};

/// Things that are remembered of each kind, at most.
const MAX_KNOWN: usize = 1 << 22;

/// What is known of a trace.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Modules that are files of the system.
    pub(super) system_modules: FxHashSet<u32>,
    /// Texts that names of code refer to.
    pub(super) of_names: FxHashSet<TextId>,
    /// Texts that functions were called with.
    pub(super) of_functions: FxHashSet<TextId>,
    /// Those of them all that system calls refer to as well.
    pub(super) of_calls: FxHashSet<TextId>,
}

impl Survey {
    /// Goes through the trace at `path`; `paths` learns which files there are.
    pub(super) fn of(path: &Path, paths: &mut Paths) -> Result<Survey, MergeError> {
        let failed = |cause| MergeError::reading(path, cause);
        let mut survey = Survey::default();
        let mut reader = open(path)?;
        let definitions = |block: &BlockHeader| {
            [BlockKind::RECORDS, BlockKind::NAMES, BlockKind::FUNCTION_CALLS].contains(&block.kind)
        };
        while let Some(block) = reader.next_block_if(definitions).map_err(failed)? {
            match block {
                Block::Records(records) => records.iter().for_each(|r| survey.add(r, paths)),
                Block::Names(names) => {
                    let texts = names.iter().flat_map(|n| [n.name, n.system_name, n.file]);
                    insert(&mut survey.of_names, texts.flatten());
                }
                Block::FunctionCalls(calls) => {
                    let texts = calls.iter().flat_map(|call| call.texts);
                    insert(&mut survey.of_functions, texts.flatten());
                }
                _ => {}
            }
        }
        if survey.of_names.is_empty() && survey.of_functions.is_empty() {
            return Ok(survey);
        }
        let mut reader = open(path)?;
        while let Some(block) =
            reader.next_block_if(|block| block.kind == BlockKind::CALLS).map_err(failed)?
        {
            if let Block::Calls(calls) = block {
                let texts = calls.iter().flat_map(|call| call.texts).flatten();
                let Survey { of_names, of_functions, of_calls, .. } = &mut survey;
                let is_of_others = |id: &TextId| of_names.contains(id) || of_functions.contains(id);
                insert(of_calls, texts.filter(is_of_others));
            }
        }
        Ok(survey)
    }

    fn add(&mut self, record: &Record, paths: &mut Paths) {
        match record {
            Record::Process(process) => paths.learn(&process.exe),
            Record::Allocator(allocator) => paths.learn(&allocator.path),
            Record::Function(function) => paths.learn(&function.path),
            Record::Module(Module { id, kind, path, .. })
                if ModuleKind::from(*kind) == ModuleKind::File =>
            {
                paths.learn(path);
                let is_of_system = is_of_system(without_deleted(path).0);
                insert(&mut self.system_modules, is_of_system.then_some(*id).into_iter());
            }
            _ => {}
        }
    }
}

fn insert(known: &mut FxHashSet<u32>, ids: impl Iterator<Item = u32>) {
    for id in ids {
        if known.len() < MAX_KNOWN {
            known.insert(id);
        }
    }
}
