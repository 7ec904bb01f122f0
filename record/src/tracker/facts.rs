//! Whose a process is, what it may use, and what it was started with.
//!
//! Arguments and values of environment variables may be secret: they are kept
//! only if they were asked for.

use std::fs::{self, File};
use std::io::{self, Read};

use rz_format::{Limit, NO_LIMIT, ProcessFacts};

use crate::config::FactOptions;

/// Bytes that are read of a process's arguments, and of its environment.
const MAX_TEXT: usize = 64 << 10;
/// Longest name of a variable, in bytes.
const MAX_NAME: usize = 256;

/// The facts of a process, but for its number in the trace; `None` if it is
/// gone. What may not be read is left out.
pub(super) fn process_facts(pid: u32, options: FactOptions) -> Option<ProcessFacts> {
    let read = |name| fs::read_to_string(format!("/proc/{pid}/{name}"));
    let (uid, gid) = parse_owner(&read("status").ok()?)?;
    let mut facts = ProcessFacts { uid, gid, ..ProcessFacts::default() };
    facts.cgroup = parse_cgroup(&read("cgroup").unwrap_or_default());
    facts.limits = parse_limits(&read("limits").unwrap_or_default());
    if options.args {
        facts.args = parse_words(&read_start(pid, "cmdline").unwrap_or_default());
    }
    let environment = parse_environment(&read_start(pid, "environ").unwrap_or_default());
    for (name, value) in environment {
        facts.environment.push(name);
        if options.values {
            facts.values.push(value);
        }
    }
    Some(facts)
}

/// What was found of a process, and where it is about to be gone, what was known
/// earlier: then neither its arguments nor its environment can be read.
pub(super) fn completed(
    found: Option<ProcessFacts>,
    earlier: Option<ProcessFacts>,
) -> Option<ProcessFacts> {
    match (found, earlier) {
        (Some(found), Some(earlier)) if found.environment.is_empty() => {
            let ProcessFacts { args, environment, values, .. } = earlier;
            Some(ProcessFacts { args, environment, values, ..found })
        }
        (found, earlier) => found.or(earlier),
    }
}

/// Up to [`MAX_TEXT`] bytes of a file of a process; what is cut in its middle
/// is left out.
fn read_start(pid: u32, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/{name}"))?.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_TEXT {
        let whole = bytes.iter().rposition(|&byte| byte == 0).map_or(0, |at| at + 1);
        bytes.truncate(whole);
    }
    Ok(bytes)
}

/// Effective user and group id, from `/proc/PID/status`.
fn parse_owner(status: &str) -> Option<(u32, u32)> {
    // Real, effective, saved, and that of the file system.
    let effective = |key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((effective("Uid:")?, effective("Gid:")?))
}

/// The control group, from `/proc/PID/cgroup`: that of version 2 if there is
/// any, else the first one that is not the root.
fn parse_cgroup(text: &str) -> String {
    let path = |line: &str| Some(line.splitn(3, ':').nth(2)?.to_owned());
    let unified = text.lines().find(|line| line.starts_with("0::")).and_then(path);
    let is_inner = |path: &String| path != "/";
    let inner = || text.lines().filter_map(path).find(is_inner);
    unified.clone().filter(is_inner).or_else(inner).or(unified).unwrap_or_default()
}

/// Texts that each end with a zero.
fn parse_words(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    let words = bytes.split(|&byte| byte == 0);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Names and values of variables. Servers that write their state over their
/// arguments may go on over the environment: what cannot be a name is none.
fn parse_environment(bytes: &[u8]) -> Vec<(String, String)> {
    let is_name = |name: &str| {
        let is_in_name = |c: char| c.is_ascii_alphanumeric() || "_.-()%".contains(c);
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts_well && name.len() <= MAX_NAME && name.chars().all(is_in_name)
    };
    let variable = |word: String| {
        let (name, value) = word.split_once('=')?;
        is_name(name).then(|| (name.to_owned(), value.to_owned()))
    };
    parse_words(bytes).into_iter().filter_map(variable).collect()
}

/// The limits in `/proc/PID/limits`, which has columns of fixed widths.
fn parse_limits(text: &str) -> Vec<Limit> {
    let limit = |line: &str| {
        let column = |from, to| line.get(from..to).map(str::trim);
        let value = |text: &str| match text {
            "unlimited" => Some(NO_LIMIT),
            number => number.parse().ok(),
        };
        Some(Limit {
            name: column(0, 26)?.to_owned(),
            soft: value(column(26, 47)?)?,
            hard: value(column(47, 68)?)?,
            unit: line.get(68..).unwrap_or_default().trim().to_owned(),
        })
    };
    text.lines().skip(1).filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        let status = "Name:\ta\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n";
        assert_eq!(parse_owner(status), Some((2, 6)));
        assert_eq!(parse_owner("Name:\ta\n"), None);
    }

    #[test]
    fn control_groups() {
        let check = |text, expected: &str| assert_eq!(parse_cgroup(text), expected);
        check("0::/system.slice/a:b.service\n", "/system.slice/a:b.service");
        check("5:cpu:/c\n4:pids:/p\n0::/\n", "/c");
        check("2:name=systemd:/\n0::/\n", "/");
        check("", "");
    }

    #[test]
    fn words_and_variables() {
        assert_eq!(parse_words(b"a\0\0b c\0"), ["a", "", "b c"]);
        assert_eq!(parse_words(b""), [""; 0]);
        let variables = parse_environment(
            b"PATH=/a=b\0no variable\0title: SELECT 1=1\0=x\x001=x\0BASH_FUNC_f%%=() {\0E=\0",
        );
        let expected = [("PATH", "/a=b"), ("BASH_FUNC_f%%", "() {"), ("E", "")];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn limits() {
        let text = "\
Limit                     Soft Limit           Hard Limit           Units     
Max open files            1024                 1048576              files     
Max cpu time              unlimited            18446744073709551614 seconds   
Max nice priority         0                    0                    
garbage
";
        let limit = |name: &str, soft, hard, unit: &str| Limit {
            name: name.into(),
            soft,
            hard,
            unit: unit.into(),
        };
        let expected = [
            limit("Max open files", 1024, 1 << 20, "files"),
            limit("Max cpu time", NO_LIMIT, u64::MAX - 1, "seconds"),
            limit("Max nice priority", 0, 0, ""),
        ];
        assert_eq!(parse_limits(text), expected);
    }

    #[test]
    fn what_was_not_asked_for_is_not_there() {
        let pid = std::process::id();
        let facts = process_facts(pid, FactOptions::default()).unwrap();
        assert_eq!(facts.uid, nix::unistd::geteuid().as_raw());
        assert!(facts.environment.iter().any(|name| name == "PATH"), "{facts:?}");
        assert!(facts.limits.iter().any(|limit| limit.name == "Max open files"), "{facts:?}");
        assert!(facts.args.is_empty() && facts.values.is_empty(), "{facts:?}");

        let facts = process_facts(pid, FactOptions { args: true, values: true }).unwrap();
        assert_eq!(facts.values.len(), facts.environment.len());
        assert_eq!(facts.args, std::env::args().collect::<Vec<_>>());
    }
}
