//! Writes what is known of one process.

use std::io::{self, Write};

use super::layout::{write_line, write_rows, write_wrapped};
use crate::render::format::{bytes, count, counted, duration};
use crate::render::style::Style;
use crate::views::info::{
    LimitInfo, MappedFile, OpenFileInfo, ParentInfo, ProcessInfo, VariableInfo,
};

/// Writes what is known of a process.
pub(super) fn write_process(
    out: &mut dyn Write,
    style: Style,
    process: &ProcessInfo,
) -> io::Result<()> {
    let mut line = |key: &str, text: Option<&str>| match text.unwrap_or_default() {
        "" => Ok(()),
        text => write_line(out, style, key, text),
    };
    line("command", Some(&process.command_line))?;
    let parent = process.parent.as_ref().map(named);
    if process.is_copy {
        line("copy of", parent.as_deref())?;
    } else {
        line("executable", process.executable.as_deref())?;
        line("build-id", process.build_id.as_deref())?;
        line("parent", parent.as_deref())?;
    }
    line("lived", Some(&lifetime(process)))?;
    if let (Some(uid), Some(gid)) = (process.uid, process.gid) {
        line("user", Some(&format!("{uid}, group {gid}")))?;
    }
    line("cgroup", process.cgroup.as_deref())?;
    line("directory", process.directory.as_deref())?;
    write_wrapped(out, style, "threads", &threads(process))?;
    write_maps(out, style, process)?;
    write_open_files(out, style, process)?;
    write_wrapped(out, style, "limits", &limits(&process.limits))?;
    write_environment(out, style, process)
}

/// A process by its number, with its name if it was recorded.
fn named(parent: &ParentInfo) -> String {
    match &parent.process {
        Some(name) => format!("{} ({name})", parent.pid),
        None => parent.pid.to_string(),
    }
}

/// From when to when it was there, in the time of the recording.
fn lifetime(process: &ProcessInfo) -> String {
    // A file can claim that it was before the recording.
    let since_start = |ns: i64| duration(u64::try_from(ns).unwrap_or(0));
    let from = match process.start_ns {
        None => "from before the recording".to_owned(),
        Some(start) => format!("from {}", since_start(start)),
    };
    let to = match process.end_ns {
        Some(end) => format!(" to {}", since_start(end)),
        None => " to beyond its end".to_owned(),
    };
    from + &to
}

/// Names of threads, those that differ in a number only next to each other and
/// counted.
fn threads(process: &ProcessInfo) -> Vec<String> {
    let names = process.thread_names.rows.iter();
    let mut texts: Vec<String> = names
        .map(|name| match (name.count, name.is_numbered) {
            (count, true) => format!("{count} × {}*", name.name),
            (1, false) => name.name.clone(),
            (count, false) => format!("{count} × {}", name.name),
        })
        .collect();
    if process.thread_names.left_out > 0 {
        texts.push(format!("and {} more", count(process.thread_names.left_out)));
    }
    if texts.len() > 1 {
        texts[0] = format!("{}: {}", count(process.threads.all() as u64), texts[0]);
    }
    texts
}

/// Writes which files a process has mapped as code, in order of addresses.
fn write_maps(out: &mut dyn Write, style: Style, process: &ProcessInfo) -> io::Result<()> {
    let maps = &process.mapped_files;
    if maps.is_empty() {
        return Ok(());
    }
    let files = counted(maps.all() as u64, "file");
    write_line(out, style, "maps", &format!("code of {files}, with build-ids"))?;
    let row = |MappedFile { start, path, build_id }: &MappedFile| match build_id {
        None => format!("{start:>12x}  {path}"),
        Some(build_id) => format!("{start:>12x}  {path}\n{:28}{build_id}", ""),
    };
    write_rows(out, style, maps, row)
}

fn write_open_files(out: &mut dyn Write, style: Style, process: &ProcessInfo) -> io::Result<()> {
    let open = &process.open_files;
    if open.is_empty() {
        return Ok(());
    }
    write_line(out, style, "open", &counted(open.all() as u64, "file"))?;
    let row = |file: &OpenFileInfo| format!("{:>4}  {}", file.fd, file.target);
    write_rows(out, style, open, row)
}

/// What it may use, as far as that is limited.
fn limits(limits: &[LimitInfo]) -> Vec<String> {
    let text = |limit: &LimitInfo| {
        let value = |value: Option<u64>| match (value, limit.unit.as_deref()) {
            (None, _) => "unlimited".to_owned(),
            (Some(value), Some("bytes")) => bytes(value),
            (Some(value), Some("us")) => format!("{} µs", count(value)),
            (Some(value), _) => count(value),
        };
        let name = limit.name.strip_prefix("Max ").unwrap_or(&limit.name);
        let hard = match limit.hard == limit.soft {
            true => String::new(),
            false => format!(" (up to {})", value(limit.hard)),
        };
        format!("{name} {}{hard}", value(limit.soft))
    };
    limits.iter().filter(|limit| limit.soft.is_some()).map(text).collect()
}

/// Writes names of variables, and their values if they are known.
fn write_environment(out: &mut dyn Write, style: Style, process: &ProcessInfo) -> io::Result<()> {
    let variables = &process.environment;
    if !process.environment_has_values {
        let names: Vec<String> =
            variables.rows.iter().map(|variable| variable.name.clone()).collect();
        return write_wrapped(out, style, "environment", &names);
    }
    write_line(out, style, "environment", &counted(variables.all() as u64, "variable"))?;
    let row = |VariableInfo { name, value }: &VariableInfo| match value {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    };
    write_rows(out, style, variables, row)
}
