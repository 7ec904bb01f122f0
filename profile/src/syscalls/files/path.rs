//! Paths relative to directories.

use crate::syscalls::{Blob, text};

/// The longest name that is kept, in bytes (PATH_MAX).
const MAX_LENGTH: usize = 4096;

/// `path` as part of a line, seen from `directory` if that is known. Neither
/// symbolic links nor `..` are followed: what they lead to is not known here.
///
/// `None` if it is too long.
pub fn resolve(directory: Option<&str>, path: Blob) -> Option<String> {
    let mut relative = path.bytes;
    while let Some(rest) = relative.strip_prefix(b"./") {
        relative = rest;
    }
    let mut out = String::new();
    if let Some(directory) = directory.filter(|_| !relative.starts_with(b"/")) {
        out.push_str(directory);
        if relative == b"." || relative.is_empty() {
            relative = b"";
        } else if !directory.ends_with('/') {
            out.push('/');
        }
    } else if relative.is_empty() {
        out.push('.');
    }
    if out.len() + relative.len() > MAX_LENGTH {
        return None;
    }
    text::escape(&mut out, relative, b"<>");
    if path.cut {
        out.push_str("...");
    }
    (out.len() <= MAX_LENGTH).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_their_directory() {
        fn check(directory: Option<&str>, path: &[u8], expect: &str) {
            assert_eq!(resolve(directory, Blob::whole(path)).as_deref(), Some(expect));
        }
        check(Some("/home"), b"/etc/passwd", "/etc/passwd");
        check(Some("/home"), b"a/b", "/home/a/b");
        check(Some("/"), b"a", "/a");
        check(Some("/home"), b".", "/home");
        check(Some("/home"), b"", "/home");
        check(Some("/home"), b"././a", "/home/a");
        check(Some("/home"), b"../a", "/home/../a");
        check(Some("/home"), b"a>\n", "/home/a\\76\\n");
        check(None, b"a/b", "a/b");
        check(None, b"./a", "a");
        check(None, b"./", ".");
        check(None, b"/", "/");
    }

    #[test]
    fn names_are_bounded() {
        let long = "/x".repeat(2048);
        assert_eq!(resolve(None, Blob::whole(long.as_bytes())), Some(long.clone()));
        assert_eq!(resolve(Some(&long), Blob::whole(b"x")), None);
        assert_eq!(resolve(None, Blob::whole(&[1; 4000])), None);
        assert_eq!(resolve(None, Blob::cut(b"/x")).as_deref(), Some("/x..."));
    }
}
