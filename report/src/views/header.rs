//! Says what was recorded, where, when, and at what cost.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use rustc_hash::FxHashSet;
use rz_profile::model::{
    ALLOC, Event, EventId, EventKind, Info, LossSum, Losses, OFF_CPU, ProcessId, Profile, SYSCALLS,
    Tier, Unit,
};
use rz_profile::notes::listed;
use rz_profile::select::{can_add_wall, cpu_event};

use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::model::threads;
use crate::model::truncated::{Truncated, truncated};
use crate::render::format::{
    bytes, count, counted, duration, percent, percent_of, shorten, weight,
};
use crate::render::style::{Paint, Style};
use crate::render::wording::wording;
use crate::views::document::unnamed;
use crate::views::heap::{has_any, how_recorded, recorded_objects, total_of};
use crate::views::sources::write_sources;

/// Below this share, functions without names are those of any system.
const FEWEST_UNNAMED_PERCENT: f64 = 1.0;

/// Writes the header of a report about `event` of `profile`; `name` is what
/// to call the trace.
pub fn write_header(
    out: &mut dyn Write,
    style: Style,
    name: &str,
    profile: &Profile,
    event: Option<EventId>,
) -> io::Result<()> {
    let info = &profile.info;
    let title = format!("{}: {}", clean(name), target(profile));
    let title = style.width.map_or(title.as_str().into(), |width| shorten(&title, width));
    writeln!(out, "{}", style.paint(Paint::Bold, &title))?;
    let mut line = |key: &str, text: &str| {
        writeln!(out, "  {}{text}", style.paint(Paint::Dim, &format!("{key:<10}")))
    };
    line("host", &host(info))?;
    line("recorded", &recorded(profile, event.map(|id| &profile.events[id])))?;
    if info.filter.is_active() {
        line("filter", &clean(&info.filter.text))?;
    }
    let heap = event.and_then(|event| profile.heap_of(event));
    if let Some(heap) = heap {
        line("heap", &how_recorded(heap))?;
    }
    line("samples", &samples(profile, event))?;
    let metric = event.and_then(|event| profile.events[event].metric);
    if let (Some(metric), Some(heap)) = (metric, heap) {
        line("shown", &total_of(heap, metric))?;
    }
    let kind = event.map_or(EventKind::Cpu, |id| profile.events[id].kind);
    line("lost", &lost(info, kind))?;
    let cuts = event.map_or_else(Vec::new, |event| truncated(profile, event));
    let (truncated, all) = match event {
        Some(event) if kind != EventKind::Cpu || info.filter.is_active() => {
            let sum = cuts.iter().fold(0_u64, |sum, cut| sum.saturating_add(cut.samples));
            (sum, Amount::of_event(profile, event).samples)
        }
        None if info.filter.is_active() => (0, 0),
        _ => (info.truncated, info.samples),
    };
    if truncated > 0 {
        let share = percent(percent_of(truncated, all));
        let stacks = counted(truncated, "stack");
        let (does, their) = if truncated == 1 { ("does", "its") } else { ("do", "their") };
        let text = format!("{stacks} ({share}) {does} not reach {their} root");
        line("truncated", &text)?;
    }
    for Truncated { why, samples } in cuts {
        let share = percent(percent_of(samples, all));
        let help = why.help(&info.tiers).map_or_else(String::new, |help| format!(": {help}"));
        line("", &format!("{share} {}{help}", why.describe()))?;
    }
    if let Some(unnamed) = event.and_then(|event| without_names(profile, event)) {
        line("unnamed", &unnamed)?;
    }
    if let Some(also) = also(profile, event) {
        line("also", &also)?;
    }
    line("cost", &cost(info))?;
    if !info.redacted.is_empty() {
        let what = |(what, number): &(String, u64)| format!("{} ({})", clean(what), count(*number));
        line("redacted", &info.redacted.iter().map(what).collect::<Vec<_>>().join(", "))?;
    }
    if profile.is_merged() { write_sources(out, style, profile) } else { Ok(()) }
}

