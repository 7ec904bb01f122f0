//! Whether rec may use bpf programs, and what would let it.

use std::fs;
use std::path::Path;

use nix::errno::Errno;

use super::error::BpfError;
use crate::perf::SEALED;

/// Numbers of capabilities, see capabilities(7).
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Fails if rec lacks capabilities that it needs.
pub(super) fn check() -> Result<(), BpfError> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    match effective(&status) {
        Some(held) if !suffices(held) => {
            Err(BpfError::NotAllowed(remedy(nix::unistd::geteuid().is_root())))
        }
        // If it cannot be told, the kernel will say.
        _ => Ok(()),
    }
}

/// The effective capabilities in the text of a process's status.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn suffices(held: u64) -> bool {
    let has = |capability: u32| held >> capability & 1 != 0;
    has(CAP_SYS_ADMIN) || has(CAP_BPF) && has(CAP_PERFMON)
}

fn remedy(is_root: bool) -> String {
    match is_root {
        // Root without them is in a container.
        true => "bpf programs need CAP_BPF and CAP_PERFMON, which root has not in this container: \
                 start it with --cap-add BPF --cap-add PERFMON --cap-add SYS_PTRACE"
            .to_owned(),
        false => "bpf programs need root, or rec with CAP_BPF and CAP_PERFMON \
                  (setcap cap_bpf,cap_perfmon,cap_sys_ptrace=ep rec)"
            .to_owned(),
    }
}

/// What the system calls an error that has to do with how much there is of something,
/// and what to do about it.
const SHORTAGES: [(Errno, &str); 3] = [
    (Errno::EMFILE, "rec may not open more files: raise its limit with `ulimit -n`"),
    (Errno::ENFILE, "the machine has too many files open: raise `sysctl fs.file-max`"),
    (
        Errno::ENOMEM,
        "there is no memory for it: raise what limits rec (`ulimit -v`, `ulimit -l`, the memory \
         of its control group), or free some",
    ),
];

/// Says of what there is too little, what forbids what rec has the rights for, or what
/// the kernel was built without, if it is that.
pub(super) fn explain(error: BpfError) -> BpfError {
    let text = error.to_string();
    let is = |errno: Errno| text.contains(&format!("(os error {})", errno as i32));
    if let Some((errno, short_of)) = SHORTAGES.into_iter().find(|(errno, _)| is(*errno)) {
        let what = text.replace(&format!(" (os error {})", errno as i32), "");
        return BpfError::Short { what, short_of };
    }
    let forbidden = match &error {
        BpfError::Refused { .. } if is_locked_down() => {
            return BpfError::NotAllowed(
                "kernel lockdown in confidentiality mode forbids bpf programs to read memory: \
                 boot with lockdown=integrity"
                    .to_owned(),
            );
        }
        // sysfs has a place for tracefs if the kernel has that, mounted or not.
        BpfError::Refused { .. }
            if Path::new("/sys/kernel").exists() && !Path::new("/sys/kernel/tracing").exists() =>
        {
            return BpfError::NoTracepoints;
        }
        BpfError::Refused { cause, .. } => cause.contains("Operation not permitted"),
        BpfError::Events(error) => error.raw_os_error() == Some(libc::EPERM),
        _ => false,
    };
    match forbidden {
        true => BpfError::NotAllowed(format!("{error}: {SEALED}")),
        false => error,
    }
}

fn is_locked_down() -> bool {
    let says = |path: &str, words: &str| {
        fs::read_to_string(path).is_ok_and(|text| text.split_whitespace().any(|it| it == words))
    };
    says("/sys/kernel/security/lockdown", "[confidentiality]")
        || says("/proc/cmdline", "lockdown=confidentiality")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_that_are_enough() {
        let check = |hex: &str, expected| {
            let held = effective(&format!("Name:\trec\nCapEff:\t{hex}\n")).unwrap();
            assert_eq!(suffices(held), expected, "{hex}");
        };
        check("000001ffffffffff", true);
        check("0000000000200000", true);
        check("000000c000000000", true);
        check("0000008000000000", false);
        // What docker leaves to root.
        check("00000000a80425fb", false);
        assert_eq!(effective("Name:\trec\n"), None);
    }
}
