//! Puts into a trace what its code is called, so that it can be opened where
//! none of the files are.
//!
//! ```text
//! trace ─► load/naming: files of this machine ─► names ──┐
//!   └────► rewrite: all blocks, without older names ─────┴─► trace
//! ```
//!
//! Only code that stacks have gets names. What was recorded stays, so that
//! better debug files can take their place later.

use std::hash::RandomState;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{Name, Named, Record, TextDefs, TextId, TextInterner};

use crate::load::{CodeNames, Naming};
use crate::merge::MergeError;
use crate::rewrite::{self, Edit, Ending};
use crate::symbolize::SymbolizeOptions;

/// How to embed names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbedOptions {
    /// Directories to look for binaries and debug files in, before the
    /// recorded paths.
    pub debug_dirs: Vec<PathBuf>,
    /// How to find names in what is there.
    pub symbols: SymbolizeOptions,
    /// Take damaged traces as far as they are whole.
    pub keep_going: bool,
}

/// What was embedded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Embedded {
    /// Pieces of code that have a name.
    pub named: usize,
    /// Those of which none is known.
    pub nameless: usize,
    /// Modules that they are in.
    pub modules: usize,
    /// Bytes that names take in the output.
    pub bytes: u64,
    /// What is amiss with names, one sentence each.
    pub notes: Vec<String>,
    /// What is missing of the trace, one sentence each.
    pub damage: Vec<String>,
}

/// Copies the trace at `path` to `out`, which the caller buffers, with the
/// names of all code that its stacks have. On failure, what is there is no
/// whole trace.
///
/// # Errors
/// If the trace cannot be read, is none, or is damaged, unless told to keep
/// going; and if `out` cannot be written.
pub fn embed(
    path: &Path,
    options: &EmbedOptions,
    out: &mut dyn Write,
) -> Result<Embedded, MergeError> {
    let naming = Naming::of(path, &options.debug_dirs, &options.symbols)?;
    let mut embedded = Embedded::default();
    for (_, module) in naming.modules.iter() {
        let named = module.code.iter().filter(|code| !code.calls.is_empty()).count();
        embedded.named += named;
        embedded.nameless += module.code.len() - named;
        embedded.modules += 1;
        embedded.notes.extend(Some(&module.note).filter(|note| !note.is_empty()).cloned());
    }
    let named = naming.modules.iter().map(|(id, _)| *id).collect();
    let mut embed = Embed { naming: &naming, named };
    let copied = rewrite::copy(path, out, options.keep_going, &mut embed)?;
    embedded.bytes = copied.ending_bytes;
    embedded.damage = copied.damage;
    Ok(embedded)
}

/// Leaves out what modules were called before that are named anew.
struct Embed<'n> {
    naming: &'n Naming,
    named: FxHashSet<u32>,
}

impl Edit for Embed<'_> {
    fn records(&mut self, records: &mut Vec<Record>) {
        records.retain(|record| match record {
            Record::Named(named) => !self.named.contains(&named.module),
            _ => true,
        });
    }

    fn texts(&mut self, _: &mut TextDefs) {}

    fn names(&mut self, names: &mut Vec<Name>) {
        // Those of generated code are of records, not of files.
        names.retain(|name| name.from_ns > 0 || !self.named.contains(&name.module));
    }

    fn end(&mut self, next_text: TextId) -> Ending {
        let mut texts = Texts::new(self.naming.known_texts(), next_text);
        let mut ending = Ending::default();
        for (id, module) in &self.naming.modules {
            let named = Named { module: *id, note: module.note.clone() };
            ending.records.push(Record::Named(named));
            module.code.iter().for_each(|code| add_names(*id, code, &mut texts, &mut ending.names));
        }
        ending.texts = texts.take_new();
        ending
    }
}

/// Adds the rows for one piece of code.
fn add_names(module: u32, code: &CodeNames, texts: &mut Texts, names: &mut Vec<Name>) {
    let &CodeNames { offset, address, start, .. } = code;
    let place = Name { module, offset, address, ..Name::default() };
    let Some(outermost) = code.calls.len().checked_sub(1) else {
        names.push(Name { into: address.wrapping_sub(start), ..place });
        return;
    };
    for (depth, call) in code.calls.iter().enumerate() {
        let system_name = (call.system_name != call.name).then(|| texts.id(&call.system_name));
        names.push(Name {
            name: Some(texts.id(&call.name)),
            system_name,
            file: call.file.as_ref().map(|file| texts.id(file)),
            line: call.line,
            column: call.column,
            inlined: depth < outermost,
            ..place
        });
    }
}

/// Numbers of texts: those that the trace has, then new ones.
struct Texts<'n> {
    known: FxHashMap<&'n [u8], TextId>,
    new: TextInterner<RandomState>,
    first: TextId,
}

impl<'n> Texts<'n> {
    fn new(known: FxHashMap<&'n [u8], TextId>, first: TextId) -> Self {
        Texts { known, new: TextInterner::default(), first }
    }

    fn id(&mut self, text: &str) -> TextId {
        match self.known.get(text.as_bytes()) {
            Some(&id) => id,
            None => self.first.saturating_add(self.new.text(text.as_bytes())),
        }
    }

    fn take_new(mut self) -> TextDefs {
        TextDefs { first: self.first, ..self.new.take_new() }
    }
}
