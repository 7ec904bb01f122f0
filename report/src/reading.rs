//! What is read of a trace, as the command line asks.

use std::path::Path;

use anyhow::{Context, Result};
use rz_command::symbols::Symbols;
use rz_convert::import::Opened;
use rz_profile::filter::Filter;
use rz_profile::load::{LoadOptions, Without, load};
use rz_profile::model::{EventId, EventKind, Profile};
use rz_profile::select::{EventName, default_event, find_event, select_event};
use rz_report::condition::Subject;
use rz_report::html::MOST_SERVED_SAMPLES;

use crate::cli::{Config, Input, SampleView, View};

/// Rules look unasked at traces of up to so many bytes, which are read in a moment.
const MOST_LOOKED_AT_UNASKED: u64 = 4 << 20;

/// The event that was asked for, which may be without samples, or else the
/// first one with samples.
pub(crate) fn event_of(
    profile: &mut Profile,
    config: &Config,
    path: &Path,
) -> Result<Option<EventId>> {
    let name = config.event.as_ref();
    let found = select_event(profile, name).with_context(|| path.display().to_string())?;
    let event = found.or_else(|| find_event(profile, name?));
    Ok(match config.metric {
        Some(metric) => rz_profile::heap::show(profile, metric).or(event),
        None => event,
    })
}

/// What nothing is told of when an event is shown; without a name that of the CPU,
/// if it has samples.
fn not_shown(event: Option<&EventName>) -> Without {
    match event.and_then(EventName::kind) {
        Some(EventKind::OffCpu | EventKind::Wall) => Without { calls: true, ..Without::default() },
        Some(EventKind::Syscalls) => Without { waits: true, ..Without::default() },
        None
        | Some(
            EventKind::Cpu
            | EventKind::Functions
            | EventKind::Alloc
            | EventKind::Growth
            | EventKind::Other,
        ) => Without { waits: true, calls: true, ..Without::default() },
    }
}

/// Whether it is the CPU's event that is shown if none is named.
fn shows_cpu(profile: &Profile) -> bool {
    let has_others = profile.events.iter().any(|event| event.kind != EventKind::Cpu);
    let default = default_event(profile).map(|event| profile.events[event].kind);
    !has_others || default == Some(EventKind::Cpu)
}

pub(crate) fn load_options(config: &Config, path: &Path, filter: &Filter) -> LoadOptions {
    let Symbols { debug_dirs, options: symbols, .. } = config.symbols.clone();
    // Of single runs, noise is taken from how they went on; that of allocations
    // is the error of sampling.
    let timeline = match &config.input {
        Input::One(_) => has_page(config) || shows_end(config),
        Input::Sides(sides) => {
            sides.traces.iter().flatten().count() == 2 && config.metric.is_none()
        }
    };
    let filter = filter.clone();
    let unnamed = matches!(config.view, View::Info(_) | View::Spans(_));
    let source_maps = config.source_maps.clone();
    let heap = config.heap;
    // A page shows everything there is, however much that is.
    let coarse = has_page(config) && matches!(config.input, Input::One(_));
    let everything = coarse || shows_end(config) || asks_doctor(config, path);
    let mut without =
        if everything { Without::default() } else { not_shown(config.event.as_ref()) };
    // Waits that were not over, and sums where exact ones are missing, are made of rows.
    without.waits &= !config.fail_if.iter().any(|c| matches!(c.subject, Subject::Waits(_)));
    let most_samples = (coarse && config.serve).then_some(MOST_SERVED_SAMPLES);
    LoadOptions {
        debug_dirs,
        symbols,
        source_maps,
        timeline,
        coarse,
        most_samples,
        unnamed,
        heap,
        filter,
        without,
        grows: false,
    }
}

/// Whether it is shown what every thread was doing at the end.
fn shows_end(config: &Config) -> bool {
    matches!(config.view, View::Samples(SampleView::Dump))
}

/// Whether a page for a browser is made.
fn has_page(config: &Config) -> bool {
    config.html.is_some() || config.serve
}

/// A trace, or one of what another tool recorded.
pub(crate) fn opened(path: &Path) -> Result<Opened> {
    Opened::of(path).with_context(|| path.display().to_string())
}

/// What a filter leaves of a trace.
pub(crate) fn read(config: &Config, path: &Path, filter: &Filter) -> Result<Profile> {
    let mut options = load_options(config, path, filter);
    let mut profile = load(path, &options)?;
    if config.event.is_none() && !options.coarse && !shows_cpu(&profile) {
        options.without = Without::default();
        profile = load(path, &options)?;
    }
    Ok(profile)
}

/// Whether rules are to look at a trace: where that was asked for, and for the first page
/// of what is read at once.
pub(crate) fn asks_doctor(config: &Config, trace: &Path) -> bool {
    let is_small = || trace.metadata().is_ok_and(|file| file.len() <= MOST_LOOKED_AT_UNASKED);
    match (&config.input, &config.view) {
        (Input::Sides(_), _) => false,
        (_, View::Samples(SampleView::Doctor)) => true,
        _ if config.fail_if.iter().any(|condition| condition.subject == Subject::Doctor) => true,
        (_, View::Samples(SampleView::Summary { .. })) => config.event.is_none() && is_small(),
        _ => false,
    }
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
