//! The records and map values of the programs in the kernel, byte by byte as
//! `record/bpf/layout.h` lays them out.

use rz_format::{CpuTime, HISTOGRAM_BUCKETS, HeapCounts, LossClass, LossReason, Total, ValueKind};
use rz_unwind::{REGISTER_COUNT, Registers};

use crate::cursor::Cursor;
use crate::event::{RawAllocation, RawCall, RawEvent, RawStack, RawTotal, RawWait, What};
use crate::functions::Function;
use crate::host::page_size;
use crate::python::Walk;

/// Kinds of records. perf's own numbers are smaller.
const KIND_SAMPLE: u32 = 0x1001;
const KIND_WAIT: u32 = 0x1002;
const KIND_CALL: u32 = 0x1003;
const KIND_ALLOCATION: u32 = 0x1004;
const KIND_HEAP_COUNTS: u32 = 0x1005;
const KIND_FAULT: u32 = 0x1006;
const KIND_RAN: u32 = 0x1007;
const KIND_CALL_DATA: u32 = 0x1008;
const KIND_FUNCTION_CALL: u32 = 0x1009;

/// Offset of a record's time.
const TIME_AT: usize = 8;
/// Longest path, and with the zero that ends it.
const MAX_PATH: usize = 255;
const TEXT_ROOM: usize = MAX_PATH + 1;
/// Length of a call's record that has neither texts nor a stack.
#[cfg(test)]
const CALL_LEN: usize = 24 + 24 + 48 + 8 + 12 + 4;

/// Stands for the numbers of calls by the 32-bit interface, and what stands
/// for it in a key of the table of sums.
const COMPAT: u32 = 1 << 30;
const SHORT_COMPAT: u16 = 1 << 15;

/// Length of a key of the table of sums.
pub(super) const TOTAL_KEY_LEN: usize = 16;
/// Length of a value of the table of sums.
pub(super) const TOTAL_LEN: usize = 6 * 8 + HISTOGRAM_BUCKETS * 4;
/// What is read of what a function is given and gives back.
pub(super) type FunctionInfo = [u8; 4];
/// What to do about a system call.
pub(super) type CallInfo = [u8; 8];
/// Where to find the data of a system call.
pub(super) type DataInfo = [u8; 8 * rz_syscalls::MAX_DATA];
/// Length of what is said about a process that runs CPython.
pub(super) const PYTHON_LEN: usize = 2 * 8 + 16 * 4;
/// The owner of a shim, by which runs of frames end.
const SHIM_OWNER: u32 = 3;
/// What may be changed while recording.
pub(super) type Control = [u8; 16];

/// The event of page faults in the trace.
pub(super) const FAULT_EVENT: u32 = 1;
/// Number of system calls that are known.
pub(super) const MAX_CALLS: u32 = 512;
/// What can be lost in the kernel, and why, in the order of `enum loss`.
pub(super) const LOSSES: [(LossClass, LossReason); 9] = [
    (LossClass::Samples, LossReason::RingFull),
    (LossClass::Waits, LossReason::RingFull),
    (LossClass::Calls, LossReason::RingFull),
    (LossClass::Totals, LossReason::TableFull),
    (LossClass::Allocations, LossReason::RingFull),
    (LossClass::Allocations, LossReason::TableFull),
    (LossClass::Calls, LossReason::Skipped),
    (LossClass::FunctionCalls, LossReason::RingFull),
    (LossClass::FunctionCalls, LossReason::TableFull),
];
/// What is counted after them: rows of sums that were begun.
pub(super) const NEW_TOTALS: u32 = LOSSES.len() as u32;

/// Settings that are fixed when the programs are loaded.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) self_pid: u32,
    pub(super) all: bool,
    pub(super) follow: bool,
    pub(super) kernel: bool,
    pub(super) stack_bytes: u32,
    /// 0 no, 1 totals, 2 every call.
    pub(super) calls: u32,
    /// 0 none, 1 in proportion to time, 2 all.
    pub(super) call_stacks: u32,
    pub(super) data_bytes: u32,
    pub(super) stack_threshold_ns: u64,
    pub(super) slower_than_ns: u64,
    pub(super) allocations: bool,
    pub(super) threads: bool,
    pub(super) alloc_interval: u64,
    pub(super) functions: bool,
}

