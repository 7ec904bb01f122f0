//! Logs and texts of other tools say what their lines add up to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rz_tests::{conv, program, report, run, temp_dir, text, tool};
use serde_json::Value;

/// Threads and processes that look for files which are there and which are not.
const LOOKING: &str = r#"
import os, subprocess, sys, threading
def look():
    for _ in range(20):
        os.stat("/")
        try: os.stat("/no/such/file")
        except OSError: pass
threads = [threading.Thread(target=look) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
subprocess.run([sys.argv[1]])
os.write(1, b"a) = b\n")
"#;

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&report(args).success().stdout).unwrap()
}

/// What lines of a log of strace add up to, by call: how many, how many errors, nanoseconds.
fn sums_of(log: &str) -> BTreeMap<String, (u64, u64, u64)> {
    let mut sums: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
    for line in log.lines() {
        let Some((_, result)) = line.rsplit_once(" = ") else { continue };
        if result.starts_with('?') {
            continue;
        }
        let name = match line.split_once("<... ") {
            Some((_, resumed)) => resumed.split(' ').next().unwrap(),
            None => line.split('(').next().unwrap().rsplit(' ').next().unwrap(),
        };
        let time = result.rsplit_once('<').map(|(_, time)| time.trim_end_matches('>'));
        let seconds: f64 = time.map_or(0.0, |time| time.parse().unwrap());
        let sum = sums.entry(name.to_owned()).or_default();
        sum.0 += 1;
        sum.1 += u64::from(result.starts_with("-1 "));
        sum.2 += (seconds * 1e9).round() as u64;
    }
    sums
}

