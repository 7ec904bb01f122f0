//! Colours and widths of frames that changed.
//!
//! Orange is more and blue is less: these two stay apart for readers who
//! cannot tell red from green. Even the deepest shades are light enough for
//! black text.

use inferno::flamegraph::color::Color;

use crate::render::legend::Entry;

/// What there is no evidence of a change for.
pub(crate) const GREY: Color = Color { r: 228, g: 228, b: 228 };

/// What is only elsewhere.
const DARK_GREY: Color = Color { r: 182, g: 182, b: 182 };

/// Shades of more, from pale to deep.
const MORE: [Color; 2] = [Color { r: 254, g: 227, b: 200 }, Color { r: 238, g: 126, b: 32 }];

/// Shades of less, from pale to deep.
const LESS: [Color; 2] = [Color { r: 209, g: 228, b: 246 }, Color { r: 80, g: 150, b: 214 }];

/// How wide a frame is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Width {
    /// As the larger one of both sides.
    #[default]
    Larger,
    /// As it was.
    Before,
    /// As it is now.
    After,
    /// As its change is large.
    Delta,
}

impl Width {
    /// Every way.
    pub const ALL: [Width; 4] = [Width::Larger, Width::Before, Width::After, Width::Delta];

    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Width::Larger => "larger",
            Width::Before => "before",
            Width::After => "after",
            Width::Delta => "delta",
        }
    }

    /// What it is, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            Width::Larger => "the larger of both sides",
            Width::Before => "what it was before",
            Width::After => "what it is after",
            Width::Delta => "how much it changed, more or less",
        }
    }

    pub(crate) fn of(self, before: f64, after: f64) -> f64 {
        match self {
            Width::Larger => before.max(after),
            Width::Before => before,
            Width::After => after,
            Width::Delta => (after - before).abs(),
        }
    }
}

/// What there is to say of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Chance explains its change, if there is any.
    None,
    /// It is more or less than before.
    Change,
    /// It is gone or new here, and new or gone elsewhere.
    Elsewhere,
}

/// Grey without a change, else from pale to deep by how much of the larger
/// side it is.
pub(crate) fn color_of(before: f64, after: f64, evidence: Evidence) -> Color {
    let (larger, delta) = (before.max(after), after - before);
    match evidence {
        Evidence::Elsewhere => DARK_GREY,
        Evidence::Change if larger > 0.0 && delta != 0.0 => {
            let share = (delta.abs() / larger).min(1.0);
            shade(if delta > 0.0 { MORE } else { LESS }, share)
        }
        _ => GREY,
    }
}

fn shade([pale, deep]: [Color; 2], share: f64) -> Color {
    let between = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share) as u8;
    Color { r: between(pale.r, deep.r), g: between(pale.g, deep.g), b: between(pale.b, deep.b) }
}

/// What the colours mean; `none` is what grey does. Dark grey is named only if
/// it is there.
pub(crate) fn legend(none: &'static str, is_elsewhere: bool) -> Vec<Entry> {
    let shades = |colors| [0.0, 0.33, 0.67, 1.0].map(|share| shade(colors, share)).to_vec();
    let mut entries = vec![
        Entry { colors: shades(MORE), text: "more, up to new" },
        Entry { colors: shades(LESS), text: "less, down to gone" },
        Entry { colors: vec![GREY], text: none },
    ];
    if is_elsewhere {
        let text = "only renamed, inlined or moved";
        entries.push(Entry { colors: vec![DARK_GREY], text });
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, as the Web Content Accessibility Guidelines have it.
    fn luminance(Color { r, g, b }: Color) -> f64 {
        let linear = |value: u8| match f64::from(value) / 255.0 {
            v if v <= 0.04045 => v / 12.92,
            v => ((v + 0.055) / 1.055).powf(2.4),
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    #[test]
    fn black_text_can_be_read_on_every_colour() {
        for color in [GREY, DARK_GREY, MORE[0], MORE[1], LESS[0], LESS[1]] {
            let contrast = (luminance(color) + 0.05) / 0.05;
            assert!(contrast >= 5.0, "{color:?}: {contrast}");
        }
    }

    #[test]
    fn colours_tell_direction_and_size() {
        use Evidence::*;
        let check = |before, after, evidence, expected| {
            assert_eq!(color_of(before, after, evidence), expected, "{before} {after}");
        };
        check(1.0, 2.0, None, GREY);
        check(1.0, 1.0, Change, GREY);
        check(0.0, 0.0, Change, GREY);
        check(0.0, 2.0, Change, MORE[1]);
        check(2.0, 0.0, Change, LESS[1]);
        check(1.0, 2.0, Change, Color { r: 246, g: 176, b: 116 });
        check(0.0, 2.0, Elsewhere, DARK_GREY);
    }
}
