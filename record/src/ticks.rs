//! From ticks of the processor's clock to nanoseconds on the trace's.

use std::time::Duration;

use rz_alloc_ring::clock;

use crate::arch;
use crate::host::now_ns;

/// How long the speed of the ticks is measured before anything is recorded.
const FIRST_SPAN: Duration = Duration::from_millis(1);

/// The same moment in ticks and in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    ticks: u64,
    ns: u64,
}

/// Where times are found: a piece of the line from ticks to nanoseconds.
///
/// The line is made of straight pieces from moment to moment. Whoever asks for
/// the time of the same tick is told the same, and order stays, as long as the
/// tick is not from before the moments that are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// The last moments, oldest first.
    moments: [Moment; REMEMBERED],
    /// Nanoseconds in a tick, times 2³², from each moment to the next.
    scales: [u64; REMEMBERED - 1],
}

/// Moments remembered. A thread that was held up while it wrote an event may
/// come late with it.
const REMEMBERED: usize = 4;

impl Moment {
    fn now(clock: u32) -> Self {
        let before = now_ns();
        if clock != clock::PROCESSOR {
            return Moment { ticks: before, ns: before };
        }
        let ticks = arch::clock::ticks();
        // Halfway between: as close as it gets.
        Moment { ticks, ns: before + (now_ns() - before) / 2 }
    }
}

impl Ticks {
    /// Takes the first moments, a little apart: before the first of them, time
    /// is taken to have gone on at the same speed.
    pub(crate) fn start(clock: u32) -> Self {
        let first = Moment::now(clock);
        std::thread::sleep(FIRST_SPAN);
        let mut ticks = Ticks::from_moments([first; REMEMBERED]);
        ticks.advance(clock);
        ticks.scales = [ticks.scales[REMEMBERED - 2]; REMEMBERED - 1];
        ticks
    }

    /// Takes another moment.
    pub(crate) fn advance(&mut self, clock: u32) {
        let Ticks { mut moments, mut scales } = *self;
        moments.rotate_left(1);
        scales.rotate_left(1);
        moments[REMEMBERED - 1] = Moment::now(clock);
        scales[REMEMBERED - 2] = scale(moments[REMEMBERED - 2], moments[REMEMBERED - 1]);
        *self = Ticks { moments, scales };
    }

    fn from_moments(moments: [Moment; REMEMBERED]) -> Self {
        let scales = std::array::from_fn(|piece| scale(moments[piece], moments[piece + 1]));
        Ticks { moments, scales }
    }

    /// A time in nanoseconds. Nothing is known of what comes after the last
    /// moment; a hook that says it was later is not to be believed.
    pub(crate) fn to_ns(self, ticks: u64) -> u64 {
        let ticks = ticks.min(self.moments[REMEMBERED - 1].ticks);
        // Nearly always the last piece, or the one before.
        let begun = |piece: &usize| self.moments[*piece].ticks <= ticks;
        let piece = (0..REMEMBERED - 1).rev().find(begun).unwrap_or(0);
        let (from, scale) = (self.moments[piece], self.scales[piece]);
        let after = (u128::from(ticks.abs_diff(from.ticks)) * u128::from(scale)) >> 32;
        let after = u64::try_from(after).unwrap_or(u64::MAX);
        match ticks >= from.ticks {
            true => from.ns.saturating_add(after),
            false => from.ns.saturating_sub(after),
        }
    }
}

/// Nanoseconds in a tick, times 2³².
fn scale(from: Moment, to: Moment) -> u64 {
    let ticks = u128::from(to.ticks.saturating_sub(from.ticks).max(1));
    let ns = u128::from(to.ns.saturating_sub(from.ns));
    // There is less than one nanosecond in a tick, or one.
    u64::try_from((ns << 32) / ticks).unwrap_or(u64::MAX)
}

/// Which clock hooks should use: the processor's, if it never stops and runs
/// at one speed, which the kernel knows when it uses it itself.
pub(crate) fn best_clock() -> u32 {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let current = std::fs::read_to_string(source).unwrap_or_default();
    match arch::clock::KERNEL_NAMES.contains(&current.trim()) {
        true => clock::PROCESSOR,
        false => clock::MONOTONIC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_together() {
        let moment = |ticks, ns| Moment { ticks, ns };
        // At four ticks a nanosecond, then two.
        let moments =
            [moment(0, 1_000), moment(4_000, 2_000), moment(6_000, 3_000), moment(8_000, 4_000)];
        let ticks = Ticks::from_moments(moments);
        let found = [0, 2_000, 4_000, 5_000, 6_000, 8_000, 8_001].map(|at| ticks.to_ns(at));
        assert_eq!(found, [1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 4_000]);
        let later = Ticks::from_moments(moments.map(|at| moment(at.ticks + 400, at.ns + 100)));
        assert_eq!(later.to_ns(0), 1_000);
        let still = Ticks::from_moments([moment(5, 7); REMEMBERED]);
        assert_eq!((still.to_ns(100), still.to_ns(0)), (7, 7));
        // As words that a hook did not write may say.
        assert_eq!(ticks.to_ns(u64::MAX >> 6), 4_000);
    }

    #[test]
    fn a_tick_has_the_same_time_for_all() {
        let clock = best_clock();
        let mut ticks = Ticks::start(clock);
        let at = arch::clock::ticks();
        let around = [now_ns(); 2];
        std::thread::sleep(FIRST_SPAN);
        ticks.advance(clock);
        let first = ticks.to_ns(at);
        assert!(first.abs_diff(around[0]) < 1_000_000, "{first} {around:?}");
        for _ in 2..REMEMBERED {
            std::thread::sleep(FIRST_SPAN);
            ticks.advance(clock);
            assert_eq!(ticks.to_ns(at), first);
        }
    }
}
