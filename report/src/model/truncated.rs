//! Samples whose stacks do not reach their roots, why, and what can be done.

use rz_profile::model::{EventId, FrameKind, Profile, Tier, TruncatedReason};

/// Why stacks were cut, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated {
    /// Why.
    pub why: Cut,
    /// How many samples have such a stack.
    pub samples: u64,
}

/// Why a stack was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// As the recorder says.
    Recorded(TruncatedReason),
    /// In code that was generated at run time: only frame pointers lead through that.
    NoFramePointer,
}

impl Cut {
    /// The reason in words.
    pub fn describe(self) -> &'static str {
        match self {
            Cut::Recorded(reason) => reason.describe(),
            Cut::NoFramePointer => "generated code without frame pointers",
        }
    }

    /// What to do so that such stacks are whole in the next recording, if anything.
    pub fn help(self, tiers: &[Tier]) -> Option<&'static str> {
        let is_ours = tiers.iter().all(|tier| matches!(tier, Tier::Perf | Tier::Bpf));
        let is_perf = tiers.contains(&Tier::PerfData);
        match self {
            Cut::Recorded(TruncatedReason::StackTooDeep) if is_perf => {
                Some("perf record --call-graph dwarf,65528 copies more of each stack")
            }
            Cut::Recorded(TruncatedReason::StackTooDeep) if is_ours => {
                Some("rec --stack-size copies more of each stack, up to 63K")
            }
            Cut::NoFramePointer => {
                Some("an option of the runtime may make its code keep frame pointers")
            }
            Cut::Recorded(
                TruncatedReason::StackTooDeep
                | TruncatedReason::NoUnwindInfo
                | TruncatedReason::BadReturnAddress
                | TruncatedReason::TooManyFrames
                | TruncatedReason::NoRegisters
                | TruncatedReason::OtherStack
                | TruncatedReason::StackNotReadable
                | TruncatedReason::Unknown,
            ) => None,
        }
    }
}

/// How many samples of an event have a truncated stack, for each reason there is, most
/// first.
pub fn truncated(profile: &Profile, event: EventId) -> Vec<Truncated> {
    // Roots come before what they lead to.
    let mut why: Vec<Option<Cut>> = Vec::with_capacity(profile.stacks.len());
    for stack in &profile.stacks {
        let location = &profile.locations[stack.location];
        why.push(match stack.parent {
            Some(parent) => {
                let is_cut_here = profile.stacks[parent].parent.is_none();
                why[parent].map(|cut| if is_cut_here { cut_in(location.kind, cut) } else { cut })
            }
            None => {
                let is_truncated = location.kind == FrameKind::Truncated;
                let reason = location.truncated.unwrap_or(TruncatedReason::Unknown);
                is_truncated.then_some(Cut::Recorded(reason))
            }
        });
    }
    let mut sums: Vec<Truncated> = Vec::new();
    for sample in profile.samples.iter().filter(|sample| sample.event == event) {
        let Some(reason) = sample.stack.and_then(|stack| why[stack]) else { continue };
        match sums.iter_mut().find(|sum| sum.why == reason) {
            Some(sum) => sum.samples = sum.samples.saturating_add(sample.count),
            None => sums.push(Truncated { why: reason, samples: sample.count }),
        }
    }
    sums.sort_by_key(|sum| (std::cmp::Reverse(sum.samples), sum.why.describe()));
    sums
}

/// Why a stack was cut whose outermost frame is of this kind.
fn cut_in(outermost: FrameKind, cut: Cut) -> Cut {
    use TruncatedReason::{BadReturnAddress, NoUnwindInfo};
    match (outermost, cut) {
        (FrameKind::Jit, Cut::Recorded(NoUnwindInfo | BadReturnAddress)) => Cut::NoFramePointer,
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    fn set_reason(profile: &mut Profile, reason: TruncatedReason) {
        let mut roots = profile.locations.iter_mut().filter(|l| l.kind == FrameKind::Truncated);
        roots.next().unwrap().truncated = Some(reason);
    }

    #[test]
    fn each_reason_has_a_sum() {
        let sum = |why, samples| Truncated { why, samples };
        let mut profile =
            Builder::of(&[("main;work", 1), ("[truncated];work", 2), ("[truncated]", 4)]);
        let unknown = Cut::Recorded(TruncatedReason::Unknown);
        assert_eq!(truncated(&profile, 0), [sum(unknown, 6)]);
        set_reason(&mut profile, TruncatedReason::NoUnwindInfo);
        let no_rule = Cut::Recorded(TruncatedReason::NoUnwindInfo);
        assert_eq!(truncated(&profile, 0), [sum(no_rule, 6)]);
        assert_eq!(truncated(&profile, 1), []);
    }

    #[test]
    fn code_without_frame_pointers_is_told_by_its_outermost_frame() {
        let stacks =
            [("[truncated];work", 1), ("[truncated];made;work", 2), ("[truncated];work;made", 4)];
        let mut profile = Builder::of(&stacks);
        let function = profile.functions.iter().position(|f| f.name == "made").unwrap();
        for location in &mut profile.locations {
            if location.lines[0].function == function {
                location.kind = FrameKind::Jit;
            }
        }
        let mut check = |reason, expected: &[(Cut, u64)]| {
            set_reason(&mut profile, reason);
            let found = truncated(&profile, 0);
            let found: Vec<_> = found.iter().map(|sum| (sum.why, sum.samples)).collect();
            assert_eq!(found, expected, "{reason:?}");
        };
        let no_rule = TruncatedReason::NoUnwindInfo;
        check(no_rule, &[(Cut::Recorded(no_rule), 5), (Cut::NoFramePointer, 2)]);
        let too_deep = TruncatedReason::StackTooDeep;
        check(too_deep, &[(Cut::Recorded(too_deep), 7)]);
    }

    #[test]
    fn only_what_helps_is_said() {
        use TruncatedReason::{NoUnwindInfo, OtherStack, StackNotReadable, StackTooDeep};
        for reason in [NoUnwindInfo, OtherStack, StackNotReadable] {
            assert_eq!(Cut::Recorded(reason).help(&[Tier::Bpf]), None, "{reason:?}");
        }
        let too_deep = Cut::Recorded(StackTooDeep);
        assert!(too_deep.help(&[Tier::Bpf]).unwrap().contains("--stack-size"));
        assert!(too_deep.help(&[Tier::PerfData]).unwrap().starts_with("perf record"));
        assert_eq!(too_deep.help(&[Tier::Pprof]), None);
    }
}
