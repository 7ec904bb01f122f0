//! Reads the values of a column one after the other.

use crate::block::MAX_ROWS;
use crate::error::FormatError;
use crate::varint::{read_bounded, read_varint, skip_varints, unzigzag};

/// Numbers of one byte that are looked at together.
const WORD: usize = size_of::<u64>();

/// A place in a column of so many rows.
pub(crate) struct Cursor<'a> {
    data: &'a [u8],
    encoding: u8,
    rows: usize,
    /// Rows that were read.
    read: usize,
    value: u64,
    delta: u64,
    /// How often the value comes again.
    repeated: usize,
    /// Rows of all runs up to here.
    in_runs: usize,
}

impl<'a> Cursor<'a> {
    /// In front of the first value of a column.
    pub(crate) fn new(encoding: u8, data: &'a [u8], rows: usize) -> Result<Self, FormatError> {
        match encoding {
            // Each takes a byte at least: a lying row count cannot claim memory
            // that the data cannot fill.
            0..=2 if rows > data.len() => {
                let value = rows as u64;
                return Err(FormatError::InvalidValue { what: "rows of a column", value });
            }
            0..=2 => {}
            3 if rows <= MAX_ROWS => {}
            _ => {
                let value = encoding.into();
                return Err(FormatError::InvalidValue { what: "column encoding", value });
            }
        }
        Ok(Cursor { data, encoding, rows, read: 0, value: 0, delta: 0, repeated: 0, in_runs: 0 })
    }

    /// Of a column that is missing.
    pub(crate) fn of_same(value: u64, rows: usize) -> Self {
        Cursor {
            data: &[],
            encoding: 3,
            rows,
            read: 0,
            value,
            delta: 0,
            repeated: rows,
            in_runs: rows,
        }
    }

    /// Reads as many values as there is room for, which must not be more than
    /// are left.
    pub(crate) fn fill(&mut self, out: &mut [u64]) -> Result<(), FormatError> {
        self.read += out.len();
        let data = &mut self.data;
        match self.encoding {
            0 => {
                for slot in out {
                    *slot = read_varint(data, "column value")?;
                }
            }
            1 => {
                for slot in out {
                    let step = unzigzag(read_varint(data, "column value")?);
                    self.value = self.value.wrapping_add(step);
                    *slot = self.value;
                }
            }
            2 => {
                for slot in out {
                    let step = unzigzag(read_varint(data, "column value")?);
                    self.delta = self.delta.wrapping_add(step);
                    self.value = self.value.wrapping_add(self.delta);
                    *slot = self.value;
                }
            }
            _ => {
                let mut out = out;
                while !out.is_empty() {
                    if self.repeated == 0 {
                        self.next_run()?;
                    }
                    let (same, rest) = out.split_at_mut(self.repeated.min(out.len()));
                    same.fill(self.value);
                    self.repeated -= same.len();
                    out = rest;
                }
            }
        }
        Ok(())
    }

    /// The value of a row, which must be behind those that were read.
    pub(crate) fn at(&mut self, row: usize) -> Result<u64, FormatError> {
        self.skip(row - self.read)?;
        let mut value = [0];
        self.fill(&mut value)?;
        Ok(value[0])
    }

    fn skip(&mut self, count: usize) -> Result<(), FormatError> {
        let mut unread = count;
        match self.encoding {
            0 => {
                skip_varints(&mut self.data, count);
                self.read += count;
            }
            3 => {
                self.read += count;
                while unread > self.repeated {
                    unread -= self.repeated;
                    self.next_run()?;
                }
                self.repeated -= unread;
            }
            1 => {
                self.read += count;
                let mut data = self.data;
                while unread > 0 {
                    if unread >= WORD
                        && let Some((word, rest)) = data.split_first_chunk::<WORD>()
                        && let Some(sum) = sum_of_bytes(u64::from_le_bytes(*word))
                    {
                        data = rest;
                        self.value = self.value.wrapping_add_signed(sum);
                        unread -= WORD;
                        continue;
                    }
                    let step = unzigzag(read_varint(&mut data, "column value")?);
                    self.value = self.value.wrapping_add(step);
                    unread -= 1;
                }
                self.data = data;
            }
            _ => {
                let mut passed = [0; 64];
                while unread > 0 {
                    let next = unread.min(passed.len());
                    self.fill(&mut passed[..next])?;
                    unread -= next;
                }
            }
        }
        Ok(())
    }

    fn next_run(&mut self) -> Result<(), FormatError> {
        self.value = read_varint(&mut self.data, "column value")?;
        let most = (self.rows - self.in_runs) as u64;
        self.repeated = read_bounded(&mut self.data, "run length", most)?;
        self.in_runs += self.repeated;
        Ok(())
    }

    /// The next value, and how often it is said to come from here on.
    pub(crate) fn run(&mut self) -> Result<(u64, usize), FormatError> {
        let value = self.at(self.read)?;
        let count = 1 + std::mem::take(&mut self.repeated);
        self.read += count - 1;
        Ok((value, count))
    }

    /// Checks that nothing is behind the last value.
    pub(crate) fn finish(self) -> Result<(), FormatError> {
        match self.data {
            [] => Ok(()),
            rest => Err(FormatError::InvalidValue {
                what: "bytes after a column's last value",
                value: rest.len() as u64,
            }),
        }
    }
}

/// The sum of eight zigzag numbers; `None` if not all are of one byte.
fn sum_of_bytes(word: u64) -> Option<i64> {
    const LOW_BITS: u64 = 0x0101_0101_0101_0101;
    const EVERY_SECOND: u64 = 0x00ff_00ff_00ff_00ff;
    if word & (LOW_BITS << 7) != 0 {
        return None;
    }
    // Each byte from -64 to 63, and 64 more, so that none is negative.
    let magnitudes = (word >> 1) & (LOW_BITS * 0x7f);
    let signed = magnitudes ^ ((word & LOW_BITS) * 0x7f);
    let positive = signed ^ (LOW_BITS << 6);
    let pairs = (positive & EVERY_SECOND) + ((positive >> 8) & EVERY_SECOND);
    let sum = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
    Some(sum as i64 - 8 * 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::varint::write_varint;

    #[test]
    fn eight_numbers_of_one_byte_are_summed_up_at_once() {
        let sum = |bytes: [u8; 8]| sum_of_bytes(u64::from_le_bytes(bytes));
        let one_by_one = |bytes: [u8; 8]| {
            bytes.iter().map(|byte| unzigzag(u64::from(*byte)) as i64).sum::<i64>()
        };
        for byte in 0..128 {
            let bytes = [byte, 127 - byte, 0, 1, 2, 127, 126, byte];
            assert_eq!(sum(bytes), Some(one_by_one(bytes)), "{bytes:?}");
            assert_eq!(sum([byte; 8]), Some(one_by_one([byte; 8])), "{byte}");
        }
        assert_eq!(sum([0, 0, 0, 0x80, 1, 0, 0, 0]), None);
    }

    #[test]
    fn rows_are_found_behind_differences_of_any_size() {
        let steps: Vec<u64> =
            (0..200).map(|at| if at % 37 == 5 { 1 << (at % 63) } else { at % 90 }).collect();
        let mut data = Vec::new();
        steps.iter().for_each(|step| write_varint(&mut data, *step));
        let mut values = vec![0; steps.len()];
        Cursor::new(1, &data, steps.len()).unwrap().fill(&mut values).unwrap();
        for (row, value) in values.into_iter().enumerate() {
            assert_eq!(Cursor::new(1, &data, steps.len()).unwrap().at(row).unwrap(), value);
        }
    }
}
