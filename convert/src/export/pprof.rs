//! pprof's gzipped protobuf, with threads as labels.

use std::cmp::Reverse;
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use prost::Message;
use rustc_hash::FxHashMap;

use crate::heap::{Heap, Site};
use crate::profile::{
    Event, EventId, EventKind, Function, ModuleId, ModuleKind, Profile, Sample, StackId, ThreadId,
    Unit,
};
use crate::select::default_event;

mod proto;

/// Samples turned into messages at a time.
const SAMPLES_AT_ONCE: usize = 4096;

/// Writes the profile; see the module's documentation.
///
/// Tables keep the profile's order, so an id is an index plus one; only the
/// main binary's mapping is moved to the front, where pprof looks for it.
/// Without an `event` all events are written, with a column of values each.
pub(super) fn write(
    profile: &Profile,
    event: Option<EventId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    // The level that Go's own profiles have: the default takes three times as
    // long to save a sixth.
    let mut out = GzBuilder::new().mtime(0).write(out, Compression::fast());
    let mut strings = Strings::default();
    let values = Values::of(profile, event, &mut strings);
    // Parts of a message written one after the other are one message to every
    // protobuf reader: its repeated fields append. So not all has to be in
    // memory at once.
    out.write_all(&head(profile, &values, &mut strings).encode_to_vec())?;
    for samples in profile.samples.chunks(SAMPLES_AT_ONCE) {
        let sample = samples.iter().filter_map(|sample| {
            let weights = values.of_event[sample.event]?;
            let mut value = vec![0; values.types.len()];
            if values.is_counted(profile, sample) {
                value[0] = signed(sample.count);
            }
            value[weights] = signed(sample.weight);
            Some(message(profile, &mut strings, (sample.thread, sample.stack), value))
        });
        let part = proto::Profile { sample: sample.collect(), ..proto::Profile::default() };
        out.write_all(&part.encode_to_vec())?;
    }
    for sites in values.heap.map_or(&[][..], |(_, heap)| &heap.sites).chunks(SAMPLES_AT_ONCE) {
        let sample = sites.iter().map(|site| {
            let value = values.of_site(site);
            message(profile, &mut strings, (site.thread, site.stack), value)
        });
        let part = proto::Profile { sample: sample.collect(), ..proto::Profile::default() };
        out.write_all(&part.encode_to_vec())?;
    }
    let part = proto::Profile { string_table: strings.table, ..proto::Profile::default() };
    out.write_all(&part.encode_to_vec())?;
    out.finish()?;
    Ok(())
}

/// A sample of a thread and a stack.
fn message(
    profile: &Profile,
    strings: &mut Strings,
    (thread, stack): (ThreadId, Option<StackId>),
    value: Vec<i64>,
) -> proto::Sample {
    let (thread, process) = profile.thread(thread);
    let locations = std::iter::successors(stack, |&id| profile.stacks[id].parent);
    proto::Sample {
        location_id: locations.map(|id| to_id(profile.stacks[id].location)).collect(),
        value,
        label: vec![
            strings.text_label("thread", &thread.name),
            strings.number_label("pid", process.pid),
            strings.number_label("tid", thread.tid),
        ],
    }
}

