//! A profile as it is before it is written as pprof's protobuf.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};

use prost::Message;
use rustc_hash::FxHashMap;
use tempfile::tempfile;

use super::super::super::ImportError;
use super::maps::{Mapping, Placed, massage};
use crate::export::pprof::proto;

/// A kind of value: its name and its unit.
pub(super) type Kind = (String, String);

pub(super) fn kind(name: &str, unit: &str) -> Kind {
    (name.to_owned(), unit.to_owned())
}

/// What is at an address.
#[derive(Debug, Default, Clone)]
pub(super) struct Place {
    pub(super) function: String,
    pub(super) file: String,
    pub(super) line: i64,
}

#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) values: Vec<i64>,
    /// Addresses of calls, leaf first.
    pub(super) stack: Vec<u64>,
}

/// A profile.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) kinds: Vec<Kind>,
    pub(super) period_kind: Kind,
    pub(super) period: i64,
    pub(super) duration_ns: i64,
    pub(super) samples: Vec<Sample>,
    /// Names that the profile has.
    pub(super) places: FxHashMap<u64, Place>,
    /// Addresses are no more than numbers of places, as in Java.
    pub(super) is_named_only: bool,
    pub(super) mappings: Vec<Mapping>,
}

impl Draft {
    /// A profile of so many, each of which is counted.
    pub(super) fn of_count(name: &str) -> Self {
        Draft {
            kinds: vec![kind(name, "count")],
            period_kind: kind(name, "count"),
            period: 1,
            ..Draft::default()
        }
    }

    /// Takes out a leaf's caller that is the leaf again, as signal handlers write it.
    pub(super) fn drop_doubled_leaves(&mut self) {
        for Sample { stack, .. } in &mut self.samples {
            if let [leaf, caller, ..] = stack[..]
                && leaf == caller.wrapping_add(1)
            {
                stack.remove(1);
            }
        }
    }

    /// A temporary file with the profile as protobuf.
    pub(super) fn write(self) -> Result<File, ImportError> {
        let mut file = tempfile().map_err(ImportError::Read)?;
        let mut writer = BufWriter::with_capacity(256 << 10, &mut file);
        let mut encode = |message: &proto::Profile| {
            writer.write_all(&message.encode_to_vec()).map_err(ImportError::Read)
        };
        let (tables, ids) = self.tables();
        encode(&tables)?;
        for Sample { values, stack } in self.samples {
            let location_id = stack.iter().map(|address| ids[address]).collect();
            let sample = proto::Sample { location_id, value: values, label: Vec::new() };
            encode(&proto::Profile { sample: vec![sample], ..proto::Profile::default() })?;
        }
        writer.flush().map_err(ImportError::Read)?;
        drop(writer);
        file.rewind().map_err(ImportError::Read)?;
        Ok(file)
    }

    /// Everything but the samples, and the number of each address's location.
    fn tables(&self) -> (proto::Profile, FxHashMap<u64, u64>) {
        let mut strings = Strings::default();
        let mut profile = proto::Profile::default();
        let value_type = |(name, unit): &Kind, strings: &mut Strings| proto::ValueType {
            r#type: strings.id(name),
            unit: strings.id(unit),
        };
        profile.sample_type =
            self.kinds.iter().map(|kind| value_type(kind, &mut strings)).collect();
        profile.period_type = Some(value_type(&self.period_kind, &mut strings));
        profile.period = self.period;
        profile.duration_nanos = self.duration_ns;
        let mut placed = Placed::of(massage(self.mappings.clone()));
        let mut ids: FxHashMap<u64, u64> = FxHashMap::default();
        let mut functions: FxHashMap<(i64, i64), u64> = FxHashMap::default();
        for &address in self.samples.iter().flat_map(|sample| &sample.stack) {
            let next = ids.len() as u64 + 1;
            if *ids.entry(address).or_insert(next) != next {
                continue;
            }
            let place = self.places.get(&address);
            let line = place.map(|place| {
                let (name, filename) = (strings.id(&place.function), strings.id(&place.file));
                let next = functions.len() as u64 + 1;
                let function_id = *functions.entry((name, filename)).or_insert(next);
                if function_id == next {
                    let function =
                        proto::Function { id: next, name, filename, ..Default::default() };
                    profile.function.push(proto::Function { system_name: name, ..function });
                }
                proto::Line { function_id, line: place.line, column: 0 }
            });
            let is_nowhere = address == 0 || (self.is_named_only && place.is_some());
            profile.location.push(proto::Location {
                id: next,
                mapping_id: if is_nowhere { 0 } else { placed.mapping_id(address) },
                address: if self.is_named_only { 0 } else { address },
                line: line.into_iter().collect(),
            });
        }
        for (id, mapping) in (1..).zip(placed.into_mappings()) {
            profile.mapping.push(proto::Mapping {
                id,
                memory_start: mapping.start,
                memory_limit: mapping.limit,
                file_offset: mapping.offset,
                filename: strings.id(&mapping.file),
                build_id: strings.id(&mapping.build_id),
                ..proto::Mapping::default()
            });
        }
        profile.string_table = strings.list;
        (profile, ids)
    }
}

/// Texts by number; the first is empty.
struct Strings {
    ids: FxHashMap<String, i64>,
    list: Vec<String>,
}

impl Default for Strings {
    fn default() -> Self {
        let ids = [(String::new(), 0)].into_iter().collect();
        Strings { ids, list: vec![String::new()] }
    }
}

impl Strings {
    fn id(&mut self, text: &str) -> i64 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = self.list.len() as i64;
        self.list.push(text.to_owned());
        self.ids.insert(text.to_owned(), id);
        id
    }
}
