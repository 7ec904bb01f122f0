//! OpenTelemetry's profiles (OTLP, `v1development`): a profile for each recording and event.
//!
//! The format is not stable yet: this is what it was in version 1.10 of the protocol's
//! definitions.

use std::io::{self, Write};

use prost::Message;

use super::strings::Strings;
use rustc_hash::FxHashMap;
use rz_profile::model::{EventId, EventKind, Profile, SourceId, StackId, ThreadId};
use rz_text::clean::clean;

mod proto;

/// Writes the profile, all events unless one is asked for.
pub(super) fn write(
    profile: &Profile,
    event: Option<EventId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut builder = Builder::of(profile);
    let events = (0..profile.events.len()).filter(|&id| event.is_none_or(|event| event == id));
    let events: Vec<EventId> = events.collect();
    let resource_profiles = (0..profile.sources.len().max(1))
        .map(|source| proto::ResourceProfiles {
            resource: Some(resource(profile, source)),
            scope_profiles: vec![proto::ScopeProfiles {
                scope: Some(proto::Scope {
                    name: "rz".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                }),
                profiles: events
                    .iter()
                    .filter_map(|&event| builder.profile(source, event))
                    .collect(),
            }],
        })
        .collect();
    let dictionary = Some(builder.dictionary());
    let data = proto::ProfilesData { resource_profiles, dictionary };
    out.write_all(&data.encode_to_vec())
}

/// Where a recording was made.
fn resource(profile: &Profile, source: SourceId) -> proto::Resource {
    let known = profile.sources.get(source);
    let host = known.map_or(&profile.info.host, |source| &source.host);
    let os = known.map_or(&profile.info.os, |source| &source.os);
    let mut attributes = Vec::new();
    for (key, value) in [("host.name", host), ("os.description", os)] {
        if !value.is_empty() {
            let value = Some(proto::AnyValue::text(&clean(value)));
            attributes.push(proto::KeyValue { key: key.to_owned(), value });
        }
    }
    proto::Resource { attributes }
}

/// Collects what profiles refer to. The first of each table stands for nothing.
struct Builder<'p> {
    profile: &'p Profile,
    strings: Strings,
    attributes: Vec<proto::KeyValueAndUnit>,
    /// Those of each thread.
    of_thread: FxHashMap<ThreadId, Vec<i32>>,
    stacks: Vec<proto::Stack>,
    stack_ids: FxHashMap<StackId, i32>,
}

impl<'p> Builder<'p> {
    fn of(profile: &'p Profile) -> Self {
        Builder {
            profile,
            strings: Strings::default(),
            attributes: vec![proto::KeyValueAndUnit::default()],
            of_thread: FxHashMap::default(),
            stacks: vec![proto::Stack::default()],
            stack_ids: FxHashMap::default(),
        }
    }

    /// An event of a recording; `None` if it has no samples.
    fn profile(&mut self, source: SourceId, event: EventId) -> Option<proto::Profile> {
        let profile = self.profile;
        let is_of = |thread: ThreadId| profile.thread(thread).1.source == source;
        let of_event = profile.samples.iter().filter(|sample| sample.event == event);
        let here: Vec<_> = of_event.filter(|sample| is_of(sample.thread)).collect();
        if here.is_empty() {
            return None;
        }
        let samples = here
            .into_iter()
            .map(|sample| proto::Sample {
                stack_index: sample.stack.map_or(0, |stack| self.stack(stack)),
                attribute_indices: self.thread(sample.thread),
                values: vec![signed(sample.weight)],
            })
            .collect();
        let event = &profile.events[event];
        let info = &profile.info;
        let known = profile.sources.get(source);
        let hz = u64::from(event.frequency_hz);
        let period = 1_000_000_000_u64.checked_div(hz).filter(|_| event.kind == EventKind::Cpu);
        Some(proto::Profile {
            sample_type: Some(self.value_type(&event.name, event.unit.name())),
            samples,
            time_unix_nano: known.map_or(info.start_unix_ns, |source| source.start_unix_ns),
            duration_nano: known.map_or(info.duration_ns, |source| source.duration_ns),
            period_type: period.map(|_| self.value_type("cpu", "nanoseconds")),
            period: signed(period.unwrap_or(0)),
        })
    }

    fn value_type(&mut self, name: &str, unit: &str) -> proto::ValueType {
        let (type_strindex, unit_strindex) = (self.string(name), self.string(unit));
        proto::ValueType { type_strindex, unit_strindex }
    }

    fn string(&mut self, text: &str) -> i32 {
        self.strings.id(text) as i32
    }

    fn stack(&mut self, id: StackId) -> i32 {
        let next = self.stacks.len() as i32;
        let index = *self.stack_ids.entry(id).or_insert(next);
        if index == next {
            let nodes = std::iter::successors(Some(id), |&id| self.profile.stacks[id].parent);
            let location_indices = nodes.map(|id| to_index(self.profile.stacks[id].location));
            self.stacks.push(proto::Stack { location_indices: location_indices.collect() });
        }
        index
    }

