//! Writes large traces, for measuring what is done with them:
//! `cargo run --release -p rz-convert --example write_traces -- FOLDER [TRACES [SAMPLES
//! [THREADS [PLACES]]]]`.
//!
//! Their stacks have 24 frames, and their modules are not on this machine. Without PLACES,
//! most samples are in few of 4,096; otherwise half of them are in any. Two places next to
//! each other have one stack.

use std::fs::File;
use std::hash::RandomState;
use std::io::{self, BufWriter};
use std::path::Path;

use rz_format::{
    Clock, End, Event, FileHeader, FormatError, Frame, Host, Module, Process, Record, Recording,
    Sample, StackInterner, Thread, TraceWriter,
};

/// Samples per second and thread.
const RATE: u64 = 997;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.first() else {
        return Err(io::Error::other("usage: write_traces FOLDER [TRACES [SAMPLES]]").into());
    };
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (traces, samples) = (number(1, 2)?, number(2, 1_000_000)?);
    let (threads, places) = (number(3, 8)?, arguments.get(4).map(|it| it.parse()).transpose()?);
    for id in 0..traces {
        write(&Path::new(folder).join(format!("{id}.rz")), id, samples, threads, places)?;
    }
    Ok(())
}

/// Writes a trace of a host of its own: a block a second, as the recorder does.
fn write(
    path: &Path,
    id: u64,
    samples: u64,
    threads: u64,
    places: Option<u64>,
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
    let modules = (0..4).map(|id| Module { id, build_id: build(id), ..Module::default() });
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
            let offset = (depth << 20) + way * 16;
            let frame = interner.frame(Frame::Code { module: (depth % 4) as u32, offset });
            stack = Some(interner.stack(stack, frame));
        }
        let time_ns = start_ns + at / threads * 1_000_000_000 / RATE + random % 10_000;
        let thread = (at % threads) as u32;
        let weight = 1_003_009 + random % 5_000;
        block.push(Sample { time_ns, thread, stack, weight, cpu: thread % 4, event: 0 });
        if block.len() as u64 == RATE * threads || at + 1 == samples {
            writer.write_stacks(time_ns, &interner.take_new())?;
            writer.write_samples(&mut block)?;
            block.clear();
        }
    }
    let time_ns = start_ns + samples / threads * 1_000_000_000 / RATE;
    writer.write_records(time_ns, &[Record::End(End { time_ns, reason: 0 })])?;
    writer.finish()?;
    Ok(())
}
