//! What no trace is made of: what it is, and what to do with it.

use rz_format::MAGIC;

use super::detect::MEMRAY;

/// What binary files begin with.
const BINARIES: [(&[u8], &str); 15] = [
    (&MAGIC, "a trace of rz that is packed: unpack it with gunzip, unzstd or unzip"),
    (b"PK\x03\x04", "a zip archive within others: unpack it, and give what is in it"),
    (b"PK\x05\x06", "a zip archive of no file"),
    (b"BZh", "compressed by bzip2: unpack it with bunzip2"),
    (b"\xfd7zXZ\0", "compressed by xz: unpack it with unxz"),
    (b"\x7fELF", "a program or library, and no recording of one"),
    (b"%!PS", "PostScript: give the profile that it was drawn from"),
    (b"gmon", "gmon.out of gprof, which has no stacks: record with perf record -g"),
    (b"Nettrace", "a trace of .NET: dotnet-trace convert --format Speedscope makes JSON of it"),
    (b"JAVA PROFILE 1.0", "a heap dump of Java, which has no stacks: record with jcmd JFR.start"),
    (b"\x17\x08Dtracing", "trace.dat of trace-cmd: record with perf record -e instead"),
    (b"SQLite format 3\0", "a database of SQLite: export the profile from the tool that made it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it, and give what is in it"),
    (b"\x89PNG", "a picture: give the profile that it was drawn from"),
    (b"Rar!", "a rar archive: unpack it, and give what is in it"),
];

/// What there is of versions that are not read.
const MEMRAY_AS_JSON: &str = "only versions 12 and 13 are read (memray 1.19 and 1.20): of another \
                              one, the memray that wrote it makes a file that can be read, by \
                              memray transform speedscope -o FILE.json, with --leaks of leaks";

/// What texts begin with, what is near that, and what they are.
const TEXTS: [(&str, &str, &str); 14] = [
    ("v8-version,", "", "a log of node --prof: node --prof-process --preprocess makes JSON of it"),
    ("<", "<svg", "a picture: give the profile that it was drawn from"),
    ("<", "<html", "a web page: give the profile that it shows"),
    ("<!DOCTYPE html", "", "a web page: give the profile that it shows"),
    ("<!doctype html", "", "a web page: give the profile that it shows"),
    (
        "{\"snapshot\":{\"meta\":",
        "",
        "a heap snapshot of V8, which has no stacks: node --heap-prof writes a .heapprofile",
    ),
    (
        "{",
        "\"root_frame\"",
        "JSON of pyinstrument: pyinstrument -r speedscope writes JSON that can be read",
    ),
    (
        "desc:",
        "mem_heap_B=",
        "massif.out of Valgrind: --tool=memcheck --xtree-memory=full writes what can be read",
    ),
    (
        "% time",
        "usecs/call",
        "a summary of strace or ltrace, which has no single calls: record without -c",
    ),
    ("@[", "]: ", BPFTRACE),
    ("Attaching ", "@[", BPFTRACE),
    ("#", "# Overhead", "a report of perf: give perf.data, or the text of perf script"),
    ("Flat profile:", "", "a report of gprof, which has no stacks: record with perf record -g"),
    ("File: ", "Showing nodes accounting for", "a report of pprof: give the profile"),
];
const BPFTRACE: &str = "text of bpftrace: stackcollapse-bpftrace.pl makes folded stacks of it";

pub(super) fn binary(head: &[u8]) -> Option<String> {
    if let Some(behind) = head.strip_prefix(MEMRAY) {
        let version = behind.first_chunk().map_or(0, |version| u32::from_le_bytes(*version));
        return Some(format!("a recording of memray, version {version}: {MEMRAY_AS_JSON}"));
    }
    let what = if let Some((_, what)) = BINARIES.iter().find(|(magic, _)| head.starts_with(magic)) {
        what
    } else if head.get(257..262) == Some(b"ustar") {
        "an archive of tar: unpack it, and give what is in it"
    } else if is_perfetto(head) {
        "a trace of Perfetto: traceconv json makes trace events of it, which can be read"
    } else {
        return None;
    };
    Some(what.to_owned())
}

pub(super) fn text(text: &str) -> Option<String> {
    let is = |(beginning, part, _): &&(&str, &str, &str)| {
        text.starts_with(beginning) && text.contains(part)
    };
    TEXTS.iter().find(is).map(|(_, _, what)| (*what).to_owned())
}

/// Whether these are packets of Perfetto: nothing but a field of bytes, number 1, each of
/// which begins with a field that packets have. Text has no such bytes.
fn is_perfetto(mut head: &[u8]) -> bool {
    let mut packets = 0;
    if head.iter().all(|byte| *byte >= b'\t') {
        return false;
    }
    while let [0x0a, rest @ ..] = head {
        let Some((length, rest)) = varint(rest) else { return false };
        // Numbers of 1 byte or 2, of any type but those that are gone.
        let is_field =
            matches!(rest, [key, ..] if *key >= 0x08 && !matches!(key & 7, 3 | 4 | 6 | 7));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((_, behind)) = rest.split_at_checked(length).filter(|_| is_field) else { break };
        packets += 1;
        head = behind;
    }
    packets > 1 && (head.is_empty() || head[0] == 0x0a)
}

/// A number as protobuf writes it, and what is behind it.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at(length);
    let value = number.iter().rev().fold(0_u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use crate::foreign::Recognized;

    #[test]
    fn what_is_named_and_not_read() {
        let mut tar = vec![b'a'; 257];
        tar.extend(b"ustar\0");
        for (head, named) in [
            (&b"\x89RZ1\r\n\x1a\n"[..], "a trace of rz that is packed"),
            (b"memray\0\x0b\0\0\0", "a recording of memray, version 11"),
            (b"memray\0", "a recording of memray, version 0"),
            (b"gmon\x01", "gmon.out"),
            (b"\x0a\x03\x50\x01\x08\x0a\x02\x40\x07", "a trace of Perfetto"),
            (&tar, "an archive of tar"),
            (b"<?xml version=\"1.0\"?>\n<svg width=\"7\">", "a picture"),
            (b"<!DOCTYPE html>\n<title>", "a web page"),
            (b"v8-version,10,2\n", "a log of node --prof"),
            (b"{\"snapshot\":{\"meta\":{\"node_fields\"", "a heap snapshot"),
            (
                b"% time     seconds  usecs/call     calls    errors syscall\n",
                "a summary of strace",
            ),
            (b"Attaching 1 probe...\n@[\n    f+3\n    main+5\n]: 12\n", "text of bpftrace"),
        ] {
            let found = Recognized::of_head(head);
            let Some(Recognized::Unreadable(what)) = found else { panic!("{named}: {found:?}") };
            assert!(what.starts_with(named), "{what}");
        }
    }
}
