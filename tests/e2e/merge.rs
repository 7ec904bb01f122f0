//! Real recordings, and very many made-up ones, merged into one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_format::{
    Clock, End, Event, FileHeader, Frame, Host, Module, Process, Record, Recording, Sample,
    StackInterner, Thread, TotalClass, TraceWriter,
};
use rz_profile::load::{LoadOptions, load};
use rz_profile::model::Profile;
use rz_tests::{
    Contents, Output, Recorder, Trace, binary, conv, program_path, report, run, temp_dir, text,
};

/// Merges traces by `conv`, with options besides.
fn merge(traces: &[&Path], into: &Path, options: &[&str]) -> Output {
    let traces: Vec<&str> = traces.iter().map(|path| text(path)).collect();
    conv(&[traces.as_slice(), &["--to", "rz", "-o", text(into)], options].concat())
}

#[track_caller]
fn profile(path: &Path) -> Profile {
    load(path, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Weights by event, process and functions, outermost first.
fn weights(profile: &Profile) -> BTreeMap<(String, String, String), (u64, u64)> {
    let mut weights = BTreeMap::new();
    for sample in &profile.samples {
        let functions = profile.locations_of(sample.stack).flat_map(|location| &location.lines);
        let mut names: Vec<&str> =
            functions.map(|line| profile.functions[line.function].name.as_str()).collect();
        names.reverse();
        let (_, process) = profile.thread(sample.thread);
        let event = profile.events[sample.event].name.clone();
        let key = (event, process.name.clone(), names.join(";"));
        let sum: &mut (u64, u64) = weights.entry(key).or_default();
        *sum = (sum.0 + sample.count, sum.1 + sample.weight);
    }
    weights
}

/// Three runs of one program and one of another, with system calls, waits and
/// allocations: what is in the merged trace is what is in them.
#[test]
fn recordings_of_several_runs() {
    let calls = program_path("callmaker");
    let heap = program_path("heap");
    let of_calls = |which, code| {
        let trace =
            Recorder::spawn(&["-q", "--syscalls", "--off-cpu", "--", text(&calls), which]).finish();
        assert_eq!(trace.output.status.code(), Some(code), "{}", trace.output);
        trace
    };
    let of_heap = || Trace::record(&["-q", "--alloc=full", "--", text(&heap), "2"]);
    let traces = [of_calls("calls", 7), of_calls("slow", 0), of_calls("slow", 0), of_heap()];
    let dir = temp_dir();
    let all = dir.path().join("all.rz");
    let paths: Vec<PathBuf> = traces.iter().map(Trace::path).collect();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let labels = ["--label", "one", "--label", "two", "--label", "three", "--label", "heap"];
    merge(&paths, &all, &labels).success();

    let parts: Vec<Profile> = paths.iter().map(|path| profile(path)).collect();
    let whole = profile(&all);
    let mut expected = BTreeMap::new();
    for (key, amount) in parts.iter().flat_map(weights) {
        let sum: &mut (u64, u64) = expected.entry(key).or_default();
        *sum = (sum.0 + amount.0, sum.1 + amount.1);
    }
    assert_eq!(weights(&whole), expected);
    let sources: Vec<(&str, i64)> =
        whole.sources.iter().map(|source| (&*source.label, source.clock_shift_ns)).collect();
    assert_eq!(sources, [("one", 0), ("two", 0), ("three", 0), ("heap", 0)]);
    let durations: u64 = parts.iter().map(|part| part.info.duration_ns).sum();
    assert_eq!(whole.info.duration_ns, durations);

    let sum = |profile: &Profile, class| {
        let totals = profile.totals.iter().filter(|total| total.class == class);
        totals.fold((0, 0), |sum, total| (sum.0 + total.count, sum.1 + total.total_ns))
    };
    for class in [TotalClass::Waits, TotalClass::Calls] {
        let parts = parts.iter().map(|part| sum(part, class));
        let expected = parts.fold((0, 0), |all, part| (all.0 + part.0, all.1 + part.1));
        assert_eq!(sum(&whole, class), expected);
    }
    assert_eq!(whole.inexact, []);
    let (found, expected) = (whole.heap.as_ref().unwrap(), parts[3].heap.as_ref().unwrap());
    assert_eq!((found.total, found.counts), (expected.total, expected.counts));
    assert_eq!((found.peak, found.missing_frees), (expected.peak, expected.missing_frees));

    // Single calls keep what their paths are.
    let texts = |path: &Path| {
        let contents = Contents::read(path);
        assert_eq!(contents.damage, []);
        let text = |id: u32| String::from_utf8_lossy(&contents.texts[id as usize]).into_owned();
        let calls = contents.calls.iter().map(|call| {
            (call.start_ns, call.number, call.result, call.texts.map(|id| id.map(text)))
        });
        calls.collect::<Vec<_>>()
    };
    let mut expected: Vec<_> = paths.iter().flat_map(|path| texts(path)).collect();
    let mut found = texts(&all);
    expected.sort();
    found.sort();
    assert!(expected.iter().any(|(.., texts)| texts[0].is_some()));
    assert_eq!(found, expected);

    // In whatever order they are named.
    let again = dir.path().join("again.rz");
    let turned: Vec<&Path> = paths.iter().rev().copied().collect();
    let turned_labels = ["--label", "heap", "--label", "three", "--label", "two", "--label", "one"];
    merge(&turned, &again, &turned_labels).success();
    assert!(fs::read(&again).unwrap() == fs::read(&all).unwrap());

    let shown = report(&[text(&all)]).success();
    for expected in [" in 4 recordings", "\nSOURCES  on one clock\n", "  one  ", "  heap  "] {
        assert!(shown.stdout.contains(expected), "{expected:?}: {shown}");
    }
    let tree = report(&[text(&all), "--off-cpu", "--tree"]).success();
    for expected in ["two (recording)", "three (recording)"] {
        assert!(tree.stdout.contains(expected), "{expected:?}: {tree}");
    }
}

/// A small trace of one of very many hosts, which has stacks in common with
/// others, and some of its own.
fn write_small(path: &Path, id: u32) {
    let seconds = 3_u64;
    let start_ns = 1_000_000_000 * u64::from(id % 7 + 1);
    let mut trace_id = [7; 16];
    trace_id[..4].copy_from_slice(&id.to_le_bytes());
    let unix_ns = 1_800_000_000_000_000_000 + u64::from(id) * 1_000_003;
    let header = FileHeader::new(trace_id, unix_ns, start_ns);
    let mut writer =
        TraceWriter::new(BufWriter::new(File::create(path).unwrap()), &header).unwrap();
    let (hostname, boot_id) = (format!("host{}", id % 100), format!("boot{id}"));
    let module = |id, path: &str| {
        Record::Module(Module {
            id,
            path: path.into(),
            build_id: vec![1, 2, id as u8],
            ..Module::default()
        })
    };
    let records = [
        Record::Host(Host { hostname, boot_id, cpus: 1, ..Host::default() }),
        Record::Recording(Recording { start_ns, ..Recording::default() }),
        Record::Event(Event { id: 0, name: "cpu-clock".into(), unit: 0, frequency_hz: 100 }),
        Record::Clock(Clock {
            monotonic_ns: start_ns,
            realtime_ns: unix_ns,
            boottime_ns: start_ns,
        }),
        Record::Process(Process { pid: 7, name: "app".into(), ..Process::default() }),
        Record::Thread(Thread { tid: 7, name: "app".into(), ..Thread::default() }),
        module(0, "/nowhere/app"),
        module(1, "/nowhere/lib.so"),
    ];
    writer.write_records(start_ns, &records).unwrap();
    let mut interner = StackInterner::<std::hash::RandomState>::default();
    for second in 0..seconds {
        let mut samples = Vec::new();
        for at in 0..100_u64 {
            let own = u64::from(id % 10) * 1_000 + at % 50;
            let mut stack = None;
            for depth in 0..10_u64 {
                let offset = 16 * (depth * 4 + at % 4) + if depth == 9 { own } else { 0 };
                let frame = interner.frame(Frame::Code { module: (depth % 2) as u32, offset });
                stack = Some(interner.stack(stack, frame));
            }
            let time_ns = start_ns + second * 1_000_000_000 + at * 10_000_000;
            samples.push(Sample { time_ns, stack, weight: 10_000_000, ..Sample::default() });
        }
        let time_ns = samples[0].time_ns;
        writer.write_stacks(time_ns, &interner.take_new()).unwrap();
        writer.write_samples(&mut samples).unwrap();
    }
    let end_ns = start_ns + seconds * 1_000_000_000;
    writer.write_records(end_ns, &[Record::End(End { time_ns: end_ns, reason: 0 })]).unwrap();
    writer.finish().unwrap();
}

/// A thousand traces are merged with half a gigabyte of memory and few files
/// open.
#[test]
fn a_thousand_traces() {
    let dir = temp_dir();
    let names: Vec<String> = (0..1_000).map(|id| format!("{id}.rz")).collect();
    for (id, name) in (0..).zip(&names) {
        write_small(&dir.path().join(name), id);
    }
    let mut command = Command::new("sh");
    // In KiB, of all address space, which is more than what is resident.
    let script = "ulimit -v 524288; ulimit -n 300; exec \"$@\"";
    command.current_dir(dir.path()).args(["-c", script, "sh", text(&binary("conv"))]);
    run(command.args(&names).args(["-o", "all.rz"])).success();
    let profile = profile(&dir.path().join("all.rz"));
    assert_eq!((profile.sources.len(), profile.info.samples), (1_000, 300_000));
    assert!(profile.sources.iter().all(|source| source.samples == 300));
    assert_eq!(profile.info.duration_ns, 3_000_000_000_000);
    assert_eq!((profile.modules.len(), profile.info.cpus), (2, 1_000));
    // 4 ways of 9 frames; below them 50 of each of 10 kinds of hosts.
    assert!(profile.stacks.len() <= 4 * 9 + 10 * 100, "{}", profile.stacks.len());
    // One that is damaged is named, and nothing is written.
    let cut = dir.path().join("500.rz");
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let merge = |options: &[&str]| {
        let mut command = Command::new(binary("conv"));
        run(command.current_dir(dir.path()).args(&names).args(["-o", "some.rz"]).args(options))
    };
    merge(&[]).refused(1, &["conv: 500.rz: ", "--keep-going"]);
    assert!(!dir.path().join("some.rz").exists());
    let merged = merge(&["--keep-going"]).success();
    assert!(merged.stderr.starts_with("conv: 500.rz: the file is cut off"), "{merged}");
    let some = self::profile(&dir.path().join("some.rz"));
    assert!(some.info.cut_short && (299_700..300_000).contains(&some.info.samples));
}
