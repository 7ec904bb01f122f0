//! What is known of one process.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rz_profile::inventory::{
    Inventory, Limit, Mapping, Module, NO_LIMIT, ProcessFacts, ProcessInventory, Thread,
};

use super::layout::{write_line, write_rows, write_wrapped};
use crate::model::clean::clean;
use crate::render::format::{bytes, count, counted, duration};
use crate::render::style::Style;

/// Threads whose names differ in a number only are counted from so many on.
const MIN_ALIKE: u64 = 3;

/// Writes what is known of the process at an index; the recording began at
/// `start_ns`. Of each list, up to `rows` rows.
pub(super) fn write_process(
    out: &mut dyn Write,
    style: Style,
    (inventory, index): (&Inventory, usize),
    start_ns: u64,
    rows: usize,
) -> io::Result<()> {
    let known = &inventory.processes[index];
    let ProcessInventory { process, facts, mappings, .. } = known;
    let mut line = |key: &str, text: &str| match text {
        "" => Ok(()),
        text => write_line(out, style, key, &clean(text)),
    };
    line("command", &command(known))?;
    let parent = match process.parent_pid {
        0 => String::new(),
        pid => named(inventory, known.source, pid),
    };
    if known.is_copy {
        line("copy of", &parent)?;
    } else {
        line("executable", &process.exe)?;
        let module = module_of(inventory, &process.exe, mappings);
        line("build-id", &module.map_or_else(String::new, |module| hex(&module.build_id)))?;
        line("parent", &parent)?;
    }
    line("lived", &lifetime(known, start_ns))?;
    if let Some(ProcessFacts { uid, gid, cgroup, .. }) = facts {
        line("user", &format!("{uid}, group {gid}"))?;
        line("cgroup", cgroup)?;
    }
    line("directory", known.directory.as_deref().unwrap_or_default())?;
    write_wrapped(out, style, "threads", &threads(&known.threads, rows))?;
    write_maps(out, style, inventory, mappings, rows)?;
    if !known.open_files.is_empty() {
        let files = counted(known.open_files.len() as u64, "file");
        write_line(out, style, "open", &files)?;
        let row = |file: &rz_profile::inventory::OpenFile| {
            format!("{:>4}  {}", file.fd, clean(&file.target))
        };
        write_rows(out, style, known.open_files.iter().map(row), rows)?;
    }
    if let Some(facts) = facts {
        write_wrapped(out, style, "limits", &limits(&facts.limits))?;
        write_environment(out, style, facts, rows)?;
    }
    Ok(())
}

/// What it was called with: all arguments if they are known, else the first
/// word.
fn command(known: &ProcessInventory) -> String {
    let args = known.facts.as_ref().map_or(&[][..], |facts| &facts.args);
    let quoted = |word: &String| match word.is_empty() || word.contains([' ', '\n', '"']) {
        true => format!("{word:?}"),
        false => word.clone(),
    };
    match args.is_empty() {
        true => known.process.argv0.clone(),
        false => args.iter().map(quoted).collect::<Vec<_>>().join(" "),
    }
}

/// A process by its number, with its name if it was recorded.
fn named(inventory: &Inventory, source: usize, pid: u32) -> String {
    let mut all = inventory.processes.iter();
    match all.find(|known| known.source == source && known.process.pid == pid) {
        Some(known) => format!("{pid} ({})", known.process.name),
        None => pid.to_string(),
    }
}

