//! Tells paths that are the same on many machines.

/// Where only a distribution puts files.
const SYSTEM: [&str; 16] = [
    "/usr/bin/",
    "/usr/sbin/",
    "/usr/lib/",
    "/usr/lib32/",
    "/usr/lib64/",
    "/usr/libx32/",
    "/usr/libexec/",
    "/usr/include/",
    "/usr/share/",
    "/bin/",
    "/sbin/",
    "/lib/",
    "/lib32/",
    "/lib64/",
    "/libx32/",
    "/rustc/",
];

/// What Python calls code that is in no file, and what it starts itself with.
const PYTHON: [&str; 5] = [
    "<string>",
    "<stdin>",
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
    "<frozen runpy>",
];

/// Modules of Node.js.
const NODE: [&str; 28] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "crypto",
    "dgram",
    "dns",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "readline",
    "stream",
    "timers",
    "tls",
    "url",
    "util",
    "worker_threads",
    "zlib",
];

/// Whether a file is below the system's own folders.
pub(super) fn is_of_system(path: &str) -> bool {
    let leads_out = |part: &str| matches!(part, ".." | "home" | "Users" | "root");
    let is_below = SYSTEM.iter().any(|folder| path.starts_with(folder));
    is_below && !path.split('/').any(leads_out)
}

/// A path of the system; of one of the kernel's modules, without the mark of
/// those who built it.
pub(super) fn without_release(path: &str) -> String {
    let modules = ["/lib/modules/", "/usr/lib/modules/"];
    let Some(folder) = modules.into_iter().find(|folder| path.starts_with(folder)) else {
        return path.to_owned();
    };
    let (release, rest) = match path[folder.len()..].find('/') {
        Some(at) => path[folder.len()..].split_at(at),
        None => (&path[folder.len()..], ""),
    };
    format!("{folder}{}{rest}", number_at_start(release))
}

/// The number that a version begins with.
pub(super) fn number_at_start(version: &str) -> &str {
    let rest = version.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    &version[..version.len() - rest.len()]
}

/// Whether this is source that is part of a runtime and not of a program.
pub(super) fn is_of_runtime(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || b"/_".contains(&byte);
    let is_internal = |path: &str| path.starts_with("internal/") && path.bytes().all(is_plain);
    let node = path.strip_prefix("node:");
    PYTHON.contains(&path) || node.is_some_and(|path| is_internal(path) || NODE.contains(&path))
}

/// A path, and what the kernel says behind it if the file was deleted.
pub(super) fn without_deleted(path: &str) -> (&str, &'static str) {
    const DELETED: &str = " (deleted)";
    path.strip_suffix(DELETED).map_or((path, ""), |path| (path, DELETED))
}
