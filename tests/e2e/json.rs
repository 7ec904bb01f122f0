//! What `report --json` says of a real recording is what the program did, and
//! what the text and the exports say.

use rz_tests::{Target, Trace, program_path, report, text};
use serde_json::Value;

/// A view of a trace as JSON.
#[track_caller]
fn shown(trace: &Trace, options: &[&str]) -> Value {
    let path = trace.path();
    let output = report(&[&[text(&path)], options, &["--json"]].concat()).success();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{options:?}: {error}"))
}

#[track_caller]
fn rows<'j>(json: &'j Value, table: &str) -> &'j [Value] {
    let path = format!("/data/{table}/rows");
    let rows = json.pointer(&path).and_then(Value::as_array);
    rows.unwrap_or_else(|| panic!("no {path}: {json:#}"))
}

#[track_caller]
fn number(json: &Value, path: &str) -> u64 {
    json.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path}: {json:#}"))
}

/// 64 threads that compute and yield, in all ways.
#[test]
fn every_view_of_a_recording() {
    let program = program_path("threads");
    let trace = Trace::record(&["-q", "--off-cpu", "--syscalls", "--", text(&program), "2"]);
    samples_are_those_that_are_exported(&trace);
    a_row_leads_back_to_the_command_line(&trace);
    sums_are_those_of_single_calls(&trace);
    waits_have_reasons(&trace);
    a_function_has_lines_and_instructions(&trace);
    what_is_known_of_processes(&trace);
    each_view_is_markdown(&trace);
}

/// With the numbers of the text, and tables whose rows have all columns.
fn each_view_is_markdown(trace: &Trace) {
    let path = trace.path();
    let views: [&[&str]; 9] = [
        &[],
        &["--tree"],
        &["--off-cpu"],
        &["--syscalls"],
        &["--syscalls", "--list", "--tail", "20"],
        &["--source", "loop_until_deadline"],
        &["--wall"],
        &["--info"],
        &["--dump"],
    ];
    for view in views {
        let shown = report(&[&[text(&path)], view, &["--markdown"]].concat()).success();
        assert!(shown.stdout.starts_with("## trace.rz: "), "{view:?}: {shown}");
        assert!(shown.stdout.contains("\n- **recorded**: "), "{view:?}: {shown}");
        let mut columns = None;
        let mut rows = 0;
        for line in shown.stdout.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            match (bars, columns) {
                (0, _) => columns = None,
                (bars, None) => columns = Some(bars),
                (bars, Some(columns)) => {
                    assert_eq!(bars, columns, "{view:?}: {line}");
                    rows += 1;
                }
            }
        }
        assert!(rows > 2, "{view:?}: {shown}");
    }
    let calls = report(&[text(&path), "--syscalls", "--markdown"]).success();
    assert!(calls.stdout.contains("| sched\\_yield | "), "{calls}");
}

fn samples_are_those_that_are_exported(trace: &Trace) {
    let folded = trace.folded(&[]);
    let summary = shown(trace, &["--limit", "100000"]);
    assert_eq!(number(&summary, "/event/total/samples"), folded.total());
    let own = rows(&summary, "functions").iter().map(|row| number(row, "/self/samples"));
    // Stacks without a function, which are in no row, are truncated ones.
    let truncated = summary["quality"]["truncated"].as_array().unwrap();
    let truncated: u64 = truncated.iter().map(|reason| number(reason, "/count")).sum();
    let own: u64 = own.sum();
    assert!(own <= folded.total() && own + truncated >= folded.total(), "{own} {truncated}");
    let tree = shown(trace, &["--tree", "--min-percent", "0"]);
    let nodes = tree["data"]["nodes"].as_array().unwrap();
    let own: u64 = nodes.iter().map(|node| number(node, "/self/samples")).sum();
    assert_eq!(own, folded.total());
    for (id, node) in nodes.iter().enumerate() {
        let Some(parent) = node["parent"].as_u64() else { continue };
        let parent = &nodes[parent as usize];
        assert!(node["parent"].as_u64() < Some(id as u64), "{node}");
        assert!(number(node, "/total/weight") <= number(parent, "/total/weight"), "{node}");
    }
}

fn a_row_leads_back_to_the_command_line(trace: &Trace) {
    let summary = shown(trace, &["--threads"]);
    let busiest = &rows(&summary, "threads")[0];
    let tid = number(busiest, "/tid").to_string();
    let only = shown(trace, &["--thread", &tid]);
    assert_eq!(number(&only, "/event/total/samples"), number(busiest, "/total/samples"));
    assert_eq!(only["filter"]["text"], format!("thread {tid}"));
    let limited = shown(trace, &["--limit", "1"]);
    let left_out = number(&limited, "/data/functions/left_out");
    assert_eq!(left_out + 1, rows(&shown(trace, &["--limit", "100000"]), "functions").len() as u64);
}