/// Samples in functions without a name, if they are more than a few.
fn without_names(profile: &Profile, event: EventId) -> Option<String> {
    let all = Amount::of_event(profile, event).samples;
    let number = unnamed(profile, event);
    let share = percent_of(number, all);
    (share >= FEWEST_UNNAMED_PERCENT).then(|| {
        let (samples, share) = (counted(number, "sample"), percent(share));
        let (is, functions) = if number == 1 { ("is", "a function") } else { ("are", "functions") };
        let names = if number == 1 { "a name" } else { "names" };
        format!("{samples} ({share}) {is} in {functions} without {names}: see --doctor")
    })
}

/// What else was recorded, and how to see it.
fn also(profile: &Profile, shown: Option<EventId>) -> Option<String> {
    let shown_event = shown.or_else(|| cpu_event(profile));
    let shown = shown.map_or(EventKind::Cpu, |id| profile.events[id].kind);
    let has = |wanted| profile.events.iter().any(|event| event.kind == wanted);
    let (mut what, mut options) = (Vec::new(), Vec::new());
    if has(EventKind::OffCpu) && !matches!(shown, EventKind::OffCpu | EventKind::Wall) {
        what.push(OFF_CPU);
        options.push("--off-cpu");
        if can_add_wall(profile) {
            options.push("--wall");
        }
    }
    if has(EventKind::Syscalls) && shown != EventKind::Syscalls {
        what.push(SYSCALLS);
        options.push("--syscalls");
    }
    let has_heap = has(EventKind::Alloc) && profile.heap.as_ref().is_none_or(has_any);
    if has_heap && shown != EventKind::Alloc {
        what.push(ALLOC);
        options.push("--heap");
    }
    // Of what has no view of its own, each event is told with its samples.
    let kinds = [EventKind::Cpu, EventKind::Growth, EventKind::Other];
    let others: Vec<(String, String)> = (0..profile.events.len())
        .filter(|id| Some(*id) != shown_event && kinds.contains(&profile.events[*id].kind))
        .filter_map(|id| {
            let samples = profile.samples.iter().filter(|sample| sample.event == id);
            let samples = samples.fold(0_u64, |sum, sample| sum.saturating_add(sample.count));
            let name = clean(&profile.events[id].name).into_owned();
            let option = format!("--event {name}");
            match samples {
                // That there were none is worth knowing of memory.
                0 => (profile.events[id].kind == EventKind::Growth).then_some((name, option)),
                _ => Some((format!("{name} ({})", counted(samples, "sample")), option)),
            }
        })
        .collect();
    what.extend(others.iter().map(|(counted, _)| &counted[..]));
    options.extend(others.iter().map(|(_, option)| &option[..]));
    let what = what.join(", ");
    (!what.is_empty()).then(|| format!("{}: see {}", clean(&what), options.join(", ")))
}

/// The recorded processes: the machine's, or by the name of the first.
fn target(profile: &Profile) -> String {
    let Some(first) = profile.processes.first() else {
        return "no process".to_owned();
    };
    let processes = count_processes(profile, 0..profile.processes.len());
    if profile.info.captured.system_wide {
        return format!("whole machine, {}", processes_text(processes));
    }
    let others = match processes - 1 {
        0 => String::new(),
        1 => " and 1 other process".to_owned(),
        n => format!(" and {} other processes", count(n)),
    };
    // Folded stacks need not tell.
    let pid = if first.pid > 0 { format!(" (pid {})", first.pid) } else { String::new() };
    format!("{}{pid}{others}", clean(&first.name))
}

/// How many of these are different processes: one that replaces its program
/// is there once for each.
fn count_processes(profile: &Profile, ids: impl Iterator<Item = ProcessId>) -> u64 {
    let process = |id: ProcessId| &profile.processes[id];
    let pids: FxHashSet<_> = ids.map(|id| (process(id).source, process(id).pid)).collect();
    pids.len() as u64
}

fn processes_text(number: u64) -> String {
    if number == 1 { "1 process".to_owned() } else { format!("{} processes", count(number)) }
}

/// The host, its system and its size.
pub(crate) fn host(info: &Info) -> String {
    let cpus = match info.cpus {
        0 => String::new(),
        n => counted(n.into(), "CPU"),
    };
    let parts = [clean(&info.host).into_owned(), clean(&info.os).into_owned(), cpus];
    let known: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if known.is_empty() { "unknown".to_owned() } else { known.join(", ") }
}

/// The time at which recording started, in UTC.
pub(crate) fn start_time(info: &Info) -> String {
    date(info.start_unix_ns)
        .map_or_else(|| "at an unknown time".to_owned(), |date| format!("{date} UTC"))
}

