//! Chooses which of a profile's events is shown.

use crate::model::{Event, EventId, EventKind, Profile, Sample, TimedSample, Unit, WALL};

/// What somebody calls an event: by what it is about, or by its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName {
    name: String,
    kind: Option<EventKind>,
}

impl EventName {
    /// The name, as it was said.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// What the event is about, if the name says that.
    pub fn kind(&self) -> Option<EventKind> {
        self.kind
    }
}

impl From<&str> for EventName {
    fn from(name: &str) -> Self {
        EventName { name: name.to_owned(), kind: EventKind::from_name(name) }
    }
}

/// Why an event cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The trace has no event of the name that was asked for.
    #[error("no event {:?} in the trace; it has {available}{}", .wanted.as_str(), remedy(.wanted))]
    NoSuchEvent {
        /// The name asked for.
        wanted: EventName,
        /// The names there are, separated by commas.
        available: String,
    },
    /// What is counted is no time, so that waiting cannot be added to it.
    #[error("waiting cannot be added to {event}, which counts {unit}: record CPU time instead")]
    NotTime {
        /// The CPU's event.
        event: String,
        /// What it counts.
        unit: &'static str,
    },
}

/// The event called `name` (`cpu`: the CPU's, [`WALL`]: see [`add_wall`]).
/// Without a name the CPU's, if it has samples, else the first one with
/// samples. `None` if there are no samples of it.
///
/// # Errors
/// If the trace has no such event.
pub fn select_event(
    profile: &mut Profile,
    name: Option<&EventName>,
) -> Result<Option<EventId>, SelectError> {
    let Some(name) = name else { return Ok(default_event(profile)) };
    let event = match find_event(profile, name) {
        Some(event) => event,
        None if name.kind == Some(EventKind::Wall) => add_wall(profile)?,
        None => return Err(no_such_event(profile, name.clone())),
    };
    Ok(Some(event).filter(|&event| has_samples(profile, event)))
}

/// The CPU's event, if it has samples, else the first one with samples. That a
/// filter leaves no samples of the CPU does not make it another one.
pub fn default_event(profile: &Profile) -> Option<EventId> {
    let cpu = cpu_event(profile).filter(|&event| has_samples(profile, event));
    let filtered_out = profile.info.filter.is_active() && profile.info.samples > 0;
    cpu.or_else(|| events_with_samples(profile).next().filter(|_| !filtered_out))
}

/// The events that have samples, in the order of the profile.
pub fn events_with_samples(profile: &Profile) -> impl Iterator<Item = EventId> {
    (0..profile.events.len()).filter(|&event| has_samples(profile, event))
}

/// The event called `name`, with samples or without.
pub fn find_event(profile: &Profile, name: &EventName) -> Option<EventId> {
    let found = profile.events.iter().position(|event| event.name == name.name);
    found.or_else(|| cpu_event(profile).filter(|_| name.kind == Some(EventKind::Cpu)))
}

/// Adds an event that has the samples of the CPU's event and of waits:
/// where time went, running or not.
///
/// # Errors
/// If the trace has not both, or its CPU event is not measured in time.
pub fn add_wall(profile: &mut Profile) -> Result<EventId, SelectError> {
    let Some((cpu, off_cpu)) = parts_of_wall(profile) else {
        return Err(no_such_event(profile, WALL.into()));
    };
    let Event { name, unit, .. } = &profile.events[cpu];
    if *unit != Unit::Nanoseconds {
        return Err(SelectError::NotTime { event: name.clone(), unit: unit.name() });
    }
    let event = profile.events.len();
    let (kind, name) = (EventKind::Wall, WALL.to_owned());
    profile.events.push(Event { kind, name, ..Event::default() });
    let parts = [cpu, off_cpu];
    let both = profile.samples.iter().filter(|sample| parts.contains(&sample.event));
    let mut both: Vec<Sample> = both.map(|&sample| Sample { event, ..sample }).collect();
    both.sort_unstable_by_key(|sample| (sample.thread, sample.stack));
    profile.samples.extend(both);
    if let Some(timeline) = &mut profile.timeline {
        let both = timeline.iter().filter(|sample| parts.contains(&sample.event));
        let both: Vec<_> = both.map(|&sample| TimedSample { event, ..sample }).collect();
        timeline.extend(both);
        timeline.sort_by_key(|sample| sample.time_ns);
    }
    Ok(event)
}

/// Whether [`add_wall`] works.
pub fn can_add_wall(profile: &Profile) -> bool {
    parts_of_wall(profile).is_some_and(|(cpu, _)| profile.events[cpu].unit == Unit::Nanoseconds)
}

fn parts_of_wall(profile: &Profile) -> Option<(EventId, EventId)> {
    let mut events = profile.events.iter();
    let off_cpu = events.position(|event| event.kind == EventKind::OffCpu)?;
    Some((cpu_event(profile)?, off_cpu))
}

/// The first event of the CPU, if possible one with samples.
pub fn cpu_event(profile: &Profile) -> Option<EventId> {
    let is_cpu = |&event: &EventId| profile.events[event].kind == EventKind::Cpu;
    let mut events = (0..profile.events.len()).filter(is_cpu);
    let first = events.clone().next();
    events.find(|&event| has_samples(profile, event)).or(first)
}

