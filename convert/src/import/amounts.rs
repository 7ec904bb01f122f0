//! What the numbers of an input are.

use rz_format::{Event, EventUnit};

/// Fractions are kept up to so many digits.
const MAX_DIGITS: u32 = 6;

/// A unit of an input, and how many of a trace's are one of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Amounts {
    pub(super) unit: EventUnit,
    factor: f64,
}

impl Amounts {
    pub(super) const MICROSECONDS: Amounts =
        Amounts { unit: EventUnit::Nanoseconds, factor: 1_000.0 };
    pub(super) const MILLISECONDS: Amounts =
        Amounts { unit: EventUnit::Nanoseconds, factor: 1_000_000.0 };
    pub(super) const SECONDS: Amounts = Amounts { unit: EventUnit::Nanoseconds, factor: 1e9 };
    pub(super) const BYTES: Amounts = Amounts { unit: EventUnit::Bytes, factor: 1.0 };
    pub(super) const THINGS: Amounts = Amounts { unit: EventUnit::Things, factor: 1.0 };

    /// One is one of the trace's.
    pub(super) fn units(unit: EventUnit) -> Amounts {
        Amounts { unit, factor: 1.0 }
    }

    /// The unit of this name, in the words of any tool.
    pub(super) fn of_unit(name: &str) -> Amounts {
        let time = |factor| Amounts { unit: EventUnit::Nanoseconds, factor };
        let cycles = |factor| Amounts { unit: EventUnit::Cycles, factor };
        match &name.to_ascii_lowercase()[..] {
            "nanoseconds" | "nanosecond" | "ns" => time(1.0),
            "microseconds" | "microsecond" | "us" | "µs" => Self::MICROSECONDS,
            "milliseconds" | "millisecond" | "ms" => Self::MILLISECONDS,
            "seconds" | "second" | "s" => Self::SECONDS,
            "minutes" | "minute" | "min" => time(60e9),
            "bytes" | "byte" | "b" => Self::BYTES,
            "kilobytes" | "kb" | "kib" => Amounts { factor: 1024.0, ..Self::BYTES },
            "megabytes" | "mb" | "mib" => Amounts { factor: 1048576.0, ..Self::BYTES },
            "gigabytes" | "gb" | "gib" => Amounts { factor: 1073741824.0, ..Self::BYTES },
            // As Instruments shortens them.
            "kc" => cycles(1e3),
            "mc" => cycles(1e6),
            "gc" => cycles(1e9),
            _ => Self::THINGS,
        }
    }

    /// The same, times a power of ten if `values` count things and have fractions, so that
    /// these keep their shares. The power is returned, too.
    pub(super) fn keeping_fractions(self, values: impl Iterator<Item = f64>) -> (Amounts, u32) {
        if self.unit != EventUnit::Things {
            return (self, 0);
        }
        let digits = values.map(fraction_digits).max().unwrap_or(0);
        (Amounts { factor: 10_f64.powi(digits.cast_signed()), ..self }, digits)
    }

    /// How many of the trace's units are one of these.
    pub(super) fn factor(self) -> f64 {
        self.factor
    }

    /// A number as a weight: what is below nothing, as in differences, is nothing.
    pub(super) fn weight(self, value: f64) -> u64 {
        // A cast stays in range, and makes 0 of what is no number.
        (value * self.factor).round() as u64
    }

    /// An event that counts these.
    pub(super) fn event(self, id: u32, name: &str) -> Event {
        Event { id, name: name.to_owned(), unit: self.unit.into(), frequency_hz: 0 }
    }
}

/// Digits behind the point that a number needs, up to those that are kept.
pub(super) fn fraction_digits(value: f64) -> u32 {
    let is_whole = |digits: &u32| {
        let scaled = value * 10_f64.powi(digits.cast_signed());
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().max(1.0)
    };
    (0..MAX_DIGITS).find(is_whole).unwrap_or(MAX_DIGITS)
}

/// A sentence about fractions that are kept by a power of ten.
pub(super) fn scaled_note(digits: u32) -> Option<String> {
    let factor = 10_u64.pow(digits);
    (digits > 0).then(|| {
        format!("numbers have fractions: all are {factor} times what they are in the input")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_keep_their_shares() {
        let check = |values: &[f64], expected: &[u64], digits| {
            let (amounts, found) = Amounts::THINGS.keeping_fractions(values.iter().copied());
            let weights: Vec<u64> = values.iter().map(|value| amounts.weight(*value)).collect();
            assert_eq!((&weights[..], found), (expected, digits), "{values:?}");
        };
        check(&[1.0, 2.0], &[1, 2], 0);
        check(&[1.5, 2.25, 1e3], &[150, 225, 100_000], 2);
        check(&[0.1, 0.2, 0.7], &[1, 2, 7], 1);
        check(&[1.0 / 3.0], &[333_333], 6);
        check(&[-4.0, f64::NAN, f64::INFINITY], &[0, 0, u64::MAX], MAX_DIGITS);
    }

    #[test]
    fn units_of_tools() {
        assert_eq!(Amounts::of_unit("milliseconds").weight(1.5), 1_500_000);
        assert_eq!(Amounts::of_unit("seconds").weight(0.25), 250_000_000);
        assert_eq!(Amounts::of_unit("bytes").unit, EventUnit::Bytes);
        assert_eq!(Amounts::of_unit("none").unit, EventUnit::Things);
    }
}
