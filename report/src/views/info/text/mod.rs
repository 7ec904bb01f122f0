//! Writes what is known besides what happened as text.

mod file;
mod layout;
mod process;
mod recording;

use std::io::{self, Write};

use rz_profile::model::{EventId, Profile};

use super::{InfoPage, ProcessInfo};
use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::render::format::{count, counted, percent, percent_of};
use crate::render::style::{Paint, Style};
use crate::render::title::write_title;
use crate::render::wording::wording;
use file::write_file;
use process::write_process;
use recording::write_recording;

/// Writes what is behind the header; `event` is what processes are busy with.
pub(super) fn write_page(
    out: &mut dyn Write,
    style: Style,
    page: &InfoPage,
    profile: &Profile,
    event: Option<EventId>,
) -> io::Result<()> {
    for recording in &page.recordings.rows {
        write_recording(out, style, recording)?;
    }
    if page.recordings.left_out > 0 {
        writeln!(out, "\nand {}", counted(page.recordings.left_out, "other recording"))?;
    }
    write_file(out, style, &page.file)?;

    let all = page.total.unwrap_or_default().weight;
    let time = wording(event.map(|event| &profile.events[event])).time;
    let spent = |amount: Amount| format!("{} of {time}", percent(percent_of(amount.weight, all)));
    for process in &page.processes.rows {
        let title = format!("PROCESS {}", process.pid);
        let spent = process.total.map(spent);
        write_title(out, style, &title, &process_note(process, profile, spent.as_deref()))?;
        write_process(out, style, process)?;
    }
    if page.processes.left_out > 0 {
        let with = page.other_processes.total.map(|amount| format!(" with {}", spent(amount)));
        let text = format!(
            "and {}{}: --process NAME or PID shows one, --limit N more",
            other_processes(page.other_processes.pids),
            with.unwrap_or_default()
        );
        writeln!(out, "\n{}", style.paint(Paint::Dim, &text))?;
    }
    if page.processes.is_empty() {
        let why = match page.found_none {
            true => "no process: none was found",
            false => "no process: the filter leaves none",
        };
        writeln!(out, "\n{why}")?;
    }
    Ok(())
}

/// A process's name, the recording that it is in, and what it spent.
fn process_note(process: &ProcessInfo, profile: &Profile, spent: Option<&str>) -> String {
    let mut note = process.process.clone();
    if profile.is_merged() {
        note += &format!(" in {}", clean(&profile.source_name(process.recording)));
    }
    if let Some(spent) = spent {
        note += &format!(", {spent}");
    }
    note
}

fn other_processes(pids: u64) -> String {
    match pids {
        1 => "1 other process".to_owned(),
        pids => format!("{} other processes", count(pids)),
    }
}
