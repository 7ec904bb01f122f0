//! Says what was recorded besides what happened: recordings, what the file
//! consists of, and processes.

mod file;
mod layout;
mod process;
mod recording;

use std::io::{self, Write};

use rustc_hash::FxHashSet;
use rz_convert::inventory::Inventory;
use rz_convert::profile::{EventId, Profile};

use crate::calltree::Amount;
use crate::format::{count, counted, percent, percent_of};
use crate::header::write_header;
use crate::style::{Paint, Style};
use crate::summary::{with_samples, write_title};
use crate::wording::wording;
use file::write_file;
use process::write_process;
use recording::write_recording;

/// How much is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InfoOptions {
    /// Processes, at most: the busiest.
    pub processes: usize,
    /// Rows of each list, at most.
    pub rows: usize,
}

/// Recordings of a merged trace that are described, at most.
const MAX_RECORDINGS: usize = 10;

/// Writes what is known of the trace called `name`; `event` is what processes
/// are busy with. `inventory` and `profile` are of the same trace.
pub fn write_info(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    (inventory, profile): (&Inventory, &Profile),
    event: Option<EventId>,
    options: InfoOptions,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    for source in inventory.sources.iter().take(MAX_RECORDINGS) {
        write_recording(out, style, source)?;
    }
    if let Some(more) = inventory.sources.len().checked_sub(MAX_RECORDINGS + 1) {
        writeln!(out, "\nand {}", counted(more as u64 + 1, "other recording"))?;
    }
    write_file(out, style, inventory)?;

    let event = with_samples(profile, event);
    let busy = amounts(inventory, profile, event);
    let all: u64 = busy.iter().map(|(_, amount)| amount.weight).fold(0, u64::saturating_add);
    let share = |weight| percent(percent_of(weight, all));
    let spent = wording(event.map(|event| &profile.events[event])).time;
    let shown = busy.len().min(options.processes);
    for (index, amount) in &busy[..shown] {
        let known = &inventory.processes[*index];
        let title = format!("PROCESS {}", known.process.pid);
        let mut note = crate::format::clean(&known.process.name).into_owned();
        if profile.is_merged() {
            note += &format!(" in {}", crate::format::clean(&profile.source_name(known.source)));
        }
        if event.is_some() {
            note += &format!(", {} of {spent}", share(amount.weight));
        }
        write_title(out, style, &title, &note)?;
        write_process(out, style, (inventory, *index), profile.info.start_ns, options.rows)?;
    }
    if shown < busy.len() {
        let rest = &busy[shown..];
        let weight = rest.iter().map(|(_, amount)| amount.weight).fold(0, u64::saturating_add);
        // A process that replaces its program is there once for each.
        let number = |(index, _): &(usize, Amount)| {
            let known = &inventory.processes[*index];
            (known.source, known.process.pid)
        };
        let pids: FxHashSet<_> = rest.iter().map(number).collect();
        let (number, processes) = match pids.len() {
            1 => ("1".to_owned(), "process"),
            n => (count(n as u64), "processes"),
        };
        let mut text = format!("and {number} other {processes}");
        if event.is_some() {
            text += &format!(" with {} of {spent}", share(weight));
        }
        text += ": --process NAME or PID shows one, --limit N more";
        writeln!(out, "\n{}", style.paint(Paint::Dim, &text))?;
    }
    if busy.is_empty() {
        let why = match inventory.processes.is_empty() {
            true => "no process: none was found",
            false => "no process: the filter leaves none",
        };
        writeln!(out, "\n{why}")?;
    }
    Ok(())
}

/// The processes that the filter leaves, busiest first, and what of the event
/// is theirs.
fn amounts(
    inventory: &Inventory,
    profile: &Profile,
    event: Option<EventId>,
) -> Vec<(usize, Amount)> {
    let mut amounts = vec![Amount::default(); inventory.processes.len()];
    for sample in profile.samples.iter().filter(|sample| Some(sample.event) == event) {
        // What is missing is behind the last.
        if let Some(amount) = amounts.get_mut(profile.threads[sample.thread].process) {
            amount.add(Amount { samples: sample.count, weight: sample.weight });
        }
    }
    let all = amounts.into_iter().enumerate();
    let mut selected: Vec<(usize, Amount)> =
        all.filter(|(index, _)| inventory.processes[*index].is_selected).collect();
    selected.sort_by_key(|(index, amount)| (std::cmp::Reverse(amount.weight), *index));
    selected
}
