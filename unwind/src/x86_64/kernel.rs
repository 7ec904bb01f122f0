//! Where the kernel's code is.

/// Part of the address space that the kernel's own code is in; what it loads
/// later lies above.
pub const KERNEL_IMAGE_END: u64 = 0xffff_ffff_c000_0000;
