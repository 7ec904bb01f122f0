//! The page around the data: what is in `report/viewer/`, and what it may do.

use std::io::{self, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::sections::Packed;

/// Name of the section that says what the others are.
pub(super) const HEAD: &str = "head";

const INDEX: &str = include_str!("../../viewer/index.html");
const STYLE: &str = include_str!("../../viewer/style.css");

/// One script, in the order in which its parts need each other.
const SCRIPT: [&str; 25] = [
    include_str!("../../viewer/data.js"),
    include_str!("../../viewer/format.js"),
    include_str!("../../viewer/tree.js"),
    include_str!("../../viewer/selection.js"),
    include_str!("../../viewer/lines.js"),
    include_str!("../../viewer/canvas.js"),
    include_str!("../../viewer/flame.js"),
    include_str!("../../viewer/threads.js"),
    include_str!("../../viewer/table.js"),
    include_str!("../../viewer/lanes.js"),
    include_str!("../../viewer/timeline.js"),
    include_str!("../../viewer/chart.js"),
    include_str!("../../viewer/heatmap.js"),
    include_str!("../../viewer/sandwich.js"),
    include_str!("../../viewer/source.js"),
    include_str!("../../viewer/overview.js"),
    include_str!("../../viewer/calls.js"),
    include_str!("../../viewer/exact.js"),
    include_str!("../../viewer/export.js"),
    include_str!("../../viewer/keys.js"),
    include_str!("../../viewer/diff.js"),
    include_str!("../../viewer/statistics.js"),
    include_str!("../../viewer/noise.js"),
    include_str!("../../viewer/parts.js"),
    include_str!("../../viewer/main.js"),
];

/// Where the data of a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataIn {
    /// All of it is in the page.
    Page,
    /// The page asks the server for it that it comes from.
    Server,
}

/// What the browser runs: all scripts, without comments and indentation.
fn script() -> String {
    let lines = SCRIPT.iter().flat_map(|script| script.split_inclusive('\n'));
    lines.map(str::trim_start).filter(|line| !line.starts_with("//")).collect()
}

/// Writes the page with the data that is in it.
pub(super) fn write_viewer(out: &mut dyn Write, sections: &Packed, data: DataIn) -> io::Result<()> {
    let script = script();
    let parts = INDEX.split("{{").flat_map(|part| match part.split_once("}}") {
        Some((name, text)) => [Part::Named(name), Part::Text(text)],
        None => [Part::Text(part), Part::Text("")],
    });
    for part in parts {
        match part {
            Part::Text(text) => out.write_all(text.as_bytes())?,
            Part::Named("policy") => out.write_all(policy(&script, data).as_bytes())?,
            Part::Named("style") => out.write_all(STYLE.as_bytes())?,
            Part::Named("script") => out.write_all(script.as_bytes())?,
            Part::Named(_) => write_sections(out, sections)?,
        }
    }
    Ok(())
}

enum Part<'p> {
    Text(&'p str),
    Named(&'p str),
}

/// Nothing is fetched but a server's data, and nothing runs but this script.
fn policy(script: &str, data: DataIn) -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let (script, style) = (hash(script), hash(STYLE));
    let connect = if data == DataIn::Server { "; connect-src 'self'" } else { "" };
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; base-uri \
         'none'; form-action 'none'{connect}"
    )
}

/// A browser takes scripts of a type that it does not know for data.
fn write_sections(out: &mut dyn Write, sections: &Packed) -> io::Result<()> {
    for (name, packed) in sections.iter() {
        writeln!(out, r#"<script type="application/gzip" id="{name}">{packed}</script>"#)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_viewer_is_small_and_cannot_end_its_own_script() {
        let script = script();
        let size = INDEX.len() + STYLE.len() + script.len();
        assert!(size <= 200_000, "{size}");
        // No text goes over several lines, of which indentation would be a part.
        assert!(script.lines().all(|line| line.matches('`').count() % 2 == 0));
        for text in [script.as_str(), STYLE] {
            assert!(!text.contains("</") && !text.contains("<!--"));
        }
        // Names could become code, or something to be fetched, by these alone.
        for never in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval("] {
            assert!(!script.contains(never), "{never}");
        }
        assert_eq!(script.matches("fetch(").count(), 1);
    }

    #[test]
    fn only_a_page_that_is_served_may_ask_for_anything() {
        assert!(!policy("", DataIn::Page).contains("connect-src"));
        assert!(policy("", DataIn::Server).contains("connect-src 'self'"));
    }
}
