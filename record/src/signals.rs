//! Signals that end a recording or a file of it, read one at a time instead of interrupting.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// `si_code` of a signal that the kernel sent, as for Ctrl-C.
const SI_KERNEL: i32 = 0x80;

/// Asks for the next file.
const FOR_NEXT_FILE: Signal = Signal::SIGUSR1;

/// The signals that end a recording.
pub(crate) struct Signals {
    fd: SignalFd,
    /// The signal mask that we were started with.
    original: SigSet,
    /// Whether one of them asks for the next file.
    rotates: bool,
}

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
    /// One of them asks for the next file, if there is to be one.
    pub(crate) fn block(rotates: bool) -> io::Result<Self> {
        let original = SigSet::thread_get_mask()?;
        // What may not grow any more is an error to the one that writes it, and no
        // reason to be killed.
        SigSet::from(Signal::SIGXFSZ).thread_block()?;
        let mut set = SigSet::empty();
        // Scripts start what is in the background with interrupts ignored, and
        // then end it by one.
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        // Under nohup, a hangup is to be ignored.
        if !is_ignored(Signal::SIGHUP) {
            set.add(Signal::SIGHUP);
        }
        if rotates {
            set.add(FOR_NEXT_FILE);
        }
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals { fd, original, rotates })
    }

    /// The signal mask that we were started with, which a program that we
    /// start should have too.
    pub(crate) fn original_mask(&self) -> SigSet {
        self.original
    }

    /// Lets signals that end have their usual effect while `run` runs: what a hung disk
    /// or file system holds up can then still be ended.
    pub(crate) fn with_usual_effect<T>(&self, run: impl FnOnce() -> T) -> io::Result<T> {
        let ours = SigSet::thread_get_mask()?;
        let mut mask = self.original;
        if self.rotates {
            // It would end us, which nobody has asked for.
            mask.add(FOR_NEXT_FILE);
        }
        mask.thread_set_mask()?;
        let result = run();
        ours.thread_set_mask()?;
        Ok(result)
    }

    /// Waits for a signal, for a time.
    pub(crate) fn wait(&self, time: Duration) -> Option<Interrupt> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        // Rounded up, so that a wait for less than that does not spin.
        let timeout = u16::try_from(time.as_millis() + 1).unwrap_or(u16::MAX);
        // An interrupted wait finds nothing, and is repeated by the caller.
        let _ = poll(&mut fds, PollTimeout::from(timeout));
        let info = self.fd.read_signal().ok().flatten()?;
        Some(Interrupt {
            signal: Signal::try_from(info.ssi_signo as i32).ok(),
            from_terminal: info.ssi_code == SI_KERNEL,
        })
    }
}

/// Whether this process was started to ignore a signal.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & 1 << (signal as u64 - 1) != 0
}

impl Interrupt {
    /// Whether it asks for the next file, and not for the end.
    pub(crate) fn is_for_next_file(self) -> bool {
        self.signal == Some(FOR_NEXT_FILE)
    }

    /// Sends the same signal to a process.
    pub(crate) fn send_to(self, pid: u32) {
        if let Err(error) = kill(Pid::from_raw(pid as i32), self.signal) {
            log::debug!("pid {pid} did not get the signal: {error}");
        }
    }
}
