//! What stays of each kind of record, and of whole traces.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;

use rz_format::*;

use super::{RedactOptions, Redactor, Sensitive, redact};
use rz_profile::fixture::trace::{describe, load_bytes, vector};
use rz_profile::fixture::with_runtimes;
use rz_profile::load::{LoadOptions, load};

/// What must not be in a redacted trace.
const CANARY: &str = "CaNaRy";

/// One record of each kind, with the canary in all texts that are somebody's.
fn one_of_each() -> Vec<Record> {
    let text = |before: &str| format!("{before}{CANARY}");
    let path = |after: &str| format!("/home/{CANARY}1/{CANARY}2/{CANARY}{after}");
    vec![
        Record::Host(Host {
            hostname: text("h"),
            sysname: "Linux".into(),
            release: text("6.1.0-"),
            version: text("#1 "),
            machine: "x86_64".into(),
            boot_id: text(""),
            ..Host::default()
        }),
        Record::Recording(Recording {
            recorder: text("0.1-"),
            command: vec!["rec".into(), path(".rz")],
            tier: "bpf".into(),
            ..Recording::default()
        }),
        Record::Event(Event { name: "cpu-clock".into(), ..Event::default() }),
        Record::Clock(Clock::default()),
        Record::Process(Process {
            exe: path(" (deleted)"),
            argv0: text("./"),
            name: text(""),
            ..Process::default()
        }),
        Record::ProcessExit(Exit::default()),
        Record::Thread(Thread { name: text("w-"), ..Thread::default() }),
        Record::ThreadName(ThreadName { name: text("x-") + "-7", ..ThreadName::default() }),
        Record::ThreadExit(Exit::default()),
        Record::Module(Module { path: path(".so.1"), build_id: vec![7], ..Module::default() }),
        Record::Mapping(Mapping::default()),
        Record::Symbol(Symbol { name: "do_idle".into(), ..Symbol::default() }),
        Record::Loss(Loss::default()),
        Record::Cost(Cost::default()),
        Record::End(End::default()),
        Record::Note(Note { text: text("cannot read ") }),
        Record::Captured(Captured::default()),
        Record::CpuTimes(CpuTimes::default()),
        Record::Function(Function { path: path(".so"), ..Function::default() }),
        Record::CallData(CallData { bytes: 32 }),
        Record::LastRan(LastRan::default()),
        Record::OpenFile(OpenFile { target: path(".log"), ..OpenFile::default() }),
        Record::WorkingDirectory(WorkingDirectory { process: 0, path: path("") }),
        Record::Allocations(Allocations::default()),
        Record::Allocator(Allocator { process: 0, path: path(".so") }),
        Record::Source(Source { label: text(""), ..Source::default() }),
        Record::OfSource(OfSource::default()),
        Record::Generated(Generated {
            name: format!("JS:*add {}:3:4", path(".js")),
            lines: vec![GeneratedLine { file: path(".js"), ..GeneratedLine::default() }],
            ..Generated::default()
        }),
        Record::ProcessFacts(ProcessFacts {
            cgroup: format!("/system.slice/{CANARY}.service"),
            args: vec![text("")],
            environment: vec!["PATH".into(), text("")],
            values: vec![text(""), text("")],
            limits: vec![Limit { name: "Max open files".into(), ..Limit::default() }],
            ..ProcessFacts::default()
        }),
        Record::Named(Named { module: 0, note: path(": not found") }),
        Record::Redaction(Redaction::default()),
        Record::CodeObject(CodeObject {
            name: path(".<locals>"),
            qualified_name: format!("f {}", path(".py")),
            file: path(".py"),
            ..CodeObject::default()
        }),
    ]
}

/// Fails when there is a new kind of record, about which nobody has decided.
#[test]
fn every_kind_of_record_is_decided_about() {
    let records = one_of_each();
    let kinds: BTreeSet<&str> = records.iter().map(Record::kind).collect();
    assert_eq!(kinds, Record::KINDS.iter().copied().collect());

    let mut redactor = Redactor::new(RedactOptions::default());
    let mut gone = Vec::new();
    for record in records {
        let kind = record.kind();
        match redactor.record(record) {
            Some(redacted) => {
                let text = format!("{redacted:?}");
                assert!(!text.contains(CANARY), "{text}");
            }
            None => gone.push(kind),
        }
    }
    assert_eq!(gone, ["Note", "CallData"]);
}

