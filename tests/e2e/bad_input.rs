//! What cannot work is refused in one line that says what to do, and leaves
//! nothing behind.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_convert::export::Format;
use rz_format::{BlockKind, HEADER_LEN, rebuild_index};
use rz_tests::{
    Output, PlainUser, RamDisk, Sysctl, Target, binary, conv, names_in, program, program_path, rec,
    report, run, temp_dir, text,
};
use tempfile::TempDir;

#[test]
fn rec_without_a_process() {
    let dir = temp_dir();
    let mut child = Command::new("true").spawn().unwrap();
    let gone = child.id().to_string();
    child.wait().unwrap();
    for pid in [gone.as_str(), "4194304"] {
        run(rec_in(&dir).args(["-p", pid, "-o", "t.rz"]))
            .refused(1, &[&format!("no process with pid {pid}"), "may have ended"]);
    }
    // One of several is refused as well: half of what was asked for is not it.
    let own = std::process::id().to_string();
    run(rec_in(&dir).args(["-p", &own, "-p", &gone])).refused(1, &["no process", &gone]);
    assert!(names_in(dir.path()).is_empty(), "{:?}", names_in(dir.path()));
}

#[test]
fn rec_of_a_zombie() {
    let dir = temp_dir();
    let mut child = Command::new("true").spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    while !fs::read_to_string(&stat).unwrap().contains(" Z ") {
        std::thread::yield_now();
    }
    run(rec_in(&dir).args(["-p", &child.id().to_string()])).refused(1, &["no process with pid"]);
    child.wait().unwrap();
    assert!(names_in(dir.path()).is_empty());
}

#[test]
fn rec_of_a_process_that_exits_at_once() {
    let dir = temp_dir();
    let target = Target::start("split", &["1"]);
    let pid = target.pid().to_string();
    let output = run(rec_in(&dir).args(["-d", "60", "-p", &pid, "-o", "t.rz"])).success();
    assert!(output.stderr.contains("(the target exited)"), "{output}");
    assert!(target.wait());
    conv(&[text(&dir.path().join("t.rz")), "--to", "folded"]).success();
}

#[test]
fn rec_of_other_users_processes() {
    let user = PlainUser::new();
    let _sysctl = Sysctl::set("kernel.perf_event_paranoid", "2");
    let target = Target::start("split", &[]);
    let pid = target.pid().to_string();
    let remedies = ["another user", "as root", "CAP_PERFMON"];
    run(user.binary("rec").args(["-d", "1", "-p", &pid])).refused(1, &remedies);
    assert!(names_in(user.home()).is_empty());
}

/// Upstream kernels take every value above 2 as 2; those of Debian, Ubuntu
/// and Android refuse a plain user all perf events from 3 or 4 on.
#[test]
fn rec_where_perf_events_are_forbidden() {
    let user = PlainUser::new();
    let sysctl = Sysctl::set("kernel.perf_event_paranoid", "4");
    let target = Target::spawn(&mut user.program("split"));
    let pid = target.pid().to_string();
    let output = run(user.binary("rec").args(["-d", "0.2", "-p", &pid, "-o", "t.rz"]));
    drop(sysctl);
    if output.status.success() {
        assert!(output.stderr.contains("kernel stacks are left out"), "{output}");
        assert_eq!(names_in(user.home()), ["t.rz"]);
    } else {
        output.refused(1, &["kernel.perf_event_paranoid is 4", "CAP_PERFMON", "sysctl"]);
        assert!(names_in(user.home()).is_empty());
    }
}