#[test]
fn logs_of_strace() {
    let dir = temp_dir();
    let (script, log) = (dir.path().join("look.py"), dir.path().join("strace.log"));
    fs::write(&script, LOOKING).unwrap();
    let traced = |options: &[&str]| {
        let mut strace = Command::new(tool("strace"));
        strace.args(options).args(["-o", text(&log)]);
        run(strace.arg(tool("python3")).arg(&script).arg(tool("true"))).success();
        fs::read_to_string(&log).unwrap()
    };
    for options in [&["-f", "-ttt", "-T"][..], &["-f", "-tt", "-T", "-y", "-n"]] {
        let written = traced(options);
        let expected = sums_of(&written);
        assert!(expected["newfstatat"].1 >= 60, "{expected:?}");
        let document = json(&[text(&log), "--syscalls", "--limit", "1000", "--json"]);
        let calls = document["data"]["calls"]["rows"].as_array().unwrap();
        let number = |row: &Value, key: &str| row[key].as_u64().unwrap();
        let found: BTreeMap<String, (u64, u64, u64)> = calls
            .iter()
            .map(|row| {
                let name = row["syscall"].as_str().unwrap().to_owned();
                (name, (number(row, "count"), number(row, "errors"), number(row, "total_ns")))
            })
            .collect();
        assert_eq!(found, expected, "{options:?}");
        let mut tids: Vec<&str> =
            written.lines().filter_map(|line| line.split(' ').next()).collect();
        tids.sort_unstable();
        tids.dedup();
        let threads = document["data"]["threads"]["rows"].as_array().unwrap();
        assert_eq!(threads.len(), tids.len(), "{threads:#?}");
    }
    // The list has each call with its arguments, as the log has them.
    let listed = report(&[text(&log), "--syscalls", "--list"]).success().stdout;
    assert!(listed.contains(r#""/no/such/file""#) && listed.contains("ENOENT"), "{listed}");
    assert!(listed.contains("O_RDONLY|O_CLOEXEC"), "{listed}");
    // What it does not say is not guessed.
    traced(&["-f"]);
    let said = report(&[text(&log), "--syscalls"]).success().stderr;
    assert!(said.contains("strace -T") && said.contains("strace -ttt"), "{said}");
}

/// Python's own reader says how long functions took.
#[test]
fn stats_of_cprofile() {
    let dir = temp_dir();
    let script = dir.path().join("work.py");
    fs::write(
        &script,
        "def leaf(n):\n    return sum(i * i for i in range(n))\n\
         def much():\n    return [leaf(30000) for _ in range(30)]\n\
         def little():\n    return [leaf(30000) for _ in range(10)]\n\
         def deep(n):\n    return leaf(10) + (deep(n - 1) if n else 0)\n\
         much(); little(); deep(50)\n",
    )
    .unwrap();
    let stats = dir.path().join("work.pstats");
    let mut python = Command::new(tool("python3"));
    run(python.args(["-m", "cProfile", "-o", text(&stats)]).arg(&script)).success();
    let ask = "import json, pstats, sys\n\
               stats = pstats.Stats(sys.argv[1])\n\
               own = {}\n\
               for (_, _, name), (_, _, tottime, _, _) in stats.stats.items():\n\
               \x20   own[name] = own.get(name, 0) + tottime\n\
               print(json.dumps({'total': stats.total_tt, 'own': own}))\n";
    let said = run(Command::new(tool("python3")).args(["-c", ask, text(&stats)])).success().stdout;
    let said: Value = serde_json::from_str(&said).unwrap();
    let document = json(&[text(&stats), "--limit", "1000", "--json"]);
    let nanos = |value: &Value| (value.as_f64().unwrap() * 1e9).round();
    let functions = document["data"]["functions"]["rows"].as_array().unwrap();
    let total = document["event"]["total"]["weight"].as_f64().unwrap();
    let most = functions.len() as f64;
    assert!((total - nanos(&said["total"])).abs() <= most, "{total} {}", said["total"]);
    for name in ["leaf", "much", "little", "deep"] {
        let found = functions.iter().find(|row| row["function"] == name).unwrap();
        let found = found["self"]["weight"].as_f64().unwrap();
        assert!(
            (found - nanos(&said["own"][name])).abs() <= 1.0,
            "{name}: {found} {}",
            said["own"]
        );
    }
}

/// Every event of the text is one of the trace's, with as many samples.
#[test]
fn perf_script_with_several_events() {
    let dir = temp_dir();
    let data = dir.path().join("perf.data");
    let mut perf = Command::new(tool("perf"));
    perf.args(["record", "-q", "-g", "--sample-cpu", "-e", "cpu-clock,page-faults", "-F", "999"]);
    run(perf.args(["-o", text(&data), "--"]).args(program("split")).arg("1")).success();
    let script = |more: &[&str]| {
        let args = [&["script", "-i", text(&data)], more].concat();
        run(Command::new(tool("perf")).args(args)).success().stdout
    };
    check_events(dir.path(), &script(&[]));
    check_events(dir.path(), &script(&["--header", "-F", "comm,pid,tid,time,event,ip,sym,dso"]));
    check_events(dir.path(), &script(&["-F", "comm,tid,event,period,ip,sym,dso"]));
}

fn check_events(dir: &Path, script: &str) {
    let path = dir.join("script.txt");
    fs::write(&path, script).unwrap();
    for name in ["cpu-clock", "page-faults"] {
        let is_of =
            |line: &&str| !line.starts_with(['#', '\t', ' ']) && line.contains(&format!("{name}:"));
        let expected = script.lines().filter(is_of).count() as u64;
        assert!(expected > 0, "{name}: {script}");
        let document = json(&[text(&path), "--event", name, "--json"]);
        assert_eq!(document["event"]["total"]["samples"], expected, "{name}: {document:#}");
    }
}

/// What is no trace is called what it is, and what to do is said, in one line.
#[test]
fn files_of_others_where_traces_are_needed() {
    let dir = temp_dir();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let folded = file("a.folded", b"app;main 3\n");
    let bzip = file("a.bz2", b"BZh91AY");
    let out = dir.path().join("out.rz");
    let first = ["a.folded: not an rz trace but text, one line per stack: conv ", " --to rz makes"];
    conv(&[text(&folded), text(&folded), "--to", "rz", "-o", text(&out)]).refused(1, &first);
    conv(&["--repair", text(&folded), "-o", text(&out)]).refused(1, &first);
    let packed = ["a.bz2: not an rz trace but compressed by bzip2: unpack it with bunzip2"];
    conv(&[text(&bzip), "--to", "folded", "-o", text(&out)]).refused(1, &packed);
    report(&[text(&bzip)]).refused(1, &packed);
    report(&["--diff", text(&folded), text(&bzip)]).refused(1, &packed);
    assert!(!out.exists());
}
