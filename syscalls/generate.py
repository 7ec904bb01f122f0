#!/usr/bin/env python3
"""Writes src/errno_table.rs, src/uring_table.rs and, for one processor, src/x86_64/table.rs.

    syscalls/generate.py && cargo test -p rz-syscalls

Arguments come from the running kernel (tracefs, so as root, and with
CONFIG_FTRACE_SYSCALLS), numbers from the C library's kernel headers, and
messages of errors from the C library. What neither tells is listed here.
"""

import os
import re
from pathlib import Path

EVENTS = Path("/sys/kernel/tracing/events/syscalls")
# Whose numbers of calls are written: that of the machine which this runs on.
ARCHITECTURE = "x86_64"
UNISTD = {"x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"}[ARCHITECTURE]
IO_URING = "/usr/include/linux/io_uring.h"
ERRNO = ["/usr/include/asm-generic/errno-base.h", "/usr/include/asm-generic/errno.h"]
SOURCES = Path(__file__).parent / "src"

# What came after the oldest headers that this may run with.
NEWER_SYSCALLS = {
    **{"x86_64": {335: "uretprobe", 336: "uprobe"}}[ARCHITECTURE],
    451: "cachestat", 452: "fchmodat2", 453: "map_shadow_stack", 454: "futex_wake",
    455: "futex_wait", 456: "futex_requeue", 457: "statmount", 458: "listmount",
    459: "lsm_get_self_attr", 460: "lsm_set_self_attr", 461: "lsm_list_modules",
    462: "mseal", 463: "setxattrat", 464: "getxattrat", 465: "listxattrat",
    466: "removexattrat", 467: "open_tree_attr", 468: "file_getattr", 469: "file_setattr",
}
NEWER_URING = """READ_MULTISHOT WAITID FUTEX_WAIT FUTEX_WAKE FUTEX_WAITV FIXED_FD_INSTALL
    FTRUNCATE BIND LISTEN RECV_ZC EPOLL_WAIT READV_FIXED WRITEV_FIXED PIPE""".split()
NEWER_URING_FROM = 49

# The kernel's functions whose names are not those of the calls.
KERNEL_NAMES = {
    "stat": "newstat", "fstat": "newfstat", "lstat": "newlstat", "uname": "newuname",
    "sendfile": "sendfile64", "umount2": "umount",
}

# Calls that a kernel may be built without, or that are gone.
WITHOUT_EVENT = {
    "delete_module": "const char * name; unsigned int flags",
    "finit_module": "int fd; const char * uargs; int flags",
    "init_module": "void * umod; unsigned long len; const char * uargs",
    "kexec_file_load": "int fd; int initrd_fd; unsigned long cmdline_len; "
                       "const char * cmdline_ptr; unsigned long flags",
    "kexec_load": "unsigned long entry; unsigned long len; void * segments; unsigned long flags",
    "lookup_dcookie": "u64 cookie64; char * buf; size_t len",
    "map_shadow_stack": "unsigned long addr; unsigned long size; unsigned int flags",
    "rt_sigreturn": "",
    "uselib": "const char * library",
}
UNKNOWN = "; ".join(f"unknown arg{n}" for n in range(6))

FD_NAMES = """fd fildes oldfd newfd epfd in_fd out_fd fd_in fd_out fdin fdout ufd pidfd fs_fd
    group_fd ruleset_fd fanotify_fd initrd_fd""".split()
DIR_FD_NAMES = "dfd olddfd newdfd from_dfd to_dfd mountdirfd".split()
PATH_NAMES = """filename pathname path oldname newname new_root put_old special specialfile
    from_pathname to_pathname dev_name dir_name library""".split()
SIZE_NAMES = """size len len_in count bufsize vlen liovcnt riovcnt nr_segs nr_pages maxnode old_len
    new_len bytecount cmdline_len""".split()

