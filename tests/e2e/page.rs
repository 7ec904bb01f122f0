//! The page of `report --html`, in a real browser: every view is there, its numbers are
//! those of `--json`, and no text of a trace becomes anything but text.

mod calls;
mod chart;
mod comparison;
mod edges;
mod heap;
mod lanes;
mod looks;
mod parts;
mod selection;
mod served;
mod source;
mod timed;

use std::fs;
use std::path::{Path, PathBuf};

use rz_tests::{Page, Trace, conv, program_path, report, temp_dir, text};
use serde_json::{Value, json};
use tempfile::TempDir;

const VIEWS: [&str; 11] = [
    "overview", "flame", "table", "timeline", "chart", "heatmap", "sandwich", "source", "waits",
    "syscalls", "heap",
];

/// 64 threads that compute and yield, with all that can be recorded of them.
fn threads() -> Trace {
    let program = program_path("threads");
    let all = ["-q", "--off-cpu", "--syscalls", "--alloc=full", "--", text(&program), "2"];
    Trace::record(&all)
}

/// The page of a trace, with a directory that holds it.
fn page_of(trace: &Path, options: &[&str]) -> (TempDir, PathBuf) {
    let dir = temp_dir();
    let html = dir.path().join("page.html");
    report(&[&[text(trace), "--html", text(&html)], options].concat()).success();
    (dir, html)
}

/// A trace of folded stacks.
fn trace_of_folded(dir: &TempDir, name: &str, folded: &str) -> PathBuf {
    let stacks = dir.path().join(format!("{name}.folded"));
    let trace = stacks.with_extension("rz");
    fs::write(&stacks, folded).unwrap();
    conv(&[text(&stacks), "--to", "rz", "-o", text(&trace)]).success();
    trace
}

/// The page of a profile in folded stacks.
fn page_of_folded(folded: &str) -> (TempDir, PathBuf) {
    page_of(&trace_of_folded(&temp_dir(), "a", folded), &[])
}

/// Opens a page at a view.
fn open(html: &Path, fragment: &str) -> Page {
    let mut page = Page::open();
    load(&mut page, html, fragment);
    page
}

fn load(page: &mut Page, html: &Path, fragment: &str) {
    page.load(html, fragment);
    page.wait_for("document.documentElement.dataset.ready");
}

/// Does something and waits until all of the page follows.
fn and_follow(page: &mut Page, act: impl FnOnce(&mut Page)) {
    let before = page.evaluate("document.documentElement.dataset.ready");
    act(page);
    page.wait_for(&format!("document.documentElement.dataset.ready !== {before}"));
}

/// Types into the field that searches.
fn search(page: &mut Page, text: &str) {
    let typed = format!(
        "((field) => {{ field.value = {}; field.dispatchEvent(new Event('input')); }})(document.\
         querySelector('#search'))",
        json!(text)
    );
    page.evaluate(&typed);
}

fn assert_nothing_amiss(page: &Page) {
    assert_eq!(page.problems(), Vec::<String>::new());
    assert_eq!(page.requests(), Vec::<String>::new());
}

/// The middle of an element, in CSS pixels.
fn middle(page: &mut Page, selector: &str) -> (f64, f64) {
    let bounds = page.evaluate(&format!(
        "(({{x, y, width, height}}) => [x + width / 2, y + height / 2])(document.querySelector({}\
         ).getBoundingClientRect())",
        json!(selector)
    ));
    (bounds[0].as_f64().unwrap(), bounds[1].as_f64().unwrap())
}

/// Activity over time, as in the light style.
const ACTIVITY: &str = "r === 224 && g === 130 && b === 20";
/// What is selected, as in the light style.
const ACCENT: &str = "r === 11 && g === 98 && b === 196";
/// Any of the colours of ordinary functions: orange, and light enough for black letters.
const FUNCTION: &str = "r > g && g > b && (r - b) / (255 - Math.abs(r + b - 255)) > 0.85 \
                        && Math.abs(60 * (g - b) / (r - b) - 36) < 7 \
                        && Math.abs((r + b) / 510 - 0.68) < 0.07";

