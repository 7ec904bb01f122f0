//! Exports for viewers: the Firefox Profiler, trace events, Perfetto, Graphviz, tables,
//! OpenTelemetry and lcov.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rz_convert::export::{ExportError, ExportOptions, Format, export};
use rz_profile::fixture::add_futex;
use rz_profile::model::*;
use serde_json::Value;

use super::fixture::{self, DOT, MAP, MUL};
use super::{Exported, escaped, exported_profile, output_of, speedscope_page, texts_of, tool};

/// The fixture's profile, in which both threads have waited as well: for 30 ms.
fn profile() -> Profile {
    let mut profile = fixture::profile();
    let caller = profile.samples[1].stack;
    let stack = add_futex(&mut profile, caller);
    for (thread, weight) in [(0, 10_000_000), (1, 20_000_000)] {
        profile.samples.push(Sample { event: 1, thread, stack, count: 1, weight });
        profile.timeline.as_mut().unwrap().push(TimedSample {
            time_ns: 100_000_000,
            duration_ns: weight,
            count: 1,
            event: 1,
            thread,
            stack: stack.into(),
            weight,
        });
    }
    profile
}

fn exported(profile: &Profile, format: Format) -> Exported {
    exported_profile(profile, format, &ExportOptions::default())
}

/// What an export has: event, thread and functions of each stack, and the sum of weights.
type Sums = BTreeMap<(String, u64, Vec<String>), u64>;

/// What it should have.
fn sums(profile: &Profile) -> Sums {
    let mut sums = Sums::new();
    for sample in &profile.samples {
        let lines = profile.locations_of(sample.stack).flat_map(|location| &location.lines);
        let names = lines.map(|line| profile.functions[line.function].name.clone());
        let mut stack: Vec<String> = names.collect();
        stack.reverse();
        let event = profile.events[sample.event].name.clone();
        let tid = profile.threads[sample.thread].tid.into();
        *sums.entry((event, tid, stack)).or_default() += sample.weight;
    }
    sums
}

/// What `decode.py` finds in an export.
fn decoded(format: &str, export: &Exported) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/consumers/decode.py");
    let mut python = Command::new(rz_tests::tool("venv/bin/python"));
    let output = output_of(python.arg(script).arg(format).arg(&export.path));
    serde_json::from_str(&output).unwrap()
}

fn sums_of(decoded: &Value) -> Sums {
    let mut sums = Sums::new();
    for sample in decoded["samples"].as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let stack = sample[2].as_array().unwrap().iter().map(text).collect();
        let key = (text(&sample[0]), sample[1].as_u64().unwrap(), stack);
        *sums.entry(key).or_default() += sample[3].as_u64().unwrap();
    }
    sums
}

/// What the Firefox Profiler's command line says of a profile. It keeps a server for it,
/// whose files are in the export's folder.
struct FirefoxProfiler<'e>(&'e Exported);

impl<'e> FirefoxProfiler<'e> {
    fn load(export: &'e Exported) -> Self {
        let this = FirefoxProfiler(export);
        // It gives its server half a second to start, and says to try again.
        for _ in 0..20 {
            let output = this.command().arg("load").arg(&export.path).output().unwrap();
            if output.status.success() {
                return this;
            }
            let errors = String::from_utf8_lossy(&output.stderr);
            let pid = errors.split_once("may still be running as pid ").map(|(_, rest)| rest);
            let pid = pid.and_then(|rest| rest.split('.').next());
            let pid = pid.unwrap_or_else(|| panic!("{errors}"));
            drop(Command::new("kill").arg(pid).output());
        }
        panic!("its server does not start");
    }

    fn command(&self) -> Command {
        let mut command = Command::new(tool("node24"));
        command.arg(tool("node_modules/@firefox-devtools/profiler-cli/dist/profiler-cli.js"));
        command.env("PROFILER_CLI_SESSION_DIR", self.0.directory.path().join("session"));
        command
    }

    fn ask(&self, args: &[&str]) -> Value {
        let output = output_of(self.command().args(args).arg("--json"));
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
    }
}

impl Drop for FirefoxProfiler<'_> {
    fn drop(&mut self) {
        output_of(self.command().args(["stop", "--all"]));
    }
}

