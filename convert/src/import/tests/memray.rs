//! Recordings of memray, made by hand.

use std::io::Write;

use lz4_flex::frame::FrameEncoder;
use rz_profile::model::EventKind;

use super::named::check_bytes;
use super::{imported, loaded, loaded_trace, refused, written};
use crate::export::{ExportOptions, Format};

/// What a recording begins with that was made by Python 3.11.
fn header(version: u32, has_native: bool, is_aggregated: bool) -> Vec<u8> {
    let mut file = b"memray\0".to_vec();
    file.extend([version, 0x030b_07f0].map(u32::to_le_bytes).concat());
    file.extend([u8::from(has_native), u8::from(is_aggregated)]);
    file.extend([9_u64, 9, 1_700_000_000_000, 1_700_000_000_250].map(u64::to_le_bytes).concat());
    file.extend(b"memray run -o /x.bin /my/app.py 3\0");
    file.extend(7_u32.to_le_bytes());
    // The main thread, and a frame of memray's own in it.
    file.extend([0xa0_u64, 1].map(u64::to_le_bytes).concat());
    file.extend([1, 0, 0]);
    if version >= 13 {
        file.extend(b"/lib\0/site\0\0/a\0/b\0\0");
    }
    file
}

/// Functions 1 to 3: `run` of memray, `main` from line 3 on, and `leaf` from line 13 on, of
/// which each instruction is a line.
fn functions() -> Vec<u8> {
    let function = |id: u8, name: &str, step: u8| {
        let lines = [0xe8, 2].repeat(4);
        [&[14, id][..], name.as_bytes(), b"\0/a.py\0", &[step, 8], &lines].concat()
    };
    [function(1, "run", 4), function(2, "main", 2), function(3, "leaf", 20)].concat()
}

fn switch(thread: u64) -> Vec<u8> {
    [&[12], &thread.to_le_bytes()[..]].concat()
}

/// A position in a function, in bytes, below 64.
fn push(function: u8, position: u8) -> [u8; 3] {
    [64, function, position * 2]
}

const POP: u8 = 16;

/// Something is allocated, behind the last address by 8 times so much; sizes are below 128.
fn malloc(step: u8, size: u8) -> [u8; 3] {
    [0x80 | 15 << 3 | 6, step * 2, size]
}

/// What was allocated so many addresses ago is freed.
fn free(ago: u8) -> [u8; 1] {
    [0x80 | ago << 3 | 5]
}

