//! The source view: its numbers are those of `report --source`, and texts of sources are
//! there if they were asked for, as text.

use std::collections::BTreeMap;
use std::process::Command;

use rz_tests::{Target, run, tool, workspace_root};

use super::served::{Served, assert_only_asks};
use super::*;
use crate::source_maps::{bundle, record_with};

/// What is shown of the source of each function in it: function, file, whether it is
/// inlined, line, own and total weights and samples, and the text.
type Shown = BTreeMap<(String, String, bool, u64), ([u64; 4], String)>;

/// Opens the view and chooses a function.
#[track_caller]
fn choose(page: &mut Page, function: &str) {
    let row = format!("#view tr[data-function={}]", json!(function));
    let row = format!("document.querySelector({})", json!(row));
    page.wait_for(&row);
    and_follow(page, |page| drop(page.evaluate(&format!("{row}.click()"))));
}

/// The lines with samples, as the page has them.
fn shown(page: &mut Page) -> Shown {
    let rows = page.evaluate(
        "Array.from(document.querySelectorAll('#view .lines tr[data-line]'), (row) => { const \
         {dataset: d} = row; const {dataset: part} = row.closest('section'); return \
         [part.function, part.file, part.inlined === 'true', +d.line, +d.self, +d.total, \
         +d.selfSamples, +d.totalSamples, row.querySelector('.code').firstChild?.data ?? '']; })",
    );
    let rows = rows.as_array().unwrap().iter().filter(|row| row[7].as_u64() > Some(0));
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let row = |row: &Value| {
        let key = (word(&row[0]), word(&row[1]), row[2] == true, row[3].as_u64().unwrap());
        (key, ([4, 5, 6, 7].map(|i| row[i].as_u64().unwrap()), word(&row[8])))
    };
    rows.map(row).collect()
}

/// The same as `--source --json` has them, where equal functions are one.
fn shown_by_json(trace: &Path, function: &str, options: &[&str]) -> Shown {
    let all = ["--source", function, "--json", "--min-percent", "0", "--limit", "1000"];
    let output = report(&[&[text(trace)], &all[..], options].concat()).success();
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let mut shown = Shown::new();
    for part in json["data"]["function"]["sources"]["rows"].as_array().unwrap() {
        let lines = part["lines"]["rows"].as_array().into_iter().flatten();
        for line in lines.filter(|line| line["total"]["samples"].as_u64() > Some(0)) {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = (
                word(&part["function"]),
                word(&part["file"]),
                part["inlined"] == true,
                line["line"].as_u64().unwrap(),
            );
            let (own, total) = (&line["self"], &line["total"]);
            let sums = [&own["weight"], &total["weight"], &own["samples"], &total["samples"]];
            let entry = shown.entry(key).or_insert_with(|| ([0; 4], word(&line["text"])));
            (0..4).for_each(|i| entry.0[i] += sums[i].as_u64().unwrap());
        }
    }
    shown
}

/// The page has what `--source` has, with the text and without it.
#[track_caller]
fn check(trace: &Path, function: &str, page_options: &[&str], options: &[&str], least: usize) {
    let embed = [page_options, &["--embed-source"]].concat();
    let (_dir, html) = page_of(trace, &embed);
    let mut page = open(&html, "#view=source");
    choose(&mut page, function);
    let expected = shown_by_json(trace, function, options);
    assert!(expected.len() >= least, "{expected:?}");
    assert!(expected.values().any(|(_, text)| !text.is_empty()), "{expected:?}");
    assert_eq!(shown(&mut page), expected);
    // There are lines around those, and the hottest one is in view.
    let rows = page.evaluate("document.querySelectorAll('#view tr[data-line]').length");
    assert!(rows.as_u64() > Some(expected.len() as u64), "{rows}");
    let is_seen = "(({top, bottom}) => top > 100 && bottom < 800)(document.querySelector(\
                   '.hottest').getBoundingClientRect())";
    assert_eq!(page.evaluate(is_seen), true);
    assert_nothing_amiss(&page);

    let (_dir, html) = page_of(trace, page_options);
    let mut page = open(&html, "#view=source");
    choose(&mut page, function);
    let without: Shown =
        expected.into_iter().map(|(key, (sums, _))| (key, (sums, String::new()))).collect();
    assert_eq!(shown(&mut page), without);
    let said = page.evaluate("document.querySelector('#view').innerText");
    assert!(
        said.as_str().unwrap().contains("report --html --embed-source puts it there"),
        "{said}"
    );
    assert_nothing_amiss(&page);
}

fn split() -> Trace {
    Trace::record(&["-q", "--", text(&program_path("split")), "2"])
}

#[test]
fn lines_of_a_native_program() {
    let trace = split();
    check(&trace.path(), "hot", &[], &[], 3);
    check(&trace.path(), "run", &[], &[], 3);
}

