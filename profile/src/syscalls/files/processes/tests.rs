//! Sequences of calls, and what descriptors are after them.

use super::*;
use crate::syscalls::{Blob, Outcome, decode};

const FDCWD: u64 = -100i32 as u32 as u64;
const CLOEXEC: u64 = libc::O_CLOEXEC as u64;
const LOOPBACK: &[u8] = b"\x02\x00\x18\xeb\x7f\x00\x00\x01\0\0\0\0\0\0\0\0";
const ANY: &[u8] = b"\x02\x00\x00\x50\0\0\0\0\0\0\0\0\0\0\0\0";

/// Calls one after the other, each of which takes a nanosecond.
struct Replay {
    tables: FdTables,
    now_ns: u64,
}

impl Replay {
    /// Process 1 in `/home`, with a terminal and a socket.
    fn new() -> Self {
        let mut table = FdTable::new(Some(b"/home"));
        for fd in 0..=2 {
            table.add(fd, b"/dev/pts/1", Some(false));
        }
        table.add(9, b"socket:[1234]", None);
        let mut tables = FdTables::default();
        tables.start(1, table);
        Replay { tables, now_ns: 10 }
    }

    fn call(&mut self, pid: u32, name: &str, args: &[u64], result: i64, blob: &[u8]) -> String {
        self.now_ns += 2;
        let span = Span { entered_ns: self.now_ns - 1, left_ns: self.now_ns };
        self.call_at(pid, name, args, result, blob, span)
    }

    fn call_at(
        &mut self,
        pid: u32,
        name: &str,
        args: &[u64],
        result: i64,
        blob: &[u8],
        span: Span,
    ) -> String {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        let number = rz_syscalls::number(name).unwrap();
        let blob = (!blob.is_empty()).then_some(Blob::whole(blob));
        let outcome = Outcome::Returned(result);
        self.line(
            pid,
            &Invocation { number, args: all, outcome, blobs: [blob, None], data: &[] },
            span,
        )
    }

    /// Follows a call, and writes it like [`decode::line`]: arguments with the
    /// names from before the call, the result with those from after it.
    fn line(&mut self, pid: u32, call: &Invocation, span: Span) -> String {
        let mut out = String::new();
        decode::arguments(&mut out, call, |fd| self.tables.table(pid)?.name(fd));
        self.tables.apply(pid, call, span);
        decode::result(&mut out, call, |fd| self.tables.table(pid)?.name(fd));
        out
    }

    fn check(&self, pid: u32, fd: i32, expect: &str) {
        let name = self.tables.table(pid).and_then(|table| table.name(fd));
        assert_eq!(name.unwrap_or("unknown"), expect, "{fd} of {pid}");
    }
}

#[test]
fn files_are_opened_and_closed() {
    let mut replay = Replay::new();
    assert_eq!(
        replay.call(1, "openat", &[FDCWD, 5, CLOEXEC], 3, b"/etc/passwd"),
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3</etc/passwd>"#
    );
    assert_eq!(
        replay.call(1, "dup2", &[3, 1], 1, b""),
        "dup2(3</etc/passwd>, 1</dev/pts/1>) = 1</etc/passwd>"
    );
    assert_eq!(replay.call(1, "close", &[3], 0, b""), "close(3</etc/passwd>) = 0");
    assert_eq!(replay.call(1, "close", &[3], -9, b""), "close(3) = -1 EBADF (Bad file descriptor)");
    replay.call(1, "open", &[5, 0], -2, b"/no/such");
    replay.call(1, "creat", &[5, 0o644], 3, b"new");
    replay.check(1, 3, "/home/new");
    replay.call(1, "openat2", &[FDCWD, 5, 5, 24], 4, b"a<b>");
    replay.check(1, 4, "/home/a\\74b\\76");
    // What it opened is not known, but that 3 is something else now is.
    replay.call(1, "open", &[5, 0], 3, b"");
    replay.check(1, 3, "unknown");
}

