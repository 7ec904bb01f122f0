//! Every view of code of runtimes that stands among native code.

use std::fs;

use rz_profile::fixture::trace::load_bytes;
use rz_profile::fixture::with_runtimes;
use rz_profile::inventory::load_inventory;
use rz_profile::model::Profile;
use serde_json::{Value, json};

use crate::fixture::text;
use crate::model::trees::Direction;
use crate::render::style::Style;
use crate::views::annotate::{AnnotateOptions, annotated};
use crate::views::flame::write_flame_graph;
use crate::views::info::{InfoOptions, info, write_info};
use crate::views::tree::{TreeOptions, tree, write_tree_report};

const TREE: TreeOptions = TreeOptions { direction: Direction::TopDown, min_percent: 0.0 };

fn profile() -> Profile {
    load_bytes(&with_runtimes("/srv/jobs/job.py").finish())
}

#[test]
fn the_tree_says_how_it_ran() {
    let style = Style { color: false, width: Some(100) };
    let written = text(|out| write_tree_report(out, style, "t.rz", &profile(), Some(0), TREE));
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
        source_dirs: Vec::new(),
        source_maps: Vec::new(),
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
    let page = serde_json::to_value(page).unwrap();
    let of = |runtime: &str, count: u64| json!({"runtime": runtime, "count": count});
    assert_eq!(page["file"]["code_objects"], json!([of("cpython", 3), of("v8", 3)]));
    let written = text(|out| {
        write_info(out, Style::default(), "t.rz", (&inventory, &profile), Some(0), options)
    });
    assert!(written.contains("\n  functions   3 of CPython, 3 of V8\n"), "{written}");
}