/// Waits until a canvas shows a colour, which is told by its `r`, `g` and `b`.
#[track_caller]
fn wait_for_color(page: &mut Page, selector: &str, color: &str) {
    let canvas = json!(selector);
    page.wait_for(&format!(
        "(() => {{ const c = document.querySelector({canvas}); const d = c.getContext('2d')\
         .getImageData(0, 0, c.width, c.height).data; for (let i = 0; i < d.length; i += 4) {{ \
         const [r, g, b, a] = d.subarray(i, i + 4); if (a === 255 && {color}) return true; }} \
         return false; }})()"
    ));
}

/// What is said of a place of the view's picture: a share of its width, and so many pixels
/// from its top.
fn tip_at(page: &mut Page, share: f64, y: f64) -> String {
    let bounds = page.evaluate(
        "(({x, y, width}) => [x, y, width])(document.querySelector('#view canvas')\
         .getBoundingClientRect())",
    );
    let [left, top, width] = [0, 1, 2].map(|i| bounds[i].as_f64().unwrap());
    page.point(left + share * width, top + y);
    let tip =
        "(({hidden, innerText}) => (hidden ? '' : innerText))(document.querySelector('#tip'))";
    page.evaluate(tip).as_str().unwrap().to_owned()
}

/// Waits until what was pointed at is drawn.
fn next_frame(page: &mut Page) {
    page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
    );
}

/// The colour there, of which nothing is left where nothing was drawn.
fn color_at(page: &mut Page, share: f64, y: f64) -> [u64; 3] {
    let color = page.evaluate(&format!(
        "(() => {{ const c = document.querySelector('#view canvas'); return [...c.getContext('2d')\
         .getImageData(c.width * {share}, {y}, 1, 1).data]; }})()"
    ));
    [0, 1, 2].map(|i| color[i].as_u64().unwrap())
}

/// Chooses what a field of the view is to be.
fn choose(page: &mut Page, field: &str, option: &str) {
    let (field, option) = (json!(field), json!(option));
    page.evaluate(&format!(
        "(() => {{ const field = [...document.querySelectorAll('#view select')].find((one) => \
         (one.ariaLabel ?? one.parentElement.firstChild.textContent.trim()) === {field}); \
         field.value = [...field.options].find((one) => one.text === {option}).value; \
         field.dispatchEvent(new Event('change')); }})()"
    ));
}

/// Rows of the table of functions as the page has them: name, module, own and total
/// weights and samples.
fn functions_shown(page: &mut Page) -> Vec<Value> {
    while page.evaluate("!document.querySelector('.more').hidden") == true {
        page.evaluate("document.querySelector('.more').click()");
    }
    let rows = page.evaluate(
        "Array.from(document.querySelectorAll('#view tr[data-function]'), ({dataset: d}) => \
         [d.function, d.module, +d.self, +d.total, +d.selfSamples, +d.totalSamples])",
    );
    sorted(rows.as_array().unwrap().clone())
}

/// The same as `--json` has them.
fn functions_of(trace: &Path, options: &[&str]) -> Vec<Value> {
    let all = ["--json", "--limit", "1000000", "--by", "self"];
    let output = report(&[&[text(trace)], options, &all].concat()).success();
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let row = |row: &Value| {
        let (own, total) = (&row["self"], &row["total"]);
        let weights = [&own["weight"], &total["weight"], &own["samples"], &total["samples"]];
        json!([row["function"], row["module"], weights[0], weights[1], weights[2], weights[3]])
    };
    sorted(json["data"]["functions"]["rows"].as_array().unwrap().iter().map(row).collect())
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}

