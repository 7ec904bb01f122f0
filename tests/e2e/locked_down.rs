//! Boxes that lack something, or forbid it: `rec` does what can be done, and
//! says in a line what would give more.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use rz_tests::{
    Contents, Output, Recorder, Target, binary, program_path, run, temp_dir, text, tool, wait_until,
};
use serde_json::Value;

/// Numbers of system calls.
const PERF_EVENT_OPEN: u32 = 298;
const BPF: u32 = 321;
/// The kernel's description of its types.
const TYPES: &str = "/sys/kernel/btf";

/// Runs `rec` where some system calls are forbidden.
fn sealed(calls: &[u32], args: &[&str]) -> Output {
    let calls: Vec<String> = calls.iter().map(u32::to_string).collect();
    let mut command = Command::new(program_path("sealed"));
    run(command.arg(calls.join(",")).arg(binary("rec")).args(args))
}

/// Runs `rec` where the kernel does not describe its types.
fn without_types(args: &[&str]) -> Output {
    let script = format!("mount -t tmpfs none {TYPES} && exec \"$0\" \"$@\"");
    let mut command = Command::new(tool("unshare"));
    run(command.args(["--mount", "sh", "-c", &script]).arg(binary("rec")).args(args))
}

/// What `rec --check` says of each ability: whether it works, and the text.
fn abilities(output: &Output) -> Vec<(String, bool, String)> {
    let said: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(said["schema"], 1);
    let abilities = said["abilities"].as_array().expect("a list");
    let text = |ability: &Value, key: &str| ability[key].as_str().expect("a text").to_owned();
    abilities
        .iter()
        .map(|ability| {
            let works = ability["works"].as_bool().expect("yes or no");
            (text(ability, "id"), works, text(ability, if works { "how" } else { "why" }))
        })
        .collect()
}

#[track_caller]
fn assert_works(abilities: &[(String, bool, String)], expected: &[(&str, bool)]) {
    let found: Vec<(&str, bool)> = abilities.iter().map(|(id, yes, _)| (&**id, *yes)).collect();
    assert_eq!(found, expected, "{abilities:#?}");
}

const EVERYTHING: [(&str, bool); 7] = [
    ("own", true),
    ("samples", true),
    ("all", true),
    ("off-cpu", true),
    ("syscalls", true),
    ("alloc", true),
    ("confined", true),
];

#[test]
fn everything_is_tried_out_here() {
    let output = rz_tests::rec(&["--check", "--json"]).success();
    let found = abilities(&output);
    assert_works(&found, &EVERYTHING);
    let how = |id: &str| &found.iter().find(|(known, ..)| known == id).unwrap().2;
    assert!(how("off-cpu").contains("sched_exit_tp"), "{found:#?}");
    assert!(how("alloc").contains("uprobe sessions"), "{found:#?}");
    let plain = rz_tests::rec(&["--check"]).success().stdout;
    assert_eq!(plain.lines().filter(|line| line.starts_with("yes ")).count(), 7, "{plain}");
}

/// What is said of processes by whose functions there are frames.
#[test]
fn runtimes_are_named() {
    let split = program_path("split.py");
    let check = |command: &mut Command, expected: &[(&str, bool)]| {
        let target = Target::spawn(command);
        let output = rz_tests::rec(&["--check", "--json", "-p", &target.pid_text()]).success();
        let found = abilities(&output);
        assert_works(&found, &[&EVERYTHING, expected].concat());
        found.last().unwrap().2.clone()
    };
    let python = |version: &str| {
        let mut command = Command::new(tool(&format!("python{version}")));
        command.arg(&split).arg("naps");
        command
    };
    for version in ["3.8", "3.11", "3.13"] {
        let how = check(&mut python(version), &[("python", true)]);
        assert!(how.starts_with("exact in the bpf tier"), "{version}: {how}");
    }
    let mut node = Command::new(tool("node"));
    node.args(["-e", "console.log('ready'); setInterval(() => 0, 1000)"]);
    let how = check(&mut node, &[("v8", true)]);
    assert!(how.starts_with("in both tiers"), "{how}");
    let mut fake = Command::new(program_path("fakepython-new"));
    let why = check(fake.args(["0", "none"]), &[("python", false)]);
    assert!(why.starts_with("native frames only"), "{why}");
    check(&mut Command::new(program_path("deep20")), &[("runtime", true)]);

    let target = Target::spawn(&mut python("3.11"));
    let plain = rz_tests::rec(&["--check", "-p", &target.pid_text()]).success().stdout;
    let last = plain.lines().last().unwrap();
    assert!(last.starts_with("yes  CPython 3.11 in /"), "{plain}");
    let gone = rz_tests::rec(&["--check", "-p", "999999999"]).success().stdout;
    assert!(gone.contains("no process with pid 999999999"), "{gone}");
}

