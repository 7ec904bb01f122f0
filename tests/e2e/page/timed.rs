//! Traces of which every sample is known: the same in each run.

use std::fs::File;
use std::hash::RandomState;
use std::io::BufWriter;

use rz_format::{
    Call, End, Event, FileHeader, Frame, Module, Name, Process, Record, Recording, Sample, StackId,
    StackInterner, TextId, TextInterner, Thread, TraceWriter, Wait,
};

use super::*;

/// When traces begin, on their clock.
pub(super) const START_NS: u64 = 5_000_000_000;
pub(super) const MS: u64 = 1_000_000;

/// A trace that is written.
pub(super) struct Timed {
    stacks: StackInterner<RandomState>,
    texts: TextInterner<RandomState>,
    functions: Vec<String>,
    threads: u32,
    pub(super) samples: Vec<Sample>,
    pub(super) waits: Vec<Wait>,
    pub(super) calls: Vec<Call>,
}

impl Timed {
    pub(super) fn new(threads: u32) -> Self {
        let (stacks, texts) = (StackInterner::default(), TextInterner::default());
        let (samples, waits, calls) = (Vec::new(), Vec::new(), Vec::new());
        Timed { stacks, texts, functions: Vec::new(), threads, samples, waits, calls }
    }

    /// A stack of functions, callers first.
    pub(super) fn stack(&mut self, functions: &[&str]) -> Option<StackId> {
        functions.iter().fold(None, |caller, &function| {
            let known = self.functions.iter().position(|one| one == function);
            let number = known.unwrap_or_else(|| {
                self.functions.push(function.to_owned());
                self.functions.len() - 1
            });
            let offset = 16 * number as u64;
            let frame = self.stacks.frame(Frame::Code { module: 0, offset });
            Some(self.stacks.stack(caller, frame))
        })
    }

    /// A text that calls refer to.
    pub(super) fn text(&mut self, text: &str) -> TextId {
        self.texts.text(text.as_bytes())
    }

    /// Samples of a millisecond each, of a thread from one to before another one.
    pub(super) fn run(&mut self, thread: u32, (from, until): (u64, u64), stack: Option<StackId>) {
        self.samples.extend((from..until).map(|at| Sample {
            time_ns: START_NS + (at + 1) * MS,
            thread,
            stack,
            weight: MS,
            ..Sample::default()
        }));
    }

    /// Writes it, `ms` long. Without `named`, no function has a name.
    pub(super) fn write(mut self, ms: u64, named: bool) -> (TempDir, PathBuf) {
        let dir = temp_dir();
        let path = dir.path().join("timed.rz");
        let out = BufWriter::new(File::create(&path).unwrap());
        let header = FileHeader::new([7; 16], 1_800_000_000_000_000_000, START_NS);
        let mut writer = TraceWriter::new(out, &header).unwrap();
        let process = Process { pid: 7, name: "app".into(), ..Process::default() };
        let recording = Recording { start_ns: START_NS, ..Recording::default() };
        let mut records = vec![
            Record::Recording(recording),
            Record::Event(Event { name: "cpu-clock".into(), ..Event::default() }),
            Record::Process(process),
            Record::Module(Module { build_id: vec![1; 20], ..Module::default() }),
        ];
        let thread = |id| {
            let name = format!("worker-{id}");
            Record::Thread(Thread { id, tid: 7 + id, name, ..Thread::default() })
        };
        records.extend((0..self.threads).map(thread));
        writer.write_records(START_NS, &records).unwrap();
        writer.write_stacks(START_NS, &self.stacks.take_new()).unwrap();
        if named {
            let name = |(number, function): (usize, &String)| Name {
                offset: 16 * number as u64,
                name: Some(self.texts.text(function.as_bytes())),
                ..Name::default()
            };
            let names: Vec<Name> = self.functions.iter().enumerate().map(name).collect();
            writer.write_texts(START_NS, &self.texts.take_new()).unwrap();
            writer.write_names(START_NS, &names).unwrap();
        }
        writer.write_texts(START_NS, &self.texts.take_new()).unwrap();
        writer.write_samples(&mut self.samples).unwrap();
        writer.write_waits(&mut self.waits).unwrap();
        writer.write_calls(&mut self.calls).unwrap();
        let time_ns = START_NS + ms * MS;
        writer.write_records(time_ns, &[Record::End(End { time_ns, reason: 0 })]).unwrap();
        writer.finish().unwrap();
        (dir, path)
    }
}
