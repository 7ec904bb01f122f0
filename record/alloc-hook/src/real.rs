//! The functions that programs mean: those behind ours.
//!
//! All are found at the first call to any. That is early: the loader calls
//! `malloc` before it calls a constructor.

use core::ffi::{c_int, c_long, c_uint, c_void};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::objects::Object;
use crate::symbols;

/// Memory, as C sees it.
pub(crate) type Memory = *mut c_void;

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $result:ty, or $missing:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// Its own.
            #[inline(always)]
            pub(crate) unsafe fn $name($($argument: $type),*) -> $result {
                type Function = unsafe extern "C" fn($($type),*) -> $result;
                let function = table::$name.load(Relaxed);
                // SAFETY: the table only holds functions of that type.
                let function = unsafe { core::mem::transmute::<*mut (), Function>(function) };
                // SAFETY: as the caller vouches for.
                unsafe { function($($argument),*) }
            }
        )*

        /// Where they are. Each holds what can be called at any time.
        #[allow(non_upper_case_globals)]
        mod table {
            use super::*;
            $(pub(crate) static $name: AtomicPtr<()> = AtomicPtr::new(early::$name as *mut ());)*
        }

        /// What is called until they are found.
        mod early {
            use super::*;
            $(pub(super) unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                find();
                // SAFETY: as the caller vouches for.
                unsafe { super::$name($($argument),*) }
            })*
        }

        /// What stands in for those that there are not.
        #[allow(unused_variables, clippy::missing_safety_doc)]
        mod missing {
            use super::*;
            $(pub(super) unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                // SAFETY: as the caller vouches for.
                #[allow(unused_unsafe)]
                unsafe { $missing }
            })*
        }

        /// Finds them. To do so twice at the same time finds the same.
        pub(crate) fn find() {
            $(
                const {
                    assert!(stringify!($name).len() < 32);
                }
                let found = cstr(concat!(stringify!($name), "\0")).and_then(symbols::next);
                table::$name.store(found.unwrap_or(missing::$name as *mut ()), Relaxed);
            )*
        }
    };
}

/// Where the address of `syscall` is.
#[cfg(not(test))]
pub(crate) use table::syscall as SYSCALL;

/// Where the program's own `malloc` is.
pub(crate) fn address_of_malloc() -> u64 {
    table::malloc.load(Relaxed) as u64
}

fn cstr(name: &'static str) -> Option<&'static core::ffi::CStr> {
    core::ffi::CStr::from_bytes_with_nul(name.as_bytes()).ok()
}

/// More than any allocator gives: it fails as it would by itself.
const TOO_MUCH: usize = usize::MAX >> 1;

functions! {
    /// malloc(3).
    malloc(size: usize) -> Memory, or core::ptr::null_mut();
    /// malloc(3).
    calloc(count: usize, size: usize) -> Memory, or core::ptr::null_mut();
    /// malloc(3).
    realloc(object: Memory, size: usize) -> Memory, or core::ptr::null_mut();
    /// malloc(3).
    reallocarray(object: Memory, count: usize, size: usize) -> Memory,
        or super::realloc(object, count.checked_mul(size).unwrap_or(TOO_MUCH));
    /// malloc(3).
    free(object: Memory) -> (), or ();
    /// C23; there is only what is known by now.
    free_sized(object: Memory, _size: usize) -> (), or super::free(object);
    /// C23; there is only what is known by now.
    free_aligned_sized(object: Memory, _alignment: usize, _size: usize) -> (),
        or super::free(object);
    /// posix_memalign(3).
    posix_memalign(object: *mut Memory, alignment: usize, size: usize) -> c_int, or libc::ENOMEM;
    /// posix_memalign(3).
    memalign(alignment: usize, size: usize) -> Memory, or core::ptr::null_mut();
    /// posix_memalign(3).
    aligned_alloc(alignment: usize, size: usize) -> Memory, or super::memalign(alignment, size);
    /// posix_memalign(3).
    valloc(size: usize) -> Memory, or super::memalign(4096, size);
    /// posix_memalign(3).
    pvalloc(size: usize) -> Memory,
        or super::memalign(4096, size.checked_next_multiple_of(4096).unwrap_or(TOO_MUCH));
    /// mmap(2).
    mmap(address: Memory, length: usize, protection: c_int, flags: c_int, file: c_int,
        offset: i64) -> Memory, or libc::MAP_FAILED;
    /// mmap(2).
    mmap64(address: Memory, length: usize, protection: c_int, flags: c_int, file: c_int,
        offset: i64) -> Memory, or libc::MAP_FAILED;
    /// mremap(2); the last argument may be missing.
    mremap(address: Memory, length: usize, new: usize, flags: c_int, to: Memory) -> Memory,
        or libc::MAP_FAILED;
    /// mmap(2).
    munmap(address: Memory, length: usize) -> c_int, or -1;
    /// brk(2).
    brk(address: Memory) -> c_int, or -1;
    /// brk(2).
    sbrk(increment: isize) -> Memory, or libc::MAP_FAILED;
    /// dlclose(3). Before glibc 2.34 it is in a library of its own, which may
    /// have been loaded later.
    dlclose(handle: Memory) -> c_int, or match symbols::next(c"dlclose") {
        None => -1,
        Some(found) => {
            table::dlclose.store(found, Relaxed);
            super::dlclose(handle)
        }
    };
    /// prctl(2); how many arguments there are depends on the first.
    prctl(option: c_int, second: usize, third: usize, fourth: usize, fifth: usize) -> c_int, or -1;
    /// pkey_alloc(2), since glibc 2.27.
    pkey_alloc(flags: c_uint, rights: c_uint) -> c_int, or -1;
    /// syscall(2); how many arguments there are depends on the first.
    syscall(number: c_long, first: usize, second: usize, third: usize, fourth: usize,
        fifth: usize, sixth: usize) -> c_long, or -1;
    /// clock_gettime(2).
    clock_gettime(clock: c_int, time: *mut libc::timespec) -> c_int, or -1;
    /// Calls a function in the child after each fork; since glibc 2.3.2.
    __register_atfork(prepare: Memory, parent: Memory, child: Memory, library: Memory) -> c_int,
        or -1;
    /// What is loaded at an address, since glibc 2.35. Takes no lock.
    _dl_find_object(address: Memory, result: *mut Object) -> c_int,
        or crate::objects::search(address as usize, result);
}

/// `CLOCK_MONOTONIC`; 0 if there is none.
pub(crate) fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes the time. It does not fail, and so leaves errno alone.
    let _ = unsafe { clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
