//! Runs the `conv` binary: what it writes, what it says, how it exits.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rz_format::{
    End, Event, FileHeader, HEADER_LEN, MAJOR, MINOR, Process, Record, Thread, TraceWriter, Wait,
    WaitState,
};
use rz_profile::foreign::InputFormat;
use tempfile::TempDir;

/// A directory with the golden vectors in it: that of format 1.0, called
/// `small.rz`, that of format 1.1, called `waits.rz`, and that of 1.2, called
/// `heap.rz`.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("small.rz"), vector()).unwrap();
    fs::write(directory.path().join("waits.rz"), vector_of("v1.1")).unwrap();
    fs::write(directory.path().join("heap.rz"), vector_of("v1.2")).unwrap();
    directory
}

fn vector() -> Vec<u8> {
    vector_of("v1.0")
}

fn vector_of(version: &str) -> Vec<u8> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    fs::read(vectors.join(version).join("small.rz")).unwrap()
}

fn conv(directory: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conv"));
    command.current_dir(directory).args(arguments.split_whitespace());
    command.output().expect("conv runs")
}

/// Standard error of a run that exits with `code`.
#[track_caller]
fn errors(directory: &Path, arguments: &str, code: i32) -> String {
    let output = conv(directory, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
    stderr
}

const FOLDED: &str = "\
app 75
app;[app+0x401040];[app+0x401200];[libc.so.6+0x45000] 75
app;[app+0x401040];[app+0x401200];do_syscall_64_[k] 75
app;[truncated];[app+0x401300] 75
";

const NOTES: &str = "\
conv: note: a note
conv: note: /srv/app: not found on this machine
conv: note: /lib/libc.so.6: not found on this machine
";

#[test]
fn to_standard_output() {
    let directory = directory();
    let output = conv(directory.path(), "small.rz --to folded -o -");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), FOLDED);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), NOTES);
    assert_eq!(output.status.code(), Some(0));
    let quiet = conv(directory.path(), "small.rz --to folded --quiet");
    assert_eq!((quiet.stdout, quiet.stderr), (FOLDED.into(), Vec::new()));
}

