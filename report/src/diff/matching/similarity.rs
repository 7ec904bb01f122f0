//! Tells how alike two names are.

use rustc_hash::FxHashMap;

use super::canonical::bare_name;

/// From 0 (nothing in common) to 1 (equal), mostly by the last part of the
/// names; of closures, which are all called the same, by the whole.
pub(super) fn similarity(a: &str, b: &str) -> f64 {
    let whole = pairs_in_common(a, b);
    let (bare_a, bare_b) = (bare_name(a), bare_name(b));
    let tells_nothing = |name: &str| name.starts_with(['{', '\'', '$']) || name == "operator()";
    if tells_nothing(bare_a) || tells_nothing(bare_b) {
        return whole;
    }
    let bare = pairs_in_common(bare_a, bare_b).max(words_in_common(bare_a, bare_b));
    0.7 * bare + 0.3 * whole
}

/// Dice's coefficient of pairs of neighbouring characters, regardless of case.
fn pairs_in_common(a: &str, b: &str) -> f64 {
    let pairs = |name: &str| -> Vec<[u8; 2]> {
        let name = name.to_ascii_lowercase();
        name.as_bytes().windows(2).map(|pair| [pair[0], pair[1]]).collect()
    };
    if a == b { 1.0 } else { dice(&pairs(a), &pairs(b)) }
}

/// Dice's coefficient of the words that underscores and capitals separate.
fn words_in_common(a: &str, b: &str) -> f64 {
    dice(&words(a), &words(b))
}

fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = '_';
    for c in name.chars() {
        if c.is_alphanumeric() {
            let begins = !last.is_alphanumeric() || (c.is_uppercase() && !last.is_uppercase());
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        last = c;
    }
    words
}

/// Twice what two lists have in common, in parts of both.
fn dice<T: std::hash::Hash + Eq>(a: &[T], b: &[T]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let mut counts: FxHashMap<&T, usize> = FxHashMap::default();
    a.iter().for_each(|item| *counts.entry(item).or_default() += 1);
    let mut common = 0_u32;
    for item in b {
        if let Some(count) = counts.get_mut(item).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    2.0 * f64::from(common) / (a.len() + b.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_changed_are_alike() {
        let check = |a, b, range: std::ops::RangeInclusive<f64>| {
            let found = similarity(a, b);
            assert!(range.contains(&found), "{a} {b}: {found}");
            assert!((similarity(b, a) - found).abs() < 1e-12);
        };
        check("parse", "parse", 1.0..=1.0);
        check("parse_row", "parse_line", 0.45..=0.8);
        check("app::old::parse(int)", "app::io::parse(char)", 0.8..=0.99);
        check("hash_find", "find_hash", 0.7..=0.99);
        check("readBlock", "read_block", 0.8..=1.0);
        check("app::work::{closure}", "app::idle::{closure}", 0.5..=0.9);
        check("compress", "render", 0.0..=0.3);
        check("a", "b", 0.0..=0.0);
        check("", "b", 0.0..=0.0);
    }
}
