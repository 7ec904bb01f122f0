//! What the timeline shows above its threads.

use super::served::many_samples;
use super::*;

/// What is said of a lane at a share of the time.
fn tip(page: &mut Page, lane: u32, share: f64) -> String {
    let bounds = page.evaluate(
        "(({x, y, width}) => [x, y, width])(document.querySelector('#view canvas')\
         .getBoundingClientRect())",
    );
    let [left, top, width] = [0, 1, 2].map(|i| bounds[i].as_f64().unwrap());
    // Names are left of time, and an axis is above.
    let (names, axis, height) = (190.0, 16.0, 26.0);
    page.point(
        left + names + share * (width - names),
        top + axis + (f64::from(lane) + 0.5) * height,
    );
    page.evaluate("document.querySelector('#tip').innerText").as_str().unwrap().to_owned()
}

#[test]
fn losses_are_shown_where_they_happened() {
    let (_dir, path) = many_samples();
    let (_page_dir, html) = page_of(&path, &[]);
    let mut page = open(&html, "#view=timeline");
    wait_for_color(&mut page, "#view canvas", "r === 164 && g === 22 && b === 26");
    // Of twelve seconds.
    let at = |page: &mut Page, second: f64| tip(page, 0, second / 12.0);
    assert_eq!(at(&mut page, 0.5), "Lost or throttled");
    let lost = at(&mut page, 1.5);
    assert!(lost.starts_with("Lost or throttled\n5 samples: kernel buffer full, 1.0"), "{lost}");
    let throttled = at(&mut page, 7.0);
    assert!(
        throttled.contains("an unknown number of samples: throttled by the kernel, 6.0"),
        "{throttled}"
    );
    assert_eq!(at(&mut page, 9.0), "Lost or throttled");
    // The overview leads there.
    and_follow(&mut page, |page| page.key("1"));
    let when = "[...document.querySelectorAll('.missing button')].find((one) => one.innerText === 'when').click()";
    and_follow(&mut page, |page| drop(page.evaluate(when)));
    assert_eq!(page.evaluate("location.hash"), "#view=timeline");
    assert!(tip(&mut page, 0, 0.5).contains("5 samples: kernel buffer full"));
    assert_eq!(tip(&mut page, 0, 0.1), "Lost or throttled");
    // Threads come behind.
    assert!(tip(&mut page, 1, 0.5).contains("thread"), "{}", tip(&mut page, 1, 0.5));
    assert_nothing_amiss(&page);
}

#[test]
fn memory_is_shown_over_time() {
    let trace = threads();
    let (_dir, html) = page_of(&trace.path(), &[]);
    let mut page = open(&html, "#view=timeline");
    for color in ["r === 0 && g === 158 && b === 115", "r === 204 && g === 121 && b === 167"] {
        wait_for_color(&mut page, "#view canvas", color);
    }
    // Behind what was lost, if anything, and system calls.
    let lost = u32::from(tip(&mut page, 0, 0.5).starts_with("Lost"));
    let calls = tip(&mut page, lost, 0.5);
    assert!(calls.starts_with("Calls ≤ "), "{calls}");
    let live = tip(&mut page, lost + 1, 0.5);
    assert!(live.starts_with("Live heap ≤ ") && live.contains("\nLive heap: "), "{live}");
    let rate = tip(&mut page, lost + 2, 0.5);
    assert!(rate.starts_with("Allocations ≤ ") && rate.contains("/s\nAllocations: "), "{rate}");
    assert_nothing_amiss(&page);
}
