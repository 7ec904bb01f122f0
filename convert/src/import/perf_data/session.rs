//! Makes a trace of records in order of time.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use rz_format::{
    Event, EventUnit, Frame, Loss, LossClass, LossReason, NO_CPU, Record, Sample as Row, StackId,
    TruncatedReason,
};
use rz_unwind::{AddressSpace, End, REGISTER_COUNT, REGISTER_MASK, Registers, StackMemory, unwind};

use super::super::ImportError;
use super::super::functions::{MAX_FRAMES, too_many};
use super::super::output::Output;
use super::PassError;
use super::bytes::Bytes;
use super::kernel::Kernel;
use super::meta::{Meta, SAMPLE, feature};
use super::modules::{Area, Modules, ProcessCode};
use super::processes::{Moment, Processes, Running};
use super::rounds::Waiting;
use super::sample::Sample;

/// Record types of the kernel.
const MMAP: u32 = 1;
const LOST: u32 = 2;
const COMM: u32 = 3;
const EXIT: u32 = 4;
const THROTTLE: u32 = 5;
const UNTHROTTLE: u32 = 6;
const FORK: u32 = 7;
const MMAP2: u32 = 10;
const LOST_SAMPLES: u32 = 13;
/// Samples that a filter of the recording left out, and that are no loss.
const MISC_FILTERED: u16 = 1 << 15;

/// Flags of records.
const MISC_CPU_MODE: u16 = 7;
const CPU_MODE_KERNEL: u16 = 1;
const CPU_MODE_USER: u16 = 2;
const MISC_MMAP_DATA: u16 = 1 << 13;
const MISC_COMM_EXEC: u16 = 1 << 13;
const MISC_MMAP_BUILD_ID: u16 = 1 << 14;
const PROT_EXEC: u32 = 4;
/// The process that the kernel's own mappings are said to be of.
const NO_PROCESS: u32 = u32::MAX;

/// Call chains have no addresses from here on, but marks of whose code follows.
const MARKS: u64 = -4095i64 as u64;
const MARK_KERNEL: u64 = -128i64 as u64;
const MARK_USER: u64 = -512i64 as u64;

/// Distinct addresses of the kernel that are named, at most.
const MAX_KERNEL_ADDRESSES: usize = 1 << 20;
/// Sources of throttling that are told apart, at most.
const MAX_THROTTLED: usize = 1 << 16;

/// Whose code a part of a call chain is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Kernel,
    User,
    /// That of a hypervisor or a guest, which is not looked into.
    Other,
}

/// A recording that is gone through.
pub(super) struct Session<'m> {
    meta: &'m Meta,
    can_unwind: bool,
    processes: Processes,
    modules: Modules,
    kernel: Kernel,
    /// Frames of the stack at hand, leaf first.
    frames: Vec<Frame>,
    /// Since when each source has been throttled.
    throttled: HashMap<u64, u64>,
    /// Time of the last record.
    now_ns: u64,
    /// Samples that were lost, by records of it.
    lost: u64,
    /// The same by the kernel's counts at the end.
    lost_by_count: u64,
    /// Whether the event of idle time is described.
    has_idle: bool,
    /// Records that are shorter than they say.
    malformed: u64,
    /// Stacks that were copied, but not by this kind of machine.
    not_unwound: u64,
}

impl<'m> Session<'m> {
    pub(super) fn new(meta: &'m Meta, debug_dirs: &[PathBuf], can_unwind: bool) -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let is_same_kernel = release.trim_end() == meta.feature_text(feature::OSRELEASE);
        Session {
            meta,
            can_unwind,
            processes: Processes::default(),
            modules: Modules::new(debug_dirs, is_same_kernel),
            kernel: Kernel { build_id: meta.kernel_build_id.clone(), anchor: None },
            frames: Vec::new(),
            throttled: HashMap::new(),
            now_ns: 0,
            lost: 0,
            lost_by_count: 0,
            has_idle: false,
            malformed: 0,
            not_unwound: 0,
        }
    }

