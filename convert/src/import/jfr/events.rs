//! Events that have stacks, as samples.

use std::collections::hash_map::Entry;

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{Frame, Record, Sample, StackId};

use super::super::amounts::Amounts;
use super::super::functions::{Function, Functions, MAX_FRAMES};
use super::super::output::Output;
use super::super::threads::{Named, Threads};
use super::super::{ImportError, Imported};
use super::bytes::Bytes;
use super::chunk::{Chunk, Event};
use super::damaged;
use super::metadata::{Field, Value};

/// What an event amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    /// It is counted.
    One,
    /// A field says how often it was seen.
    Times(&'static str),
    /// A field says how many bytes.
    Bytes(&'static str),
    /// How long it took.
    Duration,
}

/// Events of a recording, what they are called here, and what they amount to.
const KINDS: [(&str, &str, Amount); 14] = [
    ("jdk.ExecutionSample", "samples", Amount::One),
    (SLEEPING, "sleeping", Amount::One),
    ("profiler.WallClockSample", "wall-clock", Amount::Times("samples")),
    ("jdk.NativeMethodSample", "native", Amount::One),
    ("jdk.ObjectAllocationSample", "alloc_space", Amount::Bytes("weight")),
    ("jdk.ObjectAllocationInNewTLAB", "tlab_space", Amount::Bytes("tlabSize")),
    ("jdk.ObjectAllocationOutsideTLAB", "tlab_space", Amount::Bytes("allocationSize")),
    ("jdk.JavaMonitorEnter", "lock", Amount::Duration),
    ("jdk.JavaMonitorWait", "monitor-wait", Amount::Duration),
    ("jdk.ThreadPark", "park", Amount::Duration),
    ("jdk.ThreadSleep", "sleep", Amount::Duration),
    ("jdk.FileRead", "file-read", Amount::Duration),
    ("jdk.SocketRead", "socket-read", Amount::Duration),
    ("jdk.SocketWrite", "socket-write", Amount::Duration),
];

const EXECUTION: usize = 0;
/// Samples of threads that did not run, which some profilers take with the others.
const SLEEPING: &str = "jdk.ExecutionSample, not running";
const SLEEPING_KIND: usize = 1;

/// What is made of a recording so far.
pub(super) struct Samples {
    begin_unix_ns: u64,
    end_ns: u64,
    functions: Functions,
    threads: Threads,
    pid: u32,
    /// Numbers of events, by what they are called.
    events: FxHashMap<&'static str, u32>,
    count: u64,
}

/// What was found of a chunk's values.
#[derive(Default)]
struct Found {
    threads: FxHashMap<u64, u32>,
    stacks: FxHashMap<(u64, u64), Option<StackId>>,
    methods: FxHashMap<(u64, u64), String>,
}

/// The fields of an event that are asked for.
#[derive(Default)]
struct Fields {
    start: u64,
    duration: u64,
    /// A class and a number.
    thread: Option<(u64, u64)>,
    stack: Option<(u64, u64)>,
    state: String,
    amount: u64,
}

impl Samples {
    pub(super) fn begun(begin_unix_ns: u64) -> Self {
        Samples {
            begin_unix_ns,
            end_ns: 0,
            functions: Functions::default(),
            threads: Threads::default(),
            pid: 0,
            events: FxHashMap::default(),
            count: 0,
        }
    }

    /// Adds the events of a chunk.
    pub(super) fn add(&mut self, chunk: &Chunk, out: &mut Output) -> Result<(), ImportError> {
        self.look_over(chunk, out)?;
        let mut found = Found::default();
        for event in chunk.events() {
            let event = event?;
            let name = chunk.classes.name(event.class);
            let Some(kind) = KINDS.iter().position(|(event, ..)| *event == name) else { continue };
            let fields = Fields::of(&event, KINDS[kind].2, chunk)?;
            let is_sleeping = kind == EXECUTION && fields.state.contains("SLEEPING");
            let kind = if is_sleeping { SLEEPING_KIND } else { kind };
            let (_, name, amount) = KINDS[kind];
            let event = self.event(name, amount, out)?;
            let thread = match fields.thread {
                Some(thread) => self.thread(thread, chunk, &mut found, out)?,
                None => self.named(Named { pid: self.pid, ..Named::default() }, out)?,
            };
            let stack = match fields.stack {
                Some(stack) => self.stack(stack, chunk, &mut found, out)?,
                None => None,
            };
            let weight = match amount {
                Amount::One => 1,
                Amount::Times(_) | Amount::Bytes(_) => fields.amount,
                Amount::Duration => chunk.nanoseconds(fields.duration),
            };
            let time_ns = chunk.unix_ns(fields.start).saturating_sub(self.begin_unix_ns);
            self.end_ns = self.end_ns.max(time_ns);
            self.count += 1;
            out.sample(Sample { event, thread, stack, weight, time_ns, ..Sample::default() })?;
        }
        Ok(())
    }

    pub(super) fn finish(self, mut out: Output) -> Result<Imported, ImportError> {
        if self.count == 0 {
            return Err(damaged("it has no samples, allocations or waits with stacks"));
        }
        out.note("classes of objects and locks, and names of files are not kept".to_owned());
        out.finish(Some(self.end_ns))
    }

    /// Finds out which process it is, and tells of events in the order of their table.
    fn look_over(&mut self, chunk: &Chunk, out: &mut Output) -> Result<(), ImportError> {
        let mut present = FxHashSet::default();
        for event in chunk.events() {
            let mut event = event?;
            if present.insert(event.class)
                && chunk.classes.name(event.class) == "jdk.JVMInformation"
            {
                chunk.classes.fields(event.class, &mut event.fields, |field, value, _| {
                    if let ("pid", Value::Number(pid)) = (&field.name[..], value) {
                        self.pid = pid.try_into().unwrap_or(0);
                    }
                    Ok(())
                })?;
            }
        }
        let names: FxHashSet<&str> =
            present.iter().map(|class| chunk.classes.name(*class)).collect();
        for (_, name, amount) in KINDS.iter().filter(|(event, ..)| names.contains(event)) {
            self.event(name, *amount, out)?;
        }
        Ok(())
    }

    fn event(
        &mut self,
        name: &'static str,
        amount: Amount,
        out: &mut Output,
    ) -> Result<u32, ImportError> {
        if let Some(id) = self.events.get(name) {
            return Ok(*id);
        }
        let id = self.events.len() as u32;
        self.events.insert(name, id);
        let amounts = match amount {
            Amount::One | Amount::Times(_) => Amounts::THINGS,
            Amount::Bytes(_) => Amounts::BYTES,
            Amount::Duration => Amounts::of_unit("nanoseconds"),
        };
        out.record(Record::Event(amounts.event(id, name)))?;
        Ok(id)
    }

    fn named(&mut self, thread: Named, out: &mut Output) -> Result<u32, ImportError> {
        self.threads.id(thread, Some("java"), out)
    }

    fn thread(
        &mut self,
        (class, number): (u64, u64),
        chunk: &Chunk,
        found: &mut Found,
        out: &mut Output,
    ) -> Result<u32, ImportError> {
        if let Some(id) = found.threads.get(&number) {
            return Ok(*id);
        }
        let mut thread = Named { pid: self.pid, ..Named::default() };
        let (mut os_name, mut java_name) = (String::new(), String::new());
        if let Some(mut bytes) = chunk.pools.value(class, number) {
            let text = |field, value| chunk.pools.text(field, value, &chunk.classes);
            chunk.classes.fields(class, &mut bytes, |field, value, _| {
                match (&field.name[..], value) {
                    ("osName", value) => os_name = text(field, value)?,
                    ("javaName", value) => java_name = text(field, value)?,
                    ("osThreadId", Value::Number(tid)) => {
                        thread.tid = tid.try_into().unwrap_or(0);
                    }
                    _ => {}
                }
                Ok(())
            })?;
        }
        thread.name = if java_name.is_empty() { os_name } else { java_name };
        let id = self.named(thread, out)?;
        found.threads.insert(number, id);
        Ok(id)
    }

    fn stack(
        &mut self,
        place: (u64, u64),
        chunk: &Chunk,
        found: &mut Found,
        out: &mut Output,
    ) -> Result<Option<StackId>, ImportError> {
        if let Some(stack) = found.stacks.get(&place) {
            return Ok(*stack);
        }
        let (class, number) = place;
        let mut is_truncated = false;
        // Leaf first.
        let mut frames: Vec<Frame> = Vec::new();
        if let Some(mut bytes) = chunk.pools.value(class, number) {
            chunk.classes.fields(class, &mut bytes, |field, value, mut bytes| {
                match (&field.name[..], value) {
                    ("truncated", Value::Number(truncated)) => is_truncated = truncated != 0,
                    ("frames", Value::Other) if field.is_list => {
                        for _ in 0..bytes.count()? {
                            let function = function(field.class, &mut bytes, chunk, found)?;
                            if frames.len() == MAX_FRAMES {
                                is_truncated = true;
                                break;
                            }
                            frames.push(self.functions.frame(function, out));
                        }
                    }
                    _ => {}
                }
                Ok(())
            })?;
        }
        let stack = out.whole_stack(&frames, is_truncated);
        found.stacks.insert(place, stack);
        Ok(stack)
    }
}

impl Fields {
    fn of(event: &Event, amount: Amount, chunk: &Chunk) -> Result<Self, ImportError> {
        let amount = match amount {
            Amount::Times(name) | Amount::Bytes(name) => name,
            Amount::One | Amount::Duration => "",
        };
        let mut fields = Fields::default();
        let mut bytes = event.fields;
        chunk.classes.fields(event.class, &mut bytes, |field, value, _| {
            match (&field.name[..], value) {
                ("startTime", Value::Number(ticks)) => fields.start = ticks,
                ("duration", Value::Number(ticks)) => fields.duration = ticks,
                ("eventThread" | "sampledThread", Value::Number(number)) => {
                    fields.thread = Some((field.class, number));
                }
                ("stackTrace", Value::Number(number)) => {
                    fields.stack = Some((field.class, number));
                }
                ("state", value) => {
                    fields.state = chunk.pools.text(field, value, &chunk.classes)?;
                }
                (name, Value::Number(number)) if name == amount => fields.amount = number,
                _ => {}
            }
            Ok(())
        })?;
        Ok(fields)
    }
}

/// What a frame of a stack is.
fn function(
    class: u64,
    bytes: &mut Bytes,
    chunk: &Chunk,
    found: &mut Found,
) -> Result<Function, ImportError> {
    let mut function = Function::default();
    chunk.classes.fields(class, bytes, |field, value, _| {
        match (&field.name[..], value) {
            ("method", Value::Number(number)) => {
                let key = (field.class, number);
                let name = match found.methods.entry(key) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(method(key, chunk)?),
                };
                function.name.clone_from(name);
            }
            ("lineNumber", Value::Number(line)) => {
                // Below 0 if it is not known.
                function.line = (line as u32).cast_signed().max(0).cast_unsigned();
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(function)
}

/// The name of a method, with that of its class.
fn method((class, number): (u64, u64), chunk: &Chunk) -> Result<String, ImportError> {
    let text = |field: &Field, value| chunk.pools.text(field, value, &chunk.classes);
    let (mut of, mut name) = (String::new(), String::new());
    let Some(mut bytes) = chunk.pools.value(class, number) else { return Ok(name) };
    chunk.classes.fields(class, &mut bytes, |field, value, _| {
        match (&field.name[..], value) {
            ("name", value) => name = text(field, value)?,
            ("type", Value::Number(number)) => {
                let Some(mut bytes) = chunk.pools.value(field.class, number) else { return Ok(()) };
                chunk.classes.fields(field.class, &mut bytes, |field, value, _| {
                    if field.name == "name" {
                        of = text(field, value)?;
                    }
                    Ok(())
                })?;
            }
            _ => {}
        }
        Ok(())
    })?;
    let of = of.replace('/', ".");
    Ok(if of.is_empty() { name } else { format!("{of}.{name}") })
}
