//! Names the frames that samples touch.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rz_format::{CodeLine, CodeObject, Frame, ModuleKind as RecordedKind, Runtime};

use super::brought_names::{Brought, BroughtNames};
use super::facts::Facts;
use super::jit::call_at;
use super::kernel_symbols::RecordedSymbols;
use super::{LoadOptions, Tables};
use crate::model::{
    FrameKind, Function, FunctionId, Line, Location, LocationId, Module, ModuleId, ModuleKind,
};
use crate::reason::Reason;
use crate::symbolize::names::Names;
use crate::symbolize::{FunctionLine, ModuleRequest, ModuleSymbols, symbolize};

/// What stands for anything whose definition is missing.
pub(super) const LOST: &str = "[lost]";

/// The named locations of a trace and what they refer to.
#[derive(Debug, Default)]
pub(super) struct Locations {
    /// The recorded modules in their order, then parts of the kernel.
    pub(super) modules: Vec<Module>,
    pub(super) functions: Vec<Function>,
    pub(super) locations: Vec<Location>,
    /// Location of each frame; `None` for those that were not asked for.
    pub(super) of_frame: Vec<Option<LocationId>>,
    /// What is amiss with modules, one sentence each.
    pub(super) notes: Vec<String>,
    /// What is amiss without costing names.
    pub(super) details: Vec<String>,
    ids: FxHashMap<FunctionKey, FunctionId>,
    /// Modules for parts of the kernel, by the part's name.
    areas: FxHashMap<String, ModuleId>,
    /// Line tables of code objects, by their ids: one may have many places.
    line_tables: FxHashMap<u32, Vec<CodeLine>>,
}

/// What stands for a name that is not known where nothing else is either.
const UNKNOWN: &str = "[unknown]";

/// What makes a function distinct, as [`Function`] has it; names are shared
/// instead of copied.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct FunctionKey {
    name: Arc<str>,
    nameless: bool,
    system_name: Arc<str>,
    file: Option<Arc<str>>,
    module: Option<ModuleId>,
    first_line: u32,
    first_column: u32,
}

/// What can be known of a module's frame offsets.
pub(super) enum Known<'t> {
    /// The file that was found here: offsets, and what is known of each.
    File(Vec<u64>, ModuleSymbols),
    /// Names that were recorded.
    Recorded(RecordedSymbols<'t>),
    /// Names that the trace brings with it, and nothing else.
    Brought,
    /// One name for all that was generated, but for what the process has told
    /// and the trace brings names of.
    Whole,
}

/// What a trace itself says of a frame.
struct Told {
    /// Names that were put into it later.
    brought: Option<Brought>,
    /// What the process said that it generated there.
    generated: Option<FunctionLine>,
}

impl Locations {
    /// Names the frames that are marked in `touched`, which has one entry per
    /// frame.
    pub(super) fn new(
        tables: &Tables,
        frames: &[Frame],
        touched: &[bool],
        options: &LoadOptions,
    ) -> Self {
        let Tables { facts, names: brought, generated, made, .. } = tables;
        let modules = facts.modules.values().iter().map(module).collect();
        let mut this = Locations { modules, ..Locations::default() };
        let known = this.look_up(facts, Some(brought), frames, touched, options);
        let mut names = Names::default();
        for (index, (frame, &touched)) in frames.iter().zip(touched).enumerate() {
            let location = touched.then(|| match *frame {
                Frame::Code { module: id, offset } => match facts.modules.index_of(id) {
                    Some(module) => {
                        let code = made.code_of(index);
                        let code = code.unwrap_or_else(|| generated.at(id, offset, u64::MAX));
                        let code = code.and_then(|code| generated.get(code));
                        let from_ns = code.map_or(0, |code| code.from_ns);
                        let told = Told {
                            brought: brought.find(id, offset, from_ns, &mut names),
                            generated: code.map(|code| call_at(code, offset, &mut names)),
                        };
                        this.code(module, &known[module], told, offset, &mut names)
                    }
                    None => this.nameless(FrameKind::User, LOST, offset),
                },
                Frame::Truncated(reason) => Location {
                    truncated: Some(reason),
                    ..this.said(FrameKind::Truncated, "[truncated]")
                },
                Frame::Runtime { code, position, how } => Location {
                    how,
                    ..match facts.code_objects.get(code) {
                        Some(code) => this.runtime_code(code, position, &mut names),
                        None => this.nameless(FrameKind::Runtime(Runtime::Unknown), LOST, 0),
                    }
                },
                Frame::Unknown => this.nameless(FrameKind::User, UNKNOWN, 0),
            });
            let id = location.map(|location| this.add(location));
            this.of_frame.push(id);
        }
        this
    }

