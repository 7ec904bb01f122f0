//! Numbers processes and threads of inputs that mention them with each sample.

use rustc_hash::FxHashMap;
use rz_format::{Process, Record, Thread};

use super::ImportError;
use super::output::Output;

/// Processes and threads, each, at most; further ones are one.
pub(super) const MAX_THREADS: usize = 1 << 20;

/// A thread as the input names it. Numbers are 0 where they are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// The thread's name.
    pub(super) name: String,
}

/// What stands for those that are too many.
fn others() -> Named {
    Named { pid: 0, tid: 0, name: "[others]".to_owned() }
}

/// The processes and threads met so far.
#[derive(Debug, Default)]
pub(super) struct Threads {
    /// By pid, or by name without one.
    processes: FxHashMap<(u32, String), u32>,
    threads: FxHashMap<Named, u32>,
}

impl Threads {
    /// The number of a thread. Its process has the name of its first thread,
    /// or else `process`, or else that of the thread at hand.
    pub(super) fn id(
        &mut self,
        thread: Named,
        process: Option<&str>,
        out: &mut Output,
    ) -> Result<u32, ImportError> {
        if let Some(&id) = self.threads.get(&thread) {
            return Ok(id);
        }
        if self.threads.len() >= MAX_THREADS && thread != others() {
            return self.id(others(), None, out);
        }
        let is_first = thread.pid == thread.tid;
        let key = (thread.pid, if thread.pid == 0 { thread.name.clone() } else { String::new() });
        let next = self.processes.len() as u32;
        let id = *self.processes.entry(key).or_insert(next);
        if id == next || is_first {
            // One that is known is written again: now its name is known, too.
            let name = if is_first { &thread.name } else { process.unwrap_or(&thread.name) };
            let Named { pid, .. } = thread;
            let process = Process { id, pid, name: name.to_owned(), ..Process::default() };
            out.record(Record::Process(process))?;
        }
        let number = self.threads.len() as u32;
        let Named { tid, ref name, .. } = thread;
        let record = Thread { id: number, process: id, tid, name: name.clone(), start_ns: 0 };
        out.record(Record::Thread(record))?;
        self.threads.insert(thread, number);
        Ok(number)
    }
}
