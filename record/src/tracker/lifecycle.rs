//! Processes and threads as they come and go, and what they map.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rz_format::{
    Exit, Mapping, Note, OpenFile, ProcessFacts, Record, ThreadName, WorkingDirectory,
};

use super::cpu_times::Ran;
use super::facts::{completed, process_facts};
use super::identity::Left;
use super::process::{LeftOut, Origin, Process, Thread, ThreadStack};
use super::procfs::{self, Belongings, MapEntry};
use super::stacks::Moment;
use super::{Ended, Launched, MAX_FACTS, Scope, Tracker};
use crate::event::RawEvent;
use crate::host::now_ns;
use crate::hotspot;
use crate::python::{Interpreter, Walk};
use crate::v8::Engine;

impl Tracker {
    /// Takes in a process that runs already, as `/proc` shows it. If events
    /// belong to threads, other threads than theirs will be reported.
    pub(crate) fn adopt(&mut self, pid: u32) {
        let (name, exe) = (procfs::thread_name(pid, pid), procfs::executable(pid));
        let id = self.new_process(pid, 0, Origin { name, exe, parent_pid: None, argv0: None });
        for entry in procfs::executable_maps(pid).unwrap_or_default() {
            self.map(pid, 0, entry);
        }
        let mut threads = procfs::threads(pid).unwrap_or_default();
        if self.policy.scope == Scope::Opened {
            threads.retain(|tid| self.direct.contains(tid));
        }
        for tid in threads {
            self.new_thread(pid, id, tid, tid, 0, &procfs::thread_name(pid, tid));
        }
        self.record_facts(id, process_facts(pid, self.policy.facts));
        if let Some(limit) = self.policy.open_files {
            self.record_belongings(id, now_ns(), procfs::belongings(pid, limit));
        }
    }

    /// Takes in a process that is going to execute the first program, with these
    /// arguments. What it has open now is what that one has.
    pub(crate) fn expect(&mut self, pid: u32, args: Vec<String>) {
        let limit = self.policy.open_files;
        let mut belongings =
            limit.map_or_else(Belongings::default, |limit| procfs::belongings(pid, limit));
        belongings.files.retain(|file| file.close_on_exec != Some(true));
        let mut facts = process_facts(pid, self.policy.facts);
        if let Some(facts) = &mut facts {
            // These are still the arguments of this program.
            let asked = if self.policy.facts.args { &args[..] } else { &[] };
            facts.args = asked.to_vec();
        }
        let ran = Ran::of(pid, pid);
        self.launched = Some(Launched { pid, args, belongings, facts, ran });
    }

    /// Takes down the facts of a process, if it was not gone too soon.
    pub(super) fn record_facts(&mut self, process: u32, facts: Option<ProcessFacts>) {
        let Some(facts) = facts.filter(|_| self.facts_left > 0) else { return };
        self.facts_left -= 1;
        let facts = ProcessFacts { process, ..facts };
        self.found.records.push(Record::ProcessFacts(facts));
        if self.facts_left == 0 {
            let text = format!(
                "users, limits and environments were recorded of the first {MAX_FACTS} processes \
                 only"
            );
            self.found.records.push(Record::Note(Note { text }));
        }
    }

    pub(super) fn record_belongings(&mut self, process: u32, time_ns: u64, belongings: Belongings) {
        if let Some(path) = belongings.directory {
            let directory = WorkingDirectory { process, path };
            self.found.records.push(Record::WorkingDirectory(directory));
        }
        for procfs::OpenFile { fd, target, close_on_exec } in belongings.files {
            let close_on_exec = close_on_exec.map_or(0, |closes| if closes { 1 } else { 2 });
            let file = OpenFile { process, fd, time_ns, target, close_on_exec };
            self.found.records.push(Record::OpenFile(file));
        }
    }

    /// Takes in the moment's thread if its start was not reported, unless it is
    /// one that is about to be gone.
    pub(super) fn find_if_unannounced(&mut self, moment: Moment, owner: u32) {
        if self.threads.contains_key(&moment.tid) {
            return;
        }
        if self.just_ended(moment).is_some() {
            return;
        }
        if !self.processes.contains_key(&moment.pid) {
            self.may_have_missed_threads();
            self.adopt(moment.pid);
        }
        if let Some(process) = self.processes.get(&moment.pid)
            && !self.threads.contains_key(&moment.tid)
        {
            let name = procfs::thread_name(moment.pid, moment.tid);
            self.new_thread(moment.pid, process.id, moment.tid, owner, moment.time_ns, &name);
        }
    }

    pub(super) fn map(&mut self, pid: u32, time_ns: u64, entry: MapEntry) {
        if let Some((runtime, walk)) = self.map_for_us(pid, time_ns, entry) {
            self.stacks.learned.pythons.add(pid, runtime, walk);
        }
    }

