//! Recordings, processes and threads, with ids that are the same wherever they are read.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use rz_profile::inventory::{Inventory, ProcessInventory};
use rz_profile::model::{EventKind, Process, ProcessId, Profile, SourceId, ThreadId};

use super::code::hex;
use super::ids::Content;

/// A recording.
#[derive(Debug, Default)]
pub struct Trace {
    /// Its id.
    pub id: i64,
    /// What it mostly is of; `None` if nothing ran.
    pub main: Option<ProcessId>,
}

/// A process.
#[derive(Debug)]
pub struct Running<'p> {
    /// Its id.
    pub id: i64,
    /// Where it was recorded.
    pub source: SourceId,
    /// As the profile has it.
    pub process: &'p Process,
    /// Its parent's number; 0 if it is not known.
    pub parent_pid: u32,
    /// Its control group; empty if it is not known.
    pub cgroup: String,
    /// Build-id of its program's file; empty if it is not known.
    pub build_id: String,
    /// What it is added up with, in [`Who::programs`].
    pub program: usize,
}

/// Processes of one recording that are called the same, in one control group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program<'p> {
    /// Where they were recorded.
    pub source: SourceId,
    /// Their name.
    pub name: &'p str,
    /// Their control group.
    pub cgroup: String,
}

/// Who did what happened.
#[derive(Debug)]
pub struct Who<'p> {
    /// The recordings, of which there is one at least.
    pub traces: Vec<Trace>,
    /// By their ids in the profile.
    pub processes: Vec<Running<'p>>,
    /// What processes run, each once.
    pub programs: Vec<Program<'p>>,
    /// Ids of the threads, with their processes.
    pub threads: Vec<(i64, ProcessId)>,
}

impl<'p> Who<'p> {
    /// Gives ids to all there are.
    pub fn of(profile: &'p Profile, inventory: &Inventory) -> Who<'p> {
        let mut seen = Seen::default();
        let mut traces: Vec<Trace> = profile
            .sources
            .iter()
            .map(|source| {
                let content = Content::of("trace").bytes(&source.trace_id);
                Trace { id: seen.id(&content), main: None }
            })
            .collect();
        if traces.is_empty() {
            traces.push(Trace { id: Content::of("trace").id(), main: None });
        }
        let mut processes: Vec<Running> = profile
            .processes
            .iter()
            .enumerate()
            .map(|(id, process)| {
                let known = inventory.processes.get(id);
                let source = process.source.min(traces.len() - 1);
                let start_ns = known.map_or(0, |known| known.process.start_ns);
                let content = Content::of("process").number(traces[source].id.cast_unsigned());
                Running {
                    id: seen.id(&content.number(process.pid.into()).number(start_ns)),
                    source,
                    process,
                    parent_pid: known.map_or(0, |known| known.process.parent_pid),
                    cgroup: known.map_or_else(String::new, |known| cgroup(known, inventory)),
                    build_id: known.map_or_else(String::new, |it| build_id(it, inventory)),
                    program: 0,
                }
            })
            .collect();
        let programs = programs_of(&mut processes);
        let thread = |thread: &rz_profile::model::Thread| {
            let process = processes[thread.process].id.cast_unsigned();
            let content = Content::of("thread").number(process).number(thread.tid.into());
            (seen.id(&content), thread.process)
        };
        let threads = profile.threads.iter().map(thread).collect();
        let mut who = Who { traces, processes, programs, threads };
        who.find_main(profile);
        who
    }

    /// What had most samples in each recording.
    fn find_main(&mut self, profile: &Profile) {
        let mut counts: BTreeMap<ProcessId, u64> = BTreeMap::new();
        for sample in &profile.samples {
            if profile.events[sample.event].kind == EventKind::Cpu {
                let count = counts.entry(profile.threads[sample.thread].process).or_default();
                *count = count.saturating_add(sample.count);
            }
        }
        let mut ids: Vec<ProcessId> = (0..self.processes.len()).collect();
        ids.sort_by_key(|id| std::cmp::Reverse(counts.get(id).copied().unwrap_or(0)));
        for id in ids {
            let main = &mut self.traces[self.processes[id].source].main;
            *main = main.or(Some(id));
        }
    }

    /// What a thread runs.
    pub fn program_of(&self, thread: ThreadId) -> usize {
        self.processes[self.threads[thread].1].program
    }

    /// The recording that a thread is of: the first one for a thread that is not known.
    pub fn source_of(&self, thread: Option<ThreadId>) -> SourceId {
        thread.map_or(0, |thread| self.processes[self.threads[thread].1].source)
    }

    /// The id of a thread, and that of its process.
    pub fn ids_of(&self, thread: Option<ThreadId>) -> (Option<i64>, Option<i64>) {
        let Some(thread) = thread else { return (None, None) };
        let (id, process) = self.threads[thread];
        (Some(id), Some(self.processes[process].id))
    }
}

/// What processes run, each once, which they are told.
fn programs_of<'p>(processes: &mut [Running<'p>]) -> Vec<Program<'p>> {
    let mut numbers: FxHashMap<Program, usize> = FxHashMap::default();
    let mut programs = Vec::new();
    for running in processes {
        let (source, name) = (running.source, running.process.name.as_str());
        let program = Program { source, name, cgroup: running.cgroup.clone() };
        running.program = *numbers.entry(program).or_insert_with_key(|program| {
            programs.push(program.clone());
            programs.len() - 1
        });
    }
    programs
}

/// Tells what would have one id apart, by its number among these.
#[derive(Default)]
struct Seen(FxHashMap<i64, u64>);

impl Seen {
    fn id(&mut self, content: &Content) -> i64 {
        let id = content.id();
        let before = self.0.entry(id).or_default();
        *before += 1;
        match *before {
            1 => id,
            number => Content::of("again").number(id.cast_unsigned()).number(number).id(),
        }
    }
}

/// The control group of a process, or of the one that it is a copy of.
fn cgroup(known: &ProcessInventory, inventory: &Inventory) -> String {
    if let Some(facts) = &known.facts {
        return facts.cgroup.clone();
    }
    let parent = known.process.parent_pid;
    let is_parent = |other: &&ProcessInventory| {
        other.source == known.source && other.process.pid == parent && other.facts.is_some()
    };
    let parent = inventory.processes.iter().rfind(is_parent).and_then(|it| it.facts.as_ref());
    parent.map_or_else(String::new, |facts| facts.cgroup.clone())
}

/// The build-id of the file that a process runs.
fn build_id(known: &ProcessInventory, inventory: &Inventory) -> String {
    let exe = &known.process.exe;
    let mut modules =
        known.mappings.iter().filter_map(|mapping| inventory.modules.get(mapping.module as usize));
    let module = modules.find(|module| !exe.is_empty() && module.path == *exe);
    module.map_or_else(String::new, |module| hex(&module.build_id))
}
