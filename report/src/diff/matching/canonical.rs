//! Names of functions without what changes from one build to the next.

use std::borrow::Cow;

use rz_profile::symbolize::without_clone_suffixes;

/// `name` without what compilers number or hash anew in every build.
///
/// | dropped | as in |
/// |---|---|
/// | suffixes of parts and copies | `parse.constprop.0`, `parse() [clone .isra.0]`, `f() (.llvm.17)` |
/// | hashes of Rust | `app::run::h0123456789abcdef`, `app[58b2a2fca2ab4a04]::run` |
/// | numbers of closures and lambdas | `run::{closure#1}`, `run::{{closure}}`, `main::{lambda(int)#2}`, `'lambda3'`, `$_4`, `main.run.func1` |
/// | numbers of outlined loops | `work._omp_fn.3` |
/// | tags of the C++ library's version | `push_back[abi:ne180100]` |
/// | brackets around a type with methods of its own | `<app::Job>::run`, which older Rust writes `app::Job::run` |
///
/// Numbers that are part of what somebody wrote stay: `v1.2`, `[u8; 4]`,
/// `read64`. Names in brackets, such as `[app+0x12]`, stay as they are.
pub fn canonical_name(name: &str) -> Cow<'_, str> {
    if name.starts_with('[') {
        return Cow::Borrowed(name);
    }
    let name = without_numbered_end(without_suffixes(name));
    let inner = name.strip_prefix('<').and_then(|rest| unbracketed(rest));
    if inner.is_none() && !name.contains(['{', '[', '\'', '$', '#']) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    match inner {
        Some((type_name, rest)) => {
            push_unnumbered(&mut out, type_name);
            push_unnumbered(&mut out, rest);
        }
        None => push_unnumbered(&mut out, name),
    }
    Cow::Owned(out)
}

/// Drops suffixes of copies and hashes, in whatever order they are.
fn without_suffixes(name: &str) -> &str {
    let mut name = name;
    loop {
        let shorter = if let Some((head, clone)) = name.rsplit_once(" [clone ")
            && clone.ends_with(']')
        {
            head
        } else if let Some((head, _)) = name.rsplit_once(" (.")
            && name.ends_with(')')
        {
            head
        } else if let Some((head, hash)) = name.rsplit_once("::h")
            && hash.len() == 16
            && is_hex(hash)
        {
            head
        } else {
            without_clone_suffixes(name)
        };
        if shorter.is_empty() || shorter == name {
            return name;
        }
        name = shorter;
    }
}

/// Drops the numbers behind `.func`, `.gowrap` and `.deferwrap` (Go's
/// closures, which nest as in `.func1.2`), `._omp_fn.` and `.omp_outlined.`
/// (loops that run in parallel), and `__anon_` (Zig).
fn without_numbered_end(name: &str) -> &str {
    let head = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let closures = [".func", ".gowrap", ".deferwrap", "._omp_fn", ".omp_outlined", "__anon_"];
    let is_closure =
        closures.iter().any(|end| head.strip_suffix(end).is_some_and(|s| !s.is_empty()));
    if is_closure || head == ".omp_outlined" { head } else { name }
}

/// `T` and `::f` of `T>::f`, unless `T` is a type as a trait.
fn unbracketed(rest: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    let mut last = ' ';
    for (at, c) in rest.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            // Not the arrow of `fn() -> T`.
            '>' if last == '-' => {}
            '>' if depth == 0 => {
                let (type_name, rest) = (&rest[..at], &rest[at + 1..]);
                // A path; `[u8]` and `&T` cannot do without brackets.
                let path = type_name.starts_with(is_word) && !type_name.starts_with("dyn ");
                return (path && rest.starts_with("::")).then_some((type_name, rest));
            }
            '>' => depth -= 1,
            ' ' if depth == 0 && rest[at..].starts_with(" as ") => return None,
            _ => {}
        }
        last = c;
    }
    None
}

