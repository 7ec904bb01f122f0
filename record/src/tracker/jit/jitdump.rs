//! Reads `jit-PID.dump`, in which runtimes record the code that they generate,
//! with the time at which they did, and the lines it is made from.
//!
//! Only descriptions are read; the code itself is passed over. See
//! `tools/perf/Documentation/jitdump-specification.txt` of Linux.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustc_hash::FxHashMap;

use super::jitdump_lines::Lines;
use super::open::Refusal;
use super::{Budget, MAX_NAME, Published, published_name};
use crate::cursor::Cursor;
use crate::tracker::procfs::Identity;

const MAGIC: u32 = 0x4a69_5444;
/// Set if times are those of the processor's clock.
const ARCH_TIMESTAMPS: u64 = 1;
const HEADER_LEN: usize = 40;
/// Kind, length and time, with which each record begins.
const PREFIX_LEN: usize = 16;
const CODE_LOAD: u32 = 0;
const CODE_MOVE: u32 = 1;
const DEBUG_INFO: u32 = 2;
/// Fields of a load before the name, and of a move.
const LOAD_LEN: usize = 40;
const MOVE_LEN: usize = 48;
/// Longest lines of one piece of code that are looked at, in bytes.
const MAX_LINES: u64 = 4 << 20;
/// Pieces of code that are followed when they move, at most.
const MAX_FOLLOWED: usize = 1 << 20;
/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;
/// How many records are read between looks at the clock.
const RECORDS_PER_LOOK: u32 = 256;

/// Why a dump is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum DumpError {
    /// It is something else.
    #[error("is not a jitdump of this machine")]
    NotADump,
    /// It belongs to another process.
    #[error("is about process {0}")]
    OfOther(u32),
    /// Times in it are not the trace's.
    #[error("has times of the processor's clock, which cannot be compared with the trace's")]
    ForeignTimes,
    /// It is one that is not looked at.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Code that was loaded, and may be moved.
#[derive(Clone)]
struct Loaded {
    length: u64,
    /// Where its name is in the file.
    name_at: u64,
    /// Where its lines are, and for which address.
    lines: Option<(Range<u64>, u64)>,
}

/// The code that held addresses in `wanted` at any time, in the order of the
/// file, and whether the file ends in the middle of a record: what is written
/// later is in the process's buffers then.
pub(super) fn read(
    file: &File,
    who: &Identity,
    pid: u32,
    wanted: &BTreeSet<u64>,
    budget: &mut Budget,
) -> Result<(Vec<Published>, bool), DumpError> {
    let mut dump = Dump { file, length: file.metadata()?.len(), buffer: Vec::new(), buffer_at: 0 };
    let header_len = check_header(&mut dump, who, pid)?;
    let mut found = Vec::new();
    let mut followed: FxHashMap<u64, Loaded> = FxHashMap::default();
    let mut lines = None;
    let (mut at, mut count) = (header_len, 0);
    // A record that is not whole is being written.
    while let Some((kind, length, time_ns)) = prefix(&mut dump, at)? {
        count += 1;
        if count % RECORDS_PER_LOOK == 0 {
            budget.check()?;
        }
        let body = at + PREFIX_LEN as u64..at + length;
        at = body.end;
        match kind {
            DEBUG_INFO => {
                let address = dump.bytes(body.start, 8)?.and_then(|bytes| Cursor(bytes).u64());
                // Those of the next piece of code that is loaded.
                lines = address.map(|address| (body, address));
            }
            CODE_LOAD => {
                let fixed = dump.bytes(body.start, LOAD_LEN)?.map(Cursor);
                let Some([_, _, start, length, index]) = fixed.and_then(|mut c| c.u64s()) else {
                    continue;
                };
                let name_at = body.start + LOAD_LEN as u64;
                let lines = lines.take().filter(|(_, address)| *address == start);
                let code = Loaded { length, name_at, lines };
                add(&mut dump, &code, start, time_ns, wanted, &mut found, budget)?;
                if followed.len() < MAX_FOLLOWED {
                    followed.insert(index, code);
                }
            }
            CODE_MOVE => {
                let fixed = dump.bytes(body.start, MOVE_LEN)?.map(Cursor);
                let Some([_, _, _, start, length, index]) = fixed.and_then(|mut c| c.u64s()) else {
                    continue;
                };
                if let Some(code) = followed.get_mut(&index) {
                    code.length = length;
                    let code = code.clone();
                    add(&mut dump, &code, start, time_ns, wanted, &mut found, budget)?;
                }
            }
            _ => {}
        }
    }
    Ok((found, at < dump.length))
}

