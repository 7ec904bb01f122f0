//! Recordings of memray, versions 12 and 13.
//!
//! ```text
//! header                    what was run, and when
//! code objects              functions of Python, with their lines
//! single allocations, or    per thread: frames that begin and end, what is got and given up
//! their sums                stacks, and what each had at the peak and at the end
//! ```
//!
//! By default a file is compressed by LZ4 as a whole, which is undone before it gets here. A
//! recording whose program was killed has zeros at its end; what is before these is read.

mod bytes;
mod frames;
mod header;
mod heap;
mod single;
mod stacks;
mod sums;

use std::io::{BufRead, Write};

use rustc_hash::FxHashMap;
use rz_format::{Record, Sample};

use self::bytes::{Bytes, Stop};
use self::frames::Frames;
use self::header::Header;
use self::heap::{Cost, Heap, Site};
use self::stacks::{Stack, Stacks};
use super::amounts::Amounts;
use super::json::buffered;
use super::output::Output;
use super::threads::{MAX_THREADS, Named, Threads};
use super::{ImportError, Imported, Input};

/// An event's name, its unit, and the amount.
type Told = (&'static str, Amounts, fn(&Cost) -> i64);

/// What is told of each stack; the first two of sums, too.
const EVENTS: [Told; 7] = [
    ("peak_space", Amounts::BYTES, |cost| cost.peak.bytes),
    ("leaked_space", Amounts::BYTES, |cost| cost.live.bytes),
    ("peak_objects", Amounts::THINGS, |cost| cost.peak.objects),
    ("leaked_objects", Amounts::THINGS, |cost| cost.live.objects),
    ("alloc_space", Amounts::BYTES, |cost| cost.allocated.bytes),
    ("alloc_objects", Amounts::THINGS, |cost| cost.allocated.objects),
    ("temporary_objects", Amounts::THINGS, |cost| cost.temporary),
];
/// How many of these there are where there are only sums.
const EVENTS_OF_SUMS: usize = 4;

/// A thread, and where it is.
#[derive(Default)]
struct Thread {
    id: u64,
    name: String,
    /// Of all functions that it is in, outermost first.
    stacks: Vec<Stack>,
}

/// What is known so far.
#[derive(Default)]
struct Contents {
    stacks: Stacks,
    threads: Vec<Thread>,
    thread_ids: FxHashMap<u64, u32>,
    /// The number of the thread that is spoken of.
    thread: Option<u32>,
    heap: Heap,
}

pub(super) fn import(input: &Input, out: &mut dyn Write) -> Result<Imported, ImportError> {
    let mut bytes = Bytes::new(buffered(&input.file));
    let header = Header::read(&mut bytes).map_err(|stop| failed(stop, bytes.at))?;
    let mut contents = Contents::default();
    let read = match header.is_aggregated {
        true => sums::read(&mut bytes, header.has_native, &mut contents),
        false => single::read(&mut bytes, header.has_native, &mut contents),
    };
    let note = match read {
        Ok(()) => None,
        Err(stop @ (Stop::Cut | Stop::Wrong(_))) if !contents.heap.is_empty() => {
            Some(format!("{}: what is before that is read", failed(stop, bytes.at)))
        }
        Err(stop) => return Err(failed(stop, bytes.at)),
    };

    let start_ns = header.start_ms.saturating_mul(1_000_000);
    let mut out = Output::begun(input, "memray", start_ns, out)?;
    let is_whole = note.is_none();
    if let Some(note) = note {
        out.note(note);
    }
    out.note("memray does not tell when a stack allocated".to_owned());
    if header.has_native {
        out.note("native frames are left out: stacks are of Python alone".to_owned());
    }
    write(contents, &header, &mut out)?;
    let duration_ms = header.end_ms.saturating_sub(header.start_ms);
    out.finish(is_whole.then(|| duration_ms.saturating_mul(1_000_000)))
}

fn failed(stop: Stop, at: u64) -> ImportError {
    match stop {
        Stop::Read(error) => ImportError::Read(error),
        stop @ (Stop::Cut | Stop::Wrong(_)) => {
            ImportError::Unusable(format!("damaged recording of memray: byte {at}: {stop}"))
        }
    }
}

fn write(contents: Contents, header: &Header, out: &mut Output) -> Result<(), ImportError> {
    let Contents { stacks, threads, heap, .. } = contents;
    let events = &EVENTS[..if header.is_aggregated { EVENTS_OF_SUMS } else { EVENTS.len() }];
    for (id, (name, amounts, _)) in (0..).zip(events) {
        out.record(Record::Event(amounts.event(id, name)))?;
    }
    let (mut frames, mut numbers) = (Frames::new(&stacks, header), Threads::default());
    for (Site { thread, stack }, cost) in heap.finish() {
        let told = || (0..).zip(events).map(|(event, (.., amount))| (event, amount(&cost)));
        if told().all(|(_, weight)| weight <= 0) {
            continue;
        }
        let thread = &threads[thread as usize];
        let is_main = thread.id == header.main_thread;
        let named = named(thread, header);
        let thread = numbers.id(named, Some(header.program()), out)?;
        let stack = frames.stack(stack, is_main, out);
        for (event, weight) in told() {
            let weight = weight.max(0).cast_unsigned();
            if weight > 0 {
                out.sample(Sample { event, thread, stack, weight, ..Sample::default() })?;
            }
        }
    }
    Ok(())
}

/// Its number to the system is known of the first thread alone.
fn named(thread: &Thread, header: &Header) -> Named {
    let pid = header.pid;
    if thread.id == header.main_thread {
        return Named { pid, tid: pid, name: header.program().to_owned() };
    }
    let name = match &thread.name[..] {
        "" => format!("thread {:#x}", thread.id),
        name => name.to_owned(),
    };
    Named { pid, tid: 0, name }
}

impl Contents {
    /// Reads a record that is the same in both kinds of files.
    fn read_common(&mut self, kind: u8, bytes: &mut Bytes<impl BufRead>) -> Result<(), Stop> {
        match kind {
            // A native frame, and its caller.
            5 => {
                bytes.signed()?;
                bytes.signed()?;
            }
            // That all maps follow.
            6 => {}
            7 => skip_maps(bytes)?,
            10 => {
                let name = bytes.text()?;
                self.thread()?.1.name = name;
            }
            12 => self.switch(bytes.u64()?)?,
            14 => self.stacks.read_code(bytes)?,
            _ => return Err(Stop::Wrong("a record of no known kind")),
        }
        Ok(())
    }

    /// Goes on with a thread.
    fn switch(&mut self, id: u64) -> Result<(), Stop> {
        let next = self.threads.len() as u32;
        let number = *self.thread_ids.entry(id).or_insert(next);
        if number == next {
            if self.threads.len() >= MAX_THREADS {
                return Err(Stop::Wrong("there are too many threads"));
            }
            self.threads.push(Thread { id, ..Thread::default() });
        }
        self.thread = Some(number);
        Ok(())
    }

    /// The number of the thread that is spoken of, and the thread.
    fn thread(&mut self) -> Result<(u32, &mut Thread), Stop> {
        let number = self.thread.ok_or(Stop::Wrong("no thread is named yet"))?;
        Ok((number, &mut self.threads[number as usize]))
    }
}

/// Skips what maps a file has in memory: behind its name, each behind a byte that says so.
fn skip_maps(bytes: &mut Bytes<impl BufRead>) -> Result<(), Stop> {
    const MAP: u8 = 8;
    bytes.text()?;
    let count = bytes.varint()?;
    bytes.u64()?;
    for _ in 0..count {
        if bytes.u8()? != MAP {
            return Err(Stop::Wrong("a file has fewer maps than it says"));
        }
        bytes.u64()?;
        bytes.varint()?;
    }
    Ok(())
}
