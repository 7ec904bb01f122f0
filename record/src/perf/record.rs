//! The layout of perf records, as our event attributes make it.
//!
//! ```text
//! sample:  header | id | ip | pid tid | time | cpu 0 | period
//!          | count, addresses…        kernel call chain
//!          | abi, registers…          user registers, if abi is not 0
//!          | size, bytes…, used       user stack; `used` only if size is not 0
//! others:  header | fields… | pid tid | time | cpu 0 | id
//! ```

use perf_event_open_sys::bindings as sys;
use rz_unwind::{REGISTER_COUNT, REGISTER_MASK, Registers, STACK_POINTER_SLOT};

use crate::cursor::Cursor;
use crate::event::{RawEvent, RawStack, What};
use crate::perf::ring::{Bytes, RecordHeader};
use crate::tracker::device;

/// What every record carries.
pub(crate) const COMMON_TYPE: u64 = (sys::PERF_SAMPLE_IDENTIFIER
    | sys::PERF_SAMPLE_TID
    | sys::PERF_SAMPLE_TIME
    | sys::PERF_SAMPLE_CPU) as u64;
/// What a sample carries besides.
pub(crate) const SAMPLE_TYPE: u64 = (sys::PERF_SAMPLE_IP
    | sys::PERF_SAMPLE_PERIOD
    | sys::PERF_SAMPLE_CALLCHAIN
    | sys::PERF_SAMPLE_REGS_USER
    | sys::PERF_SAMPLE_STACK_USER) as u64;

/// User registers in a sample, as the kernel numbers them.
pub(crate) const SAMPLE_REGISTERS: u64 = REGISTER_MASK;

/// Offsets in a sample, header included.
const SAMPLE_TID: usize = 24;
const SAMPLE_TIME: usize = 32;
const SAMPLE_CHAIN: usize = 56;
/// Length of what ends every other record: pid, tid, time, cpu, id.
const TRAILER_LEN: usize = 32;
const HEADER_LEN: usize = 8;

/// When a record in the ring was written.
pub(crate) fn time_of(header: RecordHeader, bytes: Bytes<'_>) -> u64 {
    if header.kind == sys::PERF_RECORD_SAMPLE {
        bytes.u64_at(SAMPLE_TIME)
    } else {
        bytes.u64_at(header.len.saturating_sub(TRAILER_LEN - 8))
    }
}

/// Copies a record from the ring, leaving out what the kernel reserved for the
/// user stack and did not fill, what exceeds `stack_limit` bytes of it, and
/// what lies behind the end of the stack, which `stack_end` knows for some
/// threads.
pub(crate) fn copy_record(
    header: RecordHeader,
    bytes: Bytes<'_>,
    out: &mut Vec<u8>,
    stack_limit: u64,
    stack_end: impl FnOnce(u32) -> Option<u64>,
) {
    if header.kind != sys::PERF_RECORD_SAMPLE {
        bytes.append_to(out, 0, header.len);
        return;
    }
    let chain_len = bytes.u64_at(SAMPLE_CHAIN).min(header.len as u64) as usize * 8;
    let abi_at = SAMPLE_CHAIN + 8 + chain_len;
    let has_registers = bytes.u64_at(abi_at) != 0;
    let registers_len = if has_registers { REGISTER_COUNT * 8 } else { 0 };
    let size_at = abi_at + 8 + registers_len;
    let size = bytes.u64_at(size_at).min(header.len as u64) as usize;
    let mut used = match size {
        0 => 0,
        _ => bytes.u64_at(size_at + 8 + size).min(size as u64).min(stack_limit) as usize,
    };
    let tid = (bytes.u64_at(SAMPLE_TID) >> 32) as u32;
    if has_registers && let Some(end) = stack_end(tid) {
        let pointer = bytes.u64_at(abi_at + 8 + STACK_POINTER_SLOT * 8);
        if pointer < end {
            used = used.min((end - pointer) as usize);
        }
    }
    bytes.append_to(out, 0, size_at);
    out.extend_from_slice(&(used as u64).to_le_bytes());
    bytes.append_to(out, size_at + 8, used);
}

