//! What reading code objects of runtimes has in common: the memory that they are in,
//! and the numbers that they get.

/// Reads memory of a process at an address, and returns how much of it.
pub(crate) trait Memory {
    fn read(&self, address: u64, to: &mut [u8]) -> usize;
}

impl<F: Fn(u64, &mut [u8]) -> usize> Memory for F {
    fn read(&self, address: u64, to: &mut [u8]) -> usize {
        self(address, to)
    }
}

/// Gives code objects their numbers.
#[derive(Debug, Default)]
pub(crate) struct CodeNumbers {
    next: u32,
    /// The one of those that could not be read, which are in no record.
    lost: Option<u32>,
}

impl CodeNumbers {
    /// A new one.
    /// The next one.
    pub(crate) fn take(&mut self) -> u32 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// That of all that could not be read.
    pub(crate) fn lost(&mut self) -> u32 {
        let lost = self.lost.unwrap_or_else(|| self.take());
        *self.lost.insert(lost)
    }
}
