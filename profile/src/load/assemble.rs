//! Puts a profile together from what was read.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use rz_format::{EventUnit, Frame, Module, Tier, Total};

use super::dictionary::StackDictionary;
use super::facts::Facts;
use super::heap::{HeapTables, SiteKey};
use super::locations::{LOST, Locations};
use super::rows::Places;
use super::sums::{Key, Sums, What};
use super::timeline::{Moment, Timeline};
use super::{LoadOptions, Tables};
use crate::model::heap::{self, Metric};
use crate::model::{
    ALLOC, CallDetail, Event, EventKind, FUNCTIONS, FrameKind, LocationId, OFF_CPU, Process,
    Profile, SYSCALLS, Sample, StackId, StackNode, Thread, TimedSample, Unit, add_up_equal,
};
use crate::reason::{Reason, WaitReason};

/// Everything but [`Profile::info`], of which only the numbers of samples and
/// the notes about names and stacks are set. `row_places` gets what rows are made into.
pub(super) fn assemble(
    tables: &mut Tables,
    heap: &mut HeapTables,
    options: &LoadOptions,
    mut row_places: Option<&mut Places>,
) -> Profile {
    let moments = tables.timeline.as_mut().and_then(Timeline::take_moments);
    let tables = &*tables;
    let Tables { facts, stacks: dictionary, sums, totals, calls, .. } = tables;
    let touched = touched_stacks(dictionary, sums, heap);
    let mut touched_frames = touched_frames(dictionary, &touched);
    let mut frames = Cow::Borrowed(dictionary.frames.values());
    // Behind those of stacks, where functions begin whose calls were recorded.
    let (first_probed, probed) = (frames.len(), probed_frames(facts));
    if !probed.is_empty() {
        frames.to_mut().extend(probed.iter().map(|(_, frame)| *frame));
        touched_frames.resize(frames.len(), true);
    }
    let mut locations = Locations::new(tables, &frames, &touched_frames, options);
    let mut stacks = Stacks::new(dictionary, &touched, &mut locations);

    let mut profile = Profile::default();
    let events = EventIds::add_events(&mut profile, tables);
    add_threads(&mut profile, tables, heap);
    let thread_index = |id: u32| index_or_end(facts.threads.index_of(id), facts.threads.values());
    let (threads, processes) = (&profile.threads, &profile.processes);
    let mut resolve = |key: Key| {
        let thread = thread_index(key.thread);
        let stack = key.stack.map(|id| stacks.of_id(id, dictionary, &mut locations));
        let kernel = processes[threads[thread].process].kernel;
        let stack = stacks.with_reason(stack, key.what, kernel, &mut locations);
        (events.of(key.what, facts), thread, stack)
    };
    let sum = |(&key, amount): (&Key, &super::sums::Amount)| {
        let (event, thread, stack) = resolve(key);
        Sample { event, thread, stack, count: amount.count, weight: amount.weight }
    };
    let mut samples: Vec<Sample> = sums.amounts().map(sum).collect();
    let timed = |moment: Moment| Some(moment.at(resolve(moment.entry.key)));
    profile.timeline = moments.map(|classes| in_order(classes, timed));
    if let Some(places) = row_places.as_deref_mut() {
        let recorded = facts.threads.values().iter().map(|thread| thread.id);
        for id in recorded.chain(sums.amounts().map(|(key, _)| key.thread)) {
            let thread = thread_index(id);
            places.add_thread(id, thread, threads[thread].process);
        }
        for (&key, _) in sums.amounts() {
            let place = resolve(key);
            places.add(key, threads[place.1].process, place);
        }
    }
    let place = |site: &SiteKey| {
        let stack = site.stack.map(|id| stacks.of_id(id, dictionary, &mut locations));
        (thread_index(site.thread), stack)
    };
    let places: Vec<_> = heap.matching.sites().iter().map(place).collect();
    if let Some(row_places) = row_places {
        for (site, (_, stack)) in heap.matching.sites().iter().zip(&places) {
            if let (Some(id), Some(stack)) = (site.stack, *stack) {
                row_places.add_allocated(id, stack);
            }
        }
    }
    // What is missing has one id, so that some samples may now be the same.
    add_up_equal(&mut samples);
    profile.samples = samples;
    let last_ran = facts.last_ran.iter();
    profile.last_ran = last_ran.map(|(id, time_ns)| (thread_index(*id), *time_ns)).collect();
    profile.totals = totals_of_threads(totals.exact.sums(), thread_index);
    profile.open_waits = totals_of_threads(totals.open_waits.sums(), thread_index);
    profile.calls = calls.finish();
    profile.probed =
        facts.probed.iter().map(|(number, function)| (*number, function.into())).collect();
    for (index, (number, _)) in (first_probed..).zip(&probed) {
        if let Some(function) = profile.probed.get_mut(number) {
            function.location = locations.of_frame[index];
        }
    }

    let count = |root, kind: Option<EventKind>| {
        let is_it = |sample: &&Sample| {
            sample.stack.is_some_and(|s| stacks.roots[s] == root)
                && kind.is_none_or(|kind| profile.events[sample.event].kind == kind)
        };
        profile.samples.iter().filter(is_it).map(|sample| sample.count).sum::<u64>()
    };
    let truncated = count(FrameKind::Truncated, Some(EventKind::Cpu));
    let lost = count(FrameKind::Lost, None);
    let is_cpu = |sample: &&Sample| profile.events[sample.event].kind == EventKind::Cpu;
    let of_others = tables.found.samples.iter().filter(|&(&event, _)| {
        let event = events.of(What::Sample(event), facts);
        profile.events.get(event).is_some_and(|event| event.kind == EventKind::Cpu)
    });
    let of_others: u64 = of_others.map(|(_, count)| count).sum();
    profile.info.samples = profile.samples.iter().filter(is_cpu).map(|s| s.count).sum();
    profile.info.samples += of_others;
    profile.info.truncated = truncated;
    profile.info.notes = locations.notes;
    profile.info.details = locations.details;
    if lost > 0 {
        profile.info.notes.push(format!(
            "{lost} samples have stacks that were defined in a missing part of the file, shown as {LOST}"
        ));
    }
    profile.modules = locations.modules;
    profile.functions = locations.functions;
    profile.locations = locations.locations;
    profile.stacks = stacks.nodes;
    if let Some(event) = events.alloc {
        let found = heap.finish(facts, &profile, &options.heap, thread_index, &places);
        // It is the last event.
        profile.samples.extend(heap::samples(&found, event, Metric::default()));
        profile.heap = Some(found);
    }
    profile
}

