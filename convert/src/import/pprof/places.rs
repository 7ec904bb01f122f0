//! Turns locations of a profile into frames and their names.

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{Frame, Module, ModuleKind, Name, Named, Record, TruncatedReason};

use super::super::ImportError;
use super::super::output::Output;
use super::tables::Tables;
use crate::export::pprof::proto;
use crate::x86_64::KERNEL_START;

/// What perf calls a mapping that it does not know.
const UNKNOWN: &str = "[unknown]";
/// What we call a root that stands for callers that were not found.
const TRUNCATED: &str = "[truncated]";

/// The locations met so far.
pub(super) struct Places<'t> {
    tables: &'t Tables,
    frames: FxHashMap<u64, Frame>,
    /// By mapping; 0 for none.
    modules: FxHashMap<(u64, bool), Placed>,
    /// Modules of kind file of which code has no name.
    nameless: FxHashSet<u32>,
    /// Numbers given to code that is known by its name only.
    numbers: u64,
}

/// What a mapping is in the trace.
#[derive(Debug, Clone, Copy)]
struct Placed {
    module: u32,
    kind: ModuleKind,
    /// What is added to an address to have the frame offset.
    shift: u64,
}

impl<'t> Places<'t> {
    pub(super) fn new(tables: &'t Tables) -> Self {
        Places {
            tables,
            frames: FxHashMap::default(),
            modules: FxHashMap::default(),
            nameless: FxHashSet::default(),
            numbers: 0,
        }
    }

    /// The frame of a location.
    pub(super) fn frame(&mut self, id: u64, is_root: bool, out: &mut Output) -> Frame {
        let location = self.tables.locations.get(&id);
        if is_root && location.is_some_and(|location| self.is_truncated(location)) {
            return Frame::Truncated(TruncatedReason::Unknown);
        }
        if let Some(frame) = self.frames.get(&id) {
            return *frame;
        }
        let unknown = proto::Location { id, ..proto::Location::default() };
        let frame = self.new_frame(location.unwrap_or(&unknown), out);
        self.frames.insert(id, frame);
        frame
    }

    fn is_truncated(&self, location: &proto::Location) -> bool {
        let [line] = &location.line[..] else { return false };
        let function = self.tables.functions.get(&line.function_id);
        function.is_some_and(|function| self.tables.text(function.name) == TRUNCATED)
    }

    fn new_frame(&mut self, location: &proto::Location, out: &mut Output) -> Frame {
        let address = location.address;
        let Placed { module, kind, shift } = self.module(location, out);
        let offset = match kind {
            ModuleKind::File => address.wrapping_add(shift),
            _ => {
                self.numbers += 1;
                self.numbers
            }
        };
        let frame = Frame::Code { module, offset };
        let place = Name { module, offset, address, ..Name::default() };
        let mut names: Vec<Name> = Vec::with_capacity(location.line.len());
        for line in &location.line {
            let Some(function) = self.tables.functions.get(&line.function_id) else { continue };
            let text = |id| Some(self.tables.text(id)).filter(|t| !t.is_empty());
            let name = text(function.name).or(text(function.system_name));
            let system_name = text(function.system_name).filter(|other| Some(*other) != name);
            let file = text(function.filename);
            names.push(Name {
                name: name.map(|name| out.text(name)),
                system_name: system_name.map(|name| out.text(name)),
                file: file.map(|file| out.text(file)),
                line: line.line.try_into().unwrap_or(0),
                column: line.column.try_into().unwrap_or(0),
                inlined: true,
                ..place
            });
        }
        if names.is_empty() && kind == ModuleKind::File {
            self.nameless.insert(module);
            return frame;
        }
        match names.last_mut() {
            Some(outermost) => outermost.inlined = false,
            // Generated code has one name for all that has none.
            None if kind == ModuleKind::Anonymous => {}
            // Nobody else knows the address that this was loaded at.
            None if kind == ModuleKind::Names => {
                names.push(Name { address: address.wrapping_add(shift), ..place });
            }
            None => names.push(place),
        }
        out.names(&names);
        frame
    }

    /// The module of a location. Addresses of callers are taken to be inside
    /// the call, as the format demands.
    fn module(&mut self, location: &proto::Location, out: &mut Output) -> Placed {
        let mapping = self.tables.mappings.get(&location.mapping_id);
        let path = mapping.map_or("", |mapping| self.tables.text(mapping.filename));
        // Parts of the kernel have names in brackets, too. Addresses that
        // nothing was mapped at can be anything.
        let is_kernel =
            location.address >= KERNEL_START && path.starts_with('[') && path != UNKNOWN;
        let key = (location.mapping_id, is_kernel);
        if let Some(known) = self.modules.get(&key) {
            return *known;
        }
        let (module, shift) = mapping.map_or_else(
            || (Module { kind: ModuleKind::Names.into(), ..Module::default() }, 0),
            |mapping| self.describe(mapping, is_kernel),
        );
        let kind = module.kind.into();
        let placed = Placed { module: out.module(module), kind, shift };
        self.modules.insert(key, placed);
        placed
    }

    fn describe(&self, mapping: &proto::Mapping, is_kernel: bool) -> (Module, u64) {
        let path = self.tables.text(mapping.filename).to_owned();
        let build_id = parse_hex(self.tables.text(mapping.build_id)).unwrap_or_default();
        let has_range = mapping.memory_limit > mapping.memory_start;
        let is_worth_looking_up = !build_id.is_empty() || !mapping.has_functions;
        let kind = match &path[..] {
            _ if is_kernel || path.starts_with("[kernel") => ModuleKind::Kernel,
            "[vdso]" => ModuleKind::Vdso,
            "[anon]" | "//anon" => ModuleKind::Anonymous,
            _ if path.starts_with('/') && has_range && is_worth_looking_up => ModuleKind::File,
            _ => ModuleKind::Names,
        };
        let shift = mapping.file_offset.wrapping_sub(mapping.memory_start);
        // Of other kinds, the same numbers are other code in another profile.
        let build_id = if kind == ModuleKind::Vdso { Vec::new() } else { build_id };
        (Module { kind: kind.into(), path, build_id, ..Module::default() }, shift)
    }

    /// Says of which files all names are in the trace.
    pub(super) fn finish(&self, out: &mut Output) -> Result<(), ImportError> {
        let is_named = |placed: &&Placed| {
            placed.kind == ModuleKind::File && !self.nameless.contains(&placed.module)
        };
        for placed in self.modules.values().filter(is_named) {
            let note = String::new();
            out.record(Record::Named(Named { module: placed.module, note }))?;
        }
        Ok(())
    }
}

/// The bytes that hexadecimal digits stand for.
fn parse_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let digit = |byte: u8| (byte as char).to_digit(16);
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_ids() {
        assert_eq!(parse_hex("ab01"), Some(vec![0xab, 1]));
        assert_eq!(parse_hex(""), Some(vec![]));
        // Go writes ids of its own kind.
        for other in ["abc", "go-build/id", "é1"] {
            assert_eq!(parse_hex(other), None, "{other}");
        }
    }
}
