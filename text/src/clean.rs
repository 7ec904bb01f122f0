//! Characters that are not what they seem are replaced.

use std::borrow::Cow;
use std::fmt::Display;

/// Text made safe to show: what would drive a terminal, reorder or hide text, or end a
/// line becomes `?`.
pub fn clean(text: &str) -> Cow<'_, str> {
    match text.contains(is_unsafe) {
        true => Cow::Owned(text.replace(is_unsafe, "?")),
        false => Cow::Borrowed(text),
    }
}

/// What is to be said in a line, in one line.
pub fn one_line(message: impl Display) -> String {
    clean(&message.to_string().trim_end().replace('\n', " ")).into_owned()
}

/// Whether a character is one of control, of direction, or without any looks.
pub fn is_unsafe(c: char) -> bool {
    match c {
        ' '..='~' => false,
        c if c.is_control() => true,
        // Bidirectional controls are among those that are ignorable.
        c => is_ignorable(c) || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}'),
    }
}

/// Whether a character is shown as nothing: `Default_Ignorable_Code_Point` of Unicode's
/// `DerivedCoreProperties.txt`, which has reserved room for those to come.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_drive_the_terminal() {
        fn check(text: &str, expected: &str) {
            assert_eq!(clean(text), expected, "{text:?}");
        }
        check("größe <T as Run>::run ☃ 日本", "größe <T as Run>::run ☃ 日本");
        check("a\u{1b}[2Jb\n\u{7f}\u{9b}c", "a?[2Jb???c");
        check("a\u{202e}b\u{2066}c\u{61c}", "a?b?c?");
        check("a\u{200b}b\u{feff}c\u{e0041}d\u{ad}", "a?b?c?d?");
        check("a\u{2028}b\u{fffa}", "a?b?");
    }

    #[test]
    fn unicode_has_the_same_list() {
        let unsafe_of_unicode = regex::Regex::new(
            r"^[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\u2028\u2029\ufff9-\ufffb]$",
        );
        let unsafe_of_unicode = unsafe_of_unicode.unwrap();
        for c in '\0'..=char::MAX {
            let expected = unsafe_of_unicode.is_match(c.encode_utf8(&mut [0; 4]));
            assert_eq!(is_unsafe(c), expected, "{c:?}");
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(one_line("it failed:\n\u{1b}why\r\n"), "it failed: ?why");
    }
}
