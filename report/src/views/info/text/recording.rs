//! Writes how a recording was made, and what that cost as time went on.

use std::io::{self, Write};

use super::layout::{write_line, write_wrapped};
use crate::render::format::{bytes, count, counted, duration, percent, percent_of};
use crate::render::style::{Paint, Style};
use crate::render::table::{TableRow, write_table};
use crate::render::title::write_title;
use crate::views::header::date;
use crate::views::info::{
    CapturedCalls, CapturedInfo, ClockInfo, CostSlice, HostInfo, RecorderInfo, RecordingInfo,
};

/// Process ids that are listed, at most.
const MAX_TARGETS: usize = 20;

/// Writes what is known of a recording.
pub(super) fn write_recording(
    out: &mut dyn Write,
    style: Style,
    recording: &RecordingInfo,
) -> io::Result<()> {
    write_title(out, style, "RECORDING", recording.label.as_deref().unwrap_or_default())?;
    if let Some(host) = &recording.host {
        write_host(out, style, host)?;
    }
    if let Some(recorder) = &recording.recorder {
        write_recorder(out, style, recorder)?;
    }
    if let Some(captured) = &recording.captured {
        write_wrapped(out, style, "captured", &what_was_captured(captured, recording))?;
    }
    if let Some(text) = recording.clock.as_ref().and_then(what_the_time_is) {
        write_line(out, style, "clock", &text)?;
    }
    let rows = cost_rows(&recording.costs);
    if rows.is_empty() {
        return Ok(());
    }
    write_title(out, style, "COST", "of recording, as time went on")?;
    write_table(out, style, &["until", "CPU", "of a core", "peak memory", "queued", "file"], &rows)
}

fn write_host(out: &mut dyn Write, style: Style, host: &HostInfo) -> io::Result<()> {
    let words = [&host.sysname, &host.release, &host.machine, &host.version];
    let words: Vec<&str> = words.into_iter().filter_map(|word| word.as_deref()).collect();
    if !words.is_empty() {
        write_line(out, style, "kernel", &words.join(" "))?;
    }
    host.boot_id.as_ref().map_or(Ok(()), |boot| write_line(out, style, "boot", boot))
}

