//! Functions without names, and how to get them.

use std::collections::BTreeMap;

use rz_profile::model::{EventKind, FrameKind};

use super::{Finding, Seen, Severity, Sure};
use crate::model::clean::clean;
use crate::model::share::share_interval;
use crate::render::format::{counted, percent};

/// Below this share there are enough names to see what matters.
const HINT: f64 = 0.2;

/// Modules that are named.
const MOST_MODULES: usize = 3;

/// Samples whose innermost function has no name.
pub(super) fn missing(seen: &Seen<'_>, rule: &'static str) -> Vec<Finding> {
    let observed = seen.observed;
    let profile = observed.profile;
    let (mut all, mut unnamed, mut ns) = (0_u64, 0_u64, 0_u64);
    let mut modules: BTreeMap<&str, u64> = BTreeMap::new();
    let mut is_generated = false;
    for sample in observed.samples(EventKind::Cpu) {
        all = all.saturating_add(sample.count);
        let Some(frame) = observed.frames(sample.stack).next() else { continue };
        let function = &profile.functions[frame.function];
        if !function.nameless {
            continue;
        }
        unnamed = unnamed.saturating_add(sample.count);
        ns = ns.saturating_add(sample.weight);
        is_generated |= frame.kind == FrameKind::Jit;
        let of_module = modules.entry(profile.home_of(frame.function)).or_default();
        *of_module = of_module.saturating_add(sample.count);
    }
    let [low, _] = share_interval(unnamed as f64 / (all as f64).max(1.0), all as f64);
    if low < HINT {
        return Vec::new();
    }
    let mut most: Vec<(&str, u64)> = modules.into_iter().collect();
    most.sort_by_key(|(_, samples)| std::cmp::Reverse(*samples));
    let most = most.into_iter().take(MOST_MODULES);
    let most = most.map(|(name, samples)| format!("{} {samples}", clean(name)));
    let mut next =
        vec![observed.command(&["--debug-dir", "DIR"]), observed.command(&["--debuginfod"])];
    if is_generated {
        next.push(
            "rec, of a program that publishes its code, as with node --perf-basic-prof".into(),
        );
    }
    vec![Finding {
        title: format!(
            "{} of the samples are in functions without a name",
            percent(100.0 * unnamed as f64 / (all as f64).max(1.0))
        ),
        rule,
        severity: Severity::Hint,
        cost_ns: Some(ns),
        cost_bytes: None,
        evidence: vec![format!(
            "{}, of: {}",
            counted(unnamed, "sample"),
            most.collect::<Vec<_>>().join(", ")
        )],
        sure: Sure::Certain,
        but: Some("other rules go by names, and find nothing in these".to_owned()),
        next,
    }]
}
