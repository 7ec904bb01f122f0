//! What the recorder gives up before it reads what targets say of themselves: rights
//! that it has no more use for. Somebody who makes it misbehave by a file or by memory
//! gains little.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixDatagram;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl::set_no_new_privs;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use crate::arch::calls::{OLD_FILE_CALLS, OLD_OPEN, SECCOMP_ARCH};

/// Capabilities that recording needs to its end: for bpf programs and events, the memory
/// of other users' processes, their files and what they map, the names of kernel
/// addresses, buffers, and signals to a program that was started.
const NEEDED: [Capability; 9] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_CHECKPOINT_RESTORE,
    Capability::CAP_SYSLOG,
    Capability::CAP_IPC_LOCK,
    Capability::CAP_SYS_RESOURCE,
    Capability::CAP_KILL,
];

/// Capabilities that do the work of the older one beside them, which is kept where they
/// are missing.
const NEWER: [Capability; 3] =
    [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_CHECKPOINT_RESTORE];
const OLDER: Capability = Capability::CAP_SYS_ADMIN;

/// System calls to run programs, reach others by a network, change other processes or
/// the system, or get around this list.
const FOREIGN: [libc::c_long; 27] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_ptrace,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_io_uring_setup,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
];

/// System calls that change files by their names.
const NAMED_FILES: [libc::c_long; 14] = [
    libc::SYS_openat2,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
];

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Everything is attached.
    Attached,
    /// The file has its name, too.
    Published,
}

/// Gives up what a recording needs no more. Threads that are started later have it as
/// this one; children of the target are none of ours.
pub(crate) fn confine(stage: Stage) -> io::Result<()> {
    give_up_capabilities(stage)?;
    set_no_new_privs()?;
    let filter = filter(stage).map_err(io::Error::other)?;
    apply_filter(&filter).map_err(io::Error::other)
}

/// Drops all capabilities that are not needed any more.
fn give_up_capabilities(stage: Stage) -> io::Result<()> {
    let held = caps::read(None, CapSet::Permitted).map_err(io::Error::other)?;
    let kept = kept(&held, stage);
    let none = CapsHashSet::new();
    let sets =
        [(CapSet::Inheritable, &none), (CapSet::Effective, &kept), (CapSet::Permitted, &kept)];
    sets.into_iter()
        .try_for_each(|(set, kept)| caps::set(None, set, kept))
        .map_err(io::Error::other)
}

fn kept(held: &CapsHashSet, stage: Stage) -> CapsHashSet {
    let mut kept: CapsHashSet = NEEDED.into_iter().filter(|it| held.contains(it)).collect();
    if NEWER.iter().any(|newer| !held.contains(newer)) && held.contains(&OLDER) {
        kept.insert(OLDER);
    }
    // The folder may be another user's.
    if stage == Stage::Attached && held.contains(&Capability::CAP_DAC_OVERRIDE) {
        kept.insert(Capability::CAP_DAC_OVERRIDE);
    }
    kept
}

/// The rest of the system calls is allowed: which of them libraries make depends on
/// their versions, and a recording that fails by night is worse.
fn filter(stage: Stage) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = BTreeMap::new();
    match stage {
        Stage::Attached => rules.extend(FOREIGN.map(|number| (number, Vec::new()))),
        Stage::Published => {
            rules.extend(NAMED_FILES.map(|number| (number, Vec::new())));
            rules.extend(OLD_FILE_CALLS.iter().map(|number| (*number, Vec::new())));
            rules.insert(libc::SYS_openat, opens_to_write(2)?);
            if let Some(open) = OLD_OPEN {
                rules.insert(open, opens_to_write(1)?);
            }
        }
    }
    let (others, these) = (SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32));
    SeccompFilter::new(rules, others, these, SECCOMP_ARCH)?.try_into()
}

/// Confines this process, and says what it is left with; or what still goes.
pub(crate) fn try_out() -> Result<String, String> {
    for stage in [Stage::Attached, Stage::Published] {
        confine(stage).map_err(|error| error.to_string())?;
    }
    match UnixDatagram::unbound() {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
        _ => return Err("system calls that were given up still go".to_owned()),
    }
    let left = caps::read(None, CapSet::Effective).map_err(|error| error.to_string())?;
    let mut left: Vec<String> = left
        .into_iter()
        .map(|capability| capability.to_string().trim_start_matches("CAP_").to_lowercase())
        .collect();
    left.sort();
    let left = if left.is_empty() { "none".to_owned() } else { left.join(", ") };
    Ok(format!(
        "once attached, it runs no programs, opens no sockets, and writes to no other file; \
         capabilities: {left}"
    ))
}

/// If the flags in the argument are those of a file that is to be changed.
fn opens_to_write(argument: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let flags = [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC];
    let rules = flags.into_iter().map(|flag| {
        let has = SeccompCmpOp::MaskedEq(flag as u64);
        let length = SeccompCmpArgLen::Dword;
        SeccompRule::new(vec![SeccompCondition::new(argument, length, has, flag as u64)?])
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::process::Command;
    use std::thread;

    use super::*;

    #[test]
    fn capabilities_are_kept_as_they_are_needed() {
        use Capability::*;
        let set = |all: &[Capability]| all.iter().copied().collect::<CapsHashSet>();
        let check = |held: &[Capability], stage, expected: &[Capability]| {
            assert_eq!(kept(&set(held), stage), set(expected), "{held:?}");
        };
        let all: Vec<Capability> = caps::all().into_iter().collect();
        check(&all, Stage::Published, &NEEDED);
        check(&all, Stage::Attached, &[&NEEDED[..], &[CAP_DAC_OVERRIDE]].concat());
        let old = [CAP_SYS_ADMIN, CAP_SYS_PTRACE];
        check(&[&old[..], &[CAP_NET_ADMIN]].concat(), Stage::Published, &old);
        check(&[CAP_BPF, CAP_CHOWN], Stage::Attached, &[CAP_BPF]);
        check(&[], Stage::Attached, &[]);
    }

    /// In a thread of its own, as there is no way back.
    #[test]
    fn what_is_given_up_cannot_be_done() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        File::create(&old).unwrap();
        let refused = |error: io::Error| assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        let confined = thread::spawn(move || {
            confine(Stage::Attached).unwrap();
            refused(UnixDatagram::unbound().unwrap_err());
            refused(Command::new("/bin/true").status().unwrap_err());
            File::create(&new).unwrap();

            confine(Stage::Published).unwrap();
            refused(OpenOptions::new().write(true).open(&old).unwrap_err());
            refused(File::create(&new).unwrap_err());
            refused(std::fs::remove_file(&old).unwrap_err());
            refused(std::fs::rename(&old, &new).unwrap_err());
            File::open(&old).unwrap();
            thread::spawn(move || refused(UnixDatagram::unbound().unwrap_err())).join().unwrap();
        });
        confined.join().unwrap();
    }
}
