//! Two builds of one program cost the same: what has another name, is inlined
//! or is called from elsewhere is said to be so, and is no regression.

use std::path::{Path, PathBuf};

use rz_tests::{Output, program, rec, report, temp_dir, text, tool};
use serde_json::Value;

#[test]
fn names_inlining_and_callers_are_no_regression() {
    let dir = temp_dir();
    let [before, after] = ["rebuild", "rebuild-new"].map(|name| recorded(dir.path(), name));
    let diff = compare(&before, &after, &[]);
    assert_no_regression(&diff);
    let json = json(&diff);
    assert_eq!(renames(&json), [["parse_record", "parse_line"]], "{diff}");
    let moved = json["moved"].as_array().unwrap();
    let sort = moved.iter().find(|moved| moved["function"] == "sort_rows");
    let sort = sort.unwrap_or_else(|| panic!("{diff}"));
    assert_eq!((&sort["from"], &sort["to"]), (&"load".into(), &"store".into()), "{diff}");
    assert_eq!(function(&json, "checksum")["inlining"], "inlined now", "{diff}");

    // Told the name, it is one function that did not change.
    let diff = compare(&before, &after, &["--rename", "parse_record=parse_line"]);
    assert_no_regression(&diff);
    let json = self::json(&diff);
    assert!(renames(&json).is_empty(), "{diff}");
    let parse = function(&json, "parse_line");
    assert_eq!(parse["renamed_from"], "parse_record", "{diff}");
    let samples = &parse["total"]["samples"];
    assert!(samples[0].as_u64() > Some(100) && samples[1].as_u64() > Some(100), "{diff}");
}

/// Without debug information, an inlined function is gone and its caller has
/// what it cost.
#[test]
fn without_debug_information_inlining_is_told_by_what_callers_cost() {
    let dir = temp_dir();
    let [before, after] =
        ["rebuild-bare", "rebuild-new-bare"].map(|name| recorded(dir.path(), name));
    for (before, after, inlining) in [
        (&before, &after, "probably inlined into verify"),
        (&after, &before, "probably inlined into verify before"),
    ] {
        let diff = compare(before, after, &[]);
        assert_no_regression(&diff);
        let json = json(&diff);
        assert_eq!(function(&json, "checksum")["note"], inlining, "{diff}");
        assert_eq!(renames(&json).len(), 1, "{diff}");
    }
}

/// What any function grew by, and the total, as a build server would ask for
/// it.
fn compare(before: &Path, after: &Path, more: &[&str]) -> Output {
    let args = ["--diff", text(before), text(after), "--by", "total", "--json", "-"];
    let limits = ["--fail-if", "total>10%", "--fail-if", "function>10%"];
    report(&[&args as &[&str], &limits, more].concat())
}

/// Two seconds of load on a busy machine may be too noisy to tell.
fn assert_no_regression(diff: &Output) {
    assert!(matches!(diff.status.code(), Some(0 | 4)), "{diff}");
}

fn json(diff: &Output) -> Value {
    serde_json::from_str(&diff.stdout).unwrap_or_else(|error| panic!("{error}: {diff}"))
}

fn function<'j>(json: &'j Value, name: &str) -> &'j Value {
    let functions = json["functions"].as_array().unwrap();
    functions.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("no {name} in {json}"))
}

/// The program's functions that are said to be renamed; the kernel's may seem
/// so by chance.
fn renames(json: &Value) -> Vec<[&str; 2]> {
    let pairs = json["likely_renames"].as_array().unwrap().iter();
    let pairs = pairs.map(|pair| ["old", "new"].map(|field| pair[field].as_str().unwrap()));
    pairs.filter(|pair| pair[0].starts_with("parse_")).collect()
}

/// A recording of a target that gets what it can of a CPU. Needs root.
fn recorded(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(format!("{name}.rz"));
    let command = program(name);
    let nice = tool("nice");
    let options = ["-q", "-F", "997", "-o", text(&path), "--"];
    let command = [text(&nice), "-n", "-20", &command[0], "2"];
    rec(&[&options as &[&str], &command].concat()).success();
    path
}
