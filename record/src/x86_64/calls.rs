//! System calls that newer processors have not got.

use seccompiler::TargetArch;

/// What a filter of system calls takes this processor for.
pub(crate) const SECCOMP_ARCH: TargetArch = TargetArch::x86_64;

/// `open`, without a folder.
pub(crate) const OLD_OPEN: Option<libc::c_long> = Some(libc::SYS_open);

/// Others that change files by their names, without a folder.
pub(crate) const OLD_FILE_CALLS: &[libc::c_long] = &[
    libc::SYS_creat,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
];
