//! Takes out of paths what is somebody's, part by part, so that what lies
//! beside each other still does.
//!
//! What is below the system's own folders stays. Of other paths those parts
//! stay that many systems have, and names of programs and libraries that are
//! in the trace with a path of the system. All others become `user1`, `dir1`
//! or `file1`, with the file's ending if it is a usual one.

use rustc_hash::{FxHashMap, FxHashSet};

use super::pseudonyms::Pseudonyms;
use super::system::{is_of_runtime, is_of_system, without_deleted, without_release};
use super::words::{is_common, is_extension};

/// Length at which the kernel cuts names of threads.
pub(super) const MAX_COMM: usize = 15;

/// What the kernel shows instead of paths of things that have none.
const NAMELESS: [&str; 7] =
    ["[kernel]", "[vdso]", "[vsyscall]", "[anon]", "[heap]", "[stack]", "[names]"];

/// Kinds of those that are told by a number.
const NUMBERED: [&str; 11] = [
    "socket",
    "pipe",
    "cgroup",
    "ipc",
    "mnt",
    "net",
    "pid",
    "pid_for_children",
    "time",
    "user",
    "uts",
];

/// Kinds of files that are none.
const ANONYMOUS: [&str; 14] = [
    "bpf-map",
    "bpf-prog",
    "bpf_link",
    "btf",
    "eventfd",
    "eventpoll",
    "fanotify",
    "inotify",
    "io_uring",
    "perf_event",
    "pidfd",
    "signalfd",
    "timerfd",
    "userfaultfd",
];

/// What may stay of paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Staying {
    /// All but names of users.
    pub(super) paths: bool,
    /// Names of users.
    pub(super) users: bool,
}

/// Everything that stands for parts of paths and for names of programs.
#[derive(Debug, Default)]
pub(super) struct Paths {
    staying: Staying,
    pub(super) pseudonyms: Pseudonyms,
    /// Names of files of the system.
    system_files: FxHashSet<Box<str>>,
    /// The whole names of programs whose names the kernel cuts.
    cut: FxHashMap<Box<str>, Box<str>>,
    /// Paths that were changed.
    changed: u64,
}

/// What a part of a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    User,
    Directory,
    File,
}

impl Part {
    fn kind(self) -> &'static str {
        match self {
            Part::User => "user",
            Part::Directory => "dir",
            Part::File => "file",
        }
    }
}

impl Paths {
    pub(super) fn new(staying: Staying) -> Self {
        Paths { staying, ..Paths::default() }
    }

    /// Whether all paths stay as they are.
    pub(super) fn stay(&self) -> bool {
        self.staying.paths && self.staying.users
    }

    /// How many times a path was changed.
    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    /// Learns the name of a file, before anything is changed.
    pub(super) fn learn(&mut self, path: &str) {
        let path = without_deleted(path).0;
        let name = path.rsplit('/').next().unwrap_or_default();
        // A file of a made-up trace may have any number of names.
        if name.is_empty() || self.system_files.len() + self.cut.len() >= 1 << 20 {
            return;
        }
        let cut = &name[..name.floor_char_boundary(MAX_COMM)];
        if is_of_system(path) {
            self.system_files.insert(name.into());
            self.system_files.insert(cut.into());
        } else if cut.len() < name.len() {
            self.cut.entry(cut.into()).or_insert_with(|| name.into());
        }
    }

    /// A path of the file system, or what the kernel shows in place of one.
    pub(super) fn path(&mut self, path: &str) -> String {
        self.path_of(path, Part::File)
    }

    /// The path of a folder.
    pub(super) fn folder(&mut self, path: &str) -> String {
        self.path_of(path, Part::Directory)
    }

    fn path_of(&mut self, path: &str, last: Part) -> String {
        let changed = self.change(path, last);
        self.changed += u64::from(changed != path);
        changed
    }

    /// A source file of a module, which is of the system or not. What
    /// distributions build says nothing about the machine.
    pub(super) fn source(&mut self, path: &str, module_is_of_system: bool) -> String {
        let is_built = |path: &str| {
            !path.starts_with('/') || path.starts_with("/build/") || path.starts_with("/usr/src/")
        };
        let is_theirs = |path: &str| !path.split('/').any(|part| matches!(part, "home" | "root"));
        if module_is_of_system && is_built(path) && is_theirs(path) {
            return path.to_owned();
        }
        self.path(path)
    }

