//! The copied part of a thread's stack.

/// Bytes of a stack, from the stack pointer upwards.
#[derive(Debug, Clone, Copy)]
pub struct StackMemory<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl<'a> StackMemory<'a> {
    /// A copy of the stack that starts at address `start`.
    pub fn new(start: u64, bytes: &'a [u8]) -> Self {
        StackMemory { start, bytes }
    }

    /// The word at `address`, if it was copied.
    pub fn read(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(8)?)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    }

    /// Whether `address` lies below the stack pointer.
    pub fn is_below(&self, address: u64) -> bool {
        address < self.start
    }

    /// Whether the word at `address` lies above what was copied.
    pub fn is_beyond(&self, address: u64) -> bool {
        !self.is_below(address) && self.read(address).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_copied_words_are_read() {
        let bytes: Vec<u8> = (0..20).collect();
        let stack = StackMemory::new(0x1000, &bytes);
        assert_eq!(stack.read(0x1008), Some(0x0f0e_0d0c_0b0a_0908));
        assert_eq!(stack.read(0x100d), None);
        assert_eq!(stack.read(0xfff), None);
        assert_eq!(stack.read(u64::MAX), None);
        assert!(stack.is_below(0xfff) && !stack.is_beyond(0xfff));
        assert!(stack.is_beyond(0x100d));
    }
}
