//! The processes being recorded: what is known of them changes with every
//! event, and samples are resolved against what is known at their time.

mod chunks;
mod cpu_times;
mod facts;
mod heap;
mod identity;
mod jit;
mod last_ran;
mod lifecycle;
pub(crate) mod link_map;
mod modules;
mod next_file;
mod nothing;
mod process;
pub(crate) mod procfs;
mod python_stack;
mod stacks;
mod symbols;
mod thread_names;

use std::mem::take;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use rz_format::{
    Allocation, Call, CpuTime, HeapCounts, Loss, LossClass, LossReason, NO_CPU, ProcessFacts,
    Record, Sample, StackDefs, StackId, TextDefs, TextInterner, Total, TruncatedReason, Wait,
};

use crate::config::FactOptions;
use crate::event::{RawCall, RawEvent, RawStack, RawTotal, RawWait, Source, What};
use crate::learned::Learned;
use chunks::Hooked;
use cpu_times::{CpuTimesRead, Ran};
use heap::Unsettled;
use identity::EndedThreads;
use jit::Publishers;
pub(crate) use modules::{RuntimesOfFile, open_mapped};
use nothing::Before;
pub(crate) use nothing::Sampling;
pub(crate) use process::read_memory;
use process::{LeftOut, Process, Thread};
pub(crate) use procfs::device;
use procfs::{Belongings, MapEntry};
use stacks::{Moment, Stacks};

/// Threads whose next call has data already, at most.
const MAX_NEXT_DATA: usize = 1 << 12;
/// Bytes of texts remembered; with more, equal ones are defined once again.
const MAX_KNOWN_TEXTS: usize = 16 << 20;

/// Whose events are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Threads that events were opened on, and those that inherited them: no
    /// others are reported.
    Opened,
    /// All processes are reported, but only these are recorded, and their
    /// children if these are followed.
    Processes(Vec<u32>),
    /// All processes but this one.
    AllBut(u32),
}

/// What the tracker found since it was last asked, ready to be written.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Facts.
    pub(crate) records: Vec<Record>,
    /// Definitions that the events refer to.
    pub(crate) stacks: StackDefs,
    /// Definitions that the calls refer to.
    pub(crate) texts: TextDefs,
    /// What was copied for calls.
    pub(crate) call_data: TextDefs,
    /// Samples.
    pub(crate) samples: Vec<Sample>,
    /// Intervals off the CPU.
    pub(crate) waits: Vec<Wait>,
    /// System calls.
    pub(crate) calls: Vec<Call>,
    /// Calls of functions.
    pub(crate) function_calls: Vec<Call>,
    /// Exact sums.
    pub(crate) totals: Vec<Total>,
    /// Allocations, in the order in which they happened.
    pub(crate) allocations: Vec<Allocation>,
    /// Counts of allocations.
    pub(crate) heap_counts: Vec<HeapCounts>,
    /// How long threads ran.
    pub(crate) cpu_times: Vec<CpuTime>,
    /// Processes that have ended, which are among the records as well.
    pub(crate) ended: Vec<Ended>,
}

/// A process that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// Its process id.
    pub(crate) pid: u32,
    /// When.
    pub(crate) time_ns: u64,
    /// The signal that ended it; 0 if none did, or that is not known.
    pub(crate) signal: u8,
}

impl Findings {
    /// Forgets everything and keeps the memory, but for that of sums, which come rarely
    /// and in great number.
    pub(crate) fn clear(&mut self) {
        let Findings { records, stacks, texts, samples, waits, calls, totals, .. } = self;
        records.clear();
        (*stacks, *texts) = (StackDefs::default(), TextDefs::default());
        self.call_data = TextDefs::default();
        samples.clear();
        waits.clear();
        calls.clear();
        self.function_calls.clear();
        *totals = Vec::new();
        self.allocations.clear();
        self.heap_counts.clear();
        self.cpu_times.clear();
        self.ended.clear();
    }
}

