//! What is said of functions whose calls are to be recorded.

use std::path::Path;
use std::str::FromStr;

use rz_format::ValueKind;

/// Arguments that are recorded.
const MAX_ARGUMENTS: usize = 6;

/// Functions whose calls are asked for: `[FILE:]NAME[(KIND, ...)] [-> KIND]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    pub(crate) text: String,
    /// In which file; in any without it.
    pub(crate) file: Option<String>,
    /// Its name, with `*` for anything.
    pub(crate) name: String,
    /// Nothing at all if that was not said.
    pub(crate) arguments: Vec<ValueKind>,
    pub(crate) result: ValueKind,
}

impl FromStr for FunctionSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (call, result) = match text.rsplit_once("->") {
            Some((call, result)) => (call.trim(), kind(result.trim())?),
            None => (text.trim(), ValueKind::default()),
        };
        let (function, arguments) = match call.strip_suffix(')') {
            Some(call) => {
                let (function, list) = call.rsplit_once('(').ok_or("there is no ( before )")?;
                let words: Vec<&str> = list.split(',').map(str::trim).collect();
                let kinds = match words[..] {
                    [""] => vec![ValueKind::Nothing],
                    _ => words.into_iter().map(kind).collect::<Result<Vec<_>, _>>()?,
                };
                (function.trim(), kinds)
            }
            None => (call, Vec::new()),
        };
        if arguments.len() > MAX_ARGUMENTS {
            return Err(format!("only {MAX_ARGUMENTS} arguments are in registers"));
        }
        if arguments.contains(&ValueKind::Nothing) && arguments.len() > 1 {
            return Err("void is for results".to_owned());
        }
        // Not the colons of names such as `std::f`.
        let colon = function.match_indices(':').map(|(at, _)| at).find(|&at| {
            let bytes = function.as_bytes();
            bytes.get(at + 1) != Some(&b':') && (at == 0 || bytes[at - 1] != b':')
        });
        let (file, name) = match colon {
            Some(at) => (Some(function[..at].to_owned()), &function[at + 1..]),
            None => (None, function),
        };
        if name.is_empty() || name.contains(['(', ')', ' ']) || file.as_deref() == Some("") {
            return Err("say it as [FILE:]NAME, such as libssl:SSL_write".to_owned());
        }
        let (text, name) = (text.to_owned(), name.to_owned());
        Ok(FunctionSpec { text, file, name, arguments, result })
    }
}

/// What a word for a kind of value means.
fn kind(word: &str) -> Result<ValueKind, String> {
    Ok(match word {
        "ptr" => ValueKind::Pointer,
        "str" => ValueKind::Text,
        "int" => ValueKind::Int,
        "uint" => ValueKind::UnsignedInt,
        "long" => ValueKind::Long,
        "ulong" | "size" => ValueKind::UnsignedLong,
        "bool" => ValueKind::Bool,
        "char" => ValueKind::Char,
        "void" => ValueKind::Nothing,
        _ => {
            return Err(format!(
                "{word:?} is no kind of value: there are ptr, str, int, uint, long, ulong, size, \
                 bool, char and, of results, void"
            ));
        }
    })
}

impl FunctionSpec {
    /// Whether it can mean a file with this path.
    pub(crate) fn is_of(&self, path: &str) -> bool {
        let Some(file) = &self.file else { return true };
        let name = path.rsplit('/').next().unwrap_or_default();
        file == path
            || name
                .strip_prefix(file.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
    }

    /// The file, if it is a path.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_deref().filter(|file| file.contains('/')).map(Path::new)
    }

    /// Whether it can mean a function of this name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        is_like(name, &self.name)
    }
}

/// Whether a name is as a pattern says, in which `*` stands for anything.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        let check = |text: &str, file: Option<&str>, name: &str, kinds: &[ValueKind], result| {
            let spec: FunctionSpec = text.parse().unwrap();
            assert_eq!((spec.file.as_deref(), spec.name.as_str()), (file, name), "{text}");
            assert_eq!((&spec.arguments[..], spec.result), (kinds, result), "{text}");
        };
        use ValueKind::{Int, Nothing, Pointer, Text, UnsignedLong};
        check("SSL_write", None, "SSL_write", &[], Pointer);
        check("libssl:SSL_*", Some("libssl"), "SSL_*", &[], Pointer);
        check("fopen(str, str) -> ptr", None, "fopen", &[Text, Text], Pointer);
        check("/bin/a:f(ptr,size)->int", Some("/bin/a"), "f", &[Pointer, UnsignedLong], Int);
        check("a::b", None, "a::b", &[], Pointer);
        check("x:a::b() -> void", Some("x"), "a::b", &[Nothing], Nothing);
        let refused = |text: &str, words: &str| {
            let error = text.parse::<FunctionSpec>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        };
        refused("", "such as");
        refused("libc:", "such as");
        refused("f(double)", "\"double\" is no kind");
        refused("f(int", "such as");
        refused("f(int, void)", "results");
        refused("f(int,)", "\"\" is no kind");
        refused("f(int,int,int,int,int,int,int)", "only 6");
    }

    #[test]
    fn files_by_name() {
        let spec: FunctionSpec = "libssl:f".parse().unwrap();
        let is_of = ["/lib/libssl.so.3", "/lib/libssl-3.so", "/lib/libssl"].map(|p| spec.is_of(p));
        assert_eq!(is_of, [true; 3]);
        assert!(!spec.is_of("/lib/libssl3.so") && !spec.is_of("/libssl/x.so"));
    }

    #[test]
    fn names_by_pattern() {
        let check = |name, pattern, expected| assert_eq!(is_like(name, pattern), expected);
        check("SSL_write", "SSL_write", true);
        check("SSL_write_ex", "SSL_write", false);
        check("SSL_write_ex", "SSL_*", true);
        check("SSL_write_ex", "*write*", true);
        check("aab", "a*ab", true);
        check("ab", "a*ab", false);
        check("abcbd", "a*b*d", true);
    }
}