impl Settings {
    /// The settings as the programs have them.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let numbers = [
            self.self_pid,
            self.all.into(),
            self.follow.into(),
            self.kernel.into(),
            self.stack_bytes,
            self.calls,
            self.call_stacks,
            self.allocations.into(),
            self.threads.into(),
            self.data_bytes,
        ];
        let mut bytes = numbers.map(u32::to_le_bytes).concat();
        for number in [self.stack_threshold_ns, self.slower_than_ns, self.alloc_interval] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&u64::from(self.functions).to_le_bytes());
        bytes
    }
}

/// What is said about a process that runs CPython, whose state is at `runtime`.
pub(super) fn python(runtime: u64, walk: &Walk) -> [u8; PYTHON_LEN] {
    let in_frame = [walk.frame_code, walk.frame_previous, walk.frame_instruction, walk.frame_owner];
    // What begins last is a whole word.
    let frame_bytes = in_frame.into_iter().max().unwrap_or(0) + 8;
    let numbers = [
        walk.interpreter_gil,
        walk.interpreter_next,
        walk.interpreter_threads,
        walk.thread_next,
        walk.thread_id,
        walk.thread_frame,
        walk.thread_cframe,
        walk.cframe_frame,
        walk.cframe_previous,
        walk.frame_code,
        walk.frame_previous,
        walk.frame_instruction,
        walk.frame_owner,
        frame_bytes,
        walk.run_ends as u32,
        SHIM_OWNER,
    ];
    let mut bytes = [0; PYTHON_LEN];
    let (addresses, rest) = bytes.split_at_mut(16);
    let address = |at: u32| runtime.wrapping_add(at.into());
    let gil = if walk.gil == 0 { 0 } else { address(walk.gil) };
    let both = [address(walk.interpreters), gil].map(u64::to_le_bytes);
    addresses.copy_from_slice(both.as_flattened());
    rest.copy_from_slice(numbers.map(u32::to_le_bytes).as_flattened());
    bytes
}

/// The first two arguments of a function that are texts, and the result if it is one and there
/// is room for it.
pub(super) fn function_info(function: &Function) -> FunctionInfo {
    let record = &function.record;
    let is_text = |kind: &u8| ValueKind::from(*kind) == ValueKind::Text;
    let places = record.arguments.iter().zip(1..).filter(|(kind, _)| is_text(kind));
    let mut texts = places.map(|(_, place)| place);
    let arguments = [texts.next().unwrap_or(0), texts.next().unwrap_or(0)];
    let free = arguments.iter().zip(1..).find(|(argument, _)| **argument == 0);
    let result = free.filter(|_| is_text(&record.result)).map_or(0, |(_, place)| place);
    [arguments[0], arguments[1], result, function.is_stepped.into()]
}

/// When a record of ours was made; 0 if it is too short to say.
pub(super) fn time_of(record: &[u8]) -> u64 {
    let bytes = record.get(TIME_AT..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Whether a record of ours is a sum: these are few, and are to be exact.
pub(super) fn is_sum(record: &[u8]) -> bool {
    [KIND_HEAP_COUNTS, KIND_RAN].iter().any(|kind| record.starts_with(&kind.to_le_bytes()))
}

/// Reads a record of ours, or one of perf's. `None` for records of no interest
/// and for those that make no sense.
pub(super) fn parse(record: &[u8]) -> Option<RawEvent<'_>> {
    let mut input = Cursor(record);
    let kind = input.u32()?;
    if !(KIND_SAMPLE..=KIND_FUNCTION_CALL).contains(&kind) {
        return crate::perf::parse(record);
    }
    let cpu = input.u32()?;
    let time_ns = input.u64()?;
    let (pid, tid) = (input.u32()?, input.u32()?);
    let what = match kind {
        KIND_SAMPLE => What::Sample { event: 0, weight: input.u64()?, place: place(&mut input)? },
        KIND_FAULT => What::Sample {
            event: FAULT_EVENT,
            weight: input.u64()?.saturating_mul(page_size() as u64),
            place: place(&mut input)?,
        },
        KIND_ALLOCATION => What::Allocated(allocation(&mut input)?),
        KIND_HEAP_COUNTS => What::Counted(heap_counts(&mut input, time_ns)?),
        KIND_WAIT => What::Waited(wait(&mut input)?),
        KIND_CALL => What::Called(call(&mut input)?),
        KIND_FUNCTION_CALL => What::FunctionCalled(call(&mut input)?),
        KIND_RAN => {
            let [ran_ns, ready_ns, runs, signal] = input.u64s()?;
            let ran = CpuTime { time_ns, thread: None, ran_ns, ready_ns, runs };
            What::Ends { ran, signal: signal as u8 }
        }
        KIND_CALL_DATA => What::CallData(input.0),
        _ => return None,
    };
    // Events of perf have numbers from 1 on.
    Some(RawEvent { time_ns, source: 0, pid, tid, cpu, what })
}

fn allocation<'a>(input: &mut Cursor<'a>) -> Option<RawAllocation<'a>> {
    let [address, size, allocations, interval] = input.u64s()?;
    let (kind, _unused) = (input.u32()?, input.u32()?);
    let kind = (kind as u8).into();
    let place = if input.0.is_empty() { None } else { Some(place(input)?) };
    Some(RawAllocation { kind, address, size, allocations, interval, place })
}

