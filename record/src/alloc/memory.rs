//! The memory that hooks and the recorder share; see `rz_alloc_ring` for what
//! is where.
//!
//! Hooks run in programs that may do anything, so nothing that is read from
//! here is trusted: it is copied first and looked at then. The memory's size is
//! sealed, so that nobody can take it away while it is being read.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use rz_alloc_ring::{
    Control, ENTRIES_OFFSET, Entry, MAGIC, MAX_SLOTS, RING_OFFSET, SLOTS_OFFSET, SlotHeader,
    VERSION, mode,
};

use crate::ticks::best_clock;

/// Size of a ring where every event is reported: some ten milliseconds of a
/// thread that does nothing else.
const FULL_RING: u64 = 8 << 20;
/// Size of a ring of samples: several with their stacks.
const SAMPLED_RING: u64 = 2 << 20;

/// The shared memory.
#[derive(Debug)]
pub(crate) struct Memory {
    fd: OwnedFd,
    start: Mapping,
    slots: Vec<Option<Mapping>>,
    slot_bytes: usize,
    ring_bytes: u64,
}

impl Memory {
    /// Makes it. Hooks sample every `interval` bytes on average, or report
    /// everything if that is 0.
    pub(crate) fn create(interval: u64, stack_bytes: u32, follow: bool) -> io::Result<Self> {
        let fd = memfd_create(c"rz-alloc", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let is_full = interval == 0;
        let control = Control {
            magic: MAGIC,
            version: VERSION,
            mode: AtomicU32::new(if is_full { mode::FULL } else { mode::SAMPLED }),
            clock: best_clock(),
            follow: follow.into(),
            recorder_pid: std::process::id(),
            pid_namespace: std::fs::metadata("/proc/self/ns/pid").map_or(0, |file| file.ino()),
            mean_interval: interval,
            ring_bytes: if is_full { FULL_RING } else { SAMPLED_RING },
            stack_bytes,
            slots: MAX_SLOTS,
            ..Control::default()
        };
        let slot_bytes = control.slot_bytes();
        let ring_bytes = control.ring_bytes;
        let length = SLOTS_OFFSET + MAX_SLOTS as usize * slot_bytes;
        nix::unistd::ftruncate(&fd, length as libc::off_t)?;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW))?;
        let start = Mapping::new(&fd, 0, SLOTS_OFFSET)?;
        // SAFETY: the mapping is at least as long and aligned to pages, and
        // nobody else knows of the memory yet.
        unsafe { start.address.cast::<Control>().write(control) };
        let slots = (0..MAX_SLOTS).map(|_| None).collect();
        Ok(Memory { fd, start, slots, slot_bytes, ring_bytes })
    }

    /// Where others find it, as long as this process lives.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd())
    }

    /// Says which process is going to execute the program. To be called before
    /// it does.
    pub(crate) fn set_target(&mut self, pid: u32) {
        // SAFETY: as in `create`; the program, which would read it, does not
        // run yet.
        unsafe { (*self.start.address.cast::<Control>().as_ptr()).target_pid = pid };
    }

    /// What is common to all.
    pub(crate) fn control(&self) -> &Control {
        // SAFETY: `create` has put it there; from `set_target` on only its
        // atomic fields change.
        unsafe { self.start.address.cast().as_ref() }
    }

    /// Whose slot `slot` is.
    pub(crate) fn entry(&self, slot: u32) -> &Entry {
        let offset = ENTRIES_OFFSET + slot.min(MAX_SLOTS - 1) as usize * size_of::<Entry>();
        // SAFETY: entries for all slots fit before `SLOTS_OFFSET`, which is how
        // long the mapping is.
        let entry = unsafe { self.start.address.byte_add(offset) };
        // SAFETY: it is aligned, as the layout says, and has atomic fields
        // only, for which all bytes are values.
        unsafe { entry.cast().as_ref() }
    }

    /// What slot `slot` begins with. Maps it if this has not been done.
    pub(crate) fn slot(&mut self, slot: u32) -> io::Result<&SlotHeader> {
        let place = self.slots.get_mut(slot as usize).ok_or(io::ErrorKind::InvalidInput)?;
        if place.is_none() {
            let offset = SLOTS_OFFSET + slot as usize * self.slot_bytes;
            *place = Some(Mapping::new(&self.fd, offset, self.slot_bytes)?);
        }
        match place {
            // SAFETY: the mapping is long enough and aligned to pages; the
            // header has atomic fields and padding only.
            Some(mapping) => Ok(unsafe { mapping.address.cast().as_ref() }),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Takes the words from a slot's ring, up to its end: what is left is for
    /// another call. They are put where `words` has been; empty if there are
    /// none. Fails if the hook's numbers make no sense; the ring is emptied then.
    pub(crate) fn take(&mut self, slot: u32, mut words: Vec<u64>) -> io::Result<Vec<u64>> {
        let ring_bytes = self.ring_bytes;
        let header = self.slot(slot)?;
        // Acquire pairs with the hook's release: the words below `head` are
        // there.
        let head = header.head.load(Ordering::Acquire);
        let tail = header.tail.load(Ordering::Relaxed);
        let length = head.wrapping_sub(tail);
        if length > ring_bytes || !length.is_multiple_of(8) || !tail.is_multiple_of(8) {
            header.tail.store(head, Ordering::Release);
            return Err(io::ErrorKind::InvalidData.into());
        }
        let at = tail % ring_bytes;
        let length = length.min(ring_bytes - at);
        words.clear();
        words.reserve(length as usize / 8);
        if let Some(Some(mapping)) = self.slots.get(slot as usize) {
            // SAFETY: `at` is below the size of the ring, which is mapped from
            // `RING_OFFSET` on.
            let from = unsafe { mapping.address.byte_add(RING_OFFSET + at as usize) };
            // SAFETY: `length` does not go beyond the ring's end, and there is
            // room for as much in `words`. The hook writes elsewhere; if it
            // does not keep to that, the words are worthless, and checked.
            unsafe {
                from.cast::<u64>().copy_to_nonoverlapping(
                    NonNull::from(&mut words.spare_capacity_mut()[..]).cast(),
                    length as usize / 8,
                );
            }
            // SAFETY: the copy has filled so many.
            unsafe { words.set_len(length as usize / 8) };
        }
        // Release: the words have been read before the hook may write there.
        self.slot(slot)?.tail.store(tail.wrapping_add(length), Ordering::Release);
        Ok(words)
    }

    /// Gives a slot back, of which the thread is gone.
    pub(crate) fn release(&mut self, slot: u32) -> io::Result<()> {
        let offset = (SLOTS_OFFSET + slot as usize * self.slot_bytes) as libc::off_t;
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        // What is not there is zero, as in a new slot.
        fallocate(&self.fd, flags, offset, self.slot_bytes as libc::off_t)?;
        let entry = self.entry(slot);
        entry.pid.store(0, Ordering::Relaxed);
        // Release: whoever takes the slot finds it empty.
        entry.tid.store(0, Ordering::Release);
        Ok(())
    }

    /// Bytes of memory in use.
    pub(crate) fn in_use(&self) -> u64 {
        const BLOCK: u64 = 512;
        let status = nix::sys::stat::fstat(&self.fd);
        status.map_or(0, |status| status.st_blocks as u64 * BLOCK)
    }
}

/// Pages of a file, mapped for as long as this lives.
#[derive(Debug)]
struct Mapping {
    address: NonNull<libc::c_void>,
    length: usize,
}

// SAFETY: it is memory like any other, and whoever has this has it alone in
// this process.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(fd: &OwnedFd, offset: usize, length: usize) -> io::Result<Self> {
        let size = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses an address where nothing is.
        let address = unsafe {
            mmap(None, size, protection, MapFlags::MAP_SHARED, fd, offset as libc::off_t)?
        };
        Ok(Mapping { address, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it is what `new` has mapped, and no reference to it outlives
        // `self`.
        let unmapped = unsafe { munmap(self.address, self.length) };
        if let Err(error) = unmapped {
            log::debug!("memory stays mapped: {error}");
        }
    }
}

/// Length of a file's extended attribute; `None` if there is none.
pub(super) fn attribute_len(path: &CStr, name: &CStr) -> Option<usize> {
    // SAFETY: both are strings that end in zero; without a buffer, only the
    // length is asked for.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
    usize::try_from(length).ok()
}

/// A second pair of eyes on the memory, as a hook has it.
#[cfg(test)]
impl Memory {
    pub(super) fn put(&mut self, slot: u32, words: &[u64]) {
        let ring = self.ring_bytes;
        let head = self.slot(slot).unwrap().head.load(Ordering::Relaxed);
        let mapping = self.slots[slot as usize].as_ref().unwrap();
        for (i, word) in words.iter().enumerate() {
            let at = RING_OFFSET as u64 + (head + i as u64 * 8) % ring;
            // SAFETY: within the ring.
            let to = unsafe { mapping.address.byte_add(at as usize) };
            // SAFETY: mapped and aligned.
            unsafe { to.cast::<u64>().write(*word) };
        }
        let end = head + words.len() as u64 * 8;
        self.slot(slot).unwrap().head.store(end, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn words_go_around_the_ring() {
        let mut memory = Memory::create(1, 1024, false).unwrap();
        let ring_words = memory.ring_bytes as usize / 8;
        let first: Vec<u64> = (0..ring_words as u64 - 1).collect();
        memory.put(3, &first);
        assert_eq!(memory.take(3, Vec::new()).unwrap(), first);
        memory.put(3, &[7, 8, 9]);
        assert_eq!(memory.take(3, Vec::new()).unwrap(), [7]);
        assert_eq!(memory.take(3, Vec::new()).unwrap(), [8, 9]);
        assert_eq!(memory.take(3, Vec::new()).unwrap(), []);
    }

    #[test]
    fn numbers_that_make_no_sense() {
        let mut memory = Memory::create(0, 1024, false).unwrap();
        let head = memory.ring_bytes + 8;
        memory.slot(0).unwrap().head.store(head, Ordering::Relaxed);
        assert!(memory.take(0, Vec::new()).is_err());
        assert_eq!(memory.take(0, Vec::new()).unwrap(), []);
        memory.put(0, &[1]);
        assert_eq!(memory.take(0, Vec::new()).unwrap(), [1]);
        // Counted so far that the numbers begin again.
        memory.slot(1).unwrap().tail.store(u64::MAX - 7, Ordering::Relaxed);
        assert_eq!(memory.take(1, Vec::new()).unwrap().len(), 1);
        assert_eq!(memory.slot(1).unwrap().tail.load(Ordering::Relaxed), 0);
        assert!(memory.slot(MAX_SLOTS).is_err());
    }

    #[test]
    fn a_released_slot_is_as_new() {
        let mut memory = Memory::create(0, 1024, false).unwrap();
        memory.entry(5).tid.store(77, Ordering::Relaxed);
        let before = memory.in_use();
        memory.put(5, &vec![1; 100_000]);
        assert!(memory.in_use() >= before + 800_000);
        memory.release(5).unwrap();
        assert_eq!(memory.in_use(), before);
        assert_eq!(memory.entry(5).tid.load(Ordering::Relaxed), 0);
        assert_eq!(memory.slot(5).unwrap().head.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nobody_can_shorten_it() {
        let memory = Memory::create(0, 1024, false).unwrap();
        let file = File::options().write(true).open(memory.path()).unwrap();
        assert!(file.set_len(0).is_err());
    }
}