    /// Takes in a mapping. Returns where a CPython is that was found by it, which capturing
    /// is to be told unless it knows.
    pub(super) fn map_for_us(
        &mut self,
        pid: u32,
        time_ns: u64,
        entry: MapEntry,
    ) -> Option<(u64, Walk)> {
        let process = self.processes.get_mut(&pid)?;
        let is_file = entry.is_file();
        if is_file && process.exe.is_empty() {
            // The kernel maps a program before the libraries it needs.
            process.exe = entry.path.clone();
            self.found.records.push(Record::Process(process.record(pid)));
        }
        if !process.map(entry.clone()) {
            return None;
        }
        self.hooked.forget_code(pid);
        if !is_file {
            return None;
        }
        let module =
            self.stacks.modules.of_mapping(&entry, pid, process.id, &mut self.found.records);
        if let Some(mapping) = process.space.find_mut(entry.start) {
            mapping.module = Some(module);
        }
        let mut found = None;
        if process.python.is_none()
            && let Some((build, bias)) = self.stacks.modules.python(module, &entry)
        {
            let python = Interpreter::new(Arc::clone(build), module, bias);
            found = Some(python.walk());
            process.python = Some(python);
        }
        if process.v8.is_none()
            && let Some(build) = self.stacks.modules.v8(module)
        {
            process.v8 = Some(Engine::new(Arc::clone(build), module));
        }
        if process.hotspot.is_none()
            && let Some((build, bias)) = self.stacks.modules.hotspot(module, &entry)
        {
            process.hotspot = Some(Box::new(hotspot::Engine::new(Arc::clone(build), bias)));
        }
        let id = process.id;
        self.found.records.push(Record::Mapping(Mapping {
            process: id,
            module,
            start: entry.start,
            length: entry.end - entry.start,
            file_offset: entry.file_offset,
            time_ns,
        }));
        if self.stacks.modules.is_generated(module) {
            self.watch_publisher(pid);
        }
        self.watch_dump(pid, id, &entry);
        found
    }

    pub(super) fn exec(&mut self, event: &RawEvent<'_>, owner: u32, name: &str) {
        if !self.is_wanted(event.pid) {
            return;
        }
        let parent_pid = self.processes.get(&event.pid).map(|process| process.parent_pid);
        // Only the thread that called exec survives, as the first thread.
        let others: Vec<u32> =
            self.threads.iter().filter(|(_, t)| t.pid == event.pid).map(|(tid, _)| *tid).collect();
        let mut ran = self.threads.get_mut(&event.tid).map(|thread| thread.ran.take());
        if others.len() > 1 {
            // The first one may be another of these.
            self.may_have_missed_threads();
        }
        for tid in others {
            self.exit(tid, event.time_ns);
        }
        let launched = self.launched.take_if(|launched| launched.pid == event.pid);
        // It may be gone already.
        let argv0 = launched.as_ref().and_then(|launched| {
            let found = Some(procfs::argv0(event.pid)).filter(|word| !word.is_empty());
            found.or_else(|| launched.args.first().cloned())
        });
        let origin = Origin { name: name.to_owned(), exe: String::new(), parent_pid, argv0 };
        let id = self.new_process(event.pid, event.time_ns, origin);
        let mut earlier = None;
        if let Some(Launched { belongings, facts, ran: before, .. }) = launched {
            ran = Some(before);
            self.record_belongings(id, event.time_ns, belongings);
            earlier = facts;
        }
        if self.facts_left > 0 {
            let found = process_facts(event.pid, self.policy.facts);
            self.record_facts(id, completed(found, earlier));
        }
        self.new_thread(event.pid, id, event.tid, owner, event.time_ns, name);
        self.runs_since(event.tid, ran.unwrap_or_default());
    }

    /// Whether a process that executes a program is to be recorded.
    fn is_wanted(&self, pid: u32) -> bool {
        match &self.policy.scope {
            Scope::Opened => true,
            Scope::Processes(targets) => {
                self.processes.contains_key(&pid) || targets.contains(&pid)
            }
            Scope::AllBut(own) => pid != *own,
        }
    }

    pub(super) fn rename(&mut self, event: &RawEvent<'_>, name: &str) {
        let Some(thread) = self.threads.get_mut(&event.tid) else { return };
        thread.name = name.to_owned();
        let (thread, time_ns, name) = (thread.id, event.time_ns, name.to_owned());
        self.found.records.push(Record::ThreadName(ThreadName { thread, time_ns, name }));
        if let Some(process) = self.processes.get_mut(&event.pid) {
            process.names_due.soon();
        }
    }

