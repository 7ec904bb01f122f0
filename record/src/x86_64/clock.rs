//! The processor's own clock, which programs can read.
#![allow(unsafe_code)]

/// What the kernel calls its clock when it uses this one itself: then it never
/// stops and runs at one speed. kvm's is the time stamp counter with a scale
/// from the host.
pub(crate) const KERNEL_NAMES: [&str; 2] = ["tsc", "kvm-clock"];

/// The time stamp counter.
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux allows it
    // in user mode unless a process asks otherwise for itself.
    unsafe { core::arch::x86_64::_rdtsc() }
}
