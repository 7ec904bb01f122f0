//! Events as perf describes them: `struct perf_event_attr`.

use rz_format::EventUnit;

use super::bytes::Bytes;

/// Bits of `sample_type`, in `perf_event.h`'s order.
pub(super) mod sample_type {
    pub const IP: u64 = 1 << 0;
    pub const TID: u64 = 1 << 1;
    pub const TIME: u64 = 1 << 2;
    pub const ADDR: u64 = 1 << 3;
    pub const READ: u64 = 1 << 4;
    pub const CALLCHAIN: u64 = 1 << 5;
    pub const ID: u64 = 1 << 6;
    pub const CPU: u64 = 1 << 7;
    pub const PERIOD: u64 = 1 << 8;
    pub const STREAM_ID: u64 = 1 << 9;
    pub const RAW: u64 = 1 << 10;
    pub const BRANCH_STACK: u64 = 1 << 11;
    pub const REGS_USER: u64 = 1 << 12;
    pub const STACK_USER: u64 = 1 << 13;
    pub const IDENTIFIER: u64 = 1 << 16;
}

/// Bits of the flags.
mod flag {
    pub const INHERIT: u64 = 1 << 1;
    pub const EXCLUDE_KERNEL: u64 = 1 << 5;
    pub const FREQ: u64 = 1 << 10;
    pub const SAMPLE_ID_ALL: u64 = 1 << 18;
}

/// Smallest size of the structure, that of the first kernel that had it.
const MIN_SIZE: u32 = 64;

/// Event types.
const HARDWARE: u32 = 0;
const SOFTWARE: u32 = 1;

const HARDWARE_NAMES: [&str; 10] = [
    "cycles",
    "instructions",
    "cache-references",
    "cache-misses",
    "branches",
    "branch-misses",
    "bus-cycles",
    "stalled-cycles-frontend",
    "stalled-cycles-backend",
    "ref-cycles",
];
const SOFTWARE_NAMES: [&str; 12] = [
    "cpu-clock",
    "task-clock",
    "page-faults",
    "context-switches",
    "cpu-migrations",
    "minor-faults",
    "major-faults",
    "alignment-faults",
    "emulation-faults",
    "dummy",
    "bpf-output",
    "cgroup-switches",
];
const DUMMY: u64 = 9;

/// What an event counts and what its samples hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attr {
    kind: u32,
    config: u64,
    /// Samples per second, or events between samples.
    period_or_frequency: u64,
    flags: u64,
    pub(super) sample_type: u64,
    pub(super) read_format: u64,
    pub(super) branch_sample_type: u64,
    /// Mask of the registers that are sampled.
    pub(super) user_registers: u64,
    pub(super) user_stack_bytes: u32,
}

impl Attr {
    /// Reads the structure, and says how many bytes it has.
    pub(super) fn read(bytes: Bytes<'_>, is_big_endian: bool) -> Option<(Self, u32)> {
        let mut head = bytes;
        let (kind, size) = (head.u32()?, head.u32()?);
        if size < MIN_SIZE {
            return None;
        }
        let mut fields = { bytes }.part(size.into())?;
        fields.u64()?;
        let config = fields.u64()?;
        let period_or_frequency = fields.u64()?;
        let sample_type = fields.u64()?;
        let read_format = fields.u64()?;
        let flags = fields.u64()?;
        fields.take(16)?;
        // What follows came with later kernels; what is missing is 0.
        let mut later = |length| fields.part(length);
        let _bp_len = later(8);
        let branch_sample_type = later(8).and_then(|mut b| b.u64()).unwrap_or(0);
        let user_registers = later(8).and_then(|mut b| b.u64()).unwrap_or(0);
        let user_stack_bytes = later(4).and_then(|mut b| b.u32()).unwrap_or(0);
        let attr = Attr {
            kind,
            config,
            period_or_frequency,
            // Compilers count the bits from the other end.
            flags: if is_big_endian { flags.reverse_bits() } else { flags },
            sample_type,
            read_format,
            branch_sample_type,
            user_registers,
            user_stack_bytes,
        };
        Some((attr, size))
    }

