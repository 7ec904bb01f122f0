//! What is missing of a recording, and why.

use std::fmt;

use rz_format::LossReason;

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
    fn a_time_is_said_where_nothing_else_is_known() {
        let check = |reason, duration_ns, expected: &str| {
            assert_eq!(LossSum { reason, count: 0, duration_ns }.to_string(), expected);
        };
        check(LossReason::Throttled, 1_200_000_000, "throttled by the kernel for 1.2 s");
        check(LossReason::Throttled, 30_000_000, "throttled by the kernel for 30.0 ms");
        check(LossReason::RingFull, 1_200_000_000, "kernel buffer full");
    }
}
