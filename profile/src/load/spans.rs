//! Lays spans on the time and the threads of a trace.
//!
//! ```text
//! time of day ─┐                 ┌─ thread.id ──► that thread
//!              ├─► trace's clock ├─ process.pid ► all threads of the process
//! time of boot ┘                 └─ neither ────► all threads
//! ```
//!
//! Where spans of a thread overlap, they are one window of time.

use rustc_hash::{FxHashMap, FxHashSet};

use super::facts::Facts;
use super::prelude::Prelude;
use crate::filter::Window;
use crate::model::{AppliedSpans, Nanos};
use crate::spans::{Choice, Span, SpanFilter, Spans, SpansError};

/// A span that reaches into the part of a recording that is looked at.
#[derive(Debug)]
pub(super) struct Laid<'s> {
    pub(super) span: &'s Span,
    /// Where, on the trace's clock; empty if it took no time.
    pub(super) window: Window,
    whose: Whose,
}

/// Whose time a span is of, by ids of the trace.
#[derive(Debug, Clone)]
enum Whose {
    Threads(Vec<u32>),
    Processes(Vec<u32>),
    Everyone,
    /// Of a process or thread that was not recorded.
    Nobody,
}

/// From a clock of spans to the trace's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shift(i128);

impl Shift {
    fn apply(self, time_ns: Nanos) -> Nanos {
        let shifted = (i128::from(time_ns) + self.0).max(0);
        shifted.try_into().unwrap_or(Nanos::MAX)
    }
}

/// What spans may be laid on.
struct Place<'t> {
    /// The part that is looked at; it has an end.
    window: Window,
    of_day: Shift,
    of_events: Shift,
    of_tid: FxHashMap<u32, Vec<&'t rz_format::Thread>>,
    /// Ids of processes by number.
    of_pid: FxHashMap<u32, Vec<u32>>,
    /// Whether any span of the file has a process or a thread of the trace.
    knows: [bool; 2],
}

impl<'t> Place<'t> {
    /// The part of a trace that is in a window, for spans of a file.
    fn new(prelude: &'t Prelude, window: Window, spans: &Spans) -> Result<Self, SpansError> {
        let facts = &prelude.facts;
        let recording = prelude.span_ns();
        let whole = Window { from_ns: recording.start, to_ns: recording.end };
        let (start_ns, start_unix_ns) = prelude.start();
        let of_day = Shift(i128::from(start_ns) - i128::from(start_unix_ns));
        let of_events = clock_of_events(&spans.spans, whole, of_day)?;
        let mut of_tid: FxHashMap<u32, Vec<&rz_format::Thread>> = FxHashMap::default();
        for thread in facts.threads.values() {
            of_tid.entry(thread.tid).or_default().push(thread);
        }
        let mut of_pid: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        for process in facts.processes.values() {
            of_pid.entry(process.pid).or_default().push(process.id);
        }
        let knows_pid = |span: &Span| span.pid.is_some_and(|pid| of_pid.contains_key(&pid));
        let knows_tid = |span: &Span| span.tid.is_some_and(|tid| of_tid.contains_key(&tid));
        let knows = [spans.spans.iter().any(knows_pid), spans.spans.iter().any(knows_tid)];
        let window = whole.and(window);
        Ok(Place { window, of_day, of_events, of_tid, of_pid, knows })
    }

