//! A trace that is still being written can be read as far as it is there.

use std::cell::Cell;
use std::io::{Cursor, Read, Result, Seek, SeekFrom};
use std::rc::Rc;

use rz_format::{Block, Damage, HEADER_LEN, Reader};

mod common;

/// A file of which only so many bytes are written yet.
struct Growing {
    file: Cursor<Vec<u8>>,
    written: Rc<Cell<u64>>,
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = self.written.get().saturating_sub(self.file.position());
        self.file.by_ref().take(left).read(buffer)
    }
}

impl Seek for Growing {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        match to {
            SeekFrom::End(before) => {
                self.file.seek(SeekFrom::Start(self.written.get().strict_add_signed(before)))
            }
            other => self.file.seek(other),
        }
    }
}

fn open(bytes: Vec<u8>) -> (Reader<Growing>, Rc<Cell<u64>>) {
    let written = Rc::new(Cell::new(HEADER_LEN as u64));
    let file = Growing { file: Cursor::new(bytes), written: Rc::clone(&written) };
    let mut reader = Reader::new(file).unwrap();
    reader.set_growing(true);
    (reader, written)
}

/// All blocks that are there.
fn read(reader: &mut Reader<Growing>) -> Vec<Block> {
    std::iter::from_fn(|| reader.next_block().unwrap()).collect()
}

#[test]
fn blocks_come_as_soon_as_they_are_whole() {
    let bytes = common::small_trace();
    let mut whole = Reader::new(Cursor::new(&bytes[..])).unwrap();
    let expected: Vec<Block> = std::iter::from_fn(|| whole.next_block().unwrap()).collect();
    let length = bytes.len() as u64;
    let (mut reader, written) = open(bytes);
    let mut found = Vec::new();
    for end in HEADER_LEN as u64..=length {
        written.set(end);
        found.extend(read(&mut reader));
        assert_eq!(reader.is_at_end(), end == length, "{end}");
    }
    assert_eq!(found, expected);
    assert_eq!(reader.damage(), []);
}

#[test]
fn what_is_damaged_is_skipped_once_more_is_there() {
    let mut bytes = common::small_trace();
    let (mut reader, written) = open(bytes.clone());
    written.set(bytes.len() as u64);
    let expected = read(&mut reader);
    bytes[HEADER_LEN + 60] ^= 1;
    let length = bytes.len() as u64;
    let (mut reader, written) = open(bytes);
    let mut found = Vec::new();
    for end in (HEADER_LEN as u64..length).step_by(500).chain([length]) {
        written.set(end);
        found.extend(read(&mut reader));
    }
    assert_eq!(found, expected[1..]);
    assert!(matches!(
        reader.damage(),
        [Damage::Skipped { .. }, Damage::MissingBlocks { count: 1, .. }]
    ));
}

#[test]
fn a_writer_that_is_gone_leaves_what_any_cut_off_file_has() {
    let bytes = common::small_trace();
    let half = bytes.len() as u64 / 2;
    let (mut reader, written) = open(bytes);
    written.set(half);
    let before = read(&mut reader);
    assert!(!before.is_empty() && reader.damage().is_empty() && !reader.is_at_end());
    reader.set_growing(false);
    assert_eq!(read(&mut reader), []);
    assert!(matches!(reader.damage(), [Damage::CutOff { .. }]), "{:?}", reader.damage());
    assert!(reader.is_at_end());
}
