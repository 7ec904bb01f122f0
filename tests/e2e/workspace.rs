//! Which crate may know which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use rz_tests::{run, workspace_root};
use serde_json::Value;

/// What rz is for, and so what its builds fetch packages for.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Everything that `package` is built from, itself included; what only its
/// tests need is left out.
fn parts_of(package: &str) -> BTreeSet<String> {
    let metadata = &*METADATA;
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

/// What those of the workspace's crates name that they need.
fn direct_dependencies(crates: &BTreeSet<String>) -> BTreeSet<String> {
    let packages = METADATA["packages"].as_array().unwrap().iter();
    let own = packages.filter(|package| {
        let name = package["name"].as_str().unwrap();
        name.starts_with("rz-") && crates.contains(name)
    });
    let dependencies = own.flat_map(|package| package["dependencies"].as_array().unwrap());
    let needed = dependencies
        .filter(|dependency| dependency["kind"] != "dev" && dependency["optional"] == false);
    needed.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

static METADATA: LazyLock<Value> = LazyLock::new(metadata);

/// What cargo says of the workspace.
fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    // Without a platform, it wants packages of all of them, which no build here
    // has fetched.
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    metadata.args(["--filter-platform", PLATFORM]).current_dir(workspace_root());
    let output = run(&mut metadata).success();
    serde_json::from_str(&output.stdout).unwrap()
}

/// What each crate is built from, and what it must never be.
const ARROWS: [(&str, &[&str], &[&str]); 9] = [
    ("rz-format", &[], &["rz-syscalls", "rz-unwind", "rz-record", "rz-profile"]),
    ("rz-syscalls", &[], &["rz-format", "rz-unwind", "rz-record", "rz-profile"]),
    ("rz-unwind", &["rz-format"], &["rz-syscalls", "rz-record", "rz-profile"]),
    ("rz-text", &[], &["rz-format", "rz-syscalls", "rz-unwind", "rz-record", "rz-profile"]),
    (
        "rz-record",
        &["rz-format", "rz-syscalls", "rz-unwind", "rz-text"],
        &["rz-profile", "rz-command", "rz-convert", "rz-report"],
    ),
    (
        "rz-profile",
        &["rz-format", "rz-syscalls", "rz-unwind"],
        &["rz-record", "rz-command", "rz-convert", "rz-report", "clap"],
    ),
    ("rz-command", &["rz-profile"], &["rz-record", "rz-convert", "rz-report"]),
    ("rz-convert", &["rz-profile", "rz-command", "rz-text"], &["rz-record", "rz-report"]),
    ("rz-report", &["rz-profile", "rz-command", "rz-convert", "rz-text"], &["rz-record"]),
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

#[test]
fn the_list_of_parts_is_complete() {
    for (program, package) in
        [("rec", "rz-record"), ("conv", "rz-convert"), ("report", "rz-report")]
    {
        let mut sbom = Command::new(workspace_root().join("sbom.sh"));
        let output = run(sbom.arg(program).env("CARGO_NET_OFFLINE", "true")).success();
        let document: Value = serde_json::from_str(&output.stdout).unwrap();
        let (mut listed, mut others) = (BTreeSet::new(), BTreeSet::new());
        for part in document["components"].as_array().unwrap() {
            let name = part["name"].as_str().unwrap().to_owned();
            let purl = part["purl"].as_str().unwrap_or_default();
            let is_crate = name.starts_with("rz-") || purl.starts_with("pkg:cargo/");
            assert_eq!(part["hashes"].is_array(), purl.starts_with("pkg:cargo/"), "{part}");
            assert!(part["licenses"].is_array() || !is_crate, "{part}");
            if is_crate {
                listed.insert(name)
            } else {
                others.insert(name)
            };
        }
        assert!(others.contains("rust-std"));
        // Of all features that any crate or test asks for, there may be more.
        let mut parts = parts_of(package);
        if program == "rec" {
            assert_eq!(others.len(), 1 + 3, "libraries of the system: {others:?}");
            parts.extend(["rz-alloc-hook", "libm"].map(str::to_owned));
        }
        assert!(listed.is_subset(&parts), "{program}: {:?}", listed.difference(&parts));
        for needed in direct_dependencies(&listed) {
            assert!(listed.contains(&needed), "{program}: {needed} is missing");
        }
    }
}

/// What of a crate's top level is named in a file whose module is `depth` levels
/// below it: what follows `crate::`, or as many `super::`; of a group in braces,
/// each.
fn named_in(code: &str, depth: usize) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    // What is no word is no module either, and so is not lost.
    let first_word = |path: &str| match path.trim().split(|c| !is_part(c)).next() {
        // One more `super::` than the file is deep, so in a module within it.
        _ if path.is_empty() => "super".to_owned(),
        Some("") | None => path.trim().chars().take(1).collect(),
        Some(word) => word.to_owned(),
    };
    let mut names = Vec::new();
    for top in ["crate::".to_owned(), "super::".repeat(depth)] {
        for rest in code.split(&top).skip(1) {
            let Some(group) = rest.strip_prefix('{') else {
                names.push(first_word(rest));
                continue;
            };
            let mut open = 1;
            let is_end = |c: char| {
                open += i32::from(c == '{') - i32::from(c == '}');
                open == 0 || open == 1 && c == ','
            };
            // What comes behind the group is not in one.
            let mut parts = group.split_inclusive(is_end);
            loop {
                let part = parts.next().expect("a group ends");
                let path = part.trim_end_matches(['}', ',']);
                if !path.trim().is_empty() {
                    names.push(first_word(path));
                }
                if part.matches('}').count() > part.matches('{').count() {
                    break;
                }
            }
        }
    }
    names
}

/// The code of a file without comments and tests, and which modules beside or
/// below it are for tests only. What is said to be for them is taken to end with
/// the next line that is not indented and begins with `}` or ends with `;`.
fn code_of(text: &str) -> (String, Vec<String>) {
    let (mut code, mut tests) = (String::new(), Vec::new());
    let mut is_test = false;
    for line in text.lines() {
        is_test |= line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(any(test, ");
        if !is_test {
            code += line.split("//").next().unwrap();
            code += "\n";
        } else if line.starts_with('}') || !line.starts_with(' ') && line.ends_with(';') {
            let module = line.strip_suffix(';').and_then(|line| line.split_once("mod "));
            tests.extend(module.map(|(_, name)| name.to_owned()));
            is_test = false;
        }
    }
    (code, tests)
}

/// Which modules of a crate's top level each of them names, and what else of it.
/// Tests, which may name any, are left out.
fn modules_of(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files: Vec<(Vec<String>, String)> = Vec::new();
    let mut tests: Vec<Vec<String>> = Vec::new();
    let mut next = vec![source.to_owned()];
    while let Some(path) = next.pop() {
        if path.is_dir() {
            next.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let below = path.strip_prefix(source).unwrap().with_extension("");
        let mut module: Vec<String> =
            below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if ["lib", "main", "mod"].contains(&module.last().unwrap().as_str()) {
            module.pop();
        }
        let (code, its_tests) = code_of(&fs::read_to_string(&path).unwrap());
        tests.extend(its_tests.into_iter().map(|test| [&module[..], &[test]].concat()));
        files.push((module, code));
    }
    files.retain(|(module, _)| !tests.iter().any(|test| module.starts_with(test)));
    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, code) in files {
        let Some(own) = module.first() else { continue };
        let named = modules.entry(own.clone()).or_default();
        // By the name `arch`, crates choose the processor's.
        let named_here = named_in(&code, module.len()).into_iter();
        named.extend(named_here.map(|n| if n == "arch" { "x86_64".to_owned() } else { n }));
        named.remove(own);
    }
    modules
}

/// What of the top level is named and is no module: a circle may go through it.
fn strays_of(modules: &BTreeMap<String, BTreeSet<String>>) -> Vec<&str> {
    let named: BTreeSet<&String> = modules.values().flatten().collect();
    named.into_iter().filter(|name| !modules.contains_key(*name)).map(String::as_str).collect()
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
        assert_eq!(strays_of(&modules), [""; 0], "{folder}: write crate::module::item");
        assert_eq!(circles_of(modules), [""; 0], "{folder}");
    }
}

#[test]
fn modules_that_are_named_are_found() {
    for (folder, module, other) in [
        ("record", "session", "shared"),
        ("record", "alloc", "x86_64"),
        ("unwind", "x86_64", "memory"),
        ("unwind", "kept", "memory"),
        // Behind the declaration of its tests.
        ("profile", "load", "model"),
        ("convert", "to_rz", "cli"),
    ] {
        let modules = modules_of(&workspace_root().join(folder).join("src"));
        assert!(modules[module].contains(other), "{folder}: {module} names {other}");
    }
}

/// The modules of a crate in which `x86_64` names `b`, and `b::any` is for tests
/// only; with one more file.
fn modules_with(path: &str, text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let source = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = source.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod b;\nmod c;\nmod x86_64;\nuse crate::b;");
    write("x86_64/mod.rs", "use crate::b::B;");
    write("b/mod.rs", "#[cfg(any(test, feature = \"fixture\"))]\npub(crate) mod any;\n");
    write("c.rs", "");
    write(path, text);
    modules_of(source.path())
}

#[test]
fn circles_are_found_however_they_are_spelled() {
    for (path, text) in [
        ("b.rs", "use crate::x86_64::A;"),
        ("b.rs", "use crate::arch::A;"),
        ("b.rs", "fn f() { crate::x86_64::f(crate::c::C) }"),
        ("b.rs", "use crate::{c, x86_64};"),
        ("b.rs", "use crate::{x86_64, c};"),
        ("b.rs", "use crate::{c::{self, C, d::{D, E}}, x86_64::A};"),
        ("b.rs", "use crate::{\n    c::{C, D},\n    x86_64::{A, B},\n};"),
        ("b.rs", "use crate::{\n    c,\n    x86_64,\n};"),
        ("b.rs", "use super::x86_64::A;"),
        ("b.rs", "use super::{c, x86_64::A};"),
        ("b/mod.rs", "use crate::x86_64::A;"),
        ("b/mod.rs", "use super::arch::A;"),
        ("b/d.rs", "use super::super::x86_64::A;"),
        ("b/d.rs", "use super::super::{c, x86_64};"),
        ("b/d/mod.rs", "use super::super::x86_64::A;"),
        ("b/d/e.rs", "use super::super::super::x86_64::A;"),
        ("b.rs", "#[cfg(test)]\nmod tests;\nuse crate::x86_64;"),
        ("b.rs", "#[cfg(test)]\nmod tests {\n    fn f();\n}\nuse crate::x86_64;"),
    ] {
        let modules = modules_with(path, text);
        assert_eq!(strays_of(&modules), [""; 0], "{path}: {text}");
        assert_eq!(circles_of(modules), ["b -> x86_64", "x86_64 -> b"], "{path}: {text}");
    }
    for (path, text) in [
        ("b.rs", "use crate::c;"),
        ("b.rs", "use crate::{c}; use x86_64::{A};"),
        ("b.rs", "use crate::b::x86_64;"),
        ("b.rs", "// crate::x86_64"),
        ("b.rs", "#[cfg(test)]\nmod tests {\n    use crate::x86_64;\n}"),
        ("b.rs", "#[cfg(test)]\n#[allow(unused)]\nmod t {\n    use crate::x86_64;\n}"),
        ("b.rs", "#[cfg(test)]\nuse crate::x86_64;"),
        ("b/any.rs", "use crate::x86_64;"),
        ("b/any/d.rs", "use crate::x86_64;"),
        ("b/d.rs", "use super::x86_64;"),
    ] {
        let modules = modules_with(path, text);
        assert_eq!(circles_of(modules), [""; 0], "{path}: {text}");
    }
}

#[test]
fn what_may_hide_a_circle_is_found() {
    for (text, stray) in [
        ("use crate::A;", "A"),
        ("use crate::{c, A};", "A"),
        ("use crate::{self, c};", "self"),
        ("use crate::*;", "*"),
        ("use super::A;", "A"),
        ("mod d { use super::super::x86_64; }", "super"),
        ("fn f() { crate::exported!() }", "exported"),
    ] {
        let modules = modules_with("b.rs", text);
        assert!(strays_of(&modules).contains(&stray), "{text}");
    }
}

#[test]
fn circles_are_told_from_what_is_none() {
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
