//! Moments of a recording, and windows between two of them.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::model::{Nanos, show_time};

/// Units of time and their length, those first that others end with.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A moment of a recording, whenever and however long that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// So long after the start, written as `1m30s` or `250ms`.
    AfterStart(Nanos),
    /// So long before the end, written as `-5s`.
    BeforeEnd(Nanos),
    /// When so much of it was over, in millionths; written as `50%`.
    Share(u32),
}

/// The text is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is needed, such as 10s, 1m30s, 250ms, -5s (before the end) or 50%")]
pub struct MomentError;

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.parse().map_err(|_| MomentError)?;
            let valid = (0.0..=100.0).contains(&percent);
            return valid.then(|| Moment::Share((percent * 1e4).round() as u32)).ok_or(MomentError);
        }
        match text.strip_prefix('-') {
            Some(text) => parse_length(text).map(Moment::BeforeEnd),
            None => parse_length(text).map(Moment::AfterStart),
        }
        .ok_or(MomentError)
    }
}

/// Numbers with their units, one after the other; `0` needs none.
fn parse_length(text: &str) -> Option<Nanos> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut sum = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let (unit, length) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        sum += number.parse::<f64>().ok()? * *length as f64;
        rest = &behind[unit.len()..];
    }
    // Saturates.
    (!text.is_empty()).then_some(sum.round() as u64)
}

/// A window of time on a trace's clock. The default is all there is, whatever
/// the trace says of its start and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Where it begins.
    pub from_ns: Nanos,
    /// Where it ends, which is not part of it; [`Nanos::MAX`] if it has no end.
    pub to_ns: Nanos,
}

impl Default for Window {
    fn default() -> Self {
        Window { from_ns: 0, to_ns: Nanos::MAX }
    }
}

/// Why there is nothing in a window, whatever was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WindowError {
    /// It begins when the recording is over.
    BeyondEnd {
        /// Where it begins, since the start of the recording.
        from_ns: Nanos,
        /// How long the recording is.
        length_ns: Nanos,
    },
    /// It does not end after it begins.
    Empty {
        /// Where it begins, since the start of the recording.
        from_ns: Nanos,
        /// Where it ends.
        to_ns: Nanos,
    },
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            WindowError::BeyondEnd { from_ns, length_ns } => write!(
                f,
                "nothing to show from {} on: the recording is {} long",
                show_time(from_ns),
                show_time(length_ns)
            ),
            WindowError::Empty { from_ns, to_ns } => {
                write!(f, "there is no time from {} to {}", show_time(from_ns), show_time(to_ns))
            }
        }
    }
}

impl std::error::Error for WindowError {}

impl Window {
    /// The window between two moments of a recording that has this start and
    /// end. What reaches beyond either is taken for all there is.
    pub(crate) fn resolve(
        from: Option<Moment>,
        to: Option<Moment>,
        recording: Range<Nanos>,
    ) -> Result<Window, WindowError> {
        let length_ns = recording.end.saturating_sub(recording.start);
        let since_start = |moment| match moment {
            Moment::AfterStart(ns) => ns,
            Moment::BeforeEnd(ns) => length_ns.saturating_sub(ns),
            Moment::Share(millionths) => {
                (u128::from(length_ns) * u128::from(millionths) / 1_000_000) as u64
            }
        };
        let (from_ns, to_ns) = (from.map_or(0, since_start), to.map_or(Nanos::MAX, since_start));
        if from_ns > 0 && from_ns >= length_ns {
            return Err(WindowError::BeyondEnd { from_ns, length_ns });
        }
        if from_ns >= to_ns {
            return Err(WindowError::Empty { from_ns, to_ns });
        }
        let mut window = Window::default();
        if from_ns > 0 {
            window.from_ns = recording.start.saturating_add(from_ns);
        }
        if to_ns < length_ns {
            window.to_ns = recording.start.saturating_add(to_ns);
        }
        Ok(window)
    }

    /// Whether all there is lies in it.
    pub fn is_everything(self) -> bool {
        self == Window::default()
    }

    /// What lies in both; without length if nothing does.
    pub(crate) fn and(self, other: Window) -> Window {
        let from_ns = self.from_ns.max(other.from_ns);
        Window { from_ns, to_ns: self.to_ns.min(other.to_ns).max(from_ns) }
    }

    /// Whether a moment lies in it.
    pub fn has(self, time_ns: Nanos) -> bool {
        time_ns >= self.from_ns && (time_ns < self.to_ns || self.to_ns == Nanos::MAX)
    }

    /// Whether an interval reaches into it. One without length is a moment.
    pub fn touches(self, start_ns: Nanos, end_ns: Nanos) -> bool {
        match start_ns < end_ns {
            true => start_ns < self.to_ns && end_ns > self.from_ns,
            false => self.has(start_ns),
        }
    }

