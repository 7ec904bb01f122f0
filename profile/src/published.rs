//! Names that runtimes publish, as people know them.
//!
//! ```text
//! JS:*crunch /srv/app.js:12:34        V8: kind, tier, function, place
//! py::crunch:/srv/app.py              Python
//! void com.foo.Bar.baz(int)           Java, by itself
//! Lcom/foo/Bar;::baz                  Java, by perf-map-agent
//! void [app] Foo::Bar(int32)[QuickJitted]   .NET, with its module and tier
//! ```

use std::borrow::Cow;

use crate::file_url::percent_decoded;

/// What a published name says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PublishedName<'n> {
    /// The function.
    pub(crate) name: Cow<'n, str>,
    /// The file it is in, as it is written there, without `file://`.
    pub(crate) file: Option<&'n str>,
    /// Whether that is the path of a URL.
    pub(crate) is_url: bool,
    /// Where it begins in the file; 0 if unknown.
    pub(crate) line: u32,
    /// Column in that line, from 1; 0 if unknown.
    pub(crate) column: u32,
}

/// Takes a published name apart, if its form is known.
pub(crate) fn parse(published: &str) -> PublishedName<'_> {
    let plain = |name| PublishedName { name, file: None, is_url: false, line: 0, column: 0 };
    v8(published)
        .or_else(|| python(published))
        .or_else(|| java(published).or_else(|| dot_net(published)).map(plain))
        .unwrap_or_else(|| plain(published.into()))
}

/// The file that the name of generated code says it is from, as it is written
/// there: a part of it.
pub fn file_of(published: &str) -> Option<&str> {
    parse(published).file
}

/// The path of that file.
pub(crate) fn path_of(published: &str) -> Option<String> {
    parse(published).path().map(Cow::into_owned)
}

impl PublishedName<'_> {
    /// The path of the file.
    pub(crate) fn path(&self) -> Option<Cow<'_, str>> {
        let path = |file| if self.is_url { percent_decoded(file).into() } else { Cow::from(file) };
        self.file.map(path)
    }
}

/// Functions of JavaScript. What else V8 generates has names that are good as
/// they are.
fn v8(published: &str) -> Option<PublishedName<'_>> {
    const KINDS: [&str; 5] = ["JS", "LazyCompile", "Function", "Script", "Eval"];
    let (kind, rest) = published.split_once(':').filter(|(kind, _)| KINDS.contains(kind))?;
    // Interpreted, baseline, and two optimizing compilers, which may have made
    // code for one context only.
    let rest = rest.trim_start_matches(['~', '^', '+', '*']).trim_start_matches('\'');
    let (rest, first, second) = place(rest);
    let (name, file) = match split_path(rest) {
        Some((name, file)) => (name.trim(), Some(file)),
        None => (rest.trim(), None),
    };
    let (line, column) = match second {
        Some(second) => (first, second),
        None => (first, 0),
    };
    let path = file.and_then(|file| file.strip_prefix("file://"));
    let (file, is_url) = (path.or(file).filter(|file| !file.is_empty()), path.is_some());
    // Without a name, functions are told apart by where they are.
    let short = file.and_then(|file| file.rsplit('/').next()).unwrap_or_default();
    let name = match (name, kind) {
        ("", "Script") => format!("(script {short})").into(),
        ("", _) if file.is_some() => format!("(anonymous {short}:{line}:{column})").into(),
        ("", _) => "(anonymous)".into(),
        (name, _) => name.into(),
    };
    Some(PublishedName { name, file, is_url, line, column })
}

/// Splits off `:line` or `:line:column`; the first number is 0 if there is
/// none.
fn place(text: &str) -> (&str, u32, Option<u32>) {
    let number = |text: &str| {
        let (rest, digits) = text.rsplit_once(':')?;
        Some((rest.len(), digits.parse().ok()?))
    };
    let Some((end, last)) = number(text) else { return (text, 0, None) };
    match number(&text[..end]) {
        Some((end, first)) => (&text[..end], first, Some(last)),
        None => (&text[..end], last, None),
    }
}

/// Splits a function's name from the path of its file. Both may have spaces in
/// them.
fn split_path(text: &str) -> Option<(&str, &str)> {
    const BEGINNINGS: [&str; 4] = [" /", " file:", " node:", " http"];
    let first = BEGINNINGS.iter().filter_map(|beginning| text.find(beginning)).min();
    let at = first.or_else(|| text.rfind(' '))?;
    Some((&text[..at], &text[at + 1..]))
}

fn python(published: &str) -> Option<PublishedName<'_>> {
    let (name, file) = published.strip_prefix("py::")?.split_once(':')?;
    let file = Some(file).filter(|file| !file.is_empty());
    (!name.is_empty()).then(|| PublishedName {
        name: name.into(),
        file,
        is_url: false,
        line: 0,
        column: 0,
    })
}

