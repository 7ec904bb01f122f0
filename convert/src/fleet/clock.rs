//! From the clock of a trace to that on the wall.

use rz_profile::model::Info;

/// Nanoseconds in a minute.
const MINUTE_NS: i64 = 60_000_000_000;

/// What time it was.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    /// What is added to times of the trace's clock.
    offset_ns: i128,
}

impl WallClock {
    /// That of a trace.
    pub fn of(info: &Info) -> WallClock {
        WallClock { offset_ns: i128::from(info.start_unix_ns) - i128::from(info.start_ns) }
    }

    /// Nanoseconds since the epoch; what is beyond all times is the last one.
    pub fn unix_ns(self, time_ns: u64) -> i64 {
        let time_ns = i128::from(time_ns) + self.offset_ns;
        time_ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// Microseconds of nanoseconds.
pub fn micros(unix_ns: i64) -> i64 {
    unix_ns.div_euclid(1_000)
}

/// The minute that a time is in, counted from the epoch.
pub fn minute(unix_ns: i64) -> i64 {
    unix_ns.div_euclid(MINUTE_NS)
}

/// When a minute begins, in microseconds since the epoch.
pub fn minute_micros(minute: i64) -> i64 {
    minute.saturating_mul(MINUTE_NS / 1_000)
}

/// The first minute of the hour that a minute is in.
pub fn hour(minute: i64) -> i64 {
    minute.div_euclid(60) * 60
}

/// How much of a length of time is in each minute of it, at most `most` minutes; the last
/// has the rest.
pub fn by_minute(from_ns: i64, to_ns: i64, most: usize) -> Vec<(i64, i64)> {
    let mut parts: Vec<(i64, i64)> = Vec::new();
    let mut at_ns = from_ns;
    while at_ns < to_ns {
        let this = minute(at_ns);
        let next_ns = (this + 1).saturating_mul(MINUTE_NS);
        let end_ns = if parts.len() + 1 >= most { to_ns } else { next_ns.min(to_ns) };
        parts.push((this, end_ns.saturating_sub(at_ns)));
        if end_ns <= at_ns {
            break;
        }
        at_ns = end_ns;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_cut_at_minutes() {
        let second = 1_000_000_000;
        assert_eq!(
            by_minute(50 * second, 130 * second, 9),
            [(0, 10 * second), (1, 60 * second), (2, 10 * second)]
        );
        assert_eq!(by_minute(50 * second, 130 * second, 2), [(0, 10 * second), (1, 70 * second)]);
        assert_eq!(by_minute(5, 5, 9), []);
        assert_eq!(by_minute(i64::MIN, i64::MAX, 3).len(), 3);
        assert_eq!((minute(-1), micros(-1), minute_micros(2)), (-1, -1, 120_000_000));
    }
}
