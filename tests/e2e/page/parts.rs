//! Parts of a trace are compared on its page: with the numbers of `--json` of each part and
//! of the command that the page names.

use rz_tests::tool;

use super::served::many_samples;
use super::*;

/// The longest difference that rounding makes, as a part of a number.
const EXACT: f64 = 1e-9;

/// The longest difference of intervals, as a part of their length: a sample that is just
/// where a slice of time ends may be in the next one where times are whole microseconds.
const SLICED: f64 = 0.03;

/// 2 threads that change after 2 s.
/// Before others, so that what it does in a time does not depend on what they do.
fn phases() -> Trace {
    let (nice, program) = (tool("nice"), program_path("phases"));
    let command = [text(&nice), "-n", "-20", text(&program), "4"];
    Trace::record(&[&["-q", "--off-cpu", "--alloc=full", "--"][..], &command].concat())
}

/// Rows of the table of changes: name, before and after, by name.
fn changes_shown(page: &mut Page) -> Vec<(String, [f64; 2])> {
    while page.evaluate("!document.querySelector('#view .more').hidden") == true {
        page.evaluate("document.querySelector('#view .more').click()");
    }
    let rows = page.evaluate(
        "Array.from(document.querySelectorAll('#view tr[data-function]'), ({dataset: d}) => \
         [JSON.stringify([d.function, d.module]), +d.before, +d.after])",
    );
    let row = |row: &Value| {
        let numbers = [row[1].as_f64().unwrap(), row[2].as_f64().unwrap()];
        (row[0].as_str().unwrap().to_owned(), numbers)
    };
    let mut rows: Vec<_> = rows.as_array().unwrap().iter().map(row).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

/// The same of a comparison's JSON.
fn changes_of(diff: &Value) -> Vec<(String, [f64; 2])> {
    let row = |row: &Value| {
        let name = json!([row["name"], row["module"]]).to_string();
        (name, ["before", "after"].map(|side| row["self"][side].as_f64().unwrap()))
    };
    let mut rows: Vec<_> = diff["functions"].as_array().unwrap().iter().map(row).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

#[track_caller]
fn assert_equal(shown: &[(String, [f64; 2])], expected: &[(String, [f64; 2])]) {
    let names = |rows: &[(String, _)]| rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(shown), names(expected));
    assert_about(shown, expected, EXACT);
}

/// The same of intervals, which are cut at whole microseconds.
#[track_caller]
fn assert_about(shown: &[(String, [f64; 2])], expected: &[(String, [f64; 2])], tolerance: f64) {
    let mut compared = 0;
    for (name, expected) in expected.iter().filter(|row| row.1[0] + row.1[1] > tolerance) {
        let (_, found) =
            shown.iter().find(|row| row.0 == *name).unwrap_or_else(|| panic!("{name}"));
        for (found, expected) in found.iter().zip(expected) {
            let is_equal = (found - expected).abs() <= tolerance * expected;
            assert!(is_equal, "{name}: {found} {expected}");
        }
        compared += 1;
    }
    assert!(compared > 1, "{expected:?}");
}

/// Verdicts and intervals on the page are those of a comparison's JSON.
#[track_caller]
fn check_verdicts(page: &mut Page, diff: &Value) {
    let shown = page.evaluate(
        "Array.from(document.querySelectorAll('#view .all, #view tr[data-function]'), \
         ({dataset: d}) => [d.function ?? null, d.module ?? null, d.verdict ?? null, \
         d.interval ? d.interval.split(',').map(Number) : null])",
    );
    let shown = shown.as_array().unwrap();
    let of_page = |name: &Value, module: &Value| {
        let is_it = |row: &&Value| row[0] == *name && row[1] == *module;
        shown.iter().find(is_it).unwrap_or_else(|| panic!("{name} in {shown:?}"))
    };
    let functions = diff["functions"].as_array().unwrap().iter();
    let functions = functions.map(|row| (of_page(&row["name"], &row["module"]), &row["self"]));
    let mut tested = 0;
    for (found, expected) in
        functions.chain([(of_page(&Value::Null, &Value::Null), &diff["total"])])
    {
        assert_eq!(found[2], expected["verdict"], "{found} {expected}");
        assert_eq!(found[3].is_null(), expected["interval"].is_null(), "{found} {expected}");
        if let Some([low, high]) = expected["interval"].as_array().map(Vec::as_slice) {
            let (low, high) = (low.as_f64().unwrap(), high.as_f64().unwrap());
            for (limit, expected) in [(&found[3][0], low), (&found[3][1], high)] {
                let difference = (limit.as_f64().unwrap() - expected).abs();
                assert!(difference <= SLICED * (high - low), "{found} {low} {high}");
            }
            tested += 1;
        }
    }
    assert!(tested > 1, "{diff}");
}

/// What the command says that the page names.
fn said_by_its_command(page: &mut Page, trace: &Path) -> Value {
    let command = page.evaluate("document.querySelector('#view .command').innerText");
    let command = command.as_str().unwrap();
    let (_, options) = command.strip_prefix("report --diff ").unwrap().split_once(' ').unwrap();
    // No word has a space in it, and quotes are around whole words.
    let options: Vec<&str> = options.split(' ').map(|word| word.trim_matches('\'')).collect();
    let output = report(&[&["--diff", text(trace)], &options[..], &["--json"]].concat()).success();
    serde_json::from_str(&output.stdout).unwrap()
}

/// Changes that the page shows are those of the command that it names, and what each side
/// has is what a report of that part says.
fn check_numbers(page: &mut Page, trace: &Path, parts: [&[&str]; 2]) -> Value {
    let diff = said_by_its_command(page, trace);
    let shown = changes_shown(page);
    assert_equal(&shown, &changes_of(&diff));
    for (side, part) in parts.into_iter().enumerate() {
        let output = report(&[&[text(trace)], part, &["--json"]].concat()).success();
        let json: Value = serde_json::from_str(&output.stdout).unwrap();
        let duration = json["trace"]["duration_ns"].as_f64().unwrap();
        let mut own: Vec<_> = functions_of(trace, part)
            .iter()
            .map(|row| (json!([row[0], row[1]]).to_string(), row[2].as_f64().unwrap()))
            .collect();
        own.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, weight) in own {
            let found = shown.iter().find(|row| row.0 == name).unwrap_or_else(|| panic!("{name}"));
            let expected = 100.0 * weight / duration;
            assert!((found.1[side] - expected).abs() <= EXACT * expected, "{name}: {found:?}");
        }
    }
    let all = page.evaluate(
        "(({dataset: d}) => [+d.before, +d.after])(document.querySelector('#view .all'))",
    );
    for (index, side) in ["before", "after"].into_iter().enumerate() {
        let expected = diff["total"][side].as_f64().unwrap();
        assert!((all[index].as_f64().unwrap() - expected).abs() <= EXACT * expected, "{all}");
    }
    check_verdicts(page, &diff);
    diff
}

