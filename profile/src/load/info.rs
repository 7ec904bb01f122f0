//! Says what a recording was, what is missing of it, and what it cost.

use std::collections::BTreeMap;
use std::path::Path;

use rustc_hash::FxHashSet;
use rz_format::{BlockKind, Damage, FileHeader, LossClass, LossReason, Tier};

use super::facts::Facts;
use super::locations::LOST;
use super::sources::{LossAmount, SourceFacts};
use crate::filter::Window;
use crate::model::{EventKind, LossSum, Losses, Profile, Source};
use crate::notes::{limited, listed};

/// How reading the file went.
pub(super) struct Reading<'t> {
    pub(super) header: &'t FileHeader,
    pub(super) damage: &'t [Damage],
    /// Whether more of the file is to come.
    pub(super) grows: bool,
    /// Kinds of blocks that are unknown, once each.
    pub(super) unknown: &'t [BlockKind],
    pub(super) path: &'t Path,
    /// Whether the trace was merged.
    pub(super) is_merged: bool,
    /// Whether there is only one recording.
    pub(super) is_alone: bool,
    /// In bytes.
    pub(super) file_size: u64,
    /// Time of the last sample; 0 if there is none.
    pub(super) last_sample_ns: u64,
    /// The window of time that is looked at.
    pub(super) window: Window,
}

