//! Puts a profile together from what was read.

use std::path::PathBuf;

use super::dictionary::StackDictionary;
use super::facts::Facts;
use super::locations::{LOST, Locations};
use super::sums::{Key, Sums, key};
use crate::profile::{
    Event, FrameKind, LocationId, Process, Profile, Sample, StackId, StackNode, Thread,
    TimedSample, Unit,
};

/// Everything but [`Profile::info`], of which only the numbers of samples and
/// the notes about names and stacks are set.
pub(super) fn assemble(
    facts: &Facts,
    dictionary: &StackDictionary,
    sums: &Sums,
    debug_dirs: &[PathBuf],
) -> Profile {
    let touched = touched_stacks(dictionary, sums);
    let touched_frames = touched_frames(dictionary, &touched);
    let frames = dictionary.frames.values();
    let mut locations = Locations::new(facts, frames, &touched_frames, debug_dirs);
    let mut stacks = Stacks::new(dictionary, &touched, &mut locations);

    let mut profile = Profile::default();
    add_events_and_threads(&mut profile, facts, sums);
    let mut resolve = |key: Key| {
        let event = index_or_end(facts.events.index_of(key.event), facts.events.values());
        let thread = index_or_end(facts.threads.index_of(key.thread), facts.threads.values());
        let stack = key.stack.map(|id| stacks.of_id(id, dictionary, &mut locations));
        (event, thread, stack)
    };
    profile.samples = sums
        .amounts()
        .map(|(&key, amount)| {
            let (event, thread, stack) = resolve(key);
            Sample { event, thread, stack, count: amount.count, weight: amount.weight }
        })
        .collect();
    profile.timeline = sums.timeline().map(|samples| {
        let timed = samples.iter().map(|sample| {
            let (event, thread, stack) = resolve(key(sample));
            TimedSample { time_ns: sample.time_ns, event, thread, stack, weight: sample.weight }
        });
        let mut timeline: Vec<TimedSample> = timed.collect();
        timeline.sort_by_key(|sample| sample.time_ns);
        timeline
    });
    // What is missing has one id, so that some samples may now be the same.
    profile.samples.sort_unstable_by_key(|s| (s.event, s.thread, s.stack));
    profile.samples.dedup_by(|next, first| {
        let same =
            (next.event, next.thread, next.stack) == (first.event, first.thread, first.stack);
        if same {
            first.count += next.count;
            first.weight += next.weight;
        }
        same
    });

    let count = |root| {
        let is_it = |sample: &&Sample| sample.stack.is_some_and(|s| stacks.roots[s] == root);
        profile.samples.iter().filter(is_it).map(|sample| sample.count).sum::<u64>()
    };
    let (truncated, lost) = (count(FrameKind::Truncated), count(FrameKind::Lost));
    profile.info.samples = profile.samples.iter().map(|sample| sample.count).sum();
    profile.info.truncated = truncated;
    profile.info.notes = locations.notes;
    if lost > 0 {
        profile.info.notes.push(format!(
            "{lost} samples have stacks that were defined in a missing part of the file, shown as {LOST}"
        ));
    }
    profile.modules = locations.modules;
    profile.functions = locations.functions;
    profile.locations = locations.locations;
    profile.stacks = stacks.nodes;
    profile
}

/// The index of something with an id, or the one behind the last, which is
/// where the placeholder for what is missing goes.
fn index_or_end<T>(index: Option<usize>, values: &[T]) -> usize {
    index.unwrap_or(values.len())
}

/// Adds events, processes and threads in order of appearance, and behind them
/// a placeholder if anything refers to one that is missing.
fn add_events_and_threads(profile: &mut Profile, facts: &Facts, sums: &Sums) {
    profile.events = facts.events.values().iter().map(event).collect();
    if sums.amounts().any(|(key, _)| facts.events.index_of(key.event).is_none()) {
        profile.events.push(Event { name: LOST.to_owned(), ..Event::default() });
    }

    let processes = &facts.processes;
    let thread = |recorded: &rz_format::Thread| {
        let new_name = facts.thread_names.get(&recorded.id).map(|new| &new.name);
        Thread {
            process: index_or_end(processes.index_of(recorded.process), processes.values()),
            tid: recorded.tid,
            name: new_name.unwrap_or(&recorded.name).clone(),
        }
    };
    profile.threads = facts.threads.values().iter().map(thread).collect();
    if sums.amounts().any(|(key, _)| facts.threads.index_of(key.thread).is_none()) {
        let process = processes.values().len();
        profile.threads.push(Thread { process, tid: 0, name: LOST.to_owned() });
    }

    profile.processes = processes.values().iter().map(process).collect();
    if profile.threads.iter().any(|thread| thread.process == profile.processes.len()) {
        profile.processes.push(Process { name: LOST.to_owned(), ..Process::default() });
    }
}

fn event(recorded: &rz_format::Event) -> Event {
    let unit = if recorded.unit == 1 { Unit::Cycles } else { Unit::Nanoseconds };
    Event { name: recorded.name.clone(), unit, frequency_hz: recorded.frequency_hz }
}

fn process(recorded: &rz_format::Process) -> Process {
    Process { pid: recorded.pid, name: recorded.name.clone(), exe: recorded.exe.clone() }
}

/// Which stacks samples refer to, directly or as callers; one entry for each.
fn touched_stacks(dictionary: &StackDictionary, sums: &Sums) -> Vec<bool> {
    let mut touched = vec![false; dictionary.stacks.values().len()];
    for (key, _) in sums.amounts() {
        let mut next = key.stack;
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
}

impl Stacks {
    fn new(dictionary: &StackDictionary, touched: &[bool], locations: &mut Locations) -> Self {
        let recorded = dictionary.stacks.values();
        let of_recorded = vec![None; recorded.len()];
        let mut this = Stacks { nodes: Vec::new(), roots: Vec::new(), of_recorded, lost: None };
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