#[test]
fn every_view_by_a_click_and_by_a_key() {
    let trace = threads();
    let (_dir, html) = page_of(&trace.path(), &[]);
    let mut page = open(&html, "");
    for (number, view) in (1..).zip(VIEWS) {
        let tab = format!("#tab-{view}");
        let (x, y) = middle(&mut page, &tab);
        let chosen =
            |view: &str| format!("document.querySelector('#tab-{view}[aria-selected=true]')");
        and_follow(&mut page, |page| page.click(x, y));
        page.wait_for(&chosen(view));
        let shown = page.evaluate("document.querySelector('#view').innerText.length");
        assert!(shown.as_u64() > Some(20), "{view}: {shown}");
        let color = match view {
            "flame" | "chart" | "sandwich" => Some(FUNCTION),
            "timeline" | "heatmap" => Some(ACTIVITY),
            _ => None,
        };
        if let Some(color) = color {
            wait_for_color(&mut page, "#view canvas", color);
        }
        and_follow(&mut page, |page| page.key("1"));
        page.wait_for(&chosen("overview"));
        // There are keys for the first nine.
        if number > 9 {
            continue;
        }
        and_follow(&mut page, |page| page.key(&number.to_string()));
        page.wait_for(&chosen(view));
    }
    page.key("?");
    page.wait_for("document.querySelector('#dialog').open");
    assert_nothing_amiss(&page);
}

#[test]
fn numbers_are_those_of_json() {
    let trace = threads();
    let (_dir, html) = page_of(&trace.path(), &[]);
    let mut page = Page::open();
    let mut check = |fragment: &str, options: &[&str]| {
        load(&mut page, &html, &format!("#view=table{fragment}"));
        let expected = functions_of(&trace.path(), options);
        assert!(expected.len() > 5, "{options:?}");
        assert_eq!(functions_shown(&mut page), expected, "{options:?}");
    };
    check("", &[]);
    check("&event=wall", &["--wall"]);
    check("&time=500000-1500000", &["--from", "500ms", "--until", "1500ms"]);
    let of_threads = |json: &Value| json["data"]["threads"]["rows"][0]["tid"].as_u64().unwrap();
    let output = report(&[text(&trace.path()), "--json"]).success();
    let busiest = of_threads(&serde_json::from_str(&output.stdout).unwrap()).to_string();
    load(&mut page, &html, "#view=overview");
    and_follow(&mut page, |page| {
        let choose = format!(
            "document.querySelector('#threads-button').click(); const label = [...document.\
             querySelectorAll('.thread-list label')].find((l) => l.innerText.includes(' {busiest}\
             :')); label.querySelector('input').click(); [...document.querySelectorAll('#dialog \
             button')].find((b) => b.innerText === 'Only these').click();"
        );
        page.evaluate(&format!("(() => {{ {choose} }})()"));
    });
    and_follow(&mut page, |page| page.key("3"));
    let only = functions_of(&trace.path(), &["--thread", &busiest]);
    assert_eq!(functions_shown(&mut page), only);
    sums_are_those_of_json(&mut page, &trace, &html);
    what_it_did_besides(&mut page, &trace, &html);
    findings_are_folded(&mut page, &trace, &html);
    assert_nothing_amiss(&page);
}

/// Waits and calls are exact sums, which the page has from the same rows.
fn sums_are_those_of_json(page: &mut Page, trace: &Trace, html: &Path) {
    for (view, option, table, name) in [
        ("waits", "--off-cpu", "reasons", "reason"),
        ("syscalls", "--syscalls", "calls", "syscall"),
    ] {
        load(page, html, &format!("#view={view}"));
        let shown = page.evaluate(
            "Array.from(document.querySelectorAll('#view tr[data-name]'), ({dataset: d}) => \
             [d.name, +d.count, +d.totalNs])",
        );
        let output = report(&[text(&trace.path()), option, "--json", "--limit", "1000"]).success();
        let json: Value = serde_json::from_str(&output.stdout).unwrap();
        let rows = json["data"][table]["rows"].as_array().unwrap();
        let row = |row: &Value| json!([row[name], row["count"], row["total_ns"]]);
        let expected: Vec<Value> = rows.iter().map(row).collect();
        assert!(!expected.is_empty());
        assert_eq!(sorted(shown.as_array().unwrap().clone()), sorted(expected), "{view}");
    }
    single_calls_are_searched(page, trace);
}

/// All that the doctor found is there, the first ones in sight.
fn findings_are_folded(page: &mut Page, trace: &Trace, html: &Path) {
    let output = report(&[text(&trace.path()), "--doctor", "--json"]).success();
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let found = json["data"]["findings"].as_array().unwrap().len();
    load(page, html, "#view=overview");
    let shown = page.evaluate(
        "['.findings pre', '.findings > ul > li'].map((what) => document.querySelectorAll(what).\
         length)",
    );
    assert_eq!(shown, json!([found, found.min(6)]));
}

