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

/// Sorts, which calls back what compares by another call of a library, and waits in two threads.
const SORTING: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
static void *wait(void *unused) { usleep(20000); usleep(20000); return unused; }
int main(void) {
    char *words[] = {"b = (", "a", "c", "d", 0};
    pthread_t thread;
    pthread_create(&thread, 0, wait, 0);
    qsort(words, 4, sizeof *words, compare);
    usleep(30000);
    for (int i = 0; i < 4; i++) puts(words[i]);
    pthread_join(thread, 0);
    return 0;
}
"#;

/// Calls are in those that they were made in, as often as the log has them, and take as long as
/// it says.
#[test]
fn logs_of_ltrace() {
    let dir = temp_dir();
    let (source, sorting) = (dir.path().join("sorting.c"), dir.path().join("sorting"));
    fs::write(&source, SORTING).unwrap();
    let mut compiler = Command::new(tool("gcc"));
    run(compiler.args(["-O1", "-pthread", "-o", text(&sorting), text(&source)])).success();
    let log = dir.path().join("ltrace.log");
    for options in [&["-f", "-ttt", "-T", "-n", "2"][..], &["-f", "-tt", "-T", "-S"]] {
        let mut ltrace = Command::new(tool("ltrace"));
        run(ltrace.args(options).args(["-o", text(&log)]).arg(&sorting)).success();
        let lines = fs::read_to_string(&log).unwrap();
        let functions = json(&[text(&log), "--json", "--event", "calls"]);
        let rows = functions["data"]["functions"]["rows"].as_array().unwrap().clone();
        for name in ["strcmp", "puts", "usleep", "qsort"] {
            let calls = lines.matches(&format!(" {name}(")).count();
            let row = rows.iter().find(|row| row["function"] == name).expect(name);
            assert_eq!(row["self"]["weight"], calls, "{name}: {lines}");
        }
        let stacks = conv(&[text(&log), "--to", "csv", "-q", "-o", "-"]).success().stdout;
        // Microseconds of a function with all that is in it.
        let time_in = |name: &str| -> f64 {
            let with = |row: &&str| row.contains("duration") && row.contains(name);
            let weight = |row: &str| row.split(',').rev().nth(1).unwrap().parse::<f64>().unwrap();
            stacks.lines().filter(with).map(weight).sum::<f64>() / 1e3
        };
        for name in ["qsort", "pthread_join"] {
            let is_end = |line: &&str| line.contains(name) && line.ends_with('>');
            let seconds =
                |line: &str| line.rsplit_once('<')?.1.trim_end_matches('>').parse::<f64>().ok();
            let expected: f64 = lines.lines().filter(is_end).filter_map(seconds).sum();
            assert!((time_in(name) - expected * 1e6).abs() < 1.0, "{name}: {stacks}\n{lines}");
        }
        assert!(stacks.contains("qsort;strcmp"), "{stacks}");
        if options.contains(&"-S") {
            assert!(stacks.contains("usleep;clock_nanosleep"), "{stacks}");
        }
    }
    // A summary has no calls.
    let mut ltrace = Command::new(tool("ltrace"));
    run(ltrace.args(["-c", "-o", text(&log)]).arg(&sorting)).success();
    report(&[text(&log)]).refused(1, &["ltrace.log: not an rz trace but a summary of strace or"]);
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
    // What is known nowhere: what can be read, and where that is listed.
    let other = file("other", b"hello\n");
    let nothing = ["other: not an rz trace, nor of a format that one can be made of", "--formats"];
    conv(&[text(&other), "--to", "folded", "-o", text(&out)]).refused(1, &nothing);
    conv(&[text(&other), "--to", "rz", "-o", text(&out)]).refused(1, &nothing);
    report(&[text(&other)]).refused(1, &nothing);
    let listed = conv(&["--formats"]).success().stdout;
    for format in ["perf.data, as perf record", "log of ltrace", "raw recording of rbspy", "lcov"] {
        assert!(listed.contains(format), "{format}: {listed}");
    }
    let folder = dir.path().join("perf");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("data"), b"PERFILE2").unwrap();
    report(&[text(&folder)]).refused(1, &["perf: not an rz trace but a folder of perf record"]);
}