/// Counts for the progress line and the summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Samples taken.
    pub(crate) samples: u64,
    /// Intervals off the CPU written.
    pub(crate) waits: u64,
    /// System calls written.
    pub(crate) calls: u64,
    /// Calls of functions written.
    pub(crate) function_calls: u64,
    /// Allocations, and objects freed, that were written.
    pub(crate) allocations: u64,
    /// Stacks that were not followed to their root.
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

/// What to record of the processes.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// Whose events are recorded.
    pub(crate) scope: Scope,
    /// Of which of their threads; of all if there is none.
    pub(crate) tids: Vec<u32>,
    /// How samples are taken.
    pub(crate) sampling: Sampling,
    /// Whether children are recorded.
    pub(crate) follow: bool,
    /// What a sample should stand for; 0 if that varies.
    pub(crate) usual_weight: u64,
    /// What the kernel calls our own programs by.
    pub(crate) program_tags: Vec<String>,
    /// Whether programs report their allocations, which may take a while.
    pub(crate) hooked: bool,
    /// How many of the files that a process has open are taken down, at most;
    /// `None` for none, and not its directory either.
    pub(crate) open_files: Option<usize>,
    /// What else to take down of processes.
    pub(crate) facts: FactOptions,
    /// Whether one file follows another.
    pub(crate) rotates: bool,
    /// Whether it is told since when threads wait that do so all the time.
    pub(crate) last_ran: bool,
    /// Whether somebody reads the file while it is written, and has no other names of the
    /// kernel's functions than those in it.
    pub(crate) is_read_meanwhile: bool,
}

/// Processes of which more than their name is taken down, at most.
const MAX_FACTS: u32 = 4096;

/// A process that has not executed its program yet. What it has then is what
/// the program has.
struct Launched {
    pid: u32,
    args: Vec<String>,
    belongings: Belongings,
    facts: Option<ProcessFacts>,
    ran: Ran,
}

/// Follows the recorded processes through their events.
pub(crate) struct Tracker {
    policy: Policy,
    sources: FxHashMap<u64, Source>,
    /// Threads that events were opened on.
    direct: FxHashSet<u32>,
    processes: FxHashMap<u32, Process>,
    threads: FxHashMap<u32, Thread>,
    ended: EndedThreads,
    launched: Option<Launched>,
    before: Before,
    cpu_times: CpuTimesRead,
    /// Processes whose facts may still be taken down.
    facts_left: u32,
    next_process: u32,
    next_thread: u32,
    stacks: Stacks,
    publishers: Publishers,
    texts: TextInterner<FxBuildHasher>,
    call_data: TextInterner<FxBuildHasher>,
    /// By thread, of calls that return next.
    next_data: FxHashMap<u32, (u64, Vec<u8>)>,
    found: Findings,
    /// Events that were described after the beginning: each file has to.
    later_events: Vec<Record>,
    unsettled: Unsettled,
    hooked: Hooked,
    counts: Counts,
    /// Sum of all samples' weights.
    weight: u64,
    /// Time of the last event in each buffer, named by CPU and whether it is
    /// for samples: where a loss may have begun.
    last_seen: FxHashMap<(u32, bool), u64>,
    /// Since when an event is throttled on a CPU.
    throttled: FxHashMap<(u64, u32), u64>,
    /// One sample of a thread in how many is kept.
    one_sample_in: u32,
}

impl Tracker {
    /// A tracker of nothing.
    pub(crate) fn new(policy: Policy, learned: Arc<Learned>) -> Self {
        Tracker {
            policy,
            sources: FxHashMap::default(),
            direct: FxHashSet::default(),
            processes: FxHashMap::default(),
            threads: FxHashMap::default(),
            ended: EndedThreads::default(),
            launched: None,
            before: Before::default(),
            cpu_times: CpuTimesRead::default(),
            facts_left: MAX_FACTS,
            next_process: 0,
            next_thread: 0,
            stacks: Stacks::new(learned),
            publishers: Publishers::default(),
            texts: TextInterner::default(),
            call_data: TextInterner::default(),
            next_data: FxHashMap::default(),
            found: Findings::default(),
            later_events: Vec::new(),
            unsettled: Unsettled::default(),
            hooked: Hooked::default(),
            counts: Counts::default(),
            weight: 0,
            last_seen: FxHashMap::default(),
            throttled: FxHashMap::default(),
            one_sample_in: 1,
        }
    }