/// Something is mapped or unmapped, a page behind the last address, of so many pages.
fn map(allocator: u8, pages: u64) -> Vec<u8> {
    let step = (4096 >> 3) << 1;
    [&[0x80 | 15 << 3][..], &varint(step), &[allocator], &varint(pages * 4096)].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Two threads: a peak of 100 + 50 + 20 bytes, of which 50 stay, and 10 come later.
pub(super) fn single(version: u32) -> Vec<u8> {
    let records = [
        &functions()[..],
        &[6, 7],
        b"/lib.so\0\x01\0\0\0\0\0\0\0\0",
        &[8, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 1, 1],
        &switch(0xa0),
        &push(1, 0),
        &push(2, 2),
        &malloc(1, 100),
        &push(3, 6),
        &malloc(1, 50),
        &switch(0xb0),
        b"\x0aworker\0",
        &push(3, 0),
        &malloc(1, 20),
        &free(2),
        &free(0),
        &[33 | 15 << 1, 2],
        &switch(0xa0),
        &[POP],
        &malloc(1, 10),
        &[POP + 1, 1],
    ];
    [&header(version, false, false)[..], &records.concat()].concat()
}

/// The same, as it is with `--aggregate`.
pub(super) fn sums() -> Vec<u8> {
    let place = |id: u8, function: u8, position: u8| [4, id, function, position * 2, 1];
    let sum = |thread: u64, stack: u64, amounts: [u64; 4]| {
        let [objects_at_peak, objects, bytes_at_peak, bytes] = amounts;
        let numbers = [thread, 6, 0, stack, 0, objects_at_peak, objects, bytes_at_peak, bytes];
        [&[2], &numbers.map(u64::to_le_bytes).concat()[..]].concat()
    };
    let records = [
        &[1][..],
        &[0; 24],
        &switch(0xb0),
        b"\x0aworker\0",
        &functions(),
        &place(0, 1, 0),
        &place(1, 2, 2),
        &place(2, 3, 6),
        &place(3, 3, 0),
        &[3, 0, 0, 3, 1, 1, 3, 2, 2, 3, 3, 0],
        &[13, 5],
        &sum(0xa0, 2, [1, 1, 100, 10]),
        &sum(0xa0, 3, [1, 1, 50, 50]),
        &sum(0xb0, 4, [1, 0, 20, 0]),
        &[15],
    ];
    [&header(13, false, true)[..], &records.concat()].concat()
}

const STACKS: &str = "app.py;leaf 20\napp.py;main 100\napp.py;main;leaf 50\n";

fn told(more: &[(&'static str, EventKind, u64)]) -> Vec<(&'static str, EventKind, u64)> {
    let both = [("peak_space", 170), ("leaked_space", 60), ("peak_objects", 3)];
    let both = both.map(|(name, sum)| (name, EventKind::Other, sum));
    [&both[..], &[("leaked_objects", EventKind::Other, 2)], more].concat()
}

#[test]
fn single_allocations() {
    let events = told(&[
        ("alloc_space", EventKind::Other, 180),
        ("alloc_objects", EventKind::Other, 4),
        ("temporary_objects", EventKind::Other, 1),
    ]);
    for version in [12, 13] {
        check_bytes(&single(version), &events, STACKS);
    }
    let mut packed = FrameEncoder::new(Vec::new());
    packed.write_all(&single(13)).unwrap();
    check_bytes(&packed.finish().unwrap(), &events, STACKS);
    let profile = loaded(&single(13));
    let options = ExportOptions { event: Some(0), ..ExportOptions::default() };
    let lcov = written(&profile, Format::Lcov, &options);
    let lcov = String::from_utf8(lcov).unwrap();
    let lines: Vec<&str> = lcov.lines().filter(|line| line.starts_with("DA:")).collect();
    assert_eq!(lines, ["DA:5,2", "DA:14,1", "DA:17,1"], "{lcov}");
}

#[test]
fn sums_of_allocations() {
    check_bytes(&sums(), &told(&[]), STACKS);
}

/// Part of a map is unmapped, in its middle: two are left, of 3 of its 4 pages.
#[test]
fn maps() {
    let records =
        [&functions()[..], &switch(0xa0), &push(1, 0), &push(2, 2), &map(14, 4), &map(15, 1), &[1]];
    let file = [&header(13, false, false)[..], &records.concat()].concat();
    let profile = loaded(&file);
    let sums: Vec<u64> = (0..6).map(|event| profile.total_weight(event)).collect();
    assert_eq!(sums, [0x4000, 0x3000, 1, 2, 0x4000, 1]);
}

#[test]
fn recordings_that_end_early() {
    let whole = single(13);
    // As of a program that was killed.
    let killed = [&whole[..whole.len() - 1], &[0; 99]].concat();
    let (said, trace) = imported(&killed).unwrap();
    assert!(said.notes[0].ends_with("its end is missing: what is before that is read"));
    let trace = loaded_trace(&trace);
    assert_eq!(trace.total_weight(0), 170);
    let (said, _) = imported(&[&whole[..whole.len() - 1], &[11]].concat()).unwrap();
    assert!(said.notes[0].contains("a record of no known kind"), "{:?}", said.notes);
    let beginning = header(13, false, false);
    for (records, why) in [
        (&[][..], "its end is missing"),
        (&push(1, 0)[..], "no thread is named yet"),
        (&[&switch(1)[..], &[POP]].concat(), "no function is left to end"),
        (&[&switch(1)[..], &[0x80, 16, 1]].concat(), "an allocator that is not known"),
        (&[7, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9], "fewer maps"),
    ] {
        let said = refused(&[&beginning[..], records].concat());
        assert!(said.starts_with("damaged recording of memray: byte "), "{said}");
        assert!(said.contains(why), "{said}");
    }
    let said = refused(&[&header(13, false, true)[..], &[3, 5, 0]].concat());
    assert!(said.contains("a place is not known"), "{said}");
}

#[test]
fn other_versions() {
    let said = refused(b"memray\0\x0b\0\0\0");
    assert!(said.contains("version 11: only versions 12 and 13"), "{said}");
    assert!(said.contains("memray transform speedscope"), "{said}");
}
