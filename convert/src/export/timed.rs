//! Samples in order of time, for formats that show when something happened.

use rz_profile::model::{
    Event, EventId, EventKind, FrameKind, FunctionId, Location, Nanos, Profile, TimedSample, Unit,
};

/// The samples of an event in order of time; `None` without a timeline, or if the
/// event's samples are not in it.
pub(super) fn timeline(
    profile: &Profile,
    event: EventId,
) -> Option<impl Iterator<Item = &TimedSample> + Clone> {
    let timeline = profile.timeline.as_ref()?;
    let here = timeline.iter().filter(move |sample| sample.event == event);
    let summed = profile.samples.iter().filter(|sample| sample.event == event);
    let known = here.clone().map(|sample| sample.count).sum::<u64>();
    (known == summed.map(|sample| sample.count).sum::<u64>()).then_some(here)
}

/// The samples of an event in order of time, or [`summed`] if that is not known.
pub(super) fn in_time(profile: &Profile, event: EventId) -> Vec<TimedSample> {
    let known = timeline(profile, event);
    known.map_or_else(|| summed(profile, event), |samples| samples.copied().collect())
}

/// The samples of an event, of which those of equal stacks are one, and those of a thread
/// stand one after the other from the start on.
pub(super) fn summed(profile: &Profile, event: EventId) -> Vec<TimedSample> {
    let mut next_ns = vec![profile.info.start_ns; profile.threads.len()];
    let samples = profile.samples.iter().filter(|sample| sample.event == event);
    let mut samples: Vec<TimedSample> = samples
        .map(|sample| {
            let mut timed = TimedSample {
                time_ns: next_ns[sample.thread],
                duration_ns: 0,
                count: sample.count,
                event,
                thread: sample.thread,
                stack: sample.stack.into(),
                weight: sample.weight,
            };
            timed.duration_ns = length_ns(&profile.events[event], &timed).unwrap_or(0);
            let next_ns = &mut next_ns[sample.thread];
            *next_ns = next_ns.saturating_add(timed.duration_ns);
            timed
        })
        .collect();
    samples.sort_by_key(|sample| sample.time_ns);
    samples
}

/// For how long a sample stands; `None` if it is of no time.
pub(super) fn length_ns(event: &Event, sample: &TimedSample) -> Option<Nanos> {
    match (event.unit, event.kind) {
        (Unit::Nanoseconds, _) => Some(sample.weight),
        (Unit::Cycles | Unit::Count, EventKind::Cpu) if event.frequency_hz > 0 => {
            Some(sample.count.saturating_mul(1_000_000_000 / u64::from(event.frequency_hz)))
        }
        (Unit::Cycles | Unit::Count | Unit::Bytes, _) => None,
    }
}

/// Whether a length is known of an event's samples.
pub(super) fn has_lengths(event: &Event) -> bool {
    length_ns(event, &TimedSample::default()).is_some()
}

/// An interval that a thread spent off the CPU or in a system call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub(super) kind: EventKind,
    /// What it is called by.
    pub(super) reason: FunctionId,
    pub(super) sample: TimedSample,
}

impl Interval {
    /// When it ended.
    pub(super) fn end_ns(&self) -> Nanos {
        self.sample.time_ns.saturating_add(self.sample.duration_ns)
    }

    /// Why the thread waited or what it called, without what frames have around it.
    pub(super) fn name<'p>(&self, profile: &'p Profile) -> &'p str {
        let name = &profile.functions[self.reason].name[..];
        let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        inner.and_then(|inner| inner.split_once(": ")).map_or(name, |(_, reason)| reason)
    }
}

/// The waits and system calls of which the times are known, in order of time.
pub(super) fn intervals(profile: &Profile) -> impl Iterator<Item = Interval> {
    let timeline = profile.timeline.iter().flatten();
    timeline.filter_map(|&sample| {
        let kind = profile.events[sample.event].kind;
        let is_interval = match kind {
            EventKind::OffCpu | EventKind::Syscalls | EventKind::Functions => sample.count == 1,
            EventKind::Cpu
            | EventKind::Wall
            | EventKind::Alloc
            | EventKind::Growth
            | EventKind::Other => false,
        };
        let leaf = profile.locations_of(sample.stack.get()).next();
        let is_reason = |leaf: &&Location| matches!(leaf.kind, FrameKind::Reason(_));
        let leaf = leaf.filter(|leaf| is_reason(leaf) || kind == EventKind::Functions);
        // What is inlined where a function begins was not what was called.
        let reason = leaf.filter(|_| is_interval)?.lines.last()?.function;
        Some(Interval { kind, reason, sample })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rz_profile::fixture;

    #[test]
    fn sums_stand_one_after_the_other() {
        let profile = Profile { timeline: None, ..fixture::profile() };
        let samples = in_time(&profile, 0);
        let of_thread = |thread| {
            let samples = samples.iter().filter(move |sample| sample.thread == thread);
            samples.map(|sample| (sample.time_ns, sample.weight)).collect::<Vec<_>>()
        };
        assert_eq!(of_thread(0), [(0, 3000), (3000, 2000)]);
        assert_eq!(of_thread(1), [(0, 1000), (1000, 4000), (5000, 1000), (6000, 4000)]);
    }

    #[test]
    fn samples_at_a_rate_have_a_length() {
        let cycles = Event { unit: Unit::Cycles, frequency_hz: 100, ..Event::default() };
        let sample = TimedSample { weight: 7, count: 2, ..TimedSample::default() };
        assert_eq!(length_ns(&cycles, &sample), Some(20_000_000));
        assert_eq!(length_ns(&Event { frequency_hz: 0, ..cycles.clone() }, &sample), None);
        assert_eq!(length_ns(&Event { unit: Unit::Nanoseconds, ..cycles }, &sample), Some(7));
        let bytes = Event { unit: Unit::Bytes, kind: EventKind::Alloc, ..Event::default() };
        assert_eq!(length_ns(&bytes, &sample), None);
    }

    #[test]
    fn intervals_are_called_by_their_reason() {
        let profile = fixture::with_waits();
        let found: Vec<_> = intervals(&profile).collect();
        let seen = |found: &Interval| (found.name(&profile), found.sample.time_ns, found.end_ns());
        let seen: Vec<_> = found.iter().map(seen).collect();
        assert_eq!(seen, [("futex", 0, 500_000), ("futex", 1_000_000, 3_000_400)]);
    }
}