/// All classes in order of time. There may be millions: the first class makes room for
/// its own samples, the others are let go of as soon as they were gone through, and only
/// times are sorted.
pub(super) fn in_order(
    classes: [Vec<Moment>; 4],
    mut timed: impl FnMut(Moment) -> Option<TimedSample>,
) -> Vec<TimedSample> {
    let mut classes = classes.into_iter().filter(|moments| !moments.is_empty());
    let first = classes.next().unwrap_or_default();
    let mut timeline: Vec<_> = first.into_iter().filter_map(&mut timed).collect();
    for moments in classes {
        timeline.extend(moments.into_iter().filter_map(&mut timed));
    }
    if !timeline.is_sorted_by_key(|sample| sample.time_ns) {
        timeline.sort_by_cached_key(|sample| sample.time_ns);
    }
    timeline
}

/// Exact sums by the threads of the profile.
fn totals_of_threads<'t>(
    sums: impl Iterator<Item = &'t Total>,
    thread_index: impl Fn(u32) -> usize,
) -> Vec<Total> {
    let key = |total: &Total| (total.class, total.thread, total.state, total.number);
    let mut totals: Vec<Total> = sums
        .map(|total| {
            let thread = total.thread.map(|id| thread_index(id) as u32);
            Total { thread, ..total.clone() }
        })
        .collect();
    totals.sort_unstable_by_key(key);
    totals.dedup_by(|next, first| {
        let same = key(next) == key(first);
        if same {
            first.add(next);
        }
        same
    });
    totals
}

/// The index of something with an id, or the one behind the last, which is
/// where the placeholder for what is missing goes.
fn index_or_end<T>(index: Option<usize>, values: &[T]) -> usize {
    index.unwrap_or(values.len())
}

/// Whether calls of functions were recorded.
fn has_functions(tables: &Tables) -> bool {
    tables.found.function_calls || !tables.facts.probed.is_empty()
}

