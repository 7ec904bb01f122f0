//! Writes one table of one trace: rows are collected, and become a row group when there
//! are enough of them, which is packed while the next rows are collected.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::{
    ColumnCloseResult, ColumnWriterImpl, get_column_writer, get_typed_column_writer,
};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};
use rustc_hash::FxHashMap;

use super::schema::{Column, SCHEMA_VERSION, Table, Type};

/// Rows of a row group: some 10 MiB of them, before they are packed.
const ROWS_AT_A_TIME: usize = 1 << 17;

/// Ids of lists in a row group, at most.
const LIST_ITEMS_AT_A_TIME: usize = 1 << 20;

/// Bytes of the distinct values of a column in a row group, at most, before all are written
/// out: names of many functions are some megabytes.
const DICTIONARY_BYTES: usize = 16 << 20;

/// How hard zstd tries. More takes twice as long for 5 % less.
const LEVEL: i32 = 3;

/// The same for names, which become 15 % smaller.
const NAME_LEVEL: i32 = 9;

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
    /// Numbers of texts, each of which is kept once.
    Texts {
        values: Vec<u32>,
        distinct: Vec<ByteArray>,
        known: FxHashMap<Box<[u8]>, u32>,
    },
    Ids {
        values: Vec<i64>,
        lengths: Vec<usize>,
    },
    Labels {
        names: Vec<ByteArray>,
        texts: Vec<ByteArray>,
        lengths: Vec<usize>,
    },
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
            Type::Id | Type::OwnId | Type::Time | Type::Varied | Type::Amount | Type::Number => {
                Values::Ints(Vec::new())
            }
            Type::Real => Values::Reals(Vec::new()),
            Type::Flag => Values::Flags(Vec::new()),
            Type::Text | Type::Name => Values::Texts {
                values: Vec::new(),
                distinct: Vec::new(),
                known: FxHashMap::default(),
            },
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
            Values::Texts { values, distinct, known } => {
                let text = if let Cell::Text(text) = cell { text.as_bytes() } else { b"" };
                // Neighbours mostly have one text.
                let value = match values.last() {
                    Some(&last) if distinct[last as usize].data() == text => last,
                    _ => match known.get(text) {
                        Some(&value) => value,
                        None => {
                            let value = distinct.len() as u32;
                            distinct.push(text.to_vec().into());
                            known.insert(text.into(), value);
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
    fn put_in_order(&mut self, order: &[u32]) {
        fn ordered<T: Copy>(values: &mut Vec<T>, order: &[u32]) {
            *values = order.iter().map(|&row| values[row as usize]).collect();
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

    /// Packs all values, as one column of a row group or as two.
    fn pack(self, columns: &[Leaf]) -> Result<Vec<Packed>, ParquetError> {
        let present = self.present.as_deref();
        let first = &columns[0];
        Ok(match self.values {
            Values::Ints(values) => vec![first.pack_all::<Int64Type>(values, present)?],
            Values::Reals(values) => vec![first.pack_all::<DoubleType>(values, present)?],
            Values::Flags(values) => vec![first.pack_all::<BoolType>(values, present)?],
            Values::Texts { values, distinct, known: _ } => {
                let texts = values.into_iter().map(|value| distinct[value as usize].clone());
                vec![first.pack_all::<ByteArrayType>(texts.collect(), present)?]
            }
            Values::Ids { values, lengths } => {
                vec![first.pack_list::<Int64Type>(&values, &Levels::of(&lengths))?]
            }
            Values::Labels { names, texts, lengths } => {
                let levels = Levels::of(&lengths);
                let names = first.pack_list::<ByteArrayType>(&names, &levels)?;
                vec![names, columns[1].pack_list::<ByteArrayType>(&texts, &levels)?]
            }
        })
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

/// A column as the format has it: a map has two of them.
struct Leaf {
    description: ColumnDescPtr,
    properties: WriterPropertiesPtr,
}

/// A column of a row group, as it is in the file.
struct Packed {
    bytes: Bytes,
    closed: ColumnCloseResult,
}

impl Leaf {
    fn pack<T: DataType>(
        &self,
        write: impl FnOnce(&mut ColumnWriterImpl<T>) -> Result<usize, ParquetError>,
    ) -> Result<Packed, ParquetError> {
        let mut out = TrackedWrite::new(Vec::new());
        let pages = Box::new(SerializedPageWriter::new(&mut out));
        let writer = get_column_writer(self.description.clone(), self.properties.clone(), pages);
        let mut writer = get_typed_column_writer::<T>(writer);
        write(&mut writer)?;
        let closed = writer.close()?;
        Ok(Packed { bytes: out.into_inner()?.into(), closed })
    }

    fn pack_all<T: DataType>(
        &self,
        mut values: Vec<T::T>,
        present: Option<&[bool]>,
    ) -> Result<Packed, ParquetError> {
        let levels = present.map(|present| {
            let mut rows = present.iter();
            values.retain(|_| rows.next() == Some(&true));
            present.iter().map(|&present| i16::from(present)).collect::<Vec<i16>>()
        });
        self.pack::<T>(|writer| writer.write_batch(&values, levels.as_deref(), None))
    }

    fn pack_list<T: DataType>(
        &self,
        values: &[T::T],
        levels: &Levels,
    ) -> Result<Packed, ParquetError> {
        let Levels { definition, repetition } = levels;
        self.pack::<T>(|writer| writer.write_batch(values, Some(definition), Some(repetition)))
    }
}

/// A table that is being written.
pub struct TableFile<W: Write + Send> {
    table: &'static Table,
    writer: SerializedFileWriter<W>,
    /// Values by column.
    pending: Vec<Pending>,
    columns: Arc<Columns>,
    /// The row group before, which is written when it is packed.
    packing: Option<JoinHandle<Result<Vec<Packed>, ParquetError>>>,
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
        let properties = Arc::new(properties(table)?);
        let writer = SerializedFileWriter::new(out, schema, properties.clone())?;
        let leaf = |description: &ColumnDescPtr| Leaf {
            description: description.clone(),
            properties: properties.clone(),
        };
        let mut leaves = writer.schema_descr().columns().iter().map(leaf);
        let count = |column: &Column| if column.kind == Type::Labels { 2 } else { 1 };
        let leaves = table.columns.iter().map(|it| leaves.by_ref().take(count(it)).collect());
        let leaves = leaves.collect();
        let sort = table.sort.iter().filter_map(|name| table.position(name)).collect();
        let columns = Arc::new(Columns { leaves, sort });
        let pending = no_rows(table);
        Ok(TableFile { table, writer, pending, columns, packing: None, rows: 0, written: 0 })
    }

    /// Adds a row, which has a value for each column.
    ///
    /// # Errors
    /// If a row group was complete and cannot be written.
    pub fn row(&mut self, cells: &[Cell]) -> Result<(), ParquetError> {
        debug_assert_eq!(cells.len(), self.table.columns.len(), "{}", self.table.name);
        let mut items = 0;
        for (pending, cell) in self.pending.iter_mut().zip(cells) {
            pending.push(*cell);
            items = items.max(pending.list_items());
        }
        self.rows += 1;
        self.written += 1;
        if self.rows >= ROWS_AT_A_TIME || items >= LIST_ITEMS_AT_A_TIME {
            self.pack()?;
        }
        Ok(())
    }

    /// Ends the file. Gives the number of its rows, and what it was written to.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(u64, W), ParquetError> {
        if self.rows > 0 {
            self.pack()?;
        }
        self.write_packed()?;
        Ok((self.written, self.writer.into_inner()?))
    }

    /// Begins to pack the rows that there are, when those before are written.
    fn pack(&mut self) -> Result<(), ParquetError> {
        self.write_packed()?;
        let pending = std::mem::replace(&mut self.pending, no_rows(self.table));
        let (columns, rows) = (self.columns.clone(), std::mem::take(&mut self.rows));
        let pack = move || columns.pack(pending, rows);
        let failed = |error: io::Error| ParquetError::External(error.into());
        self.packing = Some(thread::Builder::new().spawn(pack).map_err(failed)?);
        Ok(())
    }

    /// Writes the row group that is being packed, if any is.
    fn write_packed(&mut self) -> Result<(), ParquetError> {
        let Some(packing) = self.packing.take() else { return Ok(()) };
        let failed = |_| ParquetError::General("a row group could not be packed".into());
        let packed = packing.join().map_err(failed)??;
        let mut group = self.writer.next_row_group()?;
        for Packed { bytes, closed } in packed {
            group.append_column(&bytes, closed)?;
        }
        group.close()?;
        Ok(())
    }
}

fn no_rows(table: &Table) -> Vec<Pending> {
    table.columns.iter().map(|column| Pending::of(column.kind, column.optional)).collect()
}

/// The columns of a table.
struct Columns {
    /// What each is in the format.
    leaves: Vec<Vec<Leaf>>,
    /// Those that rows are sorted by.
    sort: Vec<usize>,
}

impl Columns {
    fn pack(&self, pending: Vec<Pending>, rows: usize) -> Result<Vec<Packed>, ParquetError> {
        let order = self.order(&pending, rows);
        let mut packed = Vec::new();
        for (mut pending, leaves) in pending.into_iter().zip(&self.leaves) {
            if let Some(order) = &order {
                pending.put_in_order(order);
            }
            packed.extend(pending.pack(leaves)?);
        }
        Ok(packed)
    }

    /// The order that rows are to have, if it is another one.
    fn order(&self, pending: &[Pending], rows: usize) -> Option<Vec<u32>> {
        if self.sort.is_empty() {
            return None;
        }
        let key = |row: u32| {
            let value = |column: &usize| pending[*column].int(row as usize);
            (self.sort.first().map_or(0, value), self.sort.get(1).map_or(0, value), row)
        };
        let mut keys: Vec<(i64, i64, u32)> = (0..rows as u32).map(key).collect();
        keys.sort_unstable();
        Some(keys.into_iter().map(|(_, _, row)| row).collect())
    }
}

/// The columns as the format has them.
fn message_type(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| {
        let name = column.name;
        let how = if column.optional { "optional" } else { "required" };
        match column.kind {
            Type::Id | Type::OwnId | Type::Varied | Type::Amount | Type::Number => {
                format!("{how} int64 {name};")
            }
            Type::Time => format!("{how} int64 {name} (TIMESTAMP(MICROS,true));"),
            Type::Real => format!("{how} double {name};"),
            Type::Flag => format!("{how} boolean {name};"),
            Type::Text | Type::Name => format!("{how} binary {name} (STRING);"),
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
    let zstd = |level| Ok::<_, ParquetError>(Compression::ZSTD(ZstdLevel::try_new(level)?));
    let mut properties = WriterProperties::builder()
        .set_compression(zstd(LEVEL)?)
        .set_created_by(concat!("rz ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(facts));
    for column in table.columns {
        let path = ColumnPath::from(column.name);
        properties = match column.kind {
            // Whole bytes, in which zstd finds what stacks have in common.
            Type::Ids => {
                let path = [column.name, "list", "element"].map(str::to_owned).to_vec();
                properties.set_column_dictionary_enabled(path.into(), false)
            }
            // And what comes again.
            Type::OwnId | Type::Amount => properties.set_column_dictionary_enabled(path, false),
            Type::Time | Type::Varied => properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            // Most of them are in the dictionary, each once.
            Type::Name => properties.set_column_compression(path, zstd(NAME_LEVEL)?),
            Type::Id | Type::Number | Type::Real | Type::Text | Type::Flag | Type::Labels => {
                properties
            }
        };
    }
    Ok(properties.build())
}
