//! The page of `report --diff`: it has the verdicts of `--json`, in the graph of both
//! sides and around each function.

use super::*;

/// The page of a comparison, in a directory that is to be kept, and its JSON.
fn comparison() -> (TempDir, PathBuf, Value) {
    let dir = temp_dir();
    let traces = [
        ("before", CALLS),
        ("after", "app;main;parse 400\napp;main;receive 900\napp;main;send 41\n"),
    ]
    .map(|(name, folded)| trace_of_folded(&dir, name, folded));
    let html = dir.path().join("diff.html");
    let sides = ["--diff", text(&traces[0]), text(&traces[1]), "--per", "raw"];
    report(&[&sides[..], &["--html", text(&html)]].concat()).success();
    let output = report(&[&sides[..], &["--json"]].concat()).success();
    (dir, html, serde_json::from_str(&output.stdout).unwrap())
}

#[test]
fn a_comparison_has_the_verdicts_of_its_json() {
    let (_dir, html, json) = comparison();
    let mut page = open(&html, "");
    let shown = page.evaluate(
        "Array.from(document.querySelectorAll('#view tr[data-function]'), ({dataset: d}) => \
         [d.function, +d.delta, d.verdict])",
    );
    let row =
        |row: &Value| json!([row["name"], row["self"]["delta"].as_f64(), row["self"]["verdict"]]);
    let expected: Vec<Value> = json["functions"].as_array().unwrap().iter().map(row).collect();
    let places = page.evaluate(
        "Array.from(document.querySelectorAll('#view tr[data-place]'), ({dataset: d}) => \
         [d.place, +d.delta])",
    );
    let places: Vec<(Option<&str>, Option<f64>)> =
        places.as_array().unwrap().iter().map(|row| (row[0].as_str(), row[1].as_f64())).collect();
    let place = |row: &Value| (row["text"].clone(), row["change"]["delta"].as_f64());
    let explained: Vec<_> = json["what_changed"].as_array().unwrap().iter().map(place).collect();
    let explained: Vec<_> = explained.iter().map(|(text, delta)| (text.as_str(), *delta)).collect();
    assert_eq!(places, explained);
    assert!(!explained.is_empty());
    let verdict = |name: &str| expected.iter().find(|row| row[0] == name).unwrap()[2].clone();
    assert_eq!([verdict("receive"), verdict("scan")], ["new", "gone"]);
    let numbers = |rows: &[Value]| {
        let text = |row: &Value| (row[0].to_string(), row[1].as_f64(), row[2].to_string());
        rows.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(numbers(shown.as_array().unwrap()), numbers(&expected));
    and_follow(&mut page, |page| page.key("2"));
    // No evidence of a change, and all of it new.
    for color in ["r === 228 && g === 228 && b === 228", "r === 238 && g === 126 && b === 32"] {
        wait_for_color(&mut page, ".flame-canvas", color);
    }
    let bounds =
        page.evaluate("document.querySelector('.flame-canvas').getBoundingClientRect().top");
    page.point(20.0, bounds.as_f64().unwrap() + 45.0);
    let tip = page.evaluate("document.querySelector('#tip').innerText");
    assert!(
        tip.as_str().unwrap().starts_with("receive\n[names]\nbefore 0, after 900, +900"),
        "{tip}"
    );
    // All but pictures has both sides.
    let mut folded: Vec<String> =
        exported(&mut page, "folded").lines().map(str::to_owned).collect();
    folded.sort();
    let [parse, receive] =
        ["main;parse 40 400", "main;receive 0 900"].map(|line| folded.contains(&line.to_owned()));
    assert!(parse && receive, "{folded:?}");
    assert!(exported(&mut page, "svg").contains("<title>receive, [names], before 0, after 900"));
    let exported: Value = serde_json::from_str(&exported(&mut page, "json")).unwrap();
    assert_eq!(exported["functions"].as_array().map(Vec::len), Some(expected.len()));
    // It is of all times and stacks, whatever an address says.
    load(&mut page, &html, "#view=changes&filter=nokernel&time=0-1");
    assert_eq!(page.evaluate("document.querySelector('#filters').hidden"), true);
    assert_nothing_amiss(&page);
}

#[test]
fn a_comparison_has_callers_and_callees() {
    let (_dir, html, json) = comparison();
    let mut page = open(&html, "");
    let title = |page: &mut Page| {
        let title = page.evaluate("document.querySelector('#view h2').innerText");
        title.as_str().unwrap().to_owned()
    };
    let row = "document.querySelector('tr[data-function=receive]').click()";
    and_follow(&mut page, |page| drop(page.evaluate(row)));
    let functions = json["functions"].as_array().unwrap();
    let receive = functions.iter().find(|row| row["name"] == "receive").unwrap();
    assert_eq!(receive["total"]["verdict"], "new");
    let said = title(&mut page);
    assert!(said.starts_with("receive — self 0 → 900, total 0 → 900 "), "{said}");
    assert!(said.ends_with(": new"), "{said}");
    // Below the function is who called it, as often.
    let top = "document.querySelector('.sandwich .flame-canvas').getBoundingClientRect().top";
    let top = page.evaluate(top).as_f64().unwrap();
    page.point(900.0, top + 45.0);
    let tip = page.evaluate("document.querySelector('#tip').innerText");
    assert!(tip.as_str().unwrap().starts_with("main\n[names]\nbefore 0, after 900, +900"), "{tip}");
    and_follow(&mut page, |page| page.key("s"));
    let said = title(&mut page);
    assert!(said.starts_with("main — "), "{said}");
    // What is only on the other side has no width.
    load(&mut page, &html, "#view=changes&width=before");
    and_follow(&mut page, |page| drop(page.evaluate(row)));
    let said = page.evaluate("document.querySelector('.sandwich .nothing').innerText");
    assert!(said.as_str().unwrap().contains("choose another one"), "{said}");
    assert_nothing_amiss(&page);
}
