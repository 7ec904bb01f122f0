//! Traces that go through pipes instead of files.

use std::fs::{self, File};
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rz_format::{EndReason, LossClass, Record};
use rz_tests::{
    Contents, Folded, Output, RamDisk, Target, binary, names_in, program, quoted, run,
    run_in_terminal, temp_dir, text, tool, wait_until,
};
use tempfile::TempDir;

/// A line of shell for `dir`, in which `rec`, `conv` and `report` are ours, and
/// temporary files go to `tmp`.
fn in_dir(dir: &TempDir, line: &str) -> String {
    let function = |name| format!("{name}() {{ {} \"$@\"; }}; ", super::tool(name));
    let functions = ["rec", "conv", "report"].map(function).concat();
    let path = quoted(text(dir.path()));
    format!("cd {path}; mkdir -p tmp; export TMPDIR={path}/tmp; {functions}{line}")
}

/// Runs a line of shell in `dir`, which any part of a pipeline can fail.
fn shell(dir: &TempDir, line: &str) -> Output {
    run(Command::new("bash").args(["-o", "pipefail", "-c", &in_dir(dir, line)]))
}

#[test]
fn a_piped_trace_is_shown_as_a_file_is() {
    let dir = temp_dir();
    // What is piped in is called as this is.
    fs::copy(super::recorded(&dir), dir.path().join("stdin")).unwrap();
    for options in ["", "--tree", "--info", "--svg -", "--source hot"] {
        let shown = shell(&dir, &format!("report stdin {options}")).success().stdout;
        assert!(shown.contains("split"), "{shown}");
        for line in ["cat t.rz | report -", "cat t.rz | report /dev/stdin", "report - <t.rz"] {
            let output = shell(&dir, &format!("{line} {options}")).success();
            assert_eq!(output.stdout, shown, "{output}");
        }
    }
    // There is nothing to put it beside.
    let drawn = shell(&dir, "cat t.rz | report - --svg").success().stdout;
    assert_eq!(drawn, shell(&dir, "cat t.rz | report - --svg -").success().stdout);
    // Somebody has read the beginning.
    let rest = "{ head -c 3 >/dev/null; report -; } <prefixed";
    let rest = shell(&dir, &format!("{{ printf abc; cat t.rz; }} >prefixed; {rest}")).success();
    assert!(rest.stdout.starts_with("stdin: split"), "{rest}");
    assert!(names_in(&dir.path().join("tmp")).is_empty());
    assert_eq!(names_in(dir.path()), ["prefixed", "stdin", "t.rz", "tmp"]);
}

#[test]
fn either_side_of_a_comparison_can_be_piped() {
    let dir = temp_dir();
    fs::copy(super::recorded(&dir), dir.path().join("stdin")).unwrap();
    for (files, piped) in [("stdin t.rz", "- t.rz"), ("t.rz stdin", "t.rz -")] {
        let expected = shell(&dir, &format!("report --diff {files}")).success().stdout;
        let found = shell(&dir, &format!("cat t.rz | report --diff {piped}")).success().stdout;
        assert_eq!(found, expected, "{piped}");
    }
    for line in ["report --diff - -", "conv - t.rz /dev/stdin --to rz -o x.rz"] {
        let output = shell(&dir, &format!("cat t.rz | {line}")).code(2);
        assert!(output.stderr.contains("there is one standard input only"), "{output}");
    }
}

#[test]
fn a_piped_trace_is_converted_as_a_file_is() {
    let dir = temp_dir();
    super::recorded(&dir);
    for options in [
        "--to folded",
        "--to folded --threads",
        "--to pprof",
        "--to speedscope",
        "--to rz -o - --label x",
        "--to rz -o - --redact",
        "--to rz -o - --embed",
    ] {
        shell(&dir, &format!("conv -q t.rz {options} >expected && test -s expected")).success();
        for line in ["cat t.rz | conv -q -", "conv -q - <t.rz"] {
            let compared = shell(&dir, &format!("{line} {options} | cmp - expected")).success();
            assert_eq!(compared.stderr, "", "{compared}");
        }
    }
    // Without a name there is no file to write to.
    let command = in_dir(&dir, "cat t.rz | conv - --to folded");
    assert!(run_in_terminal(&command).success().stdout.contains(";main;run;hot"));
    shell(&dir, "cat t.rz | conv - --to rz | report -").success();
    shell(&dir, "cat t.rz | conv - t2.rz --to rz -o all.rz").refused(1, &["t2.rz: No such file"]);
    shell(&dir, "cp t.rz u.rz; cat u.rz | conv - t.rz --to rz -o all.rz")
        .refused(1, &["/dev/stdin and t.rz have the same recording in them"]);
    shell(&dir, "conv - --to rz -o t.rz <t.rz").refused(1, &["t.rz is one of the traces"]);
    assert!(names_in(&dir.path().join("tmp")).is_empty());
}