#[test]
fn relative_paths_follow_the_working_directory() {
    let mut replay = Replay::new();
    replay.call(1, "open", &[5, 0], 3, b"src");
    replay.call(1, "openat", &[3, 5, 0], 4, b"lib.rs");
    replay.check(1, 4, "/home/src/lib.rs");
    replay.call(1, "fchdir", &[3], 0, b"");
    replay.call(1, "open", &[5, 0], 5, b"main.rs");
    replay.check(1, 5, "/home/src/main.rs");
    replay.call(1, "chdir", &[5], -2, b"nowhere");
    replay.call(1, "chdir", &[5], 0, b"/tmp");
    replay.call(1, "open", &[5, 0], 5, b"x");
    replay.check(1, 5, "/tmp/x");
    replay.call(1, "chdir", &[5], 0, b"");
    replay.call(1, "open", &[5, 0], 5, b"x");
    replay.check(1, 5, "x");
    replay.call(1, "chdir", &[5], 0, b"deeper");
    replay.call(1, "open", &[5, 0], 5, b"y");
    replay.check(1, 5, "y");
    replay.call(1, "openat", &[77, 5, 0], 6, b"z");
    replay.check(1, 6, "z");
}

#[test]
fn sockets_have_two_ends() {
    let mut replay = Replay::new();
    replay.call(1, "socket", &[2, 1 | CLOEXEC, 0], 3, b"");
    replay.check(1, 3, "TCP");
    replay.call(1, "connect", &[3, 5, 16], -111, LOOPBACK);
    replay.check(1, 3, "TCP");
    replay.call(1, "connect", &[3, 5, 16], -115, LOOPBACK);
    replay.check(1, 3, "TCP:[->127.0.0.1:6379]");
    replay.call(1, "getsockname", &[3, 5, 5], 0, b"\x02\x00\x9c\x40\x7f\x00\x00\x01");
    replay.check(1, 3, "TCP:[127.0.0.1:40000->127.0.0.1:6379]");
    replay.call(1, "connect", &[3, 5, 16], 0, &[0; 16]);
    replay.check(1, 3, "TCP:[127.0.0.1:40000]");

    replay.call(1, "socket", &[2, 1, 6], 4, b"");
    replay.call(1, "bind", &[4, 5, 16], 0, ANY);
    replay.check(1, 4, "TCP:[0.0.0.0:80]");
    assert_eq!(
        replay.call(1, "accept4", &[4, 5, 5, CLOEXEC], 5, LOOPBACK),
        "accept4(4<TCP:[0.0.0.0:80]>, {sa_family=AF_INET, sin_port=htons(6379), sin_addr=inet_addr(\"127.0.0.1\")}, 0x5, SOCK_CLOEXEC) \
         = 5<TCP:[0.0.0.0:80->127.0.0.1:6379]>"
    );
    replay.call(1, "accept", &[9, 0, 0], 6, b"");
    replay.check(1, 6, "socket");
    replay.check(1, 9, "socket:[1234]");
    replay.call(1, "connect", &[9, 5, 9], 0, b"\x01\x00/run/x");
    replay.check(1, 9, "socket:[->/run/x]");
    for (family, kind, protocol, expect) in
        [(10, 2, 0, "UDPv6"), (1, 2, 0, "UNIX"), (16, 3, 0, "NETLINK"), (2, 1, 132, "socket")]
    {
        replay.call(1, "socket", &[family, kind, protocol], 7, b"");
        replay.check(1, 7, expect);
    }
}

#[test]
fn descriptors_without_files_have_names() {
    let mut replay = Replay::new();
    for (name, args, blob, expect) in [
        ("epoll_create1", &[0][..], &b""[..], "anon_inode:[eventpoll]"),
        ("eventfd2", &[0, 0], b"", "anon_inode:[eventfd]"),
        ("timerfd_create", &[1, 0], b"", "anon_inode:[timerfd]"),
        ("signalfd4", &[u32::MAX as u64, 5, 8, 0], b"", "anon_inode:[signalfd]"),
        ("inotify_init", &[], b"", "anon_inode:inotify"),
        ("pidfd_open", &[1, 0], b"", "anon_inode:[pidfd]"),
        ("memfd_create", &[5, 1], b"heap", "/memfd:heap"),
        ("pidfd_getfd", &[3, 4, 0], b"", "unknown"),
    ] {
        replay.call(1, name, args, 3, blob);
        replay.check(1, 3, expect);
    }
}

