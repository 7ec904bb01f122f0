//! The files that a target runs: loaded late, deleted, replaced, elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use rz_tests::{
    CallTree, Folded, Recorder, Target, Trace, binary, conv, program_path, run, temp_dir, text,
    tool, wait_until,
};

#[test]
fn sees_libraries_that_are_loaded_later() {
    let target = Target::start("dlopen", &["0", "1500"]);
    let recorder = Recorder::start(&["-d", "60", "-p", &target.pid_text()]);
    target.wait_for("loaded");
    let before = recorder.blocks();
    wait_until("samples of the library", || recorder.blocks() > before + 3);
    recorder.signal(Signal::SIGINT);
    let folded = recorder.finish().folded(&[]);
    let tree = "
        main > before_plugin with_plugin
        before_plugin > work now_ns
        with_plugin > plugin_run now_ns
        plugin_run > plugin_leaf
        plugin_leaf > work
    ";
    CallTree::parse(tree).check(&folded, str::to_owned).assert_complete();
    let loaded = folded.share(";main;with_plugin;plugin_run;plugin_leaf;work_[i]");
    assert!(loaded > 0.1, "{}", folded.head(9));
}

/// A copy of a target program that runs, in a folder of its own.
fn start_copy(program: &str, dir: &Path) -> (Target, PathBuf) {
    let copy = dir.join("program-copy");
    fs::copy(program_path(program), &copy).unwrap();
    (Target::start_file(&copy, &[]), copy)
}

/// Panics unless the three shares of `split` are there by name.
#[track_caller]
fn assert_split(folded: &Folded) {
    folded.assert_share(";main;run;hot", 0.7, 0.15);
    folded.assert_share(";main;run;warm", 0.2, 0.12);
    folded.assert_share(";main;run;cold", 0.1, 0.1);
}

/// Panics unless stacks are whole, but the program's functions have no names.
#[track_caller]
fn assert_nameless(folded: &Folded, module: &str) {
    let start = format!("{module};[{module}+0x");
    assert!(folded.share(&start) > 0.99, "{}", folded.head(9));
    let nested =
        folded.stacks.keys().all(|stack| stack.matches(&format!("[{module}+0x")).count() >= 2);
    assert!(nested, "{}", folded.head(9));
    let is_named = |frame: &str| ["main", "run", "hot", "warm", "cold"].contains(&frame);
    assert!(
        !folded.stacks.keys().any(|stack| stack.split(';').any(is_named)),
        "{}",
        folded.head(9)
    );
}

#[test]
fn deleted_executable() {
    let dir = temp_dir();
    let (target, copy) = start_copy("split", dir.path());
    fs::remove_file(&copy).unwrap();
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    let output = trace.conv(&["--to", "folded", "-o", "-"]).success();
    assert!(output.stderr.contains("not found on this machine"), "{output}");
    assert_nameless(&trace.folded(&[]), "program-copy");
    // The right file elsewhere is as good.
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(program_path("split"), elsewhere.join("program-copy")).unwrap();
    assert_split(&trace.folded(&["--debug-dir", text(&elsewhere)]));
}

#[test]
fn replaced_executable() {
    let dir = temp_dir();
    let (target, copy) = start_copy("split", dir.path());
    fs::remove_file(&copy).unwrap();
    fs::copy(program_path("deep"), &copy).unwrap();
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    let output = trace.conv(&["--to", "folded", "-o", "-"]).success();
    assert!(output.stderr.contains("another build: build-id"), "{output}");
    assert_nameless(&trace.folded(&[]), "program-copy");
}

/// What tells builds apart is Go's build ID then, or a checksum of the code. Sizes are the
/// same.
#[test]
fn replaced_executable_without_a_build_id() {
    for (program, argument, named, other, complaint) in [
        ("split-unnamed", "0", ";main;run", "untold-fp", "other code than what was recorded"),
        ("go-split-stripped", "functions", ";main.", "go-split", "another build: build-id"),
    ] {
        let dir = temp_dir();
        let copy = dir.path().join("program-copy");
        let put = |program: &str| {
            fs::copy(program_path(program), &copy).unwrap();
            fs::OpenOptions::new().write(true).open(&copy).unwrap().set_len(16 << 20).unwrap();
        };
        put(program);
        let target = Target::start_file(&copy, &[argument]);
        let trace = Trace::of(target.pid(), "1", &["-q"]);
        let folded = trace.folded(&[]);
        assert!(folded.share(named) > 0.9, "{}", folded.head(9));
        fs::remove_file(&copy).unwrap();
        put(other);
        let output = trace.conv(&["--to", "folded", "-o", "-"]).success();
        assert!(output.stderr.contains(complaint), "{program}: {output}");
        let folded = trace.folded(&[]);
        assert!(folded.share("[program-copy+0x") > 0.9, "{}", folded.head(9));
        assert_eq!(folded.count(named), 0, "{}", folded.head(9));
    }
}

