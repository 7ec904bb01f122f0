//! The functions that programs call instead of those they mean.
//!
//! Those that allocate begin with a stub, which passes the stack and frame
//! pointers of the call on as two more arguments and jumps. So no frame of
//! ours is between the caller's and what the stack pointer says.
//!
//! `dlopen` is not among them: it looks for libraries where its caller's object
//! says, and so has to be called by who means to. Nor need it be, since what is
//! loaded is looked up when its code is seen for the first time.

use core::ffi::{c_int, c_long, c_uint};

use core::sync::atomic::Ordering::Relaxed;

use rz_alloc_ring::{entry, size_class};

use crate::arch;
use crate::event;
use crate::own_memory;
use crate::process::{self, HAS_KEYS, UNLOADED, UNMAPPED};
use crate::real::{self, Memory};
use crate::sampled_set;
use crate::seccomp;
use crate::slot::{Slot, add};
use crate::thread;

macro_rules! stubs {
    ($($name:ident: $arguments:tt;)*) => {
        $(
            #[doc = concat!("Passes on to `with_stack::", stringify!($name), "`.")]
            ///
            /// # Safety
            ///
            /// As the function that it stands before.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name() {
                arch::stub!($arguments, with_stack::$name)
            }
        )*
    };
}

// Each with how many arguments it takes.
stubs! {
    malloc: 1;
    calloc: 2;
    realloc: 2;
    reallocarray: 3;
    posix_memalign: 3;
    aligned_alloc: 2;
    memalign: 2;
    valloc: 1;
    pvalloc: 1;
    free: 1;
    free_sized: 2;
    free_aligned_sized: 3;
}

/// Where a call comes from.
#[derive(Clone, Copy)]
struct Call {
    sp: usize,
    bp: usize,
}

/// Counts an allocation, and reports it if it is its turn.
#[inline(always)]
fn allocated(slot: Slot, kind: u64, object: Memory, size: usize, call: Call) {
    let counts = slot.counts();
    if object.is_null() {
        return add(&counts.failed, 1);
    }
    add(&counts.allocations, 1);
    add(&counts.bytes, size as u64);
    if let Some(count) = counts.sizes.get(size_class(size as u64)) {
        add(count, 1);
    }
    let left = slot.private().bytes_left.get().wrapping_sub_unsigned(size as u64);
    slot.private().bytes_left.set(left);
    if left < 0 {
        event::allocation(slot, kind, object as usize, size, call.sp, call.bp);
    }
}

/// Counts an object that is about to be freed, and reports it if it has
/// been reported.
#[inline(always)]
fn freeing(object: Memory, sp: usize) {
    if !object.is_null()
        && let Some(slot) = thread::slot()
    {
        add(&slot.counts().frees, 1);
        if slot.private().is_full.get() {
            event::free(slot, object as usize, sp);
        } else if !sampled_set::has_not(object as usize) {
            event::sampled_free(slot, object as usize, sp);
        }
    }
}

/// What the stubs jump to.
mod with_stack {
    use super::*;

    macro_rules! allocators {
        ($($name:ident($($argument:ident: $type:ty),*), $kind:expr, $size:expr;)*) => {
            $(pub(super) unsafe extern "C" fn $name($($argument: $type,)* sp: usize, bp: usize) -> Memory {
                let slot = thread::slot();
                // SAFETY: the program's own call.
                let object = unsafe { real::$name($($argument),*) };
                if let Some(slot) = slot {
                    allocated(slot, $kind, object, $size, Call { sp, bp });
                }
                object
            })*
        };
    }

    allocators! {
        malloc(size: usize), entry::MALLOC, size;
        calloc(count: usize, size: usize), entry::CALLOC, count.wrapping_mul(size);
        aligned_alloc(alignment: usize, size: usize), entry::ALIGNED, size;
        memalign(alignment: usize, size: usize), entry::ALIGNED, size;
        valloc(size: usize), entry::ALIGNED, size;
        pvalloc(size: usize), entry::ALIGNED, size;
    }

    pub(super) unsafe extern "C" fn posix_memalign(
        result: *mut Memory,
        alignment: usize,
        size: usize,
        sp: usize,
        bp: usize,
    ) -> c_int {
        let slot = thread::slot();
        // SAFETY: the program's own call.
        let error = unsafe { real::posix_memalign(result, alignment, size) };
        if let Some(slot) = slot {
            let object = match error {
                // SAFETY: it was written just now.
                0 => unsafe { *result },
                _ => core::ptr::null_mut(),
            };
            allocated(slot, entry::ALIGNED, object, size, Call { sp, bp });
        }
        error
    }