    /// Where a span is; `None` if outside of the part that is looked at.
    fn lay<'s>(&self, span: &'s Span) -> Option<Laid<'s>> {
        let shift = if span.of_day { self.of_day } else { self.of_events };
        let (from_ns, to_ns) = (shift.apply(span.from_ns), shift.apply(span.to_ns));
        if !self.window.touches(from_ns, to_ns) {
            return None;
        }
        let (from_ns, to_ns) = self.window.cut(from_ns, to_ns);
        Some(Laid { span, window: Window { from_ns, to_ns }, whose: self.whose(span) })
    }

    /// Numbers of a container are those of no process outside: they say nothing if the
    /// trace knows none of the whole file, and has one process only.
    fn whose(&self, span: &Span) -> Whose {
        let [knows_pids, knows_tids] = self.knows;
        let mut processes = span.pid.and_then(|pid| self.of_pid.get(&pid));
        if processes.is_none() && span.pid.is_some() {
            match self.of_pid.values().next() {
                Some(only) if !knows_pids && self.of_pid.len() == 1 => processes = Some(only),
                _ => return Whose::Nobody,
            }
        }
        let threads = span.tid.and_then(|tid| self.of_tid.get(&tid)).into_iter().flatten();
        let is_its = |process| processes.is_none_or(|its| its.contains(&process));
        let threads: Vec<u32> =
            threads.filter(|thread| is_its(thread.process)).map(|thread| thread.id).collect();
        match processes {
            _ if !threads.is_empty() => Whose::Threads(threads),
            // Runtimes number their threads in their own way.
            Some(processes) => Whose::Processes(processes.clone()),
            None if span.tid.is_some() && knows_tids => Whose::Nobody,
            None => Whose::Everyone,
        }
    }
}

/// The clock of events whose times may be of any: the one by which most are in the
/// recording.
fn clock_of_events(spans: &[Span], whole: Window, of_day: Shift) -> Result<Shift, SpansError> {
    let hull = |of_day: bool| {
        let some = || spans.iter().filter(|span| span.of_day == of_day);
        let from_ns = some().map(|span| span.from_ns).min()?;
        Some((from_ns, some().map(|span| span.to_ns).max()?))
    };
    // Which comes first, and how far apart they are.
    let gap = |(from_ns, to_ns): (Nanos, Nanos), Shift(by): Shift| {
        let until_begin = i128::from(whole.from_ns) - i128::from(to_ns) - by;
        let since_end = i128::from(from_ns) + by - i128::from(whole.to_ns);
        let by_ns = until_begin.max(since_end).max(0);
        (until_begin > 0, Nanos::try_from(by_ns).unwrap_or(Nanos::MAX))
    };
    let monotonic = Shift(0);
    let inside = |shift: Shift| {
        let events = spans.iter().filter(|span| !span.of_day);
        let is_in =
            |span: &&Span| whole.touches(shift.apply(span.from_ns), shift.apply(span.to_ns));
        events.filter(is_in).count()
    };
    match (hull(true), hull(false)) {
        (_, Some(events)) => match (inside(of_day), inside(monotonic)) {
            (0, 0) => Err(SpansError::UnknownClock {
                from_ns: events.0,
                to_ns: events.1,
                of_day_ns: gap(events, of_day).1,
                monotonic_ns: gap(events, monotonic).1,
            }),
            (day, since_boot) => Ok(if day >= since_boot { of_day } else { monotonic }),
        },
        (Some(hull), None) => match gap(hull, of_day) {
            (_, 0) => Ok(monotonic),
            (before, by_ns) => Err(SpansError::Apart { before, by_ns }),
        },
        (None, None) => Ok(monotonic),
    }
}

/// Lays those spans of a file on a trace that are chosen, by their index; at least one.
pub(super) fn lay_all<'s>(
    prelude: &Prelude,
    window: Window,
    spans: &'s Spans,
    choice: impl Fn(usize) -> Choice,
) -> Result<(Vec<Laid<'s>>, AppliedSpans), SpansError> {
    let place = Place::new(prelude, window, spans)?;
    let mut applied = AppliedSpans::default();
    let (mut laid, mut first_unknown) = (Vec::new(), None);
    for (index, span) in spans.spans.iter().enumerate() {
        let choice = choice(index);
        if choice == Choice::No {
            continue;
        }
        let Some(one) = place.lay(span) else {
            applied.outside += 1;
            continue;
        };
        *match &one.whose {
            Whose::Threads(_) => &mut applied.by_thread,
            Whose::Processes(_) => &mut applied.by_process,
            Whose::Everyone => &mut applied.by_none,
            Whose::Nobody => {
                applied.not_recorded += 1;
                first_unknown.get_or_insert(span);
                continue;
            }
        } += 1;
        applied.under += u64::from(choice == Choice::Under);
        laid.push(one);
    }
    match first_unknown {
        _ if !laid.is_empty() => Ok((laid, applied)),
        Some(span) => Err(SpansError::NotRecorded {
            count: applied.not_recorded,
            number: span.pid.or(span.tid).unwrap_or_default(),
            is_process: span.pid.is_some(),
        }),
        None => Err(SpansError::Outside(applied.outside)),
    }
}

