//! Adds up spans by name, with what was recorded while there was any.
//!
//! ```text
//! spans    ├── request ───────────────┤
//!              ├── query ──┤
//! segments ├───┼───────────┼──────────┤   each with the names that are there
//! wait       ├──────┤                     1 and 2 get their parts of it
//! ```

use std::path::Path;

use rustc_hash::FxHashSet;
use rz_format::{BlockHeader, BlockKind, EventUnit, Sample, Wait};

use super::LoadError;
use super::pass::{CallRows, Pass, Sink};
use super::prelude::Prelude;
use super::selection::Selection;
use super::spans::{Laid, Lanes, SpanWindows, lay_all};
use crate::filter::{Filter, Window};
use crate::model::{AppliedSpans, Nanos};
use crate::spans::{Choice, SpanFile, Spans, SpansError};

/// The spans of a recording, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanList {
    /// Those that take the most time first.
    pub sums: Vec<SpanSum>,
    /// How they were laid on the recording.
    pub applied: AppliedSpans,
    /// Whether CPU time was sampled: otherwise that of all spans is 0.
    pub has_cpu: bool,
    /// Whether waits were recorded.
    pub has_waits: bool,
    /// What is to be known of the file.
    pub notes: Vec<String>,
}

/// Spans of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanSum {
    /// The name.
    pub name: String,
    /// How many there are in the recording.
    pub count: u64,
    /// How long they took, all together, also as far as that was outside of it.
    pub total_ns: Nanos,
    /// How long one in the middle took.
    pub median_ns: Nanos,
    /// How long the longest one took.
    pub longest_ns: Nanos,
    /// CPU time of their threads meanwhile.
    pub cpu_ns: Nanos,
    /// For how long their threads did not run meanwhile.
    pub waited_ns: Nanos,
}

/// Adds up the spans of a file that are in the part of the trace at `path` that a filter
/// selects by time and thread.
///
/// # Errors
/// If the trace or the file cannot be read, or has nothing of that time.
pub fn load_spans(path: &Path, file: &SpanFile, filter: &Filter) -> Result<SpanList, LoadError> {
    let of_spans = |cause| LoadError::Spans { path: file.path().to_owned(), cause };
    let spans = file.spans().map_err(of_spans)?;
    let prelude = Prelude::of(path)?;
    let selection = Selection::of(path, &prelude, filter)?;
    let (laid, applied) = lay(&prelude, selection.window, spans).map_err(of_spans)?;
    let mut times = Times::new(&prelude, &laid, spans);
    let mut pass = Pass::open(path, &selection, None)?;
    let wanted =
        |block: &BlockHeader| block.kind == BlockKind::SAMPLES || block.kind == BlockKind::WAITS;
    pass.run(wanted, CallRows::Bare, &mut [&mut times])
        .map_err(|cause| LoadError::of(path, cause))?;
    let has_waits = pass.defined.found.waits;
    let mut sums = times.sums;
    add_lengths(&mut sums, &laid);
    sums.retain(|sum| sum.count > 0);
    sums.sort_by(|a, b| b.total_ns.cmp(&a.total_ns).then_with(|| a.name.cmp(&b.name)));
    let has_cpu = !times.of_cpu.is_empty();
    Ok(SpanList { sums, applied, has_cpu, has_waits, notes: spans.notes() })
}

fn lay<'s>(
    prelude: &Prelude,
    window: Window,
    spans: &'s Spans,
) -> Result<(Vec<Laid<'s>>, AppliedSpans), SpansError> {
    let (laid, applied) = lay_all(prelude, window, spans, |_| Choice::Asked)?;
    let windows = SpanWindows::of(&prelude.facts, &laid, applied);
    Ok((laid, windows.applied))
}