    /// Whether this is the kernel's code that calls programs at tracepoints.
    pub(super) fn is_tracing(&self, location: LocationId) -> bool {
        const TRACING: [&str; 4] = ["__traceiter_", "__bpf_trace_", "bpf_trace_run", "bpf_prog_"];
        let Location { kind, lines, .. } = &self.locations[location];
        let name = lines.first().map_or("", |line| &self.functions[line.function].name);
        *kind == FrameKind::Kernel && TRACING.iter().any(|prefix| name.starts_with(prefix))
    }

    /// Adds the location that stands for stacks that are missing.
    pub(super) fn add_lost(&mut self) -> LocationId {
        let location = self.nameless(FrameKind::Lost, LOST, 0);
        self.add(location)
    }

    /// Adds a location that says why a thread waited or what it called.
    pub(super) fn add_reason(&mut self, reason: Reason) -> LocationId {
        let location = self.said(FrameKind::Reason(reason), &reason.frame_name());
        self.add(location)
    }

    pub(super) fn add(&mut self, location: Location) -> LocationId {
        self.locations.push(location);
        self.locations.len() - 1
    }

    /// Looks up all touched offsets of all modules at once. The files of those
    /// modules that have names in `brought` are not looked for.
    pub(super) fn look_up<'t>(
        &mut self,
        facts: &'t Facts,
        brought: Option<&BroughtNames>,
        frames: &[Frame],
        touched: &[bool],
        options: &LoadOptions,
    ) -> Vec<Known<'t>> {
        let LoadOptions { debug_dirs, symbols, .. } = options;
        let recorded = facts.modules.values();
        let mut offsets: Vec<Vec<u64>> = vec![Vec::new(); recorded.len()];
        for (frame, _) in frames.iter().zip(touched).filter(|(_, touched)| **touched) {
            if let Frame::Code { module, offset } = *frame
                && let Some(module) = facts.modules.index_of(module)
            {
                offsets[module].push(offset);
            }
        }
        offsets.iter_mut().for_each(|offsets| {
            offsets.sort_unstable();
            offsets.dedup();
        });
        // Better names are looked for only if somebody says where.
        let is_named = |id: u32| {
            let has_names = brought.is_some_and(|brought| brought.has_any(id));
            let by_whom = !debug_dirs.is_empty() || !symbols.servers.is_empty();
            facts.named.contains_key(&id) && has_names && !by_whom
        };
        let is_file = |&(id, module): &(ModuleId, &rz_format::Module)| {
            let kind = RecordedKind::from(module.kind);
            kind == RecordedKind::File && !offsets[id].is_empty() && !is_named(module.id)
        };
        let files: Vec<(ModuleId, ModuleRequest)> = recorded
            .iter()
            .enumerate()
            .filter(is_file)
            .map(|(id, module)| {
                let request = ModuleRequest {
                    path: Path::new(without_deleted(&module.path)),
                    build_id: &module.build_id,
                    file_size: module.file_size,
                    segments: &module.segments,
                    offsets: &offsets[id],
                    debug_dirs,
                };
                (id, request)
            })
            .collect();
        let requests: Vec<ModuleRequest> = files.iter().map(|(_, request)| *request).collect();
        let symbolized = symbolize(&requests, symbols);
        self.notes.extend(symbolized.notes);
        self.details.extend(symbolized.details);
        let mut found: FxHashMap<ModuleId, ModuleSymbols> =
            files.iter().map(|(id, _)| *id).zip(symbolized.modules).collect();

        let mut known = Vec::with_capacity(recorded.len());
        for (id, (module, offsets)) in recorded.iter().zip(offsets).enumerate() {
            known.push(match (found.remove(&id), RecordedKind::from(module.kind)) {
                (Some(symbols), _) => {
                    self.notes.extend(note_of(facts, module.id, &symbols).map(str::to_owned));
                    Known::File(offsets, symbols)
                }
                (None, RecordedKind::Anonymous) => Known::Whole,
                (None, RecordedKind::File | RecordedKind::Names) => {
                    let note = facts.named.get(&module.id).filter(|note| !note.is_empty());
                    self.notes.extend(note.filter(|_| !offsets.is_empty()).cloned());
                    Known::Brought
                }
                (None, _) => {
                    let symbols = facts.symbols.get(&module.id).map_or(&[][..], Vec::as_slice);
                    Known::Recorded(RecordedSymbols::new(symbols))
                }
            });
        }
        known
    }

    /// The location of an offset in a module.
    fn code(
        &mut self,
        module: ModuleId,
        known: &Known,
        told: Told,
        offset: u64,
        names: &mut Names,
    ) -> Location {
        let Told { brought, generated } = told;
        let kind = match self.modules[module].kind {
            ModuleKind::Kernel => FrameKind::Kernel,
            ModuleKind::Anonymous => FrameKind::Jit,
            ModuleKind::File | ModuleKind::Vdso if generated.is_some() => FrameKind::Jit,
            ModuleKind::File | ModuleKind::Vdso => FrameKind::User,
        };
        let mut location =
            Location { kind, module: Some(module), address: offset, ..Location::default() };
        if let Known::Recorded(symbols) = known
            && let Some(symbol) = symbols.find(offset)
        {
            let (name, system_name) = names.function(symbol.name.as_bytes());
            let module = self.area(module, &symbol.area);
            location.module = Some(module);
            let key = FunctionKey { name, system_name, module: Some(module), ..Default::default() };
            location.lines.push(self.line(key));
            return location;
        }
        let (address, start, mut calls) = resolve(known, brought.as_ref(), offset);
        location.address = address;
        if calls.is_empty() {
            calls = generated.as_slice();
        }
        for call in calls {
            let line = self.line_of(call, module);
            location.lines.push(line);
        }
        if location.lines.is_empty() {
            let name = &self.modules[module].name;
            let name = match known {
                Known::Whole => name.as_str().into(),
                _ => format!("[{}+{start:#x}]", name.trim_matches(['[', ']'])).into(),
            };
            let module = Some(module);
            let key = FunctionKey { name, nameless: true, module, ..Default::default() };
            location.lines.push(self.line(key));
        }
        location
    }

    /// The location of a position in code of a runtime.
    pub(super) fn runtime_code(
        &mut self,
        code: &CodeObject,
        position: u64,
        names: &mut Names,
    ) -> Location {
        let (name, nameless) = match (code.qualified_name.as_str(), code.name.as_str()) {
            ("", "") => (UNKNOWN, true),
            ("", name) | (name, _) => (name, false),
        };
        let lines = self.line_tables.entry(code.id).or_insert_with(|| code.lines.iter().collect());
        let before = lines.partition_point(|line| u64::from(line.start) <= position);
        let found = before.checked_sub(1).map(|last| lines[last]);
        let (line, column) = code.place_by(position, found);
        let file = (!code.file.is_empty()).then(|| names.file(&code.file));
        let key = FunctionKey {
            name: names.file(name),
            nameless,
            file,
            first_line: code.first_line,
            first_column: code.first_column,
            ..Default::default()
        };
        let line = Line { function: self.function(key), line, column };
        let kind = FrameKind::Runtime(code.runtime.into());
        Location { kind, lines: vec![line], ..Location::default() }
    }

    /// A location that says something of its stack and is no code.
    fn said(&mut self, kind: FrameKind, text: &str) -> Location {
        let line = self.line(FunctionKey { name: text.into(), ..Default::default() });
        Location { kind, lines: vec![line], ..Location::default() }
    }

    /// A location of which not even the module is known.
    fn nameless(&mut self, kind: FrameKind, name: &str, address: u64) -> Location {
        let (name, nameless) = (name.into(), true);
        let line = self.line(FunctionKey { name, nameless, ..Default::default() });
        Location { kind, address, lines: vec![line], ..Location::default() }
    }

    /// A function of which no line is known.
    fn line(&mut self, key: FunctionKey) -> Line {
        Line { function: self.function(key), ..Line::default() }
    }

    /// The line of a call in a module.
    pub(super) fn line_of(&mut self, call: &FunctionLine, module: ModuleId) -> Line {
        let FunctionLine { name, system_name, file, .. } = call.clone();
        let module = Some(module);
        let key = FunctionKey { name, system_name, file, module, ..Default::default() };
        Line { function: self.function(key), line: call.line, column: call.column }
    }

    /// A function, which is added if it is new.
    fn function(&mut self, key: FunctionKey) -> FunctionId {
        *self.ids.entry(key).or_insert_with_key(|key| {
            self.functions.push(Function {
                name: key.name.to_string(),
                nameless: key.nameless,
                system_name: key.system_name.to_string(),
                file: key.file.as_deref().unwrap_or_default().to_owned(),
                module: key.module,
                first_line: key.first_line,
                first_column: key.first_column,
            });
            self.functions.len() - 1
        })
    }

    /// The module for a part of the kernel that is named like `ext4`; the
    /// kernel itself if the part has no name.
    fn area(&mut self, kernel: ModuleId, area: &str) -> ModuleId {
        if area.is_empty() {
            return kernel;
        }
        if let Some(&known) = self.areas.get(area) {
            return known;
        }
        let kind = self.modules[kernel].kind;
        self.modules.push(Module { kind, name: format!("[{area}]"), ..Module::default() });
        self.areas.insert(area.to_owned(), self.modules.len() - 1);
        self.modules.len() - 1
    }
}

