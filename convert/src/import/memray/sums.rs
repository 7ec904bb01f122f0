//! Sums of allocations by stack, as `memray run --aggregate` writes them.

use std::io::BufRead;

use super::Contents;
use super::bytes::{Bytes, Stop};
use super::heap::{Amount, Site};

/// Reads all records up to the end that the recorder has written.
pub(super) fn read(
    bytes: &mut Bytes<impl BufRead>,
    has_native: bool,
    contents: &mut Contents,
) -> Result<(), Stop> {
    // By the numbers that the recorder gave them.
    let (mut places, mut stacks) = (Vec::new(), vec![0]);
    loop {
        match bytes.u8()? {
            0 => return Err(Stop::Cut),
            15 => return Ok(()),
            // When, how much memory the process had, and how much of it is told of here.
            1 => {
                bytes.array::<24>()?;
            }
            2 => add(bytes, &stacks, contents)?,
            3 => {
                let (place, caller) = (bytes.varint()?, bytes.varint()?);
                let place = *at(&places, place).ok_or(Stop::Wrong("a place is not known"))?;
                let caller = *at(&stacks, caller).ok_or(Stop::Wrong("a caller is not known"))?;
                stacks.push(contents.stacks.called(place, caller)?);
            }
            4 => {
                if bytes.varint()? != places.len() as u64 {
                    return Err(Stop::Wrong("places have other numbers than they should"));
                }
                places.push(contents.stacks.read_place(bytes)?);
                // Whether native code called it.
                bytes.u8()?;
            }
            // An object of Python that is left.
            13 => {
                bytes.varint()?;
                if has_native {
                    bytes.varint()?;
                }
            }
            kind @ (5..=12 | 14 | 16..=255) => contents.read_common(kind, bytes)?,
        }
    }
}

fn at<T>(list: &[T], index: u64) -> Option<&T> {
    usize::try_from(index).ok().and_then(|index| list.get(index))
}

/// What a stack had at the peak, and has at the end.
fn add(
    bytes: &mut Bytes<impl BufRead>,
    stacks: &[u32],
    contents: &mut Contents,
) -> Result<(), Stop> {
    contents.switch(bytes.u64()?)?;
    // By which function, and the native stack.
    bytes.array::<16>()?;
    let stack = *at(stacks, bytes.u64()?).ok_or(Stop::Wrong("a stack is not known"))?;
    // Which maps there were.
    bytes.u64()?;
    let mut number = || i64::try_from(bytes.u64()?).map_err(|_| Stop::Wrong("a sum is too large"));
    let (objects_at_peak, objects, bytes_at_peak, bytes) =
        (number()?, number()?, number()?, number()?);
    let peak = Amount { objects: objects_at_peak, bytes: bytes_at_peak };
    let site = Site { thread: contents.thread()?.0, stack };
    contents.heap.add(site, peak, Amount { objects, bytes })
}