#[test]
fn the_firefox_profiler_shows_time_lines_and_waits() {
    let export = exported(&profile(), Format::Firefox);
    let profiler = FirefoxProfiler::load(&export);
    let meta = profiler.ask(&["profile", "meta"]);
    assert_eq!(
        (&meta["symbolicated"], &meta["product"]),
        (&true.into(), &"matrix on build-7".into())
    );
    let list = profiler.ask(&["thread", "list"]);
    let threads = list["threads"].as_array().unwrap();
    let handle = |name: &str| {
        let thread = threads.iter().find(|thread| thread["name"] == name);
        let thread = thread.unwrap_or_else(|| panic!("no {name} in {list:#}"));
        thread["threadHandle"].as_str().unwrap()
    };
    // Milliseconds: self, total.
    let check = |thread: &str, expected: &[(&str, f64, f64)]| {
        let args = ["thread", "functions", "--thread", handle(thread), "--include-idle"];
        let answer = profiler.ask(&args);
        assert_eq!(answer["weightType"], "tracing-ms");
        let functions = answer["functions"].as_array().unwrap();
        assert_eq!(functions.len(), expected.len(), "{answer:#}");
        for (name, of_itself, total) in expected {
            let found = functions.iter().find(|function| function["name"] == *name);
            let found = found.unwrap_or_else(|| panic!("no {name} in {answer:#}"));
            for (key, expected) in [("selfSamples", of_itself), ("totalSamples", total)] {
                let found = found[key].as_f64().unwrap();
                assert!((found - expected).abs() < 1e-6, "{name}: {key} is {found}");
            }
        }
    };
    check(
        "matrix",
        &[
            (DOT, 20.0, 20.0),
            (MUL, 10.0, 30.0),
            ("ksys_read", 5.0, 5.0),
            ("read", 3.0, 8.0),
            ("main", 0.0, 35.0),
            ("[truncated]", 0.0, 3.0),
        ],
    );
    check(
        "loader",
        &[
            (MAP, 8.0, 8.0),
            ("jit:a;b", 4.0, 4.0),
            ("[libz.so.1+0x1234]", 2.0, 2.0),
            (DOT, 1.0, 1.0),
            (MUL, 0.0, 1.0),
            ("main", 0.0, 1.0),
            ("start_thread", 0.0, 15.0),
        ],
    );
    let markers = profiler.ask(&["thread", "markers", "--thread", handle("matrix"), "--list"]);
    let waits = markers["flatMarkers"].as_array().unwrap();
    assert_eq!(waits.len(), 1, "{markers:#}");
    let wait = &waits[0];
    assert_eq!((&wait["name"], &wait["hasStack"]), (&"futex".into(), &true.into()), "{wait:#}");
    assert_eq!(wait["duration"], 10.0, "{wait:#}");
}

/// An empty export is one that the consumer opens, too.
#[test]
fn the_firefox_profiler_opens_nothing() {
    let nothing = Profile { samples: vec![], timeline: Some(vec![]), ..fixture::profile() };
    let export = exported(&nothing, Format::Firefox);
    let profiler = FirefoxProfiler::load(&export);
    let list = profiler.ask(&["thread", "list"]);
    assert_eq!(list["totalThreadCount"], 2, "{list:#}");
}

/// Speedscope's sandwich view of the first thread: total, self and name of each function.
#[test]
fn speedscope_reads_trace_events() {
    let page = speedscope_page(&exported(&profile(), Format::Chrome));
    let texts = texts_of(&page);
    assert!(texts.contains(&"matrix (pid 4242), matrix (tid 4242)"), "{texts:#?}");
    let mul = escaped(MUL);
    for (name, of_itself, total) in [
        (DOT, "20.00ms", "20.00ms"),
        (&mul, "10.00ms", "30.00ms"),
        ("ksys_read", "5.00ms", "5.00ms"),
        ("read", "3.00ms", "8.00ms"),
        ("main", "0.00ns", "35.00ms"),
        ("[truncated]", "0.00ns", "3.00ms"),
    ] {
        let at = texts.iter().rposition(|text| *text == name);
        let at = at.unwrap_or_else(|| panic!("no {name} in {texts:#?}"));
        assert!(texts[at - 1].starts_with(of_itself), "{name}: {texts:#?}");
        assert!(texts[at - 2].starts_with(total), "{name}: {texts:#?}");
    }
}

#[test]
fn trace_events_are_of_time() {
    let mut profile = profile();
    profile.events[0].kind = EventKind::Other;
    profile.events[0].unit = Unit::Count;
    let mut out = Vec::new();
    let error = export(&profile, Format::Chrome, &ExportOptions::default(), &mut out).unwrap_err();
    assert!(matches!(error, ExportError::NotTime { .. }), "{error}");
    assert!(error.to_string().starts_with("cpu-clock counts count, and this format shows time"));
    assert_eq!(out, b"");
}

#[test]
fn perfetto_has_stacks_and_waits() {
    let profile = profile();
    let found = decoded("perfetto", &exported(&profile, Format::Perfetto));
    assert_eq!(sums_of(&found), sums(&profile));
    let waits = serde_json::json!([
        ["off-CPU", 4242, "futex", 10_000_000],
        ["off-CPU", 4243, "futex", 20_000_000],
    ]);
    assert_eq!(found["slices"], waits);
    assert_eq!(found["threads"]["4243"], "loader");
}

