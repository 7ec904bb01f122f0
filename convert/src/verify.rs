//! Says what is whole of traces, and what is missing.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use rz_command::stdin;
use rz_convert::import::expect_trace;
use rz_convert::trace::merge::MergeError;
use rz_convert::trace::missing::Missing;
use rz_convert::trace::verify::{LossSum, Part, State, Unresolved, Verified, verify};
use rz_format::{BlockKind, Damage, FormatError, LossClass, LossReason};
use rz_text::clean::one_line;
use rz_text::json::escaped;
use serde_json::{Value, json};

use crate::cli::VerifyConfig;
use crate::user::{human_size, print, say};

/// Lines about what is missing that are printed as text, at most.
const MAX_LINES: usize = 100;

/// How it is with a trace, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Whole,
    Damaged,
    NoTrace,
    Failed,
}

impl Verdict {
    fn code(self) -> u8 {
        match self {
            Verdict::Whole => 0,
            Verdict::Damaged => 3,
            Verdict::NoTrace => 4,
            Verdict::Failed => 1,
        }
    }
}

/// Looks through all traces, prints what is found, and gives the worst as exit status.
pub fn run(config: &VerifyConfig) -> anyhow::Result<ExitCode> {
    stdin::keep(config.inputs.iter().map(|path| path.as_path()))?;
    let mut worst = Verdict::Whole;
    let (mut text, mut documents) = (String::new(), Vec::new());
    for path in &config.inputs {
        let found = verify(path);
        let verdict = match &found {
            Ok(verified) if verified.state == State::Whole => Verdict::Whole,
            Ok(_) => Verdict::Damaged,
            Err(error) => verdict_of(error),
        };
        worst = worst.max(verdict);
        match found {
            Ok(verified) if config.json => documents.push(document(path, &verified)),
            Ok(verified) => describe(path, &verified, &mut text)?,
            Err(error) => {
                // What it is instead is known of many.
                let error = match expect_trace(path) {
                    Err(other) if verdict == Verdict::NoTrace => {
                        format!("{}: {other}", path.display())
                    }
                    _ => error.to_string(),
                };
                say(format_args!("{error}"));
                let state = match verdict {
                    Verdict::NoTrace => "no_trace",
                    Verdict::Damaged => "damaged",
                    Verdict::Failed | Verdict::Whole => "failed",
                };
                let path = path.to_string_lossy();
                documents.push(json!({ "path": path, "state": state, "error": error }));
            }
        }
    }
    if config.json {
        let document = json!({ "schema_version": 1, "traces": documents });
        text = escaped(&serde_json::to_string_pretty(&document)?).into_owned() + "\n";
    }
    if !config.quiet {
        print(&text)?;
    }
    Ok(ExitCode::from(worst.code()))
}

/// What it means that a file cannot be gone through.
fn verdict_of(error: &MergeError) -> Verdict {
    match error {
        MergeError::Format {
            cause: FormatError::BadMagic | FormatError::TooShort { .. }, ..
        } => Verdict::NoTrace,
        MergeError::Format {
            cause: FormatError::TextModeDamage | FormatError::BadHeaderChecksum { .. },
            ..
        } => Verdict::Damaged,
        _ => Verdict::Failed,
    }
}

fn name_of(state: State) -> &'static str {
    match state {
        State::Whole => "whole",
        State::Unfinished => "unfinished",
        State::Damaged => "damaged",
    }
}

fn name_of_class(class: LossClass) -> &'static str {
    match class {
        LossClass::Samples => "samples",
        LossClass::Waits => "waits",
        LossClass::Calls => "calls",
        LossClass::FunctionCalls => "calls of functions",
        LossClass::Totals => "totals",
        LossClass::Allocations => "allocations",
        LossClass::Unknown => "unknown",
    }
}

