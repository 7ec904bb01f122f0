//! Lines of a key and a text, and lists that go on in the next line.

use std::io::{self, Write};

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

/// Writes texts below each other, up to `limit` of them.
pub(super) fn write_rows(
    out: &mut dyn Write,
    style: Style,
    rows: impl ExactSizeIterator<Item = String>,
    limit: usize,
) -> io::Result<()> {
    let more = rows.len().saturating_sub(limit);
    for row in rows.take(limit) {
        write_line(out, style, "", &row)?;
    }
    match more {
        0 => Ok(()),
        more => write_line(out, style, "", &format!("and {} more", count(more as u64))),
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
        let rows = ["a", "b", "c"].map(str::to_owned);
        let written = text(|out| write_rows(out, Style::default(), rows.into_iter(), 1));
        assert_eq!(written, "              a\n              and 2 more\n");
    }
}
