//! The page around the data: what is in `report/viewer/`, and what it may do.

use std::io::{self, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::sections::Sections;

/// Name of the section that says what the others are.
pub(super) const HEAD: &str = "head";

const INDEX: &str = include_str!("../../viewer/index.html");
const STYLE: &str = include_str!("../../viewer/style.css");

/// One script, in the order in which its parts need each other.
const SCRIPT: [&str; 18] = [
    include_str!("../../viewer/data.js"),
    include_str!("../../viewer/format.js"),
    include_str!("../../viewer/tree.js"),
    include_str!("../../viewer/selection.js"),
    include_str!("../../viewer/canvas.js"),
    include_str!("../../viewer/flame.js"),
    include_str!("../../viewer/table.js"),
    include_str!("../../viewer/timeline.js"),
    include_str!("../../viewer/chart.js"),
    include_str!("../../viewer/heatmap.js"),
    include_str!("../../viewer/sandwich.js"),
    include_str!("../../viewer/overview.js"),
    include_str!("../../viewer/calls.js"),
    include_str!("../../viewer/exact.js"),
    include_str!("../../viewer/export.js"),
    include_str!("../../viewer/keys.js"),
    include_str!("../../viewer/diff.js"),
    include_str!("../../viewer/main.js"),
];

/// Writes the page with its data.
pub(super) fn write_viewer(out: &mut dyn Write, sections: &Sections) -> io::Result<()> {
    let script = SCRIPT.concat();
    let parts = INDEX.split("{{").flat_map(|part| match part.split_once("}}") {
        Some((name, text)) => [Part::Named(name), Part::Text(text)],
        None => [Part::Text(part), Part::Text("")],
    });
    for part in parts {
        match part {
            Part::Text(text) => out.write_all(text.as_bytes())?,
            Part::Named("policy") => out.write_all(policy(&script).as_bytes())?,
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

/// Nothing is fetched, and nothing runs but this script.
fn policy(script: &str) -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let (script, style) = (hash(script), hash(STYLE));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; base-uri \
         'none'; form-action 'none'"
    )
}

/// A browser takes scripts of a type that it does not know for data.
fn write_sections(out: &mut dyn Write, sections: &Sections) -> io::Result<()> {
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
        let script = SCRIPT.concat();
        let size = INDEX.len() + STYLE.len() + script.len();
        assert!(size <= 200_000, "{size}");
        for text in [script.as_str(), STYLE] {
            assert!(!text.contains("</") && !text.contains("<!--"));
        }
        // Names could become code, or something to be fetched, by these alone.
        for never in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "fetch("] {
            assert!(!script.contains(never), "{never}");
        }
    }
}
