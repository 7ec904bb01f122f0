//! Columns of unsigned integers: one field of many rows, encoded together.
//!
//! A table is a row count followed by columns. Each column names itself, so a
//! reader skips those it does not know and fills in those that are missing.
//!
//! Each table declares its columns as constants and lists them all in one
//! `ALL`; its writer and its reader take the constants, and a test holds the
//! list against SPEC.md.

use crate::block::MAX_ROWS;
use crate::cursor::Cursor;
use crate::error::FormatError;
use crate::varint::{read_bounded, read_bytes, read_varint, write_varint, zigzag};

/// Rows that are read column by column before they are put together.
const ROWS_AT_A_TIME: usize = 256;

/// A column of a table, as SPEC.md has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    /// What it is called in the file.
    pub id: u8,
    /// How we write it. Others may choose another: a reader goes by the file.
    pub encoding: Encoding,
    /// The value of every row of a table without it.
    pub if_absent: u64,
}

/// All columns of a table in order of their ids. In several slices, because
/// a constant array cannot be put together from columns and families.
pub(crate) type Columns = &'static [&'static [Column]];

/// The value of a code that is absent, which is read as the `Unknown` of its
/// enumeration.
pub(crate) const UNKNOWN: u64 = u64::MAX;

impl Column {
    /// A column that is 0 if absent.
    pub(crate) const fn new(id: u8, encoding: Encoding) -> Self {
        Column { id, encoding, if_absent: 0 }
    }

    /// The same with another value if absent.
    pub(crate) const fn if_absent(self, value: u64) -> Self {
        Column { if_absent: value, ..self }
    }

    /// Columns of one kind with consecutive ids, of which this is the first.
    pub(crate) const fn family<const COUNT: usize>(self) -> [Column; COUNT] {
        let mut columns = [self; COUNT];
        let mut at = 0;
        while at < COUNT {
            columns[at].id += at as u8;
            at += 1;
        }
        columns
    }
}

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Each value as a varint.
    Plain = 0,
    /// The zigzag difference to the value before; the first to 0.
    Delta = 1,
    /// The zigzag difference of the difference to the one before.
    DeltaOfDelta = 2,
    /// Pairs of value and number of repetitions.
    RunLength = 3,
}

/// Writes a table, column by column.
pub(crate) struct TableWriter {
    out: Vec<u8>,
    /// Where in `out` the number of columns is. It counts up, because columns
    /// may be left out.
    count_at: usize,
    /// Declared columns that are still to come.
    left: Vec<Column>,
}

impl TableWriter {
    /// Starts a table of `rows` rows and these columns.
    pub(crate) fn new(columns: Columns, rows: usize) -> Self {
        let left = columns.concat();
        assert!(left.len() < 128, "a number of columns of more than a byte");
        let mut out = Vec::new();
        write_varint(&mut out, rows as u64);
        let count_at = out.len();
        out.push(0);
        TableWriter { out, count_at, left }
    }

    /// Appends one column.
    pub(crate) fn column(&mut self, column: Column, values: impl IntoIterator<Item = u64>) {
        self.tick_off(column);
        self.out[self.count_at] += 1;
        write_column(&mut self.out, column, values);
    }

    /// Appends a column unless all its values are what it has if absent.
    pub(crate) fn column_if_used(&mut self, column: Column, values: Vec<u64>) {
        if values.iter().any(|value| *value != column.if_absent) {
            self.column(column, values);
        } else {
            self.tick_off(column);
        }
    }

    fn tick_off(&mut self, column: Column) {
        let before = self.left.len();
        self.left.retain(|left| *left != column);
        debug_assert_eq!(self.left.len() + 1, before, "not declared, or twice: {column:?}");
    }

    /// The whole table.
    pub(crate) fn finish(self) -> Vec<u8> {
        debug_assert!(self.left.is_empty(), "declared and not written: {:?}", self.left);
        self.out
    }
}

fn write_column(out: &mut Vec<u8>, column: Column, values: impl IntoIterator<Item = u64>) {
    let values = values.into_iter();
    let mut data = Vec::with_capacity(values.size_hint().0);
    let mut previous = 0u64;
    // Takes the difference to the value before, which `previous` is from now on.
    let difference =
        |previous: &mut u64, value: u64| value.wrapping_sub(std::mem::replace(previous, value));
    match column.encoding {
        Encoding::Plain => values.for_each(|value| write_varint(&mut data, value)),
        Encoding::Delta => values.for_each(|value| {
            write_varint(&mut data, zigzag(difference(&mut previous, value)));
        }),
        Encoding::DeltaOfDelta => {
            let mut previous_delta = 0u64;
            values.for_each(|value| {
                let delta = difference(&mut previous, value);
                write_varint(&mut data, zigzag(difference(&mut previous_delta, delta)));
            });
        }
        Encoding::RunLength => {
            let mut run: Option<(u64, u64)> = None;
            values.for_each(|value| match &mut run {
                Some((current, count)) if *current == value => *count += 1,
                _ => write_run(&mut data, run.replace((value, 1))),
            });
            write_run(&mut data, run);
        }
    }
    out.push(column.id);
    out.push(column.encoding as u8);
    write_varint(out, data.len() as u64);
    out.extend_from_slice(&data);
}

