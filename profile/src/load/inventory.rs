//! Loads what a trace says besides what happened: of processes, of recordings,
//! and what the file consists of.
//!
//! Only facts are read, and the index. What is made up cannot take more memory
//! than a bound: what comes later is left out.

use std::collections::BTreeMap;
use std::path::Path;

use rustc_hash::FxHashMap;
pub use rz_format::{
    Allocations, BLOCK_HEADER_LEN, Captured, Clock, Cost, End, EndReason, Host, Limit, Mapping,
    Module, NO_LIMIT, OpenFile, Process, ProcessFacts, Recording, Runtime, Thread,
};
use rz_format::{BlockHeader, BlockKind, FormatError, Record, Redaction, read_index};

use super::LoadError;
use super::facts::Facts;
use super::pass::{CallRows, Defined, Pass, Sink};
use super::selection::Selection;
use super::sources::SourceFacts;
use crate::filter::Filter;

/// Memory for what is kept besides [`Facts`], in bytes.
const MAX_BYTES: usize = 256 << 20;

/// Costs that are kept of a recording, at most; of more, every second one.
const MAX_COSTS: usize = 1 << 14;

/// What a trace says besides what happened.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Minor version of the file's format.
    pub minor: u16,
    /// Size of the file in bytes.
    pub file_size: u64,
    /// Its blocks, added up by kind, the largest first.
    pub blocks: Vec<BlockSum>,
    /// The recordings: one, unless the trace was merged. In the order of
    /// [`Profile::sources`](crate::model::Profile::sources).
    pub sources: Vec<SourceInventory>,
    /// The processes, in the order of
    /// [`Profile::processes`](crate::model::Profile::processes).
    pub processes: Vec<ProcessInventory>,
    /// What mappings refer to.
    pub modules: Vec<Module>,
    /// Pieces of generated code with names.
    pub generated: u64,
    /// Code objects of runtimes, counted by runtime, in its order.
    pub code_objects: Vec<(Runtime, u64)>,
    /// Modules whose names are in the trace.
    pub named: u64,
    /// What was taken out of the trace.
    pub redactions: Vec<Redaction>,
}

/// Blocks of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSum {
    /// What they hold.
    pub kind: String,
    /// How many there are.
    pub count: u64,
    /// Bytes they take in the file.
    pub bytes: u64,
}

/// What is known of a recording.
#[derive(Debug, Clone, Default)]
pub struct SourceInventory {
    /// What people call it; empty if the trace was not merged.
    pub label: String,
    /// The machine.
    pub host: Option<Host>,
    /// How it was made.
    pub recording: Option<Recording>,
    /// A moment on all clocks.
    pub clock: Option<Clock>,
    /// What was recorded besides samples.
    pub captured: Option<Captured>,
    /// How allocations were recorded, if they were.
    pub allocations: Option<Allocations>,
    /// Bytes of each buffer that were copied for system calls; 0 for none.
    pub data_bytes: u32,
    /// When and why it ended.
    pub end: Option<End>,
    /// What the recorder had used at several times, in order.
    pub costs: Vec<Cost>,
}

/// What is known of a process.
#[derive(Debug, Clone, Default)]
pub struct ProcessInventory {
    /// The process.
    pub process: Process,
    /// Index in [`Inventory::sources`].
    pub source: usize,
    /// Whether the filter has it, or any of its threads.
    pub is_selected: bool,
    /// Whether it is a copy of another one that has not executed a program, so
    /// that it has whatever that one has.
    pub is_copy: bool,
    /// When it ended or replaced its program, if it did.
    pub end_ns: Option<u64>,
    /// Whose it is, and what it was started with.
    pub facts: Option<ProcessFacts>,
    /// Its directory when it was found.
    pub directory: Option<String>,
    /// What it had open when it was found, by number.
    pub open_files: Vec<OpenFile>,
    /// Its executable mappings in order of time; modules are indices into
    /// [`Inventory::modules`].
    pub mappings: Vec<Mapping>,
    /// Its threads, by the names they had last.
    pub threads: Vec<Thread>,
}