    /// What tells a thread.
    fn thread(&mut self, id: ThreadId) -> Vec<i32> {
        if let Some(known) = self.of_thread.get(&id) {
            return known.clone();
        }
        let (thread, process) = self.profile.thread(id);
        let text = |text: &str| proto::AnyValue::text(&clean(text));
        let values = [
            ("process.pid", proto::AnyValue::number(process.pid.into())),
            ("process.executable.name", text(&process.name)),
            ("thread.id", proto::AnyValue::number(thread.tid.into())),
            ("thread.name", text(&thread.name)),
        ];
        let indices = values.map(|(key, value)| {
            let key_strindex = self.string(key);
            let attribute =
                proto::KeyValueAndUnit { key_strindex, value: Some(value), unit_strindex: 0 };
            self.attributes.push(attribute);
            self.attributes.len() as i32 - 1
        });
        self.of_thread.insert(id, indices.to_vec());
        indices.to_vec()
    }

    fn dictionary(mut self) -> proto::ProfilesDictionary {
        let profile = self.profile;
        let mut mapping_table = vec![proto::Mapping::default()];
        for module in &profile.modules {
            let name = if module.path.is_empty() { &module.name } else { &module.path };
            let filename_strindex = self.string(name);
            let mut attribute_indices = Vec::new();
            if !module.build_id.is_empty() {
                let hex: String = module.build_id.iter().map(|b| format!("{b:02x}")).collect();
                let key_strindex = self.string("process.executable.build_id.gnu");
                let value = Some(proto::AnyValue::text(&hex));
                attribute_indices.push(self.attributes.len() as i32);
                self.attributes.push(proto::KeyValueAndUnit {
                    key_strindex,
                    value,
                    unit_strindex: 0,
                });
            }
            mapping_table.push(proto::Mapping { filename_strindex, attribute_indices });
        }
        let mut location_table = vec![proto::Location::default()];
        location_table.extend(profile.locations.iter().map(|location| {
            proto::Location {
                mapping_index: location.module.map_or(0, to_index),
                address: location.address,
                lines: location
                    .lines
                    .iter()
                    .map(|line| proto::Line {
                        function_index: to_index(line.function),
                        line: line.line.into(),
                        column: line.column.into(),
                    })
                    .collect(),
            }
        }));
        let mut function_table = vec![proto::Function::default()];
        for function in &profile.functions {
            let name_strindex = self.string(&function.name);
            let system_name_strindex = self.string(&function.system_name);
            let filename_strindex = self.string(&function.file);
            let start_line = function.first_line.into();
            function_table.push(proto::Function {
                name_strindex,
                system_name_strindex,
                filename_strindex,
                start_line,
            });
        }
        proto::ProfilesDictionary {
            mapping_table,
            location_table,
            function_table,
            link_table: vec![proto::Link {}],
            string_table: self.strings.table,
            attribute_table: self.attributes,
            stack_table: self.stacks,
        }
    }
}

/// Behind the entry that stands for nothing.
fn to_index(id: usize) -> i32 {
    id as i32 + 1
}

/// There are no unsigned values; one that does not fit is the largest.
fn signed(value: u64) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::fixture;

    #[test]
    fn events_are_profiles_with_their_sums() {
        let mut out = Vec::new();
        write(&fixture::with_waits(), None, &mut out).unwrap();
        let data = proto::ProfilesData::decode(&out[..]).unwrap();
        let dictionary = data.dictionary.unwrap();
        let text = |index: i32| &dictionary.string_table[index as usize][..];
        let profiles = &data.resource_profiles[0].scope_profiles[0].profiles;
        let sums: Vec<(&str, &str, i64)> = profiles
            .iter()
            .map(|profile| {
                let kind = profile.sample_type.as_ref().unwrap();
                let sum = profile.samples.iter().flat_map(|sample| &sample.values).sum();
                (text(kind.type_strindex), text(kind.unit_strindex), sum)
            })
            .collect();
        let expected =
            [("cpu-clock", "nanoseconds", 15_000), ("off-cpu", "nanoseconds", 2_500_800)];
        assert_eq!(sums, expected);
        // Leaf first, inlined calls in their location.
        let sample = &profiles[0].samples[0];
        let stack = &dictionary.stack_table[sample.stack_index as usize];
        let lines = stack.location_indices.iter().flat_map(|&index| {
            let location = &dictionary.location_table[index as usize];
            location.lines.iter().map(|line| {
                text(dictionary.function_table[line.function_index as usize].name_strindex)
            })
        });
        assert_eq!(lines.collect::<Vec<_>>(), ["read", "helper", "<T as Run>::run", "main"]);
    }
}
