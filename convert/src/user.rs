//! What is said to the user, and what is kept off the screen.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::ensure;
use rz_command::output::Destination;
use rz_text::clean::one_line;

/// Prints a line on standard error; that nobody reads it is no reason to fail.
pub fn say(message: std::fmt::Arguments) {
    let _ = writeln!(io::stderr(), "conv: {}", one_line(message));
}

/// Prints a text on standard output; that nobody reads on is no reason to fail.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Keeps what is no text off the screen.
pub fn refuse_terminal(destination: &Destination, format: &str) -> anyhow::Result<()> {
    let is_shown = *destination == Destination::Stdout && io::stdout().is_terminal();
    ensure!(!is_shown, "{format} is not for a terminal: name a file with -o, or redirect it");
    Ok(())
}

/// Whether two paths lead to one existing file.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// A size in bytes, KiB or MiB.
pub fn human_size(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{kib:.1} KiB"),
        _ => format!("{:.1} MiB", kib / 1024.0),
    }
}
