//! Where `conv` takes names from, and where it keeps them.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use object::{Object, ObjectSegment, ObjectSymbol};
use rz_format::{
    End, Event, FileHeader, Frame, Module, Process, Record, Sample, StackDefs, StackNode, Thread,
    TraceWriter,
};
use tempfile::TempDir;

/// A directory with a trace, `t.rz`, of one sample in the function `main` of
/// a C program, `app`.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("app.c"), directory.path().join("app"));
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-g", "-Wl,--build-id", "-o"]).arg(&program).arg(source);
    assert!(compiler.status().expect("this test needs cc").success());
    fs::write(directory.path().join("t.rz"), trace(&program)).unwrap();
    directory
}

fn trace(program: &Path) -> Vec<u8> {
    let content = fs::read(program).unwrap();
    let file = object::File::parse(&*content).unwrap();
    let main = file.symbols().find(|symbol| symbol.name() == Ok("main")).unwrap().address();
    let offset = file.segments().find_map(|segment| {
        let distance = main.checked_sub(segment.address())?;
        let (start, size) = segment.file_range();
        (distance < size).then_some(start + distance)
    });
    let module = Module {
        path: program.to_str().unwrap().to_owned(),
        build_id: file.build_id().unwrap().unwrap().to_owned(),
        ..Module::default()
    };
    let mut writer = TraceWriter::new(Vec::new(), &FileHeader::new([1; 16], 1, 1)).unwrap();
    let records = [
        Record::Event(Event { name: "cpu-clock".into(), ..Event::default() }),
        Record::Process(Process { name: "app".into(), ..Process::default() }),
        Record::Thread(Thread::default()),
        Record::Module(module),
        Record::End(End { time_ns: 10_000, reason: 0 }),
    ];
    writer.write_records(1, &records).unwrap();
    let frame = Frame::Code { module: 0, offset: offset.unwrap() };
    let stacks = StackDefs {
        first_frame: 0,
        frames: vec![frame],
        first_stack: 0,
        stacks: vec![StackNode { parent: None, frame: 0 }],
    };
    writer.write_stacks(1, &stacks).unwrap();
    let sample = Sample { time_ns: 5, stack: Some(0), weight: 7, ..Sample::default() };
    writer.write_samples(&mut [sample]).unwrap();
    writer.finish().unwrap()
}

/// Runs `conv t.rz --to folded` with variables of the environment, and no
/// others that matter.
fn conv(directory: &Path, arguments: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conv"));
    for name in ["RZ_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "DEBUGINFOD_URLS", "DEBUGINFOD_TIMEOUT"]
    {
        command.env_remove(name);
    }
    command.current_dir(directory).args(["t.rz", "--to", "folded", "-o", "-"]);
    command.args(arguments.split_whitespace()).envs(environment.iter().copied());
    command.output().expect("conv runs")
}

/// Runs it successfully; what it says on standard error.
#[track_caller]
fn said(directory: &Path, arguments: &str, environment: &[(&str, &str)]) -> String {
    let output = conv(directory, arguments, environment);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "app;main 1\n");
    errors
}

/// How many modules have names that are kept in a directory.
fn kept(place: PathBuf) -> Option<usize> {
    Some(fs::read_dir(place.join("names")).ok()?.count())
}

#[test]
fn names_are_kept_where_the_environment_says() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let (home, cache, own) = (text("home"), text("cache"), text("own"));
    let (home, cache, own) = (
        ("HOME", home.as_str()),
        ("XDG_CACHE_HOME", cache.as_str()),
        ("RZ_CACHE_DIR", own.as_str()),
    );
    for (environment, arguments, place) in [
        (&[home][..], "", Some("home/.cache/rz")),
        (&[home, ("XDG_CACHE_HOME", "relative")], "", Some("home/.cache/rz")),
        (&[home, cache], "", Some("cache/rz")),
        (&[home, cache, own], "", Some("own")),
        (&[home, cache, own], "--no-cache", None),
        (&[home, cache, ("RZ_CACHE_DIR", "")], "", None),
        (&[], "", None),
        (&[("HOME", "")], "", None),
    ] {
        assert_eq!(said(directory.path(), arguments, environment), "", "{environment:?}");
        for other in ["home/.cache/rz", "cache/rz", "own", "relative/rz", ".cache/rz"] {
            let expected = (place == Some(other)).then_some(1);
            assert_eq!(kept(path(other)), expected, "{other} of {environment:?} {arguments}");
        }
        for folder in ["home", "cache", "own"] {
            let _ = fs::remove_dir_all(path(folder));
        }
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_told_to_those_who_ask() {
    let directory = directory();
    for variable in ["HOME", "RZ_CACHE_DIR"] {
        let environment = [(variable, "/proc/none")];
        assert_eq!(said(directory.path(), "", &environment), "");
        let expected = "conv: note: names cannot be kept in /proc/none";
        let told = said(directory.path(), "-v", &environment);
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn servers_must_be_named() {
    let directory = directory();
    let check = |arguments: &str, environment: &[(&str, &str)], expected: &str| {
        let output = conv(directory.path(), arguments, environment);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {errors}");
        assert!(errors.contains(expected), "{errors}");
    };
    check("--debuginfod", &[], "--debuginfod: which server? Name it with --debuginfod=URL or in");
    check("--debuginfod", &[("DEBUGINFOD_URLS", " ")], "--debuginfod: which server?");
    let expected = "--debuginfod: 'ftp://a' is not the URL of a server (https://…)";
    check("--debuginfod=ftp://a", &[], expected);
    check("--debuginfod", &[("DEBUGINFOD_URLS", "http://a ftp://a")], expected);
    // What is here is not asked for, so that it does not matter who is named.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    std::thread::spawn(move || mute.incoming().for_each(drop));
    let nobody = [("DEBUGINFOD_URLS", &*url)];
    assert_eq!(said(directory.path(), "--debuginfod", &nobody), "");
    fs::remove_file(directory.path().join("app")).unwrap();
    let output = conv(directory.path(), "--debuginfod", &nobody);
    let errors = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!((output.status.code(), lines.len()), (Some(0), 2), "{errors}");
    assert!(lines[0].starts_with(&format!("conv: note: debuginfod server {url}: ")), "{errors}");
    assert!(lines[1].ends_with("/app: not found on this machine"), "{errors}");
}
