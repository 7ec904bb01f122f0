//! JSON that may be read on a terminal as well.

use std::borrow::Cow;

use crate::clean::is_unsafe;

/// The same document with what JSON allows as it is, but a terminal must not get, as
/// numbers: nothing of it is lost.
pub fn escaped(document: &str) -> Cow<'_, str> {
    // White space between values is no part of them; within, it is a number already.
    let is_raw = |c: char| is_unsafe(c) && c != '\n';
    if !document.contains(is_raw) {
        return Cow::Borrowed(document);
    }
    let mut out = String::with_capacity(document.len() + 64);
    for c in document.chars() {
        match is_raw(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                out.push_str(&format!("\\u{unit:04x}"));
            }),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_a_number() {
        let document = "{\n  \"path\": \"a\u{7f}\u{9b}\u{202e}\u{e0041}ü\"\n}\n";
        let expected = "{\n  \"path\": \"a\\u007f\\u009b\\u202e\\udb40\\udc41ü\"\n}\n";
        assert_eq!(escaped(document), expected);
        assert_eq!(escaped("[1]\n"), "[1]\n");
    }
}
