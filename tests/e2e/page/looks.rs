//! How the page looks, sounds and is printed: dark, narrow, on paper, read out, and as files.

use super::timed::Timed;
use super::*;

#[test]
fn dark_narrow_and_printed() {
    let (_dir, html) = page_of_folded(CALLS);
    let mut page = open(&html, "");
    let back = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(page.evaluate(back), "rgb(255, 255, 255)");
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    page.command("Emulation.setEmulatedMedia", dark);
    assert_eq!(page.evaluate(back), "rgb(22, 24, 29)");
    page.resize(390, 844);
    for view in VIEWS {
        load(&mut page, &html, &format!("#view={view}"));
        let wide = page.evaluate("document.documentElement.scrollWidth");
        assert_eq!(wide, 390, "{view}");
    }
    page.resize(1280, 800);
    is_printed_light(&mut page, &html);
    assert_nothing_amiss(&page);
}

/// Also where dark was chosen by the button, and pictures as well.
fn is_printed_light(page: &mut Page, html: &Path) {
    page.command("Emulation.setEmulatedMedia", json!({"features": []}));
    load(page, html, "#view=flame");
    page.evaluate("document.querySelector('#theme-button').click()");
    let root = "getComputedStyle(document.documentElement).getPropertyValue('--faded')";
    assert_eq!(page.evaluate(root), "#2c3038");
    and_follow(page, |page| search(page, "^nothing$"));
    let dark = "r === 44 && g === 48 && b === 56";
    wait_for_color(page, ".flame-canvas", dark);
    // What is drawn when the printer looks.
    page.evaluate(
        "addEventListener('beforeprint', () => { const canvas = document.querySelector(\
         '.flame-canvas'); window.printed = [getComputedStyle(document.body).backgroundColor, \
         ...canvas.getContext('2d').getImageData(2, 20, 1, 1).data]; })",
    );
    let pdf = page.command("Page.printToPDF", json!({"printBackground": true}));
    assert!(pdf["data"].as_str().unwrap().len() > 1000);
    let printed = page.evaluate("window.printed");
    assert_eq!(printed, json!(["rgb(255, 255, 255)", 230, 231, 234, 255]));
    wait_for_color(page, ".flame-canvas", dark);
    and_follow(page, |page| search(page, ""));
}

/// Pictures have a role and a name, and what keys come to is said.
#[test]
fn pictures_are_read_out() {
    let mut trace = Timed::new(2);
    let parse = trace.stack(&["main", "parse"]);
    trace.run(0, (0, 1_000), parse);
    trace.run(1, (500, 600), parse);
    let (_dir, path) = trace.write(1_000, true);
    let (_page_dir, html) = page_of(&path, &[]);
    let mut page = Page::open();
    for view in VIEWS {
        load(&mut page, &html, &format!("#view={view}"));
        let pictures = "[...document.querySelectorAll('canvas')].every((one) => one.role && \
                        one.ariaLabel && (one.role === 'img' || one.tabIndex === 0))";
        assert_eq!(page.evaluate(pictures), true, "{view}");
        let panel = "((one) => one.role + ' ' + document.getElementById(one.getAttribute(\
                     'aria-labelledby')).role)(document.querySelector('#view'))";
        assert_eq!(page.evaluate(panel), "tabpanel tab");
    }
    let said = |page: &mut Page, keys: &[&str]| {
        keys.iter().for_each(|key| page.key(key));
        let said = page.evaluate("document.querySelector('#status').innerText");
        said.as_str().unwrap().to_owned()
    };
    load(&mut page, &html, "#view=timeline");
    page.evaluate("document.querySelector('#view canvas').focus()");
    let first = said(&mut page, &["ArrowRight"; 55]);
    assert!(first.starts_with("worker-0 7 · 1.00 s of CPU · at 0.5"), "{first}");
    let second = said(&mut page, &["ArrowDown"]);
    assert!(second.starts_with("worker-1 8 · 100 ms of CPU · at 0.5"), "{second}");
    and_follow(&mut page, |page| page.key("Enter"));
    assert_eq!(page.evaluate("document.querySelector('#filters').innerText"), "worker-1 8×");
    and_follow(&mut page, |page| page.key("Escape"));
    load(&mut page, &html, "#view=heatmap");
    page.evaluate("document.querySelector('#view canvas').focus()");
    let cell = said(&mut page, &["ArrowDown"; 27]);
    assert!(cell.starts_with("0.5200 s to 0.5400 s (20.0 ms) · 40.0 ms of CPU"), "{cell}");
    and_follow(&mut page, |page| page.key("Enter"));
    let time = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('time')");
    assert_eq!(time, "520000-540000");
    assert_nothing_amiss(&page);
}

