//! What a perf.data file says about itself and its events.
//!
//! A file begins with where its parts are; what `perf record -o -` writes is
//! records throughout, and says the same in records of its own. All lengths are
//! checked against the file and against limits before anything is read.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt;

use rustc_hash::FxHashMap;

use super::super::ImportError;
use super::attr::{Attr, sample_type};
use super::bytes::Bytes;
use super::records::{Ending, Raw, ReadError, for_records, user};

/// What a file of a machine whose numbers begin with the highest byte begins with.
const MAGIC_BIG: &[u8; 8] = b"2ELIFREP";
/// Size of the header of a file, and of one that was written into a pipe.
const FILE_HEADER_LEN: u64 = 104;
const PIPE_HEADER_LEN: u64 = 16;

/// Events of a file, at most.
const MAX_EVENTS: usize = 4096;
/// Ids of all events, at most: one per event, thread and CPU.
const MAX_IDS: usize = 1 << 22;
/// Largest part that describes something, in bytes.
const MAX_PART: u64 = 64 << 20;
/// Build-ids, at most.
const MAX_BUILD_IDS: usize = 1 << 20;

/// Parts that say something about the recording, by their bit in the header.
pub(super) mod feature {
    pub const BUILD_ID: u32 = 2;
    pub const HOSTNAME: u32 = 3;
    pub const OSRELEASE: u32 = 4;
    pub const VERSION: u32 = 5;
    pub const ARCH: u32 = 6;
    pub const NRCPUS: u32 = 7;
    pub const CMDLINE: u32 = 11;
    pub const EVENT_DESC: u32 = 12;
    pub const SAMPLE_TIME: u32 = 21;
    pub const CLOCK_DATA: u32 = 29;
    /// Those that are read.
    pub const READ: [u32; 10] = [
        BUILD_ID,
        HOSTNAME,
        OSRELEASE,
        VERSION,
        ARCH,
        NRCPUS,
        CMDLINE,
        EVENT_DESC,
        SAMPLE_TIME,
        CLOCK_DATA,
    ];
}

/// Flags of a record that is about build-ids or the kernel.
const MISC_BUILD_ID_SIZE: u16 = 1 << 15;
const MISC_CPU_MODE: u16 = 7;
const CPU_MODE_KERNEL: u16 = 1;

/// An event that was sampled.
#[derive(Debug, Clone, Default)]
pub(super) struct EventDescription {
    pub(super) attr: Attr,
    pub(super) name: String,
}

/// What is known before samples are read.
#[derive(Debug, Default)]
pub(super) struct Meta {
    pub(super) is_big_endian: bool,
    /// Where records are: from here on, and so many bytes, or all that follow.
    pub(super) records: (u64, Option<u64>),
    pub(super) events: Vec<EventDescription>,
    /// Which event an id is of.
    ids: FxHashMap<u64, usize>,
    features: FxHashMap<u32, Vec<u8>>,
    /// By path.
    pub(super) build_ids: FxHashMap<String, Vec<u8>>,
    /// The kernel's.
    pub(super) kernel_build_id: Vec<u8>,
    /// Times of the first and the last sample.
    pub(super) span_ns: Option<(u64, u64)>,
    /// Whether `perf record` was ended, so that it could write all.
    pub(super) is_whole: bool,
}

impl Meta {
    pub(super) fn read(file: &mut File, head: &[u8], size: u64) -> Result<Self, ImportError> {
        let is_big_endian = head.starts_with(MAGIC_BIG);
        let unusable = |what: &str| ImportError::Unusable(format!("damaged perf.data: {what}"));
        let mut header = Bytes::new(head, is_big_endian);
        let header_len = header.take(8).and_then(|_| header.u64());
        let mut meta = Meta { is_big_endian, ..Meta::default() };
        match header_len {
            Some(FILE_HEADER_LEN) => {
                meta.read_file_header(file, header, size)
                    .ok_or_else(|| unusable("its header makes no sense"))?;
            }
            Some(PIPE_HEADER_LEN) => {
                meta.records = (PIPE_HEADER_LEN, None);
                meta.is_whole = true;
                meta.survey(file, true)?;
            }
            Some(_) | None => return Err(unusable("its header is of an unknown size")),
        }
        if meta.events.is_empty() {
            return Err(unusable("it describes no event"));
        }
        meta.add_feature_build_ids();
        meta.name_events();
        if let Some(mut bytes) = meta.feature(feature::SAMPLE_TIME) {
            // A file that perf could not look through itself has zeros.
            let span = bytes.u64().zip(bytes.u64());
            meta.span_ns = span.filter(|(first, last)| first <= last && *last > 0);
        }
        if meta.span_ns.is_none() {
            meta.survey(file, false)?;
        }
        Ok(meta)
    }

