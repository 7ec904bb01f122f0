//! How a recording was made, and what that cost as time went on.

use std::io::{self, Write};

use rz_profile::inventory::{Captured, Clock, Cost, SourceInventory};
use rz_profile::model::CallDetail;

use super::layout::{write_line, write_wrapped};
use crate::model::clean::clean;
use crate::render::format::{bytes, count, counted, duration, percent, percent_of};
use crate::render::style::{Paint, Style};
use crate::render::table::{Row, write_table};
use crate::render::title::write_title;
use crate::views::header::date;

/// Rows of the table of costs, at most.
const COST_ROWS: usize = 8;

/// Writes what is known of a recording.
pub(super) fn write_recording(
    out: &mut dyn Write,
    style: Style,
    source: &SourceInventory,
) -> io::Result<()> {
    write_title(out, style, "RECORDING", &clean(&source.label))?;
    if let Some(host) = &source.host {
        let words = [&host.sysname, &host.release, &host.machine, &host.version];
        let words: Vec<&str> =
            words.iter().map(|word| word.as_str()).filter(|word| !word.is_empty()).collect();
        if !words.is_empty() {
            write_line(out, style, "kernel", &clean(&words.join(" ")))?;
        }
        write_line(out, style, "boot", &clean(&host.boot_id))?;
    }
    if let Some(recording) = &source.recording {
        let version = clean(&recording.recorder);
        let text = format!("rec {version}, {} tier, as user {}", recording.tier, recording.uid);
        write_line(out, style, "recorder", &clean(&text))?;
        if !recording.command.is_empty() {
            write_line(out, style, "command", &clean(&recording.command.join(" ")))?;
        }
        let mut parts = Vec::new();
        if !recording.targets.is_empty() {
            let pids: Vec<String> = recording.targets.iter().take(20).map(u32::to_string).collect();
            let more = if recording.targets.len() > pids.len() { " …" } else { "" };
            parts.push(format!("pid {}{more}", pids.join(" ")));
        }
        parts.push(if recording.follow { "children too" } else { "no children" }.to_owned());
        parts.push(match recording.kernel {
            true => "kernel stacks".to_owned(),
            false => "no kernel stacks".to_owned(),
        });
        parts.push(format!("up to {} of each stack", bytes(recording.stack_bytes.into())));
        write_wrapped(out, style, "target", &parts)?;
    }
    if let Some(captured) = &source.captured {
        write_wrapped(out, style, "captured", &what_was_captured(captured, source))?;
    }
    if let Some(text) = source.clock.as_ref().and_then(what_the_time_is) {
        write_line(out, style, "clock", &text)?;
    }
    write_costs(out, style, source)
}

/// What the trace's clock shows, and since when.
fn what_the_time_is(clock: &Clock) -> Option<String> {
    let seconds = count(clock.monotonic_ns / 1_000_000_000);
    let real = date(clock.realtime_ns)?;
    let suspended = clock.boottime_ns.saturating_sub(clock.monotonic_ns);
    let suspended = match suspended {
        0..1_000_000_000 => String::new(),
        ns => format!(", {} suspended not counted", duration(ns)),
    };
    Some(format!("CLOCK_MONOTONIC: {seconds} s at {real} UTC{suspended}"))
}

/// What was recorded, in words.
fn what_was_captured(captured: &Captured, source: &SourceInventory) -> Vec<String> {
    let mut parts = vec!["samples".to_owned()];
    if captured.system_wide {
        parts[0] += " of the whole machine";
    }
    if captured.waits {
        parts.push("waits".to_owned());
    }
    let which = match captured.call_numbers.len() {
        0 => "all system calls".to_owned(),
        n => counted(n as u64, "kind") + " of system calls",
    };
    match CallDetail::from(captured.calls) {
        CallDetail::None => {}
        CallDetail::Totals => parts.push(format!("sums of {which}")),
        _ if captured.slower_than_ns > 0 => {
            parts.push(format!("{which} from {}", duration(captured.slower_than_ns)));
        }
        _ => parts.push(which),
    }
    match source.allocations.as_ref().map(|allocations| allocations.interval) {
        None => {}
        Some(0) => parts.push("all allocations".to_owned()),
        Some(interval) => parts.push(format!("allocations, one for {}", bytes(interval))),
    }
    if captured.waits || CallDetail::from(captured.calls) != CallDetail::None {
        let threshold = duration(captured.stack_threshold_ns);
        parts.push(format!("with a stack each from {threshold}"));
    }
    parts
}

/// Writes what the recorder used, in slices of the time it ran.
fn write_costs(out: &mut dyn Write, style: Style, source: &SourceInventory) -> io::Result<()> {
    let start_ns = source.recording.as_ref().map_or(0, |recording| recording.start_ns);
    let rows = cost_rows(&source.costs, start_ns);
    if rows.is_empty() {
        return Ok(());
    }
    write_title(out, style, "COST", "of recording, as time went on")?;
    write_table(out, style, &["until", "CPU", "of a core", "peak memory", "queued", "file"], &rows)
}

/// Slices of about equal length, each with what was used in it.
fn cost_rows(costs: &[Cost], start_ns: u64) -> Vec<Row> {
    let step = costs.len().div_ceil(COST_ROWS).max(1);
    let last = costs.len().saturating_sub(1);
    let ends = costs.iter().enumerate().filter(|(index, _)| (last - index).is_multiple_of(step));
    let mut before = Cost { time_ns: start_ns, ..Cost::default() };
    let plain = |text: String| (text, Paint::Plain);
    let mut rows = Vec::new();
    for (index, cost) in ends {
        let used = |cost: &Cost| cost.user_ns.saturating_add(cost.system_ns);
        let cpu = used(cost).saturating_sub(used(&before));
        let time = cost.time_ns.saturating_sub(before.time_ns);
        let from = (index + 1).saturating_sub(step);
        let queued = costs[from..=index].iter().map(|cost| cost.queued).max().unwrap_or(0);
        rows.push(Row {
            numbers: vec![
                plain(duration(cost.time_ns.saturating_sub(start_ns))),
                plain(duration(cpu)),
                plain(percent(percent_of(cpu, time))),
                plain(bytes(cost.peak_rss)),
                plain(bytes(queued)),
            ],
            text: bytes(cost.written),
            suffix: String::new(),
        });
        before = cost.clone();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_those_of_slices() {
        let second = 1_000_000_000;
        let cost = |at: u64| Cost {
            time_ns: 100 * second + at * second,
            user_ns: at * 2_000_000,
            system_ns: at * 1_000_000,
            peak_rss: 1 << 20,
            queued: if at == 3 { 2048 } else { 0 },
            written: at * 1024,
        };
        let costs: Vec<Cost> = (1..=17).map(cost).collect();
        let rows = cost_rows(&costs, 100 * second);
        let text = |row: &Row| {
            let numbers = row.numbers.iter().map(|(text, _)| text.as_str());
            numbers.chain([row.text.as_str()]).collect::<Vec<_>>().join(" | ")
        };
        let lines: Vec<String> = rows.iter().map(text).collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "2.00 s | 6.00 ms | 0.3% | 1.0 MiB | 0 B | 2.0 KiB");
        assert_eq!(lines[1], "5.00 s | 9.00 ms | 0.3% | 1.0 MiB | 2.0 KiB | 5.0 KiB");
        assert_eq!(lines[5], "17.0 s | 9.00 ms | 0.3% | 1.0 MiB | 0 B | 17.0 KiB");
        assert!(cost_rows(&[], 0).is_empty());
    }
}
