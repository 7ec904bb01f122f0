//! Names addresses of Go by the table that its linker writes, which stripped files
//! have as well.

use rz_unwind::go::{Call, Lines, Table, locate, locate_data};

use super::FunctionLine;
use super::names::SharedNames;

/// The functions of Go that a file has.
pub(super) struct GoFunctions<'d> {
    table: Table<'d>,
    lines: Lines<'d>,
}

impl<'d> GoFunctions<'d> {
    /// Those of a file; `None` if it has none.
    pub(super) fn new(file: &'d [u8]) -> Option<Self> {
        let located = locate(file)?;
        let start = usize::try_from(located.file_offset).ok()?;
        let end = start.checked_add(usize::try_from(located.length).ok()?)?;
        let table = Table::parse(file.get(start..end)?, located.text_svma)?;
        // Without it, inlined calls count as what they were inlined into.
        let data = locate_data(file, &located).and_then(|at| file.get(usize::try_from(at).ok()?..));
        Some(GoFunctions { table, lines: Lines::new(table, data.unwrap_or_default()) })
    }

    /// The calls at an address (SVMA), innermost first; `None` if no function of Go
    /// is there.
    pub(super) fn find(&self, address: u64, names: &SharedNames) -> Option<Vec<FunctionLine>> {
        let line = |call: &Call<'_>| {
            // What looks like the suffix of a compiler's copy is a name here.
            let name = names.plain(call.function);
            let file = call.file.map(|file| names.file(&String::from_utf8_lossy(file)));
            let system_name = name.clone();
            FunctionLine { name, system_name, file, line: call.line, column: 0 }
        };
        let calls: Vec<FunctionLine> = self.lines.find(address).iter().map(line).collect();
        (!calls.is_empty()).then_some(calls)
    }

    /// Name, start and end of the function that holds an address.
    pub(super) fn range(&self, address: u64) -> Option<(&'d [u8], u64, u64)> {
        let function = self.table.find(address)?;
        Some((function.name()?, function.start, function.end))
    }
}
