//! `.gopclntab`: functions by address.

use super::values::value_at;

/// The first word, by version. What comes later has had the same so far.
const MAGIC_1_18: u32 = 0xffff_fff0;
const MAGIC_1_20: u32 = 0xffff_fff1;
/// Bytes of the header.
pub(super) const HEADER_LEN: usize = 72;
/// Where in it the address of the code was, up to Go 1.25.
pub(super) const TEXT_START_AT: usize = 24;
/// In a function's record, where its first byte is.
const ENTRY: usize = 0;
/// Where its name is.
const NAME: usize = 4;
/// Where the tables are of what it has on the stack, and of its files and lines.
const STACK_TABLE: usize = 16;
pub(super) const FILE_TABLE: usize = 20;
pub(super) const LINE_TABLE: usize = 24;
/// How many more tables it has, whose offsets come behind what all functions have.
pub(super) const MORE_TABLES: usize = 28;
/// The number of its first file in [`Table::file_numbers`].
pub(super) const FIRST_FILE: usize = 32;
/// The bit of the flags, which are the second byte at [`Function::tail`], for that it
/// sets the stack pointer to something that its table does not know.
const WRITES_STACK_POINTER: u32 = 2 << 8;
/// Longest name that is looked at.
const MAX_NAME: usize = 64 << 10;

/// The table of one file. All of it is read where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Table<'d> {
    /// Address of the code that the table's offsets count from.
    text_svma: u64,
    count: usize,
    pub(super) is_1_20: bool,
    names: &'d [u8],
    pub(super) file_numbers: &'d [u8],
    pub(super) files: &'d [u8],
    values: &'d [u8],
    /// Pairs of offsets, of code and of what is said of it, and then the latter.
    functions: &'d [u8],
    /// Bytes in front of these.
    functions_at: usize,
}

/// What the table says of one function.
#[derive(Debug, Clone, Copy)]
pub struct Function<'d> {
    pub(super) table: Table<'d>,
    /// Address of its first byte.
    pub start: u64,
    /// Address behind its last byte, or behind what fills the room up to the next.
    pub end: u64,
    record: &'d [u8],
}

impl<'d> Table<'d> {
    /// Reads the header of a table for code that begins at `text_svma`. `None` if
    /// it is of another version, or damaged.
    pub fn parse(data: &'d [u8], text_svma: u64) -> Option<Self> {
        let header = data.get(..HEADER_LEN)?;
        let magic = word(header, 0)?;
        // Instructions of a byte and more, pointers of eight.
        if !matches!(magic, MAGIC_1_18 | MAGIC_1_20) || header[4..8] != [0, 0, 1, 8] {
            return None;
        }
        let number = |at: usize| {
            let bytes = header.get(at..at + 8)?.try_into().ok()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        let part = |at: usize| data.get(number(at)?..);
        let functions_at = number(64)?;
        let table = Table {
            text_svma,
            count: number(8)?,
            is_1_20: magic == MAGIC_1_20,
            names: part(32)?,
            file_numbers: part(40)?,
            files: part(48)?,
            values: part(56)?,
            functions: data.get(functions_at..)?,
            functions_at,
        };
        // One pair more says where the last function ends.
        let pairs = table.count.checked_add(1)?.checked_mul(8)?;
        (table.count > 0 && pairs <= table.functions.len()).then_some(table)
    }

    /// How many bytes it has up to the end of the last function's record, which is the
    /// last part of it up to Go 1.25.
    pub(super) fn length(&self) -> Option<usize> {
        let last = self.function(self.count - 1)?;
        let numbers = last.field(MORE_TABLES)?.checked_add(last.data_count()?)?;
        let record = usize::try_from(numbers).ok()?.checked_mul(4)?.checked_add(last.tail() + 4)?;
        // The record is what is left behind its beginning.
        let at = self.functions.len() - last.record.len();
        self.functions_at.checked_add(at)?.checked_add(record)
    }

    /// Bytes that tables of values may have in all.
    pub(super) fn values_len(&self) -> usize {
        self.values.len()
    }

    /// Address of the code that offsets count from.
    pub(super) fn text_svma(&self) -> u64 {
        self.text_svma
    }

    /// The function that holds an address.
    pub fn find(&self, svma: u64) -> Option<Function<'d>> {
        let offset = u32::try_from(svma.checked_sub(self.text_svma)?).ok()?;
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.pair(middle)?.0 <= offset {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        self.function(low.checked_sub(1)?).filter(|function| svma < function.end)
    }

    /// All functions in order of their addresses, up to the first damaged one.
    pub fn functions(&self) -> impl Iterator<Item = Function<'d>> + '_ {
        (0..self.count).map_while(|index| self.function(index))
    }

    fn function(&self, index: usize) -> Option<Function<'d>> {
        let (start, at) = self.pair(index)?;
        let (end, _) = self.pair(index + 1)?;
        let record = self.functions.get(at as usize..)?;
        // It says once more where it begins.
        (word(record, ENTRY)? == start && start < end).then_some(())?;
        let address = |offset: u32| self.text_svma.checked_add(u64::from(offset));
        Some(Function { table: *self, start: address(start)?, end: address(end)?, record })
    }

