//! The pieces of the interpreter's code, as it lists them.

use std::ops::Range;

use crate::arch::java::{EntryPoints, EntryState};
use crate::code_objects::Memory;

use super::bytes::{Bytes, text, word};
use super::layout::InterpreterLayout;

/// Longest code that is believed, in bytes; it has some 200 KiB.
const MAX_CODE: u32 = 4 << 20;
/// Pieces at most; there are some 300.
const MAX_PIECES: usize = 1 << 12;
/// Longest description of one.
const MAX_NAME: usize = 128;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Interpreter {
    /// Where methods are entered, and how.
    entries: Vec<(Range<u64>, Option<EntryPoints>)>,
    /// Where what was called returns to.
    returns: Vec<Range<u64>>,
}

impl Interpreter {
    pub(super) fn read(layout: &InterpreterLayout, memory: &impl Memory) -> Option<Self> {
        let queue = word(memory, layout.code_at)?;
        let length = layout.buffer.max(layout.limit) + 8;
        let queue = Bytes::read(memory, queue, length);
        let (buffer, limit) = (queue.u64(layout.buffer)?, queue.u32(layout.limit)?);
        let code = Bytes::read(memory, buffer, limit.min(MAX_CODE) as usize);
        let (mut at, mut found) = (0, Interpreter::default());
        for _ in 0..MAX_PIECES {
            let piece = at + layout.description;
            let (Some(description), Some(size)) = (code.u64(piece), code.u32(at + layout.size))
            else {
                break;
            };
            let Some(end) = at.checked_add(size as usize).filter(|end| *end > at) else { break };
            let bytes = code.all().get(at..end).unwrap_or_default();
            let range = buffer.wrapping_add(at as u64)..buffer.wrapping_add(end as u64);
            let name = text(memory, description, MAX_NAME).unwrap_or_default();
            if name.starts_with("method entry point") {
                found.entries.push((range, EntryPoints::find(bytes)));
            } else if name.contains("return entry points") {
                found.returns.push(range);
            }
            at = end;
        }
        Some(found)
    }

    /// What there is of a frame at an address; `None` outside of entries, where it is
    /// complete, and in those that may do without one.
    pub(super) fn entry(&self, address: u64) -> Option<Option<EntryState>> {
        let (range, points) = self.entries.iter().find(|(range, _)| range.contains(&address))?;
        Some(points.map(|points| points.at((address - range.start) as usize)))
    }

    /// Whether what interpreted methods have called returns to an address.
    pub(super) fn returns_to(&self, address: u64) -> bool {
        self.returns.iter().any(|range| range.contains(&address))
    }
}
