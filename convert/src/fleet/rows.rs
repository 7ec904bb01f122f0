//! Makes rows of tables of what happened, as it is read.

use std::borrow::Cow;
use std::io::Write;

use parquet::errors::ParquetError;
use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{Allocation, AllocationKind, Call, Sample, Wait, WaitState};
use rz_profile::heap::Sum;
use rz_profile::load::call_list::call_errno;
use rz_profile::load::rows::{At, EachRow};
use rz_profile::model::{EventId, EventKind, SourceId, StackId, ThreadId, Unit};
use rz_profile::reason::{call_name, error_name};

use super::clock::{WallClock, minute};
use super::minutes::{Described, Exposure, FunctionMinutes, Key, time_cells};
use super::schema;
use super::table_file::{Cell, TableFile};

/// Files of what happened.
pub struct RowFiles<W: Write + Send> {
    pub cpu_sample: TableFile<W>,
    pub wait: TableFile<W>,
    pub syscall: TableFile<W>,
    pub allocation: TableFile<W>,
    pub function_minute: TableFile<W>,
    pub function_hour: TableFile<W>,
}

/// Names of numbers, which are asked for very often.
#[derive(Default)]
struct Names {
    calls: FxHashMap<u32, Cow<'static, str>>,
    errors: FxHashMap<u32, Cow<'static, str>>,
}

/// Stacks that rows refer to, by recording.
#[derive(Debug)]
pub struct Seen {
    /// By stack, the recording that it was last seen in.
    last: Vec<SourceId>,
    all: FxHashSet<(SourceId, StackId)>,
}

impl Seen {
    fn of(stacks: usize) -> Seen {
        Seen { last: vec![SourceId::MAX; stacks], all: FxHashSet::default() }
    }

    fn add(&mut self, source: SourceId, stack: StackId) {
        if std::mem::replace(&mut self.last[stack], source) != source {
            self.all.insert((source, stack));
        }
    }

    /// All of them by recording, in the `order` of stacks.
    pub fn sorted(&self, order: &[u32]) -> Vec<(SourceId, StackId)> {
        let mut all: Vec<(SourceId, StackId)> = self.all.iter().copied().collect();
        all.sort_unstable_by_key(|&(source, stack)| (source, order[stack]));
        all
    }
}

/// Takes rows of a trace.
pub struct Rows<'p, W: Write + Send> {
    of: &'p Described<'p>,
    clock: WallClock,
    /// Where rows go.
    pub files: RowFiles<W>,
    /// What was looked at.
    pub exposure: Exposure,
    /// What functions took.
    pub minutes: FunctionMinutes,
    /// Stacks that rows refer to.
    pub seen: Seen,
    names: Names,
    /// The first error; what comes after it is left out.
    failed: Option<ParquetError>,
}

