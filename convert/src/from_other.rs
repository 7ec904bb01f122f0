//! Makes a trace of what another tool recorded.

use std::fs;
use std::io::{self, IsTerminal};

use anyhow::{anyhow, ensure};
use rz_command::output::Destination;
use rz_command::stdin;
use rz_convert::import::{ImportError, Imported, import};

use crate::cli::ImportConfig;
use crate::user::{human_size, is_same_file, refuse_terminal, say};

/// Makes the trace that was asked for.
pub fn write(config: ImportConfig) -> anyhow::Result<()> {
    let ImportConfig { input, output, options, quiet } = config;
    let is_terminal = io::stdout().is_terminal();
    let destination = Destination::choose(output.as_deref(), &input, "rz", is_terminal);
    if let Destination::File(path) = &destination {
        ensure!(
            !is_same_file(path, &input),
            "{} is the input itself; name another file with -o",
            path.display()
        );
    }
    refuse_terminal(&destination, "a trace")?;
    stdin::keep([input.as_path()])?;
    let mut imported = Imported::default();
    let written = destination.write_private(|out| {
        imported = import(&input, &options, out)?;
        Ok::<(), ImportError>(())
    });
    written.map_err(|error| match (&error, &destination) {
        (ImportError::Write(_) | ImportError::Output(_), Destination::File(path)) => {
            anyhow!("{}: {error}", path.display())
        }
        (ImportError::Write(_) | ImportError::Output(_), Destination::Stdout) => error.into(),
        _ => anyhow!("{}: {error}", input.display()),
    })?;
    if quiet {
        return Ok(());
    }
    for note in &imported.notes {
        say(format_args!("note: {note}"));
    }
    if let Destination::File(path) = &destination {
        let size = human_size(fs::metadata(path).map_or(0, |meta| meta.len()));
        let Imported { samples, calls, .. } = imported;
        let calls = if calls > 0 { format!("{calls} system calls, ") } else { String::new() };
        say(format_args!("wrote {} ({samples} samples, {calls}{size})", path.display()));
    }
    Ok(())
}
