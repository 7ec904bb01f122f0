//! Adds up how long threads ran, as the kernel's scheduler counted it.

use rustc_hash::FxHashMap;
use rz_format::CpuTime;

use super::facts::Facts;
use super::pass::Sink;
use crate::model::CpuTimes;

/// Threads that are kept apart, at most; further ones lose their thread.
const MAX_THREADS: usize = 1 << 18;

/// CPU times by the thread's id.
#[derive(Debug, Default)]
pub(super) struct CpuTimeSums(FxHashMap<Option<u32>, CpuTime>);

impl Sink for CpuTimeSums {
    fn cpu_times(&mut self, rows: &[CpuTime]) {
        for row in rows {
            let is_known = self.0.len() < MAX_THREADS || self.0.contains_key(&row.thread);
            let thread = row.thread.filter(|_| is_known);
            self.0.entry(thread).or_default().add(row);
        }
    }
}

impl CpuTimeSums {
    /// The profile's, if a recording at least has any. Of a part of the trace, or of one that
    /// is damaged, they are not complete.
    pub(super) fn finish(&self, facts: &Facts, is_part: bool) -> Option<CpuTimes> {
        let of_sources = || facts.sources.iter().map(|source| source.cpu_times);
        of_sources().flatten().next()?;
        let kernel = facts
            .sources
            .iter()
            .all(|source| source.recording.as_ref().is_some_and(|recording| recording.kernel));
        let mut times = CpuTimes {
            of_samples: kernel,
            complete: !is_part && of_sources().all(|times| times.is_some_and(|it| it.complete)),
            ..CpuTimes::default()
        };
        for source in of_sources().flatten() {
            let span_ns = source.to_ns.saturating_sub(source.from_ns);
            times.span_ns = times.span_ns.saturating_add(span_ns);
        }
        // Of a recording that was not ended, it is not known of which time the rows are.
        let ended: Vec<bool> = of_sources().map(|times| times.is_some()).collect();
        for (thread, time) in &self.0 {
            let source = facts.source_of_thread(*thread);
            if source.is_some_and(|source| ended.get(source) == Some(&false)) {
                continue;
            }
            times.total.add(time);
            let thread = thread.and_then(|id| facts.threads.index_of(id));
            times.threads.entry(thread).or_default().add(time);
        }
        Some(times)
    }
}
