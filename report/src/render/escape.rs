//! Texts that Markdown shows as they are.

use crate::model::clean::clean;

/// Text in which nothing is Markdown or HTML, nor what sites make of it later: mentions,
/// links, numbers of issues, formulas, and pictures. These they look for behind the
/// escapes, but not in code.
pub(crate) fn escaped(text: &str) -> String {
    let words: Vec<String> = clean(text).split(' ').map(escaped_word).collect();
    words.join(" ")
}

/// Text as code. What would end it, or a cell of a table, is replaced or escaped.
pub(crate) fn code(text: &str) -> String {
    format!("`{}`", clean(text).replace('`', "'").replace('|', "\\|"))
}

fn escaped_word(word: &str) -> String {
    if is_live(word) {
        return code(word);
    }
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '*' | '_' | '`' | '|' | '[' | ']' | '\\' | '~' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// Whether a site may make something of a word: `@name`, `a@b.c`, `#1`, `GH-1`,
/// `https://…`, `www.…`, `$x$`, `:name:`.
fn is_live(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let has = |what| lower.contains(what);
    word.contains(['@', '#', '$'])
        || word.matches(':').count() > 1
        || ["://", "www.", "gh-"].into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_live() {
        fn check(text: &str, expected: &str) {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
        check("<b>a</b> & a_b|c* ~~d~~", "&lt;b>a&lt;/b> &amp; a\\_b\\|c\\* \\~\\~d\\~\\~");
        check("[a](b) ![c](d)", "\\[a\\](b) !\\[c\\](d)");
        check("mind @all, see #12 or GH-7", "mind `@all,` see `#12` or `GH-7`");
        check("at http://a.b/c and www.a.b", "at `http://a.b/c` and `www.a.b`");
        check("a::b::c costs $x$ 12:30", "`a::b::c` costs `$x$` 12:30");
        check("@`a|b`", "`@'a\\|b'`");
    }
}
