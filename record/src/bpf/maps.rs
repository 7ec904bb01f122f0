//! Maps of the programs, with keys and values of known sizes.

use std::io;

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

    /// Hands all rows to `row` until that returns false.
    pub(super) fn for_each(&self, mut row: impl FnMut(&[u8; K], &[u8; N]) -> bool) {
        let mut value = [0; N];
        for key in self.map.keys() {
            let Ok(key) = <[u8; K]>::try_from(key) else { continue };
            // One that is gone since is nobody's.
            let found = self.map.lookup_into(&key, &mut value, MapFlags::ANY);
            if matches!(found, Ok(true)) && !row(&key, &value) {
                return;
            }
        }
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