/// Which events a profile has.
struct EventIds {
    /// Those of the trace come first, then the placeholder for what is
    /// missing, if there is need for it.
    off_cpu: usize,
    syscalls: usize,
    functions: usize,
    /// The last one, if there is anything about allocations.
    alloc: Option<usize>,
}

impl EventIds {
    /// Adds events in order of appearance, then those for what was recorded
    /// besides samples.
    fn add_events(profile: &mut Profile, tables: &Tables) -> EventIds {
        let facts = &tables.facts;
        let captured = facts.sources.captured();
        let captured = captured.as_ref();
        let has_waits = tables.found.waits || captured.is_some_and(|captured| captured.waits);
        let detail = captured.map_or(CallDetail::None, |captured| captured.calls.into());
        let has_calls = tables.found.calls || detail != CallDetail::None;
        let mut lost = false;
        for (key, _) in tables.sums.amounts() {
            if let What::Sample(event) = key.what {
                lost |= facts.events.index_of(event).is_none();
            }
        }
        let recorded = facts.events.values();
        let is_others = facts.sources.iter().any(|source| {
            let tier = source.recording.as_ref().and_then(|it| Tier::from_name(&it.tier));
            matches!(tier, Some(Tier::Pprof | Tier::Other(_)))
        });
        profile.events = recorded.iter().map(|one| event(one, is_others)).collect();
        let mut add = |wanted, kind, name: &str| {
            if wanted {
                profile.events.push(Event { kind, name: name.to_owned(), ..Event::default() });
            }
            profile.events.len().saturating_sub(1)
        };
        add(lost, EventKind::Cpu, LOST);
        let off_cpu = add(has_waits, EventKind::OffCpu, OFF_CPU);
        let syscalls = add(has_calls, EventKind::Syscalls, SYSCALLS);
        let functions = add(has_functions(tables), EventKind::Functions, FUNCTIONS);
        let has_heap = tables.found.allocations || facts.sources.allocations().is_some();
        let alloc = has_heap.then(|| add(true, EventKind::Alloc, ALLOC));
        if let Some(alloc) = alloc {
            profile.events[alloc].unit = Metric::default().unit();
        }
        EventIds { off_cpu, syscalls, functions, alloc }
    }

    /// The event that something is a sample of.
    fn of(&self, what: What, facts: &Facts) -> usize {
        match what {
            What::Sample(id) => index_or_end(facts.events.index_of(id), facts.events.values()),
            What::Wait(..) => self.off_cpu,
            What::Call(_) => self.syscalls,
            What::FunctionCall => self.functions,
        }
    }
}

/// Adds processes and threads in order of appearance, and behind them a
/// placeholder if anything refers to one that is missing.
fn add_threads(profile: &mut Profile, tables: &Tables, heap: &HeapTables) {
    let Tables { facts, sums, totals, .. } = tables;
    let processes = &facts.processes;
    let thread = |recorded: &rz_format::Thread| Thread {
        process: index_or_end(processes.index_of(recorded.process), processes.values()),
        tid: recorded.tid,
        name: facts.name_of(recorded).to_owned(),
    };
    profile.threads = facts.threads.values().iter().map(thread).collect();
    let mut used = sums
        .amounts()
        .map(|(key, _)| key.thread)
        .chain(totals.exact.sums().filter_map(|total| total.thread))
        .chain(heap.threads());
    if used.any(|id| facts.threads.index_of(id).is_none()) {
        let process = processes.values().len();
        profile.threads.push(Thread { process, tid: 0, name: LOST.to_owned() });
    }

    profile.processes = processes.values().iter().map(|known| process(known, facts)).collect();
    if profile.threads.iter().any(|thread| thread.process == profile.processes.len()) {
        profile.processes.push(Process { name: LOST.to_owned(), ..Process::default() });
    }
}