/// A time since the Unix epoch as a date; `None` if it is not known.
pub(crate) fn date(unix_ns: u64) -> Option<String> {
    // The last second of year 9999, beyond which there is no such text.
    const LAST: u64 = 253_402_300_799;
    let seconds = Some(unix_ns / 1_000_000_000).filter(|seconds| (1..=LAST).contains(seconds))?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    Some(text.trim_end_matches('Z').replace('T', " "))
}

fn recorded(profile: &Profile, event: Option<&Event>) -> String {
    let info = &profile.info;
    let mut text = format!("{}, {}", start_time(info), duration(info.duration_ns));
    if profile.is_merged() {
        text += &format!(" in {}", counted(profile.sources.len() as u64, "recording"));
    }
    // Allocations are not sampled in time; the next line says how they are.
    if let Some(event) = event.filter(|event| event.kind != EventKind::Alloc) {
        if event.frequency_hz > 0 {
            text += &format!(" at {} Hz", event.frequency_hz);
        }
        text += &format!(" ({}", clean(&event.name));
        if !info.tiers.is_empty() {
            let tiers: Vec<&str> = info.tiers.iter().map(Tier::name).collect();
            text += &format!(", {} tier", clean(&listed(&tiers)));
        }
        text += ")";
    }
    text
}

fn samples(profile: &Profile, event: Option<EventId>) -> String {
    let Some(event) = event else {
        return "none".to_owned();
    };
    let rows = threads::threads(profile, event);
    let total = Amount::of_event(profile, event);
    if total.samples == 0 {
        return "none".to_owned();
    }
    if let Some(heap) = profile.heap_of(event) {
        return recorded_objects(heap);
    }
    let Event { kind, unit, .. } = profile.events[event];
    let mut text = count(total.samples);
    if unit == Unit::Count && total.weight == total.samples {
        return text + &in_threads(profile, &rows);
    }
    text += &format!(" = {}", weight(unit, total.weight));
    if matches!(unit, Unit::Nanoseconds | Unit::Bytes) {
        text += &format!(" {}", wording(Some(&profile.events[event])).spent);
        let time_ns = profile.info.looked_at_ns();
        if time_ns > 0 && kind == EventKind::Cpu {
            let cores = total.weight as f64 / time_ns as f64;
            text += &format!(" = {cores:.2} cores");
        }
    } else {
        text += &format!(" {}", unit.name());
    }
    text + &in_threads(profile, &rows)
}

fn in_threads(profile: &Profile, rows: &[threads::ThreadSamples]) -> String {
    let processes = rows.iter().map(|row| profile.threads[row.thread].process);
    let threads = counted(rows.len() as u64, "thread");
    match count_processes(profile, processes) {
        1 => format!(", in {threads}"),
        n => format!(", in {threads} of {}", processes_text(n)),
    }
}

/// How much of what an event of this kind counts is missing, and why.
pub(crate) fn lost(info: &Info, kind: EventKind) -> String {
    let mut parts = Vec::new();
    if matches!(kind, EventKind::Cpu | EventKind::Other | EventKind::Wall) {
        let share = percent(lost_percent(info, EventKind::Cpu, info.samples));
        let number = match info.lost_samples.count {
            0 => "an unknown number".to_owned(),
            lost => format!("{} ({share} of what was due)", count(lost)),
        };
        parts.extend(with_reasons(&info.lost_samples.reasons, number));
    }
    let interval = |number: u64, noun: &str| match number {
        0 => format!("an unknown number of {noun}s"),
        _ => counted(number, noun),
    };
    if matches!(kind, EventKind::OffCpu | EventKind::Wall) {
        let Losses { count, reasons } = &info.lost_waits;
        parts.extend(with_reasons(reasons, interval(*count, "interval")));
    }
    if kind == EventKind::Syscalls {
        let Losses { count, reasons } = &info.lost_calls;
        parts.extend(with_reasons(reasons, interval(*count, "call")));
    }
    if kind == EventKind::Functions {
        let Losses { count, reasons } = &info.lost_function_calls;
        parts.extend(with_reasons(reasons, interval(*count, "call")));
    }
    if kind == EventKind::Growth {
        let number = interval(info.lost_samples.count, "sample");
        parts.extend(with_reasons(&info.lost_samples.reasons, number));
    }
    if kind == EventKind::Alloc {
        let Losses { count: lost, reasons } = &info.lost_allocations;
        let number = match lost {
            0 => "an unknown number of allocations and frees".to_owned(),
            lost => format!("{} allocations and frees", count(*lost)),
        };
        parts.extend(with_reasons(reasons, number));
    }
    if matches!(kind, EventKind::OffCpu | EventKind::Syscalls | EventKind::Wall) {
        let Losses { count, reasons } = &info.lost_totals;
        parts.extend(with_reasons(reasons, interval(*count, "event") + " in no total"));
    }
    let of_all = match info.filter.threads.is_some() || info.filter.drops_stacks {
        true => ", whatever the filter selects",
        false => "",
    };
    if parts.is_empty() { "none".to_owned() } else { parts.join("; ") + of_all }
}

