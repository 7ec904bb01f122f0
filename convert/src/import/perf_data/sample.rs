//! A sample's fields, in the order of `perf_event_open(2)`.

use super::attr::{Attr, sample_type};
use super::bytes::Bytes;

/// Bits of `read_format`.
mod read_format {
    pub const TIME_ENABLED: u64 = 1 << 0;
    pub const TIME_RUNNING: u64 = 1 << 1;
    pub const ID: u64 = 1 << 2;
    pub const GROUP: u64 = 1 << 3;
    pub const LOST: u64 = 1 << 4;
}

/// Bits of `branch_sample_type` that add something to a sample.
mod branch {
    pub const HW_INDEX: u64 = 1 << 17;
    pub const COUNTERS: u64 = 1 << 19;
}

/// The 64-bit ABI of sampled registers.
const ABI_64: u64 = 2;

/// What is used of a sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample<'b> {
    pub(super) ip: u64,
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) time_ns: u64,
    pub(super) cpu: u32,
    pub(super) period: u64,
    /// Addresses, and marks of whose they are, leaf first.
    pub(super) call_chain: Option<Bytes<'b>>,
    /// Values of the registers in the event's mask, if they are those of
    /// 64-bit code.
    pub(super) user_registers: Option<Bytes<'b>>,
    /// The stack from the stack pointer on.
    pub(super) user_stack: &'b [u8],
}

impl<'b> Sample<'b> {
    /// Reads the body of a record; `None` if it is shorter than it says.
    pub(super) fn read(attr: &Attr, mut body: Bytes<'b>) -> Option<Self> {
        use sample_type::{
            ADDR, BRANCH_STACK, CALLCHAIN, CPU, ID, IDENTIFIER, IP, PERIOD, RAW, READ, REGS_USER,
            STACK_USER, STREAM_ID, TID, TIME,
        };
        body.u64_if(attr.has(IDENTIFIER))?;
        let ip = body.u64_if(attr.has(IP))?;
        let (pid, tid) = match attr.has(TID) {
            true => (body.u32()?, body.u32()?),
            false => (0, 0),
        };
        let time_ns = body.u64_if(attr.has(TIME))?;
        body.u64_if(attr.has(ADDR))?;
        body.u64_if(attr.has(ID))?;
        body.u64_if(attr.has(STREAM_ID))?;
        let cpu = match attr.has(CPU) {
            true => (body.u32()?, body.u32()?).0,
            false => 0,
        };
        let period = if attr.has(PERIOD) { body.u64()? } else { attr.period() };
        if attr.has(READ) {
            skip_counts(attr, &mut body)?;
        }
        let call_chain = match attr.has(CALLCHAIN) {
            true => {
                let length = body.u64()?.checked_mul(8)?;
                Some(body.part(length)?)
            }
            false => None,
        };
        if attr.has(RAW) {
            let length = body.u32()?;
            body.take(length.into())?;
        }
        if attr.has(BRANCH_STACK) {
            let count = body.u64()?;
            body.u64_if(attr.branch_sample_type & branch::HW_INDEX != 0)?;
            body.take(count.checked_mul(24)?)?;
            if attr.branch_sample_type & branch::COUNTERS != 0 {
                body.take(count.checked_mul(8)?)?;
            }
        }
        let mut user_registers = None;
        if attr.has(REGS_USER) {
            let abi = body.u64()?;
            if abi != 0 {
                let count = u64::from(attr.user_registers.count_ones());
                user_registers = Some(body.part(count * 8)?).filter(|_| abi == ABI_64);
            }
        }
        let mut user_stack: &[u8] = &[];
        if attr.has(STACK_USER) {
            let length = body.u64()?;
            if length > 0 {
                let bytes = body.take(length)?;
                let used = usize::try_from(body.u64()?).unwrap_or(usize::MAX);
                user_stack = &bytes[..used.min(bytes.len())];
            }
        }
        Some(Sample { ip, pid, tid, time_ns, cpu, period, call_chain, user_registers, user_stack })
    }
}

/// Goes on behind what counters had counted.
fn skip_counts(attr: &Attr, body: &mut Bytes<'_>) -> Option<()> {
    let has = |bit| u64::from(attr.read_format & bit != 0);
    let times = has(read_format::TIME_ENABLED) + has(read_format::TIME_RUNNING);
    let each = 1 + has(read_format::ID) + has(read_format::LOST);
    let values = match has(read_format::GROUP) {
        0 => each,
        _ => body.u64()?.checked_mul(each)?,
    };
    body.take(values.checked_add(times)?.checked_mul(8)?).map(drop)
}
