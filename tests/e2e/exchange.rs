//! What other tools have written is read, and says what they say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rz_tests::{Folded, Target, Trace, conv, report, run, temp_dir, text, tool};
use serde_json::Value;

/// Two functions, the one with three times the other's work.
const SCRIPT: &str = "
function turn(rounds) { let x = 0; for (let i = 0; i < rounds; i++) x = (x * 31 + i) ^ (x >>> 3); return x; }
function much() { return [1].map(() => turn(3e6)); }
function little() { return [1].map(() => turn(1e6)); }
function keep() { return Array.from({ length: 2e4 }, (_, i) => ({ i })); }
globalThis.kept = keep();
for (const end = Date.now() + 1500; Date.now() < end; ) { much(); little(); }
";

fn imported(input: &Path) -> PathBuf {
    let trace = input.with_extension("rz");
    conv(&[text(input), "--to", "rz", "-o", text(&trace)]).success();
    trace
}

fn folded(trace: &Path) -> Folded {
    Folded::parse(&conv(&[text(trace), "--to", "folded", "-q", "-o", "-"]).success().stdout)
}

fn summary(trace: &Path) -> Value {
    let output = report(&[text(trace), "--json"]).success().stdout;
    serde_json::from_str(&output).unwrap()
}

#[test]
fn profiles_of_node() {
    let dir = temp_dir();
    let script = dir.path().join("work.js");
    fs::write(&script, SCRIPT).unwrap();
    let mut node = Command::new(tool("node"));
    node.args(["--cpu-prof", "--cpu-prof-name=work.cpuprofile", "--heap-prof"]);
    node.args(["--heap-prof-name=work.heapprofile", "--heap-prof-interval=4096"]);
    run(node.arg(&script).current_dir(dir.path())).success();
    let stacks = folded(&imported(&dir.path().join("work.cpuprofile")));
    let (much, little) = (stacks.share(";much"), stacks.share(";little"));
    assert!((2.4..3.6).contains(&(much / little)), "{much} {little}\n{}", stacks.head(9));
    assert!(much + little > 0.8, "{}", stacks.head(9));
    let heap = folded(&imported(&dir.path().join("work.heapprofile")));
    assert!(heap.share(";keep") > 0.3, "{}", heap.head(9));
}

/// What functions cost by themselves is what callgrind's own tool says.
#[test]
fn counts_of_callgrind() {
    let dir = temp_dir();
    let path = dir.path().join("callgrind.out");
    let mut valgrind = Command::new(tool("valgrind"));
    valgrind.args(["--tool=callgrind", &format!("--callgrind-out-file={}", path.display())]);
    run(valgrind.arg(tool("true"))).success();
    let mut annotate = Command::new(tool("callgrind_annotate"));
    let said = run(annotate.args(["--threshold=100", text(&path)])).success().stdout;
    let number = |line: &str| {
        let first = line.split_whitespace().next().unwrap();
        first.replace(',', "").parse::<u64>().unwrap()
    };
    let total = number(said.lines().find(|line| line.ends_with("PROGRAM TOTALS")).unwrap());
    let document = summary(&imported(&path));
    assert_eq!(document["event"]["total"]["weight"], total, "{said}");
    // `1,234 (12.3%)  file:function [object]`, once for each file that it has lines of.
    let function_of = |line: &str| {
        let place = line.split_once("%)")?.1.trim().split(" [").next()?;
        Some(place.rsplit_once(':')?.1.to_owned())
    };
    let hottest = said.lines().find_map(function_of).unwrap();
    let rows = said.lines().filter(|line| function_of(line).as_ref() == Some(&hottest));
    let expected: u64 = rows.map(number).sum();
    let functions = document["data"]["functions"]["rows"].as_array().unwrap();
    let found = functions.iter().find(|row| row["function"] == hottest[..]);
    let found = found.unwrap_or_else(|| panic!("no {hottest}: {functions:#?}"));
    assert_eq!(found["self"]["weight"], expected, "{said}");
}

/// What a compiler says of its own time.
#[test]
fn trace_events_of_a_compiler() {
    let dir = temp_dir();
    fs::write(
        dir.path().join("a.c"),
        "#include <stdio.h>\nint main(void) { return !puts(\"a\"); }\n",
    )
    .unwrap();
    let mut clang = Command::new(tool("clang-14"));
    clang.args(["-ftime-trace", "-ftime-trace-granularity=0", "-c", "a.c"]);
    run(clang.current_dir(dir.path())).success();
    let path = dir.path().join("a.json");
    let events: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let events = events["traceEvents"].as_array().unwrap();
    let whole = events.iter().find(|event| event["name"] == "ExecuteCompiler").unwrap();
    let stacks = folded(&imported(&path));
    let found: u64 = stacks
        .stacks
        .iter()
        .filter(|(stack, _)| stack.split(';').any(|frame| frame == "ExecuteCompiler"))
        .map(|s| s.1)
        .sum();
    let expected = whole["dur"].as_u64().unwrap();
    // Both are in microseconds; each stack is rounded.
    let most = stacks.stacks.len() as u64;
    assert!(found.abs_diff(expected) <= most, "{found} and {expected} µs, {most} stacks");
}