/// Completes [`Profile::info`] and [`Profile::sources`]. Notes about the file
/// come before those that are there already.
pub(super) fn fill(profile: &mut Profile, facts: &Facts, reading: &Reading) {
    profile.sources = facts.sources.iter().map(|source| describe_source(source, reading)).collect();
    for sample in &profile.samples {
        if profile.events[sample.event].kind == EventKind::Cpu {
            let source = profile.processes[profile.threads[sample.thread].process].source;
            let samples = &mut profile.sources[source].samples;
            *samples = samples.saturating_add(sample.count);
        }
    }
    let info = &mut profile.info;
    let sources = profile.sources.as_slice();
    info.host = distinct(sources.iter().map(|source| source.host.as_str()));
    info.os = distinct(sources.iter().map(|source| source.os.as_str()));
    info.recorder = distinct(sources.iter().map(|source| source.recorder.as_str()));
    let mut seen = FxHashSet::default();
    let tiers = sources.iter().filter_map(|source| source.tier.as_ref());
    info.tiers = tiers.filter(|tier| seen.insert(*tier)).cloned().collect();
    let mut hosts: Vec<(&str, &str, u32)> =
        sources.iter().map(|s| (&*s.host, &*s.boot_id, s.cpus)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    info.cpus = hosts.iter().fold(0, |sum, (_, _, cpus)| sum.saturating_add(*cpus));
    if let [first, others @ ..] = sources {
        if others.iter().all(|source| source.command == first.command) {
            info.command = first.command.clone();
        }
        info.recorder_peak_rss = sources.iter().map(|s| s.recorder_peak_rss).max().unwrap_or(0);
    }
    let (start_ns, start_unix_ns) = start(facts, reading.header);
    info.start_ns = start_ns.max(reading.window.from_ns);
    info.start_unix_ns = start_unix_ns.saturating_add(info.start_ns - start_ns);
    info.cut_short = !facts.sources.all_ended();
    let sum = |value: fn(&Source) -> u64| sources.iter().map(value).fold(0, u64::saturating_add);
    info.duration_ns = sum(|source| source.duration_ns);
    info.recorder_cpu_ns = sum(|source| source.recorder_cpu_ns);
    let spans = facts.sources.iter().map(|source| source_span(source, reading));
    info.recording_ns =
        spans.map(|(start_ns, end_ns)| end_ns - start_ns).fold(0, u64::saturating_add);
    let missing = facts.sources.losses();
    for (&(class, reason), &amount) in &missing {
        let of_class = match class {
            LossClass::Samples => &mut info.lost_samples,
            LossClass::Waits => &mut info.lost_waits,
            LossClass::Calls => &mut info.lost_calls,
            LossClass::FunctionCalls => &mut info.lost_function_calls,
            LossClass::Totals => &mut info.lost_totals,
            LossClass::Allocations => &mut info.lost_allocations,
            LossClass::Unknown => &mut info.lost_others,
        };
        of_class.add(loss_sum(reason, amount));
    }
    info.losses = facts.sources.iter().flat_map(|source| &source.losses_at).copied().collect();
    info.losses.sort_by_key(|loss| loss.from_ns);
    info.captured = facts.sources.captured().unwrap_or_default();
    info.file_size = reading.file_size;
    info.redacted = facts.redacted.clone();

    let mut notes = match reading.grows {
        true => Vec::new(),
        false => file_notes(facts, reading.damage, reading.unknown),
    };
    notes.extend(facts.sources.notes());
    if facts.sources.differ_in_allocations() {
        let text = "allocations were not recorded in the same way by all; what is said of it is \
                    how the first recording did";
        notes.push(text.to_owned());
    }
    notes.extend(lost_calls_note(facts));
    for (losses, what) in [
        (&info.lost_waits, "intervals off the CPU are missing, but for their totals"),
        (&info.lost_function_calls, LOST_FUNCTION_CALLS),
        (&info.lost_allocations, "allocations and frees are missing"),
        (&info.lost_totals, "intervals off the CPU and system calls are missing, and in no total"),
        (&info.lost_others, "events of an unknown kind are missing: a newer rz knows it"),
    ] {
        notes.extend(losses_note(losses, what));
    }
    notes.append(&mut info.notes);
    info.notes = notes;
}

/// What one recording was.
fn describe_source(facts: &SourceFacts, reading: &Reading) -> Source {
    let SourceFacts { source, host, recording, cost, end, losses: missing, .. } = facts;
    let mut described = match source {
        Some(source) => Source {
            label: source.label.clone(),
            trace_id: source.trace_id.as_slice().try_into().unwrap_or_default(),
            clock_shift_ns: source.shift_ns(),
            ..Source::default()
        },
        None if reading.is_merged => Source { label: LOST.to_owned(), ..Source::default() },
        None => {
            let label = label_of(reading.path);
            Source { label, trace_id: reading.header.trace_id, ..Source::default() }
        }
    };
    if let Some(host) = host {
        let os = [&host.sysname, &host.release, &host.machine].map(String::as_str);
        described.host = host.hostname.clone();
        described.os =
            os.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ");
        described.boot_id = host.boot_id.clone();
        described.cpus = host.cpus;
    }
    if let Some(recording) = recording {
        described.recorder = recording.recorder.clone();
        described.tier = Tier::from_name(&recording.tier);
        described.command = recording.command.clone();
    }
    (described.start_ns, described.start_unix_ns) = source_start(facts, reading.header);
    let (start_ns, end_ns) = source_span(facts, reading);
    let (from_ns, to_ns) = reading.window.cut(start_ns, end_ns);
    described.duration_ns = to_ns.saturating_sub(from_ns);
    described.cut_short = end.is_none();
    described.lost = losses(missing, LossClass::Samples).count;
    if let Some(cost) = cost {
        described.recorder_cpu_ns = cost.user_ns.saturating_add(cost.system_ns);
        described.recorder_peak_rss = cost.peak_rss;
    }
    described
}

/// What people call the trace at `path`: the file's name without `.rz`.
pub fn label_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    name.strip_suffix(".rz").unwrap_or(&name).to_owned()
}

/// The distinct ones of some texts, in order of appearance.
fn distinct<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let mut seen = FxHashSet::default();
    let all: Vec<&str> = texts.filter(|text| !text.is_empty() && seen.insert(*text)).collect();
    listed(&all)
}

/// When the first recording started, on the trace's clock and since the Unix
/// epoch.
pub(super) fn start(facts: &Facts, header: &FileHeader) -> (u64, u64) {
    let starts = facts.sources.iter().map(|source| source_start(source, header));
    starts.min().unwrap_or((header.created_ns, header.created_unix_ns))
}

