//! Where the files of a recording that goes on come from, and go: a folder, or memory.

use std::path::Path;

use rz_format::{Event, FileHeader, Record};

use crate::output::{MakeRoom, OutputError, TraceFile, Unpublished};
use crate::shared::{Shared, Stored};
use crate::tracker::Findings;

/// Files that follow each other.
pub(crate) trait Files: MakeRoom {
    /// The folder that they get to.
    fn folder(&self) -> &Path;

    /// The recording begins, of these processes, with samples by `event`.
    fn begin(&self, _event: &Event, _pids: &[u32]) {}

    /// Creates the file that begins at a time on the trace's clock, under a name that
    /// nothing has.
    fn next(&self, begins_ns: u64) -> Result<(Unpublished, FileHeader), OutputError>;

    /// The file is whole, and may be the last one.
    fn complete(&self, file: TraceFile, is_last: bool, shared: &Shared);

    /// Removes the oldest files until there are no more than are to be kept, while so many
    /// bytes are in the one that is being written.
    fn keep_within(&self, present_bytes: u64);

    /// How many files were removed because the disk was full, since the last call.
    fn take_removed(&self) -> u64 {
        0
    }

    /// Looks at what goes into the present file. Returns what is to be said there.
    fn watch(&self, _found: &Findings, _shared: &Shared) -> Vec<Record> {
        Vec::new()
    }

    /// What there is in the end, if so much was recorded.
    fn stored(&self, all: Stored) -> Stored {
        all
    }
}
