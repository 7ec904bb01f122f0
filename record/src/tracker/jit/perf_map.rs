//! Reads `perf-PID.map`, in which runtimes list the code that they generate.
//!
//! Each line is an address, a length, both in hexadecimal, and a name that goes
//! up to the end of the line. Of several lines for an address, the last one
//! holds, so the file is read from its end, and only until everything that is
//! wanted has a name. See `tools/perf/Documentation/jit-interface.txt` of Linux.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::{Budget, Published, published_name};

/// Bytes that are read at a time.
const CHUNK: u64 = 256 << 10;
/// Longer lines are passed over.
const MAX_LINE: usize = 64 << 10;

/// The code that holds addresses in `wanted`, in the order of the file; these
/// addresses are taken out.
pub(super) fn read(
    file: &File,
    wanted: &mut BTreeSet<u64>,
    budget: &mut Budget,
) -> io::Result<Vec<Published>> {
    let mut found = Vec::new();
    let mut end = file.metadata()?.len();
    let mut chunk = Vec::new();
    // The beginning of what was read before, up to where its first line ends.
    let mut rest: Vec<u8> = Vec::new();
    // What is behind the last line's end is not whole yet.
    let mut is_whole = false;
    while end > 0 && !wanted.is_empty() {
        budget.check()?;
        let start = end.saturating_sub(CHUNK);
        chunk.resize((end - start) as usize, 0);
        file.read_exact_at(&mut chunk, start)?;
        end = start;
        let mut lines = chunk.rsplit(|byte| *byte == b'\n');
        // The last piece is continued by what was read before.
        let mut piece = lines.next().unwrap_or_default();
        for next in lines {
            if is_whole && rest.is_empty() {
                take(piece, wanted, &mut found, budget);
            } else if is_whole {
                take(&[piece, &rest].concat(), wanted, &mut found, budget);
            }
            is_whole = true;
            rest.clear();
            piece = next;
        }
        if rest.len() + piece.len() > MAX_LINE {
            (rest, is_whole) = (Vec::new(), false);
        } else {
            rest = [piece, &rest].concat();
        }
    }
    if is_whole && end == 0 {
        take(&rest, wanted, &mut found, budget);
    }
    found.reverse();
    Ok(found)
}

/// Takes a line's code, if it is wanted.
fn take(line: &[u8], wanted: &mut BTreeSet<u64>, found: &mut Vec<Published>, budget: &mut Budget) {
    let Some((start, length, name)) = split_line(line) else { return };
    let range = start..start.saturating_add(length);
    let mut is_wanted = false;
    while let Some(&address) = wanted.range(range.clone()).next() {
        wanted.remove(&address);
        is_wanted = true;
    }
    if is_wanted && budget.admit(name.len()) {
        let name = published_name(name);
        found.push(Published { start, length, from_ns: 0, name, lines: Vec::new() });
    }
}

/// Splits `7f00c0de 1a8 name`. Java writes numbers with `0x` in front.
fn split_line(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let line = line.trim_ascii();
    let mut fields = line.splitn(3, |byte| *byte == b' ');
    let mut number = || hexadecimal(fields.next()?);
    let (start, length) = (number()?, number()?);
    let name = fields.next()?.trim_ascii();
    (length > 0 && !name.is_empty()).then_some((start, length, name))
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    u64::from_str_radix(digits.strip_prefix("0x").unwrap_or(digits), 16).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What is found for addresses, and which of these are left.
    #[track_caller]
    fn check(text: &[u8], wanted: &[u64], expected: &str, left: &[u64]) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let mut wanted = wanted.iter().copied().collect();
        let found = read(&file, &mut wanted, &mut Budget::for_tests()).unwrap();
        let shown = |code: &Published| format!("{:x}+{:x} {}", code.start, code.length, code.name);
        assert_eq!(found.iter().map(shown).collect::<Vec<_>>().join("; "), expected);
        assert_eq!(wanted.into_iter().collect::<Vec<_>>(), left);
    }

    #[test]
    fn the_last_line_for_an_address_holds() {
        let text = b"1000 10 old\n2000 20 JS:*f /a b.js:1:2\n1000 8 new\n3000 10 unused\n";
        check(text, &[0x1000, 0x2010], "2000+20 JS:*f /a b.js:1:2; 1000+8 new", &[]);
        check(text, &[0x1008, 0x1004], "1000+10 old; 1000+8 new", &[]);
        check(text, &[0xfff, 0x2020], "", &[0xfff, 0x2020]);
    }

    #[test]
    fn lines_that_make_no_sense() {
        let text = b"\n1000\n1000 10\n1000 zz f\n-1 10 f\n1000 0 f\n 1000 10  f \r\n\n2000 10 g";
        // The last line may be in the middle of being written.
        check(text, &[0x1000, 0x2000], "1000+10 f", &[0x2000]);
        check(b"0x00001000 0x10 void a.B.c(int)\n", &[0x1001], "1000+10 void a.B.c(int)", &[]);
        check(b"fffffffffffffff0 ff \xff\n", &[u64::MAX - 1], "fffffffffffffff0+ff \u{fffd}", &[]);
        check(b"", &[1], "", &[1]);
        check(b"1 1 f", &[1], "", &[1]);
    }

    #[test]
    fn lines_across_chunks() {
        let line = |at: u64| format!("{:x} 10 function_{at}\n", at << 4);
        let text: String = (1..40_000).map(line).collect();
        assert!(text.len() as u64 > 3 * CHUNK);
        let all: BTreeSet<u64> = (1..40_000).map(|at| at << 4).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut wanted = all.clone();
        let found = read(&file, &mut wanted, &mut Budget::for_tests()).unwrap();
        assert!(wanted.is_empty());
        assert!(found.iter().map(|code| code.start).eq(all));
        assert_eq!(found[9].name, "function_10");

        // A line that is longer than any should be costs nothing but itself.
        let long = format!("10 10 {}\n20 10 g\n", "x".repeat(3 * CHUNK as usize));
        check(long.as_bytes(), &[0x10, 0x20], "20+10 g", &[0x10]);
        let long = format!("20 10 g\n10 10 {}\n20 10 h\n", "x".repeat(CHUNK as usize));
        check(long.as_bytes(), &[0x10, 0x20], "20+10 h", &[0x10]);
        let long = format!("30 10 g\n10 10 {}\n20 10 h\n", "x".repeat(CHUNK as usize));
        check(long.as_bytes(), &[0x10, 0x20, 0x30], "30+10 g; 20+10 h", &[0x10]);
    }

    #[test]
    fn fuzz_perf_map() {
        let text = b"1000 10 old\n2000 20 JS:*f /a b.js:1:2\n0x1000 0x8 new\n3000 10 unused\n";
        rz_fuzz::fuzz("perf map", &[text.to_vec()], |text| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text).unwrap();
            let mut wanted = [0x1000, 0x2010, 0x3000].into_iter().collect();
            drop(read(&file, &mut wanted, &mut Budget::for_tests()));
        });
    }
}
