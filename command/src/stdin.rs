//! The standard input as a file that can be opened, as often as needed.
//!
//! Traces are gone through more than once, and files are opened by their paths.
//! So what comes through a pipe is kept in a file without a name, which takes
//! the place of the pipe as standard input; `/dev/stdin` is then a path to it.

use std::env::temp_dir;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nix::unistd::dup2_stdin;

/// The path by which the standard input is opened, and by which messages call
/// it.
const STDIN: &str = "/dev/stdin";

/// Why the standard input cannot be read as a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StdinError {
    /// Nobody types a trace.
    #[error("nothing is piped in: the standard input is a terminal")]
    Terminal,
    /// The pipe was closed before the first byte.
    #[error("nothing is piped in: the standard input is empty")]
    Empty,
    /// There is no room to keep what comes in.
    #[error(
        "cannot keep what is piped in, in {}: {kind}; set TMPDIR to a folder with more room",
        dir.display()
    )]
    Keep {
        /// The folder for temporary files.
        dir: PathBuf,
        /// What the system said.
        kind: ErrorKind,
    },
    /// It cannot be read.
    #[error("cannot read the standard input: {0}")]
    Read(#[from] io::Error),
}

/// Puts the path of the standard input where `-` was typed for it. Returns how
/// many of the paths are the standard input's, which can be one input at most.
pub fn resolve<'p>(typed: impl IntoIterator<Item = &'p mut PathBuf>) -> usize {
    let mut found = 0;
    for path in typed {
        if path.as_path() == Path::new("-") {
            *path = STDIN.into();
        }
        found += usize::from(is_stdin(path));
    }
    found
}

/// Whether a path that was [resolved](resolve) is the standard input's.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// Sees to it that the standard input can be opened by its path if one of
/// `inputs` is that. A file that was redirected is used where it is; anything
/// else is read to its end here. Doing so again does nothing.
///
/// # Errors
/// If there is nothing to read, or no room for it.
pub fn keep<'p>(inputs: impl IntoIterator<Item = &'p Path>) -> Result<(), StdinError> {
    if inputs.into_iter().any(is_stdin) { keep_stdin() } else { Ok(()) }
}

fn keep_stdin() -> Result<(), StdinError> {
    let Some(Piped { mut input, mut kept, dir }) = piped()? else { return Ok(()) };
    if copy(&mut input, &mut kept, &dir)? == 0 {
        return Err(StdinError::Empty);
    }
    kept.rewind()?;
    dup2_stdin(&kept).map_err(io::Error::from)?;
    Ok(())
}

/// Does the same as [`keep`] while the input comes in: what is there of it so far can be
/// opened. Gives what tells its end, and how that was; `None` if all is there already.
///
/// # Errors
/// If nothing is piped in, or there is no room for it.
pub fn follow(input: &Path) -> Result<Option<Receiver<Result<(), StdinError>>>, StdinError> {
    if !is_stdin(input) {
        return Ok(None);
    }
    let Some(Piped { mut input, mut kept, dir }) = piped()? else { return Ok(None) };
    dup2_stdin(&kept).map_err(io::Error::from)?;
    let (sender, ended) = mpsc::sync_channel(1);
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let copied = copy(&mut input, &mut kept, &dir);
        // Nobody may be waiting any more.
        let _ = sender.send(match copied {
            Ok(0) => Err(StdinError::Empty),
            other => other.map(|_| ()),
        });
    })?;
    Ok(Some(ended))
}

/// A standard input that is no file, and a file to keep it in.
struct Piped {
    input: File,
    kept: File,
    dir: PathBuf,
}

/// What is piped in; `None` if the standard input is a file that can be opened.
fn piped() -> Result<Option<Piped>, StdinError> {
    if io::stdin().is_terminal() {
        return Err(StdinError::Terminal);
    }
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Opened again, a file begins at its beginning, and somebody who was handed
    // a file may lack the right to open it.
    let is_usable =
        input.metadata()?.is_file() && input.stream_position()? == 0 && File::open(STDIN).is_ok();
    if is_usable {
        return Ok(None);
    }
    let dir = temp_dir();
    let kept = tempfile::tempfile_in(&dir)
        .map_err(|error| StdinError::Keep { dir: dir.clone(), kind: error.kind() })?;
    Ok(Some(Piped { input, kept, dir }))
}

/// Copies what is piped in to its end.
fn copy(input: &mut File, kept: &mut File, dir: &Path) -> Result<u64, StdinError> {
    io::copy(input, kept).map_err(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StdinError::Keep { dir: dir.to_owned(), kind: error.kind() }
        }
        _ => StdinError::Read(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_the_standard_input() {
        let check = |typed: &[&str], resolved: &[&str], count| {
            let mut paths: Vec<PathBuf> = typed.iter().map(PathBuf::from).collect();
            assert_eq!(resolve(&mut paths), count, "{typed:?}");
            assert_eq!(paths, resolved.iter().map(PathBuf::from).collect::<Vec<_>>());
        };
        check(&["-", "a.rz"], &["/dev/stdin", "a.rz"], 1);
        check(&["/dev/stdin", "-"], &["/dev/stdin", "/dev/stdin"], 2);
        check(&["./-", "--", ""], &["./-", "--", ""], 0);
    }
}
