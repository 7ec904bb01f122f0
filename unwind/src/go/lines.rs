//! Which functions, files and lines an address is of, those inlined there
//! included.

use super::table::{
    FILE_TABLE, FIRST_FILE, Function, LINE_TABLE, MORE_TABLES, Table, text_at, word,
};

/// Where a function's record says which table has the numbers of inlined calls.
const INLINED_TABLE: u32 = 2;
/// And which data describes these.
const INLINED_DATA: u32 = 3;
/// Most calls inlined into each other that are followed.
const MAX_INLINED: usize = 256;
/// Most entries of tables that are looked at for an address, in all of its calls.
const MAX_ENTRIES: u32 = 1 << 20;

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
        let (mut calls, mut svma, mut left) = (Vec::new(), svma, MAX_ENTRIES);
        while let Some((name, parent)) = self.inlined(&function, svma, &mut left) {
            calls.push(place(&function, name, svma, &mut left));
            svma = parent;
            if calls.len() >= MAX_INLINED {
                return Vec::new();
            }
        }
        calls.extend(function.name().map(|name| place(&function, name, svma, &mut left)));
        calls
    }

    /// The name of the call that is inlined at an address, and where its caller is.
    fn inlined(
        &self,
        function: &Function<'d>,
        svma: u64,
        left: &mut u32,
    ) -> Option<(&'d [u8], u64)> {
        let (tables, tail) = (function.field(MORE_TABLES)?, function.tail());
        (tables > INLINED_TABLE && function.data_count()? > INLINED_DATA).then_some(())?;
        let number_at = |index: u32| {
            let at = usize::try_from(index).ok()?.checked_mul(4)?.checked_add(tail + 4)?;
            function.field(at)
        };
        let index = function.value(number_at(INLINED_TABLE)?, svma, left)?;
        let data = number_at(tables.checked_add(INLINED_DATA)?).filter(|at| *at != u32::MAX)?;
        // Where the name and the caller's place in the code are, and the size of all.
        let (name, parent, size) = if self.table.is_1_20 { (4, 8, 16) } else { (12, 16, 20) };
        let calls = self.data.get(data as usize..)?;
        let call = calls.get(usize::try_from(index).ok()?.checked_mul(size)?..)?;
        let parent = function.start.checked_add(u64::from(word(call, parent)?))?;
        (parent < function.end).then_some((self.table.name_at(word(call, name)?)?, parent))
    }
}

fn place<'d>(function: &Function<'d>, name: &'d [u8], svma: u64, left: &mut u32) -> Call<'d> {
    let mut number = |table| {
        let value = function.value(function.field(table)?, svma, left)?;
        u32::try_from(value).ok()
    };
    let line = number(LINE_TABLE).unwrap_or(0);
    let mut file = || {
        let number = number(FILE_TABLE)?.checked_add(function.field(FIRST_FILE)?)?;
        let offset = word(function.table.file_numbers, (number as usize).checked_mul(4)?)?;
        // A file that was of no use is not there.
        text_at(function.table.files, offset).filter(|_| offset != u32::MAX)
    };
    Call { function: name, file: file(), line }
}
