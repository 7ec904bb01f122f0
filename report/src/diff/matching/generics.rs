//! Names of Rust functions as far as both of its ways to mangle tell them.
//!
//! The older way leaves out what a generic function was instantiated for, and
//! writes an implementation of a trait by where it is. When only one of two
//! builds uses it, the other one's names have to say as little.

use rz_profile::model::Function;
use rz_profile::symbolize::without_clone_suffixes;

/// How the linker's name of a Rust function is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mangling {
    /// `_ZN…17h0123456789abcdefE`.
    Legacy,
    /// `_R…`.
    V0,
}

/// How a function's name is mangled; `None` if it is no Rust function.
pub(super) fn mangling(function: &Function) -> Option<Mangling> {
    let name = without_clone_suffixes(&function.system_name);
    if name.starts_with("_R") {
        return Some(Mangling::V0);
    }
    let hash = name.strip_prefix("_ZN")?.strip_suffix('E')?;
    let hash = hash.get(hash.len().checked_sub(19)?..)?.strip_prefix("17h")?;
    hash.bytes().all(|b| b.is_ascii_hexdigit()).then_some(Mangling::Legacy)
}

/// `name` without type arguments, and with implementations named by type and
/// trait: `<Range as Iterator>::next` of both
/// `iter::range::<impl Iterator for Range<A>>::next` and
/// `<Range<u64> as Iterator>::next`.
pub(super) fn without_generics(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('<') {
        let (head, bracket) = rest.split_at(at);
        let Some(end) = closing(bracket) else {
            break;
        };
        let inner = &bracket[1..end];
        out.push_str(head);
        rest = &bracket[end + 1..];
        let is_path = out.ends_with("::");
        match inner.strip_prefix("impl ").filter(|_| is_path) {
            Some(implementation) => {
                out.clear();
                match split_for(implementation) {
                    Some((of, target)) => {
                        let (of, target) = (without_generics(of), without_generics(target));
                        out = format!("<{target} as {of}>");
                    }
                    None => out.push_str(&without_generics(implementation)),
                }
            }
            // Arguments of a function or a type.
            None if is_path => out.truncate(out.len() - 2),
            None if out.ends_with(|c: char| c.is_alphanumeric() || c == '_') => {}
            // A type as a trait.
            None => out += &format!("<{}>", without_generics(inner)),
        }
    }
    out.push_str(rest);
    out
}

/// Where the bracket that `text` begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            // Not the arrow of `fn() -> T`.
            '>' if last != '-' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        last = c;
    }
    None
}

/// The trait and the type of `T for X`; `for<'a>` is something else.
fn split_for(implementation: &str) -> Option<(&str, &str)> {
    let is_outside = |text: &str| text.matches('<').count() == text.matches('>').count();
    let mut places = implementation.match_indices(" for ");
    let (at, word) = places.find(|(at, _)| is_outside(&implementation[..*at]))?;
    Some((&implementation[..at], &implementation[at + word.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_mangle_say_the_same() {
        let check = |legacy, v0, expected: &str| {
            assert_eq!(without_generics(legacy), expected, "{legacy}");
            assert_eq!(without_generics(v0), expected, "{v0}");
        };
        check("app::run", "app::run", "app::run");
        check("app::fold", "app::fold::<&str, u64, app::sum::{closure}>", "app::fold");
        check("app::Job<T>::run", "app::Job<fn() -> u8>::run", "app::Job::run");
        check("alloc::vec::Vec<T,A>::push", "alloc::vec::Vec<u8>::push", "alloc::vec::Vec::push");
        check(
            "<core::ops::range::Range<T> as core::iter::Step>::next",
            "<core::ops::range::Range<u64> as core::iter::Step>::next",
            "<core::ops::range::Range as core::iter::Step>::next",
        );
        check(
            "core::iter::range::<impl core::iter::Iterator for core::ops::Range<A>>::next",
            "<core::ops::Range<u64> as core::iter::Iterator>::next",
            "<core::ops::Range as core::iter::Iterator>::next",
        );
        check("core::str::<impl str>::len", "str::len", "str::len");
        check(
            "std::thread::spawn_unchecked::{closure}::{closure}",
            "std::thread::spawn_unchecked::<app::start::{closure}, ()>::{closure}::{closure}",
            "std::thread::spawn_unchecked::{closure}::{closure}",
        );
        check("a<b", "a<b", "a<b");
        check("", "", "");
    }

    #[test]
    fn manglings() {
        let check = |system_name: &str, expected| {
            let function = Function { system_name: system_name.into(), ..Function::default() };
            assert_eq!(mangling(&function), expected, "{system_name}");
        };
        check("_RNvCs1234_3app3run", Some(Mangling::V0));
        check("_ZN3app3run17h0123456789abcdefE", Some(Mangling::Legacy));
        check("_ZN3app3run17h0123456789abcdefE.llvm.12", Some(Mangling::Legacy));
        check("_ZN4core3ops5Range$LT$A..B$GT$17h0123456789abcdefE", Some(Mangling::Legacy));
        check("_ZN3app3runEv", None);
        check("_ZNöE", None);
        check("main", None);
        check("", None);
    }
}