/// What is kept of records while they are read, by ids of processes.
#[derive(Debug, Default)]
struct Kept {
    facts: FxHashMap<u32, ProcessFacts>,
    directories: FxHashMap<u32, String>,
    open_files: FxHashMap<u32, Vec<OpenFile>>,
    mappings: FxHashMap<u32, Vec<Mapping>>,
    ends: FxHashMap<u32, u64>,
    /// By number of the source.
    costs: FxHashMap<usize, Vec<Cost>>,
    redactions: Vec<Redaction>,
    generated: u64,
    code_objects: BTreeMap<Runtime, u64>,
    bytes: usize,
}

impl Sink for Kept {
    #[deny(clippy::wildcard_enum_match_arm)]
    fn record(&mut self, record: &Record, facts: &Facts) {
        let source = facts.sources.current();
        if let Record::Generated(_) = record {
            self.generated += 1;
        }
        if let Record::CodeObject(code) = record {
            *self.code_objects.entry(code.runtime.into()).or_default() += 1;
        }
        self.bytes += size(record);
        if self.bytes > MAX_BYTES {
            return;
        }
        match record {
            Record::ProcessFacts(facts) => {
                self.facts.entry(facts.process).or_insert_with(|| facts.clone());
            }
            Record::WorkingDirectory(directory) => {
                self.directories.insert(directory.process, directory.path.clone());
            }
            Record::OpenFile(file) => {
                self.open_files.entry(file.process).or_default().push(file.clone());
            }
            Record::Mapping(mapping) => {
                self.mappings.entry(mapping.process).or_default().push(mapping.clone());
            }
            Record::ProcessExit(exit) => drop(self.ends.insert(exit.id, exit.time_ns)),
            Record::Cost(cost) => {
                let costs = self.costs.entry(source).or_default();
                costs.push(cost.clone());
                if costs.len() > MAX_COSTS {
                    let mut index = 0;
                    costs.retain(|_| (index % 2 == 0, index += 1).0);
                }
            }
            Record::Redaction(redaction) => self.redactions.push(redaction.clone()),
            // `Facts` has them.
            Record::Host(_)
            | Record::Recording(_)
            | Record::Event(_)
            | Record::Clock(_)
            | Record::Process(_)
            | Record::Thread(_)
            | Record::ThreadName(_)
            | Record::Module(_)
            | Record::Loss(_)
            | Record::End(_)
            | Record::Note(_)
            | Record::Captured(_)
            | Record::CpuTimes(_)
            | Record::CallData(_)
            | Record::Allocations(_)
            | Record::Source(_)
            | Record::OfSource(_)
            | Record::Named(_) => {}
            // Two were counted; the others matter to what happened only.
            Record::Generated(_)
            | Record::CodeObject(_)
            | Record::Symbol(_)
            | Record::Allocator(_)
            | Record::ThreadExit(_)
            | Record::LastRan(_)
            | Record::Function(_) => {}
        }
    }
}

impl Kept {
    fn process(&mut self, process: &Process, facts: &Facts) -> ProcessInventory {
        let id = process.id;
        let mut mappings = self.mappings.remove(&id).unwrap_or_default();
        mappings.retain_mut(|mapping| match facts.modules.index_of(mapping.module) {
            Some(index) => {
                mapping.module = index as u32;
                true
            }
            None => false,
        });
        let mut open_files = self.open_files.remove(&id).unwrap_or_default();
        open_files.sort_by_key(|file| file.fd);
        ProcessInventory {
            process: process.clone(),
            source: facts.sources.of_process(id),
            is_copy: facts.forked.contains(&id),
            end_ns: self.ends.get(&id).copied(),
            facts: self.facts.remove(&id),
            directory: self.directories.remove(&id),
            open_files,
            mappings,
            ..ProcessInventory::default()
        }
    }
}

