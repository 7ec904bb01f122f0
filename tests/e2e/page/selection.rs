//! What is selected is so in every view.

use rz_format::{Call, Wait, WaitState};

use super::timed::{MS, START_NS, Timed};
use super::*;

/// A worker that parses for half a second and then sends for as long, and one that parses
/// for all of it.
fn two_workers() -> (TempDir, PathBuf) {
    let mut trace = Timed::new(2);
    let [parse, send] = ["parse", "send"].map(|leaf| trace.stack(&["main", leaf]));
    trace.run(0, (0, 500), parse);
    trace.run(0, (500, 1_000), send);
    trace.run(1, (0, 1_000), parse);
    trace.write(1_000, true)
}

#[test]
fn keys_pan_and_zoom_the_timeline() {
    let (_dir, path) = two_workers();
    let (_page_dir, html) = page_of(&path, &[]);
    let mut page = open(&html, "#view=timeline&time=200000-600000");
    // The moments, in ms, of two places of the first track.
    let moments = |page: &mut Page| {
        [0.3, 0.9].map(|share| {
            let tip = tip_at(page, share, 30.0);
            let moment = tip.lines().find_map(|line| line.strip_prefix("at ")?.strip_suffix(" s"));
            1_000.0 * moment.unwrap_or_else(|| panic!("{tip}")).parse::<f64>().unwrap()
        })
    };
    let all = moments(&mut page);
    for (key, from, length) in [
        ("w", 150.0, 700.0),
        ("d", 290.0, 700.0),
        ("a", 150.0, 700.0),
        ("w", 255.0, 490.0),
        ("s", 150.0, 700.0),
        ("f", 200.0, 400.0),
    ] {
        page.key(key);
        let shown = moments(&mut page);
        for (shown, before) in shown.into_iter().zip(all) {
            let expected = from + before / 1_000.0 * length;
            assert!((shown - expected).abs() < 3.0, "{key}: {shown} ms, not {expected} ms");
        }
    }
    and_follow(&mut page, |page| page.key("Escape"));
    page.key("f");
    assert_eq!(moments(&mut page), all);
    assert_nothing_amiss(&page);
}

/// Filters by the function of a row of the table.
fn filter_by(page: &mut Page, function: &str, key: &str) {
    let row = format!("document.querySelector('tr[data-function={function}]').focus()");
    page.evaluate(&row);
    and_follow(page, |page| page.key(key));
}

#[test]
fn filters_are_for_what_is_shown_over_time_as_well() {
    let (_dir, path) = two_workers();
    let (_page_dir, html) = page_of(&path, &[]);
    let mut page = open(&html, "#view=table");
    filter_by(&mut page, "send", "d");
    and_follow(&mut page, |page| page.key("4"));
    // The other one has more now, and is the first.
    assert!(tip_at(&mut page, 0.75, 30.0).starts_with("worker-1 8\n1.00 s of CPU"));
    assert!(tip_at(&mut page, 0.75, 56.0).starts_with("worker-0 7\n500 ms of CPU"));
    let active = |page: &mut Page, share: f64, y: f64| color_at(page, share, y) == [224, 130, 20];
    assert!(active(&mut page, 0.3, 56.0) && active(&mut page, 0.9, 30.0));
    assert!(!active(&mut page, 0.9, 56.0));
    // In the strip, half of what is there at first is.
    let strip = "(({width, height}) => [0.25, 0.75].map((x) => document.querySelector(\
                 '#strip-canvas').getContext('2d').getImageData(width * x, height * 0.4, 1, 1)\
                 .data[3]))(document.querySelector('#strip-canvas'))";
    assert_eq!(page.evaluate(strip), json!([255, 0]));
    and_follow(&mut page, |page| page.key("5"));
    choose(&mut page, "Thread", "worker-0 7");
    assert!(tip_at(&mut page, 0.3, 43.0).starts_with("parse\n"));
    assert_eq!(tip_at(&mut page, 0.9, 43.0), "");
    and_follow(&mut page, |page| page.key("6"));
    // A column of 20 ms is a second's fiftieth, from top to bottom.
    let bottom = page.evaluate("document.querySelector('#view canvas').clientHeight");
    let cell = |share: f64| bottom.as_f64().unwrap() * share;
    assert!(tip_at(&mut page, 0.01, cell(0.25)).ends_with("40.0 ms of CPU"));
    assert!(tip_at(&mut page, 0.01, cell(0.75)).ends_with("20.0 ms of CPU"));
    // With nothing left, the timeline says why.
    and_follow(&mut page, |page| page.key("3"));
    filter_by(&mut page, "parse", "d");
    for (key, view) in [("4", "timeline"), ("5", "chart")] {
        and_follow(&mut page, |page| page.key(key));
        let said = page.evaluate("document.querySelector('#view .nothing').innerText");
        assert!(said.as_str().unwrap().contains("Take back a filter"), "{view}: {said}");
    }
    assert_nothing_amiss(&page);
}