/// Everything but samples and strings.
fn head(profile: &Profile, values: &Values<'_>, strings: &mut Strings) -> proto::Profile {
    let modules = module_order(profile);
    let mut mapping_ids = vec![0; modules.len()];
    for (index, &module) in modules.iter().enumerate() {
        mapping_ids[module] = to_id(index);
    }
    let location = profile.locations.iter().enumerate().map(|(index, location)| proto::Location {
        id: to_id(index),
        mapping_id: location.module.map_or(0, |module| mapping_ids[module]),
        address: location.address,
        line: location
            .lines
            .iter()
            .map(|line| proto::Line { function_id: to_id(line.function), line: line.line.into() })
            .collect(),
    });
    let function = profile.functions.iter().enumerate().map(|(index, function)| proto::Function {
        id: to_id(index),
        name: strings.id(&function.name),
        system_name: strings.id(system_name(function)),
        filename: strings.id(&function.file),
    });
    let location = location.collect();
    let function = function.collect();
    proto::Profile {
        sample_type: values.types.clone(),
        mapping: mappings(profile, &modules, strings),
        location,
        function,
        time_nanos: signed(profile.info.start_unix_ns),
        duration_nanos: signed(profile.info.duration_ns),
        period_type: values.period_type(strings),
        period: period(profile, values.main),
        comment: comments(profile).iter().map(|comment| strings.id(comment)).collect(),
        default_sample_type: values.main_type().map_or(0, |measured| measured.r#type),
        ..proto::Profile::default()
    }
}

/// What Go's own heap profiles have, with their units.
const HEAP_TYPES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// The columns of a sample's values: the number of samples, then one column
/// per kind of measurement, then four for the heap. Of the heap alone, there
/// are those four.
struct Values<'p> {
    types: Vec<proto::ValueType>,
    /// Column of each event's weights; `None` for those that are not written,
    /// and for that of allocations.
    of_event: Vec<Option<usize>>,
    /// The first of the heap's columns, if allocations are written.
    heap: Option<(usize, &'p Heap)>,
    /// The event that is shown first.
    main: Option<EventId>,
    /// The column that is.
    main_column: Option<usize>,
}

impl<'p> Values<'p> {
    /// The columns for `wanted`, or for all events.
    fn of(profile: &'p Profile, wanted: Option<EventId>, strings: &mut Strings) -> Self {
        let mut value_type = |name: &str, unit| {
            let (r#type, unit) = (strings.id(name), strings.id(unit));
            proto::ValueType { r#type, unit }
        };
        let is_wanted = |id| wanted.is_none_or(|wanted| wanted == id);
        let is_alloc = |id: EventId| profile.events[id].kind == EventKind::Alloc;
        let ids = 0..profile.events.len();
        let has_heap = ids.clone().any(|id| is_wanted(id) && is_alloc(id));
        let heap = profile.heap.as_ref().filter(|_| has_heap);
        let mut types = Vec::new();
        if heap.is_none() || ids.clone().any(|id| is_wanted(id) && !is_alloc(id)) {
            types.push(value_type("samples", "count"));
        }
        let mut of_event = vec![None; profile.events.len()];
        for id in ids.filter(|&id| is_wanted(id) && !is_alloc(id)) {
            let (name, unit) = measurement(&profile.events[id]);
            let measured = value_type(name, unit);
            let column = types.iter().position(|&known| known == measured).unwrap_or(types.len());
            if column == types.len() {
                types.push(measured);
            }
            of_event[id] = Some(column);
        }
        let heap = heap.map(|heap| (types.len(), heap));
        if heap.is_some() {
            types.extend(HEAP_TYPES.map(|(name, unit)| value_type(name, unit)));
        }
        let any = (!profile.events.is_empty()).then_some(0);
        let main = wanted.or_else(|| default_event(profile)).or(any);
        let main_column = main.and_then(|main| match heap {
            Some((first, _)) if is_alloc(main) => Some(first + HEAP_TYPES.len() - 1),
            _ => of_event[main],
        });
        Values { types, of_event, heap, main, main_column }
    }

    /// What is shown first.
    fn main_type(&self) -> Option<proto::ValueType> {
        self.main_column.map(|column| self.types[column])
    }

    /// What the period is measured in.
    fn period_type(&self, strings: &mut Strings) -> Option<proto::ValueType> {
        let is_heap = self.main_column >= self.heap.map(|(first, _)| first);
        if self.heap.is_some() && is_heap {
            return Some(proto::ValueType {
                r#type: strings.id("space"),
                unit: strings.id("bytes"),
            });
        }
        self.main_type()
    }

    /// The values of a site of the heap.
    fn of_site(&self, site: &Site) -> Vec<i64> {
        let mut value = vec![0; self.types.len()];
        let Some((first, _)) = self.heap else { return value };
        let (allocated, at_end) = (&site.sums.allocated, &site.sums.at_end);
        let numbers = [allocated.objects, allocated.bytes, at_end.objects, at_end.bytes];
        for (value, number) in value[first..].iter_mut().zip(numbers) {
            *value = signed(number.rounded());
        }
        value
    }

    /// Whether a sample is one of those in the first column, which are of one
    /// kind: samples of the CPU and intervals off it make no sum.
    fn is_counted(&self, profile: &Profile, sample: &Sample) -> bool {
        let kind = |event: EventId| profile.events[event].kind;
        self.main.is_some_and(|main| kind(main) == kind(sample.event))
    }
}

/// Name and unit of what an event measures.
fn measurement(event: &Event) -> (&str, &'static str) {
    match (event.kind, event.unit) {
        (EventKind::Cpu, Unit::Nanoseconds) => ("cpu", "nanoseconds"),
        (EventKind::Cpu, Unit::Cycles) => ("cycles", "count"),
        // These have one name, and growth has that of what was counted.
        (_, unit) => (&event.name, unit.name()),
    }
}

/// Weight between two samples of an event, in its unit; 0 if there is none.
fn period(profile: &Profile, event: Option<EventId>) -> i64 {
    let Some(id) = event else { return 0 };
    let event = &profile.events[id];
    match event.unit {
        Unit::Nanoseconds => 1_000_000_000_i64.checked_div(event.frequency_hz.into()).unwrap_or(0),
        _ if event.kind == EventKind::Alloc => {
            // All that is recorded is as if each byte was a sample.
            profile.heap.as_ref().map_or(0, |heap| signed(heap.interval.max(1)))
        }
        _ => {
            let samples = profile.samples.iter().filter(|sample| sample.event == id);
            let count: u64 = samples.map(|sample| sample.count).sum();
            signed(profile.total_weight(id).checked_div(count).unwrap_or(0))
        }
    }
}

fn comments(profile: &Profile) -> Vec<String> {
    let info = &profile.info;
    let mut comments = vec![
        format!("host: {} ({}, {} CPUs)", info.host, info.os, info.cpus),
        format!("recorded with: {}", info.command.join(" ")),
    ];
    if info.lost > 0 {
        comments.push(format!("lost: {} of {} samples", info.lost, info.lost + info.samples));
    }
    comments.extend(info.notes.iter().map(|note| format!("note: {note}")));
    comments
}

/// All modules, the main binary first: the executable of the process with the
/// most samples, else the first module that is a file.
fn module_order(profile: &Profile) -> Vec<ModuleId> {
    let mut counts = vec![0; profile.processes.len()];
    for sample in &profile.samples {
        counts[profile.threads[sample.thread].process] += sample.count;
    }
    let busiest = (0..counts.len()).max_by_key(|&id| (counts[id], Reverse(id)));
    let exe = busiest.map_or("", |id| &profile.processes[id].exe);
    let modules = || profile.modules.iter();
    let main = modules()
        .position(|module| !exe.is_empty() && module.path == exe)
        .or_else(|| modules().position(|module| module.kind == ModuleKind::File));
    let rest = (0..profile.modules.len()).filter(|&id| Some(id) != main);
    main.into_iter().chain(rest).collect()
}

/// Mappings in the given order of modules.
///
/// The flags say what is known about a module; with none of them set, pprof
/// looks for symbols itself.
fn mappings(profile: &Profile, order: &[ModuleId], strings: &mut Strings) -> Vec<proto::Mapping> {
    let mut mappings = vec![proto::Mapping::default(); profile.modules.len()];
    for location in &profile.locations {
        let Some(module) = location.module else { continue };
        let mapping = &mut mappings[module];
        for line in &location.lines {
            let function = &profile.functions[line.function];
            mapping.has_functions |= has_name(function);
            mapping.has_filenames |= !function.file.is_empty();
            mapping.has_line_numbers |= line.line > 0;
        }
    }
    let in_order = order.iter().enumerate().map(|(index, &id)| {
        let module = &profile.modules[id];
        let name = if module.path.is_empty() { &module.name } else { &module.path };
        let build_id: String = module.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
        proto::Mapping {
            id: to_id(index),
            filename: strings.id(name),
            build_id: strings.id(&build_id),
            // Lines and inlined calls both come from debug information.
            has_inline_frames: mappings[id].has_line_numbers,
            ..mappings[id]
        }
    });
    in_order.collect()
}

/// Whether a function is known by name, not as `[module+0xoffset]`.
fn has_name(function: &Function) -> bool {
    let is_placeholder = function.name.starts_with('[') && function.name.ends_with(']');
    !is_placeholder || !function.system_name.is_empty()
}

/// The mangled name, or nothing where it equals the name: `go tool pprof`
/// takes equal names for an unfinished job and cuts all that is between `<`
/// and `>`.
fn system_name(function: &Function) -> &str {
    if function.system_name == function.name { "" } else { &function.system_name }
}

/// Ids start at one.
fn to_id(index: usize) -> u64 {
    index as u64 + 1
}

/// pprof has no unsigned values; one that does not fit is shown as the largest.
fn signed(value: u64) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// The string table, each string once.
struct Strings {
    table: Vec<String>,
    ids: FxHashMap<String, i64>,
}

impl Default for Strings {
    fn default() -> Self {
        Strings { table: vec![String::new()], ids: FxHashMap::from_iter([(String::new(), 0)]) }
    }
}

impl Strings {
    fn id(&mut self, text: &str) -> i64 {
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        let id = self.table.len() as i64;
        self.table.push(text.to_owned());
        self.ids.insert(text.to_owned(), id);
        id
    }

    fn text_label(&mut self, key: &str, text: &str) -> proto::Label {
        proto::Label { key: self.id(key), str: self.id(text), ..proto::Label::default() }
    }

    /// With a unit, for without one pprof drops the label of a zero.
    fn number_label(&mut self, key: &str, number: u32) -> proto::Label {
        let key = self.id(key);
        proto::Label { key, num: number.into(), num_unit: self.id("id"), ..proto::Label::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::export::fixture;
    use crate::profile::Event;

    fn written(profile: &Profile) -> (Vec<u8>, proto::Profile) {
        written_event(profile, None)
    }

    fn written_event(profile: &Profile, event: Option<EventId>) -> (Vec<u8>, proto::Profile) {
        let mut out = Vec::new();
        write(profile, event, &mut out).unwrap();
        let mut raw = Vec::new();
        flate2::read::GzDecoder::new(&out[..]).read_to_end(&mut raw).unwrap();
        (out, proto::Profile::decode(&raw[..]).unwrap())
    }

    #[test]
    fn tables_are_complete() {
        let (bytes, pprof) = written(&fixture::profile());
        assert_eq!(bytes, written(&fixture::profile()).0, "not deterministic");
        assert_eq!(bytes[4..8], [0; 4], "gzip's mtime");

        let text = |id: i64| pprof.string_table[id as usize].as_str();
        assert_eq!(text(0), "");
        let types = pprof.sample_type.iter().map(|t| (text(t.r#type), text(t.unit)));
        assert!(types.eq([("samples", "count"), ("cpu", "nanoseconds")]));
        assert_eq!(text(pprof.default_sample_type), "cpu");
        assert_eq!(pprof.period_type, pprof.sample_type.get(1).copied());
        assert_eq!(pprof.period, 1_000_000);
        assert_eq!(pprof.time_nanos, 1_700_000_000_000_000_000);
        assert_eq!(pprof.duration_nanos, 2_000_000_000);
        assert_eq!(text(pprof.comment[1]), "recorded with: rec -p 10");

        let [app, kernel] = pprof.mapping[..] else { panic!("{:?}", pprof.mapping) };
        assert_eq!((app.id, text(app.filename), text(app.build_id)), (1, "/bin/app", "ab01"));
        assert!(app.has_functions && app.has_filenames && app.has_line_numbers);
        assert!(app.has_inline_frames);
        assert_eq!((kernel.id, text(kernel.filename)), (2, "[kernel]"));
        assert!(kernel.has_functions && !kernel.has_filenames && !kernel.has_inline_frames);

        let run = pprof.function[1];
        assert_eq!((text(run.name), text(run.system_name)), ("<T as Run>::run", "_ZN3runE"));
        assert_eq!(text(pprof.function[0].system_name), "", "equal to the name");
        let inlined = &pprof.location[1];
        assert_eq!((inlined.id, inlined.mapping_id, inlined.address), (2, 1, 0x2000));
        assert!(inlined.line.iter().map(|l| (l.function_id, l.line)).eq([(3, 5), (2, 20)]));
    }

    #[test]
    fn samples_name_their_thread() {
        let (_, pprof) = written(&fixture::profile());
        let text = |id: i64| pprof.string_table[id as usize].as_str();
        assert_eq!(pprof.sample[0].location_id, [3, 2, 1], "leaf first");
        assert_eq!(pprof.sample[0].value, [3, 3000]);
        let label = |l: &proto::Label| (text(l.key), text(l.str), l.num, text(l.num_unit));
        let labels: Vec<_> = pprof.sample[5].label.iter().map(label).collect();
        assert_eq!(
            labels,
            [("thread", "worker;1", 0, ""), ("pid", "", 10, "id"), ("tid", "", 11, "id")]
        );
    }

    #[test]
    fn cycles_have_their_own_column() {
        let cycles = Event {
            name: "cycles".into(),
            unit: Unit::Cycles,
            frequency_hz: 99,
            ..Event::default()
        };
        let (_, pprof) = written(&Profile { events: vec![cycles], ..fixture::profile() });
        let text = |id: i64| pprof.string_table[id as usize].as_str();
        assert_eq!(text(pprof.sample_type[1].r#type), "cycles");
        assert_eq!(text(pprof.sample_type[1].unit), "count");
        assert_eq!(pprof.period, 1000, "the average weight of a sample");
    }

    #[test]
    fn events_have_columns_of_their_own() {
        let check = |event, types: &[&str], main: &str, first: &[i64], last: &[i64]| {
            let (_, pprof) = written_event(&fixture::with_waits(), event);
            let text = |id: i64| pprof.string_table[id as usize].as_str();
            let names: Vec<_> = pprof.sample_type.iter().map(|t| text(t.r#type)).collect();
            assert_eq!((&*names, text(pprof.default_sample_type)), (types, main));
            let values = |sample: Option<&proto::Sample>| sample.unwrap().value.clone();
            assert_eq!(values(pprof.sample.first()), first);
            assert_eq!(values(pprof.sample.last()), last);
        };
        check(None, &["samples", "cpu", "off-cpu"], "cpu", &[3, 3000, 0], &[0, 0, 400]);
        check(Some(0), &["samples", "cpu"], "cpu", &[3, 3000], &[4, 4000]);
        check(Some(1), &["samples", "off-cpu"], "off-cpu", &[2, 2_500_400], &[1, 400]);
    }

    #[test]
    fn an_empty_profile_is_valid() {
        let (_, pprof) = written(&Profile::default());
        assert_eq!(pprof.sample_type.len(), 1);
        assert_eq!(pprof.period, 0);
    }
}
