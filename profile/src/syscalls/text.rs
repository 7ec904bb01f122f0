//! Bytes that a program chose, written so that a line stays one line.

use std::fmt::Write as _;

/// Writes `bytes` in quotes, with `...` behind them if they were cut.
pub fn quote(out: &mut String, bytes: &[u8], cut: bool) {
    out.push('"');
    escape(out, bytes, b"\"");
    out.push_str(if cut { "\"..." } else { "\"" });
}

/// Writes what is printable as it is and the rest, backslashes and the bytes
/// in `special` with a backslash.
pub fn escape(out: &mut String, bytes: &[u8], special: &[u8]) {
    let mut rest = bytes.iter().peekable();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            0x0b => out.push_str("\\v"),
            0x0c => out.push_str("\\f"),
            b'\\' => out.push_str("\\\\"),
            b'"' if special.contains(&byte) => out.push_str("\\\""),
            b' '..=b'~' if !special.contains(&byte) => out.push(char::from(byte)),
            // A digit after it would be read as part of a shorter number.
            _ if rest.peek().is_some_and(|next| next.is_ascii_digit()) => {
                let _ = write!(out, "\\{byte:03o}");
            }
            _ => {
                let _ = write!(out, "\\{byte:o}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_printable_is_printed() {
        fn check(bytes: &[u8], cut: bool, expect: &str) {
            let mut out = String::new();
            quote(&mut out, bytes, cut);
            assert_eq!(out, expect);
        }
        check(b"/etc/passwd", false, r#""/etc/passwd""#);
        check(b"", true, r#"""..."#);
        check(b"a\"b\\c", false, r#""a\"b\\c""#);
        check(b"\n\t\r\x0b\x0c", false, r#""\n\t\r\v\f""#);
        check(b"\x1b[0m\x00\x001", false, r#""\33[0m\0\0001""#);
        check("\u{fc}".as_bytes(), true, r#""\303\274"..."#);
        check(b"<1>", false, r#""<1>""#);
    }

    #[test]
    fn special_bytes_are_written_as_numbers() {
        let mut out = String::new();
        escape(&mut out, b"a<\"7>1", b"<>");
        assert_eq!(out, r#"a\74"7\0761"#);
    }
}