    /// Says whom event numbers belong to.
    pub(crate) fn add_sources(&mut self, sources: FxHashMap<u64, Source>) {
        self.direct.extend(sources.values().map(|source| source.thread));
        self.sources.extend(sources);
    }

    /// From now on keeps one sample of a thread in so many, which stands for all of them.
    pub(crate) fn keep_one_sample_in(&mut self, count: u32) {
        self.one_sample_in = count;
    }

    /// Gives back the memory of what can be found out, or described, again.
    pub(crate) fn forget(&mut self) {
        self.stacks.forget();
        self.texts.forget();
        self.call_data.forget();
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
            What::Sample { .. } if self.is_of_other(event.pid) => {}
            What::Sample { .. }
            | What::Waited(_)
            | What::Called(_)
            | What::FunctionCalled(_)
            | What::CallData(_)
                if !self.is_recorded(event.tid) => {}
            What::Sample { event: number, weight, place } => {
                self.sample(event, owner, *number, *weight, place);
            }
            What::Waited(wait) => self.wait(event, wait),
            What::Called(call) => {
                let call = self.call(event, call);
                self.counts.calls += 1;
                self.found.calls.push(call);
            }
            What::FunctionCalled(call) => {
                let call = self.call(event, call);
                self.counts.function_calls += 1;
                self.found.function_calls.push(call);
            }
            What::CallData(data) => self.call_data(event, data),
            What::Allocated(allocation) => self.allocation(Moment::of(event), allocation),
            What::Counted(counts) => self.count_heap(Moment::of(event), counts),
            &What::Ends { ran, signal } => {
                self.has_run(event.tid, ran);
                if let Some(process) = self.processes.get_mut(&event.pid) {
                    process.ended_by = signal;
                }
            }
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
                    self.lose_samples(
                        event.cpu,
                        LossReason::RingFull,
                        from_ns,
                        event.time_ns,
                        count,
                    );
                } else {
                    self.recover_lost_facts(event.time_ns, &count.to_string());
                }
            }
            What::Throttled => {
                self.throttled.insert((event.source, event.cpu), event.time_ns);
            }
            What::Unthrottled => {
                if let Some(from_ns) = self.throttled.remove(&(event.source, event.cpu)) {
                    self.lose_throttled(event.cpu, from_ns, event.time_ns);
                }
            }
        }
        self.last_seen.insert(buffer, event.time_ns);
        self.watch_new_publishers();
    }

    /// Whether a process is one that inherited its parent's events although
    /// children are not followed: there is no other way before Linux 5.13.
    fn is_of_other(&self, pid: u32) -> bool {
        match &self.policy.scope {
            Scope::Processes(targets) => !self.policy.follow && !targets.contains(&pid),
            Scope::Opened | Scope::AllBut(_) => false,
        }
    }

    /// Whether a thread of the targets is one of those that are asked for.
    fn is_recorded(&self, tid: u32) -> bool {
        self.policy.tids.is_empty() || self.policy.tids.contains(&tid)
    }

    /// Notes CPU time that no sample stands for, though it should: timers of
    /// threads that live shorter than one period never fire.
    pub(crate) fn account_for(&mut self, counted: u64, from_ns: u64, to_ns: u64) {
        // What was counted is of all threads.
        if !self.policy.tids.is_empty() {
            return;
        }
        self.end_cpu_times(Some(counted));
        let average =
            self.weight.checked_div(self.counts.samples).unwrap_or(self.policy.usual_weight);
        let missing = counted.saturating_sub(self.weight + self.counts.lost * average);
        // Each thread keeps part of a period to itself, and a thread that was
        // found while attaching may be counted twice.
        if average > 0 && missing > counted / 10 && missing > 20 * average {
            let count = missing / average;
            self.lose_samples(NO_CPU, LossReason::ShortThreads, from_ns, to_ns, count);
        }
    }

    /// Takes in facts that concern no single process.
    pub(crate) fn add_records(&mut self, records: &[Record]) {
        self.found.records.extend_from_slice(records);
        let events = records.iter().filter(|record| matches!(record, Record::Event(_)));
        self.later_events.extend(events.cloned());
    }

    /// Notes that events are missing.
    pub(crate) fn lose(&mut self, loss: Loss) {
        self.counts.lost = self.counts.lost.saturating_add(loss.count);
        self.found.records.push(Record::Loss(loss));
    }

    fn lose_samples(&mut self, cpu: u32, reason: LossReason, from_ns: u64, to_ns: u64, count: u64) {
        let (class, reason) = (LossClass::Samples.into(), reason.into());
        self.lose(Loss { cpu, class, reason, from_ns, to_ns, count });
    }

    /// Notes that an event was throttled on a CPU.
    fn lose_throttled(&mut self, cpu: u32, from_ns: u64, to_ns: u64) {
        self.lose_samples(cpu, LossReason::Throttled, from_ns, to_ns, 0);
    }

    /// Notes samples that no other one stands for.
    fn lose_left_out(&mut self, left_out: &LeftOut, until_ns: u64) {
        if left_out.count > 0 {
            let (from_ns, count) = (left_out.from_ns, left_out.count.into());
            self.lose_samples(NO_CPU, LossReason::QueueFull, from_ns, until_ns, count);
        }
    }

    /// Notes an event that made no sense.
    pub(crate) fn malformed(&mut self, time_ns: u64) {
        self.lose_samples(NO_CPU, LossReason::Malformed, time_ns, time_ns, 1);
    }

    /// What happened so far, in numbers.
    pub(crate) fn counts(&self) -> Counts {
        Counts { live_processes: self.processes.len() as u64, ..self.counts }
    }

    /// Whether enough has been found to be written.
    pub(crate) fn is_block_full(&self) -> bool {
        const ROWS_PER_BLOCK: usize = 1 << 16;
        // Each is as large as dozens of others.
        const TOTALS_PER_BLOCK: usize = 1 << 13;
        let found = &self.found;
        let events = [found.samples.len(), found.waits.len(), found.calls.len()];
        let more = [found.function_calls.len(), found.allocations.len(), found.heap_counts.len()];
        let rows = events.into_iter().chain(more).max().unwrap_or(0);
        rows >= ROWS_PER_BLOCK
            || found.totals.len() >= TOTALS_PER_BLOCK
            || self.stacks.is_block_full()
            || self.texts.is_block_full()
            || self.call_data.is_block_full()
    }

    /// Takes what was found since the last call. `empty` is what is filled
    /// from now on.
    pub(crate) fn take_findings(&mut self, empty: Findings) -> Findings {
        self.found.stacks = self.stacks.take_new();
        self.found.texts = self.texts.take_new();
        self.found.call_data = self.call_data.take_new();
        self.note_generated_code();
        if self.policy.is_read_meanwhile {
            self.name_kernel_functions();
        }
        std::mem::replace(&mut self.found, empty)
    }

    /// Takes in sums of threads that have been reported. Those of threads that ended
    /// before `until_ns` are among them, or came before.
    pub(crate) fn add_totals(&mut self, totals: &[RawTotal], until_ns: u64) {
        for RawTotal { tid, epoch_ns, total } in totals {
            if !self.is_recorded(*tid) {
                continue;
            }
            let ended = self.ended_since(*tid, *epoch_ns);
            let thread = ended.or_else(|| self.threads.get(tid).map(|thread| thread.id));
            self.found.totals.push(Total { thread, ..total.clone() });
        }
        self.ended.forget(until_ns);
    }

    /// Adds what can only be said in the end: events that are still throttled,
    /// and the names of the kernel's, the vDSO's and generated code that was
    /// seen. Findings must have been taken, so that all frames are known.
    pub(crate) fn finish(&mut self, time_ns: u64) {
        self.end_cpu_times(None);
        self.tell_last_ran();
        for ((_, cpu), from_ns) in take(&mut self.throttled) {
            self.lose_throttled(cpu, from_ns, time_ns);
        }
        let mut left_out = Vec::new();
        left_out.extend(self.threads.values_mut().map(|thread| take(&mut thread.left_out)));
        left_out.iter().for_each(|left_out| self.lose_left_out(left_out, time_ns));
        self.finish_names();
    }

    fn sample(
        &mut self,
        event: &RawEvent<'_>,
        owner: u32,
        number: u32,
        weight: u64,
        place: &RawStack<'_>,
    ) {
        let moment = Moment::of(event);
        self.find_if_unannounced(moment, owner);
        let left_out = self.threads.get_mut(&moment.tid).map(|thread| &mut thread.left_out);
        let Some(weight) = LeftOut::add(left_out, moment.time_ns, weight, self.one_sample_in)
        else {
            return;
        };
        let stack = self.stack(moment, place);
        self.counts.samples += 1;
        self.weight += weight;
        let thread = self.thread_id(moment);
        self.found.samples.push(Sample {
            time_ns: event.time_ns,
            event: number,
            thread,
            cpu: event.cpu,
            stack,
            weight,
        });
    }

    fn wait(&mut self, event: &RawEvent<'_>, wait: &RawWait<'_>) {
        let moment = Moment::of(event);
        self.find_if_unannounced(moment, event.tid);
        let stack = self.stack(moment, &wait.place);
        self.counts.waits += 1;
        let thread = self.thread_id(moment);
        self.found.waits.push(Wait {
            end_ns: event.time_ns,
            thread,
            cpu: event.cpu,
            duration_ns: wait.duration_ns,
            queued_ns: wait.queued_ns,
            state: wait.state,
            syscall: wait.syscall,
            stack,
            weight: wait.weight,
            seen: wait.seen,
        });
    }

    fn call(&mut self, event: &RawEvent<'_>, call: &RawCall<'_>) -> Call {
        let moment = Moment::of(event);
        self.find_if_unannounced(moment, event.tid);
        let stack = call.place.as_ref().and_then(|(place, _)| self.stack(moment, place));
        for interner in [&mut self.texts, &mut self.call_data] {
            if interner.bytes() > MAX_KNOWN_TEXTS {
                interner.forget();
            }
        }
        // What is there may be of an earlier call, whose own row is lost.
        let is_of_system = matches!(event.what, What::Called(_));
        let data = if is_of_system { self.next_data.remove(&event.tid) } else { None };
        let data = data.filter(|(copied_ns, _)| *copied_ns >= call.start_ns);
        Call {
            start_ns: call.start_ns,
            thread: self.thread_id(moment),
            number: call.number,
            duration_ns: call.duration_ns,
            result: call.result,
            args: call.args,
            texts: call.texts.map(|text| text.map(|text| self.texts.text(text))),
            data: data.map(|(_, data)| self.call_data.text(&data)),
            stack,
            stack_weight: call.place.as_ref().map_or(0, |(_, weight)| *weight),
            count: call.count,
            seen: call.seen,
        }
    }

    fn call_data(&mut self, event: &RawEvent<'_>, data: &[u8]) {
        if self.next_data.len() >= MAX_NEXT_DATA {
            self.next_data.clear();
        }
        self.next_data.insert(event.tid, (event.time_ns, data.to_vec()));
    }

    /// The number of the moment's thread, which should be known.
    fn thread_id(&mut self, moment: Moment) -> u32 {
        let goes_on = self.threads.get(&moment.tid).map(|thread| thread.id);
        goes_on.or_else(|| self.just_ended(moment)).unwrap_or(u32::MAX)
    }

    /// The number of the stack that the moment's thread had.
    fn stack(&mut self, moment: Moment, place: &RawStack<'_>) -> Option<StackId> {
        let process = self.processes.get_mut(&moment.pid);
        let thread = self.threads.get_mut(&moment.tid);
        let records = &mut self.found.records;
        let (stack, truncated) = self.stacks.number(moment, place, process, thread, records);
        self.counts.truncated += u64::from(truncated.is_some());
        self.counts.too_deep += u64::from(truncated == Some(TruncatedReason::StackTooDeep));
        stack
    }
}