/// Appends `name` without numbers of closures and hashes of crates, and with
/// single braces where Rust's older names have two.
fn push_unnumbered(out: &mut String, name: &str) {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    // Of each brace that is open, whether it was two.
    let mut double = Vec::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let numbered = ["'lambda", "$_"].into_iter().find(|word| is_numbered(rest, word));
        if let Some(word) = numbered {
            out.push_str(word);
            let behind = &rest[word.len()..];
            rest = &behind[digits(behind)..];
            continue;
        }
        rest = match c {
            '#' if digits(after) > 0 && after[digits(after)..].starts_with('}') => {
                rest = &after[digits(after)..];
                continue;
            }
            '[' if out.ends_with(is_word)
                && let Some((tag, behind)) = after.split_once(']')
                && is_build_tag(tag) =>
            {
                rest = behind;
                continue;
            }
            '{' => {
                double.push(after.starts_with('{'));
                after.strip_prefix('{').unwrap_or(after)
            }
            '}' if double.pop() == Some(true) => after.strip_prefix('}').unwrap_or(after),
            _ => after,
        };
        out.push(c);
    }
}

/// Whether `text` begins with `word` and a number; that of a lambda ends with
/// a quote.
fn is_numbered(text: &str, word: &str) -> bool {
    let Some(behind) = text.strip_prefix(word) else {
        return false;
    };
    let rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < behind.len() && (word != "'lambda" || rest.starts_with('\''))
}

