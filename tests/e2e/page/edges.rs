//! Pages of traces that are unusual: without names, of very many threads, of wild times,
//! and too large.

use rz_format::Sample;

use super::timed::{MS, START_NS, Timed};
use super::*;

/// No view is blank, and nothing is amiss in any of these.
fn look_at(page: &mut Page, html: &Path, views: &[&str]) {
    for view in views {
        load(page, html, &format!("#view={view}"));
        let shown = page.evaluate("document.querySelector('#view').innerText.length");
        assert!(shown.as_u64() > Some(20), "{view}: {shown}");
        assert_eq!(page.evaluate("document.querySelector('#message').hidden"), true, "{view}");
    }
    assert_nothing_amiss(page);
}

#[test]
fn unusual_traces_are_shown() {
    let mut page = Page::open();
    without_names(&mut page);
    with_wild_times(&mut page);
    of_very_many_threads(&mut page);
    too_large(&mut page);
}

fn without_names(page: &mut Page) {
    let mut trace = Timed::new(1);
    let stack = trace.stack(&["main", "parse"]);
    trace.run(0, (0, 100), stack);
    let (_dir, path) = trace.write(100, false);
    let (_page_dir, html) = page_of(&path, &[]);
    look_at(page, &html, &VIEWS);
    load(page, &html, "#view=overview");
    let said = page.evaluate("document.querySelector('.missing').innerText");
    assert!(
        said.as_str().unwrap().contains("100 samples of cpu-clock in functions without a name")
    );
    let which = "document.querySelector('.missing button').click()";
    and_follow(page, |page| drop(page.evaluate(which)));
    let shown = functions_shown(page);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown.iter().all(|row| row[0].as_str().unwrap().contains("0x")), "{shown:?}");
}

/// A clock that jumps: an hour back, and ten years ahead.
fn with_wild_times(page: &mut Page) {
    const YEARS: u64 = 10 * 365 * 86_400 * 1_000_000_000;
    let mut trace = Timed::new(2);
    let [parse, send] = ["parse", "send"].map(|leaf| trace.stack(&["main", leaf]));
    trace.run(0, (0, 100), parse);
    for time_ns in [START_NS + YEARS, START_NS + YEARS + MS, START_NS - 3_600_000 * MS / 1_000] {
        let (thread, stack) = (1, send);
        trace.samples.push(Sample { time_ns, thread, stack, weight: MS, ..Sample::default() });
    }
    let (_dir, path) = trace.write(100, true);
    let (_page_dir, html) = page_of(&path, &[]);
    look_at(page, &html, &VIEWS);
    load(page, &html, "#view=table");
    assert_eq!(functions_shown(page), functions_of(&path, &[]));
    load(page, &html, "#view=timeline");
    // As near as it gets, at both ends.
    for key in ["w"; 60].into_iter().chain(["a", "d", "s", "f"]) {
        page.key(key);
    }
    assert_nothing_amiss(page);
}

fn of_very_many_threads(page: &mut Page) {
    const MANY: u32 = 8_000;
    let mut trace = Timed::new(MANY);
    let stack = trace.stack(&["main", "parse"]);
    for thread in 0..MANY {
        let from = u64::from(thread / 20);
        trace.run(thread, (from, from + 1 + u64::from(thread == MANY - 1)), stack);
    }
    let (_dir, path) = trace.write(1_001, true);
    let (_page_dir, html) = page_of(&path, &[]);
    look_at(page, &html, &["overview", "flame", "timeline", "chart", "heatmap"]);
    load(page, &html, "#view=timeline");
    assert!(tip_at(page, 0.9, 30.0).starts_with("worker-7999 8006\n2.00 ms of CPU"));
    let height = page.evaluate("document.querySelector('#view canvas').height");
    assert!(height.as_f64() < Some(800.0), "{height}");
    page.evaluate("document.querySelector('#view .flame').scrollTop = 1e9");
    page.wait_for("document.querySelector('#view .flame').scrollTop > 8000 * 25");
    and_follow(page, |page| search(page, "worker-4567"));
    assert!(tip_at(page, 0.7, 30.0).starts_with("worker-4567 4574\n1.00 ms of CPU"));
    page.evaluate("document.querySelector('#threads-button').click()");
    let said = page.evaluate("document.querySelector('.thread-list').innerText");
    assert!(said.as_str().unwrap().ends_with("7,500 more: search for them"));
}

/// Above its limit a page is coarser, says so, and says where more is to be had.
fn too_large(page: &mut Page) {
    let mut trace = Timed::new(2);
    let stacks: Vec<_> =
        (0..256).map(|number| trace.stack(&["main", &format!("f{number}")])).collect();
    let mut mixed = 1_u64;
    for number in 0..300_000_u64 {
        // In no order that could be packed (xorshift).
        mixed ^= mixed << 13;
        mixed ^= mixed >> 7;
        mixed ^= mixed << 17;
        trace.samples.push(Sample {
            time_ns: START_NS + number * 10_000 + (mixed >> 51),
            thread: (number % 2) as u32,
            stack: stacks[(mixed >> 40) as usize % 256],
            weight: 10_000 + (mixed >> 20) % 65_536,
            ..Sample::default()
        });
    }
    let (_dir, path) = trace.write(3_001, true);
    let (_page_dir, html) = page_of(&path, &["--html-limit", "1"]);
    let viewer = 200_000;
    assert!(fs::metadata(&html).unwrap().len() < 1_000_000 + viewer);
    load(page, &html, "#view=table");
    assert_eq!(functions_shown(page), functions_of(&path, &[]));
    and_follow(page, |page| page.key("1"));
    let said = page.evaluate("document.querySelector('.notes').innerText");
    let said = said.as_str().unwrap();
    assert!(said.contains("This page would be larger than 1 MB"), "{said}");
    assert!(said.contains("in slices of") && said.contains("report --serve reads"), "{said}");
    load(page, &html, "#view=timeline");
    wait_for_color(page, "#view canvas", ACTIVITY);
    assert_nothing_amiss(page);
}
