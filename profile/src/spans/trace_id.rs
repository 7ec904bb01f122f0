//! Ids of the traces that spans belong to.

use std::fmt;
use std::str::FromStr;

/// The id of a trace, as W3C's Trace Context has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// The text is no id of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "32 hexadecimal digits are needed, or a whole traceparent: \
     00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)]
pub struct TraceIdError;

impl FromStr for TraceId {
    type Err = TraceIdError;

    fn from_str(text: &str) -> Result<Self, TraceIdError> {
        let text = text.trim();
        let text = text.strip_prefix("traceparent:").unwrap_or(text).trim();
        let parts: Vec<&str> = text.split('-').map(str::trim).collect();
        let id = match parts[..] {
            [id] => id,
            [version, id, span, _flags, ..] if version.len() == 2 && span.len() == 16 => id,
            _ => return Err(TraceIdError),
        };
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        // Zero is none.
        let id = u128::from_str_radix(id, 16).ok().filter(|&id| is_id && id != 0);
        id.map(TraceId).ok_or(TraceIdError)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_alone_and_in_a_traceparent() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let check = |text: &str, expected: Option<&str>| {
            let parsed = text.parse::<TraceId>().ok().map(|id| id.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text:?}");
        };
        check(id, Some(id));
        check(&id.to_uppercase(), Some(id));
        check(&format!("00-{id}-b7ad6b7169203331-01"), Some(id));
        check(&format!(" traceparent: 00-{id}-b7ad6b7169203331-01 "), Some(id));
        for wrong in ["", "0af7", &"0".repeat(32), &"g".repeat(32), &format!("{id}-{id}"), "+a"] {
            check(wrong, None);
        }
        check(&format!("+{}", &id[1..]), None);
    }
}
