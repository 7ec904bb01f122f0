//! The trace file: made without a name, given its own when recording begins, and never
//! made to look whole when it is not. Or standard output, which has none of that: what
//! is written there is out of our hands.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::linkat;

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
    /// Many files are to be written into a file.
    #[error("{0} is not a directory, which traces are to be written into: name one with -o")]
    NoFolder(PathBuf),
    /// There are many files, and one output.
    #[error(
        "--rotate and --ring write many files, and standard output is one: name a directory with -o"
    )]
    ManyToStdout,
    /// The file could not be created.
    #[error("cannot create {path}: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file may not be longer.
    #[error(
        "cannot write {path}: the file has the size that files of this process may have \
         (ulimit -f); it holds what was recorded until then"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
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
    /// The end of a recording cannot be written.
    #[error(
        "cannot write the rest of {path}: it was not taken within {} s (--drain-timeout); it \
         holds what was written until then",
        timeout.as_secs_f64()
    )]
    Stalled {
        /// The file.
        path: PathBuf,
        /// How long its end may take.
        timeout: Duration,
    },
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
    let command = safe(command);
    let mut time = humantime::format_rfc3339_seconds(time).to_string();
    time.retain(|c| !matches!(c, '-' | ':'));
    let command = if command.is_empty() { "trace" } else { &command };
    format!("{command}-{pid}-{time}.rz").into()
}

/// A text as it may be part of a name.
pub(crate) fn safe(text: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
    text.trim_start_matches('.').chars().map(safe).collect()
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
    place: Place,
    /// What it is called until then, if it has to be called something.
    temporary: PathBuf,
    force: bool,
}

/// Where a file is that has not got its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In its folder, without a name: if we are killed, nothing is left of it.
    Nameless,
    /// Under a temporary name, on file systems where files have to have one.
    Temporary,
    /// With somebody else.
    Theirs,
    /// In memory, as long as it is open.
    Memory,
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
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let ours = |flags: OFlag| {
            let mut options = OpenOptions::new();
            options.write(true).mode(0o600).custom_flags(flags.bits());
            options
        };
        let (file, place) = match ours(OFlag::O_TMPFILE).open(folder) {
            Ok(file) => (file, Place::Nameless),
            Err(_) => {
                let file = ours(OFlag::O_NOFOLLOW).create_new(true).open(&temporary);
                (file.map_err(failed)?, Place::Temporary)
            }
        };
        Ok(Unpublished { file: Some(file), path: path.to_owned(), place, temporary, force })
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
                let (file, place) = (Some(fd.into()), Place::Theirs);
                Ok(Unpublished { file, path, place, temporary: PathBuf::new(), force: false })
            }
            Err(source) => Err(OutputError::Write { path, source }),
        }
    }

    /// Creates a file in memory, which is never there under its name.
    pub(crate) fn in_memory(path: &Path) -> Result<Self, OutputError> {
        let failed =
            |error: Errno| OutputError::Create { path: path.to_owned(), source: error.into() };
        let file = memfd_create(c"trace", MFdFlags::MFD_CLOEXEC).map_err(failed)?;
        let (file, place) = (Some(file.into()), Place::Memory);
        Ok(Unpublished {
            file,
            path: path.to_owned(),
            place,
            temporary: PathBuf::new(),
            force: false,
        })
    }

    /// A handle to write the file's first bytes by, and those that follow.
    pub(crate) fn handle(&self) -> io::Result<Counted> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?.try_clone()?;
        Ok(Counted { file, len: 0, room: None })
    }

    /// What to call the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says that the file could not be begun.
    pub(crate) fn failed(&self, source: io::Error) -> OutputError {
        let path = self.path.clone();
        match (source.kind(), self.place) {
            (io::ErrorKind::BrokenPipe, _) => OutputError::ReaderGone,
            (_, Place::Theirs) => OutputError::Write { path, source },
            (_, Place::Nameless | Place::Temporary | Place::Memory) => {
                OutputError::Create { path, source }
            }
        }
    }

    /// Gives the file its name.
    pub(crate) fn publish(mut self) -> Result<TraceFile, OutputError> {
        let path = self.path.clone();
        let failed = |source| OutputError::Create { path: path.clone(), source };
        let file = self.file.take().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        if self.place == Place::Nameless {
            let first = if self.force { &self.temporary } else { &self.path };
            match name(&file, first) {
                Err(Errno::EEXIST) if !self.force => return Err(OutputError::Exists(path)),
                named => named.map_err(|error| failed(error.into()))?,
            }
        }
        let temporary = &self.temporary;
        let named = match (self.place, self.force) {
            (Place::Theirs | Place::Memory, _) | (Place::Nameless, false) => Ok(()),
            (Place::Nameless | Place::Temporary, true) => fs::rename(temporary, &self.path),
            (Place::Temporary, false) => give_name(temporary, &self.path),
        };
        if let Err(error) = named {
            remove(temporary);
            return Err(match error.kind() {
                io::ErrorKind::AlreadyExists => OutputError::Exists(path),
                _ => failed(error),
            });
        }
        // For `Series`, which leaves alone what is being written. Not all file systems can.
        if self.place != Place::Theirs
            && let Err(error) = file.try_lock()
        {
            log::debug!("{} is not locked: {error}", path.display());
        }
        Ok(TraceFile { file, path, place: self.place })
    }
}