/// A number and the reasons for it, if there are any.
fn with_reasons(reasons: &[LossSum], number: String) -> Option<String> {
    let reason = |sum: &LossSum| match sum.count {
        0 => sum.to_string(),
        lost => format!("{} {sum}", count(lost)),
    };
    let reasons: Vec<String> = reasons.iter().map(reason).collect();
    (!reasons.is_empty()).then(|| format!("{number}: {}", reasons.join(", ")))
}

/// How many samples of an event of this kind are missing.
pub(crate) fn lost_count(info: &Info, kind: EventKind) -> u64 {
    match kind {
        EventKind::OffCpu => info.lost_waits.count,
        EventKind::Syscalls => info.lost_calls.count,
        EventKind::Functions => info.lost_function_calls.count,
        EventKind::Alloc => info.lost_allocations.count,
        EventKind::Wall => info.lost_samples.count.saturating_add(info.lost_waits.count),
        EventKind::Cpu | EventKind::Growth | EventKind::Other => info.lost_samples.count,
    }
}

/// The share of due samples that are missing, in percent; `samples` are there,
/// and others that a filter leaves out.
pub(crate) fn lost_percent(info: &Info, kind: EventKind, samples: u64) -> f64 {
    let lost = lost_count(info, kind);
    let all = if kind == EventKind::Cpu { info.samples } else { 0 };
    let samples = samples.max(all);
    percent_of(lost, samples.saturating_add(lost))
}

fn cost(info: &Info) -> String {
    if info.recorder_cpu_ns == 0 && info.recorder_peak_rss == 0 {
        // Other recorders do not tell, and ours does once a second.
        return format!("not known, {} file", bytes(info.file_size));
    }
    let mut text = format!("{} CPU", duration(info.recorder_cpu_ns));
    if info.recording_ns > 0 {
        let share = percent(percent_of(info.recorder_cpu_ns, info.recording_ns));
        text += &format!(" ({share} of one core)");
    }
    let (memory, file) = (bytes(info.recorder_peak_rss), bytes(info.file_size));
    text + &format!(", {memory} peak memory, {file} file")
}

#[cfg(test)]
mod tests {
    use rz_profile::model::{LossReason, Sample};

    use super::*;
    use crate::fixture::{Builder, text};

    fn header(profile: &Profile, event: Option<EventId>) -> String {
        text(|out| write_header(out, Style::default(), "trace.rz", profile, event))
    }

    #[test]
    fn says_what_was_recorded() {
        let profile = Builder::of(&[("main", 60), ("main;work", 900)]);
        let expected = "
trace.rz: app (pid 4242)
  host      db7, Linux 6.1.0 x86_64, 16 CPUs
  recorded  2026-11-21 03:50:12 UTC, 10.0 s at 100 Hz (cpu-clock, perf tier)
  samples   960 = 9.60 s of CPU = 0.96 cores, in 1 thread
  lost      none
  cost      31.0 ms CPU (0.3% of one core), 12.0 MiB peak memory, 4.0 KiB file
";
        assert_eq!(header(&profile, Some(0)), expected[1..]);
    }

    /// As of folded stacks, which say no more.
    #[test]
    fn says_no_more_than_is_known() {
        let mut profile = Builder::of(&[("main", 60)]);
        profile.processes[0].pid = 0;
        profile.events[0].unit = Unit::Count;
        profile.samples.iter_mut().for_each(|sample| sample.weight = sample.count);
        let header = header(&profile, Some(0));
        let (title, rest) = header.split_once('\n').unwrap();
        assert_eq!(title, "trace.rz: app");
        assert!(rest.contains("  samples   60, in 1 thread\n"), "{rest}");
    }

