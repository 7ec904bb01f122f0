//! Selects rows of a trace by time and thread, or by spans, which are windows of time of
//! single threads.
//!
//! What is left is what a recording of only that would have had: an interval
//! that reaches beyond the window is cut there, and was not wholly seen.
//!
//! ```text
//!        window            ┌────────────────────┐
//!  ├──────────┤  late  ►   ├──────┤             │
//!            ├─────┤       │   ├─────┤          │
//!      unfinished  ►       │           ├────────┤ ─ ─ ─┤
//! ```
//!
//! What reaches into several windows of its thread is cut into as many pieces.

use std::mem;
use std::path::Path;
use std::slice;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use rz_format::{
    Allocation, BlockHeader, BlockKind, Call, CpuTime, HeapCounts, Loss, Sample, Total, TotalClass,
    Wait,
};

use super::LoadError;
use super::facts::Facts;
use super::prelude::Prelude;
use super::spans::SpanWindows;
use crate::filter::{Filter, Window};
use crate::model::AppliedSpans;

/// Which rows of a trace are looked at. The default is all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    pub(super) window: Window,
    /// Ids of threads; `None` if all are looked at.
    threads: Option<FxHashSet<u32>>,
    /// Windows of threads, all in that window; `None` if it is that of all.
    spans: Option<Arc<SpanWindows>>,
    /// When the recording ended, if that had to be found out.
    pub(super) end_ns: Option<u64>,
}

/// What a trace has, selected or not.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) waits: bool,
    pub(super) calls: bool,
    pub(super) function_calls: bool,
    pub(super) allocations: bool,
    /// Samples in the window by other threads, by event.
    pub(super) samples: FxHashMap<u32, u64>,
    /// Whether sums of requests to `io_uring` were left out.
    uring: bool,
    /// Whether sums of threads that cannot be told apart were left out.
    nameless: bool,
    /// Whether counts of slices of time were left out, which spans are no part of.
    sliced: bool,
    /// Classes of which there are exact sums of all the time that is looked
    /// at, even if of none of the threads.
    exact: Vec<TotalClass>,
}

impl Selection {
    /// Finds out what a filter selects of the trace at `path`, of which all facts
    /// are known.
    pub(super) fn of(
        path: &Path,
        prelude: &Prelude,
        filter: &Filter,
    ) -> Result<Selection, LoadError> {
        if !filter.by_time() && !filter.by_thread() && filter.spans.is_none() {
            return Ok(Selection::default());
        }
        let span_ns = prelude.span_ns();
        let end_ns = span_ns.end;
        let mut window = Window::resolve(filter.from, filter.to, span_ns)
            .map_err(|cause| LoadError::Window { path: path.to_owned(), cause })?;
        let threads = filter.by_thread().then(|| threads(&prelude.facts, filter));
        let mut spans = None;
        if let Some(filter) = &filter.spans {
            let path = filter.file.path().to_owned();
            let windows = SpanWindows::new(prelude, window, filter)
                .map_err(|cause| LoadError::Spans { path, cause })?;
            window = windows.hull();
            spans = Some(Arc::new(windows));
        }
        Ok(Selection { window, threads, spans, end_ns: Some(end_ns) })
    }

    /// Whether any of a block's rows may be looked at. What is defined is wanted
    /// in any case, and so are sums, which are of all the time.
    pub(super) fn may_want(&self, block: &BlockHeader) -> bool {
        match block.kind {
            BlockKind::SAMPLES
            | BlockKind::WAITS
            | BlockKind::CALLS
            | BlockKind::FUNCTION_CALLS
            | BlockKind::HEAP_COUNTS => {
                block.first_ns <= self.window.to_ns && block.last_ns >= self.window.from_ns
            }
            // What is there in the window was allocated before.
            BlockKind::ALLOCATIONS => block.first_ns <= self.window.to_ns,
            _ => true,
        }
    }

    /// Whether a thread is looked at, by its id.
    pub(super) fn has_thread(&self, id: u32) -> bool {
        self.threads.as_ref().is_none_or(|threads| threads.contains(&id))
            && self.spans.as_ref().is_none_or(|spans| !spans.of_thread(id).is_empty())
    }

    /// Whether a moment of a thread is looked at.
    pub(super) fn has(&self, thread: u32, time_ns: u64) -> bool {
        self.windows(thread, time_ns, time_ns).next().is_some()
    }

    /// Whether what a thread allocated at a time is looked at. What is there in a window
    /// of time was allocated before; spans have what was allocated in them.
    pub(super) fn has_object(&self, thread: u32, time_ns: u64) -> bool {
        if self.spans.is_some() { self.has(thread, time_ns) } else { self.has_thread(thread) }
    }

