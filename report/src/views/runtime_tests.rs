//! Every view of code of runtimes that stands among native code.

use std::fs;

use rz_format::{
    Allocation, AllocationKind, AllocationSource, Allocations, Call, Record, Wait, WaitState,
};
use rz_profile::fixture::trace::{START, load_bytes};
use rz_profile::fixture::{runtime_stacks, with_runtimes};
use rz_profile::heap::Suppressions;
use rz_profile::inventory::load_inventory;
use rz_profile::model::{CodeTier, EventKind, Location, Profile};
use serde_json::{Value, json};

use crate::diff::json::write_diff_json;
use crate::diff::normalize::Per;
use crate::diff::table::write_diff;
use crate::diff::{DiffOptions, Run, compare};
use crate::fixture::text;
use crate::model::calls::SortCalls;
use crate::model::top::SortBy;
use crate::model::trees::Direction;
use crate::render::style::Style;
use crate::views::annotate::{AnnotateOptions, SourcePlaces, annotated};
use crate::views::flame::write_flame_graph;
use crate::views::heap::sites::{SiteKind, SiteList, SortSites, sites, write_sites};
use crate::views::heap::{HeapPageOptions, heap, write_heap};
use crate::views::info::{InfoOptions, info, write_info};
use crate::views::off_cpu::{off_cpu, write_off_cpu};
use crate::views::summary::{SummaryOptions, summary, write_summary};
use crate::views::syscalls::{SyscallOptions, syscalls, write_syscalls};
use crate::views::tree::{TreeOptions, tree, write_tree_report};

const TREE: TreeOptions = TreeOptions { direction: Direction::TopDown, min_percent: 0.0 };

const STYLE: Style = Style { color: false, width: Some(100) };

const TOP: SummaryOptions = SummaryOptions { limit: 10, by: SortBy::TotalWeight, threads: 10 };

fn profile() -> Profile {
    load_bytes(&with_runtimes("/srv/jobs/job.py").finish())
}

#[test]
fn the_tree_says_how_it_ran() {
    let style = Style { color: false, width: Some(100) };
    let written = text(|out| {
        let page = tree(&profile(), Some(0), TREE);
        write_tree_report(out, style, "t.rz", &profile(), Some(0), &page, TREE)
    });
    let (_, written) = written.split_once("\n total    self  function\n").unwrap();
    let expected = "\
100.0%          [app+0x1000]
 57.1%          ├─ <module> [CPython]
 57.1%   14.3%  │  Job.crunch [CPython, approximate]
 42.9%          │  [app+0x2000]
 42.9%   42.9%  │  [kernel+0xffffffff81000000] [kernel]
 28.6%          ├─ run [V8, baseline]
 28.6%          │  add [V8, optimized]
 28.6%   28.6%  │  one [V8, optimized, inlined]
 14.3%   14.3%  └─ [lost]
";
    assert_eq!(written, expected, "{written}");
}

#[test]
fn the_tree_as_json() {
    let page = serde_json::to_value(tree(&profile(), Some(0), TREE)).unwrap();
    let nodes = page["nodes"].as_array().unwrap();
    let node = |name: &str| nodes.iter().find(|node| node["name"] == name).unwrap();
    let of = |name: Value, tier: Value, inlined: bool, approximate: bool| json!({"name": name, "tier": tier, "inlined": inlined, "approximate": approximate});
    let check = |name: &str, module: &str, kind: &str, runtime: Value| {
        let found = node(name);
        let shown = (&found["module"], &found["kind"], &found["runtime"]);
        assert_eq!(shown, (&json!(module), &json!(kind), &runtime), "{name}");
    };
    let python = |approximate| of("cpython".into(), "interpreted".into(), false, approximate);
    check("<module>", "jobs/job.py", "runtime", python(false));
    check("Job.crunch", "jobs/job.py", "runtime", python(true));
    check("run", "web/add.js", "runtime", of("v8".into(), "baseline".into(), false, false));
    check("add", "web/add.js", "runtime", of("v8".into(), "optimized".into(), false, false));
    check("one", "web/add.js", "inlined", of("v8".into(), "optimized".into(), true, false));
    check("[lost]", "", "runtime", of(Value::Null, "interpreted".into(), false, false));
    check("[app+0x2000]", "app", "function", Value::Null);
    // Two code objects of one function are one node.
    assert_eq!(nodes.iter().filter(|node| node["name"] == "Job.crunch").count(), 1);
    assert_eq!(node("Job.crunch")["total"]["samples"], 4);
}