    /// A part that says something about the recording.
    pub(super) fn feature(&self, id: u32) -> Option<Bytes<'_>> {
        Some(Bytes::new(self.features.get(&id)?, self.is_big_endian))
    }

    /// The text that such a part is; empty if there is none.
    pub(super) fn feature_text(&self, id: u32) -> String {
        self.feature(id).and_then(|mut bytes| bytes.counted_text()).unwrap_or_default()
    }

    /// The arguments that `perf` was started with.
    pub(super) fn command(&self) -> Vec<String> {
        let Some(mut bytes) = self.feature(feature::CMDLINE) else { return Vec::new() };
        let count = bytes.u32().unwrap_or(0);
        (0..count).map_while(|_| bytes.counted_text()).collect()
    }

    /// Which event a record is of.
    pub(super) fn event_of(&self, raw: &Raw<'_>) -> usize {
        let [first, _, ..] = &self.events[..] else { return 0 };
        // With several events, each record has an id at a place that is the
        // same for all of them.
        let body = Bytes::new(raw.body, self.is_big_endian);
        let id = match raw.kind == SAMPLE {
            true => id_of_sample(&first.attr, body),
            false => id_of_other(&first.attr, body),
        };
        id.and_then(|id| self.ids.get(&id)).copied().unwrap_or(0)
    }

    /// What an event is in the trace: the same for all kinds of cores.
    pub(super) fn id_of_event(&self, index: usize) -> u32 {
        let name = of_any_core(&self.events[index].name);
        let first = self.events.iter().position(|event| of_any_core(&event.name) == name);
        first.unwrap_or(index) as u32
    }

    /// When a record was made; 0 if it does not say.
    pub(super) fn time_of(&self, raw: &Raw<'_>) -> u64 {
        use sample_type::{CPU, ID, IDENTIFIER, IP, STREAM_ID, TID, TIME};
        let attr = &self.events[self.event_of(raw)].attr;
        let mut body = Bytes::new(raw.body, self.is_big_endian);
        if !attr.has(TIME) {
            return 0;
        }
        let words = |bits: &[u64]| bits.iter().map(|bit| u64::from(attr.has(*bit))).sum::<u64>();
        let before = match raw.kind == SAMPLE {
            true => Some(words(&[IDENTIFIER, IP, TID]) * 8),
            false if attr.has_trailers() => {
                let behind = words(&[TIME, ID, STREAM_ID, CPU, IDENTIFIER]) * 8;
                (body.len() as u64).checked_sub(behind)
            }
            false => None,
        };
        before.and_then(|length| body.take(length)).and_then(|_| body.u64()).unwrap_or(0)
    }

    fn read_file_header(&mut self, file: &File, mut header: Bytes<'_>, size: u64) -> Option<()> {
        let attr_size = header.u64()?;
        let mut section = || Some((header.u64()?, header.u64()?));
        let (attrs, data, _event_types) = (section()?, section()?, section()?);
        let mut bits = Vec::new();
        for _ in 0..4 {
            bits.push(header.u64()?);
        }
        let part = |(offset, length): (u64, u64)| read_part(file, offset, length, size);

        // Each attribute is followed by where its ids are.
        let attrs = part(attrs)?;
        let count = (attrs.len() as u64).checked_div(attr_size)?;
        for index in 0..count.min(MAX_EVENTS as u64) as usize {
            let mut entry = Bytes::new(&attrs, self.is_big_endian);
            entry.take(index as u64 * attr_size)?;
            let mut entry = entry.part(attr_size)?;
            let (attr, length) = Attr::read(entry, self.is_big_endian)?;
            entry.take(length.into())?;
            // Newer kernels' attributes are longer than what is known here.
            entry.take((entry.len() as u64).checked_sub(16)?)?;
            let ids = part((entry.u64()?, entry.u64()?)).unwrap_or_default();
            let mut ids = Bytes::new(&ids, self.is_big_endian);
            self.add_event(attr, std::iter::from_fn(|| ids.u64()));
        }

        let (offset, length) = data;
        self.is_whole = length > 0 && offset.checked_add(length)? <= size;
        self.records = (offset, Some(length).filter(|_| self.is_whole));
        if !self.is_whole {
            return Some(());
        }
        let mut at = offset.checked_add(length)?;
        for id in (0..256u32).filter(|id| bits[*id as usize / 64] >> (id % 64) & 1 != 0) {
            let Some(entry) = read_part(file, at, 16, size) else { break };
            let mut entry = Bytes::new(&entry, self.is_big_endian);
            at += 16;
            if feature::READ.contains(&id)
                && let Some(content) = part((entry.u64()?, entry.u64()?))
            {
                self.features.insert(id, content);
            }
        }
        Some(())
    }

    fn add_event(&mut self, attr: Attr, ids: impl Iterator<Item = u64>) {
        if self.events.len() >= MAX_EVENTS {
            return;
        }
        let left = MAX_IDS.saturating_sub(self.ids.len());
        let event = self.events.len();
        self.ids.extend(ids.take(left).map(|id| (id, event)));
        self.events.push(EventDescription { name: attr.name(), attr });
    }

    /// Goes through all records, for what is not told beforehand.
    fn survey(&mut self, file: &mut File, has_descriptions: bool) -> Result<Ending, ImportError> {
        let (records, is_big_endian) = (self.records, self.is_big_endian);
        for_records(file, records, is_big_endian, |raw| {
            match raw.kind {
                SAMPLE if !self.events.is_empty() => {
                    let time = self.time_of(&raw);
                    let (first, last) = self.span_ns.unwrap_or((time, time));
                    self.span_ns = Some((first.min(time), last.max(time)));
                }
                user::FIRST.. if has_descriptions => {
                    // One that makes no sense costs what it describes.
                    let _ = self.add_description(raw);
                }
                _ => {}
            }
            Ok::<(), SurveyError>(())
        })
        .map_err(|SurveyError(error)| error)
    }

    /// Takes a record that stands for a part of a file.
    fn add_description(&mut self, raw: Raw<'_>) -> Option<()> {
        let mut body = Bytes::new(raw.body, self.is_big_endian);
        match raw.kind {
            user::HEADER_ATTR => {
                let (attr, length) = Attr::read(body, self.is_big_endian)?;
                body.take(length.into())?;
                self.add_event(attr, std::iter::from_fn(|| body.u64()));
            }
            user::EVENT_UPDATE => {
                const NAME: u64 = 2;
                let (what, id) = (body.u64()?, body.u64()?);
                let event = self.ids.get(&id).filter(|_| what == NAME)?;
                self.events[*event].name = body.text();
            }
            user::HEADER_FEATURE => {
                let id = u32::try_from(body.u64()?).ok()?;
                if feature::READ.contains(&id) {
                    self.features.insert(id, body.take(body.len() as u64)?.to_vec());
                }
            }
            user::BUILD_ID => self.add_build_id(raw.misc, body)?,
            _ => {}
        }
        Some(())
    }

    fn add_feature_build_ids(&mut self) {
        let Some(content) = self.features.remove(&feature::BUILD_ID) else { return };
        let mut bytes = Bytes::new(&content, self.is_big_endian);
        loop {
            let entry = || {
                let (_kind, misc, size) = (bytes.u32()?, bytes.u16()?, bytes.u16()?);
                Some((misc, bytes.part(u64::from(size).checked_sub(8)?)?))
            };
            let Some((misc, body)) = { entry }() else { return };
            let _ = self.add_build_id(misc, body);
        }
    }

    /// Takes what follows the header of a build-id's entry.
    fn add_build_id(&mut self, misc: u16, mut body: Bytes<'_>) -> Option<()> {
        let _pid = body.u32()?;
        let bytes = body.take(24)?;
        let length = match misc & MISC_BUILD_ID_SIZE != 0 {
            true => usize::from(bytes[20]).min(20),
            // Ids of earlier versions are padded with zeros to 20 bytes.
            false => {
                let used = bytes[..20].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
                used.next_multiple_of(4)
            }
        };
        let build_id = bytes[..length].to_vec();
        let path = body.text();
        if misc & MISC_CPU_MODE == CPU_MODE_KERNEL && path.starts_with("[kernel.kallsyms]") {
            self.kernel_build_id = build_id;
        } else if self.build_ids.len() < MAX_BUILD_IDS {
            self.build_ids.insert(path, build_id);
        }
        Some(())
    }

    /// Gives events the names by which they were asked for.
    fn name_events(&mut self) {
        let Some(mut bytes) = self.feature(feature::EVENT_DESC) else { return };
        let names = || {
            let (count, attr_size) = (bytes.u32()?, bytes.u32()?);
            let mut names = Vec::new();
            for _ in 0..(count as usize).min(MAX_EVENTS) {
                bytes.take(attr_size.into())?;
                let ids = bytes.u32()?;
                names.push(bytes.counted_text()?);
                bytes.take(u64::from(ids) * 8)?;
            }
            Some(names)
        };
        let names = { names }().filter(|names| names.len() == self.events.len());
        for (event, name) in self.events.iter_mut().zip(names.into_iter().flatten()) {
            event.name = name;
        }
    }
}