/// Checks the header, and returns its length.
fn check_header(dump: &mut Dump<'_>, who: &Identity, pid: u32) -> Result<u64, DumpError> {
    let bytes = dump.bytes(0, HEADER_LEN)?.ok_or(DumpError::NotADump)?;
    let mut cursor = Cursor(bytes);
    let mut word = || cursor.u32().ok_or(DumpError::NotADump);
    let (magic, _version, length) = (word()?, word()?, word()?);
    let (_machine, _padding, owner) = (word()?, word()?, word()?);
    let [_time, flags] = cursor.u64s().ok_or(DumpError::NotADump)?;
    if magic != MAGIC || (length as usize) < HEADER_LEN {
        return Err(DumpError::NotADump);
    }
    if owner != who.number && owner != pid {
        return Err(DumpError::OfOther(owner));
    }
    if flags & ARCH_TIMESTAMPS != 0 {
        return Err(DumpError::ForeignTimes);
    }
    Ok(length.into())
}

/// Kind, length and time of the record at an offset, if it is whole.
fn prefix(dump: &mut Dump<'_>, at: u64) -> io::Result<Option<(u32, u64, u64)>> {
    let file_length = dump.length;
    let Some(bytes) = dump.bytes(at, PREFIX_LEN)? else { return Ok(None) };
    let mut cursor = Cursor(bytes);
    let (Some(kind), Some(length), Some(time)) = (cursor.u32(), cursor.u32(), cursor.u64()) else {
        return Ok(None);
    };
    let length = u64::from(length);
    let is_whole = length >= PREFIX_LEN as u64 && at.saturating_add(length) <= file_length;
    Ok(is_whole.then_some((kind, length, time)))
}

/// Adds code that is at `start` from a time on, if it is wanted.
fn add(
    dump: &mut Dump<'_>,
    code: &Loaded,
    start: u64,
    from_ns: u64,
    wanted: &BTreeSet<u64>,
    found: &mut Vec<Published>,
    budget: &mut Budget,
) -> io::Result<()> {
    let range = start..start.saturating_add(code.length);
    if wanted.range(range.clone()).next().is_none() {
        return Ok(());
    }
    let left = dump.length.saturating_sub(code.name_at).min(MAX_NAME as u64 + 1);
    let name = dump.bytes(code.name_at, left as usize)?.unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii().to_vec();
    if name.is_empty() || !budget.admit(name.len()) {
        return Ok(());
    }
    let name = published_name(&name);
    let lines = match &code.lines {
        Some((place, address)) if place.end - place.start <= MAX_LINES => {
            let bytes = dump.whole(place.clone())?;
            let offsets = wanted.range(range).map(|address| address - start);
            Lines::new(&bytes, *address, code.length, &name).at(offsets, budget)
        }
        _ => Vec::new(),
    };
    let length = code.length;
    found.push(Published { start, length, from_ns, name, lines });
    Ok(())
}

/// A file that is read from front to back, a chunk at a time.
struct Dump<'a> {
    file: &'a File,
    length: u64,
    buffer: Vec<u8>,
    /// Where the buffer was read from.
    buffer_at: u64,
}

