//! What a function is given and gives back, as text.

use std::fmt::Write;

use rz_profile::model::ValueKind;

/// Bytes of a text that are recorded, at most: one that long may be longer.
const MOST_TEXT: usize = 127;

/// Adds a value that was in a register; `text` is what it points to, if that was recorded.
pub(super) fn write_value(out: &mut String, kind: ValueKind, value: u64, text: Option<&[u8]>) {
    // Writing to a string does not fail.
    let _ = match (kind, text) {
        (_, Some(text)) => {
            let more = if text.len() >= MOST_TEXT { "..." } else { "" };
            write!(out, "{:?}{more}", String::from_utf8_lossy(text))
        }
        (ValueKind::Int, _) => write!(out, "{}", value as i32),
        (ValueKind::UnsignedInt, _) => write!(out, "{}", value as u32),
        (ValueKind::Long, _) => write!(out, "{}", value as i64),
        (ValueKind::UnsignedLong, _) => write!(out, "{value}"),
        (ValueKind::Bool, _) => write!(out, "{}", value as u8 != 0),
        (ValueKind::Char, _) => write!(out, "{:?}", char::from(value as u8)),
        (ValueKind::Nothing, _) => Ok(()),
        (ValueKind::Pointer | ValueKind::Text, _) if value == 0 => write!(out, "NULL"),
        (ValueKind::Pointer | ValueKind::Text | ValueKind::Unknown, _) => {
            write!(out, "{value:#x}")
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_kind() {
        let check = |kind, value, text: Option<&[u8]>, expected: &str| {
            let mut out = String::new();
            write_value(&mut out, kind, value, text);
            assert_eq!(out, expected);
        };
        // The upper half of the register has no meaning.
        check(ValueKind::Int, 0x7777_0000_ffff_ffff, None, "-1");
        check(ValueKind::UnsignedInt, 0x7777_0000_ffff_ffff, None, "4294967295");
        check(ValueKind::Long, u64::MAX, None, "-1");
        check(ValueKind::UnsignedLong, u64::MAX, None, "18446744073709551615");
        check(ValueKind::Bool, 0xff00, None, "false");
        check(ValueKind::Char, 0xff41, None, "'A'");
        check(ValueKind::Pointer, 0, None, "NULL");
        check(ValueKind::Text, 0x1000, None, "0x1000");
        check(ValueKind::Text, 0x1000, Some(b"a\"b\n\xff"), "\"a\\\"b\\n\u{fffd}\"");
        let long = [b'x'; MOST_TEXT];
        check(ValueKind::Text, 1, Some(&long), &format!("\"{}\"...", "x".repeat(MOST_TEXT)));
        check(ValueKind::Nothing, 7, None, "");
    }
}
