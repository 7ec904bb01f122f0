//! How long threads ran, as the kernel's scheduler counts it: read once a second, at the
//! beginning and at the end, and of threads that end, told by the kernel.

use rz_format::{CpuTime, CpuTimes, Record};

use super::procfs;
use super::{Scope, Tracker};
use crate::host::now_ns;

/// How often they are read.
const INTERVAL_NS: u64 = 1_000_000_000;
/// Threads that are read each time, at most: it takes some 4 µs each.
const MOST_AT_A_TIME: usize = 500;

/// What is not counted yet of a thread that ends, on average: half a tick of 4 ms.
const UNCOUNTED_NS: u64 = 2_000_000;
/// If that adds up to more than one in so many of all, they are not complete.
const UNCOUNTED_PART: u64 = 200;

/// How far reading them is.
#[derive(Debug, Default)]
pub(super) struct CpuTimesRead {
    /// Since when; 0 if they are not read.
    from_ns: u64,
    /// Since when in the first file.
    first_ns: u64,
    /// Sum of all rows of all files.
    all_ran_ns: u64,
    read_ns: u64,
    /// The last thread that was read, if not all were.
    last: Option<u32>,
    /// Sum of all rows, and the time of the last one.
    ran_ns: u64,
    last_row_ns: u64,
    /// Threads of which the kernel told at their end how long they had run.
    ended: u64,
    /// Whether something is missing.
    has_gaps: bool,
    /// Whether threads ended of which it is not known how long they ran since they were
    /// read.
    has_cut: bool,
}

impl CpuTimesRead {
    /// Since when they are read; 0 if they are not.
    pub(super) fn first_ns(&self) -> u64 {
        self.first_ns
    }

    /// For the next file, which goes on where this one has ended.
    pub(super) fn next_file(self) -> Self {
        let CpuTimesRead {
            from_ns: _,
            first_ns,
            all_ran_ns,
            read_ns,
            last,
            ran_ns: _,
            last_row_ns: _,
            ended: _,
            has_gaps: _,
            has_cut: _,
        } = self;
        let from_ns = if first_ns > 0 { read_ns } else { 0 };
        CpuTimesRead { from_ns, first_ns, all_ran_ns, read_ns, last, ..CpuTimesRead::default() }
    }
}

/// How long a thread has run.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// When it was last read; `None` if it never was.
    so_far: Option<CpuTime>,
    is_final: bool,
}

impl Ran {
    /// Of a thread that begins now.
    pub(super) fn nothing() -> Self {
        Ran { so_far: Some(CpuTime::default()), is_final: false }
    }

    /// Of one that is there.
    pub(super) fn of(pid: u32, tid: u32) -> Self {
        Ran { so_far: procfs::thread_time(pid, tid), is_final: false }
    }

    /// Takes it from a thread that goes on as another one.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Ran { so_far: None, is_final: true })
    }
}

impl Tracker {
    /// From now on, what threads run counts. Of a whole machine, it is not read: there are
    /// too many, and no tool asks for it.
    pub(crate) fn begin_cpu_times(&mut self) {
        if matches!(self.policy.scope, Scope::AllBut(_)) {
            return;
        }
        self.cpu_times.from_ns = now_ns();
        self.cpu_times.first_ns = self.cpu_times.from_ns;
        let tids = self.recorded_tids();
        self.cpu_times.has_gaps = !self.read_cpu_times_of(&tids);
    }

    /// Reads what is due.
    pub(crate) fn read_cpu_times(&mut self) {
        let CpuTimesRead { from_ns, read_ns, last, .. } = self.cpu_times;
        if from_ns == 0 || now_ns().saturating_sub(read_ns) < INTERVAL_NS {
            return;
        }
        let tids = self.recorded_tids();
        let rest = &tids[last.map_or(0, |last| tids.partition_point(|tid| *tid <= last))..];
        let now = &rest[..rest.len().min(MOST_AT_A_TIME)];
        self.cpu_times.last = now.last().copied().filter(|_| now.len() < rest.len());
        self.read_cpu_times_of(now);
    }