#[test]
fn what_is_in_the_place_of_things() {
    let mut redactor = Redactor::new(RedactOptions::default());
    let redacted = one_of_each().into_iter().filter_map(|record| redactor.record(record));
    for record in redacted.collect::<Vec<_>>() {
        match record {
            Record::Host(host) => {
                let shown = [&*host.hostname, &*host.release, &*host.version, &*host.boot_id];
                assert_eq!(shown, ["host1", "6.1.0", "", "boot1"]);
                assert_eq!((&*host.sysname, &*host.machine), ("Linux", "x86_64"));
            }
            Record::Recording(recording) => {
                assert!(recording.command.is_empty());
                assert_eq!((&*recording.recorder, &*recording.tier), ("0.1", "bpf"));
            }
            Record::Process(process) => {
                assert_eq!(process.exe, "/home/user1/dir1/file1 (deleted)");
                assert_eq!((&*process.argv0, &*process.name), ("./file1", "file1"));
            }
            Record::ThreadName(name) => assert_eq!(name.name, "name2-7"),
            Record::Module(module) => {
                assert_eq!(
                    (&*module.path, &*module.build_id),
                    ("/home/user1/dir1/file1.so.1", &[7][..])
                );
            }
            Record::Generated(code) => {
                assert_eq!(code.name, "JS:*add /home/user1/dir1/file1.js:3:4");
                assert_eq!(code.lines[0].file, "/home/user1/dir1/file1.js");
            }
            Record::CodeObject(code) => {
                assert_eq!(code.file, "/home/user1/dir1/file1.py");
                assert_eq!(code.qualified_name, "f /home/user1/dir1/file1.py");
            }
            Record::ProcessFacts(facts) => {
                assert_eq!(facts.cgroup, "/system.slice/file1.service");
                assert_eq!(facts.environment, ["PATH", "VAR1"]);
                assert!(facts.args.is_empty() && facts.values.is_empty());
                assert_eq!(facts.limits[0].name, "Max open files");
            }
            Record::Named(named) => {
                assert_eq!(named.note, "/home/user1/dir1/file1.so.1: names or lines are missing");
            }
            _ => {}
        }
    }
    let counted = redactor.redactions();
    let counted: Vec<(&str, u64)> = counted.iter().map(|r| (&*r.what, r.count)).collect();
    let expected = [
        ("facts of hosts", 5),
        ("user names", 1),
        ("paths", 13),
        ("process and thread names", 3),
        ("arguments", 4),
        ("environment variables", 3),
        ("labels", 1),
        ("notes", 2),
    ];
    assert_eq!(counted, expected);
}

#[test]
fn what_may_stay() {
    let check = |keep: &[Sensitive], stays: &[&str]| {
        let options = RedactOptions { keep: keep.to_vec(), ..RedactOptions::default() };
        let mut redactor = Redactor::new(options);
        let mut kinds = Vec::new();
        for record in one_of_each() {
            let kind = record.kind();
            let Some(redacted) = redactor.record(record) else { continue };
            if format!("{redacted:?}").contains(CANARY) {
                kinds.push(kind);
            }
        }
        assert_eq!(kinds, stays, "{keep:?}");
    };
    check(&[], &[]);
    check(&[Sensitive::Host], &["Host", "Recording"]);
    check(&[Sensitive::Args], &["Recording", "Process", "ProcessFacts"]);
    check(&[Sensitive::Names], &["Process", "Thread", "ThreadName"]);
    check(&[Sensitive::Env], &["ProcessFacts"]);
    check(&[Sensitive::Labels], &["Source"]);
    check(&[Sensitive::Notes], &["Note", "Named"]);
    let with_paths = [
        "Process",
        "Module",
        "Function",
        "OpenFile",
        "WorkingDirectory",
        "Allocator",
        "Generated",
        "ProcessFacts",
        "Named",
        "CodeObject",
    ];
    check(&[Sensitive::Paths], &with_paths);
    let all: Vec<&str> = one_of_each()
        .iter()
        .filter(|record| format!("{record:?}").contains(CANARY))
        .map(Record::kind)
        .collect();
    check(&Sensitive::ALL, &all);
}

/// Redacts a trace, and returns it with what was taken out.
fn redacted(path: &Path, options: &RedactOptions) -> (Vec<u8>, Vec<Redaction>) {
    let mut out = Vec::new();
    let said = redact(path, options, &mut out).unwrap();
    (out, said.redactions)
}

#[test]
fn samples_stay_as_they_are() {
    for version in ["v1.0", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7"] {
        let path = vector(version);
        let options = RedactOptions { keep: Sensitive::ALL.to_vec(), ..RedactOptions::default() };
        let (bytes, said) = redacted(&path, &options);
        assert_eq!(said, []);
        let before = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!(describe(&load_bytes(&bytes)), describe(&before), "{version}");
        let (bytes, said) = redacted(&path, &RedactOptions::default());
        let after = load_bytes(&bytes);
        let weights = |profile: &rz_profile::model::Profile| -> Vec<(u64, u64)> {
            profile.samples.iter().map(|sample| (sample.count, sample.weight)).collect()
        };
        assert_eq!(weights(&after), weights(&before), "{version}");
        let shown: Vec<(String, u64)> = said.into_iter().map(|r| (r.what, r.count)).collect();
        assert!(!shown.is_empty());
        assert!(after.info.redacted.ends_with(&shown), "{:?}", after.info.redacted);
    }
}