/// What is known of the code at an offset: its address in the module's own
/// numbering, where its function starts as far as only that is known, and the
/// calls there. A file that is here knows better than the trace, unless it has
/// lost its names or lines.
pub(super) fn resolve<'k>(
    known: &'k Known,
    brought: Option<&'k Brought>,
    offset: u64,
) -> (u64, u64, &'k [FunctionLine]) {
    let mut found: (u64, u64, &[FunctionLine]) = (offset, offset, &[]);
    if let Known::File(offsets, symbols) = known
        && let Ok(at) = offsets.binary_search(&offset)
    {
        found = (symbols.addresses[at], symbols.starts[at], &symbols.calls[at]);
    }
    let calls = found.2;
    let has_lines = calls.iter().any(|call| call.line > 0);
    let better = |brought: &&Brought| !has_lines && (calls.is_empty() || !brought.calls.is_empty());
    brought.filter(better).map_or(found, |brought| (brought.address, brought.start, &brought.calls))
}

/// What is amiss with the names of a module whose file was looked for. What is
/// not here is no loss if its names are in the trace.
pub(super) fn note_of<'f>(
    facts: &'f Facts,
    module: u32,
    symbols: &'f ModuleSymbols,
) -> Option<&'f str> {
    let now = symbols.note.as_ref()?;
    let note = facts.named.get(&module).unwrap_or(now);
    Some(note.as_str()).filter(|note| !note.is_empty())
}

/// A recorded module as people are shown it.
fn module(recorded: &rz_format::Module) -> Module {
    let path = without_deleted(&recorded.path);
    let (kind, default_name) = match RecordedKind::from(recorded.kind) {
        RecordedKind::File => (ModuleKind::File, "[file]"),
        RecordedKind::Kernel => (ModuleKind::Kernel, "[kernel]"),
        RecordedKind::Vdso => (ModuleKind::Vdso, "[vdso]"),
        RecordedKind::Anonymous => (ModuleKind::Anonymous, "[anon]"),
        RecordedKind::Names => (ModuleKind::File, "[names]"),
        _ => (ModuleKind::File, "[unknown]"),
    };
    let file_name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    let in_brackets = path.starts_with('[');
    Module {
        kind,
        name: file_name.unwrap_or_else(|| default_name.to_owned()),
        path: if in_brackets { String::new() } else { path.to_owned() },
        build_id: recorded.build_id.clone(),
        file_size: recorded.file_size,
    }
}

/// The path that a file had before it was deleted, as far as the kernel says
/// that it was.
fn without_deleted(path: &str) -> &str {
    path.strip_suffix(" (deleted)").unwrap_or(path)
}