fn heap_counts(input: &mut Cursor<'_>, time_ns: u64) -> Option<Box<HeapCounts>> {
    let [allocations, bytes, frees, failed] = input.u64s()?;
    let mut counts =
        HeapCounts { time_ns, allocations, bytes, frees, failed, ..HeapCounts::default() };
    for bucket in &mut counts.sizes.0 {
        *bucket = input.u32()?.into();
    }
    Some(Box::new(counts))
}

fn wait<'a>(input: &mut Cursor<'a>) -> Option<RawWait<'a>> {
    let (duration_ns, queued_ns, weight) = (input.u64()?, input.u64()?, input.u64()?);
    let (state, syscall) = (input.u32()?, input.u32()?);
    let (seen, _wanted_bytes, _runs) = (input.u32()?, input.u32()?, input.u64()?);
    Some(RawWait {
        duration_ns,
        queued_ns: queued_ns.min(duration_ns),
        weight,
        state: (state as u8).into(),
        syscall: syscall.checked_sub(1),
        seen: (seen as u8).into(),
        place: place(input)?,
    })
}

fn call<'a>(input: &mut Cursor<'a>) -> Option<RawCall<'a>> {
    let (start_ns, duration_ns, result) = (input.u64()?, input.u64()?, input.u64()? as i64);
    let args = input.u64s()?;
    let stack_weight = input.u64()?;
    let (number, count, seen) = (input.u32()?, input.u32()?, input.u32()?);
    let text_lens = [input.u16()?, input.u16()?];
    let mut texts = [None; 2];
    let mut stack = None;
    if !input.0.is_empty() {
        let fixed = where_(input)?;
        for (text, length) in texts.iter_mut().zip(text_lens) {
            let room = input.take(TEXT_ROOM)?;
            *text = usize::from(length).checked_sub(1).and_then(|length| room.get(..length));
        }
        let place = fixed.with_stack(input)?;
        stack = place.registers.is_some().then_some((place, stack_weight));
    }
    let (count, seen) = (count.into(), (seen as u8).into());
    Some(RawCall { start_ns, duration_ns, result, args, number, count, seen, texts, place: stack })
}

/// The fixed part of a stack.
struct Where {
    registers: Option<Registers>,
    kernel_bytes: usize,
    user_bytes: usize,
    python_bytes: usize,
    user_holes: u64,
}

fn where_(input: &mut Cursor<'_>) -> Option<Where> {
    let has_registers = input.u32()? != 0;
    let (kernel_bytes, user_bytes) = (input.u32()? as usize, input.u32()? as usize);
    let (python_bytes, user_holes) = (input.u32()? as usize, input.u64()?);
    let slots = input.u64s::<REGISTER_COUNT>()?;
    let registers = has_registers.then(|| Registers::from_slots(&slots));
    Some(Where { registers, kernel_bytes, user_bytes, python_bytes, user_holes })
}

impl Where {
    fn with_stack<'a>(self, input: &mut Cursor<'a>) -> Option<RawStack<'a>> {
        let python = input.take(self.python_bytes)?;
        let kernel = input.take(self.kernel_bytes)?;
        // Behind the end of a stack that was shortened there is nothing.
        let stack = input.take(self.user_bytes.min(input.0.len()))?;
        let (registers, holes) = (self.registers, self.user_holes);
        Some(RawStack { python, kernel, registers, stack, holes })
    }
}

fn place<'a>(input: &mut Cursor<'a>) -> Option<RawStack<'a>> {
    where_(input)?.with_stack(input)
}

