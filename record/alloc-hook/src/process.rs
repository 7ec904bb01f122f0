//! What holds for all threads of the process: whether the hook is on, and the
//! memory that it shares with the recorder.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use rz_alloc_ring::{
    Control, MAGIC, NO_CLOCK, NO_MEMORY, NOT_FIRST, OTHER_NAMESPACE, SLOTS_OFFSET, VARIABLE,
    VERSION, mode,
};

use crate::real::{self, Memory};
use crate::{arch, clock, objects, sampled_set, stack, symbols, sys};

/// Memory that is all zero in the child of a fork.
#[repr(C, align(4096))]
pub(crate) struct Wiped {
    generation: AtomicU64,
    rest: [u8; 4088],
}

impl Wiped {
    #[inline(always)]
    pub(crate) fn get(&self) -> &AtomicU64 {
        &self.generation
    }
}

/// What a thread's slot was taken in: a number that is another one in each
/// process, or one of the states below.
pub(crate) static GENERATION: Wiped = Wiped { generation: AtomicU64::new(NEW), rest: [0; 4088] };
/// The constructor has not run yet, or the process has just been forked.
pub(crate) const NEW: u64 = 0;
/// Nothing is recorded any more.
pub(crate) const OFF: u64 = 1;
/// Another thread is about to turn the hook on.
pub(crate) const STARTING: u64 = 2;
const FIRST_GENERATION: u64 = 4;

/// Whether the constructor has turned the hook on.
static IS_SET_UP: AtomicBool = AtomicBool::new(false);
static CONTROL: AtomicPtr<Control> = AtomicPtr::new(ptr::null_mut());
/// Whether the clock may be read. The child of a fork inherits it with the rule.
static HAS_CLOCK: AtomicBool = AtomicBool::new(true);

/// How often memory was unmapped or unloaded: what was known of addresses no
/// longer holds.
pub(crate) static UNMAPPED: AtomicU64 = AtomicU64::new(0);
/// How often something was unloaded.
pub(crate) static UNLOADED: AtomicU64 = AtomicU64::new(0);
/// Whether the program has memory protection keys: it can make memory unreadable by one
/// instruction.
pub(crate) static HAS_KEYS: AtomicBool = AtomicBool::new(false);

/// As long as this is the same, memory that could be read still can be.
#[inline(always)]
pub(crate) fn state_of_memory() -> u64 {
    // Relaxed: who reads memory that another thread has changed, has learnt of it since.
    let rights = if HAS_KEYS.load(Relaxed) { arch::key_rights() } else { 0 };
    UNMAPPED.load(Relaxed) ^ u64::from(rights) << 32
}

struct Path(UnsafeCell<([u8; 256], usize)>);
// SAFETY: written by the constructor, before the generation is; read by who
// has seen that.
unsafe impl Sync for Path {}
static PATH: Path = Path(UnsafeCell::new(([0; 256], 0)));

/// The beginning of the shared memory, once it is mapped.
#[inline(always)]
pub(crate) fn control() -> Option<&'static Control> {
    // SAFETY: it stays mapped. Acquire is not needed: it was mapped by this
    // thread, or before the generation changed.
    unsafe { CONTROL.load(Relaxed).as_ref() }
}

/// Path of the shared memory, with a 0 at its end.
pub(crate) fn path() -> &'static [u8] {
    // SAFETY: nobody writes it any more; see `Path`.
    let (bytes, length) = unsafe { &*PATH.0.get() };
    bytes.get(..*length).unwrap_or_default()
}

/// Nothing is recorded from now on.
pub(crate) fn turn_off() {
    GENERATION.get().store(OFF, Relaxed);
}

/// Nothing is recorded from now on, because of `reason`.
fn fail(reason: u32) {
    if let Some(control) = control() {
        // Relaxed: one number. The first reason stays.
        let _ = control.failure.compare_exchange(0, reason, Relaxed, Relaxed);
    }
    turn_off();
}

/// Nothing is recorded from now on, in this process and those that it forks: a thread of
/// it, and all that it starts, may not read the clock.
pub(crate) fn lose_clock() {
    HAS_CLOCK.store(false, Relaxed);
    fail(NO_CLOCK);
}

/// Nothing is recorded from now on: other memory comes where the shared one is.
pub(crate) fn lose_memory() {
    fail(NO_MEMORY);
    // Relaxed: who still uses it, has it from before.
    CONTROL.store(ptr::null_mut(), Relaxed);
}

