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

use crate::trace::merge::MergeError;
use crate::trace::rewrite::{self, Edit, Ending};
use rz_profile::load::{CodeNames, LoadOptions, MappedCode, Naming};
use rz_profile::symbolize::{FunctionLine, SymbolizeOptions};

/// How to embed names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbedOptions {
    /// Directories to look for binaries and debug files in, before the
    /// recorded paths.
    pub debug_dirs: Vec<PathBuf>,
    /// How to find names in what is there.
    pub symbols: SymbolizeOptions,
    /// Directories to look for source maps of JavaScript in.
    pub source_maps: Vec<PathBuf>,
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
    let load = LoadOptions {
        debug_dirs: options.debug_dirs.clone(),
        symbols: options.symbols.clone(),
        source_maps: options.source_maps.clone(),
        ..LoadOptions::default()
    };
    let naming = Naming::of(path, &load)?;
    let mut embedded = Embedded::default();
    for (_, module) in naming.modules.iter() {
        let named = module.code.iter().filter(|code| !code.calls.is_empty()).count();
        embedded.named += named;
        embedded.nameless += module.code.len() - named;
        embedded.modules += 1;
    }
    embedded.named += naming.mapped.len() + naming.mapped_objects.len();
    embedded.notes.clone_from(&naming.notes);
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
        for record in records {
            if let Record::CodeObject(code) = record
                && let Some(mapped) = self.naming.mapped_objects.get(&code.id)
            {
                code.clone_from(mapped);
            }
        }
    }

    fn texts(&mut self, _: &mut TextDefs) {}

    fn names(&mut self, names: &mut Vec<Name>) {
        // Those of generated code are of records, not of files.
        names.retain(|name| name.from_ns > 0 || !self.named.contains(&name.module));
    }

    fn end(&mut self, next_text: TextId) -> Ending {
        let mut texts = Texts::new(self.naming.known_texts(), next_text);
        let mut ending = Ending::default();
        // What is first holds: a file of such code has no names.
        for MappedCode { module, offset, from_ns, call } in &self.naming.mapped {
            let place = Name { module: *module, offset: *offset, ..Name::default() };
            let place = Name { from_ns: *from_ns, address: *offset, ..place };
            ending.names.push(name_of(call, place, &mut texts));
        }
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
        names.push(Name { inlined: depth < outermost, ..name_of(call, place, texts) });
    }
}

