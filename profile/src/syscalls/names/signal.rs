//! Names of signals.

use std::fmt::Write as _;

use super::{Names, table};

pub static MASK_HOW: Names = Names::numbers(table![SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK]);

static SIGNAL: Names = Names::numbers(table![
    SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV,
    SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS
]);

/// The first real-time signal of the kernel; C libraries begin later.
const SIGRTMIN: u32 = 32;
const SIGRTMAX: u32 = 64;

/// Writes the name of a signal, or its number if it has none.
pub fn write(out: &mut String, signal: u32) {
    let _ = match signal {
        SIGRTMIN => write!(out, "SIGRTMIN"),
        _ if (SIGRTMIN..=SIGRTMAX).contains(&signal) => write!(out, "SIGRT_{}", signal - SIGRTMIN),
        _ => match SIGNAL.name_of(signal) {
            Some(name) => write!(out, "{name}"),
            None => write!(out, "{}", signal as i32),
        },
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn signals_have_names_or_stay_numbers() {
        for (signal, expect) in [
            (0, "0"),
            (9, "SIGKILL"),
            (31, "SIGSYS"),
            (32, "SIGRTMIN"),
            (33, "SIGRT_1"),
            (64, "SIGRT_32"),
            (65, "65"),
            (u32::MAX, "-1"),
        ] {
            let mut out = String::new();
            super::write(&mut out, signal);
            assert_eq!(out, expect);
        }
    }
}