fn java(published: &str) -> Option<Cow<'_, str>> {
    if let Some((class, method)) = published.split_once(";::") {
        let class = class.strip_prefix('L')?.replace('/', ".");
        let method = method.split('(').next().unwrap_or(method);
        return Some(format!("{class}.{method}").into());
    }
    // The result's type is first.
    let (result, method) = published.split_once(' ')?;
    let (path, arguments) = method.split_once('(')?;
    let is_method = path.contains('.') && !path.contains([' ', ':', '[']);
    let is_java = is_method && arguments.ends_with(')') && !result.contains(['(', ':']);
    is_java.then(|| method.into())
}

fn dot_net(published: &str) -> Option<Cow<'_, str>> {
    let (method, tier) = published.strip_suffix(']')?.rsplit_once('[')?;
    const TIERS: [&str; 7] = [
        "QuickJitted",
        "Optimized",
        "Instrumented",
        "MinOptJitted",
        "PreJIT",
        "ReadyToRun",
        "Unknown",
    ];
    let is_tier = TIERS.iter().any(|known| tier.starts_with(known));
    // `class [mscorlib]A.B [app] Foo::Bar`: behind the module is a space, too.
    let module = method.match_indices(" [").find_map(|(at, _)| {
        let (module, rest) = method[at + 2..].split_once(']')?;
        rest.strip_prefix(' ').filter(|_| !module.is_empty())
    });
    let method = module.unwrap_or(method);
    (is_tier && method.contains("::")).then(|| without_comments(method))
}

/// A name without the addresses of its types (`/* MT: 0x00007FBF1C532DB0 */`),
/// which are others in each run.
fn without_comments(name: &str) -> Cow<'_, str> {
    let mut parts = name.split(" /*");
    let mut kept = Cow::from(parts.next().unwrap_or_default());
    for part in parts {
        match part.split_once("*/") {
            Some((_, rest)) => kept.to_mut().push_str(rest),
            None => return name.into(),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(published: &str, expected: &str) {
        let parsed = parse(published);
        let PublishedName { name, line, column, .. } = &parsed;
        let place = parsed.path().map(|path| format!(" {path}:{line}:{column}"));
        assert_eq!(format!("{name}{}", place.unwrap_or_default()), expected, "{published}");
    }

    #[test]
    fn javascript() {
        check("JS:*crunch /path/app.js:12:34", "crunch /path/app.js:12:34");
        check("JS:^get size /a b/c d.js:1:2", "get size /a b/c d.js:1:2");
        check("JS:+'f file:///a/b.mjs:3:9", "f /a/b.mjs:3:9");
        check("JS:~f file:///a%20b/c%C3%A9.mjs:3:9", "f /a b/cé.mjs:3:9");
        check("JS:~f /a%20b/c.js:3:9", "f /a%20b/c.js:3:9");
        check("JS:~ /a/b.js:1:10", "(anonymous b.js:1:10) /a/b.js:1:10");
        check("Script:~ /a/b.js:1:1", "(script b.js) /a/b.js:1:1");
        check("LazyCompile:~f file.js:1:2", "f file.js:1:2");
        check("LazyCompile:*f app.js:12", "f app.js:12:0");
        check("Function:^wrap node:internal/fs:3:4", "wrap node:internal/fs:3:4");
        check("JS:*f", "f");
        check("JS:*", "(anonymous)");
        check("Eval:~g https://x.org/a.js:1:2", "g https://x.org/a.js:1:2");
        check("Builtin:ArrayMap", "Builtin:ArrayMap");
        check("BytecodeHandler:Star0", "BytecodeHandler:Star0");
    }

    #[test]
    fn other_runtimes() {
        check("py::Foo.bar:/srv/a.py", "Foo.bar /srv/a.py:0:0");
        check("py::<module>:/srv/a.py", "<module> /srv/a.py:0:0");
        check("py::", "py::");
        check("Lcom/foo/Bar;::baz", "com.foo.Bar.baz");
        check("Lcom/foo/Bar;::baz(I)V", "com.foo.Bar.baz");
        check("void com.foo.Bar.baz(int, long[])", "com.foo.Bar.baz(int, long[])");
        check("int[] Burn.<init>()", "Burn.<init>()");
        check("Interpreter", "Interpreter");
        check("StubRoutines (1)", "StubRoutines (1)");
        check("void [app] Foo::Bar(int32)[QuickJitted]", "Foo::Bar(int32)");
        check("instance int32 [a.b] N.Foo::Bar(int32[])[OptimizedTier1]", "N.Foo::Bar(int32[])");
        check("uint32[] [lib] A.B::C(uint32[])[Optimized]", "A.B::C(uint32[])");
        check("class [a]B`1<int32[]> [lib] A::C()[Optimized]", "A::C()");
        check("instance void [lib] A.B::.ctor()[PreJIT]", "A.B::.ctor()");
        let stub =
            "void [lib] dynamicClass::IL_STUB(A.B /* MT: 0x00007FBF1C532DB0 */,C /* MT: 0x1 */)";
        check(&format!("{stub}[Optimized]"), "dynamicClass::IL_STUB(A.B,C)");
        check("void [app] Foo::Bar /*[Optimized]", "Foo::Bar /*");
        check("int foo(int)", "int foo(int)");
        check("", "");
    }
}
