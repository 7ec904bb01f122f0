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
    assert_eq!(pairs(&json["likely_renames"], ["old", "new"]), [["parse_record", "parse_line"]]);
    let moved = json["moved"].as_array().unwrap();
    let sort = moved.iter().find(|moved| moved["function"] == "sort_rows");
    let sort = sort.unwrap_or_else(|| panic!("{diff}"));
    assert_eq!((&sort["from"], &sort["to"]), (&"load".into(), &"store".into()), "{diff}");
    assert_eq!(function(&json, "checksum")["inlining"], "inlined now", "{diff}");

    // Told the name, it is one function that did not change.
    let diff = compare(&before, &after, &["--rename", "parse_record=parse_line"]);
    assert_no_regression(&diff);
    let json = self::json(&diff);
    assert_eq!(pairs(&json["likely_renames"], ["old", "new"]), [["", ""]; 0]);
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
        assert_eq!(json["likely_renames"].as_array().unwrap().len(), 1, "{diff}");
    }
}

/// What any function grew by, and the total, in the words that a build server
/// would use; the limit is above what chance does to two seconds of load.
fn compare(before: &Path, after: &Path, more: &[&str]) -> Output {
    let args = ["--diff", text(before), text(after), "--by", "total", "--json", "-"];
    let limits = ["--fail-if", "total>10%", "--fail-if", "function>10%"];
    report(&[&args, &limits, more].concat())
}

fn assert_no_regression(diff: &Output) {
    assert_eq!(diff.status.code(), Some(0), "{diff}");
}

fn json(diff: &Output) -> Value {
    serde_json::from_str(&diff.stdout).unwrap_or_else(|error| panic!("{error}: {diff}"))
}

fn function<'j>(json: &'j Value, name: &str) -> &'j Value {
    let functions = json["functions"].as_array().unwrap();
    functions.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("no {name} in {json}"))
}

fn pairs<'j>(list: &'j Value, fields: [&str; 2]) -> Vec<[&'j str; 2]> {
    let pair = |entry: &'j Value| fields.map(|field| entry[field].as_str().unwrap());
    list.as_array().unwrap().iter().map(pair).collect()
}

/// A recording of a target that gets what it can of a CPU. Needs root.
fn recorded(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(format!("{name}.rz"));
    let command = program(name);
    let rec_args = ["-q", "-F", "997", "-o", text(&path), "--", text(&tool("nice")), "-n", "-20"];
    rec(&[&rec_args, &[command[0].as_str(), "2"] as &[&str]].concat()).success();
    path
}