    fn missing(reason: LossReason, count: u64) -> LossSum {
        LossSum { reason, count, duration_ns: 0 }
    }

    #[test]
    fn says_what_is_missing() {
        let mut builder = Builder::new();
        let stack = builder.stack(&["main"]);
        let child = builder.process("child", 5000);
        let child = builder.thread(child, "child", 5000);
        builder.sample(0, stack, 1000);
        builder.sample(child, stack, 980);
        let info = &mut builder.profile.info;
        info.lost_samples.count = 20;
        info.lost_samples.reasons =
            vec![missing(LossReason::RingFull, 15), missing(LossReason::QueueFull, 5)];
        info.truncated = 198;
        let expected = "
trace.rz: app (pid 4242) and 1 other process
  host      db7, Linux 6.1.0 x86_64, 16 CPUs
  recorded  2026-11-21 03:50:12 UTC, 10.0 s at 100 Hz (cpu-clock, perf tier)
  samples   1,980 = 19.8 s of CPU = 1.98 cores, in 2 threads of 2 processes
  lost      20 (1.0% of what was due): 15 kernel buffer full, 5 recorder behind
  truncated 198 stacks (10.0%) do not reach their root
  cost      31.0 ms CPU (0.3% of one core), 12.0 MiB peak memory, 4.0 KiB file
";
        assert_eq!(header(&builder.profile, Some(0)), expected[1..]);
    }

    #[test]
    fn each_event_has_truncated_stacks_of_its_own() {
        let mut builder = Builder::new();
        let whole = builder.stack(&["main", "[off-CPU: futex]"]);
        let cut = builder.stack(&["[truncated]", "work", "[off-CPU: futex]"]);
        let mut profile = builder.profile;
        let (kind, name) = (EventKind::OffCpu, "off-cpu".into());
        profile.events.push(Event { kind, name, ..Event::default() });
        profile.info.truncated = 1;
        for (stack, count) in [(whole, 3), (cut, 1)] {
            let (stack, weight) = (Some(stack), 10);
            profile.samples.push(Sample { event: 1, thread: 0, stack, count, weight });
        }
        let header = header(&profile, Some(1));
        assert!(
            header.contains("\n  samples   4 = 20.0 ns off the CPU, in 1 thread\n"),
            "{header}"
        );
        let line = "\n  truncated 1 stack (25.0%) does not reach its root\n            \
                    25.0% unknown reason\n";
        assert!(header.contains(line), "{header}");
    }

    #[test]
    fn what_was_held_back_is_said_without_a_number() {
        let throttled = LossSum { duration_ns: 1_200_000_000, ..missing(LossReason::Throttled, 0) };
        let lost_samples = Losses { count: 0, reasons: vec![throttled] };
        let mut info = Info { samples: 90, lost_samples, ..Info::default() };
        assert_eq!(
            lost(&info, EventKind::Cpu),
            "an unknown number: throttled by the kernel for 1.2 s"
        );
        info.lost_samples.count = 10;
        info.lost_samples.reasons.insert(0, missing(LossReason::RingFull, 10));
        let expected = "10 (10.0% of what was due): 10 kernel buffer full, \
                        throttled by the kernel for 1.2 s";
        assert_eq!(lost(&info, EventKind::Cpu), expected);
    }

    #[test]
    fn each_kind_of_event_has_losses_of_its_own() {
        let losses = |count, reason| Losses { count, reasons: vec![missing(reason, count)] };
        let mut info = Info { samples: 90, ..Info::default() };
        assert_eq!(lost(&info, EventKind::Wall), "none");
        info.lost_waits = losses(1, LossReason::RingFull);
        info.lost_calls = losses(2_000, LossReason::QueueFull);
        assert_eq!(lost(&info, EventKind::Cpu), "none");
        assert_eq!(lost(&info, EventKind::OffCpu), "1 interval: 1 kernel buffer full");
        assert_eq!(lost(&info, EventKind::Syscalls), "2,000 calls: 2,000 recorder behind");
        info.lost_totals = losses(0, LossReason::TableFull);
        assert_eq!(
            lost(&info, EventKind::Wall),
            "1 interval: 1 kernel buffer full; an unknown number of events in no total: kernel \
             table full"
        );
    }