    /// The name of a process or thread.
    pub(super) fn name(&mut self, name: &str) -> String {
        if name.is_empty() || self.is_common(name) {
            return name.to_owned();
        }
        if let Some(known) = self.pseudonyms.known_name(name) {
            return known.to_owned();
        }
        if let Some(whole) = self.cut.get(name).cloned() {
            return self.part(&whole, Part::File);
        }
        // Threads of a pool still are: `worker-12` becomes `name1-12`.
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        let stem = stem.trim_end_matches(['-', '_', '#', ':', '/', ' ', '.']);
        if digits.is_empty() || digits.len() > 4 || stem.is_empty() {
            return self.with_ending(name, "name");
        }
        let between = &name[stem.len()..name.len() - digits.len()];
        let stem =
            if self.is_common(stem) { stem.to_owned() } else { self.with_ending(stem, "name") };
        stem + between + digits
    }

    fn change(&mut self, path: &str, last: Part) -> String {
        let (path, deleted) = without_deleted(path);
        let changed = match self.nameless(path) {
            Some(changed) => changed,
            None => self.parts(path, last),
        };
        changed + deleted
    }

    /// What is shown in place of a path, if this is it.
    fn nameless(&mut self, path: &str) -> Option<String> {
        if path.is_empty() || NAMELESS.contains(&path) {
            return Some(path.to_owned());
        }
        if self.staying.paths {
            return None;
        }
        if let Some((kind, rest)) = path.split_once(':')
            && let inner = rest.trim_start_matches('[').trim_end_matches(']')
        {
            if NUMBERED.contains(&kind) && inner.bytes().all(|byte| byte.is_ascii_digit()) {
                return Some(path.to_owned());
            }
            match kind {
                "anon_inode" if ANONYMOUS.contains(&inner) => return Some(path.to_owned()),
                "anon_inode" | "/memfd" | "/dmabuf" => {
                    return Some(format!("{kind}:{}", self.with_ending(inner, "name")));
                }
                _ => {}
            }
        }
        let inner = path.strip_prefix('[')?.strip_suffix(']')?;
        let is_named = inner.split_once(':').filter(|(kind, _)| *kind == "anon");
        Some(match is_named {
            Some(_) => "[anon]".to_owned(),
            None => format!("[{}]", self.name(inner)),
        })
    }

    /// A path, part by part.
    fn parts(&mut self, path: &str, last: Part) -> String {
        if is_of_system(path) || is_of_runtime(path) {
            return without_release(path);
        }
        let is_absolute = path.starts_with('/');
        let first = path.split('/').find(|part| !part.is_empty()).unwrap_or_default();
        // Numbers there are of processes and descriptors.
        let is_numbered = is_absolute && ["proc", "dev", "sys", "run"].contains(&first);
        let count = path.split('/').count();
        let mut changed = String::with_capacity(path.len());
        let mut is_user = false;
        for (index, part) in path.split('/').enumerate() {
            if index > 0 {
                changed.push('/');
            }
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if is_user && !part.is_empty() {
                changed += &match self.staying.users {
                    true => part.to_owned(),
                    false => self.pseudonyms.of(Part::User.kind(), part),
                };
            } else if self.staying.paths || (is_number && is_numbered) {
                changed += part;
            } else {
                let kind = if index + 1 == count { last } else { Part::Directory };
                changed += &self.part(part, kind);
            }
            is_user = matches!(part, "home" | "Users") || (is_user && part.is_empty());
        }
        changed
    }

    fn part(&mut self, part: &str, kind: Part) -> String {
        if part.is_empty() || part == "." || part == ".." || self.is_common(part) {
            return part.to_owned();
        }
        self.with_ending(part, kind.kind())
    }

    /// A pseudonym of a name, with its usual ending: `.so.1.2`, `.py`.
    fn with_ending(&mut self, name: &str, kind: &'static str) -> String {
        let is_version = |c: char| c.is_ascii_digit() || c == '.';
        let unversioned = name.trim_end_matches(is_version);
        let (stem, ending) = match unversioned.strip_suffix(".so") {
            Some(stem) => name.split_at(stem.len()),
            None => match name.rsplit_once('.') {
                Some((stem, extension)) if is_extension(extension) => name.split_at(stem.len()),
                _ => (name, ""),
            },
        };
        // Those of users and sessions have numbers in them.
        let number = stem.strip_prefix("user-").or_else(|| stem.strip_prefix("session-"));
        let is_numbered = [".slice", ".scope"].contains(&ending)
            && number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        if is_numbered || self.is_common(stem) {
            return name.to_owned();
        }
        match stem.strip_prefix('.') {
            _ if stem.is_empty() => name.to_owned(),
            Some(hidden) if !hidden.is_empty() => {
                format!(".{}{ending}", self.pseudonyms.of(kind, hidden))
            }
            _ => self.pseudonyms.of(kind, stem) + ending,
        }
    }

