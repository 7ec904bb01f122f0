//! The addresses of sampled objects that still live, of all threads.
//!
//! ```text
//! filter   counters by hash: 0 says that an address is not in the set
//! level 0  buckets of 8 addresses each
//! level 1  4 times as many, for those that found their bucket full
//! …
//! ```
//!
//! Nothing is lost and nobody waits: an address goes into an empty place, and
//! back to empty when it is taken out. The allocator and the program order what
//! happens to one address: who frees an object got it from who allocated it,
//! after that. So relaxed accesses do for addresses and counters.

use core::ops::Range;
use core::ptr;
use core::sync::atomic::{
    AtomicPtr, AtomicU16, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use crate::sys;

const FILTER_BITS: u32 = 13;
const BUCKET: usize = 8;
const FIRST_LEVEL_BITS: u32 = 12;
/// The last one has room for 2²⁹ addresses.
const LEVELS: usize = 8;
/// Those that can be made ahead: room for 163,840 addresses in 1.25 MiB.
const RESERVED: usize = 2;
/// A counter that got this far no longer knows, and stays.
const MANY: u16 = u16::MAX;

type Bucket = [AtomicUsize; BUCKET];

struct SampledSet {
    filter: [AtomicU16; 1 << FILTER_BITS],
    levels: [AtomicPtr<Bucket>; LEVELS],
}

static SET: SampledSet = SampledSet::new();

/// Whether it is sure that an address is not in the set.
#[inline(always)]
pub(crate) fn has_not(address: usize) -> bool {
    SET.counter(address).load(Relaxed) == 0
}

/// Puts an address in; false if there is no memory for it.
pub(crate) fn insert(address: usize) -> bool {
    SET.insert(address)
}

/// Takes an address out; false if it is not in.
pub(crate) fn remove(address: usize) -> bool {
    SET.remove(address)
}

/// Makes room ahead, for when no memory can be had any more.
pub(crate) fn reserve() {
    for level in 0..RESERVED {
        let _ = SET.bucket(level, 0, true);
    }
}

/// Where its memory is.
pub(crate) fn mapped() -> impl Iterator<Item = Range<usize>> {
    let levels = SET.levels.iter().map(|start| start.load(Relaxed) as usize).enumerate();
    let there = levels.filter(|(_, start)| *start != 0);
    there.map(|(level, start)| start..start + level_bytes(level))
}

/// Empties the set. Nobody else uses it.
pub(crate) fn clear() {
    SET.clear();
}

/// The upper bits of the product depend on all of the address.
#[inline(always)]
fn hash(address: usize) -> usize {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn level_bits(level: usize) -> u32 {
    FIRST_LEVEL_BITS + 2 * level as u32
}

fn level_bytes(level: usize) -> usize {
    size_of::<Bucket>() << level_bits(level)
}

impl SampledSet {
    const fn new() -> Self {
        SampledSet {
            filter: [const { AtomicU16::new(0) }; 1 << FILTER_BITS],
            levels: [const { AtomicPtr::new(ptr::null_mut()) }; LEVELS],
        }
    }

    #[inline(always)]
    fn counter(&self, address: usize) -> &AtomicU16 {
        &self.filter[hash(address) >> (usize::BITS - FILTER_BITS)]
    }

    fn insert(&self, address: usize) -> bool {
        let count = |count: u16| (count != MANY).then(|| count + 1);
        let _ = self.counter(address).fetch_update(Relaxed, Relaxed, count);
        let is_in =
            (0..LEVELS).map_while(|level| self.bucket(level, address, true)).any(|bucket| {
                bucket.iter().any(|place| {
                    place.load(Relaxed) == 0
                        && place.compare_exchange(0, address, Relaxed, Relaxed).is_ok()
                })
            });
        if !is_in {
            self.uncount(address);
        }
        is_in
    }

    fn remove(&self, address: usize) -> bool {
        let mut buckets =
            (0..LEVELS).map_while(|level| self.bucket(level, address, false)).flatten();
        let Some(place) = buckets.find(|place| place.load(Relaxed) == address) else {
            return false;
        };
        place.store(0, Relaxed);
        self.uncount(address);
        true
    }

    fn uncount(&self, address: usize) {
        let uncount = |count: u16| (count != MANY && count > 0).then(|| count - 1);
        let _ = self.counter(address).fetch_update(Relaxed, Relaxed, uncount);
    }

    /// The bucket of an address in one level, which is made if need be.
    fn bucket(&self, level: usize, address: usize, make: bool) -> Option<&Bucket> {
        let start = self.levels.get(level)?;
        // Acquire: the memory is all zero.
        let mut buckets = start.load(Acquire);
        if buckets.is_null() && make {
            let new = sys::map_memory(level_bytes(level)).ok()?.cast();
            let made = start.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire);
            buckets = made.err().unwrap_or(new);
            if made.is_err() {
                // SAFETY: another thread was first, and nobody saw this.
                unsafe { sys::unmap(new.cast(), level_bytes(level)) };
            }
        }
        let index = hash(address) >> (usize::BITS - level_bits(level));
        // SAFETY: null, or a level with so many buckets, which stays.
        unsafe {
            buckets.as_ref()?;
        }
        // SAFETY: the index is below their number.
        Some(unsafe { &*buckets.wrapping_add(index) })
    }

    fn clear(&self) {
        for (level, start) in self.levels.iter().enumerate() {
            // Relaxed: nobody else uses it.
            let buckets = start.swap(ptr::null_mut(), Relaxed);
            if !buckets.is_null() {
                // SAFETY: nobody else uses it.
                unsafe { sys::unmap(buckets.cast(), level_bytes(level)) };
            }
        }
        // Memory that a fork shares is copied only where it changes.
        for counter in self.filter.iter().filter(|counter| counter.load(Relaxed) != 0) {
            counter.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_level_goes_on_in_the_next() {
        let set = SampledSet::new();
        let addresses = (1..=100_000).map(|number| number * 16);
        assert!(addresses.clone().all(|address| set.insert(address)));
        assert!(!set.levels[1].load(Relaxed).is_null());
        assert!(addresses.clone().all(|address| set.counter(address).load(Relaxed) > 0));
        assert!(!set.remove(8));
        assert!(addresses.clone().all(|address| set.remove(address)));
        assert!(addresses.clone().all(|address| !set.remove(address)));
        assert!(set.filter.iter().all(|counter| counter.load(Relaxed) == 0));
        assert!(set.insert(16));
        set.clear();
        assert!(!set.remove(16));
    }

    #[test]
    fn threads_at_the_same_time() {
        let set = SampledSet::new();
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let set = &set;
                scope.spawn(move || {
                    for round in 0..200 {
                        let numbers = (0..500).map(|number| (number * 4 + thread + 1) * 16);
                        for address in numbers.clone() {
                            assert!(set.insert(address), "round {round}");
                        }
                        for address in numbers {
                            assert!(set.remove(address), "round {round}");
                        }
                    }
                });
            }
        });
        assert!(set.filter.iter().all(|counter| counter.load(Relaxed) == 0));
    }

    #[test]
    fn a_counter_that_overflows_stays() {
        let set = SampledSet::new();
        set.counter(16).store(MANY - 1, Relaxed);
        assert!(set.insert(16));
        assert!(set.remove(16));
        assert_eq!(set.counter(16).load(Relaxed), MANY);
    }
}
