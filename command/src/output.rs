//! Decides where output goes and puts it there whole or not at all.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, Signal};

use crate::stdin::is_stdin;

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output, for pipes and redirections.
    Stdout,
    /// A file, replaced only once its new content is complete.
    File(PathBuf),
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy)]
enum Existing {
    Replaced,
    Kept,
}

impl Destination {
    /// What `-o` asked for (`-` is standard output); without it standard
    /// output when that is redirected or the input is standard input, else a
    /// file beside the input with its extension replaced by `extension`.
    pub fn choose(
        requested: Option<&Path>,
        input: &Path,
        extension: &str,
        stdout_is_terminal: bool,
    ) -> Self {
        match requested {
            Some(path) if path == Path::new("-") => Destination::Stdout,
            Some(path) => Destination::File(path.to_owned()),
            None if !stdout_is_terminal || is_stdin(input) => Destination::Stdout,
            None => Destination::File(input.with_extension(extension)),
        }
    }

    /// Runs `produce` with a buffered writer to this destination.
    ///
    /// A file appears (or replaces the one that was there) only after
    /// `produce` succeeded. A reader that closes the pipe early, as `head`
    /// does, is not an error.
    pub fn write<E: From<io::Error>>(
        &self,
        produce: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        // What the process's umask leaves of these.
        self.write_with(0o666, Existing::Replaced, produce)
    }

    /// The same, for the owner only, as recordings are: what was recorded may
    /// be secret.
    pub fn write_private<E: From<io::Error>>(
        &self,
        produce: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        self.write_with(0o600, Existing::Replaced, produce)
    }

    /// The same, but a file that is there already stays, which is an error.
    pub fn write_new_private<E: From<io::Error>>(
        &self,
        produce: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        self.write_with(0o600, Existing::Kept, produce)
    }

    fn write_with<E: From<io::Error>>(
        &self,
        mode: u32,
        existing: Existing,
        produce: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Destination::Stdout => {
                let mut pipe = Pipe { out: io::stdout().lock(), closed: false };
                let mut out = BufWriter::with_capacity(64 << 10, &mut pipe);
                let written = produce(&mut out).and_then(|()| Ok(out.flush()?));
                drop(out);
                if pipe.closed { Ok(()) } else { written }
            }
            Destination::File(path) if is_special(path) => {
                let mut out = BufWriter::new(fs::OpenOptions::new().write(true).open(path)?);
                produce(&mut out)?;
                Ok(out.flush()?)
            }
            Destination::File(path) => {
                let directory = match path.parent() {
                    Some(parent) if parent != Path::new("") => parent,
                    _ => Path::new("."),
                };
                let mut builder = tempfile::Builder::new();
                builder.prefix(".rz-").permissions(Permissions::from_mode(mode));
                let mut file =
                    builder.tempfile_in(directory).map_err(|e| about_directory(directory, &e))?;
                let mut out = BufWriter::with_capacity(64 << 10, file.as_file_mut());
                produce(&mut out)?;
                out.flush()?;
                drop(out);
                let persisted = match existing {
                    Existing::Replaced => file.persist(path),
                    Existing::Kept => file.persist_noclobber(path),
                };
                persisted.map(drop).map_err(|e| E::from(e.error))
            }
        }
    }
}

/// Makes a file that may not grow any more (`ulimit -f`) an error to the one who writes
/// it, and no reason for this process to be killed. To be called before any thread is
/// started.
pub fn survive_size_limits() {
    // If it cannot be blocked, it kills as ever.
    let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
}

/// Says why nothing can be put into a directory, without the name of the
/// temporary file that tempfile mentions.
fn about_directory(directory: &Path, error: &io::Error) -> io::Error {
    let (name, kind) = (directory.display(), error.kind());
    let message = match kind {
        io::ErrorKind::NotFound => format!("there is no directory {name}"),
        kind => format!("directory {name}: {kind}"),
    };
    io::Error::new(kind, message)
}

/// Whether a path is something other than a regular file, such as
/// `/dev/null` or a named pipe, which must be written and not replaced.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Standard output that remembers that its reader has gone, so that the error
/// stops what produces the output but is not told.
struct Pipe<W> {
    out: W,
    closed: bool,
}

impl<W: Write> Pipe<W> {
    fn noting<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        self.closed |= result.as_ref().err().is_some_and(broken);
        result
    }
}

impl<W: Write> Write for Pipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.noting(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.noting(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_as_a_shell_user_expects() {
        let input = Path::new("dir/trace.rz");
        let choose = |requested: Option<&str>, terminal| {
            Destination::choose(requested.map(Path::new), input, "folded", terminal)
        };
        assert_eq!(choose(Some("-"), true), Destination::Stdout);
        assert_eq!(choose(None, false), Destination::Stdout);
        assert_eq!(choose(None, true), Destination::File("dir/trace.folded".into()));
        assert_eq!(choose(Some("x"), false), Destination::File("x".into()));
        let of_stdin = Destination::choose(None, Path::new("/dev/stdin"), "folded", true);
        assert_eq!(of_stdin, Destination::Stdout);
    }

    #[test]
    fn failed_output_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "old").unwrap();
        let failed = Destination::File(path.clone()).write(|out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn new_output_does_not_take_the_place_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let write =
            || Destination::File(path.clone()).write_new_private(|out| out.write_all(b"whole"));
        write().unwrap();
        fs::write(&path, "old").unwrap();
        assert_eq!(write().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
