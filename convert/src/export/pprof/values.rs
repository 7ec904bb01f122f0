//! The columns of values that each sample of a pprof file has.

use super::{proto, signed};
use crate::export::strings::Strings;
use rz_profile::heap::{Heap, Site};
use rz_profile::model::{Event, EventId, EventKind, Profile, Sample, Unit};
use rz_profile::select::default_event;

/// What Go's own heap profiles have, with their units.
const HEAP_TYPES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// The columns of a sample's values: the number of samples, then one column
/// per kind of measurement, then four for the heap. Of the heap alone, there
/// are those four.
pub(super) struct Values<'p> {
    pub(super) types: Vec<proto::ValueType>,
    /// Column of each event's weights; `None` for those that are not written,
    /// and for that of allocations.
    pub(super) of_event: Vec<Option<usize>>,
    /// The first of the heap's columns, if allocations are written.
    heap: Option<(usize, &'p Heap)>,
    /// The event that is shown first.
    pub(super) main: Option<EventId>,
    /// The column that is.
    main_column: Option<usize>,
}

impl<'p> Values<'p> {
    /// The columns for `wanted`, or for all events.
    pub(super) fn of(profile: &'p Profile, wanted: Option<EventId>, strings: &mut Strings) -> Self {
        let mut value_type = |name: &str, unit| {
            let (r#type, unit) = (strings.id(name), strings.id(unit));
            proto::ValueType { r#type, unit }
        };
        let is_wanted = |id| wanted.is_none_or(|wanted| wanted == id);
        let is_alloc = |id: EventId| profile.events[id].kind == EventKind::Alloc;
        let ids = 0..profile.events.len();
        let has_heap = ids.clone().any(|id| is_wanted(id) && is_alloc(id));
        let heap = profile.heap.as_ref().filter(|_| has_heap);
        let mut types = Vec::new();
        if heap.is_none() || ids.clone().any(|id| is_wanted(id) && !is_alloc(id)) {
            types.push(value_type("samples", "count"));
        }
        let mut of_event = vec![None; profile.events.len()];
        for id in ids.filter(|&id| is_wanted(id) && !is_alloc(id)) {
            let event = &profile.events[id];
            let (name, unit) = measurement(event);
            // Two clocks are no sum. What several traces call the same is.
            let is_another = |other: &EventId| {
                let other = &profile.events[*other];
                measurement(other) == (name, unit) && other.name != event.name
            };
            let name = if (0..id).any(|other| is_another(&other)) { &event.name } else { name };
            let measured = value_type(name, unit);
            let column = types.iter().position(|&known| known == measured).unwrap_or(types.len());
            if column == types.len() {
                types.push(measured);
            }
            of_event[id] = Some(column);
        }
        let heap = heap.map(|heap| (types.len(), heap));
        if heap.is_some() {
            types.extend(HEAP_TYPES.map(|(name, unit)| value_type(name, unit)));
        }
        let any = (!profile.events.is_empty()).then_some(0);
        let main = wanted.or_else(|| default_event(profile)).or(any);
        let main_column = main.and_then(|main| match heap {
            Some((first, _)) if is_alloc(main) => Some(first + HEAP_TYPES.len() - 1),
            _ => of_event[main],
        });
        Values { types, of_event, heap, main, main_column }
    }

    /// What is shown first.
    pub(super) fn main_type(&self) -> Option<proto::ValueType> {
        self.main_column.map(|column| self.types[column])
    }

    /// What the period is measured in.
    pub(super) fn period_type(&self, strings: &mut Strings) -> Option<proto::ValueType> {
        let is_heap = self.main_column >= self.heap.map(|(first, _)| first);
        if self.heap.is_some() && is_heap {
            return Some(proto::ValueType {
                r#type: strings.id("space"),
                unit: strings.id("bytes"),
            });
        }
        self.main_type()
    }

    /// The sites of the heap, if they are written.
    pub(super) fn sites(&self) -> &[Site] {
        self.heap.map_or(&[], |(_, heap)| &heap.sites)
    }

    /// The values of a site of the heap.
    pub(super) fn of_site(&self, site: &Site) -> Vec<i64> {
        let mut value = vec![0; self.types.len()];
        let Some((first, _)) = self.heap else { return value };
        let (allocated, at_end) = (&site.sums.allocated, &site.sums.at_end);
        let numbers = [allocated.objects, allocated.bytes, at_end.objects, at_end.bytes];
        for (value, number) in value[first..].iter_mut().zip(numbers) {
            *value = signed(number.rounded());
        }
        value
    }

    /// Whether a sample is one of those in the first column, which are of one
    /// kind: samples of the CPU and intervals off it make no sum.
    pub(super) fn is_counted(&self, profile: &Profile, sample: &Sample) -> bool {
        let kind = |event: EventId| profile.events[event].kind;
        self.main.is_some_and(|main| kind(main) == kind(sample.event))
    }
}

/// Name and unit of what an event measures.
fn measurement(event: &Event) -> (&str, &'static str) {
    match (event.kind, event.unit) {
        (EventKind::Cpu, Unit::Nanoseconds) => ("cpu", "nanoseconds"),
        (EventKind::Cpu, Unit::Cycles) => ("cycles", "count"),
        // These have one name, and growth has that of what was counted.
        (_, unit) => (&event.name, unit.name()),
    }
}

/// Weight between two samples of an event, in its unit; 0 if there is none.
pub(super) fn period(profile: &Profile, event: Option<EventId>) -> i64 {
    let Some(id) = event else { return 0 };
    let event = &profile.events[id];
    match event.unit {
        Unit::Nanoseconds => 1_000_000_000_i64.checked_div(event.frequency_hz.into()).unwrap_or(0),
        _ if event.kind == EventKind::Alloc => {
            // All that is recorded is as if each byte was a sample.
            profile.heap.as_ref().map_or(0, |heap| signed(heap.interval.max(1)))
        }
        _ => {
            let samples = profile.samples.iter().filter(|sample| sample.event == id);
            let count: u64 = samples.map(|sample| sample.count).sum();
            signed(profile.total_weight(id).checked_div(count).unwrap_or(0))
        }
    }
}