/// The type of a record that is a sample.
pub(super) const SAMPLE: u32 = 9;

/// The id of the event that a sample is of.
fn id_of_sample(attr: &Attr, mut body: Bytes<'_>) -> Option<u64> {
    use sample_type::{ADDR, ID, IDENTIFIER, IP, TID, TIME};
    if !attr.has(IDENTIFIER) {
        if !attr.has(ID) {
            return None;
        }
        let before = [IP, TID, TIME, ADDR].iter().filter(|bit| attr.has(**bit)).count();
        body.take(before as u64 * 8)?;
    }
    body.u64()
}

/// The same of any other record.
fn id_of_other(attr: &Attr, mut body: Bytes<'_>) -> Option<u64> {
    use sample_type::{CPU, ID, IDENTIFIER, STREAM_ID};
    let behind = if attr.has(IDENTIFIER) {
        1
    } else if attr.has(ID) {
        [ID, STREAM_ID, CPU].iter().filter(|bit| attr.has(**bit)).count() as u64
    } else {
        return None;
    };
    body.take((body.len() as u64).checked_sub(behind * 8)?).filter(|_| attr.has_trailers())?;
    body.u64()
}

/// A part of a file; `None` if it is not all there, or too large.
fn read_part(file: &File, offset: u64, length: u64, size: u64) -> Option<Vec<u8>> {
    if length > MAX_PART || offset.checked_add(length)? > size {
        return None;
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

struct SurveyError(ImportError);

impl From<ReadError> for SurveyError {
    fn from(ReadError(error): ReadError) -> Self {
        SurveyError(ImportError::Read(error))
    }
}

/// An event's name without the kind of core that counts it, where there are several:
/// `cpu_atom/cycles/u` is `cycles:u`.
pub(in crate::import) fn of_any_core(name: &str) -> Cow<'_, str> {
    let of_kind = ["cpu_core/", "cpu_atom/", "cpu_lowpower/"]
        .iter()
        .find_map(|kind| name.strip_prefix(kind)?.rsplit_once('/'));
    match of_kind {
        None => name.into(),
        Some((event, "")) => event.into(),
        Some((event, modifiers)) => format!("{event}:{modifiers}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_several_kinds_of_cores() {
        let check = |name, expected| assert_eq!(of_any_core(name), expected);
        check("cpu_core/cycles/", "cycles");
        check("cpu_atom/cycles/u", "cycles:u");
        check("cycles:u", "cycles:u");
        check("msr/tsc/", "msr/tsc/");
    }
}