#[test]
fn lines_of_what_is_selected() {
    let trace = split();
    let (_dir, html) = page_of(&trace.path(), &[]);
    let mut page = open(&html, "#view=source&time=500000-1100000");
    let no_text = |mut shown: Shown| {
        shown.values_mut().for_each(|(_, text)| text.clear());
        shown
    };
    let check = |page: &mut Page, options: &[&str]| {
        choose(page, "run");
        assert_eq!(shown(page), no_text(shown_by_json(&trace.path(), "run", options)));
    };
    let window = ["--from", "500ms", "--until", "1100ms"];
    check(&mut page, &window);
    // Without stacks through a function, and only with those through another one.
    let filter = |page: &mut Page, function: &str, key: &str| {
        choose(page, function);
        and_follow(page, |page| page.key(key));
    };
    filter(&mut page, "hot", "d");
    check(&mut page, &[&window[..], &["--ignore", "^hot$"]].concat());
    and_follow(&mut page, |page| page.key("Escape"));
    filter(&mut page, "warm", "F");
    check(&mut page, &[&window[..], &["--focus", "^warm$"]].concat());
    assert_nothing_amiss(&page);
}

#[test]
fn lines_of_a_python_program() {
    let program = program_path("split.py");
    let target = Target::spawn(Command::new(tool("python3.11")).arg(program).arg("functions"));
    let trace = Trace::of(target.pid(), "3", &["-q"]);
    let native = ["--native", "off"];
    check(&trace.path(), "work", &native, &native, 2);
    check(&trace.path(), "run", &[], &[], 3);
}

/// Its source is gone; the source map carries it.
#[test]
fn lines_of_a_javascript_program() {
    let dir = temp_dir();
    let app = bundle(dir.path(), "--sourcemap");
    let trace = record_with(&app, &[]);
    fs::remove_dir_all(dir.path().join("src")).unwrap();
    check(&trace.path(), "hotLoop", &[], &[], 1);
}

/// A program with this source, recorded; the source stays in `dir`.
fn recorded(dir: &Path, source: &str) -> Trace {
    let (file, program) = (dir.join("made.c"), dir.join("made"));
    fs::write(&file, source).unwrap();
    let programs = workspace_root().join("tests/programs");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-g", "-D_GNU_SOURCE", "-Wno-bidi-chars", "-I", text(&programs)]);
    run(gcc.args(["-o", text(&program), text(&file)])).success();
    Trace::record(&["-q", "--", text(&program)])
}

#[test]
fn hostile_sources_are_text() {
    let hostile = [
        "</script><script>window.hacked=1</script>",
        "<img src=https://example.com/a onerror=window.hacked=1>",
        "<!--<script>",
        "{{data}}",
    ];
    let dir = temp_dir();
    let comments: String = hostile.iter().map(|text| format!("    // {text}\n")).collect();
    let body = "work(30000); // \u{202e}evil\u{2066} \u{1b}[2J";
    let source = format!("#include \"program.h\"\nint main(void) {{\n{comments}    {body}\n}}\n");
    let trace = recorded(dir.path(), &source);
    let (_dir, html) = page_of(&trace.path(), &["--embed-source"]);
    let mut page = open(&html, "#view=source");
    choose(&mut page, "main");
    let texts = page.evaluate(
        "Array.from(document.querySelectorAll('#view td.code'), (cell) => cell.textContent)",
    );
    let texts: Vec<&str> = texts.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for text in hostile {
        assert!(texts.contains(&format!("    // {text}").as_str()), "{text}: {texts:?}");
    }
    assert!(texts.contains(&"    work(30000); // ?evil? ?[2J"), "{texts:?}");
    assert_eq!(page.evaluate("window.hacked ?? null"), Value::Null);
    assert_eq!(page.evaluate("document.querySelectorAll('img, svg, iframe').length"), 0);
    assert_nothing_amiss(&page);
}

#[test]
fn a_function_is_chosen_anywhere() {
    let trace = split();
    let (_dir, html) = page_of(&trace.path(), &["--embed-source"]);
    let mut page = open(&html, "#view=flame");
    let title = |page: &mut Page, name: &str| {
        page.wait_for("document.querySelector('.source h2')");
        let title = page.evaluate("document.querySelector('.source h2').innerText");
        assert!(title.as_str().unwrap().starts_with(&format!("{name} ")), "{title}");
    };
    // In a graph, by the keyboard alone.
    page.evaluate("document.querySelector('.flame-canvas').focus()");
    let said = |page: &mut Page| {
        let said = page.evaluate("document.querySelector('#status').innerText");
        said.as_str().unwrap().to_owned()
    };
    while !said(&mut page).starts_with("run ·") {
        let before = said(&mut page);
        page.key("ArrowDown");
        assert_ne!(said(&mut page), before);
    }
    and_follow(&mut page, |page| page.key("l"));
    title(&mut page, "run");
    // In a table, by what has the focus.
    and_follow(&mut page, |page| page.key("3"));
    page.evaluate("document.querySelector('tr[data-function=warm]').focus()");
    and_follow(&mut page, |page| page.key("l"));
    title(&mut page, "warm");
    // What a line calls, and what else is in the file.
    choose(&mut page, "run");
    let link = |page: &mut Page, inside: &str, name: &str| {
        let links = format!("[...document.querySelectorAll('{inside} .link')]");
        let click = format!("{links}.find((link) => link.innerText === '{name}').click()");
        and_follow(page, |page| drop(page.evaluate(&click)));
        title(page, name);
    };
    link(&mut page, ".calls", "hot");
    link(&mut page, ".neighbours", "cold");
    and_follow(&mut page, |page| page.key("s"));
    let hash = page.evaluate("location.hash");
    assert!(hash.as_str().unwrap().starts_with("#view=sandwich"), "{hash}");
    and_follow(&mut page, |page| page.key("l"));
    title(&mut page, "cold");
    // The address alone shows the same.
    let address = page.evaluate("location.hash");
    load(&mut page, &html, address.as_str().unwrap());
    title(&mut page, "cold");
    page.resize(390, 844);
    assert_eq!(page.evaluate("document.documentElement.scrollWidth"), 390);
    let pdf = page.command("Page.printToPDF", json!({}));
    assert!(pdf["data"].as_str().unwrap().len() > 1000);
    assert_nothing_amiss(&page);
}

