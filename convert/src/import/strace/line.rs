//! One line of a log of strace.

use std::borrow::Cow;

use crate::import::clock::{Time, bracketed, duration, thread, time};

/// A line of a log.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'t> {
    /// The thread, where the log tells threads apart.
    pub(super) tid: Option<u32>,
    pub(super) time: Option<Time>,
    pub(super) what: What<'t>,
}

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum What<'t> {
    Call {
        name: &'t str,
        args: &'t str,
        end: End,
    },
    /// A call whose end is in a later line.
    Begun {
        name: &'t str,
        args: &'t str,
    },
    /// The end of such a one, with those of its arguments that are known by then.
    Resumed {
        name: &'t str,
        args: &'t str,
        end: End,
    },
    /// A frame of the stack of the call before.
    Frame(&'t str),
    /// The thread is no more.
    Ended,
    /// A signal, and what strace says of itself.
    Other,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct End {
    /// An error number, negated, if it failed; `None` if it never returned.
    pub(super) result: Option<i64>,
    pub(super) took_ns: Option<u64>,
}

/// What a line says; `None` if it is not one of strace.
pub(super) fn parse(text: &str) -> Option<Line<'_>> {
    if let Some(frame) = text.strip_prefix(" > ") {
        return Some(Line { tid: None, time: None, what: What::Frame(frame) });
    }
    let (tid, rest) = thread(text.trim());
    let (time, rest) = time(rest);
    Some(Line { tid, time, what: what(bracketed(rest))? })
}

fn what(text: &str) -> Option<What<'_>> {
    if text.starts_with("+++ ") {
        return Some(if text.starts_with("+++ superseded") { What::Other } else { What::Ended });
    }
    let is_of_strace = ["--- ", "strace: ", "[ Process "];
    if is_of_strace.iter().any(|beginning| text.starts_with(beginning)) {
        return Some(What::Other);
    }
    if let Some(rest) = text.strip_prefix("<... ") {
        let (name, rest) = rest.split_once(" resumed>")?;
        let (args, end) = end_of_call(rest)?;
        return Some(What::Resumed { name, args: args.trim_start_matches([',', ' ']), end });
    }
    let (name, rest) = text.split_once('(')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return None;
    }
    for end in ["<unfinished ...>", "<detached ...>"] {
        if let Some(args) = rest.strip_suffix(end) {
            return Some(What::Begun { name, args: args.trim_end().trim_end_matches(',') });
        }
    }
    let (args, end) = end_of_call(rest)?;
    Some(What::Call { name, args, end })
}

/// The arguments and what is behind them: `3, "a") = 1 <0.000012>`.
fn end_of_call(text: &str) -> Option<(&str, End)> {
    // Brackets may be in quoted texts as well, but all of these are before the last one.
    let (args, result) = text.rmatch_indices(" = ").find_map(|(at, equals)| {
        let args = text[..at].trim_end().strip_suffix(')')?;
        Some((args, &text[at + equals.len()..]))
    })?;
    let (result, took_ns) = duration(result);
    Some((args, End { result: result_of(result.trim()), took_ns }))
}

/// `3`, `0x7f00`, `3</tmp/a>`, `-1 ENOENT (No such file or directory)`, `?`.
fn result_of(text: &str) -> Option<i64> {
    let mut words = text.split(' ');
    let value = words.next()?;
    let error = words.next().and_then(rz_syscalls::errno::number).map(|error| -i64::from(error));
    if value == "?" || value == "-1" {
        return error.or_else(|| value.parse().ok());
    }
    let value = value.split('<').next()?;
    match value.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
        None => value.parse().ok(),
    }
}

