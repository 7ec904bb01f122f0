//! A kernel ring buffer of perf records, mapped and read in place.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use perf_event_open_sys::bindings::perf_event_mmap_page;

use crate::host::page_size;

/// Size of `perf_event_header`: type (u32), misc (u16), size (u16).
const HEADER_LEN: usize = 8;

/// The ring of one event, to which others on the same CPU may write as well.
pub(crate) struct Ring {
    /// The control page; the data pages follow it.
    base: NonNull<perf_event_mmap_page>,
    map_len: usize,
    data_len: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for Ring {}

/// The header of a perf record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordHeader {
    /// `PERF_RECORD_*`.
    pub(crate) kind: u32,
    /// Length of the record in bytes, header included.
    pub(crate) len: usize,
}

impl Ring {
    /// Maps a ring of `data_len` bytes, a power of two of pages.
    pub(crate) fn map(event: &OwnedFd, data_len: usize) -> io::Result<Self> {
        let map_len = page_size() + data_len;
        let length = NonZeroUsize::new(map_len).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new shared mapping at an address of the kernel's choice
        // overlaps no memory of ours.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, event, 0) }?;
        Ok(Ring { base: base.cast(), map_len, data_len })
    }

    /// Reads what is there, record by record: `handle` gets the header and
    /// a view of each. The space is given back once all have been seen.
    /// Returns whether all of it made sense; if not, the rest is skipped.
    pub(crate) fn drain(&mut self, mut handle: impl FnMut(RecordHeader, Bytes<'_>)) -> bool {
        let page = self.base.as_ptr();
        // SAFETY: the control page is mapped for the life of `self`.
        let head = unsafe { &raw mut (*page).data_head };
        // SAFETY: as above.
        let tail = unsafe { &raw mut (*page).data_tail };
        // SAFETY: an aligned u64 that the kernel writes as a whole.
        let head = unsafe { AtomicU64::from_ptr(head) };
        // SAFETY: an aligned u64 that the kernel only reads.
        let tail = unsafe { AtomicU64::from_ptr(tail) };
        // Acquire pairs with the kernel's write barrier before it moves
        // data_head: the records up to it are complete.
        let end = head.load(Ordering::Acquire);
        let mut at = tail.load(Ordering::Relaxed);
        while at < end {
            let available = (end - at).min(self.data_len as u64) as usize;
            if available < HEADER_LEN {
                break;
            }
            let mut bytes = [MaybeUninit::uninit(); HEADER_LEN];
            let bytes = self.copy(at, &mut bytes);
            let header = RecordHeader {
                kind: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
                len: u16::from_le_bytes([bytes[6], bytes[7]]).into(),
            };
            if header.len < HEADER_LEN || header.len > available {
                break;
            }
            handle(header, Bytes { ring: self, at, len: header.len });
            at += header.len as u64;
        }
        // Release: what was read is read before the kernel may overwrite it.
        tail.store(end, Ordering::Release);
        at == end
    }

    /// Copies `out.len()` bytes that start at ring position `at`, and returns
    /// them. There are never more than `data_len`, as no record is longer.
    fn copy<'b>(&self, at: u64, out: &'b mut [MaybeUninit<u8>]) -> &'b mut [u8] {
        assert!(out.len() <= self.data_len);
        let start = (at as usize) & (self.data_len - 1);
        let first = out.len().min(self.data_len - start);
        // SAFETY: the data area starts one page behind the control page and
        // is data_len bytes long; page_size() + 0 is inside the mapping.
        let data = unsafe { self.base.as_ptr().cast::<u8>().add(page_size()) };
        // SAFETY: start < data_len, so the pointer stays inside the data area.
        let from = unsafe { data.add(start) };
        // SAFETY: start + first <= data_len, `out` holds at least `first`
        // bytes, and our own memory does not overlap the mapping. The kernel
        // does not write between data_tail and data_head.
        unsafe { ptr::copy_nonoverlapping(from, out.as_mut_ptr().cast(), first) };
        let rest = &mut out[first..];
        // SAFETY: the rest is what wraps around to the start of the area; it
        // is shorter than data_len by the assertion above.
        unsafe { ptr::copy_nonoverlapping(data, rest.as_mut_ptr().cast(), rest.len()) };
        // SAFETY: the two copies have written all of `out`.
        unsafe { out.assume_init_mut() }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `map`, and no view of it
        // outlives `self`.
        let result = unsafe { munmap(self.base.cast(), self.map_len) };
        debug_assert!(result.is_ok());
    }
}

/// A record inside the ring.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a> {
    ring: &'a Ring,
    at: u64,
    len: usize,
}

impl Bytes<'_> {
    /// The `u64` at `offset`; 0 if it lies outside the record.
    pub(crate) fn u64_at(&self, offset: usize) -> u64 {
        if offset + 8 > self.len {
            return 0;
        }
        let mut bytes = [MaybeUninit::uninit(); 8];
        let bytes = self.ring.copy(self.at + offset as u64, &mut bytes);
        bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Appends `length` bytes from `offset` on, as far as the record goes.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>, offset: usize, length: usize) {
        let length = length.min(self.len.saturating_sub(offset));
        out.reserve(length);
        let spare = &mut out.spare_capacity_mut()[..length];
        let copied = self.ring.copy(self.at + offset as u64, spare).len();
        let length = out.len() + copied;
        // SAFETY: `copied` bytes behind the old length have been written.
        unsafe { out.set_len(length) };
    }
}
