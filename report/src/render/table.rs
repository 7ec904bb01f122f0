//! Aligns numbers in columns, with one column of text after them.

use std::io::{self, Write};

use crate::render::format::shorten_apart;
use crate::render::style::{Paint, Style};

/// Names are not made shorter than this, even where lines then wrap.
pub const MIN_NAME_WIDTH: usize = 24;

/// Between columns.
pub(crate) const GAP: &str = "  ";

/// One line of a table.
#[derive(Debug, Clone, Default)]
pub struct TableRow {
    /// Numbers, as many as there are numeric columns; set to the right.
    pub numbers: Vec<(String, Paint)>,
    /// The text after them, shortened to fit the terminal.
    pub text: String,
    /// What follows the text if there is room, such as a module's name.
    pub suffix: String,
}

/// How wide each column of numbers is.
fn number_widths(titles: &[&str], rows: &[TableRow]) -> Vec<usize> {
    let column_width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.numbers.get(column));
        let cells = cells.map(|(text, _)| text.chars().count());
        cells.max().unwrap_or(0).max(titles[column].chars().count())
    };
    (0..titles.len() - 1).map(column_width).collect()
}

/// Whether a terminal has room for a table, with texts of a readable length.
pub fn fits(style: Style, titles: &[&str], rows: &[TableRow]) -> bool {
    let longest = rows.iter().map(|row| row.text.chars().count()).max().unwrap_or(0);
    room(style, titles, rows) >= longest.min(MIN_NAME_WIDTH)
}

/// Columns that a terminal has left for the text of a table.
pub fn room(style: Style, titles: &[&str], rows: &[TableRow]) -> usize {
    let used: usize = number_widths(titles, rows).iter().map(|width| width + GAP.len()).sum();
    style.width.map_or(usize::MAX, |width| width.saturating_sub(used))
}

/// Writes `rows` under `titles`; the last title is that of the text.
pub fn write_table(
    out: &mut dyn Write,
    style: Style,
    titles: &[&str],
    rows: &[TableRow],
) -> io::Result<()> {
    let numeric = titles.len() - 1;
    let chars = |text: &str| text.chars().count();
    let widths = number_widths(titles, rows);
    let room = style.width.map(|_| room(style, titles, rows).max(MIN_NAME_WIDTH));
    let padded = |column: usize, text: &str| " ".repeat(widths[column].saturating_sub(chars(text)));
    for (column, title) in titles[..numeric].iter().enumerate() {
        write!(out, "{}{}{GAP}", padded(column, title), style.paint(Paint::Dim, title))?;
    }
    writeln!(out, "{}", style.paint(Paint::Dim, titles[numeric]))?;
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let texts = shorten_apart(&texts, room.unwrap_or(usize::MAX));
    for (row, text) in rows.iter().zip(texts) {
        for (column, (text, paint)) in row.numbers.iter().enumerate() {
            write!(out, "{}{}{GAP}", padded(column, text), style.paint(*paint, text))?;
        }
        write!(out, "{text}")?;
        let left = room.map_or(usize::MAX, |room| room - chars(&text));
        if !row.suffix.is_empty() && chars(&row.suffix) + GAP.len() <= left {
            write!(out, "{GAP}{}", style.paint(Paint::Dim, &row.suffix))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::text;

    fn rows() -> Vec<TableRow> {
        let row = |numbers: [&str; 2], text: &str, suffix: &str| TableRow {
            numbers: numbers.map(|n| (n.to_owned(), Paint::Plain)).to_vec(),
            text: text.into(),
            suffix: suffix.into(),
        };
        vec![
            row(["100.0%", "1 s"], "main", "app"),
            row(["5.0%", "50 ms"], "std::collections::hash_map::insert_unique", "app"),
        ]
    }

    #[test]
    fn numbers_right_and_text_as_wide_as_the_terminal() {
        let table = |width| {
            let style = Style { color: false, width };
            text(|out| write_table(out, style, &["self", "time", "function"], &rows()))
        };
        let full = "
  self   time  function
100.0%    1 s  main  app
  5.0%  50 ms  std::collections::hash_map::insert_unique  app
";
        assert_eq!(table(None), full[1..]);
        let narrow = "
  self   time  function
100.0%    1 s  main  app
  5.0%  50 ms  std::col…p::insert_unique
";
        assert_eq!(table(Some(40)), narrow[1..]);
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut rows = rows();
        rows[1].numbers[0].1 = Paint::Red;
        let style = Style { color: true, width: None };
        let colored = text(|out| write_table(out, style, &["self", "time", "function"], &rows));
        assert!(colored.contains("  \u{1b}[31m5.0%\u{1b}[0m  50 ms  std::"), "{colored}");
    }
}
