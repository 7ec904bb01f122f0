//! Numbers and names as people read them.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use rz_profile::model::Unit;

/// A length of time with three significant digits: `12.3 s`, `450 ms`.
pub fn duration(ns: u64) -> String {
    let ns = ns as f64;
    let (value, unit) = match ns {
        n if n >= 0.9995e9 => (n / 1e9, "s"),
        n if n >= 0.9995e6 => (n / 1e6, "ms"),
        n if n >= 0.9995e3 => (n / 1e3, "µs"),
        n => (n, "ns"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A sum of weights in the unit of its event: time, memory, objects, or
/// counted cycles.
pub fn weight(unit: Unit, weight: u64) -> String {
    match unit {
        Unit::Nanoseconds => duration(weight),
        Unit::Bytes => bytes(weight),
        Unit::Count => count(weight),
        _ => scaled(weight),
    }
}

/// What a column of [`weight`]s is called.
pub fn weight_title(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanoseconds => "time",
        other => other.name(),
    }
}

/// A count with a decimal prefix: `4.21 G`.
fn scaled(count: u64) -> String {
    let n = count as f64;
    let (value, prefix) = match n {
        n if n >= 0.9995e12 => (n / 1e12, " T"),
        n if n >= 0.9995e9 => (n / 1e9, " G"),
        n if n >= 0.9995e6 => (n / 1e6, " M"),
        n if n >= 0.9995e3 => (n / 1e3, " k"),
        n => return format!("{n}"),
    };
    format!("{}{prefix}", three_digits(value))
}

fn three_digits(value: f64) -> String {
    match value {
        v if v >= 9999.5 => count(v.round() as u64),
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        0.0 => "0".to_owned(),
        v => format!("{v:.2}"),
    }
}

/// A count with separators: `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number that need not be whole: `1,000`, `12.5`.
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return count(value as u64);
    }
    three_digits(value)
}

/// A count and its noun: `1 thread`, `2 threads`.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A size in memory or on disk: `12.3 MiB`.
pub fn bytes(n: u64) -> String {
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    for unit in ["KiB", "MiB", "GiB"] {
        // What would be rounded to 1024.0 is 1.0 of the next unit.
        if value < 1023.95 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Bytes in hexadecimal digits, such as a build-id.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `part` of `whole` in percent; 0 of nothing.
pub fn percent_of(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// A percentage with one decimal, `<0.1%` for what would round to nothing.
pub fn percent(value: f64) -> String {
    if value > 0.0 && value < 0.05 { "<0.1%".to_owned() } else { format!("{value:.1}%") }
}

/// `name` in at most `width` characters. If it is too long, first the paths of
/// its type arguments go, as in `<Vec<T> as Clone>::clone`; then its middle:
/// the head tells the crate or class, the tail the function, and the tail
/// gets two thirds of the room.
pub fn shorten(name: &str, width: usize) -> Cow<'_, str> {
    if name.chars().count() <= width {
        return Cow::Borrowed(name);
    }
    let name = without_inner_paths(name);
    let length = name.chars().count();
    if length <= width {
        return Cow::Owned(name);
    }
    let room = width.saturating_sub(1);
    let head = room / 3;
    let tail = room - head;
    let kept = name.chars().take(head);
    let rest = name.chars().skip(length - tail);
    Cow::Owned(kept.chain(['…']).chain(rest).take(width).collect())
}

/// Names in at most `width` characters, so that those that differ still do if that is
/// possible: where [`shorten`] makes them the same, they are cut around where they begin to
/// differ.
pub fn shorten_apart<'n>(names: &[&'n str], width: usize) -> Vec<Cow<'n, str>> {
    let mut short: Vec<Cow<'n, str>> = names.iter().map(|name| shorten(name, width)).collect();
    let mut alike: FxHashMap<String, Vec<usize>> = FxHashMap::default();
    for (place, text) in short.iter().enumerate().filter(|(_, text)| matches!(text, Cow::Owned(_)))
    {
        alike.entry(text.clone().into_owned()).or_default().push(place);
    }
    for places in alike.into_values() {
        let first: Vec<char> = names[places[0]].chars().collect();
        let common = places.iter().map(|&place| {
            names[place].chars().zip(&first).take_while(|(one, other)| one == *other).count()
        });
        let common = common.filter(|common| *common < first.len()).min();
        if let Some(common) = common {
            places.iter().for_each(|&at| short[at] = cut_around(names[at], common, width).into());
        }
    }
    short
}

