//! Starting a program to record it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use rz_format::Record;
use rz_tests::{CallTree, Recorder, Trace, program_path, rec, temp_dir, text, wait_until};

/// Runs `rec` on a shell script, and returns how `rec` ended.
#[track_caller]
fn status_of(script: &str) -> Trace {
    Recorder::spawn(&["-q", "--", "sh", "-c", script]).finish()
}

#[test]
fn passes_the_exit_status_on() {
    for (script, code) in
        [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9)]
    {
        let trace = status_of(script);
        assert_eq!(trace.output.status.code(), Some(code), "{}", trace.output);
        // A short recording is a whole one.
        let (records, damage) = trace.records();
        assert_eq!(damage, [], "{script}");
        assert!(records.iter().any(|record| matches!(record, Record::End(_))), "{script}");
    }
}

#[test]
fn passes_output_on() {
    let trace = Recorder::spawn(&["-q", "--", "echo", "hello there"]).finish();
    assert_eq!(trace.output.stdout, "hello there\n");
    assert_eq!(trace.output.stderr, "");
}

#[test]
fn a_program_that_cannot_be_run() {
    let dir = temp_dir();
    let data = dir.path().join("data");
    fs::write(&data, "no program").unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o644)).unwrap();
    let trace = dir.path().join("trace.rz");
    for (program, code) in
        [("/no/such/program", 127), ("no-such-command", 127), (text(&data), 126), ("/", 126)]
    {
        let output = rec(&["-o", text(&trace), "--", program]).code(code);
        assert!(output.stderr.contains(&format!("cannot run {program}: ")), "{output}");
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 1, "{program}: no file is left");
    }
}

#[test]
fn begins_with_the_program() {
    let program = program_path("split");
    let trace = Trace::record(&["-q", "--", text(&program), "1.5"]);
    let folded = trace.folded(&[]);
    let tree = "main > run\n run > hot warm cold now_ns next_choice\n hot warm cold > work";
    CallTree::parse(tree).check(&folded, str::to_owned).assert_complete();
    assert!(folded.share("split;_start;") > 0.99, "{}", folded.head(9));
    folded.assert_share(";main;run;hot", 0.7, 0.15);
    // Nothing of the recorder, which the process was before.
    let (records, _) = trace.records();
    for record in &records {
        match record {
            Record::Module(module) => assert!(!module.path.ends_with("/rec"), "{module:?}"),
            Record::Process(process) => assert!(!process.exe.ends_with("/rec"), "{process:?}"),
            _ => {}
        }
    }
    let profile = trace.profile();
    assert_eq!(profile.processes.last().unwrap().exe, text(&program));
    assert_eq!(profile.processes.last().unwrap().name, "split");
}

#[test]
fn follows_children() {
    let program = program_path("forker");
    let folded = Trace::record(&["-q", "--", text(&program), "2"]).folded(&[]);
    super::attach::check_forker(&folded);
}

#[test]
fn leaves_children_alone_when_told_to() {
    let program = program_path("forker");
    let folded = Trace::record(&["-q", "--no-follow", "--", text(&program), "1.5"]).folded(&[]);
    assert!(folded.share(";main;fork_loop;parent_burn") > 0.5, "{}", folded.head(9));
    assert_eq!(folded.count("child"), 0, "{}", folded.head(9));
}

/// What a program is given may be secret, and a trace may go to others.
#[test]
fn leaves_arguments_out() {
    let canary = "canary-7d1f";
    let program = program_path("split");
    let output = Recorder::spawn(&["-q", "--", text(&program), "0.5", canary]).finish();
    assert!(output.output.status.success(), "{}", output.output);
    let (records, damage) = output.records();
    assert_eq!(damage, []);
    let shown = format!("{records:?}");
    assert!(!shown.contains(canary), "{shown}");
    // The search would find what is there: the program's own name is.
    assert!(shown.contains("argv0: \"") && shown.contains("/split"), "{shown}");
    let profile = format!("{:?}", output.profile());
    assert!(!profile.contains(canary), "{profile}");
}

/// Ctrl-C goes to both; the program decides what it means, and `rec` waits.
#[test]
fn lets_the_program_end_in_its_own_way() {
    let script = "trap 'exit 7' TERM; echo trapped; while :; do :; done";
    let recorder = Recorder::start(&["-q", "--", "sh", "-c", script]);
    let stdout = recorder.path().with_file_name("stdout");
    wait_until("the trap", || fs::read_to_string(&stdout).unwrap().contains("trapped"));
    recorder.signal(Signal::SIGTERM);
    let trace = recorder.finish();
    assert_eq!(trace.output.status.code(), Some(7), "{}", trace.output);
    assert_eq!(trace.records().1, []);
}
