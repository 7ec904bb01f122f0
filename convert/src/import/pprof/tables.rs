//! What a profile's samples refer to, and how much they are.

use std::collections::BTreeSet;
use std::io::BufRead;

use prost::Message;
use rustc_hash::FxHashMap;

use super::super::ImportError;
use super::fields::{Fields, Value, damaged};
use crate::export::pprof::proto;

/// Entries of each table, at most.
const MAX_ENTRIES: usize = 1 << 22;
/// Bytes of all strings, at most.
const MAX_STRING_BYTES: usize = 512 << 20;
/// Kinds of values that samples have, at most.
const MAX_TYPES: usize = 64;
/// Functions of one location, at most: those inlined into each other.
const MAX_LINES: usize = 128;
/// Keys of labels that are told apart, at most.
const MAX_LABELS: usize = 64;

/// Everything but samples, which come anywhere in the file.
#[derive(Debug, Default)]
pub(super) struct Tables {
    strings: Vec<Box<str>>,
    string_bytes: usize,
    pub(super) types: Vec<proto::ValueType>,
    pub(super) mappings: FxHashMap<u64, proto::Mapping>,
    /// The first mapping, which is the main program's.
    pub(super) main_mapping: Option<u64>,
    pub(super) locations: FxHashMap<u64, proto::Location>,
    pub(super) functions: FxHashMap<u64, proto::Function>,
    pub(super) comments: Vec<i64>,
    pub(super) time_nanos: i64,
    pub(super) duration_nanos: i64,
    pub(super) period_type: Option<proto::ValueType>,
    pub(super) period: i64,
    pub(super) default_type: i64,
    /// The sum of each column of values.
    pub(super) sums: Vec<u64>,
    /// Samples with a value below zero.
    pub(super) negative: u64,
    pub(super) samples: u64,
    /// Keys of labels that samples have.
    pub(super) labels: BTreeSet<i64>,
}

impl Tables {
    /// Reads all of a profile.
    pub(super) fn read(reader: impl BufRead) -> Result<Self, ImportError> {
        let mut tables = Tables::default();
        let mut fields = Fields::new(reader);
        while let Some((number, value)) = fields.next()? {
            match value {
                Value::Number(value) => tables.add_number(number, value.cast_signed()),
                Value::Bytes(bytes) => tables.add_message(number, bytes)?,
                Value::Fixed => {}
            }
        }
        if tables.types.is_empty() {
            return Err(damaged("it does not say what was measured".to_owned()));
        }
        Ok(tables)
    }

    /// The string with this number; empty if there is none.
    pub(super) fn text(&self, id: i64) -> &str {
        usize::try_from(id).ok().and_then(|id| self.strings.get(id)).map_or("", |text| text)
    }

    fn add_number(&mut self, number: u64, value: i64) {
        match number {
            9 => self.time_nanos = value,
            10 => self.duration_nanos = value,
            12 => self.period = value,
            13 if self.comments.len() < MAX_TYPES => self.comments.push(value),
            14 => self.default_type = value,
            _ => {}
        }
    }

    fn add_message(&mut self, number: u64, bytes: &[u8]) -> Result<(), ImportError> {
        match number {
            1 => {
                self.types.push(decode(bytes)?);
                check_length(self.types.len(), MAX_TYPES, "kinds of values")?;
            }
            2 => {
                let sample: proto::Sample = decode(bytes)?;
                self.samples += 1;
                for label in &sample.label {
                    if self.labels.len() < MAX_LABELS {
                        self.labels.insert(label.key);
                    }
                }
                self.negative += u64::from(sample.value.iter().any(|value| *value < 0));
                self.sums.resize(self.sums.len().max(sample.value.len().min(MAX_TYPES)), 0);
                for (sum, value) in self.sums.iter_mut().zip(sample.value) {
                    *sum = sum.saturating_add(value.max(0).cast_unsigned());
                }
            }
            3 => {
                let mapping: proto::Mapping = decode(bytes)?;
                self.main_mapping.get_or_insert(mapping.id);
                self.mappings.insert(mapping.id, mapping);
                check_length(self.mappings.len(), MAX_ENTRIES, "mappings")?;
            }
            4 => {
                let mut location: proto::Location = decode(bytes)?;
                location.line.truncate(MAX_LINES);
                location.line.shrink_to_fit();
                self.locations.insert(location.id, location);
                check_length(self.locations.len(), MAX_ENTRIES, "locations")?;
            }
            5 => {
                let function: proto::Function = decode(bytes)?;
                self.functions.insert(function.id, function);
                check_length(self.functions.len(), MAX_ENTRIES, "functions")?;
            }
            6 => {
                self.strings.push(String::from_utf8_lossy(bytes).into());
                self.string_bytes += bytes.len();
                check_length(self.strings.len(), MAX_ENTRIES * 4, "strings")?;
                check_length(self.string_bytes, MAX_STRING_BYTES, "bytes of strings")?;
            }
            11 => self.period_type = Some(decode(bytes)?),
            13 => {
                // Packed.
                let list = proto::Profile::decode(&*packed(13, bytes)).map_err(undecodable)?;
                self.comments.extend(list.comment.into_iter().take(MAX_TYPES));
                self.comments.truncate(MAX_TYPES);
            }
            _ => {}
        }
        Ok(())
    }
}

/// A message with one field: these bytes.
fn packed(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(bytes.len() + 12);
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut message);
    prost::encoding::encode_varint(bytes.len() as u64, &mut message);
    message.extend_from_slice(bytes);
    message
}

pub(super) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, ImportError> {
    M::decode(bytes).map_err(undecodable)
}

fn undecodable(error: prost::DecodeError) -> ImportError {
    damaged(error.to_string())
}

fn check_length(length: usize, most: usize, what: &'static str) -> Result<(), ImportError> {
    if length > most { Err(ImportError::TooMany(what)) } else { Ok(()) }
}