/// The function of a frame, and the module that it is in: `/lib/libc.so.6(read+0x12) [0x1234]`.
pub(super) fn function(frame: &str) -> (Cow<'_, str>, &str) {
    let (place, address) = frame.rsplit_once(" [").unwrap_or((frame, ""));
    let address = address.trim_end_matches(']');
    let (module, name) = place
        .rsplit_once('(')
        .map_or((place, ""), |(module, name)| (module, name.trim_end_matches(')')));
    let name = name.split("+0x").next().unwrap_or_default();
    if name.is_empty() {
        let file = module.rsplit('/').next().unwrap_or(module);
        return (format!("[{file}+{address}]").into(), module);
    }
    (name.into(), module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, tid: Option<u32>, time: Option<Time>, what: What<'_>) {
        assert_eq!(parse(text), Some(Line { tid, time, what }), "{text}");
    }

    fn end(result: Option<i64>, took_ns: Option<u64>) -> End {
        End { result, took_ns }
    }

    #[test]
    fn calls() {
        let read = What::Call { name: "read", args: r#"3, "a) = b", 9"#, end: end(Some(6), None) };
        check(r#"read(3, "a) = b", 9)   = 6"#, None, None, read);
        let close = || What::Call { name: "close", args: "3", end: end(Some(0), Some(5_000)) };
        let of_day = Some(Time::OfDay(59_296_157_178_000));
        check("16:28:16.157178 close(3) = 0 <0.000005>", None, of_day, close());
        check("[pid  12] 16:28:16.157178 close(3) = 0 <0.000005>", Some(12), of_day, close());
        let numbered =
            "12 16:28:16.157178 (+     0.000002) [   3] [00007efe] close(3) = 0 <0.000005>";
        check(numbered, Some(12), of_day, close());
        let since = Some(Time::Since(123_000));
        check("     0.000123 close(3)     = 0 <0.000005>", None, since, close());
        let epoch = Some(Time::Epoch(1_796_056_135_615_659_000));
        check("7 1796056135.615659 close(3) = 0 <0.000005>", Some(7), epoch, close());
        let failed = What::Call { name: "access", args: r#""/x", R_OK"#, end: end(Some(-2), None) };
        check(r#"access("/x", R_OK) = -1 ENOENT (No such file or directory)"#, None, None, failed);
        let exit = What::Call { name: "exit_group", args: "0", end: end(None, None) };
        check("exit_group(0)   = ?", None, None, exit);
        let mapped = What::Call { name: "brk", args: "NULL", end: end(Some(0x55_0000), None) };
        check("brk(NULL) = 0x550000", None, None, mapped);
        let again = What::Call { name: "pause", args: "", end: end(Some(-514), None) };
        check("pause() = ? ERESTARTNOHAND (To be restarted if no handler)", None, None, again);
        let open = What::Call { name: "dup", args: "3</a b>", end: end(Some(4), None) };
        check("dup(3</a b>) = 4</a b>", None, None, open);
    }

    #[test]
    fn calls_in_two_lines() {
        let begun = What::Begun { name: "read", args: "3" };
        check("5 read(3,  <unfinished ...>", Some(5), None, begun);
        let resumed =
            What::Resumed { name: "read", args: r#""a", 9"#, end: end(Some(1), Some(7_000)) };
        check(r#"5 <... read resumed>"a", 9) = 1 <0.000007>"#, Some(5), None, resumed);
        let resumed = What::Resumed { name: "futex", args: "", end: end(Some(0), None) };
        check("5 <... futex resumed>) = 0", Some(5), None, resumed);
    }

    #[test]
    fn what_is_no_call() {
        check("5 +++ exited with 0 +++", Some(5), None, What::Ended);
        check("5 --- SIGCHLD {si_signo=SIGCHLD} ---", Some(5), None, What::Other);
        check("strace: Process 5 attached", None, None, What::Other);
        check(
            " > /lib/libc.so.6(read+0x1) [0x12]",
            None,
            None,
            What::Frame("/lib/libc.so.6(read+0x1) [0x12]"),
        );
        for text in
            ["", "a;b 3", "5", "read(", "read(3)", "read(3) = ", "12:99:00 x", "hello (a) = b c"]
        {
            assert!(
                parse(text).is_none_or(|line| matches!(
                    line.what,
                    What::Call { end: End { result: None, .. }, .. }
                )),
                "{text}"
            );
        }
    }

    #[test]
    fn frames() {
        assert_eq!(
            function("/lib/libc.so.6(__read+0x12) [0x1234]"),
            ("__read".into(), "/lib/libc.so.6")
        );
        assert_eq!(function("/bin/a(+0x0) [0x23f1]"), ("[a+0x23f1]".into(), "/bin/a"));
        assert_eq!(function("/bin/a() [0x23f1]"), ("[a+0x23f1]".into(), "/bin/a"));
    }
}