/// When a recording started, on the trace's clock and since the Unix epoch.
fn source_start(facts: &SourceFacts, header: &FileHeader) -> (u64, u64) {
    let created = facts.source.as_ref().map(|source| (source.created_ns, source.created_unix_ns));
    let created = created.unwrap_or((header.created_ns, header.created_unix_ns));
    let start_ns = facts.recording.as_ref().map_or(created.0, |r| r.start_ns);
    let (monotonic, realtime) =
        facts.clock.as_ref().map_or(created, |clock| (clock.monotonic_ns, clock.realtime_ns));
    let start_unix_ns = realtime
        .saturating_add(start_ns.saturating_sub(monotonic))
        .saturating_sub(monotonic.saturating_sub(start_ns));
    (start_ns, start_unix_ns)
}

/// When a recording started and ended, on the trace's clock.
fn source_span(facts: &SourceFacts, reading: &Reading) -> (u64, u64) {
    let (start_ns, _) = source_start(facts, reading.header);
    (start_ns, source_end(facts, reading.is_alone, reading.last_sample_ns).max(start_ns))
}

/// When a recording ended; `last_ns` is the time of the last row, in case it
/// was not ended, which tells only if there is no other recording.
fn source_end(facts: &SourceFacts, is_alone: bool, last_ns: u64) -> u64 {
    let last_row_ns = if is_alone { last_ns } else { 0 };
    let last_seen = facts.cost.as_ref().map_or(0, |cost| cost.time_ns).max(last_row_ns);
    facts.end.as_ref().map_or(last_seen, |end| end.time_ns)
}

/// When the last recording ended, on the trace's clock; `last_ns` is the time
/// of the last row.
pub(super) fn end(facts: &Facts, last_ns: u64) -> u64 {
    let is_alone = facts.sources.iter().count() == 1;
    let ends = facts.sources.iter().map(|source| source_end(source, is_alone, last_ns));
    ends.max().unwrap_or(last_ns)
}

/// Notes about a file that is not whole, or of which not all can be read.
pub(super) fn file_notes(facts: &Facts, damage: &[Damage], unknown: &[BlockKind]) -> Vec<String> {
    let mut notes = limited(damage, "more damaged places");
    if !facts.sources.all_ended() && damage.is_empty() {
        let what = if facts.sources.is_merged() { "a recording" } else { "the recording" };
        notes.push(format!("{what} has no end: the recorder may have been killed"));
    }
    let unknown: Vec<String> = unknown
        .iter()
        .map(|kind| format!("blocks of unknown kind {kind} were skipped: a newer rz shows more"))
        .collect();
    notes.extend(limited(&unknown, "more unknown kinds of blocks"));
    notes
}

/// What is missing of a class.
fn losses(missing: &BTreeMap<(LossClass, LossReason), LossAmount>, class: LossClass) -> Losses {
    let mut losses = Losses::default();
    for (&(_, reason), &amount) in missing.iter().filter(|((of, _), _)| *of == class) {
        losses.add(loss_sum(reason, amount));
    }
    losses
}

fn loss_sum(reason: LossReason, amount: LossAmount) -> LossSum {
    LossSum { reason, count: amount.count, duration_ns: amount.duration_ns }
}

/// What is said of calls of functions that are missing.
const LOST_FUNCTION_CALLS: &str = "calls of functions are missing";

/// A sentence about the calls of functions that are missing, if any are.
pub(super) fn lost_function_calls_note(facts: &Facts) -> Option<String> {
    losses_note(&losses(&facts.sources.losses(), LossClass::FunctionCalls), LOST_FUNCTION_CALLS)
}

/// A sentence about the system calls that are missing, if any are.
pub(super) fn lost_calls_note(facts: &Facts) -> Option<String> {
    let what = "system calls are missing, but for their totals";
    losses_note(&losses(&facts.sources.losses(), LossClass::Calls), what)
}

/// A sentence about what is missing, if anything is.
fn losses_note(losses: &Losses, what: &str) -> Option<String> {
    let reasons: Vec<String> = losses.reasons.iter().map(LossSum::to_string).collect();
    let reasons = reasons.join(", ");
    match losses.count {
        _ if losses.reasons.is_empty() => None,
        0 => Some(format!("an unknown number of {what} ({reasons})")),
        count => Some(format!("{count} {what} ({reasons})")),
    }
}
