//! `report`: shows what an rz trace recorded.
#![forbid(unsafe_code)]

mod cli;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use cli::{Config, Input, View};
use rz_convert::calls::{CallOptions, load_calls};
use rz_convert::filter::Filter;
use rz_convert::heap::Suppressions;
use rz_convert::load::{LoadOptions, load};
use rz_convert::output::Destination;
use rz_convert::profile::{EventId, Profile};
use rz_convert::select::{find_event, select_event};
use rz_report::diff::compare;
use rz_report::diff_flame::write_diff_flame_graph;
use rz_report::diff_table::write_diff;
use rz_report::error::ReportError;
use rz_report::flame::write_flame_graph;
use rz_report::heap::diff::compare_heaps;
use rz_report::heap::diff_flame::write_heap_diff_flame_graph;
use rz_report::heap::diff_table::write_heap_diff;
use rz_report::heap::sites::{SiteList, write_sites};
use rz_report::heap::{HeapPage, show_metric, write_heap};
use rz_report::list::{ListOptions, write_list};
use rz_report::off_cpu::write_off_cpu;
use rz_report::style::Style;
use rz_report::summary::{SummaryOptions, write_summary};
use rz_report::syscalls::{SyscallOptions, write_syscalls};
use rz_report::tree::write_tree_report;

