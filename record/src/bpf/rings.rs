//! The programs' buffers, one for each class of events, so that none can crowd
//! out another.

use std::mem::swap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libbpf_rs::{RingBuffer, RingBufferBuilder};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rz_format::{LossClass, LossReason};

use super::error::{BpfError, refused};
use super::events::CpuEvents;
use super::layout::{is_sum, parse, shortened_len, time_of};
use super::programs::Loaded;
use super::waiting;
use crate::capture::whole_millis;
use crate::host::now_ns;
use crate::queue::Batch;

/// Ends taking from a buffer.
const STOP: i32 = -1;

/// All buffers, and what says that there is something in them.
pub(super) struct Rings {
    samples: Ring,
    waits: Ring,
    calls: Ring,
    allocations: Ring,
    ready: Epoll,
}

/// What was taken of the classes that there may be too much of.
pub(super) struct Taken {
    pub(super) waits: u64,
    pub(super) call_bytes: usize,
}

impl Rings {
    /// Takes the buffers from the programs, and waits for those of `events` as
    /// well.
    pub(super) fn new(loaded: &Loaded, events: &[CpuEvents]) -> Result<Self, BpfError> {
        let failed = |error| refused("waiting for events", &error);
        let ready = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        // Only when woken: there is always something in a buffer.
        let add = |fd: BorrowedFd<'_>| {
            let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0);
            ready.add(fd, event).map_err(failed)
        };
        let ring = |name, class| {
            let map = loaded.map(name)?;
            add(map.as_fd())?;
            Ring::new(&map, class).map_err(|error| refused(format!("the buffer of {name}"), &error))
        };
        let (samples, waits) =
            (ring("samples", LossClass::Samples)?, ring("waits", LossClass::Waits)?);
        let calls = ring("calls", LossClass::Calls)?;
        let allocations = ring("allocations", LossClass::Allocations)?;
        for events in events {
            add(events.reporter.as_fd())?;
        }
        Ok(Rings { samples, waits, calls, allocations, ready })
    }

    /// Waits until there is something to take, `stop` can be read, or `at_most`
    /// has passed.
    pub(super) fn wait(&self, stop: BorrowedFd<'_>, at_most: Duration) {
        let ready = self.ready.0.as_fd();
        let mut fds = [ready, stop].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // An interrupted wait is as good as a finished one.
        let _ = poll(&mut fds, whole_millis(at_most));
        // What has woken us has done so; the buffers are all looked at anyway.
        let mut events = [EpollEvent::empty(); 8];
        let _ = self.ready.wait(&mut events, EpollTimeout::ZERO);
    }

    /// Moves what is in the buffers to `batch`.
    pub(super) fn take(&mut self, batch: &mut Batch) -> Taken {
        self.samples.take(batch);
        let (waits, _) = self.waits.take(batch);
        let (_, call_bytes) = self.calls.take(batch);
        self.allocations.take(batch);
        Taken { waits, call_bytes }
    }
}

/// One buffer.
struct Ring {
    ring: RingBuffer<'static>,
    taking: Arc<Mutex<Taking>>,
}

/// Where records go while a buffer is being emptied.
#[derive(Default)]
struct Taking {
    batch: Batch,
    /// What comes later is for the next time, or this might not end.
    deadline_ns: u64,
    records: u64,
    bytes: usize,
}

impl Ring {
    fn new(map: &libbpf_rs::MapHandle, class: LossClass) -> libbpf_rs::Result<Self> {
        let taking = Arc::new(Mutex::new(Taking::default()));
        let shared = Arc::clone(&taking);
        let mut builder = RingBufferBuilder::new();
        builder.add(map, move |record| {
            shared.lock().unwrap_or_else(PoisonError::into_inner).add(record, class)
        })?;
        Ok(Ring { ring: builder.build()?, taking })
    }

    /// Moves what is in it to `batch`; returns how many records, and bytes,
    /// that were.
    fn take(&mut self, batch: &mut Batch) -> (u64, usize) {
        let lock = || self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut taking = lock();
            swap(&mut taking.batch, batch);
            (taking.records, taking.bytes, taking.deadline_ns) = (0, 0, now_ns());
        }
        // What it returns is how many there were, or that we have stopped it.
        self.ring.consume_raw();
        let mut taking = lock();
        swap(&mut taking.batch, batch);
        (taking.records, taking.bytes)
    }
}

impl Taking {
    fn add(&mut self, record: &[u8], class: LossClass) -> i32 {
        let time_ns = time_of(record);
        self.records += 1;
        self.bytes += record.len();
        let limit = match is_sum(record) {
            true => Some(u64::MAX),
            false => self.batch.admit(class),
        };
        if let Some(limit) = limit {
            if let Some(whole) = waiting::with_stack(record, limit) {
                self.batch.push(time_ns, |out| out.extend_from_slice(&whole));
            } else {
                let length = match limit {
                    u64::MAX => record.len(),
                    limit => shortened_len(record, limit),
                };
                self.batch.push(time_ns, |out| out.extend_from_slice(&record[..length]));
            }
        } else {
            // It may stand for several.
            let count = parse(record).and_then(|event| event.class()).map_or(1, |(_, count)| count);
            if count > 0 {
                self.batch.lose(LossReason::QueueFull, class, time_ns, time_ns, count);
            }
        }
        if time_ns > self.deadline_ns { STOP } else { 0 }
    }
}
