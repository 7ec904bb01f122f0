//! The names of what takes samples.

use std::fmt;

/// What took the samples of a recording, which [`Recording::tier`] names.
///
/// [`Recording::tier`]: crate::Recording::tier
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The recorder, by perf events for each thread.
    Perf,
    /// The recorder, by bpf programs for each CPU.
    Bpf,
    /// perf, in a perf.data file.
    PerfData,
    /// Whoever made a pprof profile.
    Pprof,
    /// Whoever made folded stacks.
    Folded,
    /// What this crate does not know, by its name.
    Other(String),
}

impl Tier {
    /// All that this crate knows.
    const KNOWN: [Tier; 5] = [Tier::Perf, Tier::Bpf, Tier::PerfData, Tier::Pprof, Tier::Folded];

    /// The tier of this name; `None` if the name is empty.
    pub fn from_name(name: &str) -> Option<Self> {
        let known = Self::KNOWN.into_iter().find(|tier| tier.name() == name);
        known.or_else(|| (!name.is_empty()).then(|| Tier::Other(name.to_owned())))
    }

    /// The name, as it stands in a trace.
    pub fn name(&self) -> &str {
        match self {
            Tier::Perf => "perf",
            Tier::Bpf => "bpf",
            Tier::PerfData => "perf.data",
            Tier::Pprof => "pprof",
            Tier::Folded => "folded",
            Tier::Other(name) => name,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for tier in Tier::KNOWN {
            assert_eq!(Tier::from_name(tier.name()), Some(tier));
        }
        assert_eq!(Tier::from_name("ebpf2"), Some(Tier::Other("ebpf2".to_owned())));
        assert_eq!(Tier::from_name(""), None);
    }
}
