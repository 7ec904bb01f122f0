//! Tells formats apart by what they begin with.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::unpack::HEAD;
use super::unreadable::varint;
use super::{InputFormat, Recognized, unreadable};

/// What `perf record` begins a file with, in either order of bytes.
const PERF: [&[u8]; 2] = [b"PERFILE2", b"2ELIFREP"];

/// What each chunk of Java Flight Recorder begins with.
const JFR: &[u8] = b"FLR\0";

/// What raw data of rbspy begins with, before a version.
const RBSPY: &[u8] = b"rbspy0";

/// What recordings of memray begin with, before a version of 4 bytes.
pub(super) const MEMRAY: &[u8] = b"memray\0";

/// Versions of these that are read.
const MEMRAY_VERSIONS: [u8; 2] = [12, 13];

/// Keys that JSON has which is of a format, near its beginning: each has one of every list.
const JSON: [(InputFormat, &[&[&str]]); 9] = [
    (InputFormat::Speedscope, &[&["https://www.speedscope.app/file-format-schema.json"]]),
    (InputFormat::Safari, &[&["\"recording\""], &["\"instrumentTypes\""]]),
    (InputFormat::GhcJson, &[&["\"rts_arguments\""], &["\"cost_centres\""]]),
    (InputFormat::V8Log, &[&["\"code\""], &["\"SHARED_LIB\"", "\"CPP\""]]),
    (InputFormat::TraceEvents, &[&["\"traceEvents\"", "\"ph\"", "\"stackFrames\""]]),
    (InputFormat::HeapProfile, &[&["\"selfSize\""], &["\"callFrame\""]]),
    // Before V8's, as its samples have such deltas as well.
    (
        InputFormat::Firefox,
        &[&["\"preprocessedProfileVersion\"", "\"libs\"", "\"stackTable\"", "\"isOffMainThread\""]],
    ),
    (InputFormat::CpuProfile, &[&["\"hitCount\"", "\"callFrame\"", "\"timeDeltas\""]]),
    (InputFormat::Stackprof, &[&["\"mode\""], &["\"interval\""], &["\"frames\"", "\"raw\""]]),
];

/// What is in texts of a format, near the beginning.
const TEXTS: [(InputFormat, &str); 4] = [
    (InputFormat::GhcProf, "Time and Allocation Profiling Report"),
    (InputFormat::Sample, "\nCall graph:\n"),
    (InputFormat::Vtune, "Function Stack,CPU Time"),
    (InputFormat::Xctrace, "<trace-query-result>"),
];

pub(super) fn recognize(head: &[u8]) -> Option<Recognized> {
    let readable = |format| Some(Recognized::Readable(format));
    if let Some(format) = binary(head) {
        return readable(format);
    }
    if let Some(what) = unreadable::binary(head) {
        return Some(Recognized::Unreadable(what));
    }
    if head.contains(&0) {
        return None;
    }
    let text = String::from_utf8_lossy(head);
    if let Some(what) = unreadable::text(text.trim_start()) {
        return Some(Recognized::Unreadable(what));
    }
    text_of(&text, head.len() as u64).and_then(readable)
}

fn binary(head: &[u8]) -> Option<InputFormat> {
    if PERF.iter().any(|magic| head.starts_with(magic)) {
        Some(InputFormat::Perf)
    } else if head.starts_with(RBSPY) {
        Some(InputFormat::Rbspy)
    } else if is_memray(head) {
        Some(InputFormat::Memray)
    } else if is_pstats(head) {
        Some(InputFormat::Pstats)
    } else if head.starts_with(JFR) {
        Some(InputFormat::Jfr)
    } else if is_pprof(head) {
        Some(InputFormat::Pprof)
    } else if is_words_of_pprof(head) {
        Some(InputFormat::PprofLegacy)
    } else {
        None
    }
}