# Kinds that type and name of the argument do not tell.
KINDS = {
    "AccessFlags": "faccessat2.flags",
    "AccessMode": "access.mode faccessat.mode faccessat2.mode",
    "ArchPrctlOption": "arch_prctl.option",
    "AtFlags": """newfstatat.flag fchownat.flag linkat.flags utimensat.flags execveat.flags
        fchmodat2.flags name_to_handle_at.flag getxattrat.at_flags setxattrat.at_flags
        listxattrat.at_flags removexattrat.at_flags file_getattr.at_flags file_setattr.at_flags""",
    "BpfCommand": "bpf.cmd",
    "CloneFlags": "clone.clone_flags unshare.unshare_flags setns.flags",
    "ClockFlags": "clock_nanosleep.flags timer_settime.flags timerfd_settime.flags",
    "ClockId": "timerfd_create.clockid",
    "CloseRangeFlags": "close_range.flags",
    "DirFd": "execveat.fd",
    "EpollFlags": "epoll_create1.flags",
    "EpollOperation": "epoll_ctl.op",
    "EventfdFlags": "eventfd2.flags",
    "FadviseAdvice": "fadvise64.advice",
    "FallocateMode": "fallocate.mode",
    "FcntlArgument": "fcntl.arg",
    "FcntlCommand": "fcntl.cmd",
    "Fd": """mmap.fd readv.fd writev.fd preadv.fd pwritev.fd preadv2.fd pwritev2.fd
        mq_notify.mqdes mq_timedsend.mqdes mq_timedreceive.mqdes mq_getsetattr.mqdes""",
    "FdFlags": "dup3.flags",
    "FlockOperation": "flock.cmd",
    "FutexOperation": "futex.op",
    "GetrandomFlags": "getrandom.flags",
    "Hex": "ioctl.arg",
    "HexInt": """personality.personality quotactl.cmd quotactl_fd.cmd rseq.sig mknod.dev
        mknodat.dev ustat.dev""",
    "InotifyFlags": "inotify_init1.flags",
    "InotifyMask": "inotify_add_watch.mask",
    "Int": "pidfd_getfd.fd",
    "IoctlCommand": "ioctl.cmd",
    "IpcCommand": "msgctl.cmd semctl.cmd shmctl.cmd",
    "IpcFlags": "msgget.msgflg semget.semflg shmget.shmflg",
    "IpcKey": "msgget.key semget.key shmget.key",
    "ItimerWhich": "getitimer.which setitimer.which",
    "MadviseAdvice": "madvise.behavior process_madvise.behavior",
    "MapFlags": "mmap.flags remap_file_pages.flags",
    "MembarrierCommand": "membarrier.cmd",
    "MemfdFlags": "memfd_create.flags",
    "MlockallFlags": "mlockall.flags",
    "Mode": "umask.mask",
    "MountFlags": "mount.flags",
    "MremapFlags": "mremap.flags",
    "MessageFlags": """sendto.flags recvfrom.flags sendmsg.flags recvmsg.flags sendmmsg.flags
        recvmmsg.flags""",
    "MsyncFlags": "msync.flags",
    "OpenFlags": "open.flags openat.flags mq_open.oflag open_by_handle_at.flags",
    "Path": "acct.name umount2.name name_to_handle_at.name chroot.filename",
    "PerfFlags": "perf_event_open.flags",
    "PidfdFlags": "pidfd_open.flags",
    "PipeFlags": "pipe2.flags userfaultfd.flags",
    "Pointer": """mprotect.start madvise.start mlock.start mlock2.start munlock.start msync.start
        mincore.start munmap.addr mmap.addr mremap.addr mremap.new_addr mbind.start mseal.start
        pkey_mprotect.start remap_file_pages.start brk.brk clone.newsp map_shadow_stack.addr
        set_mempolicy_home_node.start get_mempolicy.addr ptrace.addr""",
    "PrctlOption": "prctl.option",
    "PriorityWhich": "getpriority.which setpriority.which ioprio_get.which ioprio_set.which",
    "Protection": "mmap.prot mprotect.prot pkey_mprotect.prot remap_file_pages.prot",
    "PtraceRequest": "ptrace.request",
    "RenameFlags": "renameat2.flags",
    "Resource": "getrlimit.resource setrlimit.resource prlimit64.resource",
    "RwFlags": "preadv2.flags pwritev2.flags",
    "RusageWho": "getrusage.who",
    "SchedulingPolicy": """sched_setscheduler.policy sched_get_priority_max.policy
        sched_get_priority_min.policy""",
    "SeccompOperation": "seccomp.op",
    "ShutdownHow": "shutdown.how",
    "SigmaskHow": "rt_sigprocmask.how",
    "SignalfdFlags": "signalfd4.flags",
    "SocketFamily": "socket.family socketpair.family",
    "SocketFlags": "accept4.flags",
    "SocketLevel": "getsockopt.level setsockopt.level",
    "SocketOption": "getsockopt.optname setsockopt.optname",
    "SocketProtocol": "socket.protocol socketpair.protocol",
    "SocketType": "socket.type socketpair.type",
    "SpliceFlags": "splice.flags tee.flags vmsplice.flags",
    "StatxFlags": "statx.flags",
    "StatxMask": "statx.mask",
    "Text": """add_key._type add_key._description request_key._type request_key._description
        memfd_create.uname mq_open.u_name mq_unlink.u_name fsopen._fs_name mount.type
        delete_module.name getxattr.name lgetxattr.name fgetxattr.name setxattr.name
        lsetxattr.name fsetxattr.name removexattr.name lremovexattr.name fremovexattr.name
        getxattrat.name setxattrat.name removexattrat.name fsconfig._key""",
    "TimerfdFlags": "timerfd_create.flags",
    "UmountFlags": "umount2.flags",
    "UnlinkFlags": "unlinkat.flag",
    "UringEnterFlags": "io_uring_enter.flags",
    "UringRegisterOperation": "io_uring_register.opcode",
    "WaitIdType": "waitid.which",
    "WaitOptions": "wait4.options waitid.options",
    "Whence": "lseek.whence",
    "XattrFlags": "setxattr.flags lsetxattr.flags fsetxattr.flags",
}
KIND_OF = {argument: kind for kind, arguments in KINDS.items() for argument in arguments.split()}

