//! Writes one table of one trace: rows are collected, and become a row group when there
//! are enough of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{
    SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter,
};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use rustc_hash::FxHashMap;

use super::schema::{SCHEMA_VERSION, Table, Type};

/// Rows of a row group: some 10 MiB of them, before they are packed.
const ROWS_AT_A_TIME: usize = 1 << 17;

/// Ids of lists in a row group, at most.
const LIST_ITEMS_AT_A_TIME: usize = 1 << 20;

/// Bytes of the distinct values of a column in a row group, at most, before all are written
/// out: names of many functions are some megabytes.
const DICTIONARY_BYTES: usize = 16 << 20;

/// How hard zstd tries. More takes twice as long for 5 % less.
const LEVEL: i32 = 3;

/// A value.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'c> {
    /// There is none.
    None,
    /// An id, a time in microseconds, or a number.
    Int(i64),
    /// A number that may have been estimated.
    Real(f64),
    /// Yes or no.
    Flag(bool),
    /// A text.
    Text(&'c str),
    /// Several ids.
    Ids(&'c [i64]),
    /// Texts by name.
    Labels(&'c BTreeMap<String, String>),
}

impl From<u64> for Cell<'_> {
    /// Numbers that are larger than any that there are become the largest.
    fn from(number: u64) -> Self {
        Cell::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Cell<'_> {
    fn from(number: u32) -> Self {
        Cell::Int(number.into())
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Cell::None, Cell::Int)
    }
}

impl<'c> From<Option<&'c str>> for Cell<'c> {
    fn from(text: Option<&'c str>) -> Self {
        text.map_or(Cell::None, Cell::Text)
    }
}

/// The values of a column that are not written yet.
#[derive(Debug)]
enum Values {
    Ints(Vec<i64>),
    Reals(Vec<f64>),
    Flags(Vec<bool>),
    Texts { values: Vec<ByteArray>, known: FxHashMap<Box<[u8]>, ByteArray> },
    Ids { values: Vec<i64>, lengths: Vec<usize> },
    Labels { names: Vec<ByteArray>, texts: Vec<ByteArray>, lengths: Vec<usize> },
}

#[derive(Debug)]
struct Pending {
    values: Values,
    /// Which rows have a value, of a column in which some may have none.
    present: Option<Vec<bool>>,
}

impl Pending {
    fn of(kind: Type, optional: bool) -> Pending {
        let values = match kind {
            Type::Id | Type::Time | Type::Varied | Type::Number => Values::Ints(Vec::new()),
            Type::Real => Values::Reals(Vec::new()),
            Type::Flag => Values::Flags(Vec::new()),
            Type::Text => Values::Texts { values: Vec::new(), known: FxHashMap::default() },
            Type::Ids => Values::Ids { values: Vec::new(), lengths: Vec::new() },
            Type::Labels => {
                Values::Labels { names: Vec::new(), texts: Vec::new(), lengths: Vec::new() }
            }
        };
        Pending { values, present: optional.then(Vec::new) }
    }

    /// Adds a value. One that is of another type is as none.
    fn push(&mut self, cell: Cell) {
        if let Some(present) = &mut self.present {
            present.push(!matches!(cell, Cell::None));
        }
        match &mut self.values {
            Values::Ints(values) => {
                values.push(if let Cell::Int(value) = cell { value } else { 0 })
            }
            Values::Reals(values) => {
                values.push(if let Cell::Real(value) = cell { value } else { 0.0 });
            }
            Values::Flags(values) => values.push(matches!(cell, Cell::Flag(true))),
            Values::Texts { values, known } => {
                let text = if let Cell::Text(text) = cell { text.as_bytes() } else { b"" };
                // Neighbours mostly have one text.
                let value = match values.last() {
                    Some(last) if last.data() == text => last.clone(),
                    _ => match known.get(text) {
                        Some(value) => value.clone(),
                        None => {
                            let value = ByteArray::from(text.to_vec());
                            known.insert(text.into(), value.clone());
                            value
                        }
                    },
                };
                values.push(value);
            }
            Values::Ids { values, lengths } => {
                let ids = if let Cell::Ids(ids) = cell { ids } else { &[] };
                values.extend(ids);
                lengths.push(ids.len());
            }
            Values::Labels { names, texts, lengths } => {
                let before = names.len();
                if let Cell::Labels(labels) = cell {
                    for (name, text) in labels {
                        names.push(name.as_bytes().to_vec().into());
                        texts.push(text.as_bytes().to_vec().into());
                    }
                }
                lengths.push(names.len() - before);
            }
        }
    }