#[test]
fn to_a_file_of_each_format() {
    let directory = directory();
    for (name, starts_with) in [
        ("out.folded", &b"app 75\n"[..]),
        ("out.speedscope.json", b"{\""),
        ("out.pb.gz", &[0x1f, 0x8b]),
    ] {
        let said = errors(directory.path(), &format!("small.rz -o {name}"), 0);
        assert!(said.starts_with(&format!("{NOTES}conv: wrote {name} (")), "{said}");
        let content = fs::read(directory.path().join(name)).unwrap();
        assert!(content.starts_with(starts_with), "{name}");
    }
    // Traces are for their owner, unless they are made for others.
    conv(directory.path(), "small.rz --to rz --embed -o full.rz");
    conv(directory.path(), "small.rz --to rz --redact -o safe.rz");
    let mode = |name| fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("full.rz") & 0o777, 0o600);
    assert_eq!(mode("safe.rz"), mode("out.folded"));
    assert_ne!(mode("safe.rz"), mode("full.rz"), "this test needs a usual umask");
    let json = fs::read(directory.path().join("out.speedscope.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["profiles"].as_array().map(Vec::len), Some(3));
    assert_eq!(fs::read(directory.path().join("small.rz")).unwrap(), vector());
}

#[test]
fn an_event_is_chosen_by_name() {
    let directory = directory();
    let check = |event: &str, expected: &str| {
        let arguments = format!("waits.rz --to folded -q {event}");
        let output = conv(directory.path(), &arguments);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{event}");
        assert_eq!(output.status.code(), Some(0), "{event}");
    };
    let below = |leaf| format!("app;[app+0x401040];[app+0x401200];[libc.so.6+0x45000]{leaf}\n");
    check("", FOLDED);
    check("--event cpu", FOLDED);
    check("--event cpu-clock", FOLDED);
    let waits = below(";[off-CPU: futex] 7000") + &below(";[off-CPU: preempted] 1000");
    check("--event off-cpu", &waits);
    check("--event syscalls", &below(";[syscall: openat] 1000"));
    let wall = format!(
        "app 750000\n{}{waits}{}{}",
        below(" 750000"),
        "app;[app+0x401040];[app+0x401200];do_syscall_64_[k] 750000\n",
        "app;[truncated];[app+0x401300] 750000\n"
    );
    check("--event wall", &wall);
}

#[test]
fn allocations_have_metrics() {
    let directory = directory();
    let stack = "app;[app+0x401040];[app+0x401200];[libc.so.6+0x45000]";
    for (arguments, expected) in [
        ("--event alloc", "575876"),
        ("--event alloc --metric bytes", "575876"),
        ("--metric count", "6"),
        ("--metric peak", "575876"),
        ("--metric live", ""),
    ] {
        let output = conv(directory.path(), &format!("heap.rz -q --to folded -o - {arguments}"));
        let lines = String::from_utf8(output.stdout).unwrap();
        let expected = match expected {
            "" => String::new(),
            number => format!("{stack} {number}\n"),
        };
        assert_eq!(lines, expected, "{arguments}");
    }
    let error = errors(directory.path(), "heap.rz --to pprof --metric live", 2);
    assert!(error.contains("-sample_index"), "{error}");
    let error = errors(directory.path(), "small.rz --to folded --metric live", 1);
    let expected = "conv: small.rz: no event \"alloc\" in the trace; it has cpu-clock: record \
                    with rec --alloc\n";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn waits_are_not_written_in_place_of_cpu_samples() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = TraceWriter::new(Vec::new(), &FileHeader::new([1; 16], 1, 1)).unwrap();
    let records = [
        Record::Event(Event { name: "cpu-clock".into(), ..Event::default() }),
        Record::Process(Process { name: "app".into(), ..Process::default() }),
        Record::Thread(Thread::default()),
        Record::End(End { time_ns: 10_000, reason: 0 }),
    ];
    writer.write_records(1, &records).unwrap();
    let wait = Wait {
        state: WaitState::Blocked,
        end_ns: 9_000,
        duration_ns: 5_000,
        weight: 5_000,
        ..Wait::default()
    };
    writer.write_waits(&mut [wait]).unwrap();
    fs::write(directory.path().join("idle.rz"), writer.finish().unwrap()).unwrap();
    let check = |arguments: &str, expected: &str, note: &str| {
        let output = conv(directory.path(), &format!("idle.rz {arguments}"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{arguments}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), note, "{arguments}");
        assert_eq!(output.status.code(), Some(0), "{arguments}");
    };
    let note = "conv: note: there are no samples of cpu; choose with --event: off-cpu\n";
    check("--to folded", "", note);
    check("--to folded -q", "", "");
    check("--to folded --event off-cpu", "app;[off-CPU: page fault] 5\n", "");
    let json = conv(directory.path(), "idle.rz --to speedscope").stdout;
    let json = String::from_utf8(json).unwrap();
    assert!(!json.contains("5000"), "{json}");
}

#[test]
fn an_unknown_event_is_told_the_known_ones() {
    let directory = directory();
    let check = |arguments: &str, expected: &str| {
        let said = errors(directory.path(), &format!("{arguments} -o x.folded"), 1);
        assert_eq!(said.lines().last(), Some(expected));
        assert!(!directory.path().join("x.folded").exists());
    };
    check(
        "waits.rz -q --event cycles",
        "conv: waits.rz: no event \"cycles\" in the trace; it has cpu-clock, off-cpu, syscalls, \
         wall",
    );
    for (event, option) in
        [("off-cpu", "--off-cpu"), ("syscalls", "--syscalls"), ("wall", "--off-cpu")]
    {
        let expected = format!(
            "conv: small.rz: no event \"{event}\" in the trace; it has cpu-clock: record with rec \
             {option}"
        );
        check(&format!("small.rz -q --event {event}"), &expected);
    }
}

#[test]
fn unknown_formats_are_told_the_known_ones() {
    let directory = directory();
    for arguments in ["small.rz --to svg", "small.rz -o x.svg", "small.rz"] {
        let said = errors(directory.path(), arguments, 2);
        for name in
            ["folded", "speedscope", if arguments.ends_with("x.svg") { "pb.gz" } else { "pprof" }]
        {
            assert!(said.contains(name), "{arguments}: {said}");
        }
    }
}

/// What is said of a file that is no good trace.
#[track_caller]
fn check_failure(content: Option<&[u8]>, expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    if let Some(content) = content {
        fs::write(directory.path().join("t.rz"), content).unwrap();
    }
    let said = errors(directory.path(), "t.rz -o out.folded", 1);
    assert_eq!(said, format!("conv: t.rz: {expected}\n"));
    assert!(!directory.path().join("out.folded").exists());
}

#[test]
fn failures_are_one_line_and_leave_nothing_behind() {
    check_failure(None, "No such file or directory (os error 2)");
    check_failure(Some(b""), "not an rz trace: only 0 bytes long");
    check_failure(
        Some(&[b'#'; 200]),
        &format!(
            "not an rz trace, nor of a format that one can be made of, such as perf.data, pprof or \
             folded stacks: conv --formats lists all {}",
            InputFormat::ALL.len()
        ),
    );
    let mut newer = vector();
    newer[8] = 2;
    let newer_than_this = format!(
        "the trace has format 2.0, readable from 2.0 on; this program reads up to \
         {MAJOR}.{MINOR}: use a newer rz"
    );
    check_failure(Some(&newer), &newer_than_this);
}

#[test]
fn a_truncated_trace_is_converted_with_a_note() {
    let directory = directory();
    let vector = vector();
    let path: PathBuf = directory.path().join("cut.rz");
    fs::write(&path, &vector[..vector.len() - 200]).unwrap();
    let output = conv(directory.path(), "cut.rz --to folded");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("conv: note: the file is cut off: its last block, at offset "),
        "{said}"
    );
    assert!(output.stdout.starts_with(b"app"));
}