#[test]
fn flames_have_a_colour_for_runtimes() {
    let mut out = Vec::new();
    write_flame_graph(&mut out, "t.rz", &profile(), Some(0), Direction::TopDown).unwrap();
    let svg = String::from_utf8(out).unwrap();
    assert!(svg.contains("kernel blue, inlined aqua, runtimes purple"), "{svg}");
    let color = |name: &str| {
        let (_, frame) = svg.split_once(&format!("<title>{name} (")).unwrap();
        frame.split('"').find(|part| part.starts_with("rgb(")).unwrap().to_owned()
    };
    assert_eq!(color("Job.crunch"), "rgb(171,125,219)");
    // Aqua, as other inlined functions.
    assert_eq!(color("one"), "rgb(111,198,193)");
}

#[test]
fn lines_of_python() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("job.py");
    let line = |number: u32| format!("line {number}\n");
    fs::write(&script, (1..=20).map(line).collect::<String>()).unwrap();
    let profile = load_bytes(&with_runtimes(script.to_str().unwrap()).finish());
    let options = AnnotateOptions {
        function: "crunch".into(),
        asm: false,
        sources: SourcePlaces::default(),
        debug_dirs: Vec::new(),
        symbols: Default::default(),
        min_percent: 1.0,
        limit: 5,
    };
    let page = serde_json::to_value(annotated(&profile, Some(0), &options)).unwrap();
    let part = &page["function"]["sources"]["rows"][0];
    assert_eq!(part["function"], "Job.crunch");
    assert_eq!(part["text"]["path"], script.to_str().unwrap());
    let lines = part["lines"]["rows"].as_array().unwrap();
    let weights: Vec<(u64, u64, &str)> = lines
        .iter()
        .filter(|line| line["total"]["samples"] != 0)
        .map(|line| {
            let samples = line["total"]["samples"].as_u64().unwrap();
            (line["line"].as_u64().unwrap(), samples, line["text"].as_str().unwrap())
        })
        .collect();
    assert_eq!(weights, [(12, 3, "line 12"), (13, 1, "line 13")]);
}

#[test]
fn what_the_file_has_of_runtimes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.rz");
    fs::write(&path, with_runtimes("/srv/job.py").finish()).unwrap();
    let profile = profile();
    let inventory = load_inventory(&path, &Default::default()).unwrap();
    let options = InfoOptions { processes: 1, rows: 1 };
    let page = info((&inventory, &profile), Some(0), options);
    let written = text(|out| write_info(out, Style::default(), "t.rz", &profile, Some(0), &page));
    let page = serde_json::to_value(page).unwrap();
    let of = |runtime: &str, count: u64| json!({"runtime": runtime, "count": count});
    assert_eq!(page["file"]["code_objects"], json!([of("cpython", 3), of("v8", 3)]));
    assert!(written.contains("\n  functions   3 of CPython, 3 of V8\n"), "{written}");
}

/// What is behind a title, up to an empty line.
fn part<'t>(text: &'t str, title: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!("\n{title}")).unwrap_or_else(|| panic!("{text}"));
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("\n\n").map_or(rest, |(part, _)| part)
}

/// Name, module and runtime of each function.
fn functions(page: &Value) -> Vec<Value> {
    let rows = page["functions"]["rows"].as_array().unwrap();
    rows.iter().map(|row| json!([row["function"], row["module"], row["runtime"]])).collect()
}

