//! A small file system, to be filled up.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::locate::{temp_dir, text, tool};
use crate::run::run;

/// A file system in memory, gone when this is dropped. Needs root, to mount.
#[derive(Debug)]
pub struct RamDisk {
    dir: TempDir,
}

impl RamDisk {
    /// Mounts an empty file system of that size.
    pub fn new(kib: u32) -> Self {
        let dir = temp_dir();
        let size = format!("size={kib}k");
        let mut mount = Command::new(tool("mount"));
        let output = run(mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()));
        assert!(output.status.success(), "run this test as root:\n{output}");
        Self { dir }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all the room there is, in a file of this name.
    pub fn fill(&self, name: &str) {
        let path = self.path().join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Page by page, so that a write that is too large leaves no room.
        loop {
            match file.write_all(&[1; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
}

impl Drop for RamDisk {
    fn drop(&mut self) {
        let output = run(Command::new(tool("umount")).arg(text(self.dir.path())));
        assert!(output.status.success() || std::thread::panicking(), "{output}");
    }
}