/// What was measured in each stack; names here have no commas.
fn weights(trace: &Path) -> Folded {
    let table = conv(&[text(trace), "--to", "csv", "-q", "-o", "-"]).success().stdout;
    let lines = table.lines().skip(1).map(|row| {
        let (rest, stack) = row.rsplit_once(',').unwrap();
        format!("{stack} {}\n", rest.rsplit_once(',').unwrap().1)
    });
    Folded::parse(&lines.collect::<String>())
}

/// What we write for others comes back, and where it has times to the nanosecond.
#[test]
fn there_and_back() {
    let target = Target::start("split", &["9"]);
    let trace = Trace::of(target.pid(), "1", &["-q"]);
    drop(target);
    let path = trace.path();
    let ours = weights(&path);
    for format in ["speedscope", "firefox", "chrome"] {
        let written = path.with_file_name(format!("{format}.json"));
        conv(&[text(&path), "--to", format, "-q", "-o", text(&written)]).success();
        let back = weights(&imported(&written));
        assert_eq!(back.total(), ours.total(), "{format}: {}", back.head(9));
        for part in [";main", ";hot", ";warm"] {
            assert_eq!(back.count(part), ours.count(part), "{format}: {part}: {}", back.head(9));
        }
    }
}

/// Writes what Go writes, for people and for pprof.
const GO_PROFILES: &str = r#"package main

import ("os"; "runtime"; "runtime/pprof"; "sync"; "time")

var keep [][]byte
var mutex sync.Mutex

func leak() { for i := 0; i < 5000; i++ { keep = append(keep, make([]byte, 1000)) } }
func waiter(c chan int) { <-c }
func hold() { mutex.Lock(); time.Sleep(5 * time.Millisecond); mutex.Unlock() }

func main() {
	runtime.MemProfileRate = 512
	runtime.SetMutexProfileFraction(1)
	leak()
	c := make(chan int)
	for i := 0; i < 5; i++ { go waiter(c) }
	var group sync.WaitGroup
	for i := 0; i < 4; i++ { group.Add(1); go func() { for j := 0; j < 3; j++ { hold() }; group.Done() }() }
	group.Wait()
	runtime.GC()
	for _, name := range []string{"heap", "goroutine", "mutex"} {
		for debug, extension := range []string{".gz", ".txt"} {
			file, _ := os.Create(name + extension)
			pprof.Lookup(name).WriteTo(file, debug)
			file.Close()
		}
	}
}
"#;

/// The sum of an event.
fn total(trace: &Path, event: &str) -> u64 {
    let output = report(&[text(trace), "--json", "--event", event]).success().stdout;
    let document: Value = serde_json::from_str(&output).unwrap();
    document["event"]["total"]["weight"].as_u64().unwrap()
}

/// The sum of all stacks with a function.
fn sum_with(stacks: &Folded, function: &str) -> u64 {
    stacks.stacks.iter().filter(|(stack, _)| stack.contains(function)).map(|s| s.1).sum()
}

#[test]
fn texts_of_go() {
    let dir = temp_dir();
    fs::write(dir.path().join("main.go"), GO_PROFILES).unwrap();
    let mut go = Command::new(tool("go"));
    go.args(["run", "main.go"]).current_dir(dir.path());
    run(go.env("GOCACHE", dir.path().join("cache"))).success();
    for (name, event) in [("heap", "inuse_space"), ("goroutine", "goroutine"), ("mutex", "delay")] {
        let of = |extension| imported(&dir.path().join(format!("{name}.{extension}")));
        let protobuf = total(&of("gz"), event) as f64;
        let text = total(&of("txt"), event) as f64;
        // Each stack's estimate is rounded, and to write the one profile allocates, too.
        assert!((text / protobuf - 1.0).abs() < 0.05, "{name}: {text} {protobuf}");
    }
    let goroutines = folded(&imported(&dir.path().join("goroutine.txt")));
    assert_eq!(sum_with(&goroutines, "main.waiter"), 5);
}