#[test]
fn the_summary_says_how_it_ran() {
    let page = summary(&profile(), Some(0), TOP);
    let written = text(|out| write_summary(out, STYLE, "t.rz", &profile(), Some(0), &page, TOP.by));
    let expected = "
 self     time   total     time  function
 0.0%     0 ns  100.0%  70.0 ns  [app+0x1000]  app
14.3%  10.0 ns   57.1%  40.0 ns  Job.crunch [CPython, approximate]  jobs/job.py
 0.0%     0 ns   57.1%  40.0 ns  <module> [CPython]  jobs/job.py
42.9%  30.0 ns   42.9%  30.0 ns  [kernel+0xffffffff81000000]  [kernel]
 0.0%     0 ns   42.9%  30.0 ns  [app+0x2000]  app
28.6%  20.0 ns   28.6%  20.0 ns  one [V8, optimized, inlined]  web/add.js
 0.0%     0 ns   28.6%  20.0 ns  add [V8, optimized]  web/add.js
 0.0%     0 ns   28.6%  20.0 ns  run [V8, baseline]  web/add.js
14.3%  10.0 ns   14.3%  10.0 ns  [lost]";
    assert_eq!(part(&written, "TOP FUNCTIONS"), &expected[1..], "{written}");
    assert!(written.contains("\n 57.1%    Job.crunch [CPython, approximate]\n"), "{written}");
    let page = serde_json::to_value(page).unwrap();
    let of = |name: Value, tier, inlined: bool, approximate: bool| json!({"name": name, "tier": tier, "inlined": inlined, "approximate": approximate});
    let expected = [
        json!(["[app+0x1000]", "app", null]),
        json!(["Job.crunch", "jobs/job.py", of("cpython".into(), "interpreted", false, true)]),
        json!(["<module>", "jobs/job.py", of("cpython".into(), "interpreted", false, false)]),
        json!(["[kernel+0xffffffff81000000]", "[kernel]", null]),
        json!(["[app+0x2000]", "app", null]),
        json!(["one", "web/add.js", of("v8".into(), "optimized", true, false)]),
        json!(["add", "web/add.js", of("v8".into(), "optimized", false, false)]),
        json!(["run", "web/add.js", of("v8".into(), "baseline", false, false)]),
        json!(["[lost]", "", of(Value::Null, "interpreted", false, false)]),
    ];
    assert_eq!(functions(&page), expected);
}

#[test]
fn a_function_of_several_tiers_has_none() {
    let mut profile = profile();
    let crunch = |location: &&mut Location| {
        profile.functions[location.lines[0].function].name == "Job.crunch"
    };
    let first = profile.locations.iter_mut().find(crunch).unwrap();
    first.how.tier = CodeTier::Optimized;
    let page = serde_json::to_value(summary(&profile, Some(0), TOP)).unwrap();
    let found = functions(&page).into_iter().find(|function| function[0] == "Job.crunch").unwrap();
    assert_eq!((&found[2]["name"], &found[2]["tier"]), (&json!("cpython"), &Value::Null));
}

/// Waits and system calls in code of runtimes.
fn waiting() -> Profile {
    let (mut trace, [native, nearly, script, _]) = runtime_stacks("/srv/jobs/job.py");
    let wait = |end_ns, weight, stack| Wait {
        end_ns: START + end_ns,
        duration_ns: weight,
        weight,
        state: WaitState::Sleeping,
        syscall: Some(0),
        stack,
        ..Wait::default()
    };
    trace.waits(&[wait(1_000, 300, native), wait(2_000, 500, nearly), wait(3_000, 200, script)]);
    let call = |start_ns, stack_weight, stack| Call {
        start_ns: START + start_ns,
        duration_ns: stack_weight,
        stack_weight,
        stack,
        count: 1,
        ..Call::default()
    };
    trace.calls(&[call(1_000, 600, nearly), call(2_000, 400, script)]);
    load_bytes(&trace.finish())
}

fn event_of(profile: &Profile, kind: EventKind) -> Option<usize> {
    profile.events.iter().position(|event| event.kind == kind)
}

#[test]
fn waits_in_code_of_runtimes() {
    let profile = waiting();
    let event = event_of(&profile, EventKind::OffCpu);
    let page = off_cpu(&profile, event, TOP);
    let written = text(|out| write_off_cpu(out, STYLE, "t.rz", &profile, event, &page, TOP.by));
    let expected = "\
share    time  samples  stack, leaf first
50.0%  500 ns        1  read ← Job.crunch ← <module> ← [app+0x1000]
30.0%  300 ns        1  read ← [app+0x2000] ← Job.crunch ← <module> ← [app+0x1000]
20.0%  200 ns        1  read ← one ← add ← run ← [app+0x1000]";
    assert_eq!(part(&written, "TOP STACKS"), expected, "{written}");
    let expected =
        "  0.0%     0 ns   80.0%   800 ns  Job.crunch [CPython, approximate]  jobs/job.py\n";
    assert!(part(&written, "TOP FUNCTIONS").contains(expected), "{written}");
    let page = serde_json::to_value(page).unwrap();
    let expected = json!({
        "functions": ["one", "add", "run", "[app+0x1000]"],
        "process": null,
        "reason": "read",
        "total": {"samples": 1, "weight": 200},
    });
    assert_eq!(page["stacks"]["rows"][2], expected);
    let tiers: Vec<(Value, Value)> = functions(&page)
        .into_iter()
        .filter(|function| !function[2].is_null())
        .map(|function| (function[0].clone(), function[2]["tier"].clone()))
        .collect();
    let expected = [
        ("<module>", "interpreted"),
        ("Job.crunch", "interpreted"),
        ("add", "optimized"),
        ("one", "optimized"),
        ("run", "baseline"),
    ];
    assert_eq!(tiers, expected.map(|(name, tier)| (json!(name), json!(tier))));
}