/// Waits, calls and memory are on the first page, which leads to their views.
fn what_it_did_besides(page: &mut Page, trace: &Trace, html: &Path) {
    let json: Value =
        serde_json::from_str(&report(&[text(&trace.path()), "--json"]).success().stdout).unwrap();
    let calls = &json["data"]["overview"]["syscalls"];
    load(page, html, "#view=overview");
    let line = |page: &mut Page, name: &str, act: &str| {
        page.evaluate(&format!(
            "[...document.querySelectorAll('#view dt')].find((one) => one.innerText === '{name}')\
             .nextSibling.firstChild.{act}"
        ))
    };
    let said = line(page, "Calls", "innerText").as_str().unwrap().replace(',', "");
    let number = &calls["count"];
    assert!(said.starts_with(&format!("{number} in ")), "{number}: {said}");
    let named = calls["calls"]["rows"][0]["syscall"].as_str().unwrap();
    assert!(said.contains(&format!("{} failed: {named} ", calls["errors"])), "{said}");
    for (name, view) in [("Waiting", "waits"), ("Calls", "syscalls"), ("Memory", "heap")] {
        load(page, html, "#view=overview");
        and_follow(page, |page| drop(line(page, name, "click()")));
        assert_eq!(page.evaluate("location.hash"), format!("#view={view}"));
    }
}

fn single_calls_are_searched(page: &mut Page, trace: &Trace) {
    let list = report(&[text(&trace.path()), "--syscalls", "--list", "--tail", "10000", "--json"]);
    let json: Value = serde_json::from_str(&list.success().stdout).unwrap();
    let listed = json["data"]["calls"].as_array().unwrap();
    let unmapped = listed.iter().filter(|call| call["syscall"] == "munmap");
    let unmapped: Vec<Value> = unmapped.map(|call| json!(["munmap", call["at_ns"]])).collect();
    assert!(!unmapped.is_empty() && unmapped.len() < 200, "{unmapped:?}");
    page.wait_for("document.querySelector('tr[data-call]')");
    page.evaluate(
        "((field) => { field.value = 'munmap'; field.dispatchEvent(new Event('input')); })(\
         document.querySelector('[aria-label=\"Calls by name\"]'))",
    );
    let shown = page.evaluate(
        "Array.from(document.querySelectorAll('tr[data-call]'), ({dataset: d}) => [d.call, +d.at])",
    );
    assert_eq!(shown.as_array(), Some(&unmapped));
}

/// `main` calls `parse` (60), which calls `scan` (20) and itself, and `send` (40).
/// `app` is the process.
const CALLS: &str = "app;main;parse 40\napp;main;parse;scan 15\napp;main;parse;parse;scan 5\n\
                     app;main;send 40\n";

#[test]
fn a_flame_graph_is_pointed_at_zoomed_searched_and_inverted() {
    let (_dir, html) = page_of_folded(CALLS);
    let mut page = open(&html, "#view=flame");
    let bounds = page.evaluate(
        "(({x, y, width}) => [x, y, width])(document.querySelector('.flame-canvas').\
         getBoundingClientRect())",
    );
    let [left, top, width] = [0, 1, 2].map(|i| bounds[i].as_f64().unwrap());
    let row = |depth: f64| top + depth * 18.0 + 9.0;
    let tip = |page: &mut Page| page.evaluate("document.querySelector('#tip').innerText");
    // The widest is the leftmost.
    page.point(left + width * 0.3, row(2.0));
    let said = tip(&mut page);
    assert!(
        said.as_str()
            .unwrap()
            .starts_with("parse\n[names]\ntotal 60 (60.0 %), 60 samples\nself 40"),
        "{said}"
    );
    page.point(left + width * 0.8, row(2.0));
    let said = tip(&mut page);
    assert!(said.as_str().unwrap().starts_with("send"), "{said}");
    // Zoomed, it is as wide as the picture.
    page.click(left + width * 0.3, row(2.0));
    page.point(left + width * 0.95, row(2.0));
    let said = tip(&mut page);
    assert!(said.as_str().unwrap().starts_with("parse"), "{said}");
    page.key("Escape");
    page.point(left + width * 0.95, row(2.0));
    let said = tip(&mut page);
    assert!(said.as_str().unwrap().starts_with("send"), "{said}");
    and_follow(&mut page, |page| search(page, "^scan"));
    assert_eq!(
        page.evaluate("document.querySelector('#found').innerText"),
        "20.0 % in what is found"
    );
    and_follow(&mut page, |page| search(page, ""));
    and_follow(&mut page, |page| page.key("i"));
    page.point(left + width * 0.2, row(1.0));
    let said = tip(&mut page);
    assert!(said.as_str().unwrap().contains("self 0"), "{said}");
    assert_nothing_amiss(&page);
}