fn write_run(data: &mut Vec<u8>, run: Option<(u64, u64)>) {
    if let Some((value, count)) = run {
        write_varint(data, value);
        write_varint(data, count);
    }
}

/// A table's columns, found but not yet decoded.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    rows: usize,
    columns: Vec<(u8, u8, &'a [u8])>,
    /// The rows that are decoded, ascending, if not all are.
    only: Option<&'a [usize]>,
}

impl<'a> Table<'a> {
    /// Takes a table off the front of `input`; everything up to its end
    /// belongs to it.
    pub(crate) fn read(input: &mut &'a [u8]) -> Result<Self, FormatError> {
        Self::read_at_most(MAX_ROWS, input)
    }

    /// As [`Table::read`], for tables whose rows are so wide that fewer are
    /// allowed.
    pub(crate) fn read_at_most(limit: usize, input: &mut &'a [u8]) -> Result<Self, FormatError> {
        let rows = read_bounded(input, "row count", limit as u64)?;
        let count = read_bounded(input, "column count", 255)?;
        let mut columns = Vec::with_capacity(count);
        for _ in 0..count {
            columns.push(read_column(input)?);
        }
        Ok(Table { rows, columns, only: None })
    }

    /// Takes what there is of a table up to a column; `None` if that is not all
    /// there.
    pub(crate) fn read_through(
        last: Column,
        limit: usize,
        mut input: &'a [u8],
    ) -> Result<Option<Self>, FormatError> {
        let input = &mut input;
        let rows = read_bounded(input, "row count", limit as u64)?;
        let count = read_bounded(input, "column count", 255)?;
        let mut columns = Vec::new();
        for _ in 0..count {
            let Ok(column) = read_column(input) else { return Ok(None) };
            columns.push(column);
            if column.0 == last.id {
                break;
            }
        }
        Ok(Some(Table { rows, columns, only: None }))
    }

    /// The same table with only some of its rows, which are ascending.
    pub(crate) fn only<'b>(&self, rows: &'b [usize]) -> Table<'b>
    where
        'a: 'b,
    {
        Table { rows: self.rows, columns: self.columns.clone(), only: Some(rows) }
    }

    /// The runs of a column: values with how often each comes again.
    pub(crate) fn runs(&self, column: Column) -> Result<Vec<(u64, usize)>, FormatError> {
        let mut runs: Vec<(u64, usize)> = Vec::new();
        let mut left = self.rows;
        let mut cursor = self.cursor(column)?;
        while left > 0 {
            let run = cursor.run()?;
            left -= run.1;
            runs.push(run);
        }
        Ok(runs)
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.only.map_or(self.rows, <[usize]>::len)
    }

    /// Makes a row of each, of its values in some columns.
    pub(crate) fn each_row<const COUNT: usize, T>(
        &self,
        columns: [Column; COUNT],
        row: impl FnMut([u64; COUNT]) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        self.each_row_into(Vec::new(), columns, row)
    }

    /// The same, in memory that is no longer needed.
    pub(crate) fn each_row_into<const COUNT: usize, T>(
        &self,
        mut made: Vec<T>,
        columns: [Column; COUNT],
        mut row: impl FnMut([u64; COUNT]) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        let mut cursors = Vec::with_capacity(COUNT);
        for column in columns {
            cursors.push(self.cursor(column)?);
        }
        // Columns are read in parts that stay in the processor's cache.
        let mut parts = [[0; ROWS_AT_A_TIME]; COUNT];
        made.clear();
        made.reserve(self.rows());
        let all = self.rows();
        while made.len() < all {
            let count = (all - made.len()).min(ROWS_AT_A_TIME);
            for (part, cursor) in parts.iter_mut().zip(&mut cursors) {
                match self.only {
                    None => cursor.fill(&mut part[..count])?,
                    Some(only) => {
                        for (slot, &row) in part.iter_mut().zip(&only[made.len()..][..count]) {
                            *slot = cursor.at(row)?;
                        }
                    }
                }
            }
            for at in 0..count {
                made.push(row(parts.each_ref().map(|part| part[at]))?);
            }
        }
        if self.only.is_none() {
            cursors.into_iter().try_for_each(Cursor::finish)?;
        }
        Ok(made)
    }

    /// Decodes a column; all rows have its value if absent if there is none.
    pub(crate) fn column(&self, column: Column) -> Result<Vec<u64>, FormatError> {
        self.each_row([column], |[value]| Ok(value))
    }

    fn cursor(&self, column: Column) -> Result<Cursor<'a>, FormatError> {
        match self.columns.iter().find(|(id, _, _)| *id == column.id) {
            Some(&(_, encoding, data)) => Cursor::new(encoding, data, self.rows),
            None => Ok(Cursor::of_same(column.if_absent, self.rows)),
        }
    }
}