#[test]
fn waits_and_calls_are_estimated_of_what_is_selected() {
    const FUTEX: u32 = 202;
    const NANOSLEEP: u32 = 35;
    let mut trace = Timed::new(2);
    let [lock, rest] = ["lock", "rest"].map(|leaf| trace.stack(&["main", leaf]));
    trace.run(0, (0, 10), lock);
    for (thread, from, until, number, stack) in
        [(0, 100, 200, FUTEX, lock), (0, 300, 500, NANOSLEEP, rest), (1, 600, 700, FUTEX, lock)]
    {
        let duration_ns = (until - from) * MS;
        trace.waits.push(Wait {
            end_ns: START_NS + until * MS,
            thread,
            duration_ns,
            weight: duration_ns,
            state: WaitState::Sleeping,
            syscall: Some(number),
            stack,
            ..Wait::default()
        });
        trace.calls.push(Call {
            start_ns: START_NS + from * MS,
            thread,
            number,
            duration_ns,
            stack,
            stack_weight: duration_ns,
            count: 1,
            ..Call::default()
        });
    }
    let (_dir, path) = trace.write(1_000, true);
    let (_page_dir, html) = page_of(&path, &[]);
    let mut page = Page::open();
    let shown = "Array.from(document.querySelectorAll('#view tr[data-reason]'), ({dataset: d}) => \
                 [d.reason, +d.weight / 1e6])";
    for view in ["waits", "syscalls"] {
        for (part, expected) in [
            ("", json!([])),
            // The second of them in half.
            ("&time=0-400000", json!([["futex", 100], ["nanosleep", 100]])),
            ("&threads=1", json!([["futex", 100]])),
            ("&time=800000-900000", json!([])),
        ] {
            load(&mut page, &html, &format!("#view={view}{part}"));
            assert_eq!(page.evaluate(shown), expected, "{view}{part}");
            let said = page.evaluate("document.querySelector('#view').innerText");
            let [selected, everything] = ["Of what is selected, about: ", "Of everything"]
                .map(|part| said.as_str().unwrap().contains(part));
            assert_eq!([selected, everything], [!part.is_empty(); 2], "{view}{part}: {said}");
        }
        // A row leads to its stacks.
        load(&mut page, &html, &format!("#view={view}&time=0-1000000"));
        let row = "document.querySelector('#view tr[data-reason=nanosleep]').click()";
        and_follow(&mut page, |page| drop(page.evaluate(row)));
        let chips = page.evaluate("document.querySelector('#filters').innerText");
        assert!(chips.as_str().unwrap().contains("nanosleep]"), "{chips}");
        assert!(tip_at(&mut page, 0.9, 45.0).starts_with("rest\n"));
        and_follow(&mut page, |page| page.key(if view == "waits" { "9" } else { "[" }));
    }
    assert_nothing_amiss(&page);
}

#[test]
fn two_parts_are_exported_with_their_names() {
    let (_dir, path) = two_workers();
    let (_page_dir, html) = page_of(&path, &[]);
    let mut page = open(&html, "#view=flame&before=all&before-threads=0&threads=1");
    page.evaluate("document.querySelector('#export-button').click()");
    let said = page.evaluate("document.querySelector('#dialog p').innerText");
    let said = said.as_str().unwrap();
    let sides = "before is all of the time, worker-0 7, after is all of the time, worker-1 8";
    assert!(said.contains(sides) && said.contains("% of each thread"), "{said}");
    page.evaluate("document.querySelector('#dialog').close()");
    assert_eq!(exported(&mut page, "folded"), "main;parse 50 100\nmain;send 50 0\n");
    let json: Value = serde_json::from_str(&exported(&mut page, "json")).unwrap();
    assert_eq!(json["before"], "all of the time, worker-0 7");
    let send = json["functions"].as_array().unwrap().iter().find(|row| row["function"] == "send");
    let own = &send.unwrap()["self"];
    let shown = ["before", "after", "delta", "verdict"].map(|field| own[field].clone());
    assert_eq!(shown, [json!(50), json!(0), json!(-50), json!("no evidence")]);
    let [low, high] = [0, 1].map(|limit| own["interval"][limit].as_f64().unwrap());
    assert!(low < -50.0 && high > -50.0, "{own}");
    let speedscope: Value = serde_json::from_str(&exported(&mut page, "speedscope")).unwrap();
    let ends = [0, 1].map(|side| speedscope["profiles"][side]["endValue"].clone());
    assert_eq!(ends, [json!(100), json!(100)]);
    assert_nothing_amiss(&page);
}
