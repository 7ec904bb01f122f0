//! Texts that Markdown shows as they are.

use crate::model::clean::clean;

/// Text without what Markdown or HTML would take for its own.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '*' | '_' | '`' | '|' | '[' | ']' | '\\' | '#' | '@' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}
