//! Samples whose stacks do not reach their roots.

use rz_profile::model::{EventId, FrameKind, Profile, TruncatedReason};

/// How many samples of an event have a truncated stack, for each reason there
/// is, in the order of what the reasons are called.
pub fn truncated(profile: &Profile, event: EventId) -> Vec<(TruncatedReason, u64)> {
    // Roots come before what they lead to.
    let mut why: Vec<Option<TruncatedReason>> = Vec::with_capacity(profile.stacks.len());
    for stack in &profile.stacks {
        why.push(match stack.parent {
            Some(parent) => why[parent],
            None => {
                let root = &profile.locations[stack.location];
                let is_truncated = root.kind == FrameKind::Truncated;
                is_truncated.then(|| root.truncated.unwrap_or(TruncatedReason::Unknown))
            }
        });
    }
    let mut sums: Vec<(TruncatedReason, u64)> = Vec::new();
    for sample in profile.samples.iter().filter(|sample| sample.event == event) {
        let Some(reason) = sample.stack.and_then(|stack| why[stack]) else { continue };
        match sums.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, sum)) => *sum = sum.saturating_add(sample.count),
            None => sums.push((reason, sample.count)),
        }
    }
    sums.sort_by_key(|(reason, _)| reason.describe());
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    #[test]
    fn each_reason_has_a_sum() {
        let mut profile =
            Builder::of(&[("main;work", 1), ("[truncated];work", 2), ("[truncated]", 4)]);
        assert_eq!(truncated(&profile, 0), [(TruncatedReason::Unknown, 6)]);
        let mut roots = profile.locations.iter_mut().filter(|l| l.kind == FrameKind::Truncated);
        roots.next().unwrap().truncated = Some(TruncatedReason::NoUnwindInfo);
        assert_eq!(truncated(&profile, 0), [(TruncatedReason::NoUnwindInfo, 6)]);
        assert_eq!(truncated(&profile, 1), []);
    }
}
