//! Writes traces and describes what was loaded from them.

use std::hash::RandomState;
use std::path::{Path, PathBuf};

use rz_format::*;

use crate::load::{LoadError, LoadOptions, load};
use crate::profile::{self, FrameKind, Profile};

/// Time at which recordings start.
pub const START: u64 = 5_000_000_000;

/// A trace in the making: one event, one process with one thread, and modules
/// 0 `/nowhere/app`, 1 the kernel, 2 the vDSO, 3 anonymous memory.
pub struct Trace {
    pub writer: TraceWriter<Vec<u8>>,
    pub interner: StackInterner<RandomState>,
}

impl Trace {
    /// Without any record.
    pub fn bare() -> Self {
        let header = FileHeader::new([1; 16], 1_700_000_000_000_000_000, START - 1_000);
        let writer = TraceWriter::new(Vec::new(), &header).unwrap();
        Trace { writer, interner: StackInterner::default() }
    }

    pub fn new() -> Self {
        let mut trace = Self::bare();
        trace.records(&usual_records());
        trace
    }

    pub fn records(&mut self, records: &[Record]) {
        self.writer.write_records(START, records).unwrap();
    }

    /// Id of a stack, the outermost frame first.
    pub fn stack(&mut self, frames: &[Frame]) -> Option<StackId> {
        frames.iter().fold(None, |parent, frame| {
            let frame = self.interner.frame(*frame);
            Some(self.interner.stack(parent, frame))
        })
    }

    /// Writes the stacks that are new.
    pub fn define_stacks(&mut self) {
        let new = self.interner.take_new();
        self.writer.write_stacks(START, &new).unwrap();
    }

    /// Writes one block of samples of thread 0, one of each stack.
    pub fn samples(&mut self, stacks: &[Option<StackId>]) {
        let times = (START..).step_by(1_000);
        let sample = |(time_ns, &stack)| Sample { time_ns, stack, weight: 10, ..Sample::default() };
        self.writer.write_samples(&mut times.zip(stacks).map(sample).collect::<Vec<_>>()).unwrap();
    }

    /// Writes one block of waits.
    pub fn waits(&mut self, waits: &[Wait]) {
        self.writer.write_waits(&mut waits.to_vec()).unwrap();
    }

    /// Writes one block of calls.
    pub fn calls(&mut self, calls: &[Call]) {
        self.writer.write_calls(&mut calls.to_vec()).unwrap();
    }

    /// Writes one block of totals.
    pub fn totals(&mut self, totals: &[Total]) {
        self.writer.write_totals(START, &mut totals.to_vec()).unwrap();
    }

    /// The usual end of a recording.
    pub fn finish(mut self) -> Vec<u8> {
        self.records(&[Record::End(End { time_ns: START + 2_000_000_000, reason: 0 })]);
        self.writer.finish().unwrap()
    }
}

pub fn usual_records() -> Vec<Record> {
    vec![
        Record::Event(Event { id: 0, name: "cpu-clock".into(), unit: 0, frequency_hz: 100 }),
        Record::Recording(Recording { start_ns: START, ..Recording::default() }),
        Record::Process(Process { id: 0, pid: 7, name: "app".into(), ..Process::default() }),
        Record::Thread(Thread { id: 0, tid: 7, name: "main".into(), ..Thread::default() }),
        module(0, ModuleKind::File, "/nowhere/app"),
        module(1, ModuleKind::Kernel, "[kernel]"),
        module(2, ModuleKind::Vdso, "[vdso]"),
        module(3, ModuleKind::Anonymous, "[anon]"),
    ]
}

pub fn module(id: u32, kind: ModuleKind, path: &str) -> Record {
    Record::Module(Module { id, kind: kind.into(), path: path.into(), ..Module::default() })
}

pub fn code(module: u32, offset: u64) -> Frame {
    Frame::Code { module, offset }
}

/// Loads a trace from bytes.
pub fn try_load(bytes: &[u8]) -> Result<Profile, LoadError> {
    load_with(bytes, &LoadOptions::default())
}

pub fn load_with(bytes: &[u8], options: &LoadOptions) -> Result<Profile, LoadError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.rz");
    std::fs::write(&path, bytes).unwrap();
    let profile = load(&path, options)?;
    assert_consistent(&profile);
    Ok(profile)
}

pub fn load_bytes(bytes: &[u8]) -> Profile {
    try_load(bytes).unwrap()
}

/// Path of the vector of format 1.0.
pub fn golden_vector() -> PathBuf {
    vector("v1.0")
}

/// Path of the vector of a version.
pub fn vector(version: &str) -> PathBuf {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format-spec/vectors");
    vectors.join(version).join("small.rz")
}

/// Each sum in a line: `thread: outermost;…;innermost count weight`, after the
/// event if it is not the CPU's.
pub fn describe(profile: &Profile) -> String {
    let mut lines = Vec::new();
    for sample in &profile.samples {
        let mut frames: Vec<String> =
            profile.locations_of(sample.stack).map(|l| describe_location(profile, l)).collect();
        frames.reverse();
        let (thread, _) = profile.thread(sample.thread);
        let stack = frames.join(";");
        let event = &profile.events[sample.event];
        let event = match event.kind {
            profile::EventKind::Cpu => String::new(),
            _ => format!("{} ", event.name),
        };
        lines.push(format!("{event}{}: {stack} {} {}\n", thread.name, sample.count, sample.weight));
    }
    lines.sort();
    lines.concat()
}

/// The functions of a location, the outermost first.
fn describe_location(profile: &Profile, location: &profile::Location) -> String {
    let function = |line: &profile::Line| profile.functions[line.function].name.clone();
    let names: Vec<String> = location.lines.iter().rev().map(function).collect();
    let mark = match location.kind {
        FrameKind::User => "",
        FrameKind::Kernel => "_k",
        FrameKind::Jit => "_j",
        FrameKind::Truncated => "_t",
        FrameKind::Lost => "_l",
        FrameKind::Wait => "",
    };
    format!("{}{mark}", names.join(">"))
}

/// Fails unless every id leads somewhere and orders are as documented.
#[track_caller]
pub fn assert_consistent(profile: &Profile) {
    for (id, node) in profile.stacks.iter().enumerate() {
        assert!(node.parent.is_none_or(|parent| parent < id));
        let kind = profile.locations[node.location].kind;
        let is_root = matches!(kind, FrameKind::Truncated | FrameKind::Lost);
        assert!(!is_root || node.parent.is_none());
    }
    let threads = profile.totals.iter().filter_map(|total| total.thread);
    threads.for_each(|thread| assert!((thread as usize) < profile.threads.len()));
    for location in &profile.locations {
        assert!(!location.lines.is_empty());
        assert!(location.module.is_none_or(|module| module < profile.modules.len()));
        assert!(location.lines.iter().all(|line| line.function < profile.functions.len()));
    }
    assert!(profile.threads.iter().all(|thread| thread.process < profile.processes.len()));
    let key = |s: &profile::Sample| (s.event, s.thread, s.stack);
    assert!(profile.samples.is_sorted_by(|a, b| key(a) < key(b)));
    for sample in &profile.samples {
        assert!(sample.event < profile.events.len() && sample.thread < profile.threads.len());
        assert!(sample.stack.is_none_or(|stack| stack < profile.stacks.len()));
    }
    let mut functions = profile.functions.clone();
    functions.sort_by(|a, b| (&a.name, &a.file, a.module).cmp(&(&b.name, &b.file, b.module)));
    functions.dedup();
    assert_eq!(functions.len(), profile.functions.len());
}