fn sums_are_those_of_single_calls(trace: &Trace) {
    let sums = shown(trace, &["--syscalls", "--limit", "1000"]);
    let list = shown(trace, &["--syscalls", "--list"]);
    let calls = list["data"]["calls"].as_array().unwrap();
    assert_eq!(sums["quality"]["inexact_sums"], Value::Array(Vec::new()));
    let of = |name: &str| {
        let is_it = |call: &&Value| call["syscall"] == name && call["duration_ns"].is_u64();
        let late = |call: &&Value| call["late"] == false;
        calls.iter().filter(is_it).filter(late).map(|call| number(call, "/stands_for")).sum::<u64>()
    };
    let row = rows(&sums, "calls").iter().find(|row| row["syscall"] == "mmap").unwrap();
    assert_eq!(number(row, "/count"), of("mmap"), "{row}");
    let buckets = row["durations"].as_array().unwrap();
    let in_buckets: u64 = buckets.iter().map(|bucket| number(bucket, "/count")).sum();
    assert_eq!(in_buckets, number(row, "/count"), "{row}");
    let starts: Vec<u64> = calls.iter().map(|call| number(call, "/start_unix_ns")).collect();
    assert!(starts.is_sorted());
}

fn waits_have_reasons(trace: &Trace) {
    let waits = shown(trace, &["--off-cpu"]);
    let total = number(&waits, "/data/waits/total_ns");
    let by_reason: u64 =
        rows(&waits, "reasons").iter().map(|reason| number(reason, "/total_ns")).sum();
    assert_eq!(by_reason, total);
    assert!(total > 0 && !rows(&waits, "stacks").is_empty(), "{waits:#}");
    assert!(rows(&waits, "stacks").iter().all(|stack| stack["reason"].is_string()), "{waits:#}");
}

fn a_function_has_lines_and_instructions(trace: &Trace) {
    let source = shown(trace, &["--source", "^crunch$"]);
    assert_eq!(source["data"]["function"]["function"], "crunch", "{source:#}");
    let parts = source["data"]["function"]["sources"]["rows"].as_array().unwrap();
    let lines = parts[0]["lines"]["rows"].as_array().unwrap();
    assert!(lines.iter().any(|line| number(line, "/total/samples") > 0), "{source:#}");
    let code = shown(trace, &["--asm", "^crunch$"]);
    let pieces = code["data"]["function"]["code"][0]["pieces"]["rows"].as_array().unwrap();
    let instructions = pieces[0]["instructions"]["rows"].as_array().unwrap();
    assert!(instructions.iter().all(|one| one["text"].is_string()), "{code:#}");
    assert!(instructions.iter().any(|one| number(one, "/total/samples") > 0), "{code:#}");
}

fn what_is_known_of_processes(trace: &Trace) {
    let info = shown(trace, &["--info"]);
    let process = &rows(&info, "processes")[0];
    assert_eq!(process["process"], "threads", "{process:#}");
    assert!(process["executable"].as_str().unwrap().ends_with("/threads"), "{process:#}");
    let build_id = process["build_id"].as_str().unwrap();
    let summary = shown(trace, &[]);
    let modules = summary["trace"]["modules"].as_array().unwrap();
    let module = modules.iter().find(|module| module["module"] == "threads").unwrap();
    assert_eq!(module["build_id"], build_id);
}

/// Each reason has its samples, and only what helps is named.
#[test]
fn truncated_stacks_say_why() {
    let cases = [
        (
            "deep",
            &["0", "200"][..],
            "1K",
            "stack deeper than what was copied",
            Some("--stack-size"),
        ),
        ("deep", &["0", "5000"], "63K", "too many frames", None),
        ("sigframe", &["0", "raise", "alt"], "32K", "on another stack", None),
    ];
    for (program, args, size, why, help) in cases {
        let target = Target::start(program, args);
        let trace = Trace::of(target.pid(), "1.5", &["-q", "--stack-size", size]);
        let summary = shown(&trace, &[]);
        let first = &summary["quality"]["truncated"][0];
        assert_eq!(first["what"], why, "{summary:#}");
        assert!(number(first, "/count") * 2 > number(&summary, "/event/total/samples"), "{first}");
        match help {
            Some(part) => assert!(first["help"].as_str().unwrap().contains(part), "{first}"),
            None => assert!(first["help"].is_null(), "{first}"),
        }
        let path = trace.path();
        let shown = report(&[text(&path)]).success().stdout;
        let line = shown.lines().find(|line| line.contains(why));
        let line = line.unwrap_or_else(|| panic!("{shown}"));
        assert_eq!(line.contains("--stack-size"), help.is_some(), "{line}");
    }
}
