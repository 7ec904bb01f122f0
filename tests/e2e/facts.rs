//! What is known of processes besides their samples, and what of it is secret.

use std::fs;
use std::process::Command;

use rz_format::{NO_LIMIT, OpenFile, Process, ProcessFacts, Record};
use rz_tests::{
    Contents, PlainUser, Target, Trace, binary, program_path, run, temp_dir, text, tool,
};

/// Stands for what nobody else is to know.
const CANARY: &str = "canary-7f3a";

/// A shell with a secret argument and a secret in its environment, which runs
/// until it is dropped.
fn shell() -> Command {
    let mut command = Command::new("/bin/sh");
    let script = "ulimit -S -n 123; echo ready; while :; do :; done";
    command.args(["-c", script, "shell", &format!("--token={CANARY}")]);
    command.env("RZ_SECRET", CANARY).env("RZ_PLAIN", "1");
    command
}

fn facts_of(contents: &Contents, pid: u32) -> ProcessFacts {
    facts_where(contents, |process| process.pid == pid)
}

fn facts_where(contents: &Contents, is_it: impl Fn(&Process) -> bool) -> ProcessFacts {
    let processes = contents.processes();
    let process = processes.values().find(|process| is_it(process));
    let id = process.unwrap_or_else(|| panic!("{:?}", contents.records)).id;
    let facts = contents.records.iter().find_map(|record| match record {
        Record::ProcessFacts(facts) if facts.process == id => Some(facts.clone()),
        _ => None,
    });
    facts.unwrap_or_else(|| panic!("{:?}", contents.records))
}

/// Panics if the secret is anywhere in a trace.
#[track_caller]
fn assert_no_secret(contents: &Contents) {
    let all = format!("{contents:?}");
    assert!(!all.contains(CANARY), "{}", &all[..all.len().min(2000)]);
    let texts = contents.texts.iter().map(|text| String::from_utf8_lossy(text));
    texts.for_each(|text| assert!(!text.contains(CANARY), "{text}"));
}

#[test]
fn secrets_of_running_processes_are_recorded_on_request_only() {
    let target = Target::spawn(&mut shell());
    for tier in ["bpf", "perf"] {
        let contents = Trace::of(target.pid(), "0.2", &["-q", "--tier", tier]).contents();
        assert_no_secret(&contents);
        let facts = facts_of(&contents, target.pid());
        assert!(facts.environment.iter().any(|name| name == "RZ_SECRET"), "{facts:?}");
    }
    let all = Trace::record(&["-q", "-a", "-d", "0.2"]).contents();
    assert_no_secret(&all);
    let facts = facts_of(&all, target.pid());
    assert!(facts.environment.iter().any(|name| name == "RZ_SECRET"), "{facts:?}");

    let asked = Trace::of(target.pid(), "0.2", &["-q", "--args", "--env"]).contents();
    let facts = facts_of(&asked, target.pid());
    assert_eq!(facts.args.last(), Some(&format!("--token={CANARY}")));
    let at = facts.environment.iter().position(|name| name == "RZ_SECRET").unwrap();
    assert_eq!(facts.values[at], CANARY);
    assert_eq!(facts.values.len(), facts.environment.len());
}

/// The program that `rec` starts, and one that it starts.
#[test]
fn secrets_of_started_programs_are_recorded_on_request_only() {
    let dir = temp_dir();
    let record = |name: &str, options: &[&str]| {
        let trace = dir.path().join(name);
        let mut command = Command::new(binary("rec"));
        command.args(["-q", "-o", text(&trace)]).args(options);
        command.args(["--", "/bin/sh", "-c", "RZ_INNER=1 sleep 1; :", "sh", CANARY]);
        run(command.env("RZ_SECRET", CANARY)).success();
        Contents::read(&trace)
    };
    let contents = record("plain.rz", &[]);
    assert_no_secret(&contents);
    let named = |contents: &Contents, argv0: &str| facts_where(contents, |p| p.argv0 == argv0);
    let has = |facts: &ProcessFacts, name: &str| facts.environment.iter().any(|n| n == name);
    let (outer, inner) = (named(&contents, "/bin/sh"), named(&contents, "sleep"));
    assert!(has(&outer, "RZ_SECRET") && !has(&outer, "RZ_INNER"), "{outer:?}");
    assert!(has(&inner, "RZ_SECRET") && has(&inner, "RZ_INNER"), "{inner:?}");

    let contents = record("asked.rz", &["--args", "--env"]);
    let (outer, inner) = (named(&contents, "/bin/sh"), named(&contents, "sleep"));
    assert_eq!(outer.args.last().map(String::as_str), Some(CANARY));
    assert_eq!(inner.args, ["sleep", "1"]);
    assert!(inner.values.iter().any(|value| value == CANARY), "{inner:?}");
}