#[test]
fn a_kernel_that_does_not_describe_its_types() {
    let dir = temp_dir();
    let (trace, types) = (dir.path().join("t.rz"), dir.path().join("types"));
    fs::write(&types, fs::read(format!("{TYPES}/vmlinux")).unwrap()).unwrap();
    let target = Target::start("deep20", &[]);
    let pid = target.pid_text();
    let record = ["-q", "-F", "499", "-d", "1", "-p", &pid, "-o", text(&trace), "--force"];

    // The other tier needs none.
    without_types(&record).success();
    assert!(Contents::read(&trace).samples.len() > 100);
    without_types(&[&record[..], &["--off-cpu"]].concat())
        .refused(1, &["/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF", "--btf"]);

    let types = ["--btf", text(&types)];
    let output = without_types(&[&["--check", "--json"], &types[..]].concat()).success();
    assert_works(&abilities(&output), &EVERYTHING);
    let all = [&record[..], &["--off-cpu", "--syscalls"], &types].concat();
    without_types(&all).success();
    let contents = Contents::read(&trace);
    assert!(contents.samples.len() > 100 && !contents.waits.is_empty(), "{}", contents.waits.len());
    assert_eq!(contents.losses(), Vec::<&rz_format::Loss>::new());

    for (file, why) in [("/etc/passwd", "another format"), ("/nowhere", "No such file")] {
        let wrong = [&record[..], &["--tier", "bpf", "--btf", file]].concat();
        without_types(&wrong).refused(1, &[file, why]);
    }
}

#[test]
fn a_seccomp_profile() {
    let dir = temp_dir();
    let trace = dir.path().join("t.rz");
    let target = Target::start("deep20", &[]);
    let pid = target.pid_text();
    let record = ["-q", "-F", "499", "-d", "1", "-p", &pid, "-o", text(&trace)];
    // Without bpf there are perf events.
    sealed(&[BPF], &record).success();
    assert!(Contents::read(&trace).samples.len() > 100);
    let waits = [&record[..], &["--off-cpu", "--force"]].concat();
    sealed(&[BPF], &waits).refused(1, &["--off-cpu", "seccomp"]);
    let again = [&record[..], &["--force"]].concat();
    sealed(&[PERF_EVENT_OPEN, BPF], &again).refused(1, &["perf events", "seccomp"]);
    // What was recorded before is still there.
    assert!(Contents::read(&trace).samples.len() > 100);
    let output = sealed(&[PERF_EVENT_OPEN, BPF], &["--check", "--json"]);
    assert_works(&abilities(&output.code(1)), &EVERYTHING.map(|(id, _)| (id, id == "confined")));
}

#[test]
fn a_container_without_the_capabilities() {
    let mut command = Command::new(tool("setpriv"));
    command.args(["--bounding-set=-sys_admin,-bpf,-perfmon", "--inh-caps=-all"]);
    let output = run(command.arg(binary("rec")).args(["--check", "--json"])).success();
    let found = abilities(&output);
    assert_works(&found, &EVERYTHING.map(|(id, _)| (id, ["own", "confined"].contains(&id))));
    assert!(found[1].2.contains("--cap-add BPF --cap-add PERFMON"), "{found:#?}");
}

/// While it records, it can do little else: each of its threads.
#[test]
fn a_recorder_gives_up_its_rights() {
    // kill, ipc_lock, dac_read_search, sys_ptrace, sys_resource, syslog, perfmon, bpf,
    // checkpoint_restore: see capabilities(7).
    let kept = [5, 14, 2, 19, 24, 34, 38, 39, 40].into_iter().fold(0_u64, |all, it| all | 1 << it);
    let target = Target::start("split", &[]);
    for tier in ["bpf", "perf"] {
        let args = ["--tier", tier, "-d", "100", "-p", &target.pid_text()];
        let recorder = Recorder::start(&args);
        let before = recorder.blocks();
        wait_until("samples", || recorder.blocks() > before);
        let tasks = fs::read_dir(format!("/proc/{}/task", recorder.pid())).unwrap();
        let states: Vec<String> = tasks
            .map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap())
            .collect();
        assert_eq!(states.len(), 4, "{states:?}");
        for state in &states {
            let of = |key: &str| {
                let line = state.lines().find_map(|line| line.strip_prefix(key));
                line.expect("a line of that name").trim().to_owned()
            };
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
                let held = u64::from_str_radix(&of(set), 16).unwrap();
                assert_eq!(held & !kept, 0, "{tier}: {set} {held:x}");
            }
            assert_eq!((&*of("NoNewPrivs:"), &*of("Seccomp:")), ("1", "2"), "{tier}: {state}");
        }
        recorder.signal(Signal::SIGINT);
        let trace = recorder.finish();
        assert!(!trace.contents().samples.is_empty());
    }
}
