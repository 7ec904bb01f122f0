//! Takes paths out of names of code.
//!
//! Functions' names are code and stay. But some have paths in them: those of
//! JavaScript say where a function is defined, and compilers name lambdas by
//! their place.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::paths::Paths;
use rz_profile::published::file_of;

/// What V8 puts before names of code, if a place follows.
const V8: [&str; 8] =
    ["JS:", "LazyCompile:", "Function:", "Script:", "Eval:", "Interpreted:", "Baseline:", "Code:"];

/// Whose code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A compiler's.
    Compiled,
    /// A program's that generates it while it runs.
    Generated,
}

/// A name of code without the paths in it.
pub(super) fn name_of_code(paths: &mut Paths, name: &str, origin: Origin) -> String {
    if paths.stay() {
        return name.to_owned();
    }
    if name.starts_with("RegExp:") {
        // The rest is the expression.
        return format!("RegExp:{}", paths.pseudonyms.of("regexp", name));
    }
    if let Some(file) = file_of(name)
        && let Some(at) = name.rfind(file)
    {
        let (before, after) = (&name[..at], &name[at + file.len()..]);
        let is_place = after.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
        let after = if is_place { after } else { "" };
        return format!("{}{}{after}", replace(&GENERATED, paths, before), paths.path(file));
    }
    if let Some(kind) = V8.iter().find(|kind| name.starts_with(**kind)) {
        // `JS:*name place`, where the place may have spaces in it.
        let (function, place) = name[kind.len()..].split_once(' ').unwrap_or_default();
        if !place.is_empty() && !function.contains('/') {
            return format!("{kind}{function} {}", without_path(paths, place));
        }
    }
    match origin {
        Origin::Compiled => replace(&COMPILED, paths, name),
        Origin::Generated if JAVA.is_match(name) => name.to_owned(),
        Origin::Generated => replace(&GENERATED, paths, name),
    }
}

/// `path:line:column`, with another path.
fn without_path(paths: &mut Paths, place: &str) -> String {
    let end = PLACE.find(place).map_or(place.len(), |numbers| numbers.start());
    let (path, numbers) = place.split_at(end);
    paths.path(path) + numbers
}

/// Replaces the places that a pattern finds: the second group of two that match
/// together, the first one being what comes before. All at once, as what is in
/// a place is not to be replaced again.
fn replace(pattern: &Regex, paths: &mut Paths, name: &str) -> String {
    let place = |found: &Captures| {
        let mut groups = found.iter().skip(1).flatten().map(|group| group.as_str());
        let before = groups.next().unwrap_or_default();
        let place = groups.next().unwrap_or_default();
        format!("{before}{}", without_path(paths, place))
    };
    pattern.replace_all(name, place).into_owned()
}

/// As clang names lambdas and what else has no name.
const LAMBDA: &str = r"((?:lambda|class|struct|union|enum|unnamed) at )([^()<>,]+)";
/// What comes before a path.
const BEFORE: &str = r#"(^|[\s"'(=,:\[<@*~^]|file://)"#;
/// From a slash that begins a path to the end of what can be one.
const ABSOLUTE: &str = r#"(/[\w.~@+-][^"'()<>,;\]]*)"#;
/// A path from wherever the program was.
const RELATIVE: &str = r#"([^\s"'()<>,;:\]/\[=*~^]+/[^"'()<>,;\]]*)"#;
/// The name of a script.
const SCRIPT: &str = r#"([^\s"'()<>,;:\]/\[=*~^]+\.(?:js|mjs|cjs|ts|py|rb|php|lua)\b(?::\d+)*)"#;

static COMPILED: LazyLock<Regex> =
    LazyLock::new(|| compiled(&format!("{LAMBDA}|{BEFORE}{ABSOLUTE}")));
static GENERATED: LazyLock<Regex> = LazyLock::new(|| {
    compiled(&format!("{LAMBDA}|{BEFORE}{ABSOLUTE}|{BEFORE}{RELATIVE}|{BEFORE}{SCRIPT}"))
});
/// Numbers at the end of a place.
static PLACE: LazyLock<Regex> = LazyLock::new(|| compiled(r"(:\d+){1,2}$"));
/// `Lorg/example/Class;::method`, in which slashes separate names of code.
static JAVA: LazyLock<Regex> = LazyLock::new(|| compiled(r"^\[*L[\w$/]+;(::|\.)"));

/// A pattern that is known to be well formed.
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("{pattern}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_names() {
        use Origin::{Compiled, Generated};
        for (origin, name, expected) in [
            (Compiled, "main", "main"),
            (Compiled, "operator/(V const&, V const&)", "operator/(V const&, V const&)"),
            (Compiled, "github.com/acme/app.(*conn).serve", "github.com/acme/app.(*conn).serve"),
            (
                Compiled,
                "f<int, (lambda at /home/a/x.cc:3:4)>()",
                "f<int, (lambda at /home/user1/file1.cc:3:4)>()",
            ),
            (Compiled, "f<(lambda at my dir/x.cc:3:4)>()", "f<(lambda at dir1/file1.cc:3:4)>()"),
            (Compiled, "JS:*add /home/a/my dir/x.js:3:4", "JS:*add /home/user1/dir1/file1.js:3:4"),
            (Generated, "JS:*get add /home/a/x.js:3:4", "JS:*get add /home/user1/file1.js:3:4"),
            (Generated, "JS:~ file:///home/a/x.mjs:3:4", "JS:~ file:///home/user1/file1.mjs:3:4"),
            (Generated, "JS:*now node:internal/timers:9:1", "JS:*now node:internal/timers:9:1"),
            (Generated, "JS:*/home/a/x.js", "JS:*/home/user1/file1.js"),
            (Generated, "RegExp:secret", "RegExp:regexp1"),
            (Generated, "py::f:/home/a/my dir/x.py", "py::f:/home/user1/dir1/file1.py"),
            (Generated, "py::f:secret.py", "py::f:file2.py"),
            (Generated, "f my/x.js:3", "f dir2/file1.js:3"),
            (Generated, "Lorg/acme/Main;::run", "Lorg/acme/Main;::run"),
            (Generated, "void java.lang.Thread.run()", "void java.lang.Thread.run()"),
            (Generated, "evalexpr_0_1", "evalexpr_0_1"),
        ] {
            let mut paths = Paths::default();
            // What has a pseudonym has it everywhere.
            for known in ["/home/a/x.js", "my dir/x"] {
                paths.path(known);
            }
            assert_eq!(name_of_code(&mut paths, name, origin), expected, "{name}");
        }
    }
}
