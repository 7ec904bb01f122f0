//! Signals that end a recording, read one at a time instead of interrupting.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// `si_code` of a signal that the kernel sent, as for Ctrl-C.
const SI_KERNEL: i32 = 0x80;

/// The signals that end a recording.
pub(crate) struct Signals(SignalFd);

/// Such a signal has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interrupt {
    signal: Option<Signal>,
    /// Whether the whole foreground job got it, and not only we.
    pub(crate) from_terminal: bool,
}

impl Signals {
    /// Blocks the signals in this thread and those it starts. They are read
    /// from here.
    pub(crate) fn block() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Waits for a signal, for a time.
    pub(crate) fn wait(&self, time: Duration) -> Option<Interrupt> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        // Rounded up, so that a wait for less than that does not spin.
        let timeout = u16::try_from(time.as_millis() + 1).unwrap_or(u16::MAX);
        // An interrupted wait finds nothing, and is repeated by the caller.
        let _ = poll(&mut fds, PollTimeout::from(timeout));
        let info = self.0.read_signal().ok().flatten()?;
        Some(Interrupt {
            signal: Signal::try_from(info.ssi_signo as i32).ok(),
            from_terminal: info.ssi_code == SI_KERNEL,
        })
    }
}

impl Interrupt {
    /// Sends the same signal to a process.
    pub(crate) fn send_to(self, pid: u32) {
        if let Err(error) = kill(Pid::from_raw(pid as i32), self.signal) {
            log::debug!("pid {pid} did not get the signal: {error}");
        }
    }
}