    /// Takes the next record.
    pub(super) fn add(&mut self, record: &Waiting, out: &mut Output) -> Result<(), PassError> {
        let body = Bytes::new(&record.body, self.meta.is_big_endian);
        let understood = match record.kind {
            SAMPLE => self.sample(record, body, out)?,
            MMAP | MMAP2 => self.map(record, body),
            COMM => self.comm(record, body, out)?,
            FORK | EXIT => self.fork_or_exit(record, body, out)?,
            LOST => self.lost(record, body, out)?,
            LOST_SAMPLES => self.lost_by_count(record, body),
            THROTTLE | UNTHROTTLE => self.throttle(record, body, out)?,
            _ => Some(()),
        };
        self.malformed += u64::from(understood.is_none());
        self.now_ns = self.now_ns.max(record.time_ns);
        Ok(())
    }

    /// Names what can only be named now, and says what was missing.
    pub(super) fn finish(mut self, out: &mut Output) -> Result<(), ImportError> {
        for (_, from_ns) in std::mem::take(&mut self.throttled) {
            self.loss(LossReason::Throttled, (from_ns, self.now_ns), 0, out)?;
        }
        if let Some(more) = self.lost_by_count.checked_sub(self.lost).filter(|more| *more > 0) {
            self.loss(LossReason::RingFull, (self.now_ns, self.now_ns), more, out)?;
        }
        if self.malformed > 0 {
            let span = (self.now_ns, self.now_ns);
            self.loss(LossReason::Malformed, span, self.malformed, out)?;
        }
        if let Some(module) = self.modules.own_vdso() {
            let symbols = rz_unwind::names::vdso_symbols(&self.modules.vdso_offsets, module);
            symbols.unwrap_or_default().into_iter().try_for_each(|symbol| out.record(symbol))?;
        }
        if !self.modules.kernel_addresses.is_empty() {
            let module = self.modules.kernel(&self.kernel.build_id, out);
            match self.kernel.symbols(&self.modules.kernel_addresses, module) {
                Ok(symbols) => symbols.into_iter().try_for_each(|symbol| out.record(symbol))?,
                Err(reason) => out.note(format!("functions of the kernel have no names: {reason}")),
            }
        }
        if self.not_unwound > 0 {
            let count = self.not_unwound;
            out.note(format!("{count} copied stacks could not be unwound: registers are missing"));
        }
        Ok(())
    }

    fn sample(
        &mut self,
        record: &Waiting,
        body: Bytes<'_>,
        out: &mut Output,
    ) -> Result<Option<()>, ImportError> {
        let Waiting { kind, misc, body: ref bytes, .. } = *record;
        let event = self.meta.event_of(&super::records::Raw { kind, misc, body: bytes });
        let attr = &self.meta.events[event].attr;
        let Some(sample) = Sample::read(attr, body) else { return Ok(None) };
        let moment = Moment { pid: sample.pid, tid: sample.tid, time_ns: sample.time_ns };
        let Running { thread, process, space } = self.processes.of(moment, out)?;
        self.frames.clear();
        let mut stacks = Stacks {
            modules: &mut self.modules,
            kernel: &self.kernel,
            process,
            space,
            frames: &mut self.frames,
            out,
        };
        let copied = attr.user_registers != 0 && attr.user_stack_bytes > 0;
        let last = stacks.call_chain(&sample, misc, copied);
        if copied && sample.user_registers.is_some() {
            let registers = sample.user_registers.filter(|_| self.can_unwind);
            match registers.and_then(|bytes| registers_of(attr.user_registers, bytes)) {
                Some(registers) => stacks.unwind(registers, sample.user_stack),
                None => {
                    self.not_unwound += 1;
                    if last != Some(Side::User) && misc & MISC_CPU_MODE == CPU_MODE_USER {
                        stacks.address(Side::User, sample.ip, true);
                    }
                    stacks.frames.push(Frame::Truncated(TruncatedReason::NoRegisters));
                }
            }
        }
        let stack = stack_of(&self.frames, out);
        let event = match (sample.pid, attr.unit()) {
            // The clock of a CPU goes on while it has nothing to do.
            (0, EventUnit::Nanoseconds) => self.idle(out)?,
            _ => self.meta.id_of_event(event),
        };
        out.sample(Row {
            time_ns: sample.time_ns,
            event,
            thread,
            cpu: sample.cpu,
            stack,
            weight: sample.period,
        })?;
        Ok(Some(()))
    }

    /// The event of CPUs that had nothing to do.
    fn idle(&mut self, out: &mut Output) -> Result<u32, ImportError> {
        let id = self.meta.events.len() as u32;
        if !std::mem::replace(&mut self.has_idle, true) {
            let (name, unit) = ("idle".to_owned(), EventUnit::Nanoseconds.into());
            out.record(Record::Event(Event { id, name, unit, frequency_hz: 0 }))?;
        }
        Ok(id)
    }

