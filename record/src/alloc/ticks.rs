//! From ticks of the processor's clock to nanoseconds on the trace's.

use rz_alloc_ring::clock;

use crate::host::now_ns;

/// The same moment in ticks and in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    ticks: u64,
    ns: u64,
}

/// Two moments not far apart, between which the clock is taken to be steady.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks {
    from: Moment,
    to: Moment,
    /// Nanoseconds in a tick, times 2³².
    scale: u64,
}

impl Moment {
    fn now(clock: u32) -> Self {
        let before = now_ns();
        if clock != clock::TSC {
            return Moment { ticks: before, ns: before };
        }
        let ticks = super::memory::time_stamp();
        // Halfway between: as close as it gets.
        Moment { ticks, ns: before + (now_ns() - before) / 2 }
    }
}

impl Ticks {
    /// Takes the first moment.
    pub(crate) fn start(clock: u32) -> Self {
        let now = Moment::now(clock);
        Ticks::between(now, now)
    }

    /// Takes another moment; what happened since the one before is between
    /// the two.
    pub(crate) fn advance(&mut self, clock: u32) {
        *self = Ticks::between(self.to, Moment::now(clock));
    }

    fn between(from: Moment, to: Moment) -> Self {
        let ticks = u128::from(to.ticks.saturating_sub(from.ticks).max(1));
        let ns = u128::from(to.ns.saturating_sub(from.ns));
        // There is less than one nanosecond in a tick, or one.
        let scale = u64::try_from((ns << 32) / ticks).unwrap_or(u64::MAX);
        Ticks { from, to, scale }
    }

    /// A time in nanoseconds.
    pub(crate) fn to_ns(self, ticks: u64) -> u64 {
        let Ticks { from, scale, .. } = self;
        let after = (u128::from(ticks.abs_diff(from.ticks)) * u128::from(scale)) >> 32;
        let after = u64::try_from(after).unwrap_or(u64::MAX);
        match ticks >= from.ticks {
            true => from.ns.saturating_add(after),
            false => from.ns.saturating_sub(after),
        }
    }
}

/// Which clock hooks should use: the processor's, if it never stops and runs
/// at one speed, which the kernel knows when it uses it itself.
pub(super) fn best_clock() -> u32 {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let current = std::fs::read_to_string(source).unwrap_or_default();
    // kvm's clock is the time stamp counter with a scale from the host.
    match current.trim() {
        "tsc" | "kvm-clock" if cfg!(target_arch = "x86_64") => clock::TSC,
        _ => clock::MONOTONIC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_before_and_after() {
        let moment = |ticks, ns| Moment { ticks, ns };
        let ticks = Ticks::between(moment(3_000, 1_000), moment(7_000, 2_000));
        let found = [0, 3_000, 5_000, 7_000, 11_000].map(|at| ticks.to_ns(at));
        assert_eq!(found, [250, 1_000, 1_500, 2_000, 3_000]);
        assert_eq!(ticks.to_ns(u64::MAX >> 6), 1_000 + ((u64::MAX >> 6) - 3_000) / 4);
        let still = Ticks::between(moment(5, 7), moment(5, 7));
        assert_eq!(still.to_ns(100), 7);
    }

    #[test]
    fn the_clock_goes_on() {
        let mut ticks = Ticks::start(best_clock());
        std::thread::sleep(std::time::Duration::from_millis(2));
        ticks.advance(best_clock());
        assert!(ticks.to.ns - ticks.from.ns >= 2_000_000);
        assert!(ticks.to.ticks > ticks.from.ticks);
    }
}