#[test]
fn rec_onto_what_exists() {
    let dir = temp_dir();
    let file = dir.path().join("t.rz");
    fs::write(&file, "precious").unwrap();
    let target = Target::start("split", &[]);
    let pid = target.pid().to_string();
    let try_rec = |more: &[&str]| {
        let args = ["-d", "0.2", "-p", &pid, "-o"];
        run(rec_in(&dir).args(args).args(more))
    };
    try_rec(&["t.rz"]).refused(1, &["t.rz exists", "-o", "--force"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert_eq!(names_in(dir.path()), ["t.rz"]);
    // What fails later leaves it as well.
    run(rec_in(&dir).args(["--force", "-o", "t.rz", "-p", "4194304"])).refused(1, &["no process"]);
    run(rec_in(&dir).args(["--force", "-o", "t.rz", "--", "/no/such"])).refused(127, &["/no/such"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    try_rec(&["t.rz", "--force"]).success();
    conv(&[text(&file), "--to", "folded"]).success();
    assert_eq!(names_in(dir.path()), ["t.rz"]);

    try_rec(&["."]).refused(1, &["exists"]);
    try_rec(&[".", "--force"]).refused(1, &["cannot create ."]);
    try_rec(&["/dev/null", "--force"]).refused(1, &["/dev/null", "not a regular file"]);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    assert_eq!(names_in(dir.path()), ["t.rz"]);
}

#[test]
fn rec_into_no_directory() {
    let own = std::process::id().to_string();
    rec(&["-d", "1", "-p", &own, "-o", "/no/such/t.rz"])
        .refused(1, &["cannot create /no/such/t.rz", "No such file or directory"]);
}

#[test]
fn rec_into_a_directory_that_is_not_ours() {
    let user = PlainUser::new();
    let _sysctl = Sysctl::set("kernel.perf_event_paranoid", "2");
    let target = Target::spawn(&mut user.program("split"));
    let (dir, pid) = (temp_dir(), target.pid().to_string());
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path(), readable).unwrap();
    let mut command = user.binary("rec");
    run(command.args(["-d", "1", "-p", &pid]).current_dir(dir.path()))
        .refused(1, &["cannot create split-", "Permission denied"]);
    assert!(names_in(dir.path()).is_empty());
}

/// Nothing was recorded: an old trace stays, and nothing new appears.
#[test]
fn rec_onto_a_full_disk() {
    let disk = RamDisk::new(64);
    fs::write(disk.path().join("old.rz"), "precious").unwrap();
    disk.fill("filler");
    let target = Target::start("split", &[]);
    let pid = target.pid().to_string();
    for name in ["new.rz", "old.rz"] {
        let path = disk.path().join(name);
        rec(&["-d", "1", "-p", &pid, "--force", "-o", text(&path)])
            .refused(1, &[&format!("cannot create {}", path.display()), "No space left on device"]);
        let mark = disk.path().join("mark");
        let touch = ["--", "touch", text(&mark)];
        let args = [["--force", "-o", text(&path)], touch].concat();
        rec(&args).refused(1, &["No space left on device"]);
        assert_eq!(names_in(disk.path()), ["filler", "old.rz"]);
    }
    assert_eq!(fs::read_to_string(disk.path().join("old.rz")).unwrap(), "precious");
}

/// The disk fills up while `rec` runs: it ends, says so, and leaves a trace of
/// what came before.
#[test]
fn rec_until_the_disk_is_full() {
    let disk = RamDisk::new(256);
    let path = disk.path().join("t.rz");
    // Children without end: facts about each are written.
    let target = Target::start("forker", &[]);
    let pid = target.pid().to_string();
    let args = ["--follow", "-F", "9973", "-d", "60", "-p", &pid, "-o", text(&path)];
    let output = rec(&args);
    let said = match output.status.code() {
        Some(0) => output.stderr.contains("the disk has no more room"),
        Some(1) => output.stderr.contains("the disk is full"),
        _ => false,
    };
    assert!(said, "{output}");
    let folded = conv(&[text(&path), "--to", "folded", "-o", "-"]).success();
    assert!(folded.stdout.lines().count() > 1, "{folded}");
    assert_eq!(names_in(disk.path()), ["t.rz"]);
}

/// A command of the shell with a limit of its own.
fn with_limit(limit: &str, tool: &str, args: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"]);
    run(shell.arg(binary(tool)).args(args))
}

#[test]
fn files_that_may_not_grow() {
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    // Children without end: facts about each are written.
    let target = Target::start("forker", &[]);
    let pid = target.pid_text();
    let args = ["--follow", "-F", "9973", "-d", "60", "-p", &pid, "-o", text(&path)];
    // In units of 512 bytes.
    let output = with_limit("-f 256", "rec", &args).code(1);
    assert!(output.stderr.contains("(ulimit -f); it holds what was recorded"), "{output}");
    let folded = conv(&[text(&path), "--to", "folded", "-o", "-"]).success();
    assert!(folded.stdout.lines().count() > 1, "{folded}");

    let before = names_in(dir.path());
    let out = dir.path().join("out.json");
    let args = [text(&path), "--to", "speedscope", "-o", text(&out)];
    let output = with_limit("-f 2", "conv", &args).code(1);
    assert!(output.stderr.contains("File too large"), "{output}");
    let svg = with_limit("-f 2", "report", &[text(&path), "--svg", text(&out)]).code(1);
    assert!(svg.stderr.contains("File too large"), "{svg}");
    assert_eq!(names_in(dir.path()), before);
}

#[test]
fn too_few_files_may_be_open() {
    let target = Target::start("split", &[]);
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let args = ["--tier", "bpf", "-d", "1", "-p", &target.pid_text(), "-o", text(&path)];
    // From what lets no program begin to what lets them run.
    for files in (12..=60).step_by(3) {
        let output = with_limit(&format!("-n {files}"), "rec", &args).code(1);
        assert!(output.stderr.contains("raise its limit with `ulimit -n`"), "{files}: {output}");
        assert!(names_in(dir.path()).is_empty());
    }
}

#[test]
fn rec_used_wrongly() {
    let dir = temp_dir();
    for (args, part) in [
        (&["-p", "1", "--", "true"] as &[&str], "cannot be used with"),
        (&[], "required"),
        (&["-F", "0", "-p", "1"], "invalid value '0'"),
        (&["-d", "soon", "-p", "1"], "invalid value 'soon'"),
        (&["-p", "init"], "invalid value 'init'"),
        (&["-p", ""], "nothing runs by that name"),
        (&["-p", "-o", "t.rz"], "nothing runs by that name"),
        (&["--sudo"], "unexpected argument"),
    ] {
        let output = run(rec_in(&dir).args(args)).code(2);
        let first = output.stderr.lines().next().unwrap_or_default();
        assert!(first.starts_with("error: ") && output.stderr.contains(part), "{output}");
        assert!(output.stdout.is_empty(), "{output}");
    }
    assert!(names_in(dir.path()).is_empty());
}

#[test]
fn rec_more_often_than_the_kernel_allows() {
    let dir = temp_dir();
    let own = std::process::id().to_string();
    run(rec_in(&dir).args(["-F", "4000000000", "-p", &own]))
        .refused(1, &["4000000000 Hz", "kernel.perf_event_max_sample_rate"]);
    assert!(names_in(dir.path()).is_empty());
}

#[test]
fn rec_of_commands_that_cannot_run() {
    let dir = temp_dir();
    let check = |command: &str, code, part| {
        run(rec_in(&dir).args(["-o", "t.rz", "--", command])).refused(code, &[command, part]);
        assert!(names_in(dir.path()).is_empty());
    };
    check("/no/such/program", 127, "No such file or directory");
    check("no-such-program", 127, "No such file or directory");
    check("/", 126, "Permission denied");
    let folder = temp_dir();
    let text_file = folder.path().join("text");
    fs::write(&text_file, "true\n").unwrap();
    check(text(&text_file), 126, "Permission denied");
}

#[test]
fn conv_and_report_of_what_is_no_trace() {
    let dir = temp_dir();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let trace = fs::read(recorded(&dir, "good.rz")).unwrap();
    let mut newer = trace.clone();
    newer[8] += 1;
    let folder = dir.path().to_owned();
    let check = |path: &Path, part: &str| {
        let path = text(path);
        conv(&[path, "--to", "folded"]).refused(1, &[path, part]);
        report(&[path]).refused(1, &[path, part]);
        report(&["--diff", path, path]).refused(1, &[path, part]);
    };
    check(
        &file("text.rz", b"not a trace at all, but long enough to be one: 0123456789"),
        "not an rz trace",
    );
    check(&file("empty.rz", b""), "not an rz trace: only 0 bytes");
    check(&file("short.rz", &trace[..20]), "only 20 bytes");
    check(&file("newer.rz", &newer), "use a newer rz");
    check(&folder, "not a regular file");
    check(Path::new("/no/such.rz"), "No such file or directory");
    check(&program_path("split"), "not an rz trace");
}

/// Of what a newer rz has written, all that is known is shown, and all tools say
/// that there is more.
#[test]
fn a_trace_of_a_newer_minor_version_is_read_with_a_note() {
    const KIND: u16 = 0x0777;
    let dir = temp_dir();
    let newer = dir.path().join("newer.rz");
    rec(&["--syscalls", "-q", "-o", text(&newer), "--", "true"]).success();
    let mut bytes = fs::read(&newer).unwrap();
    bytes[10] += 1;
    let checksum = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
    bytes[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&checksum.to_le_bytes());
    let index = rebuild_index(&mut Cursor::new(&bytes)).unwrap();
    let totals = index.iter().find(|entry| entry.kind == BlockKind::TOTALS).unwrap();
    let block = totals.offset as usize;
    bytes[block + 4..block + 6].copy_from_slice(&KIND.to_le_bytes());
    let payload = block + 40..block + 40 + totals.stored_len as usize;
    let checksum = crc32c::crc32c(&[&bytes[block..block + 36], &bytes[payload]].concat());
    bytes[block + 36..block + 40].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&newer, &bytes).unwrap();

    let (newer, out) = (text(&newer), dir.path().join("out"));
    let conv_to =
        |options: &[&str]| conv(&[&[newer, "-o", text(&out)], options].concat()).success();
    for said in [
        report(&[newer]).success(),
        report(&[newer, "--syscalls"]).success(),
        report(&[newer, "--syscalls", "--list"]).success(),
        report(&["--diff", newer, newer, "--event", "syscalls"]).success(),
        report(&[newer, "--info"]).success(),
        report(&[newer, "--source", "main"]),
        conv_to(&["--to", "folded", "--event", "syscalls"]),
        conv_to(&["--to", "rz"]),
        conv_to(&["--to", "rz", "--embed"]),
        conv_to(&["--to", "rz", "--redact"]),
    ] {
        assert!(said.stderr.contains("unknown kind 0x0777"), "{said}");
    }
}

#[test]
fn a_truncated_trace_is_read_as_far_as_it_goes() {
    let dir = temp_dir();
    let path = recorded(&dir, "whole.rz");
    let whole = fs::read(&path).unwrap();
    let cut = dir.path().join("cut.rz");
    let mut last_samples = 0;
    for percent in [10, 30, 50, 70, 90, 99] {
        fs::write(&cut, &whole[..whole.len() * percent / 100]).unwrap();
        let output = report(&[text(&cut)]).success();
        assert!(output.stderr.contains("report: note: "), "{percent} %: {output}");
        let folded = conv(&[text(&cut), "--to", "folded", "-o", "-"]).success();
        assert!(folded.stderr.contains("conv: note: "), "{percent} %: {folded}");
        let samples = rz_tests::Folded::parse(&folded.stdout).total();
        assert!(samples >= last_samples, "{percent} %: {folded}");
        last_samples = samples;
    }
    assert!(last_samples > 10, "{last_samples}");
    assert!(!report(&[text(&path)]).success().stderr.contains("note"));
}

#[test]
fn a_trace_without_samples_is_no_error() {
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = sleeper.id().to_string();
    let recorded = rec(&["-d", "0.2", "-p", &pid, "-o", text(&path)]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let recorded = recorded.success();
    assert!(recorded.stderr.contains(" 0 samples"), "{recorded}");
    // It is known that it did not run, and whoever gets the trace is told.
    let why = "note: nothing was sampled: the target did not run on a CPU; rec --off-cpu records";
    assert!(recorded.stderr.contains(why), "{recorded}");
    let shown = report(&[text(&path)]).success();
    assert!(shown.stdout.contains("no samples: none was taken"), "{shown}");
    assert!(shown.stderr.contains(why), "{shown}");
    report(&[text(&path), "--tree"]).success();
    for format in Format::ALL.map(Format::name) {
        let out = dir.path().join(format);
        conv(&[text(&path), "--to", format, "-o", text(&out)]).success();
        assert!(out.is_file());
    }
    report(&["--diff", text(&path), text(&path)]).success();
    let svg = dir.path().join("t.svg");
    let refused = report(&[text(&path), "--svg", text(&svg)]).code(1);
    assert!(refused.stderr.contains(why), "{refused}");
    assert!(refused.stderr.contains("no samples to draw: none was taken of"), "{refused}");
    assert!(!svg.exists());
}

#[test]
fn a_program_that_hardly_ran_says_for_how_long() {
    let dir = temp_dir();
    let path = dir.path().join("t.rz");
    let recorded = rec(&["-F", "1", "-o", text(&path), "--", "true"]).success();
    let said = recorded.stderr.as_str();
    assert!(said.contains("nothing was sampled: the target ran for "), "{recorded}");
    assert!(said.contains("a sample is taken for every 1.0s of CPU time"), "{recorded}");
}

#[test]
fn a_binary_that_is_gone_or_another() {
    let dir = temp_dir();
    let (copy, trace) = (dir.path().join("app"), dir.path().join("t.rz"));
    install("split", &copy);
    let target = Target::start_file(&copy, &[]);
    let pid = target.pid().to_string();
    rec(&["-d", "0.5", "-F", "499", "-p", &pid, "-o", text(&trace)]).success();
    drop(target);
    let folded = || conv(&[text(&trace), "--to", "folded", "-o", "-"]).success();
    let known = folded();
    assert!(known.stdout.contains(";hot") && !known.stderr.contains("note"), "{known}");

    fs::remove_file(&copy).unwrap();
    let gone = folded();
    assert!(gone.stdout.contains(";[app+0x") && !gone.stdout.contains(";hot"), "{gone}");
    assert!(gone.stderr.contains(text(&copy)) && gone.stderr.contains("not found"), "{gone}");

    install("threads", &copy);
    let other = folded();
    assert_eq!(other.stdout, gone.stdout);
    assert!(other.stderr.contains(text(&copy)) && other.stderr.contains("build-id"), "{other}");

    // The right one elsewhere.
    fs::create_dir(dir.path().join("kept")).unwrap();
    install("split", &dir.path().join("kept/app"));
    let kept = dir.path().join("kept");
    let kept =
        conv(&[text(&trace), "--to", "folded", "-o", "-", "--debug-dir", text(&kept)]).success();
    assert_eq!((kept.stdout, kept.stderr), (known.stdout, known.stderr));
}

#[test]
fn conv_used_wrongly() {
    for args in [&["t.rz"] as &[&str], &["t.rz", "--to", "svg"], &["t.rz", "-o", "-"]] {
        let output = conv(args).code(2);
        for format in ["folded", "pprof", "speedscope"] {
            assert!(output.stderr.contains(format), "{output}");
        }
    }
    conv(&[]).code(2);
    report(&[]).code(2);
    report(&["t.rz", "--diff", "a.rz", "b.rz"]).code(2);
}

#[test]
fn a_trace_is_not_overwritten_by_its_own_conversion() {
    let dir = temp_dir();
    let trace = recorded(&dir, "t.rz");
    let before = fs::read(&trace).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&trace, &link).unwrap();
    for output in [&trace, &link] {
        conv(&[text(&trace), "--to", "pprof", "-o", text(output)]).refused(1, &["trace itself"]);
        report(&[text(&trace), "-o", text(output)]).refused(1, &["not overwritten"]);
        report(&[text(&trace), "--svg", text(output)]).refused(1, &["not overwritten"]);
    }
    assert_eq!(fs::read(&trace).unwrap(), before);
}

#[test]
fn output_that_cannot_be_written() {
    let dir = temp_dir();
    let trace = recorded(&dir, "t.rz");
    let trace = text(&trace);
    let missing = "/no/such/out";
    conv(&[trace, "--to", "folded", "-o", missing]).refused(1, &[missing, "no directory /no/such"]);
    report(&[trace, "-o", missing]).refused(1, &[missing, "no directory /no/such"]);
    report(&[trace, "--svg", missing]).refused(1, &[missing, "no directory /no/such"]);
    conv(&[trace, "--to", "folded", "-o", "/dev/full"]).refused(1, &["/dev/full", "No space left"]);
    report(&[trace, "-o", "/dev/full"]).refused(1, &["/dev/full", "No space left"]);

    let disk = RamDisk::new(64);
    let old = disk.path().join("old");
    fs::write(&old, "precious").unwrap();
    disk.fill("filler");
    conv(&[trace, "--to", "folded", "-o", text(&old)]).refused(1, &["No space left"]);
    report(&[trace, "--svg", text(&old)]).refused(1, &["No space left"]);
    assert_eq!(fs::read_to_string(&old).unwrap(), "precious");
    assert_eq!(names_in(disk.path()), ["filler", "old"]);
}

#[test]
fn output_where_a_plain_user_may_not_write() {
    let user = PlainUser::new();
    let (here, own) = (temp_dir(), user.home().join("t.rz"));
    fs::copy(recorded(&here, "t.rz"), &own).unwrap();
    let readable = || std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&own, readable()).unwrap();
    let out = here.path().join("out");
    for (program, args) in [("conv", &["t.rz", "--to", "folded"][..]), ("report", &["t.rz"])] {
        let output = run(user.binary(program).args(args).args(["-o", text(&out)])).code(1);
        // Before that, there may be notes of files that only others may read.
        let last = output.stderr.lines().last();
        assert!(last.is_some_and(|line| line.ends_with("permission denied")), "{output}");
    }
    assert!(!out.exists());
}

/// `rec`, to be run in `dir`.
fn rec_in(dir: &TempDir) -> Command {
    let mut command = Command::new(binary("rec"));
    command.current_dir(dir.path());
    command
}

/// Half a second of a target program, in a file of this name in `dir`.
fn recorded(dir: &TempDir, name: &str) -> PathBuf {
    let path = dir.path().join(name);
    let command = program("split");
    let args = ["-q", "-F", "499", "-o", text(&path), "--", &command[0], "0.5"];
    rec(&args).success();
    path
}

/// A copy of a target program, made by another process: what a thread of this
/// one has open for writing could not be executed.
fn install(name: &str, to: &Path) {
    run(Command::new("install").arg(program_path(name)).arg(to)).success();
}
