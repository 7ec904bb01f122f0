//! Which functions, files and lines an address is of, those inlined there
//! included.

use super::table::{Function, Table, text_at, word};

/// Where a function's record says which table has the numbers of inlined calls.
const INLINED_TABLE: u32 = 2;
/// And which data describes these.
const INLINED_DATA: u32 = 3;
/// Most calls inlined into each other that are followed.
const MAX_INLINED: usize = 256;

/// A call at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'d> {
    /// Name of the function.
    pub function: &'d [u8],
    /// Its source file.
    pub file: Option<&'d [u8]>,
    /// Line in that; 0 if unknown.
    pub line: u32,
}

/// A table, and the data beside it.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'d> {
    table: Table<'d>,
    /// What is called `go:func.*`; empty if it is not known where that is.
    data: &'d [u8],
}

impl<'d> Lines<'d> {
    /// Of a file's table, and what functions have besides.
    pub fn new(table: Table<'d>, data: &'d [u8]) -> Self {
        Lines { table, data }
    }

    /// The calls at an address, innermost first; none if no function is there.
    pub fn find(&self, svma: u64) -> Vec<Call<'d>> {
        let Some(function) = self.table.find(svma) else { return Vec::new() };
        let (mut calls, mut svma) = (Vec::new(), svma);
        while let Some((name, parent)) = self.inlined(&function, svma) {
            calls.push(place(&function, name, svma));
            svma = parent;
            if calls.len() >= MAX_INLINED {
                return Vec::new();
            }
        }
        calls.extend(function.name().map(|name| place(&function, name, svma)));
        calls
    }

    /// The name of the call that is inlined at an address, and where its caller is.
    fn inlined(&self, function: &Function<'d>, svma: u64) -> Option<(&'d [u8], u64)> {
        let (tables, tail) = (function.field(28)?, function.tail());
        let data_count = function.field(tail)? >> 24;
        (tables > INLINED_TABLE && data_count > INLINED_DATA).then_some(())?;
        let number_at = |index: u32| {
            let at = usize::try_from(index).ok()?.checked_mul(4)?.checked_add(tail + 4)?;
            function.field(at)
        };
        let index = function.value(number_at(INLINED_TABLE)?, svma)?;
        let data = number_at(tables.checked_add(INLINED_DATA)?).filter(|at| *at != u32::MAX)?;
        // Where the name and the caller's place in the code are, and the size of all.
        let (name, parent, size) = if self.table.is_1_20 { (4, 8, 16) } else { (12, 16, 20) };
        let calls = self.data.get(data as usize..)?;
        let call = calls.get(usize::try_from(index).ok()?.checked_mul(size)?..)?;
        let parent = function.start.checked_add(u64::from(word(call, parent)?))?;
        (parent < function.end).then_some((self.table.name_at(word(call, name)?)?, parent))
    }
}

fn place<'d>(function: &Function<'d>, name: &'d [u8], svma: u64) -> Call<'d> {
    let table = |at| function.value(function.field(at)?, svma);
    let file = || {
        let number = u32::try_from(table(20)?).ok()?.checked_add(function.field(32)?)?;
        let offset = word(function.table.file_numbers, (number as usize).checked_mul(4)?)?;
        // A file that was of no use is not there.
        text_at(function.table.files, offset).filter(|_| offset != u32::MAX)
    };
    let line = table(24).and_then(|line| u32::try_from(line).ok());
    Call { function: name, file: file(), line: line.unwrap_or(0) }
}