/// What a conversion is of if nothing else is asked for: the CPU's event, or of what other
/// tools have measured the first with samples.
pub fn main_event(profile: &Profile) -> Option<EventId> {
    let is_other = |&event: &EventId| {
        profile.events[event].kind == EventKind::Other && has_samples(profile, event)
    };
    cpu_event(profile).or_else(|| (0..profile.events.len()).find(is_other))
}

fn has_samples(profile: &Profile, event: EventId) -> bool {
    profile.samples.iter().any(|sample| sample.event == event && sample.count > 0)
}

fn no_such_event(profile: &Profile, wanted: EventName) -> SelectError {
    let mut names: Vec<&str> = profile.events.iter().map(|event| event.name.as_str()).collect();
    if can_add_wall(profile) && !names.contains(&WALL) {
        names.push(WALL);
    }
    let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    SelectError::NoSuchEvent { wanted, available }
}

/// How to record an event that is missing.
fn remedy(wanted: &EventName) -> &'static str {
    match wanted.kind {
        Some(EventKind::OffCpu | EventKind::Wall) => ": record with rec --off-cpu",
        Some(EventKind::Syscalls) => ": record with rec --syscalls",
        Some(EventKind::Functions) => ": record with rec --call",
        Some(EventKind::Alloc) => ": record with rec --alloc",
        Some(EventKind::Cpu | EventKind::Growth | EventKind::Other) | None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OFF_CPU;

    fn event(kind: EventKind, name: &str) -> Event {
        Event { kind, name: name.into(), ..Event::default() }
    }

    fn sample(event: EventId, stack: usize) -> Sample {
        Sample { event, thread: 0, stack: Some(stack), count: 1, weight: 10 }
    }

    /// Two events of the CPU, of which the second one has samples, and waits.
    fn profile() -> Profile {
        let timed = |time_ns, event| TimedSample {
            time_ns,
            event,
            thread: 0,
            stack: Some(event).into(),
            weight: 10,
            count: 1,
            ..TimedSample::default()
        };
        Profile {
            events: vec![
                event(EventKind::Cpu, "cycles"),
                event(EventKind::Cpu, "cpu-clock"),
                event(EventKind::OffCpu, OFF_CPU),
            ],
            samples: vec![sample(1, 5), sample(2, 3)],
            timeline: Some(vec![timed(1, 2), timed(2, 1)]),
            ..Profile::default()
        }
    }

    #[test]
    fn events_by_name() {
        let check = |name: Option<&str>, expected| {
            let name = name.map(EventName::from);
            assert_eq!(select_event(&mut profile(), name.as_ref()), Ok(expected), "{name:?}");
        };
        check(None, Some(1));
        check(Some("cpu"), Some(1));
        check(Some("cpu-clock"), Some(1));
        check(Some("cycles"), None);
        check(Some("off-cpu"), Some(2));
        check(Some("wall"), Some(3));
        let error = select_event(&mut profile(), Some(&"syscalls".into())).unwrap_err().to_string();
        assert_eq!(
            error,
            "no event \"syscalls\" in the trace; it has cycles, cpu-clock, off-cpu, wall: record \
             with rec --syscalls"
        );
        assert_eq!(select_event(&mut Profile::default(), None), Ok(None));
        let mut only_waits = Profile { samples: vec![sample(2, 3)], ..profile() };
        assert_eq!(select_event(&mut only_waits, None), Ok(Some(2)));
        only_waits.info.filter.text = "thread a".into();
        assert_eq!(select_event(&mut only_waits, None), Ok(Some(2)));
        // Other threads had samples of the CPU.
        only_waits.info.samples = 1;
        assert_eq!(select_event(&mut only_waits, None), Ok(None));
    }

    #[test]
    fn wall_is_running_and_waiting() {
        let mut profile = profile();
        assert_eq!(add_wall(&mut profile), Ok(3));
        assert_eq!(profile.samples[2..], [sample(3, 3), sample(3, 5)]);
        let timeline = profile.timeline.as_deref().unwrap();
        assert_eq!(
            timeline.iter().map(|s| (s.time_ns, s.event)).collect::<Vec<_>>(),
            [(1, 2), (1, 3), (2, 1), (2, 3)]
        );
        // It is there already.
        assert_eq!(select_event(&mut profile, Some(&WALL.into())), Ok(Some(3)));
        assert_eq!(profile.events.len(), 4);
    }

    #[test]
    fn wall_needs_time_and_waits() {
        let mut profile = profile();
        profile.events[1].unit = Unit::Cycles;
        let error = add_wall(&mut profile).unwrap_err().to_string();
        assert_eq!(
            error,
            "waiting cannot be added to cpu-clock, which counts cycles: record CPU time instead"
        );
        profile.events.truncate(1);
        let error = add_wall(&mut profile).unwrap_err().to_string();
        assert_eq!(
            error,
            "no event \"wall\" in the trace; it has cycles: record with rec --off-cpu"
        );
    }
}
