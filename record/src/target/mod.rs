//! The processes being recorded: what is known of them changes with every
//! event, and samples are resolved against what is known at their time.

mod modules;
mod names;
mod process;
pub(crate) mod procfs;
mod space;

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use rz_format::{
    CLASS_SAMPLES, Exit, Frame, Loss, LossReason, Mapping, ModuleKind, NO_CPU, Note, Record,
    Sample, StackDefs, StackInterner, ThreadName, TruncatedReason,
};

use crate::event::{RawEvent, RawSample, What};
use crate::queue::StackEnds;
use crate::unwind::{self, End, StackMemory};
use modules::Modules;
use process::{Process, ProcessCode, Thread};
use procfs::MapEntry;
pub(crate) use procfs::device;

/// Distinct stacks remembered; with more, equal ones are defined once again.
/// This many take about 100 MiB.
const MAX_KNOWN_STACKS: usize = 1 << 20;

/// Who an event's number belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// The thread it was opened on; threads it starts inherit it.
    pub(crate) thread: u32,
    /// Whether it samples, or only reports what processes do.
    pub(crate) samples: bool,
}

/// What the tracker found since it was last asked, ready to be written.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Facts.
    pub(crate) records: Vec<Record>,
    /// Definitions that the samples refer to.
    pub(crate) stacks: StackDefs,
    /// Samples.
    pub(crate) samples: Vec<Sample>,
}

/// Counts for the progress line and the summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Samples taken.
    pub(crate) samples: u64,
    /// Samples whose stack was not followed to its root.
    pub(crate) truncated: u64,
    /// Those of them whose stack is deeper than what was copied.
    pub(crate) too_deep: u64,
    /// Events lost.
    pub(crate) lost: u64,
    /// Threads seen.
    pub(crate) threads: u64,
    /// Processes that have not ended.
    pub(crate) live_processes: u64,
}

/// Follows the recorded processes through their events.
pub(crate) struct Tracker {
    follow: bool,
    sources: FxHashMap<u64, Source>,
    /// Threads that events were opened on.
    direct: FxHashSet<u32>,
    processes: FxHashMap<u32, Process>,
    threads: FxHashMap<u32, Thread>,
    next_process: u32,
    next_thread: u32,
    modules: Modules,
    interner: StackInterner<FxBuildHasher>,
    kernel_addresses: BTreeSet<u64>,
    vdso_offsets: BTreeSet<u64>,
    records: Vec<Record>,
    samples: Vec<Sample>,
    counts: Counts,
    /// Sum of all samples' weights.
    weight: u64,
    /// What a sample should stand for; 0 if that varies.
    usual_weight: u64,
    /// Time of the last event in each buffer, named by CPU and whether it is
    /// for samples: where a loss may have begun.
    last_seen: FxHashMap<(u32, bool), u64>,
    /// Since when an event is throttled on a CPU.
    throttled: FxHashMap<(u64, u32), u64>,
    stack_ends: Arc<StackEnds>,
    /// Frames of the sample at hand, innermost first.
    frames: Vec<Frame>,
}

impl Tracker {
    /// A tracker of nothing. `follow` says whether children are recorded, and
    /// `usual_weight` what a sample should stand for; 0 if that varies.
    pub(crate) fn new(follow: bool, usual_weight: u64, stack_ends: Arc<StackEnds>) -> Self {
        Tracker {
            follow,
            sources: FxHashMap::default(),
            direct: FxHashSet::default(),
            processes: FxHashMap::default(),
            threads: FxHashMap::default(),
            next_process: 0,
            next_thread: 0,
            modules: Modules::default(),
            interner: StackInterner::default(),
            kernel_addresses: BTreeSet::new(),
            vdso_offsets: BTreeSet::new(),
            records: Vec::new(),
            samples: Vec::new(),
            counts: Counts::default(),
            weight: 0,
            usual_weight,
            last_seen: FxHashMap::default(),
            throttled: FxHashMap::default(),
            stack_ends,
            frames: Vec::new(),
        }
    }

    /// Says whom event numbers belong to.
    pub(crate) fn add_sources(&mut self, sources: FxHashMap<u64, Source>) {
        self.direct.extend(sources.values().map(|source| source.thread));
        self.sources.extend(sources);
    }

