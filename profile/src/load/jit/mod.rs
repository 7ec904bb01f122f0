//! Code that processes generated: which was where, and when.
//!
//! Places are used again: what a frame is called depends on its time. Stacks
//! that this is true of are told apart by [`versions`] while rows are read.

mod versions;

use rustc_hash::FxHashMap;
use rz_format::Generated;

use crate::file_url::path_of;
use crate::published;
use crate::symbolize::FunctionLine;
use crate::symbolize::names::Names;

pub(super) use versions::{Made, Versions};

/// Pieces of code that are looked at for one place, at most.
const MAX_LOOKED_AT: usize = 256;

/// Number of a piece of generated code.
pub(super) type CodeId = u32;

/// The generated code of a trace.
#[derive(Debug, Default)]
pub(super) struct GeneratedCode {
    /// In the order of the file.
    codes: Vec<Generated>,
    /// By module id.
    modules: FxHashMap<u32, ByStart>,
}

/// The code of one module by where it starts.
#[derive(Debug, Default)]
struct ByStart {
    ids: Vec<CodeId>,
    /// For each the largest end of it and all before it.
    ends: Vec<u64>,
}

impl GeneratedCode {
    /// Of records in the order of the file.
    pub(super) fn new(codes: Vec<Generated>) -> Self {
        let mut modules: FxHashMap<u32, ByStart> = FxHashMap::default();
        for (id, code) in (0..).zip(&codes) {
            modules.entry(code.module).or_default().ids.push(id);
        }
        for ByStart { ids, ends } in modules.values_mut() {
            ids.sort_by_key(|&id| codes[id as usize].start);
            ends.extend(ids.iter().scan(0, |largest, &id| {
                *largest = end(&codes[id as usize]).max(*largest);
                Some(*largest)
            }));
        }
        GeneratedCode { codes, modules }
    }

    /// A piece of code.
    pub(super) fn get(&self, id: CodeId) -> Option<&Generated> {
        self.codes.get(id as usize)
    }

    /// The code that is at a frame offset of a module at any time, with its
    /// number, in no particular order.
    pub(super) fn all_at(
        &self,
        module: u32,
        offset: u64,
    ) -> impl Iterator<Item = (CodeId, &Generated)> {
        let of_module = self.modules.get(&module).map_or((&[][..], &[][..]), |by_start| {
            let after = by_start.ids.partition_point(|&id| self.codes[id as usize].start <= offset);
            (&by_start.ids[..after], &by_start.ends[..after])
        });
        let before = of_module.0.iter().zip(of_module.1).rev().take(MAX_LOOKED_AT);
        let near = before.take_while(move |(_, largest_end)| **largest_end > offset);
        let codes = near.map(|(&id, _)| (id, &self.codes[id as usize]));
        codes.filter(move |(_, code)| offset < end(code))
    }

    /// The code that is at a frame offset of a module at a time.
    pub(super) fn at(&self, module: u32, offset: u64, time_ns: u64) -> Option<CodeId> {
        let there = self.all_at(module, offset).filter(|(_, code)| code.from_ns <= time_ns);
        there.map(|(id, code)| (code.from_ns, id)).max().map(|(_, id)| id)
    }

    /// Whether any code is put somewhere after a time.
    pub(super) fn changes_after(&self, time_ns: u64) -> bool {
        self.codes.iter().any(|code| code.from_ns > time_ns)
    }
}

/// Offset behind the last byte.
fn end(code: &Generated) -> u64 {
    code.start.saturating_add(code.length)
}

/// What generated code is called, and the place in its source that it has at a
/// frame offset.
pub(super) fn call_at(code: &Generated, offset: u64, names: &mut Names) -> FunctionLine {
    let published = published::parse(&code.name);
    let mut call = FunctionLine {
        name: names.file(&published.name),
        system_name: names.file(&code.name),
        file: published.path().map(|path| names.file(&path)),
        line: published.line,
        column: published.column,
    };
    let into = offset.saturating_sub(code.start);
    let after = code.lines.partition_point(|line| u64::from(line.offset) <= into);
    let line = after.checked_sub(1).and_then(|at| code.lines.get(at));
    if let Some(line) = line.filter(|line| line.line > 0) {
        let file = path_of(&line.file);
        // In another file is what was inlined, without its name.
        if published.path().is_none_or(|known| known == file) {
            call.file = Some(names.file(&file)).filter(|file| !file.is_empty());
            (call.line, call.column) = (line.line, line.column);
        }
    }
    call
}

#[cfg(test)]
mod tests {
    use rz_format::GeneratedLine;

    use super::*;

    fn code(start: u64, length: u64, from_ns: u64) -> Generated {
        Generated { module: 3, start, length, from_ns, ..Generated::default() }
    }

    #[test]
    fn code_at_a_place_and_time() {
        let codes = GeneratedCode::new(vec![
            code(0x100, 0x100, 0),
            code(0x180, 0x10, 50),
            code(0x100, 0x20, 50),
            code(0x100, 0x20, 50),
            code(0x300, 0x10, 7),
            code(0x310, u64::MAX, 7),
        ]);
        let check = |offset, expected: [Option<CodeId>; 4]| {
            let found = [0, 49, 50, u64::MAX].map(|time| codes.at(3, offset, time));
            assert_eq!(found, expected, "{offset:x}");
            assert_eq!(codes.at(2, offset, 60), None);
        };
        check(0xff, [None; 4]);
        check(0x100, [Some(0), Some(0), Some(3), Some(3)]);
        check(0x11f, [Some(0), Some(0), Some(3), Some(3)]);
        check(0x120, [Some(0); 4]);
        check(0x18f, [Some(0), Some(0), Some(1), Some(1)]);
        check(0x1ff, [Some(0); 4]);
        check(0x200, [None; 4]);
        check(0x30f, [None, Some(4), Some(4), Some(4)]);
        check(u64::MAX - 1, [None, Some(5), Some(5), Some(5)]);
        assert!(codes.changes_after(49) && !codes.changes_after(50));
    }

    #[test]
    fn names_and_lines() {
        let line =
            |offset, file: &str, line| GeneratedLine { offset, file: file.into(), line, column: 2 };
        let mut names = Names::default();
        let mut check = |name: &str, lines: &[GeneratedLine], expected: &str| {
            let code = Generated { name: name.into(), lines: lines.to_vec(), ..code(0x100, 9, 0) };
            let call = call_at(&code, 0x104, &mut names);
            assert_eq!(&*call.system_name, name);
            let FunctionLine { name, file, line, column, .. } = call;
            let file = file.as_deref().unwrap_or("-");
            assert_eq!(format!("{name} {file}:{line}:{column}"), expected);
        };
        let here = [line(0, "/a.js", 3), line(4, "/a.js", 5), line(5, "/a.js", 6)];
        check("f", &[], "f -:0:0");
        check("f", &here, "f /a.js:5:2");
        check("JS:*f /a.js:1:9", &[], "f /a.js:1:9");
        check("JS:*f /a.js:1:9", &here, "f /a.js:5:2");
        check("JS:*f file:///a.js:1:9", &here, "f /a.js:5:2");
        check("JS:*f /b.js:1:9", &here, "f /b.js:1:9");
        check("JS:*f /a.js:1:9", &here[2..], "f /a.js:1:9");
        check("f", &[line(0, "", 0)], "f -:0:0");
    }
}