    /// The part of an interval that lies in it, or where it would.
    pub(crate) fn cut(self, start_ns: Nanos, end_ns: Nanos) -> (Nanos, Nanos) {
        (start_ns.clamp(self.from_ns, self.to_ns), end_ns.clamp(self.from_ns, self.to_ns))
    }

    /// How much of an amount that is spread evenly over an interval lies in
    /// it. Windows that follow each other share all of it.
    pub(crate) fn part(self, amount: u64, start_ns: Nanos, end_ns: Nanos) -> u64 {
        let Some(length) = end_ns.checked_sub(start_ns).filter(|&length| length > 0) else {
            return if self.has(start_ns) { amount } else { 0 };
        };
        let up_to = |time_ns: Nanos| {
            let before = time_ns.clamp(start_ns, end_ns) - start_ns;
            (u128::from(amount) * u128::from(before) / u128::from(length)) as u64
        };
        up_to(self.to_ns) - up_to(self.from_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::Moment::*;
    use super::*;

    #[test]
    fn moments_are_parsed() {
        let check = |text: &str, expected| assert_eq!(text.parse().ok(), expected, "{text}");
        check("10s", Some(AfterStart(10_000_000_000)));
        check("1m30s", Some(AfterStart(90_000_000_000)));
        check("1min", Some(AfterStart(60_000_000_000)));
        check("250ms", Some(AfterStart(250_000_000)));
        check("1.5s", Some(AfterStart(1_500_000_000)));
        check("3us", Some(AfterStart(3_000)));
        check("0", Some(AfterStart(0)));
        check("-5s", Some(BeforeEnd(5_000_000_000)));
        check("50%", Some(Share(500_000)));
        check("99999999999h", Some(AfterStart(u64::MAX)));
        for wrong in ["", "-", "10", "s", "5 s", "1.2.3s", "--5s", "101%", "%", "1e3s", "5x"] {
            check(wrong, None);
        }
    }

    #[test]
    fn times_are_shown_as_they_are_read() {
        for text in ["0s", "10s", "90s", "250ms", "1.5s", "0.003ms"] {
            let Ok(AfterStart(ns)) = text.parse() else { panic!("{text}") };
            assert_eq!(show_time(ns), text);
        }
        assert_eq!(show_time(12_345_678_901), "12.346s");
    }

    #[test]
    fn windows_of_a_recording() {
        let check = |from: &str, to: &str, expected: Result<(u64, u64), &str>| {
            let moment = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
            let start = 1_000_000_000_000;
            let window = Window::resolve(moment(from), moment(to), start..start + 10_000_000_000);
            let window = window.map(|window| (window.from_ns, window.to_ns));
            let expected = expected.map(|(from, to)| {
                let at = |seconds, open| {
                    if seconds == open { open } else { start + seconds * 1_000_000_000 }
                };
                (at(from, 0), at(to, u64::MAX))
            });
            assert_eq!(window.map_err(|e| e.to_string()), expected.map_err(str::to_owned));
        };
        check("2s", "4s", Ok((2, 4)));
        check("-8s", "-6s", Ok((2, 4)));
        check("20%", "40%", Ok((2, 4)));
        check("", "4s", Ok((0, 4)));
        check("2s", "", Ok((2, u64::MAX)));
        // All of it, and more than that.
        check("0", "10s", Ok((0, u64::MAX)));
        check("-20s", "20s", Ok((0, u64::MAX)));
        check("10s", "", Err("nothing to show from 10s on: the recording is 10s long"));
        check("4s", "2s", Err("there is no time from 4s to 2s"));
        check("", "-10s", Err("there is no time from 0s to 0s"));
    }

    #[test]
    fn windows_share_all_of_an_amount() {
        let parts = |amount, start, end, bounds: &[u64]| {
            let window = |pair: &[u64]| Window { from_ns: pair[0], to_ns: pair[1] };
            let parts = bounds.windows(2).map(|pair| window(pair).part(amount, start, end));
            parts.collect::<Vec<_>>()
        };
        assert_eq!(parts(10, 100, 200, &[0, 150, u64::MAX]), [5, 5]);
        assert_eq!(parts(10, 100, 103, &[0, 101, 102, u64::MAX]), [3, 3, 4]);
        assert_eq!(parts(10, 100, 200, &[0, 100, 200, 300]), [0, 10, 0]);
        assert_eq!(parts(10, 100, 100, &[0, 100, 200]), [0, 10]);
        assert_eq!(parts(u64::MAX, 0, u64::MAX, &[0, u64::MAX]), [u64::MAX]);
    }

    #[test]
    fn what_touches_a_window() {
        let window = Window { from_ns: 10, to_ns: 20 };
        let touches = [(0, 10), (0, 11), (19, 30), (20, 30), (0, 30), (10, 10), (20, 20)]
            .map(|(start, end)| window.touches(start, end));
        assert_eq!(touches, [false, true, true, false, true, true, false]);
    }
}
