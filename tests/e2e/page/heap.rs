//! The heap on the page has the numbers of `--json`.

use super::*;

#[test]
fn the_heap_has_the_numbers_of_json() {
    let program = program_path("heap");
    let trace = Trace::record(&["-q", "--alloc=full", "--", text(&program)]);
    let (_dir, html) = page_of(&trace.path(), &[]);
    let mut page = open(&html, "#view=heap");
    let mut check = |list: &str, options: &[&str], rows: fn(&Value) -> &Value| {
        let all = ["--heap", "--json", "--limit", "200"];
        let output = report(&[&[text(&trace.path())], &all[..], options].concat()).success();
        let json: Value = serde_json::from_str(&output.stdout).unwrap();
        let value = |row: &Value| json!([row["bytes"]["value"], row["objects"]["value"]]);
        let expected: Vec<Value> =
            rows(&json["data"])["rows"].as_array().unwrap().iter().map(value).collect();
        let shown = page.evaluate(&format!(
            "Array.from(document.querySelectorAll('#view tr[data-list={list}]'), ({{dataset: d}}) \
             => [+d.bytes, +d.objects])"
        ));
        assert!(!expected.is_empty(), "{list}");
        assert_eq!(shown, json!(expected), "{list}");
        json
    };
    check("top_allocated", &[], |data| &data["top_allocated"]["functions"]);
    check("top_at_peak", &[], |data| &data["top_at_peak"]["functions"]);
    check("top_live_at_end", &[], |data| &data["top_live_at_end"]["functions"]);
    check("leaks", &["--leaks", "--by", "bytes"], |data| &data["sites"]);
    check("temporary", &["--temporary", "--by", "bytes"], |data| &data["sites"]);
    let curve = page.evaluate("document.querySelector('#view canvas').ariaLabel");
    assert!(curve.as_str().unwrap().starts_with("Live memory over time: at most "), "{curve}");
    assert_nothing_amiss(&page);
}