/// An event. `is_others`: by a tool that counts objects and more.
fn event(recorded: &rz_format::Event, is_others: bool) -> Event {
    let (kind, unit) = match EventUnit::from(recorded.unit) {
        EventUnit::Cycles => (EventKind::Cpu, Unit::Cycles),
        EventUnit::Bytes if is_growth(&recorded.name) => (EventKind::Growth, Unit::Bytes),
        EventUnit::Bytes => (EventKind::Other, Unit::Bytes),
        EventUnit::Things if is_others && !recorded.name.starts_with("sample") => {
            (EventKind::Other, Unit::Count)
        }
        EventUnit::Things => (EventKind::Cpu, Unit::Count),
        EventUnit::Nanoseconds => match EventKind::from_name(&recorded.name) {
            // Imported from what we exported.
            Some(kind @ (EventKind::OffCpu | EventKind::Syscalls | EventKind::Functions)) => {
                (kind, Unit::Nanoseconds)
            }
            Some(
                EventKind::Cpu
                | EventKind::Wall
                | EventKind::Alloc
                | EventKind::Growth
                | EventKind::Other,
            )
            | None => match is_cpu_time(&recorded.name) {
                true => (EventKind::Cpu, Unit::Nanoseconds),
                false => (EventKind::Other, Unit::Nanoseconds),
            },
        },
        EventUnit::Unknown => (EventKind::Cpu, Unit::Nanoseconds),
    };
    // Memory becomes resident page by page, which is counted, not timed.
    let timed = kind != EventKind::Growth;
    let frequency_hz = if timed { recorded.frequency_hz } else { 0 };
    Event { kind, name: recorded.name.clone(), unit, frequency_hz, metric: None }
}

/// An event's name without what perf adds to it, such as `:u` for user mode.
fn base_name(event: &str) -> &str {
    event.split(':').next().unwrap_or_default()
}

/// Whether nanoseconds of an event are time on a CPU, and not of a clock on the wall.
fn is_cpu_time(event: &str) -> bool {
    matches!(base_name(event), "cpu" | "cpu-clock" | "task-clock" | "cpu-time" | "cpu_time")
}

/// Whether bytes of an event are those of memory that became resident.
fn is_growth(event: &str) -> bool {
    matches!(base_name(event), "page-faults" | "faults" | "minor-faults" | "major-faults")
}

fn process(recorded: &rz_format::Process, facts: &Facts) -> Process {
    Process {
        pid: recorded.pid,
        name: recorded.name.clone(),
        exe: recorded.exe.clone(),
        kernel: is_kernel_thread(recorded),
        source: facts.sources.of_process(recorded.id),
    }
}

/// Whether this is `kthreadd`, which has the pid 2, or a child of it. In a
/// container that pid is any other process's, but that has a program.
pub fn is_kernel_thread(recorded: &rz_format::Process) -> bool {
    let has_program = !recorded.exe.is_empty() || !recorded.argv0.is_empty();
    !has_program && [recorded.pid, recorded.parent_pid].contains(&2)
}

/// Where the functions begin whose calls were recorded, by number, as far as it is known what
/// else is in their files.
fn probed_frames(facts: &Facts) -> Vec<(u32, Frame)> {
    if facts.probed.is_empty() {
        return Vec::new();
    }
    let modules = facts.modules.values().iter().map(|module| (module.path.as_str(), module));
    let modules: FxHashMap<&str, &Module> = modules.collect();
    let probed = facts.probed.iter().filter_map(|(number, function)| {
        let module = modules.get(function.path.as_str())?;
        let segment = module.segments.iter().find(|segment| {
            (segment.svma..segment.svma.saturating_add(segment.length)).contains(&function.address)
        })?;
        let offset = (function.address - segment.svma).checked_add(segment.file_offset)?;
        Some((*number, Frame::Code { module: module.id, offset }))
    });
    probed.collect()
}

/// Which stacks samples and sites refer to, directly or as callers; one entry
/// for each.
fn touched_stacks(dictionary: &StackDictionary, sums: &Sums, heap: &HeapTables) -> Vec<bool> {
    let mut touched = vec![false; dictionary.stacks.values().len()];
    let of_sites = heap.matching.sites().iter().map(|site| site.stack);
    for stack in sums.amounts().map(|(key, _)| key.stack).chain(of_sites) {
        let mut next = stack;
        while let Some(index) = next.and_then(|id| dictionary.stacks.index_of(id))
            && !touched[index]
        {
            touched[index] = true;
            next = dictionary.stacks.values()[index].parent;
        }
    }
    touched
}