fn text_of(text: &str, size: u64) -> Option<InputFormat> {
    let start = text.trim_start();
    // Lines of logs may begin with a thread in brackets.
    if start.starts_with(['{', '[']) && !start.starts_with("[pid ") {
        let has = |keys: &&[&str]| keys.iter().any(|key| text.contains(key));
        let is_of = |(_, keys): &&(InputFormat, &[&[&str]])| keys.iter().all(has);
        JSON.iter().find(is_of).map(|(format, _)| *format)
    } else if is_text_of_pprof(text) {
        Some(InputFormat::PprofLegacy)
    } else if is_heaptrack(text) {
        Some(InputFormat::Heaptrack)
    } else if is_callgrind(text) {
        Some(InputFormat::Callgrind)
    } else if let Some((format, _)) = TEXTS.iter().find(|(_, has)| text.contains(has)) {
        Some(*format)
    } else if is_ltrace(text) {
        Some(InputFormat::Ltrace)
    } else if is_strace(text) {
        Some(InputFormat::Strace)
    } else if is_papyrus(text) {
        Some(InputFormat::Papyrus)
    } else if is_instruments(text) {
        Some(InputFormat::Instruments)
    } else if is_pmcstat(text) {
        Some(InputFormat::Pmcstat)
    } else if is_perf_script(text) {
        Some(InputFormat::PerfScript)
    } else if is_dtrace(text) {
        Some(InputFormat::Dtrace)
    } else if is_folded(text, size) {
        Some(InputFormat::Folded)
    } else {
        None
    }
}

/// What a folder is that a tool writes; a trace is made of none.
pub(super) fn recognize_folder(path: &Path) -> Option<Recognized> {
    let is_perf = |name: &str| {
        let file = File::open(path.join(name)).ok();
        let mut head = Vec::new();
        file.is_some_and(|file| file.take(8).read_to_end(&mut head).is_ok())
            && PERF.iter().any(|magic| head.starts_with(magic))
    };
    let what = if ["data", "data.0"].into_iter().any(is_perf) {
        "a folder of perf record --threads: perf script -i FOLDER makes a text of it that can be read"
    } else if path.extension().is_some_and(|extension| extension == "trace") {
        "a recording of Instruments: on a Mac, xctrace export makes XML of it that can be read"
    } else {
        return None;
    };
    Some(Recognized::Unreadable(what.to_owned()))
}

/// Whether this is a recording of memray, and of a version that is read.
fn is_memray(head: &[u8]) -> bool {
    matches!(head.strip_prefix(MEMRAY), Some([version, 0, 0, 0, ..]) if MEMRAY_VERSIONS.contains(version))
}

/// Whether this begins as marshal writes a dictionary whose first key is a tuple of three: a
/// file, a line and a function.
fn is_pstats(head: &[u8]) -> bool {
    // Bit 7 says that there are references to an object.
    let kinds: Vec<u8> = head.iter().take(2).map(|byte| byte & 0x7f).collect();
    match kinds[..] {
        [b'{', b')'] => head.get(2) == Some(&3),
        [b'{', b'('] => head.get(2..6) == Some(&[3, 0, 0, 0]),
        _ => false,
    }
}
/// Whether this begins as a protobuf of pprof does: with fields that such a file has, in
/// any order, among them a kind of value.
fn is_pprof(mut head: &[u8]) -> bool {
    let mut has_kind = false;
    while let Some((key, rest)) = varint(head) {
        let (field, is_bytes) = (key >> 3, key & 7 == 2);
        let is_known = match field {
            1..=6 | 11 => is_bytes,
            7..=10 | 12 | 14 => key & 7 == 0,
            // One by one or all together.
            13 => matches!(key & 7, 0 | 2),
            15 => is_bytes,
            _ => false,
        };
        let Some((number, rest)) = varint(rest).filter(|_| is_known) else { return false };
        let length = if is_bytes { usize::try_from(number).unwrap_or(usize::MAX) } else { 0 };
        // What is behind what is looked at is taken to be right.
        let Some((message, rest)) = rest.split_at_checked(length) else { break };
        if field == 1 {
            has_kind = true;
            if !is_kind_of_value(message) {
                return false;
            }
        }
        head = rest;
    }
    has_kind
}

/// Whether a message has two numbers, or one.
fn is_kind_of_value(mut message: &[u8]) -> bool {
    while let [0x08 | 0x10, number @ ..] = message {
        let Some((_, rest)) = varint(number) else { return false };
        message = rest;
    }
    message.is_empty()
}

