//! What time it is, in ticks.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{arch, real};

/// Whether ticks are those of the processor. Set before the first event.
static PROCESSOR: AtomicBool = AtomicBool::new(true);

/// Says where ticks come from; one of [`mod@rz_alloc_ring::clock`].
pub(crate) fn choose(clock: u32) {
    PROCESSOR.store(clock == rz_alloc_ring::clock::PROCESSOR, Relaxed);
}

/// The time in ticks.
#[inline(always)]
pub(crate) fn now() -> u64 {
    if PROCESSOR.load(Relaxed) { arch::ticks() } else { real::monotonic_nanos() }
}
