//! Reads what hooks have written into their rings.
//!
//! Of a stack, a hook writes only what differs from the thread's previous one.
//! So each thread's last stack is kept here too, as the numbers of the stacks
//! that it goes through, from the root on.

use rustc_hash::FxHashMap;
use rz_alloc_ring::{Event, Events, MAX_FRAMES, entry};
use rz_format::{
    Allocation, AllocationKind, Frame, HeapCounts, ModuleKind, StackId, TruncatedReason,
};
use rz_unwind::{Code, Registers};

use super::Tracker;
use super::process::ProcessCode;
use super::stacks::Moment;
use crate::chunk::Chunk;
use crate::event::{RawAllocation, RawStack};

/// Steps from a stack to the next one that are remembered for each process.
const MAX_KNOWN_STEPS: usize = 1 << 20;

/// What is known of the rings' threads and processes.
#[derive(Debug, Default)]
pub(super) struct Hooked {
    /// By slot.
    threads: FxHashMap<u32, LastStack>,
    /// By process id: from a stack and a return address to the stack with
    /// that frame.
    steps: FxHashMap<u32, FxHashMap<(Option<StackId>, u64), StackId>>,
    /// Average number of bytes between samples; 0 if all are reported.
    pub(super) interval: u64,
}

/// The stack of a thread's last allocation.
#[derive(Debug, Default)]
struct LastStack {
    /// Which of the slot's threads it is.
    taken: u32,
    /// Return addresses, outermost first.
    addresses: Vec<u64>,
    /// The stack up to each of them.
    stacks: Vec<StackId>,
    /// The stack of callers that could not be found.
    root: Option<StackId>,
    truncated: u8,
    /// Whether the stack follows from events that are missing.
    is_lost: bool,
}

impl LastStack {
    fn next_file(self) -> Self {
        let LastStack { taken, addresses, stacks: _, root: _, truncated, is_lost } = self;
        LastStack { taken, addresses, truncated, is_lost, ..LastStack::default() }
    }

    /// The number of the whole stack.
    fn id(&self) -> Option<StackId> {
        if self.is_lost { None } else { self.stacks.last().copied().or(self.root) }
    }
}

impl Hooked {
    /// For the next file, in which stacks have other numbers.
    pub(super) fn next_file(self) -> Self {
        let Hooked { threads, steps: _, interval } = self;
        let threads = threads.into_iter().map(|(slot, last)| (slot, last.next_file())).collect();
        Hooked { threads, steps: FxHashMap::default(), interval }
    }

    /// Forgets what addresses of a process mean.
    pub(super) fn forget_code(&mut self, pid: u32) {
        self.steps.remove(&pid);
    }
}

impl Tracker {
    /// Says how allocations are sampled.
    pub(crate) fn set_allocation_interval(&mut self, interval: u64) {
        self.hooked.interval = interval;
    }

    /// Takes in what one thread wrote into its ring. Everything that was
    /// reported from before its end must have been handled.
    pub(crate) fn handle_chunk(&mut self, chunk: &Chunk) {
        let Chunk { slot, taken, pid, tid, last_ns, born_ns, .. } = *chunk;
        let moment = Moment { time_ns: last_ns, pid, tid };
        let thread = match self.ended_since(tid, born_ns) {
            Some(ended) => ended,
            None => {
                self.find_if_unannounced(moment, tid);
                self.thread_id(moment)
            }
        };
        self.note_allocator(moment, chunk.malloc);
        if !chunk.counts.is_zero() {
            let thread = Some(thread).filter(|thread| *thread != u32::MAX);
            self.found.heap_counts.push(HeapCounts { thread, ..chunk.counts });
            return;
        }
        let mut last = self.hooked.threads.remove(&slot).unwrap_or_default();
        if last.taken != taken {
            last = LastStack { taken, ..LastStack::default() };
        }
        for event in Events::new(&chunk.words) {
            let Ok(event) = event else {
                self.malformed(last_ns);
                last.is_lost = true;
                break;
            };
            let time = |ticks| chunk.ticks.to_ns(ticks);
            let row =
                Allocation { thread, interval: self.hooked.interval, ..Allocation::default() };
            match event {
                Event::Free { ticks, address, realloc, allocations } => {
                    let kind =
                        if realloc { AllocationKind::ReallocFree } else { AllocationKind::Free };
                    let (time_ns, allocations) = (time(ticks), allocations.unwrap_or(0));
                    self.add_allocation(Allocation { time_ns, kind, address, allocations, ..row });
                }
                Event::Allocation { ticks, entry, address, size, kept, new, truncated, same } => {
                    if same {
                        self.number(moment, &mut last);
                    } else {
                        self.follow(moment, &mut last, kept, new, truncated);
                    }
                    let (time_ns, kind, stack) = (time(ticks), kind(entry), last.id());
                    self.add_allocation(Allocation { time_ns, kind, address, size, stack, ..row });
                }
                Event::Sample { ticks, entry, address, size, allocations, ip, sp, bp, stack } => {
                    let moment = Moment { time_ns: time(ticks), pid, tid };
                    let bytes: Vec<u8> = stack.iter().flat_map(|word| word.to_le_bytes()).collect();
                    let registers = Some(Registers::of_caller(ip, sp, bp));
                    let place =
                        RawStack { python: &[], kernel: &[], registers, stack: &bytes, holes: 0 };
                    let (kind, interval, place) = (kind(entry), row.interval, Some(place));
                    let allocation =
                        RawAllocation { kind, address, size, allocations, interval, place };
                    self.allocation(moment, &allocation);
                }
                // The thread's counts say how many, and the next stack is sent
                // whole.
                Event::Lost { .. } => {}
            }
        }
        self.hooked.threads.insert(slot, last);
        self.watch_new_publishers();
    }

