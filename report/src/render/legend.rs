//! Adds a row to a flame graph that says what its colours mean.

use std::fmt::Write;

use inferno::flamegraph::color::Color;

/// Height of the row, in pixels.
const HEIGHT: u32 = 26;

/// Width of a character of the picture's font, in pixels.
const CHARACTER: f64 = 7.2;

/// One colour, or several from pale to deep, and what they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub colors: Vec<Color>,
    /// Safe to be written into XML.
    pub text: &'static str,
}

/// The picture with a row more at its lower end. One that is not as inferno
/// makes them stays as it is.
pub(crate) fn add_legend(svg: String, entries: &[Entry]) -> String {
    let added = |svg: &str| -> Option<String> {
        let start = svg.find("<svg ")?;
        let tag_end = start + svg[start..].find('>')?;
        let tag = &svg[start..tag_end];
        let height_text = tag.split_once("height=\"")?.1.split_once('"')?.0;
        let height: u32 = height_text.parse().ok()?;
        let taller = height.checked_add(HEIGHT)?;
        let tag = tag
            .replacen(&format!("height=\"{height}\""), &format!("height=\"{taller}\""), 1)
            .replacen(&format!(" {height}\""), &format!(" {taller}\""), 1);
        let body = svg[tag_end..].trim_end().strip_suffix("</svg>")?;
        let ground = |height| format!("height=\"{height}\" fill=\"url(#background)\"");
        let body = body.replacen(&ground(height), &ground(taller), 1);
        Some(format!("{}{tag}{body}{}</svg>", &svg[..start], row(entries, height)))
    };
    added(&svg).unwrap_or(svg)
}

fn row(entries: &[Entry], top: u32) -> String {
    let mut out = String::from("<g id=\"legend\">");
    let mut x = 10.0;
    let (box_y, text_y) = (top + 2, top + 13);
    for Entry { colors, text } in entries {
        for Color { r, g, b } in colors {
            // Writing to a string cannot fail.
            let _ = write!(
                out,
                "<rect x=\"{x:.0}\" y=\"{box_y}\" width=\"16\" height=\"14\" \
                 fill=\"rgb({r},{g},{b})\" stroke=\"rgb(120,120,120)\" stroke-width=\"0.5\"/>"
            );
            x += 16.0;
        }
        let _ = write!(out, "<text x=\"{:.0}\" y=\"{text_y}\">{text}</text>", x + 5.0);
        x += 5.0 + CHARACTER * text.chars().count() as f64 + 22.0;
    }
    out.push_str("</g>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_added_below() {
        let entries = [Entry { colors: vec![Color { r: 1, g: 2, b: 3 }], text: "more" }];
        let svg = "<?xml?><svg width=\"9\" height=\"50\" viewBox=\"0 0 9 50\">\
             <rect height=\"50\" fill=\"url(#background)\"/><svg height=\"50\"></svg></svg>";
        let expected = "<?xml?><svg width=\"9\" height=\"76\" viewBox=\"0 0 9 76\">\
             <rect height=\"76\" fill=\"url(#background)\"/><svg height=\"50\"></svg>\
             <g id=\"legend\"><rect x=\"10\" y=\"52\" width=\"16\" height=\"14\" fill=\"rgb(1,2,3)\" \
             stroke=\"rgb(120,120,120)\" stroke-width=\"0.5\"/>\
             <text x=\"31\" y=\"63\">more</text></g></svg>";
        assert_eq!(add_legend(svg.to_owned(), &entries), expected);
        for other in ["", "<svg>", "<svg height=\"x\"></svg>", "<svg height=\"5\">"] {
            assert_eq!(add_legend(other.to_owned(), &entries), other);
        }
    }
}
