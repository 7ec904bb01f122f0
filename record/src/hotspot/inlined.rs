//! Which methods are inlined where in compiled code.
//!
//! For each call, and each other place at which a thread may have to be stopped, a
//! description leads to the method and the bytecode that it was made of, and that one to
//! the method in which it was inlined.

use std::sync::Arc;

use crate::code_objects::Memory;

use super::bytes::{Bytes, word};
use super::code_cache::Blob;
use super::layout::{InlinedLayout, Layout, Methods, Place};
use super::numbers::Numbers;

/// How deep methods can be inlined into each other.
const MAX_DEPTH: usize = 128;
/// Longest table of descriptions in bytes.
const MAX_TABLE: u64 = 4 << 20;
/// Length of a description: its instruction, where its scope is, and what else.
const DESCRIPTION: usize = 16;
/// Three numbers: the caller's scope, the method, its bytecode.
const SCOPE: usize = 15;
/// The number that stands for the place before all bytecode.
const BEFORE_BYTECODE: i32 = -1;

/// A method, and where in its bytecode it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) method: u64,
    /// `None` where it begins.
    pub(super) position: Option<u32>,
    /// Whether this is of a later instruction than the one that was asked for.
    pub(super) is_later: bool,
}

/// The methods that an instruction of a blob is of, with what they are inlined in:
/// innermost first. Empty if that is not known.
pub(super) fn scopes(
    blob: &Blob,
    address: u64,
    layout: &Layout,
    memory: &impl Memory,
) -> Arc<[Scope]> {
    let header = Bytes::read(memory, blob.start, layout.inlined_header());
    let read = || {
        let parts = Parts::of(blob, &header, layout)?;
        let at = i32::try_from(address.checked_sub(blob.code)?).ok()?;
        let (is_later, scope) = parts.find(at, memory)?;
        parts.scopes(scope, is_later, layout.numbers, memory)
    };
    read().unwrap_or_default().into()
}

/// Where the parts of the tables are.
#[derive(Debug)]
struct Parts {
    methods: u64,
    instructions: u64,
    instructions_end: u64,
    scopes: u64,
}

impl Parts {
    fn of(blob: &Blob, header: &Bytes, layout: &Layout) -> Option<Self> {
        let of = layout.compiled.inlined?;
        let base = match of.beside {
            Some(at) => header.u64(at)?,
            None => blob.start,
        };
        let place = |place: Place| place.from(header, base);
        let methods = match of.methods {
            Methods::InBlob(at) => blob.start.checked_add(header.u32(at)?.into())?,
            Methods::InData(at) => {
                let data = layout.blob.data?.from(header, blob.start)?;
                data.checked_add(header.u16(at)?.into())?
            }
            Methods::Mutable => {
                let (mutable, before) = layout.blob.mutable?;
                header.u64(mutable)?.checked_add(header.u32(before)?.into())?
            }
        };
        Some(Parts {
            methods,
            instructions: place(of.instructions)?,
            instructions_end: place(of.instructions_end)?,
            scopes: place(of.scopes)?,
        })
    }

    /// The scope of an instruction, or else of the next one that has any, and whether it
    /// is that.
    fn find(&self, instruction: i32, memory: &impl Memory) -> Option<(bool, i32)> {
        let length = self.instructions_end.checked_sub(self.instructions)?.min(MAX_TABLE);
        let table = Bytes::read(memory, self.instructions, length as usize);
        let count = table.all().len() / DESCRIPTION;
        let at = |index: usize| table.i32(index * DESCRIPTION).unwrap_or(i32::MAX);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            match at(middle) < instruction {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        // The last one stands for the end.
        let is_inside = low + 1 < count;
        let scope = table.i32(low * DESCRIPTION + 4).filter(|_| is_inside)?;
        Some((at(low) != instruction, scope))
    }

    fn scopes(
        &self,
        mut scope: i32,
        is_later: bool,
        numbers: Numbers,
        memory: &impl Memory,
    ) -> Option<Vec<Scope>> {
        let mut scopes = Vec::new();
        while scope != 0 {
            let address = self.scopes.checked_add(u64::try_from(scope).ok()?)?;
            let bytes = Bytes::read(memory, address, SCOPE);
            let mut bytes = bytes.all();
            let caller = numbers.take(&mut bytes)? as i32;
            let method = numbers.take(&mut bytes)?.checked_sub(1)?;
            let position = (numbers.take(&mut bytes)? as i32).checked_add(BEFORE_BYTECODE)?;
            let method = word(memory, self.methods.checked_add(u64::from(method) * 8)?)?;
            scopes.push(Scope { method, position: position.try_into().ok(), is_later });
            // Callers come before what they have called.
            if scopes.len() > MAX_DEPTH || caller >= scope {
                return None;
            }
            scope = caller;
        }
        Some(scopes)
    }
}

impl Layout {
    /// How much of a blob is read to find its tables.
    fn inlined_header(&self) -> usize {
        let Some(of) = self.compiled.inlined else { return 0 };
        let InlinedLayout { methods, instructions, instructions_end, scopes, beside } = of;
        let places = [Some(instructions), Some(instructions_end), Some(scopes), self.blob.data];
        let places = places.into_iter().flatten().map(|place| match place {
            Place::Address(at) | Place::Offset(at) => at,
        });
        let methods = match methods {
            Methods::InBlob(at) | Methods::InData(at) => at,
            Methods::Mutable => {
                self.blob.mutable.map_or(0, |(mutable, before)| mutable.max(before))
            }
        };
        places.chain([methods, beside.unwrap_or(0)]).max().unwrap_or(0) + 8
    }
}
