//! Logs of Papyrus, the language of scripts in Skyrim and Fallout 4: when functions were put
//! on a stack and taken off it, in milliseconds.

use std::io::Write;

use rz_format::Record;

use super::amounts::Amounts;
use super::lines::for_lines;
use super::nested::{Change, Kind, Names, Timelines};
use super::output::Output;
use super::threads::{Named, Threads};
use super::{ImportError, Imported, Input};

/// Stacks of a log, at most.
const MAX_STACKS: usize = 1 << 16;
/// Functions put on stacks and taken off, at most.
const MAX_CHANGES: usize = 1 << 24;

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut names = Names::default();
    // By number of the stack, in the order of the log.
    let mut stacks: Vec<(u32, Vec<Change>)> = Vec::new();
    let (mut count, mut unreadable) = (0, 0_u64);
    for_lines(&input.file, |text| {
        let Some(text) = text else {
            unreadable += 1;
            return Ok(());
        };
        let Some((at_ns, kind, stack, name)) = parse(text) else {
            unreadable += u64::from(!is_silent(text));
            return Ok(());
        };
        count += 1;
        if count > MAX_CHANGES {
            return Err(ImportError::TooMany("functions put on stacks"));
        }
        let at = stacks.iter().rposition(|(number, _)| *number == stack);
        let at = at.unwrap_or_else(|| {
            stacks.push((stack, Vec::new()));
            stacks.len() - 1
        });
        if stacks.len() > MAX_STACKS {
            return Err(ImportError::TooMany("stacks"));
        }
        let name = names.number(name);
        stacks[at].1.push(Change { at_ns, took_ns: 0, name, kind });
        Ok(())
    })?;
    let Some(start_ns) = stacks.iter().flat_map(|(_, all)| all).map(|one| one.at_ns).min() else {
        let message = "damaged log of Papyrus: nothing is put on a stack".to_owned();
        return Err(ImportError::Unusable(message));
    };
    let mut out = Output::of(input, "papyrus", out)?;
    out.record(Record::Event(Amounts::MILLISECONDS.event(0, "duration")))?;
    if unreadable > 0 {
        out.note(format!("{unreadable} lines that are not of Papyrus were left out"));
    }
    let mut timelines = Timelines::new(out, 0, names);
    let mut threads = Threads::default();
    for (stack, changes) in stacks {
        let thread = Named { pid: 0, tid: stack, name: format!("stack {stack}") };
        let thread = threads.id(thread, Some("Papyrus"), &mut timelines.out)?;
        timelines.add(thread, changes, start_ns)?;
    }
    timelines.finish()
}

/// `time:PUSH:stack:depth:object:function`: when, what, of which stack, which function.
fn parse(text: &str) -> Option<(i64, Kind, u32, &str)> {
    let mut parts = text.trim_end().splitn(6, ':');
    let at_ms: i64 = parts.next()?.trim().parse().ok()?;
    let kind = match parts.next()? {
        "PUSH" => Kind::Enter,
        "POP" => Kind::Leave,
        _ => return None,
    };
    let stack = parts.next()?.parse().ok()?;
    let name = parts.nth(2).filter(|name| !name.is_empty())?;
    Some((at_ms.checked_mul(1_000_000)?, kind, stack, name))
}

/// Whether a line is of no function's time: of the log itself, or of what waits for its turn.
fn is_silent(text: &str) -> bool {
    let is_other = |kind: &str| matches!(kind, "START" | "STOP" | "QUEUE_PUSH" | "QUEUE_POP");
    let text = text.trim();
    let is_of_log = text.is_empty() || text.contains("log opened") || text == "Log closed";
    is_of_log || text.split(':').nth(1).is_some_and(is_other)
}
