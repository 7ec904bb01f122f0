//! Code that was generated while it was recorded.

use rz_format::*;

use crate::fixture::trace::*;
use crate::model::{FrameKind, Profile};

/// When the second code takes the place of the first.
const LATER: u64 = START + 1_000;

fn generated(module: u32, start: u64, from_ns: u64, name: &str) -> Record {
    let (length, name) = (0x100, name.into());
    Record::Generated(Generated { module, start, length, from_ns, name, ..Generated::default() })
}

fn sample(time_ns: u64, stack: Option<StackId>) -> Sample {
    Sample { time_ns, stack, weight: 10, ..Sample::default() }
}

/// Stacks of one sample each, from a trace whose generated code is known last.
fn check(samples: &[(u64, &[Frame])], records: &[Record], expected: &[&str]) -> Profile {
    let mut trace = Trace::new();
    let mut rows: Vec<Sample> =
        samples.iter().map(|(time, frames)| sample(*time, trace.stack(frames))).collect();
    trace.define_stacks();
    trace.writer.write_samples(&mut rows).unwrap();
    trace.records(records);
    let profile = load_bytes(&trace.finish());
    let expected: Vec<String> = expected.iter().map(|line| format!("main: {line}\n")).collect();
    assert_eq!(describe(&profile), expected.concat());
    profile
}

#[test]
fn one_place_with_one_code() {
    let frames = [code(0, 0x1234), code(3, 0x7010), code(3, 0x7fff), code(3, 0x8000)];
    let records = [
        generated(3, 0x7000, 0, "old"),
        generated(3, 0x7000, 0, "JS:*hot /srv/app.js:12:34"),
        generated(3, 0x7f00, START, "py::cold:/srv/app.py"),
        generated(0, 0x9000, 0, "elsewhere"),
    ];
    let expected = ["[app+0x1234];hot_j;cold_j;[anon]_j 2 20"];
    let profile = check(&[(START, &frames), (LATER, &frames)], &records, &expected);
    let hot = profile.functions.iter().position(|function| function.name == "hot").unwrap();
    let function = &profile.functions[hot];
    assert_eq!(function.system_name, "JS:*hot /srv/app.js:12:34");
    assert_eq!((&*function.file, function.module), ("/srv/app.js", Some(3)));
    let mut lines = profile.locations.iter().flat_map(|location| &location.lines);
    let line = lines.find(|line| line.function == hot).unwrap();
    assert_eq!((line.line, line.column), (12, 34));
    // Without what the time decides, nothing is made up.
    assert_eq!((profile.stacks.len(), profile.locations.len()), (4, 4));
}

#[test]
fn one_place_with_code_that_changes() {
    let (outer, inner) = (code(3, 0x7010), code(3, 0x8010));
    let deep = [code(0, 1), outer, inner, code(0, 2)];
    let records = [
        generated(3, 0x7000, LATER, "second"),
        generated(3, 0x7000, START - 5, "first"),
        generated(3, 0x8000, LATER + 10, "late"),
    ];
    let samples: [(u64, &[Frame]); 6] = [
        (LATER - 1, &deep),
        (LATER, &deep),
        (LATER + 9, &deep),
        (LATER + 10, &deep),
        (LATER + 99, &deep[..2]),
        (START, &deep[..1]),
    ];
    let expected = [
        "[app+0x1] 1 10",
        "[app+0x1];first_j;[anon]_j;[app+0x2] 1 10",
        "[app+0x1];second_j 1 10",
        "[app+0x1];second_j;[anon]_j;[app+0x2] 2 20",
        "[app+0x1];second_j;late_j;[app+0x2] 1 10",
    ];
    check(&samples, &records, &expected);
}

#[test]
fn code_in_a_file() {
    let records = [generated(0, 0x1000, 0, "f")];
    let frames = [code(0, 0x1010), code(0, 0x2000)];
    let profile = check(&[(START, &frames)], &records, &["f_j;[app+0x2000] 1 10"]);
    assert_eq!(profile.locations.iter().filter(|l| l.kind == FrameKind::Jit).count(), 1);
}

#[test]
fn rows_of_all_kinds() {
    let mut trace = Trace::new();
    let stack = trace.stack(&[code(3, 0x7010)]);
    trace.define_stacks();
    let wait = Wait { duration_ns: 5, weight: 5, stack, ..Wait::default() };
    trace.waits(&[Wait { end_ns: LATER - 1, ..wait }, Wait { end_ns: LATER + 1, ..wait }]);
    let call = Call { stack_weight: 7, stack, count: 1, ..Call::default() };
    let late = Call { start_ns: LATER - 1, duration_ns: 1, ..call };
    trace.calls(&[Call { start_ns: LATER - 1, ..call }, late]);
    let allocation = Allocation { kind: AllocationKind::Malloc, stack, ..Allocation::default() };
    // Their times are cut to microseconds.
    trace.writer.write_allocations(&[Allocation { time_ns: LATER, ..allocation }]).unwrap();
    trace.records(&[generated(3, 0x7000, START, "first"), generated(3, 0x7000, LATER, "second")]);
    let profile = load_bytes(&trace.finish());
    let found = describe(&profile);
    for expected in [
        "off-cpu main: first_j;[off-CPU: preempted] 1 5",
        "off-cpu main: second_j;[off-CPU: preempted] 1 5",
        "syscalls main: first_j;[syscall: read] 1 7",
        "syscalls main: second_j;[syscall: read] 1 7",
    ] {
        assert!(found.lines().any(|line| line == expected), "{expected}\n{found}");
    }
    assert!(found.contains("alloc main: second_j "), "{found}");
}

#[test]
fn names_that_were_put_in_later() {
    let mut trace = Trace::new();
    let stack = trace.stack(&[code(3, 0x7010)]);
    trace.define_stacks();
    trace.writer.write_samples(&mut [sample(START, stack), sample(LATER, stack)]).unwrap();
    let texts = vec![b"better first".to_vec(), b"better second".to_vec()];
    trace.writer.write_texts(START, &TextDefs { first: 0, texts }).unwrap();
    let name = Name { module: 3, offset: 0x7010, address: 0x7010, ..Name::default() };
    let names = [
        Name { from_ns: START, name: Some(0), ..name },
        Name { from_ns: LATER, name: Some(1), ..name },
    ];
    trace.writer.write_names(START, &names).unwrap();
    trace.records(&[generated(3, 0x7000, START, "first"), generated(3, 0x7000, LATER, "second")]);
    let profile = load_bytes(&trace.finish());
    let expected = "main: better first_j 1 10\nmain: better second_j 1 10\n";
    assert_eq!(describe(&profile), expected);
}

/// Whatever a trace says, it costs no more than it has in it.
#[test]
fn made_up_code() {
    let mut trace = Trace::new();
    let stack = trace.stack(&[code(3, 0x7010), code(3, 0x7020)]);
    trace.define_stacks();
    let times = (START..).take(20_000);
    let mut rows: Vec<Sample> = times.map(|time| sample(time, stack)).collect();
    trace.writer.write_samples(&mut rows).unwrap();
    let records: Vec<Record> = (0..20_000)
        .map(|at| {
            let code = Generated { module: 3, length: u64::MAX, ..Generated::default() };
            Record::Generated(Generated { start: at % 0x7000, from_ns: START + at, ..code })
        })
        .collect();
    trace.records(&records);
    let profile = load_bytes(&trace.finish());
    assert_eq!(profile.samples.iter().map(|sample| sample.count).sum::<u64>(), 20_000);
}
