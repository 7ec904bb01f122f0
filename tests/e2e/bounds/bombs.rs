//! Small files that stand for very much.
//!
//! All blocks are what the writer makes, with right checksums. A block that may come
//! again does so until the file is as large as it may be.

use rz_format::*;

/// Largest of these files, in bytes.
pub const MAX_FILE: usize = 1_000_000;

const START: u64 = 5_000_000_000;

/// A trace in the making.
struct Bomb {
    bytes: Vec<u8>,
    sequence: u32,
}

impl Bomb {
    /// With an event, a process, a thread, and modules of a file and of names.
    fn new() -> Self {
        let header = FileHeader::new([1; 16], 1_700_000_000_000_000_000, START);
        let mut bomb = Bomb { bytes: header.to_bytes().to_vec(), sequence: 0 };
        let module = |id, kind: ModuleKind, path: &str| {
            Record::Module(Module { id, kind: kind.into(), path: path.into(), ..Module::default() })
        };
        bomb.records(&[
            Record::Event(Event { id: 0, name: "cpu-clock".into(), unit: 0, frequency_hz: 99 }),
            Record::Recording(Recording { start_ns: START, ..Recording::default() }),
            Record::Captured(Captured { waits: true, calls: 2, ..Captured::default() }),
            Record::Allocations(Allocations::default()),
            process(0, "app"),
            thread(0, 0, "main"),
            module(0, ModuleKind::File, "/nowhere/app"),
            module(1, ModuleKind::Names, "names"),
        ]);
        bomb
    }

    /// Appends what `write` writes, `times` over or as often as there is room.
    fn add(&mut self, times: usize, write: impl Fn(&mut TraceWriter<Vec<u8>>)) {
        let header = FileHeader::new([0; 16], 0, 0);
        let mut writer = TraceWriter::new(Vec::new(), &header).unwrap();
        write(&mut writer);
        let end = writer.bytes_written() as usize;
        let written = &writer.finish().unwrap()[HEADER_LEN..end];
        let room = MAX_FILE.saturating_sub(self.bytes.len());
        for _ in 0..times.min(room / written.len()) {
            let mut rest = written;
            while !rest.is_empty() {
                let stored = u32::from_le_bytes(rest[12..16].try_into().unwrap()) as usize;
                let (block, behind) = rest.split_at(BLOCK_HEADER_LEN + stored);
                self.add_block(block);
                rest = behind;
            }
        }
    }

    fn add_block(&mut self, block: &[u8]) {
        let mut block = block.to_vec();
        block[8..12].copy_from_slice(&self.sequence.to_le_bytes());
        let (header, payload) = block.split_at(BLOCK_HEADER_LEN);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&header[..36]), payload);
        block[36..40].copy_from_slice(&checksum.to_le_bytes());
        self.bytes.extend_from_slice(&block);
        self.sequence += 1;
    }

    fn records(&mut self, records: &[Record]) {
        self.add(1, |out| out.write_records(START, records).unwrap());
    }

    /// Frames and the stacks of them, all in blocks of their own ids.
    fn stacks(&mut self, frames: &[Frame], stacks: &[StackNode]) {
        const ROWS: usize = 1 << 19;
        let blocks = frames.len().max(stacks.len()).div_ceil(ROWS);
        let part = |block: usize, length: usize| {
            (block * ROWS).min(length)..((block + 1) * ROWS).min(length)
        };
        for block in 0..blocks {
            let (frames_at, stacks_at) = (part(block, frames.len()), part(block, stacks.len()));
            let defs = StackDefs {
                first_frame: frames_at.start as u32,
                frames: frames[frames_at].to_vec(),
                first_stack: stacks_at.start as u32,
                stacks: stacks[stacks_at].to_vec(),
            };
            self.add(1, |out| out.write_stacks(START, &defs).unwrap());
        }
    }

    /// One sample of each stack.
    fn samples(&mut self, stacks: impl Iterator<Item = u32>) {
        let sample = |(at, stack): (u64, u32)| Sample {
            time_ns: START + at * 1_000,
            stack: Some(stack),
            weight: 10_000_000,
            ..Sample::default()
        };
        let samples: Vec<Sample> = (0..).zip(stacks).map(sample).collect();
        for samples in samples.chunks(1 << 19) {
            self.add(1, |out| out.write_samples(&mut samples.to_vec()).unwrap());
        }
    }

    fn texts(&mut self, texts: Vec<Vec<u8>>) {
        let defs = TextDefs { first: 0, texts };
        self.add(1, |out| out.write_texts(START, &defs).unwrap());
    }

    fn finish(self) -> Vec<u8> {
        assert!(self.bytes.len() <= MAX_FILE, "{} bytes", self.bytes.len());
        self.bytes
    }
}

