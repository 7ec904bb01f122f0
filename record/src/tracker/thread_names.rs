//! Names that runtimes give their threads, which are longer than what the kernel keeps,
//! and which it is not always told.

use rustc_hash::FxHashMap;
use rz_format::{Record, ThreadName};

use super::Tracker;
use super::process::{Process, read_memory};
use super::procfs;
use crate::host::now_ns;

/// How often names are read: at once when a thread is new or has another name, but no more
/// often than the first, and otherwise as often as the second.
const SOON_NS: u64 = 50_000_000;
const USUALLY_NS: u64 = 1_000_000_000;
/// The share of its time that the recorder spends on this at most.
const MAX_SHARE: u64 = 100;

/// When a process's names are to be read.
#[derive(Debug, Default)]
pub(crate) struct NamesDue {
    /// Whether it has a thread whose name may not have been read.
    has_new: bool,
    read_ns: u64,
    took_ns: u64,
    /// Threads by their numbers in the process's own pid namespace, if that is another one.
    numbers: FxHashMap<u32, u32>,
}

impl NamesDue {
    /// A thread was started, or has got another name.
    pub(crate) fn soon(&mut self) {
        self.has_new = true;
    }

    fn is_due(&self, now_ns: u64) -> bool {
        let pause = if self.has_new { SOON_NS } else { USUALLY_NS };
        let pause = pause.max(self.took_ns.saturating_mul(MAX_SHARE));
        now_ns.saturating_sub(self.read_ns) >= pause
    }
}

impl Tracker {
    /// Reads the names that are due.
    pub(crate) fn read_thread_names(&mut self) {
        let now_ns = now_ns();
        self.read_names_of(|process| process.names_due.is_due(now_ns));
    }

    /// Reads those that may have changed since they were read.
    pub(super) fn finish_thread_names(&mut self) {
        self.read_names_of(|_| true);
    }

    fn read_names_of(&mut self, is_due: impl Fn(&Process) -> bool) {
        let Tracker { processes, threads, found, .. } = self;
        for (&pid, process) in processes {
            if process.hotspot.is_none() || !is_due(process) {
                continue;
            }
            for (tid, name) in names(pid, process) {
                let thread = threads.get_mut(&tid).filter(|thread| thread.pid == pid);
                if let Some(thread) = thread
                    && thread.name != name
                {
                    thread.name.clone_from(&name);
                    let time_ns = process.names_due.read_ns;
                    let named = ThreadName { thread: thread.id, time_ns, name };
                    found.records.push(Record::ThreadName(named));
                }
            }
        }
    }
}

/// The names of a process's threads.
fn names(pid: u32, process: &mut Process) -> Vec<(u32, String)> {
    let Some(hotspot) = &mut process.hotspot else { return Vec::new() };
    let begun_ns = now_ns();
    let memory = |address: u64, to: &mut [u8]| read_memory(pid, address, to);
    let mut names = hotspot.thread_names(begun_ns, &memory);
    names.retain(|(_, name)| !name.is_empty());
    let due = &mut process.names_due;
    if !names.is_empty() && procfs::identity(pid, pid).is_ok_and(|own| own.number != pid) {
        if names.iter().any(|(number, _)| !due.numbers.contains_key(number)) {
            due.numbers = numbers(pid);
        }
        names.retain_mut(|(number, _)| due.numbers.get(number).map(|tid| *number = *tid).is_some());
    }
    let now_ns = now_ns();
    (due.has_new, due.read_ns, due.took_ns) = (false, now_ns, now_ns.saturating_sub(begun_ns));
    names
}

/// A process's threads by what they are called in its own pid namespace.
fn numbers(pid: u32) -> FxHashMap<u32, u32> {
    let threads = procfs::threads(pid).unwrap_or_default().into_iter();
    threads.filter_map(|tid| Some((procfs::identity(pid, tid).ok()?.number, tid))).collect()
}
