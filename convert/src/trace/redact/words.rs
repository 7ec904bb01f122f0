//! Words that tell nothing about whose machine it was.

/// Whether a part of a path is one that many systems have.
pub(super) fn is_common(part: &str) -> bool {
    COMMON.binary_search(&part).is_ok()
}

/// Whether everybody's environment has a variable of this name.
pub(super) fn is_common_variable(name: &str) -> bool {
    VARIABLES.binary_search(&name).is_ok()
}

/// Whether this is the ending of a file's name, without the dot.
pub(super) fn is_extension(text: &str) -> bool {
    EXTENSIONS.binary_search(&text).is_ok()
}

/// Whether threads of the kernel have names that begin like this.
pub(super) fn is_of_kernel(name: &str) -> bool {
    KERNEL.iter().any(|start| name.starts_with(start))
}

/// Whether this is said by rz itself: words that it knows, and numbers.
pub(super) fn is_our_sentence(text: &str) -> bool {
    let is_ours = |word: &str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let is_number = word.starts_with(|c: char| c.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b',' || byte == b'.');
        word.is_empty() || is_number || SAID.binary_search(&word).is_ok()
    };
    text.split_ascii_whitespace().all(is_ours)
}

/// Parts of paths, sorted.
#[rustfmt::skip]
const COMMON: &[&str] = &[
    ".cache", ".cargo", ".config", ".git", ".local", ".npm", ".nvm", ".rustup", ".venv",
    "SYSV00000000", "Users", "[aio]", "alloc", "anon", "anon_hugepage", "app.slice", "asound", "backends",
    "bin", "block", "boot", "build", "bus", "c++", "cache", "cargo", "cgroup", "class",
    "clear_refs", "cmdline", "comm", "completed", "conf.d", "config", "containers", "core", "cpu",
    "cpuacct", "cpuinfo", "cpuset", "crates", "cwd", "data", "db", "debug", "default", "deps",
    "dev", "devices", "disk", "dist", "dist-packages", "docker", "dri", "environ", "etc", "events",
    "examples", "exe", "export", "fd", "fdinfo", "file:", "filesystems", "fonts", "fs", "full",
    "group", "home", "hosts", "http:", "https:", "hugepages", "include", "index", "init.scope",
    "input", "interrupts", "io", "kcore", "kernel", "kmsg", "ld.so.cache", "ld.so.conf",
    "ld.so.preload", "lib", "lib32", "lib64", "libexec", "library", "limits", "loadavg", "local",
    "locale", "localtime", "log", "login.defs", "machine", "main", "map_files", "maps", "media",
    "mem", "meminfo", "memory", "mmc", "mnt", "mod", "modules", "mountinfo", "mounts", "mqueue",
    "net", "node_modules", "ns", "nsswitch.conf", "null", "nvidia", "online", "oom_score_adj",
    "opt", "os-release", "osrelease", "overcommit_memory", "overlay2", "package", "packages",
    "pagemap", "passwd", "perf", "pid_max", "pids", "possible", "power", "present", "proc",
    "programs", "protocols", "ptmx", "pts", "pulse", "python3", "random", "registry", "release",
    "resolv.conf", "root", "run", "sbin", "schedstat", "scripts", "self", "services",
    "session.slice", "shadow", "share", "shm", "site-packages", "smaps", "smaps_rollup", "snap",
    "sockets", "somaxconn", "spool", "src", "srv", "stat", "statm", "status", "std", "stderr",
    "stdin", "stdout", "sys", "syscall", "system", "system.slice", "systemd", "target", "task",
    "tcp", "tcp6", "tests", "thread-self", "threads-max", "timezone", "tmp", "tracing",
    "transparent_hugepage", "tty", "udp", "unix", "uptime", "urandom", "user", "user.slice", "usr",
    "var", "vendor", "version", "vm", "wchan", "zero", "zoneinfo",
];

/// Names of variables, sorted.
#[rustfmt::skip]
const VARIABLES: &[&str] = &[
    "COLORTERM", "COLUMNS", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "EDITOR", "GOMAXPROCS", "HOME",
    "HOSTNAME", "HOSTTYPE", "INVOCATION_ID", "JAVA_HOME", "JOURNAL_STREAM", "LANG", "LANGUAGE",
    "LC_ADDRESS", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT",
    "LC_MESSAGES", "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "LESSCLOSE", "LESSOPEN", "LINES", "LISTEN_FDS", "LISTEN_PID",
    "LOGNAME", "LS_COLORS", "MAIL", "MALLOC_ARENA_MAX", "MALLOC_CONF", "NODE_ENV", "NODE_OPTIONS",
    "NOTIFY_SOCKET", "OLDPWD", "OMP_NUM_THREADS", "OSTYPE", "PAGER", "PATH", "PWD", "PYTHONHOME",
    "PYTHONPATH", "PYTHONPERFSUPPORT", "PYTHONUNBUFFERED", "RUST_BACKTRACE", "RUST_LOG", "RZ_ALLOC",
    "SHELL", "SHLVL", "SSH_AUTH_SOCK", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SUDO_COMMAND",
    "SUDO_GID", "SUDO_UID", "SUDO_USER", "TERM", "TMPDIR", "TZ", "USER", "VISUAL", "WATCHDOG_PID",
    "WATCHDOG_USEC", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_DIRS", "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR", "XDG_SESSION_ID", "XDG_SESSION_TYPE", "_",
];

