//! Single allocations, in their order.

use std::io::BufRead;

use super::Contents;
use super::bytes::{Bytes, Stop};
use super::heap::{Site, Way};

/// Addresses that are said by their position among the latest, and what says that it is none.
const RECENT: usize = 15;
/// Functions that a thread is in, at most.
const MAX_DEPTH: usize = 1 << 20;

/// What a record's first byte says besides its kind.
const IS_CREATED: u8 = 1;

/// What differences are to.
#[derive(Default)]
struct Addresses {
    recent: [u64; RECENT],
    last: u64,
}

impl Addresses {
    /// The address at a position among the latest, or the one that is said here.
    fn read(&mut self, position: u8, bytes: &mut Bytes<impl BufRead>) -> Result<u64, Stop> {
        if let Some(address) = self.recent.get(usize::from(position)) {
            return Ok(*address);
        }
        let address = bytes.delta(&mut self.last)? << 3;
        self.recent.rotate_right(1);
        self.recent[0] = address;
        Ok(address)
    }
}

/// Reads all records up to the end that the recorder has written.
pub(super) fn read(
    bytes: &mut Bytes<impl BufRead>,
    has_native: bool,
    contents: &mut Contents,
) -> Result<(), Stop> {
    let mut addresses = Addresses::default();
    loop {
        match bytes.u8()? {
            // A file grows by zeros, which records take the place of.
            0 => return Err(Stop::Cut),
            1 => return Ok(()),
            // How much memory the process had, and when.
            2 => {
                bytes.varint()?;
                bytes.varint()?;
            }
            pops @ 16..=31 => {
                let thread = contents.thread()?.1;
                let count = usize::from(pops & 0xf) + 1;
                let left = thread.stacks.len().checked_sub(count);
                thread.stacks.truncate(left.ok_or(Stop::Wrong("no function is left to end"))?);
            }
            object @ 32..=63 => {
                addresses.read(object >> 1 & 0xf, bytes)?;
                if has_native && object & IS_CREATED != 0 {
                    bytes.signed()?;
                }
            }
            64..=127 => begin(bytes, contents)?,
            allocation @ 128..=255 => {
                let address = addresses.read(allocation >> 3 & 0xf, bytes)?;
                let allocator = match allocation & 7 {
                    0 => bytes.u8()?,
                    common => common,
                };
                allocate(allocator, address, bytes, has_native, contents)?;
            }
            kind @ 3..=15 => contents.read_common(kind, bytes)?,
        }
    }
}

/// A function begins.
fn begin(bytes: &mut Bytes<impl BufRead>, contents: &mut Contents) -> Result<(), Stop> {
    let place = contents.stacks.read_place(bytes)?;
    let caller = contents.thread()?.1.stacks.last().copied().unwrap_or(0);
    let stack = contents.stacks.called(place, caller)?;
    let stacks = &mut contents.thread()?.1.stacks;
    stacks.push(stack);
    if stacks.len() > MAX_DEPTH { Err(Stop::Wrong("a stack is too deep")) } else { Ok(()) }
}

/// Memory is got or given up.
fn allocate(
    allocator: u8,
    address: u64,
    bytes: &mut Bytes<impl BufRead>,
    has_native: bool,
    contents: &mut Contents,
) -> Result<(), Stop> {
    let way = Way::of(allocator)?;
    let mut size = 0;
    if way != Way::Free {
        if has_native {
            bytes.signed()?;
        }
        size = bytes.varint()?;
    }
    let (number, thread) = contents.thread()?;
    let site = Site { thread: number, stack: thread.stacks.last().copied().unwrap_or(0) };
    contents.heap.take(way, site, address, size)
}
