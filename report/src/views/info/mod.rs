//! Says what was recorded besides what happened: recordings, what the file
//! consists of, and processes.

mod file;
mod process;
mod recording;
mod text;

use std::io::{self, Write};

use rustc_hash::FxHashSet;
use rz_profile::inventory::{Inventory, ProcessInventory};
use rz_profile::model::{EventId, Profile};
use serde::Serialize;

use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::model::rows::Rows;
use crate::render::style::Style;
use crate::views::header::write_header;
use crate::views::summary::with_samples;
use file::file_info;
pub use file::*;
pub use process::*;
use process::{Context, process_info};
use recording::recording_info;
pub use recording::*;
use text::write_page;

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

/// What is known of a trace besides what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InfoPage {
    /// The recordings: one, unless the trace was merged.
    pub recordings: Rows<RecordingInfo>,
    /// The file.
    pub file: FileInfo,
    /// Samples of the event of all processes that the filter leaves; `null`
    /// without an event.
    pub total: Option<Amount>,
    /// The processes that the filter leaves, the busiest first. One that
    /// replaces its program is there once for each.
    pub processes: Rows<ProcessInfo>,
    /// What the processes are that are left out.
    pub other_processes: OtherProcesses,
    /// Whether no process at all was found, whatever the filter leaves.
    pub found_none: bool,
}

/// Processes that are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OtherProcesses {
    /// How many they are by their numbers, so that one that replaces its
    /// program is counted once.
    pub pids: u64,
    /// Their samples of the event; `null` without an event.
    pub total: Option<Amount>,
}

/// What is known of a trace; `event` is what processes are busy with.
/// `inventory` and `profile` are of the same trace.
pub fn info(
    (inventory, profile): (&Inventory, &Profile),
    event: Option<EventId>,
    options: InfoOptions,
) -> InfoPage {
    let event = with_samples(profile, event);
    let busy = amounts(inventory, profile, event);
    let shown = busy.len().min(options.processes);
    let sum = |processes: &[Busy]| event.map(|_| total(processes));
    let others = OtherProcesses { pids: pids(&busy[shown..]), total: sum(&busy[shown..]) };
    let sources = inventory.sources.iter().enumerate().collect();
    let context = Context::new(inventory, &profile.info, options.rows);
    InfoPage {
        recordings: Rows::first(MAX_RECORDINGS, sources, recording_info),
        file: file_info(inventory),
        total: sum(&busy),
        processes: Rows::first(options.processes, busy, |(process, amount)| {
            let amount = event.map(|_| amount);
            process_info(&context, process, amount)
        }),
        other_processes: others,
        found_none: inventory.processes.is_empty(),
    }
}

/// A process, and what of the event is its.
type Busy<'i> = (&'i ProcessInventory, Amount);

/// The processes that the filter leaves, busiest first, and what of the event
/// is theirs.
fn amounts<'i>(
    inventory: &'i Inventory,
    profile: &Profile,
    event: Option<EventId>,
) -> Vec<Busy<'i>> {
    let mut amounts = vec![Amount::default(); inventory.processes.len()];
    for sample in profile.samples.iter().filter(|sample| Some(sample.event) == event) {
        // What is missing is behind the last.
        if let Some(amount) = amounts.get_mut(profile.threads[sample.thread].process) {
            amount.add(Amount { samples: sample.count, weight: sample.weight });
        }
    }
    let all = inventory.processes.iter().zip(amounts);
    let mut selected: Vec<Busy> = all.filter(|(process, _)| process.is_selected).collect();
    // Of equal ones, the order of the inventory stays.
    selected.sort_by_key(|(_, amount)| std::cmp::Reverse(amount.weight));
    selected
}

fn total(processes: &[Busy]) -> Amount {
    let mut total = Amount::default();
    processes.iter().for_each(|(_, amount)| total.add(*amount));
    total
}

/// How many processes these are: one that replaces its program is there once for
/// each.
fn pids(processes: &[Busy]) -> u64 {
    let numbers = processes.iter().map(|(known, _)| (known.source, known.process.pid));
    numbers.collect::<FxHashSet<_>>().len() as u64
}

/// A text as it is shown.
fn cleaned(text: &str) -> String {
    clean(text).into_owned()
}

/// A text as it is shown, if there is one.
fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| cleaned(text))
}

