//! Numbers of the heap as samples of an event.

use std::str::FromStr;

use super::{Estimate, Heap, Site, Sum};
use crate::model::{EventId, EventKind, Profile, Sample, Unit};

/// What is shown of allocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Bytes allocated.
    #[default]
    Bytes,
    /// Allocations.
    Count,
    /// Bytes never freed.
    Live,
    /// Objects never freed.
    LiveCount,
    /// Bytes that were there when most were.
    Peak,
    /// Temporary allocations.
    Temporary,
}

impl Metric {
    /// Every metric, in the order in which they are listed to people.
    pub const ALL: [Metric; 6] = [
        Metric::Bytes,
        Metric::Count,
        Metric::Live,
        Metric::LiveCount,
        Metric::Peak,
        Metric::Temporary,
    ];

    /// The metric's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Bytes => "bytes",
            Metric::Count => "count",
            Metric::Live => "live",
            Metric::LiveCount => "live-count",
            Metric::Peak => "peak",
            Metric::Temporary => "temporary",
        }
    }

    /// What it shows, in a few words.
    pub fn description(self) -> &'static str {
        match self {
            Metric::Bytes => "bytes allocated",
            Metric::Count => "allocations",
            Metric::Live => "bytes never freed",
            Metric::LiveCount => "objects never freed",
            Metric::Peak => "bytes at the peak",
            Metric::Temporary => "temporary allocations",
        }
    }

    /// What it is measured in.
    pub fn unit(self) -> Unit {
        match self {
            Metric::Bytes | Metric::Live | Metric::Peak => Unit::Bytes,
            Metric::Count | Metric::LiveCount | Metric::Temporary => Unit::Count,
        }
    }

    /// Whether it grows with time, to be compared per second; what was there at
    /// a moment does not.
    pub fn is_rate(self) -> bool {
        match self {
            Metric::Bytes | Metric::Count | Metric::Temporary => true,
            Metric::Live | Metric::LiveCount | Metric::Peak => false,
        }
    }

    /// The objects of a site that it is about.
    pub fn sum(self, site: &Site) -> Sum {
        match self {
            Metric::Bytes | Metric::Count => site.sums.allocated,
            Metric::Live | Metric::LiveCount => site.sums.at_end,
            Metric::Peak => site.sums.at_peak,
            Metric::Temporary => site.sums.temporary,
        }
    }

    /// The number of a site, in [`Metric::unit`], and how sure it is.
    pub fn estimate(self, site: &Site) -> Estimate {
        let sum = self.sum(site);
        if self.unit() == Unit::Bytes { sum.bytes } else { sum.objects }
    }
}

/// The name is not one of [`Metric::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown metric {0:?}")]
pub struct UnknownMetric(pub String);

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        let found = Metric::ALL.into_iter().find(|metric| metric.name() == name);
        found.ok_or_else(|| UnknownMetric(name.to_owned()))
    }
}

/// Makes the event of allocations show a metric, in its samples and its unit.
/// Returns the event; `None` if the profile has no allocations.
pub fn show(profile: &mut Profile, metric: Metric) -> Option<EventId> {
    let event = profile.events.iter().position(|event| event.kind == EventKind::Alloc)?;
    let heap = profile.heap.as_ref()?;
    let new = samples(heap, event, metric);
    profile.events[event].unit = metric.unit();
    profile.events[event].metric = Some(metric);
    // The other samples keep their order, and those of one event stand
    // together.
    profile.samples.retain(|sample| sample.event != event);
    let at = profile.samples.partition_point(|sample| sample.event < event);
    profile.samples.splice(at..at, new);
    Some(event)
}

/// The samples of the event of allocations: a metric of each site, rounded, in
/// order. A sample's count is that of objects; sites with none of what the
/// metric is about have no sample.
pub(crate) fn samples(heap: &Heap, event: EventId, metric: Metric) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    // Exchange formats have signed numbers: nothing that is added up later may
    // overflow.
    let (mut count_left, mut weight_left) = (i64::MAX as u64, i64::MAX as u64);
    for site in &heap.sites {
        let sum = metric.sum(site);
        if sum.is_zero() {
            continue;
        }
        let (thread, stack) = (site.thread, site.stack);
        let (count, weight) = (sum.objects.rounded(), metric.estimate(site).rounded());
        let (count, weight) = (count.min(count_left), weight.min(weight_left));
        (count_left, weight_left) = (count_left - count, weight_left - weight);
        match samples.last_mut() {
            // Sites differ by entry as well.
            Some(last) if (last.thread, last.stack) == (thread, stack) => {
                last.count += count;
                last.weight += weight;
            }
            _ => samples.push(Sample { event, thread, stack, count, weight }),
        }
    }
    samples
}