#[test]
fn filters_are_in_the_address_and_are_taken_back() {
    let (_dir, html) = page_of_folded(CALLS);
    let mut page = open(&html, "#view=sandwich");
    let choose = |page: &mut Page, name: &str| {
        let row = format!("document.querySelector('tr[data-function={name}]').click()");
        and_follow(page, |page| drop(page.evaluate(&row)));
    };
    let rows = |page: &mut Page| {
        let mut shown = functions_shown(page);
        shown.iter_mut().for_each(|row| *row = json!([row[0], row[2], row[3]]));
        shown
    };
    let all = json!([["main", 0, 100], ["parse", 40, 60], ["scan", 20, 20], ["send", 40, 40]]);
    assert_eq!(json!(rows(&mut page)), all);
    for (key, expected) in [
        ("f", json!([["parse", 40, 60], ["scan", 20, 20]])),
        ("F", json!([["main", 0, 60], ["parse", 40, 60], ["scan", 20, 20]])),
        ("c", json!([["main", 0, 100], ["parse", 60, 60], ["send", 40, 40]])),
        ("d", json!([["main", 0, 40], ["send", 40, 40]])),
        ("m", json!([["main", 40, 100], ["scan", 20, 20], ["send", 40, 40]])),
    ] {
        choose(&mut page, "parse");
        and_follow(&mut page, |page| page.key(key));
        assert_eq!(json!(rows(&mut page)), expected, "{key}");
        let address = page.evaluate("location.hash");
        load(&mut page, &html, address.as_str().unwrap());
        assert_eq!(json!(rows(&mut page)), expected, "{key}: {address}");
        and_follow(&mut page, |page| page.key("Escape"));
        assert_eq!(json!(rows(&mut page)), all, "{key}");
    }
    // An address may say anything.
    load(
        &mut page,
        &html,
        "#view=x&filter=focus.99&filter=__proto__&time=9-3&threads=7&function=-1",
    );

    assert_eq!(page.evaluate("location.hash").as_str().map(|hash| hash.contains("99")), Some(true));
    assert_eq!(page.evaluate("document.querySelector('#filters').hidden"), true);
    assert_nothing_amiss(&page);
}

#[test]
fn without_a_mouse() {
    let (_dir, html) = page_of_folded(CALLS);
    let mut page = open(&html, "");
    let tab_to = |page: &mut Page, what: &str| {
        let is_there = format!("document.activeElement.matches({})", json!(what));
        for _ in 0..30 {
            page.key("Tab");
            if page.evaluate(&is_there) == true {
                return;
            }
        }
        panic!("{what} is not reached");
    };
    tab_to(&mut page, "#tab-overview");
    and_follow(&mut page, |page| page.key("ArrowRight"));
    assert_eq!(page.evaluate("location.hash"), "#view=flame");
    tab_to(&mut page, ".flame-canvas");
    let said = |page: &mut Page| page.evaluate("document.querySelector('#status').innerText");
    for (key, name) in [("ArrowDown", "main"), ("ArrowDown", "parse"), ("ArrowRight", "send")] {
        page.key(key);
        let said = said(&mut page);
        assert!(said.as_str().unwrap().starts_with(name), "{key}: {said}");
    }
    and_follow(&mut page, |page| page.key("d"));
    assert_eq!(page.evaluate("document.querySelector('#filters').innerText"), "without send×");
    page.key("/");
    assert_eq!(page.evaluate("document.activeElement.id"), "search");
    assert_nothing_amiss(&page);
}