    fn map(&mut self, record: &Waiting, mut body: Bytes<'_>) -> Option<()> {
        let (pid, tid) = (body.u32()?, body.u32()?);
        let (start, length, file_offset) = (body.u64()?, body.u64()?, body.u64()?);
        let mut build_id = None;
        let mut is_code = record.misc & MISC_MMAP_DATA == 0;
        if record.kind == MMAP2 {
            let identity = body.take(24)?;
            if record.misc & MISC_MMAP_BUILD_ID != 0 {
                let length = usize::from(identity[0]).min(20);
                build_id = Some(identity[4..4 + length].to_vec());
            }
            is_code = body.u32()? & PROT_EXEC != 0;
            body.u32()?;
        }
        let path = body.text();
        if pid == NO_PROCESS || record.misc & MISC_CPU_MODE == CPU_MODE_KERNEL {
            self.kernel.map(&path, file_offset);
            if path.starts_with("[kernel.kallsyms]")
                && let Some(build_id) = build_id
            {
                self.kernel.build_id = build_id;
            }
            return Some(());
        }
        if !is_code {
            return Some(());
        }
        let build_id = build_id.or_else(|| self.meta.build_ids.get(&path).cloned());
        let file = self.modules.file(path.clone(), build_id.unwrap_or_default());
        let area = Area { start, end: start.saturating_add(length), file_offset, file };
        let moment = Moment { pid, tid, time_ns: record.time_ns };
        let path = self.modules.is_file(file).then_some(&path[..]);
        self.processes.map(moment, area, path);
        Some(())
    }

    fn comm(
        &mut self,
        record: &Waiting,
        mut body: Bytes<'_>,
        out: &mut Output,
    ) -> Result<Option<()>, ImportError> {
        let Some((pid, tid)) = body.u32().zip(body.u32()) else { return Ok(None) };
        let moment = Moment { pid, tid, time_ns: record.time_ns };
        let is_exec = record.misc & MISC_COMM_EXEC != 0;
        self.processes.name(moment, &body.text(), is_exec, out)?;
        Ok(Some(()))
    }

    fn fork_or_exit(
        &mut self,
        record: &Waiting,
        mut body: Bytes<'_>,
        out: &mut Output,
    ) -> Result<Option<()>, ImportError> {
        let mut read = || Some((body.u32()?, body.u32()?, body.u32()?, body.u32()?));
        let Some((pid, parent_pid, tid, parent_tid)) = read() else { return Ok(None) };
        let moment = Moment { pid, tid, time_ns: record.time_ns };
        match record.kind {
            FORK => self.processes.fork(moment, (parent_pid, parent_tid)),
            _ => self.processes.exit(moment, out)?,
        }
        Ok(Some(()))
    }

    fn lost(
        &mut self,
        record: &Waiting,
        mut body: Bytes<'_>,
        out: &mut Output,
    ) -> Result<Option<()>, ImportError> {
        let Some(count) = body.u64().and_then(|_id| body.u64()) else { return Ok(None) };
        if count > 0 {
            self.loss(LossReason::RingFull, (self.now_ns, record.time_ns), count, out)?;
            self.lost = self.lost.saturating_add(count);
        }
        Ok(Some(()))
    }

    /// What the kernel counted as lost in all: the same samples as in records of losses.
    fn lost_by_count(&mut self, record: &Waiting, mut body: Bytes<'_>) -> Option<()> {
        let count = body.u64()?;
        if record.misc & MISC_FILTERED == 0 {
            self.lost_by_count = self.lost_by_count.saturating_add(count);
        }
        Some(())
    }

    fn throttle(
        &mut self,
        record: &Waiting,
        mut body: Bytes<'_>,
        out: &mut Output,
    ) -> Result<Option<()>, ImportError> {
        let mut read = || Some((body.u64()?, body.u64()?, body.u64()?));
        let Some((time_ns, _id, stream)) = read() else { return Ok(None) };
        if record.kind == THROTTLE {
            if self.throttled.len() < MAX_THROTTLED {
                self.throttled.entry(stream).or_insert(time_ns);
            }
        } else if let Some(from_ns) = self.throttled.remove(&stream) {
            self.loss(LossReason::Throttled, (from_ns, time_ns), 0, out)?;
        }
        Ok(Some(()))
    }

