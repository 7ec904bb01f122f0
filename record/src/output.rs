//! The trace file: made under a temporary name, given its own when recording
//! begins, and never made to look whole when it is not. Or standard output,
//! which has none of that: what is written there is out of our hands.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::OFlag;
use nix::sys::statvfs::fstatvfs;

/// Part of a file system that a recording leaves free: one in so many bytes,
/// but no more than `MAX_RESERVE`.
const RESERVE_PART: u64 = 100;
const MAX_RESERVE: u64 = 256 << 20;

/// What messages call standard output.
const STDOUT: &str = "/dev/stdout";

/// Why a trace file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// There is something of that name.
    #[error("{0} exists already: choose another name with -o, or overwrite it with --force")]
    Exists(PathBuf),
    /// The file could not be created.
    #[error("cannot create {path}: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing is left to write on.
    #[error("cannot write {path}: the disk is full; it holds what was recorded until then")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// Standard output would be shown.
    #[error("a trace is not for a terminal: name a file with -o, or pipe it on")]
    Terminal,
    /// Standard output is the program's, too.
    #[error(
        "the trace and what the program prints cannot both go to standard output: \
         name a file with -o, or attach to the program with -p"
    )]
    SharedWithProgram,
    /// Nobody reads on.
    #[error("the recording has ended early: nobody reads standard output any more")]
    ReaderGone,
    /// The file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A name for a trace: command, pid and UTC time.
pub(crate) fn default_name(command: &str, pid: u32, time: SystemTime) -> PathBuf {
    let safe = |c: char| if c.is_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
    let command: String = command.trim_start_matches('.').chars().map(safe).collect();
    let mut time = humantime::format_rfc3339_seconds(time).to_string();
    time.retain(|c| !matches!(c, '-' | ':'));
    let command = if command.is_empty() { "trace" } else { &command };
    format!("{command}-{pid}-{time}.rz").into()
}

/// Whether this is how standard output is asked for.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new(STDOUT)
}

/// A trace file that has not got its name yet, or standard output, which never
/// gets one.
pub(crate) struct Unpublished {
    file: Option<File>,
    path: PathBuf,
    temporary: Option<PathBuf>,
    force: bool,
}

impl Unpublished {
    /// Creates the file, empty and for its owner only, beside where it will
    /// be. Fails early for what would fail later.
    pub(crate) fn create(path: &Path, force: bool) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Create { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(_) if !force => return Err(OutputError::Exists(path.to_owned())),
            Ok(meta) if meta.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            // A trace takes the place of what it replaces: of /dev/null, as
            // root, for every program on the machine.
            Ok(meta) if !meta.is_file() && !meta.is_symlink() => {
                return Err(failed(io::Error::other("it is not a regular file")));
            }
            _ => {}
        }
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}", std::process::id()));
        let temporary = path.with_file_name(temporary);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&temporary)
            .map_err(failed)?;
        let temporary = Some(temporary);
        Ok(Unpublished { file: Some(file), path: path.to_owned(), temporary, force })
    }

    /// Takes standard output for the file.
    pub(crate) fn stdout() -> Result<Self, OutputError> {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            return Err(OutputError::Terminal);
        }
        let path = PathBuf::from(STDOUT);
        match stdout.as_fd().try_clone_to_owned() {
            Ok(fd) => {
                Ok(Unpublished { file: Some(fd.into()), path, temporary: None, force: false })
            }
            Err(source) => Err(OutputError::Write { path, source }),
        }
    }

    /// A handle to write the file's first bytes by, and those that follow.
    pub(crate) fn handle(&self) -> io::Result<Counted> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?.try_clone()?;
        Ok(Counted { file, len: 0 })
    }

    /// What to call the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says that the file could not be begun.
    pub(crate) fn failed(&self, source: io::Error) -> OutputError {
        let path = self.path.clone();
        match (source.kind(), &self.temporary) {
            (io::ErrorKind::BrokenPipe, _) => OutputError::ReaderGone,
            (_, None) => OutputError::Write { path, source },
            (_, Some(_)) => OutputError::Create { path, source },
        }
    }

    /// Gives the file its name.
    pub(crate) fn publish(mut self) -> Result<TraceFile, OutputError> {
        let failed = |source| OutputError::Create { path: self.path.clone(), source };
        match &self.temporary {
            None => {}
            Some(temporary) if self.force => {
                fs::rename(temporary, &self.path).map_err(failed)?;
            }
            // Unlike a rename, a link never replaces what came in between.
            Some(temporary) => match fs::hard_link(temporary, &self.path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(OutputError::Exists(self.path.clone()));
                }
                // Some file systems have no hard links.
                Err(_) => fs::rename(temporary, &self.path).map_err(failed)?,
                Ok(()) => fs::remove_file(temporary).map_err(failed)?,
            },
        }
        let file = self.file.take().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok(TraceFile { file, path: self.path.clone(), is_ours: self.temporary.is_some() })
    }
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        if let (Some(_), Some(temporary)) = (&self.file, &self.temporary) {
            // Nothing was recorded. If it cannot be removed, there is nobody
            // left to tell.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// A file, and how much was written to it.
pub(crate) struct Counted {
    file: File,
    len: u64,
}

impl Counted {
    /// Bytes written.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The file that a recording is written to.
#[derive(Debug)]
pub(crate) struct TraceFile {
    file: File,
    path: PathBuf,
    /// Whether we have made it, and nobody else has written to it.
    is_ours: bool,
}

impl TraceFile {
    /// Whether the disk has no more room than a recording has to leave.
    pub(crate) fn is_disk_nearly_full(&self) -> bool {
        let Ok(disk) = fstatvfs(&self.file) else { return false };
        let total = disk.blocks() * disk.fragment_size();
        let free = disk.blocks_available() * disk.fragment_size();
        free < (total / RESERVE_PART).min(MAX_RESERVE)
    }

    /// Cuts off what was written behind the last whole block, and says what
    /// went wrong.
    pub(crate) fn give_up(&self, whole_len: u64, source: io::Error) -> OutputError {
        let path = self.path.clone();
        if self.is_ours
            && self.file.metadata().is_ok_and(|meta| meta.size() > whole_len)
            && let Err(error) = self.file.set_len(whole_len)
        {
            log::debug!("the end of {} stays unfinished: {error}", path.display());
        }
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                OutputError::DiskFull { path }
            }
            io::ErrorKind::BrokenPipe => OutputError::ReaderGone,
            _ => OutputError::Write { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_surprises() {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_000);
        let check = |command, expected: &str| {
            assert_eq!(default_name(command, 7, time), Path::new(expected));
        };
        check("redis-server", "redis-server-7-20260921T141320Z.rz");
        check("../kworker/0:1 x", "_kworker_0_1_x-7-20260921T141320Z.rz");
        check("", "trace-7-20260921T141320Z.rz");
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn nothing_is_left_of_an_attempt_that_came_to_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(Unpublished::create(&dir.path().join("t.rz"), false).unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn an_existing_file_is_kept_without_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.rz");
        let late = Unpublished::create(&path, false).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Unpublished::create(&path, false), Err(OutputError::Exists(_))));
        assert!(matches!(late.publish(), Err(OutputError::Exists(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

        let file = Unpublished::create(&path, true).unwrap();
        file.handle().unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        file.publish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(dir.path()), ["t.rz"]);
    }

    #[test]
    fn only_files_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(Unpublished::create(&socket, true), Err(OutputError::Create { .. })));
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        assert!(matches!(Unpublished::create(&folder, true), Err(OutputError::Create { .. })));
        assert!(!fs::symlink_metadata(&socket).unwrap().is_file());
    }
}