#[test]
fn sources_are_served_if_they_are_asked_for() {
    let trace = split();
    let path = trace.path();
    let served = Served::start(&[text(&path), "--embed-source"]);
    let mut page = Page::open();
    served.load(&mut page, "#view=source");
    choose(&mut page, "hot");
    assert_eq!(shown(&mut page), shown_by_json(&path, "hot", &[]));
    assert_only_asks(&page, &served);
    let here = format!("/{}/", served.address.split('/').nth(3).unwrap());
    let own = "Host: HOST\r\n";
    let answer = served.answer(&format!("{here}sources"), own);
    assert!(answer.contains("x = x * 6364136223846793005u"), "{answer}");
    for path in ["sources/..", "sources?file=/etc/passwd", "sources/etc/passwd", "../sources"] {
        let answer = served.answer(&format!("{here}{path}"), own);
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    for headers in ["Host: evil.example\r\n", "Host: HOST\r\nOrigin: http://evil.example\r\n"] {
        let answer = served.answer(&format!("{here}sources"), headers);
        assert!(answer.starts_with("HTTP/1.1 403"), "{headers}: {answer}");
    }
    drop(served);
    let served = Served::start(&[text(&path)]);
    served.load(&mut page, "#view=source");
    choose(&mut page, "hot");
    let said = page.evaluate("document.querySelector('#view').innerText");
    assert!(said.as_str().unwrap().contains("report --serve --embed-source"), "{said}");
    let here = format!("/{}/", served.address.split('/').nth(3).unwrap());
    let answer = served.answer(&format!("{here}sources"), own);
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("x = x *"), "{answer}");
}

/// What a section of a page is.
fn section(page: &mut Page, name: &str) -> String {
    let unpacked = page.evaluate(&format!(
        "(async () => {{ const text = document.getElementById('{name}')?.textContent ?? ''; \
         const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)); const stream = new \
         Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')); return new \
         Response(stream).text(); }})()"
    ));
    unpacked.as_str().unwrap().to_owned()
}

/// Neither where sources are nor their text gets into the page, though both are here.
#[test]
fn a_redacted_trace_makes_a_redacted_page() {
    let dir = temp_dir();
    let folder = dir.path().join("CaNaRyFolder");
    fs::create_dir(&folder).unwrap();
    let source = "#include \"program.h\"\nFRAME void hot(void) { work(30000); } // CaNaRyText\n\
                  int main(void) { hot(); }\n";
    let trace = recorded(&folder, source);
    let safe = dir.path().join("safe.rz");
    conv(&[text(&trace.path()), "--to", "rz", "--embed", "--redact", "-o", text(&safe)]).success();
    let program = text(&folder);
    let options = ["--embed-source", "--source-dir", program, "--debug-dir", program];
    // What would be there otherwise.
    let (_dir, html) = page_of(&trace.path(), &options);
    let mut page = open(&html, "");
    let sources = section(&mut page, "sources");
    assert!(sources.contains("CaNaRyFolder") && sources.contains("CaNaRyText"), "{sources}");
    let (_dir, html) = page_of(&safe, &options);
    load(&mut page, &html, "");
    let sources = section(&mut page, "sources");
    assert!(!sources.contains("CaNaRy") && !sources.contains("\"text\":[["), "{sources}");
    load(&mut page, &html, "#view=source");
    choose(&mut page, "hot");
    let lines: Vec<u64> = shown(&mut page).into_keys().map(|(.., line)| line).collect();
    assert!(lines.contains(&2), "{lines:?}");
    let said = page.evaluate("document.documentElement.innerText");
    assert!(!said.as_str().unwrap().contains("CaNaRy"), "{said}");
    assert_nothing_amiss(&page);
}

#[test]
fn sources_are_for_pages() {
    let output = report(&["t.rz", "--embed-source"]).code(2);
    let refusal = "error: --embed-source is for the page of a trace: --html or --serve\n";
    assert!(output.stderr.starts_with(refusal), "{output}");
}
