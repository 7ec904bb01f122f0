//! Which metric the event of allocations shows.

use rz_profile::heap::{Heap, Metric};
use rz_profile::model::{ALLOC, Event, EventId, EventKind, Profile};

/// Makes the event of allocations show a metric, after which it is called.
/// Returns the event; `None` if the profile has no allocations.
pub fn show_metric(profile: &mut Profile, metric: Metric) -> Option<EventId> {
    let event = rz_profile::heap::show(profile, metric)?;
    profile.events[event].name = metric.description().to_owned();
    Some(event)
}

/// The metric that an event of allocations shows.
pub(crate) fn shown_metric(event: &Event) -> Metric {
    let found = Metric::ALL.into_iter().find(|metric| metric.description() == event.name);
    found.unwrap_or_default()
}

/// Whether a metric is a rate, to be compared per second.
pub(crate) fn is_rate(metric: Metric) -> bool {
    matches!(metric, Metric::Bytes | Metric::Count | Metric::Temporary)
}

/// The heap if the event is that of allocations, and the metric that was
/// asked for, if one was.
pub(crate) fn shown_heap(
    profile: &Profile,
    event: Option<EventId>,
) -> Option<(Option<Metric>, &Heap)> {
    let event = &profile.events[event?];
    let heap = profile.heap.as_ref().filter(|_| event.kind == EventKind::Alloc)?;
    Some(((event.name != ALLOC).then(|| shown_metric(event)), heap))
}
