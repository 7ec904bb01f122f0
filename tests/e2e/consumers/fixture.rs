//! A profile with everything that consumers are known to stumble over.

use std::path::Path;

use rz_profile::model::*;

/// The stacks of [`profile`], root first: thread, frames, samples. A sample
/// weighs a millisecond.
///
/// Frames are joined by ` > `; `callee @ caller` is one location where the
/// callee was inlined.
const STACKS: &[(usize, &str, u64)] = &[
    (0, "main > DOT @ MUL", 20),
    (0, "main > MUL", 10),
    (0, "main > read > ksys_read", 5),
    (0, "[truncated] > read", 3),
    (1, "start_thread > MAP", 8),
    (1, "start_thread > jit:a;b", 4),
    (1, "start_thread > [libz.so.1+0x1234]", 2),
    (1, "start_thread > main > DOT @ MUL", 1),
];

/// Sum of all sample counts; also the milliseconds in the profile.
pub const SAMPLES: u64 = 53;

/// A Rust trait method, after demangling.
pub const MUL: &str = "<&matrix::Matrix as core::ops::Mul>::mul";
/// A Rust function that is inlined into [`MUL`].
pub const DOT: &str = "matrix::dot";
/// A C++ template, after demangling.
pub const MAP: &str = "std::map<int, std::vector<char> >::operator[](int const&)";

/// The source file of the Rust functions, which exists.
pub fn source_file() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/matrix.rs");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Two threads of one process running [`STACKS`].
pub fn profile() -> Profile {
    let mut profile = tables();
    let mut samples = Vec::new();
    for &(thread, stack, count) in STACKS {
        let mut parent = None;
        for frames in stack.split(" > ") {
            let location = find_location(&profile, frames);
            parent = Some(find_stack(&mut profile, StackNode { parent, location }));
        }
        let weight = count * 1_000_000;
        samples.push(Sample { event: 0, thread, stack: parent, count, weight });
    }
    let timeline = samples.iter().flat_map(|sample| {
        (0..sample.count).map(|time_ns| TimedSample {
            time_ns,
            event: 0,
            thread: sample.thread,
            stack: sample.stack.into(),
            weight: sample.weight / sample.count,
            count: 1,
            ..TimedSample::default()
        })
    });
    profile.timeline = Some(timeline.collect());
    profile.samples = samples;
    profile
}

/// Everything but stacks and samples.
fn tables() -> Profile {
    let source = source_file();
    let function = |name: &str, system_name: &str, file: &str, module| Function {
        name: name.into(),
        system_name: system_name.into(),
        file: file.into(),
        module,
        ..Function::default()
    };
    let module = |kind, name: &str, path: &str, build_id: &[u8]| Module {
        kind,
        name: name.into(),
        path: path.into(),
        build_id: build_id.into(),
        file_size: 0,
    };
    let location = |kind, module, address, lines: &[(FunctionId, u32)]| Location {
        kind,
        module,
        address,
        lines: lines.iter().map(|&(function, line)| Line { function, line, column: 0 }).collect(),
        ..Location::default()
    };
    let thread = |tid, name: &str| Thread { process: 0, tid, name: name.into() };
    Profile {
        info: Info {
            host: "build-7".into(),
            os: "Linux 6.1 x86_64".into(),
            cpus: 8,
            command: vec!["rec".into(), "-p".into(), "4242".into()],
            start_unix_ns: 1_700_000_000_000_000_000,
            duration_ns: 2_000_000_000,
            samples: SAMPLES,
            ..Info::default()
        },
        events: vec![Event {
            name: "cpu-clock".into(),
            unit: Unit::Nanoseconds,
            frequency_hz: 1000,
            ..Event::default()
        }],
        processes: vec![Process {
            pid: 4242,
            name: "matrix".into(),
            exe: "/opt/matrix/bin/matrix".into(),
            kernel: false,
            source: 0,
        }],
        threads: vec![thread(4242, "matrix"), thread(4243, "loader")],
        modules: vec![
            module(ModuleKind::Kernel, "[kernel]", "", &[]),
            module(ModuleKind::File, "libc.so.6", "/usr/lib/libc.so.6", &[0xc0, 0x01]),
            module(ModuleKind::File, "matrix", "/opt/matrix/bin/matrix", &[0xbe, 0xef]),
            module(ModuleKind::File, "libz.so.1", "/opt/matrix/lib/libz.so.1", &[0xd0]),
            module(ModuleKind::Anonymous, "[anon]", "", &[]),
        ],
        functions: vec![
            function("main", "main", &source, Some(2)),
            function(MUL, "_RNvXs_6matrixRNtB4_6MatrixNtNtC4core3ops3Mul3mul", &source, Some(2)),
            function(DOT, "_RNvCs_6matrix3dot", &source, Some(2)),
            function("read", "read", "", Some(1)),
            function("ksys_read", "ksys_read", "", Some(0)),
            function(MAP, "_ZNSt3mapIiSt6vectorIcEEixERKi", "map.h", Some(2)),
            function("start_thread", "start_thread", "", Some(1)),
            function("jit:a;b", "", "", Some(4)),
            Function { nameless: true, ..function("[libz.so.1+0x1234]", "", "", Some(3)) },
            Function { nameless: true, ..function("[truncated]", "", "", None) },
        ],
        locations: vec![
            location(FrameKind::User, Some(2), 0x1100, &[(0, 22)]),
            location(FrameKind::User, Some(2), 0x1200, &[(1, 8)]),
            location(FrameKind::User, Some(2), 0x1210, &[(2, 18), (1, 10)]),
            location(FrameKind::User, Some(1), 0x2000, &[(3, 0)]),
            location(FrameKind::Kernel, Some(0), 0xffff_ffff_8123_4560, &[(4, 0)]),
            location(FrameKind::User, Some(2), 0x1300, &[(5, 492)]),
            location(FrameKind::User, Some(1), 0x2100, &[(6, 0)]),
            location(FrameKind::Jit, Some(4), 0x7f00_0000_1000, &[(7, 0)]),
            location(FrameKind::User, Some(3), 0x1234, &[(8, 0)]),
            location(FrameKind::Truncated, None, 0, &[(9, 0)]),
        ],
        ..Profile::default()
    }
}

/// The location with these functions, leaf first.
fn find_location(profile: &Profile, frames: &str) -> LocationId {
    let full_name = |name| match name {
        "MUL" => MUL,
        "DOT" => DOT,
        "MAP" => MAP,
        name => name,
    };
    let wanted: Vec<&str> = frames.split(" @ ").map(full_name).collect();
    let names = |location: &Location| -> Vec<&str> {
        location.lines.iter().map(|line| profile.functions[line.function].name.as_str()).collect()
    };
    let found = profile.locations.iter().position(|location| names(location) == wanted);
    found.unwrap_or_else(|| panic!("no location {frames:?}"))
}

fn find_stack(profile: &mut Profile, node: StackNode) -> StackId {
    profile.stacks.iter().position(|&known| known == node).unwrap_or_else(|| {
        profile.stacks.push(node);
        profile.stacks.len() - 1
    })
}
