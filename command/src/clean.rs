//! Makes recorded text safe to print.

use std::borrow::Cow;

/// Recorded text made safe to print: control characters and the characters
/// that reorder text become `?`, so that a name cannot drive the terminal.
pub fn clean(text: &str) -> Cow<'_, str> {
    let unsafe_char = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(unsafe_char) {
        Cow::Owned(text.replace(unsafe_char, "?"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_drive_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\n\u{202e}c"), "a?[2Jb??c");
        assert_eq!(clean("größe"), "größe");
    }
}
