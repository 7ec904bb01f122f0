//! The perf events of a CPU: a timer that runs the sampling program, and the
//! reports of what all processes do.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use perf_event_open_sys::bindings::perf_event_attr;

use crate::host::page_size;
use crate::perf::{EventOptions, Ring, SampledEvent, Whose, attr, sys};

/// Buffer of one CPU for reports.
const RING_LEN: usize = 512 << 10;

/// The events of one CPU.
pub(super) struct CpuEvents {
    /// Samples.
    pub(super) tick: OwnedFd,
    /// Owner of `ring`; reports as long as it is open.
    pub(super) reporter: OwnedFd,
    /// Reports of what processes do, and of the tick being throttled.
    pub(super) ring: Ring,
}

/// Opens the events of all `cpus`. Reports begin at once, ticks when they are
/// enabled.
pub(super) fn open(
    cpus: &[u32],
    frequency_hz: u32,
    kernel: bool,
    need_time: bool,
    program: &impl AsFd,
) -> io::Result<(SampledEvent, Vec<CpuEvents>)> {
    let options = EventOptions {
        frequency_hz,
        kernel,
        follow: true,
        start_on_exec: false,
        stack_bytes: 0,
        wakeup_bytes: (RING_LEN / 4) as u32,
    };
    let sideband = attr::sideband(&options);
    let mut event = if need_time { SampledEvent::CpuClock } else { SampledEvent::Cycles };
    let mut events: Vec<CpuEvents> = Vec::new();
    for &cpu in cpus {
        let tick = loop {
            let error = match sys::open_event(&tick_attr(event, &options), Whose::All, cpu) {
                Ok(tick) => break Some(tick),
                Err(error) => error,
            };
            match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
                Errno::ENOENT | Errno::EOPNOTSUPP
                    if event == SampledEvent::Cycles && events.is_empty() =>
                {
                    event = SampledEvent::CpuClock;
                }
                // The CPU went offline.
                Errno::ENODEV => break None,
                _ => return Err(error),
            }
        };
        let Some(tick) = tick else { continue };
        let reporter = sys::open_event(&sideband, Whose::All, cpu)?;
        let ring = Ring::map(&reporter, RING_LEN.max(page_size()))?;
        sys::redirect_output(&tick, &reporter)?;
        sys::set_program(&tick, program)?;
        events.push(CpuEvents { tick, reporter, ring });
    }
    Ok((event, events))
}

/// Opens events of page faults on all `cpus`, which run `program` when they are
/// enabled.
pub(super) fn open_faults(
    cpus: &[u32],
    frequency_hz: u32,
    kernel: bool,
    program: &impl AsFd,
) -> io::Result<Vec<OwnedFd>> {
    let options = EventOptions {
        frequency_hz,
        kernel,
        follow: true,
        start_on_exec: false,
        stack_bytes: 0,
        wakeup_bytes: 0,
    };
    let attr = tick_attr(SampledEvent::PageFaults, &options);
    let mut faults = Vec::new();
    for &cpu in cpus {
        let event = match sys::open_event(&attr, Whose::All, cpu) {
            // The CPU went offline.
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => continue,
            event => event?,
        };
        sys::set_program(&event, program)?;
        faults.push(event);
    }
    Ok(faults)
}

/// A tick that is of use only through its program.
fn tick_attr(event: SampledEvent, options: &EventOptions) -> perf_event_attr {
    let mut attr = attr::sampling(event, options);
    attr.sample_type = attr::sideband(options).sample_type;
    attr.sample_regs_user = 0;
    attr.set_exclude_idle(1);
    attr
}