#[test]
fn syscalls_in_code_of_runtimes() {
    let profile = waiting();
    let event = event_of(&profile, EventKind::Syscalls);
    let options = SyscallOptions { limit: 10, by: SortCalls::Time, threads: 10 };
    let page = syscalls(&profile, event, options);
    let written = text(|out| write_syscalls(out, STYLE, "t.rz", &profile, event, &page));
    let expected = "\
share    time  samples  stack, leaf first
60.0%  600 ns        1  read ← Job.crunch ← <module> ← [app+0x1000]
40.0%  400 ns        1  read ← one ← add ← run ← [app+0x1000]
";
    assert_eq!(part(&written, "TOP STACKS"), expected, "{written}");
    let page = serde_json::to_value(page).unwrap();
    let expected = json!({
        "functions": ["Job.crunch", "<module>", "[app+0x1000]"],
        "process": null,
        "reason": "read",
        "total": {"samples": 1, "weight": 600},
    });
    assert_eq!(page["stacks"]["rows"][0], expected);
}

#[test]
fn allocations_in_code_of_runtimes() {
    let (mut trace, [native, nearly, script, _]) = runtime_stacks("/srv/jobs/job.py");
    let source = AllocationSource::Hook.into();
    trace.records(&[Record::Allocations(Allocations { source, interval: 0 })]);
    let row = |n: u64, size, stack| Allocation {
        time_ns: START + n * 1_000,
        kind: AllocationKind::Malloc,
        address: n << 12,
        size,
        stack,
        ..Allocation::default()
    };
    let rows = [row(1, 1 << 10, native), row(2, 4 << 10, nearly), row(3, 2 << 10, script)];
    trace.writer.write_allocations(&rows).unwrap();
    let profile = load_bytes(&trace.finish());
    let event = event_of(&profile, EventKind::Alloc);
    let options = HeapPageOptions { limit: 10, threads: 10 };
    let written = text(|out| write_heap(out, STYLE, "t.rz", &profile, event, options));
    let expected = "
  bytes  share  objects     each  function ← caller
4.0 KiB  57.1%        1  4.0 KiB  Job.crunch  ← <module>
2.0 KiB  28.6%        1  2.0 KiB  one  ← add
1.0 KiB  14.3%        1  1.0 KiB  [kernel+0xffffffff81000000]  ← [app+0x2000]";
    assert_eq!(part(&written, "TOP BY BYTES ALLOCATED"), &expected[1..], "{written}");
    let page = serde_json::to_value(heap(&profile, options)).unwrap();
    let top = page["top_allocated"]["functions"]["rows"].as_array().unwrap();
    let named = top.iter().map(|row| json!([row["function"], row["module"], row["callers"]]));
    let callers =
        |name, module| json!({"rows": [{"function": name, "module": module}], "left_out": 0});
    let expected = [
        json!(["Job.crunch", "jobs/job.py", callers("<module>", "jobs/job.py")]),
        json!(["one", "web/add.js", callers("add", "web/add.js")]),
        json!(["[kernel+0xffffffff81000000]", "[kernel]", callers("[app+0x2000]", "app")]),
    ];
    assert_eq!(named.collect::<Vec<_>>(), expected);
    let list = SiteList { kind: SiteKind::Leaks, by: SortSites::Bytes, limit: 10 };
    let page = sites(&profile, list, &Suppressions::default());
    let written = text(|out| write_sites(out, STYLE, "t.rz", &profile, event, &page));
    let (_, stacks) = written.split_once("\n   1  57.1%  4.0 KiB").unwrap();
    let expected = " in 1 object of 4.0 KiB, malloc
      Job.crunch  job.py:13
      <module>  job.py:20
      [app+0x1000]  app

   2  28.6%  2.0 KiB in 1 object of 2.0 KiB, malloc
      one [inlined]  add.js:8
      add  add.js:6
      run  add.js:2
      [app+0x1000]  app

   3  14.3%  1.0 KiB in 1 object of 1.0 KiB, malloc
      [kernel+0xffffffff81000000] [kernel]
      [app+0x2000]  app
      Job.crunch  job.py:12
      <module>  job.py:20
      [app+0x1000]  app
";
    assert_eq!(stacks, expected, "{written}");
    let page = serde_json::to_value(page).unwrap();
    let frame = |function, module, kind, file, line: u32| json!({"function": function, "module": module, "kind": kind, "file": file, "line": line});
    let expected = json!([
        frame("Job.crunch", "jobs/job.py", "runtime", "/srv/jobs/job.py", 13),
        frame("<module>", "jobs/job.py", "runtime", "/srv/jobs/job.py", 20),
        {"function": "[app+0x1000]", "module": "app", "kind": "function", "file": null, "line": null},
    ]);
    assert_eq!(page["sites"]["rows"][0]["stack"]["rows"], expected);
}