fn process(id: u32, name: &str) -> Record {
    Record::Process(Process { id, pid: 7 + id, name: name.into(), ..Process::default() })
}

fn thread(id: u32, process: u32, name: &str) -> Record {
    Record::Thread(Thread { id, process, tid: 7 + id, name: name.into(), ..Thread::default() })
}

fn code(offset: usize) -> Frame {
    Frame::Code { module: 0, offset: offset as u64 }
}

/// Each stack is called from the one before.
fn chain(length: u32) -> Vec<StackNode> {
    (0..length).map(|id| StackNode { parent: id.checked_sub(1), frame: id }).collect()
}

/// Every function calls the next, and every hundredth of them was running.
pub fn deep_stacks() -> Vec<u8> {
    const DEPTH: u32 = 100_000;
    let mut bomb = Bomb::new();
    bomb.stacks(&(0..DEPTH as usize).map(code).collect::<Vec<_>>(), &chain(DEPTH));
    bomb.samples((99..DEPTH).step_by(100));
    bomb.finish()
}

/// One function that calls itself, seen at each depth.
pub fn recursion() -> Vec<u8> {
    const DEPTH: u32 = 1_000_000;
    let mut bomb = Bomb::new();
    let node = |id: u32| StackNode { parent: id.checked_sub(1), frame: 0 };
    bomb.stacks(&[code(0)], &(0..DEPTH).map(node).collect::<Vec<_>>());
    bomb.samples(0..DEPTH);
    bomb.finish()
}

/// Every function of a deep stack calls two more, so that each level of a tree moves to
/// the right.
pub fn deep_branches() -> Vec<u8> {
    const DEPTH: u32 = 40_000;
    let mut bomb = Bomb::new();
    let node = |id: u32| StackNode { parent: id.checked_sub(1 + id % 2), frame: id };
    let stacks: Vec<StackNode> = (0..2 * DEPTH).map(node).collect();
    bomb.stacks(&(0..2 * DEPTH as usize).map(code).collect::<Vec<_>>(), &stacks);
    bomb.samples(0..2 * DEPTH);
    bomb.finish()
}

/// So many stacks of so many functions each, none of which is in another.
fn bushes(stacks: u32, depth: u32) -> Vec<u8> {
    let mut bomb = Bomb::new();
    let node = |id: u32| StackNode {
        parent: id.checked_sub(1).filter(|_| !id.is_multiple_of(depth)),
        frame: id % 1_000,
    };
    let nodes: Vec<StackNode> = (0..stacks * depth).map(node).collect();
    bomb.stacks(&(0..1_000).map(code).collect::<Vec<_>>(), &nodes);
    bomb.samples((depth - 1..stacks * depth).step_by(depth as usize));
    bomb.finish()
}

/// A thousand stacks of a thousand functions.
pub fn deep_and_wide() -> Vec<u8> {
    bushes(1_000, 1_000)
}

/// Very many stacks of two functions.
pub fn many_stacks() -> Vec<u8> {
    bushes(400_000, 2)
}

