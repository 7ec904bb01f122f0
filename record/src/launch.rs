//! Starts a program that waits before it begins, until it is being recorded.

#![allow(unsafe_code)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread::JoinHandle;

use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::SigSet;
use nix::unistd::{close, pipe2};

/// A process that is going to execute a program.
pub(crate) struct Waiting {
    /// Its process id.
    pub(crate) pid: u32,
    go: File,
    spawn: JoinHandle<io::Result<Child>>,
}

/// Starts a process that waits for [`Waiting::go`] before it executes
/// `command` with the given signal mask and additions to the environment. Dropping the result ends it instead.
pub(crate) fn launch(
    command: &[OsString],
    environment: &[(&str, OsString)],
    signal_mask: SigSet,
) -> io::Result<Waiting> {
    let (pid_from, pid_to) = pipe2(OFlag::O_CLOEXEC)?;
    let (go_from, go_to) = pipe2(OFlag::O_CLOEXEC)?;
    let (mut pid_from, pid_to) = (File::from(pid_from), File::from(pid_to));
    let (go_from, go) = (File::from(go_from), File::from(go_to));
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    let parents_end = go.as_raw_fd();
    let wait = move || {
        (&pid_to).write_all(&std::process::id().to_le_bytes())?;
        // With our copy of the other end closed, the read below ends when the
        // recorder does.
        close(parents_end)?;
        let mut byte = [0];
        if (&go_from).read_exact(&mut byte).is_err() {
            // Nobody is left to be told why, and std would abort over it.
            // SAFETY: ends the process at once, which is always allowed.
            unsafe { libc::_exit(127) }
        }
        Ok(signal_mask.thread_set_mask()?)
    };
    // SAFETY: `wait` runs between fork and exec and only makes system calls on
    // descriptors that the child has copies of; it neither allocates nor locks.
    unsafe { command.pre_exec(wait) };
    // `spawn` returns only after the program was executed, so it needs a
    // thread of its own.
    let spawn = std::thread::spawn(move || {
        let child = command.spawn();
        drop(command);
        child
    });
    let mut pid = [0; 4];
    match pid_from.read_exact(&mut pid) {
        Ok(()) => Ok(Waiting { pid: u32::from_le_bytes(pid), go, spawn }),
        // The process could not even be made; `spawn` knows why.
        Err(error) => Err(join(spawn).err().unwrap_or(error)),
    }
}

impl Waiting {
    /// Lets the program begin. Fails if it cannot be executed.
    pub(crate) fn go(mut self) -> io::Result<Child> {
        self.go.write_all(&[1])?;
        join(self.spawn)
    }
}

fn join(spawn: JoinHandle<io::Result<Child>>) -> io::Result<Child> {
    spawn.join().unwrap_or_else(|_| Err(io::Error::other("starting the program failed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_only_when_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let command = ["touch".into(), mark.clone().into()];
        let waiting = launch(&command, &[], SigSet::empty()).unwrap();
        assert!(!mark.exists());
        assert!(waiting.go().unwrap().wait().unwrap().success());
        assert!(mark.exists());
    }

    #[test]
    fn a_missing_program_is_an_error() {
        let error =
            launch(&["/no/such/program".into()], &[], SigSet::empty()).unwrap().go().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