    /// The windows of a thread that an interval reaches into, in order of time.
    fn windows(&self, thread: u32, start_ns: u64, end_ns: u64) -> impl Iterator<Item = Window> {
        let of_thread = match &self.spans {
            _ if !self.has_thread(thread) => &[],
            Some(spans) => spans.of_thread(thread),
            None => slice::from_ref(&self.window),
        };
        let first = of_thread.partition_point(|window| window.to_ns < start_ns);
        let near = of_thread[first..].iter().take_while(move |window| window.from_ns <= end_ns);
        // A span outside of the window of time leaves nothing of it.
        near.map(|window| window.and(self.window))
            .filter(|window| window.from_ns < window.to_ns)
            .filter(move |window| window.touches(start_ns, end_ns))
    }

    /// What became of spans, if there were any to select by.
    pub(super) fn spans(&self) -> Option<&AppliedSpans> {
        self.spans.as_ref().map(|spans| &spans.applied)
    }

    /// What a reader should know of the file of spans.
    pub(super) fn notes(&self) -> &[String] {
        self.spans.as_ref().map_or(&[], |spans| &spans.notes)
    }

    /// The window of time since the start of the recording; `None` if that did
    /// not have to be found out.
    pub(super) fn span(&self, start_ns: u64) -> Option<(u64, u64)> {
        let (from_ns, to_ns) = self.window.cut(start_ns, self.end_ns?);
        Some((from_ns.saturating_sub(start_ns), to_ns.saturating_sub(start_ns)))
    }

    /// How many threads are looked at; `None` if all are.
    pub(super) fn thread_count(&self) -> Option<usize> {
        let of_spans = self.spans.as_ref().and_then(|spans| spans.threads());
        match (&self.threads, of_spans) {
            (Some(threads), Some(of_spans)) => Some(threads.intersection(&of_spans).count()),
            (Some(threads), None) => Some(threads.len()),
            (None, of_spans) => of_spans.map(|threads| threads.len()),
        }
    }

    /// Whether all threads are looked at.
    pub(super) fn has_all_threads(&self) -> bool {
        self.threads.is_none() && self.spans.as_ref().is_none_or(|spans| spans.is_of_all())
    }

    /// Whether any of a call is looked at.
    pub(super) fn has_call(&self, call: &Call) -> bool {
        let end_ns = call.start_ns.saturating_add(call.duration_ns);
        self.windows(call.thread, call.start_ns, end_ns).next().is_some()
    }

    /// What is in a window of time besides.
    pub(super) fn within(&self, window: Window) -> Selection {
        Selection { window: self.window.and(window), ..self.clone() }
    }

    /// Whether all there is is looked at.
    pub(super) fn is_everything(&self) -> bool {
        self.threads.is_none() && self.spans.is_none() && self.window.is_everything()
    }

    /// Leaves samples out.
    pub(super) fn cut_samples(&self, samples: &mut Vec<Sample>, found: &mut Found) {
        if self.is_everything() {
            return;
        }
        samples.retain(|sample| {
            let in_window = self.window.has(sample.time_ns);
            let is_selected = in_window && self.has(sample.thread, sample.time_ns);
            if in_window && !is_selected {
                *found.samples.entry(sample.event).or_default() += 1;
            }
            is_selected
        });
    }

    /// Leaves intervals out, and parts of others.
    pub(super) fn cut_waits(&self, waits: &mut Vec<Wait>, found: &mut Found) {
        found.waits |= !waits.is_empty();
        if self.is_everything() {
            return;
        }
        *waits = mem::take(waits).iter().flat_map(|wait| self.pieces_of_wait(wait)).collect();
    }

    /// Leaves calls out, and parts of others.
    pub(super) fn cut_calls(&self, calls: &mut Vec<Call>) {
        if self.is_everything() {
            return;
        }
        *calls = mem::take(calls).iter().flat_map(|call| self.pieces_of_call(call)).collect();
    }

    fn pieces_of_wait(&self, wait: &Wait) -> impl Iterator<Item = Wait> {
        let (start_ns, end_ns) = (wait.end_ns.saturating_sub(wait.duration_ns), wait.end_ns);
        let queued_from = end_ns.saturating_sub(wait.queued_ns);
        self.windows(wait.thread, start_ns, end_ns).map(move |window| {
            let mut piece = *wait;
            piece.queued_ns = window.part(wait.queued_ns, queued_from, end_ns);
            piece.weight = window.part(wait.weight, start_ns, end_ns);
            let (first_ns, last_ns) = window.cut(start_ns, end_ns);
            (piece.end_ns, piece.duration_ns) = (last_ns, last_ns - first_ns);
            piece.seen.late |= first_ns > start_ns;
            piece.seen.unfinished |= last_ns < end_ns;
            piece
        })
    }

    fn pieces_of_call(&self, call: &Call) -> impl Iterator<Item = Call> {
        let end_ns = call.start_ns.saturating_add(call.duration_ns);
        self.windows(call.thread, call.start_ns, end_ns).map(move |window| {
            let mut piece = *call;
            piece.stack_weight = window.part(call.stack_weight, call.start_ns, end_ns);
            let (first_ns, last_ns) = window.cut(call.start_ns, end_ns);
            piece.seen.late |= first_ns > call.start_ns;
            piece.seen.unfinished |= last_ns < end_ns;
            (piece.start_ns, piece.duration_ns) = (first_ns, last_ns - first_ns);
            piece
        })
    }