    fn is_common(&self, part: &str) -> bool {
        is_common(part) || self.system_files.contains(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(paths: &mut Paths, cases: &[(&str, &str)]) {
        for (path, expected) in cases {
            assert_eq!(paths.path(path), *expected, "{path}");
        }
    }

    #[test]
    fn what_python_calls_its_own_stays() {
        let own = [("<string>", "<string>"), ("<frozen runpy>", "<frozen runpy>")];
        check(&mut Paths::default(), &own);
        check(&mut Paths::default(), &[("<frozen acme>", "file1"), ("<acme>", "file2")]);
    }

    #[test]
    fn parts_have_pseudonyms() {
        let mut paths = Paths::default();
        check(
            &mut paths,
            &[
                ("/home/alice/work/tool.so", "/home/user1/dir1/file1.so"),
                ("/home/alice/work/tool.so", "/home/user1/dir1/file1.so"),
                ("/home/bob/work/other", "/home/user2/dir1/file2"),
                ("/srv/alice/work", "/srv/user1/dir1"),
                ("/home//carol", "/home//user3"),
                (
                    "/lib/modules/6.1.0-acme/kernel/fs/ext4.ko",
                    "/lib/modules/6.1.0/kernel/fs/ext4.ko",
                ),
                ("/opt/acme/bin/acmed", "/opt/dir2/bin/file3"),
                ("/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
                ("/usr/lib/../../home/alice/x", "/usr/lib/../../home/user1/file4"),
                ("/usr/local/lib/libacme.so.1.2", "/usr/local/lib/file5.so.1.2"),
                ("/proc/self/fd/12", "/proc/self/fd/12"),
                ("/proc/77/root/home/alice/.x", "/proc/77/root/home/user1/.file4"),
                ("/srv/4815", "/srv/file6"),
                ("work/tool.py", "dir1/file1.py"),
                ("./main.c", "./main.c"),
                ("/home/alice/work/tool (deleted)", "/home/user1/dir1/file1 (deleted)"),
                ("file:///home/alice/work/a.mjs", "file:///home/user1/dir1/file7.mjs"),
                ("node:internal/timers", "node:internal/timers"),
                (
                    "/sys/fs/cgroup/user.slice/user-1000.slice",
                    "/sys/fs/cgroup/user.slice/user-1000.slice",
                ),
                ("/", "/"),
                ("", ""),
            ],
        );
        assert_eq!(paths.pseudonyms.count("user"), 3);
        assert_eq!(paths.changed(), 14);
    }

    #[test]
    fn what_has_no_path() {
        check(
            &mut Paths::default(),
            &[
                ("[vdso]", "[vdso]"),
                ("[anon:secret]", "[anon]"),
                ("[secret]", "[name1]"),
                ("socket:[4711]", "socket:[4711]"),
                ("socket:[secret]", "file1"),
                ("anon_inode:[eventpoll]", "anon_inode:[eventpoll]"),
                ("anon_inode:secret", "anon_inode:name1"),
                ("/memfd:secret (deleted)", "/memfd:name1 (deleted)"),
                ("//anon", "//anon"),
            ],
        );
    }

    #[test]
    fn names_follow_from_files() {
        let mut paths = Paths::default();
        paths.learn("/usr/sbin/nginx");
        paths.learn("/usr/bin/a-very-long-system-program");
        paths.learn("/home/alice/a-very-long-program (deleted)");
        assert_eq!(paths.path("/home/alice/a-very-long-program"), "/home/user1/file1");
        for (name, expected) in [
            ("nginx", "nginx"),
            ("a-very-long-sys", "a-very-long-sys"),
            ("a-very-long-pro", "file1"),
            ("alice", "user1"),
            ("worker-1", "name1-1"),
            ("worker-12", "name1-12"),
            ("nginx 3", "nginx 3"),
            ("customer48151623", "name2"),
            ("2026", "name3"),
            ("tool.py", "name4.py"),
            ("", ""),
        ] {
            assert_eq!(paths.name(name), expected, "{name}");
        }
        assert_eq!(paths.path("/srv/nginx"), "/srv/nginx");
    }

    #[test]
    fn what_stays() {
        let all = Staying { paths: true, users: true };
        check(&mut Paths::new(all), &[("/home/alice/x", "/home/alice/x"), ("[x]", "[x]")]);
        let paths = Staying { paths: true, users: false };
        check(&mut Paths::new(paths), &[("/home/alice/x", "/home/user1/x")]);
        let users = Staying { paths: false, users: true };
        check(&mut Paths::new(users), &[("/home/alice/x", "/home/alice/file1")]);
    }
}
