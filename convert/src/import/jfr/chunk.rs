//! A chunk: its header, and the events in it.

use super::super::ImportError;
use super::bytes::Bytes;
use super::damaged;
use super::metadata::Classes;
use super::pools::Pools;

/// Bytes of a header.
pub(super) const HEADER: usize = 68;

/// Numbers of two events that are in every chunk.
const METADATA: u64 = 0;
const CHECKPOINT: u64 = 1;

/// A bit of the header: numbers are compressed.
const COMPRESSED: u8 = 1;

/// A chunk whose classes and values are known.
pub(super) struct Chunk<'c> {
    pub(super) start_unix_ns: u64,
    start_ticks: u64,
    ticks_per_second: u64,
    events: &'c [u8],
    pub(super) classes: Classes,
    pub(super) pools: Pools<'c>,
}

/// An event: its class, and its fields.
pub(super) struct Event<'c> {
    pub(super) class: u64,
    pub(super) fields: Bytes<'c>,
}

/// The size of the chunk that begins so, with its header.
pub(super) fn size(header: &[u8]) -> Result<u64, ImportError> {
    if header.len() < HEADER || !header.starts_with(b"FLR\0") {
        return Err(damaged("there is no chunk where one should be"));
    }
    if header[5] != 2 {
        let version = header[5];
        return Err(damaged(format!("version {version} of the format, and 2 is what is known")));
    }
    match number(header, 8) {
        size if size > HEADER as u64 => Ok(size),
        _ => Err(damaged("a chunk was not finished")),
    }
}

fn number(header: &[u8], at: usize) -> u64 {
    header[at..at + 8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

impl<'c> Chunk<'c> {
    /// The chunk that these are all bytes of.
    pub(super) fn of(bytes: &'c [u8]) -> Result<Self, ImportError> {
        let (header, events) = bytes.split_at(HEADER);
        if header[HEADER - 1] & COMPRESSED == 0 {
            return Err(damaged("its numbers are not compressed, which no version does"));
        }
        let at = usize::try_from(number(header, 24)).unwrap_or(usize::MAX);
        let at = at.checked_sub(HEADER).and_then(|at| events.get(at..));
        let metadata = at.ok_or_else(|| damaged("there is no metadata where it should be"))?;
        let classes = match next_event(&mut Bytes(metadata))? {
            Event { class: METADATA, fields } => Classes::read(fields)?,
            _ => return Err(damaged("there is no metadata where it should be")),
        };
        let mut chunk = Chunk {
            start_unix_ns: number(header, 32),
            start_ticks: number(header, 48),
            ticks_per_second: number(header, 56).max(1),
            events,
            pools: Pools::default(),
            classes,
        };
        let mut pools = Pools::default();
        for event in chunk.events() {
            let Event { class: CHECKPOINT, fields } = event? else { continue };
            pools.read(fields, &chunk.classes)?;
        }
        chunk.pools = pools;
        Ok(chunk)
    }

    /// All events, up to the first that is damaged.
    pub(super) fn events(&self) -> impl Iterator<Item = Result<Event<'c>, ImportError>> {
        let mut rest = Bytes(self.events);
        std::iter::from_fn(move || {
            if rest.0.is_empty() {
                return None;
            }
            let event = next_event(&mut rest);
            if event.is_err() {
                rest.0 = &[];
            }
            Some(event)
        })
    }

    /// Nanoseconds in ticks.
    pub(super) fn nanoseconds(&self, ticks: u64) -> u64 {
        let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(self.ticks_per_second);
        nanoseconds.try_into().unwrap_or(u64::MAX)
    }

    /// A time of day, in nanoseconds since the Unix epoch.
    pub(super) fn unix_ns(&self, ticks: u64) -> u64 {
        let since = self.nanoseconds(ticks.saturating_sub(self.start_ticks));
        self.start_unix_ns.saturating_add(since)
    }
}

fn next_event<'c>(rest: &mut Bytes<'c>) -> Result<Event<'c>, ImportError> {
    let all = *rest;
    // The size has its own bytes in it.
    let size = rest.number()?;
    let length = (all.0.len() - rest.0.len()) as u64;
    let body = size.checked_sub(length).filter(|body| *body > 0);
    let mut fields = Bytes(rest.take(body.ok_or_else(|| damaged("an event without a size"))?)?);
    Ok(Event { class: fields.number()?, fields })
}
