//! Which crate may know which.

use std::collections::BTreeSet;
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

#[test]
fn arrows_go_one_way() {
    for (package, needs, never) in [
        ("rz-format", &[][..], &["rz-syscalls", "rz-record", "rz-convert", "rz-report"][..]),
        ("rz-syscalls", &[], &["rz-format", "rz-record", "rz-convert", "rz-report"]),
        ("rz-unwind", &["rz-format"], &["rz-syscalls", "rz-record", "rz-convert", "rz-report"]),
        ("rz-record", &["rz-format", "rz-syscalls", "rz-unwind"], &["rz-convert", "rz-report"]),
        ("rz-convert", &["rz-format", "rz-syscalls", "rz-unwind"], &["rz-record", "rz-report"]),
        ("rz-report", &["rz-convert", "rz-format"], &["rz-record"]),
    ] {
        let parts = parts_of(package);
        for other in needs {
            assert!(parts.contains(*other), "{package} does not use {other}");
        }
        for other in never {
            assert!(!parts.contains(*other), "{package} depends on {other}");
        }
    }
}

/// What runs on production boxes does not read debug information or draw.
#[test]
fn the_recorder_is_lean() {
    let parts = parts_of("rz-record");
    for heavy in ["ureq", "inferno", "prost", "rayon", "rustc-demangle", "serde_json"] {
        assert!(!parts.contains(heavy), "rz-record depends on {heavy}");
    }
}