/// What is not known may hold anything.
#[test]
fn unknown_blocks_are_left_out() {
    let mut bytes = std::fs::read(vector("v1.6")).unwrap();
    let index = rebuild_index(&mut Cursor::new(&bytes)).unwrap();
    let last = index.last().unwrap();
    bytes.truncate(last.offset as usize + BLOCK_HEADER_LEN + last.stored_len as usize);
    let length = (CANARY.len() as u32).to_le_bytes();
    let sequence = (index.len() as u32).to_le_bytes();
    let mut block = [&SYNC[..], &[0x77, 0, 0, 0], &sequence, &length, &length, &[0; 16]].concat();
    let checksum = crc32c::crc32c(&[&block, CANARY.as_bytes()].concat()).to_le_bytes();
    block.extend([&checksum[..], CANARY.as_bytes()].concat());
    bytes.extend(block);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.rz");
    std::fs::write(&path, &bytes).unwrap();
    let mut out = Vec::new();
    let options = RedactOptions { keep_going: true, ..RedactOptions::default() };
    let said = redact(&path, &options, &mut out).unwrap();
    let expected = [
        "the file was not closed: the recorder may have been killed",
        "blocks of unknown kind 0x0077 are left out: use a newer rz",
    ];
    assert_eq!(said.damage, expected);
    assert!(!out.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    assert_eq!(Reader::new(Cursor::new(&out)).unwrap().damage(), []);
    let notes = load_bytes(&out).info.notes;
    assert!(expected.iter().all(|note| notes.iter().any(|text| text == note)), "{notes:?}");
}

#[test]
fn texts_are_redacted_by_what_they_are() {
    let header = FileHeader::new([1; 16], 2, 3);
    let mut writer = TraceWriter::new(Vec::new(), &header).unwrap();
    let module =
        |id, path: &str| Record::Module(Module { id, path: path.into(), ..Module::default() });
    writer.write_records(4, &[module(0, "/srv/CaNaRy/app"), module(1, "/lib/libc.so.6")]).unwrap();
    let texts: [&[u8]; 7] = [
        b"/srv/CaNaRy/x",
        b"\x02\0\0\x50\x01\x02\x03\x04",
        b"walk",
        b"f<(lambda at /srv/CaNaRy/x.cc:1:2)>",
        b"/srv/CaNaRy/x.cc",
        b"./malloc/malloc.c",
        b"\xffCaNaRy",
    ];
    let texts = TextDefs { first: 3, texts: texts.map(<[u8]>::to_vec).to_vec() };
    writer.write_texts(4, &texts).unwrap();
    let call = |start_ns, texts| Call { start_ns, texts, ..Call::default() };
    // The path of a call may be the name of a function, too.
    let mut calls = [call(5, [Some(3), Some(4)]), call(6, [Some(5), Some(9)])];
    writer.write_calls(&mut calls).unwrap();
    let name = |module, offset, name, file| Name {
        module,
        offset,
        name: Some(name),
        file: Some(file),
        ..Name::default()
    };
    writer.write_names(7, &[name(0, 1, 5, 7), name(0, 2, 6, 99), name(1, 3, 5, 8)]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.rz");
    std::fs::write(&path, writer.finish().unwrap()).unwrap();

    let (bytes, _) = redacted(&path, &RedactOptions::default());
    let mut reader = Reader::new(Cursor::new(bytes)).unwrap();
    let (mut texts, mut names, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(block) = reader.next_block().unwrap() {
        match block {
            Block::Texts(defs) => {
                assert_eq!(defs.first as usize, texts.len() + 3);
                texts.extend(defs.texts);
            }
            Block::Names(rows) => names.extend(rows),
            Block::Calls(rows) => calls.extend(rows),
            _ => {}
        }
    }
    let text = |id: Option<u32>| {
        String::from_utf8_lossy(&texts[id.unwrap() as usize - 3]).replace('\0', ".")
    };
    let of_calls: Vec<String> = calls.iter().flat_map(|c| c.texts).map(text).collect();
    assert_eq!(of_calls, ["/srv/dir1/file2", "\u{2}..P\u{fffd}..\u{1}........", "file3", "file4"]);
    let of_names: Vec<String> = names.iter().map(|n| text(n.name)).collect();
    assert_eq!(of_names, ["walk", "f<(lambda at /srv/dir1/file2.cc:1:2)>", "walk"]);
    assert_eq!(text(names[0].file), "/srv/dir1/file2.cc");
    assert_eq!(names[1].file, None);
    assert_eq!(text(names[2].file), "./malloc/malloc.c");
    assert!(!texts.iter().any(|text| String::from_utf8_lossy(text).contains(CANARY)));
}

#[test]
fn code_of_runtimes_keeps_its_names_and_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.rz");
    std::fs::write(&path, with_runtimes("/home/CaNaRy/job.py").finish()).unwrap();
    let before = load(&path, &LoadOptions::default()).unwrap();
    let (bytes, _) = redacted(&path, &RedactOptions::default());
    let after = load_bytes(&bytes);
    assert_eq!(after.locations, before.locations);
    let shown = |name: &str| {
        let function = after.functions.iter().find(|function| function.name == name).unwrap();
        (function.file.as_str(), function.first_line)
    };
    assert_eq!(shown("Job.crunch"), ("/home/user1/file1.py", 11));
    assert_eq!(shown("add"), ("/srv/dir2/file2.js", 5));
}
