//! Puts the hook where a program finds it, even after `rec` has ended:
//! children that are started later would complain about a missing library.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::geteuid;

/// The library, as it was built along with this program.
static LIBRARY: &[u8] = include_bytes!(env!("RZ_ALLOC_HOOK"));

/// The hook's path; it is written there unless it is there already.
///
/// One file for each version, in a folder of our own in a temporary directory:
/// a program may change its user and must still be able to read it. The folder
/// and the file must be ours, and nobody else may be able to change them.
pub(super) fn install() -> io::Result<PathBuf> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for directory in directories() {
        match install_in(&directory) {
            Ok(path) => return Ok(path),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Temporary directories that allow executing files.
fn directories() -> impl Iterator<Item = PathBuf> {
    let named = std::env::var_os("TMPDIR").map(PathBuf::from);
    let usual = ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from);
    named.into_iter().chain(usual).filter(|path| can_be_preloaded_from(path)).filter(|directory| {
        statvfs(directory).is_ok_and(|system| !system.flags().contains(FsFlags::ST_NOEXEC))
    })
}

/// The list of what to preload is split at colons and spaces; see `ld.so(8)`.
fn can_be_preloaded_from(directory: &Path) -> bool {
    let splits = |byte: &u8| matches!(byte, b':' | b' ');
    directory.is_absolute() && !directory.as_os_str().as_bytes().iter().any(splits)
}

fn install_in(directory: &Path) -> io::Result<PathBuf> {
    let own = directory.join(format!("rz-{}", geteuid()));
    match DirBuilder::new().mode(0o755).create(&own) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(&own)?;
    if !metadata.is_dir() || !is_ours_alone(&metadata) {
        let what = format!("{} is not a folder that only we can write to", own.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    // Whatever the umask was.
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755))?;
    let path = own.join(format!("librz_alloc-{:016x}.so", hash(LIBRARY)));
    if !is_installed(&path) {
        // Under another name first: a program may be loading it this moment.
        let new = own.join(format!(".new-{}", std::process::id()));
        let written = write(&new).and_then(|()| fs::rename(&new, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
    }
    Ok(path)
}

fn is_ours_alone(metadata: &fs::Metadata) -> bool {
    metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

fn is_installed(path: &Path) -> bool {
    let same = || -> io::Result<bool> {
        let metadata = fs::symlink_metadata(path)?;
        if !metadata.is_file() || !is_ours_alone(&metadata) || metadata.mode() & 0o555 != 0o555 {
            return Ok(false);
        }
        let mut content = Vec::new();
        File::open(path)?.take(LIBRARY.len() as u64 + 1).read_to_end(&mut content)?;
        Ok(content == LIBRARY)
    };
    same().unwrap_or(false)
}

fn write(path: &Path) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = File::create_new(path)?;
    file.write_all(LIBRARY)?;
    file.set_permissions(fs::Permissions::from_mode(0o755))
}

/// Tells versions apart (FNV-1a); that a file is right is checked in full.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_library_can_be_preloaded_from() {
        let check = |path: &str, expected: bool| {
            assert_eq!(can_be_preloaded_from(Path::new(path)), expected, "{path}");
        };
        check("/tmp", true);
        check("tmp", false);
        check("/home/me/my files", false);
        check("/mnt/c:/tmp", false);
    }

    #[test]
    fn is_written_once_and_mended() {
        let directory = tempfile::tempdir().unwrap();
        let path = install_in(directory.path()).unwrap();
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        let first = inode(&path);
        assert_eq!(install_in(directory.path()).unwrap(), path);
        assert_eq!(inode(&path), first);
        fs::write(&path, "not a library").unwrap();
        assert_eq!(install_in(directory.path()).unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), LIBRARY);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join(format!("rz-{}", geteuid()));
        fs::create_dir(&own).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(install_in(directory.path()).is_err());
    }
}