const EARLY: &str = "500000-1500000";
const LATE: &str = "2500000-3250000";
const EARLY_OPTIONS: [&str; 4] = ["--from", "500ms", "--until", "1500ms"];
const LATE_OPTIONS: [&str; 4] = ["--from", "2500ms", "--until", "3250ms"];

#[test]
fn two_parts_have_the_numbers_of_json() {
    let trace = phases();
    let (_dir, html) = page_of(&trace.path(), &[]);
    // A few seconds of a small program are small.
    assert!(fs::metadata(&html).unwrap().len() <= 400_000);
    let mut page = Page::open();
    let ranges = format!("#view=table&before={EARLY}&time={LATE}");
    load(&mut page, &html, &ranges);
    let parts: [&[&str]; 2] = [&EARLY_OPTIONS, &LATE_OPTIONS];
    let diff = check_numbers(&mut page, &trace.path(), parts);
    assert_eq!(diff["normalization"]["unit"], "% of one core");
    let late = page.evaluate(
        "(({dataset: d}) => +d.before)(document.querySelector('tr[data-function=late]'))",
    );
    assert_eq!(late, 0);
    for event in ["off-cpu", "wall"] {
        load(&mut page, &html, &format!("{ranges}&event={event}"));
        let diff = said_by_its_command(&mut page, &trace.path());
        assert_eq!(diff["event"]["name"], event);
        assert_about(&changes_shown(&mut page), &changes_of(&diff), 1e-3);
        check_verdicts(&mut page, &diff);
    }
    // What has no times is not compared by ranges, but by threads.
    load(&mut page, &html, &format!("{ranges}&event=alloc.bytes"));
    let said = page.evaluate("document.querySelector('#view').innerText");
    assert!(said.as_str().unwrap().contains("has no times"), "{said}");
    assert!(said.as_str().unwrap().contains("Changes have no verdict."), "{said}");
    assert_eq!(page.evaluate("document.querySelectorAll('#view tr[data-function]').length"), 0);
    let diff = said_by_its_command(&mut page, &trace.path());
    assert_eq!(diff["metric"], "bytes");
    threads_are_compared(&mut page, &trace, &html);
    filters_are_for_both_sides(&mut page, &trace, &html);
    assert_nothing_amiss(&page);
}

/// Chooses one thread in the dialog.
fn choose_thread(page: &mut Page, name: &str) {
    let choose = format!(
        "document.querySelector('#threads-button').click(); for (const label of document.\
         querySelectorAll('.thread-list label')) {{ const box = label.querySelector('input'); if \
         (box.checked !== label.innerText.trim().startsWith('{name} ')) box.click(); }} \
         [...document.querySelectorAll('#dialog button')].find((b) => b.innerText === 'Only \
         these').click();"
    );
    and_follow(page, |page| drop(page.evaluate(&format!("(() => {{ {choose} }})()"))));
}