#[test]
fn exec_closes_what_asked_for_it() {
    let mut replay = Replay::new();
    replay.call(1, "open", &[5, CLOEXEC], 3, b"/closed");
    replay.call(1, "open", &[5, 0], 4, b"/kept");
    replay.call(1, "fcntl", &[4, 1030, 0], 5, b"");
    replay.call(1, "fcntl", &[4, 0, 0], 6, b"");
    replay.call(1, "dup3", &[4, 7, CLOEXEC], 7, b"");
    replay.call(1, "fcntl", &[7, 2, 0], 0, b"");
    replay.call(1, "openat2", &[FDCWD, 5, 5, 24], 8, b"/maybe");
    replay.call(1, "execve", &[5, 5, 5], -2, b"/no/such");
    replay.check(1, 3, "/closed");
    replay.call(1, "execve", &[5, 5, 5], 0, b"/bin/true");
    for (fd, expect) in [
        (0, "/dev/pts/1"),
        (3, "unknown"),
        (4, "/kept"),
        (5, "unknown"),
        (6, "/kept"),
        (7, "/kept"),
        (8, "unknown"),
        (9, "unknown"),
    ] {
        replay.check(1, fd, expect);
    }
}

#[test]
fn ranges_are_closed() {
    let mut replay = Replay::new();
    for fd in 3..=6 {
        replay.call(1, "open", &[5, 0], fd, b"/x");
    }
    replay.call(1, "close_range", &[4, 5, 0], 0, b"");
    for (fd, expect) in [(3, "/x"), (4, "unknown"), (5, "unknown"), (6, "/x")] {
        replay.check(1, fd, expect);
    }
    replay.call(1, "close_range", &[6, u32::MAX.into(), 4], 0, b"");
    replay.check(1, 6, "/x");
    replay.call(1, "execve", &[5, 5, 5], 0, b"/bin/true");
    replay.check(1, 6, "unknown");
    replay.call(1, "close_range", &[0, u32::MAX.into(), 0], 0, b"");
    replay.check(1, 0, "unknown");
}

#[test]
fn a_late_close_spares_what_took_its_number() {
    let mut replay = Replay::new();
    replay.call(1, "open", &[5, 0], 3, b"/old");
    let (closing, opening) =
        (Span { entered_ns: 100, left_ns: 200 }, Span { entered_ns: 110, left_ns: 120 });
    replay.call_at(1, "open", &[5, 0], 3, b"/new", opening);
    replay.call_at(1, "close", &[3], 0, b"", closing);
    replay.check(1, 3, "/new");
}

#[test]
fn children_copy_or_share() {
    let files = libc::CLONE_FILES as u64;
    let mut replay = Replay::new();
    replay.call(1, "clone", &[17, 0], 2, b"");
    replay.call(1, "clone", &[17 | files, 0], 3, b"");
    replay.call(1, "clone", &[files | libc::CLONE_THREAD as u64, 0], 4, b"");
    assert!(replay.tables.table(4).is_none(), "a thread is no process");
    replay.call(2, "open", &[5, 0], 3, b"copy");
    replay.call(3, "open", &[5, 0], 3, b"shared");
    replay.check(2, 3, "/home/copy");
    replay.check(1, 3, "/home/shared");
    // Nothing is shared after exec.
    replay.call(3, "execve", &[5, 5, 5], 0, b"/bin/true");
    replay.call(3, "close", &[3], 0, b"");
    replay.check(3, 3, "unknown");
    replay.check(1, 3, "/home/shared");

    // The child of vfork runs before its parent does again.
    replay.tables.fork(1, 5, false);
    replay.call(5, "open", &[5, 0], 3, b"early");
    replay.call(1, "vfork", &[], 5, b"");
    replay.check(5, 3, "/home/early");
    replay.call(1, "clone", &[17, 0], -11, b"");
    replay.tables.exit(5);
    assert!(replay.tables.table(5).is_none());
}

