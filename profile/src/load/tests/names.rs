//! Where the names of frames come from.

use std::path::Path;

use rz_format::*;

use crate::fixture::trace::*;
use crate::model::{Function, ModuleKind as Kind, Profile};
use crate::symbolize::tests::fixture as programs;

fn symbol(module: u32, start: u64, name: &str, area: &str) -> Record {
    let (name, area) = (name.into(), area.into());
    Record::Symbol(Symbol { module, start, length: 0x10, name, area })
}

/// The stack's frames, loaded from a trace with further records.
fn check(records: &[Record], frames: &[Frame], expected: &str) -> Profile {
    let mut trace = Trace::new();
    let stack = trace.stack(frames);
    trace.define_stacks();
    trace.samples(&[stack]);
    // Symbols are known late.
    trace.records(records);
    let profile = load_bytes(&trace.finish());
    assert_eq!(describe(&profile), format!("main: {expected} 1 10\n"));
    profile
}

#[test]
fn recorded_symbols_name_the_kernel_and_the_vdso() {
    let symbols = [
        symbol(1, 0x1000, "do_syscall_64", ""),
        symbol(1, 0x2000, "ext4_read", "ext4"),
        symbol(1, 0x2010, "ext4_write", "ext4"),
        symbol(2, 0x2000, "clock_gettime", ""),
    ];
    let frames = [
        code(2, 0x2001),
        code(2, 1),
        code(1, 0x1004),
        code(1, 0x200f),
        code(1, 0x2010),
        code(1, 9),
    ];
    let expected =
        "clock_gettime;[vdso+0x1];do_syscall_64_k;ext4_read_k;ext4_write_k;[kernel+0x9]_k";
    let profile = check(&symbols, &frames, expected);
    let modules: Vec<_> = profile.modules.iter().map(|m| (&*m.name, &*m.path, m.kind)).collect();
    let expected = [
        ("app", "/nowhere/app", Kind::File),
        ("[kernel]", "", Kind::Kernel),
        ("[vdso]", "", Kind::Vdso),
        ("[anon]", "", Kind::Anonymous),
        ("[ext4]", "", Kind::Kernel),
    ];
    assert_eq!(modules, expected);
    let module_of = |name: &str| {
        let function = profile.functions.iter().find(|f| f.name == name).unwrap();
        &*profile.modules[function.module.unwrap()].name
    };
    assert_eq!((module_of("ext4_read"), module_of("do_syscall_64")), ("[ext4]", "[kernel]"));
}

#[test]
fn what_has_no_name() {
    let frames = [code(0, 0x1234), code(0, 0x1235), code(3, 0x7f00), code(3, 0x7f01)];
    let profile = check(&[], &frames, "[app+0x1234];[app+0x1235];[anon]_j;[anon]_j");
    assert_eq!((profile.functions.len(), profile.locations.len()), (3, 4));
    assert_eq!(profile.info.notes, ["/nowhere/app: not found on this machine"]);
    let truncated = Frame::Truncated(TruncatedReason::NoUnwindInfo);
    check(&[], &[truncated, code(3, 1)], "[truncated]_t;[anon]_j");
    check(&[], &[Frame::Unknown, code(3, 1)], "[unknown];[anon]_j");
    // Made up: not a root.
    check(&[], &[code(3, 1), truncated, code(3, 1)], "[truncated]_t;[anon]_j");
}

#[test]
fn modules_of_all_kinds_have_a_name() {
    let mut trace = Trace::bare();
    let kinds = [ModuleKind::File, ModuleKind::Kernel, ModuleKind::Vdso, ModuleKind::Anonymous];
    let kinds = kinds.into_iter().chain([ModuleKind::Unknown]);
    let records: Vec<Record> = (0..).zip(kinds).map(|(id, kind)| module(id, kind, "")).collect();
    trace.records(&records);
    trace.records(&[module(5, ModuleKind::File, "/usr/bin/app (deleted)")]);
    trace.records(&[module(6, ModuleKind::File, "/")]);
    let profile = load_bytes(&trace.finish());
    let names: Vec<&str> = profile.modules.iter().map(|module| &*module.name).collect();
    assert_eq!(names, ["[file]", "[kernel]", "[vdso]", "[anon]", "[unknown]", "app", "[file]"]);
    assert_eq!(profile.modules[5].path, "/usr/bin/app");
}

