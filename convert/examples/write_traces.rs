//! Writes large traces, for measuring what is done with them:
//! `cargo run --release -p rz-convert --example write_traces -- FOLDER [TRACES [SAMPLES
//! [THREADS [PLACES [lines]]]]]`.
//!
//! Their stacks have 24 frames, and their modules are not on this machine. Without PLACES,
//! most samples are in few of 4,096; otherwise half of them are in any. Two places next to
//! each other have one stack. With `lines`, the code next to each other is one function's.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::RandomState;
use std::io::{self, BufWriter};
use std::path::Path;

use rz_format::{
    Clock, End, Event, FileHeader, FormatError, Frame, Host, Module, Name, Named, Process, Record,
    Recording, Sample, StackInterner, TextInterner, Thread, TraceWriter,
};

/// Samples per second and thread.
const RATE: u64 = 997;
const MODULES: u32 = 4;
/// Where code begins that is one frame deeper.
const DEPTH: u64 = 1 << 20;
/// How far code is from the next one.
const CODE: u64 = 16;
/// Pieces of code of a function, each of which is a line.
const LINES: u64 = 16;

/// Frames of code, by module and offset.
type Code = BTreeSet<(u32, u64)>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.first() else {
        return Err(io::Error::other("usage: write_traces FOLDER [TRACES [SAMPLES]]").into());
    };
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (traces, samples) = (number(1, 2)?, number(2, 1_000_000)?);
    let (threads, places) = (number(3, 8)?, arguments.get(4).map(|it| it.parse()).transpose()?);
    let with_lines = arguments.get(5).is_some_and(|it| it == "lines");
    for id in 0..traces {
        let path = Path::new(folder).join(format!("{id}.rz"));
        let mut code = with_lines.then(Code::default);
        write(&path, id, samples, (threads, places), &mut code)?;
    }
    Ok(())
}

/// Writes a trace of a host of its own: a block a second, as the recorder does.
fn write(
    path: &Path,
    id: u64,
    samples: u64,
    (threads, places): (u64, Option<u64>),
    code: &mut Option<Code>,
) -> Result<(), FormatError> {
    let start_ns = 5_000_000_000 + id * 1_000;
    let mut trace_id = [7; 16];
    trace_id[..8].copy_from_slice(&id.to_le_bytes());
    let unix_ns = 1_800_000_000_000_000_000 + id * 1_000;
    let out = BufWriter::new(File::create(path)?);
    let mut writer = TraceWriter::new(out, &FileHeader::new(trace_id, unix_ns, start_ns))?;
    let mut records = vec![
        Record::Host(Host { boot_id: format!("{id}"), ..Host::default() }),
        Record::Recording(Recording { start_ns, ..Recording::default() }),
        Record::Event(Event { name: "cpu-clock".into(), ..Event::default() }),
        Record::Clock(Clock { monotonic_ns: start_ns, realtime_ns: unix_ns, boottime_ns: 0 }),
        Record::Process(Process { pid: 7, name: "app".into(), ..Process::default() }),
    ];
    let all = (0..threads as u32).map(|id| Thread { id, tid: 7 + id, ..Thread::default() });
    records.extend(all.map(Record::Thread));
    let build = |id: u32| vec![id as u8; 20];
    let modules = (0..MODULES).map(|id| Module { id, build_id: build(id), ..Module::default() });
    records.extend(modules.map(Record::Module));
    writer.write_records(start_ns, &records)?;
    let mut interner = StackInterner::<RandomState>::default();
    let mut random = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut block = Vec::new();
    for at in 0..samples {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Most samples are in few places.
        let place = match places {
            Some(places) if random >> 63 == 1 => random % places,
            _ => (random % 4_096) & (random >> 32),
        };
        let mut stack = None;
        for depth in 0..24_u64 {
            let way = place >> (24 - depth).min(12);
            let (module, offset) = (depth as u32 % MODULES, depth * DEPTH + way * CODE);
            if let Some(code) = code {
                code.insert((module, offset));
            }
            let frame = interner.frame(Frame::Code { module, offset });
            stack = Some(interner.stack(stack, frame));
        }
        let time_ns = start_ns + at / threads * 1_000_000_000 / RATE + random % 10_000;
        let thread = (at % threads) as u32;
        // Of `cpu-clock`, as the recorder has it.
        let weight = 1_000_000_000 / RATE;
        block.push(Sample { time_ns, thread, stack, weight, cpu: thread % 4, event: 0 });
        if block.len() as u64 == RATE * threads || at + 1 == samples {
            writer.write_stacks(time_ns, &interner.take_new())?;
            writer.write_samples(&mut block)?;
            block.clear();
        }
    }
    let time_ns = start_ns + samples / threads * 1_000_000_000 / RATE;
    if let Some(code) = code {
        write_names(&mut writer, time_ns, code)?;
    }
    writer.write_records(time_ns, &[Record::End(End { time_ns, reason: 0 })])?;
    writer.finish()?;
    Ok(())
}

/// Writes which function and line each piece of code is.
fn write_names(
    writer: &mut TraceWriter<impl io::Write>,
    time_ns: u64,
    code: &Code,
) -> Result<(), FormatError> {
    let named = |module| Record::Named(Named { module, note: String::new() });
    writer.write_records(time_ns, &(0..MODULES).map(named).collect::<Vec<_>>())?;
    let mut texts = TextInterner::<RandomState>::default();
    let name_of = |&(module, offset): &(u32, u64)| {
        let (function, line) = (offset / CODE / LINES, offset / CODE % LINES);
        let name = Some(texts.text(format!("function_{function}").as_bytes()));
        let file = Some(texts.text(format!("/src/file_{}.cc", offset / DEPTH).as_bytes()));
        Name { module, offset, name, file, line: (100 + line) as u32, ..Name::default() }
    };
    let names: Vec<Name> = code.iter().map(name_of).collect();
    writer.write_texts(time_ns, &texts.take_new())?;
    writer.write_names(time_ns, &names)
}