    pub(super) fn has(&self, bits: u64) -> bool {
        self.sample_type & bits != 0
    }

    /// Whether records other than samples end in ids and a time.
    pub(super) fn has_trailers(&self) -> bool {
        self.flags & flag::SAMPLE_ID_ALL != 0
    }

    /// Whether children are followed.
    pub(super) fn is_inherited(&self) -> bool {
        self.flags & flag::INHERIT != 0
    }

    /// Whether the kernel is sampled.
    pub(super) fn has_kernel(&self) -> bool {
        self.flags & flag::EXCLUDE_KERNEL == 0
    }

    /// Whether this is there for reports of mappings only.
    pub(super) fn is_dummy(&self) -> bool {
        (self.kind, self.config) == (SOFTWARE, DUMMY)
    }

    /// What a sample stands for if it does not say so itself.
    pub(super) fn period(&self) -> u64 {
        if self.flags & flag::FREQ != 0 { 1 } else { self.period_or_frequency.max(1) }
    }

    /// Samples per second that were asked for; 0 if that is not known.
    pub(super) fn frequency_hz(&self) -> u32 {
        let value = self.period_or_frequency;
        let per_second = match self.flags & flag::FREQ != 0 {
            true => value,
            false if self.unit() == EventUnit::Nanoseconds => {
                1_000_000_000u64.checked_div(value).unwrap_or(0)
            }
            false => 0,
        };
        per_second.try_into().unwrap_or(0)
    }

    /// The unit of weights.
    pub(super) fn unit(&self) -> EventUnit {
        // The upper half names the processor's event unit, if it has several.
        match (self.kind, self.config & u64::from(u32::MAX)) {
            (SOFTWARE, 0 | 1) => EventUnit::Nanoseconds,
            (HARDWARE, 0) => EventUnit::Cycles,
            _ => EventUnit::Things,
        }
    }

    /// What perf calls it, for files that do not say.
    pub(super) fn name(&self) -> String {
        let names: &[&str] = match self.kind {
            HARDWARE => &HARDWARE_NAMES,
            SOFTWARE => &SOFTWARE_NAMES,
            _ => &[],
        };
        let known = usize::try_from(self.config & u64::from(u32::MAX)).ok();
        match known.and_then(|config| names.get(config)) {
            Some(name) => (*name).to_owned(),
            None => format!("event-{}:{:#x}", self.kind, self.config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attr(kind: u32, config: u64, value: u64, flags: u64) -> Attr {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&64u32.to_le_bytes());
        for field in [config, value, 0, 0, flags, 0, 0] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let (attr, size) = Attr::read(Bytes::new(&bytes, false), false).unwrap();
        assert_eq!(size, 64);
        assert_eq!(Attr::read(Bytes::new(&bytes[..63], false), false), None);
        attr
    }

    #[test]
    fn what_events_count() {
        let check = |attr: Attr, name: &str, unit, frequency_hz, period| {
            let found = (attr.unit(), attr.frequency_hz(), attr.period());
            assert_eq!(attr.name(), name);
            assert_eq!(found, (unit, frequency_hz, period), "{name}");
        };
        check(attr(SOFTWARE, 0, 99, flag::FREQ), "cpu-clock", EventUnit::Nanoseconds, 99, 1);
        check(
            attr(SOFTWARE, 1, 1_000_000, 0),
            "task-clock",
            EventUnit::Nanoseconds,
            1000,
            1_000_000,
        );
        check(attr(HARDWARE, 7 << 32, 997, flag::FREQ), "cycles", EventUnit::Cycles, 997, 1);
        check(attr(HARDWARE, 1, 5000, 0), "instructions", EventUnit::Things, 0, 5000);
        check(attr(2, 0x1f, 1, 0), "event-2:0x1f", EventUnit::Things, 0, 1);
        assert!(attr(SOFTWARE, 9, 0, 0).is_dummy());
    }
}
