//! The processor's own clock.

/// The time stamp counter.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: all processors have it, and Linux lets programs read it unless
    // they ask not to.
    unsafe { core::arch::x86_64::_rdtsc() }
}