/// Adds what there is to say of a trace.
fn describe(path: &Path, verified: &Verified, text: &mut String) -> std::fmt::Result {
    let Verified { header, state, parts, missing, unresolved, losses, notes, unknown } = verified;
    let seconds = |ns: u64| ns.saturating_sub(header.created_ns) as f64 / 1e9;
    let size = human_size(fs::metadata(path).map_or(0, |meta| meta.len()));
    let (major, minor) = (rz_format::MAJOR, header.minor);
    let name = one_line(path.display());
    writeln!(text, "{name}: {} (format {major}.{minor}, {size})", name_of(*state))?;
    let mut head = "whole";
    for (kind, Part { blocks, rows, first_ns, last_ns }) in parts {
        let kind = kind.to_string();
        let (first, last) = (seconds(*first_ns), seconds(*last_ns));
        let of = if *blocks == 1 { "block" } else { "blocks" };
        writeln!(
            text,
            "  {head:<8}{kind:<12} {rows:>10} in {blocks} {of}, from {first:.3} to {last:.3} s"
        )?;
        head = "";
    }
    for missing in missing.iter().take(MAX_LINES) {
        writeln!(text, "  missing {missing}")?;
    }
    if let Some(more @ 1..) = missing.len().checked_sub(MAX_LINES) {
        writeln!(text, "  missing and {more} more damaged places")?;
    }
    let Unresolved { stacks, threads, texts } = unresolved;
    for (count, what) in [(stacks, "stack, or a part of it"), (threads, "thread"), (texts, "text")]
    {
        if *count > 0 {
            writeln!(text, "  lacking {count} rows refer to a {what} that is not in the file")?;
        }
    }
    for ((class, reason), LossSum { count, from_ns, to_ns }) in losses {
        let (class, reason) = (name_of_class(*class), reason.describe());
        let (from, to) = (seconds(*from_ns), seconds(*to_ns));
        let count = if *count == 0 { "an unknown number of".into() } else { count.to_string() };
        writeln!(
            text,
            "  lost    {count} {class} while recording: {reason}, from {from:.3} to {to:.3} s"
        )?;
    }
    for kind in unknown {
        writeln!(text, "  unknown blocks of kind {kind}: a newer rz knows them")?;
    }
    for note in notes {
        writeln!(text, "  note    {}", one_line(note))?;
    }
    if *state != State::Whole {
        writeln!(text, "  repair  conv --repair {name} -o FILE")?;
    }
    Ok(())
}

/// The same for programs. Times are on the trace's clock.
fn document(path: &Path, verified: &Verified) -> Value {
    let Verified { header, state, parts, missing, unresolved, losses, notes, unknown } = verified;
    let part = |(kind, part): &(BlockKind, Part)| {
        let Part { blocks, rows, first_ns, last_ns } = part;
        json!({ "kind": kind.to_string(), "blocks": blocks, "rows": rows,
                "first_ns": first_ns, "last_ns": last_ns })
    };
    let loss = |((class, reason), sum): (&(LossClass, LossReason), &LossSum)| {
        let LossSum { count, from_ns, to_ns } = sum;
        let count = (*count > 0).then_some(count);
        json!({ "class": name_of_class(*class), "reason": reason.describe(), "count": count,
                "from_ns": from_ns, "to_ns": to_ns })
    };
    let Unresolved { stacks, threads, texts } = unresolved;
    json!({
        "path": path.to_string_lossy(),
        "state": name_of(*state),
        "format": { "major": rz_format::MAJOR, "minor": header.minor },
        "created_unix_ns": header.created_unix_ns,
        "created_ns": header.created_ns,
        "whole": parts.iter().map(part).collect::<Vec<_>>(),
        "missing": missing.iter().map(document_of).collect::<Vec<_>>(),
        "unresolved": { "stacks": stacks, "threads": threads, "texts": texts },
        "losses": losses.iter().map(loss).collect::<Vec<_>>(),
        "unknown_kinds": unknown.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "notes": notes,
    })
}

fn document_of(missing: &Missing) -> Value {
    let Missing { damage, blocks, kinds, from_ns, to_ns, .. } = missing;
    let (offset, bytes) = match damage {
        Damage::CutOff { offset, length } | Damage::Skipped { offset, length } => {
            (Some(offset), Some(length))
        }
        Damage::TooMuch { offset, .. }
        | Damage::MissingBlocks { offset, .. }
        | Damage::BadBlock { offset, .. } => (Some(offset), None),
        Damage::NotClosed => (None, None),
    };
    let kind =
        |(kind, blocks): &(BlockKind, u64)| json!({ "kind": kind.to_string(), "blocks": blocks });
    json!({
        "text": missing.to_string(),
        "offset": offset,
        "bytes": bytes,
        "blocks": blocks,
        "kinds": kinds.iter().map(kind).collect::<Vec<_>>(),
        "from_ns": from_ns,
        "to_ns": to_ns,
    })
}