/// Where the beginning of the shared memory is.
pub(crate) fn mapped(control: &Control) -> Range<usize> {
    let start = ptr::from_ref(control) as usize;
    start..start + SLOTS_OFFSET
}

/// Called by the loader before any other constructor.
#[cfg_attr(not(test), unsafe(link_section = ".init_array"), used)]
#[cfg_attr(test, allow(dead_code))]
static CONSTRUCTOR: unsafe extern "C" fn(i32, *const *mut c_char, *mut *mut c_char) = construct;

unsafe extern "C" fn construct(
    _: i32,
    arguments: *const *mut c_char,
    environment: *mut *mut c_char,
) {
    stack::note_first_end(arguments as usize);
    real::find();
    // SAFETY: what the loader passes.
    unsafe { objects::note_program(environment.cast_const().cast()) };
    // SAFETY: what the loader passes, and nobody else runs yet.
    let result = unsafe { set_up(environment) };
    match result {
        Ok(true) => {}
        Ok(false) => turn_off(),
        Err(reason) => fail(reason),
    }
}

/// Turns the hook on if it is to be.
///
/// # Safety
///
/// `environment` is that of the process, and nobody else runs.
unsafe fn set_up(environment: *mut *mut c_char) -> Result<bool, u32> {
    // SAFETY: as above.
    let Some(path) = (unsafe { environment::find(environment, VARIABLE) }) else {
        return Ok(false);
    };
    let too_long = libc::ENAMETOOLONG as u32;
    // SAFETY: nobody reads it yet.
    let (bytes, length) = unsafe { &mut *PATH.0.get() };
    bytes.get_mut(..path.len()).ok_or(too_long)?.copy_from_slice(path);
    *length = path.len();
    let memory = sys::map_file(path, 0, SLOTS_OFFSET)?.cast::<Control>();
    // SAFETY: mapped, and large enough.
    let control = unsafe { &*memory };
    let is_target = control.follow != 0 || control.target_pid == sys::getpid();
    if !is_target {
        // Whoever this process starts need not even load the library. The
        // target itself keeps the variables: it may become another program.
        // SAFETY: as above.
        unsafe { environment::clean(environment) };
    }
    let is_on = matches!(control.mode.load(Relaxed), mode::SAMPLED | mode::FULL);
    if control.magic != MAGIC || control.version != VERSION || !is_target || !is_on {
        // SAFETY: `control` is not used any more.
        unsafe { sys::unmap(memory.cast(), SLOTS_OFFSET) };
        return Ok(false);
    }
    CONTROL.store(memory, Release);
    if !symbols::is_first(c"malloc") {
        return Err(NOT_FIRST);
    }
    if is_elsewhere(control) {
        return Err(OTHER_NAMESPACE);
    }
    clock::choose(control.clock);
    // SAFETY: a page of its own in .bss, and it may be all zero.
    let wiped = unsafe { sys::wipe_on_fork((&raw const GENERATION).cast(), size_of::<Wiped>()) };
    if let Err(reason) = wiped {
        let (none, child) = (ptr::null_mut(), after_fork as *mut ());
        // SAFETY: the function can be called at any time.
        let result = unsafe { real::__register_atfork(none, none, child as Memory, none) };
        if result != 0 {
            return Err(reason);
        }
    }
    IS_SET_UP.store(true, Relaxed);
    start(control);
    Ok(true)
}

/// Whether the process's ids are not what the recorder knows it by. Asked once
/// in its life: no process changes the namespace of its own ids.
fn is_elsewhere(control: &Control) -> bool {
    let own = sys::pid_namespace().unwrap_or(control.pid_namespace);
    control.pid_namespace != 0 && own != control.pid_namespace
}

extern "C" fn after_fork() {
    GENERATION.get().store(NEW, Relaxed);
}

/// Begins a new generation, which it returns.
fn start(control: &Control) -> u64 {
    // Relaxed: a statistic.
    control.started.fetch_add(1, Relaxed);
    let generation = arch::ticks() ^ u64::from(sys::getpid()) << 40;
    let generation = generation.max(FIRST_GENERATION);
    // Release: who sees it, sees what it stands for.
    GENERATION.get().store(generation, Release);
    generation
}

