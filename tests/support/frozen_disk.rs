//! A disk that can stop answering.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::locate::{text, tool};
use crate::run::run;

/// A small file system on a disk of its own, gone when this is dropped. While it is
/// frozen, nothing can be written to it, and who tries waits. Needs root, to mount.
#[derive(Debug)]
pub struct FrozenDisk {
    _dir: TempDir,
    mounted_at: PathBuf,
}

impl FrozenDisk {
    /// Makes a disk, which is not frozen yet.
    #[expect(clippy::new_without_default, reason = "it mounts something")]
    pub fn new() -> Self {
        // In memory: on a real disk, whatever else waits to be written to that has to be
        // written first.
        let dir = tempfile::tempdir_in("/dev/shm").expect("memory takes files");
        let (image, mounted_at) = (dir.path().join("image"), dir.path().join("disk"));
        let file = File::create_new(&image).expect("the folder is writable");
        file.set_len(32 << 20).expect("a file with a hole takes no room");
        std::fs::create_dir(&mounted_at).expect("the folder is writable");
        system("mkfs.ext4", &["-q", text(&image)]);
        system("mount", &["-o", "loop", text(&image), text(&mounted_at)]);
        Self { _dir: dir, mounted_at }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mounted_at
    }

    /// Has whoever writes to it wait.
    pub fn freeze(&self) {
        system("fsfreeze", &["--freeze", text(&self.mounted_at)]);
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        system("fsfreeze", &["--unfreeze", text(&self.mounted_at)]);
    }
}

impl Drop for FrozenDisk {
    fn drop(&mut self) {
        // Fails if it is not frozen, which is as good.
        let _ = run(Command::new(tool("fsfreeze")).arg("--unfreeze").arg(&self.mounted_at));
        // Whoever still writes keeps it until then.
        let output = run(Command::new(tool("umount")).arg("--lazy").arg(&self.mounted_at));
        assert!(output.status.success() || std::thread::panicking(), "{output}");
    }
}

fn system(program: &str, args: &[&str]) {
    let output = run(Command::new(tool(program)).args(args));
    assert!(output.status.success(), "run this test as root:\n{output}");
}
