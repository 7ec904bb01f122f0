//! How `rec` says something: in a line, or as JSON.

use std::io::{self, Write};

use rz_text::json::escaped;

/// A text as JSON has it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    escaped(&(quoted + "\"")).into_owned()
}

/// Writes to standard error. A terminal that is gone is no reason to stop.
pub(crate) fn say(text: std::fmt::Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}
