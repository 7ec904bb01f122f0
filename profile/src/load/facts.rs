//! Collects what the records of a trace say.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{
    Allocator, CodeObject, Event, Function, Generated, GeneratedLine, Mapping, Module, ModuleKind,
    Process, Record, Redaction, Symbol, Thread, ThreadName,
};

use super::selection::cut_loss;
use super::sources::{SourceFacts, Sources};
use crate::filter::Window;
use crate::model::heap::Runtime;

/// Memory for definitions, in bytes: made-up blocks compress so well that a
/// small file could fill any. What comes later is left out, as if it were lost.
const MAX_BYTES: usize = 512 << 20;

/// Files that one process allocates with, at most.
const MAX_ALLOCATORS: usize = 100;

/// Functions whose calls were recorded, at most: a recording has 256.
const MAX_PROBED: usize = 1 << 12;
/// Kinds of things that were taken out, at most.
const MAX_REDACTIONS: usize = 100;

/// Things with ids, in order of appearance.
#[derive(Debug)]
pub(super) struct Defined<T> {
    values: Vec<T>,
    indices: FxHashMap<u32, usize>,
}

impl<T> Default for Defined<T> {
    fn default() -> Self {
        Defined { values: Vec::new(), indices: FxHashMap::default() }
    }
}

impl<T> Defined<T> {
    /// Ids are never reused, so the first definition stays.
    fn add(&mut self, id: u32, value: T) {
        self.indices.entry(id).or_insert_with(|| {
            self.values.push(value);
            self.values.len() - 1
        });
    }

    /// Index into [`Defined::values`] of what has an id.
    pub(super) fn index_of(&self, id: u32) -> Option<usize> {
        self.indices.get(&id).copied()
    }

    /// What has an id.
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.values.get(self.index_of(id)?)
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let index = self.index_of(id)?;
        self.values.get_mut(index)
    }

    /// Everything, in order of appearance.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }
}

/// What is known from records, as far as a profile shows it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What is lost outside of it does not count.
    window: Window,
    /// What is about recordings as a whole.
    pub(super) sources: Sources,
    /// With a frequency of 0 if sources differ in it.
    pub(super) events: Defined<Event>,
    /// By thread.
    pub(super) last_ran: FxHashMap<u32, u64>,
    /// Functions whose calls were recorded, by number.
    pub(super) probed: FxHashMap<u32, Function>,
    pub(super) processes: Defined<Process>,
    /// Ids of processes that are copies of another one of the trace, and have
    /// not executed a program since.
    pub(super) forked: FxHashSet<u32>,
    /// Numbers of processes, of each source.
    pids: FxHashSet<(usize, u32)>,
    pub(super) threads: Defined<Thread>,
    pub(super) modules: Defined<Module>,
    /// The latest new name by thread id.
    pub(super) thread_names: FxHashMap<u32, ThreadName>,
    /// By module id.
    pub(super) symbols: FxHashMap<u32, Vec<Symbol>>,
    /// By module id: what is amiss with the names that the trace has of all
    /// its code; empty if nothing is.
    pub(super) named: FxHashMap<u32, String>,
    /// Code that processes generated, in the order of the file.
    pub(super) generated: Vec<Generated>,
    /// Code as runtimes know it.
    pub(super) code_objects: Defined<CodeObject>,
    /// By process id: files that it allocates with.
    pub(super) allocators: BTreeMap<u32, Vec<String>>,
    /// By process id: runtimes that it has mapped.
    pub(super) runtimes: BTreeMap<u32, Vec<Runtime>>,
    /// What was taken out of the trace, and how many times.
    pub(super) redacted: Vec<(String, u64)>,
    /// Memory that definitions take.
    bytes: usize,
}

impl Facts {
    /// Nothing yet; only what is lost in a window counts.
    pub(super) fn within(window: Window) -> Self {
        Facts { window, ..Facts::default() }
    }

    /// The next record is the first one of a block.
    pub(super) fn start_block(&mut self) {
        self.sources.start_block();
    }

