//! What the page has to know before anything else: what was recorded, which events
//! there are, and of which threads.

use rz_profile::model::{
    Event, EventId, EventKind, LossAt, LossClass, Nanos, Profile, ThreadId, Unit,
};
use rz_profile::select::{can_add_wall, cpu_event, default_event};
use serde::Serialize;

use super::series::Series;
use super::stacks::Stacks;
use super::{Made, PageOptions, PageSize, TICK_NS};
use crate::diff::normalize::{Per, counted_rate, rate_scale};
use crate::model::calltree::Amount;
use crate::model::clean::clean;
use crate::model::threads::ShownThread;
use crate::render::format::duration;
use crate::render::wording::wording;

#[derive(Debug, Serialize)]
pub(super) struct Head<'h> {
    generator: &'static str,
    name: String,
    start_unix_ns: u64,
    /// From the start to the end of all that has a time.
    span_ns: Nanos,
    /// When the window of time began, since the start of the recording.
    window_start_ns: Nanos,
    /// What times are multiples of.
    tick_ns: u64,
    /// How many nodes the tree of all events has.
    nodes: usize,
    series: Vec<SeriesHead>,
    /// Index of the series that is shown first.
    first: usize,
    threads: Vec<ShownThread>,
    /// What was lost when.
    losses: Vec<ShownLoss>,
    /// What a reader should know of the page itself.
    notes: Vec<String>,
    /// Sections that the page asks a server for.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    served: &'h [String],
}

/// What was lost: between two ticks, of what how much, and why.
#[derive(Debug, Serialize)]
struct ShownLoss {
    from: u64,
    until: u64,
    what: &'static str,
    /// 0 if that is not known.
    count: u64,
    reason: &'static str,
}

impl ShownLoss {
    fn of(loss: &LossAt, start_ns: Nanos) -> Self {
        let ticks = |time_ns: Nanos| time_ns.saturating_sub(start_ns) / TICK_NS;
        let what = match loss.class {
            LossClass::Samples => "samples",
            LossClass::Waits => "waits",
            LossClass::Calls => "system calls",
            LossClass::FunctionCalls => "calls of functions",
            LossClass::Totals => "waits and calls of totals",
            LossClass::Allocations => "allocations and frees",
            LossClass::Unknown => "events of an unknown kind",
        };
        ShownLoss {
            from: ticks(loss.from_ns),
            until: ticks(loss.to_ns) + 1,
            what,
            count: loss.count,
            reason: loss.reason.describe(),
        }
    }
}

#[derive(Debug, Serialize)]
struct SeriesHead {
    /// Name in the address of a view.
    name: String,
    /// Name for people.
    title: String,
    /// What a weight is, as in `3.2 s of CPU`.
    spent: &'static str,
    unit: &'static str,
    kind: &'static str,
    /// What is said if there is nothing.
    none: &'static str,
    timed: bool,
    /// By what weights are compared per time: of all threads together, and of each.
    /// Empty of what does not grow with time.
    rates: Vec<Rate>,
    total: Amount,
    /// Sections with its rows, and how many each has.
    rows: Vec<(String, usize)>,
}

/// What a weight is per time.
#[derive(Debug, Clone, Serialize)]
struct Rate {
    /// What weight per nanosecond is to be multiplied by, to be in `unit`.
    factor: f64,
    unit: String,
}

/// Rates of an event as [`compare`](crate::diff::compare) has them.
fn rates(event: &Event) -> Vec<Rate> {
    let rate = |per: Per| {
        let (factor, _, unit) = rate_scale(per, event);
        let counted = (event.kind, event.unit) == (EventKind::Alloc, Unit::Count);
        let noun = wording(Some(event)).time;
        Rate { factor, unit: if counted { counted_rate(per, noun) } else { unit } }
    };
    match event.metric {
        Some(metric) if !metric.is_rate() => Vec::new(),
        _ => [Per::Wall, Per::Thread].map(rate).into(),
    }
}

