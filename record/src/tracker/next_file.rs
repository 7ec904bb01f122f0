//! A tracker for the next file of a recording that goes on.
//!
//! Processes, threads, modules, code objects, stacks and texts have numbers that mean
//! something in one file only. So the next file has a tracker of its own, to which all that
//! is there is told anew; what it takes over is named here and in the `next_file` of its
//! parts, field by field, so that a new field does not compile until somebody has decided
//! whose it is.

use std::mem::replace;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rz_format::{Exit, Record};

use super::facts::process_facts;
use super::identity::Left;
use super::process::{Lasting, Process, Thread, ThreadStack};
use super::procfs;
use super::{Findings, Moment, Tracker};
use crate::host::now_ns;

impl Tracker {
    /// Adds what can only be said at the end of a file that is followed by another one, in
    /// the end of which all targets' events have counted so much. Findings must have been
    /// taken, so that all frames are known.
    pub(crate) fn finish_file(&mut self, end_ns: u64, counted: Option<u64>) {
        self.end_cpu_times(counted);
        let throttled: Vec<(u32, u64)> =
            self.throttled.iter().map(|((_, cpu), from_ns)| (*cpu, *from_ns)).collect();
        for (cpu, from_ns) in throttled {
            self.lose_throttled(cpu, from_ns, end_ns);
        }
        self.finish_names();
    }

    /// From now on, finds what is for a file that begins at `start_ns`: first of all, who
    /// is there already.
    pub(crate) fn begin_next_file(&mut self, start_ns: u64) {
        let nobody = Tracker::new(self.policy.clone(), Arc::clone(&self.stacks.learned));
        *self = replace(self, nobody).next_file(start_ns);
    }

    fn next_file(self, start_ns: u64) -> Tracker {
        let Tracker {
            policy,
            sources,
            direct,
            processes,
            threads,
            ended,
            launched,
            before,
            cpu_times,
            facts_left: _,
            next_process: _,
            next_thread: _,
            stacks,
            publishers: _,
            texts: _,
            call_data: _,
            next_data,
            found,
            later_events,
            // All of it was handed on.
            unsettled: _,
            hooked,
            counts,
            weight,
            last_seen,
            throttled,
            one_sample_in,
        } = self;
        let learned = Arc::clone(&stacks.learned);
        let mut next = Tracker {
            sources,
            direct,
            ended: ended.next_file(start_ns),
            launched,
            before,
            cpu_times: cpu_times.next_file(),
            stacks: stacks.next_file(),
            next_data,
            found: Findings { records: later_events.clone(), ..found },
            later_events,
            hooked: hooked.next_file(),
            weight,
            last_seen,
            throttled: throttled.into_keys().map(|key| (key, start_ns)).collect(),
            one_sample_in,
            ..Tracker::new(policy, learned)
        };
        next.take_over(processes, threads);
        next.watch_new_publishers();
        next.stacks.modules.forget_unmapped();
        // They are of all files.
        next.counts = counts;
        next
    }

    /// Tells of processes and threads that go on, in the order in which they came.
    fn take_over(&mut self, processes: FxHashMap<u32, Process>, threads: FxHashMap<u32, Thread>) {
        let mut of_process: FxHashMap<u32, Vec<(u32, Thread)>> = FxHashMap::default();
        for (tid, thread) in threads {
            of_process.entry(thread.pid).or_default().push((tid, thread));
        }
        let mut processes: Vec<(u32, Process)> = processes.into_iter().collect();
        processes.sort_by_key(|(_, process)| process.id);
        for (pid, process) in processes {
            let mut threads = of_process.remove(&pid).unwrap_or_default();
            threads.sort_by_key(|(_, thread)| thread.id);
            let earlier = process.id;
            let id = self.take_over_process(pid, process.lasting());
            self.ended.is_now(earlier, id);
            for (tid, thread) in threads {
                self.take_over_thread(id, tid, thread);
            }
        }
    }

    fn take_over_process(&mut self, pid: u32, lasting: Lasting) -> u32 {
        let Lasting { origin, mappings, publishes, allocators } = lasting;
        let exe = origin.exe.clone();
        let id = self.new_process(pid, 0, origin);
        for entry in mappings {
            // Capturing knows of its CPython, unless the process is gone by now.
            let _ = self.map_for_us(pid, 0, entry);
        }
        if let Some(process) = self.processes.get_mut(&pid) {
            process.publishes |= publishes;
        }
        for path in allocators {
            self.add_allocator(pid, &path);
        }
        // It may run another program by now, of which it has not been told yet.
        if procfs::executable(pid) == exe {
            self.record_facts(id, process_facts(pid, self.policy.facts));
            if let Some(limit) = self.policy.open_files {
                self.record_belongings(id, now_ns(), procfs::belongings(pid, limit));
            }
        }
        id
    }

    fn take_over_thread(&mut self, process: u32, tid: u32, thread: Thread) {
        let Thread { id: _, pid, owner, start_ns, name, stack, left_out, ran } = thread;
        let ThreadStack { end, kept: _, python: _, code_version: _ } = stack;
        self.new_thread(pid, process, tid, owner, 0, &name);
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.stack.end = end;
            (thread.start_ns, thread.left_out, thread.ran) = (start_ns, left_out, ran);
        }
    }

    /// The number of the thread that has ended not long before the moment, and had its id.
    pub(super) fn just_ended(&mut self, moment: Moment) -> Option<u32> {
        let Moment { time_ns, tid, .. } = moment;
        let ended = self.ended.just_ended(tid, time_ns);
        ended.or_else(|| {
            let left = self.ended.take_left(tid, |end_ns| end_ns <= time_ns)?;
            Some(self.tell_of(left))
        })
    }

    /// The number of the ended thread that began at `start_ns` and had this id.
    pub(super) fn ended_since(&mut self, tid: u32, start_ns: u64) -> Option<u32> {
        match self.ended.take_left(tid, |end_ns| start_ns <= end_ns) {
            Some(left) => Some(self.tell_of(left)),
            None => self.ended.find(tid, start_ns),
        }
    }

    /// Tells of a thread that had ended before this file began, and of which there is
    /// something in it all the same.
    fn tell_of(&mut self, left: Left) -> u32 {
        let Left { tid, end_ns, name, process } = left;
        let pid = process.pid;
        let process = match self.ended.number_now(process.id) {
            Some(number) => number,
            None => {
                let (id, earlier) = (self.next_process, process.id);
                self.next_process += 1;
                self.ended.is_now(earlier, id);
                let process = rz_format::Process { id, start_ns: 0, ..process };
                self.found.records.push(Record::Process(process));
                self.found.records.push(Record::ProcessExit(Exit { id, time_ns: end_ns }));
                id
            }
        };
        let id = self.next_thread;
        self.next_thread += 1;
        log::debug!("thread {tid} of process {pid} is known from the file before");
        let thread = rz_format::Thread { id, process, tid, start_ns: 0, name };
        self.found.records.push(Record::Thread(thread));
        self.found.records.push(Record::ThreadExit(Exit { id, time_ns: end_ns }));
        self.ended.add(tid, end_ns, id);
        id
    }
}