    pub(super) unsafe extern "C" fn realloc(
        object: Memory,
        size: usize,
        sp: usize,
        bp: usize,
    ) -> Memory {
        let Some(slot) = thread::slot() else {
            // SAFETY: the program's own call.
            return unsafe { real::realloc(object, size) };
        };
        let pending = event::before_realloc(slot, object as usize);
        // SAFETY: the program's own call.
        let moved = unsafe { real::realloc(object, size) };
        // With size 0, glibc gives the object back and has nothing to return.
        let is_free = !object.is_null() && (!moved.is_null() || size == 0);
        if is_free {
            add(&slot.counts().frees, 1);
        }
        event::after_realloc(slot, pending, object as usize, is_free, sp);
        if !moved.is_null() || !is_free {
            allocated(slot, entry::REALLOC, moved, size, Call { sp, bp });
        }
        moved
    }

    pub(super) unsafe extern "C" fn reallocarray(
        object: Memory,
        count: usize,
        size: usize,
        sp: usize,
        bp: usize,
    ) -> Memory {
        // glibc's calls `realloc`, by which it would be counted twice.
        match count.checked_mul(size) {
            // SAFETY: the program's own call.
            Some(size) => unsafe { realloc(object, size, sp, bp) },
            None => {
                if let Some(slot) = thread::slot() {
                    add(&slot.counts().failed, 1);
                }
                // SAFETY: the program's own call, which fails.
                unsafe { real::reallocarray(object, count, size) }
            }
        }
    }

    pub(super) unsafe extern "C" fn free(object: Memory, sp: usize) {
        freeing(object, sp);
        // SAFETY: the program's own call.
        unsafe { real::free(object) }
    }

    pub(super) unsafe extern "C" fn free_sized(object: Memory, size: usize, sp: usize) {
        freeing(object, sp);
        // SAFETY: the program's own call.
        unsafe { real::free_sized(object, size) }
    }

    pub(super) unsafe extern "C" fn free_aligned_sized(
        object: Memory,
        alignment: usize,
        size: usize,
        sp: usize,
    ) {
        freeing(object, sp);
        // SAFETY: the program's own call.
        unsafe { real::free_aligned_sized(object, alignment, size) }
    }
}

macro_rules! maps {
    ($($name:ident)*) => {
        $(
            /// mmap(2), counted if it is for memory.
            ///
            /// # Safety
            ///
            /// As mmap(2).
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                address: Memory,
                length: usize,
                protection: c_int,
                flags: c_int,
                file: c_int,
                offset: i64,
            ) -> Memory {
                if flags & libc::MAP_FIXED != 0 {
                    own_memory::note_replaced(address, length);
                }
                // SAFETY: the program's own call.
                let mapped = unsafe { real::$name(address, length, protection, flags, file, offset) };
                if flags & libc::MAP_FIXED != 0 {
                    UNMAPPED.fetch_add(1, Relaxed);
                }
                if mapped != libc::MAP_FAILED
                    && flags & libc::MAP_ANONYMOUS != 0
                    && let Some(slot) = thread::slot()
                {
                    add(&slot.counts().mmaps, 1);
                    add(&slot.counts().mapped, length as u64);
                }
                mapped
            }
        )*
    };
}

maps! { mmap mmap64 }

/// mremap(2), counted by what it adds or takes away.
///
/// # Safety
///
/// As mremap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mremap(
    address: Memory,
    length: usize,
    new: usize,
    flags: c_int,
    to: Memory,
) -> Memory {
    if flags & libc::MREMAP_FIXED != 0 {
        own_memory::note_replaced(to, new);
    }
    // SAFETY: the program's own call. If it passes no fifth argument, neither
    // does the function behind this one look at it.
    let mapped = unsafe { real::mremap(address, length, new, flags, to) };
    UNMAPPED.fetch_add(1, Relaxed);
    if mapped != libc::MAP_FAILED
        && let Some(slot) = thread::slot()
    {
        add(&slot.counts().mapped, new.saturating_sub(length) as u64);
        add(&slot.counts().unmapped, length.saturating_sub(new) as u64);
    }
    mapped
}

/// munmap(2), counted.
///
/// # Safety
///
/// As munmap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: Memory, length: usize) -> c_int {
    // SAFETY: the program's own call.
    let result = unsafe { own_memory::unmap_others(address, length) };
    // Relaxed: who switches to a stack that came in its place has learnt of it
    // from who unmapped, after this.
    UNMAPPED.fetch_add(1, Relaxed);
    if result == 0
        && let Some(slot) = thread::slot()
    {
        add(&slot.counts().munmaps, 1);
        add(&slot.counts().unmapped, length as u64);
    }
    result
}

