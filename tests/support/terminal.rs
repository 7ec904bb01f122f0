//! Runs a command line as if a person had typed it.

use std::process::Command;

use crate::locate::tool;
use crate::run::{Output, run};

/// Runs a shell command whose three streams are a terminal of 100 columns,
/// and returns what appeared on it as [`Output::stdout`], with the terminal's
/// line ends (`\r\n`).
pub fn run_in_terminal(command: &str) -> Output {
    let command = format!("stty cols 100 rows 40; {command}");
    run(Command::new(tool("script")).args(["-qec", &command, "/dev/null"]).env("TERM", "xterm"))
}

/// A word of a shell command that stands for itself.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