    #[test]
    fn a_process_of_several_programs_is_one() {
        let mut builder = Builder::new();
        let stack = builder.stack(&["main"]);
        builder.sample(0, stack, 1);
        let program = builder.process("child", 4242);
        let thread = builder.thread(program, "child", 4242);
        builder.sample(thread, stack, 1);
        let mut profile = builder.profile;
        let text = header(&profile, Some(0));
        assert!(text.starts_with("trace.rz: app (pid 4242)\n"), "{text}");
        assert!(text.contains(" cores, in 2 threads\n"), "{text}");
        profile.info.captured.system_wide = true;
        assert!(header(&profile, Some(0)).starts_with("trace.rz: whole machine, 1 process\n"));
        profile.processes[1].pid = 5000;
        assert!(header(&profile, Some(0)).starts_with("trace.rz: whole machine, 2 processes\n"));
    }

    #[test]
    fn says_what_else_was_recorded() {
        let check = |kinds: &[EventKind], shown, expected: &str| {
            let mut profile = Builder::new().profile;
            let event = |&kind: &EventKind| Event { kind, ..Event::default() };
            profile.events = kinds.iter().map(event).collect();
            let text = header(&profile, shown);
            let line = text.lines().find_map(|line| line.strip_prefix("  also      "));
            assert_eq!(line.unwrap_or_default(), expected);
        };
        use EventKind::{Alloc, Cpu, OffCpu, Syscalls, Wall};
        let all = [Cpu, OffCpu, Syscalls];
        check(&[Cpu], Some(0), "");
        check(&all, Some(0), "off-cpu, syscalls: see --off-cpu, --wall, --syscalls");
        check(&all, None, "off-cpu, syscalls: see --off-cpu, --wall, --syscalls");
        check(&all, Some(1), "syscalls: see --syscalls");
        check(&all, Some(2), "off-cpu: see --off-cpu, --wall");
        check(&[Cpu, OffCpu, Wall], Some(2), "");
        check(&[OffCpu, Syscalls], Some(1), "off-cpu: see --off-cpu");
        check(&[Cpu, Alloc], Some(0), "alloc: see --heap");
        check(&[Alloc], None, "alloc: see --heap");
        check(&[Cpu, OffCpu, Alloc], Some(2), "off-cpu: see --off-cpu, --wall");
    }

    #[test]
    fn says_what_a_filter_selected() {
        let mut profile = Builder::of(&[("main;work", 90)]);
        let info = &mut profile.info;
        info.filter.text = "10s to 20s, thread worker*".into();
        info.filter.threads = Some(1);
        // Other threads had as many samples.
        info.samples = 180;
        (info.lost_samples.count, info.lost_samples.reasons) =
            (20, vec![missing(LossReason::RingFull, 20)]);
        (info.truncated, info.recording_ns) = (7, 20_000_000_000);
        let expected = "
trace.rz: app (pid 4242)
  host      db7, Linux 6.1.0 x86_64, 16 CPUs
  recorded  2026-11-21 03:50:12 UTC, 10.0 s at 100 Hz (cpu-clock, perf tier)
  filter    10s to 20s, thread worker*
  samples   90 = 900 ms of CPU = 0.09 cores, in 1 thread
  lost      20 (10.0% of what was due): 20 kernel buffer full, whatever the filter selects
  cost      31.0 ms CPU (0.2% of one core), 12.0 MiB peak memory, 4.0 KiB file
";
        assert_eq!(header(&profile, Some(0)), expected[1..]);
    }

    #[test]
    fn says_what_was_taken_out() {
        let mut profile = Builder::of(&[("main", 60)]);
        profile.info.redacted = vec![("paths".into(), 1_234), ("arg\u{7}uments".into(), 2)];
        let text = header(&profile, Some(0));
        let line = text.lines().last().unwrap();
        assert_eq!(line, "  redacted  paths (1,234), arg?uments (2)");
    }

    #[test]
    fn an_empty_trace_has_a_header() {
        let expected = "
trace.rz: no process
  host      unknown
  recorded  at an unknown time, 0 ns
  samples   none
  lost      none
  cost      not known, 0 B file
";
        assert_eq!(header(&Profile::default(), None), expected[1..]);
    }
}