#[test]
fn tables_and_labels_and_pictures_as_files() {
    let long = "a_name_that_is_longer_than_its_frame_is_wide_by_far";
    let dir = temp_dir();
    let folded = format!("{CALLS}app;main;{long} 3\n");
    let trace = trace_of_folded(&dir, "a", &folded);
    let (_dir, html) = page_of(&trace, &[]);
    let mut page = open(&html, "#view=table");
    let names = "Array.from(document.querySelectorAll('#view tr[data-function]'), ({dataset: d}) \
                 => d.function)";
    let by = |page: &mut Page, column: u32| {
        page.evaluate(&format!("document.querySelectorAll('#view th button')[{column}].click()"));
        page.evaluate(names)
    };
    // By own time at first, by name, and by name downwards.
    let own = page.evaluate(names);
    assert_eq!(own.as_array().unwrap()[2..], json!(["scan", long, "main"]).as_array().unwrap()[..]);
    let up = json!([long, "main", "parse", "scan", "send"]);
    assert_eq!(by(&mut page, 5), up);
    let mut down = up.as_array().unwrap().clone();
    down.reverse();
    assert_eq!(by(&mut page, 5), json!(down));
    assert_eq!(by(&mut page, 2)[0], "main");
    and_follow(&mut page, |page| search(page, "^s"));
    assert_eq!(page.evaluate(names), json!(["send", "scan"]));
    and_follow(&mut page, |page| search(page, ""));
    // What is alike by own time is ordered by all of it.
    let (_alike_dir, alike) = page_of_folded("app;outer;a;leaf 1\napp;outer;b;leaf 2\n");
    load(&mut page, &alike, "#view=table");
    assert_eq!(page.evaluate(names), json!(["leaf", "outer", "b", "a"]));
    load(&mut page, &html, "#view=table");
    // What is written on frames begins as their names do.
    page.evaluate(
        "(() => { window.written = []; const write = CanvasRenderingContext2D.prototype.fillText; \
         CanvasRenderingContext2D.prototype.fillText = function (text, ...where) { \
         window.written.push(text); write.call(this, text, ...where); }; })()",
    );
    page.resize(700, 800);
    and_follow(&mut page, |page| page.key("2"));
    page.wait_for("window.written.some((text) => text.startsWith('parse'))");
    let cut = page.evaluate("window.written.filter((text) => text.endsWith('…'))");
    let cut = cut.as_array().unwrap();
    assert!(!cut.is_empty());
    for label in cut {
        let kept = label.as_str().unwrap().trim_end_matches('…');
        let names = [long, "main", "parse", "scan", "send", "all: "];
        assert!(names.iter().any(|name| name.starts_with(kept)), "{label}");
    }
    let picture = page.evaluate(
        "(async () => { HTMLAnchorElement.prototype.click = () => {}; const saved = new Promise((\
         done) => { URL.createObjectURL = (blob) => { done(blob); return ''; }; }); document\
         .querySelector('#export-button').click(); [...document.querySelectorAll('#dialog button'\
         )].find((one) => one.innerText === 'This picture as PNG').click(); const blob = await \
         saved; const image = await createImageBitmap(blob); const canvas = document\
         .querySelector('#view canvas'); return [blob.type, image.width === canvas.width, \
         image.height === canvas.height]; })()",
    );
    assert_eq!(picture, json!(["image/png", true, true]));
    assert_nothing_amiss(&page);
}
