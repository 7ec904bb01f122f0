//! The file descriptors of one process.

use std::collections::BTreeMap;
use std::sync::Arc;

use rz_syscalls::Returns;

use super::Span;
use super::path;
use super::socket::Socket;
use crate::syscalls::{Blob, Invocation, Outcome, text};

/// Most bytes of names of one process; what comes after that has no name.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// Most descriptors of one process that have names.
const MAX_OPEN: usize = 1 << 16;
/// What it costs to copy a descriptor, as so many that are only looked at.
const COPY: u64 = 8;
/// What a name costs on top of its text.
const BYTES_PER_FD: usize = 128;

/// What `connect` returns when it goes on after it returned.
const IN_PROGRESS: i64 = -(libc::EINPROGRESS as i64);

/// What the file descriptors of one process are.
///
/// A copy is cheap: two tables share what is the same in both.
#[derive(Debug, Clone, Default)]
pub struct FdTable {
    open: Arc<BTreeMap<i32, Open>>,
    /// The directory that relative paths are seen from, if it is known.
    directory: Option<Arc<str>>,
    bytes: usize,
    /// How many descriptors may not survive the execution of a program.
    unkept: usize,
    /// How many descriptors were looked at one after the other.
    work: u64,
}

#[derive(Debug, Clone)]
struct Open {
    /// As it is written in a line.
    name: Arc<str>,
    /// Unknown if it was not seen to be opened.
    close_on_exec: Option<bool>,
    since_ns: u64,
    socket: Option<Arc<Socket>>,
}

impl Open {
    /// Whether it is known to survive the execution of a program.
    fn is_kept(&self) -> bool {
        self.close_on_exec == Some(false)
    }
}

impl FdTable {
    /// A process of which nothing is known but its working directory.
    pub fn new(directory: Option<&[u8]>) -> Self {
        let directory = directory.and_then(|path| path::resolve(None, Blob::whole(path)));
        FdTable { directory: directory.map(Arc::from), ..FdTable::default() }
    }

    /// Adds a descriptor that was open before any call was seen. `name` is
    /// what `/proc/PID/fd` says, such as `/etc/passwd` or `socket:[1234]`.
    pub fn add(&mut self, fd: i32, name: &[u8], close_on_exec: Option<bool>) {
        let mut escaped = String::new();
        text::escape(&mut escaped, name, b"<>");
        let socket = name.starts_with(b"socket:[").then_some(Socket::UNKNOWN);
        self.insert(fd, escaped, close_on_exec, 0, socket);
    }

    /// What a descriptor is, without bytes that would break a line.
    pub fn name(&self, fd: i32) -> Option<&str> {
        Some(&*self.open.get(&fd)?.name)
    }

    /// Forgets all names, as one must after calls were lost.
    pub fn forget(&mut self) {
        *self = FdTable { work: self.work, ..FdTable::default() };
    }