#[test]
fn comparing_code_of_runtimes() {
    let after = {
        let (mut trace, [native, nearly, script, _]) = runtime_stacks("/srv/jobs/job.py");
        trace.samples(&[[native; 3], [nearly; 3], [script; 3]].concat());
        load_bytes(&trace.finish())
    };
    let before = profile();
    let run = |profile, name| Run { profile, name, event: Some(0) };
    let options = DiffOptions { per: Some(Per::Share), ..DiffOptions::default() };
    let diff = compare([&[run(&before, "a.rz")], &[run(&after, "b.rz")]], &options).unwrap();
    let written = text(|out| write_diff(out, STYLE, &diff, 10));
    let expected = "\
self before  after   delta      95% interval      verdict  total delta  function
      14.29  33.33  +19.05  -42.91 to +68.87  no evidence        +9.52  Job.crunch  jobs/job.py
      14.29      -  -14.29  -71.65 to +28.78  no evidence       -14.29  [lost]
      42.86  33.33   -9.52  -69.54 to +46.20  no evidence        -9.52  [kernel: unnamed]  [kernel]
      28.57  33.33   +4.76  -57.59 to +57.97  no evidence        +4.76  one  web/add.js
          -      -       -                 -            -        +9.52  <module>  jobs/job.py
          -      -       -                 -            -        +4.76  add  web/add.js
          -      -       -                 -            -        +4.76  run  web/add.js
          -      -       -                 -            -         0.00  [app: unnamed]  app";
    assert_eq!(part(&written, "FUNCTIONS"), expected, "{written}");
    let json = text(|out| write_diff_json(out, &diff, &[]));
    let page: Value = serde_json::from_str(&json).unwrap();
    let crunch = &page["functions"][0];
    assert_eq!((&crunch["name"], &crunch["module"]), (&json!("Job.crunch"), &json!("jobs/job.py")));
    assert_eq!(crunch["self"]["samples"], json!([1, 3]));
    assert_eq!(crunch["total"]["samples"], json!([4, 6]));
}

#[test]
fn functions_of_several_scripts_are_not_one_when_compared() {
    let [before, after] = ["/srv/jobs/job.py", "/srv/jobs/other.py"]
        .map(|file| load_bytes(&with_runtimes(file).finish()));
    let run = |profile, name| Run { profile, name, event: Some(0) };
    let sides: [&[Run<'_>]; 2] = [&[run(&before, "a.rz")], &[run(&after, "b.rz")]];
    let diff = compare(sides, &DiffOptions::default()).unwrap();
    let mut found: Vec<(&str, [u64; 2])> = diff
        .rows
        .iter()
        .filter(|row| diff.symbols[row.symbol].name == "Job.crunch")
        .map(|row| {
            (
                diff.symbols[row.symbol].module.as_str(),
                row.total.amounts.map(|amount| amount.samples),
            )
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, [("jobs/job.py", [4, 0]), ("jobs/other.py", [0, 4])]);
}