fn add_lengths(sums: &mut [SpanSum], laid: &[Laid<'_>]) {
    let mut lengths: Vec<(usize, Nanos)> =
        laid.iter().map(|laid| (laid.span.name, laid.span.length_ns())).collect();
    lengths.sort_unstable();
    for of_name in lengths.chunk_by(|a, b| a.0 == b.0) {
        let sum = &mut sums[of_name[0].0];
        sum.count = of_name.len() as u64;
        sum.total_ns = of_name.iter().fold(0, |sum, (_, ns)| sum.saturating_add(*ns));
        sum.median_ns = of_name[(of_name.len() - 1) / 2].1;
        sum.longest_ns = of_name[of_name.len() - 1].1;
    }
}

/// Adds up what threads did while there was a span.
struct Times {
    lanes: Lanes,
    /// By lane.
    segments: Vec<Segments>,
    /// Ids of events that are CPU time.
    of_cpu: FxHashSet<u32>,
    /// By name.
    sums: Vec<SpanSum>,
}

impl Times {
    fn new(prelude: &Prelude, laid: &[Laid<'_>], spans: &Spans) -> Self {
        let lanes = Lanes::new(&prelude.facts, laid);
        let segments = lanes.spans.iter().map(|lane| Segments::new(lane, laid)).collect();
        let events = prelude.facts.events.values().iter();
        let of_cpu = events.filter(|event| EventUnit::from(event.unit) == EventUnit::Nanoseconds);
        let sum = |name: &String| SpanSum { name: name.clone(), ..SpanSum::default() };
        Times {
            of_cpu: of_cpu.map(|event| event.id).collect(),
            sums: spans.names.iter().map(sum).collect(),
            lanes,
            segments,
        }
    }

    /// The names that there are in a thread at a time, each once, and until when.
    fn at(&self, thread: u32, time_ns: Nanos) -> (Vec<usize>, Nanos) {
        let (mut names, mut until_ns) = (Vec::new(), Nanos::MAX);
        for lane in self.lanes.of(thread) {
            let (of_lane, until) = self.segments[lane].at(time_ns);
            names.extend_from_slice(of_lane);
            until_ns = until_ns.min(until);
        }
        names.sort_unstable();
        names.dedup();
        (names, until_ns)
    }
}

impl Sink for Times {
    fn samples(&mut self, rows: &[Sample], each: u64) {
        for row in rows.iter().filter(|row| self.of_cpu.contains(&row.event)) {
            let (names, _) = self.at(row.thread, row.time_ns);
            for name in names {
                let cpu_ns = &mut self.sums[name].cpu_ns;
                *cpu_ns = cpu_ns.saturating_add(row.weight.saturating_mul(each));
            }
        }
    }

    fn waits(&mut self, rows: &[Wait]) {
        for row in rows {
            let start_ns = row.end_ns.saturating_sub(row.duration_ns);
            let mut from_ns = start_ns;
            loop {
                let (names, until_ns) = self.at(row.thread, from_ns);
                let window = Window { from_ns, to_ns: until_ns };
                let waited = window.part(row.weight, start_ns, row.end_ns);
                for name in names {
                    let waited_ns = &mut self.sums[name].waited_ns;
                    *waited_ns = waited_ns.saturating_add(waited);
                }
                from_ns = until_ns;
                if from_ns >= row.end_ns {
                    break;
                }
            }
        }
    }
}

/// Which names there are when.
#[derive(Debug, Default)]
struct Segments {
    /// When each begins, in order; where its names begin in `names`.
    starts: Vec<(Nanos, usize)>,
    names: Vec<usize>,
}

impl Segments {
    fn new(lane: &[usize], laid: &[Laid<'_>]) -> Self {
        let mut edges = Vec::with_capacity(2 * lane.len());
        for &index in lane {
            let Laid { span, window, .. } = &laid[index];
            if window.from_ns < window.to_ns {
                edges.extend([(window.from_ns, span.name, 1), (window.to_ns, span.name, -1)]);
            }
        }
        edges.sort_unstable();
        let mut segments = Segments::default();
        // In order of names, with how many spans there are of each.
        let mut present: Vec<(usize, i64)> = Vec::new();
        for edges in edges.chunk_by(|a, b| a.0 == b.0) {
            for &(_, name, change) in edges {
                match present.binary_search_by_key(&name, |&(name, _)| name) {
                    Ok(at) => present[at].1 += change,
                    Err(at) => present.insert(at, (name, change)),
                }
            }
            present.retain(|(_, count)| *count > 0);
            segments.starts.push((edges[0].0, segments.names.len()));
            segments.names.extend(present.iter().map(|(name, _)| name));
        }
        segments
    }

    /// The names at a time, and until when there are the same.
    fn at(&self, time_ns: Nanos) -> (&[usize], Nanos) {
        let next = self.starts.partition_point(|(start_ns, _)| *start_ns <= time_ns);
        let (until_ns, end) =
            self.starts.get(next).copied().unwrap_or((Nanos::MAX, self.names.len()));
        let first = next.checked_sub(1).map_or(end, |index| self.starts[index].1);
        (&self.names[first..end], until_ns)
    }
}
