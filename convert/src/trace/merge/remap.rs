//! Turns what a trace says into what the output says: other numbers, and times
//! on one clock.

mod rows;

use std::collections::BTreeMap;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use rz_format::{
    CodeObject, Event, Frame, FrameId, Function, Module, ModuleKind, Named, Note, OfSource,
    Process, Record, Source, StackDefs, StackId, StackInterner, Symbol, TextDefs, TextInterner,
    Thread,
};

use super::identity::Identities;
use super::ids::{Ids, ProcessIds, ThreadIds, UNDEFINED, lookup};
use super::plan::{Plan, shifted};
use super::sources::Input;
use crate::x86_64::MACHINE;

/// Stacks and frames that are remembered, at most: a quarter of a gigabyte.
/// Beyond, all are forgotten, and what comes again is written again.
const MAX_STACKS: usize = 3_500_000;
/// The same of frames.
const MAX_FRAMES: usize = 1_750_000;
/// Bytes of texts that are remembered, at most.
const MAX_TEXT_BYTES: usize = 32 << 20;
/// Recorded symbols that are remembered, at most.
const MAX_SYMBOLS: usize = 1 << 20;

/// One trace that is being merged.
#[derive(Debug, Default)]
struct Local {
    ids: Ids,
    /// By the number of the source in the trace; `None` for that of a trace
    /// that was not merged.
    sources: FxHashMap<Option<u32>, u32>,
    /// What is to be added to times that are of no thread.
    delta_ns: i64,
}

/// A source, as far as it has been written.
#[derive(Debug)]
struct SourceState {
    delta_ns: i64,
    boot: Option<String>,
    /// Whether it is known where the kernel has what never changes.
    fixed_kernel: bool,
    /// Whether the first host, recording and clock, which have been written at
    /// the beginning, are still to come.
    skip: [bool; 3],
}

/// Everything that has numbers in the output.
pub(super) struct Remap {
    inputs: Vec<Local>,
    /// The trace that is read.
    input: usize,
    sources: Vec<SourceState>,
    identities: Identities,
    stacks: StackInterner<FxBuildHasher>,
    texts: TextInterner<FxBuildHasher>,
    call_data: TextInterner<FxBuildHasher>,
    /// By name and unit.
    events: FxHashMap<(String, u8), u32>,
    /// Without their numbers.
    functions: FxHashMap<Function, u32>,
    symbols: FxHashSet<(u32, u64, u64)>,
    /// What has a name already, by module, offset and time.
    names: FxHashSet<(u32, u64, u64)>,
    /// By module of the output: how often it was defined, and what is amiss
    /// with its names, for each trace that has them all.
    named: BTreeMap<u32, (usize, Vec<String>)>,
    /// Numbers that come next.
    processes: u32,
    threads: u32,
    code_objects: u32,
    /// What is to be written, with its source.
    records: Vec<(Option<u32>, Record)>,
}

impl Remap {
    /// Nothing is defined yet.
    pub(super) fn new(plan: &Plan) -> Self {
        let mut inputs: Vec<Local> = plan.inputs.iter().map(|_| Local::default()).collect();
        for (id, source) in (0..).zip(&plan.sources) {
            let local = &mut inputs[source.input];
            if local.sources.is_empty() {
                local.delta_ns = source.delta_ns;
            }
            local.sources.insert(source.leaf.local, id);
        }
        let state = |source: &super::plan::PlannedSource| SourceState {
            delta_ns: source.delta_ns,
            boot: source.leaf.boot().map(str::to_owned),
            fixed_kernel: source.leaf.host.as_ref().is_some_and(|host| host.machine == MACHINE),
            skip: [
                source.leaf.host.is_some(),
                source.leaf.recording.is_some(),
                source.leaf.clock.is_some(),
            ],
        };
        Remap {
            inputs,
            input: 0,
            sources: plan.sources.iter().map(state).collect(),
            identities: Identities::default(),
            stacks: StackInterner::default(),
            texts: TextInterner::default(),
            call_data: TextInterner::default(),
            events: FxHashMap::default(),
            functions: FxHashMap::default(),
            symbols: FxHashSet::default(),
            names: FxHashSet::default(),
            named: BTreeMap::new(),
            processes: 0,
            threads: 0,
            code_objects: 0,
            records: Vec::new(),
        }
    }

