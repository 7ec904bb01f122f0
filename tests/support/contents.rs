//! Everything that is in a trace, row by row, as a test asks about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use rz_format::{
    Allocation, Block, Call, CpuTime, Damage, Frame, Function, HeapCounts, Loss, Name, Process,
    Reader, Record, Sample, StackId, StackNode, Thread, Total, TotalClass, Wait, WaitState,
};

/// A trace's content. Ids are indices into `frames`, `stacks` and `texts`.
#[derive(Debug, Default)]
pub struct Contents {
    /// All facts.
    pub records: Vec<Record>,
    /// What is damaged.
    pub damage: Vec<Damage>,
    /// All frames.
    pub frames: Vec<Frame>,
    /// All stacks.
    pub stacks: Vec<StackNode>,
    /// All texts.
    pub texts: Vec<Vec<u8>>,
    /// What was copied for system calls.
    pub call_data: Vec<Vec<u8>>,
    /// All samples.
    pub samples: Vec<Sample>,
    /// All intervals off the CPU.
    pub waits: Vec<Wait>,
    /// All system calls.
    pub calls: Vec<Call>,
    /// All calls of functions.
    pub function_calls: Vec<Call>,
    /// All sums.
    pub totals: Vec<Total>,
    /// All allocations.
    pub allocations: Vec<Allocation>,
    /// All counts of allocations.
    pub heap_counts: Vec<HeapCounts>,
    /// How long threads ran.
    pub cpu_times: Vec<CpuTime>,
    /// All names of code.
    pub names: Vec<Name>,
}

/// Count and errors of a kind of system calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many there were.
    pub count: u64,
    /// How many of them failed.
    pub errors: u64,
}