/// Memory that a record takes, about; 0 for those that are not kept.
fn size(record: &Record) -> usize {
    let texts =
        |texts: &[String]| texts.iter().map(|text| size_of::<String>() + text.len()).sum::<usize>();
    let variable: usize = match record {
        Record::ProcessFacts(facts) => {
            let lists = [&facts.args, &facts.environment, &facts.values];
            let limits = facts.limits.iter().map(|limit| size_of::<Limit>() + limit.name.len());
            facts.cgroup.len()
                + lists.into_iter().map(|list| texts(list)).sum::<usize>()
                + limits.sum::<usize>()
        }
        Record::WorkingDirectory(directory) => directory.path.len(),
        Record::OpenFile(file) => file.target.len(),
        Record::Redaction(redaction) => redaction.what.len() + redaction.how.len(),
        Record::Mapping(_) | Record::ProcessExit(_) => 0,
        // Their number is limited.
        _ => return 0,
    };
    size_of::<Mapping>() + variable
}

/// Reads what the trace at `path` says besides what happened. Of the filter,
/// only processes and threads matter.
///
/// # Errors
/// As [`load`](super::load): only if the file cannot be read, or is no trace.
pub fn load_inventory(path: &Path, filter: &Filter) -> Result<Inventory, LoadError> {
    let format = |cause: FormatError| LoadError::of(path, cause);
    let everything = Selection::default();
    let mut pass = Pass::open(path, &everything, None)?;
    let blocks = add_up(&read_index(pass.reader.file_mut()).map_err(format)?);
    let mut kept = Kept::default();
    let records = |block: &BlockHeader| block.kind == BlockKind::RECORDS;
    pass.run(records, CallRows::Bare, &mut [&mut kept]).map_err(format)?;
    let Pass { reader, file_size, defined: Defined { facts, .. } } = pass;
    let mut processes: Vec<ProcessInventory> =
        facts.processes.values().iter().map(|process| kept.process(process, &facts)).collect();
    for thread in facts.threads.values() {
        if let Some(process) = facts.processes.index_of(thread.process) {
            let name = facts.name_of(thread).to_owned();
            processes[process].threads.push(Thread { name, ..thread.clone() });
        }
    }
    for inventory in &mut processes {
        let Process { name, pid, .. } = &inventory.process;
        let is_thread = |thread: &Thread| filter.has_thread(&thread.name, thread.tid);
        inventory.is_selected = filter.has_process(name, *pid)
            && (filter.threads.is_empty() || inventory.threads.iter().any(is_thread));
    }
    let source = |(number, facts): (usize, &SourceFacts)| SourceInventory {
        label: facts.source.as_ref().map_or_else(String::new, |source| source.label.clone()),
        host: facts.host.clone(),
        recording: facts.recording.clone(),
        clock: facts.clock.clone(),
        captured: facts.captured.clone(),
        data_bytes: facts.data_bytes,
        allocations: facts.allocations.clone(),
        end: facts.end.clone(),
        costs: kept.costs.remove(&number).unwrap_or_default(),
    };
    let sources = facts.sources.numbers().zip(facts.sources.iter()).map(source).collect();
    Ok(Inventory {
        minor: reader.header().minor,
        file_size,
        blocks,
        sources,
        processes,
        modules: facts.modules.values().to_vec(),
        generated: kept.generated,
        code_objects: kept.code_objects.into_iter().collect(),
        named: facts.named.len() as u64,
        redactions: kept.redactions,
    })
}

/// Adds blocks up by what they hold.
fn add_up(index: &[rz_format::IndexEntry]) -> Vec<BlockSum> {
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for entry in index {
        let (count, bytes) = sums.entry(entry.kind.to_string()).or_default();
        *count += 1;
        *bytes += u64::from(entry.stored_len) + BLOCK_HEADER_LEN as u64;
    }
    let sums = sums.into_iter();
    let mut sums: Vec<BlockSum> =
        sums.map(|(kind, (count, bytes))| BlockSum { kind, count, bytes }).collect();
    sums.sort_by_key(|sum| std::cmp::Reverse(sum.bytes));
    sums
}
