//! Calls and the lines they are.

use super::*;
use crate::syscalls::Blob;

const FDCWD: u64 = -100i32 as u32 as u64;
const POINTER: u64 = 0x7ffd_1234_5678;
const LOOPBACK: &[u8] = b"\x02\x00\x18\xeb\x7f\x00\x00\x01\0\0\0\0\0\0\0\0";

fn decode(name: &str, args: &[u64], outcome: Outcome, blobs: [Option<Blob>; 2]) -> String {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let number = rz_syscalls::number(name).unwrap();
    let call = Invocation { number, args: all, outcome, blobs, data: &[] };
    line(&call, |fd| match fd {
        3 => Some("/etc/passwd"),
        5 => Some("socket:[1234]"),
        _ => None,
    })
}

/// Without blobs.
fn check(name: &str, args: &[u64], result: i64, expect: &str) {
    let line = decode(name, args, Outcome::Returned(result), [None, None]);
    assert_eq!(line, expect);
}

/// With blobs, of which empty ones are left out.
fn check_blobs(name: &str, args: &[u64], result: i64, blobs: [&[u8]; 2], expect: &str) {
    let blobs = blobs.map(|bytes| (!bytes.is_empty()).then_some(Blob::whole(bytes)));
    assert_eq!(decode(name, args, Outcome::Returned(result), blobs), expect);
}

