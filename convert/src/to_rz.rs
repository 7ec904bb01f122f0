//! Makes a trace of traces: merges them, puts names in, takes out what is not
//! to be given away.

use std::fs;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use anyhow::{anyhow, ensure};
use rz_command::output::Destination;
use rz_command::stdin;
use rz_convert::import::expect_trace;
use rz_convert::trace::embed::{Embedded, embed};
use rz_convert::trace::merge::{self, MergeError, MergeInput, MergeOptions};
use rz_convert::trace::redact::{Redacted, redact};
use tempfile::NamedTempFile;

use crate::cli::TraceConfig;
use crate::user::{human_size, is_same_file, refuse_terminal, say};

/// One thing that is done to make the output; each goes through a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Merge,
    Embed,
    Redact,
}

/// What there is to say in the end.
#[derive(Debug, Default)]
struct Summary {
    sources: Option<usize>,
    embedded: Option<Embedded>,
    redacted: Option<Redacted>,
    damage: Vec<String>,
}

/// Makes the trace that was asked for.
pub fn write(config: &TraceConfig) -> anyhow::Result<()> {
    let output = config.output.as_path();
    let destination = Destination::choose(Some(output), output, "rz", io::stdout().is_terminal());
    for input in &config.inputs {
        ensure!(
            !is_same_file(output, &input.path),
            "{} is one of the traces; name another file with -o",
            output.display()
        );
    }
    refuse_terminal(&destination, "a trace")?;
    stdin::keep(config.inputs.iter().map(|input| input.path.as_path()))?;
    for MergeInput { path, .. } in &config.inputs {
        expect_trace(path).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    }
    let mut summary = Summary::default();
    let written = run_all(config, &destination, &mut summary);
    written.map_err(|error| match error {
        MergeError::Write(_) | MergeError::Output(_) => anyhow!("{}: {error}", output.display()),
        error => error.into(),
    })?;
    // Damage is told even to those who want to hear nothing but errors.
    for damage in &summary.damage {
        say(format_args!("{damage}"));
    }
    if !config.quiet {
        tell(&summary, &destination);
    }
    Ok(())
}

/// Takes all steps, the last one into the destination, the others into
/// temporary files beside it, which are gone afterwards.
fn run_all(
    config: &TraceConfig,
    destination: &Destination,
    summary: &mut Summary,
) -> Result<(), MergeError> {
    let steps = steps(config);
    let Some((last, before)) = steps.split_last() else { return Ok(()) };
    let mut made: Option<NamedTempFile> = None;
    for step in before {
        let file = temporary(destination)?;
        let mut out = BufWriter::with_capacity(64 << 10, file.as_file());
        run(*step, config, made.as_ref().map(NamedTempFile::path), &mut out, summary)?;
        out.flush()?;
        drop(out);
        made = Some(file);
    }
    let input = made.as_ref().map(NamedTempFile::path);
    let produce = |out: &mut dyn Write| run(*last, config, input, out, summary);
    match last {
        Step::Redact => destination.write(produce),
        Step::Merge | Step::Embed => destination.write_private(produce),
    }
}

/// What has to be done.
fn steps(config: &TraceConfig) -> Vec<Step> {
    let TraceConfig { inputs, embed, redact, .. } = config;
    let changes = embed.is_some() || redact.is_some();
    let merges = !changes || inputs.len() > 1 || inputs.iter().any(|input| input.label.is_some());
    let steps = [
        merges.then_some(Step::Merge),
        embed.is_some().then_some(Step::Embed),
        redact.is_some().then_some(Step::Redact),
    ];
    steps.into_iter().flatten().collect()
}

/// Takes one step. Its input is what the one before has made, or the only
/// trace that was given.
fn run(
    step: Step,
    config: &TraceConfig,
    made: Option<&Path>,
    out: &mut dyn Write,
    summary: &mut Summary,
) -> Result<(), MergeError> {
    let given = config.inputs.first().map(|input| input.path.as_path());
    let input = made.or(given).unwrap_or(Path::new(""));
    let named =
        |damage: Vec<String>| damage.into_iter().map(|text| format!("{}: {text}", input.display()));
    match step {
        Step::Merge => {
            let options = MergeOptions { keep_going: config.keep_going };
            let merged = merge::plan(&config.inputs, options)?.write(out)?;
            summary.sources = Some(merged.sources);
            summary.damage.extend(merged.damage);
        }
        Step::Embed => {
            let mut embedded = embed(input, &config.embed.clone().unwrap_or_default(), out)?;
            summary.damage.extend(named(std::mem::take(&mut embedded.damage)));
            summary.embedded = Some(embedded);
        }
        Step::Redact => {
            let mut redacted = redact(input, &config.redact.clone().unwrap_or_default(), out)?;
            summary.damage.extend(named(std::mem::take(&mut redacted.damage)));
            summary.redacted = Some(redacted);
        }
    }
    Ok(())
}

/// A file that nobody else can read, beside the output if that is one.
fn temporary(destination: &Destination) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".rz-");
    match destination {
        Destination::File(path) if !path.exists() || path.is_file() => {
            let directory = path.parent().filter(|parent| *parent != Path::new(""));
            builder.tempfile_in(directory.unwrap_or(Path::new(".")))
        }
        _ => builder.tempfile(),
    }
}

/// Says what was done.
fn tell(summary: &Summary, destination: &Destination) {
    if let Some(embedded) = &summary.embedded {
        let Embedded { named, nameless, modules, bytes, notes, .. } = embedded;
        notes.iter().for_each(|note| say(format_args!("note: {note}")));
        let nameless = match nameless {
            0 => String::new(),
            n => format!(", {n} without a name"),
        };
        let size = human_size(*bytes);
        say(format_args!(
            "embedded the names of {named} addresses in {modules} modules{nameless}: {size} more"
        ));
    }
    if let Some(redacted) = &summary.redacted {
        let what = redacted.redactions.iter().map(|r| format!("{} ({})", r.what, r.count));
        let what = what.collect::<Vec<_>>().join(", ");
        say(format_args!("redacted: {}", if what.is_empty() { "nothing" } else { &what }));
    }
    if let Destination::File(path) = destination {
        let size = human_size(fs::metadata(path).map_or(0, |meta| meta.len()));
        let path = path.display();
        match summary.sources {
            None => say(format_args!("wrote {path} ({size})")),
            Some(sources) => {
                let noun = if sources == 1 { "recording" } else { "recordings" };
                say(format_args!("wrote {path} ({sources} {noun}, {size})"));
            }
        }
    }
}