#[test]
fn facts_are_those_of_the_system() {
    let dir = temp_dir();
    let target = Target::spawn(shell().current_dir(dir.path()));
    let pid = target.pid();
    let contents = Trace::of(pid, "0.2", &["-q"]).contents();
    let facts = facts_of(&contents, pid);
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    assert!(read("status").contains(&format!("\nUid:\t{0}\t{0}\t", facts.uid)), "{facts:?}");
    assert!(read("status").contains(&format!("\nGid:\t{0}\t{0}\t", facts.gid)), "{facts:?}");
    let is_group = |line: &str| line.ends_with(&format!(":{}", facts.cgroup));
    assert!(read("cgroup").lines().any(is_group), "{facts:?}");
    let limit = facts.limits.iter().find(|limit| limit.name == "Max open files").unwrap();
    assert_eq!((limit.soft, limit.unit.as_str()), (123, "files"));
    assert!(facts.limits.iter().any(|limit| limit.soft == NO_LIMIT), "{facts:?}");

    let directory = contents.records.iter().find_map(|record| match record {
        Record::WorkingDirectory(directory) => Some(directory.path.as_str()),
        _ => None,
    });
    assert_eq!(directory, Some(text(&dir.path().canonicalize().unwrap())));
    let files: Vec<&OpenFile> = contents.records.iter().filter_map(open_file).collect();
    let open = |fd: u32| files.iter().find(|file| file.fd == fd).map(|file| file.target.as_str());
    assert_eq!(open(0), Some("/dev/null"));
    assert!(open(1).is_some_and(|target| target.starts_with("pipe:[")), "{files:?}");
}

fn open_file(record: &Record) -> Option<&OpenFile> {
    match record {
        Record::OpenFile(file) => Some(file),
        _ => None,
    }
}

/// Of a program that is gone before anything could be read, what it was started
/// with is known all the same.
#[test]
fn facts_of_a_program_that_ends_at_once() {
    let trace = Trace::record(&["-q", "--args", "--", "/bin/true", CANARY]);
    let facts = facts_where(&trace.contents(), |process| process.argv0 == "/bin/true");
    assert_eq!(facts.args, ["/bin/true", CANARY]);
    assert!(facts.environment.iter().any(|name| name == "PATH"), "{facts:?}");
    let trace = Trace::record(&["-q", "--", "/bin/true", CANARY]);
    assert_no_secret(&trace.contents());
}

/// Neither a large environment nor many open files fill the trace.
#[test]
fn facts_are_bounded() {
    let program = program_path("split");
    let large = "x".repeat(100_000);
    let mut command = Command::new(&program);
    command.env_clear().env("A_FIRST", "1").env("B_LARGE", &large).env("C_LAST", "1");
    let target = Target::spawn(&mut command);
    let contents = Trace::of(target.pid(), "0.2", &["-q", "--env"]).contents();
    assert_eq!(facts_of(&contents, target.pid()).environment, ["A_FIRST"]);

    let script = "import os\nfor _ in range(2000): os.open('/dev/null', 0)\n\
                  print('ready', flush=True)\nwhile True: pass";
    let target = Target::spawn(Command::new(tool("python3")).args(["-c", script]));
    let contents = Trace::of(target.pid(), "0.2", &["-q"]).contents();
    assert_eq!(contents.records.iter().filter_map(open_file).count(), 1024);
}

/// What belongs to others is left out, and is no reason to fail.
#[test]
fn a_plain_user_sees_own_facts() {
    let user = PlainUser::new();
    let target = Target::spawn(&mut user.program("split"));
    let pid = target.pid_text();
    run(user.binary("rec").args(["-q", "-d", "0.2", "-p", &pid, "-o", "t.rz"])).success();
    let contents = Contents::read(&user.home().join("t.rz"));
    let facts = facts_of(&contents, target.pid());
    assert!(facts.uid > 0 && !facts.limits.is_empty(), "{facts:?}");
}
