//! When lines of logs were written: what strace and ltrace put before each call.

/// When a line was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Time {
    /// Nanoseconds since the Unix epoch.
    Epoch(u64),
    /// The same since midnight.
    OfDay(u64),
    /// The same since the line before.
    Since(u64),
}

/// Takes the thread off a line: `[pid 12] rest`, `12 rest`.
pub(super) fn thread(text: &str) -> (Option<u32>, &str) {
    let named = text.strip_prefix("[pid").and_then(|rest| rest.split_once(']'));
    let (number, rest) = match named.or_else(|| text.split_once(' ')) {
        Some(found) => found,
        None => return (None, text),
    };
    match number.trim().parse() {
        Ok(tid) => (Some(tid), rest.trim_start()),
        Err(_) => (None, text),
    }
}

/// The same with the time: `12:34:56.789 rest`, `1700000000.123456 rest`, `0.000123 rest`.
pub(super) fn time(text: &str) -> (Option<Time>, &str) {
    let Some((word, rest)) = text.split_once(' ') else { return (None, text) };
    let time = match word.splitn(3, ':').collect::<Vec<_>>()[..] {
        [hours, minutes, seconds] => of_day(hours, minutes, seconds),
        _ => nanos(word).map(|ns| if ns >= EPOCH { Time::Epoch(ns) } else { Time::Since(ns) }),
    };
    let Some(time) = time else { return (None, text) };
    // Beside the time of day, strace -r puts `(+     0.000123)`.
    let rest = rest.trim_start();
    let behind = rest.strip_prefix("(+").and_then(|rest| rest.split_once(')'));
    (Some(time), behind.map_or(rest, |(_, rest)| rest.trim_start()))
}

/// The same with what is in brackets: the call's number, or the address that it was made at.
pub(super) fn bracketed(mut text: &str) -> &str {
    while let Some((_, after)) = text.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        text = after.trim_start();
    }
    text
}

/// Takes the time that a call took off its end: `... <0.000012>`.
pub(super) fn duration(text: &str) -> (&str, Option<u64>) {
    let timed = text.strip_suffix('>').and_then(|rest| rest.rsplit_once(" <"));
    match timed.map(|(rest, time)| (rest, nanos(time))) {
        Some((rest, Some(took_ns))) => (rest, Some(took_ns)),
        _ => (text, None),
    }
}

/// Seconds from here on are a time of this century, and none since the line before.
const EPOCH: u64 = 900_000_000 * 1_000_000_000;

fn of_day(hours: &str, minutes: &str, seconds: &str) -> Option<Time> {
    let whole = |text: &str, below| text.parse::<u64>().ok().filter(|number| *number < below);
    let minutes = whole(hours, 24)? * 60 + whole(minutes, 60)?;
    Some(Time::OfDay(minutes * 60_000_000_000 + nanos(seconds)?))
}

/// Seconds, with or without a fraction, as nanoseconds.
fn nanos(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || fraction.len() > 9 || !is_digits(seconds) || !is_digits(fraction) {
        return None;
    }
    let parts = format!("{fraction:0<9}").parse::<u64>().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(parts)
}

const DAY_NS: u64 = 86_400_000_000_000;

/// Turns what lines say of time into nanoseconds since the first of them.
#[derive(Debug)]
pub(super) struct Clock {
    first: Option<Time>,
    now_ns: u64,
    latest_ns: u64,
}

impl Clock {
    /// The clock of a log whose first time is this.
    pub(super) fn since(first: Option<Time>) -> Clock {
        Clock { first, now_ns: 0, latest_ns: 0 }
    }

    /// When a line was written; one without a time as the one before.
    pub(super) fn at(&mut self, time: Option<Time>) -> u64 {
        self.now_ns = match (time, self.first) {
            (Some(Time::Epoch(ns)), Some(Time::Epoch(first))) => ns.saturating_sub(first),
            (Some(Time::OfDay(ns)), Some(Time::OfDay(first))) => {
                // Beyond midnight it begins anew; lines of threads are out of order by less.
                let since = (DAY_NS + ns - first) % DAY_NS;
                let days = self.latest_ns / DAY_NS * DAY_NS;
                let is_next_day = days + since + DAY_NS / 2 < self.latest_ns;
                days + since + if is_next_day { DAY_NS } else { 0 }
            }
            (Some(Time::Since(ns)), Some(Time::Since(_))) => self.now_ns.saturating_add(ns),
            _ => self.now_ns,
        };
        self.latest_ns = self.latest_ns.max(self.now_ns);
        self.now_ns
    }

    /// The latest time that there was.
    pub(super) fn latest_ns(&self) -> u64 {
        self.latest_ns
    }
}

/// When a log begins, in nanoseconds since the Unix epoch, if its first time says that.
pub(super) fn epoch_ns(first: Option<Time>) -> Option<u64> {
    match first {
        Some(Time::Epoch(ns)) => Some(ns),
        Some(Time::OfDay(_) | Time::Since(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        let check = |times: &[Time], expected: &[u64]| {
            let mut clock = Clock::since(times.first().copied());
            let found: Vec<u64> = times.iter().map(|time| clock.at(Some(*time))).collect();
            assert_eq!(found, expected, "{times:?}");
        };
        check(&[Time::Epoch(1_000), Time::Epoch(1_005), Time::Epoch(900)], &[0, 5, 0]);
        check(&[Time::Since(7), Time::Since(5), Time::Since(1)], &[7, 12, 13]);
        let late = DAY_NS - 10;
        let (hours, two) = (DAY_NS / 24, 2 * DAY_NS);
        check(
            &[
                Time::OfDay(late),
                Time::OfDay(5),
                Time::OfDay(12 * hours),
                Time::OfDay(late),
                Time::OfDay(0),
            ],
            &[0, 15, 12 * hours + 10, DAY_NS, DAY_NS + 10],
        );
        check(&[Time::OfDay(late), Time::Epoch(two)], &[0, 0]);
    }
}
