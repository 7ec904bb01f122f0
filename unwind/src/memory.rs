//! The copied part of a thread's stack.

use rz_format::TruncatedReason;

/// What the kernel maps as a whole.
const PAGE: u64 = 4096;

/// Bytes of a stack, from the stack pointer upwards.
#[derive(Debug, Clone, Copy)]
pub struct StackMemory<'a> {
    start: u64,
    bytes: &'a [u8],
    holes: u64,
}

impl<'a> StackMemory<'a> {
    /// A copy of the stack that starts at address `start`.
    pub fn new(start: u64, bytes: &'a [u8]) -> Self {
        StackMemory { start, bytes, holes: 0 }
    }

    /// The same without some pages, counted from the one that it starts in: a bit each.
    pub fn with_holes(self, holes: u64) -> Self {
        StackMemory { holes, ..self }
    }

    /// The word at `address`, if it was copied.
    pub fn read(&self, address: u64) -> Option<u64> {
        let bytes = self.copied(address)?;
        (!self.is_in_hole(address)).then(|| u64::from_le_bytes(*bytes))
    }

    fn copied(&self, address: u64) -> Option<&[u8; 8]> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..)?.first_chunk()
    }

    /// Whether a word that is not below the stack pointer is in a page that was not there.
    fn is_in_hole(&self, address: u64) -> bool {
        let is_hole = |page: u64| page < 64 && self.holes >> page & 1 != 0;
        let page = |address: u64| (address / PAGE).saturating_sub(self.start / PAGE);
        is_hole(page(address)) || is_hole(page(address.saturating_add(7)))
    }

    /// Whether `address` lies below the stack pointer.
    pub fn is_below(&self, address: u64) -> bool {
        address < self.start
    }

    /// Why there is no word at `address`; `None` if that is no place for one.
    pub fn missing(&self, address: u64) -> Option<TruncatedReason> {
        if self.is_below(address) {
            None
        } else if self.copied(address).is_none() {
            Some(TruncatedReason::StackTooDeep)
        } else {
            self.is_in_hole(address).then_some(TruncatedReason::StackNotReadable)
        }
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
        assert!(stack.is_below(0xfff) && stack.missing(0xfff).is_none());
        assert_eq!(stack.missing(0x1008), None);
        assert_eq!(stack.missing(0x100d), Some(TruncatedReason::StackTooDeep));
    }

    #[test]
    fn pages_that_were_not_there() {
        let bytes = vec![1; 3 * PAGE as usize];
        // The second page is the one from 0x2000 on, wherever in the first one it starts.
        let stack = StackMemory::new(0x1ff0, &bytes).with_holes(0b10);
        assert_eq!(stack.read(0x1ff8), Some(0x0101_0101_0101_0101));
        assert_eq!(stack.read(0x3000), Some(0x0101_0101_0101_0101));
        for address in [0x1ffa, 0x2000, 0x2ff8, 0x2fff] {
            assert_eq!(stack.read(address), None, "{address:#x}");
            assert_eq!(stack.missing(address), Some(TruncatedReason::StackNotReadable));
        }
        assert_eq!(stack.missing(u64::MAX), Some(TruncatedReason::StackTooDeep));
    }
}