/// The mapped module with this path.
fn module_of<'i>(inventory: &'i Inventory, path: &str, mappings: &[Mapping]) -> Option<&'i Module> {
    let mut modules = mappings.iter().map(|mapping| &inventory.modules[mapping.module as usize]);
    modules.find(|module| module.path == path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From when to when it was there, in the time of the recording.
fn lifetime(known: &ProcessInventory, start_ns: u64) -> String {
    let since_start = |time_ns: u64| duration(time_ns.saturating_sub(start_ns));
    let from = match known.process.start_ns {
        0 => "from before the recording".to_owned(),
        start => format!("from {}", since_start(start)),
    };
    let to = match known.end_ns {
        Some(end) => format!(" to {}", since_start(end)),
        None => " to beyond its end".to_owned(),
    };
    from + &to
}

/// Names of threads, those that differ in a number only next to each other and
/// counted.
fn threads(threads: &[Thread], limit: usize) -> Vec<String> {
    let mut names: BTreeMap<(&str, bool), BTreeMap<&str, u64>> = BTreeMap::new();
    for thread in threads {
        let stem = thread.name.trim_end_matches(|c: char| c.is_ascii_digit());
        let numbered = stem.len() < thread.name.len() && !stem.is_empty();
        let key = if numbered { (stem, true) } else { (thread.name.as_str(), false) };
        *names.entry(key).or_default().entry(&thread.name).or_default() += 1;
    }
    let mut texts = Vec::new();
    for ((stem, numbered), alike) in &names {
        let number: u64 = alike.values().sum();
        if *numbered && number >= MIN_ALIKE {
            texts.push(format!("{number} × {}*", clean(stem)));
            continue;
        }
        texts.extend(alike.iter().map(|(name, number)| match number {
            1 => clean(name).into_owned(),
            number => format!("{number} × {}", clean(name)),
        }));
    }
    let more = texts.len().saturating_sub(limit);
    texts.truncate(limit);
    if more > 0 {
        texts.push(format!("and {} more", count(more as u64)));
    }
    if texts.len() > 1 {
        texts[0] = format!("{}: {}", count(threads.len() as u64), texts[0]);
    }
    texts
}

/// Writes which files a process has mapped as code, in order of addresses.
fn write_maps(
    out: &mut dyn Write,
    style: Style,
    inventory: &Inventory,
    mappings: &[Mapping],
    rows: usize,
) -> io::Result<()> {
    let mut first: BTreeMap<u32, u64> = BTreeMap::new();
    for mapping in mappings {
        let start = first.entry(mapping.module).or_insert(mapping.start);
        *start = mapping.start.min(*start);
    }
    if first.is_empty() {
        return Ok(());
    }
    let mut modules: Vec<(u64, &Module)> = first
        .into_iter()
        .map(|(module, start)| (start, &inventory.modules[module as usize]))
        .collect();
    modules.sort_by_key(|(start, _)| *start);
    let files = counted(modules.len() as u64, "file");
    write_line(out, style, "maps", &format!("code of {files}, with build-ids"))?;
    let row = |(start, module): &(u64, &Module)| {
        let build_id = match module.build_id.is_empty() {
            true => String::new(),
            false => format!("\n{:28}{}", "", hex(&module.build_id)),
        };
        format!("{start:>12x}  {}{build_id}", clean(&module.path))
    };
    write_rows(out, style, modules.iter().map(row), rows)
}

/// What it may use, as far as that is limited.
fn limits(limits: &[Limit]) -> Vec<String> {
    let value = |value: u64, unit: &str| match (value, unit) {
        (NO_LIMIT, _) => "unlimited".to_owned(),
        (value, "bytes") => bytes(value),
        (value, "us") => format!("{} µs", count(value)),
        (value, _) => count(value),
    };
    let text = |limit: &Limit| {
        let name = limit.name.strip_prefix("Max ").unwrap_or(&limit.name);
        let soft = value(limit.soft, &limit.unit);
        let hard = match limit.hard == limit.soft {
            true => String::new(),
            false => format!(" (up to {})", value(limit.hard, &limit.unit)),
        };
        format!("{} {soft}{hard}", clean(name))
    };
    let limited = |limit: &&Limit| limit.soft != NO_LIMIT;
    limits.iter().filter(limited).map(text).collect()
}

/// Writes names of variables, and their values if they are known.
fn write_environment(
    out: &mut dyn Write,
    style: Style,
    facts: &ProcessFacts,
    rows: usize,
) -> io::Result<()> {
    let ProcessFacts { environment, values, .. } = facts;
    if values.is_empty() {
        let mut names: Vec<String> =
            environment.iter().map(|name| clean(name).into_owned()).collect();
        names.sort_unstable();
        return write_wrapped(out, style, "environment", &names);
    }
    write_line(out, style, "environment", &counted(environment.len() as u64, "variable"))?;
    let mut variables: Vec<(&String, &String)> = environment.iter().zip(values).collect();
    variables.sort_unstable();
    let row = |(name, value): &(&String, &String)| format!("{}={}", clean(name), clean(value));
    write_rows(out, style, variables.iter().map(row), rows)
}
