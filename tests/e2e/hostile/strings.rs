//! Two hundred strings that mean something to what shows or reads them.

use std::collections::BTreeSet;

/// Of terminals: sequences that colour, name, clear, answer, link, copy.
const SEQUENCES: [&str; 14] = [
    "\u{1b}[31mred",
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://a.b\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}]52;c;YQ==\u{7}",
    "\u{1b}[6n",
    "\u{1b}P$q\u{1b}\\",
    "\u{1b}c",
    "\u{1b}(0",
    "\u{9b}31m",
    "\u{9d}0;title\u{9c}",
    "x\rreport: all is well",
    "a\u{8}\u{8}b",
    "a\nreport: all is well",
];

/// Of Markdown, and of what sites make of it.
const MARKDOWN: [&str; 32] = [
    "@all",
    "@a/team",
    "(@all)",
    "a@b.cd",
    "#12",
    "a/b#12",
    "GH-12",
    "gh-12",
    "!12",
    "http://a.b/c",
    "HTTPS://A.B",
    "ftp://a.b",
    "www.a.b",
    "<http://a.b>",
    "[a](http://b)",
    "![a](http://b/c.png)",
    "[a][b]",
    "[a]: http://b",
    "**a**",
    "__a__",
    "~~a~~",
    "`a`",
    "``a",
    "```",
    "|a|b|",
    "\\",
    "$a$",
    "$$a$$",
    ":bug:",
    "# a",
    "&copy;",
    "- [ ] a",
];

/// Of HTML, SVG and scripts.
const TAGS: [&str; 14] = [
    "<b>a</b>",
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</text><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "<!-- a",
    "]]>",
    "<![CDATA[a",
    "javascript:alert(1)",
    "&#60;script&#62;",
];

/// Of folded stacks, shells, formats of numbers and texts.
const SEPARATORS: [&str; 22] = [
    "a;b",
    "a 12",
    "a;b 12",
    "# c",
    "; ",
    " ",
    "",
    ",",
    "\"",
    "'",
    "%s%n",
    "{}",
    "${HOME}",
    "$(id)",
    "`id`",
    "../../etc/passwd",
    "-rf",
    "--help",
    "null",
    "\\u0000",
    "\\x1b[31m",
    "\t",
];

/// Characters that reorder, hide or join text, with the ends of their ranges.
const HIDDEN: [char; 54] = [
    '\u{ad}',
    '\u{34f}',
    '\u{61c}',
    '\u{115f}',
    '\u{1160}',
    '\u{17b4}',
    '\u{17b5}',
    '\u{180b}',
    '\u{180e}',
    '\u{180f}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200e}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202b}',
    '\u{202c}',
    '\u{202d}',
    '\u{202e}',
    '\u{2060}',
    '\u{2061}',
    '\u{2064}',
    '\u{2065}',
    '\u{2066}',
    '\u{2067}',
    '\u{2068}',
    '\u{2069}',
    '\u{206a}',
    '\u{206f}',
    '\u{3164}',
    '\u{fe00}',
    '\u{fe0e}',
    '\u{fe0f}',
    '\u{feff}',
    '\u{ffa0}',
    '\u{fff0}',
    '\u{fff8}',
    '\u{fff9}',
    '\u{fffa}',
    '\u{fffb}',
    '\u{1bca0}',
    '\u{1bca3}',
    '\u{1d173}',
    '\u{1d17a}',
    '\u{e0000}',
    '\u{e0001}',
    '\u{e0020}',
    '\u{e0041}',
    '\u{e007f}',
    '\u{e0100}',
    '\u{e0fff}',
];

/// All of them, and each control character between two letters.
pub fn all() -> Vec<String> {
    let lists = [&SEQUENCES[..], &MARKDOWN, &TAGS, &SEPARATORS];
    let words = lists.into_iter().flatten().map(|&word| word.to_owned());
    let controls = ('\u{1}'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
    let all: Vec<String> = words.chain(controls.chain(HIDDEN).map(|c| format!("a{c}b"))).collect();
    let different: BTreeSet<&String> = all.iter().collect();
    assert!(all.len() >= 200 && different.len() == all.len(), "{}", all.len());
    all
}
