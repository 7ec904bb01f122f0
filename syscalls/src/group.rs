//! Named groups of calls, those of strace.

use crate::call::Syscall;
use crate::kind::{Kind, Returns};

/// A group of calls. A call may be in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// `%file`: takes a path.
    File,
    /// `%desc`: takes or returns a file descriptor. Other than with strace,
    /// calls on sockets are not left out.
    Desc,
    /// `%network`: works on sockets.
    Network,
    /// `%process`: begins, ends or waits for processes.
    Process,
    /// `%memory`: changes memory mappings.
    Memory,
    /// `%signal`: sends, waits for or handles signals.
    Signal,
    /// `%ipc`: System V shared memory, semaphores and messages.
    Ipc,
}

/// Takes or gives away a path without an argument that tells.
const FILE: &str = "getcwd";

/// Uses file descriptors that are in memory.
const DESC: &str = "poll ppoll select pselect6 pipe pipe2 socketpair close_range";

const NETWORK: &str = "\
    socket socketpair connect bind listen accept accept4 getsockname getpeername getsockopt \
    setsockopt sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg shutdown sendfile getpmsg \
    putpmsg";

const PROCESS: &str = "\
    clone clone3 fork vfork execve execveat exit exit_group wait4 waitid kill tkill tgkill \
    pidfd_open pidfd_send_signal process_mrelease rt_sigqueueinfo rt_tgsigqueueinfo";

const MEMORY: &str = "\
    brk mmap munmap mremap mprotect pkey_mprotect madvise process_madvise mbind get_mempolicy \
    set_mempolicy set_mempolicy_home_node migrate_pages move_pages mincore mlock mlock2 mlockall \
    munlock munlockall msync mseal map_shadow_stack remap_file_pages shmat shmdt io_setup \
    io_destroy";

const SIGNAL: &str = "\
    kill tkill tgkill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask \
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack \
    signalfd signalfd4";

const IPC: &str = "\
    shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl";

impl Group {
    /// All groups.
    pub const ALL: [Group; 7] = [
        Group::File,
        Group::Desc,
        Group::Network,
        Group::Process,
        Group::Memory,
        Group::Signal,
        Group::Ipc,
    ];

    /// The name, `%` included.
    pub fn name(self) -> &'static str {
        match self {
            Group::File => "%file",
            Group::Desc => "%desc",
            Group::Network => "%network",
            Group::Process => "%process",
            Group::Memory => "%memory",
            Group::Signal => "%signal",
            Group::Ipc => "%ipc",
        }
    }

    /// The group of this name, `%` included; `%net` is `%network`.
    pub fn named(name: &str) -> Option<Self> {
        if name == "%net" {
            return Some(Group::Network);
        }
        Group::ALL.into_iter().find(|group| group.name() == name)
    }

    /// Whether `call` is in the group.
    pub fn contains(self, call: &Syscall) -> bool {
        let listed = |list: &str| list.split(' ').any(|name| name == call.name);
        let takes = |test: fn(Kind) -> bool| call.args.iter().any(|arg| test(arg.kind));
        match self {
            Group::File => takes(|kind| kind == Kind::Path) || listed(FILE),
            Group::Desc => takes(Kind::is_fd) || call.returns == Returns::Fd || listed(DESC),
            Group::Network => listed(NETWORK),
            Group::Process => listed(PROCESS),
            Group::Memory => listed(MEMORY),
            Group::Signal => listed(SIGNAL),
            Group::Ipc => listed(IPC),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{by_name, group};

    #[test]
    fn calls_are_in_their_groups() {
        fn check(name: &str, expect: &[&str]) {
            let call = by_name(name).unwrap();
            let of_call = Group::ALL.into_iter().filter(|group| group.contains(call));
            assert_eq!(of_call.map(Group::name).collect::<Vec<_>>(), expect, "{name}");
        }
        check("openat", &["%file", "%desc"]);
        check("stat", &["%file"]);
        check("read", &["%desc"]);
        check("socket", &["%desc", "%network"]);
        check("mmap", &["%desc", "%memory"]);
        check("execve", &["%file", "%process"]);
        check("kill", &["%process", "%signal"]);
        check("shmat", &["%memory", "%ipc"]);
        check("signalfd4", &["%desc", "%signal"]);
        check("futex", &[]);
        check("setxattr", &["%file"]);
        check("memfd_create", &["%desc"]);
        check("symlink", &["%file"]);
    }

    #[test]
    fn groups_have_names() {
        for of in Group::ALL {
            assert_eq!(group(of.name()), Some(of));
        }
        assert_eq!(group("%net"), Some(Group::Network));
        for unknown in ["file", "%", "%clock", ""] {
            assert_eq!(group(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn listed_calls_exist() {
        for list in [FILE, DESC, NETWORK, PROCESS, MEMORY, SIGNAL, IPC] {
            for name in list.split(' ') {
                assert!(by_name(name).is_some(), "{name}");
            }
        }
    }
}