    /// Defines all sources, with what is known of them before anything else.
    pub(super) fn define_sources(&mut self, plan: &Plan) {
        for (id, source) in (0..).zip(&plan.sources) {
            let leaf = &source.leaf;
            let delta = source.delta_ns;
            self.records.push((
                None,
                Record::Source(Source {
                    id,
                    label: leaf.label.clone(),
                    trace_id: leaf.trace_id.to_vec(),
                    created_unix_ns: leaf.created_unix_ns,
                    created_ns: shifted(leaf.created_ns, delta),
                    shift: leaf.shift_ns.saturating_add(delta).cast_unsigned(),
                }),
            ));
            let host = leaf.host.clone().map(Record::Host);
            let recording = leaf.recording.clone().map(Record::Recording);
            let clock = leaf.clock.clone().map(Record::Clock);
            for record in [host, recording, clock].into_iter().flatten() {
                let record = shift_times(record, delta);
                self.records.push((Some(id), record));
            }
        }
    }

    /// The next blocks are of this trace.
    pub(super) fn start(&mut self, input: usize) {
        self.input = input;
    }

    /// A trace is at its end: its numbers are not needed any more.
    pub(super) fn end(&mut self, input: usize) {
        self.input = input;
        self.inputs[input].ids = Ids::default();
    }

    /// Adds a note about a source, or about the whole.
    pub(super) fn note(&mut self, source: Option<u32>, text: String) {
        self.records.push((source, Record::Note(Note { text })));
    }

    /// Adds a note about the trace that is read.
    pub(super) fn note_about(&mut self, input: &Input, text: &str) {
        let sources = &self.inputs[self.input].sources;
        match sources.get(&None) {
            Some(&source) => self.note(Some(source), text.to_owned()),
            None => self.note(None, format!("{}: {text}", input.label)),
        }
    }

    /// Records to be written, each group after a record that says whose they
    /// are; those of nobody come first.
    pub(super) fn take_records(&mut self) -> Vec<Record> {
        let mut all = Vec::with_capacity(self.records.len() + 1);
        let mut records = std::mem::take(&mut self.records);
        all.extend(records.extract_if(.., |(source, _)| source.is_none()).map(|(_, r)| r));
        let mut last = None;
        for (source, record) in records {
            if last != source {
                all.extend(source.map(|id| Record::OfSource(OfSource { id })));
                last = source;
            }
            all.push(record);
        }
        all
    }

    /// Number of records to be written.
    pub(super) fn records(&self) -> usize {
        self.records.len()
    }

    /// Definitions of frames and stacks to be written.
    pub(super) fn take_stacks(&mut self) -> StackDefs {
        let new = self.stacks.take_new();
        let (frames, stacks) = self.stacks.len();
        if frames > MAX_FRAMES || stacks > MAX_STACKS {
            self.stacks.forget();
        }
        new
    }

    /// Whether the new frames and stacks fill a block.
    pub(super) fn is_stacks_block_full(&self) -> bool {
        self.stacks.is_block_full()
    }

    /// Definitions of texts and of data to be written.
    pub(super) fn take_texts(&mut self) -> [TextDefs; 2] {
        [&mut self.texts, &mut self.call_data].map(|interner| {
            let new = interner.take_new();
            if interner.bytes() > MAX_TEXT_BYTES {
                interner.forget();
            }
            new
        })
    }

    /// Whether the new texts, or the new data, fill a block.
    pub(super) fn is_texts_block_full(&self) -> bool {
        self.texts.is_block_full() || self.call_data.is_block_full()
    }

    /// Takes the records of a block.
    pub(super) fn add_records(&mut self, records: Vec<Record>) {
        let mut source = self.inputs[self.input].sources.get(&None).copied();
        for record in records {
            if let Record::OfSource(of) = record {
                source = self.inputs[self.input].sources.get(&Some(of.id)).copied();
            } else {
                self.add_record(source, record);
            }
        }
    }

