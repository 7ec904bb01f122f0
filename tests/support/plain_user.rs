//! Runs commands as a user who has no rights but the usual ones.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::locate::{binary, program_path, temp_dir, text, tool};
use crate::run::run;

/// The user and group `nobody`, which owns no file and has no privilege.
const NOBODY: u32 = 65534;

/// The user `nobody` with a folder of its own, which starts as its working
/// directory. Needs root, to become somebody else.
#[derive(Debug)]
pub struct PlainUser {
    home: TempDir,
    programs: TempDir,
}

impl PlainUser {
    /// Makes the folder; it is gone when this is dropped.
    #[expect(clippy::new_without_default, reason = "it makes a folder, which can fail")]
    pub fn new() -> Self {
        let (home, programs) = (temp_dir(), temp_dir());
        chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap_or_else(|error| {
            panic!("cannot become another user ({error}): run this test as root")
        });
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(programs.path(), readable).expect("the folder is ours");
        Self { home, programs }
    }

    /// The folder that belongs to this user.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A binary of rz, to be run by this user.
    pub fn binary(&self, name: &str) -> Command {
        self.command(&self.installed(&binary(name)))
    }

    /// A target program, to be run by this user.
    pub fn program(&self, name: &str) -> Command {
        self.command(&self.installed(&program_path(name)))
    }

    /// A command that this user may read and execute. Its process id is that
    /// of the program.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(tool("setpriv"));
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
        command.args(["--clear-groups", "--"]).arg(program).current_dir(self.home());
        command
    }

    /// A copy where this user may reach it, which the workspace may not be.
    fn installed(&self, program: &Path) -> PathBuf {
        let copy = self.programs.path().join(program.file_name().expect("a file"));
        // Copied by another process: a file that one of our threads still has
        // open for writing cannot be executed by a child of another thread.
        run(Command::new("install").args(["-m", "755", text(program), text(&copy)])).success();
        copy
    }
}