RETURNS_FD = """open openat openat2 creat dup dup2 dup3 socket accept accept4 epoll_create
    epoll_create1 eventfd eventfd2 timerfd_create signalfd signalfd4 memfd_create memfd_secret
    pidfd_open pidfd_getfd inotify_init inotify_init1 fanotify_init perf_event_open userfaultfd
    open_by_handle_at open_tree open_tree_attr fsopen fsmount fspick io_uring_setup mq_open
    landlock_create_ruleset""".split()
RETURNS_POINTER = "mmap mremap brk shmat".split()


def kind_of(call, ctype, name, following):
    """The kind of one argument; `following` is the next one's type."""
    ctype = ctype.replace("const ", "").replace(" ", "")
    if kind := KIND_OF.get(f"{call}.{name}"):
        return kind
    if ctype == "structsockaddr*":
        return "SockaddrOut" if following.endswith("*") else "SockaddrIn"
    if ctype == "char*" and name in PATH_NAMES:
        return "Path"
    if "*" in ctype or ctype.startswith("cap_user_"):
        return "Pointer"
    if ctype == "umode_t":
        return "Mode"
    if ctype == "clockid_t":
        return "ClockId"
    if ctype in ("uid_t", "gid_t", "qid_t"):
        return "Id"
    if ctype in ("loff_t", "off_t", "long"):
        return "Long"
    if name in DIR_FD_NAMES:
        return "DirFd"
    if name in FD_NAMES and call != "close_range":
        return "Fd"
    if name == "sig":
        return "Signal"
    if ctype == "size_t" or (ctype == "unsignedlong" and name in SIZE_NAMES):
        return "Size"
    if re.search("flags?$|flg$", name):
        return "Hex" if ctype == "unsignedlong" else "HexInt"
    if ctype in ("int", "pid_t", "__s32", "key_serial_t", "key_t", "timer_t", "mqd_t",
                 "rwf_t", "enumlandlock_rule_type"):
        return "Int"
    if ctype in ("unsignedint", "unsigned", "u32", "__u32"):
        return "Uint"
    return "Hex"


