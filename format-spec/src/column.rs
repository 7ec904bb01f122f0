//! Columns of unsigned integers: one field of many rows, encoded together.
//!
//! A table is a row count followed by columns. Each column names itself, so a
//! reader skips those it does not know and fills in those that are missing.
//!
//! Each table declares its columns as constants and lists them all in one
//! `ALL`; its writer and its reader take the constants, and a test holds the
//! list against SPEC.md.

use crate::block::MAX_ROWS;
use crate::error::FormatError;
use crate::varint::{
    read_bounded, read_bytes, read_varint, skip_varints, unzigzag, write_varint, zigzag,
};

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
            let head = read_bytes(input, 2, "column header")?;
            let length = read_varint(input, "column length")? as usize;
            columns.push((head[0], head[1], read_bytes(input, length, "column")?));
        }
        Ok(Table { rows, columns, only: None })
    }

    /// The same table with only some of its rows, which are ascending.
    pub(crate) fn only<'b>(&self, rows: &'b [usize]) -> Table<'b>
    where
        'a: 'b,
    {
        Table { rows: self.rows, columns: self.columns.clone(), only: Some(rows) }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.only.map_or(self.rows, <[usize]>::len)
    }

    /// Makes a row of each.
    pub(crate) fn each_row<T>(
        &self,
        row: impl FnMut(usize) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        // `collect` would not know how many there will be.
        let mut rows = Vec::with_capacity(self.rows());
        for made in (0..self.rows()).map(row) {
            rows.push(made?);
        }
        Ok(rows)
    }

    /// Decodes a column; all rows have its value if absent if there is none.
    pub(crate) fn column(&self, column: Column) -> Result<Vec<u64>, FormatError> {
        match self.columns.iter().find(|(id, _, _)| *id == column.id) {
            Some(&(_, encoding, data)) => match self.only {
                None => decode(encoding, data, self.rows),
                Some(rows) => decode_some(encoding, data, self.rows, rows),
            },
            None => Ok(vec![column.if_absent; self.rows()]),
        }
    }
}

/// Decodes the values of some rows of a column, ascending. What is behind the last
/// of them is not looked at.
fn decode_some(
    encoding: u8,
    mut data: &[u8],
    rows: usize,
    only: &[usize],
) -> Result<Vec<u64>, FormatError> {
    let data = &mut data;
    let mut values = Vec::with_capacity(only.len());
    match encoding {
        0 => {
            let mut next = 0;
            for &row in only {
                skip_varints(data, row.saturating_sub(next));
                values.push(read_varint(data, "column value")?);
                next = row + 1;
            }
        }
        1 => {
            let (mut value, mut next) = (0u64, 0);
            for &row in only {
                while next <= row {
                    value = value.wrapping_add(unzigzag(read_varint(data, "column value")?));
                    next += 1;
                }
                values.push(value);
            }
        }
        3 => {
            let (mut value, mut end) = (0, 0);
            for &row in only {
                while end <= row {
                    value = read_varint(data, "column value")?;
                    end += read_bounded(data, "run length", (rows - end) as u64)?;
                }
                values.push(value);
            }
        }
        _ => {
            let all = decode(encoding, data, rows)?;
            values.extend(only.iter().filter_map(|&row| all.get(row)));
        }
    }
    Ok(values)
}

fn decode(encoding: u8, mut data: &[u8], rows: usize) -> Result<Vec<u64>, FormatError> {
    let data = &mut data;
    let values = match encoding {
        0 => each(data, rows, |coded| coded)?,
        1 => {
            let mut value = 0u64;
            each(data, rows, |coded| {
                value = value.wrapping_add(unzigzag(coded));
                value
            })?
        }
        2 => {
            let (mut value, mut delta) = (0u64, 0u64);
            each(data, rows, |coded| {
                delta = delta.wrapping_add(unzigzag(coded));
                value = value.wrapping_add(delta);
                value
            })?
        }
        3 => runs(data, rows)?,
        other => {
            let value = other.into();
            return Err(FormatError::InvalidValue { what: "column encoding", value });
        }
    };
    match data {
        [] => Ok(values),
        rest => Err(FormatError::InvalidValue {
            what: "bytes after a column's last value",
            value: rest.len() as u64,
        }),
    }
}

/// One value for each number in `data`, of which each takes a byte at least: a
/// lying row count cannot claim memory that the data cannot fill.
fn each(
    data: &mut &[u8],
    rows: usize,
    mut value: impl FnMut(u64) -> u64,
) -> Result<Vec<u64>, FormatError> {
    let mut values = Vec::with_capacity(rows.min(data.len()));
    for _ in 0..rows {
        values.push(value(read_varint(data, "column value")?));
    }
    Ok(values)
}

/// Values with how often each is repeated, at most as often as a block may have
/// rows.
fn runs(data: &mut &[u8], rows: usize) -> Result<Vec<u64>, FormatError> {
    let mut values = Vec::with_capacity(rows.min(MAX_ROWS));
    while values.len() < rows {
        let value = read_varint(data, "column value")?;
        let left = (rows - values.len()) as u64;
        let run = read_bounded(data, "run length", left)?;
        values.resize(values.len() + run, value);
    }
    Ok(values)
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