/// Counts by how much the break was moved.
fn moved_break(by: isize) {
    if let Some(slot) = thread::slot() {
        let counts = slot.counts();
        let count = if by < 0 { &counts.break_down } else { &counts.break_up };
        add(count, by.unsigned_abs() as u64);
    }
}

/// sbrk(2), counted.
///
/// # Safety
///
/// As sbrk(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbrk(increment: isize) -> Memory {
    // SAFETY: the program's own call.
    let previous = unsafe { real::sbrk(increment) };
    if increment != 0 && previous != libc::MAP_FAILED {
        moved_break(increment);
    }
    previous
}

/// brk(2), counted.
///
/// # Safety
///
/// As brk(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brk(address: Memory) -> c_int {
    // SAFETY: only asks.
    let previous = unsafe { real::sbrk(0) };
    // SAFETY: the program's own call.
    let result = unsafe { real::brk(address) };
    if result == 0 {
        moved_break((address as isize).wrapping_sub(previous as isize));
    }
    result
}

/// Before prctl(2). Two of its options have the kernel kill a thread that reads the
/// processor's clock, which we do: `PR_SET_TSC`, and strict seccomp, which allows no
/// system calls either. So that is the end of recording, before it is the program's.
fn before_prctl(option: c_int, second: usize, third: usize) {
    let filter = libc::SECCOMP_MODE_FILTER as usize;
    match option {
        libc::PR_SET_TSC if second == libc::PR_TSC_SIGSEGV as usize => process::lose_clock(),
        libc::PR_SET_SECCOMP if second == libc::SECCOMP_MODE_STRICT as usize => {
            process::lose_clock();
        }
        libc::PR_SET_SECCOMP if second == filter => seccomp::note_filter(third),
        _ => {}
    }
}

/// prctl(2), after a look at it.
///
/// # Safety
///
/// As prctl(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn prctl(
    option: c_int,
    second: usize,
    third: usize,
    fourth: usize,
    fifth: usize,
) -> c_int {
    before_prctl(option, second, third);
    // SAFETY: the program's own call. What it does not pass, the function behind this one
    // does not look at.
    unsafe { real::prctl(option, second, third, fourth, fifth) }
}

/// pkey_alloc(2), noted.
///
/// # Safety
///
/// As pkey_alloc(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pkey_alloc(flags: c_uint, rights: c_uint) -> c_int {
    // SAFETY: the program's own call.
    let key = unsafe { real::pkey_alloc(flags, rights) };
    if key >= 0 {
        HAS_KEYS.store(true, Relaxed);
    }
    key
}

/// syscall(2): by this, programs make calls that have functions above, and seccomp(2),
/// which has none.
///
/// # Safety
///
/// As syscall(2).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall() {
    arch::stub_unless!(
        [libc::SYS_prctl, libc::SYS_seccomp, libc::SYS_munmap, libc::SYS_pkey_alloc],
        watched_syscall,
        real::SYSCALL
    )
}

/// What `syscall` jumps to for some calls, none of which has more than five arguments.
unsafe extern "C" fn watched_syscall(
    number: c_long,
    first: usize,
    second: usize,
    third: usize,
    fourth: usize,
    fifth: usize,
) -> c_long {
    let result = match number {
        // SAFETY: the program's own call.
        libc::SYS_munmap => unsafe { munmap(first as Memory, second) },
        // SAFETY: the program's own call.
        libc::SYS_pkey_alloc => unsafe { pkey_alloc(first as c_uint, second as c_uint) },
        // SAFETY: the program's own call.
        libc::SYS_prctl => unsafe { prctl(first as c_int, second, third, fourth, fifth) },
        _ => {
            match first as c_uint {
                libc::SECCOMP_SET_MODE_STRICT => process::lose_clock(),
                libc::SECCOMP_SET_MODE_FILTER => seccomp::note_filter(third),
                _ => {}
            }
            // SAFETY: the program's own call.
            return unsafe { real::syscall(number, first, second, third, fourth, fifth, 0) };
        }
    };
    c_long::from(result)
}

/// dlclose(3): what was known of code addresses may no longer hold.
///
/// # Safety
///
/// As dlclose(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlclose(handle: Memory) -> c_int {
    // SAFETY: the program's own call.
    let result = unsafe { real::dlclose(handle) };
    // Relaxed: who runs code that came in its place has learnt of it from who
    // loaded that, after this.
    UNLOADED.fetch_add(1, Relaxed);
    result
}