impl Contents {
    /// Reads the trace at `path`.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader =
            Reader::new(BufReader::new(file)).unwrap_or_else(|error| panic!("{error}"));
        let mut all = Contents::default();
        while let Some(block) = reader.next_block().unwrap_or_else(|error| panic!("{error}")) {
            match block {
                Block::Records(records) => all.records.extend(records),
                Block::Stacks(defs) => {
                    assert_eq!(defs.first_frame as usize, all.frames.len());
                    assert_eq!(defs.first_stack as usize, all.stacks.len());
                    all.frames.extend(defs.frames);
                    all.stacks.extend(defs.stacks);
                }
                Block::Texts(defs) => {
                    assert_eq!(defs.first as usize, all.texts.len());
                    all.texts.extend(defs.texts);
                }
                Block::CallData(defs) => {
                    assert_eq!(defs.first as usize, all.call_data.len());
                    all.call_data.extend(defs.texts);
                }
                Block::Samples(rows) => all.samples.extend(rows),
                Block::Waits(rows) => all.waits.extend(rows),
                Block::Calls(rows) => all.calls.extend(rows),
                Block::FunctionCalls(rows) => all.function_calls.extend(rows),
                Block::Totals(rows) => all.totals.extend(rows),
                Block::Allocations(rows) => all.allocations.extend(rows),
                Block::HeapCounts(rows) => all.heap_counts.extend(rows),
                Block::CpuTimes(rows) => all.cpu_times.extend(rows),
                Block::Names(rows) => all.names.extend(rows),
            }
        }
        all.damage = reader.damage().to_vec();
        all.check_threads();
        all
    }

    /// Panics unless every row is of a thread that is described.
    #[track_caller]
    fn check_threads(&self) {
        let known: BTreeSet<u32> = self.threads().map(|thread| thread.id).collect();
        let samples = self.samples.iter().map(|sample| sample.thread);
        let waits = self.waits.iter().map(|wait| wait.thread);
        let calls = self.calls.iter().map(|call| call.thread);
        let totals = self.totals.iter().filter_map(|total| total.thread);
        let unknown: BTreeSet<u32> = samples
            .chain(waits)
            .chain(calls)
            .chain(totals)
            .chain(self.allocations.iter().map(|row| row.thread))
            .chain(self.heap_counts.iter().filter_map(|row| row.thread))
            .filter(|id| !known.contains(id))
            .collect();
        assert!(unknown.is_empty(), "rows of threads that are not described: {unknown:?}");
    }

    /// The sum of all counts of allocations.
    pub fn heap_total(&self) -> HeapCounts {
        let mut sum = HeapCounts::default();
        self.heap_counts.iter().for_each(|row| sum.add(row));
        sum
    }

    /// All threads.
    pub fn threads(&self) -> impl Iterator<Item = &Thread> {
        self.records.iter().filter_map(|record| match record {
            Record::Thread(thread) => Some(thread),
            _ => None,
        })
    }

    /// The processes by id, as the last record about each says.
    pub fn processes(&self) -> BTreeMap<u32, &Process> {
        let processes = self.records.iter().filter_map(|record| match record {
            Record::Process(process) => Some((process.id, process)),
            _ => None,
        });
        processes.collect()
    }

    /// The last name of each thread, by id.
    pub fn thread_names(&self) -> BTreeMap<u32, String> {
        let mut names = BTreeMap::new();
        for record in &self.records {
            match record {
                Record::Thread(thread) => names.insert(thread.id, thread.name.clone()),
                Record::ThreadName(new) => names.insert(new.thread, new.name.clone()),
                _ => None,
            };
        }
        names
    }

    /// The id of the only thread of that name.
    #[track_caller]
    pub fn thread_named(&self, name: &str) -> u32 {
        let names = self.thread_names();
        let mut found = names.iter().filter(|(_, known)| *known == name);
        match (found.next(), found.next()) {
            (Some((id, _)), None) => *id,
            _ => panic!("not one thread {name:?} among {names:?}"),
        }
    }

    /// The id of the only thread with that number.
    #[track_caller]
    pub fn thread_with_tid(&self, tid: u32) -> u32 {
        let ids: Vec<u32> = self.threads().filter(|t| t.tid == tid).map(|t| t.id).collect();
        assert_eq!(ids.len(), 1, "threads with number {tid}: {ids:?}");
        ids[0]
    }

    /// Process ids of the processes that have samples.
    pub fn sampled_pids(&self) -> BTreeSet<u32> {
        let processes = self.processes();
        let owners: BTreeMap<u32, u32> = self.threads().map(|t| (t.id, t.process)).collect();
        self.samples.iter().map(|sample| processes[&owners[&sample.thread]].pid).collect()
    }

    /// Records of what is missing.
    pub fn losses(&self) -> Vec<&Loss> {
        let losses = self.records.iter().filter_map(|record| match record {
            Record::Loss(loss) => Some(loss),
            _ => None,
        });
        losses.collect()
    }

    /// From the start of sampling to the end, in nanoseconds.
    #[track_caller]
    pub fn span_ns(&self) -> u64 {
        let start = self.records.iter().find_map(|record| match record {
            Record::Recording(recording) => Some(recording.start_ns),
            _ => None,
        });
        let end = self.records.iter().find_map(|record| match record {
            Record::End(end) => Some(end.time_ns),
            _ => None,
        });
        end.expect("the recording has ended") - start.expect("the recording has begun")
    }

    /// Counts and errors of system calls in the exact sums, by number.
    pub fn counted_calls(&self) -> BTreeMap<u32, Counted> {
        let mut counted: BTreeMap<u32, Counted> = BTreeMap::new();
        for total in self.totals.iter().filter(|total| total.class == TotalClass::Calls) {
            let sum = counted.entry(total.number.expect("a call has a number")).or_default();
            sum.count += total.count;
            sum.errors += total.errors;
        }
        counted
    }

    /// Whether it was recorded on Linux 5.10.
    pub fn is_of_linux_5_10(&self) -> bool {
        self.records.iter().any(|record| match record {
            Record::Host(host) => host.release.starts_with("5.10."),
            _ => false,
        })
    }

    /// Functions whose calls were recorded, by number.
    pub fn functions(&self) -> BTreeMap<u32, &Function> {
        let functions = self.records.iter().filter_map(|record| match record {
            Record::Function(function) => Some((function.number, function)),
            _ => None,
        });
        functions.collect()
    }

    /// How often they were called, in the exact sums, by name.
    pub fn counted_functions(&self) -> BTreeMap<String, u64> {
        let functions = self.functions();
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for total in self.totals.iter().filter(|total| total.class == TotalClass::Functions) {
            let number = total.number.expect("a function has a number");
            *counts.entry(functions[&number].name.clone()).or_default() += total.count;
        }
        counts
    }

    /// Sum of a thread's times off the CPU: what is over is in the exact sums,
    /// what is not has a row.
    pub fn off_cpu_ns(&self, thread: u32) -> u64 {
        let is_sum = |t: &&Total| t.class == TotalClass::Waits && t.thread == Some(thread);
        let over: u64 = self.totals.iter().filter(is_sum).map(|total| total.total_ns).sum();
        let still = self.waits.iter().filter(|w| w.thread == thread && w.seen.unfinished);
        over + still.map(|wait| wait.duration_ns).sum::<u64>()
    }

    /// The same for the part in which the thread was ready to run.
    pub fn queued_ns(&self, thread: u32) -> u64 {
        let is_sum = |t: &&Total| t.class == TotalClass::Waits && t.thread == Some(thread);
        let over: u64 = self.totals.iter().filter(is_sum).map(|total| total.queued_ns).sum();
        let still = self.waits.iter().filter(|w| w.thread == thread && w.seen.unfinished);
        over + still.map(|wait| wait.queued_ns).sum::<u64>()
    }

    /// How many waits of a thread for one reason are over, and their time but for
    /// that in which the thread was ready to run.
    pub fn waits_for(&self, thread: u32, state: WaitState) -> (u64, u64) {
        let is_sum = |t: &&Total| t.class == TotalClass::Waits && t.thread == Some(thread);
        let sums = self.totals.iter().filter(is_sum).filter(|total| total.state == state);
        sums.fold((0, 0), |(n, ns), sum| (n + sum.count, ns + sum.total_ns - sum.queued_ns))
    }

    /// The text that a row refers to.
    pub fn text(&self, id: Option<u32>) -> Option<&[u8]> {
        id.map(|id| self.texts[id as usize].as_slice())
    }

    /// A stack's frames, leaf first: module and offset of code.
    pub fn frames_of(&self, stack: StackId) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut next = Some(stack);
        while let Some(id) = next {
            let node = self.stacks[id as usize];
            frames.push(self.frames[node.frame as usize]);
            next = node.parent;
        }
        frames
    }
}
