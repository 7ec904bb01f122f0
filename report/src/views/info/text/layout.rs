//! Lines of a key and a text, and lists that go on in the next line.

use std::io::{self, Write};

use crate::model::rows::Rows;
use crate::render::format::count;
use crate::render::style::{Paint, Style};

/// Columns that keys take.
const KEY_WIDTH: usize = 12;
/// Columns that lists take where nothing says how wide the terminal is.
const DEFAULT_WIDTH: usize = 80;
/// Columns that are left for a text, at least.
const MIN_ROOM: usize = 24;

/// Writes a line: what it is about, and what there is to say.
pub(super) fn write_line(
    out: &mut dyn Write,
    style: Style,
    key: &str,
    text: &str,
) -> io::Result<()> {
    writeln!(out, "  {}{text}", style.paint(Paint::Dim, &format!("{key:<KEY_WIDTH$}")))
}

/// Writes texts next to each other, separated by commas, in as many lines as
/// they need.
pub(super) fn write_wrapped(
    out: &mut dyn Write,
    style: Style,
    key: &str,
    texts: &[String],
) -> io::Result<()> {
    let room = style.width.unwrap_or(DEFAULT_WIDTH).saturating_sub(KEY_WIDTH + 2).max(MIN_ROOM);
    let mut key = key;
    let mut line = String::new();
    for (index, text) in texts.iter().enumerate() {
        let comma = if index + 1 < texts.len() { "," } else { "" };
        let length = text.chars().count() + comma.len();
        if !line.is_empty() && line.chars().count() + 1 + length > room {
            write_line(out, style, key, &line)?;
            (key, line) = ("", String::new());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(text);
        line.push_str(comma);
    }
    if line.is_empty() { Ok(()) } else { write_line(out, style, key, &line) }
}

/// Writes rows below each other, each as its text.
pub(super) fn write_rows<T>(
    out: &mut dyn Write,
    style: Style,
    rows: &Rows<T>,
    text: impl Fn(&T) -> String,
) -> io::Result<()> {
    for row in &rows.rows {
        write_line(out, style, "", &text(row))?;
    }
    match rows.left_out {
        0 => Ok(()),
        more => write_line(out, style, "", &format!("and {} more", count(more))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::text;

    #[test]
    fn lists_go_on_in_the_next_line() {
        let texts = ["alpha", "beta", "gamma", "delta"].map(str::to_owned);
        let style = Style { color: false, width: Some(30) };
        let written = text(|out| write_wrapped(out, style, "names", &texts));
        let expected = "
  names       alpha, beta, gamma,
              delta
";
        assert_eq!(written, expected[1..]);
        assert_eq!(text(|out| write_wrapped(out, style, "names", &[])), "");
    }

    #[test]
    fn lists_are_cut() {
        let rows = Rows::first(1, vec!["a", "b", "c"], |row| row);
        let written = text(|out| write_rows(out, Style::default(), &rows, |row| row.to_string()));
        assert_eq!(written, "              a\n              and 2 more\n");
    }
}
