//! `conv`: converts an rz trace to the format of another tool, or makes another
//! trace of it, or one of what another tool recorded.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::{anyhow, ensure};
use rz_command::output::{Destination, survive_size_limits};
use rz_command::stdin;
use rz_convert::export::{ExportOptions, Format, export};
use rz_convert::import::Opened;
use rz_profile::heap;
use rz_profile::load::{LoadOptions, load};
use rz_profile::model::{EventKind, Profile};
use rz_profile::select::{cpu_event, events_with_samples, find_event, select_event};

mod cli;
mod from_other;
mod repair;
mod to_rz;
mod to_tables;
mod user;
mod verify;

use crate::user::{human_size, is_same_file, print, refuse_terminal, say};

fn main() -> ExitCode {
    survive_size_limits();
    match cli::parse().map_err(Into::into).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(config: cli::Config) -> anyhow::Result<ExitCode> {
    match config {
        cli::Config::Convert(config) => convert(*config)?,
        cli::Config::Trace(config) => to_rz::write(&config)?,
        cli::Config::Tables(config) => return to_tables::write(config),
        cli::Config::Import(config) => from_other::write(config)?,
        cli::Config::Repair(config) => repair::write(&config)?,
        cli::Config::Verify(config) => return verify::run(&config),
        cli::Config::Formats(text) => print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn convert(config: cli::ConvertConfig) -> anyhow::Result<()> {
    let destination = Destination::choose(
        config.output.as_deref(),
        &config.input,
        config.format.extension(),
        io::stdout().is_terminal(),
    );
    if let Destination::File(path) = &destination {
        ensure!(
            !is_same_file(path, &config.input),
            "{} is the trace itself; name another file with -o",
            path.display()
        );
    }
    if config.format.is_binary() {
        refuse_terminal(&destination, config.format.name())?;
    }
    stdin::keep([config.input.as_path()])?;
    let options = LoadOptions {
        timeline: config.format.needs_timeline(),
        debug_dirs: config.symbols.debug_dirs,
        symbols: config.symbols.options,
        source_maps: config.source_maps,
        filter: config.filter,
        ..LoadOptions::default()
    };
    let opened = Opened::of(&config.input);
    let opened = opened.map_err(|error| anyhow!("{}: {error}", config.input.display()))?;
    let mut profile = load(opened.path(), &options)?;
    if !config.quiet {
        let details = profile.info.details.iter().filter(|_| config.symbols.verbose);
        for note in profile.info.notes.iter().chain(details) {
            say(format_args!("note: {note}"));
        }
        say_what_was_filtered(&profile, config.format);
    }
    let event = match config.event.as_ref() {
        None => {
            if !config.quiet && !config.format.takes_all_events() {
                say_what_is_left(&profile);
            }
            None
        }
        Some(name) => {
            let selected = select_event(&mut profile, Some(name));
            let event = selected.map_err(|error| anyhow!("{}: {error}", config.input.display()))?;
            // One without samples is there, and gives an empty output.
            event.or_else(|| find_event(&profile, name))
        }
    };
    if let Some(heap) = &profile.heap
        && !config.quiet
        && event.map_or(config.format.takes_all_events(), |id| {
            profile.events[id].kind == EventKind::Alloc
        })
    {
        heap.notes().iter().for_each(|note| say(format_args!("note: {note}")));
    }
    if let Some(metric) = config.metric {
        heap::show(&mut profile, metric);
    }
    let options = ExportOptions { threads: config.threads, event };
    let written = destination.write(|out| export(&profile, config.format, &options, out));
    let Destination::File(path) = &destination else { return Ok(written?) };
    written.map_err(|error| anyhow!("{}: {error}", path.display()))?;
    if !config.quiet {
        let size = fs::metadata(path).map_or(0, |meta| meta.len());
        say(format_args!("wrote {} ({})", path.display(), human_size(size)));
    }
    Ok(())
}

/// Says what a filter selected, where the output has no place for it, and if
/// that is nothing.
fn say_what_was_filtered(profile: &Profile, format: Format) {
    let filter = &profile.info.filter;
    if filter.is_active() && !format.tells_filter() {
        say(format_args!("note: filter: {}", filter.text));
    }
    if filter.is_active() && events_with_samples(profile).next().is_none() {
        say(format_args!("note: the filter leaves no samples"));
    }
}

/// Says why the output is empty if only other events than the CPU's have
/// samples.
fn say_what_is_left(profile: &Profile) {
    let events: Vec<_> = events_with_samples(profile).collect();
    let has_cpu = cpu_event(profile).is_some_and(|cpu| events.contains(&cpu));
    if !has_cpu && !events.is_empty() {
        let names: Vec<_> = events.iter().map(|&id| profile.events[id].name.as_str()).collect();
        let names = names.join(", ");
        say(format_args!("note: there are no samples of cpu; choose with --event: {names}"));
    }
}
