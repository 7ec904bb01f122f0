//! The attributes of the events we open.

use perf_event_open_sys::bindings as sys;
use perf_event_open_sys::bindings::perf_event_attr;
use rz_format::EventUnit;

use crate::perf::record::{COMMON_TYPE, SAMPLE_REGISTERS, SAMPLE_TYPE};

/// What is counted to decide when to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampledEvent {
    /// Hardware CPU cycles.
    Cycles,
    /// A timer that runs while the thread does, where there are no hardware
    /// counters, as in most virtual machines.
    CpuClock,
    /// Pages touched for the first time, or read back.
    PageFaults,
}

impl SampledEvent {
    /// What a sample stands for at a frequency, in the event's unit; 0 if that
    /// varies.
    pub(crate) fn usual_weight(self, frequency_hz: u32) -> u64 {
        match self {
            SampledEvent::Cycles | SampledEvent::PageFaults => 0,
            SampledEvent::CpuClock => 1_000_000_000 / u64::from(frequency_hz),
        }
    }

    /// The event as it is written into the trace.
    pub(crate) fn describe(self, frequency_hz: u32) -> rz_format::Event {
        let (name, unit) = match self {
            SampledEvent::Cycles => ("cycles", EventUnit::Cycles),
            SampledEvent::CpuClock => ("cpu-clock", EventUnit::Nanoseconds),
            SampledEvent::PageFaults => ("page-faults", EventUnit::Bytes),
        };
        rz_format::Event { id: 0, name: name.to_owned(), unit: unit.into(), frequency_hz }
    }
}

/// What the events have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventOptions {
    /// Samples per second of running time.
    pub(crate) frequency_hz: u32,
    /// Whether to sample in kernel mode.
    pub(crate) kernel: bool,
    /// Whether new processes inherit the events, and not only new threads.
    pub(crate) follow: bool,
    /// Start only when the thread executes a new program.
    pub(crate) start_on_exec: bool,
    /// Most bytes of user stack to copy, a multiple of 8.
    pub(crate) stack_bytes: u32,
    /// Bytes in a buffer at which the recorder is woken.
    pub(crate) wakeup_bytes: u32,
}

/// The event that samples.
pub(crate) fn sampling(event: SampledEvent, options: &EventOptions) -> perf_event_attr {
    let mut attr = common(options);
    (attr.type_, attr.config) = match event {
        SampledEvent::Cycles => (sys::PERF_TYPE_HARDWARE, sys::PERF_COUNT_HW_CPU_CYCLES.into()),
        SampledEvent::CpuClock => (sys::PERF_TYPE_SOFTWARE, sys::PERF_COUNT_SW_CPU_CLOCK.into()),
        SampledEvent::PageFaults => {
            (sys::PERF_TYPE_SOFTWARE, sys::PERF_COUNT_SW_PAGE_FAULTS.into())
        }
    };
    attr.__bindgen_anon_1.sample_freq = options.frequency_hz.into();
    attr.set_freq(1);
    attr.set_disabled(1);
    attr.set_enable_on_exec(options.start_on_exec.into());
    attr.set_exclude_kernel((!options.kernel).into());
    attr.set_exclude_callchain_user(1);
    attr.sample_type |= SAMPLE_TYPE;
    attr.sample_regs_user = SAMPLE_REGISTERS;
    attr.sample_stack_user = options.stack_bytes;
    attr
}

/// The event that reports what processes do: threads, programs, mappings. It
/// has buffers of its own, so that samples cannot crowd its records out.
pub(crate) fn sideband(options: &EventOptions) -> perf_event_attr {
    let mut attr = common(options);
    attr.type_ = sys::PERF_TYPE_SOFTWARE;
    attr.config = sys::PERF_COUNT_SW_DUMMY.into();
    attr.set_exclude_kernel(1);
    attr.set_mmap(1);
    attr.set_mmap2(1);
    attr.set_comm(1);
    attr.set_comm_exec(1);
    attr.set_task(1);
    attr
}

fn common(options: &EventOptions) -> perf_event_attr {
    let mut attr = perf_event_attr { sample_type: COMMON_TYPE, ..Default::default() };
    attr.set_inherit(1);
    attr.set_inherit_thread((!options.follow).into());
    attr.set_sample_id_all(1);
    attr.set_exclude_hv(1);
    attr.set_exclude_guest(1);
    attr.set_use_clockid(1);
    // CLOCK_MONOTONIC is 1 on every architecture.
    attr.clockid = 1;
    attr.set_watermark(1);
    attr.__bindgen_anon_2.wakeup_watermark = options.wakeup_bytes;
    attr
}