    fn pair(&self, index: usize) -> Option<(u32, u32)> {
        let at = index.checked_mul(8)?;
        Some((word(self.functions, at)?, word(self.functions, at + 4)?))
    }

    pub(super) fn name_at(&self, offset: u32) -> Option<&'d [u8]> {
        text_at(self.names, offset)
    }
}

impl<'d> Function<'d> {
    /// Its name, with its package and receiver, as Go writes it.
    pub fn name(&self) -> Option<&'d [u8]> {
        self.table.name_at(self.field(NAME)?)
    }

    /// Whether that is its name. Nothing is searched for that, as its end would be.
    pub(super) fn is_called(&self, name: &[u8]) -> bool {
        let names = self.field(NAME).and_then(|at| self.table.names.get(at as usize..));
        let behind = names.and_then(|names| names.strip_prefix(name));
        behind.is_some_and(|behind| behind.first() == Some(&0))
    }

    /// Where its table of what it has on the stack is, and what is there.
    pub(super) fn stack_table(&self) -> Option<(u32, &'d [u8])> {
        let offset = self.field(STACK_TABLE)?;
        Some((offset, self.values_at(offset)?))
    }

    /// Whether it sets the stack pointer to something that the table does not know.
    pub(super) fn writes_stack_pointer(&self) -> bool {
        self.field(self.tail()).is_some_and(|bits| bits & WRITES_STACK_POINTER != 0)
    }

    /// How many offsets of data come behind those of tables.
    pub(super) fn data_count(&self) -> Option<u32> {
        Some(self.field(self.tail())? >> 24)
    }

    /// A number of its record.
    pub(super) fn field(&self, at: usize) -> Option<u32> {
        word(self.record, at)
    }

    /// What its table at `offset` says of an address; see [`value_at`].
    pub(super) fn value(&self, offset: u32, svma: u64, left: &mut u32) -> Option<i32> {
        value_at(self.values_at(offset)?, svma.checked_sub(self.start)?, left)
    }

    /// The table at `offset`; 0 stands for none.
    fn values_at(&self, offset: u32) -> Option<&'d [u8]> {
        self.table.values.get(offset as usize..).filter(|_| offset > 0)
    }

    /// Where the last four bytes of what all functions have are: which of the
    /// runtime's functions it is, flags, nothing, and how many offsets of data
    /// come behind those of tables.
    pub(super) fn tail(&self) -> usize {
        if self.table.is_1_20 { 40 } else { 36 }
    }
}

/// A number of four bytes.
pub(super) fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

/// A text that ends in a zero.
pub(super) fn text_at(texts: &[u8], offset: u32) -> Option<&[u8]> {
    let text = texts.get(offset as usize..)?;
    let text = &text[..text.len().min(MAX_NAME)];
    text.iter().position(|byte| *byte == 0).map(|end| &text[..end])
}
