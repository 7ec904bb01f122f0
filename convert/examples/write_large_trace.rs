//! Writes a trace with a million samples, to measure how fast it is loaded:
//! `cargo run --release -p rz-convert --example write_large_trace > large.rz`,
//! then `time target/release/conv large.rz --to folded -o /dev/null`.

use std::hash::RandomState;
use std::io::{BufWriter, Write};

use rz_format::*;

const STACKS: u64 = 20_000;
const DEPTH: u64 = 20;
const SAMPLES: u64 = 1_000_000;
const THREADS: u64 = 16;
const FUNCTIONS: u64 = 3_000;
const BLOCK: u64 = 10_000;

fn main() -> Result<(), FormatError> {
    let out = BufWriter::new(std::io::stdout().lock());
    let mut writer = TraceWriter::new(out, &FileHeader::new([0; 16], 0, 0))?;
    writer.write_records(0, &records())?;

    let mut random = random();
    let mut interner = StackInterner::<RandomState>::default();
    let stacks: Vec<StackId> = (0..STACKS)
        .map(|number| {
            // The outer half of a stack is shared by some, as in real programs.
            let mut parent = None;
            for level in 0..DEPTH {
                let function = if level < DEPTH / 2 {
                    (number / 100 + level * 37) % FUNCTIONS
                } else {
                    random() % FUNCTIONS
                };
                let frame = Frame::Code { module: 0, offset: 0x1000 + function * 0x40 };
                let frame = interner.frame(frame);
                parent = Some(interner.stack(parent, frame));
            }
            parent.unwrap_or_default()
        })
        .collect();
    writer.write_stacks(0, &interner.take_new())?;

    for first in (0..SAMPLES).step_by(BLOCK as usize) {
        let sample = |number: u64| Sample {
            time_ns: number * 1_000,
            thread: (number % THREADS) as u32,
            stack: Some(stacks[(random() % STACKS) as usize]),
            weight: 1_000_000,
            ..Sample::default()
        };
        writer.write_samples(&mut (first..first + BLOCK).map(sample).collect::<Vec<_>>())?;
    }
    let end = End { time_ns: SAMPLES * 1_000, reason: EndReason::Duration.into() };
    writer.write_records(end.time_ns, &[Record::End(end)])?;
    Ok(writer.finish()?.flush()?)
}

fn records() -> Vec<Record> {
    let thread =
        |id| Thread { id, tid: 100 + id, name: format!("worker-{id}"), ..Thread::default() };
    let mut records = vec![
        Record::Event(Event { name: "cpu-clock".into(), frequency_hz: 1000, ..Event::default() }),
        Record::Process(Process { pid: 100, name: "app".into(), ..Process::default() }),
        Record::Module(Module { path: "/nowhere/app".into(), ..Module::default() }),
    ];
    records.extend((0..THREADS as u32).map(|id| Record::Thread(thread(id))));
    records
}

/// Numbers that are the same in each run.
fn random() -> impl FnMut() -> u64 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    }
}