/// What concerns all threads, those of a process, and a thread.
const LAYERS: usize = 3;

/// Spans by whose they are. A thread has up to three lanes: its own, that of its process,
/// and that of all.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Indices of laid spans; first those of all.
    pub(super) spans: Vec<Vec<usize>>,
    of_thread: FxHashMap<u32, [Option<usize>; LAYERS]>,
}

impl Lanes {
    pub(super) fn new(facts: &Facts, laid: &[Laid<'_>]) -> Self {
        let mut spans = vec![Vec::new()];
        let mut of_threads: FxHashMap<u32, usize> = FxHashMap::default();
        let mut of_processes: FxHashMap<u32, usize> = FxHashMap::default();
        for (index, Laid { whose, .. }) in laid.iter().enumerate() {
            let (lanes, ids) = match whose {
                Whose::Threads(ids) => (&mut of_threads, ids),
                Whose::Processes(ids) => (&mut of_processes, ids),
                Whose::Everyone => {
                    spans[0].push(index);
                    continue;
                }
                Whose::Nobody => continue,
            };
            for id in ids {
                let lane = *lanes.entry(*id).or_insert_with(|| {
                    spans.push(Vec::new());
                    spans.len() - 1
                });
                spans[lane].push(index);
            }
        }
        let all = (!spans[0].is_empty()).then_some(0);
        let lanes_of = |thread: &rz_format::Thread| {
            let of_process = of_processes.get(&thread.process).copied();
            (thread.id, [all, of_process, of_threads.get(&thread.id).copied()])
        };
        Lanes { of_thread: facts.threads.values().iter().map(lanes_of).collect(), spans }
    }

    /// Lanes of a thread, which may be unknown.
    pub(super) fn of(&self, thread: u32) -> impl Iterator<Item = usize> {
        let all = (!self.spans[0].is_empty()).then_some(0);
        let lanes = self.of_thread.get(&thread).copied().unwrap_or([all, None, None]);
        lanes.into_iter().flatten()
    }
}

/// The times of threads in which spans are that were asked for.
#[derive(Debug)]
pub(super) struct SpanWindows {
    /// Disjoint, in order of time.
    sets: Vec<Vec<Window>>,
    /// Of threads that are not as all others are.
    of_thread: FxHashMap<u32, usize>,
    /// Of any thread.
    union: Vec<Window>,
    pub(super) applied: AppliedSpans,
    /// What is to be known of their file.
    pub(super) notes: Vec<String>,
}

impl SpanWindows {
    /// What a filter chooses of the part of a trace that is in a window.
    pub(super) fn new(
        prelude: &Prelude,
        window: Window,
        filter: &SpanFilter,
    ) -> Result<Self, SpansError> {
        let spans = filter.file.spans()?;
        let choices = filter.choose(spans)?;
        let (laid, applied) = lay_all(prelude, window, spans, |index| choices[index])?;
        let windows = SpanWindows::of(&prelude.facts, &laid, applied);
        Ok(SpanWindows { notes: spans.notes(), ..windows })
    }