/// Whether this is what stands in brackets behind the name of a crate (a
/// hash), or of a function of libc++ (its version, as in `abi:ne180100`).
fn is_build_tag(tag: &str) -> bool {
    match tag.strip_prefix("abi:") {
        Some(version) => {
            let number = version.trim_start_matches(|c: char| c.is_ascii_lowercase());
            (1..=2).contains(&(version.len() - number.len()))
                && (5..=6).contains(&number.len())
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        None => (8..=16).contains(&tag.len()) && is_hex(tag),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The function's own name, without what it is in, takes and returns: `work`
/// of `int app::(anonymous namespace)::work<int>(int) const`.
pub(super) fn bare_name(name: &str) -> &str {
    let mut depth = 0_usize;
    let (mut start, mut end) = (0, None);
    let mut at = 0;
    while let Some(c) = name[at..].chars().next() {
        let mut next = at + c.len_utf8();
        match c {
            ':' if depth == 0 && name[next..].starts_with(':') => {
                next += 1;
                (start, end) = (next, None);
            }
            ' ' if depth == 0 && end.is_none() => start = next,
            // Its sign may be a bracket.
            'o' if depth == 0 && at == start => {
                let sign = name[at..].strip_prefix("operator");
                if let Some(sign) = sign.filter(|s| !s.starts_with(is_word)) {
                    let first = sign.chars().next().map_or(0, char::len_utf8);
                    let length = sign[first..].find('(').map_or(sign.len(), |i| first + i);
                    next = name.len() - sign.len() + length;
                    end = Some(next);
                }
            }
            '(' | '<' | '{' | '[' => {
                if depth == 0 && end.is_none() && at > start && c != '{' {
                    end = Some(at);
                }
                depth += 1;
            }
            '>' if name[..at].ends_with('-') => {}
            ')' | '>' | '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = next;
    }
    &name[start..end.unwrap_or(name.len())]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_survive_a_rebuild() {
        let check = |name, canonical: &str| assert_eq!(canonical_name(name), canonical, "{name}");
        // GCC and LLVM.
        check("main", "main");
        check("parse.cold", "parse");
        check("parse.cold.12", "parse");
        check("parse.constprop.0.isra.0", "parse");
        check("parse.part.3.constprop.0.cold", "parse");
        check("parse.__uniq.283745628374562837456283745", "parse");
        check("parse.lto_priv.0", "parse");
        check("parse.specialized.2", "parse");
        check("app::run.llvm.17402948263", "app::run");
        check("foo(int) [clone .isra.0]", "foo(int)");
        check("foo(int) [clone .constprop.0] [clone .cold]", "foo(int)");
        check("foo(int) (.llvm.123)", "foo(int)");
        check("gemm._omp_fn.3", "gemm._omp_fn");
        check(".omp_outlined..5", ".omp_outlined");
        // C++ lambdas: GCC, cpp_demangle, LLVM, clang.
        check(
            "main::{lambda(int)#2}::operator()(int) const",
            "main::{lambda(int)}::operator()(int) const",
        );
        check(
            "void std::for_each<int*, run()::{lambda(int)#1}>(int*, int*, run()::{lambda(int)#1})",
            "void std::for_each<int*, run()::{lambda(int)}>(int*, int*, run()::{lambda(int)})",
        );
        check(
            "run()::'lambda0'(int)::operator()(int) const",
            "run()::'lambda'(int)::operator()(int) const",
        );
        check("run()::$_12::operator()() const", "run()::$_::operator()() const");
        check("f({unnamed type#3})", "f({unnamed type})");
        check(
            "std::__1::vector<int>::push_back[abi:ne180100](int&&)",
            "std::__1::vector<int>::push_back(int&&)",
        );
        check("std::to_string[abi:cxx11](int)", "std::to_string[abi:cxx11](int)");
        // Rust, both schemes.
        check("app::run::h0123456789abcdef", "app::run");
        check("app::run::{{closure}}::h0123456789abcdef", "app::run::{closure}");
        check("app::run::{closure#0}::{closure#12}", "app::run::{closure}::{closure}");
        check(
            "app[58b2a2fca2ab4a04]::run::<alloc[9f2b12d0a1e5c3b7]::string::String>",
            "app::run::<alloc::string::String>",
        );
        check("<app::Job>::run", "app::Job::run");
        check("<app::Job<fn() -> u8>>::run::{closure#1}", "app::Job<fn() -> u8>::run::{closure}");
        check("<app::Job as core::ops::Drop>::drop", "<app::Job as core::ops::Drop>::drop");
        check("<[u8; 4]>::first", "<[u8; 4]>::first");
        check(
            "<<app::A as app::B>::C as app::D<{closure#3}>>::f",
            "<<app::A as app::B>::C as app::D<{closure}>>::f",
        );
        check(
            "core::ops::function::FnOnce::call_once{{vtable.shim}}",
            "core::ops::function::FnOnce::call_once{vtable.shim}",
        );
        check(
            "<F as FnOnce<()>>::call_once::{shim:vtable#0}",
            "<F as FnOnce<()>>::call_once::{shim:vtable}",
        );
        // Go and Zig.
        check("main.run.func1", "main.run.func");
        check("main.(*Pool).Start.func2.1", "main.(*Pool).Start.func");
        check("sort.insertionSort__anon_4242", "sort.insertionSort__anon_");
        // What somebody wrote.
        check("app::handler", "app::handler");
        check("app::hexadecimal_12345", "app::hexadecimal_12345");
        check("file.name", "file.name");
        check("v1.2", "v1.2");
        check("read64", "read64");
        check("operator>>(std::istream&)", "operator>>(std::istream&)");
        check("f(int [16])", "f(int [16])");
        check("[libc.so.6+0x123]", "[libc.so.6+0x123]");
        check("[off-CPU: futex]", "[off-CPU: futex]");
        check(".cold", ".cold");
        check("", "");
    }

    #[test]
    fn canonical_names_stay_what_they_are() {
        for name in ["app[58b2a2fca2ab4a04]::run::{{closure}}", "<app::Job>::run.cold", "f{#1}#2}"]
        {
            let once = canonical_name(name);
            assert_eq!(canonical_name(&once), once);
        }
    }

    #[test]
    fn bare_names() {
        let check = |name, bare: &str| assert_eq!(bare_name(name), bare, "{name}");
        check("work", "work");
        check("work(int)", "work");
        check("app::(anonymous namespace)::work<int>(int) const", "work");
        check("(anonymous namespace)::work(std::vector<int, std::allocator<int> >&)", "work");
        check("int max<int>(int, int)", "max");
        check("main::{lambda()}::operator()() const", "operator()");
        check("app::Job::~Job()", "~Job");
        check("<T as app::Run>::run", "run");
        check("", "");
        check("((((", "((((");
    }
}