    /// Puts rows in another order. Lists stay: no table with any is sorted.
    fn put_in_order(&mut self, order: &[usize]) {
        fn ordered<T: Clone>(values: &mut Vec<T>, order: &[usize]) {
            *values = order.iter().map(|&row| values[row].clone()).collect();
        }
        if let Some(present) = &mut self.present {
            ordered(present, order);
        }
        match &mut self.values {
            Values::Ints(values) => ordered(values, order),
            Values::Reals(values) => ordered(values, order),
            Values::Flags(values) => ordered(values, order),
            Values::Texts { values, .. } => ordered(values, order),
            Values::Ids { .. } | Values::Labels { .. } => {}
        }
    }

    fn int(&self, row: usize) -> i64 {
        match &self.values {
            Values::Ints(values) => values[row],
            Values::Reals(_)
            | Values::Flags(_)
            | Values::Texts { .. }
            | Values::Ids { .. }
            | Values::Labels { .. } => 0,
        }
    }

    fn list_items(&self) -> usize {
        match &self.values {
            Values::Ids { values, .. } => values.len(),
            Values::Ints(_)
            | Values::Reals(_)
            | Values::Flags(_)
            | Values::Texts { .. }
            | Values::Labels { .. } => 0,
        }
    }

    /// Writes all values as one column of a row group, or as two.
    fn write<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<W>,
    ) -> Result<(), ParquetError> {
        let present = self.present.as_mut().map(std::mem::take);
        let present = present.as_deref();
        match &mut self.values {
            Values::Ints(values) => write_all::<Int64Type>(next(group)?, values, present),
            Values::Reals(values) => write_all::<DoubleType>(next(group)?, values, present),
            Values::Flags(values) => write_all::<BoolType>(next(group)?, values, present),
            Values::Texts { values, known } => {
                known.clear();
                write_all::<ByteArrayType>(next(group)?, values, present)
            }
            Values::Ids { values, lengths } => {
                let levels = Levels::of(lengths);
                lengths.clear();
                write_list::<Int64Type>(next(group)?, values, &levels)
            }
            Values::Labels { names, texts, lengths } => {
                let levels = Levels::of(lengths);
                lengths.clear();
                write_list::<ByteArrayType>(next(group)?, names, &levels)?;
                write_list::<ByteArrayType>(next(group)?, texts, &levels)
            }
        }
    }
}

/// Where lists begin and which are empty, as the format has it.
struct Levels {
    definition: Vec<i16>,
    repetition: Vec<i16>,
}

impl Levels {
    fn of(lengths: &[usize]) -> Levels {
        let mut levels = Levels { definition: Vec::new(), repetition: Vec::new() };
        for &length in lengths {
            levels.definition.push(i16::from(length > 0));
            levels.repetition.push(0);
            for _ in 1..length {
                levels.definition.push(1);
                levels.repetition.push(1);
            }
        }
        levels
    }
}

/// The next column, which is to be closed before the one after it.
fn next<'g, W: Write + Send>(
    group: &'g mut SerializedRowGroupWriter<W>,
) -> Result<SerializedColumnWriter<'g>, ParquetError> {
    group.next_column()?.ok_or_else(|| ParquetError::General("there is no such column".into()))
}

fn write_all<T: DataType>(
    mut column: SerializedColumnWriter,
    values: &mut Vec<T::T>,
    present: Option<&[bool]>,
) -> Result<(), ParquetError> {
    let writer: &mut ColumnWriterImpl<T> = column.typed();
    match present {
        None => writer.write_batch(values, None, None)?,
        Some(present) => {
            let mut rows = present.iter();
            values.retain(|_| rows.next() == Some(&true));
            let levels: Vec<i16> = present.iter().map(|&present| i16::from(present)).collect();
            writer.write_batch(values, Some(&levels), None)?
        }
    };
    values.clear();
    column.close()
}

fn write_list<T: DataType>(
    mut column: SerializedColumnWriter,
    values: &mut Vec<T::T>,
    levels: &Levels,
) -> Result<(), ParquetError> {
    let Levels { definition, repetition } = levels;
    column.typed::<T>().write_batch(values, Some(definition), Some(repetition))?;
    values.clear();
    column.close()
}

