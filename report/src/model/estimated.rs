//! Counted and estimated numbers as they are shown: with the margin of a 95 %
//! confidence interval.

use rz_profile::heap::{Estimate, Heap, Sum};
use serde::{Serialize, Serializer};

/// A number that was counted, or estimated from samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Estimated {
    // Not rounded before it is written: shares and averages are made of it.
    /// The number.
    #[serde(serialize_with = "whole")]
    #[cfg_attr(test, schemars(with = "u64"))]
    pub value: f64,
    /// Half the length of its 95 % confidence interval; `null` if the number
    /// is exact.
    #[serde(serialize_with = "whole_or_null")]
    #[cfg_attr(test, schemars(with = "Option<u64>"))]
    pub margin: Option<f64>,
}

impl Estimated {
    /// A number that was counted.
    pub fn exact(value: u64) -> Self {
        Estimated { value: value as f64, margin: None }
    }

    /// Whether it was counted.
    pub fn is_exact(self) -> bool {
        self.margin.is_none()
    }
}

impl From<Estimate> for Estimated {
    fn from(estimate: Estimate) -> Self {
        let margin = (!estimate.is_exact()).then(|| estimate.margin());
        Estimated { value: estimate.value, margin }
    }
}

/// Objects, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShownSum {
    /// How many there were.
    pub objects: Estimated,
    /// Their size in bytes, as it was asked for.
    pub bytes: Estimated,
}

impl ShownSum {
    /// A sum of objects of a heap, with margins that allow for objects of which
    /// there is no sample.
    pub fn of(heap: &Heap, sum: &Sum) -> Self {
        let sum = heap.shown(sum);
        ShownSum { objects: sum.objects.into(), bytes: sum.bytes.into() }
    }
}

/// An integer near to a number; what is too large or no number saturates.
pub fn rounded(value: f64) -> u64 {
    value.round() as u64
}

fn whole<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(rounded(*value))
}

fn whole_or_null<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(rounded).serialize(serializer)
}

/// Writes numbers as integers.
pub(crate) fn all_whole<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().copied().map(rounded))
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn integers_are_written() {
        let check = |value, variance, expected| {
            let estimated = Estimated::from(Estimate { value, variance });
            assert_eq!(to_value(estimated).unwrap(), expected);
        };
        check(12.4, 0.0, json!({"value": 12, "margin": null}));
        check(12.5, 100.0, json!({"value": 13, "margin": 20}));
        // An estimate, however sure.
        check(1.0, f64::MIN_POSITIVE, json!({"value": 1, "margin": 0}));
        check(f64::MAX, f64::INFINITY, json!({"value": u64::MAX, "margin": u64::MAX}));
        check(f64::NAN, f64::NAN, json!({"value": 0, "margin": 0}));
        assert_eq!(Estimated::exact(7), Estimate { value: 7.0, variance: 0.0 }.into());
    }
}