def arguments_of(call):
    """(type, name) of each argument."""
    path = EVENTS / f"sys_enter_{KERNEL_NAMES.get(call, call)}" / "format"
    if path.exists():
        fields = re.findall(r"field:(.*?);\toffset:(\d+)", path.read_text())
        return [field.rsplit(" ", 1) for field, offset in fields if int(offset) >= 16]
    listed = WITHOUT_EVENT.get(call, UNKNOWN)
    return [argument.rsplit(" ", 1) for argument in listed.split("; ") if argument]


def returns(call):
    if call in RETURNS_FD:
        return "Fd"
    if call in RETURNS_POINTER:
        return "Pointer"
    return "Mode" if call == "umask" else "Number"


def syscalls():
    header = re.findall(r"#define __NR_(\w+) (\d+)", Path(UNISTD).read_text())
    numbers = {**NEWER_SYSCALLS, **{int(number): name for name, number in header}}
    published = {path.name.removeprefix("sys_enter_") for path in EVENTS.glob("sys_enter_*")}
    known = {KERNEL_NAMES.get(name, name) for name in numbers.values()}
    assert not published - known, f"no number for {sorted(published - known)}"
    used = set()
    for number, name in sorted(numbers.items()):
        arguments = arguments_of(name)
        used.update(f"{name}.{argument}" for _, argument in arguments)
        types = [ctype for ctype, _ in arguments[1:]] + [""]
        listed = ", ".join(
            f'arg("{argument.lstrip("_")}", {kind_of(name, ctype, argument, following)})'
            for (ctype, argument), following in zip(arguments, types)
        )
        yield f'    call({number}, "{name}", &[{listed}], Returns::{returns(name)}),'
    assert not set(KIND_OF) - used, f"no such arguments: {sorted(set(KIND_OF) - used)}"


def errors():
    for path in ERRNO:
        for name, number in re.findall(r"#define\s+(E\w+)\s+(\d+)", Path(path).read_text()):
            yield f'    ({number}, "{name}", "{os.strerror(int(number))}"),'


def uring_operations():
    listed = re.findall(r"^\tIORING_OP_(\w+),", Path(IO_URING).read_text(), re.M)
    listed = [name for name in listed if name != "LAST"]
    newer = NEWER_URING[max(0, len(listed) - NEWER_URING_FROM):]
    return [f'    "{name}",' for name in listed + newer]


def write(name, what, lines, head, tail="];\n"):
    made = f"//! {what}. Written by `generate.py`; do not edit.\n"
    (SOURCES / name).write_text(made + head + "\n".join(lines) + "\n" + tail)


def main():
    if os.uname().machine != ARCHITECTURE:
        raise SystemExit(f"arguments come from the running kernel, which is not for {ARCHITECTURE}")
    if not EVENTS.is_dir():
        raise SystemExit("no events of system calls: mount tracefs, and run this as root")
    processor = ARCHITECTURE.replace("_", "-")
    write(f"{ARCHITECTURE}/table.rs", f"The system calls of {processor}", syscalls(),
          "\nuse crate::call::{Syscall, arg, call};\n"
          "use crate::kind::Kind::*;\nuse crate::kind::Returns;\n\n"
          "/// All calls, by number.\npub(crate) static SYSCALLS: &[Syscall] = &[\n")
    write("errno_table.rs", "The errors of the kernel", errors(),
          "\n/// Number, name and message of each error, by number.\n"
          "pub(crate) static ERRORS: &[(u32, &str, &str)] = &[\n")
    write("uring_table.rs", "The operations of io_uring", uring_operations(),
          "\n/// Operations of io_uring, each at its number.\n"
          "pub(crate) static OPERATIONS: &[&str] = &[\n")


if __name__ == "__main__":
    main()