/// A trace with a sample at each offset of a function of a real program.
fn trace_of(program: &Path, suffix: &str, outer: programs::Listed) -> Vec<u8> {
    let mut trace = Trace::new();
    let record = Module {
        id: 4,
        path: format!("{}{suffix}", program.display()),
        build_id: programs::build_id(program),
        segments: programs::segments(program),
        ..Module::default()
    };
    trace.records(&[Record::Module(record)]);
    let stacks: Vec<_> =
        programs::offsets_of(outer).iter().map(|&at| trace.stack(&[code(4, at)])).collect();
    trace.define_stacks();
    trace.samples(&stacks);
    trace.finish()
}

#[test]
fn files_of_this_machine_name_functions_and_lines() {
    let dir = programs::Workshop::new();
    let program = dir.c_program("bin/a");
    let outer = programs::functions(&program)["outer"];
    // A file at the path of a deleted one is used if it is the same build.
    for suffix in ["", " (deleted)"] {
        let profile = load_bytes(&trace_of(&program, suffix, outer));
        assert_eq!(profile.info.notes, [""; 0]);
        let described = describe(&profile);
        assert!(described.contains("main: outer>inner 1 10"), "{described}");
        assert!(described.contains("main: outer 1 10"), "{described}");
        assert_eq!(profile.functions.iter().filter(|f| f.name == "outer").count(), 1);
        let inner = profile.functions.iter().position(|f| f.name == "inner").unwrap();
        assert!(profile.functions[inner].file.ends_with("a.c"));
        let lines = profile.locations.iter().flat_map(|location| &location.lines);
        assert!(lines.clone().any(|line| line.function == inner && line.line == 3));
        let addresses: Vec<u64> = profile.locations.iter().map(|l| l.address).collect();
        let expected: Vec<u64> = (outer.address..outer.address + outer.size).collect();
        assert_eq!(addresses, expected);
        assert_eq!(profile.modules[4].name, "a");
    }
}

#[test]
fn a_missing_program_is_noted_and_keeps_its_addresses() {
    let dir = programs::Workshop::new();
    let program = dir.build("a", "c", programs::C_PROGRAM, "cc -O2 -no-pie -Wl,--build-id");
    let outer = programs::functions(&program)["outer"];
    let trace = trace_of(&program, "", outer);
    std::fs::remove_file(&program).unwrap();
    let profile = load_bytes(&trace);
    let expected = format!("main: [a+{:#x}] 1 10\n", outer.address);
    assert!(describe(&profile).contains(&expected), "{}", describe(&profile));
    let note = format!("{}: not found on this machine", program.display());
    assert_eq!(profile.info.notes, [note]);
}

#[test]
fn what_is_called_by_its_place_is_nameless() {
    let mut trace = Trace::new();
    // Of the first one, not even the module is known.
    let stack = trace.stack(&[
        code(9, 0x10),
        code(3, 0x20),
        code(0, 0x30),
        code(2, 0x2001),
        Frame::Truncated(TruncatedReason::NoUnwindInfo),
    ]);
    trace.define_stacks();
    trace.samples(&[stack]);
    trace.records(&[symbol(2, 0x2000, "clock_gettime", "")]);
    let (state, syscall) = (WaitState::Sleeping, Some(202));
    let futex = Wait { weight: 1, state, syscall, ..Wait::default() };
    trace.waits(&[futex]);
    let profile = load_bytes(&trace.finish());
    let of = |nameless: bool| {
        let functions = profile.functions.iter().filter(|f| f.nameless == nameless);
        let mut names: Vec<&str> = functions.map(|f: &Function| f.name.as_str()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(of(true), ["[anon]", "[app+0x30]", "[lost]"]);
    assert_eq!(of(false), ["[off-CPU: futex]", "[truncated]", "clock_gettime"]);
}
