//! Turns the linker's names into names for people.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Longest name that is given out, in bytes; a longer demangled name is
/// dropped for the mangled one, a longer mangled one is cut.
pub(super) const MAX_NAME: usize = 4 << 10;

/// Longest mangled name that is tried. Substitutions let a short name stand
/// for a huge one, so both the input and the output are bounded.
const MAX_MANGLED: usize = 16 << 10;

/// Name for people of a linker's name: Rust names without their hash, C++
/// names as `c++filt` prints them, other names as they are.
///
/// Suffixes of compiler-made parts and copies (`.cold`, `.constprop.0`) are
/// dropped: debug information does not have them, and a function keeps its
/// name whether there is any or not. `@plt` stays.
pub(crate) fn demangle(system_name: &str) -> Cow<'_, str> {
    if let Some(target) = system_name.strip_suffix("@plt") {
        return Cow::Owned(format!("{}@plt", demangle(target)));
    }
    let base = without_clone_suffixes(system_name);
    match demangle_base(base) {
        Some(name) if !name.is_empty() => Cow::Owned(name),
        _ => Cow::Borrowed(base),
    }
}

fn demangle_base(name: &str) -> Option<String> {
    if name.len() > MAX_MANGLED {
        return None;
    }
    let mut out = Bounded(String::new());
    if name.starts_with("_R") || is_rust_legacy(name) {
        // The alternate form leaves the hash out.
        write!(out, "{:#}", rustc_demangle::try_demangle(name).ok()?).ok()?;
    } else if name.starts_with("_Z") || name.starts_with("_GLOBAL_") {
        // Parser and printer stop at about a hundred levels on their own.
        let symbol = cpp_demangle::Symbol::new(name).ok()?;
        symbol.structured_demangle(&mut out, &cpp_demangle::DemangleOptions::new()).ok()?;
    }
    Some(out.0)
}

/// Whether a name is in the first of Rust's two schemes, which looks like C++
/// but ends in a component such as `17h0123456789abcdef`.
fn is_rust_legacy(name: &str) -> bool {
    let hash = || {
        let rest = name.strip_prefix("_ZN")?.strip_suffix('E')?;
        let (_, hash) = rest.split_at_checked(rest.len().checked_sub(19)?)?;
        hash.strip_prefix("17h")
    };
    hash().is_some_and(|hash| hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Drops what compilers append to the name of a function that they split or
/// copied, such as `.part.0`, `.isra.0.cold` or `.llvm.123`.
pub fn without_clone_suffixes(name: &str) -> &str {
    const ALONE: [&str; 6] = ["cold", "localalias", "hot", "argprom", "argelim", "retelim"];
    const NUMBERED: [&str; 10] = [
        "part",
        "constprop",
        "isra",
        "llvm",
        "lto_priv",
        "cold",
        "__uniq",
        "specialized",
        "__part",
        "localalias",
    ];
    let mut name = name;
    while let Some((rest, last)) = name.rsplit_once('.').filter(|(rest, _)| !rest.is_empty()) {
        let numbered = last.bytes().all(|b| b.is_ascii_digit()) && !last.is_empty();
        name = match rest.rsplit_once('.') {
            _ if ALONE.contains(&last) => rest,
            Some((base, kind)) if numbered && NUMBERED.contains(&kind) && !base.is_empty() => base,
            _ => break,
        };
    }
    name
}

/// A string that refuses to grow beyond [`MAX_NAME`].
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len() + part.len() > MAX_NAME {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_people() {
        for (mangled, expected) in [
            // C.
            ("main", "main"),
            ("__libc_start_main", "__libc_start_main"),
            ("", ""),
            (".text", ".text"),
            ("puts@plt", "puts@plt"),
            ("parse.cold", "parse"),
            ("parse.constprop.0.isra.0.cold", "parse"),
            ("parse.part.12", "parse"),
            ("parse.localalias.3", "parse"),
            ("counter.1", "counter.1"),
            (".cold", ".cold"),
            // C++.
            ("_Z3foov", "foo()"),
            ("_ZN3foo3barEv", "foo::bar()"),
            ("_ZN3foo3barEv@plt", "foo::bar()@plt"),
            ("_ZN3foo3barEv.cold", "foo::bar()"),
            ("_ZN3foo3barE", "foo::bar"),
            ("_Z3maxIiET_S0_S0_", "int max<int>(int, int)"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()() const"),
            ("_ZN12_GLOBAL__N_14workEi", "(anonymous namespace)::work(int)"),
            ("_Zgarbage", "_Zgarbage"),
            // Rust.
            ("_ZN4core3ptr4read17h0123456789abcdefE", "core::ptr::read"),
            ("_ZN4core3ptr4read17h0123456789abcdefE.llvm.77", "core::ptr::read"),
            (
                "_ZN40_$LT$T$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE",
                "<T as core::fmt::Display>::fmt",
            ),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
            ("_Rgarbage", "_Rgarbage"),
        ] {
            assert_eq!(demangle(mangled), expected, "{mangled}");
        }
    }

    /// A valid C++ name whose parameters each contain the one before twice.
    fn doubling(parameters: u32) -> String {
        let digit = |i| char::from_digit(i, 36).unwrap().to_ascii_uppercase();
        let pair = |i| format!("S_IS{0}_S{0}_E", digit(i));
        format!("_Z1f1AIiiE{}", (0..parameters).map(pair).collect::<String>())
    }

    #[test]
    fn hostile_names_stay_as_they_are() {
        assert_eq!(demangle(&doubling(1)), "f(A<int, int>, A<A<int, int>, A<int, int> >)");
        for name in [
            doubling(36),
            format!("_Z1f{}i", "P".repeat(10_000)),
            format!("_Z1f{}", "I".repeat(10_000)),
            format!("_RINvC1a1f{}E", "S".repeat(10_000)),
            format!("_Z{}x", "9".repeat(5_000)),
            format!("_Z5000{}v", "f".repeat(5_000)),
            format!("_Z20000{}v", "f".repeat(20_000)),
        ] {
            assert!(demangle(&name) == name, "{}…", &name[..20]);
        }
    }
}