/// What rows of all tables have.
#[derive(Clone, Copy)]
struct Common {
    trace: Cell<'static>,
    time: [Cell<'static>; 2],
    thread: Cell<'static>,
    process: Cell<'static>,
    stack: Cell<'static>,
}

impl<'p, W: Write + Send> Rows<'p, W> {
    /// Begins with nothing.
    pub fn new(of: &'p Described<'p>, files: RowFiles<W>) -> Self {
        let clock = WallClock::of(&of.profile.info);
        Rows {
            of,
            clock,
            files,
            exposure: Exposure::of(of.profile, clock),
            minutes: FunctionMinutes::default(),
            seen: Seen::of(of.profile.stacks.len()),
            names: Names::default(),
            failed: None,
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If anything could not be written.
    pub fn finish(&mut self) -> Result<(), ParquetError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let RowFiles { function_minute, function_hour, .. } = &mut self.files;
        self.minutes.finish(self.of, function_minute, function_hour)
    }

    fn common(&mut self, at: At, unix_ns: i64) -> Common {
        let source = self.of.who.source_of(at.thread);
        let (thread, process) = self.of.who.ids_of(at.thread);
        if let Some(stack) = at.stack {
            self.seen.add(source, stack);
        }
        Common {
            trace: Cell::Int(self.of.who.traces[source].id),
            time: time_cells(unix_ns),
            thread: thread.into(),
            process: process.into(),
            stack: self.of.code.stack_id(at.stack).into(),
        }
    }

    fn add(
        &mut self,
        at: At,
        end_ns: i64,
        (event, unit): (&'static str, Unit),
        amount: (f64, f64),
    ) {
        let Some(stack) = at.stack else { return };
        let program = at.thread.map(|thread| self.of.who.program_of(thread));
        let key = Key { minute: minute(end_ns), program, event, unit: unit.name(), stack };
        if self.minutes.add(key, amount.0, amount.1) {
            let RowFiles { function_minute, function_hour, .. } = &mut self.files;
            let written = self.minutes.write(self.of, function_minute, function_hour);
            self.note(written);
        }
    }

    fn note(&mut self, written: Result<(), ParquetError>) {
        if let (Err(error), None) = (written, &self.failed) {
            self.failed = Some(error);
        }
    }

    fn source(&self, thread: Option<ThreadId>) -> SourceId {
        self.of.who.source_of(thread)
    }
}

impl<W: Write + Send> EachRow for Rows<'_, W> {
    fn sample(&mut self, at: At, event: EventId, sample: &Sample) {
        if self.failed.is_some() {
            return;
        }
        let unix_ns = self.clock.unix_ns(sample.time_ns);
        let common = self.common(at, unix_ns);
        let event = &self.of.profile.events[event];
        if event.kind == EventKind::Cpu {
            let source = self.source(at.thread);
            let looked = self.exposure.at(source, unix_ns);
            looked.samples += 1;
            if event.unit == Unit::Nanoseconds {
                looked.cpu_ns = looked.cpu_ns.saturating_add(sample.weight);
            }
        }
        let name = event.kind.name();
        self.add(at, unix_ns, (name, event.unit), (sample.weight as f64, 1.0));
        let [time, time_ns] = common.time;
        let written = self.files.cpu_sample.row(&[
            common.trace,
            time,
            time_ns,
            common.thread,
            common.process,
            common.stack,
            Cell::Text(name),
            Cell::Text(&event.name),
            sample.weight.into(),
            Cell::Text(event.unit.name()),
            sample.cpu.into(),
        ]);
        self.note(written);
    }

    fn wait(&mut self, at: At, wait: &Wait) {
        if self.failed.is_some() {
            return;
        }
        let start_ns = self.clock.unix_ns(wait.end_ns.saturating_sub(wait.duration_ns));
        let end_ns = self.clock.unix_ns(wait.end_ns);
        let common = self.common(at, start_ns);
        let source = self.source(at.thread);
        let looked = self.exposure.at(source, end_ns);
        looked.wait_ns = looked.wait_ns.saturating_add(wait.weight);
        let what = (EventKind::OffCpu.name(), Unit::Nanoseconds);
        self.add(at, end_ns, what, (wait.weight as f64, 1.0));
        let [time, time_ns] = common.time;
        let reason = at.stack.and_then(|stack| self.of.code.reason(stack)).unwrap_or("unknown");
        let call = wait.syscall;
        if let Some(number) = call {
            self.names.calls.entry(number).or_insert_with(|| call_name(number));
        }
        let call = call.and_then(|number| self.names.calls.get(&number));
        let row = [
            common.trace,
            time,
            time_ns,
            wait.duration_ns.into(),
            wait.queued_ns.into(),
            wait.weight.into(),
            Cell::Text(state_name(wait.state)),
            Cell::Text(reason),
            call.map(|name| &**name).into(),
            common.thread,
            common.process,
            common.stack,
            wait.cpu.into(),
            Cell::Flag(wait.seen.late),
            Cell::Flag(wait.seen.unfinished),
        ];
        let written = self.files.wait.row(&row);
        self.note(written);
    }

    fn call(&mut self, at: At, call: &Call) {
        if self.failed.is_some() {
            return;
        }
        let start_ns = self.clock.unix_ns(call.start_ns);
        let end_ns = self.clock.unix_ns(call.start_ns.saturating_add(call.duration_ns));
        let common = self.common(at, start_ns);
        let source = self.source(at.thread);
        let looked = self.exposure.at(source, end_ns);
        looked.calls = looked.calls.saturating_add(call.count);
        if call.stack_weight > 0 {
            let what = (EventKind::Syscalls.name(), Unit::Nanoseconds);
            self.add(at, end_ns, what, (call.stack_weight as f64, 1.0));
        }
        let errno = call_errno(call);
        let names = &mut self.names;
        let name = &**names.calls.entry(call.number).or_insert_with(|| call_name(call.number));
        let error =
            errno.map(|errno| &**names.errors.entry(errno).or_insert_with(|| error_name(errno)));
        let [time, time_ns] = common.time;
        let written = self.files.syscall.row(&[
            common.trace,
            time,
            time_ns,
            call.duration_ns.into(),
            Cell::Text(name),
            call.number.into(),
            Cell::Int(call.result),
            error.into(),
            call.count.into(),
            call.stack_weight.into(),
            common.thread,
            common.process,
            common.stack,
            Cell::Flag(call.seen.late),
            Cell::Flag(call.seen.unfinished),
        ]);
        self.note(written);
    }

    /// They have no table of their own.
    fn function_call(&mut self, at: At, call: &Call) {
        if self.failed.is_none() && call.stack_weight > 0 {
            let end_ns = self.clock.unix_ns(call.start_ns.saturating_add(call.duration_ns));
            let what = (EventKind::Functions.name(), Unit::Nanoseconds);
            self.add(at, end_ns, what, (call.stack_weight as f64, 1.0));
        }
    }

    fn allocation(&mut self, at: At, allocation: &Allocation) {
        if self.failed.is_some() {
            return;
        }
        let unix_ns = self.clock.unix_ns(allocation.time_ns);
        let common = self.common(at, unix_ns);
        let Allocation { kind, address, size, interval, .. } = *allocation;
        let (mut objects, mut bytes) = (0.0, 0.0);
        if !kind.is_free() {
            let sum = Sum::of_object(size, interval);
            (objects, bytes) = (sum.objects.value, sum.bytes.value);
            let source = self.source(at.thread);
            self.exposure.at(source, unix_ns).bytes += bytes;
            let what = (EventKind::Alloc.name(), Unit::Bytes);
            self.add(at, unix_ns, what, (bytes, objects));
        }
        let [time, time_ns] = common.time;
        let written = self.files.allocation.row(&[
            common.trace,
            time,
            time_ns,
            common.thread,
            common.process,
            common.stack,
            Cell::Text(allocation_name(kind)),
            Cell::Int(address.cast_signed()),
            size.into(),
            Cell::Real(objects),
            Cell::Real(bytes),
        ]);
        self.note(written);
    }
}

impl<W: Write + Send> RowFiles<W> {
    /// Begins all files, each with what `create` makes for its table.
    ///
    /// # Errors
    /// If one cannot be made, or written.
    pub fn new<E: From<ParquetError>>(
        mut create: impl FnMut(&'static schema::Table) -> Result<W, E>,
    ) -> Result<Self, E> {
        let mut file = |table| Ok::<_, E>(TableFile::new(table, create(table)?)?);
        Ok(RowFiles {
            cpu_sample: file(&schema::CPU_SAMPLE)?,
            wait: file(&schema::WAIT)?,
            syscall: file(&schema::SYSCALL)?,
            allocation: file(&schema::ALLOCATION)?,
            function_minute: file(&schema::FUNCTION_MINUTE)?,
            function_hour: file(&schema::FUNCTION_HOUR)?,
        })
    }
}

/// What a thread was meanwhile, in a word.
fn state_name(state: WaitState) -> &'static str {
    match state {
        WaitState::Preempted => "preempted",
        WaitState::Sleeping => "sleeping",
        WaitState::Blocked => "blocked",
        WaitState::Io => "disk",
        WaitState::Stopped => "stopped",
        WaitState::Throttled => "throttled",
        WaitState::Memory => "memory",
        WaitState::Gil => "gil",
        WaitState::Unknown => "unknown",
    }
}

/// What was done with an object, in a word.
fn allocation_name(kind: AllocationKind) -> &'static str {
    match kind {
        AllocationKind::Free => "free",
        AllocationKind::ReallocFree => "realloc-free",
        AllocationKind::Malloc => "malloc",
        AllocationKind::Calloc => "calloc",
        AllocationKind::Realloc => "realloc",
        AllocationKind::Aligned => "aligned",
        AllocationKind::Unknown => "unknown",
    }
}