/// A program that is in no file system.
#[test]
fn executable_in_memory() {
    const START: &str = "import os, sys\n\
        fd = os.memfd_create('a program', 0)\n\
        os.write(fd, open(sys.argv[1], 'rb').read())\n\
        os.execve(fd, ['hidden'], os.environ)";
    let mut command = Command::new("python3");
    let target = Target::spawn(command.args(["-c", START, text(&program_path("split"))]));
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    assert_nameless(&trace.folded(&[]), "memfd:a program");
    // It is known by its build-id.
    let dir = temp_dir();
    fs::copy(program_path("split"), dir.path().join("memfd:a program")).unwrap();
    assert_split(&trace.folded(&["--debug-dir", text(dir.path())]));
    fs::copy(program_path("deep"), dir.path().join("memfd:a program")).unwrap();
    assert_nameless(&trace.folded(&["--debug-dir", text(dir.path())]), "memfd:a program");
}

/// A target whose root directory is another one.
#[test]
fn target_in_a_chroot() {
    let dir = temp_dir();
    fs::copy(program_path("split-static"), dir.path().join("program")).unwrap();
    let mut command = Command::new("chroot");
    let target = Target::spawn(command.arg(dir.path()).args(["/program"]));
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    // The path means nothing outside; the file is found in a debug folder.
    let folded = trace.folded(&["--debug-dir", text(dir.path())]);
    CallTree::parse("main > run\n run > hot warm cold now_ns next_choice")
        .check(&folded, str::to_owned)
        .assert_complete();
    assert_split(&folded);
}

/// A target whose executable exists in its own mount namespace only.
#[test]
fn target_in_another_mount_namespace() {
    let dir = temp_dir();
    let inside = dir.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let script = "mount -t tmpfs none \"$1\" && cp \"$2\" \"$1/program\" && exec \"$1/program\"";
    let program = program_path("split");
    let target = Target::spawn(
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .args([&inside, &program]),
    );
    assert!(!inside.join("program").exists(), "the mount is seen outside");
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    let nameless = trace.folded(&["-q"]);
    assert_nameless(&nameless, "program");
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(&program, elsewhere.join("program")).unwrap();
    assert_split(&trace.folded(&["--debug-dir", text(&elsewhere)]));
}

/// The vDSO has no file to take names from; the recorder writes them down.
#[test]
fn names_the_vdso() {
    let script = "import time\nprint('ready', flush=True)\nwhile True: time.monotonic_ns()";
    let target = Target::spawn(Command::new(tool("python3")).args(["-c", script]));
    let trace = Trace::of(target.pid(), "1.5", &["-q"]);
    let profile = trace.profile();
    let mut named = 0;
    for location in &profile.locations {
        let Some(module) = location.module else { continue };
        if profile.modules[module].name == "[vdso]" {
            let name = &profile.functions[location.lines[0].function].name;
            assert!(name.starts_with("__vdso_"), "{name}");
            named += 1;
        }
    }
    assert!(named > 0, "no sample hit the vDSO");
}

/// The one file can be copied to a box that has nothing else, and records there.
#[test]
fn needs_nothing_but_proc() {
    let file = binary("rec");
    let headers = run(Command::new("readelf").arg("--program-headers").arg(&file)).success();
    assert!(headers.stdout.contains("LOAD"), "{headers}");
    assert!(!headers.stdout.contains("INTERP"), "{headers}");
    let dynamic = run(Command::new("readelf").arg("--dynamic").arg(&file)).success();
    assert!(!dynamic.stdout.contains("NEEDED"), "{dynamic}");
    let size = fs::metadata(&file).unwrap().len();
    assert!(size <= 12 << 20, "{size} bytes");

    let dir = temp_dir();
    fs::create_dir(dir.path().join("proc")).unwrap();
    fs::copy(&file, dir.path().join("rec")).unwrap();
    let target = Target::start("split", &[]);
    // The mount goes when the namespace does, that is with its last process.
    let script = "mount --bind /proc \"$1/proc\" && exec chroot \"$1\" \
                  /rec -q -F 997 -d 1 -p \"$2\" -o /trace.rz";
    run(Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .args([text(dir.path()), &target.pid_text()]))
    .success();
    let trace = dir.path().join("trace.rz");
    let output = conv(&[text(&trace), "--to", "folded", "-o", "-"]).success();
    let folded = Folded::parse(&output.stdout);
    CallTree::parse("main > run\n run > hot warm cold now_ns next_choice")
        .check(&folded, str::to_owned)
        .assert_complete();
    assert_split(&folded);
}
