//! Programs as people run them: servers, interpreters, compilers.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rz_convert::export::{ExportOptions, Format, export};
use rz_profile::load::{LoadOptions, load};
use rz_profile::model::{FrameKind, LocationId, Profile, Sample};
use rz_tests::{Folded, Redis, Target, program_path, rec, run, temp_dir, text, tool};

/// `perf` and `rec` watch the same server at the same time, and see the same.
#[test]
fn redis_under_load_looks_as_perf_sees_it() {
    let dir = temp_dir();
    let redis = Redis::start(dir.path());
    let mut client = redis.benchmark();
    client.args(["-l", "-q", "-r", "100000", "-c", "20", "-P", "8"]);
    client.args(["-t", "set,get,lpush,zadd,lrange_100"]);
    let client = client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _client = Killed(client.spawn().unwrap());
    let pid = redis.pid().to_string();
    let (trace, data) = (dir.path().join("t.rz"), dir.path().join("perf.data"));
    let mut perf = Command::new(tool("perf"))
        .args(["record", "-q", "-F", "997", "-g", "-p", &pid, "-o", text(&data), "--"])
        .args(["sleep", "5"])
        .spawn()
        .unwrap();
    let output = rec(&["-d", "5", "-F", "997", "-p", &pid, "-o", text(&trace)]);
    assert!(perf.wait().unwrap().success());
    output.success();

    let profile = load(&trace, &LoadOptions::default()).unwrap();
    assert!(profile.info.samples > 300, "{:?}", profile.info);
    let complete = share_that_is_complete(&profile);
    assert!(complete >= 0.95, "{complete} of {} samples", profile.info.samples);
    let ours = top_self(&profile);
    let theirs = perf_top_self(&data);
    let same = theirs.iter().filter(|name| ours.contains(name)).count();
    assert!(same >= 6, "{same} of 10 are the same:\n{ours:?}\n{theirs:?}");
    assert!(profile.info.notes.is_empty(), "{:?}", profile.info.notes);
}

#[test]
fn python_shows_its_interpreter() {
    let profile = recorded("python3", "workload.py");
    assert!(share_that_is_complete(&profile) >= 0.95, "{:?}", profile.info);
    let folded = folded(&profile);
    let interpreting = folded.share(";_PyEval_EvalFrameDefault");
    assert!(interpreting >= 0.95, "{interpreting}\n{}", folded.head(10));
}

/// V8 keeps frame pointers in all code that it generates, and saves what it
/// needs to find its way back, so stacks lead through generated code to the
/// entry. What may be missed are single samples in its hand-written stubs.
#[test]
fn node_is_followed_through_generated_code() {
    let profile = recorded("node", "workload.js");
    let complete = share_that_is_complete(&profile);
    assert!(complete >= 0.95, "{complete} {:?}", profile.info);
    let folded = folded(&profile);
    let functions = folded.share(";hot_[j]") + folded.share(";cold_[j]");
    assert!(functions >= 0.9, "{functions}\n{}", folded.head(10));
    assert!(folded.share(";node::Start(int, char**);") >= 0.9, "{}", folded.head(10));
    assert!(folded.share(";Builtins_JSEntry;") >= 0.9, "{}", folded.head(10));
}

