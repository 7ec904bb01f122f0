//! What a reader should know of numbers of allocations.

use std::io::{self, Write};

use rz_profile::heap::Heap;
use rz_profile::model::Profile;

use crate::model::clean::clean;
use crate::render::style::{Paint, Style};
use crate::render::title::write_title;

/// What a reader should know of these numbers, of the peak as well if there is
/// one to see, besides what [`Heap::notes`] says of the recording.
pub(super) fn notes(profile: &Profile, heap: &Heap, peak: bool) -> Vec<String> {
    let lost = "allocations that were lost are missing wherever there is no exact count; objects \
                whose end was lost seem never to be freed";
    let high = "the peak is the largest of many estimates: it tends to be a little high";
    let any_lost = profile.info.lost_allocations.is_any();
    let estimated_peak = peak && heap.interval > 0 && !heap.peak.live.is_zero();
    let notes = [(any_lost, lost), (estimated_peak, high)].into_iter();
    notes.filter(|(applies, _)| *applies).map(|(_, note)| note.to_owned()).collect()
}

/// Writes the notes of the recording and those of a page.
pub(super) fn write_notes(
    out: &mut dyn Write,
    style: Style,
    profile: &Profile,
    of_page: &[String],
) -> io::Result<()> {
    let Some(heap) = &profile.heap else { return Ok(()) };
    let mut notes = heap.notes();
    notes.extend_from_slice(of_page);
    if heap.interval > 0 {
        let marks = "~ is estimated from samples; the true value is within ± in 19 of 20 cases";
        notes.push(marks.to_owned());
    }
    if notes.is_empty() {
        return Ok(());
    }
    write_title(out, style, "NOTES", "")?;
    for note in notes {
        write_wrapped(out, style, &clean(&note))?;
    }
    Ok(())
}

/// Writes a sentence in as many lines as it takes.
fn write_wrapped(out: &mut dyn Write, style: Style, text: &str) -> io::Result<()> {
    let width = style.width.unwrap_or(usize::MAX).max(20);
    let mut line = String::new();
    for word in text.split(' ') {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && length > width {
            writeln!(out, "{}", style.paint(Paint::Plain, &line))?;
            line = "  ".to_owned();
        } else if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    writeln!(out, "{line}")
}
