//! Errors of a command line, which repeat what was typed.

use std::ffi::OsString;

use clap::Error;

use crate::clean::{clean, is_unsafe};

/// The error as it may be shown to who typed `words`. It is itself, in its colours,
/// unless one of them has something in it that a terminal must not get.
pub fn clean_error(error: Error, mut words: impl Iterator<Item = OsString>) -> Error {
    let is_safe = |word: OsString| !word.to_string_lossy().contains(is_unsafe);
    // Help and versions have nothing of it.
    if !error.use_stderr() || words.all(is_safe) {
        return error;
    }
    let text = error.render().to_string();
    let lines = text.strip_prefix("error: ").unwrap_or(&text).trim_end().lines().map(clean);
    let lines: Vec<_> = lines.collect();
    Error::raw(error.kind(), lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    fn error(word: &str) -> Error {
        let command = Command::new("it").arg(Arg::new("file").value_parser(["good"]));
        let words = ["it", word].map(OsString::from);
        clean_error(command.try_get_matches_from(&words).unwrap_err(), words.into_iter())
    }

    #[test]
    fn what_was_typed_cannot_drive_the_terminal() {
        let hostile = error("b\u{1b}]0;x\u{7}\u{202e}");
        let text = hostile.render().ansi().to_string();
        assert!(text.starts_with("error: invalid value '") || text.contains("invalid value"));
        assert!(!text.contains(['\u{7}', '\u{202e}']), "{text:?}");
        assert!(!text.contains("\u{1b}]"), "{text:?}");
        assert_eq!(hostile.exit_code(), 2);
    }

    #[test]
    fn other_errors_are_left_as_they_are() {
        let text = error("bad").render().ansi().to_string();
        assert!(text.contains("\u{1b}["), "{text:?}");
        assert!(text.contains("good"), "{text:?}");
    }
}