/// A table that is being written.
pub struct TableFile<W: Write + Send> {
    table: &'static Table,
    writer: SerializedFileWriter<W>,
    pending: Vec<Pending>,
    sort: Vec<usize>,
    rows: usize,
    written: u64,
}

impl<W: Write + Send> TableFile<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(table: &'static Table, out: W) -> Result<Self, ParquetError> {
        let schema = Arc::new(parse_message_type(&message_type(table))?);
        let writer = SerializedFileWriter::new(out, schema, Arc::new(properties(table)?))?;
        let pending =
            table.columns.iter().map(|column| Pending::of(column.kind, column.optional)).collect();
        let sort = table.sort.iter().filter_map(|name| table.position(name)).collect();
        Ok(TableFile { table, writer, pending, sort, rows: 0, written: 0 })
    }

    /// Adds a row, which has a value for each column.
    ///
    /// # Errors
    /// If a row group was complete and cannot be written.
    pub fn row(&mut self, cells: &[Cell]) -> Result<(), ParquetError> {
        debug_assert_eq!(cells.len(), self.table.columns.len(), "{}", self.table.name);
        for (pending, cell) in self.pending.iter_mut().zip(cells) {
            pending.push(*cell);
        }
        self.rows += 1;
        self.written += 1;
        let items: usize = self.pending.iter().map(Pending::list_items).max().unwrap_or(0);
        if self.rows >= ROWS_AT_A_TIME || items >= LIST_ITEMS_AT_A_TIME {
            self.write_row_group()?;
        }
        Ok(())
    }

    /// Ends the file. Gives the number of its rows, and what it was written to.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(u64, W), ParquetError> {
        if self.rows > 0 {
            self.write_row_group()?;
        }
        Ok((self.written, self.writer.into_inner()?))
    }

    fn write_row_group(&mut self) -> Result<(), ParquetError> {
        if !self.sort.is_empty() {
            let mut order: Vec<usize> = (0..self.rows).collect();
            let key = |row: &usize| {
                let value = |column: &usize| self.pending[*column].int(*row);
                (self.sort.first().map(value), self.sort.get(1).map(value), *row)
            };
            order.sort_unstable_by_key(key);
            self.pending.iter_mut().for_each(|pending| pending.put_in_order(&order));
        }
        self.rows = 0;
        let mut group = self.writer.next_row_group()?;
        for pending in &mut self.pending {
            pending.write(&mut group)?;
        }
        group.close()?;
        Ok(())
    }
}

/// The columns as the format has them.
fn message_type(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| {
        let name = column.name;
        let how = if column.optional { "optional" } else { "required" };
        match column.kind {
            Type::Id | Type::Varied | Type::Number => format!("{how} int64 {name};"),
            Type::Time => format!("{how} int64 {name} (TIMESTAMP(MICROS,true));"),
            Type::Real => format!("{how} double {name};"),
            Type::Flag => format!("{how} boolean {name};"),
            Type::Text => format!("{how} binary {name} (STRING);"),
            Type::Ids => format!(
                "required group {name} (LIST) {{ repeated group list {{ required int64 element; }} }}"
            ),
            Type::Labels => format!(
                "required group {name} (MAP) {{ repeated group key_value {{ required binary key \
                 (STRING); required binary value (STRING); }} }}"
            ),
        }
    });
    format!("message {} {{ {} }}", table.name, columns.collect::<String>())
}

fn properties(table: &Table) -> Result<WriterProperties, ParquetError> {
    let units = table.columns.iter().filter(|column| !column.unit.is_empty());
    let units: Vec<String> =
        units.map(|column| format!("{}={}", column.name, column.unit.trim_matches('`'))).collect();
    let value = |key: &str, value: String| KeyValue::new(format!("rz.{key}"), value);
    let facts = vec![
        value("table", table.name.to_owned()),
        value("schema_version", SCHEMA_VERSION.to_string()),
        value("sort", table.sort.join(",")),
        value("units", units.join(",")),
    ];
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_created_by(concat!("rz ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(facts));
    for column in table.columns {
        let path = ColumnPath::from(column.name);
        if column.kind == Type::Ids {
            // Whole bytes, in which zstd finds what stacks have in common.
            let path = [column.name, "list", "element"].map(str::to_owned).to_vec();
            properties = properties.set_column_dictionary_enabled(path.into(), false);
        }
        if matches!(column.kind, Type::Time | Type::Varied) {
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(properties.build())
}
