//! Opens what a process has published, without being led astray.
//!
//! Everybody may write to `/tmp`: a file there may be a link to a secret, a
//! pipe that nobody writes to, somebody else's, or without an end.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

use crate::tracker::procfs::Identity;

/// Why a file is not looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It leads elsewhere, or the folder that it is in does.
    #[error("is reached through a symbolic link")]
    Link,
    /// It is a pipe, a device or a folder.
    #[error("is not a regular file")]
    NotAFile,
    /// Somebody else could have made it.
    #[error("belongs to user {0}, neither the process's nor root")]
    Owner(u32),
    /// There is more of it than is read.
    #[error("has {size} bytes, more than the {limit} that are read")]
    TooLarge {
        /// How long it is.
        size: u64,
        /// What would have been read.
        limit: u64,
    },
    /// An earlier process with the same number has left it.
    #[error("is older than the process")]
    Stale,
    /// A later process with the same number has made it its own.
    #[error("was written to after the process had ended")]
    Overwritten,
    /// It could not be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal::Io(errno.into())
    }
}

/// The root directory of a process, which may be that of a container. It can be
/// looked at when the process is gone.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

impl Root {
    /// The root directory of a process that is there.
    pub(super) fn of(pid: u32) -> Result<Self, Refusal> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Root(open(format!("/proc/{pid}/root").as_str(), flags, Mode::empty())?))
    }

    /// Opens the file at `path`, which begins without a slash, if there is one.
    pub(super) fn open(&self, path: &str, who: &Identity) -> Result<Option<File>, Refusal> {
        let mut folder: Option<OwnedFd> = None;
        for name in path.split('/') {
            let place = folder.as_ref().map_or(self.0.as_fd(), OwnedFd::as_fd);
            match step(place, name)? {
                Some(next) => folder = Some(next),
                None => return Ok(None),
            }
        }
        let Some(place) = folder.map(File::from) else { return Ok(None) };
        check(&place.metadata()?, who)?;
        // What it is, is known, so that opening it sets nothing off. Whoever
        // holds a lease on it may make us wait otherwise.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        Ok(Some(options.open(format!("/proc/self/fd/{}", place.as_raw_fd()))?))
    }
}

/// What has a name in a folder, without opening it.
fn step(folder: BorrowedFd<'_>, name: &str) -> Result<Option<OwnedFd>, Refusal> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let place = match openat(folder, name, flags, Mode::empty()) {
        Ok(place) => File::from(place),
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    match place.metadata()?.is_symlink() {
        true => Err(Refusal::Link),
        false => Ok(Some(place.into())),
    }
}

/// Whether a file is one that the process may have made.
pub(super) fn check(meta: &Metadata, who: &Identity) -> Result<(), Refusal> {
    if !meta.is_file() {
        return Err(Refusal::NotAFile);
    }
    // Tools that have a runtime write its map give it to root.
    if meta.uid() != 0 && !who.uids.contains(&meta.uid()) {
        return Err(Refusal::Owner(meta.uid()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn root(dir: &Path) -> Root {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        Root(open(dir, flags, Mode::empty()).unwrap())
    }

    fn me() -> Identity {
        let uid = nix::unistd::geteuid().as_raw();
        Identity { number: 1, uids: vec![uid] }
    }

    #[test]
    fn only_plain_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("tmp")).unwrap();
        fs::write(path("tmp/map"), "10 10 f\n").unwrap();
        symlink("map", path("tmp/link")).unwrap();
        symlink("tmp", path("other")).unwrap();
        symlink("nowhere", path("tmp/dangling")).unwrap();
        nix::unistd::mkfifo(&path("tmp/pipe"), Mode::S_IRWXU).unwrap();
        let root = root(dir.path());
        let check = |name: &str, expected: &str| {
            let found = match root.open(name, &me()) {
                Ok(Some(file)) => format!("{} bytes", file.metadata().unwrap().len()),
                Ok(None) => "nothing".to_owned(),
                Err(refusal) => refusal.to_string(),
            };
            assert_eq!(found, expected, "{name}");
        };
        check("tmp/map", "8 bytes");
        check("tmp/nothing", "nothing");
        check("nothing/map", "nothing");
        check("tmp/map/map", "nothing");
        check("tmp/link", "is reached through a symbolic link");
        check("tmp/dangling", "is reached through a symbolic link");
        check("other/map", "is reached through a symbolic link");
        check("tmp/pipe", "is not a regular file");
        check("tmp", "is not a regular file");
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("map"), "").unwrap();
        let owner = me().uids[0];
        let other = Identity { number: 1, uids: vec![owner + 1] };
        let opened = root(dir.path()).open("map", &other);
        // What root owns is good for everybody.
        assert_eq!(opened.is_ok(), owner == 0, "{opened:?}");
    }
}
