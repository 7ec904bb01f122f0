//! Profiles of pprof.

use std::io::Read;

use flate2::read::GzDecoder;
use prost::Message;

use super::{by_thread, imported, loaded, refused, written};
use crate::export::pprof::proto;
use rz_profile::fixture;

use crate::export::{ExportOptions, Format};
use rz_profile::model::{EventKind, Profile, Tier, Unit};

fn pprof(profile: &Profile) -> Vec<u8> {
    written(profile, Format::Pprof, &ExportOptions::default())
}

pub(super) fn raw(gzipped: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    GzDecoder::new(gzipped).read_to_end(&mut raw).unwrap();
    raw
}

#[test]
fn what_we_write_comes_back() {
    let original = fixture::profile();
    let file = pprof(&original);
    for input in [&file[..], &raw(&file)] {
        let profile = loaded(input);
        // The kernel is known by its name.
        assert_eq!(by_thread(&profile), by_thread(&original));
        assert_eq!(profile.total_weight(0), original.total_weight(0));
        let [event] = &profile.events[..] else { panic!("{:?}", profile.events) };
        assert_eq!((&event.name[..], event.unit), ("cpu", Unit::Nanoseconds));
        assert_eq!(event.frequency_hz, 1000);
        assert_eq!(profile.info.samples, 15);
        assert_eq!(profile.info.start_unix_ns, 1_700_000_000_000_000_000);
        assert_eq!(profile.info.duration_ns, 2_000_000_000);
        assert_eq!(profile.info.tiers, [Tier::Pprof]);
        let run = profile.functions.iter().find(|f| f.name == "<T as Run>::run").unwrap();
        let original = &original.functions[1];
        assert_eq!((&run.system_name, &run.file), (&original.system_name, &original.file));
        let location = profile.locations.iter().find(|l| l.lines.len() == 2).unwrap();
        assert!(location.lines.iter().map(|line| line.line).eq([5, 20]));
        assert_eq!(location.address, 0x2000);
    }
}

#[test]
fn other_measurements_are_events() {
    let profile = loaded(&pprof(&fixture::with_waits()));
    let original = fixture::with_waits();
    let named = |profile: &Profile, name: &str| {
        let event = profile.events.iter().position(|event| event.name == name).unwrap();
        profile.total_weight(event)
    };
    assert_eq!(named(&profile, "off-cpu"), named(&original, "off-cpu"));
    assert_eq!(named(&profile, "cpu"), original.total_weight(0));

    let profile = loaded(&pprof(&fixture::with_heap()));
    let names: Vec<_> = profile.events.iter().map(|e| (e.name.as_str(), e.kind, e.unit)).collect();
    assert!(names.contains(&("alloc_space", EventKind::Other, Unit::Bytes)), "{names:?}");
    assert!(names.contains(&("inuse_objects", EventKind::Other, Unit::Count)), "{names:?}");
}

/// As Go writes it: addresses in mappings, no threads.
#[test]
fn what_others_write() {
    let strings = ["", "samples", "count", "cpu", "milliseconds", "/bin/app", "abcd", "main", "f"];
    let location = |id, address, functions: &[u64]| proto::Location {
        id,
        mapping_id: 1,
        address,
        line: functions
            .iter()
            .map(|&function_id| proto::Line { function_id, line: 7, ..proto::Line::default() })
            .collect(),
    };
    let function = |id, name| proto::Function { id, name, ..proto::Function::default() };
    let value_type = |r#type, unit| proto::ValueType { r#type, unit };
    let sample = |locations: &[u64], value: [i64; 2]| proto::Sample {
        location_id: locations.to_vec(),
        value: value.to_vec(),
        label: vec![],
    };
    let message = proto::Profile {
        sample_type: vec![value_type(1, 2), value_type(3, 4)],
        sample: vec![sample(&[2, 1], [2, 20]), sample(&[3, 1], [1, 10]), sample(&[9], [0, -5])],
        mapping: vec![proto::Mapping {
            id: 1,
            memory_start: 0x40_0000,
            memory_limit: 0x50_0000,
            file_offset: 0x1000,
            filename: 5,
            build_id: 6,
            ..proto::Mapping::default()
        }],
        location: vec![
            location(1, 0x40_1000, &[1]),
            location(2, 0x40_2000, &[2, 1]),
            location(3, 0x40_3000, &[]),
        ],
        function: vec![function(1, 7), function(2, 8)],
        string_table: strings.map(str::to_owned).to_vec(),
        period_type: Some(value_type(3, 4)),
        period: 10,
        ..proto::Profile::default()
    };
    let profile = loaded(&message.encode_to_vec());
    assert_eq!(by_thread(&profile), "app-0/0;main;[app+0x4000] 1\napp-0/0;main;main;f_[i] 2\n");
    assert_eq!(profile.events[0].frequency_hz, 100);
    assert_eq!(profile.total_weight(0), 30_000_000);
    let app = profile.modules.iter().find(|module| module.name == "app").unwrap();
    assert_eq!((&app.path[..], &app.build_id[..]), ("/bin/app", &[0xab, 0xcd][..]));
    let (imported, _) = imported(&message.encode_to_vec()).unwrap();
    assert!(imported.notes.iter().any(|note| note.contains("below 0")), "{imported:?}");
}