    fn add_record(&mut self, source: Option<u32>, record: Record) {
        let local = &mut self.inputs[self.input];
        let mut state = source.and_then(|id| self.sources.get_mut(id as usize));
        let delta = state.as_ref().map_or(local.delta_ns, |state| state.delta_ns);
        let mut already = |at: usize| {
            state.as_deref_mut().is_some_and(|state| std::mem::take(&mut state.skip[at]))
        };
        let written = match record {
            Record::Source(_) | Record::OfSource(_) => return,
            Record::Host(_) if already(0) => return,
            Record::Recording(_) if already(1) => return,
            Record::Clock(_) if already(2) => return,
            Record::Event(event) => self.event(event),
            Record::Process(process) => self.process(process, delta),
            Record::Thread(thread) => self.thread(thread, delta),
            Record::Module(module) => self.module(module, source),
            Record::Symbol(symbol) => self.symbol(symbol),
            Record::CodeObject(code) => self.code_object(code),
            Record::Function(function) => self.function(function),
            Record::Named(named) => {
                let module = local.ids.module(named.module);
                self.named.entry(module).or_default().1.push(named.note);
                return;
            }
            record => Some(self.refer(shift_times(record, delta))),
        };
        self.records.extend(written.map(|record| (source, record)));
    }

    /// An event of the same name and unit is the same.
    fn event(&mut self, event: Event) -> Option<Record> {
        let ids = &mut self.inputs[self.input].ids;
        let next = self.events.len() as u32;
        let known = &mut self.events;
        let id = ids.events.get_or_add(event.id, || {
            *known.entry((event.name.clone(), event.unit)).or_insert(next)
        })?;
        Some(Record::Event(Event { id, ..event }))
    }

    /// A function at the same place of a file with the same name, of which the same is said,
    /// is the same.
    fn function(&mut self, function: Function) -> Option<Record> {
        let ids = &mut self.inputs[self.input].ids;
        let next = self.functions.len() as u32;
        let known = &mut self.functions;
        let mut is_new = false;
        let id = ids.functions.get_or_add(function.number, || {
            *known.entry(Function { number: 0, ..function.clone() }).or_insert_with(|| {
                is_new = true;
                next
            })
        })?;
        is_new.then_some(Record::Function(Function { number: id, ..function }))
    }

    fn process(&mut self, process: Process, delta_ns: i64) -> Option<Record> {
        let ids = &mut self.inputs[self.input].ids;
        let next = &mut self.processes;
        let known = ids.processes.get_or_add(process.id, || {
            let process = *next;
            *next = next.saturating_add(1);
            ProcessIds { process, delta_ns }
        })?;
        let start_ns = shifted(process.start_ns, delta_ns);
        Some(Record::Process(Process { id: known.process, start_ns, ..process }))
    }

    /// A thread's clock is that of its process.
    fn thread(&mut self, thread: Thread, delta_ns: i64) -> Option<Record> {
        let ids = &mut self.inputs[self.input].ids;
        let process = ids.processes.get(thread.process);
        let delta_ns = process.map_or(delta_ns, |process| process.delta_ns);
        let next = &mut self.threads;
        let known = ids.threads.get_or_add(thread.id, || {
            let thread = *next;
            *next = next.saturating_add(1);
            ThreadIds { thread, delta_ns }
        })?;
        let process = process.map_or(UNDEFINED, |process| process.process);
        let start_ns = shifted(thread.start_ns, delta_ns);
        Some(Record::Thread(Thread { id: known.thread, process, start_ns, ..thread }))
    }

