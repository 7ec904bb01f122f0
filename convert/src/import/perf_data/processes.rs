//! Which processes and threads there are, and what they have mapped.
//!
//! A file tells of every process of the machine; in the trace are those that
//! were sampled, from their first sample on.

use rustc_hash::FxHashMap;
use rz_format::{Exit, Process, Record, Thread, ThreadName};
use rz_unwind::AddressSpace;

use super::super::ImportError;
use super::super::output::Output;
use super::modules::Area;

/// What is known by its number.
#[derive(Debug, Default)]
pub(super) struct Processes {
    by_pid: FxHashMap<u32, ProcessOf>,
    by_tid: FxHashMap<u32, ThreadOf>,
    /// How many there are in the trace.
    processes: u32,
    threads: u32,
}

#[derive(Debug, Clone, Default)]
struct ProcessOf {
    /// Its number in the trace, once it is in there.
    id: Option<u32>,
    space: AddressSpace<Area>,
    record: Process,
    live_threads: u32,
}

#[derive(Debug, Clone)]
struct ThreadOf {
    /// Its number in the trace, once it is in there.
    id: Option<u32>,
    pid: u32,
    start_ns: u64,
    name: String,
    is_over: bool,
}

/// A thread, and when something happened to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) time_ns: u64,
}

/// A thread that was sampled.
pub(super) struct Running<'p> {
    /// Numbers in the trace.
    pub(super) thread: u32,
    pub(super) process: u32,
    /// What its process has mapped.
    pub(super) space: &'p mut AddressSpace<Area>,
}

