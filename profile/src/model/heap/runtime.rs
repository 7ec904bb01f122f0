//! Runtimes that have heaps of their own, of which little or nothing goes
//! through `malloc`.

/// A runtime with a heap of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Runtime {
    /// CPython.
    Python,
    /// Node.js, or another program with V8 in it.
    Node,
    /// A Java virtual machine.
    Java,
    /// A program written in Go.
    Go,
}

impl Runtime {
    /// The runtime that a file belongs to, by its path.
    pub fn of_file(path: &str) -> Option<Runtime> {
        let name = path.strip_suffix(" (deleted)").unwrap_or(path);
        let name = name.rsplit('/').next().unwrap_or(name);
        match name {
            "node" | "nodejs" => Some(Runtime::Node),
            "java" | "libjvm.so" => Some(Runtime::Java),
            _ if is_versioned(name, "libnode.so") => Some(Runtime::Node),
            _ if is_versioned(name, "python") || name.starts_with("libpython") => {
                Some(Runtime::Python)
            }
            _ => None,
        }
    }

    /// The runtime that a function belongs to, by its name.
    pub fn of_function(name: &str) -> Option<Runtime> {
        let is_go = ["runtime.goexit", "runtime.mstart", "runtime.asmcgocall", "runtime.rt0_go"]
            .iter()
            .any(|known| name.strip_prefix(known).is_some_and(|rest| !rest.starts_with(is_word)));
        is_go.then_some(Runtime::Go)
    }

    /// What a reader should know, in a sentence.
    pub fn note(self) -> &'static str {
        match self {
            Runtime::Python => {
                "Python allocates objects of up to 512 bytes in arenas of its own (pymalloc), \
                 which are seen as mapped memory only; PYTHONMALLOC=malloc shows each object"
            }
            Runtime::Node => {
                "JavaScript objects are in V8's own heap, which is seen as mapped memory only"
            }
            Runtime::Java => {
                "Java objects are in the virtual machine's own heap, which is seen as mapped \
                 memory only"
            }
            Runtime::Go => {
                "Go has a heap of its own, which is not seen here: only C code allocates with \
                 malloc"
            }
        }
    }
}

/// Whether a name is `start`, or that and a version, as in `python3.11`.
fn is_versioned(name: &str, start: &str) -> bool {
    let rest = name.strip_prefix(start);
    rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_file() {
        for (path, expected) in [
            ("/usr/bin/python3.11", Some(Runtime::Python)),
            ("python", Some(Runtime::Python)),
            ("/usr/lib/libpython3.11.so.1.0", Some(Runtime::Python)),
            ("/opt/node", Some(Runtime::Node)),
            ("/lib/libnode.so.108", Some(Runtime::Node)),
            ("/opt/jdk/lib/server/libjvm.so (deleted)", Some(Runtime::Java)),
            ("/opt/python/app", None),
            ("/usr/bin/pythonize", None),
            ("/usr/bin/nodeenv", None),
            ("", None),
        ] {
            assert_eq!(Runtime::of_file(path), expected, "{path:?}");
        }
    }

    #[test]
    fn by_function() {
        for (name, expected) in [
            ("runtime.goexit", Some(Runtime::Go)),
            ("runtime.goexit.abi0", Some(Runtime::Go)),
            ("runtime.goexits", None),
            ("app::runtime.goexit", None),
        ] {
            assert_eq!(Runtime::of_function(name), expected, "{name:?}");
        }
    }
}