/// What a button of the dialog saves.
fn exported(page: &mut Page, format: &str) -> String {
    let script = format!(
        "(async () => {{ let saved; HTMLAnchorElement.prototype.click = () => {{}}; URL.createObjectURL = (blob) => {{ saved = blob; return ''; }};\
         document.querySelector('#export-button').click(); document.querySelector(\
         '[data-format={format}]').click(); return saved.text(); }})()"
    );
    page.evaluate(&script).as_str().unwrap().to_owned()
}

#[test]
fn what_is_selected_is_exported() {
    let hostile = "a<b>&\"'</text>";
    let (_dir, html) = page_of_folded(&format!("{CALLS}app;main;{hostile} 7\n"));
    let mut page = open(&html, "#view=flame");
    let folded = exported(&mut page, "folded");
    let mut lines: Vec<&str> = folded.lines().collect();
    lines.sort_unstable();
    let expected = [
        "main;a<b>&\"'</text> 7",
        "main;parse 40",
        "main;parse;parse;scan 5",
        "main;parse;scan 15",
        "main;send 40",
    ];
    assert_eq!(lines, expected);
    let speedscope: Value = serde_json::from_str(&exported(&mut page, "speedscope")).unwrap();
    assert_eq!(speedscope["profiles"][0]["endValue"], 107);
    assert_eq!(speedscope["profiles"][0]["samples"].as_array().map(Vec::len), Some(5));
    let json: Value = serde_json::from_str(&exported(&mut page, "json")).unwrap();
    assert_eq!(json["total"], json!({"samples": 107, "weight": 107}));
    let svg = exported(&mut page, "svg");
    let titles = page.evaluate(&format!(
        "(() => {{ const picture = new DOMParser().parseFromString({}, 'image/svg+xml'); return \
         picture.querySelector('parsererror') ? null : Array.from(picture.querySelectorAll('title'), \
         (title) => title.textContent); }})()",
        json!(svg)
    ));
    let titles = titles.as_array().expect("a picture that is well-formed");
    assert!(titles.iter().any(|title| title == &format!("{hostile}: 7 (6.54 %)")), "{titles:?}");
    // The graph need not be shown.
    load(&mut page, &html, "#view=overview");
    let hidden = exported(&mut page, "svg");
    assert!(hidden.contains(">parse: 60 (56.1 %)<"), "{hidden}");
    load(&mut page, &html, "#view=flame");
    // Only what a filter leaves.
    and_follow(&mut page, |page| search(page, "send"));
    page.key(".");
    and_follow(&mut page, |page| page.key("f"));
    assert_eq!(exported(&mut page, "folded"), "send 40\n");
    assert_nothing_amiss(&page);
}

#[test]
fn a_range_of_time_is_dragged() {
    let trace = threads();
    let (_dir, html) = page_of(&trace.path(), &[]);
    let mut page = open(&html, "#view=timeline");
    let (_, y) = middle(&mut page, "#strip-canvas");
    and_follow(&mut page, |page| page.drag((320.0, y), (960.0, y)));
    let chip = page.evaluate("document.querySelector('#filters').innerText");
    assert!(chip.as_str().unwrap().contains(" s to "), "{chip}");
    let hash = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('time')");
    let (from, until) = hash.as_str().unwrap().split_once('-').unwrap();
    let (from, until): (f64, f64) = (from.parse().unwrap(), until.parse().unwrap());
    // The middle half, as wide as the strip is.
    assert!((until / from - 3.0).abs() < 0.05, "{from} {until}");
    for key in ["w", "a", "d", "s", "f"] {
        page.key(key);
    }
    for color in [ACTIVITY, ACCENT] {
        wait_for_color(&mut page, "#view canvas", color);
    }
    and_follow(&mut page, |page| page.key("Escape"));
    assert_eq!(page.evaluate("document.querySelector('#filters').hidden"), true);
    // Behind the end there is nothing to select.
    load(&mut page, &html, "#view=timeline&time=0-99999999999999");
    assert_eq!(page.evaluate("document.querySelector('#filters').hidden"), true);
    assert_nothing_amiss(&page);
}

