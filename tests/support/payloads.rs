//! What blocks of a trace hold, byte by byte, whether anybody understands it or
//! not.

use std::fs::{self, File};
use std::path::Path;

use rz_format::{BLOCK_HEADER_LEN, BlockKind, MAX_PAYLOAD, rebuild_index};

/// Kind and payload of each block of the trace at `path`, decompressed.
#[track_caller]
pub fn payloads(path: &Path) -> Vec<(BlockKind, Vec<u8>)> {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let index = rebuild_index(&mut file).unwrap_or_else(|error| panic!("{error}"));
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let payload = |offset: u64, length: u32| {
        let start = offset as usize + BLOCK_HEADER_LEN;
        let stored = &bytes[start..start + length as usize];
        // The codec is the seventh byte of the header.
        match bytes[offset as usize + 6] {
            0 => stored.to_vec(),
            1 => zstd::bulk::decompress(stored, MAX_PAYLOAD).expect("a zstd frame"),
            codec => panic!("unknown codec {codec}"),
        }
    };
    index.iter().map(|entry| (entry.kind, payload(entry.offset, entry.stored_len))).collect()
}