/// Reads a record copied by [`copy_record`]. `None` for records of no
/// interest and for those that make no sense.
pub(crate) fn parse(record: &[u8]) -> Option<RawEvent<'_>> {
    let mut input = Cursor(record);
    let kind = input.u32()?;
    let misc = u32::from(input.u16()?);
    input.u16()?;
    if kind == sys::PERF_RECORD_SAMPLE {
        return parse_sample(input);
    }
    let (body, trailer) = record.split_at_checked(record.len().checked_sub(TRAILER_LEN)?)?;
    let mut trailer = Cursor(trailer);
    let (pid, tid) = (trailer.u32()?, trailer.u32()?);
    let time_ns = trailer.u64()?;
    let cpu = trailer.u64()? as u32;
    let source = trailer.u64()?;
    let event = |what| Some(RawEvent { time_ns, source, pid, tid, cpu, what });

    let mut body = Cursor(body.get(HEADER_LEN..)?);
    match kind {
        sys::PERF_RECORD_MMAP2 => {
            let (pid, tid) = (body.u32()?, body.u32()?);
            let (start, length, page_offset) = (body.u64()?, body.u64()?, body.u64()?);
            let (major, minor) = (body.u32()?, body.u32()?);
            let (inode, _generation) = (body.u64()?, body.u64()?);
            let _protection_and_flags = body.u64()?;
            let what = What::Mapped {
                start,
                end: start.checked_add(length)?,
                file_offset: page_offset,
                device: device(major, minor),
                inode,
                path: text(body.0),
            };
            Some(RawEvent { time_ns, source, pid, tid, cpu, what })
        }
        sys::PERF_RECORD_COMM => {
            let (pid, tid) = (body.u32()?, body.u32()?);
            let exec = misc & sys::PERF_RECORD_MISC_COMM_EXEC != 0;
            let what = What::Named { name: text(body.0), exec };
            Some(RawEvent { time_ns, source, pid, tid, cpu, what })
        }
        sys::PERF_RECORD_FORK => {
            let (pid, parent_pid) = (body.u32()?, body.u32()?);
            let (tid, parent_tid) = (body.u32()?, body.u32()?);
            let what = What::Forked { pid, tid };
            Some(RawEvent { time_ns, source, pid: parent_pid, tid: parent_tid, cpu, what })
        }
        sys::PERF_RECORD_EXIT => {
            let (pid, _parent_pid) = (body.u32()?, body.u32()?);
            let tid = body.u32()?;
            Some(RawEvent { time_ns, source, pid, tid, cpu, what: What::Exited })
        }
        sys::PERF_RECORD_LOST => {
            let _id = body.u64()?;
            event(What::Lost { count: body.u64()? })
        }
        sys::PERF_RECORD_LOST_SAMPLES => event(What::Lost { count: body.u64()? }),
        sys::PERF_RECORD_THROTTLE => event(What::Throttled),
        sys::PERF_RECORD_UNTHROTTLE => event(What::Unthrottled),
        _ => None,
    }
}

fn parse_sample(mut input: Cursor<'_>) -> Option<RawEvent<'_>> {
    let source = input.u64()?;
    let _ip = input.u64()?;
    let (pid, tid) = (input.u32()?, input.u32()?);
    let time_ns = input.u64()?;
    let cpu = input.u64()? as u32;
    let weight = input.u64()?;
    let chain_len = usize::try_from(input.u64()?).ok()?.checked_mul(8)?;
    let kernel = kernel_part(input.take(chain_len)?);
    let registers = match input.u64()? {
        0 => None,
        _ => Some(Registers::from_slots(&input.u64s::<REGISTER_COUNT>()?)),
    };
    let stack_len = usize::try_from(input.u64()?).ok()?;
    let stack = input.take(stack_len)?;
    let place = RawStack { python: &[], kernel, registers, stack, holes: 0 };
    let what = What::Sample { event: 0, weight, place };
    Some(RawEvent { time_ns, source, pid, tid, cpu, what })
}

/// The addresses behind the marker that starts the kernel's part of a chain.
fn kernel_part(chain: &[u8]) -> &[u8] {
    let marker = sys::PERF_CONTEXT_KERNEL.to_le_bytes();
    chain.strip_prefix(&marker).unwrap_or_default()
}

/// Text up to its terminating zero.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_record_is_refused_at_every_length() {
        let mut record = Vec::new();
        record.extend_from_slice(&sys::PERF_RECORD_COMM.to_le_bytes());
        record.extend_from_slice(&[0, 0, 56, 0]);
        record.extend_from_slice(&[7, 0, 0, 0, 8, 0, 0, 0]);
        record.extend_from_slice(b"name\0\0\0\0");
        record.extend_from_slice(&[7, 0, 0, 0, 8, 0, 0, 0]);
        for value in [99u64, 1, 5] {
            record.extend_from_slice(&value.to_le_bytes());
        }
        let event = parse(&record).unwrap();
        assert_eq!((event.pid, event.tid, event.time_ns), (7, 8, 99));
        assert_eq!((event.cpu, event.source), (1, 5));
        assert!(matches!(event.what, What::Named { name: b"name", exec: false }));
        for length in 0..HEADER_LEN + TRAILER_LEN + 8 {
            assert!(parse(&record[..length]).is_none(), "{length}");
        }
    }
}
