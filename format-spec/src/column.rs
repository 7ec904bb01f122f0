//! Columns of unsigned integers: one field of many rows, encoded together.
//!
//! A table is a row count followed by columns. Each column names itself, so a
//! reader skips those it does not know and fills in those that are missing.

use crate::block::MAX_ROWS;
use crate::error::FormatError;
use crate::varint::{read_bounded, read_bytes, read_varint, unzigzag, write_varint, zigzag};

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

/// Starts a table of `rows` rows.
pub(crate) fn write_row_count(out: &mut Vec<u8>, rows: usize) {
    write_varint(out, rows as u64);
}

/// Appends one column.
pub(crate) fn write_column(
    out: &mut Vec<u8>,
    id: u8,
    encoding: Encoding,
    values: impl IntoIterator<Item = u64>,
) {
    let values = values.into_iter();
    let mut data = Vec::with_capacity(values.size_hint().0);
    let mut previous = 0u64;
    // Takes the difference to the value before, which `previous` is from now on.
    let difference =
        |previous: &mut u64, value: u64| value.wrapping_sub(std::mem::replace(previous, value));
    match encoding {
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
    out.push(id);
    out.push(encoding as u8);
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
        Ok(Table { rows, columns })
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Makes a row of each.
    pub(crate) fn each_row<T>(
        &self,
        row: impl FnMut(usize) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        // `collect` would not know how many there will be.
        let mut rows = Vec::with_capacity(self.rows);
        for made in (0..self.rows).map(row) {
            rows.push(made?);
        }
        Ok(rows)
    }

    /// Decodes the column `id`; all rows are `missing` if there is none.
    pub(crate) fn column(&self, id: u8, missing: u64) -> Result<Vec<u64>, FormatError> {
        match self.columns.iter().find(|(column, _, _)| *column == id) {
            Some(&(_, encoding, data)) => decode(encoding, data, self.rows),
            None => Ok(vec![missing; self.rows]),
        }
    }
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

    const ALL: [Encoding; 4] =
        [Encoding::Plain, Encoding::Delta, Encoding::DeltaOfDelta, Encoding::RunLength];

    fn table(encoding: Encoding, values: &[u64]) -> Vec<u8> {
        let mut out = Vec::new();
        write_row_count(&mut out, values.len());
        write_varint(&mut out, 1);
        write_column(&mut out, 9, encoding, values.iter().copied());
        out
    }

    proptest! {
        #[test]
        fn every_encoding_round_trips(values: Vec<u64>) {
            for encoding in ALL {
                let bytes = table(encoding, &values);
                let read = Table::read(&mut &bytes[..]).unwrap();
                prop_assert_eq!(read.column(9, 0).unwrap(), values.clone());
                prop_assert_eq!(read.column(8, 3).unwrap(), vec![3; values.len()]);
            }
        }

        #[test]
        fn damage_never_panics(mut bytes: Vec<u8>, encoding in 0u8..5) {
            bytes.splice(0..0, [100, 1, 9, encoding]);
            if let Ok(read) = Table::read(&mut &bytes[..]) {
                let _ = read.column(9, 0);
            }
        }
    }

    #[test]
    fn a_steady_clock_takes_a_byte_a_row() {
        let times: Vec<u64> = (0..1000).map(|i| 5_000_000_000 + i * 1_003_009).collect();
        assert!(table(Encoding::DeltaOfDelta, &times).len() < 1020);
    }

    #[test]
    fn a_run_of_zero_does_not_loop_for_ever() {
        // Row count 1, one column of (value 0, run 0) and nothing more.
        assert!(Table::read(&mut &[1, 1, 9, 3, 2, 0, 0][..]).unwrap().column(9, 0).is_err());
    }
}
