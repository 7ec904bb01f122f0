//! What is said to the user besides what is asked for.

use std::io::{self, Write};

use rz_text::clean::one_line;

/// Prints a line on standard error; that nobody reads it is no reason to fail.
pub fn say(message: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "report: {}", one_line(message));
}