/// A build starts processes that start processes; all are recorded, each by
/// its own name.
#[test]
fn a_build_is_recorded_with_its_children() {
    let dir = temp_dir();
    let manifest = "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                    [workspace]\n[profile.dev]\nopt-level = 1\n";
    fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    // Enough to compile that the compiler is seen at it.
    let functions: String = (0..40)
        .map(|i| {
            format!(
                "pub fn f{i}(words: &[String]) -> std::collections::BTreeMap<String, Vec<u64>> {{ \
                 words.iter().map(|w| (w.clone(), w.bytes().map(u64::from).map(|b| b * {i}).collect())).collect() }}\n"
            )
        })
        .collect();
    fs::write(dir.path().join("src/lib.rs"), functions).unwrap();

    let trace = dir.path().join("t.rz");
    let mut command = Command::new(rz_tests::binary("rec"));
    command.args(["-F", "499", "-o", text(&trace), "--"]).arg(env!("CARGO"));
    command.args(["build", "--quiet", "--offline"]).current_dir(dir.path());
    // The variables of the cargo that runs this test are not for that one.
    command
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env("CARGO_TARGET_DIR", dir.path().join("target"));
    let output = run(&mut command).success();
    assert!(output.stderr.contains(" 0 lost"), "{output}");

    let profile = load(&trace, &LoadOptions::default()).unwrap();
    let names: Vec<&str> = profile.processes.iter().map(|p| p.name.as_str()).collect();
    assert!(names.len() > 2 && names.contains(&"cargo") && names.contains(&"rustc"), "{names:?}");
    let folded = folded(&profile);
    assert!(folded.count("rustc;") > 100, "{}", folded.head(20));
    let compiling = folded.count("rustc_") + folded.count("llvm::");
    assert!(compiling as f64 >= 0.5 * folded.total() as f64, "{}", folded.head(20));
    // A program that is just starting runs in its loader, from its first
    // instruction on. (Deep in a compiler, stacks are longer than what is
    // copied of them.)
    assert_eq!(folded.count("[truncated];_start;"), 0, "{}", folded.head(20));
    assert_eq!(folded.count("[truncated];_dl_start_user;"), 0, "{}", folded.head(20));
}

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two seconds of a target program that `interpreter` runs.
fn recorded(interpreter: &str, script: &str) -> Profile {
    let dir = temp_dir();
    let trace = dir.path().join("t.rz");
    let target = Target::spawn(Command::new(tool(interpreter)).arg(program_path(script)));
    let pid = target.pid().to_string();
    rec(&["-d", "2", "-F", "997", "-p", &pid, "-o", text(&trace)]).success();
    let profile = load(&trace, &LoadOptions::default()).unwrap();
    assert!(profile.info.samples > 300, "{:?}", profile.info);
    profile
}

fn folded(profile: &Profile) -> Folded {
    let mut bytes = Vec::new();
    export(profile, Format::Folded, &ExportOptions::default(), &mut bytes).unwrap();
    Folded::parse(&String::from_utf8(bytes).unwrap())
}

/// The share of samples whose stack leads to where a process or thread begins.
fn share_that_is_complete(profile: &Profile) -> f64 {
    let begins = |sample: &&Sample| {
        let mut node = profile.stacks[sample.stack.unwrap()];
        while let Some(parent) = node.parent {
            node = profile.stacks[parent];
        }
        let names = ["_start", "_dl_start_user", "clone", "clone3", "__clone", "__clone3"];
        names.contains(&outermost_name(profile, node.location))
    };
    let complete: u64 = profile.samples.iter().filter(begins).map(|sample| sample.count).sum();
    complete as f64 / profile.info.samples as f64
}

/// The name of the function at a location, of those inlined there the one
/// that is in the symbol table.
fn outermost_name(profile: &Profile, location: LocationId) -> &str {
    let line = profile.locations[location].lines.last().unwrap();
    &profile.functions[line.function].name
}

/// The ten functions of the program and its libraries, and not of the kernel,
/// in which most samples were taken.
fn top_self(profile: &Profile) -> Vec<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for sample in &profile.samples {
        let location = profile.stacks[sample.stack.unwrap()].location;
        let name = outermost_name(profile, location);
        if profile.locations[location].kind == FrameKind::User && !name.starts_with('[') {
            *counts.entry(name).or_default() += sample.count;
        }
    }
    let mut names: Vec<_> = counts.into_iter().collect();
    names.sort_by_key(|&(_, count)| Reverse(count));
    names.into_iter().take(10).map(|(name, _)| name.to_owned()).collect()
}

/// The same of a recording that `perf` made.
fn perf_top_self(data: &Path) -> Vec<String> {
    let mut perf = Command::new(tool("perf"));
    perf.args(["report", "-i", text(data), "--stdio", "--no-children", "-g", "none"]);
    let report = run(perf.args(["--sort", "sym", "--percent-limit", "0.1"])).success();
    // `   7.32%  [.] name` for user code; an address where there is no name.
    let names = report.stdout.lines().filter_map(|line| line.split_once("[.] "));
    let mut names: Vec<(f64, &str)> = names
        .map(|(share, name)| (share.trim().trim_end_matches('%').parse().unwrap(), name.trim()))
        .filter(|(_, name)| !name.starts_with("0x"))
        .collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0));
    names.into_iter().take(10).map(|(_, name)| name.to_owned()).collect()
}