/// So many places in code with so many functions each that were inlined there.
fn inlined(places: u32, lines: u32) -> Vec<u8> {
    let mut bomb = Bomb::new();
    bomb.texts((0..1_000).map(|id| format!("inlined_{id}").into_bytes()).collect());
    let name = |at: u32| Name {
        module: 1,
        offset: (at / lines).into(),
        name: Some(at % 1_000),
        line: at,
        inlined: at % lines != lines - 1,
        ..Name::default()
    };
    let names: Vec<Name> = (0..places * lines).map(name).collect();
    bomb.add(1, |out| out.write_names(START, &names).unwrap());
    let frames: Vec<Frame> =
        (0..places).map(|offset| Frame::Code { module: 1, offset: offset.into() }).collect();
    bomb.stacks(&frames, &chain(places));
    bomb.samples(0..places);
    bomb.finish()
}

/// One place with very many inlined functions.
pub fn inlined_chain() -> Vec<u8> {
    inlined(1, 100_000)
}

/// A stack of places with many inlined functions each.
pub fn inlined_chains() -> Vec<u8> {
    inlined(300, 1_000)
}

/// As many equal samples as fit.
pub fn equal_samples() -> Vec<u8> {
    let mut bomb = Bomb::new();
    bomb.stacks(&[code(0)], &chain(1));
    let sample = Sample { time_ns: START, stack: Some(0), weight: 1, ..Sample::default() };
    bomb.add(usize::MAX, |out| out.write_samples(&mut vec![sample; MAX_ROWS]).unwrap());
    bomb.finish()
}

/// As many equal waits and calls as fit.
pub fn equal_waits_and_calls() -> Vec<u8> {
    let mut bomb = Bomb::new();
    let wait = Wait { end_ns: START + 9, duration_ns: 5, weight: 5, ..Wait::default() };
    let call = Call { start_ns: START, duration_ns: 5, stack_weight: 5, ..Call::default() };
    bomb.add(usize::MAX, |out| {
        out.write_waits(&mut vec![wait; MAX_ROWS]).unwrap();
        out.write_calls(&mut vec![call; MAX_CALLS]).unwrap();
    });
    bomb.finish()
}

/// As many sums as fit.
pub fn equal_totals() -> Vec<u8> {
    let mut bomb = Bomb::new();
    let total = |thread| Total { thread: Some(thread), count: 1, total_ns: 5, ..Total::default() };
    let totals: Vec<Total> = (0..MAX_TOTALS as u32).map(total).collect();
    let counts = vec![HeapCounts { time_ns: START, ..HeapCounts::default() }; MAX_HEAP_COUNTS];
    bomb.add(usize::MAX, |out| {
        out.write_totals(START, &mut totals.clone()).unwrap();
        out.write_heap_counts(&mut counts.clone()).unwrap();
    });
    bomb.finish()
}

fn allocation(kind: AllocationKind, address: u64) -> Allocation {
    Allocation { time_ns: START, kind, address, size: 16, ..Allocation::default() }
}

/// Objects that are never freed.
pub fn live_objects() -> Vec<u8> {
    const OBJECTS: u64 = 6_000_000;
    let mut bomb = Bomb::new();
    let object = |id: u64| allocation(AllocationKind::Malloc, 16 * id);
    for first in (0..OBJECTS).step_by(1 << 16) {
        let rows: Vec<Allocation> = (first..first + (1 << 16)).map(object).collect();
        bomb.add(1, |out| out.write_allocations(&rows).unwrap());
    }
    bomb.finish()
}

/// Objects that are freed at once, as many as fit.
pub fn freed_objects() -> Vec<u8> {
    let mut bomb = Bomb::new();
    let pair = [allocation(AllocationKind::Malloc, 16), allocation(AllocationKind::Free, 16)];
    let rows = pair.repeat(1 << 15);
    bomb.add(usize::MAX, |out| out.write_allocations(&rows).unwrap());
    bomb.finish()
}

/// As many processes with a thread each as fit.
pub fn many_threads() -> Vec<u8> {
    const THREADS: u32 = 150_000;
    let mut bomb = Bomb::new();
    let records: Vec<Record> =
        (1..THREADS).flat_map(|id| [process(id, "worker"), thread(id, id, "worker")]).collect();
    bomb.records(&records);
    let sample = |id| Sample { time_ns: START, thread: id, weight: 1, ..Sample::default() };
    let samples: Vec<Sample> = (0..THREADS).map(sample).collect();
    bomb.add(1, |out| out.write_samples(&mut samples.clone()).unwrap());
    bomb.finish()
}