    /// What it costs to keep, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How much was done so far that takes the longer the more is open.
    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// Follows a call. Calls come in the order in which they were left.
    pub fn apply(&mut self, call: &Invocation, span: Span) {
        let Some(syscall) = rz_syscalls::by_number(call.number) else { return };
        let arg = |index: usize| call.args[index] as u32;
        let fd_arg = |index: usize| arg(index) as i32;
        let closes = |index: usize| Some(arg(index) & libc::O_CLOEXEC as u32 != 0);
        match (syscall.name, call.outcome) {
            // It is closed even if this says that it failed.
            ("close", Outcome::Returned(_)) => self.close(fd_arg(0), span),
            ("connect", Outcome::Returned(value)) if value == 0 || value == IN_PROGRESS => {
                self.update_socket(fd_arg(0), |socket| socket.set_peer(call.blob(1)));
            }
            _ => {}
        }
        let Some(value) = call.success() else { return };
        let fd = value as i32;
        // Flags that ask to close on exec are the same bit wherever they are.
        let named = match syscall.name {
            "open" => self.at(libc::AT_FDCWD, call.blob(0)).map(|name| (name, closes(1))),
            "creat" => self.at(libc::AT_FDCWD, call.blob(0)).map(|name| (name, Some(false))),
            "openat" => self.at(fd_arg(0), call.blob(1)).map(|name| (name, closes(2))),
            "openat2" => self.at(fd_arg(0), call.blob(1)).map(|name| (name, None)),
            "open_tree" => self.at(fd_arg(0), call.blob(1)).map(|name| (name, closes(2))),
            "memfd_create" => call.blob(0).and_then(|blob| {
                let name = path::resolve(None, blob)?;
                Some((format!("/memfd:{name}"), Some(arg(1) & libc::MFD_CLOEXEC != 0)))
            }),
            "epoll_create" => Some(("anon_inode:[eventpoll]".into(), Some(false))),
            "epoll_create1" => Some(("anon_inode:[eventpoll]".into(), closes(0))),
            "eventfd" => Some(("anon_inode:[eventfd]".into(), Some(false))),
            "eventfd2" => Some(("anon_inode:[eventfd]".into(), closes(1))),
            "timerfd_create" => Some(("anon_inode:[timerfd]".into(), closes(1))),
            // With a descriptor it changes that one.
            "signalfd" | "signalfd4" if fd_arg(0) == fd => return,
            "signalfd" => Some(("anon_inode:[signalfd]".into(), Some(false))),
            "signalfd4" => Some(("anon_inode:[signalfd]".into(), closes(3))),
            "inotify_init" => Some(("anon_inode:inotify".into(), Some(false))),
            "inotify_init1" => Some(("anon_inode:inotify".into(), closes(0))),
            "pidfd_open" => Some(("anon_inode:[pidfd]".into(), Some(true))),
            "perf_event_open" => Some(("anon_inode:[perf_event]".into(), Some(arg(4) & 8 != 0))),
            "io_uring_setup" => Some(("anon_inode:[io_uring]".into(), Some(true))),
            "userfaultfd" => Some(("anon_inode:[userfaultfd]".into(), closes(0))),
            "socket" => {
                let socket = Socket::new(arg(0), arg(1), arg(2));
                return self.insert_socket(fd, socket, closes(1), span);
            }
            "accept" | "accept4" => {
                let flag = if syscall.name == "accept" { Some(false) } else { closes(3) };
                let socket = self.socket(fd_arg(0)).accepted(call.blob(1));
                return self.insert_socket(fd, socket, flag, span);
            }
            "bind" | "getsockname" => {
                return self.update_socket(fd_arg(0), |socket| socket.set_local(call.blob(1)));
            }
            "getpeername" => {
                return self.update_socket(fd_arg(0), |socket| socket.set_peer(call.blob(1)));
            }
            "dup" => return self.copy(fd_arg(0), fd, Some(false), span),
            "dup2" => return self.copy(fd_arg(0), fd, Some(false), span),
            "dup3" => return self.copy(fd_arg(0), fd, closes(2), span),
            "fcntl" => match fd_arg(1) {
                libc::F_DUPFD => return self.copy(fd_arg(0), fd, Some(false), span),
                libc::F_DUPFD_CLOEXEC => return self.copy(fd_arg(0), fd, Some(true), span),
                libc::F_SETFD => {
                    let flag = arg(2) & libc::FD_CLOEXEC as u32 != 0;
                    return self.set_close_on_exec(fd_arg(0), fd_arg(0), flag);
                }
                _ => return,
            },
            "close_range" => {
                // The last may be more than any descriptor is.
                let (first, last) = (arg(0), arg(1).min(i32::MAX as u32));
                let Ok(first) = i32::try_from(first) else { return };
                if arg(2) & libc::CLOSE_RANGE_CLOEXEC != 0 {
                    return self.set_close_on_exec(first, last as i32, true);
                }
                let in_range = |fd: i32| (first..=last as i32).contains(&fd);
                return self.retain(|fd, open| !in_range(fd) || open.since_ns > span.entered_ns);
            }
            "chdir" => {
                let path = call.blob(0);
                let absolute = path.is_some_and(|path| path.bytes.starts_with(b"/"));
                let known = absolute || self.directory.is_some();
                self.directory = self.at(libc::AT_FDCWD, path).filter(|_| known).map(Arc::from);
                return;
            }
            "fchdir" => {
                self.directory = self.directory_at(fd_arg(0)).map(Arc::from);
                return;
            }
            // What was not closed is still open; where it is not known which
            // it was, its number may mean something else from now on.
            "execve" | "execveat" if self.unkept == 0 => return,
            "execve" | "execveat" => return self.retain(|_, open| open.is_kept()),
            _ if syscall.returns == Returns::Fd => None,
            _ => return,
        };
        match named {
            Some((name, flag)) => self.insert(fd, name, flag, span.left_ns, None),
            None => self.remove(fd),
        }
    }