    /// Says whose functions a process allocates with, once.
    fn note_allocator(&mut self, moment: Moment, malloc: u64) {
        let Some(process) = self.processes.get_mut(&moment.pid) else { return };
        if !process.allocators.is_empty() {
            return;
        }
        if let Some(path) = process.space.find_mut(malloc).map(|found| found.entry.path.clone()) {
            self.add_allocator(moment.pid, &path);
        }
    }

    /// Turns a thread's last stack into its next one.
    fn follow(
        &mut self,
        moment: Moment,
        last: &mut LastStack,
        kept: usize,
        new: &[u64],
        truncated: u8,
    ) {
        if kept > last.addresses.len() || kept + new.len() > MAX_FRAMES {
            last.is_lost = true;
            return;
        }
        // A loss is over when nothing of what was before it is needed.
        last.is_lost &= kept > 0;
        last.addresses.truncate(kept);
        last.addresses.extend_from_slice(new);
        if truncated != last.truncated || kept == 0 {
            (last.truncated, last.root) = (truncated, None);
            last.stacks.clear();
        }
        last.stacks.truncate(kept);
        self.number(moment, last);
        self.counts.truncated += u64::from(truncated != 0);
    }

    /// Gives a thread's last stack the numbers that it lacks.
    fn number(&mut self, moment: Moment, last: &mut LastStack) {
        if last.is_lost {
            return;
        }
        if last.root.is_none()
            && let Some(reason) = last.truncated.checked_sub(1)
        {
            last.root = Some(self.stacks.root(TruncatedReason::from(u64::from(reason))));
            last.stacks.clear();
        }
        for address in &last.addresses[last.stacks.len()..] {
            let parent = last.stacks.last().copied().or(last.root);
            let stack = self.step_to(moment, parent, *address);
            last.stacks.push(stack);
        }
    }

    /// The number of the stack in which `parent` has called what returns to
    /// `address`.
    fn step_to(&mut self, moment: Moment, parent: Option<StackId>, address: u64) -> StackId {
        let steps = self.hooked.steps.entry(moment.pid).or_default();
        if let Some(stack) = steps.get(&(parent, address)) {
            return *stack;
        }
        let place = self.processes.get_mut(&moment.pid).and_then(|process| {
            let Moment { time_ns, pid, .. } = moment;
            let (modules, records) = (&mut self.stacks.modules, &mut self.found.records);
            let mut code = ProcessCode { pid, time_ns, process, modules, records };
            code.place(address.wrapping_sub(1))
        });
        let stack = match place {
            Some(place) => {
                if place.kind == ModuleKind::Vdso {
                    self.stacks.vdso_offsets.insert(place.offset);
                }
                let frame = Frame::Code { module: place.module, offset: place.offset };
                self.stacks.child(parent, frame)
            }
            // Whoever called from nowhere that is known, is not known either.
            None => self.stacks.root(TruncatedReason::BadReturnAddress),
        };
        if let Some(steps) = self.hooked.steps.get_mut(&moment.pid) {
            if steps.len() >= MAX_KNOWN_STEPS {
                steps.clear();
            }
            steps.insert((parent, address), stack);
        }
        stack
    }
}

fn kind(function: u64) -> AllocationKind {
    match function {
        entry::MALLOC => AllocationKind::Malloc,
        entry::CALLOC => AllocationKind::Calloc,
        entry::REALLOC => AllocationKind::Realloc,
        entry::ALIGNED => AllocationKind::Aligned,
        _ => AllocationKind::Unknown,
    }
}