    /// Reads all for the last time, if that was not done. What events have `counted` of
    /// them is more where threads have ended.
    pub(super) fn end_cpu_times(&mut self, counted_ns: Option<u64>) {
        if self.cpu_times.from_ns == 0 {
            return;
        }
        let tids = self.recorded_tids();
        self.cpu_times.has_gaps |= !self.read_cpu_times_of(&tids);
        // Only once.
        let from_ns = std::mem::take(&mut self.cpu_times.from_ns);
        let read = &mut self.cpu_times;
        let ran_ns = read.ran_ns;
        // Where none is left, it was over with the last one.
        let to_ns = if tids.is_empty() { read.last_row_ns.max(from_ns) } else { read.read_ns };
        let mut complete =
            !read.has_gaps && read.ended.saturating_mul(UNCOUNTED_NS) <= ran_ns / UNCOUNTED_PART;
        if read.has_cut {
            // Cycles are no time.
            let counted_ns = counted_ns.filter(|_| self.policy.usual_weight > 0);
            complete &= counted_ns.is_some_and(|counted_ns| counted_ns >= read.all_ran_ns);
            let ran_ns = counted_ns.unwrap_or(0).saturating_sub(read.all_ran_ns);
            read.all_ran_ns += ran_ns;
            let row = CpuTime { time_ns: to_ns, ran_ns, ..CpuTime::default() };
            self.found.cpu_times.extend(Some(row).filter(|row| !row.is_zero()));
        }
        self.found.records.push(Record::CpuTimes(CpuTimes { from_ns, to_ns, complete }));
    }

    /// What a thread has run when it ends.
    pub(super) fn has_run(&mut self, tid: u32, so_far: CpuTime) {
        self.add_cpu_time(tid, so_far);
        self.cpu_times.ended += 1;
        match self.threads.get_mut(&tid) {
            Some(thread) => thread.ran.is_final = true,
            // It was not announced.
            None => self.cpu_times.has_gaps = true,
        }
    }

    /// Threads may have come or gone unseen.
    pub(super) fn may_have_missed_threads(&mut self) {
        self.cpu_times.has_gaps = true;
    }

    /// A thread has ended, which had run for so long.
    pub(super) fn end_cpu_time(&mut self, tid: u32, ran: &Ran) {
        self.cpu_times.has_cut |= !ran.is_final && self.is_recorded(tid);
    }

    /// Says how long a thread that is new to us had run.
    pub(super) fn runs_since(&mut self, tid: u32, ran: Ran) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.ran = ran;
        }
    }

    pub(super) fn recorded_tids(&self) -> Vec<u32> {
        let mut tids: Vec<u32> =
            self.threads.keys().copied().filter(|tid| self.is_recorded(*tid)).collect();
        tids.sort_unstable();
        tids
    }

    /// Returns whether all were there to be read.
    fn read_cpu_times_of(&mut self, tids: &[u32]) -> bool {
        let mut all = true;
        for &tid in tids {
            let so_far = procfs::thread_time(self.threads[&tid].pid, tid);
            all &= so_far.is_some();
            if let Some(so_far) = so_far {
                self.add_cpu_time(tid, so_far);
            }
        }
        self.cpu_times.read_ns = now_ns();
        all
    }

    /// Adds a row for what a thread has run since it was last read.
    fn add_cpu_time(&mut self, tid: u32, so_far: CpuTime) {
        let is_begun = self.cpu_times.from_ns > 0 && self.is_recorded(tid);
        let Some(thread) = self.threads.get_mut(&tid).filter(|_| is_begun) else { return };
        if thread.ran.is_final {
            return;
        }
        match thread.ran.so_far.replace(so_far) {
            // What is told of it is of another one that had its number.
            Some(before) if so_far.ran_ns < before.ran_ns => {
                thread.ran.so_far = Some(before);
                self.cpu_times.has_gaps = true;
            }
            // It ended while the others were first read.
            Some(_) if so_far.time_ns < self.cpu_times.first_ns => {}
            Some(before) => {
                let row = CpuTime { thread: Some(thread.id), ..so_far.since(&before) };
                if !row.is_zero() {
                    for sum in [&mut self.cpu_times.ran_ns, &mut self.cpu_times.all_ran_ns] {
                        *sum = sum.saturating_add(row.ran_ns);
                    }
                    self.cpu_times.last_row_ns = self.cpu_times.last_row_ns.max(row.time_ns);
                    self.found.cpu_times.push(row);
                }
            }
            // One that was there before is read now for the first time; others were not
            // announced.
            None => self.cpu_times.has_gaps |= thread.start_ns > 0,
        }
    }
}