#[test]
fn an_unusable_output_directory_is_named_as_it_was_given() {
    let directory = directory();
    let check = |file: &str, cause: &str| {
        let said = errors(directory.path(), &format!("small.rz -q -o {file}"), 1);
        assert_eq!(said, format!("conv: {file}: cannot write the output: {cause}\n"));
    };
    check("no/such/out.folded", "there is no directory no/such");
    check("small.rz/out.folded", "directory small.rz: not a directory");
}

/// The vector of format 1.2 as traces of two ids, and what merges them.
fn two_traces() -> TempDir {
    let directory = directory();
    for (name, id) in [("a.rz", 1), ("b.rz", 2)] {
        let mut bytes = vector_of("v1.2");
        let header = FileHeader { trace_id: [id; 16], ..FileHeader::from_bytes(&bytes).unwrap() };
        bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

#[test]
fn traces_are_merged() {
    let directory = two_traces();
    let said = errors(directory.path(), "b.rz a.rz -o all.rz", 0);
    assert!(said.starts_with("conv: wrote all.rz (2 recordings, "), "{said}");
    assert_eq!(errors(directory.path(), "a.rz b.rz --to rz -o - --quiet", 0), "");
    let piped = conv(directory.path(), "a.rz b.rz --to rz -o -").stdout;
    assert_eq!(piped, fs::read(directory.path().join("all.rz")).unwrap());

    let folded = conv(directory.path(), "all.rz --to folded -o - --quiet").stdout;
    let expected: String = ["a", "b"]
        .into_iter()
        .flat_map(|label| FOLDED.lines().map(move |line| format!("{label};{line}\n")))
        .collect();
    assert_eq!(String::from_utf8(folded).unwrap(), expected);
    let speedscope = conv(directory.path(), "all.rz --to speedscope -o - --quiet").stdout;
    let speedscope = String::from_utf8(speedscope).unwrap();
    assert!(speedscope.contains("\"a: app (4242/4242)\""), "{speedscope}");
    assert!(speedscope.contains("\"b: worker-1 (4242/4243)\""), "{speedscope}");
    let pprof = conv(directory.path(), "all.rz --to pprof -o - --quiet").stdout;
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(pprof.as_slice()).read_to_end(&mut text).unwrap();
    for string in
        [&b"\x32\x06source"[..], b"\x32\x04host", b"\x32\x01a", b"\x32\x01b", b"\x32\x03box"]
    {
        assert!(text.windows(string.len()).any(|window| window == string), "{string:?}");
    }
}

#[test]
fn what_cannot_be_merged_leaves_nothing_behind() {
    let directory = two_traces();
    let path = directory.path();
    let mut cut = fs::read(path.join("a.rz")).unwrap();
    cut.truncate(cut.len() - 100);
    fs::write(path.join("cut.rz"), &cut).unwrap();
    for (arguments, expected) in [
        ("a.rz a.rz", "a.rz and a.rz have the same recording in them, a"),
        ("a.rz missing.rz", "missing.rz: No such file or directory (os error 2)"),
        ("b.rz cut.rz", "with --keep-going it is taken as far as it is whole"),
        ("a.rz .", ".: not a regular file"),
    ] {
        let said = errors(path, &format!("{arguments} --to rz -o out"), 1);
        assert!(said.contains(expected) && said.lines().count() == 1, "{said}");
    }
    let said = errors(path, "a.rz b.rz --to rz -o a.rz", 1);
    assert_eq!(said, "conv: a.rz is one of the traces; name another file with -o\n");
    assert!(!path.join("out").exists());
    assert_eq!(fs::read_dir(path).unwrap().count(), 6);

    let said = errors(path, "b.rz cut.rz missing.rz --to rz -o out --keep-going --quiet", 0);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("conv: missing.rz: No such file"), "{said}");
    assert!(lines[1].starts_with("conv: cut.rz: the file is cut off"), "{said}");
}
