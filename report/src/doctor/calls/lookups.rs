//! Files that are looked for where they are not.

use std::collections::BTreeMap;

use rz_profile::calls::{Call, call_errno};
use rz_profile::reason::error_name;

use super::{Io, MOST, SeenCalls};
use crate::doctor::{Finding, Seen, Severity, Sure};
use crate::model::clean::clean;
use crate::model::open_files::OpenFiles;
use crate::render::format::{count, duration, percent, percent_of};

/// Calls that look for a file by its path.
const LOOKUPS: [&str; 10] = [
    "open",
    "openat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
];

/// The fewest failures that are a habit: a program that starts has some hundred, of its
/// libraries and its locale.
const FEWEST: u64 = 500;

/// The share of failures from which on looking is most of the work.
const FAILED_SHARE: f64 = 0.5;

/// Below this share of the recording's time, nobody waits for it.
const HINT_PERCENT: f64 = 2.0;

/// From this share on, a start would be faster by a tenth.
const WARNING_PERCENT: f64 = 10.0;

/// Folders that are named.
const MOST_FOLDERS: usize = 3;

/// What one process looked for.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    all: Io,
    failed: Io,
    folders: BTreeMap<String, u64>,
}

impl SeenCalls {
    pub(super) fn take_lookup(
        &mut self,
        files: &OpenFiles<'_, ()>,
        call: &Call,
        pid: u32,
        name: &str,
    ) {
        if !LOOKUPS.contains(&name) {
            return;
        }
        let lookups = self.lookups.entry(pid).or_default();
        lookups.all.add(call);
        if call_errno(call).is_none_or(|errno| error_name(errno) != "ENOENT") {
            return;
        }
        lookups.failed.add(call);
        let path = files.invocation(call).blobs.into_iter().flatten().next();
        let Some(path) = path.map(|blob| String::from_utf8_lossy(blob.bytes).into_owned()) else {
            return;
        };
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        if lookups.folders.len() < MOST || lookups.folders.contains_key(folder) {
            let failed = lookups.folders.entry(folder.to_owned()).or_default();
            *failed = failed.saturating_add(call.count.max(1));
        }
    }
}

/// Processes that look for many files that are not there.
pub(in crate::doctor) fn find(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let one = |(pid, lookups): (&u32, &Lookups)| {
        let Lookups { all, failed, folders } = lookups;
        let share = observed.percent_of_time(all.ns);
        let missing = failed.calls as f64 / (all.calls as f64).max(1.0);
        if failed.calls < FEWEST || missing < FAILED_SHARE || share < HINT_PERCENT {
            return None;
        }
        let processes = &observed.profile.processes;
        let process = processes.iter().rev().find(|process| process.pid == *pid);
        let name = process.map_or_else(String::new, |process| clean(&process.name).into_owned());
        let mut folders: Vec<(&String, &u64)> = folders.iter().collect();
        folders.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let folders = folders.iter().take(MOST_FOLDERS);
        let folders =
            folders.map(|(folder, failed)| format!("{} {}", clean(folder), count(**failed)));
        let pid = pid.to_string();
        Some(Finding {
            title: format!(
                "{name} ({pid}) looks for {} files that are not there",
                count(failed.calls)
            ),
            rule,
            severity: if share < WARNING_PERCENT { Severity::Hint } else { Severity::Warning },
            cost_ns: Some(all.ns),
            cost_bytes: None,
            evidence: vec![
                format!(
                    "of {} lookups, {} failed; all took {}, {} of the recording's time",
                    count(all.calls),
                    percent(percent_of(failed.calls, all.calls)),
                    duration(all.ns),
                    percent(share)
                ),
                format!("most in {}", folders.collect::<Vec<_>>().join(", ")),
            ],
            sure: if seen.calls.is_sampled { Sure::Likely } else { Sure::Certain },
            but: seen.calls.but(),
            next: vec![observed.command(&[
                "--syscalls",
                "--list",
                "--errors",
                "--tail",
                "50",
                "--process",
                &pid,
            ])],
        })
    };
    seen.calls.lookups.iter().filter_map(one).collect()
}
