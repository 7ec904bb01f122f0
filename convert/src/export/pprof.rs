//! pprof's gzipped protobuf, with threads, and recordings of a merged trace, as
//! labels.

use std::cmp::Reverse;
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use prost::Message;

use super::about::about;
use super::strings::Strings;
use rz_profile::model::{
    EventId, Function, Line, ModuleId, ModuleKind, Profile, StackId, ThreadId,
};
use rz_unwind::is_build_id;

pub(crate) mod proto;
mod values;

use values::{Values, period};

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
    for sites in values.sites().chunks(SAMPLES_AT_ONCE) {
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
    let mut label = Vec::new();
    // Of what others recorded, threads may be unknown.
    let is_numbered = (process.pid, thread.tid) != (0, 0);
    if is_numbered || thread.name != process.name {
        label.push(text_label(strings, "thread", &thread.name));
    }
    if is_numbered {
        label.push(number_label(strings, "pid", process.pid));
        label.push(number_label(strings, "tid", thread.tid));
    }
    if let Some(source) = profile.sources.get(process.source).filter(|_| profile.is_merged()) {
        label.push(text_label(strings, "source", &source.label));
        label.push(text_label(strings, "host", &source.host));
    }
    let location_id = locations.map(|id| to_id(profile.stacks[id].location)).collect();
    proto::Sample { location_id, value, label }
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
            .map(|&Line { function, line, column }| proto::Line {
                function_id: to_id(function),
                line: line.into(),
                column: column.into(),
            })
            .collect(),
    });
    let function = profile.functions.iter().enumerate().map(|(index, function)| proto::Function {
        id: to_id(index),
        name: strings.id(&function.name),
        system_name: strings.id(system_name(function)),
        filename: strings.id(&function.file),
        start_line: function.first_line.into(),
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
        comment: about(profile).iter().map(|comment| strings.id(comment)).collect(),
        default_sample_type: values.main_type().map_or(0, |measured| measured.r#type),
        ..proto::Profile::default()
    }
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
            mapping.has_functions |= !function.nameless;
            mapping.has_filenames |= !function.file.is_empty();
            mapping.has_line_numbers |= line.line > 0;
        }
    }
    let in_order = order.iter().enumerate().map(|(index, &id)| {
        let module = &profile.modules[id];
        let name = if module.path.is_empty() { &module.name } else { &module.path };
        // Who reads this looks for nothing else in files.
        let build_id = Some(&module.build_id).filter(|id| is_build_id(id));
        let build_id: String =
            build_id.into_iter().flatten().map(|byte| format!("{byte:02x}")).collect();
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

fn text_label(strings: &mut Strings, key: &str, text: &str) -> proto::Label {
    proto::Label { key: strings.id(key), str: strings.id(text), ..proto::Label::default() }
}

/// With a unit, for without one pprof drops the label of a zero.
fn number_label(strings: &mut Strings, key: &str, number: u32) -> proto::Label {
    let (key, num_unit) = (strings.id(key), strings.id("id"));
    proto::Label { key, num: number.into(), num_unit, ..proto::Label::default() }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use rz_profile::fixture;
    use rz_profile::fixture::trace::load_bytes;
    use rz_profile::model::{Event, EventKind, Unit};

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
    fn a_comment_says_what_a_filter_selected() {
        let mut profile = fixture::profile();
        profile.info.filter.text = "1s to 2s".into();
        let (_, pprof) = written(&profile);
        let mut comments = pprof.comment.iter().map(|&id| &pprof.string_table[id as usize]);
        assert_eq!(comments.next_back().map(String::as_str), Some("filter: 1s to 2s"));
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
        assert_eq!(pprof.comment.len(), 2);

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
    fn growth_has_the_name_of_its_event() {
        let growth = Event {
            kind: EventKind::Growth,
            name: "page-faults".into(),
            unit: Unit::Bytes,
            ..Event::default()
        };
        let (_, pprof) = written(&Profile { events: vec![growth], ..fixture::profile() });
        let text = |id: i64| pprof.string_table[id as usize].as_str();
        let types: Vec<_> =
            pprof.sample_type.iter().map(|t| (text(t.r#type), text(t.unit))).collect();
        assert_eq!(types, [("samples", "count"), ("page-faults", "bytes")]);
        assert_eq!((pprof.period, pprof.sample[0].value.as_slice()), (1000, &[3, 3000][..]));
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
    fn the_heap_has_the_columns_of_go() {
        const HEAP: [&str; 4] = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"];
        let check = |event, types: &[&str], main: &str, period: &str, first: &[i64]| {
            let (_, pprof) = written_event(&fixture::with_heap(), event);
            let text = |id: i64| pprof.string_table[id as usize].as_str();
            let names: Vec<_> = pprof.sample_type.iter().map(|t| text(t.r#type)).collect();
            assert_eq!((&*names, text(pprof.default_sample_type)), (types, main));
            let period_type = pprof.period_type.unwrap();
            let measured = (pprof.period, text(period_type.r#type), text(period_type.unit));
            assert_eq!(format!("{measured:?}"), period);
            assert_eq!(pprof.sample[0].value, first);
            assert!(pprof.sample.iter().all(|sample| sample.value.len() == types.len()));
            pprof
        };
        let space = r#"(4096, "space", "bytes")"#;
        let alloc = check(Some(1), &HEAP, "inuse_space", space, &[3, 300, 1, 100]);
        assert_eq!(alloc.sample.len(), 2);
        assert_eq!(alloc.sample[0].location_id, [3, 2, 1]);
        assert_eq!(alloc.sample[1].value, [40, 4000, 0, 0]);
        let all = [&["samples", "cpu"][..], &HEAP].concat();
        let cpu = r#"(1000000, "cpu", "nanoseconds")"#;
        let both = check(None, &all, "cpu", cpu, &[3, 3000, 0, 0, 0, 0]);
        assert_eq!(both.sample.last().unwrap().value, [0, 0, 40, 4000, 0, 0]);
        // Without the CPU, what is there is shown.
        let mut only_heap = fixture::with_heap();
        only_heap.samples.retain(|sample| sample.event == 1);
        let (_, pprof) = written(&only_heap);
        let text = |id: i64| pprof.string_table[id as usize].as_str();
        assert_eq!(text(pprof.default_sample_type), "inuse_space");
    }

    #[test]
    fn what_has_only_places_has_no_functions() {
        let has_functions = |nameless| {
            let mut profile = fixture::profile();
            profile.functions.iter_mut().for_each(|function| function.nameless = nameless);
            let (_, pprof) = written(&profile);
            pprof.mapping.iter().map(|mapping| mapping.has_functions).collect::<Vec<_>>()
        };
        assert_eq!((has_functions(true), has_functions(false)), (vec![false; 2], vec![true; 2]));
    }

    #[test]
    fn an_empty_profile_is_valid() {
        let (_, pprof) = written(&Profile::default());
        assert_eq!(pprof.sample_type.len(), 1);
        assert_eq!(pprof.period, 0);
    }
    #[test]
    fn code_of_runtimes_has_lines_and_no_mapping() {
        let (_, pprof) = written(&load_bytes(&fixture::with_runtimes("/srv/job.py").finish()));
        let text = |id: i64| pprof.string_table[id as usize].as_str();
        let function = |id: u64| pprof.function[id as usize - 1];
        let of_runtime = pprof.location.iter().filter(|location| location.mapping_id == 0);
        let places: Vec<String> = of_runtime
            .map(|location| {
                let [line] = location.line[..] else { panic!("{location:?}") };
                let proto::Function { name, system_name, filename, start_line, .. } =
                    function(line.function_id);
                assert_eq!((location.address, text(system_name)), (0, ""));
                let (line, column) = (line.line, line.column);
                format!("{} {} {start_line}: {line}:{column}", text(name), text(filename))
            })
            .collect();
        let expected = [
            "<module> /srv/job.py 1: 20:1",
            "Job.crunch /srv/job.py 11: 12:9",
            "Job.crunch /srv/job.py 11: 13:9",
            "run /srv/web/add.js 1: 2:5",
            "add /srv/web/add.js 5: 6:8",
            "one /srv/web/add.js 8: 8:1",
            "[lost]  0: 0:0",
        ];
        assert_eq!(places, expected);
    }
}