impl<'h> Head<'h> {
    pub(super) fn new(
        name: &str,
        profile: &Profile,
        stacks: &Stacks,
        (series, span_ns): (&[Series], Nanos),
        (options, made): (PageOptions<'_>, Made<'h>),
        mut notes: Vec<String>,
    ) -> Self {
        let info = &profile.info;
        let mut heads: Vec<SeriesHead> =
            series.iter().map(|one| SeriesHead::of(profile, one)).collect();
        heads.extend(wall(profile, &heads, series));
        let event = options.event.or_else(|| default_event(profile));
        let of_event =
            |id: EventId| heads.iter().position(|head| head.kind == profile.events[id].kind.name());
        let first = series.iter().position(|one| Some(one.counted.0) == event);
        let first = first.or_else(|| event.and_then(of_event)).unwrap_or(0);
        let window = info.filter.window;
        notes.extend(match made {
            Made::File(size) => size_notes(options.limit, size),
            Made::Served(_) => served_notes(series),
        });
        let thread = |id: ThreadId| ShownThread::of(profile, Some(id));
        Head {
            generator: concat!("report ", env!("CARGO_PKG_VERSION")),
            name: clean(name).into_owned(),
            start_unix_ns: info.start_unix_ns,
            span_ns,
            window_start_ns: window.map_or(0, |(from_ns, _)| from_ns),
            tick_ns: TICK_NS,
            nodes: stacks.len(),
            series: heads,
            first,
            threads: (0..profile.threads.len()).map(thread).collect(),
            losses: info.losses.iter().map(|loss| ShownLoss::of(loss, info.start_ns)).collect(),
            notes,
            served: match made {
                Made::File(_) => &[],
                Made::Served(sections) => sections,
            },
        }
    }
}

/// That the page is coarse, or larger than it should be.
fn size_notes(limit: u64, PageSize { bytes, slice_ns }: PageSize) -> Vec<String> {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let coarse = (slice_ns > 0).then(|| {
        format!(
            "This page would be larger than {} MB: rows of equal stacks are added up in slices of \
             {}. --html-limit allows more; report --serve reads a range of time again when it is \
             looked at.",
            megabytes(limit),
            duration(slice_ns)
        )
    });
    let large = (bytes > limit).then(|| {
        format!(
            "This page is {:.1} MB; the limit (--html-limit) was {} MB.",
            megabytes(bytes),
            megabytes(limit)
        )
    });
    [coarse, large].into_iter().flatten().collect()
}

/// That there is more to be had.
fn served_notes(series: &[Series]) -> Vec<String> {
    let is_coarse = series.iter().any(Series::is_coarse);
    let note = "What is added up in slices of time here, or stands for several samples, is read \
                from the trace again where a range of time is selected: one by one if that is \
                not too much, otherwise in shorter slices, or so that each stands for fewer.";
    is_coarse.then(|| note.to_owned()).into_iter().collect()
}

impl SeriesHead {
    fn of(profile: &Profile, series: &Series) -> Self {
        let (event, metric) = series.counted;
        let mut event = profile.events[event].clone();
        event.metric = metric;
        if let Some(metric) = metric {
            event.unit = metric.unit();
        }
        let words = wording(Some(&event));
        let name = clean(&event.name).into_owned();
        let name = metric.map_or(name.clone(), |metric| format!("{name}.{}", metric.name()));
        SeriesHead {
            name,
            title: clean(event.title()).into_owned(),
            spent: words.spent,
            unit: event.unit.name(),
            kind: event.kind.name(),
            none: words.none,
            timed: series.timed,
            rates: rates(&event),
            total: series.total,
            rows: vec![(series.section(), series.len())],
        }
    }
}

/// The rows of the CPU and of waits as one.
fn wall(profile: &Profile, heads: &[SeriesHead], series: &[Series]) -> Option<SeriesHead> {
    if !can_add_wall(profile) {
        return None;
    }
    let of = |event| series.iter().position(|one| one.counted.0 == event);
    let cpu = of(cpu_event(profile)?)?;
    let off_cpu = heads.iter().position(|head| head.kind == EventKind::OffCpu.name())?;
    let event = Event { kind: EventKind::Wall, ..Event::default() };
    let words = wording(Some(&event));
    let mut total = heads[cpu].total;
    total.add(heads[off_cpu].total);
    Some(SeriesHead {
        name: rz_profile::model::WALL.to_owned(),
        title: rz_profile::model::WALL.to_owned(),
        spent: words.spent,
        unit: heads[cpu].unit,
        kind: EventKind::Wall.name(),
        none: words.none,
        timed: heads[cpu].timed || heads[off_cpu].timed,
        rates: rates(&event),
        total,
        rows: [cpu, off_cpu].iter().flat_map(|&id| heads[id].rows.clone()).collect(),
    })
}