/// Names of nearly a megabyte of threads, processes, files, functions, and in notes.
pub fn long_names() -> Vec<u8> {
    let name = "long".repeat(250_000);
    let mut bomb = Bomb::new();
    let mut records = vec![Record::Note(Note { text: name.clone() })];
    for id in 1..100 {
        records.push(process(id, &name));
        records.push(thread(id, id, &name));
        let module = Module { id: 1 + id, path: format!("/{name}"), ..Module::default() };
        records.push(Record::Module(module));
    }
    bomb.records(&records);
    bomb.texts((0..10).map(|id| format!("{name}{id}").into_bytes()).collect());
    let row = |id: u32| Name { module: 1, offset: id.into(), name: Some(id), ..Name::default() };
    bomb.add(1, |out| out.write_names(START, &(0..10).map(row).collect::<Vec<_>>()).unwrap());
    let frames: Vec<Frame> = (0..10).map(|offset| Frame::Code { module: 1, offset }).collect();
    bomb.stacks(&frames, &chain(10));
    bomb.samples(0..10);
    bomb.add(usize::MAX, |out| out.write_records(START, &records).unwrap());
    bomb.finish()
}

/// Very many code objects, and some whose line tables are as long as can be.
pub fn many_code_objects() -> Vec<u8> {
    const OBJECTS: u32 = 100_000;
    const LONG: u32 = 200;
    let mut bomb = Bomb::new();
    let lines = |count: u32| {
        LineTable::new((0..count).map(|at| CodeLine { start: at, line: at, column: 0 }).collect())
    };
    let long = lines(1 << 17);
    let object = |id: u32| {
        let lines = if id < LONG { long.clone() } else { lines(1) };
        let name = format!("f{id}");
        Record::CodeObject(CodeObject { id, runtime: 1, name, lines, ..CodeObject::default() })
    };
    bomb.records(&(0..OBJECTS).map(object).collect::<Vec<_>>());
    let frame = |code| Frame::Runtime { code, position: 1 << 16, how: Execution::default() };
    bomb.stacks(&(0..OBJECTS).map(frame).collect::<Vec<_>>(), &chain(OBJECTS));
    bomb.samples((999..OBJECTS).step_by(1_000));
    bomb.finish()
}

/// A process that becomes another program, maps files, opens files, generates code and
/// changes names of its threads, as often as fits.
pub fn long_histories() -> Vec<u8> {
    const STEPS: u32 = 60_000;
    let mut bomb = Bomb::new();
    let step = |at: u32| {
        let time_ns = START + u64::from(at);
        let start = u64::from(at) * 4096;
        [
            Record::Process(Process {
                id: 1 + at,
                pid: 7,
                start_ns: time_ns,
                name: "app".into(),
                ..Process::default()
            }),
            Record::ThreadName(ThreadName { thread: 0, time_ns, name: format!("n{}", at % 10) }),
            Record::Mapping(Mapping { start, length: 4096, time_ns, ..Mapping::default() }),
            Record::OpenFile(OpenFile {
                fd: at,
                time_ns,
                target: "/f".into(),
                ..OpenFile::default()
            }),
            Record::Generated(Generated {
                module: 0,
                start: 0,
                length: 1 << 30,
                from_ns: time_ns,
                name: "jit".into(),
                lines: Vec::new(),
            }),
            Record::Loss(Loss { from_ns: time_ns, to_ns: time_ns, count: 1, ..Loss::default() }),
            Record::Cost(Cost { time_ns, ..Cost::default() }),
        ]
    };
    bomb.records(&(0..STEPS).flat_map(step).collect::<Vec<_>>());
    bomb.stacks(&[code(0)], &chain(1));
    bomb.samples((0..50_000).map(|_| 0));
    bomb.finish()
}