#[test]
fn what_did_not_return_changed_nothing_but_exit() {
    let mut replay = Replay::new();
    let span = Span { entered_ns: 11, left_ns: 12 };
    for (name, expect, still_there) in [
        ("close", "close(0</dev/pts/1>) = ? <unfinished ...>", true),
        ("exit", "exit(0) = ?", true),
        ("exit_group", "exit_group(0) = ?", false),
    ] {
        let number = rz_syscalls::number(name).unwrap();
        let call = Invocation {
            number,
            args: [0; 6],
            outcome: Outcome::Unfinished,
            blobs: [None; 2],
            data: &[],
        };
        assert_eq!(replay.line(1, &call, span), expect);
        let name = replay.tables.table(1).and_then(|table| table.name(0));
        assert_eq!(name.is_some(), still_there, "{expect}");
    }
}

#[test]
fn nothing_stays_of_the_gone() {
    let mut replay = Replay::new();
    for child in 2..100 {
        replay.tables.fork(1, child, child % 2 == 0);
        replay.call(child, "open", &[5, 0], 50 + i64::from(child), b"/x");
    }
    for pid in 1..100 {
        replay.tables.exit(pid);
    }
    assert_eq!((replay.tables.bytes, replay.tables.tables.len()), (0, 0));
}

#[test]
fn names_are_bounded() {
    let mut replay = Replay::new();
    let long = [b"/".as_slice(), &[b'x'; 4000]].concat();
    replay.call(1, "open", &[5, 0], 3, &long);
    for fd in 4..20_000 {
        replay.call(1, "openat", &[3, 5, 0], fd, b"y");
    }
    assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&replay.tables.bytes));
    assert!(replay.tables.table(1).unwrap().name(4).is_some());
    replay.check(1, 19_999, "unknown");
    // What does not fit any more is forgotten, what was there is not.
    replay.call(2, "open", &[5, 0], 3, &long);
    replay.check(2, 3, "unknown");
    assert!(replay.tables.bytes <= MAX_BYTES);
    assert!(replay.tables.table(1).unwrap().name(4).is_some());
    for child in 2..2 * MAX_PROCESSES as u32 {
        replay.tables.fork(1, child, true);
    }
    assert!(replay.tables.table_of.len() <= MAX_PROCESSES);
    // Those without room are no error.
    assert_eq!(replay.call(u32::MAX, "close", &[3], 0, b""), "close(3) = 0");
}

/// Calls without text of process 1, one after the other.
fn apply_all(tables: &mut FdTables, calls: impl Iterator<Item = (u32, &'static str, u64, i64)>) {
    for (index, (pid, name, arg, result)) in calls.enumerate() {
        let number = rz_syscalls::number(name).unwrap();
        let (outcome, left_ns) = (Outcome::Returned(result), index as u64 + 1);
        let call = Invocation {
            number,
            args: [arg, u64::MAX, 0, 0, 0, 0],
            outcome,
            blobs: [None; 2],
            data: &[],
        };
        tables.apply(pid, &call, Span { entered_ns: left_ns, left_ns });
    }
}

#[test]
fn many_programs_with_many_open_files_take_no_hours() {
    let epolls = |pid| (0..100_000).map(move |fd| (pid, "epoll_create", 100, fd));
    let mut tables = FdTables::default();
    apply_all(&mut tables, epolls(1));
    // Each looks at nothing: all of them are known to stay open.
    apply_all(&mut tables, (0..200_000).map(|_| (1, "execve", 0, 0)));
    let table = tables.table(1).unwrap();
    assert_eq!((table.name(65_535), table.name(65_536)), (Some("anon_inode:[eventpoll]"), None));
    // Each of these looks at all, or copies all: names end, and not the patience.
    for calls in [
        &[(1, "close_range", 80_000, 0)][..],
        &[(1, "epoll_create1", 1 << 19, 9), (1, "execve", 0, 0)],
        &[
            (1, "fork", 0, 2),
            (1, "close", 5, 0),
            (1, "epoll_create", 1, 5),
            (2, "exit_group", 0, 0),
        ],
    ] {
        // What a table of so many costs 64 times.
        let mut tables = FdTables { work_left: 1 << 22, ..FdTables::default() };
        apply_all(&mut tables, epolls(1));
        let many = (0..600).map(|index| calls[index % calls.len()]);
        apply_all(&mut tables, many);
        assert!(tables.table(1).is_none() && tables.work_left == 0, "{calls:?}");
    }
}