/// Begins anew after a fork, if it was one and the child is recorded too.
pub(crate) fn restart() -> Option<u64> {
    let control = control()?;
    if !IS_SET_UP.load(Relaxed) {
        return None;
    }
    // Only one thread does it. Others go without until it is done.
    GENERATION.get().compare_exchange(NEW, STARTING, Acquire, Relaxed).ok()?;
    if control.follow == 0 && control.target_pid != sys::getpid() {
        turn_off();
        return None;
    }
    if !HAS_CLOCK.load(Relaxed) {
        turn_off();
        return None;
    }
    if is_elsewhere(control) {
        fail(OTHER_NAMESPACE);
        return None;
    }
    sampled_set::clear();
    Some(start(control))
}

/// The environment that the process was given.
mod environment {
    use super::*;

    fn value<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
        let rest = entry.to_bytes_with_nul().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    }

    /// The entry at `index`.
    ///
    /// # Safety
    ///
    /// There are so many entries, not counting the null at their end.
    unsafe fn get<'a>(environment: *mut *mut c_char, index: usize) -> Option<&'a CStr> {
        // SAFETY: as the caller vouches for.
        let entry = unsafe { *environment.wrapping_add(index) };
        // SAFETY: entries are strings.
        (!entry.is_null()).then(|| unsafe { CStr::from_ptr(entry) })
    }

    /// The value of a variable, with a 0 at its end.
    ///
    /// # Safety
    ///
    /// `environment` is a list of strings that ends with null.
    pub(super) unsafe fn find<'a>(environment: *mut *mut c_char, name: &str) -> Option<&'a [u8]> {
        if environment.is_null() {
            return None;
        }
        (0..)
            // SAFETY: none behind the null is asked for.
            .map_while(|index| unsafe { get(environment, index) })
            .find_map(|entry| value(entry, name))
    }

    /// Takes our variable out, and the library out of what is preloaded.
    ///
    /// # Safety
    ///
    /// As for `find`, and nobody else uses the environment.
    pub(super) unsafe fn clean(environment: *mut *mut c_char) {
        let own = symbols::own_name().map_or(&[][..], CStr::to_bytes);
        let (mut from, mut to) = (0, 0);
        // SAFETY: none behind the null is asked for.
        while let Some(entry) = unsafe { get(environment, from) } {
            let mut kept = entry.as_ptr().cast_mut();
            if value(entry, VARIABLE).is_some() {
                kept = ptr::null_mut();
            } else if let Some(list) = value(entry, "LD_PRELOAD")
                && let Some((from, to)) = without(own, list)
            {
                let (start, length) = (kept.cast::<u8>(), list.len());
                let list = start.wrapping_add(entry.to_bytes_with_nul().len() - length);
                // SAFETY: towards the beginning of the same string, which is
                // the process's own to change.
                unsafe { ptr::copy(list.wrapping_add(from), list.wrapping_add(to), length - from) };
                if length - from + to <= 1 {
                    kept = ptr::null_mut();
                }
            }
            if !kept.is_null() {
                // SAFETY: at most as many are written as were read.
                unsafe { *environment.wrapping_add(to) = kept };
                to += 1;
            }
            from += 1;
        }
        // SAFETY: as above.
        unsafe { *environment.wrapping_add(to) = ptr::null_mut() };
    }

    /// How to remove a library from a list of those to preload, which ends
    /// with 0: what has to be moved, up to the end, and where to.
    fn without(name: &[u8], list: &[u8]) -> Option<(usize, usize)> {
        let is_between = |letter: &u8| matches!(letter, b':' | b' ' | 0);
        let mut start = 0;
        for item in list.split_inclusive(is_between) {
            let end = start + item.len();
            if item.split_last().is_some_and(|(_, item)| item == name) {
                // If it is the last one, the one before it comes last now.
                let is_last = end == list.len();
                return Some(if is_last {
                    (end - 1, start.saturating_sub(1))
                } else {
                    (end, start)
                });
            }
            start = end;
        }
        None
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_library_leaves_the_list() {
            for (list, expected) in [
                (&b"/hook.so\0"[..], &b"\0"[..]),
                (b"/hook.so:/other.so\0", b"/other.so\0"),
                (b"/other.so:/hook.so\0", b"/other.so\0"),
                (b"a /hook.so b\0", b"a b\0"),
                (b"/other/hook.so\0", b"/other/hook.so\0"),
                (b"\0", b"\0"),
            ] {
                let mut left = list.to_vec();
                if let Some((from, to)) = without(b"/hook.so", list) {
                    left.drain(to..from);
                }
                assert_eq!(left, expected, "{}", list.escape_ascii());
            }
        }
    }
}