/// Whether these are words of 4 or 8 bytes, in either order: 0, 3, 0 or 1, a period, and 0, as
/// CPU profiles of gperftools begin.
fn is_words_of_pprof(head: &[u8]) -> bool {
    [(4, false), (4, true), (8, false), (8, true)].into_iter().any(|(width, is_big)| {
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        let word = |bytes: &[u8]| match is_big {
            true => bytes.iter().fold(0, add),
            false => bytes.iter().rev().fold(0, add),
        };
        let words: Vec<u64> = head.chunks_exact(width).take(5).map(word).collect();
        matches!(words[..], [0, 3, 0 | 1, period, 0] if period > 0)
    })
}

/// What texts begin with that pprof reads.
const TEXTS_OF_PPROF: [&str; 6] = [
    "heap profile: ",
    "--- heapz ",
    "--- threadz ",
    "--- contentionz ",
    "--- contention:",
    "--- mutex:",
];

/// Whether the first line that says something is one that pprof knows.
fn is_text_of_pprof(text: &str) -> bool {
    let first = text.lines().find(|line| !is_no_stack(line)).unwrap_or_default();
    TEXTS_OF_PPROF.iter().any(|start| first.starts_with(start))
        || first.contains(" profile: total ")
        || (first.starts_with("--- Thread ") && first.ends_with(" stack: ---"))
}

/// Whether there are versions, and then a command or the path of a program.
fn is_heaptrack(text: &str) -> bool {
    let mut lines = text.lines();
    let has_version =
        lines.next().and_then(|line| line.strip_prefix("v ")).is_some_and(|numbers| {
            numbers.split(' ').all(|number| u64::from_str_radix(number, 16).is_ok())
        });
    has_version && lines.next().is_some_and(|line| line.starts_with(['X', 'x', 's', '#', 'A', 'I']))
}

/// Whether a line says what is counted, as each file of callgrind does before it counts.
fn is_callgrind(text: &str) -> bool {
    let mut lines = text.lines().take_while(|line| !line.starts_with("fn="));
    text.starts_with("# callgrind format")
        || (lines.any(|line| line.starts_with("events: ")) && text.contains("\nfn="))
}

/// Lines of a log that are looked at.
const MAX_LOG_LINES: usize = 16;

/// Whether a line is a call that Linux has, with what it returned, or the beginning of one.
fn is_strace(text: &str) -> bool {
    let is_call = |line: &str| {
        // `(+     0.000123)` is a time.
        let line = line.replacen("(+", "", 1);
        let Some((before, args)) = line.split_once('(') else { return false };
        let name = before.rsplit([' ', ']']).next().unwrap_or_default();
        let is_whole = args.contains(") = ") || args.contains(")  ") && args.contains(" = ");
        let is_known = rz_syscalls::by_name(name).is_some();
        is_known && (is_whole || args.ends_with("<unfinished ...>"))
    };
    text.lines().take(MAX_LOG_LINES).any(|line| is_call(line.trim_end()))
}

/// What only logs of ltrace have.
const OF_LTRACE: [&str; 4] = [" SYS_", "@SYS(", "+++ exited (status ", "= <void>"];

/// Whether the first lines are calls, of which some are no system calls, or are called
/// otherwise.
fn is_ltrace(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().take(MAX_LOG_LINES).collect();
    let is_mark = |line: &&str| OF_LTRACE.iter().any(|mark| line.contains(mark));
    let (mut others, mut system_calls, mut no_calls) = (0, 0, 0);
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        match called_in(line) {
            Some("") => {}
            Some(name) if rz_syscalls::by_name(name).is_some() => system_calls += 1,
            Some(_) => others += 1,
            None => no_calls += 1,
        }
    }
    // What the program writes may be among its calls.
    let is_log = others + system_calls > 2 * no_calls;
    is_log && (others > system_calls || lines.iter().any(is_mark))
}

