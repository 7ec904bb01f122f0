//! Things that take a thread's time while others need it, told by functions on its stack:
//! files and processes of Node's loop that are waited for, and names that are looked up.

use rz_profile::model::{EventKind, FrameKind, Runtime};

use super::observed::{ByFunction, Frame};
use super::{Finding, Seen, Severity, Sure};
use crate::render::format::{counted, duration, percent};

/// Below this share of the recording's time, nobody waits for it.
const HINT_PERCENT: f64 = 1.0;

/// From this share on, one request in twenty meets it.
const WARNING_PERCENT: f64 = 5.0;

/// Where functions of Node are that load modules, which they do once.
const LOADERS: [&str; 2] = ["node:internal/modules/", "node:internal/bootstrap/"];

/// Functions that look up names of hosts.
const LOOKUPS: [&str; 6] = [
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname_r",
    "gethostbyname2_r",
    "gethostbyaddr_r",
    "getnameinfo",
];

/// Functions of Node that wait for what they ask for, called where other requests wait for
/// them.
pub(super) fn sync_in_loop(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let file = |frame: &Frame<'_>| observed.profile.functions[frame.function].file.as_str();
    let is_sync = |frame: &Frame<'_>| {
        frame.kind == FrameKind::Runtime(Runtime::V8)
            && frame.name.ends_with("Sync")
            && file(frame).starts_with("node:")
    };
    let is_loader = |frame: &Frame<'_>| LOADERS.iter().any(|dir| file(frame).starts_with(dir));
    let (mut ns, mut samples) = (0_u64, 0_u64);
    let (mut callers, mut names) = (ByFunction::default(), ByFunction::default());
    for kind in [EventKind::Cpu, EventKind::OffCpu] {
        for sample in observed.samples(kind) {
            let mut frames = observed.frames(sample.stack);
            let Some(sync) = frames.by_ref().find(is_sync) else { continue };
            // What a module does as it is loaded it does once.
            let mut called_by = frames.take_while(|frame| !is_loader(frame));
            let Some(caller) = called_by.find(|frame| observed.is_own(*frame)) else { continue };
            ns = ns.saturating_add(sample.weight);
            samples = samples.saturating_add(sample.count);
            callers.add(caller, sample.weight);
            names.add(sync, sample.weight);
        }
    }
    let share = observed.percent_of_time(ns);
    let (Some((function, line, _)), Some((sync, ..))) = (callers.heaviest(), names.heaviest())
    else {
        return Vec::new();
    };
    if share < HINT_PERCENT {
        return Vec::new();
    }
    let place = observed.place(function, line);
    let sync = &observed.profile.functions[sync].name;
    let focus = observed.focus(function);
    vec![Finding {
        title: format!("{place} has the event loop wait for {sync}"),
        rule,
        severity: if share < WARNING_PERCENT { Severity::Hint } else { Severity::Warning },
        cost_ns: Some(ns),
        cost_bytes: None,
        evidence: vec![format!(
            "{} in {}, {} of the recording's time, in which no other request got on",
            duration(ns),
            counted(samples, "sample"),
            percent(share)
        )],
        sure: Sure::Certain,
        but: Some("time that others waited for it is not in the cost".to_owned()),
        next: vec![
            observed.command(&["--focus", &focus, "--tree"]),
            observed.command(&["--syscalls", "--focus", &focus]),
        ],
    }]
}

/// Names of hosts that are looked up.
pub(super) fn name_lookups(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let mut ns = 0_u64;
    let mut callers = ByFunction::default();
    for kind in [EventKind::Cpu, EventKind::OffCpu] {
        for sample in observed.samples(kind) {
            let is_lookup =
                |frame: &Frame<'_>| LOOKUPS.contains(&frame.name.trim_start_matches('_'));
            let mut frames = observed.user_frames(sample.stack);
            if !frames.by_ref().any(|frame| is_lookup(&frame)) {
                continue;
            }
            ns = ns.saturating_add(sample.weight);
            if let Some(frame) = observed.own(frames) {
                callers.add(frame, sample.weight);
            }
        }
    }
    let share = observed.percent_of_time(ns);
    if share < HINT_PERCENT {
        return Vec::new();
    }
    let mut title = format!("{} of looking up names of hosts", duration(ns));
    let mut next = Vec::new();
    if let Some((function, line, _)) = callers.heaviest() {
        title += &format!(", most for {}", observed.place(function, line));
        next.push(observed.command(&["--off-cpu", "--focus", &observed.focus(function)]));
    }
    vec![Finding {
        title,
        rule,
        severity: if share < WARNING_PERCENT { Severity::Hint } else { Severity::Warning },
        cost_ns: Some(ns),
        cost_bytes: None,
        evidence: vec![format!("{} of the recording's time, running or not", percent(share))],
        sure: Sure::Certain,
        but: Some("which names, and whether the same again and again, is not recorded".to_owned()),
        next,
    }]
}