    /// Leaves exact sums out: all of them if they are of more than the window.
    pub(super) fn cut_totals(&self, totals: &mut Vec<Total>, found: &mut Found) {
        if self.is_everything() {
            return;
        }
        let has_all_time = self.window.is_everything();
        totals.retain(|total| {
            let is_selected = match total.thread {
                Some(thread) => self.has_thread(thread),
                None => self.threads.is_none(),
            };
            if has_all_time && !found.exact.contains(&total.class) {
                found.exact.push(total.class);
            }
            found.uring |= !has_all_time && is_selected && total.class == TotalClass::IoUring;
            found.nameless |= has_all_time && !is_selected && total.thread.is_none();
            has_all_time && is_selected
        });
    }

    /// Leaves counts of allocations out: whole slices of time, each of which
    /// belongs to the window that it ends in.
    pub(super) fn cut_heap_counts(&self, rows: &mut Vec<HeapCounts>, found: &mut Found) {
        found.allocations |= !rows.is_empty();
        if self.is_everything() {
            return;
        }
        if self.spans.is_some() {
            found.sliced |= !rows.is_empty();
            rows.clear();
        }
        rows.retain(|row| {
            let is_in = self.window.has(row.time_ns.saturating_sub(1));
            let is_selected = match row.thread {
                Some(thread) => self.has_thread(thread),
                None => self.threads.is_none(),
            };
            found.nameless |= is_in && !is_selected && row.thread.is_none();
            is_in && is_selected
        });
    }

    /// Leaves CPU times out: all of them if they are of more than the window.
    pub(super) fn cut_cpu_times(&self, rows: &mut Vec<CpuTime>) {
        let has_all_time = self.window.is_everything();
        let is_selected = |thread: Option<u32>| match thread {
            Some(thread) => self.has_thread(thread),
            None => self.threads.is_none(),
        };
        rows.retain(|row| has_all_time && is_selected(row.thread));
    }

    /// Leaves out allocations after the window. What is there in it was
    /// allocated before, and freed by whatever thread.
    pub(super) fn cut_allocations(&self, rows: &mut Vec<Allocation>, found: &mut Found) {
        found.allocations |= !rows.is_empty();
        if !self.window.is_everything() {
            rows.retain(|row| row.time_ns < self.window.to_ns);
        }
    }
}

impl Found {
    /// Takes down what the trace has besides, in blocks that were passed over.
    pub(super) fn add_kinds(&mut self, kinds: &[BlockKind]) {
        self.waits |= kinds.contains(&BlockKind::WAITS);
        self.calls |= kinds.contains(&BlockKind::CALLS);
        self.function_calls |= kinds.contains(&BlockKind::FUNCTION_CALLS);
        self.allocations |=
            kinds.contains(&BlockKind::ALLOCATIONS) || kinds.contains(&BlockKind::HEAP_COUNTS);
    }

    /// Whether there were exact sums of a class, so that none are missing.
    pub(super) fn has_exact(&self, class: TotalClass) -> bool {
        self.exact.contains(&class)
    }

    /// What a reader should know of it, one sentence each.
    pub(super) fn notes(&self) -> impl Iterator<Item = &'static str> {
        let uring = "io_uring requests are left out: only their sums over the whole recording \
                     are known";
        let sliced = "allocations are those that were recorded one by one: exact counts are of \
                      slices of time that spans are no part of";
        let nameless = "sums of threads that could not be told apart are left out";
        [(self.uring, uring), (self.nameless, nameless), (self.sliced, sliced)]
            .into_iter()
            .filter_map(|(applies, note)| applies.then_some(note))
    }
}

/// What of a loss was due in a window, supposed that it was all the same when.
/// `None` if that is nothing.
pub(super) fn cut_loss(window: Window, loss: &Loss) -> Option<Loss> {
    let (from_ns, to_ns) = (loss.from_ns, loss.to_ns);
    if window.is_everything() {
        return Some(loss.clone());
    }
    let count = window.part(loss.count, from_ns, to_ns);
    let is_some = window.touches(from_ns, to_ns) && (count > 0 || loss.count == 0);
    let (from_ns, to_ns) = window.cut(from_ns, to_ns);
    is_some.then(|| Loss { count, from_ns, to_ns, ..loss.clone() })
}

/// Ids of the threads that a filter selects, by the names they had last.
fn threads(facts: &Facts, filter: &Filter) -> FxHashSet<u32> {
    let is_process: Vec<bool> = facts
        .processes
        .values()
        .iter()
        .map(|process| filter.has_process(&process.name, process.pid))
        .collect();
    let is_thread = |thread: &&rz_format::Thread| {
        let process = facts.processes.index_of(thread.process);
        let is_process = process.map_or(filter.processes.is_empty(), |index| is_process[index]);
        is_process && filter.has_thread(facts.name_of(thread), thread.tid)
    };
    facts.threads.values().iter().filter(is_thread).map(|thread| thread.id).collect()
}