/// The row for a call at a place.
fn name_of(call: &FunctionLine, place: Name, texts: &mut Texts) -> Name {
    let system_name = (call.system_name != call.name).then(|| texts.id(&call.system_name));
    Name {
        name: Some(texts.id(&call.name)),
        system_name,
        file: call.file.as_ref().map(|file| texts.id(file)),
        line: call.line,
        column: call.column,
        ..place
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

#[cfg(test)]
mod tests {
    use std::fs;

    use rz_format::{
        CodeLine, CodeObject, Execution, Frame, Generated, LineTable, Positions, Runtime,
    };

    use super::*;
    use rz_profile::fixture::trace::{START, Trace, code, describe};
    use rz_profile::fixture::with_runtimes;
    use rz_profile::load::load;
    use rz_profile::model::Profile;

    /// A script that was made of `src/math.ts` and `src/inc.ts`.
    const TEXT: &str = "function a(n){return n*2};const b=(n)=>a(n)+1;\n";
    const MAP: &str = r#"{"version":3,"sources":["../src/math.ts","../src/inc.ts"],
        "names":["double","inc"],"mappings":"SAEAA,KACE,kBCHFC,OACE"}"#;

    fn calls(profile: &Profile) -> Vec<String> {
        let lines = profile.locations.iter().flat_map(|location| &location.lines);
        let call = lines.map(|line| {
            let function = &profile.functions[line.function];
            format!("{} {}:{}:{}", function.name, function.file, line.line, line.column)
        });
        call.collect()
    }

    #[test]
    fn source_maps_are_not_needed_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let dist = dir.path().join("dist");
        fs::create_dir(&dist).unwrap();
        fs::write(dist.join("app.js"), TEXT).unwrap();
        fs::write(dist.join("app.js.map"), MAP).unwrap();
        let mut trace = Trace::new();
        let script = dist.join("app.js").display().to_string();
        // One takes the place of the other after the first sample.
        let generated = |name: &str, from_ns| {
            let name = format!("JS:*{name} {script}:1:{}", if name == "a" { 11 } else { 35 });
            let (start, length) = (0x7f00, 0x100);
            Record::Generated(Generated {
                module: 3,
                start,
                length,
                from_ns,
                name,
                ..Generated::default()
            })
        };
        trace.records(&[generated("a", 0), generated("b", START + 500)]);
        let stack = trace.stack(&[code(3, 0x7f10)]);
        trace.define_stacks();
        trace.samples(&[stack, stack]);
        let (before, after) = with_and_without(&dist, trace);
        let mut all = calls(&before);
        assert_eq!(calls(&after), all);
        assert_eq!((&after.functions, &after.samples), (&before.functions, &before.samples));
        all.sort();
        assert!(all[0].starts_with("double ") && all[0].contains("src/math.ts:3:"), "{all:?}");
        assert!(all[1].starts_with("inc ") && all[1].contains("src/inc.ts:1:"), "{all:?}");
    }

    /// A trace of two functions of a bundle, as it is read beside that, and, once their
    /// names are embedded, without it.
    fn with_and_without(dist: &Path, trace: Trace) -> (Profile, Profile) {
        let path = dist.with_file_name("t.rz");
        fs::write(&path, trace.finish()).unwrap();
        let before = load(&path, &LoadOptions::default()).unwrap();
        let mut bytes = Vec::new();
        let embedded = embed(&path, &EmbedOptions::default(), &mut bytes).unwrap();
        assert_eq!((embedded.named, embedded.nameless), (2, 0));
        fs::write(&path, bytes).unwrap();
        fs::remove_dir_all(dist).unwrap();
        (before, load(&path, &LoadOptions::default()).unwrap())
    }

    #[test]
    fn source_maps_of_code_objects_are_not_needed_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let dist = dir.path().join("dist");
        fs::create_dir(&dist).unwrap();
        fs::write(dist.join("app.js"), TEXT).unwrap();
        fs::write(dist.join("app.js.map"), MAP).unwrap();
        let mut trace = Trace::new();
        let line = |start, column| CodeLine { start, line: 1, column };
        let object = |id, name: &str, column, positions: Positions, lines| CodeObject {
            id,
            runtime: Runtime::V8.into(),
            name: name.into(),
            file: dist.join("app.js").display().to_string(),
            first_line: 1,
            first_column: column,
            positions: positions.into(),
            lines: LineTable::new(lines),
            ..CodeObject::default()
        };
        trace.records(&[
            Record::CodeObject(object(1, "a", 11, Positions::Characters, vec![line(0, 1)])),
            Record::CodeObject(object(
                2,
                "b",
                35,
                Positions::Bytecode,
                vec![line(0, 35), line(9, 40)],
            )),
        ]);
        let frame = |code, position| Frame::Runtime { code, position, how: Execution::default() };
        let stacks = [frame(1, 14), frame(2, 0), frame(2, 12)].map(|frame| trace.stack(&[frame]));
        trace.define_stacks();
        trace.samples(&stacks);
        let (before, after) = with_and_without(&dist, trace);
        let all = calls(&before);
        assert_eq!(calls(&after), all);
        for (call, expected) in all.iter().zip([
            ("double ", "src/math.ts:4:3"),
            ("inc ", "src/inc.ts:1:1"),
            ("inc ", "src/inc.ts:2:3"),
        ]) {
            assert!(call.starts_with(expected.0) && call.ends_with(expected.1), "{all:?}");
        }
    }

    #[test]
    fn places_of_a_code_object_that_no_map_knows_have_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("dist/app.js");
        fs::create_dir(dir.path().join("dist")).unwrap();
        fs::write(&script, TEXT.repeat(2)).unwrap();
        fs::write(dir.path().join("dist/app.js.map"), MAP).unwrap();
        let mut trace = Trace::new();
        // The map ends with the first line.
        let line = |line| CodeLine { start: 50 * (line - 1), line, column: 1 };
        trace.records(&[Record::CodeObject(CodeObject {
            id: 1,
            runtime: Runtime::V8.into(),
            name: "a".into(),
            file: script.display().to_string(),
            first_line: 1,
            first_column: 11,
            positions: Positions::Characters.into(),
            lines: LineTable::new(vec![line(1), line(2)]),
            ..CodeObject::default()
        })]);
        let frame = |position| Frame::Runtime { code: 1, position, how: Execution::default() };
        let stacks = [2, 14, 54].map(|position| trace.stack(&[frame(position)]));
        trace.define_stacks();
        trace.samples(&stacks);
        let path = dir.path().join("t.rz");
        fs::write(&path, trace.finish()).unwrap();
        let mut bytes = Vec::new();
        embed(&path, &EmbedOptions::default(), &mut bytes).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::remove_dir_all(dir.path().join("dist")).unwrap();
        let all = calls(&load(&path, &LoadOptions::default()).unwrap());
        let lines = all.iter().filter_map(|call| call.rsplit_once("src/math.ts:"));
        let lines: Vec<_> = lines.map(|(_, place)| place).collect();
        assert_eq!(lines, ["0:0", "4:3", "0:0"], "{all:?}");
    }

    /// Code of runtimes has its names in the trace already.
    #[test]
    fn code_of_runtimes_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.rz");
        fs::write(&path, with_runtimes("/srv/job.py").finish()).unwrap();
        let before = load(&path, &LoadOptions::default()).unwrap();
        let mut bytes = Vec::new();
        embed(&path, &EmbedOptions::default(), &mut bytes).unwrap();
        fs::write(&path, bytes).unwrap();
        let after = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!((&after.functions, &after.samples), (&before.functions, &before.samples));
        assert_eq!((&after.locations, &after.stacks), (&before.locations, &before.stacks));
        assert!(describe(&after).contains("add_r;one_r"));
    }
}