#[test]
fn opentelemetry_has_all_events() {
    let profile = profile();
    let found = decoded("otlp", &exported(&profile, Format::Otlp));
    assert_eq!(sums_of(&found), sums(&profile));
}

#[test]
fn a_table_is_read_by_python() {
    let mut profile = profile();
    profile.processes[0].name = "a, \"b\"\n日本".into();
    let found = decoded("csv", &exported(&profile, Format::Csv));
    let rows = found.as_array().unwrap();
    let number = |row: &Value, column: &str| row[column].as_str().unwrap().parse::<u64>().unwrap();
    for (id, event) in profile.events.iter().enumerate() {
        let of_event = || rows.iter().filter(|row| row["event"] == event.name[..]);
        let weight: u64 = of_event().map(|row| number(row, "weight")).sum();
        assert_eq!(weight, profile.total_weight(id));
        let samples: u64 = of_event().map(|row| number(row, "samples")).sum();
        let expected: u64 =
            profile.samples.iter().filter(|s| s.event == id).map(|sample| sample.count).sum();
        assert_eq!(samples, expected);
    }
    let stack = format!("start_thread;{MAP}");
    let row = rows.iter().find(|row| row["stack"] == stack[..]).unwrap();
    assert_eq!(row["process"], "a, \"b\"?日本");
    assert_eq!((&row["thread"], number(row, "tid")), (&"loader".into(), 4243));
}

/// Boxes and arrows are those that gprof2dot makes of the same samples.
#[test]
fn graphviz_draws_what_gprof2dot_does() {
    let profile = profile();
    let export = exported(&profile, Format::Dot);
    let svg = output_of(Command::new(rz_tests::tool("dot")).arg("-Tsvg").arg(&export.path));
    for expected in ["matrix::dot", "39.62%", "(39.62%)", "58.49%", "[truncated]"] {
        assert!(svg.contains(expected), "no {expected:?} in {svg}");
    }
    let folded = exported(&profile, Format::Folded);
    let mut gprof2dot = Command::new(rz_tests::tool("venv/bin/python"));
    gprof2dot.args(["-m", "gprof2dot", "-f", "collapse"]).arg(&folded.path);
    let theirs = output_of(&mut gprof2dot);
    let ours = fs::read_to_string(&export.path).unwrap();
    // Theirs begin with the process, and have marks in names.
    let theirs = shares(&theirs);
    let ours = shares(&ours);
    assert_eq!(ours.len() + 1, theirs.len(), "{ours:#?}\n{theirs:#?}");
    for (function, shares) in ours {
        let marked = ["", "_[i]", "_[k]", "_[j]"].map(|mark| format!("{function}{mark}"));
        let their = marked.iter().find_map(|name| theirs.get(name));
        assert_eq!(Some(&shares), their, "{function}: {theirs:#?}");
    }
}

/// The shares in each box of a graph.
fn shares(dot: &str) -> BTreeMap<String, Vec<String>> {
    let nodes = dot.lines().filter(|line| line.contains("label=") && line.contains("%)"));
    nodes
        .map(|line| {
            let label = line.split_once("label=\"").unwrap().1;
            let label = label.split_once('"').unwrap().0;
            let lines: Vec<&str> = label.split("\\n").collect();
            let (names, shares) = lines.split_at(lines.len() - 2);
            let name = names.last().unwrap().replace(':', ";");
            (name, shares.iter().map(|share| (*share).to_owned()).collect())
        })
        .collect()
}

#[test]
fn lcov_shows_lines_that_were_seen() {
    let export = exported(&profile(), Format::Lcov);
    let mut lcov = Command::new(rz_tests::tool("lcov"));
    let summary = output_of(lcov.arg("--summary").arg(&export.path));
    for expected in ["100.0% (5 of 5 lines)", "100.0% (4 of 4 functions)"] {
        assert!(summary.contains(expected), "no {expected:?} in {summary}");
    }
    let pages = export.directory.path().join("pages");
    let mut genhtml = Command::new(rz_tests::tool("genhtml"));
    // One of the sources is not there.
    genhtml.args(["--ignore-errors", "source", "--output-directory"]).arg(&pages);
    output_of(genhtml.arg(&export.path));
    let mut find = Command::new("find");
    find.arg(&pages).args(["-name", "matrix.rs.gcov.html", "-exec", "cat", "{}", "+"]);
    let page = output_of(&mut find);
    let covered: Vec<(&str, &str)> = page
        .split("<span class=\"lineNum\">")
        .filter_map(|line| {
            let (number, rest) = line.split_once("</span><span class=\"lineCov\">")?;
            Some((number.trim(), rest.split_once(':')?.0.trim()))
        })
        .collect();
    // Samples with the line anywhere in their stacks.
    assert_eq!(covered, [("8", "10"), ("10", "21"), ("18", "21"), ("22", "36")], "{page}");
}