/// What is called in a line of a log; nothing in one that says how calls or threads end.
fn called_in(line: &str) -> Option<&str> {
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit() || c == '[');
    let words = line.trim().trim_start_matches("[pid").trim_start();
    // The thread, the time, the address.
    let mut rest = words;
    while let Some((_, after)) = rest.split_once(' ').filter(|(word, _)| is_number(word)) {
        rest = after.trim_start();
    }
    if ["<... ", "--- ", "+++ "].iter().any(|beginning| rest.starts_with(beginning)) {
        return Some("");
    }
    let (name, args) = rest.split_once('(')?;
    let is_of_name = |c: char| c.is_alphanumeric() || "_@.:>~$-".contains(c);
    let mut ends = args.match_indices(" = ").map(|(at, _)| args[..at].trim_end());
    let has_end = args.ends_with("...>") || ends.any(|before| before.ends_with(')'));
    (!name.is_empty() && name.chars().all(is_of_name) && has_end).then_some(name)
}

/// Whether there are times and what happens then to a stack.
fn is_papyrus(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.contains(" log opened"));
    let is_event = |line: &str| {
        let mut parts = line.split(':');
        let is_time = parts.next().is_some_and(|time| time.trim().parse::<u64>().is_ok());
        let kinds = ["START", "STOP", "PUSH", "POP", "QUEUE_PUSH", "QUEUE_POP"];
        is_time && parts.next().is_some_and(|kind| kinds.contains(&kind)) && parts.next().is_some()
    };
    lines.next().is_some_and(is_event)
}

/// Whether the first line has the titles that Instruments gives its columns.
fn is_instruments(text: &str) -> bool {
    let titles = text.lines().next().unwrap_or_default();
    titles.contains("\tSymbol Name")
}

/// Whether there is an event, and a share and a count in a later line.
fn is_pmcstat(text: &str) -> bool {
    text.starts_with("@ ") && text.lines().any(|line| line.contains("%  ["))
}

/// Whether there is a sample, and below it, indented, addresses and their functions; without
/// stacks, a time and an event.
fn is_perf_script(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !is_no_stack(line));
    let Some(first) = lines.next() else { return false };
    let words: Vec<&str> = first.split_whitespace().collect();
    let is_number = |word: &str| word.parse::<u64>().is_ok();
    let is_thread = |word: &str| word.split('/').all(is_number);
    let is_time = |word: &str| {
        word.strip_suffix(':').is_some_and(|t| t.contains('.') && t.parse::<f64>().is_ok())
    };
    // The first word is the process, whatever it is.
    let Some(marked) = (1..words.len()).find(|at| words[*at].ends_with(':')) else { return false };
    let has_thread = words[1..marked].iter().any(|word| is_thread(word));
    let is_timed = is_time(words[marked]);
    let has_event = words[marked + 1..].iter().take(2).any(|word| word.ends_with(':'));
    let is_frame = |line: &str| {
        let address = line.split_whitespace().next().unwrap_or_default();
        line.starts_with(char::is_whitespace) && u64::from_str_radix(address, 16).is_ok()
    };
    let has_stack = !first.starts_with(char::is_whitespace) && lines.next().is_some_and(is_frame);
    (has_stack && (is_timed || has_thread)) || (is_timed && has_thread && has_event)
}

/// Whether there are stacks, a function in each line, with a number below each.
fn is_dtrace(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.contains('`'));
    let first =
        lines.by_ref().take_while(|line| line.contains('`') || line.starts_with("0x")).count();
    // The line that ended these was taken, too.
    let rest = text.lines().map(str::trim).skip_while(|line| !line.contains('`')).nth(first);
    first > 0 && rest.is_some_and(|line| line.parse::<u64>().is_ok())
}

/// Lines that may come before stacks: messages of the tools that wrote them.
const MAX_FIRST_LINES: usize = 16;

/// Whether these are lines of text that end in a number. `size` is that of all of it.
fn is_folded(text: &str, size: u64) -> bool {
    // A line that is longer than what is looked at ends elsewhere.
    if !text.contains('\n') && size >= HEAD && text.contains(';') {
        return true;
    }
    let has_count =
        |line: &str| last_number(line).is_some_and(|(_, number)| number.parse::<f64>().is_ok());
    let mut lines = text.lines().filter(|line| !is_no_stack(line));
    match lines.next() {
        None => false,
        Some(first) if has_count(first) => {
            first.contains(';') || first.split_whitespace().count() == 2
        }
        // Not a stack: what follows must be stacks beyond doubt.
        Some(_) => lines.take(MAX_FIRST_LINES).any(|line| line.contains(';') && has_count(line)),
    }
}

