//! What the values of a profile's samples are: events and their weights.
//!
//! Profiles of time have two columns, how often a stack was seen and what that
//! stands for; here they are one event. Every other column is one of its own.

use rz_format::{Event, EventUnit};

use super::tables::Tables;
use crate::export::pprof::proto::ValueType;

/// An event and where its weights are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// Which of a sample's values it is.
    pub(super) at: usize,
    /// What one of the profile's unit is in the event's.
    factor: u64,
    pub(super) event: Event,
}

impl Column {
    /// A value as a weight.
    pub(super) fn weight(&self, value: i64) -> u64 {
        value.max(0).cast_unsigned().saturating_mul(self.factor)
    }
}

/// The columns of a profile.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// In the order of the profile, but the one that it shows first is first.
    pub(super) events: Vec<Column>,
    /// Which of a sample's values says how often its stack was seen.
    pub(super) count: Option<usize>,
}

impl Columns {
    pub(super) fn of(tables: &Tables) -> Self {
        let types = &tables.types;
        let name = |of: &ValueType| tables.text(of.r#type);
        let is_count = |of: &&ValueType| {
            matches!(name(of), "samples" | "sample") && tables.text(of.unit) == "count"
        };
        let count = types.iter().position(|of| is_count(&of)).filter(|_| types.len() > 1);
        let mut events: Vec<Column> = types
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != count)
            .map(|(at, of)| {
                let (unit, factor) = unit_of(name(of), tables.text(of.unit));
                let frequency_hz = match tables.period_type {
                    Some(period) if period == *of && unit == EventUnit::Nanoseconds => {
                        let period_ns = u64::try_from(tables.period).unwrap_or(0);
                        let per_second = 1_000_000_000u64.checked_div(period_ns * factor);
                        per_second.unwrap_or(0).try_into().unwrap_or(u32::MAX)
                    }
                    _ => 0,
                };
                let (name, unit) = (name(of).to_owned(), unit.into());
                let event = Event { id: 0, name, unit, frequency_hz };
                Column { at, factor, event }
            })
            .collect();
        // Without a default, the last one is what tools show.
        let default = types.iter().rposition(|of| of.r#type == tables.default_type);
        let shown = default.filter(|_| tables.default_type != 0).unwrap_or(types.len() - 1);
        events.sort_by_key(|column| column.at != shown);
        for (id, column) in (0..).zip(&mut events) {
            column.event.id = id;
        }
        Columns { events, count }
    }
}

/// The unit in a trace, and how many of it are one of the profile's.
fn unit_of(name: &str, unit: &str) -> (EventUnit, u64) {
    match unit {
        "nanoseconds" => (EventUnit::Nanoseconds, 1),
        "microseconds" => (EventUnit::Nanoseconds, 1_000),
        "milliseconds" => (EventUnit::Nanoseconds, 1_000_000),
        "seconds" => (EventUnit::Nanoseconds, 1_000_000_000),
        "bytes" => (EventUnit::Bytes, 1),
        "kilobytes" => (EventUnit::Bytes, 1 << 10),
        "megabytes" => (EventUnit::Bytes, 1 << 20),
        _ if name == "cycles" => (EventUnit::Cycles, 1),
        _ => (EventUnit::Things, 1),
    }
}
