//! An answer as a table of text.

use std::io::{self, Write};

use rz_text::clean::one_line;

use super::csv::records;
use crate::render::style::{Paint, Style};

/// Letters of a text in a table, at most, on a terminal.
const WIDEST: usize = 60;

/// Decimals of a number, at most; fewer may be a version.
const MOST_DECIMALS: usize = 3;

/// Writes comma-separated values with columns in line: numbers to the right, texts to the
/// left.
///
/// # Errors
/// If they cannot be written, or are none.
pub fn write_rows(out: &mut dyn Write, style: Style, csv: &str) -> io::Result<()> {
    let Some(records) = records(csv) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is no table"));
    };
    let Some((titles, rows)) = records.split_first() else { return Ok(()) };
    let shown: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| shown(cell, style)).collect()).collect();
    let is_number = |column: usize| {
        let mut cells =
            rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
        cells.all(|cell| cell.parse::<f64>().is_ok())
    };
    let columns: Vec<(usize, bool)> = (0..titles.len())
        .map(|column| {
            let cells = shown.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            (longest.max(titles[column].chars().count()), is_number(column) && !rows.is_empty())
        })
        .collect();
    write_line(out, &columns, titles.iter().map(|title| (title.as_str(), Paint::Dim)), style)?;
    for row in &shown {
        write_line(out, &columns, row.iter().map(|cell| (cell.as_str(), Paint::Plain)), style)?;
    }
    Ok(())
}

fn write_line<'c>(
    out: &mut dyn Write,
    columns: &[(usize, bool)],
    cells: impl Iterator<Item = (&'c str, Paint)>,
    style: Style,
) -> io::Result<()> {
    let mut line = String::new();
    for (&(width, is_number), (cell, paint)) in columns.iter().zip(cells) {
        let space = " ".repeat(width.saturating_sub(cell.chars().count()));
        let cell = style.paint(paint, cell);
        if !line.is_empty() {
            line += "  ";
        }
        line += &if is_number { space + &cell } else { cell + &space };
    }
    writeln!(out, "{}", line.trim_end())
}

/// A value as it is shown: a fraction with what matters of it, a text in one line.
fn shown(cell: &str, style: Style) -> String {
    let decimals = cell.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if decimals > MOST_DECIMALS
        && let Ok(number) = cell.parse::<f64>()
    {
        return format!("{number:.3}");
    }
    let text = one_line(cell);
    match text.char_indices().nth(WIDEST) {
        Some((at, _)) if style.width.is_some() => format!("{}…", &text[..at]),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::text;

    #[test]
    fn numbers_are_to_the_right() {
        let csv = "function,self_ns,percent\nmain,5,1.5\n\"a,\x1b b\",1234,0.00001\n";
        let style = Style { color: false, width: None };
        let expected = "
function  self_ns  percent
main            5      1.5
a,? b        1234    0.000
";
        let table = text(|out| write_rows(out, style, csv));
        assert_eq!(table.replace('\u{fffd}', "?"), expected[1..]);
    }
}