    /// When the first recording started, or the window if that is later;
    /// `absent` if the trace does not say.
    pub(super) fn start_ns(&self, absent: u64) -> u64 {
        self.sources.start_ns().unwrap_or(absent).max(self.window.from_ns)
    }

    /// When the last recording ended, or the window if that is earlier; 0 if
    /// the trace does not say.
    pub(super) fn end_ns(&self) -> u64 {
        self.sources.end_ns().min(self.window.to_ns)
    }

    /// The last name of a thread.
    pub(super) fn name_of<'t>(&'t self, thread: &'t Thread) -> &'t str {
        self.thread_names.get(&thread.id).map_or(&thread.name, |new| &new.name)
    }

    /// Takes files for code that is known by its names only, so that none is
    /// looked for.
    pub(super) fn leave_unnamed(&mut self) {
        let modules = self.modules.values.iter_mut();
        let files = modules.filter(|module| ModuleKind::from(module.kind) == ModuleKind::File);
        files.for_each(|module| module.kind = ModuleKind::Names.into());
    }

    /// Adds one record.
    #[deny(clippy::wildcard_enum_match_arm)]
    pub(super) fn add(&mut self, mut record: Record) {
        let bytes = definition_size(&record);
        if self.bytes + bytes > MAX_BYTES {
            return;
        }
        self.bytes += bytes;
        if let Record::Loss(loss) = &mut record {
            match cut_loss(self.window, loss) {
                Some(cut) => *loss = cut,
                None => return,
            }
        }
        let Some(record) = self.sources.add(record) else { return };
        match record {
            Record::Event(event) => self.add_event(event),
            Record::Process(process) => self.add_process(process),
            Record::Thread(thread) => self.threads.add(thread.id, thread),
            Record::Module(module) => self.modules.add(module.id, module),
            Record::ThreadName(name) => self.rename(name),
            Record::Symbol(symbol) => self.symbols.entry(symbol.module).or_default().push(symbol),
            Record::Named(named) => drop(self.named.entry(named.module).or_insert(named.note)),
            Record::Generated(code) => self.generated.push(code),
            Record::CodeObject(code) => self.code_objects.add(code.id, code),
            Record::Allocator(allocator) => self.add_allocator(allocator),
            Record::Mapping(mapping) => self.add_mapping(&mapping),
            Record::Redaction(redaction) => self.add_redaction(redaction),
            Record::Function(function) if self.probed.len() < MAX_PROBED => {
                self.probed.insert(function.number, function);
            }
            Record::Function(_) => {}
            Record::LastRan(ran) => drop(self.last_ran.insert(ran.thread, ran.time_ns)),
            // `sources` has taken what is about a source.
            Record::Host(_)
            | Record::Recording(_)
            | Record::Clock(_)
            | Record::Loss(_)
            | Record::Cost(_)
            | Record::End(_)
            | Record::Note(_)
            | Record::CpuTimes(_)
            | Record::CallData(_)
            | Record::Captured(_)
            | Record::Allocations(_)
            | Record::Source(_)
            | Record::OfSource(_) => {}
            // Of use to who looks at processes, or at files.
            Record::ProcessExit(_)
            | Record::ThreadExit(_)
            | Record::OpenFile(_)
            | Record::WorkingDirectory(_)
            | Record::ProcessFacts(_) => {}
        }
    }

    /// A process that has just executed a program is announced before its
    /// executable is known, and once more with it. It has a new id but its old
    /// number.
    fn add_process(&mut self, process: Process) {
        self.sources.add_process(&process);
        let source = self.sources.current();
        match self.processes.get_mut(process.id) {
            Some(known) => {
                if known.exe.is_empty() {
                    known.exe = process.exe;
                }
                if !process.name.is_empty() {
                    known.name = process.name;
                }
            }
            None => {
                let is_new = process.start_ns > 0 && self.pids.insert((source, process.pid));
                if is_new && self.pids.contains(&(source, process.parent_pid)) {
                    self.forked.insert(process.id);
                }
                self.pids.insert((source, process.pid));
                self.processes.add(process.id, process);
            }
        }
    }

