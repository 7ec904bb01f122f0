//! Numbers and texts in bytes of either order.

/// What is left to be read of some bytes. Reading beyond the end gives `None`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'b> {
    left: &'b [u8],
    is_big_endian: bool,
}

impl<'b> Bytes<'b> {
    pub(super) fn new(bytes: &'b [u8], is_big_endian: bool) -> Self {
        Bytes { left: bytes, is_big_endian }
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let bytes = self.chunk()?;
        Some(if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.chunk()?;
        Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let bytes = self.chunk()?;
        Some(if self.is_big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// A number of eight bytes if `is_there`, and 0 otherwise.
    pub(super) fn u64_if(&mut self, is_there: bool) -> Option<u64> {
        if is_there { self.u64() } else { Some(0) }
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: u64) -> Option<&'b [u8]> {
        let (taken, left) = self.left.split_at_checked(usize::try_from(length).ok()?)?;
        self.left = left;
        Some(taken)
    }

    /// The same, as what is left to be read.
    pub(super) fn part(&mut self, length: u64) -> Option<Self> {
        Some(Bytes { left: self.take(length)?, ..*self })
    }

    /// The text up to the first zero, or to the end.
    pub(super) fn text(self) -> String {
        let length = self.left.iter().position(|byte| *byte == 0).unwrap_or(self.left.len());
        String::from_utf8_lossy(&self.left[..length]).into_owned()
    }

    /// A text whose length comes before it.
    pub(super) fn counted_text(&mut self) -> Option<String> {
        let length = self.u32()?;
        Some(self.part(length.into())?.text())
    }

    /// Bytes that are left.
    pub(super) fn len(&self) -> usize {
        self.left.len()
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, left) = self.left.split_first_chunk()?;
        self.left = left;
        Some(*chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, b'h', b'i', 0, b'x'];
        let mut little = Bytes::new(&bytes, false);
        assert_eq!((little.u16(), little.u16()), (Some(0x0201), Some(0x0403)));
        assert_eq!(little.u32(), Some(0x0807_0605));
        assert_eq!(little.text(), "hi");
        let mut big = Bytes::new(&bytes, true);
        assert_eq!(big.u64(), Some(0x0102_0304_0506_0708));
        assert_eq!((big.u64(), big.take(5), big.len()), (None, None, 4));
        assert_eq!(Bytes::new(&[0, 0, 0, 2, b'o', b'k'], true).counted_text().unwrap(), "ok");
        assert_eq!(Bytes::new(&[0, 0, 0, 3, b'o', b'k'], true).counted_text(), None);
    }
}