    fn loss(
        &self,
        reason: LossReason,
        (from_ns, to_ns): (u64, u64),
        count: u64,
        out: &mut Output,
    ) -> Result<(), ImportError> {
        let (class, reason) = (LossClass::Samples.into(), reason.into());
        out.record(Record::Loss(Loss { cpu: NO_CPU, class, reason, from_ns, to_ns, count }))
    }
}

/// Collects the frames of one sample, leaf first.
struct Stacks<'a, 'o> {
    modules: &'a mut Modules,
    kernel: &'a Kernel,
    process: u32,
    space: &'a mut AddressSpace<Area>,
    frames: &'a mut Vec<Frame>,
    out: &'a mut Output<'o>,
}

impl Stacks<'_, '_> {
    /// Adds the addresses of a sample's call chain, or its own if it has none;
    /// only the kernel's if the user's stack was copied. Returns whose the last
    /// one is.
    fn call_chain(&mut self, sample: &Sample<'_>, misc: u16, copied: bool) -> Option<Side> {
        let mut side = match misc & MISC_CPU_MODE {
            CPU_MODE_KERNEL => Side::Kernel,
            CPU_MODE_USER => Side::User,
            _ => Side::Other,
        };
        let mut last = None;
        let mut is_exact = true;
        let mut add = |stacks: &mut Self, side: Side, address, is_exact| {
            if side != Side::Other && !(copied && side == Side::User) {
                stacks.address(side, address, is_exact);
                last = Some(side);
            }
        };
        match sample.call_chain {
            Some(mut chain) if chain.len() > 0 => {
                while let Some(address) = chain.u64() {
                    if address >= MARKS {
                        side = match address {
                            MARK_KERNEL => Side::Kernel,
                            MARK_USER => Side::User,
                            _ => Side::Other,
                        };
                        is_exact = true;
                        continue;
                    }
                    add(self, side, address, is_exact);
                    is_exact = false;
                }
            }
            _ => add(self, side, sample.ip, true),
        }
        last
    }

    /// Adds a frame: the next instruction if `is_exact`, otherwise a return
    /// address.
    fn address(&mut self, side: Side, address: u64, is_exact: bool) {
        let address = address.wrapping_sub(u64::from(!is_exact));
        let (module, offset) = if side == Side::Kernel {
            if self.modules.kernel_addresses.len() < MAX_KERNEL_ADDRESSES {
                self.modules.kernel_addresses.insert(address);
            }
            (self.modules.kernel(&self.kernel.build_id, self.out), address)
        } else {
            match self.modules.place(self.process, self.space, address, self.out) {
                Some(place) => (place.module, place.offset),
                None => self.modules.unknown(address, self.out),
            }
        };
        self.frames.push(Frame::Code { module, offset });
    }

    /// Adds the frames of a stack that was copied.
    fn unwind(&mut self, registers: Registers, bytes: &[u8]) {
        let stack = StackMemory::new(registers.sp(), bytes);
        let Stacks { process, ref mut space, ref mut modules, ref mut out, .. } = *self;
        let mut code = ProcessCode { process, space, modules, out };
        let frames = &mut self.frames;
        let end = unwind(&mut code, registers, &stack, |place| {
            frames.push(Frame::Code { module: place.module, offset: place.offset });
        });
        if let End::Truncated(reason) = end {
            self.frames.push(Frame::Truncated(reason));
        }
    }
}

/// The registers that unwinding needs, out of those in a mask; `None` if some
/// are missing.
fn registers_of(mask: u64, mut values: Bytes<'_>) -> Option<Registers> {
    if mask & REGISTER_MASK != REGISTER_MASK {
        return None;
    }
    let mut slots = [0; REGISTER_COUNT];
    let mut wanted = slots.iter_mut();
    for bit in (0..64).filter(|bit| mask >> bit & 1 != 0) {
        let value = values.u64()?;
        if REGISTER_MASK >> bit & 1 != 0 {
            *wanted.next()? = value;
        }
    }
    Some(Registers::from_slots(&slots))
}

/// The number of the stack of these frames, leaf first.
fn stack_of(frames: &[Frame], out: &mut Output) -> Option<StackId> {
    let kept = &frames[..frames.len().min(MAX_FRAMES)];
    let mut stack = None;
    if kept.len() < frames.len() {
        stack = Some(out.stack(None, too_many()));
    }
    for frame in kept.iter().rev() {
        stack = Some(out.stack(stack, *frame));
    }
    stack
}
