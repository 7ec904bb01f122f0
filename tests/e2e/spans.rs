//! Spans that a program writes of its requests select what these did, and nothing of what
//! was done beside them.

use std::fs;
use std::path::Path;

use rz_tests::{Folded, Output, Trace, program_path, report, temp_dir, text};
use serde_json::Value;

#[test]
fn requests_that_burn_and_wait() {
    let (dir, program) = (temp_dir(), program_path("spans"));
    let [otlp, events] = ["otlp.json", "events.json"].map(|name| dir.path().join(name));
    let run = [text(&program), "2", text(&otlp), text(&events)];
    let what = ["-q", "--off-cpu", "--syscalls", "--alloc=full", "--"];
    let trace = Trace::record(&[&what[..], &run].concat());
    for file in [&otlp, &events] {
        each_kind_did_its_own(&trace, file);
        names_are_listed(&trace, file);
    }
    a_trace_is_one_request(&trace, &otlp);
    both_programs_select_the_same(&trace, &otlp);
    what_cannot_be_is_said(&trace, &otlp, dir.path());
}

fn shown(trace: &Trace, spans: &Path, args: &[&str]) -> Output {
    report(&[&[text(&trace.path()), "--spans", text(spans)], args].concat())
}

#[track_caller]
fn json_of(trace: &Trace, spans: &Path, args: &[&str]) -> Value {
    let output = shown(trace, spans, &[args, &["--json"]].concat()).success();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// How much of folded stacks has a function.
fn with(folded: &Folded, function: &str) -> u64 {
    let has = |stack: &str| stack.split(';').any(|frame| frame == function);
    folded.stacks.iter().filter(|(stack, _)| has(stack)).map(|(_, &count)| count).sum()
}

fn each_kind_did_its_own(trace: &Trace, spans: &Path) {
    let of = |args: &[&str]| trace.folded(&[&["--spans", text(spans)], args].concat());
    let (all, burn) = (trace.folded(&[]), of(&["--span", "POST /burn"]));
    assert!(with(&all, "noise") > 0, "{}", all.head(10));
    assert!(with(&burn, "burn_request") > 0, "{}", burn.head(10));
    // A sample that is due when a request has just begun or ended may be of the code around.
    assert!(with(&burn, "burn_request") * 10 >= burn.total() * 9, "{}", burn.head(10));
    assert_eq!(with(&burn, "noise") + with(&burn, "wait_request"), 0, "{}", burn.head(10));
    assert!(with(&of(&["--span", "GET *"]), "burn_request") == 0);

    let waits = of(&["--span", "GET /wait", "--event", "off-cpu"]);
    assert!(with(&waits, "nap") * 10 >= waits.total() * 9, "{}", waits.head(10));
    let of_burn = ["--spans", text(spans), "--span", "POST /burn"];
    // It may not have waited at all.
    let burning = trace.conv(&[&of_burn[..], &["--to", "folded", "--event", "off-cpu"]].concat());
    assert!(!burning.stdout.contains(";nap;"), "{burning}");

    let requests = json_of(trace, spans, &[])["data"]["by_thread"].as_u64().unwrap() / 2;
    let calls = shown(trace, spans, &["--span", "GET /wait", "--syscalls", "--list"]).success();
    let naps = calls.stdout.lines().filter(|line| line.contains("nanosleep(")).count();
    assert!((1..=requests).contains(&(naps as u64)), "{requests}: {calls}");
    let none = shown(trace, spans, &["--span", "POST /burn", "--syscalls", "--list"]).success();
    assert!(!none.stdout.contains("nanosleep("), "{none}");
}

fn names_are_listed(trace: &Trace, spans: &Path) {
    let document = json_of(trace, spans, &[]);
    assert_eq!(document["view"], "spans");
    let data = &document["data"];
    assert_eq!([&data["by_process"], &data["by_none"], &data["outside"]], [0, 0, 0]);
    let rows = data["spans"]["rows"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    let number = |name: &str, field: &str| row(name)[field].as_u64().unwrap();
    let [burn, wait] = ["POST /burn", "GET /wait"];
    assert_eq!(rows.len(), 2, "{data:#}");
    assert_eq!(number(burn, "count"), number(wait, "count"));
    assert!(number(burn, "cpu_ns") > number(wait, "cpu_ns"), "{data:#}");
    // It naps for 20 ms each time.
    let naps_ns = 20_000_000 * number(wait, "count");
    assert!(number(wait, "waited_ns") >= naps_ns * 9 / 10, "{data:#}");
    for name in [burn, wait] {
        let [total, waited] = ["total_ns", "waited_ns"].map(|field| number(name, field));
        assert!(waited <= total + total / 10, "{data:#}");
        assert!(number(name, "median_ns") <= number(name, "longest_ns"), "{data:#}");
    }
    let table = shown(trace, spans, &[]).success();
    assert!(table.stdout.contains("POST /burn\n"), "{table}");
}

fn a_trace_is_one_request(trace: &Trace, otlp: &Path) {
    let parent = "00-00000000000000000000000000000002-0000000000000002-01";
    let document = json_of(trace, otlp, &["--trace-id", parent, "--syscalls"]);
    let filter = document["filter"]["text"].as_str().unwrap();
    assert!(filter.starts_with("spans of trace 0000"), "{filter}");
    assert!(filter.contains("(1 span in "), "{filter}");
    let span_ns = document["filter"]["span_ns"].as_u64().unwrap();
    assert!(span_ns >= 20_000_000, "{filter}");
    let rows = document["data"]["calls"]["rows"].as_array().unwrap();
    let naps = rows.iter().filter(|row| row["syscall"].as_str().unwrap().contains("nanosleep"));
    assert_eq!(naps.map(|row| row["count"].as_u64().unwrap()).collect::<Vec<_>>(), [1]);
}

fn both_programs_select_the_same(trace: &Trace, otlp: &Path) {
    let args = ["--span", "POST /burn"];
    let folded = trace.folded(&[&["--spans", text(otlp)], &args[..]].concat());
    let document = json_of(trace, otlp, &args);
    assert_eq!(document["event"]["total"]["samples"], folded.total());
    let header = shown(trace, otlp, &args).success().stdout;
    assert!(header.contains("  filter    span POST /burn ("), "{header}");
    assert!(header.contains(", by thread)\n"), "{header}");
    shown(trace, otlp, &["--span", "*", "--heap"]).success();
    let page = json_of(trace, otlp, &["--span", "*", "--doctor"]);
    assert_eq!(page["view"], "doctor");
}

fn what_cannot_be_is_said(trace: &Trace, otlp: &Path, dir: &Path) {
    let failed = |args: &[&str], message: &str| {
        let output = report(&[&[text(&trace.path())], args].concat());
        assert!(!output.status.success() && output.stderr.contains(message), "{output}");
        output
    };
    let of = |spans: &Path, args: &[&str], message: &str| {
        let output = failed(&[&["--spans", text(spans)], args].concat(), message);
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
    };
    let file = |name: &str, content: &str| {
        let path = dir.join(name);
        fs::write(&path, content).unwrap();
        path
    };
    of(otlp, &["--span", "POST /bun"], "no span is called POST /bun; there are POST /burn, GET");
    let id = "f".repeat(32);
    of(otlp, &["--trace-id", &id], "no span is of trace ffff");
    of(&dir.join("absent"), &[], "No such file");
    of(&file("text", "hello"), &[], "no JSON of spans");
    of(&file("empty", "{\"traceEvents\":[]}"), &["--span", "x"], "no spans in it");
    let early = "[{\"ph\":\"X\",\"name\":\"x\",\"ts\":5,\"dur\":1}]";
    of(&file("early", early), &[], "the clocks do not meet: its times, 0.005ms to 0.006ms");
    let content = fs::read_to_string(otlp).unwrap();
    let first = content.lines().next().unwrap();
    let (before, behind) = first.split_once("UnixNano\":\"1").unwrap();
    let (other, behind) = behind.split_once("UnixNano\":\"1").unwrap();
    let later = format!("{before}UnixNano\":\"2{other}UnixNano\":\"2{behind}");
    of(&file("later", &later), &[], "the clocks do not meet: its spans begin ");
    let pid = "\"process.pid\",\"value\":{\"intValue\":\"";
    let container = content.replace(pid, &format!("{pid}4"));
    let stranger = file("container", &container);
    let list = json_of(trace, &stranger, &[]);
    assert!(list["data"]["by_thread"].as_u64() > Some(0), "{list:#}");

    failed(&["--spans", text(otlp), "--off-cpu"], "which spans? --span NAME");
    failed(&["--span", "x"], "--spans <FILE>");
    failed(&["--spans", text(otlp), "--trace-id", "12"], "32 hexadecimal digits are needed");
    let output = trace.conv(&["--spans", text(otlp), "--to", "folded", "-o", "-"]);
    assert!(output.stderr.contains("which spans? --span NAME"), "{output}");
}