    /// Takes in a process that runs already, as `/proc` shows it, with the
    /// threads that events were opened on. The others will be reported.
    pub(crate) fn adopt(&mut self, pid: u32) {
        let id = self.new_process(pid, 0, &procfs::thread_name(pid, pid), procfs::executable(pid));
        for entry in procfs::executable_maps(pid).unwrap_or_default() {
            self.map(pid, 0, entry);
        }
        let mut threads = procfs::threads(pid).unwrap_or_default();
        threads.retain(|tid| self.direct.contains(tid));
        for tid in threads {
            self.new_thread(pid, id, tid, tid, 0, &procfs::thread_name(pid, tid));
        }
    }

    /// Takes in one event. Events must come in order of time.
    pub(crate) fn handle(&mut self, event: &RawEvent<'_>) {
        let source = self.sources.get(&event.source).copied();
        // A thread that was started while we attached may have inherited its
        // creator's events and been given its own as well. It counts with one
        // set only.
        if let (Some(source), Some(thread)) = (source, self.threads.get(&event.tid))
            && thread.owner != source.thread
            && !matches!(event.what, What::Lost { .. })
        {
            return;
        }
        let buffer = (event.cpu, source.is_none_or(|source| source.samples));
        let owner = source.map_or(event.tid, |source| source.thread);
        match &event.what {
            What::Sample(sample) => self.sample(event, owner, sample),
            &What::Mapped { start, end, file_offset, device, inode, path } => {
                let path = String::from_utf8_lossy(path).into_owned();
                let entry = MapEntry { start, end, file_offset, device, inode, path };
                self.map(event.pid, event.time_ns, entry);
            }
            &What::Named { name, exec } => {
                let name = String::from_utf8_lossy(name);
                if exec {
                    self.exec(event, owner, &name);
                } else {
                    self.rename(event, &name);
                }
            }
            &What::Forked { pid, tid } => self.fork(event, pid, tid),
            What::Exited => self.exit(event.tid, event.time_ns),
            &What::Lost { count } => {
                let from_ns = self.last_seen.get(&buffer).copied().unwrap_or(event.time_ns);
                if buffer.1 {
                    self.lose(event.cpu, LossReason::RingFull, from_ns, event.time_ns, count);
                } else {
                    self.recover_lost_facts(event.time_ns, &count.to_string());
                }
            }
            What::Throttled => {
                self.throttled.insert((event.source, event.cpu), event.time_ns);
            }
            What::Unthrottled => {
                if let Some(from_ns) = self.throttled.remove(&(event.source, event.cpu)) {
                    self.lose(event.cpu, LossReason::Throttled, from_ns, event.time_ns, 0);
                }
            }
        }
        self.last_seen.insert(buffer, event.time_ns);
    }

    /// Notes CPU time that no sample stands for, though it should: timers of
    /// threads that live shorter than one period never fire.
    pub(crate) fn account_for(&mut self, counted: u64, from_ns: u64, to_ns: u64) {
        let average = self.weight.checked_div(self.counts.samples).unwrap_or(self.usual_weight);
        let missing = counted.saturating_sub(self.weight + self.counts.lost * average);
        // Each thread keeps part of a period to itself, and a thread that was
        // found while attaching may be counted twice.
        if average > 0 && missing > counted / 10 && missing > 20 * average {
            let count = missing / average;
            self.lose(NO_CPU, LossReason::ShortThreads, from_ns, to_ns, count);
        }
    }

    /// Notes that events are missing.
    pub(crate) fn lose(
        &mut self,
        cpu: u32,
        reason: LossReason,
        from_ns: u64,
        to_ns: u64,
        count: u64,
    ) {
        self.counts.lost += count;
        let (class, reason) = (CLASS_SAMPLES, reason.into());
        self.records.push(Record::Loss(Loss { cpu, class, reason, from_ns, to_ns, count }));
    }

    /// Notes an event that made no sense.
    pub(crate) fn malformed(&mut self, time_ns: u64) {
        self.lose(NO_CPU, LossReason::Malformed, time_ns, time_ns, 1);
    }

    /// What happened so far, in numbers.
    pub(crate) fn counts(&self) -> Counts {
        Counts { live_processes: self.processes.len() as u64, ..self.counts }
    }

    /// Whether enough has been found to be written.
    pub(crate) fn is_block_full(&self) -> bool {
        const SAMPLES_PER_BLOCK: usize = 1 << 16;
        self.samples.len() >= SAMPLES_PER_BLOCK || self.interner.is_block_full()
    }

