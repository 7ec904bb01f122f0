//! Reads what is needed of each trace before anything can be merged: whose it
//! is, when it began, and what its clock says.

use std::path::{Path, PathBuf};

use rz_format::{Block, Clock, FileHeader, Host, Reader, Record, Recording, Source};

use super::file::SometimesOpen;
use super::{MergeError, MergeInput};
use rz_profile::load::label_of;

/// Sources of one file, at most.
const MAX_SOURCES: usize = 1 << 16;

/// A trace to merge, as far as its beginning tells.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// What people call it.
    pub(super) label: String,
    /// Whether it was given the label.
    is_named: bool,
    /// Minor version of the format that it was written in.
    pub(super) minor: u16,
    /// The recordings in it: one, unless it has been merged.
    pub(super) leaves: Vec<Leaf>,
}

/// A recording in a trace to merge.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaf {
    /// Its number in the trace; `None` if that was not merged.
    pub(super) local: Option<u32>,
    pub(super) label: String,
    pub(super) trace_id: [u8; 16],
    pub(super) created_unix_ns: u64,
    /// The same moment on the clock of its trace.
    pub(super) created_ns: u64,
    /// What was added to its times before.
    pub(super) shift_ns: i64,
    pub(super) host: Option<Host>,
    pub(super) recording: Option<Recording>,
    pub(super) clock: Option<Clock>,
}

impl Input {
    /// Reads the first records of a trace.
    pub(super) fn read(input: &MergeInput) -> Result<Input, MergeError> {
        let MergeInput { path, label } = input;
        let failed = |cause| MergeError::reading(path, cause);
        let mut reader = open(path)?;
        let header = *reader.header();
        let is_named = label.is_some();
        let label = label.clone().unwrap_or_else(|| label_of(path));
        let mut leaves = Leaves::default();
        while let Some(block) = reader.next_block().map_err(failed)? {
            match block {
                Block::Records(records) => leaves.add(records),
                // Sources come first, unless they are lost there.
                _ if header.is_merged() && leaves.merged.is_empty() => {}
                _ => break,
            }
        }
        let leaves = leaves.finish(&label, is_named, &header);
        Ok(Input { path: path.clone(), label, is_named, minor: header.minor, leaves })
    }

    /// Takes the folder's name into the label, to tell it from others, unless
    /// it was given one.
    pub(super) fn tell_apart(&mut self) {
        let folder = self.path.parent().and_then(Path::file_name);
        if let (Some(folder), false, [leaf]) = (folder, self.is_named, self.leaves.as_mut_slice())
            && leaf.local.is_none()
        {
            self.label = format!("{}/{}", folder.to_string_lossy(), self.label);
            leaf.label = self.label.clone();
        }
    }
}

/// Opens a trace.
pub(crate) fn open(path: &Path) -> Result<Reader<SometimesOpen>, MergeError> {
    let io = |cause| MergeError::Read { path: path.to_owned(), cause };
    let file = SometimesOpen::open(path).map_err(io)?;
    Reader::new(file).map_err(|cause| MergeError::reading(path, cause))
}

impl Leaf {
    /// A moment on the clock of its trace, and in nanoseconds since the Unix
    /// epoch.
    fn moment(&self) -> (u64, u64) {
        let created = (self.created_ns, self.created_unix_ns);
        self.clock.as_ref().map_or(created, |clock| (clock.monotonic_ns, clock.realtime_ns))
    }

    /// What has to be added to its own clock to get the time since the Unix
    /// epoch.
    pub(super) fn unix_offset_ns(&self) -> i128 {
        let (monotonic, unix) = self.moment();
        i128::from(unix) - (i128::from(monotonic) - i128::from(self.shift_ns))
    }

    /// When it began, in nanoseconds since the Unix epoch.
    pub(super) fn start_unix_ns(&self) -> i128 {
        let (monotonic, unix) = self.moment();
        let start = self.recording.as_ref().map_or(self.created_ns, |r| r.start_ns);
        i128::from(unix) + (i128::from(start) - i128::from(monotonic))
    }

    /// The boot that its clock began with, if it is known.
    pub(super) fn boot(&self) -> Option<&str> {
        self.host.as_ref().map(|host| host.boot_id.as_str()).filter(|id| !id.is_empty())
    }
}

/// The recordings in a trace, from record to record.
#[derive(Debug, Default)]
struct Leaves {
    merged: Vec<(u32, LeafFacts)>,
    whole: LeafFacts,
}

#[derive(Debug, Default)]
struct LeafFacts {
    source: Option<Source>,
    host: Option<Host>,
    recording: Option<Recording>,
    clock: Option<Clock>,
}

impl Leaves {
    /// Adds the records of a block.
    fn add(&mut self, records: Vec<Record>) {
        let mut current = None;
        for record in records {
            match record {
                Record::Source(source) => {
                    if let Some(at) = self.index_of(source.id) {
                        self.merged[at].1.source.get_or_insert(source);
                    }
                }
                Record::OfSource(of) => current = self.index_of(of.id),
                record => {
                    let leaf = match current {
                        Some(at) => &mut self.merged[at].1,
                        None => &mut self.whole,
                    };
                    leaf.add(record);
                }
            }
        }
    }

    /// Index of a source, which may be new. Sources are mostly in order.
    fn index_of(&mut self, id: u32) -> Option<usize> {
        let known = |&(known, _): &(u32, LeafFacts)| known == id;
        let guess = self.merged.get(id as usize).is_some_and(known).then_some(id as usize);
        let found = guess.or_else(|| self.merged.iter().position(known));
        if found.is_none() && self.merged.len() < MAX_SOURCES {
            self.merged.push((id, LeafFacts::default()));
            return Some(self.merged.len() - 1);
        }
        found
    }

    fn finish(self, label: &str, is_named: bool, header: &FileHeader) -> Vec<Leaf> {
        let plain = |facts: LeafFacts| Leaf {
            label: label.to_owned(),
            trace_id: header.trace_id,
            created_unix_ns: header.created_unix_ns,
            created_ns: header.created_ns,
            host: facts.host,
            recording: facts.recording,
            clock: facts.clock,
            ..Leaf::default()
        };
        if self.merged.is_empty() {
            return vec![plain(self.whole)];
        }
        let merged = self.merged.into_iter().map(|(id, mut facts)| {
            let source = facts.source.take();
            let mut leaf = Leaf { local: Some(id), ..plain(facts) };
            match source {
                Some(source) => {
                    leaf.shift_ns = source.shift_ns();
                    leaf.trace_id = source.trace_id.try_into().unwrap_or_default();
                    leaf.created_unix_ns = source.created_unix_ns;
                    leaf.created_ns = source.created_ns;
                    leaf.label =
                        if is_named { format!("{label}/{}", source.label) } else { source.label };
                }
                // Its definition is lost.
                None => {
                    for (byte, more) in leaf.trace_id.iter_mut().zip(id.to_le_bytes()) {
                        *byte ^= more.wrapping_add(1);
                    }
                }
            }
            leaf
        });
        merged.collect()
    }
}

impl LeafFacts {
    fn add(&mut self, record: Record) {
        match record {
            Record::Host(host) => drop(self.host.get_or_insert(host)),
            Record::Recording(recording) => drop(self.recording.get_or_insert(recording)),
            Record::Clock(clock) => drop(self.clock.get_or_insert(clock)),
            _ => {}
        }
    }
}