    /// The name of `path` as seen from directory `fd`.
    fn at(&self, fd: i32, path: Option<Blob>) -> Option<String> {
        path::resolve(self.directory_at(fd), path?)
    }

    fn directory_at(&self, fd: i32) -> Option<&str> {
        match fd {
            libc::AT_FDCWD => self.directory.as_deref(),
            _ => self.name(fd).filter(|name| name.starts_with('/')),
        }
    }

    fn insert(
        &mut self,
        fd: i32,
        name: String,
        close_on_exec: Option<bool>,
        since_ns: u64,
        socket: Option<Socket>,
    ) {
        self.remove(fd);
        let bytes = name.len() + BYTES_PER_FD;
        if fd < 0 || self.bytes + bytes > MAX_BYTES || self.open.len() >= MAX_OPEN {
            return;
        }
        self.bytes += bytes;
        let socket = socket.map(Arc::new);
        let open = Open { name: name.into(), close_on_exec, since_ns, socket };
        self.unkept += usize::from(!open.is_kept());
        self.open_mut().insert(fd, open);
    }

    /// To be changed; a copy if others share it.
    fn open_mut(&mut self) -> &mut BTreeMap<i32, Open> {
        if Arc::strong_count(&self.open) > 1 {
            self.work += COPY * self.open.len() as u64;
        }
        Arc::make_mut(&mut self.open)
    }

    fn insert_socket(&mut self, fd: i32, socket: Socket, flag: Option<bool>, span: Span) {
        self.insert(fd, socket.name(), flag, span.left_ns, Some(socket));
    }

    fn socket(&self, fd: i32) -> Socket {
        let known = self.open.get(&fd).and_then(|open| open.socket.as_deref());
        known.cloned().unwrap_or(Socket::UNKNOWN)
    }

    fn update_socket(&mut self, fd: i32, change: impl FnOnce(&mut Socket)) {
        let (close_on_exec, since_ns) = match self.open.get(&fd) {
            Some(open) => (open.close_on_exec, open.since_ns),
            None => (None, 0),
        };
        let before = self.socket(fd);
        let mut socket = before.clone();
        change(&mut socket);
        // One of which no end is known keeps the name it has.
        if socket != before {
            self.insert(fd, socket.name(), close_on_exec, since_ns, Some(socket));
        }
    }

    fn copy(&mut self, from: i32, to: i32, close_on_exec: Option<bool>, span: Span) {
        if from == to {
            return;
        }
        match self.open.get(&from).cloned() {
            Some(Open { name, socket, .. }) => {
                let socket = socket.map(|socket| (*socket).clone());
                self.insert(to, name.as_ref().to_owned(), close_on_exec, span.left_ns, socket);
            }
            None => self.remove(to),
        }
    }

    /// While one thread closed it another may have been given its number:
    ///
    /// ```text
    /// A   close(3) ├───────────────────┤
    /// B         open() = 3 ├────┤
    /// ```
    ///
    /// What was opened after the call was entered is not what it closed.
    fn close(&mut self, fd: i32, span: Span) {
        if self.open.get(&fd).is_some_and(|open| open.since_ns <= span.entered_ns) {
            self.remove(fd);
        }
    }

    fn remove(&mut self, fd: i32) {
        // Asked first so that what is shared is not copied for nothing.
        if self.open.contains_key(&fd)
            && let Some(open) = self.open_mut().remove(&fd)
        {
            self.unkept -= usize::from(!open.is_kept());
            self.bytes -= open.name.len() + BYTES_PER_FD;
        }
    }

    fn retain(&mut self, keep: impl Fn(i32, &Open) -> bool) {
        self.work += self.open.len() as u64;
        if self.open.iter().any(|(fd, open)| !keep(*fd, open)) {
            self.open_mut().retain(|fd, open| keep(*fd, open));
            self.unkept = self.open.values().filter(|open| !open.is_kept()).count();
            let sizes = self.open.values().map(|open| open.name.len() + BYTES_PER_FD);
            self.bytes = sizes.sum();
        }
    }

    fn set_close_on_exec(&mut self, first: i32, last: i32, flag: bool) {
        if first <= last && self.open.range(first..=last).next().is_some() {
            let (mut work, mut unkept) = (0, self.unkept);
            for (_, open) in self.open_mut().range_mut(first..=last) {
                unkept -= usize::from(!open.is_kept());
                open.close_on_exec = Some(flag);
                unkept += usize::from(flag);
                work += 1;
            }
            self.unkept = unkept;
            self.work += work;
        }
    }
}