fn main() -> ExitCode {
    match run(&cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {}", format!("{error:#}").replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Config) -> Result<()> {
    match &config.input {
        Input::One(trace) => show(config, trace),
        Input::Two(before, after) => show_diff(config, before, after),
    }
}

fn show(config: &Config, trace: &Path) -> Result<()> {
    refuse_to_overwrite(config, &[trace])?;
    if let View::List(options) = config.view {
        return show_list(config, trace, options);
    }
    let (mut profile, name) = (read(config, trace)?, file_name(trace));
    let event = event_of(&mut profile, config, trace)?;
    let suppressions = read_suppressions(config)?;
    write_text(config, |out, style| match config.view {
        View::Tree(options) => write_tree_report(out, style, &name, &profile, event, options),
        View::Summary { threads } => {
            let options = SummaryOptions { limit: config.limit, by: config.by, threads };
            write_summary(out, style, &name, &profile, event, options)
        }
        View::OffCpu { threads } => {
            let options = SummaryOptions { limit: config.limit, by: config.by, threads };
            write_off_cpu(out, style, &name, &profile, event, options)
        }
        View::Syscalls { by, threads } => {
            let options = SyscallOptions { limit: config.limit, by, threads };
            write_syscalls(out, style, &name, &profile, event, options)
        }
        View::Heap { threads } => {
            let page = HeapPage { limit: config.limit, threads };
            write_heap(out, style, &name, &profile, event, page)
        }
        View::Sites { kind, by } => {
            let list = SiteList { kind, by, limit: config.limit };
            write_sites(out, style, &name, &profile, event, list, &suppressions)
        }
        // Is no view of a profile.
        View::List(_) => Ok(()),
    })?;
    write_svg(config, |out| write_flame_graph(out, &name, &profile, event, config.direction))
}

fn show_list(config: &Config, trace: &Path, options: ListOptions) -> Result<()> {
    let kept = CallOptions { tail: options.tail, errors: options.errors, ..CallOptions::default() };
    let list = load_calls(trace, &kept, &config.filter)?;
    ensure!(
        list.recorded,
        "{}: no system calls were recorded: record with rec --syscalls",
        trace.display()
    );
    say_notes(&list.notes, "");
    write_text(config, |out, _| write_list(out, &list, options))
}

fn show_diff(config: &Config, before: &Path, after: &Path) -> Result<()> {
    refuse_to_overwrite(config, &[before, after])?;
    let (mut first, first_name) = (read(config, before)?, file_name(before));
    let (mut second, second_name) = (read(config, after)?, file_name(after));
    // Files of the same name in two directories are told apart by their paths.
    let same = first_name == second_name;
    let name = |path: &Path, name: String| if same { path.display().to_string() } else { name };
    let (first_name, second_name) = (name(before, first_name), name(after, second_name));
    let (first_event, second_event) =
        (event_of(&mut first, config, before)?, event_of(&mut second, config, after)?);
    if let (Some(metric), Some(before), Some(after)) = (config.metric, first_event, second_event) {
        let first = (&first, first_name.as_str(), before);
        let second = (&second, second_name.as_str(), after);
        let diff = compare_heaps([first, second], metric, config.by)?;
        write_text(config, |out, style| write_heap_diff(out, style, &diff, config.limit))?;
        return write_svg(config, |out| write_heap_diff_flame_graph(out, &diff));
    }
    let first = (&first, first_name.as_str(), first_event);
    let second = (&second, second_name.as_str(), second_event);
    let diff = compare(first, second, config.by)?;
    write_text(config, |out, style| write_diff(out, style, &diff, config.limit))?;
    write_svg(config, |out| write_diff_flame_graph(out, &diff))
}

/// The event that was asked for, which may be without samples, or else the
/// first one with samples.
fn event_of(profile: &mut Profile, config: &Config, path: &Path) -> Result<Option<EventId>> {
    let name = config.event.as_deref();
    let found = select_event(profile, name).with_context(|| path.display().to_string())?;
    let event = found.or_else(|| find_event(profile, name?));
    Ok(match config.metric {
        Some(metric) => show_metric(profile, metric).or(event),
        None => event,
    })
}

/// What the file says that names known leaks; nothing without one.
fn read_suppressions(config: &Config) -> Result<Suppressions> {
    let Some(path) = &config.suppressions else {
        return Ok(Suppressions::default());
    };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

fn read(config: &Config, path: &Path) -> Result<Profile> {
    let debug_dirs = config.debug_dirs.clone();
    let filter = config.filter.clone();
    let options = LoadOptions { debug_dirs, heap: config.heap, filter, ..LoadOptions::default() };
    let profile = load(path, &options)?;
    // With two traces, a note must say whose it is.
    let whose = match config.input {
        Input::One(_) => String::new(),
        Input::Two(..) => format!("{}: ", path.display()),
    };
    say_notes(&profile.info.notes, &whose);
    Ok(profile)
}

fn say_notes(notes: &[String], whose: &str) {
    for note in notes {
        eprintln!("report: note: {whose}{}", rz_report::format::clean(note));
    }
}

/// A forgotten argument must not cost a recording: `report --svg a.rz b.rz`
/// reads `a.rz` as the name of the picture.
fn refuse_to_overwrite(config: &Config, inputs: &[&Path]) -> Result<()> {
    for output in [&config.svg, &config.text].into_iter().flatten() {
        let is_trace = output.extension().is_some_and(|extension| extension == "rz");
        let is_input = |input: &&Path| match (output.canonicalize(), input.canonicalize()) {
            (Ok(output), Ok(input)) => output == input,
            _ => false,
        };
        ensure!(
            !is_trace && !inputs.iter().any(is_input),
            "{}: a trace is not overwritten with a report; name another file",
            output.display()
        );
    }
    Ok(())
}

fn write_text(
    config: &Config,
    produce: impl FnOnce(&mut dyn Write, Style) -> io::Result<()>,
) -> Result<()> {
    let Some(path) = &config.text else {
        return Ok(());
    };
    let destination = destination(path);
    let terminal = destination == Destination::Stdout && io::stdout().is_terminal();
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let style = Style {
        color: terminal && !set("NO_COLOR") && !dumb,
        width: terminal_size::terminal_size().filter(|_| terminal).map(|size| size.0.0.into()),
    };
    destination
        .write(|out| produce(out, style))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn write_svg(
    config: &Config,
    produce: impl FnOnce(&mut dyn Write) -> Result<(), ReportError>,
) -> Result<()> {
    let Some(path) = &config.svg else {
        return Ok(());
    };
    match destination(path).write(produce) {
        // That is an answer as well.
        Err(ReportError::NothingToDraw { .. }) if config.filter != Filter::default() => {
            eprintln!("report: nothing to draw: the filter leaves no samples");
            return Ok(());
        }
        written => written.with_context(|| path.display().to_string())?,
    }
    if path != Path::new("-") {
        eprintln!("report: wrote {}", path.display());
    }
    Ok(())
}

fn destination(path: &Path) -> Destination {
    Destination::choose(Some(path), Path::new(""), "", false)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
