//! Chooses which of a profile's events a report is about.

use rz_convert::profile::{EventId, Profile};

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The trace has no event of the name that was asked for.
    #[error("no event {wanted:?} in the trace; it has {available}")]
    NoSuchEvent {
        /// The name asked for.
        wanted: String,
        /// The names there are, separated by commas.
        available: String,
    },
    /// Two traces count different things and have no common scale.
    #[error("cannot compare {before} with {after}: the traces count different things")]
    DifferentEvents {
        /// Event and unit of the first trace.
        before: String,
        /// Event and unit of the second trace.
        after: String,
    },
    /// A trace does not say for how long it recorded, so that nothing can be
    /// given per second.
    #[error("cannot compare: the {side} trace has no recorded duration")]
    NoDuration {
        /// `before` or `after`.
        side: &'static str,
    },
    /// There is nothing that a picture could show.
    #[error("no samples to draw: the target did not run on a CPU while it was recorded")]
    NothingToDraw,
    /// The report could not be written.
    #[error("cannot write the report: {0}")]
    Io(#[from] std::io::Error),
}

/// The event called `name`, or without a name the first one with samples.
/// `None` if there are no samples of it.
pub fn select_event(profile: &Profile, name: Option<&str>) -> Result<Option<EventId>, ReportError> {
    let has_samples =
        |event: EventId| profile.samples.iter().any(|s| s.event == event && s.count > 0);
    let Some(name) = name else {
        return Ok((0..profile.events.len()).find(|&event| has_samples(event)));
    };
    match profile.events.iter().position(|event| event.name == name) {
        Some(event) => Ok(Some(event).filter(|&event| has_samples(event))),
        None => {
            let names: Vec<&str> = profile.events.iter().map(|e| e.name.as_str()).collect();
            let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(ReportError::NoSuchEvent { wanted: name.to_owned(), available })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Builder;

    #[test]
    fn an_event_is_found_by_name_or_by_having_samples() {
        let mut builder = Builder::new();
        let stack = builder.stack(&["main"]);
        builder.sample(0, stack, 1);
        let profile = builder.profile;
        assert_eq!(select_event(&profile, None).unwrap(), Some(0));
        assert_eq!(select_event(&profile, Some("cpu-clock")).unwrap(), Some(0));
        let error = select_event(&profile, Some("cycles")).unwrap_err().to_string();
        assert_eq!(error, "no event \"cycles\" in the trace; it has cpu-clock");
        assert_eq!(select_event(&Profile::default(), None).unwrap(), None);
    }
}