#[test]
fn hostile_names_are_text() {
    let names = [
        "<img src=https://example.com/a onerror=window.hacked=1>",
        "</script><script>window.hacked=1</script>",
        "<!--<script>",
        "\"><svg onload=window.hacked=1>",
        "{{data}}",
        "javascript:window.hacked=1",
        "\u{202e}evil\u{2066}",
    ];
    let folded: String = names.iter().map(|name| format!("app;{name};{name} 3\n")).collect();
    let (_dir, html) = page_of_folded(&folded);
    let mut page = open(&html, "");
    for view in VIEWS {
        load(&mut page, &html, &format!("#view={view}"));
        assert_eq!(page.evaluate("window.hacked ?? null"), Value::Null, "{view}");
        assert_eq!(page.evaluate("document.querySelectorAll('img, svg, iframe').length"), 0);
    }
    load(&mut page, &html, "#view=table");
    let shown = functions_shown(&mut page);
    for name in &names[..6] {
        assert!(shown.iter().any(|row| row[0] == *name), "{name}: {shown:?}");
    }
    assert_nothing_amiss(&page);
}

#[test]
fn what_cannot_be_shown_is_said() {
    let (dir, html) = page_of_folded(CALLS);
    let whole = fs::read(&html).unwrap();
    let message = "document.querySelector('#message').innerText";
    let mut page = Page::open();
    let cut = dir.path().join("cut.html");
    // In the style, in the script, in the data, and in its last bytes.
    for (length, sentence) in [
        (4_000, "If this stays, the page is incomplete"),
        (whole.len() / 2, "If this stays, the page is incomplete"),
        (whole.len() - 400, "This page is incomplete: its end is missing"),
        (whole.len() - 30, "This page is incomplete: its end is missing"),
    ] {
        fs::write(&cut, &whole[..length]).unwrap();
        page.load(&cut, "");
        page.wait_for("document.readyState === 'complete'");
        let said = page.evaluate("document.body.innerText");
        assert!(said.as_str().unwrap().starts_with(sentence), "{length}: {said}");
    }
    page.command(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({"source": "delete window.DecompressionStream"}),
    );
    page.load(&html, "");
    page.wait_for("document.querySelector('#message').innerText.includes('DecompressionStream')");
    let said = page.evaluate(message);
    assert!(said.as_str().unwrap().contains("Open the page in Firefox"), "{said}");
    // A style that is cut is not applied, which is an error of its own.
    assert_eq!(page.requests(), Vec::<String>::new());
}

#[test]
fn a_trace_without_samples_says_so_in_every_view() {
    let trace = Trace::record(&["-q", "--", "true"]);
    let dir = temp_dir();
    let empty = dir.path().join("empty.html");
    let nothing = ["--from", "0s", "--until", "1ns"];
    report(&[&[text(&trace.path()), "--html", text(&empty)], &nothing[..]].concat()).success();
    let mut page = Page::open();
    for view in VIEWS {
        load(&mut page, &empty, &format!("#view={view}"));
        let shown = page.evaluate("document.querySelector('#view').innerText");
        let says = |word: &str| shown.as_str().unwrap().contains(word);
        assert!(
            ["no samples", "No function", "not recorded"].iter().any(|word| says(word)),
            "{view}: {shown}"
        );
    }
    assert_nothing_amiss(&page);
}

#[test]
fn a_page_above_its_limit_says_so() {
    let trace = threads();
    let (_dir, html) = page_of(&trace.path(), &["--html-limit", "0"]);
    let mut page = open(&html, "#view=table");
    assert_eq!(functions_shown(&mut page), functions_of(&trace.path(), &[]));
    and_follow(&mut page, |page| page.key("1"));
    let said = page.evaluate("document.querySelector('.notes').innerText");
    // Without any times it would be too large as well.
    let said = said.as_str().unwrap();
    assert!(said.contains("the limit (--html-limit) was 0 MB"), "{said}");
    assert!(!said.contains("slices of"), "{said}");
    assert_nothing_amiss(&page);
}