impl Processes {
    /// The thread, which is in the trace from now on.
    pub(super) fn of(
        &mut self,
        moment: Moment,
        out: &mut Output,
    ) -> Result<Running<'_>, ImportError> {
        let Moment { pid, tid, .. } = moment;
        if self.by_tid.get(&tid).is_none_or(|thread| thread.pid != pid) {
            self.add_thread(Moment { time_ns: 0, ..moment }, &default_name(pid, tid));
        }
        let process = self.by_pid.entry(pid).or_default();
        let process_id = match process.id {
            Some(id) => id,
            None => {
                let id = next(&mut self.processes)?;
                process.record.id = id;
                process.id = Some(id);
                out.record(Record::Process(process.record.clone()))?;
                id
            }
        };
        let known = self.by_tid.get_mut(&tid);
        let thread_id = match known.as_ref().and_then(|thread| thread.id) {
            Some(id) => id,
            None => {
                let id = next(&mut self.threads)?;
                let mut record = Thread { id, process: process_id, tid, ..Thread::default() };
                if let Some(thread) = known {
                    thread.id = Some(id);
                    record.start_ns = thread.start_ns;
                    record.name.clone_from(&thread.name);
                }
                out.record(Record::Thread(record))?;
                id
            }
        };
        Ok(Running { thread: thread_id, process: process_id, space: &mut process.space })
    }

    /// A thread has a name, perhaps another one than before, or a process runs
    /// another program.
    pub(super) fn name(
        &mut self,
        moment: Moment,
        name: &str,
        is_exec: bool,
        out: &mut Output,
    ) -> Result<(), ImportError> {
        let Moment { pid, tid, time_ns } = moment;
        if is_exec {
            let parent_pid = self.by_pid.get(&pid).map_or(0, |process| process.record.parent_pid);
            let name = name.to_owned();
            let record = Process { pid, parent_pid, start_ns: time_ns, name, ..Process::default() };
            self.by_pid.insert(pid, ProcessOf { record, ..ProcessOf::default() });
            self.by_tid.remove(&tid);
        }
        let known = self.by_tid.get_mut(&tid).filter(|thread| thread.pid == pid && !thread.is_over);
        let Some(thread) = known else {
            self.add_thread(moment, name);
            return Ok(());
        };
        if thread.name == name {
            return Ok(());
        }
        name.clone_into(&mut thread.name);
        let id = thread.id;
        if let Some(process) = self.by_pid.get_mut(&pid).filter(|p| p.id.is_none() && pid == tid) {
            name.clone_into(&mut process.record.name);
        }
        match id {
            Some(thread) => out.record(Record::ThreadName(ThreadName {
                thread,
                time_ns,
                name: name.to_owned(),
            })),
            None => Ok(()),
        }
    }

    /// A thread was started, or a process if the parent is another one. At the
    /// beginning, perf tells of those that were there before in the same way.
    pub(super) fn fork(&mut self, moment: Moment, (parent_pid, parent_tid): (u32, u32)) {
        let Moment { pid, tid, time_ns } = moment;
        let was_there = time_ns == 0;
        let parent = self.by_tid.get(&parent_tid).filter(|_| !was_there);
        let name = parent.map_or_else(|| default_name(pid, tid), |parent| parent.name.clone());
        if pid != parent_pid {
            let parent = self.by_pid.get(&parent_pid).filter(|_| !was_there);
            let (space, exe) = parent
                .map(|parent| (parent.space.clone(), parent.record.exe.clone()))
                .unwrap_or_default();
            let name = name.clone();
            let record =
                Process { pid, parent_pid, start_ns: time_ns, exe, name, ..Process::default() };
            self.by_pid.insert(pid, ProcessOf { space, record, ..ProcessOf::default() });
        }
        self.add_thread(moment, &name);
    }

    /// A thread has ended.
    pub(super) fn exit(&mut self, moment: Moment, out: &mut Output) -> Result<(), ImportError> {
        let Moment { pid, tid, time_ns } = moment;
        let Some(thread) = self.by_tid.get_mut(&tid).filter(|t| t.pid == pid && !t.is_over) else {
            return Ok(());
        };
        thread.is_over = true;
        if let Some(id) = thread.id {
            out.record(Record::ThreadExit(Exit { id, time_ns }))?;
        }
        let Some(process) = self.by_pid.get_mut(&pid) else { return Ok(()) };
        process.live_threads = process.live_threads.saturating_sub(1);
        match process.id.filter(|_| process.live_threads == 0) {
            Some(id) => out.record(Record::ProcessExit(Exit { id, time_ns })),
            None => Ok(()),
        }
    }

    /// A process has mapped code. The first file is its program.
    pub(super) fn map(&mut self, moment: Moment, area: Area, path: Option<&str>) {
        let process = self.process(moment.pid);
        process.space.insert(area);
        if let Some(path) = path.filter(|_| process.record.exe.is_empty()) {
            path.clone_into(&mut process.record.exe);
        }
    }

    /// The process, which is made up if nothing told of it.
    fn process(&mut self, pid: u32) -> &mut ProcessOf {
        self.by_pid.entry(pid).or_insert_with(|| {
            let record = Process { pid, name: default_name(pid, pid), ..Process::default() };
            ProcessOf { record, ..ProcessOf::default() }
        })
    }

    fn add_thread(&mut self, moment: Moment, name: &str) {
        let Moment { pid, tid, time_ns: start_ns } = moment;
        let process = self.process(pid);
        process.live_threads = process.live_threads.saturating_add(1);
        if pid == tid && process.id.is_none() {
            name.clone_into(&mut process.record.name);
        }
        let name = name.to_owned();
        self.by_tid.insert(tid, ThreadOf { id: None, pid, start_ns, name, is_over: false });
    }
}

/// The next number of a kind.
fn next(count: &mut u32) -> Result<u32, ImportError> {
    let id = *count;
    *count = id.checked_add(1).ok_or(ImportError::TooMany("processes and threads"))?;
    Ok(id)
}

/// What something is called that perf did not tell of; as perf calls it.
fn default_name(pid: u32, tid: u32) -> String {
    match pid {
        0 => "swapper".to_owned(),
        _ => format!(":{tid}"),
    }
}
