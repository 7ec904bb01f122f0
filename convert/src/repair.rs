//! Makes a whole trace of a damaged one.

use std::fs;
use std::io::{self, IsTerminal};

use anyhow::{anyhow, ensure};
use rz_command::output::Destination;
use rz_command::stdin;
use rz_convert::import::expect_trace;
use rz_convert::trace::merge::MergeError;
use rz_convert::trace::repair::{Repaired, repair};

use crate::cli::RepairConfig;
use crate::user::{human_size, is_same_file, refuse_terminal, say};

/// Writes the trace that was asked for.
pub fn write(config: &RepairConfig) -> anyhow::Result<()> {
    let RepairConfig { input, output, force, quiet } = config;
    let destination = Destination::choose(Some(output), output, "rz", io::stdout().is_terminal());
    refuse_terminal(&destination, "a trace")?;
    if let Destination::File(path) = &destination {
        let shown = path.display();
        ensure!(
            !is_same_file(path, input),
            "{shown} is the trace itself; name another file with -o"
        );
        ensure!(*force || !path.is_file(), "{}", exists(config));
    }
    stdin::keep([input.as_path()])?;
    expect_trace(input).map_err(|error| anyhow!("{}: {error}", input.display()))?;
    let mut repaired = Repaired::default();
    let produce = |out: &mut dyn io::Write| {
        repaired = repair(input, out)?;
        Ok(())
    };
    let written = match force {
        true => destination.write_private(produce),
        false => destination.write_new_private(produce),
    };
    written.map_err(|error| match error {
        MergeError::Output(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            anyhow!("{}", exists(config))
        }
        MergeError::Write(_) | MergeError::Output(_) => anyhow!("{}: {error}", output.display()),
        error => error.into(),
    })?;
    // What is missing is told even to those who want to hear nothing but errors.
    for damage in &repaired.damage {
        say(format_args!("{}: {damage}", input.display()));
    }
    if *quiet {
        return Ok(());
    }
    if repaired.damage.is_empty() {
        say(format_args!("{}: nothing is damaged", input.display()));
    }
    if let Destination::File(path) = &destination {
        let size = human_size(fs::metadata(path).map_or(0, |meta| meta.len()));
        say(format_args!("wrote {} ({size})", path.display()));
    }
    Ok(())
}

fn exists(config: &RepairConfig) -> String {
    let output = config.output.display();
    format!("{output} exists; name another file with -o, or use --force to replace it")
}
