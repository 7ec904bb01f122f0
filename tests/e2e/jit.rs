//! Code that programs generate while they run has names when they tell, also
//! on machines that have none of their files.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::stat::Mode;
use rz_profile::model::Profile;
use rz_tests::{
    Folded, PlainUser, Recorder, Sysctl, Target, Trace, conv, program_path, run, temp_dir, text,
    tool, wait_until,
};

/// The map of a process, gone with the test or before.
struct Map(PathBuf);

impl Map {
    fn of(pid: u32) -> Self {
        Map(format!("/tmp/perf-{pid}.map").into())
    }

    fn remove(&self) {
        let path = &self.0;
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Waits until a recorder has seen generated code and opened the map.
fn wait_until_held(recorder: &Recorder, map: &Map) {
    let fds = format!("/proc/{}/fd", recorder.pid());
    wait_until("rec to hold the map", || {
        let mut fds = fs::read_dir(&fds).unwrap();
        fds.any(|fd| fd.is_ok_and(|fd| fs::read_link(fd.path()).is_ok_and(|path| path == map.0)))
    });
}

/// The lines, with their functions' files, of all functions of a name.
fn lines_of(profile: &Profile, name: &str) -> Vec<(String, u32, u32)> {
    let lines = profile.locations.iter().flat_map(|location| &location.lines);
    let lines = lines.filter(|line| profile.functions[line.function].name == name);
    lines.map(|l| (profile.functions[l.function].file.clone(), l.line, l.column)).collect()
}

#[test]
fn javascript_from_a_map() {
    let dir = temp_dir();
    let script = program_path("workload.js");
    let mut node = Command::new(tool("node"));
    let node = node.arg("--perf-basic-prof").arg(&script).current_dir(dir.path());
    let target = Target::spawn(node);
    let map = Map::of(target.pid());
    let trace = Trace::of(target.pid(), "2", &["-q"]);
    drop(target);
    map.remove();
    let folded = trace.folded(&[]);
    folded.assert_share(";hot_[j]", 0.7, 0.1);
    folded.assert_share(";cold_[j]", 0.3, 0.1);
    // What is known of the place is where the function begins.
    let lines = lines_of(&trace.profile(), "hot");
    let script = text(&script).to_owned();
    let (by_map, others): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| *line == (script.clone(), 11, 13));
    assert!(!by_map.is_empty(), "{others:?}");
    // Samples from before the process was seen to publish code have lines by V8 itself.
    let is_inside =
        |(file, line, _): &(String, u32, u32)| *file == script && (11..=15).contains(line);
    assert!(others.iter().all(is_inside) && others.len() < by_map.len(), "{others:?}");
}

#[test]
fn javascript_from_a_jitdump() {
    let dir = temp_dir();
    let script = program_path("workload.js");
    let mut node = Command::new(tool("node"));
    let node = node.arg("--perf-prof").arg(&script).arg("3").current_dir(dir.path());
    let target = Target::spawn(node);
    let recorder = Recorder::start(&["-q", "-p", &target.pid_text()]);
    // It writes two megabytes at a time, and the rest at its end.
    assert!(target.wait());
    drop(dir);
    let trace = recorder.finish();
    let folded = trace.folded(&[]);
    folded.assert_share(";hot_[j]", 0.7, 0.1);
    folded.assert_share(";cold_[j]", 0.3, 0.1);
    let lines = lines_of(&trace.profile(), "hot");
    let script = text(&script).to_owned();
    let is_inside = |(file, line, column): &(String, u32, u32)| {
        *file == script && (11..=15).contains(line) && *column > 0
    };
    assert!(lines.iter().all(is_inside), "{lines:?}");
    assert!(lines.iter().filter(|(_, line, _)| *line == 13).count() > 1, "{lines:?}");
}

fn java() -> Command {
    let mut java = Command::new(tool("java"));
    java.args(["-XX:+PreserveFramePointer", "-XX:-Inline", "-XX:+UnlockDiagnosticVMOptions"]);
    java
}

#[test]
fn java_from_a_map_that_is_made_while_it_is_recorded() {
    let target = Target::spawn(java().arg(program_path("Burn.java")));
    let map = Map::of(target.pid());
    let recorder = Recorder::start(&["-q", "-d", "3", "-p", &target.pid_text()]);
    run(Command::new(tool("jcmd")).args([&target.pid_text(), "Compiler.perfmap"])).success();
    let trace = recorder.finish();
    drop(target);
    map.remove();
    let folded = trace.folded(&[]);
    folded.assert_share(";Burn.hot_[j]", 0.7, 0.15);
    folded.assert_share(";Burn.cold_[j]", 0.3, 0.15);
}

#[test]
fn java_from_a_map_that_is_made_at_its_end() {
    let mut java = java();
    let java = java.arg("-XX:+DumpPerfMapAtExit").arg(program_path("Burn.java")).arg("4");
    let target = Target::spawn(java);
    let map = Map::of(target.pid());
    let recorder = Recorder::start(&["-q", "-p", &target.pid_text()]);
    assert!(target.wait());
    let trace = recorder.finish();
    map.remove();
    let folded = trace.folded(&[]);
    folded.assert_share(";Burn.hot_[j]", 0.7, 0.15);
}

#[test]
fn python_from_a_map() {
    let script = program_path("workload.py");
    let mut python = Command::new(tool("named-python"));
    let target = Target::spawn(python.args(["-X", "perf"]).arg(&script));
    let map = Map::of(target.pid());
    let trace = Trace::of(target.pid(), "2", &["-q"]);
    drop(target);
    map.remove();
    let folded = trace.folded(&[]);
    for (name, share) in [("hot", 0.7), ("cold", 0.3)] {
        folded.assert_share(&format!(";{name}_[j]"), share, 0.1);
        let lines = lines_of(&trace.profile(), name);
        assert!(lines.contains(&(text(&script).to_owned(), 0, 0)), "{lines:?}");
    }
    // Whole stacks, although what Python generates has no unwind tables.
    let called = ["_start", "<module>_[j]", "main_[j]", "run_[j]", "hot_[j]"];
    let (stack, _) = folded.stacks.iter().max_by_key(|(_, count)| **count).unwrap();
    let mut frames = stack.split(';');
    assert!(called.iter().all(|name| frames.any(|frame| frame == *name)), "{stack}");
}

#[test]
fn dot_net_from_a_map() {
    let mut python = Command::new(tool("python3"));
    // The variable's name before .NET 6. Code that was compiled ahead has no
    // names in the map: none is used.
    let python = python.env("COMPlus_PerfMapEnabled", "1").env("COMPlus_ReadyToRun", "0");
    let target = Target::spawn(python.arg(program_path("dotnet.py")));
    let (map, info) = (Map::of(target.pid()), format!("/tmp/perfinfo-{}.map", target.pid()));
    let _info = Map(info.into());
    let trace = Trace::of(target.pid(), "2", &["-q"]);
    drop(target);
    map.remove();
    let folded = trace.folded(&[]);
    let of_numbers = ";System.Numerics.BigInteger";
    assert!(
        folded.share(&format!("{of_numbers}Calculator::Square(uint32*")) > 0.5,
        "{}",
        folded.head(3)
    );
    let multiply = format!("{of_numbers}::op_Multiply(valuetype System.Numerics.BigInteger,");
    assert!(folded.share(&multiply) > 0.7, "{}", folded.head(3));
    let unnamed = folded.count("[anon]") + folded.count(".dll+0x");
    assert!(unnamed * 50 < folded.total(), "{unnamed} of {}", folded.total());
}

#[test]
fn one_address_over_time() {
    let dir = temp_dir();
    let mut program = Command::new(program_path("jit"));
    let target = Target::spawn(program.args(["0", "dump"]).current_dir(dir.path()));
    let trace = Trace::of(target.pid(), "2", &["-q"]);
    drop((target, dir));
    let folded = trace.folded(&[]);
    folded.assert_share(";main;run_even;even_[j]", 0.5, 0.15);
    folded.assert_share(";main;run_odd;odd_[j]", 0.5, 0.15);
    let mixed = folded.count(";run_even;odd") + folded.count(";run_odd;even");
    assert_eq!(mixed + folded.count("[anon]"), 0, "{}", folded.head(9));
    let profile = trace.profile();
    for name in ["even", "odd"] {
        let file = format!("/src/{name}.js");
        let lines = lines_of(&profile, name);
        assert!(lines.contains(&(file.clone(), 12, 5)), "{lines:?}");
        assert!(lines.iter().all(|line| line.0.is_empty() || line.0 == file), "{lines:?}");
    }
    // The same in the order of time, and of parts of it.
    let timeline = profile.timeline.as_ref().unwrap();
    let name = |stack| {
        let locations = profile.locations_of(stack).flat_map(|location| &location.lines);
        let mut names = locations.map(|line| &*profile.functions[line.function].name);
        names.find(|name| ["even", "odd"].contains(name)).map(str::to_owned)
    };
    let names: Vec<String> =
        timeline.iter().filter_map(|sample| name(sample.stack.get())).collect();
    let turns = names.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!((10..=25).contains(&turns), "{turns}");
    let part = trace.folded(&["--from", "0.5s", "--to", "1.5s"]);
    assert_eq!(part.count(";run_even;odd") + part.count(";run_odd;even"), 0, "{}", part.head(9));
}

#[test]
fn times_of_another_clock() {
    let dir = temp_dir();
    let mut program = Command::new(program_path("jit"));
    let target = Target::spawn(program.args(["0", "ticks"]).current_dir(dir.path()));
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    assert!(trace.folded(&[]).share(";[anon]_[j]") > 0.9);
    let said = trace.conv(&["--to", "folded", "-o", "-"]).stderr;
    assert!(said.contains("dump has times of the processor's clock"), "{said}");
}

#[test]
fn trampolines_have_no_frame_pointer() {
    let target = Target::start("jit", &["0", "trampoline"]);
    let map = Map::of(target.pid());
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    map.remove();
    let folded = trace.folded(&[]);
    let part = ";main;call_trampoline;trampoline_[j];called";
    assert!(folded.share(part) > 0.99, "{}", folded.head(9));
}

#[test]
fn a_map_that_is_gone_before_the_end() {
    let target = Target::start("jit", &["0", "map", "once"]);
    let map = Map::of(target.pid());
    let recorder = Recorder::start(&["-q", "-d", "2", "-p", &target.pid_text()]);
    wait_until_held(&recorder, &map);
    map.remove();
    let folded = recorder.finish().folded(&[]);
    assert!(folded.share(";run_even;even_[j]") > 0.9, "{}", folded.head(9));
}

#[test]
fn a_process_that_ends_before_the_end() {
    let other = Target::start("jit", &[]);
    let target = Target::start("jit", &["0", "map", "once"]);
    let map = Map::of(target.pid());
    let pids = [target.pid_text(), other.pid_text()];
    let recorder = Recorder::start(&["-q", "-d", "3", "-p", &pids[0], "-p", &pids[1]]);
    wait_until_held(&recorder, &map);
    drop(target);
    map.remove();
    let folded = recorder.finish().folded(&[]);
    let named = folded.count(";run_even;even_[j]");
    assert!(named > 0, "{}", folded.head(9));
    assert!(folded.count("[anon]") > named, "{}", folded.head(9));
}

/// In a container, paths and numbers are others.
#[test]
fn a_map_in_a_container() {
    let root = temp_dir();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(root.path().join("tmp")).unwrap();
    fs::copy(program_path("jit-static"), root.path().join("jit")).unwrap();
    let check = |command: &mut Command, number: Option<u32>| {
        let target = Target::spawn(command.arg(root.path()).args(["/jit", "0", "map", "once"]));
        let children = format!("/proc/{0}/task/{0}/children", target.pid());
        let pid = match number {
            None => target.pid(),
            Some(_) => fs::read_to_string(children).unwrap().trim().parse().unwrap(),
        };
        let map = root.path().join(format!("tmp/perf-{}.map", number.unwrap_or(pid)));
        assert!(map.is_file());
        let trace = Trace::of(pid, "1", &["-q"]);
        fs::remove_file(map).unwrap();
        let folded = trace.folded(&[]);
        assert!(folded.share("even_[j]") > 0.9, "{}", folded.head(9));
    };
    check(&mut Command::new("chroot"), None);
    let mut container = Command::new("unshare");
    check(container.args(["--pid", "--fork", "--kill-child", "--mount", "chroot"]), Some(1));
}

/// A user sees what is its own, and root what is the process's.
#[test]
fn maps_of_a_plain_user() {
    let user = PlainUser::new();
    let _sysctl = Sysctl::set("kernel.perf_event_paranoid", "2");
    let target = Target::spawn(user.program("jit").args(["0", "map", "once"]));
    let _map = Map::of(target.pid());
    let args = ["-q", "-d", "1", "-F", "997", "-p", &target.pid_text(), "-o", "t.rz"];
    run(user.binary("rec").args(args)).success();
    let own = conv(&[text(&user.home().join("t.rz")), "--to", "folded", "-o", "-"]).success();
    let of_root = Trace::of(target.pid(), "1", &["-q"]).folded(&[]);
    for folded in [Folded::parse(&own.stdout), of_root] {
        assert!(folded.share(";run_even;even_[j]") > 0.9, "{}", folded.head(9));
    }
}

/// Everybody may put a file where maps are.
#[test]
fn maps_that_are_not_trusted() {
    let target = Target::start("jit", &["0", "none", "once"]);
    let start = target.wait_for("code at");
    let line = format!("{start} 1000 JS:*named /src/a.js:7:3\n");
    let dir = temp_dir();
    let other = dir.path().join("other");
    fs::write(&other, &line).unwrap();
    let map = Map::of(target.pid());

    let check = |make: &dyn Fn(&Path), expected: &str| {
        make(&map.0);
        let began = Instant::now();
        let trace = Trace::of(target.pid(), "0.5", &["-q"]);
        assert!(began.elapsed() < Duration::from_secs(10), "{expected}: {:?}", began.elapsed());
        map.remove();
        let folded = trace.folded(&[]);
        let said = trace.conv(&["--to", "folded", "-o", "-"]).stderr;
        let (share, noted) = (folded.share(";run_even;named_[j]"), said.contains("generated code"));
        if expected == "named" {
            assert!(share > 0.9 && !noted, "{said}{}", folded.head(9));
        } else {
            assert_eq!(share, 0.0, "{expected}");
            assert!(folded.share(";run_even;[anon]_[j]") > 0.9, "{}", folded.head(9));
            let pid = target.pid();
            let note = format!(
                "generated code of process {pid} (jit) lacks names: /tmp/perf-{pid}.map {expected}"
            );
            assert!(if expected.is_empty() { !noted } else { said.contains(&note) }, "{said}");
        }
    };
    let write = |text: &str| {
        let text = text.to_owned();
        move |path: &Path| fs::write(path, &text).unwrap()
    };
    check(&write(&line), "named");
    let junk = "\0\u{fffd} ff zz\n".repeat(1000);
    check(&write(&format!("{junk}{start} 0 none\n{line}{junk}")), "named");
    check(&write(&junk), "");
    check(&|_| {}, "");
    check(&|path| symlink(&other, path).unwrap(), "is reached through a symbolic link");
    check(&|path| nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap(), "is not a regular file");
    check(&|path| fs::create_dir(path).unwrap(), "is not a regular file");
    let of_nobody = |path: &Path| {
        fs::write(path, &line).unwrap();
        chown(path, Some(65534), None).unwrap();
    };
    check(&of_nobody, "belongs to user 65534, neither the process's nor root");
    let huge = |path: &Path| {
        let mut file = File::create(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
        file.set_len(1 << 40).unwrap();
    };
    check(&huge, "has 1099511627776 bytes, more than the 268435456 that are read");
    let old = |path: &Path| {
        fs::write(path, &line).unwrap();
        let year_ago = SystemTime::now() - Duration::from_secs(365 * 86400);
        File::options().write(true).open(path).unwrap().set_modified(year_ago).unwrap();
    };
    check(&old, "is older than the process");
}
