//! Numbers and texts in a process's memory.

use crate::code_objects::Memory;

/// Bytes that were read, in which numbers are found by offset; what lies outside is not
/// known.
#[derive(Debug, Default)]
pub(super) struct Bytes(Vec<u8>);

impl Bytes {
    /// Up to `length` bytes from an address on: as many as are there.
    pub(super) fn read(memory: &impl Memory, address: u64, length: usize) -> Self {
        let mut bytes = vec![0; length];
        let read = memory.read(address, &mut bytes);
        bytes.truncate(read);
        Bytes(bytes)
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).copied()
    }

    pub(super) fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    pub(super) fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(super) fn i32(&self, at: usize) -> Option<i32> {
        self.array(at).map(i32::from_le_bytes)
    }

    pub(super) fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    pub(super) fn all(&self) -> &[u8] {
        &self.0
    }
}

/// The word at an address.
pub(super) fn word(memory: &impl Memory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (memory.read(address, &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
}

/// The text of up to `most` bytes at an address that ends with a zero.
pub(super) fn text(memory: &impl Memory, address: u64, most: usize) -> Option<String> {
    let bytes = Bytes::read(memory, address, most);
    let end = bytes.all().iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&bytes.all()[..end]).into_owned())
}