/// Code without a name is told by where in its file it is, whether or not the file has names
/// of other code.
#[test]
fn offsets_of_code_without_names() {
    let strings = ["", "samples", "count", "/bin/t", "/lib/libunwind.so.8.0.1", "main", "worker"];
    let mapping = |id, start, filename, has_functions| proto::Mapping {
        id,
        memory_start: start,
        memory_limit: start + 0x10_0000,
        file_offset: 0x1000,
        filename,
        has_functions,
        ..proto::Mapping::default()
    };
    let location = |id, mapping_id, address, functions: &[u64]| proto::Location {
        id,
        mapping_id,
        address,
        line: functions
            .iter()
            .map(|&function_id| proto::Line { function_id, ..proto::Line::default() })
            .collect(),
    };
    let label = proto::Label { key: 6, num: 3, ..proto::Label::default() };
    let message = proto::Profile {
        sample_type: vec![proto::ValueType { r#type: 1, unit: 2 }],
        sample: vec![
            proto::Sample { location_id: vec![2, 1], value: vec![3], label: vec![label] },
            proto::Sample { location_id: vec![3, 1], value: vec![1], label: vec![] },
        ],
        mapping: vec![
            mapping(1, 0x5580_3d20_7000, 3, true),
            mapping(2, 0x7f00_0000_0000, 4, false),
        ],
        location: vec![
            location(1, 1, 0x5580_3d20_8000, &[1]),
            location(2, 1, 0x5580_3d20_7090, &[]),
            location(3, 2, 0x7f00_0000_8b20, &[]),
        ],
        function: vec![proto::Function { id: 1, name: 5, ..proto::Function::default() }],
        string_table: strings.map(str::to_owned).to_vec(),
        ..proto::Profile::default()
    };
    let input = message.encode_to_vec();
    let stacks = "t-0/0;main;[libunwind.so.8.0.1+0x9b20] 1\nt-0/0;main;[t+0x1090] 3\n";
    assert_eq!(by_thread(&loaded(&input)), stacks);
    // That labels are not kept is said.
    let (imported, _) = imported(&input).unwrap();
    let said = "labels of samples are left out: worker";
    assert!(imported.notes.iter().any(|note| note == said), "{imported:?}");
}

/// Of what has no host, command and threads, none are said to be there.
#[test]
fn what_is_not_known_is_not_said() {
    let file = pprof(&loaded(b"main;work 3\nmain 2\nother;work 7\n"));
    let profile = proto::Profile::decode(&raw(&file)[..]).unwrap();
    let comments: Vec<&str> =
        profile.comment.iter().map(|id| &profile.string_table[*id as usize][..]).collect();
    assert!(comments.iter().all(|comment| comment.starts_with("note: ")), "{comments:?}");
    assert!(profile.sample.iter().all(|sample| sample.label.is_empty()), "{:?}", profile.sample);
}

#[test]
fn damage_is_told() {
    let file = pprof(&fixture::profile());
    for (input, expected) in [
        (&file[..file.len() / 2], ""),
        (&[0x1f, 0x8b, 8, 0], ""),
        (&raw(&file)[..40], "ends early"),
        (&[0x0a, 4, 0x08, 1, 0x10, 2, 0x12, 0xff, 0xff, 0xff, 0xff, 0x0f], "a field of"),
    ] {
        assert!(refused(input).contains(expected), "{}", refused(input));
    }
    // Numbers that lead nowhere.
    let message = proto::Profile {
        sample_type: vec![proto::ValueType { r#type: 77, unit: -1 }],
        sample: vec![proto::Sample { location_id: vec![5, 0], value: vec![3], label: vec![] }],
        ..proto::Profile::default()
    };
    assert_eq!(loaded(&message.encode_to_vec()).total_weight(0), 3);
}
