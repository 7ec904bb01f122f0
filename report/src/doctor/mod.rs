//! What is wrong with a program, by rules over all that was recorded of it.
//!
//! A rule finds nothing on a healthy program. What it finds has numbers as evidence, what
//! it costs, how sure that is, and what to ask next. docs/DOCTOR.md has every rule with its
//! threshold and the reason for it.

mod builds;
mod calls;
mod functions;
mod locks;
mod memory;
mod names;
mod observed;
mod scheduling;
mod waiting;

use std::cmp::Reverse;

use serde::Serialize;

use calls::SeenCalls;
pub use observed::Observed;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It may be meant so, or costs little.
    Hint,
    /// It costs much.
    Warning,
}

impl Severity {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Hint => "hint",
            Severity::Warning => "warning",
        }
    }
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Sure {
    /// It may be so.
    Possible,
    /// There is little else that looks like it.
    Likely,
    /// It was seen as such.
    Certain,
}

impl Sure {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Sure::Possible => "possible",
            Sure::Likely => "likely",
            Sure::Certain => "certain",
        }
    }
}

/// Something that is wrong, or may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// What it is, in one line.
    pub title: String,
    /// The rule that found it, as docs/DOCTOR.md has it.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// How much time it took, of all threads together; `null` if that is not known.
    pub cost_ns: Option<u64>,
    /// How much memory; `null` if it is not about memory.
    pub cost_bytes: Option<u64>,
    /// The numbers behind it, a line each.
    pub evidence: Vec<String>,
    /// How sure it is.
    pub sure: Sure,
    /// Why it is not surer, or what it does not tell; `null` if there is nothing to say.
    pub but: Option<String>,
    /// Commands that show more.
    pub next: Vec<String>,
}

/// Rules that could not look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NotLooked {
    /// Why, and how to record what they look at.
    pub why: String,
    /// The rules.
    pub rules: Vec<&'static str>,
}

/// What the rules found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DoctorPage {
    /// Warnings, then hints; of each the most costly first, time before memory.
    pub findings: Vec<Finding>,
    /// Rules that could not look, by what is missing.
    pub not_looked: Vec<NotLooked>,
}

impl DoctorPage {
    /// Findings that are at least so bad.
    pub fn at_least(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity >= severity)
    }
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Cpu,
    Waits,
    Calls,
    Allocations,
}

/// What the rules look at, in all.
struct Seen<'s> {
    observed: &'s Observed<'s>,
    calls: SeenCalls,
}

/// A rule: its name, what it needs, and what it finds there.
type Rule = (&'static str, Needs, fn(&Seen<'_>, &'static str) -> Vec<Finding>);

/// All rules.
const RULES: &[Rule] = &[
    ("lock-contention", Needs::Waits, locks::contention),
    ("fsync-small-writes", Needs::Calls, calls::files::syncs),
    ("tiny-reads-writes", Needs::Calls, calls::files::tiny),
    ("connection-per-request", Needs::Calls, calls::connections::find),
    ("polling", Needs::Calls, calls::polling::find),
    ("file-lookups", Needs::Calls, calls::lookups::find),
    ("event-loop-blocked", Needs::Calls, calls::event_loop::find),
    ("event-loop-sync", Needs::Cpu, waiting::sync_in_loop),
    ("name-lookups", Needs::Waits, waiting::name_lookups),
    ("gil", Needs::Waits, scheduling::gil),
    ("cpu-quota", Needs::Waits, scheduling::quota),
    ("run-queue", Needs::Waits, scheduling::queued),
    ("disk-waits", Needs::Waits, scheduling::disk),
    ("one-hot-thread", Needs::Waits, scheduling::one_hot_thread),
    ("missing-names", Needs::Cpu, names::missing),
    ("debug-build", Needs::Cpu, builds::unoptimized),
    ("leak", Needs::Allocations, memory::leak),
    ("temporary-allocations", Needs::Allocations, memory::temporary),
    ("garbage-collection", Needs::Cpu, functions::find),
    ("page-faults", Needs::Cpu, functions::find),
    ("regular-expressions", Needs::Cpu, functions::find),
    ("dates", Needs::Cpu, functions::find),
    ("serialization", Needs::Cpu, functions::find),
    ("copying", Needs::Cpu, functions::find),
    ("zeroing", Needs::Cpu, functions::find),
];

/// What the rules find in a recording.
pub fn doctor(observed: &Observed<'_>) -> DoctorPage {
    let missing: Vec<(Needs, String)> =
        [Needs::Cpu, Needs::Waits, Needs::Calls, Needs::Allocations]
            .into_iter()
            .filter_map(|needs| Some((needs, observed.missing(needs)?)))
            .collect();
    let is_missing = |needs: Needs| missing.iter().any(|(kind, _)| *kind == needs);
    let seen = Seen { observed, calls: SeenCalls::of(observed) };
    let rules = RULES.iter().filter(|(_, needs, _)| !is_missing(*needs));
    let mut findings: Vec<Finding> = rules.flat_map(|(name, _, look)| look(&seen, name)).collect();
    findings.sort_by_key(|finding| {
        Reverse((finding.severity, finding.cost_ns, finding.cost_bytes, finding.sure))
    });
    let not_looked = missing.into_iter().map(|(kind, why)| {
        let rules = RULES.iter().filter(|(_, needs, _)| *needs == kind);
        NotLooked { why, rules: rules.map(|(name, ..)| *name).collect() }
    });
    DoctorPage { findings, not_looked: not_looked.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_documented() {
        let text = include_str!("../../../docs/DOCTOR.md");
        for (name, ..) in RULES {
            assert!(text.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