    fn module(&mut self, module: Module, source: Option<u32>) -> Option<Record> {
        let ids = &mut self.inputs[self.input].ids;
        if ids.modules.get(module.id).is_some() {
            return None;
        }
        let is_kernel = ModuleKind::from(module.kind) == ModuleKind::Kernel;
        let state = source.map(|id| &self.sources[id as usize]);
        let state = state.filter(|state| state.fixed_kernel || !is_kernel);
        let boot = state.and_then(|state| state.boot.as_deref());
        let (module_ids, new) = self.identities.add(&module, boot, &mut ids.occurrences);
        ids.modules.get_or_add(module.id, || module_ids)?;
        self.named.entry(module_ids.id()).or_default().0 += 1;
        let process = module.process_plus_one.checked_sub(1);
        let process_plus_one = process.map_or(0, |id| ids.process(id).saturating_add(1));
        new.map(|id| Record::Module(Module { id, process_plus_one, ..module }))
    }

    /// Names of the kernel's functions come again with each recording.
    fn symbol(&mut self, symbol: Symbol) -> Option<Record> {
        let module = self.inputs[self.input].ids.module_at(symbol.module, symbol.start);
        if self.symbols.len() >= MAX_SYMBOLS {
            self.symbols.clear();
        }
        let is_new = self.symbols.insert((module, symbol.start, symbol.length));
        is_new.then_some(Record::Symbol(Symbol { module, ..symbol }))
    }

    /// A code object is only that of its source, and the first one of its number.
    fn code_object(&mut self, code: CodeObject) -> Option<Record> {
        let ids = &mut self.inputs[self.input].ids;
        if ids.code_objects.get(code.id).is_some() {
            return None;
        }
        let next = &mut self.code_objects;
        let id = ids.code_objects.get_or_add(code.id, || {
            let id = *next;
            *next = next.saturating_add(1);
            id
        })?;
        let process = code.process_plus_one.checked_sub(1);
        let process_plus_one = process.map_or(0, |id| ids.process(id).saturating_add(1));
        Some(Record::CodeObject(CodeObject { id, process_plus_one, ..code }))
    }

    /// Adds which modules have names for all their code: those that have in
    /// every trace.
    pub(super) fn add_named(&mut self) {
        for (module, (defined, mut notes)) in std::mem::take(&mut self.named) {
            if notes.len() == defined {
                // It is as good as the best of them.
                let note = notes.swap_remove(notes.iter().position(String::is_empty).unwrap_or(0));
                self.records.push((None, Record::Named(Named { module, note })));
            }
        }
    }

    /// A record that refers to something, with the numbers of the output.
    #[deny(clippy::wildcard_enum_match_arm)]
    fn refer(&self, mut record: Record) -> Record {
        let ids = &self.inputs[self.input].ids;
        match &mut record {
            Record::ProcessExit(exit) => exit.id = ids.process(exit.id),
            Record::ThreadExit(exit) => exit.id = ids.thread(exit.id),
            Record::LastRan(ran) => ran.thread = ids.thread(ran.thread),
            Record::ThreadName(name) => name.thread = ids.thread(name.thread),
            Record::Mapping(mapping) => {
                mapping.process = ids.process(mapping.process);
                mapping.module = ids.module(mapping.module);
            }
            Record::OpenFile(file) => file.process = ids.process(file.process),
            Record::WorkingDirectory(directory) => {
                directory.process = ids.process(directory.process);
            }
            Record::Allocator(allocator) => allocator.process = ids.process(allocator.process),
            Record::Generated(code) => code.module = ids.module(code.module),
            Record::ProcessFacts(facts) => facts.process = ids.process(facts.process),
            // These got their numbers where they were taken in.
            Record::Event(_)
            | Record::Process(_)
            | Record::Thread(_)
            | Record::Module(_)
            | Record::Symbol(_)
            | Record::CodeObject(_)
            | Record::Function(_)
            | Record::Named(_) => {}
            // These have none.
            Record::Host(_)
            | Record::Recording(_)
            | Record::Clock(_)
            | Record::Loss(_)
            | Record::Cost(_)
            | Record::End(_)
            | Record::Note(_)
            | Record::Captured(_)
            | Record::CpuTimes(_)
            | Record::CallData(_)
            | Record::Allocations(_)
            | Record::Source(_)
            | Record::OfSource(_)
            | Record::Redaction(_) => {}
        }
        record
    }