/// How much of a record is kept if its user stack is cut to `limit` bytes.
pub(super) fn shortened_len(record: &[u8], limit: u64) -> usize {
    let user_bytes = parse(record).map_or(0, |event| match &event.what {
        What::Sample { place, .. } => place.stack.len(),
        What::Waited(wait) => wait.place.stack.len(),
        What::Allocated(allocation) => {
            allocation.place.as_ref().map_or(0, |place| place.stack.len())
        }
        What::Called(call) | What::FunctionCalled(call) => {
            call.place.as_ref().map_or(0, |(place, _)| place.stack.len())
        }
        _ => 0,
    });
    record.len() - user_bytes.saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// A user stack that is still to be read.
pub(super) struct Unread {
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// Address of its first byte.
    pub(super) from: u64,
    /// How many bytes are wanted.
    pub(super) length: usize,
    /// How often the thread has run by then.
    pub(super) runs: u64,
}

/// Offsets in the record of a wait: of its wanted bytes and runs, and of its
/// place.
const WANTED_AT: usize = 24 + 24 + 12;
const RUNS_AT: usize = WANTED_AT + 4;
const PLACE_AT: usize = RUNS_AT + 8;
/// Offset in a place of the number of user bytes, of the registers, and of the stack
/// pointer.
const USER_BYTES_AT: usize = 8;
const SLOTS_AT: usize = 16 + 8;
const STACK_POINTER_AT: usize = SLOTS_AT + 7 * 8;

/// What is still to be read of a record, if it is one of a wait that wants it.
pub(super) fn unread_stack(record: &[u8]) -> Option<Unread> {
    let mut input = Cursor(record);
    if input.u32()? != KIND_WAIT {
        return None;
    }
    let (_cpu, _time) = (input.u32()?, input.u64()?);
    let (pid, tid) = (input.u32()?, input.u32()?);
    let length = Cursor(record.get(WANTED_AT..)?).u32()? as usize;
    let runs = Cursor(record.get(RUNS_AT..)?).u64()?;
    let from = Cursor(record.get(PLACE_AT + STACK_POINTER_AT..)?).u64()?;
    (length > 0).then_some(Unread { pid, tid, from, length, runs })
}

/// A record of a wait with the user stack that it lacked; or without any place,
/// if the thread `has_run` meanwhile.
pub(super) fn add_stack(record: &[u8], stack: &[u8], has_run: bool) -> Vec<u8> {
    let mut whole = record.to_vec();
    if has_run {
        whole.truncate(PLACE_AT + SLOTS_AT + REGISTER_COUNT * 8);
        // No registers, and nothing that follows.
        whole[PLACE_AT..PLACE_AT + SLOTS_AT].fill(0);
        return whole;
    }
    let length = (stack.len() as u32).to_le_bytes();
    whole[PLACE_AT + USER_BYTES_AT..][..4].copy_from_slice(&length);
    whole.extend_from_slice(stack);
    whole
}

/// Sums as the kernel keeps them.
pub(super) fn total(key: &[u8; TOTAL_KEY_LEN], value: &[u8; TOTAL_LEN]) -> Option<RawTotal> {
    let mut key = Cursor(key);
    let (epoch_ns, tid) = (key.u64()?, key.u32()?);
    let &[class, state] = key.take(2)? else { return None };
    let number = key.u16()?.checked_sub(1).map(|number| match number & SHORT_COMPAT {
        0 => u32::from(number),
        _ => u32::from(number & !SHORT_COMPAT) | COMPAT,
    });
    let mut value = Cursor(value);
    let [count, errors, total_ns, min_ns, max_ns, queued_ns] = value.u64s()?;
    let mut total = Total {
        class: class.into(),
        thread: None,
        state: state.into(),
        number,
        count,
        errors,
        total_ns,
        min_ns,
        max_ns,
        queued_ns,
        ..Total::default()
    };
    for bucket in &mut total.histogram.0 {
        *bucket = value.u32()?.into();
    }
    Some(RawTotal { tid, epoch_ns, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, rest: &[&[u8]]) -> Vec<u8> {
        let mut bytes = [kind, 1].map(u32::to_le_bytes).concat();
        bytes.extend_from_slice(&99u64.to_le_bytes());
        bytes.extend_from_slice(&[7u32, 8].map(u32::to_le_bytes).concat());
        rest.iter().for_each(|part| bytes.extend_from_slice(part));
        bytes
    }

    fn stack(user_bytes: u32) -> Vec<u8> {
        let mut bytes = [1, 8, user_bytes, 0].map(u32::to_le_bytes).concat();
        bytes.extend_from_slice(&2u64.to_le_bytes());
        bytes.extend_from_slice(&[0; REGISTER_COUNT * 8]);
        bytes.extend_from_slice(&5u64.to_le_bytes());
        bytes.extend(vec![3; user_bytes as usize]);
        bytes
    }

    #[test]
    fn a_cut_record_is_refused_at_every_length() {
        let sample = record(KIND_SAMPLE, &[&1u64.to_le_bytes(), &stack(0)]);
        assert!(matches!(parse(&sample).unwrap().what, What::Sample { weight: 1, event: 0, .. }));
        for length in 0..sample.len() {
            assert!(parse(&sample[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn a_call_with_and_without_more() {
        let mut call = [50u64, 49, -2i64 as u64].map(u64::to_le_bytes).concat();
        call.extend_from_slice(&[1u64, 2, 3, 4, 5, 6, 1_000].map(u64::to_le_bytes).concat());
        call.extend_from_slice(&[257u32, 8, 0].map(u32::to_le_bytes).concat());
        call.extend_from_slice(&[3, 0, 0, 0]);
        let short = record(KIND_CALL, &[&call]);
        assert_eq!(short.len(), CALL_LEN);
        let What::Called(parsed) = parse(&short).unwrap().what else { panic!() };
        assert_eq!((parsed.number, parsed.result, parsed.count), (257, -2, 8));
        assert!(parsed.place.is_none() && parsed.texts == [None; 2]);

        let mut texts = vec![0; 2 * TEXT_ROOM];
        texts[..3].copy_from_slice(b"/a\0");
        let stack = stack(24);
        let (fixed, rest) = stack.split_at(SLOTS_AT + REGISTER_COUNT * 8);
        let full = record(KIND_CALL, &[&call, fixed, &texts, rest]);
        let What::Called(parsed) = parse(&full).unwrap().what else { panic!() };
        assert_eq!(parsed.texts, [Some(&b"/a"[..]), None]);
        let (place, weight) = parsed.place.unwrap();
        assert_eq!((place.kernel.len(), place.stack.len(), weight), (8, 24, 1_000));
        assert_eq!(place.holes, 2);
        assert_eq!(shortened_len(&full, 8), full.len() - 16);
        assert_eq!(shortened_len(&full, u64::MAX), full.len());
    }

    #[test]
    fn a_stack_that_is_read_later() {
        let mut wait = [1_000u64, 10, 1_000].map(u64::to_le_bytes).concat();
        wait.extend_from_slice(&[1u32, 2, 2, 16].map(u32::to_le_bytes).concat());
        wait.extend_from_slice(&77u64.to_le_bytes());
        let record = record(KIND_WAIT, &[&wait, &stack(0)]);
        let unread = unread_stack(&record).unwrap();
        assert_eq!((unread.pid, unread.tid), (7, 8));
        assert_eq!((unread.length, unread.runs, unread.from), (16, 77, 0));

        let place = |record: &[u8]| {
            let What::Waited(wait) = parse(record).unwrap().what else { panic!() };
            let RawStack { kernel, registers, stack, .. } = wait.place;
            (kernel.len(), registers.is_some(), stack.to_vec())
        };
        assert_eq!(place(&add_stack(&record, &[5; 16], false)), (8, true, vec![5; 16]));
        assert_eq!(place(&add_stack(&record, &[], true)), (0, false, vec![]));
        for length in 0..record.len() {
            assert!(parse(&record[..length]).is_none(), "{length}");
        }
        assert!(unread_stack(&record[..100]).is_none());
    }

    #[test]
    fn a_total_of_each_interface() {
        let number = |key: u16| {
            let mut bytes = [0; 16];
            bytes[14..].copy_from_slice(&key.to_le_bytes());
            total(&bytes, &[0; 6 * 8 + HISTOGRAM_BUCKETS * 4]).unwrap().total.number
        };
        assert_eq!([0, 1, 258].map(number), [None, Some(0), Some(257)]);
        assert_eq!(number(SHORT_COMPAT | 21), Some(COMPAT | 20));
        assert_eq!(number(SHORT_COMPAT | 1), Some(COMPAT));
    }
}