    /// Takes what was found since the last call.
    pub(crate) fn take_findings(&mut self) -> Findings {
        Findings {
            records: std::mem::take(&mut self.records),
            stacks: self.interner.take_new(),
            samples: std::mem::take(&mut self.samples),
        }
    }

    /// Adds what can only be said in the end: events that are still throttled,
    /// and the names of the kernel's and the vDSO's code that was seen.
    pub(crate) fn finish(&mut self, time_ns: u64) {
        for ((_, cpu), from_ns) in std::mem::take(&mut self.throttled) {
            self.lose(cpu, LossReason::Throttled, from_ns, time_ns, 0);
        }

        let mut add = |symbols: std::io::Result<Vec<Record>>, of: &str| match symbols {
            Ok(symbols) => self.records.extend(symbols),
            Err(error) => {
                let text = format!("the names of {of} could not be read: {error}");
                self.records.push(Record::Note(Note { text }));
            }
        };
        if !self.kernel_addresses.is_empty() {
            let module = self.modules.kernel(&mut Vec::new());
            add(names::kernel_symbols(&self.kernel_addresses, module), "kernel functions");
        }
        if let Some(module) = self.modules.vdso().filter(|_| !self.vdso_offsets.is_empty()) {
            add(names::vdso_symbols(&self.vdso_offsets, module), "vDSO functions");
        }
    }

    fn sample(&mut self, event: &RawEvent<'_>, owner: u32, sample: &RawSample<'_>) {
        if !self.threads.contains_key(&event.tid) {
            self.find_unannounced(event, owner);
        }
        self.frames.clear();
        self.kernel_frames(sample.kernel);
        self.user_frames(event, sample);
        if self.interner.len().1 >= MAX_KNOWN_STACKS {
            self.interner.forget();
        }
        let mut stack = None;
        for frame in self.frames.iter().rev() {
            let frame = self.interner.frame(*frame);
            stack = Some(self.interner.stack(stack, frame));
        }
        self.counts.samples += 1;
        self.weight += sample.weight;
        let thread = self.threads.get(&event.tid).map_or(u32::MAX, |thread| thread.id);
        self.samples.push(Sample {
            time_ns: event.time_ns,
            event: 0,
            thread,
            cpu: event.cpu,
            stack,
            weight: sample.weight,
        });
    }

    fn kernel_frames(&mut self, addresses: &[u8]) {
        if addresses.is_empty() {
            return;
        }
        let module = self.modules.kernel(&mut self.records);
        for (i, bytes) in addresses.as_chunks().0.iter().enumerate() {
            // All but the innermost are return addresses.
            let offset = u64::from_le_bytes(*bytes).wrapping_sub(u64::from(i > 0));
            self.kernel_addresses.insert(offset);
            self.frames.push(Frame::Code { module, offset });
        }
    }

    fn user_frames(&mut self, event: &RawEvent<'_>, sample: &RawSample<'_>) {
        let Some(registers) = sample.registers else { return };
        let Some(process) = self.processes.get_mut(&event.pid) else { return };
        let stack = StackMemory::new(registers.sp(), sample.stack);
        let mut code = ProcessCode {
            pid: event.pid,
            time_ns: event.time_ns,
            process,
            modules: &mut self.modules,
            records: &mut self.records,
        };
        let (frames, vdso_offsets) = (&mut self.frames, &mut self.vdso_offsets);
        let end = unwind::unwind(&mut code, registers, &stack, |place| {
            if place.kind == ModuleKind::Vdso {
                vdso_offsets.insert(place.offset);
            }
            frames.push(Frame::Code { module: place.module, offset: place.offset });
        });
        match end {
            End::Root(stack_end) => {
                if let Some(thread) = self.threads.get_mut(&event.tid)
                    && thread.stack_end != stack_end
                {
                    thread.stack_end = stack_end;
                    self.stack_ends.set(event.tid, stack_end);
                }
            }
            End::Truncated(reason) => {
                self.counts.truncated += 1;
                if reason == TruncatedReason::StackTooDeep {
                    self.counts.too_deep += 1;
                    // What was taken for the end may have been that of a
                    // coroutine's stack.
                    self.stack_ends.remove(event.tid);
                    if let Some(thread) = self.threads.get_mut(&event.tid) {
                        thread.stack_end = 0;
                    }
                }
                self.frames.push(Frame::Truncated(reason));
            }
        }
    }

