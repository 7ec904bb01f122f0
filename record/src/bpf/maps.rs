//! Maps of the programs, with keys and values of known sizes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::error::{BpfError, refused};
use super::programs::Loaded;

/// A map of values of `N` bytes.
pub(super) struct Table<const K: usize, const N: usize> {
    map: MapHandle,
}

impl<const K: usize, const N: usize> Table<K, N> {
    pub(super) fn of(loaded: &Loaded, name: &str) -> Result<Self, BpfError> {
        let map = loaded.map(name)?;
        if (map.key_size() as usize, map.value_size() as usize) != (K, N) {
            let cause = format!("keys of {} and values of {}", map.key_size(), map.value_size());
            return Err(refused(name, &cause));
        }
        Ok(Table { map })
    }

    pub(super) fn set(&self, key: [u8; K], value: &[u8; N]) -> io::Result<()> {
        self.map.update(&key, value, MapFlags::ANY).map_err(io::Error::other)
    }

    pub(super) fn remove(&self, key: [u8; K]) -> io::Result<()> {
        self.map.delete(&key).map_err(io::Error::other)
    }

    /// Takes some rows out, `count` at most. Nobody else may change them meanwhile.
    pub(super) fn take(&self, count: usize) -> impl Iterator<Item = ([u8; K], [u8; N])> {
        let flags = MapFlags::ANY;
        let rows = self.map.lookup_and_delete_batch(count as u32, flags, flags);
        let rows = rows.into_iter().flatten().take(count);
        rows.filter_map(|(key, value)| Some((key.try_into().ok()?, value.try_into().ok()?)))
    }
}

impl<const K: usize, const N: usize> AsFd for Table<K, N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// Numbers that each CPU counts for itself.
pub(super) struct Counters {
    map: MapHandle,
}

impl Counters {
    pub(super) fn of(loaded: &Loaded, name: &str) -> Result<Self, BpfError> {
        Ok(Counters { map: loaded.map(name)? })
    }

    /// The sum over all CPUs.
    pub(super) fn sum(&self, which: u32) -> io::Result<u64> {
        let found = self.map.lookup_percpu(&which.to_ne_bytes(), MapFlags::ANY);
        let counts = found.map_err(io::Error::other)?.ok_or(io::ErrorKind::NotFound)?;
        let number = |bytes: &Vec<u8>| Some(u64::from_ne_bytes(*bytes.first_chunk()?));
        Ok(counts.iter().filter_map(number).sum())
    }
}
