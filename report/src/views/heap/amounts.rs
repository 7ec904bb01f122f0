//! Counted and estimated numbers as people read them: an estimate has `~`
//! before it and its 95 % confidence interval beside it.

use rz_profile::heap::{Estimate, Sum};

use crate::render::format;

/// `12.3 MiB`, or `~12.3 MiB` if it is estimated.
pub(crate) fn bytes(estimate: Estimate) -> String {
    marked(estimate, format::bytes)
}

/// `1,234`, or `~1,234` if it is estimated.
pub(crate) fn count(estimate: Estimate) -> String {
    marked(estimate, format::count)
}

/// A round number of bytes: `512 KiB`, not `512.0 KiB`.
pub(crate) fn whole_bytes(bytes: u64) -> String {
    format::bytes(bytes).replace(".0 ", " ")
}

fn marked(estimate: Estimate, text: fn(u64) -> String) -> String {
    let mark = if estimate.is_exact() { "" } else { "~" };
    format!("{mark}{}", text(estimate.rounded()))
}

/// `±1.2 MiB`; nothing if it is exact.
pub(crate) fn bytes_margin(estimate: Estimate) -> String {
    margin(estimate, format::bytes)
}

/// `±123`; nothing if it is exact.
pub(crate) fn count_margin(estimate: Estimate) -> String {
    margin(estimate, format::count)
}

fn margin(estimate: Estimate, text: fn(u64) -> String) -> String {
    // Saturates.
    let margin = estimate.margin().round() as u64;
    if estimate.is_exact() || margin == 0 { String::new() } else { format!("±{}", text(margin)) }
}

/// `12.3 MiB`, or `~12.3 MiB ±1.2 MiB`.
pub(crate) fn bytes_and_margin(estimate: Estimate) -> String {
    joined(bytes(estimate), bytes_margin(estimate))
}

/// `1,234`, or `~1,234 ±123`.
pub(crate) fn count_and_margin(estimate: Estimate) -> String {
    joined(count(estimate), count_margin(estimate))
}

/// `1,234 objects`, or `~1,234 ±123 objects`.
pub(crate) fn counted(estimate: Estimate, noun: &str) -> String {
    let number = count_and_margin(estimate);
    let plural = if number.trim_start_matches('~') == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn joined(number: String, margin: String) -> String {
    if margin.is_empty() { number } else { format!("{number} {margin}") }
}

/// The average size of objects, which is as sure as what it is made from.
pub(crate) fn mean_size(sum: &Sum) -> String {
    let (bytes, objects) = (sum.bytes, sum.objects);
    if objects.value <= 0.0 {
        return "-".to_owned();
    }
    // The mark tells that it is estimated; its own variance is not needed.
    let variance = bytes.variance + objects.variance;
    self::bytes(Estimate { value: bytes.value / objects.value, variance })
}

/// `part` of `whole` in percent; 0 of nothing.
pub(crate) fn percent_of(part: Estimate, whole: Estimate) -> f64 {
    if whole.value <= 0.0 { 0.0 } else { (100.0 * part.value / whole.value).min(100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_marked() {
        let exact = Estimate { value: 1536.0, variance: 0.0 };
        let rough = Estimate { value: 1536.0, variance: 100.0 * 100.0 };
        assert_eq!((bytes(exact), bytes_margin(exact)), ("1.5 KiB".into(), String::new()));
        assert_eq!((bytes(rough), bytes_margin(rough)), ("~1.5 KiB".into(), "±196 B".into()));
        assert_eq!(counted(exact, "object"), "1,536 objects");
        assert_eq!(counted(rough, "object"), "~1,536 ±196 objects");
        assert_eq!(counted(Estimate { value: 1.0, variance: 0.0 }, "object"), "1 object");
        assert_eq!(percent_of(rough, Estimate::default()), 0.0);
        let all = Sum::of_object(100, 0);
        assert_eq!((mean_size(&all), mean_size(&Sum::default())), ("100 B".into(), "-".into()));
        assert_eq!(mean_size(&Sum::of_object(100, 1000)), "~100 B");
    }

    #[test]
    fn hostile_numbers_have_a_text() {
        let huge = Estimate { value: f64::MAX, variance: f64::MAX };
        assert!(bytes_and_margin(huge).starts_with("~16777216.0 TiB ±"));
        let none = Estimate { value: f64::NAN, variance: f64::INFINITY };
        assert_eq!(count(none), "~0");
    }
}