#[test]
fn what_others_recorded_comes_through_pipes_too() {
    let dir = temp_dir();
    let target = quoted(&program("split-fp")[0]);
    let perf = quoted(text(&tool("perf")));
    let line =
        format!("{perf} record -q -F 499 -g -o - {target} 1 | tee perf.data | conv - -o p.rz");
    shell(&dir, &line).success();
    shell(&dir, "conv perf.data -o f.rz; conv p.rz --to folded -o x.folded").success();
    shell(&dir, "conv p.rz --to pprof -o x.pb.gz").success();
    let folded = |trace: &str| {
        let output = shell(&dir, &format!("conv -q {trace} --to folded")).success();
        Folded::parse(&output.stdout)
    };
    assert_eq!(folded("p.rz"), folded("f.rz"));
    folded("p.rz").assert_share(";hot", 0.7, 0.15);
    for (input, options) in
        [("x.folded", "--input-format folded"), ("x.folded", ""), ("x.pb.gz", "")]
    {
        let line = format!("cat {input} | conv - {options} --to rz -o again.rz");
        shell(&dir, &line).success();
        assert_eq!(folded("again.rz").total(), folded("p.rz").total(), "{line}");
    }
    let shown = shell(&dir, "cat perf.data | report -").success().stdout;
    assert!(shown.contains("perf.data tier"), "{shown}");
    assert!(names_in(&dir.path().join("tmp")).is_empty());
}

#[test]
fn nothing_usable_is_piped_in() {
    let dir = temp_dir();
    super::recorded(&dir);
    for reader in ["report -", "conv - --to folded", "conv - -o x.rz", "report --diff t.rz -"] {
        let check = |line: String, part: &str| shell(&dir, &line).refused(1, &[part]);
        check(format!(": | {reader}"), "nothing is piped in: the standard input is empty");
        check(format!("{reader} <&-"), "nothing is piped in: the standard input is empty");
        check(format!("echo hello | {reader}"), "/dev/stdin: ");
        check(format!("{reader} <."), "cannot read the standard input: Is a directory");
        check(format!("cat t.rz | TMPDIR=/no/such {reader}"), "piped in, in /no/such: ");
        let shown = run_in_terminal(&in_dir(&dir, reader)).code(1).stdout;
        let expected = "nothing is piped in: the standard input is a terminal";
        assert!(shown.contains(expected) && shown.lines().count() == 1, "{shown}");
    }
    for line in ["conv - --to pprof", "conv - --to rz", "conv - --to folded | conv - --to rz"] {
        let output = run_in_terminal(&in_dir(&dir, &format!("cat t.rz | {line}"))).code(1);
        assert!(output.stdout.contains("not for a terminal"), "{output}");
    }
    assert_eq!(names_in(dir.path()), ["t.rz", "tmp"]);
}

#[test]
fn there_is_no_room_for_what_is_piped_in() {
    let dir = temp_dir();
    super::recorded(&dir);
    let disk = RamDisk::new(64);
    disk.fill("other");
    let tmp = quoted(text(disk.path()));
    let parts = ["cannot keep what is piped in", text(disk.path()), "set TMPDIR"];
    shell(&dir, &format!("cat t.rz | TMPDIR={tmp} report -")).refused(1, &parts);
    // A file needs none.
    shell(&dir, &format!("TMPDIR={tmp} report - <t.rz")).success();
    assert_eq!(names_in(disk.path()), ["other"]);
}

#[test]
fn a_recording_goes_through_a_pipe() {
    let dir = temp_dir();
    let target = Target::start("split", &[]);
    let rec = format!("rec -d 1 -F 499 -p {} -o -", target.pid());
    let output = shell(&dir, &format!("{rec} | tee t.rz | report -")).success();
    assert!(output.stdout.starts_with("stdin: split (pid "), "{output}");
    // What it said is the summary.
    assert!(output.stderr.starts_with("/dev/stdout: ") && output.stderr.lines().count() == 1);
    let folded = shell(&dir, &format!("{rec} -q | conv - --to folded")).success();
    Folded::parse(&folded.stdout).assert_share(";hot", 0.7, 0.15);
    let contents = Contents::read(&dir.path().join("t.rz"));
    assert_eq!(contents.damage, []);
    assert!(contents.samples.len() > 100, "{}", contents.samples.len());

    // The size that it tells is that of what it wrote, behind what was there.
    let appended = shell(&dir, &format!("printf abc >a; {rec} >>a; stat -c %s a")).success();
    let size: u64 = appended.stdout.trim().parse().unwrap();
    let kib = format!("/dev/stdout: {:.1} KiB, ", (size - 3) as f64 / 1024.0);
    assert!(appended.stderr.starts_with(&kib), "{appended}");
    shell(&dir, "tail -c +4 a | report -").success();
    assert_eq!(names_in(dir.path()), ["a", "t.rz", "tmp"]);
}