    /// Takes the definitions of a block.
    pub(super) fn add_stacks(&mut self, defs: StackDefs) {
        let ids = &mut self.inputs[self.input].ids;
        let frame = |frame: Frame| match frame {
            Frame::Code { module, offset } => {
                let module = ids.module_at(module, offset);
                self.stacks.frame(Frame::Code { module, offset })
            }
            Frame::Runtime { code, position, how } => {
                let code = ids.code_object(code);
                self.stacks.frame(Frame::Runtime { code, position, how })
            }
            Frame::Truncated(_) | Frame::Unknown => self.stacks.frame(frame),
        };
        let frames: Vec<FrameId> = defs.frames.into_iter().map(frame).collect();
        ids.frames.add(defs.first_frame, frames);
        let mut stacks: Vec<StackId> = Vec::with_capacity(defs.stacks.len());
        // Callers are mostly in the same block.
        for node in defs.stacks {
            let frame = lookup(&ids.frames, node.frame).unwrap_or(UNDEFINED);
            let parent = node.parent.map(|parent| {
                let here = parent.checked_sub(defs.first_stack);
                let here = here.and_then(|at| stacks.get(at as usize).copied());
                let known = here.or_else(|| lookup(&ids.stacks, parent));
                known.unwrap_or_else(|| self.stacks.stack(None, UNDEFINED))
            });
            stacks.push(self.stacks.stack(parent, frame));
        }
        ids.stacks.add(defs.first_stack, stacks);
    }

    /// Takes the definitions of a block.
    pub(super) fn add_texts(&mut self, defs: &TextDefs) {
        let texts = defs.texts.iter().map(|text| self.texts.text(text)).collect();
        self.inputs[self.input].ids.texts.add(defs.first, texts);
    }

    /// Takes the definitions of a block.
    pub(super) fn add_call_data(&mut self, defs: &TextDefs) {
        let data = defs.texts.iter().map(|data| self.call_data.text(data)).collect();
        self.inputs[self.input].ids.call_data.add(defs.first, data);
    }
}

/// A record on the merged clock.
#[deny(clippy::wildcard_enum_match_arm)]
fn shift_times(mut record: Record, delta_ns: i64) -> Record {
    let shift = |time: &mut u64| *time = shifted(*time, delta_ns);
    match &mut record {
        Record::Recording(recording) => shift(&mut recording.start_ns),
        Record::Clock(clock) => shift(&mut clock.monotonic_ns),
        Record::ProcessExit(exit) | Record::ThreadExit(exit) => shift(&mut exit.time_ns),
        Record::ThreadName(name) => shift(&mut name.time_ns),
        Record::Mapping(mapping) => shift(&mut mapping.time_ns),
        Record::Loss(loss) => {
            shift(&mut loss.from_ns);
            shift(&mut loss.to_ns);
        }
        Record::Cost(cost) => shift(&mut cost.time_ns),
        Record::End(end) => shift(&mut end.time_ns),
        Record::CpuTimes(times) => {
            shift(&mut times.from_ns);
            shift(&mut times.to_ns);
        }
        Record::LastRan(ran) => shift(&mut ran.time_ns),
        Record::OpenFile(file) => shift(&mut file.time_ns),
        Record::Generated(code) => shift(&mut code.from_ns),
        // These were shifted where they were taken in, a source not at all.
        Record::Process(_) | Record::Thread(_) | Record::Source(_) => {}
        // These have no time.
        Record::Host(_)
        | Record::Event(_)
        | Record::Module(_)
        | Record::Symbol(_)
        | Record::CodeObject(_)
        | Record::Function(_)
        | Record::Note(_)
        | Record::Captured(_)
        | Record::CallData(_)
        | Record::WorkingDirectory(_)
        | Record::Allocations(_)
        | Record::Allocator(_)
        | Record::OfSource(_)
        | Record::ProcessFacts(_)
        | Record::Named(_)
        | Record::Redaction(_) => {}
    }
    record
}
