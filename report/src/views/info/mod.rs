//! Says what was recorded besides what happened: recordings, what the file
//! consists of, and processes.

mod file;
mod layout;
mod process;
mod recording;

use std::io::{self, Write};

use rustc_hash::FxHashSet;
use rz_profile::inventory::Inventory;
use rz_profile::model::{EventId, Profile};

use crate::model::calltree::Amount;
use crate::render::format::{count, counted, percent, percent_of};
use crate::render::style::{Paint, Style};
use crate::render::title::write_title;
use crate::render::wording::wording;
use crate::views::header::write_header;
use crate::views::summary::with_samples;
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
        let mut note = crate::model::clean::clean(&known.process.name).into_owned();
        if profile.is_merged() {
            note +=
                &format!(" in {}", crate::model::clean::clean(&profile.source_name(known.source)));
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rz_profile::filter::Filter;
    use rz_profile::inventory::load_inventory;
    use rz_profile::load::{LoadOptions, load};

    use super::*;
    use crate::fixture::text;

    fn written(filter: &Filter) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = path.join("../format-spec/vectors/v1.4/small.rz");
        let options =
            LoadOptions { unnamed: true, filter: filter.clone(), ..LoadOptions::default() };
        let (profile, inventory) =
            (load(&path, &options).unwrap(), load_inventory(&path, filter).unwrap());
        let options = InfoOptions { processes: 10, rows: 10 };
        let style = Style { color: false, width: Some(80) };
        text(|out| write_info(out, style, "t.rz", (&inventory, &profile), Some(0), options))
    }

    #[test]
    fn all_that_is_known_is_said() {
        let written = written(&Filter::default());
        let (_, recording) = written.split_once("\nRECORDING\n").unwrap();
        let expected = "
  kernel      Linux 6.18.0 x86_64 #1 SMP
  boot        c0ffee
  recorder    rec 0.1.0, perf tier, as user 0
  command     rec -p 4242
  target      pid 4242, no children, kernel stacks, up to 32.0 KiB of each stack
  captured    samples, waits, 2 kinds of system calls from 500 ns,
              allocations, one for 512.0 KiB, with a stack each from 1.00 ms
";
        assert!(recording.starts_with(&expected[1..]), "{written}");
        assert!(written.contains("\nREDACTED  "), "{written}");
        assert!(written.contains("\n  environment: left out, 2\n"), "{written}");
        let (_, process) = written.split_once("\nPROCESS 4242  app in ").unwrap();
        let expected = "
  command     app --port=80
  executable  /srv/app
  build-id    abcd00
  parent      1
  lived       from before the recording to 3.90 s
  user        1000, group 1000
  cgroup      /app.slice
  directory   /srv
  threads     2: app, worker-1
  maps        code of 1 file, with build-ids
              555555555000  /srv/app
                            abcd00
  open        1 file
                 1  /dev/null
  limits      open files 1,024 (up to unlimited)
  environment HOME, TOKEN
";
        assert!(process.contains(&expected[1..]), "{written}");
        let fits = |line: &str| line.chars().count() <= 80;
        assert!(recording.lines().all(fits), "{written}");
    }

    #[test]
    fn only_processes_that_a_filter_has() {
        let process = |name: &str| Filter {
            processes: vec![name.parse().unwrap_or_else(|error| match error {})],
            ..Filter::default()
        };
        let other = written(&process("other"));
        assert!(!other.contains(" app in ") && other.contains("\nPROCESS 4242  other"), "{other}");
        let nobody = written(&process("nobody"));
        assert!(nobody.ends_with("\nno process: the filter leaves none\n"), "{nobody}");
    }
}
