//! How fast traces are merged, and with how much memory:
//! `cargo run --release -p rz-convert --example merge_speed -- [TRACES [SAMPLES]]`.
//!
//! Writes TRACES traces of SAMPLES samples each, of stacks of 24 frames, and
//! merges them in a process of its own.

use std::fs::{self, File};
use std::hash::RandomState;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rz_convert::merge::{MergeInput, MergeOptions, plan};
use rz_convert::output::Destination;
use rz_format::{
    Clock, End, Event, FileHeader, FormatError, Frame, Host, Module, Process, Record, Recording,
    Sample, StackInterner, Thread, TraceWriter,
};

/// Samples per second and thread.
const RATE: u64 = 997;
/// Threads of a trace.
const THREADS: u64 = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder] = arguments.as_slice()
        && word == "merge"
    {
        return merge(Path::new(folder));
    }
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (traces, samples) = (number(0, 16)?, number(1, 1_000_000)?);
    let folder = tempfile::tempdir()?;
    let mut bytes = 0;
    for id in 0..traces {
        let path = folder.path().join(format!("{id}.rz"));
        write(&path, id, samples)?;
        bytes += fs::metadata(&path)?.len();
    }
    let started = Instant::now();
    let mut command = Command::new(std::env::current_exe()?);
    let status = command.arg("merge").arg(folder.path()).status()?;
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        return Err(io::Error::other("merging failed").into());
    }
    let merged = fs::metadata(folder.path().join("all"))?.len();
    let (all, megabytes) = ((traces * samples) as f64, bytes as f64 / 1e6);
    println!("{traces} traces of {samples} samples, {megabytes:.1} MB, in {seconds:.2} s:");
    println!("{:.1} MB/s, {:.2} million samples/s", megabytes / seconds, all / seconds / 1e6);
    println!("merged: {:.1} MB", merged as f64 / 1e6);
    Ok(())
}

/// Merges what is in a folder, and says how much memory it took.
fn merge(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut inputs: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        inputs.push(entry?.path());
    }
    let input = |path| MergeInput { path, label: None };
    let inputs: Vec<MergeInput> = inputs.into_iter().map(input).collect();
    let plan = plan(&inputs, MergeOptions::default())?;
    let destination = Destination::File(folder.join("all"));
    destination.write(|out| plan.write(out).map(drop))?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("peak resident memory: {}", peak.unwrap_or("unknown").trim());
    // Time in user mode and in the kernel, in hundredths of a second.
    let stat = fs::read_to_string("/proc/self/stat")?;
    let ticks =
        stat.split_whitespace().skip(13).take(2).filter_map(|text| text.parse::<f64>().ok());
    println!("CPU time: {:.2} s", ticks.sum::<f64>() / 100.0);
    Ok(())
}

/// Writes a trace of a host of its own: a block a second, as the recorder does.
fn write(path: &Path, id: u64, samples: u64) -> Result<(), FormatError> {
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
    let threads = (0..THREADS as u32).map(|id| Thread { id, tid: 7 + id, ..Thread::default() });
    records.extend(threads.map(Record::Thread));
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
        let place = (random % 4_096) & (random >> 32);
        let mut stack = None;
        for depth in 0..24_u64 {
            let way = place >> (24 - depth).min(12);
            let offset = (depth << 20) + way * 16;
            let frame = interner.frame(Frame::Code { module: (depth % 4) as u32, offset });
            stack = Some(interner.stack(stack, frame));
        }
        let time_ns = start_ns + at / THREADS * 1_000_000_000 / RATE + random % 10_000;
        let thread = (at % THREADS) as u32;
        let weight = 1_003_009 + random % 5_000;
        block.push(Sample { time_ns, thread, stack, weight, cpu: thread % 4, event: 0 });
        if block.len() as u64 == RATE * THREADS || at + 1 == samples {
            writer.write_stacks(time_ns, &interner.take_new())?;
            writer.write_samples(&mut block)?;
            block.clear();
        }
    }
    let time_ns = start_ns + samples / THREADS * 1_000_000_000 / RATE;
    writer.write_records(time_ns, &[Record::End(End { time_ns, reason: 0 })])?;
    writer.finish()?;
    Ok(())
}