    pub(super) fn fork(&mut self, event: &RawEvent<'_>, pid: u32, tid: u32) {
        if let Some(old) = self.threads.get(&tid)
            && old.owner != tid
            && old.start_ns < event.time_ns
        {
            // Its end was not reported.
            self.exit(tid, event.time_ns);
        }
        let Some(parent) = self.threads.get(&event.tid) else { return };
        // A thread with events of its own counts with those.
        let owner = if self.direct.contains(&tid) { tid } else { parent.owner };
        let name = parent.name.clone();
        if pid == event.pid {
            if let Some(process) = self.processes.get(&pid)
                && !self.threads.contains_key(&tid)
            {
                self.new_thread(pid, process.id, tid, owner, event.time_ns, &name);
                self.runs_since(tid, Ran::nothing());
            }
        } else if self.policy.follow && !self.processes.contains_key(&pid) {
            let Some(parent) = self.processes.get(&event.pid) else { return };
            let (exe, space) = (parent.exe.clone(), parent.space.clone());
            let (python, v8) = (parent.python.clone(), parent.v8.clone());
            // By now it may have executed another program.
            let argv0 = Some(parent.argv0.clone());
            let parent_pid = Some(event.pid);
            let origin = Origin { name: name.clone(), exe, parent_pid, argv0 };
            let id = self.new_process(pid, event.time_ns, origin);
            if let Some(process) = self.processes.get_mut(&pid) {
                process.space = space;
                (process.python, process.v8) = (python, v8);
            }
            self.new_thread(pid, id, tid, owner, event.time_ns, &name);
            self.runs_since(tid, Ran::nothing());
        }
    }

    pub(super) fn exit(&mut self, tid: u32, time_ns: u64) {
        // The number may be given to a new thread, which has no events of its
        // own.
        self.direct.remove(&tid);
        let Some(thread) = self.threads.remove(&tid) else { return };
        self.lose_left_out(&thread.left_out, time_ns);
        self.end_cpu_time(tid, &thread.ran);
        self.stacks.forget_end(tid);
        if self.policy.scope != Scope::Opened || self.policy.hooked {
            self.ended.add(tid, time_ns, thread.id);
        }
        if self.policy.rotates
            && let Some(process) = self.processes.get(&thread.pid)
        {
            let (name, process) = (thread.name, process.record(thread.pid));
            self.ended.leave(Left { tid, end_ns: time_ns, name, process });
        }
        self.found.records.push(Record::ThreadExit(Exit { id: thread.id, time_ns }));
        if let Entry::Occupied(mut process) = self.processes.entry(thread.pid) {
            process.get_mut().live_threads -= 1;
            if process.get().live_threads == 0 {
                self.found
                    .records
                    .push(Record::ProcessExit(Exit { id: process.get().id, time_ns }));
                let process = process.remove();
                let signal = process.ended_by;
                self.found.ended.push(Ended { pid: thread.pid, time_ns, signal });
                self.end_publisher(&process, time_ns);
            }
        }
    }

    /// Reports of what processes did are missing: looks at `/proc` for what
    /// can still be found out.
    pub(crate) fn recover_lost_facts(&mut self, time_ns: u64, count: &str) {
        let text = format!(
            "{count} reports of what processes did were lost: threads and names may be missing"
        );
        self.found.records.push(Record::Note(Note { text }));
        self.may_have_missed_threads();
        let pids: Vec<u32> = self.processes.keys().copied().collect();
        for pid in pids {
            let alive = match procfs::is_running(pid) {
                true => procfs::threads(pid).unwrap_or_default(),
                false => Vec::new(),
            };
            let is_ghost =
                |(tid, thread): &(&u32, &Thread)| thread.pid == pid && !alive.contains(tid);
            let ghosts: Vec<u32> =
                self.threads.iter().filter(is_ghost).map(|(tid, _)| *tid).collect();
            for tid in ghosts {
                self.exit(tid, time_ns);
            }
            for entry in procfs::executable_maps(pid).unwrap_or_default() {
                self.map(pid, time_ns, entry);
            }
        }
    }

    pub(super) fn new_process(&mut self, pid: u32, start_ns: u64, origin: Origin) -> u32 {
        self.hooked.forget_code(pid);
        self.stacks.python_ends.forget();
        let id = self.next_process;
        self.next_process += 1;
        let process = Process::new(id, pid, start_ns, origin);
        self.found.records.push(Record::Process(process.record(pid)));
        self.processes.insert(pid, process);
        id
    }

    pub(super) fn new_thread(
        &mut self,
        pid: u32,
        process: u32,
        tid: u32,
        owner: u32,
        start_ns: u64,
        name: &str,
    ) {
        let id = self.next_thread;
        self.next_thread += 1;
        self.counts.threads += 1;
        let name = name.to_owned();
        let record = rz_format::Thread { id, process, tid, start_ns, name: name.clone() };
        self.found.records.push(Record::Thread(record));
        let (stack, left_out) = (ThreadStack::default(), LeftOut::default());
        let ran = Ran::default();
        self.threads.insert(tid, Thread { id, pid, owner, start_ns, name, stack, left_out, ran });
        if let Some(process) = self.processes.get_mut(&pid) {
            process.live_threads += 1;
            process.names_due.soon();
        }
    }
}