    /// Sources that were sampled at different frequencies have one event.
    fn add_event(&mut self, event: Event) {
        match self.events.get_mut(event.id) {
            Some(known) if self.sources.is_merged() => {
                if known.frequency_hz != event.frequency_hz {
                    known.frequency_hz = 0;
                }
            }
            _ => self.events.add(event.id, event),
        }
    }

    /// Index of the source that a thread belongs to; `None` for threads that
    /// are not known, unless there is only one source.
    pub(super) fn source_of_thread(&self, id: Option<u32>) -> Option<usize> {
        if !self.sources.is_merged() {
            return Some(0);
        }
        let thread = &self.threads.values()[self.threads.index_of(id?)?];
        Some(self.sources.of_process(thread.process))
    }

    fn add_allocator(&mut self, allocator: Allocator) {
        let paths = self.allocators.entry(allocator.process).or_default();
        if paths.len() < MAX_ALLOCATORS && !paths.contains(&allocator.path) {
            paths.push(allocator.path);
        }
    }

    /// Notes which runtimes a process has in it.
    fn add_mapping(&mut self, mapping: &Mapping) {
        let module = self.modules.index_of(mapping.module).map(|i| &self.modules.values()[i]);
        let is_process = self.processes.index_of(mapping.process).is_some();
        let runtime = module.and_then(|module| Runtime::of_file(&module.path));
        if let Some(runtime) = runtime.filter(|_| is_process) {
            let runtimes = self.runtimes.entry(mapping.process).or_default();
            if !runtimes.contains(&runtime) {
                runtimes.push(runtime);
            }
        }
    }

    /// A trace can be redacted more than once, and so can those that were
    /// merged into it.
    fn add_redaction(&mut self, redaction: Redaction) {
        let Redaction { what, count, .. } = redaction;
        match self.redacted.iter_mut().find(|(known, _)| *known == what) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => {
                self.redacted.push((what, count));
                self.redacted.truncate(MAX_REDACTIONS);
            }
        }
    }

    fn rename(&mut self, name: ThreadName) {
        let known = self.thread_names.entry(name.thread).or_default();
        if name.time_ns >= known.time_ns {
            *known = name;
        }
    }
}

/// Memory that a definition takes, about; 0 for records that are kept once.
fn definition_size(record: &Record) -> usize {
    let variable = match record {
        Record::Process(process) => process.exe.len() + process.name.len() + process.argv0.len(),
        Record::Thread(thread) => thread.name.len(),
        Record::ThreadName(name) => name.name.len(),
        Record::Module(module) => {
            let segments = module.segments.len() * size_of::<rz_format::Segment>();
            module.path.len() + module.build_id.len() + segments
        }
        Record::Symbol(symbol) => symbol.name.len() + symbol.area.len(),
        Record::Event(event) => event.name.len(),
        Record::Allocator(allocator) => allocator.path.len(),
        Record::Named(named) => named.note.len(),
        Record::Generated(code) => {
            let line = |line: &GeneratedLine| line.file.len() + size_of::<GeneratedLine>();
            code.name.len() + code.lines.iter().map(line).sum::<usize>()
        }
        Record::CodeObject(code) => {
            code.name.len() + code.qualified_name.len() + code.file.len() + code.lines.bytes()
        }
        Record::Redaction(redaction) => redaction.what.len(),
        Record::Function(function) => {
            function.path.len() + function.name.len() + function.arguments.len()
        }
        Record::Source(source) => source.label.len() + size_of::<SourceFacts>(),
        _ => return 0,
    };
    size_of::<Record>() + variable
}

#[cfg(test)]
mod tests {
    use rz_format::End;

    use super::*;

    #[test]
    fn definitions_take_bounded_memory() {
        let mut facts = Facts::default();
        let name = "x".repeat(1 << 20);
        let thread = |id| Record::Thread(Thread { id, name: name.clone(), ..Thread::default() });
        facts.bytes = MAX_BYTES - (3 << 20);
        (0..5).for_each(|id| facts.add(thread(id)));
        assert_eq!(facts.threads.values().len(), 2);
        // What is kept once is always kept.
        facts.add(Record::End(End::default()));
        assert!(facts.sources.all_ended());
    }
}