/// Whether a line says nothing.
pub fn is_no_stack(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Splits the number off that is the last word of a text with several.
pub fn last_number(text: &str) -> Option<(&str, &str)> {
    let (before, number) = text.trim_end().rsplit_once([' ', '\t'])?;
    let before = before.trim_end();
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && number.parse::<f64>().is_ok();
    (is_number && !before.is_empty()).then_some((before, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_folded_stacks() {
        for (head, expected) in [
            ("a;b 3\n", true),
            ("# made by me\n\na 1", true),
            ("Ignored 2 lines with invalid format\na;b 3\n", true),
            ("a;b 1e3\na;c\n", true),
            ("hello world\n", false),
            ("Python 3.11.2\n", false),
            ("any text that ends in a number: 12\n", false),
            ("", false),
            ("a;b 3\0\n", false),
        ] {
            let folded = Some(Recognized::Readable(InputFormat::Folded));
            assert_eq!(recognize(head.as_bytes()) == folded, expected, "{head:?}");
        }
    }

    #[test]
    fn what_begins_like_a_log_of_calls() {
        let ltrace = "7 1.5 puts(\"a\") = 2 <0.1>\n7 1.6 +++ exited (status 0) +++\n";
        for (head, is_of_ltrace, is_of_strace) in [
            (ltrace, true, false),
            ("strlen(\"a\") = 1\nread(3, \"\", 9) = 0\nfree(0x5) = <void>\n", true, false),
            ("[pid 7] SYS_read(3, 0x5, 9) = 0 <0.1>\n", true, false),
            (
                "7 qsort(0x5, 3, 8, 0x6 <unfinished ...>\n7   strcmp(\"a\", \"b\") = -1\n",
                true,
                false,
            ),
            ("close(3) = 0\n+++ exited with 0 +++\n", false, true),
            ("[pid     7] close(3) = 0\n", false, true),
            ("7 1.5 read(3,  <unfinished ...>\n", false, true),
            ("hello(world) said = nothing\nand more\n", false, false),
            ("hello\n", false, false),
            ("", false, false),
        ] {
            let found = recognize(head.as_bytes());
            let is = |format| found == Some(Recognized::Readable(format));
            let expected = (is_of_ltrace, is_of_strace);
            assert_eq!((is(InputFormat::Ltrace), is(InputFormat::Strace)), expected, "{head:?}");
        }
    }

    #[test]
    fn what_begins_like_perf_script() {
        for (head, expected) in [
            ("app 10 [000] 1.5: cpu-clock:\n\t55 f (/a)\n", true),
            ("# cmdline\n\na b 9/10 1.5:  77 cycles:ppp: \n\t55 f\n", true),
            ("app 10 77 cycles:\n\t55 f\n", true),
            ("  dd 10 1.5: 7 cycles:  55 f (/a)\n", true),
            ("dd 10 [001] d.h. 1.5: sched:sched_switch: prev=1\n", true),
            ("app 10 77 cycles:\n", false),
            ("hello 1.5: world\n", false),
            ("Note 10: see below\n  abc\n", false),
        ] {
            assert_eq!(is_perf_script(head), expected, "{head:?}");
        }
    }

    #[test]
    fn what_begins_like_a_protobuf_of_pprof() {
        for (head, expected) in [
            (&[0x0a, 4, 8, 1, 16, 2][..], true),
            // As Go writes it: the time first.
            (&[0x48, 0xd0, 0x1e, 0x0a, 4, 8, 1, 16, 2, 0x5a, 4, 8], true),
            (&[0x0a, 4, 8, 1, 24, 2], false),
            (&[0x48, 0xd0, 0x1e], false),
            (b"Hello, world", false),
            (b"", false),
        ] {
            assert_eq!(is_pprof(head), expected, "{head:x?}");
        }
    }

    #[test]
    fn numbers_at_the_end_of_lines() {
        let number = |line| last_number(line).map(|(_, number)| number);
        assert_eq!(number("a;operator new 3\r\n"), Some("3"));
        assert_eq!(number("a 1e3"), Some("1e3"));
        assert_eq!(number("a 2.5"), Some("2.5"));
        for line in ["a -3", "a e3", "a 1.2.3", "3", "a 1e", "a"] {
            assert_eq!(number(line), None, "{line}");
        }
    }
}
