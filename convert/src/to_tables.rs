//! Writes tables of many traces into a directory.

use std::path::Path;
use std::process::ExitCode;

use rz_command::stdin;
use rz_convert::fleet::{Directory, FleetError, FleetOptions, MAX_FUNCTIONS, Written, write_trace};
use rz_convert::import::Opened;
use rz_profile::load::LoadOptions;

use crate::cli::TablesConfig;
use crate::user::{human_size, say};

/// Exit status if parts of traces, or whole ones, are missing in what was written.
const INCOMPLETE: u8 = 3;

/// What was written of all traces.
#[derive(Default)]
struct Sum {
    traces: u64,
    rows: u64,
    bytes: u64,
    damaged: u64,
    failed: u64,
}

/// Writes the tables that were asked for.
pub fn write(config: TablesConfig) -> anyhow::Result<ExitCode> {
    let TablesConfig { inputs, output, labels, symbols, source_maps, quiet } = config;
    stdin::keep(inputs.iter().map(|path| path.as_path()))?;
    let load = LoadOptions {
        debug_dirs: symbols.debug_dirs,
        symbols: symbols.options,
        source_maps,
        ..LoadOptions::default()
    };
    let options = FleetOptions { load, labels };
    let mut directory = Directory::open(&output)?;
    let mut sum = Sum::default();
    for input in &inputs {
        match write_one(input, &options, &mut directory) {
            Ok(written) => {
                tell(input, &written, quiet, symbols.verbose);
                sum.traces += 1;
                sum.rows += written.rows;
                sum.bytes += written.bytes;
                sum.damaged += u64::from(written.damaged);
            }
            // Nothing of the others can be written either.
            Err(OneError::Fleet(error @ (FleetError::Write { .. } | FleetError::Table(_)))) => {
                return Err(error.into());
            }
            Err(OneError::Fleet(error)) => {
                say(format_args!("left out: {error}"));
                sum.failed += 1;
            }
            Err(OneError::Open(error)) => {
                say(format_args!("left out: {}: {error}", input.display()));
                sum.failed += 1;
            }
        }
    }
    if !quiet {
        let Sum { traces, rows, bytes, .. } = sum;
        let noun = if traces == 1 { "trace" } else { "traces" };
        let (path, size) = (output.display(), human_size(bytes));
        say(format_args!("wrote {path} ({traces} {noun}, {rows} rows, {size})"));
    }
    Ok(match sum {
        Sum { traces: 0, .. } => ExitCode::FAILURE,
        Sum { failed: 0, damaged: 0, .. } => ExitCode::SUCCESS,
        Sum { .. } => ExitCode::from(INCOMPLETE),
    })
}

/// Why there are no tables of a trace.
enum OneError {
    Open(rz_convert::import::ImportError),
    Fleet(FleetError),
}

fn write_one(
    input: &Path,
    options: &FleetOptions,
    directory: &mut Directory,
) -> Result<Written, OneError> {
    let opened = Opened::of(input).map_err(OneError::Open)?;
    write_trace(opened.path(), options, directory).map_err(OneError::Fleet)
}

/// Says what to know of a trace. Damage is told even to those who want to hear nothing
/// but errors.
fn tell(input: &Path, written: &Written, quiet: bool, verbose: bool) {
    let input = input.display();
    if written.damaged {
        say(format_args!("{input}: damaged: what is whole was taken (conv --verify says more)"));
    }
    if written.folded > 0 && !quiet {
        let folded = written.folded;
        say(format_args!(
            "note: {input}: function_minute has {folded} sums under [others]: it tells \
             {MAX_FUNCTIONS} functions of a program apart in a minute"
        ));
    }
    if verbose && !quiet {
        written.notes.iter().for_each(|note| say(format_args!("note: {input}: {note}")));
    }
}