/// Gives a file without a name one that nothing has.
fn name(file: &File, path: &Path) -> Result<(), Errno> {
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(AT_FDCWD, nameless.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
}

/// Gives a file another name that nothing has.
pub(crate) fn give_name(temporary: &Path, path: &Path) -> io::Result<()> {
    // Unlike a rename, a link never replaces what came in between.
    match fs::hard_link(temporary, path) {
        // Some file systems have no hard links.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(temporary, path),
        linked => linked.and_then(|()| fs::remove_file(temporary)),
    }
}

/// Removes what nothing was recorded into.
fn remove(temporary: &Path) {
    // If it cannot be removed, there is nobody left to tell.
    let _ = fs::remove_file(temporary);
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        if self.file.is_some() && self.place == Place::Temporary {
            remove(&self.temporary);
        }
    }
}

/// Who can make room on a full disk.
pub(crate) trait MakeRoom: Send + Sync {
    /// Makes some; returns whether there was any to make.
    fn make_room(&self) -> bool;
}

/// Whether the disk that `file` is on has, without so many more bytes, less room than is to
/// be left: `min_free` bytes, or what is usual.
pub(crate) fn is_nearly_full(file: &File, min_free: Option<u64>, bytes: u64) -> bool {
    let Ok(disk) = fstatvfs(file) else { return false };
    let total = disk.blocks() * disk.fragment_size();
    let free = disk.blocks_available() * disk.fragment_size();
    let reserve = min_free.unwrap_or((total / RESERVE_PART).min(MAX_RESERVE));
    free < reserve.saturating_add(bytes)
}

/// Whether a file could not be written as there is no room for it.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A file, and how much was written to it.
pub(crate) struct Counted {
    file: File,
    len: u64,
    /// What makes room on a full disk.
    room: Option<Arc<dyn MakeRoom>>,
}

impl Counted {
    /// Has room made where there is none.
    pub(crate) fn with_room_from(self, room: Option<Arc<dyn MakeRoom>>) -> Self {
        Counted { room, ..self }
    }

    /// Bytes written.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error)
                    if is_full(&error)
                        && self.room.as_ref().is_some_and(|room| room.make_room()) => {}
                written => {
                    self.len += *written.as_ref().unwrap_or(&0) as u64;
                    return written;
                }
            }
        }
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
    place: Place,
}

impl TraceFile {
    /// What to call the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the disk has no more room than a recording has to leave: `min_free`
    /// bytes, or what is usual.
    pub(crate) fn is_disk_nearly_full(&self, min_free: Option<u64>) -> bool {
        // Memory has limits of its own.
        self.place != Place::Memory && is_nearly_full(&self.file, min_free, 0)
    }

    /// The file itself, and what it is called.
    pub(crate) fn into_parts(self) -> (File, PathBuf) {
        (self.file, self.path)
    }

    /// Cuts off what was written behind the last whole block, and says what
    /// went wrong.
    pub(crate) fn give_up(&self, whole_len: u64, source: io::Error) -> OutputError {
        let path = self.path.clone();
        // Others may have written to theirs as well.
        if self.place != Place::Theirs
            && self.file.metadata().is_ok_and(|meta| meta.size() > whole_len)
            && let Err(error) = self.file.set_len(whole_len)
        {
            log::debug!("the end of {} stays unfinished: {error}", path.display());
        }
        match source.kind() {
            _ if is_full(&source) => OutputError::DiskFull { path },
            io::ErrorKind::FileTooLarge => OutputError::TooLarge { path },
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
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
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
    fn nothing_is_left_of_one_that_was_killed() {
        for force in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("t.rz");
            let file = Unpublished::create(&path, force).unwrap();
            file.handle().unwrap().write_all(b"new").unwrap();
            assert!(names(dir.path()).is_empty());
            file.publish().unwrap();
            assert_eq!(names(dir.path()), ["t.rz"]);
            assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        }
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
