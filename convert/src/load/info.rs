//! Says what a recording was, what is missing of it, and what it cost.

use std::fmt::Display;

use rz_format::{
    BlockKind, CLASS_ALLOCATIONS, CLASS_CALLS, CLASS_SAMPLES, CLASS_TOTALS, CLASS_WAITS, Damage,
    FileHeader, LossReason,
};

use super::facts::{Facts, LossSum};
use crate::filter::Window;
use crate::profile::{Losses, Profile};

/// Notes about one kind of damage, at most.
const MAX_NOTES: usize = 10;

/// How reading the file went.
pub(super) struct Reading<'t> {
    pub(super) header: &'t FileHeader,
    pub(super) damage: &'t [Damage],
    /// Kinds of blocks that are unknown, once each.
    pub(super) skipped: &'t [BlockKind],
    /// In bytes.
    pub(super) file_size: u64,
    /// Time of the last sample; 0 if there is none.
    pub(super) last_sample_ns: u64,
    /// The window of time that is looked at.
    pub(super) window: Window,
}

/// Completes [`Profile::info`]. Notes about the file come before those that
/// are there already.
pub(super) fn fill(profile: &mut Profile, facts: &Facts, reading: &Reading) {
    let info = &mut profile.info;
    if let Some(host) = &facts.host {
        let os = [&host.sysname, &host.release, &host.machine].map(String::as_str);
        info.host = host.hostname.clone();
        info.os = os.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ");
        info.cpus = host.cpus;
    }
    if let Some(recording) = &facts.recording {
        info.recorder = recording.recorder.clone();
        info.tier = recording.tier.clone();
        info.command = recording.command.clone();
    }
    let (start_ns, start_unix_ns) = start(facts, reading.header);
    let end_ns = end(facts, reading.last_sample_ns).max(start_ns);
    let (from_ns, to_ns) = reading.window.cut(start_ns, end_ns);
    info.cut_short = facts.end.is_none();
    info.recording_ns = end_ns - start_ns;
    info.start_ns = from_ns;
    info.start_unix_ns = start_unix_ns.saturating_add(from_ns.saturating_sub(start_ns));
    info.duration_ns = to_ns - from_ns;
    Losses { count: info.lost, reasons: info.losses } = losses(facts, CLASS_SAMPLES);
    info.lost_waits = losses(facts, CLASS_WAITS);
    info.lost_calls = losses(facts, CLASS_CALLS);
    info.lost_totals = losses(facts, CLASS_TOTALS);
    info.lost_allocations = losses(facts, CLASS_ALLOCATIONS);
    info.captured = facts.captured.clone().unwrap_or_default();
    if let Some(cost) = &facts.cost {
        info.recorder_cpu_ns = cost.user_ns.saturating_add(cost.system_ns);
        info.recorder_peak_rss = cost.peak_rss;
    }
    info.file_size = reading.file_size;

    let mut notes = file_notes(facts, reading.damage);
    let skipped: Vec<String> = reading
        .skipped
        .iter()
        .map(|kind| format!("blocks of unknown kind {kind} were skipped: a newer rz shows more"))
        .collect();
    notes.extend(limited(&skipped, "more unknown kinds of blocks"));
    notes.extend(facts.notes.iter().cloned());
    notes.extend(lost_calls_note(facts));
    for (losses, what) in [
        (&info.lost_waits, "intervals off the CPU are missing, but for their totals"),
        (&info.lost_allocations, "allocations and frees are missing"),
        (&info.lost_totals, "intervals off the CPU and system calls are missing, and in no total"),
    ] {
        notes.extend(losses_note(losses, what));
    }
    notes.append(&mut info.notes);
    info.notes = notes;
}

/// When the recording started, on the trace's clock and since the Unix epoch.
pub(super) fn start(facts: &Facts, header: &FileHeader) -> (u64, u64) {
    let start_ns = facts.recording.as_ref().map_or(header.created_ns, |r| r.start_ns);
    let (monotonic, realtime) = match &facts.clock {
        Some(clock) => (clock.monotonic_ns, clock.realtime_ns),
        None => (header.created_ns, header.created_unix_ns),
    };
    let start_unix_ns = realtime
        .saturating_add(start_ns.saturating_sub(monotonic))
        .saturating_sub(monotonic.saturating_sub(start_ns));
    (start_ns, start_unix_ns)
}

/// When the recording ended, on the trace's clock; `last_ns` is the time of the
/// last row, in case it was not ended.
pub(super) fn end(facts: &Facts, last_ns: u64) -> u64 {
    let last_seen = facts.cost.as_ref().map_or(0, |cost| cost.time_ns).max(last_ns);
    facts.end.as_ref().map_or(last_seen, |end| end.time_ns)
}

/// Notes about a file that is not whole.
pub(super) fn file_notes(facts: &Facts, damage: &[Damage]) -> Vec<String> {
    let mut notes = limited(damage, "more damaged places");
    if facts.end.is_none() && damage.is_empty() {
        notes.push("the recording has no end: the recorder may have been killed".to_owned());
    }
    notes
}

/// What is missing of a class.
fn losses(facts: &Facts, class: u8) -> Losses {
    let mut losses = Losses::default();
    for (&(_, reason), sum) in facts.losses.range((class, 0)..=(class, u8::MAX)) {
        losses.count = losses.count.saturating_add(sum.count);
        losses.reasons.push(describe(reason.into(), sum));
    }
    losses
}

/// A sentence about the system calls that are missing, if any are.
pub(super) fn lost_calls_note(facts: &Facts) -> Option<String> {
    let what = "system calls are missing, but for their totals";
    losses_note(&losses(facts, CLASS_CALLS), what)
}

/// A sentence about what is missing, if anything is.
fn losses_note(losses: &Losses, what: &str) -> Option<String> {
    let reasons: Vec<&str> = losses.reasons.iter().map(|(reason, _)| reason.as_str()).collect();
    let reasons = reasons.join(", ");
    match losses.count {
        _ if losses.reasons.is_empty() => None,
        0 => Some(format!("an unknown number of {what} ({reasons})")),
        count => Some(format!("{count} {what} ({reasons})")),
    }
}

/// A reason for losses, in words, and how many.
fn describe(reason: LossReason, sum: &LossSum) -> (String, u64) {
    let text = reason.describe();
    let text = match reason {
        LossReason::Throttled => format!("{text} for {}", duration(sum.duration_ns)),
        _ => text.to_owned(),
    };
    (text, sum.count)
}

/// A length of time in seconds or milliseconds.
fn duration(ns: u64) -> String {
    match ns {
        0..100_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// The first of many notes, and how many there are beyond.
fn limited<T: Display>(all: &[T], what: &str) -> Vec<String> {
    let mut notes: Vec<String> = all.iter().take(MAX_NOTES).map(T::to_string).collect();
    if all.len() > MAX_NOTES {
        notes.push(format!("and {} {what}", all.len() - MAX_NOTES));
    }
    notes
}
