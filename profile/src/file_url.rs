//! Paths that are written as URLs, as modules of JavaScript have them.

use std::borrow::Cow;

/// The path of a file that may be written as `file:///a%20b`.
pub(crate) fn path_of(file: &str) -> Cow<'_, str> {
    match file.strip_prefix("file://") {
        Some(path) => percent_decoded(path).into(),
        None => file.into(),
    }
}

/// A text in which `%20` and the like stand for bytes.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let hex =
            behind.get(..2).filter(|hex| first == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
        let hex = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(first));
        rest = if hex.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths() {
        let check = |file: &str, expected: &str| assert_eq!(path_of(file), expected, "{file}");
        check("file:///a%20b/w%C3%A9.mjs", "/a b/wé.mjs");
        check("/a%20b/c.js", "/a%20b/c.js");
        check("node:internal/fs", "node:internal/fs");
        check("file:///100%/%zz%4", "/100%/%zz%4");
        check("file:///%ff", "/\u{fffd}");
        check("file:///%+1", "/%+1");
        check("", "");
    }
}
