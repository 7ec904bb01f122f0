//! What the bits of an argument mean.

/// What the bits of an argument mean.
///
/// Kinds of `int` and `unsigned int` are in the lower 32 bits; what the others
/// hold is undefined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A file descriptor (`int`).
    Fd,
    /// A file descriptor of a directory, or `AT_FDCWD` (`int`).
    DirFd,
    /// Address of a path that ends with NUL.
    Path,
    /// Address of another text that ends with NUL.
    Text,
    /// Address of a socket address that the caller passes; its length follows.
    SockaddrIn,
    /// Address to put a socket address to; the address of its length follows.
    SockaddrOut,
    /// An address of anything else.
    Pointer,
    /// `int`
    Int,
    /// `unsigned int`
    Uint,
    /// A signed number of 64 bits, such as an offset.
    Long,
    /// A number of bytes or other things (64 bits).
    Size,
    /// 64 bits without a better kind.
    Hex,
    /// 32 bits without a better kind.
    HexInt,
    /// A user or group, or -1 (`unsigned int`).
    Id,
    /// Permissions of a file.
    Mode,
    /// A signal.
    Signal,
    /// `AT_EACCESS` and the like.
    AccessFlags,
    /// `R_OK` and the like.
    AccessMode,
    /// `ARCH_SET_FS` and the like.
    ArchPrctlOption,
    /// `AT_SYMLINK_NOFOLLOW` and the like.
    AtFlags,
    /// `BPF_MAP_CREATE` and the like.
    BpfCommand,
    /// `CLONE_VM` and the like, and a signal in the lowest byte.
    CloneFlags,
    /// `TIMER_ABSTIME`.
    ClockFlags,
    /// `CLOCK_REALTIME` and the like.
    ClockId,
    /// `CLOSE_RANGE_CLOEXEC` and the like.
    CloseRangeFlags,
    /// `EPOLL_CLOEXEC`.
    EpollFlags,
    /// `EPOLL_CTL_ADD` and the like.
    EpollOperation,
    /// `EFD_CLOEXEC` and the like.
    EventfdFlags,
    /// `POSIX_FADV_NORMAL` and the like.
    FadviseAdvice,
    /// `FALLOC_FL_KEEP_SIZE` and the like.
    FallocateMode,
    /// What `fcntl` does with it depends on the command before it.
    FcntlArgument,
    /// `F_GETFL` and the like.
    FcntlCommand,
    /// `O_CLOEXEC`.
    FdFlags,
    /// `LOCK_EX` and the like.
    FlockOperation,
    /// `FUTEX_WAIT` and the like.
    FutexOperation,
    /// `GRND_NONBLOCK` and the like.
    GetrandomFlags,
    /// `IN_CLOEXEC` and the like.
    InotifyFlags,
    /// `IN_MODIFY` and the like.
    InotifyMask,
    /// `TCGETS` and the like.
    IoctlCommand,
    /// `IPC_STAT` and the like.
    IpcCommand,
    /// `IPC_CREAT` and the like, and permissions.
    IpcFlags,
    /// `IPC_PRIVATE` or a number.
    IpcKey,
    /// `ITIMER_REAL` and the like.
    ItimerWhich,
    /// `MADV_DONTNEED` and the like.
    MadviseAdvice,
    /// `MAP_PRIVATE` and the like.
    MapFlags,
    /// `MEMBARRIER_CMD_QUERY` and the like.
    MembarrierCommand,
    /// `MFD_CLOEXEC` and the like.
    MemfdFlags,
    /// `MSG_DONTWAIT` and the like.
    MessageFlags,
    /// `MCL_CURRENT` and the like.
    MlockallFlags,
    /// `MS_RDONLY` and the like.
    MountFlags,
    /// `MREMAP_MAYMOVE` and the like.
    MremapFlags,
    /// `MS_SYNC` and the like.
    MsyncFlags,
    /// `O_RDONLY` and the like.
    OpenFlags,
    /// `PERF_FLAG_FD_CLOEXEC` and the like.
    PerfFlags,
    /// `PIDFD_NONBLOCK`.
    PidfdFlags,
    /// `O_CLOEXEC`, `O_NONBLOCK` and the like.
    PipeFlags,
    /// `PR_SET_NAME` and the like.
    PrctlOption,
    /// `PRIO_PROCESS` and the like.
    PriorityWhich,
    /// `PROT_READ` and the like.
    Protection,
    /// `PTRACE_ATTACH` and the like.
    PtraceRequest,
    /// `RENAME_NOREPLACE` and the like.
    RenameFlags,
    /// `RLIMIT_NOFILE` and the like.
    Resource,
    /// `RUSAGE_SELF` and the like.
    RusageWho,
    /// `RWF_NOWAIT` and the like.
    RwFlags,
    /// `SCHED_OTHER` and the like.
    SchedulingPolicy,
    /// `SECCOMP_SET_MODE_FILTER` and the like.
    SeccompOperation,
    /// `SHUT_WR` and the like.
    ShutdownHow,
    /// `SFD_CLOEXEC` and the like.
    SignalfdFlags,
    /// `SIG_BLOCK` and the like.
    SigmaskHow,
    /// `AF_INET` and the like.
    SocketFamily,
    /// `SOCK_CLOEXEC` and the like.
    SocketFlags,
    /// `SOL_SOCKET` and the like.
    SocketLevel,
    /// `SO_REUSEADDR` and the like; depends on the level before it.
    SocketOption,
    /// `IPPROTO_TCP` and the like; depends on the family two before it.
    SocketProtocol,
    /// `SOCK_STREAM` and the like, and `SOCK_CLOEXEC` and the like.
    SocketType,
    /// `SPLICE_F_MOVE` and the like.
    SpliceFlags,
    /// `AT_STATX_DONT_SYNC` and the like.
    StatxFlags,
    /// `STATX_SIZE` and the like.
    StatxMask,
    /// `TFD_CLOEXEC` and the like.
    TimerfdFlags,
    /// `MNT_DETACH` and the like.
    UmountFlags,
    /// `AT_REMOVEDIR`.
    UnlinkFlags,
    /// `IORING_ENTER_GETEVENTS` and the like.
    UringEnterFlags,
    /// `IORING_REGISTER_BUFFERS` and the like.
    UringRegisterOperation,
    /// `P_PID` and the like.
    WaitIdType,
    /// `WNOHANG` and the like.
    WaitOptions,
    /// `SEEK_SET` and the like.
    Whence,
    /// `XATTR_CREATE` and the like.
    XattrFlags,
}

impl Kind {
    /// Whether it is a file descriptor.
    pub fn is_fd(self) -> bool {
        matches!(self, Kind::Fd | Kind::DirFd)
    }
}

/// What a call that did not fail returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    /// A number, or nothing of interest.
    Number,
    /// A new file descriptor.
    Fd,
    /// An address.
    Pointer,
    /// Permissions of a file.
    Mode,
}
