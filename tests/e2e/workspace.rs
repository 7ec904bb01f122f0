//! Which crate may know which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use rz_tests::{run, workspace_root};
use serde_json::Value;

/// What rz is for, and so what its builds fetch packages for.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Everything that `package` is built from, itself included; what only its
/// tests need is left out.
fn parts_of(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    // Without a platform, it wants packages of all of them, which no build here
    // has fetched.
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    metadata.args(["--filter-platform", PLATFORM]).current_dir(workspace_root());
    let output = run(&mut metadata).success();
    let metadata: Value = serde_json::from_str(&output.stdout).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let name_of = |id: &Value| {
        let packages = list(&metadata["packages"]);
        let package = packages.iter().find(|package| package["id"] == *id).unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    let nodes = list(&metadata["resolve"]["nodes"]);
    let mut parts = BTreeSet::new();
    let mut next: Vec<Value> = list(&metadata["workspace_members"]);
    next.retain(|id| name_of(id) == package);
    assert_eq!(next.len(), 1, "{package} is in the workspace");
    let mut seen: Vec<Value> = Vec::new();
    while let Some(id) = next.pop() {
        if seen.contains(&id) {
            continue;
        }
        parts.insert(name_of(&id));
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dependency in list(&node["deps"]) {
            let is_real = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev");
            if is_real {
                next.push(dependency["pkg"].clone());
            }
        }
        seen.push(id);
    }
    parts
}

/// What each crate is built from, and what it must never be.
const ARROWS: [(&str, &[&str], &[&str]); 8] = [
    ("rz-format", &[], &["rz-syscalls", "rz-unwind", "rz-record", "rz-profile"]),
    ("rz-syscalls", &[], &["rz-format", "rz-unwind", "rz-record", "rz-profile"]),
    ("rz-unwind", &["rz-format"], &["rz-syscalls", "rz-record", "rz-profile"]),
    (
        "rz-record",
        &["rz-format", "rz-syscalls", "rz-unwind"],
        &["rz-profile", "rz-command", "rz-convert", "rz-report"],
    ),
    (
        "rz-profile",
        &["rz-format", "rz-syscalls"],
        &["rz-record", "rz-command", "rz-convert", "rz-report", "clap"],
    ),
    ("rz-command", &["rz-profile"], &["rz-record", "rz-convert", "rz-report"]),
    ("rz-convert", &["rz-profile", "rz-command"], &["rz-record", "rz-report"]),
    ("rz-report", &["rz-profile", "rz-command"], &["rz-record", "rz-convert"]),
];

#[test]
fn arrows_go_one_way() {
    for (package, needs, never) in ARROWS {
        let parts = parts_of(package);
        for other in needs {
            assert!(parts.contains(*other), "{package} does not use {other}");
        }
        for other in never {
            assert!(!parts.contains(*other), "{package} depends on {other}");
        }
    }
}

/// Which modules of a crate's top level each of them names. Tests, which may
/// name any, are left out, and so are comments.
fn modules_of(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut next = vec![source.to_owned()];
    while let Some(path) = next.pop() {
        if path.is_dir() {
            next.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let below = path.strip_prefix(source).unwrap().with_extension("");
        let names: Vec<&str> = below.iter().map(|part| part.to_str().unwrap()).collect();
        let is_root = ["lib", "main"].contains(&names[0]);
        let is_test = names.iter().any(|name| ["tests", "fixture", "simulation"].contains(name));
        if is_root || is_test || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = code.lines().map(|line| line.split("//").next().unwrap());
        let named = modules.entry(names[0].to_owned()).or_default();
        for line in lines {
            for rest in line.split("crate::").skip(1) {
                let is_part = |c: &char| c.is_ascii_lowercase() || *c == '_';
                let other: String = rest.chars().take_while(is_part).collect();
                if other != names[0] {
                    named.insert(other);
                }
            }
        }
    }
    modules
}

/// What is left of the modules once those that name none of the rest are taken
/// away, again and again: circles, and what leads to them.
fn circles_of(mut modules: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    loop {
        let known: BTreeSet<String> = modules.keys().cloned().collect();
        let before = modules.len();
        modules.retain(|_, named| named.iter().any(|other| known.contains(other)));
        if modules.len() == before {
            return modules
                .iter()
                .map(|(name, named)| {
                    let named: Vec<&str> =
                        named.iter().filter(|n| known.contains(*n)).map(String::as_str).collect();
                    format!("{name} -> {}", named.join(", "))
                })
                .collect();
        }
    }
}

#[test]
fn modules_form_no_circle() {
    for folder in
        ["format-spec", "syscalls", "unwind", "profile", "command", "convert", "report", "record"]
    {
        let modules = modules_of(&workspace_root().join(folder).join("src"));
        assert!(modules.len() > 1, "{folder} has modules");
        assert_eq!(circles_of(modules), [""; 0], "{folder}");
    }
    // The check itself.
    let modules = |pairs: &[(&str, &[&str])]| {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        pairs.iter().map(|(name, named)| ((*name).to_owned(), set(named))).collect()
    };
    let straight = modules(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
    assert_eq!(circles_of(straight), [""; 0]);
    let circle = modules(&[("a", &["b"]), ("b", &["c", "d"]), ("c", &["b"]), ("d", &[])]);
    assert_eq!(circles_of(circle), ["a -> b", "b -> c", "c -> b"]);
}

/// What runs on production boxes does not read debug information or draw.
#[test]
fn the_recorder_is_lean() {
    let parts = parts_of("rz-record");
    for heavy in ["ureq", "inferno", "prost", "rayon", "rustc-demangle", "serde_json"] {
        assert!(!parts.contains(heavy), "rz-record depends on {heavy}");
    }
}
