//! Headlines of tables.

use std::borrow::Cow;
use std::io::{self, Write};

use super::format::{count, shorten};
use super::style::{Paint, Style};
use super::table::MIN_NAME_WIDTH;

/// `, 5 of 12` if not all rows are shown.
pub(crate) fn some_of(shown: usize, of: usize) -> String {
    if shown == of { String::new() } else { format!(", {shown} of {}", count(of as u64)) }
}

/// Writes the headline of a table.
pub(crate) fn write_title(
    out: &mut dyn Write,
    style: Style,
    title: &str,
    note: &str,
) -> io::Result<()> {
    let gap = if note.is_empty() { "" } else { "  " };
    let room = style.width.map_or(usize::MAX, |w| w.saturating_sub(title.len() + gap.len()));
    let note = &*shorten_note(note, room.max(MIN_NAME_WIDTH));
    writeln!(out, "\n{}{gap}{}", style.paint(Paint::Bold, title), style.paint(Paint::Dim, note))
}

/// `note` without its last parts if it is too long. A number that was cut in
/// its middle would be another number.
fn shorten_note(note: &str, width: usize) -> Cow<'_, str> {
    if note.chars().count() <= width {
        return note.into();
    }
    let ends = note.match_indices([',', ';']).map(|(at, _)| at);
    let mut fitting = ends.filter(|&at| {
        let digits = note[at + 1..].starts_with(|c: char| c.is_ascii_digit());
        !digits && note[..at].chars().count() + 3 <= width
    });
    match fitting.next_back() {
        Some(at) => format!("{}, …", &note[..at]).into(),
        None => shorten(note, width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_between_its_parts() {
        let check = |width, expected: &str| {
            assert_eq!(shorten_note("exact: 10,020 waits, 4.01 s, 5 of 12", width), expected);
        };
        check(36, "exact: 10,020 waits, 4.01 s, 5 of 12");
        check(35, "exact: 10,020 waits, 4.01 s, …");
        check(29, "exact: 10,020 waits, …");
        check(21, "exact:….01 s, 5 of 12");
    }
}