fn write_recorder(out: &mut dyn Write, style: Style, recorder: &RecorderInfo) -> io::Result<()> {
    let parts = [
        recorder.version.as_ref().map(|version| match recorder.uid {
            Some(_) => format!("rec {version}"),
            // Whoever made the file that was imported.
            None => version.clone(),
        }),
        recorder.tier.as_ref().map(|tier| format!("{tier} tier")),
        recorder.uid.map(|uid| format!("as user {uid}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        write_line(out, style, "recorder", &parts.join(", "))?;
    }
    if let Some(command) = &recorder.command {
        write_line(out, style, "command", &command.join(" "))?;
    }
    let mut parts = Vec::new();
    let targets = recorder.targets.as_deref().unwrap_or_default();
    if !targets.is_empty() {
        let pids: Vec<String> = targets.iter().take(MAX_TARGETS).map(u32::to_string).collect();
        let more = if targets.len() > pids.len() { " …" } else { "" };
        parts.push(format!("pid {}{more}", pids.join(" ")));
    }
    let says = |is_so: bool, yes: &str, no: &str| if is_so { yes } else { no }.to_owned();
    parts.extend(recorder.follows_children.map(|is_so| says(is_so, "children too", "no children")));
    let kernel = recorder.kernel_stacks;
    parts.extend(kernel.map(|is_so| says(is_so, "kernel stacks", "no kernel stacks")));
    // Others follow frame pointers and copy nothing.
    let copied = recorder.stack_bytes.filter(|&copied| copied > 0);
    parts.extend(copied.map(|copied| format!("up to {} of each stack", bytes(copied.into()))));
    write_wrapped(out, style, "target", &parts)
}

/// What the trace's clock shows, and since when.
fn what_the_time_is(clock: &ClockInfo) -> Option<String> {
    let seconds = count(clock.monotonic_ns / 1_000_000_000);
    let real = date(clock.unix_ns?)?;
    let suspended = match clock.suspended_ns.unwrap_or(0) {
        0..1_000_000_000 => String::new(),
        ns => format!(", {} suspended not counted", duration(ns)),
    };
    Some(format!("CLOCK_MONOTONIC: {seconds} s at {real} UTC{suspended}"))
}

/// What was recorded, in words.
fn what_was_captured(captured: &CapturedInfo, recording: &RecordingInfo) -> Vec<String> {
    let mut parts = vec!["samples".to_owned()];
    if captured.system_wide {
        parts[0] += " of the whole machine";
    }
    if captured.waits {
        parts.push("waits".to_owned());
    }
    parts.extend(which_calls(captured));
    if let Some(most) = captured.syscall_data_bytes {
        parts.push(format!(
            "data of system calls up to {} each (may hold secrets)",
            bytes(most.into())
        ));
    }
    match recording.allocations.as_ref().map(|allocations| allocations.interval_bytes) {
        None => {}
        Some(0) => parts.push("all allocations".to_owned()),
        Some(interval) => parts.push(format!("allocations, one for {}", bytes(interval))),
    }
    if captured.waits || captured.syscalls != CapturedCalls::None {
        let threshold = duration(captured.stack_threshold_ns);
        parts.push(format!("with a stack each from {threshold}"));
    }
    parts
}

/// Which system calls were recorded, in words.
fn which_calls(captured: &CapturedInfo) -> Option<String> {
    let which = match &captured.syscall_numbers {
        None => "all system calls".to_owned(),
        Some(numbers) => counted(numbers.len() as u64, "kind") + " of system calls",
    };
    match captured.syscalls {
        CapturedCalls::None => None,
        CapturedCalls::Totals => Some(format!("sums of {which}")),
        CapturedCalls::Calls | CapturedCalls::Unknown => Some(match captured.slower_than_ns {
            0 => which,
            ns => format!("{which} from {}", duration(ns)),
        }),
    }
}

/// What the recorder used, in slices of the time it ran.
fn cost_rows(slices: &[CostSlice]) -> Vec<TableRow> {
    let plain = |text: String| (text, Paint::Plain);
    let row = |slice: &CostSlice| TableRow {
        numbers: vec![
            plain(duration(slice.until_ns)),
            plain(duration(slice.cpu_ns)),
            plain(percent(percent_of(slice.cpu_ns, slice.length_ns))),
            plain(bytes(slice.peak_bytes)),
            plain(bytes(slice.queued_bytes)),
        ],
        text: bytes(slice.written_bytes),
        suffix: String::new(),
    };
    slices.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use rz_profile::inventory::Cost;

    use super::*;
    use crate::fixture::text;
    use crate::views::info::recording::cost_slices;

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        let written =
            |recorder: &RecorderInfo| text(|out| write_recorder(out, Style::default(), recorder));
        let unknown = RecorderInfo {
            version: None,
            tier: Some("folded".into()),
            uid: None,
            command: None,
            targets: None,
            follows_children: None,
            kernel_stacks: None,
            stack_bytes: None,
        };
        assert_eq!(written(&unknown), "  recorder    folded tier\n");
        let of_perf = RecorderInfo {
            version: Some("perf 6.1.0".into()),
            tier: Some("perf.data".into()),
            follows_children: Some(true),
            kernel_stacks: Some(true),
            stack_bytes: Some(0),
            ..unknown.clone()
        };
        let expected = "  recorder    perf 6.1.0, perf.data tier\n  \
                        target      children too, kernel stacks\n";
        assert_eq!(written(&of_perf), expected);
        assert_eq!(written(&RecorderInfo { tier: None, ..unknown }), "");
    }

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
        let rows = cost_rows(&cost_slices(&costs, 100 * second));
        let text = |row: &TableRow| {
            let numbers = row.numbers.iter().map(|(text, _)| text.as_str());
            numbers.chain([row.text.as_str()]).collect::<Vec<_>>().join(" | ")
        };
        let lines: Vec<String> = rows.iter().map(text).collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "2.00 s | 6.00 ms | 0.3% | 1.0 MiB | 0 B | 2.0 KiB");
        assert_eq!(lines[1], "5.00 s | 9.00 ms | 0.3% | 1.0 MiB | 2.0 KiB | 5.0 KiB");
        assert_eq!(lines[5], "17.0 s | 9.00 ms | 0.3% | 1.0 MiB | 0 B | 17.0 KiB");
        assert!(cost_slices(&[], 0).is_empty());
    }
}