    /// The windows of laid spans.
    pub(super) fn of(facts: &Facts, laid: &[Laid<'_>], mut applied: AppliedSpans) -> Self {
        let lanes = Lanes::new(facts, laid);
        let windows_of = |lane: &Vec<usize>| lane.iter().map(|&index| laid[index].window).collect();
        let mut sets: Vec<Vec<Window>> = lanes
            .spans
            .iter()
            .map(windows_of)
            .map(|windows| merged(windows, &mut applied))
            .collect();
        let mut of_thread = FxHashMap::default();
        let mut joined: FxHashMap<Vec<usize>, usize> = FxHashMap::default();
        for thread in facts.threads.values() {
            let of_it: Vec<usize> = lanes.of(thread.id).collect();
            let set = match of_it[..] {
                [] | [0] => continue,
                [one] => one,
                _ => *joined.entry(of_it).or_insert_with_key(|of_it| {
                    let windows = of_it.iter().flat_map(|&lane| &sets[lane]).copied().collect();
                    sets.push(merged(windows, &mut applied));
                    sets.len() - 1
                }),
            };
            of_thread.insert(thread.id, set);
        }
        let all = sets.iter().flatten().copied().collect();
        let union = merged(all, &mut AppliedSpans::default());
        applied.time_ns = union.iter().map(|window| window.to_ns - window.from_ns).sum();
        SpanWindows { sets, of_thread, union, applied, notes: Vec::new() }
    }

    /// The windows of a thread.
    pub(super) fn of_thread(&self, thread: u32) -> &[Window] {
        &self.sets[self.of_thread.get(&thread).copied().unwrap_or(0)]
    }

    /// From the first to the last of all.
    pub(super) fn hull(&self) -> Window {
        let from_ns = self.union.first().map_or(0, |window| window.from_ns);
        let to_ns = self.union.last().map_or(from_ns, |window| window.to_ns);
        Window { from_ns, to_ns }
    }

    /// Whether any thread may have some.
    pub(super) fn is_of_all(&self) -> bool {
        !self.sets[0].is_empty()
    }

    /// Threads that have some, unless all have.
    pub(super) fn threads(&self) -> Option<FxHashSet<u32>> {
        (!self.is_of_all()).then(|| self.of_thread.keys().copied().collect())
    }
}

/// The same time in disjoint windows, in order; says whether any overlapped.
fn merged(mut windows: Vec<Window>, applied: &mut AppliedSpans) -> Vec<Window> {
    windows.retain(|window| window.from_ns < window.to_ns);
    windows.sort_unstable_by_key(|window| window.from_ns);
    let mut merged: Vec<Window> = Vec::new();
    for window in windows {
        match merged.last_mut() {
            Some(last) if window.from_ns <= last.to_ns => {
                applied.overlap |= window.from_ns < last.to_ns;
                last.to_ns = last.to_ns.max(window.to_ns);
            }
            _ => merged.push(window),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::fixture;

    #[test]
    fn windows_that_overlap_are_one() {
        let window = |&(from_ns, to_ns): &(u64, u64)| Window { from_ns, to_ns };
        let check = |windows: &[(u64, u64)], expected: &[(u64, u64)], overlap: bool| {
            let mut applied = AppliedSpans::default();
            let found = merged(windows.iter().map(window).collect(), &mut applied);
            assert_eq!(found, expected.iter().map(window).collect::<Vec<_>>());
            assert_eq!(applied.overlap, overlap);
        };
        check(&[], &[], false);
        check(&[(3, 5), (1, 2), (7, 7)], &[(1, 2), (3, 5)], false);
        check(&[(1, 2), (2, 3)], &[(1, 3)], false);
        check(&[(1, 9), (2, 3), (8, 10)], &[(1, 10)], true);
    }

    #[test]
    fn the_clock_of_events_is_the_one_by_which_they_fit() {
        let whole = Window { from_ns: 1_000, to_ns: 2_000 };
        let of_day = Shift(1_000 - 1_000_000);
        let event = |from_ns, of_day| {
            let mut span = fixture();
            (span.from_ns, span.to_ns, span.of_day) = (from_ns, from_ns + 10, of_day);
            span
        };
        let check = |times: &[u64], of: bool, expected: Result<Shift, &str>| {
            let spans: Vec<Span> = times.iter().map(|&time| event(time, of)).collect();
            let found = clock_of_events(&spans, whole, of_day).map_err(|e| e.to_string());
            match (found, expected) {
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (found, expected) => assert_eq!(found, expected.map_err(str::to_owned)),
            }
        };
        check(&[1_500, 0], false, Ok(Shift(0)));
        check(&[1_000_500], false, Ok(of_day));
        check(&[5_000, 6_000], false, Err("0.005ms to 0.006ms, are in the recording neither"));
        check(&[1_000_500], true, Ok(Shift(0)));
        check(&[500], true, Err("its spans end 0.999ms before the recording begins"));
        check(&[3_000_000], true, Err("after the recording ends"));
    }
}