#[test]
fn a_recording_that_nobody_reads() {
    let dir = temp_dir();
    let target = Target::start("split", &[]);
    let rec = format!("rec -d 100 -p {}", target.pid());
    // Long before its time.
    for reader in ["true", "head -c 100 >/dev/null"] {
        let line = format!("{rec} -o - | {reader}; exit ${{PIPESTATUS[0]}}");
        shell(&dir, &line).refused(1, &["ended early: nobody reads standard output"]);
    }
    shell(&dir, &format!("{rec} -o - >/dev/full"))
        .refused(1, &["cannot write /dev/stdout: No space left"]);
    let shared = ["the program prints", "-o", "-p"];
    shell(&dir, "rec -o - -- touch started | cat").refused(1, &shared);
    shell(&dir, "rec -o /dev/stdout --force -- touch started >x").refused(1, &shared);
    let shown = run_in_terminal(&in_dir(&dir, &format!("{rec} -o -"))).code(1).stdout;
    assert!(shown.contains("not for a terminal") && shown.lines().count() == 1, "{shown}");
    assert_eq!(names_in(dir.path()), ["tmp", "x"]);
}

/// What cannot be written waits, and when that is too much, it is counted.
#[test]
fn a_reader_that_is_too_slow() {
    let dir = temp_dir();
    let target = Target::start("flood", &["60"]);
    let pid = target.pid_text();
    let mut command = Command::new(binary("rec"));
    command.args(["-q", "-d", "3", "--syscalls", "-p", &pid, "-o", "-"]);
    let started = Instant::now();
    let mut rec = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let tasks = format!("/proc/{}/task", rec.id());
    let is_blocked = || {
        let waits_in = |task: &str| fs::read_to_string(format!("{tasks}/{task}/wchan"));
        let is_in_pipe = |task: &String| waits_in(task).is_ok_and(|at| at.contains("pipe_write"));
        names_in(tasks.as_ref()).iter().any(is_in_pipe)
    };
    wait_until("rec to have filled the pipe", is_blocked);
    wait_until("the recording to be over", || started.elapsed() > Duration::from_secs(4));
    assert!(is_blocked() && rec.try_wait().unwrap().is_none());
    let status = fs::read_to_string(format!("/proc/{}/status", rec.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 300 << 10, "{peak}");

    let path = dir.path().join("t.rz");
    io::copy(rec.stdout.as_mut().unwrap(), &mut File::create(&path).unwrap()).unwrap();
    assert!(rec.wait().unwrap().success());
    let contents = Contents::read(&path);
    assert_eq!(contents.damage, []);
    let ended = |record: &Record| match record {
        Record::End(end) => Some(EndReason::from(end.reason)),
        _ => None,
    };
    assert_eq!(contents.records.iter().find_map(ended), Some(EndReason::Duration));
    // Sums are exact; of rows, what is missing is counted, each for as many as
    // the others stand for.
    let made: u64 = contents.counted_calls().values().map(|counted| counted.count).sum();
    let stand_for: u64 = contents.calls.iter().map(|call| call.count).sum();
    let most = contents.calls.iter().map(|call| call.count).max().unwrap();
    let calls_lost = contents
        .losses()
        .into_iter()
        .filter(|loss| LossClass::from(loss.class) == LossClass::Calls);
    let lost: u64 = calls_lost.map(|loss| loss.count).sum();
    println!("{made} calls, rows for {stand_for}, one in {most}, {lost} lost, {peak_kib} KiB");
    // What one row in so many stands for is an estimate.
    let squares: f64 = contents.calls.iter().map(|call| (call.count as f64).powi(2)).sum();
    let off = made / 20 + (3.0 * squares.sqrt()) as u64;
    assert!(stand_for + lost <= made + off, "{stand_for} and {lost} of {made}");
    assert!(stand_for + lost * most + off >= made, "{stand_for} and {lost} of {made}");
}