/// Id, encoding and data of the column at the front.
fn read_column<'a>(input: &mut &'a [u8]) -> Result<(u8, u8, &'a [u8]), FormatError> {
    let head = read_bytes(input, 2, "column header")?;
    let length = read_varint(input, "column length")? as usize;
    Ok((head[0], head[1], read_bytes(input, length, "column")?))
}

/// A column's value as a number that has to fit 32 bits.
pub(crate) fn to_u32(value: u64, what: &'static str) -> Result<u32, FormatError> {
    u32::try_from(value).map_err(|_| FormatError::InvalidValue { what, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Column = Column::new(9, Encoding::Plain);
    const DELTA: Column = Column::new(9, Encoding::Delta);
    const DELTA_OF_DELTA: Column = Column::new(9, Encoding::DeltaOfDelta);
    const RUN_LENGTH: Column = Column::new(9, Encoding::RunLength);
    /// A table of one column each.
    const TABLES: [Columns; 4] = [&[&[PLAIN]], &[&[DELTA]], &[&[DELTA_OF_DELTA]], &[&[RUN_LENGTH]]];
    const ABSENT: Column = Column::new(8, Encoding::Plain).if_absent(3);

    fn table(columns: Columns, values: &[u64]) -> Vec<u8> {
        let mut table = TableWriter::new(columns, values.len());
        table.column(columns[0][0], values.iter().copied());
        table.finish()
    }

    proptest! {
        #[test]
        fn every_encoding_round_trips(values: Vec<u64>) {
            for columns in TABLES {
                let bytes = table(columns, &values);
                let read = Table::read(&mut &bytes[..]).unwrap();
                prop_assert_eq!(read.column(PLAIN).unwrap(), values.clone());
                for step in 1..5 {
                    let rows: Vec<usize> = (step - 1..values.len()).step_by(step).collect();
                    let some: Vec<u64> = rows.iter().map(|&row| values[row]).collect();
                    prop_assert_eq!(read.only(&rows).column(PLAIN).unwrap(), some);
                }
                prop_assert_eq!(read.column(ABSENT).unwrap(), vec![3; values.len()]);
            }
        }

        #[test]
        fn damage_never_panics(mut bytes: Vec<u8>, encoding in 0u8..5) {
            bytes.splice(0..0, [100, 1, 9, encoding]);
            if let Ok(read) = Table::read(&mut &bytes[..]) {
                let _ = read.column(PLAIN);
                let _ = read.only(&[0, 7, 99]).column(PLAIN);
            }
        }
    }

    #[test]
    fn a_steady_clock_takes_a_byte_a_row() {
        let times: Vec<u64> = (0..1000).map(|i| 5_000_000_000 + i * 1_003_009).collect();
        assert!(table(&[&[DELTA_OF_DELTA]], &times).len() < 1020);
    }

    #[test]
    fn a_run_of_zero_does_not_loop_for_ever() {
        // Row count 1, one column of (value 0, run 0) and nothing more.
        assert!(Table::read(&mut &[1, 1, 9, 3, 2, 0, 0][..]).unwrap().column(PLAIN).is_err());
    }

    #[test]
    fn a_column_that_tells_nothing_is_left_out() {
        let written = |values: &[u64]| {
            let mut table = TableWriter::new(&[&[ABSENT]], values.len());
            table.column_if_used(ABSENT, values.to_vec());
            let out = table.finish();
            assert_eq!(Table::read(&mut &out[..]).unwrap().column(ABSENT).unwrap(), values);
            out
        };
        assert_eq!(written(&[3, 3]), [2, 0]);
        assert_eq!(written(&[3, 0]), [2, 1, 8, 0, 2, 3, 0]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic = "not declared, or twice"]
    fn a_column_that_is_written_is_declared() {
        TableWriter::new(&[&[PLAIN]], 1).column(ABSENT, [1]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic = "not declared, or twice"]
    fn a_column_is_written_once() {
        let mut table = TableWriter::new(&[&[PLAIN]], 1);
        table.column(PLAIN, [1]);
        table.column(PLAIN, [1]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic = "declared and not written"]
    fn a_column_that_is_declared_is_written() {
        let mut table = TableWriter::new(&[&[PLAIN, ABSENT]], 1);
        table.column(PLAIN, [1]);
        table.finish();
    }

    #[test]
    fn a_family_has_consecutive_ids() {
        const FAMILY: [Column; 3] = ABSENT.family();
        assert_eq!(FAMILY.map(|column| column.id), [8, 9, 10]);
        assert_eq!(FAMILY.map(|column| column.if_absent), [3; 3]);
    }
}