/// Endings of files' names, sorted.
#[rustfmt::skip]
const EXTENSIONS: &[&str] = &[
    "a", "bash", "bin", "bz2", "c", "cc", "cfg", "cjs", "class", "conf", "cpp", "cs", "css", "csv",
    "cxx", "dat", "data", "db", "debug", "dll", "dump", "dwo", "dwp", "exe", "folded", "gif", "go",
    "gz", "h", "hh", "hpp", "html", "hxx", "inc", "ini", "inl", "jar", "java", "jpg", "js", "json",
    "jsx", "kt", "ld", "lock", "log", "lua", "map", "md", "mjs", "ml", "mod", "mount", "node", "o",
    "old", "out", "pb", "php", "pid", "pl", "png", "proto", "py", "pyc", "rb", "rlib", "rmeta",
    "rs", "rz", "s", "scope", "service", "sh", "slice", "so", "sock", "socket", "sql", "sqlite",
    "svg", "swift", "swp", "tar", "tmp", "toml", "ts", "tsx", "txt", "wasm", "xml", "xz", "yaml",
    "yml", "zip", "zst",
];

/// Beginnings of names.
#[rustfmt::skip]
const KERNEL: &[&str] = &[
    "cpuhp/", "dmcrypt", "idle_inject/", "irq/", "jbd2", "kauditd", "kblockd", "kcompactd",
    "kdevtmpfs", "khugepaged", "khungtaskd", "kintegrityd", "ksmd", "ksoftirqd/", "kswapd",
    "kthreadd", "kthrotld", "kworker/", "loop", "md", "migration/", "mm_percpu_wq", "netns", "nvme",
    "oom_reaper", "pool_workqueue_", "rcu_", "rcub/", "rcuc/", "rcuog/", "rcuop/", "scsi_",
    "swapper/", "watchdogd", "writeback", "xfs",
];

/// What notes of rz consist of, sorted.
#[rustfmt::skip]
const SAID: &[&str] = &[
    "CPU", "IDs", "a", "all", "allocate", "allocated", "allocates", "allocations", "allocator",
    "an", "and", "are", "as", "at", "be", "been", "before", "behind", "block", "blocks", "bpf",
    "but", "by", "bytes", "call", "callers", "calls", "cannot", "children", "closed", "could",
    "counts", "cut", "damaged", "did", "due", "environments", "events", "fewer", "file", "files",
    "first", "for", "found", "from", "functions", "had", "has", "have", "header", "heap", "in",
    "index", "into", "is", "its", "kernel", "killed", "kind", "known", "last", "left", "lengths",
    "limits", "lost", "may", "memory", "missing", "more", "names", "newer", "no", "not", "number",
    "of", "off", "offset", "on", "one", "only", "or", "out", "page", "perf", "process", "processes",
    "programs", "read", "recorded", "recorder", "recording", "records", "reports", "rz", "s",
    "sampled", "samples", "size", "skipped", "so", "stack", "stacks", "stands", "system", "take",
    "texts", "than", "that", "the", "their", "there", "these", "they", "this", "threads", "time",
    "times", "to", "too", "totals", "traced", "unknown", "use", "users", "waits", "was", "were",
    "what", "when", "which", "with", "without", "would", "written",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [COMMON, VARIABLES, EXTENSIONS, SAID] {
            assert!(list.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn sentences_of_rz_are_known() {
        for (text, expected) in [
            ("the file was not closed: the recorder may have been killed", true),
            ("417 damaged bytes at offset 1,024 were skipped", true),
            ("3 blocks are missing before offset 99", true),
            (
                "9 damaged bytes at offset 5 were skipped (a block of heap counts, 2 more, from 0.500 to 1.000 s)",
                true,
            ),
            (
                "the file is cut off: its last block, at offset 9, has only 2 bytes (the index)",
                true,
            ),
            ("", true),
            ("the files of process 7 cannot be read: Permission denied", false),
            ("the file secret was not closed", false),
            ("7secret blocks are missing", false),
            ("/secret: not found", false),
        ] {
            assert_eq!(is_our_sentence(text), expected, "{text}");
        }
    }
}
