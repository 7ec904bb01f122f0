//! The flame chart: zoomed, gone through by keys, and as deep as stacks are; and graphs of
//! those.

use super::timed::Timed;
use super::*;

/// One that parses and sends in turns of a quarter of a second, and one that is deep in
/// two recursions, in turns of a millisecond.
fn turns_and_depth() -> (TempDir, PathBuf) {
    let mut trace = Timed::new(2);
    let turns = ["parse", "send"].map(|leaf| trace.stack(&["main", leaf]));
    for quarter in 0..4 {
        trace.run(0, (250 * quarter, 250 * (quarter + 1)), turns[quarter as usize % 2]);
    }
    let deep = ["one", "two"]
        .map(|root| trace.stack(&[&[root][..], &["down"; 4_998], &["leaf"]].concat()));
    (0..600).for_each(|at| trace.run(1, (at, at + 1), deep[at as usize % 2]));
    trace.write(1_000, true)
}

/// Where frames of a depth are on the chart, below its axis.
fn row(depth: u32) -> f64 {
    16.0 + 18.0 * f64::from(depth) + 9.0
}

#[track_caller]
fn starts(page: &mut Page, share: f64, depth: u32, name: &str) {
    next_frame(page);
    let said = tip_at(page, share, row(depth));
    assert!(said.starts_with(&format!("{name}\n")), "{name}: {said}");
}

/// Clicks at a share of the picture's width.
fn click_at(page: &mut Page, share: f64, y: f64) {
    let bounds = page.evaluate(
        "(({x, y, width}) => [x, y, width])(document.querySelector('#view canvas')\
         .getBoundingClientRect())",
    );
    let [left, top, width] = [0, 1, 2].map(|i| bounds[i].as_f64().unwrap());
    page.click(left + share * width, top + y);
}

#[test]
fn a_chart_is_zoomed_and_its_frames_are_chosen() {
    let (_dir, path) = turns_and_depth();
    let (_page_dir, html) = page_of(&path, &[]);
    let mut page = open(&html, "#view=chart&threads=0");
    for (share, name) in [(0.1, "parse"), (0.4, "send"), (0.6, "parse"), (0.9, "send")] {
        starts(&mut page, share, 1, name);
    }
    // The same function is lighter everywhere.
    page.point(5.0, 5.0);
    next_frame(&mut page);
    let light = |page: &mut Page, share: f64| color_at(page, share, row(1) - 7.0);
    let [sending, parsing] = [light(&mut page, 0.4), light(&mut page, 0.6)];
    starts(&mut page, 0.1, 1, "parse");
    next_frame(&mut page);
    assert_eq!(light(&mut page, 0.4), sending);
    assert!(light(&mut page, 0.6)[2] > parsing[2], "{parsing:?}");
    // A click chooses, another one zooms in.
    click_at(&mut page, 0.4, row(1));
    starts(&mut page, 0.1, 1, "parse");
    click_at(&mut page, 0.4, row(1));
    for share in [0.02, 0.98] {
        starts(&mut page, share, 1, "send");
    }
    page.key("Escape");
    starts(&mut page, 0.1, 1, "parse");
    // The wheel zooms around the pointer.
    let wheel = "(({x, width}, canvas) => { for (let i = 0; i < 9; i++) canvas.dispatchEvent(new \
                 WheelEvent('wheel', {deltaY: -100, ctrlKey: true, clientX: x + 0.9 * width, \
                 cancelable: true})); })(document.querySelector('#view canvas').\
                 getBoundingClientRect(), document.querySelector('#view canvas'))";
    page.evaluate(wheel);
    starts(&mut page, 0.05, 1, "send");
    page.key("0");
    starts(&mut page, 0.1, 1, "parse");
    page.key("+");
    page.key("+");
    starts(&mut page, 0.02, 1, "send");
    page.key("Escape");
    // Filters are about what is chosen.
    click_at(&mut page, 0.1, row(1));
    page.point(5.0, 5.0);
    and_follow(&mut page, |page| page.key("d"));
    assert_eq!(page.evaluate("document.querySelectorAll('.chip')[1].innerText"), "without parse×");
    assert_eq!(tip_at(&mut page, 0.1, row(1)), "");
    and_follow(&mut page, |page| page.key("Escape"));
    let said = |page: &mut Page| page.evaluate("document.querySelector('#status').innerText");
    page.evaluate("document.querySelector('#view canvas').focus()");
    for (key, name) in [
        ("ArrowDown", "main · "),
        ("ArrowDown", "parse · "),
        ("ArrowRight", "send · "),
        ("ArrowUp", "main · "),
    ] {
        page.key(key);
        let said = said(&mut page);
        assert!(said.as_str().unwrap().starts_with(name), "{key}: {said}");
    }
    stacks_of_thousands_are_scrolled(&mut page, &html);
    assert_nothing_amiss(&page);
}

fn stacks_of_thousands_are_scrolled(page: &mut Page, html: &Path) {
    // Of 5,000 frames a profile keeps the inner 3,584.
    for view in ["flame", "chart"] {
        load(page, html, &format!("#view={view}&threads=1"));
        let sizes = page.evaluate(
            "(() => { const scroller = document.querySelector('#view .flame'); scroller.scrollTop \
             = 1e6; return [scroller.scrollHeight, document.querySelector('#view canvas')\
             .height]; })()",
        );
        assert!(sizes[0].as_f64() > Some(64_000.0), "{view}: {sizes}");
        assert!(sizes[1].as_f64() < Some(800.0), "{view}: {sizes}");
        page.wait_for("document.querySelector('#view .flame').scrollTop > 60000");
        let bottom = page.evaluate("document.querySelector('#view .flame').clientHeight");
        let leaf = bottom.as_f64().unwrap() - 14.0;
        let tip = tip_at(page, 0.01, leaf);
        assert!(tip.starts_with("leaf\n"), "{view}: {tip}");
    }
    // Not all frames of all samples are kept.
    let said = page.evaluate("document.querySelector('#view .tools').innerText");
    assert!(said.as_str().unwrap().contains("200 of 600 samples are drawn"), "{said}");
}

#[test]
fn colours_are_those_of_threads() {
    let mut trace = Timed::new(3);
    let [parse, send] = ["parse", "send"].map(|leaf| trace.stack(&["main", leaf]));
    trace.run(0, (0, 100), parse);
    trace.run(1, (0, 60), send);
    trace.run(2, (0, 70), send);
    let (_dir, path) = trace.write(100, true);
    let (_page_dir, html) = page_of(&path, &[]);
    let mut page = open(&html, "#view=flame");
    choose(&mut page, "Colours by", "thread");
    // The wider one, of most of the time, is that of two threads.
    for (share, depth, most) in [(0.1, 1, 0), (0.1, 2, 2), (0.9, 2, 0)] {
        let tip = tip_at(&mut page, share, 18.0 * f64::from(depth) + 9.0);
        let expected = format!("most of it in worker-{most} ");
        assert!(tip.contains(&expected), "{expected}: {tip}");
    }
    page.point(5.0, 5.0);
    let color = |page: &mut Page, share: f64| color_at(page, share, 18.0 * 2.0 + 2.0);
    next_frame(&mut page);
    let [wide, narrow] = [color(&mut page, 0.1), color(&mut page, 0.9)];
    and_follow(&mut page, |page| page.key("i"));
    // Own time first, the same.
    next_frame(&mut page);
    let inverted = [0.1, 0.9].map(|share| color_at(&mut page, share, 18.0 + 2.0));
    assert_eq!(inverted, [wide, narrow]);
    assert_ne!(wide, narrow);
    assert_nothing_amiss(&page);
}