#[test]
fn files() {
    check_blobs(
        "openat",
        &[FDCWD, POINTER, 0o2000000, 0o7777],
        3,
        [b"/etc/passwd", b""],
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3</etc/passwd>"#,
    );
    check_blobs(
        "openat",
        &[3, POINTER, 0o1101, 0o644],
        -13,
        [b"new\nline", b""],
        r#"openat(3</etc/passwd>, "new\nline", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 EACCES (Permission denied)"#,
    );
    check(
        "open",
        &[POINTER, 0, 7],
        -14,
        "open(0x7ffd12345678, O_RDONLY) = -1 EFAULT (Bad address)",
    );
    check("read", &[3, POINTER, 4096], 1024, "read(3</etc/passwd>, 0x7ffd12345678, 4096) = 1024");
    check("close", &[9], -9, "close(9) = -1 EBADF (Bad file descriptor)");
    check("lseek", &[3, -1i64 as u64, 2], 5, "lseek(3</etc/passwd>, -1, SEEK_END) = 5");
    check_blobs("access", &[POINTER, 4], 0, [b"/x", b""], r#"access("/x", R_OK) = 0"#);
    check_blobs(
        "renameat2",
        &[FDCWD, POINTER, FDCWD, POINTER, 1],
        0,
        [b"a", b"b"],
        r#"renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE) = 0"#,
    );
    check_blobs(
        "symlinkat",
        &[POINTER, 3, POINTER],
        0,
        [b"a", b"b"],
        r#"symlinkat("a", 3</etc/passwd>, "b") = 0"#,
    );
    check_blobs(
        "mknod",
        &[POINTER, 0o20666, 0x103],
        0,
        [b"n", b""],
        r#"mknod("n", S_IFCHR|0666, 0x103) = 0"#,
    );
    check("umask", &[0o22], 0, "umask(022) = 000");
    check("fchown", &[3, u32::MAX.into(), 1000], 0, "fchown(3</etc/passwd>, -1, 1000) = 0");
    check(
        "newfstatat",
        &[3, 0, POINTER, 0x1000],
        0,
        "newfstatat(3</etc/passwd>, NULL, 0x7ffd12345678, AT_EMPTY_PATH) = 0",
    );
}

#[test]
fn a_cut_path_says_so() {
    let blobs = [Some(Blob::cut(b"/very/long")), None];
    let line = decode("chdir", &[POINTER], Outcome::Returned(0), blobs);
    assert_eq!(line, r#"chdir("/very/long"...) = 0"#);
}

#[test]
fn memory() {
    check(
        "mmap",
        &[0, 8192, 3, 0x22, u32::MAX.into(), 0],
        0x7f12_3456_7000,
        "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f1234567000",
    );
    check("brk", &[0], 0x5555_0000, "brk(NULL) = 0x55550000");
    check(
        "mmap",
        &[0; 6],
        -12,
        "mmap(NULL, 0, PROT_NONE, 0, 0, 0) = -1 ENOMEM (Cannot allocate memory)",
    );
    check("madvise", &[POINTER, 4096, 4], 0, "madvise(0x7ffd12345678, 4096, MADV_DONTNEED) = 0");
    check(
        "mremap",
        &[0x1000, 1, 2, 1, 0x99],
        0x2000,
        "mremap(0x1000, 1, 2, MREMAP_MAYMOVE) = 0x2000",
    );
}

#[test]
fn sockets() {
    check(
        "socket",
        &[2, 0x80801, 6],
        5,
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, IPPROTO_TCP) = 5<socket:[1234]>",
    );
    check(
        "socket",
        &[16, 3, 0],
        -1,
        "socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) = -1 EPERM (Operation not permitted)",
    );
    check("socket", &[1, 1, 0], 9, "socket(AF_UNIX, SOCK_STREAM, 0) = 9");
    check_blobs(
        "connect",
        &[5, POINTER, 16],
        -115,
        [LOOPBACK, b""],
        r#"connect(5<socket:[1234]>, {sa_family=AF_INET, sin_port=htons(6379), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)"#,
    );
    check_blobs(
        "accept4",
        &[5, POINTER, POINTER, 0x80000],
        7,
        [LOOPBACK, b""],
        r#"accept4(5<socket:[1234]>, {sa_family=AF_INET, sin_port=htons(6379), sin_addr=inet_addr("127.0.0.1")}, 0x7ffd12345678, SOCK_CLOEXEC) = 7"#,
    );
    check("accept", &[5, 0, 0], 7, "accept(5<socket:[1234]>, NULL, NULL) = 7");
    check_blobs(
        "accept",
        &[5, POINTER, POINTER],
        -11,
        [LOOPBACK, b""],
        "accept(5<socket:[1234]>, 0x7ffd12345678, 0x7ffd12345678) = -1 EAGAIN (Resource temporarily unavailable)",
    );
    check_blobs(
        "sendto",
        &[5, POINTER, 3, 0x4000, POINTER, 16],
        3,
        [LOOPBACK, b""],
        r#"sendto(5<socket:[1234]>, 0x7ffd12345678, 3, MSG_NOSIGNAL, {sa_family=AF_INET, sin_port=htons(6379), sin_addr=inet_addr("127.0.0.1")}, 16) = 3"#,
    );
    check(
        "setsockopt",
        &[5, 1, 2, POINTER, 4],
        0,
        "setsockopt(5<socket:[1234]>, SOL_SOCKET, SO_REUSEADDR, 0x7ffd12345678, 4) = 0",
    );
    check(
        "setsockopt",
        &[5, 6, 1, POINTER, 4],
        0,
        "setsockopt(5<socket:[1234]>, SOL_TCP, TCP_NODELAY, 0x7ffd12345678, 4) = 0",
    );
    check(
        "getsockopt",
        &[5, 77, 1, 0, 0],
        0,
        "getsockopt(5<socket:[1234]>, 0x4d, 1, NULL, NULL) = 0",
    );
}

#[test]
fn processes_and_signals() {
    check(
        "clone",
        &[0x0120_0011, 0, 0, POINTER, 0x99],
        77,
        "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7ffd12345678) = 77",
    );
    check("clone", &[17, 0, 0, 0], 77, "clone(child_stack=NULL, flags=SIGCHLD) = 77");
    check("kill", &[-1i32 as u32 as u64, 15], 0, "kill(-1, SIGTERM) = 0");
    check("wait4", &[u64::MAX, 0, 1, 0], 0, "wait4(-1, NULL, WNOHANG, NULL) = 0");
    check(
        "rt_sigprocmask",
        &[2, POINTER, 0, 8],
        0,
        "rt_sigprocmask(SIG_SETMASK, 0x7ffd12345678, NULL, 8) = 0",
    );
    check("prctl", &[15, POINTER, 1, 2, 3], 0, "prctl(PR_SET_NAME, 0x7ffd12345678) = 0");
    check(
        "prlimit64",
        &[0, 7, 0, POINTER],
        0,
        "prlimit64(0, RLIMIT_NOFILE, NULL, 0x7ffd12345678) = 0",
    );
    check("getpid", &[1, 2, 3], 42, "getpid() = 42");
}

#[test]
fn waiting() {
    check(
        "futex",
        &[POINTER, 0x80, 2, 0, 1, 1],
        -11,
        "futex(0x7ffd12345678, FUTEX_WAIT_PRIVATE, 2, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
    );
    check(
        "futex",
        &[POINTER, 0x189, 0, 0, 9, 0xffff_ffff],
        0,
        "futex(0x7ffd12345678, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 0, NULL, FUTEX_BITSET_MATCH_ANY) = 0",
    );
    check("futex", &[POINTER, 1, 1, 9, 9, 9], 1, "futex(0x7ffd12345678, FUTEX_WAKE, 1) = 1");
    check(
        "epoll_ctl",
        &[4, 1, 5, POINTER],
        0,
        "epoll_ctl(4, EPOLL_CTL_ADD, 5<socket:[1234]>, 0x7ffd12345678) = 0",
    );
    check(
        "clock_nanosleep",
        &[1, 1, POINTER, 0],
        -516,
        "clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, 0x7ffd12345678, NULL) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)",
    );
    check(
        "poll",
        &[POINTER, 1, u32::MAX.into()],
        -512,
        "poll(0x7ffd12345678, 1, -1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)",
    );
}

#[test]
fn fcntl_and_ioctl() {
    check("fcntl", &[3, 1, 9], 1, "fcntl(3</etc/passwd>, F_GETFD) = 0x1 (flags FD_CLOEXEC)");
    check(
        "fcntl",
        &[3, 3, 9],
        0x8002,
        "fcntl(3</etc/passwd>, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)",
    );
    check("fcntl", &[3, 4, 0x800], 0, "fcntl(3</etc/passwd>, F_SETFL, O_RDONLY|O_NONBLOCK) = 0");
    check(
        "fcntl",
        &[3, 1030, 10],
        5,
        "fcntl(3</etc/passwd>, F_DUPFD_CLOEXEC, 10) = 5<socket:[1234]>",
    );
    check("fcntl", &[3, 6, POINTER], 0, "fcntl(3</etc/passwd>, F_SETLK, 0x7ffd12345678) = 0");
    check(
        "ioctl",
        &[1, 0x5401, POINTER],
        -25,
        "ioctl(1, TCGETS, 0x7ffd12345678) = -1 ENOTTY (Inappropriate ioctl for device)",
    );
    check("ioctl", &[3, 0x5451, 9], 0, "ioctl(3</etc/passwd>, FIOCLEX) = 0");
    check(
        "ioctl",
        &[3, 0xc010_f50b, 0],
        0,
        "ioctl(3</etc/passwd>, _IOC(_IOC_READ|_IOC_WRITE, 0xf5, 0xb, 0x10), 0) = 0",
    );
}

#[test]
fn unusual_ends() {
    for (name, expect) in [
        ("exit_group", "exit_group(1) = ?"),
        ("close", "close(1) = ? <unfinished ...>"),
        ("rt_sigreturn", "rt_sigreturn() = ? <unfinished ...>"),
    ] {
        assert_eq!(decode(name, &[1], Outcome::Unfinished, [None, None]), expect);
    }
    check("getpid", &[], -530, "getpid() = -1 (errno 530)");
    check("getpid", &[], -4096, "getpid() = -4096");
    let call = Invocation {
        number: 9999,
        args: [1; 6],
        outcome: Outcome::Returned(-38),
        blobs: [None; 2],
        data: &[],
    };
    assert_eq!(
        line(&call, |_| None),
        "syscall_0x270f(0x1, 0x1, 0x1, 0x1, 0x1, 0x1) = -1 ENOSYS (Function not implemented)"
    );
}

/// Pieces as they are in a trace, from what they are of.
fn pieces(of: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let piece = |&(arg, element, bytes): &(u8, u8, &[u8])| {
        [&[arg, element][..], &(bytes.len() as u16).to_le_bytes(), bytes].concat()
    };
    of.iter().flat_map(piece).collect()
}

/// With data.
fn check_data(name: &str, args: &[u64], result: i64, of: &[(u8, u8, &[u8])], expect: &str) {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let number = rz_syscalls::number(name).unwrap();
    let (outcome, data) = (Outcome::Returned(result), pieces(of));
    let call = Invocation { number, args: all, outcome, blobs: [None; 2], data: &data };
    assert_eq!(line(&call, |_| None), expect);
}

#[test]
fn buffers() {
    let written = |bytes, expect| {
        let of: &[(u8, u8, &[u8])] = &[(1, 0, bytes)];
        check_data("write", &[1, POINTER, 4], 4, of, expect);
    };
    written(b"ab\0\n", r#"write(1, "ab\0\n", 4) = 4"#);
    written(b"ab", r#"write(1, "ab"..., 4) = 4"#);
    // More than was written is none of its business.
    written(b"abcdef", r#"write(1, "abcd", 4) = 4"#);
    let read = |result, expect| {
        check_data("read", &[0, POINTER, 9], result, &[(1, 0, b"ab")], expect);
    };
    read(2, r#"read(0, "ab", 9) = 2"#);
    read(5, r#"read(0, "ab"..., 9) = 5"#);
    read(-5, "read(0, 0x7ffd12345678, 9) = -1 EIO (Input/output error)");
    check_data("read", &[0, POINTER, 9], 0, &[(1, 0, b"")], r#"read(0, "", 9) = 0"#);
    check_data(
        "getrandom",
        &[POINTER, 3, 1],
        3,
        &[(0, 0, b"a\0\xff")],
        r#"getrandom("\x61\x00\xff", 3, GRND_NONBLOCK) = 3"#,
    );
}

#[test]
fn arrays_of_buffers() {
    let vectors = [[POINTER, 3], [POINTER, 9]].map(|words| words.map(u64::to_le_bytes).concat());
    let vectors = vectors.concat();
    let of: &[(u8, u8, &[u8])] = &[(1, 0, &vectors), (1, 1, b"abc"), (1, 2, b"d")];
    check_data(
        "writev",
        &[1, POINTER, 2],
        12,
        of,
        r#"writev(1, [{iov_base="abc", iov_len=3}, {iov_base="d"..., iov_len=9}], 2) = 12"#,
    );
    check_data(
        "readv",
        &[1, POINTER, 20],
        4,
        of,
        r#"readv(1, [{iov_base="abc", iov_len=3}, {iov_base="d", iov_len=9}, ...], 20) = 4"#,
    );
}

#[test]
fn structures() {
    check_data(
        "wait4",
        &[u64::MAX, POINTER, 0, 0],
        9,
        &[(1, 0, &0x8bu32.to_le_bytes())],
        "wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}], 0, NULL) = 9",
    );
    let polled = [[3, 0, 1, 0], [4, 0, 5, 4]].map(|words| words.map(u16::to_le_bytes).concat());
    check_data(
        "poll",
        &[POINTER, 2, 0],
        1,
        &[(0, 0, &polled.concat())],
        "poll([{fd=3, events=POLLIN}, {fd=4, events=POLLIN|POLLOUT}], 2, 0) = 1 \
         ([{fd=4, revents=POLLOUT}])",
    );
    check_data("poll", &[POINTER, 1, 9], 0, &[], "poll(0x7ffd12345678, 1, 9) = 0 (Timeout)");
}

#[test]
fn words() {
    let of: &[(u8, u8, &[u8])] =
        &[(2, 0, &1u32.to_le_bytes()), (1, 1, b"sh\0"), (1, 2, b"-c\0"), (1, 3, b"sleep")];
    check_data(
        "execve",
        &[POINTER, POINTER, POINTER],
        0,
        of,
        r#"execve(0x7ffd12345678, ["sh", "-c", "slee"...], 0x7ffd12345678 /* 1 var */) = 0"#,
    );
}

/// Whatever is in the data, every call is written as one line.
#[test]
fn any_data_decodes() {
    for syscall in rz_syscalls::all() {
        for length in [0, 1, 7, 8, 11, 16, 40, 56, 144, 600] {
            for byte in [0, 0xff, b'a'] {
                let bytes = vec![byte; length];
                let of: Vec<_> = (0..6).flat_map(|a| (0..4).map(move |e| (a, e))).collect();
                let of: Vec<_> = of.into_iter().map(|(a, e)| (a, e, bytes.as_slice())).collect();
                let data = pieces(&of);
                for (args, result) in [(1, 0), (u64::MAX, 5), (40, -11)] {
                    let (number, args) = (syscall.number, [args; 6]);
                    let outcome = Outcome::Returned(result);
                    let call = Invocation { number, args, outcome, blobs: [None; 2], data: &data };
                    let line = line(&call, |_| None);
                    assert!(line.starts_with(syscall.name) && !line.contains('\n'), "{line}");
                }
            }
        }
    }
}

/// Whatever registers hold, every call is written as one line.
#[test]
fn any_bits_decode() {
    for syscall in rz_syscalls::all() {
        for bits in [0, 1, 0x8000_0000, u64::MAX, i64::MIN as u64, 0x1234_5678_9abc_def0] {
            for blob in [None, Some(Blob::cut(b"")), Some(Blob::whole(b"\x0a\x00\x01"))] {
                for result in [0, -1, -4095, i64::MIN, i64::MAX] {
                    let outcome = Outcome::Returned(result);
                    let line = decode(syscall.name, &[bits; 6], outcome, [blob; 2]);
                    assert!(line.starts_with(syscall.name) && !line.contains('\n'), "{line}");
                }
            }
        }
    }
}