/// Writes what is known of the trace called `name`; `event` is what processes
/// are busy with. The page and `profile` are of the same trace.
pub fn write_info(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
    page: &InfoPage,
) -> io::Result<()> {
    write_header(out, style, name, profile, event)?;
    write_page(out, style, page, profile, with_samples(profile, event))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rz_profile::filter::Filter;
    use rz_profile::inventory::load_inventory;
    use rz_profile::load::{LoadOptions, load};
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::text;

    const OPTIONS: InfoOptions = InfoOptions { processes: 10, rows: 10 };

    fn loaded(filter: &Filter) -> (Profile, Inventory) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = path.join("../format-spec/vectors/v1.4/small.rz");
        let options =
            LoadOptions { unnamed: true, filter: filter.clone(), ..LoadOptions::default() };
        (load(&path, &options).unwrap(), load_inventory(&path, filter).unwrap())
    }

    fn written(filter: &Filter) -> String {
        let (profile, inventory) = loaded(filter);
        let style = Style { color: false, width: Some(80) };
        let page = info((&inventory, &profile), Some(0), OPTIONS);
        text(|out| write_info(out, style, "t.rz", &profile, Some(0), &page))
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

    #[test]
    fn all_of_it_as_json() {
        let (profile, inventory) = loaded(&Filter::default());
        let page = info((&inventory, &profile), Some(0), InfoOptions { processes: 1, rows: 1 });
        let page = serde_json::to_value(page).unwrap();
        let schema = schemars::schema_for!(InfoPage).to_value();
        jsonschema::validate(&schema, &page).unwrap();

        let recording = &page["recordings"]["rows"][2];
        assert_eq!(page["recordings"]["rows"][0]["recorder"], Value::Null);
        assert_eq!(recording["recording"], 2);
        assert_eq!(recording["host"]["release"], "6.18.0");
        assert_eq!(recording["recorder"]["command"], json!(["rec", "-p", "4242"]));
        assert_eq!(recording["captured"]["syscall_numbers"], json!([0, 257]));
        assert_eq!(recording["captured"]["slower_than_ns"], 500);
        let allocations = json!({"by": "hook", "interval_bytes": 512 << 10});
        assert_eq!(recording["allocations"], allocations);
        let clock = json!({"monotonic_ns": 1000, "unix_ns": 2000, "suspended_ns": 2000});
        assert_eq!(recording["clock"], clock);
        assert_eq!(recording["end"]["reason"], "targets-exited");
        assert_eq!(recording["costs"][0]["cpu_ns"], 3_000_000);

        let file = &page["file"];
        assert_eq!((&file["file_bytes"], &file["format_minor"]), (&json!(2668), &json!(4)));
        let records = json!({"kind": "records", "blocks": 6, "stored_bytes": 955});
        assert_eq!(file["blocks"][0], records);
        let environment = json!({"what": "environment", "how": "left out", "count": 2});
        assert_eq!(file["redacted"], json!({"rows": [environment], "left_out": 0}));

        let all = json!({"samples": 300, "weight": 3_000_000_000_u64});
        let none = json!({"samples": 0, "weight": 0});
        assert_eq!((&page["total"], &page["processes"]["left_out"]), (&all, &json!(1)));
        assert_eq!(page["other_processes"], json!({"pids": 1, "total": none}));
        let process = &page["processes"]["rows"][0];
        assert_eq!((&process["pid"], &process["total"]), (&json!(4242), &all));
        assert_eq!(process["arguments"], json!(["app", "--port=80"]));
        assert_eq!(process["build_id"], "abcd00");
        assert_eq!(process["parent"], json!({"pid": 1, "process": null}));
        assert_eq!((&process["start_ns"], &process["start_unix_ns"]), (&Value::Null, &Value::Null));
        assert_eq!(process["end_ns"], 3_899_999_000_u64);
        let start_unix_ns = profile.info.start_unix_ns;
        assert_eq!(process["end_unix_ns"], start_unix_ns + 3_899_999_000);
        assert_eq!(process["threads"]["rows"], json!([{"tid": 4242, "thread": "app"}]));
        assert_eq!(process["threads"]["left_out"], 1);
        let app = json!({"start": 0x5555_5555_5000_u64, "path": "/srv/app", "build_id": "abcd00"});
        assert_eq!(process["mapped_files"]["rows"], json!([app]));
        let device = json!({"fd": 1, "target": "/dev/null", "close_on_exec": false});
        assert_eq!(process["open_files"]["rows"], json!([device]));
        let limit = json!({"name": "Max open files", "soft": 1024, "hard": null, "unit": "files"});
        assert_eq!(process["limits"], json!([limit]));
        // Names alone are not cut short.
        let name = |name: &str| json!({"name": name, "value": null});
        let names = json!({"rows": [name("HOME"), name("TOKEN")], "left_out": 0});
        assert_eq!(process["environment"], names);
    }

    #[test]
    fn times_count_from_the_start_of_the_recording() {
        let all = loaded(&Filter::default());
        let window = loaded(&Filter { from: Some("1s".parse().unwrap()), ..Filter::default() });
        let began_later = window.0.info.start_ns - all.0.info.start_ns;
        assert_eq!(window.0.info.filter.window.map(|(from_ns, _)| from_ns), Some(began_later));
        let ends = [all, window].map(|(profile, inventory)| {
            let page = info((&inventory, &profile), Some(0), OPTIONS);
            let app = page.processes.rows.into_iter().find(|process| process.process == "app");
            app.map(|process| (process.end_ns, process.end_unix_ns)).unwrap()
        });
        assert!(began_later > 0);
        assert_eq!(ends[0].0, Some(3_899_999_000));
        assert_eq!(ends[0], ends[1]);
    }

    #[test]
    fn without_an_event_nobody_is_busy() {
        let (profile, inventory) = loaded(&Filter::default());
        let page = info((&inventory, &profile), None, OPTIONS);
        let totals = page.processes.rows.iter().map(|process| process.total);
        assert!(totals.chain([page.total, page.other_processes.total]).all(|of| of.is_none()));
    }
}
