//! Names of signals.

use std::fmt::Write as _;

use super::{Names, table};

pub static MASK_HOW: Names = Names::numbers(table![SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK]);

pub static ACTION: Names = Names::flags(table![
    SA_RESTORER = 0x0400_0000,
    SA_ONSTACK,
    SA_RESTART,
    SA_NODEFER,
    SA_RESETHAND,
    SA_SIGINFO,
    SA_NOCLDSTOP,
    SA_NOCLDWAIT
]);

static SIGNAL: Names = Names::numbers(table![
    SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV,
    SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, SIGSYS
]);

/// The first real-time signal of the kernel; C libraries begin later.
const SIGRTMIN: u32 = 32;
const SIGRTMAX: u32 = 64;

/// With so many signals, those that are missing are named, as strace does.
const MOST_OF_SET: u32 = 64 * 2 / 3;

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

/// The signal of this name.
pub fn number(name: &str) -> Option<u32> {
    match name.strip_prefix("SIGRT_") {
        Some(number) => number.parse::<u32>().ok()?.checked_add(SIGRTMIN),
        None if name == "SIGRTMIN" => Some(SIGRTMIN),
        None => SIGNAL.parse(name),
    }
}

/// Writes a set of signals: those that are missing, if these are less.
pub fn write_set(out: &mut String, set: u64) {
    let few = if set.count_ones() >= MOST_OF_SET { !set } else { set };
    out.push_str(if few == set { "[" } else { "~[" });
    let mut separator = "";
    for signal in (1..=SIGRTMAX).filter(|signal| few >> (signal - 1) & 1 == 1) {
        out.push_str(separator);
        let start = out.len();
        write(out, signal);
        if out[start..].starts_with("SIG") {
            out.replace_range(start..start + "SIG".len(), "");
        }
        separator = " ";
    }
    out.push(']');
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
