//! What probes in functions of running processes cost these, and whether that is too much.

use std::hint::black_box;
use std::io;

use crate::host::now_ns;
use crate::tracker::procfs::{self, MapEntry};

/// What a probe at a function's beginning costs the thread that hits it, and
/// one at its end, with what the program does there; `benches/alloc_attach.py`
/// measures it.
pub(super) const ENTRY_NS: u64 = 700;
const RETURN_NS: u64 = 900;
/// Calls of our own function that show what a single step costs.
const STEPS: u32 = 200;
/// What the probes cost, and how much that may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guard {
    /// Nanoseconds per second that may be spent.
    limit_ns: u64,
    /// What has been spent beyond that.
    debt_ns: u64,
    pub(super) looked_ns: u64,
    /// Hits of probes of each kind by then.
    pub(super) hits: [u64; 3],
    /// What a probe costs whose instruction takes a single step.
    step_ns: u64,
}

/// The probes cost more than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Excess {
    /// Hits of probes at the beginning of functions.
    pub(super) calls_per_second: u64,
    /// Share of one CPU.
    pub(super) percent: u64,
}

impl Guard {
    pub(super) fn new(limit_percent: u32, now_ns: u64, step_ns: u64) -> Self {
        let limit_ns = u64::from(limit_percent) * 10_000_000;
        Guard { limit_ns, debt_ns: 0, looked_ns: now_ns, hits: [0; 3], step_ns }
    }

    /// Takes in how often the probes have been hit. More than the limit may be
    /// spent for a moment: up to what it allows in a second, or nothing if the
    /// decision to record is still to be made.
    pub(super) fn look(&mut self, now_ns: u64, hits: [u64; 3], is_trial: bool) -> Option<Excess> {
        let elapsed_ns = now_ns.saturating_sub(self.looked_ns).max(1);
        let [entries, returns, steps] = [0, 1, 2].map(|at| hits[at].saturating_sub(self.hits[at]));
        let spent_ns = entries * ENTRY_NS + returns * RETURN_NS + steps * self.step_ns;
        let per_second =
            |number: u64| (u128::from(number) * 1_000_000_000 / u128::from(elapsed_ns)) as u64;
        let allowed_ns =
            (u128::from(self.limit_ns) * u128::from(elapsed_ns) / 1_000_000_000) as u64;
        self.debt_ns = (self.debt_ns + spent_ns).saturating_sub(allowed_ns);
        (self.looked_ns, self.hits) = (now_ns, hits);
        let may_be_ahead_ns = if is_trial { 0 } else { self.limit_ns };
        (self.debt_ns > may_be_ahead_ns).then(|| Excess {
            calls_per_second: per_second(entries + steps),
            percent: per_second(spent_ns) / 10_000_000,
        })
    }
}

/// The file of our own code.
pub(super) const OWN_FILE: &str = "/proc/self/exe";

/// What a probe costs whose instruction takes a single step, in nanoseconds: tried out on
/// ourselves, as it depends much on the machine. `attach` puts one at an offset of our own
/// file, of which it gets a mapping.
pub(super) fn step_ns<L>(attach: impl FnOnce(u64, &MapEntry) -> io::Result<L>) -> io::Result<u64> {
    let address = begins_with_a_step as fn(u64) -> u64 as usize as u64;
    let maps = procfs::executable_maps(std::process::id())?;
    let map = maps.iter().find(|map| (map.start..map.end).contains(&address));
    let map = map.ok_or(io::ErrorKind::NotFound)?;
    let _probe = attach(address - map.start + map.file_offset, map)?;
    let start_ns = now_ns();
    let last = (0..u64::from(STEPS)).fold(0, |sum, number| begins_with_a_step(sum ^ number));
    black_box(last);
    Ok((now_ns() - start_ns) / u64::from(STEPS))
}

#[inline(never)]
fn begins_with_a_step(number: u64) -> u64 {
    black_box(number).rotate_left(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn guard() -> Guard {
        Guard::new(5, SECOND, 9000)
    }

    #[test]
    fn a_trial_is_strict() {
        let check = |calls: u64, returns: u64, expected: Option<u64>| {
            let excess = guard().look(SECOND + SECOND / 20, [calls, returns, 0], true);
            assert_eq!(excess.map(|excess| excess.percent), expected, "{calls} {returns}");
        };
        let allowed = SECOND / 20 / 20;
        check(0, 0, None);
        check(allowed / ENTRY_NS, 0, None);
        check(allowed / ENTRY_NS + 1, 0, Some(5));
        check(0, allowed / RETURN_NS + 1, Some(5));
        check(10 * allowed / ENTRY_NS + 1, 0, Some(50));
    }

    #[test]
    fn a_burst_is_borne_and_a_flood_is_not() {
        let mut guard = guard();
        let tenth = SECOND / 10;
        // Half of what a second allows, in a tenth of it.
        let burst = SECOND / 40 / ENTRY_NS;
        assert_eq!(guard.look(SECOND + tenth, [burst, 0, 0], false), None);
        assert_eq!(guard.look(SECOND + 6 * tenth, [burst, 0, 0], false), None);
        assert_eq!(guard.debt_ns, 0);
        // A thread that does nothing else.
        let flood = burst + tenth / ENTRY_NS;
        let excess = guard.look(SECOND + 7 * tenth, [flood, 0, 0], false).unwrap();
        assert_eq!(excess.percent, 99);
    }

    #[test]
    fn a_little_too_much_for_long() {
        let mut guard = guard();
        let per_tenth = SECOND / 10 / 10 / ENTRY_NS;
        let triggered = (1..100).find(|tenths| {
            let hits = [tenths * per_tenth, 0, 0];
            guard.look(SECOND + tenths * SECOND / 10, hits, false).is_some()
        });
        // Twice the limit: after a second.
        assert_eq!(triggered, Some(11));
    }
}