/// The beginning, the end and what is at a place in between, in `width` characters.
fn cut_around(name: &str, place: usize, width: usize) -> String {
    let name: Vec<char> = name.chars().collect();
    let (head, tail) = (width / 4, width / 4);
    let middle = width.saturating_sub(head + tail + 2);
    let start = place.saturating_sub(middle / 4);
    let rest = &name[name.len().saturating_sub(tail)..];
    let parts: [&[char]; 5] = if name.len() <= width {
        [&name, &[], &[], &[], &[]]
    } else if start <= head + 1 {
        [&name[..width.saturating_sub(tail + 1)], &['…'], rest, &[], &[]]
    } else if start + middle + 1 + tail >= name.len() {
        [&name[..head], &['…'], &name[name.len() - width.saturating_sub(head + 1)..], &[], &[]]
    } else {
        [&name[..head], &['…'], &name[start..start + middle], &['…'], rest]
    };
    parts.concat().into_iter().collect()
}

/// `name` with only the last segment of each path between `<` and `>`.
fn without_inner_paths(name: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(name.len());
    let mut depth = 0_usize;
    // Where in `out` the word that is being copied starts.
    let mut word = 0;
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if depth > 0
            && word < out.len()
            && let Some(next) = rest.strip_prefix("::")
            && next.starts_with(is_word)
        {
            out.truncate(word);
            rest = next;
            continue;
        }
        match c {
            '<' => depth += 1,
            // Not the arrow of `fn() -> T`.
            '>' if !out.ends_with('-') => depth = depth.saturating_sub(1),
            _ => {}
        }
        out.push(c);
        if !is_word(c) {
            word = out.len();
        }
        rest = after;
    }
    out
}

/// The time of day in UTC: hours, minutes, seconds and microseconds.
pub(crate) fn time_of_day(unix_ns: u64) -> String {
    let us = unix_ns / 1_000;
    let seconds = us / 1_000_000;
    let (hours, minutes) = (seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, us % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let check = |ns, text: &str| assert_eq!(duration(ns), text);
        check(0, "0 ns");
        check(999, "999 ns");
        check(1_500, "1.50 µs");
        check(999_600, "1.00 ms");
        check(45_060_000, "45.1 ms");
        check(999_900_000, "1.00 s");
        check(30_000_000_000, "30.0 s");
        check(99_960_000_000, "100 s");
        check(12_345_600_000_000, "12,346 s");
    }

    #[test]
    fn counts_and_sizes() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "thread"), "1 thread");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes((1 << 20) - 60), "1023.9 KiB");
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        assert_eq!(bytes((1 << 40) - 1), "1.0 TiB");
        assert_eq!(bytes(3 << 40), "3.0 TiB");
        assert_eq!(weight(Unit::Bytes, 1536), "1.5 KiB");
        assert_eq!(weight(Unit::Count, 1536), "1,536");
        assert_eq!(weight(Unit::Cycles, 4_210_000_000), "4.21 G");
    }

    #[test]
    fn small_shares_are_not_nothing() {
        assert_eq!(percent(0.0), "0.0%");
        assert_eq!(percent(0.01), "<0.1%");
        assert_eq!(percent(percent_of(1, 3)), "33.3%");
        assert_eq!(percent_of(1, 0), 0.0);
    }

    #[test]
    fn names_are_shortened_in_the_middle() {
        let check = |name, width, text: &str| assert_eq!(shorten(name, width), text);
        check("short", 5, "short");
        check("alloc::vec::Vec<T>::push", 13, "allo…T>::push");
        check("<alloc::vec::Vec<a::T> as core::Clone>::clone", 30, "<Vec<T> as Clone>::clone");
        check(
            "<app::F as Fn<fn() -> a::b::C>>::{closure#0}::x",
            46,
            "<F as Fn<fn() -> C>>::{closure#0}::x",
        );
        check("f::<app::g::{closure#0}, u8>", 27, "f::<g::{closure#0}, u8>");
        check("operator>>(std::istream)", 23, "operato…>(std::istream)");
        check("größe_überall", 7, "gr…rall");
        check("abc", 1, "…");
        check("abc", 0, "");
    }

    #[test]
    fn names_that_differ_are_kept_apart() {
        let check = |names: [&str; 2], width, expected: [&str; 2]| {
            let short = shorten_apart(&names, width);
            assert!(short.iter().all(|name| name.chars().count() <= width), "{short:?}");
            assert_eq!(short, expected);
        };
        check(["short", "other"], 5, ["short", "other"]);
        let names = [
            "engine::loader::readers::ParquetReader::decode_all_of_the_columns",
            "engine::loader::readers::ArrowReader::decode_all_of_the_columns",
        ];
        let expected = ["engine:…s::ParquetRead…columns", "engine:…s::ArrowReader…columns"];
        check(names, 30, expected);
        // Paths that would be left out.
        let names = ["Vec<alpha::Item>::push_back", "Vec<beta::Item>::push_back"];
        check(names, 20, ["Vec<alpha::Ite…_back", "Vec<beta::Item…_back"]);
        // The same is the same.
        let name = "engine::loader::readers::ParquetReader::decode";
        check([name, name], 20, ["engine…eader::decode"; 2]);
    }
}