fn threads_are_compared(page: &mut Page, trace: &Trace, html: &Path) {
    load(page, html, "#view=table");
    choose_thread(page, "steady");
    and_follow(page, |page| page.key("b"));
    choose_thread(page, "changing");
    let parts: [&[&str]; 2] = [&["--thread", "steady"], &["--thread", "changing"]];
    let diff = check_numbers(page, &trace.path(), parts);
    assert_eq!(diff["normalization"]["unit"], "% of each thread's time");
    let shown = changes_shown(page);
    let of =
        |name: &str| shown.iter().find(|row| row.0.starts_with(&format!("[\"{name}\""))).unwrap().1;
    assert!(of("work").iter().all(|value| *value > 1.0), "{shown:?}");
    // A link shows the same.
    let address = page.evaluate("location.hash");
    load(page, html, address.as_str().unwrap());
    assert_equal(&changes_shown(page), &shown);
    // The threads of allocations are known as well.
    let address = address.as_str().unwrap().replace("view=table", "view=table&event=alloc.bytes");
    load(page, html, &address);
    let diff = said_by_its_command(page, &trace.path());
    let total = |rows: &[(String, [f64; 2])]| rows.iter().map(|row| row.1[1]).sum::<f64>();
    let shown = total(&changes_shown(page));
    // Own sums of functions go to those that called for memory there, in KiB.
    let expected = total(&changes_of(&diff));
    assert!(shown > 1e5 && expected > 0.0, "{shown} {expected}");
    let said = page.evaluate("document.querySelector('#view').innerText");
    assert!(said.as_str().unwrap().contains("How allocations vary by chance"), "{said}");
    assert!(!said.as_str().unwrap().contains("95 % interval"), "{said}");
}

fn filters_are_for_both_sides(page: &mut Page, trace: &Trace, html: &Path) {
    for (key, option) in [("d", "--ignore"), ("F", "--focus")] {
        load(page, html, &format!("#view=sandwich&before={EARLY}&time={LATE}"));
        let row = "document.querySelector('tr[data-function=early]').click()";
        and_follow(page, |page| drop(page.evaluate(row)));
        and_follow(page, |page| page.key(key));
        and_follow(page, |page| page.key("3"));
        let command = page.evaluate("document.querySelector('#view .command').innerText");
        assert!(command.as_str().unwrap().contains(&format!("{option} '^early$'")), "{command}");
        let diff = said_by_its_command(page, &trace.path());
        assert_equal(&changes_shown(page), &changes_of(&diff));
        check_verdicts(page, &diff);
        // The comparison is taken back first, and can be had again.
        and_follow(page, |page| page.key("Escape"));
        assert_eq!(page.evaluate("document.querySelector('#view .command')"), Value::Null);
        assert_eq!(page.evaluate("document.querySelector('#filters').hidden"), false);
        and_follow(page, |page| drop(page.evaluate("history.back()")));
        let again = page.evaluate("document.querySelector('#view .command').innerText");
        assert_eq!(again, command);
    }
}

#[test]
fn a_part_is_kept_compared_and_taken_back() {
    let trace = phases();
    let (_dir, html) = page_of(&trace.path(), &[]);
    let mut page = open(&html, "#view=timeline");
    let (_, y) = middle(&mut page, "#strip-canvas");
    and_follow(&mut page, |page| page.drag((200.0, y), (500.0, y)));
    let keep = "[...document.querySelectorAll('#view button')].find((b) => b.innerText === 'Keep as before (B)').click()";
    and_follow(&mut page, |page| drop(page.evaluate(keep)));
    and_follow(&mut page, |page| page.drag((800.0, y), (1_100.0, y)));
    let chips = page.evaluate("document.querySelector('#filters').innerText");
    assert!(chips.as_str().unwrap().starts_with("before: "), "{chips}");
    // Where it is on the timeline.
    wait_for_color(&mut page, "#strip-canvas", "r === 123 && g === 50 && b === 148");
    and_follow(&mut page, |page| page.key("2"));
    let [more, less] =
        ["r === 238 && g === 126 && b === 32", "r > 79 && r < 210 && b > 213 && b > r"];
    for color in [more, less] {
        wait_for_color(&mut page, ".flame-canvas", color);
    }
    let bounds = page.evaluate(
        "(({x, y, width}) => [x, y, width])(document.querySelector('.flame-canvas').\
         getBoundingClientRect())",
    );
    let [left, top, width] = [0, 1, 2].map(|i| bounds[i].as_f64().unwrap());
    page.point(left + width * 0.2, top + 27.0);
    let tip = page.evaluate("document.querySelector('#tip').innerText");
    assert!(tip.as_str().unwrap().contains("% of one core"), "{tip}");
    widths_are_chosen(&mut page);
    // Own time first, and a function with its callers and callees.
    and_follow(&mut page, |page| page.key("i"));
    for color in [more, less] {
        wait_for_color(&mut page, ".flame-canvas", color);
    }
    load(&mut page, &html, &format!("#view=sandwich&before={EARLY}&time={LATE}"));
    let row = "document.querySelector('tr[data-function=late]').click()";
    and_follow(&mut page, |page| drop(page.evaluate(row)));
    let title = page.evaluate("document.querySelector('#view h2').innerText");
    assert!(title.as_str().unwrap().starts_with("late — self 0 → "), "{title}");
    wait_for_color(&mut page, ".flame-canvas", more);
    looks(&mut page);
    and_follow(&mut page, |page| page.key("Escape"));
    assert_eq!(page.evaluate("new URLSearchParams(location.hash.slice(1)).has('before')"), false);
    assert_eq!(page.evaluate("document.querySelector('#view .command')"), Value::Null);
    // An address may say anything.
    let hostile = "#view=flame&before=9-3&before-threads=99999.x&width=__proto__&time=1-1";
    load(&mut page, &html, hostile);
    assert_eq!(page.evaluate("document.querySelector('#filters').hidden"), true);
    load(&mut page, &html, "#view=flame&before=all&before-threads=99999.x&width=delta");
    let chips = page.evaluate("document.querySelector('#filters').innerText");
    assert_eq!(chips, "before: all of the time×");
    assert_nothing_amiss(&page);
}

