//! How wide the terminal is, and which colours it gets.

/// How text is laid out and coloured. The default is for pipes and files: no
/// colours and lines as long as they need to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Write ANSI colours.
    pub color: bool,
    /// Columns of the terminal; `None` leaves names as long as they are.
    pub width: Option<usize>,
}

/// What a piece of text should look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Paint {
    /// As it is.
    #[default]
    Plain,
    /// A headline.
    Bold,
    /// Less important than its surroundings.
    Dim,
    /// A large share, or something that grew.
    Red,
    /// Something that shrank.
    Green,
}

impl Paint {
    /// The paint for a share of the whole, in percent: what is large stands
    /// out and what is small steps back.
    pub fn for_percent(percent: f64) -> Self {
        match percent {
            p if p >= 5.0 => Paint::Red,
            p if p < 0.5 => Paint::Dim,
            _ => Paint::Plain,
        }
    }
}

impl Style {
    /// `text` in `paint`, if there are colours.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        let code = match paint {
            _ if !self.color || text.is_empty() => return text.to_owned(),
            Paint::Plain => return text.to_owned(),
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Red => "31",
            Paint::Green => "32",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_when_asked_for() {
        let plain = Style::default();
        let color = Style { color: true, width: None };
        assert_eq!(plain.paint(Paint::Red, "x"), "x");
        assert_eq!(color.paint(Paint::Red, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(color.paint(Paint::Plain, "x"), "x");
        assert_eq!(color.paint(Paint::Dim, ""), "");
    }
}
