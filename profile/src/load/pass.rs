//! Goes through a trace once: blocks are decoded several at a time, ahead of who
//! takes them in their order.

use std::io::{Read, Seek};

use rayon::prelude::*;
use rz_format::{BlockHeader, Damage, FormatError, Reader, StoredBlock};

/// Blocks that are decoded at a time, for each thread that there is.
const BLOCKS_PER_THREAD: usize = 2;
/// Bytes of them, before rows are made of these, which take several times that.
const MAX_BYTES: usize = 4 << 20;

/// Hands the blocks that are `wanted` to `take`, in the order of the file. What
/// is damaged is left out, and is in the reader's list.
pub(super) fn each_block<T: Send>(
    reader: &mut Reader<impl Read + Seek>,
    wanted: impl Fn(&BlockHeader) -> bool,
    decode: impl Fn(StoredBlock) -> Result<T, Damage> + Sync + Send,
    mut take: impl FnMut(T) + Send,
) -> Result<(), FormatError> {
    let mut decoded: Vec<T> = Vec::new();
    loop {
        let stored = read_some(reader, &wanted)?;
        if stored.is_empty() && decoded.is_empty() {
            return Ok(());
        }
        let (next, ()) = rayon::join(
            || stored.into_par_iter().map(&decode).collect::<Vec<_>>(),
            || decoded.drain(..).for_each(&mut take),
        );
        for block in next {
            match block {
                Ok(block) => decoded.push(block),
                Err(damage) => reader.add_damage(damage),
            }
        }
    }
}

fn read_some(
    reader: &mut Reader<impl Read + Seek>,
    wanted: impl Fn(&BlockHeader) -> bool,
) -> Result<Vec<StoredBlock>, FormatError> {
    let mut blocks = Vec::new();
    let mut bytes = 0;
    while blocks.len() < BLOCKS_PER_THREAD * rayon::current_num_threads() && bytes < MAX_BYTES {
        let Some(block) = reader.next_stored_if(&wanted)? else { break };
        bytes += block.raw_len();
        blocks.push(block);
    }
    Ok(blocks)
}
