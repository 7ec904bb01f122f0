//! Names of code that the trace brings with it, for those who do not have the
//! files it came from.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{Name, TextId};

use super::texts::Texts;
use crate::symbolize::FunctionLine;
use crate::symbolize::names::Names;

/// Names that are kept, at most: a third of a gigabyte.
const MAX_NAMES: usize = 1 << 22;

/// What the trace says of a frame offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Brought {
    /// Address in the module's own numbering.
    pub(super) address: u64,
    /// Where the function starts, as far as that is known.
    pub(super) start: u64,
    /// Calls there, innermost first; empty if no name was known.
    pub(super) calls: Vec<FunctionLine>,
}

/// The names that a trace brings with it.
#[derive(Debug, Default)]
pub(super) struct BroughtNames {
    pub(super) texts: Texts,
    rows: Vec<Name>,
    /// First row by module id, frame offset and time.
    first: FxHashMap<(u32, u64, u64), usize>,
    /// Modules of which any code has a name.
    modules: FxHashSet<u32>,
}

impl BroughtNames {
    /// Adds the content of a block.
    pub(super) fn add(&mut self, names: Vec<Name>) {
        if self.rows.len() + names.len() > MAX_NAMES {
            return;
        }
        let mut is_first = true;
        for (at, name) in (self.rows.len()..).zip(&names) {
            if is_first {
                self.first.entry((name.module, name.offset, name.from_ns)).or_insert(at);
            }
            is_first = !name.inlined;
            if name.name.is_some() {
                self.modules.insert(name.module);
            }
        }
        self.rows.extend(names);
        if let Some(last) = self.rows.last_mut() {
            last.inlined = false;
        }
    }

    /// Whether any code of a module has a name.
    pub(super) fn has_any(&self, module: u32) -> bool {
        self.modules.contains(&module)
    }

    /// What is known of a frame offset; of code that is generated, since
    /// `from_ns`.
    pub(super) fn find(
        &self,
        module: u32,
        offset: u64,
        from_ns: u64,
        names: &mut Names,
    ) -> Option<Brought> {
        let first = *self.first.get(&(module, offset, from_ns))?;
        let length = self.rows[first..].iter().position(|row| !row.inlined)? + 1;
        let rows = &self.rows[first..first + length];
        let address = rows[0].address;
        let calls = rows.iter().filter_map(|row| self.call(row, names)).collect();
        Some(Brought { address, start: address.wrapping_sub(rows[0].into), calls })
    }

    fn call(&self, row: &Name, names: &mut Names) -> Option<FunctionLine> {
        let mut text = |id: Option<TextId>| {
            let text = String::from_utf8_lossy(self.texts.get(id?)?);
            Some(names.file(&text))
        };
        let name: Arc<str> = text(row.name)?;
        let system_name = text(row.system_name).unwrap_or_else(|| name.clone());
        Some(FunctionLine {
            name,
            system_name,
            file: text(row.file),
            line: row.line,
            column: row.column,
        })
    }
}

#[cfg(test)]
mod tests {
    use rz_format::TextDefs;

    use super::*;

    #[test]
    fn names_of_inlined_functions() {
        let mut brought = BroughtNames::default();
        let texts = ["inner", "outer()", "_Z5outerv", "a.cc"].map(|text| text.as_bytes().to_vec());
        brought.texts.add(TextDefs { first: 5, texts: texts.to_vec() });
        let inner = Name {
            module: 1,
            offset: 0x10,
            address: 0x1010,
            name: Some(5),
            file: Some(8),
            line: 3,
            column: 7,
            inlined: true,
            ..Name::default()
        };
        let outer = Name { name: Some(6), system_name: Some(7), line: 9, inlined: false, ..inner };
        let nameless = Name { offset: 0x30, address: 0x1030, into: 0x20, ..Name::default() };
        // A block may end where it should not, and refer to what is lost.
        let lost = Name { offset: 0x40, name: Some(99), ..inner };
        brought.add(vec![inner, outer, nameless, lost]);
        brought.add(vec![Name { line: 77, ..inner }, outer]);

        let mut names = Names::default();
        let mut find = |module, offset| brought.find(module, offset, 0, &mut names);
        let call = |name: &str, system_name: &str, line| FunctionLine {
            name: name.into(),
            system_name: system_name.into(),
            file: Some("a.cc".into()),
            line,
            column: 7,
        };
        let calls = vec![call("inner", "inner", 3), call("outer()", "_Z5outerv", 9)];
        assert_eq!(find(1, 0x10), Some(Brought { address: 0x1010, start: 0x1010, calls }));
        let without = |address, start| Some(Brought { address, start, calls: Vec::new() });
        assert_eq!(find(0, 0x30), without(0x1030, 0x1010));
        assert_eq!(find(1, 0x40), without(0x1010, 0x1010));
        assert_eq!(find(1, 0x11), None);
        assert_eq!(find(0, 0x10), None);
    }
}