fn widths_are_chosen(page: &mut Page) {
    for width in ["before", "after", "delta", "share", "larger"] {
        let choose = format!(
            "((one) => {{ one.value = '{width}'; one.dispatchEvent(new Event('change')); }})([...\
             document.querySelectorAll('#view select')].find((one) => [...one.options].some((o) => \
             o.value === 'delta')))"
        );
        and_follow(page, |page| drop(page.evaluate(&choose)));
        let address = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('width')");
        let expected = if width == "larger" { Value::Null } else { json!(width) };
        assert_eq!(address, expected);
        wait_for_color(page, ".flame-canvas", "r === 228 && g === 228 && b === 228");
    }
}

/// Dark, and narrow.
fn looks(page: &mut Page) {
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    page.command("Emulation.setEmulatedMedia", dark);
    page.resize(390, 844);
    for key in ["2", "3", "4", "7"] {
        and_follow(page, |page| page.key(key));
        assert_eq!(page.evaluate("document.documentElement.scrollWidth"), 390, "{key}");
    }
    page.resize(1280, 800);
    page.command("Emulation.setEmulatedMedia", json!({"features": []}));
}

/// Neither threads nor processes are in stacks, so that their names make no difference.
#[test]
fn threads_of_two_processes_have_their_stacks_in_common() {
    let dir = temp_dir();
    let stacks = "one;main;parse 40\ntwo;main;parse 30\ntwo;main;send 5\n";
    let trace = trace_of_folded(&dir, "a", stacks);
    let (_dir, html) = page_of(&trace, &[]);
    let mut page = open(&html, "#view=flame&before=all&before-threads=0&threads=1");
    let expected = "main\n[names]\nbefore 40.0, after 35.0, -5.00 count\nno evidence of a change";
    assert_eq!(tip_at(&mut page, 0.02, 27.0), expected);
    and_follow(&mut page, |page| page.key("3"));
    // Without times there are no rates.
    let diff = said_by_its_command(&mut page, &trace);
    assert_eq!(diff["normalization"]["per"], "raw");
    assert_equal(&changes_shown(&mut page), &changes_of(&diff));
    check_verdicts(&mut page, &diff);
    let said = page.evaluate("document.querySelector('#view').innerText");
    assert!(said.as_str().unwrap().contains("since their times are not known"), "{said}");
    // Both processes are told apart where one side has both.
    load(&mut page, &html, "#view=flame&before=all&threads=1");
    let tip = tip_at(&mut page, 0.02, 27.0);
    assert!(tip.starts_with("one (process)\nbefore 40.0, after 0"), "{tip}");
    assert_nothing_amiss(&page);
}

#[test]
fn parts_of_a_large_trace_are_read_again() {
    let (_dir, path) = many_samples();
    let served = served::Served::start(&[text(&path)]);
    let mut page = Page::open();
    // No slice of time begins or ends there.
    served.load(&mut page, "#view=table&before=3123456-3134567&time=5123456-5234567");
    let parts: [&[&str]; 2] = [
        &["--from", "3123456us", "--until", "3134567us"],
        &["--from", "5123456us", "--until", "5234567us"],
    ];
    check_numbers(&mut page, &path, parts);
    served::assert_only_asks(&page, &served);
}
