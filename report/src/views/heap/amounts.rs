//! Counted and estimated numbers as people read them: an estimate has `~`
//! before it and its 95 % confidence interval beside it.

use crate::model::estimated::{Estimated, ShownSum, rounded};
use crate::render::format;

/// `12.3 MiB`, or `~12.3 MiB` if it is estimated.
pub(crate) fn bytes(estimate: Estimated) -> String {
    marked(estimate, format::bytes)
}

/// `1,234`, or `~1,234` if it is estimated.
pub(crate) fn count(estimate: Estimated) -> String {
    marked(estimate, format::count)
}

/// A round number of bytes: `512 KiB`, not `512.0 KiB`.
pub(crate) fn whole_bytes(bytes: u64) -> String {
    format::bytes(bytes).replace(".0 ", " ")
}

fn marked(estimate: Estimated, text: fn(u64) -> String) -> String {
    let mark = if estimate.is_exact() { "" } else { "~" };
    format!("{mark}{}", text(rounded(estimate.value)))
}

/// `±1.2 MiB`; nothing if it is exact.
pub(crate) fn bytes_margin(estimate: Estimated) -> String {
    margin(estimate, format::bytes)
}

/// `±123`; nothing if it is exact.
pub(crate) fn count_margin(estimate: Estimated) -> String {
    margin(estimate, format::count)
}

fn margin(estimate: Estimated, text: fn(u64) -> String) -> String {
    match estimate.margin.map_or(0, rounded) {
        0 => String::new(),
        margin => format!("±{}", text(margin)),
    }
}

/// `12.3 MiB`, or `~12.3 MiB ±1.2 MiB`.
pub(crate) fn bytes_and_margin(estimate: Estimated) -> String {
    joined(bytes(estimate), bytes_margin(estimate))
}

/// `1,234`, or `~1,234 ±123`.
pub(crate) fn count_and_margin(estimate: Estimated) -> String {
    joined(count(estimate), count_margin(estimate))
}

/// `1,234 objects`, or `~1,234 ±123 objects`.
pub(crate) fn counted(estimate: Estimated, noun: &str) -> String {
    let number = count_and_margin(estimate);
    let plural = if number.trim_start_matches('~') == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn joined(number: String, margin: String) -> String {
    if margin.is_empty() { number } else { format!("{number} {margin}") }
}

/// The average size of objects, which is as sure as what it is made from.
pub(crate) fn mean_size(sum: &ShownSum) -> String {
    let (bytes, objects) = (sum.bytes, sum.objects);
    if objects.value <= 0.0 {
        return "-".to_owned();
    }
    // The mark tells that it is estimated; its own margin is not needed.
    let margin = bytes.margin.or(objects.margin);
    self::bytes(Estimated { value: bytes.value / objects.value, margin })
}

/// `part` of `whole` in percent; 0 of nothing.
pub(crate) fn percent_of(part: Estimated, whole: Estimated) -> f64 {
    if whole.value <= 0.0 { 0.0 } else { (100.0 * part.value / whole.value).min(100.0) }
}

#[cfg(test)]
mod tests {
    use rz_profile::heap::{Estimate, Heap, Sum};

    use super::*;

    fn estimated(value: f64, variance: f64) -> Estimated {
        Estimate { value, variance }.into()
    }

    fn mean_size_of(sum: Sum) -> String {
        mean_size(&ShownSum::of(&Heap::default(), &sum))
    }

    #[test]
    fn estimates_are_marked() {
        let exact = estimated(1536.0, 0.0);
        let rough = estimated(1536.0, 100.0 * 100.0);
        assert_eq!((bytes(exact), bytes_margin(exact)), ("1.5 KiB".into(), String::new()));
        assert_eq!((bytes(rough), bytes_margin(rough)), ("~1.5 KiB".into(), "±196 B".into()));
        assert_eq!(counted(exact, "object"), "1,536 objects");
        assert_eq!(counted(rough, "object"), "~1,536 ±196 objects");
        assert_eq!(counted(estimated(1.0, 0.0), "object"), "1 object");
        assert_eq!(percent_of(rough, Estimated::default()), 0.0);
        assert_eq!(mean_size_of(Sum::of_object(100, 0)), "100 B");
        assert_eq!(mean_size_of(Sum::default()), "-");
        assert_eq!(mean_size_of(Sum::of_object(100, 1000)), "~100 B");
    }

    #[test]
    fn hostile_numbers_have_a_text() {
        let huge = estimated(f64::MAX, f64::MAX);
        assert!(bytes_and_margin(huge).starts_with("~16777216.0 TiB ±"));
        let none = estimated(f64::NAN, f64::INFINITY);
        assert_eq!(count(none), "~0");
    }
}
