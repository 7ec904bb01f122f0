//! Files that are read, written or synced in very small pieces.

use rz_profile::calls::Call;

use super::{Io, MOST, SeenCalls, caller, in_caller, next};
use crate::doctor::{Finding, Seen, Severity, Sure};
use crate::model::clean::clean;
use crate::model::open_files::OpenFiles;
use crate::render::format::{bytes, counted, duration, percent};

/// What was done with one file.
#[derive(Debug, Default)]
pub(super) struct FileUse {
    reads: Io,
    writes: Io,
    syncs: Io,
}

const READS: [&str; 4] = ["read", "pread64", "readv", "preadv"];
const WRITES: [&str; 4] = ["write", "pwrite64", "writev", "pwritev"];
const SYNCS: [&str; 2] = ["fsync", "fdatasync"];

/// A file that is synced less often has no sync for each piece: a second is what databases
/// and logs let pass that can lose as much.
const SYNCS_PER_SECOND: f64 = 5.0;

/// The fewest syncs that are a habit.
const FEWEST_SYNCS: u64 = 10;

/// To a disk, writing less than this takes less than the sync that follows.
const SMALL_BYTES: u64 = 64 << 10;

/// Below this share of the recording's time, nobody waits for syncs.
const SYNC_HINT_PERCENT: f64 = 1.0;

/// From this share on they are where the time goes.
const SYNC_WARNING_PERCENT: f64 = 10.0;

/// The kernel takes about as long for a call as for copying so much: of shorter ones, it
/// is the calls that cost.
const TINY_BYTES: u64 = 256;

/// What is done less often costs below a thousandth of a core.
const TINY_PER_SECOND: f64 = 1000.0;

/// Below this share of the recording's time, larger pieces would save little.
const TINY_HINT_PERCENT: f64 = 3.0;

/// From this share on, more than a tenth would be saved.
const TINY_WARNING_PERCENT: f64 = 10.0;

impl SeenCalls {
    pub(super) fn take_file(
        &mut self,
        files: &OpenFiles<'_, ()>,
        call: &Call,
        pid: u32,
        name: &str,
    ) {
        let is_any = |names: &[&str]| names.contains(&name);
        let (reads, writes) = (is_any(&READS), is_any(&WRITES));
        if !(reads || writes || is_any(&SYNCS)) {
            return;
        }
        // Messages of sockets and pipes are as long as they are.
        let file = files.name_of(call, call.args[0] as i32);
        let Some(path) = file.filter(|path| path.starts_with('/') && !path.starts_with("/dev/"))
        else {
            return;
        };
        let key = (pid, path.to_owned());
        if self.files.len() >= MOST && !self.files.contains_key(&key) {
            return;
        }
        let file = self.files.entry(key).or_default();
        match (reads, writes) {
            (true, _) => file.reads.add(call),
            (_, true) => file.writes.add(call),
            _ => file.syncs.add(call),
        }
    }
}

/// Files that are synced after each small piece.
pub(in crate::doctor) fn syncs(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let one = |((pid, path), file): (&(u32, String), &FileUse)| {
        let FileUse { writes, syncs, .. } = file;
        let each = writes.bytes.checked_div(syncs.calls)?;
        let share = observed.percent_of_time(syncs.ns);
        if syncs.calls < FEWEST_SYNCS
            || observed.per_second(syncs.calls) < SYNCS_PER_SECOND
            || each > SMALL_BYTES
            || share < SYNC_HINT_PERCENT
        {
            return None;
        }
        let caller = caller(observed, *pid, &SYNCS);
        Some(Finding {
            title: format!(
                "{} is synced after every {} that is written{}",
                clean(path),
                bytes(each),
                in_caller(observed, caller)
            ),
            rule,
            severity: if share < SYNC_WARNING_PERCENT { Severity::Hint } else { Severity::Warning },
            cost_ns: Some(syncs.ns),
            cost_bytes: None,
            evidence: vec![
                format!(
                    "{} took {}, {} of the recording's time",
                    counted(syncs.calls, "sync"),
                    duration(syncs.ns),
                    percent(share)
                ),
                format!(
                    "{} of {} in between, {} each",
                    counted(writes.calls, "write"),
                    bytes(writes.bytes),
                    bytes(writes.mean_bytes())
                ),
            ],
            sure: if seen.calls.is_sampled { Sure::Likely } else { Sure::Certain },
            but: Some(seen.calls.but().unwrap_or_else(|| {
                "whether each piece has to be safe before the next, as in a database's log, is \
                 not known"
                    .to_owned()
            })),
            next: next(observed, *pid, caller),
        })
    };
    seen.calls.files.iter().filter_map(one).collect()
}

/// Files that are read or written a few bytes at a time.
pub(in crate::doctor) fn tiny(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let one = |pid: u32, path: &str, io: &Io, (verb, noun): (&str, &str), names: &[&str]| {
        let share = observed.percent_of_time(io.ns);
        if io.mean_bytes() > TINY_BYTES
            || observed.per_second(io.calls) < TINY_PER_SECOND
            || share < TINY_HINT_PERCENT
        {
            return None;
        }
        let caller = caller(observed, pid, names);
        Some(Finding {
            title: format!(
                "{} is {verb} {} at a time{}",
                clean(path),
                bytes(io.mean_bytes()),
                in_caller(observed, caller)
            ),
            rule,
            severity: if share < TINY_WARNING_PERCENT { Severity::Hint } else { Severity::Warning },
            cost_ns: Some(io.ns),
            cost_bytes: None,
            evidence: vec![format!(
                "{} of {} took {}, {} of the recording's time",
                counted(io.calls, noun),
                bytes(io.bytes),
                duration(io.ns),
                percent(share)
            )],
            sure: if seen.calls.is_sampled { Sure::Likely } else { Sure::Certain },
            but: seen.calls.but(),
            next: next(observed, pid, caller),
        })
    };
    let both = |((pid, path), file): (&(u32, String), &FileUse)| {
        let reads = one(*pid, path, &file.reads, ("read", "read"), &READS);
        let writes = one(*pid, path, &file.writes, ("written", "write"), &WRITES);
        [reads, writes].into_iter().flatten().collect::<Vec<_>>()
    };
    seen.calls.files.iter().flat_map(both).collect()
}