/// Which frames those stacks have; one entry for each.
fn touched_frames(dictionary: &StackDictionary, touched_stacks: &[bool]) -> Vec<bool> {
    let mut touched = vec![false; dictionary.frames.values().len()];
    for (node, _) in dictionary.stacks.values().iter().zip(touched_stacks).filter(|(_, t)| **t) {
        if let Some(frame) = dictionary.frames.index_of(node.frame) {
            touched[frame] = true;
        }
    }
    touched
}

/// The stacks of a profile.
struct Stacks {
    nodes: Vec<StackNode>,
    /// Kind of the root of each node's stack.
    roots: Vec<FrameKind>,
    /// Node of each recorded stack; `None` for those that are not touched.
    of_recorded: Vec<Option<StackId>>,
    /// The node for all that is missing, once there is need for it.
    lost: Option<StackId>,
    /// Location of each reason.
    of_reason: FxHashMap<Reason, LocationId>,
    /// Nodes of reasons by what they are called from.
    with_reason: FxHashMap<(Option<StackId>, LocationId), StackId>,
}

impl Stacks {
    fn new(dictionary: &StackDictionary, touched: &[bool], locations: &mut Locations) -> Self {
        let recorded = dictionary.stacks.values();
        let of_recorded = vec![None; recorded.len()];
        let mut this = Stacks {
            nodes: Vec::new(),
            roots: Vec::new(),
            of_recorded,
            lost: None,
            of_reason: FxHashMap::default(),
            with_reason: FxHashMap::default(),
        };
        // In ascending order callers come first.
        for (index, node) in recorded.iter().enumerate().filter(|(index, _)| touched[*index]) {
            let frame = dictionary.frames.index_of(node.frame);
            let location = frame.and_then(|frame| locations.of_frame[frame]);
            let id = match location {
                None => this.lost(locations),
                Some(location) => {
                    let kind = locations.locations[location].kind;
                    let caller = node.parent.filter(|_| kind != FrameKind::Truncated);
                    let caller = caller.map(|id| this.of_id(id, dictionary, locations));
                    this.add(caller, location, kind)
                }
            };
            this.of_recorded[index] = Some(id);
        }
        this
    }

    /// The node of a recorded stack, which is the one for what is missing if
    /// the stack is.
    fn of_id(
        &mut self,
        id: rz_format::StackId,
        dictionary: &StackDictionary,
        locations: &mut Locations,
    ) -> StackId {
        let known = dictionary.stacks.index_of(id).and_then(|index| self.of_recorded[index]);
        known.unwrap_or_else(|| self.lost(locations))
    }

    /// A stack with one more frame, innermost, that says why its thread waited
    /// or what it called; samples of the CPU have none.
    fn with_reason(
        &mut self,
        stack: Option<StackId>,
        what: What,
        kernel_thread: bool,
        locations: &mut Locations,
    ) -> Option<StackId> {
        let reason = match what {
            What::Sample(_) | What::FunctionCall => return stack,
            What::Wait(state, call) => Reason::OffCpu(WaitReason::new(state, call, kernel_thread)),
            What::Call(number) => Reason::Syscall(number),
        };
        let location =
            *self.of_reason.entry(reason).or_insert_with(|| locations.add_reason(reason));
        let stack = self.without_tracing(stack, locations);
        if let Some(&known) = self.with_reason.get(&(stack, location)) {
            return Some(known);
        }
        let node = self.add(stack, location, FrameKind::Reason(reason));
        self.with_reason.insert((stack, location), node);
        Some(node)
    }

    /// A stack without the innermost frames that are there only because it was
    /// recorded. How many there are depends on who else records meanwhile.
    fn without_tracing(&self, stack: Option<StackId>, locations: &Locations) -> Option<StackId> {
        let mut stack = stack;
        while let Some(id) = stack
            && locations.is_tracing(self.nodes[id].location)
        {
            stack = self.nodes[id].parent;
        }
        stack
    }

    fn lost(&mut self, locations: &mut Locations) -> StackId {
        if let Some(lost) = self.lost {
            return lost;
        }
        let location = locations.add_lost();
        let lost = self.add(None, location, FrameKind::Lost);
        self.lost = Some(lost);
        lost
    }

    fn add(&mut self, parent: Option<StackId>, location: LocationId, kind: FrameKind) -> StackId {
        self.nodes.push(StackNode { parent, location });
        self.roots.push(parent.map_or(kind, |parent| self.roots[parent]));
        self.nodes.len() - 1
    }
}