    /// Takes in a thread whose start was not reported.
    fn find_unannounced(&mut self, event: &RawEvent<'_>, owner: u32) {
        if !self.processes.contains_key(&event.pid) {
            self.adopt(event.pid);
        }
        if let Some(process) = self.processes.get(&event.pid)
            && !self.threads.contains_key(&event.tid)
        {
            let name = procfs::thread_name(event.pid, event.tid);
            self.new_thread(event.pid, process.id, event.tid, owner, event.time_ns, &name);
        }
    }

    fn map(&mut self, pid: u32, time_ns: u64, entry: MapEntry) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let is_file = entry.is_file();
        if is_file && process.exe.is_empty() {
            // The kernel maps a program before the libraries it needs.
            process.exe = entry.path.clone();
            self.records.push(Record::Process(process.record(pid)));
        }
        if !process.map(entry.clone()) || !is_file {
            return;
        }
        let module = self.modules.of_mapping(&entry, pid, process.id, &mut self.records);
        if let Some(mapping) = process.space.find_mut(entry.start) {
            mapping.module = Some(module);
        }
        self.records.push(Record::Mapping(Mapping {
            process: process.id,
            module,
            start: entry.start,
            length: entry.end - entry.start,
            file_offset: entry.file_offset,
            time_ns,
        }));
    }

    fn exec(&mut self, event: &RawEvent<'_>, owner: u32, name: &str) {
        // Only the thread that called exec survives, as the first thread.
        let others: Vec<u32> =
            self.threads.iter().filter(|(_, t)| t.pid == event.pid).map(|(tid, _)| *tid).collect();
        for tid in others {
            self.exit(tid, event.time_ns);
        }
        let id = self.new_process(event.pid, event.time_ns, name, String::new());
        self.new_thread(event.pid, id, event.tid, owner, event.time_ns, name);
    }

    fn rename(&mut self, event: &RawEvent<'_>, name: &str) {
        let Some(thread) = self.threads.get_mut(&event.tid) else { return };
        thread.name = name.to_owned();
        let (thread, time_ns, name) = (thread.id, event.time_ns, name.to_owned());
        self.records.push(Record::ThreadName(ThreadName { thread, time_ns, name }));
    }

    fn fork(&mut self, event: &RawEvent<'_>, pid: u32, tid: u32) {
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
            }
        } else if self.follow && !self.processes.contains_key(&pid) {
            let Some(parent) = self.processes.get(&event.pid) else { return };
            let (exe, space) = (parent.exe.clone(), parent.space.clone());
            let id = self.new_process(pid, event.time_ns, &name, exe);
            if let Some(process) = self.processes.get_mut(&pid) {
                process.space = space;
            }
            self.new_thread(pid, id, tid, owner, event.time_ns, &name);
        }
    }

    fn exit(&mut self, tid: u32, time_ns: u64) {
        // The number may be given to a new thread, which has no events of its
        // own.
        self.direct.remove(&tid);
        let Some(thread) = self.threads.remove(&tid) else { return };
        self.stack_ends.remove(tid);
        self.records.push(Record::ThreadExit(Exit { id: thread.id, time_ns }));
        if let Entry::Occupied(mut process) = self.processes.entry(thread.pid) {
            process.get_mut().live_threads -= 1;
            if process.get().live_threads == 0 {
                self.records.push(Record::ProcessExit(Exit { id: process.get().id, time_ns }));
                process.remove();
            }
        }
    }

    /// Reports of what processes did are missing: looks at `/proc` for what
    /// can still be found out.
    pub(crate) fn recover_lost_facts(&mut self, time_ns: u64, count: &str) {
        let text = format!(
            "{count} reports of what processes did were lost: threads and names may be missing"
        );
        self.records.push(Record::Note(Note { text }));
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

    fn new_process(&mut self, pid: u32, start_ns: u64, name: &str, exe: String) -> u32 {
        let id = self.next_process;
        self.next_process += 1;
        let process = Process::new(id, pid, start_ns, name, exe);
        self.records.push(Record::Process(process.record(pid)));
        self.processes.insert(pid, process);
        id
    }

    fn new_thread(
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
        self.records.push(Record::Thread(record));
        self.threads.insert(tid, Thread { id, pid, owner, start_ns, name, stack_end: 0 });
        if let Some(process) = self.processes.get_mut(&pid) {
            process.live_threads += 1;
        }
    }
}
