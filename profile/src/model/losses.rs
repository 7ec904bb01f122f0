//! What is missing of a recording, and why.

use std::fmt;

use rz_format::{Loss, LossClass, LossReason};

use super::Nanos;

/// What is missing of one class of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// How many.
    pub count: u64,
    /// What is missing for each reason, in the reasons' order.
    pub reasons: Vec<LossSum>,
}

/// What is missing for one reason. As text, it is the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossSum {
    /// Why it is missing.
    pub reason: LossReason,
    /// How many; 0 if that is not known.
    pub count: u64,
    /// Time in which they were due, added up over CPUs.
    pub duration_ns: Nanos,
}

/// What is missing of a class for one reason from one time to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossAt {
    /// What it would have been.
    pub class: LossClass,
    /// Why it is missing.
    pub reason: LossReason,
    /// Earliest time at which it can have been due.
    pub from_ns: Nanos,
    /// Latest time at which it can have been due.
    pub to_ns: Nanos,
    /// How many; 0 if that is not known.
    pub count: u64,
}

/// Losses that are kept, at most.
const MAX_LOSSES: usize = 10_000;

/// Of those, the last ones that a loss may be part of.
const LOOKED_AT: usize = 64;

/// Losses for one reason with less time between them are one.
const NEAR_NS: Nanos = 1_000_000;

impl LossAt {
    /// Adds a loss. It becomes part of one on another CPU at the same time, and of the
    /// last one for its reason if there are very many.
    pub(crate) fn add(losses: &mut Vec<LossAt>, loss: &Loss) {
        let (class, reason) = (loss.class.into(), loss.reason.into());
        let new =
            LossAt { class, reason, from_ns: loss.from_ns, to_ns: loss.to_ns, count: loss.count };
        let is_full = losses.len() >= MAX_LOSSES;
        let mut last = losses.iter_mut().rev().take(LOOKED_AT);
        let near = |other: &&mut LossAt| {
            let is_near = new.from_ns <= other.to_ns.saturating_add(NEAR_NS)
                && other.from_ns <= new.to_ns.saturating_add(NEAR_NS);
            (other.class, other.reason) == (class, reason) && (is_near || is_full)
        };
        match last.find(near) {
            Some(other) => {
                other.from_ns = other.from_ns.min(new.from_ns);
                other.to_ns = other.to_ns.max(new.to_ns);
                other.count = other.count.saturating_add(new.count);
            }
            None if is_full => {}
            None => losses.push(new),
        }
    }
}

impl Losses {
    /// Whether anything is missing, if only an unknown number.
    pub fn is_any(&self) -> bool {
        self.count > 0 || !self.reasons.is_empty()
    }

    /// Adds what is missing for another reason.
    pub(crate) fn add(&mut self, sum: LossSum) {
        self.count = self.count.saturating_add(sum.count);
        self.reasons.push(sum);
    }
}

impl fmt::Display for LossSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.describe())?;
        if self.reason != LossReason::Throttled {
            return Ok(());
        }
        // How long sampling was held back is known, but not what was missed.
        match self.duration_ns {
            ns @ 0..100_000_000 => write!(f, " for {:.1} ms", ns as f64 / 1e6),
            ns => write!(f, " for {:.1} s", ns as f64 / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_at_the_same_time_are_one() {
        let loss = |cpu, reason: u8, from_ns, count| Loss {
            cpu,
            class: 0,
            reason,
            from_ns,
            to_ns: from_ns + 10,
            count,
        };
        let mut losses = Vec::new();
        let later = 5 * NEAR_NS;
        for one in
            [loss(0, 0, 100, 3), loss(1, 0, 105, 4), loss(0, 2, 100, 0), loss(0, 0, later, 1)]
        {
            LossAt::add(&mut losses, &one);
        }
        let shown: Vec<_> =
            losses.iter().map(|l| (l.reason, l.from_ns, l.to_ns, l.count)).collect();
        let expected = [
            (LossReason::RingFull, 100, 115, 7),
            (LossReason::Throttled, 100, 110, 0),
            (LossReason::RingFull, later, later + 10, 1),
        ];
        assert_eq!(shown, expected);
        let far = |at: u64| loss(0, 0, at * later, 1);
        (1..=2 * MAX_LOSSES as u64).for_each(|at| LossAt::add(&mut losses, &far(at)));
        assert_eq!(losses.len(), MAX_LOSSES);
        let count: u64 = losses.iter().map(|loss| loss.count).sum();
        assert_eq!(count, 8 + 2 * MAX_LOSSES as u64);
    }

    #[test]
    fn a_time_is_said_where_nothing_else_is_known() {
        let check = |reason, duration_ns, expected: &str| {
            assert_eq!(LossSum { reason, count: 0, duration_ns }.to_string(), expected);
        };
        check(LossReason::Throttled, 1_200_000_000, "throttled by the kernel for 1.2 s");
        check(LossReason::Throttled, 30_000_000, "throttled by the kernel for 30.0 ms");
        check(LossReason::RingFull, 1_200_000_000, "kernel buffer full");
    }
}