impl Dump<'_> {
    /// Some bytes at an offset, no more than a chunk; `None` if there are not
    /// as many.
    fn bytes(&mut self, at: u64, count: usize) -> io::Result<Option<&[u8]>> {
        if at.checked_add(count as u64).is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let is_in = |start: u64, buffer: &[u8]| {
            let from = at.checked_sub(start).and_then(|from| usize::try_from(from).ok());
            from.filter(|from| from.saturating_add(count) <= buffer.len())
        };
        let from = match is_in(self.buffer_at, &self.buffer) {
            Some(from) => from,
            None => {
                let length = (self.length - at).min(CHUNK.max(count) as u64);
                self.buffer.resize(length as usize, 0);
                self.buffer_at = at;
                self.file.read_exact_at(&mut self.buffer, at).inspect_err(|_| {
                    self.buffer.clear();
                })?;
                0
            }
        };
        Ok(self.buffer.get(from..from + count))
    }

    /// A part of the file, which the caller has found to be short enough.
    fn whole(&self, place: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (place.end - place.start) as usize];
        self.file.read_exact_at(&mut bytes, place.start)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rz_format::GeneratedLine;

    use super::*;

    /// A dump in the making.
    struct Made(Vec<u8>);

    impl Made {
        fn new(pid: u32, flags: u64) -> Self {
            let words = [MAGIC, 1, 40, 62, 0, pid];
            let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            bytes.extend([7u64, flags].iter().flat_map(|word| word.to_le_bytes()));
            Made(bytes)
        }

        fn record(mut self, kind: u32, time: u64, words: &[u64], rest: &[u8]) -> Self {
            let length = (PREFIX_LEN + words.len() * 8 + rest.len()) as u32;
            self.0.extend(kind.to_le_bytes());
            self.0.extend(length.to_le_bytes());
            self.0.extend(time.to_le_bytes());
            self.0.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            self.0.extend(rest);
            self
        }

        fn load(self, time: u64, start: u64, length: u64, index: u64, name: &str) -> Self {
            let code = vec![0xcc; length as usize];
            let rest = [name.as_bytes(), b"\0", &code].concat();
            self.record(CODE_LOAD, time, &[0, start, start, length, index], &rest)
        }

        /// Lines with their addresses.
        fn lines(self, start: u64, lines: &[(u64, u32, u32, &[u8])]) -> Self {
            let mut rest = Vec::new();
            for (address, line, column, file) in lines {
                rest.extend(address.to_le_bytes());
                rest.extend(line.to_le_bytes());
                rest.extend(column.to_le_bytes());
                rest.extend(*file);
                rest.push(0);
            }
            self.record(DEBUG_INFO, 0, &[start, lines.len() as u64], &rest)
        }

        fn read(&self, wanted: &[u64]) -> Result<(Vec<Published>, bool), DumpError> {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&self.0).unwrap();
            let who = Identity { number: 9, uids: Vec::new() };
            let wanted = wanted.iter().copied().collect();
            read(&file, &who, 4711, &wanted, &mut Budget::for_tests())
        }

        #[track_caller]
        fn check(&self, wanted: &[u64], expected: &[&str]) {
            let line = |line: &GeneratedLine| {
                let GeneratedLine { offset, file, line, column } = line;
                format!(" {offset:x}={file}:{line}:{column}")
            };
            let shown = |code: &Published| {
                let Published { start, length, from_ns, name, lines } = code;
                let lines: String = lines.iter().map(line).collect();
                format!("{from_ns}: {start:x}+{length:x} {name}{lines}")
            };
            let (found, _) = self.read(wanted).unwrap();
            assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn code_with_times() {
        let dump = Made::new(9, 0)
            .load(50, 0x1000, 0x20, 1, "first")
            .load(60, 0x2000, 0x20, 2, "other")
            .record(77, 0, &[1, 2, 3], &[])
            .load(70, 0x1010, 0x20, 3, "second");
        dump.check(&[0x1010], &["50: 1000+20 first", "70: 1010+20 second"]);
        dump.check(&[0x100f, 0x1030], &["50: 1000+20 first"]);
        dump.check(&[], &[]);
    }

    #[test]
    fn code_that_moves() {
        let moved = [0, 0x5000, 0x1000, 0x5000, 0x20, 1];
        let unknown = [0, 0x5000, 0x1000, 0x5000, 0x20, 2];
        let dump = Made::new(4711, 0)
            .lines(0x1000, &[(0x1000, 3, 5, b"a.c")])
            .load(50, 0x1000, 0x20, 1, "f")
            .record(CODE_MOVE, 60, &moved, &[])
            .record(CODE_MOVE, 70, &unknown, &[]);
        dump.check(&[0x5008], &["60: 5000+20 f 0=a.c:3:5"]);
        let both = ["50: 1000+20 f 0=a.c:3:5", "60: 5000+20 f 0=a.c:3:5"];
        dump.check(&[0x1008, 0x5008], &both);
    }

    #[test]
    fn lines_of_what_is_wanted() {
        let lines: [(u64, u32, u32, &[u8]); 2] = [(0x1004, 1, 9, b"a.c"), (0x1008, 2, 0, b"\xff")];
        let dump = Made::new(9, 0).lines(0x1000, &lines).load(5, 0x1000, 0x20, 1, "f");
        dump.check(&[0x1000], &["5: 1000+20 f"]);
        dump.check(&[0x1004, 0x1009, 0x100b], &["5: 1000+20 f 4=a.c:1:9 8=a.c:2:0"]);
        // Lines of something else.
        let dump = Made::new(9, 0).lines(0x2000, &lines).load(5, 0x1000, 0x20, 1, "f");
        dump.check(&[0x1009], &["5: 1000+20 f"]);
    }

    #[test]
    fn dumps_that_are_of_no_use() {
        let check = |dump: Made, expected: &str| {
            assert_eq!(dump.read(&[1]).unwrap_err().to_string(), expected);
        };
        let other = "is not a jitdump of this machine";
        check(Made(Vec::new()), other);
        check(Made(b"7f00 10 f\n".repeat(9)), other);
        check(Made::new(3, 0), "is about process 3");
        let times = "has times of the processor's clock, which cannot be compared with the trace's";
        check(Made::new(9, ARCH_TIMESTAMPS), times);
    }

    #[test]
    fn whatever_a_dump_holds() {
        let whole = Made::new(9, 0)
            .lines(0x1000, &[(0x1000, 1, 1, b"a.c"), (0x1004, 2, 1, b"b.c")])
            .load(5, 0x1000, 0x20, 1, "f");
        let second = HEADER_LEN + PREFIX_LEN + 16 + 2 * 20;
        for length in HEADER_LEN..whole.0.len() {
            let (found, is_cut) = Made(whole.0[..length].to_vec()).read(&[0x1000]).unwrap();
            assert!(found.is_empty());
            assert_eq!(is_cut, ![HEADER_LEN, second].contains(&length), "{length}");
        }
        for at in HEADER_LEN..whole.0.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.0.clone();
                bytes[at] = value;
                assert!(Made(bytes).read(&[0x1000, u64::MAX]).unwrap().0.len() < 2);
            }
        }
        // No progress, no end.
        let mut endless = Made::new(9, 0);
        endless.0.extend([0; 64]);
        endless.check(&[0], &[]);
        let huge = [0, 0, u64::MAX, u64::MAX, u64::MAX];
        Made::new(9, 0).record(CODE_LOAD, 1, &huge, b"f\0").check(&[u64::MAX], &[]);
    }

    #[test]
    fn fuzz_jitdump() {
        let lines = [(0x1000, 7, 1, &b"a.js"[..]), (0x1008, 8, 2, b"b.js")];
        let one = Made::new(9, 0).lines(0x1000, &lines).load(50, 0x1000, 0x20, 1, "first");
        let moved = [0, 0x5000, 0x1000, 0x5000, 0x20, 1];
        let other =
            Made::new(9, 1).load(60, 0x1000, 0x20, 1, "x").record(CODE_MOVE, 70, &moved, &[]);
        rz_fuzz::fuzz("jitdump", &[one.0, other.0], |dump| {
            drop(Made(dump.to_vec()).read(&[0x1000, 0x1008, 0x5004]));
        });
    }
}
