//! System calls one by one: found by what is known of them, and each with its stack.

use rz_format::Call;

use super::timed::{MS, START_NS, Timed};
use super::*;

const OPENAT: u32 = 257;
const CLOSE: u32 = 3;
const ENOENT: i64 = -2;

/// Two workers that open files, the first of which does not exist, and close one.
fn calls() -> (TempDir, PathBuf) {
    let mut trace = Timed::new(2);
    let stack = trace.stack(&["main", "load", "open"]);
    trace.run(0, (0, 100), stack);
    for (thread, at, number, path, result, stack) in [
        (0, 10, OPENAT, Some("/etc/absent"), ENOENT, stack),
        (1, 20, OPENAT, Some("/etc/hosts"), 5, None),
        (1, 30, CLOSE, None, 0, stack),
    ] {
        let path = path.map(|path| trace.text(path));
        trace.calls.push(Call {
            start_ns: START_NS + at * MS + 7,
            duration_ns: 1_000,
            thread,
            number,
            result,
            texts: [path, None],
            stack,
            stack_weight: stack.map_or(0, |_| 1_000),
            count: 1,
            ..Call::default()
        });
    }
    trace.write(100, true)
}

#[test]
fn calls_are_found_and_have_their_stacks() {
    let (_dir, path) = calls();
    let (_page_dir, html) = page_of(&path, &[]);
    let mut page = open(&html, "#view=syscalls");
    page.wait_for("document.querySelector('tr[data-call]')");
    let found = |page: &mut Page, field: &str, text: &str| {
        page.evaluate(&format!(
            "((field) => {{ field.value = {}; field.dispatchEvent(new Event('input')); const rows \
             = Array.from(document.querySelectorAll('tr[data-call]'), ({{dataset: d}}) => \
             [d.call, d.at / 1e6 | 0]); field.value = ''; field.dispatchEvent(new Event('input')); \
             return rows; }})(document.querySelector('[aria-label=\"Calls by {field}\"]'))",
            json!(text)
        ))
    };
    assert_eq!(found(&mut page, "thread", "worker-1"), json!([["openat", 20], ["close", 30]]));
    assert_eq!(found(&mut page, "thread", "7"), json!([["openat", 10]]));
    assert_eq!(found(&mut page, "name", "close"), json!([["close", 30]]));
    assert_eq!(found(&mut page, "error", "enoent"), json!([["openat", 10]]));
    assert_eq!(found(&mut page, "path", "hosts"), json!([["openat", 20]]));
    assert_eq!(found(&mut page, "path", "openat"), json!([]));
    let stack = |page: &mut Page, row: u32| {
        page.evaluate(&format!("document.querySelectorAll('tr[data-call]')[{row}].click()"));
        page.evaluate(
            "Array.from(document.querySelectorAll('#view .stack button'), (one) => one.innerText)",
        )
    };
    for (row, call) in [(0, "openat"), (2, "close")] {
        let expected = json!([format!("[syscall: {call}]"), "open", "load", "main"]);
        assert_eq!(stack(&mut page, row), expected);
    }
    assert_eq!(stack(&mut page, 1), json!([]));
    let said = page.evaluate("document.querySelector('#view .call-stack').innerText");
    assert!(said.as_str().unwrap().contains("it was not recorded"), "{said}");
    // On the timeline the longest one of a place is told, and keys turn to other views.
    load(&mut page, &html, "#view=waits");
    and_follow(&mut page, |page| page.key("]"));
    and_follow(&mut page, |page| page.key("["));
    and_follow(&mut page, |page| page.key("4"));
    let names = 190.0 / 1280.0;
    let tip = tip_at(&mut page, names + (1.0 - names) * 0.3, 30.0);
    assert_eq!(tip, "Calls ≤ 1.00 µs\nclose: 1.00 µs at 0.030000 s, worker-1 8");
    wait_for_color(&mut page, "#view canvas", "r === 0 && g === 114 && b === 178");
    load(&mut page, &html, "#view=syscalls");
    page.wait_for("document.querySelector('tr[data-call]')");
    // Its functions are those of calls.
    stack(&mut page, 0);
    let load = "document.querySelectorAll('#view .stack button')[2].click()";
    and_follow(&mut page, |page| drop(page.evaluate(load)));
    let title = page.evaluate("document.querySelector('#view h2').innerText");
    assert_eq!(title, "load — self 0 ns, total 2.00 µs (100 %)");
    assert_nothing_amiss(&page);
}
