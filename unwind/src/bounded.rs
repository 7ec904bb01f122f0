//! Files of which only so much is read, as they may be made up to harm us.

use std::cell::Cell;
use std::fs::File;
use std::ops::Range;

use object::{ReadCache, ReadRef};

/// Most bytes that are read of one file, which may be made up to harm us. The
/// unwind tables of the largest programs have tenths of it. Where a C linker has put
/// Go's table among other data, these are read as well, to find it.
pub(crate) const MAX_READ: u64 = 256 << 20;

/// A file of which only so much is read.
#[derive(Debug)]
pub struct Bounded {
    file: ReadCache<File>,
    left: Cell<u64>,
}

impl Bounded {
    /// Reads `file` from now on.
    pub fn new(file: File) -> Self {
        Bounded { file: ReadCache::new(file), left: Cell::new(MAX_READ) }
    }
}

impl<'a> ReadRef<'a> for &'a Bounded {
    fn len(self) -> Result<u64, ()> {
        (&self.file).len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        self.left.set(self.left.get().checked_sub(size).ok_or(())?);
        (&self.file).read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        (&self.file).read_bytes_at_until(range, delimiter)
    }
}