/// Calculates, allocates, and waits for a lock.
const JAVA: &str = "
public class Work {
  static volatile long sink;
  static final Object lock = new Object();
  static long turn(long rounds) { long x = 1; for (long i = 0; i < rounds; i++) x = x * 31 + i ^ (x >>> 3); return x; }
  static void much() { sink += turn(3_000_000); }
  static void little() { sink += turn(1_000_000); }
  static void allocate() { for (int i = 0; i < 2000; i++) sink += new byte[4000].length; }
  static void hold() { synchronized (lock) { try { Thread.sleep(30); } catch (InterruptedException e) { } } }
  public static void main(String[] args) throws Exception {
    Thread holder = new Thread(() -> { for (int i = 0; i < 20; i++) hold(); }, \"holder\");
    holder.start();
    long end = System.currentTimeMillis() + 3000;
    for (int i = 0; System.currentTimeMillis() < end; i++) { much(); little(); allocate(); if (i % 20 == 0) hold(); }
    holder.join();
  }
}
";

/// Sums are what the virtual machine's own tool says.
#[test]
fn recordings_of_java() {
    let dir = temp_dir();
    fs::write(dir.path().join("Work.java"), JAVA).unwrap();
    let mut java = Command::new(tool("java"));
    java.args(["-XX:StartFlightRecording=filename=work.jfr,settings=profile", "Work.java"]);
    run(java.current_dir(dir.path())).success();
    let path = dir.path().join("work.jfr");
    let trace = imported(&path);
    let values = |event: &str| -> Vec<Value> {
        let mut jfr = Command::new(tool("jfr"));
        let said = run(jfr.args([
            "print",
            "--json",
            "--stack-depth",
            "1",
            "--events",
            event,
            text(&path),
        ]));
        let document: Value = serde_json::from_str(&said.success().stdout).unwrap();
        let events = document["recording"]["events"].as_array().unwrap().clone();
        events.into_iter().map(|event| event["values"].clone()).collect()
    };
    let samples = values("jdk.ExecutionSample");
    assert!(samples.len() > 20, "{}", samples.len());
    assert_eq!(total(&trace, "samples"), samples.len() as u64);
    let weights = values("jdk.ObjectAllocationSample");
    let weight: u64 = weights.iter().map(|event| event["weight"].as_u64().unwrap()).sum();
    assert_eq!(total(&trace, "alloc_space"), weight);
    let waits = values("jdk.JavaMonitorEnter");
    // `PT0.03S`, to the nanosecond.
    let seconds = |event: &Value| {
        let text = event["duration"].as_str().unwrap();
        text.trim_start_matches("PT").trim_end_matches('S').parse::<f64>().unwrap()
    };
    let waited: f64 = waits.iter().map(|event| seconds(event) * 1e9).sum();
    let ours = total(&trace, "lock") as f64;
    assert!(waited > 1e7 && (ours - waited).abs() < 1e3 * waits.len() as f64, "{ours} {waited}");
    let stacks = folded(&trace);
    let (much, little) = (stacks.share("Work.much"), stacks.share("Work.little"));
    assert!(much > little && much + little > 0.5, "{much} {little}\n{}", stacks.head(9));
}

/// Sums are what heaptrack's own tool says.
#[test]
fn recordings_of_heaptrack() {
    let dir = temp_dir();
    let mut heaptrack = Command::new(tool("heaptrack"));
    heaptrack.args(["-o", text(&dir.path().join("heap"))]).arg(tool("ls")).arg("/");
    run(heaptrack.current_dir(dir.path())).success();
    let mut files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(|path| path.is_file()).expect("a recording");
    let trace = imported(&path);
    let stacks = dir.path().join("stacks");
    for (cost, event) in [
        ("allocations", "alloc_objects"),
        ("temporary", "temporary_objects"),
        ("leaked", "leaked_space"),
        ("peak", "peak_space"),
    ] {
        let mut print = Command::new(tool("heaptrack_print"));
        // Without what it hides of known libraries.
        print.args(["--disable-builtin-suppressions", "--flamegraph-cost-type", cost]);
        run(print.args(["-F", text(&stacks), "-f", text(&path)])).success();
        let expected = Folded::parse(&fs::read_to_string(&stacks).unwrap()).total();
        // What was allocated first is temporary to it whenever something was freed before.
        let most = u64::from(cost == "temporary");
        let ours = total(&trace, event);
        assert!(ours.abs_diff(expected) <= most, "{cost}: {ours} {expected}");
    }
}

/// Allocates what stays, what is freed at once and what is mapped, also in another thread.
const ALLOCATING: &str = "
import mmap, threading
kept = []
def keep(size):
    kept.append(bytearray(size))
def pass_by():
    for _ in range(20):
        bytearray(300_000)
def peak():
    large = bytearray(5_000_000)
    keep(400_000)
    return len(large)
def mapped():
    kept.append(mmap.mmap(-1, 1 << 20))
keep(1_000_000)
peak()
thread = threading.Thread(target=keep, args=(70_000,), name='helper')
thread.start()
thread.join()
pass_by()
mapped()
";

/// What memray's own reader says: bytes by function and line, and how many times.
const MEMRAY: &str = "
import json, sys, memray
def sums(records):
    functions, lines, count = {}, {}, 0
    for record in records:
        name, _, line = (record.stack_trace() or [('work.py', '', 0)])[0]
        functions[name] = functions.get(name, 0) + record.size
        lines[f'{name}:{line}'] = lines.get(f'{name}:{line}', 0) + record.size
        count += record.n_allocations
    return {'functions': functions, 'lines': lines, 'bytes': sum(lines.values()), 'count': count}
reader = memray.FileReader(sys.argv[1])
found = {'peak': sums(reader.get_high_watermark_allocation_records(merge_threads=False)),
         'leaked': sums(reader.get_leaked_allocation_records(merge_threads=False))}
if sys.argv[2] == 'single':
    found['temporary'] = sums(reader.get_temporary_allocation_records())
    all = [record for record in reader.get_allocation_records() if record.allocator not in (1, 5, 15)]
    found['alloc'] = {'bytes': sum(record.size for record in all), 'count': len(all)}
print(json.dumps(found))
";

/// What functions have themselves.
fn by_function(trace: &Path, event: &str) -> BTreeMap<String, u64> {
    let written = conv(&[text(trace), "--to", "folded", "--event", event, "-q", "-o", "-"]);
    let mut functions = BTreeMap::new();
    for (stack, weight) in Folded::parse(&written.success().stdout).stacks {
        let leaf = stack.rsplit(';').next().unwrap().to_owned();
        *functions.entry(leaf).or_default() += weight;
    }
    functions
}

/// What a line of a function has itself.
fn at_line(trace: &Path, event: &str, function: &str, line: u64) -> u64 {
    let written = report(&[text(trace), "--source", function, "--event", event, "--json"]);
    let document: Value = serde_json::from_str(&written.success().stdout).unwrap();
    let lines = &document["data"]["function"]["sources"]["rows"][0]["lines"]["rows"];
    let found = lines.as_array().unwrap().iter().find(|row| row["line"] == line);
    found.map_or(0, |row| row["self"]["weight"].as_u64().unwrap())
}

/// Sums, also by function and line, are what memray's own reader says.
#[test]
fn recordings_of_memray() {
    let dir = temp_dir();
    fs::write(dir.path().join("work.py"), ALLOCATING).unwrap();
    for (name, options) in [
        ("single", &[][..]),
        ("sums", &["--aggregate"]),
        ("python", &["--trace-python-allocators", "--no-compress"]),
        ("native", &["--native"]),
    ] {
        let path = dir.path().join(name).with_extension("bin");
        let mut memray = Command::new(tool("venv/bin/python"));
        memray.args(["-m", "memray", "run", "-q", "-o", text(&path)]).args(options);
        run(memray.arg("work.py").current_dir(dir.path())).success();
        let trace = imported(&path);
        let kind = if name == "sums" { name } else { "single" };
        let mut reader = Command::new(tool("venv/bin/python"));
        let said = run(reader.args(["-c", MEMRAY, text(&path), kind])).success().stdout;
        let said: Value = serde_json::from_str(&said).unwrap();
        for (sum, bytes, objects) in [
            ("peak", "peak_space", "peak_objects"),
            ("leaked", "leaked_space", "leaked_objects"),
            ("alloc", "alloc_space", "alloc_objects"),
            ("temporary", "", "temporary_objects"),
        ] {
            let Some(expected) = said.get(sum) else { continue };
            if !bytes.is_empty() {
                assert_eq!(total(&trace, bytes), expected["bytes"], "{name}: {bytes}");
            }
            assert_eq!(total(&trace, objects), expected["count"], "{name}: {objects}");
            if bytes == "peak_space" || bytes == "leaked_space" {
                let functions = serde_json::json!(by_function(&trace, bytes));
                assert_eq!(functions, expected["functions"], "{name}: {bytes}");
            }
        }
        for (event, sum, function, line) in
            [("peak_space", "peak", "peak", 10), ("leaked_space", "leaked", "keep", 5)]
        {
            let ours = at_line(&trace, event, function, line);
            assert!(ours >= 1_400_000, "{name}: {event} {ours}");
            assert_eq!(ours, said[sum]["lines"][format!("{function}:{line}")], "{name}: {event}");
        }
    }
}
